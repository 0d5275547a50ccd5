// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: why an entry failed. The CPU says "invalid guest state" and no more, so
 * the checks of SDM Vol. 3 27.3.1 are made once again here, in their order.
 */
#include <linux/slab.h>
#include <asm/processor-flags.h>
#include "cpuid.h"
#include "vmx.h"

#define TYPE(attr)	((attr) & UMBRA_SEG_TYPE)
#define DPL(attr)	(((attr) & UMBRA_SEG_DPL) >> UMBRA_SEG_DPL_SHIFT)
#define RPL(selector)	((selector) & 3)
#define SELECTOR_LDT	BIT(2)

/* Access rights of code, data and stack in virtual-8086 mode (27.3.1.2). */
#define VM86_ATTR	(UMBRA_SEG_P | 3 << UMBRA_SEG_DPL_SHIFT | UMBRA_SEG_S | 3)

#define BLOCKED_STI	BIT(0)
#define BLOCKED_MOV_SS	BIT(1)
#define BLOCKED_SMI	BIT(2)
#define BLOCKED_NMI	BIT(3)

/* What the checks look at, read once. */
struct state {
	u64 cr0, cr3, cr4, efer, dr7;
	u64 rip, rflags;
	u32 entry, pin, proc, intr_info, interruptibility, activity;
	u64 pending_debug;
	bool ia32e, unrestricted, nested, vm86, list_efer;
	unsigned int maxphyaddr;
	struct umbra_segment seg[UMBRA_NR_SEGS];
};

static const char *const seg_names[UMBRA_NR_SEGS] = {
	[UMBRA_ES] = "ES", [UMBRA_CS] = "CS", [UMBRA_SS] = "SS", [UMBRA_DS] = "DS",
	[UMBRA_FS] = "FS", [UMBRA_GS] = "GS", [UMBRA_LDTR] = "LDTR", [UMBRA_TR] = "TR",
};

static void read_state(struct umbra_vcpu *vcpu, struct state *s)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int i;

	s->cr0 = vmcs_read(GUEST_CR0);
	s->cr3 = vmcs_read(GUEST_CR3);
	s->cr4 = vmcs_read(GUEST_CR4);
	s->list_efer = vmx->lists;
	s->efer = vmx->lists ? vmx->lists->guest.value : vmcs_read(GUEST_IA32_EFER);
	s->dr7 = vmcs_read(GUEST_DR7);
	s->rip = vmcs_read(GUEST_RIP);
	s->rflags = vmcs_read(GUEST_RFLAGS);
	s->entry = vmx->control[VMX_ENTRY];
	s->pin = vmx->control[VMX_PIN];
	s->proc = vmx->control[VMX_PROC];
	s->intr_info = vmcs_read(VM_ENTRY_INTR_INFO_FIELD);
	s->interruptibility = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	s->activity = vmcs_read(GUEST_ACTIVITY_STATE);
	s->pending_debug = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS);
	s->ia32e = s->entry & VM_ENTRY_IA32E_MODE;
	s->unrestricted = vmx->unrestricted;
	s->nested = vmx_nested(vcpu);
	s->vm86 = s->rflags & X86_EFLAGS_VM;
	s->maxphyaddr = boot_cpu_data.x86_phys_bits;
	for (i = 0; i < UMBRA_NR_SEGS; i++) {
		s->seg[i].base = vmcs_read(GUEST_ES_BASE + 2 * i);
		s->seg[i].limit = vmcs_read(GUEST_ES_LIMIT + 2 * i);
		s->seg[i].selector = vmcs_read(GUEST_ES_SELECTOR + 2 * i);
		s->seg[i].attr = vmcs_read(GUEST_ES_AR_BYTES + 2 * i);
	}
}

static bool canonical(const struct state *s, u64 address)
{
	unsigned int shift = s->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(address << shift) >> shift) == address;
}

