// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: is it there, what does the CPU offer, and which controls follow (SDM Vol. 3 A). */
#include <linux/moduleparam.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include "feature.h"
#include "vmx.h"

static bool ept = true;
module_param(ept, bool, 0444);
MODULE_PARM_DESC(ept, "VT-x: offer nested paging if the CPU has EPT");

static bool unrestricted = true;
module_param(unrestricted, bool, 0444);
MODULE_PARM_DESC(unrestricted, "VT-x: let the CPU run real mode, and code with paging off");

static bool vpid = true;
module_param(vpid, bool, 0444);
MODULE_PARM_DESC(vpid, "VT-x: keep translations in the TLB across exits");

static bool tpr_shadow = true;
module_param(tpr_shadow, bool, 0444);
MODULE_PARM_DESC(tpr_shadow, "VT-x: let guests have their task priority (CR8) without exits");

static bool flexpriority = true;
module_param(flexpriority, bool, 0444);
MODULE_PARM_DESC(flexpriority, "VT-x: let the CPU deal with accesses to the local APIC in memory");

static int apicv = -1;
module_param(apicv, bint, 0444);
MODULE_PARM_DESC(apicv,
		 "VT-x: let the CPU read APIC registers and deliver interrupts by itself (-1: unless it is an emulated one)");
static bool apicv_wanted;	/* apicv is not 0 */

static bool preemption_timer = true;
module_param(preemption_timer, bool, 0444);
MODULE_PARM_DESC(preemption_timer, "VT-x: end a guest's turn at its TSC deadline by itself");

static bool pml = true;
module_param(pml, bool, 0444);
MODULE_PARM_DESC(pml, "VT-x: let the CPU note which pages guests write, for dirty logs");

struct vmx_caps vmx_caps;

#define CPUID_VMX		BIT(5)		/* CPUID 1 ECX */

/* Not in every kernel's headers. */
#define CR4_FRED		BIT_ULL(32)

/* IA32_VMX_BASIC (A.1) */
#define BASIC_REVISION		0x7fffffff
#define BASIC_TRUE_CONTROLS	BIT_ULL(55)

/* IA32_VMX_MISC (A.6) */
#define MISC_TIMER_SHIFT	0x1f

/* IA32_VMX_EPT_VPID_CAP (A.10) */
#define CAP_EPT_LEVELS_4	BIT_ULL(6)
#define CAP_EPT_LEVELS_5	BIT_ULL(7)
#define CAP_EPT_WRITE_BACK	BIT_ULL(14)
#define CAP_EPT_2M		BIT_ULL(16)
#define CAP_EPT_1G		BIT_ULL(17)
#define CAP_INVEPT		BIT_ULL(20)
#define CAP_EPT_AD		BIT_ULL(21)
#define CAP_INVEPT_SINGLE	BIT_ULL(25)
#define CAP_INVEPT_ALL		BIT_ULL(26)
#define CAP_INVVPID		BIT_ULL(32)
#define CAP_INVVPID_ADDRESS	BIT_ULL(40)
#define CAP_INVVPID_SINGLE	BIT_ULL(41)
#define CAP_INVVPID_ALL		BIT_ULL(42)

/* What becomes of a control that the CPU has. */
enum use {
	NEEDED,		/* always set; without it there are no guests */
	NEEDED_SHADOW,	/* the same, but only set with shadow paging */
	TOGGLED,	/* set now and then; without it there are no guests */
	WANTED,		/* always set if it is there */
	WANTED_NESTED,	/* set with nested paging if it is there */
	CHOSEN,		/* the read_*() below, or init_controls(), decide */
};

/*
 * Every control that is ever set, and why. Others stay clear, unless the CPU
 * demands them.
 */
