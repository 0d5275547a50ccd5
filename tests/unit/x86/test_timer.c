// SPDX-License-Identifier: GPL-2.0-only
/* The local APIC's timer. It counts nanoseconds. */
#include "apic.h"

#define PERIODIC	APIC_LVT_TIMER_PERIODIC
#define DEADLINE	APIC_LVT_TIMER_TSCDEADLINE
#define VECTOR		0x30

static struct umbra_vm *vm;
static struct umbra_vcpu *cpu;

static int setup(void **state)
{
	fake_unstable = false;
	fake_apic = (struct fake_apic) { 0 };
	vm = fake_vm(1);
	cpu = vm->vcpu[0];
	wr(cpu, APIC_TDCR, 0xb);
	return 0;
}

static int teardown(void **state)
{
	fake_free(vm);
	return 0;
}

/* How often has it fired? Coalesced while nobody takes it, so ask often. */
static bool fired(void)
{
	bool yes = take(cpu) == VECTOR;

	if (yes)
		eoi(cpu);
	return yes;
}

static void divisors(void **state)
{
	static const u8 code[] = { 0xb, 0, 1, 2, 3, 8, 9, 0xa };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(code); i++)
		assert_int_equal(umbra_lapic_divisor(code[i]), 1 << i);
}

static void one_shot(void **state)
{
	wr(cpu, APIC_LVTT, VECTOR);
	wr(cpu, APIC_TMICT, 1000000);
	assert_int_equal(rd(cpu, APIC_TMCCT), 1000000);
	fake_advance(400000);
	assert_int_equal(rd(cpu, APIC_TMCCT), 600000);
	fake_advance(599999);
	assert_false(fired());
	assert_int_equal(rd(cpu, APIC_TMCCT), 1);
	fake_advance(1);
	assert_true(fired());
	assert_int_equal(rd(cpu, APIC_TMCCT), 0);
	assert_int_equal(rd(cpu, APIC_TMICT), 1000000);
	fake_advance(10000000);
	assert_false(fired());
	/* Zero stops it. */
	wr(cpu, APIC_TMICT, 5000);
	wr(cpu, APIC_TMICT, 0);
	fake_advance(10000);
	assert_false(fired());
}

static void periodic(void **state)
{
	unsigned int i;

	wr(cpu, APIC_LVTT, VECTOR | PERIODIC);
	wr(cpu, APIC_TDCR, 3);		/* by 16 */
	wr(cpu, APIC_TMICT, 100000);	/* 1.6 ms */
	for (i = 0; i < 5; i++) {
		fake_advance(1599999);
		assert_false(fired());
		assert_int_equal(rd(cpu, APIC_TMCCT), 1);
		fake_advance(1);
		assert_true(fired());
		assert_int_equal(rd(cpu, APIC_TMCCT), 100000);
	}
	/* Masked it counts on. */
	wr(cpu, APIC_LVTT, VECTOR | PERIODIC | APIC_LVT_MASKED);
	fake_advance(3200000);
	assert_false(fired());
	wr(cpu, APIC_LVTT, VECTOR | PERIODIC);
	fake_advance(1600000);
	assert_true(fired());
	/* One-shot from here: the running period is the last. */
	wr(cpu, APIC_LVTT, VECTOR);
	fake_advance(1600000);
	assert_true(fired());
	fake_advance(1600000);
	assert_false(fired());
}

static void tiny_period(void **state)
{
	unsigned int i, n = 0;

	wr(cpu, APIC_LVTT, VECTOR | PERIODIC);
	wr(cpu, APIC_TMICT, 1);
	for (i = 0; i < 1000; i++) {
		fake_advance(1000);
		n += fired();
		assert_in_range(rd(cpu, APIC_TMCCT), 0, 1);
	}
	/* In a millisecond. */
	assert_in_range(n, 9, 10);
}

static void divide_while_running(void **state)
{
	wr(cpu, APIC_LVTT, VECTOR);
	wr(cpu, APIC_TMICT, 1000000);
	fake_advance(500000);
	wr(cpu, APIC_TDCR, 0);		/* by 2: the other half takes twice as long */
	assert_int_equal(rd(cpu, APIC_TMCCT), 500000);
	fake_advance(999999);
	assert_false(fired());
	fake_advance(1);
	assert_true(fired());
}

static void deadline(void **state)
{
	u64 value, now;

	/* Ignored in the other modes. */
	wr(cpu, APIC_LVTT, VECTOR);
	assert_int_equal(wrmsr(cpu, MSR_IA32_TSC_DEADLINE, 1), 0);
	assert_int_equal(rdmsr(cpu, MSR_IA32_TSC_DEADLINE, &value), 0);
	assert_int_equal(value, 0);

	wr(cpu, APIC_TMICT, 1000);
	wr(cpu, APIC_LVTT, VECTOR | DEADLINE);
	assert_int_equal(rd(cpu, APIC_TMICT), 0);
	fake_advance(10000);
	assert_false(fired());
	wr(cpu, APIC_TMICT, 1000);
	assert_int_equal(rd(cpu, APIC_TMICT), 0);

	now = umbra_guest_tsc(cpu);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, now + 2000000);	/* 1 ms at 2 GHz */
	rdmsr(cpu, MSR_IA32_TSC_DEADLINE, &value);
	assert_int_equal(value, now + 2000000);
	assert_int_equal(rd(cpu, APIC_TMCCT), 0);
	fake_advance(999999);
	assert_false(fired());
	fake_advance(2);
	assert_true(fired());
	rdmsr(cpu, MSR_IA32_TSC_DEADLINE, &value);
	assert_int_equal(value, 0);
	/* Past already. */
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, now);
	assert_true(fired());
	/* Disarmed by zero, and by leaving the mode. */
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 1000);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, 0);
	fake_advance(10000);
	assert_false(fired());
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 1000);
	wr(cpu, APIC_LVTT, VECTOR);
	fake_advance(10000);
	assert_false(fired());
}

