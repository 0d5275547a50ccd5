// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: the checks of SDM Vol. 3 27.2, of the control fields and the host state,
 * made once again. The CPU says of each group that it failed, and no more.
 * All is read from the VMCS, whatever the rest of the module takes it to hold.
 */
#include <linux/bits.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "check.h"
#include "vmx.h"

/* IA32_VMX_BASIC (A.1): exceptions may come with or without an error code. */
#define BASIC_ANY_ERROR_CODE	BIT_ULL(56)

/* IA32_VMX_MISC (A.6) */
#define MISC_CR3_TARGETS(misc)	((misc) >> 16 & 0x1ff)
#define MISC_LENGTH_0		BIT_ULL(30)

/* EPTP (25.6.11), and what the CPU can do of it (A.10) */
#define EPTP_TYPE(eptp)		((eptp) & 7)
#define EPTP_WALK(eptp)		(((eptp) >> 3 & 7) + 1)
#define EPTP_AD			BIT_ULL(6)
#define EPTP_RESERVED		GENMASK_ULL(11, 8)
#define CAP_EPT_LEVELS(n)	BIT_ULL((n) + 2)
#define CAP_EPT_TYPE(type)	BIT_ULL((type) == 6 ? 14 : 8)
#define CAP_EPT_AD		BIT_ULL(21)

/* Secondary controls (25.6.2) that not every kernel's headers name. */
#define PROC2_VE		BIT(18)
#define PROC2_SUB_PAGE		BIT(23)
#define PROC2_TSC_SCALING	BIT(25)
#define PROC2_MODE_EXEC		BIT(22)

/* Entry controls (25.8.1) that are for SMM alone. */
#define ENTRY_SMM		BIT(10)
#define ENTRY_NO_DUAL_MONITOR	BIT(11)

#define SELECTOR_RPL_TI		7

/* The words of controls as they are now. */
struct controls {
	u32 word[VMX_NR_WORDS];
};

