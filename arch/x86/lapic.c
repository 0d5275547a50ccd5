// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC: its registers, interrupt requests and priorities (SDM Vol. 3
 * chapter 11). lapic_msg.c has the messages, lapic_timer.c the timer, lapic_state.c
 * all of it for the monitor, lapic_page.c what the CPU does by itself, lapic_pv_eoi.c
 * EOIs without an exit for guests that know how.
 *
 * Everything here is done by the vCPU's own thread with vcpu->mutex held;
 * others only set bits in IRR, TMR and esr_new and make a request.
 */
#include <linux/bitops.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "cpuid.h"
#include "lapic.h"
#include "umbra.h"

#define LVT_LINT		(APIC_VECTOR_MASK | APIC_MODE_MASK | APIC_INPUT_POLARITY |	\
				 APIC_LVT_LEVEL_TRIGGER | APIC_LVT_MASKED)
/* Read-only, and therefore ignored when written. */
#define LVT_READ_ONLY		(APIC_SEND_PENDING | APIC_LVT_REMOTE_IRR)

static const u32 lvt_writable[UMBRA_NR_LVT] = {
	[UMBRA_LVT_TIMER] = APIC_VECTOR_MASK | APIC_LVT_MASKED | APIC_LVT_TIMER_PERIODIC,
	[UMBRA_LVT_THERMAL] = APIC_VECTOR_MASK | APIC_MODE_MASK | APIC_LVT_MASKED,
	[UMBRA_LVT_PERF] = APIC_VECTOR_MASK | APIC_MODE_MASK | APIC_LVT_MASKED,
	[UMBRA_LVT_LINT0] = LVT_LINT,
	[UMBRA_LVT_LINT1] = LVT_LINT,
	[UMBRA_LVT_ERROR] = APIC_VECTOR_MASK | APIC_LVT_MASKED,
};

/**
 * umbra_lapic_lvt_mask() - bits of a row of the local vector table that can be written
 * @lapic: the APIC
 * @entry: its row
 *
 * Return: the bits.
 */
u32 umbra_lapic_lvt_mask(const struct umbra_lapic *lapic, enum umbra_lvt entry)
{
	u32 mask = lvt_writable[entry];

	if (entry == UMBRA_LVT_TIMER &&
	    umbra_cpuid_has(lapic->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER))
		mask |= APIC_LVT_TIMER_TSCDEADLINE;
	return mask;
}

static bool is_enabled(const struct umbra_lapic *lapic)
{
	return lapic->base & MSR_IA32_APICBASE_ENABLE;
}

static bool is_x2apic(const struct umbra_lapic *lapic)
{
	return lapic->base & X2APIC_ENABLE;
}

/* SDM Vol. 3 11.12.10.2: the logical ID is derived from the APIC ID. */
static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | BIT(id & 15);
}

/* Processor priority, SDM Vol. 3 11.8.3.1. */
static u32 priority(const struct umbra_lapic *lapic)
{
	int serviced = umbra_highest_vector(lapic->isr);
	u32 class = serviced < 0 ? 0 : serviced & 0xf0, tpr = *lapic->tpr;

	return (tpr & 0xf0) >= class ? tpr : class;
}

/**
 * umbra_lapic_next() - the interrupt that could be delivered now
 * @vcpu: the vCPU; its own thread
 *
 * Return: the highest vector requested if its class is above the processor
 * priority, else -1.
 */
int umbra_lapic_next(struct umbra_vcpu *vcpu)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	int vector;

	umbra_lapic_pull(lapic);
	vector = umbra_highest_vector(lapic->irr);
	if (vector < 0 || !is_enabled(lapic) || (vector & 0xf0) <= (priority(lapic) & 0xf0))
		return -1;
	return vector;
}

/**
 * umbra_lapic_accept() - an interrupt goes from being requested to being serviced
 * @vcpu: the vCPU; its own thread
 * @vector: what umbra_lapic_next() returned
 */
void umbra_lapic_accept(struct umbra_vcpu *vcpu, u8 vector)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	clear_bit(vector, lapic->irr);
	__set_bit(vector, lapic->isr);
}

/**
 * umbra_lapic_extint_enabled() - does the INTR pin get through to the CPU?
 * @vcpu: the vCPU
 *
 * It does when LINT0 is in ExtINT mode and not masked, and when there is no
 * APIC in between because it is disabled (SDM Vol. 3 11.4.3).
 *
 * Return: true if so.
 */
