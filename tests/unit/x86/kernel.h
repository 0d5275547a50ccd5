/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tested sources take from the kernel, in user space. One thread, so
 * atomic operations are plain ones, and the clock is a variable.
 */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>
#include <asm/processor-flags.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int32_t s32;
typedef int64_t s64;

#define U32_MAX			UINT32_MAX
#define U64_MAX			UINT64_MAX
#define S64_MAX			INT64_MAX
#define USEC_PER_SEC		1000000L
#define NSEC_PER_USEC		1000L
#define NSEC_PER_SEC		1000000000L

#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define BITS_PER_LONG		64
#define BITS_TO_LONGS(n)	(((n) + 63) / 64)
#define DECLARE_BITMAP(name, n)	unsigned long name[BITS_TO_LONGS(n)]
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define ALIGN(x, a)		(((x) + (a) - 1) & ~((typeof(x))(a) - 1))
#define DIV_ROUND_UP_ULL(x, d)	(((x) + (d) - 1) / (d))
#define offsetofend(t, m)	(offsetof(t, m) + sizeof(((t *)0)->m))
#define container_of(p, t, m)	((t *)((char *)(p) - offsetof(t, m)))
#define min(a, b)		((a) < (b) ? (a) : (b))
#define max(a, b)		((a) > (b) ? (a) : (b))
#define max_t(t, a, b)		max((t)(a), (t)(b))
#define likely(x)		(x)
#define unlikely(x)		(x)
#define noinline
#define fallthrough		__attribute__((__fallthrough__))
#define READ_ONCE(x)		(*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile typeof(x) *)&(x) = (v))
#define smp_load_acquire(p)	(*(p))			/* there is one thread */
#define smp_mb__before_atomic()	do { } while (0)	/* there is one thread */

static inline unsigned long __ffs(unsigned long x)
{
	return __builtin_ctzl(x);
}

static inline unsigned long __fls(unsigned long x)
{
	return 63 - __builtin_clzl(x);
}

static inline void set_bit(long n, volatile unsigned long *map)
{
	map[n / 64] |= BIT(n % 64);
}

static inline void clear_bit(long n, volatile unsigned long *map)
{
	map[n / 64] &= ~BIT(n % 64);
}

static inline bool test_bit(long n, const volatile unsigned long *map)
{
	return map[n / 64] & BIT(n % 64);
}

static inline bool test_and_set_bit(long n, volatile unsigned long *map)
{
	bool old = test_bit(n, map);

	set_bit(n, map);
	return old;
}

static inline bool test_and_clear_bit(long n, volatile unsigned long *map)
{
	bool old = test_bit(n, map);

	clear_bit(n, map);
	return old;
}

#define __set_bit	set_bit
#define __clear_bit	clear_bit
#define assign_bit(n, map, value)	((value) ? set_bit(n, map) : clear_bit(n, map))
#define bitmap_zero(map, n)	memset(map, 0, BITS_TO_LONGS(n) * sizeof(long))

#define xchg(p, v)	__atomic_exchange_n(p, v, __ATOMIC_RELAXED)

typedef struct { int counter; } atomic_t;

#define atomic_set(a, v)	((a)->counter = (v))
#define atomic_read(a)		((a)->counter)
#define atomic_xchg(a, v)	__atomic_exchange_n(&(a)->counter, v, __ATOMIC_RELAXED)
#define atomic_or(v, a)		((void)((a)->counter |= (v)))
#define atomic_fetch_or(v, a)	__atomic_fetch_or(&(a)->counter, v, __ATOMIC_RELAXED)
#define atomic_inc_return(a)	(++(a)->counter)

typedef struct { bool locked; } raw_spinlock_t;

#define raw_spin_lock_init(l)			((l)->locked = false)
#define raw_spin_lock_irqsave(l, f)		((void)((f) = 0), (l)->locked = true)
#define raw_spin_unlock_irqrestore(l, f)	((l)->locked = false)
#define local_irq_save(f)			((f) = 0)
#define local_irq_restore(f)			((void)(f))

#define GFP_KERNEL_ACCOUNT	0
#define kzalloc(size, gfp)	calloc(1, size)
#define kfree			free
#define sort(base, n, size, compare, swap)	qsort(base, n, size, compare)

static inline void *memchr_inv(const void *p, int c, size_t size)
{
	const u8 *byte = p;

	for (; size; size--, byte++)
		if (*byte != (u8)c)
			return (void *)byte;
	return NULL;
}

static inline u64 mul_u64_u64_div_u64(u64 a, u64 b, u64 c)
{
	return (__uint128_t)a * b / c;
}

#define mul_u64_u32_div		mul_u64_u64_div_u64
#define mul_u64_u32_shr(a, m, s) ((u64)((__uint128_t)(a) * (m) >> (s)))
#define div_u64(a, b)		((a) / (b))

