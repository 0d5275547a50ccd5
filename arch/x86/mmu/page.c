// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table pages: allocated, linked, zapped, freed.
 *
 * A page that is zapped is out of every table at once, but the CPUs may still
 * walk it, or hold translations made through it, until the next flush of their
 * TLBs. Only then it is freed. Flushes are put together: see umbra_mmu_flush().
 *
 * mmu_lock is held for writing unless said otherwise.
 */
#include <linux/slab.h>
#include "internal.h"

/* A fault makes at most as many pages as there are levels, a PAE root four. */
#define PAGES_MIN	(UMBRA_MAX_LEVEL + 1)
/* Each with its table and the copy of the guest's. */
#define TABLES_MIN	(2 * PAGES_MIN)
/* One for each link, for the leaf, and for each leaf prefetched. */
#define RMAPS_MIN	(PAGES_MIN + 1 + 16)

/* So many zapped pages wait for a flush at most. */
#define ZAPPED_MAX	32

static struct kmem_cache *page_cache;
static struct kmem_cache *rmap_cache;

/**
 * umbra_pages_init() - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_pages_init(void)
{
	page_cache = kmem_cache_create("umbra_mmu_page", sizeof(struct umbra_mmu_page), 0,
				       SLAB_ACCOUNT, NULL);
	rmap_cache = kmem_cache_create("umbra_rmap_list", sizeof(struct umbra_rmap_list), 0,
				       SLAB_ACCOUNT, NULL);
	if (page_cache && rmap_cache)
		return 0;
	umbra_pages_exit();
	return -ENOMEM;
}

/**
 * umbra_pages_exit() - undo umbra_pages_init(); no VM is left
 */
void umbra_pages_exit(void)
{
	kmem_cache_destroy(page_cache);
	kmem_cache_destroy(rmap_cache);
}

static int topup_slab(struct umbra_mmu_cache *cache, struct kmem_cache *slab, unsigned int min)
{
	if (likely(cache->count >= min))
		return 0;
	while (cache->count < min_t(unsigned int, 2 * min, UMBRA_MMU_CACHE)) {
		void *object = kmem_cache_zalloc(slab, GFP_KERNEL_ACCOUNT);

		if (!object)
			return cache->count >= min ? 0 : -ENOMEM;
		cache->object[cache->count++] = object;
	}
	return 0;
}

static int topup_tables(struct umbra_mmu_cache *cache)
{
	if (likely(cache->count >= TABLES_MIN))
		return 0;
	while (cache->count < 2 * TABLES_MIN) {
		void *table = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!table)
			return cache->count >= TABLES_MIN ? 0 : -ENOMEM;
		cache->object[cache->count++] = table;
	}
	return 0;
}

/**
 * umbra_mmu_topup() - provide for what may be needed under mmu_lock
 * @vcpu: the vCPU; mmu_lock is not held
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_mmu_topup(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	BUILD_BUG_ON(2 * TABLES_MIN > UMBRA_MMU_CACHE);
	BUILD_BUG_ON(RMAPS_MIN > UMBRA_MMU_CACHE);
	return topup_slab(&mmu->pages, page_cache, PAGES_MIN) ?:
	       topup_tables(&mmu->tables) ?:
	       topup_slab(&mmu->rmaps, rmap_cache, RMAPS_MIN);
}

/**
 * umbra_mmu_free_caches() - undo umbra_mmu_topup()
 * @vcpu: a vCPU that does not run any more
 */
void umbra_mmu_free_caches(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	while (mmu->pages.count)
		kmem_cache_free(page_cache, mmu->pages.object[--mmu->pages.count]);
	while (mmu->rmaps.count)
		kmem_cache_free(rmap_cache, mmu->rmaps.object[--mmu->rmaps.count]);
	while (mmu->tables.count)
		free_page((unsigned long)mmu->tables.object[--mmu->tables.count]);
}

/**
 * umbra_rmap_list_alloc() - a piece of a list
 * @vcpu: whose caches have been topped up
 *
 * Return: the piece.
 */