static const struct {
	enum vmx_word word;
	enum use use;
	u32 bits;
	const char *name;
} controls[] = {
	/* Interrupts and NMIs are the host's. The guest has its own NMI mask. */
	{ VMX_PIN, NEEDED, PIN_BASED_EXT_INTR_MASK, "external-interrupt exiting" },
	{ VMX_PIN, NEEDED, PIN_BASED_NMI_EXITING, "NMI exiting" },
	{ VMX_PIN, NEEDED, PIN_BASED_VIRTUAL_NMIS, "virtual NMIs" },
	/* Its timer, if that is one for TSC deadlines. */
	{ VMX_PIN, CHOSEN, PIN_BASED_VMX_PREEMPTION_TIMER, "VMX-preemption timer" },
	/* To wait until the guest takes what is pending. */
	{ VMX_PROC, TOGGLED, CPU_BASED_INTR_WINDOW_EXITING, "interrupt-window exiting" },
	{ VMX_PROC, TOGGLED, CPU_BASED_NMI_WINDOW_EXITING, "NMI-window exiting" },
	/* Its TSC is not the host's. */
	{ VMX_PROC, NEEDED, CPU_BASED_USE_TSC_OFFSETTING, "TSC offsetting" },
	/* What would stop the CPU, or show the host's. */
	{ VMX_PROC, NEEDED, CPU_BASED_HLT_EXITING, "HLT exiting" },
	{ VMX_PROC, NEEDED, CPU_BASED_MWAIT_EXITING, "MWAIT exiting" },
	{ VMX_PROC, NEEDED, CPU_BASED_MONITOR_EXITING, "MONITOR exiting" },
	{ VMX_PROC, NEEDED, CPU_BASED_RDPMC_EXITING, "RDPMC exiting" },
	/* Devices are the monitor's, MSRs ours but for a few. */
	{ VMX_PROC, NEEDED, CPU_BASED_UNCOND_IO_EXITING, "unconditional I/O exiting" },
	{ VMX_PROC, NEEDED, CPU_BASED_USE_MSR_BITMAPS, "MSR bitmaps" },
	/* CR8 is the local APIC's task priority. */
	{ VMX_PROC, TOGGLED, CPU_BASED_CR8_LOAD_EXITING, "CR8-load exiting" },
	{ VMX_PROC, TOGGLED, CPU_BASED_CR8_STORE_EXITING, "CR8-store exiting" },
	{ VMX_PROC, CHOSEN, CPU_BASED_TPR_SHADOW, "TPR shadow" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, "virtualize APIC accesses" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, "virtualize x2APIC mode" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_APIC_REGISTER_VIRT, "APIC-register virtualization" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, "virtual-interrupt delivery" },
	/* Debug registers are loaded when the guest asks for them. */
	{ VMX_PROC, NEEDED, CPU_BASED_MOV_DR_EXITING, "MOV-DR exiting" },
	/* The guest's CR3 and its TLB are not the CPU's; nor is CR3 while paging is off. */
	{ VMX_PROC, NEEDED_SHADOW, CPU_BASED_CR3_LOAD_EXITING, "CR3-load exiting" },
	{ VMX_PROC, NEEDED_SHADOW, CPU_BASED_CR3_STORE_EXITING, "CR3-store exiting" },
	{ VMX_PROC, NEEDED_SHADOW, CPU_BASED_INVLPG_EXITING, "INVLPG exiting" },
	{ VMX_PROC, WANTED, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, "secondary controls" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_ENABLE_EPT, "EPT" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_UNRESTRICTED_GUEST, "unrestricted guest" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_ENABLE_VPID, "VPID" },
	{ VMX_PROC2, CHOSEN, SECONDARY_EXEC_ENABLE_PML, "page-modification logging" },
	/* These instructions give #UD without; with INVLPG exiting INVPCID exits. */
	{ VMX_PROC2, WANTED, SECONDARY_EXEC_ENABLE_RDTSCP, "RDTSCP" },
	{ VMX_PROC2, WANTED, SECONDARY_EXEC_ENABLE_INVPCID, "INVPCID" },
	/* Enclaves are the host's. */
	{ VMX_PROC2, WANTED, SECONDARY_EXEC_ENCLS_EXITING, "ENCLS exiting" },
	/* A vCPU that spins had better let another one run. */
	{ VMX_PROC2, WANTED, SECONDARY_EXEC_PAUSE_LOOP_EXITING, "PAUSE-loop exiting" },
	{ VMX_PROC, CHOSEN, CPU_BASED_PAUSE_EXITING, "PAUSE exiting" },
	/* The host is in long mode. DR7 is the guest's, an exit disables it. */
	{ VMX_EXIT, NEEDED, VM_EXIT_HOST_ADDR_SPACE_SIZE, "host address-space size" },
	{ VMX_EXIT, NEEDED, VM_EXIT_SAVE_DEBUG_CONTROLS, "save debug controls" },
	{ VMX_ENTRY, NEEDED, VM_ENTRY_LOAD_DEBUG_CONTROLS, "load debug controls" },
	{ VMX_ENTRY, TOGGLED, VM_ENTRY_IA32E_MODE, "IA-32e mode guest" },
	/* Else by a list, where guest and host differ. */
	{ VMX_EXIT, WANTED, VM_EXIT_LOAD_IA32_EFER, "load EFER at exit" },
	{ VMX_ENTRY, WANTED, VM_ENTRY_LOAD_IA32_EFER, "load EFER at entry" },
};

