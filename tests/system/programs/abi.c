// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ABI as a hostile monitor uses it: each call with everything that can be
 * wrong with it must give the right errno, and the host must not mind.
 *
 *	abi nested|shadow [SEED [CASES]]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "garble.h"

#define KERNEL_ADDRESS	((void *)0xffffffff81000000UL)
#define NON_CANONICAL	((void *)0x8000000000000000UL)
#define RAM		(4 * MIB)
#define CODE		0x1000UL

static int paging;
static void *unmapped, *read_only;

enum fd_kind { DEVICE, VM, VCPU, KINDS };
static const char *const kinds[KINDS] = { "/dev/umbra", "VM", "vCPU" };

static const struct {
	const char *name;
	unsigned long request;
	enum fd_kind kind;
} calls[] = {
#define CALL(name, kind) { #name, UMBRA_##name, kind }
	CALL(GET_INFO, DEVICE), CALL(CHECK_CAP, DEVICE), CALL(CREATE_VM, DEVICE),
	CALL(SUPPORTED_CPUID, DEVICE), CALL(SUPPORTED_MSRS, DEVICE),
	CALL(SET_MEMORY, VM), CALL(GET_DIRTY_LOG, VM), CALL(CREATE_VCPU, VM), CALL(SEND_MSI, VM),
	CALL(GET_CLOCK, VM), CALL(SET_CLOCK, VM), CALL(GET_VM_STATS, VM), CALL(MEMORY_WRITTEN, VM),
	CALL(RUN, VCPU), CALL(GET_STATE, VCPU), CALL(SET_STATE, VCPU), CALL(SET_CPUID, VCPU),
	CALL(GET_CPUID, VCPU), CALL(GET_MSRS, VCPU), CALL(SET_MSRS, VCPU), CALL(GET_XSAVE, VCPU),
	CALL(SET_XSAVE, VCPU), CALL(GET_LAPIC, VCPU), CALL(SET_LAPIC, VCPU), CALL(SET_PIN, VCPU),
	CALL(TRANSLATE, VCPU), CALL(GET_VCPU_STATS, VCPU),
#undef CALL
};

/* One case: the call must return this. */
static bool expect(const char *name, int got, int wanted)
{
	if (got != wanted)
		printf("got %d (%s), not %d\n", got, got < 0 ? strerror(-got) : "", wanted);
	return check(got == wanted, "%s", name);
}

