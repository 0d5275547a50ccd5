/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MMU: the tables that map a guest's memory, nested or shadow.
 *
 * Documentation/mmu.rst explains them; the inside is in internal.h. Unless said
 * otherwise a function that takes a vCPU is called by the thread that runs it,
 * with vcpu->mutex held, in the monitor's address space, and may sleep.
 */
#ifndef UMBRA_MMU_H
#define UMBRA_MMU_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <umbra/umbra.h>
#include "format.h"

struct umbra_vm;
struct umbra_vcpu;
struct umbra_slot;
struct umbra_exception;
struct umbra_mmu_page;
struct umbra_mmu_strategy;
struct umbra_rmap;

/*
 * How memory is accessed, where a function takes @access: X86_PF_WRITE,
 * X86_PF_USER and X86_PF_INSTR of <asm/trap_pf.h>, and
 */
#define UMBRA_ACCESS_IMPLICIT	BIT(16)	/* by the CPU itself, to a system structure: never user */

/*
 * In the error code of a nested fault: the address is that of what the instruction
 * accesses, not one of the guest's tables on the way there. May be left out.
 */
#define UMBRA_ACCESS_OPERAND	BIT(17)

/* Counters; names in stats.c. */
enum umbra_mmu_stat {
	UMBRA_MMU_PAGES_MADE,		/* table pages allocated */
	UMBRA_MMU_PAGES_ZAPPED,
	UMBRA_MMU_PAGES_RECLAIMED,	/* zapped because there were too many */
	UMBRA_MMU_PAGES_REUSED,		/* found in the hash when needed again */
	UMBRA_MMU_FAULTS,		/* leaves mapped by a fault */
	UMBRA_MMU_FAULTS_SPURIOUS,	/* the entry was right already */
	UMBRA_MMU_FAULTS_FAST,		/* handled with interrupts off, guest's own included */
	UMBRA_MMU_FAULTS_GUEST,		/* the guest's own */
	UMBRA_MMU_FAULTS_RETRIED,	/* memory or tables changed meanwhile */
	UMBRA_MMU_FAULTS_MMIO,
	UMBRA_MMU_FAULTS_TABLE,		/* writes to write-protected guest tables */
	UMBRA_MMU_LEAVES_LARGE,
	UMBRA_MMU_LEAVES_ZAPPED,
	UMBRA_MMU_RMAP_LISTS,		/* a second leaf for the same page */
	UMBRA_MMU_RMAP_RECYCLED,	/* too many leaves for the same page */
	UMBRA_MMU_GUEST_WRITES,		/* emulated writes to shadowed tables */
	UMBRA_MMU_WRITE_FLOODS,		/* tables given up after many of them */
	UMBRA_MMU_LOOSENED,		/* tables of any level that the guest may write for once */
	UMBRA_MMU_UNSYNCS,		/* leaf tables made writable for the guest */
	UMBRA_MMU_SYNCS,		/* ... and read again */
	UMBRA_MMU_SYNC_ENTRIES,		/* entries that had changed */
	UMBRA_MMU_PROTECTS,		/* unsync leaf tables write-protected again */
	UMBRA_MMU_INVLPGS,
	UMBRA_MMU_PREFETCHES,
	UMBRA_MMU_CR3_LOADS,
	UMBRA_MMU_ROOTS_CACHED,		/* CR3 loads that found a previous root */
	UMBRA_MMU_ROOTS_MADE,
	UMBRA_MMU_FLUSHES,		/* of all vCPUs */
	UMBRA_MMU_NOTIFIER_ZAPS,	/* ranges the host took back */
	UMBRA_MMU_NR_STATS
};

/* What came of a fault that was looked at with interrupts off. */
enum umbra_fast {
	UMBRA_FAST_NO,		/* nothing; the slow way it is */
	UMBRA_FAST_DONE,	/* enter the guest again */
	UMBRA_FAST_FAULT,	/* it is the guest's own */
};

/* What a slot carries for the MMU: one array for each leaf level. */
struct umbra_mmu_slot {
	struct umbra_rmap *rmap[3];	/* leaves of that level, by page of that size */
	u32 *tables[2];			/* by 2 MiB and 1 GiB: shadowed guest tables inside */
};

#define UMBRA_MMU_HASH_BITS	11

struct umbra_mmu_vm {
	const struct umbra_mmu_strategy *strategy;
	struct umbra_paging host;	/* the format of our own tables */
	u8 max_leaf;			/* level of the largest leaves in them */
	bool no_accessed;		/* the CPU sets no accessed bits there */
	bool withdrawn;			/* see umbra_mmu_withdraw_page() */
	bool logs;			/* the CPU notes which pages it sets dirty bits for */
	/* All below under mmu_lock, or pages_lock where it is held for reading. */
	spinlock_t pages_lock;
	struct hlist_head *hash;	/* shadow: table pages by gfn */
	struct list_head pages;		/* all table pages, newest first */
	struct list_head zapped;	/* out of use, freed after the next flush */
	unsigned int nr_pages;
	unsigned int nr_zapped;
	unsigned int max_pages;
	u32 max_generation;		/* of the slots that max_pages was computed for, plus 1 */
	struct umbra_mmu_page *root;	/* nested: the one root */
	unsigned long link_drops;	/* links to tables that were taken out, ever */
	bool tlb_stale;			/* entries were dropped and TLBs not flushed */
	unsigned int nr_held;		/* zapped, but some vCPU's previous root */
	struct list_head loose;		/* shadow: pages to be zapped at a vCPU's next flush */
	unsigned int nr_loose;
	struct list_head spare;		/* empty table pages, to be used again */
	unsigned int nr_spare;
	u64 stat[UMBRA_MMU_NR_STATS];
};

