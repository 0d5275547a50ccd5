/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtual machine: memory, vCPUs, devices and how it all ends. */
#ifndef UMBRA_MONITOR_MACHINE_H
#define UMBRA_MONITOR_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "console.h"

#define MACHINE_MAX_MODULES	64

/**
 * struct machine_module - A multiboot module
 * @path: the file
 * @cmdline: its command line behind its name
 */
struct machine_module {
	const char *path;
	const char *cmdline;
};

/**
 * struct machine_config - What to run
 * @name: for people; may be NULL
 * @kernel: the kernel's file
 * @initrd: the initial RAM disk's file, or NULL
 * @cmdline: the kernel's command line
 * @module: multiboot modules
 * @modules: how many
 * @memory: bytes, a multiple of 4 KiB
 * @prealloc: have the host provide all of the memory at the start
 * @cpus: how many vCPUs
 * @paging: UMBRA_PAGING_*
 * @debug_exit: have the device of debug_exit.h
 * @console: what the serial port is connected to
 * @console_path: the file, if it is one
 * @stats: the file that statistics are written to, or NULL
 */
struct machine_config {
	const char *name;
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	struct machine_module module[MACHINE_MAX_MODULES];
	unsigned int modules;
	uint64_t memory;
	bool prealloc;
	unsigned int cpus;
	unsigned int paging;
	bool debug_exit;
	enum console_kind console;
	const char *console_path;
	const char *stats;
};

enum machine_end {
	MACHINE_RUNNING = 0,
	MACHINE_POWER_OFF,
	MACHINE_RESET,
	MACHINE_TRIPLE_FAULT,
	MACHINE_DEBUG_EXIT,	/* detail: the value written */
	MACHINE_QUIT,		/* by the user, at the terminal */
	MACHINE_SIGNAL,		/* detail: its number */
	MACHINE_EMULATION,	/* an instruction that cannot be emulated */
	MACHINE_ENTRY_FAILED,	/* the CPU refused the guest's state */
	MACHINE_MEMORY_FAULT,	/* the host could not provide memory */
	MACHINE_FAILED,		/* something of ours or of the host's */
};

/**
 * struct machine_result - How a machine ended
 * @end: in what way
 * @detail: see there
 * @text: more about it, for the user; may be empty
 */
struct machine_result {
	enum machine_end end;
	uint32_t detail;
	char text[400];
};

struct machine;

/**
 * machine_create() - Build a machine and load its kernel
 * @config: what to run; must outlive the machine
 * @out: where it goes
 *
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGCONT are blocked from here on, in all threads;
 * machine_run() handles them.
 *
 * Return: 0 or a negative errno with an error_text().
 */
int machine_create(const struct machine_config *config, struct machine **out);

/**
 * machine_run() - Run a machine to its end
 * @machine: the machine
 * @result: how it ended
 *
 * Return: 0 or a negative errno with an error_text(), if it could not be
 * started or its statistics could not be written.
 */
int machine_run(struct machine *machine, struct machine_result *result);

/** machine_destroy() - Undo machine_create(); NULL is fine */
void machine_destroy(struct machine *machine);

#endif
