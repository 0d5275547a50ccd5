/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef UMBRA_LIBUMBRA_INTERNAL_H
#define UMBRA_LIBUMBRA_INTERNAL_H

#include <pthread.h>

#include "libumbra.h"

struct umbra {
	int fd;
	struct umbra_info info;
};

struct umbra_vm {
	int fd;
	size_t run_size;
};

struct umbra_vcpu {
	int fd;
	unsigned int id;
	struct umbra_run *run;
	size_t run_size;
	pthread_t thread;
	bool attached;
};

/* Reads the counters behind a GET_STATS ioctl. */
int umbra_read_stats(int fd, unsigned long request, struct umbra_stat_list *list);

#endif
