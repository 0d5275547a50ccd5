// SPDX-License-Identifier: GPL-2.0-only
/* The event loop with real time, and the console with pipes for a terminal. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor/console.h"
#include "monitor/loop.h"
#include "test.h"

static struct loop *loop;
static char order[16];

static void note(void *arg)
{
	strcat(order, arg);
	if (*(char *)arg == 'e')
		loop_stop(loop);
}

static void timers_fire_in_order(void **state)
{
	struct timer a, b, c, d, e;
	struct timer_host *host;
	uint64_t now;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	host = loop_timers(loop);
	order[0] = '\0';
	timer_init(&a, host, note, "a");
	timer_init(&b, host, note, "b");
	timer_init(&c, host, note, "c");
	timer_init(&d, host, note, "d");
	timer_init(&e, host, note, "e");
	now = timer_now(host);
	timer_arm(&e, now + 40 * MS);
	timer_arm(&c, now + 20 * MS);
	timer_arm(&a, now + 30 * MS);
	timer_arm(&b, now + 10 * MS);
	timer_arm(&d, now + 15 * MS);
	/* Earlier after all, and not at all. */
	timer_arm(&a, now + 5 * MS);
	timer_cancel(&d);
	timer_cancel(&d);
	loop_run(loop);
	assert_string_equal(order, "abce");
	assert_true(timer_now(host) >= now + 40 * MS);
	loop_destroy(loop);
}

static void *stop_soon(void *arg)
{
	usleep(20000);
	loop_stop(arg);
	return NULL;
}

static void stops_from_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(loop_create(&loop), 0);
	pthread_create(&thread, NULL, stop_soon, loop);
	loop_run(loop);
	pthread_join(thread, NULL);
	loop_destroy(loop);
}

/* A console whose standard input and output are pipes. */
struct fixture {
	struct console *console;
	struct serial *serial;
	int saved_in, saved_out, type, read;
	unsigned int quits, failures;
};

static void quit(void *opaque)
{
	((struct fixture *)opaque)->quits++;
	loop_stop(loop);
}

static void failed(void *opaque, const char *reason)
{
	((struct fixture *)opaque)->failures++;
	assert_non_null(reason);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct console_config config = {
		.kind = CONSOLE_STDIO, .quit = quit, .failed = failed, .opaque = f,
	};
	struct irq_line irq = { 0 };
	struct serial_line line;
	int in[2], out[2];

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	fflush(stdout);
	f->saved_in = dup(0);
	f->saved_out = dup(1);
	dup2(in[0], 0);
	dup2(out[1], 1);
	close(in[0]);
	close(out[1]);
	f->type = in[1];
	f->read = out[0];
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(console_create(&config, loop, &f->console), 0);
	line = console_line(f->console);
	f->serial = serial_create(&line, &irq);
	/* With FIFOs. */
	wr(&serial_ops, f->serial, 2, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	console_destroy(f->console);
	serial_destroy(f->serial);
	loop_destroy(loop);
	dup2(f->saved_in, 0);
	dup2(f->saved_out, 1);
	close(f->saved_in);
	close(f->saved_out);
	close(f->type);
	close(f->read);
	free(f);
	return 0;
}

static void type(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->type, text, strlen(text)), strlen(text));
}

static void run_briefly(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, stop_soon, loop);
	loop_run(loop);
	pthread_join(thread, NULL);
}

static void output_is_collected_and_written(void **state)
{
	struct fixture *f = *state;
	char text[64] = "";

	assert_int_equal(console_start(f->console, f->serial), 0);
	wr(&serial_ops, f->serial, 0, 'h');
	wr(&serial_ops, f->serial, 0, 'i');
	run_briefly();
	assert_int_equal(read(f->read, text, sizeof(text)), 2);
	assert_string_equal(text, "hi");
	/* What is left at the end is not lost. */
	wr(&serial_ops, f->serial, 0, '!');
	console_stop(f->console);
	assert_int_equal(read(f->read, text, sizeof(text)), 1);
	assert_int_equal(text[0], '!');
}

