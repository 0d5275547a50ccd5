/* SPDX-License-Identifier: GPL-2.0-only */
/* Page tables of every format, built entry by entry. Tables are mapped one to one. */
#ifndef LIB_PT_H
#define LIB_PT_H

#include "cpu.h"

#define PT_P	BIT64(0)
#define PT_W	BIT64(1)
#define PT_U	BIT64(2)
#define PT_PWT	BIT64(3)
#define PT_PCD	BIT64(4)
#define PT_A	BIT64(5)
#define PT_D	BIT64(6)
#define PT_PS	BIT64(7)
#define PT_G	BIT64(8)
#define PT_NX	BIT64(63)
#define PT_PKEY(k)	((u64)(k) << 59)

#define PF_P	BIT(0)
#define PF_W	BIT(1)
#define PF_U	BIT(2)
#define PF_RSVD	BIT(3)
#define PF_I	BIT(4)
#define PF_PK	BIT(5)

enum pt_mode { PT_32BIT = 2, PT_PAE = 3, PT_4LEVEL = 4, PT_5LEVEL = 5 };

struct space {
	enum pt_mode mode;	/* also the number of levels */
	ulong root;
};

static inline int pt_shift(enum pt_mode mode, int level)
{
	return mode == PT_32BIT ? 12 + 10 * (level - 1) : 12 + 9 * (level - 1);
}

static inline u64 pt_size(enum pt_mode mode, int level)
{
	return 1ull << pt_shift(mode, level);
}

/* Physical address bits of an entry. */
static inline u64 pt_addr_mask(enum pt_mode mode)
{
	return mode == PT_32BIT ? 0xfffff000ull : 0x000ffffffffff000ull;
}

u64 pt_read(enum pt_mode mode, ulong entry);
void pt_write(enum pt_mode mode, ulong entry, u64 v);
/* Address of entry @index of the table page at @table. */
static inline ulong pt_slot(enum pt_mode mode, ulong table, int index)
{
	return table + (ulong)index * (mode == PT_32BIT ? 4 : 8);
}

int pt_index(enum pt_mode mode, ulong va, int level);

/*
 * Address of the entry of @va at @level; tables on the way are made as needed,
 * with all rights.
 */
ulong pt_entry(struct space *s, ulong va, int level);
/* Maps one page of @level's size. @flags as in the entry, PT_P and PT_PS added. */
void pt_map(struct space *s, ulong va, u64 pa, u64 flags, int level);
void pt_map_range(struct space *s, ulong va, u64 pa, ulong size, u64 flags);

/* A new space that holds the kernel as the boot tables (or no paging) show it. */
void pt_new(struct space *s, enum pt_mode mode);

#endif
