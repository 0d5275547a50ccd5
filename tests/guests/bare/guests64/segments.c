// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segmentation as far as 64-bit mode has it: what is ignored, compatibility mode,
 * FS and GS, system calls, call gates, IRET, interrupt stacks.
 */
#include "mem.h"
#include "pt.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#define SEL(n) (SPARE_SEL + 8 * (n))
#define USER_VA 0x500000000000ul
/* Below 4 GiB, where the boot tables map nothing for users: for compatibility mode. */
#define LOW_VA 0x7fc00000ul

asm(".pushsection .text\n .balign 4096\n seg_page:\n"
	"seg_syscall: syscall\n mov %cs, %r14\n int $0x80\n"
	"seg_int: int $0x80\n"
	"seg_segs: mov %ds, %eax\n mov %es, %ecx\n mov %ss, %edx\n int $0x80\n"
	"seg_gs: mov %gs:0, %rax\n int $0x80\n"
	"seg_swapgs: swapgs\n int $0x80\n"
	"seg_sgdt: sgdt -16(%rsp)\n int $0x80\n"
	"seg_sldt: sldt %eax\n str %ecx\n smsw %edx\n int $0x80\n"
	"seg_popf: pushq $0x3202\n popf\n pushf\n pop %rax\n int $0x80\n"
	"seg_gate: rex.w lcall *(%rdi)\n int $0x80\n"
	"seg_fsgsbase: wrfsbase %rdi\n rdfsbase %rax\n mov %fs:0, %rcx\n int $0x80\n"
	".code32\n"
	"seg_compat: mov %esp, %eax\n mov %cs, %ecx\n push $0x1234\n pop %edx\n int $0x80\n"
	"seg_compat_syscall: syscall\n int $0x80\n"
	".code64\n"
	" .balign 4096\n"
	"seg_kernel_gate: mov %cs, %eax\n mov %rsp, %rbx\n mov 8(%rsp), %rcx\n rex.w lret\n"
	"seg_lstar: mov %rsp, %r12\n pushf\n pop %r13\n mov %cs, %ebx\n sysretq\n"
	"seg_cstar: mov $0xc, %ebx\n sysretl\n"
	".popsection\n");
#define DECLARE(x) extern u8 x[]
DECLARE(seg_page); DECLARE(seg_syscall); DECLARE(seg_int); DECLARE(seg_segs); DECLARE(seg_gs);
DECLARE(seg_swapgs); DECLARE(seg_sgdt); DECLARE(seg_sldt); DECLARE(seg_popf); DECLARE(seg_gate);
DECLARE(seg_fsgsbase); DECLARE(seg_compat); DECLARE(seg_compat_syscall); DECLARE(seg_kernel_gate);
DECLARE(seg_lstar); DECLARE(seg_cstar);

static struct space space;
static ulong old_cr3, data;

static ulong user(u8 *label)
{
	return USER_VA + (label - seg_page);
}

static void open_user(void)
{
	old_cr3 = read_cr3();
	pt_new(&space, PT_4LEVEL);
	data = (ulong)alloc_page();
	pt_map(&space, USER_VA, (ulong)seg_page, PT_U, 1);
	pt_map(&space, USER_VA + PAGE_SIZE, (ulong)alloc_page(), PT_U | PT_W, 1);
	pt_map(&space, USER_VA + 2 * PAGE_SIZE, data, PT_U | PT_W, 1);
	user_stack = USER_VA + 2 * PAGE_SIZE;
	write_cr3(space.root);
}

static void close_user(void)
{
	write_cr3(old_cr3);
}

#define WITH_USER(name)				\
static void body_##name(void);			\
static void test_##name(void)			\
{						\
	open_user();				\
	body_##name();				\
	close_user();				\
}						\
static void body_##name(void)

/* --- what 64-bit mode ignores --- */

