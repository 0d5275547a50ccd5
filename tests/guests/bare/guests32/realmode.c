// SPDX-License-Identifier: GPL-2.0-only
/* Real mode, big real mode, virtual-8086 mode and 16-bit protected mode. */
#include "dev.h"
#include "mem.h"
#include "realmode.h"
#include "string.h"
#include "test.h"
#include "trap.h"

void real_run(u32 routine);
u32 pm16_call(u32 offset, u32 sel, u32 arg);

struct v86 {
	u32 ip, cs, flags, sp, ss, es, ds, fs, gs;
	u32 ax;
};

void v86_enter(struct v86 *v);

extern u8 low_start[], low_end[], rm_stubs[];

#define DECLARE(x) extern u8 x[]
DECLARE(rm_segments); DECLARE(rm_limits); DECLARE(rm_gp_at); DECLARE(rm_ss_at);
DECLARE(rm_calls); DECLARE(rm_ints); DECLARE(rm_de_at); DECLARE(rm_ud_at); DECLARE(rm_br_at);
DECLARE(rm_int_after); DECLARE(rm_int3_after); DECLARE(rm_step); DECLARE(rm_step_last);
DECLARE(rm_strings); DECLARE(rm_flags); DECLARE(rm_idt); DECLARE(rm_halt); DECLARE(rm_unreal);
DECLARE(rm_io);
DECLARE(v86_segments); DECLARE(v86_limit); DECLARE(v86_cli); DECLARE(v86_sti);
DECLARE(v86_pushf); DECLARE(v86_popf); DECLARE(v86_int); DECLARE(v86_iret); DECLARE(v86_hlt);
DECLARE(v86_in); DECLARE(v86_cr); DECLARE(v86_ud); DECLARE(v86_int3); DECLARE(v86_flags);
DECLARE(v86_int20); DECLARE(v86_ivt_handler);
DECLARE(p16_add); DECLARE(p16_stack); DECLARE(p16_limit); DECLARE(p16_wrap);

static u32 low(void *label)
{
	return LOW_BASE + ((u8 *)label - low_start);
}

static volatile u32 *const res = (u32 *)RM_RESULTS;

static void set_up(void)
{
	volatile u32 *ivt;
	int i;

	asm("" : "=r"(ivt) : "0"(0));
	memcpy((void *)LOW_BASE, low_start, low_end - low_start);
	for (i = 0; i < 256; i++)
		ivt[i] = low(rm_stubs) + 8 * i;
	memset((void *)RM_COUNT, 0, 0x100);
	*(volatile u16 *)RM_VECTOR = 0xffff;
}

static void run(void *routine)
{
	set_up();
	real_run(low(routine));
	load_gdt();
	load_idt();
}

/* What "note" left: vector, and where the saved IP pointed unless @at is NULL. */
static void check_note(int n, int vector, void *at, const char *what)
{
	check((u16)res[n] == (u16)vector, "%s: expected vector %d, seen %d", what, vector,
	      (int)(short)res[n]);
	if (at)
		check(res[n] >> 16 == low(at), "%s: expected IP %x, seen %x", what, low(at),
		      res[n] >> 16);
}

static void test_segments(void)
{
	*(volatile u16 *)0x1fffe = 0;
	run(rm_segments);
	check_eq(*(volatile u32 *)0x12350, 0x600df00d, "memory at 1234:0010");
	check_eq(res[0], 0x1badb002, "memory at FFFF:0010");
	check_eq(res[1], 0x1234, "ES");
	check_eq(res[2], 4, "bytes pushed by a 32-bit push of ES");
	check_eq(res[3], 0xfffe, "SP after a push at 0");
	check_eq(*(volatile u16 *)0x1fffe, 0x5aa5, "word pushed at 1000:FFFE");
	check_eq(res[4], 0x00402000, "LES");
}

