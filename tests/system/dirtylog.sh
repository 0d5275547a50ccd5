#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Dirty logs are exact and lose nothing, also while the guest runs: by faults, and
# where the CPU has page-modification logging both with and without it.
# each: PAGING=nested,shadow
# also: --cpu vmx-skylake PAGING=nested
# files: tests/system/programs/build/dirtylog
. ./lib.sh

./dirtylog "$PAGING"
[ "$CPU" = vmx-skylake ] || exit 0
vmctl check | grep -E "^dirty logging +OK" || fail "page-modification logging is not used"
rmmod umbra
insmod /lib/umbra/umbra.ko pml=0
./dirtylog "$PAGING" 2
vmctl check | grep -E "^dirty logging +no .*parameter pml" || fail "pml=0 has no effect"
rmmod umbra
insmod /lib/umbra/umbra.ko
