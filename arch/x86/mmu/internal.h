/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the MMU share. */
#ifndef UMBRA_MMU_INTERNAL_H
#define UMBRA_MMU_INTERNAL_H

#include <linux/bitmap.h>
#include <linux/hash.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/pgtable_types.h>
#include "umbra.h"
#include "walk.h"

/* Entries of one of our own tables, whatever the format. */
#define UMBRA_ENTRIES		512

/**
 * struct umbra_rmap - the entries that point to one page or table page
 * @value: 0, the address of the only entry, or that of a struct umbra_rmap_list
 *	with bit 0 set
 */
struct umbra_rmap {
	unsigned long value;
};

/**
 * struct umbra_mmu_page - a table page of ours and what it stands for
 * @hash: in mmu_vm->hash by @gfn, unless nested
 * @link: in mmu_vm->pages, or, when zapped, in mmu_vm->zapped
 * @gfn: of the guest's table, or, direct, the first one that is mapped
 * @role: what tells it from others for @gfn
 * @table: 512 entries that the CPU reads
 * @guest: by entry of @table that is present: the guest's entry it was made
 *	from; NULL if direct
 * @mem: the guest's table itself, where the kernel has it mapped; NULL if direct,
 *	or if it may not be written to. When the host takes the memory back the
 *	page is zapped
 * @hpa: address of @table
 * @parents: the entries that point here
 * @roots: how many struct umbra_mmu_root hold it; it is not freed before
 * @active: how many of them are the current one of their vCPU
 * @invalid: zapped
 * @unsync: the guest may write its table without our knowing
 * @loose: the same at any level, until a vCPU's next flush, which zaps the page
 * @writes: emulated writes since a fault last went through here
 * @idle: entries compared in vain since the guest was last seen to write there
 * @present: entries of @table that are present, unless nested
 * @unsync_children: how many bits are set in @unsync_map
 * @unsync_map: entries that may lead to an unsync page
 * @sync_link: in mmu_vm->loose, or while unsync pages are collected
 */
struct umbra_mmu_page {
	struct hlist_node hash;
	struct list_head link;
	gfn_t gfn;
	union umbra_mmu_role role;
	u64 *table;
	u64 *guest;
	u64 *mem;
	hpa_t hpa;
	struct umbra_rmap parents;
	unsigned int roots;
	atomic_t active;
	bool invalid;
	bool unsync;
	bool loose;
	u8 writes;
	u16 idle;
	DECLARE_BITMAP(present, UMBRA_ENTRIES);
	unsigned int unsync_children;
	DECLARE_BITMAP(unsync_map, UMBRA_ENTRIES);
	struct list_head sync_link;
};

/**
 * struct umbra_mmu_strategy - a way to virtualize memory
 * @load: make a root for the guest's current state and hand it to the backend
 * @fault: see umbra_mmu_fault()
 * @reset_context: the guest's paging mode has changed
 * @new_cr3: the guest has loaded CR3
 * @invlpg: the guest has invalidated a page; NULL: does not concern it
 * @flush_guest: the guest has invalidated everything
 * @guest_write: guest memory was written on the guest's behalf; NULL: as above
 * @unprotect: see umbra_mmu_unprotect(); NULL: never
 * @fast_fault: see umbra_mmu_fast_fault()
 */
struct umbra_mmu_strategy {
	int (*load)(struct umbra_vcpu *vcpu);
	int (*fault)(struct umbra_vcpu *vcpu, u64 addr, u32 error_code);
	void (*reset_context)(struct umbra_vcpu *vcpu);
	void (*new_cr3)(struct umbra_vcpu *vcpu);
	void (*invlpg)(struct umbra_vcpu *vcpu, u64 gva);
	void (*flush_guest)(struct umbra_vcpu *vcpu);
	void (*guest_write)(struct umbra_vcpu *vcpu, u64 gpa, unsigned int len);
	void (*unprotect)(struct umbra_vcpu *vcpu, u64 gpa);
	enum umbra_fast (*fast_fault)(struct umbra_vcpu *vcpu, u64 addr, u32 access, u32 *error);
};

extern const struct umbra_mmu_strategy umbra_mmu_nested;
extern const struct umbra_mmu_strategy umbra_mmu_shadow;

static inline bool umbra_mmu_is_nested(const struct umbra_vm *vm)
{
	return vm->arch.mmu.strategy == &umbra_mmu_nested;
}

#define umbra_mmu_count(owner, which) ((owner)->arch.mmu.stat[UMBRA_MMU_##which]++)

