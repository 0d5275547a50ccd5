/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Putting a kernel into guest memory and the bootstrap processor in front of
 * it. The files are hostile: everything in them is checked.
 */
#ifndef UMBRA_BOOT_BOOT_H
#define UMBRA_BOOT_BOOT_H

#include "image.h"
#include "memory.h"

struct umbra_state;

#define BOOT_MAX_MODULES	64

/**
 * struct boot_module - A file that goes along with a multiboot kernel
 * @image: its content
 * @cmdline: its command line; by convention the first word is its name
 */
struct boot_module {
	struct image image;
	const char *cmdline;
};

/**
 * struct boot_source - What to boot
 * @kernel: the kernel
 * @initrd: its initial RAM disk; data is NULL if there is none
 * @cmdline: its command line, without the kernel's name
 * @module: multiboot modules
 * @modules: how many
 * @rsdp: guest physical address of the ACPI tables' root
 */
struct boot_source {
	struct image kernel;
	struct image initrd;
	const char *cmdline;
	struct boot_module *module;
	unsigned int modules;
	uint64_t rsdp;
};

/* How the bootstrap processor starts. */
enum boot_mode {
	BOOT_LONG,	/* 64-bit code, identity-mapped (Linux's 64-bit boot protocol) */
	BOOT_PROTECTED,	/* 32-bit code, no paging */
};

/**
 * struct boot_entry - Where the kernel went and how it wants to be entered
 * @mode: the CPU's mode
 * @rip: the first instruction
 * @rax: register
 * @rbx: register
 * @rsi: register
 * @kernel: guest physical address of the kernel
 * @kernel_size: in bytes, as loaded
 * @initrd: guest physical address of the initial RAM disk
 * @initrd_size: in bytes, 0 if there is none
 */
struct boot_entry {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t rax, rbx, rsi;
	uint64_t kernel, kernel_size;
	uint64_t initrd, initrd_size;
};

/**
 * boot_load() - Find out what kind of kernel it is and load it
 * @src: what to boot
 * @mem: guest memory
 * @entry: how to start it
 *
 * Return: 0; -ENOEXEC if it is no kernel that we know, or a broken one;
 * -ENOMEM if guest memory is too small; -E2BIG if the command line is too
 * long; -EINVAL if something does not go together. error_text() says what.
 */
int boot_load(const struct boot_source *src, struct guest_memory *mem, struct boot_entry *entry);

/** bzimage_probe() - Is this a Linux kernel image for x86? */
int bzimage_probe(const struct image *kernel);

/** bzimage_load() - As boot_load(), for a Linux kernel image */
int bzimage_load(const struct boot_source *src, struct guest_memory *mem,
		 struct boot_entry *entry);

/** multiboot_probe() - Is this a multiboot 1 kernel? */
int multiboot_probe(const struct image *kernel);

/** multiboot_load() - As boot_load(), for a multiboot 1 kernel */
int multiboot_load(const struct boot_source *src, struct guest_memory *mem,
		   struct boot_entry *entry);

/**
 * boot_state() - Write the tables and registers that an entry needs
 * @entry: from boot_load()
 * @mem: guest memory
 * @state: the vCPU's state after reset, which is changed
 */
void boot_state(const struct boot_entry *entry, struct guest_memory *mem,
		struct umbra_state *state);

/**
 * firmware_write() - Write what a PC's firmware leaves in memory
 * @mem: guest memory
 * @cpus: how many there are
 *
 * These are the BIOS data area, ACPI tables and an MP table.
 *
 * Return: guest physical address of the ACPI root pointer.
 */
uint64_t firmware_write(struct guest_memory *mem, unsigned int cpus);

#endif
