// SPDX-License-Identifier: GPL-2.0-only
/* What monitors may set, and what guests then read. */
#include "apic.h"
#include "cpuid.h"

static struct umbra_vm *vm;
static struct umbra_vcpu *cpu;
static struct umbra_cpuid_entry table[UMBRA_MAX_CPUID + 1];
static unsigned int count;

static int setup(void **state)
{
	const struct umbra_cpuid_entry *entries;

	vm = fake_vm(4);
	cpu = vm->vcpu[3];
	count = umbra_cpuid_supported(&entries);
	memcpy(table, entries, count * sizeof(table[0]));
	return 0;
}

static int teardown(void **state)
{
	fake_free(vm);
	return 0;
}

static struct umbra_cpuid_entry *entry(u32 leaf, u32 subleaf)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (table[i].leaf == leaf && table[i].subleaf == subleaf)
			return &table[i];
	table[count].leaf = leaf;
	table[count].subleaf = subleaf;
	return &table[count++];
}

static int set(void)
{
	return umbra_cpuid_set(cpu, table, count);
}

static struct umbra_cpuid_entry cpuid(u32 leaf, u32 subleaf)
{
	struct umbra_cpuid_entry e = { .leaf = leaf, .subleaf = subleaf };

	e.eax = leaf;
	e.ecx = subleaf;
	umbra_cpuid(cpu, &e.eax, &e.ebx, &e.ecx, &e.edx);
	return e;
}

static void defaults(void **state)
{
	assert_int_equal(set(), 0);
	assert_int_equal(cpuid(0, 0).eax, 0xd);
	assert_int_equal(cpuid(0x80000000, 0).eax, 0x80000008);
	assert_int_equal(cpuid(0x40000000, 0).ebx, 0x4b4d564b);
	assert_int_equal(umbra_guest_maxphyaddr(cpu), 40);
	assert_true(umbra_cpuid_has(cpu, X86_FEATURE_NX));
	assert_false(umbra_cpuid_has(cpu, X86_FEATURE_XSAVEC + 1));
	assert_int_equal(umbra_cpuid_efer(cpu), EFER_SCE | EFER_LME | EFER_NX);
	assert_int_equal(umbra_cpuid_xcr0(cpu), 0x207);
	assert_int_equal(cpu->arch.cpuid->kvm_features, BIT(3) | BIT(6));
	assert_int_equal(umbra_cpuid_cr4(cpu),
			 X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE |
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR |
			 X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_LA57 | X86_CR4_FSGSBASE |
			 X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP |
			 X86_CR4_PKE);
}

static void any_order(void **state)
{
	struct umbra_cpuid_entry first = table[0];

	memmove(table, table + 1, (count - 1) * sizeof(table[0]));
	table[count - 1] = first;
	assert_int_equal(set(), 0);
	assert_int_equal(cpuid(0, 0).eax, 0xd);
	assert_int_equal(cpuid(0xd, 9).ebx, 2688);
}

static void refused(void **state)
{
	entry(1, 0)->ecx |= BIT(5);			/* VMX */
	assert_int_equal(set(), -EINVAL);
	entry(1, 0)->ecx &= ~BIT(5);
	entry(7, 0)->ebx |= BIT(11);			/* RTM */
	assert_int_equal(set(), -EINVAL);
	entry(7, 0)->ebx &= ~BIT(11);
	entry(0x80000001, 0)->ecx |= BIT(2);		/* SVM */
	assert_int_equal(set(), -EINVAL);
	entry(0x80000001, 0)->ecx &= ~BIT(2);
	entry(0xd, 0)->eax |= BIT(5);
	assert_int_equal(set(), -EINVAL);
	entry(0xd, 0)->eax &= ~BIT(5);
	entry(0xd, 2)->ebx += 64;			/* not where the CPU puts it */
	assert_int_equal(set(), -EINVAL);
	entry(0xd, 2)->ebx -= 64;
	entry(0x40000001, 0)->eax |= BIT(4);		/* asynchronous page faults */
	assert_int_equal(set(), -EINVAL);
	entry(0x40000001, 0)->eax &= ~BIT(4);
	entry(0x80000008, 0)->eax = 41 | 48 << 8;
	assert_int_equal(set(), -EINVAL);
	entry(0x80000008, 0)->eax = 31 | 48 << 8;
	assert_int_equal(set(), -EINVAL);
	entry(0x80000008, 0)->eax = 36 | 48 << 8;
	assert_int_equal(set(), 0);
	assert_int_equal(umbra_guest_maxphyaddr(cpu), 36);
	entry(0xa, 0)->eax = 1;				/* performance counters */
	assert_int_equal(set(), -EINVAL);
	entry(0xa, 0)->eax = 0;
	assert_int_equal(set(), 0);
	entry(0xa, 0)->flags = 2;
	assert_int_equal(set(), -EINVAL);
	entry(0xa, 0)->flags = 0;
	entry(0xa, 0)->reserved = 1;
	assert_int_equal(set(), -EINVAL);
	entry(0xa, 0)->reserved = 0;
	entry(0xa, 1);					/* a subleaf without the flag */
	assert_int_equal(set(), -EINVAL);
	table[count - 1] = table[0];			/* twice */
	assert_int_equal(set(), -EINVAL);
	memset(&table[count - 1], 0, sizeof(table[0]));
	table[count - 1].leaf = 7;
	table[count - 1].subleaf = 5;
	table[count - 1].flags = UMBRA_CPUID_SUBLEAF;
	assert_int_equal(set(), 0);
	table[count - 1].subleaf = 0;
	table[count - 1].flags = 0;			/* with and without subleaves */
	assert_int_equal(set(), -EINVAL);
	assert_int_equal(umbra_cpuid_set(cpu, table, UMBRA_MAX_CPUID + 1), -EINVAL);
	/* None of that changed anything. */
	assert_int_equal(cpuid(0x80000008, 0).eax & 0xff, 36);
}

