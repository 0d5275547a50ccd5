// SPDX-License-Identifier: GPL-2.0-only
/* vmctl: finds the verb and lets it do its work. */
#include <stdio.h>
#include <string.h>

#include "vmctl.h"

int main(int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2) {
		complain("say what to do: 'vmctl help' lists it");
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		list_verbs();
		return 0;
	}
	if (!strcmp(argv[1], "--version"))
		verb = &version_verb;
	else
		verb = find_verb(argv[1]);
	if (!verb)
		return EXIT_USAGE;
	return verb->run(verb, argc - 1, argv + 1);
}
