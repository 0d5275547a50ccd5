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
static u64 root_address(const struct umbra_vcpu *vcpu, u64 cr3)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;

	if (!paging->format)
		return 0;
	if (paging->id == UMBRA_FORMAT_PAE)
		return cr3 & GENMASK_ULL(31, 5);
	return cr3 & paging->format->address;
}

/* Has part of it been zapped? */
static bool is_invalid(const struct umbra_mmu_root *root)
{
	int i;

	if (!is_pae_root(root))
		return READ_ONCE(root->page[0]->invalid);
	for (i = 0; i < 4; i++) {
		if (root->page[i] && READ_ONCE(root->page[i]->invalid))
			return true;
	}
	return false;
}

static bool root_matches(const struct umbra_vcpu *vcpu, const struct umbra_mmu_root *root,
			 u64 address)
{
	if (!root->valid || root->role.word != vcpu->arch.mmu.role.word || root->cr3 != address)
		return false;
	if (vcpu->arch.mmu.paging.id == UMBRA_FORMAT_PAE && !root->role.direct &&
	    memcmp(root->pdpte, vcpu->arch.pdpte, sizeof(root->pdpte)))
		return false;
	return !is_invalid(root);
}

/*
 * Where the root for an address and the current role is kept, if it is, else
 * where it may be put. There are two places for each.
 */
static struct umbra_mmu_root *root_place(struct umbra_vcpu *vcpu, u64 address, bool *found)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	/* PAE tables are aligned to 32 bytes only. */
	u64 key = (address >> PAGE_SHIFT) + (address >> 5 & 0x7f) + mmu->role.word;
	struct umbra_mmu_root *root = &mmu->roots[hash_64(key, UMBRA_MMU_ROOTS_BITS)];
	struct umbra_mmu_root *other = &mmu->roots[(root - mmu->roots) ^ 1];

	*found = true;
	if (likely(root_matches(vcpu, root, address)))
		return root;
	if (root_matches(vcpu, other, address))
		return other;
	*found = false;
	return !other->valid || root == mmu->root ? other : root;
}

static bool has_unsync(const struct umbra_mmu_root *root)
{
	int i;

	/*
	 * A guest that sees another vCPU's write to its tables sees it after
	 * the mark that was set before that write was let through. Marks are
	 * taken away when the tables are up to date.
	 */
	if (!is_pae_root(root))
		return READ_ONCE(root->page[0]->unsync_children);
	for (i = 0; i < 4; i++) {
		if (root->page[i] && READ_ONCE(root->page[i]->unsync_children))
			return true;
	}
	return false;
}

