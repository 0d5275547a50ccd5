// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table pages used in all the ways that an operating system may use them: written
 * by every kind of store, at several places and levels at once, as data, many.
 */
#include "mem.h"
#include "ptcheck.h"
#include "ptself.h"
#include "ptspace.h"
#include "ptstore.h"
#include "string.h"
#include "test.h"
#include "trap.h"

/* --- table pages written by every kind of store --- */

static void check_stores(ulong e, u64 a, u64 b, ulong va, u32 in_a, u32 in_b)
{
	const char *name;
	int k;

	for (k = 0; k < PT_STORES; k++) {
		u64 next = entry(e + 8);

		/* Through accessed and dirty bits set on the way, hence the masks. */
		name = pt_store(k, e, entry(e), b);
		if (!name)
			continue;
		invlpg(va);
		check(peek(va) == in_b, "%s: page holds %x, expected %x, entry %llx", name,
		      peek(va), in_b, (unsigned long long)entry(e));
		name = pt_store(k, e, entry(e), a);
		invlpg(va);
		check(peek(va) == in_a, "%s: page holds %x, expected %x back, entry %llx", name,
		      peek(va), in_a, (unsigned long long)entry(e));
		check(entry(e + 8) == next, "%s changed the next entry", name);
		check((entry(e) & ~(PT_A | PT_D)) == (a & ~(PT_A | PT_D)),
		      "%s: entry is %llx, stored %llx", name, (unsigned long long)entry(e),
		      (unsigned long long)a);
	}
}

WITH_SPACE(stores_leaf)
{
	/* The loader's entries of both, then an odd slot so that pairs straddle. */
	check_stores(pte, frame[0] | PT_P | PT_W | PT_A, frame[1] | PT_P | PT_W | PT_A, REGION,
		     0x1000, 0x1001);
	set_entry(pte + 8, frame[2] | PT_P | PT_W);
	check_stores(pte + 8, frame[2] | PT_P | PT_W, frame[3] | PT_P | PT_U, REGION + PAGE_SIZE,
		     0x1002, 0x1003);
}

/* The same into every level above: the whole subtree changes. */
WITH_SPACE(stores_upper)
{
	struct space b;
	int l;

	pt_new(&b, PT_4LEVEL);
	pt_map(&b, REGION, frame[1], PT_W | PT_U, 1);
	for (l = 2; l <= 4; l++) {
		ulong e = pt_entry(&space, REGION, l);
		u64 one = entry(e), two = entry(pt_entry(&b, REGION, l));

		check_stores(e, one, two, REGION, 0x1000, 0x1001);
		set_entry(e, one);
		write_cr3(space.root);
	}
}

/* A store that crosses from one entry into the next changes both. */
WITH_SPACE(store_across_entries)
{
	set_entry(pte, frame[0] | PT_P | PT_W);
	set_entry(pte + 8, frame[1] | PT_P | PT_W);
	peek(REGION);
	peek(REGION + PAGE_SIZE);
	/* Clears the high half of the first, where nothing is, and P of the second. */
	*(volatile u64 *)(pte + 4) = (u64)(u32)(frame[2] | PT_W) << 32;
	invlpg(REGION);
	invlpg(REGION + PAGE_SIZE);
	check_eq(peek(REGION), 0x1000, "first page");
	EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION + PAGE_SIZE));
	*(volatile u64 *)(pte + 4) = (u64)(u32)(frame[2] | PT_W | PT_P) << 32;
	check_eq(peek(REGION + PAGE_SIZE), 0x1002, "second page");
}

/* --- tables in unusual places --- */

/* One table at two places: a change through either is seen at both. */
WITH_SPACE(table_twice)
{
	ulong second = REGION + (1ul << 21), third = REGION + (1ul << 39);
	u64 pde = entry(pt_entry(&space, REGION, 2));
	int i;

	set_entry(pt_entry(&space, second, 2), pde);
	/* And under another PML4 entry with fewer rights: another role, same page. */
	set_entry(pt_entry(&space, third, 2), pde & ~PT_W);
	for (i = 0; i < 8; i++) {
		set_entry(pte, frame[i & 3] | PT_P | PT_W | PT_U);
		invlpg(REGION);
		invlpg(second);
		invlpg(third);
		check_eq(peek(REGION), 0x1000 + (i & 3), "first place");
		check_eq(peek(second), 0x1000 + (i & 3), "second place");
		check_eq(peek(third), 0x1000 + (i & 3), "third place");
		EXPECT_NO_TRAP(poke(second, 0x1000 + (i & 3)));
		EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(third, 1));
	}
}

