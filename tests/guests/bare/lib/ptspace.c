// SPDX-License-Identifier: GPL-2.0-only
/* The address space that tests of tables share. */
#ifdef __x86_64__
#include "mem.h"
#include "ptcheck.h"
#include "ptspace.h"

struct space space;
ulong frame[4];
ulong pte;

static ulong old_cr3;

void open_space(void)
{
	int i;

	old_cr3 = read_cr3();
	pt_new(&space, PT_4LEVEL);
	for (i = 0; i < 4; i++) {
		frame[i] = (ulong)alloc_page();
		poke(frame[i], 0x1000 + i);
	}
	pt_map(&space, REGION, frame[0], PT_W | PT_U, 1);
	pte = pt_entry(&space, REGION, 1);
	pt_map_user(&space, USER_VA);
	write_cr3(space.root);
}

void close_space(void)
{
	write_cr3(old_cr3);
}
#endif
