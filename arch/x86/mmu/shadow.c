// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging: faults, and the tables they build.
 *
 * The CPU walks our tables with the guest's gva. A table of ours stands for one
 * of the guest's (or a part of it, in 32-bit paging), or, direct, for a large
 * page of the guest's, or for all of its memory while paging is off. Links
 * allow everything; leaves allow what all the guest's entries above them allow,
 * which is why the access granted so far is part of a table's role.
 *
 * mmu_lock is held for writing where tables are touched.
 */
#include <linux/moduleparam.h>
#include "internal.h"

static bool shadow_prefetch = true;
module_param(shadow_prefetch, bool, 0644);
MODULE_PARM_DESC(shadow_prefetch, "shadow paging: map neighbours of a page that faulted, too");

static bool shadow_large = true;
module_param(shadow_large, bool, 0644);
MODULE_PARM_DESC(shadow_large, "shadow paging: map large pages of the guest by large pages");

/* Leaves that a fault looks at, aligned: a cache line of the guest's table. */
#define PREFETCH	8

/* What came of an attempt to map. */
enum map_result {
	MAP_DONE,
	MAP_RETRY,	/* something has changed since the guest's tables were walked */
	MAP_TABLE,	/* it is a write to a table that is shadowed */
};

/**
 * struct fault - a fault that is ours to solve
 * @gva: the address
 * @gfn: where the guest's tables say it is
 * @write: it is a write
 * @acc: UMBRA_ACC_*: what a leaf may allow now
 * @slot: the slot that holds @gfn
 * @walk: how the guest's tables translate it
 * @host: the host's page
 */
struct fault {
	gva_t gva;
	gfn_t gfn;
	bool write;
	unsigned int acc;
	struct umbra_slot *slot;
	struct umbra_walk walk;
	struct umbra_host_page host;
};

/* Where the kernel has a table of the guest's mapped; NULL: the slow way it is. */
static u64 *table_memory(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
			 union umbra_mmu_role role)
{
	struct umbra_host_page hp;
	u64 pfn;

	if (!slot || slot->flags & UMBRA_MEM_READONLY || role.format == UMBRA_FORMAT_32BIT)
		return NULL;
	if (umbra_host_known(vcpu, slot, gfn, true, &pfn))
		return page_address(pfn_to_page(pfn));
	if (!umbra_host_get_fast(vcpu, slot, gfn, true, &hp))
		return NULL;
	put_page(hp.page);
	return page_address(hp.page);
}

/**
 * umbra_shadow_page() - the table page for a gfn and role
 * @vcpu: the vCPU, its caches topped up; mmu_lock is held for writing
 * @gfn: of the guest's table, or, direct, the first one it maps
 * @role: what it is to be
 *
 * When it returns, the guest cannot write to its table without a fault, or the
 * page is unsync: what is read from the table once it is linked is current.
 *
 * Return: the page, up to date.
 */
struct umbra_mmu_page *umbra_shadow_page(struct umbra_vcpu *vcpu, gfn_t gfn,
					 union umbra_mmu_role role)
{
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_mmu_page *page;
	bool tracked = false, unsync = false, loose = false, in_sync = false;
	struct umbra_slot *slot;

	hlist_for_each_entry(page, umbra_page_bucket(vm, gfn), hash) {
		if (page->gfn != gfn)
			continue;
		if (page->role.word == role.word) {
			if (page->unsync || page->loose)
				umbra_sync_page(vcpu, page);
			/* No load of CR3 has reached what is below while nothing led here. */
			if (page->unsync_children)
				umbra_sync_root(vcpu, page);
			umbra_mmu_count(vcpu, PAGES_REUSED);
			return page;
		}
		if (page->role.direct)
			continue;
		tracked = true;
		unsync |= page->unsync;
		loose |= page->loose;
		in_sync |= !page->unsync && !page->loose;
	}
	/*
	 * All pages of a gfn are unsync, or none is and the gfn is write-protected; those
	 * that are loose may be among either.
	 */
	unsync |= loose && !in_sync;
	if (!role.direct && unsync && role.level > 1) {
		umbra_sync_gfn(vcpu, gfn);
		unsync = false;
	}