static void test_flat(void)
{
	u64 v = 0x1122334455667788, r;

	/* Base and limit of DS and ES are nothing; null selectors are usable. */
	set_desc(SEL(0), make_desc(0x12345, 0, 0x93, 0));
	asm volatile("mov %1, %%ds; mov %1, %%es; mov (%2), %0; mov %3, %%ds; mov %3, %%es"
		     : "=&r"(r) : "r"(SEL(0)), "r"(&v), "r"(KERNEL_DS) : "memory");
	check_eq(r, v, "read through a DS with base and limit");
	asm volatile("mov %1, %%ds; mov (%2), %0; mov %3, %%ds"
		     : "=&r"(r) : "r"(0), "r"(&v), "r"(KERNEL_DS) : "memory");
	check_eq(r, v, "read through a null DS");
	asm volatile("mov %1, %%ss; push %2; pop %0; mov %3, %%ss"
		     : "=&r"(r) : "r"(0), "r"(v), "r"(KERNEL_DS) : "memory");
	check_eq(r, v, "stack with a null SS at CPL 0");
}

static void test_fs_gs(void)
{
	u64 a = 0xaaaa, b = 0xbbbb, r;

	wrmsr(MSR_FS_BASE, (ulong)&a);
	wrmsr(MSR_GS_BASE, (ulong)&b);
	wrmsr(MSR_KERNEL_GS_BASE, (ulong)&a);
	asm volatile("mov %%fs:0, %0" : "=r"(r));
	check_eq(r, a, "FS");
	asm volatile("mov %%gs:0, %0" : "=r"(r));
	check_eq(r, b, "GS");
	asm volatile("swapgs; mov %%gs:0, %0; swapgs" : "=r"(r));
	check_eq(r, a, "GS after SWAPGS");
	check_eq(rdmsr(MSR_KERNEL_GS_BASE), (ulong)&a, "kernel GS base");
	asm volatile("swapgs");
	check_eq(rdmsr(MSR_GS_BASE), (ulong)&a, "GS base after SWAPGS");
	check_eq(rdmsr(MSR_KERNEL_GS_BASE), (ulong)&b, "kernel GS base after SWAPGS");
	/* Loading a selector takes the 32-bit base of the descriptor. */
	set_desc(SEL(0), make_desc((ulong)&b, 0xfffff, 0x93, 0xc));
	asm volatile("mov %1, %%fs; mov %%fs:0, %0" : "=r"(r) : "r"(SEL(0)));
	check_eq(r, b, "FS by its descriptor");
	check_eq(rdmsr(MSR_FS_BASE), (ulong)&b, "FS base after the load");
	asm volatile("mov %0, %%fs; mov %0, %%gs" :: "r"(0));
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
}

WITH_USER(fsgsbase)
{
	*(volatile u64 *)data = 0x7777;
	if (!HAS_FSGSBASE) {
		skip("no FSGSBASE");
		return;
	}
	check_eq(user_run(user(seg_fsgsbase), USER_VA + 2 * PAGE_SIZE, 0, 0), VEC_UD,
		 "WRFSBASE with CR4.FSGSBASE clear");
	write_cr4(read_cr4() | CR4_FSGSBASE);
	check_eq(user_run(user(seg_fsgsbase), USER_VA + 2 * PAGE_SIZE, 0, 0), USER_TRAP, "WRFSBASE");
	check_eq(last_trap()->regs.ax, USER_VA + 2 * PAGE_SIZE, "RDFSBASE");
	check_eq(last_trap()->regs.cx, 0x7777, "read through FS");
	check_eq(rdmsr(MSR_FS_BASE), USER_VA + 2 * PAGE_SIZE, "FS base MSR");
	known_on_tcg("bases that are not canonical are taken");
	EXPECT_TRAP_ERR(VEC_GP, 0, asm volatile("wrgsbase %0" :: "r"(0x0000800000000000ul)));
	write_cr4(read_cr4() & ~(ulong)CR4_FSGSBASE);
	wrmsr(MSR_FS_BASE, 0);
	wrmsr(MSR_GS_BASE, 0);
}

/* --- system calls --- */

static void syscall_on(void)
{
	wrmsr(MSR_STAR, (u64)(USER_CS32 & ~3) << 48 | (u64)3 << 48 | (u64)KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (ulong)seg_lstar);
	wrmsr(MSR_CSTAR, (ulong)seg_cstar);
	wrmsr(MSR_FMASK, FLAG_IF | FLAG_DF | FLAG_AC);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
}

static void syscall_off(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_SCE);
}

