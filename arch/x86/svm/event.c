// SPDX-License-Identifier: GPL-2.0-only
/* AMD-V: injecting events, waiting until that is possible (APM Vol. 2 15.20, 15.21). */
#include <linux/percpu.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "svm.h"
#include "trace.h"

/**
 * svm_get_blocking() - what holds events off
 * @vcpu: the vCPU, loaded
 *
 * The VMCB does not say whether a shadow is that of STI or of MOV SS.
 *
 * Return: UMBRA_EVENT_SHADOW_STI, UMBRA_EVENT_NMI_MASKED.
 */
u32 svm_get_blocking(struct umbra_vcpu *vcpu)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	u32 blocking = 0;

	if (svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK)
		blocking |= UMBRA_EVENT_SHADOW_STI;
	if (svm->nmi_masked)
		blocking |= UMBRA_EVENT_NMI_MASKED;
	return blocking;
}

static void mask_nmi(struct umbra_vcpu *vcpu, bool masked)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->nmi_masked = masked;
	svm->awaiting_iret = false;
	svm_intercept(svm->vmcb, INTERCEPT_IRET, masked);
}

/**
 * svm_set_blocking() - set what holds events off
 * @vcpu: the vCPU, loaded, its RIP where it is to be
 * @blocking: UMBRA_EVENT_SHADOW_*, UMBRA_EVENT_NMI_MASKED
 */
void svm_set_blocking(struct umbra_vcpu *vcpu, u32 blocking)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u32 *state = &svm->vmcb->control.int_state;
	bool nmi = blocking & UMBRA_EVENT_NMI_MASKED;

	if (blocking & (UMBRA_EVENT_SHADOW_STI | UMBRA_EVENT_SHADOW_MOV_SS))
		*state |= SVM_INTERRUPT_SHADOW_MASK;
	else
		*state &= ~(u32)SVM_INTERRUPT_SHADOW_MASK;
	svm->shadow = svm_caps.loses_shadow && *state & SVM_INTERRUPT_SHADOW_MASK;
	svm->shadow_rip = vcpu->arch.rip;
	if (nmi != svm->nmi_masked)
		mask_nmi(vcpu, nmi);
}

/**
 * svm_can_inject() - could an event be taken at the next entry?
 * @vcpu: the vCPU, loaded
 * @kind: interrupt or NMI
 *
 * Return: true if so.
 */
bool svm_can_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind)
{
	const struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK)
		return false;
	if (kind == UMBRA_EVENT_KIND_NMI)
		return !svm->nmi_masked;
	return vcpu->arch.rflags & X86_EFLAGS_IF;
}

static void set_virq(struct vmcb *vmcb, bool on)
{
	u32 *int_ctl = &vmcb->control.int_ctl;

	/* Of the highest priority and regardless of TPR: we have made sure of that. */
	*int_ctl &= ~(u32)V_IRQ_INJECTION_BITS_MASK;
	if (on)
		*int_ctl |= V_IRQ_MASK | V_IGN_TPR_MASK | V_INTR_PRIO_MASK;
	svm_dirty(vmcb, SVM_CLEAN_TPR);
}

/*
 * An external interrupt as a virtual one (15.21.4), which the CPU takes at once:
 * interrupts are open, or were when its delivery was cut short.
 */
static void inject_virq(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	set_virq(svm->vmcb, true);
	svm_intercept(svm->vmcb, INTERCEPT_VINTR, false);
	svm->vmcb->control.int_vector = vcpu->arch.interrupt.vector;
	svm->virq = true;
}

/**
 * svm_inject() - deliver an event at the next entry
 * @vcpu: the vCPU, loaded
 * @kind: which
 */