	page = umbra_page_alloc(vcpu, gfn, role);
	umbra_page_hash(vm, page);
	umbra_page_account(vm, page);
	if (role.direct)
		return page;
	slot = umbra_slot_find(vm, gfn);
	page->mem = table_memory(vcpu, slot, gfn, role);
	/* Who begins to use a table is about to write more of it. */
	page->unsync = unsync || (!tracked && role.level == 1 && umbra_shadow_unsync_new());
	if (tracked || page->unsync)
		return page;

	if (slot)
		umbra_rmap_write_protect(vm, slot, gfn);
	/*
	 * A vCPU may still write through its TLB, even if no leaf was writable
	 * just now: one that was dropped earlier may be.
	 */
	if (vm->arch.mmu.tlb_stale)
		umbra_mmu_flush(vm);
	/* Pairs with the barrier in umbra_shadow_guest_write(). */
	smp_mb();
	return page;
}

/*
 * Does memory still hold the entry that the walk has used? Asked when the table
 * is write-protected, or unsync: either way a later change will be noticed.
 */
static bool entry_same(struct umbra_vcpu *vcpu, const struct umbra_mmu_page *page,
		       const struct umbra_walk *w)
{
	int level = page->role.level;
	const struct umbra_format *f = vcpu->arch.mmu.paging.format;
	gfn_t gfn = w->where[level] >> PAGE_SHIFT;
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gfn);
	u64 entry, ignored = 0;
	unsigned long hva;
	int ret;

	if (page->mem)
		return READ_ONCE(*(u64 *)((void *)page->mem + offset_in_page(w->where[level]))) ==
		       w->entry[level];
	if (!slot)
		return false;
	hva = umbra_slot_hva(slot, gfn) + offset_in_page(w->where[level]);
	if (umbra_host_busy(vcpu->vm, hva))
		return false;
	/* Here the walk could not write them. */
	if (slot->flags & UMBRA_MEM_READONLY)
		ignored = f->accessed | f->dirty;
	pagefault_disable();
	ret = umbra_read_entry(hva, f->entry_size, &entry);
	pagefault_enable();
	return !ret && !((entry ^ w->entry[level]) & ~ignored);
}

/* What the page below an entry of @page is to be. */
static gfn_t child_role(const struct umbra_vcpu *vcpu, const struct umbra_mmu_page *page,
			unsigned int index, const struct fault *fault, union umbra_mmu_role *role)
{
	const struct umbra_walk *w = &fault->walk;
	int level = page->role.level;

	*role = page->role;
	role->level = level - 1;
	role->quadrant = 0;
	if (level > w->level) {
		/* A table of the guest's; in 32-bit paging we need two for it. */
		role->access = w->acc[level];
		if (role->format == UMBRA_FORMAT_32BIT)
			role->quadrant = index & 1;
		return (w->entry[level] & vcpu->arch.mmu.paging.format->address) >> PAGE_SHIFT;
	}

	/* A piece of a large page: one and the same for all control bits. */
	role->word = 0;
	role->level = level - 1;
	role->format = page->role.format;
	role->direct = 1;
	role->access = fault->acc;
	role->key = w->key;
	return fault->gfn & ~(umbra_level_pages(level) - 1);
}

/* Puts a link where nothing is. */
static void add_link(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page, unsigned int index,
		     struct umbra_mmu_page *child, u64 guest)
{
	u64 *entryp = &page->table[index];

	if (!page->role.direct)
		page->guest[index] = guest;
	WRITE_ONCE(*entryp, umbra_make_link(vcpu->vm, child));
	__set_bit(index, page->present);
	umbra_rmap_add(vcpu, &child->parents, entryp);
	umbra_unsync_inherit(child, entryp);
}

/* The page that *entryp of @page leads to, made and linked if need be; NULL: retry. */
static struct umbra_mmu_page *descend(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page,
				      unsigned int index, const struct fault *fault)
{
	struct umbra_vm *vm = vcpu->vm;
	int level = page->role.level;
	u64 *entryp = &page->table[index];
	struct umbra_mmu_page *child;
	union umbra_mmu_role role;
	u64 entry = *entryp;
	gfn_t gfn;

	gfn = child_role(vcpu, page, index, fault, &role);
	if (umbra_entry_present(vm, entry) && !umbra_entry_leaf(level, entry)) {
		child = umbra_entry_child(entry);
		if (child->gfn == gfn && child->role.word == role.word)
			return child;
	}
	if (!page->role.direct && !entry_same(vcpu, page, &fault->walk))
		return NULL;
	umbra_entry_drop(vm, page, index);
	child = umbra_shadow_page(vcpu, gfn, role);
	add_link(vcpu, page, index, child, page->role.direct ? 0 : fault->walk.entry[level]);
	/* Another vCPU that writes to the table sees the marks, or we see what it wrote. */
	smp_mb();
	return child;
}

