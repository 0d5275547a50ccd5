// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first access to memory, for which a hypervisor must find memory of its own.
 * Nothing gives memory back to it, so every page serves for a single operation.
 */
#include "nanobench.h"

static ulong touch_next, touch_end, touch_page;

/* Memory is used from its end downwards for this, and from its start for all else. */
#define KEPT		(8 * MIB)
#define ROUNDS		8

static void touch_set_up(const struct bench *b, u64 n)
{
	ulong spare = mem_top > mem_mark() + KEPT ? mem_top - mem_mark() - KEPT : 0;
	ulong size = b->arg, want, rounds, va;

	if (n * size > spare) {
		skip("needs %lu KiB of memory never used before, %lu are left", n * size / 1024,
		     spare / 1024);
		return;
	}
	/* At most half of what is left, for what comes after. */
	rounds = spare / 2 / (n * size);
	if (rounds > ROUNDS)
		rounds = ROUNDS;
	if (!rounds)
		rounds = 1;
	limit_rounds(rounds);
	want = (rounds * n * size + PAGE_2M - 1) & -PAGE_2M;
	mem_top = (mem_top & -PAGE_2M) - want;
	for (va = WINDOW; va < WINDOW + want; va += size)
		pt_map(&base, va, mem_top + (va - WINDOW), PT_W | PT_USED, size == PAGE_2M ? 2 : 1);
	touch_page = size;
	touch_next = WINDOW;
	touch_end = WINDOW + want;
}

static void touch_body(u64 n)
{
	if (touch_next + n * touch_page > touch_end) {
		fail("no memory for one more round");
		return;
	}
	for (; n--; touch_next += touch_page)
		*(volatile u8 *)touch_next = 1;
}

static const struct bench benches[] = {
	{ "touch-4k", "first store to a page of 4 KiB",
	  touch_set_up, touch_body, control_loop, NULL, 256, FIXED | MEAN, PAGE_SIZE },
	{ "touch-2m", "first store to a page of 2 MiB",
	  touch_set_up, touch_body, control_loop, NULL, 8, FIXED | MEAN, PAGE_2M },
};

const struct bench_list touch_list = BENCH_LIST(benches);
