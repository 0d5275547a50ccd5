// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPUID leaves that can be offered to guests on this host: what the CPU
 * has, the host kernel uses and Umbra virtualizes, and what Umbra emulates
 * (SDM Vol. 2 CPUID, APM Vol. 3 appendix E).
 */
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/kvm_para.h>
#include <asm/processor.h>
#include "clock.h"
#include "cpuid.h"
#include "umbra.h"

#define BASIC_MAX		0xdU
#define EXTENDED_MAX		0x80000021U
#define HYPERVISOR_MAX		0x40000010U
#define UMBRA_LEAF		0x40000100U

/* The local APIC's timer counts nanoseconds, see lapic_timer.c. */
#define APIC_BUS_KHZ		1000000U

#define F(name)			BIT(X86_FEATURE_##name & 31)

/* Offered if the CPU has it and the host kernel has not turned it off. */
static const struct {
	u8 word;
	u32 leaf, subleaf;
	u8 reg;			/* 0 to 3: EAX, EBX, ECX, EDX */
	u32 allow;
} words[] = {
	/*
	 * Not offered: DS, ACPI, SS, TM, PBE (power and debug store); HTT is
	 * topology, the monitor's to set.
	 */
	{ CPUID_1_EDX, 1, 0, 3,
	  F(FPU) | F(VME) | F(DE) | F(PSE) | F(TSC) | F(MSR) | F(PAE) | F(MCE) | F(CX8) |
	  F(APIC) | F(SEP) | F(MTRR) | F(PGE) | F(MCA) | F(CMOV) | F(PAT) | F(PSE36) |
	  F(CLFLUSH) | F(MMX) | F(FXSR) | F(XMM) | F(XMM2) },
	/*
	 * Not offered: DTES64, MONITOR, DSCPL, VMX, SMX, EST, TM2, CID, SDBG,
	 * XTPR, PDCM, DCA, because what they describe is not there.
	 */
	{ CPUID_1_ECX, 1, 0, 2,
	  F(XMM3) | F(PCLMULQDQ) | F(SSSE3) | F(FMA) | F(CX16) | F(PCID) | F(XMM4_1) |
	  F(XMM4_2) | F(MOVBE) | F(POPCNT) | F(AES) | F(XSAVE) | F(AVX) | F(F16C) | F(RDRAND) },
	/*
	 * AMD repeats most of leaf 1 here. Not offered: MP (never true of a
	 * CPU with 64 bits).
	 */
	{ CPUID_8000_0001_EDX, 0x80000001, 0, 3,
	  0x0183f3ff | F(SYSCALL) | F(NX) | F(MMXEXT) | F(FXSR_OPT) | F(GBPAGES) | F(RDTSCP) |
	  F(LM) | F(3DNOWEXT) | F(3DNOW) },
	/*
	 * Not offered: CMP_LEGACY and TOPOEXT (topology), SVM, SKINIT, EXTAPIC,
	 * CR8_LEGACY, OSVW, IBS, WDT, LWP, all PERFCTR, BPEXT, PTSC and MWAITX,
	 * whose registers are not there.
	 */
	{ CPUID_8000_0001_ECX, 0x80000001, 0, 2,
	  F(LAHF_LM) | F(ABM) | F(SSE4A) | F(MISALIGNSSE) | F(3DNOWPREFETCH) | F(XOP) |
	  F(FMA4) | F(TBM) },
	/*
	 * FDP_EXCPTN_ONLY and ZERO_FCS_FDS describe the CPU. Not offered: SGX,
	 * HLE and RTM (aborts would show every exit), CQM, RDT, MPX, PT.
	 */
	{ CPUID_7_0_EBX, 7, 0, 1,
	  F(FSGSBASE) | F(BMI1) | F(AVX2) | F(FDP_EXCPTN_ONLY) | F(SMEP) | F(BMI2) | F(ERMS) |
	  F(INVPCID) | F(ZERO_FCS_FDS) | F(AVX512F) | F(AVX512DQ) | F(RDSEED) | F(ADX) |
	  F(SMAP) | F(AVX512IFMA) | F(CLFLUSHOPT) | F(CLWB) | F(AVX512PF) | F(AVX512ER) |
	  F(AVX512CD) | F(SHA_NI) | F(AVX512BW) | F(AVX512VL) },
	/* Not offered: WAITPKG, shadow stacks, TME, bus lock detection, ENQCMD, SGX_LC. */
	{ CPUID_7_ECX, 7, 0, 2,
	  F(AVX512VBMI) | F(UMIP) | F(PKU) | F(AVX512_VBMI2) | F(GFNI) | F(VAES) |
	  F(VPCLMULQDQ) | F(AVX512_VNNI) | F(AVX512_BITALG) | F(AVX512_VPOPCNTDQ) | F(LA57) |
	  F(RDPID) | F(CLDEMOTE) | F(MOVDIRI) | F(MOVDIR64B) },
	/*
	 * Not offered: AMX (its state is big and needs permission), IBT, LBR,
	 * PCONFIG, and Intel's SPEC_CTRL, STIBP, SSBD, FLUSH_L1D and
	 * ARCH_CAPABILITIES, whose MSRs are not virtualized; those of AMD are in
	 * leaf 0x80000008.
	 */
	{ CPUID_7_EDX, 7, 0, 3,
	  F(AVX512_4VNNIW) | F(AVX512_4FMAPS) | F(FSRM) | F(AVX512_VP2INTERSECT) |
	  F(MD_CLEAR) | F(SERIALIZE) | F(AVX512_FP16) },
	/* Instructions only. */
	{ CPUID_7_1_EAX, 7, 1, 0, F(AVX_VNNI) | F(AVX512_BF16) },
	/* Not offered: XSAVES, which needs IA32_XSS, and XFD. */
	{ CPUID_D_1_EAX, 0xd, 1, 0, F(XSAVEOPT) | F(XSAVEC) | F(XGETBV1) },
	/*
	 * Not offered: IRPERF, RDPRU, WBNOINVD, VIRT_SSBD, and the hints on how SPEC_CTRL
	 * is best used.
	 */
	{ CPUID_8000_0008_EBX, 0x80000008, 0, 1,
	  F(CLZERO) | F(XSAVEERPTR) | F(AMD_IBPB) | F(AMD_IBRS) | F(AMD_STIBP) | F(AMD_SSBD) |
	  F(AMD_SSB_NO) | F(BTC_NO) },
};

