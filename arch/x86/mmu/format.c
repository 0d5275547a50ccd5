// SPDX-License-Identifier: GPL-2.0-only
/* The six paging formats, and what control registers and CPUID make of them. */
#include "format.h"

#define P	BIT_ULL(0)
#define RW	BIT_ULL(1)
#define US	BIT_ULL(2)
#define A	BIT_ULL(5)
#define D	BIT_ULL(6)
#define PS	BIT_ULL(7)
#define G	BIT_ULL(8)
#define XD	BIT_ULL(63)

#define ADDRESS64	GENMASK_ULL(51, 12)

/* What PAE, 4-level, 5-level and nested (AMD) entries have in common. */
#define LONG_ENTRY		\
	.entry_size = 8,	\
	.present = P,		\
	.writable = RW,		\
	.user = US,		\
	.nx = XD,		\
	.accessed = A,		\
	.dirty = D,		\
	.global = G,		\
	.address = ADDRESS64

#define LONG_LEVELS							\
	.level = {							\
		[1] = { .shift = 12, .bits = 9, .permissions = true },	\
		[2] = { .shift = 21, .bits = 9, .permissions = true,	\
			.leaf = PS, .leaf_reserved = GENMASK_ULL(20, 13) }, \
		[3] = { .shift = 30, .bits = 9, .permissions = true,	\
			.leaf = PS, .leaf_reserved = GENMASK_ULL(29, 13) }, \
		[4] = { .shift = 39, .bits = 9, .permissions = true,	\
			.reserved = PS },				\
		[5] = { .shift = 48, .bits = 9, .permissions = true,	\
			.reserved = PS },				\
	}

/* PAE entries have no bits for software or protection keys up there. */
#define PAE_HIGH	GENMASK_ULL(62, 52)

const struct umbra_format umbra_formats[UMBRA_NR_FORMATS] = {
	[UMBRA_FORMAT_32BIT] = {
		.name = "32-bit",
		.levels = 2,
		.entry_size = 4,
		.address_bits = 32,
		.present = P,
		.writable = RW,
		.user = US,
		.accessed = A,
		.dirty = D,
		.global = G,
		.address = GENMASK_ULL(31, 12),
		.level = {
			[1] = { .shift = 12, .bits = 10, .permissions = true },
			[2] = { .shift = 22, .bits = 10, .permissions = true, .leaf = PS },
		},
	},
	[UMBRA_FORMAT_PAE] = {
		.name = "PAE",
		.levels = 3,
		.address_bits = 32,
		LONG_ENTRY,
		.level = {
			[1] = { .shift = 12, .bits = 9, .permissions = true,
				.leaf_reserved = PAE_HIGH },
			[2] = { .shift = 21, .bits = 9, .permissions = true,
				.leaf = PS, .reserved = PAE_HIGH,
				.leaf_reserved = PAE_HIGH | GENMASK_ULL(20, 13) },
			[3] = { .shift = 30, .bits = 2,
				.reserved = PAE_HIGH | XD | RW | US | GENMASK_ULL(8, 5) },
		},
	},
	[UMBRA_FORMAT_4LEVEL] = {
		.name = "4-level",
		.levels = 4,
		.address_bits = 48,
		.sign_extended = true,
		.key_shift = 59,
		LONG_ENTRY,
		LONG_LEVELS,
	},
	[UMBRA_FORMAT_5LEVEL] = {
		.name = "5-level",
		.levels = 5,
		.address_bits = 57,
		.sign_extended = true,
		.key_shift = 59,
		LONG_ENTRY,
		LONG_LEVELS,
	},
	[UMBRA_FORMAT_NPT] = {
		.name = "NPT",
		.levels = 4,
		.address_bits = 52,
		LONG_ENTRY,
		LONG_LEVELS,
	},
	[UMBRA_FORMAT_EPT] = {
		.name = "EPT",
		.levels = 4,
		.address_bits = 52,
		.entry_size = 8,
		.present = GENMASK_ULL(2, 0),
		.writable = BIT_ULL(1),
		.exec = BIT_ULL(2),
		.accessed = BIT_ULL(8),
		.dirty = BIT_ULL(9),
		/* Write-back whatever the guest's PAT says (SDM Vol. 3 29.3.7.2). */
		.memory_type = 6 << 3 | BIT_ULL(6),
		.address = ADDRESS64,
		.level = {
			[1] = { .shift = 12, .bits = 9, .permissions = true },
			[2] = { .shift = 21, .bits = 9, .permissions = true, .leaf = PS,
				.reserved = GENMASK_ULL(6, 3),
				.leaf_reserved = GENMASK_ULL(20, 12) },
			[3] = { .shift = 30, .bits = 9, .permissions = true, .leaf = PS,
				.reserved = GENMASK_ULL(6, 3),
				.leaf_reserved = GENMASK_ULL(29, 12) },
			[4] = { .shift = 39, .bits = 9, .permissions = true,
				.reserved = GENMASK_ULL(7, 3) },
			[5] = { .shift = 48, .bits = 9, .permissions = true,
				.reserved = GENMASK_ULL(7, 3) },
		},
	},
};

