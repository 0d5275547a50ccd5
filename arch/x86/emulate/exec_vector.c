// SPDX-License-Identifier: GPL-2.0-only
/*
 * The moves of SSE, SSE2, SSE3, SSE4.1 and their VEX forms: what compilers and
 * kernels use to copy memory; and those of MMX. No arithmetic, no EVEX.
 */
#include "exec.h"

/* The mandatory prefix, as VEX.pp counts it */
enum { PP_NONE, PP_66, PP_F3, PP_F2 };

enum kind {
	FULL,		/* the whole vector */
	SCALAR,		/* lowest element; a load from memory clears the rest of 128 bits */
	QUAD,		/* the same for MOVQ, whose register form clears the rest, too */
	LOW,		/* low half of 128 bits; the other half is kept, or that of VEX.vvvv */
	HIGH,		/* high half, likewise */
	GPR,		/* MOVD, MOVQ between a vector and a general register or memory */
};

#define STORE		BIT(0)	/* to ModRM.rm, else from there */
#define ALIGNED		BIT(1)	/* #GP(0) unless aligned to the vector's length */
#define MEMORY		BIT(2)	/* #UD with a register */

/**
 * struct move - what an opcode with its mandatory prefix does
 * @kind:	which part of the vector
 * @flags:	STORE, ALIGNED, MEMORY
 * @size:	bytes of SCALAR and QUAD
 */
struct move {
	u8 kind;
	u8 flags;
	u8 size;
};

#define MOVE(opcode, pp)	((opcode) << 2 | (pp))

static bool find_move(unsigned int map, unsigned int opcode, unsigned int pp, struct move *m)
{
	m->flags = 0;
	m->size = 8;

	if (map == UMBRA_MAP_0F38) {
		/* MOVNTDQA */
		m->kind = FULL;
		m->flags = ALIGNED | MEMORY;
		return opcode == 0x2a && pp == PP_66;
	}

	switch (MOVE(opcode, pp)) {
	case MOVE(0x11, PP_NONE):	/* MOVUPS */
	case MOVE(0x11, PP_66):		/* MOVUPD */
	case MOVE(0x7f, PP_F3):		/* MOVDQU */
		m->flags = STORE;
		fallthrough;
	case MOVE(0x10, PP_NONE):
	case MOVE(0x10, PP_66):
	case MOVE(0x6f, PP_F3):
		m->kind = FULL;
		return true;

	case MOVE(0x29, PP_NONE):	/* MOVAPS */
	case MOVE(0x29, PP_66):		/* MOVAPD */
	case MOVE(0x7f, PP_66):		/* MOVDQA */
		m->flags = STORE;
		fallthrough;
	case MOVE(0x28, PP_NONE):
	case MOVE(0x28, PP_66):
	case MOVE(0x6f, PP_66):
		m->kind = FULL;
		m->flags |= ALIGNED;
		return true;

	case MOVE(0x2b, PP_NONE):	/* MOVNTPS */
	case MOVE(0x2b, PP_66):		/* MOVNTPD */
	case MOVE(0xe7, PP_66):		/* MOVNTDQ */
		m->kind = FULL;
		m->flags = STORE | ALIGNED | MEMORY;
		return true;

	case MOVE(0xf0, PP_F2):		/* LDDQU */
		m->kind = FULL;
		m->flags = MEMORY;
		return true;

	case MOVE(0x11, PP_F3):		/* MOVSS */
	case MOVE(0x11, PP_F2):		/* MOVSD */
		m->flags = STORE;
		fallthrough;
	case MOVE(0x10, PP_F3):
	case MOVE(0x10, PP_F2):
		m->kind = SCALAR;
		m->size = pp == PP_F3 ? 4 : 8;
		return true;

	case MOVE(0xd6, PP_66):		/* MOVQ */
		m->flags = STORE;
		fallthrough;
	case MOVE(0x7e, PP_F3):
		m->kind = QUAD;
		return true;

	case MOVE(0x13, PP_NONE):	/* MOVLPS */
	case MOVE(0x13, PP_66):		/* MOVLPD */
		m->kind = LOW;
		m->flags = STORE | MEMORY;
		return true;
	case MOVE(0x12, PP_NONE):	/* or MOVHLPS */
		m->kind = LOW;
		return true;
	case MOVE(0x12, PP_66):
		m->kind = LOW;
		m->flags = MEMORY;
		return true;

	case MOVE(0x17, PP_NONE):	/* MOVHPS */
	case MOVE(0x17, PP_66):		/* MOVHPD */
		m->kind = HIGH;
		m->flags = STORE | MEMORY;
		return true;
	case MOVE(0x16, PP_NONE):	/* or MOVLHPS */
		m->kind = HIGH;
		return true;
	case MOVE(0x16, PP_66):
		m->kind = HIGH;
		m->flags = MEMORY;
		return true;

	case MOVE(0x7e, PP_66):		/* MOVD, MOVQ */
		m->flags = STORE;
		fallthrough;
	case MOVE(0x6e, PP_66):
		m->kind = GPR;
		return true;

	default:
		return false;
	}
}

