/* SPDX-License-Identifier: GPL-2.0-only */
/* What the multiboot loader said, copied before low memory is reused. */
#ifndef LIB_BOOT_H
#define LIB_BOOT_H

#include "types.h"

struct boot_module {
	u32 start, end;
	char args[128];
};

struct boot_range {
	u64 base, size;
	u32 type;		/* 1 is usable memory */
};

struct boot_info {
	u32 magic, flags, mem_lower, mem_upper;
	char cmdline[1024];
	int modules, ranges;
	struct boot_module module[8];
	struct boot_range range[32];
};

extern struct boot_info boot_info;

#define MULTIBOOT_MAGIC		0x2badb002
#define MB_MEMORY		BIT(0)
#define MB_CMDLINE		BIT(2)
#define MB_MODULES		BIT(3)
#define MB_MMAP			BIT(6)

#endif
