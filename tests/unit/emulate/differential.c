// SPDX-License-Identifier: GPL-2.0-only
/*
 * The executor against the CPU: random instructions of every kind it knows.
 *
 * usage: differential [-s SEED] [-n CASES] [-t TEXT] [-m 64|32|16] [-x] [-e]
 */
#include <cpuid.h>
#include <getopt.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "templates.h"

/* Failures shown per template; one is enough to see, more are enough to read. */
#define MAX_SHOWN	3

/* From here on the kernel tells nobody whether a page is present. */
#define KERNEL_BEGIN	((1ULL << 47) - 0x1000)

#define FLAGS_COMPARED	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_OF | \
			 X86_EFLAGS_NT | X86_EFLAGS_AC | X86_EFLAGS_ID)

/**
 * struct test - one case
 * @t:		its template
 * @code:	UMBRA_CODE_*
 * @bytes:	the instruction
 * @len:	how many bytes were generated
 * @disp:	where the displacement, or the offset of a moffs, is; 0: none
 * @disp_size:	its size
 * @cpu:	registers before
 * @step:	single-step it
 * @memory:	memory before
 */
struct test {
	const struct template *t;
	unsigned int code;
	u8 bytes[32];
	unsigned int len;
	unsigned int disp;
	unsigned int disp_size;
	struct cpu cpu;
	bool step;
	u8 memory[DATA_SIZE + HIGH_SIZE];
};

static bool strict, executor_only;
static struct test test;

static void put(struct test *x, u64 value, unsigned int size)
{
	memcpy(x->bytes + x->len, &value, size);
	x->len += size;
}

static bool in_page(u64 address)
{
	return address >= DATA_BASE && address < DATA_BASE + DATA_RW - 16;
}

/* A linear address for an operand: mostly good, sometimes at an edge. */
static u64 random_target(const struct test *x)
{
	u64 wide = x->code == UMBRA_CODE_64 ? ~0ULL : 0xffffffff;
	u64 t = DATA_BASE + random_below(DATA_RW - 64);

	switch (random_below(32)) {
	case 0:		/* the page boundary within */
		return DATA_BASE + 0x1000 - random_below(32);
	case 1:		/* into read-only memory */
		return DATA_BASE + DATA_RW - random_below(32);
	case 2:
		return DATA_BASE + DATA_RW + random_below(0x1000);
	case 3:		/* behind the end, before the beginning */
		return DATA_BASE + DATA_SIZE - random_below(32);
	case 4:
		return DATA_BASE - random_below(32);
	case 5:		/* the end of 32 bits */
		return HIGH_BASE + HIGH_SIZE - random_below(32);
	case 6:		/* where canonical addresses end and begin */
		return ((native_la57 ? 1ULL << 56 : 1ULL << 47) - random_below(32)) & wide;
	case 7:
		return (-(native_la57 ? 1ULL << 56 : 1ULL << 47) - 16 + random_below(32)) & wide;
	case 8:
		return random_value() & wide;
	case 9:		/* where segments of the local descriptor table end or begin */
		return DATA_BASE + (one_in(2) ? 0x800 : 0x134) - random_below(16);
	case 10: case 11: case 12: case 13: case 14: case 15: case 16: case 17:
	case 18: case 19: case 20: case 21: case 22: case 23:
		return t & ~31ULL;
	default:
		return t;
	}
}

