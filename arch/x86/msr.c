// SPDX-License-Identifier: GPL-2.0-only
/*
 * RDMSR and WRMSR (SDM Vol. 4, APM Vol. 2 appendix A).
 *
 * What the guest's CPU does not have gives #GP, as it does on a real one. A few
 * registers that kernels read without asking are there for them to read.
 */
#include <linux/bitops.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include "clock.h"
#include "cpuid.h"
#include "lapic.h"
#include "umbra.h"

#define PAT_RESET		0x0007040600070406ULL

/* Variable ranges, fixed ranges, write-combining. */
#define MTRR_CAP		(UMBRA_NR_VAR_MTRR | BIT(8) | BIT(10))
#define MTRR_DEF_TYPE_BITS	(BIT(11) | BIT(10) | 0xff)
#define MTRR_MASK_VALID		BIT(11)

/* SDM Vol. 3 table 12-9 and 12.11.2.3: bases and masks take turns. */
#define MSR_MTRR_CAP		0xfe
#define MSR_MTRR_VAR		0x200
#define MSR_MTRR_VAR_LAST	(MSR_MTRR_VAR + 2 * UMBRA_NR_VAR_MTRR - 1)
#define MSR_MTRR_64K		0x250
#define MSR_MTRR_16K		0x258	/* and the next */
#define MSR_MTRR_4K		0x268	/* to 0x26f */
#define MSR_MTRR_DEF_TYPE	0x2ff

#define MISC_ENABLE_READ_ONLY	(MSR_IA32_MISC_ENABLE_BTS_UNAVAIL | \
				 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)
#define MISC_ENABLE_WRITABLE	MSR_IA32_MISC_ENABLE_FAST_STRING

/* FFDIS and IGNNE, which old kernels set; McStatusWrEn; TscFreqSel. */
#define HWCR_WRITABLE		(BIT_ULL(6) | BIT_ULL(8) | BIT_ULL(18) | BIT_ULL(24))
#define DE_CFG_LFENCE		MSR_AMD64_DE_CFG_LFENCE_SERIALIZE
#define FEAT_CTL_LOCKED		BIT(0)
#define MCG_STATUS_BITS		7ULL
/* Without LBR and BTF virtualization they are not kept, as on a CPU that has none. */
#define DEBUGCTL_IGNORED	(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF)

/* On whose CPUs there is such an MSR. */
#define AMD	BIT(0)
#define INTEL	BIT(1)

/* Read as a constant; what is written is ignored if it may be. */
static const struct {
	u32 index;
	u32 vendors;
	bool ignore_write;
	u64 value;
} constants[] = {
	{ MSR_IA32_PLATFORM_ID, INTEL },
	{ MSR_IA32_EBL_CR_POWERON, INTEL, true },
	{ MSR_SMI_COUNT, INTEL },
	{ MSR_IA32_FEAT_CTL, INTEL, false, FEAT_CTL_LOCKED },
	{ MSR_PLATFORM_INFO, INTEL },
	{ MSR_MISC_FEATURES_ENABLES, INTEL },
	{ MSR_IA32_LASTBRANCHFROMIP, AMD | INTEL },
	{ MSR_IA32_LASTBRANCHTOIP, AMD | INTEL },
	{ MSR_IA32_LASTINTFROMIP, AMD | INTEL },
	{ MSR_IA32_LASTINTTOIP, AMD | INTEL },
	/* Performance counters, which every AMD CPU has, but here count nothing. */
	{ MSR_K7_EVNTSEL0, AMD, true },
	{ MSR_K7_EVNTSEL0 + 1, AMD, true },
	{ MSR_K7_EVNTSEL0 + 2, AMD, true },
	{ MSR_K7_EVNTSEL0 + 3, AMD, true },
	{ MSR_K7_PERFCTR0, AMD, true },
	{ MSR_K7_PERFCTR0 + 1, AMD, true },
	{ MSR_K7_PERFCTR0 + 2, AMD, true },
	{ MSR_K7_PERFCTR0 + 3, AMD, true },
	/* No fixed-range extensions, no top of memory above 4 GiB. */
	{ MSR_AMD64_SYSCFG, AMD, true },
	{ MSR_K7_CLK_CTL, AMD, true },
	{ MSR_K8_TOP_MEM1, AMD, true },
	{ MSR_K8_TOP_MEM2, AMD, true },
	/* IORRs */
	{ 0xc0010016, AMD, true },
	{ 0xc0010017, AMD, true },
	{ 0xc0010018, AMD, true },
	{ 0xc0010019, AMD, true },
	{ MSR_AMD64_NB_CFG, AMD, true },
	/* No C1E, no memory-mapped configuration space, no SMM. */
	{ MSR_K8_INT_PENDING_MSG, AMD, true },
	{ MSR_FAM10H_MMIO_CONF_BASE, AMD, true },
	{ MSR_K8_TSEG_ADDR, AMD, true },
	{ MSR_K8_TSEG_MASK, AMD, true },
	{ MSR_VM_CR, AMD, true, BIT(4) | BIT(3) },	/* SVMDIS, locked */
	{ MSR_AMD64_LS_CFG, AMD, true },
	{ MSR_F15H_IC_CFG, AMD, true },
	{ MSR_AMD64_DC_CFG, AMD, true },
	{ MSR_AMD64_BU_CFG2, AMD, true },
};

