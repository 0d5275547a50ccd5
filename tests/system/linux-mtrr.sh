#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Linux finds memory types set up on every CPU, and nothing to complain about.
# each: PAGING=nested,shadow
# each: CPUS=1,2
# host: --kernel 6.1
. ./lib.sh

linux 6.1 "umbra.test=info" --paging "$PAGING" --cpus "$CPUS"
expect_status 0
expect "^INFO mtrr reg00: base=0x0c0000000 \( 3072MB\), size= 1024MB, count=1: uncachable"
expect "^INFO kernel .*x86/PAT: Configuration \[0-7\]: WB  WC  UC- UC  WB  WP  UC- WT"
# It says "mtrr:" only when CPUs differ, or firmware has done wrong.
! grep -q -i -E "INFO kernel .*(mtrr: |MTRRs disabled|PAT.*(skip|not|disabled))" "$T/console" ||
	fail "the guest complains about memory types"
