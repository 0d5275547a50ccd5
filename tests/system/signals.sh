#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A signal ends vmctl at any time, and nothing of the VM is left.
# each: PAGING=nested,shadow
# each: SIGNAL=KILL,TERM
. ./lib.sh

free_memory() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^MemFree/ { print $2 }' /proc/meminfo
}

one() {
	start "umbra.test=$1" --paging "$PAGING" --cpus 2
	if [ -n "$2" ]; then
		wait_for "$2"
	else
		usleep "$3"
	fi
	kill -"$SIGNAL" "$vm"
	status=0
	wait "$vm" || status=$?
	case $SIGNAL in
	KILL) expect_status 137 ;;
	TERM) expect_status 143 ;;
	esac
	unused
}

one spin ^SPIN
before=$(free_memory)
one spin ^SPIN
one idle ^IDLE
one workload "^crowd"
for delay in 1000 20000 100000 300000 700000 1500000; do
	one idle '' $delay
done
# Each CPU keeps pages that were freed, many of them since Linux 6.12, and returns them
# when it has not needed them for some seconds. A leak does not return.
tries=0
after=$(free_memory)
while [ $((before - after)) -ge 8192 ] && [ $tries -lt 30 ]; do
	sleep 1
	tries=$((tries + 1))
	after=$(free_memory)
done
echo "memory free before $before kB, after $after kB"
[ $((before - after)) -lt 8192 ] || fail "memory is not given back"
rmmod umbra
insmod /lib/umbra/umbra.ko
