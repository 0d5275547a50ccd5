// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instruction decoder.
 *
 * Two tables of 256 attribute words describe the one-byte and the 0f opcodes;
 * the other maps are regular enough to need none (every opcode of 0f 38 has
 * ModRM, every one of 0f 3a has ModRM and one immediate byte, and so on).
 * See SDM Vol. 2, chapter 2 and appendix A; APM Vol. 3, chapter 1 and appendix A.
 */
#include "emulate.h"
#include "attr.h"

/* Short names, so that a row of the tables fits a line */
#define NO	IMM_NONE
#define IB	IMM_IB
#define IW	IMM_IW
#define IZ	IMM_IZ
#define JB	(ATTR_F64 | IMM_IB)
#define JZ	(ATTR_F64 | IMM_JZ)
#define FAR	(ATTR_I64 | IMM_FAR)
#define X	ATTR_SPECIAL
#define U	ATTR_UNKNOWN
#define N	ATTR_I64
#define D	ATTR_D64
#define B	ATTR_BYTE
#define M	ATTR_MODRM
#define MB	(ATTR_MODRM | ATTR_BYTE)
#define L	(ATTR_MODRM | ATTR_LOCK)
#define LB	(ATTR_MODRM | ATTR_LOCK | ATTR_BYTE)
#define R	(ATTR_MODRM | ATTR_REGONLY)
#define OFB	(ATTR_BYTE | IMM_MOFFS)
#define OFV	IMM_MOFFS

static const u16 attr_1byte[256] = {
	/* 00 */ LB, L, MB, M, B | IB, IZ, N, N,
	/* 08 */ LB, L, MB, M, B | IB, IZ, N, X,
	/* 10 */ LB, L, MB, M, B | IB, IZ, N, N,
	/* 18 */ LB, L, MB, M, B | IB, IZ, N, N,
	/* 20 */ LB, L, MB, M, B | IB, IZ, X, N,
	/* 28 */ LB, L, MB, M, B | IB, IZ, X, N,
	/* 30 */ LB, L, MB, M, B | IB, IZ, X, N,
	/* 38 */ MB, M, MB, M, B | IB, IZ, X, N,
	/* 40 */ X, X, X, X, X, X, X, X,
	/* 48 */ X, X, X, X, X, X, X, X,
	/* 50 */ D, D, D, D, D, D, D, D,
	/* 58 */ D, D, D, D, D, D, D, D,
	/* 60 */ N, N, X | M, M, X, X, X, X,
	/* 68 */ D | IZ, M | IZ, D | IB, M | IB, B, NO, B, NO,
	/* 70 */ JB, JB, JB, JB, JB, JB, JB, JB,
	/* 78 */ JB, JB, JB, JB, JB, JB, JB, JB,
	/* 80 */ LB | IB, L | IZ, N | LB | IB, L | IB, MB, M, LB, L,
	/* 88 */ MB, M, MB, M, M, M, M, X | D | M,
	/* 90 */ NO, NO, NO, NO, NO, NO, NO, NO,
	/* 98 */ NO, NO, FAR, NO, D, D, NO, NO,
	/* a0 */ OFB, OFV, OFB, OFV, B, NO, B, NO,
	/* a8 */ B | IB, IZ, B, NO, B, NO, B, NO,
	/* b0 */ B | IB, B | IB, B | IB, B | IB, B | IB, B | IB, B | IB, B | IB,
	/* b8 */ IMM_IV, IMM_IV, IMM_IV, IMM_IV, IMM_IV, IMM_IV, IMM_IV, IMM_IV,
	/* c0 */ MB | IB, M | IB, ATTR_F64 | IW, ATTR_F64, X | M, X | M, MB | IB, M | IZ,
	/* c8 */ D | IMM_ENTER, D, IW, NO, NO, IB, N, NO,
	/* d0 */ MB, M, MB, M, N | IB, N | IB, N, B,
	/* d8 */ M, M, M, M, M, M, M, M,
	/* e0 */ JB, JB, JB, JB, B | IB, IB, B | IB, IB,
	/* e8 */ JZ, JZ, FAR, JB, B, NO, B, NO,
	/* f0 */ X, NO, X, X, NO, NO, LB | IMM_GROUP3, L | IMM_GROUP3,
	/* f8 */ NO, NO, NO, NO, NO, NO, LB, L | ATTR_GROUP5,
};