/* SDM Vol. 3A 20.1.3 and 20.2: limits are 0xffff; no error code is pushed. */
static void test_limits(void)
{
	known_on_tcg("segment limits are not checked");
	run(rm_limits);
	check_note(0, VEC_GP, rm_gp_at, "word at DS:FFFF");
	check_note(1, VEC_SS, rm_ss_at, "word at SS:FFFF");
	check_note(2, VEC_GP, NULL, "dword at DS:FFFD");
	check_note(3, VEC_GP, NULL, "byte at DS:12345");
	check_note(4, -1, NULL, "last byte and word");
	check_eq(res[5], 0xabcd1234, "BX + SI wrapped");
}

static void test_calls(void)
{
	run(rm_calls);
	check_eq(res[0], 0x11208, "calls and loops");
	check_eq(res[1], RM_STACK - 2, "SP after the calls");
	check_eq(res[2], 0x10000, "ECX after LOOP by CX");
	check_eq(res[3], 0x11112222, "PUSHA");
	check_eq(res[4], 8, "ENTER");
	check_eq(res[5], RM_STACK - 2, "SP after far RET 2");
}

static void test_ints(void)
{
	run(rm_ints);
	check_note(0, 0x60, rm_int_after, "INT 60h");
	check((res[1] & 0x200) && !(res[1] & 0x200 << 16), "IF: %x in the frame, %x in the handler",
	      res[1] & 0xffff, res[1] >> 16);
	check_note(2, VEC_BP, rm_int3_after, "INT3");
	check_note(3, VEC_OF, NULL, "INTO");
	check_note(4, VEC_DE, rm_de_at, "DIV by 0");
	check_note(5, VEC_UD, rm_ud_at, "UD2");
	check_note(6, VEC_BR, rm_br_at, "BOUND");
	check_eq(res[7], 6, "traps");
	check_eq(res[8], RM_STACK - 2, "SP after IRETD");
}

static void test_step(void)
{
	/* The trap that follows CPUID hits the hypervisor. */
	if (known_on_bochs_svm("an exit leaves a single step pending")) {
		skip("Bochs' AMD-V gives a single step to the hypervisor");
		return;
	}
	run(rm_step);
	/* NOP NOP PUSH POP CPUID PUSHF POP AND PUSH POPF. */
	check_eq(res[0], 10, "single-step traps");
	check_note(1, VEC_DB, rm_step_last, "last trap");
}

static void test_strings(void)
{
	run(rm_strings);
	check_eq(res[0], 0x48474645, "REP MOVSB");
	check_eq(res[1], 0x41084008, "SI and DI after it");
	check_eq(res[2], 0x44434241, "REP MOVSW downwards");
	check_eq(res[3], 0x410e3ffe, "SI and DI after it");
	check_eq(res[4], 0x3231, "MOVSB over the end of the segment");
	check_eq(res[5], 1, "SI after it");
	check_eq(res[6], 0x40050003, "REPNE SCASB");
	check_eq(res[7], 0x40060002, "REPE CMPSB");
	check_eq(res[8], 0, "ECX after REP MOVSL");
	check_eq(res[9], 0x48474645, "REP MOVSL with 32-bit addresses");
	check_eq(res[10], 0x44434241, "REP MOVSB from FS");
}

static void test_flags(void)
{
	struct cpuid c = cpuid(0, 0);

	run(rm_flags);
	check_eq(res[0], 0x47cd7, "EFLAGS with all that may be set");
	check_eq(res[1], 2, "EFLAGS with none");
	check_eq(res[2], 0x3002, "IOPL by POPF");
	check_eq(res[3] & 1, 0, "PE in SMSW");
	check_eq(res[4] & (CR0_PE | CR0_PG), 0, "CR0");
	check_eq(res[5], c.b, "CPUID in real mode");
	check_eq(res[6] & (EFER_LMA | EFER_LME), 0, "EFER");
	check_eq(res[7] & 0xffff, 0x3ff, "SIDT limit");
	check_eq(res[7] >> 16 | res[8] << 16, 0, "SIDT base");
	check_note(10, VEC_UD, NULL, "STR");
	check_note(11, VEC_UD, NULL, "LLDT");
	check_note(12, VEC_UD, NULL, "VERR");
}

static void test_idt(void)
{
	run(rm_idt);
	check_note(0, VEC_GP, NULL, "INT 40h beyond the table's limit");
	check_note(1, 0x42, NULL, "INT 41h in a moved table");
	check_note(2, 0x41, NULL, "INT 41h in the normal table");
}

