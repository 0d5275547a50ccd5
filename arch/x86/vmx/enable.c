// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: switching it on and off, VMCSs on their way between CPUs, and what all
 * VMs share (SDM Vol. 3 24.7, 25.11, 29.4, 31).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/perf_event.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/tlbflush.h>
#include "feature.h"
#include "vmx.h"

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpu);

/* A bit per tag; 0 is the host's. */
static unsigned long *vpids;
static DEFINE_SPINLOCK(vpid_lock);
#define NR_VPIDS	(U16_MAX + 1)

/* Types of INVEPT and INVVPID (volume 3, 31.3). */
#define INVEPT_SINGLE	1
#define INVEPT_ALL	2
#define INVVPID_ADDRESS	0
#define INVVPID_SINGLE	1
#define INVVPID_ALL	2

static void flush_ept(unsigned long type, u64 eptp)
{
	struct {
		u64 eptp, zero;
	} operand = { eptp, 0 };

	asm volatile("1: invept %0, %1\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (operand), "r" (type) : "cc", "memory");
}

static void flush_vpid(unsigned long type, u16 vpid, u64 gva)
{
	struct {
		u64 vpid, gva;
	} operand = { vpid, gva };

	asm volatile("1: invvpid %0, %1\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (operand), "r" (type) : "cc", "memory");
}

static void clear_vmcs(u64 pa)
{
	asm volatile("1: vmclear %0\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (pa) : "cc", "memory");
}

static void load_vmcs(u64 pa)
{
	asm volatile("1: vmptrld %0\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : : "m" (pa) : "cc", "memory");
}

/* 0, or -EBUSY when the CPU refuses. */
static int enter_vmx(u64 pa)
{
	bool failed;

	/* CF stays set if it faults. */
	asm volatile("stc\n"
		     "1: vmxon %1\n"
		     "2: setbe %0\n"
		     _ASM_EXTABLE(1b, 2b)
		     : "=qm" (failed) : "m" (pa) : "cc", "memory");
	return failed ? -EBUSY : 0;
}

static void leave_vmx(void)
{
	asm volatile("1: vmxoff\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : : : "cc", "memory");
}

/**
 * vmx_write_failed() - VMWRITE was refused: there is no such field
 * @field: its encoding
 * @value: what was to be written
 */
void vmx_write_failed(unsigned long field, u64 value)
{
	pr_err_ratelimited("VMWRITE of 0x%llx to field 0x%lx failed, error %llu\n", value, field,
			   vmcs_read(VM_INSTRUCTION_ERROR));
}

/**
 * vmx_setup() - what all CPUs and VMs need, once, at module load
 *
 * For every CPU that may ever come, since allocating at hotplug could fail.
 *
 * Return: 0 or -ENOMEM.
 */
int vmx_setup(void)
{
	unsigned int cpu;

	vmx_run_init();
	if (vmx_real_setup())
		return -ENOMEM;
	vpids = bitmap_zalloc(NR_VPIDS, GFP_KERNEL);
	if (!vpids || vmx_msr_setup() || vmx_apic_setup())
		goto err;
	__set_bit(0, vpids);

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = &per_cpu(vmx_cpu, cpu);

		INIT_LIST_HEAD(&c->loaded);
		c->region = umbra_alloc_pages_on(cpu, GFP_KERNEL | __GFP_ZERO);
		if (!c->region)
			goto err;
		*(u32 *)page_address(c->region) = vmx_caps.revision;
	}
	return 0;

err:
	vmx_teardown();
	return -ENOMEM;
}

/**
 * vmx_teardown() - undo vmx_setup(), also half of it
 */
void vmx_teardown(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = &per_cpu(vmx_cpu, cpu);

		if (c->region)
			umbra_free_pages(c->region, 0);
		c->region = NULL;
	}
	vmx_real_teardown();
	vmx_apic_teardown();
	vmx_msr_teardown();
	bitmap_free(vpids);
	vpids = NULL;
}

static void open_feature_control(void)
{
	u64 control;

	if (!rdmsrl_safe(MSR_IA32_FEAT_CTL, &control) && vmx_feature_open(control) != control)
		wrmsrl_safe(MSR_IA32_FEAT_CTL, vmx_feature_open(control));
}

/**
 * vmx_cpu_enable() - switch VT-x on, on this CPU (24.7)
 *
 * Interrupts are off.
 *
 * Return: 0, or -EBUSY when somebody else has, or the CPU refuses.
 */
int vmx_cpu_enable(void)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);
	int ret;

	if (cr4_read_shadow() & X86_CR4_VMXE)
		return -EBUSY;
	open_feature_control();
	/* On some CPUs trace packets of the host cannot be had in VMX operation. */
	intel_pt_handle_vmx(1);
	cr4_set_bits_irqsoff(X86_CR4_VMXE);
	ret = enter_vmx(page_to_phys(c->region));
	if (ret) {
		cr4_clear_bits_irqsoff(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return ret;
	}
	c->current_vmcs = NULL;
	/* Whatever the TLB still knows is from another time. */
	vmx_flush_all();
	return 0;
}

/* On the CPU that holds it, interrupts off. */
static void clear_here(struct vmx_cpu *c, struct vmx_vcpu *vmx)
{
	clear_vmcs(vmx->vmcs_pa);
	if (c->current_vmcs == vmx->vmcs)
		c->current_vmcs = NULL;
	list_del(&vmx->link);
	vmx->launched = false;
	/* Only then another CPU may load it; pairs with vmx_clear(). */
	smp_store_release(&vmx->cpu, -1);
}

/**
 * vmx_cpu_disable() - switch it off, on this CPU
 *
 * Interrupts are off. Takes no locks. Every VMCS this CPU may hold in its
 * caches is written back first (25.11.1).
 */
void vmx_cpu_disable(void)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);
	struct vmx_vcpu *vmx, *next;

	list_for_each_entry_safe(vmx, next, &c->loaded, link)
		clear_here(c, vmx);
	leave_vmx();
	cr4_clear_bits_irqsoff(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
}

static void clear_on_cpu(void *arg)
{
	struct vmx_vcpu *vmx = arg;

	/* Switching off may have come before us. */
	if (vmx->cpu == smp_processor_id())
		clear_here(this_cpu_ptr(&vmx_cpu), vmx);
}

/**
 * vmx_clear() - take a VMCS from the CPU that holds it
 * @vmx: the vCPU, which is not in the guest; interrupts on
 *
 * If that CPU goes offline meanwhile it clears the VMCS by itself.
 */
void vmx_clear(struct vmx_vcpu *vmx)
{
	/* Pairs with clear_here(). */
	int cpu = smp_load_acquire(&vmx->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_on_cpu, vmx, 1);
}

/**
 * vmx_make_current() - make a VMCS the one this CPU accesses
 * @vmx: the vCPU; preemption is off, VT-x is on
 */
void vmx_make_current(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);
	int cpu = smp_processor_id();
	unsigned long flags;

	if (vmx->cpu != cpu) {
		vmx_clear(vmx);
		local_irq_save(flags);
		/* A new page may be anything to the CPU's caches (25.11.3). */
		clear_vmcs(vmx->vmcs_pa);
		list_add(&vmx->link, &c->loaded);
		vmx->cpu = cpu;
		local_irq_restore(flags);
	}
	if (c->current_vmcs != vmx->vmcs) {
		c->current_vmcs = vmx->vmcs;
		load_vmcs(vmx->vmcs_pa);
		/* The branch predictors were last trained by another guest. */
		indirect_branch_prediction_barrier();
	}
}

