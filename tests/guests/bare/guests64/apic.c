// SPDX-License-Identifier: GPL-2.0-only
/* Interrupt controllers and timers: local APIC, IOAPIC, PIC, PIT, RTC. */
#include "apic.h"
#include "dev.h"
#include "test.h"
#include "trap.h"

static volatile int count[256];
static volatile int order[16], orders;

static bool counting(struct regs *r)
{
	count[r->vector]++;
	if (orders < 16)
		order[orders++] = r->vector;
	apic_eoi();
	return true;
}

static bool counting_no_eoi(struct regs *r)
{
	count[r->vector]++;
	return true;
}

static void set_up(void)
{
	int i;

	apic_enable();
	for (i = 0; i < 256; i++)
		count[i] = 0;
	orders = 0;
	for (i = 0x40; i < 0x80; i++)
		set_handler(i, counting);
	set_handler(0xff, counting_no_eoi);
}

static void open_window(void)
{
	asm volatile("sti; nop; nop; cli" ::: "memory");
}

/* --- registers --- */

static void test_identity(void)
{
	u32 version = apic_read(APIC_VERSION);

	set_up();
	check_eq(rdmsr(MSR_APIC_BASE) & ~0xfffull, APIC_PHYS, "APIC base");
	check_eq(apic_id(), cpuid(1, 0).b >> 24, "APIC id and CPUID");
	check((version & 0xff) >= 0x10 && (version & 0xff) <= 0x15, "version %x", version);
	check((version >> 16 & 0xff) >= 3, "highest LVT entry %u", version >> 16 & 0xff);
	check(HAS(1, 0, d, 9), "CPUID does not show the APIC");
}

static void test_registers(void)
{
	static const u16 lvt[] = { APIC_LVT_TIMER, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR };
	u32 i;

	set_up();
	apic_write(APIC_TPR, 0xab);
	check_eq(apic_read(APIC_TPR), 0xab, "TPR");
	check_eq(apic_read(APIC_PPR), 0xab, "PPR with nothing in service");
	apic_write(APIC_TPR, 0);
	for (i = 0; i < ARRAY_SIZE(lvt); i++) {
		apic_write(lvt[i], LVT_MASKED | 0x5a);
		check_eq(apic_read(lvt[i]), LVT_MASKED | 0x5a, "LVT entry");
		apic_write(lvt[i], LVT_MASKED);
	}
	if (!apic_x2()) {
		apic_write(APIC_LDR, 0x12ffffff);
		check_eq(apic_read(APIC_LDR), 0x12000000, "LDR");
		apic_write(APIC_DFR, 0x0fffffff);
		check_eq(apic_read(APIC_DFR), 0x0fffffff, "DFR");
		apic_write(APIC_DFR, 0xffffffff);
		apic_write(APIC_ICR2, 0x34000000);
		check_eq(apic_read(APIC_ICR2), 0x34000000, "ICR high");
	}
	apic_write(APIC_TDCR, 0xb);
	check_eq(apic_read(APIC_TDCR), 0xb, "TDCR");
}

/* Software disable: SDM Vol. 3A 10.4.7.2. LVT entries become masked and stay so. */
static void test_software_disable(void)
{
	set_up();
	known_on_qemu("LVT entries can be unmasked while the APIC is disabled");
	apic_write(APIC_LVT_TIMER, 0x44);
	apic_write(APIC_SVR, 0xff);
	check_eq(apic_read(APIC_LVT_TIMER) & LVT_MASKED, LVT_MASKED, "mask after the disable");
	apic_write(APIC_LVT_TIMER, 0x44);
	check_eq(apic_read(APIC_LVT_TIMER) & LVT_MASKED, LVT_MASKED, "mask while disabled");
	apic_write(APIC_SVR, SVR_ENABLE | 0xff);
	check_eq(apic_read(APIC_LVT_TIMER) & LVT_MASKED, LVT_MASKED, "mask after the enable");
}

