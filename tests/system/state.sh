#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A vCPU's state is exact: random states there and back, and guests that do not
# notice that they are moved to another VM, of the same or of the other paging.
# each: PAGING=nested,shadow
# files: tests/system/programs/build/state
# timeout: 300
. ./lib.sh

./state "$PAGING" 1 150
