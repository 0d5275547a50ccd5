// SPDX-License-Identifier: GPL-2.0-only
/* AMD-V: the control block (APM Vol. 2 15.5, 15.7 to 15.13, 15.25, appendix B). */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include "svm.h"

/* MOV to and from DR0 to DR7: bits 0 to 7 and 16 to 23 of their word. */
#define ALL_DR_ACCESSES	0x00ff00ffU

/* After RESET (7.8.2, table 7-9). */
#define PAT_RESET	0x0007040600070406ULL

/* What no guest may do by itself, whatever its paging. */
static const u16 always_intercepted[] = {
	INTERCEPT_CR0_WRITE, INTERCEPT_CR4_WRITE,
	/* Delivering these can go on for ever, and nothing else would get in. */
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
	/* Intel's hypercall among them. */
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_UD,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD, INTERCEPT_HLT,
	INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT, INTERCEPT_SHUTDOWN,
	INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE,
	INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_WBINVD,
	INTERCEPT_MONITOR, INTERCEPT_MWAIT, INTERCEPT_XSETBV, INTERCEPT_RDPRU,
};

/*
 * With shadow paging also what concerns translation. A task switch would load
 * CR3 from the TSS, a guest-physical address, so it is never let through.
 */
static const u16 shadow_intercepted[] = {
	INTERCEPT_CR3_READ, INTERCEPT_CR3_WRITE, INTERCEPT_INVLPG, INTERCEPT_INVPCID,
	INTERCEPT_TASK_SWITCH, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_PF,
};

static void init_control(struct umbra_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	struct vmcb_control_area *control = &vmcb->control;
	unsigned int i;

	memset(control->intercepts, 0, sizeof(control->intercepts));
	for (i = 0; i < ARRAY_SIZE(always_intercepted); i++)
		svm_intercept(vmcb, always_intercepted[i], true);
	svm_pass_debug(vcpu, false);
	control->iopm_base_pa = svm_io_permissions();
	control->msrpm_base_pa = svm_msr_permissions();
	control->int_ctl = V_INTR_MASKING_MASK;
	if (svm_caps.pause_filter) {
		/* A vCPU that spins this long had better let another one run. */
		control->pause_filter_count = 3000;
		svm_intercept(vmcb, INTERCEPT_PAUSE, true);
	}
	if (svm_nested(vcpu)) {
		control->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	} else {
		for (i = 0; i < ARRAY_SIZE(shadow_intercepted); i++)
			svm_intercept(vmcb, shadow_intercepted[i], true);
	}
	control->clean = 0;
}

/**
 * svm_vcpu_create() - allocate a vCPU's control block
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int svm_vcpu_create(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm;
	struct page *page;

	svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);
	if (!svm)
		return -ENOMEM;
	page = umbra_alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, 0);
	if (!page) {
		kfree(svm);
		return -ENOMEM;
	}
	svm->vmcb = page_address(page);
	svm->vmcb_pa = page_to_phys(page);
	svm->asid_cpu = -1;
	vcpu->arch.backend = svm;
	init_control(vcpu);
	return 0;
}

/**
 * svm_vcpu_free() - undo svm_vcpu_create()
 * @vcpu: the vCPU
 */
void svm_vcpu_free(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm_forget_vmcb(svm->vmcb);
	umbra_free_page(svm->vmcb);
	kfree(svm);
}

/**
 * svm_vcpu_reset() - what is kept in the control block, after RESET or INIT
 * @vcpu: the vCPU, loaded
 * @init: INIT: MSRs stay as they are
 */
void svm_vcpu_reset(struct umbra_vcpu *vcpu, bool init)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	svm_close_interrupt_window(vcpu);
	vmcb->control.event_inj = 0;
	vmcb->control.int_state = 0;
	svm_intercept(vmcb, INTERCEPT_IRET, false);
	svm->nmi_masked = false;
	svm->awaiting_iret = false;
	svm->stepping = false;
	if (init)
		return;
	vmcb->save.g_pat = PAT_RESET;
	vmcb->save.star = 0;
	vmcb->save.lstar = 0;
	vmcb->save.cstar = 0;
	vmcb->save.sfmask = 0;
	vmcb->save.kernel_gs_base = 0;
	vmcb->save.sysenter_cs = 0;
	vmcb->save.sysenter_esp = 0;
	vmcb->save.sysenter_eip = 0;
	vmcb->control.clean = 0;
}

