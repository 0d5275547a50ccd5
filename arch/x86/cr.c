// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control registers, EFER, XCR0 and debug registers: what a write of the guest
 * means, by SDM Vol. 3 2.5, 4.1 and 17.2, APM Vol. 2 3.1 and 5.
 *
 * Setters return 0, or 1 when the guest gets #GP(0).
 */
#include <linux/percpu.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/fpu/types.h>
#include <asm/processor-flags.h>
#include "cpuid.h"
#include "umbra.h"

#define CR0_DEFINED	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET |	\
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD |	\
			 X86_CR0_PG)

/* Bits that decide how a linear address is translated. */
#define CR0_MMU		(X86_CR0_PG | X86_CR0_WP)
#define CR4_MMU		(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 |		\
			 X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_PCIDE)
/* A change of these also reloads the PDPTEs (SDM Vol. 3 4.4.1). */
#define CR4_PDPTE	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP)

static bool is_pae_paging(struct umbra_vcpu *vcpu, u64 cr0, u64 cr4)
{
	return cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE && !(vcpu->arch.efer & EFER_LMA);
}

static bool cs_is_long(struct umbra_vcpu *vcpu)
{
	struct umbra_segment cs;

	umbra_backend->get_segment(vcpu, UMBRA_CS, &cs);
	return cs.attr & UMBRA_SEG_L;
}

/* EFER.LMA follows CR0.PG while EFER.LME is set (SDM Vol. 3 9.8.5). */
static int switch_long_mode(struct umbra_vcpu *vcpu, u64 cr0)
{
	u64 efer = vcpu->arch.efer;

	if (!(efer & EFER_LME))
		return 0;
	if (cr0 & X86_CR0_PG) {
		if (!(vcpu->arch.cr4 & X86_CR4_PAE) || cs_is_long(vcpu))
			return 1;
		vcpu->arch.efer = efer | EFER_LMA;
	} else {
		/* From 64-bit code paging cannot be turned off, nor with PCIDs on. */
		if (cs_is_long(vcpu))
			return 1;
		vcpu->arch.efer = efer & ~EFER_LMA;
	}
	return 0;
}

/**
 * umbra_set_cr0() - MOV to CR0, LMSW, CLTS
 * @vcpu: the vCPU, loaded
 * @value: what the guest writes
 *
 * Return: 0, or 1 for #GP(0).
 */
int umbra_set_cr0(struct umbra_vcpu *vcpu, u64 value)
{
	u64 old = vcpu->arch.cr0, changed;

	if (value >> 32)
		return 1;
	/* Undefined bits are ignored, ET is always one. */
	value = (value & CR0_DEFINED) | X86_CR0_ET;
	if ((value & X86_CR0_NW && !(value & X86_CR0_CD)) ||
	    (value & X86_CR0_PG && !(value & X86_CR0_PE)))
		return 1;
	if (!(value & X86_CR0_PG) && vcpu->arch.cr4 & X86_CR4_PCIDE)
		return 1;

	changed = value ^ old;
	if (changed & X86_CR0_PG && switch_long_mode(vcpu, value))
		return 1;
	if (is_pae_paging(vcpu, value, vcpu->arch.cr4) &&
	    changed & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW) &&
	    umbra_mmu_load_pdptes(vcpu, vcpu->arch.cr3)) {
		if (changed & X86_CR0_PG && value & X86_CR0_PG)
			vcpu->arch.efer &= ~EFER_LMA;
		return 1;
	}

	vcpu->arch.cr0 = value;
	umbra_backend->update_crs(vcpu);
	if (changed & CR0_MMU)
		umbra_mmu_reset_context(vcpu);
	return 0;
}

/**
 * umbra_set_cr3() - MOV to CR3
 * @vcpu: the vCPU, loaded
 * @value: what the guest writes
 *
 * Return: 0, or 1 for #GP(0).
 */
int umbra_set_cr3(struct umbra_vcpu *vcpu, u64 value)
{
	if (vcpu->arch.efer & EFER_LMA) {
		if (vcpu->arch.cr4 & X86_CR4_PCIDE)
			value &= ~BIT_ULL(63);	/* keep what PCID has cached; never needed */
		if (value >> umbra_guest_maxphyaddr(vcpu))
			return 1;
	} else {
		value = (u32)value;
		if (is_pae_paging(vcpu, vcpu->arch.cr0, vcpu->arch.cr4) &&
		    umbra_mmu_load_pdptes(vcpu, value))
			return 1;
	}
	vcpu->arch.cr3 = value;
	umbra_mmu_new_cr3(vcpu);
	return 0;
}

/**
 * umbra_fast_set_cr3() - MOV to CR3, with interrupts off after an exit
 * @vcpu: the vCPU, loaded, just out of the guest; shadow paging
 * @value: what the guest writes
 *
 * Return: false if it is left to umbra_set_cr3().
 */