/* Emulated, so there on every host. */
#define EMULATED_1_ECX		(F(X2APIC) | F(TSC_DEADLINE_TIMER) | F(HYPERVISOR))
#define EMULATED_1_EDX		(F(APIC) | F(MTRR) | F(MCE) | F(MCA) | F(MSR) | F(TSC))
#define EMULATED_7_EBX		F(TSC_ADJUST)

/* Leaf 6: the APIC timer does not stop in deep sleep. */
#define LEAF6_ARAT		BIT(2)
/* Leaf 0xb: kinds of levels. */
#define TOPOLOGY_SMT		1
#define TOPOLOGY_CORE		2
/* Leaf 0x80000007: the TSC has one rate and never stops. */
#define LEAF80000007_INVARIANT	BIT(8)
/*
 * Leaf 0x80000021: data breakpoints do not nest, LFENCE serializes, null
 * selectors clear their bases, there is no SMM_CTL.
 */
#define LEAF80000021_EAX	(BIT(0) | BIT(2) | BIT(6) | BIT(9))

/* State that XSAVE may hold, if the host has it enabled. */
#define XCR0_OFFERED		(XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512 | \
				 XFEATURE_MASK_PKRU)

#define FEATURES_OF_YMM		(F(AVX) | F(FMA) | F(F16C))
#define FEATURES_OF_YMM_AMD	(F(XOP) | F(FMA4))
#define FEATURES_7_EBX_AVX512	(F(AVX512F) | F(AVX512DQ) | F(AVX512IFMA) | F(AVX512PF) |	\
				 F(AVX512ER) | F(AVX512CD) | F(AVX512BW) | F(AVX512VL))
#define FEATURES_7_ECX_AVX512	(F(AVX512VBMI) | F(AVX512_VBMI2) | F(AVX512_VNNI) |		\
				 F(AVX512_BITALG) | F(AVX512_VPOPCNTDQ))
#define FEATURES_7_EDX_AVX512	(F(AVX512_4VNNIW) | F(AVX512_4FMAPS) | F(AVX512_VP2INTERSECT) |	\
				 F(AVX512_FP16))

static struct umbra_cpuid_entry supported[UMBRA_MAX_CPUID];
static unsigned int nr_supported;

static struct umbra_cpuid_entry *add(u32 leaf, u32 subleaf, u32 flags)
{
	struct umbra_cpuid_entry *e = &supported[nr_supported++];

	*e = (struct umbra_cpuid_entry) { .leaf = leaf, .subleaf = subleaf, .flags = flags };
	return e;
}