static void in_use(void **state)
{
	cpu->arch.cr4 = X86_CR4_SMEP;
	entry(7, 0)->ebx &= ~BIT(7);
	assert_int_equal(set(), -EINVAL);
	cpu->arch.cr4 = 0;
	assert_int_equal(set(), 0);
	cpu->arch.efer = EFER_NX | EFER_LMA | EFER_LME;
	assert_int_equal(set(), 0);
	entry(0x80000001, 0)->edx &= ~BIT(20);
	assert_int_equal(set(), -EINVAL);
	cpu->arch.efer = 0;
	assert_int_equal(set(), 0);
	cpu->arch.xcr0 = 7;
	entry(0xd, 0)->eax = 3;
	assert_int_equal(set(), -EINVAL);
	cpu->arch.xcr0 = 3;
	assert_int_equal(set(), 0);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00c00), 0);
	entry(1, 0)->ecx &= ~BIT(21);
	assert_int_equal(set(), -EINVAL);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00000), 0);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00800), 0);
	assert_int_equal(set(), 0);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00c00), 1);
	wr(cpu, APIC_SPIV, 0x1ff);
	wr(cpu, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE);
	entry(1, 0)->ecx &= ~BIT(24);
	assert_int_equal(set(), -EINVAL);
	wr(cpu, APIC_LVTT, 0);
	assert_int_equal(set(), 0);
	wr(cpu, APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE);
	assert_int_equal(rd(cpu, APIC_LVTT), 0);
}

static void follows_state(void **state)
{
	assert_int_equal(cpuid(1, 0).ebx >> 24, 3);
	assert_int_equal(cpuid(0xb, 0).edx, 3);
	assert_int_equal(cpuid(0xb, 1).edx, 3);
	assert_int_equal(cpuid(0xb, 7).ecx, 7);
	assert_int_equal(cpuid(0xb, 7).edx, 3);
	assert_false(cpuid(1, 0).ecx & BIT(27));
	assert_false(cpuid(7, 0).ecx & BIT(4));
	cpu->arch.cr4 = X86_CR4_OSXSAVE | X86_CR4_PKE;
	assert_true(cpuid(1, 0).ecx & BIT(27));
	assert_true(cpuid(7, 0).ecx & BIT(4));
	cpu->arch.cr4 = 0;
	assert_true(cpuid(1, 0).edx & BIT(9));
	assert_true(cpuid(0x80000001, 0).edx & BIT(9));
	wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00000);
	assert_false(cpuid(1, 0).edx & BIT(9));
	assert_false(cpuid(0x80000001, 0).edx & BIT(9));

	assert_int_equal(cpuid(0xd, 0).ecx, 2696);
	cpu->arch.xcr0 = 1;
	assert_int_equal(cpuid(0xd, 0).ebx, 576);
	cpu->arch.xcr0 = 7;
	assert_int_equal(cpuid(0xd, 0).ebx, 832);
	cpu->arch.xcr0 = 0x207;
	assert_int_equal(cpuid(0xd, 0).ebx, 2696);
	/* Compacted: the last component is aligned to 64. */
	assert_int_equal(cpuid(0xd, 1).ebx, 840);
	/* Linear addresses. */
	assert_int_equal(cpuid(0x80000008, 0).eax >> 8, 57);
	entry(7, 0)->ecx &= ~BIT(16);
	assert_int_equal(set(), 0);
	assert_int_equal(cpuid(0x80000008, 0).eax >> 8, 48);
	assert_true(umbra_is_canonical(cpu, 0xffff800000000000));
	assert_false(umbra_is_canonical(cpu, 0xff00000000000000));
}

static void beyond_the_end(void **state)
{
	struct umbra_cpuid_entry *vendor = entry(0, 0), e;

	e = cpuid(0x20, 0);
	assert_int_equal(e.eax | e.ebx | e.ecx | e.edx, 0);
	e = cpuid(0x80000100, 0);
	assert_int_equal(e.eax | e.ebx | e.ecx | e.edx, 0);
	/* Intel's CPUs answer with their highest basic leaf. */
	memcpy(&vendor->ebx, "Genu", 4);
	memcpy(&vendor->edx, "ineI", 4);
	memcpy(&vendor->ecx, "ntel", 4);
	assert_int_equal(set(), 0);
	assert_int_equal(cpuid(0x20, 2).ebx, 576);
	assert_int_equal(cpuid(0x80000100, 2).ebx, 576);
	assert_int_equal(cpuid(0x40000005, 0).ebx, 0);
	/* But below that with zero. */
	assert_int_equal(cpuid(0xa, 0).eax, 0);
	assert_int_equal(cpuid(7, 3).ebx, 0);
}

static void own_signature(void **state)
{
	/* Without the name the feature bits are no clock. */
	entry(0x40000000, 0)->ebx = 0x12345678;
	assert_int_equal(set(), 0);
	assert_int_equal(cpu->arch.cpuid->kvm_features, 0);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(defaults), TEST(any_order), TEST(refused), TEST(in_use), TEST(follows_state),
		TEST(beyond_the_end), TEST(own_signature),
	};

	return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL);
}
