// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow tables and the guest's: how writes of the guest find their way.
 *
 * A guest's table that is shadowed is write-protected: a write to it faults, is
 * executed in software, and the entries made from what was overwritten are
 * dropped. A table that is only shadowed at level 1 may instead be made
 * writable and becomes unsync: what the guest writes is noticed when it
 * invalidates the translation, as on a CPU with a TLB. All shadow pages of a
 * gfn are unsync, or none is.
 *
 * mmu_lock is held for writing unless said otherwise.
 */
#include <linux/moduleparam.h>
#include "internal.h"

static bool shadow_unsync = true;
module_param(shadow_unsync, bool, 0644);
MODULE_PARM_DESC(shadow_unsync, "shadow paging: let the guest write its level 1 tables");

/* A table that is written so often without being used is no table any more. */
#define WRITE_FLOOD	4

/**
 * umbra_shadow_unsync_new() - are level 1 pages unsync from the beginning?
 *
 * Return: true if the guest may write its level 1 tables.
 */
bool umbra_shadow_unsync_new(void)
{
	return READ_ONCE(shadow_unsync);
}

/* Where in the guest's table the entry is that ours at @index was made from. */
static unsigned int guest_index(const struct umbra_mmu_page *page, unsigned int index)
{
	if (page->role.format != UMBRA_FORMAT_32BIT)
		return index;
	if (page->role.level == 1)
		return page->role.quadrant * 512 + index;
	return page->role.quadrant * 256 + index / 2;
}

/* The first of our entries that was made from the guest's at @theirs or behind it. */
static unsigned int own_index(const struct umbra_mmu_page *page, unsigned int theirs)
{
	unsigned int begins = guest_index(page, 0);

	if (theirs <= begins)
		return 0;
	/* A 32-bit entry above level 1 maps what two of ours do. */
	if (page->role.format == UMBRA_FORMAT_32BIT && page->role.level > 1)
		return (theirs - begins) * 2;
	return theirs - begins;
}

/**
 * umbra_guest_entries() - read entries of the guest's table
 * @vm: the VM
 * @slot: the slot that holds it, may be NULL
 * @page: the page that shadows it, not direct
 * @first: index of our first entry
 * @count: how many; one, or all at level 1
 * @entry: the result
 *
 * Does not sleep.
 *
 * Return: false if the host has the memory elsewhere just now.
 */
bool umbra_guest_entries(struct umbra_vm *vm, const struct umbra_slot *slot,
			 const struct umbra_mmu_page *page, unsigned int first,
			 unsigned int count, u64 *entry)
{
	unsigned int i, size = umbra_formats[page->role.format].entry_size;
	unsigned long hva;
	bool ok = false;

	if (page->mem && size == sizeof(u64)) {
		for (i = 0; i < count; i++)
			entry[i] = READ_ONCE(page->mem[first + i]);
		return true;
	}
	if (!slot)
		return false;
	hva = umbra_slot_hva(slot, page->gfn) + guest_index(page, first) * size;
	if (umbra_host_busy(vm, hva))
		return false;
	pagefault_disable();
	if (!user_read_access_begin((void __user *)hva, count * size))
		goto out;
	if (size == sizeof(u64)) {
		for (i = 0; i < count; i++)
			unsafe_get_user(entry[i], (u64 __user *)hva + i, fault);
	} else {
		for (i = 0; i < count; i++) {
			u32 entry32;

			unsafe_get_user(entry32, (u32 __user *)hva + i, fault);
			entry[i] = entry32;
		}
	}
	ok = true;
fault:
	user_read_access_end();
out:
	pagefault_enable();
	return ok;
}

/* Passes on to all tables above that there is something unsync below. */
static void mark_parents(struct umbra_mmu_page *page)
{
	struct umbra_rmap_iter iter;
	u64 *entryp;

	for (entryp = umbra_rmap_start(&page->parents, &iter); entryp;
	     entryp = umbra_rmap_next(&iter)) {
		struct umbra_mmu_page *parent = umbra_entry_page(entryp);

		if (__test_and_set_bit(umbra_entry_index(entryp), parent->unsync_map))
			continue;
		/* One level up at each step, five at most. */
		WRITE_ONCE(parent->unsync_children, parent->unsync_children + 1);
		if (parent->unsync_children == 1)
			mark_parents(parent);
	}
}

