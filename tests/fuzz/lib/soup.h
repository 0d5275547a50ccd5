/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instruction soup: random instructions, most of which a CPU may execute in some
 * mode, with operands that hit what is likely to matter.
 */
#ifndef FUZZ_SOUP_H
#define FUZZ_SOUP_H

#include <stdbool.h>
#include <stdint.h>

/* Size of code: what modes an instruction is encoded for. */
enum { SOUP_16 = 16, SOUP_32 = 32, SOUP_64 = 64 };

/* What kinds of instructions may be in it. */
#define SOUP_COMMON	(1U << 0)	/* arithmetic, moves, strings, stack, control flow */
#define SOUP_SYSTEM	(1U << 1)	/* CRs, DRs, segments, tables, TLB, privileged flags */
#define SOUP_MSR	(1U << 2)	/* MSR accesses, of names that mean something */
#define SOUP_IO		(1U << 3)	/* ports, local APIC by its registers in memory, HLT */
#define SOUP_TIME	(1U << 4)	/* what gives another result each time, CPUID included */
#define SOUP_VECTOR	(1U << 5)	/* x87, SSE, AVX, XSAVE */
#define SOUP_BYTES	(1U << 6)	/* bytes without any sense */
#define SOUP_DEBUG	(1U << 7)	/* debug registers */

/*
 * Writes random instructions for code of this size to at, at most room bytes (32 at
 * least), until there are count of them. Returns how many bytes were written.
 */
unsigned int soup(uint8_t *at, unsigned int room, unsigned int count, int size, unsigned int kinds);

/*
 * All kinds that the host's CPU survives. QEMU's AMD-V loads DR7 without making the
 * breakpoints that it names, and dies when the guest then removes one.
 */
unsigned int soup_kinds(void);

/* An MSR that the module knows, or one close to it. */
uint32_t some_msr(void);

#endif
