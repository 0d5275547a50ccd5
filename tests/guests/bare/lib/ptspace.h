/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small 4-level address space for tests of tables (64-bit images): the page at
 * REGION maps frame[0], by the entry at @pte. There is user code, too (ptcheck.h).
 */
#ifndef LIB_PTSPACE_H
#define LIB_PTSPACE_H

#include "pt.h"

#define REGION	0x0000600000000000ul
#define USER_VA	0x0000500000000000ul

extern struct space space;
extern ulong frame[4];		/* four pages, each begins with its own number */
extern ulong pte;

static inline u32 peek(ulong va)
{
	return *(volatile u32 *)va;
}

static inline void poke(ulong va, u32 v)
{
	*(volatile u32 *)va = v;
}

static inline u64 entry(ulong e)
{
	return *(volatile u64 *)e;
}

static inline void set_entry(ulong e, u64 v)
{
	*(volatile u64 *)e = v;
}

void open_space(void);
void close_space(void);

/* Defines test_NAME(), which runs the body that follows in such a space. */
#define WITH_SPACE(name)			\
static void body_##name(void);			\
static void test_##name(void)			\
{						\
	open_space();				\
	body_##name();				\
	close_space();				\
}						\
static void body_##name(void)

#endif
