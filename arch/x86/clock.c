// SPDX-License-Identifier: GPL-2.0-only
/* Time as guests see it: the TSC and the paravirtual clock. */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <asm/kvm_para.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "clock.h"
#include "lapic.h"
#include "umbra.h"

/* Later than any clock has to show: 146 years. */
#define CLOCK_MAX_NS		(S64_MAX / 2)
/* What the monitor writes to the TSCs of several vCPUs within this is meant to be the same. */
#define SAME_TSC_MS		1000

/**
 * umbra_host_tsc_khz() - rate of the host's TSC, which is the guest's, too
 *
 * Return: kHz, never 0.
 */
u32 umbra_host_tsc_khz(void)
{
	return tsc_khz ?: 1;
}

/**
 * umbra_clock_scale() - how a guest turns TSC ticks into nanoseconds
 * @khz: rate of the TSC, not 0
 * @mul: multiplier, a fraction of 2^32 between one half and one
 * @shift: ticks are shifted left by this before (right if negative)
 */
void umbra_clock_scale(u32 khz, u32 *mul, s8 *shift)
{
	u64 num = USEC_PER_SEC, den = khz;

	*shift = 0;
	while (num >= den) {
		den <<= 1;
		++*shift;
	}
	while (num * 2 < den) {
		num <<= 1;
		--*shift;
	}
	/* num < den, so the quotient has 32 bits. */
	*mul = mul_u64_u64_div_u64(num, BIT_ULL(32), den);
}

/**
 * umbra_clock_delta_ns() - turn TSC ticks into nanoseconds as guests do
 * @ticks: of the TSC
 * @mul: of umbra_clock_scale()
 * @shift: of umbra_clock_scale()
 *
 * Return: nanoseconds.
 */
u64 umbra_clock_delta_ns(u64 ticks, u32 mul, s8 shift)
{
	if (shift < 0)
		ticks >>= -shift;
	else
		ticks <<= shift;
	return mul_u64_u32_shr(ticks, mul, 32);
}

/* One moment on the host's TSC and two of its clocks; the one least disturbed of three. */
static void sample(u64 *tsc, u64 *boot, u64 *real)
{
	u64 best = U64_MAX;
	unsigned long flags;
	int i;

	local_irq_save(flags);
	for (i = 0; i < 3; i++) {
		u64 before, b, r, after;

		before = rdtsc_ordered();
		b = ktime_get_boottime_ns();
		r = ktime_get_real_ns();
		after = rdtsc_ordered();
		if (after - before >= best)
			continue;
		best = after - before;
		*tsc = before + best / 2;
		*boot = b;
		*real = r;
	}
	local_irq_restore(flags);
}

/* The clock at a moment of the host; clock->lock is held. */
static u64 clock_at(const struct umbra_vm_clock *clock, u64 tsc, u64 boot)
{
	if (!clock->stable)
		return boot + clock->boot_offset;
	if (tsc < clock->tsc)
		return clock->ns;
	return clock->ns + umbra_clock_delta_ns(tsc - clock->tsc, clock->mul, clock->shift);
}

/* Have all vCPUs rewrite their pages before they run on. */
static void update_all(struct umbra_vm *vm)
{
	struct umbra_vcpu *vcpu;
	unsigned int i;

	umbra_for_each_vcpu(i, vcpu, vm) {
		if (!(READ_ONCE(vcpu->arch.clock.msr) & KVM_MSR_ENABLED))
			continue;
		umbra_request(vcpu, UMBRA_REQ_CLOCK);
		umbra_vcpu_kick(vcpu);
	}
}

/**
 * umbra_clock_vm_create() - start a VM's clock, and the TSC of its vCPUs, at 0
 * @vm: the VM
 */
