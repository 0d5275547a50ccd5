// SPDX-License-Identifier: GPL-2.0-only
/*
 * PUSH, POP and their relatives.
 */
#include "exec.h"

static unsigned int opcode_reg(const struct umbra_emul *c)
{
	return (c->insn.opcode & 7) | ((c->insn.rex & UMBRA_REX_B) << 3);
}

/* 50..57: PUSH r */
int umbra_exec_push_reg(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;

	return umbra_exec_push(c, size, umbra_exec_reg(c, opcode_reg(c), size));
}

/* 68, 6a: PUSH imm */
int umbra_exec_push_imm(struct umbra_emul *c)
{
	return umbra_exec_push(c, c->insn.opsize, c->insn.imm);
}

/* Segment register of 06, 0e, 16, 1e, 07, 17, 1f and 0f a0, a1, a8, a9 */
static unsigned int opcode_seg(const struct umbra_emul *c)
{
	return (c->insn.opcode >> 3) & 7;
}

/*
 * PUSH of a segment register: the selector is extended with zeroes. (Some CPUs
 * write only its two bytes, SDM Vol. 2B, PUSH.)
 */
int umbra_exec_push_seg(struct umbra_emul *c)
{
	struct umbra_emul_seg *s;
	int ret;

	ret = umbra_exec_segment(c, opcode_seg(c), &s);
	return ret ?: umbra_exec_push(c, c->insn.opsize, s->selector);
}

/* 58..5f: POP r */
int umbra_exec_pop_reg(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 value;
	int ret;

	ret = umbra_exec_pop(c, size, &value);
	if (ret)
		return ret;
	/* POP rSP: what was popped wins. */
	umbra_exec_add_sp(c, size);
	umbra_exec_set_reg(c, opcode_reg(c), size, value);
	return UMBRA_EMUL_DONE;
}

/* 8f /0: POP r/m */
int umbra_exec_pop_rm(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 value, rsp = c->gpr[UMBRA_EMUL_RSP];
	int ret;

	if (c->insn.modrm & 0x38)
		return umbra_exec_ud(c);
	ret = umbra_exec_pop(c, size, &value);
	if (ret)
		return ret;
	/* An address that uses rSP sees it after the pop. */
	umbra_exec_add_sp(c, size);
	ret = umbra_exec_rm_write(c, size, value);
	if (ret)
		c->gpr[UMBRA_EMUL_RSP] = rsp;
	return ret;
}

/* 07, 17, 1f, 0f a1, 0f a9: POP of a segment register */
int umbra_exec_pop_seg(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, seg = opcode_seg(c);
	u64 value, rsp = c->gpr[UMBRA_EMUL_RSP];
	int ret;

	ret = umbra_exec_pop(c, size, &value);
	if (ret)
		return ret;
	/* The old SS says how wide its stack pointer is: before it is replaced. */
	umbra_exec_add_sp(c, size);
	ret = umbra_exec_load_segment(c, seg, value);
	if (ret)
		c->gpr[UMBRA_EMUL_RSP] = rsp;
	else if (seg == UMBRA_EMUL_SS)
		c->events |= UMBRA_EMUL_EV_MOVSS;
	return ret;
}

/*
 * Check the eight elements of PUSHA and POPA, in the order the CPU takes them, and
 * find the lowest one. Memory is then accessed once, for all of them.
 */
static int check_all(struct umbra_emul *c, enum umbra_access access, u64 *linear)
{
	unsigned int size = c->insn.opsize, width = umbra_exec_stack_size(c), i;
	u64 sp = c->gpr[UMBRA_EMUL_RSP], first = 0, last = 0;
	int ret;

	if (!width)
		return UMBRA_EMUL_UNHANDLED;
	for (i = 0; i < 8; i++) {
		if (access == UMBRA_STORE)
			sp -= size;
		ret = umbra_exec_linear(c, UMBRA_EMUL_SS, sp & umbra_exec_mask(width), size, size,
					access, &last);
		if (ret)
			return ret;
		if (i == 0)
			first = last;
		if (access == UMBRA_LOAD)
			sp += size;
	}
	*linear = access == UMBRA_STORE ? last : first;
	/* A stack that wraps in the middle: more than one access. */
	if ((access == UMBRA_STORE ? first - last : last - first) != 7 * size)
		return UMBRA_EMUL_UNHANDLED;
	return UMBRA_EMUL_DONE;
}

