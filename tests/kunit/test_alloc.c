// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation on the way to a VM that runs fails once, in turn: the call says -ENOMEM,
 * all that was there before is there, nothing is left behind, and the next call succeeds.
 * What is lost is seen by the count of pages (fixture_end()), at the end of the module by
 * its slab caches, and of everything else by kmemleak.
 */
#include <linux/sched.h>
#include <linux/uaccess.h>
#include "cpuid.h"
#include "guest.h"
#include "internal.h"
#include "suites.h"
#include "wrap.h"

#define FAILURES_MAX	400

/* Calls @what, with its @nth allocation failing. False: there are no so many. */
static bool with_failure(struct guest *g, unsigned int nth, int (*what)(struct guest *g), int *ret)
{
	bool failed;

	current->fail_nth = nth;
	*ret = what(g);
	failed = !current->fail_nth;
	current->fail_nth = 0;
	return failed;
}

/*
 * Every allocation of @what in turn, then none. Some it can do without: where two ways lead
 * to memory, or @keeps what it could get for the next attempt.
 */
static void each_fails(struct kunit *test, struct guest *g, const char *name,
		       int (*what)(struct guest *g), void (*undo)(struct guest *g), bool keeps)
{
	unsigned int nth, refused = 0;
	long before;
	int ret;

	for (nth = 1; nth <= FAILURES_MAX; nth++) {
		before = wrap_pages();
		if (!with_failure(g, nth, what, &ret))
			break;
		if (!ret) {
			undo(g);
			continue;
		}
		refused++;
		FAIL_UNLESS(test, ret == -ENOMEM, "%s: %d when allocation %u failed", name, ret,
			    nth);
		FAIL_UNLESS(test, keeps || wrap_pages() == before,
			    "%s: pages are lost when allocation %u failed", name, nth);
	}
	FAIL_UNLESS(test, !ret, "%s: %d when no allocation failed", name, ret);
	FAIL_UNLESS(test, refused, "%s: nothing has failed; is fault injection on?", name);
	if (!ret)
		undo(g);
	kunit_info(test, "%s: %u allocations, %u of them needed", name, nth - 1, refused);
}

static struct umbra_vm *made_vm;
static struct umbra_vcpu *made_vcpu;
static u32 paging;

static int make_vm(struct guest *g)
{
	made_vm = umbra_vm_create(paging);
	return PTR_ERR_OR_ZERO(made_vm);
}

static void free_vm(struct guest *g)
{
	umbra_vm_put(made_vm);
}

static int make_vcpu(struct guest *g)
{
	made_vcpu = umbra_vcpu_create(made_vm, 0);
	return PTR_ERR_OR_ZERO(made_vcpu);
}

static void free_vcpu(struct guest *g)
{
	umbra_vcpu_destroy(made_vcpu);
}

static int make_slot(struct guest *g)
{
	const struct umbra_slots *before = g->vm->slots;
	int ret = fixture_set_slot(g->vm, 7, UMBRA_MEM_LOG_DIRTY, BIT_ULL(40), 16 * PAGE_SIZE,
				   g->hva);

	/* Nothing may have changed if it failed. */
	return ret == -ENOMEM && g->vm->slots != before ? -EIO : ret;
}

static void delete_slot(struct guest *g)
{
	fixture_set_slot(g->vm, 7, 0, 0, 0, 0);
}

static int read_dirty(struct guest *g)
{
	struct umbra_dirty_log log = { .slot = 7, .size = 8, .bitmap = g->hva };
	struct umbra_slot *slot = umbra_slot_find(g->vm, BIT_ULL(40) >> PAGE_SHIFT);
	int ret;

	umbra_mark_dirty(slot, slot->base + 3);
	mutex_lock(&g->vm->lock);
	ret = umbra_memory_get_dirty(g->vm, &log);
	mutex_unlock(&g->vm->lock);
	if (ret && !test_bit(3, slot->dirty))
		return -EIO;
	/* The copy to user space may have been what found no memory. */
	return ret == -EFAULT ? -ENOMEM : ret;
}

static void nothing(struct guest *g)
{
}

static int set_cpuid(struct guest *g)
{
	const struct umbra_cpuid_entry *entries;
	unsigned int count = umbra_cpuid_supported(&entries);

	return umbra_cpuid_set(g->vm->vcpu[0], entries, count);
}

/* A first access: roots, table pages, reverse maps, the host's own page. */
static int first_access(struct guest *g)
{
	struct soft_op op = { .kind = SOFT_WRITE,
			      .gva = guest_linear(g, GUEST_DATA + 2, 0),
			      .value = 1 };
	int ret = soft_run(g->vm->vcpu[0], &op, g->code_kernel);

	return ret ?: op.broken || !op.done ? -EIO : 0;
}

/* Back to the beginning, with nothing in any cache. */
static void forget_all(struct guest *g)
{
	umbra_mmu_zap_all(g->vm);
	umbra_mmu_free_caches(g->vm->vcpu[0]);
}

static void creation(struct kunit *test)
{
	fixture_begin(test);
	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		each_fails(test, NULL, "VM", make_vm, free_vm, false);
		if (!make_vm(NULL)) {
			each_fails(test, NULL, "vCPU", make_vcpu, free_vcpu, false);
			free_vm(NULL);
		}
	}
	fixture_end(test);
}

static void slots_and_logs(struct kunit *test)
{
	struct guest *g;

	fixture_begin(test);
	random_seed(test, 0);
	g = guest_create(test, UMBRA_PAGING_SHADOW, MODEL_4LEVEL, 0);
	if (g) {
		each_fails(test, g, "slot", make_slot, delete_slot, false);
		/* The page that the log is put into is there: it is not what is to fail. */
		if (!make_slot(g) && !put_user(0UL, (unsigned long __user *)g->hva))
			each_fails(test, g, "dirty log", read_dirty, nothing, false);
		each_fails(test, g, "CPUID", set_cpuid, nothing, false);
	}
	guest_free(g);
	fixture_end(test);
}

static void table_pages(struct kunit *test)
{
	const char *wrong;
	struct guest *g;

	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		fixture_begin(test);
		random_seed(test, 0);
		g = guest_create(test, paging, paging == UMBRA_PAGING_NESTED ? GUEST_NO_PAGING :
				 MODEL_4LEVEL, 0);
		if (g) {
			each_fails(test, g, "access", first_access, forget_all, true);
			wrong = mmu_inconsistent(g->vm);
			FAIL_UNLESS(test, !wrong, "%s", wrong);
		}
		guest_free(g);
		fixture_end(test);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE(creation),
	KUNIT_CASE(slots_and_logs),
	KUNIT_CASE(table_pages),
	{}
};

struct kunit_suite alloc_suite = {
	.name = "umbra_alloc",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