static void test_global_disable(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	set_up();
	if (known_on_qemu("the APIC's registers stay when it is off")) {
		skip("QEMU's APIC cannot be switched off");
		return;
	}
	apic_write(APIC_TPR, 0x30);
	wrmsr(MSR_APIC_BASE, base & ~(u64)APIC_BASE_ON);
	check(!HAS(1, 0, d, 9), "CPUID shows the APIC while it is off");
	wrmsr(MSR_APIC_BASE, base);
	if (!HAS(1, 0, d, 9) && !HAS_HYPERVISOR) {
		skip("an APIC that needs a reset to come back, as SDM Vol. 3A 10.4.3 allows");
		return;
	}
	check(HAS(1, 0, d, 9), "CPUID does not show the APIC");
	check_eq(apic_read(APIC_SVR) & SVR_ENABLE, 0, "software enable after that");
	check_eq(apic_read(APIC_TPR), 0, "TPR after that");
	apic_enable();
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(MSR_APIC_BASE, base | BIT64(cpu_phys_bits())));
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(MSR_APIC_BASE, base | 1));
}

/* --- interrupts --- */

static void test_self_ipi(void)
{
	int i;

	set_up();
	for (i = 0; i < 20; i++) {
		apic_self_ipi(0x41);
		open_window();
		check_eq(count[0x41], i + 1, "interrupts");
	}
	/* Two of one vector while it is pending are one. */
	apic_self_ipi(0x42);
	apic_self_ipi(0x42);
	open_window();
	open_window();
	check_eq(count[0x42], 1, "interrupts of a vector sent twice");
}

/* What a hypervisor's own timer brings meanwhile takes nothing from the guest's window. */
static void test_held_off(void)
{
	int i;

	set_up();
	for (i = 0; i < 10; i++) {
		apic_self_ipi(0x41);
		delay_ms(10);
		check_eq(count[0x41], i, "interrupts while they are off");
		open_window();
		check_eq(count[0x41], i + 1, "interrupts");
	}
}

static void test_irr_isr(void)
{
	set_up();
	set_handler(0x55, counting_no_eoi);
	apic_self_ipi(0x55);
	check(apic_test_bit(APIC_IRR, 0x55), "not in IRR while IF is clear");
	check(!apic_test_bit(APIC_ISR, 0x55), "in ISR before delivery");
	open_window();
	check_eq(count[0x55], 1, "interrupts");
	check(!apic_test_bit(APIC_IRR, 0x55), "in IRR after delivery");
	check(apic_test_bit(APIC_ISR, 0x55), "not in ISR before EOI");
	check_eq(apic_read(APIC_PPR), 0x50, "PPR with 55h in service");
	/* One in service holds back its own class and those below. */
	apic_self_ipi(0x5f);
	apic_self_ipi(0x44);
	open_window();
	check_eq(count[0x5f] + count[0x44], 0, "interrupts of no higher class");
	apic_self_ipi(0x61);
	open_window();
	check_eq(count[0x61], 1, "interrupts of a higher class");
	apic_eoi();
	check(!apic_test_bit(APIC_ISR, 0x55), "in ISR after EOI");
	open_window();
	open_window();
	check_eq(count[0x5f], 1, "the held back one of the class");
	check_eq(count[0x44], 1, "the held back one below");
	check_eq(apic_read(APIC_PPR), 0, "PPR at the end");
}

static void test_tpr(void)
{
	set_up();
	apic_write(APIC_TPR, 0x5f);
	apic_self_ipi(0x5f);
	apic_self_ipi(0x61);
	open_window();
	check(count[0x61] == 1 && count[0x5f] == 0, "with TPR 5F: %d of 61h, %d of 5Fh",
	      count[0x61], count[0x5f]);
	apic_write(APIC_TPR, 0x4f);
	open_window();
	check_eq(count[0x5f], 1, "interrupts after TPR went down");
	apic_write(APIC_TPR, 0);
}

