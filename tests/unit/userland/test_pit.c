// SPDX-License-Identifier: GPL-2.0-only
#include "devices/pit.h"
#include "test.h"

struct fixture {
	struct pit *pit;
	struct fake_clock clock;
	struct fake_irq irq;
};

/* Time in which the counters tick @n times. */
static uint64_t ticks(uint64_t n)
{
	return ticks_to_ns(n, PIT_HZ);
}

static void control(struct fixture *f, unsigned int channel, unsigned int rw, unsigned int mode)
{
	wr(&pit_ops, f->pit, 3, channel << 6 | rw << 4 | mode << 1);
}

static void count(struct fixture *f, unsigned int channel, uint16_t value)
{
	wr(&pit_ops, f->pit, channel, value & 0xff);
	wr(&pit_ops, f->pit, channel, value >> 8);
}

static uint16_t latched(struct fixture *f, unsigned int channel)
{
	uint16_t low;

	wr(&pit_ops, f->pit, 3, channel << 6);
	low = rd(&pit_ops, f->pit, channel);
	return low | rd(&pit_ops, f->pit, channel) << 8;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct irq_line line = fake_line(&f->irq);

	fake_clock_init(&f->clock);
	f->pit = pit_create(&f->clock.host, &line);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pit_destroy(f->pit);
	free(f);
	return 0;
}

static void rate_generator(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 2);
	count(f, 0, 11932);
	f->irq.rises = 0;
	fake_advance(&f->clock, NS_PER_SEC);
	assert_in_range(f->irq.rises, 99, 100);
	fake_advance(&f->clock, 10 * NS_PER_SEC);
	assert_in_range(f->irq.rises, 1099, 1100);
}

static void square_wave_reads(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 3);
	count(f, 0, 1000);
	assert_int_equal(latched(f, 0), 1000);
	fake_advance(&f->clock, ticks(100));
	assert_int_equal(latched(f, 0), 800);
	fake_advance(&f->clock, ticks(500));
	assert_in_range(latched(f, 0), 798, 802);
}

static void one_interrupt_of_mode_0(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 0);
	assert_false(f->irq.level);
	count(f, 0, 100);
	assert_false(f->irq.level);
	fake_advance(&f->clock, ticks(99));
	assert_false(f->irq.level);
	fake_advance(&f->clock, ticks(2));
	assert_true(f->irq.level);
	assert_int_equal(f->irq.rises, 1);
	fake_advance(&f->clock, NS_PER_SEC);
	assert_int_equal(f->irq.rises, 1);
	/* A new count starts it again, the first half of one only lowers the output. */
	wr(&pit_ops, f->pit, 0, 100);
	assert_false(f->irq.level);
	wr(&pit_ops, f->pit, 0, 0);
	fake_advance(&f->clock, ticks(101));
	assert_int_equal(f->irq.rises, 2);
}

static void mode_0_counts_on_past_zero(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 0);
	count(f, 0, 100);
	fake_advance(&f->clock, ticks(110));
	assert_int_equal(latched(f, 0), 0xfff6);
}

static void software_strobe(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 4);
	count(f, 0, 100);
	f->irq.rises = 0;
	fake_advance(&f->clock, ticks(1000));
	assert_int_equal(f->irq.rises, 1);
}

static void latch_holds(void **state)
{
	struct fixture *f = *state;
	uint16_t low;

	control(f, 0, 3, 2);
	count(f, 0, 50000);
	fake_advance(&f->clock, ticks(1000));
	wr(&pit_ops, f->pit, 3, 0);
	fake_advance(&f->clock, ticks(1000));
	/* A second latch command changes nothing until the first was read. */
	wr(&pit_ops, f->pit, 3, 0);
	low = rd(&pit_ops, f->pit, 0);
	assert_int_equal(low | rd(&pit_ops, f->pit, 0) << 8, 49000);
	assert_int_equal(latched(f, 0), 48000);
}

static void halves(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 1, 2);
	wr(&pit_ops, f->pit, 0, 200);
	assert_int_equal(rd(&pit_ops, f->pit, 0), 200);
	control(f, 0, 2, 2);
	wr(&pit_ops, f->pit, 0, 0x10);
	assert_int_equal(rd(&pit_ops, f->pit, 0), 0x10);
}

static void bcd(void **state)
{
	struct fixture *f = *state;

	wr(&pit_ops, f->pit, 3, 0x35);
	count(f, 0, 0x1000);
	fake_advance(&f->clock, ticks(1));
	assert_int_equal(latched(f, 0), 0x0999);
	/* Nought means 10,000. */
	wr(&pit_ops, f->pit, 3, 0x35);
	count(f, 0, 0);
	assert_int_equal(latched(f, 0), 0);
	fake_advance(&f->clock, ticks(1));
	assert_int_equal(latched(f, 0), 0x9999);
}

