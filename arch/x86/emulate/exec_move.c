// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data movement between general registers and memory, and conversions.
 */
#include "exec.h"

/* 88, 89: MOV r/m, r */
int umbra_exec_mov_rm_r(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;

	return umbra_exec_rm_write(c, size, umbra_exec_reg(c, c->insn.reg, size));
}

/* 8a, 8b: MOV r, r/m */
int umbra_exec_mov_r_rm(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 value;
	int ret;

	ret = umbra_exec_rm_read(c, size, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, c->insn.reg, size, value);
	return UMBRA_EMUL_DONE;
}

/* c6, c7 /0: MOV r/m, imm */
int umbra_exec_mov_rm_imm(struct umbra_emul *c)
{
	if (c->insn.modrm & 0x38) {
		/* /7 with a register operand is XABORT or XBEGIN. */
		return c->insn.modrm == 0xf8 ? UMBRA_EMUL_UNHANDLED : umbra_exec_ud(c);
	}
	return umbra_exec_rm_write(c, c->insn.opsize, c->insn.imm);
}

/* b0..bf: MOV r, imm */
int umbra_exec_mov_r_imm(struct umbra_emul *c)
{
	unsigned int reg = (c->insn.opcode & 7) | ((c->insn.rex & UMBRA_REX_B) << 3);

	umbra_exec_set_reg(c, reg, c->insn.opsize, c->insn.imm);
	return UMBRA_EMUL_DONE;
}

/* a0..a3: MOV between the accumulator and an absolute offset */
int umbra_exec_mov_moffs(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 value;
	int ret;

	if (c->insn.opcode & 2)
		return umbra_exec_write(c, c->insn.seg, c->insn.imm, size,
					umbra_exec_reg(c, UMBRA_EMUL_RAX, size));
	ret = umbra_exec_read(c, c->insn.seg, c->insn.imm, size, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, size, value);
	return UMBRA_EMUL_DONE;
}

/* 0f b6, b7, be, bf: MOVZX, MOVSX */
int umbra_exec_movx(struct umbra_emul *c)
{
	unsigned int from = c->insn.opcode & 1 ? 2 : 1;
	u64 value;
	int ret;

	ret = umbra_exec_rm_read(c, from, &value);
	if (ret)
		return ret;
	if (c->insn.opcode & 8)
		value = umbra_exec_sign_extend(value, from);
	umbra_exec_set_reg(c, c->insn.reg, c->insn.opsize, value);
	return UMBRA_EMUL_DONE;
}

/* 63: in 64-bit code MOVSXD; without REX.W no more than a MOV. Else ARPL. */
int umbra_exec_movsxd(struct umbra_emul *c)
{
	u64 value;
	int ret;

	if (c->code != UMBRA_CODE_64)
		return umbra_exec_arpl(c);
	/* With 66: AMD's CPUs read 4 bytes, Intel's 2. */
	if (c->insn.opsize == 2)
		return UMBRA_EMUL_UNHANDLED;
	ret = umbra_exec_rm_read(c, 4, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, c->insn.reg, c->insn.opsize, umbra_exec_sign_extend(value, 4));
	return UMBRA_EMUL_DONE;
}

static u64 swap_bytes(u64 value, unsigned int size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

/* 0f 38 f0, f1: MOVBE. (With f2: CRC32.) */
int umbra_exec_movbe(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 value;
	int ret;

	if (c->insn.rep)
		return UMBRA_EMUL_UNHANDLED;
	if (!(c->insn.flags & UMBRA_INSN_MEM))
		return umbra_exec_ud(c);
	if (c->insn.opcode & 1)
		return umbra_exec_rm_write(c, size,
					   swap_bytes(umbra_exec_reg(c, c->insn.reg, size), size));
	ret = umbra_exec_rm_read(c, size, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, c->insn.reg, size, swap_bytes(value, size));
	return UMBRA_EMUL_DONE;
}

/* 0f c3: MOVNTI, of 4 or 8 bytes even in 16-bit code */
int umbra_exec_movnti(struct umbra_emul *c)
{
	unsigned int size = c->insn.rex & UMBRA_REX_W ? 8 : 4;

	if (!(c->insn.flags & UMBRA_INSN_MEM) || c->insn.rep ||
	    (c->insn.flags & UMBRA_INSN_OP66))
		return umbra_exec_ud(c);
	return umbra_exec_rm_write(c, size, umbra_exec_reg(c, c->insn.reg, size));
}

/* 86, 87: XCHG; with memory it is atomic, LOCK or not. */
int umbra_exec_xchg(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	struct umbra_rmw m;
	int ret;

	ret = umbra_exec_rmw_begin(c, &m, size, true);
	if (ret)
		return ret;
	ret = umbra_exec_rmw_end(c, &m, umbra_exec_reg(c, c->insn.reg, size));
	if (ret)
		return ret;
	umbra_exec_set_reg(c, c->insn.reg, size, m.value);
	return UMBRA_EMUL_DONE;
}

/* 90..97: XCHG with the accumulator; f3 90 is PAUSE, whatever REX says. */
int umbra_exec_xchg_acc(struct umbra_emul *c)
{
	unsigned int reg = (c->insn.opcode & 7) | ((c->insn.rex & UMBRA_REX_B) << 3);
	unsigned int size = c->insn.opsize;
	u64 acc, other;

	/* NOP: not even the upper half of RAX changes. */
	if (reg == UMBRA_EMUL_RAX || (c->insn.opcode == 0x90 && c->insn.rep == 0xf3))
		return UMBRA_EMUL_DONE;
	acc = umbra_exec_reg(c, UMBRA_EMUL_RAX, size);
	other = umbra_exec_reg(c, reg, size);
	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, size, other);
	umbra_exec_set_reg(c, reg, size, acc);
	return UMBRA_EMUL_DONE;
}

