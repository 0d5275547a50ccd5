// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's CPUID: the table the monitor sets, and how the guest reads it. */
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>
#include <asm/fpu/types.h>
#include <asm/kvm_para.h>
#include <asm/processor-flags.h>
#include "cpuid.h"
#include "lapic.h"
#include "umbra.h"

/* What every CPU with 64 bits has that says nothing else. */
#define DEFAULT_PHYS_BITS	36

/* The legacy area and the header of an XSAVE area (SDM Vol. 1 13.4). */
#define XSAVE_HEADER_END	576U

/* Linux feature words that are a register of CPUID. */
static const struct {
	u8 word;
	u32 leaf, subleaf;
	u8 offset;
} words[] = {
#define WORD(w, l, s, reg)	{ w, l, s, offsetof(struct umbra_cpuid_entry, reg) }
	WORD(CPUID_1_EDX, 1, 0, edx),
	WORD(CPUID_1_ECX, 1, 0, ecx),
	WORD(CPUID_8000_0001_EDX, 0x80000001, 0, edx),
	WORD(CPUID_8000_0001_ECX, 0x80000001, 0, ecx),
	WORD(CPUID_7_0_EBX, 7, 0, ebx),
	WORD(CPUID_7_ECX, 7, 0, ecx),
	WORD(CPUID_7_EDX, 7, 0, edx),
	WORD(CPUID_7_1_EAX, 7, 1, eax),
	WORD(CPUID_D_1_EAX, 0xd, 1, eax),
	WORD(CPUID_8000_0008_EBX, 0x80000008, 0, ebx),
#undef WORD
};

/*
 * What the monitor may set to anything: family and name, topology, caches,
 * rates, and where each range of leaves ends. Of all else it may only set bits
 * that are supported.
 */
static const struct {
	u32 leaf;
	u32 eax, ebx, ecx, edx;
} free_bits[] = {
	{ 0x00, 0x1f, ~0U, ~0U, ~0U },
	{ 0x01, ~0U, ~0U, 0, BIT(X86_FEATURE_HT & 31) },
	{ 0x02, ~0U, ~0U, ~0U, ~0U },
	{ 0x03, ~0U, ~0U, ~0U, ~0U },
	{ 0x04, ~0U, ~0U, ~0U, ~0U },
	{ 0x0b, ~0U, ~0U, ~0U, ~0U },
	{ 0x15, ~0U, ~0U, ~0U, 0 },
	{ 0x16, ~0U, ~0U, ~0U, 0 },
	{ 0x1f, ~0U, ~0U, ~0U, ~0U },
	{ 0x80000000, 0x8000003f, ~0U, ~0U, ~0U },
	{ 0x80000001, ~0U, ~0U, BIT(X86_FEATURE_CMP_LEGACY & 31) | BIT(X86_FEATURE_TOPOEXT & 31),
	  0 },
	{ 0x80000002, ~0U, ~0U, ~0U, ~0U },
	{ 0x80000003, ~0U, ~0U, ~0U, ~0U },
	{ 0x80000004, ~0U, ~0U, ~0U, ~0U },
	{ 0x80000005, ~0U, ~0U, ~0U, ~0U },
	{ 0x80000006, ~0U, ~0U, ~0U, ~0U },
	{ 0x80000008, 0xffffff, 0, 0xf0ff, 0 },
	{ 0x80000019, ~0U, ~0U, ~0U, ~0U },
	{ 0x8000001a, ~0U, 0, 0, 0 },
	{ 0x8000001d, ~0U, ~0U, ~0U, ~0U },
	{ 0x8000001e, ~0U, ~0U, ~0U, ~0U },
	{ 0x80000026, ~0U, ~0U, ~0U, ~0U },
};

/* The kernel's hypervisor leaves are ours to define but for the clock's features. */
static bool is_hypervisor_leaf(u32 leaf)
{
	return leaf >= KVM_CPUID_SIGNATURE && leaf <= KVM_CPUID_SIGNATURE + 0xffff;
}

static int compare(const void *a, const void *b)
{
	const struct umbra_cpuid_entry *x = a, *y = b;

	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	if (x->subleaf != y->subleaf)
		return x->subleaf < y->subleaf ? -1 : 1;
	return 0;
}

static struct umbra_cpuid_entry *first_of(struct umbra_cpuid_state *c, u32 leaf)
{
	unsigned int i;

	if (leaf < UMBRA_CPUID_BASIC) {
		i = c->basic[leaf];
		return i ? &c->entries[i - 1] : NULL;
	}
	if (leaf - 0x80000000 < UMBRA_CPUID_EXTENDED) {
		i = c->extended[leaf - 0x80000000];
		return i ? &c->entries[i - 1] : NULL;
	}
	for (i = 0; i < c->count; i++)
		if (c->entries[i].leaf == leaf)
			return &c->entries[i];
	return NULL;
}

