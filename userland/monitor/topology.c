// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID leaves that describe a vCPU among others: one package of single-thread
 * cores, with APIC IDs from 0.
 */
#include "internal.h"

#define LEAF_FEATURES	0x1
#define LEAF_CACHES	0x4
#define LEAF_TOPOLOGY	0xb
#define LEAF_TOPOLOGY2	0x1f
#define LEAF_SIZES	0x80000008
#define LEAF_AMD_CACHES	0x8000001d
#define LEAF_AMD_TOPOLOGY 0x8000001e

#define FEATURES_HTT	(1U << 28)
#define CACHE_LEVEL(eax) ((eax) >> 5 & 7)
#define CACHE_SHARED	(0xfffU << 14)
#define CACHE_CORES	(0x3fU << 26)
#define LEVEL_SMT	1
#define LEVEL_CORE	2

/* Bits that hold APIC IDs below @cpus. */
static unsigned int id_bits(unsigned int cpus)
{
	return cpus > 1 ? 32 - __builtin_clz(cpus - 1) : 0;
}

static void describe_cache(struct umbra_cpuid_entry *e, unsigned int cpus)
{
	/* The last level is shared by all, the others by none. */
	uint32_t shared = CACHE_LEVEL(e->eax) >= 3 ? (1U << id_bits(cpus)) - 1 : 0;

	if (!(e->eax & 0x1f))
		return;
	e->eax = (e->eax & ~CACHE_SHARED) | shared << 14;
	if (e->leaf == LEAF_CACHES)
		e->eax = (e->eax & ~CACHE_CORES) | ((1U << id_bits(cpus)) - 1) << 26;
}

static void describe_level(struct umbra_cpuid_entry *e, unsigned int id, unsigned int cpus)
{
	e->eax = 0;
	e->ebx = 0;
	e->ecx = e->subleaf;
	e->edx = id;
	if (e->subleaf == 0) {
		e->ebx = 1;
		e->ecx |= LEVEL_SMT << 8;
	} else if (e->subleaf == 1) {
		e->eax = id_bits(cpus);
		e->ebx = cpus;
		e->ecx |= LEVEL_CORE << 8;
	}
}

void topology_cpuid(struct umbra_cpuid_entry *entry, unsigned int count, unsigned int id,
		    unsigned int cpus)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct umbra_cpuid_entry *e = &entry[i];

		switch (e->leaf) {
		case LEAF_FEATURES:
			e->ebx = (e->ebx & 0xffff) | cpus << 16 | id << 24;
			e->edx = cpus > 1 ? e->edx | FEATURES_HTT : e->edx & ~FEATURES_HTT;
			break;
		case LEAF_CACHES:
		case LEAF_AMD_CACHES:
			describe_cache(e, cpus);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY2:
			describe_level(e, id, cpus);
			break;
		case LEAF_SIZES:
			e->ecx = (cpus - 1) | id_bits(cpus) << 12;
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = id;
			e->ebx = id;
			e->ecx = 0;
			break;
		}
	}
}