/* Links the page for one entry of the guest's, if there is one. */
static void link_known(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page, unsigned int index)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;
	const struct umbra_format *f = paging->format;
	union umbra_mmu_role role = page->role;
	u64 guest = READ_ONCE(page->mem[index]);
	struct umbra_mmu_page *child;
	int level = role.level;

	if (!(guest & f->present) || !(guest & f->accessed) || page->table[index] ||
	    umbra_is_leaf(paging, level, guest) ||
	    umbra_reserved_bits(paging, level, guest, false))
		return;
	role.level--;
	role.access &= umbra_entry_acc(f, guest);
	child = umbra_find_page(vcpu->vm, (guest & f->address) >> PAGE_SHIFT, role);
	if (!child || child->unsync || child->loose || !umbra_mmu_topped_up(vcpu))
		return;
	add_link(vcpu, page, index, child, guest);
	umbra_mmu_count(vcpu, PREFETCHES);
}

/**
 * umbra_shadow_link_known() - link what is there already to a new root
 * @vcpu: the vCPU, its caches topped up; mmu_lock is held for writing
 * @page: the page of a root, not direct, which the guest cannot write to
 *
 * An address space shares most of its tables, the kernel's half, with others. The
 * caller makes what is unsync below up to date.
 */
void umbra_shadow_link_known(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page)
{
	const u64 *mem = page->mem;
	unsigned int first, i;

	if (!mem || !READ_ONCE(shadow_prefetch))
		return;
	/* Most are empty. */
	for (first = 0; first < UMBRA_ENTRIES; first += 8) {
		if (!(mem[first] | mem[first + 1] | mem[first + 2] | mem[first + 3] |
		      mem[first + 4] | mem[first + 5] | mem[first + 6] | mem[first + 7]))
			continue;
		for (i = 0; i < 8; i++)
			link_known(vcpu, page, first + i);
	}
	/* As in descend(). */
	smp_mb();
}

/* Puts a leaf where none is. */
static void add_leaf(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page, unsigned int index,
		     struct umbra_slot *slot, gfn_t gfn, u64 leaf, u64 guest)
{
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_rmap *rmap = umbra_slot_rmap(slot, gfn, page->role.level);

	/* A guest that maps one page everywhere would make lists without end. */
	if (unlikely(umbra_rmap_depth(rmap) > UMBRA_RMAP_MAX_DEPTH)) {
		umbra_rmap_zap(vm, slot, gfn, page->role.level);
		umbra_mmu_count(vcpu, RMAP_RECYCLED);
	}
	if (!page->role.direct)
		page->guest[index] = guest;
	WRITE_ONCE(page->table[index], leaf);
	__set_bit(index, page->present);
	umbra_rmap_add(vcpu, rmap, &page->table[index]);
}

