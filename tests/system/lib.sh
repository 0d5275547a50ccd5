# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# For the tests in this directory: ". ./lib.sh". They run under "sh -eu", with a
# directory of their own in $T.

INITRD=/guests/initrd.img

fail() {
	echo "FAILED: $*"
	exit 1
}

# vm ARGUMENT...: run vmctl to its end; what it wrote is shown and left in $T/console and
# $T/errors, its exit status in $status.
vm() {
	status=0
	vmctl run "$@" >"$T/console" 2>"$T/errors" </dev/null || status=$?
	cat "$T/console" "$T/errors"
}

# linux VERSION "KERNEL ARGUMENTS" [ARGUMENT...]: run the Linux guest to its end.
linux() {
	version=$1
	append=$2
	shift 2
	vm --kernel "/guests/linux-$version" --initrd "$INITRD" \
		--append "console=ttyS0 panic=-1 $append" --memory 256M "$@"
}

# start ARGUMENT...: run the Linux guest 6.1 in the background; its process is $vm.
start() {
	append=$1
	shift
	# Opened here, so that a caller may rename them at once.
	exec 3>"$T/console" 4>"$T/errors"
	vmctl run --kernel "/guests/linux-6.1" --initrd "$INITRD" \
		--append "console=ttyS0 panic=-1 quiet $append" --memory 256M "$@" \
		>&3 2>&4 3>&- 4>&- </dev/null &
	vm=$!
	exec 3>&- 4>&-
}

# wait_for REGEXP: wait until the console of the guest in the background says so.
wait_for() {
	tries=0
	until grep -q -E "$1" "$T/console"; do
		[ -d "/proc/$vm" ] || {
			cat "$T/console" "$T/errors"
			fail "the guest ended before it said '$1'"
		}
		tries=$((tries + 1))
		[ $tries -lt 600 ] || {
			cat "$T/console" "$T/errors"
			fail "the guest has not said '$1' within 60 s"
		}
		usleep 100000
	done
}

expect_status() {
	[ "$status" = "$1" ] || fail "exit status is $status, expected $1"
}

# expect REGEXP: the guest's console must have said so; at the start of a line, as ^ says.
expect() {
	tr -d '\r' <"$T/console" | grep -q -E "$1" || fail "the guest did not say '$1'"
}

# expect_error REGEXP: vmctl must have said so, in one line.
expect_error() {
	grep -q -E "$1" "$T/errors" || fail "vmctl did not say '$1'"
	[ "$(wc -l <"$T/errors")" = 1 ] || fail "vmctl said more than one line"
}

# unused: the module must be in use by nobody, soon.
unused() {
	tries=0
	while [ "$(cat /sys/module/umbra/refcnt)" != 0 ]; do
		tries=$((tries + 1))
		[ $tries -lt 50 ] || fail "umbra.ko is still in use"
		usleep 100000
	done
}

# swap_on: have swap, to compressed memory.
swap_on() {
	! grep -q zram /proc/swaps || return 0
	[ -e /sys/block/zram0 ] || modprobe zram
	echo 600M >/sys/block/zram0/disksize
	mkswap /dev/zram0 >/dev/null
	swapon /dev/zram0
}
