// SPDX-License-Identifier: GPL-2.0-only
/* See snapshot.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "snapshot.h"

#define PAGE		4096UL
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define MSR_TSC			0x10
#define MSR_TSC_DEADLINE	0x6e0

#define TSC_APART		1000000000	/* less than a second */

#define APIC_IRR	0x200
#define APIC_LVT_TIMER	0x320
#define APIC_COUNT	0x390	/* the timer's current count */
#define APIC_PPR	0x0a0

/* Calls that want a structure and may be given one that is constant. */
static int call(int fd, unsigned long request, const void *arg)
{
	return ioctl(fd, request, arg);
}

static size_t xsave_size(int dev)
{
	struct umbra_cap cap = { .cap = UMBRA_CAP_XSAVE };

	if (call(dev, UMBRA_CHECK_CAP, &cap))
		return 0;
	return cap.value > SNAPSHOT_XSAVE ? 0 : cap.value;
}

const char *snapshot_get(int dev, int vcpu, struct snapshot *s)
{
	struct umbra_xsave xsave = { .area = (uintptr_t)s->xsave, .size = xsave_size(dev) };
	struct umbra_cpuid cpuid = { .count = UMBRA_MAX_CPUID, .entries = (uintptr_t)s->cpuid };
	struct umbra_msrs msrs = { .count = UMBRA_MAX_MSRS, .entries = (uintptr_t)s->msr };

	memset(s, 0, sizeof(*s));
	s->state.groups = UMBRA_STATE_ALL;
	if (call(vcpu, UMBRA_GET_STATE, &s->state))
		return "UMBRA_GET_STATE";
	if (call(vcpu, UMBRA_GET_XSAVE, &xsave))
		return "UMBRA_GET_XSAVE";
	if (call(vcpu, UMBRA_GET_CPUID, &cpuid))
		return "UMBRA_GET_CPUID";
	s->cpuids = cpuid.count;
	if (call(dev, UMBRA_SUPPORTED_MSRS, &msrs))
		return "UMBRA_SUPPORTED_MSRS";
	s->msrs = msrs.count;
	if (call(vcpu, UMBRA_GET_MSRS, &msrs))
		return "UMBRA_GET_MSRS";
	/* After the MSRs: a deadline that passes between them is in one at least. */
	if (call(vcpu, UMBRA_GET_LAPIC, &s->lapic))
		return "UMBRA_GET_LAPIC";
	return NULL;
}

const char *snapshot_set(int dev, int vcpu, const struct snapshot *s)
{
	struct umbra_xsave xsave = { .area = (uintptr_t)s->xsave, .size = xsave_size(dev) };
	struct umbra_cpuid cpuid = { .count = s->cpuids, .entries = (uintptr_t)s->cpuid };
	struct umbra_msrs msrs = { .count = s->msrs, .entries = (uintptr_t)s->msr };

	if (call(vcpu, UMBRA_SET_CPUID, &cpuid))
		return "UMBRA_SET_CPUID";
	if (call(vcpu, UMBRA_SET_STATE, &s->state))
		return "UMBRA_SET_STATE";
	if (call(vcpu, UMBRA_SET_XSAVE, &xsave))
		return "UMBRA_SET_XSAVE";
	if (call(vcpu, UMBRA_SET_LAPIC, &s->lapic))
		return "UMBRA_SET_LAPIC";
	if (call(vcpu, UMBRA_SET_MSRS, &msrs)) {
		static _Thread_local char which[64];
		const struct umbra_msr *msr = &s->msr[msrs.count % UMBRA_MAX_MSRS];

		snprintf(which, sizeof(which), "UMBRA_SET_MSRS, MSR %#x = %#llx", msr->index,
			 (unsigned long long)msr->value);
		return which;
	}
	return NULL;
}

uint64_t snapshot_msr(const struct snapshot *s, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < s->msrs; i++)
		if (s->msr[i].index == index)
			return s->msr[i].value;
	return 0;
}

static uint32_t apic_reg(const struct snapshot *s, unsigned int offset)
{
	uint32_t value;

	memcpy(&value, s->lapic.regs + offset, sizeof(value));
	return value;
}

