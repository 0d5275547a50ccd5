// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lengths that the decoder finds, for every opcode of the one-byte and the 0f map, every
 * ModRM byte, in each mode, against those that follow from the opcode maps of SDM Vol. 2,
 * appendix A, written down here once more.
 */
#include "fixture.h"
#include "suites.h"

/*
 * A letter for each opcode. '.': nothing follows. m: ModRM. b, w, z, v: an immediate of 1
 * byte, of 2, of 2 or 4, of the operand's size. B, Z: ModRM and b or z. j, J: relative
 * branches of 1 byte, and of 2 or 4. o: an offset in memory. f: a far pointer. e: ENTER.
 * 3, 4: the third group, of bytes and otherwise. R: ModRM, always of registers.
 * Not in 64-bit mode: i (nothing follows), I (B), k (b), f; r is REX there.
 * x: a prefix or an escape. -: not used.
 */
static const char one_byte[16][17] = {
	"mmmmbziimmmmbzix", "mmmmbziimmmmbzii", "mmmmbzximmmmbzxi", "mmmmbzximmmmbzxi",
	"rrrrrrrrrrrrrrrr", "................", "iixmxxxxzZbB....", "jjjjjjjjjjjjjjjj",
	"BZIBmmmmmmmmmmmx", "..........f.....", "oooo....bz......", "bbbbbbbbvvvvvvvv",
	"BBw.xxBZe.w..bi.", "mmmmkki.mmmmmmmm", "jjjjbbbbJJfj....", "x.xx..34......mm",
};

static const char two_byte[16][17] = {
	"mmmm-.....-.-m.x", "mmmmmmmmmmmmmmmm", "RRRR----mmmmmmmm", "......-.x-x-----",
	"mmmmmmmmmmmmmmmm", "mmmmmmmmmmmmmmmm", "mmmmmmmmmmmmmmmm", "BBBBmmm.xm--mmmm",
	"JJJJJJJJJJJJJJJJ", "mmmmmmmmmmmmmmmm", "...mBm--...mBmmm", "mmmmmmmmmmBmmmmm",
	"mmBmBBBm........", "mmmmmmmmmmmmmmmm", "mmmmmmmmmmmmmmmm", "mmmmmmmmmmmmmmmm",
};

struct mode {
	unsigned int code;
	u8 prefix;	/* 0: none */
	u8 opsize, adsize;
};

/* Without what manufacturers disagree about: 66 before near branches in 64-bit mode. */
static const struct mode modes[] = {
	{ UMBRA_CODE_16, 0, 2, 2 }, { UMBRA_CODE_16, 0x66, 4, 2 }, { UMBRA_CODE_16, 0x67, 2, 4 },
	{ UMBRA_CODE_32, 0, 4, 4 }, { UMBRA_CODE_32, 0x66, 2, 4 }, { UMBRA_CODE_32, 0x67, 4, 2 },
	{ UMBRA_CODE_64, 0, 4, 8 }, { UMBRA_CODE_64, 0x66, 2, 8 }, { UMBRA_CODE_64, 0x67, 4, 4 },
	{ UMBRA_CODE_64, 0x48, 8, 8 },
};

/* Bytes of ModRM, SIB and displacement (SDM Vol. 2, tables 2-1 to 2-3). */
static unsigned int modrm_length(const struct mode *m, const u8 *p)
{
	unsigned int mod = p[0] >> 6, rm = p[0] & 7;

	if (mod == 3)
		return 1;
	if (m->adsize == 2)
		return mod == 0 ? (rm == 6 ? 3 : 1) : 1 + mod;
	if (rm == 4)
		return mod == 0 ? ((p[1] & 7) == 5 ? 6 : 2) : mod == 1 ? 3 : 6;
	return mod == 0 ? (rm == 5 ? 5 : 1) : mod == 1 ? 2 : 5;
}

/* Bytes behind the opcode; -1: there is no such instruction, -2: not one to be tried. */
static int rest_length(const struct mode *m, char kind, const u8 *p)
{
	unsigned int z = m->opsize == 2 ? 2 : 4, modrm = modrm_length(m, p);
	bool long_mode = m->code == UMBRA_CODE_64;

	switch (kind) {
	case '.':
		return 0;
	case 'm':
		return modrm;
	case 'R':
		return 1;
	case 'b':
	case 'j':
		return 1;
	case 'w':
		return 2;
	case 'z':
		return z;
	case 'J':
		return long_mode && z == 2 ? -2 : z;
	case 'v':
		return m->opsize;
	case 'B':
		return modrm + 1;
	case 'Z':
		return modrm + z;
	case 'o':
		return m->adsize;
	case 'e':
		return 3;
	case '3':
		return modrm + (p[0] & 0x30 ? 0 : 1);
	case '4':
		return modrm + (p[0] & 0x30 ? 0 : z);
	case 'i':
		return long_mode ? -1 : 0;
	case 'I':
		return long_mode ? -1 : (int)modrm + 1;
	case 'k':
		return long_mode ? -1 : 1;
	case 'f':
		return long_mode ? -1 : (int)z + 2;
	case 'r':
		return long_mode ? -2 : 0;
	default:
		return -2;
	}
}

