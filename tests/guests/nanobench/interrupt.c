// SPDX-License-Identifier: GPL-2.0-only
/* Interrupts of the local APIC, and idling until one comes. */
#include "apic.h"
#include "nanobench.h"
#include "trap.h"

#define VECTOR		0x40
#define DIVIDE_BY_1	0xb
#define CALIBRATION	4000000
/* TSC ticks that are certainly too many. */
#define NEVER		4000000000ull

/*
 * How long the timer runs, in ticks of the TSC. Hypervisors may spin for some time
 * before they let a halted vCPU sleep, in the hope of an interrupt (KVM: up to 200
 * microseconds), so the halt is longer.
 */
#define SPIN_TICKS	50000
#define HALT_TICKS	1000000

static volatile u64 taken;
static bool x2;
static u32 timer_count;
static u64 timer_ticks;

/* lib/apic.c looks up the mode, which may be an exit, every time. */
static u32 reg_read(u32 reg)
{
	return x2 ? rdmsr(0x800 + reg / 16) : *(volatile u32 *)(APIC_PHYS + reg);
}

static inline void reg_write(u32 reg, u32 v)
{
	if (x2)
		wrmsr(0x800 + reg / 16, v);
	else
		*(volatile u32 *)(APIC_PHYS + reg) = v;
}

struct frame;

static __attribute__((interrupt)) void handler(struct frame *frame)
{
	taken++;
	reg_write(APIC_EOI, 0);
}

/* Waits for the interrupt number @want without halting. */
static bool spin_for(u64 want)
{
	u64 end = rdtsc() + NEVER;

	irq_on();
	while (taken != want && rdtsc() < end)
		;
	irq_off();
	return taken == want;
}

static void ipi_set_up(const struct bench *b, u64 n)
{
	apic_enable();
	x2 = apic_x2();
	set_idt(VECTOR, handler, KERNEL_CS, 0x8e, 0);
	taken = 0;
}

static void irq_clean_up(void)
{
	reg_write(APIC_LVT_TIMER, LVT_MASKED);
	set_idt(VECTOR, default_entry(VECTOR), KERNEL_CS, 0x8e, 0);
}

/* The interrupt is taken in the loop, not at its end: interrupts are on. */
static void ipi_body(u64 n)
{
	u64 want = taken;

	irq_on();
	while (n--) {
		want++;
		reg_write(APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR);
		while (taken != want)
			;
	}
	irq_off();
}

/* How long the timer counts, against the TSC; both are read at the same distance. */
static void calibrate_timer(u64 ticks)
{
	u64 start, stop;
	u32 from, to;

	reg_write(APIC_TDCR, DIVIDE_BY_1);
	reg_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR);
	reg_write(APIC_TMICT, ~0u);
	from = reg_read(APIC_TMCCT);
	start = rdtsc();
	while (rdtsc() - start < CALIBRATION)
		;
	to = reg_read(APIC_TMCCT);
	stop = rdtsc();
	reg_write(APIC_TMICT, 0);
	timer_count = ticks * (from - to) / (stop - start);
	if (!timer_count) {
		skip("the timer of the local APIC does not count");
		return;
	}
	timer_ticks = timer_count * (stop - start) / (from - to);
}

static void timer_set_up(const struct bench *b, u64 n)
{
	ipi_set_up(b, n);
	calibrate_timer(b->arg);
	if (given_up())
		return;
	reg_write(APIC_LVT_TIMER, VECTOR);
	reg_write(APIC_TMICT, timer_count);
	if (!spin_for(1)) {
		irq_clean_up();
		skip("the timer of the local APIC does not interrupt");
	}
}

static void timer_body(u64 n)
{
	u64 want = taken;

	irq_on();
	while (n--) {
		want++;
		reg_write(APIC_TMICT, timer_count);
		while (taken != want)
			;
	}
	irq_off();
}

static void halt_body(u64 n)
{
	u64 want = taken;

	while (n--) {
		want++;
		reg_write(APIC_TMICT, timer_count);
		while (taken != want) {
			irq_on_halt();
			irq_off();
		}
	}
}

/* The time that the timer ran is not what it costs. */
static void timer_control(u64 n)
{
	u64 start = rdtsc();

	while (rdtsc() - start < n * timer_ticks)
		;
}

static const struct bench benches[] = {
	{ "hlt-wake", "one-shot timer, HLT until it interrupts; its time subtracted",
	  timer_set_up, halt_body, timer_control, irq_clean_up, 8, FIXED, HALT_TICKS },
	{ "apic-timer", "one-shot timer, busy until it interrupts; its time subtracted",
	  timer_set_up, timer_body, timer_control, irq_clean_up, 20, 0, SPIN_TICKS },
	{ "self-ipi", "interrupt to the own CPU by the local APIC",
	  ipi_set_up, ipi_body, control_loop, irq_clean_up, 20 },
};

const struct bench_list interrupt_list = BENCH_LIST(benches);
