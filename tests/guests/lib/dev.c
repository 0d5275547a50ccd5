// SPDX-License-Identifier: GPL-2.0-only
/* PIC, PIT, CMOS, and delays by the time stamp counter. */
#include "dev.h"

void pic_init(u8 base)
{
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, base);
	outb(0xa1, base + 8);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	pic_mask(0xffff);
}

void pic_mask(u16 mask)
{
	outb(0x21, mask);
	outb(0xa1, mask >> 8);
}

void pic_eoi(int irq)
{
	if (irq >= 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

void pit_program(int channel, int mode, u16 count)
{
	outb(0x43, channel << 6 | 0x30 | mode << 1);
	outb(0x40 + channel, count);
	outb(0x40 + channel, count >> 8);
}

u16 pit_read(int channel)
{
	u8 lo;

	outb(0x43, channel << 6);
	lo = inb(0x40 + channel);
	return lo | inb(0x40 + channel) << 8;
}

u32 tsc_per_ms(void)
{
	static u32 per_ms;
	u64 start;
	int i;

	if (per_ms)
		return per_ms;
	/* Gate of channel 2 on, speaker off; mode 0 raises OUT at the end of 10 ms. */
	outb(0x61, (inb(0x61) & ~2) | 1);
	pit_program(2, 0, PIT_HZ / 100);
	start = rdtsc();
	for (i = 0; i < 10000000 && !(inb(0x61) & 0x20); i++)
		;
	start = rdtsc() - start;
	/* Ten milliseconds are short: the quotient fits 32 bits. */
	asm("divl %2" : "=a"(per_ms), "+d"((u32){ start >> 32 })
	    : "r"(10u), "0"((u32)start));
	return per_ms;
}

void delay_us(u32 us)
{
	u64 end = rdtsc() + ((u64)tsc_per_ms() * us >> 10);

	while (rdtsc() < end)
		cpu_pause();
}

void delay_ms(u32 ms)
{
	u64 end = rdtsc() + (u64)tsc_per_ms() * ms;

	while (rdtsc() < end)
		cpu_pause();
}

u8 cmos_read(u8 reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

void cmos_write(u8 reg, u8 v)
{
	outb(0x70, reg);
	outb(0x71, v);
}
