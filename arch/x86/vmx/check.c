// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: why an entry failed. The CPU says "invalid guest state" and no more, so
 * the checks of SDM Vol. 3 27.3.1 are made once again here, in their order. All
 * is read from the VMCS, whatever the rest of the module takes it to hold.
 */
#include <linux/slab.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "check.h"
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
#define BLOCKED_ENCLAVE	BIT(4)

/* IA32_DEBUGCTL: what may be set, BTF. */
#define DEBUGCTL_MAY	0xffc7ULL
#define DEBUGCTL_BTF	BIT(1)

/* Pending debug exceptions (25.4.2): what may be set, a single step. */
#define PENDING_MAY	0x1580fULL
#define PENDING_BS	BIT_ULL(14)

/* IA32_VMX_MISC (A.6): activity states 1 to 3. */
#define MISC_ACTIVITY(misc)	((misc) >> 6 & 7)

#define ACTIVITY_SHUTDOWN	2
#define ACTIVITY_WAIT_SIPI	3

/* What the checks look at more than once. */
struct state {
	u64 cr0, cr4, rflags;
	u32 entry, proc2, intr_info;
	bool ia32e, unrestricted, vm86;
	/* Do without the checks that a guest between real and protected mode fails. */
	bool passing;
	struct umbra_segment seg[UMBRA_NR_SEGS];
	struct vmx_check found;
};

static const char *const seg_names[UMBRA_NR_SEGS] = {
	[UMBRA_ES] = "ES", [UMBRA_CS] = "CS", [UMBRA_SS] = "SS", [UMBRA_DS] = "DS",
	[UMBRA_FS] = "FS", [UMBRA_GS] = "GS", [UMBRA_LDTR] = "LDTR", [UMBRA_TR] = "TR",
};

static void read_state(struct state *s)
{
	int i;

	s->cr0 = vmcs_read(GUEST_CR0);
	s->cr4 = vmcs_read(GUEST_CR4);
	s->rflags = vmcs_read(GUEST_RFLAGS);
	s->entry = vmcs_read(VM_ENTRY_CONTROLS);
	s->proc2 = 0;
	if (vmcs_read(CPU_BASED_VM_EXEC_CONTROL) & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
		s->proc2 = vmcs_read(SECONDARY_VM_EXEC_CONTROL);
	s->intr_info = vmcs_read(VM_ENTRY_INTR_INFO_FIELD);
	s->ia32e = s->entry & VM_ENTRY_IA32E_MODE;
	s->unrestricted = s->proc2 & SECONDARY_EXEC_UNRESTRICTED_GUEST;
	s->vm86 = s->rflags & X86_EFLAGS_VM;
	s->passing = false;
	for (i = 0; i < UMBRA_NR_SEGS; i++) {
		s->seg[i].base = vmcs_read(GUEST_ES_BASE + 2 * i);
		s->seg[i].limit = vmcs_read(GUEST_ES_LIMIT + 2 * i);
		s->seg[i].selector = vmcs_read(GUEST_ES_SELECTOR + 2 * i);
		s->seg[i].attr = vmcs_read(GUEST_ES_AR_BYTES + 2 * i);
	}
}

/**
 * vmx_canonical() - is an address one of the CPU's, whether or not it is in use?
 * @address: the address
 *
 * The checks go by how wide addresses can be on this CPU, not by CR4.LA57.
 *
 * Return: true if so.
 */
bool vmx_canonical(u64 address)
{
	unsigned int shift = 64 - (cpuid_eax(0x80000008) >> 8 & 0xff);

	return (u64)((s64)(address << shift) >> shift) == address;
}

/**
 * vmx_beyond_physical() - has a physical address bits that there are not?
 * @address: the address
 *
 * Return: true if so.
 */
bool vmx_beyond_physical(u64 address)
{
	return address >> boot_cpu_data.x86_phys_bits;
}

/**
 * vmx_pat_valid() - are all types in an IA32_PAT memory types?
 * @pat: its value
 *
 * Return: true if so.
 */
bool vmx_pat_valid(u64 pat)
{
	static const u8 types = BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7);

	for (; pat; pat >>= 8)
		if ((pat & 0xff) > 7 || !(types >> (pat & 0xff) & 1))
			return false;
	return true;
}