/* 27.3.1.1 */
static const char *check_registers(const struct state *s)
{
	u64 cr0_must = vmx_caps.cr0_must;

	if (s->unrestricted)
		cr0_must &= ~(u64)(X86_CR0_PE | X86_CR0_PG);
	if ((s->cr0 & cr0_must) != cr0_must)
		return "CR0 lacks a bit that the CPU wants set in VMX operation";
	if (s->cr0 & ~vmx_caps.cr0_may)
		return "CR0 has a bit that must be 0 in VMX operation";
	if (s->cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PE))
		return "CR0.PG is 1 and CR0.PE is 0";
	if ((s->cr4 & vmx_caps.cr4_must) != vmx_caps.cr4_must)
		return "CR4 lacks a bit that the CPU wants set in VMX operation";
	if (s->cr4 & ~vmx_caps.cr4_may)
		return "CR4 has a bit that this CPU does not have";
	if (s->ia32e && !(s->cr0 & X86_CR0_PG))
		return "long mode without CR0.PG";
	if (s->ia32e && !(s->cr4 & X86_CR4_PAE))
		return "long mode without CR4.PAE";
	if (!s->ia32e && s->cr4 & X86_CR4_PCIDE)
		return "CR4.PCIDE outside long mode";
	if (s->cr3 >> s->maxphyaddr)
		return "CR3 has a bit beyond the width of physical addresses";
	if (s->dr7 >> 32)
		return "DR7 bits 63:32 are not 0";
	if (!canonical(s, vmcs_read(GUEST_SYSENTER_ESP)))
		return "IA32_SYSENTER_ESP is not canonical";
	if (!canonical(s, vmcs_read(GUEST_SYSENTER_EIP)))
		return "IA32_SYSENTER_EIP is not canonical";
	if (s->list_efer)
		return NULL;
	if (s->efer & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))
		return "EFER has a reserved bit set";
	if (!!(s->efer & EFER_LMA) != s->ia32e)
		return "EFER.LMA differs from the entry control for long mode";
	if (s->cr0 & X86_CR0_PG && !!(s->efer & EFER_LME) != s->ia32e)
		return "EFER.LME differs from EFER.LMA while paging is on";
	return NULL;
}

static bool usable(const struct umbra_segment *seg)
{
	return !(seg->attr & UMBRA_SEG_UNUSABLE);
}

static const char *check_selectors(const struct state *s, int *which)
{
	const struct umbra_segment *seg = s->seg;

	*which = UMBRA_TR;
	if (seg[UMBRA_TR].selector & SELECTOR_LDT)
		return "selector is in the LDT";
	*which = UMBRA_LDTR;
	if (usable(&seg[UMBRA_LDTR]) && seg[UMBRA_LDTR].selector & SELECTOR_LDT)
		return "selector is in the LDT";
	*which = UMBRA_SS;
	if (!s->vm86 && !s->unrestricted &&
	    RPL(seg[UMBRA_SS].selector) != RPL(seg[UMBRA_CS].selector))
		return "selector has another RPL than that of CS";
	return NULL;
}

static const char *check_bases(const struct state *s, int *which)
{
	static const u8 canonical_ones[] = { UMBRA_TR, UMBRA_FS, UMBRA_GS, UMBRA_LDTR };
	static const u8 low_ones[] = { UMBRA_SS, UMBRA_DS, UMBRA_ES };
	unsigned int i;

	if (s->vm86) {
		for (*which = UMBRA_ES; *which <= UMBRA_GS; ++*which)
			if (s->seg[*which].base != (u64)s->seg[*which].selector << 4)
				return "base is not the selector times 16 in virtual-8086 mode";
	}
	for (i = 0; i < ARRAY_SIZE(canonical_ones); i++) {
		*which = canonical_ones[i];
		if ((*which != UMBRA_LDTR || usable(&s->seg[*which])) &&
		    !canonical(s, s->seg[*which].base))
			return "base is not canonical";
	}
	*which = UMBRA_CS;
	if (s->seg[UMBRA_CS].base >> 32)
		return "base has bits 63:32 set";
	for (i = 0; i < ARRAY_SIZE(low_ones); i++) {
		*which = low_ones[i];
		if (usable(&s->seg[*which]) && s->seg[*which].base >> 32)
			return "base has bits 63:32 set";
	}
	return NULL;
}

