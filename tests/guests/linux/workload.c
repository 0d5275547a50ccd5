// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the demo's Linux guest does: the things that make a guest kernel work
 * its page tables and its scheduler, each with a result that is checked.
 * Prints one line per part, then WORKLOAD OK, or WORKLOAD FAIL and why.
 *
 *   workload [SCALE]    run, everything SCALE times as often
 *   workload exec N     exit with status N & 127 (what it executes itself)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE		4096UL
#define FORKS		200
#define EXECS		60
#define CROWD		200
#define ROUND_TRIPS	400
#define BULK		(1UL << 20)
#define FILES		48
#define FILE_SIZE	(96UL << 10)
#define MEMORY		(48UL << 20)
#define SHARED		(4UL << 20)

static unsigned int scale = 1;

__attribute__((noreturn, format(printf, 1, 2)))
static void fail(const char *format, ...)
{
	va_list args;

	printf("WORKLOAD FAIL: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* The next of a sequence of numbers that looks random and is always the same. */
static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state ^ *state >> 29;
}

static void fill(void *buf, size_t len, uint64_t seed)
{
	uint64_t *p = buf;

	for (size_t i = 0; i < len / 8; i++)
		p[i] = next(&seed);
}

static uint64_t sum(const void *buf, size_t len)
{
	const uint64_t *p = buf;
	uint64_t total = 0;

	for (size_t i = 0; i < len / 8; i++)
		total = (total << 1 | total >> 63) ^ p[i];
	return total;
}

/* Fork; the child flushes nothing of its parent's output. */
static pid_t start(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail("fork: %m");
	return pid;
}

static void reap(pid_t pid, int want, const char *part)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail("%s: waitpid: %m", part);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
		fail("%s: process %d ended with wait status 0x%x, expected exit status %d",
		     part, pid, status, want);
}

static void *map(size_t len, int flags)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap of %zu bytes: %m", len);
	return p;
}

static void read_fully(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = read(fd, p, len);

		if (n <= 0)
			fail("read: %s", n ? strerror(errno) : "end of file");
		p += n;
		len -= n;
	}
}

static void write_fully(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n <= 0)
			fail("write: %m");
		p += n;
		len -= n;
	}
}

static void test_fork(void)
{
	unsigned int n = FORKS * scale;
	volatile int mine = 1;

	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = start();

		if (!pid) {
			mine += i;
			_exit(mine & 127);
		}
		reap(pid, (1 + i) & 127, "fork");
		if (mine != 1)
			fail("fork: a child's write shows in its parent");
	}
	printf("fork: %u processes, one after another\n", n);
}

static void test_exec(const char *self)
{
	unsigned int n = EXECS * scale;
	char number[16];

	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = start();

		if (!pid) {
			snprintf(number, sizeof(number), "%u", i);
			execl(self, self, "exec", number, NULL);
			_exit(127);
		}
		reap(pid, i % 127, "exec");
	}
	printf("exec: %u programs\n", n);
}

/* Many processes at once, each with pages of its own, all released together. */
static void test_crowd(void)
{
	unsigned int n = CROWD;
	int gate[2], done[2];
	pid_t pids[CROWD];
	char byte;

	if (pipe(gate) || pipe(done))
		fail("pipe: %m");
	for (unsigned int i = 0; i < n; i++) {
		pids[i] = start();
		if (!pids[i]) {
			uint64_t *p = map(8 * PAGE, MAP_PRIVATE);
			uint64_t want;

			close(gate[1]);
			fill(p, 8 * PAGE, i);
			want = sum(p, 8 * PAGE);
			if (write(done[1], "", 1) != 1 || read(gate[0], &byte, 1) != 0)
				_exit(126);
			_exit(sum(p, 8 * PAGE) == want ? (int)(i % 100) : 125);
		}
	}
	for (unsigned int i = 0; i < n; i++)
		read_fully(done[0], &byte, 1);
	close(gate[1]);
	for (unsigned int i = 0; i < n; i++)
		reap(pids[i], i % 100, "crowd");
	close(gate[0]);
	close(done[0]);
	close(done[1]);
	printf("crowd: %u processes at once\n", n);
}

