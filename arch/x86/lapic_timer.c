// SPDX-License-Identifier: GPL-2.0-only
/*
 * The timer of a local APIC: one-shot, periodic and TSC-deadline mode (SDM
 * Vol. 3 11.5.4).
 *
 * Only the vCPU's own thread programs it, always after hrtimer_cancel(), so
 * that the handler never runs beside a change and no lock is needed.
 *
 * A CPU that can end the guest's turn at a deadline by itself is given it instead:
 * no timer of the host's has to be programmed, and none interrupts. A vCPU that
 * does not run on a CPU needs no timer, unless it sleeps.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>
#include <asm/apicdef.h>
#include "clock.h"
#include "lapic.h"
#include "umbra.h"

/*
 * The timer counts nanoseconds: its bus runs at 1 GHz, which CPUID leaf
 * 0x40000010 tells guests that care.
 *
 * A guest that asks for a shorter period than this would keep the host busy
 * with timer interrupts only. Its count reads as if nothing was different.
 */
#define MIN_PERIOD_NS		(100 * NSEC_PER_USEC)
/* An hour or more. The handler starts anew if the deadline is later; the product below fits. */
#define MAX_TICKS		BIT_ULL(44)

static bool is_deadline(u32 lvt)
{
	return lvt & APIC_LVT_TIMER_TSCDEADLINE;
}

static bool is_periodic(u32 lvt)
{
	return !is_deadline(lvt) && lvt & APIC_LVT_TIMER_PERIODIC;
}

/**
 * umbra_lapic_divisor() - what the divide configuration register means
 * @tdcr: bits 3, 1 and 0
 *
 * Return: 1, 2, 4 ... 128 (SDM Vol. 3 figure 11-10).
 */
unsigned int umbra_lapic_divisor(u32 tdcr)
{
	unsigned int code = (tdcr & 3) | (tdcr & 8) >> 1;

	return 1U << ((code + 1) & 7);
}

static u64 ticks_to_ns(u64 ticks)
{
	/* Rounded up, so that the deadline has passed when the timer fires. */
	return mul_u64_u32_div(min(ticks, MAX_TICKS), USEC_PER_SEC, umbra_host_tsc_khz()) + 1;
}

static enum hrtimer_restart expired(struct hrtimer *timer)
{
	struct umbra_lapic *lapic = container_of(timer, struct umbra_lapic, timer);
	u32 lvt = READ_ONCE(lapic->lvt[UMBRA_LVT_TIMER]);

	if (is_deadline(lvt)) {
		u64 deadline = READ_ONCE(lapic->deadline);
		u64 tsc = umbra_guest_tsc(lapic->vcpu);

		if (!deadline)
			return HRTIMER_NORESTART;
		if (tsc < deadline) {
			hrtimer_set_expires(timer, ktime_add_ns(hrtimer_cb_get_time(timer),
								ticks_to_ns(deadline - tsc)));
			return HRTIMER_RESTART;
		}
		WRITE_ONCE(lapic->deadline, 0);
	}
	umbra_lapic_local(lapic, UMBRA_LVT_TIMER);
	if (!is_periodic(lvt))
		return HRTIMER_NORESTART;
	/* Periods that have passed meanwhile are one interrupt, as on a CPU with IF clear. */
	hrtimer_forward_now(timer, ns_to_ktime(max_t(u64, lapic->period, MIN_PERIOD_NS)));
	return HRTIMER_RESTART;
}

/* On the vCPU's CPU, so that the expiry itself is what makes it exit. */
static void start(struct umbra_lapic *lapic, u64 ns)
{
	hrtimer_start(&lapic->timer, ns_to_ktime(ns), HRTIMER_MODE_REL_PINNED_HARD);
}

/**
 * umbra_lapic_timer_create() - prepare the timer
 * @lapic: the APIC
 */