/* The same by CR8, which is its upper half: priorities go up and down without a break. */
static void test_cr8(void)
{
	int i;

	set_up();
	apic_write(APIC_TPR, 0x35);
	check_eq(read_cr8(), 3, "CR8");
	for (i = 15; i >= 0; i--) {
		write_cr8(i);
		check_eq(apic_read(APIC_TPR), i << 4, "TPR after MOV to CR8");
	}
	for (i = 4; i < 8; i++)
		apic_self_ipi(i << 4 | 1);
	write_cr8(8);
	for (i = 7; i >= 4; i--) {
		irq_on();
		check_eq(orders, 7 - i, "interrupts before CR8 went down");
		write_cr8(i - 1);
		/* The one that is let through is taken at once. */
		check_eq(orders, 8 - i, "interrupts after CR8 went down");
		check_eq(order[7 - i], i << 4 | 1, "vector");
		irq_off();
	}
	write_cr8(0);
	check_eq(read_cr8(), 0, "CR8 at the end");
}

static void test_cr8_reserved(void)
{
	known_on_tcg("MOV to CR8 takes any value");
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr8(0x10));
	write_cr8(0);
}

static void test_logical(void)
{
	u32 id = apic_id();

	set_up();
	if (apic_x2()) {
		skip("x2APIC");
		return;
	}
	apic_write(APIC_DFR, 0xffffffff);
	apic_write(APIC_LDR, 0x04000000);
	apic_icr(0x04, ICR_LOGICAL | ICR_ASSERT | 0x41);
	apic_icr(0x0c, ICR_LOGICAL | ICR_ASSERT | 0x42);
	apic_icr(0x08, ICR_LOGICAL | ICR_ASSERT | 0x43);
	open_window();
	open_window();
	check(count[0x41] == 1 && count[0x42] == 1 && count[0x43] == 0, "flat: %d %d %d",
	      count[0x41], count[0x42], count[0x43]);
	apic_write(APIC_DFR, 0x0fffffff);
	apic_write(APIC_LDR, 0x24000000);
	apic_icr(0x24, ICR_LOGICAL | ICR_ASSERT | 0x44);
	apic_icr(0x14, ICR_LOGICAL | ICR_ASSERT | 0x45);
	apic_icr(0x23, ICR_LOGICAL | ICR_ASSERT | 0x46);
	open_window();
	check(count[0x44] == 1 && count[0x45] == 0 && count[0x46] == 0, "cluster: %d %d %d",
	      count[0x44], count[0x45], count[0x46]);
	apic_write(APIC_DFR, 0xffffffff);
	apic_icr(id, ICR_ASSERT | 0x47);
	open_window();
	check_eq(count[0x47], 1, "physical");
}

static void test_errors(void)
{
	set_up();
	if (known_on_qemu("the APIC delivers illegal vectors")) {
		skip("QEMU's APIC delivers illegal vectors");
		return;
	}
	known_on_bochs("no error interrupts");
	apic_write(APIC_LVT_ERROR, 0x4e);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	check_eq(apic_read(APIC_ESR), 0, "ESR");
	apic_self_ipi(5);
	apic_write(APIC_ESR, 0);
	check(apic_read(APIC_ESR) & (BIT(5) | BIT(6)), "ESR after an illegal vector is %x",
	      apic_read(APIC_ESR));
	open_window();
	check_eq(count[0x4e], 1, "error interrupts");
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	check_eq(apic_read(APIC_ESR), 0, "ESR at the end");
}

/* --- timer --- */

static void test_timer_count(void)
{
	u32 a, b;

	set_up();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, LVT_MASKED | 0x41);
	apic_write(APIC_TMICT, 0xffffffff);
	a = apic_read(APIC_TMCCT);
	delay_ms(2);
	b = apic_read(APIC_TMCCT);
	check(b < a, "count went from %x to %x", a, b);
	apic_write(APIC_TMICT, 0);
	check_eq(apic_read(APIC_TMCCT), 0, "count after it was stopped");
}

