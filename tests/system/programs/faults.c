// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults nested|shadow: everything that can fail for want of memory, or
 * because user memory cannot be read or written, fails, one at a time.
 *
 * The kernel fails the Nth allocation or copy of a task that writes N to its
 * file fail-nth. Each path is walked with N = 1, 2, 3 ... until it no longer has
 * an Nth. What fails must say ENOMEM or EFAULT and leave no file open; then it must
 * work, and a whole guest run. What was not freed is found when the module is unloaded,
 * by its own count of pages, its slab caches and kmemleak.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common.h"

#define RAM_SIZE	(4 * MIB)
#define CODE		0x80000UL
#define STACK		0x90000UL
#define DATA		0x100000UL
#define DATA_PAGES	32
#define OTHER_GPA	0x40000000UL
#define MOST_FAULTS	3000

/* The address of each page is written to it; their sum is RAX, an APIC register R9. */
static const uint8_t guest_code[] = {
	0x48, 0xc7, 0xc1, DATA_PAGES, 0, 0, 0,		/* mov $pages, %rcx */
	0x48, 0xc7, 0xc7, 0, 0, DATA >> 16, 0,		/* mov $data, %rdi */
	0x48, 0x31, 0xc0,				/* xor %rax, %rax */
	0x48, 0x89, 0x3f,				/* 1: mov %rdi, (%rdi) */
	0x48, 0x03, 0x07,				/* add (%rdi), %rax */
	0x48, 0x81, 0xc7, 0, 0x10, 0, 0,		/* add $4096, %rdi */
	0x48, 0xff, 0xc9,				/* dec %rcx */
	0x75, 0xee,					/* jnz 1b */
	0x41, 0xb8, 0x30, 0, 0xe0, 0xfe,		/* mov $0xfee00030, %r8d */
	0x45, 0x8b, 0x08,				/* mov (%r8), %r9d */
	0xe6, 0x10,					/* out %al, $0x10 */
};

static int paging;
static int nth_fd = -1;
static uint8_t *other;			/* memory for a second slot */

/* What a path works on; made before it, without failures. */
static struct vm vm;

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	if (!dir)
		die("/proc/self/fd");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void arm(unsigned int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(nth_fd, text, n, 0) != n)
		die("fail-nth");
}

/* Returns whether the failure has come. Even this may be what fails. */
static bool disarm(void)
{
	char text[16] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) < 0 && errno != EFAULT)
		die("fail-nth");
	if (atoi(text) == 0 && text[0])
		return true;
	while (pwrite(nth_fd, "0", 1, 0) != 1)
		;
	return false;
}

static bool guest_works(void)
{
	uint64_t sum = 0;
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	int i, ret;

	memset(vm.ram, 0, RAM_SIZE);
	memcpy(vm.ram + CODE, guest_code, sizeof(guest_code));
	build_tables(vm.ram, RAM_SIZE);
	enter_long_mode(&vm.vcpu[0], CODE, STACK);
	ret = run(&vm.vcpu[0]);
	if (ret || vm.vcpu[0].run->exit_reason != UMBRA_EXIT_IO) {
		printf("UMBRA_RUN: %d, exit reason %u\n", ret, vm.vcpu[0].run->exit_reason);
		return false;
	}
	if (ioctl(vm.vcpu[0].fd, UMBRA_GET_STATE, &st))
		return false;
	for (i = 0; i < DATA_PAGES; i++)
		sum += DATA + i * PAGE;
	return st.regs.gpr[UMBRA_RAX] == sum;
}

/* Paths: each returns 0 or more, or a negative errno, and undoes what it did. */