static u32 *reg_of(struct umbra_cpuid_entry *e, unsigned int reg)
{
	switch (reg) {
	case 0:
		return &e->eax;
	case 1:
		return &e->ebx;
	case 2:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

/* As the CPU says, whatever the host kernel thinks of it. */
static struct umbra_cpuid_entry *add_host(u32 leaf)
{
	struct umbra_cpuid_entry *e = add(leaf, 0, 0);

	cpuid_count(leaf, 0, &e->eax, &e->ebx, &e->ecx, &e->edx);
	return e;
}

static u32 host_word(unsigned int i)
{
	struct umbra_cpuid_entry e = {};
	u32 raw, kernel = boot_cpu_data.x86_capability[words[i].word];

	cpuid_count(words[i].leaf, words[i].subleaf, &e.eax, &e.ebx, &e.ecx, &e.edx);
	raw = *reg_of(&e, words[i].reg);
	/* How many levels the host's own tables have does not matter to a guest's. */
	if (words[i].word == CPUID_7_ECX)
		kernel |= F(LA57);
	/* The kernel has this word from leaf 1 only. */
	if (words[i].word == CPUID_8000_0001_EDX)
		kernel |= boot_cpu_data.x86_capability[CPUID_1_EDX] & 0x0183f3ff;
	return raw & kernel & words[i].allow;
}

/* Fill in what the table says of one leaf. */
static void add_words(struct umbra_cpuid_entry *e)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].leaf == e->leaf && words[i].subleaf == e->subleaf)
			*reg_of(e, words[i].reg) = host_word(i);
}

static u32 host_max(u32 base)
{
	u32 max = cpuid_eax(base);

	return max >= base && max - base < 0x10000 ? max : 0;
}

static void add_xsave(u64 xcr0)
{
	struct umbra_cpuid_entry *e;
	unsigned int i;

	e = add(0xd, 0, UMBRA_CPUID_SUBLEAF);
	e->eax = xcr0;
	e->edx = xcr0 >> 32;
	/* Sizes follow from XCR0: umbra_cpuid_set() fills them in. */
	add_words(add(0xd, 1, UMBRA_CPUID_SUBLEAF));
	for (i = 2; i < 63; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		e = add(0xd, i, UMBRA_CPUID_SUBLEAF);
		cpuid_count(0xd, i, &e->eax, &e->ebx, &e->ecx, &e->edx);
		/* Of the flags only the alignment in compacted areas makes sense here. */
		e->ecx &= BIT(1);
		e->edx = 0;
	}
}

