// SPDX-License-Identifier: GPL-2.0-only
/* Paging of 32-bit kernels: two levels with and without 4 MiB pages, PAE, off and on. */
#include "mem.h"
#include "ptcheck.h"
#include "ptself.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#define REGION 0xd0000000

static inline u32 peek(ulong va)
{
	return *(volatile u32 *)va;
}

static inline void poke(ulong va, u32 v)
{
	*(volatile u32 *)va = v;
}

/* Turns paging on with tables of @mode at @root, or off if @root is 0. */
static void paging(enum pt_mode mode, ulong root)
{
	write_cr0(read_cr0() & ~(ulong)(CR0_PG | CR0_WP));
	if (!root) {
		write_cr4(read_cr4() & ~(ulong)(CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP));
		return;
	}
	write_cr4((read_cr4() & ~(ulong)(CR4_PAE | CR4_PSE)) |
		  (mode == PT_PAE ? CR4_PAE : CR4_PSE));
	write_cr3(root);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

static void with_paging(enum pt_mode mode, void (*fn)(enum pt_mode))
{
	struct space s;

	pt_new(&s, mode);
	paging(mode, s.root);
	fn(mode);
	paging(mode, 0);
}

static void levels(enum pt_mode mode)
{
	pt_check_levels(mode, REGION, 1);
	pt_check_levels(mode, REGION, 2);
}

static void random_plain(enum pt_mode mode)
{
	pt_check_random(mode, REGION, 1500, false);
}

static void reserved(enum pt_mode mode)
{
	pt_check_reserved(mode, REGION);
	pt_check_random(mode, REGION, 500, true);
}

static void test_levels_32(void)
{
	with_paging(PT_32BIT, levels);
}

static void test_random_32(void)
{
	with_paging(PT_32BIT, random_plain);
}

static void test_reserved_32(void)
{
	known_on_tcg("error codes of reserved bits");
	with_paging(PT_32BIT, reserved);
}

static void test_levels_pae(void)
{
	with_paging(PT_PAE, levels);
}

static void test_random_pae(void)
{
	with_paging(PT_PAE, random_plain);
}

static void test_reserved_pae(void)
{
	known_on_tcg("error codes of reserved bits");
	with_paging(PT_PAE, reserved);
}

/* CR4.PSE clear: PS in a directory entry means nothing (SDM Vol. 3A 4.3). */
static void test_no_pse(void)
{
	struct space s;
	ulong table, frame = (ulong)alloc_page(), i;

	s.mode = PT_32BIT;
	s.root = (ulong)alloc_page();
	/* The kernel with 4 KiB pages only. */
	for (i = 0; i < mem_top; i += PAGE_SIZE)
		pt_write(PT_32BIT, pt_entry(&s, i, 1), i | PT_P | PT_W);
	pt_map(&s, REGION, frame, PT_W, 1);
	poke(frame, 0x2468);
	table = pt_entry(&s, REGION, 2);
	pt_write(PT_32BIT, table, pt_read(PT_32BIT, table) | PT_PS);
	write_cr4(read_cr4() & ~(ulong)(CR4_PSE | CR4_PAE));
	write_cr3(s.root);
	write_cr0(read_cr0() | CR0_PG);
	EXPECT_NO_TRAP(check_eq(peek(REGION), 0x2468, "page below an entry with PS"));
	/* With PSE the same entry maps 4 MiB at the table's place. */
	pt_write(PT_32BIT, table, 0);
	write_cr4(read_cr4() | CR4_PSE);
	pt_write(PT_32BIT, table, (frame & 0xffc00000) | PT_P | PT_W | PT_PS);
	write_cr3(s.root);
	EXPECT_NO_TRAP(check_eq(peek(REGION + (frame & 0x3fffff)), 0x2468, "4 MiB page"));
	write_cr0(read_cr0() & ~(ulong)CR0_PG);
	write_cr4(read_cr4() & ~(ulong)CR4_PSE);
}

/* PSE-36: bits 13 and up of a 4 MiB entry are address bits above 4 GiB. */
static void test_pse36(void)
{
	struct space s;
	ulong e;

	if (!HAS_PSE36) {
		skip("no PSE-36");
		return;
	}
	known_on_qemu("an unbacked address reads as 0");
	known_on_bochs("an address above memory wraps");
	pt_new(&s, PT_32BIT);
	e = pt_entry(&s, REGION, 2);
	pt_write(PT_32BIT, e, 0x400000 | PT_P | PT_W | PT_PS | BIT(13));
	poke(0x500000, 0x7777);
	paging(PT_32BIT, s.root);
	/* 4 GiB + 4 MiB: nothing is there. */
	check_eq(peek(REGION + 0x100000), 0xffffffff, "page above 4 GiB");
	pt_write(PT_32BIT, e, 0x400000 | PT_P | PT_W | PT_PS);
	invlpg(REGION);
	check_eq(peek(REGION + 0x100000), 0x7777, "page below 4 GiB");
	paging(PT_32BIT, 0);
}

/* The four top entries of PAE: absent ones fault, bad ones refuse CR3. */
static void test_pdptes(void)
{
	struct space s;
	ulong frame = (ulong)alloc_page();
	u64 old;
	int v;

	pt_new(&s, PT_PAE);
	pt_map(&s, 0x80000000, frame, PT_W, 1);
	poke(frame, 0x1357);
	paging(PT_PAE, s.root);
	check_eq(peek(0x80000000), 0x1357, "page");
	old = pt_read(PT_PAE, s.root + 16);
	/* No rights, no accessed bit in these entries. */
	check_eq(old & 0xfff, PT_P, "entry after the access");
	pt_write(PT_PAE, s.root + 16, 0);
	write_cr3(s.root);
	EXPECT_TRAP_ERR(VEC_PF, 0, peek(0x80000000));
	EXPECT_TRAP_ERR(VEC_PF, PF_W, poke(0x80000000, 1));
	pt_write(PT_PAE, s.root + 16, old);
	write_cr3(s.root);
	EXPECT_NO_TRAP(check_eq(peek(0x80000000), 0x1357, "page after it is back"));
	known_on_tcg("reserved bits of the top PAE entries are not checked");
	/* Intel checks at the load, AMD at the walk (APM Vol. 2 15.25.10). */
	pt_write(PT_PAE, s.root + 16, old | PT_W);
	v = TRY(write_cr3(s.root));
	if (v == NO_TRAP)
		v = TRY(peek(0x80000000)) == VEC_PF && last_trap()->error & PF_RSVD ?
		    VEC_GP : NO_TRAP;
	check_eq(v, VEC_GP, "reserved bit in a top-level entry");
	pt_write(PT_PAE, s.root + 16, old);
	write_cr3(s.root);
	/* The root need only be aligned to 32 bytes. */
	memcpy((void *)(frame + 0x7e0), (void *)s.root, 32);
	write_cr3(frame + 0x7e0);
	check_eq(peek(0x80000000), 0x1357, "page by a root at 7E0h");
	paging(PT_PAE, 0);
}

/* Off and on, formats in turn, the same frames used by all. */
static void test_switches(void)
{
	struct space s[2];
	ulong frame[2] = { (ulong)alloc_page(), (ulong)alloc_page() };
	int i, m;

	for (m = 0; m < 2; m++) {
		pt_new(&s[m], m ? PT_PAE : PT_32BIT);
		pt_map(&s[m], REGION, frame[m], PT_W, 1);
		poke(frame[m], 0x1000 + m);
	}
	for (i = 0; i < 30; i++) {
		m = random32() & 1;
		paging(s[m].mode, s[m].root);
		check_eq(peek(REGION), 0x1000 + m, "page");
		check_eq(read_cr3(), s[m].root, "CR3");
		EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION + PAGE_SIZE));
		/* Change the other space's table while it is only data. */
		pt_map(&s[!m], REGION, frame[!m], i & 1 ? PT_W : 0, 1);
		if (pt_read(s[m].mode, pt_entry(&s[m], REGION, 1)) & PT_W)
			EXPECT_NO_TRAP(poke(REGION, 0x1000 + m));
		else
			EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(REGION, 1));
		if (i & 2) {
			paging(s[m].mode, 0);
			check_eq(peek(frame[m]), 0x1000 + m, "frame with paging off");
			EXPECT_TRAP(VEC_UD, asm volatile("ud2"));
		}
	}
	paging(PT_32BIT, 0);
}

