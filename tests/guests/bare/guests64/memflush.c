// SPDX-License-Identifier: GPL-2.0-only
/*
 * When a change of page tables must be seen, on one and two CPUs: tables that point
 * to each other, to themselves and to data at random, shared by three roots, are
 * changed at random by every kind of store. After INVLPG, a load of CR3 or a global
 * flush every access must be as the tables now say; with one change since, as they
 * say or said; in between anything but pages that no table holds.
 */
#include "cpu.h"
#include "mem.h"
#include "ptcheck.h"
#include "ptstore.h"
#include "smp.h"
#include "string.h"
#include "test.h"

#define ROOTS	3
#define TABLES	8	/* beside the roots */
#define FRAMES	6
#define POOL	(ROOTS + TABLES + FRAMES)
#define LARGE	8	/* pages of the large one that addresses reach */
#define ADDRS	16
#define SLOTS	3	/* entries 1 to 3 of each table are used */

/* In each page: its number, a word to write to, RET. Entries that are never walked. */
#define AT_NUMBER	0x800
#define AT_WORD		0x808
#define AT_CODE		0x810

static struct space roots[ROOTS];
static ulong pool[POOL], large;
static ulong addrs[ADDRS];
static struct pt_env env;

/* --- what an address may come to --- */

static const u32 kinds[] = { 0, ACC_WRITE, ACC_FETCH, ACC_USER, ACC_USER | ACC_WRITE };
#define KINDS ARRAY_SIZE(kinds)

/* How the tables translate an address for each kind of access. */
struct view {
	struct pt_walk walk[KINDS];
	bool global;
};

/* What a CPU knows of an address: how it was when it was flushed, and what happened since. */
struct known {
	struct view then;
	int changes;
	ulong changed;		/* the entry that was the first */
	bool global;		/* a global translation may have been cached since */
};

static struct known known[2][ADDRS];
static struct view current[2][ADDRS];
static int root_of[2];		/* which root each CPU has loaded */

static void look(struct view *v, int root, ulong va)
{
	u32 i;

	v->global = false;
	for (i = 0; i < KINDS; i++) {
		struct pt_walk *w = &v->walk[i];

		pt_walk(w, &roots[root], &env, va, kinds[i]);
		v->global |= w->at_leaf && w->was[w->last] & PT_G;
	}
}

static bool on_path(const struct view *v, ulong e)
{
	const struct pt_walk *w = &v->walk[0];
	int l;

	for (l = w->top; l >= w->last; l--)
		if (w->entry[l] == e)
			return true;
	return false;
}

/* Twice on one way, an entry may be seen old there and new here. */
static bool twice_on_path(const struct view *v)
{
	const struct pt_walk *w = &v->walk[0];
	int l, m;

	for (l = w->top; l >= w->last; l--)
		for (m = l - 1; m >= w->last; m--)
			if (w->entry[l] == w->entry[m])
				return true;
	return false;
}

static void update(int cpu)
{
	int i;

	for (i = 0; i < ADDRS; i++)
		look(&current[cpu][i], root_of[cpu], addrs[i]);
}

/* The entry at @e has been written; views are those of before. */
static void note_change(ulong e)
{
	int cpu, i;

	for (cpu = 0; cpu < 2; cpu++)
		for (i = 0; i < ADDRS; i++) {
			struct known *k = &known[cpu][i];
			struct view was = current[cpu][i];

			look(&current[cpu][i], root_of[cpu], addrs[i]);
			if (!k->changes)
				k->changed = e;
			if (k->changes || on_path(&was, e) || on_path(&current[cpu][i], e))
				k->changes += twice_on_path(&was) ||
					      twice_on_path(&current[cpu][i]) ? 2 : 1;
			k->global |= was.global || current[cpu][i].global;
		}
}

/* What is not present is not cached, so its first change is seen at once. */
static bool appeared(const struct known *k)
{
	const struct pt_walk *w = &k->then.walk[0];

	return k->changes == 1 && w->entry[w->last] == k->changed && !(w->was[w->last] & PT_P);
}

static void forget(int cpu, int i)
{
	look(&current[cpu][i], root_of[cpu], addrs[i]);
	known[cpu][i] = (struct known){
		.then = current[cpu][i], .global = current[cpu][i].global,
	};
}

