// SPDX-License-Identifier: GPL-2.0-only
/* See soup.h. */
#include <string.h>

#include "common.h"
#include "garble.h"
#include "soup.h"

/*
 * Templates are strings: pairs of hex digits are bytes of the opcode, and the
 * letters stand for
 *	m	ModRM, and what follows from it, with any operand
 *	r	ModRM of registers alone
 *	0..7 after '/'	the reg field of the ModRM that follows as "m" or "r"
 *	b	an 8-bit immediate
 *	z	a 16- or 32-bit immediate, as the operand size has it
 *	w	a 16-bit immediate
 *	p	a far pointer (not in 64-bit code)
 */
struct kind {
	unsigned int kind;
	unsigned int count;
	const char *const *templates;
};

#define KIND(k, ...) {									\
	.kind = (k),									\
	.count = sizeof((const char *const[]) { __VA_ARGS__ }) / sizeof(char *),	\
	.templates = (const char *const[]) { __VA_ARGS__ },				\
}

static const struct kind kinds_of[] = {
	KIND(SOUP_COMMON, "89m", "8bm", "88m", "8am", "c7/0mz", "c6/0mb", "8dm", "86m", "87m",
	     "01m", "03m", "09m", "11m", "19m", "21m", "29m", "31m", "39m", "85m", "80mb", "81mz",
	     "83mb", "ff/0m", "ff/1m", "ff/6m", "8f/0m", "fe/0m", "f6/2m", "f7/3m", "f7/4m",
	     "f7/5m", "f7/6m", "f7/7m", "c0mb", "c1mb", "d1m", "d3m", "69mz", "6bmb", "0fafm",
	     "0fa3m", "0fabm", "0fb3m", "0fbbm", "0fba/5mb", "0fba/6mb", "0fa4mb", "0fadm", "0fb0m",
	     "0fb1m", "0fc0m", "0fc1m", "f00fb1m", "f001m", "f00fc1m", "0fc7/1m", "f00fc7/1m",
	     "0fb6m", "0fb7m", "0fbem", "0fbfm", "63m", "0f44m", "0f94m", "0fc3m", "0f38f0m",
	     "0f38f1m", "0fbcm", "f30fb8m", "0fc8", "0f1f/0m", "0f18/1m", "0fae/7m", "a4", "a5",
	     "aa", "ab", "ac", "ae", "a6", "f3a4", "f3a5", "f3aa", "f3ab", "f2ae", "f3a6", "50",
	     "53", "58", "5b", "9c", "9d", "68z", "6ab", "c8wb", "c9", "60", "61", "e8z", "ebb",
	     "e9z", "74b", "0f84z", "e2b", "e3b", "c3", "cb", "ca0000", "c2w", "ff/2m", "ff/4m",
	     "ff/3m", "ff/5m", "9ap", "eap", "90", "98", "99", "9e", "9f", "f5", "f8", "f9", "fc",
	     "fd", "d7", "27", "37", "d4b", "cc", "cdb", "ce", "f1", "cf", "0f0b", "62m", "0fb9m",
	     "f390"),
	KIND(SOUP_SYSTEM, "0f20r", "0f22r", "0f22/0r", "0f22/3r", "0f22/4r", "0f20/0r", "0f20/4r",
	     "0f01/0m", "0f01/1m", "0f01/2m", "0f01/3m", "0f01/4m", "0f01/6m", "0f01/7m", "0f01/7m",
	     "0f00/0m", "0f00/1m", "0f00/2m", "0f00/3m", "0f00/4m", "0f00/5m", "0f02m", "0f03m",
	     "8em", "8cm", "8e/2m", "0fa1", "0fa9", "0fa8", "1f", "07", "17", "0fb2m", "0fb4m",
	     "c4m", "0f01f8", "0f05", "0f07", "0f34", "0f35", "cf", "48cf", "9d", "0f06", "fa",
	     "fb", "0f01ca", "0f01cb", "0f01ee", "0f01ef", "660f3882m", "0f01d1", "0f08", "0f09",
	     "0f01c1", "0f01d9", "0f01d8", "0f01da", "0f01db", "0f01dc", "0f01dd", "0f01de",
	     "0f01df", "0f01c2", "0f01c3", "0f01c4", "0f78m", "0f79m", "0fc7/6m", "660f3880m",
	     "660f3881m", "f30fc7/6m", "0f37", "0faa", "0f01c8", "0f01c9", "f30fae/0r", "f30fae/2r",
	     "0f0100"),
	KIND(SOUP_DEBUG, "0f21r", "0f21/7r", "0f23r", "0f23/7r"),
	KIND(SOUP_MSR, "0f32", "0f30", "0f30"),
	KIND(SOUP_IO, "e4b", "e5b", "e6b", "e7b", "ec", "ed", "ee", "ef", "6c", "6d", "6e", "6f",
	     "f36c", "f36d", "f36e", "f36f", "f4", "fb", "fbf4", "668b0425b0", "0f01c8"),
	KIND(SOUP_TIME, "0f31", "0f01f9", "0f33", "0fa2", "0fc7/6r", "0fc7/7r", "0f01d0"),
	KIND(SOUP_VECTOR, "d9/0m", "d9/2m", "dd/4m", "dd/6m", "dbe3", "9b", "d9/6m", "dfe0", "dcm",
	     "d8m", "0fae/0m", "0fae/1m", "0fae/2m", "0fae/3m", "0fae/4m", "0fae/5m", "0fae/6m",
	     "0fc7/3m", "0fc7/4m", "0f10m", "0f11m", "0f28m", "0f29m", "660f6fm", "660f7fm",
	     "f30f6fm", "f30f7fm", "0f6fm", "0f7fm", "0f77", "0fe7m", "660fe7m", "f20f10m",
	     "f30f11m", "660fefm", "c5fe6fm", "c5fe7fm", "c5f811m", "c5f877", "c4e27d18m",
	     "660f38f6m", "0f01d1"),
};

