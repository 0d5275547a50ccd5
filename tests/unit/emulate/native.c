// SPDX-License-Identifier: GPL-2.0-only
/*
 * One instruction on the real CPU.
 *
 * A signal handler's return sets every register at once. So: raise a signal, keep
 * the interrupted context, put the test's registers into the frame and return;
 * the instruction runs, its exception (or the trap of the single step behind it)
 * comes back as another signal; its frame has the result, and gets the kept
 * context in exchange. The handlers run on a stack of their own, as the test may
 * have put anything into RSP.
 */
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>
#include <asm/ldt.h>
#include <asm/prctl.h>

#include "harness.h"

#define STACK_SIZE	(256 * 1024)

/* Layout of the extended state in a signal frame (Linux: struct _xstate) */
#define XSTATE_XMM	160
#define XSTATE_MAGIC	464
#define XSTATE_BV	512
#define XSTATE_YMM	576
#define XSTATE_MAGIC1	0x46505853

#define LDT(i)		((i) << 3 | 7)

#define FLAGS_STATUS	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | \
			 X86_EFLAGS_SF | X86_EFLAGS_OF | X86_EFLAGS_DF | X86_EFLAGS_AC | \
			 X86_EFLAGS_TF)

u8 initial_data[DATA_SIZE + HIGH_SIZE];
u8 *code_alias;
bool native_la57, native_avx, native_compat;

static struct cpu *current_cpu;
static struct outcome *current_out;
static bool current_step;
static gregset_t kept;

/* Registers of a signal frame in encoding order */
static const int greg_order[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

#define ATTR(type)	((type) | UMBRA_EMUL_SEG_S | 3 << UMBRA_EMUL_SEG_DPL_SHIFT | \
			 UMBRA_EMUL_SEG_P)
#define B32		UMBRA_EMUL_SEG_DB

struct segment segments[NR_SEGMENTS] = {
	[SEG_CODE32] = { "code32", { CODE_BASE, 0x1fff, LDT(SEG_CODE32), ATTR(11) | B32 } },
	[SEG_CODE16] = { "code16", { CODE_BASE, 0x1fff, LDT(SEG_CODE16), ATTR(11) } },
	[SEG_DATA32] = { "data32", { DATA_BASE, 0x2fff, LDT(SEG_DATA32), ATTR(3) | B32 } },
	[SEG_DATA16] = { "data16", { DATA_BASE, 0x2fff, LDT(SEG_DATA16), ATTR(3) } },
	[SEG_DOWN32] = { "down32", { DATA_BASE, 0x07ff, LDT(SEG_DOWN32), ATTR(7) | B32 } },
	[SEG_DOWN16] = { "down16", { DATA_BASE, 0x07ff, LDT(SEG_DOWN16), ATTR(7) } },
	[SEG_READONLY] = { "readonly", { DATA_BASE, 0x2fff, LDT(SEG_READONLY), ATTR(1) | B32 } },
	[SEG_EXECONLY] = { "execonly", { CODE_BASE, 0x1fff, LDT(SEG_EXECONLY), ATTR(9) | B32 } },
	[SEG_READCODE] = { "readcode", { DATA_BASE, 0x2fff, LDT(SEG_READCODE), ATTR(11) | B32 } },
	[SEG_ABSENT] = { "absent", { DATA_BASE, 0x2fff, LDT(SEG_ABSENT),
				     ATTR(3) & ~UMBRA_EMUL_SEG_P } },
	[SEG_SMALL] = { "small", { DATA_BASE + 0x10, 0x0123, LDT(SEG_SMALL), ATTR(3) | B32 } },
};

