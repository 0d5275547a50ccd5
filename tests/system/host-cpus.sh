#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# While a guest works, CPUs of the host go and come back, vCPUs are sent from one to
# another, and the host goes to sleep as far as it gets without its hardware's help.
# each: PAGING=nested
# also: --cpu vmx --smp 2
# timeout: 300
. ./lib.sh

cpu1=/sys/devices/system/cpu/cpu1/online

# pin MASK: all threads of the monitor may run on these CPUs alone.
pin() {
	for task in "/proc/$vm/task/"*; do
		taskset -p "$1" "${task##*/}" >/dev/null 2>&1 || :
	done
	usleep 30000
}

# The last part of a suspend that is undone at once: one CPU is left, its interrupts are off.
nap() {
	grep -q deep /sys/power/mem_sleep || fail "this host does not suspend to memory"
	echo 0 >/sys/module/suspend/parameters/pm_test_delay
	echo core >/sys/power/pm_test
	echo mem >/sys/power/state || fail "the host does not suspend"
	echo none >/sys/power/pm_test
}

start "umbra.test=workload" --paging "$PAGING" --cpus 2
wait_for "^WORKLOAD START"
rounds=0
until [ $rounds = 4 ] || grep -q "^WORKLOAD OK" "$T/console" || [ ! -d "/proc/$vm" ]; do
	pin 1
	pin 2
	# Threads that may run there only must be taken somewhere else.
	echo 0 >$cpu1
	usleep 30000
	echo 1 >$cpu1
	pin 2
	pin 3
	[ $rounds != 1 ] || nap
	rounds=$((rounds + 1))
done
status=0
wait "$vm" || status=$?
cat "$T/console" "$T/errors"
expect_status 0
expect "^WORKLOAD OK"
[ $rounds -gt 2 ] || fail "the guest was through after $rounds rounds"

# A CPU that was away runs guests again.
echo 0 >$cpu1
echo 1 >$cpu1
status=0
taskset 2 vmctl run --kernel /guests/linux-6.1 --initrd "$INITRD" --memory 256M --paging "$PAGING" \
	--append "console=ttyS0 panic=-1 quiet umbra.test=none" >"$T/console" 2>&1 </dev/null || status=$?
cat "$T/console"
expect_status 0
unused
