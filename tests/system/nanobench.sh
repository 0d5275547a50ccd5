#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The benchmark kernel: everything in its table can be measured here, exactly as often
# as asked, and wrong words are refused.
# each: PAGING=nested,shadow
# timeout: 120
# files: tests/guests/nanobench/build/nanobench.elf
. ./lib.sh

nanobench() {
	vm --kernel nanobench.elf --debug-exit --memory 256M --paging "$PAGING" "$@"
	expect_status 1
}

# exits N: CPUID exits of a guest that measures N of them.
exits() {
	nanobench --append "only=cpuid iterations=$1" --stats "$T/stats" >/dev/null
	expect "^BENCH name=cpuid .* iterations=$1 rounds=1$"
	sed -n '/"cpuid": {/ { n; s/[^0-9]//gp; q; }' "$T/stats"
}

nanobench --append list
tr -d '\r' <"$T/console" | sed -n 's/^LIST name=\([^ ]*\) what=".*" iterations=[0-9]*$/\1/p' >"$T/names"
[ "$(wc -l <"$T/names")" -ge 40 ] || fail "the list is too short"

nanobench
while read -r name; do
	expect "^BENCH name=$name ticks=-?[0-9]+[.][0-9] spread=[0-9]+[.][0-9] iterations=[0-9]+ rounds=[0-9]+$"
done <"$T/names"
expect "^DONE tests=$(wc -l <"$T/names") failed=0$"

once=$(exits 100)
twice=$(exits 200)
[ $((twice - once)) = 100 ] || fail "100 CPUID more are $((twice - once)) exits more"

nanobench --append "only=cpuid,nothing"
expect "^FAIL name=nanobench reason=\"there is no test 'nothing'"
expect "^DONE tests=0 failed=1$"