static void make_prefixes(struct test *x, u8 *rex)
{
	static const u8 overrides[] = { 0x26, 0x2e, 0x36, 0x3e, 0x65 };
	const struct template *t = x->t;
	bool vector = t->flags & (T_VEX | T_NO66);
	u8 order[6];
	unsigned int n = 0, i;

	/* Changing FS is not possible here, libc lives there. */
	if (one_in(8))
		order[n++] = overrides[random_below(ARRAY_SIZE(overrides))];
	if (one_in(40))
		order[n++] = overrides[random_below(ARRAY_SIZE(overrides))];
	if (one_in(6))
		order[n++] = 0x67;
	if (t->flags & T_PUSHSEG) {
		if (x->code == UMBRA_CODE_32)
			order[n++] = 0x66;
	} else if (!vector && one_in(3) && !(t->flags & T_BRANCH && x->code == UMBRA_CODE_64)) {
		order[n++] = 0x66;
	}
	if (t->flags & T_STRING && !one_in(3))
		order[n++] = one_in(2) ? 0xf2 : 0xf3;
	else if (!(t->flags & (T_NOREP | T_VEX)) && one_in(30) && t->map != UMBRA_MAP_0F38)
		order[n++] = one_in(2) ? 0xf2 : 0xf3;
	if (!(t->flags & (T_VEX | T_NOLOCK)) && one_in(t->flags & T_LOCK ? 4 : 100))
		order[n++] = 0xf0;
	if (t->prefix && !(t->flags & T_VEX))
		order[n++] = t->prefix;

	/* In any order */
	while (n) {
		i = random_below(n);
		put(x, order[i], 1);
		order[i] = order[--n];
	}

	*rex = 0;
	if (x->code == UMBRA_CODE_64 && one_in(2)) {
		*rex = 0x40 | random_below(16);
		if (!(t->flags & T_VEX)) {
			put(x, *rex, 1);
			/* A REX that is not the last prefix is ignored. */
			if (one_in(60)) {
				put(x, 0x3e, 1);
				*rex = 0;
			}
		}
	}
}

static void make_vex(struct test *x, u8 rex)
{
	u8 last = (one_in(2) ? 4 : 0) | x->t->prefix;

	/* Few moves use vvvv: mostly leave it as it must be. */
	last |= (one_in(4) ? random_below(16) : 15) << 3;
	if (x->code != UMBRA_CODE_64)
		last |= 0x40;
	if (x->t->map == UMBRA_MAP_0F && !(rex & 11) && one_in(2)) {
		put(x, 0xc5, 1);
		put(x, last | (rex & UMBRA_REX_R ? 0 : 0x80), 1);
		return;
	}
	put(x, 0xc4, 1);
	put(x, ((~rex & 7) << 5) | x->t->map, 1);
	put(x, last | (rex & UMBRA_REX_W ? 0x80 : 0), 1);
}

static void make_opcode(struct test *x)
{
	const struct template *t = x->t;
	u8 opcode = t->first;

	if (t->last)
		opcode += random_below(t->last - t->first + 1);
	if (!(t->flags & T_VEX)) {
		if (t->map)
			put(x, 0x0f, 1);
		if (t->map == UMBRA_MAP_0F38)
			put(x, 0x38, 1);
	}
	put(x, opcode, 1);
}

/* ModRM, SIB, displacement; written from the manual, not from the decoder. */
static void make_modrm(struct test *x, unsigned int adsize)
{
	const struct template *t = x->t;
	u8 modrm = random_u64(), mod;

	/* Register forms of the privileged ones, of LES and LDS are other instructions. */
	if (t->flags & T_MEM ? (t->flags & (T_FAULTS | T_SELECTOR | T_NOREG)) || !one_in(10) :
			       one_in(3)) {
		if (modrm >= 0xc0)
			modrm -= 0x40 + 0x40 * random_below(3);
	}
	if (t->ext >= 0)
		modrm = (modrm & 0xc7) | t->ext << 3;
	put(x, modrm, 1);
	mod = modrm >> 6;
	modrm &= 7;
	if (mod == 3)
		return;

	if (adsize == 2) {
		x->disp_size = mod == 0 ? (modrm == 6 ? 2 : 0) : mod;
	} else {
		if (modrm == 4) {
			u8 sib = random_u64();

			put(x, sib, 1);
			modrm = sib & 7;
		}
		x->disp_size = mod == 0 ? (modrm == 5 ? 4 : 0) : mod * mod;
	}
	if (x->disp_size) {
		x->disp = x->len;
		put(x, random_value(), x->disp_size);
	}
}

static bool has_prefix(const struct test *x, u8 prefix)
{
	unsigned int i;

	for (i = 0; i < x->len; i++) {
		if (x->bytes[i] == prefix)
			return true;
	}
	return false;
}

