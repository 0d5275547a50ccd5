/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Garbage for the ABI: mostly near what is legal, or nothing but the checks of
 * the module would be tested.
 */
#ifndef TESTS_SYSTEM_GARBLE_H
#define TESTS_SYSTEM_GARBLE_H

#include <stddef.h>
#include <stdint.h>

#include <umbra/umbra.h>

/* A number that has a meaning somewhere, or none. */
uint64_t some_value(void);

void random_bytes(void *p, size_t size);

/* Makes of a vCPU's state another one, of any mode, that it may or may not take. */
void garble_state(struct umbra_state *st);

/* Reads or writes some MSRs of a vCPU. */
void garble_msrs(int fd);

/* Changes some bits of a vCPU's local APIC. */
void garble_lapic(int fd);

#endif
