// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's state is exact: what is read and written elsewhere is the same bits, and
 * a guest cannot tell that it has been moved to another VM, with other memory and
 * other paging, at any exit and at any signal.
 *
 *	state nested|shadow [SEED [CASES]]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"
#include "snapshot.h"
#include "stateguest.h"

#define RAM		(4 * MIB)
#define MAPPED		(8 * MIB)	/* what the guest's tables map */

static int paging;
static bool is_vmx;

#define OTHER(paging)	((paging) ^ UMBRA_PAGING_NESTED ^ UMBRA_PAGING_SHADOW)

static void get(const struct vcpu *vcpu, struct snapshot *s)
{
	const char *failed = snapshot_get(dev, vcpu->fd, s);

	if (failed)
		die("%s", failed);
}

/* ------------------------------------------------------------------ */
/* Moving house */

/* The VM's only vCPU does not run. Returns false if it is not the same afterwards. */
static bool move(struct vm *vm, int to)
{
	static struct snapshot saved, restored;
	struct umbra_clock clock = {};
	const char *failed;
	char what[128];
	struct vm new;

	if (ioctl(vm->fd, UMBRA_GET_CLOCK, &clock))
		die("UMBRA_GET_CLOCK");
	get(&vm->vcpu[0], &saved);
	vm_create(&new, to, vm->size, 1);
	snapshot_copy_memory(new.ram, vm->ram, vm->size);
	vm_destroy(vm);
	*vm = new;
	failed = snapshot_set(dev, vm->vcpu[0].fd, &saved);
	if (failed) {
		printf("%s: %s\n", failed, strerror(errno));
		return false;
	}
	get(&vm->vcpu[0], &restored);
	if (snapshot_difference(&saved, &restored, what, sizeof(what))) {
		printf("%s\n", what);
		return false;
	}
	clock.realtime_ns = 0;
	clock.tsc = 0;
	if (ioctl(vm->fd, UMBRA_SET_CLOCK, &clock))
		die("UMBRA_SET_CLOCK");
	return true;
}

/* ------------------------------------------------------------------ */
/* Guests that leave a trace */

extern const uint8_t guest64[], guest64_end[], guest64_vectors[];
extern const uint8_t guest32[], guest32_end[], guest32_vectors[];
extern const uint8_t guest16[], guest16_end[], guest16_vectors[];

enum mode { REAL, BITS32, PAE, LONG_MODE, MODES };
static const char *const mode_names[MODES] = { "real mode", "32-bit", "PAE", "64-bit" };

/* What a guest did that could be seen from outside, and what became of it. */
struct trace {
	unsigned int count;
	struct {
		uint32_t what;	/* port, or MMIO's address; bit 31: read */
		uint32_t len;
		uint64_t data;
	} event[8192];
	struct umbra_regs regs;
	uint8_t ram[RAM];
};

static void record(struct trace *t, uint32_t what, uint32_t len, uint64_t data)
{
	if (t->count == ARRAY_SIZE(t->event)) {
		errno = E2BIG;
		die("a guest's trace");
	}
	t->event[t->count].what = what;
	t->event[t->count].len = len;
	t->event[t->count++].data = data;
}

/* Inputs depend on how many there were before only. */
static uint64_t input(const struct trace *t)
{
	uint64_t z = (t->count + 1) * 0x9e3779b97f4a7c15;

	return z ^ z >> 29;
}