bool umbra_lapic_extint_enabled(struct umbra_vcpu *vcpu)
{
	const struct umbra_lapic *lapic = vcpu->arch.lapic;

	if (!is_enabled(lapic))
		return true;
	return (READ_ONCE(lapic->lvt[UMBRA_LVT_LINT0]) & (APIC_LVT_MASKED | APIC_MODE_MASK)) ==
	       APIC_DM_EXTINT;
}

static bool intr_line_requests(struct umbra_vcpu *vcpu)
{
	return test_bit(UMBRA_INTR_LINE, &vcpu->arch.async) && umbra_lapic_extint_enabled(vcpu);
}

/**
 * umbra_lapic_extint_pending() - does the 8259 have to be asked for a vector?
 * @vcpu: the vCPU
 *
 * Return: true if its pin or an ExtINT message requests an interrupt.
 */
bool umbra_lapic_extint_pending(struct umbra_vcpu *vcpu)
{
	return intr_line_requests(vcpu) || test_bit(0, &vcpu->arch.lapic->extint);
}

/**
 * umbra_lapic_extint_accept() - the 8259 is being asked for a vector
 * @vcpu: the vCPU
 *
 * The pin stays as it is, until the 8259 lowers it; a message is used up.
 */
void umbra_lapic_extint_accept(struct umbra_vcpu *vcpu)
{
	if (!intr_line_requests(vcpu))
		clear_bit(0, &vcpu->arch.lapic->extint);
}

/**
 * umbra_lapic_has_interrupt() - would an interrupt be delivered with IF set?
 * @vcpu: the vCPU; its own thread
 *
 * Return: true if one is pending, whatever RFLAGS.IF and the shadow say.
 */
bool umbra_lapic_has_interrupt(struct umbra_vcpu *vcpu)
{
	return umbra_lapic_extint_pending(vcpu) || umbra_lapic_next(vcpu) >= 0;
}

/**
 * umbra_lapic_pending_eoi() - take an EOI that user space has to be told of
 * @vcpu: the vCPU; its own thread
 *
 * There is one after the guest ended a level-triggered interrupt. UMBRA_REQ_EVENT
 * is requested at the same time, so it is enough to ask when that is handled.
 *
 * Return: the vector, or -1.
 */
int umbra_lapic_pending_eoi(struct umbra_vcpu *vcpu)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	int vector;

	if (!lapic->eoi_pending)
		return -1;
	vector = umbra_highest_vector(lapic->eoi);
	if (vector >= 0)
		__clear_bit(vector, lapic->eoi);
	lapic->eoi_pending = umbra_highest_vector(lapic->eoi) >= 0;
	return vector;
}

/**
 * umbra_lapic_eoi_taken() - an interrupt is in service no more
 * @lapic: the APIC; its own thread
 * @vector: its vector, whose bit in ISR is clear already
 */
void umbra_lapic_eoi_taken(struct umbra_lapic *lapic, u8 vector)
{
	if (test_bit(vector, lapic->tmr)) {
		/* The pin's own request ends here; the IOAPIC's ends in user space. */
		if ((lapic->lvt[UMBRA_LVT_LINT0] & APIC_VECTOR_MASK) == vector &&
		    test_and_clear_bit(0, &lapic->lint0_irr)) {
			umbra_lapic_update_lint0(lapic);
		} else {
			__set_bit(vector, lapic->eoi);
			lapic->eoi_pending = true;
		}
	}
	umbra_request(lapic->vcpu, UMBRA_REQ_EVENT);
}

/**
 * umbra_lapic_eoi() - the guest ends the interrupt of the highest priority in service
 * @lapic: the APIC; its own thread
 */
void umbra_lapic_eoi(struct umbra_lapic *lapic)
{
	int vector;

	umbra_lapic_pull(lapic);
	vector = umbra_highest_vector(lapic->isr);
	if (vector < 0)
		return;
	__clear_bit(vector, lapic->isr);
	umbra_lapic_eoi_taken(lapic, vector);
}

static void set_tpr(struct umbra_lapic *lapic, u32 value)
{
	u32 old = *lapic->tpr;

	WRITE_ONCE(*lapic->tpr, value);
	/* A higher one holds off what was not delivered yet, and that is asked for anew. */
	if (value < old)
		umbra_request(lapic->vcpu, UMBRA_REQ_EVENT);
}

