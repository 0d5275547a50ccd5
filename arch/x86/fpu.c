// SPDX-License-Identifier: GPL-2.0-only
/* The guest's FPU, SSE and AVX registers, XCR0, PKRU and IA32_XSS. */
#include <linux/slab.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>
#include <asm/special_insns.h>
#include "fpu.h"
#include "umbra.h"

/**
 * umbra_fpu_create() - give a vCPU its registers
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_fpu_create(struct umbra_vcpu *vcpu)
{
	return fpu_alloc_guest_fpstate(&vcpu->arch.fpu) ? 0 : -ENOMEM;
}

/**
 * umbra_fpu_free() - undo umbra_fpu_create()
 * @vcpu: the vCPU
 */
void umbra_fpu_free(struct umbra_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->arch.fpu);
}

/*
 * SDM Vol. 3 table 9-1: INIT leaves the FPU and SSE registers as they are, but
 * clears the bound and PKRU state; RESET initializes everything.
 */
static void init_area(u8 *area)
{
	static const u16 fcw = 0x0040;	/* after RESET, not after FNINIT */
	static const u32 mxcsr = 0x1f80;

	memcpy(area + 0, &fcw, sizeof(fcw));
	memcpy(area + 24, &mxcsr, sizeof(mxcsr));
}

/**
 * umbra_fpu_reset() - registers after RESET
 * @vcpu: the vCPU; its FPU is not loaded
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_fpu_reset(struct umbra_vcpu *vcpu)
{
	unsigned int size = vcpu->arch.fpu.uabi_size;
	u64 xstate_bv = XFEATURE_MASK_FPSSE;
	u32 pkru = 0;
	u8 *area;
	int ret;

	area = kvzalloc(size, GFP_KERNEL);
	if (!area)
		return -ENOMEM;
	init_area(area);
	if (size >= 576)
		memcpy(area + 512, &xstate_bv, sizeof(xstate_bv));
	ret = fpu_copy_uabi_to_guest_fpstate(&vcpu->arch.fpu, area, XFEATURE_MASK_FPSSE, &pkru);
	kvfree(area);
	vcpu->arch.pkru = 0;
	return ret;
}

/* The host's own, the same on every CPU. */
static u64 host_xcr0;
u64 umbra_host_xss;
/* Where the standard format has PKRU; 0: the host does not use it. */
static u32 pkru_offset;

#define XSTATE_BV	512	/* offset of the header's first word (SDM Vol. 1 13.4.2) */

/* Components that the guest's CPU has. */
static u64 guest_xfeatures(struct umbra_vcpu *vcpu)
{
	return umbra_xcr0_allowed(vcpu) | XFEATURE_MASK_FPSSE;
}

/*
 * The guest's PKRU is not where the CPU saves it: while the guest is out, that is
 * the host's. Nor does the header say whether the guest's is in its initial state.
 */
static void put_pkru(struct umbra_vcpu *vcpu, u8 *area)
{
	u64 xstate_bv;

	if (!pkru_offset || !(guest_xfeatures(vcpu) & XFEATURE_MASK_PKRU))
		return;
	memcpy(area + pkru_offset, &vcpu->arch.pkru, sizeof(vcpu->arch.pkru));
	memcpy(&xstate_bv, area + XSTATE_BV, sizeof(xstate_bv));
	xstate_bv |= XFEATURE_MASK_PKRU;
	memcpy(area + XSTATE_BV, &xstate_bv, sizeof(xstate_bv));
}

/**
 * umbra_fpu_get() - UMBRA_GET_XSAVE
 * @vcpu: the vCPU; vcpu->mutex is held, its FPU is not loaded
 * @arg: where the monitor wants it
 *
 * Return: 0, -EINVAL (flags, or the area is too small), -EFAULT or -ENOMEM.
 */
