// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "internal.h"
#include "util/bytes.h"
#include "util/error.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

void machine_end(struct machine *m, enum machine_end end, uint32_t detail, const char *fmt, ...)
{
	bool first;
	unsigned int id;
	va_list ap;

	pthread_mutex_lock(&m->end_lock);
	first = m->result.end == MACHINE_RUNNING;
	if (first) {
		m->result.end = end;
		m->result.detail = detail;
		va_start(ap, fmt);
		vsnprintf(m->result.text, sizeof(m->result.text), fmt, ap);
		va_end(ap);
		__atomic_store_n(&m->stopping, true, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&m->end_lock);
	if (!first)
		return;
	for (id = 0; id < m->config->cpus; id++)
		umbra_vcpu_kick(m->vcpu[id].handle);
	loop_stop(m->loop);
}

static void quit(void *opaque)
{
	machine_end(opaque, MACHINE_QUIT, 0, "%s", "");
}

static void console_failed(void *opaque, const char *reason)
{
	machine_end(opaque, MACHINE_FAILED, 0, "cannot write the guest's console: %s", reason);
}

static const int handled_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCONT };

static void signal_ready(void *arg, uint32_t events)
{
	struct machine *m = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(m->signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* The shell may have set the terminal to its own liking meanwhile. */
	if (info.ssi_signo == SIGCONT)
		console_resume(m->console);
	else
		machine_end(m, MACHINE_SIGNAL, info.ssi_signo, "%s", "");
}

static bool is_ignored(int number)
{
	struct sigaction action;

	return !sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN;
}

static int catch_signals(struct machine *m)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(handled_signals); i++)
		sigaddset(&set, handled_signals[i]);
	/* As nohup wants it. A blocked signal would be taken although it is ignored. */
	if (is_ignored(SIGHUP))
		sigdelset(&set, SIGHUP);
	/* Blocked before there are other threads, so it is in all of them. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* A reader of our output that has gone is noticed when we write. */
	signal(SIGPIPE, SIG_IGN);
	m->signals = (struct loop_fd){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.ready = signal_ready,
		.arg = m,
	};
	if (m->signals.fd < 0)
		return error_set(errno, "cannot wait for signals: %s", strerror(errno));
	return loop_watch(m->loop, &m->signals, EPOLLIN);
}

static int create_vm(struct machine *m)
{
	struct guest_memory *mem = &m->memory;
	int ret;

	ret = umbra_open(&m->umbra);
	if (ret)
		return ret;
	ret = umbra_vm_create(m->umbra, m->config->paging, &m->vm);
	if (ret)
		return ret;
	/* VGA's frame buffer and the firmware's ROM are RAM here: low memory is one slot. */
	ret = umbra_vm_set_memory(m->vm, 0, 0, 0, mem->low_size, mem->low);
	if (!ret && mem->high_size)
		ret = umbra_vm_set_memory(m->vm, 1, 0, MEMORY_HIGH, mem->high_size, mem->high);
	if (ret)
		return ret;
	return vcpus_create(m);
}

static int build(struct machine *m)
{
	struct console_config console = {
		.kind = m->config->console,
		.path = m->config->console_path,
		.quit = quit,
		.failed = console_failed,
		.opaque = m,
	};
	int ret;

	ret = loop_create(&m->loop);
	if (ret)
		return ret;
	ret = catch_signals(m);
	if (ret)
		return ret;
	ret = memory_create(&m->memory, m->config->memory);
	if (!ret && m->config->prealloc)
		ret = memory_populate(&m->memory);
	if (ret)
		return ret;
	/* Before the hypervisor is asked for, so that a bad file is what the user hears of. */
	ret = machine_load(m);
	if (ret)
		return ret;
	ret = create_vm(m);
	if (ret)
		return ret;
	ret = machine_enter(m);
	if (ret)
		return ret;
	ret = console_create(&console, m->loop, &m->console);
	if (ret)
		return ret;
	ret = board_create(m);
	if (ret)
		return ret;
	return board_fill_fw_cfg(m);
}

int machine_create(const struct machine_config *config, struct machine **out)
{
	struct machine *m;
	int ret;

	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(ENOMEM, "out of memory");
	m->config = config;
	m->signals.fd = -1;
	pthread_mutex_init(&m->end_lock, NULL);
	ret = build(m);
	if (ret) {
		machine_destroy(m);
		return ret;
	}
	*out = m;
	return 0;
}

int machine_run(struct machine *m, struct machine_result *result)
{
	int ret;

	m->start_ns = now_ns();
	m->start_tsc = __rdtsc();
	ret = console_start(m->console, m->serial);
	if (!ret)
		ret = vcpus_start(m);
	if (ret)
		machine_end(m, MACHINE_FAILED, 0, "%s", error_text());
	else
		loop_run(m->loop);
	vcpus_join(m);
	m->run_ticks = __rdtsc() - m->start_tsc;
	m->run_ns = now_ns() - m->start_ns;
	console_stop(m->console);
	if (!ret && m->config->stats)
		ret = statistics_write(m);
	*result = m->result;
	return ret;
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	board_destroy(m);
	console_destroy(m->console);
	vcpus_destroy(m);
	umbra_vm_close(m->vm);
	umbra_close(m->umbra);
	memory_destroy(&m->memory);
	if (m->signals.fd >= 0)
		close(m->signals.fd);
	loop_destroy(m->loop);
	pthread_mutex_destroy(&m->end_lock);
	free(m);
}
