#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The host swaps out, moves and merges a guest's memory while it runs.
# each: PAGING=nested,shadow
# each: HOW=swap,compact,ksm,split
# timeout: 240
. ./lib.sh

if ! grep -q zram /proc/swaps; then
	modprobe zram
	echo 600M >/sys/block/zram0/disksize
	mkswap /dev/zram0 >/dev/null
	swapon /dev/zram0
fi
mkdir -p "$T/cgroup"
mount -t cgroup2 cgroup "$T/cgroup"
trap 'umount -l "$T/cgroup"' EXIT
echo +memory >"$T/cgroup/cgroup.subtree_control"
mkdir -p "$T/cgroup/vm"

out() { awk '/^pswpout/ { print $2 }' /proc/vmstat; }
moved() { awk '/^pgmigrate_success/ { print $2 }' /proc/vmstat; }

swapped=$(out)
migrated=$(moved)
case $HOW in
ksm) echo 1 >/sys/kernel/mm/ksm/run ;;
esac
start "umbra.rounds=3" --paging "$PAGING" --cpus 2
echo "$vm" >"$T/cgroup/vm/cgroup.procs"
while [ -d "/proc/$vm" ] && ! grep -q "^State:.Z" "/proc/$vm/status" 2>/dev/null; do
	case $HOW in
	swap) echo 60M >"$T/cgroup/vm/memory.reclaim" 2>/dev/null || true ;;
	compact) echo 1 >/proc/sys/vm/compact_memory ;;
	split) echo 1 >/sys/kernel/debug/split_huge_pages 2>/dev/null || true ;;
	esac
	usleep 200000
done
status=0
wait "$vm" || status=$?
cat "$T/console" "$T/errors"
case $HOW in
ksm) echo 2 >/sys/kernel/mm/ksm/run ;;
esac
echo "pages swapped out: $(($(out) - swapped)), moved: $(($(moved) - migrated))"
expect_status 0
[ "$(grep -c "^WORKLOAD OK" "$T/console")" = 3 ] || fail "the workload did not succeed three times"
case $HOW in
swap) [ $(($(out) - swapped)) -gt 1000 ] || fail "the host did not swap, so nothing was tested" ;;
compact) [ $(($(moved) - migrated)) -gt 100 ] || fail "no page moved, so nothing was tested" ;;
esac
