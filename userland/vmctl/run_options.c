// SPDX-License-Identifier: GPL-2.0-only
/* The arguments of "vmctl run". */
#include <ctype.h>
#include <string.h>

#include <umbra/umbra.h>

#include "boot/memory.h"
#include "monitor/machine.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/parse.h"
#include "vmctl.h"

#define DEFAULT_MEMORY	(256ULL << 20)
#define PAGE		4096
#define NAME_MAX_LENGTH	63

enum {
	OPT_KERNEL, OPT_INITRD, OPT_APPEND, OPT_MODULE, OPT_MEMORY, OPT_PREALLOC, OPT_CPUS,
	OPT_PAGING, OPT_CONSOLE, OPT_DEBUG_EXIT, OPT_STATS, OPT_NAME,
};

static const struct option_spec spec[] = {
	[OPT_KERNEL] = { .name = "kernel", .has_value = true },
	[OPT_INITRD] = { .name = "initrd", .has_value = true },
	[OPT_APPEND] = { .name = "append", .has_value = true },
	[OPT_MODULE] = { .name = "module", .has_value = true, .repeats = true },
	[OPT_MEMORY] = { .name = "memory", .has_value = true },
	[OPT_PREALLOC] = { .name = "prealloc" },
	[OPT_CPUS] = { .name = "cpus", .has_value = true },
	[OPT_PAGING] = { .name = "paging", .has_value = true },
	[OPT_CONSOLE] = { .name = "console", .has_value = true },
	[OPT_DEBUG_EXIT] = { .name = "debug-exit" },
	[OPT_STATS] = { .name = "stats", .has_value = true },
	[OPT_NAME] = { .name = "name", .has_value = true },
};

static int parse_memory(const char *value, struct machine_config *config)
{
	if (parse_size(value, &config->memory)) {
		complain("--memory: %s", error_text());
		return OPTION_WRONG;
	}
	if (config->memory < MEMORY_MIN) {
		complain("--memory: '%s' is too little: a guest needs at least %lluM", value,
			 MEMORY_MIN >> 20);
		return OPTION_WRONG;
	}
	if (config->memory % PAGE) {
		complain("--memory: '%s' is no whole number of pages: give a multiple of 4K",
			 value);
		return OPTION_WRONG;
	}
	return 0;
}

static int parse_cpus(const char *value, struct machine_config *config)
{
	uint64_t cpus;

	if (parse_count(value, 1, UMBRA_MAX_VCPUS, &cpus)) {
		complain("--cpus: %s", error_text());
		return OPTION_WRONG;
	}
	config->cpus = cpus;
	return 0;
}

static int parse_paging(const char *value, struct machine_config *config)
{
	if (!strcmp(value, "nested")) {
		config->paging = UMBRA_PAGING_NESTED;
	} else if (!strcmp(value, "shadow")) {
		config->paging = UMBRA_PAGING_SHADOW;
	} else {
		complain("--paging: '%s' is unknown: say 'nested' or 'shadow'", value);
		return OPTION_WRONG;
	}
	return 0;
}

static int parse_console(const char *value, struct machine_config *config)
{
	if (!strcmp(value, "stdio")) {
		config->console = CONSOLE_STDIO;
	} else if (!strcmp(value, "none")) {
		config->console = CONSOLE_NONE;
	} else if (!strncmp(value, "file:", 5) && value[5]) {
		config->console = CONSOLE_FILE;
		config->console_path = value + 5;
	} else {
		complain("--console: '%s' is unknown: say 'stdio', 'none' or 'file:PATH'", value);
		return OPTION_WRONG;
	}
	return 0;
}

/* FILE[,ARGUMENTS]; the comma is replaced by a NUL in the caller's argument. */
static int parse_module(char *value, struct machine_config *config)
{
	struct machine_module *module;
	char *comma;

	if (config->modules == MACHINE_MAX_MODULES) {
		complain("--module: no more than %u can be given", MACHINE_MAX_MODULES);
		return OPTION_WRONG;
	}
	module = &config->module[config->modules++];
	comma = strchr(value, ',');
	if (comma)
		*comma = '\0';
	module->path = value;
	module->cmdline = comma ? comma + 1 : "";
	if (!*module->path) {
		complain("--module: no file is given");
		return OPTION_WRONG;
	}
	return 0;
}

/* A name becomes a path and a word on command lines one day. */
static int parse_name(const char *value, struct machine_config *config)
{
	size_t length = strlen(value), i;
	bool ok = true;

	for (i = 0; i < length && ok; i++)
		ok = isalnum((unsigned char)value[i]) || value[i] == '_' ||
		     (i > 0 && (value[i] == '.' || value[i] == '-'));
	if (!length || length > NAME_MAX_LENGTH || !ok) {
		complain("--name: '%s' is no name: use up to %u letters, digits, '.', '_' and '-', and begin with a letter, digit or '_'",
			 value, NAME_MAX_LENGTH);
		return OPTION_WRONG;
	}
	config->name = value;
	return 0;
}

static int parse_one(int option, const char *value, struct machine_config *config)
{
	switch (option) {
	case OPT_KERNEL:
		config->kernel = value;
		return 0;
	case OPT_INITRD:
		config->initrd = value;
		return 0;
	case OPT_APPEND:
		config->cmdline = value;
		return 0;
	case OPT_MODULE:
		return parse_module((char *)value, config);
	case OPT_MEMORY:
		return parse_memory(value, config);
	case OPT_PREALLOC:
		config->prealloc = true;
		return 0;
	case OPT_CPUS:
		return parse_cpus(value, config);
	case OPT_PAGING:
		return parse_paging(value, config);
	case OPT_CONSOLE:
		return parse_console(value, config);
	case OPT_DEBUG_EXIT:
		config->debug_exit = true;
		return 0;
	case OPT_STATS:
		config->stats = value;
		return 0;
	case OPT_NAME:
		return parse_name(value, config);
	default:
		return option;
	}
}

int run_parse(int argc, char **argv, struct machine_config *config)
{
	struct options o = {
		.spec = spec, .count = ARRAY_SIZE(spec), .argc = argc, .argv = argv,
	};
	const char *value;
	int option, ret;

	memset(config, 0, sizeof(*config));
	config->cmdline = "";
	config->memory = DEFAULT_MEMORY;
	config->cpus = 1;
	config->paging = UMBRA_PAGING_NESTED;
	config->console = CONSOLE_STDIO;

	while ((option = options_next(&o, &value)) != OPTION_END) {
		if (option >= 0 && spec[option].has_value && !*value && option != OPT_APPEND) {
			complain("option '--%s' needs a value", spec[option].name);
			return OPTION_WRONG;
		}
		ret = parse_one(option, value, config);
		if (ret)
			return ret;
	}
	if (!config->kernel) {
		complain("say which kernel to boot: --kernel FILE");
		return OPTION_WRONG;
	}
	return 0;
}
