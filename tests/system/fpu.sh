#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# FPU registers of guests, of the threads that run them and of other threads stay
# whose they are, whether they are swapped the short way or by the kernel's function.
# each: PAGING=nested,shadow
# also: --cpu vmx PAGING=nested
# files: tests/system/programs/build/fpu
. ./lib.sh

./fpu "$PAGING" 4
[ "$(cat /sys/module/umbra/parameters/fpu_fast)" = Y ] || fail "the short way was not tried"
rmmod umbra
insmod /lib/umbra/umbra.ko fpu_fast=N
trap 'rmmod umbra && insmod /lib/umbra/umbra.ko' EXIT
./fpu "$PAGING" 1
