// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested paging: one tree of NPT or EPT tables for all vCPUs, from gfn to page.
 *
 * Faults of several vCPUs are handled at the same time, with mmu_lock held for
 * reading: an entry that is not present becomes a link or a leaf, and a leaf
 * becomes writable, by compare-and-exchange. A gfn has one entry at each level
 * only, so whoever wins the exchange is the only one to write its reverse map.
 * What takes entries away needs mmu_lock for writing.
 */
#include <linux/moduleparam.h>
#include "internal.h"

static bool nested_large = true;
module_param(nested_large, bool, 0644);
MODULE_PARM_DESC(nested_large, "nested paging: map with 2 MiB and 1 GiB pages where possible");

/* Takes out a table and all below it. mmu_lock is held for writing. */
static void zap_tree(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	unsigned int i;

	for (i = 0; i < UMBRA_ENTRIES; i++) {
		u64 entry = page->table[i];

		if (umbra_entry_present(vm, entry) && !umbra_entry_leaf(page->role.level, entry))
			zap_tree(vm, umbra_entry_child(entry));
	}
	umbra_page_zap(vm, page);
}

/*
 * The table that *entryp points to, made if need be. NULL if a large leaf is in
 * the way and may not be taken out.
 */
static struct umbra_mmu_page *descend(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page,
				      gfn_t gfn, bool exclusive)
{
	struct umbra_vm *vm = vcpu->vm;
	union umbra_mmu_role role = page->role;
	int level = page->role.level;
	unsigned int index = umbra_index(vm->arch.mmu.host.format, level, gfn << PAGE_SHIFT);
	u64 *entryp = &page->table[index];
	u64 entry = READ_ONCE(*entryp);
	struct umbra_mmu_page *child;

	if (umbra_entry_present(vm, entry) && umbra_entry_leaf(level, entry)) {
		if (!exclusive)
			return NULL;
		/* What it mapped is the same memory: only marked stale, not flushed. */
		umbra_entry_drop(vm, page, index);
		entry = 0;
	}
	if (umbra_entry_present(vm, entry))
		return umbra_entry_child(entry);

	role.level--;
	child = umbra_page_alloc(vcpu, gfn & ~(umbra_level_pages(level) - 1), role);
	child->parents.value = (unsigned long)entryp;
	entry = cmpxchg64(entryp, 0, umbra_make_link(vm, child));
	if (!entry) {
		umbra_page_account(vm, child);
		return child;
	}
	/* Another vCPU was faster. It may have put a large leaf there. */
	umbra_page_discard(vcpu, child);
	return umbra_entry_leaf(level, entry) ? NULL : umbra_entry_child(entry);
}

/* Returns 1, or -EAGAIN if mmu_lock must be held for writing to do it. */
static int map_leaf(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page, struct umbra_slot *slot,
		    gfn_t gfn, u64 pfn, bool writable, bool write, bool exclusive)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct umbra_format *f = vm->arch.mmu.host.format;
	int level = page->role.level;
	unsigned int index = umbra_index(f, level, gfn << PAGE_SHIFT);
	unsigned long low = umbra_level_pages(level) - 1;
	unsigned int acc = UMBRA_ACC_USER | UMBRA_ACC_EXEC;
	u64 *entryp = &page->table[index];
	u64 old, new;

	if (writable)
		acc |= UMBRA_ACC_WRITE;
	new = umbra_make_leaf(vm, pfn & ~low, level, acc, 0);
	/* What has not been written yet is not dirty, if the CPU says when it is. */
	if (unlikely(slot->dirty) && !write)
		new &= ~f->dirty;
	for (;;) {
		old = READ_ONCE(*entryp);
		if (!umbra_entry_present(vm, old)) {
			if (cmpxchg64(entryp, old, new) != old)
				continue;
			umbra_rmap_add(vcpu, umbra_slot_rmap(slot, gfn, level), entryp);
			umbra_mmu_count(vcpu, FAULTS);
			if (level > 1)
				umbra_mmu_count(vcpu, LEAVES_LARGE);
			break;
		}
		if (!umbra_entry_leaf(level, old)) {
			/* The host has put small pages together since. */
			if (!exclusive)
				return -EAGAIN;
			zap_tree(vm, umbra_entry_child(old));
			continue;
		}
		if (umbra_entry_pfn(old) != umbra_entry_pfn(new)) {
			if (!exclusive)
				return -EAGAIN;
			umbra_entry_drop(vm, page, index);
			continue;
		}
		if (!write || (old & f->writable)) {
			umbra_mmu_count(vcpu, FAULTS_SPURIOUS);
			return 1;
		}
		/* More than before is allowed: TLBs need not know. */
		if (cmpxchg64(entryp, old, new) != old)
			continue;
		umbra_mmu_count(vcpu, FAULTS);
		break;
	}
	if (new & f->dirty)
		umbra_mark_dirty(slot, gfn);
	return 1;
}

