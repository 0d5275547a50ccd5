/* SPDX-License-Identifier: GPL-2.0-only */
/* Stores into page tables of 64-bit images. */
#ifndef LIB_PTSTORE_H
#define LIB_PTSTORE_H

#include "types.h"

#define PT_STORES	27
/* By a device that only tests/system/device-writes.sh has; @e is a physical address. */
#define PT_STORE_DEVICE	25

/*
 * Stores @new into the entry at @e, which holds @old but for what the processor has
 * set meanwhile, in way @k; gives its name, or NULL if @k is not possible there. The
 * entry behind it may be written, too, with what it holds.
 */
const char *pt_store(int k, ulong e, u64 old, u64 new);

/* Whether nobody can see a part of what is stored in way @k. */
static inline bool pt_store_atomic(int k)
{
	return k == 0 || (k >= 4 && k <= 7) || k == 20 || k == 21 || k >= PT_STORE_DEVICE;
}

#endif