/* Answers an exit and notes it. Returns true if it was the last. */
static bool answer(const struct vcpu *vcpu, struct trace *t)
{
	struct umbra_run *run = (struct umbra_run *)vcpu->run;
	uint8_t *data = (uint8_t *)run + UMBRA_RUN_IO_OFFSET;
	unsigned int size = run->io.size, i;
	uint64_t value;

	switch (run->exit_reason) {
	case UMBRA_EXIT_IO:
		for (i = 0; i < run->io.count; i++, data += size) {
			value = 0;
			if (run->io.direction == UMBRA_IO_IN) {
				value = input(t);
				memcpy(data, &value, size);
				record(t, 1U << 31 | run->io.port, size, value);
			} else {
				memcpy(&value, data, size);
				record(t, run->io.port, size, value);
			}
		}
		return run->io.port == END;
	case UMBRA_EXIT_MMIO:
		value = 0;
		if (run->mmio.is_write) {
			memcpy(&value, run->mmio.data, run->mmio.len);
			record(t, run->mmio.gpa, run->mmio.len, value);
		} else {
			value = input(t);
			memcpy(run->mmio.data, &value, run->mmio.len);
			record(t, 1U << 31 | run->mmio.gpa, run->mmio.len, value);
		}
		return false;
	default:
		record(t, 0, run->exit_reason, 0);
		printf("exit reason %u\n", run->exit_reason);
		return true;
	}
}

static void descriptor_tables(uint8_t *ram, enum mode mode)
{
	/* null, 64-bit code, data, data at DATA, 32-bit code */
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
					0x0040930000000fff | (uint64_t)DATA << 16,
					0x00cf9b000000ffff };
	unsigned int vector;

	memcpy(ram + LONG_GDT, gdt, sizeof(gdt));
	for (vector = 0; vector < VECTORS; vector++) {
		uint32_t at = CODE + vector * 16;
		uint64_t gate[2] = {};

		switch (mode) {
		case REAL:
			at += guest16_vectors - guest16;
			memcpy(ram + vector * 4, &at, 4);
			break;
		case LONG_MODE:
			at += guest64_vectors - guest64;
			gate[0] = at | 0x8e0000000000ULL | (uint64_t)LONG_CS << 16;
			memcpy(ram + IDT + vector * 16, gate, 16);
			break;
		default:
			at += guest32_vectors - guest32;
			gate[0] = at | 0x8e0000000000ULL | 0x20ULL << 16;
			memcpy(ram + IDT + vector * 8, gate, 8);
		}
	}
}

/* 32-bit tables map MAPPED bytes to themselves; the address of WINDOW's entry is in ENTRY. */
static void tables32(uint8_t *ram, bool pae)
{
	uint32_t entry = LONG_PT + WINDOW / PAGE * (pae ? 8 : 4);
	uint64_t *pdpt = (uint64_t *)(ram + LONG_CR3);
	uint64_t *pd64 = (uint64_t *)(ram + LONG_CR3 + PAGE), *pt64 = (uint64_t *)(ram + LONG_PT);
	uint32_t *pd = (uint32_t *)(ram + LONG_CR3), *pt = (uint32_t *)(ram + LONG_PT);
	size_t i;

	if (pae) {
		pdpt[0] = (LONG_CR3 + PAGE) | 1;
		for (i = 0; i < MAPPED / (2 * MIB); i++)
			pd64[i] = (LONG_PT + i * PAGE) | 7;
		for (i = 0; i < MAPPED / PAGE; i++)
			pt64[i] = i * PAGE | 7;
	} else {
		for (i = 0; i < MAPPED / (4 * MIB); i++)
			pd[i] = (LONG_PT + i * PAGE) | 7;
		for (i = 0; i < MAPPED / PAGE; i++)
			pt[i] = i * PAGE | 7;
	}
	memcpy(ram + ENTRY, &entry, sizeof(entry));
}

static bool have_avx(const struct snapshot *s)
{
	unsigned int i;

	for (i = 0; i < s->cpuids; i++)
		if (s->cpuid[i].leaf == 1)
			return s->cpuid[i].ecx >> 28 & 1;
	return false;
}

