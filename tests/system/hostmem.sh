#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A guest's memory follows what the host does to the monitor's.
# each: PAGING=nested,shadow
# each: CPUS=1,2
# host: --kernel 6.1
# host: --kernel 6.12 CPUS=2
# files: tests/system/programs/build/hostmem
# timeout: 240
. ./lib.sh

swap_on
./hostmem "$PAGING" "$CPUS"