static const char *check_vm86(const struct state *s, int *which)
{
	for (*which = UMBRA_ES; *which <= UMBRA_GS; ++*which) {
		if (s->seg[*which].limit != 0xffff)
			return "limit is not 0xffff in virtual-8086 mode";
		if (s->seg[*which].attr != VM86_ATTR)
			return "access rights are not 0xf3 in virtual-8086 mode";
	}
	return NULL;
}

/* Limit and granularity agree, and no reserved bit is set. */
static const char *check_form(const struct umbra_segment *seg)
{
	if (!(seg->attr & UMBRA_SEG_P))
		return "is not present and not marked unusable";
	if (seg->attr & 0xf00 || seg->attr >> 17)
		return "has a reserved bit set in its access rights";
	if ((seg->limit & 0xfff) != 0xfff && seg->attr & UMBRA_SEG_G)
		return "has page granularity, but its limit does not end a page";
	if (seg->limit >> 20 && !(seg->attr & UMBRA_SEG_G))
		return "has byte granularity, but a limit beyond 1 MiB";
	return NULL;
}

static const char *check_cs(const struct state *s)
{
	u32 attr = s->seg[UMBRA_CS].attr;
	unsigned int dpl = DPL(attr), ss_dpl = DPL(s->seg[UMBRA_SS].attr);

	switch (TYPE(attr)) {
	case 3:
		if (!s->unrestricted)
			return "is a data segment";
		if (dpl)
			return "is a data segment of a DPL other than 0";
		break;
	case 9:
	case 11:
		if (dpl != ss_dpl)
			return "has another DPL than SS";
		break;
	case 13:
	case 15:
		if (dpl > ss_dpl)
			return "is conforming and has a higher DPL than SS";
		break;
	default:
		return "is no code segment that has been accessed";
	}
	if (!(attr & UMBRA_SEG_S))
		return "is a system segment";
	if (s->ia32e && attr & UMBRA_SEG_L && attr & UMBRA_SEG_DB)
		return "has L and D both set";
	return check_form(&s->seg[UMBRA_CS]);
}

static const char *check_ss(const struct state *s)
{
	const struct umbra_segment *ss = &s->seg[UMBRA_SS], *cs = &s->seg[UMBRA_CS];

	if (usable(ss) && TYPE(ss->attr) != 3 && TYPE(ss->attr) != 7)
		return "is no writable data segment that has been accessed";
	if (!s->unrestricted && DPL(ss->attr) != RPL(ss->selector))
		return "has a DPL other than its selector's RPL";
	if ((TYPE(cs->attr) == 3 || !(s->cr0 & X86_CR0_PE)) && DPL(ss->attr))
		return "has a DPL other than 0 in real mode";
	if (!usable(ss))
		return NULL;
	if (!(ss->attr & UMBRA_SEG_S))
		return "is a system segment";
	return check_form(ss);
}

static const char *check_data(const struct state *s, const struct umbra_segment *seg)
{
	if (!usable(seg))
		return NULL;
	if (!(seg->attr & 1))
		return "has not been accessed";
	if (seg->attr & 8 && !(seg->attr & 2))
		return "is a code segment that cannot be read";
	if (!(seg->attr & UMBRA_SEG_S))
		return "is a system segment";
	if (!s->unrestricted && TYPE(seg->attr) <= 11 && DPL(seg->attr) < RPL(seg->selector))
		return "has a DPL below its selector's RPL";
	return check_form(seg);
}

static const char *check_task(const struct state *s)
{
	const struct umbra_segment *tr = &s->seg[UMBRA_TR];

	if (!usable(tr))
		return "is unusable";
	if (TYPE(tr->attr) != 11 && (s->ia32e || TYPE(tr->attr) != 3))
		return "is no busy TSS of this mode";
	if (tr->attr & UMBRA_SEG_S)
		return "is no system segment";
	return check_form(tr);
}

static const char *check_ldt(const struct state *s)
{
	const struct umbra_segment *ldt = &s->seg[UMBRA_LDTR];

	if (!usable(ldt))
		return NULL;
	if (TYPE(ldt->attr) != 2)
		return "is no LDT";
	if (ldt->attr & UMBRA_SEG_S)
		return "is no system segment";
	return check_form(ldt);
}

