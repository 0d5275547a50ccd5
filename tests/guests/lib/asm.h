/* SPDX-License-Identifier: GPL-2.0-only */
/* Constants that C and assembler share: selectors and places in low memory. */
#ifndef LIB_ASM_H
#define LIB_ASM_H

/*
 * The order of 0x08 to 0x28 is what SYSCALL, SYSRET, SYSENTER and SYSEXIT derive
 * their selectors from. KERNEL_CS is a 64-bit segment in 64-bit images and a
 * flat 32-bit one in 32-bit images.
 */
#define KERNEL_CS	0x08
#define KERNEL_DS	0x10
#define USER_CS32	0x1b
#define USER_DS		0x23
#define USER_CS64	0x2b
#define FLAT_CS32	0x30
#define CODE16		0x38
#define DATA16		0x40
#define SPARE_SEL	0x48	/* first of 15 descriptors for the tests' own use */
#define TSS_SEL		0xc0	/* one 16-byte slot per CPU */
#define GDT_BYTES	(TSS_SEL + 32 * 16)

#define AP_BASE		0x7000	/* where application processors start */
#define LOW_BASE	0x8000	/* where tests put their 16-bit code */

#define USER_TRAP	0x80	/* INT 0x80 brings user mode back */

#define STACK_BYTES	16384

#endif
