// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random numbers that a seed repeats, and values that like to break things.
 */
#include "harness.h"

u64 random_seed = 1;

u64 random_u64(void)
{
	/* splitmix64 */
	u64 z = random_seed += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

u64 random_value(void)
{
	static const u64 edges[] = {
		0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x100,
		0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
		0xffffffffffffff80, 0xffffffffffff8000, 0xffffffff80000000,
	};

	switch (random_below(4)) {
	case 0:
		return edges[random_below(ARRAY_SIZE(edges))];
	case 1:
		return random_u64() >> random_below(64);
	case 2:
		return -(random_u64() >> random_below(64));
	default:
		return random_u64();
	}
}