WITH_USER(syscall)
{
	struct regs *r = &last_trap()->regs;

	check_eq(user_run(user(seg_syscall), 0, 0, 0), VEC_UD, "SYSCALL with EFER.SCE clear");
	syscall_on();
	check_eq(user_run(user(seg_syscall), 0, 0, FLAG_IF | FLAG_DF | FLAG_CF), USER_TRAP,
		 "SYSCALL and SYSRET");
	check_eq(r->bx & 0xffff, KERNEL_CS, "CS inside");
	check_eq(r->r12, user_stack, "RSP inside is the user's");
	/* CF should still be set; QEMU's TCG drops the arithmetic flags here. */
	check_eq(r->r13 & (FLAG_IF | FLAG_DF), 0, "masked flags inside");
	check_eq(r->r11 & (FLAG_IF | FLAG_DF | FLAG_CF), FLAG_IF | FLAG_DF | FLAG_CF, "R11");
	check_eq(r->cx, user(seg_syscall) + 2, "RCX");
	check_eq(r->r14 & 0xffff, USER_CS64, "CS afterwards");
	check_eq(r->ss & 0xffff, USER_DS, "SS afterwards");
	check_eq(r->flags & (FLAG_IF | FLAG_DF | FLAG_CF), FLAG_IF | FLAG_DF | FLAG_CF,
		 "flags afterwards");
	syscall_off();
}

WITH_USER(user_instructions)
{
	struct regs *r = &last_trap()->regs;

	check_eq(user_run(user(seg_swapgs), 0, 0, 0), VEC_GP, "user SWAPGS");
	check_eq(user_run(user(seg_popf), 0, 0, 0), USER_TRAP, "user POPF");
	check_eq(r->ax & (FLAG_IOPL | FLAG_IF), 0, "IOPL and IF");
	check_eq(user_run(user(seg_popf), 0, 0, FLAG_IOPL), USER_TRAP, "user POPF with IOPL 3");
	check_eq(r->ax & (FLAG_IOPL | FLAG_IF), FLAG_IOPL | FLAG_IF, "IOPL and IF");
	check_eq(user_run(user(seg_sldt), 0, 0, 0), USER_TRAP, "user SLDT, STR, SMSW");
	check_eq(r->cx & 0xffff, TSS_SEL, "STR");
	if (!HAS_UMIP)
		return;
	write_cr4(read_cr4() | CR4_UMIP);
	check_eq(user_run(user(seg_sldt), 0, 0, 0), VEC_GP, "user SLDT with UMIP");
	check_eq(user_run(user(seg_sgdt), 0, 0, 0), VEC_GP, "user SGDT with UMIP");
	write_cr4(read_cr4() & ~(ulong)CR4_UMIP);
}

/* --- gates and stacks --- */

WITH_USER(call_gate)
{
	struct regs *r = &last_trap()->regs;
	struct __attribute__((packed)) { u64 off; u16 sel; } far = { 0, SEL(1) | 3 };
	u64 ip = (ulong)seg_kernel_gate;

	/* 16 bytes; no parameters; SS inside is null. */
	set_desc(SEL(1), (ip & 0xffff) | KERNEL_CS << 16 | 0xecull << 40 |
			 (ip >> 16 & 0xffff) << 48);
	set_desc(SEL(2), ip >> 32);
	memcpy((void *)data, &far, sizeof(far));
	check_eq(user_run(user(seg_gate), USER_VA + 2 * PAGE_SIZE, 0, 0), USER_TRAP,
		 "CALL through a 64-bit gate");
	check_eq(r->ax & 0xffff, KERNEL_CS, "CS inside");
	check_eq(r->bx, cpu_tss[0].rsp[0] - 32, "RSP inside");
	check_eq(r->cx & 0xffff, USER_CS64, "CS pushed");
	check_eq(r->sp, user_stack, "RSP afterwards");
	/* A gate to 32-bit code is none here. */
	set_desc(SEL(1), (ip & 0xffff) | FLAT_CS32 << 16 | 0xecull << 40 |
			 (ip >> 16 & 0xffff) << 48);
	check_eq(user_run(user(seg_gate), USER_VA + 2 * PAGE_SIZE, 0, 0), VEC_GP,
		 "gate to 32-bit code");
	check_eq(last_trap()->error, FLAT_CS32, "error code");
}