static void read_controls(struct controls *k)
{
	k->word[VMX_PIN] = vmcs_read(PIN_BASED_VM_EXEC_CONTROL);
	k->word[VMX_PROC] = vmcs_read(CPU_BASED_VM_EXEC_CONTROL);
	k->word[VMX_PROC2] = 0;
	if (k->word[VMX_PROC] & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
		k->word[VMX_PROC2] = vmcs_read(SECONDARY_VM_EXEC_CONTROL);
	k->word[VMX_EXIT] = vmcs_read(VM_EXIT_CONTROLS);
	k->word[VMX_ENTRY] = vmcs_read(VM_ENTRY_CONTROLS);
}

static bool check_reserved(const struct controls *k, enum vmx_word first, enum vmx_word last,
			   struct vmx_check *c)
{
	static const char *const names[VMX_NR_WORDS] = {
		[VMX_PIN] = "the pin-based controls",
		[VMX_PROC] = "the processor-based controls",
		[VMX_PROC2] = "the secondary controls",
		[VMX_EXIT] = "the exit controls",
		[VMX_ENTRY] = "the entry controls",
	};
	enum vmx_word w;

	for (w = first; w <= last; w++) {
		u32 value = k->word[w];

		if (w == VMX_PROC2 &&
		    !(k->word[VMX_PROC] & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
			continue;
		if (~value & vmx_caps.must[w])
			return vmx_refuse(c, names[w], value, "lack a bit that must be set");
		if (value & ~vmx_caps.may[w])
			return vmx_refuse(c, names[w], value,
					  "have a bit set that the CPU does not offer");
	}
	return false;
}

static bool check_page(struct vmx_check *c, const char *name, unsigned long field)
{
	u64 address = vmcs_read(field);

	if (address & ~PAGE_MASK)
		return vmx_refuse(c, name, address, "is not page-aligned");
	if (vmx_beyond_physical(address))
		return vmx_refuse(c, name, address, "is beyond physical addresses");
	return false;
}

/* 27.2.1.1: addresses that a control is about. */
static bool check_addresses(const struct controls *k, struct vmx_check *c)
{
	static const struct {
		enum vmx_word word;
		u32 control;
		unsigned long field;
		const char *name;
	} pages[] = {
		{ VMX_PROC, CPU_BASED_USE_IO_BITMAPS, IO_BITMAP_A, "I/O bitmap A" },
		{ VMX_PROC, CPU_BASED_USE_IO_BITMAPS, IO_BITMAP_B, "I/O bitmap B" },
		{ VMX_PROC, CPU_BASED_USE_MSR_BITMAPS, MSR_BITMAP, "the MSR bitmap" },
		{ VMX_PROC, CPU_BASED_TPR_SHADOW, VIRTUAL_APIC_PAGE_ADDR, "the virtual-APIC page" },
		{ VMX_PROC2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, APIC_ACCESS_ADDR,
		  "the APIC-access page" },
		{ VMX_PROC2, SECONDARY_EXEC_ENABLE_PML, PML_ADDRESS, "the page-modification log" },
		{ VMX_PROC2, SECONDARY_EXEC_SHADOW_VMCS, VMREAD_BITMAP, "the VMREAD bitmap" },
		{ VMX_PROC2, SECONDARY_EXEC_SHADOW_VMCS, VMWRITE_BITMAP, "the VMWRITE bitmap" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++)
		if (k->word[pages[i].word] & pages[i].control &&
		    check_page(c, pages[i].name, pages[i].field))
			return true;
	return false;
}

/* 27.2.1.1: a control that wants another one to be as it says. */
static bool check_pairs(const struct controls *k, struct vmx_check *c)
{
	static const struct {
		enum vmx_word word, other;
		u32 control, needed;
		bool clear;
		const char *wrong;
	} pairs[] = {
		{ VMX_PIN, VMX_PIN, PIN_BASED_VIRTUAL_NMIS, PIN_BASED_NMI_EXITING, false,
		  "have virtual NMIs without NMI exiting" },
		{ VMX_PROC, VMX_PIN, CPU_BASED_NMI_WINDOW_EXITING, PIN_BASED_VIRTUAL_NMIS, false,
		  "have NMI-window exiting without virtual NMIs" },
		{ VMX_PROC2, VMX_PROC, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, CPU_BASED_TPR_SHADOW,
		  false, "virtualize x2APIC mode without a TPR shadow" },
		{ VMX_PROC2, VMX_PROC, SECONDARY_EXEC_APIC_REGISTER_VIRT, CPU_BASED_TPR_SHADOW,
		  false, "virtualize APIC registers without a TPR shadow" },
		{ VMX_PROC2, VMX_PROC, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, CPU_BASED_TPR_SHADOW,
		  false, "deliver virtual interrupts without a TPR shadow" },
		{ VMX_PROC2, VMX_PROC2, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE,
		  SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, true,
		  "virtualize both APIC accesses and x2APIC mode" },
		{ VMX_PROC2, VMX_PIN, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, PIN_BASED_EXT_INTR_MASK,
		  false, "deliver virtual interrupts without external-interrupt exiting" },
		{ VMX_PIN, VMX_PROC2, PIN_BASED_POSTED_INTR, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY,
		  false, "post interrupts without virtual-interrupt delivery" },
		{ VMX_PIN, VMX_EXIT, PIN_BASED_POSTED_INTR, VM_EXIT_ACK_INTR_ON_EXIT, false,
		  "post interrupts without acknowledging them at exits" },
		{ VMX_PROC2, VMX_PROC2, SECONDARY_EXEC_UNRESTRICTED_GUEST,
		  SECONDARY_EXEC_ENABLE_EPT, false, "have unrestricted guest without EPT" },
		{ VMX_PROC2, VMX_PROC2, SECONDARY_EXEC_ENABLE_PML, SECONDARY_EXEC_ENABLE_EPT,
		  false, "log page modifications without EPT" },
		{ VMX_PROC2, VMX_PROC2, PROC2_MODE_EXEC, SECONDARY_EXEC_ENABLE_EPT, false,
		  "have mode-based execute control without EPT" },
		{ VMX_PROC2, VMX_PROC2, PROC2_SUB_PAGE, SECONDARY_EXEC_ENABLE_EPT, false,
		  "have sub-page permissions without EPT" },
		{ VMX_EXIT, VMX_PIN, VM_EXIT_SAVE_VMX_PREEMPTION_TIMER,
		  PIN_BASED_VMX_PREEMPTION_TIMER, false,
		  "save the preemption timer at exits without using it" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		u32 value = k->word[pairs[i].word];

		if (value & pairs[i].control &&
		    !(k->word[pairs[i].other] & pairs[i].needed) != pairs[i].clear)
			return vmx_refuse(c, "the controls", value, pairs[i].wrong);
	}
	return false;
}

/* Bits 7:4 of the virtual-APIC page's TPR are read through the address in the VMCS. */
static bool check_tpr(const struct controls *k, struct vmx_check *c)
{
	u32 threshold;

	if (!(k->word[VMX_PROC] & CPU_BASED_TPR_SHADOW) ||
	    k->word[VMX_PROC2] & SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
		return false;
	threshold = vmcs_read(TPR_THRESHOLD);
	if (threshold & ~0xfU)
		return vmx_refuse(c, "the TPR threshold", threshold, "has a reserved bit set");
	return false;
}

static bool check_posted(const struct controls *k, struct vmx_check *c)
{
	u64 value;

	if (!(k->word[VMX_PIN] & PIN_BASED_POSTED_INTR))
		return false;
	value = vmcs_read(POSTED_INTR_NV);
	if (value > 0xff)
		return vmx_refuse(c, "the posted-interrupt vector", value, "is above 255");
	value = vmcs_read(POSTED_INTR_DESC_ADDR);
	if (value & 0x3f || vmx_beyond_physical(value))
		return vmx_refuse(c, "the posted-interrupt descriptor", value,
				  "is not 64-byte aligned, or beyond physical addresses");
	return false;
}

static bool check_ept(const struct controls *k, struct vmx_check *c)
{
	u64 eptp, cap;

	if (!(k->word[VMX_PROC2] & SECONDARY_EXEC_ENABLE_EPT))
		return false;
	eptp = vmcs_read(EPT_POINTER);
	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	if ((EPTP_TYPE(eptp) != 0 && EPTP_TYPE(eptp) != 6) ||
	    !(cap & CAP_EPT_TYPE(EPTP_TYPE(eptp))))
		return vmx_refuse(c, "EPTP", eptp, "has a memory type that the CPU does not offer");
	if ((EPTP_WALK(eptp) != 4 && EPTP_WALK(eptp) != 5) ||
	    !(cap & CAP_EPT_LEVELS(EPTP_WALK(eptp))))
		return vmx_refuse(c, "EPTP", eptp, "has a walk length that the CPU does not offer");
	if (eptp & EPTP_AD && !(cap & CAP_EPT_AD))
		return vmx_refuse(c, "EPTP", eptp, "enables accessed and dirty bits, in vain");
	if (eptp & EPTP_RESERVED || vmx_beyond_physical(eptp))
		return vmx_refuse(c, "EPTP", eptp, "has a reserved bit set");
	return false;
}

/* 27.2.1.1 */
static bool check_execution(const struct controls *k, struct vmx_check *c)
{
	u64 value, misc;

	c->section = "27.2.1.1";
	if (check_reserved(k, VMX_PIN, VMX_PROC2, c))
		return true;
	rdmsrl(MSR_IA32_VMX_MISC, misc);
	value = vmcs_read(CR3_TARGET_COUNT);
	if (value > MISC_CR3_TARGETS(misc))
		return vmx_refuse(c, "the CR3-target count", value, "is more than the CPU offers");
	if (check_addresses(k, c) || check_pairs(k, c) || check_tpr(k, c) || check_posted(k, c))
		return true;
	if (k->word[VMX_PROC2] & SECONDARY_EXEC_ENABLE_VPID && !vmcs_read(VIRTUAL_PROCESSOR_ID))
		return vmx_refuse(c, "the VPID", 0, "is 0");
	if (check_ept(k, c))
		return true;
	if (k->word[VMX_PROC2] & PROC2_TSC_SCALING && !vmcs_read(TSC_MULTIPLIER))
		return vmx_refuse(c, "the TSC multiplier", 0, "is 0");
	return false;
}

static bool check_list(struct vmx_check *c, const char *name, unsigned long count_field,
		       unsigned long address_field)
{
	u64 count = vmcs_read(count_field), address;

	if (!count)
		return false;
	address = vmcs_read(address_field);
	if (address & 0xf)
		return vmx_refuse(c, name, address, "is not 16-byte aligned");
	if (vmx_beyond_physical(address) || vmx_beyond_physical(address + 16 * count - 1))
		return vmx_refuse(c, name, address, "is, or ends, beyond physical addresses");
	return false;
}

/* 27.2.1.2 */
static bool check_exit(const struct controls *k, struct vmx_check *c)
{
	c->section = "27.2.1.2";
	return check_reserved(k, VMX_EXIT, VMX_EXIT, c) ||
	       check_list(c, "the list of MSRs to store at exits", VM_EXIT_MSR_STORE_COUNT,
			  VM_EXIT_MSR_STORE_ADDR) ||
	       check_list(c, "the list of MSRs to load at exits", VM_EXIT_MSR_LOAD_COUNT,
			  VM_EXIT_MSR_LOAD_ADDR);
}

/* Exceptions that come with an error code, and others that never do. */
static bool check_error_code(const struct controls *k, u32 info, struct vmx_check *c)
{
	static const u32 vectors = BIT(X86_TRAP_DF) | GENMASK(X86_TRAP_PF, X86_TRAP_TS) |
				   BIT(X86_TRAP_AC);
	bool has_error = info & INTR_INFO_DELIVER_CODE_MASK, may_have;
	u64 value, basic;

	may_have = (info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_HARD_EXCEPTION;
	/* Real mode pushes none. */
	if (k->word[VMX_PROC2] & SECONDARY_EXEC_UNRESTRICTED_GUEST &&
	    !(vmcs_read(GUEST_CR0) & X86_CR0_PE))
		may_have = false;
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	if (has_error && (!may_have || (!(basic & BASIC_ANY_ERROR_CODE) &&
					!(vectors >> (info & 31) & 1))))
		return vmx_refuse(c, "the event to inject", info, "has an error code and must not");
	if (!has_error && may_have && !(basic & BASIC_ANY_ERROR_CODE) && vectors >> (info & 31) & 1)
		return vmx_refuse(c, "the event to inject", info, "lacks its error code");
	if (!has_error)
		return false;
	value = vmcs_read(VM_ENTRY_EXCEPTION_ERROR_CODE);
	if (value >> 16)
		return vmx_refuse(c, "the error code to inject", value, "has a reserved bit set");
	return false;
}

/* 27.2.1.3: entry-interruption information. */
static bool check_injection(const struct controls *k, struct vmx_check *c)
{
	static const char name[] = "the event to inject";
	u32 info = vmcs_read(VM_ENTRY_INTR_INFO_FIELD), vector = info & INTR_INFO_VECTOR_MASK;
	u64 length, misc;

	if (!(info & INTR_INFO_VALID_MASK))
		return false;
	if (info & INTR_INFO_RESVD_BITS_MASK)
		return vmx_refuse(c, name, info, "has a reserved bit set");
	switch (info & INTR_INFO_INTR_TYPE_MASK) {
	case INTR_TYPE_EXT_INTR:
		break;
	case INTR_TYPE_NMI_INTR:
		if (vector != X86_TRAP_NMI)
			return vmx_refuse(c, name, info, "is an NMI of a vector other than 2");
		break;
	case INTR_TYPE_HARD_EXCEPTION:
		if (vector > 31)
			return vmx_refuse(c, name, info, "is an exception of a vector above 31");
		break;
	case INTR_TYPE_SOFT_INTR:
	case INTR_TYPE_PRIV_SW_EXCEPTION:
	case INTR_TYPE_SOFT_EXCEPTION:
		length = vmcs_read(VM_ENTRY_INSTRUCTION_LEN);
		rdmsrl(MSR_IA32_VMX_MISC, misc);
		if (length > 15 || (!length && !(misc & MISC_LENGTH_0)))
			return vmx_refuse(c, "the length of the instruction that raises an event",
					  length, "is not 1 to 15");
		break;
	case INTR_TYPE_OTHER_EVENT:
		if (vector || !(vmx_caps.may[VMX_PROC] & CPU_BASED_MONITOR_TRAP_FLAG))
			return vmx_refuse(c, name, info, "is of a type that the CPU has not");
		break;
	default:
		return vmx_refuse(c, name, info, "is of a reserved type");
	}
	return check_error_code(k, info, c);
}

/* 27.2.1.3 */
static bool check_entry(const struct controls *k, struct vmx_check *c)
{
	c->section = "27.2.1.3";
	if (check_reserved(k, VMX_ENTRY, VMX_ENTRY, c) || check_injection(k, c))
		return true;
	if (k->word[VMX_ENTRY] & (ENTRY_SMM | ENTRY_NO_DUAL_MONITOR))
		return vmx_refuse(c, "the entry controls", k->word[VMX_ENTRY], "are for SMM");
	return check_list(c, "the list of MSRs to load at entries", VM_ENTRY_MSR_LOAD_COUNT,
			  VM_ENTRY_MSR_LOAD_ADDR);
}

/**
 * vmx_check_controls() - the checks of control fields (27.2.1)
 * @c: filled in
 *
 * The VMCS in question is the current one.
 *
 * Return: true if one fails.
 */
bool vmx_check_controls(struct vmx_check *c)
{
	struct controls k;

	read_controls(&k);
	return check_execution(&k, c) || check_exit(&k, c) || check_entry(&k, c);
}

/* 27.2.2 */
static bool check_host_registers(const struct controls *k, struct vmx_check *c)
{
	bool long_mode = k->word[VMX_EXIT] & VM_EXIT_HOST_ADDR_SPACE_SIZE;
	u64 value;

	c->section = "27.2.2";
	value = vmcs_read(HOST_CR0);
	if (~value & vmx_caps.cr0_must || value & ~vmx_caps.cr0_may)
		return vmx_refuse(c, "the host's CR0", value,
				  "has a bit that VMX operation wants otherwise");
	value = vmcs_read(HOST_CR4);
	if (~value & vmx_caps.cr4_must || value & ~vmx_caps.cr4_may)
		return vmx_refuse(c, "the host's CR4", value,
				  "has a bit that VMX operation wants otherwise");
	value = vmcs_read(HOST_CR3);
	if (vmx_beyond_physical(value))
		return vmx_refuse(c, "the host's CR3", value, "is beyond physical addresses");
	value = vmcs_read(HOST_IA32_SYSENTER_ESP);
	if (!vmx_canonical(value))
		return vmx_refuse(c, "the host's IA32_SYSENTER_ESP", value, "is not canonical");
	value = vmcs_read(HOST_IA32_SYSENTER_EIP);
	if (!vmx_canonical(value))
		return vmx_refuse(c, "the host's IA32_SYSENTER_EIP", value, "is not canonical");
	if (k->word[VMX_EXIT] & VM_EXIT_LOAD_IA32_PAT) {
		value = vmcs_read(HOST_IA32_PAT);
		if (!vmx_pat_valid(value))
			return vmx_refuse(c, "the host's IA32_PAT", value, "has a reserved type");
	}
	if (k->word[VMX_EXIT] & VM_EXIT_LOAD_IA32_EFER) {
		value = vmcs_read(HOST_IA32_EFER);
		if (value & ~(u64)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX))
			return vmx_refuse(c, "the host's EFER", value, "has a reserved bit set");
		if (!!(value & EFER_LMA) != long_mode || !!(value & EFER_LME) != long_mode)
			return vmx_refuse(c, "the host's EFER", value,
					  "does not fit the host's address-space size");
	}
	return false;
}

/* 27.2.3 */
static bool check_host_segments(struct vmx_check *c)
{
	static const struct {
		unsigned long field;
		const char *name;
		bool never_null;
	} selectors[] = {
		{ HOST_ES_SELECTOR, "the host's ES" },
		{ HOST_CS_SELECTOR, "the host's CS", true },
		{ HOST_SS_SELECTOR, "the host's SS" },
		{ HOST_DS_SELECTOR, "the host's DS" },
		{ HOST_FS_SELECTOR, "the host's FS" },
		{ HOST_GS_SELECTOR, "the host's GS" },
		{ HOST_TR_SELECTOR, "the host's TR", true },
	};
	static const struct {
		unsigned long field;
		const char *name;
	} bases[] = {
		{ HOST_FS_BASE, "the base of the host's FS" },
		{ HOST_GS_BASE, "the base of the host's GS" },
		{ HOST_TR_BASE, "the base of the host's TR" },
		{ HOST_GDTR_BASE, "the base of the host's GDT" },
		{ HOST_IDTR_BASE, "the base of the host's IDT" },
	};
	unsigned int i;
	u64 value;

	c->section = "27.2.3";
	for (i = 0; i < ARRAY_SIZE(selectors); i++) {
		value = vmcs_read(selectors[i].field);
		if (value & SELECTOR_RPL_TI)
			return vmx_refuse(c, selectors[i].name, value,
					  "has an RPL other than 0, or is in the LDT");
		if (selectors[i].never_null && !value)
			return vmx_refuse(c, selectors[i].name, value, "is null");
	}
	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		value = vmcs_read(bases[i].field);
		if (!vmx_canonical(value))
			return vmx_refuse(c, bases[i].name, value, "is not canonical");
	}
	return false;
}

/* 27.2.4 */
static bool check_host_size(const struct controls *k, struct vmx_check *c)
{
	u64 value;

	c->section = "27.2.4";
	if (!(k->word[VMX_EXIT] & VM_EXIT_HOST_ADDR_SPACE_SIZE))
		return vmx_refuse(c, "the exit controls", k->word[VMX_EXIT],
				  "lack the host's address-space size");
	value = vmcs_read(HOST_CR4);
	if (!(value & X86_CR4_PAE))
		return vmx_refuse(c, "the host's CR4", value, "lacks PAE");
	value = vmcs_read(HOST_RIP);
	if (!vmx_canonical(value))
		return vmx_refuse(c, "the host's RIP", value, "is not canonical");
	return false;
}

/**
 * vmx_check_host() - the checks of the host state (27.2.2 to 27.2.4)
 * @c: filled in
 *
 * The VMCS in question is the current one.
 *
 * Return: true if one fails.
 */
bool vmx_check_host(struct vmx_check *c)
{
	struct controls k;

	read_controls(&k);
	return check_host_registers(&k, c) || check_host_segments(c) || check_host_size(&k, c);
}
