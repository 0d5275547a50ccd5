// SPDX-License-Identifier: GPL-2.0-only
/* The walk through guests' page tables: the cases of tests/unit/mmu, in the kernel. */
#include <linux/kernel.h>
#include "fixture.h"
#include "suites.h"
#include "cases.h"

#define CASES	2500

static struct kunit *current_test;

void walk_log(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vscnprintf(line, sizeof(line), format, args);
	va_end(args);
	kunit_err(current_test, "%s", line);
}

static const unsigned int formats[WALK_FORMATS] = { 0, 1, 2, 3, 4, 5 };

static void format_name(const unsigned int *format, char *desc)
{
	strscpy(desc, walk_format_name(*format), KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(format, formats, format_name);

static void random_tables(struct kunit *test)
{
	unsigned int counts[WALK_OUTCOMES], format = *(const unsigned int *)test->param_value;
	unsigned long long state;

	random_seed(test, format);
	state = random64();
	current_test = test;
	KUNIT_EXPECT_EQ(test, walk_cases(format, &state, CASES, counts), 0U);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(random_tables, format_gen_params),
	{}
};

struct kunit_suite walk_suite = {
	.name = "umbra_walk",
	.test_cases = cases,
};
