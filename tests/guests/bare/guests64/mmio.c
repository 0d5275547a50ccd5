// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory-mapped and port I/O by every form of instruction: right values, right
 * flags and registers, each side effect once, faults exact.
 *
 * The registers used: the APIC timer's initial count, which is 32 bits of plain
 * storage; the APIC's interrupt command, whose writes can be counted; the IOAPIC;
 * and a hole in the physical address space that nothing answers.
 */
#include "apic.h"
#include "dev.h"
#include "mem.h"
#include "pt.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#define HOLE	0xd0000000ul
#define TMICT	(APIC_PHYS + APIC_TMICT)
#define ICR	(APIC_PHYS + APIC_ICR)
#define ONES	0xffffffffffffffffull

static void set_tmict(u32 v)
{
	*(volatile u32 *)TMICT = v;
}

static u32 tmict(void)
{
	return *(volatile u32 *)TMICT;
}

static void apic_set_up(void)
{
	apic_enable();
	apic_write(APIC_LVT_TIMER, LVT_MASKED | 0x41);
	apic_write(APIC_TDCR, 0xa);
}

/* --- 32-bit storage --- */

static void test_mov(void)
{
	u64 r;
	u32 v;

	apic_set_up();
	asm volatile("movl %k1, (%0)" :: "r"(TMICT), "r"(0x12345678) : "memory");
	check_eq(tmict(), 0x12345678, "after MOV from a register");
	asm volatile("movl $0x0badcafe, (%0)" :: "r"(TMICT) : "memory");
	check_eq(tmict(), 0x0badcafe, "after MOV of an immediate");
	asm volatile("mov $-1, %0; movl (%1), %k0" : "=&r"(r) : "r"(TMICT));
	check_eq(r, 0x0badcafe, "MOV clears the high half");
	asm volatile("movl 8(%1,%2,4), %0" : "=r"(v) : "r"(TMICT - 0x18), "r"(4ul));
	check_eq(v, 0x0badcafe, "base, index, displacement");
}

static void test_mov_forms(void)
{
	u32 v, r15;

	apic_set_up();
	set_tmict(0xcafebabe);
	asm volatile("movabsl 0xfee00380, %%eax" : "=a"(v));
	check_eq(v, 0xcafebabe, "MOV from a 64-bit offset");
	asm volatile("movabsl %%eax, 0xfee00380" :: "a"(0x11223344) : "memory");
	check_eq(tmict(), 0x11223344, "MOV to a 64-bit offset");
	asm volatile("mov %1, %%r13; movl (%%r13), %%r15d; mov %%r15d, %0"
		     : "=r"(r15) : "r"(TMICT) : "r13", "r15");
	check_eq(r15, 0x11223344, "R13 and R15");
	asm volatile("addr32 movl (%k1), %0" : "=r"(v) : "r"(TMICT | 0x100000000ul));
	check_eq(v, 0x11223344, "32-bit address");
	asm volatile("movslq (%1), %q0" : "=r"(r15) : "r"(TMICT));
	check_eq(r15, 0x11223344, "MOVSXD");
	asm volatile("movnti %1, (%0); sfence" :: "r"(TMICT), "r"(0x55667788) : "memory");
	check_eq(tmict(), 0x55667788, "MOVNTI");
}

#define FLAGS_ARITH (FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_OF | BIT(2) | BIT(4))

/* The same operation on the register and on memory: value and flags must agree. */
#define RMW(insn, start, operand) do {					\
	u32 ram = (start);						\
	ulong f1, f2;							\
									\
	set_tmict(start);						\
	asm volatile(insn " %1, (%2); pushf; pop %0" : "=r"(f1)		\
		     : "r"((u32)(operand)), "r"(TMICT) : "memory", "cc");	\
	asm volatile(insn " %1, (%2); pushf; pop %0" : "=r"(f2)		\
		     : "r"((u32)(operand)), "r"(&ram) : "memory", "cc");	\
	check_eq(tmict(), ram, insn);					\
	check_eq(f1 & FLAGS_ARITH, f2 & FLAGS_ARITH, "flags of " insn);	\
} while (0)

#define RMW1(insn, start) do {						\
	u32 ram = (start);						\
	ulong f1, f2;							\
									\
	set_tmict(start);						\
	asm volatile("clc; " insn " (%1); pushf; pop %0"		\
		     : "=r"(f1) : "r"(TMICT) : "memory", "cc");		\
	asm volatile("clc; " insn " (%1); pushf; pop %0"		\
		     : "=r"(f2) : "r"(&ram) : "memory", "cc");		\
	check_eq(tmict(), ram, insn);					\
	check_eq(f1 & FLAGS_ARITH, f2 & FLAGS_ARITH, "flags of " insn);	\
} while (0)

