// SPDX-License-Identifier: GPL-2.0-only
/*
 * Workloads that are measured: each does one thing of Linux' many, so often as
 * it is told, and prints what it took in ticks of the TSC:
 *
 *   BENCH name=forkwait ticks=123456 iterations=300 idle=0
 *
 * idle are nanoseconds that the guest's CPUs spent in its idle task meanwhile.
 *
 *   bench boot              ticks since power-on
 *   bench forkwait N        fork a process that ends, and wait for it
 *   bench exec-storm N      the same with a program executed by the process
 *   bench pipe-pingpong N   a byte there and back between two processes
 *   bench file-scan N       map a file in tmpfs, change each of its pages, unmap it
 *   bench end               nothing (what exec-storm executes)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
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
#define FILE_PAGES	1024UL
#define FILE_NAME	"/tmp/scanned"
#define SELF		"/proc/self/exe"
#define IDLE		"/proc/timer_list"
#define IDLE_KEY	".idle_sleeptime :"

__attribute__((noreturn, format(printf, 1, 2)))
static void fail(const char *format, ...)
{
	va_list args;

	printf("BENCH FAIL: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

/* Nanoseconds that all CPUs have been idle since power-on. */
static uint64_t idle_ns(void)
{
	FILE *f = fopen(IDLE, "re");
	uint64_t total = 0;
	char line[256];

	if (!f)
		fail("%s: %m", IDLE);
	while (fgets(line, sizeof(line), f)) {
		const char *at = strstr(line, IDLE_KEY);

		if (at)
			total += strtoull(at + strlen(IDLE_KEY), NULL, 10);
	}
	fclose(f);
	return total;
}

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %m");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail("process %d ended with wait status 0x%x", pid, status);
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %m");
	return pid;
}

static void forkwait(unsigned long n)
{
	while (n--) {
		pid_t pid = start();

		if (!pid)
			_exit(0);
		reap(pid);
	}
}

static void exec_storm(unsigned long n)
{
	while (n--) {
		pid_t pid = start();

		if (!pid) {
			execl(SELF, "bench", "end", NULL);
			_exit(127);
		}
		reap(pid);
	}
}

static void pipe_pingpong(unsigned long n)
{
	int to[2], from[2];
	char byte = 0;
	pid_t pid;

	if (pipe(to) || pipe(from))
		fail("pipe: %m");
	pid = start();
	if (!pid) {
		close(to[1]);
		while (read(to[0], &byte, 1) == 1)
			if (write(from[1], &byte, 1) != 1)
				_exit(1);
		_exit(0);
	}
	close(to[0]);
	while (n--) {
		char sent = n;

		if (write(to[1], &sent, 1) != 1 || read(from[0], &byte, 1) != 1)
			fail("pipe: %m");
		if (byte != sent)
			fail("pipe: %d came back, not %d", byte, sent);
	}
	close(to[1]);
	reap(pid);
	close(from[0]);
	close(from[1]);
}

static void file_scan(unsigned long n)
{
	uint32_t *p;
	int fd;

	fd = open(FILE_NAME, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, FILE_PAGES * PAGE))
		fail("%s: %m", FILE_NAME);
	for (unsigned long round = 0; round < n; round++) {
		p = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			fail("mmap: %m");
		for (unsigned long page = 0; page < FILE_PAGES; page++)
			if (p[page * PAGE / sizeof(*p)]++ != round)
				fail("page %lu lost what was written to it", page);
		if (munmap(p, FILE_PAGES * PAGE))
			fail("munmap: %m");
	}
	close(fd);
	if (unlink(FILE_NAME))
		fail("%s: %m", FILE_NAME);
}

static const struct {
	const char *name;
	void (*run)(unsigned long n);
} workloads[] = {
	{ "forkwait", forkwait },
	{ "exec-storm", exec_storm },
	{ "pipe-pingpong", pipe_pingpong },
	{ "file-scan", file_scan },
};

static void report(const char *name, uint64_t ticks, unsigned long n, uint64_t idle)
{
	printf("BENCH name=%s ticks=%llu iterations=%lu idle=%llu\n", name,
	       (unsigned long long)ticks, n, (unsigned long long)idle);
}

int main(int argc, char **argv)
{
	uint64_t began = __rdtsc(), ended, idle;
	unsigned long n;

	if (argc == 2 && !strcmp(argv[1], "end"))
		return 0;
	if (argc == 2 && !strcmp(argv[1], "boot")) {
		report("boot", began, 1, idle_ns());
		return 0;
	}
	n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	for (size_t i = 0; n && i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(argv[1], workloads[i].name))
			continue;
		idle = idle_ns();
		began = __rdtsc();
		workloads[i].run(n);
		ended = __rdtsc();
		report(argv[1], ended - began, n, idle_ns() - idle);
		return 0;
	}
	fprintf(stderr, "usage: bench boot|end, or bench forkwait|exec-storm|pipe-pingpong|file-scan N\n");
	return 2;
}
