// SPDX-License-Identifier: GPL-2.0-only
/* Registers, priorities, messages and pins of the local APIC. */
#include "apic.h"

#define MSI(dest)	(0xfee00000ULL | (dest) << 12)
#define MSI_LOGICAL	4
#define LEVEL		BIT(15)

static struct umbra_vm *vm;
static struct umbra_vcpu *cpu;

static int setup(void **state)
{
	vm = fake_vm(4);
	cpu = vm->vcpu[0];
	return 0;
}

static int teardown(void **state)
{
	fake_free(vm);
	return 0;
}

static void ipi(struct umbra_vcpu *vcpu, u32 dest, u32 low)
{
	wr(vcpu, APIC_ICR2, dest << 24);
	wr(vcpu, APIC_ICR, low);
}

/* Which vCPUs have been sent this vector; they take it and end it. */
static u32 receivers(u8 vector)
{
	u32 mask = 0;
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		int got = take(vm->vcpu[i]);

		if (got < 0)
			continue;
		assert_int_equal(got, vector);
		mask |= BIT(i);
		assert_int_equal(umbra_lapic_next(vm->vcpu[i]), -1);
		if (vm->vcpu[i]->arch.lapic->base & X2APIC_ENABLE)
			assert_int_equal(wrmsr(vm->vcpu[i], x2(APIC_EOI), 0), 0);
		else
			eoi(vm->vcpu[i]);
	}
	return mask;
}

static void enter_x2apic(struct umbra_vcpu *vcpu)
{
	u64 base = umbra_lapic_get_base(vcpu);

	assert_int_equal(wrmsr(vcpu, MSR_IA32_APICBASE, base | X2APIC_ENABLE), 0);
}

static void reset_values(void **state)
{
	umbra_lapic_reset(cpu, false);
	assert_int_equal(umbra_lapic_get_base(cpu), 0xfee00900);
	assert_int_equal(umbra_lapic_get_base(vm->vcpu[1]), 0xfee00800);
	assert_int_equal(rd(vm->vcpu[3], APIC_ID), 3 << 24);
	assert_int_equal(rd(cpu, APIC_LVR), 0x50014);
	assert_int_equal(rd(cpu, APIC_SPIV), 0xff);
	assert_int_equal(rd(cpu, APIC_DFR), 0xffffffff);
	assert_int_equal(rd(cpu, APIC_LVTT), APIC_LVT_MASKED);
	assert_int_equal(rd(cpu, APIC_LVT0), APIC_DM_EXTINT);
	umbra_lapic_reset(vm->vcpu[1], true);
	assert_int_equal(rd(vm->vcpu[1], APIC_LVT0), APIC_LVT_MASKED);
}

static void access_sizes(void **state)
{
	u64 gpa = UMBRA_APIC_DEFAULT_BASE + APIC_LVR, data = ~0ULL;
	u32 value = 0x50;

	umbra_lapic_read(cpu, gpa, &data, 8);
	assert_int_equal(data, 0x50014);
	data = ~0ULL;
	umbra_lapic_read(cpu, gpa + 2, &data, 1);
	assert_int_equal(data & 0xff, 5);
	umbra_lapic_read(cpu, gpa + 4, &data, 4);
	assert_int_equal((u32)data, 0);

	gpa = UMBRA_APIC_DEFAULT_BASE + APIC_TASKPRI;
	umbra_lapic_write(cpu, gpa, &value, 1);
	umbra_lapic_write(cpu, gpa + 4, &value, 4);
	assert_int_equal(rd(cpu, APIC_TASKPRI), 0);
	umbra_lapic_write(cpu, gpa, &value, 4);
	assert_int_equal(rd(cpu, APIC_TASKPRI), 0x50);

	assert_true(umbra_lapic_claims(cpu, 0xfee00fff));
	assert_false(umbra_lapic_claims(cpu, 0xfee01000));
	assert_int_equal(errors(cpu), 0);
	rd(cpu, 0x10);
	assert_int_equal(errors(cpu), APIC_ESR_ILLREGA);
	wr(cpu, 0x3f0, 0x40);
	assert_int_equal(errors(cpu), APIC_ESR_ILLREGA);
	assert_int_equal(errors(cpu), 0);
}