static void set_up(struct vm *vm, enum mode mode)
{
	static struct snapshot fresh;
	struct umbra_state *st = &fresh.state;
	int i;

	switch (mode) {
	case REAL:
		memcpy(vm->ram + CODE, guest16, guest16_end - guest16);
		break;
	case LONG_MODE:
		memcpy(vm->ram + CODE, guest64, guest64_end - guest64);
		build_tables(vm->ram, MAPPED);
		break;
	default:
		memcpy(vm->ram + CODE, guest32, guest32_end - guest32);
		tables32(vm->ram, mode == PAE);
	}
	descriptor_tables(vm->ram, mode);
	if (mode == REAL) {
		/* LIDT loads this: the table that is in use already. */
		memcpy(vm->ram + 0x3040, "\xff\x03\0\0\0\0", 6);
		enter_real_mode(&vm->vcpu[0], CODE, 0x3000);
	} else {
		enter_long_mode(&vm->vcpu[0], CODE, STACK);
	}

	get(&vm->vcpu[0], &fresh);
	st->regs.gpr[UMBRA_RSP] = STACK;
	if (mode != REAL) {
		st->sregs.idtr.base = IDT;
		st->sregs.idtr.limit = VECTORS * 16 - 1;
		st->sregs.gdtr.limit = 5 * 8 - 1;
		st->sregs.cr0 &= ~0x20;
	}
	if (mode == REAL) {
		st->sregs.idtr.limit = 0x3ff;
		for (i = UMBRA_ES; i <= UMBRA_GS; i++)
			if (i != UMBRA_CS && i != UMBRA_DS)
				st->sregs.seg[i].base = 0;
		/* CS:IP, since INT pushes both. */
		st->sregs.seg[UMBRA_SS].selector = 0;
		st->regs.gpr[UMBRA_RSP] = 0xff00;
	} else if (mode == LONG_MODE) {
		st->regs.gpr[UMBRA_R13] = have_avx(&fresh);
		if (have_avx(&fresh)) {
			st->sregs.cr4 |= 1 << 18;
			st->sregs.xcr0 = 7;
		}
	} else {
		st->sregs.efer = 0;
		st->sregs.cr4 = mode == PAE ? 0x620 : 0x600;
		for (i = UMBRA_ES; i <= UMBRA_GS; i++) {
			st->sregs.seg[i].attr = i == UMBRA_CS ? 0xc09b : 0xc093;
			st->sregs.seg[i].selector = i == UMBRA_CS ? 0x20 : LONG_DS;
		}
	}
	if (ioctl(vm->vcpu[0].fd, UMBRA_SET_STATE, st))
		die("UMBRA_SET_STATE");
}

/* When to move, and where to. */
enum when { NEVER, EACH_EXIT, EACH_SIGNAL };

/*
 * Runs a guest to its end. @to_other: each move is to a VM of the other paging.
 * Returns how often it moved, or -1.
 */
static int run_guest(enum mode mode, enum when when, bool to_other, struct trace *t)
{
	struct vm vm;
	int moves = 0, now_paging = paging;
	bool last = false, ok = true;

	memset(t, 0, sizeof(*t));
	vm_create(&vm, now_paging, RAM, 1);
	set_up(&vm, mode);
	while (ok && !last) {
		struct vcpu *vcpu = &vm.vcpu[0];
		struct itimerval soon = { .it_value.tv_usec = 1 + random64() % 3000 };
		int ret;

		if (when == EACH_SIGNAL)
			setitimer(ITIMER_REAL, &soon, NULL);
		ret = call(vcpu->fd, UMBRA_RUN, NULL);
		if (ret && ret != -EINTR) {
			errno = -ret;
			die("UMBRA_RUN");
		}
		if (!ret)
			last = answer(vcpu, t);
		if (last || when == NEVER || (when == EACH_SIGNAL && !ret))
			continue;
		/* To a state that can be read: as Documentation/api.rst has it. */
		vcpu->run->immediate_exit = 1;
		while (!last) {
			ret = call(vcpu->fd, UMBRA_RUN, NULL);
			if (ret == -EINTR)
				break;
			last = ret || answer(vcpu, t);
		}
		vcpu->run->immediate_exit = 0;
		if (to_other)
			now_paging = OTHER(now_paging);
		ok = move(&vm, now_paging);
		moves++;
	}
	if (ok) {
		static struct snapshot end;

		get(&vm.vcpu[0], &end);
		t->regs = end.state.regs;
		memcpy(t->ram, vm.ram, RAM);
	}
	vm_destroy(&vm);
	return ok ? moves : -1;
}