static bool refuse(struct state *s, const char *subject, u64 value, const char *wrong)
{
	return vmx_refuse(&s->found, subject, value, wrong);
}

/* 27.3.1.1: control registers. */
static bool check_crs(struct state *s)
{
	u64 must = vmx_caps.cr0_must, cr3 = vmcs_read(GUEST_CR3);

	if (s->unrestricted)
		must &= ~(u64)(X86_CR0_PE | X86_CR0_PG);
	if (~s->cr0 & must)
		return refuse(s, "CR0", s->cr0, "lacks a bit that must be set in VMX operation");
	if (s->cr0 & ~vmx_caps.cr0_may)
		return refuse(s, "CR0", s->cr0, "has a bit set that must be 0 in VMX operation");
	if (s->cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PE))
		return refuse(s, "CR0", s->cr0, "has PG without PE");
	if (~s->cr4 & vmx_caps.cr4_must)
		return refuse(s, "CR4", s->cr4, "lacks a bit that must be set in VMX operation");
	if (s->cr4 & ~vmx_caps.cr4_may)
		return refuse(s, "CR4", s->cr4, "has a bit set that the CPU does not have");
	if (s->cr4 & X86_CR4_CET && !(s->cr0 & X86_CR0_WP))
		return refuse(s, "CR4", s->cr4, "has CET without CR0.WP");
	if (s->ia32e && !(s->cr0 & X86_CR0_PG))
		return refuse(s, "CR0", s->cr0, "lacks PG in IA-32e mode");
	if (s->ia32e && !(s->cr4 & X86_CR4_PAE))
		return refuse(s, "CR4", s->cr4, "lacks PAE in IA-32e mode");
	if (!s->ia32e && s->cr4 & X86_CR4_PCIDE)
		return refuse(s, "CR4", s->cr4, "has PCIDE outside IA-32e mode");
	if (vmx_beyond_physical(cr3))
		return refuse(s, "CR3", cr3, "is beyond physical addresses");
	return false;
}

static bool check_efer(struct state *s)
{
	u64 efer;

	if (!(s->entry & VM_ENTRY_LOAD_IA32_EFER))
		return false;
	efer = vmcs_read(GUEST_IA32_EFER);
	if (efer & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))
		return refuse(s, "EFER", efer, "has a reserved bit set");
	if (!!(efer & EFER_LMA) != s->ia32e)
		return refuse(s, "EFER", efer, s->ia32e ?
			      "lacks LMA, and the entry is one to IA-32e mode" :
			      "has LMA, and the entry is none to IA-32e mode");
	if (s->cr0 & X86_CR0_PG && !!(efer & EFER_LME) != s->ia32e)
		return refuse(s, "EFER", efer, "has an LME other than LMA with paging on");
	return false;
}

/* 27.3.1.1 */
static bool check_registers(struct state *s)
{
	static const struct {
		unsigned long field;
		const char *name;
	} addresses[] = {
		{ GUEST_SYSENTER_ESP, "IA32_SYSENTER_ESP" },
		{ GUEST_SYSENTER_EIP, "IA32_SYSENTER_EIP" },
	};
	unsigned int i;
	u64 value;

	s->found.section = "27.3.1.1";
	if (check_crs(s))
		return true;
	if (s->entry & VM_ENTRY_LOAD_DEBUG_CONTROLS) {
		value = vmcs_read(GUEST_IA32_DEBUGCTL);
		if (value & ~DEBUGCTL_MAY)
			return refuse(s, "IA32_DEBUGCTL", value, "has a reserved bit set");
		value = vmcs_read(GUEST_DR7);
		if (value >> 32)
			return refuse(s, "DR7", value, "has bits 63:32 set");
	}
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		value = vmcs_read(addresses[i].field);
		if (!vmx_canonical(value))
			return refuse(s, addresses[i].name, value, "is not canonical");
	}
	if (s->entry & VM_ENTRY_LOAD_IA32_PAT) {
		value = vmcs_read(GUEST_IA32_PAT);
		if (!vmx_pat_valid(value))
			return refuse(s, "IA32_PAT", value, "has a reserved memory type");
	}
	return check_efer(s);
}

