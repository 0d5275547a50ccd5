// SPDX-License-Identifier: GPL-2.0-only
/*
 * Output is collected for a moment, so that a line costs the guest's vCPU one
 * system call and not eighty. Nothing is lost: when the terminal is slower than
 * the guest, the vCPUs wait in console_wait(), and what is there at the end is
 * written by console_stop().
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "console.h"
#include "terminal.h"
#include "util/error.h"

#define BATCH_NS	2000000
/*
 * From FULL on vCPUs wait, before they run again. The rest takes what they
 * write with the exit they are in, at most a page each.
 */
#define FULL		0x10000
#define OUT_SIZE	0x80000
#define IN_SIZE		0x10000
/* What a descriptor that polls as writable takes without blocking. */
#define CHUNK		256

#define ESCAPE		0x01	/* Ctrl-A */

struct console {
	struct console_config config;
	struct loop *loop;
	struct serial *serial;
	int out_fd;

	pthread_mutex_t lock;	/* of the output */
	struct timer flush;
	uint8_t out[OUT_SIZE];
	unsigned int out_head, out_used;
	bool full;
	bool broken;
	struct loop_fd out_watch;

	/* The rest is the loop's own. */
	struct loop_fd in_watch;
	struct loop_fd room;	/* an eventfd: the serial port takes more */
	uint8_t in[IN_SIZE];
	unsigned int in_head, in_used;
	bool in_open, in_watched, in_always_ready;
	bool escaped;
};

/* Writes a chunk; false if the descriptor takes nothing now. Called with the lock. */
static bool write_chunk(struct console *c)
{
	struct pollfd poll_fd = { .fd = c->out_fd, .events = POLLOUT };
	unsigned int size = c->out_used;
	ssize_t n;

	if (poll(&poll_fd, 1, 0) <= 0)
		return false;
	if (size > OUT_SIZE - c->out_head)
		size = OUT_SIZE - c->out_head;
	if (size > CHUNK)
		size = CHUNK;
	n = write(c->out_fd, &c->out[c->out_head], size);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n < 0) {
		c->broken = true;
		c->out_used = 0;
		c->config.failed(c->config.opaque, strerror(errno));
		return true;
	}
	c->out_head = (c->out_head + n) % OUT_SIZE;
	c->out_used -= n;
	return true;
}

/* Writes what the descriptor takes. Called with the lock. */
static void write_out(struct console *c)
{
	bool blocked = false;

	while (c->out_used && !blocked)
		blocked = !write_chunk(c);
	if (c->out_used < FULL)
		__atomic_store_n(&c->full, false, __ATOMIC_RELAXED);
	if (blocked)
		loop_watch(c->loop, &c->out_watch, EPOLLOUT);
}

static void flush(void *arg)
{
	struct console *c = arg;

	pthread_mutex_lock(&c->lock);
	write_out(c);
	pthread_mutex_unlock(&c->lock);
}

static void out_ready(void *arg, uint32_t events)
{
	struct console *c = arg;

	(void)events;
	loop_unwatch(c->loop, &c->out_watch);
	flush(c);
}

static void transmit(void *opaque, uint8_t byte)
{
	struct console *c = opaque;

	if (c->out_fd < 0)
		return;
	pthread_mutex_lock(&c->lock);
	if (!c->broken && c->out_used < OUT_SIZE) {
		c->out[(c->out_head + c->out_used++) % OUT_SIZE] = byte;
		if (c->out_used == 1)
			timer_arm(&c->flush, timer_now(c->flush.host) + BATCH_NS);
		else if (c->out_used == FULL)
			__atomic_store_n(&c->full, true, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&c->lock);
}

const bool *console_full(const struct console *c)
{
	return &c->full;
}

void console_wait(struct console *c)
{
	struct pollfd poll_fd = { .fd = c->out_fd, .events = POLLOUT };

	/* The thread's turn to write; a signal ends the wait, to be looked at by the caller. */
	poll(&poll_fd, 1, 100);
	flush(c);
}

static void room(void *opaque)
{
	struct console *c = opaque;
	uint64_t one = 1;

	if (write(c->room.fd, &one, sizeof(one)) < 0)
		return;
}

struct serial_line console_line(struct console *c)
{
	return (struct serial_line){ .transmit = transmit, .room = room, .opaque = c };
}

static void keep(struct console *c, uint8_t byte)
{
	if (c->in_used < IN_SIZE)
		c->in[(c->in_head + c->in_used++) % IN_SIZE] = byte;
}

/* Ctrl-A introduces a command to us: X ends, another Ctrl-A goes to the guest. */
static void take(struct console *c, uint8_t byte)
{
	if (!c->escaped) {
		if (byte == ESCAPE)
			c->escaped = true;
		else
			keep(c, byte);
		return;
	}
	c->escaped = false;
	if (byte == 'x' || byte == 'X')
		c->config.quit(c->config.opaque);
	else if (byte == ESCAPE)
		keep(c, byte);
}

static void feed_serial(struct console *c)
{
	unsigned int size;
	size_t taken;

	while (c->in_used) {
		size = c->in_used;
		if (size > IN_SIZE - c->in_head)
			size = IN_SIZE - c->in_head;
		taken = serial_receive(c->serial, &c->in[c->in_head], size);
		c->in_head = (c->in_head + taken) % IN_SIZE;
		c->in_used -= taken;
		/* It calls room() when it wants more. */
		if (taken < size)
			break;
	}
}

static void close_input(struct console *c)
{
	if (c->in_watched)
		loop_unwatch(c->loop, &c->in_watch);
	c->in_watched = false;
	c->in_open = false;
}

/* Reads once; false if there is nothing more for now. */
static bool read_input(struct console *c)
{
	uint8_t data[1024];
	size_t room_left = IN_SIZE - c->in_used;
	ssize_t n, i;

	if (room_left < sizeof(data))
		return false;
	n = read(c->in_watch.fd, data, sizeof(data));
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n <= 0) {
		close_input(c);
		return false;
	}
	for (i = 0; i < n; i++)
		take(c, data[i]);
	feed_serial(c);
	return true;
}

