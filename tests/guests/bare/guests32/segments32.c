// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segmentation of 32-bit code: limits, types, gates, privilege, LDT, SYSENTER and
 * hardware task switches (SDM Vol. 3A chapters 5 and 7).
 */
#include "dev.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#define SEL(n) (SPARE_SEL + 8 * (n))

static u8 area[8192] __attribute__((aligned(4096)));

/* FS is used, since compiled code needs the other segments. */
static void load_fs(u32 sel)
{
	asm volatile("mov %w0, %%fs" :: "r"(sel) : "memory");
}

static u32 fs_read(u32 off)
{
	u32 v;

	asm volatile("movl %%fs:(%1), %0" : "=r"(v) : "r"(off));
	return v;
}

static void fs_write(u32 off, u32 v)
{
	asm volatile("movl %1, %%fs:(%0)" :: "r"(off), "r"(v) : "memory");
}

/* Through @sel, loaded anew: a fault caught by TRY leaves FS null. */
static u32 seg_read(u32 sel, u32 off)
{
	load_fs(sel);
	return fs_read(off);
}

static void seg_write(u32 sel, u32 off, u32 v)
{
	load_fs(sel);
	fs_write(off, v);
}

static void test_bases(void)
{
	*(u32 *)(area + 0x100) = 0x11223344;
	set_desc(SEL(0), make_desc((ulong)area, 0xfff, 0x93, 4));
	load_fs(SEL(0));
	check_eq(fs_read(0x100), 0x11223344, "read by a base");
	fs_write(0x104, 0x55);
	check_eq(area[0x104], 0x55, "written by a base");
	/* The hidden part stays when the descriptor changes. */
	set_desc(SEL(0), make_desc(0, 0xfff, 0x93, 4));
	check_eq(fs_read(0x100), 0x11223344, "read after the descriptor changed");
	/* Base and offset wrap at 4 GiB. */
	set_desc(SEL(1), make_desc(0xfffff000, 0xfffff, 0x93, 0xc));
	load_fs(SEL(1));
	check_eq(fs_read((ulong)area + 0x1000 + 0x100), 0x11223344, "read over the wrap");
	/* The accessed bit is set by the load. */
	set_desc(SEL(2), make_desc(0, 0xfffff, 0x92, 0xc));
	load_fs(SEL(2));
	check_eq(gdt[SEL(2) / 8] >> 40 & 0xff, 0x93, "access byte after the load");
}

static void test_limits(void)
{
	known_on_tcg("segment limits are not checked");
	set_desc(SEL(0), make_desc((ulong)area, 0xfff, 0x93, 4));
	EXPECT_NO_TRAP(seg_read(SEL(0), 0xffc));
	EXPECT_TRAP_ERR(VEC_GP, 0, seg_read(SEL(0), 0xffd));
	EXPECT_TRAP_ERR(VEC_GP, 0, seg_write(SEL(0), 0x1000, 0));
	/* Expand-down: what is above the limit is inside. */
	set_desc(SEL(0), make_desc((ulong)area, 0xfff, 0x97, 4));
	EXPECT_TRAP_ERR(VEC_GP, 0, seg_read(SEL(0), 0xfff));
	EXPECT_NO_TRAP(seg_read(SEL(0), 0x1000));
	/* The stack segment's limit is #SS; the stack itself must stay inside. */
	set_desc(SEL(1), make_desc(0, 0xfff, 0x93, 0xc));
	EXPECT_TRAP_ERR(VEC_SS, 0, asm volatile("mov %0, %%ss; mov %%ss:0x2000000, %%eax"
						:: "r"(SEL(1)) : "eax"));
}

static void test_types(void)
{
	known_on_tcg("segment types are not checked on access");
	set_desc(SEL(0), make_desc((ulong)area, 0xfff, 0x91, 4));
	EXPECT_NO_TRAP(seg_read(SEL(0), 0));
	EXPECT_TRAP_ERR(VEC_GP, 0, seg_write(SEL(0), 0, 1));
	set_desc(SEL(0), make_desc((ulong)area, 0xfff, 0x9b, 4));
	EXPECT_NO_TRAP(seg_read(SEL(0), 0));
	EXPECT_TRAP_ERR(VEC_GP, 0, seg_write(SEL(0), 0, 1));
	EXPECT_TRAP_ERR(VEC_GP, 0, seg_read(0, 0));
}

