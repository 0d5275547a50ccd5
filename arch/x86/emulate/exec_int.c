// SPDX-License-Identifier: GPL-2.0-only
/*
 * INT, INT3, INTO and IRET: in real mode, and in protected mode where the privilege level
 * stays or, with IRET, becomes a lesser one.
 */
#include "exec.h"

/* Error codes that name a gate of the IDT (SDM Vol. 3 6.13) */
#define ERROR_IDT	2

/* Gates (SDM Vol. 3 table 3-2); bit 0 tells trap gates, which leave IF alone, from others. */
#define GATE_MASK	(UMBRA_EMUL_SEG_S | UMBRA_EMUL_SEG_TYPE)
#define GATE_TRAP	BIT(0)
#define GATE_16BIT	0x6
#define GATE_32BIT	0xe

#define FLAGS_CLEARED	(X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM)

static int push_frame(struct umbra_emul *c, u64 *sp, unsigned int size)
{
	struct umbra_emul_seg *cs;
	int ret;

	ret = umbra_exec_segment(c, UMBRA_EMUL_CS, &cs);
	if (!ret)
		ret = umbra_exec_push_at(c, sp, size, c->rflags & ~(u64)X86_EFLAGS_RF);
	if (!ret)
		ret = umbra_exec_push_at(c, sp, size, cs->selector);
	return ret ?: umbra_exec_push_at(c, sp, size, c->next_rip);
}

static int enter(struct umbra_emul *c, const struct umbra_emul_seg *cs, u64 rip, u64 sp,
		 u64 cleared)
{
	int ret;

	ret = umbra_exec_check_target(c, cs, rip);
	if (!ret)
		ret = umbra_exec_set_segment(c, UMBRA_EMUL_CS, cs);
	if (ret)
		return ret;
	umbra_exec_set_sp(c, sp);
	c->rflags &= ~cleared;
	c->next_rip = rip;
	/* Its handler is not stepped into. */
	c->events |= UMBRA_EMUL_EV_INT;
	return UMBRA_EMUL_DONE;
}

/* SDM Vol. 3 20.1.4 */
static int interrupt_real(struct umbra_emul *c, u8 vector)
{
	u64 sp = c->gpr[UMBRA_EMUL_RSP];
	struct umbra_emul_seg idt, cs;
	u16 entry[2];
	int ret;

	ret = c->ops->get_segment(c, UMBRA_EMUL_IDTR, &idt);
	if (ret)
		return ret;
	if (vector * 4 + 3u > idt.limit)
		return umbra_exec_gp(c);
	ret = umbra_exec_mem_read(c, (u32)(idt.base + vector * 4), entry, sizeof(entry),
				  UMBRA_EMUL_SYSTEM);
	if (!ret)
		ret = push_frame(c, &sp, 2);
	if (!ret)
		ret = umbra_exec_real_code(c, entry[1], &cs);
	return ret ?: enter(c, &cs, entry[0], sp,
			    X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_AC | X86_EFLAGS_RF);
}

