// SPDX-License-Identifier: GPL-2.0-only
#include <pthread.h>
#include <string.h>

#include "kick.h"

static void kick_handler(int signal)
{
	(void)signal;
}

void kick_signal_prepare(void)
{
	struct sigaction action;
	sigset_t set;

	memset(&action, 0, sizeof(action));
	/* No SA_RESTART: a blocking call must come back with EINTR. */
	action.sa_handler = kick_handler;
	sigaction(KICK_SIGNAL, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
