// SPDX-License-Identifier: GPL-2.0-only
#include "boot.h"
#include "firmware.h"
#include "layout.h"
#include "util/bytes.h"

/* The BIOS data area. */
#define BDA_COM1		0x00
#define BDA_EBDA_SEGMENT	0x0e
#define BDA_EQUIPMENT		0x10
#define BDA_MEMORY_KB		0x13
#define BDA_SIZE		0x100
#define EQUIPMENT_ONE_SERIAL	0x0200

#define COM1_PORT		0x3f8

/* I/O APIC IDs have four bits. */
#define IOAPIC_ID_MAX		14

uint8_t firmware_checksum(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (size--)
		sum += *p++;
	return -sum;
}

uint8_t firmware_ioapic_id(unsigned int cpus)
{
	return cpus <= IOAPIC_ID_MAX ? cpus : 0;
}

uint64_t firmware_write(struct guest_memory *mem, unsigned int cpus)
{
	uint8_t *bda = memory_at(mem, BIOS_DATA_AREA, BDA_SIZE);
	uint8_t *ebda = memory_at(mem, FIRMWARE_EBDA, FIRMWARE_EBDA_END - FIRMWARE_EBDA);
	uint8_t id = firmware_ioapic_id(cpus);

	put16(bda + BDA_COM1, COM1_PORT);
	put16(bda + BDA_EBDA_SEGMENT, FIRMWARE_EBDA >> 4);
	put16(bda + BDA_EQUIPMENT, EQUIPMENT_ONE_SERIAL);
	put16(bda + BDA_MEMORY_KB, FIRMWARE_EBDA >> 10);
	/* Its first byte is its size in KiB. */
	ebda[0] = (FIRMWARE_EBDA_END - FIRMWARE_EBDA) >> 10;

	bios_write(mem);
	mptable_write(mem, cpus, id);
	return acpi_write(mem, cpus, id);
}