/**
 * umbra_lapic_get_cr8() - MOV from CR8
 * @vcpu: the vCPU
 *
 * Return: the class of the task priority.
 */
u64 umbra_lapic_get_cr8(struct umbra_vcpu *vcpu)
{
	return *vcpu->arch.lapic->tpr >> 4;
}

/**
 * umbra_lapic_set_cr8() - MOV to CR8
 * @vcpu: the vCPU; its own thread
 * @value: what the guest writes
 *
 * Return: 0, or 1 for #GP(0) when reserved bits are set.
 */
int umbra_lapic_set_cr8(struct umbra_vcpu *vcpu, u64 value)
{
	if (value & ~0xfULL)
		return 1;
	set_tpr(vcpu->arch.lapic, value << 4);
	return 0;
}

/* Software disables the APIC, or INIT does: all local interrupts are masked. */
static void mask_lvt(struct umbra_lapic *lapic)
{
	unsigned int i;

	for (i = 0; i < UMBRA_NR_LVT; i++)
		WRITE_ONCE(lapic->lvt[i], lapic->lvt[i] | APIC_LVT_MASKED);
}

static void write_lvt(struct umbra_lapic *lapic, enum umbra_lvt entry, u32 value)
{
	u32 old = lapic->lvt[entry];

	value &= umbra_lapic_lvt_mask(lapic, entry);
	if (!(lapic->svr & APIC_SPIV_APIC_ENABLED))
		value |= APIC_LVT_MASKED;
	WRITE_ONCE(lapic->lvt[entry], value);
	if (entry == UMBRA_LVT_TIMER)
		umbra_lapic_timer_lvt(lapic, old);
	else if (entry == UMBRA_LVT_LINT0)
		umbra_lapic_update_lint0(lapic);
}

static void write_svr(struct umbra_lapic *lapic, u32 value)
{
	WRITE_ONCE(lapic->svr, value & UMBRA_APIC_SPURIOUS_WRITABLE);
	if (!(value & APIC_SPIV_APIC_ENABLED))
		mask_lvt(lapic);
}

static u32 read_map(const unsigned long *map, u32 offset)
{
	return map[(offset >> 4) / 2 % BITS_TO_LONGS(UMBRA_NR_VECTORS)] >> (offset & 0x10 ? 32 : 0);
}

static u32 read_lvt(const struct umbra_lapic *lapic, enum umbra_lvt entry)
{
	u32 value = lapic->lvt[entry];

	if (entry == UMBRA_LVT_LINT0 && test_bit(0, &lapic->lint0_irr))
		value |= APIC_LVT_REMOTE_IRR;
	return value;
}

/**
 * umbra_lapic_read_reg() - read a register
 * @lapic: the APIC; its own thread
 * @offset: in the page of registers, a multiple of 16
 * @value: where to put it
 *
 * Return: false if there is none at this offset in the mode the APIC is in.
 */
bool umbra_lapic_read_reg(struct umbra_lapic *lapic, u32 offset, u32 *value)
{
	switch (offset) {
	case APIC_ID:
		*value = is_x2apic(lapic) ? lapic->vcpu->id : lapic->vcpu->id << 24;
		break;
	case APIC_LVR:
		*value = UMBRA_APIC_VERSION;
		break;
	case APIC_TASKPRI:
		*value = *lapic->tpr;
		break;
	case APIC_PROCPRI:
		umbra_lapic_pull(lapic);
		*value = priority(lapic);
		break;
	case APIC_LDR:
		*value = is_x2apic(lapic) ? x2apic_ldr(lapic->vcpu->id) : lapic->ldr;
		break;
	case APIC_SPIV:
		*value = lapic->svr;
		break;
	case APIC_ISR ... APIC_ISR + 0x70:
		umbra_lapic_pull(lapic);
		*value = read_map(lapic->isr, offset - APIC_ISR);
		break;
	case APIC_TMR ... APIC_TMR + 0x70:
		*value = read_map(lapic->tmr, offset - APIC_TMR);
		break;
	case APIC_IRR ... APIC_IRR + 0x70:
		umbra_lapic_pull(lapic);
		*value = read_map(lapic->irr, offset - APIC_IRR);
		break;
	case APIC_ESR:
		*value = lapic->esr;
		break;
	case APIC_ICR:
		*value = *lapic->icr;
		break;
	case APIC_LVTT ... APIC_LVTERR:
		*value = read_lvt(lapic, (offset - APIC_LVTT) >> 4);
		break;
	case APIC_TMICT:
		*value = lapic->tmict;
		break;
	case APIC_TMCCT:
		*value = umbra_lapic_timer_get_count(lapic);
		break;
	case APIC_TDCR:
		*value = lapic->tdcr;
		break;
	default:
		/* These exist in xAPIC mode only. */
		if (is_x2apic(lapic))
			return false;
		switch (offset) {
		case APIC_ARBPRI:
			umbra_lapic_pull(lapic);
			*value = priority(lapic);
			break;
		case APIC_EOI:
		case APIC_RRR:
			*value = 0;
			break;
		case APIC_DFR:
			*value = lapic->dfr;
			break;
		case APIC_ICR2:
			*value = *lapic->icr2;
			break;
		default:
			return false;
		}
	}
	return true;
}