static void test_pipe(void)
{
	unsigned int n = ROUND_TRIPS * scale;
	uint64_t want, number = 0;
	int to[2], from[2];
	uint64_t *buf;
	pid_t pid;

	if (pipe(to) || pipe(from))
		fail("pipe: %m");
	buf = map(BULK, MAP_PRIVATE);
	fill(buf, BULK, 99);
	want = sum(buf, BULK);
	pid = start();
	if (!pid) {
		for (unsigned int i = 0; i < n; i++) {
			read_fully(to[0], &number, sizeof(number));
			number++;
			write_fully(from[1], &number, sizeof(number));
		}
		write_fully(from[1], buf, BULK);
		_exit(0);
	}
	for (unsigned int i = 0; i < n; i++) {
		write_fully(to[1], &number, sizeof(number));
		read_fully(from[0], &number, sizeof(number));
	}
	if (number != n)
		fail("pipe: %lu round trips counted, expected %u", number, n);
	memset(buf, 0, BULK);
	read_fully(from[0], buf, BULK);
	if (sum(buf, BULK) != want)
		fail("pipe: data changed on its way");
	reap(pid, 0, "pipe");
	close(to[0]);
	close(to[1]);
	close(from[0]);
	close(from[1]);
	munmap(buf, BULK);
	printf("pipe: %u round trips, %lu KiB, sum %016lx\n", n, BULK >> 10, want);
}

static void test_files(void)
{
	unsigned int n = FILES * scale;
	char *buf = map(FILE_SIZE, MAP_PRIVATE);
	uint64_t total = 0;
	char name[32];

	for (unsigned int i = 0; i < n; i++) {
		int fd;

		snprintf(name, sizeof(name), "/tmp/file-%u", i);
		fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
		if (fd < 0)
			fail("files: %s: %m", name);
		fill(buf, FILE_SIZE, i);
		write_fully(fd, buf, FILE_SIZE);
		close(fd);
	}
	for (unsigned int i = 0; i < n; i++) {
		uint64_t want, have;
		int fd;

		snprintf(name, sizeof(name), "/tmp/file-%u", i);
		fd = open(name, O_RDONLY);
		if (fd < 0)
			fail("files: %s: %m", name);
		fill(buf, FILE_SIZE, i);
		want = sum(buf, FILE_SIZE);
		if (i & 1) {
			void *p = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

			if (p == MAP_FAILED)
				fail("files: mmap: %m");
			have = sum(p, FILE_SIZE);
			munmap(p, FILE_SIZE);
		} else {
			memset(buf, 0, FILE_SIZE);
			read_fully(fd, buf, FILE_SIZE);
			have = sum(buf, FILE_SIZE);
		}
		if (have != want)
			fail("files: %s has sum %016lx, expected %016lx", name, have, want);
		total += have;
		close(fd);
		if (unlink(name))
			fail("files: unlink: %m");
	}
	munmap(buf, FILE_SIZE);
	printf("files: %u in tmpfs, %lu KiB, sum %016lx\n", n, n * FILE_SIZE >> 10, total);
}

/* Touch every page, protect, discard, touch again; copies on write after fork. */
static void test_memory(void)
{
	size_t pages = MEMORY / PAGE, shared = SHARED / 8;
	char *p = map(MEMORY, MAP_PRIVATE);
	uint64_t *q;
	pid_t pid;

	for (unsigned int round = 0; round < scale; round++) {
		for (size_t i = 0; i < pages; i++)
			*(uint64_t *)(p + i * PAGE + (i * 8 & (PAGE - 8))) = i ^ round;
		for (size_t i = 0; i < pages; i++)
			if (*(uint64_t *)(p + i * PAGE + (i * 8 & (PAGE - 8))) != (i ^ round))
				fail("memory: page %zu lost what was written to it", i);
		if (mprotect(p, MEMORY / 2, PROT_READ) ||
		    mprotect(p, MEMORY / 2, PROT_READ | PROT_WRITE))
			fail("memory: mprotect: %m");
		if (madvise(p, MEMORY / 2, MADV_DONTNEED))
			fail("memory: madvise: %m");
		for (size_t i = 0; i < pages / 2; i++)
			if (*(uint64_t *)(p + i * PAGE + (i * 8 & (PAGE - 8))))
				fail("memory: discarded page %zu is not zero", i);
	}
	munmap(p, MEMORY);

	q = map(SHARED, MAP_PRIVATE);
	fill(q, SHARED, 7);
	pid = start();
	if (!pid) {
		uint64_t before = sum(q, SHARED);

		for (size_t i = 0; i < shared; i += PAGE / 8)
			q[i] = ~q[i];
		for (size_t i = 0; i < shared; i += PAGE / 8)
			q[i] = ~q[i];
		_exit(sum(q, SHARED) == before ? 0 : 1);
	}
	for (size_t i = 0; i < shared; i += PAGE / 8)
		q[i] ^= 1;
	reap(pid, 0, "memory");
	for (size_t i = 0; i < shared; i += PAGE / 8)
		q[i] ^= 1;
	p = map(SHARED, MAP_PRIVATE);
	fill(p, SHARED, 7);
	if (memcmp(p, q, SHARED))
		fail("memory: a page copied on write is not what it was");
	munmap(p, SHARED);
	munmap(q, SHARED);
	printf("memory: %lu MiB touched, half of it discarded and touched again, %lu MiB copied on write\n",
	       MEMORY >> 20, SHARED >> 20);
}

