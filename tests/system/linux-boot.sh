#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Debian's kernels boot, work and power off.
# each: PAGING=nested,shadow
# each: GUEST=6.1,6.12
# each: CPUS=1,2,4
# host: default
. ./lib.sh

linux "$GUEST" quiet --paging "$PAGING" --cpus "$CPUS"
expect_status 0
expect "^GUEST UP: .* $CPUS CPU"
expect "^cpus: $CPUS,"
expect "^WORKLOAD OK"
