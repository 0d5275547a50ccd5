// SPDX-License-Identifier: GPL-2.0-only
/* The Multiboot Specification, version 0.6.96 (multiboot 1). */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "boot.h"
#include "elf_load.h"
#include "layout.h"
#include "util/bytes.h"
#include "util/error.h"

#define SEARCH		8192	/* the header lies in these bytes, 4-byte aligned */
#define MAGIC		0x1badb002
#define LOADER_MAGIC	0x2badb002

#define FLAG_ALIGN	(1U << 0)
#define FLAG_MEMORY	(1U << 1)
#define FLAG_VIDEO	(1U << 2)
#define FLAG_ADDRESSES	(1U << 16)
/* Of the bits that a loader must understand or refuse, those that we do. */
#define FLAGS_MUST	0xffffU
#define FLAGS_KNOWN	(FLAG_ALIGN | FLAG_MEMORY)

/* Offsets in the header. */
#define HDR_FLAGS	4
#define HDR_CHECKSUM	8
#define HDR_SIZE	12
#define HDR_ADDR	12
#define HDR_LOAD	16
#define HDR_LOAD_END	20
#define HDR_BSS_END	24
#define HDR_ENTRY	28
#define HDR_ADDR_SIZE	32

/* The information structure. */
#define INFO_FLAGS	0
#define INFO_MEM_LOWER	4
#define INFO_MEM_UPPER	8
#define INFO_CMDLINE	16
#define INFO_MODS_N	20
#define INFO_MODS	24
#define INFO_MMAP_SIZE	44
#define INFO_MMAP	48
#define INFO_LOADER	64
#define INFO_SIZE	120

#define INFO_HAS_MEMORY	(1U << 0)
#define INFO_HAS_CMDLINE (1U << 2)
#define INFO_HAS_MODS	(1U << 3)
#define INFO_HAS_MMAP	(1U << 6)
#define INFO_HAS_LOADER	(1U << 9)

#define MODULE_SIZE	16
#define MMAP_SIZE	24	/* with the size field, which does not count itself */

/* The information and everything it points to is laid out in one piece of memory. */
struct arena {
	struct guest_memory *mem;
	uint32_t start, next, end;
	bool full;
};

#define ARENA_SIZE	(BOOT_CMDLINE + BOOT_CMDLINE_MAX - BOOT_PARAMS)

/*
 * Chooses the piece: below 1 MiB, or behind the kernel if that is there. @free
 * is the first address that is free for modules, before and after.
 */
static int arena_place(struct arena *arena, const struct loaded_kernel *kernel, uint64_t *free)
{
	arena->start = BOOT_PARAMS;
	if (kernel->start < BOOT_PARAMS + ARENA_SIZE && kernel->end > BOOT_PARAMS) {
		arena->start = align_up(*free, 4096);
		*free = (uint64_t)arena->start + ARENA_SIZE;
	}
	arena->next = arena->start;
	arena->end = arena->start + ARENA_SIZE;
	if (!memory_for_kernel(arena->mem, arena->start, ARENA_SIZE))
		return error_set(ENOMEM, "the guest has too little memory for the kernel's multiboot information: give more with --memory");
	return 0;
}

static uint32_t arena_take(struct arena *arena, uint32_t size)
{
	uint32_t at = align_up(arena->next, 8);

	if (at > arena->end || size > arena->end - at) {
		arena->full = true;
		return arena->start;
	}
	arena->next = at + size;
	memset(memory_at(arena->mem, at, size), 0, size);
	return at;
}

/* A kernel's or a module's string: two words with a blank in between. */
static uint32_t arena_string(struct arena *arena, const char *name, const char *rest)
{
	size_t name_size = strlen(name), rest_size = strlen(rest);
	size_t size = name_size + (rest_size ? 1 + rest_size : 0) + 1;
	uint32_t at;
	char *p;

	if (size > ARENA_SIZE) {
		arena->full = true;
		return arena->start;
	}
	at = arena_take(arena, size);
	if (arena->full)
		return at;
	p = memory_at(arena->mem, at, size);
	memcpy(p, name, name_size);
	if (rest_size) {
		p[name_size] = ' ';
		memcpy(p + name_size + 1, rest, rest_size);
	}
	return at;
}

