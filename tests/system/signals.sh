#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A signal ends vmctl at any time, and nothing of the VM is left.
# each: PAGING=nested,shadow
# each: SIGNAL=KILL,TERM
# host: --kernel 6.1 SIGNAL=KILL
# host: --kernel 6.1 PAGING=nested SIGNAL=TERM
# host: --kernel 6.12 SIGNAL=KILL
. ./lib.sh

# In kB, with the pages that each CPU keeps for itself, many of them since Linux 6.12.
free_memory() {
	echo 3 >/proc/sys/vm/drop_caches
	awk '/^MemFree:/ { kb += $2 } $1 == "count:" { kb += 4 * $2 } END { print kb }' \
		/proc/meminfo /proc/zoneinfo
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
after=$(free_memory)
echo "memory free before $before kB, after $after kB"
# KASAN keeps what was freed for a while, up to a part in 32 of all memory; there kmemleak
# tells of what is lost.
margin=4096
[ ! -e /sys/kernel/debug/kmemleak ] || margin=65536
[ $((before - after)) -lt $margin ] || fail "memory is not given back"
rmmod umbra
insmod /lib/umbra/umbra.ko
