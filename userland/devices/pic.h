/* SPDX-License-Identifier: GPL-2.0-only */
/* The pair of 8259A interrupt controllers of a PC, with the ELCR of the PIIX. */
#ifndef UMBRA_DEVICES_PIC_H
#define UMBRA_DEVICES_PIC_H

#include "device.h"

#define PIC_MASTER_PORT	0x20
#define PIC_SLAVE_PORT	0xa0
#define PIC_PORTS	2
#define PIC_ELCR_PORT	0x4d0
#define PIC_ELCR_PORTS	2

struct pic;

/* The registers of one of the two, with pic_master() or pic_slave() as device. */
extern const struct io_ops pic_ops;
/* The edge/level control registers of both, with the struct pic as device. */
extern const struct io_ops pic_elcr_ops;

/**
 * pic_create() - Make the pair
 * @intr: the INTR output of the master
 *
 * Return: the pair; NULL if there is no memory.
 */
struct pic *pic_create(const struct irq_line *intr);

/** pic_destroy() - Undo pic_create(); NULL is fine */
void pic_destroy(struct pic *pic);

/** pic_master() - The device behind the ports of the master */
void *pic_master(struct pic *pic);

/** pic_slave() - The device behind the ports of the slave */
void *pic_slave(struct pic *pic);

/**
 * pic_set_irq() - Set the level of an input
 * @pic: the pair
 * @irq: 0 to 15; 2 is taken by the slave and ignored
 * @level: the level
 */
void pic_set_irq(struct pic *pic, unsigned int irq, bool level);

/**
 * pic_ack() - The CPU acknowledges the interrupt
 * @pic: the pair
 *
 * Return: the vector; that of a spurious interrupt (input 7 of the master or
 * of the slave) if the request has gone away in between.
 */
uint8_t pic_ack(struct pic *pic);

#endif
