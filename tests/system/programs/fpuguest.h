/* SPDX-License-Identifier: GPL-2.0-only */
/* What fpu.c and fpuguest.S agree on. */
#ifndef TESTS_SYSTEM_FPUGUEST_H
#define TESTS_SYSTEM_FPUGUEST_H

/* Ports: the guest leaves by both, and is not as it should be if it is the second. */
#define GOOD		0x10
#define BAD		0x11

/* The guest's memory; tables are where common.h puts them. */
#define CODE		0x8000
#define EXPECTED	0x10000
#define FOUND		0x11000

/* struct registers */
#define MXCSR		512
#define ST0		520
#define SIZE		528

#ifndef __ASSEMBLER__
#include <stdint.h>

/* 16 vector registers of 32 bytes, of which SSE has half; MXCSR; an integer in ST(0). */
struct registers {
	uint64_t vector[64];
	uint32_t mxcsr;
	uint32_t reserved;
	uint64_t st0;
};

extern const uint8_t fpu_guest[], fpu_guest_end[];

/* ioctl(fd, request, 0) with these registers in the CPU; @after are those it left. */
long fpu_ioctl(long fd, long request, const struct registers *before, struct registers *after,
	       long avx);
/* The same, but instead of the system call @count turns of an empty loop. */
void fpu_spin(long count, const struct registers *before, struct registers *after, long avx);
#endif

#endif