static void priorities(void **state)
{
	ipi(cpu, 0, FIXED | 0x35);
	ipi(cpu, 0, FIXED | 0x52);
	ipi(cpu, 0, FIXED | 0x5a);
	assert_int_equal(rd(cpu, APIC_IRR + 0x20), BIT(0x5a - 64) | BIT(0x52 - 64));
	assert_int_equal(take(cpu), 0x5a);
	assert_int_equal(rd(cpu, APIC_PROCPRI), 0x50);
	/* The same class waits, a higher one does not. */
	assert_int_equal(take(cpu), -1);
	ipi(cpu, 0, FIXED | 0x60);
	assert_int_equal(take(cpu), 0x60);
	assert_int_equal(rd(cpu, APIC_ISR + 0x30), BIT(0));
	eoi(cpu);
	assert_int_equal(take(cpu), -1);
	eoi(cpu);
	assert_int_equal(take(cpu), 0x52);
	eoi(cpu);
	wr(cpu, APIC_TASKPRI, 0x30);
	assert_int_equal(take(cpu), -1);
	wr(cpu, APIC_TASKPRI, 0x2f);
	assert_int_equal(rd(cpu, APIC_PROCPRI), 0x2f);
	assert_int_equal(take(cpu), 0x35);
	eoi(cpu);
	assert_int_equal(umbra_lapic_set_cr8(cpu, 0x10), 1);
	assert_int_equal(umbra_lapic_set_cr8(cpu, 0xf), 0);
	assert_int_equal(rd(cpu, APIC_TASKPRI), 0xf0);
	ipi(cpu, 0, FIXED | 0xff);
	assert_int_equal(take(cpu), -1);
	assert_int_equal(umbra_lapic_set_cr8(cpu, 0xe), 0);
	assert_int_equal(take(cpu), 0xff);
	/* An EOI with nothing in service is nothing. */
	eoi(cpu);
	eoi(cpu);
}

static void physical_destinations(void **state)
{
	ipi(cpu, 2, FIXED | 0x40);
	assert_int_equal(receivers(0x40), BIT(2));
	ipi(cpu, 9, FIXED | 0x40);
	assert_int_equal(receivers(0x40), 0);
	ipi(cpu, 0xff, FIXED | 0x40);
	assert_int_equal(receivers(0x40), 0xf);
	ipi(cpu, 0, FIXED | APIC_DEST_SELF | 0x41);
	assert_int_equal(receivers(0x41), BIT(0));
	ipi(vm->vcpu[1], 0, FIXED | APIC_DEST_ALLBUT | 0x41);
	assert_int_equal(receivers(0x41), 0xd);
	ipi(vm->vcpu[1], 0, FIXED | APIC_DEST_ALLINC | 0x41);
	assert_int_equal(receivers(0x41), 0xf);
}

static void logical_destinations(void **state)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		wr(vm->vcpu[i], APIC_LDR, BIT(i) << 24 | 0x123456);
	assert_int_equal(rd(vm->vcpu[3], APIC_LDR), 8 << 24);
	ipi(cpu, 0x6, FIXED | APIC_DEST_LOGICAL | 0x40);
	assert_int_equal(receivers(0x40), 0x6);
	ipi(cpu, 0xff, FIXED | APIC_DEST_LOGICAL | 0x40);
	assert_int_equal(receivers(0x40), 0xf);

	/* Two clusters of two. */
	for (i = 0; i < 4; i++) {
		wr(vm->vcpu[i], APIC_DFR, 0);
		assert_int_equal(rd(vm->vcpu[i], APIC_DFR), 0x0fffffff);
		wr(vm->vcpu[i], APIC_LDR, ((i / 2) << 4 | BIT(i % 2)) << 24);
	}
	ipi(cpu, 0x13, FIXED | APIC_DEST_LOGICAL | 0x40);
	assert_int_equal(receivers(0x40), 0xc);
	ipi(cpu, 0x02, FIXED | APIC_DEST_LOGICAL | 0x40);
	assert_int_equal(receivers(0x40), 0x2);
	ipi(cpu, 0xff, FIXED | APIC_DEST_LOGICAL | 0x40);
	assert_int_equal(receivers(0x40), 0xf);
}

