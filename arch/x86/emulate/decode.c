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

/* Returned by the helpers below when the bytes end too soon. */
#define SHORT	1

/* The reader's place in the bytes. */
struct cursor {
	const u8 *p;
	const u8 *end;
};

static __always_inline unsigned int left(const struct cursor *cur)
{
	return cur->end - cur->p;
}

static __always_inline s64 take_s8(struct cursor *cur)
{
	return (s8)*cur->p++;
}

static __always_inline u64 take_u16(struct cursor *cur)
{
	u16 v;

	memcpy(&v, cur->p, sizeof(v));
	cur->p += sizeof(v);
	return v;
}

static __always_inline u64 take_u32(struct cursor *cur)
{
	u32 v;

	memcpy(&v, cur->p, sizeof(v));
	cur->p += sizeof(v);
	return v;
}

static __always_inline u64 take_u64(struct cursor *cur)
{
	u64 v;

	memcpy(&v, cur->p, sizeof(v));
	cur->p += sizeof(v);
	return v;
}

/* Displacement of @size bytes. */
static __always_inline int take_disp(struct umbra_insn *insn, struct cursor *cur,
				     unsigned int size)
{
	if (left(cur) < size)
		return SHORT;
	if (size == 1)
		insn->disp = take_s8(cur);
	else if (size == 2)
		insn->disp = (s16)take_u16(cur);
	else if (size == 4)
		insn->disp = (s32)take_u32(cur);
	return 0;
}

/* ModRM of 16-bit addressing: SDM Vol. 2, table 2-1. */
static int take_modrm16(struct umbra_insn *insn, struct cursor *cur, bool seg_default)
{
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7;
	bool disp_only = mod == 0 && rm == 6;

	/* BP+SI, BP+DI and BP address the stack. */
	if (seg_default && (rm == 2 || rm == 3 || (rm == 6 && !disp_only)))
		insn->seg = UMBRA_EMUL_SS;
	return take_disp(insn, cur, disp_only ? 2 : mod);
}

/* ModRM and SIB of 32- and 64-bit addressing: SDM Vol. 2, tables 2-2 and 2-3. */
static __always_inline int take_modrm32(struct umbra_insn *insn, struct cursor *cur,
					bool seg_default)
{
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7, base = rm;

	if (rm == 4) {
		if (!left(cur))
			return SHORT;
		insn->sib = *cur->p++;
		base = insn->sib & 7;
	}

	if (base == 5 && mod == 0) {
		if (rm == 5 && insn->code == UMBRA_CODE_64)
			insn->flags |= UMBRA_INSN_RIPREL;
		return take_disp(insn, cur, 4);
	}

	/* ESP and EBP as base address the stack, R12 and R13 do not. */
	if (seg_default && (base == 4 || base == 5) && !(insn->rex & UMBRA_REX_B))
		insn->seg = UMBRA_EMUL_SS;
	return take_disp(insn, cur, mod == 2 ? 4 : mod);
}

static __always_inline int take_modrm(struct umbra_insn *insn, struct cursor *cur,
				      unsigned int attr, bool seg_default)
{
	u8 modrm;

	if (!left(cur))
		return SHORT;
	modrm = *cur->p++;
	insn->modrm = modrm;
	insn->reg = ((modrm >> 3) & 7) | ((insn->rex & UMBRA_REX_R) << 1);
	insn->rm = (modrm & 7) | ((insn->rex & UMBRA_REX_B) << 3);
	insn->flags |= UMBRA_INSN_MODRM;
	if (modrm >= 0xc0 || (attr & ATTR_REGONLY))
		return 0;

	insn->flags |= UMBRA_INSN_MEM;
	if (insn->adsize == 2)
		return take_modrm16(insn, cur, seg_default);
	return take_modrm32(insn, cur, seg_default);
}

