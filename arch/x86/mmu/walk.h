/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk through a guest's page tables.
 *
 * Pure, and inline so that the callbacks of each user become direct calls.
 */
#ifndef UMBRA_MMU_WALK_H
#define UMBRA_MMU_WALK_H

#include <asm/trap_pf.h>
#include "format.h"

/* What a translation allows, and what a role's access says. */
#define UMBRA_ACC_EXEC	BIT(0)
#define UMBRA_ACC_WRITE	BIT(1)
#define UMBRA_ACC_USER	BIT(2)
#define UMBRA_ACC_ALL	(UMBRA_ACC_EXEC | UMBRA_ACC_WRITE | UMBRA_ACC_USER)

/**
 * struct umbra_walk_ops - access to the memory that holds the tables
 * @read: read an entry of @size bytes at @gpa; 0, or -errno if there is none
 * @exchange: replace @old by @new there; 0, 1 if it is not @old any more, or
 *	-errno if memory there cannot be written
 */
struct umbra_walk_ops {
	int (*read)(void *context, u64 gpa, unsigned int size, u64 *entry);
	int (*exchange)(void *context, u64 gpa, unsigned int size, u64 old, u64 new);
};

/**
 * struct umbra_walk_access - what is to be translated
 * @addr: the address
 * @root: CR3, or the like; bits that are no address are ignored
 * @pdpte: PAE: the four directory pointers as the CPU holds them; NULL: they are
 *	read from memory
 * @access: X86_PF_WRITE, X86_PF_USER, X86_PF_INSTR
 * @pkru: the register, or 0
 * @smap: SMAP forbids supervisor accesses to user pages: CR4.SMAP is set, and
 *	RFLAGS.AC is clear or the access is implicit
 */
struct umbra_walk_access {
	u64 addr;
	u64 root;
	const u64 *pdpte;
	u32 access;
	u32 pkru;
	bool smap;
};

/**
 * struct umbra_walk - how it was translated
 * @gpa: where to, if it was
 * @error: the page-fault error code, if not
 * @level: of the leaf, or of the table that stopped the walk
 * @key: protection key of the leaf
 * @acc: by level: what all entries from the root down to there allow
 * @where: by level: physical address of the entry; not of PDPTEs in registers
 * @entry: by level: the entry, with the bits that the walk has set
 */
struct umbra_walk {
	u64 gpa;
	u32 error;
	u8 level;
	u8 key;
	u8 acc[UMBRA_MAX_LEVEL + 1];
	u64 where[UMBRA_MAX_LEVEL + 1];
	u64 entry[UMBRA_MAX_LEVEL + 1];
};

/* What one entry takes away from the permissions. */
static __always_inline unsigned int umbra_entry_acc(const struct umbra_format *f, u64 entry)
{
	unsigned int acc = UMBRA_ACC_ALL;

	if (!(entry & f->writable))
		acc &= ~UMBRA_ACC_WRITE;
	if (f->user && !(entry & f->user))
		acc &= ~UMBRA_ACC_USER;
	if ((entry & f->nx) || (f->exec && !(entry & f->exec)))
		acc &= ~UMBRA_ACC_EXEC;
	return acc;
}

/*
 * May it be accessed? Returns 0, or X86_PF_PROT and perhaps X86_PF_PK (SDM
 * Vol. 3 4.6 and 4.7; APM Vol. 2 5.6).
 */
static __always_inline u32 umbra_walk_check(const struct umbra_paging *paging,
					    const struct umbra_walk_access *in,
					    unsigned int acc, unsigned int key)
{
	bool user = in->access & X86_PF_USER;
	bool write = in->access & X86_PF_WRITE;
	bool fetch = in->access & X86_PF_INSTR;
	u32 error = 0;

	if (write && !(acc & UMBRA_ACC_WRITE) && (user || (paging->flags & UMBRA_PAGING_WP)))
		error = X86_PF_PROT;
	if (fetch && !(acc & UMBRA_ACC_EXEC))
		error = X86_PF_PROT;
	if (!(acc & UMBRA_ACC_USER)) {
		if (user)
			error = X86_PF_PROT;
		return error;
	}

	if (!user && fetch && (paging->flags & UMBRA_PAGING_SMEP))
		error = X86_PF_PROT;
	if (!user && !fetch && in->smap)
		error = X86_PF_PROT;
	if (!fetch && (paging->flags & UMBRA_PAGING_PKE)) {
		u32 denied = in->pkru >> (2 * key);

		if ((denied & 1) || ((denied & 2) && write &&
				     (user || (paging->flags & UMBRA_PAGING_WP))))
			error = X86_PF_PROT | X86_PF_PK;
	}
	return error;
}

