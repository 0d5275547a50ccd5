#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What VT-x can do beyond the necessary is used, can be left out by a parameter, and
# guests do not notice: the bare-metal guest of the local APIC, and one with several CPUs.
# each: WITHOUT=nothing,tpr_shadow,flexpriority,apicv,preemption_timer
# host: --cpu vmx
# also: --cpu vmx-noept WITHOUT=nothing,tpr_shadow
# files: tests/guests/bare/build/apic.elf tests/guests/bare/build/smp.elf
# timeout: 300
. ./lib.sh

paging=nested
[ "$CPU" != vmx-noept ] || paging=shadow

# exits NAME: how often the guest has exited for that reason
exits() {
	sed -n "/^ *\"$1\": {/,/}/s/^ *\"count\": \([0-9]*\).*/\1/p" "$T/stats"
}

# used NAME: the CPU does that by itself; else "vmctl check" has said why not.
used() {
	grep -q -E "^$1 +OK" "$T/check"
}

# none NAME..., some NAME...: exits of these kinds there must not be, or must be
none() {
	for name; do
		[ -z "$(exits "$name")" ] || fail "$(exits "$name") exits: $name"
	done
}

some() {
	for name; do
		[ -n "$(exits "$name")" ] || fail "no exits: $name"
	done
}

rmmod umbra
if [ "$WITHOUT" = nothing ]; then
	insmod /lib/umbra/umbra.ko
else
	insmod /lib/umbra/umbra.ko "$WITHOUT=0"
fi
vmctl check >"$T/check"
cat "$T/check"
[ "$WITHOUT" = nothing ] || grep -q "parameter $WITHOUT;" "$T/check" ||
	fail "vmctl check does not name the parameter"

vm --kernel apic.elf --append host=vmx --debug-exit --memory 64M --paging "$paging" \
	--stats "$T/stats"
expect_status 1
expect "^PASS cr8"
expect "^DONE"
cat "$T/stats"

if used "interrupt delivery"; then
	none tpr_threshold
	some eoi
elif used "TPR shadow"; then
	none eoi
	some tpr_threshold
else
	none eoi tpr_threshold apic_access apic_write
fi
if used "APIC access"; then
	some apic_access
else
	none apic_access apic_write
fi
if used "deadline timer"; then
	some timer
else
	none timer
fi

vm --kernel smp.elf --append host=vmx --debug-exit --memory 64M --paging "$paging" --cpus 4
expect_status 1
expect "^DONE"
rmmod umbra
insmod /lib/umbra/umbra.ko
