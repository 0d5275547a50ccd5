/* SPDX-License-Identifier: GPL-2.0-only */
/* The keyboard controller of a PC, with no keyboard and no mouse plugged in. */
#ifndef UMBRA_DEVICES_I8042_H
#define UMBRA_DEVICES_I8042_H

#include "device.h"

#define I8042_DATA_PORT		0x60
#define I8042_COMMAND_PORT	0x64
#define I8042_KEYBOARD_IRQ	1

struct i8042;

/* Port 0x60 and port 0x64, with the struct i8042 as device. */
extern const struct io_ops i8042_data_ops;
extern const struct io_ops i8042_command_ops;

/**
 * i8042_create() - Make a controller
 * @irq: the keyboard's interrupt
 * @reset: called when the guest resets the machine through it
 * @opaque: for @reset
 *
 * Return: the controller; NULL if there is no memory.
 */
struct i8042 *i8042_create(const struct irq_line *irq, void (*reset)(void *opaque), void *opaque);

/** i8042_destroy() - Undo i8042_create(); NULL is fine */
void i8042_destroy(struct i8042 *kbc);

#endif
