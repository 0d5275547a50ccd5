// SPDX-License-Identifier: GPL-2.0-only
/* The tables of Intel's MultiProcessor Specification 1.4, for kernels without ACPI. */
#include <string.h>

#include "devices/ioapic.h"
#include "firmware.h"
#include "layout.h"
#include "util/bytes.h"

#define POINTER_SIZE	16
#define HEADER_SIZE	44
#define CPU_SIZE	20
#define ENTRY_SIZE	8

#define LAPIC_BASE	0xfee00000U
#define LAPIC_VERSION	0x14
#define IOAPIC_VERSION	0x20
#define ISA_IRQS	16

#define ENTRY_CPU	0
#define ENTRY_BUS	1
#define ENTRY_IOAPIC	2
#define ENTRY_INTERRUPT	3
#define ENTRY_LOCAL	4

#define CPU_ENABLED	0x01
#define CPU_BSP		0x02
#define CPU_SIGNATURE	0x600
#define CPU_FPU_APIC	0x201

#define TYPE_INT	0
#define TYPE_NMI	1
#define TYPE_EXTINT	3
#define ALL_CPUS	0xff

static uint8_t *put_entry(uint8_t *e, uint8_t type, uint8_t b, uint8_t c, uint8_t d)
{
	e[0] = type;
	e[1] = b;
	e[2] = c;
	e[3] = d;
	return e;
}

void mptable_write(struct guest_memory *mem, unsigned int cpus, uint8_t ioapic_id)
{
	uint8_t *pointer = memory_at(mem, FIRMWARE_MP_TABLE, FIRMWARE_END - FIRMWARE_MP_TABLE);
	uint8_t *header = pointer + POINTER_SIZE, *e = header + HEADER_SIZE;
	unsigned int i, entries = 0;

	memset(pointer, 0, POINTER_SIZE + HEADER_SIZE + cpus * CPU_SIZE +
	       (2 + ISA_IRQS + 2) * ENTRY_SIZE);

	for (i = 0; i < cpus; i++, entries++, e += CPU_SIZE) {
		put_entry(e, ENTRY_CPU, i, LAPIC_VERSION, CPU_ENABLED | (i ? 0 : CPU_BSP));
		put32(e + 4, CPU_SIGNATURE);
		put32(e + 8, CPU_FPU_APIC);
	}
	put_entry(e, ENTRY_BUS, 0, 'I', 'S');
	memcpy(e + 2, "ISA   ", 6);
	e += ENTRY_SIZE;
	put32(put_entry(e, ENTRY_IOAPIC, ioapic_id, IOAPIC_VERSION, 1) + 4, IOAPIC_BASE);
	e += ENTRY_SIZE;
	entries += 2;
	for (i = 0; i < ISA_IRQS; i++) {
		/* The cascade is no interrupt; the timer is on its pin. */
		if (i == 2)
			continue;
		put_entry(e, ENTRY_INTERRUPT, TYPE_INT, 0, 0);
		e[5] = i;
		e[6] = ioapic_id;
		e[7] = i ? i : 2;
		e += ENTRY_SIZE;
		entries++;
	}
	put_entry(e, ENTRY_LOCAL, TYPE_EXTINT, 0, 0);
	e += ENTRY_SIZE;
	put_entry(e, ENTRY_LOCAL, TYPE_NMI, 0, 0);
	e[6] = ALL_CPUS;
	e[7] = 1;
	e += ENTRY_SIZE;
	entries += 2;

	memcpy(header, "PCMP", 4);
	put16(header + 4, e - header);
	header[6] = 4;	/* version 1.4 */
	memcpy(header + 8, "UMBRA   ", 8);
	memcpy(header + 16, "UMBRAPC     ", 12);
	put16(header + 34, entries);
	put32(header + 36, LAPIC_BASE);
	header[7] = firmware_checksum(header, e - header);

	memcpy(pointer, "_MP_", 4);
	put32(pointer + 4, FIRMWARE_MP_TABLE + POINTER_SIZE);
	pointer[8] = 1;	/* paragraphs of this structure */
	pointer[9] = 4;
	pointer[10] = firmware_checksum(pointer, POINTER_SIZE);
}
