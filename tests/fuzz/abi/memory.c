// SPDX-License-Identifier: GPL-2.0-only
/* Guests' memory: what is behind a slot, and what becomes of it while guests run. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi.h"
#include "soup.h"

#ifndef MADV_COLD
#define MADV_COLD		20
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

static uint8_t *somewhere(size_t *size)
{
	unsigned int page = one_in(3) ? 0 : below(ARENA_SIZE / PAGE);
	unsigned int left = ARENA_SIZE / PAGE - page;

	*size = PAGE * (one_in(3) ? left : 1 + below(one_in(2) && left > 4 ? 4 : left));
	return ARENA(below(ARENAS)) + page * PAGE;
}

/*
 * A mapping that may be of huge pages, in pieces that do not cross from one to the next, of
 * which Linux can take away the whole only: when 6.1 splits a mapping of huge pages it warns
 * of a lock of its own (hugetlb_split()).
 */
static void map_pieces(uint8_t *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	size_t piece;

	for (; size; at += piece, size -= piece, offset += piece) {
		piece = HUGE_SIZE - (uintptr_t)at % HUGE_SIZE;
		if (piece > size)
			piece = size;
		mmap(at, piece, prot, flags, fd, fd < 0 ? 0 : offset);
	}
}

static void map(uint8_t *at, size_t size)
{
	static const int prots[] = { PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ,
		PROT_NONE, PROT_READ | PROT_WRITE | PROT_EXEC };
	int prot = prots[below(ARRAY_SIZE(prots))], fixed = MAP_FIXED;
	struct object *o;

	if (one_in(4))
		fixed |= MAP_POPULATE;
	if (one_in(8))
		fixed |= MAP_NORESERVE;
	switch (below(8)) {
	case 0 ... 2:
		mmap(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
		break;
	case 3:
		mmap(at, size, prot, MAP_SHARED | MAP_ANONYMOUS | fixed, -1, 0);
		break;
	case 4:
	case 5:
		o = &files[below(FILES)];
		map_pieces(at, size, prot, (one_in(2) ? MAP_SHARED : MAP_PRIVATE) | fixed, o->fd,
			   one_in(2) ? 0 : below(64) * PAGE);
		break;
	case 6:
		/* The run area of a vCPU as a guest's memory. */
		mmap(at, UMBRA_RUN_SIZE, prot, MAP_SHARED | fixed, vcpus[below(VCPUS)].fd, 0);
		break;
	default:
		map_pieces(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | fixed, -1,
			   0);
	}
}

static unsigned int kinds;	/* of instructions */

static int new_file(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC | (one_in(4) ? MFD_HUGETLB : 0));

	/* If there are too few huge pages it stays empty, which is fine, too. */
	if (fd >= 0)
		(void)!ftruncate(fd, ARENA_SIZE);
	return fd;
}

