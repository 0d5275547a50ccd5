// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random bytes in every mode, on random registers and segments: nothing may crash,
 * hang, or change registers when it says that it did not execute.
 *
 * usage: hostile [-s SEED] [-n CASES]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "harness.h"
#include "mock.h"

static void random_segments(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(m.seg); i++) {
		if (one_in(3))
			m.seg[i].base = random_below(4) ? random_below(MEMORY_SIZE) :
							  random_value();
		if (one_in(4))
			m.seg[i].limit = random_value();
		if (one_in(6))
			m.seg[i].attr = random_u64() & 0xf0ff;
		m.seg[i].selector = random_u64();
	}
	if (!one_in(8))
		m.seg[UMBRA_EMUL_CS].base = 0;
}

static void random_state(void)
{
	static const enum mode modes[] = { REAL, VM86, PROTECTED, LONG, LONG };
	enum mode mode = modes[random_below(ARRAY_SIZE(modes))];
	unsigned int i;

	power_on(mode, mode == REAL ? 0 : mode == VM86 ? 3 : random_below(4));
	if (mode == PROTECTED && one_in(2))
		m.c.code = UMBRA_CODE_16;
	for (i = 0; i < 16; i++)
		m.gpr[i] = one_in(3) ? random_value() : random_below(MEMORY_SIZE);
	if (one_in(4))
		m.gpr[random_below(16)] = MMIO_AT + random_below(MMIO_SIZE);
	m.c.rflags |= random_u64() & 0x3f5dd5 & ~(u64)X86_EFLAGS_VM;
	m.c.cr0 |= random_u64() & (X86_CR0_TS | X86_CR0_EM | X86_CR0_AM | X86_CR0_WP);
	m.c.cr4 = random_u64();
	m.xcr0 = one_in(2) ? 7 : 3;
	m.io_denied = one_in(2);
	m.msr_value = random_u64();
	if (one_in(3))
		random_segments();
	if (one_in(4))
		m.fail_at = 1 + random_below(4);
	m.race = one_in(4);
	if (one_in(20))
		m.c.rip = MEMORY_SIZE - random_below(20);
}

/* A string instruction that was stopped has moved these, and nothing else. */
static bool is_string(const struct umbra_insn *insn)
{
	if (insn->map != UMBRA_MAP_1BYTE)
		return false;
	return (insn->opcode >= 0x6c && insn->opcode <= 0x6f) ||
	       (insn->opcode >= 0xa4 && insn->opcode <= 0xaf &&
		insn->opcode != 0xa8 && insn->opcode != 0xa9);
}

static const char *run_random(void)
{
	u64 gpr[16], rip, rflags;
	u8 bytes[UMBRA_INSN_MAX];
	u8 vec[16][32];
	unsigned int i;
	int ret;

	random_state();
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = random_u64();
	if (one_in(3))
		bytes[0] = 0x0f;
	else if (one_in(8))
		bytes[0] = 0xf3;
	if (m.c.rip == CODE_AT)
		memcpy(m.memory + CODE_AT, bytes, sizeof(bytes));
	memcpy(gpr, m.gpr, sizeof(gpr));
	memcpy(vec, m.vec, sizeof(vec));
	rip = m.c.rip;
	rflags = m.c.rflags;
	umbra_emul_start(&m.c);
	ret = umbra_emulate(&m.c);

	if (ret < UMBRA_EMUL_DONE || ret > UMBRA_EMUL_UNHANDLED)
		return "result";
	if (m.c.fetch_len > UMBRA_INSN_MAX)
		return "number of bytes fetched";
	if (ret == UMBRA_EMUL_DONE)
		return m.c.insn.length ? NULL : "length";
	if (m.c.rip != rip)
		return "RIP of what was not completed";
	if (ret == UMBRA_EMUL_FAULT && m.c.exc.has_error && !(m.c.cr0 & X86_CR0_PE) &&
	    m.c.exc.vector != X86_TRAP_PF)
		return "error code in real mode";
	if (m.c.insn.length && is_string(&m.c.insn))
		return NULL;
	if (memcmp(m.gpr, gpr, sizeof(gpr)) || m.c.rflags != rflags)
		return "registers of what was not completed";
	if (memcmp(m.vec, vec, sizeof(vec)))
		return "vector registers of what was not completed";
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int cases = 200000, i, bad = 0, k;
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
			fprintf(stderr, "usage: hostile [-s SEED] [-n CASES]\n");
			return 2;
		}
	}

	printf("# seed %#lx, %u cases\n", (unsigned long)seed, cases);
	random_seed = seed;
	for (i = 0; i < cases && bad < 10; i++) {
		u64 at = random_seed;
		const char *what = run_random();

		if (!what)
			continue;
		bad++;
		printf("# %s: seed %#lx, %u-bit code:", what, (unsigned long)at, m.c.code * 8);
		for (k = 0; k < m.c.fetch_len; k++)
			printf(" %02x", m.c.fetch[k]);
		printf("\n");
	}
	printf("%sok 1 - random bytes in every mode\n1..1\n", bad ? "not " : "");
	printf("# hostile: %u passed, %u failed\n", !bad, !!bad);
	return bad != 0;
}
