#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Debian's kernels boot, work and power off.
# each: PAGING=nested,shadow
# each: GUEST=6.1,6.12
# each: CPUS=1,2,4
# host: --kernel 6.1 GUEST=6.1
# host: --kernel 6.1 GUEST=6.12 CPUS=2
# host: --kernel 6.12 GUEST=6.12 CPUS=1,4
# host: --kernel 6.12 GUEST=6.1 CPUS=2
# also: --cpu svm-bochs GUEST=6.1 CPUS=1
# also: --cpu svm-bochs-nonpt PAGING=shadow GUEST=6.1 CPUS=1
# also: --cpu vmx PAGING=nested CPUS=1
# also: --cpu vmx PAGING=shadow GUEST=6.1 CPUS=1
# also: --cpu vmx-noug PAGING=nested GUEST=6.1 CPUS=1
# also: --cpu vmx-noept PAGING=shadow GUEST=6.1 CPUS=1,2
. ./lib.sh

linux "$GUEST" quiet --paging "$PAGING" --cpus "$CPUS"
expect_status 0
expect "^GUEST UP: .* $CPUS CPU"
expect "^cpus: $CPUS,"
expect "^WORKLOAD OK"
