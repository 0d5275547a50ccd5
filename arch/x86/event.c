// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions, interrupts and NMIs on their way to the guest.
 *
 * An event is pending until it is handed to the CPU, injected until the CPU
 * has delivered it. When an exit cuts the delivery short the backend gives it
 * back (complete_exit) and it is injected once more at the next entry.
 */
#include <linux/bitops.h>
#include <linux/percpu.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>
#include "trace.h"
#include "umbra.h"

/* Classes of SDM Vol. 3 table 6-4, APM Vol. 2 table 8-3. */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum fault_class fault_class(u8 vector)
{
	switch (vector) {
	case X86_TRAP_PF:
		return PAGE_FAULT;
	case X86_TRAP_DE:
	case X86_TRAP_TS:
	case X86_TRAP_NP:
	case X86_TRAP_SS:
	case X86_TRAP_GP:
		return CONTRIBUTORY;
	default:
		return BENIGN;
	}
}

/* Does the second exception, raised while the first was delivered, make #DF? */
static bool is_double_fault(u8 first, u8 second)
{
	enum fault_class a = fault_class(first), b = fault_class(second);

	return (a == CONTRIBUTORY && b == CONTRIBUTORY) || (a == PAGE_FAULT && b != BENIGN);
}

static void queue(struct umbra_vcpu *vcpu, const struct umbra_exception *new)
{
	struct umbra_exception *e = &vcpu->arch.exception;

	if (e->pending || e->injected) {
		if (e->vector == X86_TRAP_DF) {
			/* An exception while #DF is delivered shuts the CPU down. */
			e->pending = false;
			e->injected = false;
			umbra_request(vcpu, UMBRA_REQ_TRIPLE_FAULT);
			return;
		}
		if (is_double_fault(e->vector, new->vector)) {
			/* What the second one put into CR2 stays there. */
			if (new->vector == X86_TRAP_PF)
				vcpu->arch.cr2 = new->payload;
			*e = (struct umbra_exception) {
				.pending = true,
				.vector = X86_TRAP_DF,
				.has_error = true,
			};
			umbra_request(vcpu, UMBRA_REQ_EVENT);
			return;
		}
	}
	*e = *new;
	e->pending = true;
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}

/**
 * umbra_queue_exception() - raise an exception without error code
 * @vcpu: the vCPU
 * @vector: X86_TRAP_*
 *
 * If another one is on its way already, the two become #DF or shutdown by the
 * rules of SDM Vol. 3 6.15.
 */
void umbra_queue_exception(struct umbra_vcpu *vcpu, u8 vector)
{
	queue(vcpu, &(struct umbra_exception) { .vector = vector });
}

/**
 * umbra_queue_exception_error() - raise an exception with an error code
 * @vcpu: the vCPU
 * @vector: X86_TRAP_*
 * @error: its error code
 */
void umbra_queue_exception_error(struct umbra_vcpu *vcpu, u8 vector, u32 error)
{
	queue(vcpu, &(struct umbra_exception) {
		.vector = vector,
		.has_error = true,
		.error = error,
	});
}

/**
 * umbra_queue_page_fault() - raise a page fault
 * @vcpu: the vCPU
 * @error: its error code
 * @gva: the address, for CR2
 */
void umbra_queue_page_fault(struct umbra_vcpu *vcpu, u32 error, gva_t gva)
{
	vcpu->arch.stat[UMBRA_STAT_GUEST_FAULTS]++;
	queue(vcpu, &(struct umbra_exception) {
		.vector = X86_TRAP_PF,
		.has_error = true,
		.error = error,
		.has_payload = true,
		.payload = gva,
	});
}

/**
 * umbra_queue_debug() - raise a debug exception
 * @vcpu: the vCPU
 * @dr6: the bits of DR6 that say why
 */
void umbra_queue_debug(struct umbra_vcpu *vcpu, u64 dr6)
{
	queue(vcpu, &(struct umbra_exception) {
		.vector = X86_TRAP_DB,
		.has_payload = true,
		.payload = dr6,
	});
}