static struct vmcb_seg *segment(struct vmcb *vmcb, int seg)
{
	struct vmcb_save_area *save = &vmcb->save;

	switch (seg) {
	case UMBRA_ES:
		return &save->es;
	case UMBRA_CS:
		return &save->cs;
	case UMBRA_SS:
		return &save->ss;
	case UMBRA_DS:
		return &save->ds;
	case UMBRA_FS:
		return &save->fs;
	case UMBRA_GS:
		return &save->gs;
	case UMBRA_LDTR:
		return &save->ldtr;
	default:
		return &save->tr;
	}
}

/* The VMCB has bits 8 to 15 and 20 to 23 of the descriptor side by side (15.5.1, figure 15-1). */
#define VMCB_SEG_LOW	0x00ffU
#define VMCB_SEG_HIGH	0x0f00U
#define HIGH_SHIFT	4
/* Of the type of a TSS (4.8.3, table 4-6). */
#define SEG_BUSY	2U

/**
 * svm_get_segment() - read a segment register
 * @vcpu: the vCPU, loaded
 * @seg: enum umbra_seg
 * @s: where to put it
 */
void svm_get_segment(struct umbra_vcpu *vcpu, int seg, struct umbra_segment *s)
{
	const struct vmcb_seg *v = segment(to_vmcb(vcpu), seg);

	s->base = v->base;
	s->limit = v->limit;
	s->selector = v->selector;
	s->attr = (v->attrib & VMCB_SEG_LOW) | (v->attrib & VMCB_SEG_HIGH) << HIGH_SHIFT;
	memset(s->reserved, 0, sizeof(s->reserved));
	/*
	 * The limit is in bytes already, but G is only kept with some segments.
	 * The type of the task register is that of a busy TSS always; a null
	 * segment shows as one that is not present.
	 */
	if (s->limit > 0xfffff)
		s->attr |= UMBRA_SEG_G;
	if (seg == UMBRA_TR)
		s->attr |= SEG_BUSY;
	if (!(s->attr & UMBRA_SEG_P))
		s->attr |= UMBRA_SEG_UNUSABLE;
	/* SS.DPL is the CPL to everybody else; here that is a field of its own. */
	if (seg == UMBRA_SS)
		s->attr = (s->attr & ~UMBRA_SEG_DPL) |
			  (u32)to_vmcb(vcpu)->save.cpl << UMBRA_SEG_DPL_SHIFT;
}

/**
 * svm_set_segment() - write a segment register
 * @vcpu: the vCPU, loaded
 * @seg: enum umbra_seg
 * @s: its value
 */
void svm_set_segment(struct umbra_vcpu *vcpu, int seg, const struct umbra_segment *s)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	struct vmcb_seg *v = segment(vmcb, seg);

	v->base = s->base;
	v->limit = s->limit;
	v->selector = s->selector;
	v->attrib = (s->attr & VMCB_SEG_LOW) | (s->attr >> HIGH_SHIFT & VMCB_SEG_HIGH);
	if (s->attr & UMBRA_SEG_UNUSABLE)
		v->attrib &= ~UMBRA_SEG_P;
	if (seg == UMBRA_TR && svm_caps.tss_available)
		v->attrib &= ~SEG_BUSY;
	if (seg == UMBRA_SS)
		vmcb->save.cpl = (s->attr & UMBRA_SEG_DPL) >> UMBRA_SEG_DPL_SHIFT;
	svm_dirty(vmcb, SVM_CLEAN_SEGMENTS);
}

/**
 * svm_get_code() - the code the guest runs
 * @vcpu: the vCPU, loaded
 * @code: where to put it
 *
 * The CPL of the VMCB is right in every mode (15.5.1).
 */
