// SPDX-License-Identifier: GPL-2.0-only
/* Memory slots: what is refused and with which error, what is found, what a change leaves. */
#include "fixture.h"
#include "suites.h"

#define PAGES	64	/* of user memory that slots may lie in */

struct memory {
	struct umbra_vm *vm;
	unsigned long hva;
};

static bool begin(struct kunit *test, struct memory *m, unsigned int vcpus)
{
	fixture_begin(test);
	m->vm = fixture_vm(test, UMBRA_PAGING_SHADOW, vcpus);
	m->hva = m->vm ? fixture_map(test, PAGES * PAGE_SIZE) : 0;
	return m->hva;
}

static void end(struct kunit *test, struct memory *m)
{
	if (m->vm)
		fixture_vm_free(m->vm);
	fixture_unmap(m->hva, PAGES * PAGE_SIZE);
	fixture_end(test);
}

static int set_pages(struct memory *m, u32 id, u64 first, u64 pages)
{
	return fixture_set_slot(m->vm, id, 0, first << PAGE_SHIFT, pages << PAGE_SHIFT, m->hva);
}

#define TOP	BIT_ULL(52)
#define LARGEST	(BIT_ULL(30) << PAGE_SHIFT)

static const struct refused {
	const char *what;
	int want;
	u32 id, flags;
	u64 gpa, size, offset;	/* offset: of the address, from the user memory on */
} refused[] = {
	{ "number", -EINVAL, UMBRA_MAX_SLOTS, 0, 0, 4096, 0 },
	{ "large number", -EINVAL, ~0U, 0, 0, 4096, 0 },
	{ "flags", -EINVAL, 0, 4, 0, 4096, 0 },
	{ "address not aligned", -EINVAL, 0, 0, 1, 4096, 0 },
	{ "address aligned to 2 KiB", -EINVAL, 0, 0, 2048, 4096, 0 },
	{ "size not aligned", -EINVAL, 0, 0, 0, 4095, 0 },
	{ "size of 6 KiB", -EINVAL, 0, 0, 0, 6144, 0 },
	{ "user address not aligned", -EINVAL, 0, 0, 0, 4096, 8 },
	{ "too large", -E2BIG, 0, 0, 0, LARGEST + 4096, 0 },
	{ "size wraps", -E2BIG, 0, 0, 0, -4096ULL, 0 },
	{ "largest, but not user memory", -EFAULT, 0, 0, 0, LARGEST, BIT_ULL(46) },
	{ "at the end of physical memory", -EINVAL, 0, 0, TOP, 4096, 0 },
	{ "a page beyond it", -EINVAL, 0, 0, TOP - 4096, 8192, 0 },
	{ "address wraps", -EINVAL, 0, 0, -4096ULL, 8192, 0 },
	{ "kernel address", -EFAULT, 0, 0, 0, 4096, BIT_ULL(63) },
	{ "nothing to delete", -ENOENT, 5, 0, 0, 0, 0 },
	{ "deletion with a wrong number", -EINVAL, UMBRA_MAX_SLOTS, 0, 0, 0, 0 },
};

static void refusals(struct kunit *test)
{
	const struct umbra_slots *slots;
	struct memory m;
	unsigned int i;

	if (begin(test, &m, 0)) {
		KUNIT_EXPECT_EQ(test, set_pages(&m, 1, 16, 4), 0);
		slots = m.vm->slots;
		for (i = 0; i < ARRAY_SIZE(refused); i++) {
			const struct refused *r = &refused[i];
			int ret = fixture_set_slot(m.vm, r->id, r->flags, r->gpa, r->size,
						   m.hva + r->offset);

			FAIL_UNLESS(test, ret == r->want, "%s: %d, expected %d", r->what, ret,
				    r->want);
		}
		/* Nothing of that has changed anything. */
		KUNIT_EXPECT_PTR_EQ(test, m.vm->slots, slots);
		KUNIT_EXPECT_EQ(test, slots->count, 1U);
		/* And the last ones that are just right. */
		i = UMBRA_MAX_SLOTS - 1;
		KUNIT_EXPECT_EQ(test, fixture_set_slot(m.vm, i, 0, TOP - 4096, 4096, m.hva), 0);
		KUNIT_EXPECT_EQ(test, fixture_set_slot(m.vm, 3, 0, 0, 4096, TASK_SIZE_MAX - 4096),
				0);
		KUNIT_EXPECT_EQ(test,
				fixture_set_slot(m.vm, 4, 0, 4096, 8192, TASK_SIZE_MAX - 4096),
				-EFAULT);
	}
	end(test, &m);
}

