// SPDX-License-Identifier: GPL-2.0-only
/*
 * What user mode can't show: privileged instructions, other modes, restarting,
 * string I/O. Each case is written by hand, on a machine of 64 KiB.
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

#define run(bytes)	run_bytes(bytes, sizeof(bytes) - 1)

static bool faulted(int ret, unsigned int vector, bool has_error, u32 error)
{
	return ret == UMBRA_EMUL_FAULT && m.c.exc.vector == vector &&
	       m.c.exc.has_error == has_error && (!has_error || m.c.exc.error_code == error) &&
	       m.c.rip == CODE_AT;
}

#define gp(ret)		faulted(ret, X86_TRAP_GP, true, 0)
#define ud(ret)		faulted(ret, X86_TRAP_UD, false, 0)
#define done(ret, len)	((ret) == UMBRA_EMUL_DONE && m.c.rip == CODE_AT + (len))

static void test_control_registers(void)
{
	static const unsigned int existing[] = { 0, 2, 3, 4, 8 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(existing); i++) {
		unsigned int cr = existing[i];
		char to[] = { 0x44, 0x0f, 0x22, 0xc3 | (cr & 7) << 3 };
		char from[] = { 0x44, 0x0f, 0x20, 0xc1 | (cr & 7) << 3 };

		if (cr < 8) {
			to[0] = 0x40;
			from[0] = 0x40;
		}
		power_on(LONG, 0);
		m.gpr[UMBRA_EMUL_RBX] = 0x1234567890u + cr;
		expect(done(run_bytes(to, 4), 4));
		expect(m.cr[cr] == 0x1234567890u + cr);
		m.c.rip = CODE_AT;
		expect(done(run_bytes(from, 4), 4));
		expect(m.gpr[UMBRA_EMUL_RCX] == 0x1234567890u + cr);
		m.c.rip = CODE_AT;
		m.c.cpl = 3;
		expect(gp(run_bytes(to, 4)));
		expect(gp(run_bytes(from, 4)));
	}

	power_on(LONG, 0);
	expect(ud(run("\x0f\x20\xc8")));		/* mov rax, cr1 */
	expect(ud(run("\x44\x0f\x22\xc8")));		/* mov cr9, rax */
	m.gpr[UMBRA_EMUL_RAX] = 0xbad;
	expect(gp(run("\x0f\x22\xd8")));		/* the callback refuses */
	m.gpr[UMBRA_EMUL_RAX] = 0x3000;
	expect(done(run("\x0f\x22\x18"), 3));		/* mod is ignored: a register */
	expect(m.cr[3] == 0x3000);

	power_on(PROTECTED, 0);
	m.cr[8] = 5;
	expect(done(run("\xf0\x0f\x20\xc0"), 4));	/* lock mov eax, cr0: CR8 */
	expect(m.gpr[UMBRA_EMUL_RAX] == 5);
	m.c.rip = CODE_AT;
	m.cr[3] = 0x1122334455667788;
	expect(done(run("\x66\x0f\x20\xd8"), 4));	/* always 32 bits */
	expect(m.gpr[UMBRA_EMUL_RAX] == 0x55667788);

	power_on(PROTECTED, 0);
	m.c.cr0 |= X86_CR0_TS | X86_CR0_PG;
	expect(done(run("\x0f\x06"), 2));
	expect(m.cr[0] == (m.c.cr0 & ~(u64)X86_CR0_TS));
	m.c.rip = CODE_AT;
	m.gpr[UMBRA_EMUL_RAX] = 0xfff6;			/* lmsw can't clear PE */
	expect(done(run("\x0f\x01\xf0"), 3));
	expect(m.cr[0] == (X86_CR0_PG | 7));
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x01\xe1"), 3));		/* smsw ecx */
	expect(m.gpr[UMBRA_EMUL_RCX] == m.c.cr0);
	m.c.rip = CODE_AT;
	m.c.cpl = 3;
	m.c.cr4 |= X86_CR4_UMIP;
	expect(gp(run("\x0f\x01\xe1")));
	expect(gp(run("\x0f\x01\x05\x00\x20\x00\x00")));	/* sgdt */
	expect(gp(run("\x0f\x00\xc0")));		/* sldt */
	expect(gp(run("\x0f\x06")));
	expect(gp(run("\x0f\x01\xf0")));
}

static void test_debug_registers(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RAX] = 0x400;
	expect(done(run("\x0f\x23\xf8"), 3));
	expect(m.dr[7] == 0x400);
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x21\xe9"), 3));		/* mov rcx, dr5: DR7 */
	expect(m.gpr[UMBRA_EMUL_RCX] == 0x400);
	m.c.rip = CODE_AT;
	m.c.cr4 |= X86_CR4_DE;
	expect(ud(run("\x0f\x21\xe9")));
	expect(ud(run("\x44\x0f\x21\xc0")));		/* dr8 */
	m.c.cpl = 1;
	expect(gp(run("\x0f\x21\xf9")));
}

