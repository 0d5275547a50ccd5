// SPDX-License-Identifier: GPL-2.0-only
/* What the host does to the monitor's memory, and what a dirty log asks for. */
#include "internal.h"

/* Guest frames first to last (not included) that a range of the monitor backs. */
static bool slot_range(const struct umbra_slot *slot, unsigned long start, unsigned long end,
		       gfn_t *first, gfn_t *last)
{
	unsigned long slot_end = slot->hva + (slot->pages << PAGE_SHIFT);

	start = max(start, slot->hva);
	end = min(end, slot_end);
	if (start >= end)
		return false;
	*first = slot->base + ((start - slot->hva) >> PAGE_SHIFT);
	*last = slot->base + ((end - slot->hva + PAGE_SIZE - 1) >> PAGE_SHIFT);
	return true;
}

/* First gfn of the next page of this size. */
static gfn_t next_page(gfn_t gfn, int level)
{
	unsigned long pages = umbra_level_pages(level);

	return (gfn & ~(pages - 1)) + pages;
}

/* Calls @one for each page, of each size, in a range. Returns whether one of them was true. */
static bool each_page(struct umbra_vm *vm, unsigned long start, unsigned long end,
		      bool (*one)(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn,
				  int level))
{
	const struct umbra_slots *slots = vm->slots;
	gfn_t first, last, gfn;
	bool any = false;
	unsigned int i;
	int level;

	for (i = 0; i < slots->count; i++) {
		struct umbra_slot *slot = slots->slot[i];

		if (!slot_range(slot, start, end, &first, &last))
			continue;
		for (level = 1; level <= UMBRA_SLOT_LEVELS; level++)
			for (gfn = first; gfn < last; gfn = next_page(gfn, level))
				any |= one(vm, slot, gfn, level);
	}
	return any;
}

/*
 * Contents may be about to change without the guest's doing, as when a hole is
 * punched: shadows of tables in there would not notice.
 */
static void zap_tables(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t first, gfn_t last)
{
	struct umbra_mmu_page *page, *next;
	gfn_t gfn;

	for (gfn = first; gfn < last; ) {
		if (!umbra_slot_has_tables(slot, gfn)) {
			gfn = next_page(gfn, 2);
			continue;
		}
		for (page = umbra_first_shadow(vm, gfn); page; page = next) {
			next = umbra_next_shadow(page);
			umbra_page_zap(vm, page);
		}
		gfn++;
	}
}

/**
 * umbra_mmu_zap_hva() - the host takes back a range of the monitor's memory
 * @vm: the VM; mmu_lock is held for writing
 * @start: first address
 * @end: the one after the last
 *
 * When it returns, no vCPU can reach the pages any more.
 *
 * Return: true if something was mapped.
 */
bool umbra_mmu_zap_hva(struct umbra_vm *vm, unsigned long start, unsigned long end)
{
	bool any = each_page(vm, start, end, umbra_rmap_zap);
	const struct umbra_slots *slots = vm->slots;
	gfn_t first, last;
	unsigned int i;

	for (i = 0; i < slots->count && !umbra_mmu_is_nested(vm); i++) {
		if (slot_range(slots->slot[i], start, end, &first, &last))
			zap_tables(vm, slots->slot[i], first, last);
	}
	if (any)
		umbra_mmu_count(vm, NOTIFIER_ZAPS);
	/* Also for what was dropped earlier and may linger in a TLB. */
	if (vm->arch.mmu.tlb_stale)
		umbra_mmu_flush(vm);
	return any;
}

/**
 * umbra_mmu_tables_written() - the monitor has written to guest memory by itself
 * @vm: the VM; mmu_lock is not held
 * @slot: the slot
 * @first: the first gfn, of the slot
 * @last: the one after the last
 *
 * What was made from tables in there is dropped. TLBs are not flushed: the guest
 * does so before it relies on what a device has written.
 */
void umbra_mmu_tables_written(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t first,
			      gfn_t last)
{
	if (umbra_mmu_is_nested(vm))
		return;
	write_lock(&vm->mmu_lock);
	zap_tables(vm, slot, first, last);
	umbra_pages_settle(vm);
	write_unlock(&vm->mmu_lock);
}

/* Has one of the leaves been used? Clears accessed bits if asked to. */
static bool leaves_young(struct umbra_vm *vm, const struct umbra_rmap *rmap, bool clear)
{
	const u64 accessed = vm->arch.mmu.host.format->accessed;
	struct umbra_rmap_iter iter;
	bool any = false;
	u64 *entryp;

	for (entryp = umbra_rmap_start(rmap, &iter); entryp; entryp = umbra_rmap_next(&iter)) {
		if (!(READ_ONCE(*entryp) & accessed))
			continue;
		any = true;
		if (clear)
			clear_bit(__ffs64(accessed), (unsigned long *)entryp);
	}
	return any;
}

/*
 * Without accessed bits a page is young while it is mapped; looking at it takes
 * it away, to be mapped again when it is used.
 */
static bool page_young(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn, int level)
{
	const struct umbra_rmap *rmap = umbra_slot_rmap(slot, gfn, level);

	return vm->arch.mmu.no_accessed ? rmap->value : leaves_young(vm, rmap, false);
}

static bool page_age(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn, int level)
{
	if (vm->arch.mmu.no_accessed)
		return umbra_rmap_zap(vm, slot, gfn, level);
	return leaves_young(vm, umbra_slot_rmap(slot, gfn, level), true);
}

/**
 * umbra_mmu_age_hva() - has a range been accessed since this was last asked?
 * @vm: the VM; mmu_lock is held for writing
 * @start: first address
 * @end: the one after the last
 *
 * A CPU with the translation in its TLB does not set the bit again; that the
 * page then looks older than it is does no harm, so TLBs are not flushed.
 *
 * Return: true if so.
 */
bool umbra_mmu_age_hva(struct umbra_vm *vm, unsigned long start, unsigned long end)
{
	return each_page(vm, start, end, page_age);
}

/**
 * umbra_mmu_test_age_hva() - the same, and nothing is changed
 * @vm: the VM; mmu_lock is held for writing
 * @start: first address
 * @end: the one after the last
 *
 * Return: true if so.
 */
bool umbra_mmu_test_age_hva(struct umbra_vm *vm, unsigned long start, unsigned long end)
{
	return each_page(vm, start, end, page_young);
}

/* The CPU notes the next write to a page. Leaves of slots with a dirty log are small. */
static void clean_leaf(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn)
{
	const u64 dirty = vm->arch.mmu.host.format->dirty;
	struct umbra_rmap_iter iter;
	u64 *entryp;

	entryp = umbra_rmap_start(umbra_slot_rmap(slot, gfn, 1), &iter);
	if (!entryp || !(READ_ONCE(*entryp) & dirty))
		return;
	clear_bit(__ffs64(dirty), (unsigned long *)entryp);
	vm->arch.mmu.tlb_stale = true;
}

/**
 * umbra_mmu_watch_slot() - the next write to each page of a slot gets into its dirty log
 * @vm: the VM; mmu_lock is held for writing
 * @slot: the slot
 *
 * By a fault, or by the CPU itself: with nested paging each page has one leaf.
 */
void umbra_mmu_watch_slot(struct umbra_vm *vm, struct umbra_slot *slot)
{
	gfn_t gfn;

	for (gfn = slot->base; gfn < slot->base + slot->pages; gfn++) {
		if (vm->arch.mmu.logs)
			clean_leaf(vm, slot, gfn);
		else
			umbra_rmap_write_protect(vm, slot, gfn);
	}
	if (vm->arch.mmu.tlb_stale)
		umbra_mmu_flush(vm);
}
