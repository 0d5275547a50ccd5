// SPDX-License-Identifier: GPL-2.0-only
/*
 * An Intel 8254 (datasheet 231164). Channel 0 interrupts, channel 1 does
 * nothing, channel 2 is gated by and visible at port 0x61. A counter is not
 * counted down: its value is worked out from the clock when somebody looks.
 */
#include <pthread.h>
#include <stdlib.h>

#include "pit.h"

#define CHANNELS	3

/* The control word. */
#define CONTROL_PORT	3
#define CONTROL_BCD	0x01
#define READ_BACK	3	/* as channel number */
#define READ_BACK_NO_STATUS 0x10
#define READ_BACK_NO_COUNT  0x20
#define STATUS_OUT	0x80
#define STATUS_NULL	0x40

/* How a 16-bit count goes through an 8-bit port. */
#define RW_LATCH	0
#define RW_LOW		1
#define RW_HIGH		2
#define RW_BOTH		3

/* Port 0x61. */
#define SPEAKER_GATE	0x01
#define SPEAKER_DATA	0x02
#define SPEAKER_WRITABLE 0x0f
#define SPEAKER_REFRESH	0x10
#define SPEAKER_OUT	0x20
#define REFRESH_NS	15085

/*
 * The host may be late. Interrupts that were missed are made up for at no more
 * than twice their rate, and forgotten when they are too many. A guest that
 * asks for more interrupts than any PC could take gets fewer.
 */
#define MAX_BACKLOG	64
#define MIN_GAP_NS	50000

struct channel {
	uint8_t mode, rw;
	bool bcd;
	bool gate;

	uint32_t count;		/* at work, 1 to 65536 */
	uint32_t next_count;	/* written, at work from the next period or trigger on; or 0 */
	bool loaded;		/* a count was written since the control word */
	bool counting;
	uint64_t start;		/* tick at which the count was at its full value */
	uint64_t held;		/* ticks that had passed when the gate closed */

	uint8_t low;		/* first half of a count being written */
	bool write_high, read_high;

	uint16_t latch;
	uint8_t latched;	/* bytes of it that are still to be read */
	uint8_t status;
	bool status_latched;
};

struct pit {
	pthread_mutex_t lock;
	struct timer_host *host;
	struct timer timer;
	struct irq_line irq;
	uint64_t base;		/* nanoseconds at tick 0 */
	uint64_t edge;		/* tick of the interrupt that @timer is armed for */
	struct channel channel[CHANNELS];
	uint8_t speaker;
};

static uint64_t now_ticks(struct pit *pit)
{
	return ns_to_ticks(timer_now(pit->host) - pit->base, PIT_HZ);
}

static uint32_t modulus(const struct channel *ch)
{
	return ch->bcd ? 10000 : 0x10000;
}

static bool is_periodic(const struct channel *ch)
{
	return ch->mode == 2 || ch->mode == 3;
}

static bool waits_for_trigger(const struct channel *ch)
{
	return ch->mode == 1 || ch->mode == 5;
}

static uint64_t elapsed(const struct channel *ch, uint64_t now)
{
	return ch->counting ? now - ch->start : ch->held;
}

/* Lets a new count of a periodic channel take over at the end of a period. */
static void catch_up(struct channel *ch, uint64_t now)
{
	uint64_t end;

	if (!is_periodic(ch) || !ch->next_count || !ch->counting || now - ch->start < ch->count)
		return;
	/* It was written in the last period that was looked at, so the first end is the one. */
	end = ch->start + ch->count;
	ch->start = end;
	ch->count = ch->next_count;
	ch->next_count = 0;
}

static bool output(struct channel *ch, uint64_t now)
{
	uint64_t d;

	catch_up(ch, now);
	d = elapsed(ch, now);
	switch (ch->mode) {
	case 0:
		return ch->loaded && d >= ch->count;
	case 1:
		return !ch->counting || d >= ch->count;
	case 2:
		return !ch->counting || d % ch->count != ch->count - 1;
	case 3:
		return !ch->counting || d % ch->count < (ch->count + 1) / 2;
	default:
		return !ch->counting || d != ch->count;
	}
}

static uint16_t to_bcd(uint32_t v)
{
	return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint16_t v)
{
	return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12) * 1000;
}

static uint16_t counter(struct channel *ch, uint64_t now)
{
	uint32_t v;
	uint64_t d;

	catch_up(ch, now);
	d = elapsed(ch, now);
	if (ch->mode == 2)
		v = ch->count - d % ch->count;
	else if (ch->mode == 3)
		/* It counts by two, twice in each period. */
		v = ch->count - (2 * (d % ch->count)) % ch->count;
	else
		v = ch->count + modulus(ch) - d % modulus(ch);
	v %= modulus(ch);
	return ch->bcd ? to_bcd(v) : v;
}

