// SPDX-License-Identifier: GPL-2.0-only
/* See model.h. Sections are those of the SDM, Vol. 3. */
#include "model.h"

#define PF_P	1
#define PF_W	2
#define PF_U	4
#define PF_RSVD	8
#define PF_I	16
#define PF_PK	32

/* Bits from @low to @high, none if @low is above @high. */
static uint64_t bits(int high, int low)
{
	uint64_t mask = 0;
	int i;

	for (i = low; i <= high; i++)
		mask |= 1ULL << i;
	return mask;
}

static bool bit(uint64_t value, int n)
{
	return value >> n & 1;
}

/* What has been found on the way to the leaf. */
struct way {
	bool user, writable, executable;
	unsigned int key;
	unsigned int entries;
	uint64_t at[5];
	uint64_t accessed, dirty;
};

static void page_fault(const struct model *m, struct model_result *r, uint32_t why)
{
	r->fault = true;
	r->error = why;
	if (m->write)
		r->error |= PF_W;
	if (m->user)
		r->error |= PF_U;
	/* 4.7: only where fetches are told from reads. */
	if (m->fetch && ((m->nxe && m->format != MODEL_32BIT && m->format != MODEL_EPT) || m->smep))
		r->error |= PF_I;
}

/* 4.6.1, 4.6.2: what kind of address it is, and what may be done to it. */
static uint32_t rights(const struct model *m, const struct way *w)
{
	bool allowed;
	uint32_t pk = 0;

	if (m->format == MODEL_4LEVEL || m->format == MODEL_5LEVEL) {
		bool access_disabled = bit(m->pkru, 2 * w->key);
		bool write_disabled = bit(m->pkru, 2 * w->key + 1);

		if (m->pke && w->user && !m->fetch) {
			if (access_disabled)
				pk = PF_PK;
			if (write_disabled && m->write && (m->user || m->wp))
				pk = PF_PK;
		}
	}

	if (m->user) {
		allowed = w->user;
		if (m->fetch)
			allowed = allowed && w->executable;
		else if (m->write)
			allowed = allowed && w->writable;
	} else if (m->fetch) {
		allowed = w->executable && !(w->user && m->smep);
	} else {
		allowed = !(w->user && m->smap);
		if (m->write)
			allowed = allowed && (w->writable || !m->wp);
	}
	if (!allowed || pk)
		return PF_P | pk;
	return 0;
}

static void finish(const struct model *m, const struct way *w, uint64_t gpa, struct model_result *r)
{
	uint32_t why = rights(m, w);
	unsigned int i;

	if (why) {
		page_fault(m, r, why);
		return;
	}
	r->gpa = gpa;
	/* 4.8; 29.3.5 */
	for (i = 0; i < w->entries; i++) {
		r->mark[i].gpa = w->at[i];
		r->mark[i].bits = w->accessed;
		if (m->write && i == w->entries - 1)
			r->mark[i].bits |= w->dirty;
	}
	r->marks = w->entries;
}

