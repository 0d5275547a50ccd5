// SPDX-License-Identifier: GPL-2.0-only
#include "devices/pic.h"
#include "test.h"

struct fixture {
	struct pic *pic;
	struct fake_irq intr;
};

static void master(struct fixture *f, unsigned int port, uint8_t value)
{
	wr(&pic_ops, pic_master(f->pic), port, value);
}

static void slave(struct fixture *f, unsigned int port, uint8_t value)
{
	wr(&pic_ops, pic_slave(f->pic), port, value);
}

static uint8_t isr(void *chip)
{
	wr(&pic_ops, chip, 0, 0x0b);
	return rd(&pic_ops, chip, 0);
}

static uint8_t irr(void *chip)
{
	wr(&pic_ops, chip, 0, 0x0a);
	return rd(&pic_ops, chip, 0);
}

static void init(struct fixture *f, uint8_t icw4)
{
	struct irq_line line = fake_line(&f->intr);

	f->pic = pic_create(&line);
	assert_non_null(f->pic);
	master(f, 0, 0x11);
	master(f, 1, 0x20);
	master(f, 1, 0x04);
	master(f, 1, icw4);
	slave(f, 0, 0x11);
	slave(f, 1, 0x28);
	slave(f, 1, 0x02);
	slave(f, 1, 0x01);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	init(f, 0x01);
	*state = f;
	return 0;
}

static int setup_auto_eoi(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	init(f, 0x03);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pic_destroy(f->pic);
	free(f);
	return 0;
}

static void edge_is_delivered_once(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 4, true);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x24);
	assert_false(f->intr.level);
	assert_int_equal(isr(pic_master(f->pic)), 0x10);
	master(f, 0, 0x20);
	assert_int_equal(isr(pic_master(f->pic)), 0);
	/* Still up, but that is no new edge. */
	assert_false(f->intr.level);
	pic_set_irq(f->pic, 4, false);
	pic_set_irq(f->pic, 4, true);
	assert_true(f->intr.level);
}

static void level_repeats_until_it_falls(void **state)
{
	struct fixture *f = *state;

	wr(&pic_elcr_ops, f->pic, 1, 0x02);
	assert_int_equal(rd(&pic_elcr_ops, f->pic, 1), 0x02);
	pic_set_irq(f->pic, 9, true);
	assert_int_equal(pic_ack(f->pic), 0x29);
	slave(f, 0, 0x20);
	master(f, 0, 0x20);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x29);
	pic_set_irq(f->pic, 9, false);
	slave(f, 0, 0x20);
	master(f, 0, 0x20);
	assert_false(f->intr.level);
}

static void elcr_keeps_edges_that_are_wired(void **state)
{
	struct fixture *f = *state;

	wr(&pic_elcr_ops, f->pic, 0, 0xff);
	wr(&pic_elcr_ops, f->pic, 1, 0xff);
	assert_int_equal(rd(&pic_elcr_ops, f->pic, 0), 0xf8);
	assert_int_equal(rd(&pic_elcr_ops, f->pic, 1), 0xde);
}

static void slave_comes_through_the_cascade(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 14, true);
	assert_int_equal(pic_ack(f->pic), 0x2e);
	assert_int_equal(isr(pic_master(f->pic)), 0x04);
	assert_int_equal(isr(pic_slave(f->pic)), 0x40);
	/* IRQ 3 is below the cascade, IRQ 1 above. */
	pic_set_irq(f->pic, 3, true);
	assert_false(f->intr.level);
	pic_set_irq(f->pic, 1, true);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x21);
}

static void higher_priority_interrupts_lower(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 5, true);
	pic_set_irq(f->pic, 3, true);
	assert_int_equal(pic_ack(f->pic), 0x23);
	assert_false(f->intr.level);
	pic_set_irq(f->pic, 0, true);
	assert_int_equal(pic_ack(f->pic), 0x20);
	assert_int_equal(isr(pic_master(f->pic)), 0x09);
	/* A non-specific EOI ends the highest. */
	master(f, 0, 0x20);
	assert_int_equal(isr(pic_master(f->pic)), 0x08);
	master(f, 0, 0x20);
	assert_int_equal(pic_ack(f->pic), 0x25);
}

static void mask_holds_back(void **state)
{
	struct fixture *f = *state;

	master(f, 1, 0x10);
	pic_set_irq(f->pic, 4, true);
	assert_false(f->intr.level);
	assert_int_equal(irr(pic_master(f->pic)), 0x10);
	master(f, 1, 0x00);
	assert_true(f->intr.level);
	assert_int_equal(rd(&pic_ops, pic_master(f->pic), 1), 0);
}

