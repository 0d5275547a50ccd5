// SPDX-License-Identifier: GPL-2.0-only
/* The dirty log: pages that were written, not those that were read, and again each time. */
#include <linux/uaccess.h>
#include "guest.h"
#include "internal.h"
#include "suites.h"

#define WORDS	(GUEST_PAGES / BITS_PER_LONG)

static struct guest *begin(struct kunit *test, u32 paging)
{
	fixture_begin(test);
	random_seed(test, paging);
	return guest_create(test, paging, paging == UMBRA_PAGING_NESTED ? GUEST_NO_PAGING :
			    MODEL_4LEVEL, UMBRA_MEM_LOG_DIRTY);
}

static void end(struct kunit *test, struct guest *g)
{
	guest_free(g);
	fixture_end(test);
}

static int get(struct guest *g, u32 slot, u32 flags, u64 size, u64 addr)
{
	const struct umbra_dirty_log log = {
		.slot = slot, .flags = flags, .size = size, .bitmap = addr,
	};
	int ret;

	mutex_lock(&g->vm->lock);
	ret = umbra_memory_get_dirty(g->vm, &log);
	mutex_unlock(&g->vm->lock);
	return ret;
}

/* Where there is room in user memory, beyond the guest's. */
static u64 buffer(const struct guest *g)
{
	return g->hva + GUEST_PAGES * PAGE_SIZE;
}

static bool read_log(struct guest *g, unsigned long *log)
{
	return !get(g, 0, 0, GUEST_PAGES / 8, buffer(g)) &&
	       !copy_from_user(log, (void __user *)buffer(g), GUEST_PAGES / 8);
}

static void refusals(struct kunit *test)
{
	struct guest *g = begin(test, UMBRA_PAGING_NESTED);
	struct umbra_slot *slot;

	if (g) {
		KUNIT_EXPECT_EQ(test, get(g, 0, 1, GUEST_PAGES / 8, buffer(g)), -EINVAL);
		KUNIT_EXPECT_EQ(test, get(g, 0, 0, GUEST_PAGES / 8 - 8, buffer(g)), -EINVAL);
		KUNIT_EXPECT_EQ(test, get(g, 0, 0, GUEST_PAGES / 8 + 8, buffer(g)), -EINVAL);
		KUNIT_EXPECT_EQ(test, get(g, 1, 0, GUEST_PAGES / 8, buffer(g)), -ENOENT);
		KUNIT_EXPECT_EQ(test, fixture_set_slot(g->vm, 1, 0, BIT_ULL(32), PAGE_SIZE, g->hva),
				0);
		KUNIT_EXPECT_EQ(test, get(g, 1, 0, 8, buffer(g)), -ENOENT);
		/* Of a log that does not arrive nothing is lost. */
		slot = umbra_slot_find(g->vm, 0);
		umbra_mark_dirty(slot, 0);
		umbra_mark_dirty(slot, GUEST_PAGES - 1);
		KUNIT_EXPECT_EQ(test, get(g, 0, 0, GUEST_PAGES / 8, 8), -EFAULT);
		KUNIT_EXPECT_TRUE(test, test_bit(0, slot->dirty));
		KUNIT_EXPECT_TRUE(test, test_bit(GUEST_PAGES - 1, slot->dirty));
		/* The size of one page's log is a whole word. */
		KUNIT_EXPECT_EQ(test, fixture_set_slot(g->vm, 1, UMBRA_MEM_LOG_DIRTY, BIT_ULL(32),
						       PAGE_SIZE, g->hva), 0);
		KUNIT_EXPECT_EQ(test, get(g, 1, 0, 8, buffer(g)), 0);
		KUNIT_EXPECT_EQ(test, get(g, 1, 0, 1, buffer(g)), -EINVAL);
	}
	end(test, g);
}

/* Which bit a page is, at both ends of the slot and of words. */
static void bits(struct kunit *test)
{
	static const unsigned int pages[] = { 0, 1, 63, 64, 65, 127, 500, GUEST_PAGES - 1 };
	struct guest *g = begin(test, UMBRA_PAGING_NESTED);
	unsigned long log[WORDS];
	unsigned int i, bit;

	for (i = 0; g && i < ARRAY_SIZE(pages); i++) {
		umbra_mark_dirty(umbra_slot_find(g->vm, pages[i]), pages[i]);
		if (!FAIL_UNLESS(test, read_log(g, log), "no log"))
			break;
		for (bit = 0; bit < GUEST_PAGES; bit++)
			FAIL_UNLESS(test, test_bit(bit, log) == (bit == pages[i]),
				    "page %u was written, bit %u is %d", pages[i], bit,
				    test_bit(bit, log));
	}
	end(test, g);
}

/* Reads, writes and writes by the module, between readings of the log. */
static void reads_and_writes(struct kunit *test)
{
	const unsigned int page = GUEST_DATA + 3;
	unsigned long log[WORDS];
	unsigned int paging, vcpu, round;
	u64 value = 5;
	struct guest *g;

	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		g = begin(test, paging);
		for (round = 0; g && round < 6; round++) {
			struct soft_op op = { .kind = SOFT_READ, .gva = guest_linear(g, page, 0) };

			vcpu = round % GUEST_VCPUS;
			/* Maps what is on the way, and sets accessed bits there. */
			if (!guest_run(g, vcpu, &op) || !read_log(g, log))
				break;
			if (!guest_run(g, vcpu, &op) || !read_log(g, log))
				break;
			FAIL_UNLESS(test, bitmap_empty(log, GUEST_PAGES),
				    "paging %u: read only, but logged", paging);
			op.kind = SOFT_WRITE;
			op.value = 0x2000 + round;
			if (!guest_run(g, vcpu, &op) || !guest_run(g, !vcpu, &op) ||
			    !read_log(g, log))
				break;
			FAIL_UNLESS(test, test_bit(page, log), "paging %u: written, not logged",
				    paging);
			mutex_lock(&g->vm->vcpu[vcpu]->mutex);
			value++;
			KUNIT_EXPECT_EQ(test,
					umbra_guest_write(g->vm->vcpu[vcpu],
							  ((u64)page << PAGE_SHIFT) + 4092, &value,
							  8),
					0);
			mutex_unlock(&g->vm->vcpu[vcpu]->mutex);
			if (!read_log(g, log))
				break;
			/* It goes on into the next page. */
			FAIL_UNLESS(test,
				    test_bit(page, log) && test_bit(page + 1, log) &&
					    bitmap_weight(log, GUEST_PAGES) == 2,
				    "paging %u: written by the module, not logged, or too much",
				    paging);
		}
		KUNIT_EXPECT_EQ(test, round, 6U);
		end(test, g);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(refusals),
	KUNIT_CASE(bits),
	KUNIT_CASE(reads_and_writes),
	{}
};

struct kunit_suite dirty_suite = {
	.name = "umbra_dirty",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
