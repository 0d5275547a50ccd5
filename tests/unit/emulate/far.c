// SPDX-License-Identifier: GPL-2.0-only
/*
 * Far branches and returns, INT and IRET, LLDT and LTR, on the machine of 64 KiB.
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

#define IDT_AT	0x9000

enum selector {
	SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_CODE3 = 0x18, SEL_DATA3 = 0x20,
	SEL_CONFORMING = 0x28, SEL_ABSENT = 0x30, SEL_SMALL = 0x38, SEL_LDT = 0x40,
	SEL_TSS = 0x48, SEL_GATE = 0x50, SEL_LONG = 0x58, SEL_BOTH = 0x60, SEL_READONLY = 0x68,
	SEL_BEYOND = 0x70,
};

#define run(bytes)	run_bytes(bytes, sizeof(bytes) - 1)
#define RSP		m.gpr[UMBRA_EMUL_RSP]
#define CS		m.seg[UMBRA_EMUL_CS]

static u64 get(u32 at, unsigned int size)
{
	u64 value = 0;

	memcpy(&value, m.memory + at, size);
	return value;
}

static void put(u32 at, unsigned int size, u64 value)
{
	memcpy(m.memory + at, &value, size);
}

static void descriptor(u16 selector, u32 base, u32 limit, unsigned int access, unsigned int high)
{
	put(GDT_AT + selector, 4, (limit & 0xffff) | base << 16);
	put(GDT_AT + selector + 4, 4, (base >> 16 & 0xff) | access << 8 | (limit & 0xf0000) |
	    high << 20 | (base & 0xff000000));
}

static void protected_mode(unsigned int cpl)
{
	power_on(PROTECTED, cpl);
	CS.selector = (cpl ? SEL_CODE3 : SEL_CODE) | cpl;
	m.seg[UMBRA_EMUL_SS].selector = (cpl ? SEL_DATA3 : SEL_DATA) | cpl;
	m.seg[UMBRA_EMUL_GDTR] = (struct umbra_emul_seg) {
		.base = GDT_AT, .limit = SEL_BEYOND - 1,
	};
	m.seg[UMBRA_EMUL_IDTR] = (struct umbra_emul_seg) { .base = IDT_AT, .limit = 0x1ff };
	descriptor(SEL_CODE, 0, 0xfffff, 0x9a, 0xc);
	descriptor(SEL_DATA, 0, 0xfffff, 0x92, 0xc);
	descriptor(SEL_CODE3, 0, 0xfffff, 0xfa, 0xc);
	descriptor(SEL_DATA3, 0, 0xfffff, 0xf2, 0xc);
	descriptor(SEL_CONFORMING, 0, 0xfffff, 0x9e, 0xc);
	descriptor(SEL_ABSENT, 0, 0xfffff, 0x1a, 0xc);
	descriptor(SEL_SMALL, 0x100, 0xff, 0x9a, 0);
	descriptor(SEL_LDT, 0xb000, 0xff, 0x82, 0);
	descriptor(SEL_TSS, 0xc000, 0x67, 0x89, 0);
	descriptor(SEL_GATE, 0, 0, 0x8c, 0);
	descriptor(SEL_LONG, 0, 0xfffff, 0x9a, 0xa);
	descriptor(SEL_BOTH, 0, 0xfffff, 0x9a, 0xe);
	descriptor(SEL_READONLY, 0, 0xfffff, 0xf0, 0xc);
}

static bool faulted(int ret, unsigned int vector, u32 error)
{
	return ret == UMBRA_EMUL_FAULT && m.c.exc.vector == vector && m.c.exc.error_code == error &&
	       m.c.rip == CODE_AT;
}

static int far_jmp(u16 selector, u32 offset)
{
	u8 bytes[7] = { 0xea };

	memcpy(bytes + 1, &offset, 4);
	memcpy(bytes + 5, &selector, 2);
	m.c.rip = CODE_AT;
	return run_bytes(bytes, sizeof(bytes));
}

static void test_real(void)
{
	power_on(REAL, 0);
	CS.attr = 0x93;
	expect(run("\xea\x34\x12\x00\xf0") == UMBRA_EMUL_DONE);		/* jmp f000:1234 */
	expect(m.c.rip == 0x1234 && CS.selector == 0xf000 && CS.base == 0xf0000);
	expect(CS.limit == 0xffff && CS.attr == 0x93);

	power_on(REAL, 0);
	CS.selector = 0;
	expect(run("\x9a\x34\x12\x20\x00") == UMBRA_EMUL_DONE);		/* call 0020:1234 */
	expect(m.c.rip == 0x1234 && CS.base == 0x200 && RSP == 0x3ffc);
	expect(get(0x3ffc, 2) == CODE_AT + 5 && get(0x3ffe, 2) == 0);
	CS.base = 0;
	m.c.rip = CODE_AT;
	put(0x3ffe, 2, 0x30);
	expect(run("\xca\x06\x00") == UMBRA_EMUL_DONE);			/* retf 6 */
	expect(m.c.rip == CODE_AT + 5 && CS.selector == 0x30 && RSP == 0x4006);

	/* 32-bit operands: an offset beyond the segment. */
	power_on(REAL, 0);
	expect(run("\x66\xea\x00\x00\x01\x00\x00\x00") == UMBRA_EMUL_FAULT);
	expect(m.c.exc.vector == X86_TRAP_GP && !m.c.exc.has_error && CS.base == 0);
	expect(run("\x66\x9a\x00\x10\x00\x00\x00\x00") == UMBRA_EMUL_DONE);
	expect(RSP == 0x3ff8 && get(0x3ff8, 4) == CODE_AT + 8);

	/* Pointers in memory; the stack wraps in its segment. */
	power_on(REAL, 0);
	put(DATA_AT, 4, 0x00405678);
	RSP = 0x12340002;
	expect(run("\xff\x1e\x00\x20") == UMBRA_EMUL_DONE);
	expect(m.c.rip == 0x5678 && CS.base == 0x400 && RSP == 0x1234fffe);
	expect(get(0, 2) == 0 && get(0xfffe, 2) == CODE_AT + 4);
	power_on(REAL, 0);
	put(DATA_AT, 4, 0x00405678);
	expect(run("\xff\x2e\x00\x20") == UMBRA_EMUL_DONE);
	expect(m.c.rip == 0x5678 && CS.base == 0x400 && RSP == 0x4000);
	power_on(REAL, 0);
	expect(run("\xff\xe8") == UMBRA_EMUL_FAULT && m.c.exc.vector == X86_TRAP_UD);
}