static void test_system(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 0xffffffffc0000080;
	m.gpr[UMBRA_EMUL_RAX] = 0xffffffff00000d01;
	m.gpr[UMBRA_EMUL_RDX] = 0xffffffff00000002;
	expect(done(run("\x0f\x30"), 2));
	expect(m.msr == 0xc0000080 && m.msr_value == 0x200000d01);
	m.c.rip = CODE_AT;
	m.msr_value = 0x89abcdef01234567;
	expect(done(run("\x0f\x32"), 2));
	expect(m.gpr[UMBRA_EMUL_RAX] == 0x01234567 && m.gpr[UMBRA_EMUL_RDX] == 0x89abcdef);
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x31"), 2) && m.msr == 0x10);
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x01\xf9"), 3) && m.msr == 0xc0000103);
	m.c.rip = CODE_AT;
	m.c.cpl = 3;
	expect(done(run("\x0f\x31"), 2));
	m.c.rip = CODE_AT;
	m.c.cr4 |= X86_CR4_TSD;
	expect(gp(run("\x0f\x31")));
	expect(gp(run("\x0f\x32")));
	expect(gp(run("\x0f\x30")));
	expect(gp(run("\xf4")));
	expect(gp(run("\x0f\x09")));

	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RAX] = 0xffffffff00000007;
	m.gpr[UMBRA_EMUL_RCX] = 0xffffffff00000003;
	expect(done(run("\x0f\xa2"), 2));
	expect(m.gpr[UMBRA_EMUL_RAX] == 0x10 && m.gpr[UMBRA_EMUL_RBX] == 8 &&
	       m.gpr[UMBRA_EMUL_RCX] == 0x20 && m.gpr[UMBRA_EMUL_RDX] == 5);
	m.c.rip = CODE_AT;
	expect(done(run("\xf4"), 1) && m.halted);
	m.c.rip = CODE_AT;
	expect(run("\x0f\x09") == UMBRA_EMUL_UNHANDLED);	/* says the callback */
	expect(run("\x0f\x01\xd9") == UMBRA_EMUL_UNHANDLED);	/* vmmcall */

	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RAX] = 0xffff888000001234;
	expect(done(run("\x0f\x01\x38"), 3) && m.invlpg == 0xffff888000001234);
	m.c.rip = CODE_AT;
	m.gpr[UMBRA_EMUL_RAX] = 0x0000888000001234;	/* not canonical: nothing happens */
	expect(done(run("\x0f\x01\x38"), 3) && m.invlpg == 0xffff888000001234);
	m.c.rip = CODE_AT;
	m.seg[UMBRA_EMUL_GS].base = 0x1000;
	m.gpr[UMBRA_EMUL_RAX] = 0x234;
	expect(done(run("\x65\x0f\x01\x38"), 4) && m.invlpg == 0x1234);

	power_on(LONG, 0);
	expect(ud(run("\x0f\x01\xd0")));		/* xgetbv without OSXSAVE */
	m.c.cr4 |= X86_CR4_OSXSAVE;
	m.gpr[UMBRA_EMUL_RAX] = 7;
	expect(done(run("\x0f\x01\xd1"), 3) && m.xcr0 == 7);
	m.c.rip = CODE_AT;
	m.gpr[UMBRA_EMUL_RCX] = 1;
	expect(gp(run("\x0f\x01\xd1")));

	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RAX] = DATA_AT;
	m.seg[UMBRA_EMUL_GDTR].base = 0xffff800012345678;
	m.seg[UMBRA_EMUL_GDTR].limit = 0x7f;
	expect(done(run("\x0f\x01\x00"), 3));		/* sgdt (%rax) */
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x01\x18"), 3));		/* lidt (%rax) */
	expect(m.seg[UMBRA_EMUL_IDTR].base == 0xffff800012345678 &&
	       m.seg[UMBRA_EMUL_IDTR].limit == 0x7f);
	m.c.rip = CODE_AT;
	m.memory[DATA_AT + 9] = 0x12;
	expect(gp(run("\x0f\x01\x18")));		/* base not canonical */
}