static void note_load(int cpu, bool other_root)
{
	int i;

	for (i = 0; i < ADDRS; i++) {
		if (!env.pge || !known[cpu][i].global) {
			forget(cpu, i);
		} else {
			known[cpu][i].changes += other_root ? 2 : 0;
			look(&current[cpu][i], root_of[cpu], addrs[i]);
		}
	}
}

/* --- what a CPU is told to do --- */

enum order { LOAD, USE, INVALIDATE, TOGGLE, SETTINGS };

static struct {
	enum order order;
	ulong cr3, va;
	u32 kind, value;
	/* What came of it. */
	int vector;
	ulong error, cr2;
	u32 seen;
} job;

static void use(void)
{
	ulong va = job.va;
	u32 seen = 0;

	switch (job.kind) {
	case 0:
		job.vector = TRY(seen = *(volatile u32 *)(va + AT_NUMBER);
				 *(volatile u32 *)&job.seen = seen);
		break;
	case ACC_WRITE:
		job.vector = TRY(*(volatile u32 *)(va + AT_WORD) = job.value);
		break;
	case ACC_FETCH:
		job.vector = TRY(asm volatile("call *%0" :: "r"(va + AT_CODE) : "memory"));
		break;
	case ACC_USER:
		job.vector = user_run(pt_user_load, va + AT_NUMBER, 0, 0);
		job.seen = last_trap()->regs.ax;
		break;
	default:
		job.vector = user_run(pt_user_store, va + AT_WORD, job.value, 0);
	}
	if (job.vector == USER_TRAP)
		job.vector = NO_TRAP;
	job.error = last_trap()->error;
	job.cr2 = last_trap()->cr2;
}

static void obey(void *arg)
{
	switch (job.order) {
	case LOAD:
		write_cr3(job.cr3);
		break;
	case USE:
		use();
		break;
	case INVALIDATE:
		invlpg(job.va + (random32() & 0xfff));
		break;
	case TOGGLE:
		write_cr4(read_cr4() ^ CR4_PGE);
		write_cr4(read_cr4() ^ CR4_PGE);
		break;
	case SETTINGS:
		pt_set_env(&env);
		break;
	}
}

static void tell(int cpu, enum order order)
{
	job.order = order;
	if (!cpu) {
		obey(NULL);
		return;
	}
	smp_run(1, obey, NULL);
	smp_wait(1);
}

static void load(int cpu, int root)
{
	bool other = root != root_of[cpu];

	job.cr3 = roots[root].root;
	root_of[cpu] = root;
	tell(cpu, LOAD);
	note_load(cpu, other);
}

static void invalidate(int cpu, int i)
{
	job.va = addrs[i];
	tell(cpu, INVALIDATE);
	forget(cpu, i);
}

static void flush_all(int cpu)
{
	int i;

	tell(cpu, TOGGLE);
	for (i = 0; i < ADDRS; i++)
		forget(cpu, i);
}

/* --- accesses --- */

static u32 number_at(u64 pa)
{
	return *(volatile u32 *)(ulong)((pa & -PAGE_SIZE) + AT_NUMBER);
}

/* Whether what has been seen is what the walk says. */
static bool agrees(const struct pt_walk *w, bool reserved_excused)
{
	u32 wrong;

	if (w->fault) {
		wrong = (job.error ^ w->error) & ~w->either;
		if (reserved_excused && w->error & PF_RSVD)
			wrong &= ~PF_P;
		return job.vector == VEC_PF && !wrong;
	}
	if (job.vector != NO_TRAP)
		return false;
	switch (job.kind & ~ACC_USER) {
	case 0:
		return job.seen == number_at(w->pa);
	case ACC_WRITE:
		return *(volatile u32 *)(ulong)((w->pa & -PAGE_SIZE) + AT_WORD) == job.value;
	default:
		return true;
	}
}

/* Accessed and dirty bits after an access whose way the CPU had to go. */
static bool marks_right(const struct pt_walk *w)
{
	int l, m;

	for (l = w->top; l >= w->last; l--) {
		u64 now = *(volatile u64 *)w->entry[l], must = PT_A, other = 0;

		/* The same entry may be the leaf, too. */
		for (m = l; m >= w->last; m--)
			if (w->entry[m] == w->entry[l] && m == w->last && w->write)
				must |= PT_D;
		for (m = w->top; m > l; m--)
			other |= w->entry[m] == w->entry[l];
		if (w->fault)
			return (now & ~(PT_A | PT_D)) == (w->was[l] & ~(PT_A | PT_D));
		if (other)
			continue;
		if (now != (w->was[l] | must))
			return false;
	}
	return true;
}

