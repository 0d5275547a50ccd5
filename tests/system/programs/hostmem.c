// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory follows the host's: a guest checks and counts up every page of
 * its memory, over and over, while the host swaps, moves, merges, splits, copies
 * and replaces what is behind it.
 *
 *	hostmem nested|shadow VCPUS [CASE]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define MEMORY		(16 * MIB)
#define CODE		0x8000UL
#define EXPECT(v)	(0x40000UL + (v) * 0x8000UL)	/* u64[PAGES], what must be in each page */
#define CONTROL(v)	(0x60000UL + (v) * PAGE)
#define STACK(v)	(0x70000UL + ((v) + 1) * PAGE)
#define DATA		(4 * MIB)			/* where it works; the code is told */
#define PAGES		2048UL
#define ALIASES		16UL			/* times that this can be mapped, in a row */
#define ALIAS_SIZE	(16 * MIB)		/* MEMORY; all are the 256 MiB the code wraps at */
#define ALIAS_PT	(1 * MIB)		/* their leaf tables */
#define SWAPPED		512UL	/* pages that must have been swapped out */
#define SCATTERED	(4 * MIB)	/* of single pages; each takes milliseconds to move */
#define SECONDS		1.5	/* that something is done to a running guest */
/* Seconds that it may take to happen, or a guest to go through its pages. */
#define LIMIT		40

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/* What the guest and its monitor tell each other. Offsets are known to the code below. */
struct control {
	uint64_t stop;		/* 0x00: in: wait at the end of a round */
	uint64_t stopped;	/* 0x08: out: waits */
	uint64_t rounds;	/* 0x10: out */
	uint64_t bad_page;	/* 0x18: out: address of a page with another value */
	uint64_t bad_value;	/* 0x20 */
	uint64_t bad_expected;	/* 0x28 */
	uint64_t read_only;	/* 0x30: in: only look, do not write */
	uint64_t stride;	/* 0x38: in: between one round's addresses and the next's */
};

/*
 * RDI: struct control. RSI: the words expected. RBX: first word to work on, of
 * one page. A round counts each page's word up, having compared it; the next one
 * may see the same pages at other addresses. Between rounds it may have to wait,
 * after which the TLB is flushed, as the tables may have changed. Port 1 ends it
 * when a word is not as it was left.
 */
asm(".pushsection .rodata\n"
	"guest_begin:\n"
	"	xor %ecx, %ecx\n"
	"	mov %rbx, %rdx\n"
	"1:	mov (%rdx), %rax\n"
	"	cmp (%rsi,%rcx,8), %rax\n"
	"	jne 4f\n"
	"	cmpq $0, 0x30(%rdi)\n"
	"	jne 2f\n"
	"	inc %rax\n"
	"	mov %rax, (%rdx)\n"
	"	mov %rax, (%rsi,%rcx,8)\n"
	"2:	add $4096, %rdx\n"
	"	inc %rcx\n"
	"	cmp $2048, %rcx\n"
	"	jb 1b\n"
	"	incq 0x10(%rdi)\n"
	"	add 0x38(%rdi), %rbx\n"
	"	and $0x0fffffff, %ebx\n"
	"	cmpq $0, (%rdi)\n"
	"	je guest_begin\n"
	"	movq $1, 8(%rdi)\n"
	"3:	pause\n"
	"	cmpq $0, (%rdi)\n"
	"	jne 3b\n"
	"	movq $0, 8(%rdi)\n"
	"	mov %cr3, %rax\n"
	"	mov %rax, %cr3\n"
	"	jmp guest_begin\n"
	"4:	mov %rdx, 0x18(%rdi)\n"
	"	mov %rax, 0x20(%rdi)\n"
	"	mov (%rsi,%rcx,8), %rax\n"
	"	mov %rax, 0x28(%rdi)\n"
	"	out %al, $1\n"
	"5:	jmp 5b\n"
	"guest_end:\n"
	".popsection\n");
extern const uint8_t guest_begin[], guest_end[];

struct thread {
	pthread_t thread;
	struct vcpu *vcpu;
	volatile bool ended;
	int result;
};

