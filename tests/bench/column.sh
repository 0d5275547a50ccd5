#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs guests on one hypervisor in one paging mode, one after another, as root.
#
#   column.sh umbra|kvm nested|shadow JOBS DIRECTORY
#
# Each line of JOBS is a guest, with tabs between a name, what the host's
# transparent huge pages are to be ("always", "never", "-": left alone), whether
# KVM's exits are to be counted by reason (1 or 0), and the monitor's arguments.
# What a guest said, its monitor's statistics and KVM's exits are left in
# DIRECTORY as NAME.console, .json and .exits. Says of each
#
#   JOB name exit-status
#
# or, if there is no such hypervisor, "SKIP reason". What was changed of the host
# is changed back. Settings: VMCTL, KVMRUN, UMBRA_KO (programs and module), LIMIT
# (seconds for each guest). An empty line ends the list.
set -u

hypervisor=$1
paging=$2
jobs=$3
directory=$4
tab=$(printf '\t')
huge=/sys/kernel/mm/transparent_hugepage/enabled
collapse=/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs
tracing=/sys/kernel/tracing
histogram=hist:keys=exit_reason:size=2048

skip() {
	echo "SKIP $*"
	exit 0
}

restore() {
	[ ! -e $huge ] || echo "$huge_before" >$huge
	[ ! -e $collapse ] || echo "$collapse_before" >$collapse
	[ -z "$loaded" ] || rmmod "$loaded"
	[ -z "$unloaded" ] || modprobe "$unloaded" "$parameter=$before"
	[ -z "$umbra_unloaded" ] || insmod "$UMBRA_KO"
}

# Umbra does not share a CPU with a KVM that has it.
unload_kvm() {
	[ -e "/sys/module/$module" ] || return 0
	before=$(cat "/sys/module/$module/parameters/$parameter")
	[ -e "/sys/module/$module/refcnt" ] || skip "$module is built into this kernel, with $parameter=$before"
	rmmod "$module" 2>/dev/null || skip "$module is in use: end KVM's guests"
	unloaded=$module
}

load_umbra() {
	[ ! -e /sys/module/umbra ] || return 0
	unload_kvm
	error=$(insmod "$UMBRA_KO" 2>&1) || skip "umbra.ko does not load: $error"
	loaded=umbra
}

load_kvm() {
	if [ -e /sys/module/umbra ]; then
		rmmod umbra 2>/dev/null || skip "umbra.ko is in use: end its guests"
		umbra_unloaded=1
	fi
	wanted=Y
	[ "$paging" = nested ] || wanted=N
	case $(cat "/sys/module/$module/parameters/$parameter" 2>/dev/null) in
	"$wanted") return 0 ;;
	esac
	unload_kvm
	error=$(modprobe "$module" "$parameter=$wanted" 2>&1) || skip "$module does not load: $error"
	loaded=$module
	case $(cat "/sys/module/$module/parameters/$parameter") in
	"$wanted") ;;
	*) skip "$module does not take $parameter=$wanted" ;;
	esac
}

describe() {
	echo "kernel=$(uname -r)"
	sed -n 's/^model name[^:]*: /cpu=/p' /proc/cpuinfo | head -n 1
	echo "cpus=$(nproc)"
	[ ! -e $huge ] || echo "transparent_hugepage=$(sed 's/.*\[\(.*\)\].*/\1/' $huge)"
	for file in /sys/module/umbra/parameters/* /sys/module/kvm/parameters/* \
		"/sys/module/$module/parameters"/*; do
		[ ! -r "$file" ] || echo "$(echo "$file" | cut -d / -f 4).${file##*/}=$(cat "$file")"
	done
}

run() {
	name=$1
	pages=$2
	traced=$3
	shift 3
	trigger=$tracing/events/kvm/kvm_exit/trigger
	[ "$pages" = - ] || [ ! -e $huge ] || echo "$pages" >$huge
	[ "$traced" = 0 ] || echo $histogram >"$trigger"
	timeout -k 5 "${LIMIT-600}" "$monitor" run "$@" --paging "$paging" \
		--console "file:$directory/$name.console" --stats "$directory/$name.json" \
		</dev/null >"$directory/$name.errors" 2>&1
	status=$?
	if [ "$traced" = 1 ]; then
		cat "${trigger%/*}/hist" >"$directory/$name.exits"
		echo "!$histogram" >"$trigger"
	fi
	[ "$pages" = - ] || [ ! -e $huge ] || echo "$huge_before" >$huge
	echo "JOB $name $status"
}

loaded=
unloaded=
umbra_unloaded=
before=
huge_before=$(sed 's/.*\[\(.*\)\].*/\1/' $huge 2>/dev/null)
collapse_before=$(cat $collapse 2>/dev/null)
module=kvm_amd
parameter=npt
if ! grep -q '^flags.* svm\b' /proc/cpuinfo; then
	module=kvm_intel
	parameter=ept
fi
trap restore EXIT
trap 'exit 1' INT TERM HUP

# khugepaged would copy pages of some guest whenever its time has come.
[ ! -e $collapse ] || echo 4294967295 >$collapse
case $hypervisor in
umbra)
	load_umbra
	monitor=$VMCTL
	;;
kvm)
	load_kvm
	monitor=$KVMRUN
	[ -e $tracing/events ] || tracing=/sys/kernel/debug/tracing
	;;
esac
describe >"$directory/environment"

set -f
while read -r line && [ -n "$line" ]; do
	IFS=$tab
	# shellcheck disable=SC2086 # split at tabs
	set -- $line
	unset IFS
	run "$@"
done <"$jobs"