static bool same_trace(const struct trace *a, const struct trace *b)
{
	unsigned int i;
	size_t at;

	for (i = 0; i < a->count && i < b->count; i++) {
		if (memcmp(&a->event[i], &b->event[i], sizeof(a->event[i]))) {
			printf("event %u of %u: %#x %u %#lx, was %#x %u %#lx\n", i, a->count,
			       b->event[i].what, b->event[i].len, b->event[i].data,
			       a->event[i].what, a->event[i].len, a->event[i].data);
			return false;
		}
	}
	if (a->count != b->count) {
		printf("%u events, were %u\n", b->count, a->count);
		return false;
	}
	if (memcmp(&a->regs, &b->regs, sizeof(a->regs))) {
		printf("registers at the end differ\n");
		return false;
	}
	for (at = 0; at < RAM; at++) {
		if (a->ram[at] != b->ram[at]) {
			printf("memory at %#zx: %#x, was %#x\n", at, b->ram[at], a->ram[at]);
			return false;
		}
	}
	return true;
}

static void moving_guests(void)
{
	static struct trace straight, moved;
	unsigned int mode, way;

	for (mode = 0; mode < MODES; mode++) {
		run_guest(mode, NEVER, false, &straight);
		check(straight.count > 10 * ROUNDS &&
		      straight.event[straight.count - 1].what == END,
		      "%s guest: %u events", mode_names[mode], straight.count);
		for (way = 0; way < 4; way++) {
			enum when when = way & 1 ? EACH_SIGNAL : EACH_EXIT;
			int moves, tries = 0;

			/*
			 * With nested paging QEMU's CPU sets accessed bits in the pointers of
			 * PAE paging, where they are reserved, as shadow paging will find.
			 */
			if (mode == PAE && way & 2)
				continue;
			/* A guest may be too quick for the first signal. */
			do {
				moves = run_guest(mode, when, way & 2, &moved);
			} while (!moves && ++tries < 20);
			check(moves > 0 && same_trace(&straight, &moved),
			      "%s guest, moved %d times, at %s, %s paging", mode_names[mode], moves,
			      when == EACH_EXIT ? "exits" : "signals",
			      way & 2 ? "from and to other" : "same");
		}
	}
}

/* ------------------------------------------------------------------ */
/* Random states, there and back */

static uint64_t pick(const uint64_t *values, size_t count)
{
	return values[random64() % count];
}

#define PICK(...)							\
	({								\
		static const uint64_t values[] = { __VA_ARGS__ };	\
		pick(values, ARRAY_SIZE(values));			\
	})

static uint64_t canonical(void)
{
	return (uint64_t)((int64_t)(random64() << 16) >> 16);
}

static void random_segment(struct umbra_segment *s, int seg)
{
	s->base = canonical();
	s->limit = random64() & 1 ? random64() & 0xfffff : (random64() << 12 | 0xfff) & 0xffffffff;
	s->selector = random64();
	s->attr = (random64() & (UMBRA_SEG_DPL | UMBRA_SEG_AVL)) | UMBRA_SEG_P | UMBRA_SEG_S |
		  PICK(1, 3, 5, 7) | (random64() & UMBRA_SEG_DB);
	if (seg == UMBRA_CS)
		s->attr |= 8;
	if (seg == UMBRA_LDTR)
		s->attr = UMBRA_SEG_P | 2;
	if (seg == UMBRA_TR)
		s->attr = UMBRA_SEG_P | 11;
	/* G and what is not present follow from the rest, as on the CPU. */
	if (s->limit > 0xfffff)
		s->attr |= UMBRA_SEG_G;
	if (seg != UMBRA_CS && seg != UMBRA_TR && seg != UMBRA_SS && random64() % 4 == 0)
		/* Of such a one VT-x keeps nothing else (SDM Vol. 3 28.3.2). */
		s->attr = (is_vmx ? 0 : s->attr & ~UMBRA_SEG_P) | UMBRA_SEG_UNUSABLE;
}