static struct vm vm;
static int paging;
static unsigned int vcpus;
static struct thread threads[2];
static volatile bool quit;

static volatile struct control *control(unsigned int v)
{
	return (void *)(vm.ram + CONTROL(v));
}

static uint64_t *expected(unsigned int v)
{
	return (uint64_t *)(vm.ram + EXPECT(v));
}

/* Each vCPU has a word of its own in every page. */
static uint64_t word_offset(unsigned int v)
{
	return v * 2048 + 8;
}

static void *vcpu_thread(void *arg)
{
	struct thread *t = arg;

	do {
		t->result = call(t->vcpu->fd, UMBRA_RUN, NULL);
	} while (t->result == -EINTR && !quit);
	t->ended = true;
	return NULL;
}

static void say_why(unsigned int v)
{
	const struct vcpu *vcpu = &vm.vcpu[v];

	if (threads[v].result) {
		printf("vCPU %u: UMBRA_RUN: %s\n", v, strerror(-threads[v].result));
		return;
	}
	if (vcpu->run->exit_reason != UMBRA_EXIT_IO) {
		printf("vCPU %u: exit reason %u, gpa %#llx, error %d\n", v, vcpu->run->exit_reason,
		       (unsigned long long)vcpu->run->memory_fault.gpa,
		       vcpu->run->memory_fault.error);
		return;
	}
	printf("vCPU %u: at %#lx there is %#lx instead of %#lx\n", v, control(v)->bad_page,
	       control(v)->bad_value, control(v)->bad_expected);
}

static bool alive(void)
{
	unsigned int v;

	for (v = 0; v < vcpus; v++)
		if (threads[v].ended)
			return false;
	return true;
}

/* Waits until every vCPU has gone through @rounds more rounds. */
static bool wait_rounds(unsigned int rounds)
{
	uint64_t goal[2];
	unsigned int v;
	double limit = now() + LIMIT;

	for (v = 0; v < vcpus; v++)
		goal[v] = control(v)->rounds + rounds;
	for (v = 0; v < vcpus; v++) {
		while (control(v)->rounds < goal[v]) {
			if (!alive())
				return false;
			if (now() > limit) {
				printf("vCPU %u makes no progress\n", v);
				return false;
			}
			usleep(1000);
		}
	}
	return true;
}

/* The guest waits in a loop of its own: it does not leave guest mode for it. */
static bool pause_guest(void)
{
	double limit = now() + LIMIT;
	unsigned int v;

	for (v = 0; v < vcpus; v++)
		control(v)->stop = 1;
	for (v = 0; v < vcpus; v++) {
		while (!control(v)->stopped) {
			if (!alive() || now() > limit)
				return false;
			usleep(1000);
		}
	}
	return true;
}

static void go_on(void)
{
	unsigned int v;

	for (v = 0; v < vcpus; v++)
		control(v)->stop = 0;
	for (v = 0; v < vcpus; v++)
		while (control(v)->stopped && alive())
			usleep(500);
}

/* What the monitor sees must be what the guest has written. */
static bool host_agrees(uint64_t data)
{
	unsigned int v;
	size_t i;

	for (v = 0; v < vcpus; v++) {
		for (i = 0; i < PAGES; i++) {
			uint64_t seen = *(volatile uint64_t *)(vm.ram + data + i * PAGE +
							       word_offset(v));

			if (seen != expected(v)[i]) {
				printf("the monitor sees %#lx in page %zu instead of %#lx\n", seen,
				       i, expected(v)[i]);
				return false;
			}
		}
	}
	return true;
}

static uint64_t *page_directory(void)
{
	return (uint64_t *)(vm.ram + LONG_CR3 + 2 * PAGE);
}

/* Maps the data many times, each time by tables of its own. */
static void map_aliases(void)
{
	uint64_t *pt = (uint64_t *)(vm.ram + ALIAS_PT), *pd = page_directory();
	unsigned int v;
	size_t a, i;

	for (a = 1; a < ALIASES; a++, pt += PAGES) {
		for (i = 0; i < PAGES; i++)
			pt[i] = (DATA + i * PAGE) | 7;
		for (i = 0; i < PAGES / 512; i++)
			pd[(a * ALIAS_SIZE + DATA) / (2 * MIB) + i] =
				((uint8_t *)pt - vm.ram + i * PAGE) | 7;
	}
	for (v = 0; v < vcpus; v++)
		control(v)->stride = ALIAS_SIZE;
}