static void test_rmw(void)
{
	apic_set_up();
	RMW("andl", 0xf0f0f0f0, 0x3c3c3c3c);
	RMW("orl", 0xf0f0f0f0, 0x0c0c0c0c);
	RMW("xorl", 0x12345678, 0x12345678);
	RMW("addl", 0xfffffff0, 0x20);
	RMW("adcl", 0x7fffffff, 1);
	RMW("subl", 5, 7);
	RMW("sbbl", 0x80000000, 1);
	RMW("cmpl", 5, 7);
	RMW("testl", 0x80000001, 0x80000000);
	RMW("lock; orl", 1, 0x100);
	RMW1("incl", 0x7fffffff);
	RMW1("decl", 0x80000000);
	RMW1("negl", 5);
	RMW1("notl", 0x5a5a5a5a);
	RMW1("shll $3,", 0x30000001);
	RMW1("shrl $1,", 0x80000003);
	RMW1("sarl $4,", 0x80000018);
	RMW1("roll $8,", 0x12345678);
	RMW1("addl $-1,", 0);
	RMW1("cmpl $0x1234,", 0x1234);
	RMW1("orl $0x40000000,", 2);
}

static void test_xchg(void)
{
	u32 r, ax;
	u8 zf;

	apic_set_up();
	set_tmict(0x1111);
	r = 0x2222;
	asm volatile("xchgl %0, (%1)" : "+r"(r) : "r"(TMICT) : "memory");
	check_eq(r, 0x1111, "XCHG gave");
	check_eq(tmict(), 0x2222, "XCHG left");
	r = 5;
	asm volatile("lock xaddl %0, (%1)" : "+r"(r) : "r"(TMICT) : "memory", "cc");
	check_eq(r, 0x2222, "XADD gave");
	check_eq(tmict(), 0x2227, "XADD left");
	ax = 0x2227;
	asm volatile("lock cmpxchgl %3, (%2); setz %1" : "+a"(ax), "=q"(zf)
		     : "r"(TMICT), "r"(0x7777) : "memory", "cc");
	check(zf && tmict() == 0x7777, "CMPXCHG that matches: ZF %d, left %x", zf, tmict());
	ax = 0x1;
	asm volatile("lock cmpxchgl %3, (%2); setz %1" : "+a"(ax), "=q"(zf)
		     : "r"(TMICT), "r"(0x8888) : "memory", "cc");
	check(!zf && ax == 0x7777 && tmict() == 0x7777, "CMPXCHG that differs: ZF %d EAX %x left %x",
	      zf, ax, tmict());
}

static void test_bits(void)
{
	u8 cf;

	apic_set_up();
	set_tmict(0x100);
	asm volatile("btl $8, (%1); setc %0" : "=q"(cf) : "r"(TMICT) : "cc");
	check_eq(cf, 1, "BT");
	asm volatile("lock btsl $20, (%1); setc %0" : "=q"(cf) : "r"(TMICT) : "memory", "cc");
	check(!cf && tmict() == 0x100100, "BTS: CF %d, left %x", cf, tmict());
	asm volatile("btrl %2, (%1); setc %0" : "=q"(cf) : "r"(TMICT), "r"(8) : "memory", "cc");
	check(cf && tmict() == 0x100000, "BTR: CF %d, left %x", cf, tmict());
	/* A register's bit offset reaches beyond the operand: from 0x200 bytes below. */
	asm volatile("btcl %2, (%1); setc %0" : "=q"(cf)
		     : "r"(TMICT - 0x200), "r"(0x200 * 8 + 1) : "memory", "cc");
	check(!cf && tmict() == 0x100002, "BTC far away: CF %d, left %x", cf, tmict());
}

static void test_stack(void)
{
	u64 r;

	known_on_qemu("an unbacked address reads as 0");
	asm volatile("pushq (%1); popq %0" : "=r"(r) : "r"(HOLE));
	check_eq(r, ONES, "PUSH of the hole");
	asm volatile("pushw (%1); popw %w0" : "=r"(r) : "r"(HOLE), "0"(0ul));
	check_eq(r, 0xffff, "PUSH of a word of the hole");
	EXPECT_NO_TRAP(asm volatile("pushq $5; popq (%0)" :: "r"(HOLE) : "memory"));
	/* CALL through it goes to a non-canonical... all ones: a page that is not there. */
	EXPECT_TRAP(VEC_PF, asm volatile("call *(%0)" :: "r"(HOLE) : "memory"));
	check_eq(last_trap()->ip, ONES, "RIP after CALL through the hole");
}

/* MMX registers, and what else they do to the x87 state. */
static void test_mmx(void)
{
	struct { u16 cw, pad, sw, pad1, tag, pad2; u32 rest[4]; } env;
	ulong cr0 = read_cr0();
	u64 r = 0x1122334455667788;
	u16 control = 0x37b;	/* division by zero is not masked */
	u32 v;

	apic_set_up();
	write_cr0((cr0 & ~(ulong)(CR0_EM | CR0_TS)) | CR0_NE);
	set_tmict(0x89abcdef);
	asm volatile("fninit; fld1; movd (%1), %%mm3; fnstenv %2; movd %%mm3, %0; emms"
		     : "=r"(v) : "r"(TMICT), "m"(env) : "memory");
	check_eq(v, 0x89abcdef, "MOVD from a device");
	/* All registers are in use, and TOP is 0. */
	check(!(env.tag & (env.tag >> 1) & 0x5555) && !(env.sw & 0x3800), "tags %x, status %x",
	      env.tag, env.sw);
	asm volatile("movq %0, %%mm2; movd %%mm2, (%1); emms" :: "m"(r), "r"(TMICT) : "memory");
	check_eq(tmict(), 0x55667788, "MOVD to a device");
	asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp" :: "m"(control));
	EXPECT_TRAP(VEC_MF, asm volatile("movd %%mm2, (%0)" :: "r"(TMICT) : "memory"));
	asm volatile("fnclex; fninit");
	write_cr0(cr0);
}

