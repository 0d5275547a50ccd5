/* SPDX-License-Identifier: GPL-2.0-only */
/* What every kernel here has: a beginning, an end, words from its loader and a voice. */
#ifndef LIB_KERNEL_H
#define LIB_KERNEL_H

#include "types.h"

/*
 * The kernel's own part: runs in 64-bit (or flat 32-bit) mode on the boot tables
 * with all traps caught, interrupts off, and memory to allocate. Must not return.
 */
void kernel_main(void) __attribute__((noreturn));

/* Also the kernel's own: says what went wrong and ends the machine. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Prints on the serial port: %s %c %d %u %x %lx %llx %p and widths like %08x. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void vformat(char *buf, size_t size, const char *fmt, va_list ap);

/* Makes the serial port ready for that. */
void console_init(void);

/* Value of the command line's word key=VALUE, or NULL. */
const char *option(const char *key);

/*
 * Ends the machine now: 0 is success. By a debug-exit port where there is one, and
 * else by the power button's way, by reset or by triple fault.
 */
void machine_exit(int status) __attribute__((noreturn));

#endif
