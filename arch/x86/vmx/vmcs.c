// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: the control structure (SDM Vol. 3 25). */
#include <linux/cpumask.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/tlbflush.h>
#include "vmx.h"

/* After RESET (table 10-1). */
#define PAT_RESET	0x0007040600070406ULL

/* PAUSE-loop exiting: so many cycles apart at most, for so many cycles (25.6.13). */
#define PLE_GAP_TICKS		128
#define PLE_WINDOW_TICKS	4096

/* EPTP (25.6.11) */
#define EPTP_WRITE_BACK	6ULL
#define EPTP_LEVELS(n)	((u64)((n) - 1) << 3)
#define EPTP_AD		BIT_ULL(6)

/**
 * vmx_vcpu_create() - allocate a vCPU's control structure
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int vmx_vcpu_create(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx;
	struct page *page;

	vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	if (!vmx)
		return -ENOMEM;
	page = umbra_alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);
	if (!page)
		goto err;
	if (!vmx_caps.load_efer) {
		/* A page, as the CPU wants it aligned. */
		vmx->lists = umbra_get_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!vmx->lists)
			goto err_page;
	}
	vcpu->arch.backend = vmx;
	if (vmx_apic_create(vcpu) || vmx_pml_create(vcpu))
		goto err_lists;
	vmx->vmcs = page_address(page);
	vmx->vmcs_pa = page_to_phys(page);
	*(u32 *)vmx->vmcs = vmx_caps.revision;
	vmx->cpu = -1;
	vmx->vpid = vmx_vpid_alloc();
	vmx->unrestricted = vmx_nested(vcpu) && vmx_caps.unrestricted;
	return 0;

err_lists:
	vmx_apic_free(vmx);
	umbra_free_page(vmx->lists);
err_page:
	umbra_free_pages(page, 0);
err:
	kfree(vmx);
	return -ENOMEM;
}

/**
 * vmx_vcpu_free() - undo vmx_vcpu_create()
 * @vcpu: the vCPU
 */
void vmx_vcpu_free(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_clear(vmx);
	vmx_vpid_free(vmx->vpid);
	vmx_pml_free(vmx);
	vmx_apic_free(vmx);
	umbra_free_page(vmx->lists);
	umbra_free_page(vmx->vmcs);
	kfree(vmx);
}

