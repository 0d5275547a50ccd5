#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Page tables that a device writes are what the guest sees after its next flush.
# each: PAGING=nested,shadow
# files: tests/system/programs/build/dmarun tests/guests/bare/build/memflush.elf
. ./lib.sh

status=0
./dmarun --kernel memflush.elf --append "host=tcg paging=$PAGING device=1" --debug-exit \
	--memory 64M --paging "$PAGING" --cpus 2 >"$T/console" 2>"$T/errors" </dev/null || status=$?
cat "$T/console" "$T/errors"
if grep -q '^FAIL' "$T/console"; then
	fail "$(grep '^FAIL' "$T/console" | head -n 5)"
fi
expect_status 1
expect "^DONE 3 passed"