static void random_events(struct umbra_events *e)
{
	memset(e, 0, sizeof(*e));
	switch (random64() % 6) {
	case 0:
		e->flags = PICK(UMBRA_EVENT_EXCEPTION_PENDING, UMBRA_EVENT_EXCEPTION_INJECTED);
		e->exception_vector = PICK(0, 1, 3, 6, 7, 8, 13, 14, 16);
		if (random64() & 1) {
			e->flags |= UMBRA_EVENT_EXCEPTION_ERROR;
			e->exception_error = random64();
		}
		if (e->exception_vector == 14 && random64() & 1) {
			e->flags |= UMBRA_EVENT_EXCEPTION_PAYLOAD;
			e->exception_payload = random64();
		}
		if (e->exception_vector == 1 && random64() & 1) {
			e->flags |= UMBRA_EVENT_EXCEPTION_PAYLOAD;
			e->exception_payload = random64() & 0x600f;
		}
		break;
	case 1:
		e->flags = UMBRA_EVENT_INTERRUPT_INJECTED;
		e->interrupt_vector = random64();
		if (random64() & 1)
			e->flags |= UMBRA_EVENT_INTERRUPT_SOFT;
		break;
	case 2:
		e->flags = UMBRA_EVENT_NMI_INJECTED | UMBRA_EVENT_NMI_MASKED;
		break;
	case 3:
		e->flags = UMBRA_EVENT_SHADOW_STI;
		break;
	}
	e->flags |= random64() & (UMBRA_EVENT_NMI_PENDING | UMBRA_EVENT_NMI_MASKED |
				  UMBRA_EVENT_TRIPLE_FAULT | UMBRA_EVENT_INIT_PENDING |
				  UMBRA_EVENT_SIPI_PENDING | UMBRA_EVENT_INTR_LINE |
				  UMBRA_EVENT_NMI_LINE);
	e->sipi_vector = random64();
	e->mp_state = random64() % 3;
}

static void put_apic(struct snapshot *s, unsigned int offset, uint32_t value)
{
	memcpy(s->lapic.regs + offset, &value, sizeof(value));
}

static void random_lapic(struct snapshot *s)
{
	uint32_t tpr = random64() & 0xff, highest = 0;
	unsigned int i;

	put_apic(s, 0x80, tpr);
	s->state.sregs.cr8 = tpr >> 4;
	put_apic(s, 0xd0, random64() & 0xff000000);
	put_apic(s, 0xe0, PICK(0xffffffff, 0x0fffffff));
	put_apic(s, 0xf0, (random64() & 0xff) | 0x100);
	for (i = 0; i < 8; i++) {
		uint32_t mask = i ? ~0U : ~0xffffU, isr = random64() & random64() & random64();

		isr &= mask;
		put_apic(s, 0x100 + i * 16, isr);
		put_apic(s, 0x180 + i * 16, random64() & mask);
		put_apic(s, 0x200 + i * 16, random64() & mask);
		if (isr)
			highest = i * 32 + 31 - __builtin_clz(isr);
	}
	/* What follows from the rest (SDM Vol. 3 11.8.3.1). */
	put_apic(s, 0xa0, tpr >> 4 >= highest >> 4 ? tpr : highest & 0xf0);
	put_apic(s, 0x280, random64() & 0xe0);
	put_apic(s, 0x300, random64() & 0xc8fff & ~(1U << 12));
	put_apic(s, 0x310, random64() & 0xff000000);
	put_apic(s, 0x320, random64() & 0x300ff);	/* timer: one-shot or periodic */
	/* Masked, since the line may be high. */
	put_apic(s, 0x350, (random64() & 0xa0ff) | 0x10000 | PICK(0, 0x400, 0x700));
	put_apic(s, 0x360, (random64() & 0x1a0ff) | PICK(0, 0x400));
	put_apic(s, 0x370, random64() & 0x100ff);
	put_apic(s, 0x3e0, random64() & 0xb);
	put_apic(s, 0x380, random64());
	put_apic(s, 0x390, 0);
	s->lapic.esr_pending = random64() & 0xe0;
	s->lapic.flags = random64() & UMBRA_LAPIC_EXTINT;
	s->lapic.timer_remaining_ns = 0;
}