/* One page as PML4 and everything below: the recursive mapping. */
WITH_SPACE(recursive)
{
	const ulong slot = 0x1f0, base = 0xffff000000000000ul;
	ulong self = base | slot << 39 | slot << 30 | slot << 21 | slot << 12;
	ulong leaf = base | slot << 39 | (REGION & 0xffffffffffff) >> 9;
	int i;

	set_entry(space.root + slot * 8, space.root | PT_P | PT_W);
	check_eq(*(volatile u64 *)(self + slot * 8) & ~0xfffull, space.root, "PML4 seen by itself");
	for (i = 0; i < 8; i++) {
		/* Write the leaf entry through the mapping that it is itself part of. */
		set_entry(leaf, frame[i & 3] | PT_P | PT_W);
		invlpg(REGION);
		check_eq(peek(REGION), 0x1000 + (i & 3), "page");
		check_eq(entry(pte) & ~0xfffull, frame[i & 3], "entry");
	}
	/* A new top-level entry written through the root's own mapping. */
	*(volatile u64 *)(self + 0x1a0 * 8) = entry(space.root + 0xc0 * 8);
	check_eq(peek(base | 0x1a0ul << 39), peek(REGION), "page below the new entry");
	*(volatile u64 *)(self + 0x1a0 * 8) = 0;
	invlpg(base | 0x1a0ul << 39);
	EXPECT_TRAP_ERR(VEC_PF, 0, peek(base | 0x1a0ul << 39));
}

/* One page used as level 1 and as level 2 table at once. */
WITH_SPACE(table_at_two_levels)
{
	ulong t = (ulong)alloc_page(), t1 = (ulong)alloc_page();
	ulong a = REGION + (2ul << 30), b = REGION + (3ul << 30);
	int i;

	/* As level 2: entry 0 points to t1; as level 1: entry 0 maps t1 as data. */
	set_entry(t, t1 | PT_P | PT_W | PT_U);
	set_entry(t1, frame[0] | PT_P | PT_W);
	set_entry(pt_entry(&space, a, 3), t | PT_P | PT_W | PT_U);
	set_entry(pt_entry(&space, b, 2), t | PT_P | PT_W | PT_U);
	for (i = 0; i < 8; i++) {
		/* Through b the table t1 is data; through a it is a table. */
		*(volatile u64 *)b = frame[i & 3] | PT_P | PT_W;
		invlpg(a);
		check_eq(peek(a), 0x1000 + (i & 3), "page below");
	}
	check_eq(entry(t) & (PT_A | PT_D), PT_A | PT_D, "entry used as leaf and as non-leaf");
}

/* A table page becomes data and a table again; the old mapping must be gone. */
WITH_SPACE(table_becomes_data)
{
	ulong pde = pt_entry(&space, REGION, 2), t = pte & -PAGE_SIZE;
	u64 old = entry(pde);
	ulong i;
	int round;

	for (round = 0; round < 4; round++) {
		check_eq(peek(REGION), 0x1000, "page");
		set_entry(pde, 0);
		invlpg(REGION);
		for (i = 0; i < 4096; i += 8)
			*(volatile u64 *)(t + i) = i * 0x0101010101010101ull;
		for (i = 0; i < 4096; i += 8)
			if (*(volatile u64 *)(t + i) != i * 0x0101010101010101ull)
				check(false, "word %lx of the old table", i);
		EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION));
		memset((void *)t, 0, 4096);
		set_entry(t, frame[0] | PT_P | PT_W);
		set_entry(pde, old);
	}
}

/* The table is also mapped for the user, who changes an entry. */
WITH_SPACE(user_writes_table)
{
	ulong alias = REGION + (1ul << 21);
	int i;

	pt_map(&space, alias, pte & -PAGE_SIZE, PT_W | PT_U, 1);
	for (i = 0; i < 8; i++) {
		check_eq(user_run(pt_user_store, alias + (pte & 0xfff),
				  frame[i & 3] | PT_P | PT_U, 0),
			 USER_TRAP, "user store into the table");
		invlpg(REGION);
		check_eq(user_run(pt_user_load, REGION, 0, 0), USER_TRAP, "user load");
		check_eq((u32)last_trap()->regs.ax, 0x1000 + (i & 3), "what the user read");
	}
}

