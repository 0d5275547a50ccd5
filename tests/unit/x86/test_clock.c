// SPDX-License-Identifier: GPL-2.0-only
/* TSC and paravirtual clock, read as a guest reads them. */
#include "apic.h"
#include "load.h"

#define MSR_ENABLE	1

static struct umbra_vm *vm;
static struct umbra_vcpu *cpu;

static int setup(void **state)
{
	fake_unstable = false;
	tsc_khz = 2000000;
	memset(fake_memory, 0, sizeof(fake_memory));
	vm = fake_vm(2);
	cpu = vm->vcpu[0];
	umbra_clock_load(vm->vcpu[0], 0);
	umbra_clock_load(vm->vcpu[1], 1);
	return 0;
}

static int teardown(void **state)
{
	fake_free(vm);
	return 0;
}

static void update(struct umbra_vcpu *vcpu)
{
	if (test_and_clear_bit(UMBRA_REQ_CLOCK, &vcpu->requests))
		umbra_clock_update(vcpu);
}

/* The guest's side of the protocol. */
static u64 clock_of(struct umbra_vcpu *vcpu, bool *stable)
{
	struct pvclock_vcpu_time_info page;

	memcpy(&page, fake_memory + vcpu->id * 64, sizeof(page));
	assert_int_equal(page.version & 1, 0);
	assert_int_not_equal(page.version, 0);
	*stable = page.flags & PVCLOCK_TSC_STABLE_BIT;
	return page.system_time + umbra_clock_delta_ns(umbra_guest_tsc(vcpu) - page.tsc_timestamp,
						       page.tsc_to_system_mul, page.tsc_shift);
}

static void scale(void **state)
{
	static const u32 rates[] = { 1, 999, 32768, 999999, 1000000, 1000001, 2599980, 5000000,
				     U32_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rates); i++) {
		u64 ns, second = rates[i] * 1000ULL;
		u32 mul;
		s8 shift;

		umbra_clock_scale(rates[i], &mul, &shift);
		assert_true(mul >> 31);
		ns = umbra_clock_delta_ns(second, mul, shift);
		assert_in_range(ns, 999999990, 1000000000);
	}
}

static void both_agree(void **state)
{
	u64 first, second, was;
	bool stable;

	assert_int_equal(umbra_clock_set_msr(cpu, 2 | MSR_ENABLE), 1);
	assert_int_equal(umbra_clock_set_msr(vm->vcpu[0], 0 | MSR_ENABLE), 0);
	assert_int_equal(umbra_clock_set_msr(vm->vcpu[1], 64 | MSR_ENABLE), 0);
	fake_advance(123456789);
	update(vm->vcpu[0]);
	fake_advance(1000);
	update(vm->vcpu[1]);
	first = clock_of(vm->vcpu[0], &stable);
	assert_true(stable);
	second = clock_of(vm->vcpu[1], &stable);
	assert_true(stable);
	assert_int_equal(first, second);
	assert_in_range(first, 123457788, 123457790);
	was = first;
	fake_advance(1000000);
	first = clock_of(vm->vcpu[0], &stable);
	assert_in_range(first - was, 999999, 1000001);
}

static void tsc_starts_at_zero(void **state)
{
	assert_int_equal(umbra_guest_tsc(cpu), 0);
	fake_advance(1000);
	assert_int_equal(umbra_guest_tsc(cpu), 2000);
}

static void tsc_moved(void **state)
{
	bool stable;
	u64 ns;

	umbra_clock_set_msr(vm->vcpu[0], 0 | MSR_ENABLE);
	umbra_clock_set_msr(vm->vcpu[1], 64 | MSR_ENABLE);
	fake_advance(1000000);
	update(vm->vcpu[0]);
	update(vm->vcpu[1]);
	ns = clock_of(vm->vcpu[0], &stable);
	umbra_clock_set_tsc(vm->vcpu[0], 77, false);
	assert_int_equal(umbra_guest_tsc(vm->vcpu[0]), 77);
	/* Everybody has to hear of it: the TSCs differ now. */
	assert_true(test_bit(UMBRA_REQ_CLOCK, &vm->vcpu[1]->requests));
	update(vm->vcpu[0]);
	update(vm->vcpu[1]);
	assert_int_equal(clock_of(vm->vcpu[0], &stable), ns);
	assert_false(stable);
	assert_int_equal(clock_of(vm->vcpu[1], &stable), ns);
	assert_false(stable);
}

static void restored_in_step(void **state)
{
	/* Saved at nearly the same time, restored one after the other. */
	umbra_clock_set_tsc(vm->vcpu[0], 1ULL << 40, true);
	fake_advance(5000000);
	umbra_clock_set_tsc(vm->vcpu[1], (1ULL << 40) + 100, true);
	assert_int_equal(umbra_guest_tsc(vm->vcpu[0]), umbra_guest_tsc(vm->vcpu[1]));
	assert_int_equal(umbra_guest_tsc(vm->vcpu[0]), (1ULL << 40) + 10000000);
	/* Far apart means it. */
	umbra_clock_set_tsc(vm->vcpu[1], 1ULL << 50, true);
	assert_int_equal(umbra_guest_tsc(vm->vcpu[1]), 1ULL << 50);
}