struct umbra_rmap_list *umbra_rmap_list_alloc(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_cache *cache = &vcpu->arch.mmu.rmaps;

	return cache->object[--cache->count];
}

/**
 * umbra_rmap_list_free() - undo umbra_rmap_list_alloc()
 * @list: the piece
 */
void umbra_rmap_list_free(struct umbra_rmap_list *list)
{
	kmem_cache_free(rmap_cache, list);
}

/**
 * umbra_page_alloc() - make an empty table page
 * @vcpu: whose caches have been topped up
 * @gfn: what it is for
 * @role: how
 *
 * It is neither in the list nor in the hash yet. mmu_lock is held for reading
 * or writing.
 *
 * Return: the page.
 */
struct umbra_mmu_page *umbra_page_alloc(struct umbra_vcpu *vcpu, gfn_t gfn,
					union umbra_mmu_role role)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_mmu_page *page = mmu->pages.object[--mmu->pages.count];

	INIT_LIST_HEAD(&page->sync_link);
	page->gfn = gfn;
	page->role = role;
	page->table = mmu->tables.object[--mmu->tables.count];
	if (!role.direct)
		page->guest = mmu->tables.object[--mmu->tables.count];
	page->hpa = __sme_set(__pa(page->table));
	set_page_private(virt_to_page(page->table), (unsigned long)page);
	return page;
}

/**
 * umbra_page_discard() - undo umbra_page_alloc() for a page that was not used
 * @vcpu: the same vCPU
 * @page: the page, direct
 */
void umbra_page_discard(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	set_page_private(virt_to_page(page->table), 0);
	mmu->tables.object[mmu->tables.count++] = page->table;
	memset(page, 0, sizeof(*page));
	mmu->pages.object[mmu->pages.count++] = page;
}

/**
 * umbra_page_account() - put a new page among the VM's
 * @vm: the VM; mmu_lock is held for reading or writing
 * @page: the page
 */
void umbra_page_account(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;

	spin_lock(&mmu->pages_lock);
	list_add(&page->link, &mmu->pages);
	mmu->nr_pages++;
	mmu->stat[UMBRA_MMU_PAGES_MADE]++;
	spin_unlock(&mmu->pages_lock);
}

static void page_free(struct umbra_mmu_page *page)
{
	set_page_private(virt_to_page(page->table), 0);
	free_page((unsigned long)page->table);
	free_page((unsigned long)page->guest);
	kmem_cache_free(page_cache, page);
}

static void free_zapped(struct umbra_mmu_vm *mmu)
{
	struct umbra_mmu_page *page, *next;

	list_for_each_entry_safe(page, next, &mmu->zapped, link)
		page_free(page);
	INIT_LIST_HEAD(&mmu->zapped);
	mmu->nr_zapped = 0;
}

/**
 * umbra_mmu_flush() - make every vCPU drop its translations, now
 * @vm: the VM
 *
 * When it returns, no vCPU is in the guest with a translation that was made
 * before; pages zapped before are freed.
 */
void umbra_mmu_flush(struct umbra_vm *vm)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;

	lockdep_assert_held_write(&vm->mmu_lock);
	mmu->tlb_stale = false;
	mmu->stat[UMBRA_MMU_FLUSHES]++;
	umbra_vm_kick_and_wait(vm, UMBRA_REQ_TLB_FLUSH);
	free_zapped(mmu);
}

/**
 * umbra_entry_gfn() - the first gfn that a leaf maps
 * @page: the table page that holds it
 * @index: its index
 *
 * Return: the gfn.
 */
gfn_t umbra_entry_gfn(const struct umbra_mmu_page *page, unsigned int index)
{
	const struct umbra_format *f = &umbra_formats[page->role.format];
	int level = page->role.level;
	gfn_t gfn;

	if (page->role.direct)
		return page->gfn + ((gfn_t)index << (9 * (level - 1)));
	gfn = umbra_leaf_address(f, level, page->guest[index]) >> PAGE_SHIFT;
	/* A 4 MiB page of the guest's is two leaves of ours. */
	if (f->entry_size == 4 && level == 2)
		gfn += (index & 1) * umbra_level_pages(2);
	return gfn;
}