static enum map_result map_leaf(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page,
				unsigned int index, const struct fault *fault)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct umbra_format *f = vm->arch.mmu.host.format;
	int level = page->role.level;
	u64 old, leaf, *entryp = &page->table[index];
	unsigned int acc = fault->acc;

	/* With a dirty log the first write to each page must fault. */
	if (!fault->host.writable || (fault->slot->dirty && !fault->write))
		acc &= ~UMBRA_ACC_WRITE;
	if (acc & UMBRA_ACC_WRITE && level == 1 &&
	    !umbra_gfn_make_writable(vcpu, fault->gfn, fault->write))
		acc &= ~UMBRA_ACC_WRITE;

	leaf = umbra_make_leaf(vm, fault->host.pfn & ~(umbra_level_pages(level) - 1), level, acc,
			       fault->walk.key);
	old = *entryp;
	if (umbra_entry_present(vm, old) && umbra_entry_leaf(level, old) &&
	    umbra_entry_pfn(old) == umbra_entry_pfn(leaf)) {
		if (!((old ^ leaf) & ~(f->accessed | f->dirty))) {
			umbra_mmu_count(vcpu, FAULTS_SPURIOUS);
		} else {
			if (!page->role.direct)
				page->guest[index] = fault->walk.entry[level];
			xchg(entryp, leaf);
			/* With CR0.WP clear it is the kernel's to write or the user's to read. */
			vm->arch.mmu.tlb_stale = true;
			umbra_backend->flush_gva(vcpu, fault->gva);
			umbra_mmu_count(vcpu, FAULTS);
		}
	} else {
		umbra_entry_drop(vm, page, index);
		add_leaf(vcpu, page, index, fault->slot, fault->gfn, leaf,
			 page->role.direct ? 0 : fault->walk.entry[level]);
		umbra_mmu_count(vcpu, FAULTS);
		if (level > 1)
			umbra_mmu_count(vcpu, LEAVES_LARGE);
	}
	if (acc & UMBRA_ACC_WRITE)
		umbra_mark_dirty(fault->slot, fault->gfn);
	else if (fault->write)
		return MAP_TABLE;
	return MAP_DONE;
}

static enum map_result map(struct umbra_vcpu *vcpu, const struct fault *fault)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct umbra_mmu_root *root = vcpu->arch.mmu.root;
	struct umbra_mmu_page *page;
	enum map_result ret;
	unsigned int index;
	int goal;

	if (!umbra_shadow_root_valid(vcpu)) {
		/* It may have been zapped before it became the current one. */
		umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
		return MAP_RETRY;
	}
	if (umbra_notifier_retry(vm, fault->host.seq, fault->host.hva))
		return MAP_RETRY;
	page = umbra_root_page(root, fault->gva);
	if (!page)
		return MAP_RETRY;

	goal = min3((int)fault->host.level, (int)fault->walk.level, (int)page->role.level);
	if (goal > 1)
		goal = min(goal, umbra_slot_max_level(fault->slot, fault->gfn));
	for (;;) {
		index = umbra_index(vm->arch.mmu.host.format, page->role.level, fault->gva);
		page->writes = 0;
		if (page->role.level == goal)
			break;
		page = descend(vcpu, page, index, fault);
		if (!page)
			return MAP_RETRY;
	}
	if (!page->role.direct && !entry_same(vcpu, page, &fault->walk))
		return MAP_RETRY;
	/* On the way here a table may have been shadowed that the large page holds. */
	if (goal > 1 && umbra_slot_max_level(fault->slot, fault->gfn) < goal)
		return MAP_RETRY;
	ret = map_leaf(vcpu, page, index, fault);
	if (goal == 1 && !page->role.direct && READ_ONCE(shadow_prefetch))
		umbra_shadow_prefetch(vcpu, page, index & ~(PREFETCH - 1), PREFETCH);
	return ret;
}

/* Maps one neighbour if that takes nothing but what is there already. */
static void prefetch_one(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page, unsigned int index,
			 u64 guest)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;
	const struct umbra_format *f = paging->format;
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_host_page hp;
	struct umbra_slot *slot;
	unsigned int acc, key;
	gfn_t gfn;
	u64 pfn;

	if (!(guest & f->present) || !(guest & f->accessed) ||
	    umbra_reserved_bits(paging, 1, guest, true))
		return;
	gfn = umbra_leaf_address(f, 1, guest) >> PAGE_SHIFT;
	slot = umbra_vcpu_slot(vcpu, gfn);
	if (!slot)
		return;
	acc = page->role.access & umbra_entry_acc(f, guest);
	if (!(guest & f->dirty) || slot->dirty || slot->flags & UMBRA_MEM_READONLY ||
	    (acc & UMBRA_ACC_WRITE && !umbra_gfn_make_writable(vcpu, gfn, false)))
		acc &= ~UMBRA_ACC_WRITE;
	if (!umbra_host_known(vcpu, slot, gfn, acc & UMBRA_ACC_WRITE, &pfn)) {
		if (!umbra_host_get_fast(vcpu, slot, gfn, acc & UMBRA_ACC_WRITE, &hp))
			return;
		/* The lock keeps it: an invalidation would have to wait for it. */
		put_page(hp.page);
		pfn = hp.pfn;
	}
	key = f->key_shift ? (guest >> f->key_shift) & 15 : 0;
	add_leaf(vcpu, page, index, slot, gfn, umbra_make_leaf(vm, pfn, 1, acc, key), guest);
	umbra_mmu_count(vcpu, PREFETCHES);
}

