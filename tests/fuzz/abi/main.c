// SPDX-License-Identifier: GPL-2.0-only
/*
 * A stateful fuzzer of the ioctl ABI: see abi.h for what a case is.
 *
 *	abifuzz SECONDS [SEED [FIRST-CASE]]
 *
 * After each case nothing may refer to the module any more and, where the kernel
 * counts it, no memory of the case's may be left; and a call must have returned
 * what Documentation/api.rst says. The kernel's own checks are the host's to watch.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi.h"

#define STUCK		60	/* seconds without a call that returns, though signals come */
#define CGROUP		"/sys/fs/cgroup/fuzz"

struct object vms[VMS], vcpus[VCPUS], files[FILES];
struct worker workers[MAX_THREADS];
unsigned int nr_workers;
_Thread_local struct worker *me;
atomic_bool quit, broken;
int to_parent;
_Thread_local sigjmp_buf fault;
_Thread_local volatile bool may_fault;

void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("FAIL ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
	broken = true;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void on_fault(int sig)
{
	if (may_fault)
		siglongjmp(fault, sig);
	signal(sig, SIG_DFL);
}

/* ------------------------------------------------------------------ */
/* A case */

static void *work(void *arg)
{
	me = arg;
	random_seed = me->seed;
	me->doing = "";
	me->tid = syscall(SYS_gettid);
	while (!quit) {
		switch (below(64)) {
		case 0 ... 3:
			change_memory();
			break;
		case 4 ... 6:
			write_guest();
			break;
		case 7 ... 12:
			scribble();
			break;
		case 13 ... 15:
			replace_object();
			break;
		case 16:
			descriptor_tricks();
			break;
		case 17:
			pass_descriptors();
			break;
		case 18:
			if (one_in(8))
				fork_some();
			break;
		default:
			random_call();
		}
		atomic_fetch_add(&me->beats, 1);
	}
	return NULL;
}

static void show_file(const char *format, int tid)
{
	char name[64], text[4096];
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), format, tid);
	fd = open(name, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	if (n > 0)
		printf("%s:\n%.*s\n", name, (int)n, text);
	close(fd);
}

/*
 * Interrupts the threads again and again until time is up, and sees that each comes
 * back from what it does.
 */
static void watch(double end)
{
	double since[MAX_THREADS];
	uint64_t beats[MAX_THREADS];
	unsigned int i;
	bool stuck;

	for (i = 0; i < nr_workers; i++) {
		since[i] = now();
		beats[i] = 0;
	}
	while (now() < end) {
		usleep(200 + below(10000));
		for (i = 0; i < nr_workers; i++) {
			if (one_in(2))
				pthread_kill(workers[i].thread, SIGUSR1);
			if (beats[i] != workers[i].beats) {
				beats[i] = workers[i].beats;
				since[i] = now();
			}
			stuck = now() - since[i] > STUCK;
			if (stuck) {
				complain("a thread is stuck in %s", workers[i].doing);
				show_file("/proc/self/task/%d/stack", workers[i].tid);
				show_file("/proc/self/task/%d/syscall", workers[i].tid);
				return;
			}
		}
	}
}

static void case_run(uint64_t seed)
{
	double seconds;
	unsigned int i;

	random_seed = seed;
	seconds = 0.2 + below(1000) / 1000.0;
	for (i = 0; i < VMS; i++)
		vms[i].fd = -1;
	for (i = 0; i < VCPUS; i++)
		vcpus[i].fd = -1;
	for (i = 0; i < FILES; i++)
		files[i].fd = -1;
	nr_workers = 1 + below(MAX_THREADS);
	arenas_setup();
	me = &workers[0];
	for (i = 0; i < 16; i++)
		replace_object();
	for (i = 0; i < nr_workers; i++) {
		workers[i].seed = random64();
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("pthread_create");
	}
	watch(now() + seconds);
	switch (below(4)) {
	case 0:
		/* All at once, wherever they are. */
		if (!broken)
			kill(getpid(), SIGKILL);
		break;
	case 1:
		close_everything();
		break;
	case 2:
		munmap(ARENA(0), ARENAS * 4 * ARENA_SIZE);
		break;
	}
	quit = true;
	for (i = 0; i < nr_workers && !broken; i++) {
		/* A signal that comes before it is in the guest is none too early. */
		double limit = now() + STUCK;
		struct timespec soon;
		int left;

		do {
			unsigned int j;

			for (j = i; j < nr_workers; j++)
				pthread_kill(workers[j].thread, SIGUSR1);
			clock_gettime(CLOCK_REALTIME, &soon);
			soon.tv_nsec += 2000000;
			if (soon.tv_nsec >= 1000000000) {
				soon.tv_nsec -= 1000000000;
				soon.tv_sec++;
			}
			left = pthread_timedjoin_np(workers[i].thread, NULL, &soon);
		} while (left && now() < limit);
		if (left) {
			complain("a thread does not end: %s", workers[i].doing);
			show_file("/proc/self/task/%d/stack", workers[i].tid);
		}
	}
	_exit(broken);
}

/* ------------------------------------------------------------------ */
/* What watches over cases */