/**
 * vmx_vpid_alloc() - a tag for a new vCPU's translations
 *
 * Return: the VPID; 0 if the CPU has none, or all are taken.
 */
u16 vmx_vpid_alloc(void)
{
	unsigned long vpid;

	if (!vmx_caps.vpid)
		return 0;
	spin_lock(&vpid_lock);
	vpid = find_first_zero_bit(vpids, NR_VPIDS);
	if (vpid < NR_VPIDS)
		__set_bit(vpid, vpids);
	else
		vpid = 0;
	spin_unlock(&vpid_lock);
	return vpid;
}

/**
 * vmx_vpid_free() - undo vmx_vpid_alloc()
 * @vpid: the tag; whoever gets it next flushes it before its first use
 */
void vmx_vpid_free(u16 vpid)
{
	if (!vpid)
		return;
	spin_lock(&vpid_lock);
	__clear_bit(vpid, vpids);
	spin_unlock(&vpid_lock);
}

/**
 * vmx_flush_all() - drop the translations of all guests on this CPU
 *
 * VT-x is on.
 */
void vmx_flush_all(void)
{
	if (vmx_caps.ept)
		flush_ept(INVEPT_ALL, 0);
	if (vmx_caps.vpid)
		flush_vpid(INVVPID_ALL, 0, 0);
}

/**
 * vmx_flush_vcpu() - drop a vCPU's translations on this CPU
 * @vmx: the vCPU, loaded; preemption is off
 * @nested: it uses nested paging
 *
 * INVEPT also drops what was combined from EPT and the guest's own tables, for
 * every VPID (29.4.3.1), and with EPT there is nothing else. Without VPID every
 * entry flushes.
 */
void vmx_flush_vcpu(const struct vmx_vcpu *vmx, bool nested)
{
	if (nested)
		flush_ept(vmx_caps.invept_single ? INVEPT_SINGLE : INVEPT_ALL, vmx->root);
	else if (vmx->vpid)
		flush_vpid(vmx_caps.invvpid_single ? INVVPID_SINGLE : INVVPID_ALL, vmx->vpid, 0);
}

/**
 * vmx_flush_address() - drop a vCPU's translations of one page on this CPU
 * @vmx: the vCPU, loaded; preemption is off
 * @gva: an address in the page
 *
 * Return: false if the CPU cannot.
 */
bool vmx_flush_address(const struct vmx_vcpu *vmx, u64 gva)
{
	if (!vmx->vpid)
		return true;
	if (!vmx_caps.invvpid_addr)
		return false;
	flush_vpid(INVVPID_ADDRESS, vmx->vpid, gva);
	return true;
}