/*
 * PSE-36: bits 20:13 of a 4 MiB leaf are bits 39:32 of its address, as far as
 * the CPU has them (SDM Vol. 3 table 4-4).
 */
static u64 pse_reserved(unsigned int maxphyaddr)
{
	if (maxphyaddr <= 32)
		return GENMASK_ULL(21, 13);
	return GENMASK_ULL(21, maxphyaddr < 40 ? maxphyaddr - 19 : 21);
}

/**
 * umbra_paging_init() - what entries mean under given controls
 * @paging: the result
 * @id: the format
 * @flags: UMBRA_PAGING_*; those that the format does not have are ignored
 * @maxphyaddr: width of physical addresses in bits, 32 to 52
 *
 * SDM Vol. 3 4.3 to 4.5, 29.3.2; APM Vol. 2 5.2 and 5.3.
 */
void umbra_paging_init(struct umbra_paging *paging, enum umbra_format_id id, u32 flags,
		       unsigned int maxphyaddr)
{
	const struct umbra_format *f = &umbra_formats[id];
	u64 reserved = 0;
	int level;

	if (!f->nx)
		flags &= ~UMBRA_PAGING_NX;
	if (!f->key_shift)
		flags &= ~UMBRA_PAGING_PKE;
	if (f->entry_size == 8 && maxphyaddr < 52)
		reserved = GENMASK_ULL(51, maxphyaddr);

	paging->format = f;
	paging->id = id;
	paging->levels = f->levels;
	paging->flags = flags;
	for (level = 1; level <= UMBRA_MAX_LEVEL; level++) {
		const struct umbra_level *l = &f->level[level];

		paging->may_leaf[level] = l->leaf;
		paging->reserved[level] = l->reserved | reserved;
		paging->leaf_reserved[level] = l->leaf_reserved | reserved;
		if (l->permissions && f->nx && !(flags & UMBRA_PAGING_NX)) {
			paging->reserved[level] |= f->nx;
			paging->leaf_reserved[level] |= f->nx;
		}
	}

	if (id == UMBRA_FORMAT_32BIT) {
		paging->leaf_reserved[2] |= pse_reserved(maxphyaddr);
		/* Without CR4.PSE the bit is ignored. */
		if (!(flags & UMBRA_PAGING_PSE))
			paging->may_leaf[2] = 0;
	} else if (f->level[3].leaf && !(flags & UMBRA_PAGING_1G)) {
		/* Without 1 GiB pages it is reserved. */
		paging->reserved[3] |= f->level[3].leaf;
		paging->may_leaf[3] = 0;
	}
}

/**
 * umbra_leaf_address() - the physical address that a leaf maps
 * @f: the format
 * @level: level of the table that holds the leaf
 * @entry: the leaf
 *
 * Return: the address of the page's first byte.
 */
u64 umbra_leaf_address(const struct umbra_format *f, int level, u64 entry)
{
	u64 addr = entry & f->address & ~(BIT_ULL(f->level[level].shift) - 1);

	if (f->entry_size == 4 && level == 2)
		addr |= (entry & GENMASK_ULL(20, 13)) << 19;
	return addr;
}