/* Maps the data by large pages. */
static void map_large(void)
{
	uint64_t *pd = page_directory();
	size_t i;

	for (i = DATA / (2 * MIB); i < DATA / (2 * MIB) + PAGES / 512; i++)
		pd[i] = i * 2 * MIB | 0x87;
}

static void start(void (*map)(void))
{
	unsigned int v;

	vm_create(&vm, paging, MEMORY, vcpus);
	build_tables(vm.ram, MEMORY);
	if (map)
		map();
	memcpy(vm.ram + CODE, guest_begin, guest_end - guest_begin);
	quit = false;
	for (v = 0; v < vcpus; v++) {
		struct umbra_state st = { .groups = UMBRA_STATE_REGS };

		enter_long_mode(&vm.vcpu[v], CODE, STACK(v));
		if (call(vm.vcpu[v].fd, UMBRA_GET_STATE, &st))
			die("UMBRA_GET_STATE");
		st.regs.gpr[UMBRA_RDI] = CONTROL(v);
		st.regs.gpr[UMBRA_RSI] = EXPECT(v);
		st.regs.gpr[UMBRA_RBX] = DATA + word_offset(v);
		if (call(vm.vcpu[v].fd, UMBRA_SET_STATE, &st))
			die("UMBRA_SET_STATE");
		threads[v] = (struct thread) { .vcpu = &vm.vcpu[v] };
		if (pthread_create(&threads[v].thread, NULL, vcpu_thread, &threads[v]))
			die("pthread_create");
	}
}

static void on_signal(int sig)
{
	(void)sig;
}

static void stop(void)
{
	unsigned int v;

	quit = true;
	for (v = 0; v < vcpus; v++) {
		while (!threads[v].ended) {
			pthread_kill(threads[v].thread, SIGUSR1);
			usleep(1000);
		}
		pthread_join(threads[v].thread, NULL);
	}
	vm_destroy(&vm);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		printf("%s: %s\n", path, strerror(errno));
	close(fd);
}

/* A counter of /proc/vmstat, or the number in a file of its own. */
static unsigned long counter(const char *path, const char *name)
{
	char line[128], found[96];
	unsigned long value = 0;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (!name && sscanf(line, "%lu", &value) == 1)
			break;
		if (name && sscanf(line, "%95s %lu", found, &value) == 2 && !strcmp(found, name))
			break;
		value = 0;
	}
	if (f)
		fclose(f);
	return value;
}

#define VMSTAT	"/proc/vmstat"

/* ------------------------------------------------------------------ */
/* What goes on under the running guest; each returns whether it happened at all. */

static bool swap_out(void)
{
	unsigned long before = counter(VMSTAT, "pswpout");
	double end = now() + LIMIT;

	/*
	 * As often as it takes: pages that were just faulted in are not on a list
	 * to be found, and those that several vCPUs keep touching are left alone.
	 * So every second time the guest, still in guest mode, touches nothing.
	 */
	while (now() < end && counter(VMSTAT, "pswpout") - before < SWAPPED) {
		madvise(vm.ram, MEMORY, MADV_PAGEOUT);
		if (!wait_rounds(1))
			return true;
		if (!pause_guest())
			return true;
		madvise(vm.ram, MEMORY, MADV_PAGEOUT);
		madvise(vm.ram, MEMORY, MADV_PAGEOUT);
		go_on();
	}
	printf("pages swapped out: %lu\n", counter(VMSTAT, "pswpout") - before);
	return counter(VMSTAT, "pswpout") - before >= SWAPPED;
}

/* Free memory in single pages, for compaction to have a reason to move others. */
static uint8_t *scatter_free_memory(size_t size)
{
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, size, MADV_NOHUGEPAGE);
	memset(p, 1, size);
	for (i = 0; i < size; i += 2 * PAGE)
		madvise(p + i, PAGE, MADV_DONTNEED);
	return p;
}