static void make_instruction(struct test *x)
{
	const struct template *t = x->t;
	unsigned int opsize, adsize;
	u8 rex;

	x->len = 0;
	x->disp = 0;
	x->disp_size = 0;
	make_prefixes(x, &rex);
	adsize = x->code;
	if (has_prefix(x, 0x67))
		adsize = x->code == UMBRA_CODE_32 ? 2 : 4;
	if (x->code == UMBRA_CODE_64)
		opsize = rex & UMBRA_REX_W ? 8 : has_prefix(x, 0x66) ? 2 : 4;
	else
		opsize = has_prefix(x, 0x66) == (x->code == UMBRA_CODE_32) ? 2 : 4;

	if (t->flags & T_VEX)
		make_vex(x, rex);
	make_opcode(x);
	if (t->flags & T_MODRM)
		make_modrm(x, adsize);
	if (t->flags & T_MOFFS) {
		x->disp = x->len;
		x->disp_size = adsize;
		put(x, 0, adsize);
	}
	if (t->flags & T_IMM8)
		put(x, random_value(), 1);
	if (t->flags & T_IMM16)
		put(x, random_value(), 2);
	if (t->flags & T_ENTER) {
		put(x, random_below(0x40), 2);
		put(x, one_in(4) ? random_value() : random_below(4), 1);
	}
	if (t->flags & T_IMMZ)
		put(x, random_value(), opsize == 2 ? 2 : 4);
	if (t->flags & T_IMMV)
		put(x, random_value(), opsize);
}

/* Base that the test's segment register has. */
static u64 segment_base(const struct test *x, unsigned int seg)
{
	u16 selector = x->cpu.seg[seg];

	if (x->code == UMBRA_CODE_64)
		return seg == UMBRA_EMUL_GS ? GS_BASE : 0;
	return selector & 4 ? segments[selector >> 3].seg.base : 0;
}

static void point_reg(struct test *x, unsigned int reg, u64 linear, unsigned int seg)
{
	x->cpu.gpr[reg] = linear - segment_base(x, seg);
	if (x->code != UMBRA_CODE_64)
		x->cpu.gpr[reg] = (u32)x->cpu.gpr[reg];
}

/*
 * Change a register or the displacement so that the memory operand comes to lie
 * at @linear. Whether the executor computes the same address is what the CPU's
 * run shows.
 */
static void aim(struct test *x, const struct umbra_insn *insn, u64 linear)
{
	u64 offset, delta;
	unsigned int mod = insn->modrm >> 6, rm = insn->modrm & 7, reg;

	offset = umbra_insn_offset(insn, x->cpu.gpr, x->cpu.rip);
	delta = linear - segment_base(x, insn->seg) - offset;
	if (insn->adsize == 2) {
		static const u8 base[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };

		if (mod == 0 && rm == 6)
			goto displacement;
		reg = base[rm];
	} else if (rm == 4) {
		reg = insn->sib & 7;
		if (reg == 5 && mod == 0)
			goto displacement;
		reg |= (insn->rex & UMBRA_REX_B) << 3;
	} else {
		if (rm == 5 && mod == 0)
			goto displacement;
		reg = insn->rm;
	}
	x->cpu.gpr[reg] += delta;
	if (x->code != UMBRA_CODE_64)
		x->cpu.gpr[reg] = (u32)x->cpu.gpr[reg];
	else if (insn->adsize == 4 && one_in(2))
		x->cpu.gpr[reg] ^= 0x5a5a5a5a00000000;	/* is to be ignored */
	return;

displacement:
	delta += (s64)insn->disp;
	memcpy(x->bytes + x->disp, &delta, x->disp_size);
}

static u16 random_data_selector(void)
{
	static const u8 choice[] = {
		SEG_DATA32, SEG_DATA32, SEG_DATA16, SEG_DOWN32, SEG_DOWN16, SEG_READONLY,
		SEG_READCODE, SEG_SMALL,
	};

	switch (random_below(8)) {
	case 0:
		return one_in(4) ? 0 : 0x2b;
	case 1: case 2: case 3:
		return 0x2b;
	default:
		return choice[random_below(ARRAY_SIZE(choice))] << 3 | 7;
	}
}

