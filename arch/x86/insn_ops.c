// SPDX-License-Identifier: GPL-2.0-only
/* What the executor asks of a vCPU: its registers here, the rest from the files beside. */
#include <asm/trapnr.h>
#include "cpuid.h"
#include "insn.h"

/* Where the executor's TR and LDTR are; its other segment registers have the same numbers. */
static int segment_index(unsigned int seg)
{
	switch (seg) {
	case UMBRA_EMUL_TR:
		return UMBRA_TR;
	case UMBRA_EMUL_LDTR:
		return UMBRA_LDTR;
	default:
		return seg;
	}
}

static int emul_get_segment(struct umbra_emul *c, unsigned int seg, struct umbra_emul_seg *s)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);
	struct umbra_segment from;
	struct umbra_table table;

	if (seg == UMBRA_EMUL_GDTR || seg == UMBRA_EMUL_IDTR) {
		umbra_backend->get_table(vcpu, seg == UMBRA_EMUL_IDTR, &table);
		*s = (struct umbra_emul_seg) { .base = table.base, .limit = table.limit };
		return UMBRA_EMUL_DONE;
	}
	umbra_backend->get_segment(vcpu, segment_index(seg), &from);
	s->base = from.base;
	s->limit = from.limit;
	s->selector = from.selector;
	s->attr = from.attr;
	if (from.attr & UMBRA_SEG_UNUSABLE)
		s->attr &= ~UMBRA_EMUL_SEG_P;
	return UMBRA_EMUL_DONE;
}

static int emul_set_segment(struct umbra_emul *c, unsigned int seg, const struct umbra_emul_seg *s)
{
	struct umbra_segment to = {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.attr = s->attr,
	};

	if (seg == UMBRA_EMUL_GDTR || seg == UMBRA_EMUL_IDTR) {
		struct umbra_table table = { .base = s->base, .limit = s->limit };

		umbra_backend->set_table(umbra_insn_vcpu(c), seg == UMBRA_EMUL_IDTR, &table);
		return UMBRA_EMUL_DONE;
	}
	if (!(s->attr & UMBRA_EMUL_SEG_P))
		to.attr |= UMBRA_SEG_UNUSABLE;
	umbra_backend->set_segment(umbra_insn_vcpu(c), segment_index(seg), &to);
	return UMBRA_EMUL_DONE;
}

static int emul_get_cr(struct umbra_emul *c, unsigned int cr, u64 *value)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);

	switch (cr) {
	case 0:
		*value = vcpu->arch.cr0;
		break;
	case 2:
		*value = vcpu->arch.cr2;
		break;
	case 3:
		*value = vcpu->arch.cr3;
		break;
	case 4:
		*value = vcpu->arch.cr4;
		break;
	case 8:
		*value = umbra_lapic_get_cr8(vcpu);
		break;
	default:
		return umbra_emul_fault(c, X86_TRAP_UD, false, 0);
	}
	return UMBRA_EMUL_DONE;
}

static int emul_set_cr(struct umbra_emul *c, unsigned int cr, u64 value)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);

	switch (cr) {
	case 0:
		return umbra_insn_gp_if(c, umbra_set_cr0(vcpu, value));
	case 2:
		vcpu->arch.cr2 = value;
		return UMBRA_EMUL_DONE;
	case 3:
		return umbra_insn_gp_if(c, umbra_set_cr3(vcpu, value));
	case 4:
		return umbra_insn_gp_if(c, umbra_set_cr4(vcpu, value));
	case 8:
		if (value > 15)
			return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
		umbra_lapic_set_cr8(vcpu, value);
		return UMBRA_EMUL_DONE;
	default:
		return umbra_emul_fault(c, X86_TRAP_UD, false, 0);
	}
}

/* The exception is queued already by umbra_get_dr() and umbra_set_dr(). */
static int take_queued(struct umbra_emul *c, int raised)
{
	if (!raised)
		return UMBRA_EMUL_DONE;
	umbra_insn_vcpu(c)->arch.emul_queued = true;
	return UMBRA_EMUL_FAULT;
}

static int emul_get_dr(struct umbra_emul *c, unsigned int dr, u64 *value)
{
	return take_queued(c, umbra_get_dr(umbra_insn_vcpu(c), dr, value));
}

static int emul_set_dr(struct umbra_emul *c, unsigned int dr, u64 value)
{
	return take_queued(c, umbra_set_dr(umbra_insn_vcpu(c), dr, value));
}

static int emul_get_xcr(struct umbra_emul *c, u32 xcr, u64 *value)
{
	*value = umbra_insn_vcpu(c)->arch.xcr0;
	return umbra_insn_gp_if(c, xcr != 0);
}