static bool compact(void)
{
	unsigned long before = counter(VMSTAT, "pgmigrate_success"), moved = 0;
	double end = now() + SECONDS, limit = now() + LIMIT;
	uint8_t *scattered[5] = { NULL };
	size_t size = SCATTERED;
	unsigned int i, n = 0;

	for (i = 0; i < 4 || now() < end || (moved <= 16 && now() < limit); i++) {
		/* More than is needed takes long, and less moves nothing. */
		if (i % 4 == 0 && moved <= 16 && n < ARRAY_SIZE(scattered)) {
			scattered[n++] = scatter_free_memory(size);
			size *= 2;
		}
		madvise(vm.ram + (i % 8) * 2 * MIB, 2 * MIB, MADV_PAGEOUT);
		write_file("/proc/sys/vm/compact_memory", "1");
		if (!wait_rounds(1))
			break;
		moved = counter(VMSTAT, "pgmigrate_success") - before;
	}
	while (n--)
		munmap(scattered[n], SCATTERED << n);
	return moved > 16 || !alive();
}

static bool fork_monitor(void)
{
	unsigned int i;

	for (i = 0; i < 5 && alive(); i++) {
		int status;
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			/* The guest of the parent must not write into the child's copy. */
			uint64_t *word = (uint64_t *)(vm.ram + DATA + word_offset(0));
			uint64_t before = *(volatile uint64_t *)word;

			usleep(50000);
			_exit(*(volatile uint64_t *)word != before);
		}
		if (waitpid(pid, &status, 0) != pid || status) {
			printf("the child saw its memory change\n");
			return false;
		}
		if (!wait_rounds(1))
			break;
	}
	return true;
}

static bool huge_pages(void)
{
	double end = now() + SECONDS;
	unsigned int done = 0;
	uint8_t *first = (uint8_t *)(((uintptr_t)vm.ram + 2 * MIB - 1) & -(2 * MIB));

	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs", "10");
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/alloc_sleep_millisecs", "10");
	write_file("/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan", "8192");
	while (now() < end) {
		uint8_t *p;

		madvise(vm.ram, MEMORY, MADV_HUGEPAGE);
		for (p = first; p + 2 * MIB <= vm.ram + MEMORY; p += 2 * MIB)
			done += !madvise(p, 2 * MIB, MADV_COLLAPSE);
		if (!wait_rounds(1))
			return true;
		/* A change of one page's rights splits what it is part of. */
		madvise(vm.ram, MEMORY, MADV_NOHUGEPAGE);
		write_file("/sys/kernel/debug/split_huge_pages", "1");
		for (p = first; p + 2 * MIB <= vm.ram + MEMORY; p += 2 * MIB)
			madvise(p + 64 * PAGE, PAGE, MADV_PAGEOUT);
		if (!wait_rounds(1))
			return true;
	}
	return done || counter(VMSTAT, "thp_collapse_alloc");
}

/* Idle page tracking asks for, and clears, accessed bits; so does reclaim. */
static bool age(void)
{
	double end = now() + SECONDS;

	while (now() < end) {
		madvise(vm.ram, MEMORY, MADV_COLD);
		if (!wait_rounds(1))
			break;
	}
	return true;
}

static const struct {
	const char *name;
	bool (*happen)(void);
} disturbances[] = {
	{ "swap", swap_out },
	{ "compact", compact },
	{ "fork", fork_monitor },
	{ "thp", huge_pages },
	{ "age", age },
};

static void disturb(size_t i)
{
	double began = now();
	bool happened, ok;
	unsigned int v;

	start(NULL);
	ok = wait_rounds(2);
	happened = ok && disturbances[i].happen();
	ok = ok && wait_rounds(2) && pause_guest() && host_agrees(DATA);
	for (v = 0; v < vcpus; v++)
		if (threads[v].ended)
			say_why(v);
	if (ok && !happened) {
		printf("what was to be done to the guest's memory did not happen\n");
		ok = false;
	}
	printf("%.1f s:\n", now() - began);
	check(ok && alive(), "%s", disturbances[i].name);
	stop();
}

