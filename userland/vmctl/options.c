// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arguments of verbs. getopt_long() would accept unique prefixes of options and
 * say what is wrong in its own words; neither is wanted.
 */
#include <string.h>

#include "vmctl.h"

static int find(const struct options *o, const char *name, size_t length)
{
	unsigned int i;

	for (i = 0; i < o->count; i++)
		if (strlen(o->spec[i].name) == length && !strncmp(o->spec[i].name, name, length))
			return i;
	return -1;
}

int options_next(struct options *o, const char **value)
{
	const char *verb = o->argv[0], *arg, *name, *equals;
	const struct option_spec *spec;
	size_t length;
	int i;

	*value = NULL;
	if (!o->at)
		o->at = 1;
	if (o->at >= o->argc)
		return OPTION_END;
	arg = o->argv[o->at++];
	if (!strcmp(arg, "--help") || !strcmp(arg, "-h"))
		return OPTION_HELP;
	if (strncmp(arg, "--", 2) || !arg[2]) {
		complain("'%s' is no option of '%s': 'vmctl help %s' lists them", arg, verb, verb);
		return OPTION_WRONG;
	}
	name = arg + 2;
	equals = strchr(name, '=');
	length = equals ? (size_t)(equals - name) : strlen(name);
	i = find(o, name, length);
	if (i < 0) {
		complain("there is no option '--%.*s': 'vmctl help %s' lists those there are",
			 (int)length, name, verb);
		return OPTION_WRONG;
	}
	spec = &o->spec[i];
	if (o->seen[i] && !spec->repeats) {
		complain("option '--%s' is given twice", spec->name);
		return OPTION_WRONG;
	}
	o->seen[i] = true;
	if (!spec->has_value) {
		if (!equals)
			return i;
		complain("option '--%s' takes no value", spec->name);
		return OPTION_WRONG;
	}
	if (equals) {
		*value = equals + 1;
		return i;
	}
	if (o->at >= o->argc) {
		complain("option '--%s' needs a value", spec->name);
		return OPTION_WRONG;
	}
	*value = o->argv[o->at++];
	return i;
}