/* A store into the very entry that maps the table it goes to. */
WITH_SPACE(entry_maps_itself)
{
	ulong alias = REGION + 7 * PAGE_SIZE, e = pt_entry(&space, alias, 1);

	set_entry(e, (pte & -PAGE_SIZE) | PT_P | PT_W);
	/* Through the alias: replace the alias's own mapping. */
	*(volatile u64 *)(alias + 7 * 8) = frame[1] | PT_P | PT_W;
	invlpg(alias);
	check_eq(peek(alias), 0x1001, "alias after it remapped itself");
	known_on_tcg("a locked access reads before it sets the dirty bit");
	/* Read-modify-write of an accessed entry through itself keeps its bits. */
	set_entry(e, (pte & -PAGE_SIZE) | PT_P | PT_W);
	invlpg(alias);
	asm volatile("lock orq %1, (%0)" :: "r"(alias + 7 * 8), "r"(BIT64(9)) : "memory", "cc");
	check_eq(entry(e), (pte & -PAGE_SIZE) | PT_P | PT_W | PT_A | PT_D | BIT64(9), "entry");
}

/* Stores by every instruction into the table of each level through itself. */
WITH_SPACE(store_through_itself)
{
	int l;

	for (l = 1; l <= 4; l++)
		ptself_check(&space, REGION, l, 0x1f0, 0x800);
}

/* --- large pages --- */

WITH_SPACE(split_and_merge)
{
	ulong chunk = (ulong)alloc_pages(512), va = REGION + (5ul << 30), t = (ulong)alloc_page();
	ulong pde = pt_entry(&space, va, 2);
	int i, round;

	for (i = 0; i < 512; i++) {
		poke(chunk + i * PAGE_SIZE, 0x2000 + i);
		set_entry(t + i * 8, (chunk + i * PAGE_SIZE) | PT_P | PT_W);
	}
	for (round = 0; round < 4; round++) {
		set_entry(pde, chunk | PT_P | PT_W | PT_PS);
		invlpg(va);
		for (i = 0; i < 512; i += 73)
			check_eq(peek(va + i * PAGE_SIZE), 0x2000 + i, "large");
		poke(va + 100 * PAGE_SIZE + 4, round);
		check_eq(entry(pde) & (PT_A | PT_D), PT_A | PT_D, "large page's bits");
		set_entry(pde, t | PT_P | PT_W);
		invlpg(va);
		set_entry(t + 9 * 8, (chunk + 9 * PAGE_SIZE) | PT_P);
		set_entry(t + 10 * 8, frame[2] | PT_P | PT_W);
		write_cr3(space.root);
		for (i = 0; i < 512; i += 73)
			check_eq(peek(va + i * PAGE_SIZE), 0x2000 + i, "split");
		check_eq(peek(va + 10 * PAGE_SIZE), 0x1002, "changed page of the split");
		check_eq(peek(va + 100 * PAGE_SIZE + 4), round, "what was written while large");
		EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(va + 9 * PAGE_SIZE, 1));
		set_entry(t + 9 * 8, (chunk + 9 * PAGE_SIZE) | PT_P | PT_W);
		set_entry(t + 10 * 8, (chunk + 10 * PAGE_SIZE) | PT_P | PT_W);
	}
	/* The large page read-only, then gone; both seen at its far end after INVLPG. */
	set_entry(pde, chunk | PT_P | PT_W | PT_PS);
	write_cr3(space.root);
	poke(va + 511 * PAGE_SIZE + 8, 1);
	set_entry(pde, chunk | PT_P | PT_PS);
	invlpg(va + 300 * PAGE_SIZE);
	EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(va + 511 * PAGE_SIZE, 1));
	set_entry(pde, 0);
	invlpg(va);
	EXPECT_TRAP_ERR(VEC_PF, 0, peek(va + 511 * PAGE_SIZE));
}

/* A large page that holds the page tables that map it. */
WITH_SPACE(large_page_over_tables)
{
	ulong va = REGION + (6ul << 30), big = pte & -(1ul << 21);
	ulong alias = va + (pte & ((1ul << 21) - 1));
	int i;

	pt_map(&space, va, big, PT_W, 2);
	for (i = 0; i < 8; i++) {
		set_entry(alias, frame[i & 3] | PT_P | PT_W);
		invlpg(REGION);
		check_eq(peek(REGION), 0x1000 + (i & 3), "page");
	}
}