/* The root becomes the vCPU's current one, or is not any more. */
static void set_active(struct umbra_mmu_root *root, bool active)
{
	int i, by = active ? 1 : -1;

	if (!is_pae_root(root)) {
		atomic_add(by, &root->page[0]->active);
		return;
	}
	for (i = 0; i < 4; i++) {
		if (root->page[i])
			atomic_add(by, &root->page[i]->active);
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
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	if (!mmu->root)
		return;
	set_active(mmu->root, false);
	release(vcpu, mmu->root);
	mmu->root = NULL;
}

/* Lets go of roots that have been zapped: they cannot be freed before. */
static void release_invalid(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	unsigned int i;

	for (i = 0; i < UMBRA_MMU_ROOTS; i++) {
		struct umbra_mmu_root *root = &mmu->roots[i];

		if (root->valid && root != mmu->root && is_invalid(root))
			release(vcpu, root);
	}
}

/* Tells the backend. */
static void activate(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	const struct umbra_mmu_root *root = mmu->root;
	int i;

	if (is_pae_root(root)) {
		for (i = 0; i < 4; i++)
			mmu->pae_table[i] = root->page[i] ? root->page[i]->hpa | _PAGE_PRESENT : 0;
		umbra_backend->load_root(vcpu, __sme_set(__pa(mmu->pae_table)));
	} else {
		umbra_backend->load_root(vcpu, root->page[0]->hpa);
	}
}

static void sync_root(struct umbra_vcpu *vcpu)
{
	const struct umbra_mmu_root *root = vcpu->arch.mmu.root;
	struct umbra_vm *vm = vcpu->vm;
	int i;

	if (likely(!has_unsync(root)))
		return;
	write_lock(&vm->mmu_lock);
	for (i = 0; i < 4; i++)
		if (root->page[i])
			umbra_sync_root(vcpu, root->page[i]);
	write_unlock(&vm->mmu_lock);
}

/* From now on the CPU walks this root, which is valid, or none. */
static void set_current(struct umbra_mmu_vcpu *mmu, struct umbra_mmu_root *root)
{
	if (root == mmu->root)
		return;
	if (mmu->root)
		set_active(mmu->root, false);
	if (root)
		set_active(root, true);
	mmu->root = root;
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
	struct umbra_mmu_root *root;
	u64 address;
	bool found;

	umbra_zap_loose(vcpu->vm);
	umbra_mmu_check_paging(vcpu);
	mmu->role = root_role(vcpu);
	address = root_address(vcpu, vcpu->arch.cr3);
	root = root_place(vcpu, address, &found);
	if (!found) {
		set_current(mmu, NULL);
		umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
		return;
	}
	if (root != mmu->root)
		umbra_mmu_count(vcpu, ROOTS_CACHED);
	set_current(mmu, root);
	sync_root(vcpu);
	activate(vcpu);
	umbra_request(vcpu, UMBRA_REQ_TLB_FLUSH);
}

/* A root whose place was taken by another may still have its page. */
static bool adopt(struct umbra_vcpu *vcpu, struct umbra_mmu_root *root, u64 address)
{
	union umbra_mmu_role role = vcpu->arch.mmu.role;
	gfn_t gfn = address >> PAGE_SHIFT;
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_mmu_page *page;

	if (root == vcpu->arch.mmu.root || role.level == 2 || !umbra_fast_lock(vm))
		return false;
	page = umbra_find_page(vm, gfn, role);
	if (page) {
		release(vcpu, root);
		*root = (struct umbra_mmu_root) {
			.valid = true,
			.role = role,
			.cr3 = address,
			.page[0] = page,
		};
		page->roots++;
	}
	write_unlock(&vm->mmu_lock);
	return page;
}

/**
 * umbra_shadow_fast_cr3() - use the root for another value of CR3 if that is easy
 * @vcpu: the vCPU, loaded, in the guest as far as others can tell; interrupts off
 * @cr3: a valid value
 *
 * Return: false if nothing was done.
 */
bool umbra_shadow_fast_cr3(struct umbra_vcpu *vcpu, u64 cr3)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_mmu_root *root;
	u64 address;
	bool found;

	if (!umbra_mmu_paging_known(vcpu) || !mmu->paging.format ||
	    mmu->paging.id == UMBRA_FORMAT_PAE || umbra_mmu_has_loose(vcpu->vm))
		return false;
	address = root_address(vcpu, cr3);
	root = root_place(vcpu, address, &found);
	if (!found && !adopt(vcpu, root, address))
		return false;
	if (is_pae_root(root))
		return false;
	if (has_unsync(root) && !umbra_fast_sync_root(vcpu, root->page[0]))
		return false;
	vcpu->arch.cr3 = cr3;
	umbra_mmu_count(vcpu, CR3_LOADS);
	if (root != mmu->root) {
		umbra_mmu_count(vcpu, ROOTS_CACHED);
		set_current(mmu, root);
		activate(vcpu);
	}
	umbra_backend->flush_tlb(vcpu);
	return true;
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
	root->cr3 = root_address(vcpu, vcpu->arch.cr3);
	root->valid = true;
	root->code_leaf = NULL;
	memset(root->page, 0, sizeof(root->page));
	umbra_mmu_count(vcpu, ROOTS_MADE);
	if (!is_pae_root(root)) {
		root->page[0] = root_page(vcpu, root->cr3 >> PAGE_SHIFT, role);
		if (!root->page[0]->role.direct)
			umbra_shadow_link_known(vcpu, root->page[0]);
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
	struct umbra_mmu_root *root;
	u64 address;
	bool found;
	int ret;

	umbra_zap_loose(vm);
	umbra_mmu_check_paging(vcpu);
	mmu->role = root_role(vcpu);
	address = root_address(vcpu, vcpu->arch.cr3);
	root = root_place(vcpu, address, &found);
	if (!found) {
		ret = umbra_mmu_topup(vcpu);
		if (ret)
			return ret;
		write_lock(&vm->mmu_lock);
		if (root == mmu->root)
			release_current(vcpu);
		else
			release(vcpu, root);
		umbra_pages_reclaim(vm);
		make_root(vcpu, root);
		set_current(mmu, root);
		release_invalid(vcpu);
		umbra_pages_settle(vm);
		write_unlock(&vm->mmu_lock);
	} else {
		set_current(mmu, root);
	}
	sync_root(vcpu);
	activate(vcpu);
	umbra_request(vcpu, UMBRA_REQ_TLB_FLUSH);
	return 0;
}

/* The leaf that maps an address, NULL if there is none. */
static const u64 *find_leaf(const struct umbra_mmu_root *root, u64 addr, int *level)
{
	const struct umbra_mmu_page *page = umbra_root_page(root, addr);
	const u64 *entryp;
	u64 entry;

	if (!page)
		return NULL;
	for (;;) {
		*level = page->role.level;
		entryp = &page->table[umbra_own_index(*level, addr)];
		entry = READ_ONCE(*entryp);
		if (!(entry & _PAGE_PRESENT))
			return NULL;
		if (umbra_entry_leaf(*level, entry))
			return entryp;
		page = umbra_entry_child(entry);
	}
}

/**
 * umbra_shadow_fetch() - read code as the CPU has just done
 * @vcpu: the vCPU, loaded, in the guest as far as others can tell; interrupts off
 * @linear: its address
 * @bytes: where to put it
 * @len: how many bytes at most
 *
 * Through our tables, without the lock: as with a CPU in the guest, whoever takes
 * something out of them waits for us before it is used otherwise.
 *
 * Return: how many bytes were read, 0 if nothing is mapped there.
 */
unsigned int umbra_shadow_fetch(struct umbra_vcpu *vcpu, u64 linear, u8 *bytes, unsigned int len)
{
	unsigned long drops = READ_ONCE(vcpu->vm->arch.mmu.link_drops);
	struct umbra_mmu_root *root = vcpu->arch.mmu.root;
	u64 page = linear & PAGE_MASK, entry, pfn;
	int level = 1;

	if (!root)
		return 0;
	/* The same instruction mostly. As long as no link was cut its leaf is where it was. */
	if (root->code_leaf && root->code == page && root->code_drops == drops) {
		entry = READ_ONCE(*root->code_leaf);
	} else {
		const u64 *leaf = find_leaf(root, linear, &level);

		if (!leaf)
			return 0;
		entry = READ_ONCE(*leaf);
		root->code = page;
		root->code_leaf = level == 1 ? leaf : NULL;
		root->code_drops = drops;
	}
	if (!(entry & _PAGE_PRESENT))
		return 0;
	pfn = umbra_entry_pfn(entry) + (linear >> PAGE_SHIFT & (umbra_level_pages(level) - 1));
	len = min_t(unsigned long, len, PAGE_SIZE - offset_in_page(linear));
	memcpy(bytes, page_address(pfn_to_page(pfn)) + offset_in_page(linear), len);
	return len;
}

/**
 * umbra_shadow_root_valid() - may the current root be built upon?
 * @vcpu: the vCPU; mmu_lock is held
 *
 * Return: false if another one has to be loaded first.
 */
bool umbra_shadow_root_valid(const struct umbra_vcpu *vcpu)
{
	const struct umbra_mmu_root *root = vcpu->arch.mmu.root;

	return root && root_matches(vcpu, root, root_address(vcpu, vcpu->arch.cr3));
}

/**
 * umbra_shadow_drop_roots() - let go of all roots
 * @vcpu: a vCPU that does not run any more
 */
void umbra_shadow_drop_roots(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	unsigned int i;

	if (!mmu->roots)
		return;
	write_lock(&vcpu->vm->mmu_lock);
	release_current(vcpu);
	for (i = 0; i < UMBRA_MMU_ROOTS; i++)
		release(vcpu, &mmu->roots[i]);
	write_unlock(&vcpu->vm->mmu_lock);
}