static void test_interrupt_flag(void)
{
	power_on(PROTECTED, 0);
	expect(done(run("\xfb"), 1));
	expect((m.c.rflags & X86_EFLAGS_IF) && m.c.events == UMBRA_EMUL_EV_STI);
	m.c.rip = CODE_AT;
	expect(done(run("\xfb"), 1) && !m.c.events);	/* was set already */
	m.c.rip = CODE_AT;
	expect(done(run("\xfa"), 1) && !(m.c.rflags & X86_EFLAGS_IF));

	power_on(PROTECTED, 3);
	expect(gp(run("\xfa")));
	expect(gp(run("\xfb")));
	m.c.rflags |= X86_EFLAGS_IOPL;
	expect(done(run("\xfb"), 1) && (m.c.rflags & X86_EFLAGS_IF));
	power_on(PROTECTED, 3);
	m.c.cr4 |= X86_CR4_PVI;
	expect(done(run("\xfb"), 1));
	expect((m.c.rflags & X86_EFLAGS_VIF) && !(m.c.rflags & X86_EFLAGS_IF) && !m.c.events);
	m.c.rip = CODE_AT;
	m.c.rflags |= X86_EFLAGS_VIP;
	expect(gp(run("\xfb")));
	expect(done(run("\xfa"), 1) && !(m.c.rflags & X86_EFLAGS_VIF));

	/* POPF: IF needs IOPL, IOPL needs CPL 0 */
	power_on(PROTECTED, 0);
	memcpy(m.memory + 0x4000, "\xff\xff\xff\xff", 4);
	expect(done(run("\x9d"), 1) && m.gpr[UMBRA_EMUL_RSP] == 0x4004);
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF |
			      X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF |
			      X86_EFLAGS_DF | X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT |
			      X86_EFLAGS_AC | X86_EFLAGS_ID));
	expect(!(m.c.events & UMBRA_EMUL_EV_STEP));	/* TF counts from the next one */
	power_on(PROTECTED, 1);
	memcpy(m.memory + 0x4000, "\x00\x32\x00\x00", 4);
	m.c.rflags |= 1 << X86_EFLAGS_IOPL_BIT;
	expect(done(run("\x9d"), 1));
	expect(m.c.rflags == (X86_EFLAGS_FIXED | X86_EFLAGS_IF | 1 << X86_EFLAGS_IOPL_BIT));

	/* Virtual-8086 mode, without and with VME */
	power_on(VM86, 3);
	expect(gp(run("\x9c")));
	expect(gp(run("\x9d")));
	expect(gp(run("\xfa")));
	m.c.cr4 |= X86_CR4_VME;
	m.c.rflags |= X86_EFLAGS_VIF;
	expect(gp(run("\x66\x9c")));
	expect(done(run("\x9c"), 1));
	expect(m.memory[0x3ffe] == 2 && m.memory[0x3fff] == 0x32);
	m.c.rip = CODE_AT;
	expect(done(run("\xfa"), 1) && !(m.c.rflags & X86_EFLAGS_VIF));
	m.c.rip = CODE_AT;
	expect(done(run("\x9d"), 1));			/* with IF: VIF again */
	expect((m.c.rflags & X86_EFLAGS_VIF) && !(m.c.rflags & (X86_EFLAGS_IF | X86_EFLAGS_IOPL)));
	m.c.rip = CODE_AT;
	m.gpr[UMBRA_EMUL_RSP] = 0x3ffe;
	m.c.rflags |= X86_EFLAGS_VIP;
	expect(gp(run("\x9d")));
	m.c.rflags |= X86_EFLAGS_IOPL;
	expect(done(run("\x9d"), 1) && (m.c.rflags & X86_EFLAGS_IF));
}