static void reserved_fields(struct kunit *test)
{
	struct umbra_memory mem = { .size = 4096 };
	struct memory m;
	unsigned int i;

	if (begin(test, &m, 0)) {
		mem.uaddr = m.hva;
		mutex_lock(&m.vm->lock);
		for (i = 0; i < sizeof(mem.reserved); i++) {
			((u8 *)mem.reserved)[i] = 1;
			KUNIT_EXPECT_EQ(test, umbra_memory_set(m.vm, &mem), -EINVAL);
			((u8 *)mem.reserved)[i] = 0;
		}
		KUNIT_EXPECT_EQ(test, umbra_memory_set(m.vm, &mem), 0);
		mutex_unlock(&m.vm->lock);
	}
	end(test, &m);
}

/* Every range around one that is taken, and around two with a page between them. */
static void overlaps(struct kunit *test)
{
	struct memory m;
	u64 first, n;

	if (begin(test, &m, 0)) {
		set_pages(&m, 0, 16, 8);
		set_pages(&m, 1, 25, 4);
		for (first = 8; first < 34; first++) {
			for (n = 1; n < 20; n++) {
				bool taken = (first < 24 && first + n > 16) ||
					     (first < 29 && first + n > 25);
				int ret = set_pages(&m, 2, first, n);

				FAIL_UNLESS(test, ret == (taken ? -EEXIST : 0),
					    "%llu pages at %llu: %d", n, first, ret);
				if (!ret)
					KUNIT_EXPECT_EQ(test, set_pages(&m, 2, 0, 0), 0);
			}
		}
		/* A slot does not stand in its own way. */
		KUNIT_EXPECT_EQ(test, set_pages(&m, 0, 17, 8), 0);
		KUNIT_EXPECT_EQ(test, set_pages(&m, 0, 17, 9), -EEXIST);
		KUNIT_EXPECT_NOT_NULL(test, umbra_slot_find(m.vm, 17));
		KUNIT_EXPECT_NULL(test, umbra_slot_find(m.vm, 16));
	}
	end(test, &m);
}

/* Slots come and go at random; which holds a gfn is also known from a plain array. */
static void lookups(struct kunit *test)
{
	int owner[PAGES];
	unsigned int i, j, steps, generation;
	struct umbra_slot *slot;
	struct memory m;

	random_seed(test, 1);
	memset(owner, -1, sizeof(owner));
	if (begin(test, &m, 1)) {
		generation = m.vm->slots->generation;
		for (steps = 0; steps < 400; steps++) {
			unsigned int id = random_below(12), first = random_below(PAGES);
			unsigned int n = one_in(4) ? 0 : 1 + random_below(8);
			bool known = false, taken = false;
			int want, ret;

			n = min(n, PAGES - first);
			for (i = 0; i < PAGES; i++) {
				known |= owner[i] == id;
				taken |= i >= first && i < first + n && owner[i] >= 0 &&
					 owner[i] != id;
			}
			want = n ? (taken ? -EEXIST : 0) : (known ? 0 : -ENOENT);
			ret = set_pages(&m, id, first, n);
			FAIL_UNLESS(test, ret == want, "slot %u, %u pages at %u: %d, expected %d",
				    id, n, first, ret, want);
			if (!ret) {
				generation++;
				for (i = 0; i < PAGES; i++) {
					if (owner[i] == id)
						owner[i] = -1;
					if (i >= first && i < first + n)
						owner[i] = id;
				}
			}
			KUNIT_EXPECT_EQ(test, m.vm->slots->generation, generation);
			for (j = 0; j < PAGES + 2; j++) {
				int is;

				i = one_in(2) ? j : random_below(PAGES + 2);
				slot = one_in(2) ? umbra_slot_find(m.vm, i) :
						   umbra_vcpu_slot(m.vm->vcpu[0], i);
				is = i < PAGES ? owner[i] : -1;
				FAIL_UNLESS(test,
					    slot ? slot->id == is && i - slot->base < slot->pages &&
							    umbra_slot_hva(slot, i) ==
								    m.hva + (i - slot->base) *
										    PAGE_SIZE :
						   is < 0,
					    "gfn %u is in slot %d, found %d", i, is,
					    slot ? (int)slot->id : -1);
			}
		}
	}
	end(test, &m);
}

