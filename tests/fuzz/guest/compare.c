// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same guest in two VMs, one nested, one shadow, step by step: each step is a few
 * instructions, after which registers must be the same, and in the end memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"

#define CASES		16	/* of a round, in the same two VMs */
#define STEPS		24	/* of a case */
#define EXITS		64	/* of a step */
#define SLICE		20000	/* microseconds that a step may take */

/* One of the two. */
struct side {
	struct vm vm;
	struct umbra_state state;	/* after the step */
	int result;
	uint32_t reason;
	uint64_t detail;		/* port, or address, of the last exit */
	unsigned int exits;
};

static unsigned long steps, ends[UMBRA_EXIT_COUNT], vectors[256];
static unsigned long endless, reserved, erratic, rounds;

/* XSAVE's area as it is after RESET. */
static struct umbra_xsave xsave;

static void must(int result, const char *what)
{
	if (result) {
		errno = -result;
		die("%s", what);
	}
}

/* The step that is being made, and those of the case before it. */
static struct step {
	uint8_t code[1024];
	unsigned int used;
	const char *what;
	struct umbra_regs regs;
	bool user;
	unsigned int port;	/* how it ended */
} step, history[STEPS];

static void emit(const void *bytes, unsigned int n)
{
	memcpy(step.code + step.used, bytes, n);
	step.used += n;
}

#define EMIT(...)						\
do {								\
	static const uint8_t bytes_[] = { __VA_ARGS__ };	\
								\
	emit(bytes_, sizeof(bytes_));				\
} while (0)

/* Accesses to what RBX and RSI point to; they change no other pointer. */
static void emit_access(const struct play *p)
{
	bool wide = p->format >= FORMAT_4;

	switch (below(20)) {
	case 0 ... 2:
		EMIT(0x8b, 0x03);			/* mov (%ebx), %eax */
		break;
	case 3 ... 5:
		EMIT(0x89, 0x0b);			/* mov %ecx, (%ebx) */
		break;
	case 6:
		EMIT(0x8a, 0x06);			/* mov (%esi), %al */
		break;
	case 7:
		EMIT(0x88, 0x26);			/* mov %ah, (%esi) */
		break;
	case 8:
		EMIT(0x01, 0x0e);			/* add %ecx, (%esi) */
		break;
	case 9:
		EMIT(0xf0, 0x0f, 0xb1, 0x0b);		/* lock cmpxchg %ecx, (%ebx) */
		break;
	case 10:
		EMIT(0xf0, 0x0f, 0xc1, 0x06);		/* lock xadd %eax, (%esi) */
		break;
	case 11:
		EMIT(0xff, 0x33, 0x58);			/* push (%ebx); pop %eax */
		break;
	case 12:
		EMIT(0x50, 0x8f, 0x03);			/* push %eax; pop (%ebx) */
		break;
	case 13:
		EMIT(0x0f, 0xab, 0x03);			/* bts %eax, (%ebx) */
		break;
	case 14:
		if (wide)
			EMIT(0x48, 0x89, 0xdf, 0xa4);	/* mov %rbx, %rdi; movsb */
		else
			EMIT(0x89, 0xdf, 0xa4);
		break;
	case 15:
		EMIT(0xff, 0xd3);			/* call *%ebx, where RET may be */
		break;
	case 16:
		EMIT(0xff, 0xd6);
		break;
	case 17:
		EMIT(0x0f, 0x6f, 0x03, 0x0f, 0x7f, 0x06); /* movq (%ebx), %mm0; movq %mm0, (%esi) */
		break;
	case 18:
		EMIT(0x0f, 0x18, 0x0b);			/* prefetcht0 (%ebx) */
		break;
	default:
		if (wide)
			EMIT(0x48, 0x87, 0x03);		/* xchg %rax, (%rbx) */
		else
			EMIT(0x87, 0x03);
	}
}

static void emit_accesses(const struct play *p)
{
	unsigned int n = 1 + below(3);

	while (n--)
		emit_access(p);
}

