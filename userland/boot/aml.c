// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "aml.h"
#include "util/bytes.h"

#define OP_ZERO		0x00
#define OP_ONE		0x01
#define OP_NAME		0x08
#define OP_BYTE		0x0a
#define OP_WORD		0x0b
#define OP_DWORD	0x0c
#define OP_SCOPE	0x10
#define OP_BUFFER	0x11
#define OP_PACKAGE	0x12
#define OP_EXT		0x5b
#define OP_EXT_DEVICE	0x82

/* Resource descriptors (section 6.4). */
#define RES_IRQ		0x22
#define RES_IO		0x47
#define RES_END		0x79
#define RES_DWORD_SPACE	0x87
#define RES_WORD_SPACE	0x88
#define SPACE_MEMORY	0
#define SPACE_IO	1
#define SPACE_BUS	2
#define SPACE_FIXED	0x0c	/* produced, decoded positively, both ends fixed */
#define IO_ENTIRE_RANGE	0x03
#define MEMORY_WRITABLE	0x01

/* A length in two bytes, the form that holds up to 4,095. */
#define LENGTH_SIZE	2
#define LENGTH_MAX	0xfff

static void put(struct aml *aml, const void *data, size_t size)
{
	if (size > aml->size - aml->used) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->at + aml->used, data, size);
	aml->used += size;
}

static void put_byte(struct aml *aml, uint8_t v)
{
	put(aml, &v, sizeof(v));
}

static void put_word(struct aml *aml, uint16_t v)
{
	put(aml, &v, sizeof(v));
}

static void put_dword(struct aml *aml, uint32_t v)
{
	put(aml, &v, sizeof(v));
}

/* Names are four characters, filled up with underscores; a leading \ is the root. */
static void put_name(struct aml *aml, const char *name)
{
	char segment[4] = { '_', '_', '_', '_' };
	size_t n;

	if (*name == '\\') {
		put_byte(aml, '\\');
		name++;
		/* The root alone is a name of no segments. */
		if (!*name) {
			put_byte(aml, 0);
			return;
		}
	}
	n = strlen(name);
	memcpy(segment, name, n < sizeof(segment) ? n : sizeof(segment));
	put(aml, segment, sizeof(segment));
}

static void put_integer(struct aml *aml, uint32_t v)
{
	if (v == 0) {
		put_byte(aml, OP_ZERO);
	} else if (v == 1) {
		put_byte(aml, OP_ONE);
	} else if (v <= 0xff) {
		put_byte(aml, OP_BYTE);
		put_byte(aml, v);
	} else if (v <= 0xffff) {
		put_byte(aml, OP_WORD);
		put_word(aml, v);
	} else {
		put_byte(aml, OP_DWORD);
		put_dword(aml, v);
	}
}

/* Leaves room for the length, which aml_close() fills in. */
static void open_length(struct aml *aml)
{
	if (aml->depth == AML_DEPTH) {
		aml->overflow = true;
		return;
	}
	aml->open[aml->depth++] = aml->used;
	put_word(aml, 0);
}

void aml_init(struct aml *aml, void *at, size_t size)
{
	*aml = (struct aml){ .at = at, .size = size };
}

void aml_close(struct aml *aml)
{
	size_t from, length;

	if (aml->overflow)
		return;
	from = aml->open[--aml->depth];
	/* It counts itself. */
	length = aml->used - from;
	if (length > LENGTH_MAX) {
		aml->overflow = true;
		return;
	}
	aml->at[from] = (LENGTH_SIZE - 1) << 6 | (length & 0xf);
	aml->at[from + 1] = length >> 4;
}

void aml_scope(struct aml *aml, const char *path)
{
	put_byte(aml, OP_SCOPE);
	open_length(aml);
	put_name(aml, path);
}

void aml_device(struct aml *aml, const char *name)
{
	put_byte(aml, OP_EXT);
	put_byte(aml, OP_EXT_DEVICE);
	open_length(aml);
	put_name(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint32_t value)
{
	put_byte(aml, OP_NAME);
	put_name(aml, name);
	put_integer(aml, value);
}

/* Three letters of five bits and four hexadecimal digits, big endian (section 19.6.38). */
static uint32_t eisa_id(const char *id)
{
	uint32_t letters = (id[0] & 0x1f) << 10 | (id[1] & 0x1f) << 5 | (id[2] & 0x1f);

	return __builtin_bswap32(letters << 16 | (uint32_t)strtoul(id + 3, NULL, 16));
}

void aml_name_eisa(struct aml *aml, const char *name, const char *id)
{
	aml_name_integer(aml, name, eisa_id(id));
}

void aml_name_package(struct aml *aml, const char *name, const uint32_t *value,
		      unsigned int count)
{
	unsigned int i;

	put_byte(aml, OP_NAME);
	put_name(aml, name);
	put_byte(aml, OP_PACKAGE);
	open_length(aml);
	put_byte(aml, count);
	for (i = 0; i < count; i++)
		put_integer(aml, value[i]);
	aml_close(aml);
}

void aml_name_resources(struct aml *aml, const char *name)
{
	put_byte(aml, OP_NAME);
	put_name(aml, name);
	put_byte(aml, OP_BUFFER);
	open_length(aml);
	/* The size of the buffer, filled in at the end. */
	put_byte(aml, OP_WORD);
	put_word(aml, 0);
}

void aml_resources_end(struct aml *aml)
{
	size_t buffer;

	put_byte(aml, RES_END);
	put_byte(aml, 0);	/* no checksum */
	if (aml->overflow)
		return;
	buffer = aml->open[aml->depth - 1] + LENGTH_SIZE + 1;
	put16(aml->at + buffer, aml->used - buffer - 2);
	aml_close(aml);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t count)
{
	put_byte(aml, RES_IO);
	put_byte(aml, 1);	/* 16 address lines are decoded */
	put_word(aml, base);
	put_word(aml, base);
	put_byte(aml, 1);
	put_byte(aml, count);
}

void aml_irq(struct aml *aml, unsigned int irq)
{
	put_byte(aml, RES_IRQ);
	put_word(aml, 1U << irq);
}

static void word_space(struct aml *aml, uint8_t type, uint8_t flags, uint16_t first, uint16_t last)
{
	put_byte(aml, RES_WORD_SPACE);
	put_word(aml, 13);
	put_byte(aml, type);
	put_byte(aml, SPACE_FIXED);
	put_byte(aml, flags);
	put_word(aml, 0);
	put_word(aml, first);
	put_word(aml, last);
	put_word(aml, 0);
	put_word(aml, last - first + 1);
}

void aml_bus_numbers(struct aml *aml, uint16_t first, uint16_t last)
{
	word_space(aml, SPACE_BUS, 0, first, last);
}

void aml_io_window(struct aml *aml, uint16_t first, uint16_t last)
{
	word_space(aml, SPACE_IO, IO_ENTIRE_RANGE, first, last);
}

void aml_memory_window(struct aml *aml, uint32_t first, uint32_t last)
{
	put_byte(aml, RES_DWORD_SPACE);
	put_word(aml, 23);
	put_byte(aml, SPACE_MEMORY);
	put_byte(aml, SPACE_FIXED);
	put_byte(aml, MEMORY_WRITABLE);
	put_dword(aml, 0);
	put_dword(aml, first);
	put_dword(aml, last);
	put_dword(aml, 0);
	put_dword(aml, last - first + 1);
}