static void test_loads(void)
{
	set_desc(SEL(0), make_desc(0, 0xfffff, 0x99, 0xc));	/* execute-only */
	EXPECT_TRAP_ERR(VEC_GP, SEL(0), load_fs(SEL(0)));
	set_desc(SEL(0), make_desc(0, 0xfffff, 0x13, 0xc));	/* not present */
	EXPECT_TRAP_ERR(VEC_NP, SEL(0), load_fs(SEL(0)));
	EXPECT_TRAP_ERR(VEC_SS, SEL(0), asm volatile("mov %0, %%ss" :: "r"(SEL(0))));
	EXPECT_TRAP_ERR(VEC_GP, TSS_SEL, load_fs(TSS_SEL));
	EXPECT_TRAP_ERR(VEC_GP, 0, asm volatile("mov %0, %%ss" :: "r"(0)));
	EXPECT_TRAP_ERR(VEC_GP, USER_DS & ~3, asm volatile("mov %0, %%ss" :: "r"(USER_DS)));
	EXPECT_TRAP_ERR(VEC_GP, KERNEL_CS, asm volatile("mov %0, %%ss" :: "r"(KERNEL_CS)));
	set_desc(SEL(0), make_desc(0, 0xfffff, 0x91, 0xc));	/* read-only */
	EXPECT_TRAP_ERR(VEC_GP, SEL(0), asm volatile("mov %0, %%ss" :: "r"(SEL(0))));
	EXPECT_NO_TRAP(load_fs(SEL(0)));
}

static void test_queries(void)
{
	u32 v;
	u8 z;

	set_desc(SEL(0), make_desc((ulong)area, 0x12345, 0xf3, 0xc));
	asm volatile("larl %2, %0; setz %1" : "=r"(v), "=q"(z) : "r"(SEL(0)));
	check(z && (v & 0xf0ff00) == 0xc0f300, "LAR gave %x, ZF %d", v, z);
	asm volatile("lsll %2, %0; setz %1" : "=r"(v), "=q"(z) : "r"(SEL(0)));
	check(z && v == 0x12345fff, "LSL gave %x, ZF %d", v, z);
	asm volatile("mov $7, %0; larl %2, %0; setz %1" : "=&r"(v), "=q"(z) : "r"(0xfff8));
	check(!z && v == 7, "LAR beyond the table gave %x, ZF %d", v, z);
	asm volatile("verr %w1; setz %0" : "=q"(z) : "r"(SEL(0)));
	check_eq(z, 1, "VERR of data");
	asm volatile("verw %w1; setz %0" : "=q"(z) : "r"(KERNEL_CS));
	check_eq(z, 0, "VERW of code");
	asm volatile("lsll %2, %0; setz %1" : "=r"(v), "=q"(z) : "r"(TSS_SEL));
	check(z && v == 103, "LSL of the TSS gave %u, ZF %d", v, z);
}

static void test_ldt(void)
{
	static u64 ldt[4];
	u16 sel;

	ldt[1] = make_desc((ulong)area, 0xfff, 0x93, 4);
	*(u32 *)area = 0x1dd;
	set_sys_desc(SEL(0), (ulong)ldt, sizeof(ldt) - 1, 0x82);
	asm volatile("lldt %w0" :: "r"(SEL(0)));
	asm volatile("sldt %0" : "=r"(sel));
	check_eq(sel, SEL(0), "SLDT");
	EXPECT_NO_TRAP(load_fs(8 | 4));
	check_eq(fs_read(0), 0x1dd, "read through the LDT");
	EXPECT_TRAP_ERR(VEC_GP, 0x24, load_fs(0x20 | 4));
	asm volatile("lldt %w0" :: "r"(0));
	EXPECT_TRAP_ERR(VEC_GP, 0xc, load_fs(8 | 4));
}

/* --- privilege --- */

