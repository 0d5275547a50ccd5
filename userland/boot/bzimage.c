// SPDX-License-Identifier: GPL-2.0-only
/* Linux's x86 boot protocol (Documentation/arch/x86/boot.rst in its source). */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "boot.h"
#include "layout.h"
#include "util/bytes.h"
#include "util/error.h"

/* Offsets in the image's first sectors, and the same ones in the boot parameters. */
#define HDR_START	0x1f1
#define HDR_SETUP_SECTS	0x1f1
#define HDR_SYSSIZE	0x1f4
#define HDR_VID_MODE	0x1fa
#define HDR_BOOT_FLAG	0x1fe
#define HDR_JUMP	0x200
#define HDR_MAGIC	0x202
#define HDR_VERSION	0x206
#define HDR_LOADER	0x210
#define HDR_LOADFLAGS	0x211
#define HDR_CODE32	0x214
#define HDR_INITRD	0x218
#define HDR_INITRD_SIZE	0x21c
#define HDR_HEAP_END	0x224
#define HDR_CMDLINE	0x228
#define HDR_INITRD_MAX	0x22c
#define HDR_ALIGNMENT	0x230
#define HDR_RELOCATABLE	0x234
#define HDR_XLOADFLAGS	0x236
#define HDR_CMDLINE_MAX	0x238
#define HDR_PREF_ADDR	0x258
#define HDR_INIT_SIZE	0x260
#define HDR_END_MIN	0x264
#define HDR_END_MAX	0x290	/* the E820 map and EDD follow */

#define BOOT_FLAG	0xaa55
#define MAGIC		0x53726448	/* "HdrS" */
#define LOADED_HIGH	0x01
#define CAN_USE_HEAP	0x80
#define XLF_KERNEL_64	0x0001
#define LOADER_UNKNOWN	0xff
#define VID_NORMAL	0xffff
#define ENTRY_64	0x200

/* Protocol versions, by what came with them. */
#define VERSION_HIGH	0x0202	/* loading high and cmd_line_ptr */
#define VERSION_INITRD	0x0203	/* initrd_addr_max */
#define VERSION_RELOC	0x0205	/* relocatable_kernel, kernel_alignment */
#define VERSION_CMDLINE	0x0206	/* cmdline_size */
#define VERSION_PREF	0x020a	/* pref_address, init_size */
#define VERSION_64	0x020c	/* xloadflags */
#define VERSION_RSDP	0x020e	/* acpi_rsdp_addr */

/* Offsets in the boot parameters alone. */
#define PARAMS_SIZE	0x1000
#define PARAMS_RSDP	0x070
#define PARAMS_E820_N	0x1e8
#define PARAMS_E820	0x2d0

/* What is taken from the header, with the defaults of older protocols. */
struct header {
	uint16_t version;
	uint32_t setup_size;	/* bytes before the part that is loaded high */
	uint64_t size;		/* bytes of that part */
	uint64_t init_size;	/* bytes that are used before the memory map is read */
	uint64_t pref_addr;
	uint64_t alignment;
	uint64_t initrd_max;	/* highest address of the initrd's last byte */
	uint32_t cmdline_max;
	uint32_t code32;
	bool relocatable, is_64;
};

int bzimage_probe(const struct image *kernel)
{
	return kernel->size >= HDR_VERSION + 2 &&
	       get16(&kernel->data[HDR_BOOT_FLAG]) == BOOT_FLAG &&
	       get32(&kernel->data[HDR_MAGIC]) == MAGIC;
}

