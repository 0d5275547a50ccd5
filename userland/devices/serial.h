/* SPDX-License-Identifier: GPL-2.0-only */
/* A 16550A serial port. */
#ifndef UMBRA_DEVICES_SERIAL_H
#define UMBRA_DEVICES_SERIAL_H

#include "device.h"

#define SERIAL_COM1_PORT	0x3f8
#define SERIAL_COM1_IRQ		4
#define SERIAL_PORTS		8
#define SERIAL_CLOCK_HZ		1843200

struct serial;

/**
 * struct serial_line - What is at the other end of the cable
 * @transmit: takes a byte that the guest sent; NULL if nobody listens
 * @room: the guest has emptied the receive FIFO, so that serial_receive() will
 *	take more; may be NULL
 * @opaque: for both
 */
struct serial_line {
	void (*transmit)(void *opaque, uint8_t byte);
	void (*room)(void *opaque);
	void *opaque;
};

extern const struct io_ops serial_ops;

/**
 * serial_create() - Make a serial port
 * @line: the other end
 * @irq: its interrupt output
 *
 * Return: the port; NULL if there is no memory.
 */
struct serial *serial_create(const struct serial_line *line, const struct irq_line *irq);

/** serial_destroy() - Undo serial_create(); NULL is fine */
void serial_destroy(struct serial *serial);

/**
 * serial_receive() - Bytes arrive on the line
 * @serial: the port
 * @data: the bytes
 * @size: how many
 *
 * The sender keeps what does not fit, so nothing is lost.
 *
 * Return: how many were taken. After fewer than @size the room() callback tells
 * when to try again.
 */
size_t serial_receive(struct serial *serial, const uint8_t *data, size_t size);

#endif
