/* SPDX-License-Identifier: GPL-2.0-only */
/* The signal that interrupts a vCPU thread, shared by all implementations. */
#ifndef UMBRA_LIBUMBRA_KICK_H
#define UMBRA_LIBUMBRA_KICK_H

#include <signal.h>

#define KICK_SIGNAL	(SIGRTMIN)

/*
 * Installs a handler that does nothing (being delivered is all that the signal
 * is for), and unblocks the signal in the calling thread.
 */
void kick_signal_prepare(void);

#endif