void umbra_lapic_timer_create(struct umbra_lapic *lapic)
{
	hrtimer_init(&lapic->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	lapic->timer.function = expired;
}

static void give_deadline(struct umbra_lapic *lapic)
{
	lapic->deadline_in_cpu = umbra_backend->set_deadline &&
				 umbra_backend->set_deadline(lapic->vcpu, lapic->deadline);
}

static void take_deadline(struct umbra_lapic *lapic)
{
	lapic->deadline_in_cpu = false;
	umbra_backend->set_deadline(lapic->vcpu, 0);
}

static void cancel(struct umbra_lapic *lapic)
{
	hrtimer_cancel(&lapic->timer);
	if (lapic->deadline_in_cpu)
		take_deadline(lapic);
}

/**
 * umbra_lapic_timer_stop() - disarm the timer, in whichever mode
 * @lapic: the APIC; its own thread, or nobody else's any more
 *
 * The handler does not run any more on return.
 */
void umbra_lapic_timer_stop(struct umbra_lapic *lapic)
{
	cancel(lapic);
	lapic->deadline = 0;
	lapic->period = 0;
}

static u64 period_of(const struct umbra_lapic *lapic)
{
	return (u64)lapic->tmict * umbra_lapic_divisor(lapic->tdcr);
}

/**
 * umbra_lapic_timer_lvt() - the timer's LVT entry was written
 * @lapic: the APIC; its own thread
 * @old: what it was before
 *
 * Going to TSC-deadline mode or coming from it disarms the timer (SDM Vol. 3
 * 11.5.4.1). Between one-shot and periodic the count goes on.
 */
void umbra_lapic_timer_lvt(struct umbra_lapic *lapic, u32 old)
{
	if (is_deadline(old ^ lapic->lvt[UMBRA_LVT_TIMER])) {
		umbra_lapic_timer_stop(lapic);
		lapic->tmict = 0;
	}
}

static void start_count(struct umbra_lapic *lapic, u64 remaining)
{
	lapic->period = period_of(lapic);
	if (is_periodic(lapic->lvt[UMBRA_LVT_TIMER]))
		remaining = max_t(u64, remaining, MIN_PERIOD_NS);
	start(lapic, remaining);
}

/**
 * umbra_lapic_timer_set_count() - write the initial count
 * @lapic: the APIC; its own thread
 * @count: zero stops the timer
 */
void umbra_lapic_timer_set_count(struct umbra_lapic *lapic, u32 count)
{
	if (is_deadline(lapic->lvt[UMBRA_LVT_TIMER]))
		return;
	umbra_lapic_timer_stop(lapic);
	lapic->tmict = count;
	if (count)
		start_count(lapic, period_of(lapic));
}

/**
 * umbra_lapic_timer_remaining() - time until the timer fires
 * @lapic: the APIC; its own thread
 *
 * Return: nanoseconds, 0 if it is not armed or in TSC-deadline mode.
 */
u64 umbra_lapic_timer_remaining(struct umbra_lapic *lapic)
{
	s64 left;

	if (is_deadline(lapic->lvt[UMBRA_LVT_TIMER]) || !hrtimer_active(&lapic->timer))
		return 0;
	left = ktime_to_ns(hrtimer_get_remaining(&lapic->timer));
	/* Just now firing counts as armed: what it brings is not there yet. */
	return left > 0 ? left : 1;
}

/**
 * umbra_lapic_timer_settle() - wait until the timer has fired, if it is about to
 * @lapic: the APIC; its own thread
 *
 * Afterwards its interrupt is where it belongs.
 */
void umbra_lapic_timer_settle(struct umbra_lapic *lapic)
{
	while (hrtimer_callback_running(&lapic->timer))
		cpu_relax();
}

/**
 * umbra_lapic_timer_get_count() - read the current count
 * @lapic: the APIC; its own thread
 *
 * Return: what is left to count, 0 if the timer is not armed.
 */
u32 umbra_lapic_timer_get_count(struct umbra_lapic *lapic)
{
	u64 left = umbra_lapic_timer_remaining(lapic);

	/* A period below the minimum is counted through several times. */
	if (lapic->period && left > lapic->period)
		left = (left - 1) % lapic->period + 1;
	return DIV_ROUND_UP_ULL(left, umbra_lapic_divisor(lapic->tdcr));
}

/**
 * umbra_lapic_timer_set_divide() - write the divide configuration
 * @lapic: the APIC; its own thread
 * @tdcr: its new value
 *
 * A running count goes on from where it is at the new rate.
 */
void umbra_lapic_timer_set_divide(struct umbra_lapic *lapic, u32 tdcr)
{
	u64 left = umbra_lapic_timer_remaining(lapic);
	unsigned int old = umbra_lapic_divisor(lapic->tdcr);

	lapic->tdcr = tdcr;
	if (!left || umbra_lapic_divisor(tdcr) == old)
		return;
	hrtimer_cancel(&lapic->timer);
	start_count(lapic, div_u64(left * umbra_lapic_divisor(tdcr), old));
}

/**
 * umbra_lapic_timer_restore() - arm the timer as it was when state was saved
 * @lapic: the APIC, its timer stopped, LVT, count and divisor set
 * @remaining: nanoseconds until it fires; 0: not armed
 */
void umbra_lapic_timer_restore(struct umbra_lapic *lapic, u64 remaining)
{
	if (remaining)
		start_count(lapic, remaining);
}

/* Fires at once if the deadline has passed. Else the CPU is to notice, if it may and can. */
static void start_deadline(struct umbra_lapic *lapic, bool in_cpu)
{
	u64 tsc = umbra_guest_tsc(lapic->vcpu);

	if (tsc >= lapic->deadline) {
		lapic->deadline = 0;
		umbra_lapic_local(lapic, UMBRA_LVT_TIMER);
		return;
	}
	if (in_cpu)
		give_deadline(lapic);
	if (!lapic->deadline_in_cpu)
		start(lapic, ticks_to_ns(lapic->deadline - tsc));
}

/**
 * umbra_lapic_timer_sleep() - the vCPU does not enter the guest for a while
 * @lapic: the APIC; its own thread
 *
 * A deadline that only a CPU in the guest would notice becomes a timer's.
 */
void umbra_lapic_timer_sleep(struct umbra_lapic *lapic)
{
	u64 tsc;

	if (!lapic->deadline_in_cpu)
		return;
	tsc = umbra_guest_tsc(lapic->vcpu);
	take_deadline(lapic);
	start(lapic, tsc < lapic->deadline ? ticks_to_ns(lapic->deadline - tsc) : 0);
}

/**
 * umbra_lapic_timer_reached() - the CPU has ended the guest's turn at a deadline
 * @lapic: the APIC; its own thread, interrupts may be off
 *
 * Or before it, as it counts only so far.
 */
void umbra_lapic_timer_reached(struct umbra_lapic *lapic)
{
	if (!lapic->deadline_in_cpu || umbra_guest_tsc(lapic->vcpu) < lapic->deadline)
		return;
	take_deadline(lapic);
	lapic->deadline = 0;
	umbra_lapic_local(lapic, UMBRA_LVT_TIMER);
}

/**
 * umbra_lapic_timer_get_deadline() - read IA32_TSC_DEADLINE
 * @lapic: the APIC; its own thread
 *
 * Return: the deadline in guest TSC ticks; 0 when it has passed, when the timer
 * was disarmed and outside TSC-deadline mode.
 */
u64 umbra_lapic_timer_get_deadline(struct umbra_lapic *lapic)
{
	return READ_ONCE(lapic->deadline);
}

/**
 * umbra_lapic_timer_set_deadline() - write IA32_TSC_DEADLINE
 * @lapic: the APIC; its own thread
 * @tsc: guest TSC at which to fire; 0 disarms
 *
 * Ignored outside TSC-deadline mode.
 */
void umbra_lapic_timer_set_deadline(struct umbra_lapic *lapic, u64 tsc)
{
	if (!is_deadline(lapic->lvt[UMBRA_LVT_TIMER]))
		return;
	cancel(lapic);
	lapic->deadline = tsc;
	if (tsc)
		start_deadline(lapic, true);
}

/**
 * umbra_lapic_tsc_changed() - the guest's TSC was set: a deadline moves
 * @vcpu: the vCPU; its own thread, preemption may be off
 *
 * A CPU that has the deadline looks at the guest's TSC whenever it enters. One that
 * is a timer's stays that, as the vCPU may be asleep.
 */
void umbra_lapic_tsc_changed(struct umbra_vcpu *vcpu)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;

	if (!lapic || !is_deadline(lapic->lvt[UMBRA_LVT_TIMER]) || lapic->deadline_in_cpu)
		return;
	hrtimer_cancel(&lapic->timer);
	if (lapic->deadline)
		start_deadline(lapic, false);
}
