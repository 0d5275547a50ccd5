// SPDX-License-Identifier: GPL-2.0-only
#include <jansson.h>
#include <stdio.h>

#include "libumbra/libumbra.h"
#include "util/bytes.h"
#include "util/error.h"
#include "vmctl.h"

static int print_json(const struct umbra_info *info)
{
	json_t *root = json_pack("{s:s, s:i, s:o}", "vmctl", VMCTL_VERSION,
				 "abi", UMBRA_ABI_VERSION, "module",
				 info ? json_pack("{s:s, s:i}", "version", info->version,
						  "abi", (int)info->abi_version) : json_null());

	if (!root || json_dumpf(root, stdout, JSON_INDENT(2)) || putchar('\n') == EOF) {
		complain("cannot print the versions");
		return EXIT_FAILED;
	}
	json_decref(root);
	return 0;
}

static int cmd_version(const struct verb *verb, int argc, char **argv)
{
	static const struct option_spec spec[] = { { .name = "json" } };
	struct options o = {
		.spec = spec, .count = ARRAY_SIZE(spec), .argc = argc, .argv = argv,
	};
	const struct umbra_info *info = NULL;
	struct umbra *umbra = NULL;
	bool json = false;
	const char *value;
	int i, status = 0;

	while ((i = options_next(&o, &value)) != OPTION_END) {
		if (i == OPTION_HELP) {
			print_help(verb);
			return 0;
		}
		if (i < 0)
			return EXIT_USAGE;
		json = true;
	}
	if (!umbra_open_any_abi(&umbra))
		info = umbra_get_info(umbra);
	if (json) {
		status = print_json(info);
	} else {
		printf("vmctl %s, ABI %u\n", VMCTL_VERSION, UMBRA_ABI_VERSION);
		if (info)
			printf("module %s, ABI %u\n", info->version, info->abi_version);
		else
			printf("module: %s\n", error_text());
	}
	umbra_close(umbra);
	return status;
}

const struct verb version_verb = {
	.name = "version",
	.summary = "print the versions of vmctl, of the loaded module and of their ABIs",
	.usage = "[--json]\n"
		 "\n"
		 "  --json    print JSON\n",
	.run = cmd_version,
};
