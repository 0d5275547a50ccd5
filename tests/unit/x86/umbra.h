/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of a VM and a vCPU that the tested sources look at. */
#ifndef UMBRA_H
#define UMBRA_H

#include "kernel.h"
#include <umbra/umbra.h>
#include "clock.h"
#include "lapic.h"

enum { UMBRA_REQ_EVENT, UMBRA_REQ_CLOCK };

enum {
	UMBRA_NMI_LATCHED,
	UMBRA_INTR_LINE,
	UMBRA_NMI_LINE,
	UMBRA_INIT_PENDING,
	UMBRA_SIPI_PENDING,
};

struct umbra_cpuid_state;

struct umbra_vcpu {
	struct umbra_vm *vm;
	u32 id;
	unsigned long requests;
	unsigned int kicks;
	struct {
		u8 mp_state;
		u64 gpr[16];
		u64 cr4, efer, xcr0;
		u8 sipi_vector;
		unsigned long async;
		struct umbra_lapic *lapic;
		struct umbra_cpuid_state *cpuid;
		struct umbra_clock_state clock;
		u64 tsc_offset;
	} arch;
};

struct umbra_vm {
	unsigned int nr_vcpus;
	struct umbra_vcpu *vcpu[UMBRA_MAX_VCPUS];
	struct {
		struct umbra_apic_map apic_map;
		struct umbra_vm_clock clock;
	} arch;
};

static inline struct umbra_vcpu *umbra_vcpu_from(struct umbra_vm *vm, unsigned int *i)
{
	for (; *i < vm->nr_vcpus; (*i)++)
		if (vm->vcpu[*i])
			return vm->vcpu[*i];
	return NULL;
}

#define umbra_for_each_vcpu(i, vcpu, vm)				\
	for ((i) = 0, (vcpu) = umbra_vcpu_from(vm, &(i)); (vcpu);	\
	     (i)++, (vcpu) = umbra_vcpu_from(vm, &(i)))

struct umbra_backend {
	void (*set_tsc_offset)(struct umbra_vcpu *vcpu, u64 offset);
	void (*update_apic)(struct umbra_vcpu *vcpu);
	void (*update_interrupts)(struct umbra_vcpu *vcpu, int requested, int serviced);
	bool (*set_deadline)(struct umbra_vcpu *vcpu, u64 tsc);
};

extern const struct umbra_backend *umbra_backend;

static inline void umbra_request(struct umbra_vcpu *vcpu, int request)
{
	set_bit(request, &vcpu->requests);
}

void umbra_vcpu_kick(struct umbra_vcpu *vcpu);
void umbra_queue_nmi(struct umbra_vcpu *vcpu);
void umbra_mmu_reset_context(struct umbra_vcpu *vcpu);
int umbra_guest_read(struct umbra_vcpu *vcpu, u64 gpa, void *data, unsigned int len);
int umbra_guest_write(struct umbra_vcpu *vcpu, u64 gpa, const void *data, unsigned int len);

/* fake.c, for tests: a VM, time, memory */
struct umbra_vm *fake_vm(unsigned int vcpus);
void fake_free(struct umbra_vm *vm);
void fake_advance(u64 ns);
extern u8 fake_memory[4096];

/*
 * What the fake CPU was told of interrupts and deadlines, and whether it delivers
 * and ends the guest's turn by itself.
 */
struct fake_apic {
	bool delivers, in_xapic;
	int requested, serviced;
	bool has_timer;
	u64 deadline;
};

extern struct fake_apic fake_apic;

#endif