/* How a guest gets to protected mode: the far JMP behind the MOV to CR0. */
static void test_to_protected(void)
{
	protected_mode(0);
	m.c.code = UMBRA_CODE_16;
	CS = (struct umbra_emul_seg) { .limit = 0xffff, .attr = 0x93 };
	expect(run("\x66\xea\x78\x56\x00\x00\x08\x00") == UMBRA_EMUL_DONE);
	expect(m.c.rip == 0x5678 && CS.selector == SEL_CODE && CS.attr == 0xc09b);
	expect(m.memory[GDT_AT + SEL_CODE + 5] == 0x9b);
}

static void test_branches(void)
{
	protected_mode(0);
	expect(far_jmp(SEL_CODE, 0x5678) == UMBRA_EMUL_DONE && CS.selector == SEL_CODE);
	expect(far_jmp(SEL_CONFORMING | 3, 0x5678) == UMBRA_EMUL_DONE);
	expect(CS.selector == SEL_CONFORMING);
	expect(far_jmp(SEL_SMALL, 0xff) == UMBRA_EMUL_DONE && CS.base == 0x100);
	protected_mode(0);
	expect(faulted(far_jmp(SEL_SMALL, 0x100), X86_TRAP_GP, 0));
	expect(faulted(far_jmp(0, 0), X86_TRAP_GP, 0));
	expect(faulted(far_jmp(SEL_BEYOND, 0), X86_TRAP_GP, SEL_BEYOND));
	expect(faulted(far_jmp(SEL_DATA, 0), X86_TRAP_GP, SEL_DATA));
	expect(faulted(far_jmp(SEL_CODE | 3, 0), X86_TRAP_GP, SEL_CODE));
	expect(faulted(far_jmp(SEL_CODE3, 0), X86_TRAP_GP, SEL_CODE3));
	expect(faulted(far_jmp(SEL_ABSENT, 0), X86_TRAP_NP, SEL_ABSENT));
	expect(far_jmp(SEL_GATE, 0) == UMBRA_EMUL_UNHANDLED);
	expect(far_jmp(SEL_TSS, 0) == UMBRA_EMUL_UNHANDLED);
	protected_mode(3);
	expect(far_jmp(SEL_CODE3, 0x5678) == UMBRA_EMUL_DONE && CS.selector == (SEL_CODE3 | 3));
	expect(far_jmp(SEL_CONFORMING, 0x5678) == UMBRA_EMUL_DONE);
	expect(CS.selector == (SEL_CONFORMING | 3));
	expect(faulted(far_jmp(SEL_CODE, 0), X86_TRAP_GP, SEL_CODE));

	/* Into 64-bit code; L and D together are nothing. */
	protected_mode(0);
	m.c.efer = EFER_LMA;
	expect(far_jmp(SEL_LONG, 0x87654321) == UMBRA_EMUL_DONE && CS.attr == 0xa09b);
	expect(faulted(far_jmp(SEL_BOTH, 0), X86_TRAP_GP, SEL_BOTH));

	/* From there, with a 64-bit offset: rex.w ljmp *(%rbx) */
	protected_mode(0);
	m.c.efer = EFER_LMA;
	m.c.code = UMBRA_CODE_64;
	m.gpr[UMBRA_EMUL_RBX] = DATA_AT;
	put(DATA_AT, 8, 0x7f0012345678);
	put(DATA_AT + 8, 2, SEL_LONG);
	expect(run("\x48\xff\x2b") == UMBRA_EMUL_DONE && m.c.rip == 0x7f0012345678);
	expect(CS.selector == SEL_LONG);

	/* CALL: nothing moves when its stack is bad. */
	protected_mode(0);
	m.seg[UMBRA_EMUL_SS].limit = 0x3ffd;
	expect(faulted(run("\x9a\x78\x56\x00\x00\x08\x00"), X86_TRAP_SS, 0));
	expect(RSP == 0x4000 && CS.attr == 0xc09b);
	m.seg[UMBRA_EMUL_SS].limit = 0xffffffff;
	expect(run("\x9a\x78\x56\x00\x00\x28\x00") == UMBRA_EMUL_DONE);
	expect(RSP == 0x3ff8 && get(0x3ff8, 4) == CODE_AT + 7 && get(0x3ffc, 2) == SEL_CODE);
}