static const char *const kind_name[] = { "read", "write", "fetch", "user read", "user write" };

static void access(int cpu, int i, u32 kind)
{
	static u32 value;
	struct known *k = &known[cpu][i];
	struct view *now = &current[cpu][i];
	/* Shadow paging does not show what the emulator makes of reserved bits. */
	const char *paging = option("paging");
	bool excused = on_tcg() && !(paging && *paging == 's');
	const struct pt_walk *w = &now->walk[kind], *then = &k->then.walk[kind];
	bool right, marked = true;

	/* Accessed and dirty bits change without orders: look again. */
	look(now, root_of[cpu], addrs[i]);
	job.va = addrs[i];
	job.kind = kinds[kind];
	job.value = ++value;
	tell(cpu, USE);
	if (k->changes > 1) {
		right = job.vector == VEC_PF || job.vector == NO_TRAP;
		if (job.vector == NO_TRAP && !(job.kind & ~ACC_USER))
			right = job.seen < POOL || (job.seen >= 0x100 && job.seen < 0x100 + LARGE);
	} else {
		right = agrees(w, excused) ||
			(k->changes && !appeared(k) && agrees(then, excused));
		if (right && !k->changes)
			marked = marks_right(w);
	}
	check(right && marked,
	      "CPU %d, %s of %lx by root %d, %d changes since the flush: vector %d error %lx number %x, by the model %s%x number %x; entries %llx %llx %llx %llx%s",
	      cpu, kind_name[kind], addrs[i], root_of[cpu], k->changes, job.vector,
	      job.vector == VEC_PF ? job.error : 0, job.seen, w->fault ? "error " : "no fault ",
	      w->fault ? w->error : 0, w->fault ? 0 : number_at(w->pa),
	      (unsigned long long)w->was[4], (unsigned long long)w->was[3],
	      (unsigned long long)w->was[2], (unsigned long long)w->was[1],
	      right ? "; accessed or dirty bits" : "");
}

/* --- changes --- */

/*
 * In an orderly round each table has a level, as an operating system's have, and level
 * 1 maps frames for the most part; in the others everything may be everything.
 */
static bool orderly;

static int level_of(int page)
{
	static const u8 tables[TABLES] = { 3, 3, 2, 2, 2, 1, 1, 1 };

	return page < ROOTS ? 4 : tables[page - ROOTS];
}

/* What an entry of a table points to. */
static ulong target_of(int page)
{
	int first = ROOTS, count = TABLES;

	if (orderly && random32() % 8) {
		switch (level_of(page)) {
		case 4:
			count = 2;
			break;
		case 3:
			first += 2;
			count = 3;
			break;
		case 2:
			first += 5;
			count = 3;
			break;
		default:
			first += TABLES;
			count = FRAMES;
		}
	} else if (random32() & 1) {
		first = 0;
		count = POOL;
	}
	return pool[first + random32() % count];
}

static u64 random_entry(int page, bool reserved)
{
	u64 e = target_of(page);
	u32 r = random32();

	e |= PT_P | PT_W | PT_U | (r >> 17 & 1 ? PT_A : 0) | (r >> 18 & 1 ? PT_D : 0);
	e ^= r >> 19 & 7 ? 0 : PT_P;
	e ^= r >> 22 & 7 ? 0 : PT_W;
	e ^= r >> 25 & 7 ? 0 : PT_U;
	r = random32();
	e |= (r & 15) == 0 && env.nxe ? PT_NX : 0;
	e |= (r >> 4 & 3) == 0 ? PT_G : 0;
	/* A large page at level 2; at others it is 4 KiB of it, or reserved. */
	if ((r >> 6 & 7) == 0 && (!orderly || level_of(page) <= 2))
		e = (e & ~pt_addr_mask(PT_4LEVEL)) | large | PT_PS;
	if (reserved && (r >> 9 & 31) == 0)
		e |= BIT64(51);
	return e;
}

/* Which page of the pool an address is in; a table's. */
static int page_of(ulong e)
{
	int i;

	for (i = 0; i < ROOTS + TABLES; i++)
		if (pool[i] == (e & -PAGE_SIZE))
			return i;
	return -1;
}

static bool is_table(ulong e)
{
	return page_of(e) >= 0;
}