/* --- all sizes, on the hole --- */

static void test_hole_reads(void)
{
	u64 r;
	u16 w;
	u8 b;

	known_on_qemu("an unbacked address reads as 0");
	asm volatile("movb (%1), %0" : "=q"(b) : "r"(HOLE + 3));
	check_eq(b, 0xff, "byte");
	asm volatile("movw (%1), %0" : "=r"(w) : "r"(HOLE + 5));
	check_eq(w, 0xffff, "word");
	asm volatile("movq (%1), %0" : "=r"(r) : "r"(HOLE + 8));
	check_eq(r, ONES, "quadword");
	asm volatile("movb (%1), %%ah" : "=a"(r) : "b"(HOLE), "0"(0ul));
	check_eq(r, 0xff00, "byte into AH");
	asm volatile("movzbl (%1), %k0" : "=r"(r) : "r"(HOLE));
	check_eq(r, 0xff, "MOVZX byte");
	asm volatile("movzwq (%1), %0" : "=r"(r) : "r"(HOLE));
	check_eq(r, 0xffff, "MOVZX word");
	asm volatile("movsbq (%1), %0" : "=r"(r) : "r"(HOLE));
	check_eq(r, ONES, "MOVSX byte");
	asm volatile("movswl (%1), %k0" : "=r"(r) : "r"(HOLE));
	check_eq(r, 0xffffffff, "MOVSX word into 32 bits");
	asm volatile("mov $0x123456789abcdef0, %0; movsbw (%1), %w0" : "=&r"(r) : "r"(HOLE));
	check_eq(r, 0x123456789abcffff, "MOVSX byte into 16 bits");
	asm volatile("xor %0, %0; cmovcq (%1), %0" : "=&r"(r) : "r"(HOLE) : "cc");
	check_eq(r, 0, "CMOV that does not move");
	asm volatile("xor %0, %0; stc; cmovcl (%1), %k0" : "=&r"(r) : "r"(HOLE) : "cc");
	check_eq(r, 0xffffffff, "CMOV that moves");
	asm volatile("addq (%1), %0" : "=r"(r) : "r"(HOLE), "0"(10ul) : "cc");
	check_eq(r, 9, "ADD from the hole");
	asm volatile("imulq (%1), %0" : "=r"(r) : "r"(HOLE), "0"(10ul) : "cc");
	check_eq(r, -10ull, "IMUL with the hole");
	if (test_failed())
		return;		/* the hole reads as 0, and division would trap */
	asm volatile("xorl %%edx, %%edx; divl (%1)" : "=a"(r) : "r"(HOLE), "0"(0xffffffff) : "rdx", "cc");
	check_eq(r, 1, "DIV by the hole");
}

static void test_hole_writes(void)
{
	u64 r = 0x1122334455667788;

	known_on_qemu("an unbacked address reads as 0");
	asm volatile("movb $1, (%0); movw $2, 2(%0); movl $3, 4(%0); movq $4, 8(%0); movb %%ah, 1(%0)"
		     :: "b"(HOLE) : "memory");
	check_eq(*(volatile u64 *)HOLE, ONES, "hole after writes of all sizes");
	asm volatile("xchgq %0, (%1)" : "+r"(r) : "r"(HOLE) : "memory");
	check_eq(r, ONES, "XCHG with the hole");
	asm volatile("xchgb %b0, (%1)" : "+q"(r) : "r"(HOLE) : "memory");
	check_eq(r & 0xff, 0xff, "XCHG of a byte");
	asm volatile("lock cmpxchg8b (%1); setz %b0" : "=q"(r)
		     : "r"(HOLE), "a"(-1), "d"(-1), "b"(1), "c"(2) : "memory", "cc");
	check_eq(r & 0xff, 1, "ZF of CMPXCHG8B with all ones");
	asm volatile("sete (%0)" :: "r"(HOLE) : "memory");
	asm volatile("incw (%0); negb (%0); lock addq $1, (%0)" :: "r"(HOLE) : "memory", "cc");
}

