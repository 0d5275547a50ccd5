/* SPDX-License-Identifier: GPL-2.0-only */
/* The local APIC, in xAPIC or x2APIC mode, whichever is on. */
#ifndef LIB_APIC_H
#define LIB_APIC_H

#include "cpu.h"
#include "trap.h"

#define APIC_ID		0x20
#define APIC_VERSION	0x30
#define APIC_TPR	0x80
#define APIC_APR	0x90
#define APIC_PPR	0xa0
#define APIC_EOI	0xb0
#define APIC_LDR	0xd0
#define APIC_DFR	0xe0
#define APIC_SVR	0xf0
#define APIC_ISR	0x100
#define APIC_TMR	0x180
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_LVT_CMCI	0x2f0
#define APIC_ICR	0x300
#define APIC_ICR2	0x310
#define APIC_LVT_TIMER	0x320
#define APIC_LVT_THERMAL 0x330
#define APIC_LVT_PERF	0x340
#define APIC_LVT_LINT0	0x350
#define APIC_LVT_LINT1	0x360
#define APIC_LVT_ERROR	0x370
#define APIC_TMICT	0x380
#define APIC_TMCCT	0x390
#define APIC_TDCR	0x3e0
#define APIC_SELF_IPI	0x3f0

#define APIC_PHYS	0xfee00000ul
#define IOAPIC_PHYS	0xfec00000ul

#define LVT_MASKED	BIT(16)
#define LVT_PERIODIC	BIT(17)
#define LVT_DEADLINE	BIT(18)
#define SVR_ENABLE	BIT(8)

#define ICR_FIXED	0
#define ICR_LOWEST	(1u << 8)
#define ICR_NMI		(4u << 8)
#define ICR_INIT	(5u << 8)
#define ICR_STARTUP	(6u << 8)
#define ICR_LOGICAL	BIT(11)
#define ICR_BUSY	BIT(12)
#define ICR_ASSERT	BIT(14)
#define ICR_LEVEL	BIT(15)
#define ICR_SELF	(1u << 18)
#define ICR_ALL		(2u << 18)
#define ICR_OTHERS	(3u << 18)

#define APIC_BASE_BSP	BIT(8)
#define APIC_BASE_X2	BIT(10)
#define APIC_BASE_ON	BIT(11)

bool apic_x2(void);
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 v);
u32 apic_id(void);
/* Turns the APIC on with spurious vector 0xff and everything in the LVT masked. */
void apic_enable(void);
void apic_icr(u32 dest, u32 low);
void apic_self_ipi(u8 vector);
static inline void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

/* Whether @vector is set in the 256-bit register that begins at @reg. */
bool apic_test_bit(u32 reg, u8 vector);

u32 ioapic_read(u8 index);
void ioapic_write(u8 index, u32 v);
/* Redirection entry @pin: low and high half. */
void ioapic_set(int pin, u32 low, u32 high);
int ioapic_pins(void);

#endif
