// SPDX-License-Identifier: GPL-2.0-only
/* Several processors: start, messages, TLB shootdown, and page tables that all change. */
#include "acpi.h"
#include "apic.h"
#include "dev.h"
#include "mem.h"
#include "pt.h"
#include "smp.h"
#include "string.h"
#include "test.h"

#define VA 0x600000000000ul

static bool need_cpus(void)
{
	smp_start();
	if (smp_count > 1)
		return true;
	skip("one processor");
	return false;
}

static void test_start(void)
{
	u32 ids[MAX_CPUS];
	int n = firmware_cpus(ids, MAX_CPUS), i, j;

	check(n >= 1, "the firmware lists no processor");
	smp_start();
	print("# %d of %d processors run\n", smp_count, n);
	check_eq(smp_count, n, "processors running");
	for (i = 0; i < smp_count; i++)
		for (j = 0; j < i; j++)
			check(cpus[i].apic_id != cpus[j].apic_id, "CPUs %d and %d have APIC id %u",
			      i, j, cpus[i].apic_id);
	check(rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP, "this CPU is not the bootstrap processor");
}

static volatile u32 seen_bsp, seen_cpuid_id, seen_cr0;

static void ap_state(void *arg)
{
	seen_bsp = !!(rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP);
	seen_cpuid_id = cpuid(1, 0).b >> 24;
	seen_cr0 = read_cr0();
}

static void test_ap_state(void)
{
	int i;

	if (!need_cpus())
		return;
	for (i = 1; i < smp_count; i++) {
		smp_run(i, ap_state, NULL);
		smp_wait(i);
		check_eq(seen_bsp, 0, "BSP flag of an application processor");
		check_eq(seen_cpuid_id, cpus[i].apic_id, "APIC id by CPUID");
	}
}

/* INIT once more, then SIPI: the processor begins again with reset registers. */
static void test_restart(void)
{
	int before, i;

	if (!need_cpus())
		return;
	for (i = 0; i < 3; i++) {
		u32 id = cpus[smp_count - 1].apic_id;

		before = smp_online;
		smp_wait(smp_count - 1);
		ap_ticket = smp_count - 1;
		apic_icr(id, ICR_INIT | ICR_ASSERT);
		delay_ms(2);
		/* Without SIPI it stays where it is. */
		check_eq(smp_online, before, "processors after INIT alone");
		apic_icr(id, ICR_STARTUP | ICR_ASSERT | AP_BASE >> 12);
		check(WAIT_FOR(1000, smp_online == before + 1), "no start after INIT and SIPI");
		/* A second SIPI is of no consequence. */
		apic_icr(id, ICR_STARTUP | ICR_ASSERT | AP_BASE >> 12);
		delay_ms(1);
		check_eq(smp_online, before + 1, "processors after another SIPI");
		smp_run(smp_count - 1, ap_state, NULL);
		smp_wait(smp_count - 1);
	}
}

/* --- messages --- */

#define PINGS 200
static volatile int pings[MAX_CPUS];
static volatile int turn;

static bool ping_handler(struct regs *r)
{
	pings[this_cpu()->index]++;
	apic_eoi();
	return true;
}

static void pong(void *arg)
{
	int me = this_cpu()->index, i;

	for (i = 1; i <= PINGS; i++) {
		/* Sleep until the message; then answer. */
		irq_off();
		while (pings[me] < i) {
			irq_on_halt();
			irq_off();
		}
		apic_icr(cpus[0].apic_id, ICR_FIXED | ICR_ASSERT | 0x44);
	}
}

static void test_ping_pong(void)
{
	int i;

	if (!need_cpus())
		return;
	set_handler(0x44, ping_handler);
	pings[1] = 0;
	pings[0] = 0;
	smp_run(1, pong, NULL);
	irq_on();
	for (i = 1; i <= PINGS; i++) {
		apic_icr(cpus[1].apic_id, ICR_FIXED | ICR_ASSERT | 0x44);
		if (!check(WAIT_FOR(10000, pings[0] >= i), "answer %d did not come", i))
			die("no way to go on");
	}
	irq_off();
	smp_wait(1);
	check_eq(pings[0], PINGS, "answers");
	check_eq(pings[1], PINGS, "messages");
}