/* 27.3.1.2: what is wrong, and with which segment. */
static const char *check_segments(const struct state *s, int *which)
{
	static const u8 data[] = { UMBRA_DS, UMBRA_ES, UMBRA_FS, UMBRA_GS };
	const char *wrong = check_selectors(s, which) ?: check_bases(s, which);
	unsigned int i;

	if (wrong)
		return wrong;
	if (s->vm86) {
		wrong = check_vm86(s, which);
		if (wrong)
			return wrong;
	} else {
		*which = UMBRA_CS;
		wrong = check_cs(s);
		if (wrong)
			return wrong;
		*which = UMBRA_SS;
		wrong = check_ss(s);
		if (wrong)
			return wrong;
		for (i = 0; i < ARRAY_SIZE(data); i++) {
			*which = data[i];
			wrong = check_data(s, &s->seg[data[i]]);
			if (wrong)
				return wrong;
		}
	}
	*which = UMBRA_TR;
	wrong = check_task(s);
	if (wrong)
		return wrong;
	*which = UMBRA_LDTR;
	return check_ldt(s);
}

/* 27.3.1.3 and 27.3.1.4 */
static const char *check_rip(const struct state *s)
{
	bool external = s->intr_info & INTR_INFO_VALID_MASK &&
			(s->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_EXT_INTR;
	bool code64 = s->ia32e && s->seg[UMBRA_CS].attr & UMBRA_SEG_L;

	if (!canonical(s, vmcs_read(GUEST_GDTR_BASE)))
		return "the base of GDTR is not canonical";
	if (!canonical(s, vmcs_read(GUEST_IDTR_BASE)))
		return "the base of IDTR is not canonical";
	if (!code64 && s->rip >> 32)
		return "RIP has bits 63:32 set outside 64-bit code";
	if (code64 && !canonical(s, s->rip))
		return "RIP is not canonical";
	if (s->rflags & ~(u64)0x3f7fd7 || !(s->rflags & X86_EFLAGS_FIXED))
		return "RFLAGS has a reserved bit set, or bit 1 clear";
	if (s->vm86 && (s->ia32e || !(s->cr0 & X86_CR0_PE)))
		return "RFLAGS.VM is 1 in long mode or in real mode";
	if (external && !(s->rflags & X86_EFLAGS_IF))
		return "an interrupt is to be delivered while RFLAGS.IF is 0";
	return NULL;
}

/* 27.3.1.5 */
static const char *check_other(const struct state *s)
{
	u32 blocked = s->interruptibility, type = s->intr_info & INTR_INFO_INTR_TYPE_MASK;
	bool injected = s->intr_info & INTR_INFO_VALID_MASK;

	if (s->activity > GUEST_ACTIVITY_HLT + 2)
		return "the activity state is none that there is";
	if (blocked & ~(BLOCKED_STI | BLOCKED_MOV_SS | BLOCKED_SMI | BLOCKED_NMI))
		return "the interruptibility state has a reserved bit set";
	if (blocked & BLOCKED_STI && blocked & BLOCKED_MOV_SS)
		return "events are blocked by STI and by MOV SS at once";
	if (blocked & BLOCKED_STI && !(s->rflags & X86_EFLAGS_IF))
		return "events are blocked by STI while RFLAGS.IF is 0";
	if (injected && type == INTR_TYPE_EXT_INTR && blocked & (BLOCKED_STI | BLOCKED_MOV_SS))
		return "an interrupt is to be delivered while it is blocked by STI or MOV SS";
	if (injected && type == INTR_TYPE_NMI_INTR && blocked & BLOCKED_MOV_SS)
		return "an NMI is to be delivered while it is blocked by MOV SS";
	if (injected && type == INTR_TYPE_NMI_INTR && blocked & BLOCKED_NMI)
		return "an NMI is to be delivered while another one is handled";
	if (s->pending_debug & ~(u64)0x1500f)
		return "the pending debug exceptions have a reserved bit set";
	if (blocked & (BLOCKED_STI | BLOCKED_MOV_SS) &&
	    !!(s->rflags & X86_EFLAGS_TF) != !!(s->pending_debug & BIT(14)))
		return "the pending single step disagrees with RFLAGS.TF";
	if (vmcs_read(VMCS_LINK_POINTER) != ~0ULL)
		return "the VMCS link pointer is not all ones";
	return NULL;
}

/* 27.3.1.6 */
static const char *check_pdptes(const struct state *s)
{
	u64 reserved = GENMASK_ULL(63, s->maxphyaddr) | GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1);
	int i;

	if (!s->nested || s->ia32e || !(s->cr0 & X86_CR0_PG) || !(s->cr4 & X86_CR4_PAE))
		return NULL;
	for (i = 0; i < 4; i++) {
		u64 pdpte = vmcs_read(GUEST_PDPTR0 + 2 * i);

		if (pdpte & 1 && pdpte & reserved)
			return "a page-directory pointer has a reserved bit set";
	}
	return NULL;
}

