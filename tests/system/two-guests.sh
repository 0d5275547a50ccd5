#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Two VMs at once, one of each paging mode, do not disturb each other.
. ./lib.sh

start "" --paging nested
mv "$T/console" "$T/first"
first=$vm
start "" --paging shadow
status=0
wait "$vm" || status=$?
cat "$T/console"
expect_status 0
expect "^WORKLOAD OK"
status=0
wait "$first" || status=$?
cat "$T/first"
expect_status 0
grep -q "^WORKLOAD OK" "$T/first" || fail "the first guest did not complete its workload"