/* Bits of a register that may be written; false if none at this offset is writable. */
static bool writable_bits(struct umbra_lapic *lapic, u32 offset, u32 *mask)
{
	switch (offset) {
	case APIC_TASKPRI:
		*mask = APIC_TPRI_MASK;
		return true;
	case APIC_EOI:
	case APIC_ESR:
		*mask = 0;
		return true;
	case APIC_SPIV:
		*mask = UMBRA_APIC_SPURIOUS_WRITABLE;
		return true;
	case APIC_ICR:
		*mask = UMBRA_APIC_ICR_WRITABLE | UMBRA_APIC_ICR_IGNORED;
		return true;
	case APIC_LVTT ... APIC_LVTERR:
		*mask = umbra_lapic_lvt_mask(lapic, (offset - APIC_LVTT) >> 4) | LVT_READ_ONLY;
		return true;
	case APIC_TMICT:
		*mask = ~0U;
		return true;
	case APIC_TDCR:
		*mask = UMBRA_APIC_TDCR_WRITABLE;
		return true;
	case APIC_SELF_IPI:
		*mask = APIC_VECTOR_MASK;
		return is_x2apic(lapic);
	case APIC_LDR:
	case APIC_DFR:
	case APIC_ICR2:
		*mask = ~0U;
		return !is_x2apic(lapic);
	default:
		return false;
	}
}

/* @value has no reserved bits that matter in this mode; the upper half of ICR is set. */
static void change_reg(struct umbra_lapic *lapic, u32 offset, u32 value)
{
	switch (offset) {
	case APIC_TASKPRI:
		set_tpr(lapic, value & APIC_TPRI_MASK);
		break;
	case APIC_EOI:
		umbra_lapic_eoi(lapic);
		break;
	case APIC_LDR:
		WRITE_ONCE(lapic->ldr, value & APIC_LDR_MASK);
		break;
	case APIC_DFR:
		WRITE_ONCE(lapic->dfr, value | APIC_DFR_CLUSTER);
		break;
	case APIC_SPIV:
		write_svr(lapic, value);
		break;
	case APIC_ESR:
		lapic->esr = atomic_xchg(&lapic->esr_new, 0);
		break;
	case APIC_ICR:
		*lapic->icr = value & UMBRA_APIC_ICR_WRITABLE & ~UMBRA_APIC_ICR_IGNORED;
		umbra_lapic_send_ipi(lapic);
		break;
	case APIC_ICR2:
		*lapic->icr2 = value & APIC_LDR_MASK;
		break;
	case APIC_LVTT ... APIC_LVTERR:
		write_lvt(lapic, (offset - APIC_LVTT) >> 4, value);
		break;
	case APIC_TMICT:
		umbra_lapic_timer_set_count(lapic, value);
		break;
	case APIC_TDCR:
		umbra_lapic_timer_set_divide(lapic, value & UMBRA_APIC_TDCR_WRITABLE);
		break;
	case APIC_SELF_IPI:
		umbra_lapic_self_ipi(lapic, value);
		break;
	}
}

static void write_reg(struct umbra_lapic *lapic, u32 offset, u32 value)
{
	change_reg(lapic, offset, value);
	if (lapic->delivers)
		umbra_lapic_mirror(lapic);
}

/**
 * umbra_lapic_write_reg() - write a register, as a store to the page does
 * @lapic: the APIC; its own thread
 * @offset: in the page of registers, a multiple of 16
 * @value: what is written
 */
