/* SPDX-License-Identifier: GPL-2.0-only */
/* What a benchmark is, and what the files that hold them share. */
#ifndef NANOBENCH_H
#define NANOBENCH_H

#include "cpu.h"
#include "kernel.h"
#include "mem.h"
#include "pt.h"

/* The second half-terabyte is the tests' own in every address space. */
#define WINDOW		(1ul << 39)
#define MIB		(1ul << 20)
#define PAGE_2M		(2 * MIB)
#define PAGE_1G		(1024 * MIB)

/* A mapping that was used before, so that no access has to set these bits. */
#define PT_USED		(PT_A | PT_D)

struct bench {
	const char *name;
	const char *what;	/* what it measures, for people */
	/*
	 * Prepares rounds of @n operations; may call skip() or fail(). What it takes
	 * of alloc_pages() is given back after clean-up.
	 */
	void (*set_up)(const struct bench *b, u64 n);
	/* Does @n operations; the time that this takes is measured. */
	void (*body)(u64 n);
	/* The same without what is to be measured; its time is subtracted. */
	void (*control)(u64 n);
	/* Optional, as is set_up; not called when that has failed or skipped. */
	void (*clean_up)(void);
	u64 iterations;		/* operations of a round, at least */
	unsigned int flags;
	unsigned int arg;	/* set_up()'s own */
};

#define FIXED	BIT(0)		/* a round has just so many operations */
#define MEAN	BIT(1)		/* what it costs comes in lumps: the mean of all rounds counts */

/* A list of benchmarks; each subject's file has one. */
struct bench_list {
	const struct bench *bench;
	unsigned int count;
};

#define BENCH_LIST(table)	{ (table), ARRAY_SIZE(table) }

extern const struct bench_list cpu_list, device_list, interrupt_list, table_list, touch_list,
	switch_list, chase_list;

/* The running benchmark cannot be done on this machine, or is not what it should be. */
void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* For set_up(): whether either was called. */
bool given_up(void);
/* For set_up(): there can be no more rounds than this. */
void limit_rounds(unsigned int limit);

/* The loop and nothing in it. */
void control_loop(u64 n);

/* The kernel's own address space, in use when set_up() is called; WINDOW is empty then. */
extern struct space base;

/*
 * Defines name_body() and name_control(), loops of one inline assembly statement
 * and of an empty one with the same operands. a, b, c and d are variables for it.
 */
#define ASM_LOOP(name, insn, ...)						\
static void name##_body(u64 n)							\
{										\
	ulong a __attribute__((unused)), b __attribute__((unused));		\
	ulong c __attribute__((unused)), d __attribute__((unused));		\
										\
	while (n--)								\
		asm volatile(insn __VA_ARGS__);					\
}										\
static void name##_control(u64 n)						\
{										\
	ulong a __attribute__((unused)), b __attribute__((unused));		\
	ulong c __attribute__((unused)), d __attribute__((unused));		\
										\
	while (n--)								\
		asm volatile("" __VA_ARGS__);					\
}

#endif