static void push_return(u32 rip, u16 selector)
{
	put(0x4000, 4, rip);
	put(0x4004, 4, selector);
	put(0x4008, 4, 0x5000);
	put(0x400c, 4, SEL_DATA3 | 3);
}

static void test_returns(void)
{
	protected_mode(0);
	push_return(0x5678, SEL_CODE);
	expect(run("\xcb") == UMBRA_EMUL_DONE && m.c.rip == 0x5678 && RSP == 0x4008);

	/* To user code: its stack, and no segment that it may not use. */
	protected_mode(0);
	push_return(0x5678, SEL_CODE3 | 3);
	put(0x4010, 4, 0x5000);
	put(0x4014, 4, SEL_DATA3 | 3);
	m.seg[UMBRA_EMUL_DS].selector = SEL_DATA;
	m.seg[UMBRA_EMUL_ES].attr = 0xc0f3;
	m.seg[UMBRA_EMUL_FS].attr = 0xc09f;
	expect(run("\xca\x08\x00") == UMBRA_EMUL_DONE);			/* retf 8 */
	expect(CS.selector == (SEL_CODE3 | 3) && RSP == 0x5008);
	expect(m.seg[UMBRA_EMUL_SS].selector == (SEL_DATA3 | 3));
	expect(m.seg[UMBRA_EMUL_DS].selector == 0 && m.seg[UMBRA_EMUL_DS].attr == 0);
	expect(m.seg[UMBRA_EMUL_ES].attr == 0xc0f3 && m.seg[UMBRA_EMUL_FS].attr == 0xc09f);

	protected_mode(0);
	push_return(0x5678, SEL_CODE3 | 3);
	put(0x400c, 4, SEL_READONLY | 3);
	expect(faulted(run("\xcb"), X86_TRAP_GP, SEL_READONLY));
	put(0x400c, 4, SEL_DATA3);
	expect(faulted(run("\xcb"), X86_TRAP_GP, SEL_DATA3));
	put(0x400c, 4, 0);
	expect(faulted(run("\xcb"), X86_TRAP_GP, 0));
	push_return(0x5678, SEL_CODE | 3);
	expect(faulted(run("\xcb"), X86_TRAP_GP, SEL_CODE));
	push_return(0x5678, SEL_TSS);
	expect(faulted(run("\xcb"), X86_TRAP_GP, SEL_TSS));
	push_return(0x5678, 0);
	expect(faulted(run("\xcb"), X86_TRAP_GP, 0));
	protected_mode(3);
	push_return(0x5678, SEL_CODE);
	expect(faulted(run("\xcb"), X86_TRAP_GP, SEL_CODE) && RSP == 0x4000);
}

