// SPDX-License-Identifier: GPL-2.0-only
/* Calls with arguments of any kind, and what each of them may return. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "abi.h"
#include "soup.h"

/* A call that was made so often should have worked once. */
#define ENOUGH	100

enum kind { DEVICE, VM, VCPU };

/* Every errno that Documentation/api.rst has, beside those that all calls have. */
static const struct request {
	const char *name;
	unsigned long number;
	enum kind kind;
	int errors[8];
} requests[] = {
#define REQUEST(name, kind, ...) { #name, UMBRA_##name, kind, { __VA_ARGS__ } }
	REQUEST(RUN, VCPU, EINTR, EINVAL, ENOMEM),
	REQUEST(GET_INFO, DEVICE, 0),
	REQUEST(CHECK_CAP, DEVICE, EINVAL),
	REQUEST(CREATE_VM, DEVICE, EINVAL, EOPNOTSUPP, ENOMEM, EMFILE, ENFILE, EINTR),
	REQUEST(SUPPORTED_CPUID, DEVICE, E2BIG, EINVAL),
	REQUEST(SUPPORTED_MSRS, DEVICE, E2BIG, EINVAL, ENOMEM),
	REQUEST(SET_MEMORY, VM, EINVAL, E2BIG, EEXIST, ENOENT, ENOMEM),
	REQUEST(GET_DIRTY_LOG, VM, EINVAL, ENOENT, ENOMEM),
	REQUEST(MEMORY_WRITTEN, VM, EINVAL, EINTR),
	REQUEST(CREATE_VCPU, VM, EINVAL, EEXIST, ENOMEM, EMFILE, ENFILE),
	REQUEST(SEND_MSI, VM, EINVAL),
	REQUEST(GET_CLOCK, VM, 0),
	REQUEST(SET_CLOCK, VM, EINVAL),
	REQUEST(GET_VM_STATS, VM, EINVAL, ENOMEM),
	REQUEST(GET_STATE, VCPU, EINVAL),
	REQUEST(SET_STATE, VCPU, EINVAL),
	REQUEST(SET_CPUID, VCPU, EINVAL, EBUSY, ENOMEM),
	REQUEST(GET_CPUID, VCPU, E2BIG, EINVAL),
	REQUEST(GET_MSRS, VCPU, EINVAL, ENOMEM),
	REQUEST(SET_MSRS, VCPU, EINVAL, ENOMEM),
	REQUEST(GET_XSAVE, VCPU, EINVAL, ENOMEM),
	REQUEST(SET_XSAVE, VCPU, EINVAL, ENOMEM),
	REQUEST(GET_LAPIC, VCPU, ENOMEM),
	REQUEST(SET_LAPIC, VCPU, EINVAL, ENOMEM),
	REQUEST(SET_PIN, VCPU, EINVAL),
	REQUEST(TRANSLATE, VCPU, EINVAL),
	REQUEST(GET_VCPU_STATS, VCPU, EINVAL, ENOMEM),
#undef REQUEST
};

/* Of all cases. */
static struct totals {
	_Atomic unsigned long called[ARRAY_SIZE(requests)], worked[ARRAY_SIZE(requests)];
	_Atomic unsigned long exits[UMBRA_EXIT_COUNT];
} *totals;

void totals_setup(void)
{
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (totals == MAP_FAILED)
		die("mmap");
}

static void judge(const struct request *r, int result)
{
	unsigned int i;

	totals->called[r - requests]++;
	if (result >= 0) {
		totals->worked[r - requests]++;
		return;
	}
	/* Any thread may close a descriptor, or have another come by its number. */
	if (result == -EFAULT || result == -EBADF || result == -ENOTTY)
		return;
	for (i = 0; i < ARRAY_SIZE(r->errors); i++)
		if (result == -r->errors[i] && result)
			return;
	complain("UMBRA_%s: %s, which is not documented", r->name, strerror(-result));
}

static int fd_of(enum kind kind)
{
	if (one_in(64))
		kind = below(3);
	if (kind == DEVICE)
		return dev;
	return kind == VM ? vms[below(VMS)].fd : vcpus[below(VCPUS)].fd;
}

static const struct request *request_of(unsigned long number)
{
	const struct request *r = requests;

	while (r->number != number)
		r++;
	return r;
}

int try_call(int fd, unsigned long number, const void *arg)
{
	const struct request *r = request_of(number);
	int result;

	atomic_store(&me->doing, r->name);
	result = call(fd, number, arg);
	atomic_store(&me->doing, "");
	judge(r, result);
	return result;
}

/* A pointer that a call is not supposed to follow, now and then. */
static uint64_t pointer(void *good)
{
	static const uint64_t bad[] = { 0, 0x10000, 0xffffffff81000000, 0x8000000000000000,
		0xffff888000000000, 0x7ffffffff000, ~0UL };

	if (!one_in(16))
		return (uintptr_t)good;
	/* Memory that other threads take away meanwhile is the best of all. */
	return one_in(2) ? bad[below(ARRAY_SIZE(bad))] :
			   (uintptr_t)ARENA(below(ARENAS)) + below(ARENA_SIZE);
}

