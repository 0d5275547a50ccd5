// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: injecting events, waiting until that is possible (SDM Vol. 3 25.8.3, 27.6, 28.2). */
#include <linux/percpu.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "trace.h"
#include "vmx.h"

/* Guest interruptibility state (table 25-3). */
#define BLOCKED_STI		BIT(0)
#define BLOCKED_MOV_SS		BIT(1)
#define BLOCKED_NMI		BIT(3)
#define SHADOW			(BLOCKED_STI | BLOCKED_MOV_SS)

/* NMIs were unblocked by an IRET that then failed (28.2.3). */
#define INFO_UNBLOCKED_NMI	BIT(12)
#define QUAL_UNBLOCKED_NMI	BIT_ULL(12)

/**
 * vmx_get_blocking() - what holds events off
 * @vcpu: the vCPU, loaded
 *
 * Return: UMBRA_EVENT_SHADOW_*, UMBRA_EVENT_NMI_MASKED.
 */
u32 vmx_get_blocking(struct umbra_vcpu *vcpu)
{
	u32 state = vmx_interruptibility(to_vmx(vcpu)), blocking = 0;

	if (likely(!state))
		return 0;
	if (state & BLOCKED_STI)
		blocking |= UMBRA_EVENT_SHADOW_STI;
	if (state & BLOCKED_MOV_SS)
		blocking |= UMBRA_EVENT_SHADOW_MOV_SS;
	if (state & BLOCKED_NMI)
		blocking |= UMBRA_EVENT_NMI_MASKED;
	return blocking;
}

/**
 * vmx_set_blocking() - set what holds events off
 * @vcpu: the vCPU, loaded
 * @blocking: UMBRA_EVENT_SHADOW_*, UMBRA_EVENT_NMI_MASKED
 *
 * There is one shadow only, and that of STI needs RFLAGS.IF (27.3.1.5).
 */
void vmx_set_blocking(struct umbra_vcpu *vcpu, u32 blocking)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 state = 0;

	if (blocking & UMBRA_EVENT_SHADOW_MOV_SS)
		state |= BLOCKED_MOV_SS;
	else if (blocking & UMBRA_EVENT_SHADOW_STI && vcpu->arch.rflags & X86_EFLAGS_IF)
		state |= BLOCKED_STI;
	vmx->shadowed = state;
	if (blocking & UMBRA_EVENT_NMI_MASKED)
		state |= BLOCKED_NMI;
	vmx_set_interruptibility(vmx, state);
}

/**
 * vmx_can_inject() - could an event be taken at the next entry?
 * @vcpu: the vCPU, loaded
 * @kind: interrupt or NMI
 *
 * Return: true if so.
 */
bool vmx_can_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind)
{
	u32 state = vmx_interruptibility(to_vmx(vcpu));

	if (unlikely(to_vmx(vcpu)->mode == VMX_SOFTWARE && vcpu->arch.cr0 & X86_CR0_PE))
		return false;
	if (kind == UMBRA_EVENT_KIND_NMI)
		return !(state & (SHADOW | BLOCKED_NMI));
	return vcpu->arch.rflags & X86_EFLAGS_IF && !(state & SHADOW);
}

/* With which exceptions the CPU insists on an error code, and with which on none (27.2.1.3). */
static bool pushes_error(const struct umbra_vcpu *vcpu, u8 vector)
{
	static const u32 vectors = BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) |
				   BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) |
				   BIT(X86_TRAP_AC);

	return vcpu->arch.cr0 & X86_CR0_PE && vectors & BIT(vector);
}

/*
 * The guest is in real mode and the CPU is not, so events are delivered in
 * software. On its way from there to protected mode a guest that the CPU will
 * not enter yet has no use for exceptions: it shuts down.
 */
static void inject_real(struct umbra_vcpu *vcpu, enum umbra_event_kind kind)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 state = vmx_interruptibility(vmx) & ~SHADOW;
	u8 vector = X86_TRAP_NMI;

	if (kind == UMBRA_EVENT_KIND_EXCEPTION)
		vector = arch->exception.vector;
	else if (kind == UMBRA_EVENT_KIND_INTERRUPT)
		vector = arch->interrupt.vector;
	else
		state |= BLOCKED_NMI;
	if (arch->cr0 & X86_CR0_PE) {
		umbra_request(vcpu, UMBRA_REQ_TRIPLE_FAULT);
		return;
	}
	vmx_set_interruptibility(vmx, state);
	/* A single step that the CPU still has in mind would be taken twice. */
	if (kind == UMBRA_EVENT_KIND_EXCEPTION)
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	umbra_deliver_real(vcpu, vector);
	arch->exception.injected = false;
	arch->interrupt.injected = false;
	arch->nmi_injected = false;
}

/**
 * vmx_inject() - deliver an event at the next entry
 * @vcpu: the vCPU, loaded
 * @kind: which
 */
