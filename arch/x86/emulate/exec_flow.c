// SPDX-License-Identifier: GPL-2.0-only
/*
 * Near branches.
 */
#include "exec.h"

static int branch_relative(struct umbra_emul *c)
{
	return umbra_exec_branch(c, c->next_rip + c->insn.imm);
}

/* e9, eb: JMP */
int umbra_exec_jmp(struct umbra_emul *c)
{
	return branch_relative(c);
}

/* 70..7f, 0f 80..8f: Jcc */
int umbra_exec_jcc(struct umbra_emul *c)
{
	if (!umbra_exec_condition(c, c->insn.opcode & 15))
		return UMBRA_EMUL_DONE;
	return branch_relative(c);
}

/* e0..e3: LOOPNE, LOOPE, LOOP, JCXZ; rCX is of the address size. */
int umbra_exec_loop(struct umbra_emul *c)
{
	u64 count = umbra_exec_addr_reg(c, UMBRA_EMUL_RCX);
	bool zf = c->rflags & X86_EFLAGS_ZF, taken;
	int ret;

	if (c->insn.opcode == 0xe3)
		return count ? UMBRA_EMUL_DONE : branch_relative(c);

	count = (count - 1) & umbra_exec_mask(c->insn.adsize);
	taken = count;
	if (c->insn.opcode != 0xe2)
		taken = taken && zf == (c->insn.opcode & 1);
	if (taken) {
		ret = branch_relative(c);
		if (ret)
			return ret;
	}
	umbra_exec_set_addr_reg(c, UMBRA_EMUL_RCX, count);
	return UMBRA_EMUL_DONE;
}

/*
 * CPUs write the return address before they look at the target: a fault of the
 * stack comes first, and a bad target leaves memory written and RSP as it was.
 */
static int call(struct umbra_emul *c, u64 target)
{
	u64 rsp = c->gpr[UMBRA_EMUL_RSP];
	int ret;

	ret = umbra_exec_push(c, c->insn.opsize, c->next_rip);
	if (ret)
		return ret;
	ret = umbra_exec_branch(c, target);
	if (ret)
		c->gpr[UMBRA_EMUL_RSP] = rsp;
	return ret;
}

/* e8: CALL */
int umbra_exec_call(struct umbra_emul *c)
{
	return call(c, c->next_rip + c->insn.imm);
}

/* c2, c3: RET */
int umbra_exec_ret(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 target;
	int ret;

	ret = umbra_exec_pop(c, size, &target);
	if (!ret)
		ret = umbra_exec_branch(c, target);
	if (ret)
		return ret;
	umbra_exec_add_sp(c, size + (c->insn.opcode == 0xc2 ? (u16)c->insn.imm : 0));
	return UMBRA_EMUL_DONE;
}

/* ff: INC, DEC, CALL, CALL far, JMP, JMP far, PUSH */
int umbra_exec_group5(struct umbra_emul *c)
{
	unsigned int ext = (c->insn.modrm >> 3) & 7, size = c->insn.opsize;
	u64 value;
	int ret;

	switch (ext) {
	case 0:
	case 1:
		return umbra_exec_inc_dec(c, ext == 1);
	case 3:
	case 5:
		if (!(c->insn.flags & UMBRA_INSN_MEM))
			return umbra_exec_ud(c);
		return umbra_exec_far_mem(c, ext == 3);
	case 7:
		return umbra_exec_ud(c);
	default:
		break;
	}

	ret = umbra_exec_rm_read(c, size, &value);
	if (ret)
		return ret;
	if (ext == 2)
		return call(c, value);
	return ext == 4 ? umbra_exec_branch(c, value) : umbra_exec_push(c, size, value);
}
