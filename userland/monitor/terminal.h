/* SPDX-License-Identifier: GPL-2.0-only */
/* The user's terminal: raw while a guest has it, and always restored. */
#ifndef UMBRA_MONITOR_TERMINAL_H
#define UMBRA_MONITOR_TERMINAL_H

/**
 * terminal_raw() - Give the guest every key
 *
 * Does nothing when standard input is no terminal, or one that another job has
 * in the foreground. From then on the terminal is restored however we end,
 * short of SIGKILL.
 */
void terminal_raw(void);

/** terminal_restore() - Undo terminal_raw(); may be called any number of times */
void terminal_restore(void);

#endif