static inline u64 div_u64_rem(u64 a, u32 b, u32 *rem)
{
	*rem = a % b;
	return a / b;
}

/* Time: fake.c */
extern u64 fake_ns;		/* CLOCK_MONOTONIC and CLOCK_BOOTTIME */
extern bool fake_unstable;
extern unsigned int tsc_khz;

u64 rdtsc(void);
#define rdtsc_ordered		rdtsc
#define check_tsc_unstable()	fake_unstable

#define DECLARE_STATIC_CALL(name, function)	extern typeof(function) name
#define static_call(name)	name
#define ktime_get_boottime_ns()	fake_ns
#define ktime_get_real_ns()	(fake_ns + 1700000000ULL * NSEC_PER_SEC)

typedef s64 ktime_t;

enum hrtimer_restart { HRTIMER_NORESTART, HRTIMER_RESTART };

struct hrtimer {
	enum hrtimer_restart (*function)(struct hrtimer *timer);
	struct hrtimer *next;
	u64 expires;
	bool active;
};

#define CLOCK_MONOTONIC			1
#define HRTIMER_MODE_REL_PINNED_HARD	0
#define ns_to_ktime(ns)			((ktime_t)(ns))
#define ktime_to_ns(time)		(time)
#define ktime_add_ns(time, ns)		((time) + (ns))
#define hrtimer_cb_get_time(timer)	((ktime_t)fake_ns)
#define hrtimer_active(timer)		((timer)->active)
#define hrtimer_callback_running(timer)	((void)(timer), false)
#define cpu_relax()			((void)0)
#define hrtimer_get_remaining(timer)	((s64)((timer)->expires - fake_ns))
#define hrtimer_set_expires(timer, t)	((timer)->expires = (t))

void hrtimer_init(struct hrtimer *timer, int clock, int mode);
void hrtimer_start(struct hrtimer *timer, ktime_t t, int mode);
void hrtimer_cancel(struct hrtimer *timer);
void hrtimer_forward_now(struct hrtimer *timer, ktime_t interval);

/* <asm/pvclock-abi.h> */
struct pvclock_vcpu_time_info {
	u32 version;
	u32 pad0;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
	u8 pad[2];
};

struct pvclock_wall_clock {
	u32 version;
	u32 sec;
	u32 nsec;
};

#define PVCLOCK_TSC_STABLE_BIT		BIT(0)

/* <asm/msr-index.h> */
#define MSR_IA32_APICBASE		0x1b
#define MSR_IA32_APICBASE_BSP		BIT(8)
#define MSR_IA32_APICBASE_ENABLE	BIT(11)
#define MSR_IA32_TSC_DEADLINE		0x6e0
#define FEAT_CTL_LOCKED			BIT(0)
#define FEAT_CTL_VMX_ENABLED_INSIDE_SMX	BIT(1)
#define FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX	BIT(2)
#define EFER_SCE			BIT(0)
#define EFER_LME			BIT(8)
#define EFER_LMA			BIT(10)
#define EFER_NX				BIT(11)
#define EFER_FFXSR			BIT(14)

/* <asm/fpu/types.h> */
#define XFEATURE_MASK_FP		BIT(0)

/* <asm/apicdef.h>: SDM Vol. 3 table 11-1, figures 11-8, 11-12, 11-23 */
#define APIC_ID				0x20
#define APIC_LVR			0x30
#define APIC_TASKPRI			0x80
#define APIC_TPRI_MASK			0xffU
#define APIC_ARBPRI			0x90
#define APIC_PROCPRI			0xa0
#define APIC_EOI			0xb0
#define APIC_RRR			0xc0
#define APIC_LDR			0xd0
#define APIC_LDR_MASK			(0xffU << 24)
#define APIC_DFR			0xe0
#define APIC_DFR_CLUSTER		0x0fffffffU
#define APIC_DFR_FLAT			0xffffffffU
#define APIC_SPIV			0xf0
#define APIC_SPIV_FOCUS_DISABLED	BIT(9)
#define APIC_SPIV_APIC_ENABLED		BIT(8)
#define APIC_ISR			0x100
#define APIC_TMR			0x180
#define APIC_IRR			0x200
#define APIC_ESR			0x280
#define APIC_ESR_SENDILL		0x20
#define APIC_ESR_RECVILL		0x40
#define APIC_ESR_ILLREGA		0x80
#define APIC_ICR			0x300
#define APIC_DEST_SELF			0x40000
#define APIC_DEST_ALLINC		0x80000
#define APIC_DEST_ALLBUT		0xc0000
#define APIC_INT_LEVELTRIG		BIT(15)
#define APIC_INT_ASSERT			BIT(14)
#define APIC_ICR_BUSY			BIT(12)
#define APIC_DEST_LOGICAL		BIT(11)
#define APIC_VECTOR_MASK		0xff
#define APIC_MODE_MASK			0x700
#define APIC_DM_FIXED_MASK		0x700
#define APIC_DM_FIXED			0x000
#define APIC_DM_LOWEST			0x100
#define APIC_DM_SMI			0x200
#define APIC_DM_REMRD			0x300
#define APIC_DM_NMI			0x400
#define APIC_DM_INIT			0x500
#define APIC_DM_STARTUP			0x600
#define APIC_DM_EXTINT			0x700
#define APIC_ICR2			0x310
#define APIC_LVTT			0x320
#define APIC_LVTTHMR			0x330
#define APIC_LVTPC			0x340
#define APIC_LVT0			0x350
#define APIC_LVT1			0x360
#define APIC_LVTERR			0x370
#define APIC_LVT_TIMER_PERIODIC		BIT(17)
#define APIC_LVT_TIMER_TSCDEADLINE	BIT(18)
#define APIC_LVT_MASKED			BIT(16)
#define APIC_LVT_LEVEL_TRIGGER		BIT(15)
#define APIC_LVT_REMOTE_IRR		BIT(14)
#define APIC_INPUT_POLARITY		BIT(13)
#define APIC_SEND_PENDING		BIT(12)
#define APIC_TMICT			0x380
#define APIC_TMCCT			0x390
#define APIC_TDCR			0x3e0
#define APIC_SELF_IPI			0x3f0
#define APIC_BASE_MSR			0x800
#define X2APIC_ENABLE			BIT(10)

