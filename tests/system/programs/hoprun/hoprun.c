// SPDX-License-Identifier: GPL-2.0-only
/*
 * "vmctl run" whose guest moves house while it runs: every few exits all of its
 * state is saved, a new VM is made with other memory, the state is restored
 * there, read back and compared bit for bit, and the guest goes on. Devices stay.
 *
 *	hoprun EXITS nested|shadow|both [vmctl's options]
 *
 * It moves after EXITS exits on average, not always the same number, each time
 * to a VM of that paging, or, with "both", of the paging that the last did not
 * have. At the end it says how often it has moved.
 *
 * It is vmctl with some functions of libumbra wrapped (ld --wrap).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../snapshot.h"
#include "libumbra/internal.h"
#include "libumbra/kick.h"
#include "vmctl/vmctl.h"

int __real_umbra_vm_create(struct umbra *u, unsigned int paging, struct umbra_vm **out);
int __real_umbra_vm_set_memory(struct umbra_vm *vm, unsigned int slot, unsigned int flags,
			       uint64_t gpa, uint64_t size, void *host);
int __real_umbra_vm_send_msi(struct umbra_vm *vm, uint64_t address, uint32_t data);
int __real_umbra_vcpu_create(struct umbra_vm *vm, unsigned int id, struct umbra_vcpu **out);
int __real_umbra_vcpu_run(struct umbra_vcpu *vcpu);
void __real_umbra_vcpu_kick(struct umbra_vcpu *vcpu);
int __real_umbra_vcpu_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level);

#define MAX_SLOTS	4

static struct {
	/* Held by whoever changes the VM from outside, and while it moves. */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned int average;	/* exits between two moves */
	bool both;		/* other paging each time */
	unsigned int paging;
	int dev;
	struct umbra_vm *vm;
	struct umbra_memory slot[MAX_SLOTS];
	struct umbra_vcpu *vcpu[UMBRA_MAX_VCPUS];
	unsigned int vcpus, parked, moves, generation;
	unsigned long left;	/* exits until the next move */
	uint64_t random;
	bool wanted, ended;
} hop = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.moved = PTHREAD_COND_INITIALIZER,
	.random = 1,
};

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *format, ...)
{
	int error = errno;
	va_list args;

	va_start(args, format);
	fprintf(stderr, "hoprun: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s (after %u moves)\n", strerror(error), hop.moves);
	va_end(args);
	_exit(99);
}

/* From 1 to twice the average. */
static unsigned long next_interval(void)
{
	hop.random = hop.random * 6364136223846793005ULL + 1442695040888963407ULL;
	return 1 + (hop.random >> 33) % (2UL * hop.average);
}

static void move_memory(struct umbra_memory *slot)
{
	void *old = (void *)(uintptr_t)slot->uaddr;
	void *new;

	if (!slot->size)
		return;
	new = mmap(NULL, slot->size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (new == MAP_FAILED)
		die("mmap");
	snapshot_copy_memory(new, old, slot->size);
	if (mremap(new, slot->size, slot->size, MREMAP_MAYMOVE | MREMAP_FIXED, old) != old)
		die("mremap");
}

/* Takes a descriptor's place, so that nobody need know that it is another one. */
static void replace(int old, int new)
{
	if (dup2(new, old) < 0)
		die("dup2");
	close(new);
}

static int new_vcpu(int vm, struct umbra_vcpu *vcpu)
{
	struct umbra_create_vcpu create = { .id = vcpu->id };
	int fd = ioctl(vm, UMBRA_CREATE_VCPU, &create);

	if (fd < 0)
		die("UMBRA_CREATE_VCPU");
	if (mmap(vcpu->run, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 fd, 0) != vcpu->run)
		die("mmap of the run area");
	return fd;
}

/* All vCPUs are parked in a state that can be read; the lock is held. */
static void move(void)
{
	static struct snapshot saved[UMBRA_MAX_VCPUS], restored;
	struct umbra_create_vm create = {};
	struct umbra_clock clock = {};
	const char *failed = NULL;
	char what[128];
	unsigned int i;
	int vm;

	if (ioctl(hop.vm->fd, UMBRA_GET_CLOCK, &clock))
		die("UMBRA_GET_CLOCK");
	for (i = 0; i < hop.vcpus; i++) {
		failed = snapshot_get(hop.dev, hop.vcpu[i]->fd, &saved[i]);
		if (failed)
			die("%s", failed);
	}

	if (hop.both)
		hop.paging ^= UMBRA_PAGING_NESTED ^ UMBRA_PAGING_SHADOW;
	create.paging = hop.paging;
	vm = ioctl(hop.dev, UMBRA_CREATE_VM, &create);
	if (vm < 0)
		die("UMBRA_CREATE_VM");
	for (i = 0; i < MAX_SLOTS; i++) {
		move_memory(&hop.slot[i]);
		if (hop.slot[i].size && ioctl(vm, UMBRA_SET_MEMORY, &hop.slot[i]))
			die("UMBRA_SET_MEMORY");
	}
	for (i = 0; i < hop.vcpus; i++)
		replace(hop.vcpu[i]->fd, new_vcpu(vm, hop.vcpu[i]));
	replace(hop.vm->fd, vm);

	for (i = 0; i < hop.vcpus; i++) {
		failed = snapshot_set(hop.dev, hop.vcpu[i]->fd, &saved[i]);
		if (failed)
			die("%s of vCPU %u", failed, i);
	}
	for (i = 0; i < hop.vcpus; i++) {
		failed = snapshot_get(hop.dev, hop.vcpu[i]->fd, &restored);
		if (failed)
			die("%s", failed);
		if (snapshot_difference(&saved[i], &restored, what, sizeof(what))) {
			errno = EILSEQ;
			die("vCPU %u, %s", i, what);
		}
	}
	clock.realtime_ns = 0;
	clock.tsc = 0;
	if (ioctl(hop.vm->fd, UMBRA_SET_CLOCK, &clock))
		die("UMBRA_SET_CLOCK");
	hop.moves++;
}

/* Wakes the other vCPUs' threads, so that they park; the lock is held. */
static void want_move(const struct umbra_vcpu *self)
{
	unsigned int i;

	hop.wanted = true;
	for (i = 0; i < hop.vcpus; i++) {
		if (hop.vcpu[i] == self)
			continue;
		__atomic_store_n(&hop.vcpu[i]->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&hop.vcpu[i]->attached, __ATOMIC_ACQUIRE))
			pthread_kill(hop.vcpu[i]->thread, KICK_SIGNAL);
	}
}