/* What a snapshot saves, in the order in which it is restored. */
static const u32 saved_msrs[] = {
	MSR_IA32_CR_PAT,
	MSR_MTRR_DEF_TYPE,
	MSR_MTRR_64K, MSR_MTRR_16K, MSR_MTRR_16K + 1,
	MSR_MTRR_4K, MSR_MTRR_4K + 1, MSR_MTRR_4K + 2, MSR_MTRR_4K + 3,
	MSR_MTRR_4K + 4, MSR_MTRR_4K + 5, MSR_MTRR_4K + 6, MSR_MTRR_4K + 7,
	MSR_MTRR_VAR, MSR_MTRR_VAR + 1, MSR_MTRR_VAR + 2, MSR_MTRR_VAR + 3,
	MSR_MTRR_VAR + 4, MSR_MTRR_VAR + 5, MSR_MTRR_VAR + 6, MSR_MTRR_VAR + 7,
	MSR_MTRR_VAR + 8, MSR_MTRR_VAR + 9, MSR_MTRR_VAR + 10, MSR_MTRR_VAR + 11,
	MSR_MTRR_VAR + 12, MSR_MTRR_VAR + 13, MSR_MTRR_VAR + 14, MSR_MTRR_VAR + 15,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE,
	MSR_TSC_AUX, MSR_IA32_MISC_ENABLE, MSR_IA32_UCODE_REV, MSR_IA32_MCG_STATUS,
	MSR_K7_HWCR, MSR_AMD64_DE_CFG, MSR_IA32_SPEC_CTRL,
	MSR_IA32_TSC_ADJUST, MSR_IA32_TSC, MSR_IA32_TSC_DEADLINE,
	MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_SYSTEM_TIME_NEW, MSR_KVM_PV_EOI_EN,
};

/**
 * umbra_msr_list() - UMBRA_SUPPORTED_MSRS
 * @list: where to put indices; values are 0
 * @room: entries there are
 *
 * Return: how many were put there: as many as there are, and fit.
 */
unsigned int umbra_msr_list(struct umbra_msr *list, unsigned int room)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(saved_msrs) && i < room; i++)
		list[i] = (struct umbra_msr) { .index = saved_msrs[i] };
	return i;
}

#define EVERY_BYTE(b)		((b) * 0x0101010101010101ULL)

/*
 * Does every byte of @value name a memory type? 2, 3 and what is above 7 are
 * reserved; 7 is UC- and valid in PAT only (SDM Vol. 3 table 12-2).
 */
static bool types_valid(u64 value, bool pat)
{
	u64 bit1 = (value >> 1) & EVERY_BYTE(1), bit2 = (value >> 2) & EVERY_BYTE(1);

	if (value & EVERY_BYTE(0xf8) || bit1 & ~bit2)
		return false;
	return pat || !(value & bit1 & bit2);
}