static const u16 attr_0f[256] = {
	/* 00 */ M, M, M, M, U, NO, NO, NO,
	/* 08 */ NO, NO, U, NO, U, M, NO, X,
	/* 10 */ M, M, M, M, M, M, M, M,
	/* 18 */ M, M, M, M, M, M, M, M,
	/* 20 */ R | ATTR_LOCK, R, R | ATTR_LOCK, R, U, U, U, U,
	/* 28 */ M, M, M, M, M, M, M, M,
	/* 30 */ NO, NO, NO, NO, NO, NO, U, NO,
	/* 38 */ X, U, X, U, U, U, U, U,
	/* 40 */ M, M, M, M, M, M, M, M,
	/* 48 */ M, M, M, M, M, M, M, M,
	/* 50 */ M, M, M, M, M, M, M, M,
	/* 58 */ M, M, M, M, M, M, M, M,
	/* 60 */ M, M, M, M, M, M, M, M,
	/* 68 */ M, M, M, M, M, M, M, M,
	/* 70 */ M | IB, M | IB, M | IB, M | IB, M, M, M, NO,
	/* 78 */ M | IMM_SSE4A, M, U, U, M, M, M, M,
	/* 80 */ JZ, JZ, JZ, JZ, JZ, JZ, JZ, JZ,
	/* 88 */ JZ, JZ, JZ, JZ, JZ, JZ, JZ, JZ,
	/* 90 */ MB, MB, MB, MB, MB, MB, MB, MB,
	/* 98 */ MB, MB, MB, MB, MB, MB, MB, MB,
	/* a0 */ D, D, NO, M, M | IB, M, U, U,
	/* a8 */ D, D, NO, L, M | IB, M, M, M,
	/* b0 */ LB, L, M, L, M, M, M, M,
	/* b8 */ M, M, L | IB, L, M, M, M, M,
	/* c0 */ LB, L, M | IB, M, M | IB, M | IB, M | IB, L,
	/* c8 */ NO, NO, NO, NO, NO, NO, NO, NO,
	/* d0 */ M, M, M, M, M, M, M, M,
	/* d8 */ M, M, M, M, M, M, M, M,
	/* e0 */ M, M, M, M, M, M, M, M,
	/* e8 */ M, M, M, M, M, M, M, M,
	/* f0 */ M, M, M, M, M, M, M, M,
	/* f8 */ M, M, M, M, M, M, M, M,
};

#undef NO
#undef IB
#undef IW
#undef IZ
#undef JB
#undef JZ
#undef FAR
#undef X
#undef U
#undef N
#undef D
#undef B
#undef M
#undef MB
#undef L
#undef LB
#undef R
#undef OFB
#undef OFV

/*
 * The helpers below take the place in the bytes and their end, and return the place
 * behind what they took; NULL when the bytes end too soon.
 */

