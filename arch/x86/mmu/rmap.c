// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reverse maps: from a page of a slot to the leaves that map it, and from a
 * table page to the entries that point to it.
 *
 * mmu_lock is held for writing, but for nested leaves, see nested.c.
 */
#include "internal.h"

#define RMAP_LIST	1UL

static struct umbra_rmap_list *rmap_list(const struct umbra_rmap *rmap)
{
	return (void *)(rmap->value & ~RMAP_LIST);
}

/**
 * umbra_rmap_add() - note an entry
 * @vcpu: whose caches have been topped up
 * @rmap: of the page that the entry points to
 * @entryp: the entry
 */
void umbra_rmap_add(struct umbra_vcpu *vcpu, struct umbra_rmap *rmap, u64 *entryp)
{
	struct umbra_rmap_list *list, *first;

	if (!rmap->value) {
		WRITE_ONCE(rmap->value, (unsigned long)entryp);
		return;
	}
	if (!(rmap->value & RMAP_LIST)) {
		first = umbra_rmap_list_alloc(vcpu);
		first->next = NULL;
		first->depth = 1;
		first->count = 1;
		first->entry[0] = (u64 *)rmap->value;
		rmap->value = (unsigned long)first | RMAP_LIST;
		umbra_mmu_count(vcpu, RMAP_LISTS);
	}
	first = rmap_list(rmap);
	if (first->count == ARRAY_SIZE(first->entry)) {
		list = umbra_rmap_list_alloc(vcpu);
		list->next = first;
		list->depth = first->depth + 1;
		list->count = 0;
		rmap->value = (unsigned long)list | RMAP_LIST;
		first = list;
	}
	first->entry[first->count++] = entryp;
}

/* Takes the last entry of the first piece away; it was copied elsewhere, or is to go. */
static u64 *pop_last(struct umbra_rmap *rmap)
{
	struct umbra_rmap_list *first = rmap_list(rmap);
	u64 *entryp = first->entry[--first->count];

	if (first->count)
		return entryp;
	rmap->value = first->next ? (unsigned long)first->next | RMAP_LIST : 0;
	umbra_rmap_list_free(first);
	return entryp;
}

/**
 * umbra_rmap_remove() - forget an entry
 * @rmap: where it was added
 * @entryp: the entry
 */
void umbra_rmap_remove(struct umbra_rmap *rmap, u64 *entryp)
{
	struct umbra_rmap_list *list;
	unsigned int i;

	if (!(rmap->value & RMAP_LIST)) {
		if (rmap->value == (unsigned long)entryp)
			WRITE_ONCE(rmap->value, 0);
		return;
	}
	for (list = rmap_list(rmap); list; list = list->next) {
		for (i = 0; i < list->count; i++) {
			if (list->entry[i] != entryp)
				continue;
			list->entry[i] = rmap_list(rmap)->entry[rmap_list(rmap)->count - 1];
			pop_last(rmap);
			return;
		}
	}
}

/**
 * umbra_rmap_first() - any entry
 * @rmap: the reverse map
 *
 * Return: the entry that is the cheapest to remove, NULL if there is none.
 */
u64 *umbra_rmap_first(const struct umbra_rmap *rmap)
{
	if (!(rmap->value & RMAP_LIST))
		return (u64 *)rmap->value;
	return rmap_list(rmap)->entry[0];
}

/**
 * umbra_rmap_depth() - how long is the list?
 * @rmap: the reverse map
 *
 * Return: the number of pieces.
 */
unsigned int umbra_rmap_depth(const struct umbra_rmap *rmap)
{
	return rmap->value & RMAP_LIST ? rmap_list(rmap)->depth : 0;
}

/**
 * umbra_rmap_start() - begin to visit the entries
 * @rmap: the reverse map
 * @iter: the position
 *
 * Return: the first entry, NULL if there is none.
 */
u64 *umbra_rmap_start(const struct umbra_rmap *rmap, struct umbra_rmap_iter *iter)
{
	iter->index = 0;
	if (!(rmap->value & RMAP_LIST)) {
		iter->list = NULL;
		return (u64 *)rmap->value;
	}
	iter->list = rmap_list(rmap);
	return iter->list->entry[0];
}

/**
 * umbra_rmap_next() - go on visiting
 * @iter: the position
 *
 * Return: the next entry, NULL if there is none.
 */
u64 *umbra_rmap_next(struct umbra_rmap_iter *iter)
{
	if (!iter->list)
		return NULL;
	if (++iter->index == iter->list->count) {
		iter->list = iter->list->next;
		iter->index = 0;
		if (!iter->list)
			return NULL;
	}
	return iter->list->entry[iter->index];
}

/**
 * umbra_slot_rmap() - the reverse map of a page of a slot
 * @slot: the slot
 * @gfn: guest frame number in it
 * @level: size of the page as the level of a leaf, 1 to UMBRA_SLOT_LEVELS
 *
 * Return: the reverse map.
 */
struct umbra_rmap *umbra_slot_rmap(const struct umbra_slot *slot, gfn_t gfn, int level)
{
	unsigned int shift = 9 * (level - 1);

	return &slot->mmu.rmap[level - 1][(gfn >> shift) - (slot->base >> shift)];
}

/**
 * umbra_rmap_zap() - drop every leaf of one size that maps a page
 * @vm: the VM
 * @slot: the slot
 * @gfn: guest frame number in it
 * @level: size of the page
 *
 * TLBs are not flushed.
 *
 * Return: true if there was one.
 */
bool umbra_rmap_zap(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn, int level)
{
	struct umbra_rmap *rmap = umbra_slot_rmap(slot, gfn, level);
	bool any = false;
	u64 *entryp;

	while ((entryp = umbra_rmap_first(rmap))) {
		umbra_entry_drop(vm, umbra_entry_page(entryp), umbra_entry_index(entryp));
		any = true;
	}
	return any;
}

/**
 * umbra_rmap_write_protect() - make every leaf that maps a page read-only
 * @vm: the VM
 * @slot: the slot
 * @gfn: guest frame number in it
 *
 * Large leaves are dropped; a fault maps the other pages they held in small.
 * TLBs are not flushed, but marked stale.
 *
 * Return: true if there was a writable one.
 */
bool umbra_rmap_write_protect(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn)
{
	const u64 writable = vm->arch.mmu.host.format->writable;
	struct umbra_rmap_iter iter;
	bool any = false;
	u64 *entryp;
	int level;

	for (entryp = umbra_rmap_start(umbra_slot_rmap(slot, gfn, 1), &iter); entryp;
	     entryp = umbra_rmap_next(&iter)) {
		/* The CPU may set accessed and dirty bits at the same time. */
		if (READ_ONCE(*entryp) & writable) {
			clear_bit(__ffs64(writable), (unsigned long *)entryp);
			any = true;
		}
	}
	for (level = 2; level <= UMBRA_SLOT_LEVELS; level++)
		any |= umbra_rmap_zap(vm, slot, gfn, level);
	if (any)
		vm->arch.mmu.tlb_stale = true;
	return any;
}
