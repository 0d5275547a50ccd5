/* SPDX-License-Identifier: GPL-2.0-only */
/* The PC's old devices: interrupt controllers, timer; and time itself. */
#ifndef LIB_DEV_H
#define LIB_DEV_H

#include "cpu.h"

#define PIT_HZ	1193182

/* Programs both PICs: IRQ 0-7 at vector @base, 8-15 at @base + 8, all masked. */
void pic_init(u8 base);
/* Mask bit of each of the 16 inputs; 1 is masked. */
void pic_mask(u16 mask);
void pic_eoi(int irq);

/* Programs channel 0, low byte then high byte. */
void pit_program(int channel, int mode, u16 count);
u16 pit_read(int channel);

/* TSC ticks per millisecond, measured against PIT channel 2. */
u32 tsc_per_ms(void);
void delay_ms(u32 ms);
void delay_us(u32 us);

u8 cmos_read(u8 reg);
void cmos_write(u8 reg, u8 v);

/*
 * Waits up to @ms milliseconds until the expression is true, interrupts on or off
 * as they are; gives its last value.
 */
#define WAIT_FOR(ms, cond) ({						\
	u64 __end = rdtsc() + (u64)tsc_per_ms() * (ms);			\
	bool __ok;							\
									\
	while (!(__ok = (cond)) && rdtsc() < __end)			\
		cpu_pause();						\
	__ok; })

#endif
