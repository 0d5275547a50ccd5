// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory semantics as in memsem.c, for 32-bit and PAE paging. */
#include "access.h"
#include "test.h"

#define REGION 0xd0000000

static void with_paging(enum pt_mode mode, void (*fn)(enum pt_mode))
{
	struct space s;

	pt_new(&s, mode);
	write_cr4((read_cr4() & ~(ulong)(CR4_PAE | CR4_PSE)) |
		  (mode == PT_PAE ? CR4_PAE : CR4_PSE));
	write_cr3(s.root);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
	fn(mode);
	write_cr0(read_cr0() & ~(ulong)(CR0_PG | CR0_WP));
	write_cr4(read_cr4() & ~(ulong)(CR4_PAE | CR4_PSE));
}

static void combinations(enum pt_mode mode)
{
	access_check_combinations(mode, REGION, 901, false);
}

static void combinations_reserved(enum pt_mode mode)
{
	access_check_combinations(mode, REGION, 3001, true);
}

static void accesses(enum pt_mode mode)
{
	access_check_random(mode, REGION, 500, false);
}

static void accesses_reserved(enum pt_mode mode)
{
	access_check_random(mode, REGION, 250, true);
}

static void test_combinations_32(void)
{
	with_paging(PT_32BIT, combinations);
}

static void test_accesses_32(void)
{
	with_paging(PT_32BIT, accesses);
}

static void test_reserved_32(void)
{
	known_on_tcg("error codes of reserved bits");
	with_paging(PT_32BIT, combinations_reserved);
	with_paging(PT_32BIT, accesses_reserved);
}

static void test_combinations_pae(void)
{
	with_paging(PT_PAE, combinations);
}

static void test_accesses_pae(void)
{
	with_paging(PT_PAE, accesses);
}

static void test_reserved_pae(void)
{
	known_on_tcg("error codes of reserved bits");
	with_paging(PT_PAE, combinations_reserved);
	with_paging(PT_PAE, accesses_reserved);
}

const struct test guest_tests[] = {
	{ "combinations-32bit", test_combinations_32 },
	{ "accesses-32bit", test_accesses_32 },
	{ "reserved-32bit", test_reserved_32 },
	{ "combinations-pae", test_combinations_pae },
	{ "accesses-pae", test_accesses_pae },
	{ "reserved-pae", test_reserved_pae },
};

GUEST("memsem32");