static void test_timer_one_shot(void)
{
	set_up();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, 0x41);
	apic_write(APIC_TMICT, 100000);
	irq_on();
	check(WAIT_FOR(1000, count[0x41]), "no interrupt within a second");
	delay_ms(3);
	irq_off();
	check_eq(count[0x41], 1, "interrupts");
	check_eq(apic_read(APIC_TMCCT), 0, "count at the end");
	/* Masked: it runs out without one. */
	apic_write(APIC_LVT_TIMER, LVT_MASKED | 0x41);
	apic_write(APIC_TMICT, 1000);
	WAIT_FOR(1000, !apic_read(APIC_TMCCT));
	open_window();
	check_eq(count[0x41], 1, "interrupts while masked");
}

static void test_timer_periodic(void)
{
	set_up();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, LVT_PERIODIC | 0x42);
	apic_write(APIC_TMICT, 500000);
	irq_on();
	check(WAIT_FOR(3000, count[0x42] >= 5), "%d interrupts in three seconds", count[0x42]);
	irq_off();
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	open_window();
}

static void test_timer_halt(void)
{
	int i;

	set_up();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVT_TIMER, 0x43);
	for (i = 1; i <= 5; i++) {
		apic_write(APIC_TMICT, 200000);
		while (count[0x43] < i) {
			irq_on_halt();
			irq_off();
		}
		check_eq(count[0x43], i, "interrupts that ended HLT");
	}
}

/* A larger divisor makes the count slower. */
static void test_timer_divide(void)
{
	u32 fast, slow;
	u64 start, ticks;

	set_up();
	apic_write(APIC_LVT_TIMER, LVT_MASKED | 0x41);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_TMICT, 0xffffffff);
	start = rdtsc();
	delay_ms(5);
	fast = 0xffffffff - apic_read(APIC_TMCCT);
	ticks = rdtsc() - start;
	apic_write(APIC_TDCR, 0xa);
	apic_write(APIC_TMICT, 0xffffffff);
	start = rdtsc();
	while (rdtsc() - start < ticks)
		;
	slow = 0xffffffff - apic_read(APIC_TMCCT);
	/* 128 times; anything between 30 and 500 will do on a machine that stumbles. */
	check(slow && fast / slow >= 30 && fast / slow <= 500, "by 1: %u, by 128: %u", fast, slow);
	apic_write(APIC_TMICT, 0);
}

static void test_deadline(void)
{
	u64 at;

	set_up();
	if (!HAS_TSC_DEADLINE) {
		skip("no TSC deadline");
		return;
	}
	known_on_bochs("the deadline register is not cleared");
	apic_write(APIC_LVT_TIMER, LVT_DEADLINE | 0x44);
	asm volatile("mfence" ::: "memory");
	/* Far enough ahead that it has not passed when it is read, on a slow host, too. */
	at = rdtsc() + 50ull * tsc_per_ms();
	wrmsr(MSR_TSC_DEADLINE, at);
	check_eq(rdmsr(MSR_TSC_DEADLINE), at, "deadline");
	irq_on();
	check(WAIT_FOR(1000, count[0x44]), "no interrupt within a second");
	irq_off();
	check(rdtsc() >= at, "it came too early");
	check_eq(rdmsr(MSR_TSC_DEADLINE), 0, "deadline after it passed");
	wrmsr(MSR_TSC_DEADLINE, rdtsc() - 1);
	open_window();
	check_eq(count[0x44], 2, "interrupts after a deadline in the past");
	wrmsr(MSR_TSC_DEADLINE, rdtsc() + 50ull * tsc_per_ms());
	wrmsr(MSR_TSC_DEADLINE, 0);
	delay_ms(60);
	open_window();
	check_eq(count[0x44], 2, "interrupts after the deadline was disarmed");
	apic_write(APIC_LVT_TIMER, LVT_MASKED);
}