/* Where the CPU says which bits may and must be set: the old way, the exact way. */
static const struct {
	u32 msr, true_msr;
} words[VMX_NR_WORDS] = {
	[VMX_PIN] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS },
	[VMX_PROC] = { MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS },
	[VMX_PROC2] = { MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2 },
	[VMX_EXIT] = { MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS },
	[VMX_ENTRY] = { MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS },
};

/* The kernel hides the feature when the firmware has turned it off, so ask the CPU. */
static bool has_vmx(void)
{
	return cpuid_ecx(1) & CPUID_VMX;
}

static void read_words(u64 basic)
{
	enum vmx_word w;
	u64 value;

	for (w = 0; w < VMX_NR_WORDS; w++) {
		if (w == VMX_PROC2 &&
		    !(vmx_caps.may[VMX_PROC] & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
			continue;
		rdmsrl(basic & BASIC_TRUE_CONTROLS ? words[w].true_msr : words[w].msr, value);
		vmx_caps.must[w] = value;
		vmx_caps.may[w] = value >> 32;
	}
}

static bool may(enum vmx_word word, u32 bits)
{
	return (vmx_caps.may[word] & bits) == bits;
}

/* Nested paging needs tables of four levels in write-back memory, and a way to flush. */
static void read_ept(u64 cap)
{
	if (!ept || !may(VMX_PROC2, SECONDARY_EXEC_ENABLE_EPT) ||
	    !(cap & CAP_EPT_LEVELS_4) || !(cap & CAP_EPT_WRITE_BACK) || !(cap & CAP_INVEPT) ||
	    !(cap & (CAP_INVEPT_SINGLE | CAP_INVEPT_ALL)))
		return;
	vmx_caps.ept = true;
	vmx_caps.nested[VMX_PROC2] |= SECONDARY_EXEC_ENABLE_EPT;
	vmx_caps.invept_single = cap & CAP_INVEPT_SINGLE;
	vmx_caps.ept_leaf = 1;
	if (cap & CAP_EPT_2M)
		vmx_caps.ept_leaf = cap & CAP_EPT_1G ? 3 : 2;
	/* Four levels translate 48 bits; more only where the CPU has more memory. */
	vmx_caps.ept_levels = 4;
	if (cap & CAP_EPT_LEVELS_5 && boot_cpu_data.x86_phys_bits > 48)
		vmx_caps.ept_levels = 5;
	if (unrestricted && may(VMX_PROC2, SECONDARY_EXEC_UNRESTRICTED_GUEST)) {
		vmx_caps.unrestricted = true;
		vmx_caps.nested[VMX_PROC2] |= SECONDARY_EXEC_UNRESTRICTED_GUEST;
	}
	/*
	 * With these bits the CPU counts reads of the guest's tables as writes,
	 * which the tables that stand for no paging must not see.
	 */
	vmx_caps.ept_ad = cap & CAP_EPT_AD && vmx_caps.unrestricted;
	if (pml && vmx_caps.ept_ad && may(VMX_PROC2, SECONDARY_EXEC_ENABLE_PML)) {
		vmx_caps.pml = true;
		vmx_caps.nested[VMX_PROC2] |= SECONDARY_EXEC_ENABLE_PML;
	}
}

static void read_vpid(u64 cap)
{
	if (!vpid || !may(VMX_PROC2, SECONDARY_EXEC_ENABLE_VPID) || !(cap & CAP_INVVPID) ||
	    !(cap & (CAP_INVVPID_SINGLE | CAP_INVVPID_ALL)))
		return;
	vmx_caps.vpid = true;
	vmx_caps.invvpid_single = cap & CAP_INVVPID_SINGLE;
	vmx_caps.invvpid_addr = cap & CAP_INVVPID_ADDRESS;
}

#define DELIVERY	(SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)

/* CPUs without microcode are emulated ones. */
static bool is_emulated(void)
{
	return !boot_cpu_data.microcode;
}

/* Bochs delivers an interrupt that RFLAGS.IF holds off if one comes for the host. */
static bool delivery_is_trusted(void)
{
	return apicv > 0 || !is_emulated();
}

/* Each step needs the one before it (27.2.1.1). */
static void read_apic(void)
{
	if (!tpr_shadow || !may(VMX_PROC, CPU_BASED_TPR_SHADOW)) {
		vmx_caps.always[VMX_PROC] |= CPU_BASED_CR8_LOAD_EXITING |
					     CPU_BASED_CR8_STORE_EXITING;
		return;
	}
	vmx_caps.tpr_shadow = true;
	vmx_caps.always[VMX_PROC] |= CPU_BASED_TPR_SHADOW;
	vmx_caps.apic_access = flexpriority && vmx_caps.ept &&
			       may(VMX_PROC2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES);
	vmx_caps.virtual_x2apic = may(VMX_PROC2, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE);
	apicv_wanted = apicv;
	/* Reading requests and what is in service makes sense only where the CPU keeps them. */
	vmx_caps.interrupt_delivery = apicv_wanted && delivery_is_trusted() &&
				      may(VMX_PROC2, DELIVERY);
	/* Bochs reports the event before it. */
	vmx_caps.forgets_vector = vmx_caps.interrupt_delivery && is_emulated();
}

/* Nehalem and Westmere count at another rate than they say (errata AAK139, BA86 and others). */
static bool timer_is_wrong(void)
{
	static const u8 models[] = { 0x1a, 0x1e, 0x1f, 0x25, 0x2c, 0x2e, 0x2f };
	unsigned int i;

	if (boot_cpu_data.x86 != 6)
		return false;
	for (i = 0; i < ARRAY_SIZE(models); i++)
		if (boot_cpu_data.x86_model == models[i])
			return true;
	return false;
}

#define LONGEST_TURN_MS		4

static void read_timer(void)
{
	u64 misc;

	if (!preemption_timer || !may(VMX_PIN, PIN_BASED_VMX_PREEMPTION_TIMER))
		return;
	rdmsrl(MSR_IA32_VMX_MISC, misc);
	vmx_caps.timer = !timer_is_wrong();
	vmx_caps.timer_shift = misc & MISC_TIMER_SHIFT;
	/*
	 * Bochs lets no interrupt of the host end the turn of a guest that has RFLAGS.IF
	 * clear from its entry on: it would keep the CPU for ever.
	 */
	if (!is_emulated())
		return;
	vmx_caps.always[VMX_PIN] |= PIN_BASED_VMX_PREEMPTION_TIMER;
	vmx_caps.longest_turn = (umbra_host_tsc_khz() * LONGEST_TURN_MS) >> vmx_caps.timer_shift;
}

/* The first control that is missing, NULL if none is. */
static const char *choose_controls(void)
{
	const char *missing = NULL;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		enum vmx_word word = controls[i].word;
		u32 bits = controls[i].bits;

		if (!may(word, bits)) {
			if (controls[i].use <= TOGGLED && !missing)
				missing = controls[i].name;
			continue;
		}
		switch (controls[i].use) {
		case NEEDED:
		case WANTED:
			vmx_caps.always[word] |= bits;
			break;
		case NEEDED_SHADOW:
			vmx_caps.shadow[word] |= bits;
			break;
		case WANTED_NESTED:
			vmx_caps.nested[word] |= bits;
			break;
		case TOGGLED:
		case CHOSEN:
			break;
		}
	}
	vmx_caps.load_efer = may(VMX_EXIT, VM_EXIT_LOAD_IA32_EFER) &&
			     may(VMX_ENTRY, VM_ENTRY_LOAD_IA32_EFER);
	if (!vmx_caps.load_efer) {
		vmx_caps.always[VMX_EXIT] &= ~VM_EXIT_LOAD_IA32_EFER;
		vmx_caps.always[VMX_ENTRY] &= ~VM_ENTRY_LOAD_IA32_EFER;
	}
	return missing;
}

/* NULL, or the name of a control that is needed and missing. */
static const char *read_caps(void)
{
	u64 basic, cap = 0;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	vmx_caps.revision = basic & BASIC_REVISION;
	read_words(basic);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, vmx_caps.cr0_must);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, vmx_caps.cr0_may);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, vmx_caps.cr4_must);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, vmx_caps.cr4_may);
	/* The MSR is there if either control is (A.10). */
	if (vmx_caps.may[VMX_PROC2] & (SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID))
		rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	read_ept(cap);
	read_vpid(cap);
	read_apic();
	read_timer();
	return choose_controls();
}

