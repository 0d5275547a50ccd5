// SPDX-License-Identifier: GPL-2.0-only
/* All of a local APIC at once, as the monitor reads and writes it. */
#include <linux/bitops.h>
#include <linux/string.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "lapic.h"
#include "umbra.h"

static bool is_x2apic(const struct umbra_lapic *lapic)
{
	return lapic->base & X2APIC_ENABLE;
}

/* Registers that are saved in their places of the page, in either mode. */
static const u16 saved_regs[] = {
	APIC_ID, APIC_LVR, APIC_TASKPRI, APIC_PROCPRI, APIC_LDR, APIC_SPIV,
	APIC_ISR, APIC_ISR + 0x10, APIC_ISR + 0x20, APIC_ISR + 0x30,
	APIC_ISR + 0x40, APIC_ISR + 0x50, APIC_ISR + 0x60, APIC_ISR + 0x70,
	APIC_TMR, APIC_TMR + 0x10, APIC_TMR + 0x20, APIC_TMR + 0x30,
	APIC_TMR + 0x40, APIC_TMR + 0x50, APIC_TMR + 0x60, APIC_TMR + 0x70,
	APIC_IRR, APIC_IRR + 0x10, APIC_IRR + 0x20, APIC_IRR + 0x30,
	APIC_IRR + 0x40, APIC_IRR + 0x50, APIC_IRR + 0x60, APIC_IRR + 0x70,
	APIC_ESR, APIC_ICR, APIC_LVTT, APIC_LVTTHMR, APIC_LVTPC, APIC_LVT0,
	APIC_LVT1, APIC_LVTERR, APIC_TMICT, APIC_TMCCT, APIC_TDCR,
};

static void put_reg(struct umbra_lapic_state *state, u32 offset, u32 value)
{
	memcpy(state->regs + offset, &value, sizeof(value));
}

static u32 get_reg(const struct umbra_lapic_state *state, u32 offset)
{
	u32 value;

	memcpy(&value, state->regs + offset, sizeof(value));
	return value;
}

static void get_regs(struct umbra_lapic *lapic, struct umbra_lapic_state *state)
{
	unsigned int i;
	u32 value;

	for (i = 0; i < ARRAY_SIZE(saved_regs); i++)
		if (umbra_lapic_read_reg(lapic, saved_regs[i], &value))
			put_reg(state, saved_regs[i], value);
	put_reg(state, APIC_ICR2, *lapic->icr2);
	put_reg(state, APIC_DFR, lapic->dfr);
}

/**
 * umbra_lapic_get_state() - UMBRA_GET_LAPIC
 * @vcpu: the vCPU; vcpu->mutex is held
 * @state: where to put it
 */
void umbra_lapic_get_state(struct umbra_vcpu *vcpu, struct umbra_lapic_state *state)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	u64 before;

	memset(state, 0, sizeof(*state));
	/* An interrupt of the timer is in IRR, or yet to come; not both and not neither. */
	do {
		umbra_lapic_timer_settle(lapic);
		before = umbra_lapic_timer_remaining(lapic);
		get_regs(lapic, state);
		umbra_lapic_timer_settle(lapic);
		state->timer_remaining_ns = umbra_lapic_timer_remaining(lapic);
	} while (state->timer_remaining_ns > before || (before && !state->timer_remaining_ns));
	state->esr_pending = atomic_read(&lapic->esr_new);
	if (test_bit(0, &lapic->extint))
		state->flags |= UMBRA_LAPIC_EXTINT;
}

