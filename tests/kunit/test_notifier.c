// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host takes memory back: no CPU may know of it any more when that is done, and a
 * fault that has looked it up before must not map it after. And all else that takes
 * translations away: none of it without a flush.
 */
#include <linux/mmu_notifier.h>
#include "guest.h"
#include "internal.h"
#include "suites.h"
#include "wrap.h"

static struct guest *begin(struct kunit *test, u32 paging, u32 flags)
{
	random_seed(test, paging);
	fixture_begin(test);
	return guest_create(test, paging, paging == UMBRA_PAGING_NESTED ? GUEST_NO_PAGING :
			    MODEL_4LEVEL, flags);
}

static void end(struct kunit *test, struct guest *g)
{
	guest_free(g);
	fixture_end(test);
}

/* Every vCPU reads and writes the page, so that every CPU may know it. */
static bool touch(struct guest *g, unsigned int page)
{
	unsigned int vcpu;

	for (vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
		struct soft_op op = { .kind = SOFT_READ, .gva = guest_linear(g, page, 8) };

		if (!guest_run(g, vcpu, &op))
			return false;
		op.kind = SOFT_WRITE;
		op.value = 0x1000;
		if (!guest_run(g, vcpu, &op))
			return false;
	}
	return true;
}

static bool known(struct guest *g, unsigned long pfn)
{
	unsigned int vcpu;

	for (vcpu = 0; vcpu < GUEST_VCPUS; vcpu++)
		if (soft_tlb_reaches(g->vm->vcpu[vcpu], pfn))
			return true;
	return false;
}

static bool munmap(struct guest *g, unsigned int page)
{
	return fixture_remap(g->hva + page * PAGE_SIZE, PAGE_SIZE);
}

static bool munmap_around(struct guest *g, unsigned int page)
{
	return fixture_remap(g->hva + (page - 2) * PAGE_SIZE, 4 * PAGE_SIZE);
}

static bool delete_slot(struct guest *g, unsigned int page)
{
	return !fixture_set_slot(g->vm, 0, 0, 0, 0, 0);
}

static bool move_slot(struct guest *g, unsigned int page)
{
	return !fixture_set_slot(g->vm, 0, 0, PAGE_SIZE, GUEST_PAGES * PAGE_SIZE, g->hva);
}

static bool add_slot(struct guest *g, unsigned int page)
{
	return !fixture_set_slot(g->vm, 1, 0, BIT_ULL(30), PAGE_SIZE, g->hva);
}

static bool release(struct guest *g, unsigned int page)
{
	umbra_mmu_zap_all(g->vm);
	return true;
}

static const struct taker {
	const char *name;
	bool (*take)(struct guest *g, unsigned int page);
} takers[] = {
	{ "munmap", munmap },
	{ "munmap of more", munmap_around },
	{ "slot deleted", delete_slot },
	{ "slot moved", move_slot },
	{ "slot added", add_slot },
	{ "all tables dropped", release },
};

static void taken_away(struct kunit *test)
{
	unsigned int i, page, paging;
	unsigned long pfn;
	struct guest *g;

	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		for (i = 0; i < ARRAY_SIZE(takers); i++) {
			g = begin(test, paging, 0);
			page = GUEST_DATA + 4;
			if (g && touch(g, page)) {
				pfn = fixture_pfn(g->hva + page * PAGE_SIZE);
				/* Else the test would prove nothing. */
				KUNIT_EXPECT_TRUE(test, known(g, pfn));
				KUNIT_EXPECT_TRUE(test, takers[i].take(g, page));
				FAIL_UNLESS(test, !known(g, pfn),
					    "%s, paging %u: a CPU still knows the page",
					    takers[i].name, paging);
			}
			end(test, g);
		}
	}
}

/* What is next to a range stays, what is at either end of it goes. */
static void exact_range(struct kunit *test)
{
	const unsigned int page = GUEST_DATA + 4;
	struct mmu_notifier_range range = {};
	unsigned int paging, i;
	struct umbra_slot *slot;
	struct guest *g;

	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		g = begin(test, paging, UMBRA_MEM_LOG_DIRTY);
		for (i = 0; g && i < 4; i++)
			touch(g, page - 1 + i);
		if (g) {
			range.start = g->hva + page * PAGE_SIZE;
			range.end = range.start + 2 * PAGE_SIZE;
			g->vm->notifier.ops->invalidate_range_start(&g->vm->notifier, &range);
			g->vm->notifier.ops->invalidate_range_end(&g->vm->notifier, &range);
			slot = umbra_slot_find(g->vm, page);
			for (i = 0; i < 4; i++)
				FAIL_UNLESS(test, !umbra_slot_rmap(slot, page - 1 + i, 1)->value ==
					    (i == 1 || i == 2), "paging %u: page %u of 4 is wrong",
					    paging, i);
		}
		end(test, g);
	}
}

