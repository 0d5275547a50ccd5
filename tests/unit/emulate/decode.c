// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder against Zydis: length, operand size, address size, prefixes and the
 * memory operand of random bytes in 16-, 32- and 64-bit code.
 *
 * usage: decode [-s SEED] [-n CASES]
 */
#include <getopt.h>
#include <stdlib.h>
#include <time.h>
#include <Zydis/Zydis.h>

#include "harness.h"

static const struct mode {
	unsigned int code, bits;
	ZydisMachineMode machine;
	ZydisStackWidth stack;
} modes[] = {
	{ UMBRA_CODE_64, 64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64 },
	{ UMBRA_CODE_32, 32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32 },
	{ UMBRA_CODE_16, 16, ZYDIS_MACHINE_MODE_LONG_COMPAT_16, ZYDIS_STACK_WIDTH_16 },
};

static unsigned int tests, failures;

static void result(bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++tests, name);
	failures += !ok;
}

static void show_bytes(const char *what, const u8 *bytes, unsigned int bits)
{
	unsigned int i;

	printf("# %s: %u-bit:", what, bits);
	for (i = 0; i < UMBRA_INSN_MAX; i++)
		printf(" %02x", bytes[i]);
	printf("\n");
}

/*
 * Bytes that are likely to be an instruction: some prefixes, then an opcode of any
 * map. Purely random bytes rarely have two prefixes.
 */
static void make_bytes(u8 *bytes)
{
	static const u8 prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0x67, 0xf0, 0xf2, 0xf3,
		0x40, 0x41, 0x42, 0x44, 0x48, 0x48, 0x4f,
	};
	unsigned int i, n = 0;

	for (i = 0; i < UMBRA_INSN_MAX; i++)
		bytes[i] = random_u64();
	while (one_in(2) && n < UMBRA_INSN_MAX - 2)
		bytes[n++] = prefixes[random_below(ARRAY_SIZE(prefixes))];
	switch (random_below(8)) {
	case 0: case 1: case 2:
		bytes[n++] = 0x0f;
		if (one_in(4) && n < UMBRA_INSN_MAX)
			bytes[n++] = one_in(2) ? 0x38 : 0x3a;
		break;
	case 3:
		bytes[n++] = 0xc4;
		if (n < UMBRA_INSN_MAX)
			bytes[n] = (bytes[n] & 0xe0) | random_below(4);
		break;
	case 4:
		bytes[n++] = one_in(2) ? 0xc5 : 0x62;
		break;
	default:
		break;
	}
}

static ZydisRegister segment_register(unsigned int seg)
{
	static const ZydisRegister regs[] = {
		ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS,
		ZYDIS_REGISTER_DS, ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS,
	};

	return regs[seg];
}

/* A register's value, as the executor's array has it. */
static u64 reg_value(ZydisRegister reg, const u64 *gpr)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);
	u64 v = gpr[ZydisRegisterGetId(reg) & 15];

	if (class == ZYDIS_REGCLASS_GPR16)
		return (u16)v;
	return class == ZYDIS_REGCLASS_GPR32 ? (u32)v : v;
}

/* Offset of a memory operand, computed from what Zydis says. */
static u64 zydis_offset(const ZydisDecodedOperand *op, const struct umbra_insn *insn,
			const u64 *gpr, u64 rip)
{
	u64 offset = op->mem.disp.has_displacement ? op->mem.disp.value : 0;

	if (op->mem.base == ZYDIS_REGISTER_RIP || op->mem.base == ZYDIS_REGISTER_EIP)
		offset += rip + insn->length;
	else if (op->mem.base != ZYDIS_REGISTER_NONE)
		offset += reg_value(op->mem.base, gpr);
	if (op->mem.index != ZYDIS_REGISTER_NONE)
		offset += reg_value(op->mem.index, gpr) * op->mem.scale;
	return offset & (~0ULL >> (64 - 8 * insn->adsize));
}

