// SPDX-License-Identifier: GPL-2.0-only
/* The guest's page tables, walked on behalf of the guest's instructions and faults. */
#include "cpuid.h"
#include "internal.h"

/**
 * umbra_read_entry() - read an entry of a guest's table
 * @hva: where, aligned to @size
 * @size: 4 or 8 bytes
 * @entry: the result
 *
 * In one access, as the CPU does. With page faults disabled it does not sleep.
 *
 * Return: 0 or -EFAULT.
 */
int umbra_read_entry(unsigned long hva, unsigned int size, u64 *entry)
{
	if (!user_read_access_begin((void __user *)hva, size))
		return -EFAULT;
	if (likely(size == sizeof(u64))) {
		unsafe_get_user(*entry, (u64 __user *)hva, fault);
	} else {
		u32 entry32;

		unsafe_get_user(entry32, (u32 __user *)hva, fault);
		*entry = entry32;
	}
	user_read_access_end();
	return 0;

fault:
	user_read_access_end();
	return -EFAULT;
}

static int guest_read(void *context, u64 gpa, unsigned int size, u64 *entry)
{
	struct umbra_vcpu *vcpu = context;
	struct umbra_slot *slot = vcpu->arch.last_slot;
	gfn_t gfn = gpa >> PAGE_SHIFT;

	if (unlikely(!slot || gfn - slot->base >= slot->pages)) {
		slot = umbra_vcpu_slot(vcpu, gfn);
		if (!slot)
			return -EFAULT;
	}
	return umbra_read_entry(umbra_slot_hva(slot, gfn) + offset_in_page(gpa), size, entry);
}

static int guest_exchange(void *context, u64 gpa, unsigned int size, u64 old, u64 new)
{
	struct umbra_vcpu *vcpu = context;
	gfn_t gfn = gpa >> PAGE_SHIFT;
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gfn);
	unsigned long hva;
	int ret;

	if (!slot || slot->flags & UMBRA_MEM_READONLY)
		return -EFAULT;
	hva = umbra_slot_hva(slot, gfn) + offset_in_page(gpa);
	if (!access_ok((void __user *)hva, size))
		return -EFAULT;
	if (size == sizeof(u64)) {
		ret = __try_cmpxchg_user((u64 __user *)hva, &old, new, fault64);
	} else {
		u32 old32 = old;

		ret = __try_cmpxchg_user((u32 __user *)hva, &old32, (u32)new, fault32);
	}
	if (!ret)
		umbra_mark_dirty(slot, gfn);
	return ret;
}

static const struct umbra_walk_ops guest_ops = {
	.read = guest_read,
	.exchange = guest_exchange,
};

/**
 * umbra_mmu_update_paging() - derive the guest's paging mode from its registers
 * @vcpu: the vCPU
 *
 * SDM Vol. 3 4.1.1.
 */
void umbra_mmu_update_paging(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	u64 cr0 = vcpu->arch.cr0, cr4 = vcpu->arch.cr4, efer = vcpu->arch.efer;
	enum umbra_format_id id;
	u32 flags = 0;

	mmu->cr0 = cr0;
	mmu->cr4 = cr4;
	mmu->efer = efer;
	umbra_mmu_forget(vcpu);
	if (!(cr0 & X86_CR0_PG)) {
		mmu->paging.format = NULL;
		mmu->paging.id = UMBRA_FORMAT_PAE;
		mmu->paging.flags = 0;
		return;
	}

	if (efer & EFER_LMA)
		id = cr4 & X86_CR4_LA57 ? UMBRA_FORMAT_5LEVEL : UMBRA_FORMAT_4LEVEL;
	else
		id = cr4 & X86_CR4_PAE ? UMBRA_FORMAT_PAE : UMBRA_FORMAT_32BIT;

	if (cr0 & X86_CR0_WP)
		flags |= UMBRA_PAGING_WP;
	if (efer & EFER_NX)
		flags |= UMBRA_PAGING_NX;
	if (cr4 & X86_CR4_PSE)
		flags |= UMBRA_PAGING_PSE;
	if (cr4 & X86_CR4_SMEP)
		flags |= UMBRA_PAGING_SMEP;
	if (cr4 & X86_CR4_SMAP)
		flags |= UMBRA_PAGING_SMAP;
	if (cr4 & X86_CR4_PKE)
		flags |= UMBRA_PAGING_PKE;
	if (umbra_cpuid_has(vcpu, X86_FEATURE_GBPAGES))
		flags |= UMBRA_PAGING_1G;
	umbra_paging_init(&mmu->paging, id, flags, umbra_guest_maxphyaddr(vcpu));
}

/**
 * umbra_walk_gva() - walk the guest's tables
 * @vcpu: the vCPU
 * @gva: guest-virtual address, canonical
 * @access: X86_PF_WRITE, X86_PF_USER, X86_PF_INSTR, UMBRA_ACCESS_IMPLICIT
 * @w: the result; with paging off only gpa, level and the permissions
 *
 * Sets accessed and dirty bits. May sleep.
 *
 * Return: false if it is a fault of the guest's own, with the error code in @w.
 */
bool umbra_walk_gva(struct umbra_vcpu *vcpu, gva_t gva, u32 access, struct umbra_walk *w)
{
	const struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_walk_access in;

	umbra_mmu_check_paging(vcpu);
	if (unlikely(!mmu->paging.format)) {
		w->gpa = (u32)gva;
		w->error = 0;
		w->level = UMBRA_MAX_LEVEL;
		w->key = 0;
		w->acc[UMBRA_MAX_LEVEL] = UMBRA_ACC_ALL;
		return true;
	}

	in.addr = gva;
	in.root = vcpu->arch.cr3;
	in.pdpte = NULL;
	if (mmu->paging.id == UMBRA_FORMAT_PAE) {
		/* With nested paging AMD CPUs read them when needed (APM Vol. 2 15.25.10). */
		if (!umbra_mmu_is_nested(vcpu->vm) || !umbra_mmu_load_pdptes(vcpu, vcpu->arch.cr3))
			in.pdpte = vcpu->arch.pdpte;
	}
	in.access = access;
	in.pkru = vcpu->arch.pkru;
	/* SDM Vol. 3 4.6.1: AC lifts SMAP for explicit accesses only. */
	in.smap = (mmu->paging.flags & UMBRA_PAGING_SMAP) &&
		  ((access & UMBRA_ACCESS_IMPLICIT) || !(vcpu->arch.rflags & X86_EFLAGS_AC));
	return umbra_walk_tables(&guest_ops, vcpu, &mmu->paging, &in, w);
}

/**
 * umbra_mmu_translate() - translate a guest-virtual address
 * @vcpu: the vCPU
 * @gva: guest-virtual address; the caller has checked that it is canonical
 * @access: X86_PF_WRITE, X86_PF_USER, X86_PF_INSTR, UMBRA_ACCESS_IMPLICIT
 * @gpa: where the guest-physical address is put
 * @e: where the page fault is put, if it is one; may be NULL
 *
 * Sets accessed and dirty bits in the guest's tables, as the access itself would.
 *
 * Return: 0, or 1 with @e filled in.
 */
int umbra_mmu_translate(struct umbra_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
			struct umbra_exception *e)
{
	struct umbra_walk w;

	if (likely(umbra_walk_gva(vcpu, gva, access, &w))) {
		*gpa = w.gpa;
		return 0;
	}
	if (e) {
		*e = (struct umbra_exception) {
			.pending = true,
			.vector = X86_TRAP_PF,
			.has_error = true,
			.error = w.error,
			.has_payload = true,
			.payload = gva,
		};
	}
	return 1;
}
