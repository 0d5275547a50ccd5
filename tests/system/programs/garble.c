// SPDX-License-Identifier: GPL-2.0-only
/* See garble.h. */
#include "common.h"
#include "garble.h"

uint64_t some_value(void)
{
	static const uint64_t values[] = { 0, 1, 0x10, 0x1000, 0xfff, 0xffffffff, 0x100000000,
		0x7fffffffffff, 0xffff800000000000, 0xfee00000, ~0ULL };
	uint64_t r = random64();

	switch (r % 4) {
	case 0:
		return values[(r >> 8) % ARRAY_SIZE(values)];
	case 1:
		return (r >> 8) % (4 * MIB);
	case 2:
		return 1ULL << (r >> 8) % 64;
	default:
		return random64();
	}
}

void random_bytes(void *p, size_t size)
{
	uint8_t *b = p;

	while (size--)
		*b++ = random64();
}

void garble_state(struct umbra_state *st)
{
	static const uint64_t cr0s[] = { 0x10, 0x11, 0x80000011, 0x80010033, 0x60000010, 0x31 };
	static const uint64_t cr4s[] = { 0, 0x20, 0x620, 0x6f8, 0x10, 0x300620, 0x40620, 0xb0 };
	static const uint64_t efers[] = { 0, 0x500, 0xd01, 0x100, 0x901 };
	static const uint32_t attrs[] = { 0x9b, 0x93, 0xa09b, 0xc09b, 0xc093, 0xf3, 0xfb, 0x10000,
		0x8b, 0x82, 0x97, 0 };
	uint64_t r = random64();
	unsigned int n;
	int i;

	st->groups = UMBRA_STATE_ALL;
	st->sregs.cr0 = cr0s[r % ARRAY_SIZE(cr0s)];
	st->sregs.cr4 = cr4s[(r >> 8) % ARRAY_SIZE(cr4s)];
	st->sregs.efer = efers[(r >> 16) % ARRAY_SIZE(efers)];
	st->sregs.cr3 = random64() % 2 ? LONG_CR3 : some_value() & 0xffffffff;
	if (r >> 60 == 0)
		st->sregs.cr0 ^= some_value();
	if (r >> 60 == 1)
		st->sregs.cr4 ^= some_value();
	for (i = 0; i < UMBRA_NR_SEGS; i++) {
		uint64_t q = random64();

		st->sregs.seg[i].attr = attrs[q % ARRAY_SIZE(attrs)];
		if (i == UMBRA_TR && q >> 60)
			st->sregs.seg[i].attr = q & 1 ? 0x8b : 0x83;
		if (q >> 56 == 0)
			st->sregs.seg[i].attr = random64() & 0x1f0ff;
		st->sregs.seg[i].base = q >> 8 & 1 ? 0 : some_value() & 0xffffffff;
		st->sregs.seg[i].limit = q >> 9 & 1 ? 0xffffffff : some_value();
		st->sregs.seg[i].selector = some_value();
	}
	st->sregs.gdtr.base = some_value() & 0xffffffff;
	st->sregs.idtr.base = some_value() & 0xffffffff;
	for (i = 0; i < UMBRA_NR_GPRS; i++)
		st->regs.gpr[i] = some_value();
	st->regs.rip = random64() % 8 ? random64() % 0x10000 : some_value();
	st->regs.rflags = (some_value() & 0x3f7fd5) | 2;
	for (i = 0; i < 4; i++)
		st->debug.dr[i] = some_value();
	st->debug.dr7 = random64() % 4 ? 0x400 : random64() & 0xffffffff;
	st->debug.dr6 = random64() & 0xffffffff;
	st->events.flags = random64() % 2 ? 0 : random64() & random64() & 0xffff;
	st->events.exception_vector = random64() % 34;
	st->events.interrupt_vector = random64();
	st->events.exception_error = random64();
	st->events.insn_length = random64() % 20;
	st->events.exception_payload = some_value();
	st->events.sipi_vector = random64();
	st->events.mp_state = random64() % 16 ? 0 : random64() % 4;
	/* And a few bytes anywhere at all. */
	for (n = random64() % 8 ? 0 : random64() % 4; n; n--)
		((uint8_t *)st)[random64() % sizeof(*st)] = random64();
}

void garble_msrs(int fd)
{
	static const uint32_t bases[] = { 0x10, 0x1b, 0x200, 0x250, 0x277, 0x2ff, 0x800, 0x830,
		0x6e0, 0x174, 0xc0000080, 0xc0000100, 0x4b564d00, 0x11, 0x3a, 0xc0010015 };
	struct umbra_msr msr[4];
	struct umbra_msrs list = { .count = 4, .entries = (uintptr_t)msr };
	int i;

	for (i = 0; i < 4; i++)
		msr[i] = (struct umbra_msr) {
			.index = bases[random64() % ARRAY_SIZE(bases)] + random64() % 8,
			.value = some_value(),
		};
	call(fd, random64() & 1 ? UMBRA_SET_MSRS : UMBRA_GET_MSRS, &list);
}

void garble_lapic(int fd)
{
	struct umbra_lapic_state lapic = {};
	int n;

	if (call(fd, UMBRA_GET_LAPIC, &lapic))
		return;
	for (n = random64() % 4; n; n--)
		lapic.regs[random64() % 64 * 16 + random64() % 4] ^= 1 << random64() % 8;
	if (random64() % 4 == 0)
		lapic.timer_remaining_ns = some_value();
	call(fd, UMBRA_SET_LAPIC, &lapic);
}
