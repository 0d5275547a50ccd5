// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an exit costs: a guest of a few bytes takes the same exit over and over.
 * Prints ticks for each, which are instructions on a host started with --count.
 *
 *	exitcost [-n ROUNDS] nested|shadow [TEST[=LIMIT]]...
 *
 * Without tests it runs all of them. Exits with status 1 if a limit is exceeded.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "common.h"

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

static void set_up(const struct vcpu *vcpu, uint64_t rounds)
{
	struct umbra_state st = { .groups = UMBRA_STATE_REGS | UMBRA_STATE_SREGS };
	struct umbra_segment *seg;

	if (ioctl(vcpu->fd, UMBRA_GET_STATE, &st))
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
	if (ioctl(vcpu->fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
}

/* Ticks until the guest says that it is through. */
static uint64_t run_once(const struct vcpu *vcpu, uint64_t rounds)
{
	volatile const struct umbra_run *exit_area = vcpu->run;
	uint64_t began, ended;

	set_up(vcpu, rounds);
	began = __rdtsc();
	do {
		if (run(vcpu))
			die("UMBRA_RUN");
		if (exit_area->exit_reason != UMBRA_EXIT_IO &&
		    exit_area->exit_reason != UMBRA_EXIT_MMIO) {
			fprintf(stderr, "exitcost: exit reason %u\n", exit_area->exit_reason);
			exit(1);
		}
	} while (exit_area->exit_reason != UMBRA_EXIT_IO || exit_area->io.port != 1);
	ended = __rdtsc();
	return ended - began;
}

static uint64_t run_repeatedly(const struct vcpu *vcpu, uint64_t rounds)
{
	uint64_t least = UINT64_MAX;
	int i;

	for (i = 0; i < REPEATS; i++) {
		uint64_t ticks = run_once(vcpu, rounds);

		if (ticks < least)
			least = ticks;
	}
	return least;
}

/* Ticks of one round, the loop around it not counted. */
static uint64_t cost(const struct vm *vm, const struct test *test, uint64_t rounds)
{
	uint64_t with, without;

	memcpy(vm->ram + CODE, empty.code, empty.size);
	without = run_repeatedly(&vm->vcpu[0], rounds);
	memcpy(vm->ram + CODE, test->code, test->size);
	with = run_repeatedly(&vm->vcpu[0], rounds);
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
	uint64_t rounds = ROUNDS, limit, ticks;
	int failed = 0;
	struct vm vm;
	size_t i;

	if (argc > 2 && !strcmp(argv[1], "-n")) {
		rounds = strtoull(argv[2], NULL, 0);
		argv += 2;
		argc -= 2;
	}
	if (argc < 2 || !rounds)
		return usage();
	open_device();
	vm_create(&vm, paging_from(argv[1]), MEMORY, 1);

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!wanted(&tests[i], argv + 2, &limit))
			continue;
		ticks = cost(&vm, &tests[i], rounds);
		printf("%-10s %6" PRIu64 "%s\n", tests[i].name, ticks,
		       limit && ticks > limit ? "  too much" : "");
		failed |= limit && ticks > limit;
	}
	return failed;
}
