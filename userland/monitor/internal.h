/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of a machine, for the files of this directory.
 *
 * Locks, in the order in which they are taken: a device's own; the PIC's or the
 * I/O APIC's; the console's; the loop's; machine.end_lock.
 */
#ifndef UMBRA_MONITOR_INTERNAL_H
#define UMBRA_MONITOR_INTERNAL_H

#include <pthread.h>

#include "boot/boot.h"
#include "bus.h"
#include "devices/acpi_pm.h"
#include "devices/debug_exit.h"
#include "devices/fw_cfg.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/serial.h"
#include "devices/sysctl.h"
#include "libumbra/libumbra.h"
#include "machine.h"

struct vcpu {
	struct machine *machine;
	unsigned int id;
	struct umbra_vcpu *handle;
	pthread_t thread;
	bool started;
};

struct machine {
	const struct machine_config *config;
	struct loop *loop;
	struct console *console;
	struct loop_fd signals;

	struct umbra *umbra;
	struct umbra_vm *vm;
	struct guest_memory memory;
	struct vcpu vcpu[UMBRA_MAX_VCPUS];

	struct port_bus ports;
	struct mmio_bus mmio;
	struct pic *pic;
	struct ioapic *ioapic;
	struct pit *pit;
	struct rtc *rtc;
	struct serial *serial;
	struct i8042 *i8042;
	struct pci *pci;
	struct acpi_pm *acpi_pm;
	struct fw_cfg *fw_cfg;
	struct debug_exit *debug_exit;
	struct sysctl sysctl;
	struct boot_entry entry;

	pthread_mutex_t end_lock;
	struct machine_result result;
	bool stopping;

	uint64_t start_ns, start_tsc;
	uint64_t run_ns, run_ticks;
};

/**
 * machine_end() - End a machine
 * @m: the machine
 * @end: in what way
 * @detail: see enum machine_end
 * @fmt: a text for the user; may be empty
 *
 * The first call counts. May be called by any thread, with any lock held that
 * comes before end_lock.
 */
void machine_end(struct machine *m, enum machine_end end, uint32_t detail, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Has machine_end() been called? */
static inline bool machine_is_stopping(const struct machine *m)
{
	return __atomic_load_n(&m->stopping, __ATOMIC_SEQ_CST);
}

/** machine_load() - Put the kernel, what goes with it and firmware's tables into memory */
int machine_load(struct machine *m);

/** machine_enter() - Put vCPU 0 in front of the kernel */
int machine_enter(struct machine *m);

/** board_create() - Make the devices and connect them to the buses */
int board_create(struct machine *m);

/** board_fill_fw_cfg() - Tell the guest's firmware interface what was loaded */
int board_fill_fw_cfg(struct machine *m);

/** board_destroy() - Undo board_create(), as far as it came */
void board_destroy(struct machine *m);

/** vcpus_create() - Make the vCPUs as they are when firmware has done its work */
int vcpus_create(struct machine *m);

/** vcpus_start() - Start their threads */
int vcpus_start(struct machine *m);

/** vcpus_join() - Wait for their threads, after machine_end() */
void vcpus_join(struct machine *m);

/** vcpus_destroy() - Undo vcpus_create(), as far as it came */
void vcpus_destroy(struct machine *m);

/** topology_cpuid() - Write what differs from vCPU to vCPU into CPUID leaves */
void topology_cpuid(struct umbra_cpuid_entry *entry, unsigned int count, unsigned int id,
		    unsigned int cpus);

/* 11 fixed ranges, one variable range of two registers, the default type. */
#define MTRR_MSRS	14

/**
 * mtrr_set_up() - Memory types as firmware would set them
 * @entry: the vCPU's CPUID leaves
 * @count: how many there are
 * @msr: where the registers and their values go
 *
 * Return: how many there are; 0 if the vCPU has no MTRRs.
 */
unsigned int mtrr_set_up(const struct umbra_cpuid_entry *entry, unsigned int count,
			 struct umbra_msr msr[MTRR_MSRS]);

/** statistics_write() - Write the file of --stats */
int statistics_write(struct machine *m);

#endif
