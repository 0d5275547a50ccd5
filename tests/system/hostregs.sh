#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The host's registers are as they were after a guest has run with others in them.
# each: PAGING=nested,shadow
# also: --cpu svm-bochs PAGING=nested
# also: --cpu vmx PAGING=nested
# also: --cpu vmx-noept PAGING=shadow
# files: tests/system/programs/build/hostregs
. ./lib.sh

# Debug kernels are built without its driver; MSRs are left out there.
uname -r | grep -q debug || modprobe msr
./hostregs "$PAGING"