static struct umbra_cpuid_entry *find(struct umbra_cpuid_state *c, u32 leaf, u32 subleaf)
{
	struct umbra_cpuid_entry *e = first_of(c, leaf), *end = &c->entries[c->count];

	if (!e || !(e->flags & UMBRA_CPUID_SUBLEAF))
		return e;
	for (; e < end && e->leaf == leaf; e++)
		if (e->subleaf == subleaf)
			return e;
	return NULL;
}

static const struct umbra_cpuid_entry *find_supported(u32 leaf, u32 subleaf)
{
	const struct umbra_cpuid_entry *e;
	unsigned int n = umbra_cpuid_supported(&e);

	for (; n; n--, e++)
		if (e->leaf == leaf &&
		    (!(e->flags & UMBRA_CPUID_SUBLEAF) || e->subleaf == subleaf))
			return e;
	return NULL;
}

static bool entry_valid(const struct umbra_cpuid_entry *e)
{
	const struct umbra_cpuid_entry *s = find_supported(e->leaf, e->subleaf);
	u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
	unsigned int i;

	if (e->flags & ~UMBRA_CPUID_SUBLEAF || e->reserved ||
	    (e->subleaf && !(e->flags & UMBRA_CPUID_SUBLEAF)))
		return false;

	if (is_hypervisor_leaf(e->leaf) && e->leaf != KVM_CPUID_FEATURES)
		return true;
	/* Sizes of areas are computed; where a component lies is the CPU's alone. */
	if (e->leaf == 0xd && e->subleaf < 2) {
		ebx = ~0U;
		ecx = ~0U;
	} else if (e->leaf == 0xd && s && (e->eax || e->ebx || e->ecx || e->edx)) {
		return e->eax == s->eax && e->ebx == s->ebx && e->ecx == s->ecx &&
		       e->edx == s->edx;
	}
	for (i = 0; i < ARRAY_SIZE(free_bits); i++) {
		if (free_bits[i].leaf != e->leaf)
			continue;
		eax = free_bits[i].eax;
		ebx = free_bits[i].ebx;
		ecx = free_bits[i].ecx;
		edx = free_bits[i].edx;
	}
	if (s) {
		eax |= s->eax;
		ebx |= s->ebx;
		ecx |= s->ecx;
		edx |= s->edx;
	}
	return !(e->eax & ~eax) && !(e->ebx & ~ebx) && !(e->ecx & ~ecx) && !(e->edx & ~edx);
}

static bool has(const struct umbra_cpuid_state *c, unsigned int feature)
{
	return c->words[feature / 32] & BIT(feature % 32);
}

/* Control register bits and the features they belong to. */
static const struct {
	u16 feature;
	u64 bits;
} cr4_bits[] = {
	{ X86_FEATURE_VME, X86_CR4_VME | X86_CR4_PVI },
	{ X86_FEATURE_TSC, X86_CR4_TSD },
	{ X86_FEATURE_DE, X86_CR4_DE },
	{ X86_FEATURE_PSE, X86_CR4_PSE },
	{ X86_FEATURE_PAE, X86_CR4_PAE },
	{ X86_FEATURE_MCE, X86_CR4_MCE },
	{ X86_FEATURE_PGE, X86_CR4_PGE },
	{ X86_FEATURE_FXSR, X86_CR4_OSFXSR },
	{ X86_FEATURE_XMM, X86_CR4_OSXMMEXCPT },
	{ X86_FEATURE_UMIP, X86_CR4_UMIP },
	{ X86_FEATURE_LA57, X86_CR4_LA57 },
	{ X86_FEATURE_FSGSBASE, X86_CR4_FSGSBASE },
	{ X86_FEATURE_PCID, X86_CR4_PCIDE },
	{ X86_FEATURE_XSAVE, X86_CR4_OSXSAVE },
	{ X86_FEATURE_SMEP, X86_CR4_SMEP },
	{ X86_FEATURE_SMAP, X86_CR4_SMAP },
	{ X86_FEATURE_PKU, X86_CR4_PKE },
}, efer_bits[] = {
	{ X86_FEATURE_SYSCALL, EFER_SCE },
	{ X86_FEATURE_LM, EFER_LME },
	{ X86_FEATURE_NX, EFER_NX },
	{ X86_FEATURE_FXSR_OPT, EFER_FFXSR },
};

