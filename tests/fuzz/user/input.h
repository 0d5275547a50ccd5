/* SPDX-License-Identifier: GPL-2.0-only */
/* Reading a fuzzer's input from its beginning; what is missing at the end is zero. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *data;
	size_t left;
};

static inline void input_bytes(struct input *in, void *to, size_t size)
{
	size_t n = size < in->left ? size : in->left;

	memset(to, 0, size);
	if (n)
		memcpy(to, in->data, n);
	in->data += n;
	in->left -= n;
}

static inline uint64_t input_number(struct input *in, size_t size)
{
	uint64_t value = 0;

	input_bytes(in, &value, size);
	return value;
}

#define MUST(condition)					\
do {							\
	if (!(condition))				\
		__builtin_trap();			\
} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