static int take_imm(struct umbra_insn *insn, struct cursor *cur, unsigned int kind)
{
	unsigned int size;

	switch (kind) {
	case IMM_GROUP3:
		if (insn->modrm & 0x30)
			return 0;
		size = min_t(unsigned int, insn->opsize, 4);
		break;
	case IMM_SSE4A:
		if (insn->rep != 0xf2 && (insn->rep || !(insn->flags & UMBRA_INSN_OP66)))
			return 0;
		size = 2;
		break;
	case IMM_IB:
		size = 1;
		break;
	case IMM_IW:
		size = 2;
		break;
	case IMM_IZ:
	case IMM_JZ:
		size = min_t(unsigned int, insn->opsize, 4);
		break;
	case IMM_IV:
		size = insn->opsize;
		break;
	case IMM_MOFFS:
		/* An offset: the one immediate that is not signed. */
		size = insn->adsize;
		if (left(cur) < size)
			return SHORT;
		if (size == 2)
			insn->imm = take_u16(cur);
		else
			insn->imm = size == 4 ? take_u32(cur) : take_u64(cur);
		return 0;
	case IMM_FAR:
		size = min_t(unsigned int, insn->opsize, 4);
		if (left(cur) < size + 2)
			return SHORT;
		insn->imm = size == 2 ? take_u16(cur) : take_u32(cur);
		insn->imm2 = take_u16(cur);
		return 0;
	case IMM_ENTER:
		if (left(cur) < 3)
			return SHORT;
		insn->imm = take_u16(cur);
		insn->imm2 = *cur->p++;
		return 0;
	default:
		return 0;
	}

	if (left(cur) < size)
		return SHORT;
	if (size == 1)
		insn->imm = take_s8(cur);
	else if (size == 2)
		insn->imm = (s16)take_u16(cur);
	else if (size == 4)
		insn->imm = (s32)take_u32(cur);
	else
		insn->imm = take_u64(cur);
	return 0;
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
 * VEX (c4, c5), EVEX (62) and XOP (8f): @first is that byte, the cursor stands
 * behind it. Returns the attributes of the opcode, or a negative errno, or -EAGAIN
 * for bytes that end too soon.
 */
static noinline int take_vector_prefix(struct umbra_insn *insn, struct cursor *cur, u8 first)
{
	static const u8 pp_rep[4] = { 0, 0, 0xf3, 0xf2 };
	unsigned int p0, p1, map, opcode;
	bool w;

	/* These include what the older prefixes would say (SDM Vol. 2, 2.3.2-2.3.4). */
	if ((insn->flags & (UMBRA_INSN_OP66 | UMBRA_INSN_LOCK | UMBRA_INSN_REX)) || insn->rep)
		return -EINVAL;

	if (first == 0xc5) {
		if (left(cur) < 2)
			return -EAGAIN;
		p1 = cur->p[0];
		cur->p += 1;
		map = UMBRA_MAP_0F;
		insn->rex = p1 & 0x80 ? 0 : UMBRA_REX_R;
		w = false;
		insn->vl = p1 & 4 ? 32 : 16;
		insn->flags |= UMBRA_INSN_VEX;
	} else {
		if (left(cur) < 3)
			return -EAGAIN;
		p0 = cur->p[0];
		p1 = cur->p[1];
		insn->rex = (~p0 >> 5) & (UMBRA_REX_R | UMBRA_REX_X | UMBRA_REX_B);
		w = p1 & 0x80;
		if (first == 0x62) {
			if (left(cur) < 4)
				return -EAGAIN;
			map = p0 & 0xf;
			/* The fixed bits; where they differ it is some later extension. */
			if (map == 0 || map == 4 || map > 6 || !(p1 & 4))
				return -EOPNOTSUPP;
			insn->vl = 16 << min_t(unsigned int, (cur->p[2] >> 5) & 3, 2);
			insn->flags |= UMBRA_INSN_EVEX;
			cur->p += 3;
		} else {
			map = p0 & 0x1f;
			if (first == 0xc4 && (map == 0 || map > 3))
				return -EOPNOTSUPP;
			if (first == 0x8f && map > 10)
				return -EOPNOTSUPP;
			insn->vl = p1 & 4 ? 32 : 16;
			insn->flags |= first == 0xc4 ? UMBRA_INSN_VEX : UMBRA_INSN_XOP;
			cur->p += 2;
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

	if (!left(cur))
		return -EAGAIN;
	opcode = *cur->p++;
	insn->opcode = opcode;
	insn->opsize = w ? 8 : 4;

	if (map == 10)
		return ATTR_MODRM | IMM_IZ;	/* always 4 bytes, as opsize is 4 or 8 */
	return vector_attr(map, opcode);
}

/* Does a byte that may begin VEX, EVEX or XOP really do so? @next follows it. */
static bool is_vector_prefix(unsigned int code, u8 first, u8 next)
{
	if (first == 0x8f)
		return (next & 0x1f) >= 8;
	/* What would be the register forms of LES, LDS and BOUND is the prefix. */
	return code == UMBRA_CODE_64 || next >= 0xc0;
}

int umbra_decode(struct umbra_insn *insn, const u8 *bytes, unsigned int avail, unsigned int code)
{
	struct cursor cur = {
		.p = bytes,
		.end = bytes + min_t(unsigned int, avail, UMBRA_INSN_MAX),
	};
	unsigned int attr, seg = UMBRA_EMUL_NR_SEG;
	bool long_mode = code == UMBRA_CODE_64;
	int err;
	u8 b;

	insn->map = UMBRA_MAP_1BYTE;
	insn->code = code;
	insn->rex = 0;
	insn->rep = 0;
	insn->flags = 0;
	insn->disp = 0;

	for (;;) {
		if (cur.p == cur.end)
			goto too_short;
		b = *cur.p++;
		attr = attr_1byte[b];
		if (likely(!(attr & ATTR_SPECIAL)))
			break;
		if (b == 0x0f)
			goto escape;

		switch (b) {
		case 0x40 ... 0x4f:
			/* REX, or the short INC and DEC */
			if (!long_mode) {
				attr = 0;
				goto opcode;
			}
			insn->rex = b & 15;
			insn->flags |= UMBRA_INSN_REX;
			continue;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			/* Ignored in 64-bit code (APM Vol. 3, 1.2.4). */
			if (!long_mode)
				seg = (b >> 3) & 3;
			break;
		case 0x64:
		case 0x65:
			seg = b - 0x64 + UMBRA_EMUL_FS;
			break;
		case 0x66:
			insn->flags |= UMBRA_INSN_OP66;
			break;
		case 0x67:
			insn->flags |= UMBRA_INSN_AD67;
			break;
		case 0xf0:
			insn->flags |= UMBRA_INSN_LOCK;
			break;
		case 0xf2:
		case 0xf3:
			insn->rep = b;
			break;
		default:
			if (cur.p == cur.end)
				goto too_short;
			if (!is_vector_prefix(code, b, *cur.p))
				goto opcode;
			err = take_vector_prefix(insn, &cur, b);
			if (err == -EAGAIN)
				goto too_short;
			if (err < 0)
				goto fail;
			attr = err;
			goto operands;
		}
		/* A REX prefix counts only if it is the last one. */
		insn->rex = 0;
		insn->flags &= ~UMBRA_INSN_REX;
	}
	goto opcode;

escape:
	insn->map = UMBRA_MAP_0F;
	if (cur.p == cur.end)
		goto too_short;
	b = *cur.p++;
	attr = attr_0f[b];
	if (unlikely(attr & ATTR_SPECIAL)) {
		if (b == 0x0f) {
			/* 3DNow!: the opcode comes where an immediate byte would. */
			insn->map = UMBRA_MAP_3DNOW;
			attr = ATTR_MODRM | IMM_IB;
		} else {
			insn->map = b == 0x38 ? UMBRA_MAP_0F38 : UMBRA_MAP_0F3A;
			attr = ATTR_MODRM | (b == 0x3a ? IMM_IB : 0);
			if (cur.p == cur.end)
				goto too_short;
			b = *cur.p++;
		}
	}

opcode:
	insn->opcode = b;
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
		insn->opsize = 1;
	} else if (long_mode) {
		if ((insn->rex & UMBRA_REX_W) || (attr & (ATTR_F64 | ATTR_REGONLY)))
			insn->opsize = 8;
		else if (insn->flags & UMBRA_INSN_OP66)
			insn->opsize = 2;
		else
			insn->opsize = attr & ATTR_D64 ? 8 : 4;
	} else {
		if (attr & ATTR_REGONLY)
			insn->opsize = 4;
		else
			insn->opsize = !!(insn->flags & UMBRA_INSN_OP66) ^
				       (code == UMBRA_CODE_32) ? 4 : 2;
	}

operands:
	insn->attr = attr;
	if (likely(!(insn->flags & UMBRA_INSN_AD67)))
		insn->adsize = code;
	else
		insn->adsize = code == UMBRA_CODE_32 ? 2 : 4;
	insn->seg = seg == UMBRA_EMUL_NR_SEG ? UMBRA_EMUL_DS : seg;

	if (attr & ATTR_MODRM) {
		if (take_modrm(insn, &cur, attr, seg == UMBRA_EMUL_NR_SEG))
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
		if ((attr & ATTR_IMM) == IMM_JZ && long_mode &&
		    (insn->flags & UMBRA_INSN_OP66) && !(insn->rex & UMBRA_REX_W)) {
			err = -EOPNOTSUPP;
			goto fail;
		}
		if (take_imm(insn, &cur, attr & ATTR_IMM))
			goto too_short;
		if (insn->map == UMBRA_MAP_3DNOW)
			insn->opcode = insn->imm;
	}

	if (unlikely(insn->flags & UMBRA_INSN_LOCK) &&
	    (!(attr & ATTR_LOCK) || !lock_is_legal(insn))) {
		err = -EINVAL;
		goto fail;
	}

	insn->length = cur.p - bytes;
	return 0;

too_short:
	err = avail >= UMBRA_INSN_MAX ? -E2BIG : -EAGAIN;
fail:
	insn->length = 0;
	return err;
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
