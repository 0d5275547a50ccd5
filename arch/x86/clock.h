/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Time as guests see it: the TSC, and the paravirtual clock that Linux knows as
 * kvm-clock (Documentation/virt/kvm/x86/msr.rst of the kernel).
 *
 * On a host with a trustworthy TSC the clock of a VM is a straight line through
 * one pair (nanoseconds, host TSC), the same for all its vCPUs. Else each vCPU
 * gets a pair of its own whenever it comes to a CPU, and guests keep their
 * clock from going backwards themselves.
 */
#ifndef UMBRA_CLOCK_H
#define UMBRA_CLOCK_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <umbra/umbra.h>
#include <asm/pvclock-abi.h>

struct umbra_vm;
struct umbra_vcpu;

/**
 * struct umbra_vm_clock - the clock of a VM
 * @lock: guards all of it; interrupts are off, nothing nests inside
 * @stable: guests may rely on the pair: the host's TSC was never found wanting
 * @ns: the clock at @tsc
 * @tsc: host TSC
 * @boot_offset: the clock minus the host's CLOCK_BOOTTIME, in nanoseconds
 * @mul: with @shift, what turns TSC ticks into nanoseconds, as pvclock has it
 * @shift: see @mul
 * @tsc_offset: guest TSC minus host TSC of vCPUs that have not changed theirs
 * @set_value: TSC that the monitor set last, and
 * @set_tsc: the host's TSC then; 0 if it never did
 * @wall: guest-physical address of the wall clock; 0 if never asked for
 */
struct umbra_vm_clock {
	raw_spinlock_t lock;
	bool stable;
	u64 ns;
	u64 tsc;
	s64 boot_offset;
	u32 mul;
	s8 shift;
	u64 tsc_offset;
	u64 set_value;
	u64 set_tsc;
	u64 wall;
};

/**
 * struct umbra_clock_state - the paravirtual clock of a vCPU
 * @msr: MSR_KVM_SYSTEM_TIME(_NEW): the page's address and the enable bit
 * @page: what was last written to the guest
 * @last_tsc: host TSC when the vCPU last left a CPU; 0 before
 * @update_tsc: host TSC of the last update
 * @cpu: CPU it was last loaded on, -1 before
 */
struct umbra_clock_state {
	u64 msr;
	struct pvclock_vcpu_time_info page;
	u64 last_tsc;
	u64 update_tsc;
	int cpu;
};

void umbra_clock_vm_create(struct umbra_vm *vm);
void umbra_clock_vcpu_create(struct umbra_vcpu *vcpu);
void umbra_clock_reset(struct umbra_vcpu *vcpu);
void umbra_clock_load_anew(struct umbra_vcpu *vcpu, int cpu, u64 tsc);

void umbra_clock_update(struct umbra_vcpu *vcpu);
int umbra_clock_set_msr(struct umbra_vcpu *vcpu, u64 value);
int umbra_clock_set_wall(struct umbra_vcpu *vcpu, u64 gpa, bool host);
u64 umbra_clock_get_wall(struct umbra_vm *vm);

u32 umbra_host_tsc_khz(void);
u64 umbra_guest_tsc(struct umbra_vcpu *vcpu);
void umbra_clock_set_tsc(struct umbra_vcpu *vcpu, u64 value, bool host);
void umbra_clock_adjust_tsc(struct umbra_vcpu *vcpu, u64 delta);

int umbra_clock_get(struct umbra_vm *vm, struct umbra_clock *clock);
int umbra_clock_set(struct umbra_vm *vm, const struct umbra_clock *clock);

void umbra_clock_scale(u32 khz, u32 *mul, s8 *shift);
u64 umbra_clock_delta_ns(u64 ticks, u32 mul, s8 shift);
#endif /* UMBRA_CLOCK_H */