/**
 * umbra_unsync_inherit() - a page has been linked
 * @child: the page
 * @parent: the entry that points to it
 */
void umbra_unsync_inherit(struct umbra_mmu_page *child, u64 *parent)
{
	struct umbra_mmu_page *page = umbra_entry_page(parent);

	if (!child->unsync && !child->unsync_children)
		return;
	if (__test_and_set_bit(umbra_entry_index(parent), page->unsync_map))
		return;
	WRITE_ONCE(page->unsync_children, page->unsync_children + 1);
	if (page->unsync_children == 1)
		mark_parents(page);
}

static bool is_orphan(const struct umbra_mmu_page *page)
{
	return !page->parents.value && !atomic_read(&page->active);
}

/**
 * umbra_gfn_make_writable() - may a leaf for a gfn be writable?
 * @vcpu: the vCPU
 * @gfn: guest frame number
 * @may_unsync: a write is under way; shadows of the gfn may be made unsync, and
 *	those that nothing points to be zapped
 *
 * The leaf is written after this: whoever sees what the guest writes through it
 * sees the unsync marks as well.
 *
 * Return: false if the gfn holds a table whose shadow must follow each write.
 */
bool umbra_gfn_make_writable(struct umbra_vcpu *vcpu, gfn_t gfn, bool may_unsync)
{
	const struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gfn);
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_mmu_page *page, *next;
	bool any = false;

	if (slot && !umbra_slot_has_tables(slot, gfn))
		return true;
	for (page = umbra_first_shadow(vm, gfn); page; page = umbra_next_shadow(page)) {
		if (page->unsync || page->loose)
			continue;
		if (!may_unsync)
			return false;
		any = true;
		if (is_orphan(page))
			continue;
		if (page->role.level > 1 || !READ_ONCE(shadow_unsync))
			return false;
	}
	if (!any)
		return true;

	for (page = umbra_first_shadow(vm, gfn); page; page = next) {
		next = umbra_next_shadow(page);
		if (is_orphan(page)) {
			umbra_page_zap(vm, page);
			continue;
		}
		if (page->unsync || page->loose)
			continue;
		page->unsync = true;
		page->idle = 0;
		mark_parents(page);
		umbra_mmu_count(vcpu, UNSYNCS);
	}
	/* Pairs with the order of a guest's own accesses: marks first, then the leaf. */
	smp_wmb();
	return true;
}

/*
 * Makes an entry agree with the guest's. What the guest allows now and did not
 * before is left to a fault. Returns false if it agreed.
 */
static bool sync_entry(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page, unsigned int index,
		       u64 guest)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;
	const struct umbra_format *f = paging->format;
	struct umbra_vm *vm = vcpu->vm;
	u64 old = page->table[index], leaf;
	unsigned int acc, key;

	if (!umbra_entry_present(vm, old) || guest == page->guest[index])
		return false;
	umbra_mmu_count(vcpu, SYNC_ENTRIES);

	/* A page from another paging mode, or one where leaves are not what the guest says. */
	if (!f || page->role.format != paging->id || !page->role.wp ||
	    page->role.nxe != !!(paging->flags & UMBRA_PAGING_NX))
		goto drop;
	if (!(guest & f->present) || !(guest & f->accessed) ||
	    umbra_reserved_bits(paging, 1, guest, true) ||
	    umbra_leaf_address(f, 1, guest) != umbra_leaf_address(f, 1, page->guest[index]))
		goto drop;

	acc = page->role.access & umbra_entry_acc(f, guest);
	if (!(guest & f->dirty) || !(old & _PAGE_RW))
		acc &= ~UMBRA_ACC_WRITE;
	key = f->key_shift ? (guest >> f->key_shift) & 15 : 0;
	leaf = umbra_make_leaf(vm, umbra_entry_pfn(old), 1, acc, key);
	page->guest[index] = guest;
	/* TLBs may hold what it allowed before until they are flushed. */
	if (xchg(&page->table[index], leaf) != leaf)
		vm->arch.mmu.tlb_stale = true;
	return true;

drop:
	umbra_entry_drop(vm, page, index);
	return true;
}

/* As many entries compared in vain cost about what it takes to become unsync again. */
#define IDLE_MAX	512
/* What it costs to get to a page, in entries compared. */
#define VISIT_COST	64

