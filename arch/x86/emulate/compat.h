/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the decoder and the executor need from their surroundings.
 *
 * The code in this folder is pure: it is compiled into umbra.ko and, unchanged,
 * into the user-space test harness. Everything it takes from the kernel is
 * named here, so that nothing else can creep in.
 */
#ifndef UMBRA_EMULATE_COMPAT_H
#define UMBRA_EMULATE_COMPAT_H

#ifdef __KERNEL__

#include <linux/types.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/page_types.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#else /* !__KERNEL__ */

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
#define X86_TRAP_OF		4
#define X86_TRAP_UD		6
#define X86_TRAP_NM		7
#define X86_TRAP_NP		11
#define X86_TRAP_SS		12
#define X86_TRAP_GP		13
#define X86_TRAP_PF		14
#define X86_TRAP_AC		17

#define EFER_LMA		BIT(10)

#define MSR_IA32_TSC		0x00000010
#define MSR_TSC_AUX		0xc0000103

#endif /* __KERNEL__ */

#endif /* UMBRA_EMULATE_COMPAT_H */
