// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x without unrestricted guest: real mode, and code with paging off.
 *
 * The CPU then runs guests in protected mode with paging only. With shadow
 * paging nothing is missing but real mode, as the tables are ours anyway. With
 * EPT, paging that is off is paging by PAE tables that map all addresses to
 * themselves. They are five pages, the same for all guests, where there is
 * never memory: at the end of the addresses that are interrupt messages.
 *
 * Real mode runs in virtual-8086 mode (SDM Vol. 3 21.2) as long as that is the
 * same: each segment is of 64 KiB, where its selector says, and 16-bit. IOPL is
 * 0 there, so whatever shows the difference (PUSHF, POPF, CLI, STI, INT n, IRET,
 * I/O, everything privileged) gives #GP and is executed in software, and so is
 * the delivery of every event. Else, and in a state of protected mode that the
 * checks at entry refuse, which a guest passes through on its way from real
 * mode, all instructions are executed in software until it has come out of it.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <asm/pgtable_types.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "vmx.h"

/* Exceptions that are ours, whatever the paging: delivering #DB and #AC can go on for ever. */
#define ALWAYS_TRAPPED	(BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

/* Access rights in virtual-8086 mode (27.3.1.2), and what they may stand for in real mode. */
#define VM86_ATTR	(UMBRA_SEG_P | 3 << UMBRA_SEG_DPL_SHIFT | UMBRA_SEG_S | 3)
#define VM86_LIMIT	0xffff
#define TYPE_DATA	3
#define TYPE_CODE	11

/* One page directory for each GiB, and their four pointers. */
#define DIRECTORIES	4
#define IDENTITY_PAGES	(DIRECTORIES + 1)
#define IDENTITY_ORDER	3
#define IDENTITY_GPA	0xfeef8000ULL
#define POINTERS_GPA	(IDENTITY_GPA + DIRECTORIES * PAGE_SIZE)
#define ENTRY_FLAGS	(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED |	\
			 _PAGE_DIRTY | _PAGE_PSE)

static struct page *identity;

static u64 pointer(unsigned int i)
{
	return (IDENTITY_GPA + i * PAGE_SIZE) | _PAGE_PRESENT;
}

/**
 * vmx_real_setup() - make the tables that stand for no paging
 *
 * Return: 0 or -ENOMEM.
 */
int vmx_real_setup(void)
{
	unsigned int i;
	u64 *entry;

	if (!vmx_caps.ept || vmx_caps.unrestricted)
		return 0;
	identity = umbra_alloc_pages(GFP_KERNEL | __GFP_ZERO, IDENTITY_ORDER);
	if (!identity)
		return -ENOMEM;
	entry = page_address(identity);
	for (i = 0; i < DIRECTORIES * PTRS_PER_PMD; i++)
		*entry++ = ((u64)i << PMD_SHIFT) | ENTRY_FLAGS;
	for (i = 0; i < DIRECTORIES; i++)
		*entry++ = pointer(i);
	return 0;
}

/**
 * vmx_real_teardown() - undo vmx_real_setup()
 */
void vmx_real_teardown(void)
{
	if (identity)
		umbra_free_pages(identity, IDENTITY_ORDER);
	identity = NULL;
}

/**
 * vmx_load_identity() - the guest has no paging of its own
 * @vmx: the vCPU, loaded
 *
 * Entries with EPT take the four pointers from the VMCS (27.3.1.6), the guest's
 * writes of CR0 and CR4 that change nothing may take them from memory.
 */
void vmx_load_identity(struct vmx_vcpu *vmx)
{
	unsigned int i;

	for (i = 0; i < DIRECTORIES; i++)
		vmcs_write(GUEST_PDPTR0 + 2 * i, pointer(i));
	vmx->guest_cr3 = POINTERS_GPA;
	vmcs_write(GUEST_CR3, POINTERS_GPA);
}

/**
 * vmx_map_identity() - an EPT violation by the CPU's own reads of tables
 * @vcpu: the vCPU, loaded
 * @gpa: what it read
 * @ret: what the exit handler is to return
 *
 * Return: false if it is no page of these.
 */
bool vmx_map_identity(struct umbra_vcpu *vcpu, u64 gpa, int *ret)
{
	u64 offset = gpa - IDENTITY_GPA;

	if (to_vmx(vcpu)->own_cr3 || offset >= IDENTITY_PAGES * PAGE_SIZE)
		return false;
	*ret = umbra_mmu_map_page(vcpu, gpa >> PAGE_SHIFT,
				  page_to_pfn(identity) + (offset >> PAGE_SHIFT));
	return true;
}

/**
 * vmx_write_exception_bitmap() - which exceptions exit
 * @vcpu: the vCPU, loaded
 *
 * All do in virtual-8086 mode, as the guest's IDT is that of real mode.
 */
void vmx_write_exception_bitmap(struct umbra_vcpu *vcpu)
{
	u32 bits = ALWAYS_TRAPPED;

	if (to_vmx(vcpu)->mode == VMX_VM86)
		bits = ~0U;
	else if (!vmx_nested(vcpu))
		bits |= BIT(X86_TRAP_PF);
	vmcs_write(EXCEPTION_BITMAP, bits);
}

