/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UMBRA_BOOT_ELF_LOAD_H
#define UMBRA_BOOT_ELF_LOAD_H

#include "image.h"
#include "memory.h"

/**
 * struct loaded_kernel - Where a kernel went
 * @start: its lowest guest physical address
 * @end: its highest, plus 1
 * @entry: guest physical address of its first instruction, below 4 GiB
 */
struct loaded_kernel {
	uint64_t start, end;
	uint64_t entry;
};

/**
 * elf_load() - Load an ELF kernel to the physical addresses it names
 * @kernel: an ELF32 or ELF64 executable for x86
 * @mem: guest memory
 * @out: where it went
 *
 * Return: 0; -ENOEXEC if it is no such file or a broken one; -ENOMEM if there
 * is no guest memory where it wants to go. error_text() says what.
 */
int elf_load(const struct image *kernel, struct guest_memory *mem, struct loaded_kernel *out);

#endif
