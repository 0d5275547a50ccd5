/* SPDX-License-Identifier: GPL-2.0-only */
/* ACPI's fixed hardware: PM1 event and control registers and the PM timer. */
#ifndef UMBRA_DEVICES_ACPI_PM_H
#define UMBRA_DEVICES_ACPI_PM_H

#include "device.h"

#define ACPI_PM_PORT		0x600
#define ACPI_PM_PORTS		12
#define ACPI_PM_EVENT		0	/* offsets from ACPI_PM_PORT */
#define ACPI_PM_EVENT_SIZE	4
#define ACPI_PM_CONTROL		4
#define ACPI_PM_CONTROL_SIZE	2
#define ACPI_PM_TIMER		8
#define ACPI_PM_TIMER_SIZE	4
#define ACPI_PM_TIMER_HZ	3579545
#define ACPI_PM_SCI_IRQ		9
#define ACPI_PM_S5_TYPE		5	/* SLP_TYP of power-off, as the DSDT's _S5 says */

struct acpi_pm;

extern const struct io_ops acpi_pm_ops;

/**
 * acpi_pm_create() - Make the registers
 * @host: their clock
 * @sci: the interrupt output, a level
 * @power_off: called when the guest switches the machine off
 * @opaque: for @power_off
 *
 * Return: the device; NULL if there is no memory.
 */
struct acpi_pm *acpi_pm_create(struct timer_host *host, const struct irq_line *sci,
			       void (*power_off)(void *opaque), void *opaque);

/** acpi_pm_destroy() - Undo acpi_pm_create(), when @host fires no more; NULL is fine */
void acpi_pm_destroy(struct acpi_pm *pm);

#endif