static unsigned long number_in(const char *name, const char *key)
{
	unsigned long value = ~0UL;
	char line[128];
	FILE *f = fopen(name, "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = strtoul(line + strlen(key), NULL, 0);
	if (f)
		fclose(f);
	return value;
}

static bool write_to(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Cases are in a control group of their own, which is charged for what they allocate. */
static bool cgroup_setup(void)
{
	mount("cgroup", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	mkdir(CGROUP, 0755);
	return write_to("/sys/fs/cgroup/cgroup.subtree_control", "+memory") &&
	       number_in(CGROUP "/memory.stat", "kernel ") != ~0UL;
}

/* Takes what a case that has ended sent: descriptors of an address space that is gone. */
static unsigned int receive_fds(int sock, int *fds, unsigned int room)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	unsigned int n = 0;
	char byte;

	while (n < room) {
		struct iovec data = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr message = {
			.msg_iov = &data,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};

		if (recvmsg(sock, &message, MSG_DONTWAIT) <= 0)
			break;
		if (CMSG_FIRSTHDR(&message))
			memcpy(&fds[n++], CMSG_DATA(&control.head), sizeof(int));
	}
	return n;
}

static void orphans(int sock)
{
	int fds[64];
	unsigned int n = receive_fds(sock, fds, ARRAY_SIZE(fds)), i;
	void *run;

	for (i = 0; i < n; i++) {
		vms[below(VMS)].fd = fds[i];
		vcpus[below(VCPUS)].fd = fds[i];
		run = mmap(NULL, UMBRA_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
		if (run != MAP_FAILED) {
			((struct umbra_run *)run)->immediate_exit = 1;
			munmap(run, UMBRA_RUN_SIZE);
		}
	}
	if (n)
		foreign_calls();
	for (i = 0; i < n; i++)
		close(fds[i]);
}

/* All that a case could leave behind must go away, soon. */
static void see_nothing_left(unsigned long base)
{
	double limit = now() + 30;
	unsigned long kernel;

	/* One reference is this process' own, by the device. */
	while (number_in("/sys/module/umbra/refcnt", "") > 1 && now() < limit)
		usleep(2000);
	if (number_in("/sys/module/umbra/refcnt", "") != 1)
		complain("the module is still in use");
	if (base == ~0UL)
		return;
	limit = now() + 30;
	do {
		write_to("/proc/sys/vm/drop_caches", "3");
		kernel = number_in(CGROUP "/memory.stat", "kernel ");
		if (kernel <= base)
			return;
		usleep(50000);
	} while (now() < limit);
	complain("%lu bytes of kernel memory are left, %lu before", kernel, base);
}

/* Once in a while: what the host does as a whole. */
static void disturb_host(void)
{
	static const struct {
		const char *file, *text, *after;
	} what[] = {
		{ "/proc/sys/vm/compact_memory", "1", NULL },
		{ "/sys/kernel/debug/split_huge_pages", "1", NULL },
		{ "/sys/kernel/mm/ksm/run", "1", "0" },
		{ "/sys/devices/system/cpu/cpu1/online", "0", "1" },
	};
	unsigned int i = below(ARRAY_SIZE(what));

	usleep(below(200000));
	write_to(what[i].file, what[i].text);
	usleep(below(100000));
	if (what[i].after)
		write_to(what[i].file, what[i].after);
}

static void one_case(uint64_t seed, bool cgroup)
{
	double limit = now() + 4 * STUCK;
	int pair[2], status, ended;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		close(pair[0]);
		to_parent = pair[1];
		if (cgroup)
			write_to(CGROUP "/cgroup.procs", "0");
		case_run(seed);
	}
	close(pair[1]);
	random_seed = seed ^ 1;
	if (one_in(8))
		disturb_host();
	while (!(ended = waitpid(pid, &status, WNOHANG)) && now() < limit)
		usleep(2000);
	if (!ended) {
		complain("a case does not end");
		show_file("/proc/%d/stack", pid);
		return;
	}
	orphans(pair[0]);
	close(pair[0]);
	/* What it forked and left alone is ours by now. */
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		complain("the fuzzer itself has died of signal %d", WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status))
		broken = true;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct sigaction on = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	unsigned long i, first = 0, base = ~0UL;
	uint64_t seed;
	bool cgroup;
	double end;

	if (argc < 2 || argc > 4 || strtod(argv[1], NULL) <= 0) {
		fprintf(stderr, "usage: abifuzz SECONDS [SEED [FIRST-CASE]]\n");
		return 2;
	}
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)(now() * 1e9);
	first = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %#lx\n", seed);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGSEGV, &on, NULL);
	sigaction(SIGBUS, &on, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	open_device();
	totals_setup();
	cgroup = cgroup_setup();

	end = now() + strtod(argv[1], NULL);
	for (i = first; now() < end && !broken; i++) {
		random_seed = seed + i * 0x632be59bd9b4e019;
		one_case(random64(), cgroup);
		/* The first cases also pay for what the kernel keeps for all who follow. */
		if (cgroup && i - first == 1)
			base = number_in(CGROUP "/memory.stat", "kernel ") + 512 * 1024;
		see_nothing_left(base);
		if (broken)
			printf("case %lu of seed %#lx\n", i, seed);
	}
	printf("%lu cases\n", i - first);
	if (!totals_print() && !broken && i - first > 20)
		complain("a call has never worked");
	printf("%s abi\n", broken ? "FAIL" : "PASS");
	return broken;
}
