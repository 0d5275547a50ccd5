// SPDX-License-Identifier: GPL-2.0-only
/*
 * A Motorola MC146818A. The time is the host's plus an offset that changes when
 * the guest sets the clock. Flags in register C are worked out when somebody
 * looks; a host timer runs only for interrupts that are enabled.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rtc.h"

#define CMOS_SIZE	128
#define INDEX_MASK	0x7f	/* bit 7 of the index port masks NMIs */

#define REG_SECONDS	0
#define REG_SECONDS_ALARM 1
#define REG_MINUTES	2
#define REG_MINUTES_ALARM 3
#define REG_HOURS	4
#define REG_HOURS_ALARM	5
#define REG_WEEKDAY	6
#define REG_DAY		7
#define REG_MONTH	8
#define REG_YEAR	9
#define REG_A		10
#define REG_B		11
#define REG_C		12
#define REG_D		13

#define A_RATE		0x0f
#define A_DIVIDER	0x70
#define A_RUNNING	0x20	/* in A_DIVIDER: the time base of 32,768 Hz */
#define A_UIP		0x80

#define B_24H		0x02
#define B_BINARY	0x04
#define B_UPDATE	0x10
#define B_ALARM		0x20
#define B_PERIODIC	0x40
#define B_SET		0x80

#define C_IRQ		0x80	/* the enables in B have the same bits as the flags in C */

#define D_VALID		0x80

#define HOURS_PM	0x80
#define ALARM_ANY	0xc0	/* an alarm byte with both bits set matches everything */

/* Times are nanoseconds in 63 bits; registers that say more are cut off there (in 2112). */
#define MAX_SECOND	4500000000LL

#define TIME_BASE_HZ	32768
#define UPDATE_NS	244000	/* UIP is up for so long before the time changes */

/* Where a BIOS leaves the size of memory. */
#define CMOS_BASE_KB	0x15
#define CMOS_EXT_KB	0x17
#define CMOS_EXT_KB2	0x30
#define CMOS_ABOVE_16M	0x34
#define CMOS_ABOVE_4G	0x5b

struct rtc {
	pthread_mutex_t lock;
	struct timer_host *host;
	struct timer timer;
	struct irq_line irq;

	uint8_t index;
	uint8_t cmos[CMOS_SIZE];

	int64_t offset;		/* guest's time minus the host's, in ns */
	int64_t stopped;	/* guest's time while B_SET holds it, in ns since 1970 */
	bool held;

	uint64_t flags_at;	/* host's clock when the flags were last worked out */
	int64_t second;		/* guest's second at that moment */
};

static uint8_t encode(const struct rtc *rtc, unsigned int v)
{
	return rtc->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10;
}