struct pot {
	uint8_t *at;
	unsigned int room, used;
	int size;
};

static void put(struct pot *p, uint64_t value, unsigned int bytes)
{
	if (p->used + bytes > p->room)
		return;
	memcpy(p->at + p->used, &value, bytes);
	p->used += bytes;
}

static void put_modrm(struct pot *p, int reg, bool registers, unsigned int address)
{
	uint64_t r = random64();
	unsigned int mod = registers ? 3 : r >> 8 & 3, rm = r & 7;

	if (reg < 0)
		reg = r >> 3 & 7;
	put(p, mod << 6 | reg << 3 | rm, 1);
	if (mod == 3)
		return;
	if (address == 16) {
		if (mod == 1)
			put(p, random64(), 1);
		else if (mod == 2 || rm == 6)
			put(p, random64(), 2);
		return;
	}
	if (rm == 4) {
		uint8_t sib = random64();

		put(p, sib, 1);
		if (!mod && (sib & 7) == 5)
			put(p, some_value(), 4);
	}
	if (mod == 1)
		put(p, random64(), 1);
	else if (mod == 2 || (!mod && rm == 5))
		put(p, random64() & 1 ? random64() & 0xfff : some_value(), 4);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_template(struct pot *p, const char *t, unsigned int operand,
			 unsigned int address)
{
	int reg = -1;

	while (*t) {
		/* "b" alone is an immediate: bytes come in pairs, from the beginning. */
		if (hex(t[0]) >= 0 && t[1] && hex(t[1]) >= 0) {
			put(p, hex(t[0]) << 4 | hex(t[1]), 1);
			t += 2;
			continue;
		}
		switch (*t++) {
		case '/':
			reg = *t++ - '0';
			break;
		case 'm':
			put_modrm(p, reg, false, address);
			break;
		case 'r':
			put_modrm(p, reg, true, address);
			break;
		case 'b':
			put(p, random64() & 1 ? random64() & 15 : random64(), 1);
			break;
		case 'w':
			put(p, random64(), 2);
			break;
		case 'z':
			put(p, random64() & 1 ? random64() & 0xff : random64(),
			    operand == 16 ? 2 : 4);
			break;
		case 'p':
			put(p, some_value(), operand == 16 ? 2 : 4);
			put(p, random64() & 0x7f, 2);
			break;
		}
	}
}

/* MOV of a value into a general register. */
static void put_load(struct pot *p, unsigned int reg, uint64_t value)
{
	if (p->size == SOUP_64) {
		put(p, 0x48, 1);
		put(p, 0xb8 | reg, 1);
		put(p, value, 8);
	} else {
		if (p->size == SOUP_16)
			put(p, 0x66, 1);
		put(p, 0xb8 | reg, 1);
		put(p, value, 4);
	}
}

uint32_t some_msr(void)
{
	static const uint32_t known[] = {
		0x10, 0x11, 0x12, 0x17, 0x1b, 0x2a, 0x34, 0x3a, 0x3b, 0x48, 0x49, 0x79, 0x8b,
		0xce, 0xfe, 0x10a, 0x122, 0x140, 0x174, 0x175, 0x176, 0x179, 0x17a, 0x186, 0x1a0,
		0x1d9, 0x1db, 0x200, 0x20f, 0x250, 0x258, 0x268, 0x277, 0x2ff, 0x309, 0x345,
		0x400, 0x480, 0x491, 0x560, 0x6a0, 0x6a2, 0x6e0, 0x802, 0x803, 0x808, 0x80b,
		0x80d, 0x80f, 0x810, 0x820, 0x828, 0x830, 0x832, 0x837, 0x838, 0x839, 0x83e,
		0x83f, 0xda0, 0x40000000, 0x40000001, 0x40000020, 0x40000070, 0x4b564d00,
		0x4b564d01, 0x4b564d02, 0x4b564d04, 0xc0000080, 0xc0000081, 0xc0000082,
		0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103,
		0xc0000104, 0xc0010000, 0xc0010004, 0xc0010010, 0xc0010015, 0xc0010055,
		0xc0010058, 0xc0010114, 0xc0010117, 0xc001011f, 0xc0011029
	};
	uint64_t r = random64();
	uint32_t msr = known[(r >> 8) % ARRAY_SIZE(known)];

	if (r % 16 == 0)
		return msr ^ 1U << (r >> 40) % 32;
	return r % 16 == 1 ? 0x800 + (r >> 40) % 0x40 : msr;
}

/* What the registers of an instruction of this kind had better hold. */
static void put_operands(struct pot *p, unsigned int kind)
{
	uint64_t r = random64();

	switch (kind) {
	case SOUP_MSR:
		put_load(p, 1, some_msr());
		put_load(p, 0, some_value());
		put_load(p, 2, r & 3 ? 0 : some_value());
		break;
	case SOUP_IO:
		if (r & 3) {
			put_load(p, 2, r >> 8 & 3 ? r >> 16 & 0x3ff : r >> 16 & 0xffff);
			put_load(p, 1, r >> 32 & 0x1f);
		} else {
			/* A register of the local APIC, from a register to where it is mapped. */
			put_load(p, 7, 0xfee00000 + (r >> 8 & 0x3f) * 16 +
				 (r >> 16 & 15 ? 0 : r >> 20 & 15));
			put_load(p, 0, some_value());
			if (p->size == SOUP_16)
				put(p, 0x6766, 2);
			put(p, r >> 24 & 1 ? 0x0789 : 0x078b, 2);
		}
		break;
	case SOUP_SYSTEM:
		if (r & 1) {
			static const uint64_t useful[] = { 0x80000011, 0x80010033, 0x80000031,
				0x60000010, 0x11, 0x620, 0x6a0, 0x3006e0, 0x20, 0x10, 0x400, 0x0,
				LONG_CR3, LONG_CR3 | 0x18, LONG_GDT, LONG_CS, LONG_DS };

			put_load(p, r >> 8 & 7, useful[(r >> 16) % ARRAY_SIZE(useful)]);
		}
		break;
	default:
		/* A pointer into the memory there is, and a count that ends. */
		if (r % 4 == 0)
			put_load(p, r >> 8 & 7, some_value());
		if (r % 16 == 0)
			put_load(p, 1, r >> 16 & 0xff);
		break;
	}
}

static void put_instruction(struct pot *p, const struct kind *k)
{
	static const uint8_t segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
	unsigned int operand = p->size == SOUP_16 ? 16 : 32, address = p->size;
	const char *t = k->templates[random64() % k->count];
	uint64_t r = random64();

	put_operands(p, k->kind);
	if (r % 8 == 0) {
		put(p, 0x66, 1);
		operand = operand == 16 ? 32 : 16;
	}
	if (!(r >> 8 & 31)) {
		put(p, 0x67, 1);
		if (p->size != SOUP_64)
			address = p->size == SOUP_16 ? 32 : 16;
	}
	if ((r >> 16 & 31) == 0)
		put(p, segments[(r >> 24) % 6], 1);
	if ((r >> 32 & 63) == 0)
		put(p, 0xf0, 1);
	if (p->size == SOUP_64 && r >> 40 & 1 && hex(t[0]) >= 0 && strncmp(t, "f", 1))
		put(p, 0x40 | (r >> 44 & 15), 1);
	put_template(p, t, operand, address);
}

unsigned int soup_kinds(void)
{
	struct umbra_info info = {};

	if (call(dev, UMBRA_GET_INFO, &info))
		die("UMBRA_GET_INFO");
	return (SOUP_DEBUG - 1) | (info.vendor == UMBRA_VENDOR_SVM ? 0 : SOUP_DEBUG);
}

unsigned int soup(uint8_t *at, unsigned int room, unsigned int count, int size, unsigned int kinds)
{
	struct pot p = { .at = at, .room = room, .size = size };
	const struct kind *k;

	while (count-- && p.used + 32 <= room) {
		if (kinds & SOUP_BYTES && random64() % 32 == 0) {
			put(&p, random64(), 1 + random64() % 8);
			continue;
		}
		do {
			k = &kinds_of[random64() % ARRAY_SIZE(kinds_of)];
		} while (!(kinds & k->kind));
		put_instruction(&p, k);
	}
	return p.used;
}
