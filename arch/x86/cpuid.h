/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest's CPUID says, and what follows from it. */
#ifndef UMBRA_CPUID_H
#define UMBRA_CPUID_H

#include <asm/cpufeature.h>
#include "umbra.h"

/* Leaves found by index: 0 to 0x1f and 0x80000000 to 0x8000002f. */
#define UMBRA_CPUID_BASIC	0x20
#define UMBRA_CPUID_EXTENDED	0x30

/**
 * struct umbra_cpuid_state - the CPUID table of a vCPU
 * @count: entries in use
 * @basic: index of the first entry of a basic leaf, plus 1; 0 if there is none
 * @extended: the same of the leaves from 0x80000000 on
 * @max_basic: highest basic leaf
 * @max_extended: highest extended leaf
 * @amd: the vendor is AMD or Hygon: what lies above @max_basic reads as zero
 * @maxphyaddr: bits of a physical address
 * @words: feature words as <asm/cpufeatures.h> numbers them, for umbra_cpuid_has()
 * @cr4: bits of CR4 the guest may set
 * @efer: bits of EFER the guest may set
 * @xcr0: bits of XCR0 the guest may set
 * @kvm_features: those with MSRs: bits 0 and 3 the paravirtual clock, the old one and
 *	the new, bit 6 EOI without an exit
 * @entries: sorted by leaf and subleaf
 */
struct umbra_cpuid_state {
	u8 count;
	u8 basic[UMBRA_CPUID_BASIC];
	u8 extended[UMBRA_CPUID_EXTENDED];
	u32 max_basic;
	u32 max_extended;
	bool amd;
	u8 maxphyaddr;
	u32 words[NCAPINTS];
	u64 cr4;
	u64 efer;
	u64 xcr0;
	u32 kvm_features;
	struct umbra_cpuid_entry entries[UMBRA_MAX_CPUID];
};

void umbra_cpuid_init(void);
int umbra_cpuid_create(struct umbra_vcpu *vcpu);
void umbra_cpuid_free(struct umbra_vcpu *vcpu);
unsigned int umbra_cpuid_supported(const struct umbra_cpuid_entry **entries);
int umbra_cpuid_set(struct umbra_vcpu *vcpu, const struct umbra_cpuid_entry *entries,
		    unsigned int count);
unsigned int umbra_cpuid_get(struct umbra_vcpu *vcpu, const struct umbra_cpuid_entry **entries);
void umbra_cpuid(struct umbra_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
void umbra_cpuid_exit(struct umbra_vcpu *vcpu);

/**
 * umbra_cpuid_has() - does the guest's CPU have a feature?
 * @vcpu: the vCPU
 * @feature: X86_FEATURE_*, of a word that is a register of CPUID
 *
 * Return: what CPUID says; bits that follow CR4 (OSXSAVE, OSPKE) are not kept.
 */
static inline bool umbra_cpuid_has(const struct umbra_vcpu *vcpu, unsigned int feature)
{
	return vcpu->arch.cpuid->words[feature / 32] & BIT(feature % 32);
}

/**
 * umbra_guest_maxphyaddr() - width of the guest's physical addresses
 * @vcpu: the vCPU
 *
 * Return: MAXPHYADDR in bits.
 */
static inline unsigned int umbra_guest_maxphyaddr(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.cpuid->maxphyaddr;
}

/**
 * umbra_cpuid_cr4() - bits of CR4 that CPUID lets the guest set
 * @vcpu: the vCPU
 *
 * Return: the bits.
 */
static inline u64 umbra_cpuid_cr4(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.cpuid->cr4;
}

/**
 * umbra_cpuid_efer() - bits of EFER that CPUID lets the guest set
 * @vcpu: the vCPU
 *
 * Return: the bits, without the read-only LMA.
 */
static inline u64 umbra_cpuid_efer(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.cpuid->efer;
}

/**
 * umbra_cpuid_xcr0() - bits of XCR0 that CPUID lets the guest set
 * @vcpu: the vCPU
 *
 * Return: the bits, 0 without XSAVE.
 */
static inline u64 umbra_cpuid_xcr0(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.cpuid->xcr0;
}

/**
 * umbra_is_canonical() - is this a canonical address to the guest's MSRs?
 * @vcpu: the vCPU
 * @address: a linear address
 *
 * What counts is the width the CPU has, not the one CR4.LA57 selects (SDM
 * Vol. 3 4.5.2).
 *
 * Return: true if so.
 */
static inline bool umbra_is_canonical(const struct umbra_vcpu *vcpu, u64 address)
{
	unsigned int shift = umbra_cpuid_has(vcpu, X86_FEATURE_LA57) ? 64 - 57 : 64 - 48;

	return (u64)((s64)(address << shift) >> shift) == address;
}
#endif /* UMBRA_CPUID_H */
