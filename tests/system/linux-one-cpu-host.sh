#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Guests of several CPUs run on a host of one.
# each: PAGING=nested,shadow
# each: CPUS=2,4
# host: --smp 1 --kernel 6.1
# host: --smp 1 --kernel 6.12 PAGING=shadow CPUS=2
# timeout: 240
. ./lib.sh

linux 6.1 quiet --paging "$PAGING" --cpus "$CPUS"
expect_status 0
expect "^cpus: $CPUS,"
expect "^WORKLOAD OK"
