/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Translation of addresses as the manuals tell it, format by format, in the plainest
 * way: no tables of bits, nothing shared with what is tested.
 */
#ifndef TESTS_UNIT_MMU_MODEL_H
#define TESTS_UNIT_MMU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum model_format { MODEL_32BIT, MODEL_PAE, MODEL_4LEVEL, MODEL_5LEVEL, MODEL_NPT, MODEL_EPT };

struct model {
	enum model_format format;
	unsigned int maxphyaddr;
	bool pse, gigabyte, nxe, wp, smep, pke;
	bool smap;		/* CR4.SMAP without RFLAGS.AC */
	uint32_t pkru;
	bool user, write, fetch;
	uint64_t root, addr;
	const uint64_t *pdpte;	/* PAE: in registers; NULL: in memory */

	/* Reads an entry; false if there is no memory. */
	bool (*read)(void *context, uint64_t gpa, unsigned int size, uint64_t *entry);
	void *context;
};

struct model_result {
	bool fault;
	uint32_t error;
	uint64_t gpa;
	/* Entries that the access marks: where, and with which bits. */
	unsigned int marks;
	struct {
		uint64_t gpa, bits;
	} mark[5];
};

void model_translate(const struct model *m, struct model_result *result);

#endif
