// SPDX-License-Identifier: GPL-2.0-only
/* Building page tables. */
#include "mem.h"
#include "pt.h"

u64 pt_read(enum pt_mode mode, ulong entry)
{
	if (mode == PT_32BIT)
		return *(volatile u32 *)entry;
	return *(volatile u64 *)entry;
}

void pt_write(enum pt_mode mode, ulong entry, u64 v)
{
	if (mode == PT_32BIT) {
		*(volatile u32 *)entry = v;
		return;
	}
#ifdef __x86_64__
	*(volatile u64 *)entry = v;
#else
	/* The half with the present bit last, as an operating system would. */
	((volatile u32 *)entry)[0] = 0;
	((volatile u32 *)entry)[1] = v >> 32;
	((volatile u32 *)entry)[0] = v;
#endif
}

int pt_index(enum pt_mode mode, ulong va, int level)
{
	int bits = mode == PT_32BIT ? 10 : mode == PT_PAE && level == 3 ? 2 : 9;

	return va >> pt_shift(mode, level) & ((1 << bits) - 1);
}

ulong pt_entry(struct space *s, ulong va, int level)
{
	ulong table = s->root, e;
	int l;

	for (l = s->mode;; l--) {
		e = pt_slot(s->mode, table, pt_index(s->mode, va, l));
		if (l == level)
			return e;
		if (!(pt_read(s->mode, e) & PT_P)) {
			/* A PAE page-directory-pointer entry has no rights of its own. */
			u64 rights = s->mode == PT_PAE && l == 3 ? PT_P : PT_P | PT_W | PT_U;

			pt_write(s->mode, e, (ulong)alloc_page() | rights);
		}
		table = pt_read(s->mode, e) & pt_addr_mask(s->mode);
	}
}

void pt_map(struct space *s, ulong va, u64 pa, u64 flags, int level)
{
	pt_write(s->mode, pt_entry(s, va, level),
		 pa | flags | PT_P | (level > 1 ? PT_PS : 0));
}

void pt_map_range(struct space *s, ulong va, u64 pa, ulong size, u64 flags)
{
	ulong off;

	for (off = 0; off < size; off += PAGE_SIZE)
		pt_map(s, va + off, pa + off, flags, 1);
}

void pt_new(struct space *s, enum pt_mode mode)
{
	u32 va;

	s->mode = mode;
	s->root = (ulong)alloc_page();
	if (mode >= PT_4LEVEL) {
		extern u64 boot_pml4[];
		ulong top = s->root;

		if (mode == PT_5LEVEL) {
			top = (ulong)alloc_page();
			pt_write(mode, s->root, top | PT_P | PT_W | PT_U);
		}
		pt_write(mode, top, boot_pml4[0]);
		return;
	}
	if (mode == PT_PAE) {
		/* All four entries are there from the start: CPUs load them with CR3. */
		for (va = 0; va < 4; va++)
			pt_write(mode, s->root + va * 8, (ulong)alloc_page() | PT_P);
	}
	for (va = 0; va < mem_top; va += pt_size(mode, 2))
		pt_map(s, va, va, PT_W, 2);
	for (va = 0xfec00000; va >= 0xfec00000; va += pt_size(mode, 2))
		pt_map(s, va, va, PT_W | PT_PCD, 2);
}
