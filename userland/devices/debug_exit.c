// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "debug_exit.h"

static uint64_t exit_read(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return UINT64_MAX;
}

static void exit_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct debug_exit *debug = dev;

	(void)offset;
	(void)size;
	debug->exit(debug->opaque, value);
}

const struct io_ops debug_exit_ops = {
	.read = exit_read,
	.write = exit_write,
	.max_size = 4,
};

/* Registers that hold what was written to them, at any size. */
static uint64_t load(struct debug_exit *debug, const uint8_t *at, unsigned int size)
{
	uint64_t value = 0;

	pthread_mutex_lock(&debug->lock);
	memcpy(&value, at, size);
	pthread_mutex_unlock(&debug->lock);
	return value;
}

static void store(struct debug_exit *debug, uint8_t *at, unsigned int size, uint64_t value)
{
	pthread_mutex_lock(&debug->lock);
	memcpy(at, &value, size);
	pthread_mutex_unlock(&debug->lock);
}

static uint64_t data_read(void *dev, uint64_t offset, unsigned int size)
{
	struct debug_exit *debug = dev;

	return load(debug, &debug->data[offset], size);
}

static void data_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct debug_exit *debug = dev;

	store(debug, &debug->data[offset], size, value);
}

const struct io_ops debug_data_ops = {
	.read = data_read,
	.write = data_write,
	.max_size = 4,
};

static uint64_t mmio_read(void *dev, uint64_t offset, unsigned int size)
{
	struct debug_exit *debug = dev;

	return load(debug, &debug->memory[offset], size);
}

static void mmio_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct debug_exit *debug = dev;

	store(debug, &debug->memory[offset], size, value);
}

const struct io_ops debug_mmio_ops = {
	.read = mmio_read,
	.write = mmio_write,
	.max_size = 8,
};

static uint64_t irq_read(void *dev, uint64_t offset, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)size;
	return 0;
}

static void irq_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct debug_exit *debug = dev;
	struct irq_line line = debug->irq;

	(void)size;
	line.number = offset;
	irq_line_set(&line, value & 1);
}

const struct io_ops debug_irq_ops = {
	.read = irq_read,
	.write = irq_write,
	/* A write of any size is one of the line it is addressed to. */
	.max_size = 4,
};

struct debug_exit *debug_exit_create(void (*exit)(void *opaque, uint32_t value), void *opaque,
				     const struct irq_line *irq)
{
	struct debug_exit *debug;

	debug = calloc(1, sizeof(*debug));
	if (!debug)
		return NULL;
	debug->exit = exit;
	debug->opaque = opaque;
	debug->irq = *irq;
	pthread_mutex_init(&debug->lock, NULL);
	return debug;
}

void debug_exit_destroy(struct debug_exit *debug)
{
	if (!debug)
		return;
	pthread_mutex_destroy(&debug->lock);
	free(debug);
}