static void unstable(void **state)
{
	bool stable;
	u64 before, after;

	umbra_clock_set_msr(cpu, 0 | MSR_ENABLE);
	update(cpu);
	fake_advance(5000000);
	before = clock_of(cpu, &stable);
	fake_unstable = true;
	umbra_clock_put(cpu);
	umbra_clock_load(cpu, 0);
	assert_true(test_bit(UMBRA_REQ_CLOCK, &cpu->requests));
	update(cpu);
	after = clock_of(cpu, &stable);
	assert_false(stable);
	assert_in_range(after, before, before + 2);
	/* On another CPU, and after a while on the same. */
	umbra_clock_put(cpu);
	umbra_clock_load(cpu, 0);
	assert_false(test_bit(UMBRA_REQ_CLOCK, &cpu->requests));
	umbra_clock_put(cpu);
	umbra_clock_load(cpu, 1);
	assert_true(test_bit(UMBRA_REQ_CLOCK, &cpu->requests));
	update(cpu);
	fake_advance(2000000000);
	umbra_clock_put(cpu);
	umbra_clock_load(cpu, 1);
	assert_true(test_bit(UMBRA_REQ_CLOCK, &cpu->requests));
}

static void tsc_went_back(void **state)
{
	u64 tsc, ns;
	bool stable;

	umbra_clock_set_msr(cpu, 0 | MSR_ENABLE);
	update(cpu);
	fake_advance(5000000);
	tsc = umbra_guest_tsc(cpu);
	ns = clock_of(cpu, &stable);
	umbra_clock_put(cpu);
	/* The host slept; its TSC is a quarter of what it was. */
	tsc_khz /= 4;
	umbra_clock_load(cpu, 0);
	assert_true(umbra_guest_tsc(cpu) >= tsc);
	update(cpu);
	assert_true(clock_of(cpu, &stable) >= ns);
}

static void set_and_get(void **state)
{
	struct umbra_clock arg = { .ns = 1ULL << 60 };
	bool stable;

	umbra_clock_set_msr(cpu, 0 | MSR_ENABLE);
	update(cpu);
	assert_int_equal(umbra_clock_set(vm, &arg), 0);
	update(cpu);
	assert_int_equal(clock_of(cpu, &stable), 1ULL << 60);
	fake_advance(1000);
	assert_int_equal(umbra_clock_get(vm, &arg), 0);
	assert_in_range(arg.ns, (1ULL << 60) + 999, (1ULL << 60) + 1000);
	assert_int_equal(umbra_clock_set(vm, &arg), 0);
	arg.flags = 1;
	assert_int_equal(umbra_clock_set(vm, &arg), -EINVAL);
	arg.flags = 0;
	arg.reserved = 1;
	assert_int_equal(umbra_clock_set(vm, &arg), -EINVAL);
	arg.reserved = 0;
	arg.ns = 1ULL << 63;
	assert_int_equal(umbra_clock_set(vm, &arg), -EINVAL);
}

static void wall_clock(void **state)
{
	struct pvclock_wall_clock wall;
	u64 start = fake_ns;

	fake_advance(1500000000);
	assert_int_equal(umbra_clock_set_wall(cpu, 0x103, false), 1);
	assert_int_equal(umbra_clock_set_wall(cpu, 0x100, false), 0);
	memcpy(&wall, fake_memory + 0x100, sizeof(wall));
	assert_int_equal(wall.version, 2);
	assert_int_equal(wall.sec * 1000000000ULL + wall.nsec,
			 start + 1700000000ULL * 1000000000);
	assert_int_equal(umbra_clock_get_wall(vm), 0x100);
}

static void no_memory_there(void **state)
{
	umbra_clock_set_msr(cpu, 0x100000 | MSR_ENABLE);
	update(cpu);
	umbra_clock_set_msr(cpu, 4092 | MSR_ENABLE);
	update(cpu);
	umbra_clock_reset(cpu);
	umbra_request(cpu, UMBRA_REQ_CLOCK);
	memset(fake_memory, 0, sizeof(fake_memory));
	update(cpu);
	assert_null(memchr_inv(fake_memory, 0, sizeof(fake_memory)));
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(scale), TEST(both_agree), TEST(tsc_starts_at_zero), TEST(tsc_moved),
		TEST(restored_in_step), TEST(unstable), TEST(tsc_went_back), TEST(set_and_get),
		TEST(wall_clock), TEST(no_memory_there),
	};

	return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