static void spin_with_irqs(void *arg)
{
	irq_on();
	WAIT_FOR(60000, turn);
	irq_off();
}

static int total(void)
{
	int i, n = 0;

	for (i = 0; i < smp_count; i++)
		n += pings[i];
	return n;
}

static void test_broadcast(void)
{
	int i;

	if (!need_cpus())
		return;
	set_handler(0x44, ping_handler);
	memset((void *)pings, 0, sizeof(pings));
	turn = 0;
	for (i = 1; i < smp_count; i++)
		smp_run(i, spin_with_irqs, NULL);
	irq_on();
	apic_icr(0, ICR_OTHERS | ICR_ASSERT | 0x44);
	check(WAIT_FOR(10000, total() == smp_count - 1), "IPI to others: %d came", total());
	check_eq(pings[0], 0, "of them here");
	apic_icr(0, ICR_ALL | ICR_ASSERT | 0x44);
	check(WAIT_FOR(10000, total() == 2 * smp_count - 1), "IPI to all: %d came", total());
	check_eq(pings[0], 1, "of them here");
	apic_icr(apic_x2() ? 0xffffffff : 0xff, ICR_ASSERT | 0x44);
	check(WAIT_FOR(10000, total() == 3 * smp_count - 1), "IPI to FFh: %d came", total());
	turn = 1;
	irq_off();
	for (i = 1; i < smp_count; i++)
		smp_wait(i);
}

/* KVM_HC_SEND_IPI. AMD's CPUs do not know VMCALL: there the hypervisor has to. */
static long hypercall_ipi(u64 ids, u64 first, u64 icr)
{
	long ret = 10;

	asm volatile("vmcall" : "+a"(ret) : "b"(ids), "c"(0ul), "d"(first), "S"(icr) : "memory");
	return ret;
}

static void test_hypercall(void)
{
	u64 ids = 0;
	int i;

	if (!need_cpus())
		return;
	if (!HAS_HYPERVISOR || cpuid(0x40000000, 0).b != 0x4b4d564b ||
	    !(cpuid(0x40000001, 0).a & BIT(11))) {
		skip("no hypercall for it");
		return;
	}
	set_handler(0x44, ping_handler);
	memset((void *)pings, 0, sizeof(pings));
	turn = 0;
	for (i = 1; i < smp_count; i++) {
		ids |= 1ull << cpus[i].apic_id;
		smp_run(i, spin_with_irqs, NULL);
	}
	irq_on();
	check_eq(hypercall_ipi(ids, 0, 0x44), smp_count - 1, "CPUs reached");
	check(WAIT_FOR(10000, total() == smp_count - 1), "IPI to others: %d came", total());
	check_eq(pings[0], 0, "of them here");
	check_eq(hypercall_ipi(1, cpus[1].apic_id, 0x44), 1, "CPUs reached");
	check(WAIT_FOR(10000, total() == smp_count), "IPI to one: %d came", total());
	check_eq(hypercall_ipi(1, 0xffffffff, 0x44), 0, "CPUs reached where there are none");
	check_eq(hypercall_ipi(ids, 0, ICR_OTHERS | 0x44), -22, "with a shorthand");
	check_eq(total(), smp_count, "messages");
	turn = 1;
	irq_off();
	for (i = 1; i < smp_count; i++)
		smp_wait(i);
}

static volatile int nmis;

static bool nmi_handler(struct regs *r)
{
	__atomic_add_fetch(&nmis, 1, __ATOMIC_SEQ_CST);
	return true;
}

/* An NMI reaches a CPU that sleeps in HLT with the wake-up interrupt off. */
static void sleep_for_nmi(void *arg)
{
	irq_off();
	turn = 1;
	asm volatile("hlt");
	turn = 2;
}

