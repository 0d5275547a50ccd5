#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# "vmctl check" finds all it needs on this host, and says what is missing elsewhere.
# also: --cpu vmx
. ./lib.sh

vmctl check || fail "vmctl check ended with status $?"
vmctl version
rmmod umbra
if vmctl check; then
	fail "vmctl check is content without a module"
fi
insmod /lib/umbra/umbra.ko
