// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page of APIC registers that the CPU uses by itself. The CPU is the functions
 * below, written after SDM Vol. 3 30: it sees the page and what it was told.
 */
#include "apic.h"

static struct umbra_vm *vm;
static struct umbra_vcpu *cpu;
static struct umbra_lapic *lapic;
static u8 page[4096] __attribute__((aligned(8)));

static u32 *reg(u32 offset)
{
	return (u32 *)(page + offset);
}

static int setup(void **state)
{
	memset(page, 0, sizeof(page));
	fake_apic = (struct fake_apic) { .delivers = true };
	vm = fake_vm(2);
	cpu = vm->vcpu[0];
	cpu->arch.mp_state = UMBRA_MP_RUNNABLE;
	lapic = cpu->arch.lapic;
	umbra_lapic_use_page(cpu, page);
	return 0;
}

static int teardown(void **state)
{
	fake_free(vm);
	return 0;
}

static void enter_x2apic(void)
{
	u64 base = umbra_lapic_get_base(cpu);

	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, base | X2APIC_ENABLE), 0);
}

static void interrupt(u8 vector, bool level)
{
	umbra_lapic_send_msi(vm, 0xfee00000, vector | (level ? BIT(15) : 0));
}

static int highest(u32 offset)
{
	int i;

	for (i = 255; i >= 0; i--)
		if (*reg(offset + i / 32 * 16) & BIT(i % 32))
			return i;
	return -1;
}

static void put(u32 offset, int vector, bool value)
{
	u32 *word = reg(offset + vector / 32 * 16);

	*word = (*word & ~BIT(vector % 32)) | (value ? BIT(vector % 32) : 0);
}

/* The guest is entered and takes one interrupt if it may; its vector, or -1. */
static int enter(void)
{
	int vector, class;

	umbra_lapic_push(cpu);
	assert_int_equal(fake_apic.requested, highest(APIC_IRR));
	assert_int_equal(fake_apic.serviced, highest(APIC_ISR));
	vector = fake_apic.requested;
	class = *reg(APIC_TASKPRI) >> 4;
	if (fake_apic.serviced >> 4 > class)
		class = fake_apic.serviced >> 4;
	if (vector < 0 || vector >> 4 <= class)
		return -1;
	put(APIC_IRR, vector, false);
	put(APIC_ISR, vector, true);
	return vector;
}

/* The guest ends an interrupt without an exit, or with one afterwards. */
static void end(void)
{
	int vector = highest(APIC_ISR);

	put(APIC_ISR, vector, false);
	if (test_bit(vector, lapic->tmr))
		umbra_lapic_eoi_taken(lapic, vector);
}

/* The CPU keeps the task priority alone: whoever asks sees what the guest wrote. */
static void task_priority(void **state)
{
	fake_apic.delivers = false;
	*reg(APIC_TASKPRI) = 0x50;
	assert_int_equal(rd(cpu, APIC_TASKPRI), 0x50);
	assert_int_equal(umbra_lapic_get_cr8(cpu), 5);
	interrupt(0x51, false);
	assert_int_equal(umbra_lapic_next(cpu), -1);
	umbra_lapic_push(cpu);
	assert_int_equal(fake_apic.requested, 0x51);
	*reg(APIC_TASKPRI) = 0x40;
	assert_int_equal(take(cpu), 0x51);
	umbra_lapic_push(cpu);
	assert_int_equal(fake_apic.requested, -1);
	assert_int_equal(umbra_lapic_set_cr8(cpu, 7), 0);
	assert_int_equal(*reg(APIC_TASKPRI), 0x70);
	umbra_lapic_reset(cpu, true);
	assert_int_equal(*reg(APIC_TASKPRI), 0);
}

static void delivery(void **state)
{
	enter_x2apic();
	assert_true(lapic->delivers);
	assert_int_equal(enter(), -1);
	interrupt(0x41, false);
	interrupt(0x62, false);
	assert_int_equal(enter(), 0x62);
	assert_int_equal(enter(), -1);
	/* One that comes while the CPU has the others. */
	interrupt(0x93, false);
	assert_int_equal(enter(), 0x93);
	end();
	assert_int_equal(enter(), -1);
	end();
	assert_int_equal(enter(), 0x41);
	end();
	assert_int_equal(highest(APIC_ISR), -1);
	assert_int_equal(umbra_lapic_next(cpu), -1);
}