static void test_int_real(void)
{
	power_on(REAL, 0);
	m.seg[UMBRA_EMUL_IDTR] = (struct umbra_emul_seg) { .base = IDT_AT, .limit = 0x3ff };
	m.c.rflags |= X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_CF | X86_EFLAGS_AC;
	put(IDT_AT + 0x21 * 4, 4, 0x00305678);
	expect(run("\xcd\x21") == UMBRA_EMUL_DONE);
	expect(m.c.rip == 0x5678 && CS.selector == 0x30 && CS.base == 0x300 && RSP == 0x3ffa);
	expect(get(0x3ffa, 2) == CODE_AT + 2 && get(0x3ffc, 2) == 0);
	expect(get(0x3ffe, 2) ==
	       (X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_CF));
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_CF));
	expect(!(m.c.events & UMBRA_EMUL_EV_STEP));

	/* And back, with other flags. */
	CS.base = 0;
	m.c.rip = CODE_AT;
	put(0x3ffe, 2, X86_EFLAGS_IF | X86_EFLAGS_NT | X86_EFLAGS_IOPL);
	expect(run("\xcf") == UMBRA_EMUL_DONE);
	expect(m.c.rip == CODE_AT + 2 && CS.selector == 0 && RSP == 0x4000);
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_NT | X86_EFLAGS_IOPL));
	expect(m.c.events & UMBRA_EMUL_EV_IRET);

	/* IRETD: RF stays as it was popped, VM and its like do not come. */
	power_on(REAL, 0);
	put(0x4000, 4, 0x1234);
	put(0x4004, 4, 0);
	put(0x4008, 4, 0xffffffff);
	expect(run("\x66\xcf") == UMBRA_EMUL_DONE && RSP == 0x400c);
	expect(m.c.rflags == 0x257fd7);

	power_on(REAL, 0);
	m.seg[UMBRA_EMUL_IDTR] = (struct umbra_emul_seg) { .base = IDT_AT, .limit = 0xe };
	put(IDT_AT + 12, 4, 0x00305678);
	put(IDT_AT + 16, 4, 0x00305678);
	expect(faulted(run("\xcc"), X86_TRAP_GP, 0));
	m.seg[UMBRA_EMUL_IDTR].limit = 0x13;
	/* INTO without OF */
	expect(run("\xce") == UMBRA_EMUL_DONE && m.c.rip == CODE_AT + 1);
	m.c.rip = CODE_AT;
	m.c.rflags |= X86_EFLAGS_OF;
	expect(run("\xce") == UMBRA_EMUL_DONE && m.c.rip == 0x5678);
	CS.base = 0;
	m.c.rip = CODE_AT;
	expect(run("\xcc") == UMBRA_EMUL_DONE && m.c.rip == 0x5678);
}

static void gate(unsigned int vector, u16 selector, u32 offset, unsigned int access)
{
	put(IDT_AT + vector * 8, 4, (offset & 0xffff) | (u32)selector << 16);
	put(IDT_AT + vector * 8 + 4, 4, access << 8 | (offset & 0xffff0000));
}