static void make_segments(struct test *x)
{
	static const u8 stacks[] = { SEG_DATA32, SEG_DATA16, SEG_DOWN32, SEG_DOWN16, SEG_SMALL };
	u16 *seg = x->cpu.seg;

	memset(seg, 0, sizeof(x->cpu.seg));
	if (x->code == UMBRA_CODE_64) {
		seg[UMBRA_EMUL_CS] = 0x33;
		seg[UMBRA_EMUL_SS] = 0x2b;
		return;
	}
	if (x->code == UMBRA_CODE_32)
		seg[UMBRA_EMUL_CS] = one_in(2) ? 0x23 :
				     (one_in(8) ? SEG_EXECONLY : SEG_CODE32) << 3 | 7;
	else
		seg[UMBRA_EMUL_CS] = SEG_CODE16 << 3 | 7;
	seg[UMBRA_EMUL_DS] = random_data_selector();
	seg[UMBRA_EMUL_ES] = random_data_selector();
	seg[UMBRA_EMUL_GS] = random_data_selector();
	seg[UMBRA_EMUL_SS] = one_in(2) ? 0x2b :
			     stacks[random_below(ARRAY_SIZE(stacks))] << 3 | 7;
}

static void make_registers(struct test *x)
{
	struct cpu *cpu = &x->cpu;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		cpu->gpr[i] = random_value();
		if (x->code != UMBRA_CODE_64)
			cpu->gpr[i] = i < 8 ? (u32)cpu->gpr[i] : 0;
	}
	for (i = 0; i < sizeof(cpu->vec); i += 8) {
		u64 v = random_u64();

		memcpy((u8 *)cpu->vec + i, &v, 8);
	}
	if (!native_avx) {
		for (i = 0; i < 16; i++)
			memset(cpu->vec[i] + 16, 0, 16);
	}
	cpu->rflags = X86_EFLAGS_FIXED | X86_EFLAGS_IF |
		      (random_u64() & (X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF |
				       X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF));
	if (one_in(4))
		cpu->rflags |= X86_EFLAGS_DF;
	if (one_in(12) && !(x->t->flags & T_NOAC))
		cpu->rflags |= X86_EFLAGS_AC;
}

/* A dividend at the edge of what IDIV can do, for a divisor in a register. */
static void make_edge_division(struct test *x, const struct umbra_insn *insn)
{
	unsigned int size = insn->opsize, bits = 8 * size;
	u64 *gpr = x->cpu.gpr;
	s64 d = 1 + random_below(3);
	__int128 n = (__int128)1 << (bits - 1);

	if (insn->rm == UMBRA_EMUL_RAX || insn->rm == UMBRA_EMUL_RDX || size == 1)
		return;
	if (one_in(2))
		d = -d;
	if (one_in(2))
		n = -n;
	n = n * d + (s64)random_below(3) - 1;
	gpr[insn->rm] = d;
	gpr[UMBRA_EMUL_RAX] = n;
	gpr[UMBRA_EMUL_RDX] = n >> bits;
	if (x->code != UMBRA_CODE_64) {
		gpr[insn->rm] = (u32)gpr[insn->rm];
		gpr[UMBRA_EMUL_RAX] = (u32)gpr[UMBRA_EMUL_RAX];
	}
}

