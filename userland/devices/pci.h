/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI configuration by mechanism #1 (ports 0xcf8 and 0xcfc) with a host bridge
 * as the only device, and the reset control register at port 0xcf9 in between.
 */
#ifndef UMBRA_DEVICES_PCI_H
#define UMBRA_DEVICES_PCI_H

#include "device.h"

#define PCI_PORT	0xcf8
#define PCI_PORTS	8
#define PCI_RESET_PORT	0xcf9
#define PCI_RESET_VALUE	0x06	/* what resets the machine when written there */

struct pci;

extern const struct io_ops pci_ops;

/**
 * pci_create() - Make the ports and the host bridge
 * @reset: called when the guest resets the machine
 * @opaque: for @reset
 *
 * Return: the bus; NULL if there is no memory.
 */
struct pci *pci_create(void (*reset)(void *opaque), void *opaque);

/** pci_destroy() - Undo pci_create(); NULL is fine */
void pci_destroy(struct pci *pci);

#endif
