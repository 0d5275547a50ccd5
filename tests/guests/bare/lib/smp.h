/* SPDX-License-Identifier: GPL-2.0-only */
/* The other processors: started once, then given functions to run. */
#ifndef LIB_SMP_H
#define LIB_SMP_H

#include "trap.h"

#define SMP_WAKE_VECTOR 0xf0

/* Starts every CPU the firmware lists; gives how many run, this one included. */
int smp_start(void);
extern int smp_count;
/* Processors that entered C code since the start. */
extern volatile int smp_online;
/* The index that the next processor to start takes. */
extern volatile u32 ap_ticket;

/* Runs @fn(@arg) on CPU @index without waiting, and waits for it. */
void smp_run(int index, void (*fn)(void *), void *arg);
void smp_wait(int index);
/* Runs @fn(@arg) on all CPUs, this one too, and waits for all. */
void smp_all(void (*fn)(void *), void *arg);
/* Makes @n processors wait for each other; each passes its own @sense, first 0. */
struct barrier {
	volatile int count, sense;
};

void smp_barrier(struct barrier *b, int n);

#endif