static void lowest_priority(void **state)
{
	unsigned int i;
	u32 seen = 0;

	for (i = 0; i < 8; i++) {
		ipi(cpu, 0xff, APIC_DM_LOWEST | APIC_INT_ASSERT | 0x40);
		seen |= receivers(0x40);
	}
	/* All alike: each has its turn. */
	assert_int_equal(seen, 0xf);
	for (i = 0; i < 4; i++)
		wr(vm->vcpu[i], APIC_TASKPRI, i == 2 ? 0x10 : 0x20);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0xff), APIC_DM_LOWEST | 0x40), 0);
	assert_int_equal(receivers(0x40), BIT(2));
	wr(vm->vcpu[2], APIC_SPIV, 0xff);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0xff) | BIT(3), 0x40), 0);
	assert_int_equal(__builtin_popcount(receivers(0x40)), 1);
}

static void other_messages(void **state)
{
	struct umbra_vcpu *other = vm->vcpu[1];

	ipi(cpu, 1, APIC_DM_NMI | APIC_INT_ASSERT);
	assert_int_equal(other->arch.async, BIT(UMBRA_NMI_LATCHED));
	other->arch.async = BIT(UMBRA_SIPI_PENDING);
	ipi(cpu, 1, APIC_DM_INIT | APIC_INT_ASSERT | APIC_INT_LEVELTRIG);
	assert_int_equal(other->arch.async, BIT(UMBRA_INIT_PENDING));
	other->arch.async = 0;
	ipi(cpu, 1, APIC_DM_INIT | APIC_INT_LEVELTRIG);
	assert_int_equal(other->arch.async, 0);
	ipi(cpu, 1, APIC_DM_STARTUP | APIC_INT_ASSERT | 0x9a);
	assert_int_equal(other->arch.async, BIT(UMBRA_SIPI_PENDING));
	assert_int_equal(other->arch.sipi_vector, 0x9a);
	other->arch.async = 0;
	ipi(cpu, 1, APIC_DM_SMI | APIC_INT_ASSERT);
	ipi(cpu, 1, APIC_DM_REMRD | APIC_INT_ASSERT | 0x40);
	ipi(cpu, 1, APIC_DM_EXTINT | APIC_INT_ASSERT);
	assert_int_equal(other->arch.async, 0);
	assert_false(umbra_lapic_extint_pending(other));
	/* Those get through to an APIC that software has disabled, interrupts do not. */
	wr(other, APIC_SPIV, 0xff);
	ipi(cpu, 1, FIXED | 0x40);
	assert_int_equal(receivers(0x40), 0);
	ipi(cpu, 1, APIC_DM_NMI | APIC_INT_ASSERT);
	assert_int_equal(other->arch.async, BIT(UMBRA_NMI_LATCHED));
}

static void illegal_vectors(void **state)
{
	wr(cpu, APIC_LVTERR, 0xfe);
	ipi(cpu, 0, FIXED | 0x0f);
	assert_int_equal(take(cpu), 0xfe);
	eoi(cpu);
	/* One interrupt for all errors until ESR is written. */
	ipi(cpu, 0, FIXED | 0x0f);
	assert_int_equal(take(cpu), -1);
	assert_int_equal(rd(cpu, APIC_ESR), 0);
	assert_int_equal(errors(cpu), APIC_ESR_SENDILL);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0), 0x05), 0);
	assert_int_equal(take(cpu), 0xfe);
	assert_int_equal(errors(cpu), APIC_ESR_RECVILL);
	eoi(cpu);
	/* The error entry itself has one: no end of it, but an end of the matter. */
	wr(cpu, APIC_LVTERR, 0x03);
	ipi(cpu, 0, FIXED | 0x0f);
	assert_int_equal(take(cpu), -1);
	assert_int_equal(errors(cpu), APIC_ESR_SENDILL | APIC_ESR_RECVILL);
}

static void level_triggered(void **state)
{
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0), LEVEL | 0x61), 0);
	assert_int_equal(rd(cpu, APIC_TMR + 0x30), BIT(1));
	assert_int_equal(take(cpu), 0x61);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), -1);
	eoi(cpu);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), 0x61);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), -1);
	/* Edge-triggered the next time: no message any more. */
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0), 0x61), 0);
	assert_int_equal(rd(cpu, APIC_TMR + 0x30), 0);
	assert_int_equal(take(cpu), 0x61);
	eoi(cpu);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), -1);
	/* Several before user space is asked. */
	umbra_lapic_send_msi(vm, MSI(0), LEVEL | 0x61);
	umbra_lapic_send_msi(vm, MSI(0), LEVEL | 0x71);
	assert_int_equal(take(cpu), 0x71);
	eoi(cpu);
	assert_int_equal(take(cpu), 0x61);
	eoi(cpu);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), 0x71);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), 0x61);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), -1);
}