void arenas_setup(void)
{
	unsigned int i;

	kinds = soup_kinds();
	for (i = 0; i < FILES; i++)
		files[i].fd = new_file();
	for (i = 0; i < ARENAS; i++) {
		mmap(ARENA(i), ARENA_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (i && one_in(2))
			map(ARENA(i), ARENA_SIZE);
	}
}

void set_some_slot(void)
{
	static const uint64_t addresses[] = { 0, 0x10000, 0xffffffff81000000, 0x8000000000000000,
		0x7ffffffff000, 0x7fffffffe000, 0xffff888000000000, 0xffffffffff600000, ~0xfffUL };
	struct umbra_memory memory = {
		.slot = one_in(4) ? below(UMBRA_MAX_SLOTS) : below(4),
		.flags = one_in(3) ? below(4) : 0,
	};
	size_t size;

	memory.uaddr = (uintptr_t)somewhere(&size);
	memory.size = one_in(8) ? 0 : size;
	memory.gpa = memory.uaddr & (ARENA_SIZE - 1);
	if (one_in(3)) {
		memory.slot = 0;
		memory.uaddr = (uintptr_t)ARENA(below(ARENAS));
		memory.size = ARENA_SIZE;
		memory.gpa = 0;
	}
	switch (below(16)) {
	case 0:
		memory.gpa = some_value() & ~(PAGE - 1);
		break;
	case 1:
		memory.uaddr = addresses[below(ARRAY_SIZE(addresses))];
		break;
	case 2:
		memory.size = some_value() & ~(PAGE - 1);
		break;
	case 3:
		memory.gpa = 0xfee00000 - below(16) * PAGE;
		break;
	case 4:
		((uint8_t *)&memory)[below(sizeof(memory))] = random64();
		break;
	}
	try_call(vms[below(VMS)].fd, UMBRA_SET_MEMORY, &memory);
}

void change_memory(void)
{
	static const int advice[] = { MADV_DONTNEED, MADV_DONTNEED, MADV_FREE, MADV_REMOVE,
		MADV_COLD, MADV_PAGEOUT, MADV_PAGEOUT, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_COLLAPSE, MADV_POPULATE_READ,
		MADV_POPULATE_WRITE, MADV_WILLNEED, MADV_DONTNEED_LOCKED, MADV_DONTFORK,
		MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK };
	static const int prots[] = { PROT_READ, PROT_NONE, PROT_READ | PROT_WRITE,
				     PROT_READ | PROT_WRITE };
	size_t size, other;
	uint8_t *at = somewhere(&size), *to;
	int fd = files[below(FILES)].fd;

	switch (below(10)) {
	case 0:
		munmap(at, size);
		break;
	case 1:
		map(at, size);
		break;
	case 2:
	case 3:
		mprotect(at, size, prots[below(ARRAY_SIZE(prots))]);
		break;
	case 4 ... 6:
		madvise(at, size, advice[below(ARRAY_SIZE(advice))]);
		break;
	case 7:
		to = somewhere(&other);
		mremap(at, size, one_in(4) ? other : size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		break;
	case 8:
		if (one_in(2))
			(void)!ftruncate(fd,
					 one_in(3) ? ARENA_SIZE : below(ARENA_SIZE / PAGE) * PAGE);
		else
			fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  below(ARENA_SIZE / PAGE) * PAGE, size);
		break;
	default:
		if (one_in(2))
			mlock(at, size < 64 * PAGE ? size : 64 * PAGE);
		else
			munlock(at, size);
	}
	if (one_in(8)) {
		fd = atomic_exchange(&files[below(FILES)].fd, new_file());
		if (fd >= 0)
			close(fd);
	}
}

/* Tables, code and data for a guest, over whatever is there. */
static void write_system(uint8_t *ram)
{
	unsigned int i, at;
	uint64_t *table;

	build_tables(ram, ARENA_SIZE);
	for (i = below(32); i; i--) {
		/* Entries that are wrong, alias others, or make a table map itself. */
		table = (uint64_t *)(ram + (one_in(2) ? LONG_PT : LONG_CR3));
		table[below(one_in(2) ? 16 : 1024)] = one_in(2) ? some_value() :
			(uint64_t)below(ARENA_SIZE / PAGE) * PAGE | (random64() & 0xfff) | 1;
	}
	for (at = 0x8000; at < 0x10000; at += 0x800) {
		unsigned int used = soup(ram + at, 0x200, 1 + below(12),
					 one_in(4) ? SOUP_16 :
					 one_in(4) ? SOUP_32 :
						     SOUP_64,
					 kinds);

		/* Back to the beginning: jmp rel32 and jmp rel16 have the same opcode. */
		ram[at + used] = 0xe9;
		*(uint32_t *)(ram + at + used + 1) = -(used + 5);
	}
	memset(ram, 0, 0x1000);
	for (i = 0; i < 256; i++) {
		uint64_t *gate = (uint64_t *)(ram + 0x6000 + i * 8);

		/* Gates of 32-bit code; a pair of them is one of 64-bit code, of any sense. */
		*gate = 0x8e0000080000 | (0x8000 + below(16) * 0x800);
		*(uint32_t *)(ram + i * 4) = 0x8000 + below(16) * 0x800;
	}
}

void write_guest(void)
{
	uint8_t *ram = ARENA(below(ARENAS));
	size_t size;

	switch (below(3)) {
	case 0:
		TRY(write_system(ram));
		break;
	case 1:
		ram = somewhere(&size);
		TRY(random_bytes(ram + below(PAGE), 1 + below(64)));
		break;
	default:
		TRY(soup(ram + 0x8000 + below(16) * 0x800 + below(64), 64, 1 + below(3), SOUP_64,
			 kinds));
	}
}

void scribble(void)
{
	uint8_t *page = (uint8_t *)vcpus[below(VCPUS)].run;
	unsigned int i;

	if (!page)
		return;
	for (i = 1 + below(64); i; i--) {
		if (one_in(4))
			TRY(page[8 + below(120)] = random64());
		else if (one_in(16))
			TRY(page[0] = random64() & 1);
		else
			TRY(random_bytes(page + (one_in(4) ? UMBRA_RUN_IO_OFFSET : 16), 16));
	}
}
