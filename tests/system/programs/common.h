/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the system tests' programs share: cases that are counted, and VMs made
 * with bare ioctls, since what libumbra would never pass is of interest here.
 */
#ifndef TESTS_SYSTEM_COMMON_H
#define TESTS_SYSTEM_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbra/umbra.h>

#define PAGE		4096UL
#define MIB		(1UL << 20)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

struct vcpu {
	int fd;
	volatile struct umbra_run *run;
};

struct vm {
	int fd;
	int paging;
	uint8_t *ram;	/* guest-physical address 0 */
	size_t size;
	struct vcpu vcpu[2];
};

extern int dev;		/* /dev/umbra, open */

/* Prints what went wrong, with errno, and ends the program with status 1. */
__attribute__((noreturn, format(printf, 1, 2)))
void die(const char *format, ...);

/* Ends one case: prints PASS or FAIL and its name, and counts it. Returns @ok. */
__attribute__((format(printf, 2, 3)))
bool check(bool ok, const char *name, ...);

/* Prints the sums; returns the exit status. */
int finish(void);

/* UMBRA_PAGING_* by its name; ends the program with status 2 for another word. */
int paging_from(const char *name);

/* ioctl() that returns 0 or more, or a negative errno. */
int call(int fd, unsigned long request, const void *arg);

/* Opens the device. */
void open_device(void);

/* A VM with @size bytes of private anonymous memory at 0 in slot 0, and @vcpus vCPUs. */
void vm_create(struct vm *vm, int paging, size_t size, unsigned int vcpus);
void vm_destroy(struct vm *vm);
void vcpu_create(struct vcpu *vcpu, int vm, unsigned int id);
void vcpu_destroy(struct vcpu *vcpu);

/* Sets a slot; ends the program if that fails. */
void set_slot(int vm, unsigned int slot, uint64_t gpa, uint64_t size, void *addr);

/* Real mode, all segments at 0, at @rip; @ds_base is where DS begins. */
void enter_real_mode(const struct vcpu *vcpu, uint64_t rip, uint64_t ds_base);

/*
 * Tables that map @size bytes of memory, a multiple of 2 MiB, to themselves with
 * 4 KiB pages, and the local APIC: the PML4 at LONG_CR3, leaf tables at LONG_PT.
 */
#define LONG_CR3	0x1000UL
#define LONG_PT		0x20000UL
#define LONG_GDT	0x5000UL
#define LONG_CS		0x08
#define LONG_DS		0x10
void build_tables(uint8_t *ram, size_t size);

/* 64-bit mode at privilege level 0 with those tables, interrupts off. */
void enter_long_mode(const struct vcpu *vcpu, uint64_t rip, uint64_t rsp);

/* UMBRA_RUN until it returns something else than -EINTR. */
int run(const struct vcpu *vcpu);

/* Wall clock, in seconds. */
double now(void);

/* A pseudo-random number; a thread's sequence depends on its random_seed alone. */
extern _Thread_local uint64_t random_seed;
uint64_t random64(void);

#endif