/* --- x2APIC: SDM Vol. 3A 10.12 --- */

static void test_x2apic(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);
	u32 id = apic_id();

	set_up();
	if (!HAS_X2APIC) {
		skip("no x2APIC");
		return;
	}
	known_on_bochs("the logical id is not made from the id; off to x2APIC is allowed");
	EXPECT_TRAP_ERR(VEC_GP, 0, rdmsr(0x802));
	/* Extended mode needs the enable bit. */
	EXPECT_TRAP_ERR(VEC_GP, 0,
			wrmsr(MSR_APIC_BASE, (base | APIC_BASE_X2) & ~(u64)APIC_BASE_ON));
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2);
	check(apic_x2(), "APIC base is %llx", (unsigned long long)rdmsr(MSR_APIC_BASE));
	check_eq(rdmsr(0x802), id, "id");
	check_eq(rdmsr(0x80d), (id >> 4) << 16 | 1u << (id & 15), "logical id");
	/* Back to xAPIC is not allowed but through off. */
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(MSR_APIC_BASE, base));
	set_up();
	wrmsr(0x83f, 0x41);
	open_window();
	check_eq(count[0x41], 1, "interrupts by SELF IPI");
	apic_icr(id, ICR_ASSERT | 0x42);
	apic_icr(1u << (id & 15) | (id >> 4) << 16, ICR_LOGICAL | ICR_ASSERT | 0x43);
	apic_self_ipi(0x44);
	open_window();
	open_window();
	open_window();
	check(count[0x42] == 1 && count[0x43] == 1 && count[0x44] == 1, "physical %d logical %d self %d",
	      count[0x42], count[0x43], count[0x44]);
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(0x80b, 1));
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(0x802, 1));
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(0x808, BIT64(32)));
	EXPECT_TRAP_ERR(VEC_GP, 0, rdmsr(0x80e));
	EXPECT_TRAP_ERR(VEC_GP, 0, rdmsr(0x831));
	EXPECT_TRAP_ERR(VEC_GP, 0, rdmsr(0x83f));
	wrmsr(0x808, 0x30);
	check_eq(read_cr8(), 3, "CR8 after TPR by MSR");
	wrmsr(0x808, 0);
	test_registers();
	wrmsr(MSR_APIC_BASE, base & ~(u64)(APIC_BASE_ON | APIC_BASE_X2));
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2));
	wrmsr(MSR_APIC_BASE, base);
	apic_enable();
}

/* --- the board's interrupts --- */

static volatile int pic_count[16];

static bool pic_handler(struct regs *r)
{
	int irq = r->vector - 0x20;

	pic_count[irq]++;
	if (irq == 8)
		cmos_read(0x0c);
	pic_eoi(irq);
	return true;
}

static void pic_set_up(void)
{
	int i;

	set_up();
	pic_init(0x20);
	for (i = 0; i < 16; i++) {
		set_handler(0x20 + i, pic_handler);
		pic_count[i] = 0;
	}
}

/* ExtINT through LINT0. */
static void test_pic(void)
{
	pic_set_up();
	apic_write(APIC_LVT_LINT0, 0x700);
	pit_program(0, 2, PIT_HZ / 200);
	pic_mask(0xfffe);
	irq_on();
	check(WAIT_FOR(2000, pic_count[0] >= 3), "%d timer interrupts in two seconds",
	      pic_count[0]);
	irq_off();
	pic_mask(0xffff);
	open_window();
	pic_count[0] = 0;
	irq_on();
	delay_ms(15);
	irq_off();
	check_eq(pic_count[0], 0, "timer interrupts while masked in the PIC");
	/* And with LINT0 masked. */
	known_on_bochs("LINT0 is always open");
	apic_write(APIC_LVT_LINT0, LVT_MASKED | 0x700);
	pic_mask(0xfffe);
	irq_on();
	delay_ms(15);
	irq_off();
	check_eq(pic_count[0], 0, "timer interrupts while LINT0 is masked");
	pic_mask(0xffff);
}

