// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: what the CPU does of the local APIC by itself (SDM Vol. 3 30).
 *
 * The task priority is in the page of registers, where the guest reads and writes
 * it as CR8, in x2APIC mode by MSR, and in xAPIC mode, with nested paging, in
 * memory: where the guest has the APIC there is a page that stands for the other
 * one. All of a VM's vCPUs see the former, so it is there only while the APICs of
 * all are in xAPIC mode at the usual address, and once it was withdrawn it does not
 * come back. Where the CPU can, it has all of the page and delivers interrupts
 * from it: the guest then takes and ends interrupts without an exit, but for the EOI
 * of those that user space, or the LINT0 pin, has to be told of. Only while the guest
 * runs as it is, though: interrupts in real mode that is virtual-8086 mode are
 * delivered in software.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include <asm/trap_pf.h>
#include "exit.h"
#include "vmx.h"

/* Controls that follow from the mode the APIC is in, and how the guest runs. */
#define MODE_CONTROLS	(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES |		\
			 SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE |		\
			 SECONDARY_EXEC_APIC_REGISTER_VIRT |			\
			 SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)

/* How a guest accesses its APIC (table 28-6). */
#define ACCESS_TYPE(q)	((q) >> 12 & 0xf)
#define ACCESS_WRITE	1
#define ACCESS_FETCH	2

#define APIC_GFN	(UMBRA_APIC_DEFAULT_BASE >> PAGE_SHIFT)

/* What the guests' tables map for their APICs. Nothing is ever read from or written to it. */
static struct page *access_page;

/**
 * vmx_apic_setup() - make the page that stands for APICs
 *
 * Return: 0 or -ENOMEM.
 */
int vmx_apic_setup(void)
{
	if (!vmx_caps.apic_access)
		return 0;
	access_page = umbra_alloc_pages(GFP_KERNEL | __GFP_ZERO, 0);
	return access_page ? 0 : -ENOMEM;
}

/**
 * vmx_apic_teardown() - undo vmx_apic_setup()
 */
void vmx_apic_teardown(void)
{
	if (access_page)
		umbra_free_pages(access_page, 0);
	access_page = NULL;
}

/**
 * vmx_apic_create() - give a vCPU its page of APIC registers, if the CPU uses one
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int vmx_apic_create(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx_caps.tpr_shadow)
		return 0;
	vmx->apic_page = umbra_get_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vmx->apic_page)
		return -ENOMEM;
	umbra_lapic_use_page(vcpu, vmx->apic_page);
	return 0;
}

/**
 * vmx_apic_free() - undo vmx_apic_create(), or what there is of it
 * @vmx: the vCPU's
 */
void vmx_apic_free(struct vmx_vcpu *vmx)
{
	umbra_free_page(vmx->apic_page);
}

static bool is_usual_xapic(struct umbra_vcpu *vcpu)
{
	u64 base = umbra_lapic_get_base(vcpu) & ~(u64)MSR_IA32_APICBASE_BSP;

	return base == (UMBRA_APIC_DEFAULT_BASE | MSR_IA32_APICBASE_ENABLE);
}