/**
 * umbra_queue_nmi() - an NMI arrives
 * @vcpu: the vCPU; any context
 *
 * One is handled, one is latched, more are lost (SDM Vol. 3 6.7.1).
 */
void umbra_queue_nmi(struct umbra_vcpu *vcpu)
{
	set_bit(UMBRA_NMI_LATCHED, &vcpu->arch.async);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	umbra_vcpu_kick(vcpu);
}

/* Puts what goes with an exception where the guest's handler looks for it. */
static void deliver_payload(struct umbra_vcpu *vcpu, struct umbra_exception *e)
{
	if (!e->has_payload)
		return;
	if (e->vector == X86_TRAP_PF) {
		vcpu->arch.cr2 = e->payload;
	} else {
		/* SDM Vol. 3 17.2.3: the breakpoint bits are replaced, the rest accumulates. */
		vcpu->arch.dr6 &= ~DR_TRAP_BITS;
		vcpu->arch.dr6 |= e->payload;
		vcpu->arch.dr7 &= ~DR7_GD;
		umbra_backend->update_debug(vcpu);
	}
	e->has_payload = false;
}

static void inject_exception(struct umbra_vcpu *vcpu)
{
	struct umbra_exception *e = &vcpu->arch.exception;

	e->pending = false;
	e->injected = true;
	deliver_payload(vcpu, e);
	/*
	 * Faults push RFLAGS with RF set, so that IRET does not meet an
	 * instruction breakpoint twice (SDM Vol. 3 17.3.1.1). Traps do not.
	 */
	if (e->vector != X86_TRAP_DB && e->vector != X86_TRAP_BP && e->vector != X86_TRAP_OF)
		vcpu->arch.rflags |= X86_EFLAGS_RF;
	/* There are no error codes in real mode (APM Vol. 2 8.2). */
	if (!(vcpu->arch.cr0 & X86_CR0_PE))
		e->has_error = false;
	vcpu->arch.stat[UMBRA_STAT_EXCEPTIONS]++;
	trace_umbra_inject(vcpu->id, UMBRA_EVENT_KIND_EXCEPTION, e->vector, e->has_error, e->error);
	umbra_backend->inject(vcpu, UMBRA_EVENT_KIND_EXCEPTION);
}

static void inject_interrupt(struct umbra_vcpu *vcpu, u8 vector)
{
	vcpu->arch.interrupt.injected = true;
	vcpu->arch.interrupt.soft = false;
	vcpu->arch.interrupt.vector = vector;
	vcpu->arch.stat[UMBRA_STAT_INTERRUPTS]++;
	trace_umbra_inject(vcpu->id, UMBRA_EVENT_KIND_INTERRUPT, vector, false, 0);
	umbra_backend->inject(vcpu, UMBRA_EVENT_KIND_INTERRUPT);
}

/**
 * umbra_raise_page_fault() - a page fault of the guest's own, for the next entry
 * @vcpu: the vCPU, loaded; interrupts off; nothing else is pending or injected
 * @error: its error code
 * @gva: the address, for CR2
 *
 * For backends that deliver it at once, without umbra_event_inject().
 */
void umbra_raise_page_fault(struct umbra_vcpu *vcpu, u32 error, u64 gva)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	arch->exception = (struct umbra_exception) {
		.pending = true,
		.vector = X86_TRAP_PF,
		.has_error = true,
		.error = error,
		.has_payload = true,
		.payload = gva,
	};
	arch->cr2 = gva;
	arch->rflags |= X86_EFLAGS_RF;
	arch->stat[UMBRA_STAT_GUEST_FAULTS]++;
	arch->stat[UMBRA_STAT_EXCEPTIONS]++;
	trace_umbra_inject(vcpu->id, UMBRA_EVENT_KIND_EXCEPTION, X86_TRAP_PF, true, error);
}

