// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"
#include "util/error.h"

struct loop {
	struct timer_host timers;	/* first: a timer's host leads back to its loop */
	int epoll;
	struct loop_fd timer_fd;
	struct loop_fd stop_fd;
	bool stop;

	/* Innermost: devices arm timers with their own lock held. */
	pthread_mutex_t lock;
	struct timer *armed;		/* in order of their deadlines */
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static uint64_t loop_now(struct timer_host *host)
{
	(void)host;
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t loop_wall(struct timer_host *host)
{
	(void)host;
	return clock_ns(CLOCK_REALTIME);
}

static struct loop *timer_loop(struct timer *timer)
{
	return (struct loop *)timer->host;
}

/* Sets the kernel's timer to the first deadline. */
static void program(struct loop *loop)
{
	struct itimerspec when;

	memset(&when, 0, sizeof(when));
	if (loop->armed) {
		/* An it_value of zero would disarm. */
		uint64_t deadline = loop->armed->deadline ? loop->armed->deadline : 1;

		when.it_value.tv_sec = deadline / NS_PER_SEC;
		when.it_value.tv_nsec = deadline % NS_PER_SEC;
	}
	timerfd_settime(loop->timer_fd.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void unlink_timer(struct loop *loop, struct timer *timer)
{
	struct timer **link;

	for (link = &loop->armed; *link; link = &(*link)->next)
		if (*link == timer) {
			*link = timer->next;
			timer->armed = false;
			return;
		}
}

static void loop_arm(struct timer *timer, uint64_t deadline)
{
	struct loop *loop = timer_loop(timer);
	struct timer **link;

	pthread_mutex_lock(&loop->lock);
	if (timer->armed)
		unlink_timer(loop, timer);
	timer->deadline = deadline;
	timer->armed = true;
	for (link = &loop->armed; *link && (*link)->deadline <= deadline; link = &(*link)->next)
		;
	timer->next = *link;
	*link = timer;
	/*
	 * The kernel's timer may now be too early, which costs one idle look at
	 * the list, but never too late.
	 */
	if (loop->armed == timer)
		program(loop);
	pthread_mutex_unlock(&loop->lock);
}

static void loop_cancel(struct timer *timer)
{
	struct loop *loop = timer_loop(timer);

	pthread_mutex_lock(&loop->lock);
	if (timer->armed)
		unlink_timer(loop, timer);
	pthread_mutex_unlock(&loop->lock);
}

static void timers_ready(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	uint64_t expirations, now;
	struct timer *timer;

	(void)events;
	if (read(loop->timer_fd.fd, &expirations, sizeof(expirations)) < 0 && errno == EAGAIN)
		return;

	now = loop_now(&loop->timers);
	pthread_mutex_lock(&loop->lock);
	while (loop->armed && loop->armed->deadline <= now) {
		timer = loop->armed;
		unlink_timer(loop, timer);
		pthread_mutex_unlock(&loop->lock);
		timer->fire(timer->arg);
		pthread_mutex_lock(&loop->lock);
	}
	program(loop);
	pthread_mutex_unlock(&loop->lock);
}

static void stop_ready(void *arg, uint32_t events)
{
	struct loop *loop = arg;

	(void)events;
	loop->stop = true;
}

int loop_create(struct loop **out)
{
	struct loop *loop;
	int err;

	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return error_set(ENOMEM, "out of memory");
	loop->timers = (struct timer_host){
		.now = loop_now,
		.wall = loop_wall,
		.arm = loop_arm,
		.cancel = loop_cancel,
	};
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = (struct loop_fd){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.ready = timers_ready,
		.arg = loop,
	};
	loop->stop_fd = (struct loop_fd){
		.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.ready = stop_ready,
		.arg = loop,
	};
	if (loop->epoll < 0 || loop->timer_fd.fd < 0 || loop->stop_fd.fd < 0 ||
	    loop_watch(loop, &loop->timer_fd, EPOLLIN) ||
	    loop_watch(loop, &loop->stop_fd, EPOLLIN)) {
		err = errno;
		loop_destroy(loop);
		return error_set(err, "cannot make an event loop: %s", strerror(err));
	}
	*out = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->stop_fd.fd >= 0)
		close(loop->stop_fd.fd);
	if (loop->timer_fd.fd >= 0)
		close(loop->timer_fd.fd);
	if (loop->epoll >= 0)
		close(loop->epoll);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

struct timer_host *loop_timers(struct loop *loop)
{
	return &loop->timers;
}

int loop_watch(struct loop *loop, struct loop_fd *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (!epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event))
		return 0;
	if (errno == ENOENT && !epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event))
		return 0;
	return error_set(errno, "cannot watch a file: %s", strerror(errno));
}

void loop_unwatch(struct loop *loop, struct loop_fd *watch)
{
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

void loop_run(struct loop *loop)
{
	struct epoll_event event[8];
	int i, n;

	while (!loop->stop) {
		n = epoll_wait(loop->epoll, event, 8, -1);
		for (i = 0; i < n; i++) {
			struct loop_fd *watch = event[i].data.ptr;

			watch->ready(watch->arg, event[i].events);
		}
	}
}

void loop_stop(struct loop *loop)
{
	uint64_t one = 1;

	/* A full counter has done what it is for already. */
	if (write(loop->stop_fd.fd, &one, sizeof(one)) < 0)
		return;
}