void vmx_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind)
{
	const struct umbra_exception *e = &vcpu->arch.exception;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 info = INTR_INFO_VALID_MASK;

	if (unlikely(vmx->mode != VMX_NATIVE)) {
		inject_real(vcpu, kind);
		return;
	}
	switch (kind) {
	case UMBRA_EVENT_KIND_EXCEPTION:
		info |= INTR_TYPE_HARD_EXCEPTION | e->vector;
		if (pushes_error(vcpu, e->vector)) {
			info |= INTR_INFO_DELIVER_CODE_MASK;
			/*
			 * The upper half is reserved (27.2.1.3), nothing below: bits 15:3 are
			 * the index of a selector (6.13).
			 */
			vmcs_write(VM_ENTRY_EXCEPTION_ERROR_CODE, (u16)e->error);
		}
		/* It comes after the instruction that the shadow was for. */
		if (vmx_interruptibility(vmx) & SHADOW) {
			vmx_set_interruptibility(vmx, vmx->interruptibility & ~SHADOW);
			vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
		}
		break;
	case UMBRA_EVENT_KIND_INTERRUPT:
		info |= INTR_TYPE_EXT_INTR | vcpu->arch.interrupt.vector;
		break;
	case UMBRA_EVENT_KIND_NMI:
		info |= INTR_TYPE_NMI_INTR | X86_TRAP_NMI;
		/* Set by the delivery itself; in the way if that was cut short. */
		vmx_set_interruptibility(vmx, vmx_interruptibility(vmx) & ~BLOCKED_NMI);
		break;
	}
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, info);
	vmx->injecting = true;
}

/**
 * vmx_open_window() - exit as soon as an event can be taken
 * @vcpu: the vCPU, loaded
 * @kind: interrupt or NMI
 */
void vmx_open_window(struct umbra_vcpu *vcpu, enum umbra_event_kind kind)
{
	vmx_set_control(to_vmx(vcpu), VMX_PROC, kind == UMBRA_EVENT_KIND_NMI ?
			CPU_BASED_NMI_WINDOW_EXITING : CPU_BASED_INTR_WINDOW_EXITING, true);
}

/**
 * vmx_exit_window() - the guest can take an interrupt, or an NMI
 * @vcpu: the vCPU, loaded
 *
 * Return: 1.
 */
int vmx_exit_window(struct umbra_vcpu *vcpu)
{
	vcpu->arch.stat[UMBRA_STAT_INTERRUPT_WINDOWS]++;
	vmx_set_control(to_vmx(vcpu), VMX_PROC,
			vcpu->arch.exit_reason == EXIT_REASON_NMI_WINDOW ?
			CPU_BASED_NMI_WINDOW_EXITING : CPU_BASED_INTR_WINDOW_EXITING, false);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 1;
}

/**
 * vmx_cancel_injection() - the entry that was prepared does not take place
 * @vcpu: the vCPU, loaded
 */
void vmx_cancel_injection(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx->injecting)
		return;
	vmx->injecting = false;
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/*
 * Where the CPU reports a wrong event: if interrupts are enabled and one is in
 * service, it was about to be delivered. (Unless the guest enables them again
 * before the EOI, and the delivery of an exception was cut short there.) Else what
 * the CPU says is right.
 */
static u32 really_cut_short(const struct umbra_vcpu *vcpu, u32 info)
{
	u8 serviced = vmcs_read(GUEST_INTR_STATUS) >> 8;

	if (!vcpu->arch.lapic->delivers || !serviced || !(vcpu->arch.rflags & X86_EFLAGS_IF))
		return info;
	return INTR_TYPE_EXT_INTR | serviced;
}

static void take_back(struct umbra_vcpu *vcpu, u32 info)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	u8 vector;

	if (unlikely(vmx_caps.forgets_vector))
		info = really_cut_short(vcpu, info);
	vector = info & INTR_INFO_VECTOR_MASK;
	switch (info & INTR_INFO_INTR_TYPE_MASK) {
	case INTR_TYPE_EXT_INTR:
		arch->interrupt = (struct umbra_interrupt) { .injected = true, .vector = vector };
		break;
	case INTR_TYPE_NMI_INTR:
		arch->nmi_injected = true;
		break;
	case INTR_TYPE_HARD_EXCEPTION:
		arch->exception = (struct umbra_exception) {
			.injected = true,
			.vector = vector,
			.has_error = info & INTR_INFO_DELIVER_CODE_MASK,
			.error = info & INTR_INFO_DELIVER_CODE_MASK ?
				 vmcs_read(IDT_VECTORING_ERROR_CODE) : 0,
		};
		break;
	default:
		/* INT n, INT3, INTO, INT1: the instruction is executed again. */
		return;
	}
	arch->stat[UMBRA_STAT_REINJECTIONS]++;
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}