/* Turned off by the firmware? */
static bool turned_off(char *reason)
{
	const char *why;
	u64 control;

	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &control))
		return false;
	why = vmx_feature_refuses(control);
	if (why)
		strscpy(reason, why, UMBRA_REASON_LEN);
	return why;
}

/**
 * vmx_probe() - can this CPU run guests now?
 * @reason: UMBRA_REASON_LEN bytes, filled in when it cannot
 *
 * Follows 24.6 and 24.7.
 *
 * Return: 0, -ENODEV, -EOPNOTSUPP or -EBUSY.
 */
int vmx_probe(char *reason)
{
	static const char *missing;
	static bool caps_read;

	if (!has_vmx()) {
		snprintf(reason, UMBRA_REASON_LEN, "the CPU has no VT-x%s",
			 boot_cpu_has(X86_FEATURE_HYPERVISOR) ?
			 ", or the hypervisor this host runs under does not nest" : "");
		return -ENODEV;
	}
	if (this_cpu_read(umbra_virt_on))
		return 0;
	if (turned_off(reason))
		return -EOPNOTSUPP;
	/* Its handlers of events are not where an IDT says; see host_event(). */
	if (cr4_read_shadow() & CR4_FRED) {
		snprintf(reason, UMBRA_REASON_LEN,
			 "this kernel takes events by FRED, which umbra cannot; boot it with fred=off");
		return -EOPNOTSUPP;
	}
	/* First at module load; afterwards vCPUs may be using what was found. */
	if (!caps_read) {
		missing = read_caps();
		caps_read = true;
	}
	if (missing) {
		snprintf(reason, UMBRA_REASON_LEN, "the CPU's VT-x lacks %s", missing);
		return -EOPNOTSUPP;
	}
	if (cr4_read_shadow() & X86_CR4_VMXE) {
		snprintf(reason, UMBRA_REASON_LEN,
			 "another hypervisor holds VT-x; if it is KVM: end its VMs, then rmmod kvm_intel");
		return -EBUSY;
	}
	return 0;
}