static void set_index(struct umbra_cpuid_state *c)
{
	unsigned int i;

	for (i = c->count; i--;) {
		u32 leaf = c->entries[i].leaf;

		if (leaf < UMBRA_CPUID_BASIC)
			c->basic[leaf] = i + 1;
		else if (leaf - 0x80000000 < UMBRA_CPUID_EXTENDED)
			c->extended[leaf - 0x80000000] = i + 1;
	}
}

static bool is_signature(const struct umbra_cpuid_entry *e, const char *name)
{
	return !memcmp(&e->ebx, name, 4) && !memcmp(&e->ecx, name + 4, 4) &&
	       !memcmp(&e->edx, name + 8, 4);
}

/* The order of leaf 0: EBX, EDX, ECX. */
static bool is_vendor(const struct umbra_cpuid_entry *e, const char *name)
{
	return !memcmp(&e->ebx, name, 4) && !memcmp(&e->edx, name + 4, 4) &&
	       !memcmp(&e->ecx, name + 8, 4);
}

/* What hot paths ask for, from the entries. */
static void derive(struct umbra_cpuid_state *c)
{
	struct umbra_cpuid_entry *e;
	unsigned int i;

	set_index(c);
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		e = find(c, words[i].leaf, words[i].subleaf);
		if (e)
			c->words[words[i].word] = *(u32 *)((u8 *)e + words[i].offset);
	}
	/* They follow CR4; umbra_cpuid() adds them. */
	c->words[CPUID_1_ECX] &= ~BIT(X86_FEATURE_OSXSAVE & 31);
	c->words[CPUID_7_ECX] &= ~BIT(X86_FEATURE_OSPKE & 31);

	e = find(c, 0, 0);
	if (e) {
		c->max_basic = e->eax;
		c->amd = is_vendor(e, "AuthenticAMD") || is_vendor(e, "HygonGenuine");
	}
	e = find(c, 0x80000000, 0);
	if (e)
		c->max_extended = e->eax;

	c->maxphyaddr = DEFAULT_PHYS_BITS;
	e = find(c, 0x80000008, 0);
	if (e) {
		c->maxphyaddr = e->eax & 0xff;
		e->eax = (e->eax & ~0xff00U) | (has(c, X86_FEATURE_LA57) ? 57 : 48) << 8;
	}

	c->cr4 = X86_CR4_PCE;
	for (i = 0; i < ARRAY_SIZE(cr4_bits); i++)
		if (has(c, cr4_bits[i].feature))
			c->cr4 |= cr4_bits[i].bits;
	c->efer = 0;
	for (i = 0; i < ARRAY_SIZE(efer_bits); i++)
		if (has(c, efer_bits[i].feature))
			c->efer |= efer_bits[i].bits;
	e = find(c, 0xd, 0);
	if (e && has(c, X86_FEATURE_XSAVE))
		c->xcr0 = e->eax | (u64)e->edx << 32;

	e = find(c, KVM_CPUID_SIGNATURE, 0);
	if (e && is_signature(e, KVM_SIGNATURE)) {
		e = find(c, KVM_CPUID_FEATURES, 0);
		if (e)
			c->kvm_features = e->eax & (BIT(KVM_FEATURE_CLOCKSOURCE) |
						    BIT(KVM_FEATURE_CLOCKSOURCE2) |
						    BIT(KVM_FEATURE_PV_EOI));
	}
}

/* Bytes that XSAVE (or XSAVEC, compacted) needs for the components in @xcr0. */
static u32 xsave_size(struct umbra_cpuid_state *c, u64 xcr0, bool compacted)
{
	u32 size = XSAVE_HEADER_END;
	unsigned int i;

	for (i = 2; i < 63 && xcr0 >> i; i++) {
		const struct umbra_cpuid_entry *e;

		if (!(xcr0 & BIT_ULL(i)))
			continue;
		e = find(c, 0xd, i);
		if (!e)
			continue;
		if (!compacted)
			size = max(size, e->ebx + e->eax);
		else
			size = (e->ecx & BIT(1) ? ALIGN(size, 64) : size) + e->eax;
	}
	return size;
}