static void damage(void *p, size_t size)
{
	unsigned int n;

	if (!one_in(6))
		return;
	for (n = 1 + below(3); n; n--)
		((uint8_t *)p)[below(size)] = one_in(2) ? 0xff : random64();
}

#define CALL(fd, number, arg)					\
({								\
	damage(&(arg), sizeof(arg));				\
	try_call(fd, number, (void *)pointer(&(arg)));		\
})

static void call_system(void)
{
	static _Thread_local uint8_t room[UMBRA_MAX_MSRS * sizeof(struct umbra_cpuid_entry)];
	struct umbra_cpuid cpuid = { .count = below(160), .entries = pointer(room) };
	struct umbra_msrs msrs = { .count = below(200), .entries = pointer(room) };
	struct umbra_cap cap = { .cap = below(UMBRA_CAP_COUNT + 1) };
	struct umbra_info info;

	switch (below(4)) {
	case 0:
		CALL(fd_of(DEVICE), UMBRA_GET_INFO, info);
		break;
	case 1:
		CALL(fd_of(DEVICE), UMBRA_CHECK_CAP, cap);
		break;
	case 2:
		CALL(fd_of(DEVICE), UMBRA_SUPPORTED_CPUID, cpuid);
		break;
	default:
		CALL(fd_of(DEVICE), UMBRA_SUPPORTED_MSRS, msrs);
	}
}

static void call_vm(void)
{
	static _Thread_local struct umbra_stat stats[64];
	static _Thread_local uint8_t bitmap[ARENA_SIZE / PAGE / 8];
	struct umbra_dirty_log log = { .slot = one_in(2) ? 0 : below(5),
				       .bitmap = pointer(bitmap),
				       .size = sizeof(bitmap) };
	struct umbra_stats s = { .count = below(80), .entries = pointer(stats) };
	struct umbra_msi msi = { .address = 0xfee00000 | (random64() & 0xff00c),
				 .data = random64() & 0xcfff };
	struct umbra_clock clock = { .ns = some_value() };

	struct umbra_range range = { .gpa = one_in(4) ? some_value() : below(ARENA_SIZE),
				     .size = one_in(4) ? some_value() : below(ARENA_SIZE) };

	switch (below(8)) {
	case 0:
		set_some_slot();
		break;
	case 1:
		if (one_in(4))
			log.size = 8 * (1 + below(sizeof(bitmap) / 8));
		CALL(fd_of(VM), UMBRA_GET_DIRTY_LOG, log);
		break;
	case 2:
	case 3:
		CALL(fd_of(VM), UMBRA_SEND_MSI, msi);
		break;
	case 4:
		CALL(fd_of(VM), UMBRA_GET_CLOCK, clock);
		break;
	case 5:
		CALL(fd_of(VM), UMBRA_SET_CLOCK, clock);
		break;
	case 6:
		CALL(fd_of(VM), UMBRA_MEMORY_WRITTEN, range);
		break;
	default:
		CALL(fd_of(VM), UMBRA_GET_VM_STATS, s);
	}
}

static void call_cpuid(int fd)
{
	static _Thread_local struct umbra_cpuid_entry entries[UMBRA_MAX_CPUID];
	struct umbra_cpuid cpuid = { .count = UMBRA_MAX_CPUID, .entries = pointer(entries) };
	unsigned int n;

	if (one_in(2) ? try_call(dev, UMBRA_SUPPORTED_CPUID, &cpuid) :
			try_call(fd, UMBRA_GET_CPUID, &cpuid))
		return;
	/* Fewer features, mostly, or other topology. */
	for (n = below(4); n && cpuid.count; n--) {
		struct umbra_cpuid_entry *e = &entries[below(cpuid.count)];
		uint32_t *reg = &e->eax + below(4);

		if (one_in(2))
			*reg &= random64();
		else if (one_in(4))
			*reg = random64();
		else if (one_in(4))
			*e = entries[--cpuid.count];
	}
	CALL(fd, UMBRA_SET_CPUID, cpuid);
}

static void call_state(int fd)
{
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	uint64_t rip;

	if (CALL(fd, UMBRA_GET_STATE, st))
		return;
	if (one_in(8)) {
		CALL(fd, UMBRA_SET_STATE, st);
		return;
	}
	garble_state(&st);
	rip = 0x8000 + below(16) * 0x800;
	if (!one_in(4)) {
		/* Something that runs. */
		st.regs.rip = rip;
		st.sregs.seg[UMBRA_CS].base = 0;
		st.sregs.gdtr = (struct umbra_table) { .base = LONG_GDT, .limit = 0x17 };
		st.sregs.idtr = (struct umbra_table){ .base = st.sregs.cr0 & 1 ? 0x6000 : 0,
						      .limit = 0x7ff };
		st.events.flags &= ~UMBRA_EVENT_TRIPLE_FAULT;
		st.events.mp_state = one_in(8) ? st.events.mp_state : 0;
	}
	if (one_in(4))
		st.groups = random64() & UMBRA_STATE_ALL;
	CALL(fd, UMBRA_SET_STATE, st);
}

