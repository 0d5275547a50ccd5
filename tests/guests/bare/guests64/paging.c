// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paging in 64-bit mode: what every combination of entries and controls allows,
 * when a changed entry must and must not be seen, and table pages used in all the
 * ways that an operating system may use them.
 */
#include "mem.h"
#include "mode.h"
#include "ptcheck.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#define REGION	0x0000600000000000ul
#define REGION5	0x0060000000000000ul

/* --- rights --- */

static void test_levels(void)
{
	pt_check_levels(PT_4LEVEL, REGION, 1);
}

static void test_levels_2m(void)
{
	pt_check_levels(PT_4LEVEL, REGION, 2);
}

static void test_levels_1g(void)
{
	if (!HAS_1G)
		skip("no 1 GiB pages");
	else
		pt_check_levels(PT_4LEVEL, REGION, 3);
}

static void test_reserved(void)
{
	known_on_tcg("error codes of reserved bits");
	pt_check_reserved(PT_4LEVEL, REGION);
}

static void test_random(void)
{
	pt_check_random(PT_4LEVEL, REGION, 2000, false);
}

static void test_random_reserved(void)
{
	known_on_tcg("error codes of reserved bits");
	pt_check_random(PT_4LEVEL, REGION, 1000, true);
}

/* CR4.LA57 changes only outside long mode: SDM Vol. 3A 4.1.1. */
static void with_la57(void (*fn)(void))
{
	struct space s;
	ulong old = read_cr3();

	if (!HAS_LA57) {
		skip("no 5-level paging");
		return;
	}
	pt_new(&s, PT_5LEVEL);
	long_mode_switch(s.root, read_cr4() | CR4_LA57);
	check(read_cr4() & CR4_LA57, "CR4 is %lx after the switch to 5 levels", read_cr4());
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(read_cr4() & ~(ulong)CR4_LA57));
	fn();
	long_mode_switch(old, read_cr4() & ~(ulong)CR4_LA57);
}

static void levels5(void)
{
	pt_check_levels(PT_5LEVEL, REGION5, 1);
	pt_check_levels(PT_5LEVEL, REGION5, 2);
}

static void random5(void)
{
	pt_check_random(PT_5LEVEL, REGION5, 1500, false);
}

static void test_levels_5(void)
{
	with_la57(levels5);
}

static void test_random_5(void)
{
	with_la57(random5);
}

/* --- a small address space for the tests below --- */

static struct space space;
static ulong old_cr3;
static ulong frame[4];		/* four pages, each begins with its own number */
static ulong pte;		/* address of the entry of REGION */

static inline u32 peek(ulong va)
{
	return *(volatile u32 *)va;
}

static inline void poke(ulong va, u32 v)
{
	*(volatile u32 *)va = v;
}

static inline u64 entry(ulong e)
{
	return *(volatile u64 *)e;
}

static inline void set_entry(ulong e, u64 v)
{
	*(volatile u64 *)e = v;
}

static void open_space(void)
{
	int i;

	old_cr3 = read_cr3();
	pt_new(&space, PT_4LEVEL);
	for (i = 0; i < 4; i++) {
		frame[i] = (ulong)alloc_page();
		poke(frame[i], 0x1000 + i);
	}
	pt_map(&space, REGION, frame[0], PT_W | PT_U, 1);
	pte = pt_entry(&space, REGION, 1);
	pt_map_user(&space, 0x500000000000);
	write_cr3(space.root);
}

static void close_space(void)
{
	write_cr3(old_cr3);
}

#define WITH_SPACE(name)			\
static void body_##name(void);			\
static void test_##name(void)			\
{						\
	open_space();				\
	body_##name();				\
	close_space();				\
}						\
static void body_##name(void)

/* --- when a changed entry is seen --- */

/* SDM 4.10.2.3: translations are not cached for entries that are not present. */
WITH_SPACE(not_present_to_present)
{
	int i;

	for (i = 0; i < 8; i++) {
		set_entry(pte, 0);
		invlpg(REGION);
		EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION));
		set_entry(pte, frame[i & 3] | PT_P | PT_W);
		EXPECT_NO_TRAP(check_eq(peek(REGION), 0x1000 + (i & 3), "contents"));
	}
}