static void test_segments(void)
{
	/* Null, data at DPL 3, data at DPL 0, execute-only code, absent data, a gate */
	static const u64 gdt[] = {
		0, 0x12cff3456789abcd, 0x00cf92000000ffff, 0x00cf98000000ffff,
		0x00cf72000000ffff, 0x00008c0000000000,
	};

	power_on(REAL, 0);
	m.gpr[UMBRA_EMUL_RAX] = 0x1234;
	expect(done(run("\x8e\xd8"), 2));
	expect(m.seg[UMBRA_EMUL_DS].selector == 0x1234 && m.seg[UMBRA_EMUL_DS].base == 0x12340 &&
	       m.seg[UMBRA_EMUL_DS].limit == 0xffff);
	m.c.rip = CODE_AT;
	expect(done(run("\x8e\xd0"), 2) && m.c.events == UMBRA_EMUL_EV_MOVSS);
	/* No error code in real mode; limit faults do exist. */
	m.c.rip = CODE_AT;
	expect(faulted(run("\xa1\xff\xff"), X86_TRAP_GP, false, 0));
	expect(faulted(run("\x36\xa1\xff\xff"), X86_TRAP_SS, false, 0));
	expect(ud(run("\xc5\xf8\x10\x00")));		/* no VEX here */

	power_on(PROTECTED, 0);
	memcpy(m.memory + GDT_AT, gdt, sizeof(gdt));
	m.seg[UMBRA_EMUL_GDTR].base = GDT_AT;
	m.seg[UMBRA_EMUL_GDTR].limit = sizeof(gdt) - 1;
	m.gpr[UMBRA_EMUL_RAX] = 0x0b;
	expect(done(run("\x8e\xd8"), 2));
	expect(m.seg[UMBRA_EMUL_DS].base == 0x12456789 && m.seg[UMBRA_EMUL_DS].selector == 0x0b &&
	       m.seg[UMBRA_EMUL_DS].limit == 0xfabcdfff && m.seg[UMBRA_EMUL_DS].attr == 0xc0f3);
	m.c.rip = CODE_AT;
	expect(faulted(run("\x8e\xd0"), X86_TRAP_GP, true, 8));	/* ss: RPL, DPL */
	m.gpr[UMBRA_EMUL_RAX] = 0x13;
	expect(faulted(run("\x8e\xd0"), X86_TRAP_GP, true, 0x10));	/* RPL alone */
	m.gpr[UMBRA_EMUL_RAX] = 0x10;
	m.c.rflags |= X86_EFLAGS_TF;
	expect(done(run("\x8e\xd0"), 2));
	expect(m.c.events == UMBRA_EMUL_EV_MOVSS);	/* the trap waits */
	expect(m.memory[GDT_AT + 0x15] == 0x93);	/* accessed */
	m.c.rflags &= ~(u64)X86_EFLAGS_TF;
	m.c.rip = CODE_AT;
	m.gpr[UMBRA_EMUL_RAX] = 0x18;
	expect(faulted(run("\x8e\xc0"), X86_TRAP_GP, true, 0x18));
	m.gpr[UMBRA_EMUL_RAX] = 0x20;
	expect(faulted(run("\x8e\xc0"), X86_TRAP_GP, true, 0x20) ||
	       faulted(run("\x8e\xc0"), X86_TRAP_NP, true, 0x20));
	m.gpr[UMBRA_EMUL_RAX] = 0x23;
	expect(faulted(run("\x8e\xc0"), X86_TRAP_NP, true, 0x20));
	m.gpr[UMBRA_EMUL_RAX] = 0x28;
	expect(faulted(run("\x8e\xc0"), X86_TRAP_GP, true, 0x28));
	m.gpr[UMBRA_EMUL_RAX] = 0x30;
	expect(faulted(run("\x8e\xc0"), X86_TRAP_GP, true, 0x30));
	m.gpr[UMBRA_EMUL_RAX] = 0x0c;			/* no LDT */
	expect(faulted(run("\x8e\xc0"), X86_TRAP_GP, true, 0x0c));
	m.gpr[UMBRA_EMUL_RAX] = 0x13;			/* RPL 3 of DPL 0 */
	expect(faulted(run("\x8e\xc0"), X86_TRAP_GP, true, 0x10));
	m.gpr[UMBRA_EMUL_RAX] = 3;
	expect(done(run("\x8e\xc0"), 2));		/* null */
	m.c.rip = CODE_AT;
	expect(gp(run("\x26\xa1\x00\x20\x00\x00")));	/* and its use */
	m.gpr[UMBRA_EMUL_RAX] = 0;
	expect(gp(run("\x8e\xd0")));
	expect(ud(run("\x8e\xc8")));			/* cs */
	expect(ud(run("\x8c\xf0")));			/* the seventh */

	power_on(PROTECTED, 0);
	m.gpr[UMBRA_EMUL_RSP] = 0x4000;
	memset(m.memory + 0x3ff0, 0xff, 16);
	expect(done(run("\x1e"), 1));			/* push ds */
	expect(m.memory[0x3ffc] == 0x20 && !m.memory[0x3ffe] && !m.memory[0x3fff]);
	m.c.rip = CODE_AT;
	m.memory[0x3ffc] = 0;
	expect(done(run("\x07"), 1) && m.gpr[UMBRA_EMUL_RSP] == 0x4000);	/* pop es */
	expect(m.seg[UMBRA_EMUL_ES].selector == 0 && !(m.seg[UMBRA_EMUL_ES].attr & 0x80));

	power_on(LONG, 0);
	expect(done(run("\x8e\xd0"), 2));		/* null SS at CPL 0 is fine */
	m.c.rip = CODE_AT;
	m.c.cpl = 3;
	expect(gp(run("\x8e\xd0")));
}

static void test_ports(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RDX] = 0xffff03f8;
	m.gpr[UMBRA_EMUL_RAX] = 0x1122334455667788;
	expect(done(run("\xee"), 1));
	expect(m.port == 0x3f8 && m.port_size == 1 && m.port_data[0] == 0x88);
	m.c.rip = CODE_AT;
	expect(done(run("\x48\xe7\x80"), 3) && m.port == 0x80 && m.port_size == 4);
	m.c.rip = CODE_AT;
	expect(done(run("\xec"), 1) && m.gpr[UMBRA_EMUL_RAX] == 0x11223344556677c3);
	m.c.rip = CODE_AT;
	expect(done(run("\x66\xed"), 2) && m.gpr[UMBRA_EMUL_RAX] == 0x112233445566c3c3);
	m.c.rip = CODE_AT;
	expect(done(run("\xe5\xff"), 2) && m.gpr[UMBRA_EMUL_RAX] == 0xc3c3c3c3 && m.port == 0xff);

	/* IOPL, then the map; in virtual-8086 mode only the map */
	power_on(LONG, 3);
	m.io_denied = true;
	expect(gp(run("\xec")));
	m.c.rflags |= X86_EFLAGS_IOPL;
	expect(done(run("\xec"), 1));
	power_on(LONG, 3);
	expect(done(run("\xec"), 1));
	power_on(VM86, 3);
	m.c.rflags |= X86_EFLAGS_IOPL;
	m.io_denied = true;
	expect(gp(run("\xec")));
	power_on(REAL, 0);
	m.io_denied = true;
	expect(done(run("\xec"), 1));
}