static void call_vcpu(void)
{
	static _Thread_local uint8_t area[16384] __attribute__((aligned(64)));
	static _Thread_local struct umbra_stat stats[64];
	struct umbra_xsave xsave = { .area = pointer(area),
				     .size = one_in(4) ? below(8192) : sizeof(area) };
	struct umbra_translate tr = { .gva = some_value(), .flags = below(8) };
	struct umbra_stats s = { .count = below(200), .entries = pointer(stats) };
	struct umbra_pin pin = { .pin = below(2), .level = below(2) };
	struct umbra_lapic_state lapic;
	/* As many as a count may say that was damaged. */
	static _Thread_local struct umbra_msr msr[UMBRA_MAX_MSRS];
	struct umbra_msrs msrs = { .count = 1 + below(8), .entries = pointer(msr) };
	int fd = fd_of(VCPU);
	unsigned int i;

	switch (below(12)) {
	case 0 ... 2:
		call_state(fd);
		break;
	case 3:
		call_cpuid(fd);
		break;
	case 4:
	case 5:
		for (i = 0; i < msrs.count; i++)
			msr[i] = (struct umbra_msr) { .index = some_msr(), .value = some_value() };
		if (CALL(fd, UMBRA_GET_MSRS, msrs) >= 0 && one_in(2))
			break;
		for (i = 0; i < ARRAY_SIZE(msr) && i < msrs.count; i++)
			msr[i].value = one_in(2) ? msr[i].value ^ 1ULL << below(64) : some_value();
		CALL(fd, UMBRA_SET_MSRS, msrs);
		break;
	case 6:
		if (CALL(fd, UMBRA_GET_XSAVE, xsave) >= 0)
			damage(area, 1024);
		CALL(fd, UMBRA_SET_XSAVE, xsave);
		break;
	case 7:
		if (CALL(fd, UMBRA_GET_LAPIC, lapic) < 0)
			break;
		if (one_in(2))
			garble_lapic(fd);
		else
			CALL(fd, UMBRA_SET_LAPIC, lapic);
		break;
	case 8:
		CALL(fd, UMBRA_SET_PIN, pin);
		break;
	case 9:
	case 10:
		CALL(fd, UMBRA_TRANSLATE, tr);
		break;
	default:
		CALL(fd, UMBRA_GET_VCPU_STATS, s);
	}
}

void run_some_vcpu(void)
{
	struct object *o = &vcpus[below(VCPUS)];
	int tries = 1 + below(16), result;

	while (tries--) {
		volatile struct umbra_run *run = o->run;
		uint32_t reason = 0;

		result = try_call(o->fd, UMBRA_RUN, one_in(256) ? (void *)some_value() : NULL);
		atomic_fetch_add(&me->beats, 1);
		if (result || !run || quit)
			break;
		TRY(reason = run->exit_reason);
		/* Others may have run it, or written there, or have replaced the page. */
		if (reason < UMBRA_EXIT_COUNT)
			totals->exits[reason]++;
		if (reason == UMBRA_EXIT_SHUTDOWN || reason == UMBRA_EXIT_ENTRY_FAILED ||
		    reason == UMBRA_EXIT_EMULATION)
			break;
		TRY(random_bytes((void *)&run->io, one_in(4) ? 64 : 16));
	}
}

void random_call(void)
{
	switch (below(16)) {
	case 0:
		call_system();
		break;
	case 1 ... 3:
		call_vm();
		break;
	case 4 ... 8:
		call_vcpu();
		break;
	case 9:
		/* Any number with any pointer. */
		call(fd_of(below(3)), one_in(2) ? random64() & 0xffffffff :
		     _IOC(below(4), UMBRA_IOC, below(0x60), below(0x400)), (void *)some_value());
		break;
	default:
		run_some_vcpu();
	}
}

void foreign_calls(void)
{
	uint8_t zeroes[4096] = {};
	unsigned int i;
	int result, fd;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		if (requests[i].kind == DEVICE)
			continue;
		fd = requests[i].kind == VM ? vms[below(VMS)].fd : vcpus[below(VCPUS)].fd;
		result = call(fd, requests[i].number, zeroes);
		if (result != -EIO && result != -EBADF && result != -ENOTTY)
			complain("UMBRA_%s from another address space: %d", requests[i].name,
				 result);
	}
}

bool totals_print(void)
{
	bool all = true;
	unsigned int i;

	printf("calls that worked, of all:");
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		printf(" %s %lu/%lu", requests[i].name, totals->worked[i], totals->called[i]);
		all &= totals->worked[i] || totals->called[i] < ENOUGH;
	}
	printf("\nexits by reason:");
	for (i = 0; i < UMBRA_EXIT_COUNT; i++)
		printf(" %lu", totals->exits[i]);
	printf("\n");
	return all;
}