static void add_basic(u64 xcr0)
{
	u32 max = min(host_max(0), BASIC_MAX);
	struct umbra_cpuid_entry *e, *features;
	unsigned int i;

	e = add_host(0);
	e->eax = max;

	e = add_host(1);
	features = e;
	/* Bits of the processor's place in the machine are not the host's: one CPU. */
	e->ebx = (e->ebx & 0xff00) | 1 << 16;
	add_words(e);
	e->ecx |= EMULATED_1_ECX;
	e->edx |= EMULATED_1_EDX;
	if (!(xcr0 & XFEATURE_MASK_YMM))
		e->ecx &= ~FEATURES_OF_YMM;
	if (!xcr0)
		e->ecx &= ~F(XSAVE);

	if (max >= 2 && boot_cpu_data.x86_vendor == X86_VENDOR_INTEL)
		add_host(2);
	if (max >= 4 && boot_cpu_data.x86_vendor == X86_VENDOR_INTEL) {
		for (i = 0; i < 8; i++) {
			e = add(4, i, UMBRA_CPUID_SUBLEAF);
			cpuid_count(4, i, &e->eax, &e->ebx, &e->ecx, &e->edx);
			/* Caches yes, who shares them no. */
			e->eax &= 0x3fff;
			if (!(e->eax & 0x1f))
				break;
		}
	}
	if (max >= 6) {
		e = add(6, 0, 0);
		e->eax = LEAF6_ARAT;
	}
	if (max >= 7) {
		e = add(7, 0, UMBRA_CPUID_SUBLEAF);
		e->eax = min(cpuid_eax(7), 1U);
		add_words(e);
		e->ebx |= EMULATED_7_EBX;
		if (!(xcr0 & XFEATURE_MASK_YMM)) {
			e->ebx &= ~F(AVX2);
			e->ecx &= ~(F(VAES) | F(VPCLMULQDQ));
		}
		if ((xcr0 & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512) {
			e->ebx &= ~FEATURES_7_EBX_AVX512;
			e->ecx &= ~FEATURES_7_ECX_AVX512;
			e->edx &= ~FEATURES_7_EDX_AVX512;
		}
		/* PKRU is only looked after while the host itself has keys. */
		if (!boot_cpu_has(X86_FEATURE_OSPKE))
			e->ecx &= ~F(PKU);
		/* Without PCIDs there is nothing that it could invalidate better. */
		if (!(features->ecx & F(PCID)))
			e->ebx &= ~F(INVPCID);
		if (e->eax) {
			e = add(7, 1, UMBRA_CPUID_SUBLEAF);
			add_words(e);
			if (!(xcr0 & XFEATURE_MASK_YMM))
				e->eax &= ~F(AVX_VNNI);
			if ((xcr0 & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512)
				e->eax &= ~F(AVX512_BF16);
		}
	}
	/* One core of one thread, until the monitor says otherwise. */
	if (max >= 0xb) {
		e = add(0xb, 0, UMBRA_CPUID_SUBLEAF);
		e->ebx = 1;
		e->ecx = TOPOLOGY_SMT << 8;
		e = add(0xb, 1, UMBRA_CPUID_SUBLEAF);
		e->ebx = 1;
		e->ecx = TOPOLOGY_CORE << 8 | 1;
	}
	if (max >= 0xd && xcr0)
		add_xsave(xcr0);
}

static void add_signature(u32 leaf, u32 max, const char name[12])
{
	struct umbra_cpuid_entry *e = add(leaf, 0, 0);

	e->eax = max;
	memcpy(&e->ebx, name, 4);
	memcpy(&e->ecx, name + 4, 4);
	memcpy(&e->edx, name + 8, 4);
}

static void add_hypervisor(void)
{
	/* The name by which Linux finds the clock's MSRs. */
	static const char kvm[12] = KVM_SIGNATURE;
	static const char umbra[12] = "UmbraUmbra";
	struct umbra_cpuid_entry *e;

	add_signature(KVM_CPUID_SIGNATURE, HYPERVISOR_MAX, kvm);

	/*
	 * The clock, EOI without an exit, one exit to interrupt many CPUs; and port 0x80 is no
	 * way to wait: each access exits.
	 */
	e = add(KVM_CPUID_FEATURES, 0, 0);
	e->eax = BIT(KVM_FEATURE_CLOCKSOURCE2) | BIT(KVM_FEATURE_CLOCKSOURCE_STABLE_BIT) |
		 BIT(KVM_FEATURE_PV_EOI) | BIT(KVM_FEATURE_PV_SEND_IPI) |
		 BIT(KVM_FEATURE_NOP_IO_DELAY);

	/* Rates of TSC and APIC timer in kHz, where several hypervisors have them. */
	e = add(HYPERVISOR_MAX, 0, 0);
	e->eax = umbra_host_tsc_khz();
	e->ebx = APIC_BUS_KHZ;

	add_signature(UMBRA_LEAF, UMBRA_LEAF, umbra);
}

static void add_extended(u64 xcr0)
{
	u32 max = min(host_max(0x80000000), EXTENDED_MAX), leaf, bits;
	struct umbra_cpuid_entry *e;

	if (max < 0x80000008)
		return;
	e = add_host(0x80000000);
	e->eax = max;

	e = add_host(0x80000001);
	if (boot_cpu_data.x86_vendor == X86_VENDOR_INTEL) {
		e->eax = 0;
		e->ebx = 0;
	}
	add_words(e);
	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL)
		e->edx |= EMULATED_1_EDX & 0x0183f3ff;
	if (!(xcr0 & XFEATURE_MASK_YMM))
		e->ecx &= ~FEATURES_OF_YMM_AMD;

	/* Name, level 1 and level 2 caches and TLBs: for information. */
	for (leaf = 0x80000002; leaf <= 0x80000006; leaf++)
		add_host(leaf);

	e = add(0x80000007, 0, 0);
	if (boot_cpu_has(X86_FEATURE_CONSTANT_TSC) && boot_cpu_has(X86_FEATURE_NONSTOP_TSC))
		e->edx = LEAF80000007_INVARIANT;

	e = add(0x80000008, 0, 0);
	add_words(e);
	/* Nested tables of four levels translate 48 bits of guest-physical address. */
	bits = min_t(u32, boot_cpu_data.x86_phys_bits, pgtable_l5_enabled() ? 52 : 48);
	e->eax = bits | 48 << 8;

	if (max >= 0x80000019)
		add_host(0x80000019);
	if (max >= 0x8000001a)
		add_host(0x8000001a);
	if (max >= 0x80000021) {
		e = add_host(0x80000021);
		e->eax &= LEAF80000021_EAX;
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
	}
}

/**
 * umbra_cpuid_init() - find out what can be offered on this host
 *
 * Called once when the module is loaded, after umbra_fpu_host_init().
 */
void umbra_cpuid_init(void)
{
	u64 xcr0 = umbra_fpu_host_xcr0() & XCR0_OFFERED;

	if ((xcr0 & XFEATURE_MASK_AVX512) != XFEATURE_MASK_AVX512)
		xcr0 &= ~(u64)XFEATURE_MASK_AVX512;
	if (!boot_cpu_has(X86_FEATURE_OSPKE))
		xcr0 &= ~(u64)XFEATURE_MASK_PKRU;

	nr_supported = 0;
	add_basic(xcr0);
	add_hypervisor();
	add_extended(xcr0);
}

/**
 * umbra_cpuid_supported() - what can be offered on this host
 * @entries: where to put a pointer to them; sorted by leaf and subleaf
 *
 * Return: how many there are.
 */
unsigned int umbra_cpuid_supported(const struct umbra_cpuid_entry **entries)
{
	*entries = supported;
	return nr_supported;
}
