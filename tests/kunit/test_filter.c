// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guests may know of the CPU and reach of its MSRs: with the table of the host that
 * this runs on, every bit of it, and every index of the ranges that have MSRs.
 */
#include <asm/msr-index.h>
#include "cpuid.h"
#include "fixture.h"
#include "suites.h"
#include "svm/svm.h"

struct table {
	struct umbra_vm *vm;
	struct umbra_vcpu *vcpu;
	struct umbra_cpuid_entry *entry;
	unsigned int count;
};

static bool begin(struct kunit *test, struct table *t)
{
	const struct umbra_cpuid_entry *entries;

	fixture_begin(test);
	t->vm = fixture_vm(test, UMBRA_PAGING_SHADOW, 1);
	t->count = umbra_cpuid_supported(&entries);
	t->entry = kmemdup(entries, t->count * sizeof(*entries), GFP_KERNEL);
	if (!t->vm || !t->entry)
		return false;
	t->vcpu = t->vm->vcpu[0];
	mutex_lock(&t->vcpu->mutex);
	umbra_vcpu_load(t->vcpu);
	return true;
}

static void end(struct kunit *test, struct table *t)
{
	if (t->vm && t->entry) {
		umbra_vcpu_put(t->vcpu);
		mutex_unlock(&t->vcpu->mutex);
	}
	if (t->vm)
		fixture_vm_free(t->vm);
	kfree(t->entry);
	fixture_end(test);
}

static u32 *reg(struct umbra_cpuid_entry *e, unsigned int i)
{
	return i == 0 ? &e->eax : i == 1 ? &e->ebx : i == 2 ? &e->ecx : &e->edx;
}

static struct umbra_cpuid_entry guest_sees(struct umbra_vcpu *vcpu, u32 leaf, u32 subleaf)
{
	struct umbra_cpuid_entry e = { .eax = leaf, .ecx = subleaf };

	umbra_cpuid(vcpu, &e.eax, &e.ebx, &e.ecx, &e.edx);
	return e;
}

/* Registers that are features, bit by bit, and nothing else. */
static bool is_features(u32 leaf, u32 subleaf, unsigned int i)
{
	switch (leaf) {
	case 1:
	case 0x80000001:
		return i >= 2;
	case 7:
		return subleaf ? i == 0 : i >= 1;
	default:
		return false;
	}
}

/* HT, CMP_LEGACY and TOPOEXT say how CPUs are arranged, which is the monitor's to say. */
static bool is_topology(u32 leaf, unsigned int i, unsigned int bit)
{
	return (leaf == 1 && i == 3 && bit == 28) ||
	       (leaf == 0x80000001 && i == 2 && (bit == 1 || bit == 22));
}

/* OSXSAVE, OSPKE: as the guest's CR4 is; the APIC: as its base register is. */
static bool follows_registers(u32 leaf, unsigned int i, unsigned int bit)
{
	return (leaf == 1 && i == 2 && bit == 27) || (leaf == 7 && i == 2 && bit == 4) ||
	       ((leaf == 1 || leaf == 0x80000001) && i == 3 && bit == 9);
}

/* A monitor that offers more than is supported is refused, or the guest is not told. */
static void no_more_than_supported(struct kunit *test)
{
	unsigned int n, i, bit, refused = 0;
	struct table t;

	if (begin(test, &t)) {
		for (n = 0; n < t.count; n++) {
			struct umbra_cpuid_entry *e = &t.entry[n];

			for (i = 0; i < 4; i++) {
				for (bit = 0; is_features(e->leaf, e->subleaf, i) && bit < 32;
				     bit++) {
					struct umbra_cpuid_entry seen;
					int ret;

					if (*reg(e, i) & BIT(bit))
						continue;
					*reg(e, i) |= BIT(bit);
					ret = umbra_cpuid_set(t.vcpu, t.entry, t.count);
					*reg(e, i) &= ~BIT(bit);
					refused += ret == -EINVAL;
					seen = guest_sees(t.vcpu, e->leaf, e->subleaf);
					if (follows_registers(e->leaf, i, bit) ||
					    is_topology(e->leaf, i, bit))
						continue;
					FAIL_UNLESS(test,
						    ret == -EINVAL ||
							    (!ret && !(*reg(&seen, i) & BIT(bit))),
						    "leaf %#x, register %u, bit %u: %d", e->leaf, i,
						    bit, ret);
				}
			}
		}
		KUNIT_EXPECT_GT(test, refused, 50U);
		KUNIT_EXPECT_EQ(test, umbra_cpuid_set(t.vcpu, t.entry, t.count), 0);
	}
	end(test, &t);
}

