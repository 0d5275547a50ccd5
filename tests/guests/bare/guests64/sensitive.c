// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every sensitive instruction at CPL 0 and 3: it faults as it should, or what it reads
 * and writes is the guest's own. The cases are those of ../sensitive/table.ini.
 */
#include "apic.h"
#include "mem.h"
#include "ptcheck.h"
#include "ptspace.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#define LDT_SEL		(SPARE_SEL + 16)
#define DATA_VA		(USER_VA + 0x10000000)

/* What the guest has put into registers before each case. */
#define VALUE		0x6bc1e2f8ul
#define FS_BASE		0x123456789000ul
#define GS_BASE		0x23456789a000ul
#define KERNEL_GS	0x3456789ab000ul
#define TSC_AUX		0x5aa5
#define CR0_BOOT	0x80010033ul
#define CR4_BOOT	0x620ul

#define WITH_IOPL3	BIT(0)
#define WITH_TSD	BIT(1)
#define WITH_PCE	BIT(2)
#define WITH_UMIP	BIT(3)
#define WITH_FSGSBASE	BIT(4)
#define WITH_PKE	BIT(5)
#define WITH_OSXSAVE	BIT(6)
#define WITH_SCE	BIT(7)
#define WITH_AMD	BIT(8)
#define WITH_INTEL	BIT(9)
#define WITH_NOWP	BIT(10)
#define WITH_WAKEUP	BIT(11)
#define WITH_NOTCG	BIT(12)
#define WITH_UMBRA	BIT(13)
#define WITH_BARE	BIT(14)
#define WITH_NOBOCHS	BIT(15)

/* What an instruction left in registers. */
struct seen {
	ulong ax, bx, cx, dx;
	u64 tsc;		/* by MSR, before */
};

struct sensitive_case {
	int cpl;
	u32 with;
	int vector;
	u8 *code;
	bool (*check)(const struct seen *s);
	const char *text;
};

extern u8 sensitive_code[], sensitive_code_end[], sensitive_lstar[];
extern u16 syscall_cs;
u16 syscall_cs;

static u8 *data;
static ulong code_va = USER_VA;
static u16 gate_seen;
static int woken;
static ulong cr0_now, cr4_now, efer_now, xcr0_set;

/* The words of the table's expressions. */
#define AX	(s->ax)
#define BX	(s->bx)
#define CX	(s->cx)
#define DX	(s->dx)
#define SI	VALUE
#define M8(at)	(*(volatile u8 *)(data + (at)))
#define M16(at)	(*(volatile u16 *)(data + (at)))
#define M64(at)	(*(volatile u64 *)(data + (at)))
#define CR0_NOW	cr0_now
#define CR3_NOW	(space.root)
#define CR4_NOW	cr4_now
#define EFER_NOW efer_now
#define XCR0_SET xcr0_set
#define UMBRA	on_umbra()
#define tsc_ours(v) is_tsc(v, s)

static bool on_umbra(void)
{
	return HAS_HYPERVISOR && cpuid(0x40000100, 0).b == 0x72626d55;	/* "Umbr" */
}

/* Between two reads of the MSR, which QEMU's bare machine reads from another clock. */
static bool is_tsc(u64 v, const struct seen *s)
{
	return (v >= s->tsc && v <= rdmsr(MSR_TSC)) || (on_tcg() && !UMBRA);
}

/* TCG multiplies the vector by 16 in 64-bit mode. */
static bool idt_error(ulong vector)
{
	ulong error = last_trap()->error;

	return error == vector * 8 + 2 || (on_tcg() && error == vector * 16 + 2);
}

/* --- the state of a case --- */

static bool note_gate(struct regs *r)
{
	gate_seen = r->cs;
	return true;
}

static bool note_wakeup(struct regs *r)
{
	woken++;
	apic_eoi();
	return true;
}

