// SPDX-License-Identifier: GPL-2.0-only
/* See common.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

int dev = -1;
_Thread_local uint64_t random_seed = 1;

static unsigned int passed, failed;

void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	printf("FAIL ");
	vprintf(format, args);
	printf(": %s\n", strerror(error));
	va_end(args);
	exit(1);
}

bool check(bool ok, const char *name, ...)
{
	va_list args;

	va_start(args, name);
	printf("%s ", ok ? "PASS" : "FAIL");
	vprintf(name, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
	if (ok)
		passed++;
	else
		failed++;
	return ok;
}

int finish(void)
{
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed;
}

int paging_from(const char *name)
{
	if (!strcmp(name, "nested"))
		return UMBRA_PAGING_NESTED;
	if (!strcmp(name, "shadow"))
		return UMBRA_PAGING_SHADOW;
	fprintf(stderr, "paging is nested or shadow, not '%s'\n", name);
	exit(2);
}

int call(int fd, unsigned long request, const void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

void open_device(void)
{
	dev = open(UMBRA_DEVICE, O_RDWR | O_CLOEXEC);
	if (dev < 0)
		die(UMBRA_DEVICE);
}

void set_slot(int vm, unsigned int slot, uint64_t gpa, uint64_t size, void *addr)
{
	struct umbra_memory memory = {
		.slot = slot,
		.gpa = gpa,
		.size = size,
		.uaddr = (uintptr_t)addr,
	};

	if (ioctl(vm, UMBRA_SET_MEMORY, &memory))
		die("UMBRA_SET_MEMORY of slot %u", slot);
}

static void give_cpuid(int fd)
{
	static struct umbra_cpuid_entry entries[UMBRA_MAX_CPUID];
	struct umbra_cpuid cpuid = { .count = UMBRA_MAX_CPUID, .entries = (uintptr_t)entries };

	if (ioctl(dev, UMBRA_SUPPORTED_CPUID, &cpuid))
		die("UMBRA_SUPPORTED_CPUID");
	if (ioctl(fd, UMBRA_SET_CPUID, &cpuid))
		die("UMBRA_SET_CPUID");
}

void vcpu_create(struct vcpu *vcpu, int vm, unsigned int id)
{
	struct umbra_create_vcpu create = { .id = id };

	vcpu->fd = ioctl(vm, UMBRA_CREATE_VCPU, &create);
	if (vcpu->fd < 0)
		die("UMBRA_CREATE_VCPU");
	vcpu->run = mmap(NULL, UMBRA_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die("mmap of the run area");
	give_cpuid(vcpu->fd);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	munmap((void *)vcpu->run, UMBRA_RUN_SIZE);
	close(vcpu->fd);
	vcpu->fd = -1;
}

/* Anonymous memory that large pages can be behind: it begins at a multiple of 2 MiB. */
static uint8_t *map_aligned(size_t size)
{
	uint8_t *all = mmap(NULL, size + 2 * MIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *ram;

	if (all == MAP_FAILED)
		die("mmap of guest memory");
	ram = (uint8_t *)(((uintptr_t)all + 2 * MIB - 1) & -(2 * MIB));
	if (ram > all)
		munmap(all, ram - all);
	munmap(ram + size, all + 2 * MIB - ram);
	return ram;
}

void vm_create(struct vm *vm, int paging, size_t size, unsigned int vcpus)
{
	struct umbra_create_vm create = { .paging = paging };
	unsigned int i;

	memset(vm, 0, sizeof(*vm));
	vm->paging = paging;
	vm->size = size;
	vm->fd = ioctl(dev, UMBRA_CREATE_VM, &create);
	if (vm->fd < 0)
		die("UMBRA_CREATE_VM");
	vm->ram = map_aligned(size);
	set_slot(vm->fd, 0, 0, size, vm->ram);
	for (i = 0; i < ARRAY_SIZE(vm->vcpu); i++)
		vm->vcpu[i].fd = -1;
	for (i = 0; i < vcpus; i++)
		vcpu_create(&vm->vcpu[i], vm->fd, i);
}

void vm_destroy(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm->vcpu); i++)
		if (vm->vcpu[i].fd >= 0)
			vcpu_destroy(&vm->vcpu[i]);
	munmap(vm->ram, vm->size);
	close(vm->fd);
}