static bool usable(const struct umbra_segment *seg)
{
	return !(seg->attr & UMBRA_SEG_UNUSABLE);
}

static bool refuse_selector(struct state *s, int seg, const char *wrong)
{
	return refuse(s, seg_names[seg], s->seg[seg].selector, wrong);
}

static bool refuse_base(struct state *s, int seg, const char *wrong)
{
	return refuse(s, seg_names[seg], s->seg[seg].base, wrong);
}

static bool refuse_limit(struct state *s, int seg, const char *wrong)
{
	return refuse(s, seg_names[seg], s->seg[seg].limit, wrong);
}

static bool refuse_attr(struct state *s, int seg, const char *wrong)
{
	return refuse(s, seg_names[seg], s->seg[seg].attr, wrong);
}

static bool check_selectors(struct state *s)
{
	const struct umbra_segment *seg = s->seg;

	if (seg[UMBRA_TR].selector & SELECTOR_LDT)
		return refuse_selector(s, UMBRA_TR, "has a selector in the LDT");
	if (usable(&seg[UMBRA_LDTR]) && seg[UMBRA_LDTR].selector & SELECTOR_LDT)
		return refuse_selector(s, UMBRA_LDTR, "has a selector in the LDT");
	if (!s->vm86 && !s->unrestricted && !s->passing &&
	    RPL(seg[UMBRA_SS].selector) != RPL(seg[UMBRA_CS].selector))
		return refuse_selector(s, UMBRA_SS, "has a selector of another RPL than CS");
	return false;
}

static bool check_bases(struct state *s)
{
	static const u8 canonical_ones[] = { UMBRA_TR, UMBRA_FS, UMBRA_GS, UMBRA_LDTR };
	static const u8 low_ones[] = { UMBRA_CS, UMBRA_SS, UMBRA_DS, UMBRA_ES };
	unsigned int i;
	int seg;

	if (s->vm86) {
		for (seg = UMBRA_ES; seg <= UMBRA_GS; seg++)
			if (s->seg[seg].base != (u64)s->seg[seg].selector << 4)
				return refuse_base(s, seg,
						   "has a base other than selector * 16 in virtual-8086 mode");
	}
	for (i = 0; i < ARRAY_SIZE(canonical_ones); i++) {
		seg = canonical_ones[i];
		if ((seg != UMBRA_LDTR || usable(&s->seg[seg])) &&
		    !vmx_canonical(s->seg[seg].base))
			return refuse_base(s, seg, "has a base that is not canonical");
	}
	for (i = 0; i < ARRAY_SIZE(low_ones); i++) {
		seg = low_ones[i];
		if ((seg == UMBRA_CS || usable(&s->seg[seg])) && s->seg[seg].base >> 32)
			return refuse_base(s, seg, "has a base with bits 63:32 set");
	}
	return false;
}

static bool check_vm86(struct state *s)
{
	int seg;

	for (seg = UMBRA_ES; seg <= UMBRA_GS; seg++) {
		if (s->seg[seg].limit != 0xffff)
			return refuse_limit(s, seg,
					    "has a limit other than 0xffff in virtual-8086 mode");
		if (s->seg[seg].attr != VM86_ATTR)
			return refuse_attr(s, seg,
					   "has access rights other than 0xf3 in virtual-8086 mode");
	}
	return false;
}

/* Limit and granularity agree, and no reserved bit is set. */
static bool check_form(struct state *s, int seg)
{
	u32 attr = s->seg[seg].attr, limit = s->seg[seg].limit;

	if (!(attr & UMBRA_SEG_P))
		return refuse_attr(s, seg, "is neither present nor marked unusable");
	if (attr & 0xf00 || attr >> 17)
		return refuse_attr(s, seg, "has a reserved bit set in its access rights");
	if ((limit & 0xfff) != 0xfff && attr & UMBRA_SEG_G)
		return refuse_limit(s, seg,
				    "has page granularity, and a limit that does not end a page");
	if (limit >> 20 && !(attr & UMBRA_SEG_G))
		return refuse_limit(s, seg, "has byte granularity, and a limit beyond 1 MiB");
	return false;
}