#define CALLED(fd, request, wanted, what, ...)						\
	expect(#request ": " what, call(fd, UMBRA_##request, &(__VA_ARGS__)), wanted)

static void on_signal(int sig)
{
	(void)sig;
}

/* Has the timer interrupt this thread again and again, so that no RUN lasts. */
static void set_timer(long microseconds)
{
	struct itimerval timer = {
		.it_interval.tv_usec = microseconds,
		.it_value.tv_usec = microseconds,
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

static void bad_addresses(const struct vm *vm)
{
	int fds[KINDS] = { dev, vm->fd, vm->vcpu[0].fd };
	void *addresses[] = { NULL, unmapped, KERNEL_ADDRESS, NON_CANONICAL, (void *)-1L };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		int fd = fds[calls[i].kind], got;

		if (calls[i].request == UMBRA_RUN)
			continue;
		for (j = 0; j < ARRAY_SIZE(addresses); j++) {
			got = call(fd, calls[i].request, addresses[j]);
			if (got != -EFAULT) {
				printf("address %p: %d\n", addresses[j], got);
				break;
			}
		}
		check(j == ARRAY_SIZE(addresses), "%s: bad addresses", calls[i].name);
		if (_IOC_DIR(calls[i].request) & _IOC_READ) {
			got = call(fd, calls[i].request, read_only);
			/* Zeroes may be wrong for another reason, or, as an empty list, right. */
			check(got == -EFAULT || got == -EINVAL || got == -E2BIG,
			      "%s: read-only memory", calls[i].name);
		}
	}
}

static void wrong_fds(const struct vm *vm)
{
	int fds[KINDS] = { dev, vm->fd, vm->vcpu[0].fd };
	static uint64_t zeroes[1024];
	bool ok = true;
	size_t i;
	int k;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		for (k = 0; k < KINDS; k++) {
			if (k == (int)calls[i].kind)
				continue;
			ok = call(fds[k], calls[i].request, zeroes) == -ENOTTY;
			if (!ok)
				printf("%s on a %s\n", calls[i].name, kinds[k]);
		}
		check(ok, "%s: on another fd", calls[i].name);
		/* A structure of another size makes another number. */
		ok = call(fds[calls[i].kind], calls[i].request + (1UL << _IOC_SIZESHIFT), zeroes) ==
			-ENOTTY &&
		     call(fds[calls[i].kind], calls[i].request ^ (1UL << _IOC_DIRSHIFT), zeroes) ==
			-ENOTTY;
		check(ok, "%s: another size or direction", calls[i].name);
	}
	ok = true;
	for (k = 0; k < KINDS; k++)
		for (i = 0; i < 256; i++)
			ok &= call(fds[k], _IO(UMBRA_IOC, i), zeroes) != 0 || i == 0x40;
	check(ok, "unknown numbers");
	for (k = 0; k < KINDS; k++) {
		char byte = 0;

		check(read(fds[k], &byte, 1) < 0 && write(fds[k], &byte, 1) < 0,
		      "read() and write() on a %s", kinds[k]);
	}
}

static void other_process(const struct vm *vm)
{
	int fds[KINDS] = { dev, vm->fd, vm->vcpu[0].fd }, status;
	static uint64_t zeroes[1024];
	pid_t pid;
	size_t i;

	pid = fork();
	if (!pid) {
		for (i = 0; i < ARRAY_SIZE(calls); i++) {
			if (calls[i].kind == DEVICE)
				continue;
			if (call(fds[calls[i].kind], calls[i].request, zeroes) != -EIO) {
				printf("%s\n", calls[i].name);
				fflush(stdout);
				_exit(1);
			}
		}
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && !status, "all calls from another process");
}

static void device_calls(void)
{
	static struct umbra_cpuid_entry entries[UMBRA_MAX_CPUID];
	static struct umbra_msr msrs[UMBRA_MAX_MSRS];
	struct umbra_cpuid cpuid = { .entries = (uintptr_t)entries };
	struct umbra_msrs list = { .entries = (uintptr_t)msrs };
	struct umbra_create_vm create;
	struct umbra_info info;
	uint32_t i;
	bool ok;

	memset(&info, 0xff, sizeof(info));
	check(!call(dev, UMBRA_GET_INFO, &info) && info.abi_version == UMBRA_ABI_VERSION &&
	      info.run_size == UMBRA_RUN_SIZE && info.max_vcpus == UMBRA_MAX_VCPUS &&
	      info.max_slots == UMBRA_MAX_SLOTS && !info.reserved[7] &&
	      memchr(info.version, 0, sizeof(info.version)), "GET_INFO");
	for (i = 0, ok = true; i < UMBRA_CAP_COUNT; i++) {
		struct umbra_cap cap = { .cap = i };

		memset(cap.reason, 0xff, sizeof(cap.reason));
		ok &= !call(dev, UMBRA_CHECK_CAP, &cap) &&
		      memchr(cap.reason, 0, sizeof(cap.reason)) && !cap.value == !!cap.reason[0];
	}
	check(ok, "CHECK_CAP: all, those missing with a reason");
	CALLED(dev, CHECK_CAP, -EINVAL, "unknown", (struct umbra_cap) { .cap = UMBRA_CAP_COUNT });
	CALLED(dev, CHECK_CAP, -EINVAL, "unknown", (struct umbra_cap) { .cap = ~0U });
	CALLED(dev, CHECK_CAP, -EINVAL, "flags", (struct umbra_cap) { .flags = 1 });

	CALLED(dev, CREATE_VM, -EINVAL, "flags", (struct umbra_create_vm) { .flags = 1 });
	CALLED(dev, CREATE_VM, -EINVAL, "paging", (struct umbra_create_vm) { .paging = 2 });
	CALLED(dev, CREATE_VM, -EINVAL, "paging", (struct umbra_create_vm) { .paging = ~0U });
	for (i = 0; i < ARRAY_SIZE(create.reserved); i++) {
		memset(&create, 0, sizeof(create));
		create.reserved[i] = 1ULL << 63;
		expect("CREATE_VM: reserved", call(dev, UMBRA_CREATE_VM, &create), -EINVAL);
	}

	check(call(dev, UMBRA_SUPPORTED_CPUID, &cpuid) == -E2BIG && cpuid.count,
	      "SUPPORTED_CPUID: says how many there are");
	expect("SUPPORTED_CPUID: exactly enough", call(dev, UMBRA_SUPPORTED_CPUID, &cpuid), 0);
	cpuid.flags = 1;
	expect("SUPPORTED_CPUID: flags", call(dev, UMBRA_SUPPORTED_CPUID, &cpuid), -EINVAL);
	cpuid.flags = 0;
	cpuid.entries = (uintptr_t)KERNEL_ADDRESS;
	expect("SUPPORTED_CPUID: bad entries", call(dev, UMBRA_SUPPORTED_CPUID, &cpuid), -EFAULT);
	cpuid.count = ~0U;
	expect("SUPPORTED_CPUID: huge count", call(dev, UMBRA_SUPPORTED_CPUID, &cpuid), -EFAULT);

	check(call(dev, UMBRA_SUPPORTED_MSRS, &list) == -E2BIG && list.count,
	      "SUPPORTED_MSRS: says how many there are");
	expect("SUPPORTED_MSRS: exactly enough", call(dev, UMBRA_SUPPORTED_MSRS, &list), 0);
	list.flags = 1;
	expect("SUPPORTED_MSRS: flags", call(dev, UMBRA_SUPPORTED_MSRS, &list), -EINVAL);
	list.flags = 0;
	list.entries = (uintptr_t)unmapped;
	expect("SUPPORTED_MSRS: bad entries", call(dev, UMBRA_SUPPORTED_MSRS, &list), -EFAULT);
}

static void memory_slots(void)
{
	struct vm vm;
	uint64_t ram;
	uint32_t i;
	bool ok;

	vm_create(&vm, paging, RAM, 1);
	ram = (uintptr_t)vm.ram;
#define SLOT(wanted, what, ...)	\
	CALLED(vm.fd, SET_MEMORY, wanted, what, (struct umbra_memory) { __VA_ARGS__ })
	SLOT(-EINVAL, "number", .slot = UMBRA_MAX_SLOTS, .size = PAGE, .uaddr = ram);
	SLOT(-EINVAL, "number", .slot = ~0U, .size = PAGE, .uaddr = ram);
	SLOT(-EINVAL, "flags", .slot = 1, .flags = 4, .gpa = RAM, .size = PAGE, .uaddr = ram);
	SLOT(-EINVAL, "gpa not aligned", .slot = 1, .gpa = RAM + 1, .size = PAGE, .uaddr = ram);
	SLOT(-EINVAL, "size not aligned", .slot = 1, .gpa = RAM, .size = 1, .uaddr = ram);
	SLOT(-EINVAL, "uaddr not aligned", .slot = 1, .gpa = RAM, .size = PAGE, .uaddr = ram + 8);
	SLOT(-EINVAL, "gpa above 52 bits", .slot = 1, .gpa = 1ULL << 52, .size = PAGE,
	     .uaddr = ram);
	SLOT(-EINVAL, "end above 52 bits", .slot = 1, .gpa = (1ULL << 52) - PAGE, .size = 2 * PAGE,
	     .uaddr = ram);
	SLOT(-EINVAL, "end wraps", .slot = 1, .gpa = -PAGE, .size = 2 * PAGE, .uaddr = ram);
	SLOT(-E2BIG, "more than 4 TiB", .slot = 1, .gpa = RAM, .size = (1ULL << 42) + PAGE);
	SLOT(-E2BIG, "all there is", .slot = 1, .gpa = RAM, .size = -PAGE);
	SLOT(-EFAULT, "kernel address", .slot = 1, .gpa = RAM, .size = PAGE,
	     .uaddr = (uintptr_t)KERNEL_ADDRESS);
	SLOT(-EFAULT, "into the kernel", .slot = 1, .gpa = RAM, .size = 2 * PAGE,
	     .uaddr = 0x7ffffffff000);
	SLOT(-EFAULT, "uaddr wraps", .slot = 1, .gpa = RAM, .size = 2 * PAGE, .uaddr = -PAGE);
	SLOT(-EINVAL, "reserved", .slot = 1, .gpa = RAM, .size = PAGE, .uaddr = ram,
	     .reserved = { 0, 1 });
	SLOT(-ENOENT, "delete what is not there", .slot = 1);
	SLOT(-EEXIST, "the same range", .slot = 1, .size = RAM, .uaddr = ram);
	SLOT(-EEXIST, "overlaps the end", .slot = 1, .gpa = RAM - PAGE, .size = 2 * PAGE,
	     .uaddr = ram);
	SLOT(-EEXIST, "within", .slot = 1, .gpa = PAGE, .size = PAGE, .uaddr = ram);
	SLOT(-EEXIST, "contains", .slot = 1, .size = 2 * RAM, .uaddr = ram);
	SLOT(0, "next to another", .slot = 1, .gpa = RAM, .size = PAGE, .uaddr = ram);
	SLOT(0, "move", .slot = 1, .gpa = RAM + PAGE, .size = PAGE, .uaddr = ram);
	SLOT(-EEXIST, "move onto another", .slot = 1, .gpa = 0, .size = PAGE, .uaddr = ram);
	SLOT(0, "nothing behind it", .slot = 2, .gpa = 1ULL << 40, .size = MIB,
	     .uaddr = (uintptr_t)unmapped);
	SLOT(0, "at the end of the address space", .slot = 3, .gpa = (1ULL << 52) - PAGE,
	     .size = PAGE, .uaddr = ram);
	SLOT(0, "delete", .slot = 2);
	SLOT(-ENOENT, "delete twice", .slot = 2);
	for (i = 0, ok = true; i < UMBRA_MAX_SLOTS; i++) {
		struct umbra_memory memory = { .slot = i, .size = PAGE, .uaddr = ram,
					       .gpa = (UMBRA_MAX_SLOTS - i) * 2 * MIB - PAGE };

		ok &= !call(vm.fd, UMBRA_SET_MEMORY, &memory);
	}
	check(ok, "SET_MEMORY: all slots");

	SLOT(0, "with a dirty log", .slot = 5, .flags = UMBRA_MEM_LOG_DIRTY, .gpa = 1ULL << 41,
	     .size = 65 * PAGE, .uaddr = ram);
#define LOG(wanted, what, ...)	\
	CALLED(vm.fd, GET_DIRTY_LOG, wanted, what, (struct umbra_dirty_log) { __VA_ARGS__ })
	uint64_t bits[3];

	LOG(0, "right", .slot = 5, .bitmap = (uintptr_t)bits, .size = 16);
	LOG(-EINVAL, "flags", .slot = 5, .flags = 1, .bitmap = (uintptr_t)bits, .size = 16);
	LOG(-EINVAL, "too small", .slot = 5, .bitmap = (uintptr_t)bits, .size = 8);
	LOG(-EINVAL, "too large", .slot = 5, .bitmap = (uintptr_t)bits, .size = 24);
	LOG(-EFAULT, "bad bitmap", .slot = 5, .bitmap = (uintptr_t)unmapped, .size = 16);
	LOG(-EFAULT, "read-only bitmap", .slot = 5, .bitmap = (uintptr_t)read_only, .size = 16);
	LOG(-ENOENT, "no log", .slot = 6, .bitmap = (uintptr_t)bits, .size = 8);
	LOG(-ENOENT, "no slot", .slot = ~0U, .bitmap = (uintptr_t)bits, .size = 8);

#define WRITTEN(wanted, what, ...)	\
	CALLED(vm.fd, MEMORY_WRITTEN, wanted, what, (struct umbra_range) { __VA_ARGS__ })
	WRITTEN(0, "a byte", .gpa = 1ULL << 41, .size = 1);
	WRITTEN(0, "over the end of a slot", .gpa = (1ULL << 41) + 64 * PAGE + 5, .size = 3 * PAGE);
	WRITTEN(0, "no slot", .gpa = 1ULL << 51, .size = PAGE);
	WRITTEN(0, "everything", .gpa = 0, .size = 1ULL << 52);
	WRITTEN(-EINVAL, "nothing", .gpa = 1ULL << 41);
	WRITTEN(-EINVAL, "beyond 52 bits", .gpa = (1ULL << 52) - 1, .size = 2);
	WRITTEN(-EINVAL, "too much", .gpa = 0, .size = (1ULL << 52) + 1);
	WRITTEN(-EINVAL, "overflow", .gpa = ~0ULL, .size = ~0ULL);
	vm_destroy(&vm);
}

static void vcpus(void)
{
	struct umbra_create_vm create = { .paging = paging };
	struct umbra_create_vcpu c = {};
	int vm = call(dev, UMBRA_CREATE_VM, &create), fd[UMBRA_MAX_VCPUS];
	bool ok = vm >= 0;
	int i;

	CALLED(vm, CREATE_VCPU, -EINVAL, "id",
	       (struct umbra_create_vcpu) { .id = UMBRA_MAX_VCPUS });
	CALLED(vm, CREATE_VCPU, -EINVAL, "id", (struct umbra_create_vcpu) { .id = ~0U });
	CALLED(vm, CREATE_VCPU, -EINVAL, "flags", (struct umbra_create_vcpu) { .flags = 1 });
	/* From the last on, so that there are gaps. */
	for (i = UMBRA_MAX_VCPUS - 1; i >= 0; i--) {
		c.id = i;
		fd[i] = call(vm, UMBRA_CREATE_VCPU, &c);
		ok &= fd[i] >= 0 && call(vm, UMBRA_CREATE_VCPU, &c) == -EEXIST;
	}
	check(ok, "CREATE_VCPU: all, and none twice");
	close(fd[7]);
	c.id = 7;
	expect("CREATE_VCPU: one that is closed", call(vm, UMBRA_CREATE_VCPU, &c), -EEXIST);
	CALLED(vm, SEND_MSI, 0, "to all",
	       (struct umbra_msi) { .address = 0xfeeff000, .data = 0x30 });
	CALLED(vm, SEND_MSI, -EINVAL, "flags",
	       (struct umbra_msi) { .address = 0xfee00000, .flags = 1 });
	CALLED(vm, SEND_MSI, -EINVAL, "address", (struct umbra_msi) { .address = 0xfed00000 });
	CALLED(vm, SEND_MSI, -EINVAL, "delivery mode",
	       (struct umbra_msi) { .address = 0xfee00000, .data = 0x300 });
	CALLED(vm, SET_CLOCK, -EINVAL, "flags", (struct umbra_clock) { .flags = 1 });
	CALLED(vm, SET_CLOCK, -EINVAL, "reserved", (struct umbra_clock) { .reserved = 1 });
	CALLED(vm, SET_CLOCK, -EINVAL, "time", (struct umbra_clock) { .ns = ~0ULL });
	CALLED(vm, GET_VM_STATS, -EINVAL, "flags", (struct umbra_stats) { .flags = 1 });
	CALLED(vm, GET_VM_STATS, 0, "count 0", (struct umbra_stats) { .count = 0 });
	CALLED(vm, GET_VM_STATS, -EFAULT, "entries", (struct umbra_stats) {
		.count = ~0U, .entries = (uintptr_t)KERNEL_ADDRESS });
	close(vm);
	for (i = 0; i < UMBRA_MAX_VCPUS; i++)
		close(fd[i]);
}

/* Values that no WRMSR takes either: the module checks them before a CPU would. */
static void msr_values(int fd)
{
	static const struct umbra_msr bad[] = {
		{ .index = 0xc0000082, .value = 1ULL << 63 },	/* LSTAR */
		{ .index = 0xc0000083, .value = 1ULL << 63 },	/* CSTAR */
		{ .index = 0xc0000100, .value = 1ULL << 63 },	/* FS_BASE */
		{ .index = 0xc0000101, .value = 1ULL << 63 },	/* GS_BASE */
		{ .index = 0xc0000102, .value = 1ULL << 63 },	/* KERNEL_GS_BASE */
		{ .index = 0x48, .value = 1ULL << 63 },		/* SPEC_CTRL */
		{ .index = 0x277, .value = 2 },			/* PAT */
	};
	struct umbra_msrs list;
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		list = (struct umbra_msrs){ .count = 1, .entries = (uintptr_t)&bad[i] };
		check(call(fd, UMBRA_SET_MSRS, &list) == -EINVAL && list.count == 0,
		      "SET_MSRS: value of %#x", bad[i].index);
	}
}

