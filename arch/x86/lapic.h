/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC of a vCPU: xAPIC and x2APIC mode, its timer, interrupt
 * messages between vCPUs and from devices (SDM Vol. 3 chapter 11, APM Vol. 2
 * chapter 16).
 *
 * APIC IDs are vCPU ids and never change, so a physical destination needs no
 * table; logical ones are matched against what each APIC has in LDR and DFR.
 */
#ifndef UMBRA_LAPIC_H
#define UMBRA_LAPIC_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/hrtimer.h>
#include <linux/types.h>
#include <umbra/umbra.h>

struct umbra_vm;
struct umbra_vcpu;

#define UMBRA_NR_VECTORS	256

/* The page of registers, and what IA32_APIC_BASE points to after RESET. */
#define UMBRA_APIC_PAGE		0x1000
#define UMBRA_APIC_DEFAULT_BASE	0xfee00000ULL

/* Rows of the local vector table, as many as UMBRA_APIC_VERSION promises. */
enum umbra_lvt {
	UMBRA_LVT_TIMER,
	UMBRA_LVT_THERMAL,
	UMBRA_LVT_PERF,
	UMBRA_LVT_LINT0,
	UMBRA_LVT_LINT1,
	UMBRA_LVT_ERROR,
	UMBRA_NR_LVT
};

/* Version 0x14 (integrated, xAPIC), highest LVT entry; no suppression of EOI broadcasts. */
#define UMBRA_APIC_VERSION	(0x14U | (UMBRA_NR_LVT - 1) << 16)

/* Bits that can be written, or be set. */
#define UMBRA_APIC_SPURIOUS_WRITABLE	(APIC_SPIV_FOCUS_DISABLED | APIC_SPIV_APIC_ENABLED |	\
					 APIC_VECTOR_MASK)
#define UMBRA_APIC_ESR_BITS	(APIC_ESR_SENDILL | APIC_ESR_RECVILL | APIC_ESR_ILLREGA)
#define UMBRA_APIC_TDCR_WRITABLE	0xbU

/* ICR: vector, delivery and destination mode, level, trigger mode, shorthand. */
#define UMBRA_APIC_ICR_WRITABLE	0xccfffU
/* The delivery status is read-only in xAPIC mode and does not exist in x2APIC mode. */
#define UMBRA_APIC_ICR_IGNORED	APIC_ICR_BUSY

/**
 * struct umbra_lapic - the local APIC of one vCPU
 * @vcpu: whose it is
 * @irr: interrupt requests; anyone sets bits, only the vCPU clears them
 * @tmr: bit of a vector is set if the last request for it was level-triggered;
 *	written, like @irr, by anyone
 * @isr: vectors in service; the vCPU's own, as all that follows but @esr_new,
 *	@lint0_irr and @extint, which are atomic
 * @eoi: level-triggered vectors whose EOI user space has to be told
 * @eoi_pending: @eoi is not empty
 * @lint0_irr: Remote IRR of LINT0 while that is level-triggered
 * @extint: an ExtINT message has arrived: the 8259 is to be asked for a vector
 * @esr_new: errors since ESR was last written
 * @base: IA32_APIC_BASE
 * @esr: what ESR shows
 * @tpr: task priority: @own_tpr, or in @page
 * @ldr: logical destination, as xAPIC mode shows it; computed in x2APIC mode
 * @dfr: destination format
 * @svr: spurious-interrupt vector, bit 8 enables the APIC
 * @icr: interrupt command: @own_icr, or in @page
 * @icr2: destination of that, in bits 31:24 in xAPIC mode: @own_icr2, or in @page
 * @own_tpr: where it is when there is no page
 * @own_icr: where it is when there is no page
 * @own_icr2: where it is when there is no page
 * @lvt: local vector table
 * @timer: hrtimer of all timer modes
 * @tmict: initial count
 * @tdcr: divide configuration
 * @period: of periodic mode, in nanoseconds
 * @deadline: IA32_TSC_DEADLINE, zero when not armed
 * @deadline_in_cpu: the backend has it, @timer is not armed
 * @pv_eoi: MSR_KVM_PV_EOI_EN: where the guest wants to find bit 0 set when an EOI
 *	takes no more than to clear it; bit 0 switches that on
 * @pv_eoi_offered: that bit was set, and what the guest did was not looked at yet
 * @page: registers in their places, which the CPU reads and writes for the guest;
 *	NULL: it cannot
 * @delivers: the CPU delivers interrupts and takes EOIs by itself now
 * @held: it has got what is requested and in service: that is in @page, but for
 *	requests that came since, and @isr is out of date
 */