static void test_sse(void)
{
	static u64 out[2] __attribute__((aligned(16))), in[2] __attribute__((aligned(16)));

	known_on_qemu("an unbacked address reads as 0");
#define SSE_LOAD(insn, lo, hi) do {					\
		in[1] = 0;						\
		in[0] = 0;						\
		asm volatile("pxor %%xmm1, %%xmm1; " insn " (%0), %%xmm1; movdqu %%xmm1, (%1)"	\
			     :: "r"(HOLE), "r"(in) : "memory");		\
		check(in[0] == (lo) && in[1] == (hi), insn " gave %llx %llx",	\
		      (unsigned long long)in[0], (unsigned long long)in[1]);	\
	} while (0)
	SSE_LOAD("movdqu", ONES, ONES);
	SSE_LOAD("movdqa", ONES, ONES);
	SSE_LOAD("movups", ONES, ONES);
	SSE_LOAD("movaps", ONES, ONES);
	SSE_LOAD("movq", ONES, 0);
	SSE_LOAD("movd", 0xffffffff, 0);
	SSE_LOAD("movss", 0xffffffff, 0);
	SSE_LOAD("movsd", ONES, 0);
	out[0] = 0x1234;
	asm volatile("movdqu (%1), %%xmm2; movdqu %%xmm2, (%0); movaps %%xmm2, (%0);"
		     "movntdq %%xmm2, (%0); movq %%xmm2, (%0); movd %%xmm2, (%0)"
		     :: "r"(HOLE), "r"(out) : "memory");
	check_eq(*(volatile u64 *)HOLE, ONES, "hole after SSE stores");
	apic_set_up();
	asm volatile("movd %1, %%xmm3; movd %%xmm3, (%0)" :: "r"(TMICT), "r"(0x600d) : "memory");
	check_eq(tmict(), 0x600d, "MOVD to the APIC");
}

/* --- strings --- */

static u8 buffer[512] __attribute__((aligned(64)));

static void test_strings_read(void)
{
	ulong si, di, n;
	int i, bad;
	u64 ax;

	known_on_qemu("an unbacked address reads as 0");
	for (i = 0; i < 2; i++) {
		memset(buffer, 0x11, sizeof(buffer));
		si = HOLE + (i ? 99 : 0);
		di = (ulong)buffer + 16 + (i ? 99 : 0);
		n = 100;
		if (i)
			asm volatile("std; rep movsb; cld"
				     : "+S"(si), "+D"(di), "+c"(n) :: "memory", "cc");
		else
			asm volatile("rep movsb" : "+S"(si), "+D"(di), "+c"(n) :: "memory");
		check_eq(n, 0, "RCX");
		check_eq(si, i ? HOLE - 1 : HOLE + 100, "RSI");
		check_eq(di, (ulong)buffer + (i ? 15 : 116), "RDI");
		for (bad = 0, n = 0; n < 132; n++)
			bad += buffer[n] != (n >= 16 && n < 116 ? 0xff : 0x11);
		check_eq(bad, 0, i ? "wrong bytes after REP MOVSB down" : "wrong bytes after REP MOVSB");
	}
	si = HOLE;
	di = (ulong)buffer;
	n = 5;
	asm volatile("rep movsq" : "+S"(si), "+D"(di), "+c"(n) :: "memory");
	check_eq(di, (ulong)buffer + 40, "RDI after REP MOVSQ");
	check_eq(((volatile u64 *)buffer)[4], ONES, "last quadword");
	si = HOLE;
	asm volatile("lodsl" : "+S"(si), "=a"(ax) : "1"(0x1234567800000000ul));
	check_eq(ax, 0xffffffff, "LODSL");
	check_eq(si, HOLE + 4, "RSI after LODSL");
	di = HOLE;
	n = 10;
	asm volatile("repe scasb; sete %b0" : "=q"(ax), "+D"(di), "+c"(n) : "0"(0xff) : "cc");
	check_eq(n, 0, "RCX after REPE SCASB");
	di = HOLE;
	n = 10;
	asm volatile("repne scasw" : "+D"(di), "+c"(n) : "a"(0xffff) : "cc");
	check_eq(n, 9, "RCX after REPNE SCASW");
	/* CMPS of the hole with RAM: stops at the byte that differs. */
	memset(buffer, 0xff, 64);
	buffer[7] = 0;
	si = HOLE;
	di = (ulong)buffer;
	n = 20;
	asm volatile("repe cmpsb" : "+S"(si), "+D"(di), "+c"(n) :: "memory", "cc");
	check_eq(n, 12, "RCX after REPE CMPSB");
	/* A count of 0 touches nothing. */
	si = 0x700000000000;
	di = HOLE;
	n = 0;
	EXPECT_NO_TRAP(asm volatile("rep movsb" : "+S"(si), "+D"(di), "+c"(n) :: "memory"));
	check_eq(di, HOLE, "RDI after a count of 0");
}

static void test_strings_write(void)
{
	ulong si, di, n;

	apic_set_up();
	*(u32 *)buffer = 0x01020304;
	si = (ulong)buffer;
	di = TMICT;
	asm volatile("movsl" : "+S"(si), "+D"(di) :: "memory");
	check_eq(tmict(), 0x01020304, "MOVSL to the APIC");
	check_eq(di, TMICT + 4, "RDI");
	di = TMICT;
	n = 1;
	asm volatile("rep stosl" : "+D"(di), "+c"(n) : "a"(0x0a0b0c0d) : "memory");
	check_eq(tmict(), 0x0a0b0c0d, "REP STOSL to the APIC");
	/* From device to device. */
	*(volatile u32 *)IOAPIC_PHYS = 0x10 + 2 * 5;
	set_tmict(LVT_MASKED | 0x77);
	si = TMICT;
	di = IOAPIC_PHYS + 0x10;
	asm volatile("movsl" : "+S"(si), "+D"(di) :: "memory");
	check_eq(ioapic_read(0x10 + 2 * 5) & 0x100ff, LVT_MASKED | 0x77, "MOVSL from APIC to IOAPIC");
	si = IOAPIC_PHYS + 0x10;
	di = TMICT;
	asm volatile("std; movsl; cld" : "+S"(si), "+D"(di) :: "memory");
	check_eq(tmict() & 0x100ff, LVT_MASKED | 0x77, "MOVSL from IOAPIC to APIC");
	check_eq(si, IOAPIC_PHYS + 0xc, "RSI downwards");
	/* Many into the hole. */
	si = (ulong)buffer;
	di = HOLE;
	n = 300;
	asm volatile("rep movsb" : "+S"(si), "+D"(di), "+c"(n) :: "memory");
	check(n == 0 && di == HOLE + 300, "REP MOVSB to the hole: RCX %lx RDI %lx", n, di);
	di = HOLE + 0x3000;
	n = 700;
	asm volatile("std; rep stosq; cld" : "+D"(di), "+c"(n) : "a"(0) : "memory", "cc");
	check(n == 0 && di == HOLE + 0x3000 - 5600, "REP STOSQ down over pages: RCX %lx RDI %lx",
	      n, di);
}