/**
 * umbra_shadow_prefetch() - map pages before they fault
 * @vcpu: the vCPU, its caches topped up; mmu_lock is held for writing
 * @page: a level 1 page of its current root, not direct
 * @first: index of the first entry
 * @count: how many, at most PREFETCH
 *
 * Only entries that have been used, and, to be writable, written to: the
 * accessed and dirty bits of the others must stay clear. The table is
 * write-protected or unsync, so what is read cannot become stale unnoticed.
 */
void umbra_shadow_prefetch(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page,
			   unsigned int first, unsigned int count)
{
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, page->gfn);
	u64 guest[PREFETCH];
	unsigned int i, n = 0;

	for (i = 0; i < count; i++)
		n += !umbra_entry_present(vcpu->vm, page->table[first + i]);
	if (!n || !umbra_guest_entries(vcpu->vm, slot, page, first, count, guest))
		return;
	for (i = 0; i < count; i++)
		if (!umbra_entry_present(vcpu->vm, page->table[first + i]))
			prefetch_one(vcpu, page, first + i, guest[i]);
}

/**
 * umbra_mmu_settle() - let the CPU execute what the executor cannot
 * @vcpu: the vCPU; a leaf for the instruction at RIP has been refused
 */
void umbra_mmu_settle(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	mmu->settled_rip = vcpu->arch.rip;
	mmu->settled = true;
}

/*
 * Is there no way to execute in software what needs a leaf that is not right? The CPU
 * is delivering an event, or the executor does not know the instruction at RIP.
 */
static bool must_settle(struct umbra_vcpu *vcpu)
{
	const struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	return umbra_mmu_in_delivery(vcpu) ||
	       (mmu->settled && mmu->settled_rip == vcpu->arch.rip);
}

/*
 * What a leaf may allow. False if no leaf can allow it and nothing else, so
 * that the instruction has to be executed in software.
 *
 * The CPU always runs with CR0.WP set. If the guest's is clear, its kernel may
 * write to any page: the leaf then allows that, and nothing to the user. The
 * kernel must not gain what SMEP denies it. SMAP and protection keys look at
 * the U bit, too; with them there is no leaf that is right. If there is no other way,
 * it is the one of a guest without them, until the user comes: what is wrong about it
 * then is that the kernel may do too much.
 */
static bool leaf_access(struct umbra_vcpu *vcpu, const struct umbra_walk *w, u32 access,
			unsigned int *acc)
{
	const struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	bool write = access & X86_PF_WRITE, grant;

	*acc = w->acc[w->level];
	if (!mmu->paging.format)
		return true;
	if (unlikely(write && !mmu->role.wp && mmu->role.nowp_exact && *acc & UMBRA_ACC_USER &&
		     !(access & X86_PF_USER) && must_settle(vcpu))) {
		*acc = (*acc & ~UMBRA_ACC_USER) | UMBRA_ACC_WRITE;
		if (mmu->role.nowp_smep)
			*acc &= ~UMBRA_ACC_EXEC;
		return true;
	}
	/* The CPU, with CR0.WP set, heeds write-disable bits, too, and would fault for ever. */
	if (write && !mmu->role.wp && mmu->paging.flags & UMBRA_PAGING_PKE &&
	    *acc & UMBRA_ACC_USER && vcpu->arch.pkru >> (2 * w->key) & 2)
		return false;
	/*
	 * What the kernel gets must not depend on whether it reads or writes:
	 * pieces of a large page are found by it, and an instruction that is
	 * fetched from one and writes to another needs them all in one table.
	 */
	grant = !mmu->role.wp && !(access & X86_PF_USER) &&
		!(*acc & UMBRA_ACC_USER && mmu->role.nowp_exact);
	if (!(*acc & UMBRA_ACC_WRITE) && (write || grant)) {
		if (*acc & UMBRA_ACC_USER) {
			if (mmu->role.nowp_exact)
				return false;
			*acc &= ~UMBRA_ACC_USER;
			if (mmu->role.nowp_smep)
				*acc &= ~UMBRA_ACC_EXEC;
		}
		*acc |= UMBRA_ACC_WRITE;
	}
	/* The first write must fault, so that the guest sees the bit set. */
	if (!write && !(w->entry[w->level] & mmu->paging.format->dirty))
		*acc &= ~UMBRA_ACC_WRITE;
	return true;
}

