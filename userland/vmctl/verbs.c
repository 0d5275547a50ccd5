// SPDX-License-Identifier: GPL-2.0-only
/* The table of verbs. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/bytes.h"
#include "vmctl.h"

static const struct verb * const verbs[] = {
	&check_verb,
	&help_verb,
	&run_verb,
	&version_verb,
};

void complain(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	/* What was printed before comes before; and in one piece, whoever else writes there. */
	fflush(stdout);
	dprintf(STDERR_FILENO, "vmctl: %s\n", line);
}

static void complain_ambiguous(const char *name)
{
	char names[256] = "";
	size_t i, used = 0;

	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strncmp(verbs[i]->name, name, strlen(name)) && used < sizeof(names))
			used += snprintf(names + used, sizeof(names) - used, " %s",
					 verbs[i]->name);
	complain("'%s' may be any of:%s", name, names);
}

const struct verb *find_verb(const char *name)
{
	const struct verb *found = NULL;
	unsigned int matches = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
		if (*name && !strncmp(verbs[i]->name, name, strlen(name))) {
			found = verbs[i];
			matches++;
		}
	}
	if (matches == 1)
		return found;
	if (matches)
		complain_ambiguous(name);
	else
		complain("there is no verb '%s': 'vmctl help' lists those there are", name);
	return NULL;
}

void list_verbs(void)
{
	size_t i;

	puts("Usage: vmctl VERB [ARGUMENT]...\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  %-10s%s\n", verbs[i]->name, verbs[i]->summary);
	puts("\nA verb may be shortened as long as it is unique. 'vmctl help VERB' explains one.");
}

void print_help(const struct verb *verb)
{
	printf("Usage: vmctl %s %s", verb->name, verb->usage);
}
