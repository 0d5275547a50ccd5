#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# How a guest ends is told by vmctl's exit status.
# each: PAGING=nested,shadow
. ./lib.sh

linux 6.1 "quiet umbra.test=none" --paging "$PAGING"
expect_status 0
linux 6.1 "quiet umbra.test=reboot" --paging "$PAGING"
reboot=$status
linux 6.1 "quiet reboot=t umbra.test=reboot" --paging "$PAGING"
triple=$status
echo "power-off 0, reboot $reboot, triple fault $triple"
case "$reboot $triple" in
0\ * | *\ 0) fail "a reboot or triple fault looks like a power-off" ;;
esac
[ "$reboot" != "$triple" ] || fail "reboot and triple fault look the same"
