/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What decoder and executor take from the kernel, for user space: see
 * arch/x86/emulate/compat.h.
 */
#ifndef EMULATE_USER_H
#define EMULATE_USER_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <asm/processor-flags.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define fallthrough		__attribute__((__fallthrough__))
#define noinline		__attribute__((__noinline__))
#undef __always_inline
#define __always_inline		inline __attribute__((__always_inline__))
#define __must_check		__attribute__((__warn_unused_result__))

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define static_assert		_Static_assert

#define min_t(type, a, b)			\
({						\
	type __a = (a), __b = (b);		\
	__a < __b ? __a : __b;			\
})

#define PAGE_SIZE		4096UL
#define PAGE_MASK		(~(PAGE_SIZE - 1))

#define X86_TRAP_DE		0
#define X86_TRAP_DB		1
#define X86_TRAP_BP		3
#define X86_TRAP_OF		4
#define X86_TRAP_BR		5
#define X86_TRAP_UD		6
#define X86_TRAP_NM		7
#define X86_TRAP_TS		10
#define X86_TRAP_NP		11
#define X86_TRAP_SS		12
#define X86_TRAP_GP		13
#define X86_TRAP_PF		14
#define X86_TRAP_MF		16
#define X86_TRAP_AC		17

#define EFER_LMA		BIT(10)

#define MSR_IA32_TSC		0x00000010
#define MSR_TSC_AUX		0xc0000103

#endif /* EMULATE_USER_H */
