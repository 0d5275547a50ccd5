// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paging in 64-bit mode: what every combination of entries and controls allows,
 * when a changed entry must and must not be seen, accesses of special shape.
 */
#include "mem.h"
#include "mode.h"
#include "ptcheck.h"
#include "ptspace.h"
#include "string.h"
#include "test.h"
#include "trap.h"

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
	pt_with_la57(levels5);
}

static void test_random_5(void)
{
	pt_with_la57(random5);
}

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
	EXPECT_TRAP(VEC_PF, asm volatile("call *%0" :: "r"(REGION + PAGE_SIZE - 2)
					 : "rax", "memory"));
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

const struct test guest_tests[] = {
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
	{ "crossing", test_crossing },
	{ "rep-fault", test_rep_fault },
	{ "implicit-access", test_implicit_access },
	{ "non-canonical", test_non_canonical },
	{ "cr3-bits", test_cr3_bits },
	{ "mode-switches", test_mode_switches },
};

GUEST("paging");
