// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's registers and events, whole and exact, for snapshots and loaders; and RESET. */
#include <linux/percpu.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include "cpuid.h"
#include "umbra.h"

#define DR6_INIT	0xffff0ff0ULL
#define DR7_INIT	0x400ULL

static void reset_segments(struct umbra_vcpu *vcpu)
{
	static const struct umbra_table table = { .limit = 0xffff };
	struct umbra_segment s = { .limit = 0xffff };
	int i;

	/* SDM Vol. 3 table 9-1. */
	for (i = UMBRA_ES; i <= UMBRA_GS; i++) {
		s.attr = UMBRA_SEG_P | UMBRA_SEG_S | 3;
		s.selector = 0;
		s.base = 0;
		if (i == UMBRA_CS) {
			s.attr = UMBRA_SEG_P | UMBRA_SEG_S | 11;
			s.selector = 0xf000;
			s.base = 0xffff0000;
		}
		umbra_backend->set_segment(vcpu, i, &s);
	}
	s.selector = 0;
	s.base = 0;
	s.attr = UMBRA_SEG_P | 2;
	umbra_backend->set_segment(vcpu, UMBRA_LDTR, &s);
	s.attr = UMBRA_SEG_P | 11;
	umbra_backend->set_segment(vcpu, UMBRA_TR, &s);
	umbra_backend->set_table(vcpu, false, &table);
	umbra_backend->set_table(vcpu, true, &table);
}

/**
 * umbra_vcpu_reset() - RESET or INIT
 * @vcpu: the vCPU, loaded
 * @init: INIT: cache control, FPU, MSRs and the clock stay (SDM Vol. 3 table 9-1)
 */
void umbra_vcpu_reset(struct umbra_vcpu *vcpu, bool init)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	u32 eax = 1, ebx, ecx = 0, edx;

	memset(arch->gpr, 0, sizeof(arch->gpr));
	umbra_cpuid(vcpu, &eax, &ebx, &ecx, &edx);
	arch->gpr[UMBRA_RDX] = eax;
	arch->rip = 0xfff0;
	arch->rflags = X86_EFLAGS_FIXED;
	arch->cr0 = init ? (arch->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET :
			   X86_CR0_CD | X86_CR0_NW | X86_CR0_ET;
	arch->cr2 = 0;
	arch->cr3 = 0;
	arch->cr4 = 0;
	arch->efer = 0;
	memset(arch->dr, 0, sizeof(arch->dr));
	arch->dr6 = DR6_INIT;
	arch->dr7 = DR7_INIT;
	memset(&arch->exception, 0, sizeof(arch->exception));
	memset(&arch->interrupt, 0, sizeof(arch->interrupt));
	arch->nmi_injected = false;
	clear_bit(UMBRA_NMI_LATCHED, &arch->async);
	umbra_forget_exit(vcpu);
	if (!init)
		arch->xcr0 = XFEATURE_MASK_FP;

	umbra_backend->vcpu_reset(vcpu, init);
	reset_segments(vcpu);
	umbra_backend->set_blocking(vcpu, 0);
	umbra_backend->update_crs(vcpu);
	umbra_backend->update_debug(vcpu);
	umbra_lapic_reset(vcpu, init);
	umbra_msr_reset(vcpu, init);
	if (!init)
		umbra_clock_reset(vcpu);
	umbra_mmu_reset_context(vcpu);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	umbra_request(vcpu, UMBRA_REQ_TLB_FLUSH);
}

static void get_sregs(struct umbra_vcpu *vcpu, struct umbra_sregs *s)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	int i;

	for (i = 0; i < UMBRA_NR_SEGS; i++)
		umbra_backend->get_segment(vcpu, i, &s->seg[i]);
	umbra_backend->get_table(vcpu, false, &s->gdtr);
	umbra_backend->get_table(vcpu, true, &s->idtr);
	s->cr0 = arch->cr0;
	s->cr2 = arch->cr2;
	s->cr3 = arch->cr3;
	s->cr4 = arch->cr4;
	s->cr8 = umbra_lapic_get_cr8(vcpu);
	s->efer = arch->efer;
	s->xcr0 = arch->xcr0;
	s->apic_base = umbra_lapic_get_base(vcpu);
	if (arch->cr0 & X86_CR0_PG && arch->cr4 & X86_CR4_PAE && !(arch->efer & EFER_LMA)) {
		s->flags |= UMBRA_SREGS_PDPTES;
		memcpy(s->pdpte, arch->pdpte, sizeof(s->pdpte));
	}
}