/* ------------------------------------------------------------------ */
/* Entries of our own tables: masks of NPT, EPT and shadow tables agree */
/* in address and leaf bit, the rest is read from the format.           */

#define UMBRA_ENTRY_ADDRESS	GENMASK_ULL(51, 12)

static inline bool umbra_entry_present(const struct umbra_vm *vm, u64 entry)
{
	return entry & vm->arch.mmu.host.format->present;
}

static inline bool umbra_entry_leaf(int level, u64 entry)
{
	return level == 1 || (entry & _PAGE_PSE);
}

static inline u64 umbra_entry_pfn(u64 entry)
{
	return (__sme_clr(entry) & UMBRA_ENTRY_ADDRESS) >> PAGE_SHIFT;
}

/* The table page an entry of ours points to, and the one that holds an entry. */
static inline struct umbra_mmu_page *umbra_entry_child(u64 entry)
{
	return (void *)page_private(pfn_to_page(umbra_entry_pfn(entry)));
}

static inline struct umbra_mmu_page *umbra_entry_page(const u64 *entryp)
{
	return (void *)page_private(virt_to_page(entryp));
}

static inline unsigned int umbra_entry_index(const u64 *entryp)
{
	return offset_in_page(entryp) / sizeof(u64);
}

/* Ours have nine bits of index at each level, and bit 0 is "present" unless nested. */
static inline unsigned int umbra_own_index(int level, u64 addr)
{
	return addr >> (PAGE_SHIFT + 9 * (level - 1)) & (UMBRA_ENTRIES - 1);
}

/* The page of a root that translates an address, NULL if none does. */
static inline struct umbra_mmu_page *umbra_root_page(const struct umbra_mmu_root *root, u64 addr)
{
	return root->page[root->role.level == 2 ? addr >> 30 & 3 : 0];
}

static inline unsigned long umbra_level_pages(int level)
{
	return 1UL << (9 * (level - 1));
}

u64 umbra_make_link(const struct umbra_vm *vm, const struct umbra_mmu_page *child);
u64 umbra_make_leaf(const struct umbra_vm *vm, u64 pfn, int level, unsigned int acc,
		    unsigned int key);

/* mmu.c */
int umbra_mmu_mmio(struct umbra_vcpu *vcpu, gpa_t gpa, u32 error_code);

/* Was the CPU about to deliver an event when it left the guest? */
static inline bool umbra_mmu_in_delivery(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.exception.injected || vcpu->arch.interrupt.injected ||
	       vcpu->arch.nmi_injected;
}

/* ------------------------------------------------------------------ */
/* host.c: the monitor's memory                                        */

/**
 * struct umbra_host_page - the host's page behind a gfn
 * @page: the page, with a reference
 * @pfn: its number
 * @seq: vm->notifier_seq before it was looked up
 * @hva: its address in the monitor
 * @writable: the monitor may write it
 * @level: how large the host's own mapping is
 */
struct umbra_host_page {
	struct page *page;
	u64 pfn;
	unsigned long seq;
	unsigned long hva;
	bool writable;
	int level;
};

int umbra_host_get(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn, bool write,
		   int max_level, struct umbra_host_page *hp);
int umbra_host_level(const struct umbra_vm *vm, unsigned long hva);
bool umbra_host_get_fast(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
			 bool write, struct umbra_host_page *hp);
bool umbra_host_known(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
		      bool write, u64 *pfn);
void umbra_host_put(struct umbra_host_page *hp);

/* Is part of what backs a gfn being invalidated just now? mmu_lock is held. */
static inline bool umbra_host_busy(const struct umbra_vm *vm, unsigned long hva)
{
	return vm->notifier_count && hva >= (vm->notifier_start & PAGE_MASK) &&
	       hva < vm->notifier_end;
}

int umbra_slot_max_level(const struct umbra_slot *slot, gfn_t gfn);

/*
 * Are there tables of any level that the guest may write? The next flush of a vCPU zaps
 * them, and until then nothing is fast: whoever sees what was written there sees this.
 */
static inline bool umbra_mmu_has_loose(const struct umbra_vm *vm)
{
	return unlikely(READ_ONCE(vm->arch.mmu.nr_loose));
}

/* Are there tables that are shadowed in the 2 MiB around a gfn? */
static inline bool umbra_slot_has_tables(const struct umbra_slot *slot, gfn_t gfn)
{
	return READ_ONCE(slot->mmu.tables[0][(gfn >> 9) - (slot->base >> 9)]);
}