/* SDM Vol. 2A, 2.4 and 2.5; APM Vol. 4, 1.3: may vector registers be used at all? */
static int check_enabled(struct umbra_emul *c)
{
	u64 xcr0;
	int ret;

	if (c->insn.flags & UMBRA_INSN_VEX) {
		if (!(c->cr4 & X86_CR4_OSXSAVE))
			return umbra_exec_ud(c);
		ret = c->ops->get_xcr(c, 0, &xcr0);
		if (ret)
			return ret;
		if ((xcr0 & 6) != 6)
			return umbra_exec_ud(c);
	} else if ((c->cr0 & X86_CR0_EM) || !(c->cr4 & X86_CR4_OSFXSR)) {
		return umbra_exec_ud(c);
	}
	if (c->cr0 & X86_CR0_TS)
		return umbra_emul_fault(c, X86_TRAP_NM, false, 0);
	return UMBRA_EMUL_DONE;
}

static int get_vec(struct umbra_emul *c, unsigned int reg, void *data, unsigned int len)
{
	return c->ops->get_vec(c, reg, data, len);
}

/* A VEX form clears what lies above the vector it writes, an SSE form keeps it. */
static int set_vec(struct umbra_emul *c, unsigned int reg, const void *data, unsigned int len)
{
	return c->ops->set_vec(c, reg, data, len, c->insn.flags & UMBRA_INSN_VEX);
}

/* Linear address of the memory operand. */
static int mem_address(struct umbra_emul *c, unsigned int len, const struct move *m, u64 *linear)
{
	unsigned int align = len <= 8 ? len : 1;
	int ret;

	ret = umbra_exec_linear(c, c->insn.seg, umbra_exec_offset(c), len, align,
				m->flags & STORE ? UMBRA_STORE : UMBRA_LOAD, linear);
	if (ret)
		return ret;
	if ((m->flags & ALIGNED) && (*linear & (len - 1)))
		return umbra_exec_gp(c);
	return UMBRA_EMUL_DONE;
}

static int load_mem(struct umbra_emul *c, void *data, unsigned int len, const struct move *m)
{
	u64 linear;
	int ret;

	ret = mem_address(c, len, m, &linear);
	return ret ?: umbra_exec_mem_read(c, linear, data, len, 0);
}

static int store_mem(struct umbra_emul *c, const void *data, unsigned int len,
		     const struct move *m)
{
	u64 linear;
	int ret;

	ret = mem_address(c, len, m, &linear);
	return ret ?: umbra_exec_mem_write(c, linear, data, len, 0);
}