static void test_int_protected(void)
{
	protected_mode(0);
	m.c.rflags |= X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_NT;
	gate(0x21, SEL_CODE, 0x12345678, 0x8e);
	expect(run("\xcd\x21") == UMBRA_EMUL_DONE && m.c.rip == 0x12345678 && RSP == 0x3ff4);
	expect(get(0x3ff4, 4) == CODE_AT + 2 && get(0x3ff8, 4) == SEL_CODE);
	expect(get(0x3ffc, 4) ==
	       (X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_NT));
	expect(m.c.rflags == X86_EFLAGS_FIXED);
	/* A trap gate leaves IF; a 16-bit gate pushes words. */
	protected_mode(0);
	m.c.rflags |= X86_EFLAGS_IF;
	gate(0x21, SEL_CODE, 0x12345678, 0x87);
	expect(run("\xcd\x21") == UMBRA_EMUL_DONE && m.c.rip == 0x5678 && RSP == 0x3ffa);
	expect(m.c.rflags & X86_EFLAGS_IF);

	protected_mode(0);
	gate(0x21, SEL_CODE, 0x5678, 0x0e);
	expect(faulted(run("\xcd\x21"), X86_TRAP_NP, 0x21 * 8 + 2));
	gate(0x21, SEL_CODE, 0x5678, 0x8c);
	expect(faulted(run("\xcd\x21"), X86_TRAP_GP, 0x21 * 8 + 2));
	gate(0x21, SEL_DATA, 0x5678, 0x8e);
	expect(faulted(run("\xcd\x21"), X86_TRAP_GP, SEL_DATA));
	gate(0x21, 0, 0x5678, 0x8e);
	expect(faulted(run("\xcd\x21"), X86_TRAP_GP, 0));
	gate(0x21, SEL_ABSENT, 0x5678, 0x8e);
	expect(faulted(run("\xcd\x21"), X86_TRAP_NP, SEL_ABSENT));
	expect(faulted(run("\xcd\x40"), X86_TRAP_GP, 0x40 * 8 + 2));
	gate(0x21, SEL_TSS, 0, 0x85);
	expect(run("\xcd\x21") == UMBRA_EMUL_UNHANDLED);

	protected_mode(3);
	gate(0x21, SEL_CODE, 0x5678, 0x8e);
	expect(faulted(run("\xcd\x21"), X86_TRAP_GP, 0x21 * 8 + 2));
	gate(0x21, SEL_CODE, 0x5678, 0xee);
	expect(run("\xcd\x21") == UMBRA_EMUL_UNHANDLED);
	gate(0x21, SEL_CONFORMING, 0x5678, 0xee);
	expect(run("\xcd\x21") == UMBRA_EMUL_DONE && CS.selector == (SEL_CONFORMING | 3));
}

static void test_iret_protected(void)
{
	protected_mode(0);
	push_return(0x5678, SEL_CODE3 | 3);
	put(0x4008, 4, X86_EFLAGS_IF | X86_EFLAGS_RF | X86_EFLAGS_IOPL);
	put(0x400c, 4, 0x5000);
	put(0x4010, 4, SEL_DATA3 | 3);
	expect(run("\xcf") == UMBRA_EMUL_DONE && RSP == 0x5000 && m.c.rip == 0x5678);
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_RF | X86_EFLAGS_IOPL));

	/* User code changes neither IOPL nor, with IOPL 0, IF. */
	protected_mode(3);
	push_return(0x5678, SEL_CODE3 | 3);
	put(0x4008, 4, X86_EFLAGS_IF | X86_EFLAGS_IOPL | X86_EFLAGS_CF);
	expect(run("\xcf") == UMBRA_EMUL_DONE);
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_CF));

	protected_mode(0);
	m.c.rflags |= X86_EFLAGS_NT;
	expect(run("\xcf") == UMBRA_EMUL_UNHANDLED);
	protected_mode(0);
	push_return(0x5678, SEL_CODE);
	put(0x4008, 4, X86_EFLAGS_VM);
	expect(run("\xcf") == UMBRA_EMUL_UNHANDLED && RSP == 0x4000);

	power_on(VM86, 3);
	expect(faulted(run("\xcf"), X86_TRAP_GP, 0));
	expect(faulted(run("\xcd\x21"), X86_TRAP_GP, 0));
	m.c.rflags |= X86_EFLAGS_IOPL;
	put(0x4000, 2, 0x1234);
	put(0x4002, 2, 0x0100);
	put(0x4004, 2, X86_EFLAGS_IF);
	expect(run("\xcf") == UMBRA_EMUL_DONE && CS.base == 0x1000 && m.c.rip == 0x1234);
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_IOPL | X86_EFLAGS_VM));
}

static int with_ax(u16 ax, const char *bytes)
{
	m.gpr[UMBRA_EMUL_RAX] = ax;
	m.c.rip = CODE_AT;
	return run_bytes(bytes, 3);
}

#define LLDT	"\x0f\x00\xd0"
#define LTR	"\x0f\x00\xd8"