/*
 * What tells table pages for the same gfn apart. The word is compared as a
 * whole, so every bit counts and unused ones are 0.
 */
union umbra_mmu_role {
	u64 word;
	struct {
		u64 level:3;
		u64 format:3;		/* enum umbra_format_id of the guest's table */
		u64 direct:1;		/* maps gfns one to one; no guest table behind it */
		u64 quadrant:2;		/* 32-bit paging: which part of the guest's table */
		u64 access:3;		/* UMBRA_ACC_* that the way to here grants */
		u64 key:4;		/* direct: protection key of the large page */
		u64 pse:1;		/* CR4.PSE */
		u64 nxe:1;		/* EFER.NXE */
		u64 wp:1;		/* CR0.WP */
		u64 nowp_smep:1;	/* CR4.SMEP, while CR0.WP is 0 */
		u64 nowp_exact:1;	/* SMAP or PKE, while CR0.WP is 0 */
	};
};

#define UMBRA_MMU_ROOTS_BITS	7
#define UMBRA_MMU_ROOTS		BIT(UMBRA_MMU_ROOTS_BITS)

/*
 * A root this vCPU has used. A PAE root has four table pages, the others one.
 * Each holds a count on its pages, so that they are not freed, but they may be
 * zapped at any time and are then marked invalid.
 */
struct umbra_mmu_root {
	bool valid;
	union umbra_mmu_role role;
	u64 cr3;			/* without the bits that are no address */
	u64 pdpte[4];			/* PAE: those it was made from */
	struct umbra_mmu_page *page[4];
	/* Where code was read last: the page, the leaf that maps it, the VM's link_drops then. */
	u64 code;
	const u64 *code_leaf;
	unsigned long code_drops;
};

#define UMBRA_MMU_CACHE		40

/* Objects allocated while it is allowed to sleep. */
struct umbra_mmu_cache {
	unsigned int count;
	void *object[UMBRA_MMU_CACHE];
};

/* A table entry of the guest's: where it is in the monitor's memory, and what it was. */
struct umbra_mmu_memo_entry {
	unsigned long hva;
	u64 value;
};

/**
 * struct umbra_mmu_memo - a translation of a page and what it was made of
 * @page: linear address of the page; not page-aligned: there is none
 * @cr3: of the guest
 * @access: X86_PF_USER, X86_PF_WRITE, X86_PF_INSTR
 * @rights: PKRU, and RFLAGS.AC in the upper half; 0 for code
 * @gpa: of the page
 * @hva: of the page, 0 if it is in no memory slot
 * @entries: how many of @entry are used: 0 while paging is off
 * @entry: the entries, from the root down
 */
struct umbra_mmu_memo {
	u64 page;
	u64 cr3;
	u32 access;
	u64 rights;
	u64 gpa;
	unsigned long hva;
	unsigned int entries;
	struct umbra_mmu_memo_entry entry[UMBRA_MAX_LEVEL];
};

struct umbra_mmu_vcpu {
	struct umbra_paging paging;	/* the guest's, as of the registers below */
	u64 cr0, cr4, efer;
	u8 maxphyaddr;
	struct umbra_mmu_memo code, data;	/* see memo.c */
	u64 no_memory;			/* nested paging: address of a page without any */

	/* Shadow paging */
	union umbra_mmu_role role;	/* of a root, as of the same registers */
	struct umbra_mmu_root *root;	/* the current one, NULL: none */
	struct umbra_mmu_root *roots;	/* UMBRA_MMU_ROOTS of them, by hash */
	u64 *pae_table;			/* the four entries the CPU's CR3 points to */
	u64 settled_rip;		/* see umbra_mmu_settle() */
	bool settled;			/* ... it is valid */
	u64 unprotected_rip;		/* see umbra_mmu_unprotect() */
	u64 unprotected_gpr[UMBRA_NR_GPRS];
	u64 unprotected_at;		/* as the count of entries has it */
	u8 unprotected;			/* ... how often there; no more than is of use */

	struct umbra_mmu_cache pages;	/* struct umbra_mmu_page with an empty table */
	struct umbra_mmu_cache copies;	/* pages, not zeroed */
	struct umbra_mmu_cache rmaps;

	u64 stat[UMBRA_MMU_NR_STATS];
};

