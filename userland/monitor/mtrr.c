// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory-type range registers as firmware leaves them, the same on every vCPU
 * (SDM Vol. 3 12.11): all is write-back but VGA's frame buffer and the hole
 * for devices below 4 GiB. Without them Linux would do without PAT, too.
 */
#include "internal.h"

#define LEAF_FEATURES	0x1
#define LEAF_SIZES	0x80000008
#define FEATURES_MTRR	(1U << 12)
#define DEFAULT_ADDRESS_BITS 36	/* of CPUs that do not say */

#define MTRR_PHYSBASE0	0x200
#define MTRR_PHYSMASK0	0x201
#define MTRR_64K	0x250	/* 0 to 7ffff, 64 KiB for each byte */
#define MTRR_16K	0x258	/* 80000 to bffff, in two of them */
#define MTRR_4K		0x268	/* c0000 to fffff, in eight */
#define MTRR_DEF_TYPE	0x2ff

#define TYPE_UC		0
#define TYPE_WB		6
#define EVERY_BYTE	0x0101010101010101ULL
#define FIXED_ENABLED	(1U << 10)
#define ENABLED		(1U << 11)
#define MASK_VALID	(1U << 11)

static void set(struct umbra_msr *msr, uint32_t index, uint64_t value)
{
	*msr = (struct umbra_msr){ .index = index, .value = value };
}

unsigned int mtrr_set_up(const struct umbra_cpuid_entry *entry, unsigned int count,
			 struct umbra_msr msr[MTRR_MSRS])
{
	unsigned int address_bits = DEFAULT_ADDRESS_BITS, i, n = 0;
	uint64_t hole = MEMORY_HIGH - MEMORY_HOLE;
	bool has_mtrr = false;

	for (i = 0; i < count; i++) {
		if (entry[i].leaf == LEAF_FEATURES)
			has_mtrr = entry[i].edx & FEATURES_MTRR;
		else if (entry[i].leaf == LEAF_SIZES)
			address_bits = entry[i].eax & 0xff;
	}
	if (!has_mtrr)
		return 0;

	set(&msr[n++], MTRR_64K, TYPE_WB * EVERY_BYTE);
	set(&msr[n++], MTRR_16K, TYPE_WB * EVERY_BYTE);
	set(&msr[n++], MTRR_16K + 1, TYPE_UC * EVERY_BYTE);
	for (i = 0; i < 8; i++)
		set(&msr[n++], MTRR_4K + i, TYPE_WB * EVERY_BYTE);
	set(&msr[n++], MTRR_PHYSBASE0, MEMORY_HOLE | TYPE_UC);
	set(&msr[n++], MTRR_PHYSMASK0, (((1ULL << address_bits) - 1) & ~(hole - 1)) | MASK_VALID);
	set(&msr[n++], MTRR_DEF_TYPE, TYPE_WB | FIXED_ENABLED | ENABLED);
	return n;
}