static void bad_msi(void **state)
{
	assert_int_equal(umbra_lapic_send_msi(vm, 0xfed00000, 0x40), -EINVAL);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0) | 1ULL << 32, 0x40), -EINVAL);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0), APIC_DM_REMRD | 0x40), -EINVAL);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0), APIC_DM_STARTUP | 0x40), -EINVAL);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(200), 0x40), 0);
	assert_int_equal(umbra_lapic_send_msi(vm, MSI(0), APIC_DM_EXTINT), 0);
	assert_true(umbra_lapic_extint_pending(cpu));
	umbra_lapic_extint_accept(cpu);
	assert_false(umbra_lapic_extint_pending(cpu));
}

static void pins(void **state)
{
	/* Virtual wire mode, as after RESET. */
	umbra_lapic_reset(cpu, false);
	umbra_lapic_set_pin(cpu, UMBRA_PIN_INTR, true);
	assert_true(umbra_lapic_extint_pending(cpu));
	wr(cpu, APIC_LVT0, APIC_DM_EXTINT | APIC_LVT_MASKED);
	assert_false(umbra_lapic_extint_pending(cpu));
	umbra_lapic_set_pin(cpu, UMBRA_PIN_NMI, true);
	assert_true(test_and_clear_bit(UMBRA_NMI_LATCHED, &cpu->arch.async));
	umbra_lapic_set_pin(cpu, UMBRA_PIN_NMI, true);
	assert_false(test_bit(UMBRA_NMI_LATCHED, &cpu->arch.async));
	umbra_lapic_set_pin(cpu, UMBRA_PIN_NMI, false);
	wr(cpu, APIC_LVT1, APIC_DM_NMI | APIC_LVT_MASKED);
	umbra_lapic_set_pin(cpu, UMBRA_PIN_NMI, true);
	assert_false(test_bit(UMBRA_NMI_LATCHED, &cpu->arch.async));

	/* LINT0 as a fixed interrupt: an edge counts once, a level until it goes. */
	wr(cpu, APIC_SPIV, 0x1ff);
	umbra_lapic_set_pin(cpu, UMBRA_PIN_INTR, false);
	wr(cpu, APIC_LVT0, 0x44);
	umbra_lapic_set_pin(cpu, UMBRA_PIN_INTR, true);
	assert_int_equal(take(cpu), 0x44);
	eoi(cpu);
	assert_int_equal(take(cpu), -1);
	wr(cpu, APIC_LVT0, 0x45 | APIC_LVT_LEVEL_TRIGGER);
	assert_int_equal(take(cpu), 0x45);
	assert_true(rd(cpu, APIC_LVT0) & APIC_LVT_REMOTE_IRR);
	eoi(cpu);
	assert_int_equal(take(cpu), 0x45);
	umbra_lapic_set_pin(cpu, UMBRA_PIN_INTR, false);
	eoi(cpu);
	assert_false(rd(cpu, APIC_LVT0) & APIC_LVT_REMOTE_IRR);
	assert_int_equal(take(cpu), -1);
	assert_int_equal(umbra_lapic_pending_eoi(cpu), -1);

	/* No APIC in between. */
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00100), 0);
	umbra_lapic_set_pin(cpu, UMBRA_PIN_INTR, true);
	assert_true(umbra_lapic_extint_pending(cpu));
	umbra_lapic_set_pin(cpu, UMBRA_PIN_NMI, false);
	umbra_lapic_set_pin(cpu, UMBRA_PIN_NMI, true);
	assert_true(test_bit(UMBRA_NMI_LATCHED, &cpu->arch.async));
}

