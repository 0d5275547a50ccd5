/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Plain accesses to one page, compared with the model: fault or not, error code,
 * CR2, data, accessed and dirty bits.
 */
#ifndef LIB_PTCHECK_H
#define LIB_PTCHECK_H

#include "ptmodel.h"

enum access { K_READ, K_WRITE, K_FETCH, U_READ, U_WRITE, U_FETCH, ACCESSES };

struct pt_target {
	struct space space;
	ulong va, data;		/* the tested address, and its page's physical one */
	int leaf;		/* level of the leaf that maps it now */
	ulong entry[6];		/* address of its entry of each level */
	u64 want[6];		/* contents of them */
};

/* What PT_P | PT_W | PT_U at every level down to the leaf makes of it. */
void pt_target_init(struct pt_target *t, enum pt_mode mode, ulong region);
void pt_target_open(struct pt_target *t, int leaf);
/* Writes t->want into the tables and flushes the address. */
void pt_target_apply(struct pt_target *t);
/* Does one access and checks all of its effects; false if something was wrong. */
bool pt_target_check(struct pt_target *t, const struct pt_env *env, enum access a);

/* Every level's flags one at a time, against every access, in every setting. */
void pt_check_levels(enum pt_mode mode, ulong region, int leaf);
/* Each reserved bit of each level, alone. */
void pt_check_reserved(enum pt_mode mode, ulong region);
/* Random entries at all levels. */
void pt_check_random(enum pt_mode mode, ulong region, int count, bool reserved);

/* Runs @fn in 5-level paging; where there is none the test is skipped (64-bit images). */
void pt_with_la57(void (*fn)(void));

/* User code, copied to @va, and a stack behind it, which becomes user_run()'s. */
void pt_map_code(struct space *s, ulong va, const u8 *code, const u8 *end);
/* The same for code of its own, for user_run() with pt_user_* below. */
void pt_map_user(struct space *s, ulong va);
/* Entry points there: load from, store to, jump to the first argument. */
extern ulong pt_user_load, pt_user_store, pt_user_jump;

#endif