/* All who look at requests and services see those that the CPU has; nothing is lost. */
static void pulling(void **state)
{
	struct umbra_lapic_state saved;
	u64 value;

	enter_x2apic();
	interrupt(0x62, false);
	interrupt(0x41, false);
	interrupt(0x42, true);
	assert_int_equal(enter(), 0x62);
	cpu->requests = 0;
	assert_int_equal(rdmsr(cpu, x2(APIC_ISR + 0x30), &value), 0);
	assert_int_equal(value, 1 << 2);
	assert_int_equal(rdmsr(cpu, x2(APIC_IRR + 0x20), &value), 0);
	assert_int_equal(value, 3 << 1);
	assert_int_equal(rdmsr(cpu, x2(APIC_PROCPRI), &value), 0);
	assert_int_equal(value, 0x60);
	/* The CPU gets it back with the next entry. */
	assert_true(test_bit(UMBRA_REQ_EVENT, &cpu->requests));
	assert_int_equal(enter(), -1);
	assert_int_equal(*reg(APIC_ISR + 0x30), 1 << 2);
	assert_int_equal(*reg(APIC_IRR + 0x20), 3 << 1);
	assert_int_equal(*reg(APIC_TMR + 0x20), 1 << 2);

	umbra_lapic_get_state(cpu, &saved);
	umbra_lapic_reset(cpu, true);
	assert_int_equal(enter(), -1);
	assert_int_equal(highest(APIC_ISR), -1);
	assert_int_equal(umbra_lapic_set_state(cpu, &saved), 0);
	assert_int_equal(enter(), -1);
	end();
	assert_int_equal(enter(), 0x42);
	/* Level-triggered: user space is told. */
	assert_int_equal(umbra_lapic_pending_eoi(cpu), -1);
	end();
	assert_int_equal(umbra_lapic_pending_eoi(cpu), 0x42);
	assert_int_equal(enter(), 0x41);
	/* An EOI that the module carries out ends what the CPU has in service. */
	assert_int_equal(wrmsr(cpu, x2(APIC_EOI), 0), 0);
	assert_int_equal(enter(), -1);
	assert_int_equal(highest(APIC_ISR), -1);
}

/* A vCPU that sleeps is not woken by looking whether it should be. */
static void asleep(void **state)
{
	enter_x2apic();
	interrupt(0x41, false);
	*reg(APIC_TASKPRI) = 0x80;
	assert_int_equal(enter(), -1);
	cpu->arch.mp_state = UMBRA_MP_HALTED;
	cpu->requests = 0;
	assert_false(umbra_lapic_has_interrupt(cpu));
	assert_int_equal(cpu->requests, 0);
	interrupt(0x91, false);
	assert_int_not_equal(cpu->requests, 0);
	assert_true(umbra_lapic_has_interrupt(cpu));
	cpu->arch.mp_state = UMBRA_MP_RUNNABLE;
	assert_int_equal(enter(), 0x91);
}

static void copies(void **state)
{
	static const u16 regs[] = { APIC_ID, APIC_LVR, APIC_LDR, APIC_SPIV, APIC_ESR, APIC_LVTT,
				    APIC_LVTERR, APIC_TMICT, APIC_TDCR };
	unsigned int i;
	u64 value;

	enter_x2apic();
	assert_int_equal(wrmsr(cpu, x2(APIC_LVTT), 0x20040), 0);
	assert_int_equal(wrmsr(cpu, x2(APIC_TDCR), 0xb), 0);
	assert_int_equal(wrmsr(cpu, x2(APIC_TMICT), 100000), 0);
	assert_int_equal(wrmsr(cpu, x2(APIC_SPIV), 0x1fe), 0);
	for (i = 0; i < ARRAY_SIZE(regs); i++) {
		assert_int_equal(rdmsr(cpu, x2(regs[i]), &value), 0);
		assert_int_equal(*reg(regs[i]), value);
	}
	assert_int_equal(*reg(APIC_TMICT), 100000);
	umbra_lapic_reset(cpu, true);
	assert_int_equal(*reg(APIC_LVTT), APIC_LVT_MASKED);
	assert_int_equal(*reg(APIC_TMICT), 0);
	/* A self-IPI of a vector that cannot be is left to the module. */
	*reg(APIC_SELF_IPI) = 7;
	umbra_lapic_page_written(cpu, APIC_SELF_IPI);
	assert_int_equal(wrmsr(cpu, x2(APIC_ESR), 0), 0);
	assert_int_equal(*reg(APIC_ESR), APIC_ESR_SENDILL);
}