/* --- each write is one write --- */

static volatile int irqs;

static bool irq_handler(struct regs *r)
{
	irqs++;
	apic_eoi();
	return true;
}

#define ONCE(what, ...) do {						\
	irqs = 0;							\
	__VA_ARGS__;							\
	asm volatile("sti; nop; nop; cli");				\
	check_eq(irqs, 1, "interrupts sent by one " what);		\
} while (0)

static void test_once(void)
{
	const u32 cmd = ICR_SELF | ICR_ASSERT | 0x41;
	u64 q = cmd;
	ulong si, di, n;
	u32 r;

	apic_set_up();
	set_handler(0x41, irq_handler);
	ONCE("MOV", *(volatile u32 *)ICR = cmd);
	ONCE("MOVSL", si = (ulong)&q; di = ICR;
	     asm volatile("movsl" : "+S"(si), "+D"(di) :: "memory"));
	ONCE("REP STOSL", n = 1; di = ICR;
	     asm volatile("rep stosl" : "+c"(n), "+D"(di) : "a"(cmd) : "memory"));
	ONCE("XCHG", r = cmd; asm volatile("xchgl %0, (%1)" : "+r"(r) : "r"(ICR) : "memory"));
	/* The register holds the command already: OR with 0 writes it again. */
	ONCE("OR", asm volatile("orl $0, (%0)" :: "r"(ICR) : "memory", "cc"));
	ONCE("MOVNTI", asm volatile("movnti %1, (%0); mfence" :: "r"(ICR), "r"(cmd) : "memory"));
	irqs = 0;
	asm volatile("testl %1, (%0); cmpl $1, (%0); btl $1, (%0)" :: "r"(ICR), "r"(cmd) : "cc");
	asm volatile("sti; nop; nop; cli");
	check_eq(irqs, 0, "interrupts sent by TEST, CMP, BT");
	set_handler(0x41, NULL);
}

/* --- paging and MMIO --- */

static struct space space;
static ulong ram, old_cr3;
#define VA 0x600000000000ul

static void open_space(void)
{
	old_cr3 = read_cr3();
	pt_new(&space, PT_4LEVEL);
	ram = (ulong)alloc_page();
	pt_map(&space, VA, ram, PT_W | PT_U, 1);
	pt_map(&space, VA + PAGE_SIZE, HOLE, PT_W | PT_U, 1);
	pt_map(&space, VA + 2 * PAGE_SIZE, ram, PT_W | PT_U, 1);
	pt_map(&space, VA + 4 * PAGE_SIZE, APIC_PHYS, PT_W, 1);
	pt_map(&space, VA + 5 * PAGE_SIZE, APIC_PHYS, 0, 1);
	write_cr3(space.root);
}

static void close_space(void)
{
	write_cr3(old_cr3);
}

/* Half in RAM, half in the hole, both ways round. */
static void test_crossing(void)
{
	u64 r;

	known_on_qemu("an unbacked address reads as 0");
	open_space();
	*(volatile u64 *)(ram + PAGE_SIZE - 8) = 0x1122334455667788;
	*(volatile u64 *)ram = 0x99aabbccddeeff00;
	asm volatile("movl (%1), %k0" : "=r"(r) : "r"(VA + PAGE_SIZE - 2));
	check_eq(r, 0xffff1122, "dword from RAM into the hole");
	asm volatile("movq (%1), %0" : "=r"(r) : "r"(VA + PAGE_SIZE - 3));
	check_eq(r, 0xffffffffff112233, "quadword from RAM into the hole");
	asm volatile("movq (%1), %0" : "=r"(r) : "r"(VA + 2 * PAGE_SIZE - 5));
	check_eq(r, 0xeeff00ffffffffff, "quadword from the hole into RAM");
	asm volatile("movq %1, (%0)" :: "r"(VA + PAGE_SIZE - 4), "r"(0x0102030405060708ul) : "memory");
	check_eq(*(volatile u64 *)(ram + PAGE_SIZE - 8), 0x0506070855667788, "RAM after a write across");
	asm volatile("movl %1, (%0)" :: "r"(VA + 2 * PAGE_SIZE - 1), "r"(0xa1a2a3a4) : "memory");
	check_eq(*(volatile u64 *)ram, 0x99aabbccdda1a2a3, "RAM after a write from the hole");
	close_space();
}