/* The operand ModRM names, if it is plain memory. */
static const ZydisDecodedOperand *memory_operand(const ZydisDecodedInstruction *z,
						 const ZydisDecodedOperand *ops)
{
	unsigned int i;

	for (i = 0; i < z->operand_count; i++) {
		if (ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    ops[i].encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
		    ops[i].mem.type != ZYDIS_MEMOP_TYPE_VSIB &&
		    ops[i].mem.type != ZYDIS_MEMOP_TYPE_MIB)
			return &ops[i];
	}
	return NULL;
}

/* Branches of the Xeon Phi, which no processor has that can virtualize */
static bool is_phi_branch(const ZydisDecodedInstruction *z)
{
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_JKZD:
	case ZYDIS_MNEMONIC_JKNZD:
		return true;
	default:
		return false;
	}
}

/* Returns what differs, or NULL. */
static const char *compare(const struct umbra_insn *insn, const ZydisDecodedInstruction *z,
			   const ZydisDecodedOperand *ops)
{
	static const u64 rip = 0x1122334455;
	const ZydisDecodedOperand *mem;
	bool legacy = z->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	u64 gpr[16];
	unsigned int i;

	if (insn->length != z->length)
		return "length";
	/* Zydis gives the enclave instructions a fixed one. */
	if (insn->adsize * 8 != z->address_width && z->mnemonic != ZYDIS_MNEMONIC_ENCLS &&
	    z->mnemonic != ZYDIS_MNEMONIC_ENCLU && z->mnemonic != ZYDIS_MNEMONIC_ENCLV)
		return "address size";
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_3DNOW)
		return insn->map == UMBRA_MAP_3DNOW && insn->opcode == z->opcode ? NULL : "3DNow!";
	if (insn->opcode != z->opcode)
		return "opcode";
	if (!!(insn->flags & UMBRA_INSN_MODRM) != !!(z->attributes & ZYDIS_ATTRIB_HAS_MODRM))
		return "presence of ModRM";
	if (legacy &&
	    !!(insn->flags & UMBRA_INSN_LOCK) != !!(z->attributes & ZYDIS_ATTRIB_HAS_LOCK))
		return "lock";
	if ((insn->flags & UMBRA_INSN_MODRM) && z->raw.modrm.mod != insn->modrm >> 6)
		return "ModRM";
	if (z->raw.imm[0].size && z->raw.imm[0].is_signed && !z->raw.imm[1].size &&
	    (u64)z->raw.imm[0].value.s != insn->imm)
		return "immediate";

	mem = memory_operand(z, ops);
	if (!mem || (insn->flags & UMBRA_INSN_EVEX))
		return NULL;
	if (!(insn->flags & UMBRA_INSN_MEM))
		return "memory operand";
	/* 3e before an indirect branch is NOTRACK to Zydis; without CET it is just DS. */
	if (mem->mem.type == ZYDIS_MEMOP_TYPE_MEM && !(z->attributes & ZYDIS_ATTRIB_HAS_NOTRACK) &&
	    mem->mem.segment != segment_register(insn->seg))
		return "segment";
	/* Zydis 4.0 gives punpcklbw a base where SIB has none (SDM Vol. 2A, table 2-5). */
	if (mem->mem.base != ZYDIS_REGISTER_NONE && z->raw.modrm.mod == 0 &&
	    z->raw.modrm.rm == 4 && z->raw.sib.base == 5)
		return NULL;
	for (i = 0; i < 16; i++)
		gpr[i] = random_u64();
	if (umbra_insn_offset(insn, gpr, rip) != zydis_offset(mem, insn, gpr, rip))
		return "offset";
	return NULL;
}

