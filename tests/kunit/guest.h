/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest with page tables that change at random, by its own stores, and what its vCPUs
 * may see: every answer must follow from values that the entries on the way have had
 * since the vCPU last flushed its TLB, and lead to the page that the host has there now.
 */
#ifndef TESTS_KUNIT_GUEST_H
#define TESTS_KUNIT_GUEST_H

#include "softcpu.h"
#include "model.h"

#define GUEST_PAGES	1024
#define GUEST_VCPUS	2
#define GUEST_NO_PAGING	-1

/* Where in its memory, in pages. */
/* 0 to 2 are what random addresses in a large page at 0 reach. */
#define GUEST_CODE	8
#define GUEST_TABLES	9	/* static ones: the map of all memory at address 0 */
#define GUEST_POOL	16	/* tables that are written to at random */
#define GUEST_POOL_END	28
#define GUEST_DATA	28
#define GUEST_DATA_END	40
#define GUEST_USED	40	/* pages that are looked at one by one */

/* An 8-byte word was overwritten. */
struct guest_change {
	u32 gpa;
	u64 old;
};

#define GUEST_CHANGES	4096
#define GUEST_INVLPGS	64

struct guest {
	struct kunit *test;
	struct umbra_vm *vm;
	unsigned long hva;
	int format;		/* enum model_format, or GUEST_NO_PAGING */
	unsigned int maxphyaddr;
	u64 cr0, cr3, cr4, efer;	/* the same of all vCPUs, but for CR3 and CR0.WP */
	u64 code_user, code_kernel;
	bool read_only;

	struct guest_vcpu {
		u64 cr0, cr3;
		unsigned int flushed;	/* changes before this one are seen */
		struct {
			u64 page;
			unsigned int at;
		} invlpg[GUEST_INVLPGS];
		unsigned int invlpgs;
	} vcpu[GUEST_VCPUS];

	struct guest_change *change;	/* GUEST_CHANGES */
	unsigned int changes;
	u8 *snapshot;			/* GUEST_USED pages, as of the last dirty log */
	unsigned int count[8];		/* of outcomes */
};

/* What became of the steps of a guest: indices of guest.count. */
enum {
	GUEST_DONE, GUEST_SOFTWARE, GUEST_FAULTED, GUEST_OUTSIDE, GUEST_STALE, GUEST_MARKED,
	GUEST_MOVED,
};

/* NULL and a failure of the test if it cannot be made. */
struct guest *guest_create(struct kunit *test, u32 paging, int format, u32 slot_flags);
void guest_free(struct guest *g);

/* One instruction of a vCPU, and whether it was right; false: the test has failed. */
bool guest_run(struct guest *g, unsigned int vcpu, struct soft_op *op);

/* Something at random: an access, a change of a table, INVLPG, a CR, the host. */
bool guest_step(struct guest *g);

/* An address in the part that the changing tables map; and in the map of all memory. */
u64 guest_random_gva(struct guest *g);
u64 guest_linear(struct guest *g, unsigned int page, unsigned int offset);

/* Reads and checks the dirty log: every page that has changed must be there. */
bool guest_dirty_check(struct guest *g);

/* consistency.c: do tables, reverse maps, hash and counts agree? NULL: they do. */
const char *mmu_inconsistent(struct umbra_vm *vm);

#endif
