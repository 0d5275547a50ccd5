// SPDX-License-Identifier: GPL-2.0-only
/*
 * nanobench: which benchmarks to run, how they are timed, and what is said of them.
 *
 * Words of the command line: only=NAME,... runs these; iterations=N does just N
 * operations of each, untimed against a control, for counting exits; list says what
 * there is.
 */
#include "boot.h"
#include "nanobench.h"
#include "string.h"

/*
 * A round is long against reading the clock, and so short against the host's timer
 * tick that most rounds see none.
 */
#define ROUND_TICKS	300000
#define MAX_ITERATIONS	(1ull << 24)
#define MIN_ROUNDS	5
#define MAX_ROUNDS	20

struct space base;

static const struct bench_list *const lists[] = {
	&cpu_list, &device_list, &interrupt_list, &table_list, &touch_list, &switch_list,
	&chase_list,
};

static const char *running = "nanobench";
static char reason[200];
static enum { GOING, SKIPPED, FAILED } verdict;
static unsigned int round_limit, tests, failed;

static void give_up(const char *fmt, va_list ap, int why)
{
	if (verdict == FAILED)
		return;
	verdict = why;
	vformat(reason, sizeof(reason), fmt, ap);
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	give_up(fmt, ap, SKIPPED);
	va_end(ap);
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	give_up(fmt, ap, FAILED);
	va_end(ap);
}

bool given_up(void)
{
	return verdict != GOING;
}

void limit_rounds(unsigned int limit)
{
	round_limit = limit;
}

