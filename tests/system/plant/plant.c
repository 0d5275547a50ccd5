// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes a CPU refuse an entry: changes a field of the current VMCS, or eight bytes
 * of the VMCB, behind umbra.ko's back, just before it enters a guest.
 *
 * Parameters: "field" is a VMCS field's encoding or an offset into the VMCB; its
 * bits in "clear" are cleared and those in "set" are set; "entries" says at which
 * of the entries that follow, 0: never. It becomes 0 when that has been done.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <asm/cpufeature.h>
#include "umbra.h"
#include "svm/svm.h"

static ulong field, clear, set;
static uint entries;
module_param(field, ulong, 0600);
module_param(clear, ulong, 0600);
module_param(set, ulong, 0600);
module_param(entries, uint, 0600);

static void plant_vmcs(void)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=r" (value) : "r" (field) : "cc");
	value = (value & ~clear) | set;
	asm volatile("vmwrite %0, %1" : : "r" (value), "r" (field) : "cc");
}

static void plant_vmcb(const struct umbra_vcpu *vcpu)
{
	struct vmcb *vmcb = to_vmcb(vcpu);
	u64 *value = (void *)vmcb + field;

	*value = (*value & ~clear) | set;
	/* Nothing that the CPU remembers is right. */
	vmcb->control.clean = 0;
}

static int __kprobes before_entry(struct kprobe *p, struct pt_regs *regs)
{
	if (!entries || --entries)
		return 0;
	if (boot_cpu_has(X86_FEATURE_SVM))
		plant_vmcb((void *)regs->di);
	else
		plant_vmcs();
	return 0;
}

static struct kprobe probe = {
	.pre_handler = before_entry,
};

static int __init plant_init(void)
{
	probe.symbol_name = boot_cpu_has(X86_FEATURE_SVM) ? "umbra:svm_run" : "umbra:vmx_run";
	return register_kprobe(&probe);
}
module_init(plant_init);

static void __exit plant_exit(void)
{
	unregister_kprobe(&probe);
}
module_exit(plant_exit);

MODULE_DESCRIPTION("Has a CPU refuse to enter a guest of Umbra's");
MODULE_LICENSE("GPL");