/* --- many of everything --- */

#define SPACES 24

/* Address spaces that share nothing but the kernel, switched in turn and at random. */
WITH_SPACE(many_spaces)
{
	struct space s[SPACES];
	ulong e[SPACES];
	int i, n;

	for (i = 0; i < SPACES; i++) {
		ulong page = (ulong)alloc_page();

		poke(page, 0x3000 + i);
		pt_new(&s[i], PT_4LEVEL);
		pt_map(&s[i], REGION, page, PT_W, 1);
		e[i] = pt_entry(&s[i], REGION, 1);
	}
	for (n = 0; n < 400; n++) {
		i = n < 100 ? n % SPACES : (int)(random32() % SPACES);
		write_cr3(s[i].root);
		check_eq(peek(REGION), 0x3000 + i, "page of the space");
		poke(REGION + 8, n);
		check_eq(peek((entry(e[i]) & 0xfffffffff000) + 8), n, "frame of the space");
		/* Change one of another space, not loaded now. */
		if (n % 5 == 0) {
			int j = random32() % SPACES;

			set_entry(e[j], entry(e[j]) & ~PT_W);
			write_cr3(s[j].root);
			EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(REGION, 1));
			set_entry(e[j], entry(e[j]) | PT_W);
			invlpg(REGION);
			EXPECT_NO_TRAP(poke(REGION, 0x3000 + j));
		}
	}
	/* A root page freed and used for data, then as a root again. */
	write_cr3(space.root);
	memset((void *)s[0].root, 0x5a, 2048);
	memset((void *)s[0].root, 0, 4096);
	set_entry(s[0].root, entry(space.root));
	write_cr3(s[0].root);
	EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION));
	write_cr3(space.root);
}

#define MAPPINGS 700

/* One frame under hundreds of entries in many tables, all changed at once. */
WITH_SPACE(many_mappings)
{
	const ulong step = (1ul << 21) / 4 + PAGE_SIZE;
	ulong shared = frame[2];
	int i, round;

	for (i = 0; i < MAPPINGS; i++)
		pt_map(&space, REGION + (9ul << 30) + i * step, shared, PT_W, 1);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < MAPPINGS; i++) {
			poke(REGION + (9ul << 30) + i * step + 16, i);
			if (peek(shared + 16) != (u32)i)
				check(false, "mapping %d does not reach the frame", i);
		}
		for (i = 0; i < MAPPINGS; i++)
			set_entry(pt_entry(&space, REGION + (9ul << 30) + i * step, 1),
				  shared | PT_P);
		write_cr3(space.root);
		for (i = 0; i < MAPPINGS; i += 7)
			EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W,
					poke(REGION + (9ul << 30) + i * step + 16, i));
		for (i = 0; i < MAPPINGS; i++)
			set_entry(pt_entry(&space, REGION + (9ul << 30) + i * step, 1),
				  shared | PT_P | PT_W);
		write_cr3(space.root);
	}
	/* The frame becomes a table while all those writable mappings still exist. */
	memset((void *)shared, 0, 4096);
	set_entry(pt_entry(&space, REGION + (20ul << 30), 2), shared | PT_P | PT_W);
	for (i = 0; i < MAPPINGS; i += 50) {
		*(volatile u64 *)(REGION + (9ul << 30) + i * step) = frame[i / 50 & 1] | PT_P;
		invlpg(REGION + (20ul << 30));
		check_eq(peek(REGION + (20ul << 30)), 0x1000 + (i / 50 & 1), "page below");
	}
	poke(shared, 0x1002);
}

const struct test guest_tests[] = {
	{ "stores-leaf", test_stores_leaf },
	{ "stores-upper", test_stores_upper },
	{ "store-across-entries", test_store_across_entries },
	{ "table-twice", test_table_twice },
	{ "recursive", test_recursive },
	{ "table-at-two-levels", test_table_at_two_levels },
	{ "table-becomes-data", test_table_becomes_data },
	{ "user-writes-table", test_user_writes_table },
	{ "entry-maps-itself", test_entry_maps_itself },
	{ "store-through-itself", test_store_through_itself },
	{ "split-and-merge", test_split_and_merge },
	{ "large-page-over-tables", test_large_page_over_tables },
	{ "many-spaces", test_many_spaces },
	{ "many-mappings", test_many_mappings },
};

GUEST("pagetables");