int umbra_fpu_get(struct umbra_vcpu *vcpu, const struct umbra_xsave *arg)
{
	unsigned int size = vcpu->arch.fpu.uabi_size;
	void *area;
	int ret = 0;

	if (arg->flags || arg->size < size)
		return -EINVAL;
	area = kvzalloc(size, GFP_KERNEL);
	if (!area)
		return -ENOMEM;
	fpu_copy_guest_fpstate_to_uabi(&vcpu->arch.fpu, area, size, guest_xfeatures(vcpu),
				       vcpu->arch.pkru);
	put_pkru(vcpu, area);
	if (copy_to_user(u64_to_user_ptr(arg->area), area, size))
		ret = -EFAULT;
	kvfree(area);
	return ret;
}

/**
 * umbra_fpu_set() - UMBRA_SET_XSAVE
 * @vcpu: the vCPU; vcpu->mutex is held, its FPU is not loaded
 * @arg: where the monitor has it
 *
 * Return: 0, -EINVAL (flags, size, or a header or MXCSR the CPU would refuse),
 * -EFAULT or -ENOMEM.
 */
int umbra_fpu_set(struct umbra_vcpu *vcpu, const struct umbra_xsave *arg)
{
	unsigned int size = vcpu->arch.fpu.uabi_size;
	u32 pkru = 0;	/* as a component that is not in the header */
	void *area;
	int ret;

	if (arg->flags || arg->size < size)
		return -EINVAL;
	area = kvmalloc(size, GFP_KERNEL);
	if (!area)
		return -ENOMEM;
	ret = -EFAULT;
	if (copy_from_user(area, u64_to_user_ptr(arg->area), size))
		goto out;
	ret = fpu_copy_uabi_to_guest_fpstate(&vcpu->arch.fpu, area, guest_xfeatures(vcpu), &pkru);
	if (!ret)
		vcpu->arch.pkru = pkru;
out:
	kvfree(area);
	return ret;
}

/* SDM Vol. 1 13.2: the offset of a component in the standard format. */
static u32 component_offset(unsigned int component)
{
	u32 eax, ebx, ecx, edx;

	cpuid_count(XSTATE_CPUID, component, &eax, &ebx, &ecx, &edx);
	return ebx;
}

/**
 * umbra_fpu_host_init() - learn what the host uses
 */
void umbra_fpu_host_init(void)
{
	if (boot_cpu_has(X86_FEATURE_OSXSAVE) || boot_cpu_has(X86_FEATURE_XSAVE))
		host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl_safe(MSR_IA32_XSS, &umbra_host_xss);
	if (host_xcr0 & XFEATURE_MASK_PKRU)
		pkru_offset = component_offset(XFEATURE_PKRU);
}

/**
 * umbra_fpu_host_xcr0() - features the host has enabled in XCR0
 *
 * Return: XCR0 of the host, 0 without XSAVE.
 */
u64 umbra_fpu_host_xcr0(void)
{
	return host_xcr0;
}

/**
 * umbra_fpu_load_extra() - load what XSAVE does not cover, just before an entry
 * @vcpu: the vCPU; interrupts off
 *
 * Without CR4.OSXSAVE the guest cannot look at XCR0, which stays the host's.
 * IA32_XSS is zero in guests, which are not offered XSAVES.
 */
void umbra_fpu_load_extra(struct umbra_vcpu *vcpu)
{
	if (vcpu->arch.cr4 & X86_CR4_OSXSAVE && vcpu->arch.xcr0 != host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->arch.xcr0);
	if (umbra_host_xss)
		wrmsrl(MSR_IA32_XSS, 0);
	if (cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		vcpu->arch.host_pkru = rdpkru();
		if (vcpu->arch.pkru != vcpu->arch.host_pkru)
			wrpkru(vcpu->arch.pkru);
	}
}

/**
 * umbra_fpu_put_extra() - undo umbra_fpu_load_extra() after an exit
 * @vcpu: the vCPU; interrupts off
 *
 * Reads XCR0 back, since a CPU that cannot intercept XSETBV lets guests change it.
 */
void umbra_fpu_put_extra(struct umbra_vcpu *vcpu)
{
	if (cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		vcpu->arch.pkru = rdpkru();
		if (vcpu->arch.pkru != vcpu->arch.host_pkru)
			wrpkru(vcpu->arch.host_pkru);
	}
	if (vcpu->arch.cr4 & X86_CR4_OSXSAVE) {
		vcpu->arch.xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
		if (vcpu->arch.xcr0 != host_xcr0)
			xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
	}
	if (umbra_host_xss)
		wrmsrl(MSR_IA32_XSS, umbra_host_xss);
}