/* walk.c */
int umbra_read_entry(unsigned long hva, unsigned int size, u64 *entry);
bool umbra_walk_gva(struct umbra_vcpu *vcpu, gva_t gva, u32 access, struct umbra_walk *w);
void umbra_mmu_update_paging(struct umbra_vcpu *vcpu);

/*
 * For what is done with interrupts off: a CPU that holds the lock may wait for
 * this one to answer an interrupt.
 */
static inline bool umbra_fast_lock(struct umbra_vm *vm)
{
	/* There the lock sleeps. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return false;
	return write_trylock(&vm->mmu_lock);
}

/* Is mmu->paging that of the guest's registers? */
static inline bool umbra_mmu_paging_known(const struct umbra_vcpu *vcpu)
{
	const struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	return likely(mmu->cr0 == vcpu->arch.cr0 && mmu->cr4 == vcpu->arch.cr4 &&
		      mmu->efer == vcpu->arch.efer);
}

/* The guest's paging mode follows its registers, which nested guests change at will. */
static inline void umbra_mmu_check_paging(struct umbra_vcpu *vcpu)
{
	if (!umbra_mmu_paging_known(vcpu))
		umbra_mmu_update_paging(vcpu);
}

/* ------------------------------------------------------------------ */
/* memo.c                                                              */

void umbra_mmu_remember_mmio(struct umbra_vcpu *vcpu, gva_t gva, u32 access,
			     const struct umbra_walk *w);
bool umbra_mmu_is_mmio(struct umbra_vcpu *vcpu, gva_t gva, u32 access, gpa_t *gpa);

/* ------------------------------------------------------------------ */
/* rmap.c                                                              */

/**
 * struct umbra_rmap_list - a piece of the list of entries for one page
 * @next: the next piece, which is full
 * @count: entries in this one
 * @depth: pieces from here to the end
 * @entry: the entries
 */
struct umbra_rmap_list {
	struct umbra_rmap_list *next;
	u16 count;
	u16 depth;
	u64 *entry[14];
};

/* So many pieces mean a page is mapped more often than is worth keeping track of. */
#define UMBRA_RMAP_MAX_DEPTH	72

void umbra_rmap_add(struct umbra_vcpu *vcpu, struct umbra_rmap *rmap, u64 *entryp);
void umbra_rmap_remove(struct umbra_rmap *rmap, u64 *entryp);
u64 *umbra_rmap_first(const struct umbra_rmap *rmap);
unsigned int umbra_rmap_depth(const struct umbra_rmap *rmap);
struct umbra_rmap *umbra_slot_rmap(const struct umbra_slot *slot, gfn_t gfn, int level);

/* Position in an rmap that is only read, or whose entries are changed but not removed. */
struct umbra_rmap_iter {
	const struct umbra_rmap_list *list;
	unsigned int index;
};

u64 *umbra_rmap_start(const struct umbra_rmap *rmap, struct umbra_rmap_iter *iter);
u64 *umbra_rmap_next(struct umbra_rmap_iter *iter);

bool umbra_rmap_zap(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn, int level);
bool umbra_rmap_write_protect(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t gfn);

/* ------------------------------------------------------------------ */
/* page.c                                                              */

/* So many zapped pages wait for a flush at most. */
#define UMBRA_ZAPPED_MAX	32

int umbra_pages_init(void);
void umbra_pages_exit(void);
int umbra_mmu_topup(struct umbra_vcpu *vcpu);
bool umbra_mmu_topped_up(const struct umbra_vcpu *vcpu);
void umbra_mmu_free_caches(struct umbra_vcpu *vcpu);
struct umbra_rmap_list *umbra_rmap_list_alloc(struct umbra_vcpu *vcpu);
void umbra_rmap_list_free(struct umbra_rmap_list *list);

struct umbra_mmu_page *umbra_page_alloc(struct umbra_vcpu *vcpu, gfn_t gfn,
					union umbra_mmu_role role);
void umbra_page_discard(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page);
void umbra_page_account(struct umbra_vm *vm, struct umbra_mmu_page *page);
void umbra_page_zap(struct umbra_vm *vm, struct umbra_mmu_page *page);
void umbra_page_put_root(struct umbra_vm *vm, struct umbra_mmu_page *page);
void umbra_page_hash(struct umbra_vm *vm, struct umbra_mmu_page *page);
void umbra_pages_settle(struct umbra_vm *vm);
void umbra_pages_reclaim(struct umbra_vm *vm);
void umbra_pages_zap_all(struct umbra_vm *vm);
void umbra_pages_free_all(struct umbra_vm *vm);
bool umbra_entry_drop(struct umbra_vm *vm, struct umbra_mmu_page *page, unsigned int index);
gfn_t umbra_entry_gfn(const struct umbra_mmu_page *page, unsigned int index);

static inline struct hlist_head *umbra_page_bucket(struct umbra_vm *vm, gfn_t gfn)
{
	return &vm->arch.mmu.hash[hash_64(gfn, UMBRA_MMU_HASH_BITS)];
}

/* The page of a gfn and role; NULL if there is none. */
static inline struct umbra_mmu_page *umbra_find_page(struct umbra_vm *vm, gfn_t gfn,
						     union umbra_mmu_role role)
{
	struct umbra_mmu_page *page;

	hlist_for_each_entry(page, umbra_page_bucket(vm, gfn), hash) {
		if (page->gfn == gfn && page->role.word == role.word)
			return page;
	}
	return NULL;
}

static inline struct umbra_mmu_page *umbra_match_shadow(struct hlist_node *node, gfn_t gfn)
{
	for (; node; node = node->next) {
		struct umbra_mmu_page *page = hlist_entry(node, struct umbra_mmu_page, hash);

		if (page->gfn == gfn && !page->role.direct)
			return page;
	}
	return NULL;
}

/* The pages that shadow the guest's table at a gfn, one after the other. */
static inline struct umbra_mmu_page *umbra_first_shadow(struct umbra_vm *vm, gfn_t gfn)
{
	return umbra_match_shadow(umbra_page_bucket(vm, gfn)->first, gfn);
}

static inline struct umbra_mmu_page *umbra_next_shadow(const struct umbra_mmu_page *page)
{
	return umbra_match_shadow(page->hash.next, page->gfn);
}

/* ------------------------------------------------------------------ */
/* sync.c                                                              */

void umbra_sync_gfn(struct umbra_vcpu *vcpu, gfn_t gfn);
void umbra_sync_page(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page);
void umbra_sync_root(struct umbra_vcpu *vcpu, struct umbra_mmu_page *root);
bool umbra_fast_sync_root(struct umbra_vcpu *vcpu, struct umbra_mmu_page *root);
bool umbra_shadow_unsync_new(void);
bool umbra_gfn_make_writable(struct umbra_vcpu *vcpu, gfn_t gfn, bool may_unsync);
void umbra_unsync_inherit(struct umbra_mmu_page *child, u64 *parent);
bool umbra_guest_entries(struct umbra_vm *vm, const struct umbra_slot *slot,
			 const struct umbra_mmu_page *page, unsigned int first,
			 unsigned int count, u64 *entry);
void umbra_shadow_invlpg(struct umbra_vcpu *vcpu, u64 gva);
bool umbra_shadow_fast_invlpg(struct umbra_vcpu *vcpu, u64 gva);
void umbra_shadow_guest_write(struct umbra_vcpu *vcpu, u64 gpa, unsigned int len);
void umbra_shadow_unprotect(struct umbra_vcpu *vcpu, u64 gpa);
void umbra_loose_end(struct umbra_vm *vm, struct umbra_mmu_page *page);
void umbra_zap_loose(struct umbra_vm *vm);

/* roots.c */
int umbra_shadow_load(struct umbra_vcpu *vcpu);
void umbra_shadow_new_cr3(struct umbra_vcpu *vcpu);
bool umbra_shadow_fast_cr3(struct umbra_vcpu *vcpu, u64 cr3);
void umbra_shadow_reset_context(struct umbra_vcpu *vcpu);
void umbra_shadow_drop_roots(struct umbra_vcpu *vcpu);
bool umbra_shadow_root_valid(const struct umbra_vcpu *vcpu);
void umbra_shadow_link_known(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page);
unsigned int umbra_shadow_fetch(struct umbra_vcpu *vcpu, u64 linear, u8 *bytes, unsigned int len);

/* shadow.c */
struct umbra_mmu_page *umbra_shadow_page(struct umbra_vcpu *vcpu, gfn_t gfn,
					 union umbra_mmu_role role);
void umbra_shadow_prefetch(struct umbra_vcpu *vcpu, struct umbra_mmu_page *page,
			   unsigned int first, unsigned int count);

#endif /* UMBRA_MMU_INTERNAL_H */
