// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that do everything wrong: random states, tables, gates, instructions, MSRs and
 * APIC registers, on two vCPUs that share them.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

#define CASES		12	/* of a round, in the same VM */
#define CODE		0x8000UL
#define SNIPPETS	32
#define SNIPPET		0x400UL
#define SLICE		4000	/* microseconds of a case at least */
#define PATIENCE	30	/* seconds until a vCPU that does not stop is stuck */

static _Atomic unsigned long reasons[UMBRA_EXIT_COUNT], interrupted, refused, taken, tried;

struct runner {
	pthread_t thread;
	struct vm *vm;
	struct vcpu *vcpu;
	uint64_t seed;
	volatile bool quit, ended, bad;
};

/* Tables over all of memory, some entries of which are nonsense. */
static void make_tables(uint8_t *ram)
{
	unsigned int i;
	uint64_t *table;

	build_tables(ram, RAM);
	for (i = one_in(4) ? below(256) : below(8); i; i--) {
		table = (uint64_t *)(ram + (one_in(3) ? LONG_CR3 + below(4) * PAGE : LONG_PT));
		table += below(one_in(2) ? 8 : RAM / PAGE);
		switch (below(4)) {
		case 0:
			*table = some_value();
			break;
		case 1:
			*table ^= 1ULL << below(64);
			break;
		case 2:
			*table = below(RAM / PAGE) * PAGE | (random64() & 0xfff) | 1;
			break;
		default:
			/* The table itself, or one above it. */
			*table = (LONG_CR3 + below(4) * PAGE) | 7;
		}
	}
}

/* Gates of any type, to any place; a fourth of them as they should be. */
static void make_gates(uint8_t *ram)
{
	uint64_t *gate = (uint64_t *)(ram + 0x6000), *gdt = (uint64_t *)(ram + LONG_GDT);
	static const uint8_t types[] = { 0x8e, 0x8f, 0xee, 0xef, 0x85, 0x86, 0x87, 0x8c, 0x0e };
	unsigned int i;
	uint64_t type;

	for (i = 0; i < 256; i++) {
		uint64_t at = CODE + below(SNIPPETS) * SNIPPET;

		type = one_in(2) ? 0x8e : types[below(ARRAY_SIZE(types))];
		gate[i] = (at & 0xffff) | LONG_CS << 16 | (uint64_t)below(8) << 32 | type << 40;
		if (one_in(16))
			gate[i] = random64();
		/* Vectors of real mode. */
		((uint32_t *)ram)[i] = CODE + below(SNIPPETS) * SNIPPET;
	}
	if (one_in(2))
		for (i = 1; i < 256; i += 2)
			gate[i] = 0;
	for (i = 3; i < 32; i++) {
		static const uint8_t access[] = { 0x9b, 0x93, 0xfb, 0xf3, 0x89, 0x8b,
						  0x82, 0x8c, 0x9f, 0x97, 0x85 };

		type = access[below(ARRAY_SIZE(access))];
		gdt[i] = 0x000f00000000ffff | (uint64_t)below(16) << 52 | type << 40;
		if (one_in(2))
			gdt[i] |= 0x6000 << 16;
		if (one_in(8))
			gdt[i] = random64();
	}
}

static void make_code(uint8_t *ram)
{
	static const int sizes[] = { SOUP_16, SOUP_32, SOUP_64, SOUP_64 };
	unsigned int all = soup_kinds(), kinds = SOUP_COMMON, i, used;
	uint8_t *at;

	for (i = 0; i < 8; i++)
		if (one_in(2))
			kinds |= all & 1U << i;
	for (i = 0; i < SNIPPETS; i++) {
		at = ram + CODE + i * SNIPPET;
		used = soup(at, SNIPPET - 64, 1 + below(24), sizes[below(ARRAY_SIZE(sizes))],
			    kinds);
		/* To its beginning, to any other, or into HLT. */
		at[used] = one_in(8) ? 0xf4 : 0xe9;
		*(int32_t *)(at + used + 1) =
			(one_in(2) ? i : below(SNIPPETS)) * SNIPPET - (i * SNIPPET + used + 5);
	}
}

/* A state that garble_state() makes, with less of what ends a guest at once. */
static void make_state(struct umbra_state *st)
{
	bool wide;

	garble_state(st);
	if (one_in(4))
		return;
	wide = st->sregs.efer & 0x400;
	st->regs.rip = CODE + below(SNIPPETS) * SNIPPET;
	st->regs.gpr[UMBRA_RSP] = 0x7000 + below(64) * 8;
	st->sregs.gdtr = (struct umbra_table) { .base = LONG_GDT, .limit = 0xff };
	st->sregs.idtr = (struct umbra_table) {
		.base = st->sregs.cr0 & 1 ? 0x6000 : 0, .limit = wide ? 0xfff : 0x7ff
	};
	st->sregs.seg[UMBRA_CS].base = 0;
	st->sregs.seg[UMBRA_SS].base = 0;
	if (!one_in(8))
		st->events.flags = 0;
	st->events.mp_state = one_in(16) ? UMBRA_MP_HALTED : UMBRA_MP_RUNNABLE;
}