void svm_get_code(struct umbra_vcpu *vcpu, struct umbra_code *code)
{
	const struct umbra_vcpu_arch *arch = &vcpu->arch;
	const struct vmcb_save_area *save = &to_vmcb(vcpu)->save;

	code->cpl = save->cpl;
	code->base = save->cs.base;
	if (!(arch->cr0 & X86_CR0_PE) || arch->rflags & X86_EFLAGS_VM) {
		code->size = UMBRA_CODE_16;
	} else if (arch->efer & EFER_LMA && save->cs.attrib & VMCB_SEG_L) {
		code->size = UMBRA_CODE_64;
		code->base = 0;
	} else {
		code->size = save->cs.attrib & VMCB_SEG_DB ? UMBRA_CODE_32 : UMBRA_CODE_16;
	}
}

/**
 * svm_get_table() - read GDTR or IDTR
 * @vcpu: the vCPU, loaded
 * @idt: IDTR
 * @t: where to put it
 */
void svm_get_table(struct umbra_vcpu *vcpu, bool idt, struct umbra_table *t)
{
	const struct vmcb_seg *v = idt ? &to_vmcb(vcpu)->save.idtr : &to_vmcb(vcpu)->save.gdtr;

	*t = (struct umbra_table) { .base = v->base, .limit = v->limit };
}

/**
 * svm_set_table() - write GDTR or IDTR
 * @vcpu: the vCPU, loaded
 * @idt: IDTR
 * @t: its value
 */
void svm_set_table(struct umbra_vcpu *vcpu, bool idt, const struct umbra_table *t)
{
	struct vmcb_seg *v = idt ? &to_vmcb(vcpu)->save.idtr : &to_vmcb(vcpu)->save.gdtr;

	v->base = t->base;
	v->limit = t->limit;
	svm_dirty(to_vmcb(vcpu), SVM_CLEAN_TABLES);
}

/*
 * Nested paging: the guest's own registers, except that its cache control is
 * not the host's and that a machine check must reach the host.
 */
static void nested_crs(const struct umbra_vcpu_arch *arch, struct vmcb_save_area *save)
{
	save->cr0 = arch->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	save->cr4 = arch->cr4 | (cr4_read_shadow() & X86_CR4_MCE);
	save->efer = arch->efer | EFER_SVME;
	/*
	 * Without paging LME has no effect, and every write of CR0 is seen. With
	 * it, but without CR4.PAE, QEMU's TCG fails to go back to the host's CR0
	 * at an exit: a guest could so end the host.
	 */
	if (!(save->cr0 & X86_CR0_PG))
		save->efer &= ~(u64)EFER_LME;
	save->cr3 = arch->cr3;
}

/*
 * Shadow paging: the CPU always walks our tables. Their format is that of the
 * guest's mode: PAE outside long mode, paging off included, which makes "paged
 * real mode" of real mode (15.5.1). Write protection must hold in supervisor
 * mode, and no-execute is always ours to use.
 */
static void shadow_crs(const struct umbra_vcpu_arch *arch, struct vmcb_save_area *save)
{
	save->cr0 = (arch->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW)) | X86_CR0_PG | X86_CR0_WP;
	save->cr4 = arch->cr4 | X86_CR4_PAE | (cr4_read_shadow() & X86_CR4_MCE);
	save->cr4 &= ~(u64)(X86_CR4_PCIDE | X86_CR4_PSE);
	save->efer = arch->efer | EFER_SVME | EFER_NX;
	if (!(arch->cr0 & X86_CR0_PG)) {
		save->cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
		save->efer &= ~(u64)EFER_LME;
	}
	/* Outside long mode CR4.LA57 means nothing to the guest (SDM Vol. 3 4.1.1). */
	if (!(arch->efer & EFER_LMA))
		save->cr4 &= ~(u64)X86_CR4_LA57;
}

/**
 * svm_update_crs() - CR0, CR4 or EFER of the guest have changed
 * @vcpu: the vCPU, loaded
 *
 * Reads exit only where the guest would see something else than it wrote.
 */