/* Where the CPU takes EOIs by itself, the guest is offered none. */
static void pv_eoi(void **state)
{
	assert_int_equal(umbra_lapic_set_pv_eoi(cpu, 0x101), 0);
	interrupt(0x41, false);
	assert_int_equal(take(cpu), 0x41);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_true(lapic->pv_eoi_offered);
	/* Accepted while the CPU begins to deliver interrupts. */
	fake_memory[0x100] = 0;
	enter_x2apic();
	umbra_lapic_settle_eoi(lapic);
	assert_int_equal(enter(), -1);
	assert_int_equal(fake_apic.serviced, -1);
	interrupt(0x42, false);
	assert_int_equal(enter(), 0x42);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_false(lapic->pv_eoi_offered);
	assert_int_equal(fake_memory[0x100], 0);
}

/* In xAPIC mode the guest writes into the page, and is past that when we get to know. */
static void written(void **state)
{
	fake_apic.in_xapic = true;
	umbra_lapic_reset(cpu, false);
	assert_true(lapic->delivers);
	assert_int_equal(*reg(APIC_DFR), 0xffffffff);
	*reg(APIC_SPIV) = 0xfffff1fe;
	umbra_lapic_page_written(cpu, APIC_SPIV);
	assert_int_equal(*reg(APIC_SPIV), 0x1fe);
	assert_int_equal(rd(cpu, APIC_SPIV), 0x1fe);
	*reg(APIC_LVTT) = 0xff800040;
	umbra_lapic_page_written(cpu, APIC_LVTT);
	assert_int_equal(*reg(APIC_LVTT), 0x40);
	/* Read-only. */
	*reg(APIC_ID) = 7 << 24;
	umbra_lapic_page_written(cpu, APIC_ID);
	assert_int_equal(*reg(APIC_ID), 0);
	assert_int_equal(errors(cpu), 0);
	/* The destination is there before the command, and nobody was told. */
	*reg(APIC_ICR2) = 1 << 24;
	*reg(APIC_ICR) = FIXED | 0x44;
	umbra_lapic_page_written(cpu, APIC_ICR);
	assert_int_equal(take(vm->vcpu[1]), 0x44);
	assert_int_equal(enter(), -1);
	assert_int_equal(rd(cpu, APIC_ICR), FIXED | 0x44);
	assert_int_equal(rd(cpu, APIC_ICR2), 1 << 24);
	/* In x2APIC mode there is no such destination. */
	enter_x2apic();
	assert_int_equal(*lapic->icr2, 0);
	assert_true(lapic->delivers);
	assert_int_equal(*reg(APIC_ID), 0);
	assert_int_equal(*reg(APIC_LDR), 1);
}

/* Delivery ends with x2APIC mode: nothing of what the CPU had is left there. */
static void back(void **state)
{
	enter_x2apic();
	interrupt(0x62, false);
	interrupt(0x41, false);
	assert_int_equal(enter(), 0x62);
	fake_apic.delivers = false;
	umbra_lapic_set_delivery(cpu, false);
	assert_int_equal(take(cpu), -1);
	assert_int_equal(wrmsr(cpu, x2(APIC_EOI), 0), 0);
	assert_int_equal(take(cpu), 0x41);
	umbra_lapic_set_delivery(cpu, true);
	interrupt(0x63, false);
	assert_int_equal(enter(), 0x63);
	end();
	assert_int_equal(enter(), -1);
	assert_int_equal(fake_apic.serviced, 0x41);
	end();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(task_priority, setup, teardown),
		cmocka_unit_test_setup_teardown(delivery, setup, teardown),
		cmocka_unit_test_setup_teardown(pulling, setup, teardown),
		cmocka_unit_test_setup_teardown(asleep, setup, teardown),
		cmocka_unit_test_setup_teardown(copies, setup, teardown),
		cmocka_unit_test_setup_teardown(pv_eoi, setup, teardown),
		cmocka_unit_test_setup_teardown(written, setup, teardown),
		cmocka_unit_test_setup_teardown(back, setup, teardown),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
