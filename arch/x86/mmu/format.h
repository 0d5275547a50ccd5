/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Paging formats as data: what the entries of a table mean, at each level.
 *
 * Pure: this header, format.c and walk.h use nothing but types and macros of the
 * headers they include, so that tests can build them outside the kernel.
 */
#ifndef UMBRA_MMU_FORMAT_H
#define UMBRA_MMU_FORMAT_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>

/* Levels count from 1, the table of 4 KiB pages. */
#define UMBRA_MAX_LEVEL		5

enum umbra_format_id {
	UMBRA_FORMAT_32BIT,	/* SDM Vol. 3 4.3 */
	UMBRA_FORMAT_PAE,	/* SDM Vol. 3 4.4 */
	UMBRA_FORMAT_4LEVEL,	/* SDM Vol. 3 4.5 */
	UMBRA_FORMAT_5LEVEL,
	UMBRA_FORMAT_NPT,	/* APM Vol. 2 15.25 */
	UMBRA_FORMAT_EPT,	/* SDM Vol. 3 29.3.2 */
	UMBRA_NR_FORMATS
};

/**
 * struct umbra_level - what one level of a paging format adds
 * @shift: lowest bit of the address that indexes a table of this level
 * @bits: how many bits index it
 * @permissions: entries of this level hold permission and accessed bits; not so
 *	the directory pointers of PAE paging
 * @leaf: bit that makes an entry a leaf; 0: never one, or, at level 1, always
 * @reserved: bits of a non-leaf entry that must be 0, whatever the capabilities
 * @leaf_reserved: bits of a leaf entry that must be 0, whatever the capabilities
 */
struct umbra_level {
	u8 shift;
	u8 bits;
	bool permissions;
	u64 leaf;
	u64 reserved;
	u64 leaf_reserved;
};

/**
 * struct umbra_format - a paging format
 * @name: for people
 * @levels: level of the root, where nothing else says so
 * @entry_size: 4 or 8 bytes
 * @address_bits: bits of an address that are translated
 * @sign_extended: addresses must be canonical
 * @key_shift: lowest bit of the protection key in a leaf, 0: none
 * @present: an entry is present if any of these bits is set
 * @writable: bit that allows writes
 * @user: bit that allows accesses from CPL 3, 0 where there is no such notion
 * @exec: bit that allows fetches, 0 where @nx says the contrary
 * @nx: bit that forbids fetches
 * @accessed: set by the CPU when an entry is used
 * @dirty: set by the CPU in a leaf that is written to
 * @global: leaf survives a load of CR3
 * @memory_type: bits of a leaf that say write-back, where that is not 0
 * @address: bits of the next table's or the page's address
 * @level: by level, from [1]
 */
struct umbra_format {
	const char *name;
	u8 levels;
	u8 entry_size;
	u8 address_bits;
	bool sign_extended;
	u8 key_shift;
	u64 present;
	u64 writable;
	u64 user;
	u64 exec;
	u64 nx;
	u64 accessed;
	u64 dirty;
	u64 global;
	u64 memory_type;
	u64 address;
	struct umbra_level level[UMBRA_MAX_LEVEL + 1];
};

extern const struct umbra_format umbra_formats[UMBRA_NR_FORMATS];

/* Capabilities and controls that change what a format's entries mean. */
#define UMBRA_PAGING_PSE	BIT(0)	/* CR4.PSE: 4 MiB pages in 32-bit paging */
#define UMBRA_PAGING_1G		BIT(1)	/* CPUID: 1 GiB pages */
#define UMBRA_PAGING_NX		BIT(2)	/* EFER.NXE */
#define UMBRA_PAGING_WP		BIT(3)	/* CR0.WP */
#define UMBRA_PAGING_SMEP	BIT(4)
#define UMBRA_PAGING_SMAP	BIT(5)
#define UMBRA_PAGING_PKE	BIT(6)

/**
 * struct umbra_paging - a format as control registers and CPUID make it
 * @format: the format, NULL: paging is off
 * @id: which it is
 * @levels: level of the root
 * @flags: UMBRA_PAGING_*
 * @may_leaf: by level: bit that makes a leaf, 0 where controls forbid it
 * @reserved: by level: bits of a non-leaf entry that must be 0
 * @leaf_reserved: by level: bits of a leaf that must be 0
 */
struct umbra_paging {
	const struct umbra_format *format;
	enum umbra_format_id id;
	u8 levels;
	u32 flags;
	u64 may_leaf[UMBRA_MAX_LEVEL + 1];
	u64 reserved[UMBRA_MAX_LEVEL + 1];
	u64 leaf_reserved[UMBRA_MAX_LEVEL + 1];
};

void umbra_paging_init(struct umbra_paging *paging, enum umbra_format_id id, u32 flags,
		       unsigned int maxphyaddr);

/* Is this entry of a table of this level the end of a walk? */
static __always_inline bool umbra_is_leaf(const struct umbra_paging *paging, int level, u64 entry)
{
	return level == 1 || (entry & paging->may_leaf[level]);
}

/* Bits that must be 0 in this entry and are not. */
static __always_inline u64 umbra_reserved_bits(const struct umbra_paging *paging, int level,
					       u64 entry, bool leaf)
{
	return entry & (leaf ? paging->leaf_reserved[level] : paging->reserved[level]);
}

/* Index into a table of this level. */
static __always_inline unsigned int umbra_index(const struct umbra_format *format, int level,
						u64 addr)
{
	const struct umbra_level *l = &format->level[level];

	return (addr >> l->shift) & ((1U << l->bits) - 1);
}

u64 umbra_leaf_address(const struct umbra_format *f, int level, u64 entry);

#endif /* UMBRA_MMU_FORMAT_H */