/* mmu.c */
int umbra_mmu_module_init(void);
void umbra_mmu_module_exit(void);
int umbra_mmu_vm_init(struct umbra_vm *vm, u32 paging);
void umbra_mmu_vm_destroy(struct umbra_vm *vm);
int umbra_mmu_vcpu_create(struct umbra_vcpu *vcpu);
void umbra_mmu_vcpu_free(struct umbra_vcpu *vcpu);
int umbra_mmu_slot_alloc(struct umbra_slot *slot);
void umbra_mmu_slot_free(struct umbra_slot *slot);
unsigned int umbra_mmu_stats(struct umbra_vm *vm, struct umbra_stat *out, unsigned int max);

/*
 * All vCPUs are stopped, or the monitor's memory is going away. Takes mmu_lock.
 * Drops every table; also called whenever slots change.
 */
void umbra_mmu_zap_all(struct umbra_vm *vm);

/* notifier.c: called by the MMU notifier with mmu_lock held for writing. */
bool umbra_mmu_zap_hva(struct umbra_vm *vm, unsigned long start, unsigned long end);
bool umbra_mmu_age_hva(struct umbra_vm *vm, unsigned long start, unsigned long end);
bool umbra_mmu_test_age_hva(struct umbra_vm *vm, unsigned long start, unsigned long end);

/* The monitor has changed what may be the guest's tables. Takes mmu_lock. */
void umbra_mmu_tables_written(struct umbra_vm *vm, struct umbra_slot *slot, gfn_t first,
			      gfn_t last);

/*
 * Dirty log: from now on the first write to each page of the slot is noted by
 * umbra_mark_dirty(). mmu_lock is held for writing. Flushes TLBs; vCPUs that were
 * in the guest have left it by then, so what the CPU has noted is in the log.
 */
void umbra_mmu_watch_slot(struct umbra_vm *vm, struct umbra_slot *slot);
void umbra_mmu_flush(struct umbra_vm *vm);

/* The guest's control registers. */
void umbra_mmu_reset_context(struct umbra_vcpu *vcpu);
int umbra_mmu_load_pdptes(struct umbra_vcpu *vcpu, u64 cr3);
void umbra_mmu_new_cr3(struct umbra_vcpu *vcpu);
void umbra_mmu_invlpg(struct umbra_vcpu *vcpu, u64 gva);
void umbra_mmu_invpcid(struct umbra_vcpu *vcpu, unsigned int type, u16 pcid, u64 gva);
void umbra_mmu_flush_guest(struct umbra_vcpu *vcpu);

int umbra_mmu_load(struct umbra_vcpu *vcpu);
int umbra_mmu_fault(struct umbra_vcpu *vcpu, u64 addr, u32 error_code);
int umbra_mmu_map_page(struct umbra_vcpu *vcpu, u64 gfn, u64 pfn);
int umbra_mmu_lend_page(struct umbra_vcpu *vcpu, u64 gfn, u64 pfn);
void umbra_mmu_withdraw_page(struct umbra_vcpu *vcpu, u64 gfn);

/*
 * The same with interrupts still off after an exit, as far as that is easy: no
 * other CPU is waited for, nothing is allocated. The vCPU counts as being in the
 * guest, and its XCR0 and PKRU are in the CPU.
 */
enum umbra_fast umbra_mmu_fast_fault(struct umbra_vcpu *vcpu, u64 addr, u32 error_code,
				     u32 *error);
bool umbra_mmu_fast_cr3(struct umbra_vcpu *vcpu, u64 cr3);
bool umbra_mmu_fast_invlpg(struct umbra_vcpu *vcpu, u64 gva);
unsigned int umbra_mmu_fetch(struct umbra_vcpu *vcpu, u64 linear, u8 *bytes, unsigned int len);

/* walk.c */
int umbra_mmu_translate(struct umbra_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
			struct umbra_exception *e);

/* memo.c */
#define UMBRA_CODE_BYTES	16	/* enough for any instruction */
bool umbra_mmu_read_code(struct umbra_vcpu *vcpu, u64 linear, bool user, u64 *code);
void umbra_mmu_forget(struct umbra_vcpu *vcpu);

/*
 * Memory at gpa has just been written by the executor or by the module on the
 * guest's behalf. Cheap when no guest table is shadowed there.
 */
void umbra_mmu_guest_write(struct umbra_vcpu *vcpu, u64 gpa, unsigned int len);

int umbra_host_error(struct umbra_vcpu *vcpu, gfn_t gfn, int err);

/*
 * The executor cannot do a write that was trapped because gpa is in a shadowed
 * table, or the CPU does it to deliver an event. Have the CPU do it, sooner or later,
 * even if the table translates the very write.
 */
void umbra_mmu_unprotect(struct umbra_vcpu *vcpu, u64 gpa);

/*
 * The executor cannot do an instruction that was trapped because no leaf is right for
 * what it writes. From now on one is made that allows the guest's kernel more.
 */
void umbra_mmu_settle(struct umbra_vcpu *vcpu);

#endif /* UMBRA_MMU_H */