/* "device=1": there is one that writes to memory, and has to be used. */
static bool device;

static ulong random_slot(void)
{
	return pool[random32() % (ROOTS + TABLES)] + 8 + random32() % SLOTS * 8;
}

/* An entry that matters to an address now, or any. */
static ulong slot_for(int i)
{
	const struct pt_walk *w = &current[0][i].walk[0];
	ulong e = w->entry[w->last + random32() % (w->top - w->last + 1)];

	return random32() % 4 && is_table(e) ? e : random_slot();
}

/* The address of @e by one of the tested addresses that this CPU may write through. */
static ulong alias_of(ulong e, bool atomic)
{
	int i;

	for (i = 0; i < ADDRS; i++) {
		const struct view *v = &current[0][i];
		const struct pt_walk *w = &v->walk[1];

		if (known[0][i].changes || w->fault || (w->pa & -PAGE_SIZE) != (e & -PAGE_SIZE) ||
		    (!atomic && on_path(v, e)))
			continue;
		return addrs[i] + (e & 0xfff);
	}
	return e;
}

static void change(int i)
{
	static const u8 flags[] = { 0, 1, 2, 5, 6, 8 };	/* P, W, U, A, D, G */
	ulong e = slot_for(i), at;
	u64 old = *(volatile u64 *)e, new = random_entry(page_of(e), true);
	int k = random32() % PT_STORES;

	if (device && random32() & 1)
		k = PT_STORE_DEVICE;
	/* What it was but for some right: what an operating system does most. */
	if (random32() % 4)
		new = old ^ BIT64(flags[random32() % ARRAY_SIZE(flags)]);
	/* A way that the store itself may change is no place for one in parts. */
	at = random32() & 1 && k != PT_STORE_DEVICE ? alias_of(e, pt_store_atomic(k)) : e;
	if (!pt_store(k, at, old, new))
		*(volatile u64 *)e = new;
	note_change(e);
}

/* --- runs --- */

static void build(void)
{
	int i;

	large = (ulong)alloc_pages(512);
	for (i = 0; i < POOL; i++)
		pool[i] = (ulong)alloc_page();
	for (i = 0; i < ROOTS; i++) {
		pt_new(&roots[i], PT_4LEVEL);
		pool[i] = roots[i].root;
	}
	pt_map_user(&roots[0], 0x500000000000);
	for (i = 1; i < ROOTS; i++)
		pt_write(PT_4LEVEL, roots[i].root + 0xa0 * 8,
			 pt_read(PT_4LEVEL, roots[0].root + 0xa0 * 8));
	for (i = 0; i < POOL + LARGE; i++) {
		ulong page = i < POOL ? pool[i] : large + (ulong)(i - POOL) * PAGE_SIZE;

		*(volatile u32 *)(page + AT_NUMBER) = i < POOL ? i : 0x100 + i - POOL;
		*(volatile u8 *)(page + AT_CODE) = 0xc3;
	}
}

static void new_round(int cpus_used, int round)
{
	int cpu, i, j;

	orderly = round & 1;
	env = (struct pt_env){
		.wp = random32() & 3, .nxe = HAS_NX, .smep = HAS_SMEP && random32() & 1,
		.pge = HAS_PGE && random32() & 1,
	};
	for (i = 0; i < ROOTS + TABLES; i++)
		for (j = 1; j <= SLOTS; j++)
			*(volatile u64 *)(pool[i] + j * 8) = random_entry(i, false);
	for (i = 0; i < ADDRS; i++) {
		int l;

		for (addrs[i] = 0, l = 1; l <= 4; l++)
			addrs[i] |= (ulong)(1 + random32() % SLOTS) << pt_shift(PT_4LEVEL, l);
	}
	for (cpu = 0; cpu < cpus_used; cpu++) {
		tell(cpu, SETTINGS);
		root_of[cpu] = random32() % ROOTS;
		job.cr3 = roots[root_of[cpu]].root;
		tell(cpu, LOAD);
		update(cpu);
		flush_all(cpu);
	}
}

static void finish(int cpus_used, ulong cr3)
{
	int cpu;

	pt_default_env(&env);
	job.cr3 = cr3;
	for (cpu = 0; cpu < cpus_used; cpu++) {
		tell(cpu, SETTINGS);
		tell(cpu, LOAD);
	}
}

