#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The host's registers are as they were after a guest has run with others in them.
# each: PAGING=nested,shadow
# also: --cpu svm-bochs PAGING=nested
# also: --cpu vmx PAGING=nested
# also: --cpu vmx-noept PAGING=shadow
# files: tests/system/programs/build/hostregs
. ./lib.sh

[ -e /dev/cpu/0/msr ] || modprobe msr
./hostregs "$PAGING"