/* Opcodes whose operand size the executor takes from the decoder. */
static bool size_matters(const struct umbra_insn *insn)
{
	/* XLAT and XABORT have bytes, x87 sizes of its own, and ports no 64 bits. */
	if (insn->map == UMBRA_MAP_1BYTE) {
		if (insn->opcode == 0xc6 && insn->modrm == 0xf8)
			return false;
		if ((insn->opcode & 0xf4) == 0xe4 || (insn->opcode & 0xfc) == 0x6c)
			return insn->opsize != 8;
		return insn->opcode < 0xd7 || insn->opcode > 0xdf;
	}
	if (insn->map != UMBRA_MAP_0F || (insn->flags & (UMBRA_INSN_VEX | UMBRA_INSN_EVEX)))
		return false;
	return (insn->opcode >= 0x40 && insn->opcode <= 0x4f) ||
	       (insn->opcode >= 0xa3 && insn->opcode <= 0xad && (insn->opcode & 6) != 0) ||
	       (insn->opcode >= 0xaf && insn->opcode <= 0xb1) ||
	       insn->opcode == 0xb3 || insn->opcode == 0xba || insn->opcode == 0xbb ||
	       insn->opcode == 0xb6 || insn->opcode == 0xb7 || insn->opcode == 0xbe ||
	       insn->opcode == 0xbf || insn->opcode == 0xc0 || insn->opcode == 0xc1;
}

static bool check_mode(const struct mode *mode, unsigned int cases)
{
	unsigned int decoded = 0, unknown = 0, bad = 0, i;
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, mode->machine, mode->stack);
	/* MPX came and went, and gave NOPs another form. */
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	for (i = 0; i < cases; i++) {
		ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction z;
		struct umbra_insn insn;
		const char *what = NULL;
		u8 bytes[UMBRA_INSN_MAX];
		int ret, avail;

		make_bytes(bytes);
		memset(&insn, 0, sizeof(insn));
		ret = umbra_decode(&insn, bytes, sizeof(bytes), mode->code);
		if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, bytes, sizeof(bytes), &z, ops))) {
			/* It knows what is undefined in groups and prefixes, we need not. */
			continue;
		}
		if (is_phi_branch(&z))
			continue;
		if (ret == -EOPNOTSUPP) {
			unknown++;
			continue;
		}
		decoded++;
		if (ret)
			what = ret == -EINVAL ? "#UD" : ret == -E2BIG ? "too long" : "error";
		else
			what = compare(&insn, &z, ops);
		if (!what && size_matters(&insn) && insn.opsize * 8 != z.operand_width)
			what = "operand size";
		/* Cut short it must ask for more, and whole it must not. */
		for (avail = 0; !what && avail < insn.length; avail++) {
			struct umbra_insn again;

			ret = umbra_decode(&again, bytes, avail, mode->code);
			if (ret != -EAGAIN)
				what = "result for too few bytes";
		}
		/* Nothing depends on what comes behind it. */
		if (!what) {
			struct umbra_insn again;

			memset(&again, 0, sizeof(again));
			ret = umbra_decode(&again, bytes, insn.length, mode->code);
			if (ret || memcmp(&again, &insn, sizeof(insn)))
				what = "result for just enough bytes";
		}
		if (!what)
			continue;
		if (bad++ < 10) {
			show_bytes(what, bytes, mode->bits);
			printf("#   Zydis: %s, length %u, width %u\n",
			       ZydisMnemonicGetString(z.mnemonic), z.length, z.operand_width);
			printf("#   Umbra: length %u, size %u\n", ret ? 0 : insn.length,
			       ret ? 0 : insn.opsize * 8);
		}
	}
	printf("# %u-bit: %u instructions compared, %u not known to us, %u differ\n", mode->bits,
	       decoded, unknown, bad);
	return !bad && decoded > cases / 4 && unknown < decoded / 50;
}