void umbra_clock_vm_create(struct umbra_vm *vm)
{
	struct umbra_vm_clock *clock = &vm->arch.clock;
	u64 tsc, boot, real;

	raw_spin_lock_init(&clock->lock);
	sample(&tsc, &boot, &real);
	umbra_clock_scale(umbra_host_tsc_khz(), &clock->mul, &clock->shift);
	clock->stable = !check_tsc_unstable();
	clock->ns = 0;
	clock->tsc = tsc;
	clock->boot_offset = -boot;
	clock->tsc_offset = -tsc;
}

/**
 * umbra_clock_vcpu_create() - give a vCPU the time of its VM
 * @vcpu: the vCPU
 */
void umbra_clock_vcpu_create(struct umbra_vcpu *vcpu)
{
	vcpu->arch.tsc_offset = READ_ONCE(vcpu->vm->arch.clock.tsc_offset);
	vcpu->arch.clock.cpu = -1;
}

/**
 * umbra_clock_reset() - RESET or INIT: the guest's memory is not ours to write any more
 * @vcpu: the vCPU
 */
void umbra_clock_reset(struct umbra_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->arch.clock.msr, 0);
}

/**
 * umbra_guest_tsc() - what RDTSC says in the guest
 * @vcpu: the vCPU; any context
 *
 * Return: the guest's TSC.
 */
u64 umbra_guest_tsc(struct umbra_vcpu *vcpu)
{
	return rdtsc() + READ_ONCE(vcpu->arch.tsc_offset);
}

static void set_offset(struct umbra_vcpu *vcpu, u64 offset)
{
	if (offset == vcpu->arch.tsc_offset)
		return;
	WRITE_ONCE(vcpu->arch.tsc_offset, offset);
	umbra_backend->set_tsc_offset(vcpu, offset);
	umbra_lapic_tsc_changed(vcpu);
	/* All, since TSCs that differ are no stable clock for any vCPU. */
	update_all(vcpu->vm);
}

/*
 * The host's TSC is not what it was: found unstable, or it began anew after the
 * host was suspended. The clock goes on from where it is.
 */
static void rebase(struct umbra_vm *vm, u64 last_tsc)
{
	struct umbra_vm_clock *clock = &vm->arch.clock;
	u64 tsc, boot, real;
	unsigned long flags;

	sample(&tsc, &boot, &real);
	raw_spin_lock_irqsave(&clock->lock, flags);
	clock->ns = max(clock_at(clock, last_tsc, boot), boot + clock->boot_offset);
	clock->tsc = tsc;
	clock->boot_offset = clock->ns - boot;
	clock->stable = !check_tsc_unstable();
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	update_all(vm);
}

/**
 * umbra_clock_load_anew() - the vCPU comes from elsewhere, or the host's TSC is not what it was
 * @vcpu: the vCPU, already loaded by the backend; preemption is off
 * @cpu: the CPU
 * @tsc: its TSC
 */
void umbra_clock_load_anew(struct umbra_vcpu *vcpu, int cpu, u64 tsc)
{
	struct umbra_clock_state *state = &vcpu->arch.clock;
	struct umbra_vm_clock *clock = &vcpu->vm->arch.clock;

	if (unlikely(state->cpu < 0)) {
		umbra_backend->set_tsc_offset(vcpu, vcpu->arch.tsc_offset);
	} else if (unlikely(tsc < state->last_tsc)) {
		rebase(vcpu->vm, state->last_tsc);
		set_offset(vcpu, vcpu->arch.tsc_offset + state->last_tsc - tsc);
	} else if (unlikely(READ_ONCE(clock->stable) && check_tsc_unstable())) {
		rebase(vcpu->vm, tsc);
	}

	/* A pair of another CPU, or too old a one, is of no use without a stable TSC. */
	if (!READ_ONCE(clock->stable) && state->msr & KVM_MSR_ENABLED &&
	    (cpu != state->cpu || tsc - state->update_tsc > umbra_host_tsc_khz() * 1000ULL))
		umbra_request(vcpu, UMBRA_REQ_CLOCK);
	state->cpu = cpu;
}