/* ------------------------------------------------------------------ */
/* What is done while the guest waits, so that it is known what it must see. */

/* A hole reads as zeroes, also under tables that have mapped the pages before. */
static bool punch(void)
{
	unsigned int v, round;
	size_t i;

	for (round = 0; round < 10; round++) {
		if (!pause_guest())
			return false;
		for (i = round; i < PAGES; i += 3) {
			if (madvise(vm.ram + DATA + i * PAGE, PAGE, MADV_DONTNEED))
				die("MADV_DONTNEED");
			for (v = 0; v < vcpus; v++)
				expected(v)[i] = 0;
		}
		go_on();
		if (!wait_rounds(2))
			return false;
	}
	return true;
}

/* Other memory with other content at the same address, mapped over or moved there. */
static void replace_page(size_t i, bool move)
{
	uint8_t *page = vm.ram + DATA + i * PAGE, *other;
	unsigned int v;

	if (move) {
		other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*(volatile uint64_t *)other = 1;
		if (mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page) != page)
			die("mremap");
	} else {
		if (munmap(page, PAGE))
			die("munmap");
		other = mmap(page, PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (other != page)
			die("mmap");
	}
	for (v = 0; v < vcpus; v++) {
		uint64_t value = random64();

		memcpy(page + word_offset(v), &value, 8);
		expected(v)[i] = value;
	}
}

static bool replace(void)
{
	unsigned int round;
	size_t i;

	for (round = 0; round < 10; round++) {
		if (!pause_guest())
			return false;
		for (i = round; i < PAGES; i += 64)
			replace_page(i, !(round & 1));
		go_on();
		if (!wait_rounds(2))
			return false;
	}
	return true;
}

/* Every mapping of a page must have gone, however many there were. */
static bool replace_aliases(void)
{
	unsigned int round;
	size_t i;

	for (round = 0; round < 2; round++) {
		if (!wait_rounds(ALIASES) || !pause_guest())
			return false;
		for (i = round; i < PAGES; i += 16)
			replace_page(i, round);
		go_on();
	}
	return wait_rounds(ALIASES);
}

/* A page that was part of a large one. */
static bool replace_large(void)
{
	uint8_t *p, *end = vm.ram + DATA + PAGES * PAGE;
	unsigned int round, large = 0;

	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	for (round = 0; round < 10; round++) {
		for (p = vm.ram + DATA; p < end; p += 2 * MIB)
			large += !madvise(p, 2 * MIB, MADV_HUGEPAGE) &&
				 !madvise(p, 2 * MIB, MADV_COLLAPSE);
		if (!wait_rounds(2) || !pause_guest())
			return false;
		replace_page((round * 301 + 7) % PAGES, round & 1);
		go_on();
		if (!wait_rounds(2))
			return false;
	}
	if (!large)
		printf("there were no large pages\n");
	return large;
}

/* Pages of the same content become one; a write gives the guest a copy of its own. */
static bool merge(void)
{
	unsigned long merged = 0;
	double limit;
	unsigned int v;
	size_t i;

	if (!pause_guest())
		return false;
	for (i = 0; i < PAGES; i++) {
		memset(vm.ram + DATA + i * PAGE, 0x5a, PAGE);
		for (v = 0; v < vcpus; v++)
			expected(v)[i] = 0x5a5a5a5a5a5a5a5a;
	}
	for (v = 0; v < vcpus; v++)
		control(v)->read_only = 1;
	go_on();
	if (!wait_rounds(1))
		return false;
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "10000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "5");
	if (madvise(vm.ram + DATA, PAGES * PAGE, MADV_MERGEABLE))
		die("MADV_MERGEABLE");
	write_file("/sys/kernel/mm/ksm/run", "1");
	for (limit = now() + LIMIT; now() < limit && merged < PAGES / 2; usleep(10000))
		merged = counter("/sys/kernel/mm/ksm/pages_sharing", NULL);
	if (merged < PAGES / 2) {
		printf("only %lu pages were merged\n", merged);
		return false;
	}
	if (!wait_rounds(1))
		return false;
	for (v = 0; v < vcpus; v++)
		control(v)->read_only = 0;
	/* Copies have the same content again, which must not happen as fast as they are made. */
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "500");
	if (!wait_rounds(3))
		return false;
	write_file("/sys/kernel/mm/ksm/run", "2");
	return wait_rounds(2);
}