static void test_halt(void)
{
	pic_init(0x20);
	set_up();
	pit_program(0, 2, PIT_HZ / 500);
	pic_mask(0xfffe);
	real_run(low(rm_halt));
	pic_mask(0xffff);
	load_gdt();
	load_idt();
	/* One that comes late is followed by another before the next HLT. */
	check(res[0] >= 3, "%u timer interrupts for three HLTs", (unsigned int)res[0]);
	check_note(1, 0x20, NULL, "timer");
	check_eq(res[2], 0, "interrupts between STI and CLI");
}

static void test_unreal(void)
{
	known_on_tcg("segment limits are not checked");
	*(volatile u32 *)0x4444 = 0x13579bdf;
	set_desc(SPARE_SEL, make_desc(0x4444, 0xfffff, 0x93, 0xc));
	*(volatile u32 *)0x300000 = 0;
	run(rm_unreal);
	check_eq(res[0], 0x1badb002, "1 MiB by FS of protected mode");
	check_eq(res[1], 0x13579bdf, "GS with the base of protected mode");
	check_eq(res[2], 0x1badb002, "1 MiB after DS was loaded in real mode");
	check_eq(*(volatile u32 *)0x300000, 0xfee1dead, "store at 3 MiB");
	check_eq(res[3], 0x1badb002, "string move from 1 MiB");
	check_eq(res[4], 0x100004, "ESI after it");
	check_note(5, VEC_GP, NULL, "1 MiB with a limit of 64K again");
}

static void test_io(void)
{
	run(rm_io);
	check_eq(res[0], 0x5a, "CMOS byte 0Fh");
	check_eq(res[1], 0xffff, "word from an empty port");
	check_eq(res[2], 0xffffffff, "dword from an empty port");
	check_eq(res[3], 0x0000ffff, "end of REP INSB");
	check_eq(res[4], 0x43060000, "CX and DI after it");
	check_eq(res[5], 0x43030000, "CX and SI after REP OUTSB");
}

static void test_round_trips(void)
{
	int i;

	for (i = 0; i < 30; i++) {
		run(rm_calls);
		check_eq(res[0], 0x11208, "calls and loops");
		EXPECT_TRAP(VEC_UD, asm volatile("ud2"));
	}
}

/* --- virtual-8086 mode, SDM Vol. 3A 20.2 and 20.3 --- */

static int v86(void *code, u32 flags)
{
	struct v86 v = {
		.ip = low(code), .flags = flags | FLAG_VM | FLAG_FIXED,
		.sp = 0x5ff0, .es = 0x111, .ds = 0, .fs = 0x333, .gs = 0x444,
	};

	return TRY(v86_enter(&v));
}

static void expect_v86(void *code, u32 flags, int vector, u32 error, u32 ip_off, const char *what)
{
	int v = v86(code, flags);
	struct trap *t = last_trap();

	check(v == vector && t->error == error && t->ip == low(code) + ip_off,
	      "%s: expected vector %d error %x at +%x, seen %d %lx +%lx", what, vector, error,
	      ip_off, v, t->error, t->ip - low(code));
	check(t->flags & FLAG_VM, "%s: VM is not set in the saved flags %lx", what, t->flags);
	check((u16)t->regs.vm_es == 0x111 && (u16)t->regs.vm_fs == 0x333 &&
	      (u16)t->regs.vm_gs == 0x444 && (u16)t->regs.ss == 0,
	      "%s: saved segments es %lx fs %lx gs %lx ss %lx", what, t->regs.vm_es, t->regs.vm_fs,
	      t->regs.vm_gs, t->regs.ss);
	check(!(u16)t->regs.fs && !(u16)t->regs.gs && !(u16)t->regs.ds && !(u16)t->regs.es,
	      "%s: data segments were not cleared", what);
}

static void v86_set_up(void)
{
	set_up();
	*(volatile u32 *)0x12320 = 0x8badf00d;
	set_idt(VEC_BP, default_entry(VEC_BP), KERNEL_CS, 0xee, 0);
	write_cr4(read_cr4() & ~(ulong)CR4_VME);
}

