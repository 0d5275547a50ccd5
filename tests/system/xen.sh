#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Xen, a hypervisor that starts by multiboot, drives both interrupt controllers and every
# processor by itself, and runs Linux at privilege level 3 on page tables that it checks.
# each: PAGING=nested,shadow
# host: --memory 2G --kernel 6.1
# timeout: 240
. ./lib.sh

# The emulated CPU lets IRET at privilege level 3 read the stack as a supervisor, so that
# SMAP forbids it: Xen is told to leave that alone.
vm --kernel /guests/xen --append "com1=115200,8n1 console=com1 dom0=pv dom0_mem=200M smap=0" \
	--module /guests/linux-6.1,"console=hvc0 earlyprintk=xen panic=-1 umbra.test=reboot" \
	--module "$INITRD" --memory 640M --cpus 2 --paging "$PAGING"
expect "Brought up 2 CPUs"
expect "Run .init as init process"
expect "Hardware Dom0 shutdown: rebooting machine"
expect_status 32
