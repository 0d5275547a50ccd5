// SPDX-License-Identifier: GPL-2.0-only
/*
 * Integer arithmetic and logic, exchange with comparison, flag instructions.
 *
 * What the manuals leave undefined is done as both vendors' CPUs do it: logical
 * instructions clear AF.
 */
#include "exec.h"

/* ModRM.reg of group 1, and bits 3..5 of the opcodes below 40 */
enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP };

/* CF, AF and OF from the carries (or borrows) out of each bit. */
static u64 carry_flags(u64 carries, unsigned int size)
{
	u64 sign = umbra_exec_sign_bit(size);
	u64 flags = 0;

	if (carries & sign)
		flags |= X86_EFLAGS_CF;
	if (carries & 8)
		flags |= X86_EFLAGS_AF;
	/* Overflow: the carry into the sign bit differs from the one out of it. */
	if (((carries << 1) ^ carries) & sign)
		flags |= X86_EFLAGS_OF;
	return flags;
}

static u64 add(unsigned int size, u64 a, u64 b, u64 carry, u64 *flags)
{
	u64 r = a + b + carry;

	*flags = carry_flags((a & b) | ((a | b) & ~r), size) | umbra_exec_szp(r, size);
	return r & umbra_exec_mask(size);
}

static u64 sub(unsigned int size, u64 a, u64 b, u64 borrow, u64 *flags)
{
	u64 r = a - b - borrow;

	*flags = carry_flags((~a & b) | ((~a | b) & r), size) | umbra_exec_szp(r, size);
	return r & umbra_exec_mask(size);
}

/* a + b, with all arithmetic flags */
u64 umbra_exec_add(struct umbra_emul *c, unsigned int size, u64 a, u64 b)
{
	u64 flags, r;

	r = add(size, a, b, 0, &flags);
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return r;
}

/* a - b, with all arithmetic flags: CMP, CMPS, SCAS, CMPXCHG, NEG */
u64 umbra_exec_sub(struct umbra_emul *c, unsigned int size, u64 a, u64 b)
{
	u64 flags, r;

	r = sub(size, a, b, 0, &flags);
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return r;
}

/* One of the eight operations. */
static u64 alu(const struct umbra_emul *c, unsigned int op, unsigned int size, u64 a, u64 b,
	       u64 *flags)
{
	u64 carry = c->rflags & X86_EFLAGS_CF;	/* bit 0 */
	u64 r;

	switch (op) {
	case ADD:
		return add(size, a, b, 0, flags);
	case ADC:
		return add(size, a, b, carry, flags);
	case SBB:
		return sub(size, a, b, carry, flags);
	case SUB:
	case CMP:
		return sub(size, a, b, 0, flags);
	case OR:
		r = a | b;
		break;
	case AND:
		r = a & b;
		break;
	default:
		r = a ^ b;
		break;
	}
	*flags = umbra_exec_szp(r, size);
	return r;
}

