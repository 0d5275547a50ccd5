/* SPDX-License-Identifier: GPL-2.0-only */
/* Numbers as people write them on a command line. */
#ifndef UMBRA_UTIL_PARSE_H
#define UMBRA_UTIL_PARSE_H

#include <stdint.h>

/**
 * parse_size() - Read an amount of memory such as 512M
 * @text: decimal digits and one of the units K, M or G (either case), which
 *	stand for powers of 1024; an "iB" or "B" may follow
 * @bytes: where the amount in bytes goes
 *
 * Return: 0; -EINVAL if @text is no such thing; -ERANGE if it does not fit
 * into 64 bits. error_text() says which.
 */
int parse_size(const char *text, uint64_t *bytes);

/**
 * parse_count() - Read a whole number within limits
 * @text: decimal digits and nothing else
 * @min: the least value that is allowed
 * @max: the greatest value that is allowed
 * @value: where the number goes
 *
 * Return: 0; -EINVAL if @text is no number; -ERANGE if it is out of limits.
 * error_text() says which.
 */
int parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *value);

#endif