/* What is there or not, what leaves it out, and what that comes to. */
static const struct {
	u32 cap;
	const bool *has, *wanted;
	const char *parameter, *without;
} features[] = {
	{ UMBRA_CAP_TPR_SHADOW, &vmx_caps.tpr_shadow, &tpr_shadow, "tpr_shadow",
	  "MOV CR8 exits" },
	{ UMBRA_CAP_APIC_ACCESS, &vmx_caps.apic_access, &flexpriority, "flexpriority",
	  "accesses to the APIC in memory are executed in software" },
	{ UMBRA_CAP_X2APIC_VIRTUAL, &vmx_caps.virtual_x2apic, &tpr_shadow, "tpr_shadow",
	  "accesses to the APIC's MSRs exit" },
	{ UMBRA_CAP_INTERRUPT_DELIVERY, &vmx_caps.interrupt_delivery, &apicv_wanted, "apicv",
	  "every EOI exits, unless the guest knows better" },
	{ UMBRA_CAP_DEADLINE_TIMER, &vmx_caps.timer, &preemption_timer, "preemption_timer",
	  "a timer of the host's is used" },
	{ UMBRA_CAP_DIRTY_LOGGING, &vmx_caps.pml, &pml, "pml",
	  "the first write to each page faults" },
	{ UMBRA_CAP_REAL_MODE, &vmx_caps.unrestricted, &unrestricted, "unrestricted",
	  "real mode runs as virtual-8086 mode, and in part in software" },
};

