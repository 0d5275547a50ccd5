// SPDX-License-Identifier: GPL-2.0-only
#include "devices/ioapic.h"
#include "test.h"

#define LEVEL		(1U << 15)
#define MASKED		(1U << 16)
#define REMOTE_IRR	(1U << 14)
#define PENDING		(1U << 12)

struct fixture {
	struct ioapic *ioapic;
	unsigned int sent;
	uint64_t address;
	uint32_t data;
};

static void send(void *opaque, uint64_t address, uint32_t data)
{
	struct fixture *f = opaque;

	f->sent++;
	f->address = address;
	f->data = data;
}

static void write_reg(struct fixture *f, uint8_t index, uint32_t value)
{
	ioapic_ops.write(f->ioapic, 0x00, 4, index);
	ioapic_ops.write(f->ioapic, 0x10, 4, value);
}

static uint32_t read_reg(struct fixture *f, uint8_t index)
{
	ioapic_ops.write(f->ioapic, 0x00, 4, index);
	return ioapic_ops.read(f->ioapic, 0x10, 4);
}

static void route(struct fixture *f, unsigned int pin, uint8_t dest, uint32_t low)
{
	write_reg(f, 0x11 + 2 * pin, (uint32_t)dest << 24);
	write_reg(f, 0x10 + 2 * pin, low);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ioapic = ioapic_create(3, send, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ioapic_destroy(f->ioapic);
	free(f);
	return 0;
}

static void identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_reg(f, 0), 3U << 24);
	assert_int_equal(read_reg(f, 1), 0x00170020);
	write_reg(f, 0, 0xffffffff);
	assert_int_equal(read_reg(f, 0), 0x0f000000);
	/* Pins begin masked; what is beyond them reads as ones and cannot be written. */
	assert_int_equal(read_reg(f, 0x10), MASKED);
	write_reg(f, 0x40, 0);
	assert_int_equal(read_reg(f, 0x40), 0xffffffff);
	write_reg(f, 0xff, 0x12345678);
}

static void edge(void **state)
{
	struct fixture *f = *state;

	route(f, 4, 1, 0x31);
	ioapic_set_pin(f->ioapic, 4, true);
	assert_int_equal(f->sent, 1);
	assert_int_equal(f->address, 0xfee01000);
	assert_int_equal(f->data, 0x31);
	ioapic_set_pin(f->ioapic, 4, true);
	assert_int_equal(f->sent, 1);
	ioapic_set_pin(f->ioapic, 4, false);
	ioapic_set_pin(f->ioapic, 4, true);
	assert_int_equal(f->sent, 2);
}

static void modes_and_destinations(void **state)
{
	struct fixture *f = *state;

	/* Logical destination, lowest priority. */
	route(f, 7, 0xab, 0x45 | 1 << 8 | 1 << 11);
	ioapic_set_pin(f->ioapic, 7, true);
	assert_int_equal(f->address, 0xfee00000 | 0xab << 12 | 4);
	assert_int_equal(f->data, 0x145);
}

static void masked_edge_is_lost(void **state)
{
	struct fixture *f = *state;

	route(f, 4, 0, 0x31 | MASKED);
	ioapic_set_pin(f->ioapic, 4, true);
	route(f, 4, 0, 0x31);
	assert_int_equal(f->sent, 0);
}

static void level(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0, 0x51 | LEVEL);
	ioapic_set_pin(f->ioapic, 9, true);
	assert_int_equal(f->sent, 1);
	assert_int_equal(f->data, 0x51 | LEVEL | 1 << 14);
	assert_true(read_reg(f, 0x10 + 18) & REMOTE_IRR);
	/* Nothing more until the EOI; then again, as it is still up. */
	ioapic_set_pin(f->ioapic, 9, true);
	assert_int_equal(f->sent, 1);
	ioapic_eoi(f->ioapic, 0x51);
	assert_int_equal(f->sent, 2);
	ioapic_set_pin(f->ioapic, 9, false);
	ioapic_eoi(f->ioapic, 0x50);
	assert_true(read_reg(f, 0x10 + 18) & REMOTE_IRR);
	ioapic_ops.write(f->ioapic, 0x40, 4, 0x51);
	assert_false(read_reg(f, 0x10 + 18) & REMOTE_IRR);
	assert_int_equal(f->sent, 2);
}

static void masked_level_is_sent_when_unmasked(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0, 0x51 | LEVEL | MASKED);
	ioapic_set_pin(f->ioapic, 9, true);
	assert_int_equal(f->sent, 0);
	route(f, 9, 0, 0x51 | LEVEL);
	assert_int_equal(f->sent, 1);
}

static void switch_to_edge_clears_remote_irr(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0, 0x51 | LEVEL);
	ioapic_set_pin(f->ioapic, 9, true);
	ioapic_set_pin(f->ioapic, 9, false);
	route(f, 9, 0, 0x51 | MASKED);
	route(f, 9, 0, 0x51 | LEVEL);
	assert_false(read_reg(f, 0x10 + 18) & REMOTE_IRR);
}

static void remote_irr_cannot_be_written(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0, 0x51 | LEVEL | REMOTE_IRR | PENDING | 0xfffe0000);
	assert_int_equal(read_reg(f, 0x10 + 18), 0x51 | LEVEL);
}

static void nmi_is_an_edge(void **state)
{
	struct fixture *f = *state;

	route(f, 9, 0, 0x00 | 4 << 8 | LEVEL);
	ioapic_set_pin(f->ioapic, 9, true);
	assert_int_equal(f->sent, 1);
	assert_int_equal(f->data, 0x400);
	assert_false(read_reg(f, 0x10 + 18) & REMOTE_IRR);
}

static void pins_that_do_not_exist(void **state)
{
	struct fixture *f = *state;

	ioapic_set_pin(f->ioapic, 24, true);
	ioapic_set_pin(f->ioapic, 1000, true);
	assert_int_equal(f->sent, 0);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(identity),
		T(edge),
		T(modes_and_destinations),
		T(masked_edge_is_lost),
		T(level),
		T(masked_level_is_sent_when_unmasked),
		T(switch_to_edge_clears_remote_irr),
		T(remote_irr_cannot_be_written),
		T(nmi_is_an_edge),
		T(pins_that_do_not_exist),
	};

	return RUN(tests);
}