struct umbra_lapic {
	struct umbra_vcpu *vcpu;

	DECLARE_BITMAP(irr, UMBRA_NR_VECTORS);
	DECLARE_BITMAP(tmr, UMBRA_NR_VECTORS);
	DECLARE_BITMAP(isr, UMBRA_NR_VECTORS);
	DECLARE_BITMAP(eoi, UMBRA_NR_VECTORS);
	bool eoi_pending;

	unsigned long lint0_irr;
	unsigned long extint;
	atomic_t esr_new;

	u64 base;
	u32 esr;
	u32 *tpr, *icr, *icr2;
	u32 own_tpr, own_icr, own_icr2;
	u32 ldr;
	u32 dfr;
	u32 svr;
	u32 lvt[UMBRA_NR_LVT];

	struct hrtimer timer;
	u32 tmict;
	u32 tdcr;
	u64 period;
	u64 deadline;
	bool deadline_in_cpu;

	u64 pv_eoi;
	bool pv_eoi_offered;

	void *page;
	bool delivers;
	bool held;
};

/**
 * struct umbra_apic_map - what the APICs of a VM share
 * @turn: who goes first when several APICs could take a lowest-priority interrupt
 */
struct umbra_apic_map {
	atomic_t turn;
};

/**
 * struct umbra_apic_message - an interrupt on its way to local APICs
 * @dest: APIC ID or logical destination
 * @vector: of fixed, lowest-priority and start-up messages
 * @mode: delivery mode, APIC_DM_* of <asm/apicdef.h>
 * @logical: @dest is a logical destination
 * @broadcast: to all, @dest does not matter
 * @level: level-triggered
 * @lowest: only the APIC of the lowest priority among the destinations takes it
 */
struct umbra_apic_message {
	u32 dest;
	u8 vector;
	u32 mode;
	bool logical;
	bool broadcast;
	bool level;
	bool lowest;
};

/* lapic.c: registers, requests, priorities */
int umbra_lapic_create(struct umbra_vcpu *vcpu);
void umbra_lapic_free(struct umbra_vcpu *vcpu);
void umbra_lapic_reset(struct umbra_vcpu *vcpu, bool init);

bool umbra_lapic_claims(struct umbra_vcpu *vcpu, u64 gpa);
void umbra_lapic_read(struct umbra_vcpu *vcpu, u64 gpa, void *data, unsigned int len);
void umbra_lapic_write(struct umbra_vcpu *vcpu, u64 gpa, const void *data, unsigned int len);
int umbra_lapic_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value);
int umbra_lapic_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value);

u64 umbra_lapic_get_base(struct umbra_vcpu *vcpu);
bool umbra_lapic_base_valid(struct umbra_vcpu *vcpu, u64 value);
int umbra_lapic_set_base(struct umbra_vcpu *vcpu, u64 value, bool host);
bool umbra_lapic_enabled(struct umbra_vcpu *vcpu);
bool umbra_lapic_uses_deadline(struct umbra_vcpu *vcpu);

int umbra_lapic_next(struct umbra_vcpu *vcpu);
void umbra_lapic_accept(struct umbra_vcpu *vcpu, u8 vector);
u64 umbra_lapic_get_cr8(struct umbra_vcpu *vcpu);
int umbra_lapic_set_cr8(struct umbra_vcpu *vcpu, u64 value);
bool umbra_lapic_extint_enabled(struct umbra_vcpu *vcpu);
bool umbra_lapic_extint_pending(struct umbra_vcpu *vcpu);
void umbra_lapic_extint_accept(struct umbra_vcpu *vcpu);
bool umbra_lapic_has_interrupt(struct umbra_vcpu *vcpu);
int umbra_lapic_pending_eoi(struct umbra_vcpu *vcpu);
bool umbra_lapic_read_reg(struct umbra_lapic *lapic, u32 offset, u32 *value);
void umbra_lapic_write_reg(struct umbra_lapic *lapic, u32 offset, u32 value);
u32 umbra_lapic_lvt_mask(const struct umbra_lapic *lapic, enum umbra_lvt entry);
void umbra_lapic_changed(struct umbra_lapic *lapic);
void umbra_lapic_eoi(struct umbra_lapic *lapic);
void umbra_lapic_eoi_taken(struct umbra_lapic *lapic, u8 vector);

/* lapic_state.c */
void umbra_lapic_get_state(struct umbra_vcpu *vcpu, struct umbra_lapic_state *state);
int umbra_lapic_set_state(struct umbra_vcpu *vcpu, const struct umbra_lapic_state *state);