static const uint8_t *find_header(const struct image *kernel, size_t *offset)
{
	size_t at, end = kernel->size < SEARCH ? kernel->size : SEARCH;

	for (at = 0; at + HDR_SIZE <= end; at += 4) {
		const uint8_t *h = kernel->data + at;

		if (get32(h) == MAGIC &&
		    (uint32_t)(MAGIC + get32(h + HDR_FLAGS) + get32(h + HDR_CHECKSUM)) == 0) {
			*offset = at;
			return h;
		}
	}
	return NULL;
}

int multiboot_probe(const struct image *kernel)
{
	size_t offset;

	return !!find_header(kernel, &offset);
}

/* The kernel says itself where it wants to go, so that it may be of any format. */
static int load_by_addresses(const struct image *kernel, const uint8_t *h, size_t offset,
			     struct guest_memory *mem, struct loaded_kernel *out)
{
	uint32_t header, load, load_end, bss_end;
	uint64_t from, size, whole;
	uint8_t *to;

	if (offset + HDR_ADDR_SIZE > kernel->size)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: it ends within its multiboot header",
				 kernel->path);
	header = get32(h + HDR_ADDR);
	load = get32(h + HDR_LOAD);
	load_end = get32(h + HDR_LOAD_END);
	bss_end = get32(h + HDR_BSS_END);
	if (load > header || header - load > offset ||
	    (load_end && load_end < load) || (bss_end && bss_end < load_end))
		return error_set(ENOEXEC, "the kernel '%s' is broken: the addresses in its multiboot header contradict each other",
				 kernel->path);
	from = offset - (header - load);
	size = load_end ? load_end - load : kernel->size - from;
	if (size > kernel->size - from)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: %" PRIu64
					  " bytes were promised in its multiboot header, it has %zu",
				 kernel->path, from + size, kernel->size);
	whole = bss_end && bss_end - load > size ? bss_end - load : size;
	to = memory_for_kernel(mem, load, whole);
	if (!to)
		return error_set(ENOMEM, "the kernel '%s' wants to be loaded at %#x to %#" PRIx64
					 ", where the guest has no free memory",
				 kernel->path, load, load + whole);
	memcpy(to, kernel->data + from, size);
	memset(to + size, 0, whole - size);
	*out = (struct loaded_kernel){
		.start = load, .end = load + whole, .entry = get32(h + HDR_ENTRY),
	};
	return 0;
}

/* Puts a file behind the kernel and what was put there before. */
static int place_module(const struct image *image, struct guest_memory *mem, uint64_t *end,
			uint64_t *at)
{
	uint8_t *to;

	*at = align_up(*end, 4096);
	to = *at < MEMORY_HOLE ? memory_at(mem, *at, image->size) : NULL;
	if (!to)
		return error_set(ENOMEM, "the module '%s' does not fit behind the kernel in %"
					 PRIu64 "M of memory: give more with --memory",
				 image->path, (mem->low_size + mem->high_size) >> 20);
	memcpy(to, image->data, image->size);
	*end = *at + image->size;
	return 0;
}

static int write_modules(const struct boot_source *src, struct arena *arena, uint64_t end,
			 uint8_t *info, struct boot_entry *entry)
{
	unsigned int count = src->modules + (src->initrd.data ? 1 : 0), i;
	const struct image *image;
	uint32_t list, string;
	uint8_t *descriptor;
	uint64_t at;
	int ret;

	list = arena_take(arena, count * MODULE_SIZE);
	for (i = 0; i < count; i++) {
		bool is_initrd = src->initrd.data && i == 0;
		unsigned int n = src->initrd.data ? i - 1 : i;

		/* An initrd is the first module. */
		image = is_initrd ? &src->initrd : &src->module[n].image;
		ret = place_module(image, arena->mem, &end, &at);
		if (ret)
			return ret;
		if (is_initrd) {
			entry->initrd = at;
			entry->initrd_size = image->size;
		}
		string = arena_string(arena, image->path, is_initrd ? "" : src->module[n].cmdline);
		if (arena->full)
			break;
		descriptor = memory_at(arena->mem, list + i * MODULE_SIZE, MODULE_SIZE);
		put32(descriptor, at);
		put32(descriptor + 4, at + image->size);
		put32(descriptor + 8, string);
	}
	put32(info + INFO_MODS_N, count);
	put32(info + INFO_MODS, list);
	return 0;
}

