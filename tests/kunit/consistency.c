// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that the MMU's structures say of each other, said twice and compared:
 * entries and reverse maps, links and parents, bitmaps and tables, hash and list,
 * counts. What one forgets the other still knows.
 */
#include "fixture.h"
#include "guest.h"
#include "internal.h"

static bool rmap_has(const struct umbra_rmap *rmap, const u64 *entryp)
{
	struct umbra_rmap_iter iter;
	unsigned int n = 0;
	u64 *e;

	for (e = umbra_rmap_start(rmap, &iter); e; e = umbra_rmap_next(&iter))
		n += e == entryp;
	return n == 1;
}

static const char *check_leaf(struct umbra_vm *vm, struct umbra_mmu_page *page, unsigned int i)
{
	const struct umbra_format *f = vm->arch.mmu.host.format;
	gfn_t gfn = umbra_entry_gfn(page, i);
	struct umbra_slot *slot = umbra_slot_find(vm, gfn);
	int level = page->role.level;
	struct umbra_mmu_page *shadow;
	u64 entry = page->table[i];

	if (!slot)
		return "a leaf for what is in no slot";
	if (!rmap_has(umbra_slot_rmap(slot, gfn, level), &page->table[i]))
		return "a leaf that is not once in its reverse map";
	if (!(entry & f->writable))
		return NULL;
	if (slot->flags & UMBRA_MEM_READONLY)
		return "a writable leaf in a read-only slot";
	if (level > 1 && slot->dirty)
		return "a large writable leaf in a slot with a dirty log";
	if (slot->dirty && !test_bit(gfn - slot->base, slot->dirty))
		return "a writable leaf of a page that is not in the dirty log";
	if (level > 1)
		return slot->mmu.tables[level - 2][(gfn >> (9 * (level - 1))) -
						   (slot->base >> (9 * (level - 1)))] ?
		       "a large writable leaf over a table that is shadowed" : NULL;
	for (shadow = umbra_first_shadow(vm, gfn); shadow; shadow = umbra_next_shadow(shadow))
		if (!shadow->unsync && !shadow->loose)
			return "a writable leaf for a table whose shadow is in sync";
	return NULL;
}

static const char *check_link(struct umbra_mmu_page *page, unsigned int i)
{
	struct umbra_mmu_page *child = umbra_entry_child(page->table[i]);

	if (!child)
		return "a link to what is no table page";
	if (child->invalid)
		return "a link to a table page that has been zapped";
	if (child->role.level != page->role.level - 1)
		return "a link to a table page of the wrong level";
	if (!rmap_has(&child->parents, &page->table[i]))
		return "a link that the child does not know of";
	if ((child->unsync || child->unsync_children) && !test_bit(i, page->unsync_map))
		return "a link to something unsync that is not marked";
	return NULL;
}

/* An entry of the guest's that is shadowed still is what the shadow was made from. */
static const char *check_guest(struct umbra_vm *vm, struct umbra_mmu_page *page, unsigned int i)
{
	const struct umbra_format *f = &umbra_formats[page->role.format];
	u64 guest;

	if (page->role.direct || page->unsync || page->loose)
		return NULL;
	if (!umbra_guest_entries(vm, umbra_slot_find(vm, page->gfn), page, i, 1, &guest))
		return NULL;
	if ((guest ^ page->guest[i]) & ~(f->accessed | f->dirty))
		return "a shadow in sync that is not as the guest's table";
	return NULL;
}

static const char *check_entries(struct umbra_vm *vm, struct umbra_mmu_page *page,
				 unsigned long *leaves)
{
	bool nested = umbra_mmu_is_nested(vm);
	const char *wrong = NULL;
	unsigned int i;

	for (i = 0; i < UMBRA_ENTRIES && !wrong; i++) {
		u64 entry = page->table[i];

		if (!nested && test_bit(i, page->present) != umbra_entry_present(vm, entry))
			return "the bitmap of present entries is wrong";
		if (!umbra_entry_present(vm, entry)) {
			if (entry)
				return "an entry that is not present and not empty";
			continue;
		}
		if (umbra_entry_leaf(page->role.level, entry)) {
			wrong = check_leaf(vm, page, i);
			++*leaves;
		} else {
			wrong = check_link(page, i);
		}
		if (!wrong && !nested)
			wrong = check_guest(vm, page, i);
	}
	return wrong;
}