static void software_disable(void **state)
{
	wr(cpu, APIC_LVTT, 0x30);
	wr(cpu, APIC_LVT0, APIC_DM_EXTINT);
	ipi(cpu, 0, FIXED | 0x50);
	wr(cpu, APIC_SPIV, 0x0ff);
	assert_int_equal(rd(cpu, APIC_LVTT), 0x30 | APIC_LVT_MASKED);
	assert_false(umbra_lapic_extint_enabled(cpu));
	/* Masks cannot be cleared now; what was requested is still delivered. */
	wr(cpu, APIC_LVTT, 0x30);
	assert_int_equal(rd(cpu, APIC_LVTT), 0x30 | APIC_LVT_MASKED);
	assert_int_equal(take(cpu), 0x50);
	wr(cpu, APIC_SPIV, 0xffffffff);
	assert_int_equal(rd(cpu, APIC_SPIV), 0x3ff);
}

static void lvt_bits(void **state)
{
	wr(cpu, APIC_LVTTHMR, 0xffffffff);
	assert_int_equal(rd(cpu, APIC_LVTTHMR), 0x107ff);
	wr(cpu, APIC_LVTERR, 0xffffffff);
	assert_int_equal(rd(cpu, APIC_LVTERR), 0x100ff);
	wr(cpu, APIC_LVT0, 0xffffffff);
	assert_int_equal(rd(cpu, APIC_LVT0), 0x1a7ff);
	wr(cpu, APIC_LVTT, 0xffffffff);
	assert_int_equal(rd(cpu, APIC_LVTT), 0x700ff);
	wr(cpu, APIC_TDCR, 0xffffffff);
	assert_int_equal(rd(cpu, APIC_TDCR), 0xb);
	/* Read-only. */
	wr(cpu, APIC_ID, 0x55000000);
	wr(cpu, APIC_LVR, 0);
	wr(cpu, APIC_ISR, ~0);
	assert_int_equal(rd(cpu, APIC_ID), 0);
	assert_int_equal(rd(cpu, APIC_LVR), 0x50014);
	assert_int_equal(rd(cpu, APIC_ISR), 0);
	assert_int_equal(errors(cpu), 0);
}

static void modes(void **state)
{
	u64 value;

	assert_int_equal(rdmsr(cpu, x2(APIC_ID), &value), 1);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00500), 1);	/* EXTD without EN */
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00901), 1);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 1ULL << 40 | 0xfee00900), 1);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00100), 0);
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00d00), 1);	/* off to x2APIC */
	assert_false(umbra_lapic_claims(cpu, 0xfee00020));
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00900), 0);
	assert_int_equal(rd(cpu, APIC_SPIV), 0xff);
	enter_x2apic(cpu);
	assert_false(umbra_lapic_claims(cpu, 0xfee00020));
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00900), 1);	/* back to xAPIC */
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0xfee00100), 0);
	/* The page can be elsewhere. */
	assert_int_equal(wrmsr(cpu, MSR_IA32_APICBASE, 0x12345900), 0);
	assert_true(umbra_lapic_claims(cpu, 0x12345ff0));
	assert_false(umbra_lapic_claims(cpu, 0xfee00020));
}

static void x2apic_registers(void **state)
{
	static const u16 reserved[] = { APIC_ARBPRI, APIC_RRR, APIC_DFR, APIC_ICR2, 0x2f0, 0x3f0,
					0x400, 0x0, 0xff0 };
	struct umbra_vcpu *vcpu = vm->vcpu[3];
	unsigned int i;
	u64 value;

	enter_x2apic(vcpu);
	assert_int_equal(rdmsr(vcpu, x2(APIC_ID), &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(rdmsr(vcpu, x2(APIC_LDR), &value), 0);
	assert_int_equal(value, 8);
	for (i = 0; i < ARRAY_SIZE(reserved); i++)
		assert_int_equal(rdmsr(vcpu, x2(reserved[i]), &value), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_ID), 3), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_LDR), 8), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_DFR), 0), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_TMCCT), 0), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_ISR), 0), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_EOI), 1), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_EOI), 0), 0);
	assert_int_equal(wrmsr(vcpu, x2(APIC_ESR), 1), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_TASKPRI), 0x100), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_TASKPRI), 1ULL << 32), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_TASKPRI), 0x20), 0);
	assert_int_equal(umbra_lapic_get_cr8(vcpu), 2);
	assert_int_equal(wrmsr(vcpu, x2(APIC_SPIV), 0x11ff), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_LVTT), 0x80030), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_ICR), 0x2000 | 0x40), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_ICR), 3ULL << 32 | FIXED | 0x40), 0);
	assert_int_equal(rdmsr(vcpu, x2(APIC_ICR), &value), 0);
	assert_int_equal(value, 3ULL << 32 | FIXED | 0x40);
	assert_int_equal(receivers(0x40), BIT(3));
	assert_int_equal(wrmsr(vcpu, x2(APIC_SELF_IPI), 0x41), 0);
	assert_int_equal(receivers(0x41), BIT(3));
	assert_int_equal(rdmsr(vcpu, x2(APIC_SELF_IPI), &value), 1);
	assert_int_equal(wrmsr(vcpu, x2(APIC_SELF_IPI), 0x141), 1);
}

