#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What an exit may cost, in instructions: CPUID, and port I/O to user space.
# each: PAGING=nested,shadow
# host: --count
# files: tests/system/programs/build/exitcost
. ./lib.sh

./exitcost "$PAGING" 900 1800