/* 4.3: 32-bit paging */
static void translate_32bit(const struct model *m, struct model_result *r)
{
	struct way w = { .user = true, .writable = true, .executable = true,
			 .accessed = 1 << 5, .dirty = 1 << 6 };
	uint64_t entry;

	w.at[0] = (m->root & 0xfffff000) + (m->addr >> 22 & 0x3ff) * 4;
	w.entries = 1;
	if (!m->read(m->context, w.at[0], 4, &entry) || !bit(entry, 0)) {
		page_fault(m, r, 0);
		return;
	}
	w.writable = bit(entry, 1);
	w.user = bit(entry, 2);
	if (m->pse && bit(entry, 7)) {
		/* Table 4-4: bits 20:13 are 39:32, as far as the CPU has them; 21 is reserved. */
		int m40 = m->maxphyaddr < 40 ? m->maxphyaddr : 40;

		if (entry & bits(21, m40 <= 32 ? 13 : m40 - 19)) {
			page_fault(m, r, PF_P | PF_RSVD);
			return;
		}
		finish(m, &w, (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 |
		       (m->addr & 0x3fffff), r);
		return;
	}
	w.at[1] = (entry & 0xfffff000) + (m->addr >> 12 & 0x3ff) * 4;
	w.entries = 2;
	if (!m->read(m->context, w.at[1], 4, &entry) || !bit(entry, 0)) {
		page_fault(m, r, 0);
		return;
	}
	w.writable = w.writable && bit(entry, 1);
	w.user = w.user && bit(entry, 2);
	finish(m, &w, (entry & 0xfffff000) | (m->addr & 0xfff), r);
}

/* One entry of 64 bits. Returns false after a fault. */
static bool take(const struct model *m, struct way *w, uint64_t entry, uint64_t reserved,
		 struct model_result *r)
{
	if (!bit(entry, 0)) {
		page_fault(m, r, 0);
		return false;
	}
	if (!m->nxe)
		reserved |= 1ULL << 63;
	if (entry & reserved) {
		page_fault(m, r, PF_P | PF_RSVD);
		return false;
	}
	w->writable = w->writable && bit(entry, 1);
	w->user = w->user && bit(entry, 2);
	w->executable = w->executable && !bit(entry, 63);
	w->key = entry >> 59 & 15;
	return true;
}

static bool read64(const struct model *m, struct way *w, uint64_t at, uint64_t *entry,
		   struct model_result *r)
{
	w->at[w->entries++] = at;
	if (m->read(m->context, at, 8, entry))
		return true;
	page_fault(m, r, 0);
	return false;
}

#define ADDRESS(entry)	((entry) & 0x000ffffffffff000ULL)

/* 4.4: PAE paging */
static void translate_pae(const struct model *m, struct model_result *r)
{
	struct way w = { .user = true, .writable = true, .executable = true,
			 .accessed = 1 << 5, .dirty = 1 << 6 };
	const uint64_t high = bits(62, m->maxphyaddr);
	uint64_t entry;

	if (m->pdpte) {
		entry = m->pdpte[m->addr >> 30 & 3];
	} else {
		if (!read64(m, &w, (m->root & 0xffffffe0) + (m->addr >> 30 & 3) * 8, &entry, r))
			return;
		/* No accessed bit there. */
		w.entries = 0;
	}
	if (!bit(entry, 0)) {
		page_fault(m, r, 0);
		return;
	}
	/* Table 4-8 */
	if (entry & (bits(2, 1) | bits(8, 5) | bits(63, m->maxphyaddr))) {
		page_fault(m, r, PF_P | PF_RSVD);
		return;
	}
	if (!read64(m, &w, ADDRESS(entry) + (m->addr >> 21 & 0x1ff) * 8, &entry, r))
		return;
	if (!take(m, &w, entry, bit(entry, 7) ? high | bits(20, 13) : high, r))
		return;
	if (bit(entry, 7)) {
		finish(m, &w, (ADDRESS(entry) & ~bits(20, 0)) | (m->addr & 0x1fffff), r);
		return;
	}
	if (!read64(m, &w, ADDRESS(entry) + (m->addr >> 12 & 0x1ff) * 8, &entry, r))
		return;
	if (take(m, &w, entry, high, r))
		finish(m, &w, ADDRESS(entry) | (m->addr & 0xfff), r);
}

/* 4.5: 4-level and 5-level paging; AMD's nested tables are the same (APM Vol. 2 15.25.5) */
static void translate_long(const struct model *m, struct model_result *r)
{
	struct way w = { .user = true, .writable = true, .executable = true,
			 .accessed = 1 << 5, .dirty = 1 << 6 };
	const uint64_t high = bits(51, m->maxphyaddr);
	uint64_t table = ADDRESS(m->root), entry;

	if (m->format == MODEL_5LEVEL) {
		if (!read64(m, &w, table + (m->addr >> 48 & 0x1ff) * 8, &entry, r) ||
		    !take(m, &w, entry, high | bits(7, 7), r))
			return;
		table = ADDRESS(entry);
	}
	if (!read64(m, &w, table + (m->addr >> 39 & 0x1ff) * 8, &entry, r) ||
	    !take(m, &w, entry, high | bits(7, 7), r))
		return;
	if (!read64(m, &w, ADDRESS(entry) + (m->addr >> 30 & 0x1ff) * 8, &entry, r))
		return;
	if (bit(entry, 7)) {
		if (take(m, &w, entry, m->gigabyte ? high | bits(29, 13) : high | bits(7, 7), r))
			finish(m, &w, (ADDRESS(entry) & ~bits(29, 0)) | (m->addr & bits(29, 0)), r);
		return;
	}
	if (!take(m, &w, entry, high, r))
		return;
	if (!read64(m, &w, ADDRESS(entry) + (m->addr >> 21 & 0x1ff) * 8, &entry, r))
		return;
	if (bit(entry, 7)) {
		if (take(m, &w, entry, high | bits(20, 13), r))
			finish(m, &w, (ADDRESS(entry) & ~bits(20, 0)) | (m->addr & bits(20, 0)), r);
		return;
	}
	if (!take(m, &w, entry, high, r))
		return;
	if (!read64(m, &w, ADDRESS(entry) + (m->addr >> 12 & 0x1ff) * 8, &entry, r))
		return;
	if (take(m, &w, entry, high, r))
		finish(m, &w, ADDRESS(entry) | (m->addr & 0xfff), r);
}

/*
 * 29.3.2: EPT. Violations and misconfigurations are told by the bits of a page fault.
 * Entries that cannot be read, and reserved memory types, do not occur in these tests.
 */
static void translate_ept(const struct model *m, struct model_result *r)
{
	struct way w = { .user = true, .writable = true, .executable = true,
			 .accessed = 1 << 8, .dirty = 1 << 9 };
	uint64_t table = ADDRESS(m->root), entry, reserved;
	int level;

	for (level = 4; level > 0; level--) {
		int shift = 12 + 9 * (level - 1);
		bool leaf;

		if (!read64(m, &w, table + (m->addr >> shift & 0x1ff) * 8, &entry, r))
			return;
		if (!(entry & 7)) {
			page_fault(m, r, 0);
			return;
		}
		leaf = level == 1 || (bit(entry, 7) && (level == 2 || (level == 3 && m->gigabyte)));
		reserved = bits(51, m->maxphyaddr);
		if (!leaf)
			reserved |= level == 4 ? bits(7, 3) : bits(6, 3);
		if (!leaf && level == 3)
			reserved |= bits(7, 7);
		if (leaf && level > 1)
			reserved |= bits(shift - 1, 12);
		if (entry & reserved) {
			page_fault(m, r, PF_P | PF_RSVD);
			return;
		}
		w.writable = w.writable && bit(entry, 1);
		w.executable = w.executable && bit(entry, 2);
		if (leaf) {
			finish(m, &w, (ADDRESS(entry) & ~bits(shift - 1, 0)) |
			       (m->addr & bits(shift - 1, 0)), r);
			return;
		}
		table = ADDRESS(entry);
	}
}

void model_translate(const struct model *m, struct model_result *r)
{
	*r = (struct model_result) {};
	switch (m->format) {
	case MODEL_32BIT:
		translate_32bit(m, r);
		break;
	case MODEL_PAE:
		translate_pae(m, r);
		break;
	case MODEL_EPT:
		translate_ept(m, r);
		break;
	default:
		translate_long(m, r);
	}
}
