/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of what guests do. It writes their memory and registers itself, by the
 * ABI, so that each case starts anew and none needs a guest that works.
 *
 * Two kinds of cases: in hostile ones everything is random, and all that is asked is
 * that the host minds nothing, and UMBRA_RUN returns in time with a reason that is
 * documented. In the others, two VMs, one of each paging, do the same to page tables
 * and memory and must always be in the same state.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common.h"
#include "garble.h"
#include "soup.h"

#define RAM		(4 * MIB)

static inline unsigned int below(unsigned int n)
{
	return (random64() >> 16) % n;
}

static inline bool one_in(unsigned int n)
{
	return !below(n);
}

/* What the host has. */
extern bool has_nested, has_1g, has_la57, has_pke;

/* UMBRA_RUN's result: 0, -EINTR or another errno; complains if it is none to expect. */
bool run_plausible(int result, uint32_t reason);

/* So many microseconds from now, SIGALRM ends UMBRA_RUN, again and again; 0: it does not. */
void alarm_in(unsigned int microseconds);

/* Each runs one round of a seed; returns false if something is wrong. */
bool hostile_round(uint64_t seed);
bool compare_round(uint64_t seed);
void hostile_print(void);
void compare_print(void);
void compare_setup(void);
extern bool verbose;

/* play.c: memory of a guest for compare_round(). */
enum format { FORMAT_32, FORMAT_PAE, FORMAT_4, FORMAT_5, FORMATS };

/* Where things are, at the same address in memory and, supervisor's, in every root. */
#define PLAY_IDT	0x1000UL
#define PLAY_GDT	0x2000UL
#define PLAY_TSS	0x2800UL
#define PLAY_HANDLERS	0x3000UL	/* 8 bytes each: OUT to the port of the vector's number */
#define PLAY_STACK	0x6000UL	/* ends here; the page below */
#define PLAY_CODE	0x10000UL	/* a page of the supervisor's code */
#define PLAY_USER	0x18000UL	/* two pages of the user's: code and stack */
#define PLAY_TABLES	0x100000UL
#define PLAY_TABLE_PAGES 32
#define PLAY_DATA	0x200000UL
#define PLAY_END	0x81		/* INT of user code that ends; a gate of its own */
#define PLAY_DONE	0x80		/* port that the supervisor's code ends with */

/* A table that is played with. */
struct play_table {
	uint64_t gpa;
	unsigned int level;	/* of its entries: 1 maps 4K pages */
	unsigned int entries;	/* that are played with, from the first */
	uint64_t gva;		/* what the first entry maps */
};

struct play {
	enum format format;
	uint8_t *ram;
	unsigned int pages;	/* table pages in use */
	uint64_t root[2];
	struct play_table table[12];
	unsigned int tables;
	unsigned int entry_size;
	bool pge, pke;
};

/* Makes tables, code and data of a random guest in ram, and the state to start with. */
void play_setup(struct play *p, uint8_t *ram);
void play_state(const struct play *p, struct umbra_state *st);
/* A random entry for a table of that level; where it leads is always there. */
uint64_t play_entry(const struct play *p, unsigned int level);
uint64_t play_gva(const struct play *p);

#endif