/* Without a mapping of the kernel's: sixteen entries at a time. */
static void sync_copied(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page)
{
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, page->gfn);
	struct umbra_vm *vm = vcpu->vm;
	unsigned int first, i;
	u64 guest[16];

	for (first = 0; first < UMBRA_ENTRIES; first += ARRAY_SIZE(guest)) {
		if (find_next_bit(page->present, first + ARRAY_SIZE(guest), first) >=
		    first + ARRAY_SIZE(guest))
			continue;
		if (umbra_guest_entries(vm, slot, page, first, ARRAY_SIZE(guest), guest)) {
			for (i = 0; i < ARRAY_SIZE(guest); i++)
				sync_entry(vcpu, page, first + i, guest[i]);
			continue;
		}
		for (i = 0; i < ARRAY_SIZE(guest); i++)
			umbra_entry_drop(vm, page, first + i);
	}
}

/*
 * Reads the guest's table again, which may change at the same time: what it held
 * before the guest's flush is what must be seen. Returns how many entries were
 * compared if none had changed, else 0.
 */
static unsigned int sync_page(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page)
{
	unsigned int word, n = 0;
	bool changed = false;

	umbra_mmu_count(vcpu, SYNCS);
	if (!page->mem || page->role.format == UMBRA_FORMAT_32BIT) {
		sync_copied(vcpu, page);
		return VISIT_COST;
	}
	for (word = 0; word < BITS_TO_LONGS(UMBRA_ENTRIES); word++) {
		unsigned long bits = page->present[word];

		for (; bits; bits &= bits - 1, n++) {
			unsigned int index = word * BITS_PER_LONG + __ffs(bits);
			u64 guest = READ_ONCE(page->mem[index]);

			if (likely(guest == page->guest[index]))
				continue;
			sync_entry(vcpu, page, index, guest);
			changed = true;
		}
	}
	return changed ? 0 : n + VISIT_COST;
}

/* The unsync shadows of a gfn become as the guest's table is, and stay so. */
static void settle_shadows(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	struct umbra_mmu_page *page;

	for (page = umbra_first_shadow(vcpu->vm, gfn); page; page = umbra_next_shadow(page)) {
		if (!page->unsync)
			continue;
		sync_page(vcpu, page);
		/* Marks above are taken away when they are next followed. */
		page->unsync = false;
	}
}

/* No CPU writes to the gfn any more without a fault, once TLBs are flushed. */
static void protect(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gfn);

	if (slot)
		umbra_rmap_write_protect(vcpu->vm, slot, gfn);
}

/**
 * umbra_sync_gfn() - make the shadows of a gfn agree with the guest's table
 * @vcpu: the vCPU
 * @gfn: guest frame number
 *
 * They are not unsync any more.
 */
void umbra_sync_gfn(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	protect(vcpu, gfn);
	if (vcpu->vm->arch.mmu.tlb_stale)
		umbra_mmu_flush(vcpu->vm);
	settle_shadows(vcpu, gfn);
}

static void entries_written(struct umbra_vm *vm, const struct umbra_slot *slot,
			    struct umbra_mmu_page *page, unsigned int offset, unsigned int len);

/**
 * umbra_sync_page() - make one page agree with the guest's table
 * @vcpu: the vCPU
 * @page: the page, unsync or loose; it stays so
 */
void umbra_sync_page(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page)
{
	if (unlikely(page->loose))
		entries_written(vcpu->vm, umbra_vcpu_slot(vcpu, page->gfn), page, 0, PAGE_SIZE);
	else
		sync_page(vcpu, page);
}

static void sync_below(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page,
		       struct list_head *idle);

/*
 * Makes what an entry leads to agree with the guest's tables. Returns false if
 * nothing there is unsync any more.
 */
static bool sync_child(struct umbra_vcpu *vcpu, const struct umbra_mmu_page *page,
		       unsigned int index, struct list_head *idle)
{
	u64 entry = page->table[index];
	struct umbra_mmu_page *child;
	unsigned int n;

	if (!(entry & _PAGE_PRESENT) || umbra_entry_leaf(page->role.level, entry))
		return false;
	child = umbra_entry_child(entry);
	if (child->unsync) {
		n = sync_page(vcpu, child);
		child->idle = n ? child->idle + n : 0;
		if (child->idle >= IDLE_MAX && list_empty(&child->sync_link))
			list_add_tail(&child->sync_link, idle);
		return true;
	}
	if (child->unsync_children)
		sync_below(vcpu, child, idle);
	return child->unsync_children;
}

