/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory as the monitor sees it: RAM from 0 to the hole below 4 GiB,
 * and the rest of it from 4 GiB on.
 */
#ifndef UMBRA_BOOT_MEMORY_H
#define UMBRA_BOOT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define MEMORY_HOLE		0xc0000000ULL
#define MEMORY_HIGH		0x100000000ULL

#define MEMORY_MIN		(2ULL << 20)

struct guest_memory {
	uint8_t *low, *high;		/* where they are mapped; high may be NULL */
	uint64_t low_size, high_size;
};

/**
 * memory_create() - Map memory for a guest
 * @mem: where it goes
 * @size: in bytes, a multiple of 4 KiB
 *
 * The host provides pages when the guest first touches them.
 *
 * Return: 0; -ENOMEM if the host has less; another negative errno.
 */
int memory_create(struct guest_memory *mem, uint64_t size);

/**
 * memory_populate() - Have the host provide all pages now
 * @mem: the memory
 *
 * Return: 0; -ENOMEM if the host has too few that are free; another negative errno.
 */
int memory_populate(struct guest_memory *mem);

/** memory_destroy() - Undo memory_create() */
void memory_destroy(struct guest_memory *mem);

/**
 * memory_at() - Find a range of guest memory
 * @mem: the memory
 * @gpa: where it begins
 * @size: in bytes
 *
 * Return: where it is mapped; NULL if it is not RAM from end to end.
 */
void *memory_at(const struct guest_memory *mem, uint64_t gpa, uint64_t size);

/**
 * memory_for_kernel() - Find a range of guest memory that a kernel may be loaded to
 * @mem: the memory
 * @gpa: where it begins
 * @size: in bytes
 *
 * Return: where it is mapped; NULL if it is not free RAM below 4 GiB from end
 * to end. What firmware has put there is not free.
 */
void *memory_for_kernel(const struct guest_memory *mem, uint64_t gpa, uint64_t size);

/* Types of the firmware's memory map (ACPI specification 6.4, section 15). */
#define E820_RAM	1
#define E820_RESERVED	2
#define E820_MAX	8

struct e820_entry {
	uint64_t base;
	uint64_t size;
	uint32_t type;
} __attribute__((packed));

/**
 * memory_map() - The memory map that firmware would report
 * @mem: the memory
 * @map: where up to E820_MAX entries go, in ascending order
 *
 * Return: how many there are.
 */
unsigned int memory_map(const struct guest_memory *mem, struct e820_entry *map);

#endif
