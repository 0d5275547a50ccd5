#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Every call of the ABI, used wrongly in every way there is.
# each: PAGING=nested,shadow
# also: --cpu vmx PAGING=nested
# files: tests/system/programs/build/abi
# timeout: 240
. ./lib.sh

# The same random states every time; try others with another seed.
./abi "$PAGING" 1 1000