static void test_v86(void)
{
	v86_set_up();
	expect_v86(v86_int3, 0, VEC_BP, 0, 1, "INT3");
	v86(v86_segments, 0);
	check_eq(last_trap()->regs.ax, 0x8badf00d, "dword at 1230:0020");
	check_eq((u16)last_trap()->regs.vm_ds, 0x1230, "DS");
	expect_v86(v86_hlt, FLAG_IOPL, VEC_GP, 0, 0, "HLT");
	expect_v86(v86_cr, FLAG_IOPL, VEC_GP, 0, 0, "MOV from CR0");
	/* #UD is intercepted, and an exit from virtual-8086 mode is the end of Bochs. */
	if (!on_bochs_svm())
		expect_v86(v86_ud, FLAG_IOPL, VEC_UD, 0, 0, "LLDT");
	/* No I/O bitmap in the TSS: ports fault whatever IOPL is. */
	expect_v86(v86_in, FLAG_IOPL, VEC_GP, 0, 0, "IN");
}

static void test_v86_limit(void)
{
	known_on_tcg("segment limits are not checked");
	v86_set_up();
	expect_v86(v86_limit, 0, VEC_GP, 0, 0, "word at DS:FFFF");
}

static void test_v86_iopl0(void)
{
	v86_set_up();
	expect_v86(v86_cli, 0, VEC_GP, 0, 0, "CLI");
	expect_v86(v86_sti, 0, VEC_GP, 0, 0, "STI");
	expect_v86(v86_pushf, 0, VEC_GP, 0, 0, "PUSHF");
	expect_v86(v86_popf, 0, VEC_GP, 0, 3, "POPF");
	expect_v86(v86_int, 0, VEC_GP, 0, 0, "INT");
	expect_v86(v86_int20, 0, VEC_GP, 0, 0, "INT with a gate of DPL 3");
	v86(v86_iret, 0);
	check_eq(last_trap()->vector, VEC_GP, "PUSHF before IRET");
}

static void test_v86_iopl3(void)
{
	v86_set_up();
	expect_v86(v86_cli, FLAG_IOPL | FLAG_IF, VEC_BP, 0, 2, "CLI");
	check_eq(last_trap()->flags & FLAG_IF, 0, "IF after CLI");
	expect_v86(v86_pushf, FLAG_IOPL, VEC_BP, 0, 3, "PUSHF");
	check_eq((u16)last_trap()->regs.ax, FLAG_IOPL | FLAG_FIXED, "pushed flags");
	expect_v86(v86_iret, FLAG_IOPL, VEC_BP, 0, 7, "IRET");
	/* INT goes through the protected-mode IDT, to a gate that lets CPL 3 in. */
	expect_v86(v86_int20, FLAG_IOPL, USER_TRAP, 0, 2, "INT 80h");
	expect_v86(v86_int, FLAG_IOPL, VEC_GP, 0x61 * 8 + 2, 0, "INT 61h, gate of DPL 0");
}

