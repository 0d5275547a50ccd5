// SPDX-License-Identifier: GPL-2.0-only
/* See fixture.h. */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include "fixture.h"
#include "wrap.h"

static unsigned long long seed = 1;
module_param(seed, ullong, 0444);
MODULE_PARM_DESC(seed, "of the random numbers of tests");

static struct mm_struct *test_mm;
static long pages_before;
static u64 state;

int fixture_suite_init(struct kunit_suite *suite)
{
	test_mm = current->mm;
	if (!test_mm)
		return -EINVAL;
	mmget(test_mm);
	return 0;
}

void fixture_suite_exit(struct kunit_suite *suite)
{
	mmput(test_mm);
	test_mm = NULL;
}

void fixture_begin(struct kunit *test)
{
	kthread_use_mm(test_mm);
	pages_before = wrap_pages();
}

void fixture_end(struct kunit *test)
{
	KUNIT_EXPECT_EQ_MSG(test, wrap_pages(), pages_before, "table pages were not freed");
	kthread_unuse_mm(test_mm);
}

struct umbra_vm *fixture_vm(struct kunit *test, u32 paging, unsigned int vcpus)
{
	struct umbra_vm *vm = umbra_vm_create(paging);
	unsigned int i;

	if (IS_ERR(vm)) {
		KUNIT_FAIL(test, "no VM: %ld", PTR_ERR(vm));
		return NULL;
	}
	mutex_lock(&vm->lock);
	for (i = 0; i < vcpus; i++) {
		struct umbra_vcpu *vcpu = umbra_vcpu_create(vm, i);

		if (IS_ERR(vcpu)) {
			mutex_unlock(&vm->lock);
			umbra_vm_put(vm);
			KUNIT_FAIL(test, "no vCPU: %ld", PTR_ERR(vcpu));
			return NULL;
		}
		umbra_vcpu_publish(vcpu);
	}
	mutex_unlock(&vm->lock);
	return vm;
}

void fixture_vm_free(struct umbra_vm *vm)
{
	umbra_vm_put(vm);
}

struct umbra_vm *fixture_begin_vcpu(struct kunit *test, u32 paging)
{
	struct umbra_vm *vm;

	fixture_begin(test);
	vm = fixture_vm(test, paging, 1);
	if (vm) {
		mutex_lock(&vm->vcpu[0]->mutex);
		umbra_vcpu_load(vm->vcpu[0]);
	}
	return vm;
}

void fixture_end_vcpu(struct kunit *test, struct umbra_vm *vm)
{
	if (vm) {
		umbra_vcpu_put(vm->vcpu[0]);
		mutex_unlock(&vm->vcpu[0]->mutex);
		fixture_vm_free(vm);
	}
	fixture_end(test);
}

unsigned long fixture_map(struct kunit *test, unsigned long size)
{
	const unsigned long align = 2UL << 20;
	unsigned long addr = vm_mmap(NULL, 0, size + align, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, 0);
	unsigned long first = ALIGN(addr, align);

	if (IS_ERR_VALUE(addr)) {
		KUNIT_FAIL(test, "no memory: %ld", (long)addr);
		return 0;
	}
	if (first > addr)
		vm_munmap(addr, first - addr);
	vm_munmap(first + size, addr + align - first);
	return first;
}

void fixture_unmap(unsigned long addr, unsigned long size)
{
	if (addr)
		vm_munmap(addr, size);
}

bool fixture_remap(unsigned long addr, unsigned long size)
{
	return vm_mmap(NULL, addr, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0) == addr;
}

int fixture_set_slot(struct umbra_vm *vm, u32 id, u32 flags, u64 gpa, u64 size, u64 uaddr)
{
	const struct umbra_memory mem = {
		.slot = id, .flags = flags, .gpa = gpa, .size = size, .uaddr = uaddr,
	};
	int ret;

	mutex_lock(&vm->lock);
	ret = umbra_memory_set(vm, &mem);
	mutex_unlock(&vm->lock);
	return ret;
}

unsigned long fixture_pfn(unsigned long addr)
{
	struct page *page;
	unsigned long pfn;

	if (get_user_pages_fast(addr & PAGE_MASK, 1, 0, &page) != 1)
		return 0;
	pfn = page_to_pfn(page);
	put_page(page);
	return pfn;
}

void random_seed(struct kunit *test, u64 more)
{
	state = seed * 1000003 + more;
	kunit_info(test, "seed %llu", seed);
}

u64 random64(void)
{
	u64 z = state += 0x9e3779b97f4a7c15;	/* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

u64 random_below(u64 n)
{
	return random64() % n;
}

bool one_in(unsigned int n)
{
	return random_below(n) == 0;
}
