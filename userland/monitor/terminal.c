// SPDX-License-Identifier: GPL-2.0-only
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "terminal.h"
#include "util/bytes.h"

static struct termios saved;
static volatile sig_atomic_t is_raw;

void terminal_restore(void)
{
	if (!is_raw)
		return;
	is_raw = false;
	/* Not TCSADRAIN, which would wait for a terminal that was stopped. */
	tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* A bug of ours must not leave the user with a terminal that does not echo. */
static void on_crash(int signal)
{
	terminal_restore();
	raise(signal);
}

static void restore_on_crash(void)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	struct sigaction action;
	size_t i;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_crash;
	action.sa_flags = SA_RESETHAND;
	for (i = 0; i < ARRAY_SIZE(crashes); i++)
		sigaction(crashes[i], &action, NULL);
}

void terminal_raw(void)
{
	static bool prepared;
	struct termios raw;

	if (is_raw || tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &raw))
		return;
	saved = raw;
	if (!prepared) {
		prepared = true;
		atexit(terminal_restore);
		restore_on_crash();
	}
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	is_raw = true;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}
