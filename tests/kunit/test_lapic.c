// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: which interrupt comes next, against a model of plain arrays, as messages,
 * task priorities and EOIs come at random; and its timer, by the host's clock.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <asm/apicdef.h>
#include "fixture.h"
#include "suites.h"

#define MSI_ADDRESS	0xfee00000ULL
#define VECTOR		0x41

static u32 get(struct umbra_vcpu *vcpu, u32 reg)
{
	u32 value = 0;

	umbra_lapic_read(vcpu, UMBRA_APIC_DEFAULT_BASE + reg, &value, sizeof(value));
	return value;
}

static void set(struct umbra_vcpu *vcpu, u32 reg, u32 value)
{
	umbra_lapic_write(vcpu, UMBRA_APIC_DEFAULT_BASE + reg, &value, sizeof(value));
}

struct model {
	bool irr[256], isr[256];
	u8 tpr;
};

static int highest(const bool *vectors)
{
	int i;

	for (i = 255; i >= 0; i--)
		if (vectors[i])
			break;
	return i;
}

/* SDM Vol. 3 11.8.3.1 */
static u8 ppr(const struct model *m)
{
	int isrv = highest(m->isr);

	if (isrv < 0 || m->tpr >> 4 >= isrv >> 4)
		return m->tpr;
	return isrv & 0xf0;
}

static int next(const struct model *m)
{
	int irrv = highest(m->irr);

	return irrv >= 0 && irrv >> 4 > ppr(m) >> 4 ? irrv : -1;
}

static bool same(struct kunit *test, struct umbra_vcpu *vcpu, const struct model *m)
{
	unsigned int i;
	bool ok;

	ok = FAIL_UNLESS(test, umbra_lapic_next(vcpu) == next(m), "next is %d, expected %d",
			 umbra_lapic_next(vcpu), next(m)) &&
	     FAIL_UNLESS(test, get(vcpu, APIC_PROCPRI) == ppr(m), "PPR is %#x, expected %#x",
			 get(vcpu, APIC_PROCPRI), ppr(m));
	for (i = 0; ok && i < 256; i++)
		ok = FAIL_UNLESS(test,
				 (get(vcpu, APIC_IRR + i / 32 * 16) >> i % 32 & 1) == m->irr[i] &&
					 (get(vcpu, APIC_ISR + i / 32 * 16) >> i % 32 & 1) ==
						 m->isr[i],
				 "bit %u of IRR or ISR", i);
	return ok;
}

static void priorities(struct kunit *test)
{
	struct umbra_vm *vm = fixture_begin_vcpu(test, UMBRA_PAGING_SHADOW);
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	struct umbra_vcpu *vcpu;
	unsigned int steps;
	int vector;

	random_seed(test, 0);
	if (vm && m) {
		vcpu = vm->vcpu[0];
		set(vcpu, APIC_SPIV, 0x1ff);
		for (steps = 0; steps < 3000; steps++) {
			switch (random_below(8)) {
			case 0 ... 2:
				vector = 16 + random_below(240);
				KUNIT_EXPECT_GE(test, umbra_lapic_send_msi(vm, MSI_ADDRESS, vector),
						0);
				m->irr[vector] = true;
				break;
			case 3:
				m->tpr = one_in(2) ? 0 : random64();
				if (one_in(2)) {
					set(vcpu, APIC_TASKPRI, m->tpr);
				} else {
					m->tpr &= 0xf0;
					umbra_lapic_set_cr8(vcpu, m->tpr >> 4);
				}
				KUNIT_EXPECT_EQ(test, umbra_lapic_get_cr8(vcpu), (u64)m->tpr >> 4);
				break;
			case 4 ... 5:
				vector = next(m);
				if (vector < 0)
					break;
				umbra_lapic_accept(vcpu, vector);
				m->irr[vector] = false;
				m->isr[vector] = true;
				break;
			default:
				set(vcpu, APIC_EOI, 0);
				vector = highest(m->isr);
				if (vector >= 0)
					m->isr[vector] = false;
			}
			if (!same(test, vcpu, m))
				break;
		}
	}
	fixture_end_vcpu(test, vm);
}

