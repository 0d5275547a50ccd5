/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bare-metal test kernels find beside them: a port that ends the machine
 * with a status, a port register to read back, interrupt lines to pull, and
 * memory that is reached by MMIO only.
 */
#ifndef UMBRA_DEVICES_DEBUG_EXIT_H
#define UMBRA_DEVICES_DEBUG_EXIT_H

#include <pthread.h>

#include "device.h"

#define DEBUG_EXIT_PORT		0xf4
#define DEBUG_EXIT_PORTS	4
#define DEBUG_DATA_PORT		0xe0
#define DEBUG_DATA_PORTS	4
#define DEBUG_IRQ_PORT		0x2000
#define DEBUG_IRQ_PORTS		24
#define DEBUG_MMIO_BASE		0xff000000ULL
#define DEBUG_MMIO_SIZE		0x10000

/**
 * struct debug_exit - The device
 * @exit: called with the value written to DEBUG_EXIT_PORT
 * @opaque: for @exit
 * @irq: its number is replaced by the interrupt that is pulled
 * @lock: held while a register is read or written
 * @data: what was last written to DEBUG_DATA_PORT
 * @memory: behind DEBUG_MMIO_BASE
 */
struct debug_exit {
	void (*exit)(void *opaque, uint32_t value);
	void *opaque;
	struct irq_line irq;
	pthread_mutex_t lock;
	uint8_t data[DEBUG_DATA_PORTS];
	uint8_t memory[DEBUG_MMIO_SIZE];
};

extern const struct io_ops debug_exit_ops;
extern const struct io_ops debug_data_ops;
extern const struct io_ops debug_irq_ops;
extern const struct io_ops debug_mmio_ops;

/**
 * debug_exit_create() - Make the device
 * @exit: called with the value written to DEBUG_EXIT_PORT
 * @opaque: for @exit
 * @irq: pulled with the number of the line
 *
 * Return: the device; NULL if there is no memory.
 */
struct debug_exit *debug_exit_create(void (*exit)(void *opaque, uint32_t value), void *opaque,
				     const struct irq_line *irq);

/** debug_exit_destroy() - Undo debug_exit_create(); NULL is fine */
void debug_exit_destroy(struct debug_exit *debug);

#endif
