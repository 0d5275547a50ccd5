/* SPDX-License-Identifier: GPL-2.0-only */
/* Physical pages above the image, which is mapped one to one. */
#ifndef LIB_MEM_H
#define LIB_MEM_H

#include "types.h"

extern u8 image_end[];

void mem_init(void);
/* @n zeroed pages in a row, aligned to @n rounded up to a power of two. */
void *alloc_pages(int n);
static inline void *alloc_page(void)
{
	return alloc_pages(1);
}

/* All that was allocated after the mark becomes free; each test starts with one. */
ulong mem_mark(void);
void mem_release(ulong mark);
/* End of usable memory above 1 MiB. */
extern ulong mem_top;

#endif
