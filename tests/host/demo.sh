#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Boots the Linux guest once with nested and once with shadow paging. Runs on a
# host that has umbra.ko loaded and vmctl in PATH.
#
#   demo.sh KERNEL INITRD DIRECTORY
#
# Leaves in DIRECTORY what the guest said (MODE.log) and what was counted
# (MODE.json). Fails if the guest's workload did.
set -u

kernel=$1
initrd=$2
directory=$3
failed=0

for mode in nested shadow; do
	log=$directory/$mode.log
	printf '\n=== %s paging: vmctl run --kernel %s --memory 256M --paging %s\n\n' \
		"$mode" "$kernel" "$mode"
	{
		vmctl run --kernel "$kernel" --initrd "$initrd" \
			--append "console=ttyS0 panic=-1" --memory 256M --paging "$mode" \
			--stats "$directory/$mode.json" </dev/null
		echo "$?" >"$directory/$mode.status"
	} | tee "$log"
	status=$(cat "$directory/$mode.status")
	if [ "$status" != 0 ]; then
		echo "demo: vmctl run --paging $mode ended with status $status" >&2
		failed=1
	elif ! grep -q "^WORKLOAD OK" "$log"; then
		echo "demo: the guest under $mode paging did not complete its workload" >&2
		failed=1
	fi
done
exit $failed