/* Exchange the contents of two leaf tables by putting new pages in their places. */
static bool replace_tables(void)
{
	unsigned int v, round;
	size_t i;

	for (round = 0; round < 20; round++) {
		size_t a = DATA / (2 * MIB) + round % 4, b = DATA / (2 * MIB) + (round * 3 + 1) % 4;
		size_t first_a = (a - DATA / (2 * MIB)) * 512;
		size_t first_b = (b - DATA / (2 * MIB)) * 512;
		uint8_t *pt_a = vm.ram + LONG_PT + a * PAGE, *pt_b = vm.ram + LONG_PT + b * PAGE;
		uint8_t *copy_a, *copy_b;

		if (a == b)
			continue;
		if (!pause_guest())
			return false;
		copy_a = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		copy_b = copy_a + PAGE;
		memcpy(copy_a, pt_b, PAGE);
		memcpy(copy_b, pt_a, PAGE);
		if (mremap(copy_a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, pt_a) != pt_a ||
		    mremap(copy_b, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, pt_b) != pt_b)
			die("mremap");
		/* The words are where they were, the addresses of the pages have changed. */
		for (v = 0; v < vcpus; v++) {
			for (i = 0; i < 512; i++) {
				uint64_t *e = expected(v), t = e[first_a + i];

				e[first_a + i] = e[first_b + i];
				e[first_b + i] = t;
			}
		}
		go_on();
		if (!wait_rounds(2))
			return false;
	}
	return true;
}

/* Swapped out and in, tables must still say the same. */
static bool swap_tables(void)
{
	unsigned int round;

	for (round = 0; round < 30; round++) {
		if (madvise(vm.ram + LONG_CR3, 4 * PAGE, MADV_PAGEOUT) ||
		    madvise(vm.ram + LONG_PT, 8 * PAGE, MADV_PAGEOUT))
			die("MADV_PAGEOUT");
		if (!wait_rounds(1))
			return false;
	}
	return true;
}

static const struct {
	const char *name;
	bool (*change)(void);
	bool moved;		/* pages are no longer where the guest sees them */
	void (*map)(void);	/* the data, in another way than by one table of small pages */
} changes[] = {
	{ "punch", punch },
	{ "replace", replace },
	{ "replace-aliases", replace_aliases, .map = map_aliases },
	{ "replace-large", replace_large, .map = map_large },
	{ "ksm", merge },
	{ "replace-tables", replace_tables, .moved = true },
	{ "swap-tables", swap_tables },
};

static void change(size_t i)
{
	double began = now();
	unsigned int v;
	bool ok;

	start(changes[i].map);
	ok = wait_rounds(2) && changes[i].change() && pause_guest() &&
	     (changes[i].moved || host_agrees(DATA));
	for (v = 0; v < vcpus; v++)
		if (threads[v].ended)
			say_why(v);
	printf("%.1f s:\n", now() - began);
	check(ok && alive(), "%s", changes[i].name);
	stop();
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	const char *only;
	size_t i;

	if (argc < 3 || argc > 4 || (strcmp(argv[2], "1") && strcmp(argv[2], "2"))) {
		fprintf(stderr, "usage: hostmem nested|shadow 1|2 [CASE]\n");
		return 2;
	}
	paging = paging_from(argv[1]);
	vcpus = atoi(argv[2]);
	only = argc == 4 ? argv[3] : NULL;
	sigaction(SIGUSR1, &action, NULL);
	open_device();
	for (i = 0; i < ARRAY_SIZE(disturbances); i++)
		if (!only || !strcmp(only, disturbances[i].name))
			disturb(i);
	for (i = 0; i < ARRAY_SIZE(changes); i++)
		if (!only || !strcmp(only, changes[i].name))
			change(i);
	return finish();
}