static void test_string_io(void)
{
	/* 1000 words to an address 100 bytes before a page's end */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RDX] = 0x1f0;
	m.gpr[UMBRA_EMUL_RCX] = 1000;
	m.gpr[UMBRA_EMUL_RDI] = 0x3000 - 100;
	expect(run("\xf3\x66\x6d") == UMBRA_EMUL_RETRY);
	expect(m.c.rip == CODE_AT && m.port_count == 50 && m.port_size == 2);
	expect(m.gpr[UMBRA_EMUL_RCX] == 950 && m.gpr[UMBRA_EMUL_RDI] == 0x3000);
	expect(run("\xf3\x66\x6d") == UMBRA_EMUL_RETRY && m.port_count == 256);
	while (m.gpr[UMBRA_EMUL_RCX])
		expect(run("\xf3\x66\x6d") != UMBRA_EMUL_FAULT);
	expect(m.c.rip == CODE_AT + 3 && m.gpr[UMBRA_EMUL_RDI] == 0x3000 - 100 + 2000);
	expect(m.memory[0x3000 - 101] == (u8)((0x3000 - 101) * 7) &&
	       m.memory[0x3000 - 100] == 0xc3 && m.memory[0x3000 + 1899] == 0xc3 &&
	       m.memory[0x3000 + 1900] == (u8)((0x3000 + 1900) * 7));

	/* Into nowhere: the port is not read */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 10;
	m.gpr[UMBRA_EMUL_RDI] = MEMORY_SIZE;
	expect(run("\xf3\x6c") == UMBRA_EMUL_FAULT && !m.port_count);
	expect(m.c.exc.vector == X86_TRAP_PF && m.c.exc.address == MEMORY_SIZE);

	/* To MMIO, and downwards: one at a time */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 10;
	m.gpr[UMBRA_EMUL_RDI] = MMIO_AT;
	expect(run("\xf3\x6d") == UMBRA_EMUL_RETRY && m.port_count == 1);
	expect(m.gpr[UMBRA_EMUL_RCX] == 9 && m.mmio_write == 0xc3c3c3c3);
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 10;
	m.gpr[UMBRA_EMUL_RSI] = DATA_AT;
	m.c.rflags |= X86_EFLAGS_DF;
	expect(run("\xf3\x6f") == UMBRA_EMUL_RETRY && m.port_count == 1);
	expect(m.gpr[UMBRA_EMUL_RSI] == DATA_AT - 4);
	expect(!memcmp(m.port_data, m.memory + DATA_AT, 4));

	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 10;
	m.gpr[UMBRA_EMUL_RSI] = DATA_AT;
	expect(done(run("\xf3\x6e"), 2) && m.port_count == 10 && !m.gpr[UMBRA_EMUL_RCX]);
	expect(!memcmp(m.port_data, m.memory + DATA_AT, 10));
	m.c.rip = CODE_AT;
	m.port_count = 0;
	expect(done(run("\xf3\x6e"), 2) && !m.port_count);	/* count 0 */
}

