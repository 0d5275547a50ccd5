// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cases of cases.h as a program.
 *
 *	walk [SEED [CASES]]	cases for each format
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"

void walk_log(const char *format, ...)
{
	va_list args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

int main(int argc, char **argv)
{
	unsigned long long state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	unsigned int count = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000;
	unsigned int format, failures = 0;

	printf("# seed %#llx\n1..%d\n", state, WALK_FORMATS);
	for (format = 0; format < WALK_FORMATS; format++) {
		unsigned int counts[WALK_OUTCOMES], i;
		unsigned int wrong = walk_cases(format, &state, count, counts);

		printf("#");
		for (i = 0; i < WALK_OUTCOMES; i++)
			printf(" %s %u", walk_outcomes[i], counts[i]);
		printf("\n%sok %u - walk of %s tables, %u cases\n", wrong ? "not " : "", format + 1,
		       walk_format_name(format), count);
		failures += !!wrong;
	}
	return failures != 0;
}