static void x2apic_destinations(void **state)
{
	unsigned int i;

	fake_free(vm);
	vm = fake_vm(20);
	cpu = vm->vcpu[0];
	for (i = 0; i < vm->nr_vcpus; i++)
		enter_x2apic(vm->vcpu[i]);
	wrmsr(cpu, x2(APIC_ICR), 17ULL << 32 | FIXED | 0x40);
	assert_int_equal(receivers(0x40), BIT(17));
	wrmsr(cpu, x2(APIC_ICR), (1ULL << 16 | 0x5) << 32 | FIXED | APIC_DEST_LOGICAL | 0x40);
	assert_int_equal(receivers(0x40), BIT(16) | BIT(18));
	wrmsr(cpu, x2(APIC_ICR), 0xffULL << 32 | FIXED | 0x40);
	assert_int_equal(receivers(0x40), 0);
	wrmsr(cpu, x2(APIC_ICR), 0xffffffffULL << 32 | FIXED | 0x40);
	assert_int_equal(receivers(0x40), 0xfffff);
	/* Eight bits of an MSI reach the first cluster. */
	umbra_lapic_send_msi(vm, MSI(0x82) | MSI_LOGICAL, 0x40);
	assert_int_equal(receivers(0x40), BIT(1) | BIT(7));
}

static void saved_and_restored(void **state)
{
	struct umbra_lapic_state saved, again;

	wr(cpu, APIC_LDR, 4 << 24);
	wr(cpu, APIC_TASKPRI, 0x23);
	wr(cpu, APIC_LVTT, 0x30 | APIC_LVT_TIMER_PERIODIC);
	wr(cpu, APIC_TDCR, 3);
	wr(cpu, APIC_TMICT, 1000000);
	fake_advance(5000000);
	umbra_lapic_send_msi(vm, MSI(0), LEVEL | 0x61);
	umbra_lapic_send_msi(vm, MSI(0), 0x91);
	assert_int_equal(take(cpu), 0x91);
	ipi(cpu, 0, FIXED | 0x01);
	umbra_lapic_get_state(cpu, &saved);
	assert_int_equal(saved.timer_remaining_ns, 11000000);

	umbra_lapic_reset(cpu, false);
	assert_int_equal(umbra_lapic_set_state(cpu, &saved), 0);
	umbra_lapic_get_state(cpu, &again);
	assert_memory_equal(&saved, &again, sizeof(saved));
	eoi(cpu);
	assert_int_equal(take(cpu), 0x61);
	assert_int_equal(errors(cpu), APIC_ESR_SENDILL);
	eoi(cpu);
	fake_advance(11000000);
	assert_int_equal(take(cpu), 0x30);
}