/* A flush that must make a change of this address seen. */
static void flush_one(int cpu, int i)
{
	u32 n = random32() % 8;

	if (n < 4)
		invalidate(cpu, i);
	else if (n < 7)
		load(cpu, root_of[cpu]);
	else
		flush_all(cpu);
}

static void act(int cpu)
{
	int i = random32() % ADDRS;
	u32 n = random32() % 16;

	if (n < 6) {
		/* Cached and used before, changed, flushed or not, and used again. */
		access(cpu, i, random32() % KINDS);
		change(i);
		if (random32() % 4)
			flush_one(cpu, i);
		access(cpu, i, random32() % KINDS);
	} else if (n < 8) {
		change(i);
	} else if (n < 10) {
		flush_one(cpu, i);
	} else if (n == 10) {
		load(cpu, random32() % ROOTS);
	} else {
		access(cpu, i, random32() % KINDS);
	}
}

static void run(int cpus_used, int rounds, int acts)
{
	ulong old = read_cr3();
	int round, n, cpu, i;

	build();
	device = option("device");
	/* An entry that nothing uses. */
	if (device && !check(pt_store(PT_STORE_DEVICE, pool[0] + PAGE_SIZE - 8, 0, 0), "no device"))
		return;
	for (round = 0; round < rounds && !test_failed(); round++) {
		new_round(cpus_used, round);
		for (n = 0; n < acts; n++)
			act(random32() % cpus_used);
		/* In the end everything is known for certain. */
		for (cpu = 0; cpu < cpus_used; cpu++) {
			flush_all(cpu);
			for (i = 0; i < ADDRS; i++)
				access(cpu, i, random32() % KINDS);
		}
	}
	finish(cpus_used, old);
}

static void test_one_cpu(void)
{
	run(1, 12, 200);
}

static bool two_cpus(void)
{
	if (smp_start() > 1)
		return true;
	skip("one processor");
	return false;
}

static void test_two_cpus(void)
{
	if (two_cpus())
		run(2, 8, 150);
}

/* --- while another CPU walks and writes --- */

static volatile bool stop_storm;
static volatile u32 storm_wrong;

static void storm(void *arg)
{
	u32 x = 12345;

	while (!stop_storm) {
		ulong va = addrs[(x = x * 1103515245 + 12345) >> 16 & (ADDRS - 1)];
		volatile u32 seen = 0;
		int v;

		if (x >> 24 & 1)
			v = TRY(*(volatile u32 *)(va + AT_WORD) = x);
		else
			v = TRY(seen = *(volatile u32 *)(va + AT_NUMBER));
		if ((v != NO_TRAP && v != VEC_PF) ||
		    (seen >= POOL && (seen < 0x100 || seen >= 0x100 + LARGE)))
			storm_wrong++;
		if ((x >> 20 & 7) == 0)
			invlpg(va);
	}
}

/* One store at a time that nobody sees in parts, or the other CPU would walk astray. */
static void atomic_change(void)
{
	static const int ways[] = { 0, 4, 5, 6, 20, 21 };
	ulong e = random_slot();
	u64 old = *(volatile u64 *)e;

	pt_store(ways[random32() % ARRAY_SIZE(ways)], e, old, random_entry(page_of(e), false));
}

static void test_concurrent(void)
{
	ulong old = read_cr3();
	int round, n, i, cpu;

	if (!two_cpus())
		return;
	build();
	storm_wrong = 0;
	for (round = 0; round < 10 && !test_failed(); round++) {
		new_round(2, round);
		stop_storm = false;
		smp_run(1, storm, NULL);
		for (n = 0; n < 60; n++) {
			atomic_change();
			i = random32() % ADDRS;
			invlpg(addrs[i]);
			(void)TRY(*(volatile u32 *)(addrs[i] + AT_NUMBER));
			if (n % 8 == 0)
				write_cr3(roots[root_of[0]].root);
		}
		stop_storm = true;
		smp_wait(1);
		for (cpu = 0; cpu < 2; cpu++) {
			flush_all(cpu);
			for (i = 0; i < ADDRS; i++)
				access(cpu, i, random32() % KINDS);
		}
	}
	finish(2, old);
	check_eq(storm_wrong, 0, "pages that no table held, seen by the other CPU");
}

const struct test guest_tests[] = {
	{ "one-cpu", test_one_cpu },
	{ "two-cpus", test_two_cpus },
	{ "concurrent", test_concurrent },
};

GUEST("memflush");
