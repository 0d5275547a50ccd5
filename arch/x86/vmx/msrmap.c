// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: which MSRs the guest has without exits (SDM Vol. 3 25.6.9, 30.5). */
#include <linux/bitops.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "vmx.h"

static struct page *maps[VMX_NR_MSR_MAPS];

static const struct {
	u32 msr;
	bool write;
} passed_msrs[] = {
	/* In the VMCS, */
	{ MSR_FS_BASE, true }, { MSR_GS_BASE, true }, { MSR_IA32_SYSENTER_CS, true },
	{ MSR_IA32_SYSENTER_ESP, true }, { MSR_IA32_SYSENTER_EIP, true },
	/* read back when the vCPU leaves the CPU, */
	{ MSR_KERNEL_GS_BASE, true },
	/* and written through us only. */
	{ MSR_STAR, false }, { MSR_LSTAR, false }, { MSR_SYSCALL_MASK, false },
	/* Reads have the offset added. */
	{ MSR_IA32_TSC, false },
};

/*
 * Registers of x2APIC mode that the CPU reads from the page of registers. Not
 * among them are the current count, which it does not know, LINT0, whose Remote
 * IRR others change, and ICR, which is in another place there.
 */
static const struct {
	u16 first, last;
} passed_regs[] = {
	{ APIC_ID, APIC_LVR }, { APIC_PROCPRI, APIC_PROCPRI }, { APIC_LDR, APIC_LDR },
	{ APIC_SPIV, APIC_ESR }, { APIC_LVTT, APIC_LVTPC }, { APIC_LVT1, APIC_LVTERR },
	{ APIC_TMICT, APIC_TMICT }, { APIC_TDCR, APIC_TDCR },
};

/* Reads of 0 to 0x1fff, of 0xc0000000 to 0xc0001fff, then the same for writes. */
static void pass_read(u8 *map, u32 msr)
{
	__clear_bit(msr & 0x1fff, (unsigned long *)(map + (msr >= 0xc0000000 ? 1024 : 0)));
}

static void pass_write(u8 *map, u32 msr)
{
	pass_read(map + 2048, msr);
}

static u32 x2apic_msr(u32 reg)
{
	return APIC_BASE_MSR + (reg >> 4);
}

static void fill(u8 *map, enum vmx_msr_map kind)
{
	unsigned int i;
	u32 reg;

	memset(map, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(passed_msrs); i++) {
		pass_read(map, passed_msrs[i].msr);
		if (passed_msrs[i].write)
			pass_write(map, passed_msrs[i].msr);
	}
	if (kind == VMX_MSRS_NO_APIC)
		return;
	pass_read(map, x2apic_msr(APIC_TASKPRI));
	pass_write(map, x2apic_msr(APIC_TASKPRI));
	if (kind == VMX_MSRS_TPR)
		return;
	for (i = 0; i < ARRAY_SIZE(passed_regs); i++)
		for (reg = passed_regs[i].first; reg <= passed_regs[i].last; reg += 0x10)
			pass_read(map, x2apic_msr(reg));
	pass_write(map, x2apic_msr(APIC_EOI));
	pass_write(map, x2apic_msr(APIC_SELF_IPI));
}

/**
 * vmx_msr_setup() - make the bitmaps, which all VMs share
 *
 * Return: 0 or -ENOMEM.
 */
int vmx_msr_setup(void)
{
	enum vmx_msr_map kind;

	for (kind = 0; kind < VMX_NR_MSR_MAPS; kind++) {
		maps[kind] = umbra_alloc_pages(GFP_KERNEL, 0);
		if (!maps[kind])
			return -ENOMEM;
		fill(page_address(maps[kind]), kind);
	}
	return 0;
}

/**
 * vmx_msr_teardown() - undo vmx_msr_setup(), also half of it
 */
void vmx_msr_teardown(void)
{
	enum vmx_msr_map kind;

	for (kind = 0; kind < VMX_NR_MSR_MAPS; kind++) {
		if (maps[kind])
			umbra_free_pages(maps[kind], 0);
		maps[kind] = NULL;
	}
}

/**
 * vmx_msr_bitmap() - address of an MSR bitmap
 * @kind: which
 *
 * Return: its physical address.
 */
u64 vmx_msr_bitmap(enum vmx_msr_map kind)
{
	return page_to_phys(maps[kind]);
}
