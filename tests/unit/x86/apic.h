/* SPDX-License-Identifier: GPL-2.0-only */
/* Access to the registers of a vCPU's local APIC, as a guest has it. */
#ifndef TEST_APIC_H
#define TEST_APIC_H

#include <setjmp.h>
#include <stdarg.h>
#include "umbra.h"
#include <cmocka.h>

#define FIXED		(APIC_DM_FIXED | APIC_INT_ASSERT)

static inline u32 rd(struct umbra_vcpu *vcpu, u32 reg)
{
	u32 value;

	umbra_lapic_read(vcpu, UMBRA_APIC_DEFAULT_BASE + reg, &value, 4);
	return value;
}

static inline void wr(struct umbra_vcpu *vcpu, u32 reg, u32 value)
{
	umbra_lapic_write(vcpu, UMBRA_APIC_DEFAULT_BASE + reg, &value, 4);
}

static inline int rdmsr(struct umbra_vcpu *vcpu, u32 index, u64 *value)
{
	return umbra_lapic_get_msr(vcpu, index, value);
}

static inline int wrmsr(struct umbra_vcpu *vcpu, u32 index, u64 value)
{
	return umbra_lapic_set_msr(vcpu, index, value);
}

static inline int x2(u32 reg)
{
	return APIC_BASE_MSR + (reg >> 4);
}

/* What would be delivered; it is. */
static inline int take(struct umbra_vcpu *vcpu)
{
	int vector = umbra_lapic_next(vcpu);

	if (vector >= 0)
		umbra_lapic_accept(vcpu, vector);
	return vector;
}

static inline void eoi(struct umbra_vcpu *vcpu)
{
	wr(vcpu, APIC_EOI, 0);
}

static inline int errors(struct umbra_vcpu *vcpu)
{
	wr(vcpu, APIC_ESR, 0);
	return rd(vcpu, APIC_ESR);
}

#endif