void svm_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind)
{
	struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	const struct umbra_exception *e = &vcpu->arch.exception;

	switch (kind) {
	case UMBRA_EVENT_KIND_EXCEPTION:
		control->event_inj = e->vector | SVM_EVENT_EXCEPTION | SVM_EVENT_VALID |
				     (e->has_error ? SVM_EVENT_ERROR : 0);
		control->event_inj_err = e->error;
		break;
	case UMBRA_EVENT_KIND_INTERRUPT:
		if (svm_caps.inject_virq && !vcpu->arch.interrupt.soft) {
			inject_virq(vcpu);
			break;
		}
		/* Whatever still waits behind it gets a window of its own. */
		if (control->int_ctl & V_IRQ_MASK)
			svm_close_interrupt_window(vcpu);
		control->event_inj = vcpu->arch.interrupt.vector | SVM_EVENT_VALID |
				     (vcpu->arch.interrupt.soft ? SVM_EVENT_SOFT : SVM_EVENT_INTR);
		break;
	case UMBRA_EVENT_KIND_NMI:
		control->event_inj = X86_TRAP_NMI | SVM_EVENT_NMI | SVM_EVENT_VALID;
		mask_nmi(vcpu, true);
		break;
	}
}

/**
 * svm_close_interrupt_window() - an exit for its sake is not wanted any more
 * @vcpu: the vCPU, loaded
 */
void svm_close_interrupt_window(struct umbra_vcpu *vcpu)
{
	set_virq(to_vmcb(vcpu), false);
	svm_intercept(to_vmcb(vcpu), INTERCEPT_VINTR, false);
	to_svm(vcpu)->virq = false;
}

/* Exit after the one instruction at RIP, by a debug trap. */
static void step_one(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->stepping)
		return;
	svm->stepping = true;
	svm->guest_steps = vcpu->arch.rflags & X86_EFLAGS_TF;
	vcpu->arch.rflags |= X86_EFLAGS_TF;
}

/**
 * svm_end_step() - an instruction that may have been stepped through is done otherwise
 * @vcpu: the vCPU, loaded; any context
 *
 * For exits before the instruction: what executes it in software must not see our
 * TF, and neither must who reads the guest's registers. If the CPU has cleared TF,
 * it is on the guest's stack, where an exception that the instruction raised has
 * put it, and the trap will come when the handler returns.
 */
void svm_end_step(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm->stepping || !(vcpu->arch.rflags & X86_EFLAGS_TF))
		return;
	svm->stepping = false;
	if (!svm->guest_steps)
		vcpu->arch.rflags &= ~(u64)X86_EFLAGS_TF;
	/* What is waited for still waits. */
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}

/**
 * svm_open_window() - exit as soon as an event can be taken
 * @vcpu: the vCPU, loaded
 * @kind: interrupt or NMI
 */
void svm_open_window(struct umbra_vcpu *vcpu, enum umbra_event_kind kind)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->virq) {
		/*
		 * Its delivery needs V_IRQ and would be overtaken by an exit that
		 * is due already. The next exit, its EOI at the latest, will do.
		 */
		svm->look_again = true;
	} else if (kind == UMBRA_EVENT_KIND_INTERRUPT && svm_caps.loses_shadow &&
		   svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK) {
		/* The CPU has forgotten it, and would exit before its instruction. */
		step_one(vcpu);
	} else if (kind == UMBRA_EVENT_KIND_INTERRUPT) {
		set_virq(svm->vmcb, true);
		svm_intercept(svm->vmcb, INTERCEPT_VINTR, true);
	} else if (svm->vmcb->control.event_inj & SVM_EVENT_VALID) {
		/* Another event goes first: exit before its handler's first instruction. */
		vcpu->arch.exit_soon = true;
	} else if (!svm->nmi_masked || svm->awaiting_iret) {
		/* A shadow, or an IRET that is being executed, ends with this instruction. */
		step_one(vcpu);
	}
	/* Else NMIs are masked until an IRET, which is intercepted. */
}

/**
 * svm_cancel_injection() - the entry that was prepared does not take place
 * @vcpu: the vCPU, loaded
 */