static bool check_cs(struct state *s)
{
	u32 attr = s->seg[UMBRA_CS].attr;
	unsigned int dpl = DPL(attr), ss_dpl = DPL(s->seg[UMBRA_SS].attr);

	switch (TYPE(attr)) {
	case 3:
		if (!s->unrestricted && !s->passing)
			return refuse_attr(s, UMBRA_CS, "is a data segment");
		if (dpl)
			return refuse_attr(s, UMBRA_CS, "is a data segment of a DPL other than 0");
		break;
	case 9:
	case 11:
		if (dpl != ss_dpl)
			return refuse_attr(s, UMBRA_CS, "has another DPL than SS");
		break;
	case 13:
	case 15:
		if (dpl > ss_dpl)
			return refuse_attr(s, UMBRA_CS, "is conforming, with a DPL above SS");
		break;
	default:
		return refuse_attr(s, UMBRA_CS, "is no code segment that has been accessed");
	}
	if (!(attr & UMBRA_SEG_S))
		return refuse_attr(s, UMBRA_CS, "is a system segment");
	if (s->ia32e && attr & UMBRA_SEG_L && attr & UMBRA_SEG_DB)
		return refuse_attr(s, UMBRA_CS, "is of 64-bit and of 32-bit code at once");
	return check_form(s, UMBRA_CS);
}

static bool check_ss(struct state *s)
{
	const struct umbra_segment *ss = &s->seg[UMBRA_SS], *cs = &s->seg[UMBRA_CS];

	if (usable(ss) && TYPE(ss->attr) != 3 && TYPE(ss->attr) != 7)
		return refuse_attr(s, UMBRA_SS,
				   "is no writable data segment that has been accessed");
	if (!s->unrestricted && !s->passing && DPL(ss->attr) != RPL(ss->selector))
		return refuse_attr(s, UMBRA_SS, "has a DPL other than its selector's RPL");
	if ((TYPE(cs->attr) == 3 || !(s->cr0 & X86_CR0_PE)) && DPL(ss->attr))
		return refuse_attr(s, UMBRA_SS, "has a DPL other than 0 in real mode");
	if (!usable(ss))
		return false;
	if (!(ss->attr & UMBRA_SEG_S))
		return refuse_attr(s, UMBRA_SS, "is a system segment");
	return check_form(s, UMBRA_SS);
}

static bool check_data(struct state *s, int which)
{
	const struct umbra_segment *seg = &s->seg[which];

	if (!usable(seg))
		return false;
	if (!(seg->attr & 1))
		return refuse_attr(s, which, "has not been accessed");
	if (seg->attr & 8 && !(seg->attr & 2))
		return refuse_attr(s, which, "is a code segment that cannot be read");
	if (!(seg->attr & UMBRA_SEG_S))
		return refuse_attr(s, which, "is a system segment");
	if (!s->unrestricted && !s->passing && TYPE(seg->attr) <= 11 &&
	    DPL(seg->attr) < RPL(seg->selector))
		return refuse_attr(s, which, "has a DPL below its selector's RPL");
	return check_form(s, which);
}

static bool check_task(struct state *s)
{
	const struct umbra_segment *tr = &s->seg[UMBRA_TR];

	if (!usable(tr))
		return refuse_attr(s, UMBRA_TR, "is unusable");
	if (TYPE(tr->attr) != 11 && (s->ia32e || TYPE(tr->attr) != 3))
		return refuse_attr(s, UMBRA_TR, "is no busy TSS of this mode");
	if (tr->attr & UMBRA_SEG_S)
		return refuse_attr(s, UMBRA_TR, "is no system segment");
	return check_form(s, UMBRA_TR);
}

static bool check_ldt(struct state *s)
{
	const struct umbra_segment *ldt = &s->seg[UMBRA_LDTR];

	if (!usable(ldt))
		return false;
	if (TYPE(ldt->attr) != 2)
		return refuse_attr(s, UMBRA_LDTR, "is no LDT");
	if (ldt->attr & UMBRA_SEG_S)
		return refuse_attr(s, UMBRA_LDTR, "is no system segment");
	return check_form(s, UMBRA_LDTR);
}

