/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of firmware_write(). */
#ifndef UMBRA_BOOT_FIRMWARE_H
#define UMBRA_BOOT_FIRMWARE_H

#include "memory.h"

/**
 * acpi_write() - Write the ACPI tables
 * @mem: guest memory
 * @cpus: how many there are
 * @ioapic_id: APIC ID of the I/O APIC
 *
 * Return: guest physical address of the RSDP.
 */
uint64_t acpi_write(struct guest_memory *mem, unsigned int cpus, uint8_t ioapic_id);

/** bios_write() - Write the real-mode interrupt vectors and what they lead to */
void bios_write(struct guest_memory *mem);

/** mptable_write() - Write the table of Intel's MultiProcessor Specification */
void mptable_write(struct guest_memory *mem, unsigned int cpus, uint8_t ioapic_id);

/** firmware_ioapic_id() - The APIC ID that the I/O APIC gets beside @cpus local APICs */
uint8_t firmware_ioapic_id(unsigned int cpus);

/** firmware_checksum() - The byte that makes the sum of @size bytes zero */
uint8_t firmware_checksum(const void *data, size_t size);

#endif
