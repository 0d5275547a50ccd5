// SPDX-License-Identifier: GPL-2.0-only
/*
 * Roots of shadow tables: one for each CR3 and paging mode a vCPU has used
 * lately.
 *
 * The CPU walks what CR3 of the VMCB or VMCS points to in the mode that the
 * guest's registers select, except that outside long mode it always uses PAE:
 * then the root is a table of four pointers, one per vCPU, and each pointer
 * leads to a level 2 page.
 */
#include "internal.h"

static bool is_pae_root(const struct umbra_mmu_root *root)
{
	return root->role.level == 2;
}

/* The role of the root's pages as the guest's registers are now. */
static union umbra_mmu_role root_role(const struct umbra_vcpu *vcpu)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;
	union umbra_mmu_role role = { .word = 0 };

	role.format = paging->id;
	role.access = UMBRA_ACC_ALL;
	if (!paging->format) {
		role.direct = 1;
		role.level = 2;
		return role;
	}
	role.level = paging->levels > 3 ? paging->levels : 2;
	role.nxe = !!(paging->flags & UMBRA_PAGING_NX);
	role.wp = !!(paging->flags & UMBRA_PAGING_WP);
	if (paging->id == UMBRA_FORMAT_32BIT)
		role.pse = !!(paging->flags & UMBRA_PAGING_PSE);
	if (!role.wp) {
		role.nowp_smep = !!(paging->flags & UMBRA_PAGING_SMEP);
		role.nowp_exact = !!(paging->flags & (UMBRA_PAGING_SMAP | UMBRA_PAGING_PKE));
	}
	return role;
}

/* What CR3 says, without what does not select tables. */
static u64 root_address(const struct umbra_vcpu *vcpu)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;

	if (!paging->format)
		return 0;
	if (paging->id == UMBRA_FORMAT_PAE)
		return vcpu->arch.cr3 & GENMASK_ULL(31, 5);
	return vcpu->arch.cr3 & paging->format->address;
}

static bool root_matches(const struct umbra_vcpu *vcpu, const struct umbra_mmu_root *root)
{
	int i;

	if (!root->valid || root->role.word != vcpu->arch.mmu.role.word ||
	    root->cr3 != root_address(vcpu))
		return false;
	if (vcpu->arch.mmu.paging.format && root->role.format == UMBRA_FORMAT_PAE &&
	    memcmp(root->pdpte, vcpu->arch.pdpte, sizeof(root->pdpte)))
		return false;
	for (i = 0; i < 4; i++) {
		if (root->page[i] && READ_ONCE(root->page[i]->invalid))
			return false;
	}
	return true;
}

static bool has_unsync(const struct umbra_vm *vm, const struct umbra_mmu_root *root)
{
	int i;

	/*
	 * A guest that sees another vCPU's write to its tables sees it after
	 * the mark that was set before that write was let through.
	 */
	for (i = 0; i < 4; i++) {
		if (root->page[i] && READ_ONCE(root->page[i]->unsync_children))
			return true;
	}
	/* Another vCPU takes the marks away before it has done what they are for. */
	smp_rmb();
	return READ_ONCE(vm->arch.mmu.syncing);
}

/* The root becomes the vCPU's current one, or is not any more. */
static void set_active(struct umbra_mmu_root *root, bool active)
{
	int i;

	for (i = 0; i < 4; i++) {
		if (root->page[i])
			atomic_add(active ? 1 : -1, &root->page[i]->active);
	}
}

/* Lets go of a root that is not the current one. */
static void release(struct umbra_vcpu *vcpu, struct umbra_mmu_root *root)
{
	int i;

	if (!root->valid)
		return;
	for (i = 0; i < 4; i++) {
		if (root->page[i])
			umbra_page_put_root(vcpu->vm, root->page[i]);
		root->page[i] = NULL;
	}
	root->valid = false;
}

static void release_current(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_root *root = &vcpu->arch.mmu.root;

	if (root->valid)
		set_active(root, false);
	release(vcpu, root);
}

/* Tells the backend; the guest expects its translations to be flushed. */
static void activate(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_mmu_root *root = &mmu->root;
	int i;

	if (is_pae_root(root)) {
		for (i = 0; i < 4; i++)
			mmu->pae_table[i] = root->page[i] ? root->page[i]->hpa | _PAGE_PRESENT : 0;
		umbra_backend->load_root(vcpu, __sme_set(__pa(mmu->pae_table)));
	} else {
		umbra_backend->load_root(vcpu, root->page[0]->hpa);
	}
	umbra_request(vcpu, UMBRA_REQ_TLB_FLUSH);
}

static void sync_root(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_root *root = &vcpu->arch.mmu.root;
	struct umbra_vm *vm = vcpu->vm;
	int i;

	if (likely(!has_unsync(vm, root)))
		return;
	write_lock(&vm->mmu_lock);
	for (i = 0; i < 4; i++)
		if (root->page[i])
			umbra_sync_root(vcpu, root->page[i]);
	write_unlock(&vm->mmu_lock);
}

