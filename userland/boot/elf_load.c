// SPDX-License-Identifier: GPL-2.0-only
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "elf_load.h"
#include "layout.h"
#include "util/error.h"

/* What is needed of the two kinds of headers. */
struct header {
	uint64_t entry, phoff;
	unsigned int phentsize, phnum;
	bool is_64;
};

struct segment {
	uint64_t offset, vaddr, paddr, filesz, memsz;
	bool load;
};

static int broken(const struct image *kernel, const char *how)
{
	return error_set(ENOEXEC, "the kernel '%s' is a broken ELF file: %s", kernel->path, how);
}

static int read_header(const struct image *kernel, struct header *h)
{
	Elf32_Ehdr e32;
	Elf64_Ehdr e64;

	if (kernel->size < sizeof(e32) || memcmp(kernel->data, ELFMAG, SELFMAG))
		return error_set(ENOEXEC, "the multiboot kernel '%s' is no ELF file and does not say where it is to be loaded",
				 kernel->path);
	memcpy(&e32, kernel->data, sizeof(e32));
	if (e32.e_ident[EI_DATA] != ELFDATA2LSB)
		return broken(kernel, "it is not for x86");
	switch (e32.e_ident[EI_CLASS]) {
	case ELFCLASS32:
		if (e32.e_machine != EM_386 && e32.e_machine != EM_X86_64)
			return broken(kernel, "it is not for x86");
		*h = (struct header){
			.entry = e32.e_entry, .phoff = e32.e_phoff,
			.phentsize = e32.e_phentsize, .phnum = e32.e_phnum,
		};
		if (h->phentsize < sizeof(Elf32_Phdr))
			return broken(kernel, "its program headers are too small");
		return 0;
	case ELFCLASS64:
		if (kernel->size < sizeof(e64))
			return broken(kernel, "it ends within its header");
		memcpy(&e64, kernel->data, sizeof(e64));
		if (e64.e_machine != EM_X86_64)
			return broken(kernel, "it is not for x86");
		*h = (struct header){
			.entry = e64.e_entry, .phoff = e64.e_phoff,
			.phentsize = e64.e_phentsize, .phnum = e64.e_phnum, .is_64 = true,
		};
		if (h->phentsize < sizeof(Elf64_Phdr))
			return broken(kernel, "its program headers are too small");
		return 0;
	default:
		return broken(kernel, "it is neither 32-bit nor 64-bit");
	}
}

static void read_segment(const struct image *kernel, const struct header *h, unsigned int i,
			 struct segment *s)
{
	const uint8_t *at = kernel->data + h->phoff + (uint64_t)i * h->phentsize;
	Elf32_Phdr p32;
	Elf64_Phdr p64;

	if (h->is_64) {
		memcpy(&p64, at, sizeof(p64));
		*s = (struct segment){
			.offset = p64.p_offset, .vaddr = p64.p_vaddr, .paddr = p64.p_paddr,
			.filesz = p64.p_filesz, .memsz = p64.p_memsz,
			.load = p64.p_type == PT_LOAD && p64.p_memsz,
		};
	} else {
		memcpy(&p32, at, sizeof(p32));
		*s = (struct segment){
			.offset = p32.p_offset, .vaddr = p32.p_vaddr, .paddr = p32.p_paddr,
			.filesz = p32.p_filesz, .memsz = p32.p_memsz,
			.load = p32.p_type == PT_LOAD && p32.p_memsz,
		};
	}
}

static int load_segment(const struct image *kernel, struct guest_memory *mem,
			const struct segment *s)
{
	uint8_t *to;

	if (s->filesz > s->memsz)
		return broken(kernel, "a segment is larger in the file than in memory");
	if (s->offset > kernel->size || s->filesz > kernel->size - s->offset)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: a segment ends at %" PRIu64
					  ", the file at %zu",
				 kernel->path, s->offset + s->filesz, kernel->size);
	to = memory_for_kernel(mem, s->paddr, s->memsz);
	if (!to)
		return error_set(ENOMEM, "the kernel '%s' wants %" PRIu64 " bytes at %#" PRIx64
					 ", where a guest of %" PRIu64 "M has no free memory%s",
				 kernel->path, s->memsz, s->paddr,
				 (mem->low_size + mem->high_size) >> 20,
				 s->paddr >= KERNEL_MIN ? ": give more with --memory" : "");
	memcpy(to, kernel->data + s->offset, s->filesz);
	memset(to + s->filesz, 0, s->memsz - s->filesz);
	return 0;
}

int elf_load(const struct image *kernel, struct guest_memory *mem, struct loaded_kernel *out)
{
	bool entry_found = false;
	struct segment s;
	struct header h;
	unsigned int i;
	int ret;

	ret = read_header(kernel, &h);
	if (ret)
		return ret;
	if (h.phoff > kernel->size ||
	    (uint64_t)h.phnum * h.phentsize > kernel->size - h.phoff)
		return error_set(ENOEXEC, "the kernel '%s' is truncated: it ends within its program headers",
				 kernel->path);

	*out = (struct loaded_kernel){ .start = UINT64_MAX, .entry = h.entry };
	for (i = 0; i < h.phnum; i++) {
		read_segment(kernel, &h, i, &s);
		if (!s.load)
			continue;
		ret = load_segment(kernel, mem, &s);
		if (ret)
			return ret;
		if (s.paddr < out->start)
			out->start = s.paddr;
		if (s.paddr + s.memsz > out->end)
			out->end = s.paddr + s.memsz;
		/* Paging is off at the entry, so an entry in virtual memory is a physical one. */
		if (!entry_found && h.entry >= s.vaddr && h.entry - s.vaddr < s.memsz) {
			out->entry = h.entry - s.vaddr + s.paddr;
			entry_found = true;
		}
	}
	if (!out->end)
		return broken(kernel, "it has nothing to load");
	if (out->entry >= MEMORY_HIGH)
		return broken(kernel, "its entry is above 4 GiB");
	return 0;
}