/* What would let a guest do, or show, what the module does not provide for. */
static const struct {
	const char *name;
	u32 leaf;
	unsigned int reg, bit;
} never[] = {
	{ "VMX", 1, 2, 5 }, { "SMX", 1, 2, 6 }, { "MONITOR", 1, 2, 3 }, { "DTES64", 1, 2, 2 },
	{ "EST", 1, 2, 7 }, { "PDCM", 1, 2, 15 }, { "DCA", 1, 2, 18 },
	{ "DS", 1, 3, 21 }, { "ACPI", 1, 3, 22 }, { "TM", 1, 3, 29 },
	{ "SGX", 7, 1, 2 }, { "HLE", 7, 1, 4 }, { "RTM", 7, 1, 11 }, { "PT", 7, 1, 25 },
	{ "CET_SS", 7, 2, 7 }, { "SVM", 0x80000001, 2, 2 },
	{ "SKINIT", 0x80000001, 2, 12 }, { "perfctr core", 0x80000001, 2, 23 },
};

static void never_offered(struct kunit *test)
{
	struct umbra_cpuid_entry e;
	struct table t;
	unsigned int i;

	if (begin(test, &t)) {
		for (i = 0; i < ARRAY_SIZE(never); i++) {
			e = guest_sees(t.vcpu, never[i].leaf, 0);
			FAIL_UNLESS(test, !(*reg(&e, never[i].reg) & BIT(never[i].bit)),
				    "%s is offered", never[i].name);
		}
		e = guest_sees(t.vcpu, 0xa, 0);
		KUNIT_EXPECT_EQ(test, e.eax & 0xff, 0U);
		e = guest_sees(t.vcpu, 1, 0);
		KUNIT_EXPECT_TRUE(test, e.ecx & BIT(31));
	}
	end(test, &t);
}

/* Features that are taken away take bits of registers with them. */
static const struct {
	const char *name;
	u32 leaf;
	unsigned int reg, bit;
	u64 cr4, efer;
} bits[] = {
	{ "SMEP", 7, 1, 7, X86_CR4_SMEP, 0 },
	{ "SMAP", 7, 1, 20, X86_CR4_SMAP, 0 },
	{ "FSGSBASE", 7, 1, 0, X86_CR4_FSGSBASE, 0 },
	{ "UMIP", 7, 2, 2, X86_CR4_UMIP, 0 },
	{ "PCID", 1, 2, 17, X86_CR4_PCIDE, 0 },
	{ "PGE", 1, 3, 13, X86_CR4_PGE, 0 },
	{ "NX", 0x80000001, 3, 20, 0, EFER_NX },
	{ "SYSCALL", 0x80000001, 3, 11, 0, EFER_SCE },
};

static void registers_follow(struct kunit *test)
{
	unsigned int i, n;
	struct table t;
	u64 cr4, efer;

	if (begin(test, &t)) {
		cr4 = umbra_cr4_allowed(t.vcpu);
		efer = umbra_efer_allowed(t.vcpu);
		for (i = 0; i < ARRAY_SIZE(bits); i++) {
			for (n = 0; n < t.count; n++) {
				u32 *r = reg(&t.entry[n], bits[i].reg);

				if (t.entry[n].leaf != bits[i].leaf || t.entry[n].subleaf ||
				    !(*r & BIT(bits[i].bit)))
					continue;
				FAIL_UNLESS(test,
					    (cr4 & bits[i].cr4) == bits[i].cr4 &&
						    (efer & bits[i].efer) == bits[i].efer,
					    "%s: not allowed", bits[i].name);
				*r &= ~BIT(bits[i].bit);
				KUNIT_EXPECT_EQ(test, umbra_cpuid_set(t.vcpu, t.entry, t.count), 0);
				FAIL_UNLESS(test,
					    umbra_cr4_allowed(t.vcpu) == (cr4 & ~bits[i].cr4) &&
						    umbra_efer_allowed(t.vcpu) ==
							    (efer & ~bits[i].efer),
					    "%s: CR4 %#llx, EFER %#llx without it", bits[i].name,
					    umbra_cr4_allowed(t.vcpu), umbra_efer_allowed(t.vcpu));
				*r |= BIT(bits[i].bit);
				KUNIT_EXPECT_EQ(test, umbra_cpuid_set(t.vcpu, t.entry, t.count), 0);
			}
		}
	}
	end(test, &t);
}

