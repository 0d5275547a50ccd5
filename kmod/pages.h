/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages that the module takes from the host. They are counted, as nothing else
 * in Linux would notice one that is not given back; kmod/main.c does when the
 * module is unloaded.
 */
#ifndef UMBRA_PAGES_H
#define UMBRA_PAGES_H

#include <linux/atomic.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/topology.h>

extern atomic_long_t umbra_pages;

/**
 * umbra_alloc_pages() - take pages from the host
 * @gfp: GFP_*
 * @order: how many, 1 << @order
 *
 * Return: the first of them, or NULL.
 */
static inline struct page *umbra_alloc_pages(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	if (page)
		atomic_long_add(1L << order, &umbra_pages);
	return page;
}

/**
 * umbra_alloc_pages_on() - take a page that is near to a CPU
 * @cpu: the CPU
 * @gfp: GFP_*
 *
 * Return: the page, or NULL.
 */
static inline struct page *umbra_alloc_pages_on(unsigned int cpu, gfp_t gfp)
{
	struct page *page = alloc_pages_node(cpu_to_node(cpu), gfp, 0);

	if (page)
		atomic_long_inc(&umbra_pages);
	return page;
}

/**
 * umbra_free_pages() - give pages back
 * @page: the first of them, from umbra_alloc_pages(); not NULL
 * @order: as they were taken
 */
static inline void umbra_free_pages(struct page *page, unsigned int order)
{
	__free_pages(page, order);
	atomic_long_sub(1L << order, &umbra_pages);
}

/**
 * umbra_get_page() - take one page by its address
 * @gfp: GFP_*
 *
 * Return: its address, or NULL.
 */
static inline void *umbra_get_page(gfp_t gfp)
{
	struct page *page = umbra_alloc_pages(gfp, 0);

	return page ? page_address(page) : NULL;
}

/**
 * umbra_free_page() - give a page back by its address
 * @address: from umbra_get_page(), or NULL
 */
static inline void umbra_free_page(const void *address)
{
	if (address)
		umbra_free_pages(virt_to_page(address), 0);
}

#endif /* UMBRA_PAGES_H */