asm(".pushsection .text\n"
	/* 0x4b is SEL(0) | 3, 0x53 is SEL(1) | 3. */
	"seg_user_gate: push $0x2222\n push $0x1111\n lcall $0x4b, $0\n int $0x80\n"
	"seg_gate: mov 8(%esp), %eax\n mov %cs, %ecx\n mov 12(%esp), %edx\n lret $8\n"
	"seg_user_conforming: lcall $0x53, $seg_conforming\n int $0x80\n"
	"seg_conforming: mov %cs, %ecx\n lret\n"
	"seg_user_far: lcall $0x0b, $seg_conforming\n int $0x80\n"
	"seg_user_popf: push $0x3202\n popf\n pushf\n pop %eax\n int $0x80\n"
	"seg_user_sgdt: sgdt -16(%esp)\n int $0x80\n"
	"seg_user_smsw: smsw %eax\n int $0x80\n"
	"seg_user_sysenter: mov %esp, %ecx\n mov $seg_sysexit_to, %edx\n sysenter\n"
	"seg_sysexit_to: mov %cs, %ecx\n int $0x80\n"
	"seg_sysenter: mov %cs, %ebx\n mov %esp, %esi\n pushf\n pop %edi\n sysexit\n"
	"seg_user_ss: mov %edi, %ss\n int $0x80\n"
	".popsection\n");
#define DECLARE(x) extern u8 x[]
DECLARE(seg_user_gate); DECLARE(seg_gate); DECLARE(seg_user_conforming); DECLARE(seg_user_far);
DECLARE(seg_user_popf); DECLARE(seg_user_sgdt); DECLARE(seg_user_smsw); DECLARE(seg_user_sysenter);
DECLARE(seg_sysenter); DECLARE(seg_user_ss);

static void test_call_gate(void)
{
	struct regs *r = &last_trap()->regs;
	u32 ip = (u32)seg_gate;

	/* Two parameters are copied to the inner stack. */
	set_desc(SEL(0), (ip & 0xffff) | KERNEL_CS << 16 | 2ull << 32 | 0xecull << 40 |
		 (u64)(ip >> 16) << 48);
	check_eq(user_run((ulong)seg_user_gate, 0, 0, 0), USER_TRAP, "CALL through a gate");
	check_eq(r->ax, 0x1111, "first parameter");
	check_eq(r->dx, 0x2222, "second parameter");
	check_eq(r->cx & 0xffff, KERNEL_CS, "CS inside");
	check_eq(r->sp, user_stack, "ESP after far RET 8");
	check_eq(r->cs & 0xffff, USER_CS32, "CS afterwards");
	/* DPL 0: not for users. */
	set_desc(SEL(0), (ip & 0xffff) | KERNEL_CS << 16 | 0x8cull << 40 | (u64)(ip >> 16) << 48);
	check_eq(user_run((ulong)seg_user_gate, 0, 0, 0), VEC_GP, "CALL through a gate of DPL 0");
	check_eq(last_trap()->error, SEL(0), "error code");
	set_desc(SEL(0), (ip & 0xffff) | KERNEL_CS << 16 | 0x6cull << 40 | (u64)(ip >> 16) << 48);
	check_eq(user_run((ulong)seg_user_gate, 0, 0, 0), VEC_NP, "CALL through an absent gate");
}

static void test_conforming(void)
{
	set_desc(SEL(1), make_desc(0, 0xfffff, 0x9f, 0xc));
	check_eq(user_run((ulong)seg_user_conforming, 0, 0, 0), USER_TRAP, "CALL of conforming code");
	check_eq(last_trap()->regs.cx & 0xffff, SEL(1) | 3, "CS inside");
	check_eq(user_run((ulong)seg_user_far, 0, 0, 0), VEC_GP, "CALL of kernel code");
	check_eq(last_trap()->error, KERNEL_CS, "error code");
}

