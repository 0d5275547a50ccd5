#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# memtest86+, which sets up page tables of its own and talks to the bare machine,
# tests its memory for a while and finds no error.
# each: PAGING=nested,shadow
# host: --kernel 6.1
. ./lib.sh

vmctl run --kernel /guests/memtest86+ --append "console=ttyS0,115200" --memory 64M \
	--paging "$PAGING" >"$T/console" 2>"$T/errors" </dev/null &
vm=$!
wait_for "Address test, walking ones"
sleep 8
[ -d "/proc/$vm" ] || fail "it ended by itself"
kill -TERM "$vm"
status=0
wait "$vm" || status=$?
expect_status 143
if grep -q "Errors: *[1-9]" "$T/console"; then
	fail "it found errors"
fi
