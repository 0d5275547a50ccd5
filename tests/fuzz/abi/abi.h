/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fuzzer of the ioctl ABI. A case is a process of a few threads that share VMs,
 * vCPUs and memory, and do to them, at random and without any care for each other,
 * what the ABI and the kernel let them.
 */
#ifndef FUZZ_ABI_H
#define FUZZ_ABI_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common.h"
#include "garble.h"

#define MAX_THREADS	6
#define VMS		3
#define VCPUS		6
#define FILES		3

/* Guests' memory: arenas at fixed addresses, so that what is there can be replaced. */
#define ARENAS		4
#define ARENA_SIZE	(4 * MIB)
#define HUGE_SIZE	(2 * MIB)
#define ARENA(i)	((uint8_t *)0x100000000000UL + (i) * 4 * ARENA_SIZE)

/* A descriptor that any thread may replace or close while others use it. */
struct object {
	_Atomic int fd;
	volatile struct umbra_run *_Atomic run;	/* of a vCPU; stays mapped */
};

/* What the calling thread is about, for the one that watches. */
struct worker {
	const char *_Atomic doing;
	pthread_t thread;
	uint64_t seed;
	_Atomic int tid;
	_Atomic uint64_t beats;
};

extern struct object vms[VMS], vcpus[VCPUS], files[FILES];
extern struct worker workers[MAX_THREADS];
extern unsigned int nr_workers;
extern _Thread_local struct worker *me;
extern atomic_bool quit, broken;
extern int to_parent;		/* a socket; descriptors that are sent there survive the case */

/* Runs a statement that touches memory which may not be there. */
extern _Thread_local sigjmp_buf fault;
extern _Thread_local volatile bool may_fault;
#define TRY(statement)						\
do {								\
	if (!sigsetjmp(fault, 1)) {				\
		may_fault = true;				\
		statement;					\
	}							\
	may_fault = false;					\
} while (0)

static inline unsigned int below(unsigned int n)
{
	return (random64() >> 16) % n;
}

static inline bool one_in(unsigned int n)
{
	return !below(n);
}

/* Says what should not have happened; the case has failed. */
__attribute__((format(printf, 1, 2)))
void complain(const char *format, ...);

/* calls.c: calls with arguments of any kind; complains of undocumented results. */
void totals_setup(void);
/* Prints the sums of all cases; returns whether each call has worked once. */
bool totals_print(void);
int try_call(int fd, unsigned long number, const void *arg);
void random_call(void);
void run_some_vcpu(void);
/* In a process that may not use the VMs: all it can do is fail. */
void foreign_calls(void);

/* memory.c: guests' memory, and what the monitor may do to it. */
void arenas_setup(void);
void set_some_slot(void);
void change_memory(void);
void write_guest(void);
void scribble(void);

/* process.c: descriptors and processes. */
void replace_object(void);
void descriptor_tricks(void);
void fork_some(void);
void pass_descriptors(void);
void close_everything(void);

#endif
