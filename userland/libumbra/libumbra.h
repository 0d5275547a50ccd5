/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hypervisor as the monitor sees it. Nothing else in user space issues
 * its ioctls, so a second implementation of these functions over another
 * hypervisor (tests/bench/kvmrun) drives the very same monitor.
 *
 * Functions that return int return 0, or a negative errno after error_set()
 * with a full sentence for the user. A struct umbra and a struct umbra_vm may
 * be used from several threads; a struct umbra_vcpu only from the thread that
 * runs it, but for umbra_vcpu_kick() and umbra_vcpu_set_pin().
 */
#ifndef UMBRA_LIBUMBRA_H
#define UMBRA_LIBUMBRA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbra/umbra.h>

struct umbra;		/* the hypervisor */
struct umbra_vm;
struct umbra_vcpu;

/* A list of named counters, owned by the caller. */
struct umbra_stat_list {
	struct umbra_stat *stat;
	unsigned int count;
};

/**
 * umbra_open() - Open the hypervisor and check that it speaks our ABI
 * @out: where it goes
 *
 * Return: 0; -ENOENT if there is no device node, -ENODEV if nothing is behind
 * it, -EACCES if we may not open it, -EPROTO if its ABI is another one, or
 * what open() or ioctl() gave.
 */
int umbra_open(struct umbra **out);

/** umbra_close() - Undo umbra_open(); NULL is fine */
void umbra_close(struct umbra *u);

/**
 * umbra_open_any_abi() - As umbra_open(), but accept every ABI version
 * @out: where it goes
 *
 * Only umbra_get_info() may be used with what this returns, until its
 * abi_version has been found to be ours.
 *
 * Return: as umbra_open(), without -EPROTO.
 */
int umbra_open_any_abi(struct umbra **out);

/** umbra_get_info() - Version and limits of the module */
const struct umbra_info *umbra_get_info(const struct umbra *u);

/**
 * umbra_check_cap() - Ask for a capability
 * @u: the hypervisor
 * @nr: which one, enum umbra_cap_nr
 * @cap: its value, and the reason if it is missing
 *
 * Return: 0 or a negative errno; -EINVAL if the module does not know @nr.
 */
int umbra_check_cap(struct umbra *u, unsigned int nr, struct umbra_cap *cap);

/**
 * umbra_supported_cpuid() - The CPUID leaves that guests may be shown
 * @u: the hypervisor
 * @entries: where they go
 * @count: in: room at @entries; out: how many there are
 *
 * Return: 0 or a negative errno.
 */
int umbra_supported_cpuid(struct umbra *u, struct umbra_cpuid_entry *entries, unsigned int *count);

/**
 * umbra_vm_create() - Make a VM
 * @u: the hypervisor
 * @paging: UMBRA_PAGING_*
 * @out: where it goes
 *
 * Return: 0; -EOPNOTSUPP if @paging cannot be had on this host, -ENODEV if no
 * guest can run on it, -EBUSY if another hypervisor holds the CPU, -ENOMEM.
 */
int umbra_vm_create(struct umbra *u, unsigned int paging, struct umbra_vm **out);

/** umbra_vm_close() - Drop a VM, after its vCPUs; NULL is fine */
void umbra_vm_close(struct umbra_vm *vm);

/**
 * umbra_vm_set_memory() - Make, change or delete a memory slot
 * @vm: the VM
 * @slot: its number
 * @flags: UMBRA_MEM_*
 * @gpa: guest physical address
 * @size: in bytes; 0 deletes the slot
 * @host: our memory behind it
 *
 * Return: 0 or a negative errno.
 */
int umbra_vm_set_memory(struct umbra_vm *vm, unsigned int slot, unsigned int flags,
			uint64_t gpa, uint64_t size, void *host);

/**
 * umbra_vm_send_msi() - Deliver a message-signalled interrupt
 * @vm: the VM
 * @address: as written by a device
 * @data: as written by a device
 *
 * Return: 0 or a negative errno.
 */
int umbra_vm_send_msi(struct umbra_vm *vm, uint64_t address, uint32_t data);