static void random_msrs(struct snapshot *s)
{
	unsigned int i;

	for (i = 0; i < s->msrs; i++) {
		struct umbra_msr *msr = &s->msr[i];

		switch (msr->index) {
		case 0x277:		/* PAT */
			msr->value = PICK(0x0007040600070406, 0x0606060606060606,
					  0x0001040500070406);
			break;
		case 0x200 ... 0x20f:	/* variable MTRRs */
			msr->value = random64() & 0xfffff000;
			msr->value |= msr->index & 1 ? 0x800 : PICK(0, 1, 4, 5, 6);
			break;
		case 0x250: case 0x258: case 0x259:
		case 0x268 ... 0x26f:
			msr->value = PICK(0, 0x0606060606060606, 0x0504010006050401);
			break;
		case 0x2ff:
			msr->value = PICK(0, 0xc06, 0x800, 0x406);
			break;
		case 0x174:		/* SYSENTER_CS */
		case 0xc0000084:
		case 0xc0000103:	/* TSC_AUX */
			msr->value = random64() & 0xffffffff;
			break;
		case 0x175: case 0x176:
		case 0xc0000082: case 0xc0000083: case 0xc0000102:
			msr->value = canonical();
			break;
		case 0xc0000081:	/* STAR */
		case 0x3b:		/* TSC_ADJUST */
		case 0x10:		/* TSC */
			msr->value = random64() >> 2;
			break;
		case 0x17a:		/* MCG_STATUS */
			msr->value = random64() & 7;
			break;
		}
	}
}

static void random_xsave(struct snapshot *s)
{
	uint32_t mxcsr = 0x1f80 | (random64() & 0x603f);
	size_t i;

	/* x87 and SSE registers; the control words as a guest could set them. */
	for (i = 32; i < 416; i++)
		s->xsave[i] = random64();
	/* Ten bytes of sixteen belong to an x87 register. */
	for (i = 32; i < 160; i++)
		if (i % 16 >= 10)
			s->xsave[i] = 0;
	memcpy(s->xsave + 24, &mxcsr, sizeof(mxcsr));
	s->xsave[0] = 0x7f;
	s->xsave[1] = random64() & 0xf;
	s->xsave[4] = random64();
	s->xsave[512] |= 3;
	if (s->xsave[512] & 4)
		for (i = 576; i < 832; i++)
			s->xsave[i] = random64();
}

static void random_snapshot(struct snapshot *s)
{
	struct umbra_sregs *sregs = &s->state.sregs;
	int i;

	for (i = 0; i < UMBRA_NR_GPRS; i++)
		s->state.regs.gpr[i] = random64();
	s->state.regs.rip = canonical();
	s->state.regs.rflags = (random64() & 0x3f7fd5) | 2;
	for (i = 0; i < UMBRA_NR_SEGS; i++)
		random_segment(&sregs->seg[i], i);
	sregs->gdtr.base = canonical();
	sregs->gdtr.limit = random64();
	sregs->idtr.base = canonical();
	sregs->idtr.limit = random64();
	sregs->cr2 = random64();
	sregs->cr3 = random64() & 0xfffffff000;
	sregs->efer = 0;
	sregs->flags = 0;
	memset(sregs->pdpte, 0, sizeof(sregs->pdpte));
	sregs->cr4 = random64() & 0x6dc;	/* without PAE; VME and PVI are not offered */
	sregs->cr0 = 0x10 | (random64() & 0x5002e) | PICK(0, 0x40000000, 0x60000000);
	switch (random64() % 4) {
	case 0:
		break;
	case 1:
		sregs->cr0 |= 0x80000001;
		break;
	case 2:
		sregs->cr0 |= 0x80000001;
		sregs->cr4 |= 0x20;
		sregs->flags = UMBRA_SREGS_PDPTES;
		for (i = 0; i < 4; i++)
			sregs->pdpte[i] = random64() & 0x3ffff000;
		break;
	case 3:
		sregs->cr0 |= 0x80000001;
		sregs->cr4 |= 0x20;
		sregs->efer = 0x500 | (random64() & 0x801);
		sregs->seg[UMBRA_CS].attr &= ~UMBRA_SEG_DB;
		sregs->seg[UMBRA_CS].attr |= UMBRA_SEG_L;
		break;
	}
	for (i = 0; i < 4; i++)
		s->state.debug.dr[i] = random64();
	s->state.debug.dr6 = 0xffff0ff0 | (random64() & 0xe00f);
	s->state.debug.dr7 = 0x400 | (random64() & 0xffff23ff);
	random_events(&s->state.events);
	/* There VT-x has no shadow of STI (27.3.1.5). */
	if (is_vmx && !(s->state.regs.rflags & 1 << 9))
		s->state.events.flags &= ~UMBRA_EVENT_SHADOW_STI;
	random_lapic(s);
	random_msrs(s);
	random_xsave(s);
}