static void test_user(void)
{
	check_eq(user_run((ulong)seg_user_popf, 0, 0, 0), USER_TRAP, "POPF");
	check_eq(last_trap()->regs.ax & (FLAG_IOPL | FLAG_IF), 0, "IOPL and IF set by user POPF");
	check_eq(user_run((ulong)seg_user_popf, 0, 0, FLAG_IOPL), USER_TRAP, "POPF with IOPL 3");
	check_eq(last_trap()->regs.ax & (FLAG_IOPL | FLAG_IF), FLAG_IOPL | FLAG_IF, "IF with IOPL 3");
	check_eq(user_run((ulong)seg_user_ss, KERNEL_DS, 0, 0), VEC_GP, "kernel segment in SS");
	check_eq(last_trap()->error, KERNEL_DS, "error code");
}

static void test_umip(void)
{
	check_eq(user_run((ulong)seg_user_sgdt, 0, 0, 0), USER_TRAP, "user SGDT");
	if (!HAS_UMIP) {
		skip("no UMIP");
		return;
	}
	write_cr4(read_cr4() | CR4_UMIP);
	check_eq(user_run((ulong)seg_user_sgdt, 0, 0, 0), VEC_GP, "user SGDT with UMIP");
	check_eq(user_run((ulong)seg_user_smsw, 0, 0, 0), VEC_GP, "user SMSW with UMIP");
	write_cr4(read_cr4() & ~(ulong)CR4_UMIP);
}

static void test_sysenter(void)
{
	struct regs *r = &last_trap()->regs;

	if (!HAS_SEP) {
		skip("no SYSENTER");
		return;
	}
	wrmsr(MSR_SYSENTER_CS, KERNEL_CS);
	wrmsr(MSR_SYSENTER_ESP, (ulong)area + sizeof(area));
	wrmsr(MSR_SYSENTER_EIP, (ulong)seg_sysenter);
	check_eq(user_run((ulong)seg_user_sysenter, 0, 0, FLAG_IF), USER_TRAP, "SYSENTER and SYSEXIT");
	check_eq(r->bx & 0xffff, KERNEL_CS, "CS inside");
	check_eq(r->si, (ulong)area + sizeof(area), "ESP inside");
	check_eq(r->di & (FLAG_IF | FLAG_VM), 0, "IF inside");
	check_eq(r->cx & 0xffff, USER_CS32, "CS after SYSEXIT");
	check_eq(r->sp, user_stack, "ESP after SYSEXIT");
	wrmsr(MSR_SYSENTER_CS, 0);
	check_eq(user_run((ulong)seg_user_sysenter, 0, 0, 0), VEC_GP, "SYSENTER with a null CS");
}

/* --- tasks --- */

asm(".pushsection .text\n"
	"task_jmp: incl task_runs\n str task_tr\n ljmp $0xc0, $0\n jmp task_jmp\n"
	"task_call: incl task_runs\n str task_tr\n pushf\n pop task_flags\n mov %cr0, %eax\n"
	" mov %eax, task_cr0\n clts\n iret\n jmp task_call\n"
	".popsection\n");
DECLARE(task_jmp);
DECLARE(task_call);
volatile u32 task_runs, task_flags, task_cr0;
volatile u16 task_tr;
static struct tss task;
static u8 task_stack[1024];

static void make_task(void *ip)
{
	memset(&task, 0, sizeof(task));
	task.eip = (u32)ip;
	task.esp = (u32)task_stack + sizeof(task_stack);
	task.eflags = FLAG_FIXED;
	task.cs = KERNEL_CS;
	task.ss = KERNEL_DS;
	task.es = KERNEL_DS;
	task.ds = KERNEL_DS;
	task.cr3 = read_cr3();
	task.iomap = sizeof(task);
	set_sys_desc(SEL(5), (ulong)&task, sizeof(task) - 1, 0x89);
	cpu_tss[0].cr3 = read_cr3();
	task_tr = 0;
	task_runs = 0;
}

/*
 * QEMU's SVM has no intercept for task switches, and under shadow paging the CPU
 * would load CR3 from the TSS by itself: not even a right hypervisor survives that.
 */
static bool no_tasks(void)
{
	if (!option("host") || !known_on_tcg("task switches are not intercepted"))
		return false;
	skip("QEMU's SVM does not intercept task switches");
	return true;
}

static u8 tss_type(u16 sel)
{
	return gdt[sel / 8] >> 40 & 0xff;
}