/*
 * The access will be done: set accessed bits from the root down, and the dirty
 * bit. Returns false if an entry has changed since it was read.
 */
static __always_inline bool umbra_walk_mark(const struct umbra_walk_ops *ops, void *context,
					    const struct umbra_paging *paging, bool write,
					    struct umbra_walk *w)
{
	const struct umbra_format *f = paging->format;
	int level;

	for (level = paging->levels; level >= w->level; level--) {
		u64 old = w->entry[level], new = old | f->accessed;

		if (!f->level[level].permissions)
			continue;
		if (level == w->level && write)
			new |= f->dirty;
		if (new == old)
			continue;
		/* Tables in read-only memory stay as they are, the access is done all the same. */
		if (ops->exchange(context, w->where[level], f->entry_size, old, new) > 0)
			return false;
		w->entry[level] = new;
	}
	return true;
}

/**
 * umbra_walk_tables() - translate an address
 * @ops: access to the tables
 * @context: passed on to it
 * @paging: format and controls
 * @in: what to translate
 * @w: the result
 *
 * Sets accessed and dirty bits as the CPU does when the access is allowed.
 *
 * Return: true, or false with the error code of the page fault in @w.
 */
static __always_inline bool umbra_walk_tables(const struct umbra_walk_ops *ops, void *context,
					      const struct umbra_paging *paging,
					      const struct umbra_walk_access *in,
					      struct umbra_walk *w)
{
	const struct umbra_format *f = paging->format;
	u64 table, entry, marks, want;
	unsigned int acc;
	int level;
	u32 error;
	bool leaf;

again:
	level = paging->levels;
	table = in->root & f->address;
	/* The four pointers of PAE paging are aligned to 32 bytes only. */
	if (!f->level[level].permissions)
		table = in->root & GENMASK_ULL(31, 5);
	acc = UMBRA_ACC_ALL;
	marks = f->accessed;
	error = 0;
	for (;;) {
		unsigned int index = umbra_index(f, level, in->addr);

		if (in->pdpte && !f->level[level].permissions) {
			entry = in->pdpte[index];
		} else {
			w->where[level] = table + index * f->entry_size;
			if (ops->read(context, w->where[level], f->entry_size, &entry))
				goto fault;
		}
		w->entry[level] = entry;
		if (!(entry & f->present))
			goto fault;
		leaf = umbra_is_leaf(paging, level, entry);
		if (unlikely(umbra_reserved_bits(paging, level, entry, leaf))) {
			error = X86_PF_PROT | X86_PF_RSVD;
			goto fault;
		}
		if (likely(f->level[level].permissions)) {
			acc &= umbra_entry_acc(f, entry);
			marks &= entry;
		}
		w->acc[level] = acc;
		if (leaf)
			break;
		table = entry & f->address;
		level--;
	}

	w->key = f->key_shift ? (entry >> f->key_shift) & 15 : 0;
	error = umbra_walk_check(paging, in, acc, w->key);
	if (unlikely(error))
		goto fault;
	w->level = level;

	want = in->access & X86_PF_WRITE ? f->dirty : 0;
	if (unlikely(marks != f->accessed || (entry & want) != want) &&
	    !umbra_walk_mark(ops, context, paging, want, w))
		goto again;

	w->gpa = umbra_leaf_address(f, level, entry) |
		 (in->addr & (BIT_ULL(f->level[level].shift) - 1));
	w->error = 0;
	return true;

fault:
	w->level = level;
	error |= in->access & (X86_PF_WRITE | X86_PF_USER);
	if ((in->access & X86_PF_INSTR) &&
	    (paging->flags & (UMBRA_PAGING_NX | UMBRA_PAGING_SMEP)))
		error |= X86_PF_INSTR;
	w->error = error;
	return false;
}

#endif /* UMBRA_MMU_WALK_H */