static int build(struct umbra_cpuid_state *c, const struct umbra_cpuid_entry *entries,
		 unsigned int count)
{
	const struct umbra_cpuid_entry *s;
	struct umbra_cpuid_entry *e;
	unsigned int i;

	if (count > UMBRA_MAX_CPUID)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		if (!entry_valid(&entries[i]))
			return -EINVAL;
		c->entries[i] = entries[i];
	}
	c->count = count;
	sort(c->entries, count, sizeof(c->entries[0]), compare, NULL);
	for (i = 1; i < count; i++) {
		const struct umbra_cpuid_entry *prev = &c->entries[i - 1];

		/* Twice the same, or a leaf with and without subleaves. */
		if (!compare(prev, prev + 1) ||
		    (prev->leaf == prev[1].leaf && prev->flags != prev[1].flags))
			return -EINVAL;
	}
	derive(c);

	s = find_supported(0x80000008, 0);
	if (c->maxphyaddr < 32 || c->maxphyaddr > (s ? s->eax & 0xff : DEFAULT_PHYS_BITS))
		return -EINVAL;

	e = find(c, 0xd, 0);
	if (e)
		e->ecx = xsave_size(c, c->xcr0, false);
	return 0;
}

/**
 * umbra_cpuid_set() - UMBRA_SET_CPUID
 * @vcpu: the vCPU, loaded
 * @entries: what the monitor passed, in any order
 * @count: how many
 *
 * Whatever follows from the vCPU's state is computed when the guest asks and
 * need not be right in the entries: APIC IDs, OSXSAVE, OSPKE, the APIC bit,
 * sizes of XSAVE areas; nor the width of linear addresses, which follows from
 * LA57.
 *
 * Return: 0, or with nothing changed
 * * -EINVAL	- too many entries, two of the same leaf, unknown flags, a feature
 *		  that UMBRA_SUPPORTED_CPUID does not have, or one is missing that
 *		  the guest is using
 * * -ENOMEM	- no memory
 */
int umbra_cpuid_set(struct umbra_vcpu *vcpu, const struct umbra_cpuid_entry *entries,
		    unsigned int count)
{
	struct umbra_cpuid_state *c, *old = vcpu->arch.cpuid;
	int ret;

	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	ret = build(c, entries, count);
	if (ret)
		goto err;

	vcpu->arch.cpuid = c;
	if (vcpu->arch.cr4 & ~c->cr4 || vcpu->arch.efer & ~(c->efer | EFER_LMA) ||
	    vcpu->arch.xcr0 & ~(c->xcr0 | XFEATURE_MASK_FP) ||
	    !umbra_lapic_base_valid(vcpu, umbra_lapic_get_base(vcpu)) ||
	    (umbra_lapic_uses_deadline(vcpu) &&
	     !umbra_cpuid_has(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER))) {
		vcpu->arch.cpuid = old;
		ret = -EINVAL;
		goto err;
	}
	kfree(old);
	umbra_mmu_reset_context(vcpu);
	return 0;

err:
	kfree(c);
	return ret;
}

/**
 * umbra_cpuid_get() - UMBRA_GET_CPUID
 * @vcpu: the vCPU; vcpu->mutex is held
 * @entries: where to put a pointer to its entries
 *
 * Return: how many there are.
 */
unsigned int umbra_cpuid_get(struct umbra_vcpu *vcpu, const struct umbra_cpuid_entry **entries)
{
	*entries = vcpu->arch.cpuid->entries;
	return vcpu->arch.cpuid->count;
}

/**
 * umbra_cpuid_create() - give a vCPU what UMBRA_SUPPORTED_CPUID offers
 * @vcpu: the vCPU, before anything that asks for its features
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_cpuid_create(struct umbra_vcpu *vcpu)
{
	const struct umbra_cpuid_entry *entries;
	unsigned int count = umbra_cpuid_supported(&entries);
	struct umbra_cpuid_state *c;
	int ret;

	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	ret = build(c, entries, count);
	if (ret) {
		kfree(c);
		return ret;
	}
	vcpu->arch.cpuid = c;
	return 0;
}

/**
 * umbra_cpuid_free() - undo umbra_cpuid_create()
 * @vcpu: the vCPU
 */
void umbra_cpuid_free(struct umbra_vcpu *vcpu)
{
	kfree(vcpu->arch.cpuid);
	vcpu->arch.cpuid = NULL;
}

/* A leaf that does not exist, by vendor (SDM Vol. 2 CPUID, APM Vol. 3 E.2). */
static struct umbra_cpuid_entry *beyond(struct umbra_cpuid_state *c, u32 leaf, u32 subleaf)
{
	if (c->amd || is_hypervisor_leaf(leaf))
		return NULL;
	if (leaf <= c->max_basic || (leaf >= 0x80000000 && leaf <= c->max_extended))
		return NULL;
	return find(c, c->max_basic, subleaf);
}

/**
 * umbra_cpuid() - execute CPUID
 * @vcpu: the vCPU
 * @eax: leaf; then EAX
 * @ebx: out: EBX
 * @ecx: subleaf; then ECX
 * @edx: out: EDX
 */