static unsigned int decode(const struct rtc *rtc, uint8_t v)
{
	return rtc->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t encode_hours(const struct rtc *rtc, unsigned int hour)
{
	uint8_t v;

	if (rtc->cmos[REG_B] & B_24H)
		return encode(rtc, hour);
	v = encode(rtc, hour % 12 ? hour % 12 : 12);
	return hour >= 12 ? v | HOURS_PM : v;
}

static unsigned int decode_hours(const struct rtc *rtc, uint8_t v)
{
	unsigned int hour;

	if (rtc->cmos[REG_B] & B_24H)
		return decode(rtc, v);
	hour = decode(rtc, v & ~HOURS_PM) % 12;
	return v & HOURS_PM ? hour + 12 : hour;
}

static int64_t guest_ns(const struct rtc *rtc)
{
	return rtc->held ? rtc->stopped : (int64_t)timer_wall(rtc->host) + rtc->offset;
}

static int64_t floor_second(int64_t ns)
{
	int64_t s = ns / (int64_t)NS_PER_SEC;

	return ns % (int64_t)NS_PER_SEC < 0 ? s - 1 : s;
}

/* Shows a time in the registers. */
static void show_time(struct rtc *rtc, int64_t second)
{
	time_t t = second;
	struct tm tm;

	if (!gmtime_r(&t, &tm))
		return;
	rtc->cmos[REG_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->cmos[REG_MINUTES] = encode(rtc, tm.tm_min);
	rtc->cmos[REG_HOURS] = encode_hours(rtc, tm.tm_hour);
	rtc->cmos[REG_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->cmos[REG_DAY] = encode(rtc, tm.tm_mday);
	rtc->cmos[REG_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->cmos[REG_YEAR] = encode(rtc, tm.tm_year % 100);
	rtc->cmos[RTC_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100);
}

/* Takes the time from the registers; the fraction of a second begins anew. */
static void take_time(struct rtc *rtc)
{
	int64_t second, ns;
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	tm.tm_sec = decode(rtc, rtc->cmos[REG_SECONDS]);
	tm.tm_min = decode(rtc, rtc->cmos[REG_MINUTES]);
	tm.tm_hour = decode_hours(rtc, rtc->cmos[REG_HOURS]);
	tm.tm_mday = decode(rtc, rtc->cmos[REG_DAY]);
	tm.tm_mon = (int)decode(rtc, rtc->cmos[REG_MONTH]) - 1;
	tm.tm_year = (int)(decode(rtc, rtc->cmos[RTC_CENTURY]) * 100 +
			   decode(rtc, rtc->cmos[REG_YEAR])) - 1900;
	second = timegm(&tm);
	if (second < -MAX_SECOND)
		second = -MAX_SECOND;
	else if (second > MAX_SECOND)
		second = MAX_SECOND;
	ns = second * (int64_t)NS_PER_SEC;
	if (rtc->held)
		rtc->stopped = ns;
	else
		rtc->offset = ns - (int64_t)timer_wall(rtc->host);
	rtc->second = floor_second(ns);
}

static bool alarm_byte_matches(uint8_t alarm, unsigned int value, unsigned int decoded)
{
	return (alarm & ALARM_ANY) == ALARM_ANY || value == decoded;
}

static bool alarm_matches(const struct rtc *rtc, int64_t second)
{
	const uint8_t *cmos = rtc->cmos;
	int64_t day = second % 86400;

	if (day < 0)
		day += 86400;
	return alarm_byte_matches(cmos[REG_SECONDS_ALARM], day % 60,
				  decode(rtc, cmos[REG_SECONDS_ALARM])) &&
	       alarm_byte_matches(cmos[REG_MINUTES_ALARM], day / 60 % 60,
				  decode(rtc, cmos[REG_MINUTES_ALARM])) &&
	       alarm_byte_matches(cmos[REG_HOURS_ALARM], day / 3600,
				  decode_hours(rtc, cmos[REG_HOURS_ALARM]));
}

/* The first second after @from at which the alarm goes off, or @from + a day. */
static int64_t next_alarm(const struct rtc *rtc, int64_t from)
{
	int64_t s;

	for (s = from + 1; s < from + 86400; s++)
		if (alarm_matches(rtc, s))
			break;
	return s;
}

/* Nanoseconds from one periodic interrupt to the next; 0 if there are none. */
static uint64_t period_ns(const struct rtc *rtc)
{
	unsigned int rate = rtc->cmos[REG_A] & A_RATE;

	if (!rate || (rtc->cmos[REG_A] & A_DIVIDER) != A_RUNNING)
		return 0;
	/* The two fastest rates of this time base are those of 8 and 9. */
	if (rate <= 2)
		rate += 7;
	return ticks_to_ns(1U << (rate - 1), TIME_BASE_HZ);
}

/* Raises the flags of everything that happened since the last look. */
static void work_out_flags(struct rtc *rtc)
{
	uint64_t now = timer_now(rtc->host), period = period_ns(rtc);
	int64_t second = floor_second(guest_ns(rtc));

	if (period && now / period != rtc->flags_at / period)
		rtc->cmos[REG_C] |= B_PERIODIC;
	rtc->flags_at = now;

	if (second == rtc->second)
		return;
	rtc->cmos[REG_C] |= B_UPDATE;
	/* A step of the host's clock backwards is a change, but no alarm. */
	if (second > rtc->second && next_alarm(rtc, rtc->second) <= second)
		rtc->cmos[REG_C] |= B_ALARM;
	rtc->second = second;
}

static void update_irq(struct rtc *rtc)
{
	bool level = rtc->cmos[REG_C] & rtc->cmos[REG_B] & (B_PERIODIC | B_ALARM | B_UPDATE);

	rtc->cmos[REG_C] = (rtc->cmos[REG_C] & ~C_IRQ) | (level ? C_IRQ : 0);
	irq_line_set(&rtc->irq, level);
}

/* Arms the timer for the next interrupt, which is enabled and not up already. */
static void schedule(struct rtc *rtc)
{
	uint8_t wanted = rtc->cmos[REG_B] & ~rtc->cmos[REG_C];
	uint64_t now = timer_now(rtc->host), deadline = UINT64_MAX, period = period_ns(rtc);
	int64_t time = guest_ns(rtc), at;

	if ((wanted & B_PERIODIC) && period)
		deadline = (now / period + 1) * period;
	if (!rtc->held && (wanted & (B_UPDATE | B_ALARM))) {
		at = wanted & B_UPDATE ? floor_second(time) + 1
				       : next_alarm(rtc, floor_second(time));
		at = at * (int64_t)NS_PER_SEC - time;
		if (now + at < deadline)
			deadline = now + at;
	}
	if (deadline == UINT64_MAX)
		timer_cancel(&rtc->timer);
	else
		timer_arm(&rtc->timer, deadline);
}

static void rtc_fire(void *arg)
{
	struct rtc *rtc = arg;

	pthread_mutex_lock(&rtc->lock);
	work_out_flags(rtc);
	update_irq(rtc);
	schedule(rtc);
	pthread_mutex_unlock(&rtc->lock);
}

static void write_b(struct rtc *rtc, uint8_t value)
{
	uint8_t changed = value ^ rtc->cmos[REG_B];

	/* The registers hold the time in the old format until SET lets it go on. */
	if (!rtc->held && (changed & value & B_SET)) {
		show_time(rtc, floor_second(guest_ns(rtc)));
		rtc->stopped = guest_ns(rtc);
		rtc->held = true;
	}
	/* SET stops updates and with them their interrupt. */
	rtc->cmos[REG_B] = value & B_SET ? value & ~B_UPDATE : value;
	if (rtc->held && !(value & B_SET)) {
		/* What is in the registers is the time, in the format that B now names. */
		take_time(rtc);
		rtc->offset = rtc->stopped - (int64_t)timer_wall(rtc->host);
		rtc->held = false;
	}
}

static void write_data(struct rtc *rtc, uint8_t value)
{
	unsigned int index = rtc->index;

	switch (index) {
	case REG_A:
		rtc->cmos[REG_A] = value & ~A_UIP;
		break;
	case REG_B:
		write_b(rtc, value);
		break;
	case REG_C:
	case REG_D:
		return;
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS:
	case REG_WEEKDAY:
	case REG_DAY:
	case REG_MONTH:
	case REG_YEAR:
	case RTC_CENTURY:
		if (!rtc->held)
			show_time(rtc, floor_second(guest_ns(rtc)));
		rtc->cmos[index] = value;
		take_time(rtc);
		break;
	default:
		rtc->cmos[index] = value;
	}
	update_irq(rtc);
	schedule(rtc);
}

static uint8_t read_data(struct rtc *rtc)
{
	unsigned int index = rtc->index;
	int64_t time = guest_ns(rtc);
	uint8_t value;

	switch (index) {
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS:
	case REG_WEEKDAY:
	case REG_DAY:
	case REG_MONTH:
	case REG_YEAR:
	case RTC_CENTURY:
		if (!rtc->held)
			show_time(rtc, floor_second(time));
		return rtc->cmos[index];
	case REG_A:
		value = rtc->cmos[REG_A];
		if (!rtc->held && time - floor_second(time) * (int64_t)NS_PER_SEC >=
				  (int64_t)NS_PER_SEC - UPDATE_NS)
			value |= A_UIP;
		return value;
	case REG_C:
		update_irq(rtc);
		value = rtc->cmos[REG_C];
		rtc->cmos[REG_C] = 0;
		update_irq(rtc);
		schedule(rtc);
		return value;
	default:
		return rtc->cmos[index];
	}
}

static void rtc_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct rtc *rtc = dev;

	(void)size;
	pthread_mutex_lock(&rtc->lock);
	if (offset) {
		work_out_flags(rtc);
		write_data(rtc, value);
	} else {
		/* Nothing in this machine raises the NMI that bit 7 would mask. */
		rtc->index = value & INDEX_MASK;
	}
	pthread_mutex_unlock(&rtc->lock);
}

static uint64_t rtc_read(void *dev, uint64_t offset, unsigned int size)
{
	struct rtc *rtc = dev;
	uint8_t value = 0xff;

	(void)size;
	pthread_mutex_lock(&rtc->lock);
	if (offset) {
		work_out_flags(rtc);
		value = read_data(rtc);
	}
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

const struct io_ops rtc_ops = {
	.read = rtc_read,
	.write = rtc_write,
	.max_size = 1,
};

static void store16(struct rtc *rtc, unsigned int index, uint64_t value)
{
	uint16_t v = value < 0xffff ? value : 0xffff;

	rtc->cmos[index] = v;
	rtc->cmos[index + 1] = v >> 8;
}

struct rtc *rtc_create(struct timer_host *host, const struct irq_line *irq,
		       uint64_t low_memory, uint64_t high_memory)
{
	uint64_t mib = 1 << 20;
	struct rtc *rtc;

	rtc = calloc(1, sizeof(*rtc));
	if (!rtc)
		return NULL;
	pthread_mutex_init(&rtc->lock, NULL);
	rtc->host = host;
	rtc->irq = *irq;
	timer_init(&rtc->timer, host, rtc_fire, rtc);
	rtc->flags_at = timer_now(host);
	rtc->second = floor_second(guest_ns(rtc));

	/* 1,024 Hz selected, 24 hours, BCD: as a PC's firmware leaves it. */
	rtc->cmos[REG_A] = A_RUNNING | 6;
	rtc->cmos[REG_B] = B_24H;
	rtc->cmos[REG_D] = D_VALID;

	store16(rtc, CMOS_BASE_KB, 640);
	store16(rtc, CMOS_EXT_KB, low_memory > mib ? (low_memory - mib) >> 10 : 0);
	store16(rtc, CMOS_EXT_KB2, low_memory > mib ? (low_memory - mib) >> 10 : 0);
	store16(rtc, CMOS_ABOVE_16M, low_memory > 16 * mib ? (low_memory - 16 * mib) >> 16 : 0);
	store16(rtc, CMOS_ABOVE_4G, high_memory >> 16);
	rtc->cmos[CMOS_ABOVE_4G + 2] = high_memory >> 32;
	return rtc;
}

void rtc_destroy(struct rtc *rtc)
{
	if (!rtc)
		return;
	timer_cancel(&rtc->timer);
	pthread_mutex_destroy(&rtc->lock);
	free(rtc);
}