/* umbra_notifier_retry(), at both ends of the range and for each state of the counts. */
static void retry_rule(struct kunit *test)
{
	struct umbra_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);

	if (!vm)
		return;
	vm->notifier_seq = 5;
	vm->notifier_start = 0x10000;
	vm->notifier_end = 0x20000;
	KUNIT_EXPECT_FALSE(test, umbra_notifier_retry(vm, 5, 0x18000));
	KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, 4, 0x18000));
	KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, 4, 0x30000));
	vm->notifier_count = 1;
	KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, 5, 0x10000));
	KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, 5, 0x1ffff));
	KUNIT_EXPECT_FALSE(test, umbra_notifier_retry(vm, 5, 0x0ffff));
	KUNIT_EXPECT_FALSE(test, umbra_notifier_retry(vm, 5, 0x20000));
	vm->notifier_count = 2;
	KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, 5, 0x18000));
}

/* Invalidations that overlap: none is over before all are, and each end counts. */
static void nested_invalidations(struct kunit *test)
{
	const struct mmu_notifier_ops *ops;
	struct mmu_notifier_range a = {}, b = {};
	struct guest *g = begin(test, UMBRA_PAGING_NESTED, 0);
	struct umbra_vm *vm;
	unsigned long seq;

	if (g) {
		vm = g->vm;
		ops = vm->notifier.ops;
		a.start = g->hva + 8 * PAGE_SIZE;
		a.end = a.start + PAGE_SIZE;
		b.start = g->hva + 2 * PAGE_SIZE;
		b.end = b.start + PAGE_SIZE;
		seq = vm->notifier_seq;
		ops->invalidate_range_start(&vm->notifier, &a);
		ops->invalidate_range_start(&vm->notifier, &b);
		KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, seq, a.start));
		KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, seq, b.start));
		ops->invalidate_range_end(&vm->notifier, &a);
		KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, seq, a.start));
		/* Of one that is still going on, whatever the sequence. */
		KUNIT_EXPECT_TRUE(test, umbra_notifier_retry(vm, vm->notifier_seq, b.start));
		ops->invalidate_range_end(&vm->notifier, &b);
		KUNIT_EXPECT_EQ(test, vm->notifier_seq, seq + 2);
		KUNIT_EXPECT_EQ(test, vm->notifier_count, 0UL);
		KUNIT_EXPECT_FALSE(test, umbra_notifier_retry(vm, seq + 2, b.start));
	}
	end(test, g);
}

static struct interrupted {
	struct guest *g;
	struct mmu_notifier_range range;
	unsigned int page, calls;
	bool begun;
} interrupted;

/* Once, between the look at the host's page and the entry that is to map it. */
static void remap_meanwhile(void)
{
	if (!interrupted.calls++)
		fixture_remap(interrupted.g->hva + interrupted.page * PAGE_SIZE, PAGE_SIZE);
}

/* An invalidation that is under way for the first three attempts. */
static void invalidate_meanwhile(void)
{
	struct umbra_vm *vm = interrupted.g->vm;

	if (!interrupted.calls++) {
		interrupted.range.start = interrupted.g->hva + interrupted.page * PAGE_SIZE;
		interrupted.range.end = interrupted.range.start + PAGE_SIZE;
		vm->notifier.ops->invalidate_range_start(&vm->notifier, &interrupted.range);
		interrupted.begun = true;
	} else if (interrupted.begun && interrupted.calls == 4) {
		vm->notifier.ops->invalidate_range_end(&vm->notifier, &interrupted.range);
		interrupted.begun = false;
	}
}

static u64 retries(struct umbra_vm *vm)
{
	u64 n = vm->arch.mmu.stat[UMBRA_MMU_FAULTS_RETRIED];
	unsigned int vcpu;

	for (vcpu = 0; vcpu < GUEST_VCPUS; vcpu++)
		n += vm->vcpu[vcpu]->arch.mmu.stat[UMBRA_MMU_FAULTS_RETRIED];
	return n;
}

static void in_the_middle_of_a_fault(struct kunit *test)
{
	unsigned int paging, hook;
	struct guest *g;
	u64 before;

	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		for (hook = 0; hook < 2; hook++) {
			struct soft_op op = { .kind = SOFT_READ };

			g = begin(test, paging, 0);
			if (g) {
				/* The way to the page is there, the page itself is new. */
				touch(g, GUEST_DATA + 1);
				interrupted =
					(struct interrupted){ .g = g, .page = GUEST_DATA + 4 };
				fixture_remap(g->hva + interrupted.page * PAGE_SIZE, PAGE_SIZE);
				op.gva = guest_linear(g, interrupted.page, 0);
				before = retries(g->vm);
				wrap_after_host_get(hook ? invalidate_meanwhile : remap_meanwhile);
				/* Whether it leads to the page that is there now is checked. */
				guest_run(g, 0, &op);
				wrap_after_host_get(NULL);
				FAIL_UNLESS(test,
					    interrupted.calls > 1 && !interrupted.begun &&
						    retries(g->vm) - before >= (hook ? 3 : 1),
					    "paging %u, hook %u: looked up %u times, %llu retries",
					    paging, hook, interrupted.calls,
					    retries(g->vm) - before);
			}
			end(test, g);
		}
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(taken_away),
	KUNIT_CASE(exact_range),
	KUNIT_CASE(retry_rule),
	KUNIT_CASE(nested_invalidations),
	KUNIT_CASE(in_the_middle_of_a_fault),
	{}
};

struct kunit_suite notifier_suite = {
	.name = "umbra_notifier",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