/* Give special operands values that lead somewhere. */
static void make_operands(struct test *x, const struct umbra_insn *insn)
{
	const struct template *t = x->t;
	struct cpu *cpu = &x->cpu;
	bool mem = insn->flags & UMBRA_INSN_MEM;
	unsigned int size = insn->opsize;
	u64 target = random_target(x), rm;

	if (t->flags & T_STRING) {
		point_reg(x, UMBRA_EMUL_RSI, random_target(x), insn->seg);
		point_reg(x, UMBRA_EMUL_RDI, random_target(x), UMBRA_EMUL_ES);
		if (!one_in(8))
			cpu->gpr[UMBRA_EMUL_RCX] = random_below(20);
		else if (x->step)
			cpu->gpr[UMBRA_EMUL_RCX] = random_value();
		else
			cpu->gpr[UMBRA_EMUL_RCX] = random_below(4000);
		if (x->code != UMBRA_CODE_64)
			cpu->gpr[UMBRA_EMUL_RCX] = (u32)cpu->gpr[UMBRA_EMUL_RCX];
	}
	if (t->flags & T_STACK)
		point_reg(x, UMBRA_EMUL_RSP, random_target(x), UMBRA_EMUL_SS);
	if (t->flags & (T_LEAVE | T_ENTER))
		point_reg(x, UMBRA_EMUL_RBP, random_target(x), UMBRA_EMUL_SS);
	if (t->flags & T_XLAT)
		point_reg(x, UMBRA_EMUL_RBX, target, insn->seg);
	if (t->flags & T_CPUID)
		cpu->gpr[UMBRA_EMUL_RAX] = 0x80000000 | one_in(2) << 1;
	if (t->flags & T_BIT && !one_in(4))
		cpu->gpr[insn->reg] = (s64)random_below(0x400) - 0x200;
	if (t->flags & T_DIV && !one_in(4)) {
		if (insn->reg & 1 && one_in(2))
			cpu->gpr[UMBRA_EMUL_RDX] = (s64)cpu->gpr[UMBRA_EMUL_RAX] >> 63;
		else
			cpu->gpr[UMBRA_EMUL_RDX] = random_below(16);
		if (size == 1)
			cpu->gpr[UMBRA_EMUL_RAX] = random_below(0x1000);
		if (!mem && one_in(2))
			make_edge_division(x, insn);
	}
	if (x->code != UMBRA_CODE_64) {
		cpu->gpr[insn->reg & 7] = (u32)cpu->gpr[insn->reg & 7];
		cpu->gpr[UMBRA_EMUL_RDX] = (u32)cpu->gpr[UMBRA_EMUL_RDX];
	}

	if (t->flags & T_MOFFS) {
		u64 offset = target - segment_base(x, insn->seg);

		memcpy(x->bytes + x->disp, &offset, x->disp_size);
	}
	if (mem && (t->flags & T_MODRM) && !one_in(50))
		aim(x, insn, target);

	if (t->flags & T_BRANCH && !mem && (insn->flags & UMBRA_INSN_MODRM) && !one_in(4))
		cpu->gpr[insn->rm] = CODE_BASE - segment_base(x, UMBRA_EMUL_CS) + random_below(64);
	if (t->flags & T_BRANCH && in_page(target) && !one_in(4)) {
		rm = random_below(0x1000);
		if (one_in(2))
			rm += CODE_BASE;
		if (t->flags & T_STACK)
			point_reg(x, UMBRA_EMUL_RSP, target, UMBRA_EMUL_SS);
		memcpy((void *)target, &rm, 8);
	}
	if (t->flags & T_CMPXCHG && one_in(2)) {
		/* Only helps as long as rAX is not part of the address: often enough. */
		rm = cpu->gpr[insn->rm];
		if (mem && in_page(target))
			memcpy(&rm, (void *)target, 8);
		cpu->gpr[UMBRA_EMUL_RAX] = x->code == UMBRA_CODE_64 ? rm : (u32)rm;
		if (insn->opcode == 0xc7 && in_page(target)) {
			memcpy(&rm, (void *)(target + (insn->rex & UMBRA_REX_W ? 8 : 4)), 8);
			cpu->gpr[UMBRA_EMUL_RDX] = x->code == UMBRA_CODE_64 ? rm : (u32)rm;
		}
	}
	if (t->flags & T_SELECTOR) {
		u16 selector = one_in(4) ? random_below(4) :
			       random_below(NR_SEGMENTS) << 3 | 4 | random_below(4);

		if (!mem) {
			cpu->gpr[insn->rm] = (cpu->gpr[insn->rm] & 0xffff0000) | selector;
		} else if (in_page(target)) {
			if (insn->opcode == 0x8e)
				memcpy((void *)target, &selector, 2);
			else
				memcpy((void *)(target + size), &selector, 2);
		}
	}
}

/* Put the instruction where it is to run: sometimes so that the page ends in it. */
static void place(struct test *x)
{
	u64 linear = CODE_BASE + 0x100;

	if (one_in(10))
		linear = CODE_BASE + CODE_SIZE - 1 - random_below(x->len + 1);
	else if (one_in(10))
		linear = CODE_BASE + 0x1000 - random_below(16);
	x->cpu.rip = linear - segment_base(x, UMBRA_EMUL_CS);
}