/* Every instruction an exit handler decodes, with what it wants to know. */
static bool check_exits(void)
{
	static const struct {
		const char *bytes;
		u8 size, code, map, opcode, reg;
		bool mem;
	} cases[] = {
		{ "\x0f\xa2", 2, UMBRA_CODE_64, 1, 0xa2, 0, false },		/* cpuid */
		{ "\xf4", 1, UMBRA_CODE_16, 0, 0xf4, 0, false },		/* hlt */
		{ "\x0f\x32", 2, UMBRA_CODE_64, 1, 0x32, 0, false },		/* rdmsr */
		{ "\x0f\x30", 2, UMBRA_CODE_32, 1, 0x30, 0, false },		/* wrmsr */
		{ "\x0f\x31", 2, UMBRA_CODE_64, 1, 0x31, 0, false },		/* rdtsc */
		{ "\x0f\x01\xf9", 3, UMBRA_CODE_64, 1, 0x01, 7, false },	/* rdtscp */
		{ "\x0f\x33", 2, UMBRA_CODE_64, 1, 0x33, 0, false },		/* rdpmc */
		{ "\x0f\x01\xd9", 3, UMBRA_CODE_64, 1, 0x01, 3, false },	/* vmmcall */
		{ "\x0f\x01\xc1", 3, UMBRA_CODE_64, 1, 0x01, 0, false },	/* vmcall */
		{ "\x0f\x01\xd1", 3, UMBRA_CODE_64, 1, 0x01, 2, false },	/* xsetbv */
		{ "\x0f\x01\xd8", 3, UMBRA_CODE_64, 1, 0x01, 3, false },	/* vmrun */
		{ "\x0f\x01\x38", 3, UMBRA_CODE_64, 1, 0x01, 7, true },		/* invlpg */
		{ "\x41\x0f\x01\x7c\x24\x08", 6, UMBRA_CODE_64, 1, 0x01, 7, true },
		{ "\x66\x0f\x38\x82\x08", 5, UMBRA_CODE_64, 2, 0x82, 1, true },	/* invpcid */
		{ "\x0f\x01\xdf", 3, UMBRA_CODE_64, 1, 0x01, 3, false },	/* invlpga */
		{ "\x0f\x20\xc0", 3, UMBRA_CODE_64, 1, 0x20, 0, false },	/* mov cr */
		{ "\x0f\x22\x18", 3, UMBRA_CODE_64, 1, 0x22, 3, false },
		{ "\x44\x0f\x22\xc0", 4, UMBRA_CODE_64, 1, 0x22, 8, false },
		{ "\x0f\x21\xf8", 3, UMBRA_CODE_32, 1, 0x21, 7, false },	/* mov dr */
		{ "\x0f\x23\x04", 3, UMBRA_CODE_64, 1, 0x23, 0, false },
		{ "\x0f\x06", 2, UMBRA_CODE_32, 1, 0x06, 0, false },		/* clts */
		{ "\x0f\x01\xf0", 3, UMBRA_CODE_16, 1, 0x01, 6, false },	/* lmsw */
		{ "\xe4\x80", 2, UMBRA_CODE_16, 0, 0xe4, 0, false },		/* in */
		{ "\x66\xef", 2, UMBRA_CODE_64, 0, 0xef, 0, false },		/* out */
		{ "\xf3\x6c", 2, UMBRA_CODE_64, 0, 0x6c, 0, false },		/* rep ins */
		{ "\x0f\x09", 2, UMBRA_CODE_64, 1, 0x09, 0, false },		/* wbinvd */
		{ "\x0f\x08", 2, UMBRA_CODE_64, 1, 0x08, 0, false },		/* invd */
		{ "\xf3\x90", 2, UMBRA_CODE_64, 0, 0x90, 0, false },		/* pause */
		{ "\x0f\x01\xc8", 3, UMBRA_CODE_64, 1, 0x01, 1, false },	/* monitor */
		{ "\x0f\x01\xc9", 3, UMBRA_CODE_64, 1, 0x01, 1, false },	/* mwait */
		{ "\x0f\xaa", 2, UMBRA_CODE_64, 1, 0xaa, 0, false },		/* rsm */
		{ "\xcc", 1, UMBRA_CODE_64, 0, 0xcc, 0, false },		/* int3 */
		{ "\xcd\x80", 2, UMBRA_CODE_64, 0, 0xcd, 0, false },		/* int */
		{ "\xf1", 1, UMBRA_CODE_64, 0, 0xf1, 0, false },		/* int1 */
		{ "\x0f\x0b", 2, UMBRA_CODE_64, 1, 0x0b, 0, false },		/* ud2 */
	};
	unsigned int i;
	bool ok = true;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const u8 *bytes = (const u8 *)cases[i].bytes;
		struct umbra_insn insn;

		if (umbra_decode(&insn, bytes, cases[i].size, cases[i].code) ||
		    insn.length != cases[i].size || insn.map != cases[i].map ||
		    insn.opcode != cases[i].opcode ||
		    ((insn.flags & UMBRA_INSN_MODRM) && insn.reg != cases[i].reg) ||
		    !!(insn.flags & UMBRA_INSN_MEM) != cases[i].mem) {
			printf("# exit instruction %u is decoded wrongly\n", i);
			ok = false;
		}
	}
	return ok;
}