/* <asm/cpufeature.h>: words that are registers of CPUID */
#define NCAPINTS			22

enum {
	CPUID_1_EDX, CPUID_8000_0001_EDX,
	CPUID_1_ECX = 4, CPUID_8000_0001_ECX = 6,
	CPUID_7_0_EBX = 9, CPUID_D_1_EAX,
	CPUID_7_1_EAX = 12, CPUID_8000_0008_EBX,
	CPUID_7_ECX = 16, CPUID_7_EDX = 18,
};

#define X86_FEATURE_VME			(CPUID_1_EDX * 32 + 1)
#define X86_FEATURE_DE			(CPUID_1_EDX * 32 + 2)
#define X86_FEATURE_PSE			(CPUID_1_EDX * 32 + 3)
#define X86_FEATURE_TSC			(CPUID_1_EDX * 32 + 4)
#define X86_FEATURE_PAE			(CPUID_1_EDX * 32 + 6)
#define X86_FEATURE_MCE			(CPUID_1_EDX * 32 + 7)
#define X86_FEATURE_APIC		(CPUID_1_EDX * 32 + 9)
#define X86_FEATURE_PGE			(CPUID_1_EDX * 32 + 13)
#define X86_FEATURE_FXSR		(CPUID_1_EDX * 32 + 24)
#define X86_FEATURE_XMM			(CPUID_1_EDX * 32 + 25)
#define X86_FEATURE_HT			(CPUID_1_EDX * 32 + 28)
#define X86_FEATURE_PCID		(CPUID_1_ECX * 32 + 17)
#define X86_FEATURE_X2APIC		(CPUID_1_ECX * 32 + 21)
#define X86_FEATURE_TSC_DEADLINE_TIMER	(CPUID_1_ECX * 32 + 24)
#define X86_FEATURE_XSAVE		(CPUID_1_ECX * 32 + 26)
#define X86_FEATURE_OSXSAVE		(CPUID_1_ECX * 32 + 27)
#define X86_FEATURE_SYSCALL		(CPUID_8000_0001_EDX * 32 + 11)
#define X86_FEATURE_NX			(CPUID_8000_0001_EDX * 32 + 20)
#define X86_FEATURE_FXSR_OPT		(CPUID_8000_0001_EDX * 32 + 25)
#define X86_FEATURE_LM			(CPUID_8000_0001_EDX * 32 + 29)
#define X86_FEATURE_CMP_LEGACY		(CPUID_8000_0001_ECX * 32 + 1)
#define X86_FEATURE_TOPOEXT		(CPUID_8000_0001_ECX * 32 + 22)
#define X86_FEATURE_FSGSBASE		(CPUID_7_0_EBX * 32 + 0)
#define X86_FEATURE_SMEP		(CPUID_7_0_EBX * 32 + 7)
#define X86_FEATURE_SMAP		(CPUID_7_0_EBX * 32 + 20)
#define X86_FEATURE_UMIP		(CPUID_7_ECX * 32 + 2)
#define X86_FEATURE_PKU			(CPUID_7_ECX * 32 + 3)
#define X86_FEATURE_OSPKE		(CPUID_7_ECX * 32 + 4)
#define X86_FEATURE_LA57		(CPUID_7_ECX * 32 + 16)
#define X86_FEATURE_XSAVEC		(CPUID_D_1_EAX * 32 + 1)

#endif /* TEST_KERNEL_H */
