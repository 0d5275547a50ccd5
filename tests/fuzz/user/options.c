// SPDX-License-Identifier: GPL-2.0-only
/* The arguments of "vmctl run": the input is arguments, each ended by a newline. */
#include <stdlib.h>

#include <umbra/umbra.h>

#include "boot/memory.h"
#include "input.h"
#include "monitor/machine.h"
#include "vmctl/vmctl.h"

#define MAX_ARGS	64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine_config *config = malloc(sizeof(*config));
	char *argv[MAX_ARGS + 1] = { "run" };
	const uint8_t *end;
	int argc = 1, i, ret;

	MUST(config);
	while (size && argc < MAX_ARGS) {
		size_t length;

		end = memchr(data, '\n', size);
		length = end ? (size_t)(end - data) : size;
		argv[argc] = malloc(length + 1);
		MUST(argv[argc]);
		memcpy(argv[argc], data, length);
		argv[argc++][length] = '\0';
		data += length + !!end;
		size -= length + !!end;
	}
	ret = run_parse(argc, argv, config);
	MUST(!ret || ret == OPTION_HELP || ret == OPTION_WRONG);
	if (!ret) {
		MUST(config->kernel && *config->kernel && config->cmdline);
		MUST(config->memory >= MEMORY_MIN && !(config->memory & 4095));
		MUST(config->cpus >= 1 && config->cpus <= UMBRA_MAX_VCPUS);
		MUST(config->modules <= MACHINE_MAX_MODULES);
	}
	for (i = 1; i < argc; i++)
		free(argv[i]);
	free(config);
	return 0;
}
