// SPDX-License-Identifier: GPL-2.0-only
/* AMD-V: is it there, switching it on and off, and what all VMs share (APM Vol. 2 15.4, 15.30). */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include "svm.h"

#define CPUID_SVM		0x8000000a
#define SVM_ECX_BIT		BIT(2)		/* CPUID 8000_0001 ECX */

/* Who emulates this CPU: "TCGT", "CGTC", "GTCG" is QEMU. */
#define HYPERVISOR_LEAF	0x40000000
#define TCG_EBX		0x54474354
#define TCG_ECX		0x43544743
#define TCG_EDX		0x47435447

/* CPUID 8000_000a EDX */
#define SVM_NP			BIT(0)
#define SVM_NRIPS		BIT(3)
#define SVM_VMCB_CLEAN		BIT(5)
#define SVM_FLUSH_BY_ASID	BIT(6)
#define SVM_DECODE_ASSISTS	BIT(7)
#define SVM_PAUSE_FILTER	BIT(10)
#define SVM_SPEC_CTRL		BIT(20)

/* MSR_VM_CR */
#define VM_CR_SVM_LOCK		BIT(3)
#define VM_CR_SVM_DISABLE	BIT(4)

/* 15.10.1: a bit for each port, and three more bytes to look at. */
#define IOPM_ORDER		2
#define IOPM_BYTES		(3 * PAGE_SIZE)
/* 15.11: two bits for each of three ranges of 8192 MSRs. */
#define MSRPM_ORDER		1

struct svm_caps svm_caps;
DEFINE_PER_CPU(struct svm_cpu, svm_cpu);

static struct page *iopm, *msrpm;

/* Kept in the VMCB, so the guest may have them to itself; index of the range, MSR. */
static const u32 passed_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

static bool has_svm(void)
{
	return cpuid_eax(0x80000000) >= CPUID_SVM && cpuid_ecx(0x80000001) & SVM_ECX_BIT;
}

/**
 * svm_probe() - can this CPU run guests now?
 * @reason: UMBRA_REASON_LEN bytes, filled in when it cannot
 *
 * Follows the algorithm of 15.4.
 *
 * Return: 0, -ENODEV, -EOPNOTSUPP or -EBUSY.
 */
int svm_probe(char *reason)
{
	u64 vm_cr, efer;

	if (!has_svm()) {
		snprintf(reason, UMBRA_REASON_LEN, "the CPU has no AMD-V%s",
			 boot_cpu_has(X86_FEATURE_HYPERVISOR) ?
			 ", or the hypervisor this host runs under does not nest" : "");
		return -ENODEV;
	}
	if (!rdmsrl_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVM_DISABLE) {
		snprintf(reason, UMBRA_REASON_LEN, "AMD-V is turned off%s",
			 vm_cr & VM_CR_SVM_LOCK ?
			 "; turn on SVM Mode in the firmware's setup" : " in VM_CR");
		return -EOPNOTSUPP;
	}
	if (this_cpu_read(umbra_virt_on))
		return 0;
	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME) {
		snprintf(reason, UMBRA_REASON_LEN,
			 "another hypervisor holds AMD-V; if it is KVM: end its VMs, then rmmod kvm_amd");
		return -EBUSY;
	}
	return 0;
}

/**
 * svm_cap() - UMBRA_CHECK_CAP, what is AMD-V's
 * @cap: enum umbra_cap_nr
 * @reason: UMBRA_REASON_LEN bytes, filled in when it is missing
 *
 * Return: its value, 0 when it is missing.
 */
u64 svm_cap(u32 cap, char *reason)
{
	const char *missing = NULL;
	u64 value = 0;

	switch (cap) {
	case UMBRA_CAP_PAGING_NESTED:
		value = svm_caps.nested;
		missing = "the CPU has no nested paging; use shadow paging";
		break;
	case UMBRA_CAP_NEXT_RIP:
		value = svm_caps.next_rip;
		missing = "the CPU does not save the next RIP; instructions are decoded instead";
		break;
	case UMBRA_CAP_DECODE_ASSISTS:
		value = svm_caps.decode_assists;
		missing = "the CPU has no decode assists; instructions are decoded instead";
		break;
	case UMBRA_CAP_FLUSH_BY_ASID:
		value = svm_caps.flush_by_asid;
		missing = "the CPU cannot flush one ASID; a new one is taken instead";
		break;
	case UMBRA_CAP_ASIDS:
		value = svm_caps.asids;
		break;
	case UMBRA_CAP_REAL_MODE:
		/* In shadow mode, too: paged real mode (15.19). */
		value = 1;
		break;
	case UMBRA_CAP_TPR_SHADOW:
		/* V_TPR (15.21.2). CR8 is intercepted only while it is not zero. */
		value = 1;
		break;
	case UMBRA_CAP_APIC_ACCESS:
	case UMBRA_CAP_X2APIC_VIRTUAL:
	case UMBRA_CAP_INTERRUPT_DELIVERY:
		missing = "AVIC is not used; the local APIC is the module's alone";
		break;
	case UMBRA_CAP_DEADLINE_TIMER:
		missing = "only VT-x has a timer for that; one of the host's is used instead";
		break;
	case UMBRA_CAP_DIRTY_LOGGING:
		missing = "only VT-x has it; the first write to each page faults instead";
		break;
	}
	if (!value && missing)
		strscpy(reason, missing, UMBRA_REASON_LEN);
	return value;
}

/**
 * svm_nested_tables() - what nested tables are like
 * @tables: where to put it
 *
 * They have as many levels as the host's own (15.25.3).
 */