void svm_update_crs(struct umbra_vcpu *vcpu)
{
	const struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmcb *vmcb = to_vmcb(vcpu);
	struct vmcb_save_area *save = &vmcb->save;

	if (svm_nested(vcpu))
		nested_crs(arch, save);
	else
		shadow_crs(arch, save);
	svm_dirty(vmcb, SVM_CLEAN_CR);
	svm_intercept(vmcb, INTERCEPT_CR0_READ, save->cr0 != arch->cr0);
	svm_intercept(vmcb, INTERCEPT_CR4_READ, save->cr4 != arch->cr4);
}

/**
 * svm_pass_debug() - let the guest access its debug registers without exits
 * @vcpu: the vCPU, loaded
 * @pass: or intercept every access again
 *
 * DR6 and DR7 are in the VMCB; DR0 to DR3 are the CPU's and are loaded before
 * each entry and read back after each exit as long as they are passed.
 */
void svm_pass_debug(struct umbra_vcpu *vcpu, bool pass)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u32 *word = &svm->vmcb->control.intercepts[INTERCEPT_DR];

	svm->debug_passed = pass;
	*word = pass ? 0 : ALL_DR_ACCESSES;
	svm_dirty(svm->vmcb, SVM_CLEAN_INTERCEPTS);
}

/**
 * svm_update_debug() - the guest's debug registers have changed
 * @vcpu: the vCPU, loaded
 */
void svm_update_debug(struct umbra_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);

	vmcb->save.dr6 = vcpu->arch.dr6;
	vmcb->save.dr7 = vcpu->arch.dr7;
	svm_dirty(vmcb, SVM_CLEAN_DR);
}

/**
 * svm_set_tsc_offset() - guest TSC = host TSC + offset
 * @vcpu: the vCPU, loaded
 * @offset: the offset in ticks
 */
void svm_set_tsc_offset(struct umbra_vcpu *vcpu, u64 offset)
{
	struct vmcb *vmcb = to_vmcb(vcpu);

	vmcb->control.tsc_offset = offset;
	svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
}

static u64 *msr_field(struct vmcb_save_area *save, u32 index)
{
	switch (index) {
	case MSR_STAR:
		return &save->star;
	case MSR_LSTAR:
		return &save->lstar;
	case MSR_CSTAR:
		return &save->cstar;
	case MSR_SYSCALL_MASK:
		return &save->sfmask;
	case MSR_KERNEL_GS_BASE:
		return &save->kernel_gs_base;
	case MSR_FS_BASE:
		return &save->fs.base;
	case MSR_GS_BASE:
		return &save->gs.base;
	case MSR_IA32_SYSENTER_CS:
		return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:
		return &save->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:
		return &save->sysenter_eip;
	case MSR_IA32_CR_PAT:
		return &save->g_pat;
	default:
		return NULL;
	}
}

/**
 * svm_get_msr() - read an MSR that the control block holds
 * @vcpu: the vCPU, loaded
 * @index: which
 * @value: where to put it
 *
 * Return: 0, 1 when it is not there.
 */
int svm_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value)
{
	const u64 *field = msr_field(&to_vmcb(vcpu)->save, index);

	if (!field)
		return 1;
	*value = *field;
	return 0;
}

/**
 * svm_set_msr() - write an MSR that the control block holds
 * @vcpu: the vCPU, loaded
 * @index: which
 * @value: a value that was checked
 *
 * Return: 0, 1 when it is not there.
 */
int svm_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	u64 *field = msr_field(&vmcb->save, index);

	if (!field)
		return 1;
	*field = value;
	if (index == MSR_IA32_CR_PAT)
		svm_dirty(vmcb, SVM_CLEAN_NESTED);
	return 0;
}

/**
 * svm_load_root() - use these tables
 * @vcpu: the vCPU, loaded
 * @root: physical address of the root, as CR3 or nested CR3 takes it
 */
void svm_load_root(struct umbra_vcpu *vcpu, u64 root)
{
	struct vmcb *vmcb = to_vmcb(vcpu);

	if (svm_nested(vcpu)) {
		vmcb->control.nested_cr3 = root;
		svm_dirty(vmcb, SVM_CLEAN_NESTED);
	} else {
		vmcb->save.cr3 = root;
		svm_dirty(vmcb, SVM_CLEAN_CR);
	}
}