static void xsetbv(ulong v)
{
	asm volatile("xsetbv" :: "c"(0), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

/* Whether the CPU has what a case asks for. */
static bool possible(u32 with)
{
	if (with & WITH_AMD && !cpu_is_amd())
		return false;
	if ((with & WITH_INTEL && cpu_is_amd()) || (with & WITH_NOTCG && on_tcg()))
		return false;
	if (with & WITH_NOBOCHS && option("host") && !strncmp(option("host"), "bochs-svm", 9))
		return false;
	if (with & (UMBRA ? WITH_BARE : WITH_UMBRA))
		return false;
	return (!(with & WITH_UMIP) || HAS_UMIP) && (!(with & WITH_FSGSBASE) || HAS_FSGSBASE) &&
	       (!(with & WITH_PKE) || HAS_PKU) && (!(with & WITH_OSXSAVE) || HAS_XSAVE);
}

static void set_up(u32 with)
{
	asm volatile("mov %0, %%es; mov %0, %%fs; mov %0, %%gs" :: "r"(0));
	wrmsr(MSR_FS_BASE, FS_BASE);
	wrmsr(MSR_GS_BASE, GS_BASE);
	wrmsr(MSR_KERNEL_GS_BASE, KERNEL_GS);
	if (HAS_RDTSCP)
		wrmsr(MSR_TSC_AUX, TSC_AUX);
	memset(data, 0, PAGE_SIZE);
	woken = 0;
	syscall_cs = 0;
	gate_seen = 0;

	cr0_now = with & WITH_NOWP ? CR0_BOOT & ~(ulong)CR0_WP : CR0_BOOT;
	write_cr0(cr0_now);
	cr4_now = CR4_BOOT | (with & WITH_TSD ? CR4_TSD : 0) | (with & WITH_PCE ? CR4_PCE : 0) |
		  (with & WITH_UMIP ? CR4_UMIP : 0) | (with & WITH_FSGSBASE ? CR4_FSGSBASE : 0) |
		  (with & WITH_PKE ? CR4_PKE : 0) | (with & WITH_OSXSAVE ? CR4_OSXSAVE : 0);
	write_cr4(cr4_now);
	efer_now = EFER_LME | EFER_LMA | (HAS_NX ? EFER_NXE : 0) | (with & WITH_SCE ? EFER_SCE : 0);
	wrmsr(MSR_EFER, efer_now);
	wrmsr(MSR_STAR, (u64)USER_CS32 << 48 | (u64)KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (ulong)sensitive_lstar);
	wrmsr(MSR_FMASK, FLAG_IF | FLAG_DF | FLAG_AC);
	if (with & WITH_OSXSAVE) {
		/* FPU, SSE and AVX, as far as there are. */
		xcr0_set = cpuid(0xd, 0).a & 7;
		xsetbv(xcr0_set);
	}
	if (with & WITH_WAKEUP)
		apic_icr(0, ICR_SELF | ICR_FIXED | ICR_ASSERT | 0x42);
}

static void put_back(u32 with)
{
	if (with & WITH_OSXSAVE)
		xsetbv(1);
	write_cr0(CR0_BOOT);
	write_cr4(CR4_BOOT);
	wrmsr(MSR_EFER, efer_now & ~(u64)EFER_SCE);
	asm volatile("mov %0, %%es" :: "r"(KERNEL_DS));
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
}

/* --- cases --- */

static int at_cpl0(u8 *code, struct seen *seen)
{
	ulong flags = read_flags(), d = (ulong)data, si = VALUE, a = 0, b = 0, c = 0, dx = 0;
	int v;

	v = TRY({
		asm volatile("call *%6" : "+D"(d), "+S"(si), "+a"(a), "+b"(b), "+c"(c), "+d"(dx)
			     : "r"(code) : "r8", "r9", "r10", "r11", "memory", "cc");
		*(volatile struct seen *)seen = (struct seen){ a, b, c, dx, seen->tsc };
	});
	write_flags(flags);
	return v;
}

static int at_cpl3(u8 *code, u32 with, struct seen *seen)
{
	struct regs *r = &last_trap()->regs;
	int v = user_run(code_va + (code - sensitive_code), DATA_VA, VALUE,
			 with & WITH_IOPL3 ? FLAG_IOPL : 0);

	*seen = (struct seen){ r->ax, r->bx, r->cx, r->dx, seen->tsc };
	return v == USER_TRAP ? NO_TRAP : v;
}

static void run_case(const struct sensitive_case *c)
{
	struct seen seen = { 0 };
	int v;

	set_up(c->with);
	seen.tsc = rdmsr(MSR_TSC);
	v = c->cpl ? at_cpl3(c->code, c->with, &seen) : at_cpl0(c->code, &seen);
	if (check(v == c->vector, "%s: vector %d error %lx", c->text, v,
		  v == NO_TRAP ? 0 : last_trap()->error))
		check(c->check(&seen), "%s: rax %lx rbx %lx rcx %lx rdx %lx, error %lx, memory %llx %llx",
		      c->text, seen.ax, seen.bx, seen.cx, seen.dx, last_trap()->error,
		      (unsigned long long)M64(0), (unsigned long long)M64(8));
	put_back(c->with);
}

static void run_cases(const struct sensitive_case *cases, int count)
{
	int i, done = 0;

	open_space();
	data = alloc_page();
	pt_map_code(&space, code_va, sensitive_code, sensitive_code_end);
	pt_map(&space, DATA_VA, (ulong)data, PT_U | PT_W, 1);
	set_sys_desc(LDT_SEL, (ulong)data, 0xfff, 0x82);
	asm volatile("lldt %w0" :: "r"(LDT_SEL));
	set_handler(0x41, note_gate);
	set_handler(0x42, note_wakeup);
	apic_enable();
	for (i = 0; i < count; i++)
		if (possible(cases[i].with)) {
			run_case(&cases[i]);
			done++;
		}
	if (!done)
		skip("another processor's");
	asm volatile("lldt %w0" :: "r"(0));
	close_space();
}

#include "sensitive-c.h"

const struct test guest_tests[] = { SENSITIVE_TESTS };

GUEST("sensitive");