static int move_full(struct umbra_emul *c, const struct move *m)
{
	unsigned int len = c->insn.flags & UMBRA_INSN_VEX ? c->insn.vl : 16;
	bool mem = c->insn.flags & UMBRA_INSN_MEM;
	u8 data[32];
	int ret;

	if (m->flags & STORE) {
		ret = get_vec(c, c->insn.reg, data, len);
		if (ret)
			return ret;
		return mem ? store_mem(c, data, len, m) : set_vec(c, c->insn.rm, data, len);
	}
	ret = mem ? load_mem(c, data, len, m) : get_vec(c, c->insn.rm, data, len);
	return ret ?: set_vec(c, c->insn.reg, data, len);
}

/* MOVSS, MOVSD, MOVQ */
static int move_scalar(struct umbra_emul *c, const struct move *m)
{
	bool store = m->flags & STORE;
	unsigned int to = store ? c->insn.rm : c->insn.reg;
	unsigned int from = store ? c->insn.reg : c->insn.rm;
	u8 data[16], source[16];
	int ret;

	if (c->insn.flags & UMBRA_INSN_MEM) {
		memset(data, 0, sizeof(data));
		if (!store) {
			ret = load_mem(c, data, m->size, m);
			return ret ?: set_vec(c, to, data, 16);
		}
		ret = get_vec(c, from, data, 16);
		return ret ?: store_mem(c, data, m->size, m);
	}

	/* Between registers MOVSS and MOVSD keep the rest: of vvvv, or of the target. */
	if (m->kind == QUAD) {
		memset(data, 0, sizeof(data));
	} else {
		ret = get_vec(c, c->insn.flags & UMBRA_INSN_VEX ? c->insn.vvvv : to, data, 16);
		if (ret)
			return ret;
	}
	ret = get_vec(c, from, source, 16);
	if (ret)
		return ret;
	memcpy(data, source, m->size);
	return set_vec(c, to, data, 16);
}

/* MOVLPS, MOVHPS and relatives */
static int move_half(struct umbra_emul *c, const struct move *m)
{
	unsigned int half = m->kind == HIGH ? 8 : 0;
	u8 data[16], source[16];
	int ret;

	if (m->flags & STORE) {
		ret = get_vec(c, c->insn.reg, data, 16);
		return ret ?: store_mem(c, data + half, 8, m);
	}

	ret = get_vec(c, c->insn.flags & UMBRA_INSN_VEX ? c->insn.vvvv : c->insn.reg, data, 16);
	if (ret)
		return ret;
	if (c->insn.flags & UMBRA_INSN_MEM) {
		ret = load_mem(c, data + half, 8, m);
	} else {
		/* MOVHLPS and MOVLHPS take the other half. */
		ret = get_vec(c, c->insn.rm, source, 16);
		if (!ret)
			memcpy(data + half, source + (8 - half), 8);
	}
	return ret ?: set_vec(c, c->insn.reg, data, 16);
}

static int move_gpr(struct umbra_emul *c, const struct move *m)
{
	unsigned int size = c->code == UMBRA_CODE_64 && (c->insn.rex & UMBRA_REX_W) ? 8 : 4;
	u8 data[16] = { 0 };
	u64 value = 0;
	int ret;

	if (m->flags & STORE) {
		ret = get_vec(c, c->insn.reg, data, 16);
		if (ret)
			return ret;
		memcpy(&value, data, size);
		return umbra_exec_rm_write(c, size, value);
	}
	ret = umbra_exec_rm_read(c, size, &value);
	if (ret)
		return ret;
	memcpy(data, &value, size);
	return set_vec(c, c->insn.reg, data, 16);
}

