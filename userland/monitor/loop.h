/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The monitor's event loop: file descriptors and timers, served by one thread.
 * loop_stop() and the timer functions may be called by any thread, the others
 * by the loop's own or before it runs.
 */
#ifndef UMBRA_MONITOR_LOOP_H
#define UMBRA_MONITOR_LOOP_H

#include "devices/device.h"

struct loop;

/**
 * struct loop_fd - A file descriptor to be watched
 * @fd: the descriptor
 * @ready: called with EPOLLIN and friends when something happened
 * @arg: for @ready
 */
struct loop_fd {
	int fd;
	void (*ready)(void *arg, uint32_t events);
	void *arg;
};

/**
 * loop_create() - Make an event loop
 * @out: where it goes
 *
 * Return: 0 or a negative errno.
 */
int loop_create(struct loop **out);

/** loop_destroy() - Undo loop_create(); NULL is fine */
void loop_destroy(struct loop *loop);

/** loop_timers() - The clocks and timers for devices */
struct timer_host *loop_timers(struct loop *loop);

/**
 * loop_watch() - Watch a descriptor, or change for what
 * @loop: the loop
 * @watch: stays in use until loop_unwatch()
 * @events: EPOLLIN, EPOLLOUT
 *
 * Return: 0; -EPERM for a regular file, which is always ready; another
 * negative errno.
 */
int loop_watch(struct loop *loop, struct loop_fd *watch, uint32_t events);

/** loop_unwatch() - Watch it no longer */
void loop_unwatch(struct loop *loop, struct loop_fd *watch);

/** loop_run() - Serve until loop_stop() */
void loop_run(struct loop *loop);

/** loop_stop() - Make loop_run() return */
void loop_stop(struct loop *loop);

#endif
