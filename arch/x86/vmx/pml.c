// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: page-modification logging (SDM Vol. 3 29.3.6).
 *
 * Whenever the CPU sets the dirty bit of a leaf it writes the page's address into
 * a buffer, from its end to its beginning. Leaves are dirty from the outset, but
 * for those of memory with a dirty log; only while there is such memory the buffer
 * is looked at, right after every exit: so it is empty outside the guest.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include "vmx.h"

#define NR_ENTRIES	(PAGE_SIZE / sizeof(u64))
#define LAST_ENTRY	(NR_ENTRIES - 1)

/**
 * vmx_pml_create() - give a vCPU its buffer, if the CPU uses one
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int vmx_pml_create(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (!vmx_caps.pml || !vmx_nested(vcpu))
		return 0;
	vmx->pml_page = umbra_get_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return vmx->pml_page ? 0 : -ENOMEM;
}

/**
 * vmx_pml_free() - undo vmx_pml_create(), or what there is of it
 * @vmx: the vCPU's
 */
void vmx_pml_free(struct vmx_vcpu *vmx)
{
	umbra_free_page(vmx->pml_page);
}

/**
 * vmx_init_pml() - write where the buffer is, before the first use of the VMCS
 * @vmx: the vCPU's, its VMCS is the current one; preemption is off
 */
void vmx_init_pml(struct vmx_vcpu *vmx)
{
	if (!vmx->pml_page)
		return;
	vmcs_write(PML_ADDRESS, __pa(vmx->pml_page));
	vmcs_write(GUEST_PML_INDEX, LAST_ENTRY);
}

/**
 * vmx_pml_update() - memory slots have changed: is there a dirty log now?
 * @vcpu: the vCPU, loaded
 */
void vmx_pml_update(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->logging = vmx->pml_page && umbra_memory_logged(vcpu->vm);
}

/**
 * vmx_pml_drain() - note in the dirty log what the CPU has noted
 * @vcpu: the vCPU, just after an exit; interrupts off
 */
void vmx_pml_drain(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u16 index = vmcs_read(GUEST_PML_INDEX);
	unsigned int i;

	if (index == LAST_ENTRY)
		return;
	/* It points to the next entry, and below the first one when all are used. */
	for (i = (u16)(index + 1) % NR_ENTRIES; i < NR_ENTRIES; i++) {
		gfn_t gfn = vmx->pml_page[i] >> PAGE_SHIFT;
		struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gfn);

		if (slot)
			umbra_mark_dirty(slot, gfn);
	}
	vmcs_write(GUEST_PML_INDEX, LAST_ENTRY);
}
