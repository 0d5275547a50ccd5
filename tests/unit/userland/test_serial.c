// SPDX-License-Identifier: GPL-2.0-only
#include "devices/serial.h"
#include "test.h"

struct fixture {
	struct serial *serial;
	struct fake_irq irq;
	uint8_t sent[64];
	unsigned int sent_size;
	unsigned int rooms;
};

static void transmit(void *opaque, uint8_t byte)
{
	struct fixture *f = opaque;

	assert_true(f->sent_size < sizeof(f->sent));
	f->sent[f->sent_size++] = byte;
}

static void room(void *opaque)
{
	((struct fixture *)opaque)->rooms++;
}

static uint8_t get(struct fixture *f, unsigned int reg)
{
	return rd(&serial_ops, f->serial, reg);
}

static void put(struct fixture *f, unsigned int reg, uint8_t value)
{
	wr(&serial_ops, f->serial, reg, value);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct serial_line line = { transmit, room, f };
	struct irq_line irq = fake_line(&f->irq);

	f->serial = serial_create(&line, &irq);
	/* OUT2 lets interrupts through. */
	put(f, 4, 0x0b);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	serial_destroy(f->serial);
	free(f);
	return 0;
}

static void sends(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 5), 0x60);
	put(f, 0, 'a');
	put(f, 0, 'b');
	assert_memory_equal(f->sent, "ab", 2);
	assert_int_equal(get(f, 5), 0x60);
}

static void divisor(void **state)
{
	struct fixture *f = *state;

	put(f, 3, 0x83);
	put(f, 0, 0x01);
	put(f, 1, 0x02);
	assert_int_equal(get(f, 0), 0x01);
	assert_int_equal(get(f, 1), 0x02);
	assert_int_equal(f->sent_size, 0);
	put(f, 3, 0x03);
	assert_int_equal(get(f, 1), 0);
	assert_int_equal(get(f, 3), 0x03);
}

static void transmitter_interrupts(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 0x02);
	assert_true(f->irq.level);
	assert_int_equal(get(f, 2), 0x02);
	/* To read that is to acknowledge it. */
	assert_false(f->irq.level);
	assert_int_equal(get(f, 2), 0x01);
	put(f, 0, 'x');
	assert_true(f->irq.level);
	/* Switched off and on again it comes back. */
	get(f, 2);
	put(f, 1, 0x00);
	put(f, 1, 0x02);
	assert_true(f->irq.level);
	/* To write it again without a change is no news. */
	get(f, 2);
	put(f, 1, 0x02);
	assert_false(f->irq.level);
}

static void receives_without_fifo(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 0x01);
	assert_int_equal(serial_receive(f->serial, (const uint8_t *)"abc", 3), 1);
	assert_true(f->irq.level);
	assert_int_equal(get(f, 2), 0x04);
	assert_int_equal(get(f, 5), 0x61);
	assert_int_equal(f->rooms, 0);
	assert_int_equal(get(f, 0), 'a');
	assert_int_equal(f->rooms, 1);
	assert_false(f->irq.level);
	assert_int_equal(get(f, 5), 0x60);
}

static void receives_with_fifo(void **state)
{
	static const uint8_t data[40] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct fixture *f = *state;
	size_t taken = 0;
	unsigned int i;

	put(f, 2, 0x81);
	put(f, 1, 0x01);
	/* Below the trigger level of eight the time-out tells. */
	taken = serial_receive(f->serial, data, 3);
	assert_int_equal(taken, 3);
	assert_int_equal(get(f, 2), 0xcc);
	taken += serial_receive(f->serial, data + taken, 5);
	assert_int_equal(get(f, 2), 0xc4);
	/* It takes no more than fits, and nothing is lost. */
	taken += serial_receive(f->serial, data + taken, sizeof(data) - taken);
	assert_int_equal(taken, 16);
	assert_int_equal(serial_receive(f->serial, data + taken, 1), 0);
	for (i = 0; i < 16; i++) {
		assert_int_equal(f->rooms, 0);
		assert_int_equal(get(f, 0), data[i]);
	}
	assert_int_equal(f->rooms, 1);
	assert_false(get(f, 5) & 0x02);
	assert_false(f->irq.level);
}

static void fifo_reset_makes_room(void **state)
{
	struct fixture *f = *state;

	put(f, 2, 0x01);
	serial_receive(f->serial, (const uint8_t *)"0123456789abcdefgh", 18);
	put(f, 2, 0x03);
	assert_int_equal(get(f, 5), 0x60);
	assert_int_equal(f->rooms, 1);
	/* The identification shows whether there are FIFOs. */
	assert_int_equal(get(f, 2) & 0xc0, 0xc0);
	put(f, 2, 0x00);
	assert_int_equal(get(f, 2) & 0xc0, 0x00);
}

static void loopback(void **state)
{
	struct fixture *f = *state;

	get(f, 6);
	put(f, 4, 0x1a);
	assert_int_equal(get(f, 6) & 0xf0, 0x90);
	put(f, 4, 0x15);
	assert_int_equal(get(f, 6) & 0xf0, 0x60);
	put(f, 0, 0xa5);
	assert_int_equal(f->sent_size, 0);
	assert_int_equal(get(f, 5) & 0x01, 0x01);
	assert_int_equal(get(f, 0), 0xa5);
	/* The line is disconnected meanwhile, and what waits comes afterwards. */
	assert_int_equal(serial_receive(f->serial, (const uint8_t *)"z", 1), 0);
	assert_int_equal(f->rooms, 0);
	put(f, 4, 0x0b);
	assert_int_equal(f->rooms, 1);
}

static void overrun_in_loopback(void **state)
{
	struct fixture *f = *state;

	put(f, 1, 0x04);
	put(f, 4, 0x1b);
	put(f, 0, 1);
	put(f, 0, 2);
	assert_int_equal(get(f, 2), 0x06);
	assert_int_equal(get(f, 5) & 0x1f, 0x03);
	assert_int_equal(get(f, 5) & 0x1f, 0x01);
	assert_int_equal(get(f, 0), 2);
}

static void modem_status_interrupts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 6), 0xb0);
	put(f, 1, 0x08);
	put(f, 4, 0x10);
	put(f, 4, 0x0b);
	assert_true(f->irq.level);
	assert_int_equal(get(f, 2), 0x00);
	assert_int_equal(get(f, 6), 0xb0 | 0x0b);
	assert_false(f->irq.level);
}

static void out2_gates_the_interrupt(void **state)
{
	struct fixture *f = *state;

	put(f, 4, 0x03);
	put(f, 1, 0x02);
	assert_false(f->irq.level);
	put(f, 4, 0x0b);
	assert_true(f->irq.level);
}

static void scratch(void **state)
{
	struct fixture *f = *state;

	put(f, 7, 0x5a);
	assert_int_equal(get(f, 7), 0x5a);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sends),
		T(divisor),
		T(transmitter_interrupts),
		T(receives_without_fifo),
		T(receives_with_fifo),
		T(fifo_reset_makes_room),
		T(loopback),
		T(overrun_in_loopback),
		T(modem_status_interrupts),
		T(out2_gates_the_interrupt),
		T(scratch),
	};

	return RUN(tests);
}