static void test_task_jmp(void)
{
	u32 keep = 0x1234, tr;

	if (no_tasks())
		return;
	make_task(task_jmp);
	asm volatile("ljmp %1, $0" : "+S"(keep) : "i"(SEL(5)) : "memory", "cc");
	check_eq(task_runs, 1, "runs of the task");
	check_eq(task_tr, SEL(5), "TR inside");
	check_eq(keep, 0x1234, "a register over the switch");
	asm volatile("str %0" : "=r"(tr));
	check_eq(tr & 0xffff, TSS_SEL, "TR afterwards");
	check_eq(tss_type(SEL(5)), 0x89, "type of the task left by JMP");
	check_eq(tss_type(TSS_SEL), 0x8b, "type of the current task");
	check_eq(read_cr0() & CR0_TS, CR0_TS, "CR0.TS");
	asm volatile("clts");
	/* Again: it goes on where it was. */
	asm volatile("ljmp %0, $0" :: "i"(SEL(5)) : "memory", "cc");
	check_eq(task_runs, 2, "runs of the task");
	asm volatile("clts");
	/* The current task is busy: no way to switch to it. */
	EXPECT_TRAP_ERR(VEC_GP, TSS_SEL, asm volatile("ljmp %0, $0" :: "i"(TSS_SEL) : "memory"));
}

static void test_task_call(void)
{
	if (no_tasks())
		return;
	make_task(task_call);
	asm volatile("lcall %0, $0" :: "i"(SEL(5)) : "memory", "cc");
	check_eq(task_runs, 1, "runs of the task");
	check(task_flags & FLAG_NT, "flags inside are %x, without NT", task_flags);
	check(task_cr0 & CR0_TS, "CR0 inside is %x, without TS", task_cr0);
	check_eq(task.link, TSS_SEL, "back link");
	check_eq(read_flags() & FLAG_NT, 0, "NT afterwards");
	check_eq(tss_type(SEL(5)), 0x89, "type of the task left by IRET");
	asm volatile("clts");
}

static void test_task_gate(void)
{
	if (no_tasks())
		return;
	make_task(task_call);
	idt[0x41] = (u64)SEL(5) << 16 | 0x85ull << 40;
	asm volatile("int $0x41" ::: "memory");
	check_eq(task_runs, 1, "runs of the task by INT");
	check(task_flags & FLAG_NT, "flags inside are %x, without NT", task_flags);
	/* A call gate's elder brother: a task gate in the GDT. */
	set_desc(SEL(6), (u64)SEL(5) << 16 | 0x85ull << 40);
	asm volatile("clts; lcall %0, $0" :: "i"(SEL(6)) : "memory", "cc");
	check_eq(task_runs, 2, "runs of the task by a gate in the GDT");
	asm volatile("clts");
	set_idt(0x41, default_entry(0x41), KERNEL_CS, 0x8e, 0);
}

static void test_task_faults(void)
{
	if (no_tasks())
		return;
	make_task(task_call);
	set_sys_desc(SEL(5), (ulong)&task, sizeof(task) - 1, 0x09);
	EXPECT_TRAP_ERR(VEC_NP, SEL(5), asm volatile("lcall %0, $0" :: "i"(SEL(5)) : "memory"));
	set_sys_desc(SEL(5), (ulong)&task, 0x66, 0x89);
	EXPECT_TRAP_ERR(VEC_TS, SEL(5), asm volatile("lcall %0, $0" :: "i"(SEL(5)) : "memory"));
}

const struct test guest_tests[] = {
	{ "bases", test_bases },
	{ "limits", test_limits },
	{ "types", test_types },
	{ "loads", test_loads },
	{ "queries", test_queries },
	{ "ldt", test_ldt },
	{ "call-gate", test_call_gate },
	{ "conforming", test_conforming },
	{ "user", test_user },
	{ "umip", test_umip },
	{ "sysenter", test_sysenter },
	{ "task-jmp", test_task_jmp },
	{ "task-call", test_task_call },
	{ "task-gate", test_task_gate },
	{ "task-faults", test_task_faults },
};

GUEST("segments32");