/* Arms the timer for the next interrupt of channel 0, which is not before @from. */
static void schedule(struct pit *pit, uint64_t from)
{
	struct channel *ch = &pit->channel[0];
	uint64_t end;

	if (!ch->counting || waits_for_trigger(ch)) {
		timer_cancel(&pit->timer);
		return;
	}
	end = ch->start + ch->count;
	if (is_periodic(ch)) {
		if (end < from)
			end += (from - end + ch->count - 1) / ch->count * ch->count;
	} else if (end < from) {
		timer_cancel(&pit->timer);
		return;
	}
	pit->edge = end;
	timer_arm(&pit->timer, pit->base + ticks_to_ns(end, PIT_HZ));
}

static void pit_fire(void *arg)
{
	struct pit *pit = arg;
	struct channel *ch = &pit->channel[0];
	uint64_t now_ns, now, deadline, gap;

	pthread_mutex_lock(&pit->lock);
	now_ns = timer_now(pit->host);
	now = now_ticks(pit);
	/* The guest may have programmed something else while the timer was firing. */
	if (!ch->counting || waits_for_trigger(ch) || now < pit->edge)
		goto out;

	irq_line_set(&pit->irq, false);
	irq_line_set(&pit->irq, true);
	if (!is_periodic(ch))
		goto out;

	catch_up(ch, pit->edge);
	pit->edge += ch->count;
	if (now > pit->edge && (now - pit->edge) / ch->count > MAX_BACKLOG)
		pit->edge += (now - pit->edge) / ch->count * ch->count;
	gap = ticks_to_ns(ch->count, PIT_HZ) / 2;
	if (gap < MIN_GAP_NS)
		gap = MIN_GAP_NS;
	deadline = pit->base + ticks_to_ns(pit->edge, PIT_HZ);
	if (deadline < now_ns + gap && pit->edge <= now)
		deadline = now_ns + gap;
	else if (deadline < now_ns + MIN_GAP_NS)
		deadline = now_ns + MIN_GAP_NS;
	timer_arm(&pit->timer, deadline);
out:
	pthread_mutex_unlock(&pit->lock);
}

static void start_count(struct pit *pit, struct channel *ch, uint32_t count, uint64_t now)
{
	bool first = ch == &pit->channel[0];

	ch->loaded = true;
	if (waits_for_trigger(ch)) {
		ch->next_count = count;
		return;
	}
	if (is_periodic(ch) && ch->counting) {
		catch_up(ch, now);
		/* Where the present period began. */
		ch->start += (now - ch->start) / ch->count * ch->count;
		ch->next_count = count;
		return;
	}
	ch->count = count;
	ch->next_count = 0;
	ch->start = now;
	ch->held = 0;
	ch->counting = ch->gate;
	if (first) {
		irq_line_set(&pit->irq, ch->mode != 0);
		schedule(pit, now + 1);
	}
}

static void write_count(struct pit *pit, struct channel *ch, uint8_t value, uint64_t now)
{
	uint16_t raw;
	uint32_t count;

	switch (ch->rw) {
	case RW_LOW:
		raw = value;
		break;
	case RW_HIGH:
		raw = value << 8;
		break;
	default:
		if (!ch->write_high) {
			ch->low = value;
			ch->write_high = true;
			/* Half a count stops mode 0. */
			if (ch->mode == 0) {
				ch->held = 0;
				ch->counting = false;
				if (ch == &pit->channel[0])
					irq_line_set(&pit->irq, false);
			}
			return;
		}
		ch->write_high = false;
		raw = value << 8 | ch->low;
	}
	count = ch->bcd ? from_bcd(raw) : raw;
	start_count(pit, ch, count ? count : modulus(ch), now);
}

static void latch_count(struct channel *ch, uint64_t now)
{
	/* A second latch before the first was read is ignored. */
	if (ch->latched)
		return;
	ch->latch = counter(ch, now);
	ch->latched = ch->rw == RW_BOTH ? 2 : 1;
}

static void latch_status(struct channel *ch, uint64_t now)
{
	if (ch->status_latched)
		return;
	ch->status = (output(ch, now) ? STATUS_OUT : 0) |
		     (!ch->loaded || ch->next_count ? STATUS_NULL : 0) |
		     ch->rw << 4 | ch->mode << 1 | ch->bcd;
	ch->status_latched = true;
}

static void write_control(struct pit *pit, uint8_t value, uint64_t now)
{
	unsigned int number = value >> 6, i;
	struct channel *ch;

	if (number == READ_BACK) {
		for (i = 0; i < CHANNELS; i++) {
			if (!(value & 2U << i))
				continue;
			if (!(value & READ_BACK_NO_COUNT))
				latch_count(&pit->channel[i], now);
			if (!(value & READ_BACK_NO_STATUS))
				latch_status(&pit->channel[i], now);
		}
		return;
	}

	ch = &pit->channel[number];
	if ((value >> 4 & 3) == RW_LATCH) {
		latch_count(ch, now);
		return;
	}
	ch->rw = value >> 4 & 3;
	ch->mode = value >> 1 & 7;
	/* Modes 6 and 7 are 2 and 3. */
	if (ch->mode > 5)
		ch->mode -= 4;
	ch->bcd = value & CONTROL_BCD;
	ch->count = modulus(ch);
	ch->next_count = 0;
	ch->loaded = false;
	ch->counting = false;
	ch->held = 0;
	ch->write_high = false;
	ch->read_high = false;
	ch->latched = 0;
	ch->status_latched = false;
	if (number == 0) {
		timer_cancel(&pit->timer);
		irq_line_set(&pit->irq, ch->mode != 0);
	}
}