static int map(struct umbra_vcpu *vcpu, struct umbra_slot *slot, gfn_t gfn,
	       const struct umbra_host_page *hp, bool write, bool exclusive)
{
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_mmu_page *page = vm->arch.mmu.root;
	int goal = hp->level > 1 ? min(hp->level, umbra_slot_max_level(slot, gfn)) : 1;
	/* With a dirty log the first write to each page must fault, or be noted by the CPU. */
	bool writable = hp->writable && (write || !slot->dirty || vm->arch.mmu.logs);

	if (umbra_notifier_retry(vm, hp->seq, hp->hva)) {
		umbra_mmu_count(vcpu, FAULTS_RETRIED);
		return 1;
	}
	while (page->role.level > goal) {
		page = descend(vcpu, page, gfn, exclusive);
		if (!page)
			return -EAGAIN;
	}
	return map_leaf(vcpu, page, slot, gfn, hp->pfn, writable, write, exclusive);
}

static int nested_fault(struct umbra_vcpu *vcpu, u64 gpa, u32 error_code)
{
	struct umbra_vm *vm = vcpu->vm;
	bool write = error_code & X86_PF_WRITE;
	gfn_t gfn = gpa >> PAGE_SHIFT;
	struct umbra_host_page hp;
	struct umbra_slot *slot;
	int ret;

	slot = umbra_vcpu_slot(vcpu, gfn);
	if (!slot || (write && slot->flags & UMBRA_MEM_READONLY))
		return umbra_mmu_mmio(vcpu, gpa, error_code);
	/* Memory that our tables do not reach: the executor does. */
	if (unlikely(gfn >> (9 * vm->arch.mmu.host.levels)))
		return umbra_mmu_mmio(vcpu, gpa, error_code & ~(u32)UMBRA_ACCESS_OPERAND);

	ret = umbra_mmu_topup(vcpu);
	if (ret)
		return ret;
	ret = umbra_host_get(vcpu, slot, gfn, write,
			     READ_ONCE(nested_large) ?
			     min_t(int, umbra_slot_max_level(slot, gfn), vm->arch.mmu.max_leaf) : 1,
			     &hp);
	if (ret)
		return umbra_host_error(vcpu, gfn, ret);

	read_lock(&vm->mmu_lock);
	ret = map(vcpu, slot, gfn, &hp, write, false);
	read_unlock(&vm->mmu_lock);
	if (unlikely(ret == -EAGAIN)) {
		write_lock(&vm->mmu_lock);
		ret = map(vcpu, slot, gfn, &hp, write, true);
		umbra_pages_settle(vm);
		write_unlock(&vm->mmu_lock);
	}
	umbra_host_put(&hp);
	return ret;
}

/*
 * The same with interrupts off, if the page is there. With the lock held, even for
 * reading, an invalidation that begins later finds what is mapped now.
 */
static enum umbra_fast fast_map(struct umbra_vcpu *vcpu, struct umbra_slot *slot, gfn_t gfn,
				bool write)
{
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_host_page hp;
	int ret;

	if (!umbra_host_get_fast(vcpu, slot, gfn, true, &hp))
		return UMBRA_FAST_NO;
	hp.seq = vm->notifier_seq;
	if (PageCompound(hp.page) && READ_ONCE(nested_large))
		hp.level = min_t(int, umbra_host_level(vm, hp.hva), vm->arch.mmu.max_leaf);
	ret = map(vcpu, slot, gfn, &hp, write, false);
	put_page(hp.page);
	return ret > 0 ? UMBRA_FAST_DONE : UMBRA_FAST_NO;
}

static enum umbra_fast nested_fast_fault(struct umbra_vcpu *vcpu, u64 gpa, u32 access, u32 *error)
{
	struct umbra_vm *vm = vcpu->vm;
	gfn_t gfn = gpa >> PAGE_SHIFT;
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gfn);
	enum umbra_fast ret;

	if (!slot) {
		vcpu->arch.mmu.no_memory = gpa & PAGE_MASK;
		return UMBRA_FAST_NO;
	}
	if (slot->flags & UMBRA_MEM_READONLY || gfn >> (9 * vm->arch.mmu.host.levels) ||
	    !umbra_mmu_topped_up(vcpu) || vcpu->arch.mmu.pages.count < UMBRA_MAX_LEVEL ||
	    IS_ENABLED(CONFIG_PREEMPT_RT) || !read_trylock(&vm->mmu_lock))
		return UMBRA_FAST_NO;
	ret = fast_map(vcpu, slot, gfn, access & X86_PF_WRITE);
	read_unlock(&vm->mmu_lock);
	return ret;
}

/* Returns the entry of the smallest size for a gfn, empty. */
static u64 *empty_entry(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_mmu_page *page;
	unsigned int index;

	for (page = vm->arch.mmu.root; page->role.level > 1;)
		page = descend(vcpu, page, gfn, true);
	index = umbra_index(vm->arch.mmu.host.format, 1, gfn << PAGE_SHIFT);
	umbra_entry_drop(vm, page, index);
	return &page->table[index];
}