/* On each CPU one process; they add to one number in shared memory. */
static void test_cpus(void)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN), n = 20000;
	uint64_t *shared = map(PAGE, MAP_SHARED);
	pid_t pids[64];

	if (cpus > 64)
		cpus = 64;
	for (unsigned int i = 0; i < cpus; i++) {
		pids[i] = start();
		if (!pids[i]) {
			cpu_set_t set;

			CPU_ZERO(&set);
			CPU_SET(i, &set);
			if (sched_setaffinity(0, sizeof(set), &set))
				_exit(1);
			for (unsigned int j = 0; j < n; j++) {
				__atomic_fetch_add(shared, 1, __ATOMIC_SEQ_CST);
				if (j % 1000 == 0)
					mprotect(map(PAGE, MAP_PRIVATE), PAGE, PROT_READ);
			}
			_exit(sched_getcpu() == (int)i ? 0 : 2);
		}
	}
	for (unsigned int i = 0; i < cpus; i++)
		reap(pids[i], 0, "cpus");
	if (*shared != (uint64_t)cpus * n)
		fail("cpus: %lu counted, expected %lu", *shared, (uint64_t)cpus * n);
	munmap(shared, PAGE);
	printf("cpus: %u, each ran its process\n", cpus);
}

/* Threads of control that share page tables: unmapping must reach every CPU. */
struct flip {
	char *page;
	volatile int stop;
};

static int flipper(void *arg)
{
	struct flip *flip = arg;

	while (!flip->stop)
		(void)*(volatile char *)flip->page;
	return 0;
}

static void test_shootdown(void)
{
	unsigned int n = 200 * scale;
	struct flip flip = { .page = map(2 * PAGE, MAP_PRIVATE) };
	char *stack = map(16 * PAGE, MAP_PRIVATE);
	char *other = flip.page + PAGE;
	int pid;

	pid = clone(flipper, stack + 16 * PAGE, CLONE_VM | SIGCHLD, &flip);
	if (pid < 0)
		fail("shootdown: clone: %m");
	for (unsigned int i = 0; i < n; i++) {
		*other = i;
		if (mprotect(other, PAGE, PROT_READ) || *other != (char)i ||
		    mprotect(other, PAGE, PROT_READ | PROT_WRITE) ||
		    madvise(other, PAGE, MADV_DONTNEED) || *other)
			fail("shootdown: round %u: page holds %d", i, *other);
	}
	flip.stop = 1;
	reap(pid, 0, "shootdown");
	munmap(flip.page, 2 * PAGE);
	munmap(stack, 16 * PAGE);
	printf("shootdown: %u times, while a thread reads beside it\n", n);
}

int main(int argc, char **argv)
{
	uint64_t begin = __rdtsc();

	if (argc == 3 && !strcmp(argv[1], "exec"))
		return atoi(argv[2]) % 127;
	if (argc == 2)
		scale = atoi(argv[1]);
	if (argc > 2 || scale < 1 || scale > 1000) {
		fprintf(stderr, "usage: workload [SCALE]\n");
		return 2;
	}

	printf("WORKLOAD START\n");
	test_fork();
	test_exec("/proc/self/exe");
	test_crowd();
	test_pipe();
	test_files();
	test_memory();
	test_cpus();
	test_shootdown();
	printf("WORKLOAD TICKS boot %llu workload %llu\n", (unsigned long long)begin,
	       (unsigned long long)(__rdtsc() - begin));
	printf("WORKLOAD OK\n");
	return 0;
}
