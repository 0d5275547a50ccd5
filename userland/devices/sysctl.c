// SPDX-License-Identifier: GPL-2.0-only
#include "sysctl.h"

#define A_FAST_RESET	0x01
#define A_A20		0x02

static uint64_t port_a_read(void *dev, uint64_t offset, unsigned int size)
{
	struct sysctl *ctl = dev;

	(void)offset;
	(void)size;
	return __atomic_load_n(&ctl->port_a, __ATOMIC_RELAXED);
}

static void port_a_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct sysctl *ctl = dev;

	(void)offset;
	(void)size;
	/* The A20 gate is remembered but always open. */
	__atomic_store_n(&ctl->port_a, value & ~A_FAST_RESET, __ATOMIC_RELAXED);
	if (value & A_FAST_RESET)
		ctl->reset(ctl->opaque);
}

const struct io_ops sysctl_a_ops = {
	.read = port_a_read,
	.write = port_a_write,
	.max_size = 1,
};

static uint64_t post_read(void *dev, uint64_t offset, unsigned int size)
{
	struct sysctl *ctl = dev;

	(void)offset;
	(void)size;
	return __atomic_load_n(&ctl->post, __ATOMIC_RELAXED);
}

static void post_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct sysctl *ctl = dev;

	(void)offset;
	(void)size;
	__atomic_store_n(&ctl->post, value, __ATOMIC_RELAXED);
}

const struct io_ops sysctl_post_ops = {
	.read = post_read,
	.write = post_write,
	.max_size = 1,
};

void sysctl_init(struct sysctl *ctl, void (*reset)(void *opaque), void *opaque)
{
	*ctl = (struct sysctl){ .reset = reset, .opaque = opaque, .port_a = A_A20 };
}