/* 27.3.1.2 */
static bool check_segments(struct state *s)
{
	static const u8 data[] = { UMBRA_DS, UMBRA_ES, UMBRA_FS, UMBRA_GS };
	unsigned int i;

	s->found.section = "27.3.1.2";
	if (check_selectors(s) || check_bases(s))
		return true;
	if (s->vm86) {
		if (check_vm86(s))
			return true;
	} else {
		if (check_cs(s) || check_ss(s))
			return true;
		for (i = 0; i < ARRAY_SIZE(data); i++)
			if (check_data(s, data[i]))
				return true;
	}
	return check_task(s) || check_ldt(s);
}

/* 27.3.1.3 */
static bool check_tables(struct state *s)
{
	static const struct {
		unsigned long base, limit;
		const char *name;
	} tables[] = {
		{ GUEST_GDTR_BASE, GUEST_GDTR_LIMIT, "GDTR" },
		{ GUEST_IDTR_BASE, GUEST_IDTR_LIMIT, "IDTR" },
	};
	unsigned int i;
	u64 value;

	s->found.section = "27.3.1.3";
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		value = vmcs_read(tables[i].base);
		if (!vmx_canonical(value))
			return refuse(s, tables[i].name, value, "has a base that is not canonical");
		value = vmcs_read(tables[i].limit);
		if (value >> 16)
			return refuse(s, tables[i].name, value, "has a limit above 0xffff");
	}
	return false;
}

static bool injects(const struct state *s, u32 type)
{
	return s->intr_info & INTR_INFO_VALID_MASK &&
	       (s->intr_info & INTR_INFO_INTR_TYPE_MASK) == type;
}

/* 27.3.1.4 */
static bool check_rip(struct state *s)
{
	bool code64 = s->ia32e && s->seg[UMBRA_CS].attr & UMBRA_SEG_L;
	u64 rip = vmcs_read(GUEST_RIP);

	s->found.section = "27.3.1.4";
	if (!code64 && rip >> 32)
		return refuse(s, "RIP", rip, "has bits 63:32 set outside 64-bit code");
	if (code64 && !vmx_canonical(rip))
		return refuse(s, "RIP", rip, "is not canonical");
	if (s->rflags & ~(u64)0x3f7fd7)
		return refuse(s, "RFLAGS", s->rflags, "has a reserved bit set");
	if (!(s->rflags & X86_EFLAGS_FIXED))
		return refuse(s, "RFLAGS", s->rflags, "has bit 1 clear");
	if (s->vm86 && (s->ia32e || !(s->cr0 & X86_CR0_PE)))
		return refuse(s, "RFLAGS", s->rflags, "has VM set in IA-32e mode or real mode");
	if (injects(s, INTR_TYPE_EXT_INTR) && !(s->rflags & X86_EFLAGS_IF))
		return refuse(s, "RFLAGS", s->rflags, "has IF clear, and an interrupt is injected");
	return false;
}

static bool activity_takes_event(const struct state *s, u64 activity)
{
	u8 vector = s->intr_info & INTR_INFO_VECTOR_MASK;
	bool machine_check = injects(s, INTR_TYPE_HARD_EXCEPTION) && vector == X86_TRAP_MC;

	if (!(s->intr_info & INTR_INFO_VALID_MASK))
		return true;
	switch (activity) {
	case GUEST_ACTIVITY_ACTIVE:
		return true;
	case GUEST_ACTIVITY_HLT:
		return machine_check || injects(s, INTR_TYPE_EXT_INTR) ||
		       injects(s, INTR_TYPE_NMI_INTR) || injects(s, INTR_TYPE_OTHER_EVENT) ||
		       (injects(s, INTR_TYPE_HARD_EXCEPTION) && vector == X86_TRAP_DB);
	case ACTIVITY_SHUTDOWN:
		return machine_check || injects(s, INTR_TYPE_NMI_INTR);
	default:
		return false;
	}
}

static bool check_activity(struct state *s, u32 blocked)
{
	u64 activity = vmcs_read(GUEST_ACTIVITY_STATE), misc;

	rdmsrl(MSR_IA32_VMX_MISC, misc);
	if (activity > ACTIVITY_WAIT_SIPI ||
	    (activity && !(MISC_ACTIVITY(misc) << 1 & BIT(activity))))
		return refuse(s, "the activity state", activity, "is none that the CPU has");
	if (activity == GUEST_ACTIVITY_HLT && DPL(s->seg[UMBRA_SS].attr))
		return refuse(s, "the activity state", activity, "is HLT, and SS.DPL is not 0");
	if (activity && blocked & (BLOCKED_STI | BLOCKED_MOV_SS))
		return refuse(s, "the activity state", activity,
			      "is not active, and events are blocked by STI or MOV SS");
	if (!activity_takes_event(s, activity))
		return refuse(s, "the activity state", activity,
			      "does not allow for the event that is injected");
	return false;
}