/* Everything, with global pages. R8, where there is one, is what CR4 is to be. */
static void emit_flush(const struct play *p)
{
	if (p->format >= FORMAT_4) {
		EMIT(0x4c, 0x89, 0xc1);			/* mov %r8, %rcx */
		EMIT(0x48, 0x81, 0xf1, 0x80, 0, 0, 0);	/* xor $PGE, %rcx */
		EMIT(0x0f, 0x22, 0xe1);			/* mov %rcx, %cr4 */
		EMIT(0x41, 0x0f, 0x22, 0xe0);		/* mov %r8, %cr4 */
	} else {
		EMIT(0x0f, 0x20, 0xe1);			/* mov %cr4, %ecx */
		EMIT(0x81, 0xf1, 0x80, 0, 0, 0);
		EMIT(0x0f, 0x22, 0xe1);
		EMIT(0x81, 0xf1, 0x80, 0, 0, 0);
		EMIT(0x0f, 0x22, 0xe1);
	}
	EMIT(0x0f, 0x20, 0xd9);				/* mov %cr3, %ecx */
	EMIT(0x0f, 0x22, 0xd9);
}

/*
 * What an entry of a leaf table translates: EDI by way of the first entry above it, and
 * the same behind all others, which may lead to the same table.
 */
static void emit_invlpg(const struct play *p)
{
	uint32_t offset;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		offset = i * (p->entry_size == 4 ? PAGE << 10 : PAGE << 9);
		EMIT(0x0f, 0x01, 0xbf);			/* invlpg offset(%edi) */
		emit(&offset, sizeof(offset));
	}
}

/* Writes RDX, an entry, to where RBP points. */
static void emit_store(const struct play *p, unsigned int level, uint64_t old, uint64_t new)
{
	bool wide = p->format >= FORMAT_4;

	if (!wide && p->entry_size == 8) {
		/* PAE: two halves, in either order; a half alone is an entry, too. */
		step.regs.gpr[UMBRA_RDX] = (uint32_t)new;
		step.regs.gpr[UMBRA_RCX] = new >> 32;
		step.regs.gpr[UMBRA_RAX] = (uint32_t)old;
		switch (below(3)) {
		case 0:
			EMIT(0x89, 0x55, 0, 0x89, 0x4d, 4);
			break;
		case 1:
			EMIT(0x89, 0x4d, 4, 0x87, 0x55, 0);
			break;
		default:
			/* cmpxchg8b compares with what is likely there. */
			step.regs.gpr[UMBRA_RBX] = (uint32_t)new;
			step.regs.gpr[UMBRA_RDX] = old >> 32;
			EMIT(0xf0, 0x0f, 0xc7, 0x4d, 0);
		}
		return;
	}
	step.regs.gpr[UMBRA_RAX] = old;
	switch (below(8)) {
	case 0 ... 2:
		if (wide)
			EMIT(0x48);
		EMIT(0x89, 0x55, 0);			/* mov %rdx, (%rbp) */
		break;
	case 3:
		if (wide)
			EMIT(0x48);
		EMIT(0x87, 0x55, 0);			/* xchg */
		break;
	case 4:
		EMIT(0xf0);
		if (wide)
			EMIT(0x48);
		EMIT(0x0f, 0xb1, 0x55, 0);		/* lock cmpxchg */
		break;
	case 5:
		/* P, W, U, A, D; a table does not become a page: its address may be odd. */
		step.regs.gpr[UMBRA_RDX] = (new & ~0x80ULL) | (old & 0x80);
		EMIT(0x88, 0x55, 0);			/* mov %dl, (%rbp) */
		break;
	case 6:
		/* A, D or W alone. */
		if (level == 1)
			EMIT(0x0f, 0xba, 0x75, 0, 5);	/* btrl $5, (%rbp) */
		if (one_in(2))
			EMIT(0x0f, 0xba, 0x75, 0, 6);
		if (one_in(2))
			EMIT(0x0f, 0xba, 0x7d, 0, 1);	/* btcl $1 */
		break;
	default:
		EMIT(0x52, 0x8f, 0x45, 0);		/* push %rdx; pop (%rbp) */
	}
}

/*
 * Writes RDX to where RBP points, again and again, and uses what RBX points to: by an
 * instruction that is not executed in software, so that each time the table is given up,
 * or, where it translates the store itself, becomes loose.
 */
