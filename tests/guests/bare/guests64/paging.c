// SPDX-License-Identifier: GPL-2.0-only
/* Paging in 64-bit mode: rights, with 4 and 5 levels. */
#include "ptcheck.h"
#include "test.h"
#include "trap.h"

#define REGION4 0x0000600000000000ul

static void test_levels(void)
{
	pt_check_levels(PT_4LEVEL, REGION4, 1);
}

static void test_levels_2m(void)
{
	pt_check_levels(PT_4LEVEL, REGION4, 2);
}

static void test_levels_1g(void)
{
	if (!HAS_1G)
		skip("no 1 GiB pages");
	else
		pt_check_levels(PT_4LEVEL, REGION4, 3);
}

static void test_reserved(void)
{
	known_on_tcg("error codes of reserved bits");
	pt_check_reserved(PT_4LEVEL, REGION4);
}

static void test_random(void)
{
	pt_check_random(PT_4LEVEL, REGION4, 4000, false);
}

static void test_random_reserved(void)
{
	known_on_tcg("error codes of reserved bits");
	pt_check_random(PT_4LEVEL, REGION4, 2000, true);
}

GUEST("paging",
	{ "levels-4k", test_levels },
	{ "levels-2m", test_levels_2m },
	{ "levels-1g", test_levels_1g },
	{ "reserved", test_reserved },
	{ "random", test_random },
	{ "random-reserved", test_random_reserved });