static uint8_t read_count(struct channel *ch, uint64_t now)
{
	uint16_t value;
	bool high;

	if (ch->status_latched) {
		ch->status_latched = false;
		return ch->status;
	}
	value = ch->latched ? ch->latch : counter(ch, now);
	if (ch->latched)
		ch->latched--;
	if (ch->rw == RW_BOTH) {
		high = ch->read_high;
		ch->read_high = !ch->read_high;
	} else {
		high = ch->rw == RW_HIGH;
	}
	return high ? value >> 8 : value;
}

static void pit_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pit *pit = dev;

	(void)size;
	pthread_mutex_lock(&pit->lock);
	if (offset == CONTROL_PORT)
		write_control(pit, value, now_ticks(pit));
	else
		write_count(pit, &pit->channel[offset], value, now_ticks(pit));
	pthread_mutex_unlock(&pit->lock);
}

static uint64_t pit_read(void *dev, uint64_t offset, unsigned int size)
{
	struct pit *pit = dev;
	uint8_t value;

	(void)size;
	/* The control word cannot be read. */
	if (offset == CONTROL_PORT)
		return 0xff;
	pthread_mutex_lock(&pit->lock);
	value = read_count(&pit->channel[offset], now_ticks(pit));
	pthread_mutex_unlock(&pit->lock);
	return value;
}

const struct io_ops pit_ops = {
	.read = pit_read,
	.write = pit_write,
	.max_size = 1,
};

/* Only channel 2 has a gate that moves. */
static void set_gate(struct channel *ch, bool gate, uint64_t now)
{
	bool rises = gate && !ch->gate;
	bool falls = !gate && ch->gate;

	if (!rises && !falls)
		return;
	catch_up(ch, now);
	ch->gate = gate;
	if (!ch->loaded)
		return;
	switch (ch->mode) {
	case 1:
	case 5:
		if (rises) {
			if (ch->next_count)
				ch->count = ch->next_count;
			ch->next_count = 0;
			ch->start = now;
			ch->counting = true;
		}
		break;
	case 2:
	case 3:
		if (rises) {
			if (ch->next_count)
				ch->count = ch->next_count;
			ch->next_count = 0;
			ch->start = now;
		} else {
			ch->held = elapsed(ch, now);
		}
		ch->counting = gate;
		break;
	default:
		if (falls)
			ch->held = elapsed(ch, now);
		else
			ch->start = now - ch->held;
		ch->counting = gate;
	}
}

static void speaker_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct pit *pit = dev;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&pit->lock);
	pit->speaker = value & SPEAKER_WRITABLE;
	set_gate(&pit->channel[2], value & SPEAKER_GATE, now_ticks(pit));
	pthread_mutex_unlock(&pit->lock);
}

static uint64_t speaker_read(void *dev, uint64_t offset, unsigned int size)
{
	struct pit *pit = dev;
	uint8_t value;

	(void)offset;
	(void)size;
	pthread_mutex_lock(&pit->lock);
	value = pit->speaker;
	/* DRAM refresh toggles a bit that old software waits with. */
	if ((timer_now(pit->host) - pit->base) / REFRESH_NS & 1)
		value |= SPEAKER_REFRESH;
	if (output(&pit->channel[2], now_ticks(pit)))
		value |= SPEAKER_OUT;
	pthread_mutex_unlock(&pit->lock);
	return value;
}

const struct io_ops pit_speaker_ops = {
	.read = speaker_read,
	.write = speaker_write,
	.max_size = 1,
};

struct pit *pit_create(struct timer_host *host, const struct irq_line *irq)
{
	struct pit *pit;
	unsigned int i;

	pit = calloc(1, sizeof(*pit));
	if (!pit)
		return NULL;
	pthread_mutex_init(&pit->lock, NULL);
	pit->host = host;
	pit->irq = *irq;
	pit->base = timer_now(host);
	timer_init(&pit->timer, host, pit_fire, pit);
	for (i = 0; i < CHANNELS; i++)
		pit->channel[i] = (struct channel){
			.mode = 3, .rw = RW_BOTH, .count = 0x10000, .gate = i != 2,
		};
	return pit;
}

void pit_destroy(struct pit *pit)
{
	if (!pit)
		return;
	timer_cancel(&pit->timer);
	pthread_mutex_destroy(&pit->lock);
	free(pit);
}