static u64 *mtrr(struct umbra_msr_state *msr, u32 index)
{
	unsigned int i;

	switch (index) {
	case MSR_MTRR_VAR ... MSR_MTRR_VAR_LAST:
		i = (index - MSR_MTRR_VAR) / 2;
		return index & 1 ? &msr->mtrr_mask[i] : &msr->mtrr_base[i];
	case MSR_MTRR_64K:
		return &msr->mtrr_fixed[0];
	case MSR_MTRR_16K ... MSR_MTRR_16K + 1:
		return &msr->mtrr_fixed[1 + index - MSR_MTRR_16K];
	case MSR_MTRR_4K ... MSR_MTRR_4K + 7:
		return &msr->mtrr_fixed[3 + index - MSR_MTRR_4K];
	default:
		return &msr->mtrr_def_type;
	}
}

/* SDM Vol. 3 12.11.2: reserved bits and types give #GP. */
static bool mtrr_valid(struct umbra_vcpu *vcpu, u32 index, u64 value)
{
	u64 address = (BIT_ULL(umbra_guest_maxphyaddr(vcpu)) - 1) & ~0xfffULL;

	if (index == MSR_MTRR_DEF_TYPE)
		return !(value & ~(u64)MTRR_DEF_TYPE_BITS) &&
		       types_valid(value & 0xff, false);
	if (index >= MSR_MTRR_64K)
		return types_valid(value, false);
	if (index & 1)
		return !(value & ~(address | MTRR_MASK_VALID));
	return !(value & ~(address | 0xff)) && types_valid(value & 0xff, false);
}

static u32 vendor(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.cpuid->amd ? AMD : INTEL;
}

/* Bits of SPEC_CTRL that the guest's CPU has (APM Vol. 2 3.2.9). */
static u64 spec_ctrl_bits(const struct umbra_vcpu *vcpu)
{
	u64 bits = 0;

	if (umbra_cpuid_has(vcpu, X86_FEATURE_AMD_IBRS))
		bits |= SPEC_CTRL_IBRS;
	if (umbra_cpuid_has(vcpu, X86_FEATURE_AMD_STIBP))
		bits |= SPEC_CTRL_STIBP;
	if (umbra_cpuid_has(vcpu, X86_FEATURE_AMD_SSBD))
		bits |= SPEC_CTRL_SSBD;
	return bits;
}

/* Does the guest's CPU have this MSR, of those that depend on CPUID? */
static bool exists(struct umbra_vcpu *vcpu, u32 index)
{
	switch (index) {
	case MSR_IA32_TSC_ADJUST:
		return umbra_cpuid_has(vcpu, X86_FEATURE_TSC_ADJUST);
	case MSR_TSC_AUX:
		return umbra_cpuid_has(vcpu, X86_FEATURE_RDTSCP) ||
		       umbra_cpuid_has(vcpu, X86_FEATURE_RDPID);
	case MSR_MTRR_CAP:
	case MSR_MTRR_VAR ... MSR_MTRR_VAR_LAST:
	case MSR_MTRR_64K:
	case MSR_MTRR_16K ... MSR_MTRR_16K + 1:
	case MSR_MTRR_4K ... MSR_MTRR_4K + 7:
	case MSR_MTRR_DEF_TYPE:
		return umbra_cpuid_has(vcpu, X86_FEATURE_MTRR);
	case MSR_IA32_CR_PAT:
		return umbra_cpuid_has(vcpu, X86_FEATURE_PAT);
	case MSR_IA32_MCG_CAP:
	case MSR_IA32_MCG_STATUS:
		return umbra_cpuid_has(vcpu, X86_FEATURE_MCA);
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return umbra_cpuid_has(vcpu, X86_FEATURE_SEP);
	case MSR_EFER:
		return umbra_cpuid_has(vcpu, X86_FEATURE_LM) ||
		       umbra_cpuid_has(vcpu, X86_FEATURE_NX) ||
		       umbra_cpuid_has(vcpu, X86_FEATURE_SYSCALL);
	case MSR_STAR:
		return umbra_cpuid_has(vcpu, X86_FEATURE_SYSCALL);
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
		return umbra_cpuid_has(vcpu, X86_FEATURE_LM);
	case MSR_IA32_PRED_CMD:
		return umbra_cpuid_has(vcpu, X86_FEATURE_AMD_IBPB);
	case MSR_IA32_SPEC_CTRL:
		return spec_ctrl_bits(vcpu);
	case MSR_IA32_MISC_ENABLE:
	case MSR_IA32_UCODE_WRITE:
		return vendor(vcpu) == INTEL;
	case MSR_K7_HWCR:
	case MSR_AMD64_DE_CFG:
	case MSR_AMD64_PATCH_LOADER:
		return vendor(vcpu) == AMD;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_SYSTEM_TIME:
		return vcpu->arch.cpuid->kvm_features & BIT(KVM_FEATURE_CLOCKSOURCE);
	case MSR_KVM_WALL_CLOCK_NEW:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return vcpu->arch.cpuid->kvm_features & BIT(KVM_FEATURE_CLOCKSOURCE2);
	case MSR_KVM_PV_EOI_EN:
		return vcpu->arch.cpuid->kvm_features & BIT(KVM_FEATURE_PV_EOI);
	default:
		return true;
	}
}