void umbra_lapic_write_reg(struct umbra_lapic *lapic, u32 offset, u32 value)
{
	u32 mask;

	if (writable_bits(lapic, offset, &mask))
		write_reg(lapic, offset, value);
	else if (!umbra_lapic_read_reg(lapic, offset, &value))
		umbra_lapic_error(lapic, APIC_ESR_ILLREGA);
}

/**
 * umbra_lapic_claims() - is this address one of the APIC's registers?
 * @vcpu: the vCPU
 * @gpa: guest-physical address
 *
 * Return: true in xAPIC mode for addresses in the page at IA32_APIC_BASE.
 */
bool umbra_lapic_claims(struct umbra_vcpu *vcpu, u64 gpa)
{
	u64 base = vcpu->arch.lapic->base;

	return (base & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE)) == MSR_IA32_APICBASE_ENABLE &&
	       (base ^ gpa) >> 12 == 0;
}

/**
 * umbra_lapic_read() - a load from the page of registers
 * @vcpu: the vCPU; its own thread
 * @gpa: an address that umbra_lapic_claims()
 * @data: where to put it
 * @len: 1 to 8 bytes
 *
 * Registers are 32 bits wide, 16 bytes apart; what is between them reads as
 * zero, as do parts of a register at their place (SDM Vol. 3 11.4.1 leaves
 * both undefined). A register that does not exist is an error in ESR.
 */
void umbra_lapic_read(struct umbra_vcpu *vcpu, u64 gpa, void *data, unsigned int len)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	u32 offset = gpa & (UMBRA_APIC_PAGE - 1);
	u32 value = 0;
	unsigned int i;

	if (!umbra_lapic_read_reg(lapic, offset & ~0xfU, &value))
		umbra_lapic_error(lapic, APIC_ESR_ILLREGA);
	for (i = 0; i < len; i++) {
		unsigned int byte = (offset & 0xf) + i;

		((u8 *)data)[i] = byte < 4 ? value >> (8 * byte) : 0;
	}
}

/**
 * umbra_lapic_write() - a store to the page of registers
 * @vcpu: the vCPU; its own thread
 * @gpa: an address that umbra_lapic_claims()
 * @data: what is stored
 * @len: 1 to 8 bytes
 *
 * Only an aligned store of 32 bits has an effect (SDM Vol. 3 11.4.1); reserved
 * bits and read-only registers ignore what is written to them.
 */
void umbra_lapic_write(struct umbra_vcpu *vcpu, u64 gpa, const void *data, unsigned int len)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	u32 offset = gpa & (UMBRA_APIC_PAGE - 1);
	u32 value;

	if (len != 4 || offset & 0xf)
		return;
	memcpy(&value, data, sizeof(value));
	umbra_lapic_write_reg(lapic, offset, value);
}

static int get_x2apic(struct umbra_lapic *lapic, u32 offset, u64 *value)
{
	u32 low;

	if (!is_x2apic(lapic) || !umbra_lapic_read_reg(lapic, offset, &low))
		return 1;
	*value = low;
	if (offset == APIC_ICR)
		*value |= (u64)*lapic->icr2 << 32;
	return 0;
}

/* SDM Vol. 3 11.12.1.2, 11.12.1.3: reserved bits and read-only registers give #GP. */
static int set_x2apic(struct umbra_lapic *lapic, u32 offset, u64 value)
{
	u32 mask;

	if (!is_x2apic(lapic) || !writable_bits(lapic, offset, &mask) || (u32)value & ~mask)
		return 1;
	if (offset == APIC_ICR)
		*lapic->icr2 = value >> 32;
	else if (value >> 32)
		return 1;
	write_reg(lapic, offset, value);
	return 0;
}

static bool is_x2apic_msr(u32 index)
{
	return index - APIC_BASE_MSR <= 0xff;
}

/**
 * umbra_lapic_get_msr() - read an MSR of the APIC
 * @vcpu: the vCPU; its own thread
 * @index: IA32_APIC_BASE, IA32_TSC_DEADLINE or one of x2APIC mode
 * @value: where to put it
 *
 * Return: 0, or 1 when there is no such MSR: #GP(0).
 */
int umbra_lapic_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	/* With interrupts off the guest's memory cannot be looked at; not so a little later. */
	if (is_x2apic_msr(index) && !lapic->pv_eoi_offered)
		return get_x2apic(lapic, (index - APIC_BASE_MSR) << 4, value);
	switch (index) {
	case MSR_IA32_APICBASE:
		*value = lapic->base;
		return 0;
	case MSR_IA32_TSC_DEADLINE:
		*value = umbra_lapic_timer_get_deadline(lapic);
		return !umbra_cpuid_has(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
	default:
		return 1;
	}
}