static void test_system_segments(void)
{
	protected_mode(0);
	expect(with_ax(SEL_LDT, LLDT) == UMBRA_EMUL_DONE);
	expect(m.seg[UMBRA_EMUL_LDTR].base == 0xb000 && m.seg[UMBRA_EMUL_LDTR].limit == 0xff);
	expect(with_ax(3, LLDT) == UMBRA_EMUL_DONE && m.seg[UMBRA_EMUL_LDTR].attr == 0);
	expect(faulted(with_ax(SEL_TSS, LLDT), X86_TRAP_GP, SEL_TSS));
	expect(faulted(with_ax(SEL_LDT | 4, LLDT), X86_TRAP_GP, SEL_LDT | 4));
	descriptor(SEL_LDT, 0xb000, 0xff, 0x02, 0);
	expect(faulted(with_ax(SEL_LDT, LLDT), X86_TRAP_NP, SEL_LDT));

	expect(with_ax(SEL_TSS, LTR) == UMBRA_EMUL_DONE);
	expect(m.seg[UMBRA_EMUL_TR].base == 0xc000 && m.seg[UMBRA_EMUL_TR].attr == 0x8b);
	expect(m.memory[GDT_AT + SEL_TSS + 5] == 0x8b);
	expect(faulted(with_ax(SEL_TSS, LTR), X86_TRAP_GP, SEL_TSS));	/* busy */
	expect(faulted(with_ax(0, LTR), X86_TRAP_GP, 0));
	m.c.cpl = 3;
	expect(faulted(with_ax(SEL_TSS, LTR), X86_TRAP_GP, 0));
	power_on(REAL, 0);
	expect(run(LTR) == UMBRA_EMUL_FAULT && m.c.exc.vector == X86_TRAP_UD);

	/* In long mode there is a second half, with the upper half of the base. */
	protected_mode(0);
	m.c.efer = EFER_LMA;
	m.c.code = UMBRA_CODE_64;
	put(GDT_AT + SEL_TSS + 8, 8, 0xffff8123);
	expect(with_ax(SEL_TSS, LTR) == UMBRA_EMUL_DONE);
	expect(m.seg[UMBRA_EMUL_TR].base == 0xffff81230000c000);
	expect(m.seg[UMBRA_EMUL_TR].attr == 0x8b && m.memory[GDT_AT + SEL_TSS + 5] == 0x8b);
	descriptor(SEL_TSS, 0xc000, 0x67, 0x81, 0);
	expect(faulted(with_ax(SEL_TSS, LTR), X86_TRAP_GP, SEL_TSS));	/* a 16-bit one */
	descriptor(SEL_TSS, 0xc000, 0x67, 0x89, 0);
	put(GDT_AT + SEL_TSS + 8, 8, 0x8123);
	expect(faulted(with_ax(SEL_TSS, LTR), X86_TRAP_GP, SEL_TSS));	/* not canonical */
	put(GDT_AT + SEL_TSS + 8, 8, 0x1000000000000);
	expect(with_ax(SEL_TSS, LTR) == UMBRA_EMUL_DONE);
	descriptor(SEL_TSS, 0xc000, 0x67, 0x89, 0);
	put(GDT_AT + SEL_TSS + 8, 8, 0x10000000000);
	expect(faulted(with_ax(SEL_TSS, LTR), X86_TRAP_GP, SEL_TSS));	/* with a type */
	put(GDT_AT + SEL_LDT + 8, 8, 1);
	expect(with_ax(SEL_LDT, LLDT) == UMBRA_EMUL_DONE);
	expect(m.seg[UMBRA_EMUL_LDTR].base == 0x10000b000);
	m.seg[UMBRA_EMUL_GDTR].limit = SEL_LDT + 14;
	expect(faulted(with_ax(SEL_LDT, LLDT), X86_TRAP_GP, SEL_LDT));
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
	run_test("far branches in real mode", test_real);
	run_test("the far JMP to protected mode", test_to_protected);
	run_test("far branches", test_branches);
	run_test("far returns", test_returns);
	run_test("INT and IRET in real mode", test_int_real);
	run_test("INT", test_int_protected);
	run_test("IRET", test_iret_protected);
	run_test("LLDT and LTR", test_system_segments);
	printf("1..%u\n# far: %u passed, %u failed\n", tests, tests - failures, failures);
	return failures != 0;
}