/* Virtual-8086 mode extensions: SDM Vol. 3A 20.3. */
static void test_v86_vme(void)
{
	static struct __attribute__((packed)) {
		struct tss tss;
		u8 redirect[32];
		u8 io[16], end;
	} t;
	volatile u32 *ivt;

	if (!HAS(1, 0, d, 1)) {
		skip("no VME");
		return;
	}
	v86_set_up();
	asm("" : "=r"(ivt) : "0"(0));
	ivt[0x61] = low(v86_ivt_handler);
	t.tss = cpu_tss[0];
	t.tss.iomap = offsetof(typeof(t), io);
	memset(t.io, 0xff, sizeof(t.io));
	t.end = 0xff;
	t.redirect[0x80 / 8] = 1;	/* INT 80h not redirected, all others are */
	set_sys_desc(SPARE_SEL, (ulong)&t, sizeof(t) - 1, 0x89);
	asm volatile("ltr %w0" :: "r"(SPARE_SEL));
	write_cr4(read_cr4() | CR4_VME);
	/* INT 61h reaches the IVT without a trap, also with IOPL 0. */
	expect_v86(v86_int, 0, VEC_BP, 0, 3, "redirected INT");
	check_eq((u16)last_trap()->regs.dx, 0x1dea, "DX of its handler");
	expect_v86(v86_int, FLAG_IOPL, VEC_BP, 0, 3, "redirected INT with IOPL 3");
	check_eq((u16)last_trap()->regs.dx, 0x1dea, "DX of its handler");
	expect_v86(v86_int20, FLAG_IOPL, USER_TRAP, 0, 2, "INT 80h");
	/* CLI and STI move VIF; PUSHF shows it as IF, with IOPL 3. */
	expect_v86(v86_cli, FLAG_VIF | FLAG_IF, VEC_BP, 0, 2, "CLI");
	check_eq(last_trap()->flags & (FLAG_VIF | FLAG_IF), FLAG_IF, "VIF and IF after CLI");
	expect_v86(v86_sti, 0, VEC_BP, 0, 2, "STI");
	check_eq(last_trap()->flags & (FLAG_VIF | FLAG_IF), FLAG_VIF, "VIF and IF after STI");
	expect_v86(v86_sti, FLAG_VIP, VEC_GP, 0, 0, "STI with VIP");
	expect_v86(v86_flags, 0, VEC_BP, 0, 10, "PUSHF and POPF");
	check_eq((u16)last_trap()->regs.bx, FLAG_IF | FLAG_IOPL | FLAG_FIXED, "flags by PUSHF");
	check_eq(last_trap()->flags & (FLAG_VIF | FLAG_IF), FLAG_VIF, "VIF and IF after POPF");
	write_cr4(read_cr4() & ~(ulong)CR4_VME);
	trap_init_cpu(0);
}

/* --- 16-bit protected mode --- */

static void test_pm16(void)
{
	set_up();
	set_desc(SPARE_SEL, make_desc(LOW_BASE, 0xffff, 0x9b, 0));
	set_desc(SPARE_SEL + 16, make_desc(0x5000, 0xfff, 0x93, 0));
	set_desc(SPARE_SEL + 24, make_desc(0x20000, 0xffff, 0x93, 0));
	check_eq(pm16_call(p16_add - low_start, SPARE_SEL, 0x1ffff), 0x1ffff + 0x17ffe,
		 "16-bit arithmetic");
	check_eq(pm16_call(p16_stack - low_start, SPARE_SEL, 0), 0xabcd0000, "ESP");
	check_eq(*(volatile u16 *)0x20004, 0x1111, "word on the 16-bit stack");
	check_eq(*(volatile u32 *)0x20000, 0x22223333, "dword on the 16-bit stack");
	*(volatile u32 *)0x20004 = 0x76543210;
	check_eq(pm16_call(p16_wrap - low_start, SPARE_SEL, 0), 0x76543210, "BX + SI wrapped");
}

static void test_pm16_limit(void)
{
	known_on_tcg("segment limits are not checked");
	set_up();
	set_desc(SPARE_SEL, make_desc(LOW_BASE, 0xffff, 0x9b, 0));
	set_desc(SPARE_SEL + 16, make_desc(0x5000, 0xfff, 0x93, 0));
	EXPECT_TRAP_ERR(VEC_GP, 0, pm16_call(p16_limit - low_start, SPARE_SEL, 0));
	check_eq(last_trap()->cs, SPARE_SEL, "saved CS");
}

const struct test guest_tests[] = {
	{ "segments", test_segments },
	{ "limits", test_limits },
	{ "calls", test_calls },
	{ "ints", test_ints },
	{ "step", test_step },
	{ "strings", test_strings },
	{ "flags", test_flags },
	{ "idt", test_idt },
	{ "halt", test_halt },
	{ "unreal", test_unreal },
	{ "io", test_io },
	{ "round-trips", test_round_trips },
	{ "v86", test_v86 },
	{ "v86-limit", test_v86_limit },
	{ "v86-iopl0", test_v86_iopl0 },
	{ "v86-iopl3", test_v86_iopl3 },
	{ "v86-vme", test_v86_vme },
	{ "pm16", test_pm16 },
	{ "pm16-limit", test_pm16_limit },
};

GUEST("realmode");
