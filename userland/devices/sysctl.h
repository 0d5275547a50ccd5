/* SPDX-License-Identifier: GPL-2.0-only */
/* Small ports of a PC's chipset: system control port A and the POST code. */
#ifndef UMBRA_DEVICES_SYSCTL_H
#define UMBRA_DEVICES_SYSCTL_H

#include "device.h"

#define SYSCTL_A_PORT	0x92
#define SYSCTL_POST_PORT 0x80

/**
 * struct sysctl - The ports' state
 * @reset: called when the guest resets the machine
 * @opaque: for @reset
 * @port_a: system control port A
 * @post: the last POST code; Linux writes there to pass a microsecond
 *
 * Each byte is read and written whole, so no lock is needed.
 */
struct sysctl {
	void (*reset)(void *opaque);
	void *opaque;
	uint8_t port_a;
	uint8_t post;
};

extern const struct io_ops sysctl_a_ops;
extern const struct io_ops sysctl_post_ops;

/** sysctl_init() - Set the ports to what a PC's firmware leaves there */
void sysctl_init(struct sysctl *ctl, void (*reset)(void *opaque), void *opaque);

#endif