/** umbra_vm_stats() - A VM's counters; free() list->stat afterwards */
int umbra_vm_stats(struct umbra_vm *vm, struct umbra_stat_list *list);

/**
 * umbra_vcpu_create() - Make a vCPU
 * @vm: the VM
 * @id: its number and initial local APIC ID
 * @out: where it goes
 *
 * vCPU 0 is the bootstrap processor; the others wait for INIT and SIPI.
 *
 * Return: 0 or a negative errno.
 */
int umbra_vcpu_create(struct umbra_vm *vm, unsigned int id, struct umbra_vcpu **out);

/** umbra_vcpu_close() - Drop a vCPU; NULL is fine */
void umbra_vcpu_close(struct umbra_vcpu *vcpu);

/** umbra_vcpu_run_page() - Where umbra_vcpu_run() leaves the exit */
struct umbra_run *umbra_vcpu_run_page(struct umbra_vcpu *vcpu);

/** umbra_vcpu_io_data() - The data of the exit UMBRA_EXIT_IO; valid until the next run */
void *umbra_vcpu_io_data(struct umbra_vcpu *vcpu);

/**
 * umbra_vcpu_attach() - Say that the calling thread will run a vCPU
 * @vcpu: the vCPU
 *
 * Must come before umbra_vcpu_kick() and umbra_vcpu_run().
 */
void umbra_vcpu_attach(struct umbra_vcpu *vcpu);

/**
 * umbra_vcpu_run() - Run the guest until something is ours to do
 * @vcpu: the vCPU
 *
 * Return: 0 with the exit in the run page; -EINTR after umbra_vcpu_kick() or
 * a signal; another negative errno when the vCPU cannot run. Only for the
 * last is there an error_text().
 */
int umbra_vcpu_run(struct umbra_vcpu *vcpu);

/**
 * umbra_vcpu_kick() - Make a vCPU's thread return from umbra_vcpu_run()
 * @vcpu: the vCPU
 *
 * If it is not in there, its next call returns at once. May be called from
 * any thread.
 */
void umbra_vcpu_kick(struct umbra_vcpu *vcpu);

/**
 * umbra_vcpu_set_pin() - Set the level of a local interrupt pin
 * @vcpu: the vCPU
 * @pin: UMBRA_PIN_*
 * @level: the level
 *
 * May be called from any thread.
 *
 * Return: 0 or a negative errno.
 */
int umbra_vcpu_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level);

/** umbra_vcpu_get_state() - Read the groups of registers named by state->groups */
int umbra_vcpu_get_state(struct umbra_vcpu *vcpu, struct umbra_state *state);

/** umbra_vcpu_set_state() - Write the groups of registers named by state->groups */
int umbra_vcpu_set_state(struct umbra_vcpu *vcpu, const struct umbra_state *state);

/** umbra_vcpu_set_cpuid() - Set what the guest's CPUID returns */
int umbra_vcpu_set_cpuid(struct umbra_vcpu *vcpu, const struct umbra_cpuid_entry *entries,
			 unsigned int count);

/**
 * umbra_vcpu_set_msrs() - Write MSRs, in the order given
 * @vcpu: the vCPU
 * @msrs: which, and their values
 * @count: how many there are, at most UMBRA_MAX_MSRS
 *
 * Return: 0 or a negative errno; -EINVAL if the vCPU has no such MSR or it does
 * not take the value. Those before the first that failed have been written.
 */
int umbra_vcpu_set_msrs(struct umbra_vcpu *vcpu, const struct umbra_msr *msrs, unsigned int count);

/** umbra_vcpu_get_lapic() - Read the local APIC */
int umbra_vcpu_get_lapic(struct umbra_vcpu *vcpu, struct umbra_lapic_state *lapic);

/** umbra_vcpu_set_lapic() - Write the local APIC */
int umbra_vcpu_set_lapic(struct umbra_vcpu *vcpu, const struct umbra_lapic_state *lapic);

/** umbra_vcpu_stats() - A vCPU's counters; free() list->stat afterwards */
int umbra_vcpu_stats(struct umbra_vcpu *vcpu, struct umbra_stat_list *list);

#endif
