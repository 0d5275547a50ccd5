/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walker and its six formats against the model, on random tables: result, error
 * code, accessed and dirty bits, memory that cannot be written and entries that
 * change while they are marked.
 *
 * Built in user space (walk.c) and in the kernel (tests/kunit/test_walk.c).
 */
#ifndef TESTS_UNIT_MMU_CASES_H
#define TESTS_UNIT_MMU_CASES_H

/* What can come of a walk. */
enum walk_outcome {
	WALK_TRANSLATED, WALK_ABSENT, WALK_RESERVED, WALK_FORBIDDEN, WALK_KEY, WALK_CHANGED,
	WALK_UNWRITABLE, WALK_OUTCOMES
};

#define WALK_FORMATS	6

extern const char *const walk_outcomes[WALK_OUTCOMES];
const char *walk_format_name(unsigned int format);

/*
 * Runs @cases random cases of a format (enum model_format). @state is that of the random
 * numbers. @counts has WALK_OUTCOMES elements: how often each came. Returns how many were
 * wrong, and how many outcomes came too seldom to count as tested; 0: all is well.
 */
unsigned int walk_cases(unsigned int format, unsigned long long *state, unsigned int cases,
			unsigned int *counts);

/* What is wrong, in a line of its own; provided by who builds this. */
void __attribute__((__format__(__printf__, 1, 2))) walk_log(const char *format, ...);

#endif
