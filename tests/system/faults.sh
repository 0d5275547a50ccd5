#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Each allocation and each copy from or to user memory fails once, in turn.
# each: PAGING=nested,shadow
# host: --debug --kernel 6.1
# files: tests/system/programs/build/faults
# timeout: 240
. ./lib.sh

# All allocations may fail, also those that may wait, and none is to be reported.
for attribute in failslab fail_page_alloc fail_usercopy; do
	directory=/sys/kernel/debug/$attribute
	echo 0 >"$directory/verbose"
	[ ! -e "$directory/ignore-gfp-wait" ] || echo N >"$directory/ignore-gfp-wait"
	[ ! -e "$directory/min-order" ] || echo 0 >"$directory/min-order"
done

./faults "$PAGING"
unused
# The module counts its pages, and says so if not all of them were given back.
rmmod umbra
insmod /lib/umbra/umbra.ko
