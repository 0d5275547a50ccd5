// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty logs: a guest of a few bytes reads and writes memory, and the log has
 * exactly the pages it wrote. Then it writes all over the place while its memory is
 * copied page by page as the log says, as for moving a guest that runs: in the end
 * the copy is the same as the memory.
 *
 *	dirtylog nested|shadow [SEED]
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"

#define CODE		0x1000
#define CODE_MEMORY	0x10000
#define BASE		0x800000	/* of the memory with a log */
#define PAGES		2048
#define SLOT		1
#define WORDS		(PAGES / 64)
#define STORES		20000		/* at a time, while it is copied */
#define ROUNDS		100		/* of copying */

/* 16-bit code with DS of 4 GiB at BASE; ESI counts down, then it exits to port 1. */
#define END(n)		0x66, 0x4e, 0x75, (uint8_t)-((n) + 4), 0xe6, 0x01
#define NEXT_PAGE	0x66, 0x01, 0xd7			/* add %edx, %edi */

static const uint8_t reads[] = { 0x67, 0x8a, 0x07, NEXT_PAGE, END(6) };	/* mov (%edi), %al */
static const uint8_t writes[] = { 0x67, 0x88, 0x07, NEXT_PAGE, END(6) }; /* mov %al, (%edi) */
static const uint8_t scatters[] = {
	0x66, 0x69, 0xd2, 0x0d, 0x66, 0x19, 0x00,	/* imul $0x19660d, %edx, %edx */
	0x66, 0x81, 0xc2, 0x5f, 0xf3, 0x6e, 0x3c,	/* add $0x3c6ef35f, %edx */
	0x66, 0x89, 0xd7,				/* mov %edx, %edi */
	0x66, 0xc1, 0xef, 0x09,				/* shr $9, %edi */
	0x66, 0x81, 0xe7, 0xfc, 0xff, 0x7f, 0x00,	/* and $0x7ffffc, %edi */
	0x67, 0x66, 0x89, 0x17,				/* mov %edx, (%edi) */
	END(32)
};

static struct vm vm;
static uint8_t *logged;			/* the memory with a log */

static uint32_t rnd(uint32_t n)
{
	return random64() % n;
}