/**
 * vmx_fits_vm86() - is a segment of real mode the same in virtual-8086 mode?
 * @seg: which
 * @s: its value
 *
 * Return: true if so.
 */
bool vmx_fits_vm86(int seg, const struct umbra_segment *s)
{
	u32 type = s->attr & UMBRA_SEG_TYPE;

	if (s->base != (u64)s->selector << 4 || s->limit != VM86_LIMIT ||
	    s->attr & (UMBRA_SEG_DB | UMBRA_SEG_UNUSABLE) ||
	    (s->attr & (UMBRA_SEG_P | UMBRA_SEG_S)) != (UMBRA_SEG_P | UMBRA_SEG_S))
		return false;
	return type == TYPE_DATA || (seg == UMBRA_CS && type == TYPE_CODE);
}

static void forget_segments(struct vmx_vcpu *vmx)
{
	vmx->cached &= ~(BIT(VMX_CACHED_CS_ATTR) | BIT(VMX_CACHED_SS_ATTR));
	/* RFLAGS.VM and IOPL are written with the next entry. */
	vmx->rflags = 0;
}

static bool enter_vm86(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct umbra_segment s;
	int seg;

	for (seg = UMBRA_ES; seg <= UMBRA_GS; seg++) {
		umbra_backend->get_segment(vcpu, seg, &s);
		if (!vmx_fits_vm86(seg, &s))
			return false;
	}
	for (seg = UMBRA_ES; seg <= UMBRA_GS; seg++) {
		vmx->real_attr[seg] = vmcs_read(GUEST_ES_AR_BYTES + 2 * seg);
		vmcs_write(GUEST_ES_AR_BYTES + 2 * seg, VM86_ATTR);
	}
	vmx->mode = VMX_VM86;
	forget_segments(vmx);
	vmx_write_exception_bitmap(vcpu);
	return true;
}

/**
 * vmx_leave_vm86() - put the segments' own attributes back
 * @vcpu: the vCPU, loaded, in VMX_VM86
 */
void vmx_leave_vm86(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int seg;

	for (seg = UMBRA_ES; seg <= UMBRA_GS; seg++)
		vmcs_write(GUEST_ES_AR_BYTES + 2 * seg, vmx->real_attr[seg]);
	/* Until it is known better. */
	vmx->mode = VMX_SOFTWARE;
	forget_segments(vmx);
	vmx_write_exception_bitmap(vcpu);
}

/**
 * vmx_recheck() - what decides how the guest runs has changed
 * @vcpu: the vCPU, loaded
 */
void vmx_recheck(struct umbra_vcpu *vcpu)
{
	to_vmx(vcpu)->recheck = true;
	umbra_request(vcpu, UMBRA_REQ_SOFTWARE);
}

static bool choose_mode(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!(vcpu->arch.cr0 & X86_CR0_PE)) {
		if (vmx->mode == VMX_VM86 || enter_vm86(vcpu))
			return true;
	} else {
		if (vmx->mode == VMX_VM86)
			vmx_leave_vm86(vcpu);
		if (vmx_segments_settled(vcpu)) {
			vmx->mode = VMX_NATIVE;
			return true;
		}
	}
	vmx->mode = VMX_SOFTWARE;
	return false;
}

/**
 * vmx_can_enter() - can the CPU run the guest in the state it is in?
 * @vcpu: the vCPU, loaded
 *
 * Return: true if so, perhaps in another mode than the guest believes.
 */
bool vmx_can_enter(struct umbra_vcpu *vcpu)
{
	static const struct {
		u32 control;
		enum umbra_event_kind kind;
	} windows[] = {
		{ CPU_BASED_INTR_WINDOW_EXITING, UMBRA_EVENT_KIND_INTERRUPT },
		{ CPU_BASED_NMI_WINDOW_EXITING, UMBRA_EVENT_KIND_NMI },
	};
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned int i;

	if (vmx->recheck) {
		bool fits = choose_mode(vcpu);

		vmx->recheck = false;
		if (vmx->apic_page)
			vmx_update_apic(vcpu);
		if (fits)
			return true;
	}
	if (vmx->mode != VMX_SOFTWARE)
		return true;
	/* Without entries there are no window exits. */
	for (i = 0; i < ARRAY_SIZE(windows); i++) {
		if (vmx->control[VMX_PROC] & windows[i].control &&
		    vmx_can_inject(vcpu, windows[i].kind)) {
			vmx_set_control(vmx, VMX_PROC, windows[i].control, false);
			umbra_request(vcpu, UMBRA_REQ_EVENT);
		}
	}
	return false;
}

/**
 * vmx_exit_exception() - an exception in virtual-8086 mode
 * @vcpu: the vCPU, loaded
 *
 * #GP may be due to that mode. INT3 and INTO are traps, their exits faults.
 *
 * Return: as umbra_emulate_exit().
 */
int vmx_exit_exception(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u8 vector = vmx->intr_info & INTR_INFO_VECTOR_MASK;

	if (vector == X86_TRAP_GP)
		return umbra_emulate_refused(vcpu);
	if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_SOFT_EXCEPTION)
		vcpu->arch.rip += vmcs_read(VM_EXIT_INSTRUCTION_LEN);
	umbra_queue_exception(vcpu, vector);
	return 1;
}