static void test_nmi(void)
{
	if (!need_cpus())
		return;
	set_handler(VEC_NMI, nmi_handler);
	turn = 0;
	nmis = 0;
	smp_run(1, sleep_for_nmi, NULL);
	WAIT_FOR(10000, turn == 1);
	delay_ms(2);
	check_eq(turn, 1, "sleeping");
	apic_icr(cpus[1].apic_id, ICR_NMI | ICR_ASSERT);
	check(WAIT_FOR(10000, turn == 2), "HLT did not end by NMI");
	check_eq(nmis, 1, "NMIs");
	if (turn == 2)
		smp_wait(1);
	set_handler(VEC_NMI, NULL);
}

/* --- page tables --- */

static struct space space;
static ulong frames[8];
static volatile int phase, acks;

static bool shootdown_handler(struct regs *r)
{
	invlpg(VA);
	__atomic_add_fetch(&acks, 1, __ATOMIC_SEQ_CST);
	apic_eoi();
	return true;
}

/* What is mapped now; the others may see the one before until they answered. */
static volatile u32 now_mapped, stale_errors;

static void reader(void *arg)
{
	ulong old = read_cr3();

	write_cr3(space.root);
	__atomic_add_fetch(&acks, 1, __ATOMIC_SEQ_CST);
	irq_on();
	while (!phase) {
		u32 before, seen, after;

		irq_off();
		before = now_mapped;
		seen = *(volatile u32 *)VA;
		after = now_mapped;
		irq_on();
		/* The page is filled before it is mapped and wiped after all flushed it. */
		if (seen < 0x1000 || seen > 0x1007 ||
		    (before == after && seen != 0x1000 + before % 8 &&
		     seen != 0x1000 + (before + 1) % 8 && seen != 0x1000 + (before + 7) % 8))
			stale_errors++;
		cpu_pause();
	}
	irq_off();
	write_cr3(old);
}

static void test_shootdown(void)
{
	int i, round;
	ulong e, old = read_cr3();

	if (!need_cpus())
		return;
	set_handler(0x45, shootdown_handler);
	pt_new(&space, PT_4LEVEL);
	for (i = 0; i < 8; i++) {
		frames[i] = (ulong)alloc_page();
		*(volatile u32 *)frames[i] = 0x1000 + i;
	}
	pt_map(&space, VA, frames[0], PT_W, 1);
	e = pt_entry(&space, VA, 1);
	stale_errors = 0;
	now_mapped = 0;
	acks = 0;
	phase = 0;
	write_cr3(space.root);
	for (i = 1; i < smp_count; i++)
		smp_run(i, reader, NULL);
	WAIT_FOR(10000, acks == smp_count - 1);
	for (round = 1; round <= 100; round++) {
		int last = (round - 1) % 8, next = round % 8;

		acks = 0;
		*(volatile u64 *)e = frames[next] | PT_P | PT_W;
		now_mapped = round;
		invlpg(VA);
		apic_icr(0, ICR_OTHERS | ICR_ASSERT | 0x45);
		if (!check(WAIT_FOR(10000, acks == smp_count - 1), "%d of %d flushed",
			   acks, smp_count - 1))
			break;
		/* Nobody may see the old page from here on. */
		*(volatile u32 *)frames[last] = 0xdead;
		delay_us(20);
		*(volatile u32 *)frames[last] = 0x1000 + last;
	}
	phase = 1;
	for (i = 1; i < smp_count; i++)
		smp_wait(i);
	write_cr3(old);
	check_eq(stale_errors, 0, "reads through a stale translation");
}

#define OWN_PAGES 64

/* Every CPU maps, touches and unmaps its own pages in one shared set of tables. */
static volatile u32 own_errors;

