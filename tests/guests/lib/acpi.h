/* SPDX-License-Identifier: GPL-2.0-only */
/* Firmware tables: ACPI, with the MP table for the CPUs where there is no MADT. */
#ifndef LIB_ACPI_H
#define LIB_ACPI_H

#include "types.h"

struct __attribute__((packed)) acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem_id[6], oem_table_id[8];
	u32 oem_revision, creator, creator_revision;
};

struct __attribute__((packed)) acpi_gas {
	u8 space, width, offset, access;
	u64 address;
};

struct __attribute__((packed)) acpi_fadt {
	struct acpi_header h;
	u32 facs, dsdt;
	u8 res0, profile;
	u16 sci;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios, pstate;
	u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base, cst;
	u16 lvl2, lvl3, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 boot_arch;
	u8 res1;
	u32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value;
};

/* Table with that signature, or NULL. */
void *acpi_find(const char *signature);
/* Fills @ids with the APIC ids of usable CPUs; gives their number, 0 if unknown. */
int firmware_cpus(u32 *ids, int max);
/* Value of SLP_TYPa for state S5 from the DSDT, or -1. */
int acpi_s5_type(void);
bool acpi_checksum_ok(const void *p, u32 n);
const void *acpi_rsdp(void);

#endif
