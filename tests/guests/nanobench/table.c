// SPDX-License-Identifier: GPL-2.0-only
/* Changes of page tables, as operating systems make them, and what must follow. */
#include "nanobench.h"
#include "trap.h"

/* --- one entry --- */

#define TAG_A	3
#define TAG_B	5

static volatile u64 *pte;
static u64 pte_value[2];

static void page_set_up(const struct bench *b, u64 n)
{
	static const u32 tag[2] = { TAG_A, TAG_B };
	int i;

	for (i = 0; i < 2; i++) {
		u32 *frame = alloc_page();

		*frame = tag[i];
		pte_value[i] = (ulong)frame | PT_P | PT_W | PT_USED;
	}
	pte = (u64 *)pt_entry(&base, WINDOW, 1);
	*pte = pte_value[0];
	invlpg(WINDOW);
}

static u32 load(ulong va)
{
	u32 v;

	asm volatile("movl %1, %0" : "=r"(v) : "m"(*(u32 *)va) : "memory");
	return v;
}

static void ptemod_body(u64 n)
{
	u64 sum = 0, i;

	for (i = 0; i < n; i++) {
		*pte = pte_value[i & 1];
		invlpg(WINDOW);
		sum += load(WINDOW);
	}
	if (sum != (n + 1) / 2 * TAG_A + n / 2 * TAG_B)
		fail("loads do not follow the changes of the page table");
}

static void invlpg_body(u64 n)
{
	while (n--) {
		invlpg(WINDOW);
		load(WINDOW);
	}
}

/* --- mmap-storm --- */

#define STORM_PAGES	64

static u8 *storm_frames;

static void storm_set_up(const struct bench *b, u64 n)
{
	storm_frames = alloc_pages(STORM_PAGES);
	pte = (u64 *)pt_entry(&base, WINDOW, 1);
}

static void storm_body(u64 n)
{
	u64 count = n;
	ulong i;

	while (n--) {
		for (i = 0; i < STORM_PAGES; i++)
			pte[i] = (ulong)(storm_frames + i * PAGE_SIZE) | PT_P | PT_W | PT_USED;
		for (i = 0; i < STORM_PAGES; i++)
			++*(volatile u64 *)(WINDOW + i * PAGE_SIZE);
		for (i = 0; i < STORM_PAGES; i++)
			pte[i] = 0;
		for (i = 0; i < STORM_PAGES; i++)
			invlpg(WINDOW + i * PAGE_SIZE);
	}
	for (i = 0; i < STORM_PAGES; i++) {
		u64 *frame = (u64 *)(storm_frames + i * PAGE_SIZE);

		if (*frame != count)
			fail("page %lu was written %lu times, not %lu", i, *frame, count);
		*frame = 0;
	}
}

/* --- cow-fork --- */

#define FORK_TABLES	2
#define FORK_PAGES	32	/* of each table */
#define FORK_VA(t, p)	(WINDOW + (t) * PAGE_2M + (p) * PAGE_SIZE)

static struct fork_side {
	struct space space;
	u64 *directory, *table[FORK_TABLES];
	u8 *frames;
} parent, child;
static struct fork_side *in;	/* whose space is in use */
static u64 fork_faults;

static void fork_new(struct fork_side *s)
{
	int t;

	pt_new(&s->space, PT_4LEVEL);
	for (t = 0; t < FORK_TABLES; t++)
		s->table[t] = (u64 *)(pt_entry(&s->space, FORK_VA(t, 0), 1) & -PAGE_SIZE);
	s->directory = (u64 *)(pt_entry(&s->space, WINDOW, 2) & -PAGE_SIZE);
	s->frames = alloc_pages(FORK_TABLES * FORK_PAGES);
}

/* The entry of a page that belongs to one side alone. */
static u64 fork_entry(const struct fork_side *s, ulong table, ulong page)
{
	return (ulong)(s->frames + (table * FORK_PAGES + page) * PAGE_SIZE) | PT_P | PT_W | PT_USED;
}

/* As an operating system's: the page becomes the writer's own. */
static bool fork_fault(struct regs *r)
{
	ulong va = read_cr2(), t = (va - WINDOW) / PAGE_2M, p = va % PAGE_2M / PAGE_SIZE;

	if (va < WINDOW || t >= FORK_TABLES || p >= FORK_PAGES || r->error != (PF_P | PF_W))
		return false;
	in->table[t][p] = fork_entry(in, t, p);
	invlpg(va);
	fork_faults++;
	return true;
}

static void copy_page(u64 *to, const u64 *from)
{
	ulong words = PAGE_SIZE / sizeof(*to);

	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) :: "memory");
}

static void fork_set_up(const struct bench *b, u64 n)
{
	int t, p;

	fork_new(&parent);
	fork_new(&child);
	for (t = 0; t < FORK_TABLES; t++)
		for (p = 0; p < FORK_PAGES; p++)
			parent.table[t][p] = fork_entry(&parent, t, p);
	set_handler(VEC_PF, fork_fault);
	in = &parent;
	fork_faults = 0;
	write_cr3(parent.space.root);
}

static void fork_write_all(u64 v)
{
	int t, p;

	for (t = 0; t < FORK_TABLES; t++)
		for (p = 0; p < FORK_PAGES; p++)
			*(volatile u64 *)FORK_VA(t, p) = v;
}

static void fork_body(u64 n)
{
	u64 i;
	int t, p;

	for (i = 0; i < n; i++) {
		copy_page(child.directory, parent.directory);
		for (t = 0; t < FORK_TABLES; t++) {
			child.directory[t] = (ulong)child.table[t] | PT_P | PT_W | PT_U | PT_A;
			for (p = 0; p < FORK_PAGES; p++)
				parent.table[t][p] &= ~PT_W;
			copy_page(child.table[t], parent.table[t]);
		}
		write_cr3(parent.space.root);
		fork_write_all(2 * i);
		in = &child;
		write_cr3(child.space.root);
		fork_write_all(2 * i + 1);
		in = &parent;
		write_cr3(parent.space.root);
	}
	if (fork_faults != n * 2 * FORK_TABLES * FORK_PAGES)
		fail("%lu faults in %lu forks", fork_faults, n);
	fork_faults = 0;
	for (p = 0; p < FORK_TABLES * FORK_PAGES; p++) {
		u64 *mine = (u64 *)(parent.frames + p * PAGE_SIZE);
		u64 *other = (u64 *)(child.frames + p * PAGE_SIZE);

		if (*mine != 2 * n - 2 || *other != 2 * n - 1)
			fail("page %d holds %lu and %lu after %lu forks", p, *mine, *other, n);
	}
}

static void fork_clean_up(void)
{
	set_handler(VEC_PF, NULL);
}

static const struct bench benches[] = {
	{ "ptemod", "change of a page-table entry, INVLPG, load",
	  page_set_up, ptemod_body, control_loop, NULL, 20 },
	{ "invlpg", "INVLPG of a mapped page, load",
	  page_set_up, invlpg_body, control_loop, NULL, 50 },
	{ "mmap-storm", "map 64 pages, write each, unmap, INVLPG each",
	  storm_set_up, storm_body, control_loop, NULL, 2 },
	{ "cow-fork", "copy tables of 64 pages, protect both, write all of both",
	  fork_set_up, fork_body, control_loop, fork_clean_up, 2 },
};

const struct bench_list table_list = BENCH_LIST(benches);