/* The same at every level above: a whole table appears at once. */
WITH_SPACE(table_appears)
{
	int l;

	for (l = 2; l <= 4; l++) {
		ulong e = pt_entry(&space, REGION, l);
		u64 old = entry(e);

		set_entry(e, 0);
		write_cr3(space.root);
		EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION));
		EXPECT_TRAP_ERR(VEC_PF, PF_W, poke(REGION + 0x3008, 1));
		set_entry(e, old);
		EXPECT_NO_TRAP(check_eq(peek(REGION), 0x1000, "contents"));
	}
}

/* Take rights away: seen after INVLPG, after MOV to CR3, after a toggle of CR4.PGE. */
WITH_SPACE(downgrade)
{
	int how;

	for (how = 0; how < 3; how++) {
		set_entry(pte, frame[0] | PT_P | PT_W);
		invlpg(REGION);
		EXPECT_NO_TRAP(poke(REGION, 0x1000));
		set_entry(pte, frame[0] | PT_P);
		if (how == 0) {
			invlpg(REGION + 0x7ff);
		} else if (how == 1) {
			write_cr3(space.root);
		} else {
			write_cr4(read_cr4() ^ CR4_PGE);
			write_cr4(read_cr4() ^ CR4_PGE);
		}
		EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(REGION, 1));
		EXPECT_NO_TRAP(peek(REGION));
		check_eq(peek(frame[0]), 0x1000, "frame after the refused write");
	}
}

/*
 * Give rights without a flush: one spurious fault is allowed (SDM 4.10.4.3), but
 * that fault itself drops the old translation, so the second try must work.
 */
WITH_SPACE(upgrade_without_flush)
{
	int i, v;

	for (i = 0; i < 4; i++) {
		set_entry(pte, frame[0] | PT_P);
		invlpg(REGION);
		EXPECT_NO_TRAP(peek(REGION));
		EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(REGION, 1));
		EXPECT_NO_TRAP(peek(REGION));
		set_entry(pte, frame[0] | PT_P | PT_W);
		v = TRY(poke(REGION, 0x1000 + i));
		check(v == NO_TRAP || (v == VEC_PF && last_trap()->error == (PF_P | PF_W)),
		      "first write after the upgrade: vector %d error %lx", v, last_trap()->error);
		if (v != NO_TRAP)
			EXPECT_NO_TRAP(poke(REGION, 0x1000 + i));
		check_eq(peek(frame[0]), 0x1000 + i, "frame");

		/* The same for a page that becomes the user's. */
		set_entry(pte, frame[0] | PT_P | PT_W);
		invlpg(REGION);
		v = user_run(pt_user_load, REGION, 0, 0);
		check(v == VEC_PF && last_trap()->error == (PF_P | PF_U),
		      "user read of a kernel page: vector %d error %lx", v, last_trap()->error);
		set_entry(pte, frame[0] | PT_P | PT_W | PT_U);
		v = user_run(pt_user_load, REGION, 0, 0);
		if (v == VEC_PF)
			v = user_run(pt_user_load, REGION, 0, 0);
		check_eq(v, USER_TRAP, "user read after the upgrade");
	}
	poke(frame[0], 0x1000);
}

/* Another frame under the same address. */
WITH_SPACE(remap)
{
	int i;

	for (i = 0; i < 32; i++) {
		set_entry(pte, frame[i & 3] | PT_P | PT_W);
		invlpg(REGION);
		check_eq(peek(REGION), 0x1000 + (i & 3), "read after remap");
		poke(REGION + 4, i);
		check_eq(peek(frame[i & 3] + 4), i, "written frame");
	}
}

/* Entries changed many times and in bulk before one flush. */
WITH_SPACE(bulk_then_flush)
{
	ulong table = pte & -PAGE_SIZE;
	int i, round;

	for (round = 0; round < 6; round++) {
		for (i = 0; i < 512; i++)
			set_entry(table + i * 8, frame[(i + round) & 3] | PT_P | PT_W);
		write_cr3(space.root);
		for (i = 0; i < 512; i += 3)
			check_eq(peek(REGION + i * PAGE_SIZE), 0x1000 + ((i + round) & 3), "page");
		for (i = 0; i < 512; i++)
			set_entry(table + i * 8, 0);
		write_cr3(space.root);
		for (i = 0; i < 512; i += 37)
			EXPECT_TRAP_ERR(VEC_PF, 0, peek(REGION + i * PAGE_SIZE));
	}
}