static u64 cap_feature(u32 cap, char *reason)
{
	const char *why = "the CPU has no such thing";
	unsigned int i;

	for (i = 0; features[i].cap != cap; i++)
		if (i == ARRAY_SIZE(features) - 1)
			return 0;
	if (*features[i].has)
		return 1;
	if (!*features[i].wanted) {
		snprintf(reason, UMBRA_REASON_LEN, "off by the module's parameter %s; %s",
			 features[i].parameter, features[i].without);
		return 0;
	}
	if ((cap == UMBRA_CAP_APIC_ACCESS || cap == UMBRA_CAP_REAL_MODE) && !vmx_caps.ept)
		why = "it needs EPT";
	else if (cap == UMBRA_CAP_DEADLINE_TIMER && timer_is_wrong())
		why = "that of this CPU does not keep time";
	else if (cap == UMBRA_CAP_INTERRUPT_DELIVERY && !vmx_caps.tpr_shadow)
		why = "it needs TPR shadow";
	else if (cap == UMBRA_CAP_INTERRUPT_DELIVERY && !delivery_is_trusted() &&
		 may(VMX_PROC2, DELIVERY))
		why = "an emulated CPU may do it wrongly (apicv=1 uses it)";
	snprintf(reason, UMBRA_REASON_LEN, "%s; %s", why, features[i].without);
	return 0;
}

/**
 * vmx_cap() - UMBRA_CHECK_CAP, what is VT-x's
 * @cap: enum umbra_cap_nr
 * @reason: UMBRA_REASON_LEN bytes, filled in when it is missing
 *
 * Return: its value, 0 when it is missing.
 */
u64 vmx_cap(u32 cap, char *reason)
{
	const char *missing = NULL;
	u64 value = 0;

	switch (cap) {
	case UMBRA_CAP_PAGING_NESTED:
		value = vmx_caps.ept;
		missing = ept ? "the CPU has no EPT that can be used; use shadow paging" :
				"EPT is off by the module's parameter ept; use shadow paging";
		break;
	case UMBRA_CAP_NEXT_RIP:
	case UMBRA_CAP_DECODE_ASSISTS:
		/* Every VT-x gives instruction lengths and exit qualifications. */
		value = 1;
		break;
	case UMBRA_CAP_FLUSH_BY_ASID:
		value = vmx_caps.vpid && vmx_caps.invvpid_single;
		missing = "the CPU cannot flush one VPID; all are flushed instead";
		break;
	case UMBRA_CAP_ASIDS:
		value = vmx_caps.vpid ? U16_MAX : 0;
		missing = vpid ? "the CPU has no VPIDs; every entry and exit flushes the TLB" :
				 "VPIDs are switched off by the module's parameter vpid";
		break;
	default:
		return cap_feature(cap, reason);
	}
	if (!value && missing)
		strscpy(reason, missing, UMBRA_REASON_LEN);
	return value;
}

/**
 * vmx_nested_tables() - what nested tables are like
 * @tables: where to put it
 */
void vmx_nested_tables(struct umbra_nested_tables *tables)
{
	*tables = (struct umbra_nested_tables) {
		.format = UMBRA_FORMAT_EPT,
		.levels = vmx_caps.ept_levels,
		.max_leaf = vmx_caps.ept_leaf,
		.no_accessed = !vmx_caps.ept_ad,
		.logs = vmx_caps.pml,
	};
}
