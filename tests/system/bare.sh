#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Bare-metal test guests: each prints PASS, FAIL or SKIP lines and leaves by port 0xf4.
# each: PAGING=nested,shadow
# each: GUEST=@bare
# also: --cpu svm-bochs PAGING=nested GUEST=apic,cpuidmsr,exceptions,mmio,pagetables,paging,paging32,power,realmode,segments,segments32,sensitive,smoke,smp
# also: --cpu svm-bochs PAGING=shadow GUEST=apic,cpuidmsr,exceptions,mmio,pagetables,paging,paging32,realmode,segments,sensitive,smoke,smp
# also: --cpu vmx
# also: --cpu vmx-noug PAGING=nested
# also: --cpu vmx-noept PAGING=shadow
# files: tests/guests/bare/build/*.elf
# timeout: 180
. ./lib.sh

case $GUEST in
smp) cpus=4 ;;
memflush) cpus=2 ;;
*) cpus=1 ;;
esac

# The guest is told what the CPU below it is, as it knows some errors of that emulator.
case $CPU in
svm) host=tcg ;;
svm-bochs*) host=bochs-svm ;;
*) host=$CPU ;;
esac
vm --kernel "$GUEST.elf" --append "host=$host paging=$PAGING" --debug-exit --memory 64M --paging "$PAGING" \
	--cpus "$cpus"
if grep -q '^FAIL' "$T/console"; then
	fail "$(grep '^FAIL' "$T/console" | head -n 5)"
fi
# With shadow paging, reserved bits are found by umbra.ko and not by the emulator.
if [ "$PAGING" = shadow ] && grep -E '^SKIP [a-z-]*reserved[a-z0-9-]*:' "$T/console"; then
	fail "reserved bits are not reported as they must be"
fi
expect_status 1
expect "^PASS"
expect "^DONE"