static void write_code(const struct test *x)
{
	unsigned long at = x->cpu.rip + segment_base(x, UMBRA_EMUL_CS) - CODE_BASE;

	/* INT3 all around, so that nothing runs away */
	memset(code_alias, 0xcc, CODE_SIZE);
	memcpy(code_alias + at, x->bytes, min_t(unsigned long, x->len, CODE_SIZE - at));
}

/* Returns false when no usable instruction came out. */
static bool make_test(struct test *x, const struct template *t, unsigned int code)
{
	struct umbra_insn insn;

	x->t = t;
	x->code = code;
	make_segments(x);
	make_registers(x);
	make_instruction(x);
	place(x);
	x->step = (t->flags & T_BRANCH) || one_in(2);

	memory_load(initial_data);
	/* What does not decode runs as it is: #UD is a result like any other. */
	if (umbra_decode(&insn, x->bytes, x->len, code) == 0)
		make_operands(x, &insn);
	if (x->step)
		x->cpu.rflags |= X86_EFLAGS_TF;
	memory_save(x->memory);
	return true;
}

static void show_cpu(const char *name, const struct cpu *cpu, const struct outcome *out)
{
	static const char *const regs[] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	int i;

	printf("#   %s:", name);
	if (out)
		printf(" vector %d error %#x address %#lx", out->vector, out->error,
		       (unsigned long)out->address);
	printf(" rip %lx rflags %lx", (unsigned long)cpu->rip, (unsigned long)cpu->rflags);
	printf(" es %x cs %x ss %x ds %x gs %x\n#    ", cpu->seg[0], cpu->seg[1], cpu->seg[2],
	       cpu->seg[3], cpu->seg[5]);
	for (i = 0; i < 16; i++)
		printf(" %s %lx%s", regs[i], (unsigned long)cpu->gpr[i], i == 7 ? "\n#    " : "");
	printf("\n");
}

static u64 undefined_flags(const struct test *x, const struct umbra_insn *insn)
{
	u64 flags = strict ? 0 : x->t->undefined;
	unsigned int count;

	if (flags != SHIFT && flags != ROTATE)
		return flags;
	/* Shifts by one define OF. */
	if (x->t->flags & T_IMM8)
		count = insn->imm;
	else if (insn->map == UMBRA_MAP_1BYTE && insn->opcode < 0xd2)
		count = 1;
	else
		count = x->cpu.gpr[UMBRA_EMUL_RCX];
	count &= insn->opsize == 8 ? 63 : 31;
	return count == 1 ? flags & ~(u64)X86_EFLAGS_OF : flags;
}

/* What the kernel hides or changes before a signal handler sees it. */
static void normalize(const struct test *x, struct cpu *cpu, struct outcome *out)
{
	unsigned int i;

	if (out->vector == X86_TRAP_PF && out->address >= KERNEL_BEGIN)
		out->error |= BIT(0);
	if (out->vector != X86_TRAP_PF)
		out->address = 0;
	if (x->code != UMBRA_CODE_64) {
		for (i = 0; i < 16; i++)
			cpu->gpr[i] = i < 8 ? (u32)cpu->gpr[i] : 0;
	}
	/* A null selector loses its RPL on the way through the kernel. */
	for (i = 0; i < UMBRA_EMUL_NR_SEG; i++) {
		if (cpu->seg[i] < 4)
			cpu->seg[i] = 0;
	}
	/* Misaligned and outside the segment: which is seen first depends on the CPU. */
	if ((x->t->flags & T_ALIGNED) && out->vector == X86_TRAP_SS)
		out->vector = X86_TRAP_GP;
	/*
	 * A string instruction of 32-bit addresses that does nothing, by a fault or a
	 * count of 0: Intel's CPUs may clear the upper halves of its registers, AMD's don't.
	 */
	if ((x->t->flags & T_STRING) && has_prefix(x, 0x67) &&
	    (out->vector >= 0 || !(u32)x->cpu.gpr[UMBRA_EMUL_RCX])) {
		cpu->gpr[UMBRA_EMUL_RCX] = (u32)cpu->gpr[UMBRA_EMUL_RCX];
		cpu->gpr[UMBRA_EMUL_RSI] = (u32)cpu->gpr[UMBRA_EMUL_RSI];
		cpu->gpr[UMBRA_EMUL_RDI] = (u32)cpu->gpr[UMBRA_EMUL_RDI];
	}
}