static bool check_blocking(struct state *s, u32 blocked)
{
	static const char name[] = "the interruptibility state";
	u32 shadow = blocked & (BLOCKED_STI | BLOCKED_MOV_SS);

	if (blocked & ~(BLOCKED_STI | BLOCKED_MOV_SS | BLOCKED_SMI | BLOCKED_NMI | BLOCKED_ENCLAVE))
		return refuse(s, name, blocked, "has a reserved bit set");
	if (shadow == (BLOCKED_STI | BLOCKED_MOV_SS))
		return refuse(s, name, blocked, "has blocking by STI and by MOV SS at once");
	if (blocked & BLOCKED_STI && !(s->rflags & X86_EFLAGS_IF))
		return refuse(s, name, blocked, "has blocking by STI, and RFLAGS.IF is 0");
	if (injects(s, INTR_TYPE_EXT_INTR) && shadow)
		return refuse(s, name, blocked,
			      "has blocking by STI or MOV SS, and an interrupt is injected");
	if (injects(s, INTR_TYPE_NMI_INTR) && shadow)
		return refuse(s, name, blocked,
			      "has blocking by STI or MOV SS, and an NMI is injected");
	if (blocked & BLOCKED_SMI)
		return refuse(s, name, blocked, "has blocking by SMI outside SMM");
	if (injects(s, INTR_TYPE_NMI_INTR) && blocked & BLOCKED_NMI &&
	    vmcs_read(PIN_BASED_VM_EXEC_CONTROL) & PIN_BASED_VIRTUAL_NMIS)
		return refuse(s, name, blocked, "has blocking by NMI, and an NMI is injected");
	return false;
}

static bool check_pending_debug(struct state *s, u32 blocked)
{
	static const char name[] = "the pending debug exceptions";
	u64 pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS);
	bool stepped;

	if (pending & ~PENDING_MAY)
		return refuse(s, name, pending, "have a reserved bit set");
	if (!(blocked & (BLOCKED_STI | BLOCKED_MOV_SS)) &&
	    vmcs_read(GUEST_ACTIVITY_STATE) != GUEST_ACTIVITY_HLT)
		return false;
	stepped = s->rflags & X86_EFLAGS_TF && !(vmcs_read(GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);
	if (stepped != !!(pending & PENDING_BS))
		return refuse(s, name, pending, stepped ?
			      "lack a single step, and RFLAGS.TF is 1" :
			      "have a single step, and RFLAGS.TF is 0");
	return false;
}

/* 27.3.1.5 */
static bool check_other(struct state *s)
{
	u32 blocked = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	u64 link = vmcs_read(VMCS_LINK_POINTER);

	s->found.section = "27.3.1.5";
	if (check_activity(s, blocked) || check_blocking(s, blocked) ||
	    check_pending_debug(s, blocked))
		return true;
	/* That of another VMCS is never meant here, even where the CPU would take it. */
	if (link != ~0ULL)
		return refuse(s, "the VMCS link pointer", link, "is not all ones");
	return false;
}

/* 27.3.1.6 */
static bool check_pdptes(struct state *s)
{
	static const char *const names[] = { "PDPTE0", "PDPTE1", "PDPTE2", "PDPTE3" };
	u64 reserved = GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1);
	unsigned int i;

	s->found.section = "27.3.1.6";
	if (!(s->proc2 & SECONDARY_EXEC_ENABLE_EPT) || s->ia32e || !(s->cr0 & X86_CR0_PG) ||
	    !(s->cr4 & X86_CR4_PAE))
		return false;
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		u64 pdpte = vmcs_read(GUEST_PDPTR0 + 2 * i);

		if (pdpte & 1 && (pdpte & reserved || vmx_beyond_physical(pdpte)))
			return refuse(s, names[i], pdpte, "has a reserved bit set");
	}
	return false;
}