/* Mode 0 counts down once and interrupts once; the count can be read on the way. */
static void test_pit(void)
{
	u16 a, b;

	pic_set_up();
	apic_write(APIC_LVT_LINT0, 0x700);
	pit_program(0, 0, PIT_HZ / 100);
	pic_mask(0xfffe);
	a = pit_read(0);
	delay_ms(1);
	b = pit_read(0);
	check(b < a && a <= PIT_HZ / 100, "count went from %u to %u", a, b);
	irq_on();
	check(WAIT_FOR(2000, pic_count[0]), "no interrupt in mode 0");
	delay_ms(30);
	irq_off();
	check_eq(pic_count[0], 1, "interrupts in mode 0");
	/* Status by read-back: mode and access as written. */
	pit_program(0, 2, 1000);
	outb(0x43, 0xe2);
	check_eq(inb(0x40) & 0x3f, 0x34, "status of channel 0");
	/* Channel 2's gate is bit 0 of port 61h, its output bit 5. */
	outb(0x61, inb(0x61) & ~3);
	pit_program(2, 0, 100);
	delay_ms(2);
	known_on_qemu("channel 2 counts with its gate off");
	check(!(inb(0x61) & 0x20), "channel 2 counted with its gate off");
	outb(0x61, (inb(0x61) & ~2) | 1);
	check(WAIT_FOR(1000, inb(0x61) & 0x20), "channel 2 did not count to the end");
	pic_mask(0xffff);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
}

static void test_rtc(void)
{
	u8 a, b;

	pic_set_up();
	apic_write(APIC_LVT_LINT0, 0x700);
	check(cmos_read(0x0d) & 0x80, "RTC status D is %x", cmos_read(0x0d));
	a = cmos_read(0x0a);
	b = cmos_read(0x0b);
	cmos_write(0x0a, (a & 0xf0) | 6);	/* 1024 Hz */
	cmos_write(0x0b, b | 0x40);
	cmos_read(0x0c);
	pic_mask(0xfefb);
	irq_on();
	check(WAIT_FOR(3000, pic_count[8] >= 5), "%d periodic interrupts in three seconds",
	      pic_count[8]);
	irq_off();
	/* Update-ended: one a second. */
	cmos_write(0x0b, (b & ~0x40) | 0x10);
	cmos_read(0x0c);
	pic_count[8] = 0;
	irq_on();
	check(WAIT_FOR(4000, pic_count[8] >= 1), "no update interrupt in four seconds");
	irq_off();
	cmos_write(0x0b, b);
	cmos_write(0x0a, a);
	cmos_read(0x0c);
	pic_mask(0xffff);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
}

#define SERIAL_PIN 4

static bool enter_x2apic(u64 base)
{
	if (!HAS_X2APIC) {
		skip("no x2APIC");
		return false;
	}
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2);
	return true;
}

static void leave_x2apic(u64 base)
{
	wrmsr(MSR_APIC_BASE, base & ~(u64)(APIC_BASE_ON | APIC_BASE_X2));
	wrmsr(MSR_APIC_BASE, base);
	apic_enable();
}

static void test_ioapic_edge(void)
{
	int pins, i;

	pic_set_up();
	known_on_bochs("timer edges are lost");
	pins = ioapic_pins();
	check(pins >= 16 && pins <= 240, "%d pins", pins);
	/* The timer is on pin 2 or, on some boards, on pin 0: let both reach us. */
	ioapic_set(2, 0x51, apic_id() << 24);
	pit_program(0, 2, PIT_HZ / 200);
	irq_on();
	if (!WAIT_FOR(500, count[0x51] >= 3)) {
		ioapic_set(0, 0x51, apic_id() << 24);
		WAIT_FOR(500, count[0x51] >= 3);
	}
	irq_off();
	check(count[0x51] >= 3, "%d timer interrupts", count[0x51]);
	for (i = 0; i < 3; i += 2)
		ioapic_set(i, LVT_MASKED | 0x51, 0);
	open_window();
	count[0x51] = 0;
	irq_on();
	delay_ms(15);
	irq_off();
	check_eq(count[0x51], 0, "timer interrupts while masked");
}