static const char *compare(const struct test *x, const struct cpu *a, const struct outcome *oa,
			   const u8 *ma, const struct cpu *b, const struct outcome *ob,
			   const u8 *mb, u64 undefined)
{
	static char text[32];
	unsigned int i;

	/* Of eight elements any may be the first that is found to fault. */
	if ((x->t->flags & T_PARTIAL) && oa->vector >= 0 && ob->vector >= 0)
		return NULL;
	if (oa->vector != ob->vector)
		return "exception";
	if (oa->error != ob->error)
		return "error code";
	if (a->rip != b->rip)
		return "rip";
	if (oa->address != ob->address)
		return "fault address";
	for (i = 0; i < 16; i++) {
		if (a->gpr[i] == b->gpr[i])
			continue;
		snprintf(text, sizeof(text), "register %u", i);
		return text;
	}
	if ((a->rflags ^ b->rflags) & FLAGS_COMPARED & ~undefined)
		return "flags";
	if (memcmp(a->seg, b->seg, sizeof(a->seg)))
		return "segment register";
	if (memcmp(ma, mb, sizeof(x->memory)))
		return "memory";
	if (memcmp(a->vec, b->vec, sizeof(a->vec)))
		return "vector register";
	return NULL;
}

static void show(const struct test *x, u64 seed, const char *what, const struct cpu *native,
		 const struct outcome *no, const struct cpu *machine, const struct outcome *mo)
{
	unsigned int i;

	printf("# differs in %s: seed %#lx, %u-bit code:", what, (unsigned long)seed,
	       x->code * 8);
	for (i = 0; i < x->len; i++)
		printf(" %02x", x->bytes[i]);
	printf("%s\n", x->step ? " (stepped)" : "");
	show_cpu("before", &x->cpu, NULL);
	show_cpu("CPU   ", native, no);
	show_cpu("Umbra ", machine, mo);
}

/* Run one case. Returns what differs, or NULL; *@handled says if there was a result. */
static const char *run_case(const struct template *t, unsigned int code, bool *handled,
			    bool print)
{
	static u8 native_memory[sizeof(test.memory)], machine_memory[sizeof(test.memory)];
	struct cpu native, machine;
	struct outcome no, mo;
	struct umbra_insn insn;
	u64 seed = random_seed;
	const char *what;
	int ret;

	make_test(&test, t, code);

	memory_load(test.memory);
	write_code(&test);
	machine = test.cpu;
	ret = machine_run(&machine, code, &insn, &mo);
	memory_save(machine_memory);
	*handled = !mo.unhandled;
	if (mo.unhandled)
		return NULL;
	/* Behind a page's end there is no INT3 to run into. */
	if (!test.step && ret == UMBRA_EMUL_DONE &&
	    machine.rip + segment_base(&test, UMBRA_EMUL_CS) >= CODE_BASE + CODE_SIZE) {
		test.step = true;
		test.cpu.rflags |= X86_EFLAGS_TF;
		memory_load(test.memory);
		machine = test.cpu;
		machine_run(&machine, code, &insn, &mo);
		memory_save(machine_memory);
	}

	if (executor_only)
		return NULL;
	memory_load(test.memory);
	write_code(&test);
	native = test.cpu;
	native_run(&native, test.step, &no);
	memory_save(native_memory);
	/* It ran into the INT3 behind it, and RIP is behind that. */
	if (!test.step && no.vector < 0)
		native.rip--;

	normalize(&test, &native, &no);
	normalize(&test, &machine, &mo);
	what = compare(&test, &native, &no, native_memory, &machine, &mo, machine_memory,
		       mo.vector < 0 ? undefined_flags(&test, &insn) : 0);
	if (what && print)
		show(&test, seed, what, &native, &no, &machine, &mo);
	return what;
}

static bool run_template(const struct template *t, unsigned int code, unsigned int cases)
{
	unsigned int i, bad = 0, good = 0;
	bool handled;

	for (i = 0; i < cases; i++) {
		if (run_case(t, code, &handled, bad < MAX_SHOWN))
			bad++;
		else if (handled)
			good++;
	}
	if (bad)
		printf("# %u of %u cases differ\n", bad, cases);
	else if (good < cases / 8)
		printf("# only %u of %u cases were executed\n", good, cases);
	return !bad && good >= cases / 8;
}

