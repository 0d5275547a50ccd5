// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "boot.h"
#include "util/error.h"

int boot_load(const struct boot_source *src, struct guest_memory *mem, struct boot_entry *entry)
{
	const struct image *kernel = &src->kernel;

	memset(entry, 0, sizeof(*entry));
	/* A kernel may be both; what it says for a multiboot loader is for us. */
	if (multiboot_probe(kernel))
		return multiboot_load(src, mem, entry);
	if (src->modules)
		return error_set(EINVAL, "'%s' is not a multiboot kernel, and only those take modules",
				 kernel->path);
	if (bzimage_probe(kernel))
		return bzimage_load(src, mem, entry);
	if (kernel->size >= 4 && !memcmp(kernel->data, "\177ELF", 4))
		return error_set(ENOEXEC, "'%s' is an ELF file without a multiboot header: give a Linux bzImage (vmlinuz) or a multiboot 1 kernel",
				 kernel->path);
	return error_set(ENOEXEC, "'%s' is no kernel: it is neither a Linux bzImage (vmlinuz) nor a multiboot 1 kernel",
			 kernel->path);
}