static int get_constant(struct umbra_vcpu *vcpu, u32 index, u64 *value)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(constants); i++) {
		if (constants[i].index == index && constants[i].vendors & vendor(vcpu)) {
			*value = constants[i].value;
			return 0;
		}
	}
	return 1;
}

static int set_constant(struct umbra_vcpu *vcpu, u32 index, bool host)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(constants); i++)
		if (constants[i].index == index && constants[i].vendors & vendor(vcpu))
			return !constants[i].ignore_write && !host;
	return 1;
}

/**
 * umbra_get_msr() - RDMSR
 * @vcpu: the vCPU, loaded; its own thread
 * @index: which
 * @value: where to put it; zero on failure
 * @host: the monitor reads it: what CPUID hides is there, too
 *
 * Return: 0, or 1 if there is no such MSR: #GP(0).
 */
int umbra_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value, bool host)
{
	struct umbra_msr_state *msr = &vcpu->arch.msr;

	*value = 0;
	if (!host && !exists(vcpu, index))
		return 1;

	switch (index) {
	case MSR_IA32_TSC:
		*value = umbra_guest_tsc(vcpu);
		return 0;
	case MSR_IA32_TSC_ADJUST:
		*value = msr->tsc_adjust;
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		if (host) {
			*value = umbra_lapic_timer_get_deadline(vcpu->arch.lapic);
			return 0;
		}
		fallthrough;
	case MSR_IA32_APICBASE:
	case APIC_BASE_MSR ... APIC_BASE_MSR + 0xff:
		return umbra_lapic_get_msr(vcpu, index, value);
	case MSR_EFER:
		*value = vcpu->arch.efer;
		return 0;
	case MSR_IA32_CR_PAT:
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return umbra_backend->get_msr(vcpu, index, value);
	case MSR_TSC_AUX:
		*value = msr->tsc_aux;
		return 0;
	case MSR_MTRR_CAP:
		*value = MTRR_CAP;
		return 0;
	case MSR_MTRR_VAR ... MSR_MTRR_VAR_LAST:
	case MSR_MTRR_64K:
	case MSR_MTRR_16K ... MSR_MTRR_16K + 1:
	case MSR_MTRR_4K ... MSR_MTRR_4K + 7:
	case MSR_MTRR_DEF_TYPE:
		*value = *mtrr(msr, index);
		return 0;
	case MSR_IA32_SPEC_CTRL:
		*value = msr->spec_ctrl;
		return 0;
	case MSR_IA32_MCG_CAP:
		/* No banks: machine checks are the host's to handle. */
		return 0;
	case MSR_IA32_MCG_STATUS:
		*value = msr->mcg_status;
		return 0;
	case MSR_IA32_MISC_ENABLE:
		*value = msr->misc_enable | MISC_ENABLE_READ_ONLY;
		return 0;
	case MSR_IA32_UCODE_REV:	/* also AMD's PATCH_LEVEL */
		*value = msr->microcode;
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		return 0;
	case MSR_K7_HWCR:
		*value = msr->hwcr;
		return 0;
	case MSR_AMD64_DE_CFG:
		*value = msr->de_cfg;
		return 0;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		*value = umbra_clock_get_wall(vcpu->vm);
		return 0;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		*value = vcpu->arch.clock.msr;
		return 0;
	case MSR_KVM_PV_EOI_EN:
		*value = vcpu->arch.lapic->pv_eoi;
		return 0;
	default:
		return get_constant(vcpu, index, value);
	}
}