/* The eight registers as they lie in memory: DI lowest. */
static void *slot(u8 *image, unsigned int reg, unsigned int size)
{
	return image + (7 - reg) * size;
}

/* 60: PUSHA, PUSHAD */
int umbra_exec_pusha(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, reg;
	u8 image[32];
	u64 linear;
	int ret;

	ret = check_all(c, UMBRA_STORE, &linear);
	if (ret)
		return ret;
	for (reg = 0; reg < 8; reg++)
		memcpy(slot(image, reg, size), &c->gpr[reg], size);
	ret = umbra_exec_mem_write(c, linear, image, 8 * size, 0);
	if (ret)
		return ret;
	umbra_exec_add_sp(c, -8 * (int)size);
	return UMBRA_EMUL_DONE;
}

/* 61: POPA, POPAD. The image of rSP is skipped. */
int umbra_exec_popa(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, reg;
	u8 image[32];
	u64 linear;
	int ret;

	ret = check_all(c, UMBRA_LOAD, &linear);
	if (!ret)
		ret = umbra_exec_mem_read(c, linear, image, 8 * size, 0);
	if (ret)
		return ret;
	for (reg = 0; reg < 8; reg++) {
		u64 value = 0;

		if (reg == UMBRA_EMUL_RSP)
			continue;
		memcpy(&value, slot(image, reg, size), size);
		umbra_exec_set_reg(c, reg, size, value);
	}
	umbra_exec_add_sp(c, 8 * size);
	return UMBRA_EMUL_DONE;
}

/* Virtual-8086 mode with IOPL < 3: PUSHF and POPF work only with CR4.VME, on 16 bits. */
static bool vm86_restricted(const struct umbra_emul *c)
{
	return umbra_exec_is_vm86(c) && umbra_exec_iopl(c) < 3;
}

static bool vme_flags(const struct umbra_emul *c)
{
	return (c->cr4 & X86_CR4_VME) && c->insn.opsize == 2;
}

/* 9c: PUSHF, PUSHFD, PUSHFQ */
int umbra_exec_pushf(struct umbra_emul *c)
{
	u64 image = c->rflags & ~(u64)(X86_EFLAGS_VM | X86_EFLAGS_RF);

	if (vm86_restricted(c)) {
		if (!vme_flags(c))
			return umbra_exec_gp(c);
		/* The virtual interrupt flag stands in (SDM Vol. 3B, 21.3.3.1). */
		image |= X86_EFLAGS_IOPL;
		if (c->rflags & X86_EFLAGS_VIF)
			image |= X86_EFLAGS_IF;
		else
			image &= ~(u64)X86_EFLAGS_IF;
	}
	return umbra_exec_push(c, c->insn.opsize, image);
}

