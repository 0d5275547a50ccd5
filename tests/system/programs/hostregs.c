// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host has in registers is still there after a guest has run: the thread that
 * ran it, and one that had the CPU in between, look at all that user space can see of
 * them, and through the msr driver at the rest. The guest has other values in all.
 *
 *	hostregs nested|shadow
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"

#define MEMORY		(2 * MIB)
#define CODE		0x8000UL
#define STACK		0x10000UL
#define EXITS		200
#define PREEMPTIONS	200
#define LDT_DS		0x07	/* selectors of entries of the LDT */
#define LDT_ES		0x0f
#define LDT_GS		0x17
#define UNUSED_PORT	0x80

/* Of MSRs that hosts use; those that a CPU has not are left out. */
static const struct {
	uint32_t index;
	const char *name;
} msrs[] = {
	{ 0x174, "SYSENTER_CS" },
	{ 0x175, "SYSENTER_ESP" },
	{ 0x176, "SYSENTER_EIP" },
	{ 0x1d9, "DEBUGCTL" },
	{ 0x277, "PAT" },
	{ 0xda0, "XSS" },
	{ 0xc0000080, "EFER" },
	{ 0xc0000081, "STAR" },
	{ 0xc0000082, "LSTAR" },
	{ 0xc0000083, "CSTAR" },
	{ 0xc0000084, "SFMASK" },
	{ 0xc0000101, "GS_BASE" },
	{ 0xc0000102, "KERNEL_GS_BASE" },
	{ 0xc0000103, "TSC_AUX" },
	{ 0xc0010117, "VM_HSAVE_PA" },
};

/* What the guest has; an MSR that it cannot have is left out. */
static const struct umbra_msr guest_msrs[] = {
	{ .index = 0x174, .value = 0x1230 },
	{ .index = 0x175, .value = 0x1111111111 },
	{ .index = 0x176, .value = 0x2222222222 },
	{ .index = 0x277, .value = 0x0606060606060606 },
	{ .index = 0xc0000081, .value = 0x0013000800000000 },
	{ .index = 0xc0000082, .value = 0x3333333333 },
	{ .index = 0xc0000083, .value = 0x4444444444 },
	{ .index = 0xc0000084, .value = 0x55555 },
	{ .index = 0xc0000102, .value = 0x6666666666 },
	{ .index = 0xc0000103, .value = 0x77777777 },
};

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

struct registers {
	uint64_t msr[ARRAY_SIZE(msrs)];
	struct table gdt, idt;
	uint64_t ldt, tr, ds, es, fs, gs, gs_data, tsc_aux, xcr0, pkru, cpu;
};

static struct vm vm;
static bool has_msr[ARRAY_SIZE(msrs)], has_tsc_aux, has_xsave, has_pkeys;
static int msr_fd;
static volatile bool quit;
static volatile uint64_t watched;
static uint64_t *gs_data;

/*
 * RDI: bit 0: XCR0 can be written, bit 1: PKRU can be. RSI: leave by port 1 each time
 * round, or never.
 */
asm(".pushsection .rodata\n"
	"guest_begin:\n"
	"	test $1, %dil\n"
	"	jz 1f\n"
	"	xor %ecx, %ecx\n"
	"	xor %edx, %edx\n"
	"	mov $3, %eax\n"
	"	xsetbv\n"
	"1:	test $2, %dil\n"
	"	jz 2f\n"
	"	xor %ecx, %ecx\n"
	"	xor %edx, %edx\n"
	"	mov $0x55555554, %eax\n"
	"	wrpkru\n"
	"2:	mov $0x7654321, %eax\n"
	"	mov %rax, %cr2\n"
	"	mov %rax, %dr0\n"
	"	mov %rax, %dr3\n"
	"3:	pause\n"
	"	mov $-1, %rbx\n"
	"	mov %rbx, %rbp\n"
	"	mov %rbx, %r8\n"
	"	mov %rbx, %r9\n"
	"	mov %rbx, %r10\n"
	"	mov %rbx, %r11\n"
	"	mov %rbx, %r12\n"
	"	mov %rbx, %r13\n"
	"	mov %rbx, %r14\n"
	"	mov %rbx, %r15\n"
	"	xor %eax, %eax\n"
	"	test %rsi, %rsi\n"
	"	jz 3b\n"
	"	out %al, $1\n"
	"	jmp 3b\n"
	"guest_end:\n"
	".popsection\n");
