// SPDX-License-Identifier: GPL-2.0-only
/*
 * Decimal arithmetic, and other instructions that 64-bit code does not have.
 */
#include "exec.h"

#define FLAGS_ADJUST	(X86_EFLAGS_AF | X86_EFLAGS_CF)

static u8 get_al(const struct umbra_emul *c)
{
	return c->gpr[UMBRA_EMUL_RAX];
}

static void set_al(struct umbra_emul *c, u8 value)
{
	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, 1, value);
}

static void set_ax(struct umbra_emul *c, u16 value)
{
	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, 2, value);
}

/* 27, 2f: DAA, DAS. OF is undefined: CPUs clear it. */
int umbra_exec_daa_das(struct umbra_emul *c)
{
	u8 al = get_al(c), old = al;
	bool subtract = c->insn.opcode == 0x2f, carry = c->rflags & X86_EFLAGS_CF;
	u64 flags = 0;

	if ((old & 15) > 9 || (c->rflags & X86_EFLAGS_AF)) {
		if (subtract && old < 6)
			flags |= X86_EFLAGS_CF;
		al += subtract ? -6 : 6;
		flags |= X86_EFLAGS_AF;
	}
	if (old > 0x99 || carry) {
		al += subtract ? -0x60 : 0x60;
		flags |= X86_EFLAGS_CF;
	}
	set_al(c, al);
	umbra_exec_set_flags(c, UMBRA_FLAGS_ARITH, flags | umbra_exec_szp(al, 1));
	return UMBRA_EMUL_DONE;
}

/* 37, 3f: AAA, AAS. OF, SF, ZF and PF are undefined: they stay. */
int umbra_exec_aaa_aas(struct umbra_emul *c)
{
	u16 ax = c->gpr[UMBRA_EMUL_RAX];
	u64 flags = 0;

	if ((ax & 15) > 9 || (c->rflags & X86_EFLAGS_AF)) {
		ax += c->insn.opcode == 0x3f ? -0x106 : 0x106;
		flags = FLAGS_ADJUST;
	}
	set_ax(c, ax & 0xff0f);
	umbra_exec_set_flags(c, FLAGS_ADJUST, flags);
	return UMBRA_EMUL_DONE;
}

/* d4, d5: AAM, AAD. OF, AF and CF are undefined: they stay. */
int umbra_exec_aam_aad(struct umbra_emul *c)
{
	u16 ax = c->gpr[UMBRA_EMUL_RAX];
	u8 base = c->insn.imm;

	if (c->insn.opcode == 0xd5)
		ax = (u8)(ax + (ax >> 8) * base);
	else if (base)
		ax = (u8)ax / base << 8 | (u8)ax % base;
	else
		return umbra_emul_fault(c, X86_TRAP_DE, false, 0);
	set_ax(c, ax);
	umbra_exec_set_flags(c, X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_PF,
			     umbra_exec_szp(ax, 1));
	return UMBRA_EMUL_DONE;
}

/* d6: SALC */
int umbra_exec_salc(struct umbra_emul *c)
{
	set_al(c, c->rflags & X86_EFLAGS_CF ? 0xff : 0);
	return UMBRA_EMUL_DONE;
}

/* 62: BOUND. The upper bound is read only if the lower one is kept. */
int umbra_exec_bound(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	s64 index = umbra_exec_sign_extend(umbra_exec_reg(c, c->insn.reg, size), size);
	u64 at = umbra_exec_offset(c), bound;
	int ret;

	if (!(c->insn.flags & UMBRA_INSN_MEM))
		return umbra_exec_ud(c);
	ret = umbra_exec_read(c, c->insn.seg, at, size, &bound);
	if (ret)
		return ret;
	if (index < umbra_exec_sign_extend(bound, size))
		return umbra_emul_fault(c, X86_TRAP_BR, false, 0);
	at = (at + size) & umbra_exec_mask(c->insn.adsize);
	ret = umbra_exec_read(c, c->insn.seg, at, size, &bound);
	if (ret)
		return ret;
	if (index > umbra_exec_sign_extend(bound, size))
		return umbra_emul_fault(c, X86_TRAP_BR, false, 0);
	return UMBRA_EMUL_DONE;
}

/* 63 outside 64-bit code: ARPL. Memory is written only if it changes. */
int umbra_exec_arpl(struct umbra_emul *c)
{
	u64 rpl = umbra_exec_reg(c, c->insn.reg, 2) & UMBRA_SELECTOR_RPL, value;
	bool adjust;
	int ret;

	if (umbra_exec_is_flat16(c))
		return umbra_exec_ud(c);
	ret = umbra_exec_rm_read(c, 2, &value);
	if (ret)
		return ret;
	adjust = (value & UMBRA_SELECTOR_RPL) < rpl;
	if (adjust) {
		ret = umbra_exec_rm_write(c, 2, (value & ~(u64)UMBRA_SELECTOR_RPL) | rpl);
		if (ret)
			return ret;
	}
	umbra_exec_set_flags(c, X86_EFLAGS_ZF, adjust ? X86_EFLAGS_ZF : 0);
	return UMBRA_EMUL_DONE;
}