/* 9d: POPF, POPFD, POPFQ. Which flags change: SDM Vol. 2B, POPF, table 4-15. */
int umbra_exec_popf(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 mask = UMBRA_FLAGS_ARITH | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_NT;
	u64 image, virtual = 0;
	int ret;

	if (vm86_restricted(c) && !vme_flags(c))
		return umbra_exec_gp(c);
	ret = umbra_exec_pop(c, size, &image);
	if (ret)
		return ret;

	if (vm86_restricted(c)) {
		if ((image & X86_EFLAGS_TF) ||
		    ((image & X86_EFLAGS_IF) && (c->rflags & X86_EFLAGS_VIP)))
			return umbra_exec_gp(c);
		virtual = X86_EFLAGS_VIF;
		if (image & X86_EFLAGS_IF)
			image |= X86_EFLAGS_VIF;
		else
			image &= ~(u64)X86_EFLAGS_VIF;
	} else {
		if (c->cpl <= umbra_exec_iopl(c))
			mask |= X86_EFLAGS_IF;
		if (c->cpl == 0)
			mask |= X86_EFLAGS_IOPL;
		if (size > 2)
			mask |= X86_EFLAGS_AC | X86_EFLAGS_ID;
	}

	umbra_exec_add_sp(c, size);
	umbra_exec_set_flags(c, mask | virtual, image);
	return UMBRA_EMUL_DONE;
}

/* An element of the frames that ENTER copies. */
static int frame_access(struct umbra_emul *c, u64 at, u64 *value, enum umbra_access access,
			unsigned int flags)
{
	unsigned int size = c->insn.opsize, width = umbra_exec_stack_size(c);
	u64 linear;
	int ret;

	ret = umbra_exec_linear(c, UMBRA_EMUL_SS, at & umbra_exec_mask(width), size, size, access,
				&linear);
	if (ret)
		return ret;
	if (access == UMBRA_STORE)
		return umbra_exec_mem_write(c, linear, value, size, flags);
	return umbra_exec_mem_read(c, linear, value, size, flags);
}

/*
 * c8: ENTER. Frames are copied in plain memory, since reads follow writes. Without any to
 * copy there is one write, which may be to MMIO: then it comes last.
 */
int umbra_exec_enter(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, width = umbra_exec_stack_size(c), i;
	u64 sp = c->gpr[UMBRA_EMUL_RSP] - size, bp = c->gpr[UMBRA_EMUL_RBP];
	unsigned int level = c->insn.imm2 & 31;
	u64 frame = sp, value = bp;
	bool mmio;
	int ret;

	if (!width)
		return UMBRA_EMUL_UNHANDLED;
	ret = frame_access(c, sp, &value, UMBRA_STORE, UMBRA_EMUL_BULK);
	mmio = ret == UMBRA_EMUL_UNHANDLED && !level;
	if (mmio)
		ret = UMBRA_EMUL_DONE;
	for (i = 1; !ret && i < level; i++) {
		bp -= size;
		ret = frame_access(c, bp, &value, UMBRA_LOAD, UMBRA_EMUL_BULK);
		sp -= size;
		if (!ret)
			ret = frame_access(c, sp, &value, UMBRA_STORE, UMBRA_EMUL_BULK);
	}
	if (!ret && level) {
		sp -= size;
		ret = frame_access(c, sp, &frame, UMBRA_STORE, UMBRA_EMUL_BULK);
	}
	if (ret)
		return ret;

	/* The new top of the stack must be writable (SDM Vol. 2A, ENTER). */
	sp -= (u16)c->insn.imm;
	ret = frame_access(c, sp, NULL, UMBRA_STORE, UMBRA_EMUL_PROBE);
	if (!ret && mmio)
		ret = frame_access(c, frame, &value, UMBRA_STORE, 0);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, UMBRA_EMUL_RBP, size, frame);
	umbra_exec_set_reg(c, UMBRA_EMUL_RSP, width, sp);
	return UMBRA_EMUL_DONE;
}

/* c9: LEAVE */
int umbra_exec_leave(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, width = umbra_exec_stack_size(c);
	u64 value, frame;
	int ret;

	if (!width)
		return UMBRA_EMUL_UNHANDLED;
	frame = umbra_exec_reg(c, UMBRA_EMUL_RBP, width);
	ret = umbra_exec_read(c, UMBRA_EMUL_SS, frame, size, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, UMBRA_EMUL_RSP, width, frame + size);
	umbra_exec_set_reg(c, UMBRA_EMUL_RBP, size, value);
	return UMBRA_EMUL_DONE;
}