static void random_states(unsigned int cases)
{
	static struct snapshot fresh, s, back;
	unsigned int i, failed = 0;
	char what[128];
	struct vm vm;

	vm_create(&vm, paging, RAM, 1);
	get(&vm.vcpu[0], &fresh);
	vm_destroy(&vm);
	for (i = 0; i < cases && failed < 10; i++) {
		const char *refused;

		s = fresh;
		random_snapshot(&s);
		vm_create(&vm, i & 1 ? paging : OTHER(paging), RAM, 1);
		refused = snapshot_set(dev, vm.vcpu[0].fd, &s);
		if (refused) {
			printf("case %u: %s: %s\n", i, refused, strerror(errno));
			failed++;
		} else {
			get(&vm.vcpu[0], &back);
			if (snapshot_difference(&s, &back, what, sizeof(what))) {
				printf("case %u: %s\n", i, what);
				failed++;
			}
		}
		vm_destroy(&vm);
	}
	check(!failed, "%u random states, there and back", cases);
}

/* ------------------------------------------------------------------ */
/* Events in flight */

/*
 * An NMI waits for the end of an interrupt shadow. The instruction in the shadow is
 * executed, whoever executes it, then the NMI comes: its handler sees the RIP after
 * it and the guest's own flags, and there is no trap that the guest has not asked for.
 */
static const struct {
	const char *name;
	uint8_t code[8];
	uint8_t length;
} shadowed[] = {
	{ "nop", { 0x90 }, 1 },
	{ "cpuid", { 0x0f, 0xa2 }, 2 },
	{ "rdmsr", { 0x0f, 0x32 }, 2 },
	{ "out", { 0xe6, TRACE }, 2 },
	{ "in", { 0xe4, INPUT }, 2 },
	{ "mov to memory that is not there", { 0x88, 0x04, 0x25, 0, 0, 0x50, 0 }, 7 },
	{ "mov to cr8", { 0x44, 0x0f, 0x22, 0xc0 }, 4 },
	{ "mov from cr0", { 0x0f, 0x20, 0xc0 }, 3 },
};

/* outl %eax, $TRACE of what NMI (or #DB) has pushed: vector first, then END. */
static const uint8_t nmi_handler[] = {
	0xb8, 2, 0, 0, 0, 0xe7, TRACE,			/* mov $2, %eax; out */
	0x8b, 0x04, 0x24, 0xe7, TRACE,			/* mov (%rsp), %eax; out */
	0x8b, 0x44, 0x24, 0x10, 0xe7, TRACE,		/* mov 16(%rsp), %eax; out */
	0xe6, END,
	0x48, 0xcf,					/* iretq */
};