static int parse_header(const struct image *kernel, struct header *h)
{
	const uint8_t *d = kernel->data;
	unsigned int sectors;
	uint64_t said;

	memset(h, 0, sizeof(*h));
	if (kernel->size < HDR_END_MIN)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: it ends within its header",
				 kernel->path);
	h->version = get16(&d[HDR_VERSION]);
	if (h->version < VERSION_HIGH || !(d[HDR_LOADFLAGS] & LOADED_HIGH))
		return error_set(ENOEXEC, "'%s' is a Linux kernel of a kind that is not loaded above 1 MiB (boot protocol %u.%02u): too old",
				 kernel->path, h->version >> 8, h->version & 0xff);

	sectors = d[HDR_SETUP_SECTS] ? d[HDR_SETUP_SECTS] : 4;
	h->setup_size = (sectors + 1) * 512;
	if (kernel->size <= h->setup_size)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: it ends within its set-up code",
				 kernel->path);
	h->size = kernel->size - h->setup_size;
	said = (uint64_t)get32(&d[HDR_SYSSIZE]) * 16;
	/* The last unit of 16 bytes need not be whole. */
	if (h->size + 15 < said)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: %" PRIu64
					  " bytes are missing of %" PRIu64,
				 kernel->path, said - h->size, said + h->setup_size);

	h->code32 = get32(&d[HDR_CODE32]);
	h->initrd_max = h->version >= VERSION_INITRD ? get32(&d[HDR_INITRD_MAX]) : 0x37ffffff;
	h->cmdline_max = h->version >= VERSION_CMDLINE ? get32(&d[HDR_CMDLINE_MAX]) : 255;
	h->alignment = 1;
	if (h->version >= VERSION_RELOC) {
		h->relocatable = d[HDR_RELOCATABLE];
		h->alignment = get32(&d[HDR_ALIGNMENT]);
		if (!h->alignment)
			h->alignment = 1;
		if (h->alignment & (h->alignment - 1))
			return error_set(ENOEXEC, "the kernel '%s' is broken: it wants alignment %#"
						  PRIx64 ", which is no power of two",
					 kernel->path, h->alignment);
	}
	h->init_size = h->size;
	h->pref_addr = KERNEL_MIN;
	if (h->version >= VERSION_PREF) {
		h->pref_addr = get64(&d[HDR_PREF_ADDR]);
		if (get32(&d[HDR_INIT_SIZE]) > h->init_size)
			h->init_size = get32(&d[HDR_INIT_SIZE]);
	}
	h->is_64 = h->version >= VERSION_64 && (get16(&d[HDR_XLOADFLAGS]) & XLF_KERNEL_64);
	if (h->is_64 && h->size < ENTRY_64 + 16)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: it ends before its 64-bit entry",
				 kernel->path);
	return 0;
}

/* Chooses where the kernel goes: where it likes best, or lower if that is all there is. */
static int place_kernel(const struct boot_source *src, const struct guest_memory *mem,
			const struct header *h, uint64_t *load)
{
	uint64_t at = h->pref_addr;

	if (at < KERNEL_MIN || !memory_at(mem, at, h->init_size) || at >= MEMORY_HOLE) {
		at = align_up(KERNEL_MIN, h->alignment);
		/* Even a relocatable 64-bit kernel unpacks itself no lower than it prefers. */
		if (!h->relocatable || h->is_64 || !memory_at(mem, at, h->init_size))
			return error_set(ENOMEM, "the kernel '%s' needs %" PRIu64
						 "M of memory, the guest has %" PRIu64
						 "M: give more with --memory",
					 src->kernel.path,
					 (h->pref_addr + h->init_size + (1 << 20) - 1) >> 20,
					 (mem->low_size + mem->high_size) >> 20);
	}
	*load = at;
	return 0;
}

static int place_initrd(const struct boot_source *src, const struct guest_memory *mem,
			const struct header *h, uint64_t kernel_end, uint64_t *at)
{
	uint64_t size = src->initrd.size, top = mem->low_size;

	if (h->initrd_max < UINT64_MAX && top > h->initrd_max + 1)
		top = h->initrd_max + 1;
	if (size > top || ((top - size) & ~0xfffULL) < kernel_end)
		return error_set(ENOMEM, "the initrd '%s' (%" PRIu64
					 "M) does not fit beside the kernel into %" PRIu64
					 "M of memory: give more with --memory",
				 src->initrd.path, (size + (1 << 20) - 1) >> 20,
				 (mem->low_size + mem->high_size) >> 20);
	*at = (top - size) & ~0xfffULL;
	return 0;
}