static void as_many_as_there_can_be(struct kunit *test)
{
	struct memory m;
	unsigned int i;

	if (begin(test, &m, 0)) {
		/* From the top to the bottom, each with a gap behind it. */
		for (i = 0; i < UMBRA_MAX_SLOTS; i++)
			KUNIT_EXPECT_EQ(test, set_pages(&m, i, 2 * (UMBRA_MAX_SLOTS - i), 1), 0);
		KUNIT_EXPECT_EQ(test, m.vm->slots->count, (unsigned int)UMBRA_MAX_SLOTS);
		KUNIT_EXPECT_EQ(test, set_pages(&m, UMBRA_MAX_SLOTS, 1, 1), -EINVAL);
		for (i = 0; i < UMBRA_MAX_SLOTS; i++) {
			KUNIT_EXPECT_NOT_NULL(test, umbra_slot_find(m.vm, 2 * i + 2));
			KUNIT_EXPECT_NULL(test, umbra_slot_find(m.vm, 2 * i + 1));
		}
		for (i = 0; i < UMBRA_MAX_SLOTS; i += 2)
			KUNIT_EXPECT_EQ(test, set_pages(&m, i, 0, 0), 0);
		KUNIT_EXPECT_EQ(test, m.vm->slots->count, (unsigned int)UMBRA_MAX_SLOTS / 2);
	}
	end(test, &m);
}

/* Accesses on the guest's behalf: to both sides of what two slots share, and beyond. */
static void guest_accesses(struct kunit *test)
{
	const u64 border = 18 << PAGE_SHIFT, top = 20 << PAGE_SHIFT;
	struct umbra_vcpu *vcpu;
	struct memory m;
	u64 value, there;

	if (begin(test, &m, 1)) {
		vcpu = m.vm->vcpu[0];
		fixture_set_slot(m.vm, 0, 0, 16 << PAGE_SHIFT, 2 * PAGE_SIZE, m.hva);
		fixture_set_slot(m.vm, 1, UMBRA_MEM_READONLY, border, 2 * PAGE_SIZE,
				 m.hva + 8 * PAGE_SIZE);
		mutex_lock(&vcpu->mutex);
		value = 0x1122334455667788;
		KUNIT_EXPECT_EQ(test, umbra_guest_write(vcpu, border - 8, &value, 8), 0);
		KUNIT_EXPECT_EQ(test, get_user(there, (u64 __user *)(m.hva + 2 * PAGE_SIZE - 8)),
				0);
		KUNIT_EXPECT_EQ(test, there, value);
		KUNIT_EXPECT_EQ(test, umbra_guest_write(vcpu, border, &value, 8), -EFAULT);
		KUNIT_EXPECT_EQ(test, umbra_guest_write(vcpu, border - 4, &value, 8), -EFAULT);
		KUNIT_EXPECT_EQ(test, put_user(0xaabbccddU, (u32 __user *)(m.hva + 8 * PAGE_SIZE)),
				0);
		KUNIT_EXPECT_EQ(test, umbra_guest_read(vcpu, border - 4, &there, 8), 0);
		KUNIT_EXPECT_EQ(test, there >> 32, 0xaabbccddULL);
		KUNIT_EXPECT_EQ(test, umbra_guest_read(vcpu, top - 8, &there, 8), 0);
		KUNIT_EXPECT_EQ(test, umbra_guest_read(vcpu, top - 7, &there, 8), -EFAULT);
		KUNIT_EXPECT_EQ(test, umbra_guest_read(vcpu, top, &there, 1), -EFAULT);
		KUNIT_EXPECT_EQ(test, umbra_guest_read(vcpu, (16 << PAGE_SHIFT) - 1, &there, 1),
				-EFAULT);
		KUNIT_EXPECT_EQ(test, umbra_guest_read(vcpu, -1ULL, &there, 8), -EFAULT);
		mutex_unlock(&vcpu->mutex);
	}
	end(test, &m);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(refusals),
	KUNIT_CASE(reserved_fields),
	KUNIT_CASE(overlaps),
	KUNIT_CASE(lookups),
	KUNIT_CASE(as_many_as_there_can_be),
	KUNIT_CASE(guest_accesses),
	{}
};

struct kunit_suite slots_suite = {
	.name = "umbra_slots",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
