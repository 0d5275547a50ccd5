/* SPDX-License-Identifier: GPL-2.0-only */
/* Single instructions and the names of the bits they deal in. */
#ifndef LIB_CPU_H
#define LIB_CPU_H

#include "types.h"
#include "asm.h"

#define CR0_PE	BIT(0)
#define CR0_MP	BIT(1)
#define CR0_EM	BIT(2)
#define CR0_TS	BIT(3)
#define CR0_ET	BIT(4)
#define CR0_NE	BIT(5)
#define CR0_WP	BIT(16)
#define CR0_AM	BIT(18)
#define CR0_NW	BIT(29)
#define CR0_CD	BIT(30)
#define CR0_PG	BIT(31)

#define CR4_VME		BIT(0)
#define CR4_PVI		BIT(1)
#define CR4_TSD		BIT(2)
#define CR4_DE		BIT(3)
#define CR4_PSE		BIT(4)
#define CR4_PAE		BIT(5)
#define CR4_MCE		BIT(6)
#define CR4_PGE		BIT(7)
#define CR4_PCE		BIT(8)
#define CR4_OSFXSR	BIT(9)
#define CR4_OSXMMEXCPT	BIT(10)
#define CR4_UMIP	BIT(11)
#define CR4_LA57	BIT(12)
#define CR4_FSGSBASE	BIT(16)
#define CR4_PCIDE	BIT(17)
#define CR4_OSXSAVE	BIT(18)
#define CR4_SMEP	BIT(20)
#define CR4_SMAP	BIT(21)
#define CR4_PKE		BIT(22)

#define FLAG_CF		BIT(0)
#define FLAG_FIXED	BIT(1)
#define FLAG_ZF		BIT(6)
#define FLAG_SF		BIT(7)
#define FLAG_TF		BIT(8)
#define FLAG_IF		BIT(9)
#define FLAG_DF		BIT(10)
#define FLAG_OF		BIT(11)
#define FLAG_IOPL	(3u << 12)
#define FLAG_NT		BIT(14)
#define FLAG_RF		BIT(16)
#define FLAG_VM		BIT(17)
#define FLAG_AC		BIT(18)
#define FLAG_VIF	BIT(19)
#define FLAG_VIP	BIT(20)
#define FLAG_ID		BIT(21)

#define MSR_TSC			0x10
#define MSR_APIC_BASE		0x1b
#define MSR_TSC_ADJUST		0x3b
#define MSR_MTRRCAP		0xfe
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_PAT			0x277
#define MSR_MTRR_DEF		0x2ff
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_FMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103

#define EFER_SCE	BIT(0)
#define EFER_LME	BIT(8)
#define EFER_LMA	BIT(10)
#define EFER_NXE	BIT(11)

enum vector {
	VEC_DE, VEC_DB, VEC_NMI, VEC_BP, VEC_OF, VEC_BR, VEC_UD, VEC_NM, VEC_DF,
	VEC_TS = 10, VEC_NP, VEC_SS, VEC_GP, VEC_PF, VEC_MF = 16, VEC_AC, VEC_MC, VEC_XM,
};

static inline void outb(u16 port, u8 v)
{
	asm volatile("outb %0, %1" :: "a"(v), "Nd"(port) : "memory");
}

static inline void outw(u16 port, u16 v)
{
	asm volatile("outw %0, %1" :: "a"(v), "Nd"(port) : "memory");
}

static inline void outl(u16 port, u32 v)
{
	asm volatile("outl %0, %1" :: "a"(v), "Nd"(port) : "memory");
}