static const char *check_page(struct umbra_vm *vm, struct umbra_mmu_page *page)
{
	struct umbra_mmu_page *shadow;
	unsigned int n = 0;

	if (page->invalid)
		return "a zapped page among those in use";
	if (page->hpa != __sme_set(__pa(page->table)) || umbra_entry_page(page->table) != page)
		return "a page and its table do not know of each other";
	if (atomic_read(&page->active) > page->roots)
		return "a page is the current root of more than hold it";
	if (bitmap_weight(page->unsync_map, UMBRA_ENTRIES) != page->unsync_children)
		return "the count of unsync children is wrong";
	if (umbra_mmu_is_nested(vm))
		return NULL;
	if (umbra_find_page(vm, page->gfn, page->role) != page)
		return "two pages for the same gfn and role, or one that is not in the hash";
	for (shadow = umbra_first_shadow(vm, page->gfn); shadow;
	     shadow = umbra_next_shadow(shadow)) {
		if (!page->role.direct && !page->loose && !shadow->loose &&
		    shadow->unsync != page->unsync)
			return "of the shadows of one table only some are unsync";
		n += shadow == page;
	}
	return n == !page->role.direct ? NULL : "a page is not once among the shadows of its table";
}

static const char *check_slot(struct umbra_vm *vm, const struct umbra_slot *slot,
			      unsigned long *entries)
{
	unsigned int count, shift;
	struct umbra_mmu_page *page;
	struct umbra_rmap_iter iter;
	gfn_t gfn;
	u64 *e;
	int level;

	for (level = 1; level <= UMBRA_SLOT_LEVELS; level++) {
		shift = 9 * (level - 1);
		for (gfn = slot->base; gfn < slot->base + slot->pages;
		     gfn = (gfn | (umbra_level_pages(level) - 1)) + 1) {
			for (e = umbra_rmap_start(umbra_slot_rmap(slot, gfn, level), &iter); e;
			     e = umbra_rmap_next(&iter)) {
				++*entries;
				page = umbra_entry_page(e);
				if (!page || page->invalid || page->role.level != level)
					return "a reverse map leads to no table of its level";
				if (!umbra_entry_present(vm, *e))
					return "a reverse map leads to what is not present";
			}
			if (level == 1)
				continue;
			count = 0;
			list_for_each_entry(page, &vm->arch.mmu.pages, link)
				count += !umbra_mmu_is_nested(vm) && !page->role.direct &&
					 page->gfn >= slot->base &&
					 page->gfn < slot->base + slot->pages &&
					 page->gfn >> shift == gfn >> shift;
			if (count != slot->mmu.tables[level - 2][(gfn >> shift) -
								 (slot->base >> shift)])
				return "the count of tables in a large page is wrong";
		}
	}
	return NULL;
}

static const char *check_all(struct umbra_vm *vm)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;
	unsigned long leaves = 0, entries = 0;
	struct umbra_mmu_page *page;
	const char *wrong = NULL;
	unsigned int i, n = 0;

	list_for_each_entry(page, &mmu->pages, link) {
		wrong = check_page(vm, page) ?: check_entries(vm, page, &leaves);
		if (wrong)
			return wrong;
		n++;
	}
	if (n != mmu->nr_pages)
		return "the count of pages is wrong";
	n = 0;
	list_for_each_entry(page, &mmu->zapped, link) {
		if (!page->invalid || page->roots || !bitmap_empty(page->present, UMBRA_ENTRIES))
			return "a page waits to be freed that is still in use";
		n++;
	}
	if (n != mmu->nr_zapped)
		return "the count of zapped pages is wrong";
	for (i = 0; i < vm->slots->count && !wrong; i++)
		wrong = check_slot(vm, vm->slots->slot[i], &entries);
	if (!wrong && entries != leaves)
		wrong = "there are more leaves than entries in reverse maps, or fewer";
	return wrong;
}

const char *mmu_inconsistent(struct umbra_vm *vm)
{
	const char *wrong;

	write_lock(&vm->mmu_lock);
	wrong = check_all(vm);
	write_unlock(&vm->mmu_lock);
	return wrong;
}