static void emit_stores(const struct play *p)
{
	unsigned int start;

	EMIT(0xdb, 0xe3, 0x52);				/* fninit; push %rdx */
	EMIT(0x41, 0xb9, 8, 0, 0, 0);			/* mov $8, %r9d */
	start = step.used;
	EMIT(0xdf, 0x2c, 0x24, 0xdf, 0x7d, 0);		/* fildll (%rsp); fistpll (%rbp) */
	emit_flush(p);
	EMIT(0x8b, 0x33);				/* mov (%rbx), %esi */
	EMIT(0x41, 0xff, 0xc9);				/* dec %r9d */
	EMIT(0x75);					/* jnz */
	step.code[step.used] = start - step.used - 1;
	step.used++;
}

/* An entry of a table changes; then what it translated may be flushed, and is used. */
static void make_table_step(const struct play *p)
{
	const struct play_table *t = &p->table[below(p->tables)];
	unsigned int i = below(t->entries);
	uint64_t at = t->gpa + i * p->entry_size, old = 0, new = play_entry(p, t->level);
	uint64_t span =
		p->entry_size == 4 ? PAGE << 10 * (t->level - 1) : PAGE << 9 * (t->level - 1);
	static const uint64_t flips[] = { 1, 2, 4, 0x40, 0x20 };
	bool foreign = p->format >= FORMAT_4 && one_in(8);

	step.what = "table";
	memcpy(&old, p->ram + at, p->entry_size);
	if (one_in(4))
		new = old ^ flips[below(t->level == 1 ? 5 : 4)];
	step.regs.gpr[UMBRA_RBP] =
		p->format >= FORMAT_4 && has_1g && one_in(4) ? 0x80000000 + at : at;
	step.regs.gpr[UMBRA_RDX] = new;
	/* Once with the old entry, which should then be in the TLB. */
	step.regs.gpr[UMBRA_RBX] = t->gva + i * span + below(PAGE / 8) * 8;
	step.regs.gpr[UMBRA_RDI] = t->level == 1 ? p->table[0].gva + i * PAGE : t->gva;
	if (one_in(4))
		EMIT(0x8b, 0x0b);			/* mov (%ebx), %ecx */
	if (foreign)
		emit_stores(p);
	else
		emit_store(p, t->level, old, new);
	if (t->level == 1 && one_in(2))
		emit_invlpg(p);
	else
		emit_flush(p);
	if (one_in(4))
		return;
	if (p->format != FORMAT_PAE && one_in(2))
		step.regs.gpr[UMBRA_RSI] = step.regs.gpr[UMBRA_RBX];
	emit_accesses(p);
}

static void make_control_step(const struct play *p)
{
	static const uint64_t flips[] = { 1ULL << 20, 1ULL << 21 };

	step.what = "control registers";
	switch (below(4)) {
	case 0:
		EMIT(0x0f, 0x20, 0xc0, 0x35, 0, 0, 1, 0, 0x0f, 0x22, 0xc0); /* CR0 ^= WP */
		break;
	case 1:
		/* CR4 ^= SMEP or SMAP; what R8 says of CR4 follows. */
		if (p->format >= FORMAT_4)
			step.regs.gpr[UMBRA_R8] ^= flips[below(2)];
		else
			EMIT(0x0f, 0x20, 0xe0, 0x0f, 0xba, 0xf8, 20, 0x0f, 0x22, 0xe0);
		break;
	case 2:
		step.regs.gpr[UMBRA_RDX] = p->root[below(2)];
		EMIT(0x0f, 0x22, 0xda);			/* mov %edx, %cr3 */
		break;
	default:
		if (p->pke) {
			/* wrpkru */
			step.regs.gpr[UMBRA_RAX] = random64() & random64() & 0xffffffff;
			step.regs.gpr[UMBRA_RCX] = 0;
			step.regs.gpr[UMBRA_RDX] = 0;
			EMIT(0x0f, 0x01, 0xef);
		} else {
			EMIT(0x0f, 0x01, 0xcb);		/* stac */
		}
	}
	emit_flush(p);
	emit_accesses(p);
}

