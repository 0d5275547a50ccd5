// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads of which each needs the result of the last, in random order over a working
 * set: what address translation adds to a load. There is one pointer in each 4 KiB,
 * whatever the size of the pages, so that the data alone fits caches when its
 * translations no longer fit the TLB.
 */
#include "nanobench.h"

#define LINE		64
#define LINES		(PAGE_SIZE / LINE)

/* What kind of page, which is also the level of the tables that maps it. */
#define KIND_4K		1u
#define KIND_2M		2u
#define KIND_1G		3u
#define CHASE(kind, units)	((kind) | (units) << 4)	/* a unit is 64 KiB */

static void **chase_at;

static u32 next_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Successive pages use successive cache lines. */
static ulong node(ulong start, u32 i)
{
	return start + i * PAGE_SIZE + i % LINES * LINE;
}

static void chase_set_up(const struct bench *b, u64 n)
{
	unsigned int kind = b->arg & 15;
	ulong size = (ulong)(b->arg >> 4) << 16, pa, start, off;
	u32 nodes = size / PAGE_SIZE, random = 1, i, *order;
	void **p;

	if (kind == KIND_1G && !HAS_1G) {
		skip("no pages of 1 GiB");
		return;
	}
	pa = (mem_mark() + nodes * sizeof(*order) + 2 * PAGE_2M) & -PAGE_2M;
	if (pa + size + 2 * MIB > mem_top) {
		skip("needs %lu MiB of memory, %lu are left", size / MIB,
		     (mem_top - mem_mark()) / MIB);
		return;
	}
	order = alloc_pages((nodes * sizeof(*order) + PAGE_SIZE - 1) / PAGE_SIZE);
	mem_release(pa + size);

	/* The window begins at the multiple of 1 GiB that physical memory begins with. */
	start = WINDOW + (kind == KIND_1G ? pa : 0);
	if (kind == KIND_1G)
		pt_map(&base, WINDOW, 0, PT_W | PT_USED, kind);
	else
		for (off = 0; off < size; off += pt_size(PT_4LEVEL, kind))
			pt_map(&base, start + off, pa + off, PT_W | PT_USED, kind);

	/* Sattolo's shuffle makes one cycle of all. */
	for (i = 0; i < nodes; i++)
		order[i] = i;
	for (i = nodes - 1; i; i--) {
		u32 j = next_random(&random) % i, t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (i = 0; i < nodes; i++)
		*(void **)node(start, i) = (void *)node(start, order[i]);

	chase_at = (void **)node(start, 0);
	for (i = 1, p = *chase_at; p != chase_at && i < nodes; i++)
		p = *p;
	if (p != chase_at || i != nodes)
		fail("the chain has %u links instead of %u", i, nodes);
}

static void chase_body(u64 n)
{
	void **p = chase_at;

	while (n--)
		asm volatile("mov (%0), %0" : "+r"(p) :: "memory");
	chase_at = p;
}

#define CHASE_BENCH(page, kind, name, units)				\
	{ "chase-" page "-" name, "dependent loads over " name " in pages of " page,	\
	  chase_set_up, chase_body, control_loop, NULL, 1000, 0, CHASE(kind, units) }

static const struct bench benches[] = {
	CHASE_BENCH("4k", KIND_4K, "64K", 1), CHASE_BENCH("4k", KIND_4K, "1M", 16),
	CHASE_BENCH("4k", KIND_4K, "8M", 128), CHASE_BENCH("4k", KIND_4K, "64M", 1024),
	CHASE_BENCH("2m", KIND_2M, "64K", 1), CHASE_BENCH("2m", KIND_2M, "1M", 16),
	CHASE_BENCH("2m", KIND_2M, "8M", 128), CHASE_BENCH("2m", KIND_2M, "64M", 1024),
	CHASE_BENCH("1g", KIND_1G, "64M", 1024),
};

const struct bench_list chase_list = BENCH_LIST(benches);