static void vanished_request_is_spurious(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 4, true);
	pic_set_irq(f->pic, 4, false);
	assert_int_equal(pic_ack(f->pic), 0x27);
	/* A spurious interrupt is not in service. */
	assert_int_equal(isr(pic_master(f->pic)), 0);
}

static void vanished_request_of_the_slave(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 12, true);
	assert_true(f->intr.level);
	/* Masked between request and acknowledgement: the cascade falls, too. */
	slave(f, 1, 0x10);
	assert_false(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x27);
}

static void special_mask_lets_lower_ones_in(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 3, true);
	assert_int_equal(pic_ack(f->pic), 0x23);
	pic_set_irq(f->pic, 5, true);
	assert_false(f->intr.level);
	master(f, 1, 0x08);
	assert_false(f->intr.level);
	master(f, 0, 0x68);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x25);
	master(f, 0, 0x48);
}

static void rotation(void **state)
{
	struct fixture *f = *state;

	/* Set priority: IRQ 3 becomes the lowest, 4 the highest. */
	master(f, 0, 0xc3);
	pic_set_irq(f->pic, 1, true);
	pic_set_irq(f->pic, 4, true);
	assert_int_equal(pic_ack(f->pic), 0x24);
	/* EOI with rotation: 4 becomes the lowest. */
	master(f, 0, 0xa0);
	pic_set_irq(f->pic, 4, false);
	pic_set_irq(f->pic, 4, true);
	assert_int_equal(pic_ack(f->pic), 0x21);
}

static void specific_eoi(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 6, true);
	pic_ack(f->pic);
	pic_set_irq(f->pic, 1, true);
	pic_ack(f->pic);
	master(f, 0, 0x66);
	assert_int_equal(isr(pic_master(f->pic)), 0x02);
}

static void poll_acknowledges(void **state)
{
	struct fixture *f = *state;

	master(f, 0, 0x0c);
	assert_int_equal(rd(&pic_ops, pic_master(f->pic), 0), 0);
	pic_set_irq(f->pic, 7, true);
	master(f, 0, 0x0c);
	assert_int_equal(rd(&pic_ops, pic_master(f->pic), 0), 0x87);
	assert_int_equal(isr(pic_master(f->pic)), 0x80);
	assert_false(f->intr.level);
}

static void automatic_eoi(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 4, true);
	assert_int_equal(pic_ack(f->pic), 0x24);
	assert_int_equal(isr(pic_master(f->pic)), 0);
}

static void special_fully_nested(void **state)
{
	struct fixture *f = *state;

	init(f, 0x11);
	pic_set_irq(f->pic, 12, true);
	assert_int_equal(pic_ack(f->pic), 0x2c);
	/* A higher one of the slave gets through although the cascade is in service. */
	pic_set_irq(f->pic, 8, true);
	assert_true(f->intr.level);
	assert_int_equal(pic_ack(f->pic), 0x28);
}

static int setup_nothing(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return 0;
}

static void initialization_resets(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 4, true);
	pic_ack(f->pic);
	master(f, 1, 0xff);
	master(f, 0, 0x11);
	master(f, 1, 0x40);
	master(f, 1, 0x04);
	master(f, 1, 0x01);
	assert_int_equal(rd(&pic_ops, pic_master(f->pic), 1), 0);
	assert_int_equal(isr(pic_master(f->pic)), 0);
	/* The edge was before: none is remembered. */
	assert_false(f->intr.level);
	pic_set_irq(f->pic, 4, false);
	pic_set_irq(f->pic, 4, true);
	assert_int_equal(pic_ack(f->pic), 0x44);
}

static void lines_that_do_not_exist(void **state)
{
	struct fixture *f = *state;

	pic_set_irq(f->pic, 2, true);
	pic_set_irq(f->pic, 16, true);
	pic_set_irq(f->pic, 1000, true);
	assert_false(f->intr.level);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(edge_is_delivered_once),
		T(level_repeats_until_it_falls),
		T(elcr_keeps_edges_that_are_wired),
		T(slave_comes_through_the_cascade),
		T(higher_priority_interrupts_lower),
		T(mask_holds_back),
		T(vanished_request_is_spurious),
		T(vanished_request_of_the_slave),
		T(special_mask_lets_lower_ones_in),
		T(rotation),
		T(specific_eoi),
		T(poll_acknowledges),
		T(initialization_resets),
		T(lines_that_do_not_exist),
		cmocka_unit_test_setup_teardown(automatic_eoi, setup_auto_eoi, teardown),
		cmocka_unit_test_setup_teardown(special_fully_nested, setup_nothing, teardown),
	};

	return RUN(tests);
}