/* MOVD, MOVQ and MOVNTQ of MMX registers, which ignore REX.R and REX.B */
static int move_mmx(struct umbra_emul *c)
{
	unsigned int opcode = c->insn.opcode, reg = c->insn.reg & 7, size = 8;
	bool mem = c->insn.flags & UMBRA_INSN_MEM, gpr = opcode == 0x6e || opcode == 0x7e;
	const struct move m = { .flags = opcode & 0x10 || opcode == 0xe7 ? STORE : 0 };
	u64 value = 0, linear;
	int ret;

	if (gpr && !(c->code == UMBRA_CODE_64 && (c->insn.rex & UMBRA_REX_W)))
		size = 4;
	if (c->cr0 & X86_CR0_EM || (opcode == 0xe7 && !mem))
		return umbra_exec_ud(c);
	if (c->cr0 & X86_CR0_TS)
		return umbra_emul_fault(c, X86_TRAP_NM, false, 0);
	ret = c->ops->get_mmx(c, reg, NULL);
	if (ret)
		return ret;

	if (!(m.flags & STORE)) {
		if (gpr)
			ret = umbra_exec_rm_read(c, size, &value);
		else if (mem)
			ret = load_mem(c, &value, size, &m);
		else
			ret = c->ops->get_mmx(c, c->insn.rm & 7, &value);
		return ret ?: c->ops->set_mmx(c, reg, value);
	}
	/* The x87 state changes with the read already, so nothing may fault behind it. */
	if (mem) {
		ret = mem_address(c, size, &m, &linear);
		if (!ret)
			ret = umbra_exec_mem_write(c, linear, NULL, size, UMBRA_EMUL_PROBE);
	}
	if (!ret)
		ret = c->ops->get_mmx(c, reg, &value);
	if (ret)
		return ret;
	if (mem)
		return umbra_exec_mem_write(c, linear, &value, size, 0);
	return gpr ? umbra_exec_rm_write(c, size, value) :
		     c->ops->set_mmx(c, c->insn.rm & 7, value);
}

/* With no prefix these opcodes move MMX registers. */
static bool is_mmx(const struct umbra_emul *c, unsigned int pp)
{
	if (c->insn.map != UMBRA_MAP_0F || pp != PP_NONE || c->insn.flags & UMBRA_INSN_VEX)
		return false;
	switch (c->insn.opcode) {
	case 0x6e:
	case 0x6f:
	case 0x7e:
	case 0x7f:
	case 0xe7:
		return true;
	default:
		return false;
	}
}

/* Does this VEX form use vvvv, so that it may be something else than 1111? */
static bool uses_vvvv(const struct umbra_emul *c, const struct move *m)
{
	if (m->kind == SCALAR)
		return !(c->insn.flags & UMBRA_INSN_MEM);
	return (m->kind == LOW || m->kind == HIGH) && !(m->flags & STORE);
}

/* 0f 10..17, 28, 29, 2b, 6e, 6f, 7e, 7f, d6, e7, f0 and 0f 38 2a */
int umbra_exec_vector(struct umbra_emul *c)
{
	unsigned int pp = PP_NONE;
	struct move m;
	int ret;

	/* f2 and f3 win over 66. */
	if (c->insn.rep)
		pp = c->insn.rep == 0xf3 ? PP_F3 : PP_F2;
	else if (c->insn.flags & UMBRA_INSN_OP66)
		pp = PP_66;

	if (is_mmx(c, pp))
		return move_mmx(c);
	if (!find_move(c->insn.map, c->insn.opcode, pp, &m))
		return UMBRA_EMUL_UNHANDLED;
	if ((m.flags & MEMORY) && !(c->insn.flags & UMBRA_INSN_MEM))
		return umbra_exec_ud(c);
	if (c->insn.flags & UMBRA_INSN_VEX) {
		if (c->insn.vvvv && !uses_vvvv(c, &m))
			return umbra_exec_ud(c);
		if (c->insn.vl != 16 && m.kind != FULL && m.kind != SCALAR)
			return umbra_exec_ud(c);
	}
	ret = check_enabled(c);
	if (ret)
		return ret;

	switch (m.kind) {
	case FULL:
		return move_full(c, &m);
	case SCALAR:
	case QUAD:
		return move_scalar(c, &m);
	case LOW:
	case HIGH:
		return move_half(c, &m);
	default:
		return move_gpr(c, &m);
	}
}
