// SPDX-License-Identifier: GPL-2.0-only
/* The monitor's memory behind the guest's: which page, how large, may it be written? */
#include <linux/sched/signal.h>
#include "internal.h"

/**
 * umbra_host_level() - how large does the host map an address?
 * @vm: the VM
 * @hva: the address in the monitor
 *
 * Read from the monitor's own page tables, which cannot go away while interrupts
 * are off. The answer may be out of date at once; the MMU notifier's sequence,
 * sampled before, tells.
 *
 * Return: 1 to 3.
 */
int umbra_host_level(const struct umbra_vm *vm, unsigned long hva)
{
	struct mm_struct *mm = vm->mm;
	unsigned long flags;
	int level = 1;
	pgd_t *pgdp, pgd;
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgdp = pgd_offset(mm, hva);
	pgd = READ_ONCE(*pgdp);
	if (pgd_none(pgd))
		goto out;
	p4dp = p4d_offset(pgdp, hva);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pudp = pud_offset(p4dp, hva);
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(pudp, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

/**
 * umbra_slot_max_level() - how large may leaves around a gfn be?
 * @slot: the slot that holds it
 * @gfn: guest frame number
 *
 * Large leaves must lie within the slot, be aligned in the monitor's memory as
 * in the guest's, and hold no table of the guest's that is shadowed. With a
 * dirty log each 4 KiB page counts. mmu_lock is held, or the answer is a hint.
 *
 * Return: 1 to UMBRA_SLOT_LEVELS.
 */
int umbra_slot_max_level(const struct umbra_slot *slot, gfn_t gfn)
{
	int level;

	if (slot->dirty)
		return 1;
	for (level = 2; level <= UMBRA_SLOT_LEVELS; level++) {
		unsigned long pages = umbra_level_pages(level);
		gfn_t first = gfn & ~(pages - 1);
		unsigned int shift = 9 * (level - 1);

		if (((slot->hva >> PAGE_SHIFT) ^ slot->base) & (pages - 1))
			break;
		if (first < slot->base || first + pages > slot->base + slot->pages)
			break;
		if (slot->mmu.tables[level - 2][(gfn >> shift) - (slot->base >> shift)])
			break;
	}
	return level - 1;
}

static void found(struct umbra_host_page *hp, bool writable)
{
	hp->pfn = page_to_pfn(hp->page);
	hp->writable = writable;
	hp->level = 1;
}

/**
 * umbra_host_get() - get the page behind a gfn
 * @vcpu: the vCPU, current->mm is the VM's
 * @slot: the slot that holds @gfn
 * @gfn: guest frame number
 * @write: it will be written
 * @max_level: larger mappings are of no interest
 * @hp: the result
 *
 * A page that is only read may be shared with others, then it is not writable.
 * May sleep. The page is held until umbra_host_put().
 *
 * Return: 0, -EINTR when a signal is pending, or why there is no page.
 */
int umbra_host_get(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn, bool write,
		   int max_level, struct umbra_host_page *hp)
{
	struct umbra_vm *vm = vcpu->vm;
	bool writable = !(slot->flags & UMBRA_MEM_READONLY);
	unsigned int flags;
	long ret;

	hp->hva = umbra_slot_hva(slot, gfn);
	hp->seq = READ_ONCE(vm->notifier_seq);
	/* Pairs with invalidate_end(): the page is looked up after the sequence. */
	smp_rmb();

	/* Best of all writable, so that the first write does not fault again. */
	if (writable && get_user_page_fast_only(hp->hva, FOLL_WRITE, &hp->page))
		goto found;
	writable = write;
	flags = write ? FOLL_WRITE : 0;
	ret = get_user_pages_unlocked(hp->hva, 1, &hp->page, flags | FOLL_HWPOISON);
	if (unlikely(ret != 1)) {
		if (signal_pending(current))
			return -EINTR;
		return ret < 0 ? ret : -EFAULT;
	}
found:
	found(hp, writable);
	/* Only a compound page can be mapped large. */
	if (max_level > 1 && PageCompound(hp->page))
		hp->level = min(umbra_host_level(vm, hp->hva), max_level);
	return 0;
}

/**
 * umbra_host_get_fast() - get the page behind a gfn if it is there
 * @vcpu: the vCPU, current->mm is the VM's
 * @slot: the slot that holds @gfn
 * @gfn: guest frame number
 * @write: it must be writable
 * @hp: the result
 *
 * Does not sleep; mmu_lock is held, and so an invalidation that begins later finds
 * what is mapped now.
 *
 * The page is held until put_page().
 *
 * Return: false if it is not mapped, or just being invalidated.
 */
bool umbra_host_get_fast(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
			 bool write, struct umbra_host_page *hp)
{
	hp->hva = umbra_slot_hva(slot, gfn);
	if (umbra_host_busy(vcpu->vm, hp->hva))
		return false;
	if (!get_user_page_fast_only(hp->hva, write ? FOLL_WRITE : 0, &hp->page))
		return false;
	if (write && !PageDirty(hp->page)) {
		/* What a file system must be told about may sleep. */
		if (!folio_test_swapbacked(page_folio(hp->page))) {
			put_page(hp->page);
			return false;
		}
		SetPageDirty(hp->page);
	}
	found(hp, write);
	return true;
}

/**
 * umbra_host_known() - the page behind a gfn that is mapped already
 * @vcpu: the vCPU; mmu_lock is held for writing
 * @slot: the slot that holds @gfn
 * @gfn: guest frame number
 * @write: it must be writable
 * @pfn: the page; valid as long as a leaf for it may be, no reference is taken
 *
 * Return: false if no leaf tells.
 */
bool umbra_host_known(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
		      bool write, u64 *pfn)
{
	const u64 writable = vcpu->vm->arch.mmu.host.format->writable;
	const u64 *entryp;
	int level;

	for (level = 1; level <= 2; level++) {
		entryp = umbra_rmap_first(umbra_slot_rmap(slot, gfn, level));
		if (!entryp || (write && !(*entryp & writable)))
			continue;
		*pfn = umbra_entry_pfn(*entryp) + (gfn & (umbra_level_pages(level) - 1));
		return true;
	}
	return false;
}

/**
 * umbra_host_put() - let go of the page
 * @hp: what umbra_host_get() found
 *
 * From now on the MMU notifier keeps the mapping honest. A page that the guest
 * may write counts as dirty from here to the invalidation that precedes every
 * cleaning of it. May sleep.
 */
void umbra_host_put(struct umbra_host_page *hp)
{
	if (hp->writable && !PageDirty(hp->page)) {
		if (folio_test_swapbacked(page_folio(hp->page)))
			SetPageDirty(hp->page);
		else
			set_page_dirty_lock(hp->page);
	}
	put_page(hp->page);
}

/**
 * umbra_host_error() - tell user space that there is no page
 * @vcpu: the vCPU
 * @gfn: guest frame number
 * @err: what umbra_host_get() said
 *
 * Return: what umbra_mmu_fault(), or an exit handler, is to return: 0 with the run page
 * filled in, or @err if that is -EINTR or -ENOMEM.
 */
int umbra_host_error(struct umbra_vcpu *vcpu, gfn_t gfn, int err)
{
	struct umbra_run *run = vcpu->run;

	if (err == -EINTR || err == -ENOMEM)
		return err;
	run->exit_reason = UMBRA_EXIT_MEMORY_FAULT;
	run->memory_fault.gpa = gfn << PAGE_SHIFT;
	run->memory_fault.error = err;
	run->memory_fault.reserved = 0;
	return 0;
}
