/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the manuals say of an access through page tables (SDM Vol. 3A sections 4.6
 * to 4.8, APM Vol. 2 section 5), and the controls that it depends on.
 */
#ifndef LIB_PTMODEL_H
#define LIB_PTMODEL_H

#include "pt.h"

/* Of an access; an implicit one is the processor's own, whatever CPL is. */
#define ACC_WRITE	BIT(0)
#define ACC_USER	BIT(1)
#define ACC_FETCH	BIT(2)
#define ACC_IMPLICIT	BIT(3)

/* The controls that matter to rights; pt_set_env() puts them into the processor. */
struct pt_env {
	bool wp, nxe, smep, smap, ac, pke, pge;
	u32 pkru;
};

/* What an access comes to, and what its walk looked at. */
struct pt_walk {
	bool fault;
	u32 error, either;	/* error code, and bits of it that may be both ways */
	u64 pa;			/* without a fault */
	int top, last;		/* the first and the last level looked at */
	bool at_leaf;		/* the last one's entry maps the page */
	bool write;
	ulong entry[6];		/* by level: its address, and its contents before */
	u64 was[6];
};

void pt_walk(struct pt_walk *w, const struct space *s, const struct pt_env *env, ulong va,
	     u32 access);

/*
 * Whether entries are as the walk must leave them. Before a fault accessed bits may
 * be set on the way, not in the entry that refuses unless that has been read before
 * (@read); of another part of the same operand that does not fault (@part) the dirty
 * bit, too.
 */
bool pt_walk_marked(const struct pt_walk *w, enum pt_mode mode, bool done, bool part, bool read);

/* Bits that must be zero in an entry of @level that holds @e. */
u64 pt_reserved(enum pt_mode mode, int level, u64 e, const struct pt_env *env);

/* Highest level that may map a page on this CPU. */
int pt_max_leaf(enum pt_mode mode);

void pt_set_env(const struct pt_env *env);
/* Steps through all settings that this CPU has; false after the last one. */
bool pt_next_env(struct pt_env *env, enum pt_mode mode);
void pt_default_env(struct pt_env *env);
bool pt_env_possible(const struct pt_env *env);
/* Some setting that this CPU has. The memory of key 0 stays usable. */
void pt_random_env(struct pt_env *env);
/* Puts it into words, for a message. */
void pt_env_text(const struct pt_env *env, char *text, size_t size);

/* A constant sequence of numbers; "seed=N" on the command line chooses another. */
u32 random32(void);

#endif
