// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nobody's FPU registers get lost or to somebody else: guests, the threads that run
 * them and threads beside them all hold patterns in them, while exits to user space,
 * preemption and signals mix them up.
 *
 *	fpu nested|shadow SECONDS
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common.h"
#include "fpuguest.h"

#define VCPUS		4	/* more than the host has CPUs */
#define SPINNERS	2
#define MEMORY		(2 * MIB)
#define EXITS		3	/* for each pattern of a guest */
#define PATIENCE	60	/* seconds */

struct thread {
	pthread_t thread;
	unsigned int id;
	struct vm vm;
	unsigned long exits, signals, guest_errors, own_errors;
};

static struct thread vcpus[VCPUS], spinners[SPINNERS];
static bool stopping, has_avx;

/* Signal handlers use the registers, too; the kernel gives them back. */
static void on_signal(int number)
{
	struct registers before, after;

	(void)number;
	memset(&before, 0x5a, sizeof(before));
	before.mxcsr = 0x1f80;
	fpu_spin(1, &before, &after, has_avx);
}

static void new_pattern(struct registers *r, uint64_t *seed, bool avx)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(r->vector); i++)
		r->vector[i] = *seed += 0x9e3779b97f4a7c15;
	if (!avx)
		for (i = 0; i < ARRAY_SIZE(r->vector); i++)
			if (i & 2)
				r->vector[i] = 0;
	r->mxcsr = 0x1f80 | (*seed & 0x6000);
	r->reserved = 0;
	r->st0 = *seed;
}

static void *run_vcpu(void *arg)
{
	struct thread *t = arg;
	const struct vcpu *vcpu = &t->vm.vcpu[0];
	uint64_t seed = (uint64_t)(t->id + 1) << 56;
	struct registers before, after;
	/* Every combination of the guest's kind and the monitor's. */
	bool avx = has_avx && t->id & 1;

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		long ret;

		new_pattern(&before, &seed, avx);
		after = before;
		ret = fpu_ioctl(vcpu->fd, UMBRA_RUN, &before, &after, avx);
		if (memcmp(&before, &after, sizeof(before)))
			t->own_errors++;
		if (ret == -EINTR) {
			t->signals++;
			continue;
		}
		if (ret || vcpu->run->exit_reason != UMBRA_EXIT_IO) {
			errno = -ret;
			die("UMBRA_RUN, exit reason %u", vcpu->run->exit_reason);
		}
		t->exits++;
		if (vcpu->run->io.port == BAD)
			t->guest_errors++;
	}
	return NULL;
}

static void *spin(void *arg)
{
	struct thread *t = arg;
	uint64_t seed = (uint64_t)(t->id + 1) << 48;
	struct registers before, after;

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		new_pattern(&before, &seed, has_avx);
		after = before;
		fpu_spin(20000, &before, &after, has_avx);
		if (memcmp(&before, &after, sizeof(before)))
			t->own_errors++;
		t->exits++;
	}
	return NULL;
}

static void prepare(struct thread *t, int paging)
{
	struct umbra_state st = { .groups = UMBRA_STATE_REGS };

	vm_create(&t->vm, paging, MEMORY, 1);
	build_tables(t->vm.ram, MEMORY);
	memcpy(t->vm.ram + CODE, fpu_guest, fpu_guest_end - fpu_guest);
	enter_long_mode(&t->vm.vcpu[0], CODE, EXPECTED);
	if (ioctl(t->vm.vcpu[0].fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	st.regs.gpr[UMBRA_R15] = (uint64_t)(t->id + 0x80) << 56;
	st.regs.gpr[UMBRA_R14] = 0xbf58476d1ce4e5b9;
	st.regs.gpr[UMBRA_R13] = EXITS;
	st.regs.gpr[UMBRA_R12] = has_avx && t->id & 2;
	if (ioctl(t->vm.vcpu[0].fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
}

static void start(struct thread *t, void *(*function)(void *))
{
	errno = pthread_create(&t->thread, NULL, function, t);
	if (errno)
		die("pthread_create");
}

/* All the CPU and the host's kernel have to offer: AVX, and XSAVE that covers it. */
static bool cpu_has_avx(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && ecx & bit_AVX && ecx & bit_OSXSAVE;
}

/* Has every guest run, and been interrupted while it ran? */
static bool enough(void)
{
	unsigned int i;

	for (i = 0; i < VCPUS; i++)
		if (__atomic_load_n(&vcpus[i].exits, __ATOMIC_RELAXED) <= 10 * EXITS ||
		    !__atomic_load_n(&vcpus[i].signals, __ATOMIC_RELAXED))
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	unsigned int i;
	double end;

	if (argc != 3 || atoi(argv[2]) <= 0) {
		fprintf(stderr, "usage: fpu nested|shadow SECONDS\n");
		return 2;
	}
	open_device();
	has_avx = cpu_has_avx();
	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < VCPUS; i++) {
		vcpus[i].id = i;
		prepare(&vcpus[i], paging_from(argv[1]));
	}
	for (i = 0; i < VCPUS; i++)
		start(&vcpus[i], run_vcpu);
	for (i = 0; i < SPINNERS; i++) {
		spinners[i].id = i;
		start(&spinners[i], spin);
	}
	/* Slow hosts take longer until each guest has met a signal. */
	for (end = now() + atoi(argv[2]); now() < end || (!enough() && now() < end + PATIENCE);
	     usleep(700))
		pthread_kill(vcpus[i++ % VCPUS].thread, SIGUSR1);
	__atomic_store_n(&stopping, true, __ATOMIC_RELAXED);

	for (i = 0; i < VCPUS; i++) {
		struct thread *t = &vcpus[i];

		pthread_join(t->thread, NULL);
		printf("vCPU %u: %lu exits, %lu signals\n", i, t->exits, t->signals);
		check(t->exits > 10 * EXITS && t->signals, "vCPU %u runs and is interrupted", i);
		check(!t->guest_errors, "registers of guest %u", i);
		check(!t->own_errors, "registers of the thread that runs guest %u", i);
		vm_destroy(&t->vm);
	}
	for (i = 0; i < SPINNERS; i++) {
		pthread_join(spinners[i].thread, NULL);
		check(spinners[i].exits && !spinners[i].own_errors, "registers of thread %u", i);
	}
	return finish();
}