/* Entries written in halves: present only with the second store. */
static void pae_halves(enum pt_mode mode)
{
	struct space s;
	ulong frame = (ulong)alloc_page(), e, old = read_cr3();
	int i;

	pt_new(&s, mode);
	e = pt_entry(&s, REGION, 1);
	poke(frame, 0x99);
	write_cr3(s.root);
	for (i = 0; i < 6; i++) {
		EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION));
		poke(e + 4, 0);
		poke(e, frame | PT_P | PT_W);
		EXPECT_NO_TRAP(check_eq(peek(REGION), 0x99, "page"));
		/* Away with CMPXCHG8B. */
		asm volatile("1: mov (%0), %%eax; mov 4(%0), %%edx; lock cmpxchg8b (%0); jnz 1b"
			     :: "D"(e), "b"(0), "c"(0) : "eax", "edx", "memory", "cc");
		invlpg(REGION);
	}
	write_cr3(old);
}

static void test_halves(void)
{
	with_paging(PT_PAE, pae_halves);
}

/* The directory maps itself, as 32-bit kernels do. */
static void recursive(enum pt_mode mode)
{
	struct space s;
	ulong frame[2] = { (ulong)alloc_page(), (ulong)alloc_page() }, old = read_cr3();
	int i;

	pt_new(&s, mode);
	pt_map(&s, REGION, frame[0], PT_W, 1);
	pt_write(mode, pt_slot(mode, s.root, 0x3c0), s.root | PT_P | PT_W);
	write_cr3(s.root);
	for (i = 0; i < 8; i++) {
		poke(frame[i & 1], 0x1000 + i);
		poke(0xf0000000 + (REGION >> 12) * 4, frame[i & 1] | PT_P | PT_W);
		invlpg(REGION);
		check_eq(peek(REGION), 0x1000 + i, "page");
	}
	check_eq(peek(0xf03c0000 + 0x3c0 * 4) & ~0xffful, s.root, "directory seen by itself");
	write_cr3(old);
}