static void new_state(struct vcpu *vcpu)
{
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	unsigned int i;

	if (call(vcpu->fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	for (i = 0; i < 8; i++) {
		struct umbra_state garbled = st;

		make_state(&garbled);
		tried++;
		if (!call(vcpu->fd, UMBRA_SET_STATE, &garbled)) {
			taken++;
			break;
		}
	}
	if (one_in(4))
		garble_msrs(vcpu->fd);
	if (one_in(4))
		garble_lapic(vcpu->fd);
}

static void *runner(void *arg)
{
	struct runner *r = arg;
	volatile struct umbra_run *run = r->vcpu->run;
	bool again = true;
	uint32_t reason;
	int result;

	random_seed = r->seed;
	while (!r->quit && !r->bad) {
		if (again)
			new_state(r->vcpu);
		again = false;
		result = call(r->vcpu->fd, UMBRA_RUN, NULL);
		reason = result ? UMBRA_EXIT_NONE : run->exit_reason;
		r->bad = !run_plausible(result, reason);
		if (result) {
			/* Let it have another turn; it may have been doing well. */
			interrupted += result == -EINTR;
			refused += result != -EINTR;
			again = one_in(3);
			continue;
		}
		reasons[reason]++;
		switch (reason) {
		case UMBRA_EXIT_IO:
			random_bytes((uint8_t *)run + UMBRA_RUN_IO_OFFSET, 64);
			break;
		case UMBRA_EXIT_MMIO:
			random_bytes((void *)run->mmio.data, 8);
			break;
		case UMBRA_EXIT_INTACK:
			run->intack.vector = below(256);
			break;
		case UMBRA_EXIT_EOI:
			break;
		default:
			again = true;
		}
	}
	r->ended = true;
	return NULL;
}

/* Ends a runner; false if it cannot be ended. */
static bool stop(struct runner *r)
{
	double limit = now() + PATIENCE;

	r->quit = true;
	while (!r->ended && now() < limit) {
		pthread_kill(r->thread, SIGUSR1);
		usleep(500);
	}
	if (!r->ended) {
		printf("FAIL a vCPU does not come back from UMBRA_RUN\n");
		return false;
	}
	pthread_join(r->thread, NULL);
	return !r->bad;
}

bool hostile_round(uint64_t seed)
{
	struct runner r[2] = {};
	unsigned int i, j, vcpus;
	bool ok = true;
	struct vm vm;

	random_seed = seed;
	vcpus = 1 + below(2);
	vm_create(&vm, has_nested ? below(2) : UMBRA_PAGING_SHADOW, RAM, 2);
	for (i = 0; i < CASES && ok; i++) {
		random_seed = seed + i + 1;
		random_seed = random64();
		random_bytes(vm.ram, 0x1000);
		make_gates(vm.ram);
		make_tables(vm.ram);
		make_code(vm.ram);
		for (j = 0; j < vcpus; j++) {
			r[j] = (struct runner){ .vm = &vm,
						.vcpu = &vm.vcpu[j],
						.seed = random64() };
			if (pthread_create(&r[j].thread, NULL, runner, &r[j]))
				die("pthread_create");
		}
		for (j = 0; j < 4; j++) {
			struct umbra_msi msi = { .address = 0xfee00000 | (random64() & 0xff00c),
						 .data = random64() & 0xc7ff };
			struct umbra_pin pin = { .pin = below(2), .level = below(2) };

			usleep(SLICE / 4 + below(SLICE / 4));
			pthread_kill(r[below(vcpus)].thread, SIGUSR1);
			if (one_in(2))
				call(vm.fd, UMBRA_SEND_MSI, &msi);
			if (one_in(2))
				call(vm.vcpu[below(vcpus)].fd, UMBRA_SET_PIN, &pin);
		}
		for (j = 0; j < vcpus; j++)
			ok &= stop(&r[j]);
	}
	if (ok)
		vm_destroy(&vm);
	return ok;
}

void hostile_print(void)
{
	unsigned int i;

	printf("hostile: %lu of %lu states taken; exits:", taken, tried);
	for (i = 0; i < UMBRA_EXIT_COUNT; i++)
		printf(" %lu", reasons[i]);
	printf(", %lu signals, %lu refused\n", interrupted, refused);
}
