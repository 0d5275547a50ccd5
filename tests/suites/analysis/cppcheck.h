/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What cppcheck has to know of Linux to understand the module: it reads none of
 * Linux' own headers, which take it minutes for each file.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef unsigned long uintptr_t;
typedef u64 gfn_t;

#define NULL				((void *)0)
#define BIT(n)				(1UL << (n))
#define BIT_ULL(n)			(1ULL << (n))
#define GENMASK(h, l)			((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l)		((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define PAGE_SHIFT			12
#define PAGE_SIZE			(1UL << PAGE_SHIFT)
#define BITS_PER_LONG			64
#define U8_MAX				0xff
#define U16_MAX				0xffff
#define U32_MAX				0xffffffffU
#define U64_MAX				(~0ULL)

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define BUILD_BUG_ON(condition)
#define READ_ONCE(x)			(x)
#define WRITE_ONCE(x, value)		((x) = (value))
#define likely(x)			(x)
#define unlikely(x)			(x)
/* What it knows of these itself it gets wrong. */
#define min_t(type, a, b)		((type)min(a, b))
#define max_t(type, a, b)		((type)max(a, b))
#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))

#define __user
#define __percpu
#define __iomem
#define __rcu
#define __init
#define __exit
#define __ro_after_init
#define __read_mostly
#define __always_inline			inline
#define noinline
#define noinstr
#define __maybe_unused
#define __printf(format, first)
#define __must_hold(lock)
#define __acquires(lock)
#define __releases(lock)
#define fallthrough
#define DECLARE_BITMAP(name, bits)	unsigned long name[((bits) + 63) / 64]
#define DEFINE_PER_CPU(type, name)	type name
#define DEFINE_MUTEX(name)		struct mutex name
#define DEFINE_SPINLOCK(name)		spinlock_t name
#define LIST_HEAD(name)			struct list_head name

/* Loops over what Linux has: each runs a number of times that nobody knows. */
int cppcheck_more(void);
#define CPPCHECK_LOOP(pos) \
	for (pos = cppcheck_any(); cppcheck_more(); pos = cppcheck_any())
#define CPPCHECK_LOOP_SAFE(pos, next) \
	for (pos = cppcheck_any(), next = cppcheck_any(); cppcheck_more(); pos = next)
#define list_for_each_entry(pos, head, member)			CPPCHECK_LOOP(pos)
#define list_for_each_entry_safe(pos, next, head, member)	CPPCHECK_LOOP_SAFE(pos, next)
#define list_for_each_entry_safe_reverse(pos, next, head, member) CPPCHECK_LOOP_SAFE(pos, next)
#define hlist_for_each_entry(pos, head, member)			CPPCHECK_LOOP(pos)
#define hlist_for_each_entry_safe(pos, next, head, member)	CPPCHECK_LOOP_SAFE(pos, next)
#define for_each_possible_cpu(cpu)				CPPCHECK_LOOP(cpu)
#define for_each_set_bit(bit, map, size)			CPPCHECK_LOOP(bit)
