// SPDX-License-Identifier: GPL-2.0-only
/*
 * ACPI specification 6.4, section 4.8. There is no SMI command port: the
 * machine is always in ACPI mode.
 */
#include <pthread.h>
#include <stdlib.h>

#include "acpi_pm.h"

#define STATUS		0
#define ENABLE		2

#define EVENT_TIMER	0x0001	/* in the status and the enable register */
#define EVENT_GLOBAL	0x0020
#define EVENT_POWER	0x0100
#define EVENT_SLEEP	0x0200
#define EVENT_RTC	0x0400
#define ENABLE_WRITABLE	(EVENT_TIMER | EVENT_GLOBAL | EVENT_POWER | EVENT_SLEEP | EVENT_RTC)

#define CONTROL_SCI_EN	0x0001
#define CONTROL_SLP_EN	0x2000
#define CONTROL_SLP_TYPE(v) ((v) >> 10 & 7)
#define CONTROL_WRITABLE 0x1c02

/* The timer's event is each change of its highest bit. */
#define TIMER_HALF	(1ULL << 31)

struct acpi_pm {
	pthread_mutex_t lock;
	struct timer_host *host;
	struct timer timer;
	struct irq_line sci;
	void (*power_off)(void *opaque);
	void *opaque;

	uint64_t base;		/* nanoseconds at which the PM timer was 0 */
	uint64_t halves;	/* changes of its highest bit that were noticed */
	uint16_t status, enable, control;
};

static uint64_t timer_ticks(struct acpi_pm *pm)
{
	return ns_to_ticks(timer_now(pm->host) - pm->base, ACPI_PM_TIMER_HZ);
}

static void update(struct acpi_pm *pm)
{
	uint64_t halves = timer_ticks(pm) / TIMER_HALF;

	if (halves != pm->halves) {
		pm->halves = halves;
		pm->status |= EVENT_TIMER;
	}
	irq_line_set(&pm->sci, (pm->status & pm->enable) != 0);
	if (pm->enable & ~pm->status & EVENT_TIMER)
		timer_arm(&pm->timer, pm->base + ticks_to_ns((halves + 1) * TIMER_HALF,
							     ACPI_PM_TIMER_HZ));
	else
		timer_cancel(&pm->timer);
}

static void pm_fire(void *arg)
{
	struct acpi_pm *pm = arg;

	pthread_mutex_lock(&pm->lock);
	update(pm);
	pthread_mutex_unlock(&pm->lock);
}

static void write_control(struct acpi_pm *pm, uint16_t value)
{
	pm->control = (value & CONTROL_WRITABLE) | CONTROL_SCI_EN;
	if ((value & CONTROL_SLP_EN) && CONTROL_SLP_TYPE(value) == ACPI_PM_S5_TYPE)
		pm->power_off(pm->opaque);
}

/* The 16-bit register at an even offset. */
static uint16_t read_register(struct acpi_pm *pm, unsigned int offset)
{
	switch (offset) {
	case ACPI_PM_EVENT + STATUS:
		update(pm);
		return pm->status;
	case ACPI_PM_EVENT + ENABLE:
		return pm->enable;
	case ACPI_PM_CONTROL:
		return pm->control;
	default:
		return 0;
	}
}

/* As above; @mask says which byte or bytes of it are written. */
static void write_register(struct acpi_pm *pm, unsigned int offset, uint16_t mask, uint16_t value)
{
	switch (offset) {
	case ACPI_PM_EVENT + STATUS:
		/* Ones clear. */
		update(pm);
		pm->status &= ~(value & mask);
		break;
	case ACPI_PM_EVENT + ENABLE:
		pm->enable = ((pm->enable & ~mask) | (value & mask)) & ENABLE_WRITABLE;
		break;
	case ACPI_PM_CONTROL:
		write_control(pm, (pm->control & ~mask) | (value & mask));
		return;
	default:
		return;
	}
	update(pm);
}

static uint64_t pm_read(void *dev, uint64_t offset, unsigned int size)
{
	struct acpi_pm *pm = dev;
	uint32_t value;

	pthread_mutex_lock(&pm->lock);
	if (offset >= ACPI_PM_TIMER) {
		value = (uint32_t)timer_ticks(pm) >> (offset - ACPI_PM_TIMER) * 8;
	} else {
		value = read_register(pm, offset & ~1U) >> (offset & 1) * 8;
		if (size == 4)
			value |= (uint32_t)read_register(pm, offset + 2) << 16;
	}
	pthread_mutex_unlock(&pm->lock);
	return value;
}

static void pm_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct acpi_pm *pm = dev;
	unsigned int shift = (offset & 1) * 8;

	pthread_mutex_lock(&pm->lock);
	if (size == 1) {
		write_register(pm, offset & ~1U, 0xff << shift, value << shift);
	} else {
		write_register(pm, offset & ~1U, 0xffff, value);
		if (size == 4)
			write_register(pm, offset + 2, 0xffff, value >> 16);
	}
	pthread_mutex_unlock(&pm->lock);
}

const struct io_ops acpi_pm_ops = {
	.read = pm_read,
	.write = pm_write,
	.max_size = 4,
};

struct acpi_pm *acpi_pm_create(struct timer_host *host, const struct irq_line *sci,
			       void (*power_off)(void *opaque), void *opaque)
{
	struct acpi_pm *pm;

	pm = calloc(1, sizeof(*pm));
	if (!pm)
		return NULL;
	pthread_mutex_init(&pm->lock, NULL);
	pm->host = host;
	pm->sci = *sci;
	pm->power_off = power_off;
	pm->opaque = opaque;
	pm->base = timer_now(host);
	pm->control = CONTROL_SCI_EN;
	timer_init(&pm->timer, host, pm_fire, pm);
	return pm;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
	if (!pm)
		return;
	timer_cancel(&pm->timer);
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}
