#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# HLT with the CPU halted in place, without that, and while others want the CPU: timers
# and interrupts from other CPUs end it.
# each: PAGING=nested
# files: tests/guests/nanobench/build/nanobench.elf
. ./lib.sh

limit=/sys/module/umbra/parameters/halt_in_place_us

# counter NAME: what the last guest's vCPUs have counted in all.
counter() {
	sed -n "s/^    \"$1\": \([0-9]*\),*$/\1/p" "$T/stats"
}

halting() {
	vm --kernel nanobench.elf --debug-exit --memory 256M --paging "$PAGING" --stats "$T/stats" \
		--append "only=hlt-wake iterations=200"
	expect_status 1
	expect "^DONE tests=1 failed=0$"
	# On a slow host, the timer may have fired before the guest halts.
	[ "$(counter halts)" -gt 0 ] || fail "the guest has not halted"
}

smp() {
	linux 6.1 "quiet umbra.test=workload" --cpus 2 --paging "$PAGING" --stats "$T/stats"
	expect_status 0
	[ "$(counter halts)" -gt 0 ] || fail "the guest has not halted"
}

before=$(cat $limit)
busy=
# shellcheck disable=SC2086 # one word for each
trap 'echo $before >$limit; [ -z "$busy" ] || kill $busy' EXIT

echo 0 >$limit
halting
[ "$(counter halts_in_place)" = 0 ] || fail "the CPU was halted though it must not be"

echo 1000000 >$limit
halting
[ "$(counter halts_in_place)" -gt 0 ] || fail "the CPU was not halted in place"
smp
[ "$(counter halts_in_place)" -gt 0 ] || fail "the CPUs were not halted in place"

for _ in $(seq "$(nproc)"); do
	sh -c 'while :; do :; done' &
	busy="$busy $!"
done
halting