static void inject_nmi(struct umbra_vcpu *vcpu)
{
	clear_bit(UMBRA_NMI_LATCHED, &vcpu->arch.async);
	vcpu->arch.nmi_injected = true;
	vcpu->arch.stat[UMBRA_STAT_NMIS]++;
	trace_umbra_inject(vcpu->id, UMBRA_EVENT_KIND_NMI, X86_TRAP_NMI, false, 0);
	umbra_backend->inject(vcpu, UMBRA_EVENT_KIND_NMI);
}

static bool interrupt_pending(struct umbra_vcpu *vcpu)
{
	return umbra_lapic_extint_pending(vcpu) || umbra_lapic_next(vcpu) >= 0;
}

static int complete_intack(struct umbra_vcpu *vcpu)
{
	u32 vector = READ_ONCE(vcpu->run->intack.vector);

	if (vector > 255)
		return -EINVAL;
	vcpu->arch.interrupt.injected = true;
	vcpu->arch.interrupt.soft = false;
	vcpu->arch.interrupt.vector = vector;
	vcpu->arch.stat[UMBRA_STAT_INTERRUPTS]++;
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 1;
}

/* Those whose delivery had begun go first, then they block all others. */
static bool reinject(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	enum umbra_event_kind kind;

	if (arch->exception.injected)
		kind = UMBRA_EVENT_KIND_EXCEPTION;
	else if (arch->nmi_injected)
		kind = UMBRA_EVENT_KIND_NMI;
	else if (arch->interrupt.injected)
		kind = UMBRA_EVENT_KIND_INTERRUPT;
	else
		return false;
	umbra_backend->inject(vcpu, kind);
	return true;
}

/* The local APIC's are not for us to choose when the CPU delivers them by itself. */
static bool interrupt_to_inject(struct umbra_vcpu *vcpu)
{
	return umbra_lapic_extint_pending(vcpu) ||
	       (!vcpu->arch.lapic->delivers && umbra_lapic_next(vcpu) >= 0);
}

static int choose(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	bool busy;

	umbra_lapic_settle_eoi(vcpu->arch.lapic);
	if (arch->exception.pending) {
		/*
		 * It was raised by the instruction before, or while an event
		 * was delivered, which is lost then, as on a real CPU.
		 */
		arch->nmi_injected = false;
		arch->interrupt.injected = false;
		inject_exception(vcpu);
		busy = true;
	} else {
		busy = reinject(vcpu);
	}

	if (test_bit(UMBRA_NMI_LATCHED, &arch->async)) {
		if (!busy && umbra_backend->can_inject(vcpu, UMBRA_EVENT_KIND_NMI)) {
			inject_nmi(vcpu);
			busy = true;
		} else {
			umbra_backend->open_window(vcpu, UMBRA_EVENT_KIND_NMI);
		}
	}

	if (!interrupt_to_inject(vcpu))
		return 1;
	if (!busy && umbra_backend->can_inject(vcpu, UMBRA_EVENT_KIND_INTERRUPT)) {
		int vector;

		if (umbra_lapic_extint_pending(vcpu)) {
			umbra_lapic_extint_accept(vcpu);
			arch->complete = complete_intack;
			vcpu->run->exit_reason = UMBRA_EXIT_INTACK;
			vcpu->run->intack.vector = 0;
			return 0;
		}
		vector = umbra_lapic_next(vcpu);
		if (vector >= 0) {
			umbra_lapic_accept(vcpu, vector);
			umbra_lapic_offer_pv_eoi(vcpu);
			inject_interrupt(vcpu, vector);
		}
		if (!interrupt_to_inject(vcpu))
			return 1;
	}
	umbra_backend->open_window(vcpu, UMBRA_EVENT_KIND_INTERRUPT);
	return 1;
}

/**
 * umbra_event_inject() - choose what the next entry delivers
 * @vcpu: the vCPU, loaded
 *
 * In the order of SDM Vol. 3 table 6-2. What must wait gets a window: an exit
 * as soon as the guest can take it.
 *
 * Return: 1, or 0 when user space has to be asked for the 8259's vector.
 */
int umbra_event_inject(struct umbra_vcpu *vcpu)
{
	int ret = choose(vcpu);

	if (vcpu->arch.lapic->page)
		umbra_lapic_push(vcpu);
	return ret;
}

