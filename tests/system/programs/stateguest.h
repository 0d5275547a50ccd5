/* SPDX-License-Identifier: GPL-2.0-only */
/* What state.c and its guests agree on. */
#ifndef TESTS_SYSTEM_STATEGUEST_H
#define TESTS_SYSTEM_STATEGUEST_H

#define ROUNDS		2
#define VECTORS		0x70	/* handlers there are */

/* Ports */
#define END		0x01
#define TRACE		0x10
#define INPUT		0x11

/* Memory; tables are where common.h puts them. */
#define DATA		0x14000
#define IDT		0x6000
#define ENTRY		0x7000	/* holds the address of the entry that maps WINDOW */
#define CODE		0x8000
#define STACK		0x10000
#define WINDOW		0x180000
#define MMIO		0x500000 /* no memory, but mapped */

#define SEL_OTHER	0x18	/* data at DATA */

#ifdef __ASSEMBLER__
#define LONG_PT		0x20000
#endif

#endif
