#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What VT-x can do beyond the necessary is used, can be left out by a parameter, and
# guests do not notice: the bare-metal guest of the local APIC, and one with several CPUs.
# each: SETTING=default,apicv=1,tpr_shadow=0,flexpriority=0,apicv=0,preemption_timer=0,unrestricted=0,vpid=0
# also: --cpu vmx
# also: --cpu vmx-noept SETTING=default,tpr_shadow=0
# files: tests/guests/bare/build/apic.elf tests/guests/bare/build/smp.elf tests/guests/bare/build/memflush.elf
# timeout: 300
. ./lib.sh

# AMD-V has neither these features nor a use for the parameters.
if [ "$CPU" = svm ]; then
	vmctl check | grep -E "^interrupt delivery +no" || fail "AMD-V delivers interrupts"
	exit 0
fi
paging=nested
[ "$CPU" != vmx-noept ] || paging=shadow

# exits NAME: how often the guest has exited for that reason. It has one CPU.
exits() {
	sed -n "/^ *\"$1\": {/,/}/s/^ *\"count\": \([0-9]*\).*/\1/p" "$T/stats" | head -n 1
}

# used NAME: the CPU does that by itself; else "vmctl check" has said why not.
used() {
	grep -q -E "^$1 +OK" "$T/check"
}

# none NAME..., some NAME...: exits of these kinds there must not be, or must be
none() {
	for name; do
		[ "$(exits "$name")" = 0 ] || fail "$(exits "$name") exits: $name"
	done
}

some() {
	for name; do
		[ "$(exits "$name")" -gt 0 ] || fail "no exits: $name"
	done
}

rmmod umbra
if [ "$SETTING" = default ]; then
	insmod /lib/umbra/umbra.ko
else
	insmod /lib/umbra/umbra.ko "$SETTING"
fi
vmctl check >"$T/check"
cat "$T/check"
case $SETTING in
default)
	# An emulated CPU is not trusted with it.
	[ "$CPU" != vmx ] || grep -q "^interrupt delivery .*apicv=1" "$T/check" ||
		fail "vmctl check does not say how to have interrupts delivered"
	;;
apicv=1)
	used "interrupt delivery" || fail "the CPU does not deliver interrupts"
	;;
*=0)
	grep -q -w "parameter ${SETTING%=0}" "$T/check" || fail "vmctl check does not name the parameter"
	;;
esac

vm --kernel apic.elf --append host=vmx --debug-exit --memory 64M --paging "$paging" \
	--stats "$T/stats"
expect_status 1
expect "^PASS cr8"
expect "^DONE"

# The guest's APIC is in xAPIC mode first, then in x2APIC mode.
if used "interrupt delivery"; then
	some eoi
	if used "APIC access"; then
		none tpr_threshold
	else
		some tpr_threshold
	fi
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

# Without VPIDs each entry and exit flushes, which is enough but for what other CPUs hold.
if [ "$SETTING" = vpid=0 ]; then
	for paging in nested shadow; do
		vm --kernel memflush.elf --append "host=vmx paging=$paging" --debug-exit \
			--memory 64M --paging "$paging" --cpus 2
		expect_status 1
		expect "^DONE"
	done
fi
rmmod umbra
insmod /lib/umbra/umbra.ko