/**
 * umbra_lapic_set_msr() - write an MSR of the APIC
 * @vcpu: the vCPU; its own thread
 * @index: IA32_APIC_BASE, IA32_TSC_DEADLINE or one of x2APIC mode
 * @value: what the guest writes
 *
 * Return: 0, or 1 when there is no such MSR or it does not take the value: #GP(0).
 */
int umbra_lapic_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	if (is_x2apic_msr(index) && !lapic->pv_eoi_offered)
		return set_x2apic(lapic, (index - APIC_BASE_MSR) << 4, value);
	switch (index) {
	case MSR_IA32_APICBASE:
		return umbra_lapic_set_base(vcpu, value, false);
	case MSR_IA32_TSC_DEADLINE:
		if (!umbra_cpuid_has(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER))
			return 1;
		umbra_lapic_timer_set_deadline(lapic, value);
		return 0;
	default:
		return 1;
	}
}

/**
 * umbra_lapic_get_base() - IA32_APIC_BASE
 * @vcpu: the vCPU
 *
 * Return: its value.
 */
u64 umbra_lapic_get_base(struct umbra_vcpu *vcpu)
{
	return vcpu->arch.lapic->base;
}

/**
 * umbra_lapic_enabled() - is the APIC enabled in IA32_APIC_BASE?
 * @vcpu: the vCPU
 *
 * Return: true if so, in either mode.
 */
bool umbra_lapic_enabled(struct umbra_vcpu *vcpu)
{
	return is_enabled(vcpu->arch.lapic);
}

/**
 * umbra_lapic_uses_deadline() - is the timer in TSC-deadline mode?
 * @vcpu: the vCPU
 *
 * Return: true if so.
 */
bool umbra_lapic_uses_deadline(struct umbra_vcpu *vcpu)
{
	return vcpu->arch.lapic->lvt[UMBRA_LVT_TIMER] & APIC_LVT_TIMER_TSCDEADLINE;
}

/**
 * umbra_lapic_base_valid() - could IA32_APIC_BASE ever have this value?
 * @vcpu: the vCPU
 * @value: what to check
 *
 * Return: false if reserved bits are set or the mode does not exist.
 */
bool umbra_lapic_base_valid(struct umbra_vcpu *vcpu, u64 value)
{
	u64 reserved = 0x2ff | ~(BIT_ULL(umbra_guest_maxphyaddr(vcpu)) - 1);

	if (!umbra_cpuid_has(vcpu, X86_FEATURE_X2APIC))
		reserved |= X2APIC_ENABLE;
	if (value & reserved)
		return false;
	/* SDM Vol. 3 table 11-5: EN=0, EXTD=1 is invalid. */
	return !(value & X2APIC_ENABLE) || value & MSR_IA32_APICBASE_ENABLE;
}

/* Registers after RESET and INIT but for IA32_APIC_BASE (SDM Vol. 3 11.4.7). */
static void reset_registers(struct umbra_lapic *lapic)
{
	unsigned int i;

	umbra_lapic_pull(lapic);
	umbra_lapic_timer_stop(lapic);
	bitmap_zero(lapic->irr, UMBRA_NR_VECTORS);
	bitmap_zero(lapic->isr, UMBRA_NR_VECTORS);
	bitmap_zero(lapic->tmr, UMBRA_NR_VECTORS);
	clear_bit(0, &lapic->lint0_irr);
	clear_bit(0, &lapic->extint);
	atomic_set(&lapic->esr_new, 0);
	lapic->esr = 0;
	*lapic->icr = 0;
	*lapic->icr2 = 0;
	lapic->tmict = 0;
	lapic->tdcr = 0;
	WRITE_ONCE(*lapic->tpr, 0);
	WRITE_ONCE(lapic->ldr, 0);
	WRITE_ONCE(lapic->dfr, APIC_DFR_FLAT);
	WRITE_ONCE(lapic->svr, 0xff);
	for (i = 0; i < UMBRA_NR_LVT; i++)
		WRITE_ONCE(lapic->lvt[i], APIC_LVT_MASKED);
	umbra_request(lapic->vcpu, UMBRA_REQ_EVENT);
}