/*
 * Makes all unsync pages below agree with the guest's tables. Those that have
 * not been written to for long are put into the list.
 */
static void sync_below(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page,
		       struct list_head *idle)
{
	unsigned int word, index, left = page->unsync_children;

	for (word = 0; left; word++) {
		unsigned long bits = page->unsync_map[word];

		for (; bits; bits &= bits - 1, left--) {
			index = word * BITS_PER_LONG + __ffs(bits);
			if (sync_child(vcpu, page, index, idle))
				continue;
			/* Who finds no mark, without the lock, finds tables that are up to date. */
			smp_wmb();
			__clear_bit(index, page->unsync_map);
			WRITE_ONCE(page->unsync_children, page->unsync_children - 1);
		}
	}
}

/**
 * umbra_sync_root() - make all that a root leads to agree with the guest's tables
 * @vcpu: the vCPU
 * @root: the root page
 *
 * The guest has loaded CR3, or flushed its TLB in another way; or the page is
 * about to be linked again. Pages stay unsync as long as the guest goes on
 * writing to them; the others are write-protected.
 */
void umbra_sync_root(struct umbra_vcpu *vcpu, struct umbra_mmu_page *root)
{
	struct umbra_mmu_page *page, *next;
	LIST_HEAD(idle);

	sync_below(vcpu, root, &idle);
	if (list_empty(&idle))
		return;
	list_for_each_entry(page, &idle, sync_link)
		protect(vcpu, page->gfn);
	/* Once for all of them, and before any is read. */
	if (vcpu->vm->arch.mmu.tlb_stale)
		umbra_mmu_flush(vcpu->vm);
	list_for_each_entry_safe(page, next, &idle, sync_link) {
		list_del_init(&page->sync_link);
		settle_shadows(vcpu, page->gfn);
		umbra_mmu_count(vcpu, PROTECTS);
	}
}

/**
 * umbra_fast_sync_root() - the same, where that takes no flush of other vCPUs
 * @vcpu: the vCPU; interrupts off, mmu_lock is not held
 * @root: the root page
 *
 * Return: false if umbra_sync_root() has to be called instead.
 */
bool umbra_fast_sync_root(struct umbra_vcpu *vcpu, struct umbra_mmu_page *root)
{
	struct umbra_mmu_page *page, *next;
	struct umbra_vm *vm = vcpu->vm;
	bool done = true;
	LIST_HEAD(idle);

	if (!umbra_fast_lock(vm))
		return false;
	sync_below(vcpu, root, &idle);
	list_for_each_entry_safe(page, next, &idle, sync_link) {
		list_del_init(&page->sync_link);
		done = false;
	}
	write_unlock(&vm->mmu_lock);
	return done;
}

/* Does the guest's entry allow writes by now that ours does not? */
static bool more_rights(const struct umbra_vcpu *vcpu, u64 entry, u64 guest)
{
	const struct umbra_format *f = vcpu->arch.mmu.paging.format;

	return f && !(entry & _PAGE_RW) && (guest & f->writable) && (guest & f->dirty);
}

static void invalidate(struct umbra_vcpu *vcpu, u64 gva, bool prefetch)
{
	struct umbra_mmu_page *page = umbra_root_page(vcpu->arch.mmu.root, gva);
	struct umbra_vm *vm = vcpu->vm;
	unsigned int index;
	u64 entry, guest;

	if (!page)
		return;
	for (;;) {
		index = umbra_own_index(page->role.level, gva);
		entry = page->table[index];
		if (page->role.level == 1)
			break;
		if (!(entry & _PAGE_PRESENT) || entry & _PAGE_PSE)
			return;
		page = umbra_entry_child(entry);
	}
	if (!page->unsync)
		return;
	if (!umbra_guest_entries(vm, umbra_vcpu_slot(vcpu, page->gfn), page, index, 1, &guest)) {
		umbra_entry_drop(vm, page, index);
		return;
	}
	if (entry & _PAGE_PRESENT) {
		if (guest == page->guest[index])
			return;
		sync_entry(vcpu, page, index, guest);
		page->idle = 0;
		/* A page that may be written to now is mapped anew. */
		if (prefetch && more_rights(vcpu, page->table[index], guest))
			umbra_entry_drop(vm, page, index);
	}
	if (prefetch)
		umbra_shadow_prefetch(vcpu, page, index, 1);
}

