// SPDX-License-Identifier: GPL-2.0-only
/* Serial port output, formatted printing, and the string functions gcc counts on. */
#include "cpu.h"
#include "kernel.h"
#include "string.h"

#define COM1 0x3f8

void *memset(void *dst, int c, size_t n)
{
	void *d = dst;

	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return dst;
}

void *memcpy(void *dst, const void *src, size_t n)
{
	void *d = dst;

	asm volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) :: "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	const char *e = s;

	while (*e)
		e++;
	return e - s;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++)
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	return 0;
}

void console_init(void)
{
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	outb(COM1 + 4, 3);
}

static void console_putc(char c)
{
	int i;

	/* A port that never gets ready must not hang the guest. */
	for (i = 0; i < 1000000 && !(inb(COM1 + 5) & 0x20); i++)
		;
	outb(COM1, c);
}

struct out {
	char *buf;
	size_t size, len;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len++] = c;
}

static void put_number(struct out *o, u64 v, u32 base, int width, char pad, bool negative)
{
	char digits[24];
	int n = 0;

	do {
		u32 d;

		if (base == 16) {
			d = v & 15;
			v >>= 4;
		} else {
			/* Two 32-bit divisions: 32-bit images have no 64-bit one. */
			u32 hi = v >> 32, lo = v, qhi = hi / 10, qlo;

			asm("divl %4" : "=a"(qlo), "=d"(d) : "0"(lo), "1"(hi % 10), "r"(10u));
			v = (u64)qhi << 32 | qlo;
		}
		digits[n++] = "0123456789abcdef"[d];
	} while (v);
	if (negative)
		digits[n++] = '-';
	for (; width > n; width--)
		put(o, pad);
	while (n)
		put(o, digits[--n]);
}

void vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { buf, size, 0 };

	for (; *fmt; fmt++) {
		int width = 0, longs = 0;
		char pad = ' ';
		s64 sv;
		u64 v;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt++;
		if (*fmt == '0')
			pad = '0';
		while (*fmt >= '0' && *fmt <= '9')
			width = width * 10 + *fmt++ - '0';
		while (*fmt == 'l' || *fmt == 'z') {
			longs += *fmt == 'l' ? 1 : sizeof(size_t) == 8;
			fmt++;
		}
		switch (*fmt) {
		case 's': {
			const char *s = va_arg(ap, const char *);

			while (s && *s) {
				put(&o, *s++);
				width--;
			}
			for (; width > 0; width--)
				put(&o, ' ');
			break;
		}
		case 'c':
			put(&o, va_arg(ap, int));
			break;
		case 'd':
			sv = longs > 1 ? va_arg(ap, long long) : longs ? va_arg(ap, long) :
			     va_arg(ap, int);
			put_number(&o, sv < 0 ? -(u64)sv : (u64)sv, 10, width, pad, sv < 0);
			break;
		case 'p':
			put_number(&o, (ulong)va_arg(ap, void *), 16, width, pad, false);
			break;
		case 'u':
		case 'x':
			v = longs > 1 ? va_arg(ap, unsigned long long) :
			    longs ? va_arg(ap, ulong) : va_arg(ap, unsigned int);
			put_number(&o, v, *fmt == 'x' ? 16 : 10, width, pad, false);
			break;
		default:
			put(&o, *fmt);
		}
	}
	buf[o.len] = 0;
}

void format(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vformat(buf, size, fmt, ap);
	va_end(ap);
}

void print(const char *fmt, ...)
{
	char line[400];
	va_list ap;
	char *c;

	va_start(ap, fmt);
	vformat(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (c = line; *c; c++) {
		if (*c == '\n')
			console_putc('\r');
		console_putc(*c);
	}
}