static __always_inline u64 load_u16(const u8 *p)
{
	u16 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static __always_inline u64 load_u32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static __always_inline u64 load_u64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Displacement of @size bytes: 0, 1, 2 or 4. */
static __always_inline const u8 *take_disp(struct umbra_insn *insn, const u8 *p, const u8 *end,
					   unsigned int size)
{
	if (!size)
		return p;
	if (unlikely(end - p < (long)size))
		return NULL;
	if (size == 1)
		insn->disp = (s8)*p;
	else if (size == 2)
		insn->disp = (s16)load_u16(p);
	else
		insn->disp = (s32)load_u32(p);
	return p + size;
}

/* ModRM of 16-bit addressing: SDM Vol. 2, table 2-1. */
static noinline const u8 *take_modrm16(struct umbra_insn *insn, const u8 *p, const u8 *end,
				       bool seg_default)
{
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7;
	bool disp_only = mod == 0 && rm == 6;

	/* BP+SI, BP+DI and BP address the stack. */
	if (seg_default && (rm == 2 || rm == 3 || (rm == 6 && !disp_only)))
		insn->seg = UMBRA_EMUL_SS;
	return take_disp(insn, p, end, disp_only ? 2 : mod);
}

/* ModRM and SIB of 32- and 64-bit addressing: SDM Vol. 2, tables 2-2 and 2-3. */
static __always_inline const u8 *take_modrm32(struct umbra_insn *insn, const u8 *p,
					      const u8 *end, bool seg_default)
{
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7, base = rm;

	if (rm == 4) {
		if (unlikely(p == end))
			return NULL;
		insn->sib = *p++;
		base = insn->sib & 7;
	}

	if (base == 5 && mod == 0) {
		if (rm == 5 && insn->code == UMBRA_CODE_64)
			insn->flags |= UMBRA_INSN_RIPREL;
		return take_disp(insn, p, end, 4);
	}

	/* ESP and EBP as base address the stack, R12 and R13 do not. */
	if ((base == 4 || base == 5) && seg_default && !(insn->rex & UMBRA_REX_B))
		insn->seg = UMBRA_EMUL_SS;
	return take_disp(insn, p, end, mod == 2 ? 4 : mod);
}

static __always_inline const u8 *take_modrm(struct umbra_insn *insn, const u8 *p, const u8 *end,
					    unsigned int attr, bool seg_default)
{
	unsigned int modrm, rex = insn->rex;

	if (unlikely(p == end))
		return NULL;
	modrm = *p++;
	insn->modrm = modrm;
	insn->reg = ((modrm >> 3) & 7) | ((rex & UMBRA_REX_R) << 1);
	insn->rm = (modrm & 7) | ((rex & UMBRA_REX_B) << 3);
	if (modrm >= 0xc0 || (attr & ATTR_REGONLY)) {
		insn->flags |= UMBRA_INSN_MODRM;
		return p;
	}

	insn->flags |= UMBRA_INSN_MODRM | UMBRA_INSN_MEM;
	if (unlikely(insn->adsize == 2))
		return take_modrm16(insn, p, end, seg_default);
	return take_modrm32(insn, p, end, seg_default);
}

/* Immediates that are not one signed number */
static noinline const u8 *take_special_imm(struct umbra_insn *insn, const u8 *p, const u8 *end,
					   unsigned int kind)
{
	unsigned int size = min_t(unsigned int, insn->opsize, 4);

	switch (kind) {
	case IMM_MOFFS:
		/* An offset, so not signed */
		size = insn->adsize;
		if (end - p < (long)size)
			return NULL;
		if (size == 2)
			insn->imm = load_u16(p);
		else
			insn->imm = size == 4 ? load_u32(p) : load_u64(p);
		return p + size;
	case IMM_FAR:
		if (end - p < (long)size + 2)
			return NULL;
		insn->imm = size == 2 ? load_u16(p) : load_u32(p);
		insn->imm2 = load_u16(p + size);
		return p + size + 2;
	default: /* IMM_ENTER */
		if (end - p < 3)
			return NULL;
		insn->imm = load_u16(p);
		insn->imm2 = p[2];
		return p + 3;
	}
}

static __always_inline const u8 *take_imm(struct umbra_insn *insn, const u8 *p, const u8 *end,
					  unsigned int kind)
{
	unsigned int size;

	switch (kind) {
	case IMM_IB:
		size = 1;
		break;
	case IMM_IZ:
	case IMM_JZ:
		size = min_t(unsigned int, insn->opsize, 4);
		break;
	case IMM_GROUP3:
		if (insn->modrm & 0x30)
			return p;
		size = min_t(unsigned int, insn->opsize, 4);
		break;
	case IMM_IW:
		size = 2;
		break;
	case IMM_IV:
		size = insn->opsize;
		break;
	case IMM_SSE4A:
		if (insn->rep != 0xf2 && (insn->rep || !(insn->flags & UMBRA_INSN_OP66)))
			return p;
		size = 2;
		break;
	default:
		return take_special_imm(insn, p, end, kind);
	}

	if (unlikely(end - p < (long)size))
		return NULL;
	if (size == 1)
		insn->imm = (s8)*p;
	else if (size == 2)
		insn->imm = (s16)load_u16(p);
	else if (size == 4)
		insn->imm = (s32)load_u32(p);
	else
		insn->imm = load_u64(p);
	return p + size;
}

/* May this form of a lockable opcode have LOCK? (SDM Vol. 2, LOCK) */
static bool lock_is_legal(const struct umbra_insn *insn)
{
	unsigned int ext = (insn->modrm >> 3) & 7;

	/* MOV CRn: LOCK means CR8 (APM Vol. 3, MOV CRn). */
	if (insn->attr & ATTR_REGONLY)
		return !(insn->rex & UMBRA_REX_R);
	if (!(insn->flags & UMBRA_INSN_MEM))
		return false;
	if (insn->map == UMBRA_MAP_0F) {
		if (insn->opcode == 0xba)
			return ext >= 5;
		if (insn->opcode == 0xc7)
			return ext == 1;
		return true;
	}

	switch (insn->opcode) {
	case 0x80 ... 0x83:
		return ext != 7;
	case 0xf6:
	case 0xf7:
		return ext == 2 || ext == 3;
	case 0xfe:
	case 0xff:
		return ext < 2;
	default:
		return true;
	}
}

/* Attributes of an opcode behind VEX, EVEX or XOP. */
static unsigned int vector_attr(unsigned int map, unsigned int opcode)
{
	switch (map) {
	case UMBRA_MAP_0F:
		switch (opcode) {
		case 0x77:
			return 0;
		case 0x70 ... 0x73:
		case 0xc2:
		case 0xc4 ... 0xc6:
			return ATTR_MODRM | IMM_IB;
		default:
			return ATTR_MODRM;
		}
	case UMBRA_MAP_0F3A:
	case 8:
		return ATTR_MODRM | IMM_IB;
	default:
		return ATTR_MODRM;
	}
}

/*
 * VEX (c4, c5), EVEX (62) and XOP (8f): @first is that byte, @p stands behind it.
 * Fills in what these prefixes say, and the opcode. Returns the place behind the
 * opcode and its attributes in *@attr; or NULL and a negative errno there, where
 * -EAGAIN means that the bytes end too soon.
 */
static noinline const u8 *take_vector_prefix(struct umbra_insn *insn, const u8 *p,
					     const u8 *end, u8 first, int *attr)
{
	static const u8 pp_rep[4] = { 0, 0, 0xf3, 0xf2 };
	unsigned int p0, p1, map;
	bool w = false;

	/* They include what the older prefixes would say (SDM Vol. 2, 2.3.2-2.3.4). */
	*attr = -EINVAL;
	if ((insn->flags & (UMBRA_INSN_OP66 | UMBRA_INSN_LOCK | UMBRA_INSN_REX)) || insn->rep)
		return NULL;

	*attr = -EAGAIN;
	if (end - p < 2)
		return NULL;
	if (first == 0xc5) {
		p1 = *p++;
		map = UMBRA_MAP_0F;
		insn->rex = p1 & 0x80 ? 0 : UMBRA_REX_R;
		insn->vl = p1 & 4 ? 32 : 16;
		insn->flags |= UMBRA_INSN_VEX;
	} else {
		p0 = *p++;
		p1 = *p++;
		insn->rex = (~p0 >> 5) & (UMBRA_REX_R | UMBRA_REX_X | UMBRA_REX_B);
		w = p1 & 0x80;
		insn->vl = p1 & 4 ? 32 : 16;
		*attr = -EOPNOTSUPP;
		if (first == 0x62) {
			map = p0 & 0xf;
			/* The fixed bits; where they differ it is some later extension. */
			if (map == 0 || map == 4 || map > 6 || !(p1 & 4))
				return NULL;
			*attr = -EAGAIN;
			if (p == end)
				return NULL;
			insn->vl = 16 << min_t(unsigned int, (*p++ >> 5) & 3, 2);
			insn->flags |= UMBRA_INSN_EVEX;
		} else if (first == 0xc4) {
			map = p0 & 0x1f;
			if (map == 0 || map > 3)
				return NULL;
			insn->flags |= UMBRA_INSN_VEX;
		} else {
			map = p0 & 0x1f;
			if (map > 10)
				return NULL;
			insn->flags |= UMBRA_INSN_XOP;
		}
		if (w)
			insn->rex |= UMBRA_REX_W;
	}

	insn->vvvv = (~p1 >> 3) & 15;
	if (insn->code != UMBRA_CODE_64) {
		/* Eight registers only; the bits that say more are ignored. */
		insn->rex &= UMBRA_REX_W;
		insn->vvvv &= 7;
	}
	if ((p1 & 3) == 1)
		insn->flags |= UMBRA_INSN_OP66;
	insn->rep = pp_rep[p1 & 3];
	insn->map = map;
	insn->opsize = w ? 8 : 4;

	*attr = -EAGAIN;
	if (p == end)
		return NULL;
	insn->opcode = *p++;
	/* XOP map 10: always 4 bytes of immediate, as opsize is 4 or 8 */
	*attr = map == 10 ? ATTR_MODRM | IMM_IZ : vector_attr(map, insn->opcode);
	return p;
}

/* Does a byte that may begin VEX, EVEX or XOP really do so? @next follows it. */
static bool is_vector_prefix(unsigned int code, u8 first, u8 next)
{
	if (first == 0x8f)
		return (next & 0x1f) >= 8;
	/* What would be the register forms of LES, LDS and BOUND is the prefix. */
	return code == UMBRA_CODE_64 || next >= 0xc0;
}

/* umbra_decode() for everything that its first look does not settle. */
static noinline int decode_any(struct umbra_insn *insn, const u8 *bytes, unsigned int avail,
			       unsigned int code)
{
	const u8 *p = bytes, *end = bytes + min_t(unsigned int, avail, UMBRA_INSN_MAX);
	unsigned int attr, rex = 0, rep = 0, flags = 0, seg = UMBRA_EMUL_NR_SEG;
	unsigned int map = UMBRA_MAP_1BYTE, opsize;
	bool long_mode = code == UMBRA_CODE_64;
	int err;
	u8 b;

	insn->code = code;
	insn->disp = 0;

	for (;;) {
		if (unlikely(p == end))
			goto too_short;
		b = *p++;
		attr = attr_1byte[b];
		if (likely(!(attr & ATTR_SPECIAL)))
			goto opcode;
		if (b == 0x0f)
			break;
		if ((b & 0xf0) == 0x40) {
			/* REX, or the short INC and DEC */
			if (!long_mode) {
				attr = 0;
				goto opcode;
			}
			rex = b & 15;
			flags |= UMBRA_INSN_REX;
			continue;
		}

		switch (b) {
		case 0x66:
			flags |= UMBRA_INSN_OP66;
			break;
		case 0xf2:
		case 0xf3:
			rep = b;
			break;
		case 0xf0:
			flags |= UMBRA_INSN_LOCK;
			break;
		case 0x64:
		case 0x65:
			seg = b - 0x64 + UMBRA_EMUL_FS;
			break;
		case 0x67:
			flags |= UMBRA_INSN_AD67;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* Ignored in 64-bit code (APM Vol. 3, 1.2.4). */
			if (!long_mode)
				seg = (b >> 3) & 3;
			break;
		default:
			if (p == end)
				goto too_short;
			if (!is_vector_prefix(code, b, *p))
				goto opcode;
			insn->flags = flags;
			insn->rep = rep;
			p = take_vector_prefix(insn, p, end, b, &err);
			if (!p)
				goto fail;
			attr = err;
			goto operands;
		}
		/* A REX prefix counts only if it is the last one. */
		rex = 0;
		flags &= ~UMBRA_INSN_REX;
	}

	/* 0f */
	map = UMBRA_MAP_0F;
	if (unlikely(p == end))
		goto too_short;
	b = *p++;
	attr = attr_0f[b];
	if (unlikely(attr & ATTR_SPECIAL)) {
		if (b == 0x0f) {
			/* 3DNow!: the opcode comes where an immediate byte would. */
			map = UMBRA_MAP_3DNOW;
			attr = ATTR_MODRM | IMM_IB;
		} else {
			map = b == 0x38 ? UMBRA_MAP_0F38 : UMBRA_MAP_0F3A;
			attr = ATTR_MODRM | (b == 0x3a ? IMM_IB : 0);
			if (p == end)
				goto too_short;
			b = *p++;
		}
	}

opcode:
	if (unlikely(attr & (ATTR_UNKNOWN | ATTR_I64))) {
		err = -EOPNOTSUPP;
		if (attr & ATTR_UNKNOWN)
			goto fail;
		err = -EINVAL;
		if (long_mode)
			goto fail;
	}

	/* Operand size: SDM Vol. 1, table 3-4; APM Vol. 3, table 1-2 */
	if (attr & ATTR_BYTE) {
		opsize = 1;
	} else if (long_mode) {
		opsize = 8;
		if (!(rex & UMBRA_REX_W) && !(attr & (ATTR_F64 | ATTR_REGONLY))) {
			if (flags & UMBRA_INSN_OP66)
				opsize = 2;
			else if (!(attr & ATTR_D64))
				opsize = 4;
		}
	} else if (attr & ATTR_REGONLY) {
		opsize = 4;
	} else {
		opsize = !!(flags & UMBRA_INSN_OP66) != (code == UMBRA_CODE_32) ? 4 : 2;
	}

	insn->map = map;
	insn->opcode = b;
	insn->opsize = opsize;
	insn->rex = rex;
	insn->rep = rep;
	insn->flags = flags;

operands:
	insn->attr = attr;
	insn->adsize = code;
	if (unlikely(flags & UMBRA_INSN_AD67))
		insn->adsize = code == UMBRA_CODE_32 ? 2 : 4;
	insn->seg = seg == UMBRA_EMUL_NR_SEG ? UMBRA_EMUL_DS : seg;

	if (attr & ATTR_MODRM) {
		p = take_modrm(insn, p, end, attr, seg == UMBRA_EMUL_NR_SEG);
		if (unlikely(!p))
			goto too_short;
		/* ff: near CALL and JMP (2, 4) and PUSH (6) have their own default. */
		if (unlikely(attr & ATTR_GROUP5) && long_mode) {
			unsigned int ext = (insn->modrm >> 3) & 7;

			if (ext == 2 || ext == 4 || (ext == 6 && insn->opsize == 4))
				insn->opsize = 8;
		}
	}

	if (attr & ATTR_IMM) {
		/*
		 * 66 before a near branch in 64-bit code: Intel's CPUs ignore it,
		 * AMD's take a 16-bit displacement.
		 */
		if ((attr & ATTR_IMM) == IMM_JZ && long_mode && (flags & UMBRA_INSN_OP66) &&
		    !(rex & UMBRA_REX_W)) {
			err = -EOPNOTSUPP;
			goto fail;
		}
		p = take_imm(insn, p, end, attr & ATTR_IMM);
		if (unlikely(!p))
			goto too_short;
		if (unlikely(map == UMBRA_MAP_3DNOW))
			insn->opcode = insn->imm;
	}

	if (unlikely(flags & UMBRA_INSN_LOCK) &&
	    (!(attr & ATTR_LOCK) || !lock_is_legal(insn))) {
		err = -EINVAL;
		goto fail;
	}

	insn->length = p - bytes;
	return 0;

too_short:
	err = -EAGAIN;
fail:
	insn->length = 0;
	return err == -EAGAIN && avail >= UMBRA_INSN_MAX ? -E2BIG : err;
}

/*
 * Most instructions that come here have no prefix but REX, and no immediate: CPUID,
 * HLT, RDMSR, VMMCALL, MOV CR, IN and OUT of exits; MOV of MMIO and of page tables. Of
 * these, too, 15 bytes are nearly always there. They are done here, by few instructions;
 * what is written must be what decode_any() would have written.
 */
int umbra_decode(struct umbra_insn *insn, const u8 *bytes, unsigned int avail, unsigned int code)
{
	unsigned int opcode, attr, map = UMBRA_MAP_1BYTE, rex = 0, flags = 0;
	const u8 *p = bytes;

	if (unlikely(avail < UMBRA_INSN_MAX))
		return decode_any(insn, bytes, avail, code);
	opcode = *p++;
	if ((opcode & 0xf0) == 0x40 && code == UMBRA_CODE_64) {
		rex = opcode & 15;
		flags = UMBRA_INSN_REX;
		opcode = *p++;
	}
	attr = attr_1byte[opcode];
	if (opcode == 0x0f) {
		opcode = *p++;
		attr = attr_0f[opcode];
		map = UMBRA_MAP_0F;
	}
	if (unlikely(attr & (ATTR_SPECIAL | ATTR_UNKNOWN | ATTR_I64 | ATTR_GROUP5 | ATTR_IMM)) ||
	    code == UMBRA_CODE_16)
		return decode_any(insn, bytes, avail, code);

	insn->map = map;
	insn->opcode = opcode;
	insn->adsize = code;
	insn->code = code;
	insn->rex = rex;
	insn->rep = 0;
	insn->seg = UMBRA_EMUL_DS;
	insn->flags = flags;
	insn->attr = attr;
	insn->disp = 0;
	insn->opsize = 4;
	if (attr & ATTR_BYTE)
		insn->opsize = 1;
	else if (code == UMBRA_CODE_64 &&
		 ((rex & UMBRA_REX_W) || (attr & (ATTR_D64 | ATTR_F64 | ATTR_REGONLY))))
		insn->opsize = 8;
	if (attr & ATTR_MODRM)
		p = take_modrm(insn, p, bytes + UMBRA_INSN_MAX, attr, true);
	insn->length = p - bytes;
	return 0;
}

u64 umbra_insn_offset(const struct umbra_insn *insn, const u64 *gpr, u64 rip)
{
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7;
	u64 offset = (s64)insn->disp;

	if (insn->adsize == 2) {
		static const u8 base[8] = {
			UMBRA_EMUL_RBX, UMBRA_EMUL_RBX, UMBRA_EMUL_RBP, UMBRA_EMUL_RBP,
			UMBRA_EMUL_RSI, UMBRA_EMUL_RDI, UMBRA_EMUL_RBP, UMBRA_EMUL_RBX,
		};

		if (mod || rm != 6)
			offset += gpr[base[rm]];
		if (rm < 4)
			offset += gpr[rm & 1 ? UMBRA_EMUL_RDI : UMBRA_EMUL_RSI];
		return (u16)offset;
	}

	if (rm == 4) {
		unsigned int base = insn->sib & 7;
		unsigned int index = ((insn->sib >> 3) & 7) | ((insn->rex & UMBRA_REX_X) << 2);

		if (base != 5 || mod)
			offset += gpr[base | ((insn->rex & UMBRA_REX_B) << 3)];
		if (index != UMBRA_EMUL_RSP)
			offset += gpr[index] << (insn->sib >> 6);
	} else if (insn->flags & UMBRA_INSN_RIPREL) {
		offset += rip + insn->length;
	} else if (rm != 5 || mod) {
		offset += gpr[insn->rm];
	}

	return insn->adsize == 8 ? offset : (u32)offset;
}
