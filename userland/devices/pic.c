// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two Intel 8259A (datasheet 231468), cascaded through input 2 of the master.
 */
#include <pthread.h>
#include <stdlib.h>

#include "pic.h"

#define CASCADE		2
#define SPURIOUS	7

/* ICW1, OCW2 and OCW3 share the even port. */
#define ICW1		0x10
#define ICW1_ICW4	0x01
#define ICW1_SINGLE	0x02
#define ICW1_LEVEL	0x08
#define ICW4_AEOI	0x02
#define ICW4_SFNM	0x10
#define OCW3		0x08
#define OCW3_RIS	0x01
#define OCW3_RR		0x02
#define OCW3_POLL	0x04
#define OCW3_SMM	0x20
#define OCW3_ESMM	0x40
#define POLL_INTERRUPT	0x80

/* OCW2, bits 7 to 5. */
#define OCW2_ROTATE_AEOI_CLEAR	0
#define OCW2_EOI		1
#define OCW2_EOI_SPECIFIC	3
#define OCW2_ROTATE_AEOI_SET	4
#define OCW2_ROTATE_EOI		5
#define OCW2_SET_PRIORITY	6
#define OCW2_ROTATE_SPECIFIC	7

struct chip {
	struct pic *pic;
	bool is_master;

	uint8_t lines;		/* levels of the inputs */
	uint8_t irr, imr, isr;
	uint8_t elcr;		/* inputs that are level-triggered */
	uint8_t elcr_writable;
	uint8_t lowest;		/* the input of the lowest priority */

	uint8_t base;		/* ICW2 */
	uint8_t icw_next;	/* the ICW that the odd port expects, or 0 */
	bool expects_icw4, single, all_level;
	bool auto_eoi, rotate_on_auto_eoi, special_nested;
	bool special_mask, poll, read_isr;
};

struct pic {
	pthread_mutex_t lock;
	struct chip master, slave;
	struct irq_line intr;
	bool out;		/* level of INTR */
};

static uint8_t level_inputs(const struct chip *chip)
{
	return chip->all_level ? 0xff : chip->elcr;
}

/* How far an input is from the highest priority; 8 if there is none in @inputs. */
static unsigned int best_priority(const struct chip *chip, uint8_t inputs)
{
	unsigned int priority;

	for (priority = 0; priority < 8; priority++)
		if (inputs & (1U << ((chip->lowest + 1 + priority) & 7)))
			break;
	return priority;
}

static unsigned int input_of(const struct chip *chip, unsigned int priority)
{
	return (chip->lowest + 1 + priority) & 7;
}

/* The input whose request would interrupt now, or -1. */
static int pending(const struct chip *chip)
{
	unsigned int request = best_priority(chip, chip->irr & ~chip->imr);
	uint8_t in_service = chip->isr;

	if (request == 8)
		return -1;
	/* In special mask mode, what is masked does not hold others back. */
	if (chip->special_mask)
		in_service &= ~chip->imr;
	/* In special fully nested mode, the slave may interrupt its own service. */
	if (chip->special_nested && chip->is_master)
		in_service &= ~(1U << CASCADE);
	if (best_priority(chip, in_service) <= request)
		return -1;
	return input_of(chip, request);
}

static void chip_set_input(struct chip *chip, unsigned int input, bool level)
{
	uint8_t bit = 1U << input;

	if (level_inputs(chip) & bit) {
		chip->irr = level ? chip->irr | bit : chip->irr & ~bit;
	} else if (level && !(chip->lines & bit)) {
		chip->irr |= bit;
	} else if (!level) {
		/* The input must stay up until it is acknowledged. */
		chip->irr &= ~bit;
	}
	chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
}

/* Carries a change through the cascade to INTR. */
static void update(struct pic *pic)
{
	uint8_t cascade = 1U << CASCADE;
	bool out;

	/* The slave's output follows its requests, however input 2 is triggered. */
	if (pending(&pic->slave) >= 0) {
		pic->master.lines |= cascade;
		pic->master.irr |= cascade;
	} else {
		pic->master.lines &= ~cascade;
		pic->master.irr &= ~cascade;
	}
	out = pending(&pic->master) >= 0;
	if (out != pic->out) {
		pic->out = out;
		irq_line_set(&pic->intr, out);
	}
}

static void end_of_interrupt(struct chip *chip, unsigned int input, bool rotate)
{
	chip->isr &= ~(1U << input);
	if (rotate)
		chip->lowest = input;
}

/* The first INTA cycle: the request goes into service. */
static void acknowledge(struct chip *chip, unsigned int input)
{
	uint8_t bit = 1U << input;

	if (!(level_inputs(chip) & bit))
		chip->irr &= ~bit;
	chip->isr |= bit;
	if (chip->auto_eoi)
		end_of_interrupt(chip, input, chip->rotate_on_auto_eoi);
}

static unsigned int take(struct chip *chip)
{
	int input = pending(chip);

	if (input < 0)
		return SPURIOUS;
	acknowledge(chip, input);
	return input;
}

uint8_t pic_ack(struct pic *pic)
{
	unsigned int input;
	uint8_t vector;

	pthread_mutex_lock(&pic->lock);
	input = take(&pic->master);
	vector = pic->master.base + input;
	if (input == CASCADE)
		vector = pic->slave.base + take(&pic->slave);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
	return vector;
}