static void init_controls(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	const u32 *paging = vmx_nested(vcpu) ? vmx_caps.nested : vmx_caps.shadow;
	enum vmx_word w;

	for (w = 0; w < VMX_NR_WORDS; w++) {
		u32 bits = vmx_caps.always[w] | paging[w];

		/*
		 * On a host with one CPU nothing that a vCPU spins for can happen
		 * while it spins: if its loops are not found, every PAUSE exits.
		 */
		if (w == VMX_PROC && num_online_cpus() == 1 &&
		    !(vmx_caps.always[VMX_PROC2] & SECONDARY_EXEC_PAUSE_LOOP_EXITING))
			bits |= vmx_caps.may[w] & CPU_BASED_PAUSE_EXITING;
		if (w == VMX_PROC2) {
			if (!(vmx_caps.always[VMX_PROC] & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
				continue;
			if (vmx->vpid)
				bits |= SECONDARY_EXEC_ENABLE_VPID;
		}
		vmx_write_control(vmx, w, bits | vmx_caps.must[w]);
	}
	if (vmx->vpid)
		vmcs_write(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	if (vmx->control[VMX_PROC2] & SECONDARY_EXEC_ENCLS_EXITING)
		vmcs_write(ENCLS_EXITING_BITMAP, ~0ULL);
	if (vmx->control[VMX_PROC2] & SECONDARY_EXEC_PAUSE_LOOP_EXITING) {
		vmcs_write(PLE_GAP, PLE_GAP_TICKS);
		vmcs_write(PLE_WINDOW, PLE_WINDOW_TICKS);
	}
}

/* What is the same on every CPU; the rest is vmx_vcpu_load()'s. */
static void init_host(void)
{
	vmcs_write(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmcs_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write(HOST_DS_SELECTOR, 0);
	vmcs_write(HOST_ES_SELECTOR, 0);
	vmcs_write(HOST_FS_SELECTOR, 0);
	vmcs_write(HOST_GS_SELECTOR, 0);
	vmcs_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmcs_write(HOST_RIP, (unsigned long)vmx_exit_point);
}

/**
 * vmx_init_vmcs() - write what never changes, before the first use
 * @vcpu: the vCPU, its VMCS is the current one; preemption is off
 *
 * Guest state is left to vmx_vcpu_reset() and those who write registers.
 */
void vmx_init_vmcs(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	init_controls(vcpu);
	init_host();
	vmcs_write(VMCS_LINK_POINTER, ~0ULL);
	vmx_init_apic(vcpu);
	vmx_init_pml(vmx);
	vmx_write_exception_bitmap(vcpu);
	/* Every page fault, whatever its error code. */
	vmcs_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(CR3_TARGET_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	/* The guest reads all of CR0 and CR4 from the shadows, and exits to change them. */
	vmcs_write(CR0_GUEST_HOST_MASK, ~0UL);
	vmcs_write(CR4_GUEST_HOST_MASK, ~0UL);
	/* What vmx_run() takes them to be. */
	vmcs_write(GUEST_RIP, 0);
	vmcs_write(GUEST_RSP, 0);
	vmcs_write(GUEST_RFLAGS, 0);
	vmcs_write(GUEST_CR3, 0);
	vmcs_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_write(GUEST_IA32_DEBUGCTL, 0);
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	if (vmx_caps.longest_turn)
		vmcs_write(VMX_PREEMPTION_TIMER_VALUE, vmx_caps.longest_turn);
	vmx->initialized = true;
}

/**
 * vmx_vcpu_reset() - what is kept in the control structure, after RESET or INIT
 * @vcpu: the vCPU, loaded
 * @init: INIT: MSRs stay as they are
 */
void vmx_vcpu_reset(struct umbra_vcpu *vcpu, bool init)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned int i;

	if (vmx->mode == VMX_VM86)
		vmx_leave_vm86(vcpu);
	vmx_set_control(vmx, VMX_PROC,
			CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_NMI_WINDOW_EXITING, false);
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx->injecting = false;
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	if (init)
		return;
	vmx->pat = PAT_RESET;
	vmx->cstar = 0;
	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		vmx_set_msr(vcpu, vmx_syscall_msrs[i], 0);
	vmx_set_msr(vcpu, MSR_KERNEL_GS_BASE, 0);
	vmcs_write(GUEST_SYSENTER_CS, 0);
	vmcs_write(GUEST_SYSENTER_ESP, 0);
	vmcs_write(GUEST_SYSENTER_EIP, 0);
}

/* EFER as the CPU must have it for a guest's: LME goes with LMA (27.3.1.1). */
static void set_efer(struct vmx_vcpu *vmx, u64 efer, bool force_nx)
{
	u64 value = efer & (EFER_SCE | EFER_NX);

	if (force_nx)
		value |= EFER_NX;
	if (efer & EFER_LMA)
		value |= EFER_LMA | EFER_LME;
	vmx_set_control(vmx, VMX_ENTRY, VM_ENTRY_IA32E_MODE, efer & EFER_LMA);
	if (!vmx->lists) {
		vmcs_write(GUEST_IA32_EFER, value);
		return;
	}
	vmx->lists->guest = (struct vmx_msr_entry) { .index = MSR_EFER, .value = value };
}

/* What every guest's CR0 and CR4 have while it runs, and what they cannot have. */
static u64 real_cr0(u64 cr0, bool unrestricted)
{
	u64 must = vmx_caps.cr0_must;

	if (unrestricted)
		must &= ~(u64)(X86_CR0_PE | X86_CR0_PG);
	/* Its cache control is not the host's. */
	return ((cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) | must) & vmx_caps.cr0_may;
}

static u64 real_cr4(u64 cr4)
{
	/* A machine check must reach the host. */
	return cr4 | vmx_caps.cr4_must | (cr4_read_shadow() & X86_CR4_MCE);
}

/*
 * Shadow paging: the CPU always walks our tables. Their format is that of the
 * guest's mode: PAE outside long mode, paging off included. Write protection
 * must hold in supervisor mode, and no-execute is always ours to use.
 */
static void shadow_crs(const struct umbra_vcpu_arch *arch, u64 *cr0, u64 *cr4)
{
	*cr0 = real_cr0(arch->cr0, false) | X86_CR0_PG | X86_CR0_WP;
	*cr4 = real_cr4(arch->cr4) | X86_CR4_PAE;
	*cr4 &= ~(u64)(X86_CR4_PCIDE | X86_CR4_PSE);
	/* Outside long mode CR4.LA57 means nothing to the guest (SDM Vol. 3 4.1.1). */
	if (!(arch->efer & EFER_LMA))
		*cr4 &= ~(u64)X86_CR4_LA57;
}

/*
 * What the CPU needs and the guest has not: without paging of its own it is
 * mapped one to one by PAE tables. In real mode, which is virtual-8086 mode, no
 * alignment is checked and no interrupt redirected.
 */
static void restrict_crs(const struct umbra_vcpu_arch *arch, u64 *cr0, u64 *cr4)
{
	if (!(arch->cr0 & X86_CR0_PG)) {
		*cr4 |= X86_CR4_PAE;
		*cr4 &= ~(u64)(X86_CR4_PSE | X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP |
			       X86_CR4_PKE | X86_CR4_LA57);
	}
	if (!(arch->cr0 & X86_CR0_PE)) {
		*cr0 &= ~(u64)X86_CR0_AM;
		*cr4 &= ~(u64)(X86_CR4_VME | X86_CR4_PVI);
	}
}

/* Nested paging: whose is CR3? */
static void choose_cr3(const struct umbra_vcpu_arch *arch, struct vmx_vcpu *vmx)
{
	vmx->own_cr3 = vmx->unrestricted || arch->cr0 & X86_CR0_PG;
	vmx_set_control(vmx, VMX_PROC, CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING,
			!vmx->own_cr3);
	if (!vmx->own_cr3)
		vmx_load_identity(vmx);
}

/**
 * vmx_update_crs() - CR0, CR4 or EFER of the guest have changed
 * @vcpu: the vCPU, loaded
 */
void vmx_update_crs(struct umbra_vcpu *vcpu)
{
	const struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool nested = vmx_nested(vcpu);
	u64 cr0, cr4;

	if (nested) {
		cr0 = real_cr0(arch->cr0, vmx->unrestricted);
		cr4 = real_cr4(arch->cr4);
		choose_cr3(arch, vmx);
	} else {
		shadow_crs(arch, &cr0, &cr4);
	}
	if (!vmx->unrestricted) {
		restrict_crs(arch, &cr0, &cr4);
		vmx_recheck(vcpu);
	}
	vmcs_write(GUEST_CR0, cr0);
	vmcs_write(GUEST_CR4, cr4);
	vmcs_write(CR0_READ_SHADOW, arch->cr0);
	vmcs_write(CR4_READ_SHADOW, arch->cr4);
	set_efer(vmx, arch->efer, !nested);
}

/**
 * vmx_pass_debug() - let the guest access its debug registers without exits
 * @vcpu: the vCPU, loaded
 * @pass: or intercept every access again
 *
 * DR7 is in the VMCS; the others are the CPU's and are loaded before each entry
 * and read back after each exit as long as they are passed.
 */
void vmx_pass_debug(struct umbra_vcpu *vcpu, bool pass)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->debug_passed = pass;
	vmx_set_control(vmx, VMX_PROC, CPU_BASED_MOV_DR_EXITING, !pass);
}

/**
 * vmx_update_debug() - the guest's debug registers have changed
 * @vcpu: the vCPU, loaded
 */
void vmx_update_debug(struct umbra_vcpu *vcpu)
{
	vmcs_write(GUEST_DR7, vcpu->arch.dr7);
}

/**
 * vmx_set_tsc_offset() - guest TSC = host TSC + offset
 * @vcpu: the vCPU, loaded
 * @offset: the offset in ticks
 */
void vmx_set_tsc_offset(struct umbra_vcpu *vcpu, u64 offset)
{
	vmcs_write(TSC_OFFSET, offset);
}

static unsigned long msr_field(u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
		return GUEST_FS_BASE;
	case MSR_GS_BASE:
		return GUEST_GS_BASE;
	case MSR_IA32_SYSENTER_CS:
		return GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:
		return GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return GUEST_SYSENTER_EIP;
	default:
		return 0;
	}
}

/* An MSR that the guest only gets to by exits, and that nothing in the CPU depends on. */
static u64 *msr_copy(struct vmx_vcpu *vmx, u32 index)
{
	switch (index) {
	case MSR_IA32_CR_PAT:
		return &vmx->pat;
	case MSR_CSTAR:
		return &vmx->cstar;
	default:
		return NULL;
	}
}

static int syscall_msr(u32 index)
{
	unsigned int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		if (vmx_syscall_msrs[i] == index)
			return i;
	return -1;
}

/**
 * vmx_get_msr() - read an MSR that the control structure or the CPU holds
 * @vcpu: the vCPU, loaded
 * @index: which
 * @value: where to put it
 *
 * Return: 0, 1 when it is not there.
 */
int vmx_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long field = msr_field(index);
	const u64 *copy = msr_copy(vmx, index);
	int i = syscall_msr(index);

	if (field) {
		*value = vmcs_read(field);
	} else if (i >= 0) {
		*value = vmx->syscall_msrs[i];
	} else if (copy) {
		*value = *copy;
	} else if (index == MSR_KERNEL_GS_BASE) {
		preempt_disable();
		/* The guest writes this one by itself. */
		if (vmx->switched)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
		*value = vmx->kernel_gs_base;
		preempt_enable();
	} else {
		return 1;
	}
	return 0;
}

/* One that is in the CPU while the vCPU is: @i is its place among the syscall MSRs, or -1. */
static void set_switched_msr(struct vmx_vcpu *vmx, u32 index, int i, u64 value)
{
	preempt_disable();
	if (i >= 0) {
		vmx->syscall_msrs[i] = value;
		__assign_bit(i, &vmx->syscall_differ, value != vmx_host_syscall_msrs[i]);
	} else {
		vmx->kernel_gs_base = value;
	}
	if (vmx->switched)
		wrmsrl(index, value);
	preempt_enable();
}

/**
 * vmx_set_msr() - write an MSR that the control structure or the CPU holds
 * @vcpu: the vCPU, loaded
 * @index: which
 * @value: a value that was checked
 *
 * Return: 0, 1 when it is not there.
 */
int vmx_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long field = msr_field(index);
	u64 *copy = msr_copy(vmx, index);
	int i = syscall_msr(index);

	if (field)
		vmcs_write(field, value);
	else if (i >= 0 || index == MSR_KERNEL_GS_BASE)
		set_switched_msr(vmx, index, i, value);
	else if (copy)
		*copy = value;
	else
		return 1;
	return 0;
}

/**
 * vmx_load_root() - use these tables
 * @vcpu: the vCPU, loaded
 * @root: physical address of the root
 */
void vmx_load_root(struct umbra_vcpu *vcpu, u64 root)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx_nested(vcpu)) {
		root |= EPTP_WRITE_BACK | EPTP_LEVELS(vmx_caps.ept_levels) |
			(vmx_caps.ept_ad ? EPTP_AD : 0);
		vmcs_write(EPT_POINTER, root);
		vmx_pml_update(vcpu);
	} else {
		vmcs_write(GUEST_CR3, root);
	}
	vmx->root = root;
}