/**
 * umbra_state_get() - UMBRA_GET_STATE
 * @vcpu: the vCPU, loaded
 * @st: groups says what is wanted; the rest is cleared
 *
 * Return: 0, or -EINVAL for unknown groups or flags.
 */
int umbra_state_get(struct umbra_vcpu *vcpu, struct umbra_state *st)
{
	u32 groups = st->groups;

	if (groups & ~UMBRA_STATE_ALL || st->flags)
		return -EINVAL;
	memset(st, 0, sizeof(*st));
	st->groups = groups;
	if (groups & UMBRA_STATE_REGS) {
		memcpy(st->regs.gpr, vcpu->arch.gpr, sizeof(st->regs.gpr));
		st->regs.rip = vcpu->arch.rip;
		st->regs.rflags = vcpu->arch.rflags;
	}
	if (groups & UMBRA_STATE_SREGS)
		get_sregs(vcpu, &st->sregs);
	if (groups & UMBRA_STATE_DEBUG) {
		memcpy(st->debug.dr, vcpu->arch.dr, sizeof(st->debug.dr));
		st->debug.dr6 = vcpu->arch.dr6;
		st->debug.dr7 = vcpu->arch.dr7;
	}
	if (groups & UMBRA_STATE_EVENTS)
		umbra_event_get(vcpu, &st->events);
	return 0;
}

static bool canonical(struct umbra_vcpu *vcpu, u64 value, u64 cr4)
{
	unsigned int shift = cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(value << shift) >> shift) == value;
}

#define SEG_ATTRS	(UMBRA_SEG_TYPE | UMBRA_SEG_S | UMBRA_SEG_DPL | UMBRA_SEG_P |		\
			 UMBRA_SEG_AVL | UMBRA_SEG_L | UMBRA_SEG_DB | UMBRA_SEG_G |		\
			 UMBRA_SEG_UNUSABLE)

static bool segment_ok(struct umbra_vcpu *vcpu, const struct umbra_segment *s, u64 cr4)
{
	return !(s->attr & ~SEG_ATTRS) && !memchr_inv(s->reserved, 0, sizeof(s->reserved)) &&
	       canonical(vcpu, s->base, cr4);
}

/*
 * There always is a task segment (SDM Vol. 3 7.2.4). Its type has bit 0 set and
 * bit 2 clear; whether busy depends on the CPU, which knows it is.
 */
static bool task_ok(const struct umbra_segment *s)
{
	return (s->attr & (UMBRA_SEG_P | UMBRA_SEG_S | UMBRA_SEG_UNUSABLE)) == UMBRA_SEG_P &&
	       (s->attr & 5) == 1;
}

static bool table_ok(struct umbra_vcpu *vcpu, const struct umbra_table *t, u64 cr4)
{
	return !memchr_inv(t->reserved, 0, sizeof(t->reserved)) && canonical(vcpu, t->base, cr4);
}

/* The rules that CR writes obey, for a whole state at once. */
static bool crs_ok(struct umbra_vcpu *vcpu, const struct umbra_sregs *s)
{
	bool pg = s->cr0 & X86_CR0_PG, lma = s->efer & EFER_LMA;

	if (s->cr0 >> 32 || (pg && !(s->cr0 & X86_CR0_PE)) ||
	    (s->cr0 & X86_CR0_NW && !(s->cr0 & X86_CR0_CD)))
		return false;
	if (s->cr4 & ~umbra_cr4_allowed(vcpu))
		return false;
	if (s->efer & ~(umbra_efer_allowed(vcpu) | EFER_LMA))
		return false;
	if (lma != (pg && s->efer & EFER_LME))
		return false;
	if (lma && !(s->cr4 & X86_CR4_PAE))
		return false;
	if (!lma && s->cr4 & X86_CR4_PCIDE)
		return false;
	/* Code that is 64-bit and not at once. */
	if (lma && s->seg[UMBRA_CS].attr & UMBRA_SEG_L && s->seg[UMBRA_CS].attr & UMBRA_SEG_DB)
		return false;
	return !(s->cr3 >> umbra_guest_maxphyaddr(vcpu)) && s->cr8 < 16;
}

static int check_sregs(struct umbra_vcpu *vcpu, const struct umbra_sregs *s)
{
	int i;

	if (s->flags & ~UMBRA_SREGS_PDPTES || s->reserved)
		return -EINVAL;
	for (i = 0; i < UMBRA_NR_SEGS; i++)
		if (!segment_ok(vcpu, &s->seg[i], s->cr4))
			return -EINVAL;
	if (!task_ok(&s->seg[UMBRA_TR]))
		return -EINVAL;
	if (!table_ok(vcpu, &s->gdtr, s->cr4) || !table_ok(vcpu, &s->idtr, s->cr4))
		return -EINVAL;
	if (!crs_ok(vcpu, s))
		return -EINVAL;
	/* The module itself will load it; what a guest got past the CPU is valid, too. */
	if (s->xcr0 != vcpu->arch.xcr0 && !umbra_xcr0_valid(vcpu, s->xcr0))
		return -EINVAL;
	return umbra_lapic_base_valid(vcpu, s->apic_base) ? 0 : -EINVAL;
}

