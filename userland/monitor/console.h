/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's console: the far end of its first serial port, connected to our
 * terminal, to a file or to nothing.
 */
#ifndef UMBRA_MONITOR_CONSOLE_H
#define UMBRA_MONITOR_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/serial.h"
#include "loop.h"

struct console;

enum console_kind {
	CONSOLE_STDIO,	/* standard input and output; the terminal in raw mode */
	CONSOLE_NONE,	/* what the guest says is lost */
	CONSOLE_FILE,	/* what the guest says goes to a file */
};

/**
 * struct console_config - What the console is connected to
 * @kind: to what
 * @path: the file, for CONSOLE_FILE
 * @quit: called when the user asks to end (Ctrl-A X)
 * @failed: called with a reason when output cannot be written
 * @opaque: for both
 */
struct console_config {
	enum console_kind kind;
	const char *path;
	void (*quit)(void *opaque);
	void (*failed)(void *opaque, const char *reason);
	void *opaque;
};

/**
 * console_create() - Make a console
 * @config: what it is connected to
 * @loop: serves it
 * @out: where it goes
 *
 * Return: 0, or a negative errno if the file cannot be opened and the like.
 */
int console_create(const struct console_config *config, struct loop *loop, struct console **out);

/** console_line() - The end of the cable that goes into the serial port */
struct serial_line console_line(struct console *console);

/**
 * console_start() - Take over the terminal and begin to read from it
 * @console: the console
 * @serial: the port at the other end of console_line()
 *
 * Return: 0 or a negative errno.
 */
int console_start(struct console *console, struct serial *serial);

/** console_resume() - Take over the terminal again, after we were stopped and continued */
void console_resume(struct console *console);

/**
 * console_full() - Does the guest write faster than the terminal takes?
 * @console: the console
 *
 * Return: where the answer is, for __atomic_load_n(), as long as there is the console.
 */
const bool *console_full(const struct console *console);

/**
 * console_wait() - Wait until there is room for more output
 * @console: the console
 *
 * Returns early on a signal. No device's lock may be held.
 */
void console_wait(struct console *console);

/**
 * console_stop() - Write what is left and give the terminal back
 * @console: the console
 *
 * Waits for a terminal that takes nothing for no more than a second. To be
 * called when neither the loop nor a vCPU runs any more.
 */
void console_stop(struct console *console);

/** console_destroy() - Undo console_create(); NULL is fine */
void console_destroy(struct console *console);

#endif