/* Watches the input as long as there is room for what comes from it. */
static void watch_input(struct console *c)
{
	bool wanted = c->in_open && IN_SIZE - c->in_used >= 1024;

	if (c->in_always_ready) {
		while (c->in_open && read_input(c))
			;
		return;
	}
	if (wanted == c->in_watched)
		return;
	c->in_watched = wanted;
	if (wanted)
		loop_watch(c->loop, &c->in_watch, EPOLLIN);
	else
		loop_unwatch(c->loop, &c->in_watch);
}

static void in_ready(void *arg, uint32_t events)
{
	struct console *c = arg;

	(void)events;
	read_input(c);
	watch_input(c);
}

static void room_ready(void *arg, uint32_t events)
{
	struct console *c = arg;
	uint64_t count;

	(void)events;
	if (read(c->room.fd, &count, sizeof(count)) < 0)
		return;
	feed_serial(c);
	watch_input(c);
}

int console_create(const struct console_config *config, struct loop *loop, struct console **out)
{
	struct console *c;
	int err;

	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(ENOMEM, "out of memory");
	c->config = *config;
	c->loop = loop;
	pthread_mutex_init(&c->lock, NULL);
	timer_init(&c->flush, loop_timers(loop), flush, c);
	c->out_fd = -1;
	c->room.fd = -1;
	if (config->kind == CONSOLE_STDIO) {
		c->out_fd = STDOUT_FILENO;
	} else if (config->kind == CONSOLE_FILE) {
		c->out_fd = open(config->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (c->out_fd < 0) {
			err = errno;
			console_destroy(c);
			return error_set(err, "cannot write the console to '%s': %s",
					 config->path, strerror(err));
		}
	}
	c->out_watch = (struct loop_fd){ .fd = c->out_fd, .ready = out_ready, .arg = c };
	c->in_watch = (struct loop_fd){ .fd = STDIN_FILENO, .ready = in_ready, .arg = c };
	c->room = (struct loop_fd){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .ready = room_ready, .arg = c,
	};
	if (c->room.fd < 0) {
		err = errno;
		console_destroy(c);
		return error_set(err, "cannot make an event descriptor: %s", strerror(err));
	}
	*out = c;
	return 0;
}

int console_start(struct console *c, struct serial *serial)
{
	int ret;

	c->serial = serial;
	if (c->config.kind != CONSOLE_STDIO)
		return 0;
	ret = loop_watch(c->loop, &c->room, EPOLLIN);
	if (ret)
		return ret;
	terminal_raw();
	c->in_open = true;
	ret = loop_watch(c->loop, &c->in_watch, EPOLLIN);
	if (ret == -EPERM) {
		/* A regular file, or /dev/null. */
		c->in_always_ready = true;
		watch_input(c);
		return 0;
	}
	if (ret == -EBADF) {
		/* Standard input is closed: nobody types. */
		c->in_open = false;
		return 0;
	}
	c->in_watched = !ret;
	return ret;
}

void console_resume(struct console *c)
{
	if (c->config.kind == CONSOLE_STDIO)
		terminal_raw();
}

void console_stop(struct console *c)
{
	struct pollfd poll_fd = { .fd = c->out_fd, .events = POLLOUT };

	timer_cancel(&c->flush);
	pthread_mutex_lock(&c->lock);
	while (c->out_used && poll(&poll_fd, 1, 1000) > 0)
		write_chunk(c);
	pthread_mutex_unlock(&c->lock);
	terminal_restore();
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	if (c->config.kind == CONSOLE_FILE && c->out_fd >= 0)
		close(c->out_fd);
	if (c->room.fd >= 0)
		close(c->room.fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