/**
 * vmx_segments_settled() - has the guest arrived in protected mode?
 * @vcpu: the vCPU, loaded
 *
 * On its way from real mode it has segments that a CPU without unrestricted guest
 * refuses. What is wrong in any other way does not come from there, and will not
 * become right: it is left to the CPU to refuse it.
 *
 * Return: false if it is on its way.
 */
bool vmx_segments_settled(struct umbra_vcpu *vcpu)
{
	struct state s;

	read_state(&s);
	/* It may not have been written yet. */
	s.vm86 = vcpu->arch.rflags & X86_EFLAGS_VM;
	if (!check_segments(&s))
		return true;
	s.passing = true;
	return check_segments(&s);
}

static void describe(const struct vmx_check *c, char *reason)
{
	snprintf(reason, UMBRA_REASON_LEN, "%s (0x%llx) %s (SDM Vol. 3 %s)", c->subject, c->value,
		 c->wrong, c->section);
}

static void describe_state(char *reason)
{
	struct state *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s) {
		strscpy(reason, "invalid guest state", UMBRA_REASON_LEN);
		return;
	}
	read_state(s);
	/* Last, what the CPU should have refused for another reason. */
	if (check_registers(s) || check_segments(s) || check_tables(s) || check_rip(s) ||
	    check_other(s) || check_pdptes(s) || vmx_check_controls(&s->found))
		describe(&s->found, reason);
	else
		strscpy(reason, "invalid guest state, but all checks of SDM Vol. 3 27.3.1 pass",
			UMBRA_REASON_LEN);
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
		return "invalid control fields, which every check of SDM Vol. 3 27.2.1 lets pass";
	case 8:
		return "invalid host state, which every check of SDM Vol. 3 27.2.2 lets pass";
	case 26:
		return "entry while events are blocked by MOV SS";
	default:
		return "a VM-instruction error";
	}
}

/* The CPU may check control fields and the host's in any order (27.2). */
static void describe_instruction(u64 error, char *reason)
{
	struct vmx_check c = {};

	if ((error == 7 || error == 8) && (vmx_check_controls(&c) || vmx_check_host(&c)))
		describe(&c, reason);
	else
		snprintf(reason, UMBRA_REASON_LEN, "%s (error %llu)", instruction_error(error),
			 error);
}

static void describe_msr(struct umbra_vcpu *vcpu, char *reason)
{
	const struct vmx_msr_lists *lists = to_vmx(vcpu)->lists;

	snprintf(reason, UMBRA_REASON_LEN,
		 "the CPU does not load EFER (0x%llx) from the list for entries (SDM Vol. 3 27.4)",
		 lists ? lists->guest.value : 0);
}

/**
 * vmx_describe_failure() - why the CPU refused the last entry
 * @vcpu: the vCPU, loaded
 * @reason: UMBRA_REASON_LEN bytes, zeroed
 *
 * What was to be injected is chosen anew with the next entry, should there be one.
 */
void vmx_describe_failure(struct umbra_vcpu *vcpu, char *reason)
{
	const struct umbra_vcpu_arch *arch = &vcpu->arch;

	switch (arch->exit_reason) {
	case VMX_ROW_FAILED:
		describe_instruction(arch->exit_code, reason);
		break;
	case VMX_ROW_INVALID:
		switch ((u16)arch->exit_code) {
		case EXIT_REASON_INVALID_STATE:
			describe_state(reason);
			break;
		case EXIT_REASON_MSR_LOAD_FAIL:
			describe_msr(vcpu, reason);
			break;
		default:
			strscpy(reason, "a machine check during the entry", UMBRA_REASON_LEN);
			break;
		}
		break;
	case EXIT_REASON_EPT_MISCONFIG:
		snprintf(reason, UMBRA_REASON_LEN, "an EPT entry for gpa 0x%llx makes no sense",
			 vmcs_read(GUEST_PHYSICAL_ADDRESS));
		return;
	default:
		snprintf(reason, UMBRA_REASON_LEN, "exit reason %u is not one that was asked for",
			 (u16)arch->exit_code);
		return;
	}
	vmx_cancel_injection(vcpu);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}