bool umbra_fast_set_cr3(struct umbra_vcpu *vcpu, u64 value)
{
	if (!(vcpu->arch.efer & EFER_LMA))
		return false;
	if (vcpu->arch.cr4 & X86_CR4_PCIDE)
		value &= ~BIT_ULL(63);
	return !(value >> umbra_guest_maxphyaddr(vcpu)) && umbra_mmu_fast_cr3(vcpu, value);
}

/**
 * umbra_cr4_allowed() - bits of CR4 that this guest may set
 * @vcpu: the vCPU
 *
 * Return: the bits, by the guest's CPUID.
 */
u64 umbra_cr4_allowed(struct umbra_vcpu *vcpu)
{
	return umbra_cpuid_cr4(vcpu);
}

/**
 * umbra_set_cr4() - MOV to CR4
 * @vcpu: the vCPU, loaded
 * @value: what the guest writes
 *
 * Return: 0, or 1 for #GP(0).
 */
int umbra_set_cr4(struct umbra_vcpu *vcpu, u64 value)
{
	u64 old = vcpu->arch.cr4, changed = value ^ old;

	if (value & ~umbra_cr4_allowed(vcpu))
		return 1;
	if (vcpu->arch.efer & EFER_LMA) {
		if (!(value & X86_CR4_PAE) || changed & X86_CR4_LA57)
			return 1;
	} else if (changed & value & X86_CR4_PCIDE) {
		return 1;
	}
	/* PCIDs can only be switched on while the current one is 0. */
	if (changed & value & X86_CR4_PCIDE && vcpu->arch.cr3 & 0xfff)
		return 1;
	if (is_pae_paging(vcpu, vcpu->arch.cr0, value) && changed & CR4_PDPTE &&
	    umbra_mmu_load_pdptes(vcpu, vcpu->arch.cr3))
		return 1;

	vcpu->arch.cr4 = value;
	umbra_backend->update_crs(vcpu);
	if (changed & CR4_MMU)
		umbra_mmu_reset_context(vcpu);
	/* SDM Vol. 3 4.10.4.1: these invalidate what the TLB holds, global pages included. */
	if (changed & (X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE) ||
	    (changed & X86_CR4_SMEP && value & X86_CR4_SMEP) ||
	    (changed & X86_CR4_PCIDE && !(value & X86_CR4_PCIDE)))
		umbra_mmu_flush_guest(vcpu);
	return 0;
}

/**
 * umbra_efer_allowed() - bits of EFER that this guest may set
 * @vcpu: the vCPU
 *
 * Return: the bits, by the guest's CPUID.
 */
u64 umbra_efer_allowed(struct umbra_vcpu *vcpu)
{
	return umbra_cpuid_efer(vcpu);
}

/**
 * umbra_set_efer() - WRMSR to EFER
 * @vcpu: the vCPU, loaded
 * @value: what the guest writes
 *
 * LMA is read-only; what is written to it is ignored (APM Vol. 2 3.1.7).
 *
 * Return: 0, or 1 for #GP(0).
 */
int umbra_set_efer(struct umbra_vcpu *vcpu, u64 value)
{
	u64 old = vcpu->arch.efer, changed;

	value = (value & ~EFER_LMA) | (old & EFER_LMA);
	changed = value ^ old;
	if (value & ~(umbra_efer_allowed(vcpu) | EFER_LMA))
		return 1;
	if (changed & EFER_LME && vcpu->arch.cr0 & X86_CR0_PG)
		return 1;
	vcpu->arch.efer = value;
	umbra_backend->update_crs(vcpu);
	if (changed & (EFER_NX | EFER_LME))
		umbra_mmu_reset_context(vcpu);
	return 0;
}

/**
 * umbra_xcr0_allowed() - bits of XCR0 that this guest may set
 * @vcpu: the vCPU
 *
 * Return: the bits, by the guest's CPUID and what the host has enabled.
 */
u64 umbra_xcr0_allowed(struct umbra_vcpu *vcpu)
{
	return umbra_cpuid_xcr0(vcpu) & umbra_fpu_host_xcr0();
}

/**
 * umbra_xcr0_valid() - would XSETBV take this value?
 * @vcpu: the vCPU
 * @value: for XCR0
 *
 * Return: false if it would give #GP(0), by SDM Vol. 1 13.3.
 */
bool umbra_xcr0_valid(struct umbra_vcpu *vcpu, u64 value)
{
	if (!(value & XFEATURE_MASK_FP) ||
	    value & ~(umbra_xcr0_allowed(vcpu) | XFEATURE_MASK_FP))
		return false;
	if (value & XFEATURE_MASK_YMM && !(value & XFEATURE_MASK_SSE))
		return false;
	if (!!(value & XFEATURE_MASK_BNDREGS) != !!(value & XFEATURE_MASK_BNDCSR))
		return false;
	return !(value & XFEATURE_MASK_AVX512) ||
	       (value & (XFEATURE_MASK_AVX512 | XFEATURE_MASK_YMM)) ==
	       (XFEATURE_MASK_AVX512 | XFEATURE_MASK_YMM);
}

