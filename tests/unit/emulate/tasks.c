// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task switches, on the machine of 64 KiB: what is saved, what is loaded, and each of the
 * exceptions of SDM Vol. 3 table 7-2.
 */
#include <stdio.h>

#include "mock.h"

static unsigned int tests, failures;
static bool failed;

#define expect(condition)							\
	do {									\
		if (!(condition)) {						\
			printf("# line %d: %s\n", __LINE__, #condition);	\
			failed = true;						\
		}								\
	} while (0)

#define OLD_AT		0x9000
#define NEW_AT		0xa000
#define LDT_AT		0xb000
#define STACK		0xc800

enum selector {
	SEL_OLD = 0x08, SEL_NEW = 0x10, SEL_CODE = 0x18, SEL_DATA = 0x20, SEL_LDT = 0x28,
	SEL_CODE3 = 0x30, SEL_DATA3 = 0x38, SEL_CONFORMING = 0x40, SEL_READONLY = 0x48,
	SEL_EXECONLY = 0x50, SEL_ABSENT = 0x58, SEL_ABSENT_CODE = 0x60, SEL_CODE16 = 0x68,
	SEL_BEYOND = 0x70,
};

#define TSS32		0x89
#define TSS16		0x81
#define BUSY		2

static void put16(u32 at, u16 value)
{
	memcpy(m.memory + at, &value, 2);
}

static void put32(u32 at, u32 value)
{
	memcpy(m.memory + at, &value, 4);
}

static u16 get16(u32 at)
{
	u16 value;

	memcpy(&value, m.memory + at, 2);
	return value;
}

static u32 get32(u32 at)
{
	u32 value;

	memcpy(&value, m.memory + at, 4);
	return value;
}

static void descriptor(u16 selector, u32 base, u32 limit, unsigned int access, unsigned int high)
{
	put32(GDT_AT + selector, (limit & 0xffff) | base << 16);
	put32(GDT_AT + selector + 4, (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) |
	      high << 20 | (base & 0xff000000));
}

static u8 access_byte(u16 selector)
{
	return m.memory[GDT_AT + selector + 5];
}

/* The old task runs at CPL 0, the new one, of 32 bits, waits, with all that a task has. */
static void set_up(void)
{
	unsigned int i;

	power_on(PROTECTED, 0);
	m.c.cr0 |= X86_CR0_PG;
	m.cr[3] = 0x1000;
	for (i = 0; i < 8; i++)
		m.gpr[i] = 0x11110000 + i;
	m.gpr[UMBRA_EMUL_RSP] = 0x4000;
	m.c.rip = 0x1234;
	memset(m.memory + GDT_AT, 0, 0x100);
	m.seg[UMBRA_EMUL_GDTR] = (struct umbra_emul_seg) {
		.base = GDT_AT, .limit = SEL_BEYOND - 1,
	};
	m.seg[UMBRA_EMUL_TR] = (struct umbra_emul_seg) {
		.base = OLD_AT, .limit = 0x67, .selector = SEL_OLD, .attr = TSS32 | BUSY,
	};
	descriptor(SEL_OLD, OLD_AT, 0x67, TSS32 | BUSY, 0);
	descriptor(SEL_NEW, NEW_AT, 0x67, TSS32, 0);
	descriptor(SEL_CODE, 0, 0xfffff, 0x9a, 0xc);
	descriptor(SEL_DATA, 0, 0xfffff, 0x92, 0xc);
	descriptor(SEL_LDT, LDT_AT, 0xff, 0x82, 0);
	descriptor(SEL_CODE3, 0, 0xfffff, 0xfa, 0xc);
	descriptor(SEL_DATA3, 0, 0xfffff, 0xf2, 0xc);
	descriptor(SEL_CONFORMING, 0, 0xfffff, 0x9e, 0xc);
	descriptor(SEL_READONLY, 0, 0xfffff, 0x90, 0xc);
	descriptor(SEL_EXECONLY, 0, 0xfffff, 0x98, 0xc);
	descriptor(SEL_ABSENT, 0, 0xfffff, 0x12, 0xc);
	descriptor(SEL_ABSENT_CODE, 0, 0xfffff, 0x1a, 0xc);
	descriptor(SEL_CODE16, 0, 0xffff, 0x9a, 0);

	memset(m.memory + OLD_AT, 0xee, 0x68);
	memset(m.memory + NEW_AT, 0, 0x68);
	put32(NEW_AT + 0x1c, 0x7000);
	put32(NEW_AT + 0x20, 0x5678);
	put32(NEW_AT + 0x24, X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	for (i = 0; i < 8; i++)
		put32(NEW_AT + 0x28 + 4 * i, 0x22220000 + i);
	put32(NEW_AT + 0x38, STACK);
	for (i = 0; i < 6; i++)
		put32(NEW_AT + 0x48 + 4 * i, SEL_DATA);
	put32(NEW_AT + 0x4c, SEL_CODE);
	put32(NEW_AT + 0x60, SEL_LDT);
}

static int task_switch(enum umbra_task_reason reason, unsigned int length)
{
	struct umbra_emul_task t = {
		.selector = SEL_NEW, .reason = reason, .insn_length = length,
	};

	umbra_emul_start(&m.c);
	return umbra_emul_task_switch(&m.c, &t);
}

static void loaded(u64 flags)
{
	static const u8 order[] = {
		UMBRA_EMUL_ES, UMBRA_EMUL_SS, UMBRA_EMUL_DS, UMBRA_EMUL_FS, UMBRA_EMUL_GS,
	};
	unsigned int i;

	expect(m.c.events & UMBRA_EMUL_EV_TASK);
	expect(m.c.rip == 0x5678 && m.c.rflags == flags);
	for (i = 0; i < 8; i++)
		expect(m.gpr[i] == (i == UMBRA_EMUL_RSP ? STACK : 0x22220000 + i));
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		expect(m.seg[order[i]].selector == SEL_DATA);
		expect(m.seg[order[i]].attr == 0xc093);
		expect(m.seg[order[i]].limit == 0xffffffff);
	}
	expect(m.seg[UMBRA_EMUL_CS].selector == SEL_CODE && m.seg[UMBRA_EMUL_CS].attr == 0xc09b);
	expect(m.seg[UMBRA_EMUL_LDTR].selector == SEL_LDT);
	expect(m.seg[UMBRA_EMUL_LDTR].base == LDT_AT && m.seg[UMBRA_EMUL_LDTR].limit == 0xff);
	expect(m.seg[UMBRA_EMUL_TR].selector == SEL_NEW && m.seg[UMBRA_EMUL_TR].base == NEW_AT);
	expect(m.seg[UMBRA_EMUL_TR].attr == (TSS32 | BUSY));
	expect(m.cr[0] & X86_CR0_TS);
	expect(m.cr[3] == 0x7000);
	/* Accessed bits of what was loaded, and of nothing else. */
	expect(access_byte(SEL_CODE) == 0x9b && access_byte(SEL_DATA) == 0x93);
	expect(access_byte(SEL_CODE3) == 0xfa);
}

static void saved(u32 rip, u32 flags)
{
	static const u8 order[] = {
		UMBRA_EMUL_ES, UMBRA_EMUL_CS, UMBRA_EMUL_SS, UMBRA_EMUL_DS, UMBRA_EMUL_FS,
		UMBRA_EMUL_GS,
	};
	unsigned int i;

	expect(get32(OLD_AT + 0x20) == rip && get32(OLD_AT + 0x24) == flags);
	for (i = 0; i < 8; i++)
		expect(get32(OLD_AT + 0x28 + 4 * i) ==
		       (i == UMBRA_EMUL_RSP ? 0x4000 : 0x11110000 + i));
	for (i = 0; i < 6; i++)
		expect(get32(OLD_AT + 0x48 + 4 * i) == (0xeeee0000 | 8 * (order[i] + 1u)));
	/* Neither CR3 nor LDT nor what is not a register. */
	expect(get32(OLD_AT + 0x1c) == 0xeeeeeeee && get32(OLD_AT + 0x60) == 0xeeeeeeee);
}

static void test_jmp(void)
{
	set_up();
	m.c.rflags |= X86_EFLAGS_NT | X86_EFLAGS_CF;
	expect(task_switch(UMBRA_TASK_JMP, 7) == UMBRA_EMUL_DONE);
	loaded(X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	saved(0x123b, X86_EFLAGS_FIXED | X86_EFLAGS_NT | X86_EFLAGS_CF);
	expect(access_byte(SEL_OLD) == TSS32 && access_byte(SEL_NEW) == (TSS32 | BUSY));
	expect(get16(NEW_AT) == 0);
	expect(m.c.events == UMBRA_EMUL_EV_TASK);

	/* NT is what the new task has of it. Without paging there is no CR3 to load. */
	set_up();
	m.c.cr0 &= ~(u64)X86_CR0_PG;
	put32(NEW_AT + 0x24, X86_EFLAGS_NT | 0xffc08028);
	expect(task_switch(UMBRA_TASK_JMP, 7) == UMBRA_EMUL_DONE);
	expect(m.c.rflags == (X86_EFLAGS_NT | X86_EFLAGS_FIXED));
	expect(m.cr[3] == 0x1000);
}

static void test_call(void)
{
	set_up();
	expect(task_switch(UMBRA_TASK_CALL, 2) == UMBRA_EMUL_DONE);
	loaded(X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_NT);
	saved(0x1236, X86_EFLAGS_FIXED);
	expect(access_byte(SEL_OLD) == (TSS32 | BUSY) && access_byte(SEL_NEW) == (TSS32 | BUSY));
	expect(get16(NEW_AT) == SEL_OLD);
}

static void test_iret(void)
{
	set_up();
	m.c.rflags |= X86_EFLAGS_NT;
	descriptor(SEL_NEW, NEW_AT, 0x67, TSS32 | BUSY, 0);
	expect(task_switch(UMBRA_TASK_IRET, 1) == UMBRA_EMUL_DONE);
	loaded(X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	saved(0x1235, X86_EFLAGS_FIXED);
	expect(access_byte(SEL_OLD) == TSS32 && access_byte(SEL_NEW) == (TSS32 | BUSY));
	expect(get16(NEW_AT) == 0);
}

static void test_gate(void)
{
	struct umbra_emul_task t = {
		.selector = SEL_NEW, .reason = UMBRA_TASK_GATE,
		.has_error = true, .error = 0x1234567,
	};

	set_up();
	umbra_emul_start(&m.c);
	expect(umbra_emul_task_switch(&m.c, &t) == UMBRA_EMUL_DONE);
	expect(m.c.rflags & X86_EFLAGS_NT);
	expect(get32(OLD_AT + 0x20) == 0x1234);		/* nothing to skip */
	expect(m.gpr[UMBRA_EMUL_RSP] == STACK - 4 && get32(STACK - 4) == 0x1234567);
	expect(get16(NEW_AT) == SEL_OLD);

	/* No room on its stack: #SS, in the new task. */
	set_up();
	put32(NEW_AT + 0x38, 2);
	descriptor(SEL_DATA, 0, 0xffff, 0x92, 4);
	umbra_emul_start(&m.c);
	expect(umbra_emul_task_switch(&m.c, &t) == UMBRA_EMUL_FAULT);
	expect(m.c.exc.vector == X86_TRAP_SS && m.c.events & UMBRA_EMUL_EV_TASK);
	expect(m.c.rip == 0x5678);
}

static void test_16bit(void)
{
	unsigned int i;

	set_up();
	descriptor(SEL_OLD, OLD_AT, 0x2b, TSS16 | BUSY, 0);
	descriptor(SEL_NEW, NEW_AT, 0x2b, TSS16, 0);
	m.seg[UMBRA_EMUL_TR].attr = TSS16 | BUSY;
	m.seg[UMBRA_EMUL_TR].limit = 0x2b;
	memset(m.memory + NEW_AT, 0, 0x2c);
	put16(NEW_AT + 0x0e, 0x5678);
	put16(NEW_AT + 0x10, X86_EFLAGS_FIXED | X86_EFLAGS_DF);
	for (i = 0; i < 8; i++)
		put16(NEW_AT + 0x12 + 2 * i, 0x3330 + i);
	put16(NEW_AT + 0x22, SEL_DATA);
	put16(NEW_AT + 0x24, SEL_CODE16);
	put16(NEW_AT + 0x26, SEL_DATA);
	put16(NEW_AT + 0x28, SEL_DATA);
	expect(task_switch(UMBRA_TASK_CALL, 5) == UMBRA_EMUL_DONE);
	expect(get16(OLD_AT + 0x0e) == 0x1239 && get16(OLD_AT + 0x10) == X86_EFLAGS_FIXED);
	for (i = 0; i < 8; i++)
		expect(get16(OLD_AT + 0x12 + 2 * i) == (i == UMBRA_EMUL_RSP ? 0x4000 : i));
	for (i = 0; i < 4; i++)
		expect(get16(OLD_AT + 0x22 + 2 * i) == 8 * (i + 1));
	expect(get16(OLD_AT + 0x2a) == 0xeeee && get16(OLD_AT + 0x0c) == 0xeeee);
	expect(m.c.rip == 0x5678 && m.c.code == UMBRA_CODE_16);
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_DF | X86_EFLAGS_NT));
	for (i = 0; i < 8; i++)
		expect((u16)m.gpr[i] == 0x3330 + i);
	expect(m.seg[UMBRA_EMUL_FS].selector == 0 &&
	       !(m.seg[UMBRA_EMUL_FS].attr & UMBRA_EMUL_SEG_P));
	expect(!(m.seg[UMBRA_EMUL_LDTR].attr & UMBRA_EMUL_SEG_P));
	expect(m.cr[3] == 0x1000 && m.seg[UMBRA_EMUL_TR].attr == (TSS16 | BUSY));

	/* Between the two kinds, each as it is. */
	set_up();
	descriptor(SEL_OLD, OLD_AT, 0x2b, TSS16 | BUSY, 0);
	m.seg[UMBRA_EMUL_TR].attr = TSS16 | BUSY;
	m.seg[UMBRA_EMUL_TR].limit = 0x29;
	expect(task_switch(UMBRA_TASK_JMP, 5) == UMBRA_EMUL_DONE);
	loaded(X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	expect(get16(OLD_AT + 0x0e) == 0x1239 && get16(OLD_AT + 0x2a) == 0xeeee);
}

static void test_vm86(void)
{
	unsigned int i;

	set_up();
	put32(NEW_AT + 0x24, X86_EFLAGS_FIXED | X86_EFLAGS_VM);
	for (i = 0; i < 6; i++)
		put32(NEW_AT + 0x48 + 4 * i, 0x1000 + i);
	expect(task_switch(UMBRA_TASK_JMP, 5) == UMBRA_EMUL_DONE);
	for (i = 0; i < 6; i++) {
		expect(m.seg[i].selector == 0x1000 + i && m.seg[i].base == 0x10000 + 16 * i);
		expect(m.seg[i].limit == 0xffff && m.seg[i].attr == 0xf3);
	}
	expect(m.c.cpl == 3 && m.c.code == UMBRA_CODE_16);
	expect(m.seg[UMBRA_EMUL_LDTR].base == LDT_AT);
}

static void test_user(void)
{
	unsigned int i;

	set_up();
	for (i = 0; i < 6; i++)
		put32(NEW_AT + 0x48 + 4 * i, SEL_DATA3 | 3);
	put32(NEW_AT + 0x4c, SEL_CODE3 | 3);
	put32(NEW_AT + 0x48, SEL_CONFORMING);
	put32(NEW_AT + 0x58, 3);
	expect(task_switch(UMBRA_TASK_JMP, 5) == UMBRA_EMUL_DONE);
	expect(m.c.cpl == 3 && m.seg[UMBRA_EMUL_SS].attr == 0xc0f3);
	expect(m.seg[UMBRA_EMUL_ES].selector == SEL_CONFORMING);
	expect(m.seg[UMBRA_EMUL_FS].selector == 3);
}

static void test_traps(void)
{
	set_up();
	m.c.rflags |= X86_EFLAGS_TF;
	put32(NEW_AT + 0x64, 1);
	expect(task_switch(UMBRA_TASK_JMP, 5) == UMBRA_EMUL_DONE);
	expect(m.c.events == (UMBRA_EMUL_EV_TASK | UMBRA_EMUL_EV_TASK_TRAP | UMBRA_EMUL_EV_STEP));
	/* An event is not stepped through. */
	set_up();
	m.c.rflags |= X86_EFLAGS_TF;
	put32(NEW_AT + 0x24, X86_EFLAGS_TF);
	expect(task_switch(UMBRA_TASK_GATE, 0) == UMBRA_EMUL_DONE);
	expect(m.c.events == UMBRA_EMUL_EV_TASK);
}

/* A fault before anything has changed. */
static void refused(enum umbra_task_reason reason, unsigned int length, unsigned int vector,
		    u32 error)
{
	static u8 before[MEMORY_SIZE];

	memcpy(before, m.memory, sizeof(before));
	expect(task_switch(reason, length) == UMBRA_EMUL_FAULT);
	expect(m.c.exc.vector == vector && m.c.exc.error_code == error);
	expect(!m.c.events && m.c.rip == 0x1234 && !memcmp(before, m.memory, sizeof(before)));
	expect(m.seg[UMBRA_EMUL_TR].selector == SEL_OLD && m.gpr[0] == 0x11110000);
}

static void test_refused(void)
{
	set_up();
	descriptor(SEL_NEW, NEW_AT, 0x67, TSS32 | BUSY, 0);
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_GP, SEL_NEW);
	refused(UMBRA_TASK_CALL, 5, X86_TRAP_GP, SEL_NEW);
	refused(UMBRA_TASK_GATE, 2, X86_TRAP_GP, SEL_NEW);
	refused(UMBRA_TASK_GATE, 0, X86_TRAP_GP, SEL_NEW | 1);	/* EXT */
	descriptor(SEL_NEW, NEW_AT, 0x67, TSS32, 0);
	refused(UMBRA_TASK_IRET, 1, X86_TRAP_TS, SEL_NEW);
	descriptor(SEL_NEW, NEW_AT, 0x67, 0x09, 0);
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_NP, SEL_NEW);
	descriptor(SEL_NEW, NEW_AT, 0x66, TSS32, 0);
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_TS, SEL_NEW);
	descriptor(SEL_NEW, NEW_AT, 0x2a, TSS16, 0);
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_TS, SEL_NEW);
	descriptor(SEL_NEW, NEW_AT, 0x67, 0x82, 0);		/* an LDT */
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_GP, SEL_NEW);
	refused(UMBRA_TASK_IRET, 1, X86_TRAP_TS, SEL_NEW);
	descriptor(SEL_NEW, NEW_AT, 0x67, 0x99, 0xc);		/* code of that type */
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_GP, SEL_NEW);

	set_up();
	m.seg[UMBRA_EMUL_GDTR].limit = SEL_NEW + 6;
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_GP, SEL_NEW);
	refused(UMBRA_TASK_IRET, 1, X86_TRAP_TS, SEL_NEW);
	set_up();
	m.seg[UMBRA_EMUL_TR].limit = 0x5e;
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_TS, SEL_OLD);
	/* A TSS that is not there, the new one and the old one. */
	set_up();
	descriptor(SEL_NEW, MEMORY_SIZE - 0x40, 0x67, TSS32, 0);
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_PF, 0);
	set_up();
	m.seg[UMBRA_EMUL_TR].base = MEMORY_SIZE - 0x50;
	refused(UMBRA_TASK_JMP, 5, X86_TRAP_PF, 2);
	expect(m.c.exc.address == MEMORY_SIZE - 0x30);
}

