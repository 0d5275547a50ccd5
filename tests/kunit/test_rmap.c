// SPDX-License-Identifier: GPL-2.0-only
/* Reverse maps: what was added and not removed is there, once, and nothing else is. */
#include "fixture.h"
#include "suites.h"
#include "internal.h"

#define ENTRIES	600	/* so many that lists have dozens of pieces */

struct map {
	struct umbra_vm *vm;
	struct umbra_rmap rmap;
	u64 *entry;	/* what is added are their addresses */
	bool *there;
};

static bool begin(struct kunit *test, struct map *m)
{
	fixture_begin(test);
	m->rmap.value = 0;
	m->entry = kcalloc(ENTRIES, sizeof(*m->entry), GFP_KERNEL);
	m->there = kcalloc(ENTRIES, sizeof(*m->there), GFP_KERNEL);
	m->vm = fixture_vm(test, UMBRA_PAGING_SHADOW, 1);
	return m->vm && m->entry && m->there;
}

static void end(struct kunit *test, struct map *m)
{
	if (m->vm)
		fixture_vm_free(m->vm);
	kfree(m->entry);
	kfree(m->there);
	fixture_end(test);
}

static void add(struct kunit *test, struct map *m, unsigned int i)
{
	KUNIT_EXPECT_EQ(test, umbra_mmu_topup(m->vm->vcpu[0]), 0);
	umbra_rmap_add(m->vm->vcpu[0], &m->rmap, &m->entry[i]);
	m->there[i] = true;
}

static bool check(struct kunit *test, struct map *m)
{
	unsigned int count = 0, seen = 0, i, pieces;
	struct umbra_rmap_iter iter;
	u64 *e;

	for (i = 0; i < ENTRIES; i++)
		count += m->there[i];
	for (e = umbra_rmap_start(&m->rmap, &iter); e; e = umbra_rmap_next(&iter)) {
		if (!FAIL_UNLESS(test,
				 e >= m->entry && e < m->entry + ENTRIES && m->there[e - m->entry],
				 "an entry that was not added, or was removed"))
			return false;
		/* Not again. */
		m->there[e - m->entry] = false;
		seen++;
	}
	for (e = umbra_rmap_start(&m->rmap, &iter); e; e = umbra_rmap_next(&iter))
		m->there[e - m->entry] = true;
	e = umbra_rmap_first(&m->rmap);
	pieces = DIV_ROUND_UP(count, ARRAY_SIZE(((struct umbra_rmap_list *)0)->entry));
	return FAIL_UNLESS(test, seen == count, "%u entries, %u were added", seen, count) &&
	       FAIL_UNLESS(test, count ? e && m->there[e - m->entry] : !e && !m->rmap.value,
			   "the first entry is none") &&
	       FAIL_UNLESS(test, count < 2 || umbra_rmap_depth(&m->rmap) == pieces,
			   "%u pieces for %u entries", umbra_rmap_depth(&m->rmap), count);
}

static void in_and_out(struct kunit *test)
{
	struct map m;
	unsigned int i;

	if (begin(test, &m)) {
		check(test, &m);
		for (i = 0; i < ENTRIES; i++) {
			add(test, &m, i);
			if (!check(test, &m))
				break;
		}
		for (i = 0; i < ENTRIES; i++) {
			umbra_rmap_remove(&m.rmap, &m.entry[i]);
			m.there[i] = false;
			if (!check(test, &m))
				break;
		}
	}
	end(test, &m);
}

static void at_random(struct kunit *test)
{
	unsigned int i, steps, goal = 0;
	struct map m;

	random_seed(test, 1);
	if (begin(test, &m)) {
		for (steps = 0; steps < 6000; steps++) {
			/* Now few, now many. */
			if (steps % 500 == 0)
				goal = random_below(20);
			i = random_below(ENTRIES);
			if (!m.there[i] && random_below(20) < goal) {
				add(test, &m, i);
			} else {
				/* What is not there is not removed. */
				umbra_rmap_remove(&m.rmap, &m.entry[i]);
				m.there[i] = false;
			}
			if (steps % 10 == 0 && !check(test, &m))
				break;
		}
		for (i = 0; i < ENTRIES; i++) {
			umbra_rmap_remove(&m.rmap, &m.entry[i]);
			m.there[i] = false;
		}
		check(test, &m);
	}
	end(test, &m);
}

/* The way of those who drop all there are. */
static void first_and_remove(struct kunit *test)
{
	unsigned int n, i;
	struct map m;
	u64 *e;

	if (begin(test, &m)) {
		for (n = 0; n < 60; n++) {
			for (i = 0; i < n; i++)
				add(test, &m, i);
			for (i = 0; i < n; i++) {
				e = umbra_rmap_first(&m.rmap);
				if (!FAIL_UNLESS(test, e, "%u of %u entries are gone", n - i, n))
					break;
				umbra_rmap_remove(&m.rmap, e);
				m.there[e - m.entry] = false;
			}
			if (!check(test, &m))
				break;
		}
	}
	end(test, &m);
}

/* Each page of a slot has a reverse map of its own, at each level, wherever it begins. */
static void of_pages(struct kunit *test)
{
	static const u64 bases[] = { 0, 1, 511, 512, 513, 0x3ffff, 0x40000, 0x7fffe };
	const unsigned int pages = 1100;
	struct umbra_slot *slot;
	unsigned int i;
	u64 gfn;
	int level;

	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		slot = kunit_kzalloc(test, sizeof(*slot), GFP_KERNEL);
		if (!slot)
			return;
		slot->base = bases[i];
		slot->pages = pages;
		KUNIT_EXPECT_EQ(test, umbra_mmu_slot_alloc(slot), 0);
		for (level = 1; level <= UMBRA_SLOT_LEVELS; level++) {
			/* Marked by whoever comes first: KASAN sees what is out of bounds. */
			for (gfn = slot->base; gfn < slot->base + pages; gfn++) {
				struct umbra_rmap *rmap = umbra_slot_rmap(slot, gfn, level);
				u64 page = (gfn >> (9 * (level - 1))) + 1;

				FAIL_UNLESS(test, !rmap->value || rmap->value == page,
					    "gfn %llu shares level %d with another page", gfn,
					    level);
				rmap->value = page;
			}
		}
		umbra_mmu_slot_free(slot);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(in_and_out),
	KUNIT_CASE(at_random),
	KUNIT_CASE(first_and_remove),
	KUNIT_CASE(of_pages),
	{}
};

struct kunit_suite rmap_suite = {
	.name = "umbra_rmap",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
