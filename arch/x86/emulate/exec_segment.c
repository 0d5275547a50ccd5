// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segment registers: loading and storing, and looking at descriptors. CS is loaded by far
 * branches.
 */
#include "exec.h"

/* Where the upper half of a descriptor of 16 bytes would have a type: it must not. */
#define UPPER_TYPE	(0x1fULL << 40)

/* A fault that names a selector. */
static int selector_fault(struct umbra_emul *c, unsigned int vector, u16 selector)
{
	return umbra_emul_fault(c, vector, true, selector & ~UMBRA_SELECTOR_RPL);
}

/* Write a segment register; what was cached of it is forgotten. */
int umbra_exec_set_segment(struct umbra_emul *c, unsigned int seg, const struct umbra_emul_seg *s)
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
	return umbra_exec_set_segment(c, seg, &s);
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
	return umbra_exec_set_segment(c, seg, &s);
}

/**
 * umbra_exec_read_descriptor() - read what a selector refers to
 * @c:		the context
 * @selector:	not null
 * @vector:	the exception when it lies beyond its table
 * @ext:	1: in the error code, say that it is an event that is delivered
 * @d:		the descriptor; of one of 16 bytes only the first half
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_read_descriptor(struct umbra_emul *c, u16 selector, unsigned int vector,
			       unsigned int ext, struct umbra_descriptor *d)
{
	unsigned int reg = selector & UMBRA_SELECTOR_TI ? UMBRA_EMUL_LDTR : UMBRA_EMUL_GDTR;
	struct umbra_emul_seg table;
	int ret;

	ret = c->ops->get_segment(c, reg, &table);
	if (ret)
		return ret;
	if ((reg == UMBRA_EMUL_LDTR && !(table.attr & UMBRA_EMUL_SEG_P)) ||
	    (selector | 7u) > table.limit)
		return umbra_emul_fault(c, vector, true, (selector & ~UMBRA_SELECTOR_RPL) | ext);
	d->linear = table.base + (selector & ~7u);
	if (!(c->efer & EFER_LMA))
		d->linear = (u32)d->linear;
	ret = umbra_exec_mem_read(c, d->linear, &d->raw, 8, UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;

	d->seg.selector = selector;
	d->seg.attr = (d->raw >> 40) & 0xf0ff;
	d->seg.base = ((d->raw >> 16) & 0xffffff) | ((d->raw >> 56) << 24);
	d->seg.limit = (d->raw & 0xffff) | ((d->raw >> 32) & 0xf0000);
	if (d->seg.attr & UMBRA_EMUL_SEG_G)
		d->seg.limit = d->seg.limit << 12 | 0xfff;
	return UMBRA_EMUL_DONE;
}

/**
 * umbra_exec_set_type() - set bits of the type of a descriptor that was read
 * @c:		the context
 * @d:		the descriptor
 * @bits:	UMBRA_TYPE_ACCESSED of code and data, or that of a busy TSS
 *
 * Return: an enum umbra_emul_result; UMBRA_EMUL_RETRY when it was changed meanwhile.
 */
