/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU comes to a CPU and leaves it: on each way into an ioctl and out, so all inline. */
#ifndef UMBRA_LOAD_H
#define UMBRA_LOAD_H

#include <linux/static_call.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "umbra.h"

void umbra_no_load(struct umbra_vcpu *vcpu, int cpu);
void umbra_no_put(struct umbra_vcpu *vcpu);
DECLARE_STATIC_CALL(umbra_backend_load, umbra_no_load);
DECLARE_STATIC_CALL(umbra_backend_put, umbra_no_put);

/**
 * umbra_clock_load() - the vCPU comes to a CPU
 * @vcpu: the vCPU, already loaded by the backend; preemption is off
 * @cpu: the CPU
 *
 * The guest's TSC never goes backwards, whatever the CPU's does.
 */
static __always_inline void umbra_clock_load(struct umbra_vcpu *vcpu, int cpu)
{
	const struct umbra_clock_state *state = &vcpu->arch.clock;
	u64 tsc = rdtsc();

	/* On the CPU that it has just left there is nothing to do. */
	if (unlikely(state->cpu != cpu || tsc < state->last_tsc ||
		     !READ_ONCE(vcpu->vm->arch.clock.stable) || check_tsc_unstable()))
		umbra_clock_load_anew(vcpu, cpu, tsc);
}

/**
 * umbra_clock_put() - the vCPU leaves its CPU
 * @vcpu: the vCPU; preemption is off
 */
static __always_inline void umbra_clock_put(struct umbra_vcpu *vcpu)
{
	vcpu->arch.clock.last_tsc = rdtsc();
}

/**
 * umbra_arch_vcpu_load() - the vCPU's task runs on this CPU now
 * @vcpu: the vCPU
 * @cpu: this CPU; preemption is off
 */
static __always_inline void umbra_arch_vcpu_load(struct umbra_vcpu *vcpu, int cpu)
{
	static_call(umbra_backend_load)(vcpu, cpu);
	umbra_clock_load(vcpu, cpu);
}

/**
 * umbra_arch_vcpu_put() - the vCPU's task leaves this CPU
 * @vcpu: the vCPU; preemption is off
 */
static __always_inline void umbra_arch_vcpu_put(struct umbra_vcpu *vcpu)
{
	umbra_clock_put(vcpu);
	static_call(umbra_backend_put)(vcpu);
}

#endif /* UMBRA_LOAD_H */
