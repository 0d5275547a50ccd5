// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real-mode interrupt vectors and what they lead to. There is no BIOS to call,
 * but a kernel that visits real mode and asks for one is told so, and a device's
 * interrupt that arrives there is acknowledged: with vectors of zero the CPU
 * would execute the vectors themselves.
 */
#include <string.h>

#include "firmware.h"
#include "layout.h"
#include "util/bytes.h"

#define VECTORS			256
#define PIC_MASTER_VECTOR	0x08
#define PIC_SLAVE_VECTOR	0x70
#define PIC_LINES		8
#define BIOS_SEGMENT		(FIRMWARE_BIOS >> 4)

/* Nothing to do. */
static const uint8_t nothing[] = {
	0xcf,				/* iret */
};

/* A service that is not there: carry set in the caller's flags, AH 86h. */
static const uint8_t refuse[] = {
	0x55,				/* push %bp */
	0x89, 0xe5,			/* mov %sp,%bp */
	0x80, 0x4e, 0x06, 0x01,		/* orb $1,6(%bp) */
	0x5d,				/* pop %bp */
	0xb4, 0x86,			/* mov $0x86,%ah */
	0xcf,				/* iret */
};

/* An interrupt from the first PIC. */
static const uint8_t master[] = {
	0x50,				/* push %ax */
	0xb0, 0x20,			/* mov $0x20,%al */
	0xe6, 0x20,			/* out %al,$0x20 */
	0x58,				/* pop %ax */
	0xcf,				/* iret */
};

/* One from the second, by way of the first. */
static const uint8_t slave[] = {
	0x50,				/* push %ax */
	0xb0, 0x20,			/* mov $0x20,%al */
	0xe6, 0xa0,			/* out %al,$0xa0 */
	0xe6, 0x20,			/* out %al,$0x20 */
	0x58,				/* pop %ax */
	0xcf,				/* iret */
};

/* Services that report failure in the carry flag: disks, system, clock and PCI. */
static const uint8_t services[] = { 0x13, 0x15, 0x1a };

/* Put a routine behind the others; return its offset in the segment. */
static uint16_t add(uint8_t *bios, uint16_t *used, const uint8_t *code, size_t size)
{
	uint16_t at = *used;

	memcpy(bios + at, code, size);
	*used += size;
	return at;
}

static void point(uint8_t *vectors, unsigned int vector, uint16_t offset)
{
	put16(vectors + 4 * vector, offset);
	put16(vectors + 4 * vector + 2, BIOS_SEGMENT);
}

void bios_write(struct guest_memory *mem)
{
	uint8_t *vectors = memory_at(mem, 0, 4 * VECTORS);
	uint8_t *bios = memory_at(mem, FIRMWARE_BIOS, FIRMWARE_END - FIRMWARE_BIOS);
	uint16_t used = 0, offset;
	unsigned int i;

	offset = add(bios, &used, nothing, sizeof(nothing));
	for (i = 0; i < VECTORS; i++)
		point(vectors, i, offset);
	offset = add(bios, &used, refuse, sizeof(refuse));
	for (i = 0; i < sizeof(services); i++)
		point(vectors, services[i], offset);
	offset = add(bios, &used, master, sizeof(master));
	for (i = 0; i < PIC_LINES; i++)
		point(vectors, PIC_MASTER_VECTOR + i, offset);
	offset = add(bios, &used, slave, sizeof(slave));
	for (i = 0; i < PIC_LINES; i++)
		point(vectors, PIC_SLAVE_VECTOR + i, offset);
}
