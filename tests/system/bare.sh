#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Bare-metal test guests: each prints PASS or FAIL lines and leaves by port 0xf4.
# each: PAGING=nested,shadow
# each: GUEST=@bare
# files: tests/guests/bare/build/*.elf
# timeout: 180
. ./lib.sh

vm --kernel "$GUEST.elf" --debug-exit --memory 64M --paging "$PAGING"
if grep -q '^FAIL' "$T/console"; then
	fail "$(grep '^FAIL' "$T/console" | head -n 5)"
fi
expect_status 1
expect "^PASS"