/* Global pages: INVLPG and a CR4.PGE toggle drop them; others go with CR3. */
WITH_SPACE(global)
{
	if (!HAS_PGE) {
		skip("no global pages");
		return;
	}
	write_cr4(read_cr4() | CR4_PGE);
	set_entry(pte, frame[0] | PT_P | PT_W | PT_G);
	set_entry(pte + 8, frame[1] | PT_P | PT_W);
	check_eq(peek(REGION), 0x1000, "global page");
	check_eq(peek(REGION + PAGE_SIZE), 0x1001, "other page");
	set_entry(pte, frame[2] | PT_P | PT_W | PT_G);
	set_entry(pte + 8, frame[3] | PT_P | PT_W);
	write_cr3(space.root);
	check_eq(peek(REGION + PAGE_SIZE), 0x1003, "other page after MOV to CR3");
	check(peek(REGION) == 0x1000 || peek(REGION) == 0x1002,
	      "global page after MOV to CR3 holds %x", peek(REGION));
	write_cr4(read_cr4() & ~(ulong)CR4_PGE);
	check_eq(peek(REGION), 0x1002, "global page after CR4.PGE was cleared");
	write_cr4(read_cr4() | CR4_PGE);
	check_eq(peek(REGION), 0x1002, "global page after CR4.PGE was set");
	set_entry(pte, frame[1] | PT_P | PT_W | PT_G);
	invlpg(REGION);
	check_eq(peek(REGION), 0x1001, "global page after INVLPG");
	write_cr4(read_cr4() & ~(ulong)CR4_PGE);
}

static int invpcid(ulong type, u64 pcid, ulong va)
{
	struct { u64 pcid, va; } d = { pcid, va };

	return TRY(asm volatile("invpcid %0, %1" :: "m"(d), "r"(type) : "memory"));
}

/* SDM 4.10.1 and INVPCID: contexts of their own, loads that keep them, four types. */
WITH_SPACE(pcid)
{
	struct space other;
	ulong pte2;
	int i;

	if (!HAS_PCID) {
		known_on_tcg("CR4.PCIDE may be set without PCID");
		EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(read_cr4() | CR4_PCIDE));
		skip("no PCID");
		return;
	}
	write_cr4(read_cr4() | CR4_PCIDE | CR4_PGE);
	pt_new(&other, PT_4LEVEL);
	pt_map(&other, REGION, frame[1], PT_W, 1);
	pte2 = pt_entry(&other, REGION, 1);
	for (i = 0; i < 4; i++) {
		write_cr3(space.root | 1);
		check_eq(peek(REGION), 0x1000, "space 1");
		write_cr3(other.root | 2);
		check_eq(peek(REGION), 0x1001, "space 2");
		write_cr3(space.root | 1 | BIT64(63));
		check_eq(peek(REGION), 0x1000, "space 1, kept");
		check_eq(read_cr3(), space.root | 1, "CR3");
		write_cr3(other.root | 2 | BIT64(63));
		check_eq(peek(REGION), 0x1001, "space 2, kept");
	}
	/* The same PCID with another root and a flush. */
	write_cr3(space.root | 2);
	check_eq(peek(REGION), 0x1000, "PCID 2 with the other root");
	write_cr3(other.root | 2);
	check_eq(peek(REGION), 0x1001, "PCID 2 again");
	/* A change made while another PCID is current, then a load without bit 63. */
	write_cr3(space.root | 1 | BIT64(63));
	set_entry(pte2, frame[3] | PT_P | PT_W);
	write_cr3(other.root | 2);
	check_eq(peek(REGION), 0x1003, "change made under another PCID");
	if (HAS_INVPCID) {
		for (i = 0; i <= 3; i++) {
			set_entry(pte2, frame[1] | PT_P | PT_W);
			invlpg(REGION);
			check_eq(peek(REGION), 0x1001, "before INVPCID");
			write_cr3(space.root | 1 | BIT64(63));
			set_entry(pte2, frame[2] | PT_P | PT_W);
			check_eq(invpcid(i, i < 2 ? 2 : 0, i ? 0 : REGION), NO_TRAP, "INVPCID");
			write_cr3(other.root | 2 | BIT64(63));
			check(peek(REGION) == 0x1002, "INVPCID type %d left the old page", i);
		}
		check_eq(invpcid(4, 0, 0), VEC_GP, "INVPCID of type 4");
		check_eq(invpcid(0, 4096, 0), VEC_GP, "INVPCID of PCID 4096");
		check_eq(invpcid(0, 2, 0x8000000000000000), VEC_GP, "INVPCID of a non-canonical address");
	}
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr0(read_cr0() & ~(ulong)CR0_PG));
	write_cr3(space.root);
	write_cr4(read_cr4() & ~(ulong)(CR4_PCIDE | CR4_PGE));
	write_cr3(space.root | 1);
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(read_cr4() | CR4_PCIDE));
}