static void __attribute__((noreturn)) finish(void)
{
	print("DONE tests=%u failed=%u\n", tests, failed);
	machine_exit(0);
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vformat(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	failed++;
	print("FAIL name=%s reason=\"%s\"\n", running, reason);
	finish();
}

/* --- timing --- */

/* Nothing that comes before or after in the program happens on the other side. */
static u64 stamp(void)
{
	u64 t;

	asm volatile("lfence" ::: "memory");
	t = rdtsc();
	asm volatile("lfence" ::: "memory");
	return t;
}

static u64 timed(void (*fn)(u64 n), u64 n)
{
	u64 start = stamp();

	fn(n);
	return stamp() - start;
}

void control_loop(u64 n)
{
	while (n--)
		barrier();
}

/* Puts @v in its place among @n values in ascending order. */
static void insert(u64 *sorted, unsigned int n, u64 v)
{
	for (; n && sorted[n - 1] > v; n--)
		sorted[n] = sorted[n - 1];
	sorted[n] = v;
}

/* Operations until a round lasts long enough. The rounds on the way warm things up. */
static u64 calibrate(const struct bench *b)
{
	u64 n = b->iterations;

	if (b->flags & FIXED)
		return n;
	while (timed(b->body, n) < ROUND_TICKS && n < MAX_ITERATIONS)
		n *= 2;
	return n;
}

/*
 * What disturbs a round only ever makes it longer, so the least of them counts, once
 * it is no exception: the three least must be within a percent.
 */
static void measure(const struct bench *b)
{
	u64 took[MAX_ROUNDS], sum = 0, control = ~0ull, n = calibrate(b), range = 0, body;
	unsigned int rounds = 0;
	s64 tenths;

	while (rounds < round_limit) {
		u64 t = timed(b->body, n);

		sum += t;
		insert(took, rounds++, t);
		t = timed(b->control, n);
		if (t < control)
			control = t;
		range = took[rounds < 3 ? rounds - 1 : 2] - took[0];
		if (!(b->flags & MEAN) && rounds >= MIN_ROUNDS && range * 100 <= took[0])
			break;
	}
	if (b->clean_up)
		b->clean_up();
	if (given_up())
		return;
	body = b->flags & MEAN ? sum / rounds : took[0];
	tenths = (s64)(body * 10 - control * 10 + n / 2) / (s64)n;
	range = range * 1000 / took[0];
	print("BENCH name=%s ticks=%s%lu.%lu spread=%lu.%lu iterations=%lu rounds=%u\n", b->name,
	      tenths < 0 ? "-" : "", (ulong)(tenths < 0 ? -tenths : tenths) / 10,
	      (ulong)(tenths < 0 ? -tenths : tenths) % 10, range / 10, range % 10, n, rounds);
}

/* Just so many operations, and nothing else that could cost an exit. */
static void perform(const struct bench *b, u64 n)
{
	u64 took = timed(b->body, n);

	if (b->clean_up)
		b->clean_up();
	if (!given_up())
		print("BENCH name=%s ticks=%lu.%lu spread=0.0 iterations=%lu rounds=1\n", b->name,
		      took / n, took * 10 / n % 10, n);
}

static void run(const struct bench *b, u64 exactly)
{
	ulong mark = mem_mark();

	running = b->name;
	verdict = GOING;
	round_limit = MAX_ROUNDS;
	tests++;
	if (b->set_up)
		b->set_up(b, exactly ? exactly : b->iterations);
	if (!given_up()) {
		if (exactly)
			perform(b, exactly);
		else
			measure(b);
	}
	((volatile u64 *)base.root)[pt_index(PT_4LEVEL, WINDOW, PT_4LEVEL)] = 0;
	write_cr3(base.root);
	mem_release(mark);
	if (verdict == GOING)
		return;
	if (verdict == FAILED)
		failed++;
	print("%s name=%s reason=\"%s\"\n", verdict == FAILED ? "FAIL" : "SKIP", b->name, reason);
}

/* --- command line --- */

/* Whether the comma-separated @names contain that of length @len at @name. */
static bool named(const char *names, const char *name, size_t len)
{
	while (*names && *names != ' ') {
		size_t n = 0;

		while (names[n] && names[n] != ',' && names[n] != ' ')
			n++;
		if (n == len && !strncmp(names, name, n))
			return true;
		names += n + (names[n] == ',');
	}
	return false;
}

/* Benchmark @i of all, or NULL. */
static const struct bench *nth(unsigned int i)
{
	unsigned int l;

	for (l = 0; l < ARRAY_SIZE(lists); i -= lists[l++]->count)
		if (i < lists[l]->count)
			return &lists[l]->bench[i];
	return NULL;
}

static bool exists(const char *name, size_t len)
{
	const struct bench *b;
	unsigned int i;

	for (i = 0; (b = nth(i)); i++)
		if (strlen(b->name) == len && !strncmp(b->name, name, len))
			return true;
	return false;
}

static void check_names(const char *names)
{
	char name[40];

	if (!*names || *names == ' ')
		die("only= wants names of tests; the word list shows them");
	while (*names && *names != ' ') {
		size_t n = 0;

		while (names[n] && names[n] != ',' && names[n] != ' ')
			n++;
		if (!exists(names, n)) {
			if (n >= sizeof(name))
				n = sizeof(name) - 1;
			memcpy(name, names, n);
			name[n] = 0;
			die("there is no test '%s'; the word list shows them", name);
		}
		names += n + (names[n] == ',');
	}
}

static u64 number(const char *s)
{
	u64 v = 0;

	for (; *s >= '0' && *s <= '9' && v < MAX_ITERATIONS; s++)
		v = v * 10 + *s - '0';
	if ((*s && *s != ' ') || !v || v > MAX_ITERATIONS)
		die("iterations= wants a number from 1 to %llu", MAX_ITERATIONS);
	return v;
}

/* Whether the word at @s is @word, up to its '=' if it has one. */
static bool word_is(const char *s, const char *word)
{
	size_t n = strlen(word);

	return !strncmp(s, word, n) && (word[n - 1] == '=' || !s[n] || s[n] == ' ');
}

static bool listing;
static u64 exactly;
static const char *only;

static void parse_words(void)
{
	const char *s = boot_info.cmdline, *e;
	char word[40];
	size_t n;

	if (strlen(s) == sizeof(boot_info.cmdline) - 1)
		die("the command line is too long");
	for (; *s; s = e) {
		bool path = false;

		for (e = s; *e && *e != ' '; e++)
			path |= s == boot_info.cmdline && (*e == '/' || *e == '.');
		n = e - s;
		while (*e == ' ')
			e++;
		/* Some loaders say first what they have loaded. */
		if (!n || path || word_is(s, "native"))
			continue;
		if (word_is(s, "list")) {
			listing = true;
		} else if (word_is(s, "only=")) {
			only = s + 5;
			check_names(only);
		} else if (word_is(s, "iterations=")) {
			exactly = number(s + 11);
		} else {
			if (n >= sizeof(word))
				n = sizeof(word) - 1;
			memcpy(word, s, n);
			word[n] = 0;
			die("'%s' means nothing here; there are only=, iterations= and list", word);
		}
	}
}

void kernel_main(void)
{
	const struct bench *b;
	unsigned int i;

	parse_words();
	/* Firmware may have put tables at the end of memory. */
	mem_top = (mem_top - MIB) & -PAGE_2M;
	pt_new(&base, PT_4LEVEL);
	write_cr3(base.root);
	for (i = 0; (b = nth(i)); i++) {
		if (only && !named(only, b->name, strlen(b->name)))
			continue;
		if (listing)
			print("LIST name=%s what=\"%s\" iterations=%lu\n", b->name, b->what,
			      b->iterations);
		else
			run(b, exactly);
	}
	finish();
}