/* The page tables decide before the device does. */
static void test_rights(void)
{
	ulong apic = VA + 4 * PAGE_SIZE, ro = VA + 5 * PAGE_SIZE;
	struct regs *r = &last_trap()->regs;

	open_space();
	apic_set_up();
	set_tmict(0x77);
	check_eq(*(volatile u32 *)(apic + APIC_TMICT), 0x77, "APIC at another address");
	check_eq(*(volatile u32 *)(ro + APIC_TMICT), 0x77, "APIC, read-only");
	EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, *(volatile u32 *)(ro + APIC_TMICT) = 5);
	check_eq(last_trap()->cr2, ro + APIC_TMICT, "CR2");
	EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W,
			asm volatile("orl $1, (%0)" :: "r"(ro + APIC_TMICT) : "memory", "cc"));
	check_eq(tmict(), 0x77, "register after the faults");
	/* Accessed and dirty bits of a device page. */
	check_eq(*(volatile u64 *)pt_entry(&space, ro, 1) & (PT_A | PT_D), PT_A, "read-only entry");
	/* Strings: the RAM side is missing, first source, then destination. */
	EXPECT_TRAP_ERR(VEC_PF, 0, asm volatile("movsl" :: "S"(VA + 3 * PAGE_SIZE),
						"D"(apic + APIC_TMICT) : "memory"));
	check_eq(tmict(), 0x77, "register after a source fault");
	EXPECT_TRAP_ERR(VEC_PF, PF_W, asm volatile("movsl" :: "D"(VA + 3 * PAGE_SIZE),
						   "S"(apic + APIC_TMICT) : "memory"));
	check_eq(r->si, apic + APIC_TMICT, "RSI after a destination fault");
	/* In the middle of a REP, from the hole into a missing page. */
	EXPECT_TRAP_ERR(VEC_PF, PF_W, asm volatile("rep movsb" :: "S"(VA + PAGE_SIZE),
						   "D"(VA + 3 * PAGE_SIZE - 10), "c"(100)
						   : "memory"));
	check(r->cx == 90 && r->si == VA + PAGE_SIZE + 10 && r->di == VA + 3 * PAGE_SIZE,
	      "registers in the middle: RCX %lx RSI %lx RDI %lx", r->cx, r->si, r->di);
	check_eq(last_trap()->cr2, VA + 3 * PAGE_SIZE, "CR2");
	close_space();
}

/* --- 16-bit and 32-bit code --- */

asm(".pushsection .text\n"
	".code32\n"
	"compat32: movl (%edi), %eax\n"
	"	addl $5, (%edi)\n"
	"	movl 0x380(%edx), %ecx\n"
	"	lret\n"
	"	.balign 16\n"
	".code16\n"
	/* DS has the APIC's base: 16-bit addresses within it. */
	"compat16: mov %ds, %cx\n"
	"	mov $0x50, %ax\n"	/* SPARE_SEL + 8 */
	"	mov %ax, %ds\n"
	"	mov $0x300, %bx\n"
	"	mov $0x80, %si\n"
	"	movl (%bx,%si), %eax\n"
	"	movl %eax, %edx\n"
	"	addl $0x100, 0x80(%bx)\n"
	"	mov %cx, %ds\n"
	"	movl %edx, %eax\n"
	"	lretl\n"
	".code64\n"
	".popsection\n");
extern u8 compat32[], compat16[];

static u32 far_call(u16 sel, ulong ip, ulong di, ulong dx)
{
	struct __attribute__((packed)) { u32 ip; u16 sel; } p = { ip, sel };
	u32 ax;

	asm volatile("lcall *%3" : "=a"(ax), "+D"(di), "+d"(dx) : "m"(p)
		     : "rbx", "rcx", "rsi", "memory", "cc");
	return ax;
}

static void test_other_sizes(void)
{
	apic_set_up();
	set_desc(SPARE_SEL, make_desc((ulong)compat16, 0xffff, 0x9b, 0));
	set_desc(SPARE_SEL + 8, make_desc(APIC_PHYS, 0xfff, 0x93, 0));
	set_tmict(0x1000);
	check_eq(far_call(FLAT_CS32, (ulong)compat32, TMICT, APIC_PHYS), 0x1000, "read by 32-bit code");
	check_eq(tmict(), 0x1005, "after ADD by 32-bit code");
	check_eq(far_call(SPARE_SEL, 0, 0, 0), 0x1005, "read by 16-bit code");
	check_eq(tmict(), 0x1105, "after ADD by 16-bit code");
}

/* --- ports --- */

#define SCRATCH 0x3ff

static void test_ports(void)
{
	u64 ax;

	outb(SCRATCH, 0x5a);
	check_eq(inb(SCRATCH), 0x5a, "scratch register of the serial port");
	asm volatile("inb %%dx, %%al" : "=a"(ax) : "d"(SCRATCH), "0"(0x1122334455667788));
	check_eq(ax, 0x112233445566775a, "IN of a byte keeps the rest of RAX");
	asm volatile("inw %%dx, %%ax" : "=a"(ax) : "d"(0x2ff8), "0"(0x1122334455667788));
	check_eq(ax, 0x112233445566ffff, "IN of a word keeps the rest of RAX");
	asm volatile("inl %%dx, %%eax" : "=a"(ax) : "d"(0x2ff8), "0"(0x1122334455667788));
	check_eq(ax, 0xffffffff, "IN of a dword clears the high half");
	asm volatile("outb %%al, %%dx" :: "a"(0x33), "d"(0xffff000000000000ul | SCRATCH));
	check_eq(inb(SCRATCH), 0x33, "OUT uses DX alone");
}

