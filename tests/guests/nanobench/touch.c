// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first access to memory, for which a hypervisor must find memory of its own.
 * Nothing gives memory back to it, so every page serves for a single operation.
 */
#include "nanobench.h"

static ulong touch_next, touch_end, touch_page;

/*
 * Memory is used from its end downwards for this and from the other end for all else.
 * Firmware may have left tables at the end; they are stepped over.
 */
#define FIRMWARE_BYTES	MIB

static void touch_set_up(const struct bench *b, u64 n)
{
	ulong size = b->arg, top = (mem_top - FIRMWARE_BYTES) & -PAGE_2M, want, spare, rounds, va;

	/* Once: from then on mem_top is the end of a whole page. */
	if (mem_top % PAGE_2M == 0 && touch_page)
		top = mem_top;
	spare = top > mem_mark() + 8 * MIB ? top - mem_mark() - 8 * MIB : 0;
	if (n * size > spare) {
		skip("%lu KiB of memory never used before, but only %lu left", n * size / 1024,
		     spare / 1024);
		return;
	}
	/* At most half of what is left, for what comes after. */
	rounds = spare / 2 / (n * size);
	if (rounds > 8)
		rounds = 8;
	if (!rounds)
		rounds = 1;
	limit_rounds(rounds);
	want = (rounds * n * size + PAGE_2M - 1) & -PAGE_2M;
	mem_top = top - want;
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

BENCH_LIST(touch_list,
	{ "touch-4k", "first store to a page of 4 KiB", touch_set_up, touch_body, control_loop,
	  NULL, 256, .fixed = true, .arg = PAGE_SIZE },
	{ "touch-2m", "first store to a page of 2 MiB", touch_set_up, touch_body, control_loop,
	  NULL, 4, .fixed = true, .arg = PAGE_2M });