/**
 * umbra_shadow_invlpg() - the guest has invalidated a page
 * @vcpu: the vCPU, loaded; mmu_lock is not held
 * @gva: the address
 *
 * An unsync table stays so; only the entry is read again, and mapped at once,
 * since a guest that invalidates a page mostly uses it next.
 */
void umbra_shadow_invlpg(struct umbra_vcpu *vcpu, u64 gva)
{
	struct umbra_vm *vm = vcpu->vm;
	bool prefetch = !umbra_mmu_topup(vcpu);

	/* What tables of upper levels say may be cached for other addresses, too (4.10.4.1). */
	umbra_zap_loose(vm);
	write_lock(&vm->mmu_lock);
	if (umbra_shadow_root_valid(vcpu))
		invalidate(vcpu, gva, prefetch);
	write_unlock(&vm->mmu_lock);
	umbra_backend->flush_gva(vcpu, gva);
}

/**
 * umbra_shadow_fast_invlpg() - the same if that is easy
 * @vcpu: the vCPU, loaded; interrupts off
 * @gva: the address
 *
 * Return: false if nothing was done.
 */
bool umbra_shadow_fast_invlpg(struct umbra_vcpu *vcpu, u64 gva)
{
	struct umbra_vm *vm = vcpu->vm;

	if (umbra_mmu_has_loose(vm) || !umbra_mmu_topped_up(vcpu) || !umbra_fast_lock(vm))
		return false;
	umbra_mmu_count(vcpu, INVLPGS);
	if (umbra_shadow_root_valid(vcpu))
		invalidate(vcpu, gva, true);
	write_unlock(&vm->mmu_lock);
	umbra_backend->flush_gva(vcpu, gva);
	return true;
}

/* Has the guest's entry changed in more than accessed or dirty bits that were set? */
static bool entry_differs(const struct umbra_mmu_page *page, u64 old, u64 new)
{
	const struct umbra_format *f = &umbra_formats[page->role.format];

	return old != new && ((old ^ new) & ~(f->accessed | f->dirty) || old & ~new);
}

/* Drops what was made from entries in the bytes written. */
static void entries_written(struct umbra_vm *vm, const struct umbra_slot *slot,
			    struct umbra_mmu_page *page, unsigned int offset, unsigned int len)
{
	unsigned int size = umbra_formats[page->role.format].entry_size;
	/* Below 512 * 512 entries at most; each entry of the guest's may be two of ours. */
	unsigned int first = offset / size, last = (offset + len - 1) / size;
	unsigned int index;
	u64 guest;

	for (index = own_index(page, first); index < UMBRA_ENTRIES; index++) {
		if (guest_index(page, index) > last)
			break;
		if (!umbra_entry_present(vm, page->table[index]))
			continue;
		if (umbra_guest_entries(vm, slot, page, index, 1, &guest) &&
		    !entry_differs(page, page->guest[index], guest))
			continue;
		umbra_entry_drop(vm, page, index);
	}
}

/**
 * umbra_shadow_guest_write() - guest memory was written on the guest's behalf
 * @vcpu: the vCPU; mmu_lock is not held
 * @gpa: where
 * @len: bytes, not beyond the end of the page
 *
 * TLBs need not be flushed: the guest does so before it relies on it.
 */
void umbra_shadow_guest_write(struct umbra_vcpu *vcpu, u64 gpa, unsigned int len)
{
	gfn_t gfn = gpa >> PAGE_SHIFT;
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gfn);
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_mmu_page *page, *next;

	if (!slot || !len)
		return;
	/*
	 * The write comes before the look at the count; who shadows a table
	 * counts it before it reads the first entry.
	 */
	smp_mb();
	if (!umbra_slot_has_tables(slot, gfn))
		return;

	write_lock(&vm->mmu_lock);
	for (page = umbra_first_shadow(vm, gfn); page; page = next) {
		next = umbra_next_shadow(page);
		/* The guest could have written it itself: it will tell us to look. */
		if (page->unsync)
			continue;
		umbra_mmu_count(vcpu, GUEST_WRITES);
		if (!atomic_read(&page->active) && ++page->writes > WRITE_FLOOD) {
			umbra_mmu_count(vcpu, WRITE_FLOODS);
			umbra_page_zap(vm, page);
			continue;
		}
		entries_written(vm, slot, page, offset_in_page(gpa), len);
	}
	if (gfn == vcpu->arch.table_gpa >> PAGE_SHIFT)
		vcpu->arch.table_given_up = !umbra_first_shadow(vm, gfn);
	umbra_pages_settle(vm);
	write_unlock(&vm->mmu_lock);
}