/* Makes room in mmu->root for another one. */
static void retire(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_mmu_root *victim;

	if (!mmu->root.valid)
		return;
	victim = &mmu->previous[mmu->next_previous++ % UMBRA_MMU_ROOTS];
	write_lock(&vcpu->vm->mmu_lock);
	release(vcpu, victim);
	write_unlock(&vcpu->vm->mmu_lock);
	set_active(&mmu->root, false);
	*victim = mmu->root;
	mmu->root.valid = false;
}

/**
 * umbra_shadow_new_cr3() - use the root for the current registers
 * @vcpu: the vCPU, loaded
 *
 * Also when CR3 is loaded with the value it has: tables that the guest has
 * written to without our knowing are read again.
 */
void umbra_shadow_new_cr3(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	unsigned int i;

	umbra_mmu_check_paging(vcpu);
	mmu->role = root_role(vcpu);
	if (!root_matches(vcpu, &mmu->root)) {
		for (i = 0; i < UMBRA_MMU_ROOTS; i++) {
			if (root_matches(vcpu, &mmu->previous[i]))
				break;
		}
		if (i == UMBRA_MMU_ROOTS) {
			retire(vcpu);
			umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
			return;
		}
		if (mmu->root.valid)
			set_active(&mmu->root, false);
		swap(mmu->root, mmu->previous[i]);
		set_active(&mmu->root, true);
		umbra_mmu_count(vcpu, ROOTS_CACHED);
	}
	sync_root(vcpu);
	activate(vcpu);
}

/**
 * umbra_shadow_reset_context() - the guest's paging mode has changed
 * @vcpu: the vCPU, loaded
 */
void umbra_shadow_reset_context(struct umbra_vcpu *vcpu)
{
	umbra_shadow_new_cr3(vcpu);
}

/*
 * A root page for a table of the guest's. Where there is no memory for it the
 * guest cannot translate anything: a page that stays empty.
 */
static struct umbra_mmu_page *root_page(struct umbra_vcpu *vcpu, gfn_t gfn,
					union umbra_mmu_role role)
{
	struct umbra_mmu_page *page;

	if (!role.direct && !umbra_vcpu_slot(vcpu, gfn)) {
		union umbra_mmu_role empty = { .word = 0 };

		empty.level = role.level;
		empty.format = role.format;
		empty.direct = 1;
		role = empty;
		gfn = 0;
	}
	page = umbra_shadow_page(vcpu, gfn, role);
	page->roots++;
	return page;
}

static void make_root(struct umbra_vcpu *vcpu, struct umbra_mmu_root *root)
{
	union umbra_mmu_role role = vcpu->arch.mmu.role;
	const struct umbra_format *f = vcpu->arch.mmu.paging.format;
	int i;

	root->role = role;
	root->cr3 = root_address(vcpu);
	root->valid = true;
	memset(root->page, 0, sizeof(root->page));
	umbra_mmu_count(vcpu, ROOTS_MADE);
	if (!is_pae_root(root)) {
		root->page[0] = root_page(vcpu, root->cr3 >> PAGE_SHIFT, role);
		return;
	}
	memcpy(root->pdpte, vcpu->arch.pdpte, sizeof(root->pdpte));
	for (i = 0; i < 4; i++) {
		gfn_t gfn = root->cr3 >> PAGE_SHIFT;

		if (role.direct) {
			gfn = (gfn_t)i << (30 - PAGE_SHIFT);
		} else if (role.format == UMBRA_FORMAT_PAE) {
			if (!(root->pdpte[i] & f->present))
				continue;
			gfn = (root->pdpte[i] & f->address) >> PAGE_SHIFT;
		} else {
			role.quadrant = i;
		}
		root->page[i] = root_page(vcpu, gfn, role);
	}
}

/**
 * umbra_shadow_load() - make a root if there is none
 * @vcpu: the vCPU, loaded
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_shadow_load(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_vm *vm = vcpu->vm;
	int ret;

	umbra_mmu_check_paging(vcpu);
	mmu->role = root_role(vcpu);
	if (!root_matches(vcpu, &mmu->root)) {
		ret = umbra_mmu_topup(vcpu);
		if (ret)
			return ret;
		write_lock(&vm->mmu_lock);
		release_current(vcpu);
		umbra_pages_reclaim(vm);
		make_root(vcpu, &mmu->root);
		set_active(&mmu->root, true);
		umbra_pages_settle(vm);
		write_unlock(&vm->mmu_lock);
	}
	sync_root(vcpu);
	activate(vcpu);
	return 0;
}

/**
 * umbra_shadow_root_valid() - may the current root be built upon?
 * @vcpu: the vCPU; mmu_lock is held
 *
 * Return: false if another one has to be loaded first.
 */
bool umbra_shadow_root_valid(const struct umbra_vcpu *vcpu)
{
	return root_matches(vcpu, &vcpu->arch.mmu.root);
}

/**
 * umbra_shadow_drop_roots() - let go of all roots
 * @vcpu: a vCPU that does not run any more
 */
void umbra_shadow_drop_roots(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	unsigned int i;

	write_lock(&vcpu->vm->mmu_lock);
	release_current(vcpu);
	for (i = 0; i < UMBRA_MMU_ROOTS; i++)
		release(vcpu, &mmu->previous[i]);
	write_unlock(&vcpu->vm->mmu_lock);
}