void pic_set_irq(struct pic *pic, unsigned int irq, bool level)
{
	if (irq >= 16 || irq == CASCADE)
		return;
	pthread_mutex_lock(&pic->lock);
	chip_set_input(irq < 8 ? &pic->master : &pic->slave, irq & 7, level);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

static void write_icw1(struct chip *chip, uint8_t value)
{
	chip->imr = 0;
	chip->isr = 0;
	chip->lowest = 7;
	chip->special_mask = false;
	chip->read_isr = false;
	chip->poll = false;
	chip->auto_eoi = false;
	chip->rotate_on_auto_eoi = false;
	chip->special_nested = false;
	chip->all_level = value & ICW1_LEVEL;
	chip->single = value & ICW1_SINGLE;
	chip->expects_icw4 = value & ICW1_ICW4;
	chip->icw_next = 2;
	/* The edge detectors are reset: an input that is up must rise again. */
	chip->irr = chip->lines & level_inputs(chip);
}

static void write_ocw2(struct chip *chip, uint8_t value)
{
	unsigned int named = value & 7, priority;

	switch (value >> 5) {
	case OCW2_ROTATE_AEOI_CLEAR:
		chip->rotate_on_auto_eoi = false;
		break;
	case OCW2_ROTATE_AEOI_SET:
		chip->rotate_on_auto_eoi = true;
		break;
	case OCW2_EOI:
	case OCW2_ROTATE_EOI:
		priority = best_priority(chip, chip->special_mask ? chip->isr & ~chip->imr
								  : chip->isr);
		if (priority < 8)
			end_of_interrupt(chip, input_of(chip, priority),
					 value >> 5 == OCW2_ROTATE_EOI);
		break;
	case OCW2_EOI_SPECIFIC:
	case OCW2_ROTATE_SPECIFIC:
		end_of_interrupt(chip, named, value >> 5 == OCW2_ROTATE_SPECIFIC);
		break;
	case OCW2_SET_PRIORITY:
		chip->lowest = named;
		break;
	}
}

static void write_ocw3(struct chip *chip, uint8_t value)
{
	if (value & OCW3_POLL)
		chip->poll = true;
	if (value & OCW3_RR)
		chip->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		chip->special_mask = value & OCW3_SMM;
}

static void write_odd(struct chip *chip, uint8_t value)
{
	switch (chip->icw_next) {
	case 0:
		chip->imr = value;
		return;
	case 2:
		chip->base = value & 0xf8;
		chip->icw_next = !chip->single ? 3 : chip->expects_icw4 ? 4 : 0;
		return;
	case 3:
		/* How the chips are cascaded is soldered. */
		chip->icw_next = chip->expects_icw4 ? 4 : 0;
		return;
	default:
		chip->auto_eoi = value & ICW4_AEOI;
		chip->special_nested = value & ICW4_SFNM;
		chip->icw_next = 0;
	}
}

static void pic_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct chip *chip = dev;
	struct pic *pic = chip->pic;

	(void)size;
	pthread_mutex_lock(&pic->lock);
	if (offset)
		write_odd(chip, value);
	else if (value & ICW1)
		write_icw1(chip, value);
	else if (value & OCW3)
		write_ocw3(chip, value);
	else
		write_ocw2(chip, value);
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

/* A poll is an acknowledgement by a read. */
static uint8_t read_poll(struct chip *chip)
{
	int input = pending(chip);

	chip->poll = false;
	if (input < 0)
		return 0;
	acknowledge(chip, input);
	return POLL_INTERRUPT | input;
}

static uint64_t pic_read(void *dev, uint64_t offset, unsigned int size)
{
	struct chip *chip = dev;
	struct pic *pic = chip->pic;
	uint8_t value;

	(void)size;
	pthread_mutex_lock(&pic->lock);
	if (chip->poll) {
		value = read_poll(chip);
		update(pic);
	} else if (offset) {
		value = chip->imr;
	} else {
		value = chip->read_isr ? chip->isr : chip->irr;
	}
	pthread_mutex_unlock(&pic->lock);
	return value;
}

const struct io_ops pic_ops = {
	.read = pic_read,
	.write = pic_write,
	.max_size = 1,
};

static uint64_t elcr_read(void *dev, uint64_t offset, unsigned int size)
{
	struct pic *pic = dev;
	uint8_t value;

	(void)size;
	pthread_mutex_lock(&pic->lock);
	value = offset ? pic->slave.elcr : pic->master.elcr;
	pthread_mutex_unlock(&pic->lock);
	return value;
}

static void elcr_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pic *pic = dev;
	struct chip *chip = offset ? &pic->slave : &pic->master;

	(void)size;
	pthread_mutex_lock(&pic->lock);
	chip->elcr = value & chip->elcr_writable;
	/* A level that is there is a request from now on. */
	chip->irr |= chip->lines & chip->elcr;
	update(pic);
	pthread_mutex_unlock(&pic->lock);
}

const struct io_ops pic_elcr_ops = {
	.read = elcr_read,
	.write = elcr_write,
	.max_size = 1,
};

struct pic *pic_create(const struct irq_line *intr)
{
	struct pic *pic;

	pic = calloc(1, sizeof(*pic));
	if (!pic)
		return NULL;
	pthread_mutex_init(&pic->lock, NULL);
	pic->intr = *intr;
	/* The timer, the keyboard, the cascade, the RTC and the FPU are edges for ever. */
	pic->master = (struct chip){
		.pic = pic, .is_master = true, .lowest = 7, .elcr_writable = 0xf8,
	};
	pic->slave = (struct chip){
		.pic = pic, .lowest = 7, .elcr_writable = 0xde,
	};
	return pic;
}

void pic_destroy(struct pic *pic)
{
	if (!pic)
		return;
	pthread_mutex_destroy(&pic->lock);
	free(pic);
}

void *pic_master(struct pic *pic)
{
	return &pic->master;
}

void *pic_slave(struct pic *pic)
{
	return &pic->slave;
}
