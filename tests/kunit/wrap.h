/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests ask of wrap.c. */
#ifndef TESTS_KUNIT_WRAP_H
#define TESTS_KUNIT_WRAP_H

#include <linux/gfp.h>
#include <linux/types.h>
#include "umbra.h"

struct umbra_host_page;

/* Pages that the module's code has taken from the kernel and not given back. */
long wrap_pages(void);

/* To be called each time that umbra_host_get() has found a page; NULL: nothing. */
void wrap_after_host_get(void (*hook)(void));

/* In softcpu.c. */
void __wrap_svm_enter(u64 vmcb_pa, u64 *gpr, u64 host_pa);
void __wrap_svm_flush_gva(struct umbra_vcpu *vcpu, u64 gva);
void __real_svm_flush_gva(struct umbra_vcpu *vcpu, u64 gva);

/* In wrap.c. */
#ifdef __get_free_pages
/* Kernels that can account for allocations by their place. */
#define WRAPPED_GET_FREE_PAGES	__wrap_get_free_pages_noprof
#define REAL_GET_FREE_PAGES	__real_get_free_pages_noprof
#define WRAPPED_GET_ZEROED_PAGE	__wrap_get_zeroed_page_noprof
#define REAL_GET_ZEROED_PAGE	__real_get_zeroed_page_noprof
#define WRAPPED_ALLOC_PAGES	__wrap___alloc_pages_noprof
#define REAL_ALLOC_PAGES	__real___alloc_pages_noprof
#else
#define WRAPPED_GET_FREE_PAGES	__wrap___get_free_pages
#define REAL_GET_FREE_PAGES	__real___get_free_pages
#define WRAPPED_GET_ZEROED_PAGE	__wrap_get_zeroed_page
#define REAL_GET_ZEROED_PAGE	__real_get_zeroed_page
#define WRAPPED_ALLOC_PAGES	__wrap___alloc_pages
#define REAL_ALLOC_PAGES	__real___alloc_pages
#endif

unsigned long REAL_GET_FREE_PAGES(gfp_t gfp, unsigned int order);
unsigned long WRAPPED_GET_FREE_PAGES(gfp_t gfp, unsigned int order);
unsigned long REAL_GET_ZEROED_PAGE(gfp_t gfp);
unsigned long WRAPPED_GET_ZEROED_PAGE(gfp_t gfp);
struct page *REAL_ALLOC_PAGES(gfp_t gfp, unsigned int order, int nid, nodemask_t *mask);
struct page *WRAPPED_ALLOC_PAGES(gfp_t gfp, unsigned int order, int nid, nodemask_t *mask);
void __real_free_pages(unsigned long addr, unsigned int order);
void __wrap_free_pages(unsigned long addr, unsigned int order);
void __real___free_pages(struct page *page, unsigned int order);
void __wrap___free_pages(struct page *page, unsigned int order);

void __wrap_switch_fpu_return(void);

int __real_umbra_host_get(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
			  bool write, int max_level, struct umbra_host_page *hp);
int __wrap_umbra_host_get(struct umbra_vcpu *vcpu, const struct umbra_slot *slot, gfn_t gfn,
			  bool write, int max_level, struct umbra_host_page *hp);

#endif
