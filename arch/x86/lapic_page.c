// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the CPU does of a local APIC by itself, on a page of registers that a
 * backend gives it (SDM Vol. 3 30; AMD's is APM Vol. 2 15.29).
 *
 * At the least the CPU keeps the task priority there. ICR is there, too, as it may
 * be written without an exit. If the CPU also delivers interrupts, it has to be given
 * those that are requested and in service, and has them until somebody in the module
 * asks: they are pushed into the page before an entry and pulled out of it again.
 * Meanwhile others go on requesting interrupts in IRR, and the vCPU pushes those, too,
 * when it has been kicked. All other registers that the guest reads without an exit
 * are copies.
 */
#include <linux/bitops.h>
#include <asm/apicdef.h>
#include "lapic.h"
#include "umbra.h"

/* ISR, IRR and TMR: registers of 32 bits, 16 bytes apart. */
#define NR_WORDS	(UMBRA_NR_VECTORS / 32)

/* Registers that only the module changes. */
static const u16 copied[] = {
	APIC_ID, APIC_LVR, APIC_LDR, APIC_DFR, APIC_SPIV, APIC_ESR, APIC_LVTT, APIC_LVTTHMR,
	APIC_LVTPC, APIC_LVT0, APIC_LVT1, APIC_LVTERR, APIC_TMICT, APIC_TDCR,
};

static u32 *reg(const struct umbra_lapic *lapic, u32 offset)
{
	return lapic->page + offset;
}

static u32 *word(const struct umbra_lapic *lapic, u32 offset, unsigned int i)
{
	return reg(lapic, offset + 16 * i);
}

static u32 get_word(const unsigned long *map, unsigned int i)
{
	return READ_ONCE(map[i / 2]) >> (i % 2 * 32);
}

static int highest(const struct umbra_lapic *lapic, u32 offset)
{
	int i;

	for (i = NR_WORDS - 1; i >= 0; i--) {
		u32 bits = *word(lapic, offset, i);

		if (bits)
			return i * 32 + __fls(bits);
	}
	return -1;
}

/**
 * umbra_lapic_use_page() - the CPU keeps the task priority in this page
 * @vcpu: the vCPU, just created
 * @page: zeroed; lives as long as the vCPU
 */
void umbra_lapic_use_page(struct umbra_vcpu *vcpu, void *page)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	lapic->page = page;
	lapic->tpr = reg(lapic, APIC_TASKPRI);
	lapic->icr = reg(lapic, APIC_ICR);
	lapic->icr2 = reg(lapic, APIC_ICR2);
}

/**
 * umbra_lapic_set_delivery() - does the CPU deliver interrupts?
 * @vcpu: the vCPU, which has a page; its own thread
 * @on: it does from the next entry on
 */
void umbra_lapic_set_delivery(struct umbra_vcpu *vcpu, bool on)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	if (lapic->delivers == on)
		return;
	umbra_lapic_pull(lapic);
	lapic->delivers = on;
	if (on)
		umbra_lapic_mirror(lapic);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}

/**
 * umbra_lapic_mirror() - copy registers that have changed into the page
 * @lapic: the APIC; its own thread
 */
void umbra_lapic_mirror(struct umbra_lapic *lapic)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(copied); i++)
		umbra_lapic_read_reg(lapic, copied[i], reg(lapic, copied[i]));
}

/**
 * umbra_lapic_pull_page() - take back what the CPU has of IRR and ISR
 * @lapic: the APIC, its @held is set; its own thread, any context
 */
void umbra_lapic_pull_page(struct umbra_lapic *lapic)
{
	struct umbra_vcpu *vcpu = lapic->vcpu;
	unsigned int i;

	lapic->held = false;
	for (i = 0; i < NR_WORDS; i += 2) {
		unsigned long requested = *word(lapic, APIC_IRR, i) |
					  (u64)*word(lapic, APIC_IRR, i + 1) << 32;

		lapic->isr[i / 2] = *word(lapic, APIC_ISR, i) |
				    (u64)*word(lapic, APIC_ISR, i + 1) << 32;
		for (; requested; requested &= requested - 1)
			set_bit(i * 32 + __ffs(requested), lapic->irr);
	}
	/* A vCPU that waits chooses anew when it goes on; a request would wake it. */
	if (vcpu->arch.mp_state == UMBRA_MP_RUNNABLE)
		umbra_request(vcpu, UMBRA_REQ_EVENT);
}

static void push_serviced(struct umbra_lapic *lapic)
{
	unsigned int i;

	for (i = 0; i < NR_WORDS; i++) {
		*word(lapic, APIC_ISR, i) = get_word(lapic->isr, i);
		*word(lapic, APIC_IRR, i) = 0;
		*word(lapic, APIC_TMR, i) = get_word(lapic->tmr, i);
	}
	lapic->held = true;
}

static void push_requested(struct umbra_lapic *lapic)
{
	unsigned int i;

	for (i = 0; i < BITS_TO_LONGS(UMBRA_NR_VECTORS); i++) {
		unsigned long bits;

		if (!READ_ONCE(lapic->irr[i]))
			continue;
		bits = xchg(&lapic->irr[i], 0);
		*word(lapic, APIC_IRR, 2 * i) |= (u32)bits;
		*word(lapic, APIC_IRR, 2 * i + 1) |= bits >> 32;
		/* How they were triggered was noted before they were requested. */
		*word(lapic, APIC_TMR, 2 * i) = get_word(lapic->tmr, 2 * i);
		*word(lapic, APIC_TMR, 2 * i + 1) = get_word(lapic->tmr, 2 * i + 1);
	}
}

/**
 * umbra_lapic_push() - tell the CPU of interrupts, before an entry
 * @vcpu: the vCPU, loaded, which has a page; its own thread
 *
 * If it delivers them, it gets all that are requested. Else it only has to know
 * which one waits for the guest to lower its task priority.
 */
void umbra_lapic_push(struct umbra_vcpu *vcpu)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	if (!lapic->delivers) {
		umbra_backend->update_interrupts(vcpu, umbra_highest_vector(lapic->irr), -1);
		return;
	}
	if (!lapic->held)
		push_serviced(lapic);
	push_requested(lapic);
	/* Others change its Remote IRR, and then request an interrupt. */
	umbra_lapic_read_reg(lapic, APIC_LVT0, reg(lapic, APIC_LVT0));
	umbra_backend->update_interrupts(vcpu, highest(lapic, APIC_IRR), highest(lapic, APIC_ISR));
}

/**
 * umbra_lapic_page_written() - the guest has written a register in the page
 * @vcpu: the vCPU; its own thread
 * @offset: of the register
 */
void umbra_lapic_page_written(struct umbra_vcpu *vcpu, u32 offset)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	umbra_lapic_write_reg(lapic, offset, *reg(lapic, offset));
	/* Bits that cannot be written are as they were. */
	umbra_lapic_mirror(lapic);
}