static void write_memory_map(struct arena *arena, uint8_t *info)
{
	struct e820_entry map[E820_MAX];
	unsigned int i, n = memory_map(arena->mem, map);
	uint32_t list = arena_take(arena, n * MMAP_SIZE);
	uint8_t *entry;

	if (arena->full)
		return;
	for (i = 0; i < n; i++) {
		entry = memory_at(arena->mem, list + i * MMAP_SIZE, MMAP_SIZE);
		put32(entry, MMAP_SIZE - 4);
		put64(entry + 4, map[i].base);
		put64(entry + 12, map[i].size);
		put32(entry + 20, map[i].type);
	}
	put32(info + INFO_MMAP_SIZE, n * MMAP_SIZE);
	put32(info + INFO_MMAP, list);
	put32(info + INFO_MEM_LOWER, FIRMWARE_EBDA >> 10);
	put32(info + INFO_MEM_UPPER, (arena->mem->low_size - FIRMWARE_END) >> 10);
}

int multiboot_load(const struct boot_source *src, struct guest_memory *mem,
		   struct boot_entry *entry)
{
	const struct image *kernel = &src->kernel;
	struct arena arena = { .mem = mem };
	struct loaded_kernel loaded;
	uint32_t flags, info_at;
	uint64_t modules;
	size_t offset = 0;
	const uint8_t *h;
	uint8_t *info;
	int ret;

	h = find_header(kernel, &offset);
	if (!h)
		return error_set(ENOEXEC, "'%s' is no multiboot kernel", kernel->path);
	flags = get32(h + HDR_FLAGS);
	if (flags & FLAGS_MUST & ~FLAGS_KNOWN & ~FLAG_VIDEO)
		return error_set(ENOEXEC, "the kernel '%s' wants multiboot features %#x that this loader does not have",
				 kernel->path, flags & FLAGS_MUST & ~FLAGS_KNOWN);

	if (flags & FLAG_ADDRESSES)
		ret = load_by_addresses(kernel, h, offset, mem, &loaded);
	else
		ret = elf_load(kernel, mem, &loaded);
	if (ret)
		return ret;

	modules = loaded.end > KERNEL_MIN ? loaded.end : KERNEL_MIN;
	ret = arena_place(&arena, &loaded, &modules);
	if (ret)
		return ret;
	info_at = arena_take(&arena, INFO_SIZE);
	info = memory_at(mem, info_at, INFO_SIZE);
	put32(info + INFO_CMDLINE, arena_string(&arena, kernel->path, src->cmdline));
	put32(info + INFO_LOADER, arena_string(&arena, "vmctl", ""));
	write_memory_map(&arena, info);
	ret = write_modules(src, &arena, modules, info, entry);
	if (ret)
		return ret;
	if (arena.full)
		return error_set(E2BIG, "the command lines of the kernel '%s' and its modules are too long",
				 kernel->path);
	/* There is no screen: a kernel that asked for one sees that no bit says so. */
	put32(info + INFO_FLAGS, INFO_HAS_MEMORY | INFO_HAS_CMDLINE | INFO_HAS_MODS |
				 INFO_HAS_MMAP | INFO_HAS_LOADER);

	entry->mode = BOOT_PROTECTED;
	entry->rip = loaded.entry;
	entry->rax = LOADER_MAGIC;
	entry->rbx = info_at;
	entry->kernel = loaded.start;
	entry->kernel_size = loaded.end - loaded.start;
	return 0;
}