#define FSW_ES	BIT(7)	/* an unmasked exception waits */

/* vec.S: vector registers are in the CPU, not in the fpstate, while the FPU is loaded. */
asmlinkage void umbra_store_mmx(unsigned int reg, void *data);
asmlinkage void umbra_load_mmx(unsigned int reg, const void *data);
asmlinkage void umbra_store_xmm(unsigned int reg, void *data);
asmlinkage void umbra_store_ymm(unsigned int reg, void *data);
asmlinkage void umbra_load_xmm(unsigned int reg, const void *data);
asmlinkage void umbra_load_xmm_zero(unsigned int reg, const void *data);
asmlinkage void umbra_load_ymm(unsigned int reg, const void *data);

/* Registers of the guest are in the CPU from here on. */
static void vec_begin(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

/**
 * umbra_fpu_get_vec() - read a vector register of the guest
 * @vcpu: the vCPU; its FPU is loaded
 * @reg: 0 to 15
 * @data: where to put it
 * @len: 16 or 32 bytes
 *
 * Return: false when the CPU has no such register.
 */
bool umbra_fpu_get_vec(struct umbra_vcpu *vcpu, unsigned int reg, void *data, unsigned int len)
{
	if (len == 32 && !(host_xcr0 & XFEATURE_MASK_YMM))
		return false;
	vec_begin();
	if (len == 32)
		umbra_store_ymm(reg, data);
	else
		umbra_store_xmm(reg, data);
	fpregs_unlock();
	return reg < 16;
}

/**
 * umbra_fpu_set_vec() - write a vector register of the guest
 * @vcpu: the vCPU; its FPU is loaded
 * @reg: 0 to 15
 * @data: the value
 * @len: 16 or 32 bytes
 * @zero_upper: clear the register above @len
 *
 * Return: false when the CPU has no such register.
 */
bool umbra_fpu_set_vec(struct umbra_vcpu *vcpu, unsigned int reg, const void *data,
		       unsigned int len, bool zero_upper)
{
	if ((len == 32 || zero_upper) && !(host_xcr0 & XFEATURE_MASK_YMM))
		return false;
	vec_begin();
	if (len == 32)
		umbra_load_ymm(reg, data);
	else if (zero_upper)
		umbra_load_xmm_zero(reg, data);
	else
		umbra_load_xmm(reg, data);
	fpregs_unlock();
	return reg < 16;
}

/**
 * umbra_fpu_pending() - would the guest's next x87 or MMX instruction raise #MF?
 * @vcpu: the vCPU; its FPU is loaded
 *
 * Return: true if so.
 */
bool umbra_fpu_pending(struct umbra_vcpu *vcpu)
{
	u16 status;

	vec_begin();
	asm volatile("fnstsw %0" : "=am" (status));
	fpregs_unlock();
	return status & FSW_ES;
}

/**
 * umbra_fpu_get_mmx() - read an MMX register of the guest, by an MMX instruction
 * @vcpu: the vCPU; its FPU is loaded, and not umbra_fpu_pending()
 * @reg: 0 to 7
 *
 * Return: its value.
 */
u64 umbra_fpu_get_mmx(struct umbra_vcpu *vcpu, unsigned int reg)
{
	u64 value = 0;

	vec_begin();
	umbra_store_mmx(reg, &value);
	fpregs_unlock();
	return value;
}

/**
 * umbra_fpu_set_mmx() - write an MMX register of the guest, by an MMX instruction
 * @vcpu: the vCPU; its FPU is loaded, and not umbra_fpu_pending()
 * @reg: 0 to 7
 * @value: what to write
 */
void umbra_fpu_set_mmx(struct umbra_vcpu *vcpu, unsigned int reg, u64 value)
{
	vec_begin();
	umbra_load_mmx(reg, &value);
	fpregs_unlock();
}
