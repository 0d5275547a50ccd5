// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-V: why an entry failed. The CPU says "invalid state" and no more, so the
 * checks of APM Vol. 2 15.5.1 are made once again here, on the VMCB: first those of
 * its control area, which no CPU and no emulator changes then.
 */
#include <linux/bits.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "svm.h"

/* Bits of EFER and CR4 that no CPU has so far (3.1.7, 3.1.3). */
#define EFER_MAY	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_SVME | EFER_LMSLE | \
			 EFER_FFXSR | GENMASK_ULL(21, 15))
#define CR4_MAY		(GENMASK_ULL(12, 0) | GENMASK_ULL(18, 16) | GENMASK_ULL(24, 20))

/* Injected events (15.20). */
#define EVENT_RESERVED	GENMASK(30, 12)
#define EVENT_TYPE(e)	((e) >> 8 & 7)
#define TYPE_INTR	0
#define TYPE_NMI	2
#define TYPE_EXCEPTION	3
#define TYPE_SOFT	4

/* The permission maps are of so many bytes. */
#define MSR_MAP_SIZE	0x2000ULL
#define IO_MAP_SIZE	0x3000ULL

/* A register that fails a check, its value, and what is wrong; NULL: it passes. */
struct check {
	const char *subject;
	u64 value;
	const char *wrong;
};

static bool refuse(struct check *c, const char *subject, u64 value, const char *wrong)
{
	*c = (struct check) { .subject = subject, .value = value, .wrong = wrong };
	return true;
}

static bool check_registers(const struct vmcb_save_area *save, struct check *c)
{
	bool lme_pg = save->efer & EFER_LME && save->cr0 & X86_CR0_PG;

	if (!(save->efer & EFER_SVME))
		return refuse(c, "EFER", save->efer, "lacks SVME");
	if (!(save->cr0 & X86_CR0_CD) && save->cr0 & X86_CR0_NW)
		return refuse(c, "CR0", save->cr0, "has NW without CD");
	if (save->cr0 >> 32)
		return refuse(c, "CR0", save->cr0, "has bits 63:32 set");
	if (save->cr3 >> boot_cpu_data.x86_phys_bits)
		return refuse(c, "CR3", save->cr3, "is beyond physical addresses");
	if (save->cr4 & ~CR4_MAY)
		return refuse(c, "CR4", save->cr4, "has a reserved bit set");
	if (save->dr6 >> 32)
		return refuse(c, "DR6", save->dr6, "has bits 63:32 set");
	if (save->dr7 >> 32)
		return refuse(c, "DR7", save->dr7, "has bits 63:32 set");
	if (save->efer & ~EFER_MAY)
		return refuse(c, "EFER", save->efer, "has a reserved bit set");
	if (lme_pg && !(save->cr4 & X86_CR4_PAE))
		return refuse(c, "CR4", save->cr4, "lacks PAE, and EFER.LME and CR0.PG are 1");
	if (lme_pg && !(save->cr0 & X86_CR0_PE))
		return refuse(c, "CR0", save->cr0, "lacks PE, and EFER.LME and CR0.PG are 1");
	if (lme_pg && save->cs.attrib & VMCB_SEG_L && save->cs.attrib & VMCB_SEG_DB)
		return refuse(c, "CS", save->cs.attrib, "is of 64-bit and of 32-bit code at once");
	if (save->cr4 & X86_CR4_CET && !(save->cr0 & X86_CR0_WP))
		return refuse(c, "CR4", save->cr4, "has CET without CR0.WP");
	return false;
}

static bool check_event(u32 event, struct check *c)
{
	static const char name[] = "the event to inject";
	u8 vector = event;

	if (!(event & SVM_EVTINJ_VALID))
		return false;
	if (event & EVENT_RESERVED)
		return refuse(c, name, event, "has a reserved bit set");
	switch (EVENT_TYPE(event)) {
	case TYPE_INTR:
	case TYPE_NMI:
	case TYPE_SOFT:
		return false;
	case TYPE_EXCEPTION:
		if (vector > 31 || vector == X86_TRAP_NMI)
			return refuse(c, name, event, "is an exception of a vector that is none");
		return false;
	default:
		return refuse(c, name, event, "is of a reserved type");
	}
}

static bool beyond(u64 map, u64 size)
{
	return ((map & PAGE_MASK) + size - 1) >> boot_cpu_data.x86_phys_bits;
}

static bool check_control(const struct vmcb_control_area *control, struct check *c)
{
	if (!(control->intercepts[INTERCEPT_VMRUN / 32] & BIT(INTERCEPT_VMRUN % 32)))
		return refuse(c, "the intercepts", control->intercepts[INTERCEPT_VMRUN / 32],
			      "lack VMRUN");
	if (beyond(control->msrpm_base_pa, MSR_MAP_SIZE))
		return refuse(c, "the MSR permission map", control->msrpm_base_pa,
			      "is, or ends, beyond physical addresses");
	if (beyond(control->iopm_base_pa, IO_MAP_SIZE))
		return refuse(c, "the I/O permission map", control->iopm_base_pa,
			      "is, or ends, beyond physical addresses");
	if (check_event(control->event_inj, c))
		return true;
	if (!control->asid)
		return refuse(c, "the ASID", 0, "is 0");
	if (!(control->nested_ctl & SVM_NESTED_CTL_NP_ENABLE))
		return false;
	if (!svm_caps.nested)
		return refuse(c, "nested paging", control->nested_ctl,
			      "is on, and the CPU has none");
	if (control->nested_cr3 >> boot_cpu_data.x86_phys_bits)
		return refuse(c, "the nested CR3", control->nested_cr3,
			      "is beyond physical addresses");
	return false;
}

/**
 * svm_describe_failure() - why the CPU refused the last entry
 * @vcpu: the vCPU, loaded
 * @reason: UMBRA_REASON_LEN bytes, zeroed
 */
void svm_describe_failure(struct umbra_vcpu *vcpu, char *reason)
{
	const struct vmcb *vmcb = to_vmcb(vcpu);
	struct check c;

	if (vcpu->arch.exit_reason != SVM_ROW_INVALID)
		snprintf(reason, UMBRA_REASON_LEN, "exit code 0x%llx is not one that was asked for",
			 vcpu->arch.exit_code);
	else if (check_control(&vmcb->control, &c) || check_registers(&vmcb->save, &c))
		snprintf(reason, UMBRA_REASON_LEN, "%s (0x%llx) %s (APM Vol. 2 15.5.1)", c.subject,
			 c.value, c.wrong);
	else
		strscpy(reason,
			"invalid state, which every check of APM Vol. 2 15.5.1 made here lets pass",
			UMBRA_REASON_LEN);
}
