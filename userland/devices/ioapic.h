/* SPDX-License-Identifier: GPL-2.0-only */
/* An I/O APIC of 24 pins (Intel 82093AA with the EOI register of the ICH). */
#ifndef UMBRA_DEVICES_IOAPIC_H
#define UMBRA_DEVICES_IOAPIC_H

#include "device.h"

#define IOAPIC_BASE	0xfec00000ULL
#define IOAPIC_SIZE	0x1000
#define IOAPIC_PINS	24

struct ioapic;

extern const struct io_ops ioapic_ops;

/**
 * ioapic_create() - Make an I/O APIC
 * @id: its APIC ID until the guest sets another
 * @send: delivers a message-signalled interrupt
 * @opaque: for @send
 *
 * Return: the I/O APIC; NULL if there is no memory.
 */
struct ioapic *ioapic_create(uint8_t id,
			     void (*send)(void *opaque, uint64_t address, uint32_t data),
			     void *opaque);

/** ioapic_destroy() - Undo ioapic_create(); NULL is fine */
void ioapic_destroy(struct ioapic *ioapic);

/**
 * ioapic_set_pin() - Set the level of a pin
 * @ioapic: the I/O APIC
 * @pin: below IOAPIC_PINS
 * @level: true when the interrupt is asserted, whatever its polarity
 */
void ioapic_set_pin(struct ioapic *ioapic, unsigned int pin, bool level);

/**
 * ioapic_eoi() - A local APIC has ended a level-triggered interrupt
 * @ioapic: the I/O APIC
 * @vector: its vector
 */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

#endif