static void test_port_strings(void)
{
	ulong si, di, n;
	int i;

	for (i = 0; i < 64; i++)
		buffer[i] = i + 1;
	si = (ulong)buffer;
	n = 20;
	asm volatile("rep outsb" : "+S"(si), "+c"(n) : "d"(SCRATCH) : "memory");
	check(n == 0 && si == (ulong)buffer + 20, "REP OUTSB: RCX %lx RSI %lx", n, si);
	check_eq(inb(SCRATCH), 20, "last byte out");
	si = (ulong)buffer + 30;
	n = 5;
	asm volatile("std; rep outsb; cld" : "+S"(si), "+c"(n) : "d"(SCRATCH) : "memory", "cc");
	check(n == 0 && si == (ulong)buffer + 25, "REP OUTSB down: RCX %lx RSI %lx", n, si);
	check_eq(inb(SCRATCH), 27, "last byte out");
	outb(SCRATCH, 0xc3);
	memset(buffer, 0, 64);
	di = (ulong)buffer + 8;
	n = 10;
	asm volatile("rep insb" : "+D"(di), "+c"(n) : "d"(SCRATCH) : "memory");
	check(n == 0 && di == (ulong)buffer + 18, "REP INSB: RCX %lx RDI %lx", n, di);
	check(!buffer[7] && buffer[8] == 0xc3 && buffer[17] == 0xc3 && !buffer[18], "REP INSB wrote %x %x %x %x",
	      buffer[7], buffer[8], buffer[17], buffer[18]);
	di = (ulong)buffer + 40;
	n = 4;
	asm volatile("std; rep insl; cld" : "+D"(di), "+c"(n) : "d"(0x2ff8) : "memory", "cc");
	check(n == 0 && di == (ulong)buffer + 24, "REP INSL down: RCX %lx RDI %lx", n, di);
	check(!buffer[24] && buffer[28] == 0xff && buffer[43] == 0xff && !buffer[44],
	      "REP INSL wrote %x %x %x %x", buffer[24], buffer[28], buffer[43], buffer[44]);
	/* More than a page at once, and through the FS base. */
	si = 0;
	n = 300;
	wrmsr(MSR_FS_BASE, (ulong)buffer);
	for (i = 0; i < 300; i++)
		buffer[i] = i;
	asm volatile("rep outsb %%fs:(%%rsi), %%dx" : "+S"(si), "+c"(n) : "d"(SCRATCH) : "memory");
	check_eq(si, 300, "RSI after REP OUTSB from FS");
	check_eq(inb(SCRATCH), 299 & 255, "last byte out of FS");
	wrmsr(MSR_FS_BASE, 0);
	/* 32-bit registers. */
	si = (ulong)buffer | 0xabc00000000;
	n = 0xabc00000003;
	asm volatile("addr32 rep outsb" : "+S"(si), "+c"(n) : "d"(SCRATCH) : "memory");
	check_eq((u32)n, 0, "ECX");
	check_eq(si, (ulong)buffer + 3, "RSI");
	check_eq(inb(SCRATCH), 2, "last byte out");
}

static void test_port_string_faults(void)
{
	struct regs *r = &last_trap()->regs;
	ulong gap = VA + 3 * PAGE_SIZE;

	open_space();
	outb(SCRATCH, 0x44);
	EXPECT_TRAP_ERR(VEC_PF, PF_W, asm volatile("rep insb" :: "D"(gap - 7), "c"(20),
						   "d"(SCRATCH) : "memory"));
	check(r->cx == 13 && r->di == gap && last_trap()->cr2 == gap,
	      "REP INSB into a missing page: RCX %lx RDI %lx CR2 %lx",
	      r->cx, r->di, last_trap()->cr2);
	check_eq(*(volatile u8 *)(gap - 1), 0x44, "last byte before the gap");
	memset((void *)(ram + PAGE_SIZE - 16), 0x66, 16);
	EXPECT_TRAP_ERR(VEC_PF, 0, asm volatile("rep outsb" :: "S"(gap - 5), "c"(20),
						"d"(SCRATCH) : "memory"));
	check(r->cx == 15 && r->si == gap && last_trap()->cr2 == gap,
	      "REP OUTSB from a missing page: RCX %lx RSI %lx CR2 %lx",
	      r->cx, r->si, last_trap()->cr2);
	check_eq(inb(SCRATCH), 0x66, "last byte out");
	EXPECT_TRAP_ERR(VEC_PF, PF_W, asm volatile("insl" :: "D"(gap - 2), "d"(0x2ff8) : "memory"));
	check_eq(last_trap()->cr2, gap, "CR2 of INSL over the edge");
	EXPECT_TRAP_ERR(VEC_GP, 0, asm volatile("insb" :: "D"(0x0000900000000000ul),
						"d"(SCRATCH) : "memory"));
	close_space();
}