/**
 * umbra_entry_drop() - make an entry not present
 * @vm: the VM
 * @page: the table page that holds it
 * @index: its index
 *
 * TLBs are not flushed, but marked stale.
 *
 * Return: true if it was present.
 */
bool umbra_entry_drop(struct umbra_vm *vm, struct umbra_mmu_page *page, unsigned int index)
{
	u64 *entryp = &page->table[index];
	struct umbra_slot *slot;
	u64 entry;
	gfn_t gfn;

	if (!umbra_entry_present(vm, *entryp))
		return false;
	/* The CPU may be setting accessed or dirty bits. */
	entry = xchg(entryp, 0);
	vm->arch.mmu.tlb_stale = true;

	if (umbra_entry_leaf(page->role.level, entry)) {
		gfn = umbra_entry_gfn(page, index);
		slot = umbra_slot_find(vm, gfn);
		if (slot)
			umbra_rmap_remove(umbra_slot_rmap(slot, gfn, page->role.level), entryp);
		umbra_mmu_count(vm, LEAVES_ZAPPED);
		return true;
	}

	umbra_rmap_remove(&umbra_entry_child(entry)->parents, entryp);
	if (__test_and_clear_bit(index, page->unsync_map))
		page->unsync_children--;
	return true;
}

static void unlink_parents(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	u64 *entryp;

	while ((entryp = umbra_rmap_first(&page->parents)))
		umbra_entry_drop(vm, umbra_entry_page(entryp), umbra_entry_index(entryp));
}

/* Large leaves may not hold tables that are shadowed. */
static void count_table(struct umbra_vm *vm, gfn_t gfn, int by)
{
	struct umbra_slot *slot = umbra_slot_find(vm, gfn);
	int level;

	if (!slot)
		return;
	for (level = 2; level <= UMBRA_SLOT_LEVELS; level++) {
		unsigned int shift = 9 * (level - 1);

		slot->mmu.tables[level - 2][(gfn >> shift) - (slot->base >> shift)] += by;
	}
}

/**
 * umbra_page_hash() - make a page findable; from now on its table is tracked
 * @vm: the VM
 * @page: a page that is not nested
 */
void umbra_page_hash(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	hlist_add_head(&page->hash, umbra_page_bucket(vm, page->gfn));
	if (!page->role.direct)
		count_table(vm, page->gfn, 1);
}

static void queue_free(struct umbra_mmu_vm *mmu, struct umbra_mmu_page *page)
{
	list_add(&page->link, &mmu->zapped);
	mmu->nr_zapped++;
}

/**
 * umbra_page_zap() - take a table page out of use
 * @vm: the VM
 * @page: the page
 *
 * The pages it points to stay, to be found again or to be reclaimed. If it is
 * a current root, vCPUs are asked to make another one. It is freed by the next flush,
 * which is not done here: see umbra_pages_settle().
 */
void umbra_page_zap(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;
	struct umbra_vcpu *vcpu;
	unsigned int i;

	for (i = 0; i < UMBRA_ENTRIES; i++)
		umbra_entry_drop(vm, page, i);
	unlink_parents(vm, page);
	if (!hlist_unhashed(&page->hash)) {
		hlist_del_init(&page->hash);
		if (!page->role.direct)
			count_table(vm, page->gfn, -1);
	}
	list_del(&page->link);
	mmu->nr_pages--;
	mmu->stat[UMBRA_MMU_PAGES_ZAPPED]++;
	mmu->tlb_stale = true;
	page->unsync = false;
	/* Read without a lock by vCPUs that hold it as a root. */
	WRITE_ONCE(page->invalid, true);
	if (!page->roots)
		queue_free(mmu, page);
	if (!atomic_read(&page->active))
		return;
	umbra_for_each_vcpu(i, vcpu, vm)
		umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
}

/**
 * umbra_page_put_root() - a vCPU lets go of a root
 * @vm: the VM
 * @page: the root page
 */
void umbra_page_put_root(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	if (!--page->roots && page->invalid)
		queue_free(&vm->arch.mmu, page);
}