static void set_apic_reg(struct snapshot *s, unsigned int offset, uint32_t value)
{
	memcpy(s->lapic.regs + offset, &value, sizeof(value));
}

/* What time has done to @new, undone: then it is @old, if nothing else was done to it. */
static void undo_time(const struct snapshot *old, struct snapshot *new)
{
	uint64_t deadline = snapshot_msr(old, MSR_TSC_DEADLINE);
	unsigned int vector = apic_reg(old, APIC_LVT_TIMER) & 0xff, i;
	unsigned int irr = APIC_IRR + vector / 32 * 16;

	for (i = 0; i < new->msrs; i++) {
		struct umbra_msr *msr = &new->msr[i];

		/* vCPUs that were read one after the other are made to be in step again. */
		if (msr->index == MSR_TSC && msr->value + TSC_APART >= old->msr[i].value)
			msr->value = old->msr[i].value;
		if (msr->index == MSR_TSC_DEADLINE && deadline && !msr->value)
			msr->value = deadline;
	}
	/* Of a timer that is not armed nothing can have changed. */
	if (!old->lapic.timer_remaining_ns && !deadline)
		return;
	set_apic_reg(new, irr, (apic_reg(new, irr) & ~(1U << vector % 32)) |
			       (apic_reg(old, irr) & 1U << vector % 32));
	if (new->lapic.timer_remaining_ns <= old->lapic.timer_remaining_ns ||
	    apic_reg(old, APIC_LVT_TIMER) & 1 << 17)
		new->lapic.timer_remaining_ns = old->lapic.timer_remaining_ns;
	set_apic_reg(new, APIC_COUNT, apic_reg(old, APIC_COUNT));
	set_apic_reg(new, APIC_PPR, apic_reg(old, APIC_PPR));
}

/* The offset of the first byte that differs, or -1. */
static long differs(const void *a, const void *b, size_t size)
{
	const uint8_t *p = a, *q = b;
	size_t i;

	for (i = 0; i < size; i++)
		if (p[i] != q[i])
			return i;
	return -1;
}

#define PART(name, field) \
	{ name, offsetof(struct snapshot, field), sizeof(((struct snapshot *)NULL)->field) }

static const struct {
	const char *name;
	size_t offset, size;
} parts[] = {
	PART("general registers", state.regs),
	PART("segment registers", state.sregs.seg),
	PART("system registers", state.sregs),
	PART("debug registers", state.debug),
	PART("events", state.events),
	PART("XSAVE area", xsave),
	PART("local APIC", lapic),
	PART("CPUID", cpuid),
};

bool snapshot_difference(const struct snapshot *saved, const struct snapshot *restored,
			 char *what, size_t size)
{
	static _Thread_local struct snapshot now;
	unsigned int i;

	now = *restored;
	undo_time(saved, &now);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		const uint8_t *was = (const uint8_t *)saved + parts[i].offset;
		const uint8_t *is = (const uint8_t *)&now + parts[i].offset;
		long at = differs(was, is, parts[i].size);

		if (at >= 0) {
			snprintf(what, size, "%s, byte %#lx: %#x became %#x", parts[i].name, at,
				 was[at], is[at]);
			return true;
		}
	}
	for (i = 0; i < saved->msrs || i < now.msrs; i++) {
		if (saved->msr[i].index != now.msr[i].index ||
		    saved->msr[i].value != now.msr[i].value) {
			snprintf(what, size, "MSR %#x: %#llx became %#llx", saved->msr[i].index,
				 (unsigned long long)saved->msr[i].value,
				 (unsigned long long)now.msr[i].value);
			return true;
		}
	}
	return false;
}

void snapshot_copy_memory(void *to, const void *from, size_t size)
{
	static const uint8_t zeroes[PAGE];
	size_t at;

	for (at = 0; at < size; at += PAGE)
		if (memcmp((const uint8_t *)from + at, zeroes, PAGE))
			memcpy((uint8_t *)to + at, (const uint8_t *)from + at, PAGE);
}
