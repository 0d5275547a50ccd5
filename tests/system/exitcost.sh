#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What an exit may cost, in instructions; a test of its own measures each kind.
# each: PAGING=nested,shadow
# host: --count
# files: tests/system/programs/build/exitcost
. ./lib.sh

./exitcost "$PAGING" cpuid=515 rdmsr=550 wrmsr=590 hypercall=480 out=1590 in=1610 \
	mmio-write=2190 mmio-read=2210
