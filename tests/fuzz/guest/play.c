// SPDX-License-Identifier: GPL-2.0-only
/* Page tables of a guest, mostly valid, that are there to be played with. */
#include <string.h>

#include "guest.h"

#define P	1ULL
#define W	2ULL
#define U	4ULL
#define A	0x20ULL
#define D	0x40ULL
#define PS	0x80ULL
#define G	0x100ULL
#define NX	(1ULL << 63)

#define CS0	0x08
#define DS0	0x10
#define CS3	0x1b
#define DS3	0x23
#define TSS	0x28

#define PLAY_GVA	0x40000000ULL

static uint64_t new_table(struct play *p)
{
	return PLAY_TABLES + PAGE * p->pages++;
}

static void put_entry(struct play *p, uint64_t table, unsigned int i, uint64_t entry)
{
	if (p->entry_size == 4)
		((uint32_t *)(p->ram + table))[i] = entry;
	else
		((uint64_t *)(p->ram + table))[i] = entry;
}

/* What an entry of a table of this level covers. */
static uint64_t span(const struct play *p, unsigned int level)
{
	return p->entry_size == 4 ? PAGE << 10 * (level - 1) : PAGE << 9 * (level - 1);
}

uint64_t play_gva(const struct play *p)
{
	const struct play_table *t = &p->table[below(p->tables)];
	uint64_t gva = t->gva + below(t->entries) * span(p, t->level);
	uint64_t offset = one_in(4) ? PAGE - 1 - below(8) : below(PAGE / 8) * 8;

	if (t->level > 1)
		offset += below(4) * PAGE;
	return gva + offset;
}

static uint64_t data_page(void)
{
	/* Where there is no memory, now and then. */
	return one_in(32) ? 0x800000 + below(4) * PAGE : PLAY_DATA + below(64) * PAGE;
}

uint64_t play_entry(const struct play *p, unsigned int level)
{
	uint64_t r = random64(), entry = r & (W | U | A | D);
	bool leaf = level == 1;
	unsigned int i, n;

	/* Mostly what permits something. */
	entry |= r >> 16 & 15 ? P : 0;
	entry |= r >> 20 & 3 ? U : 0;
	entry |= r >> 24 & 3 ? W : 0;
	entry |= r >> 28 & 0xe00;
	if (p->entry_size == 8 && !(r >> 40 & 7))
		entry |= NX;
	if (p->format >= FORMAT_4) {
		entry |= (r >> 44 & 0x3f) << 52;
		entry |= r >> 50 & 1 ? (r >> 51 & 15) << 59 : 0;
	}
	if (level == 2 && one_in(4))
		leaf = true;
	if (leaf) {
		entry |= r >> 32 & 1 ? G : 0;
		if (level == 1)
			return entry | data_page();
		/* 4M pages map all memory there is: the user is to leave it alone. */
		return p->entry_size == 4 ? (entry & ~U) | PS : entry | PS | PLAY_DATA;
	}
	/*
	 * A table of the level below, of those there are. Its A is set: whether a walk that
	 * fails further down sets it is the CPU's choice.
	 */
	entry |= A;
	for (i = below(p->tables), n = 0; n < p->tables; n++, i = (i + 1) % p->tables)
		if (p->table[i].level == level - 1)
			return entry | p->table[i].gpa;
	return entry & ~P;
}

static struct play_table *add_table(struct play *p, unsigned int level, unsigned int entries,
				    uint64_t gva)
{
	struct play_table *t = &p->table[p->tables++];

	*t = (struct play_table) { new_table(p), level, entries, gva };
	return t;
}

static void fill_table(struct play *p, const struct play_table *t)
{
	unsigned int i;

	for (i = 0; i < t->entries; i++)
		put_entry(p, t->gpa, i, play_entry(p, t->level));
}

/* Tables that map memory to itself for the supervisor, and two pages for the user. */
static uint64_t make_identity(struct play *p)
{
	unsigned int per = PAGE / p->entry_size, i;
	uint64_t pd = new_table(p), pt = 0;

	for (i = 0; i < RAM / PAGE; i++) {
		if (i % per == 0) {
			pt = new_table(p);
			put_entry(p, pd, i / per, pt | P | W | U | A);
		}
		put_entry(p, pt, i % per, i * PAGE | P | W | A | D);
	}
	pt = *(uint64_t *)(p->ram + pd) & 0xfffff000;
	put_entry(p, pt, PLAY_USER / PAGE, PLAY_USER | P | W | U | A | D);
	put_entry(p, pt, PLAY_USER / PAGE + 1, (PLAY_USER + PAGE) | P | W | U | A | D);
	return pd;
}

