/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * libumbra's interface over /dev/kvm. The local APIC is KVM's (split irqchip);
 * PIC, I/O APIC and all else are the monitor's, as they are under Umbra.
 */
#ifndef KVMRUN_KVM_H
#define KVMRUN_KVM_H

#include <linux/kvm.h>
#include <pthread.h>

#include "libumbra/libumbra.h"

#define IOAPIC_PINS	24

struct umbra {
	int fd;
	size_t run_size;
	struct umbra_info info;
};

struct umbra_vm {
	struct umbra *umbra;
	int fd;

	/* Level-triggered messages that KVM knows of, so that it tells us of their EOI. */
	pthread_mutex_t routes_lock;
	struct kvm_msi route[IOAPIC_PINS];
	unsigned int routes, next_route;
};

struct umbra_vcpu {
	int fd;
	unsigned int id;
	struct kvm_run *kvm;
	size_t run_size;
	pthread_t thread;
	bool attached;

	struct umbra_run run;	/* what the monitor sees */
	bool intr;		/* level of the INTR pin, set by any thread */
	bool acknowledging;	/* the last exit asked for the PIC's vector */
	bool mmio_read;		/* the last exit read what is no memory */
};

/* Reads the counters of a VM or vCPU. */
int kvm_read_stats(int fd, struct umbra_stat_list *list);

#endif
