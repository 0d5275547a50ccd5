/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Little-endian fields of images and tables at any alignment. The host is
 * x86-64, so a copy is all that is needed.
 */
#ifndef UMBRA_UTIL_BYTES_H
#define UMBRA_UTIL_BYTES_H

#include <stdint.h>
#include <string.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static inline uint16_t get16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t get32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t get64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void put16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void put32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void put64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* @align is a power of two. */
static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

#endif
