/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that a vCPU is, read and written by the calls that Documentation/api.rst
 * names under "Saving and restoring", and compared bit for bit.
 */
#ifndef TESTS_SYSTEM_SNAPSHOT_H
#define TESTS_SYSTEM_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbra/umbra.h>

#define SNAPSHOT_XSAVE	16384	/* bytes, more than any CPU of today needs */

struct snapshot {
	struct umbra_state state;
	struct umbra_lapic_state lapic;
	unsigned int msrs, cpuids;
	struct umbra_msr msr[UMBRA_MAX_MSRS];
	struct umbra_cpuid_entry cpuid[UMBRA_MAX_CPUID];
	uint8_t xsave[SNAPSHOT_XSAVE] __attribute__((aligned(64)));
};

/**
 * snapshot_get() - read all of a vCPU that does not run
 * @dev: /dev/umbra
 * @vcpu: the vCPU
 * @s: where to put it; all of it is written
 *
 * Return: NULL, or the name of the call that failed, with errno.
 */
const char *snapshot_get(int dev, int vcpu, struct snapshot *s);

/**
 * snapshot_set() - make a vCPU of a new VM what another one was
 * @dev: /dev/umbra
 * @vcpu: a vCPU that has never run
 * @s: what snapshot_get() has read
 *
 * Return: as snapshot_get().
 */
const char *snapshot_set(int dev, int vcpu, const struct snapshot *s);

/**
 * snapshot_difference() - compare what was restored with what was saved
 * @saved: what was saved
 * @restored: what was read from the vCPU that was given it
 * @what: where a name of the first difference is put
 * @size: bytes at @what
 *
 * Time goes on meanwhile: the TSC advances, a timer that was armed is nearer to
 * its end or has come to it. All else must be the same bits.
 *
 * Return: true if something differs.
 */
bool snapshot_difference(const struct snapshot *saved, const struct snapshot *restored,
			 char *what, size_t size);

/* The value of an MSR in a snapshot, 0 if it is not there. */
uint64_t snapshot_msr(const struct snapshot *s, uint32_t index);

/* Copies what is not zero of @size bytes of guest memory to memory that is all zero. */
void snapshot_copy_memory(void *to, const void *from, size_t size);

#endif
