// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shifts, rotates, bit tests.
 *
 * Where the manuals leave flags undefined (OF of counts above 1, AF) they are set
 * as current Intel CPUs mostly set them: OF as the first of the single steps does, AF
 * clear after shifts.
 */
#include "exec.h"

/* ModRM.reg of group 2; 6 is an alias of SHL that no manual lists */
enum { ROL, ROR, RCL, RCR, SHL, SHR, SAL, SAR };

static inline u64 flag(bool on, u64 bit)
{
	return on ? bit : 0;
}

/* OF after one step to the left: does the sign change? */
static inline u64 overflow_left(u64 a, u64 sign)
{
	return flag(!(a & sign) != !(a & (sign >> 1)), X86_EFLAGS_OF);
}

/* OF after one step to the right that brings @in to the top */
static inline u64 overflow_right(u64 a, u64 sign, bool in)
{
	return flag(!(a & sign) == in, X86_EFLAGS_OF);
}

/*
 * Rotate; only CF and OF change. @count is at least 1 here, before it is reduced
 * modulo the width.
 */
static u64 rotate(unsigned int op, unsigned int size, u64 a, unsigned int count, u64 *flags)
{
	unsigned int width = 8 * size, n = count & (width - 1);
	u64 mask = umbra_exec_mask(size), sign = umbra_exec_sign_bit(size);

	if (op == ROR) {
		*flags = overflow_right(a, sign, a & 1);
		n = (width - n) & (width - 1);
	} else {
		*flags = overflow_left(a, sign);
	}
	if (n)
		a = (a << n | a >> (width - n)) & mask;
	*flags |= flag(a & (op == ROR ? sign : 1), X86_EFLAGS_CF);
	return a;
}

/* Rotate through CF, a step at a time: at most 63 of them. */
static u64 rotate_carry(unsigned int op, unsigned int size, u64 a, unsigned int count, bool carry,
			u64 *flags)
{
	u64 mask = umbra_exec_mask(size), sign = umbra_exec_sign_bit(size);
	bool out;

	*flags = op == RCL ? overflow_left(a, sign) : overflow_right(a, sign, carry);
	while (count--) {
		if (op == RCL) {
			out = a & sign;
			a = (a << 1 | carry) & mask;
		} else {
			out = a & 1;
			a = a >> 1 | (carry ? sign : 0);
		}
		carry = out;
	}

	*flags |= flag(carry, X86_EFLAGS_CF);
	return a;
}

/* Shift; @count is 1..31, or 1..63 for 64-bit operands, and may exceed the width. */
static u64 shift(unsigned int op, unsigned int size, u64 a, unsigned int count, u64 *flags)
{
	u64 mask = umbra_exec_mask(size), sign = umbra_exec_sign_bit(size);
	s64 sa = umbra_exec_sign_extend(a, size);
	bool carry;
	u64 r;

	switch (op) {
	case SHR:
		carry = (a >> (count - 1)) & 1;
		r = a >> count;
		*flags = overflow_right(a, sign, false);
		break;
	case SAR:
		carry = (sa >> (count - 1)) & 1;
		r = (u64)(sa >> count) & mask;
		*flags = 0;
		break;
	default:
		carry = (a << (count - 1)) & sign;
		r = (a << count) & mask;
		*flags = overflow_left(a, sign);
		break;
	}
	*flags |= flag(carry, X86_EFLAGS_CF) | umbra_exec_szp(r, size);
	return r;
}

/* c0, c1, d0..d3: group 2 */
int umbra_exec_shift(struct umbra_emul *c)
{
	unsigned int op = (c->insn.modrm >> 3) & 7, size = c->insn.opsize, count;
	struct umbra_rmw m;
	u64 r, flags = 0, changed = 0;
	int ret;

	if (c->insn.opcode < 0xd0)
		count = c->insn.imm;
	else
		count = c->insn.opcode & 2 ? c->gpr[UMBRA_EMUL_RCX] : 1;
	count &= size == 8 ? 63 : 31;

	ret = umbra_exec_rmw_begin(c, &m, size, false);
	if (ret)
		return ret;
	r = m.value;
	if (count) {
		changed = X86_EFLAGS_CF | X86_EFLAGS_OF;
		if (op < RCL) {
			r = rotate(op, size, r, count, &flags);
		} else if (op < SHL) {
			/* Bytes and words have 9 and 17 bits to rotate. */
			if (size < 4)
				count %= 8 * size + 1;
			if (count)
				r = rotate_carry(op, size, r, count, c->rflags & X86_EFLAGS_CF,
						 &flags);
			else
				changed = 0;
		} else {
			changed = UMBRA_FLAGS_ARITH;
			r = shift(op, size, r, count, &flags);
		}
	}
	ret = umbra_exec_rmw_end(c, &m, r);
	if (ret)
		return ret;
	umbra_exec_set_flags(c, changed, flags);
	return UMBRA_EMUL_DONE;
}