/* Nothing but the registers above, and those within their bits. */
static bool state_valid(struct umbra_lapic *lapic, const struct umbra_lapic_state *state)
{
	struct umbra_lapic_state left = *state;
	u32 lvt, id, value;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(saved_regs); i++)
		put_reg(&left, saved_regs[i], 0);
	put_reg(&left, APIC_ICR2, 0);
	put_reg(&left, APIC_DFR, 0);
	if (memchr_inv(left.regs, 0, sizeof(left.regs)) ||
	    memchr_inv(state->reserved, 0, sizeof(state->reserved)))
		return false;

	if (!umbra_lapic_read_reg(lapic, APIC_ID, &id) || get_reg(state, APIC_ID) != id ||
	    get_reg(state, APIC_LVR) != UMBRA_APIC_VERSION)
		return false;
	/* Vectors 0 to 15 are never accepted. */
	value = get_reg(state, APIC_ISR) | get_reg(state, APIC_IRR) | get_reg(state, APIC_TMR);
	if (value & 0xffff)
		return false;
	if (get_reg(state, APIC_TASKPRI) & ~APIC_TPRI_MASK ||
	    get_reg(state, APIC_SPIV) & ~UMBRA_APIC_SPURIOUS_WRITABLE ||
	    get_reg(state, APIC_ESR) & ~UMBRA_APIC_ESR_BITS ||
	    state->esr_pending & ~UMBRA_APIC_ESR_BITS ||
	    get_reg(state, APIC_TDCR) & ~UMBRA_APIC_TDCR_WRITABLE ||
	    get_reg(state, APIC_ICR) & ~(UMBRA_APIC_ICR_WRITABLE & ~UMBRA_APIC_ICR_IGNORED) ||
	    (get_reg(state, APIC_DFR) & APIC_DFR_CLUSTER) != APIC_DFR_CLUSTER ||
	    state->flags & ~UMBRA_LAPIC_EXTINT)
		return false;
	if (is_x2apic(lapic)) {
		if (!umbra_lapic_read_reg(lapic, APIC_LDR, &value) ||
		    get_reg(state, APIC_LDR) != value)
			return false;
	} else if (get_reg(state, APIC_LDR) & ~APIC_LDR_MASK ||
		   get_reg(state, APIC_ICR2) & ~APIC_LDR_MASK) {
		return false;
	}
	for (i = 0; i < UMBRA_NR_LVT; i++) {
		lvt = get_reg(state, APIC_LVTT + (i << 4));
		if (i == UMBRA_LVT_LINT0)
			lvt &= ~APIC_LVT_REMOTE_IRR;
		if (lvt & ~umbra_lapic_lvt_mask(lapic, i))
			return false;
	}
	if (get_reg(state, APIC_LVTT) & APIC_LVT_TIMER_TSCDEADLINE)
		return !state->timer_remaining_ns;
	/* The longest time there is: the highest count, divided by 128. */
	return state->timer_remaining_ns <= (u64)U32_MAX << 7;
}

static void set_map(unsigned long *map, const struct umbra_lapic_state *state, u32 offset)
{
	unsigned int i;

	for (i = 0; i < BITS_TO_LONGS(UMBRA_NR_VECTORS); i++)
		WRITE_ONCE(map[i], get_reg(state, offset + i * 0x20) |
			   (u64)get_reg(state, offset + i * 0x20 + 0x10) << 32);
}

/**
 * umbra_lapic_set_state() - UMBRA_SET_LAPIC
 * @vcpu: the vCPU; vcpu->mutex is held
 * @state: what the monitor passed
 *
 * IA32_APIC_BASE decides what ID, LDR and ICR look like, so it is set before;
 * IA32_TSC_DEADLINE only takes effect after. PPR, APR and the current count
 * follow from the rest and are not looked at.
 *
 * Return: 0, or -EINVAL if no guest could have brought an APIC of this ID into
 * this state; nothing has changed then.
 */
int umbra_lapic_set_state(struct umbra_vcpu *vcpu, const struct umbra_lapic_state *state)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	unsigned int i;

	if (!state_valid(lapic, state))
		return -EINVAL;

	umbra_lapic_pull(lapic);
	umbra_lapic_timer_stop(lapic);
	set_map(lapic->isr, state, APIC_ISR);
	set_map(lapic->tmr, state, APIC_TMR);
	set_map(lapic->irr, state, APIC_IRR);
	WRITE_ONCE(*lapic->tpr, get_reg(state, APIC_TASKPRI));
	if (!is_x2apic(lapic))
		WRITE_ONCE(lapic->ldr, get_reg(state, APIC_LDR));
	WRITE_ONCE(lapic->dfr, get_reg(state, APIC_DFR));
	WRITE_ONCE(lapic->svr, get_reg(state, APIC_SPIV));
	lapic->esr = get_reg(state, APIC_ESR);
	atomic_set(&lapic->esr_new, state->esr_pending);
	*lapic->icr = get_reg(state, APIC_ICR);
	*lapic->icr2 = get_reg(state, APIC_ICR2);
	for (i = 0; i < UMBRA_NR_LVT; i++)
		WRITE_ONCE(lapic->lvt[i],
			   get_reg(state, APIC_LVTT + (i << 4)) & umbra_lapic_lvt_mask(lapic, i));
	assign_bit(0, &lapic->lint0_irr, get_reg(state, APIC_LVT0) & APIC_LVT_REMOTE_IRR);
	assign_bit(0, &lapic->extint, state->flags & UMBRA_LAPIC_EXTINT);
	lapic->tdcr = get_reg(state, APIC_TDCR);
	lapic->tmict = get_reg(state, APIC_TMICT);
	umbra_lapic_timer_restore(lapic, state->timer_remaining_ns);
	umbra_lapic_update_lint0(lapic);
	umbra_lapic_changed(lapic);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 0;
}
