// SPDX-License-Identifier: GPL-2.0-only
#include "devices/rtc.h"
#include "test.h"

#define B_SET		0x80
#define B_PERIODIC	0x40
#define B_ALARM		0x20
#define B_UPDATE	0x10
#define B_BINARY	0x04
#define B_24H		0x02
#define C_IRQ		0x80

struct fixture {
	struct rtc *rtc;
	struct fake_clock clock;
	struct fake_irq irq;
};

static uint8_t get(struct fixture *f, uint8_t index)
{
	wr(&rtc_ops, f->rtc, 0, index);
	return rd(&rtc_ops, f->rtc, 1);
}

static void set(struct fixture *f, uint8_t index, uint8_t value)
{
	wr(&rtc_ops, f->rtc, 0, index);
	wr(&rtc_ops, f->rtc, 1, value);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct irq_line line = fake_line(&f->irq);

	fake_clock_init(&f->clock);
	f->rtc = rtc_create(&f->clock.host, &line, 512ULL << 20, 1ULL << 30);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	rtc_destroy(f->rtc);
	free(f);
	return 0;
}

static void assert_time(struct fixture *f, uint8_t century, uint8_t year, uint8_t month,
			uint8_t day, uint8_t hour, uint8_t minute, uint8_t second)
{
	assert_int_equal(get(f, 0x32), century);
	assert_int_equal(get(f, 9), year);
	assert_int_equal(get(f, 8), month);
	assert_int_equal(get(f, 7), day);
	assert_int_equal(get(f, 4), hour);
	assert_int_equal(get(f, 2), minute);
	assert_int_equal(get(f, 0), second);
}

static void shows_the_time_in_bcd(void **state)
{
	struct fixture *f = *state;

	assert_time(f, 0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58);
	assert_int_equal(get(f, 6), 4);
	fake_advance(&f->clock, 3 * NS_PER_SEC);
	/* 2024 is a leap year. */
	assert_time(f, 0x20, 0x24, 0x02, 0x29, 0x00, 0x00, 0x01);
	assert_int_equal(get(f, 0x0d), 0x80);
}

static void other_formats(void **state)
{
	struct fixture *f = *state;

	set(f, 0x0b, B_24H | B_BINARY);
	assert_time(f, 20, 24, 2, 28, 23, 59, 58);
	set(f, 0x0b, B_BINARY);
	assert_int_equal(get(f, 4), 0x80 | 11);
	set(f, 0x0b, 0);
	assert_int_equal(get(f, 4), 0x80 | 0x11);
	fake_advance(&f->clock, 2 * NS_PER_SEC);
	/* Midnight is 12 in the morning. */
	assert_int_equal(get(f, 4), 0x12);
}

static void can_be_set(void **state)
{
	struct fixture *f = *state;

	set(f, 0x0b, B_SET | B_24H);
	set(f, 0x32, 0x19);
	set(f, 9, 0x99);
	set(f, 8, 0x12);
	set(f, 7, 0x31);
	set(f, 4, 0x23);
	set(f, 2, 0x59);
	set(f, 0, 0x30);
	fake_advance(&f->clock, 10 * NS_PER_SEC);
	assert_time(f, 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x30);
	set(f, 0x0b, B_24H);
	fake_advance(&f->clock, 31 * NS_PER_SEC);
	assert_time(f, 0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x01);
}

static void is_set_in_the_format_named_at_the_end(void **state)
{
	struct fixture *f = *state;

	set(f, 0x0b, B_SET | B_24H);
	set(f, 0x0b, B_SET | B_24H | B_BINARY);
	set(f, 0x32, 20);
	set(f, 9, 24);
	set(f, 8, 2);
	set(f, 7, 28);
	set(f, 4, 13);
	set(f, 2, 40);
	set(f, 0, 59);
	set(f, 0x0b, B_24H | B_BINARY);
	assert_int_equal(get(f, 4), 13);
	assert_int_equal(get(f, 2), 40);
	assert_int_equal(get(f, 0), 59);
}

static void update_in_progress(void **state)
{
	struct fixture *f = *state;

	assert_false(get(f, 0x0a) & 0x80);
	fake_advance(&f->clock, NS_PER_SEC - 200000);
	assert_true(get(f, 0x0a) & 0x80);
	fake_advance(&f->clock, 200000);
	assert_false(get(f, 0x0a) & 0x80);
}

