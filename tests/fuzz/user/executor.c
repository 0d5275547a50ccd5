// SPDX-License-Identifier: GPL-2.0-only
/*
 * The executor on the machine of its unit tests: the input says in which mode the
 * machine is, what is in its registers, and what it executes, one instruction after
 * the other.
 */
#include "input.h"
#include "mock.h"

#define INSNS	8

static u64 value(struct input *in)
{
	u64 v = input_number(in, 1);

	switch (v >> 6) {
	case 0:
		return v;
	case 1:
		return DATA_AT + (v & 0x3f) * 64;
	case 2:
		return input_number(in, 2);
	default:
		return input_number(in, 8);
	}
}

static void take_segments(struct input *in, unsigned int which)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(m.seg); i++) {
		if (!(which & 1U << i))
			continue;
		m.seg[i].base = value(in);
		m.seg[i].limit = value(in);
		m.seg[i].attr = input_number(in, 2) & 0xf0ff;
		m.seg[i].selector = value(in);
	}
}

static void take_state(struct input *in)
{
	static const enum mode modes[] = { REAL, VM86, PROTECTED, LONG };
	unsigned int what = input_number(in, 2), i;
	enum mode mode = modes[what & 3];

	power_on(mode, mode == REAL ? 0 : mode == VM86 ? 3 : what >> 2 & 3);
	if (mode == PROTECTED && what & 0x10)
		m.c.code = UMBRA_CODE_16;
	m.io_denied = what & 0x20;
	m.race = what & 0x40;
	m.xcr0 = what & 0x80 ? 7 : 3;
	m.fail_at = what >> 8 & 7;
	m.commits_max = what >> 11 & 3;
	m.c.cr0 |= input_number(in, 1) & (X86_CR0_TS | X86_CR0_EM | X86_CR0_MP | X86_CR0_NE);
	m.c.cr4 = value(in);
	m.c.rflags |= value(in) & 0x3f5dd5 & ~(u64)X86_EFLAGS_VM;
	m.msr_value = value(in);
	for (i = 0; i < 16; i++)
		m.gpr[i] = value(in);
	if (what & 0x2000)
		take_segments(in, input_number(in, 2));
	if (what & 0x4000)
		m.gpr[(what >> 12 & 1) ? UMBRA_EMUL_RBX : UMBRA_EMUL_RSI] = MMIO_AT;
	if (what & 0x8000)
		input_bytes(in, m.memory + GDT_AT, 64);
}

static bool is_string(const struct umbra_insn *insn)
{
	return insn->map == UMBRA_MAP_1BYTE &&
	       ((insn->opcode >= 0x6c && insn->opcode <= 0x6f) ||
		(insn->opcode >= 0xa4 && insn->opcode <= 0xaf &&
		 insn->opcode != 0xa8 && insn->opcode != 0xa9));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	u64 gpr[16], rip, rflags;
	unsigned int i;
	u8 vec[16][32];
	int ret;

	take_state(&in);
	for (i = 0; i < INSNS && in.left; i++) {
		memset(m.memory + CODE_AT, 0x90, 16);
		input_bytes(&in, m.memory + CODE_AT, in.left < 15 ? in.left : 15);
		m.c.rip = CODE_AT;
		memcpy(gpr, m.gpr, sizeof(gpr));
		memcpy(vec, m.vec, sizeof(vec));
		rip = m.c.rip;
		rflags = m.c.rflags;
		umbra_emul_start(&m.c);
		ret = umbra_emulate(&m.c);

		MUST(ret >= UMBRA_EMUL_DONE && ret <= UMBRA_EMUL_UNHANDLED);
		MUST(m.c.fetch_len <= UMBRA_INSN_MAX);
		if (ret == UMBRA_EMUL_DONE) {
			MUST(m.c.insn.length);
			continue;
		}
		/* What was not completed has changed nothing, but for strings cut short. */
		MUST(m.c.rip == rip);
		if (m.c.insn.length && is_string(&m.c.insn))
			continue;
		MUST(!memcmp(m.gpr, gpr, sizeof(gpr)) && m.c.rflags == rflags);
		MUST(!memcmp(m.vec, vec, sizeof(vec)));
	}
	return 0;
}