/* May the guest use the TSC of any vCPU with the page of any other? */
static bool same_offsets(struct umbra_vm *vm, u64 offset)
{
	struct umbra_vcpu *vcpu;
	unsigned int i;

	umbra_for_each_vcpu(i, vcpu, vm)
		if (READ_ONCE(vcpu->arch.tsc_offset) != offset)
			return false;
	return true;
}

/**
 * umbra_clock_update() - rewrite the guest's page of the paravirtual clock
 * @vcpu: the vCPU, loaded; UMBRA_REQ_CLOCK was taken. May sleep
 *
 * An odd version tells other readers of the page to wait. If the guest gave an
 * address without memory, nothing happens.
 */
void umbra_clock_update(struct umbra_vcpu *vcpu)
{
	struct umbra_vm_clock *clock = &vcpu->vm->arch.clock;
	struct umbra_clock_state *state = &vcpu->arch.clock;
	struct pvclock_vcpu_time_info *page = &state->page;
	u64 tsc, boot, real, gpa = state->msr & ~(u64)KVM_MSR_ENABLED;
	const unsigned int body = offsetofend(struct pvclock_vcpu_time_info, version);
	unsigned long flags;
	bool stable;

	if (!(state->msr & KVM_MSR_ENABLED))
		return;

	sample(&tsc, &boot, &real);
	state->update_tsc = tsc;
	raw_spin_lock_irqsave(&clock->lock, flags);
	stable = clock->stable;
	if (stable)
		tsc = clock->tsc;
	page->system_time = stable ? clock->ns : clock_at(clock, tsc, boot);
	page->tsc_to_system_mul = clock->mul;
	page->tsc_shift = clock->shift;
	raw_spin_unlock_irqrestore(&clock->lock, flags);

	page->tsc_timestamp = tsc + vcpu->arch.tsc_offset;
	page->flags = stable && same_offsets(vcpu->vm, vcpu->arch.tsc_offset) ?
		      PVCLOCK_TSC_STABLE_BIT : 0;

	/* Stores stay in this order on x86. */
	page->version |= 1;
	if (umbra_guest_write(vcpu, gpa, &page->version, sizeof(page->version)))
		return;
	umbra_guest_write(vcpu, gpa + body, (u8 *)page + body, sizeof(*page) - body);
	page->version++;
	umbra_guest_write(vcpu, gpa, &page->version, sizeof(page->version));
}

/**
 * umbra_clock_set_msr() - the guest says where it wants its page
 * @vcpu: the vCPU
 * @value: guest-physical address, aligned to 4 bytes; bit 0 switches it on
 *
 * Return: 0, or 1 for #GP(0) if bit 1 is set.
 */
int umbra_clock_set_msr(struct umbra_vcpu *vcpu, u64 value)
{
	if (value & 2)
		return 1;
	WRITE_ONCE(vcpu->arch.clock.msr, value);
	umbra_request(vcpu, UMBRA_REQ_CLOCK);
	return 0;
}

/**
 * umbra_clock_set_wall() - the guest asks for the time of day when its clock was 0
 * @vcpu: the vCPU, loaded. May sleep
 * @gpa: where it wants it
 * @host: the monitor restores the MSR: the guest's memory already has it
 *
 * Return: 0, or 1 for #GP(0) if the address is not aligned to 4 bytes.
 */
int umbra_clock_set_wall(struct umbra_vcpu *vcpu, u64 gpa, bool host)
{
	struct umbra_vm_clock *clock = &vcpu->vm->arch.clock;
	struct pvclock_wall_clock wall = { .version = 1 };
	u64 tsc, boot, real, start;
	unsigned long flags;
	u32 nsec;

	if (gpa & 3)
		return 1;
	WRITE_ONCE(clock->wall, gpa);
	if (host || !gpa)
		return 0;

	sample(&tsc, &boot, &real);
	raw_spin_lock_irqsave(&clock->lock, flags);
	start = real - clock_at(clock, tsc, boot);
	raw_spin_unlock_irqrestore(&clock->lock, flags);

	/* The ABI has 32 bits of seconds. */
	wall.sec = div_u64_rem(start, NSEC_PER_SEC, &nsec);
	wall.nsec = nsec;
	if (umbra_guest_write(vcpu, gpa, &wall, sizeof(wall)))
		return 0;
	wall.version++;
	umbra_guest_write(vcpu, gpa, &wall.version, sizeof(wall.version));
	return 0;
}

