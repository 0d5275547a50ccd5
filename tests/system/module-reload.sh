#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The module unloads and loads again, and leaves nothing behind.
# also: --cpu vmx
# also: --cpu svm-bochs
. ./lib.sh

for i in 1 2 3; do
	rmmod umbra
	[ ! -e /dev/umbra ] || fail "/dev/umbra is still there after rmmod ($i)"
	insmod /lib/umbra/umbra.ko
	[ -c /dev/umbra ] || fail "no /dev/umbra after insmod ($i)"
done