static void test_strings(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 1000;
	m.gpr[UMBRA_EMUL_RDI] = DATA_AT;
	m.gpr[UMBRA_EMUL_RAX] = 0x1111111111111111;
	expect(run("\xf3\x48\xab") == UMBRA_EMUL_RETRY && m.c.rip == CODE_AT);
	expect(m.gpr[UMBRA_EMUL_RCX] == 488 && m.gpr[UMBRA_EMUL_RDI] == DATA_AT + 512 * 8);
	expect(m.commits == 511);
	expect(done(run("\xf3\x48\xab"), 3) && !m.gpr[UMBRA_EMUL_RCX]);

	/* Stopped between elements, as asked. */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 10;
	m.gpr[UMBRA_EMUL_RDI] = DATA_AT;
	m.commits_max = 3;
	expect(run("\xf3\x48\xab") == UMBRA_EMUL_RETRY && m.c.rip == CODE_AT);
	expect(m.gpr[UMBRA_EMUL_RCX] == 7 && m.gpr[UMBRA_EMUL_RDI] == DATA_AT + 3 * 8);
	expect(done(run("\xf3\x48\xab"), 3) && !m.gpr[UMBRA_EMUL_RCX]);

	/* The trap comes after each element. */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 2;
	m.gpr[UMBRA_EMUL_RDI] = DATA_AT;
	m.c.rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
	expect(run("\xf3\xaa") == UMBRA_EMUL_RETRY && m.c.events == UMBRA_EMUL_EV_STEP);
	expect(m.gpr[UMBRA_EMUL_RCX] == 1);
	expect(done(run("\xf3\xaa"), 2) && m.c.events == UMBRA_EMUL_EV_STEP);
	expect(!(m.c.rflags & X86_EFLAGS_RF));

	/* MMIO in the middle: what was done stays done. */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RCX] = 4;
	m.gpr[UMBRA_EMUL_RSI] = DATA_AT;
	m.gpr[UMBRA_EMUL_RDI] = DATA_AT + 0x100;
	m.fail_at = 5;					/* the third element's read */
	expect(run("\xf3\xa5") == UMBRA_EMUL_IO && m.c.rip == CODE_AT);
	expect(m.gpr[UMBRA_EMUL_RCX] == 2 && m.gpr[UMBRA_EMUL_RSI] == DATA_AT + 8);
	expect(done(run("\xf3\xa5"), 2) && !m.gpr[UMBRA_EMUL_RCX]);
	expect(!memcmp(m.memory + DATA_AT, m.memory + DATA_AT + 0x100, 16));
}

/* ENTER writes first and checks its new stack last; with MMIO there it must not write twice. */
static void test_enter(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RSP] = MMIO_AT + 0x100;
	m.gpr[UMBRA_EMUL_RBP] = 0x1122334455667788;
	expect(done(run("\xc8\x20\x00\x00"), 4) && m.mmio_write == 0x1122334455667788);
	expect(m.gpr[UMBRA_EMUL_RBP] == MMIO_AT + 0xf8 && m.gpr[UMBRA_EMUL_RSP] == MMIO_AT + 0xd8);

	/* The new top of the stack is not there: nothing is written. */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RSP] = MMIO_AT + 0x10;
	expect(run("\xc8\x00\x40\x00") == UMBRA_EMUL_FAULT && !m.mmio_write);
	expect(m.c.exc.vector == X86_TRAP_PF && m.gpr[UMBRA_EMUL_RSP] == MMIO_AT + 0x10);

	/* Frames of others are copied in memory only. */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RSP] = MMIO_AT + 0x100;
	expect(run("\xc8\x00\x00\x02") == UMBRA_EMUL_UNHANDLED);
}

/*
 * Every instruction is stopped at each of its callbacks in turn: nothing may have
 * changed. Run again it must end as if it had never been stopped.
 */
static void test_restart(void)
{
	static const struct {
		const char *bytes;
		u8 len;
	} cases[] = {
		{ "\x8b\x03", 2 }, { "\x89\x03", 2 }, { "\x01\x03", 2 }, { "\xf0\x01\x03", 3 },
		{ "\x03\x03", 2 }, { "\x87\x03", 2 }, { "\xf0\x0f\xb1\x0b", 4 },
		{ "\x0f\xb1\x0b", 3 }, { "\xf0\x0f\xc1\x0b", 4 }, { "\x0f\xc7\x0b", 3 },
		{ "\xf0\x48\x0f\xc7\x0b", 5 }, { "\x0f\xab\x0b", 3 }, { "\xf0\x0f\xba\x2b\x05", 5 },
		{ "\xff\x33", 2 }, { "\x8f\x03", 2 }, { "\x50", 1 }, { "\x58", 1 }, { "\x5c", 1 },
		{ "\x9c", 1 }, { "\x9d", 1 }, { "\xe8\x10\0\0\0", 5 }, { "\xff\x13", 2 },
		{ "\xc3", 1 }, { "\xc2\x08\0", 3 }, { "\xa4", 1 }, { "\xa6", 1 }, { "\xaa", 1 },
		{ "\xac", 1 }, { "\xae", 1 }, { "\x6c", 1 }, { "\x6e", 1 }, { "\xec", 1 },
		{ "\xee", 1 }, { "\xd7", 1 }, { "\xf7\x23", 2 }, { "\xf7\x33", 2 },
		{ "\xd3\x23", 2 }, { "\x0f\xa5\x0b", 3 }, { "\xfe\x03", 2 }, { "\xf6\x1b", 2 },
		{ "\x0f\xb6\x03", 3 }, { "\x0f\x90\x03", 3 }, { "\x0f\x44\x03", 3 },
		{ "\x0f\x10\x03", 3 }, { "\x0f\x29\x03", 3 }, { "\x66\x0f\x6e\x03", 4 },
		{ "\x66\x0f\xd6\x03", 4 }, { "\x0f\x16\x03", 3 }, { "\x0f\x38\xf0\x03", 4 },
		{ "\x0f\x38\xf1\x03", 4 }, { "\xa1\0\x20\0\0\0\0\0\0", 9 }, { "\xc9", 1 },
		{ "\x0f\x01\x13", 3 }, { "\x0f\x01\x33", 3 }, { "\xc6\x03\x12", 3 },
	};
	static struct machine before, straight;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		power_on(LONG, 0);
		for (k = 0; k < 16; k++) {
			if (k != UMBRA_EMUL_RSP)
				m.gpr[k] = k + 0x2010;
		}
		m.gpr[UMBRA_EMUL_RBX] = DATA_AT;
		m.gpr[UMBRA_EMUL_RBP] = 0x5000;
		m.gpr[UMBRA_EMUL_RDX] = 3;
		memset(m.memory + DATA_AT + 8, 0, 2);	/* a canonical base for LGDT */
		memset(m.memory + DATA_AT + 5, 0, 3);
		memset(m.memory + 0x4000, 0, 8);
		memcpy(m.memory + CODE_AT, cases[i].bytes, cases[i].len);
		before = m;
		expect(run_bytes(cases[i].bytes, cases[i].len) == UMBRA_EMUL_DONE);
		straight = m;
		expect(straight.calls > 0);

		for (k = 1; k <= straight.calls; k++) {
			m = before;
			m.fail_at = k;
			expect(run_bytes(cases[i].bytes, cases[i].len) == UMBRA_EMUL_IO);
			expect(!memcmp(m.gpr, before.gpr, sizeof(m.gpr)));
			expect(m.c.rip == before.c.rip && m.c.rflags == before.c.rflags);
			expect(!memcmp(m.memory, before.memory, sizeof(m.memory)));
			expect(!memcmp(m.vec, before.vec, sizeof(m.vec)));
			m.fail_at = 0;
			expect(run_bytes(cases[i].bytes, cases[i].len) == UMBRA_EMUL_DONE);
			expect(!memcmp(m.gpr, straight.gpr, sizeof(m.gpr)));
			expect(m.c.rip == straight.c.rip && m.c.rflags == straight.c.rflags);
			expect(!memcmp(m.memory, straight.memory, sizeof(m.memory)));
		}
		if (failed) {
			printf("# case %u\n", i);
			return;
		}
	}
}

