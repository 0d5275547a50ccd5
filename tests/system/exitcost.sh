#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What an exit may cost, in instructions; a test of its own measures each kind.
# each: PAGING=nested,shadow
# host: --count
# files: tests/system/programs/build/exitcost
. ./lib.sh

./exitcost "$PAGING" cpuid=530 rdmsr=560 wrmsr=660 hypercall=490 out=1640 in=1660 \
	mmio-write=2250 mmio-read=2270
