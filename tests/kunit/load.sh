#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# On the test host: loads umbra_kunit.ko, which runs the tests; prints the kernel's log.
set -eu

debug=/sys/kernel/debug
# Tests make allocations fail, those that may sleep too, and without a word in the log.
for what in failslab fail_page_alloc; do
	echo 0 >$debug/$what/verbose
	echo N >$debug/$what/ignore-gfp-wait
done
echo 0 >$debug/fail_page_alloc/min-order
# Memory of the tests moves while they run, more often than a host would do it.
khugepaged=/sys/kernel/mm/transparent_hugepage/khugepaged
echo 20 >$khugepaged/scan_sleep_millisecs
echo 0 >$khugepaged/alloc_sleep_millisecs

status=0
insmod ./umbra_kunit.ko "$@" || status=$?
dmesg
[ "$status" != 0 ] || rmmod umbra_kunit || status=$?
exit "$status"