/*
 * Level triggered: as long as the line is up the interrupt comes again after EOI,
 * and remote IRR is set from delivery to EOI. The serial port's transmitter-empty
 * interrupt keeps its line up until it is served.
 */
static volatile int level_count;
static volatile u32 level_entry;

static bool level_handler(struct regs *r)
{
	level_entry = ioapic_read(0x10 + 2 * SERIAL_PIN);
	if (++level_count == 3)
		outb(0x3f9, 0);
	apic_eoi();
	return true;
}

static void test_ioapic_level(void)
{
	set_up();
	known_on_bochs("the serial port's line does not stay up");
	level_count = 0;
	set_handler(0x52, level_handler);
	ioapic_set(SERIAL_PIN, BIT(15) | 0x52, apic_id() << 24);
	WAIT_FOR(100, inb(0x3fd) & 0x40);
	outb(0x3fc, 0xb);
	outb(0x3f9, 2);
	irq_on();
	check(WAIT_FOR(1000, level_count >= 3), "%d interrupts of a line that stays up",
	      level_count);
	delay_ms(2);
	irq_off();
	check_eq(level_count, 3, "interrupts");
	check(level_entry & BIT(14), "remote IRR in the handler: entry is %x", level_entry);
	check(!(ioapic_read(0x10 + 2 * SERIAL_PIN) & BIT(14)), "remote IRR after EOI");
	outb(0x3f9, 0);
	outb(0x3fc, 3);
	ioapic_set(SERIAL_PIN, LVT_MASKED, 0);
	set_handler(0x52, counting);
}

/* What was seen of the APIC in memory, by MSRs. */
static void test_x2apic_interrupts(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (!enter_x2apic(base))
		return;
	test_self_ipi();
	test_irr_isr();
	test_tpr();
	test_cr8();
	test_errors();
	leave_x2apic(base);
}

static void test_x2apic_timer(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (!enter_x2apic(base))
		return;
	test_timer_count();
	test_timer_one_shot();
	test_timer_halt();
	test_deadline();
	leave_x2apic(base);
}

static void test_x2apic_level(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (!enter_x2apic(base))
		return;
	test_ioapic_level();
	leave_x2apic(base);
}

const struct test guest_tests[] = {
	{ "identity", test_identity },
	{ "registers", test_registers },
	{ "software-disable", test_software_disable },
	{ "self-ipi", test_self_ipi },
	{ "held-off", test_held_off },
	{ "irr-isr", test_irr_isr },
	{ "tpr", test_tpr },
	{ "cr8", test_cr8 },
	{ "cr8-reserved", test_cr8_reserved },
	{ "logical", test_logical },
	{ "errors", test_errors },
	{ "timer-count", test_timer_count },
	{ "timer-one-shot", test_timer_one_shot },
	{ "timer-periodic", test_timer_periodic },
	{ "timer-halt", test_timer_halt },
	{ "timer-divide", test_timer_divide },
	{ "deadline", test_deadline },
	{ "x2apic", test_x2apic },
	{ "pic", test_pic },
	{ "pit", test_pit },
	{ "rtc", test_rtc },
	{ "ioapic-edge", test_ioapic_edge },
	{ "ioapic-level", test_ioapic_level },
	{ "x2apic-interrupts", test_x2apic_interrupts },
	{ "x2apic-timer", test_x2apic_timer },
	{ "x2apic-level", test_x2apic_level },
	/* The last one: on some machines there is no APIC afterwards. */
	{ "global-disable", test_global_disable },
};

GUEST("apic");
