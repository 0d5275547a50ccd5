// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvmrun: what "vmctl run" does, with KVM for a hypervisor. Takes the same
 * options. For benchmarks, so that both run a guest with the same devices and
 * answer its exits by the same code.
 */
#include <stdlib.h>
#include <string.h>

#include "vmctl/vmctl.h"

int main(int argc, char **argv)
{
	char **arguments;

	/* "kvmrun run ..." is fine, too, so that a script can replace one by the other. */
	if (argc > 1 && !strcmp(argv[1], "run"))
		return run_verb.run(&run_verb, argc - 1, argv + 1);
	arguments = calloc(argc + 1, sizeof(*arguments));
	if (!arguments)
		return EXIT_FAILED;
	memcpy(arguments, argv, argc * sizeof(*arguments));
	arguments[0] = (char *)run_verb.name;
	return run_verb.run(&run_verb, argc, arguments);
}