/* SDM Vol. 3 6.12.1 */
static int interrupt_protected(struct umbra_emul *c, u8 vector)
{
	u32 error = vector * 8 | ERROR_IDT;
	u64 sp = c->gpr[UMBRA_EMUL_RSP], gate, rip, cleared = FLAGS_CLEARED;
	struct umbra_descriptor t;
	struct umbra_emul_seg idt;
	unsigned int attr, size;
	int ret;

	ret = c->ops->get_segment(c, UMBRA_EMUL_IDTR, &idt);
	if (ret)
		return ret;
	if (vector * 8 + 7u > idt.limit)
		return umbra_emul_fault(c, X86_TRAP_GP, true, error);
	ret = umbra_exec_mem_read(c, (u32)(idt.base + vector * 8), &gate, sizeof(gate),
				  UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;
	attr = gate >> 40;
	switch (attr & GATE_MASK & ~(unsigned int)GATE_TRAP) {
	case GATE_16BIT:
		size = 2;
		break;
	case GATE_32BIT:
		size = 4;
		break;
	default:
		/* A task gate: the CPU's to do. */
		if ((attr & GATE_MASK) == 5)
			return UMBRA_EMUL_UNHANDLED;
		return umbra_emul_fault(c, X86_TRAP_GP, true, error);
	}
	if (umbra_exec_dpl(attr) < c->cpl)
		return umbra_emul_fault(c, X86_TRAP_GP, true, error);
	if (!(attr & UMBRA_EMUL_SEG_P))
		return umbra_emul_fault(c, X86_TRAP_NP, true, error);

	ret = umbra_exec_find_code(c, gate >> 16, UMBRA_TO_HANDLER, &t);
	if (ret)
		return ret;
	/* Another stack, from the TSS. */
	if ((t.seg.selector & UMBRA_SELECTOR_RPL) != c->cpl)
		return UMBRA_EMUL_UNHANDLED;
	rip = gate & 0xffff;
	if (size == 4)
		rip |= gate >> 48 << 16;
	if (!(attr & GATE_TRAP))
		cleared |= X86_EFLAGS_IF;
	ret = push_frame(c, &sp, size);
	return ret ?: enter(c, &t.seg, rip, sp, cleared);
}

static int interrupt(struct umbra_emul *c, u8 vector)
{
	if (umbra_exec_is_real(c))
		return interrupt_real(c, vector);
	if (umbra_exec_is_vm86(c) || (c->efer & EFER_LMA))
		return UMBRA_EMUL_UNHANDLED;
	return interrupt_protected(c, vector);
}

/* cc, cd, ce: INT3, INT, INTO */
int umbra_exec_int(struct umbra_emul *c)
{
	switch (c->insn.opcode) {
	case 0xcc:
		return interrupt(c, X86_TRAP_BP);
	case 0xcd:
		/* In virtual-8086 mode the monitor's, unless IOPL allows it. */
		if (umbra_exec_is_vm86(c) && umbra_exec_iopl(c) < 3 && !(c->cr4 & X86_CR4_VME))
			return umbra_exec_gp(c);
		return interrupt(c, c->insn.imm);
	default:
		return c->rflags & X86_EFLAGS_OF ? interrupt(c, X86_TRAP_OF) : UMBRA_EMUL_DONE;
	}
}

/* cf: IRET, IRETD. Which flags change: SDM Vol. 2A, IRET. */
int umbra_exec_iret(struct umbra_emul *c)
{
	u64 mask = UMBRA_FLAGS_ARITH | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_NT;
	unsigned int size = c->insn.opsize, i;
	u64 sp = c->gpr[UMBRA_EMUL_RSP], frame[3];
	int ret;

	if (c->efer & EFER_LMA)
		return UMBRA_EMUL_UNHANDLED;
	if (umbra_exec_is_vm86(c)) {
		if (umbra_exec_iopl(c) < 3)
			return c->cr4 & X86_CR4_VME ? UMBRA_EMUL_UNHANDLED : umbra_exec_gp(c);
	} else if (!umbra_exec_is_real(c) && (c->rflags & X86_EFLAGS_NT)) {
		return UMBRA_EMUL_UNHANDLED;
	}
	for (i = 0; i < 3; i++) {
		ret = umbra_exec_pop_at(c, &sp, size, &frame[i]);
		if (ret)
			return ret;
	}
	/* To virtual-8086 mode: the CPU's to do. */
	if (!umbra_exec_is_flat16(c) && !c->cpl && (frame[2] & X86_EFLAGS_VM))
		return UMBRA_EMUL_UNHANDLED;

	if (c->cpl <= umbra_exec_iopl(c))
		mask |= X86_EFLAGS_IF;
	if (!c->cpl)
		mask |= X86_EFLAGS_IOPL;
	if (size == 4) {
		mask |= X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID;
		if (!c->cpl && !umbra_exec_is_real(c))
			mask |= X86_EFLAGS_VIF | X86_EFLAGS_VIP;
	}
	ret = umbra_exec_return(c, frame[1], frame[0], sp, 0);
	if (ret)
		return ret;
	umbra_exec_set_flags(c, mask, frame[2]);
	c->events |= UMBRA_EMUL_EV_IRET;
	return UMBRA_EMUL_DONE;
}

int umbra_emul_deliver_real(struct umbra_emul *c, u8 vector)
{
	int ret;

	c->next_rip = c->rip;
	ret = interrupt_real(c, vector);
	if (!ret)
		c->rip = c->next_rip;
	return ret;
}
