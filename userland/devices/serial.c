// SPDX-License-Identifier: GPL-2.0-only
/*
 * A National PC16550D. Bytes travel in no time: the transmitter is always
 * empty, and the receive FIFO's time-out has passed as soon as there is a byte
 * below the trigger level.
 */
#include <pthread.h>
#include <stdlib.h>

#include "serial.h"

#define FIFO_SIZE	16

/* Registers; DLAB in LCR puts the divisor over the first two. */
#define REG_DATA	0
#define REG_IER		1
#define REG_IIR_FCR	2
#define REG_LCR		3
#define REG_MCR		4
#define REG_LSR		5
#define REG_MSR		6
#define REG_SCR		7

#define IER_RECEIVED	0x01
#define IER_EMPTY	0x02
#define IER_LINE	0x04
#define IER_MODEM	0x08

#define IIR_NONE	0x01
#define IIR_MODEM	0x00
#define IIR_EMPTY	0x02
#define IIR_RECEIVED	0x04
#define IIR_LINE	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFOS	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_TRIGGER	0xc0

#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define MCR_WRITABLE	0x1f

#define LSR_READY	0x01
#define LSR_OVERRUN	0x02
#define LSR_ERRORS	0x1e
#define LSR_EMPTY	0x60	/* holding register and transmitter */

#define MSR_DELTA_CTS	0x01
#define MSR_DELTA_DSR	0x02
#define MSR_TRAILING_RI	0x04
#define MSR_DELTA_DCD	0x08
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80
#define MSR_DELTAS	0x0f

struct serial {
	pthread_mutex_t lock;
	struct serial_line line;
	struct irq_line irq;
	bool irq_level;

	uint8_t ier, fcr, lcr, mcr, scr;
	uint8_t lsr_errors;
	uint8_t msr;
	uint16_t divisor;
	bool empty_pending;	/* the interrupt of the empty holding register */

	uint8_t fifo[FIFO_SIZE];
	unsigned int head, used;
	bool starved;		/* the sender holds more than we could take */
};

static unsigned int capacity(const struct serial *serial)
{
	return serial->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned int trigger(const struct serial *serial)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return serial->fcr & FCR_ENABLE ? levels[(serial->fcr & FCR_TRIGGER) >> 6] : 1;
}

/* The interrupt of the highest priority. */
static uint8_t identify(const struct serial *serial)
{
	if ((serial->ier & IER_LINE) && serial->lsr_errors)
		return IIR_LINE;
	if ((serial->ier & IER_RECEIVED) && serial->used)
		return serial->used >= trigger(serial) ? IIR_RECEIVED : IIR_TIMEOUT;
	if ((serial->ier & IER_EMPTY) && serial->empty_pending)
		return IIR_EMPTY;
	if ((serial->ier & IER_MODEM) && (serial->msr & MSR_DELTAS))
		return IIR_MODEM;
	return IIR_NONE;
}