static void make_soup_step(const struct play *p)
{
	step.what = "soup";
	step.used += soup(step.code + step.used, 256, 1 + below(6),
			  p->format >= FORMAT_4 ? SOUP_64 : SOUP_32,
			  SOUP_COMMON | (one_in(4) ? SOUP_VECTOR : 0));
}

static void make_step(const struct play *p, const struct umbra_state *now)
{
	unsigned int i;

	memset(&step, 0, sizeof(step));
	step.what = "accesses";
	for (i = 0; i < UMBRA_NR_GPRS; i++)
		step.regs.gpr[i] = one_in(2) ? play_gva(p) :
				   one_in(2) ? PLAY_DATA + below(64 * PAGE) :
					       some_value();
	step.regs.gpr[UMBRA_RBX] = play_gva(p);
	step.regs.gpr[UMBRA_RSI] =
		one_in(3) ? step.regs.gpr[UMBRA_RBX] + below(64) * 8 : play_gva(p);
	step.regs.gpr[UMBRA_RDI] = play_gva(p);
	if (one_in(2)) {
		/* Where RET is. */
		step.regs.gpr[UMBRA_RBX] &= ~63ULL;
		step.regs.gpr[UMBRA_RSI] &= ~63ULL;
	}
	step.regs.gpr[UMBRA_R8] = now->sregs.cr4;
	step.user = one_in(2);
	step.regs.rflags = 2 | (one_in(3) ? 1 << 18 : 0);
	switch (below(8)) {
	case 0 ... 2:
		emit_accesses(p);
		break;
	case 3 ... 5:
		step.user = false;
		make_table_step(p);
		break;
	case 6:
		step.user = false;
		make_control_step(p);
		break;
	default:
		step.user = !one_in(8);
		make_soup_step(p);
	}
	if (step.user)
		EMIT(0xcd, PLAY_END);
	else
		EMIT(0xe6, PLAY_DONE);
	EMIT(0xf4);
	if (p->format < FORMAT_4)
		for (i = 0; i < UMBRA_NR_GPRS; i++)
			step.regs.gpr[i] = i < 8 ? (uint32_t)step.regs.gpr[i] : 0;
}

/* From the handler, or wherever the last step has ended, to the step's code. */
static void enter_step(struct side *s, const struct play *p)
{
	uint64_t code = step.user ? PLAY_USER : PLAY_CODE;
	struct umbra_state st = { .groups = UMBRA_STATE_REGS, .regs = step.regs };
	bool wide = p->format >= FORMAT_4;
	uint64_t frame[5] = { PLAY_USER, 0x1b, step.regs.rflags, PLAY_USER + 2 * PAGE - 64, 0x23 };
	unsigned int i;

	memset(s->vm.ram + PLAY_STACK - PAGE, 0, PAGE);
	memcpy(s->vm.ram + code, step.code, step.used);
	st.regs.gpr[UMBRA_RSP] = PLAY_STACK - 128;
	st.regs.rip = code;
	if (step.user) {
		/* By an IRET that the supervisor's code page begins with, elsewhere. */
		uint64_t at = PLAY_CODE + 0x800, sp = PLAY_STACK - 256;

		memcpy(s->vm.ram + at, wide ? "\x48\xcf" : "\xcf", 2);
		for (i = 0; i < 5; i++) {
			if (wide)
				((uint64_t *)(s->vm.ram + sp))[i] = frame[i];
			else
				((uint32_t *)(s->vm.ram + sp))[i] = frame[i];
		}
		st.regs.rip = at;
		st.regs.gpr[UMBRA_RSP] = sp;
		st.regs.rflags = 2;
	}
	must(call(s->vm.vcpu[0].fd, UMBRA_SET_STATE, &st), "UMBRA_SET_STATE");
}

