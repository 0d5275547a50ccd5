/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of devices and loaders share: cmocka, a clock, an interrupt line. */
#ifndef UMBRA_TEST_H
#define UMBRA_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/device.h"
#include "util/bytes.h"

#define MS	1000000ULL

/* A clock that stands still until it is advanced. */
struct fake_clock {
	struct timer_host host;
	uint64_t now, wall;
	struct timer *armed;
};

static inline uint64_t fake_now(struct timer_host *host)
{
	return ((struct fake_clock *)host)->now;
}

static inline uint64_t fake_wall(struct timer_host *host)
{
	return ((struct fake_clock *)host)->wall;
}

static inline void fake_cancel(struct timer *timer)
{
	struct timer **link;

	for (link = &((struct fake_clock *)timer->host)->armed; *link; link = &(*link)->next)
		if (*link == timer) {
			*link = timer->next;
			break;
		}
	timer->armed = false;
}

static inline void fake_arm(struct timer *timer, uint64_t deadline)
{
	struct fake_clock *clock = (struct fake_clock *)timer->host;

	fake_cancel(timer);
	timer->deadline = deadline;
	timer->armed = true;
	timer->next = clock->armed;
	clock->armed = timer;
}

static inline void fake_clock_init(struct fake_clock *clock)
{
	*clock = (struct fake_clock){
		.host = { fake_now, fake_wall, fake_arm, fake_cancel },
		.now = 1000 * NS_PER_SEC,
		/* 2024-02-28 23:59:58 UTC */
		.wall = 1709164798 * NS_PER_SEC,
	};
}

/* The timer that fires first, up to @until. */
static inline struct timer *fake_next(struct fake_clock *clock, uint64_t until)
{
	struct timer *t, *first = NULL;

	for (t = clock->armed; t; t = t->next)
		if (t->deadline <= until && (!first || t->deadline < first->deadline))
			first = t;
	return first;
}

/* Lets time pass and timers fire, each at its moment. */
static inline void fake_advance(struct fake_clock *clock, uint64_t ns)
{
	uint64_t until = clock->now + ns;
	struct timer *t;

	while ((t = fake_next(clock, until))) {
		if (t->deadline > clock->now) {
			clock->wall += t->deadline - clock->now;
			clock->now = t->deadline;
		}
		fake_cancel(t);
		t->fire(t->arg);
	}
	clock->wall += until - clock->now;
	clock->now = until;
}

/* Lets time pass without a chance for timers to fire; then they fire late. */
static inline void fake_stall(struct fake_clock *clock, uint64_t ns)
{
	clock->now += ns;
	clock->wall += ns;
	fake_advance(clock, 0);
}

/* The far end of an interrupt line. */
struct fake_irq {
	bool level;
	unsigned int number;
	unsigned int rises;
};

static inline void fake_irq_set(void *opaque, unsigned int number, bool level)
{
	struct fake_irq *irq = opaque;

	irq->number = number;
	if (level && !irq->level)
		irq->rises++;
	irq->level = level;
}

static inline struct irq_line fake_line(struct fake_irq *irq)
{
	*irq = (struct fake_irq){ false, 0, 0 };
	return (struct irq_line){ .set = fake_irq_set, .opaque = irq };
}

static inline uint64_t rd(const struct io_ops *ops, void *dev, uint64_t offset)
{
	return ops->read(dev, offset, 1);
}

static inline void wr(const struct io_ops *ops, void *dev, uint64_t offset, uint64_t value)
{
	ops->write(dev, offset, 1, value);
}

#define RUN(tests)	cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL)

#endif