static void set_sregs(struct umbra_vcpu *vcpu, const struct umbra_sregs *s)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	int i;

	arch->cr0 = s->cr0 | X86_CR0_ET;
	arch->cr2 = s->cr2;
	arch->cr3 = s->cr3;
	arch->cr4 = s->cr4;
	arch->efer = s->efer;
	for (i = 0; i < UMBRA_NR_SEGS; i++)
		umbra_backend->set_segment(vcpu, i, &s->seg[i]);
	umbra_backend->set_table(vcpu, false, &s->gdtr);
	umbra_backend->set_table(vcpu, true, &s->idtr);
	/* Also takes the base of the local APIC, whose mode CR8 depends on. */
	umbra_lapic_set_base(vcpu, s->apic_base, true);
	umbra_lapic_set_cr8(vcpu, s->cr8);
	arch->xcr0 = s->xcr0;
	umbra_backend->update_crs(vcpu);
	if (s->flags & UMBRA_SREGS_PDPTES)
		memcpy(arch->pdpte, s->pdpte, sizeof(arch->pdpte));
	else if (arch->cr0 & X86_CR0_PG && arch->cr4 & X86_CR4_PAE && !(arch->efer & EFER_LMA))
		umbra_mmu_load_pdptes(vcpu, arch->cr3);
	umbra_mmu_reset_context(vcpu);
	umbra_mmu_new_cr3(vcpu);
	umbra_mmu_flush_guest(vcpu);
}

#define RFLAGS_DEFINED								\
	(X86_EFLAGS_CF | X86_EFLAGS_FIXED | X86_EFLAGS_PF | X86_EFLAGS_AF |		\
	 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF |		\
	 X86_EFLAGS_DF | X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT |		\
	 X86_EFLAGS_RF | X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF |		\
	 X86_EFLAGS_VIP | X86_EFLAGS_ID)

/**
 * umbra_state_set() - UMBRA_SET_STATE
 * @vcpu: the vCPU, loaded
 * @st: groups says what is there
 *
 * All of it is checked before any of it is taken.
 *
 * Return: 0, or -EINVAL for unknown groups, flags, or values that no sequence
 * of instructions could have brought about.
 */
int umbra_state_set(struct umbra_vcpu *vcpu, const struct umbra_state *st)
{
	int ret;

	if (st->groups & ~UMBRA_STATE_ALL || st->flags)
		return -EINVAL;
	if (st->groups & UMBRA_STATE_REGS && st->regs.rflags & ~(u64)RFLAGS_DEFINED)
		return -EINVAL;
	if (st->groups & UMBRA_STATE_SREGS) {
		ret = check_sregs(vcpu, &st->sregs);
		if (ret)
			return ret;
	}
	if (st->groups & UMBRA_STATE_DEBUG && (st->debug.dr6 >> 32 || st->debug.dr7 >> 32))
		return -EINVAL;
	if (st->groups & UMBRA_STATE_EVENTS) {
		ret = umbra_event_check(&st->events);
		if (ret)
			return ret;
	}

	if (st->groups & UMBRA_STATE_SREGS)
		set_sregs(vcpu, &st->sregs);
	if (st->groups & UMBRA_STATE_REGS) {
		memcpy(vcpu->arch.gpr, st->regs.gpr, sizeof(vcpu->arch.gpr));
		vcpu->arch.rip = st->regs.rip;
		vcpu->arch.rflags = st->regs.rflags | X86_EFLAGS_FIXED;
	}
	if (st->groups & UMBRA_STATE_DEBUG) {
		memcpy(vcpu->arch.dr, st->debug.dr, sizeof(vcpu->arch.dr));
		vcpu->arch.dr6 = st->debug.dr6 | DR6_INIT;
		vcpu->arch.dr7 = st->debug.dr7 | DR7_INIT;
		umbra_backend->update_debug(vcpu);
	}
	if (st->groups & UMBRA_STATE_EVENTS)
		umbra_event_set(vcpu, &st->events);
	/* What user space was asked for belongs to the state that is gone. */
	umbra_forget_exit(vcpu);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 0;
}
