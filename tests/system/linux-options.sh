#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What changes how a guest kernel uses its page tables.
# each: PAGING=nested,shadow
# each: ARG=pti=on,pti=off,noexec=off,nosmap,transparent_hugepage=never
# host: --kernel 6.1
. ./lib.sh

linux 6.1 "quiet $ARG" --paging "$PAGING"
expect_status 0
expect "^WORKLOAD OK"
