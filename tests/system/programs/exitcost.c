// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an exit costs: a guest of a few bytes takes the same exit over and over.
 * Prints ticks for each, which are instructions on a host started with --count.
 *
 *	exitcost [-n ROUNDS] nested|shadow [TEST[=LIMIT]]...
 *
 * Without tests it runs all of them. Exits with status 1 if a limit is exceeded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include <umbra/umbra.h>

#define MEMORY		0x10000
#define CODE		0x1000
#define ROUNDS		2000	/* unless told otherwise */
#define REPEATS		5	/* the least disturbed one counts */

struct test {
	const char *name;
	const uint8_t *code;
	size_t size;
};

/* 16-bit code; ESI counts down, then HLT ends it by an exit to port 1. */
#define LOOP_BYTES(n)	0x66, 0x4e, 0x75, (uint8_t)-((n) + 4), 0xe6, 0x01

static const uint8_t nothing[] = { 0x90, 0x90, LOOP_BYTES(2) };
static const uint8_t cpuid[] = { 0x66, 0x31, 0xc0, 0x0f, 0xa2, LOOP_BYTES(5) };	/* leaf 0 */
static const uint8_t out[] = { 0xe6, 0x10, LOOP_BYTES(2) };
static const uint8_t in[] = { 0xe4, 0x10, LOOP_BYTES(2) };
static const uint8_t rdmsr[] = { 0x0f, 0x32, LOOP_BYTES(2) };
static const uint8_t wrmsr[] = {
	0x66, 0xb9, 0x77, 0x02, 0x00, 0x00,	/* mov $IA32_PAT, %ecx */
	0x0f, 0x30, LOOP_BYTES(8)
};
static const uint8_t vmmcall[] = { 0x0f, 0x01, 0xd9, LOOP_BYTES(3) };
static const uint8_t mmio_write[] = { 0x88, 0x07, LOOP_BYTES(2) };	/* mov %al, (%bx) */
static const uint8_t mmio_read[] = { 0x8a, 0x07, LOOP_BYTES(2) };	/* mov (%bx), %al */

static const struct test empty = { "nothing", nothing, sizeof(nothing) };

static const struct test tests[] = {
	{ "cpuid", cpuid, sizeof(cpuid) },
	{ "out", out, sizeof(out) },
	{ "in", in, sizeof(in) },
	{ "rdmsr", rdmsr, sizeof(rdmsr) },
	{ "wrmsr", wrmsr, sizeof(wrmsr) },
	{ "hypercall", vmmcall, sizeof(vmmcall) },
	{ "mmio-write", mmio_write, sizeof(mmio_write) },
	{ "mmio-read", mmio_read, sizeof(mmio_read) },
};

static void die(const char *what)
{
	fprintf(stderr, "exitcost: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void set_up(int vcpu, uint64_t rounds)
{
	struct umbra_state st = { .groups = UMBRA_STATE_REGS | UMBRA_STATE_SREGS };
	struct umbra_segment *seg;

	if (ioctl(vcpu, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	seg = st.sregs.seg;
	seg[UMBRA_CS].base = 0;
	seg[UMBRA_CS].selector = 0;
	seg[UMBRA_DS].base = 0x40000000;	/* no memory there */
	memset(&st.regs, 0, sizeof(st.regs));
	st.regs.rip = CODE;
	st.regs.rflags = 2;
	st.regs.gpr[UMBRA_RSI] = rounds;
	st.regs.gpr[UMBRA_RCX] = 0x10;		/* IA32_TIME_STAMP_COUNTER */
	if (ioctl(vcpu, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
}

/* Ticks until the guest says that it is through. */
static uint64_t run_once(int vcpu, volatile struct umbra_run *run, uint64_t rounds)
{
	uint64_t began, ended;

	set_up(vcpu, rounds);
	began = __rdtsc();
	do {
		while (ioctl(vcpu, UMBRA_RUN, 0)) {
			if (errno != EINTR)
				die("UMBRA_RUN");
		}
		if (run->exit_reason != UMBRA_EXIT_IO && run->exit_reason != UMBRA_EXIT_MMIO) {
			fprintf(stderr, "exitcost: exit reason %u\n", run->exit_reason);
			exit(1);
		}
	} while (run->exit_reason != UMBRA_EXIT_IO || run->io.port != 1);
	ended = __rdtsc();
	return ended - began;
}

static uint64_t run_repeatedly(int vcpu, volatile struct umbra_run *run, uint64_t rounds)
{
	uint64_t least = UINT64_MAX;
	int i;

	for (i = 0; i < REPEATS; i++) {
		uint64_t ticks = run_once(vcpu, run, rounds);

		if (ticks < least)
			least = ticks;
	}
	return least;
}

/* Ticks of one round, the loop around it not counted. */
static uint64_t cost(int vcpu, volatile struct umbra_run *run, uint8_t *ram,
		     const struct test *test, uint64_t rounds)
{
	uint64_t with, without;

	memcpy(ram + CODE, empty.code, empty.size);
	without = run_repeatedly(vcpu, run, rounds);
	memcpy(ram + CODE, test->code, test->size);
	with = run_repeatedly(vcpu, run, rounds);
	return (with - without) / rounds;
}

/* Is the test asked for, and if so, with what limit? 0: none. */
static bool wanted(const struct test *test, char **names, uint64_t *limit)
{
	size_t len = strlen(test->name);

	*limit = 0;
	if (!*names)
		return true;
	for (; *names; names++) {
		if (strncmp(*names, test->name, len))
			continue;
		if ((*names)[len] == '=')
			*limit = strtoull(*names + len + 1, NULL, 0);
		else if ((*names)[len])
			continue;
		return true;
	}
	return false;
}

static int usage(void)
{
	fprintf(stderr, "usage: exitcost [-n ROUNDS] nested|shadow [TEST[=LIMIT]]...\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct umbra_create_vm create = {};
	struct umbra_create_vcpu create_vcpu = {};
	struct umbra_memory memory = { .size = MEMORY };
	uint64_t rounds = ROUNDS, limit, ticks;
	int dev, vm, vcpu, failed = 0;
	uint8_t *ram;
	void *area;
	size_t i;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		rounds = strtoull(argv[2], NULL, 0);
		argv += 2;
		argc -= 2;
	}
	if (argc < 2 || !rounds || (strcmp(argv[1], "nested") && strcmp(argv[1], "shadow")))
		return usage();
	create.paging = strcmp(argv[1], "nested") ? UMBRA_PAGING_SHADOW : UMBRA_PAGING_NESTED;

	dev = open(UMBRA_DEVICE, O_RDWR);
	if (dev < 0)
		die(UMBRA_DEVICE);
	vm = ioctl(dev, UMBRA_CREATE_VM, &create);
	if (vm < 0)
		die("UMBRA_CREATE_VM");
	ram = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		die("mmap");
	memory.uaddr = (uintptr_t)ram;
	if (ioctl(vm, UMBRA_SET_MEMORY, &memory))
		die("UMBRA_SET_MEMORY");
	vcpu = ioctl(vm, UMBRA_CREATE_VCPU, &create_vcpu);
	if (vcpu < 0)
		die("UMBRA_CREATE_VCPU");
	area = mmap(NULL, UMBRA_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (area == MAP_FAILED)
		die("mmap of the run area");

	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (!wanted(&tests[i], argv + 2, &limit))
			continue;
		ticks = cost(vcpu, area, ram, &tests[i], rounds);
		printf("%-10s %6" PRIu64 "%s\n", tests[i].name, ticks,
		       limit && ticks > limit ? "  too much" : "");
		failed |= limit && ticks > limit;
	}
	return failed;
}