static void bad_state(void **state)
{
	static const struct { u16 offset; u32 value; } bad[] = {
		{ APIC_ID, 1 << 24 }, { APIC_LVR, 0 }, { APIC_ISR, 1 }, { APIC_IRR, 0x8000 },
		{ APIC_TMR, 2 }, { APIC_TASKPRI, 0x100 }, { APIC_SPIV, 0x11ff }, { APIC_ESR, 1 },
		{ APIC_TDCR, 4 }, { APIC_ICR, BIT(13) }, { APIC_DFR, 0 }, { APIC_LDR, 1 },
		{ APIC_LVTT, BIT(14) }, { APIC_LVT0, BIT(12) }, { 0x2f0, 1 }, { 0x10, 1 },
		{ APIC_ICR2, 1 }, { 0x3fc, 1 }, { APIC_ID + 4, 1 },
	};
	struct umbra_lapic_state good, s;
	unsigned int i;

	umbra_lapic_get_state(cpu, &good);
	assert_int_equal(umbra_lapic_set_state(cpu, &good), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		s = good;
		memcpy(s.regs + bad[i].offset, &bad[i].value, 4);
		assert_int_equal(umbra_lapic_set_state(cpu, &s), -EINVAL);
	}
	s = good;
	s.reserved[5] = 1;
	assert_int_equal(umbra_lapic_set_state(cpu, &s), -EINVAL);
	s = good;
	s.timer_remaining_ns = 1ULL << 40;
	assert_int_equal(umbra_lapic_set_state(cpu, &s), -EINVAL);
	s = good;
	s.esr_pending = 1;
	assert_int_equal(umbra_lapic_set_state(cpu, &s), -EINVAL);
	s = good;
	s.flags = 2;
	assert_int_equal(umbra_lapic_set_state(cpu, &s), -EINVAL);
}

static u32 *offer(void)
{
	return (u32 *)(fake_memory + 0x100);
}

static void eoi_without_exit(void **state)
{
	struct umbra_lapic *lapic = cpu->arch.lapic;

	assert_int_equal(umbra_lapic_set_pv_eoi(cpu, 0x102), 1);
	assert_int_equal(umbra_lapic_set_pv_eoi(cpu, 0x101), 0);
	*offer() = 0;

	/* Taken: the interrupt has ended. */
	ipi(cpu, 0, FIXED | 0x40);
	assert_int_equal(take(cpu), 0x40);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_int_equal(*offer(), 1);
	*offer() = 0;
	umbra_lapic_settle_eoi(lapic);
	assert_int_equal(rd(cpu, APIC_ISR + 0x20), 0);

	/* Not taken: it goes on, and the next EOI is an ordinary one. */
	ipi(cpu, 0, FIXED | 0x41);
	assert_int_equal(take(cpu), 0x41);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_int_equal(*offer(), 1);
	umbra_lapic_settle_eoi(lapic);
	assert_int_equal(*offer(), 0);
	assert_int_equal(rd(cpu, APIC_ISR + 0x20), BIT(1));
	/* It settles once. */
	umbra_lapic_settle_eoi(lapic);
	assert_int_equal(rd(cpu, APIC_ISR + 0x20), BIT(1));

	/* No offer while another waits for the end, nor when somebody has to be told. */
	ipi(cpu, 0, FIXED | 0x42);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_int_equal(*offer(), 0);
	eoi(cpu);
	assert_int_equal(take(cpu), 0x42);
	__set_bit(0x42, lapic->tmr);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_int_equal(*offer(), 0);
	eoi(cpu);

	/* No memory there, or not wanted any more: no offer. */
	assert_int_equal(umbra_lapic_set_pv_eoi(cpu, ~3ULL | 1), 0);
	ipi(cpu, 0, FIXED | 0x43);
	assert_int_equal(take(cpu), 0x43);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_false(lapic->pv_eoi_offered);
	assert_int_equal(umbra_lapic_set_pv_eoi(cpu, 0x100), 0);
	umbra_lapic_offer_pv_eoi(cpu);
	assert_int_equal(*offer(), 0);
}

static void kicks(void **state)
{
	ipi(cpu, 1, FIXED | 0x40);
	assert_int_equal(vm->vcpu[1]->kicks, 1);
	assert_true(test_bit(UMBRA_REQ_EVENT, &vm->vcpu[1]->requests));
	/* It knows already. */
	ipi(cpu, 1, FIXED | 0x40);
	assert_int_equal(vm->vcpu[1]->kicks, 1);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(reset_values), TEST(access_sizes), TEST(priorities),
		TEST(physical_destinations), TEST(logical_destinations), TEST(lowest_priority),
		TEST(other_messages), TEST(illegal_vectors), TEST(level_triggered), TEST(bad_msi),
		TEST(pins), TEST(software_disable), TEST(lvt_bits), TEST(modes),
		TEST(x2apic_registers), TEST(x2apic_destinations), TEST(saved_and_restored),
		TEST(bad_state), TEST(eoi_without_exit), TEST(kicks),
	};

	return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