void svm_cancel_injection(struct umbra_vcpu *vcpu)
{
	to_vmcb(vcpu)->control.event_inj = 0;
	if (to_svm(vcpu)->virq)
		svm_close_interrupt_window(vcpu);
	svm_end_step(vcpu);
}

/* The IRET that ends an NMI handler has been executed once RIP is elsewhere. */
static void watch_iret(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (vcpu->arch.rip == svm->iret_rip)
		return;
	svm->awaiting_iret = false;
	svm->nmi_masked = false;
	svm->iret_done = true;
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}

/*
 * What the CPU was told of a shadow at the last entry it has forgotten. If it left
 * the guest before the instruction there, that is still to come: all exits are before
 * an instruction, but for the trap after a step.
 */
static void keep_shadow(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;

	if (svm->shadow && svm->shadow_rip == vcpu->arch.rip &&
	    vcpu->arch.exit_reason != SVM_EXIT_EXCP_BASE + X86_TRAP_DB)
		control->int_state |= SVM_INTERRUPT_SHADOW_MASK;
	svm->shadow = control->int_state & SVM_INTERRUPT_SHADOW_MASK;
	svm->shadow_rip = vcpu->arch.rip;
}

/**
 * svm_raised_by_instruction() - is it an event that an instruction raises by itself?
 * @info: EXITINTINFO
 *
 * Such an instruction is executed again instead of injecting its event (15.7.1).
 *
 * Return: true if so.
 */
bool svm_raised_by_instruction(u32 info)
{
	u8 vector = info & SVM_EVENT_VECTOR;

	if ((info & SVM_EVENT_TYPE) == SVM_EVENT_SOFT)
		return true;
	return (info & SVM_EVENT_TYPE) == SVM_EVENT_EXCEPTION &&
	       (vector == X86_TRAP_BP || vector == X86_TRAP_OF);
}

static noinline void complete_exit(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	u32 info = svm->vmcb->control.exit_int_info;

	if (unlikely(arch->exit_reason == SVM_ROW_INVALID))
		return;
	if (unlikely(svm->fast_event)) {
		/* There was no entry after all. */
		svm->fast_event = false;
		svm->vmcb->control.event_inj = 0;
		umbra_request(vcpu, UMBRA_REQ_EVENT);
	}
	arch->exception.injected = false;
	arch->interrupt.injected = false;
	arch->nmi_injected = false;
	if (svm->virq) {
		/* Still there: the exit came first, or in the middle of the delivery. */
		if (svm->vmcb->control.int_ctl & V_IRQ_MASK)
			arch->interrupt.injected = true;
		if (arch->interrupt.injected || svm->look_again)
			umbra_request(vcpu, UMBRA_REQ_EVENT);
		svm->look_again = false;
		svm_close_interrupt_window(vcpu);
	}
	if (unlikely(svm->shadow || svm->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK) &&
	    svm_caps.loses_shadow)
		keep_shadow(vcpu);
	svm->iret_done = false;
	if (unlikely(svm->awaiting_iret))
		watch_iret(vcpu);
	if (likely(!(info & SVM_EVENT_VALID)) || svm_raised_by_instruction(info))
		return;

	arch->stat[UMBRA_STAT_REINJECTIONS]++;
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	switch (info & SVM_EVENT_TYPE) {
	case SVM_EVENT_INTR:
		arch->interrupt.injected = true;
		arch->interrupt.soft = false;
		arch->interrupt.vector = info & SVM_EVENT_VECTOR;
		break;
	case SVM_EVENT_NMI:
		arch->nmi_injected = true;
		break;
	case SVM_EVENT_EXCEPTION:
		/* QEMU calls a virtual interrupt that was cut short an exception. */
		if ((info & SVM_EVENT_VECTOR) > 31) {
			arch->interrupt.injected = true;
			arch->interrupt.soft = false;
			arch->interrupt.vector = info & SVM_EVENT_VECTOR;
			break;
		}
		arch->exception = (struct umbra_exception) {
			.injected = true,
			.vector = info & SVM_EVENT_VECTOR,
			.has_error = info & SVM_EVENT_ERROR,
			.error = svm->vmcb->control.exit_int_info_err,
		};
		break;
	}
}