extern const uint8_t guest_begin[], guest_end[];

static uint64_t read_msr(uint32_t index, bool *there)
{
	uint64_t value = 0;

	*there = pread(msr_fd, &value, sizeof(value), index) == sizeof(value);
	return value;
}

static void look(struct registers *r)
{
	uint32_t lo, hi, aux;
	bool there;
	size_t i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		if (has_msr[i])
			r->msr[i] = read_msr(msrs[i].index, &there);
	/* Where these are not for user space the kernel answers, the same each time. */
	asm volatile("sgdt %0" : "=m" (r->gdt));
	asm volatile("sidt %0" : "=m" (r->idt));
	asm volatile("sldt %0" : "=r" (r->ldt));
	asm volatile("str %0" : "=r" (r->tr));
	asm volatile("mov %%ds, %0" : "=r" (r->ds));
	asm volatile("mov %%es, %0" : "=r" (r->es));
	asm volatile("mov %%fs, %0" : "=r" (r->fs));
	asm volatile("mov %%gs, %0" : "=r" (r->gs));
	asm volatile("mov %%gs:0, %0" : "=r" (r->gs_data));
	/* From a descriptor: without an LDT this faults. */
	asm volatile("mov %0, %%es" : : "r" (LDT_ES));
	/* From the GDT, by the kernel's convention the CPU's number. */
	asm volatile("lsl %1, %0" : "=r" (r->cpu) : "r" (0x7bUL));
	if (has_tsc_aux) {
		asm volatile("rdtscp" : "=a" (lo), "=d" (hi), "=c" (aux));
		r->tsc_aux = aux;
	}
	if (has_xsave) {
		asm volatile("xgetbv" : "=a" (lo), "=d" (hi) : "c" (0));
		r->xcr0 = lo | (uint64_t)hi << 32;
	}
	if (has_pkeys) {
		asm volatile("rdpkru" : "=a" (lo), "=d" (hi) : "c" (0));
		r->pkru = lo;
	}
	/* The permission bitmap lies at the end of the TSS: by its limit this faults or not. */
	outb(0, UNUSED_PORT);
}

static bool differs(const char *name, uint64_t before, uint64_t after)
{
	if (before == after)
		return false;
	printf("%s: %#lx before, %#lx after\n", name, before, after);
	return true;
}

#define DIFFERS(field)	differs(#field, before->field, after->field)

static bool same(const struct registers *before, const struct registers *after)
{
	bool bad = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		bad |= differs(msrs[i].name, before->msr[i], after->msr[i]);
	bad |= DIFFERS(gdt.limit) | DIFFERS(gdt.base) | DIFFERS(idt.limit) | DIFFERS(idt.base) |
	       DIFFERS(ldt) | DIFFERS(tr) | DIFFERS(ds) | DIFFERS(es) | DIFFERS(fs) | DIFFERS(gs) |
	       DIFFERS(gs_data) | DIFFERS(tsc_aux) | DIFFERS(xcr0) | DIFFERS(pkru) | DIFFERS(cpu);
	return !bad;
}

