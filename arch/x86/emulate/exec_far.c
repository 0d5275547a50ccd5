// SPDX-License-Identifier: GPL-2.0-only
/*
 * Far branches: JMP, CALL and RET, and what INT and IRET share with them. Gates and
 * tasks are left to the CPU, and so are far returns and interrupts in long mode.
 */
#include "exec.h"

#define SEG_LONG	(UMBRA_EMUL_SEG_L | UMBRA_EMUL_SEG_DB)

static int selector_fault(struct umbra_emul *c, unsigned int vector, u16 selector)
{
	return umbra_emul_fault(c, vector, true, selector & ~UMBRA_SELECTOR_RPL);
}

/**
 * umbra_exec_push_at() - push without moving the stack pointer
 * @c:		the context
 * @sp:		the stack pointer, which moves here
 * @size:	bytes
 * @value:	what is pushed
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_push_at(struct umbra_emul *c, u64 *sp, unsigned int size, u64 value)
{
	unsigned int width = umbra_exec_stack_size(c);
	int ret;

	if (!width)
		return UMBRA_EMUL_UNHANDLED;
	ret = umbra_exec_write(c, UMBRA_EMUL_SS, (*sp - size) & umbra_exec_mask(width), size,
			       value);
	if (!ret)
		*sp -= size;
	return ret;
}

/* The opposite of umbra_exec_push_at(). */
int umbra_exec_pop_at(struct umbra_emul *c, u64 *sp, unsigned int size, u64 *value)
{
	unsigned int width = umbra_exec_stack_size(c);
	int ret;

	if (!width)
		return UMBRA_EMUL_UNHANDLED;
	ret = umbra_exec_read(c, UMBRA_EMUL_SS, *sp & umbra_exec_mask(width), size, value);
	if (!ret)
		*sp += size;
	return ret;
}

/* Move the stack pointer to where push_at and pop_at have brought it. */
void umbra_exec_set_sp(struct umbra_emul *c, u64 sp)
{
	umbra_exec_set_reg(c, UMBRA_EMUL_RSP, umbra_exec_stack_size(c), sp);
}

/**
 * umbra_exec_find_code() - find and check the code segment of a far transfer
 * @c:		the context, in protected mode
 * @selector:	of the segment
 * @to:		where it comes from: it decides which privileges are right
 * @t:		the target
 *
 * SDM Vol. 3 5.8.1, 5.8.6 and 6.12; the accessed bit is set.
 *
 * Return: an enum umbra_emul_result; UMBRA_EMUL_UNHANDLED for gates and TSSs.
 */
int umbra_exec_find_code(struct umbra_emul *c, u16 selector, enum umbra_transfer to,
			 struct umbra_descriptor *t)
{
	unsigned int rpl = selector & UMBRA_SELECTOR_RPL, attr, dpl;
	bool conforming, ok;
	int ret;

	if (!(selector & ~UMBRA_SELECTOR_RPL))
		return umbra_exec_gp(c);
	ret = umbra_exec_read_descriptor(c, selector, X86_TRAP_GP, 0, t);
	if (ret)
		return ret;
	attr = t->seg.attr;
	if (!(attr & UMBRA_EMUL_SEG_S) && to == UMBRA_TO_BRANCH)
		return UMBRA_EMUL_UNHANDLED;

	dpl = umbra_exec_dpl(attr);
	conforming = attr & UMBRA_TYPE_CONFORMING;
	switch (to) {
	case UMBRA_TO_BRANCH:
		ok = conforming ? dpl <= c->cpl : rpl <= c->cpl && dpl == c->cpl;
		rpl = c->cpl;
		break;
	case UMBRA_TO_RETURN:
		ok = rpl >= c->cpl && (conforming ? dpl <= rpl : dpl == rpl);
		break;
	default:
		ok = dpl <= c->cpl;
		rpl = conforming ? c->cpl : dpl;
		break;
	}
	if (!ok || !(attr & UMBRA_EMUL_SEG_S) || !(attr & UMBRA_TYPE_CODE) ||
	    ((c->efer & EFER_LMA) && (attr & SEG_LONG) == SEG_LONG))
		return selector_fault(c, X86_TRAP_GP, selector);
	if (!(attr & UMBRA_EMUL_SEG_P))
		return selector_fault(c, X86_TRAP_NP, selector);
	t->seg.selector = (selector & ~UMBRA_SELECTOR_RPL) | rpl;
	return umbra_exec_set_type(c, t, UMBRA_TYPE_ACCESSED);
}

