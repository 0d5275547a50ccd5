#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# On a CPU with 5-level paging, guests of 5 and of 4 levels.
# each: PAGING=nested,shadow
# each: ARG=la57,no5lvl
# host: --cpu-model max --kernel 6.12
. ./lib.sh

linux 6.1 "quiet $ARG" --paging "$PAGING"
expect_status 0
expect "^WORKLOAD OK"
