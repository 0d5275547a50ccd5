// SPDX-License-Identifier: GPL-2.0-only
#include <pthread.h>
#include <stdlib.h>

#include "ioapic.h"

/* Registers in memory. */
#define REG_SELECT	0x00
#define REG_WINDOW	0x10
#define REG_EOI		0x40

/* Registers behind the window. */
#define INDEX_ID	0x00
#define INDEX_VERSION	0x01
#define INDEX_ARBITRATION 0x02
#define INDEX_TABLE	0x10

/* Version 0x20 is the first with an EOI register. */
#define VERSION		(0x20U | (IOAPIC_PINS - 1) << 16)

/* A redirection table entry. */
#define ENTRY_VECTOR		0x00ffULL
#define ENTRY_MODE_SHIFT	8
#define ENTRY_MODE		7U
#define ENTRY_LOGICAL		(1ULL << 11)
#define ENTRY_PENDING		(1ULL << 12)
#define ENTRY_REMOTE_IRR	(1ULL << 14)
#define ENTRY_LEVEL		(1ULL << 15)
#define ENTRY_MASKED		(1ULL << 16)
#define ENTRY_DEST_SHIFT	56
#define ENTRY_WRITABLE		(0xff00000000000000ULL | 0x1afffULL)

/* Delivery modes that are always edges. */
#define MODE_SMI	2
#define MODE_NMI	4
#define MODE_INIT	5
#define MODE_EXTINT	7

/* A message-signalled interrupt (SDM Vol. 3, "Message Signalled Interrupts"). */
#define MSI_BASE	0xfee00000ULL
#define MSI_DEST_SHIFT	12
#define MSI_LOGICAL	(1ULL << 2)
#define MSI_MODE_SHIFT	8
#define MSI_ASSERT	(1U << 14)
#define MSI_LEVEL	(1U << 15)

struct ioapic {
	pthread_mutex_t lock;
	uint8_t select;
	uint8_t id;
	uint32_t level;		/* of each pin */
	uint32_t pending;	/* edges that came while the pin was masked */
	uint64_t entry[IOAPIC_PINS];
	void (*send)(void *opaque, uint64_t address, uint32_t data);
	void *opaque;
};

static bool is_level(uint64_t entry)
{
	switch (entry >> ENTRY_MODE_SHIFT & ENTRY_MODE) {
	case MODE_SMI:
	case MODE_NMI:
	case MODE_INIT:
	case MODE_EXTINT:
		return false;
	default:
		return entry & ENTRY_LEVEL;
	}
}

/* Sends a pin's interrupt if it has one that may go now. */
static void service(struct ioapic *ioapic, unsigned int pin)
{
	uint64_t entry = ioapic->entry[pin], address;
	bool level = is_level(entry);
	uint32_t bit = 1U << pin, data;

	if (entry & ENTRY_MASKED)
		return;
	if (level) {
		if (!(ioapic->level & bit) || (entry & ENTRY_REMOTE_IRR))
			return;
		ioapic->entry[pin] |= ENTRY_REMOTE_IRR;
	} else {
		if (!(ioapic->pending & bit))
			return;
		ioapic->pending &= ~bit;
	}

	address = MSI_BASE | (entry >> ENTRY_DEST_SHIFT) << MSI_DEST_SHIFT;
	if (entry & ENTRY_LOGICAL)
		address |= MSI_LOGICAL;
	data = (entry & ENTRY_VECTOR) |
	       (entry >> ENTRY_MODE_SHIFT & ENTRY_MODE) << MSI_MODE_SHIFT;
	if (level)
		data |= MSI_LEVEL | MSI_ASSERT;
	ioapic->send(ioapic->opaque, address, data);
}

void ioapic_set_pin(struct ioapic *ioapic, unsigned int pin, bool level)
{
	uint32_t bit;

	if (pin >= IOAPIC_PINS)
		return;
	bit = 1U << pin;
	pthread_mutex_lock(&ioapic->lock);
	if (level && !(ioapic->level & bit) && !is_level(ioapic->entry[pin])) {
		/* The 82093AA does not remember edges on a masked pin. */
		if (!(ioapic->entry[pin] & ENTRY_MASKED))
			ioapic->pending |= bit;
	}
	ioapic->level = level ? ioapic->level | bit : ioapic->level & ~bit;
	service(ioapic, pin);
	pthread_mutex_unlock(&ioapic->lock);
}