/* A base address or entry point in an MSR that the CPU itself uses. */
static int set_address(struct umbra_vcpu *vcpu, u32 index, u64 value)
{
	if (!umbra_is_canonical(vcpu, value))
		return 1;
	return umbra_backend->set_msr(vcpu, index, value);
}

/*
 * AMD's CPUs take any value for SYSENTER's addresses (they have no SYSENTER in
 * long mode); Intel's want them canonical.
 */
static int set_sysenter(struct umbra_vcpu *vcpu, u32 index, u64 value, bool host)
{
	if (!umbra_is_canonical(vcpu, value)) {
		if (vendor(vcpu) == INTEL && !host)
			return 1;
		value = (u64)((s64)(value << 16) >> 16);
	}
	return umbra_backend->set_msr(vcpu, index, value);
}

static int set_tsc_aux(struct umbra_vcpu *vcpu, u64 value)
{
	/* Reserved, and #GP on Intel's CPUs; AMD's ignore the upper half. */
	if (value >> 32) {
		if (vendor(vcpu) == INTEL)
			return 1;
		value = (u32)value;
	}
	/* RDTSCP and RDPID read the CPU's own, which is the guest's while the vCPU is loaded. */
	preempt_disable();
	vcpu->arch.msr.tsc_aux = value;
	if (vcpu->loaded && (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID)))
		wrmsrl(MSR_TSC_AUX, value);
	preempt_enable();
	return 0;
}

static int set_misc_enable(struct umbra_vcpu *vcpu, u64 value)
{
	if (value & ~(u64)(MISC_ENABLE_WRITABLE | MISC_ENABLE_READ_ONLY))
		return 1;
	vcpu->arch.msr.misc_enable = value & MISC_ENABLE_WRITABLE;
	return 0;
}