/**
 * umbra_event_pending() - is there something that wakes the vCPU from HLT?
 * @vcpu: the vCPU, halted
 *
 * Return: true if so.
 */
bool umbra_event_pending(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	if (arch->exception.pending || arch->exception.injected || arch->nmi_injected ||
	    arch->interrupt.injected)
		return true;
	if (test_bit(UMBRA_NMI_LATCHED, &arch->async) &&
	    !(umbra_backend->get_blocking(vcpu) & UMBRA_EVENT_NMI_MASKED))
		return true;
	return arch->rflags & X86_EFLAGS_IF && interrupt_pending(vcpu);
}

static const struct {
	u32 flag;
	int bit;
} async_flags[] = {
	{ UMBRA_EVENT_NMI_PENDING, UMBRA_NMI_LATCHED },
	{ UMBRA_EVENT_INTR_LINE, UMBRA_INTR_LINE },
	{ UMBRA_EVENT_NMI_LINE, UMBRA_NMI_LINE },
	{ UMBRA_EVENT_INIT_PENDING, UMBRA_INIT_PENDING },
	{ UMBRA_EVENT_SIPI_PENDING, UMBRA_SIPI_PENDING },
};

/**
 * umbra_event_get() - everything about events, for UMBRA_GET_STATE
 * @vcpu: the vCPU, loaded
 * @ev: where to put it
 */
void umbra_event_get(struct umbra_vcpu *vcpu, struct umbra_events *ev)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	const struct umbra_exception *e = &arch->exception;
	unsigned int i;

	memset(ev, 0, sizeof(*ev));
	if (e->pending || e->injected) {
		ev->flags |= e->pending ? UMBRA_EVENT_EXCEPTION_PENDING :
					  UMBRA_EVENT_EXCEPTION_INJECTED;
		ev->exception_vector = e->vector;
		if (e->has_error) {
			ev->flags |= UMBRA_EVENT_EXCEPTION_ERROR;
			ev->exception_error = e->error;
		}
		if (e->has_payload) {
			ev->flags |= UMBRA_EVENT_EXCEPTION_PAYLOAD;
			ev->exception_payload = e->payload;
		}
	}
	if (arch->interrupt.injected) {
		ev->flags |= UMBRA_EVENT_INTERRUPT_INJECTED;
		if (arch->interrupt.soft)
			ev->flags |= UMBRA_EVENT_INTERRUPT_SOFT;
		ev->interrupt_vector = arch->interrupt.vector;
	}
	if (arch->nmi_injected)
		ev->flags |= UMBRA_EVENT_NMI_INJECTED;
	if (test_bit(UMBRA_REQ_TRIPLE_FAULT, &vcpu->requests))
		ev->flags |= UMBRA_EVENT_TRIPLE_FAULT;
	for (i = 0; i < ARRAY_SIZE(async_flags); i++)
		if (test_bit(async_flags[i].bit, &arch->async))
			ev->flags |= async_flags[i].flag;
	ev->flags |= umbra_backend->get_blocking(vcpu);
	ev->sipi_vector = READ_ONCE(arch->sipi_vector);
	ev->mp_state = READ_ONCE(arch->mp_state);
}

#define EVENT_FLAGS							\
	(UMBRA_EVENT_EXCEPTION_PENDING | UMBRA_EVENT_EXCEPTION_INJECTED |	\
	 UMBRA_EVENT_EXCEPTION_ERROR | UMBRA_EVENT_INTERRUPT_INJECTED |	\
	 UMBRA_EVENT_INTERRUPT_SOFT | UMBRA_EVENT_NMI_INJECTED |		\
	 UMBRA_EVENT_NMI_PENDING | UMBRA_EVENT_NMI_MASKED |			\
	 UMBRA_EVENT_SHADOW_STI | UMBRA_EVENT_SHADOW_MOV_SS |			\
	 UMBRA_EVENT_TRIPLE_FAULT | UMBRA_EVENT_INIT_PENDING |			\
	 UMBRA_EVENT_SIPI_PENDING | UMBRA_EVENT_INTR_LINE |			\
	 UMBRA_EVENT_NMI_LINE | UMBRA_EVENT_EXCEPTION_PAYLOAD)

