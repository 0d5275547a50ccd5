/* SPDX-License-Identifier: GPL-2.0-only */
/* The real-time clock and CMOS memory of a PC (Motorola MC146818). */
#ifndef UMBRA_DEVICES_RTC_H
#define UMBRA_DEVICES_RTC_H

#include "device.h"

#define RTC_PORT	0x70
#define RTC_PORTS	2
#define RTC_IRQ		8
#define RTC_CENTURY	0x32	/* index of the century, as the FADT says */

struct rtc;

extern const struct io_ops rtc_ops;

/**
 * rtc_create() - Make a clock that shows the host's time in UTC
 * @host: its clock
 * @irq: its interrupt output
 * @low_memory: bytes of RAM below 4 GiB
 * @high_memory: bytes of RAM from 4 GiB on
 *
 * Return: the clock; NULL if there is no memory.
 */
struct rtc *rtc_create(struct timer_host *host, const struct irq_line *irq,
		       uint64_t low_memory, uint64_t high_memory);

/** rtc_destroy() - Undo rtc_create(), when @host fires no more; NULL is fine */
void rtc_destroy(struct rtc *rtc);

#endif