/* ModRM.rm is the destination, @b the source. */
static int alu_to_rm(struct umbra_emul *c, unsigned int op, u64 b)
{
	unsigned int size = c->insn.opsize;
	struct umbra_rmw m;
	u64 flags, r;
	int ret;

	if (op == CMP) {
		ret = umbra_exec_rm_read(c, size, &r);
		if (ret)
			return ret;
		alu(c, op, size, r, b, &flags);
	} else {
		ret = umbra_exec_rmw_begin(c, &m, size, c->insn.flags & UMBRA_INSN_LOCK);
		if (ret)
			return ret;
		r = alu(c, op, size, m.value, b, &flags);
		ret = umbra_exec_rmw_end(c, &m, r);
		if (ret)
			return ret;
	}
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/* 00..3d: ADD, OR, ADC, SBB, AND, SUB, XOR, CMP in their six forms */
int umbra_exec_alu(struct umbra_emul *c)
{
	unsigned int op = (c->insn.opcode >> 3) & 7, size = c->insn.opsize;
	unsigned int dest = UMBRA_EMUL_RAX;
	u64 b, flags, r;
	int ret;

	switch (c->insn.opcode & 7) {
	case 0:
	case 1:
		return alu_to_rm(c, op, umbra_exec_reg(c, c->insn.reg, size));
	case 2:
	case 3:
		ret = umbra_exec_rm_read(c, size, &b);
		if (ret)
			return ret;
		dest = c->insn.reg;
		break;
	default:
		b = c->insn.imm & umbra_exec_mask(size);
		break;
	}

	r = alu(c, op, size, umbra_exec_reg(c, dest, size), b, &flags);
	if (op != CMP)
		umbra_exec_set_reg(c, dest, size, r);
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/* 80..83: the same with an immediate */
int umbra_exec_alu_imm(struct umbra_emul *c)
{
	return alu_to_rm(c, (c->insn.modrm >> 3) & 7,
			 c->insn.imm & umbra_exec_mask(c->insn.opsize));
}

static void test_flags(struct umbra_emul *c, u64 r)
{
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, umbra_exec_szp(r, c->insn.opsize));
}

/* 84, 85, a8, a9: TEST */
int umbra_exec_test(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 a;
	int ret;

	if (c->insn.opcode >= 0xa8) {
		test_flags(c, umbra_exec_reg(c, UMBRA_EMUL_RAX, size) & c->insn.imm);
		return UMBRA_EMUL_DONE;
	}
	ret = umbra_exec_rm_read(c, size, &a);
	if (ret)
		return ret;
	test_flags(c, a & umbra_exec_reg(c, c->insn.reg, size));
	return UMBRA_EMUL_DONE;
}

/* INC and DEC leave CF alone. */
static u64 inc_dec(struct umbra_emul *c, unsigned int size, bool dec, u64 a, u64 *flags)
{
	u64 r;

	r = dec ? sub(size, a, 1, 0, flags) : add(size, a, 1, 0, flags);
	*flags &= ~(u64)X86_EFLAGS_CF;
	*flags |= c->rflags & X86_EFLAGS_CF;
	return r;
}

/* 40..4f outside 64-bit code: INC, DEC */
int umbra_exec_inc_dec_reg(struct umbra_emul *c)
{
	unsigned int reg = c->insn.opcode & 7, size = c->insn.opsize;
	u64 flags, r;

	r = inc_dec(c, size, c->insn.opcode & 8, umbra_exec_reg(c, reg, size), &flags);
	umbra_exec_set_reg(c, reg, size, r);
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/* fe, ff: INC, DEC */
int umbra_exec_inc_dec(struct umbra_emul *c, bool dec)
{
	struct umbra_rmw m;
	u64 flags, r;
	int ret;

	ret = umbra_exec_rmw_begin(c, &m, c->insn.opsize, c->insn.flags & UMBRA_INSN_LOCK);
	if (ret)
		return ret;
	r = inc_dec(c, m.size, dec, m.value, &flags);
	ret = umbra_exec_rmw_end(c, &m, r);
	if (ret)
		return ret;
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/* fe */
int umbra_exec_group4(struct umbra_emul *c)
{
	unsigned int ext = (c->insn.modrm >> 3) & 7;

	return ext < 2 ? umbra_exec_inc_dec(c, ext == 1) : umbra_exec_ud(c);
}

static int not(struct umbra_emul *c)
{
	struct umbra_rmw m;
	int ret;

	ret = umbra_exec_rmw_begin(c, &m, c->insn.opsize, c->insn.flags & UMBRA_INSN_LOCK);
	return ret ?: umbra_exec_rmw_end(c, &m, ~m.value & umbra_exec_mask(m.size));
}

static int neg(struct umbra_emul *c)
{
	struct umbra_rmw m;
	u64 flags, r;
	int ret;

	ret = umbra_exec_rmw_begin(c, &m, c->insn.opsize, c->insn.flags & UMBRA_INSN_LOCK);
	if (ret)
		return ret;
	r = sub(m.size, 0, m.value, 0, &flags);
	ret = umbra_exec_rmw_end(c, &m, r);
	if (ret)
		return ret;
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/* f6, f7: TEST, NOT, NEG, MUL, IMUL, DIV, IDIV */
int umbra_exec_group3(struct umbra_emul *c)
{
	u64 a;
	int ret;

	switch ((c->insn.modrm >> 3) & 7) {
	case 0:
	case 1:
		ret = umbra_exec_rm_read(c, c->insn.opsize, &a);
		if (ret)
			return ret;
		test_flags(c, a & c->insn.imm);
		return UMBRA_EMUL_DONE;
	case 2:
		return not(c);
	case 3:
		return neg(c);
	default:
		return umbra_exec_mul_div(c);
	}
}

/* 0f c0, 0f c1: XADD */
int umbra_exec_xadd(struct umbra_emul *c)
{
	struct umbra_rmw m;
	u64 flags, r;
	int ret;

	ret = umbra_exec_rmw_begin(c, &m, c->insn.opsize, c->insn.flags & UMBRA_INSN_LOCK);
	if (ret)
		return ret;
	r = add(m.size, m.value, umbra_exec_reg(c, c->insn.reg, m.size), 0, &flags);
	if (c->insn.flags & UMBRA_INSN_MEM) {
		ret = umbra_exec_rmw_end(c, &m, r);
		if (ret)
			return ret;
		umbra_exec_set_reg(c, c->insn.reg, m.size, m.value);
	} else {
		/* XADD EAX, EAX: the sum wins. */
		umbra_exec_set_reg(c, c->insn.reg, m.size, m.value);
		umbra_exec_set_reg(c, c->insn.rm, m.size, r);
	}
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/* 0f b0, 0f b1: CMPXCHG. Memory is written in any case (SDM Vol. 2A, CMPXCHG). */
int umbra_exec_cmpxchg(struct umbra_emul *c)
{
	struct umbra_rmw m;
	u64 acc, flags;
	bool equal;
	int ret;

	ret = umbra_exec_rmw_begin(c, &m, c->insn.opsize, c->insn.flags & UMBRA_INSN_LOCK);
	if (ret)
		return ret;
	acc = umbra_exec_reg(c, UMBRA_EMUL_RAX, m.size);
	equal = acc == m.value;
	sub(m.size, acc, m.value, 0, &flags);

	/* A register is not: not even its upper half is cleared. */
	if (equal)
		ret = umbra_exec_rmw_end(c, &m, umbra_exec_reg(c, c->insn.reg, m.size));
	else if (c->insn.flags & UMBRA_INSN_MEM)
		ret = umbra_exec_rmw_end(c, &m, m.value);
	if (ret)
		return ret;
	if (!equal)
		umbra_exec_set_reg(c, UMBRA_EMUL_RAX, m.size, m.value);
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/* CMPXCHG8B and CMPXCHG16B: @half is the size of a register. */
static int cmpxchg_pair(struct umbra_emul *c, unsigned int half)
{
	bool locked = c->insn.flags & UMBRA_INSN_LOCK;
	u8 old[16], new[16];
	u64 linear, lo = 0, hi = 0;
	bool equal;
	int ret;

	ret = umbra_exec_linear(c, c->insn.seg, umbra_exec_offset(c), 2 * half,
				half == 4 ? 8 : 1, UMBRA_STORE, &linear);
	if (ret)
		return ret;
	if (half == 8 && (linear & 15))
		return umbra_exec_gp(c);
	ret = umbra_exec_mem_read(c, linear, old, 2 * half,
				  UMBRA_EMUL_RMW | (locked ? UMBRA_EMUL_LOCKED : 0));
	if (ret)
		return ret;

	memcpy(&lo, old, half);
	memcpy(&hi, old + half, half);
	equal = lo == umbra_exec_reg(c, UMBRA_EMUL_RAX, half) &&
		hi == umbra_exec_reg(c, UMBRA_EMUL_RDX, half);
	if (equal) {
		memcpy(new, &c->gpr[UMBRA_EMUL_RBX], half);
		memcpy(new + half, &c->gpr[UMBRA_EMUL_RCX], half);
	} else {
		memcpy(new, old, 2 * half);
	}

	if (locked)
		ret = c->ops->compare_exchange(c, linear, old, new, 2 * half, 0);
	else
		ret = umbra_exec_mem_write(c, linear, new, 2 * half, 0);
	if (ret)
		return ret;

	if (!equal) {
		umbra_exec_set_reg(c, UMBRA_EMUL_RAX, half, lo);
		umbra_exec_set_reg(c, UMBRA_EMUL_RDX, half, hi);
	}
	umbra_exec_set_flags(c, X86_EFLAGS_ZF, equal ? X86_EFLAGS_ZF : 0);
	return UMBRA_EMUL_DONE;
}

/* 0f c7: CMPXCHG8B, CMPXCHG16B; RDRAND, XSAVES and others are not done here. */
int umbra_exec_group9(struct umbra_emul *c)
{
	if (!(c->insn.flags & UMBRA_INSN_MEM) || ((c->insn.modrm >> 3) & 7) != 1)
		return UMBRA_EMUL_UNHANDLED;
	return cmpxchg_pair(c, c->insn.rex & UMBRA_REX_W ? 8 : 4);
}

/* f5, f8, f9, fc, fd: CMC, CLC, STC, CLD, STD */
int umbra_exec_flag_op(struct umbra_emul *c)
{
	switch (c->insn.opcode) {
	case 0xf5:
		c->rflags ^= X86_EFLAGS_CF;
		break;
	case 0xf8:
		c->rflags &= ~(u64)X86_EFLAGS_CF;
		break;
	case 0xf9:
		c->rflags |= X86_EFLAGS_CF;
		break;
	case 0xfc:
		c->rflags &= ~(u64)X86_EFLAGS_DF;
		break;
	default:
		c->rflags |= X86_EFLAGS_DF;
		break;
	}
	return UMBRA_EMUL_DONE;
}
