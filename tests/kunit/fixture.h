/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMs for tests inside the kernel: made by the module's own code, in the address space
 * of the process that loads the module, and run by the CPU of softcpu.h.
 */
#ifndef TESTS_KUNIT_FIXTURE_H
#define TESTS_KUNIT_FIXTURE_H

#include <kunit/test.h>
#include "umbra.h"

/* A failure that says what was seen; the test goes on. */
#define FAIL_UNLESS(test, condition, format, ...)				\
	({									\
		bool holds_ = (condition);					\
		if (!holds_)							\
			KUNIT_FAIL(test, format, ##__VA_ARGS__);		\
		holds_;								\
	})

/* For struct kunit_suite: tests run in threads of the kernel, which have no address space. */
int fixture_suite_init(struct kunit_suite *suite);
void fixture_suite_exit(struct kunit_suite *suite);

/*
 * fixture_begin() to fixture_end() the calling thread is in that address space. At the
 * end all table pages that were allocated in between must have been freed.
 */
void fixture_begin(struct kunit *test);
void fixture_end(struct kunit *test);

/* NULL, and a failure of the test, if it cannot be had. */
struct umbra_vm *fixture_vm(struct kunit *test, u32 paging, unsigned int vcpus);
void fixture_vm_free(struct umbra_vm *vm);

/* fixture_begin(), and a VM with one vCPU, locked and loaded; and the end of both. */
struct umbra_vm *fixture_begin_vcpu(struct kunit *test, u32 paging);
void fixture_end_vcpu(struct kunit *test, struct umbra_vm *vm);

/* Anonymous memory; 0 and a failure if there is none. Aligned to 2 MiB. */
unsigned long fixture_map(struct kunit *test, unsigned long size);
void fixture_unmap(unsigned long addr, unsigned long size);
/* The same addresses, with new pages. */
bool fixture_remap(unsigned long addr, unsigned long size);

int fixture_set_slot(struct umbra_vm *vm, u32 id, u32 flags, u64 gpa, u64 size, u64 uaddr);

/* Number of the page that the process has at an address, faulted in if need be; 0: none. */
unsigned long fixture_pfn(unsigned long addr);

/* Random numbers, repeatable: the state is set at the start of each test. */
void random_seed(struct kunit *test, u64 seed);
u64 random64(void);
u64 random_below(u64 n);
bool one_in(unsigned int n);

#endif
