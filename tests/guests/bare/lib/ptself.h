/* SPDX-License-Identifier: GPL-2.0-only */
/* Stores of every kind into a table by which they are themselves translated. */
#ifndef LIB_PTSELF_H
#define LIB_PTSELF_H

#include "pt.h"

/* Bytes that stores change, at the most. */
#define PTSELF_SIZE	0x300

/*
 * Has entry @index of the table of @level on the way to @va point to the table itself, so
 * that it is mapped, does every store at @offset there, and compares with the same in plain
 * memory. Of the PTSELF_SIZE bytes from @offset on no entry is used, nor is @index.
 */
void ptself_check(struct space *s, ulong va, int level, int index, u32 offset);
#endif
