// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the linker puts in the place of symbols that the module's code uses (--wrap, see
 * Kbuild): pages are counted, and nothing of the real CPU's state is exchanged for the
 * guest's, as the CPU that guests run on is that of softcpu.c.
 */
#include <linux/atomic.h>
#include <linux/gfp.h>
#include "fixture.h"
#include "internal.h"
#include "wrap.h"

static atomic_long_t pages;

long wrap_pages(void)
{
	return atomic_long_read(&pages);
}

unsigned long WRAPPED_GET_FREE_PAGES(gfp_t gfp, unsigned int order)
{
	unsigned long addr = REAL_GET_FREE_PAGES(gfp, order);

	if (addr)
		atomic_long_add(1L << order, &pages);
	return addr;
}

unsigned long WRAPPED_GET_ZEROED_PAGE(gfp_t gfp)
{
	unsigned long addr = REAL_GET_ZEROED_PAGE(gfp);

	if (addr)
		atomic_long_inc(&pages);
	return addr;
}

struct page *WRAPPED_ALLOC_PAGES(gfp_t gfp, unsigned int order, int nid, nodemask_t *mask)
{
	struct page *page = REAL_ALLOC_PAGES(gfp, order, nid, mask);

	if (page)
		atomic_long_add(1L << order, &pages);
	return page;
}

void __wrap___free_pages(struct page *page, unsigned int order)
{
	atomic_long_sub(1L << order, &pages);
	__real___free_pages(page, order);
}

void __wrap_free_pages(unsigned long addr, unsigned int order)
{
	if (addr)
		atomic_long_sub(1L << order, &pages);
	__real_free_pages(addr, order);
}

/* Threads of the kernel have no FPU state that a guest's could take the place of. */

void __wrap_switch_fpu_return(void)
{
}

static void (*after_host_get)(void);

void wrap_after_host_get(void (*hook)(void))
{
	after_host_get = hook;
}

int __wrap_umbra_host_get(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
			  bool write, int max_level, struct umbra_host_page *hp)
{
	int ret = __real_umbra_host_get(vcpu, slot, gfn, write, max_level, hp);

	if (!ret && after_host_get)
		after_host_get();
	return ret;
}
