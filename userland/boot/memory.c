// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout.h"
#include "memory.h"
#include "util/bytes.h"
#include "util/error.h"

/* Both parts begin at a multiple of this in the guest, so they do here, too. */
#define HUGE_PAGE	(2ULL << 20)

/* Maps @size bytes at a multiple of HUGE_PAGE, so that huge pages can be used. */
static void *map_aligned(uint64_t size)
{
	uint64_t whole = size + HUGE_PAGE, lead, tail;
	uint8_t *map, *aligned;

	map = mmap(NULL, whole, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	aligned = (uint8_t *)align_up((uintptr_t)map, HUGE_PAGE);
	lead = aligned - map;
	tail = whole - lead - size;
	if (lead)
		munmap(map, lead);
	if (tail)
		munmap(aligned + size, tail);
	/* Only advice: without huge pages the guest runs all the same. */
	madvise(aligned, size, MADV_HUGEPAGE);
	madvise(aligned, size, MADV_DONTDUMP);
	return aligned;
}

int memory_create(struct guest_memory *mem, uint64_t size)
{
	uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	int err;

	memset(mem, 0, sizeof(*mem));
	if (size > host)
		return error_set(ENOMEM, "%" PRIu64
					 "M of memory is more than this host has (%" PRIu64 "M)",
				 size >> 20, host >> 20);
	mem->low_size = size < MEMORY_HOLE ? size : MEMORY_HOLE;
	mem->high_size = size - mem->low_size;
	mem->low = map_aligned(mem->low_size);
	if (mem->low && mem->high_size)
		mem->high = map_aligned(mem->high_size);
	if (!mem->low || (mem->high_size && !mem->high)) {
		err = errno;
		memory_destroy(mem);
		return error_set(err, "cannot map %" PRIu64 "M of memory: %s", size >> 20,
				 strerror(err));
	}
	return 0;
}

int memory_populate(struct guest_memory *mem)
{
	uint64_t size = mem->low_size + mem->high_size;
	int err;

	if (!madvise(mem->low, mem->low_size, MADV_POPULATE_WRITE) &&
	    (!mem->high || !madvise(mem->high, mem->high_size, MADV_POPULATE_WRITE)))
		return 0;
	err = errno;
	return error_set(err, "the host does not provide %" PRIu64 "M of memory: %s", size >> 20,
			 strerror(err));
}

void memory_destroy(struct guest_memory *mem)
{
	if (mem->low)
		munmap(mem->low, mem->low_size);
	if (mem->high)
		munmap(mem->high, mem->high_size);
	memset(mem, 0, sizeof(*mem));
}

void *memory_at(const struct guest_memory *mem, uint64_t gpa, uint64_t size)
{
	if (gpa <= mem->low_size && size <= mem->low_size - gpa)
		return mem->low + gpa;
	if (gpa >= MEMORY_HIGH && gpa - MEMORY_HIGH <= mem->high_size &&
	    size <= mem->high_size - (gpa - MEMORY_HIGH))
		return mem->high + (gpa - MEMORY_HIGH);
	return NULL;
}

void *memory_for_kernel(const struct guest_memory *mem, uint64_t gpa, uint64_t size)
{
	bool low = gpa >= LOAD_MIN && gpa <= FIRMWARE_EBDA && size <= FIRMWARE_EBDA - gpa;
	bool high = gpa >= KERNEL_MIN && gpa < MEMORY_HOLE;

	return low || high ? memory_at(mem, gpa, size) : NULL;
}

unsigned int memory_map(const struct guest_memory *mem, struct e820_entry *map)
{
	unsigned int n = 0;

	map[n++] = (struct e820_entry){ 0, FIRMWARE_EBDA, E820_RAM };
	map[n++] = (struct e820_entry){
		FIRMWARE_EBDA, FIRMWARE_EBDA_END - FIRMWARE_EBDA, E820_RESERVED,
	};
	map[n++] = (struct e820_entry){
		FIRMWARE_TABLES, FIRMWARE_END - FIRMWARE_TABLES, E820_RESERVED,
	};
	map[n++] = (struct e820_entry){
		FIRMWARE_END, mem->low_size - FIRMWARE_END, E820_RAM,
	};
	if (mem->high_size)
		map[n++] = (struct e820_entry){ MEMORY_HIGH, mem->high_size, E820_RAM };
	return n;
}