/**
 * umbra_exec_check_target() - is this an address within that code segment?
 * @c:		the context
 * @cs:		the segment
 * @rip:	the offset
 *
 * Return: UMBRA_EMUL_DONE, or UMBRA_EMUL_FAULT with #GP(0).
 */
int umbra_exec_check_target(struct umbra_emul *c, const struct umbra_emul_seg *cs, u64 rip)
{
	if ((c->efer & EFER_LMA) && (cs->attr & UMBRA_EMUL_SEG_L))
		return umbra_exec_is_canonical(c, rip) ? UMBRA_EMUL_DONE : umbra_exec_gp(c);
	return rip <= cs->limit ? UMBRA_EMUL_DONE : umbra_exec_gp(c);
}

/* CS of real and virtual-8086 mode: only selector and base change. */
int umbra_exec_real_code(struct umbra_emul *c, u16 selector, struct umbra_emul_seg *cs)
{
	int ret = c->ops->get_segment(c, UMBRA_EMUL_CS, cs);

	cs->selector = selector;
	cs->base = (u32)selector << 4;
	return ret;
}

static int far_branch(struct umbra_emul *c, u16 selector, u64 rip, bool is_call)
{
	unsigned int size = c->insn.opsize;
	u64 sp = c->gpr[UMBRA_EMUL_RSP];
	struct umbra_emul_seg *old;
	struct umbra_descriptor t;
	int ret;

	if (umbra_exec_is_flat16(c))
		ret = umbra_exec_real_code(c, selector, &t.seg);
	else
		ret = umbra_exec_find_code(c, selector, UMBRA_TO_BRANCH, &t);
	if (ret)
		return ret;
	if (is_call) {
		ret = umbra_exec_segment(c, UMBRA_EMUL_CS, &old);
		if (!ret)
			ret = umbra_exec_push_at(c, &sp, size, old->selector);
		if (!ret)
			ret = umbra_exec_push_at(c, &sp, size, c->next_rip);
		if (ret)
			return ret;
	}
	ret = umbra_exec_check_target(c, &t.seg, rip);
	if (!ret)
		ret = umbra_exec_set_segment(c, UMBRA_EMUL_CS, &t.seg);
	if (ret)
		return ret;
	if (is_call)
		umbra_exec_set_sp(c, sp);
	c->next_rip = rip;
	return UMBRA_EMUL_DONE;
}

/* 9a, ea: CALL and JMP with an immediate pointer */
int umbra_exec_far_imm(struct umbra_emul *c)
{
	return far_branch(c, c->insn.imm2, c->insn.imm, c->insn.opcode == 0x9a);
}

/* ff /3, ff /5: CALL and JMP with a pointer in memory */
int umbra_exec_far_mem(struct umbra_emul *c, bool is_call)
{
	unsigned int size = c->insn.opsize;
	u64 at = umbra_exec_offset(c), rip, selector;
	int ret;

	/*
	 * With REX.W Intel's CPUs read a 64-bit offset. AMD's have no such form and read 32
	 * bits, but who writes REX.W means Intel's.
	 */
	ret = umbra_exec_read(c, c->insn.seg, at, size, &rip);
	at = (at + size) & umbra_exec_mask(c->insn.adsize);
	if (!ret)
		ret = umbra_exec_read(c, c->insn.seg, at, 2, &selector);
	return ret ?: far_branch(c, selector, rip, is_call);
}

/* The stack segment of a less privileged level, from the stack of this one. */
static int find_stack(struct umbra_emul *c, u16 selector, unsigned int cpl,
		      struct umbra_descriptor *t)
{
	unsigned int attr;
	int ret;