static ulong seen_sp, seen_ss, saved_sp;

static bool note_stack(struct regs *r)
{
	ulong ss;

	asm volatile("mov %%ss, %0" : "=r"(ss));
	seen_sp = (ulong)r;
	seen_ss = ss & 0xffff;
	saved_sp = r->sp;
	return true;
}

/* The stack is aligned to 16 and SS:RSP pushed without a change of level, too. */
static void test_interrupt_stack(void)
{
	static u8 ist[4096] __attribute__((aligned(16)));
	ulong sp;
	int i;

	if (known_on_bochs_svm("an INT that is cut short shows as an earlier event")) {
		skip("Bochs' AMD-V reports an earlier event when INT is cut short");
		return;
	}
	set_handler(0x41, note_stack);
	for (i = 0; i < 16; i++) {
		asm volatile("mov %%rsp, %%rbx; sub %1, %%rsp; mov %%rsp, %0; int $0x41; mov %%rbx, %%rsp"
			     : "=&r"(sp) : "r"((ulong)i) : "rbx", "memory", "cc");
		check_eq(saved_sp, sp, "saved RSP");
		/* r, then 15 registers, vector, error, and five words of the frame. */
		check_eq((seen_sp + sizeof(struct regs)) & 15, 0, "alignment of the frame");
	}
	cpu_tss[0].ist[2] = (ulong)ist + sizeof(ist);
	set_idt(0x41, default_entry(0x41), KERNEL_CS, 0x8e, 3);
	asm volatile("int $0x41" ::: "memory");
	check_eq(seen_sp + sizeof(struct regs), (ulong)ist + sizeof(ist), "top of the interrupt stack");
	set_idt(0x41, default_entry(0x41), KERNEL_CS, 0x8e, 0);
	set_handler(0x41, NULL);
}

/* --- compatibility mode --- */

WITH_USER(compat)
{
	struct regs *r = &last_trap()->regs;
	/* Entries of the boot tables are shared, so the low half gets its own. */
	ulong pml4 = space.root, low = (ulong)alloc_page(), pdpt;

	pdpt = *(volatile u64 *)pml4 & 0xfffffffff000;
	memcpy((void *)low, (void *)pdpt, PAGE_SIZE);
	/* 1 to 2 GiB: nothing of the kernel is there. */
	*(volatile u64 *)(low + 8) = 0;
	*(volatile u64 *)pml4 = low | PT_P | PT_W | PT_U;
	pt_map(&space, LOW_VA, (ulong)seg_page, PT_U, 1);
	pt_map(&space, LOW_VA + PAGE_SIZE, (ulong)alloc_page(), PT_U | PT_W, 1);
	write_cr3(space.root);
	check_eq(user_run_frame(LOW_VA + (seg_compat - seg_page), USER_CS32, FLAG_FIXED,
				LOW_VA + 2 * PAGE_SIZE, USER_DS, 0, 0), USER_TRAP, "32-bit user code");
	check_eq(r->ax, LOW_VA + 2 * PAGE_SIZE, "ESP");
	check_eq(r->cx & 0xffff, USER_CS32, "CS");
	check_eq(r->dx, 0x1234, "PUSH and POP");
	syscall_on();
	if (cpu_is_amd()) {
		check_eq(user_run_frame(LOW_VA + (seg_compat_syscall - seg_page), USER_CS32,
					FLAG_FIXED, LOW_VA + 2 * PAGE_SIZE, USER_DS, 0, 0),
			 USER_TRAP, "SYSCALL of 32-bit code");
		check_eq(r->bx, 0xc, "CSTAR was entered");
		check_eq(r->cs & 0xffff, USER_CS32, "CS afterwards");
	} else {
		check_eq(user_run_frame(LOW_VA + (seg_compat_syscall - seg_page), USER_CS32,
					FLAG_FIXED, LOW_VA + 2 * PAGE_SIZE, USER_DS, 0, 0),
			 VEC_UD, "SYSCALL of 32-bit code");
	}
	syscall_off();
}

/* --- IRET --- */

