// SPDX-License-Identifier: GPL-2.0-only
/* Switches between address spaces. */
#include "nanobench.h"

#define MAX_SPACES	64
#define WALK_PAGES	16
/* Each page begins with the number of its space and its own. */
#define TAG(s, p)	((s) * WALK_PAGES + (p) + 1)

static ulong root[MAX_SPACES];
static u64 tags[MAX_SPACES];	/* sum over a space's pages */
static unsigned int spaces;

/* @n spaces with @pages at WINDOW, which are the same ones in all if @shared. */
static void make_spaces(unsigned int n, unsigned int pages, u64 shared)
{
	static struct space space[MAX_SPACES];
	ulong frames[WALK_PAGES];
	unsigned int s, p;

	for (s = 0; s < n; s++) {
		pt_new(&space[s], PT_4LEVEL);
		tags[s] = 0;
		for (p = 0; p < pages; p++) {
			if (!s || !shared) {
				frames[p] = (ulong)alloc_page();
				*(u64 *)frames[p] = TAG(s, p);
			}
			tags[s] += *(u64 *)frames[p];
			pt_map(&space[s], WINDOW + p * PAGE_SIZE, frames[p],
			       PT_W | PT_USED | shared, 1);
		}
		root[s] = space[s].root;
	}
	spaces = n;
	/* Each is used once before, so that no round has to get to know it. */
	for (s = 0; s < n; s++) {
		write_cr3(root[s]);
		for (p = 0; p < pages; p++)
			*(volatile u64 *)(WINDOW + p * PAGE_SIZE);
	}
}

static void cr3_set_up(const struct bench *b, u64 n)
{
	make_spaces(b->arg, 1, 0);
}

/* The number of spaces is a power of two. */
static void cr3_body(u64 n)
{
	volatile u64 *window = (volatile u64 *)WINDOW;
	ulong i, mask = spaces - 1;

	for (i = 0; i < n; i++)
		write_cr3(root[i & mask]);
	if (*window != TAG((n - 1) & mask, 0))
		fail("not the address space that was switched to last");
}

static void cr3_control(u64 n)
{
	ulong i, mask = spaces - 1;

	for (i = 0; i < n; i++)
		asm volatile("" :: "r"(root[i & mask]) : "memory");
}

static u64 walk(void)
{
	u64 sum = 0;
	ulong p;

	for (p = 0; p < WALK_PAGES; p++)
		sum += *(volatile u64 *)(WINDOW + p * PAGE_SIZE);
	return sum;
}

static void walk_body(u64 n)
{
	ulong i, s, mask = spaces - 1;
	u64 sum = 0, expected = 0;

	for (i = 0; i < n; i++) {
		write_cr3(root[i & mask]);
		sum += walk();
	}
	for (s = 0; s < spaces; s++)
		expected += (n / spaces + (n % spaces > s)) * tags[s];
	if (sum != expected)
		fail("loads after a switch are not from the pages of that space");
}

static void ctxsw_set_up(const struct bench *b, u64 n)
{
	make_spaces(b->arg, WALK_PAGES, 0);
}

static void global_set_up(const struct bench *b, u64 n)
{
	if (!HAS_PGE) {
		skip("no global pages");
		return;
	}
	make_spaces(b->arg, WALK_PAGES, PT_G);
	write_cr4(read_cr4() | CR4_PGE);
}

static void global_clean_up(void)
{
	write_cr4(read_cr4() & ~(ulong)CR4_PGE);
}

#define CR3_SWITCH(n)							\
	{ "cr3-switch-" #n, "MOV to CR3, " #n " address spaces in turn",	\
	  cr3_set_up, cr3_body, cr3_control, NULL, 50, 0, n }

static const struct bench benches[] = {
	CR3_SWITCH(2), CR3_SWITCH(4), CR3_SWITCH(8), CR3_SWITCH(16), CR3_SWITCH(32),
	CR3_SWITCH(64),
	{ "cr3-global", "MOV to CR3 of 2 spaces in turn, loads from 16 global pages",
	  global_set_up, walk_body, cr3_control, global_clean_up, 50, 0, 2 },
	{ "ctxsw", "MOV to CR3 of 8 spaces in turn, loads from 16 pages of its own",
	  ctxsw_set_up, walk_body, cr3_control, NULL, 50, 0, 8 },
};

const struct bench_list switch_list = BENCH_LIST(benches);
