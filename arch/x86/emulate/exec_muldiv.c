// SPDX-License-Identifier: GPL-2.0-only
/*
 * Multiplication and division.
 *
 * MUL and IMUL define CF and OF only. The rest is set as current Intel CPUs set
 * it: SF and PF from the low half, ZF and AF clear. Division leaves all flags
 * alone.
 */
#include "exec.h"

static void mul_flags(struct umbra_emul *c, u64 low, unsigned int size, bool overflow)
{
	u64 flags = umbra_exec_szp(low, size) & (X86_EFLAGS_SF | X86_EFLAGS_PF);

	if (overflow)
		flags |= X86_EFLAGS_CF | X86_EFLAGS_OF;
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags);
}

static int de(struct umbra_emul *c)
{
	return umbra_emul_fault(c, X86_TRAP_DE, false, 0);
}

/* The double-width accumulator: AX for bytes, else rDX:rAX. */
static void set_pair(struct umbra_emul *c, unsigned int size, u64 low, u64 high)
{
	if (size == 1) {
		umbra_exec_set_reg(c, UMBRA_EMUL_RAX, 2, (u8)low | (u16)(u8)high << 8);
	} else {
		umbra_exec_set_reg(c, UMBRA_EMUL_RAX, size, low);
		umbra_exec_set_reg(c, UMBRA_EMUL_RDX, size, high);
	}
}

static void get_pair(const struct umbra_emul *c, unsigned int size, u64 *low, u64 *high)
{
	*low = umbra_exec_reg(c, UMBRA_EMUL_RAX, size);
	if (size == 1)
		*high = (u8)(c->gpr[UMBRA_EMUL_RAX] >> 8);
	else
		*high = umbra_exec_reg(c, UMBRA_EMUL_RDX, size);
}

static void mul(struct umbra_emul *c, unsigned int size, u64 b)
{
	unsigned __int128 r = (unsigned __int128)umbra_exec_reg(c, UMBRA_EMUL_RAX, size) * b;
	u64 low = (u64)r & umbra_exec_mask(size);
	u64 high = (u64)(r >> (8 * size));

	set_pair(c, size, low, high);
	mul_flags(c, low, size, high != 0);
}

/* Product of two signed operands; @overflow: it does not fit one. */
static u64 signed_product(unsigned int size, u64 a, u64 b, u64 *high, bool *overflow)
{
	__int128 r = (__int128)umbra_exec_sign_extend(a, size) * umbra_exec_sign_extend(b, size);
	u64 low = (u64)r & umbra_exec_mask(size);

	*high = (u64)(r >> (8 * size)) & umbra_exec_mask(size);
	*overflow = umbra_exec_sign_extend(low, size) != r;
	return low;
}

static void imul(struct umbra_emul *c, unsigned int size, u64 b)
{
	bool overflow;
	u64 low, high;

	low = signed_product(size, umbra_exec_reg(c, UMBRA_EMUL_RAX, size), b, &high, &overflow);
	set_pair(c, size, low, high);
	mul_flags(c, low, size, overflow);
}

/* high:low / d, where high < d, so that the quotient fits */
static u64 divide_128(u64 high, u64 low, u64 d, u64 *rest)
{
	u64 quotient;

	asm("divq %[d]"
	    : "=a" (quotient), "=d" (*rest)
	    : "a" (low), "d" (high), [d] "r" (d)
	    : "cc");
	return quotient;
}

/* The same for operands of @size bytes. */
static u64 divide(unsigned int size, u64 high, u64 low, u64 d, u64 *rest)
{
	u64 n;

	if (size == 8)
		return divide_128(high, low, d, rest);
	n = high << (8 * size) | low;
	*rest = n % d;
	return n / d;
}

static int div(struct umbra_emul *c, unsigned int size, u64 d)
{
	u64 low, high, quotient, rest;

	get_pair(c, size, &low, &high);
	/* Covers division by zero, too. */
	if (high >= d)
		return de(c);
	quotient = divide(size, high, low, d, &rest);
	set_pair(c, size, quotient, rest);
	return UMBRA_EMUL_DONE;
}

static int idiv(struct umbra_emul *c, unsigned int size, u64 d)
{
	u64 mask = umbra_exec_mask(size), sign = umbra_exec_sign_bit(size);
	bool neg_d = d & sign, neg_n, neg_q;
	u64 low, high, quotient, rest;

	/* Divide magnitudes, then put the signs back: the rest has the dividend's. */
	get_pair(c, size, &low, &high);
	neg_n = high & sign;
	neg_q = neg_n != neg_d;
	if (neg_n) {
		low = -low & mask;
		high = (~high + !low) & mask;
	}
	if (neg_d)
		d = -d & mask;
	if (high >= d)
		return de(c);
	quotient = divide(size, high, low, d, &rest);
	if (quotient >= sign + neg_q)
		return de(c);
	set_pair(c, size, (neg_q ? -quotient : quotient) & mask, (neg_n ? -rest : rest) & mask);
	return UMBRA_EMUL_DONE;
}

/* f6, f7 /4../7: MUL, IMUL, DIV, IDIV with the accumulator */
int umbra_exec_mul_div(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 b;
	int ret;

	ret = umbra_exec_rm_read(c, size, &b);
	if (ret)
		return ret;
	switch ((c->insn.modrm >> 3) & 7) {
	case 4:
		mul(c, size, b);
		return UMBRA_EMUL_DONE;
	case 5:
		imul(c, size, b);
		return UMBRA_EMUL_DONE;
	case 6:
		return div(c, size, b);
	default:
		return idiv(c, size, b);
	}
}

static int imul_to_reg(struct umbra_emul *c, bool use_imm)
{
	unsigned int size = c->insn.opsize;
	u64 a, low, high;
	bool overflow;
	int ret;

	ret = umbra_exec_rm_read(c, size, &a);
	if (ret)
		return ret;
	low = signed_product(size, a, use_imm ? c->insn.imm : umbra_exec_reg(c, c->insn.reg, size),
			     &high, &overflow);
	umbra_exec_set_reg(c, c->insn.reg, size, low);
	mul_flags(c, low, size, overflow);
	return UMBRA_EMUL_DONE;
}

/* 0f af: IMUL r, r/m */
int umbra_exec_imul2(struct umbra_emul *c)
{
	return imul_to_reg(c, false);
}

/* 69, 6b: IMUL r, r/m, imm */
int umbra_exec_imul3(struct umbra_emul *c)
{
	return imul_to_reg(c, true);
}
