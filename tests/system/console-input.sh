#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What is typed reaches the guest.
# each: PAGING=nested,shadow
. ./lib.sh

mkfifo "$T/input"
vmctl run --kernel "/guests/linux-6.1" --initrd "$INITRD" --memory 256M --paging "$PAGING" \
	--append "console=ttyS0 panic=-1 quiet umbra.test=echo" \
	<"$T/input" >"$T/console" 2>"$T/errors" &
vm=$!
exec 3>"$T/input"
wait_for "ECHO READY"
echo "hello guest" >&3
wait_for "ECHO .hello guest."
seq 1 200 | tr '\n' ' ' >&3
echo >&3
wait_for "198 199 200 ?\]"
echo end >&3
status=0
wait $vm || status=$?
expect_status 0