static void make_tables(struct play *p)
{
	uint64_t identity = make_identity(p), up = 0, directory = 0, gva = PLAY_GVA;
	struct play_table *t, *pd;
	unsigned int i, level;

	/* Leaf tables, and what refers to them. */
	for (i = 0; i < 3; i++) {
		t = add_table(p, 1, 8, gva + i * span(p, 2));
		fill_table(p, t);
	}
	if (p->format == FORMAT_32) {
		/* The identity is in the root; so is what is played with. */
		for (i = 0; i < 2; i++) {
			p->root[i] = i ? new_table(p) : identity;
			memcpy(p->ram + p->root[i], p->ram + identity, PAGE);
			p->table[p->tables++] = (struct play_table) {
				p->root[i] + PLAY_GVA / span(p, 2) * 4, 2, 4, gva
			};
		}
		for (i = 0; i < 8; i++)
			put_entry(p, p->root[i / 4], PLAY_GVA / span(p, 2) + i % 4,
				  p->table[i % 3].gpa | P | W | U | A);
		return;
	}
	pd = add_table(p, 2, 4, gva);
	fill_table(p, pd);
	for (i = 0; i < 3; i++)
		put_entry(p, pd->gpa, i, p->table[i].gpa | P | W | U | A);
	for (i = 0; i < 2; i++) {
		uint64_t bits = p->format == FORMAT_PAE ? P : P | W | U | A;

		p->root[i] = new_table(p);
		put_entry(p, p->root[i], 0, identity | bits);
		put_entry(p, p->root[i], 1, pd->gpa | bits);
		if (p->format == FORMAT_PAE)
			continue;
		if (!i)
			directory = p->root[i];
		if (has_1g)
			put_entry(p, p->root[i], 2, P | W | PS);
		for (level = 4; level <= (p->format == FORMAT_5 ? 5U : 4U); level++) {
			up = new_table(p);
			put_entry(p, up, 0, p->root[i] | bits);
			p->root[i] = up;
		}
		/* The root as its own lowest table: what is written there are tables. */
		put_entry(p, up, 510, up | P | W | A);
	}
	if (p->format == FORMAT_PAE)
		return;
	p->table[p->tables++] = (struct play_table) { directory + 8, 3, 1, gva };
}

static void make_gates(struct play *p)
{
	uint64_t *gdt = (uint64_t *)(p->ram + PLAY_GDT), at, low;
	bool wide = p->format >= FORMAT_4;
	unsigned int v;

	gdt[CS0 / 8] = wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff;
	gdt[DS0 / 8] = 0x00cf93000000ffff;
	gdt[CS3 / 8] = wide ? 0x00affb000000ffff : 0x00cffb000000ffff;
	gdt[DS3 / 8] = 0x00cff3000000ffff;
	gdt[TSS / 8] = 0x00008b0000000067 | PLAY_TSS << 16;
	if (wide)
		*(uint64_t *)(p->ram + PLAY_TSS + 4) = PLAY_STACK;
	else
		memcpy(p->ram + PLAY_TSS + 4, (uint32_t []) { PLAY_STACK, DS0 }, 8);
	for (v = 0; v < 256; v++) {
		at = PLAY_HANDLERS + v * 8;
		memcpy(p->ram + at, (uint8_t []) { 0xe6, v, 0xf4, 0xeb, 0xfd }, 5);
		low = (at & 0xffff) | CS0 << 16 | 0x8e0000000000 | (at >> 16) << 48;
		if (v == PLAY_END)
			low |= 0x600000000000;
		((uint64_t *)(p->ram + PLAY_IDT))[wide ? 2 * v : v] = low;
	}
}

void play_setup(struct play *p, uint8_t *ram)
{
	unsigned int i;

	memset(p, 0, sizeof(*p));
	do {
		p->format = below(FORMATS);
	} while (p->format == FORMAT_5 && !has_la57);
	p->ram = ram;
	p->entry_size = p->format == FORMAT_32 ? 4 : 8;
	p->pge = one_in(2);
	p->pke = has_pke && p->format >= FORMAT_4 && one_in(2);
	memset(ram, 0, RAM);
	random_bytes(ram + PLAY_DATA, 64 * PAGE);
	/* So that code there returns. */
	for (i = 0; i < 64 * PAGE; i += 64)
		ram[PLAY_DATA + i] = 0xc3;
	make_gates(p);
	make_tables(p);
}

void play_state(const struct play *p, struct umbra_state *st)
{
	bool wide = p->format >= FORMAT_4;
	int i;

	st->groups = UMBRA_STATE_ALL;
	memset(&st->regs, 0, sizeof(st->regs));
	memset(&st->events, 0, sizeof(st->events));
	st->regs.rflags = 2;
	st->regs.rip = PLAY_CODE;
	st->regs.gpr[UMBRA_RSP] = PLAY_STACK;
	for (i = UMBRA_ES; i <= UMBRA_GS; i++)
		st->sregs.seg[i] = (struct umbra_segment) {
			.limit = 0xffffffff,
			.attr = i == UMBRA_CS ? (wide ? 0xa09b : 0xc09b) : 0xc093,
			.selector = i == UMBRA_CS ? CS0 : DS0,
		};
	st->sregs.seg[UMBRA_TR] = (struct umbra_segment) {
		.base = PLAY_TSS, .limit = 0x67, .attr = 0x8b, .selector = TSS
	};
	st->sregs.seg[UMBRA_LDTR] = (struct umbra_segment) { .attr = UMBRA_SEG_UNUSABLE };
	st->sregs.gdtr = (struct umbra_table) { .base = PLAY_GDT, .limit = wide ? 0x37 : 0x2f };
	st->sregs.idtr = (struct umbra_table) { .base = PLAY_IDT, .limit = wide ? 0xfff : 0x7ff };
	st->sregs.cr0 = 0x80000033;
	st->sregs.cr2 = 0;
	st->sregs.cr3 = p->root[0];
	st->sregs.cr4 = 0x600 | (p->pge ? 0x80 : 0) | (p->pke ? 1ULL << 22 : 0);
	st->sregs.cr4 |= p->format == FORMAT_32 ? 0x10 : 0x20;
	st->sregs.cr4 |= p->format == FORMAT_5 ? 1 << 12 : 0;
	st->sregs.efer = wide ? 0xd00 : p->format == FORMAT_PAE ? 0x800 : 0;
	st->sregs.flags = 0;
	memset(&st->debug, 0, sizeof(st->debug));
	st->debug.dr6 = 0xffff0ff0;
	st->debug.dr7 = 0x400;
}