/* Not every CPU has all of them, and not every kernel runs 16- and 32-bit code. */
static const char *reason_to_skip(const struct template *t, unsigned int code)
{
	unsigned int a, b, c, d;

	if (code != UMBRA_CODE_64 && !native_compat && !executor_only)
		return "this kernel has no 32-bit code or no modify_ldt";
	__cpuid(1, a, b, c, d);
	if (t->map == UMBRA_MAP_0F38 && t->first == 0x2a) {
		if (!(c & bit_SSE4_1) || ((t->flags & T_VEX) && !__builtin_cpu_supports("avx2")))
			return "this CPU has no MOVNTDQA of that size";
	} else if (t->map == UMBRA_MAP_0F38 && !(c & bit_MOVBE)) {
		return "this CPU has no MOVBE";
	}
	if (t->map == UMBRA_MAP_0F && t->first == 0xf0 && !(c & bit_SSE3))
		return "this CPU has no LDDQU";
	if (t->map == UMBRA_MAP_0F && t->first == 0xc7 && !(c & bit_CMPXCHG16B))
		return "this CPU has no CMPXCHG16B";
	return NULL;
}

static void usage(void)
{
	fprintf(stderr, "usage: differential [-s SEED] [-n CASES] [-t TEXT] [-m 64|32|16] [-x] [-e]\n"
		"  -s  seed of the random numbers (default: the time)\n"
		"  -n  cases per instruction and code size (default: 300)\n"
		"  -t  only instructions whose name contains TEXT\n"
		"  -m  only this code size\n"
		"  -x  compare undefined flags, too (as Intel's CPUs set them)\n"
		"  -e  do not run them on the CPU: to look for what sanitizers find\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct { unsigned int bit, code, bits; } sizes[] = {
		{ C64, UMBRA_CODE_64, 64 }, { C32, UMBRA_CODE_32, 32 }, { C16, UMBRA_CODE_16, 16 },
	};
	unsigned int count = 300, only = 0, passed = 0, failed = 0, i, s;
	u64 seed = time(NULL), first;
	const char *text = "";
	int option;

	while ((option = getopt(argc, argv, "s:n:t:m:xe")) != -1) {
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			count = strtoul(optarg, NULL, 0);
			break;
		case 't':
			text = optarg;
			break;
		case 'm':
			only = strtoul(optarg, NULL, 0);
			break;
		case 'x':
			strict = true;
			break;
		case 'e':
			executor_only = true;
			break;
		default:
			usage();
		}
	}
	if (optind < argc || !count)
		usage();

	setvbuf(stdout, NULL, _IOLBF, 0);
	random_seed = 1;
	native_setup();
	printf("# seed %#lx, %u cases each%s%s\n", (unsigned long)seed, count,
	       native_la57 ? ", la57" : "", native_avx ? ", avx" : "");
	random_seed = seed;

	for (s = 0; s < ARRAY_SIZE(sizes); s++) {
		if (only && only != sizes[s].bits)
			continue;
		for (i = 0; i < nr_templates; i++) {
			const struct template *t = &templates[i];
			const char *skip;
			bool ok;

			if (!(t->codes & sizes[s].bit) || !strstr(t->name, text))
				continue;
			skip = reason_to_skip(t, sizes[s].code);
			if (skip) {
				printf("ok %u - %u-bit %s # SKIP %s\n", ++passed + failed,
				       sizes[s].bits, t->name, skip);
				continue;
			}
			/* Each begins at the seed given, so that -t repeats it. */
			first = random_seed;
			random_seed = seed;
			ok = run_template(t, sizes[s].code, count);
			random_seed = first;
			if (ok)
				passed++;
			else
				failed++;
			printf("%sok %u - %u-bit %s%s\n", ok ? "" : "not ", passed + failed,
			       sizes[s].bits, t->name, executor_only ? " (not compared)" : "");
		}
	}
	printf("1..%u\n# differential: %u passed, %u failed\n", passed + failed, passed, failed);
	return failed != 0;
}
