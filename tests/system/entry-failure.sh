#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What the CPU refuses to run: umbra.ko finds the check that failed, and vmctl prints it.
# each: PAGING=nested,shadow
# host: --cpu vmx --kernel 6.1
# also: --cpu vmx-noept PAGING=shadow
# also: --cpu svm-bochs PAGING=nested
# files: tests/system/programs/build/entryfail tests/system/plant/build/*.ko tests/guests/bare/build/smoke.elf
. ./lib.sh

parameters=/sys/module/plant/parameters

# plant FIELD CLEAR SET: what the CPU is to refuse at the third entry from here: into the
# first ones the module itself writes what has changed, an ASID among it.
plant() {
	echo "$1" >$parameters/field
	echo "$2" >$parameters/clear
	echo "$3" >$parameters/set
	echo 3 >$parameters/entries
}

insmod "plant-$(uname -r).ko"
trap 'rmmod plant' EXIT

native=not-native
case $CPU,$PAGING in
svm*) vendor=svm ;;
vmx,nested | vmx-skylake,nested) vendor=vmx native=native ;;
*) vendor=vmx ;;
esac
./entryfail "$PAGING" $vendor $native

if [ $vendor = vmx ]; then
	plant 0x4822 0xffffffff 0x82
	told='TR \(0x82\) is no busy TSS of this mode \(SDM Vol. 3 27.3.1.2\)'
else
	plant 0x58 0xffffffff 0
	told='the ASID \(0x0\) is 0 \(APM Vol. 2 15.5.1\)'
fi
vm --kernel smoke.elf --debug-exit --memory 64M --paging "$PAGING"
expect_status 38
expect_error "^vmctl: the CPU refused to run vCPU 0 \(code 0x[0-9a-f]+\): $told"
