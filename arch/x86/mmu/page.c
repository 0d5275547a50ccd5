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
/* One for each link, for the leaf, and for each leaf prefetched. */
#define RMAPS_MIN	(PAGES_MIN + 1 + 16)

/* So many zapped roots that some vCPU may still think of, then they are asked to forget. */
#define HELD_MAX	64

/* So many empty table pages are kept for later: to clear one costs more than all else. */
#define SPARE_MAX	64

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

static int topup_rmaps(struct umbra_mmu_cache *cache)
{
	if (likely(cache->count >= RMAPS_MIN))
		return 0;
	while (cache->count < UMBRA_MMU_CACHE) {
		void *object = kmem_cache_alloc(rmap_cache, GFP_KERNEL_ACCOUNT);

		if (!object)
			return cache->count >= RMAPS_MIN ? 0 : -ENOMEM;
		cache->object[cache->count++] = object;
	}
	return 0;
}

static int topup_copies(struct umbra_mmu_cache *cache)
{
	if (likely(cache->count >= PAGES_MIN))
		return 0;
	while (cache->count < 2 * PAGES_MIN) {
		void *copy = umbra_get_page(GFP_KERNEL_ACCOUNT);

		if (!copy)
			return cache->count >= PAGES_MIN ? 0 : -ENOMEM;
		cache->object[cache->count++] = copy;
	}
	return 0;
}

/* Frees a page that is not in use and holds no copy. */
static void unit_free(struct umbra_mmu_page *page)
{
	set_page_private(virt_to_page(page->table), 0);
	umbra_free_page(page->table);
	kmem_cache_free(page_cache, page);
}

static struct umbra_mmu_page *unit_alloc(void)
{
	struct umbra_mmu_page *page = kmem_cache_zalloc(page_cache, GFP_KERNEL_ACCOUNT);

	if (!page)
		return NULL;
	page->table = umbra_get_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page->table) {
		kmem_cache_free(page_cache, page);
		return NULL;
	}
	page->hpa = __sme_set(__pa(page->table));
	set_page_private(virt_to_page(page->table), (unsigned long)page);
	return page;
}

static struct umbra_mmu_page *take_spare(struct umbra_mmu_vm *mmu)
{
	struct umbra_mmu_page *page;

	spin_lock(&mmu->pages_lock);
	page = list_first_entry_or_null(&mmu->spare, struct umbra_mmu_page, link);
	if (page) {
		list_del(&page->link);
		mmu->nr_spare--;
	}
	spin_unlock(&mmu->pages_lock);
	return page;
}

static int topup_pages(struct umbra_mmu_cache *cache, struct umbra_mmu_vm *mmu)
{
	if (likely(cache->count >= PAGES_MIN))
		return 0;
	while (cache->count < 2 * PAGES_MIN) {
		struct umbra_mmu_page *page = NULL;

		if (READ_ONCE(mmu->nr_spare))
			page = take_spare(mmu);
		if (!page)
			page = unit_alloc();
		if (!page)
			return cache->count >= PAGES_MIN ? 0 : -ENOMEM;
		cache->object[cache->count++] = page;
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

	BUILD_BUG_ON(2 * PAGES_MIN > UMBRA_MMU_CACHE);
	BUILD_BUG_ON(RMAPS_MIN > UMBRA_MMU_CACHE);
	return topup_pages(&mmu->pages, &vcpu->vm->arch.mmu) ?:
	       (umbra_mmu_is_nested(vcpu->vm) ? 0 : topup_copies(&mmu->copies)) ?:
	       topup_rmaps(&mmu->rmaps);
}

/**
 * umbra_mmu_topped_up() - can a leaf and its neighbours be mapped without topping up?
 * @vcpu: the vCPU
 *
 * Return: true if so.
 */
bool umbra_mmu_topped_up(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.mmu.rmaps.count >= RMAPS_MIN;
}

/**
 * umbra_mmu_free_caches() - undo umbra_mmu_topup()
 * @vcpu: a vCPU that does not run any more
 */
void umbra_mmu_free_caches(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	while (mmu->pages.count)
		unit_free(mmu->pages.object[--mmu->pages.count]);
	while (mmu->rmaps.count)
		kmem_cache_free(rmap_cache, mmu->rmaps.object[--mmu->rmaps.count]);
	while (mmu->copies.count)
		umbra_free_page(mmu->copies.object[--mmu->copies.count]);
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
	if (!role.direct)
		page->guest = mmu->copies.object[--mmu->copies.count];
	return page;
}

/* Back to the state in which it came from unit_alloc(); its table is empty. */
static void unit_clear(struct umbra_mmu_page *page)
{
	u64 *table = page->table;
	hpa_t hpa = page->hpa;

	memset(page, 0, sizeof(*page));
	page->table = table;
	page->hpa = hpa;
}

/**
 * umbra_page_discard() - undo umbra_page_alloc() for a page that was not used
 * @vcpu: the same vCPU
 * @page: the page, direct
 */
void umbra_page_discard(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	unit_clear(page);
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

/* No CPU can know of it any more; its table is empty. */
static void page_free(struct umbra_mmu_vm *mmu, struct umbra_mmu_page *page)
{
	umbra_free_page(page->guest);
	if (mmu->nr_spare >= SPARE_MAX) {
		unit_free(page);
		return;
	}
	unit_clear(page);
	spin_lock(&mmu->pages_lock);
	list_add(&page->link, &mmu->spare);
	mmu->nr_spare++;
	spin_unlock(&mmu->pages_lock);
}

static void free_zapped(struct umbra_mmu_vm *mmu)
{
	struct umbra_mmu_page *page, *next;

	list_for_each_entry_safe(page, next, &mmu->zapped, link)
		page_free(mmu, page);
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
	__clear_bit(index, page->present);
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
	WRITE_ONCE(vm->arch.mmu.link_drops, vm->arch.mmu.link_drops + 1);
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

	if (umbra_mmu_is_nested(vm)) {
		for (i = 0; i < UMBRA_ENTRIES; i++)
			umbra_entry_drop(vm, page, i);
	} else {
		for_each_set_bit(i, page->present, UMBRA_ENTRIES)
			umbra_entry_drop(vm, page, i);
	}
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
	umbra_loose_end(vm, page);
	/* Read without a lock by vCPUs that hold it as a root. */
	WRITE_ONCE(page->invalid, true);
	if (!page->roots)
		queue_free(mmu, page);
	else
		mmu->nr_held++;
	if (!atomic_read(&page->active) && (!page->roots || mmu->nr_held % HELD_MAX))
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
	if (--page->roots || !page->invalid)
		return;
	vm->arch.mmu.nr_held--;
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
	if (unlikely(vm->arch.mmu.nr_zapped >= UMBRA_ZAPPED_MAX))
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
	struct umbra_mmu_page *page;

	zap_everything(vm);
	free_zapped(mmu);
	if (mmu->root) {
		list_del(&mmu->root->link);
		page_free(mmu, mmu->root);
		mmu->root = NULL;
	}
	while ((page = take_spare(mmu)))
		unit_free(page);
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