/* The test may have set EFLAGS.AC, with which no C code can live. */
#define ENTRY(name)						\
	asm(".globl " #name "_entry\n"				\
	    #name "_entry:\n\t"					\
	    "pushfq\n\t"					\
	    "andl $~0x40000, (%rsp)\n\t"			\
	    "popfq\n\t"						\
	    "jmp " #name "_handler\n");				\
	void name##_entry(int sig, siginfo_t *info, void *context)

ENTRY(begin);
ENTRY(end);

static u32 load_u32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void vectors_to_frame(const struct cpu *cpu, u8 *fp)
{
	u64 bv;
	int i;

	for (i = 0; i < 16; i++)
		memcpy(fp + XSTATE_XMM + 16 * i, cpu->vec[i], 16);
	if (load_u32(fp + XSTATE_MAGIC) != XSTATE_MAGIC1)
		return;
	memcpy(&bv, fp + XSTATE_BV, sizeof(bv));
	bv |= 2;
	if (native_avx) {
		bv |= 4;
		for (i = 0; i < 16; i++)
			memcpy(fp + XSTATE_YMM + 16 * i, cpu->vec[i] + 16, 16);
	}
	memcpy(fp + XSTATE_BV, &bv, sizeof(bv));
}

static void vectors_from_frame(struct cpu *cpu, const u8 *fp)
{
	u64 bv = 3;
	int i;

	if (load_u32(fp + XSTATE_MAGIC) == XSTATE_MAGIC1)
		memcpy(&bv, fp + XSTATE_BV, sizeof(bv));
	for (i = 0; i < 16; i++) {
		memset(cpu->vec[i], 0, 32);
		if (bv & 2)
			memcpy(cpu->vec[i], fp + XSTATE_XMM + 16 * i, 16);
		if (native_avx && (bv & 4))
			memcpy(cpu->vec[i] + 16, fp + XSTATE_YMM + 16 * i, 16);
	}
}

__attribute__((used, visibility("hidden")))
void begin_handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	struct cpu *cpu = current_cpu;
	int i;

	(void)sig;
	(void)info;
	memcpy(kept, regs, sizeof(kept));
	for (i = 0; i < 16; i++)
		regs[greg_order[i]] = cpu->gpr[i];
	regs[REG_RIP] = cpu->rip;
	regs[REG_EFL] = (kept[REG_EFL] & ~(u64)FLAGS_STATUS) | (cpu->rflags & FLAGS_STATUS) |
			(current_step ? X86_EFLAGS_TF : 0);
	regs[REG_CSGSFS] = cpu->seg[UMBRA_EMUL_CS] |
			   (u64)cpu->seg[UMBRA_EMUL_SS] << 48;
	vectors_to_frame(cpu, (u8 *)uc->uc_mcontext.fpregs);
}

__attribute__((used, visibility("hidden")))
void end_handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	struct cpu *cpu = current_cpu;
	int i;

	(void)info;
	if (!cpu) {
		/* Not the test's: let it happen again, and be fatal. */
		signal(sig, SIG_DFL);
		return;
	}
	for (i = 0; i < 16; i++)
		cpu->gpr[i] = regs[greg_order[i]];
	cpu->rip = regs[REG_RIP];
	cpu->rflags = regs[REG_EFL];
	cpu->seg[UMBRA_EMUL_CS] = regs[REG_CSGSFS];
	cpu->seg[UMBRA_EMUL_SS] = (u64)regs[REG_CSGSFS] >> 48;
	asm volatile("movw %%ds, %0" : "=m" (cpu->seg[UMBRA_EMUL_DS]));
	asm volatile("movw %%es, %0" : "=m" (cpu->seg[UMBRA_EMUL_ES]));
	asm volatile("movw %%fs, %0" : "=m" (cpu->seg[UMBRA_EMUL_FS]));
	asm volatile("movw %%gs, %0" : "=m" (cpu->seg[UMBRA_EMUL_GS]));
	vectors_from_frame(cpu, (u8 *)uc->uc_mcontext.fpregs);

	current_out->vector = regs[REG_TRAPNO];
	current_out->error = regs[REG_ERR];
	current_out->address = regs[REG_CR2];
	if (sig == SIGTRAP)
		current_out->vector = -1;
	memcpy(regs, kept, sizeof(kept));
}

/**
 * native_run() - run the instruction at cpu->rip on the CPU
 * @cpu:	registers before, and after
 * @step:	trap behind it; else it runs into what comes next, an INT3
 * @out:	how it ended
 */
void native_run(struct cpu *cpu, bool step, struct outcome *out)
{
	bool own_gs = cpu->seg[UMBRA_EMUL_GS];
	u16 ds, es, zero = 0;

	asm volatile("movw %%ds, %0" : "=m" (ds));
	asm volatile("movw %%es, %0" : "=m" (es));
	current_cpu = cpu;
	current_out = out;
	current_step = step;
	memset(out, 0, sizeof(*out));

	if (own_gs)
		asm volatile("movw %0, %%gs" : : "m" (cpu->seg[UMBRA_EMUL_GS]));
	asm volatile("movw %0, %%ds" : : "m" (cpu->seg[UMBRA_EMUL_DS]));
	asm volatile("movw %0, %%es" : : "m" (cpu->seg[UMBRA_EMUL_ES]));
	syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
	asm volatile("movw %0, %%ds" : : "m" (ds));
	asm volatile("movw %0, %%es" : : "m" (es));
	asm volatile("movw %0, %%gs" : : "m" (zero));
	syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
	current_cpu = NULL;
	/* POPF may have set NT or ID, which a signal's return can't clear. */
	asm volatile("pushfq\n\t"
		     "andl $~0x204000, (%%rsp)\n\t"
		     "popfq" : : : "memory", "cc");
}