static int set_pred_cmd(u64 value)
{
	if (value & ~(u64)PRED_CMD_IBPB)
		return 1;
	if (value && boot_cpu_has(X86_FEATURE_AMD_IBPB))
		wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

static int set_tsc(struct umbra_vcpu *vcpu, u64 value, bool host)
{
	/* SDM Vol. 3 18.17.3: what a write changes the TSC by is added to TSC_ADJUST. */
	if (!host)
		vcpu->arch.msr.tsc_adjust += value - umbra_guest_tsc(vcpu);
	umbra_clock_set_tsc(vcpu, value, host);
	return 0;
}

static int set_tsc_adjust(struct umbra_vcpu *vcpu, u64 value, bool host)
{
	u64 delta = value - vcpu->arch.msr.tsc_adjust;

	vcpu->arch.msr.tsc_adjust = value;
	/* The monitor restores the TSC itself. */
	if (!host)
		umbra_clock_adjust_tsc(vcpu, delta);
	return 0;
}

/**
 * umbra_set_msr() - WRMSR
 * @vcpu: the vCPU, loaded; its own thread. May sleep
 * @index: which
 * @value: what is written
 * @host: the monitor restores it: what CPUID hides and what guests can only
 *	read is taken, values are checked nevertheless
 *
 * Return: 0, or 1 if there is no such MSR or it does not take the value: #GP(0).
 */
int umbra_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value, bool host)
{
	struct umbra_msr_state *msr = &vcpu->arch.msr;

	if (!host && !exists(vcpu, index))
		return 1;

	switch (index) {
	case MSR_IA32_TSC:
		return set_tsc(vcpu, value, host);
	case MSR_IA32_TSC_ADJUST:
		return set_tsc_adjust(vcpu, value, host);
	case MSR_IA32_APICBASE:
		return umbra_lapic_set_base(vcpu, value, host);
	case MSR_IA32_TSC_DEADLINE:
		if (host) {
			umbra_lapic_timer_set_deadline(vcpu->arch.lapic, value);
			return 0;
		}
		fallthrough;
	case APIC_BASE_MSR ... APIC_BASE_MSR + 0xff:
		return umbra_lapic_set_msr(vcpu, index, value);
	case MSR_EFER:
		return umbra_set_efer(vcpu, value);
	case MSR_IA32_CR_PAT:
		return types_valid(value, true) ?
		       umbra_backend->set_msr(vcpu, index, value) : 1;
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
		return set_address(vcpu, index, value);
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return set_sysenter(vcpu, index, value, host);
	case MSR_SYSCALL_MASK:
	case MSR_IA32_SYSENTER_CS:
		/* The upper half is reserved and ignored. */
		return umbra_backend->set_msr(vcpu, index, (u32)value);
	case MSR_STAR:
		return umbra_backend->set_msr(vcpu, index, value);
	case MSR_TSC_AUX:
		return set_tsc_aux(vcpu, value);
	case MSR_MTRR_VAR ... MSR_MTRR_VAR_LAST:
	case MSR_MTRR_64K:
	case MSR_MTRR_16K ... MSR_MTRR_16K + 1:
	case MSR_MTRR_4K ... MSR_MTRR_4K + 7:
	case MSR_MTRR_DEF_TYPE:
		if (!mtrr_valid(vcpu, index, value))
			return 1;
		/* Kept for the guest to read: its memory is write-back, whatever it asks for. */
		*mtrr(msr, index) = value;
		return 0;
	case MSR_IA32_MCG_STATUS:
		if (value & ~MCG_STATUS_BITS)
			return 1;
		msr->mcg_status = value;
		return 0;
	case MSR_IA32_MISC_ENABLE:
		return set_misc_enable(vcpu, value);
	case MSR_IA32_UCODE_REV:
		if (host)
			msr->microcode = value;
		/* Before it reads the revision, software writes 0 (SDM Vol. 3 10.11.7.1). */
		return 0;
	case MSR_IA32_UCODE_WRITE:
	case MSR_AMD64_PATCH_LOADER:
		/* The host's update is all there is. */
		return 0;
	case MSR_IA32_PRED_CMD:
		return set_pred_cmd(value);
	case MSR_IA32_SPEC_CTRL:
		if (value & ~spec_ctrl_bits(vcpu))
			return 1;
		msr->spec_ctrl = value;
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		return !!(value & ~(u64)DEBUGCTL_IGNORED);
	case MSR_K7_HWCR:
		if (value & ~HWCR_WRITABLE)
			return 1;
		msr->hwcr = value;
		return 0;
	case MSR_AMD64_DE_CFG:
		if (value & ~(u64)DE_CFG_LFENCE)
			return 1;
		/* What the host's CPU does is not changed by it: it can only stay serializing. */
		if (host)
			msr->de_cfg = value;
		return 0;
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		return umbra_clock_set_wall(vcpu, value, host);
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return umbra_clock_set_msr(vcpu, value);
	case MSR_KVM_PV_EOI_EN:
		return umbra_lapic_set_pv_eoi(vcpu, value);
	default:
		return set_constant(vcpu, index, host);
	}
}

/**
 * umbra_msr_quick() - may an MSR be written with interrupts off?
 * @index: which
 *
 * Reading any of them is quick.
 *
 * Return: true if umbra_set_msr() does not sleep for it.
 */
bool umbra_msr_quick(u32 index)
{
	switch (index) {
	case APIC_BASE_MSR ... APIC_BASE_MSR + 0xff:
	case MSR_IA32_TSC_DEADLINE:
	case MSR_IA32_CR_PAT:
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_IA32_PRED_CMD:
		return true;
	default:
		return false;
	}
}

/* Does LFENCE wait for what comes before it on this CPU? */
static u64 host_de_cfg(void)
{
	return boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ? DE_CFG_LFENCE : 0;
}

/**
 * umbra_msr_reset() - MSRs after RESET or INIT
 * @vcpu: the vCPU, loaded
 * @init: INIT, which leaves nearly all MSRs as they are (SDM Vol. 3 table 9-1)
 */
void umbra_msr_reset(struct umbra_vcpu *vcpu, bool init)
{
	struct umbra_msr_state *msr = &vcpu->arch.msr;
	u64 microcode = boot_cpu_data.microcode;

	if (init)
		return;
	memset(msr, 0, sizeof(*msr));
	/* Intel's has the revision in its upper half. */
	msr->microcode = vendor(vcpu) == AMD ? microcode : microcode << 32;
	msr->misc_enable = MSR_IA32_MISC_ENABLE_FAST_STRING;
	msr->de_cfg = host_de_cfg();
	set_tsc_aux(vcpu, 0);
	umbra_backend->set_msr(vcpu, MSR_IA32_CR_PAT, PAT_RESET);
}