static void update_interrupts(void **state)
{
	struct fixture *f = *state;

	get(f, 0x0c);
	set(f, 0x0b, B_24H | B_UPDATE);
	fake_advance(&f->clock, 3 * NS_PER_SEC + 1);
	assert_true(f->irq.level);
	assert_int_equal(f->irq.rises, 1);
	/* The other flags go up as well, but do not interrupt: it is the alarm's midnight, too. */
	assert_int_equal(get(f, 0x0c), C_IRQ | B_UPDATE | B_ALARM | B_PERIODIC);
	assert_false(f->irq.level);
	assert_int_equal(get(f, 0x0c), 0);
	fake_advance(&f->clock, NS_PER_SEC);
	assert_int_equal(f->irq.rises, 2);
}

static void alarm(void **state)
{
	struct fixture *f = *state;

	set(f, 1, 0x05);
	set(f, 3, 0x00);
	set(f, 5, 0x00);
	set(f, 0x0b, B_24H | B_ALARM);
	fake_advance(&f->clock, 6 * NS_PER_SEC);
	assert_false(f->irq.level);
	fake_advance(&f->clock, NS_PER_SEC);
	assert_true(f->irq.level);
	assert_int_equal(get(f, 0x0c) & (C_IRQ | B_ALARM), C_IRQ | B_ALARM);
}

static void alarm_at_any_minute(void **state)
{
	struct fixture *f = *state;
	unsigned int i, rises;

	set(f, 1, 0x30);
	set(f, 3, 0xff);
	set(f, 5, 0xc0);
	set(f, 0x0b, B_24H | B_ALARM);
	for (i = 0; i < 180; i++) {
		fake_advance(&f->clock, NS_PER_SEC);
		if (f->irq.level)
			get(f, 0x0c);
	}
	rises = f->irq.rises;
	assert_int_equal(rises, 3);
}

static void alarm_flag_without_interrupt(void **state)
{
	struct fixture *f = *state;

	set(f, 1, 0x59);
	set(f, 3, 0xff);
	set(f, 5, 0xff);
	get(f, 0x0c);
	fake_advance(&f->clock, 5 * NS_PER_SEC);
	assert_int_equal(get(f, 0x0c), B_ALARM | B_UPDATE | B_PERIODIC);
	assert_false(f->irq.level);
}

static void periodic_interrupts(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	/* 1,024 Hz. */
	set(f, 0x0a, 0x26);
	set(f, 0x0b, B_24H | B_PERIODIC);
	for (i = 0; i < 10000; i++) {
		fake_advance(&f->clock, 100000);
		if (f->irq.level)
			assert_true(get(f, 0x0c) & B_PERIODIC);
	}
	assert_in_range(f->irq.rises, 1020, 1026);
	set(f, 0x0a, 0x20);
	get(f, 0x0c);
	f->irq.rises = 0;
	fake_advance(&f->clock, NS_PER_SEC);
	assert_int_equal(f->irq.rises, 0);
}

static void memory_size_is_in_cmos(void **state)
{
	struct fixture *f = *state;
	uint32_t above_16m;

	assert_int_equal(get(f, 0x15) | get(f, 0x16) << 8, 640);
	assert_int_equal(get(f, 0x17) | get(f, 0x18) << 8, 0xffff);
	above_16m = get(f, 0x34) | get(f, 0x35) << 8;
	assert_int_equal(above_16m << 16, (512 - 16) << 20);
	assert_int_equal(get(f, 0x5b) | get(f, 0x5c) << 8 | get(f, 0x5d) << 16, (1 << 30) >> 16);
}

static void memory_that_is_kept(void **state)
{
	struct fixture *f = *state;

	set(f, 0x40, 0x5a);
	assert_int_equal(get(f, 0x40), 0x5a);
	/* Bit 7 of the index masks NMIs, it is not part of it. */
	assert_int_equal(get(f, 0xc0), 0x5a);
	set(f, 0x0d, 0);
	assert_int_equal(get(f, 0x0d), 0x80);
	assert_int_equal(rd(&rtc_ops, f->rtc, 0), 0xff);
}

static void nonsense(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	srand(2);
	for (i = 0; i < 5000; i++) {
		unsigned int what = rand();

		if (what & 1)
			set(f, what >> 1 & 0x0f, what >> 8);
		else if (what & 2)
			get(f, what >> 2);
		else
			fake_advance(&f->clock, (what & 0xffff) * 10000ULL);
	}
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(shows_the_time_in_bcd),
		T(other_formats),
		T(can_be_set),
		T(is_set_in_the_format_named_at_the_end),
		T(update_in_progress),
		T(update_interrupts),
		T(alarm),
		T(alarm_at_any_minute),
		T(alarm_flag_without_interrupt),
		T(periodic_interrupts),
		T(memory_size_is_in_cmos),
		T(memory_that_is_kept),
		T(nonsense),
	};

	return RUN(tests);
}