static void write_params(const struct boot_source *src, struct guest_memory *mem,
			 const struct header *h, const struct boot_entry *entry)
{
	uint8_t *params = memory_at(mem, BOOT_PARAMS, PARAMS_SIZE);
	const uint8_t *d = src->kernel.data;
	struct e820_entry map[E820_MAX];
	unsigned int end, n;

	memset(params, 0, PARAMS_SIZE);
	/* The jump at its beginning says how long the header is. */
	end = HDR_JUMP + 2 + d[HDR_JUMP + 1];
	if (end < HDR_END_MIN)
		end = HDR_END_MIN;
	if (end > HDR_END_MAX)
		end = HDR_END_MAX;
	if (end > src->kernel.size)
		end = src->kernel.size;
	memcpy(&params[HDR_START], &d[HDR_START], end - HDR_START);

	put16(&params[HDR_VID_MODE], VID_NORMAL);
	params[HDR_LOADER] = LOADER_UNKNOWN;
	params[HDR_LOADFLAGS] |= CAN_USE_HEAP;
	put16(&params[HDR_HEAP_END], 0xfe00);
	put32(&params[HDR_CODE32], entry->kernel);
	put32(&params[HDR_CMDLINE], BOOT_CMDLINE);
	put32(&params[HDR_INITRD], entry->initrd);
	put32(&params[HDR_INITRD_SIZE], entry->initrd_size);
	if (h->version >= VERSION_RSDP)
		put64(&params[PARAMS_RSDP], src->rsdp);

	n = memory_map(mem, map);
	params[PARAMS_E820_N] = n;
	memcpy(&params[PARAMS_E820], map, n * sizeof(map[0]));
}

int bzimage_load(const struct boot_source *src, struct guest_memory *mem,
		 struct boot_entry *entry)
{
	size_t cmdline = strlen(src->cmdline);
	uint64_t load, initrd = 0;
	struct header h;
	int ret;

	ret = parse_header(&src->kernel, &h);
	if (ret)
		return ret;
	if (h.cmdline_max >= BOOT_CMDLINE_MAX)
		h.cmdline_max = BOOT_CMDLINE_MAX - 1;
	if (cmdline > h.cmdline_max)
		return error_set(E2BIG, "the command line has %zu characters, the kernel '%s' takes %u",
				 cmdline, src->kernel.path, h.cmdline_max);
	ret = place_kernel(src, mem, &h, &load);
	if (ret)
		return ret;
	if (src->initrd.data) {
		ret = place_initrd(src, mem, &h, load + h.init_size, &initrd);
		if (ret)
			return ret;
	}

	memcpy(memory_at(mem, load, h.size), src->kernel.data + h.setup_size, h.size);
	if (src->initrd.data)
		memcpy(memory_at(mem, initrd, src->initrd.size), src->initrd.data,
		       src->initrd.size);
	memcpy(memory_at(mem, BOOT_CMDLINE, cmdline + 1), src->cmdline, cmdline + 1);

	entry->kernel = load;
	entry->kernel_size = h.size;
	entry->initrd = initrd;
	entry->initrd_size = src->initrd.data ? src->initrd.size : 0;
	entry->mode = h.is_64 ? BOOT_LONG : BOOT_PROTECTED;
	/* An old kernel's own 32-bit entry may lie within what is loaded. */
	entry->rip = h.is_64 ? load + ENTRY_64 : load;
	if (!h.is_64 && h.code32 > KERNEL_MIN && h.code32 - KERNEL_MIN < h.size)
		entry->rip = load + (h.code32 - KERNEL_MIN);
	entry->rsi = BOOT_PARAMS;
	write_params(src, mem, &h, entry);
	return 0;
}
