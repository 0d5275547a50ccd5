// SPDX-License-Identifier: GPL-2.0-only
/* Access to the local APIC and the IOAPIC. */
#include "apic.h"

bool apic_x2(void)
{
	return (rdmsr(MSR_APIC_BASE) & (APIC_BASE_X2 | APIC_BASE_ON)) ==
	       (APIC_BASE_X2 | APIC_BASE_ON);
}

u32 apic_read(u32 reg)
{
	if (apic_x2())
		return rdmsr(0x800 + reg / 16);
	return *(volatile u32 *)(APIC_PHYS + reg);
}

void apic_write(u32 reg, u32 v)
{
	if (apic_x2())
		wrmsr(0x800 + reg / 16, v);
	else
		*(volatile u32 *)(APIC_PHYS + reg) = v;
}

u32 apic_id(void)
{
	u32 id = apic_read(APIC_ID);

	return apic_x2() ? id : id >> 24;
}

void apic_enable(void)
{
	static const u16 lvt[] = {
		APIC_LVT_TIMER, APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR,
	};
	u32 i;

	if (!(rdmsr(MSR_APIC_BASE) & APIC_BASE_ON))
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ON);
	apic_write(APIC_SVR, SVR_ENABLE | 0xff);
	for (i = 0; i < ARRAY_SIZE(lvt); i++)
		apic_write(lvt[i], LVT_MASKED);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_TMICT, 0);
}

void apic_icr(u32 dest, u32 low)
{
	int i;

	if (apic_x2()) {
		wrmsr(0x830, (u64)dest << 32 | low);
		return;
	}
	apic_write(APIC_ICR2, dest << 24);
	apic_write(APIC_ICR, low);
	for (i = 0; i < 100000 && apic_read(APIC_ICR) & ICR_BUSY; i++)
		cpu_pause();
}

void apic_self_ipi(u8 vector)
{
	apic_icr(0, ICR_SELF | ICR_ASSERT | vector);
}

bool apic_test_bit(u32 reg, u8 vector)
{
	return apic_read(reg + vector / 32 * 16) >> (vector & 31) & 1;
}

u32 ioapic_read(u8 index)
{
	*(volatile u32 *)IOAPIC_PHYS = index;
	return *(volatile u32 *)(IOAPIC_PHYS + 0x10);
}

void ioapic_write(u8 index, u32 v)
{
	*(volatile u32 *)IOAPIC_PHYS = index;
	*(volatile u32 *)(IOAPIC_PHYS + 0x10) = v;
}

void ioapic_set(int pin, u32 low, u32 high)
{
	ioapic_write(0x10 + 2 * pin, LVT_MASKED);
	ioapic_write(0x11 + 2 * pin, high);
	ioapic_write(0x10 + 2 * pin, low);
}

int ioapic_pins(void)
{
	return (ioapic_read(1) >> 16 & 0xff) + 1;
}