/* Two addresses, two entries; INVLPG of one must not be needed for the other. */
WITH_SPACE(dirty_accessed)
{
	set_entry(pte, frame[0] | PT_P | PT_W);
	peek(REGION);
	check_eq(entry(pte), frame[0] | PT_P | PT_W | PT_A, "entry after a read");
	poke(REGION, 0x1000);
	check_eq(entry(pte), frame[0] | PT_P | PT_W | PT_A | PT_D, "entry after a write");
	set_entry(pte, frame[0] | PT_P | PT_W | PT_A);
	invlpg(REGION);
	peek(REGION);
	check_eq(entry(pte), frame[0] | PT_P | PT_W | PT_A, "read sets no dirty bit");
	poke(REGION, 0x1000);
	check_eq(entry(pte), frame[0] | PT_P | PT_W | PT_A | PT_D, "write sets it again");
	/* Accessed cleared beside dirty, as a page ager does. */
	set_entry(pte, frame[0] | PT_P | PT_W | PT_D);
	invlpg(REGION);
	peek(REGION);
	check_eq(entry(pte), frame[0] | PT_P | PT_W | PT_A | PT_D, "read sets accessed");
	/* A CMPXCHG that fails is a write all the same. */
	set_entry(pte, frame[0] | PT_P | PT_W);
	invlpg(REGION);
	asm volatile("lock cmpxchgl %1, (%0)" :: "r"(REGION), "r"(5), "a"(1) : "memory", "cc");
	check_eq(entry(pte), frame[0] | PT_P | PT_W | PT_A | PT_D, "entry after a failed CMPXCHG");
	check_eq(peek(frame[0]), 0x1000, "frame after a failed CMPXCHG");
	/* Kernel write to a read-only page with CR0.WP = 0. */
	set_entry(pte, frame[0] | PT_P);
	invlpg(REGION);
	write_cr0(read_cr0() & ~(ulong)CR0_WP);
	poke(REGION, 0x1000);
	check_eq(entry(pte), frame[0] | PT_P | PT_A | PT_D, "write with CR0.WP clear");
	write_cr0(read_cr0() | CR0_WP);
	EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, poke(REGION, 1));
	/* Accesses through the entries above set accessed, never dirty. */
	check_eq(entry(pt_entry(&space, REGION, 2)) & (PT_A | PT_D), PT_A, "level 2");
	check_eq(entry(pt_entry(&space, REGION, 4)) & (PT_A | PT_D), PT_A, "level 4");
}

/* --- table pages written by every kind of store --- */

#define N_STORES 24