/**
 * umbra_lapic_changed() - the mode, or all registers at once, have changed
 * @lapic: the APIC; its own thread, the vCPU loaded or just created
 */
void umbra_lapic_changed(struct umbra_lapic *lapic)
{
	if (!lapic->page)
		return;
	umbra_backend->update_apic(lapic->vcpu);
	if (lapic->delivers)
		umbra_lapic_mirror(lapic);
}

/**
 * umbra_lapic_set_base() - write IA32_APIC_BASE
 * @vcpu: the vCPU; its own thread
 * @value: what is written
 * @host: by the monitor, which may go from any mode to any other
 *
 * Return: 0, or 1 for a value or a change of mode that is not allowed (SDM
 * Vol. 3 figure 11-27): #GP(0).
 */
int umbra_lapic_set_base(struct umbra_vcpu *vcpu, u64 value, bool host)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	u64 old = lapic->base;

	if (!umbra_lapic_base_valid(vcpu, value))
		return 1;
	if (!host) {
		/* x2APIC mode is entered from xAPIC mode and left only for none. */
		if (value & X2APIC_ENABLE && !(old & MSR_IA32_APICBASE_ENABLE))
			return 1;
		if (old & X2APIC_ENABLE && !(value & X2APIC_ENABLE) &&
		    value & MSR_IA32_APICBASE_ENABLE)
			return 1;
	}
	WRITE_ONCE(lapic->base, value);
	if (!(value & MSR_IA32_APICBASE_ENABLE) && old & MSR_IA32_APICBASE_ENABLE)
		reset_registers(lapic);
	/* The destination has another format now. */
	if ((old ^ value) & X2APIC_ENABLE)
		*lapic->icr2 = 0;
	umbra_lapic_changed(lapic);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 0;
}

/**
 * umbra_lapic_reset() - RESET or INIT
 * @vcpu: the vCPU; its own thread
 * @init: INIT, which leaves IA32_APIC_BASE as it is
 *
 * There is no firmware before a guest's first instruction that would route the
 * 8259, so vCPU 0 comes up as firmware leaves it: in virtual wire mode, LINT0
 * as ExtINT and LINT1 as NMI (MultiProcessor Specification 3.6.2.2). This works
 * while the APIC is still disabled by software; disabling it once more masks
 * both, as everywhere.
 */
void umbra_lapic_reset(struct umbra_vcpu *vcpu, bool init)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	if (!init) {
		WRITE_ONCE(lapic->base, UMBRA_APIC_DEFAULT_BASE | MSR_IA32_APICBASE_ENABLE |
			   (vcpu->id ? 0 : MSR_IA32_APICBASE_BSP));
		bitmap_zero(lapic->eoi, UMBRA_NR_VECTORS);
		lapic->eoi_pending = false;
	}
	lapic->pv_eoi = 0;
	lapic->pv_eoi_offered = false;
	reset_registers(lapic);
	if (!vcpu->id) {
		WRITE_ONCE(lapic->lvt[UMBRA_LVT_LINT0], APIC_DM_EXTINT);
		WRITE_ONCE(lapic->lvt[UMBRA_LVT_LINT1], APIC_DM_NMI);
	}
	umbra_lapic_changed(lapic);
}

/**
 * umbra_lapic_create() - give a vCPU its local APIC, in the state after RESET
 * @vcpu: the vCPU, with its CPUID
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_lapic_create(struct umbra_vcpu *vcpu)
{
	struct umbra_lapic *lapic;

	lapic = kzalloc(sizeof(*lapic), GFP_KERNEL_ACCOUNT);
	if (!lapic)
		return -ENOMEM;
	lapic->vcpu = vcpu;
	lapic->tpr = &lapic->own_tpr;
	lapic->icr = &lapic->own_icr;
	lapic->icr2 = &lapic->own_icr2;
	umbra_lapic_timer_create(lapic);
	vcpu->arch.lapic = lapic;
	umbra_lapic_reset(vcpu, false);
	return 0;
}

/**
 * umbra_lapic_free() - undo umbra_lapic_create()
 * @vcpu: the vCPU, which nobody else can reach any more
 */
void umbra_lapic_free(struct umbra_vcpu *vcpu)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	if (!lapic)
		return;
	umbra_lapic_timer_stop(lapic);
	vcpu->arch.lapic = NULL;
	kfree(lapic);
}
