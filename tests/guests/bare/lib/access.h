/* SPDX-License-Identifier: GPL-2.0-only */
/* Every kind of access to memory, done at CPL 0 and 3 and compared with the model. */
#ifndef LIB_ACCESS_H
#define LIB_ACCESS_H

#define ACCESS_OLD	0x5d4bc35a	/* what the operand begins with; the rest of it is 0 */

#ifndef __ASSEMBLER__
#include "ptmodel.h"

/* What becomes of the operand's first four bytes. */
enum effect {
	EFF_NONE,		/* not looked at */
	EFF_READ,		/* nothing; they are the result */
	EFF_KEEP,		/* nothing, though they are written */
	EFF_STORE, EFF_ADD, EFF_NOT, EFF_BTS,
};

#define OP_WRITE	BIT(0)
#define OP_RMW		BIT(1)	/* beside OP_WRITE */
#define OP_FETCH	BIT(2)
#define OP_STACK	BIT(3)	/* the operand is the stack while it happens */
#define OP_NO_FAULT	BIT(4)	/* gives up where others fault */
#define OP_ALIGNED	BIT(5)	/* to its size, or to 16 */
#define OP_PARTS	BIT(6)	/* many accesses: any of them may fault first */
#define OP_IO		BIT(7)	/* needs IOPL */

struct access_op {
	const char *name;
	int size;
	u32 flags;
	enum effect effect;
	void *kernel, *user;
};

extern const struct access_op access_ops[];
extern const int access_op_count;

/*
 * Two pages in a row with separate entries below @boundary, the level whose range
 * ends between them: 1 if only the last entries differ.
 */
struct page_pair {
	struct space space;
	int boundary;
	ulong va;		/* of the first page */
	struct {
		ulong pa;
		int leaf;		/* level of the leaf that maps it now */
		ulong entry[6];		/* by level: address of its entry */
	} page[2];
};

/* Tables for addresses from @region on; takes some 8 MiB of memory. */
void pair_init(struct page_pair *p, enum pt_mode mode, ulong region, int boundary);
/* All rights at every level; leaves where they are said to be. */
void pair_open(struct page_pair *p, int leaf0, int leaf1);
/* Random flags in all entries of one page; mostly open, so that walks get to the end. */
void pair_random_page(struct page_pair *p, int i, const struct pt_env *env, bool reserved);
void pair_flush(struct page_pair *p);
/*
 * Does @op as user or kernel, the operand at @offset from the first page, and checks
 * everything: fault, error code, CR2, data, accessed and dirty bits of both pages.
 */
bool pair_check(struct page_pair *p, const struct pt_env *env, const struct access_op *op,
		bool user, int offset);

/* Page faults use a stack of their own, so that any other may be what faults (64-bit). */
void fault_stack(bool own);

/* @count random entries and accesses, for all boundaries of @mode. */
void access_check_random(enum pt_mode mode, ulong region, int count, bool reserved);

/*
 * Every combination of P, W, U, A, D and NX in the entry of each level, the others
 * open, in every setting of the controls and rights of the protection key, against
 * reads, writes, both at once and fetches of kernel and user: each @stride-th of these,
 * or all of them with "full=1" on the command line. With @reserved a reserved bit is
 * set, too, another one each time.
 */
void access_check_combinations(enum pt_mode mode, ulong region, u32 stride, bool reserved);
#endif
#endif