/**
 * svm_complete_exit() - take back an event whose delivery the exit cut short
 * @vcpu: the vCPU, loaded
 *
 * Only the valid bit of EXITINTINFO can be relied on when there is none.
 */
void svm_complete_exit(struct umbra_vcpu *vcpu)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_control_area *control = &svm->vmcb->control;
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	if (unlikely(svm->unfinished || control->exit_int_info & SVM_EVENT_VALID ||
		     control->int_state & SVM_INTERRUPT_SHADOW_MASK ||
		     arch->exit_reason == SVM_ROW_INVALID)) {
		complete_exit(vcpu);
		return;
	}
	arch->exception.injected = false;
	arch->interrupt.injected = false;
	arch->nmi_injected = false;
}

/**
 * svm_nothing_to_complete() - would svm_complete_exit() have nothing to take back?
 * @vcpu: the vCPU, loaded; interrupts off
 *
 * Return: true if so; then all that was injected has been delivered.
 */
bool svm_nothing_to_complete(struct umbra_vcpu *vcpu)
{
	const struct svm_vcpu *svm = to_svm(vcpu);
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	if (svm->vmcb->control.exit_int_info & SVM_EVENT_VALID || svm->virq ||
	    svm->awaiting_iret || svm->stepping || arch->exception.pending)
		return false;
	arch->exception.injected = false;
	arch->interrupt.injected = false;
	arch->nmi_injected = false;
	return true;
}

/**
 * svm_inject_page_fault() - deliver a page fault at the next entry, which follows at once
 * @vcpu: the vCPU, loaded; interrupts off; svm_nothing_to_complete()
 * @error: its error code
 * @gva: the address, for CR2
 *
 * Should there be no entry, svm_complete_exit() leaves it to umbra_event_inject().
 */
void svm_inject_page_fault(struct umbra_vcpu *vcpu, u32 error, u64 gva)
{
	umbra_raise_page_fault(vcpu, error, gva);
	svm_inject(vcpu, UMBRA_EVENT_KIND_EXCEPTION);
	to_svm(vcpu)->fast_event = true;
}

/**
 * svm_exit_iret() - IRET while NMIs are masked
 * @vcpu: the vCPU, loaded
 *
 * It is let through; NMIs are unmasked when it has been executed.
 *
 * Return: 1.
 */
int svm_exit_iret(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm_intercept(svm->vmcb, INTERCEPT_IRET, false);
	svm->awaiting_iret = true;
	svm->iret_rip = vcpu->arch.rip;
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 1;
}

/**
 * svm_exit_debug() - #DB
 * @vcpu: the vCPU, loaded
 *
 * The CPU has put the reason into DR6 already.
 *
 * Return: 1.
 */
int svm_exit_debug(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 reason = vcpu->arch.dr6 & (DR_TRAP_BITS | DR_STEP | DR_SWITCH | DR6_BD);

	if (svm->stepping) {
		svm->stepping = false;
		umbra_request(vcpu, UMBRA_REQ_EVENT);
		if (!svm->guest_steps) {
			/* An IRET has replaced TF by what it popped; nothing else does. */
			if (!svm->iret_done)
				vcpu->arch.rflags &= ~(u64)X86_EFLAGS_TF;
			reason &= ~(u64)DR_STEP;
			vcpu->arch.dr6 &= ~(u64)DR_STEP;
			umbra_backend->update_debug(vcpu);
			if (!reason)
				return 1;
		}
	}
	umbra_queue_debug(vcpu, reason);
	return 1;
}