	if (!(selector & ~UMBRA_SELECTOR_RPL))
		return umbra_exec_gp(c);
	ret = umbra_exec_read_descriptor(c, selector, X86_TRAP_GP, 0, t);
	if (ret)
		return ret;
	attr = t->seg.attr;
	if ((selector & UMBRA_SELECTOR_RPL) != cpl || umbra_exec_dpl(attr) != cpl ||
	    !(attr & UMBRA_EMUL_SEG_S) || (attr & UMBRA_TYPE_CODE) || !(attr & UMBRA_TYPE_RW))
		return selector_fault(c, X86_TRAP_GP, selector);
	if (!(attr & UMBRA_EMUL_SEG_P))
		return selector_fault(c, X86_TRAP_SS, selector);
	return umbra_exec_set_type(c, t, UMBRA_TYPE_ACCESSED);
}

/* Data segments that the less privileged code may not use become null (SDM Vol. 2B, RET). */
static int hide_segments(struct umbra_emul *c, unsigned int cpl)
{
	static const u8 segs[] = { UMBRA_EMUL_ES, UMBRA_EMUL_DS, UMBRA_EMUL_FS, UMBRA_EMUL_GS };
	static const struct umbra_emul_seg null;
	struct umbra_emul_seg *s;
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(segs); i++) {
		ret = umbra_exec_segment(c, segs[i], &s);
		if (ret)
			return ret;
		if (!(s->attr & UMBRA_EMUL_SEG_P) ||
		    (s->attr & (UMBRA_TYPE_CODE | UMBRA_TYPE_CONFORMING)) ==
		    (UMBRA_TYPE_CODE | UMBRA_TYPE_CONFORMING) || umbra_exec_dpl(s->attr) >= cpl)
			continue;
		ret = umbra_exec_set_segment(c, segs[i], &null);
		if (ret)
			return ret;
	}
	return UMBRA_EMUL_DONE;
}

/**
 * umbra_exec_return() - go to what a far RET or IRET has popped
 * @c:		the context
 * @selector:	code segment
 * @rip:	offset in it
 * @sp:		stack pointer behind all that was popped
 * @release:	bytes to skip on the stack, and on that of a less privileged level
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_return(struct umbra_emul *c, u16 selector, u64 rip, u64 sp, unsigned int release)
{
	unsigned int size = c->insn.opsize, cpl = selector & UMBRA_SELECTOR_RPL;
	struct umbra_descriptor cs, ss;
	u64 new_sp = 0, new_ss = 0;
	int ret;

	if (umbra_exec_is_flat16(c)) {
		cpl = c->cpl;
		ret = umbra_exec_real_code(c, selector, &cs.seg);
	} else {
		if (c->efer & EFER_LMA)
			return UMBRA_EMUL_UNHANDLED;
		ret = umbra_exec_find_code(c, selector, UMBRA_TO_RETURN, &cs);
	}
	sp += release;
	if (!ret && cpl != c->cpl) {
		ret = umbra_exec_pop_at(c, &sp, size, &new_sp);
		if (!ret)
			ret = umbra_exec_pop_at(c, &sp, size, &new_ss);
		if (!ret)
			ret = find_stack(c, new_ss, cpl, &ss);
	}
	if (!ret)
		ret = umbra_exec_check_target(c, &cs.seg, rip);
	if (!ret)
		ret = umbra_exec_set_segment(c, UMBRA_EMUL_CS, &cs.seg);
	if (ret)
		return ret;

	if (cpl != c->cpl) {
		ret = umbra_exec_set_segment(c, UMBRA_EMUL_SS, &ss.seg);
		if (!ret)
			ret = hide_segments(c, cpl);
		if (ret)
			return ret;
		c->cpl = cpl;
		sp = new_sp + release;
		/* The width of the new stack, but all that was popped. */
		if (size == 4)
			c->gpr[UMBRA_EMUL_RSP] = (u32)new_sp;
	}
	umbra_exec_set_sp(c, sp);
	c->next_rip = rip;
	return UMBRA_EMUL_DONE;
}

/* ca, cb: far RET */
int umbra_exec_far_ret(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 sp = c->gpr[UMBRA_EMUL_RSP], rip, selector;
	int ret;

	ret = umbra_exec_pop_at(c, &sp, size, &rip);
	if (!ret)
		ret = umbra_exec_pop_at(c, &sp, size, &selector);
	return ret ?: umbra_exec_return(c, selector, rip, sp,
					c->insn.opcode == 0xca ? (u16)c->insn.imm : 0);
}
