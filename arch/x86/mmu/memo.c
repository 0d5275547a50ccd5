// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translations that are asked for again and again, kept with the entries that
 * they were made of.
 *
 * The guest may change its tables at any time, and with nested paging neither
 * that nor INVLPG is seen. So what is remembered is only used when every entry
 * on the way still is what it was: the answer is that of a new walk, for a
 * fraction of its cost.
 */
#include "internal.h"

/* No page begins here. */
#define NO_PAGE		1ULL

/**
 * umbra_mmu_forget() - drop what is remembered
 * @vcpu: the vCPU; its own thread, or it is stopped
 *
 * To be called when the memory slots or the paging mode change.
 */
void umbra_mmu_forget(struct umbra_vcpu *vcpu)
{
	vcpu->arch.mmu.code.page = NO_PAGE;
	vcpu->arch.mmu.data.page = NO_PAGE;
	vcpu->arch.mmu.no_memory = NO_PAGE;
}

/* Are the entries the same as before? To be called with user access open. */
static __always_inline bool entries_same(const struct umbra_mmu_memo *memo)
{
	const struct umbra_mmu_memo_entry *e = memo->entry, *end = e + memo->entries;
	u64 value;

	for (; e < end; e++) {
		unsafe_get_user(value, (u64 __user *)e->hva, fault);
		if (value != e->value)
			return false;
	}
	return true;
fault:
	return false;
}

static void remember(struct umbra_vcpu *vcpu, struct umbra_mmu_memo *memo, gva_t gva, u32 access,
		     u64 rights, const struct umbra_walk *w)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;
	const struct umbra_format *f = paging->format;
	struct umbra_slot *slot;
	unsigned int n = 0;
	int level;

	memo->page = NO_PAGE;
	/* The pointers of PAE paging are in registers, or not; 32-bit entries are not worth it. */
	if (f && (!f->level[paging->levels].permissions || f->entry_size != sizeof(u64)))
		return;
	for (level = paging->levels; f && level >= w->level; level--) {
		gfn_t gfn = w->where[level] >> PAGE_SHIFT;

		slot = umbra_vcpu_slot(vcpu, gfn);
		if (!slot)
			return;
		memo->entry[n].hva = umbra_slot_hva(slot, gfn) + offset_in_page(w->where[level]);
		memo->entry[n++].value = w->entry[level];
	}
	memo->entries = n;
	memo->cr3 = vcpu->arch.cr3;
	memo->access = access;
	memo->rights = rights;
	memo->gpa = w->gpa & PAGE_MASK;
	slot = umbra_vcpu_slot(vcpu, w->gpa >> PAGE_SHIFT);
	memo->hva = slot ? umbra_slot_hva(slot, w->gpa >> PAGE_SHIFT) : 0;
	memo->page = gva & PAGE_MASK;
}

static noinline bool remember_code(struct umbra_vcpu *vcpu, u64 linear, u32 access)
{
	struct umbra_walk w;

	if (!umbra_walk_gva(vcpu, linear, access, &w))
		return false;
	remember(vcpu, &vcpu->arch.mmu.code, linear, access, 0, &w);
	return true;
}

/**
 * umbra_mmu_read_code() - read the code at an address
 * @vcpu: the vCPU, loaded
 * @linear: linear address, canonical
 * @user: the privilege level is 3
 * @code: UMBRA_CODE_BYTES bytes from there on
 *
 * With page faults disabled it does not sleep.
 *
 * Return: true, or false if it cannot be read just so: they are not all on one
 * page and in memory, or the guest may not execute them.
 */
bool umbra_mmu_read_code(struct umbra_vcpu *vcpu, u64 linear, bool user, u64 *code)
{
	struct umbra_mmu_memo *memo = &vcpu->arch.mmu.code;
	u32 access = X86_PF_INSTR | (user ? X86_PF_USER : 0);
	const u64 __user *from;
	int attempt;

	if (unlikely(offset_in_page(linear) > PAGE_SIZE - UMBRA_CODE_BYTES))
		return false;
	umbra_mmu_check_paging(vcpu);
	for (attempt = 0; attempt < 2; attempt++) {
		if (likely(memo->page == (linear & PAGE_MASK) && memo->cr3 == vcpu->arch.cr3 &&
			   memo->access == access)) {
			from = (const u64 __user *)(memo->hva + offset_in_page(linear));
			if (!memo->hva || !user_read_access_begin(from, UMBRA_CODE_BYTES))
				return false;
			if (likely(entries_same(memo))) {
				unsafe_get_user(code[0], from, fault);
				unsafe_get_user(code[1], from + 1, fault);
				user_read_access_end();
				return true;
			}
			user_read_access_end();
		}
		if (attempt || !remember_code(vcpu, linear, access))
			return false;
	}
	return false;

fault:
	user_read_access_end();
	return false;
}

static u64 rights(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.pkru | (vcpu->arch.rflags & X86_EFLAGS_AC) << 32;
}

/**
 * umbra_mmu_remember_mmio() - an address has been found to be none of memory
 * @vcpu: the vCPU
 * @gva: the address
 * @access: X86_PF_WRITE, X86_PF_USER, X86_PF_INSTR, UMBRA_ACCESS_IMPLICIT
 * @w: how it was translated
 */
void umbra_mmu_remember_mmio(struct umbra_vcpu *vcpu, gva_t gva, u32 access,
			     const struct umbra_walk *w)
{
	remember(vcpu, &vcpu->arch.mmu.data, gva, access, rights(vcpu), w);
}

/**
 * umbra_mmu_is_mmio() - is an address still known to be none of memory?
 * @vcpu: the vCPU
 * @gva: the address
 * @access: as of umbra_mmu_remember_mmio()
 * @gpa: where it is
 *
 * May sleep.
 *
 * Return: true if so: a walk would find the same, and the access allowed.
 */
bool umbra_mmu_is_mmio(struct umbra_vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa)
{
	const struct umbra_mmu_memo *memo = &vcpu->arch.mmu.data;
	bool same;

	if (likely(memo->page != (gva & PAGE_MASK)))
		return false;
	umbra_mmu_check_paging(vcpu);
	if (memo->page != (gva & PAGE_MASK) || memo->cr3 != vcpu->arch.cr3 ||
	    memo->access != access || memo->rights != rights(vcpu) || memo->hva)
		return false;
	if (memo->entries) {
		if (!user_read_access_begin((void __user *)memo->entry[0].hva, sizeof(u64)))
			return false;
		same = entries_same(memo);
		user_read_access_end();
		if (!same)
			return false;
	}
	*gpa = memo->gpa | offset_in_page(gva);
	return true;
}