/**
 * umbra_loose_end() - a page is not loose any more, as it is not used any more
 * @vm: the VM
 * @page: the page, which has been zapped
 */
void umbra_loose_end(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;

	if (likely(!page->loose))
		return;
	page->loose = false;
	list_del_init(&page->sync_link);
	/* Who finds none, without the lock, finds tables that are up to date. */
	smp_wmb();
	WRITE_ONCE(mmu->nr_loose, mmu->nr_loose - 1);
}

/**
 * umbra_zap_loose() - the guest flushes, so what it wrote to loose tables is to be seen
 * @vm: the VM; mmu_lock is not held
 */
void umbra_zap_loose(struct umbra_vm *vm)
{
	struct umbra_mmu_page *page, *next;

	/* Pairs with the order of a guest's own accesses, as with unsync marks. */
	if (likely(!umbra_mmu_has_loose(vm)))
		return;
	write_lock(&vm->mmu_lock);
	list_for_each_entry_safe(page, next, &vm->arch.mmu.loose, sync_link)
		umbra_page_zap(vm, page);
	umbra_pages_settle(vm);
	write_unlock(&vm->mmu_lock);
}

/* Stops shadowing the tables at a gfn: it is memory as any other then. */
static void give_up(struct umbra_vm *vm, gfn_t gfn)
{
	struct umbra_mmu_page *page, *next;

	for (page = umbra_first_shadow(vm, gfn); page; page = next) {
		next = umbra_next_shadow(page);
		umbra_page_zap(vm, page);
	}
}

/*
 * Goes on shadowing the tables at a gfn, but lets the guest write to it: like a CPU that
 * has cached what entries of upper levels say (SDM Vol. 3 4.10.3), which also need not
 * heed a change before a flush. The write finds all tables that it is translated by,
 * and nothing else is asked of what comes until then.
 */
static void loosen(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	struct umbra_mmu_vm *mmu = &vcpu->vm->arch.mmu;
	struct umbra_mmu_page *page;

	for (page = umbra_first_shadow(vcpu->vm, gfn); page; page = umbra_next_shadow(page)) {
		if (page->unsync || page->loose)
			continue;
		page->loose = true;
		list_add_tail(&page->sync_link, &mmu->loose);
		/* Before a leaf becomes writable, which the next fault makes. */
		WRITE_ONCE(mmu->nr_loose, mmu->nr_loose + 1);
		umbra_mmu_count(vcpu, LOOSENED);
	}
}

/* The table may be needed for the very instruction: then it comes back at once. */
#define UNPROTECT_MAX	4
/* Entries that one try takes, at most. */
#define UNPROTECT_NEAR	32

/**
 * umbra_shadow_unprotect() - see umbra_mmu_unprotect()
 * @vcpu: the vCPU; mmu_lock is not held
 * @gpa: guest-physical address of the write
 *
 * The table is given up. If that does not help, since it, or another one that is written
 * to in turn, translates the write itself, it becomes loose.
 */
void umbra_shadow_unprotect(struct umbra_vcpu *vcpu, u64 gpa)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	u64 entries = vcpu->arch.stat[UMBRA_STAT_ENTRIES];
	struct umbra_vm *vm = vcpu->vm;

	/* A loop comes here with other registers, and what is called again a good while later. */
	if (mmu->unprotected_rip != vcpu->arch.rip ||
	    memcmp(mmu->unprotected_gpr, vcpu->arch.gpr, sizeof(mmu->unprotected_gpr)) ||
	    entries - mmu->unprotected_at > UNPROTECT_NEAR) {
		mmu->unprotected_rip = vcpu->arch.rip;
		memcpy(mmu->unprotected_gpr, vcpu->arch.gpr, sizeof(mmu->unprotected_gpr));
		mmu->unprotected = 0;
	}
	mmu->unprotected_at = entries;

	write_lock(&vm->mmu_lock);
	if (mmu->unprotected < UNPROTECT_MAX) {
		mmu->unprotected++;
		give_up(vm, gpa >> PAGE_SHIFT);
	} else {
		loosen(vcpu, gpa >> PAGE_SHIFT);
	}
	umbra_pages_settle(vm);
	write_unlock(&vm->mmu_lock);
}