static void test_locked(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RBX] = DATA_AT;
	m.gpr[UMBRA_EMUL_RCX] = 1;
	memset(m.memory + DATA_AT, 0, 8);
	m.race = true;
	expect(run("\xf0\x48\x01\x0b") == UMBRA_EMUL_RETRY);
	expect(m.c.rip == CODE_AT && m.memory[DATA_AT] == 0xff);
	expect(done(run("\xf0\x48\x01\x0b"), 4));
	expect(m.memory[DATA_AT] == 0 && m.memory[DATA_AT + 1] == 1);

	/* Without LOCK only what is written counts. */
	m.c.rip = CODE_AT;
	m.race = true;
	expect(done(run("\x48\x01\x0b"), 3));
	expect(m.race);
}

static void test_vectors(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RBX] = DATA_AT;
	m.c.cr0 |= X86_CR0_TS;
	expect(faulted(run("\x0f\x28\x03"), X86_TRAP_NM, false, 0));
	m.c.cr0 |= X86_CR0_EM;
	expect(ud(run("\x0f\x28\x03")));
	m.c.cr0 &= ~(u64)(X86_CR0_EM | X86_CR0_TS);
	m.c.cr4 = 0;
	expect(ud(run("\x0f\x28\x03")));
	m.c.cr4 = X86_CR4_OSXSAVE;
	expect(ud(run("\xc5\xf8\x28\x03")));		/* vmovaps with XCR0 = 0 */
	m.xcr0 = 7;
	memset(m.vec[0], 0xff, 32);
	expect(done(run("\xc5\xf8\x28\x03"), 4));
	expect(!memcmp(m.vec[0], m.memory + DATA_AT, 16) && !m.vec[0][16] && !m.vec[0][31]);
	m.c.rip = CODE_AT;
	m.gpr[UMBRA_EMUL_RBX] = DATA_AT + 16;
	expect(gp(run("\xc5\xfc\x28\x03")));		/* 256 bits want 32 bytes */
	expect(run("\x0f\x58\x03") == UMBRA_EMUL_UNHANDLED);	/* addps */
	expect(run("\x62\xf1\x7c\x48\x10\x03") == UMBRA_EMUL_UNHANDLED);	/* EVEX */
	expect(m.c.fetch_len >= 6 && m.c.fetch[0] == 0x62);
}

