/* SPDX-License-Identifier: GPL-2.0-only */
/* What the pure part of the MMU needs of the kernel's headers, in user space. */
#ifndef TESTS_UNIT_MMU_KERNEL_H
#define TESTS_UNIT_MMU_KERNEL_H

/* In the kernel itself (tests/kunit) they are there. */
#ifndef __KERNEL__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(high, low)	((~0ULL << (low)) & (~0ULL >> (63 - (high))))
#undef __always_inline
#define __always_inline		inline __attribute__((__always_inline__))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)

/* SDM Vol. 3 4.7, figure 4-12 */
#define X86_PF_PROT	BIT(0)
#define X86_PF_WRITE	BIT(1)
#define X86_PF_USER	BIT(2)
#define X86_PF_RSVD	BIT(3)
#define X86_PF_INSTR	BIT(4)
#define X86_PF_PK	BIT(5)

#endif /* __KERNEL__ */

#endif