/* A write to a table that is shadowed. */
static int table_write(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	int ret;

	umbra_mmu_count(vcpu, FAULTS_TABLE);
	/* The CPU itself has to write there, to deliver an event. */
	if (umbra_mmu_in_delivery(vcpu)) {
		umbra_mmu_unprotect(vcpu, gfn << PAGE_SHIFT);
		return 1;
	}
	vcpu->arch.table_written = true;
	vcpu->arch.table_given_up = false;
	vcpu->arch.table_gpa = gfn << PAGE_SHIFT;
	ret = umbra_emulate_exit(vcpu);
	vcpu->arch.table_written = false;
	return ret;
}

static int shadow_fault(struct umbra_vcpu *vcpu, u64 gva, u32 error_code)
{
	u32 access = error_code & (X86_PF_WRITE | X86_PF_USER | X86_PF_INSTR);
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_vm *vm = vcpu->vm;
	struct fault fault;
	enum map_result result;
	gpa_t gpa;
	int ret;

	/* At CPL 3 an access that is not the user's is the CPU's own. */
	if (mmu->paging.flags & UMBRA_PAGING_SMAP && !(access & X86_PF_USER) &&
	    umbra_cpl(vcpu) == 3)
		access |= UMBRA_ACCESS_IMPLICIT;
	if (unlikely(umbra_mmu_is_mmio(vcpu, gva, access, &gpa)))
		return umbra_mmu_mmio(vcpu, gpa, error_code | UMBRA_ACCESS_OPERAND);
	if (!umbra_walk_gva(vcpu, gva, access, &fault.walk)) {
		umbra_mmu_count(vcpu, FAULTS_GUEST);
		umbra_queue_page_fault(vcpu, fault.walk.error, gva);
		return 1;
	}

	fault.gva = gva;
	fault.gfn = fault.walk.gpa >> PAGE_SHIFT;
	fault.write = access & X86_PF_WRITE;
	fault.slot = umbra_vcpu_slot(vcpu, fault.gfn);
	if (unlikely(!fault.slot))
		umbra_mmu_remember_mmio(vcpu, gva, access, &fault.walk);
	if (!fault.slot || (fault.write && fault.slot->flags & UMBRA_MEM_READONLY))
		return umbra_mmu_mmio(vcpu, fault.walk.gpa, error_code | UMBRA_ACCESS_OPERAND);
	if (!leaf_access(vcpu, &fault.walk, access, &fault.acc)) {
		vcpu->arch.leaf_refused = true;
		ret = umbra_emulate_exit(vcpu);
		vcpu->arch.leaf_refused = false;
		return ret;
	}

	ret = umbra_mmu_topup(vcpu);
	if (ret)
		return ret;
	ret = umbra_host_get(vcpu, fault.slot, fault.gfn, fault.write,
			     fault.walk.level > 1 && READ_ONCE(shadow_large) ?
			     fault.walk.level : 1, &fault.host);
	if (ret)
		return umbra_host_error(vcpu, fault.gfn, ret);

	write_lock(&vm->mmu_lock);
	umbra_pages_reclaim(vm);
	result = map(vcpu, &fault);
	umbra_pages_settle(vm);
	write_unlock(&vm->mmu_lock);
	umbra_host_put(&fault.host);

	switch (result) {
	case MAP_TABLE:
		return table_write(vcpu, fault.gfn);
	case MAP_RETRY:
		umbra_mmu_count(vcpu, FAULTS_RETRIED);
		return 1;
	default:
		return 1;
	}
}

/*
 * The page that stands for the table in which the guest has the leaf for an
 * address, at *index, if the tables lead there and the leaf is one of 4 KiB or 2 MiB.
 * Else NULL, and where they end with an entry of the guest's that is not present: *absent.
 */
