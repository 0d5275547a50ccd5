// SPDX-License-Identifier: GPL-2.0-only
#include <pthread.h>
#include <stdlib.h>

#include "i8042.h"

#define STATUS_FULL	0x01	/* a byte waits at port 0x60 */
#define STATUS_SYSTEM	0x04	/* the self-test has passed */
#define STATUS_COMMAND	0x08	/* the last byte written was a command */
#define STATUS_UNLOCKED	0x10
#define STATUS_TIMEOUT	0x40

#define CONFIG_IRQ	0x01
#define CONFIG_SYSTEM	0x04
#define CONFIG_DISABLED	0x10
#define CONFIG_AUX_OFF	0x20
#define CONFIG_TRANSLATE 0x40

#define CMD_READ_RAM	0x20	/* to 0x3f */
#define CMD_WRITE_RAM	0x60	/* to 0x7f */
#define CMD_SELF_TEST	0xaa
#define CMD_TEST_PORT	0xab
#define CMD_DISABLE	0xad
#define CMD_ENABLE	0xae
#define CMD_READ_INPUT	0xc0
#define CMD_READ_OUTPUT	0xd0
#define CMD_WRITE_OUTPUT 0xd1
#define CMD_WRITE_BACK	0xd2
#define CMD_A20_OFF	0xdd
#define CMD_A20_ON	0xdf
#define CMD_PULSE	0xf0	/* to 0xff: a low bit pulls its output low */

#define SELF_TEST_OK	0x55
#define INPUT_UNLOCKED	0x80
#define OUTPUT_RESET	0x01	/* active low */
#define OUTPUT_A20	0x02
#define NO_ANSWER	0xfe	/* what the controller says for a keyboard that is silent */

struct i8042 {
	pthread_mutex_t lock;
	struct irq_line irq;
	void (*reset)(void *opaque);
	void *opaque;

	uint8_t status;
	uint8_t data;
	uint8_t output;
	uint8_t ram[32];	/* the first byte is the configuration */
	uint8_t command;	/* that waits for its parameter at port 0x60, or 0 */
};

static void update_irq(struct i8042 *kbc, bool from_keyboard)
{
	bool full = kbc->status & STATUS_FULL;

	irq_line_set(&kbc->irq, from_keyboard && full && (kbc->ram[0] & CONFIG_IRQ));
}

static void answer(struct i8042 *kbc, uint8_t value)
{
	kbc->data = value;
	kbc->status |= STATUS_FULL;
}

static void set_output(struct i8042 *kbc, uint8_t value)
{
	/* The A20 gate is remembered but always open, as on every PC of this century. */
	kbc->output = value;
	if (!(value & OUTPUT_RESET))
		kbc->reset(kbc->opaque);
}

static void run_command(struct i8042 *kbc, uint8_t command)
{
	kbc->command = 0;
	kbc->status |= STATUS_COMMAND;
	switch (command) {
	case CMD_SELF_TEST:
		kbc->status |= STATUS_SYSTEM;
		answer(kbc, SELF_TEST_OK);
		break;
	case CMD_TEST_PORT:
		answer(kbc, 0);
		break;
	case CMD_DISABLE:
		kbc->ram[0] |= CONFIG_DISABLED;
		break;
	case CMD_ENABLE:
		kbc->ram[0] &= ~CONFIG_DISABLED;
		break;
	case CMD_READ_INPUT:
		answer(kbc, INPUT_UNLOCKED);
		break;
	case CMD_READ_OUTPUT:
		answer(kbc, kbc->output);
		break;
	case CMD_WRITE_OUTPUT:
	case CMD_WRITE_BACK:
		kbc->command = command;
		break;
	case CMD_A20_OFF:
		set_output(kbc, kbc->output & ~OUTPUT_A20);
		break;
	case CMD_A20_ON:
		set_output(kbc, kbc->output | OUTPUT_A20);
		break;
	default:
		if (command >= CMD_READ_RAM && command < CMD_READ_RAM + 32)
			answer(kbc, kbc->ram[command - CMD_READ_RAM]);
		else if (command >= CMD_WRITE_RAM && command < CMD_WRITE_RAM + 32)
			kbc->command = command;
		else if (command >= CMD_PULSE && !(command & OUTPUT_RESET))
			kbc->reset(kbc->opaque);
	}
}

static void run_parameter(struct i8042 *kbc, uint8_t value)
{
	uint8_t command = kbc->command;

	kbc->command = 0;
	kbc->status &= ~STATUS_COMMAND;
	if (command == CMD_WRITE_OUTPUT) {
		set_output(kbc, value);
	} else if (command == CMD_WRITE_BACK) {
		answer(kbc, value);
		update_irq(kbc, true);
	} else if (command) {
		kbc->ram[command - CMD_WRITE_RAM] = value;
	} else {
		/* For the keyboard, which is not there. */
		kbc->ram[0] &= ~CONFIG_DISABLED;
		kbc->status |= STATUS_TIMEOUT;
		answer(kbc, NO_ANSWER);
		update_irq(kbc, true);
	}
}

static uint64_t read_status(void *dev, uint64_t offset, unsigned int size)
{
	struct i8042 *kbc = dev;
	uint8_t value;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	value = kbc->status;
	pthread_mutex_unlock(&kbc->lock);
	return value;
}

static void write_command(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct i8042 *kbc = dev;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	run_command(kbc, value);
	pthread_mutex_unlock(&kbc->lock);
}

static uint64_t read_data(void *dev, uint64_t offset, unsigned int size)
{
	struct i8042 *kbc = dev;
	uint8_t value;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	value = kbc->data;
	kbc->status &= ~(STATUS_FULL | STATUS_TIMEOUT);
	update_irq(kbc, false);
	pthread_mutex_unlock(&kbc->lock);
	return value;
}

static void write_data(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct i8042 *kbc = dev;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&kbc->lock);
	run_parameter(kbc, value);
	pthread_mutex_unlock(&kbc->lock);
}

const struct io_ops i8042_data_ops = {
	.read = read_data,
	.write = write_data,
	.max_size = 1,
};

const struct io_ops i8042_command_ops = {
	.read = read_status,
	.write = write_command,
	.max_size = 1,
};

struct i8042 *i8042_create(const struct irq_line *irq, void (*reset)(void *opaque), void *opaque)
{
	struct i8042 *kbc;

	kbc = calloc(1, sizeof(*kbc));
	if (!kbc)
		return NULL;
	pthread_mutex_init(&kbc->lock, NULL);
	kbc->irq = *irq;
	kbc->reset = reset;
	kbc->opaque = opaque;
	kbc->status = STATUS_SYSTEM | STATUS_UNLOCKED;
	kbc->output = OUTPUT_RESET | OUTPUT_A20;
	kbc->ram[0] = CONFIG_SYSTEM | CONFIG_DISABLED | CONFIG_AUX_OFF | CONFIG_TRANSLATE;
	return kbc;
}

void i8042_destroy(struct i8042 *kbc)
{
	if (!kbc)
		return;
	pthread_mutex_destroy(&kbc->lock);
	free(kbc);
}