/* Does an NMI that waits in the shadow come right after this instruction? */
static bool nmi_after(const uint8_t *code, unsigned int length, bool moving)
{
	static struct trace t;
	static struct snapshot s;
	uint64_t gate[2] = { 0x9000 | 0x8e0000000000ULL | (uint64_t)LONG_CS << 16, 0 };
	const uint32_t flags = 0x46;
	bool last = false, ok = true, right;
	unsigned int i;
	struct vm vm;

	memset(&t, 0, sizeof(t));
	vm_create(&vm, paging, RAM, 1);
	build_tables(vm.ram, MAPPED);
	descriptor_tables(vm.ram, LONG_MODE);
	memcpy(vm.ram + IDT + 2 * 16, gate, sizeof(gate));
	memcpy(vm.ram + 0x9000, nmi_handler, sizeof(nmi_handler));
	/* #DB goes to the same code, but says 1. */
	gate[0] += 0x100;
	memcpy(vm.ram + IDT + 1 * 16, gate, sizeof(gate));
	memcpy(vm.ram + 0x9100, nmi_handler, sizeof(nmi_handler));
	vm.ram[0x9101] = 1;
	memcpy(vm.ram + CODE, code, length);
	vm.ram[CODE + length] = 0xe6;	/* out %al, $END */
	vm.ram[CODE + length + 1] = END;
	enter_long_mode(&vm.vcpu[0], CODE, STACK);
	get(&vm.vcpu[0], &s);
	s.state.sregs.idtr.base = IDT;
	s.state.sregs.idtr.limit = VECTORS * 16 - 1;
	s.state.regs.rflags = flags;
	s.state.regs.gpr[UMBRA_RCX] = 0x10;
	/* For VT-x STI's needs interrupts on (SDM Vol. 3 27.3.1.5). */
	s.state.events.flags = (is_vmx ? UMBRA_EVENT_SHADOW_MOV_SS : UMBRA_EVENT_SHADOW_STI) |
			       UMBRA_EVENT_NMI_PENDING;
	if (ioctl(vm.vcpu[0].fd, UMBRA_SET_STATE, &s.state))
		die("UMBRA_SET_STATE");
	while (ok && !last) {
		last = run(&vm.vcpu[0]) || answer(&vm.vcpu[0], &t);
		if (last || !moving)
			continue;
		vm.vcpu[0].run->immediate_exit = 1;
		while (!last && call(vm.vcpu[0].fd, UMBRA_RUN, NULL) != -EINTR)
			last = answer(&vm.vcpu[0], &t);
		vm.vcpu[0].run->immediate_exit = 0;
		ok = move(&vm, OTHER(vm.paging));
	}
	/* What the instruction itself did comes before. */
	for (i = 0; i < t.count; i++)
		if (t.event[i].what == TRACE && t.event[i].len == 4)
			break;
	right = ok && t.count - i == 4 && t.event[i].data == 2 &&
		t.event[i + 1].data == CODE + length && t.event[i + 2].data == flags;
	if (!right)
		for (i = 0; i < t.count; i++)
			printf("%#x %u %#lx\n", t.event[i].what, t.event[i].len, t.event[i].data);
	/* Until NMIs are unmasked: Bochs' VT-x has the next guest find them as they are left. */
	while (right && !run(&vm.vcpu[0]) && !answer(&vm.vcpu[0], &t))
		;
	vm_destroy(&vm);
	return right;
}

static void nmi_in_shadow(void)
{
	size_t i;
	int way;

	for (i = 0; i < ARRAY_SIZE(shadowed); i++)
		for (way = 0; way < 2; way++)
			check(nmi_after(shadowed[i].code, shadowed[i].length, way),
			      "NMI waits for %s in a shadow%s", shadowed[i].name,
			      way ? ", moved" : "");
}

static void on_signal(int sig)
{
	(void)sig;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	unsigned int cases = 300;
	struct umbra_info info;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: state nested|shadow [SEED [CASES]]\n");
		return 2;
	}
	paging = paging_from(argv[1]);
	random_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)(now() * 1e9);
	if (argc > 3)
		cases = strtoul(argv[3], NULL, 0);
	printf("seed %#lx\n", random_seed);
	sigaction(SIGALRM, &action, NULL);
	open_device();
	if (ioctl(dev, UMBRA_GET_INFO, &info))
		die("UMBRA_GET_INFO");
	is_vmx = info.vendor == UMBRA_VENDOR_VMX;
	random_states(cases);
	nmi_in_shadow();
	moving_guests();
	return finish();
}
