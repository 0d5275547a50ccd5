/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The firmware configuration device that QEMU documents (docs/specs/fw_cfg):
 * named blobs that the guest reads byte by byte. Without DMA and read-only.
 */
#ifndef UMBRA_DEVICES_FW_CFG_H
#define UMBRA_DEVICES_FW_CFG_H

#include "device.h"

#define FW_CFG_PORT	0x510
#define FW_CFG_PORTS	2

enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_UUID = 0x02,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NOGRAPHIC = 0x04,
	FW_CFG_NB_CPUS = 0x05,
	FW_CFG_MACHINE_ID = 0x06,
	FW_CFG_KERNEL_ADDR = 0x07,
	FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_INITRD_ADDR = 0x0a,
	FW_CFG_INITRD_SIZE = 0x0b,
	FW_CFG_BOOT_DEVICE = 0x0c,
	FW_CFG_NUMA = 0x0d,
	FW_CFG_BOOT_MENU = 0x0e,
	FW_CFG_MAX_CPUS = 0x0f,
	FW_CFG_KERNEL_ENTRY = 0x10,
	FW_CFG_KERNEL_DATA = 0x11,
	FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13,
	FW_CFG_CMDLINE_SIZE = 0x14,
	FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_ADDR = 0x16,
	FW_CFG_SETUP_SIZE = 0x17,
	FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
	FW_CFG_IRQ0_OVERRIDE = 0x8002,
};

#define FW_CFG_MAX_ITEMS	64
#define FW_CFG_NAME_SIZE	56

struct fw_cfg;

extern const struct io_ops fw_cfg_ops;

/**
 * fw_cfg_create() - Make a device that holds its signature and no files
 *
 * Return: the device; NULL if there is no memory.
 */
struct fw_cfg *fw_cfg_create(void);

/** fw_cfg_destroy() - Undo fw_cfg_create(); NULL is fine */
void fw_cfg_destroy(struct fw_cfg *cfg);

/**
 * fw_cfg_add() - Add a blob under a fixed key, before the guest runs
 * @cfg: the device
 * @key: its key
 * @data: copied
 * @size: in bytes
 *
 * Return: 0; -ENOMEM; -ENOSPC if there are FW_CFG_MAX_ITEMS already.
 */
int fw_cfg_add(struct fw_cfg *cfg, uint16_t key, const void *data, uint32_t size);

/** fw_cfg_add16() - As fw_cfg_add(), for a 16-bit number */
int fw_cfg_add16(struct fw_cfg *cfg, uint16_t key, uint16_t value);

/** fw_cfg_add32() - As fw_cfg_add(), for a 32-bit number */
int fw_cfg_add32(struct fw_cfg *cfg, uint16_t key, uint32_t value);

/** fw_cfg_add64() - As fw_cfg_add(), for a 64-bit number */
int fw_cfg_add64(struct fw_cfg *cfg, uint16_t key, uint64_t value);

/** fw_cfg_add_file() - As fw_cfg_add(), under a name in the file directory */
int fw_cfg_add_file(struct fw_cfg *cfg, const char *name, const void *data, uint32_t size);

#endif
