// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loaders: the input is how much memory there is, how long the command line, the
 * initrd and a module are, and then a kernel: bzImage, ELF or multiboot.
 */
#include <stdlib.h>

#include <umbra/umbra.h>

#include "boot/boot.h"
#include "input.h"

#define MIB	(1ULL << 20)

/* In heap blocks, at whose ends the sanitizer watches. */
static uint8_t *copy(struct input *in, size_t size)
{
	uint8_t *p = malloc(size + !size);

	MUST(p);
	input_bytes(in, p, size);
	return p;
}

/* A block for each size, kept: what is there already is no loader's business. */
static uint8_t *block(uint8_t **kept, uint64_t size)
{
	if (!*kept)
		*kept = malloc(size);
	MUST(*kept);
	return *kept;
}

static void check_entry(const struct boot_entry *entry, struct guest_memory *mem)
{
	struct umbra_state state = { 0 };

	MUST(!entry->kernel_size || memory_at(mem, entry->kernel, entry->kernel_size));
	MUST(!entry->initrd_size || memory_at(mem, entry->initrd, entry->initrd_size));
	boot_state(entry, mem, &state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[4] = { 2 * MIB, 3 * MIB, 4 * MIB, 20 * MIB };
	static uint8_t *low[4], *high;
	struct input in = { data, size };
	unsigned int which = input_number(&in, 1);
	struct guest_memory mem = {
		.low_size = sizes[which % 4],
		.high_size = input_number(&in, 1) & 1 ? MIB : 0,
	};
	size_t cmdline = input_number(&in, 2) % 5000, initrd = input_number(&in, 1) * 16;
	unsigned int cpus = 1 + input_number(&in, 1) % UMBRA_MAX_VCPUS;
	struct boot_module module = { .cmdline = "module argument" };
	struct boot_source src = { .module = &module };
	struct boot_entry entry = { 0 };
	char *line = malloc(cmdline + 1);

	mem.low = block(&low[which % 4], mem.low_size);
	mem.high = mem.high_size ? block(&high, mem.high_size) : NULL;
	MUST(line);
	memset(line, 'x', cmdline);
	line[cmdline] = '\0';
	src.cmdline = line;
	if (initrd)
		src.initrd = (struct image) { "initrd", copy(&in, initrd), initrd };
	src.modules = input_number(&in, 1) & 1;
	module.image = (struct image) { "module", copy(&in, 100), 100 };
	src.kernel = (struct image) { .path = "kernel", .size = in.left };
	src.kernel.data = copy(&in, in.left);
	if (src.kernel.size) {
		src.rsdp = firmware_write(&mem, cpus);
		MUST(memory_at(&mem, src.rsdp, 36));
		if (!boot_load(&src, &mem, &entry))
			check_entry(&entry, &mem);
	}
	free((void *)src.kernel.data);
	free((void *)src.initrd.data);
	free((void *)module.image.data);
	free(line);
	return 0;
}