/* --- who may use a port: SDM Vol. 1 18.5 --- */

asm(".pushsection .text\n .balign 4096\n io_user_page:\n"
	"io_user_in8: in %dx, %al\n int $0x80\n"
	"io_user_in32: in %dx, %eax\n int $0x80\n"
	"io_user_outs: mov %rsi, %rcx\n lea io_user_page(%rip), %rsi\n rep outsb\n int $0x80\n"
	" .balign 4096\n .popsection\n");
extern u8 io_user_page[], io_user_in8[], io_user_in32[], io_user_outs[];

/* User code gets the port in RDI; it has to be in RDX. */
asm(".pushsection .text\n io_user_stub: mov %rdi, %rdx\n jmp *%rsi\n io_user_stub_end: .popsection\n");
extern u8 io_user_stub[], io_user_stub_end[];

static struct {
	struct tss tss;
	u8 bitmap[8193];
} __attribute__((packed, aligned(4096))) io_tss;

static int user_io(u8 *what, u16 port, ulong flags)
{
	const ulong base = 0x500000000000ul;

	return user_run(base + PAGE_SIZE, port, base + (what - io_user_page), flags);
}

static void test_io_bitmap(void)
{
	u8 *stub = alloc_page();

	open_space();
	memcpy(stub, io_user_stub, io_user_stub_end - io_user_stub);
	pt_map(&space, 0x500000000000, (ulong)io_user_page, PT_U, 1);
	pt_map(&space, 0x500000001000, (ulong)stub, PT_U, 1);
	pt_map(&space, 0x500000003000, (ulong)alloc_page(), PT_U | PT_W, 1);
	user_stack = 0x500000004000;
	/* No bitmap: only IOPL counts. */
	check_eq(user_io(io_user_in8, SCRATCH, 0), VEC_GP, "IN without a bitmap");
	check_eq(user_io(io_user_in8, SCRATCH, FLAG_IOPL), USER_TRAP, "IN with IOPL 3");
	io_tss.tss = cpu_tss[0];
	io_tss.tss.iomap = sizeof(struct tss);
	memset(io_tss.bitmap, 0xff, sizeof(io_tss.bitmap));
	set_sys_desc(SPARE_SEL, (ulong)&io_tss, sizeof(io_tss) - 1, 0x89);
	asm volatile("ltr %w0" :: "r"(SPARE_SEL));
	outb(SCRATCH, 0x21);
	check_eq(user_io(io_user_in8, SCRATCH, 0), VEC_GP, "IN of a forbidden port");
	io_tss.bitmap[SCRATCH / 8] &= ~(1 << SCRATCH % 8);
	check_eq(user_io(io_user_in8, SCRATCH, 0), USER_TRAP, "IN of an allowed port");
	check_eq(last_trap()->regs.ax & 0xff, 0x21, "byte read");
	check_eq(user_io(io_user_in8, SCRATCH - 1, 0), VEC_GP, "IN of the port below");
	/* All four ports of a dword count, across bytes of the bitmap. */
	check_eq(user_io(io_user_in32, SCRATCH, 0), VEC_GP, "IN of 4 ports, one allowed");
	io_tss.bitmap[0x2ff8 / 8] = 0;
	check_eq(user_io(io_user_in32, 0x2ff8, 0), USER_TRAP, "IN of 4 allowed ports");
	check_eq(user_io(io_user_in32, 0x2ffd, 0), VEC_GP, "IN of 3 allowed and 1 forbidden");
	io_tss.bitmap[0x3000 / 8] = 0xfe;
	check_eq(user_io(io_user_in32, 0x2ffd, 0), USER_TRAP, "IN across bytes of the bitmap");
	/* A bitmap that ends early forbids the rest. */
	set_sys_desc(SPARE_SEL, (ulong)&io_tss, sizeof(struct tss) + 0x2ff8 / 8, 0x89);
	asm volatile("ltr %w0" :: "r"(SPARE_SEL));
	check_eq(user_io(io_user_in8, 0x2ff8, 0), VEC_GP, "IN beyond the end of the bitmap");
	check_eq(user_io(io_user_in8, SCRATCH, 0), USER_TRAP, "IN before the end of the bitmap");
	trap_init_cpu(0);
	close_space();
}

const struct test guest_tests[] = {
	{ "mov", test_mov },
	{ "mov-forms", test_mov_forms },
	{ "rmw", test_rmw },
	{ "xchg", test_xchg },
	{ "bits", test_bits },
	{ "stack", test_stack },
	{ "mmx", test_mmx },
	{ "hole-reads", test_hole_reads },
	{ "hole-writes", test_hole_writes },
	{ "sse", test_sse },
	{ "strings-read", test_strings_read },
	{ "strings-write", test_strings_write },
	{ "once", test_once },
	{ "crossing", test_crossing },
	{ "rights", test_rights },
	{ "other-sizes", test_other_sizes },
	{ "ports", test_ports },
	{ "port-strings", test_port_strings },
	{ "port-string-faults", test_port_string_faults },
	{ "io-bitmap", test_io_bitmap },
};

GUEST("mmio");
