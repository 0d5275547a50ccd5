/* SPDX-License-Identifier: GPL-2.0-only */
/* The verbs of vmctl and what they share. */
#ifndef UMBRA_VMCTL_H
#define UMBRA_VMCTL_H

#include <stdbool.h>
#include <stddef.h>

#define VMCTL_VERSION	"0.1.0"

/* Exit statuses, documented in vmctl(1). */
enum {
	EXIT_GUEST_OFF = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_GUEST_RESET = 32,
	EXIT_GUEST_TRIPLE_FAULT = 34,
	EXIT_GUEST_EMULATION = 36,
	EXIT_GUEST_ENTRY_FAILED = 38,
	EXIT_GUEST_MEMORY_FAULT = 40,
	EXIT_USER_QUIT = 42,
	EXIT_BY_SIGNAL = 128,	/* plus the signal's number */
};

/**
 * struct verb - Something that vmctl does
 * @name: its name on the command line
 * @summary: one line for the list of verbs
 * @usage: what follows the name, and the options, one a line
 * @run: does it, with the verb as argv[0]; returns the exit status
 */
struct verb {
	const char *name;
	const char *summary;
	const char *usage;
	int (*run)(const struct verb *verb, int argc, char **argv);
};

extern const struct verb check_verb;
extern const struct verb help_verb;
extern const struct verb run_verb;
extern const struct verb version_verb;

/**
 * find_verb() - Find a verb by its name or a unique prefix of it
 * @name: what was typed
 *
 * Return: the verb, or NULL after one line on standard error.
 */
const struct verb *find_verb(const char *name);

/** list_verbs() - Print what vmctl can do */
void list_verbs(void);

/** print_help() - Print a verb's usage */
void print_help(const struct verb *verb);

/**
 * complain() - Tell the user in one line what is wrong
 * @fmt: the line, without a full stop and without "vmctl:"
 */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * struct option_spec - An option of a verb
 * @name: without the dashes
 * @has_value: it takes one, as --name VALUE or --name=VALUE
 * @repeats: it may be given more than once
 */
struct option_spec {
	const char *name;
	bool has_value, repeats;
};

#define OPTIONS_MAX	32

/**
 * struct options - A walk through a verb's arguments
 * @spec: the options it has
 * @count: how many
 * @argc: from main()
 * @argv: with the verb as argv[0]
 *
 * The rest is options_next()'s.
 */
struct options {
	const struct option_spec *spec;
	unsigned int count;
	int argc;
	char **argv;
	/* private: */
	int at;
	bool seen[OPTIONS_MAX];
};

#define OPTION_END	(-1)
#define OPTION_WRONG	(-2)
#define OPTION_HELP	(-3)

/**
 * options_next() - Read the next option
 * @o: the walk
 * @value: its value, NULL if it takes none
 *
 * Return: its index in @o->spec; OPTION_END when there are no more;
 * OPTION_HELP for --help; OPTION_WRONG, after a line on standard error, for
 * what is no option of the verb, twice the same, or a value too many or too
 * few.
 */
int options_next(struct options *o, const char **value);

struct machine_config;

/**
 * run_parse() - Read the arguments of "vmctl run"
 * @argc: how many
 * @argv: with the verb as argv[0]
 * @config: what they say; points into @argv
 *
 * Return: 0; OPTION_HELP; OPTION_WRONG after a line on standard error.
 */
int run_parse(int argc, char **argv, struct machine_config *config);

#endif
