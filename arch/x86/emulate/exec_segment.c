// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segment registers: loading and storing. CS is not loaded here; far branches
 * are not executed.
 */
#include "exec.h"

#define SELECTOR_RPL	3
#define SELECTOR_TI	4

/* Bits of struct umbra_emul_seg.attr, as they are in the descriptor, too */
#define TYPE_ACCESSED	BIT(0)
#define TYPE_RW		BIT(1)
#define TYPE_CONFORMING	BIT(2)
#define TYPE_CODE	BIT(3)

/* A fault that names a selector. */
static int selector_fault(struct umbra_emul *c, unsigned int vector, u16 selector)
{
	return umbra_emul_fault(c, vector, true, selector & ~SELECTOR_RPL);
}

static int store(struct umbra_emul *c, unsigned int seg, const struct umbra_emul_seg *s)
{
	int ret = c->ops->set_segment(c, seg, s);

	if (!ret)
		c->seg_valid &= ~BIT(seg);
	return ret;
}

/* Real and virtual-8086 mode: the selector is the base; limit and type stay. */
static int load_real(struct umbra_emul *c, unsigned int seg, u16 selector)
{
	struct umbra_emul_seg s;
	int ret;

	ret = c->ops->get_segment(c, seg, &s);
	if (ret)
		return ret;
	s.selector = selector;
	s.base = (u32)selector << 4;
	return store(c, seg, &s);
}

static int load_null(struct umbra_emul *c, unsigned int seg, u16 selector)
{
	struct umbra_emul_seg s = { .selector = selector };

	if (seg == UMBRA_EMUL_SS) {
		/* Only 64-bit code below CPL 3 may, and with its own RPL. */
		if (c->code != UMBRA_CODE_64 || c->cpl == 3 || selector != c->cpl)
			return umbra_exec_gp(c);
		s.attr = c->cpl << UMBRA_EMUL_SEG_DPL_SHIFT;
	}
	return store(c, seg, &s);
}

/* Where the descriptor of @selector lies. */
static int descriptor_address(struct umbra_emul *c, u16 selector, u64 *linear)
{
	unsigned int reg = selector & SELECTOR_TI ? UMBRA_EMUL_LDTR : UMBRA_EMUL_GDTR;
	struct umbra_emul_seg table;
	int ret;

	ret = c->ops->get_segment(c, reg, &table);
	if (ret)
		return ret;
	if ((reg == UMBRA_EMUL_LDTR && !(table.attr & UMBRA_EMUL_SEG_P)) ||
	    (selector | 7u) > table.limit)
		return selector_fault(c, X86_TRAP_GP, selector);
	*linear = table.base + (selector & ~7u);
	if (!(c->efer & EFER_LMA))
		*linear = (u32)*linear;
	return UMBRA_EMUL_DONE;
}

/* May @attr be loaded into @seg? SDM Vol. 2B, MOV; APM Vol. 2, 4.11 and 4.12. */
static int check_descriptor(struct umbra_emul *c, unsigned int seg, u16 selector, u16 attr)
{
	unsigned int dpl = (attr >> UMBRA_EMUL_SEG_DPL_SHIFT) & 3;
	unsigned int rpl = selector & SELECTOR_RPL;
	bool code = attr & TYPE_CODE;

	if (!(attr & UMBRA_EMUL_SEG_S))
		return selector_fault(c, X86_TRAP_GP, selector);
	if (seg == UMBRA_EMUL_SS) {
		if (rpl != c->cpl || dpl != c->cpl || code || !(attr & TYPE_RW))
			return selector_fault(c, X86_TRAP_GP, selector);
		if (!(attr & UMBRA_EMUL_SEG_P))
			return selector_fault(c, X86_TRAP_SS, selector);
		return UMBRA_EMUL_DONE;
	}

	if (code && !(attr & TYPE_RW))
		return selector_fault(c, X86_TRAP_GP, selector);
	if (!(code && (attr & TYPE_CONFORMING)) && (rpl > dpl || c->cpl > dpl))
		return selector_fault(c, X86_TRAP_GP, selector);
	if (!(attr & UMBRA_EMUL_SEG_P))
		return selector_fault(c, X86_TRAP_NP, selector);
	return UMBRA_EMUL_DONE;
}