static void test_mmx(void)
{
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RBX] = DATA_AT;
	m.c.cr0 |= X86_CR0_TS;
	expect(faulted(run("\x0f\x6f\x0b"), X86_TRAP_NM, false, 0));
	m.c.cr0 |= X86_CR0_EM;
	expect(ud(run("\x0f\x6f\x0b")));
	m.c.cr0 &= ~(u64)(X86_CR0_EM | X86_CR0_TS);
	m.fpu_pending = true;
	expect(faulted(run("\x0f\x6f\x0b"), X86_TRAP_MF, false, 0) && !m.mmx[1]);
	m.fpu_pending = false;
	/* movq (%rbx),%mm1; REX.R means nothing */
	expect(done(run("\x44\x0f\x6f\x0b"), 4) && !memcmp(&m.mmx[1], m.memory + DATA_AT, 8));
	m.c.rip = CODE_AT;
	m.gpr[UMBRA_EMUL_RBX] = MMIO_AT;
	/* movq %mm1,(%rbx) */
	expect(done(run("\x0f\x7f\x0b"), 3) && m.mmio_write == m.mmx[1]);
	m.c.rip = CODE_AT;
	m.mmx[2] = 0x1122334455667788;
	expect(done(run("\x0f\xe7\x13"), 3) && m.mmio_write == m.mmx[2]);	/* movntq */
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x7e\xd3"), 3));					/* movd %mm2,%ebx */
	expect(m.gpr[UMBRA_EMUL_RBX] == 0x55667788);
	m.c.rip = CODE_AT;
	expect(done(run("\x48\x0f\x7e\xd3"), 4));				/* movq %mm2,%rbx */
	expect(m.gpr[UMBRA_EMUL_RBX] == m.mmx[2]);
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x6e\xdb"), 3) && m.mmx[3] == 0x55667788);	/* movd %ebx,%mm3 */
	m.c.rip = CODE_AT;
	expect(done(run("\x0f\x6f\xe2"), 3) && m.mmx[4] == m.mmx[2]);	/* movq %mm2,%mm4 */

	/* A store that faults leaves the x87 state alone. */
	power_on(LONG, 0);
	m.gpr[UMBRA_EMUL_RBX] = MEMORY_SIZE;
	expect(run("\x0f\x7f\x0b") == UMBRA_EMUL_FAULT && m.c.exc.vector == X86_TRAP_PF);
	expect(!m.mmx_used);
}

static void test_fetch(void)
{
	unsigned int i;

	/* The last instruction before nothing */
	power_on(LONG, 0);
	m.memory[MEMORY_SIZE - 1] = 0x90;
	m.c.rip = MEMORY_SIZE - 1;
	umbra_emul_start(&m.c);
	expect(umbra_emulate(&m.c) == UMBRA_EMUL_DONE && m.c.rip == MEMORY_SIZE);
	/* and half of one */
	m.memory[MEMORY_SIZE - 1] = 0xb8;
	m.c.rip = MEMORY_SIZE - 1;
	umbra_emul_start(&m.c);
	expect(umbra_emulate(&m.c) == UMBRA_EMUL_FAULT && m.c.exc.vector == X86_TRAP_PF &&
	       m.c.exc.address == MEMORY_SIZE);

	/* Bytes that the caller had already */
	power_on(LONG, 0);
	memset(m.memory + CODE_AT, 0xf4, 16);
	umbra_emul_start(&m.c);
	memcpy(m.c.fetch, "\x0f\xa2", 2);
	m.c.fetch_len = 2;
	expect(done(umbra_emulate(&m.c), 2));

	/* 16 bytes */
	power_on(LONG, 0);
	for (i = 0; i < 15; i++)
		m.memory[CODE_AT + i] = 0x66;
	m.memory[CODE_AT + 15] = 0x90;
	umbra_emul_start(&m.c);
	expect(gp(umbra_emulate(&m.c)));

	/* The end of the code segment */
	power_on(PROTECTED, 0);
	m.seg[UMBRA_EMUL_CS].limit = CODE_AT + 3;
	expect(gp(run("\xb8\x01\x02\x03\x04")));
	m.seg[UMBRA_EMUL_CS].limit = CODE_AT + 4;
	expect(done(run("\xb8\x01\x02\x03\x04"), 5));
	m.c.rip = CODE_AT;
	expect(gp(run("\xeb\x10")));			/* a jump behind it */
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
	run_test("control registers", test_control_registers);
	run_test("debug registers", test_debug_registers);
	run_test("MSRs, CPUID, HLT, INVLPG, XCR0, descriptor tables", test_system);
	run_test("interrupt flag, POPF and PUSHF in all modes", test_interrupt_flag);
	run_test("segment registers", test_segments);
	run_test("IN and OUT", test_ports);
	run_test("INS and OUTS", test_string_io);
	run_test("string instructions in parts", test_strings);
	run_test("ENTER", test_enter);
	run_test("instructions stopped anywhere and run again", test_restart);
	run_test("LOCK", test_locked);
	run_test("vector registers switched off", test_vectors);
	run_test("MMX registers", test_mmx);
	run_test("fetching", test_fetch);
	printf("1..%u\n# tables: %u passed, %u failed\n", tests, tests - failures, failures);
	return failures != 0;
}