/* Runs @program to its end: @count rounds, from page @first on, every @step pages. */
static void go(const uint8_t *program, size_t size, uint32_t count, uint32_t first, uint32_t step)
{
	struct umbra_state st = { .groups = UMBRA_STATE_REGS | UMBRA_STATE_SREGS };
	const struct vcpu *vcpu = &vm.vcpu[0];

	memcpy(vm.ram + CODE, program, size);
	if (ioctl(vcpu->fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	st.sregs.seg[UMBRA_CS].base = 0;
	st.sregs.seg[UMBRA_CS].selector = 0;
	st.sregs.seg[UMBRA_DS].base = BASE;
	st.sregs.seg[UMBRA_DS].limit = 0xffffffff;
	memset(&st.regs, 0, sizeof(st.regs));
	st.regs.rip = CODE;
	st.regs.rflags = 2;
	st.regs.gpr[UMBRA_RSI] = count;
	st.regs.gpr[UMBRA_RDI] = first * PAGE;
	st.regs.gpr[UMBRA_RDX] = step * PAGE;
	if (ioctl(vcpu->fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
	if (run(vcpu))
		die("UMBRA_RUN");
	if (vcpu->run->exit_reason != UMBRA_EXIT_IO || vcpu->run->io.port != 1) {
		fprintf(stderr, "dirtylog: exit reason %u\n", vcpu->run->exit_reason);
		exit(1);
	}
}

static void get_log(uint64_t *bits)
{
	struct umbra_dirty_log log = {
		.slot = SLOT,
		.bitmap = (uintptr_t)bits,
		.size = WORDS * sizeof(*bits),
	};

	if (ioctl(vm.fd, UMBRA_GET_DIRTY_LOG, &log))
		die("UMBRA_GET_DIRTY_LOG");
}

static bool is_set(const uint64_t *bits, unsigned int page)
{
	return bits[page / 64] >> page % 64 & 1;
}

/* The log has every @step-th page from @first on, @count of them, and no other. */
static void expect(const char *what, uint32_t count, uint32_t first, uint32_t step)
{
	uint64_t bits[WORDS], wanted[WORDS] = {};
	uint32_t i, page;

	get_log(bits);
	for (i = 0, page = first; i < count; i++, page += step)
		wanted[page / 64] |= 1ULL << page % 64;
	for (i = 0; i < PAGES; i++) {
		if (is_set(bits, i) == is_set(wanted, i))
			continue;
		fprintf(stderr, "dirtylog: %s: page %u is %s the log\n", what, i,
			is_set(bits, i) ? "in" : "not in");
		exit(1);
	}
}

static void exact(void)
{
	uint32_t first, step, count;
	int i;

	go(reads, sizeof(reads), PAGES, 0, 1);
	expect("only read", 0, 0, 1);
	go(writes, sizeof(writes), PAGES / 2, 1, 2);
	expect("first writes", PAGES / 2, 1, 2);
	expect("no more writes", 0, 0, 1);
	go(reads, sizeof(reads), PAGES, 0, 1);
	expect("read again", 0, 0, 1);
	go(writes, sizeof(writes), PAGES / 2, 1, 2);
	go(writes, sizeof(writes), PAGES / 4, 1, 4);
	expect("written twice", PAGES / 2, 1, 2);
	go(writes, sizeof(writes), PAGES, 0, 1);
	expect("all", PAGES, 0, 1);
	/* Pages that have gone, and come back when they are written. */
	if (madvise(logged, PAGES * PAGE / 2, MADV_DONTNEED))
		die("madvise");
	expect("gone", 0, 0, 1);
	for (i = 0; i < 20; i++) {
		first = rnd(PAGES);
		step = 1 + rnd(40);
		count = 1 + rnd((PAGES - first - 1) / step + 1);
		go(writes, sizeof(writes), count, first, step);
		expect("some", count, first, step);
	}
	printf("exact\n");
}

static volatile bool enough;

static void *scatter(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 1; !enough; i++)
		go(scatters, sizeof(scatters), STORES, 0, i);
	return NULL;
}

static unsigned long copy_logged(uint8_t *copy)
{
	uint64_t bits[WORDS];
	unsigned long n = 0;
	unsigned int i;

	get_log(bits);
	for (i = 0; i < PAGES; i++) {
		if (!is_set(bits, i))
			continue;
		memcpy(copy + i * PAGE, logged + i * PAGE, PAGE);
		n++;
	}
	return n;
}

static void copied(void)
{
	uint8_t *copy = malloc(PAGES * PAGE);
	unsigned long pages = 0;
	pthread_t thread;
	unsigned int i;

	if (!copy)
		die("malloc");
	copy_logged(copy);
	memcpy(copy, logged, PAGES * PAGE);
	if (pthread_create(&thread, NULL, scatter, NULL))
		die("pthread_create");
	for (i = 0; i < ROUNDS; i++) {
		usleep(1000 + rnd(3000));
		pages += copy_logged(copy);
	}
	enough = true;
	pthread_join(thread, NULL);
	if (pages < ROUNDS) {
		fprintf(stderr, "dirtylog: only %lu pages were written meanwhile\n", pages);
		exit(1);
	}
	copy_logged(copy);
	for (i = 0; i < PAGES; i++) {
		if (!memcmp(copy + i * PAGE, logged + i * PAGE, PAGE))
			continue;
		fprintf(stderr, "dirtylog: page %u differs from its copy\n", i);
		exit(1);
	}
	free(copy);
	printf("copied %lu pages while the guest ran\n", pages);
}

static void add_logged(void)
{
	struct umbra_memory memory = {
		.slot = SLOT,
		.flags = UMBRA_MEM_LOG_DIRTY,
		.gpa = BASE,
		.size = PAGES * PAGE,
	};

	logged = mmap(NULL, memory.size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (logged == MAP_FAILED)
		die("mmap");
	memory.uaddr = (uintptr_t)logged;
	if (ioctl(vm.fd, UMBRA_SET_MEMORY, &memory))
		die("UMBRA_SET_MEMORY");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: dirtylog nested|shadow [SEED]\n");
		return 2;
	}
	if (argc > 2)
		random_seed = strtoull(argv[2], NULL, 0);
	open_device();
	vm_create(&vm, paging_from(argv[1]), CODE_MEMORY, 1);
	add_logged();
	exact();
	copied();
	return 0;
}