/* Stores @new (only what differs from @old matters) into the entry by store kind @k. */
static const char *store_entry(int k, ulong e, u64 old, u64 new)
{
	u64 pair[2] __attribute__((aligned(16))) = { new, entry(e + 8) };
	u64 diff = old ^ new;
	ulong t;
	int i;

	switch (k) {
	case 0:
		asm volatile("mov %1, (%0)" :: "r"(e), "r"(new) : "memory");
		return "mov 8";
	case 1:
		asm volatile("movl %k1, (%0)" :: "r"(e), "r"(new) : "memory");
		asm volatile("movl %k1, 4(%0)" :: "r"(e), "r"(new >> 32) : "memory");
		return "mov 4";
	case 2:
		for (i = 0; i < 4; i++)
			asm volatile("movw %w1, (%0)" :: "r"(e + 2 * i), "r"(new >> 16 * i) : "memory");
		return "mov 2";
	case 3:
		for (i = 0; i < 8; i++)
			asm volatile("movb %b1, (%0)" :: "r"(e + i), "q"(new >> 8 * i) : "memory");
		return "mov 1";
	case 4:
		asm volatile("xchg %1, (%0)" :: "r"(e), "r"(new) : "memory");
		return "xchg";
	case 5:
		t = entry(e);
		asm volatile("lock cmpxchg %2, (%1)" : "+a"(t) : "r"(e), "r"(new) : "memory", "cc");
		return "lock cmpxchg";
	case 6:
		t = entry(e);
		asm volatile("1: lock cmpxchg8b (%1); jnz 1b"
			     :: "a"((u32)t), "r"(e), "b"((u32)new), "c"((u32)(new >> 32)),
			     "d"((u32)(t >> 32)) : "memory", "cc");
		return "lock cmpxchg8b";
	case 7:
		if (!HAS_CX16 || e & 8)
			return NULL;
		asm volatile("1: lock cmpxchg16b (%0); jnz 1b"
			     :: "r"(e), "a"(entry(e)), "d"(pair[1]), "b"(new), "c"(pair[1])
			     : "memory", "cc");
		return "lock cmpxchg16b";
	case 8:
		for (i = 0; i < 64; i++)
			if (diff >> i & 1 && new >> i & 1)
				asm volatile("lock btsq %1, (%0)" :: "r"(e), "r"((u64)i) : "memory", "cc");
			else if (diff >> i & 1)
				asm volatile("lock btrq %1, (%0)" :: "r"(e), "r"((u64)i) : "memory", "cc");
		return "lock bts/btr reg";
	case 9:
		/* The bit offset reaches across the operand: from the table's first entry. */
		for (i = 0; i < 64; i++)
			if (diff >> i & 1)
				asm volatile("btcq %1, (%0)" :: "r"(e & -PAGE_SIZE),
					     "r"((u64)i + (e & 0xfff) * 8) : "memory", "cc");
		return "btc far";
	case 10:
		asm volatile("lock andq %1, (%0)" :: "r"(e), "r"(new | ~diff) : "memory", "cc");
		asm volatile("lock orq %1, (%0)" :: "r"(e), "r"(new & diff) : "memory", "cc");
		return "lock and/or";
	case 11:
		asm volatile("xorq %1, (%0)" :: "r"(e), "r"(diff) : "memory", "cc");
		return "xor";
	case 12:
		asm volatile("addq %1, (%0)" :: "r"(e), "r"(new - entry(e)) : "memory", "cc");
		return "add";
	case 13:
		t = new - entry(e);
		asm volatile("lock xaddq %0, (%1)" : "+r"(t) : "r"(e) : "memory", "cc");
		return "lock xadd";
	case 14: {
		ulong s = (ulong)&pair[0], d = e, n = 1;

		asm volatile("rep movsq" : "+S"(s), "+D"(d), "+c"(n) :: "memory");
		return "rep movsq";
	}
	case 15: {
		ulong s = (ulong)&pair[0], d = e, n = 8;

		asm volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) :: "memory");
		return "rep movsb";
	}
	case 16: {
		ulong d = e, n = 1;

		asm volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(new) : "memory");
		return "rep stosq";
	}
	case 17: {
		ulong d = e + 4, n = 2, s = (ulong)&pair[0] + 4;

		asm volatile("std; rep movsl; cld" : "+S"(s), "+D"(d), "+c"(n) :: "memory", "cc");
		return "rep movsl backwards";
	}
	case 18:
		asm volatile("movdqu %1, %%xmm0; movdqu %%xmm0, (%0)" :: "r"(e), "m"(pair) : "memory");
		return "movdqu";
	case 19:
		if (e & 8)
			return NULL;
		asm volatile("movaps %1, %%xmm0; movaps %%xmm0, (%0)" :: "r"(e), "m"(pair) : "memory");
		return "movaps";
	case 20:
		asm volatile("movnti %1, (%0); sfence" :: "r"(e), "r"(new) : "memory");
		return "movnti";
	case 21:
		asm volatile("movq %1, %%xmm0; movq %%xmm0, (%0)" :: "r"(e), "r"(new) : "memory");
		return "movq xmm";
	case 22:
		asm volatile("pushq %1; popq (%0)" :: "r"(e), "r"(new) : "memory");
		return "pop";
	case 23:
		asm volatile("negq (%0); notq (%0); incq (%0)" :: "r"(e) : "memory", "cc");
		asm volatile("movnti %1, (%0)" :: "r"(e), "r"(new) : "memory");
		return "neg, not, inc, movnti";
	}
	return NULL;
}