static void own_pages(void *arg)
{
	int me = this_cpu()->index, i, round;
	ulong base = VA + 0x200000 + (ulong)me * OWN_PAGES * PAGE_SIZE, old = read_cr3();
	ulong frame = ((ulong *)arg)[me];

	write_cr3(space.root);
	for (round = 0; round < 12; round++) {
		for (i = 0; i < OWN_PAGES; i++) {
			ulong e = pt_entry(&space, base + i * PAGE_SIZE, 1);

			*(volatile u64 *)e = (frame + (i & 3) * PAGE_SIZE) | PT_P | PT_W;
			*(volatile u32 *)(base + i * PAGE_SIZE + 64) = me << 16 | i;
			if (*(volatile u32 *)(frame + (i & 3) * PAGE_SIZE + 64) !=
			    (u32)(me << 16 | i))
				__atomic_add_fetch(&own_errors, 1, __ATOMIC_SEQ_CST);
			if ((*(volatile u64 *)e & (PT_A | PT_D)) != (PT_A | PT_D))
				__atomic_add_fetch(&own_errors, 1, __ATOMIC_SEQ_CST);
		}
		for (i = 0; i < OWN_PAGES; i++) {
			*(volatile u64 *)pt_entry(&space, base + i * PAGE_SIZE, 1) = 0;
			invlpg(base + i * PAGE_SIZE);
		}
		for (i = 0; i < OWN_PAGES; i += 9)
			if (TRY(*(volatile u32 *)(base + i * PAGE_SIZE)) != VEC_PF)
				__atomic_add_fetch(&own_errors, 1, __ATOMIC_SEQ_CST);
	}
	write_cr3(old);
}

static void test_shared_tables(void)
{
	ulong frame[MAX_CPUS];
	int i;

	smp_start();
	pt_new(&space, PT_4LEVEL);
	/* All their entries lie in a few table pages, made beforehand. */
	for (i = 0; i < smp_count; i++) {
		frame[i] = (ulong)alloc_pages(4);
		pt_entry(&space, VA + 0x200000 + (ulong)i * OWN_PAGES * PAGE_SIZE, 1);
	}
	own_errors = 0;
	smp_all(own_pages, frame);
	check_eq(own_errors, 0, "wrong pages");
}

/* --- atomicity --- */

#define ADDS 3000
static volatile u64 *counter;
static volatile u64 *bits;

static void add_many(void *arg)
{
	int i;

	for (i = 0; i < ADDS; i++) {
		u64 one = 1;

		asm volatile("lock incq (%0)" :: "r"(counter) : "memory", "cc");
		asm volatile("lock xaddq %0, 8(%1)" : "+r"(one) : "r"(counter) : "memory", "cc");
	}
}

static void test_atomic_ram(void)
{
	smp_start();
	counter = alloc_page();
	smp_all(add_many, NULL);
	check_eq(counter[0], (u64)ADDS * smp_count, "LOCK INC");
	check_eq(counter[1], (u64)ADDS * smp_count, "LOCK XADD");
}

/*
 * The same on words of a page that is a page table in use: CPU 0 walks through it
 * all the while. Software bits of entries are set, counters run in entries that are
 * not present.
 */
static void table_atomics(void *arg)
{
	int me = this_cpu()->index, i;
	ulong old = read_cr3();

	write_cr3(space.root);
	for (i = 0; i < 300; i++) {
		u64 was, want;

		/* Counters in bits 1.. of an entry without P. */
		asm volatile("lock addq $2, (%0)" :: "r"(counter) : "memory", "cc");
		was = counter[1];
		do {
			want = was + 2;
			asm volatile("lock cmpxchgq %2, 8(%1)" : "+a"(was)
				     : "r"(counter), "r"(want) : "memory", "cc");
		} while (was != want - 2);
		/* Each CPU's own bit of one shared entry goes on and off. */
		asm volatile("lock btsq %1, (%0)" :: "r"(bits), "r"((ulong)52 + me % 7) : "memory", "cc");
		if (!(*bits >> (52 + me % 7) & 1))
			__atomic_add_fetch(&own_errors, 1, __ATOMIC_SEQ_CST);
		if (*(volatile u32 *)VA != 0x1000)
			__atomic_add_fetch(&own_errors, 1, __ATOMIC_SEQ_CST);
		asm volatile("lock btrq %1, (%0)" :: "r"(bits), "r"((ulong)52 + me % 7) : "memory", "cc");
		if (i % 10 == 0)
			write_cr3(space.root);
	}
	write_cr3(old);
}