int umbra_exec_set_type(struct umbra_emul *c, struct umbra_descriptor *d, unsigned int bits)
{
	u64 new = d->raw | (u64)bits << 40;
	int ret;

	if (new == d->raw)
		return UMBRA_EMUL_DONE;
	ret = c->ops->compare_exchange(c, d->linear, &d->raw, &new, 8, UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;
	d->raw = new;
	d->seg.attr |= bits;
	return UMBRA_EMUL_DONE;
}

/* May @attr be loaded into @seg? SDM Vol. 2B, MOV; APM Vol. 2, 4.11 and 4.12. */
static int check_descriptor(struct umbra_emul *c, unsigned int seg, u16 selector, u16 attr)
{
	unsigned int dpl = (attr >> UMBRA_EMUL_SEG_DPL_SHIFT) & 3;
	unsigned int rpl = selector & UMBRA_SELECTOR_RPL;
	bool code = attr & UMBRA_TYPE_CODE;

	if (!(attr & UMBRA_EMUL_SEG_S))
		return selector_fault(c, X86_TRAP_GP, selector);
	if (seg == UMBRA_EMUL_SS) {
		if (rpl != c->cpl || dpl != c->cpl || code || !(attr & UMBRA_TYPE_RW))
			return selector_fault(c, X86_TRAP_GP, selector);
		if (!(attr & UMBRA_EMUL_SEG_P))
			return selector_fault(c, X86_TRAP_SS, selector);
		return UMBRA_EMUL_DONE;
	}

	if (code && !(attr & UMBRA_TYPE_RW))
		return selector_fault(c, X86_TRAP_GP, selector);
	if (!(code && (attr & UMBRA_TYPE_CONFORMING)) && (rpl > dpl || c->cpl > dpl))
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
	struct umbra_descriptor d;
	int ret;

	if (umbra_exec_is_flat16(c))
		return load_real(c, seg, selector);
	if (!(selector & ~UMBRA_SELECTOR_RPL))
		return load_null(c, seg, selector);

	ret = umbra_exec_read_descriptor(c, selector, X86_TRAP_GP, 0, &d);
	if (!ret)
		ret = check_descriptor(c, seg, selector, d.seg.attr);
	if (!ret)
		ret = umbra_exec_set_type(c, &d, UMBRA_TYPE_ACCESSED);
	return ret ?: umbra_exec_set_segment(c, seg, &d.seg);
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

/* In long mode system descriptors have twice the size, for bases of 64 bits. */
static int read_upper_base(struct umbra_emul *c, struct umbra_descriptor *d)
{
	u16 selector = d->seg.selector;
	struct umbra_emul_seg gdtr;
	u64 upper;
	int ret;

	ret = c->ops->get_segment(c, UMBRA_EMUL_GDTR, &gdtr);
	if (ret)
		return ret;
	if ((selector | 7u) + sizeof(upper) > gdtr.limit)
		return selector_fault(c, X86_TRAP_GP, selector);
	ret = umbra_exec_mem_read(c, d->linear + 8, &upper, sizeof(upper), UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;
	d->seg.base |= upper << 32;
	if (upper & UPPER_TYPE || !umbra_exec_is_canonical(c, d->seg.base))
		return selector_fault(c, X86_TRAP_GP, selector);
	return UMBRA_EMUL_DONE;
}

/* LLDT, LTR */
static int load_system(struct umbra_emul *c, bool task)
{
	unsigned int type = task ? UMBRA_TYPE_TSS : UMBRA_TYPE_LDT, either = 0;
	bool is_long = c->efer & EFER_LMA;
	struct umbra_descriptor d = { .seg.attr = 0 };
	u64 selector;
	int ret;

	if (c->cpl)
		return umbra_exec_gp(c);
	/* There are 16-bit and 32-bit TSSs, or those of long mode only. */
	if (task && is_long)
		type |= UMBRA_TYPE_32BIT;
	else if (task)
		either = UMBRA_TYPE_32BIT;
	ret = umbra_exec_rm_read(c, 2, &selector);
	if (ret)
		return ret;
	d.seg.selector = selector;
	if (!(selector & ~(u64)UMBRA_SELECTOR_RPL)) {
		if (task)
			return umbra_exec_gp(c);
		return umbra_exec_set_segment(c, UMBRA_EMUL_LDTR, &d.seg);
	}
	if (selector & UMBRA_SELECTOR_TI)
		return selector_fault(c, X86_TRAP_GP, selector);
	ret = umbra_exec_read_descriptor(c, selector, X86_TRAP_GP, 0, &d);
	if (ret)
		return ret;
	if (d.seg.attr & UMBRA_EMUL_SEG_S ||
	    (d.seg.attr & UMBRA_EMUL_SEG_TYPE & ~either) != type)
		return selector_fault(c, X86_TRAP_GP, selector);
	if (!(d.seg.attr & UMBRA_EMUL_SEG_P))
		return selector_fault(c, X86_TRAP_NP, selector);
	if (is_long) {
		ret = read_upper_base(c, &d);
		if (ret)
			return ret;
	}
	if (task) {
		ret = umbra_exec_set_type(c, &d, UMBRA_TYPE_BUSY);
		if (ret)
			return ret;
	}
	return umbra_exec_set_segment(c, task ? UMBRA_EMUL_TR : UMBRA_EMUL_LDTR, &d.seg);
}

/* System descriptors that LAR and LSL know, a bit for each type (SDM Vol. 2A, LAR, LSL) */
#define LAR_TYPES	0x1a3e
#define LAR_TYPES_LONG	0x1a04
#define LSL_TYPES	0x0a0e
#define LSL_TYPES_LONG	0x0a04

/*
 * The descriptor of a selector that is only asked about. *@found: it is there and within
 * reach, code and data as well as those system descriptors that @system_types names.
 */
static int look_up(struct umbra_emul *c, u16 selector, unsigned int system_types,
		   struct umbra_descriptor *d, bool *found)
{
	unsigned int attr, dpl, code = UMBRA_TYPE_CODE | UMBRA_TYPE_CONFORMING;
	int ret;

	*found = false;
	if (!(selector & ~UMBRA_SELECTOR_RPL))
		return UMBRA_EMUL_DONE;
	ret = umbra_exec_read_descriptor(c, selector, X86_TRAP_GP, 0, d);
	/* Beyond the table is no fault here. */
	if (ret == UMBRA_EMUL_FAULT && c->exc.vector == X86_TRAP_GP)
		return UMBRA_EMUL_DONE;
	if (ret)
		return ret;
	attr = d->seg.attr;
	dpl = umbra_exec_dpl(attr);
	if (!(attr & UMBRA_EMUL_SEG_S) && !(system_types & BIT(attr & UMBRA_EMUL_SEG_TYPE)))
		return UMBRA_EMUL_DONE;
	*found = ((attr & UMBRA_EMUL_SEG_S) && (attr & code) == code) ||
		 (dpl >= c->cpl && dpl >= (selector & UMBRA_SELECTOR_RPL));
	return UMBRA_EMUL_DONE;
}

/* VERR, VERW */
static int verify(struct umbra_emul *c, bool write)
{
	struct umbra_descriptor d;
	bool code, rw, found;
	u64 selector;
	int ret;

	ret = umbra_exec_rm_read(c, 2, &selector);
	if (!ret)
		ret = look_up(c, selector, 0, &d, &found);
	if (ret)
		return ret;
	if (found) {
		code = d.seg.attr & UMBRA_TYPE_CODE;
		rw = d.seg.attr & UMBRA_TYPE_RW;
		found = write ? !code && rw : !code || rw;
	}
	umbra_exec_set_flags(c, X86_EFLAGS_ZF, found ? X86_EFLAGS_ZF : 0);
	return UMBRA_EMUL_DONE;
}

/* 0f 02, 0f 03: LAR, LSL */
int umbra_exec_lar_lsl(struct umbra_emul *c)
{
	bool lsl = c->insn.opcode == 3, found;
	struct umbra_descriptor d;
	unsigned int types;
	u64 selector;
	int ret;

	if (umbra_exec_is_flat16(c))
		return umbra_exec_ud(c);
	if (c->efer & EFER_LMA)
		types = lsl ? LSL_TYPES_LONG : LAR_TYPES_LONG;
	else
		types = lsl ? LSL_TYPES : LAR_TYPES;
	ret = umbra_exec_rm_read(c, 2, &selector);
	if (!ret)
		ret = look_up(c, selector, types, &d, &found);
	if (ret)
		return ret;
	if (found)
		umbra_exec_set_reg(c, c->insn.reg, c->insn.opsize,
				   lsl ? d.seg.limit : (d.raw >> 32) & 0xf0ff00);
	umbra_exec_set_flags(c, X86_EFLAGS_ZF, found ? X86_EFLAGS_ZF : 0);
	return UMBRA_EMUL_DONE;
}

/* 0f 00: SLDT, STR, LLDT, LTR, VERR, VERW */
int umbra_exec_group6(struct umbra_emul *c)
{
	unsigned int ext = (c->insn.modrm >> 3) & 7;
	struct umbra_emul_seg s;
	int ret;

	if (umbra_exec_is_flat16(c) || ext > 5)
		return umbra_exec_ud(c);
	if (ext >= 4)
		return verify(c, ext == 5);
	if (ext >= 2)
		return load_system(c, ext == 3);
	if ((c->cr4 & X86_CR4_UMIP) && c->cpl)
		return umbra_exec_gp(c);
	ret = c->ops->get_segment(c, ext ? UMBRA_EMUL_TR : UMBRA_EMUL_LDTR, &s);
	if (ret)
		return ret;
	return umbra_exec_rm_write(c, c->insn.flags & UMBRA_INSN_MEM ? 2 : c->insn.opsize,
				   s.selector);
}
