#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Whole guests are moved to another VM every few exits while they run, and succeed.
# Not among them: those that measure time, which stands still during a move; cpuidmsr,
# as QEMU's CPU lets it write addresses that are not canonical, which UMBRA_SET_MSRS
# refuses; paging32 between both, as PDPTEs with reserved bits are found when CR3 is
# loaded with shadow paging and when they are used with nested.
# each: MOVE=both-exceptions,both-mmio,both-pagetables,both-paging,both-segments,both-segments32,both-smp,both-linux,nested-paging32,shadow-paging32
# host: --kernel 6.1
# host: --kernel 6.12 MOVE=both-paging,both-smp
# also: --cpu vmx MOVE=both-exceptions,both-paging,both-segments,nested-paging32
# files: tests/system/programs/build/hoprun tests/guests/bare/build/*.elf
# timeout: 400
. ./lib.sh

paging=${MOVE%-*}
guest=${MOVE#*-}

hop() {
	status=0
	./hoprun "$@" >"$T/console" 2>"$T/errors" </dev/null || status=$?
	cat "$T/console" "$T/errors"
}

case $guest in
linux)
	hop 200 "$paging" --kernel /guests/linux-6.1 --initrd "$INITRD" --memory 128M --cpus 2 \
		--append "console=ttyS0 panic=-1 quiet"
	expect_status 0
	expect "^WORKLOAD OK"
	;;
*)
	cpus=1
	[ "$guest" != smp ] || cpus=4
	hop 60 "$paging" --kernel "$guest.elf" --append host=tcg --debug-exit --memory 64M \
		--cpus "$cpus"
	if grep -q '^FAIL' "$T/console"; then
		fail "$(grep '^FAIL' "$T/console" | head -n 5)"
	fi
	expect_status 1
	expect "^PASS"
	expect "^DONE"
	;;
esac
moved=$(sed -n 's/^hoprun: moved \([0-9]*\) times$/\1/p' "$T/errors")
[ "${moved:-0}" -ge 3 ] || fail "the guest was moved ${moved:-0} times only"