static void test_atomic_table(void)
{
	ulong frame = (ulong)alloc_page();

	if (smp_start() > 7) {
		skip("more than 7 processors");
		return;
	}
	*(volatile u32 *)frame = 0x1000;
	pt_new(&space, PT_4LEVEL);
	pt_map(&space, VA, frame, PT_W, 1);
	bits = (u64 *)pt_entry(&space, VA, 1);
	counter = (u64 *)pt_entry(&space, VA + 0x40000, 1);
	own_errors = 0;
	smp_all(table_atomics, NULL);
	check_eq(counter[0], 600ull * smp_count, "LOCK ADD on a page table");
	check_eq(counter[1], 600ull * smp_count, "LOCK CMPXCHG on a page table");
	check_eq(*bits & ~(PT_A | PT_D), frame | PT_P | PT_W, "entry whose bits were switched");
	check_eq(own_errors, 0, "bits lost or pages wrong");
}

/* Accessed and dirty bits that the CPUs set never undo a bit that software sets. */
static void race_dirty(void *arg)
{
	ulong old = read_cr3();
	int i;

	write_cr3(space.root);
	for (i = 0; i < 300; i++) {
		if (this_cpu()->index & 1) {
			*(volatile u32 *)(VA + 8) = i;
			invlpg(VA);
		} else {
			asm volatile("lock andq %1, (%0)"
				     :: "r"(bits), "r"(~(PT_A | PT_D)) : "memory", "cc");
			asm volatile("lock addq %1, (%0)"
				     :: "r"(bits), "r"(BIT64(52)) : "memory", "cc");
			invlpg(VA);
		}
	}
	write_cr3(old);
}

static void test_atomic_dirty(void)
{
	ulong frame = (ulong)alloc_page();
	u64 adders = (smp_start() + 1) / 2;

	pt_new(&space, PT_4LEVEL);
	pt_map(&space, VA, frame, PT_W, 1);
	bits = (u64 *)pt_entry(&space, VA, 1);
	smp_all(race_dirty, NULL);
	check_eq(*bits >> 52, 300 * adders & 0xfff, "count kept in an entry");
	check_eq(*bits & 0xfffffffff000, frame, "address in the entry");
}

/* --- time --- */

static volatile u64 other_tsc;

static void read_tsc(void *arg)
{
	other_tsc = rdtsc();
}

static void test_tsc(void)
{
	u64 slack = (u64)tsc_per_ms() * 20;
	int i;

	if (!need_cpus())
		return;
	for (i = 1; i < smp_count; i++) {
		u64 before = rdtsc(), after;

		smp_run(i, read_tsc, NULL);
		smp_wait(i);
		after = rdtsc();
		check(other_tsc + slack >= before && other_tsc <= after + slack,
		      "CPU %d read %llx between %llx and %llx", i, (unsigned long long)other_tsc,
		      (unsigned long long)before, (unsigned long long)after);
	}
}

const struct test guest_tests[] = {
	{ "start", test_start },
	{ "ap-state", test_ap_state },
	{ "restart", test_restart },
	{ "ping-pong", test_ping_pong },
	{ "broadcast", test_broadcast },
	{ "hypercall", test_hypercall },
	{ "nmi", test_nmi },
	{ "shootdown", test_shootdown },
	{ "shared-tables", test_shared_tables },
	{ "atomic-ram", test_atomic_ram },
	{ "atomic-table", test_atomic_table },
	{ "atomic-dirty", test_atomic_dirty },
	{ "tsc", test_tsc },
};

GUEST("smp");