void umbra_cpuid(struct umbra_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	struct umbra_cpuid_state *c = vcpu->arch.cpuid;
	u32 leaf = *eax, subleaf = *ecx;
	struct umbra_cpuid_entry *e = find(c, leaf, subleaf);

	if (unlikely(!e)) {
		e = beyond(c, leaf, subleaf);
		if (e)
			leaf = e->leaf;
	}
	if (likely(e)) {
		*eax = e->eax;
		*ebx = e->ebx;
		*ecx = e->ecx;
		*edx = e->edx;
	} else {
		*eax = 0;
		*ebx = 0;
		*ecx = 0;
		*edx = 0;
	}

	switch (leaf) {
	case 1:
		*ebx = (*ebx & 0xffffff) | vcpu->id << 24;
		*ecx &= ~BIT(X86_FEATURE_OSXSAVE & 31);
		if (vcpu->arch.cr4 & X86_CR4_OSXSAVE)
			*ecx |= BIT(X86_FEATURE_OSXSAVE & 31);
		if (!umbra_lapic_enabled(vcpu))
			*edx &= ~BIT(X86_FEATURE_APIC & 31);
		break;
	case 7:
		if (subleaf)
			break;
		*ecx &= ~BIT(X86_FEATURE_OSPKE & 31);
		if (vcpu->arch.cr4 & X86_CR4_PKE)
			*ecx |= BIT(X86_FEATURE_OSPKE & 31);
		break;
	case 0xb:
	case 0x1f:
		/* Levels that do not exist still say whose they are not. */
		if (!first_of(c, leaf))
			break;
		if (!e)
			*ecx = subleaf & 0xff;
		*edx = vcpu->id;
		break;
	case 0xd:
		if (subleaf == 0 && c->xcr0)
			*ebx = xsave_size(c, vcpu->arch.xcr0, false);
		else if (subleaf == 1 && has(c, X86_FEATURE_XSAVEC))
			*ebx = xsave_size(c, vcpu->arch.xcr0, true);
		break;
	case 0x80000001:
		if (c->amd && !umbra_lapic_enabled(vcpu))
			*edx &= ~BIT(X86_FEATURE_APIC & 31);
		break;
	case 0x8000001e:
		if (e && has(c, X86_FEATURE_TOPOEXT))
			*eax = vcpu->id;
		break;
	}
}

/* Leaves below 0x20, and from 0x80000000 on, that umbra_cpuid() takes as they are. */
#define STATIC_BASIC	(~(BIT(1) | BIT(7) | BIT(0xb) | BIT(0xd) | BIT(0x1f)))
#define STATIC_EXTENDED	(~(BIT_ULL(1) | BIT_ULL(0x1e)))

/* The entry of a leaf that says the same at any time, for any subleaf; NULL: not sure. */
static __always_inline const struct umbra_cpuid_entry *find_static(struct umbra_cpuid_state *c,
								   u32 leaf)
{
	const struct umbra_cpuid_entry *e;
	unsigned int i = 0;

	if (leaf < UMBRA_CPUID_BASIC)
		i = STATIC_BASIC >> leaf & 1 ? c->basic[leaf] : 0;
	else if (leaf - 0x80000000 < UMBRA_CPUID_EXTENDED)
		i = STATIC_EXTENDED >> (leaf - 0x80000000) & 1 ? c->extended[leaf - 0x80000000] : 0;
	if (!i)
		return NULL;
	e = &c->entries[i - 1];
	return e->flags & UMBRA_CPUID_SUBLEAF ? NULL : e;
}

/**
 * umbra_cpuid_exit() - execute the guest's CPUID
 * @vcpu: the vCPU; its own thread
 *
 * Interrupts may be off.
 */
void umbra_cpuid_exit(struct umbra_vcpu *vcpu)
{
	u64 *gpr = vcpu->arch.gpr;
	const struct umbra_cpuid_entry *e = find_static(vcpu->arch.cpuid, gpr[UMBRA_RAX]);
	u32 eax, ebx, ecx, edx;

	if (likely(e)) {
		gpr[UMBRA_RAX] = e->eax;
		gpr[UMBRA_RBX] = e->ebx;
		gpr[UMBRA_RCX] = e->ecx;
		gpr[UMBRA_RDX] = e->edx;
		return;
	}
	eax = gpr[UMBRA_RAX];
	ecx = gpr[UMBRA_RCX];
	umbra_cpuid(vcpu, &eax, &ebx, &ecx, &edx);
	gpr[UMBRA_RAX] = eax;
	gpr[UMBRA_RBX] = ebx;
	gpr[UMBRA_RCX] = ecx;
	gpr[UMBRA_RDX] = edx;
}
