/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned long ulong;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1u << (n))
#define BIT64(n)	(1ull << (n))
#define PAGE_SIZE	4096ul
#define STACK_SIZE	16384
#define MAX_CPUS	32

#define barrier()	asm volatile("" ::: "memory")

#endif
