#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# How a guest ends is told by vmctl's exit status.
# each: PAGING=nested,shadow
. ./lib.sh

linux 6.1 "quiet umbra.test=none" --paging "$PAGING"
expect_status 0
linux 6.1 "quiet umbra.test=reboot" --paging "$PAGING"
expect_status 32
linux 6.1 "quiet reboot=t umbra.test=reboot" --paging "$PAGING"
expect_status 34
linux 6.1 "quiet umbra.test=crash" --paging "$PAGING"
expect "Kernel panic"
expect_status 32
