// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <strings.h>

#include "error.h"
#include "parse.h"

/* Reads digits; leaves @end at what follows. False if there are none or too many. */
static int digits(const char *text, const char **end, uint64_t *value)
{
	uint64_t v = 0;
	const char *p;

	for (p = text; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			return error_set(ERANGE, "'%s' is too large a number", text);
	if (p == text)
		return error_set(EINVAL, "'%s' is no number", text);
	*end = p;
	*value = v;
	return 0;
}

int parse_size(const char *text, uint64_t *bytes)
{
	unsigned int shift;
	const char *unit;
	uint64_t v;
	int ret;

	ret = digits(text, &unit, &v);
	if (ret)
		return ret;
	switch (toupper((unsigned char)*unit)) {
	case 'K':
		shift = 10;
		break;
	case 'M':
		shift = 20;
		break;
	case 'G':
		shift = 30;
		break;
	case '\0':
		if (v == 0) {
			*bytes = 0;
			return 0;
		}
		return error_set(EINVAL, "'%s' has no unit: write K, M or G behind it, as in 512M",
				 text);
	default:
		return error_set(EINVAL, "'%s' is no amount of memory: write it as in 512M", text);
	}
	unit++;
	if (*unit && strcasecmp(unit, "B") && strcasecmp(unit, "iB"))
		return error_set(EINVAL, "'%s' is no amount of memory: write it as in 512M", text);
	if (v > UINT64_MAX >> shift)
		return error_set(ERANGE, "'%s' is too large a number", text);
	*bytes = v << shift;
	return 0;
}

int parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *end;
	uint64_t v;
	int ret;

	ret = digits(text, &end, &v);
	if (ret)
		return ret;
	if (*end)
		return error_set(EINVAL, "'%s' is no whole number", text);
	if (v < min || v > max)
		return error_set(ERANGE, "'%s' is not between %" PRIu64 " and %" PRIu64,
				 text, min, max);
	*value = v;
	return 0;
}