/**
 * umbra_pages_settle() - at the end of what may have zapped pages
 * @vm: the VM
 *
 * Flushes if many wait for it.
 */
void umbra_pages_settle(struct umbra_vm *vm)
{
	if (unlikely(vm->arch.mmu.nr_zapped >= ZAPPED_MAX))
		umbra_mmu_flush(vm);
}

/**
 * umbra_pages_reclaim() - make room for new table pages
 * @vm: the VM
 *
 * Zaps the oldest ones that are no vCPU's current root when there are too many.
 */
void umbra_pages_reclaim(struct umbra_vm *vm)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;
	struct umbra_mmu_page *page, *prev;
	unsigned int goal;

	if (likely(mmu->nr_pages + PAGES_MIN <= mmu->max_pages))
		return;
	/* Some more at a time, so that not every fault has to. */
	goal = mmu->max_pages - mmu->max_pages / 16 - PAGES_MIN;
	list_for_each_entry_safe_reverse(page, prev, &mmu->pages, link) {
		if (mmu->nr_pages <= goal)
			break;
		if (atomic_read(&page->active))
			continue;
		umbra_page_zap(vm, page);
		mmu->stat[UMBRA_MMU_PAGES_RECLAIMED]++;
	}
	umbra_mmu_flush(vm);
}

static void zap_everything(struct umbra_vm *vm)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;
	struct umbra_mmu_page *page, *next;
	unsigned int i;

	list_for_each_entry_safe(page, next, &mmu->pages, link) {
		if (page != mmu->root)
			umbra_page_zap(vm, page);
	}
	if (mmu->root) {
		for (i = 0; i < UMBRA_ENTRIES; i++)
			umbra_entry_drop(vm, mmu->root, i);
	}
}

/**
 * umbra_pages_zap_all() - drop everything
 * @vm: the VM
 *
 * The nested root stays, empty.
 */
void umbra_pages_zap_all(struct umbra_vm *vm)
{
	zap_everything(vm);
	umbra_mmu_flush(vm);
}

/**
 * umbra_pages_free_all() - free every page at the end of a VM
 * @vm: the VM; no vCPU is left, so there are no TLBs to flush
 */
void umbra_pages_free_all(struct umbra_vm *vm)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;

	zap_everything(vm);
	free_zapped(mmu);
	if (mmu->root) {
		list_del(&mmu->root->link);
		page_free(mmu->root);
		mmu->root = NULL;
	}
}

/**
 * umbra_make_link() - an entry that points to a table page
 * @vm: the VM
 * @child: the table page
 *
 * Permissions are left to the leaves.
 *
 * Return: the entry.
 */
u64 umbra_make_link(const struct umbra_vm *vm, const struct umbra_mmu_page *child)
{
	const struct umbra_format *f = vm->arch.mmu.host.format;

	return child->hpa | f->present | f->writable | f->user | f->accessed;
}

/**
 * umbra_make_leaf() - an entry that maps a page
 * @vm: the VM
 * @pfn: the host's page, the first one if it is large
 * @level: how large it is
 * @acc: UMBRA_ACC_*: what the guest may do
 * @key: protection key
 *
 * Accessed and, if writable, dirty bits are set: the CPU need not do it.
 *
 * Return: the entry.
 */
u64 umbra_make_leaf(const struct umbra_vm *vm, u64 pfn, int level, unsigned int acc,
		    unsigned int key)
{
	const struct umbra_format *f = vm->arch.mmu.host.format;
	u64 entry = __sme_set(pfn << PAGE_SHIFT) | f->accessed | f->memory_type;

	entry |= f->present & ~(f->writable | f->exec);
	if (acc & UMBRA_ACC_WRITE)
		entry |= f->writable | f->dirty;
	if (acc & UMBRA_ACC_USER)
		entry |= f->user;
	entry |= acc & UMBRA_ACC_EXEC ? f->exec : f->nx;
	if (level > 1)
		entry |= _PAGE_PSE;
	if (f->key_shift)
		entry |= (u64)key << f->key_shift;
	return entry;
}