/* Segments by an LDT, I/O ports, a protection key's rights: all that a thread can have. */
static void own_registers(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct user_desc desc = {
			.entry_number = i,
			.base_addr = i == 2 ? (uintptr_t)gs_data : 0,
			.limit = 0xfffff,
			.seg_32bit = 1,
			.limit_in_pages = 1,
			.useable = 1,
		};

		if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)))
			die("modify_ldt");
	}
	if (ioperm(UNUSED_PORT, 1, 1))
		die("ioperm");
	if (has_pkeys && pkey_alloc(0, PKEY_DISABLE_WRITE) < 0)
		die("pkey_alloc");
	asm volatile("mov %0, %%ds" : : "r" (LDT_DS));
	asm volatile("mov %0, %%es" : : "r" (LDT_ES));
	asm volatile("mov %0, %%gs" : : "r" (LDT_GS));
}

static int watch(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uintptr_t)&watched,
		.bp_len = HW_BREAKPOINT_LEN_8,
		.exclude_kernel = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);

	if (fd < 0)
		die("perf_event_open of a breakpoint");
	return fd;
}

static uint64_t hits(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		die("read of a breakpoint's counter");
	return n;
}

/* After the vCPU's thread was preempted: nothing of the guest's, all of one's own. */
static void *neighbour(void *arg)
{
	struct registers before, after;
	int fd = watch();
	unsigned int i;
	bool *ok = arg;

	own_registers();
	look(&before);
	*ok = true;
	for (i = 0; i < PREEMPTIONS && *ok; i++) {
		sched_yield();
		watched = i;
		look(&after);
		*ok = same(&before, &after) && !differs("hits of a breakpoint", i + 1, hits(fd));
	}
	close(fd);
	quit = true;
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void set_up(bool exits)
{
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	const struct vcpu *vcpu = &vm.vcpu[0];
	size_t i;

	build_tables(vm.ram, MEMORY);
	memcpy(vm.ram + CODE, guest_begin, guest_end - guest_begin);
	enter_long_mode(vcpu, CODE, STACK);
	if (call(vcpu->fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	st.regs.gpr[UMBRA_RDI] = has_xsave | has_pkeys << 1;
	st.regs.gpr[UMBRA_RSI] = exits;
	if (has_xsave)
		st.sregs.cr4 |= 1 << 18;
	if (has_pkeys)
		st.sregs.cr4 |= 1 << 22;
	st.sregs.gdtr = (struct umbra_table) { .base = LONG_GDT, .limit = 0x17 };
	st.sregs.idtr = (struct umbra_table) { .base = 0x123456789, .limit = 0x2f };
	st.sregs.seg[UMBRA_FS].base = 0x888888888;
	st.sregs.seg[UMBRA_GS].base = 0x999999999;
	st.sregs.seg[UMBRA_LDTR] = (struct umbra_segment) {
		.selector = 0x30, .base = 0xaaaaaaaaa, .limit = 0xf, .attr = 0x82,
	};
	st.sregs.seg[UMBRA_TR] = (struct umbra_segment) {
		.selector = 0x40, .base = 0xbbbbbbbbb, .limit = 0x67, .attr = 0x8b,
	};
	if (call(vcpu->fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
	for (i = 0; i < ARRAY_SIZE(guest_msrs); i++) {
		struct umbra_msr msr = guest_msrs[i];
		struct umbra_msrs one = { .count = 1, .entries = (uintptr_t)&msr };

		if (call(vcpu->fd, UMBRA_SET_MSRS, &one) < 0 && errno != EINVAL)
			die("UMBRA_SET_MSRS of %#x", msr.index);
	}
}

static void find_out(void)
{
	unsigned int a, b, c, d;
	bool there;
	size_t i;

	__cpuid(0x80000001, a, b, c, d);
	has_tsc_aux = d >> 27 & 1;
	__cpuid(1, a, b, c, d);
	has_xsave = c >> 27 & 1;
	if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
		has_pkeys = c >> 4 & 1;
	msr_fd = open("/dev/cpu/0/msr", O_RDONLY);
	if (msr_fd < 0)
		die("/dev/cpu/0/msr");
	for (i = 0; i < ARRAY_SIZE(msrs); i++) {
		read_msr(msrs[i].index, &there);
		has_msr[i] = there;
	}
	gs_data = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		       -1, 0);
	if (gs_data == MAP_FAILED)
		die("mmap");
	*gs_data = 0x5ca1ab1e;
}

/*
 * Runs the guest with FS by the descriptor that GS has; FS is the C library's, which
 * must not be entered meanwhile. Returns what is read by it afterwards.
 */
static uint64_t run_with_fs(const struct vcpu *vcpu, uint64_t *selector)
{
	uint64_t data, thread_base;
	long rax, rdi, rsi, ret;

	if (syscall(SYS_arch_prctl, ARCH_GET_FS, &thread_base))
		die("arch_prctl");
	do {
		rax = SYS_ioctl;
		rdi = vcpu->fd;
		rsi = UMBRA_RUN;
		asm volatile("mov %[fs], %%fs\n"
			     "	syscall\n"
			     "	mov %%fs, %[selector]\n"
			     "	mov %%fs:0, %[data]\n"
			     "	mov %%rax, %[ret]\n"
			     "	mov %[base], %%rsi\n"
			     "	mov %[set_fs], %%edi\n"
			     "	mov %[prctl], %%eax\n"
			     "	syscall\n"
			     : "+a" (rax), "+D" (rdi), "+S" (rsi), [ret] "=&r" (ret),
			       [selector] "=&r" (*selector), [data] "=&r" (data)
			     : "d" (0L), [fs] "r" (LDT_GS), [base] "r" (thread_base),
			       [set_fs] "i" (ARCH_SET_FS), [prctl] "i" (SYS_arch_prctl)
			     : "rcx", "r11", "memory");
	} while (ret == -EINTR);
	errno = -ret;
	if (ret)
		die("UMBRA_RUN");
	return data;
}

/* Exits to user space, of which the thread that runs the guest sees all. */
static bool test_exits(const struct registers *before)
{
	const struct vcpu *vcpu = &vm.vcpu[0];
	struct registers after;
	unsigned int i;
	uint64_t fs;
	bool ok;
	int fd;

	set_up(true);
	ok = !differs("data by FS", *gs_data, run_with_fs(vcpu, &fs)) & !differs("FS", LDT_GS, fs);
	fd = watch();
	for (i = 0; i < EXITS && ok; i++) {
		int ret = run(vcpu);

		if (ret || vcpu->run->exit_reason != UMBRA_EXIT_IO) {
			printf("the guest ended: %s, exit reason %u\n", strerror(-ret),
			       vcpu->run->exit_reason);
			return false;
		}
		watched = i;
		look(&after);
		ok = same(before, &after) && !differs("hits of a breakpoint", i + 1, hits(fd));
	}
	close(fd);
	return ok;
}

/* A guest that does not exit, while another thread wants the same CPU. */
static bool test_preemption(const struct registers *before)
{
	static const struct itimerval often = { { 0, 50000 }, { 0, 50000 } }, never;
	struct registers after;
	pthread_t thread;
	bool ok;

	set_up(false);
	if (pthread_create(&thread, NULL, neighbour, &ok))
		die("pthread_create");
	setitimer(ITIMER_REAL, &often, NULL);
	while (!quit) {
		if (call(vm.vcpu[0].fd, UMBRA_RUN, NULL) != -EINTR)
			die("UMBRA_RUN");
	}
	setitimer(ITIMER_REAL, &never, NULL);
	look(&after);
	pthread_join(thread, NULL);
	return same(before, &after) && ok;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct registers before;
	cpu_set_t cpu;

	if (argc != 2) {
		fprintf(stderr, "usage: hostregs nested|shadow\n");
		return 2;
	}
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		die("sched_setaffinity");
	sigaction(SIGALRM, &action, NULL);
	find_out();
	open_device();
	vm_create(&vm, paging_from(argv[1]), MEMORY, 1);
	own_registers();
	look(&before);
	check(test_exits(&before), "registers after exits to user space");
	check(test_preemption(&before), "registers after preemption");
	vm_destroy(&vm);
	return finish();
}