static void use_mode(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	enum vmx_msr_map map = VMX_MSRS_NO_APIC;
	u32 old = vmx->control[VMX_PROC2] & MODE_CONTROLS, controls = 0;

	if (umbra_lapic_get_base(vcpu) & X2APIC_ENABLE) {
		if (vmx_caps.virtual_x2apic && vmx->mode == VMX_NATIVE) {
			controls = SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE;
			map = VMX_MSRS_TPR;
		}
	} else if (vmx_caps.apic_access && vmx_nested(vcpu) && is_usual_xapic(vcpu)) {
		controls = SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	}
	if (controls && vmx_caps.interrupt_delivery && vmx->mode == VMX_NATIVE) {
		if (controls == SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
			map = VMX_MSRS_X2APIC;
		controls |= SECONDARY_EXEC_APIC_REGISTER_VIRT |
			    SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
	}
	if (controls == old)
		return;
	vmx_write_control(vmx, VMX_PROC2, (vmx->control[VMX_PROC2] & ~MODE_CONTROLS) | controls);
	vmcs_write(MSR_BITMAP, vmx_msr_bitmap(map));
	/* What the TLB knows of the page was found without it being a special one (30.4.5). */
	if ((old ^ controls) & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)
		vmx->flush = true;
	umbra_lapic_set_delivery(vcpu, controls & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY);
}

/**
 * vmx_init_apic() - write what the VMCS has of the APIC, before its first use
 * @vcpu: the vCPU, its VMCS is the current one; preemption is off
 */
void vmx_init_apic(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned int i;

	vmcs_write(MSR_BITMAP, vmx_msr_bitmap(VMX_MSRS_NO_APIC));
	if (!vmx->apic_page)
		return;
	vmcs_write(VIRTUAL_APIC_PAGE_ADDR, __pa(vmx->apic_page));
	vmcs_write(TPR_THRESHOLD, 0);
	if (access_page)
		vmcs_write(APIC_ACCESS_ADDR, page_to_phys(access_page));
	if (vmx_caps.interrupt_delivery) {
		vmcs_write(GUEST_INTR_STATUS, 0);
		for (i = 0; i < ARRAY_SIZE(vmx->eoi_exits); i++)
			vmcs_write(EOI_EXIT_BITMAP0 + 2 * i, 0);
	}
	use_mode(vcpu);
}

/**
 * vmx_update_apic() - the APIC's mode, or how the guest runs, has changed
 * @vcpu: the vCPU, loaded; it has a page of registers
 */
void vmx_update_apic(struct umbra_vcpu *vcpu)
{
	if (vmx_caps.apic_access && vmx_nested(vcpu) && !is_usual_xapic(vcpu))
		umbra_mmu_withdraw_page(vcpu, APIC_GFN);
	use_mode(vcpu);
}

static void write_threshold(struct vmx_vcpu *vmx, u32 class)
{
	if (vmx->tpr_threshold == class)
		return;
	vmx->tpr_threshold = class;
	vmcs_write(TPR_THRESHOLD, class);
}

/**
 * vmx_update_interrupts() - what the CPU has to know of interrupts for the next entry
 * @vcpu: the vCPU, loaded
 * @requested: vector of the highest priority that is requested, -1: none
 * @serviced: ... in service, if the CPU delivers interrupts
 *
 * If it does not, and the task priority holds the requested one off, there is to
 * be an exit when that is lowered. The threshold must never be higher than the
 * task priority (27.2.1.1).
 */
void vmx_update_interrupts(struct umbra_vcpu *vcpu, int requested, int serviced)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const struct umbra_lapic *lapic = vcpu->arch.lapic;
	unsigned int i;

	if (!lapic->delivers) {
		bool held_off = requested >= 0 && *lapic->tpr >> 4 >= requested >> 4;

		write_threshold(vmx, held_off ? requested >> 4 : 0);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(vmx->eoi_exits); i++) {
		u64 exits = READ_ONCE(lapic->tmr[i]);

		if (exits == vmx->eoi_exits[i])
			continue;
		vmx->eoi_exits[i] = exits;
		vmcs_write(EOI_EXIT_BITMAP0 + 2 * i, exits);
	}
	/* Vector 0 stands for none (25.4.2). */
	vmcs_write(GUEST_INTR_STATUS, max(requested, 0) | max(serviced, 0) << 8);
}

/**
 * vmx_exit_tpr() - the guest has lowered its task priority below the threshold
 * @vcpu: the vCPU, loaded
 *
 * Return: 1.
 */
int vmx_exit_tpr(struct umbra_vcpu *vcpu)
{
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 1;
}

/**
 * vmx_exit_eoi() - the guest has ended an interrupt that somebody has to be told of
 * @vcpu: the vCPU, loaded
 *
 * Return: 1.
 */
int vmx_exit_eoi(struct umbra_vcpu *vcpu)
{
	umbra_lapic_eoi_taken(vcpu->arch.lapic, vmx_qualification(to_vmx(vcpu)));
	return 1;
}

/**
 * vmx_exit_apic_write() - the guest has written a register in the page
 * @vcpu: the vCPU, loaded
 *
 * Return: 1.
 */
int vmx_exit_apic_write(struct umbra_vcpu *vcpu)
{
	u64 q = vmx_qualification(to_vmx(vcpu));

	umbra_lapic_page_written(vcpu, q & APIC_ACCESS_OFFSET & ~0xfU);
	return 1;
}

/**
 * vmx_map_apic() - an EPT violation where the guest has its APIC
 * @vcpu: the vCPU, loaded
 * @gpa: what it has accessed
 * @ret: what the exit handler is to return
 *
 * Return: false if it is not for the CPU to deal with such accesses.
 */
bool vmx_map_apic(struct umbra_vcpu *vcpu, u64 gpa, int *ret)
{
	if (gpa >> PAGE_SHIFT != APIC_GFN || umbra_vcpu_slot(vcpu, APIC_GFN) ||
	    !(to_vmx(vcpu)->control[VMX_PROC2] & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES))
		return false;
	*ret = umbra_mmu_lend_page(vcpu, APIC_GFN, page_to_pfn(access_page));
	return *ret;
}

/**
 * vmx_exit_apic_access() - an access to the APIC that the CPU leaves to us
 * @vcpu: the vCPU, loaded
 *
 * Return: as any exit handler.
 */
int vmx_exit_apic_access(struct umbra_vcpu *vcpu)
{
	u64 q = vmx_qualification(to_vmx(vcpu));
	u32 error = 0;

	if (ACCESS_TYPE(q) == ACCESS_WRITE)
		error = X86_PF_WRITE;
	else if (ACCESS_TYPE(q) == ACCESS_FETCH)
		error = X86_PF_INSTR;
	return umbra_exit_fault(vcpu, UMBRA_APIC_DEFAULT_BASE | (q & APIC_ACCESS_OFFSET), error);
}