static int path_open(void)
{
	int fd = open(UMBRA_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int path_create_vm(void)
{
	struct umbra_create_vm create = { .paging = paging };
	int fd = call(dev, UMBRA_CREATE_VM, &create);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int path_create_vcpu(void)
{
	struct umbra_create_vcpu create = { .id = 1 };
	int fd = call(vm.fd, UMBRA_CREATE_VCPU, &create);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int path_mmap_run(void)
{
	void *map = mmap(NULL, UMBRA_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vm.vcpu[0].fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, UMBRA_RUN_SIZE);
	return 0;
}

static int slot_call(uint64_t gpa, uint64_t size, uint32_t flags)
{
	struct umbra_memory memory = {
		.slot = 1, .flags = flags, .gpa = gpa, .size = size, .uaddr = (uintptr_t)other,
	};

	return call(vm.fd, UMBRA_SET_MEMORY, &memory);
}

static int path_add_slot(void)
{
	return slot_call(OTHER_GPA, 2 * MIB, UMBRA_MEM_LOG_DIRTY);
}

static int path_move_slot(void)
{
	return slot_call(2 * OTHER_GPA, 2 * MIB, UMBRA_MEM_LOG_DIRTY);
}

static int path_delete_slot(void)
{
	return slot_call(0, 0, 0);
}

static int path_dirty_log(void)
{
	static uint64_t bits[2 * MIB / PAGE / 64];
	struct umbra_dirty_log log = {
		.slot = 1, .bitmap = (uintptr_t)bits, .size = sizeof(bits),
	};

	return call(vm.fd, UMBRA_GET_DIRTY_LOG, &log);
}

/* Slot 1 is there already for the calls that need one. */
static void with_slot(void)
{
	if (path_add_slot())
		die("UMBRA_SET_MEMORY of slot 1");
}

static int path_first_run(void)
{
	int ret = run(&vm.vcpu[0]);

	if (!ret && vm.vcpu[0].run->exit_reason == UMBRA_EXIT_MEMORY_FAULT)
		return vm.vcpu[0].run->memory_fault.error;
	if (!ret && vm.vcpu[0].run->exit_reason != UMBRA_EXIT_IO) {
		printf("exit reason %u\n", vm.vcpu[0].run->exit_reason);
		return -EPROTO;
	}
	return ret;
}

static void ready_to_run(void)
{
	memcpy(vm.ram + CODE, guest_code, sizeof(guest_code));
	build_tables(vm.ram, RAM_SIZE);
	enter_long_mode(&vm.vcpu[0], CODE, STACK);
}

static int path_state(void)
{
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	int ret = call(vm.vcpu[0].fd, UMBRA_GET_STATE, &st);

	return ret ?: call(vm.vcpu[0].fd, UMBRA_SET_STATE, &st);
}

static int path_cpuid(void)
{
	static struct umbra_cpuid_entry entries[UMBRA_MAX_CPUID];
	struct umbra_cpuid cpuid = { .count = UMBRA_MAX_CPUID, .entries = (uintptr_t)entries };
	int ret = call(dev, UMBRA_SUPPORTED_CPUID, &cpuid);

	ret = ret ?: call(vm.vcpu[0].fd, UMBRA_SET_CPUID, &cpuid);
	cpuid.count = UMBRA_MAX_CPUID;
	return ret ?: call(vm.vcpu[0].fd, UMBRA_GET_CPUID, &cpuid);
}

static int path_msrs(void)
{
	static struct umbra_msr list[UMBRA_MAX_MSRS];
	struct umbra_msrs msrs = { .count = UMBRA_MAX_MSRS, .entries = (uintptr_t)list };
	int ret = call(dev, UMBRA_SUPPORTED_MSRS, &msrs);

	ret = ret ?: call(vm.vcpu[0].fd, UMBRA_GET_MSRS, &msrs);
	ret = ret < 0 ? ret : call(vm.vcpu[0].fd, UMBRA_SET_MSRS, &msrs);
	return ret < 0 ? ret : 0;
}

static int path_xsave(void)
{
	static uint8_t area[64 << 10] __attribute__((aligned(64)));
	struct umbra_xsave xsave = { .area = (uintptr_t)area, .size = sizeof(area) };
	int ret = call(vm.vcpu[0].fd, UMBRA_GET_XSAVE, &xsave);

	return ret < 0 ? ret : call(vm.vcpu[0].fd, UMBRA_SET_XSAVE, &xsave);
}

static int path_lapic(void)
{
	static struct umbra_lapic_state lapic;
	int ret = call(vm.vcpu[0].fd, UMBRA_GET_LAPIC, &lapic);

	return ret ?: call(vm.vcpu[0].fd, UMBRA_SET_LAPIC, &lapic);
}

static int path_small_calls(void)
{
	struct umbra_translate translate = { .gva = DATA };
	struct umbra_clock clock = {};
	struct umbra_msi msi = { .address = 0xfee00000, .data = 0x40 };
	struct umbra_pin pin = {};
	int ret = call(vm.vcpu[0].fd, UMBRA_TRANSLATE, &translate);

	ret = ret ?: call(vm.fd, UMBRA_GET_CLOCK, &clock);
	ret = ret ?: call(vm.fd, UMBRA_SET_CLOCK, &clock);
	ret = ret ?: call(vm.fd, UMBRA_SEND_MSI, &msi);
	ret = ret < 0 ? ret : call(vm.vcpu[0].fd, UMBRA_SET_PIN, &pin);
	return ret;
}

static int path_stats(void)
{
	static struct umbra_stat list[UMBRA_MAX_STATS];
	struct umbra_stats stats = { .count = UMBRA_MAX_STATS, .entries = (uintptr_t)list };
	int ret = call(vm.fd, UMBRA_GET_VM_STATS, &stats);

	stats.count = UMBRA_MAX_STATS;
	return ret < 0 ? ret : call(vm.vcpu[0].fd, UMBRA_GET_VCPU_STATS, &stats);
}

static const struct {
	const char *name;
	int (*path)(void);
	void (*before)(void);
	bool needs_vm;
} paths[] = {
	{ "open", path_open },
	{ "create VM", path_create_vm },
	{ "create vCPU", path_create_vcpu, NULL, true },
	{ "map the run area", path_mmap_run, NULL, true },
	{ "add a slot", path_add_slot, NULL, true },
	{ "move a slot", path_move_slot, with_slot, true },
	{ "delete a slot", path_delete_slot, with_slot, true },
	{ "dirty log", path_dirty_log, with_slot, true },
	{ "first run", path_first_run, ready_to_run, true },
	{ "state", path_state, NULL, true },
	{ "CPUID", path_cpuid, NULL, true },
	{ "MSRs", path_msrs, NULL, true },
	{ "XSAVE", path_xsave, NULL, true },
	{ "local APIC", path_lapic, NULL, true },
	{ "translate, clock, MSI, pin", path_small_calls, ready_to_run, true },
	{ "statistics", path_stats, NULL, true },
};

/* One walk with the Nth failing: 1 if it came, 0 if there is no Nth, -1 if it is wrong. */
static int walk(size_t i, unsigned int nth)
{
	int fds = count_fds(), ret;
	bool came, ok = true;

	if (paths[i].needs_vm)
		vm_create(&vm, paging, RAM_SIZE, 1);
	if (paths[i].before)
		paths[i].before();
	arm(nth);
	ret = paths[i].path();
	came = disarm();
	if (came ? ret < 0 && ret != -ENOMEM && ret != -EFAULT : ret < 0) {
		printf("%s, failure %u (%s): %d, %s\n", paths[i].name, nth, came ? "came" : "none",
		       ret, strerror(-ret));
		ok = false;
	}
	/* What failed once must work when it is done again, on the same VM. */
	if (came && ret < 0) {
		ret = paths[i].path();
		if (ret < 0) {
			printf("%s, after failure %u: %s\n", paths[i].name, nth, strerror(-ret));
			ok = false;
		}
	}
	/* And guests work, on this VM or a new one. */
	if (!paths[i].needs_vm)
		vm_create(&vm, paging, RAM_SIZE, 1);
	if (!guest_works()) {
		printf("%s, after failure %u: no guest runs\n", paths[i].name, nth);
		ok = false;
	}
	vm_destroy(&vm);
	if (count_fds() != fds) {
		printf("%s, failure %u: files stay open\n", paths[i].name, nth);
		ok = false;
	}
	return ok ? came : -1;
}

static void all_paths(void)
{
	unsigned int nth;
	bool ok;
	size_t i;
	int came;

	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		ok = walk(i, MOST_FAULTS) == 0;
		came = 1;
		for (nth = 1; ok && came > 0 && nth < MOST_FAULTS; nth++) {
			came = walk(i, nth);
			ok = came >= 0;
		}
		check(ok && came == 0 && nth > 2, "%s: %u failures", paths[i].name, nth - 2);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: faults nested|shadow\n");
		return 2;
	}
	nth_fd = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		die("/proc/self/fail-nth: needs a kernel with fault injection");
	paging = paging_from(argv[1]);
	open_device();
	other = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (other == MAP_FAILED)
		die("mmap");
	all_paths();
	return finish();
}