static bool check(struct kunit *test, const struct mode *m, bool two, unsigned int opcode, u8 modrm)
{
	u8 bytes[UMBRA_INSN_MAX], *p = bytes;
	struct umbra_insn insn;
	int rest, ret, want;
	unsigned int i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = random64();
	if (m->prefix)
		*p++ = m->prefix;
	if (two)
		*p++ = 0x0f;
	*p++ = opcode;
	p[0] = modrm;
	rest = rest_length(m, (two ? two_byte : one_byte)[opcode / 16][opcode % 16], p);
	if (rest == -2)
		return true;
	want = rest < 0 ? 0 : p - bytes + rest;
	memset(&insn, 0xff, sizeof(insn));
	ret = umbra_decode(&insn, bytes, sizeof(bytes), m->code);
	if (rest < 0 ? ret && !insn.length : !ret && insn.length == want)
		return true;
	KUNIT_FAIL(test, "%u-bit code %*ph: length %d, expected %d", m->code * 8,
		   (int)sizeof(bytes), bytes, ret ? ret : insn.length, want);
	return false;
}

static void lengths(struct kunit *test, bool two)
{
	unsigned int mode, opcode, modrm, wrong = 0;

	random_seed(test, two);
	for (mode = 0; mode < ARRAY_SIZE(modes); mode++)
		for (opcode = 0; opcode < 256 && wrong < 5; opcode++)
			for (modrm = 0; modrm < 256 && wrong < 5; modrm++)
				wrong += !check(test, &modes[mode], two, opcode, modrm);
}

static void one_byte_opcodes(struct kunit *test)
{
	lengths(test, false);
}

static void two_byte_opcodes(struct kunit *test)
{
	lengths(test, true);
}

static const struct known {
	unsigned int code;
	u8 length;
	u8 bytes[15];
} known[] = {
	{ UMBRA_CODE_64, 3, { 0xc5, 0xf8, 0x77 } },				/* VZEROUPPER */
	{ UMBRA_CODE_64, 6, { 0xc4, 0xe3, 0x7d, 0x18, 0xc1, 0x01 } },		/* VINSERTF128 */
	{ UMBRA_CODE_64, 5, { 0xc4, 0xe2, 0x79, 0x18, 0x07 } },			/* VBROADCASTSS */
	{ UMBRA_CODE_64, 6, { 0x62, 0xf1, 0x7c, 0x48, 0x28, 0x07 } },		/* EVEX VMOVAPS */
	{ UMBRA_CODE_64, 6, { 0x66, 0x0f, 0x3a, 0x0f, 0xc1, 0x08 } },		/* PALIGNR */
	{ UMBRA_CODE_64, 5, { 0x66, 0x0f, 0x38, 0x17, 0xc1 } },			/* PTEST */
	{ UMBRA_CODE_64, 6, { 0xf2, 0x0f, 0x78, 0xc1, 0x02, 0x03 } },		/* INSERTQ */
	{ UMBRA_CODE_64, 3, { 0x0f, 0x78, 0xc1 } },				/* VMREAD */
	{ UMBRA_CODE_64, 4, { 0x0f, 0x0f, 0xc1, 0x9e } },			/* 3DNow! PFADD */
	{ UMBRA_CODE_64, 15, { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
			       0x66, 0x66, 0x66, 0x66, 0x90 } },
	{ UMBRA_CODE_64, 3, { 0x0f, 0x01, 0xc1 } },				/* VMCALL */
	{ UMBRA_CODE_64, 2, { 0x8f, 0xc0 } },					/* POP */
	{ UMBRA_CODE_32, 2, { 0x62, 0x07 } },					/* BOUND */
	{ UMBRA_CODE_32, 2, { 0xc4, 0x07 } },					/* LES */
	{ UMBRA_CODE_32, 2, { 0xc5, 0x07 } },					/* LDS */
	/* Sixteen bytes are no instruction. */
	{ UMBRA_CODE_64, 0, { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
			      0x66, 0x66, 0x66, 0x66, 0x66 } },
	/* LOCK where it may not be. */
	{ UMBRA_CODE_64, 0, { 0xf0, 0x90 } },
	{ UMBRA_CODE_64, 0, { 0xf0, 0x01, 0xc0 } },
	{ UMBRA_CODE_64, 3, { 0xf0, 0x01, 0x00 } },
};

static void known_instructions(struct kunit *test)
{
	struct umbra_insn insn;
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		const struct known *k = &known[i];

		ret = umbra_decode(&insn, k->bytes, sizeof(k->bytes), k->code);
		FAIL_UNLESS(test, insn.length == k->length && !ret == !!k->length,
			    "%*ph: %d, length %u", (int)sizeof(k->bytes), k->bytes, ret,
			    insn.length);
	}
}

/* Whatever is cut off is asked for, and nothing behind the end is looked at. */
static void cut_short(struct kunit *test)
{
	static const u8 whole[] = { 0x66, 0x48, 0xc7, 0x84, 0x24, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct umbra_insn insn;
	unsigned int n;
	u8 *bytes;

	for (n = 0; n <= sizeof(whole); n++) {
		int want = n < sizeof(whole) ? -EAGAIN : 0;

		bytes = kmalloc(max(n, 1U), GFP_KERNEL);
		if (!bytes)
			return;
		memcpy(bytes, whole, n);
		KUNIT_EXPECT_EQ(test, umbra_decode(&insn, bytes, n, UMBRA_CODE_64), want);
		KUNIT_EXPECT_EQ(test, (unsigned int)insn.length, want ? 0U : n);
		kfree(bytes);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(one_byte_opcodes),
	KUNIT_CASE(two_byte_opcodes),
	KUNIT_CASE(known_instructions),
	KUNIT_CASE(cut_short),
	{}
};

struct kunit_suite decode_suite = {
	.name = "umbra_decode",
	.test_cases = cases,
};