static void map(unsigned long address, unsigned long size, int prot, int flags, int fd)
{
	void *p = mmap((void *)address, size, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

	if (p != (void *)address) {
		perror("emulate: mmap of the test's memory");
		exit(1);
	}
}

/* Code is mapped twice, so that no instruction changes itself. */
static void map_code(void)
{
	int fd = memfd_create("code", 0);

	if (fd < 0 || ftruncate(fd, CODE_SIZE)) {
		perror("emulate: memory for code");
		exit(1);
	}
	map(CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd);
	code_alias = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (code_alias == MAP_FAILED) {
		perror("emulate: memory for code");
		exit(1);
	}
	close(fd);
}

static bool set_ldt(unsigned int i)
{
	const struct umbra_emul_seg *s = &segments[i].seg;
	struct user_desc d = {
		.entry_number = i,
		.base_addr = s->base,
		.limit = s->limit,
		.seg_32bit = !!(s->attr & UMBRA_EMUL_SEG_DB),
		.contents = (s->attr >> 2) & 3,
		.read_exec_only = !(s->attr & 2),
		.seg_not_present = !(s->attr & UMBRA_EMUL_SEG_P),
		.useable = 1,
	};

	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) == 0;
}

/* Does the kernel let us make segments, and is its own for 32-bit code there? */
static bool probe_compat(void)
{
	unsigned int i, rights = 0;

	for (i = 0; i < NR_SEGMENTS; i++) {
		if (!set_ldt(i))
			return false;
	}
	asm("larl %1, %0" : "+r" (rights) : "r" (0x23));
	return rights & 0x8000;
}

/* With five levels the address 2^47 is canonical, though nothing is mapped there. */
static bool probe_la57(void)
{
	struct cpu cpu = { .seg = { 0, 0x33, 0x2b } };
	struct outcome out;

	memcpy(code_alias, "\x8a\x00", 2);	/* mov (%rax), %al */
	cpu.gpr[UMBRA_EMUL_RAX] = 1UL << 47;
	cpu.rip = CODE_BASE;
	native_run(&cpu, true, &out);
	return out.vector == X86_TRAP_PF;
}

static bool probe_avx(void)
{
	unsigned int a, b, c, d, lo, hi;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX))
		return false;
	asm("xgetbv" : "=a" (lo), "=d" (hi) : "c" (0));
	return (lo & 6) == 6;
}

/**
 * native_setup() - map the memory, install the handlers, make the segments
 */
void native_setup(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_size = STACK_SIZE };
	unsigned int i;

	map_code();
	map(DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (HIGH_SIZE)
		map(HIGH_BASE, HIGH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	stack.ss_sp = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL)) {
		perror("emulate: signal stack");
		exit(1);
	}
	sa.sa_sigaction = begin_entry;
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_sigaction = end_entry;
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);

	native_compat = probe_compat();
	syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
	native_la57 = probe_la57();
	native_avx = probe_avx();

	for (i = 0; i < sizeof(initial_data); i++)
		initial_data[i] = random_u64();
	memory_load(initial_data);
	mprotect((void *)(DATA_BASE + DATA_RW), DATA_SIZE - DATA_RW, PROT_READ);
}

/* Copy what tests may change out of and into memory: the writable pages. */
void memory_save(u8 *copy)
{
	memcpy(copy, (void *)DATA_BASE, DATA_SIZE);
	memcpy(copy + DATA_SIZE, (void *)HIGH_BASE, HIGH_SIZE);
}

void memory_load(const u8 *copy)
{
	static bool locked;

	memcpy((void *)DATA_BASE, copy, locked ? DATA_RW : DATA_SIZE);
	memcpy((void *)HIGH_BASE, copy + DATA_SIZE, HIGH_SIZE);
	locked = true;
}
