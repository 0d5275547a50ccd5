#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The host swaps out, moves and splits a guest's memory while it runs.
# each: PAGING=nested,shadow
# each: HOW=swap,compact,split
# host: --kernel 6.1
# host: --kernel 6.12 PAGING=shadow HOW=swap
# timeout: 240
. ./lib.sh

swap_on
mkdir -p "$T/cgroup"
mount -t cgroup2 cgroup "$T/cgroup"
trap 'umount -l "$T/cgroup"' EXIT
echo +memory >"$T/cgroup/cgroup.subtree_control"
mkdir -p "$T/cgroup/vm"

# What has happened on the host, as it counts it.
happened() {
	case $HOW in
	swap) awk '/^pswpout/ { print $2 }' /proc/vmstat ;;
	compact) awk '/^pgmigrate_success/ { print $2 }' /proc/vmstat ;;
	split) awk '/^thp_split_page / { print $2 }' /proc/vmstat ;;
	esac
}

case $HOW in
swap) least=1000 ;;
compact) least=100 ;;
split) least=10 ;;
esac
seen=
before=$(happened)
start "" --paging "$PAGING" --cpus 2
echo "$vm" >"$T/cgroup/vm/cgroup.procs"
while [ -d "/proc/$vm" ] && ! grep -q "^State:.Z" "/proc/$vm/status" 2>/dev/null; do
	case $HOW in
	swap)
		# As often as the guest has got on, else it would not get on at all.
		said=$(wc -l <"$T/console")
		if [ "$said" != "$seen" ]; then
			seen=$said
			echo 30M >"$T/cgroup/vm/memory.reclaim" 2>/dev/null || true
		fi
		;;
	compact) echo 1 >/proc/sys/vm/compact_memory ;;
	split) echo 1 >/sys/kernel/debug/split_huge_pages ;;
	esac
	usleep 500000
done
status=0
wait "$vm" || status=$?
cat "$T/console" "$T/errors"
count=$(($(happened) - before))
echo "pages affected: $count"
expect_status 0
expect "^WORKLOAD OK"
[ $count -gt "$least" ] || fail "that is too few to have tested anything"