static void get_state(const struct vcpu *vcpu, struct umbra_state *st)
{
	memset(st, 0, sizeof(*st));
	st->groups = UMBRA_STATE_ALL;
	if (ioctl(vcpu->fd, UMBRA_GET_STATE, st))
		die("UMBRA_GET_STATE");
}

static void set_state(const struct vcpu *vcpu, struct umbra_state *st)
{
	st->events.mp_state = UMBRA_MP_RUNNABLE;
	if (ioctl(vcpu->fd, UMBRA_SET_STATE, st))
		die("UMBRA_SET_STATE");
}

void enter_real_mode(const struct vcpu *vcpu, uint64_t rip, uint64_t ds_base)
{
	struct umbra_state st;

	get_state(vcpu, &st);
	memset(&st.regs, 0, sizeof(st.regs));
	st.regs.rip = rip;
	st.regs.rflags = 2;
	st.sregs.cr0 = 0x10;
	st.sregs.seg[UMBRA_CS].base = 0;
	st.sregs.seg[UMBRA_CS].selector = 0;
	st.sregs.seg[UMBRA_DS].base = ds_base;
	set_state(vcpu, &st);
}

void build_tables(uint8_t *ram, size_t size)
{
	static const uint64_t gdt[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	uint64_t *pml4 = (uint64_t *)(ram + LONG_CR3);
	uint64_t *pdpt = (uint64_t *)(ram + LONG_CR3 + PAGE);
	uint64_t *pd = (uint64_t *)(ram + LONG_CR3 + 2 * PAGE);
	uint64_t *pd_apic = (uint64_t *)(ram + LONG_CR3 + 3 * PAGE);
	uint64_t *pt = (uint64_t *)(ram + LONG_PT);
	size_t i;

	memset(pml4, 0, 4 * PAGE);
	pml4[0] = (LONG_CR3 + PAGE) | 7;
	pdpt[0] = (LONG_CR3 + 2 * PAGE) | 7;
	pdpt[3] = (LONG_CR3 + 3 * PAGE) | 7;
	pd_apic[0x1f7] = 0xfee00000 | 0x83;
	for (i = 0; i < size / (2 * MIB); i++)
		pd[i] = (LONG_PT + i * PAGE) | 7;
	for (i = 0; i < size / PAGE; i++)
		pt[i] = i * PAGE | 7;
	memcpy(ram + LONG_GDT, gdt, sizeof(gdt));
}

void enter_long_mode(const struct vcpu *vcpu, uint64_t rip, uint64_t rsp)
{
	struct umbra_state st;
	int i;

	get_state(vcpu, &st);
	memset(&st.regs, 0, sizeof(st.regs));
	st.regs.rip = rip;
	st.regs.gpr[UMBRA_RSP] = rsp;
	st.regs.rflags = 2;
	st.sregs.cr0 = 0x80010033;
	st.sregs.cr3 = LONG_CR3;
	st.sregs.cr4 = 0x620;		/* PAE, OSFXSR, OSXMMEXCPT */
	st.sregs.efer = 0x500;		/* LME, LMA */
	for (i = UMBRA_ES; i <= UMBRA_GS; i++)
		st.sregs.seg[i] = (struct umbra_segment) {
			.limit = 0xffffffff,
			.attr = i == UMBRA_CS ? 0xa09b : 0xc093,
			.selector = i == UMBRA_CS ? LONG_CS : LONG_DS,
		};
	st.sregs.seg[UMBRA_TR] = (struct umbra_segment) { .limit = 0x67, .attr = 0x8b };
	st.sregs.seg[UMBRA_LDTR] = (struct umbra_segment) { .attr = UMBRA_SEG_UNUSABLE };
	st.sregs.gdtr.base = LONG_GDT;
	st.sregs.gdtr.limit = 3 * 8 - 1;
	set_state(vcpu, &st);
}

int run(const struct vcpu *vcpu)
{
	int ret;

	do {
		ret = call(vcpu->fd, UMBRA_RUN, NULL);
	} while (ret == -EINTR);
	return ret;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

uint64_t random64(void)
{
	/* splitmix64 */
	uint64_t z = random_seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}