static void check_stores(ulong e, u64 a, u64 b, ulong va, u32 in_a, u32 in_b)
{
	const char *name;
	int k;

	for (k = 0; k < N_STORES; k++) {
		u64 next = entry(e + 8);

		/* Through accessed and dirty bits set on the way, hence the masks. */
		name = store_entry(k, e, entry(e), b);
		if (!name)
			continue;
		invlpg(va);
		check(peek(va) == in_b, "%s: page holds %x, expected %x, entry %llx", name,
		      peek(va), in_b, (unsigned long long)entry(e));
		name = store_entry(k, e, entry(e), a);
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
		check_eq(user_run(pt_user_store, alias + (pte & 0xfff), frame[i & 3] | PT_P | PT_U, 0),
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
			set_entry(pt_entry(&space, REGION + (9ul << 30) + i * step, 1), shared | PT_P);
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

/* --- accesses of special shape --- */

/* An access over a page boundary: the fault names the page that refused it. */
WITH_SPACE(crossing)
{
	ulong last = REGION + PAGE_SIZE - 4;

	set_entry(pte, frame[0] | PT_P | PT_W);
	set_entry(pte + 8, 0);
	poke(frame[0] + PAGE_SIZE - 4, 0x11111111);
	poke(frame[1], 0x1001);
	EXPECT_TRAP_ERR(VEC_PF, 0, *(volatile u64 *)last);
	check_eq(last_trap()->cr2, REGION + PAGE_SIZE, "CR2 of the read");
	EXPECT_TRAP_ERR(VEC_PF, PF_W, *(volatile u64 *)last = 0);
	check_eq(last_trap()->cr2, REGION + PAGE_SIZE, "CR2 of the write");
	check_eq(peek(frame[0] + PAGE_SIZE - 4), 0x11111111, "first half after the fault");
	set_entry(pte + 8, frame[1] | PT_P);
	EXPECT_TRAP_ERR(VEC_PF, PF_P | PF_W, *(volatile u64 *)last = 0);
	check_eq(peek(frame[0] + PAGE_SIZE - 4), 0x11111111, "first half after the second fault");
	check_eq(*(volatile u64 *)last, 0x0000100111111111, "read over the boundary");
	set_entry(pte, 0);
	invlpg(REGION);
	EXPECT_TRAP_ERR(VEC_PF, 0, *(volatile u64 *)last);
	check_eq(last_trap()->cr2, last, "CR2 with the first page missing");
	/* An instruction over the boundary: CR2 names the second page, RIP the start. */
	set_entry(pte, frame[0] | PT_P | PT_W);
	set_entry(pte + 8, 0);
	invlpg(REGION + PAGE_SIZE);
	memcpy((void *)(frame[0] + PAGE_SIZE - 2), "\xb8\x01", 2);	/* mov $imm32, %eax */
	EXPECT_TRAP(VEC_PF, asm volatile("call *%0" :: "r"(REGION + PAGE_SIZE - 2) : "rax", "memory"));
	check_eq(last_trap()->cr2, REGION + PAGE_SIZE, "CR2 of the fetch");
	check_eq(last_trap()->ip, REGION + PAGE_SIZE - 2, "RIP of the fetch");
}

/* A string move that stops in the middle leaves its registers where it stopped. */
WITH_SPACE(rep_fault)
{
	struct regs *r = &last_trap()->regs;
	static u8 source[2 * 4096];

	set_entry(pte, frame[0] | PT_P | PT_W);
	set_entry(pte + 8, 0);
	EXPECT_TRAP_ERR(VEC_PF, PF_W, asm volatile("rep movsb" :: "S"(source), "c"(300),
		"D"(REGION + PAGE_SIZE - 100) : "memory"));
	check_eq(r->cx, 200, "RCX");
	check_eq(r->si, (ulong)source + 100, "RSI");
	check_eq(r->di, REGION + PAGE_SIZE, "RDI");
	check_eq(last_trap()->cr2, REGION + PAGE_SIZE, "CR2");
	EXPECT_TRAP_ERR(VEC_PF, PF_W, asm volatile("rep stosq" :: "a"(0), "c"(100),
		"D"(REGION + PAGE_SIZE - 80) : "memory"));
	check_eq(r->cx, 90, "RCX of STOS");
	check_eq(r->di, REGION + PAGE_SIZE, "RDI of STOS");
	poke(frame[0], 0x1000);
}

extern u8 implicit_user[], implicit_user_end[];
asm("implicit_user: mov %edi, %es\n int $0x80\nimplicit_user_end:\n");

/* Accesses that the processor makes on its own are the kernel's, whatever CPL is. */
WITH_SPACE(implicit_access)
{
	ulong page = (ulong)alloc_page(), va = REGION + (40ul << 30);
	struct dtr old, d;
	int v;

	/* A GDT in a kernel-only page serves a user program that loads a segment. */
	asm volatile("sgdt %0" : "=m"(old));
	memcpy((void *)page, (void *)old.base, old.limit + 1);
	pt_map(&space, va, page, PT_W, 1);
	d = (struct dtr){ 2 * PAGE_SIZE - 1, va };
	memcpy((void *)(entry(pt_entry(&space, 0x500000000000, 1)) & 0xfffffffff000) + 256,
	       implicit_user, implicit_user_end - implicit_user);
	asm volatile("lgdt %0" :: "m"(d));
	v = user_run(0x500000000000 + 256, USER_DS, 0, 0);
	check_eq(v, USER_TRAP, "user load of ES from a kernel-only GDT");
	/* A descriptor in a page that is not there: the fault is the kernel's, at it. */
	v = TRY(asm volatile("mov %0, %%es" :: "r"(PAGE_SIZE + 8)));
	check(v == VEC_PF && last_trap()->error == 0 && last_trap()->cr2 == va + PAGE_SIZE + 8,
	      "descriptor load: vector %d error %lx cr2 %lx", v, last_trap()->error,
	      last_trap()->cr2);
	asm volatile("lgdt %0" :: "m"(old));
	asm volatile("mov %0, %%es" :: "r"(KERNEL_DS));
}

/* SDM Vol. 1 3.3.7.1: addresses that are not canonical never reach paging. */
WITH_SPACE(non_canonical)
{
	ulong hole = 0x0000800000000000ul;

	known_on_tcg("#GP instead of #SS for addresses by RBP and RSP");
	EXPECT_TRAP_ERR(VEC_GP, 0, peek(hole));
	EXPECT_TRAP_ERR(VEC_GP, 0, poke(0xffff7ffffffffffcul, 0));
	EXPECT_TRAP_ERR(VEC_GP, 0, asm volatile("jmp *%0" :: "r"(hole)));
	EXPECT_TRAP_ERR(VEC_SS, 0, asm volatile("mov %0, %%rbp; mov (%%rbp), %%rax"
						:: "r"(hole) : "rax"));
	/* INVLPG of such an address does nothing. */
	EXPECT_NO_TRAP(invlpg(hole));
	/* The last byte below the hole faults as a page. */
	EXPECT_TRAP_ERR(VEC_PF, 0, *(volatile u8 *)(hole - 1));
	check_eq(last_trap()->cr2, hole - 1, "CR2");
}

/* CR3's own bits: PWT and PCD stay, reserved ones fault, the root may lie anywhere. */
WITH_SPACE(cr3_bits)
{
	EXPECT_NO_TRAP(write_cr3(space.root | 0x18));
	check_eq(read_cr3(), space.root | 0x18, "CR3 with PWT and PCD");
	check_eq(peek(REGION), 0x1000, "page");
	write_cr3(space.root);
	if (known_on_tcg("reserved bits of CR3 are not checked"))
		return;
	if (cpu_phys_bits() < 52)
		EXPECT_TRAP_ERR(VEC_GP, 0, write_cr3(space.root | BIT64(51)));
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr3(space.root | BIT64(62)));
	check_eq(read_cr3(), space.root, "CR3 after the faults");
}

/* --- whole modes --- */

/* Out of long mode, through protected mode with other paging, and back. */
static void test_mode_switches(void)
{
	struct space pae, flat, s4;
	ulong page = (ulong)alloc_page(), page2 = (ulong)alloc_page();
	ulong cr3 = read_cr3();
	int i;

	poke(page, 0x4444);
	poke(page2, 0x5555);
	pt_new(&pae, PT_PAE);
	pt_map(&pae, 0xd0000000, page, PT_W, 1);
	pt_new(&flat, PT_32BIT);
	pt_map(&flat, 0xd0000000, page2, PT_W, 1);
	pt_new(&s4, PT_4LEVEL);
	pt_map(&s4, REGION, page2, PT_W, 1);
	for (i = 0; i < 10; i++) {
		check_eq(legacy_read(0, 0, page), 0x4444, "read without paging");
		check_eq(legacy_read(pae.root, CR4_PAE, 0xd0000000), 0x4444, "read under PAE paging");
		check_eq(legacy_read(flat.root, CR4_PSE, 0xd0000000), 0x5555,
			 "read under 32-bit paging");
		/* Accessed bits of both formats were set by that walk. */
		check(pt_read(PT_PAE, pt_entry(&pae, 0xd0000000, 1)) & PT_A, "PAE entry not accessed");
		check(pt_read(PT_32BIT, pt_entry(&flat, 0xd0000000, 1)) & PT_A,
		      "32-bit entry not accessed");
		/* Change both while in long mode; each is a table of another format here. */
		pt_map(&pae, 0xd0000000, i & 1 ? page : page2, PT_W, 1);
		check_eq(legacy_read(pae.root, CR4_PAE, 0xd0000000), i & 1 ? 0x4444 : 0x5555,
			 "read under PAE after a change");
		pt_map(&pae, 0xd0000000, page, PT_W, 1);
		write_cr3(s4.root);
		check_eq(peek(REGION), 0x5555, "read in long mode");
		write_cr3(cr3);
	}
	/* The same page as PAE directory and as 4-level table: other role, same frame. */
	set_entry(pt_entry(&s4, REGION, 1) + 8, pae.root | PT_P | PT_W);
	write_cr3(s4.root);
	check_eq(entry(REGION + PAGE_SIZE), entry(pae.root), "PAE root read as data");
	write_cr3(cr3);
}

GUEST("paging",
	{ "levels-4k", test_levels },
	{ "levels-2m", test_levels_2m },
	{ "levels-1g", test_levels_1g },
	{ "reserved", test_reserved },
	{ "random", test_random },
	{ "random-reserved", test_random_reserved },
	{ "levels-la57", test_levels_5 },
	{ "random-la57", test_random_5 },
	{ "not-present-to-present", test_not_present_to_present },
	{ "table-appears", test_table_appears },
	{ "downgrade", test_downgrade },
	{ "upgrade-without-flush", test_upgrade_without_flush },
	{ "remap", test_remap },
	{ "bulk-then-flush", test_bulk_then_flush },
	{ "global", test_global },
	{ "pcid", test_pcid },
	{ "dirty-accessed", test_dirty_accessed },
	{ "stores-leaf", test_stores_leaf },
	{ "stores-upper", test_stores_upper },
	{ "store-across-entries", test_store_across_entries },
	{ "table-twice", test_table_twice },
	{ "recursive", test_recursive },
	{ "table-at-two-levels", test_table_at_two_levels },
	{ "table-becomes-data", test_table_becomes_data },
	{ "user-writes-table", test_user_writes_table },
	{ "entry-maps-itself", test_entry_maps_itself },
	{ "split-and-merge", test_split_and_merge },
	{ "large-page-over-tables", test_large_page_over_tables },
	{ "many-spaces", test_many_spaces },
	{ "many-mappings", test_many_mappings },
	{ "crossing", test_crossing },
	{ "rep-fault", test_rep_fault },
	{ "implicit-access", test_implicit_access },
	{ "non-canonical", test_non_canonical },
	{ "cr3-bits", test_cr3_bits },
	{ "mode-switches", test_mode_switches });