static void test_recursive(void)
{
	with_paging(PT_32BIT, recursive);
}

/* Stores by every instruction into a directory and a table through themselves. */
static void through_itself(enum pt_mode mode)
{
	ulong old = read_cr3();
	struct space s;
	int l;

	pt_new(&s, mode);
	pt_map(&s, REGION, (ulong)alloc_page(), PT_W, 1);
	write_cr3(s.root);
	for (l = 1; l <= 2; l++)
		ptself_check(&s, REGION, l, mode == PT_PAE ? 0x1f0 : 0x3c0, 0x800);
	write_cr3(old);
}

static void test_through_itself_32(void)
{
	with_paging(PT_32BIT, through_itself);
}

static void test_through_itself_pae(void)
{
	with_paging(PT_PAE, through_itself);
}

const struct test guest_tests[] = {
	{ "levels-32bit", test_levels_32 },
	{ "random-32bit", test_random_32 },
	{ "reserved-32bit", test_reserved_32 },
	{ "levels-pae", test_levels_pae },
	{ "random-pae", test_random_pae },
	{ "reserved-pae", test_reserved_pae },
	{ "no-pse", test_no_pse },
	{ "pse36", test_pse36 },
	{ "pdptes", test_pdptes },
	{ "switches", test_switches },
	{ "halves", test_halves },
	{ "recursive", test_recursive },
	{ "through-itself-32bit", test_through_itself_32 },
	{ "through-itself-pae", test_through_itself_pae },
};

GUEST("paging32");