/* 0f a4, a5, ac, ad: SHLD, SHRD */
int umbra_exec_shift_double(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, width = 8 * size, count;
	u64 sign = umbra_exec_sign_bit(size);
	bool right = c->insn.opcode & 8, carry;
	struct umbra_rmw m;
	u64 fill, r, flags;
	int ret;

	count = c->insn.opcode & 1 ? c->gpr[UMBRA_EMUL_RCX] : c->insn.imm;
	count &= size == 8 ? 63 : 31;
	/* Undefined: result and flags. The vendors differ. */
	if (count > width)
		return UMBRA_EMUL_UNHANDLED;

	ret = umbra_exec_rmw_begin(c, &m, size, false);
	if (ret)
		return ret;
	if (!count)
		return umbra_exec_rmw_end(c, &m, m.value);

	fill = umbra_exec_reg(c, c->insn.reg, size);
	if (count == width) {
		r = fill;
		carry = right ? m.value & sign : m.value & 1;
	} else if (right) {
		r = (m.value >> count | fill << (width - count)) & umbra_exec_mask(size);
		carry = (m.value >> (count - 1)) & 1;
	} else {
		r = (m.value << count | fill >> (width - count)) & umbra_exec_mask(size);
		carry = (m.value >> (width - count)) & 1;
	}

	flags = flag(carry, X86_EFLAGS_CF) | umbra_exec_szp(r, size);
	flags |= right ? overflow_right(m.value, sign, fill & 1) : overflow_left(m.value, sign);

	ret = umbra_exec_rmw_end(c, &m, r);
	if (ret)
		return ret;
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
	return UMBRA_EMUL_DONE;
}

/*
 * 0f a3, ab, b3, bb and 0f ba /4../7: BT, BTS, BTR, BTC. A bit number in a register
 * is signed and may lie outside the operand that ModRM names, if that is in memory.
 */
int umbra_exec_bit(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize, width = 8 * size, op;
	struct umbra_rmw m = { .size = size };
	u64 offset = 0, bit, r;
	s64 number;
	int ret;

	if (c->insn.opcode == 0xba) {
		op = (c->insn.modrm >> 3) & 7;
		if (op < 4)
			return umbra_exec_ud(c);
		op -= 4;
		number = c->insn.imm & (width - 1);
	} else {
		op = (c->insn.opcode >> 3) & 3;
		number = umbra_exec_sign_extend(umbra_exec_reg(c, c->insn.reg, size), size);
	}
	bit = 1ULL << (number & (width - 1));

	if (c->insn.flags & UMBRA_INSN_MEM) {
		/* By whole operands; negative numbers round down. */
		offset = umbra_exec_offset(c) + (number & ~(s64)(width - 1)) / 8;
		offset &= umbra_exec_mask(c->insn.adsize);
	}

	if (op == 0) {
		if (c->insn.flags & UMBRA_INSN_MEM)
			ret = umbra_exec_read(c, c->insn.seg, offset, size, &m.value);
		else
			ret = umbra_exec_rm_read(c, size, &m.value);
		if (ret)
			return ret;
	} else {
		bool locked = c->insn.flags & UMBRA_INSN_LOCK;

		if (c->insn.flags & UMBRA_INSN_MEM)
			ret = umbra_exec_rmw_begin_at(c, &m, offset, size, locked);
		else
			ret = umbra_exec_rmw_begin(c, &m, size, locked);
		if (ret)
			return ret;

		if (op == 1)
			r = m.value | bit;
		else
			r = op == 2 ? m.value & ~bit : m.value ^ bit;
		ret = umbra_exec_rmw_end(c, &m, r);
		if (ret)
			return ret;
	}
	umbra_exec_set_flags(c, X86_EFLAGS_CF, flag(m.value & bit, X86_EFLAGS_CF));
	return UMBRA_EMUL_DONE;
}

/*
 * 0f bc, bd: BSF, BSR. (With f3 they are TZCNT and LZCNT, if CPUID says so.) A source
 * of zero leaves the target alone, as the APM says and Intel's CPUs do.
 */
int umbra_exec_bit_scan(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 value, number;
	int ret;

	if (c->insn.rep == 0xf3)
		return UMBRA_EMUL_UNHANDLED;
	ret = umbra_exec_rm_read(c, size, &value);
	if (ret)
		return ret;
	if (value) {
		if (c->insn.opcode & 1)
			number = 63 - __builtin_clzll(value);
		else
			number = __builtin_ctzll(value);
		umbra_exec_set_reg(c, c->insn.reg, size, number);
	}
	umbra_exec_set_flags(c, X86_EFLAGS_ZF, flag(!value, X86_EFLAGS_ZF));
	return UMBRA_EMUL_DONE;
}