/* MSRs that VMLOAD, VMSAVE and VMRUN exchange, and no others, need no exit. */
static bool may_be_passed(u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return true;
	default:
		return false;
	}
}

static const u32 ranges[] = { 0, 0xc0000000, 0xc0010000 };

static void passed_through(struct kunit *test)
{
	const u8 *ports = __va(svm_io_permissions()), *map = __va(svm_msr_permissions());
	unsigned int range, i;

	for (range = 0; range < ARRAY_SIZE(ranges); range++) {
		for (i = 0; i < 0x2000; i++) {
			unsigned int both = map[range * 0x800 + i / 4] >> (i % 4 * 2) & 3;

			if (both != 3)
				FAIL_UNLESS(test, may_be_passed(ranges[range] + i),
					    "MSR %#x is passed through", ranges[range] + i);
		}
	}
	/* What is behind the three ranges, and every port. */
	KUNIT_EXPECT_NULL(test, memchr_inv(map + 0x1800, 0xff, 0x800));
	KUNIT_EXPECT_NULL(test, memchr_inv(ports, 0xff, 0x2001));
}

/* A guest may write what it reads, or is refused; what is unknown is refused both ways. */
static void each_msr(struct kunit *test)
{
	unsigned int range, i, known = 0;
	struct table t;

	if (begin(test, &t)) {
		for (range = 0; range < ARRAY_SIZE(ranges); range++) {
			for (i = 0; i < 0x2000; i++) {
				u32 index = ranges[range] + i;
				u64 value = 0, again = 0;
				int ret = umbra_get_msr(t.vcpu, index, &value, false);

				FAIL_UNLESS(test, ret == 0 || ret == 1, "MSR %#x: read gives %d",
					    index, ret);
				if (ret) {
					ret = umbra_set_msr(t.vcpu, index, 0, false);
					/* Some are only written. */
					if (index != MSR_IA32_PRED_CMD &&
					    index != MSR_IA32_FLUSH_CMD &&
					    index != MSR_AMD64_PATCH_LOADER &&
					    index != MSR_IA32_UCODE_WRITE)
						FAIL_UNLESS(test, ret == 1,
							    "MSR %#x: cannot be read, but written",
							    index);
					continue;
				}
				known++;
				if (umbra_set_msr(t.vcpu, index, value, false) ||
				    index == MSR_IA32_TSC || index == MSR_IA32_TSC_DEADLINE)
					continue;
				ret = umbra_get_msr(t.vcpu, index, &again, false);
				FAIL_UNLESS(test, !ret && again == value,
					    "MSR %#x: %#llx became %#llx", index, value, again);
			}
		}
		KUNIT_EXPECT_GT(test, known, 40U);
	}
	end(test, &t);
}

static const struct {
	u32 index;
	u64 value;
	int want;
} writes[] = {
	{ MSR_LSTAR, 0xffff800000000000, 0 }, { MSR_LSTAR, BIT_ULL(62), 1 },
	{ MSR_KERNEL_GS_BASE, 0x7fffffffffff, 0 }, { MSR_KERNEL_GS_BASE, 0x4000000000000000, 1 },
	{ MSR_IA32_CR_PAT, 0x0007040600070406, 0 }, { MSR_IA32_CR_PAT, 0x0207040600070406, 1 },
	{ MSR_IA32_CR_PAT, 0x0007040600070408, 1 },
	{ MSR_EFER, BIT_ULL(12), 1 }, { MSR_EFER, BIT_ULL(63), 1 },
	{ MSR_IA32_APICBASE, 1, 1 }, { MSR_IA32_APICBASE, BIT_ULL(51) | 0x900, 1 },
	{ MSR_VM_HSAVE_PA, 0x1000, 1 },
};

static void values(struct kunit *test)
{
	struct table t;
	unsigned int i;
	int ret;

	if (begin(test, &t)) {
		for (i = 0; i < ARRAY_SIZE(writes); i++) {
			ret = umbra_set_msr(t.vcpu, writes[i].index, writes[i].value, false);
			FAIL_UNLESS(test, ret == writes[i].want, "MSR %#x := %#llx: %d",
				    writes[i].index, writes[i].value, ret);
		}
	}
	end(test, &t);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(no_more_than_supported),
	KUNIT_CASE(never_offered),
	KUNIT_CASE(registers_follow),
	KUNIT_CASE(passed_through),
	KUNIT_CASE(each_msr),
	KUNIT_CASE(values),
	{}
};

struct kunit_suite filter_suite = {
	.name = "umbra_filter",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
