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
				any |= umbra_rmap_zap(vm, slot, gfn, level);
		if (!umbra_mmu_is_nested(vm))
			zap_tables(vm, slot, first, last);
	}
	if (any)
		umbra_mmu_count(vm, NOTIFIER_ZAPS);
	/* Also for what was dropped earlier and may linger in a TLB. */
	if (vm->arch.mmu.tlb_stale)
		umbra_mmu_flush(vm);
	return any;
}

/* Has one of the leaves been used? Clears accessed bits if asked to. */
static bool page_young(struct umbra_vm *vm, struct umbra_rmap *rmap, bool clear)
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
static bool young_by_mapping(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn, int level,
			     bool clear)
{
	if (clear)
		return umbra_rmap_zap(vm, slot, gfn, level);
	return umbra_slot_rmap(slot, gfn, level)->value;
}

static bool young(struct umbra_vm *vm, unsigned long start, unsigned long end, bool clear)
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
				any |= vm->arch.mmu.no_accessed ?
				       young_by_mapping(vm, slot, gfn, level, clear) :
				       page_young(vm, umbra_slot_rmap(slot, gfn, level), clear);
	}
	return any;
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
	return young(vm, start, end, true);
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
	return young(vm, start, end, false);
}

/**
 * umbra_mmu_write_protect_slot() - the next write to each page of a slot faults
 * @vm: the VM; mmu_lock is held for writing
 * @slot: the slot
 */
void umbra_mmu_write_protect_slot(struct umbra_vm *vm, struct umbra_slot *slot)
{
	gfn_t gfn;

	for (gfn = slot->base; gfn < slot->base + slot->pages; gfn++)
		umbra_rmap_write_protect(vm, slot, gfn);
	if (vm->arch.mmu.tlb_stale)
		umbra_mmu_flush(vm);
}

/**
 * umbra_mmu_write_protect_gfns() - the same for some pages
 * @vm: the VM; mmu_lock is held for writing
 * @slot: the slot
 * @gfn: the page that bit 0 of @mask stands for
 * @mask: which pages
 *
 * The caller flushes with umbra_mmu_flush().
 */
void umbra_mmu_write_protect_gfns(struct umbra_vm *vm, struct umbra_slot *slot, u64 gfn, u64 mask)
{
	for (; mask; mask &= mask - 1) {
		gfn_t one = gfn + __ffs64(mask);

		if (one - slot->base < slot->pages)
			umbra_rmap_write_protect(vm, slot, one);
	}
}