/**
 * umbra_event_check() - would umbra_event_set() accept this?
 * @ev: what the monitor passed
 *
 * Return: 0 or -EINVAL.
 */
int umbra_event_check(const struct umbra_events *ev)
{
	u32 flags = ev->flags;

	if (flags & ~EVENT_FLAGS || ev->mp_state > UMBRA_MP_WAIT_SIPI ||
	    memchr_inv(ev->reserved, 0, sizeof(ev->reserved)))
		return -EINVAL;
	if (flags & UMBRA_EVENT_EXCEPTION_PENDING && flags & UMBRA_EVENT_EXCEPTION_INJECTED)
		return -EINVAL;
	if (flags & (UMBRA_EVENT_EXCEPTION_PENDING | UMBRA_EVENT_EXCEPTION_INJECTED)) {
		if (ev->exception_vector > 31 || ev->exception_vector == X86_TRAP_NMI)
			return -EINVAL;
		if (flags & UMBRA_EVENT_EXCEPTION_PAYLOAD &&
		    ev->exception_vector != X86_TRAP_PF && ev->exception_vector != X86_TRAP_DB)
			return -EINVAL;
		/* It is or-ed into DR6, whose upper half must be zero. */
		if (flags & UMBRA_EVENT_EXCEPTION_PAYLOAD &&
		    ev->exception_vector == X86_TRAP_DB && ev->exception_payload >> 32)
			return -EINVAL;
	}
	if (flags & UMBRA_EVENT_INTERRUPT_SOFT && !(flags & UMBRA_EVENT_INTERRUPT_INJECTED))
		return -EINVAL;
	return 0;
}

/**
 * umbra_event_set() - everything about events, for UMBRA_SET_STATE
 * @vcpu: the vCPU, loaded
 * @ev: passed umbra_event_check()
 */
void umbra_event_set(struct umbra_vcpu *vcpu, const struct umbra_events *ev)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	unsigned int i;

	arch->exception = (struct umbra_exception) {
		.pending = ev->flags & UMBRA_EVENT_EXCEPTION_PENDING,
		.injected = ev->flags & UMBRA_EVENT_EXCEPTION_INJECTED,
		.has_error = ev->flags & UMBRA_EVENT_EXCEPTION_ERROR,
		.has_payload = ev->flags & UMBRA_EVENT_EXCEPTION_PAYLOAD,
		.vector = ev->exception_vector,
		.error = ev->exception_error,
		.payload = ev->exception_payload,
	};
	arch->interrupt = (struct umbra_interrupt) {
		.injected = ev->flags & UMBRA_EVENT_INTERRUPT_INJECTED,
		.soft = ev->flags & UMBRA_EVENT_INTERRUPT_SOFT,
		.vector = ev->interrupt_vector,
	};
	arch->nmi_injected = ev->flags & UMBRA_EVENT_NMI_INJECTED;
	if (ev->flags & UMBRA_EVENT_TRIPLE_FAULT)
		umbra_request(vcpu, UMBRA_REQ_TRIPLE_FAULT);
	else
		clear_bit(UMBRA_REQ_TRIPLE_FAULT, &vcpu->requests);
	WRITE_ONCE(arch->sipi_vector, ev->sipi_vector);
	for (i = 0; i < ARRAY_SIZE(async_flags); i++) {
		if (ev->flags & async_flags[i].flag)
			set_bit(async_flags[i].bit, &arch->async);
		else
			clear_bit(async_flags[i].bit, &arch->async);
	}
	umbra_backend->set_blocking(vcpu, ev->flags & (UMBRA_EVENT_SHADOW_STI |
						       UMBRA_EVENT_SHADOW_MOV_SS |
						       UMBRA_EVENT_NMI_MASKED));
	WRITE_ONCE(arch->mp_state, ev->mp_state);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}