static void test_selectors(void)
{
	static const struct {
		u16 at, selector;
		unsigned int vector;
	} cases[] = {
		{ 0x60, SEL_LDT | 4, X86_TRAP_TS },
		{ 0x60, SEL_DATA, X86_TRAP_TS },
		{ 0x60, SEL_BEYOND, X86_TRAP_TS },
		{ 0x4c, 0, X86_TRAP_TS },
		{ 0x4c, SEL_BEYOND, X86_TRAP_TS },
		{ 0x4c, SEL_DATA, X86_TRAP_TS },
		{ 0x4c, SEL_OLD, X86_TRAP_TS },
		{ 0x4c, SEL_CODE | 3, X86_TRAP_TS },
		{ 0x4c, SEL_CODE3, X86_TRAP_TS },
		{ 0x4c, SEL_ABSENT_CODE, X86_TRAP_NP },
		{ 0x50, 0, X86_TRAP_TS },
		{ 0x50, SEL_BEYOND, X86_TRAP_TS },
		{ 0x50, SEL_CODE, X86_TRAP_TS },
		{ 0x50, SEL_READONLY, X86_TRAP_TS },
		{ 0x50, SEL_DATA | 3, X86_TRAP_TS },
		{ 0x50, SEL_DATA3, X86_TRAP_TS },
		{ 0x50, SEL_ABSENT, X86_TRAP_SS },
		{ 0x54, SEL_BEYOND, X86_TRAP_TS },
		{ 0x54, SEL_EXECONLY, X86_TRAP_TS },
		{ 0x54, SEL_DATA | 3, X86_TRAP_TS },
		{ 0x48, SEL_LDT, X86_TRAP_TS },
		{ 0x58, SEL_ABSENT, X86_TRAP_NP },
		{ 0x5c, SEL_BEYOND | 3, X86_TRAP_TS },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up();
		put32(NEW_AT + cases[i].at, cases[i].selector);
		expect(task_switch(UMBRA_TASK_GATE, 0) == UMBRA_EMUL_FAULT);
		expect(m.c.exc.vector == cases[i].vector);
		/* In the new task, as one that an event has led to. */
		expect(m.c.exc.error_code == ((cases[i].selector & ~3u) | 1));
		expect(m.c.events == UMBRA_EMUL_EV_TASK && m.c.rip == 0x5678);
		expect(m.seg[UMBRA_EMUL_TR].selector == SEL_NEW);
		expect(get32(OLD_AT + 0x20) == 0x1234);
		if (failed)
			printf("# case %u\n", i);
	}
	set_up();
	put32(NEW_AT + 0x1c, 0xbad);
	expect(task_switch(UMBRA_TASK_JMP, 5) == UMBRA_EMUL_FAULT);
	expect(m.c.exc.vector == X86_TRAP_GP && m.c.events == UMBRA_EMUL_EV_TASK);
}