static struct umbra_mmu_page *fast_descend(struct umbra_vcpu *vcpu, u64 gva, unsigned int *index,
					   bool *absent)
{
	struct umbra_mmu_page *page = umbra_root_page(vcpu->arch.mmu.root, gva);
	u64 entry, guest;
	int level;

	while (page && page->mem) {
		level = page->role.level;
		page->writes = 0;
		*index = umbra_own_index(level, gva);
		if (level == 1)
			return page;
		entry = page->table[*index];
		if (!(entry & _PAGE_PRESENT) || entry & _PAGE_PSE) {
			guest = READ_ONCE(page->mem[*index]);
			*absent = !(guest & _PAGE_PRESENT);
			return level == 2 && !*absent &&
			       umbra_is_leaf(&vcpu->arch.mmu.paging, level, guest) ? page : NULL;
		}
		page = umbra_entry_child(entry);
	}
	return NULL;
}

/* Sets the bits the CPU would set; *guest is the entry. False: it has changed meanwhile. */
static bool fast_mark(struct umbra_vcpu *vcpu, const struct umbra_mmu_page *page,
		      unsigned int index, u64 want, u64 *guest)
{
	struct umbra_slot *slot;

	if (likely((*guest & want) == want))
		return true;
	if (cmpxchg64(&page->mem[index], *guest, *guest | want) != *guest)
		return false;
	*guest |= want;
	slot = umbra_vcpu_slot(vcpu, page->gfn);
	if (slot)
		umbra_mark_dirty(slot, page->gfn);
	return true;
}

/* The page behind fault->gfn, best of all writable, if that takes no time. */
static bool fast_host(struct umbra_vcpu *vcpu, struct fault *fault)
{
	bool writable = fault->acc & UMBRA_ACC_WRITE;
	struct umbra_host_page *hp = &fault->host;

	hp->level = 1;
	for (;;) {
		hp->writable = writable;
		if (umbra_host_known(vcpu, fault->slot, fault->gfn, writable, &hp->pfn))
			return true;
		if (umbra_host_get_fast(vcpu, fault->slot, fault->gfn, writable, hp)) {
			put_page(hp->page);
			return true;
		}
		if (!writable || fault->write)
			return false;
		writable = false;
	}
}

/* The same for 2 MiB, if neither the host nor a shadowed table has them in pieces. */
static noinline bool fast_host_large(struct umbra_vcpu *vcpu, struct fault *fault)
{
	bool writable = fault->acc & UMBRA_ACC_WRITE, large;
	struct umbra_host_page *hp = &fault->host;

	if (!READ_ONCE(shadow_large) || umbra_slot_max_level(fault->slot, fault->gfn) < 2)
		return false;
	if (!umbra_host_get_fast(vcpu, fault->slot, fault->gfn, writable, hp) &&
	    (!writable || fault->write ||
	     !umbra_host_get_fast(vcpu, fault->slot, fault->gfn, false, hp)))
		return false;
	large = PageCompound(hp->page) && umbra_host_level(vcpu->vm, hp->hva) > 1;
	put_page(hp->page);
	return large;
}

static enum umbra_fast fast_fault(struct umbra_vcpu *vcpu, u64 gva, u32 access, u32 *error)
{
	const struct umbra_paging *paging = &vcpu->arch.mmu.paging;
	const struct umbra_format *f = paging->format;
	const struct umbra_walk_access in = {
		.access = access,
		.pkru = paging->flags & UMBRA_PAGING_PKE ? rdpkru() : 0,
		.smap = paging->flags & UMBRA_PAGING_SMAP &&
			((!(access & X86_PF_USER) && umbra_cpl(vcpu) == 3) ||
			 !(vcpu->arch.rflags & X86_EFLAGS_AC)),
	};
	struct umbra_mmu_page *page;
	bool absent = false;
	struct fault fault;
	unsigned int index;
	u64 guest;
	int level;