static int emul_set_xcr(struct umbra_emul *c, u32 xcr, u64 value)
{
	return umbra_insn_gp_if(c, xcr || umbra_set_xcr0(umbra_insn_vcpu(c), value));
}

static int emul_rdmsr(struct umbra_emul *c, u32 msr, u64 *value)
{
	return umbra_insn_gp_if(c, umbra_get_msr(umbra_insn_vcpu(c), msr, value, false));
}

static int emul_wrmsr(struct umbra_emul *c, u32 msr, u64 value)
{
	return umbra_insn_gp_if(c, umbra_set_msr(umbra_insn_vcpu(c), msr, value, false));
}

static int emul_invlpg(struct umbra_emul *c, u64 linear)
{
	umbra_mmu_invlpg(umbra_insn_vcpu(c), linear);
	return UMBRA_EMUL_DONE;
}

static int emul_cpuid(struct umbra_emul *c, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	umbra_cpuid(umbra_insn_vcpu(c), eax, ebx, ecx, edx);
	return UMBRA_EMUL_DONE;
}

static int emul_halt(struct umbra_emul *c)
{
	WRITE_ONCE(umbra_insn_vcpu(c)->arch.mp_state, UMBRA_MP_HALTED);
	return UMBRA_EMUL_DONE;
}

/* Guests have no uncached memory of their own to make coherent. */
static int emul_wbinvd(struct umbra_emul *c)
{
	return UMBRA_EMUL_DONE;
}

static int emul_get_vec(struct umbra_emul *c, unsigned int reg, void *data, unsigned int len)
{
	return umbra_fpu_get_vec(umbra_insn_vcpu(c), reg, data, len) ? UMBRA_EMUL_DONE :
								 UMBRA_EMUL_UNHANDLED;
}

static int emul_set_vec(struct umbra_emul *c, unsigned int reg, const void *data,
			unsigned int len, bool zero_upper)
{
	return umbra_fpu_set_vec(umbra_insn_vcpu(c), reg, data, len, zero_upper) ?
		UMBRA_EMUL_DONE : UMBRA_EMUL_UNHANDLED;
}

static int emul_get_mmx(struct umbra_emul *c, unsigned int reg, u64 *value)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);

	if (umbra_fpu_pending(vcpu)) {
		/* Without CR0.NE a PC makes an interrupt of it, by wires that are not there. */
		if (!(c->cr0 & X86_CR0_NE))
			return UMBRA_EMUL_UNHANDLED;
		return umbra_emul_fault(c, X86_TRAP_MF, false, 0);
	}
	if (value)
		*value = umbra_fpu_get_mmx(vcpu, reg);
	return UMBRA_EMUL_DONE;
}

static int emul_set_mmx(struct umbra_emul *c, unsigned int reg, u64 value)
{
	umbra_fpu_set_mmx(umbra_insn_vcpu(c), reg, value);
	return UMBRA_EMUL_DONE;
}

/* What was kept for executing the instruction again has been used. */
static int emul_string_commit(struct umbra_emul *c)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);

	vcpu->arch.mmio_reads = 0;
	vcpu->arch.mmio_next = 0;
	vcpu->arch.pio_done = 0;
	vcpu->arch.mmio_committed = vcpu->arch.mmio_writes;
	vcpu->arch.pio_committed = vcpu->arch.pio_posted;
	/* A table that is cleared or copied over: once given up, it is the guest's to write. */
	return vcpu->arch.table_written && vcpu->arch.table_given_up ? UMBRA_EMUL_RETRY :
								       UMBRA_EMUL_DONE;
}

const struct umbra_emul_ops umbra_insn_ops = {
	.fetch = umbra_insn_fetch,
	.read = umbra_insn_read,
	.write = umbra_insn_write,
	.compare_exchange = umbra_insn_compare_exchange,
	.get_segment = emul_get_segment,
	.set_segment = emul_set_segment,
	.get_cr = emul_get_cr,
	.set_cr = emul_set_cr,
	.get_dr = emul_get_dr,
	.set_dr = emul_set_dr,
	.get_xcr = emul_get_xcr,
	.set_xcr = emul_set_xcr,
	.rdmsr = emul_rdmsr,
	.wrmsr = emul_wrmsr,
	.invlpg = emul_invlpg,
	.cpuid = emul_cpuid,
	.halt = emul_halt,
	.wbinvd = emul_wbinvd,
	.io_allowed = umbra_insn_io_allowed,
	.pio_in = umbra_insn_pio_in,
	.pio_out = umbra_insn_pio_out,
	.get_vec = emul_get_vec,
	.set_vec = emul_set_vec,
	.get_mmx = emul_get_mmx,
	.set_mmx = emul_set_mmx,
	.string_commit = emul_string_commit,
};
