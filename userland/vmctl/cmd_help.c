// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "vmctl.h"

static int cmd_help(const struct verb *verb, int argc, char **argv)
{
	const struct verb *about = verb;

	if (argc == 1) {
		list_verbs();
		return 0;
	}
	if (argc > 2) {
		complain("'help' takes one verb");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") && strcmp(argv[1], "-h"))
		about = find_verb(argv[1]);
	if (!about)
		return EXIT_USAGE;
	print_help(about);
	return 0;
}

const struct verb help_verb = {
	.name = "help",
	.summary = "list the verbs, or explain one",
	.usage = "[VERB]\n",
	.run = cmd_help,
};