static void distant_deadline(void **state)
{
	u64 start, value;

	/* Beyond what the hrtimer is set for at once. */
	wr(cpu, APIC_LVTT, VECTOR | DEADLINE);
	start = umbra_guest_tsc(cpu);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, start + (3ULL << 44));
	fake_advance((3ULL << 43) - 1);
	assert_false(fired());
	fake_advance(2);
	assert_true(fired());
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, ~0ULL);
	fake_advance(1ULL << 50);
	assert_false(fired());
	rdmsr(cpu, MSR_IA32_TSC_DEADLINE, &value);
	assert_int_equal(value, ~0ULL);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, 0);
}

static void deadline_follows_tsc(void **state)
{
	wr(cpu, APIC_LVTT, VECTOR | DEADLINE);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 2000000);
	umbra_clock_adjust_tsc(cpu, 1000000);
	fake_advance(499999);
	assert_false(fired());
	fake_advance(2);
	assert_true(fired());
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 2000000);
	umbra_clock_adjust_tsc(cpu, 3000000);
	assert_true(fired());
}

/* The CPU in the guest notices deadlines, as soon as it is entered. */
static bool reached(void)
{
	if (fake_apic.deadline && umbra_guest_tsc(cpu) >= fake_apic.deadline)
		umbra_lapic_timer_reached(cpu->arch.lapic);
	return fired();
}

static void deadline_in_cpu(void **state)
{
	u64 now = umbra_guest_tsc(cpu), value;

	fake_apic.has_timer = true;
	wr(cpu, APIC_LVTT, VECTOR | DEADLINE);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, now + 2000000);
	assert_int_equal(fake_apic.deadline, now + 2000000);
	assert_false(hrtimer_active(&cpu->arch.lapic->timer));
	/* Too early, as the timer counts only so far. */
	umbra_lapic_timer_reached(cpu->arch.lapic);
	assert_false(fired());
	fake_advance(999999);
	assert_false(reached());
	fake_advance(2);
	rdmsr(cpu, MSR_IA32_TSC_DEADLINE, &value);
	assert_int_equal(value, now + 2000000);
	assert_true(reached());
	assert_int_equal(fake_apic.deadline, 0);
	rdmsr(cpu, MSR_IA32_TSC_DEADLINE, &value);
	assert_int_equal(value, 0);
	assert_false(reached());

	/* One that has passed is not left to the CPU, and any other can be taken back. */
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, 1);
	assert_true(fired());
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 2000000);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, 0);
	assert_int_equal(fake_apic.deadline, 0);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 2000000);
	wr(cpu, APIC_LVTT, VECTOR);
	assert_int_equal(fake_apic.deadline, 0);
	fake_advance(2000000);
	assert_false(fired());
}

/* Asleep it is a timer's, and so it stays until the guest sets another one. */
static void deadline_asleep(void **state)
{
	fake_apic.has_timer = true;
	wr(cpu, APIC_LVTT, VECTOR | DEADLINE);
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 2000000);
	fake_advance(400000);
	umbra_lapic_timer_sleep(cpu->arch.lapic);
	assert_int_equal(fake_apic.deadline, 0);
	umbra_lapic_timer_sleep(cpu->arch.lapic);
	fake_advance(599999);
	assert_false(fired());
	fake_advance(2);
	assert_true(fired());
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 2000000);
	assert_int_not_equal(fake_apic.deadline, 0);
	fake_advance(1000001);
	assert_false(fired());
	/* Past already when it goes to sleep. */
	umbra_lapic_timer_sleep(cpu->arch.lapic);
	fake_advance(1);
	assert_true(fired());
	/* The TSC is set while it sleeps: the timer moves, and stays one. */
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 4000000);
	umbra_lapic_timer_sleep(cpu->arch.lapic);
	umbra_clock_adjust_tsc(cpu, 2000000);
	assert_int_equal(fake_apic.deadline, 0);
	fake_advance(999999);
	assert_false(fired());
	fake_advance(2);
	assert_true(fired());
	/* The TSC is set: the CPU is given the deadline anew, or it has passed. */
	wrmsr(cpu, MSR_IA32_TSC_DEADLINE, umbra_guest_tsc(cpu) + 2000000);
	umbra_clock_adjust_tsc(cpu, 1000000);
	assert_false(reached());
	umbra_clock_adjust_tsc(cpu, 1000000);
	assert_true(reached());
	assert_int_equal(fake_apic.deadline, 0);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(divisors), TEST(one_shot), TEST(periodic), TEST(tiny_period),
		TEST(divide_while_running), TEST(deadline), TEST(distant_deadline),
		TEST(deadline_follows_tsc), TEST(deadline_in_cpu), TEST(deadline_asleep),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