/* Stopped by any callback: before the first change all is as it was, then there is no way back. */
static void test_stopped(void)
{
	static u8 before[MEMORY_SIZE];
	unsigned int n, started = 0;
	int ret;

	for (n = 1; n < 100; n++) {
		set_up();
		memcpy(before, m.memory, sizeof(before));
		m.fail_at = n;
		ret = task_switch(UMBRA_TASK_CALL, 5);
		if (ret == UMBRA_EMUL_DONE)
			break;
		if (memcmp(before, m.memory, sizeof(before)))
			started++;
		expect(ret == (started ? UMBRA_EMUL_UNHANDLED : UMBRA_EMUL_IO));
	}
	expect(n > 10 && n < 100 && started);
	set_up();
	m.c.efer = EFER_LMA;
	expect(task_switch(UMBRA_TASK_CALL, 5) == UMBRA_EMUL_UNHANDLED);
}

static void run_test(const char *name, void (*test)(void))
{
	failed = false;
	test();
	printf("%sok %u - %s\n", failed ? "not " : "", ++tests, name);
	failures += failed;
}

int main(void)
{
	run_test("JMP to a task", test_jmp);
	run_test("CALL of a task", test_call);
	run_test("IRET to a task", test_iret);
	run_test("task gates and error codes", test_gate);
	run_test("16-bit tasks", test_16bit);
	run_test("tasks in virtual-8086 mode", test_vm86);
	run_test("tasks of user code", test_user);
	run_test("debug traps of task switches", test_traps);
	run_test("task switches that are refused", test_refused);
	run_test("selectors of a new task", test_selectors);
	run_test("task switches that are stopped", test_stopped);
	printf("1..%u\n# tasks: %u passed, %u failed\n", tests, tests - failures, failures);
	return failures != 0;
}