WITH_USER(iret_faults)
{
	ulong ip = user(seg_int);

	check_eq(user_run_frame(ip, USER_CS64, FLAG_FIXED, user_stack, USER_DS, 0, 0), USER_TRAP, "IRET");
	check_eq(user_run_frame(ip, 0, FLAG_FIXED, user_stack, USER_DS, 0, 0), VEC_GP, "IRET to a null CS");
	check_eq(user_run_frame(ip, USER_CS64, FLAG_FIXED, user_stack, 0, 0, 0), VEC_GP,
		 "IRET to CPL 3 with a null SS");
	check_eq(user_run_frame(ip, KERNEL_DS, FLAG_FIXED, user_stack, KERNEL_DS, 0, 0), VEC_GP,
		 "IRET to a data segment");
	check_eq(last_trap()->error, KERNEL_DS, "error code");
	check_eq(user_run_frame(ip, USER_CS64, FLAG_FIXED, user_stack, KERNEL_DS, 0, 0), VEC_GP,
		 "IRET with the kernel's SS");
	check_eq(user_run_frame(ip, KERNEL_CS | 3, FLAG_FIXED, user_stack, USER_DS, 0, 0), VEC_GP,
		 "IRET to kernel code as user");
	set_desc(SEL(0), make_desc(0, 0xfffff, 0x7b, 0xa));
	check_eq(user_run_frame(ip, SEL(0) | 3, FLAG_FIXED, user_stack, USER_DS, 0, 0), VEC_NP,
		 "IRET to absent code");
	/* NT: there are no tasks to return to. */
	EXPECT_TRAP_ERR(VEC_GP, 0, {
		write_flags(FLAG_NT | FLAG_FIXED);
		asm volatile("iretq");
	});
	write_flags(FLAG_FIXED);
}

/* Segment registers that user mode must not keep are made null. */
WITH_USER(iret_segments)
{
	struct regs *r = &last_trap()->regs;

	asm volatile("mov %0, %%ds; mov %0, %%es" :: "r"(KERNEL_DS));
	check_eq(user_run(user(seg_segs), 0, 0, 0), USER_TRAP, "user code");
	check_eq(r->ax & 0xffff, 0, "DS");
	check_eq(r->cx & 0xffff, 0, "ES");
	check_eq(r->dx & 0xffff, USER_DS, "SS");
}

static void test_tables(void)
{
	struct dtr d = { 0, 0 };
	u16 sel;

	asm volatile("sgdt %0" : "=m"(d));
	check(d.base == (ulong)gdt && d.limit == gdt_end - (u8 *)gdt - 1, "SGDT: %lx %x",
	      d.base, d.limit);
	asm volatile("sidt %0" : "=m"(d));
	check(d.base == (ulong)idt && d.limit == 4095, "SIDT: %lx %x", d.base, d.limit);
	asm volatile("str %0" : "=r"(sel));
	check_eq(sel, TSS_SEL, "STR");
	check_eq(gdt[TSS_SEL / 8] >> 40 & 0xff, 0x8b, "type of the TSS");
	/* A busy TSS is refused. */
	EXPECT_TRAP_ERR(VEC_GP, TSS_SEL, asm volatile("ltr %w0" :: "r"(TSS_SEL)));
	/* The LDT's descriptor has 16 bytes. */
	set_sys_desc(SEL(1), 0x123456789000, 0xfff, 0x82);
	EXPECT_NO_TRAP(asm volatile("lldt %w0" :: "r"(SEL(1))));
	asm volatile("sldt %0" : "=r"(sel));
	check_eq(sel, SEL(1), "SLDT");
	EXPECT_TRAP(VEC_PF, asm volatile("mov %0, %%fs" :: "r"(8 | 4)));
	check_eq(last_trap()->cr2, 0x123456789008, "address of the LDT's descriptor");
	asm volatile("lldt %w0" :: "r"(0));
}

const struct test guest_tests[] = {
	{ "flat", test_flat },
	{ "fs-gs", test_fs_gs },
	{ "fsgsbase", test_fsgsbase },
	{ "syscall", test_syscall },
	{ "user-instructions", test_user_instructions },
	{ "call-gate", test_call_gate },
	{ "interrupt-stack", test_interrupt_stack },
	{ "compat", test_compat },
	{ "iret-faults", test_iret_faults },
	{ "iret-segments", test_iret_segments },
	{ "tables", test_tables },
};

GUEST("segments");
