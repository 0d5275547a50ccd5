// SPDX-License-Identifier: GPL-2.0-only
/* See cases.h. */
#include <errno.h>
#include <string.h>

#include "kernel.h"
#include "cases.h"
#include "model.h"
#include "walk.h"

#define PAGES	12	/* of memory, from 0 on */
#define SIZE	(PAGES * 4096)

struct memory {
	u8 bytes[SIZE];
	bool read_only;
	/* Another CPU: changes the entry at @change_at, once, as soon as it is to be marked. */
	u64 change_at, change_to;
	bool change, changed;
	unsigned int exchanges;
};

static u64 seed;

static u64 random64(void)
{
	u64 z = seed += 0x9e3779b97f4a7c15;	/* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static bool one_in(unsigned int n)
{
	return random64() % n == 0;
}

static bool in_memory(u64 gpa, unsigned int size)
{
	return gpa < SIZE && gpa % size == 0;
}

static int walk_read(void *context, u64 gpa, unsigned int size, u64 *entry)
{
	struct memory *mem = context;

	if (!in_memory(gpa, size))
		return -EFAULT;
	*entry = 0;
	memcpy(entry, mem->bytes + gpa, size);
	return 0;
}

static int walk_exchange(void *context, u64 gpa, unsigned int size, u64 old, u64 new)
{
	struct memory *mem = context;
	u64 entry = 0;

	mem->exchanges++;
	if (!in_memory(gpa, size) || mem->read_only)
		return -EFAULT;
	if (mem->change && gpa == mem->change_at) {
		mem->change = false;
		mem->changed = true;
		memcpy(mem->bytes + gpa, &mem->change_to, size);
	}
	memcpy(&entry, mem->bytes + gpa, size);
	if (entry != old)
		return 1;
	memcpy(mem->bytes + gpa, &new, size);
	return 0;
}

static const struct umbra_walk_ops ops = { .read = walk_read, .exchange = walk_exchange };

static bool model_read(void *context, uint64_t gpa, unsigned int size, uint64_t *entry)
{
	return !walk_read(context, gpa, size, entry);
}

static const struct {
	const char *name;
	enum umbra_format_id id;
	unsigned int levels, size;
} formats[] = {
	[MODEL_32BIT] = { "32-bit", UMBRA_FORMAT_32BIT, 2, 4 },
	[MODEL_PAE] = { "PAE", UMBRA_FORMAT_PAE, 3, 8 },
	[MODEL_4LEVEL] = { "4-level", UMBRA_FORMAT_4LEVEL, 4, 8 },
	[MODEL_5LEVEL] = { "5-level", UMBRA_FORMAT_5LEVEL, 5, 8 },
	[MODEL_NPT] = { "NPT", UMBRA_FORMAT_NPT, 4, 8 },
	[MODEL_EPT] = { "EPT", UMBRA_FORMAT_EPT, 4, 8 },
};

/* An entry of a table of this level: legal more often than not. */
static u64 random_entry(const struct model *m, unsigned int level)
{
	bool leaf = level == 1 || one_in(5);
	u64 entry, address = one_in(8) ? random64() & 0xffffff000 : random64() % PAGES << 12;

	if (leaf && level > 1)
		address = random64() << (m->format == MODEL_32BIT ? 22 : 12 + 9 * (level - 1));
	if (m->maxphyaddr < 52)
		address &= (1ULL << m->maxphyaddr) - 1;
	if (m->format == MODEL_EPT) {
		static const u8 access[] = { 1, 3, 5, 7, 7, 7 };

		entry = one_in(10) ? 0 : access[random64() % sizeof(access)];
		entry |= random64() & 0x300;	/* A, D */
		if (leaf)
			entry |= (level > 1 ? 0x80 : 0) | (one_in(2) ? 6 << 3 : 0);
	} else if (m->format == MODEL_PAE && level == 3) {
		entry = one_in(10) ? 0 : 1;
		entry |= random64() & 0xe00;
	} else {
		entry = one_in(10) ? 0 : 1;
		entry |= one_in(4) ? 0 : 2;
		entry |= one_in(4) ? 0 : 4;
		entry |= random64() & 0xf78;	/* all but P, W, U and PS */
		if (leaf && level > 1)
			entry |= 0x80;
	}
	entry |= address & 0xffffffffff000;
	if (m->format != MODEL_32BIT && m->format != MODEL_EPT &&
	    !(m->format == MODEL_PAE && level == 3)) {
		if (m->nxe && one_in(4))
			entry |= 1ULL << 63;
		if (m->format != MODEL_PAE)
			entry |= (random64() & 0x7ff) << 52;
	}
	/* 39:32 of the address of a 4 MiB page, and what is reserved beside them. */
	if (m->format == MODEL_32BIT && leaf && level > 1 && one_in(2))
		entry |= random64() & random64() & 0x3fe000;
	/* And, now and then, a bit anywhere. */
	if (one_in(12))
		entry ^= 1ULL << random64() % (8 * formats[m->format].size);
	if (m->format == MODEL_EPT && entry & 6)
		entry |= 1;	/* what cannot be read is not ours to test */
	if (m->format == MODEL_32BIT)
		entry = (u32)entry;
	return entry;
}

static void random_tables(const struct model *m, struct memory *mem, u64 *pdpte)
{
	unsigned int level, levels = formats[m->format].levels, size = formats[m->format].size;
	u64 table = m->root & ~0xfffULL, entry;

	for (level = levels; level >= 1; level--) {
		unsigned int shift = m->format == MODEL_32BIT ? 12 + 10 * (level - 1) :
								12 + 9 * (level - 1);
		unsigned int index = m->addr >> shift &
				     (m->format == MODEL_32BIT ? 0x3ff :
				      m->format == MODEL_PAE && level == 3 ? 3 : 0x1ff);
		u64 at = table + index * size;

		if (m->format == MODEL_PAE && level == 3)
			at = (m->root & 0xffffffe0) + index * size;
		entry = random_entry(m, level);
		if (m->pdpte && level == 3)
			pdpte[index] = entry;
		else if (in_memory(at, size))
			memcpy(mem->bytes + at, &entry, size);
		table = entry & 0xffffffffff000;
		if (m->format == MODEL_32BIT)
			table &= 0xfffff000;
	}
}

static void random_model(struct model *m, enum model_format format, struct memory *mem, u64 *pdpte)
{
	static const u8 widths[] = { 32, 36, 39, 40, 46, 52 };

	*m = (struct model) {
		.format = format,
		.maxphyaddr = widths[random64() % sizeof(widths)],
		.pse = one_in(2),
		.gigabyte = one_in(2),
		.nxe = one_in(2),
		.wp = one_in(2),
		.smep = one_in(2),
		.pke = one_in(2),
		.smap = one_in(2),
		.pkru = random64(),
		.user = one_in(2),
		.root = random64() % PAGES << 12 | (random64() & 0xfff),
		.addr = random64(),
		.read = model_read,
		.context = mem,
	};
	switch (random64() % 3) {
	case 0:
		m->write = true;
		break;
	case 1:
		m->fetch = true;
		break;
	}
	if (format == MODEL_32BIT || format == MODEL_PAE) {
		m->addr = (u32)m->addr;
		if (format == MODEL_32BIT)
			m->nxe = false;
	} else if (format == MODEL_NPT || format == MODEL_EPT) {
		/* The CPU walks nested tables as a user (APM Vol. 2 15.25.5); EPT knows none. */
		m->user = format == MODEL_NPT;
		m->addr &= (1ULL << 48) - 1;
		m->smep = false;
		m->smap = false;
		m->pke = false;
		m->wp = true;
		if (format == MODEL_EPT)
			m->nxe = false;
	}
	if (format == MODEL_PAE && one_in(2))
		m->pdpte = pdpte;
}

static u32 flags_of(const struct model *m)
{
	return (m->pse ? UMBRA_PAGING_PSE : 0) | (m->gigabyte ? UMBRA_PAGING_1G : 0) |
	       (m->nxe ? UMBRA_PAGING_NX : 0) | (m->wp ? UMBRA_PAGING_WP : 0) |
	       (m->smep ? UMBRA_PAGING_SMEP : 0) | (m->smap ? UMBRA_PAGING_SMAP : 0) |
	       (m->pke ? UMBRA_PAGING_PKE : 0);
}

const char *const walk_outcomes[WALK_OUTCOMES] = {
	"translated", "not present", "reserved", "forbidden", "key", "changed", "not writable",
};

static void describe(const struct model *m, const struct model_result *r,
		     const struct umbra_walk *w, bool translated)
{
	walk_log("addr %#llx root %#llx M %u pse %d 1g %d nxe %d wp %d smep %d smap %d pke %d pkru %#x%s%s%s",
		 (unsigned long long)m->addr, (unsigned long long)m->root, m->maxphyaddr, m->pse,
		 m->gigabyte, m->nxe, m->wp, m->smep, m->smap, m->pke, m->pkru,
		 m->user ? " user" : "", m->write ? " write" : "", m->fetch ? " fetch" : "");
	walk_log("expected %s %#llx, got %s %#llx", r->fault ? "error" : "address",
		 (unsigned long long)(r->fault ? r->error : r->gpa),
		 translated ? "address" : "error",
		 (unsigned long long)(translated ? w->gpa : w->error));
}

/* Returns what came of it, or -1 if it was wrong. */
static int one_case(enum model_format format)
{
	static struct memory mem, expected;
	struct umbra_walk_access in = {};
	struct umbra_paging paging;
	struct umbra_walk w = {};
	struct model_result r;
	u64 pdpte[4] = {};
	bool translated;
	struct model m;
	unsigned int i;

	random_model(&m, format, &mem, pdpte);
	memset(&mem, 0, sizeof(mem));
	random_tables(&m, &mem, pdpte);
	mem.read_only = one_in(8);
	model_translate(&m, &r);
	if (!mem.read_only && !r.fault && one_in(4)) {
		/* Marked or not, one of its entries becomes another meanwhile. */
		mem.change = true;
		mem.change_at = r.mark[random64() % r.marks].gpa;
		mem.change_to = random_entry(&m, 1 + random64() % 2);
	}
	expected = mem;

	umbra_paging_init(&paging, formats[format].id, flags_of(&m), m.maxphyaddr);
	in.addr = m.addr;
	in.root = m.root;
	in.pdpte = m.pdpte;
	in.access = (m.write ? X86_PF_WRITE : 0) | (m.user ? X86_PF_USER : 0) |
		    (m.fetch ? X86_PF_INSTR : 0);
	in.pkru = m.pkru;
	in.smap = m.smap;
	translated = umbra_walk_tables(&ops, &mem, &paging, &in, &w);

	if (mem.changed) {
		/* What had been marked before stays so; then all begins anew. */
		for (i = 0; i < r.marks && r.mark[i].gpa != mem.change_at; i++) {
			u64 entry = 0;

			walk_read(&expected, r.mark[i].gpa, formats[format].size, &entry);
			entry |= r.mark[i].bits;
			memcpy(expected.bytes + r.mark[i].gpa, &entry, formats[format].size);
		}
		memcpy(expected.bytes + mem.change_at, &mem.change_to, formats[format].size);
		m.context = &expected;
		model_translate(&m, &r);
	}
	for (i = 0; !mem.read_only && i < r.marks; i++) {
		u64 entry = 0;

		walk_read(&expected, r.mark[i].gpa, formats[format].size, &entry);
		entry |= r.mark[i].bits;
		memcpy(expected.bytes + r.mark[i].gpa, &entry, formats[format].size);
	}
	if (translated == r.fault || (r.fault ? w.error != r.error : w.gpa != r.gpa || w.error) ||
	    memcmp(mem.bytes, expected.bytes, SIZE)) {
		describe(&m, &r, &w, translated);
		if (memcmp(mem.bytes, expected.bytes, SIZE))
			walk_log("tables differ");
		return -1;
	}
	if (mem.changed)
		return WALK_CHANGED;
	if (!r.fault)
		return mem.read_only && mem.exchanges ? WALK_UNWRITABLE : WALK_TRANSLATED;
	if (!(r.error & X86_PF_PROT))
		return WALK_ABSENT;
	if (r.error & X86_PF_RSVD)
		return WALK_RESERVED;
	return r.error & X86_PF_PK ? WALK_KEY : WALK_FORBIDDEN;
}

const char *walk_format_name(unsigned int format)
{
	return formats[format].name;
}

unsigned int walk_cases(unsigned int format, unsigned long long *state, unsigned int cases,
			unsigned int *counts)
{
	unsigned int i, wrong = 0;

	seed = *state;
	memset(counts, 0, WALK_OUTCOMES * sizeof(*counts));
	for (i = 0; i < cases && wrong < 5; i++) {
		int outcome = one_case(format);

		if (outcome < 0)
			wrong++;
		else
			counts[outcome]++;
	}
	for (i = 0; i < WALK_OUTCOMES; i++) {
		bool has = i != WALK_KEY || format == MODEL_4LEVEL || format == MODEL_5LEVEL;

		/* A kind of case that never came is not tested. */
		if (has && counts[i] < cases / 1000)
			wrong++;
	}
	*state = seed;
	return wrong;
}
