// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ending interrupts without an exit, where the CPU has no way to do so: by a word
 * in the guest's memory, as KVM's guests know it.
 */
#include <asm/kvm_para.h>
#include "lapic.h"
#include "umbra.h"

/**
 * umbra_lapic_set_pv_eoi() - the guest says where it wants to be offered EOIs
 * @vcpu: the vCPU; its own thread
 * @value: guest-physical address, aligned to 4 bytes; bit 0 switches it on
 *
 * The MSR of KVM's ABI that Linux knows as MSR_KVM_PV_EOI_EN.
 *
 * Return: 0, or 1 for #GP(0) if bit 1 is set.
 */
int umbra_lapic_set_pv_eoi(struct umbra_vcpu *vcpu, u64 value)
{
	if (value & 2)
		return 1;
	vcpu->arch.lapic->pv_eoi = value;
	return 0;
}

/**
 * umbra_lapic_offer_pv_eoi() - let the guest end an interrupt without an exit
 * @vcpu: the vCPU, loaded; its own thread. May sleep
 *
 * If nothing depends on the EOI: no request waits for it and nobody has to be
 * told. Nor is there need of it where the CPU takes EOIs by itself. A request that
 * comes later leads to umbra_event_inject(), which takes the offer back. Without
 * memory at the address there is no offer.
 */
void umbra_lapic_offer_pv_eoi(struct umbra_vcpu *vcpu)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	int vector = umbra_highest_vector(lapic->isr);
	u32 word = 1;

	if (!(lapic->pv_eoi & KVM_MSR_ENABLED) || lapic->delivers || vector < 0 ||
	    test_bit(vector, lapic->tmr) || umbra_highest_vector(lapic->irr) >= 0)
		return;
	lapic->pv_eoi_offered = !umbra_guest_write(vcpu, lapic->pv_eoi & ~(u64)KVM_MSR_ENABLED,
						   &word, sizeof(word));
}

/**
 * umbra_lapic_take_pv_eoi() - the guest has cleared the bit, or the offer ends
 * @lapic: the vCPU's, which is loaded; its own thread. May sleep
 */
void umbra_lapic_take_pv_eoi(struct umbra_lapic *lapic)
{
	u64 gpa = lapic->pv_eoi & ~(u64)KVM_MSR_ENABLED;
	u32 word;

	lapic->pv_eoi_offered = false;
	if (umbra_guest_read(lapic->vcpu, gpa, &word, sizeof(word)))
		return;
	if (word & 1) {
		word &= ~1U;
		umbra_guest_write(lapic->vcpu, gpa, &word, sizeof(word));
	} else {
		umbra_lapic_eoi(lapic);
	}
}