/* lapic_page.c: a page of registers that the CPU uses by itself; its own thread */
void umbra_lapic_use_page(struct umbra_vcpu *vcpu, void *page);
void umbra_lapic_set_delivery(struct umbra_vcpu *vcpu, bool on);
void umbra_lapic_mirror(struct umbra_lapic *lapic);
void umbra_lapic_pull_page(struct umbra_lapic *lapic);
void umbra_lapic_push(struct umbra_vcpu *vcpu);
void umbra_lapic_page_written(struct umbra_vcpu *vcpu, u32 offset);

/**
 * umbra_lapic_pull() - have what is requested and in service in IRR and ISR
 * @lapic: the APIC; its own thread, any context
 *
 * The CPU gets it again with the next entry.
 */
static inline void umbra_lapic_pull(struct umbra_lapic *lapic)
{
	if (unlikely(lapic->held))
		umbra_lapic_pull_page(lapic);
}

/**
 * umbra_highest_vector() - the vector of the highest priority
 * @map: a bit for each vector
 *
 * Return: the vector, or -1.
 */
static inline int umbra_highest_vector(const unsigned long *map)
{
	int i;

	for (i = BITS_TO_LONGS(UMBRA_NR_VECTORS) - 1; i >= 0; i--) {
		unsigned long bits = READ_ONCE(map[i]);

		if (bits)
			return i * BITS_PER_LONG + __fls(bits);
	}
	return -1;
}

/* lapic_pv_eoi.c: EOIs without an exit, by a word in the guest's memory */
int umbra_lapic_set_pv_eoi(struct umbra_vcpu *vcpu, u64 value);
void umbra_lapic_offer_pv_eoi(struct umbra_vcpu *vcpu);
void umbra_lapic_take_pv_eoi(struct umbra_lapic *lapic);

/**
 * umbra_lapic_settle_eoi() - see whether the guest has taken an EOI that was offered
 * @lapic: the vCPU's, which is loaded; its own thread. May sleep
 *
 * Before anything depends on what is in service: after an exit that is not
 * handled at once, before events are chosen, before user space sees the state.
 */
static inline void umbra_lapic_settle_eoi(struct umbra_lapic *lapic)
{
	if (unlikely(lapic->pv_eoi_offered))
		umbra_lapic_take_pv_eoi(lapic);
}

/* lapic_msg.c: messages and pins; any thread, any context */
void umbra_lapic_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level);
void umbra_lapic_update_lint0(struct umbra_lapic *lapic);
int umbra_lapic_send_msi(struct umbra_vm *vm, u64 address, u32 data);
void umbra_lapic_send_ipi(struct umbra_lapic *lapic);
int umbra_lapic_send_set(struct umbra_lapic *lapic, u32 first, u64 low, u64 high,
			 unsigned int width, u32 icr);
void umbra_lapic_self_ipi(struct umbra_lapic *lapic, u8 vector);
void umbra_lapic_local(struct umbra_lapic *lapic, enum umbra_lvt entry);
void umbra_lapic_error(struct umbra_lapic *lapic, u32 bits);

/* lapic_timer.c */
void umbra_lapic_timer_create(struct umbra_lapic *lapic);
void umbra_lapic_timer_stop(struct umbra_lapic *lapic);
void umbra_lapic_timer_lvt(struct umbra_lapic *lapic, u32 old);
void umbra_lapic_timer_set_count(struct umbra_lapic *lapic, u32 count);
u32 umbra_lapic_timer_get_count(struct umbra_lapic *lapic);
void umbra_lapic_timer_set_divide(struct umbra_lapic *lapic, u32 tdcr);
u64 umbra_lapic_timer_get_deadline(struct umbra_lapic *lapic);
void umbra_lapic_timer_set_deadline(struct umbra_lapic *lapic, u64 tsc);
void umbra_lapic_timer_sleep(struct umbra_lapic *lapic);
void umbra_lapic_timer_reached(struct umbra_lapic *lapic);
void umbra_lapic_timer_settle(struct umbra_lapic *lapic);
u64 umbra_lapic_timer_remaining(struct umbra_lapic *lapic);
void umbra_lapic_timer_restore(struct umbra_lapic *lapic, u64 remaining);
void umbra_lapic_tsc_changed(struct umbra_vcpu *vcpu);
unsigned int umbra_lapic_divisor(u32 tdcr);

#endif /* UMBRA_LAPIC_H */