/* What a device would answer, if there were one. */
static void answer(volatile struct umbra_run *run)
{
	switch (run->exit_reason) {
	case UMBRA_EXIT_MMIO:
		if (!run->mmio.is_write)
			memcpy((void *)run->mmio.data, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
		break;
	case UMBRA_EXIT_IO:
		if (run->io.direction == UMBRA_IO_IN)
			memset((uint8_t *)run + UMBRA_RUN_IO_OFFSET, 0x5a,
			       run->io.size * run->io.count);
		break;
	}
}

/* Is the step at its end: at a handler's OUT, or where it ends itself? */
static bool step_ended(volatile struct umbra_run *run)
{
	return run->exit_reason == UMBRA_EXIT_IO && run->io.direction == UMBRA_IO_OUT &&
	       run->io.size == 1 && run->io.count == 1 && run->io.port < 256;
}

static bool run_side(struct side *s)
{
	volatile struct umbra_run *run = s->vm.vcpu[0].run;

	for (; s->exits < EXITS; s->exits++) {
		s->result = call(s->vm.vcpu[0].fd, UMBRA_RUN, NULL);
		s->reason = s->result ? UMBRA_EXIT_NONE : run->exit_reason;
		if (!run_plausible(s->result, s->reason))
			return false;
		if (s->result)
			break;
		/* All exits, in their order, are part of what is compared. */
		s->detail = s->detail * 31 + s->reason;
		if (s->reason == UMBRA_EXIT_IO)
			s->detail = s->detail * 31 + run->io.port;
		else if (s->reason == UMBRA_EXIT_MMIO)
			s->detail = s->detail * 31 + run->mmio.gpa + run->mmio.is_write;
		else
			break;
		if (step_ended(run))
			break;
		answer(run);
	}
	memset(&s->state, 0, sizeof(s->state));
	s->state.groups = UMBRA_STATE_ALL;
	must(call(s->vm.vcpu[0].fd, UMBRA_GET_STATE, &s->state), "UMBRA_GET_STATE");
	return true;
}

static void print_state(const struct side *s)
{
	const struct umbra_state *st = &s->state;
	int i;

	printf("%s: result %d, reason %u, %u exits, port %u\n", s->vm.paging ? "shadow" : "nested",
	       s->result, s->reason, s->exits, s->vm.vcpu[0].run->io.port);
	for (i = 0; i < UMBRA_NR_GPRS; i++)
		printf("%016lx%c", (unsigned long)st->regs.gpr[i], i % 8 == 7 ? '\n' : ' ');
	printf("rip %llx rflags %llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx cs %x events %x %u\n",
	       st->regs.rip, st->regs.rflags, st->sregs.cr0, st->sregs.cr2, st->sregs.cr3,
	       st->sregs.cr4, st->sregs.efer, st->sregs.seg[UMBRA_CS].selector, st->events.flags,
	       st->events.exception_vector);
}

static void print_step(const struct step *s)
{
	unsigned int i;

	printf("%s, %s, code", s->what, s->user ? "user" : "supervisor");
	for (i = 0; i < s->used; i++)
		printf(" %02x", s->code[i]);
	printf("\n  rax %llx rcx %llx rdx %llx rbx %llx rbp %llx rsi %llx rdi %llx rflags %llx, port %u\n",
	       s->regs.gpr[0], s->regs.gpr[1], s->regs.gpr[2], s->regs.gpr[3], s->regs.gpr[5],
	       s->regs.gpr[6], s->regs.gpr[7], s->regs.rflags, s->port);
}

/* Where the two addresses that it used lead by the tables. */
static void print_translations(const struct side *s)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct umbra_translate tr = { .gva = step.regs.gpr[i ? UMBRA_RSI : UMBRA_RBX] };
		int ret = call(s->vm.vcpu[0].fd, UMBRA_TRANSLATE, &tr);

		printf("%llx: %d, gpa %llx, error %x\n", tr.gva, ret, tr.gpa, tr.error);
	}
}

static bool same_state(const struct side *a, const struct side *b)
{
	if (a->result != b->result || a->reason != b->reason || a->detail != b->detail)
		return false;
	/* After a triple fault registers are not defined. */
	return a->reason == UMBRA_EXIT_SHUTDOWN || !memcmp(&a->state, &b->state, sizeof(a->state));
}

/*
 * QEMU does not set RF in the flags that a fault pushes; an injected fault has it, as a
 * CPU's has. The frame of the last step is all that there is of the stack.
 */