/**
 * vmx_segments_valid() - would the CPU accept the guest's segments at an entry?
 * @vcpu: the vCPU, loaded
 *
 * Return: true if so.
 */
bool vmx_segments_valid(struct umbra_vcpu *vcpu)
{
	struct state s;
	int which;

	read_state(vcpu, &s);
	/* It may not have been written yet. */
	s.vm86 = vcpu->arch.rflags & X86_EFLAGS_VM;
	return !check_segments(&s, &which);
}

static void describe_state(struct umbra_vcpu *vcpu, char *reason)
{
	struct state *s;
	const char *wrong;
	int which;

	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s) {
		strscpy(reason, "invalid guest state", UMBRA_REASON_LEN);
		return;
	}
	read_state(vcpu, s);
	wrong = check_registers(s);
	if (!wrong) {
		wrong = check_segments(s, &which);
		if (wrong) {
			snprintf(reason, UMBRA_REASON_LEN, "%s %s", seg_names[which], wrong);
			goto out;
		}
		wrong = check_rip(s) ?: check_other(s) ?: check_pdptes(s);
	}
	strscpy(reason, wrong ?: "invalid guest state, which every check here lets pass",
		UMBRA_REASON_LEN);
out:
	kfree(s);
}

/* VM-instruction errors that VMLAUNCH and VMRESUME can end with (31.4). */
static const char *instruction_error(u64 error)
{
	switch (error) {
	case 0:
		return "VT-x is off on this CPU, or has no current VMCS";
	case 4:
		return "VMLAUNCH with a VMCS that is not clear";
	case 5:
		return "VMRESUME with a VMCS that was not launched";
	case 6:
		return "VMRESUME after VMXOFF";
	case 7:
		return "the CPU refuses the control fields of the VMCS";
	case 8:
		return "the CPU refuses the host state in the VMCS";
	case 26:
		return "entry while events are blocked by MOV SS";
	default:
		return "a VM-instruction error";
	}
}

/**
 * vmx_describe_failure() - why the CPU refused the last entry
 * @vcpu: the vCPU, loaded
 * @reason: UMBRA_REASON_LEN bytes, zeroed
 */
void vmx_describe_failure(struct umbra_vcpu *vcpu, char *reason)
{
	const struct umbra_vcpu_arch *arch = &vcpu->arch;

	switch (arch->exit_reason) {
	case VMX_ROW_FAILED:
		snprintf(reason, UMBRA_REASON_LEN, "%s (error %llu)",
			 instruction_error(arch->exit_code), arch->exit_code);
		break;
	case VMX_ROW_INVALID:
		switch ((u16)arch->exit_code) {
		case EXIT_REASON_INVALID_STATE:
			describe_state(vcpu, reason);
			break;
		case EXIT_REASON_MSR_LOAD_FAIL:
			strscpy(reason, "loading EFER from the list for entries failed",
				UMBRA_REASON_LEN);
			break;
		default:
			strscpy(reason, "a machine check during the entry", UMBRA_REASON_LEN);
			break;
		}
		break;
	case EXIT_REASON_EPT_MISCONFIG:
		snprintf(reason, UMBRA_REASON_LEN, "an EPT entry for gpa 0x%llx makes no sense",
			 vmcs_read(GUEST_PHYSICAL_ADDRESS));
		break;
	default:
		snprintf(reason, UMBRA_REASON_LEN, "exit reason %u is not one that was asked for",
			 (u16)arch->exit_code);
		break;
	}
}