/* The last vCPU to come moves all of them; the lock is held. */
static void park(void)
{
	unsigned int generation = hop.generation;

	if (++hop.parked == hop.vcpus) {
		move();
		hop.parked = 0;
		hop.wanted = false;
		hop.left = next_interval();
		hop.generation++;
		pthread_cond_broadcast(&hop.moved);
		return;
	}
	while (generation == hop.generation && !hop.ended)
		pthread_cond_wait(&hop.moved, &hop.lock);
}

int __wrap_umbra_vcpu_run(struct umbra_vcpu *vcpu)
{
	bool wanted;
	int ret;

	pthread_mutex_lock(&hop.lock);
	if (!hop.wanted && !--hop.left)
		want_move(vcpu);
	wanted = hop.wanted && !hop.ended;
	if (wanted)
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&hop.lock);

	ret = __real_umbra_vcpu_run(vcpu);
	if (!wanted || ret != -EINTR)
		return ret;
	pthread_mutex_lock(&hop.lock);
	if (hop.wanted && !hop.ended)
		park();
	pthread_mutex_unlock(&hop.lock);
	return -EINTR;
}

void __wrap_umbra_vcpu_kick(struct umbra_vcpu *vcpu)
{
	/* The monitor does this at the guest's end only. */
	pthread_mutex_lock(&hop.lock);
	hop.ended = true;
	pthread_cond_broadcast(&hop.moved);
	__real_umbra_vcpu_kick(vcpu);
	pthread_mutex_unlock(&hop.lock);
}

int __wrap_umbra_vcpu_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level)
{
	int ret;

	pthread_mutex_lock(&hop.lock);
	ret = __real_umbra_vcpu_set_pin(vcpu, pin, level);
	pthread_mutex_unlock(&hop.lock);
	return ret;
}

int __wrap_umbra_vm_send_msi(struct umbra_vm *vm, uint64_t address, uint32_t data)
{
	int ret;

	pthread_mutex_lock(&hop.lock);
	ret = __real_umbra_vm_send_msi(vm, address, data);
	pthread_mutex_unlock(&hop.lock);
	return ret;
}

int __wrap_umbra_vm_create(struct umbra *u, unsigned int paging, struct umbra_vm **out)
{
	int ret = __real_umbra_vm_create(u, paging, out);

	if (!ret) {
		hop.dev = u->fd;
		hop.vm = *out;
		hop.paging = paging;
		hop.left = next_interval();
	}
	return ret;
}

int __wrap_umbra_vm_set_memory(struct umbra_vm *vm, unsigned int slot, unsigned int flags,
			       uint64_t gpa, uint64_t size, void *host)
{
	if (slot >= MAX_SLOTS) {
		errno = E2BIG;
		die("memory slot %u", slot);
	}
	hop.slot[slot] = (struct umbra_memory) {
		.slot = slot,
		.flags = flags,
		.gpa = gpa,
		.size = size,
		.uaddr = (uintptr_t)host,
	};
	return __real_umbra_vm_set_memory(vm, slot, flags, gpa, size, host);
}

int __wrap_umbra_vcpu_create(struct umbra_vm *vm, unsigned int id, struct umbra_vcpu **out)
{
	int ret = __real_umbra_vcpu_create(vm, id, out);

	if (!ret)
		hop.vcpu[hop.vcpus++] = *out;
	return ret;
}

int main(int argc, char **argv)
{
	const char *paging = argc > 2 ? argv[2] : "";
	char **arguments;
	int ret;

	hop.average = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	hop.both = !strcmp(paging, "both");
	if (!hop.average || (!hop.both && strcmp(paging, "nested") && strcmp(paging, "shadow"))) {
		fprintf(stderr, "usage: hoprun EXITS nested|shadow|both [vmctl's options]\n");
		return EXIT_USAGE;
	}
	arguments = calloc(argc + 1, sizeof(*arguments));
	if (!arguments)
		return EXIT_FAILED;
	arguments[0] = (char *)run_verb.name;
	arguments[1] = "--paging";
	arguments[2] = hop.both ? "nested" : argv[2];
	memcpy(arguments + 3, argv + 3, (argc - 3) * sizeof(*arguments));
	ret = run_verb.run(&run_verb, argc, arguments);
	fprintf(stderr, "hoprun: moved %u times\n", hop.moves);
	return ret;
}