/* What must not decode, and how it must not. */
static bool check_errors(void)
{
	static const struct {
		const char *bytes;
		u8 size, code;
		int error;
	} cases[] = {
		{ "\x06", 1, UMBRA_CODE_64, -EINVAL },
		{ "\x06", 1, UMBRA_CODE_32, 0 },
		{ "\xf0\x01\xc0", 3, UMBRA_CODE_64, -EINVAL },		/* lock add eax, eax */
		{ "\xf0\x8b\x00", 3, UMBRA_CODE_64, -EINVAL },		/* lock mov */
		{ "\xf0\x81\x38\0\0\0\0", 7, UMBRA_CODE_64, -EINVAL },	/* lock cmp */
		{ "\xf0\x0f\xba\x20\x01", 5, UMBRA_CODE_64, -EINVAL },	/* lock bt */
		{ "\xf0\x0f\xba\x28\x01", 5, UMBRA_CODE_64, 0 },	/* lock bts */
		{ "\xf0\x0f\x20\xc0", 4, UMBRA_CODE_32, 0 },		/* mov eax, cr8 */
		{ "\x66\xe8\0\0\0\0", 6, UMBRA_CODE_64, -EOPNOTSUPP },
		{ "\x66\x48\xe8\0\0\0\0", 7, UMBRA_CODE_64, 0 },
		{ "\x0f\x04", 2, UMBRA_CODE_64, -EOPNOTSUPP },
		{ "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", 15,
		  UMBRA_CODE_64, 0 },
		{ "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", 15,
		  UMBRA_CODE_64, -E2BIG },
		{ "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", 14,
		  UMBRA_CODE_64, -EAGAIN },
		{ "\x66\xc5\xf8\x10\x00", 5, UMBRA_CODE_64, -EINVAL },	/* 66 before VEX */
		{ "\x48\xc5\xf8\x10\x00", 5, UMBRA_CODE_64, -EINVAL },	/* REX before VEX */
	};
	unsigned int i;
	bool ok = true;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct umbra_insn insn;
		int ret = umbra_decode(&insn, (const u8 *)cases[i].bytes, cases[i].size,
				       cases[i].code);

		if (ret == cases[i].error && !ret == !!insn.length)
			continue;
		printf("# case %u: result %d, expected %d\n", i, ret, cases[i].error);
		ok = false;
	}
	return ok;
}

int main(int argc, char **argv)
{
	unsigned int cases = 1000000, i;
	u64 seed = time(NULL);
	int option;

	while ((option = getopt(argc, argv, "s:n:")) != -1) {
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			cases = strtoul(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: decode [-s SEED] [-n CASES]\n");
			return 2;
		}
	}

	printf("# seed %#lx, %u cases each\n", (unsigned long)seed, cases);
	random_seed = seed;
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		char name[64];

		snprintf(name, sizeof(name), "decoder agrees with Zydis on %u-bit code",
			 modes[i].bits);
		result(check_mode(&modes[i], cases), name);
	}
	result(check_exits(), "decoder knows what exit handlers meet");
	result(check_errors(), "decoder refuses what is no instruction");
	printf("1..%u\n# decode: %u passed, %u failed\n", tests, tests - failures, failures);
	return failures != 0;
}