static void vcpu_calls(void)
{
	static uint8_t area[65536];
	struct umbra_cap cap = { .cap = UMBRA_CAP_XSAVE };
	struct umbra_lapic_state lapic;
	struct umbra_msr msr[2] = {
		{ .index = 0xc0000082, .value = 0x1000 }, { .index = 0x12345 }
	};
	struct umbra_msrs list = { .count = 2, .entries = (uintptr_t)msr };
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	struct vm vm;
	int fd;

	vm_create(&vm, paging, RAM, 1);
	fd = vm.vcpu[0].fd;
	expect("RUN: argument", call(fd, UMBRA_RUN, (void *)1), -EINVAL);
	CALLED(fd, GET_STATE, -EINVAL, "groups", (struct umbra_state) { .groups = 16 });
	CALLED(fd, GET_STATE, -EINVAL, "flags", (struct umbra_state) { .flags = 1 });
	CALLED(fd, SET_STATE, -EINVAL, "groups", (struct umbra_state) { .groups = ~0U });
	CALLED(fd, SET_STATE, -EINVAL, "flags", (struct umbra_state) { .flags = 1 });
	if (call(fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
#define STATE(what, change)						\
	do {								\
		struct umbra_state bad = st;				\
									\
		bad.change;						\
		expect("SET_STATE: " what, call(fd, UMBRA_SET_STATE, &bad), -EINVAL);	\
	} while (0)
	STATE("RFLAGS", regs.rflags = 1ULL << 40);
	STATE("CR0.PG without PE", sregs.cr0 = 0x80000010);
	STATE("CR0 above 32 bits", sregs.cr0 = 1ULL << 32);
	STATE("CR0.NW without CD", sregs.cr0 = 0x20000010);
	STATE("CR4", sregs.cr4 = 1ULL << 63);
	STATE("CR3", sregs.cr3 = ~0ULL);
	STATE("CR8", sregs.cr8 = 16);
	STATE("EFER", sregs.efer = 1ULL << 1);
	STATE("EFER.LMA without paging", sregs.efer = 0x500);
	STATE("XCR0 without x87", sregs.xcr0 = 2);
	STATE("XCR0", sregs.xcr0 = ~0ULL);
	STATE("APIC base", sregs.apic_base = ~0ULL);
	STATE("flags of sregs", sregs.flags = 2);
	STATE("reserved of sregs", sregs.reserved = 1);
	STATE("segment attributes", sregs.seg[UMBRA_DS].attr |= 1U << 20);
	STATE("segment base", sregs.seg[UMBRA_FS].base = 1ULL << 60);
	STATE("segment reserved", sregs.seg[UMBRA_SS].reserved[2] = 1);
	STATE("no task segment", sregs.seg[UMBRA_TR].attr = UMBRA_SEG_UNUSABLE);
	STATE("code as task segment", sregs.seg[UMBRA_TR].attr = 0x9b);
	STATE("GDTR", sregs.gdtr.base = 1ULL << 60);
	STATE("IDTR reserved", sregs.idtr.reserved[0] = 1);
	STATE("DR6", debug.dr6 = 1ULL << 32);
	STATE("DR7", debug.dr7 = 1ULL << 32);
	STATE("event flags", events.flags = 1U << 31);
	STATE("pending and injected", events.flags = 3);
	STATE("mp_state", events.mp_state = 3);
	STATE("NMI as exception",
	      events = ((struct umbra_events) { .flags = 1, .exception_vector = 2 }));
	STATE("exception above 31",
	      events = ((struct umbra_events) { .flags = 1, .exception_vector = 32 }));
	STATE("soft interrupt alone", events.flags = UMBRA_EVENT_INTERRUPT_SOFT);
	STATE("reserved of events", events.reserved[1] = 1);
	expect("SET_STATE: as it was", call(fd, UMBRA_SET_STATE, &st), 0);

	CALLED(fd, SET_CPUID, -EINVAL, "count",
	       (struct umbra_cpuid) { .count = UMBRA_MAX_CPUID + 1 });
	CALLED(fd, SET_CPUID, -EINVAL, "flags", (struct umbra_cpuid) { .flags = 1 });
	CALLED(fd, SET_CPUID, -EFAULT, "entries", (struct umbra_cpuid) { .count = 1 });
	CALLED(fd, GET_CPUID, -EINVAL, "flags", (struct umbra_cpuid) { .flags = 1 });
	CALLED(fd, GET_CPUID, -E2BIG, "no room", (struct umbra_cpuid) { .count = 0 });
	CALLED(fd, GET_MSRS, -EINVAL, "count", (struct umbra_msrs) { .count = UMBRA_MAX_MSRS + 1 });
	CALLED(fd, GET_MSRS, -EINVAL, "flags", (struct umbra_msrs) { .flags = 1 });
	CALLED(fd, GET_MSRS, -EFAULT, "entries", (struct umbra_msrs) { .count = 1 });
	CALLED(fd, SET_MSRS, -EINVAL, "count", (struct umbra_msrs) { .count = ~0U });
	CALLED(fd, SET_MSRS, 0, "none", (struct umbra_msrs) { .count = 0 });
	check(call(fd, UMBRA_SET_MSRS, &list) == -EINVAL && list.count == 1,
	      "SET_MSRS: says which one failed");
	msr_values(fd);
	msr[0].reserved = 1;
	check(call(fd, UMBRA_GET_MSRS, &list) == -EINVAL && list.count == 0, "GET_MSRS: reserved");

	if (call(dev, UMBRA_CHECK_CAP, &cap) || cap.value > sizeof(area))
		die("UMBRA_CAP_XSAVE");
#define XSAVE(request, wanted, what, ...)	\
	CALLED(fd, request, wanted, what, (struct umbra_xsave) { __VA_ARGS__ })
	XSAVE(GET_XSAVE, 0, "right", .area = (uintptr_t)area, .size = cap.value);
	XSAVE(GET_XSAVE, -EINVAL, "too small", .area = (uintptr_t)area, .size = cap.value - 1);
	XSAVE(GET_XSAVE, -EINVAL, "flags", .area = (uintptr_t)area, .size = cap.value, .flags = 1);
	XSAVE(GET_XSAVE, -EFAULT, "area", .area = (uintptr_t)unmapped, .size = cap.value);
	XSAVE(SET_XSAVE, 0, "right", .area = (uintptr_t)area, .size = cap.value);
	XSAVE(SET_XSAVE, -EINVAL, "too small", .area = (uintptr_t)area, .size = 64);
	XSAVE(SET_XSAVE, -EFAULT, "area", .area = (uintptr_t)KERNEL_ADDRESS, .size = cap.value);
	memset(area + 24, 0xff, 4);
	XSAVE(SET_XSAVE, -EINVAL, "MXCSR", .area = (uintptr_t)area, .size = cap.value);
	memset(area, 0xff, sizeof(area));
	XSAVE(SET_XSAVE, -EINVAL, "header", .area = (uintptr_t)area, .size = cap.value);

	if (call(fd, UMBRA_GET_LAPIC, &lapic))
		die("UMBRA_GET_LAPIC");
	expect("SET_LAPIC: as it was", call(fd, UMBRA_SET_LAPIC, &lapic), 0);
	lapic.reserved[5] = 1;
	expect("SET_LAPIC: reserved", call(fd, UMBRA_SET_LAPIC, &lapic), -EINVAL);
	memset(&lapic, 0xff, sizeof(lapic));
	expect("SET_LAPIC: all ones", call(fd, UMBRA_SET_LAPIC, &lapic), -EINVAL);

	CALLED(fd, SET_PIN, -EINVAL, "pin", (struct umbra_pin) { .pin = 2 });
	CALLED(fd, SET_PIN, -EINVAL, "level", (struct umbra_pin) { .level = 2 });
	CALLED(fd, TRANSLATE, -EINVAL, "flags", (struct umbra_translate) { .flags = 8 });
	CALLED(fd, TRANSLATE, 0, "paging off", (struct umbra_translate) { .gva = 0x1000 });
	CALLED(fd, GET_VCPU_STATS, -EINVAL, "flags", (struct umbra_stats) { .flags = 1 });
	CALLED(fd, GET_VCPU_STATS, -EFAULT, "entries", (struct umbra_stats) { .count = 8 });

	enter_real_mode(&vm.vcpu[0], CODE, 0);
	memcpy(vm.ram + CODE, "\xeb\xfe", 2);
	vm.vcpu[0].run->immediate_exit = 1;
	expect("RUN: immediate_exit", call(fd, UMBRA_RUN, NULL), -EINTR);
	vm.vcpu[0].run->immediate_exit = 0;
	set_timer(20000);
	expect("RUN: a signal", call(fd, UMBRA_RUN, NULL), -EINTR);
	/* The first one may have come before the guest was entered. */
	expect("RUN: another signal", call(fd, UMBRA_RUN, NULL), -EINTR);
	set_timer(0);
	CALLED(fd, SET_CPUID, -EBUSY, "after the guest has run",
	       (struct umbra_cpuid) { .count = 0 });

	/* Without memory, at the address after RESET. */
	set_slot(vm.fd, 0, 0, 0, NULL);
	if (call(fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
	set_timer(100000);
	int got = run(&vm.vcpu[0]);

	set_timer(0);
	check(!got && (vm.vcpu[0].run->exit_reason == UMBRA_EXIT_EMULATION ||
		       vm.vcpu[0].run->exit_reason == UMBRA_EXIT_MMIO ||
		       vm.vcpu[0].run->exit_reason == UMBRA_EXIT_SHUTDOWN), "RUN: no memory");
	vm_destroy(&vm);
}

/* ------------------------------------------------------------------ */
/* The run area */

static sigjmp_buf fault;

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* The signal that a read of this address gives, 0 for none. */
static int touch(volatile uint8_t *p)
{
	int sig = sigsetjmp(fault, 1);

	if (!sig)
		(void)*p;
	return sig;
}

static void run_area(void)
{
	struct sigaction action = { .sa_handler = on_fault }, bus, segv;
	int rw = PROT_READ | PROT_WRITE;
	uint8_t *p;
	struct vm vm;
	int fd;

	sigaction(SIGBUS, &action, &bus);
	sigaction(SIGSEGV, &action, &segv);
	vm_create(&vm, paging, RAM, 1);
	fd = vm.vcpu[0].fd;
#define MAPS(size, prot, flags, offset) (mmap(NULL, size, prot, flags, fd, offset) != MAP_FAILED)
	check(MAPS(2 * PAGE, rw, MAP_SHARED, 0) && MAPS(PAGE, rw, MAP_SHARED, PAGE) &&
	      MAPS(1, PROT_READ, MAP_SHARED, 0), "mmap: the run area and its parts");
	check(!MAPS(3 * PAGE, rw, MAP_SHARED, 0) && !MAPS(2 * PAGE, rw, MAP_SHARED, PAGE) &&
	      !MAPS(PAGE, rw, MAP_SHARED, 2 * PAGE) && !MAPS(PAGE, rw, MAP_SHARED, 1L << 62) &&
	      !MAPS(PAGE, rw, MAP_SHARED, 17), "mmap: beyond the run area");
	p = mmap(NULL, PAGE, rw | PROT_EXEC, MAP_SHARED, fd, 0);
	check(p == MAP_FAILED || !touch(p), "mmap: PROT_EXEC");
	p = mmap(NULL, PAGE, rw, MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED && !touch(p)) {
		*p = 0x77;
		check(vm.vcpu[0].run->immediate_exit != 0x77, "mmap: MAP_PRIVATE is private");
	} else {
		check(p == MAP_FAILED, "mmap: MAP_PRIVATE");
	}
	p = mmap(NULL, PAGE, rw, MAP_SHARED, fd, PAGE);
	p = mremap(p, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	check(p == MAP_FAILED || touch(p + 2 * PAGE) == SIGBUS, "mremap: beyond the run area");
	/* What is mapped outlives its fd. */
	close(fd);
	close(vm.fd);
	vm.vcpu[0].run->immediate_exit = 1;
	check(!touch((uint8_t *)vm.vcpu[0].run + PAGE) && vm.vcpu[0].run->immediate_exit == 1,
	      "the run area after close");
	munmap((void *)vm.vcpu[0].run, UMBRA_RUN_SIZE);
	munmap(vm.ram, vm.size);
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
}

/* ------------------------------------------------------------------ */
/* Threads */

struct runner {
	pthread_t thread;
	struct vcpu *vcpu;
	volatile bool quit, ended;
	volatile uint64_t mmio;
	int result;
};

/* Runs until something other than MMIO happens, or it is told to quit by signal. */
static void *runner(void *arg)
{
	struct runner *r = arg;

	for (;;) {
		r->result = call(r->vcpu->fd, UMBRA_RUN, NULL);
		if (r->result == -EINTR && !r->quit)
			continue;
		if (r->result || r->vcpu->run->exit_reason != UMBRA_EXIT_MMIO)
			break;
		r->mmio++;
	}
	r->ended = true;
	return NULL;
}

static void start(struct runner *r, struct vcpu *vcpu)
{
	memset(r, 0, sizeof(*r));
	r->vcpu = vcpu;
	if (pthread_create(&r->thread, NULL, runner, r))
		die("pthread_create");
}

static bool join(struct runner *r, bool kick)
{
	double limit = now() + 20;

	r->quit = kick;
	while (!r->ended && now() < limit) {
		if (kick)
			pthread_kill(r->thread, SIGUSR1);
		usleep(2000);
	}
	if (!r->ended) {
		printf("a thread does not come back from UMBRA_RUN\n");
		finish();
		exit(1);
	}
	pthread_join(r->thread, NULL);
	return true;
}

/* incw (0x10); jmp: a guest at work on the first page of DS. */
static const uint8_t busy_code[] = { 0xff, 0x06, 0x10, 0x00, 0xeb, 0xfa };
#define WINDOW	(2 * MIB)

static void start_busy(struct vm *vm, struct runner *r, unsigned int vcpu)
{
	memcpy(vm->ram + CODE, busy_code, sizeof(busy_code));
	enter_real_mode(&vm->vcpu[vcpu], CODE, WINDOW);
	start(r, &vm->vcpu[vcpu]);
	usleep(20000);
}

static void close_orders(void)
{
	int order;

	for (order = 0; order < 4; order++) {
		struct runner r;
		struct vm vm;
		int fds[2];

		vm_create(&vm, paging, RAM, 1);
		start_busy(&vm, &r, 0);
		fds[0] = order & 1 ? vm.fd : vm.vcpu[0].fd;
		fds[1] = order & 1 ? vm.vcpu[0].fd : vm.fd;
		close(fds[0]);
		if (order & 2)
			munmap((void *)vm.vcpu[0].run, PAGE);
		close(fds[1]);
		usleep(20000);
		if (order & 2) {
			/* The thread looks at the run page after an exit: it sees a fault only. */
			vm.vcpu[0].run = mmap((void *)vm.vcpu[0].run, PAGE, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		}
		check(join(&r, true), "close while another thread runs, order %d", order);
		munmap((void *)vm.vcpu[0].run, UMBRA_RUN_SIZE);
		munmap(vm.ram, vm.size);
	}
}

/* What a runner came back with; returns whether that is a fault of memory, in @page if not 0. */
static bool memory_fault(const struct runner *r, uint64_t page)
{
	const volatile struct umbra_run *run = r->vcpu->run;

	if (!r->result && run->exit_reason == UMBRA_EXIT_MEMORY_FAULT &&
	    run->memory_fault.error < 0 && (!page || run->memory_fault.gpa >> 12 == page >> 12))
		return true;
	printf("result %d, exit %u, at %llx, error %d\n", r->result, run->exit_reason,
	       (unsigned long long)run->memory_fault.gpa, run->memory_fault.error);
	return false;
}

static void take_memory(void)
{
	struct runner r;
	struct vm vm;

	vm_create(&vm, paging, RAM, 1);
	start_busy(&vm, &r, 0);
	munmap(vm.ram + WINDOW, PAGE);
	join(&r, false);
	check(memory_fault(&r, WINDOW), "munmap of guest memory while it is used");
	/* With memory there again it goes on. */
	if (mmap(vm.ram + WINDOW, PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		die("mmap");
	start(&r, &vm.vcpu[0]);
	usleep(50000);
	check(!r.ended && *(volatile uint16_t *)(vm.ram + WINDOW + 0x10),
	      "memory comes back and the guest goes on");
	mprotect(vm.ram + WINDOW, PAGE, PROT_READ);
	join(&r, false);
	check(memory_fault(&r, WINDOW), "mprotect while it is used");
	mprotect(vm.ram + WINDOW, PAGE, PROT_READ | PROT_WRITE);
	mprotect(vm.ram + CODE, PAGE, PROT_NONE);
	start(&r, &vm.vcpu[0]);
	join(&r, false);
	check(memory_fault(&r, CODE), "code is taken away");
	vm_destroy(&vm);
}

static void change_slots(void)
{
	struct runner r[2];
	uint16_t before;
	struct vm vm;
	bool ok;
	int i;

	vm_create(&vm, paging, RAM, 2);
	set_slot(vm.fd, 0, 0, MIB, vm.ram);
	set_slot(vm.fd, 1, WINDOW, PAGE, vm.ram + WINDOW);
	start_busy(&vm, &r[0], 0);
	start_busy(&vm, &r[1], 1);
	for (i = 0; i < 200; i++) {
		set_slot(vm.fd, 1, 0, 0, NULL);
		if (i % 8 == 0)
			usleep(2000);
		set_slot(vm.fd, 1, WINDOW, PAGE, vm.ram + WINDOW);
	}
	before = *(volatile uint16_t *)(vm.ram + WINDOW + 0x10);
	for (i = 0; i < 1000 && before == *(volatile uint16_t *)(vm.ram + WINDOW + 0x10); i++)
		usleep(1000);
	ok = i < 1000 && !r[0].ended && !r[1].ended;
	join(&r[0], true);
	join(&r[1], true);
	printf("accesses without a slot: %lu and %lu\n", r[0].mmio, r[1].mmio);
	check(ok && r[0].mmio && r[1].mmio, "slots come and go while two vCPUs run");
	vm_destroy(&vm);
}

static void two_threads(void)
{
	struct runner r[2];
	struct umbra_pin pin = { .pin = UMBRA_PIN_INTR };
	struct vm vm;
	int i, bad = 0;
	double limit;

	vm_create(&vm, paging, RAM, 1);
	start_busy(&vm, &r[0], 0);
	start(&r[1], &vm.vcpu[0]);
	for (i = 0; i < 20; i++) {
		pthread_kill(r[i & 1].thread, SIGUSR1);
		pin.level = i & 1;
		bad |= call(vm.vcpu[0].fd, UMBRA_SET_PIN, &pin);
		usleep(1000);
	}
	/* The one that waits for the other's turn to end does not hear of signals. */
	limit = now() + 20;
	while (!(r[0].ended && r[1].ended) && now() < limit) {
		for (i = 0; i < 2; i++) {
			r[i].quit = true;
			if (!r[i].ended)
				pthread_kill(r[i].thread, SIGUSR1);
		}
		usleep(2000);
	}
	join(&r[0], false);
	join(&r[1], false);
	check(!bad && r[0].result == -EINTR && r[1].result == -EINTR, "two threads run one vCPU");
	vm_destroy(&vm);
}

static unsigned long references(void)
{
	unsigned long n = ~0UL;
	FILE *f = fopen("/sys/module/umbra/refcnt", "r");

	if (f) {
		if (fscanf(f, "%lu", &n) != 1)
			n = ~0UL;
		fclose(f);
	}
	return n;
}

static void killed(void)
{
	unsigned long before = references();
	int i, status;
	bool ok = true;

	for (i = 0; i < 10; i++) {
		pid_t pid = fork();
		double limit;

		if (!pid) {
			struct runner r[2];
			struct vm vm;

			vm_create(&vm, paging, RAM, 2);
			start_busy(&vm, &r[0], 0);
			start_busy(&vm, &r[1], 1);
			for (;;) {
				set_slot(vm.fd, 1, 1UL << 32, MIB, vm.ram);
				set_slot(vm.fd, 1, 0, 0, NULL);
			}
		}
		usleep(10000 + i * 15000);
		kill(pid, SIGKILL);
		ok &= waitpid(pid, &status, 0) == pid && WIFSIGNALED(status);
		for (limit = now() + 10; references() != before && now() < limit; )
			usleep(1000);
		ok &= references() == before;
	}
	check(ok, "SIGKILL at any moment leaves nothing behind");
}

/* ------------------------------------------------------------------ */
/* Garbage */

static void fuzz(unsigned int cases)
{
	unsigned int i, j, taken = 0, reasons[UMBRA_EXIT_COUNT] = {}, intr = 0, other = 0;
	struct umbra_state first = { .groups = UMBRA_STATE_ALL };
	bool ok = true;
	struct vm vm;
	struct vcpu *vcpu = &vm.vcpu[0];

	vm_create(&vm, paging, RAM, 1);
	if (call(vcpu->fd, UMBRA_GET_STATE, &first))
		die("UMBRA_GET_STATE");
	set_timer(2000);
	for (i = 0; i < cases; i++) {
		struct umbra_state st = first;
		int ret;

		if (i % 64 == 0) {
			random_bytes(vm.ram, 0x10000);
			build_tables(vm.ram, RAM);
		}
		garble_state(&st);
		ret = call(vcpu->fd, UMBRA_SET_STATE, &st);
		if (ret && ret != -EINVAL) {
			printf("case %u: UMBRA_SET_STATE: %s\n", i, strerror(-ret));
			ok = false;
		}
		if (random64() % 4 == 0)
			garble_msrs(vcpu->fd);
		if (random64() % 4 == 0)
			garble_lapic(vcpu->fd);
		if (ret)
			continue;
		taken++;
		for (j = 0; j < 4; j++) {
			struct umbra_translate tr = {
				.gva = some_value(), .flags = random64() % 8
			};
			uint32_t reason;

			ret = call(vcpu->fd, UMBRA_RUN, NULL);
			if (ret == -EINTR) {
				intr++;
				break;
			}
			/* The page is garbled below, so that its answer may be nonsense. */
			if (ret == -EINVAL && j) {
				other++;
				break;
			}
			reason = vcpu->run->exit_reason;
			if (ret || reason == UMBRA_EXIT_NONE || reason >= UMBRA_EXIT_COUNT) {
				printf("case %u: UMBRA_RUN: %d, exit reason %u\n", i, ret, reason);
				ok = false;
				break;
			}
			reasons[reason]++;
			call(vcpu->fd, UMBRA_TRANSLATE, &tr);
			random_bytes((void *)((uintptr_t)vcpu->run + 8), 64);
			if (reason == UMBRA_EXIT_SHUTDOWN || reason == UMBRA_EXIT_ENTRY_FAILED ||
			    reason == UMBRA_EXIT_EMULATION)
				break;
		}
	}
	set_timer(0);
	printf("of %u states %u were taken;", cases, taken);
	for (i = 0; i < UMBRA_EXIT_COUNT; i++)
		printf(" %u", reasons[i]);
	printf(" exits by reason, %u signals, %u refused\n", intr, other);
	check(ok && taken > cases / 20, "random states");
	vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	unsigned int cases = 3000;
	struct vm vm;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: abi nested|shadow [SEED [CASES]]\n");
		return 2;
	}
	paging = paging_from(argv[1]);
	random_seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)(now() * 1e9);
	if (argc > 3)
		cases = strtoul(argv[3], NULL, 0);
	printf("seed %#lx\n", random_seed);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	open_device();
	unmapped = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(unmapped, MIB);
	unmapped = (void *)0x10000;	/* stays so: nothing is mapped this low */
	read_only = mmap(NULL, MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	device_calls();
	vm_create(&vm, paging, RAM, 1);
	bad_addresses(&vm);
	wrong_fds(&vm);
	other_process(&vm);
	vm_destroy(&vm);
	memory_slots();
	vcpus();
	vcpu_calls();
	run_area();
	close_orders();
	take_memory();
	change_slots();
	two_threads();
	killed();
	fuzz(cases);
	return finish();
}