/**
 * umbra_set_xcr0() - XSETBV to XCR0
 * @vcpu: the vCPU, loaded
 * @value: what the guest writes
 *
 * Return: 0, or 1 for #GP(0).
 */
int umbra_set_xcr0(struct umbra_vcpu *vcpu, u64 value)
{
	if (!umbra_xcr0_valid(vcpu, value))
		return 1;
	vcpu->arch.xcr0 = value;
	return 0;
}

/* Four bits for each breakpoint: what is watched, and how many bytes. */
#define DR7_CONTROL_SHIFT	16
#define DR7_RW_IO		2

#define DR7_RESERVED_ONE	0x400ULL
#define DR6_RESERVED_ONE	0xffff0ff0ULL
#define DR6_WRITABLE		0xe00fULL
#define DR7_WRITABLE		0xffff23ffULL	/* GD included */

/* Registers 4 and 5 mean 6 and 7 unless CR4.DE is set: 0, or 1 for #UD. */
static int canonical_dr(struct umbra_vcpu *vcpu, int *dr)
{
	if (*dr == 4 || *dr == 5) {
		if (vcpu->arch.cr4 & X86_CR4_DE)
			return 1;
		*dr += 2;
	}
	return *dr > 7;
}

/**
 * umbra_check_io_breakpoints() - a port has been accessed in software
 * @vcpu: the vCPU, loaded
 * @port: first port
 * @size: 1, 2 or 4 bytes
 *
 * Raises #DB, a trap, if an I/O breakpoint matches (SDM Vol. 3 17.2.5). The CPU
 * does not do so when the access exits instead.
 */
void umbra_check_io_breakpoints(struct umbra_vcpu *vcpu, u16 port, unsigned int size)
{
	u64 dr7 = vcpu->arch.dr7, hit = 0;
	int i;

	if (likely(!(dr7 & DR7_ENABLED)) || !(vcpu->arch.cr4 & X86_CR4_DE))
		return;
	for (i = 0; i < 4; i++) {
		u64 control = dr7 >> (DR7_CONTROL_SHIFT + 4 * i);
		u64 len = (control >> 2 & 3) + 1;
		u64 start = vcpu->arch.dr[i] & ~(len - 1);

		if (dr7 >> 2 * i & 3 && (control & 3) == DR7_RW_IO &&
		    start < port + size && port < start + len)
			hit |= BIT(i);
	}
	if (hit)
		umbra_queue_debug(vcpu, hit);
}

/**
 * umbra_get_dr() - MOV from a debug register, privilege checked
 * @vcpu: the vCPU, loaded
 * @dr: 0 to 7
 * @value: where to put it
 *
 * Return: 0, or 1 when an exception has been raised.
 */
int umbra_get_dr(struct umbra_vcpu *vcpu, int dr, u64 *value)
{
	if (canonical_dr(vcpu, &dr)) {
		umbra_queue_exception(vcpu, X86_TRAP_UD);
		return 1;
	}
	if (vcpu->arch.dr7 & DR7_GD) {
		umbra_queue_debug(vcpu, DR6_BD);
		return 1;
	}
	if (dr < 4)
		*value = vcpu->arch.dr[dr];
	else
		*value = dr == 6 ? vcpu->arch.dr6 : vcpu->arch.dr7;
	return 0;
}

/**
 * umbra_set_dr() - MOV to a debug register, privilege checked
 * @vcpu: the vCPU, loaded
 * @dr: 0 to 7
 * @value: what the guest writes
 *
 * Return: 0, or 1 when an exception has been raised.
 */
int umbra_set_dr(struct umbra_vcpu *vcpu, int dr, u64 value)
{
	if (canonical_dr(vcpu, &dr)) {
		umbra_queue_exception(vcpu, X86_TRAP_UD);
		return 1;
	}
	if (vcpu->arch.dr7 & DR7_GD) {
		umbra_queue_debug(vcpu, DR6_BD);
		return 1;
	}
	if (dr >= 6 && value >> 32) {
		umbra_queue_exception_error(vcpu, X86_TRAP_GP, 0);
		return 1;
	}
	if (dr < 4)
		vcpu->arch.dr[dr] = value;
	else if (dr == 6)
		vcpu->arch.dr6 = (value & DR6_WRITABLE) | DR6_RESERVED_ONE;
	else
		vcpu->arch.dr7 = (value & DR7_WRITABLE) | DR7_RESERVED_ONE;
	umbra_backend->update_debug(vcpu);
	return 0;
}