static inline u8 inb(u16 port)
{
	u8 v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline u16 inw(u16 port)
{
	u16 v;

	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline u32 inl(u16 port)
{
	u32 v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

#define DEFINE_REG(name, reg)						\
static inline ulong read_##name(void)					\
{									\
	ulong v;							\
									\
	asm volatile("mov %%" reg ", %0" : "=r"(v) :: "memory");	\
	return v;							\
}									\
static inline void write_##name(ulong v)				\
{									\
	asm volatile("mov %0, %%" reg :: "r"(v) : "memory");		\
}

DEFINE_REG(cr0, "cr0")
DEFINE_REG(cr2, "cr2")
DEFINE_REG(cr3, "cr3")
DEFINE_REG(cr4, "cr4")
#ifdef __x86_64__
DEFINE_REG(cr8, "cr8")
#endif
DEFINE_REG(dr0, "dr0")
DEFINE_REG(dr1, "dr1")
DEFINE_REG(dr2, "dr2")
DEFINE_REG(dr3, "dr3")
DEFINE_REG(dr6, "dr6")
DEFINE_REG(dr7, "dr7")

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" :: "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) :: "memory");
	return lo | (u64)hi << 32;
}

struct cpuid {
	u32 a, b, c, d;
};

static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
	struct cpuid r;

	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
		     : "a"(leaf), "c"(sub) : "memory");
	return r;
}

/* A leaf above the processor's highest of its range reads as all zero. */
struct cpuid cpuid_safe(u32 leaf, u32 sub);

static inline void invlpg(ulong va)
{
	asm volatile("invlpg (%0)" :: "r"(va) : "memory");
}

static inline ulong read_flags(void)
{
	ulong f;

	asm volatile("pushf; pop %0" : "=r"(f) :: "memory");
	return f;
}

static inline void write_flags(ulong f)
{
	asm volatile("push %0; popf" :: "r"(f) : "memory", "cc");
}

static inline void cpu_pause(void)
{
	asm volatile("pause" ::: "memory");
}

static inline void irq_on(void)
{
	asm volatile("sti" ::: "memory");
}

static inline void irq_off(void)
{
	asm volatile("cli" ::: "memory");
}

/* The instruction after STI is still covered by its shadow: no wake-up is lost. */
static inline void irq_on_halt(void)
{
	asm volatile("sti; hlt" ::: "memory");
}

struct __attribute__((packed)) dtr {
	u16 limit;
	ulong base;
};

/* A register of each feature word that tests ask about. */
#define HAS(leaf, sub, reg, bit)	(!!(cpuid_safe(leaf, sub).reg & BIT(bit)))
#define HAS_PSE		HAS(1, 0, d, 3)
#define HAS_TSC		HAS(1, 0, d, 4)
#define HAS_CX8		HAS(1, 0, d, 8)
#define HAS_SEP		HAS(1, 0, d, 11)
#define HAS_MTRR	HAS(1, 0, d, 12)
#define HAS_PGE		HAS(1, 0, d, 13)
#define HAS_PAT		HAS(1, 0, d, 16)
#define HAS_PSE36	HAS(1, 0, d, 17)
#define HAS_CX16	HAS(1, 0, c, 13)
#define HAS_PCID	HAS(1, 0, c, 17)
#define HAS_X2APIC	HAS(1, 0, c, 21)
#define HAS_TSC_DEADLINE HAS(1, 0, c, 24)
#define HAS_XSAVE	HAS(1, 0, c, 26)
#define HAS_HYPERVISOR	HAS(1, 0, c, 31)
#define HAS_FSGSBASE	HAS(7, 0, b, 0)
#define HAS_TSC_ADJUST	HAS(7, 0, b, 1)
#define HAS_SMEP	HAS(7, 0, b, 7)
#define HAS_INVPCID	HAS(7, 0, b, 10)
#define HAS_SMAP	HAS(7, 0, b, 20)
#define HAS_UMIP	HAS(7, 0, c, 2)
#define HAS_PKU		HAS(7, 0, c, 3)
#define HAS_LA57	HAS(7, 0, c, 16)
#define HAS_SYSCALL	HAS(0x80000001, 0, d, 11)
#define HAS_NX		HAS(0x80000001, 0, d, 20)
#define HAS_1G		HAS(0x80000001, 0, d, 26)
#define HAS_RDTSCP	HAS(0x80000001, 0, d, 27)
#define HAS_LM		HAS(0x80000001, 0, d, 29)

/* Vendor of the processor that the guest sees. */
bool cpu_is_amd(void);
/* Physical address bits; 36 where the processor does not say. */
int cpu_phys_bits(void);

#endif
