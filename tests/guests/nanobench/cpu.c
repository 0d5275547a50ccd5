// SPDX-License-Identifier: GPL-2.0-only
/* Instructions, faults and system calls, and what a hypervisor may make of them. */
#include "nanobench.h"
#include "trap.h"

/* user.S */
extern u8 user_page[], user_nothing[], user_syscall[], user_fault[], user_divide[];
extern u8 syscall_entry[], fault_entry[], divide_entry[];
extern u64 faults_taken;

/* --- user mode --- */

#define USER_VA		WINDOW
#define ABSENT_VA	(WINDOW + PAGE_SIZE)

static void user_set_up(const struct bench *b, u64 n)
{
	pt_map(&base, USER_VA, (ulong)user_page, PT_U | PT_USED, 1);
	pt_write(PT_4LEVEL, pt_entry(&base, ABSENT_VA, 1), 0);
	faults_taken = 0;
}

/* Has user code do @n rounds of a loop of user.S. */
static void user_loop(const void *loop, u64 n, ulong arg)
{
	int vector = user_run(USER_VA + ((u8 *)loop - user_page), n, arg, 0);

	if (vector != USER_TRAP)
		fail("user code ended by vector %d at %lx", vector, last_trap()->ip);
}

static void user_control(u64 n)
{
	user_loop(user_nothing, n, 0);
}

static void syscall_set_up(const struct bench *b, u64 n)
{
	user_set_up(b, n);
	/* SYSRET to 64-bit code takes CS from 16 and SS from 8 above this. */
	wrmsr(MSR_STAR, (u64)USER_CS32 << 48 | (u64)KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (ulong)syscall_entry);
	wrmsr(MSR_FMASK, ~FLAG_FIXED);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
}

static void syscall_body(u64 n)
{
	user_loop(user_syscall, n, 0);
}

static void syscall_clean_up(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SCE);
}

static void expect_faults(u64 n)
{
	if (faults_taken != n)
		fail("%lu faults in %lu operations", faults_taken, n);
	faults_taken = 0;
}

static void pgfault_set_up(const struct bench *b, u64 n)
{
	user_set_up(b, n);
	set_idt(VEC_PF, fault_entry, KERNEL_CS, 0x8e, 0);
}

static void pgfault_body(u64 n)
{
	user_loop(user_fault, n, ABSENT_VA);
	expect_faults(n);
}

static void divzero_set_up(const struct bench *b, u64 n)
{
	user_set_up(b, n);
	set_idt(VEC_DE, divide_entry, KERNEL_CS, 0x8e, 0);
}

static void divzero_body(u64 n)
{
	user_loop(user_divide, n, 0);
	expect_faults(n);
}

static void fault_clean_up(void)
{
	set_idt(VEC_PF, default_entry(VEC_PF), KERNEL_CS, 0x8e, 0);
	set_idt(VEC_DE, default_entry(VEC_DE), KERNEL_CS, 0x8e, 0);
}

/* --- single instructions --- */

static __attribute__((naked, noinline, used)) void callee(void)
{
	asm("ret");
}

ASM_LOOP(callret, "call callee", ::: "memory")
ASM_LOOP(cr8wr, "mov %0, %%cr8", :: "r"(0ul) : "memory")
ASM_LOOP(cpuid, "cpuid", : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "0"(0), "2"(0))

/*
 * The time stamp counter as an MSR: hypervisors compute it, and so intercept it, and
 * do so without leaving the kernel.
 */
ASM_LOOP(rdmsr, "rdmsr", : "=a"(a), "=d"(d) : "c"(MSR_TSC))

/*
 * The page attribute table with the value that it has. Every 64-bit CPU has it; and a
 * hypervisor must see the write, to check it and for its own page tables.
 */
static u64 pat;

static void wrmsr_set_up(const struct bench *b, u64 n)
{
	pat = rdmsr(MSR_PAT);
}

ASM_LOOP(wrmsr, "wrmsr", :: "a"((u32)pat), "d"(pat >> 32), "c"(MSR_PAT) : "memory")

/* A call that no hypervisor knows: there and back again, with an error. */
#define NO_SUCH_CALL	0x7fffffff

#define CALL_OPERANDS	: "=a"(a) : "0"(NO_SUCH_CALL), "b"(0), "c"(0), "d"(0) : "memory"

ASM_LOOP(amd_call, "vmmcall", CALL_OPERANDS)
ASM_LOOP(intel_call, "vmcall", CALL_OPERANDS)

static bool use_vmmcall;

static void hypercall_set_up(const struct bench *b, u64 n)
{
	int vector;

	use_vmmcall = cpu_is_amd();
	if (!HAS_HYPERVISOR) {
		skip("no hypervisor");
		return;
	}
	vector = use_vmmcall ? TRY(amd_call_body(1)) : TRY(intel_call_body(1));
	if (vector != NO_TRAP)
		skip("%s gives exception %d", use_vmmcall ? "VMMCALL" : "VMCALL", vector);
}

static void hypercall_body(u64 n)
{
	if (use_vmmcall)
		amd_call_body(n);
	else
		intel_call_body(n);
}

static void hypercall_control(u64 n)
{
	if (use_vmmcall)
		amd_call_control(n);
	else
		intel_call_control(n);
}

static const struct bench benches[] = {
	{ "syscall", "SYSCALL from user mode and SYSRET back",
	  syscall_set_up, syscall_body, user_control, syscall_clean_up, 1000 },
	{ "pgfault", "access of user code to an absent page, and return behind it",
	  pgfault_set_up, pgfault_body, user_control, fault_clean_up, 50 },
	{ "divzero", "division by zero in user code, and return behind it",
	  divzero_set_up, divzero_body, user_control, fault_clean_up, 50 },
	{ "callret", "near call and return",
	  NULL, callret_body, callret_control, NULL, 1000 },
	{ "cr8wr", "write of the task priority to CR8",
	  NULL, cr8wr_body, cr8wr_control, NULL, 50 },
	{ "cpuid", "CPUID leaf 0",
	  NULL, cpuid_body, cpuid_control, NULL, 50 },
	{ "hypercall", "VMMCALL or VMCALL with an unknown number",
	  hypercall_set_up, hypercall_body, hypercall_control, NULL, 50 },
	{ "rdmsr", "RDMSR of the time stamp counter",
	  NULL, rdmsr_body, rdmsr_control, NULL, 50 },
	{ "wrmsr", "WRMSR of the page attribute table, unchanged",
	  wrmsr_set_up, wrmsr_body, wrmsr_control, NULL, 50 },
};

const struct bench_list cpu_list = BENCH_LIST(benches);