static void *drain(void *arg)
{
	struct fixture *f = arg;
	static char data[200000];
	size_t total = 0;
	ssize_t n;

	/* A slow reader. */
	usleep(50000);
	while (total < 150000) {
		n = read(f->read, data + total, 5000);
		if (n <= 0)
			break;
		total += n;
	}
	for (n = 0; n < (ssize_t)total; n++)
		if (data[n] != 'a' + n % 26)
			return NULL;
	return (void *)total;
}

static void *serve(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void a_slow_reader_loses_nothing(void **state)
{
	struct fixture *f = *state;
	const bool *full = console_full(f->console);
	pthread_t reader, server;
	void *total;
	unsigned int i;

	assert_int_equal(console_start(f->console, f->serial), 0);
	pthread_create(&server, NULL, serve, loop);
	pthread_create(&reader, NULL, drain, f);
	for (i = 0; i < 150000; i++) {
		wr(&serial_ops, f->serial, 0, 'a' + i % 26);
		while (__atomic_load_n(full, __ATOMIC_RELAXED))
			console_wait(f->console);
	}
	loop_stop(loop);
	pthread_join(server, NULL);
	console_stop(f->console);
	pthread_join(reader, &total);
	assert_int_equal((size_t)total, 150000);
}

static void input_waits_for_the_guest(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	assert_int_equal(console_start(f->console, f->serial), 0);
	type(f, "abcdefghijklmnopqrstuvwxyz");
	run_briefly();
	for (i = 0; i < 16; i++)
		assert_int_equal(rd(&serial_ops, f->serial, 0), 'a' + i);
	assert_int_equal(rd(&serial_ops, f->serial, 5) & 1, 0);
	console_stop(f->console);
}

static void the_rest_follows(void **state)
{
	struct fixture *f = *state;
	pthread_t server;
	unsigned int i, tries;

	assert_int_equal(console_start(f->console, f->serial), 0);
	pthread_create(&server, NULL, serve, loop);
	type(f, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
	for (i = 0; i < 52; i++) {
		for (tries = 0; tries < 1000 && !(rd(&serial_ops, f->serial, 5) & 1); tries++)
			usleep(1000);
		assert_int_equal(rd(&serial_ops, f->serial, 0), 'a' + i % 26);
	}
	loop_stop(loop);
	pthread_join(server, NULL);
	console_stop(f->console);
}

static void control_a(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(console_start(f->console, f->serial), 0);
	type(f, "1\001\0012\001z3\001x4");
	loop_run(loop);
	assert_int_equal(f->quits, 1);
	assert_int_equal(rd(&serial_ops, f->serial, 0), '1');
	assert_int_equal(rd(&serial_ops, f->serial, 0), 1);
	assert_int_equal(rd(&serial_ops, f->serial, 0), '2');
	assert_int_equal(rd(&serial_ops, f->serial, 0), '3');
	console_stop(f->console);
}

static void control_a_x_works_when_the_guest_does_not_read(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	assert_int_equal(console_start(f->console, f->serial), 0);
	for (i = 0; i < 100; i++)
		type(f, "nobody reads this");
	type(f, "\001x");
	loop_run(loop);
	assert_int_equal(f->quits, 1);
	console_stop(f->console);
}

static void a_reader_that_left(void **state)
{
	struct fixture *f = *state;
	int null;

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(console_start(f->console, f->serial), 0);
	null = open("/dev/null", O_RDWR);
	dup2(null, f->read);
	close(null);
	wr(&serial_ops, f->serial, 0, 'x');
	run_briefly();
	assert_int_equal(f->failures, 1);
	wr(&serial_ops, f->serial, 0, 'y');
	console_stop(f->console);
	assert_int_equal(f->failures, 1);
}

static void end_of_input(void **state)
{
	struct fixture *f = *state;
	int null = open("/dev/null", O_RDWR);

	assert_int_equal(console_start(f->console, f->serial), 0);
	dup2(null, f->type);
	close(null);
	run_briefly();
	console_stop(f->console);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(stops_from_another_thread),
		T(output_is_collected_and_written),
		T(a_slow_reader_loses_nothing),
		T(input_waits_for_the_guest),
		T(the_rest_follows),
		T(control_a),
		T(control_a_x_works_when_the_guest_does_not_read),
		T(a_reader_that_left),
		T(end_of_input),
	};

	return RUN(tests);
}
