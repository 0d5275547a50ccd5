/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device is made of: registers behind a bus, interrupt lines and
 * timers. A device knows nothing of the hypervisor or of the machine that it
 * is part of, and locks itself: each of its functions may be called by any
 * thread at any time. It calls outwards (interrupt lines, timers, callbacks)
 * with its lock held, and nothing of what it calls may call back into it.
 */
#ifndef UMBRA_DEVICES_DEVICE_H
#define UMBRA_DEVICES_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct io_ops - The registers of a device
 * @read: returns the value of @size bytes at @offset of the region
 * @write: stores @value, which has @size bytes, at @offset of the region
 * @max_size: the widest access the device understands; the bus splits wider
 *	ones, as an ISA bus does
 *
 * Size is 1, 2, 4 or 8 (not 8 on ports). The access lies in the region.
 */
struct io_ops {
	uint64_t (*read)(void *dev, uint64_t offset, unsigned int size);
	void (*write)(void *dev, uint64_t offset, unsigned int size, uint64_t value);
	unsigned int max_size;
};

/**
 * struct irq_line - An output pin of a device
 * @set: called with each level; to set the level that it has is fine
 * @opaque: for @set
 * @number: for @set
 */
struct irq_line {
	void (*set)(void *opaque, unsigned int number, bool level);
	void *opaque;
	unsigned int number;
};

/* An unconnected pin has no @set. */
static inline void irq_line_set(const struct irq_line *line, bool level)
{
	if (line->set)
		line->set(line->opaque, line->number, level);
}

#define NS_PER_SEC	1000000000ULL

struct timer_host;

/**
 * struct timer - Something that happens at a moment
 * @host: who runs it
 * @fire: called with no lock of the host held, by one thread at a time
 * @arg: for @fire
 *
 * The rest is the host's. A timer fires once each time it is armed.
 */
struct timer {
	struct timer_host *host;
	void (*fire)(void *arg);
	void *arg;
	/* private: */
	uint64_t deadline;
	struct timer *next;
	bool armed;
};

/**
 * struct timer_host - Clocks and timers
 * @now: nanoseconds of a clock that only goes forward
 * @wall: nanoseconds since 1970 of the clock on the wall
 * @arm: let a timer fire at @deadline of the first clock; instead of whatever
 *	was armed before
 * @cancel: let a timer not fire; it may just be doing so
 */
struct timer_host {
	uint64_t (*now)(struct timer_host *host);
	uint64_t (*wall)(struct timer_host *host);
	void (*arm)(struct timer *timer, uint64_t deadline);
	void (*cancel)(struct timer *timer);
};

static inline void timer_init(struct timer *timer, struct timer_host *host,
			      void (*fire)(void *arg), void *arg)
{
	*timer = (struct timer){ .host = host, .fire = fire, .arg = arg };
}

static inline uint64_t timer_now(struct timer_host *host)
{
	return host->now(host);
}

static inline uint64_t timer_wall(struct timer_host *host)
{
	return host->wall(host);
}

static inline void timer_arm(struct timer *timer, uint64_t deadline)
{
	timer->host->arm(timer, deadline);
}

static inline void timer_cancel(struct timer *timer)
{
	timer->host->cancel(timer);
}

/* Ticks of a clock of @hz in @ns nanoseconds, and the other way (rounded up). */
static inline uint64_t ns_to_ticks(uint64_t ns, uint32_t hz)
{
	return (uint64_t)((__uint128_t)ns * hz / NS_PER_SEC);
}

static inline uint64_t ticks_to_ns(uint64_t ticks, uint32_t hz)
{
	return (uint64_t)(((__uint128_t)ticks * NS_PER_SEC + hz - 1) / hz);
}

#endif
