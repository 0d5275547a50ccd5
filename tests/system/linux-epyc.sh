#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Another CPU model, with fewer features.
# each: PAGING=nested,shadow
# host: --cpu-model EPYC --kernel 6.1
. ./lib.sh

linux 6.1 quiet --paging "$PAGING" --cpus 2
expect_status 0
expect "^WORKLOAD OK"