/* 0f c8..cf: BSWAP; on 16 bits undefined, and zero on every CPU seen. */
int umbra_exec_bswap(struct umbra_emul *c)
{
	unsigned int reg = (c->insn.opcode & 7) | ((c->insn.rex & UMBRA_REX_B) << 3);
	unsigned int size = c->insn.opsize;
	u64 value = 0;

	if (size > 2)
		value = swap_bytes(umbra_exec_reg(c, reg, size), size);
	umbra_exec_set_reg(c, reg, size, value);
	return UMBRA_EMUL_DONE;
}

/**
 * umbra_exec_condition() - evaluate a condition code
 * @c:	the context
 * @cc:	its number, as in the low four bits of Jcc, SETcc and CMOVcc
 *
 * Return: whether it holds.
 */
bool umbra_exec_condition(const struct umbra_emul *c, unsigned int cc)
{
	u64 f = c->rflags;
	bool less = !(f & X86_EFLAGS_SF) != !(f & X86_EFLAGS_OF);
	bool r;

	switch (cc >> 1) {
	case 0:
		r = f & X86_EFLAGS_OF;
		break;
	case 1:
		r = f & X86_EFLAGS_CF;
		break;
	case 2:
		r = f & X86_EFLAGS_ZF;
		break;
	case 3:
		r = f & (X86_EFLAGS_CF | X86_EFLAGS_ZF);
		break;
	case 4:
		r = f & X86_EFLAGS_SF;
		break;
	case 5:
		r = f & X86_EFLAGS_PF;
		break;
	case 6:
		r = less;
		break;
	default:
		r = less || (f & X86_EFLAGS_ZF);
		break;
	}
	return r ^ (cc & 1);
}

/* 0f 90..9f: SETcc */
int umbra_exec_setcc(struct umbra_emul *c)
{
	return umbra_exec_rm_write(c, 1, umbra_exec_condition(c, c->insn.opcode & 15));
}

/* 0f 40..4f: CMOVcc; the source is read in any case. */
int umbra_exec_cmovcc(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	u64 value;
	int ret;

	ret = umbra_exec_rm_read(c, size, &value);
	if (ret)
		return ret;
	/* A false 32-bit move still clears the upper half. */
	if (!umbra_exec_condition(c, c->insn.opcode & 15))
		value = umbra_exec_reg(c, c->insn.reg, size);
	umbra_exec_set_reg(c, c->insn.reg, size, value);
	return UMBRA_EMUL_DONE;
}

/* 8d: LEA */
int umbra_exec_lea(struct umbra_emul *c)
{
	if (!(c->insn.flags & UMBRA_INSN_MEM))
		return umbra_exec_ud(c);
	umbra_exec_set_reg(c, c->insn.reg, c->insn.opsize, umbra_exec_offset(c));
	return UMBRA_EMUL_DONE;
}

/* The flags that LAHF and SAHF move */
#define AH_FLAGS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF)

/* 9f: LAHF */
int umbra_exec_lahf(struct umbra_emul *c)
{
	u64 *rax = &c->gpr[UMBRA_EMUL_RAX];

	*rax = (*rax & ~0xff00ULL) | ((c->rflags & AH_FLAGS) | X86_EFLAGS_FIXED) << 8;
	return UMBRA_EMUL_DONE;
}

/* 9e: SAHF */
int umbra_exec_sahf(struct umbra_emul *c)
{
	umbra_exec_set_flags(c, AH_FLAGS, c->gpr[UMBRA_EMUL_RAX] >> 8);
	return UMBRA_EMUL_DONE;
}

/* 98: CBW, CWDE, CDQE */
int umbra_exec_cbw(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;

	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, size,
			   umbra_exec_sign_extend(c->gpr[UMBRA_EMUL_RAX], size / 2));
	return UMBRA_EMUL_DONE;
}

/* 99: CWD, CDQ, CQO */
int umbra_exec_cwd(struct umbra_emul *c)
{
	unsigned int size = c->insn.opsize;
	bool negative = c->gpr[UMBRA_EMUL_RAX] & umbra_exec_sign_bit(size);

	umbra_exec_set_reg(c, UMBRA_EMUL_RDX, size, negative ? ~0ULL : 0);
	return UMBRA_EMUL_DONE;
}

/* d7: XLAT */
int umbra_exec_xlat(struct umbra_emul *c)
{
	u64 offset = c->gpr[UMBRA_EMUL_RBX] + (u8)c->gpr[UMBRA_EMUL_RAX];
	u64 value;
	int ret;

	ret = umbra_exec_read(c, c->insn.seg, offset & umbra_exec_mask(c->insn.adsize), 1, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, 1, value);
	return UMBRA_EMUL_DONE;
}