static void forget_rf(struct side *s)
{
	uint32_t *p = (uint32_t *)(s->vm.ram + PLAY_STACK - PAGE),
		 *end = (uint32_t *)(s->vm.ram + PLAY_STACK);

	while (p < end)
		*p++ &= ~0x10000U;
}

/* QEMU sets A in the directory pointers of PAE paging, where a CPU has no such bit. */
static void forget_pdpte_bits(struct side *s, const struct play *p)
{
	unsigned int i;

	for (i = 0; i < 8 && p->format == FORMAT_PAE; i++)
		((uint64_t *)(s->vm.ram + p->root[i / 4]))[i % 4] &= ~0x20ULL;
}

/* Has a reserved bit been found? QEMU's error codes are wrong then. */
static bool reserved_bits(const struct side *s)
{
	uint64_t sp = s->state.regs.gpr[UMBRA_RSP];

	return s->reason == UMBRA_EXIT_IO && s->vm.vcpu[0].run->io.port == 14 &&
	       sp >= PLAY_STACK - PAGE && sp < PLAY_STACK && s->vm.ram[sp] & 8;
}

static bool same_memory(struct side *side)
{
	forget_rf(&side[0]);
	forget_rf(&side[1]);
	return !memcmp(side[0].vm.ram, side[1].vm.ram, RAM);
}

static void print_memory(const struct side *a, const struct side *b)
{
	unsigned int shown = 0;
	size_t i;

	for (i = 0; i < RAM && shown < 16; i += 8) {
		uint64_t x = *(uint64_t *)(a->vm.ram + i), y = *(uint64_t *)(b->vm.ram + i);

		if (x != y) {
			printf("memory at %zx: %lx and %lx\n", i, x, y);
			shown++;
		}
	}
}

enum outcome { GOES_ON, STOPPED, SKIPPED, DIFFERENT, WRONG };

static enum outcome one_step(struct side *side, const struct play *p)
{
	int i;

	make_step(p, &side[0].state);
	for (i = 0; i < 2; i++) {
		enter_step(&side[i], p);
		side[i].detail = 0;
		side[i].exits = 0;
		alarm_in(SLICE);
		if (!run_side(&side[i]))
			return WRONG;
		alarm_in(0);
	}
	steps++;
	if (side[0].result == -EINTR && side[1].result == -EINTR) {
		/* The two have been stopped anywhere. */
		endless++;
		return SKIPPED;
	}
	for (i = 0; i < 2; i++) {
		if (side[i].result != -EINTR)
			continue;
		/* Slow, or stuck? It is given a hundred times as long. */
		alarm_in(100 * SLICE);
		if (!run_side(&side[i]))
			return WRONG;
		alarm_in(0);
	}
	if (reserved_bits(&side[0]) || reserved_bits(&side[1])) {
		reserved++;
		return SKIPPED;
	}
	forget_pdpte_bits(&side[0], p);
	forget_pdpte_bits(&side[1], p);
	if (!same_state(&side[0], &side[1]) ||
	    memcmp(side[0].vm.ram + PLAY_TABLES, side[1].vm.ram + PLAY_TABLES,
		   PLAY_TABLE_PAGES * PAGE))
		return DIFFERENT;
	if (side[0].result) {
		ends[UMBRA_EXIT_NONE]++;
		return STOPPED;
	}
	if (side[0].reason != UMBRA_EXIT_IO) {
		ends[side[0].reason]++;
		return STOPPED;
	}
	if (!step_ended(side[0].vm.vcpu[0].run)) {
		endless++;
		return STOPPED;
	}
	step.port = side[0].vm.vcpu[0].run->io.port & 255;
	vectors[step.port]++;
	/* Handlers run in the supervisor's segments; anything else is soup's work. */
	return side[0].state.sregs.seg[UMBRA_CS].selector == 0x08 ? GOES_ON : STOPPED;
}

