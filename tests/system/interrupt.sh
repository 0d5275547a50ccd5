#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# SIGINT, as Ctrl-C sends it, ends vmctl. (A shell has programs in the background
# ignore it, so this one runs in the foreground.)
# each: PAGING=nested,shadow
. ./lib.sh

status=0
timeout -s INT 10 vmctl run --kernel /guests/linux-6.1 --initrd "$INITRD" --memory 256M \
	--paging "$PAGING" --append "console=ttyS0 quiet umbra.test=spin" </dev/null || status=$?
expect_status 130
unused