static void end_of_interrupt(struct ioapic *ioapic, uint8_t vector)
{
	unsigned int pin;

	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t entry = ioapic->entry[pin];

		if (!(entry & ENTRY_REMOTE_IRR) || (entry & ENTRY_VECTOR) != vector)
			continue;
		ioapic->entry[pin] &= ~ENTRY_REMOTE_IRR;
		/* The line may still be up, or up again. */
		service(ioapic, pin);
	}
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	pthread_mutex_lock(&ioapic->lock);
	end_of_interrupt(ioapic, vector);
	pthread_mutex_unlock(&ioapic->lock);
}

static void write_entry(struct ioapic *ioapic, unsigned int pin, bool high, uint32_t value)
{
	uint64_t entry = ioapic->entry[pin], fresh;

	if (high)
		fresh = (entry & UINT32_MAX) | (uint64_t)value << 32;
	else
		fresh = (entry & ~(uint64_t)UINT32_MAX) | value;
	fresh = (fresh & ENTRY_WRITABLE) | (entry & ENTRY_REMOTE_IRR);
	/*
	 * An edge-triggered entry has no remote IRR. Kernels that know no EOI
	 * register clear a stuck one by switching to edge and back.
	 */
	if (!is_level(fresh))
		fresh &= ~ENTRY_REMOTE_IRR;
	else
		ioapic->pending &= ~(1U << pin);
	ioapic->entry[pin] = fresh;
	service(ioapic, pin);
}

static void write_window(struct ioapic *ioapic, uint32_t value)
{
	unsigned int index = ioapic->select;

	if (index == INDEX_ID)
		ioapic->id = value >> 24 & 0xf;
	else if (index >= INDEX_TABLE && index < INDEX_TABLE + 2 * IOAPIC_PINS)
		write_entry(ioapic, (index - INDEX_TABLE) / 2, index & 1, value);
}

static uint32_t read_window(struct ioapic *ioapic)
{
	unsigned int index = ioapic->select;
	uint64_t entry;

	switch (index) {
	case INDEX_ID:
	case INDEX_ARBITRATION:
		return (uint32_t)ioapic->id << 24;
	case INDEX_VERSION:
		return VERSION;
	}
	if (index < INDEX_TABLE || index >= INDEX_TABLE + 2 * IOAPIC_PINS)
		return UINT32_MAX;
	entry = ioapic->entry[(index - INDEX_TABLE) / 2];
	if (ioapic->pending & (1U << (index - INDEX_TABLE) / 2))
		entry |= ENTRY_PENDING;
	return index & 1 ? entry >> 32 : entry;
}

static uint64_t ioapic_read(void *dev, uint64_t offset, unsigned int size)
{
	struct ioapic *ioapic = dev;
	uint64_t value = 0;

	(void)size;
	pthread_mutex_lock(&ioapic->lock);
	switch (offset) {
	case REG_SELECT:
		value = ioapic->select;
		break;
	case REG_WINDOW:
		value = read_window(ioapic);
		break;
	}
	pthread_mutex_unlock(&ioapic->lock);
	return value;
}

static void ioapic_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct ioapic *ioapic = dev;

	(void)size;
	pthread_mutex_lock(&ioapic->lock);
	switch (offset) {
	case REG_SELECT:
		ioapic->select = value;
		break;
	case REG_WINDOW:
		write_window(ioapic, value);
		break;
	case REG_EOI:
		end_of_interrupt(ioapic, value);
		break;
	}
	pthread_mutex_unlock(&ioapic->lock);
}

const struct io_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
	.max_size = 4,
};

struct ioapic *ioapic_create(uint8_t id,
			     void (*send)(void *opaque, uint64_t address, uint32_t data),
			     void *opaque)
{
	struct ioapic *ioapic;
	unsigned int pin;

	ioapic = calloc(1, sizeof(*ioapic));
	if (!ioapic)
		return NULL;
	pthread_mutex_init(&ioapic->lock, NULL);
	ioapic->id = id;
	ioapic->send = send;
	ioapic->opaque = opaque;
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
	return ioapic;
}

void ioapic_destroy(struct ioapic *ioapic)
{
	if (!ioapic)
		return;
	pthread_mutex_destroy(&ioapic->lock);
	free(ioapic);
}