static bool unblocked_nmi(struct vmx_vcpu *vmx, u32 row)
{
	if (row == EXIT_REASON_EPT_VIOLATION || row == EXIT_REASON_PML_FULL)
		return vmx_qualification(vmx) & QUAL_UNBLOCKED_NMI;
	return vmx->intr_info & INFO_UNBLOCKED_NMI;
}

/* An IRET that faulted has unblocked NMIs too soon (28.2.3). */
static void block_nmi_again(struct vmx_vcpu *vmx, u32 row)
{
	if (unblocked_nmi(vmx, row))
		vmx_set_interruptibility(vmx, vmx_interruptibility(vmx) | BLOCKED_NMI);
}

/*
 * An instruction that faulted is executed again, and the single step comes after it.
 * Such an exit leaves nothing pending but for what a shadow holds off (28.3.4), on
 * Intel's CPUs; on Bochs it also leaves the step, which would come twice.
 */
static void forget_step(const struct umbra_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	if (unlikely(vcpu->arch.rflags & X86_EFLAGS_TF) && !(vmx_interruptibility(vmx) & SHADOW))
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
}

/**
 * vmx_complete_exit() - take back an event whose delivery the exit cut short
 * @vcpu: the vCPU, loaded
 *
 * Only faults do that, never an instruction that exits.
 */
void vmx_complete_exit(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 info;

	/* Nothing has been delivered; vmx_describe_failure() looks at what was to be. */
	if (unlikely(arch->exit_reason == VMX_ROW_INVALID || arch->exit_reason == VMX_ROW_FAILED))
		return;
	vmx_save_rest(vcpu);
	if (unlikely(vmx->fast_event)) {
		/* There was no entry after all. */
		vmx->fast_event = false;
		vmx_cancel_injection(vcpu);
		umbra_request(vcpu, UMBRA_REQ_EVENT);
	}
	arch->exception.injected = false;
	arch->interrupt.injected = false;
	arch->nmi_injected = false;
	switch (arch->exit_reason) {
	case VMX_ROW_DB ... VMX_ROW_PF:
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_EPT_MISCONFIG:
	case EXIT_REASON_PML_FULL:
	case EXIT_REASON_TASK_SWITCH:
	case EXIT_REASON_APIC_ACCESS:
		break;
	default:
		return;
	}
	forget_step(vcpu, vmx);
	info = vmcs_read(IDT_VECTORING_INFO_FIELD);
	if (unlikely(info & VECTORING_INFO_VALID_MASK))
		take_back(vcpu, info);
	else if (arch->exit_reason != VMX_ROW_DB && arch->exit_reason != EXIT_REASON_TASK_SWITCH &&
		 arch->exit_reason != EXIT_REASON_APIC_ACCESS)
		block_nmi_again(vmx, arch->exit_reason);
}

/**
 * vmx_nothing_to_complete() - would vmx_complete_exit() have nothing to take back?
 * @vcpu: the vCPU, loaded; interrupts off; the exit was a page fault or EPT violation
 *
 * Return: true if so; then all that was injected has been delivered.
 */
bool vmx_nothing_to_complete(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmcs_read(IDT_VECTORING_INFO_FIELD) & VECTORING_INFO_VALID_MASK ||
	    arch->exception.pending || vmx->mode != VMX_NATIVE ||
	    unblocked_nmi(vmx, arch->exit_reason))
		return false;
	forget_step(vcpu, vmx);
	arch->exception.injected = false;
	arch->interrupt.injected = false;
	arch->nmi_injected = false;
	return true;
}

/**
 * vmx_inject_page_fault() - deliver a page fault at the next entry, which follows at once
 * @vcpu: the vCPU, loaded; interrupts off; vmx_nothing_to_complete()
 * @error: its error code
 * @gva: the address, for CR2
 *
 * Should there be no entry, vmx_complete_exit() leaves it to umbra_event_inject().
 */
void vmx_inject_page_fault(struct umbra_vcpu *vcpu, u32 error, u64 gva)
{
	umbra_raise_page_fault(vcpu, error, gva);
	vmx_inject(vcpu, UMBRA_EVENT_KIND_EXCEPTION);
	to_vmx(vcpu)->fast_event = true;
}

/**
 * vmx_exit_debug() - #DB
 * @vcpu: the vCPU, loaded
 *
 * The reason is in the exit qualification, laid out as DR6 (table 28-1). INT1
 * has none, and is a trap, while its exit is a fault.
 *
 * Return: 1.
 */
int vmx_exit_debug(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 reason = vmx_qualification(vmx) & (DR_TRAP_BITS | DR_STEP | DR_SWITCH | DR6_BD);

	if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
		vcpu->arch.rip += vmcs_read(VM_EXIT_INSTRUCTION_LEN);
	umbra_queue_debug(vcpu, reason);
	return 1;
}