	*error = access & (X86_PF_WRITE | X86_PF_USER);
	if (access & X86_PF_INSTR && paging->flags & (UMBRA_PAGING_NX | UMBRA_PAGING_SMEP))
		*error |= X86_PF_INSTR;
	page = fast_descend(vcpu, gva, &index, &absent);
	if (!page)
		return absent ? UMBRA_FAST_FAULT : UMBRA_FAST_NO;
	guest = READ_ONCE(page->mem[index]);
	if (!(guest & f->present))
		return UMBRA_FAST_FAULT;
	level = page->role.level;
	if (unlikely(umbra_reserved_bits(paging, level, guest, true))) {
		*error |= X86_PF_PROT | X86_PF_RSVD;
		return UMBRA_FAST_FAULT;
	}
	fault.acc = page->role.access & umbra_entry_acc(f, guest);
	fault.walk.key = f->key_shift ? (guest >> f->key_shift) & 15 : 0;
	*error |= umbra_walk_check(paging, &in, fault.acc, fault.walk.key);
	if (*error & X86_PF_PROT)
		return UMBRA_FAST_FAULT;

	fault.gva = gva;
	fault.gfn = (umbra_leaf_address(f, level, guest) >> PAGE_SHIFT) |
		    (gva >> PAGE_SHIFT & (umbra_level_pages(level) - 1));
	fault.write = access & X86_PF_WRITE;
	fault.slot = umbra_vcpu_slot(vcpu, fault.gfn);
	if (!fault.slot || fault.slot->flags & UMBRA_MEM_READONLY)
		return UMBRA_FAST_NO;
	if (!fast_mark(vcpu, page, index, f->accessed | (fault.write ? f->dirty : 0), &guest))
		return UMBRA_FAST_DONE;
	fault.walk.entry[level] = guest;
	/* The first write must fault, so that the guest sees the bit set. */
	if (!(guest & f->dirty))
		fault.acc &= ~UMBRA_ACC_WRITE;
	if (!(level == 1 ? fast_host(vcpu, &fault) : fast_host_large(vcpu, &fault)) ||
	    map_leaf(vcpu, page, index, &fault) != MAP_DONE)
		return UMBRA_FAST_NO;
	if (level == 1 && READ_ONCE(shadow_prefetch))
		umbra_shadow_prefetch(vcpu, page, index & ~(PREFETCH - 1), PREFETCH);
	return UMBRA_FAST_DONE;
}

/**
 * shadow_fast_fault() - a page fault, if all tables are there
 * @vcpu: the vCPU, loaded, in the guest as far as others can tell; interrupts off
 * @gva: the address
 * @access: X86_PF_WRITE, X86_PF_USER, X86_PF_INSTR
 * @error: error code for the guest, if it is a fault of its own
 *
 * Our own tables are walked instead of the guest's: those of level 2 and up agree
 * with them, and that of level 1 leads to the guest's entry.
 *
 * Return: what came of it; UMBRA_FAST_NO: to be done by umbra_mmu_fault().
 */
static enum umbra_fast shadow_fast_fault(struct umbra_vcpu *vcpu, u64 gva, u32 access, u32 *error)
{
	const struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;
	struct umbra_vm *vm = vcpu->vm;
	enum umbra_fast ret = UMBRA_FAST_NO;

	if (!umbra_mmu_paging_known(vcpu) || !mmu->paging.format ||
	    mmu->paging.format->entry_size != sizeof(u64) || !mmu->role.wp ||
	    !umbra_mmu_topped_up(vcpu) || !umbra_fast_lock(vm))
		return UMBRA_FAST_NO;
	/* What a loose table holds by now is not looked at there. */
	if (umbra_shadow_root_valid(vcpu) && vm->arch.mmu.nr_zapped < UMBRA_ZAPPED_MAX &&
	    !umbra_mmu_has_loose(vm))
		ret = fast_fault(vcpu, gva, access, error);
	write_unlock(&vm->mmu_lock);
	return ret;
}

const struct umbra_mmu_strategy umbra_mmu_shadow = {
	.fast_fault = shadow_fast_fault,
	.load = umbra_shadow_load,
	.fault = shadow_fault,
	.reset_context = umbra_shadow_reset_context,
	.new_cr3 = umbra_shadow_new_cr3,
	.invlpg = umbra_shadow_invlpg,
	.flush_guest = umbra_shadow_new_cr3,
	.guest_write = umbra_shadow_guest_write,
	.unprotect = umbra_shadow_unprotect,
};