/* What may be written is lent, which must not have been withdrawn. */
static int map_host_page(struct umbra_vcpu *vcpu, gfn_t gfn, u64 pfn, unsigned int access)
{
	struct umbra_vm *vm = vcpu->vm;
	int ret;

	ret = umbra_mmu_topup(vcpu);
	if (ret)
		return ret;
	write_lock(&vm->mmu_lock);
	if (!(access & UMBRA_ACC_WRITE) || !vm->arch.mmu.withdrawn) {
		WRITE_ONCE(*empty_entry(vcpu, gfn), umbra_make_leaf(vm, pfn, 1, access, 0));
		ret = 1;
	}
	umbra_pages_settle(vm);
	write_unlock(&vm->mmu_lock);
	return ret;
}

/**
 * umbra_mmu_map_page() - map a page of the host's where the guest has no memory
 * @vcpu: the vCPU, loaded; nested paging
 * @gfn: where
 * @pfn: the page, which outlives the VM
 *
 * To be read only, and until slots change.
 *
 * Return: 1, or -ENOMEM.
 */
int umbra_mmu_map_page(struct umbra_vcpu *vcpu, gfn_t gfn, u64 pfn)
{
	return map_host_page(vcpu, gfn, pfn, UMBRA_ACC_USER);
}

/**
 * umbra_mmu_lend_page() - the same, to be written, too, unless it was withdrawn
 * @vcpu: the vCPU, loaded; nested paging
 * @gfn: where
 * @pfn: the page, which outlives the VM
 *
 * Return: 1, 0 after umbra_mmu_withdraw_page(), or -ENOMEM.
 */
int umbra_mmu_lend_page(struct umbra_vcpu *vcpu, gfn_t gfn, u64 pfn)
{
	return map_host_page(vcpu, gfn, pfn, UMBRA_ACC_USER | UMBRA_ACC_WRITE);
}

/**
 * umbra_mmu_withdraw_page() - what was lent is mapped no more, and not again
 * @vcpu: a vCPU, loaded; nested paging
 * @gfn: where
 *
 * On return no CPU has a translation of it. May sleep.
 */
void umbra_mmu_withdraw_page(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct umbra_format *f = vm->arch.mmu.host.format;
	struct umbra_mmu_page *page;

	if (READ_ONCE(vm->arch.mmu.withdrawn))
		return;
	write_lock(&vm->mmu_lock);
	WRITE_ONCE(vm->arch.mmu.withdrawn, true);
	for (page = vm->arch.mmu.root; page;) {
		int level = page->role.level;
		unsigned int index = umbra_index(f, level, gfn << PAGE_SHIFT);
		u64 entry = page->table[index];

		if (!umbra_entry_present(vm, entry))
			break;
		if (umbra_entry_leaf(level, entry)) {
			umbra_entry_drop(vm, page, index);
			umbra_mmu_flush(vm);
			break;
		}
		page = umbra_entry_child(entry);
	}
	write_unlock(&vm->mmu_lock);
}

static int nested_load(struct umbra_vcpu *vcpu)
{
	struct umbra_vm *vm = vcpu->vm;
	union umbra_mmu_role role = { .word = 0 };
	int ret;

	ret = umbra_mmu_topup(vcpu);
	if (ret)
		return ret;
	write_lock(&vm->mmu_lock);
	if (!vm->arch.mmu.root) {
		role.level = vm->arch.mmu.host.levels;
		role.format = vm->arch.mmu.host.id;
		role.direct = 1;
		role.access = UMBRA_ACC_ALL;
		vm->arch.mmu.root = umbra_page_alloc(vcpu, 0, role);
		umbra_page_account(vm, vm->arch.mmu.root);
		umbra_mmu_count(vm, ROOTS_MADE);
	}
	write_unlock(&vm->mmu_lock);
	umbra_backend->load_root(vcpu, vm->arch.mmu.root->hpa);
	umbra_request(vcpu, UMBRA_REQ_TLB_FLUSH);
	return 0;
}

/*
 * The CPU reads the guest's registers and tables itself. Where we changed them
 * in its place, it must forget what it knows.
 */
static void nested_flush(struct umbra_vcpu *vcpu)
{
	umbra_request(vcpu, UMBRA_REQ_TLB_FLUSH);
}

static void nested_invlpg(struct umbra_vcpu *vcpu, u64 gva)
{
	umbra_backend->flush_gva(vcpu, gva);
}

const struct umbra_mmu_strategy umbra_mmu_nested = {
	.load = nested_load,
	.fault = nested_fault,
	.fast_fault = nested_fast_fault,
	.reset_context = nested_flush,
	.new_cr3 = nested_flush,
	.invlpg = nested_invlpg,
	.flush_guest = nested_flush,
};
