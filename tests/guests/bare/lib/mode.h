/* SPDX-License-Identifier: GPL-2.0-only */
/* Leaving long mode and coming back (64-bit images). Interrupts must be off. */
#ifndef LIB_MODE_H
#define LIB_MODE_H

#include "types.h"

/* Turns paging off and on again with another root and CR4, both in long mode. */
void long_mode_switch(ulong cr3, ulong cr4);

/*
 * In protected mode, with long mode and then paging off, or on with @cr3 and @cr4
 * (unless @cr3 is 0): reads the long word at @va. Nothing may fault there.
 */
u32 legacy_read(u32 cr3, u32 cr4, u32 va);

#endif