void svm_nested_tables(struct umbra_nested_tables *tables)
{
	*tables = (struct umbra_nested_tables) {
		.format = UMBRA_FORMAT_NPT,
		.levels = pgtable_l5_enabled() ? 5 : 4,
		.max_leaf = UMBRA_SLOT_LEVELS,
	};
}

static void pass_msr(u8 *map, u32 msr)
{
	static const u32 bases[] = { 0, 0xc0000000, 0xc0010000 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		u32 index = msr - bases[i];

		/* 2 KiB for each range; two bits, read and write, for each MSR. */
		if (index < 0x2000) {
			map[i * 0x800 + index / 4] &= ~(3 << index % 4 * 2);
			return;
		}
	}
}

static void read_caps(void)
{
	u32 eax, ebx, ecx, edx;

	if (!has_svm())
		return;
	cpuid(CPUID_SVM, &eax, &ebx, &ecx, &edx);
	svm_caps.asids = ebx;
	svm_caps.nested = edx & SVM_NP;
	svm_caps.next_rip = edx & SVM_NRIPS;
	svm_caps.clean_bits = edx & SVM_VMCB_CLEAN ? BIT(SVM_NR_CLEAN) - 1 : 0;
	svm_caps.flush_by_asid = edx & SVM_FLUSH_BY_ASID;
	svm_caps.decode_assists = edx & SVM_DECODE_ASSISTS;
	svm_caps.pause_filter = edx & SVM_PAUSE_FILTER;
	svm_caps.spec_ctrl = edx & SVM_SPEC_CTRL;

	if (boot_cpu_has(X86_FEATURE_HYPERVISOR)) {
		cpuid(HYPERVISOR_LEAF, &eax, &ebx, &ecx, &edx);
		svm_caps.inject_virq = ebx == TCG_EBX && ecx == TCG_ECX && edx == TCG_EDX;
		svm_caps.tss_available = svm_caps.inject_virq;
		svm_caps.loses_shadow = svm_caps.inject_virq;
	}
}

static void free_cpu(struct svm_cpu *c)
{
	if (c->save)
		umbra_free_pages(c->save, 0);
	if (c->host)
		umbra_free_pages(c->host, 0);
	c->save = NULL;
	c->host = NULL;
}

/**
 * svm_setup() - what all CPUs and VMs need, once, at module load
 *
 * For every CPU that may ever come, since allocating at hotplug could fail.
 *
 * Return: 0 or -ENOMEM.
 */
int svm_setup(void)
{
	unsigned int cpu, i;
	u8 *map;

	read_caps();
	iopm = umbra_alloc_pages(GFP_KERNEL, IOPM_ORDER);
	msrpm = umbra_alloc_pages(GFP_KERNEL, MSRPM_ORDER);
	if (!iopm || !msrpm)
		goto err;
	memset(page_address(iopm), 0xff, IOPM_BYTES);
	map = page_address(msrpm);
	memset(map, 0xff, PAGE_SIZE << MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(passed_msrs); i++)
		pass_msr(map, passed_msrs[i]);

	for_each_possible_cpu(cpu) {
		struct svm_cpu *c = &per_cpu(svm_cpu, cpu);

		c->save = umbra_alloc_pages_on(cpu, GFP_KERNEL | __GFP_ZERO);
		c->host = umbra_alloc_pages_on(cpu, GFP_KERNEL | __GFP_ZERO);
		if (!c->save || !c->host)
			goto err;
		c->host_pa = page_to_phys(c->host);
	}
	return 0;

err:
	svm_teardown();
	return -ENOMEM;
}

/**
 * svm_teardown() - undo svm_setup(), also half of it
 */
void svm_teardown(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		free_cpu(&per_cpu(svm_cpu, cpu));
	if (iopm)
		umbra_free_pages(iopm, IOPM_ORDER);
	if (msrpm)
		umbra_free_pages(msrpm, MSRPM_ORDER);
	iopm = NULL;
	msrpm = NULL;
}

/**
 * svm_io_permissions() - address of the I/O permission map: every port exits
 *
 * Return: its physical address.
 */
u64 svm_io_permissions(void)
{
	return page_to_phys(iopm);
}

/**
 * svm_msr_permissions() - address of the MSR permission map
 *
 * Return: its physical address.
 */
u64 svm_msr_permissions(void)
{
	return page_to_phys(msrpm);
}

/**
 * svm_cpu_enable() - switch AMD-V on, on this CPU (15.4)
 *
 * Interrupts are off.
 *
 * Return: 0, or -EBUSY when somebody else has.
 */
int svm_cpu_enable(void)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, page_to_phys(c->save));
	/* Whatever ASIDs the TLB still knows are from another time. */
	c->asid_generation++;
	c->next_asid = svm_caps.asids;
	c->last_vmcb = NULL;
	if (svm_has_tsc_aux())
		rdmsrl(MSR_TSC_AUX, c->tsc_aux);
	return 0;
}

/**
 * svm_cpu_disable() - switch it off, on this CPU
 *
 * Interrupts are off. Takes no locks.
 */
void svm_cpu_disable(void)
{
	u64 efer;

	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer & ~EFER_SVME);
}

/**
 * svm_forget_vmcb() - a VMCB is about to be freed
 * @vmcb: the VMCB
 *
 * A later one at the same address must not pass for it.
 */
void svm_forget_vmcb(struct vmcb *vmcb)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		cmpxchg(&per_cpu(svm_cpu, cpu).last_vmcb, vmcb, NULL);
}
