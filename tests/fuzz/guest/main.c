// SPDX-License-Identifier: GPL-2.0-only
/*
 *	guestfuzz SECONDS [hostile|compare|both] [SEED [FIRST-ROUND]]
 *
 * One kind of round after the other, or both in turn, until time is up. A round is
 * fully determined by the seed and its number, but for the hostile ones' timing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "guest.h"

bool has_nested, has_1g, has_la57, has_pke, verbose;

static void on_signal(int sig)
{
	(void)sig;
}

void alarm_in(unsigned int microseconds)
{
	struct itimerval timer = {
		.it_interval.tv_usec = microseconds ? 5000 : 0,
		.it_value = { microseconds / 1000000, microseconds % 1000000 },
	};

	setitimer(ITIMER_REAL, &timer, NULL);
}

bool run_plausible(int result, uint32_t reason)
{
	if (result ? result == -EINTR || result == -ENOMEM :
		     reason > UMBRA_EXIT_NONE && reason < UMBRA_EXIT_COUNT)
		return true;
	printf("FAIL UMBRA_RUN: %d, exit reason %u\n", result, reason);
	return false;
}

static uint64_t capability(unsigned int cap)
{
	struct umbra_cap c = { .cap = cap };

	return call(dev, UMBRA_CHECK_CAP, &c) ? 0 : c.value;
}

static void look_at_host(void)
{
	static struct umbra_cpuid_entry entries[UMBRA_MAX_CPUID];
	struct umbra_cpuid cpuid = { .count = UMBRA_MAX_CPUID, .entries = (uintptr_t)entries };
	unsigned int i;

	if (call(dev, UMBRA_SUPPORTED_CPUID, &cpuid))
		die("UMBRA_SUPPORTED_CPUID");
	for (i = 0; i < cpuid.count; i++) {
		if (entries[i].leaf == 0x80000001)
			has_1g = entries[i].edx >> 26 & 1;
		if (entries[i].leaf == 7 && !entries[i].subleaf)
			has_pke = entries[i].ecx >> 3 & 1;
	}
	has_nested = capability(UMBRA_CAP_PAGING_NESTED);
	has_la57 = capability(UMBRA_CAP_LA57);
	verbose = getenv("VERBOSE");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	const char *kind = argc > 2 ? argv[2] : "both";
	bool hostile = strcmp(kind, "compare"), compare = strcmp(kind, "hostile"), ok = true;
	unsigned long i, first = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
	uint64_t seed;
	double end;

	if (argc < 2 || argc > 5 || strtod(argv[1], NULL) <= 0 ||
	    (hostile && compare && strcmp(kind, "both"))) {
		fprintf(stderr,
			"usage: guestfuzz SECONDS [hostile|compare|both] [SEED [FIRST-ROUND]]\n");
		return 2;
	}
	seed = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)(now() * 1e9);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %#lx\n", seed);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	open_device();
	look_at_host();
	compare &= has_nested;
	if (compare)
		compare_setup();
	end = now() + strtod(argv[1], NULL);
	for (i = first; now() < end && ok; i++) {
		random_seed = seed + i * 0x632be59bd9b4e019;
		uint64_t round = random64();

		if (verbose)
			printf("round %lu\n", i);
		if (compare && (i & 1 || !hostile))
			ok = compare_round(round);
		else if (hostile)
			ok = hostile_round(round);
		if (!ok)
			printf("round %lu of seed %#lx\n", i, seed);
	}
	if (hostile)
		hostile_print();
	if (compare)
		compare_print();
	printf("%s guest %s, %lu rounds\n", ok ? "PASS" : "FAIL", kind, i - first);
	return !ok;
}