static void read_back(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 3);
	/* Status of channel 0: no count yet. */
	wr(&pit_ops, f->pit, 3, 0xe2);
	assert_int_equal(rd(&pit_ops, f->pit, 0), 0x80 | 0x40 | 0x36);
	count(f, 0, 1000);
	fake_advance(&f->clock, ticks(600));
	/* Status and count of channel 0. */
	wr(&pit_ops, f->pit, 3, 0xc2);
	assert_int_equal(rd(&pit_ops, f->pit, 0), 0x36);
	assert_int_equal(rd(&pit_ops, f->pit, 0), 800 & 0xff);
	assert_int_equal(rd(&pit_ops, f->pit, 0), 800 >> 8);
}

static void new_count_waits_for_the_period(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 2);
	count(f, 0, 1000);
	fake_advance(&f->clock, ticks(2500));
	count(f, 0, 5000);
	assert_int_equal(latched(f, 0), 500);
	fake_advance(&f->clock, ticks(600));
	assert_in_range(latched(f, 0), 4898, 4902);
}

static void speaker(void **state)
{
	struct fixture *f = *state;

	control(f, 2, 3, 0);
	wr(&pit_speaker_ops, f->pit, 0, 0x00);
	count(f, 2, 1000);
	/* The gate is closed. */
	fake_advance(&f->clock, ticks(5000));
	assert_false(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
	wr(&pit_speaker_ops, f->pit, 0, 0x01);
	fake_advance(&f->clock, ticks(600));
	assert_false(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
	/* It keeps its count while the gate is closed once more. */
	wr(&pit_speaker_ops, f->pit, 0, 0x00);
	fake_advance(&f->clock, ticks(5000));
	wr(&pit_speaker_ops, f->pit, 0, 0x01);
	fake_advance(&f->clock, ticks(390));
	assert_false(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
	fake_advance(&f->clock, ticks(20));
	assert_true(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
	assert_int_equal(rd(&pit_speaker_ops, f->pit, 0) & 0x0f, 0x01);
}

static void hardware_triggered_one_shot(void **state)
{
	struct fixture *f = *state;

	control(f, 2, 3, 1);
	count(f, 2, 1000);
	assert_true(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
	wr(&pit_speaker_ops, f->pit, 0, 0x01);
	fake_advance(&f->clock, ticks(500));
	assert_false(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
	/* Another edge of the gate begins it anew. */
	wr(&pit_speaker_ops, f->pit, 0, 0x00);
	wr(&pit_speaker_ops, f->pit, 0, 0x01);
	fake_advance(&f->clock, ticks(900));
	assert_false(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
	fake_advance(&f->clock, ticks(200));
	assert_true(rd(&pit_speaker_ops, f->pit, 0) & 0x20);
}

static void refresh_toggles(void **state)
{
	struct fixture *f = *state;
	uint8_t before = rd(&pit_speaker_ops, f->pit, 0);

	fake_advance(&f->clock, 15100);
	assert_int_equal((before ^ rd(&pit_speaker_ops, f->pit, 0)) & 0x10, 0x10);
}

static void a_late_host_makes_no_storm(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 3, 2);
	count(f, 0, 1193);
	fake_advance(&f->clock, 10 * MS);
	f->irq.rises = 0;
	fake_stall(&f->clock, 20 * MS);
	/* One now, the others at no more than twice the rate. */
	assert_int_equal(f->irq.rises, 1);
	fake_advance(&f->clock, 10 * MS);
	assert_in_range(f->irq.rises, 18, 22);
	fake_advance(&f->clock, 100 * MS);
	assert_in_range(f->irq.rises, 128, 132);
	/* Much too late: most are forgotten. */
	f->irq.rises = 0;
	fake_stall(&f->clock, 100 * NS_PER_SEC);
	fake_advance(&f->clock, NS_PER_SEC);
	assert_in_range(f->irq.rises, 990, 1100);
}

static void a_greedy_guest_is_limited(void **state)
{
	struct fixture *f = *state;

	control(f, 0, 1, 2);
	wr(&pit_ops, f->pit, 0, 2);
	f->irq.rises = 0;
	fake_advance(&f->clock, NS_PER_SEC);
	assert_in_range(f->irq.rises, 1000, 20001);
}

static void every_mode_takes_every_access(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	/* Nothing to see but that no sanitizer objects. */
	srand(1);
	for (i = 0; i < 20000; i++) {
		unsigned int what = rand();

		if (what & 1)
			wr(&pit_ops, f->pit, what >> 1 & 3, what >> 8);
		else if (what & 2)
			rd(&pit_ops, f->pit, what >> 2 & 3);
		else if (what & 4)
			wr(&pit_speaker_ops, f->pit, 0, what >> 8);
		else if (what & 8)
			rd(&pit_speaker_ops, f->pit, 0);
		else
			fake_advance(&f->clock, what >> 12);
	}
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rate_generator),
		T(square_wave_reads),
		T(one_interrupt_of_mode_0),
		T(mode_0_counts_on_past_zero),
		T(software_strobe),
		T(latch_holds),
		T(halves),
		T(bcd),
		T(read_back),
		T(new_count_waits_for_the_period),
		T(speaker),
		T(hardware_triggered_one_shot),
		T(refresh_toggles),
		T(a_late_host_makes_no_storm),
		T(a_greedy_guest_is_limited),
		T(every_mode_takes_every_access),
	};

	return RUN(tests);
}
