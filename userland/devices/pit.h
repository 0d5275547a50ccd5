/* SPDX-License-Identifier: GPL-2.0-only */
/* An 8254 interval timer and the port 0x61 that goes with it. */
#ifndef UMBRA_DEVICES_PIT_H
#define UMBRA_DEVICES_PIT_H

#include "device.h"

#define PIT_PORT		0x40
#define PIT_PORTS		4
#define PIT_SPEAKER_PORT	0x61
#define PIT_HZ			1193182

struct pit;

/* Both with the struct pit as device. */
extern const struct io_ops pit_ops;
extern const struct io_ops pit_speaker_ops;

/**
 * pit_create() - Make a timer
 * @host: its clock
 * @irq: the output of channel 0
 *
 * Return: the timer; NULL if there is no memory.
 */
struct pit *pit_create(struct timer_host *host, const struct irq_line *irq);

/** pit_destroy() - Undo pit_create(), when @host fires no more; NULL is fine */
void pit_destroy(struct pit *pit);

#endif