/* On a PC, OUT2 connects the interrupt to the bus; the loop-back mode drops OUT2. */
static void update_irq(struct serial *serial)
{
	bool level = identify(serial) != IIR_NONE &&
		     (serial->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;

	if (level != serial->irq_level) {
		serial->irq_level = level;
		irq_line_set(&serial->irq, level);
	}
}

static void push(struct serial *serial, uint8_t byte)
{
	if (serial->used == capacity(serial)) {
		serial->lsr_errors |= LSR_OVERRUN;
		/* Without FIFOs the new byte overwrites the old one. */
		if (capacity(serial) > 1)
			return;
		serial->used = 0;
	}
	serial->fifo[(serial->head + serial->used++) % FIFO_SIZE] = byte;
}

static void ask_for_more(struct serial *serial)
{
	if (serial->used || !serial->starved || (serial->mcr & MCR_LOOP))
		return;
	serial->starved = false;
	if (serial->line.room)
		serial->line.room(serial->line.opaque);
}

static uint8_t pop(struct serial *serial)
{
	uint8_t byte;

	if (!serial->used)
		return 0;
	byte = serial->fifo[serial->head];
	serial->head = (serial->head + 1) % FIFO_SIZE;
	serial->used--;
	ask_for_more(serial);
	return byte;
}

static void update_modem(struct serial *serial)
{
	uint8_t level, changed;

	if (serial->mcr & MCR_LOOP)
		level = (serial->mcr & MCR_RTS ? MSR_CTS : 0) |
			(serial->mcr & MCR_DTR ? MSR_DSR : 0) |
			(serial->mcr & MCR_OUT1 ? MSR_RI : 0) |
			(serial->mcr & MCR_OUT2 ? MSR_DCD : 0);
	else
		level = MSR_CTS | MSR_DSR | MSR_DCD;

	changed = level ^ serial->msr;
	serial->msr = level | (serial->msr & MSR_DELTAS);
	if (changed & MSR_CTS)
		serial->msr |= MSR_DELTA_CTS;
	if (changed & MSR_DSR)
		serial->msr |= MSR_DELTA_DSR;
	if (changed & MSR_DCD)
		serial->msr |= MSR_DELTA_DCD;
	if ((changed & MSR_RI) && !(level & MSR_RI))
		serial->msr |= MSR_TRAILING_RI;
}

static void write_data(struct serial *serial, uint8_t byte)
{
	if (serial->mcr & MCR_LOOP)
		push(serial, byte);
	else if (serial->line.transmit)
		serial->line.transmit(serial->line.opaque, byte);
	/* Sent already, so the holding register has become empty again. */
	serial->empty_pending = true;
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	/* To switch the FIFOs on or off empties them; the other bits count only when on. */
	if (((value ^ serial->fcr) & FCR_ENABLE) || (value & FCR_CLEAR_RX))
		serial->used = 0;
	serial->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
	ask_for_more(serial);
}

static void serial_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct serial *serial = dev;
	bool dlab;

	(void)size;
	pthread_mutex_lock(&serial->lock);
	dlab = serial->lcr & LCR_DLAB;
	switch (offset) {
	case REG_DATA:
		if (dlab)
			serial->divisor = (serial->divisor & 0xff00) | value;
		else
			write_data(serial, value);
		break;
	case REG_IER:
		if (dlab) {
			serial->divisor = (serial->divisor & 0xff) | value << 8;
			break;
		}
		/* To enable the interrupt of an empty register raises it. */
		if ((value & IER_EMPTY) && !(serial->ier & IER_EMPTY))
			serial->empty_pending = true;
		serial->ier = value & (IER_RECEIVED | IER_EMPTY | IER_LINE | IER_MODEM);
		break;
	case REG_IIR_FCR:
		write_fcr(serial, value);
		break;
	case REG_LCR:
		serial->lcr = value;
		break;
	case REG_MCR:
		serial->mcr = value & MCR_WRITABLE;
		update_modem(serial);
		ask_for_more(serial);
		break;
	case REG_SCR:
		serial->scr = value;
		break;
	}
	update_irq(serial);
	pthread_mutex_unlock(&serial->lock);
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t iir = identify(serial);

	if (iir == IIR_EMPTY)
		serial->empty_pending = false;
	return iir | (serial->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static uint64_t serial_read(void *dev, uint64_t offset, unsigned int size)
{
	struct serial *serial = dev;
	uint8_t value = 0;
	bool dlab;

	(void)size;
	pthread_mutex_lock(&serial->lock);
	dlab = serial->lcr & LCR_DLAB;
	switch (offset) {
	case REG_DATA:
		value = dlab ? serial->divisor : pop(serial);
		break;
	case REG_IER:
		value = dlab ? serial->divisor >> 8 : serial->ier;
		break;
	case REG_IIR_FCR:
		value = read_iir(serial);
		break;
	case REG_LCR:
		value = serial->lcr;
		break;
	case REG_MCR:
		value = serial->mcr;
		break;
	case REG_LSR:
		value = LSR_EMPTY | serial->lsr_errors | (serial->used ? LSR_READY : 0);
		serial->lsr_errors = 0;
		break;
	case REG_MSR:
		value = serial->msr;
		serial->msr &= ~MSR_DELTAS;
		break;
	case REG_SCR:
		value = serial->scr;
		break;
	}
	update_irq(serial);
	pthread_mutex_unlock(&serial->lock);
	return value;
}

const struct io_ops serial_ops = {
	.read = serial_read,
	.write = serial_write,
	.max_size = 1,
};

size_t serial_receive(struct serial *serial, const uint8_t *data, size_t size)
{
	size_t taken = 0;

	pthread_mutex_lock(&serial->lock);
	/* The loop-back mode disconnects the line; it is probed with for a moment only. */
	if (!(serial->mcr & MCR_LOOP))
		while (taken < size && serial->used < capacity(serial))
			push(serial, data[taken++]);
	serial->starved = taken < size;
	update_irq(serial);
	pthread_mutex_unlock(&serial->lock);
	return taken;
}

struct serial *serial_create(const struct serial_line *line, const struct irq_line *irq)
{
	struct serial *serial;

	serial = calloc(1, sizeof(*serial));
	if (!serial)
		return NULL;
	pthread_mutex_init(&serial->lock, NULL);
	serial->line = *line;
	serial->irq = *irq;
	/* 9600 baud, as a PC's firmware leaves it. */
	serial->divisor = SERIAL_CLOCK_HZ / 16 / 9600;
	serial->lcr = 3;
	serial->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	return serial;
}

void serial_destroy(struct serial *serial)
{
	if (!serial)
		return;
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}