/* Without what steps before have left behind, but for what the two VMs cache. */
static void start_case(struct side *side, struct play *p)
{
	uint64_t seed = random_seed;
	int i;

	for (i = 0; i < 2; i++) {
		static struct umbra_state first;

		random_seed = seed;
		play_setup(p, side[i].vm.ram);
		/* Tables that the monitor writes are not looked at while they are shadowed. */
		set_slot(side[i].vm.fd, 0, 0, RAM, side[i].vm.ram);
		first.groups = UMBRA_STATE_ALL;
		must(call(side[i].vm.vcpu[0].fd, UMBRA_GET_STATE, &first), "UMBRA_GET_STATE");
		play_state(p, &first);
		must(call(side[i].vm.vcpu[0].fd, UMBRA_SET_STATE, &first), "UMBRA_SET_STATE");
		must(call(side[i].vm.vcpu[0].fd, UMBRA_SET_XSAVE, &xsave), "UMBRA_SET_XSAVE");
		side[i].state = first;
	}
	/* Entries are looked at on one side only. */
	p->ram = side[0].vm.ram;
}

static enum outcome one_case(struct side *side, bool quiet)
{
	unsigned int i, count = 1 + below(STEPS);
	enum outcome outcome = GOES_ON;
	struct play p;

	start_case(side, &p);
	for (i = 0; i < count && outcome == GOES_ON; i++) {
		outcome = one_step(side, &p);
		history[i] = step;
	}
	if (outcome == GOES_ON || outcome == STOPPED) {
		if (same_memory(side))
			return outcome;
		outcome = DIFFERENT;
	}
	if (outcome == DIFFERENT && !quiet) {
		printf("format %u, %u steps\n", p.format, i);
		for (count = i, i = 0; i < count; i++)
			print_step(&history[i]);
		print_state(&side[0]);
		print_state(&side[1]);
		print_translations(&side[0]);
		print_translations(&side[1]);
		print_memory(&side[0], &side[1]);
	}
	return outcome;
}

static enum outcome one_round(uint64_t seed, int paging0, int paging1, bool quiet)
{
	static struct side side[2];
	enum outcome outcome = GOES_ON;
	unsigned int i;

	vm_create(&side[0].vm, paging0, RAM, 1);
	vm_create(&side[1].vm, paging1, RAM, 1);
	for (i = 0; i < CASES && outcome != DIFFERENT && outcome != WRONG; i++) {
		random_seed = seed + i;
		random_seed = random64();
		outcome = one_case(side, quiet);
		if (outcome == DIFFERENT && !quiet)
			printf("case %u\n", i);
	}
	vm_destroy(&side[0].vm);
	vm_destroy(&side[1].vm);
	return outcome;
}

bool compare_round(uint64_t seed)
{
	int paging;

	switch (one_round(seed, UMBRA_PAGING_NESTED, UMBRA_PAGING_SHADOW, true)) {
	case WRONG:
		return false;
	case DIFFERENT:
		break;
	default:
		rounds++;
		return true;
	}
	/* What is not even the same twice, such as time, says nothing of paging. */
	for (paging = 0; paging < 2; paging++) {
		if (one_round(seed, paging, paging, true) == DIFFERENT) {
			erratic++;
			return true;
		}
	}
	printf("nested and shadow paging differ\n");
	one_round(seed, UMBRA_PAGING_NESTED, UMBRA_PAGING_SHADOW, false);
	return false;
}

void compare_setup(void)
{
	static uint8_t area[16384] __attribute__((aligned(64)));
	struct vm vm;

	xsave = (struct umbra_xsave) { .area = (uintptr_t)area, .size = sizeof(area) };
	vm_create(&vm, UMBRA_PAGING_SHADOW, RAM, 1);
	must(call(vm.vcpu[0].fd, UMBRA_GET_XSAVE, &xsave), "UMBRA_GET_XSAVE");
	vm_destroy(&vm);
}

void compare_print(void)
{
	unsigned int i;

	printf("compared: %lu rounds, %lu steps; not %lu endless, %lu with reserved bits, ",
	       rounds, steps, endless, reserved);
	printf("%lu rounds not the same twice; exceptions:", erratic);
	for (i = 0; i < 32; i++)
		if (vectors[i])
			printf(" %u: %lu", i, vectors[i]);
	printf("; cases ended by exit:");
	for (i = 0; i < UMBRA_EXIT_COUNT; i++)
		printf(" %lu", ends[i]);
	printf("\n");
}