/**
 * umbra_exec_load_segment() - load a segment register other than CS
 * @c:		the context
 * @seg:	which
 * @selector:	with what
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_load_segment(struct umbra_emul *c, unsigned int seg, u16 selector)
{
	struct umbra_emul_seg s = { .selector = selector };
	u64 linear = 0, old, new;
	int ret;

	if (umbra_exec_is_real(c) || umbra_exec_is_vm86(c))
		return load_real(c, seg, selector);
	if (!(selector & ~SELECTOR_RPL))
		return load_null(c, seg, selector);

	ret = descriptor_address(c, selector, &linear);
	if (!ret)
		ret = umbra_exec_mem_read(c, linear, &old, 8, UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;

	s.attr = (old >> 40) & 0xf0ff;
	ret = check_descriptor(c, seg, selector, s.attr);
	if (ret)
		return ret;

	if (!(s.attr & TYPE_ACCESSED)) {
		new = old | BIT_ULL(40);
		ret = c->ops->compare_exchange(c, linear, &old, &new, 8, UMBRA_EMUL_SYSTEM);
		if (ret)
			return ret;
		s.attr |= TYPE_ACCESSED;
	}

	s.base = ((old >> 16) & 0xffffff) | ((old >> 56) << 24);
	s.limit = (old & 0xffff) | ((old >> 32) & 0xf0000);
	if (s.attr & UMBRA_EMUL_SEG_G)
		s.limit = s.limit << 12 | 0xfff;
	return store(c, seg, &s);
}

/* 8c: MOV r/m, Sreg; a register takes the operand size, memory always 2 bytes. */
int umbra_exec_mov_rm_seg(struct umbra_emul *c)
{
	unsigned int seg = (c->insn.modrm >> 3) & 7;
	struct umbra_emul_seg *s;
	int ret;

	if (seg >= UMBRA_EMUL_NR_SEG)
		return umbra_exec_ud(c);
	ret = umbra_exec_segment(c, seg, &s);
	if (ret)
		return ret;
	return umbra_exec_rm_write(c, c->insn.flags & UMBRA_INSN_MEM ? 2 : c->insn.opsize,
				   s->selector);
}

/* 8e: MOV Sreg, r/m */
int umbra_exec_mov_seg_rm(struct umbra_emul *c)
{
	unsigned int seg = (c->insn.modrm >> 3) & 7;
	u64 selector;
	int ret;

	if (seg >= UMBRA_EMUL_NR_SEG || seg == UMBRA_EMUL_CS)
		return umbra_exec_ud(c);
	ret = umbra_exec_rm_read(c, 2, &selector);
	if (!ret)
		ret = umbra_exec_load_segment(c, seg, selector);
	if (ret)
		return ret;
	if (seg == UMBRA_EMUL_SS)
		c->events |= UMBRA_EMUL_EV_MOVSS;
	return UMBRA_EMUL_DONE;
}

/* c4, c5, 0f b2, 0f b4, 0f b5: LES, LDS, LSS, LFS, LGS */
int umbra_exec_load_far(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, seg;
	u64 at, offset, selector;
	int ret;

	if (!(c->insn.flags & UMBRA_INSN_MEM))
		return umbra_exec_ud(c);
	switch (c->insn.opcode) {
	case 0xc4:
		seg = UMBRA_EMUL_ES;
		break;
	case 0xc5:
		seg = UMBRA_EMUL_DS;
		break;
	default:
		seg = c->insn.opcode & 7;
		break;
	}
	/* With REX.W Intel's CPUs read a 64-bit offset, AMD's a 32-bit one. */
	if (size == 8)
		return UMBRA_EMUL_UNHANDLED;

	at = umbra_exec_offset(c);
	ret = umbra_exec_read(c, c->insn.seg, at, size, &offset);
	at = (at + size) & umbra_exec_mask(c->insn.adsize);
	if (!ret)
		ret = umbra_exec_read(c, c->insn.seg, at, 2, &selector);
	if (ret)
		return ret;
	ret = umbra_exec_load_segment(c, seg, selector);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, c->insn.reg, size, offset);
	return UMBRA_EMUL_DONE;
}

/* 0f 00: SLDT, STR; LLDT, LTR, VERR and VERW are not done here. */
int umbra_exec_group6(struct umbra_emul *c)
{
	unsigned int ext = (c->insn.modrm >> 3) & 7;
	struct umbra_emul_seg s;
	int ret;

	if (umbra_exec_is_real(c) || umbra_exec_is_vm86(c))
		return umbra_exec_ud(c);
	if (ext > 1)
		return UMBRA_EMUL_UNHANDLED;
	if ((c->cr4 & X86_CR4_UMIP) && c->cpl)
		return umbra_exec_gp(c);
	ret = c->ops->get_segment(c, ext ? UMBRA_EMUL_TR : UMBRA_EMUL_LDTR, &s);
	if (ret)
		return ret;
	return umbra_exec_rm_write(c, c->insn.flags & UMBRA_INSN_MEM ? 2 : c->insn.opsize,
				   s.selector);
}