/**
 * umbra_clock_get_wall() - the MSR that umbra_clock_set_wall() is the writing of
 * @vm: the VM
 *
 * Return: the guest-physical address it was last written with.
 */
u64 umbra_clock_get_wall(struct umbra_vm *vm)
{
	return READ_ONCE(vm->arch.clock.wall);
}

/**
 * umbra_clock_set_tsc() - write the TSC
 * @vcpu: the vCPU, loaded
 * @value: its new value
 * @host: by the monitor
 *
 * A monitor that restores a VM writes the TSCs of its vCPUs one after the
 * other. They were in step and shall be again, so one that comes close to where
 * the first has got to is taken to mean just that.
 */
void umbra_clock_set_tsc(struct umbra_vcpu *vcpu, u64 value, bool host)
{
	struct umbra_vm_clock *clock = &vcpu->vm->arch.clock;
	u64 now = rdtsc(), offset = value - now;
	unsigned long flags;

	if (host) {
		raw_spin_lock_irqsave(&clock->lock, flags);
		if (clock->set_tsc) {
			s64 diff = offset - (clock->set_value - clock->set_tsc);
			s64 limit = (u64)umbra_host_tsc_khz() * SAME_TSC_MS;

			if (diff > -limit && diff < limit)
				offset -= diff;
		}
		if (offset == value - now) {
			clock->set_value = value;
			clock->set_tsc = now;
			WRITE_ONCE(clock->tsc_offset, offset);
		}
		raw_spin_unlock_irqrestore(&clock->lock, flags);
	}
	set_offset(vcpu, offset);
}

/**
 * umbra_clock_adjust_tsc() - move the TSC
 * @vcpu: the vCPU, loaded
 * @delta: what is added to it
 */
void umbra_clock_adjust_tsc(struct umbra_vcpu *vcpu, u64 delta)
{
	set_offset(vcpu, vcpu->arch.tsc_offset + delta);
}

/**
 * umbra_clock_get() - UMBRA_GET_CLOCK
 * @vm: the VM
 * @arg: where to put it
 *
 * Return: 0.
 */
int umbra_clock_get(struct umbra_vm *vm, struct umbra_clock *arg)
{
	struct umbra_vm_clock *clock = &vm->arch.clock;
	u64 tsc, boot, real;
	unsigned long flags;

	memset(arg, 0, sizeof(*arg));
	sample(&tsc, &boot, &real);
	raw_spin_lock_irqsave(&clock->lock, flags);
	arg->ns = clock_at(clock, tsc, boot);
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	arg->realtime_ns = real;
	arg->tsc = tsc;
	return 0;
}

/**
 * umbra_clock_set() - UMBRA_SET_CLOCK
 * @vm: the VM
 * @arg: what the monitor passed; what is only given out is not looked at
 *
 * Return: 0, or -EINVAL for flags, reserved fields or a time beyond 146 years.
 */
int umbra_clock_set(struct umbra_vm *vm, const struct umbra_clock *arg)
{
	struct umbra_vm_clock *clock = &vm->arch.clock;
	u64 tsc, boot, real;
	unsigned long flags;

	if (arg->flags || arg->reserved || arg->ns > CLOCK_MAX_NS)
		return -EINVAL;
	sample(&tsc, &boot, &real);
	raw_spin_lock_irqsave(&clock->lock, flags);
	clock->ns = arg->ns;
	clock->tsc = tsc;
	clock->boot_offset = arg->ns - boot;
	raw_spin_unlock_irqrestore(&clock->lock, flags);
	update_all(vm);
	return 0;
}
