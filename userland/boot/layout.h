/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the monitor puts where in the first megabyte before a guest starts.
 * All but the firmware's own areas is free for the guest once it has read it.
 */
#ifndef UMBRA_BOOT_LAYOUT_H
#define UMBRA_BOOT_LAYOUT_H

#define BIOS_DATA_AREA		0x00400	/* behind the interrupt vectors */

#define BOOT_GDT		0x00500
#define LOAD_MIN		0x01000	/* a multiboot kernel may be loaded from here on */
#define BOOT_PAGE_TABLES	0x02000	/* six pages */
#define BOOT_PARAMS		0x10000	/* or the multiboot information */
#define BOOT_PARAMS_SIZE	0x10000
#define BOOT_CMDLINE		0x20000
#define BOOT_CMDLINE_MAX	0x10000	/* with the NUL */

#define FIRMWARE_EBDA		0x9fc00	/* extended BIOS data area */
#define FIRMWARE_EBDA_END	0xa0000
#define FIRMWARE_TABLES		0xe0000	/* ACPI */
#define FIRMWARE_TABLES_END	0xf0000
#define FIRMWARE_MP_TABLE	0xf0000
#define FIRMWARE_BIOS		0xfff00	/* what real-mode interrupts lead to */
#define FIRMWARE_END		0x100000

#define KERNEL_MIN		0x100000

#endif
