// SPDX-License-Identifier: GPL-2.0-only
#include <pthread.h>
#include <stdlib.h>

#include "pci.h"
#include "util/bytes.h"

#define CONFIG_SIZE	256
#define ADDRESS_ENABLE	(1U << 31)

#define RESET_HARD	0x02
#define RESET_CPU	0x04

/* The configuration header (PCI Local Bus Specification 3.0, chapter 6). */
#define HEADER_IDS	0x00
#define HEADER_COMMAND	0x04
#define HEADER_CLASS	0x08

#define BRIDGE_IDS	0x0d578086U	/* an Intel host bridge no driver has quirks for */
#define CLASS_BRIDGE	0x06000000U

struct pci {
	pthread_mutex_t lock;
	void (*reset)(void *opaque);
	void *opaque;
	uint32_t address;
	uint8_t reset_control;
	uint8_t bridge[CONFIG_SIZE];
};

/* Offset in the bridge's configuration that the address register selects, or -1. */
static int selected(const struct pci *pci, unsigned int offset, unsigned int size)
{
	unsigned int at = (pci->address & 0xfc) + offset;

	/* Bus 0, device 0, function 0. */
	if (!(pci->address & ADDRESS_ENABLE) || (pci->address & 0x00ffff00) ||
	    at + size > CONFIG_SIZE)
		return -1;
	return at;
}

static uint64_t pci_read(void *dev, uint64_t offset, unsigned int size)
{
	struct pci *pci = dev;
	uint32_t value = UINT32_MAX;
	int at;

	pthread_mutex_lock(&pci->lock);
	if (offset == 0 && size == 4) {
		value = pci->address;
	} else if (offset == PCI_RESET_PORT - PCI_PORT && size == 1) {
		value = pci->reset_control;
	} else if (offset >= 4) {
		at = selected(pci, offset - 4, size);
		if (at >= 0) {
			value = 0;
			memcpy(&value, &pci->bridge[at], size);
		}
	}
	pthread_mutex_unlock(&pci->lock);
	return value;
}

static void pci_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pci *pci = dev;

	pthread_mutex_lock(&pci->lock);
	if (offset == 0 && size == 4) {
		pci->address = value & (ADDRESS_ENABLE | 0x00fffffc);
	} else if (offset == PCI_RESET_PORT - PCI_PORT && size == 1) {
		/* The machine is reset when RESET_CPU goes up. */
		if ((value & ~pci->reset_control) & RESET_CPU)
			pci->reset(pci->opaque);
		pci->reset_control = value & (RESET_HARD | RESET_CPU);
	}
	/* All that the bridge has can only be read. */
	pthread_mutex_unlock(&pci->lock);
}

const struct io_ops pci_ops = {
	.read = pci_read,
	.write = pci_write,
	.max_size = 4,
};

struct pci *pci_create(void (*reset)(void *opaque), void *opaque)
{
	struct pci *pci;

	pci = calloc(1, sizeof(*pci));
	if (!pci)
		return NULL;
	pthread_mutex_init(&pci->lock, NULL);
	pci->reset = reset;
	pci->opaque = opaque;
	put32(&pci->bridge[HEADER_IDS], BRIDGE_IDS);
	/* It answers to I/O and memory and masters the bus. */
	put32(&pci->bridge[HEADER_COMMAND], 0x7);
	put32(&pci->bridge[HEADER_CLASS], CLASS_BRIDGE);
	return pci;
}

void pci_destroy(struct pci *pci)
{
	if (!pci)
		return;
	pthread_mutex_destroy(&pci->lock);
	free(pci);
}