/* Vectors below 16 are errors, and requests of an APIC that is off are lost. */
static void not_accepted(struct kunit *test)
{
	struct umbra_vm *vm = fixture_begin_vcpu(test, UMBRA_PAGING_SHADOW);
	struct umbra_vcpu *vcpu;
	unsigned int i;

	if (vm) {
		vcpu = vm->vcpu[0];
		set(vcpu, APIC_SPIV, 0xff);
		umbra_lapic_send_msi(vm, MSI_ADDRESS, VECTOR);
		KUNIT_EXPECT_EQ(test, umbra_lapic_next(vcpu), -1);
		set(vcpu, APIC_SPIV, 0x1ff);
		KUNIT_EXPECT_EQ(test, umbra_lapic_next(vcpu), -1);
		for (i = 0; i < 16; i++)
			umbra_lapic_send_msi(vm, MSI_ADDRESS, i);
		KUNIT_EXPECT_EQ(test, umbra_lapic_next(vcpu), -1);
		KUNIT_EXPECT_EQ(test, get(vcpu, APIC_IRR), 0U);
	}
	fixture_end_vcpu(test, vm);
}

#define MS	1000000ULL

/* It counts nanoseconds, here divided by 1. */
static void timer(struct kunit *test)
{
	struct umbra_vm *vm = fixture_begin_vcpu(test, UMBRA_PAGING_SHADOW);
	struct umbra_vcpu *vcpu;
	u64 began, left;
	unsigned int i;

	if (vm) {
		vcpu = vm->vcpu[0];
		set(vcpu, APIC_SPIV, 0x1ff);
		set(vcpu, APIC_TDCR, 0xb);
		set(vcpu, APIC_LVTT, VECTOR);
		began = ktime_get_ns();
		set(vcpu, APIC_TMICT, 100 * MS);
		left = get(vcpu, APIC_TMCCT);
		FAIL_UNLESS(test, left && left <= 100 * MS &&
			    left + (ktime_get_ns() - began) >= 100 * MS, "%llu ns are left", left);
		while (umbra_lapic_next(vcpu) < 0 && ktime_get_ns() - began < 5000 * MS)
			usleep_range(1000, 2000);
		KUNIT_EXPECT_EQ(test, umbra_lapic_next(vcpu), VECTOR);
		KUNIT_EXPECT_GE(test, ktime_get_ns() - began, 100 * MS);
		KUNIT_EXPECT_TRUE(test, test_bit(UMBRA_REQ_EVENT, &vcpu->requests));
		umbra_lapic_accept(vcpu, VECTOR);
		set(vcpu, APIC_EOI, 0);
		KUNIT_EXPECT_EQ(test, get(vcpu, APIC_TMCCT), 0U);

		/* Again and again, until it is masked; never more often than time allows. */
		set(vcpu, APIC_LVTT, VECTOR | APIC_LVT_TIMER_PERIODIC);
		began = ktime_get_ns();
		set(vcpu, APIC_TMICT, 20 * MS);
		for (i = 0; i < 4 && ktime_get_ns() - began < 5000 * MS;) {
			if (umbra_lapic_next(vcpu) == VECTOR) {
				umbra_lapic_accept(vcpu, VECTOR);
				set(vcpu, APIC_EOI, 0);
				i++;
			}
			usleep_range(500, 1000);
		}
		KUNIT_EXPECT_EQ(test, i, 4U);
		KUNIT_EXPECT_GE(test, ktime_get_ns() - began, 80 * MS);
		set(vcpu, APIC_LVTT, VECTOR | APIC_LVT_TIMER_PERIODIC | APIC_LVT_MASKED);
		if (umbra_lapic_next(vcpu) == VECTOR) {
			umbra_lapic_accept(vcpu, VECTOR);
			set(vcpu, APIC_EOI, 0);
		}
		msleep(60);
		KUNIT_EXPECT_EQ(test, umbra_lapic_next(vcpu), -1);
		/* Zero stops it. */
		set(vcpu, APIC_LVTT, VECTOR);
		set(vcpu, APIC_TMICT, 20 * MS);
		set(vcpu, APIC_TMICT, 0);
		msleep(60);
		KUNIT_EXPECT_EQ(test, umbra_lapic_next(vcpu), -1);
	}
	fixture_end_vcpu(test, vm);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(priorities),
	KUNIT_CASE(not_accepted),
	KUNIT_CASE(timer),
	{}
};

struct kunit_suite lapic_suite = {
	.name = "umbra_lapic",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
