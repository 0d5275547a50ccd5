// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that do things at random, in every paging mode, nested and shadow: vCPUs see
 * what the architecture lets them see, no stale translation survives, no structure of
 * the MMU loses track of another, nothing is leaked.
 */
#include "guest.h"
#include "suites.h"
#include "svm/svm.h"

/* Enough for each rare case to come several times. */
#define STEPS		6000
#define CHECKED_EVERY	25

static const struct kind {
	const char *name;
	u32 paging;
	int format;
	u32 flags;
	bool flush_by_asid;
	bool decode_assists;
} kinds[] = {
	{ "nested", UMBRA_PAGING_NESTED, GUEST_NO_PAGING, 0, false, false },
	{ "nested, dirty log", UMBRA_PAGING_NESTED, GUEST_NO_PAGING, UMBRA_MEM_LOG_DIRTY, true,
	  true },
	{ "shadow, no paging", UMBRA_PAGING_SHADOW, GUEST_NO_PAGING, 0, true, false },
	{ "shadow, 32-bit", UMBRA_PAGING_SHADOW, MODEL_32BIT, 0, false, true },
	{ "shadow, PAE", UMBRA_PAGING_SHADOW, MODEL_PAE, 0, true, false },
	{ "shadow, 4-level", UMBRA_PAGING_SHADOW, MODEL_4LEVEL, 0, false, false },
	{ "shadow, 4-level, dirty log", UMBRA_PAGING_SHADOW, MODEL_4LEVEL, UMBRA_MEM_LOG_DIRTY,
	  true, true },
	{ "shadow, 5-level", UMBRA_PAGING_SHADOW, MODEL_5LEVEL, 0, true, true },
};

static void kind_name(const struct kind *kind, char *desc)
{
	strscpy(desc, kind->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(kind, kinds, kind_name);

static void random_guest(struct kunit *test)
{
	const struct kind *kind = test->param_value;
	const struct svm_caps real = svm_caps;
	char reason[UMBRA_REASON_LEN];
	const char *wrong = NULL;
	struct guest *g;
	unsigned int i;

	if (kind->format == MODEL_5LEVEL && !umbra_arch_cap(UMBRA_CAP_LA57, reason)) {
		kunit_skip(test, "%s", reason);
		return;
	}
	random_seed(test, kind - kinds);
	fixture_begin(test);
	svm_caps.flush_by_asid = kind->flush_by_asid;
	svm_caps.decode_assists = kind->decode_assists;
	svm_caps.next_rip = kind->decode_assists;
	svm_caps.inject_virq = false;
	g = guest_create(test, kind->paging, kind->format, kind->flags);
	for (i = 0; g && i < STEPS && !wrong; i++) {
		if (!guest_step(g)) {
			kunit_err(test, "at step %u", i);
			break;
		}
		if (i % CHECKED_EVERY == 0)
			wrong = mmu_inconsistent(g->vm);
	}
	if (wrong)
		KUNIT_FAIL(test, "after step %u: %s", i - 1, wrong);
	if (g) {
		kunit_info(test,
			   "done %u, in software %u, faults %u, no memory %u, stale %u, marked %u, moved %u",
			   g->count[GUEST_DONE], g->count[GUEST_SOFTWARE], g->count[GUEST_FAULTED],
			   g->count[GUEST_OUTSIDE], g->count[GUEST_STALE], g->count[GUEST_MARKED],
			   g->count[GUEST_MOVED]);
		KUNIT_EXPECT_GT(test, g->count[GUEST_DONE], STEPS / 20);
		if (kind->format != GUEST_NO_PAGING)
			KUNIT_EXPECT_GT(test, g->count[GUEST_FAULTED], STEPS / 20);
	}
	guest_free(g);
	svm_caps = real;
	fixture_end(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(random_guest, kind_gen_params),
	{}
};

struct kunit_suite guest_suite = {
	.name = "umbra_guest",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
