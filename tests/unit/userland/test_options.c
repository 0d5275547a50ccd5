// SPDX-License-Identifier: GPL-2.0-only
/* Command lines and the numbers in them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <umbra/umbra.h>

#include "monitor/internal.h"
#include "test.h"
#include "util/error.h"
#include "util/parse.h"
#include "vmctl/vmctl.h"

static void sizes(void **state)
{
	uint64_t v;
	static const char * const wrong[] = {
		"", "M", "x", "-1M", " 1M", "1 M", "1Q", "1MM", "1.5G", "0x10M", "12345", "1Mx",
	};
	unsigned int i;

	(void)state;
	assert_int_equal(parse_size("512M", &v), 0);
	assert_int_equal(v, 512 << 20);
	assert_int_equal(parse_size("4k", &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(parse_size("3GiB", &v), 0);
	assert_true(v == 3ULL << 30);
	assert_int_equal(parse_size("2gb", &v), 0);
	assert_int_equal(parse_size("0", &v), 0);
	assert_int_equal(v, 0);
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(parse_size(wrong[i], &v), -EINVAL);
	assert_int_equal(parse_size("99999999999999999999M", &v), -ERANGE);
	assert_int_equal(parse_size("17179869184G", &v), -ERANGE);
	assert_int_equal(parse_size("17179869183G", &v), 0);
}

static void counts(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(parse_count("64", 1, 64, &v), 0);
	assert_int_equal(v, 64);
	assert_int_equal(parse_count("0", 1, 64, &v), -ERANGE);
	assert_int_equal(parse_count("65", 1, 64, &v), -ERANGE);
	assert_int_equal(parse_count("four", 1, 64, &v), -EINVAL);
	assert_int_equal(parse_count("4x", 1, 64, &v), -EINVAL);
	assert_int_equal(parse_count("-1", 1, 64, &v), -EINVAL);
	assert_int_equal(parse_count("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
}

#define MAX_ARGS	32

/* Parses words separated by blanks; what is complained of goes to @said. */
static int parse(const char *line, struct machine_config *config, char *said, size_t size)
{
	static char words[512];
	char *argv[MAX_ARGS + 1] = { NULL };
	int argc = 0, ret, saved, ends[2];
	char *word;
	ssize_t n;

	snprintf(words, sizeof(words), "%s", line);
	for (word = strtok(words, " "); word && argc < MAX_ARGS; word = strtok(NULL, " "))
		argv[argc++] = word;
	assert_int_equal(pipe(ends), 0);
	saved = dup(2);
	dup2(ends[1], 2);
	ret = run_parse(argc, argv, config);
	dup2(saved, 2);
	close(saved);
	close(ends[1]);
	n = read(ends[0], said, size - 1);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	return ret;
}

static void run_defaults(void **state)
{
	struct machine_config c;
	char said[512];

	(void)state;
	assert_int_equal(parse("run --kernel k", &c, said, sizeof(said)), 0);
	assert_string_equal(said, "");
	assert_string_equal(c.kernel, "k");
	assert_string_equal(c.cmdline, "");
	assert_int_equal(c.memory, 256 << 20);
	assert_int_equal(c.cpus, 1);
	assert_int_equal(c.paging, UMBRA_PAGING_NESTED);
	assert_int_equal(c.console, CONSOLE_STDIO);
	assert_false(c.debug_exit);
	assert_false(c.prealloc);
}

static void run_everything(void **state)
{
	struct machine_config c;
	char said[512];

	(void)state;
	assert_int_equal(parse("run --kernel=k --initrd=i --append a=b=c --module m,x,y=z --module=n --memory=1G --cpus 4 --paging shadow --console=file:log --debug-exit --prealloc --stats s",
			       &c, said, sizeof(said)), 0);
	assert_string_equal(c.kernel, "k");
	assert_string_equal(c.initrd, "i");
	assert_string_equal(c.cmdline, "a=b=c");
	assert_int_equal(c.modules, 2);
	assert_string_equal(c.module[0].path, "m");
	assert_string_equal(c.module[0].cmdline, "x,y=z");
	assert_string_equal(c.module[1].path, "n");
	assert_string_equal(c.module[1].cmdline, "");
	assert_int_equal(c.memory, 1 << 30);
	assert_int_equal(c.cpus, 4);
	assert_int_equal(c.paging, UMBRA_PAGING_SHADOW);
	assert_int_equal(c.console, CONSOLE_FILE);
	assert_string_equal(c.console_path, "log");
	assert_true(c.debug_exit);
	assert_true(c.prealloc);
	assert_string_equal(c.stats, "s");
	assert_int_equal(parse("run --kernel k --name web-1", &c, said, sizeof(said)), 0);
	assert_string_equal(c.name, "web-1");
}

/* Each is refused with one line that names what is wrong. */
static void run_refuses(void **state)
{
	static const struct {
		const char *line, *says;
	} wrong[] = {
		{ "run", "--kernel" },
		{ "run k", "'k'" },
		{ "run --kernel", "needs a value" },
		{ "run --kernel=", "needs a value" },
		{ "run --kern k", "'--kern'" },
		{ "run --kernel k --kernel l", "twice" },
		{ "run --kernel k --debug-exit=1", "no value" },
		{ "run --kernel k --debug-exit --debug-exit", "twice" },
		{ "run --kernel k --memory 0", "too little" },
		{ "run --kernel k --memory 0M", "too little" },
		{ "run --kernel k --memory 1M", "too little" },
		{ "run --kernel k --memory 4097", "no unit" },
		{ "run --kernel k --memory 4097K", "multiple of 4K" },
		{ "run --kernel k --memory lots", "no number" },
		{ "run --kernel k --memory -5M", "no number" },
		{ "run --kernel k --cpus 0", "between 1 and 64" },
		{ "run --kernel k --cpus 65", "between 1 and 64" },
		{ "run --kernel k --paging ept", "'ept'" },
		{ "run --kernel k --console tty", "'tty'" },
		{ "run --kernel k --console file:", "'file:'" },
		{ "run --kernel k --module ,x", "no file" },
		{ "run --kernel k --name ../x", "'../x'" },
		{ "run --kernel k -x", "'-x'" },
		{ "run --kernel k --", "'--'" },
	};
	struct machine_config c;
	char said[512], *newline;
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(parse(wrong[i].line, &c, said, sizeof(said)), OPTION_WRONG);
		assert_memory_equal(said, "vmctl: ", 7);
		assert_non_null(strstr(said, wrong[i].says));
		newline = strchr(said, '\n');
		assert_non_null(newline);
		assert_string_equal(newline, "\n");
	}
	assert_int_equal(parse("run --help", &c, said, sizeof(said)), OPTION_HELP);
	assert_int_equal(parse("run --kernel k -h", &c, said, sizeof(said)), OPTION_HELP);
}

static void verbs(void **state)
{
	(void)state;
	assert_ptr_equal(find_verb("run"), &run_verb);
	assert_ptr_equal(find_verb("r"), &run_verb);
	assert_ptr_equal(find_verb("ver"), &version_verb);
	assert_ptr_equal(find_verb("c"), &check_verb);
	/* These complain on standard error. */
	assert_int_equal(dup2(open("/dev/null", 1), 2), 2);
	assert_null(find_verb(""));
	assert_null(find_verb("runs"));
}

static void errors_keep_their_argument(void **state)
{
	(void)state;
	assert_int_equal(error_set(ENOENT, "first"), -ENOENT);
	assert_int_equal(error_set(EINVAL, "second: %s", error_text()), -EINVAL);
	assert_string_equal(error_text(), "second: first");
}

static void topology(void **state)
{
	struct umbra_cpuid_entry e[] = {
		{ .leaf = 1, .ebx = 0xff000800 },
		{ .leaf = 0xb, .subleaf = 0 },
		{ .leaf = 0xb, .subleaf = 1 },
		{ .leaf = 0xb, .subleaf = 2, .eax = 9, .ebx = 9 },
		{ .leaf = 4, .subleaf = 0, .eax = 0xfc004121 },
		{ .leaf = 4, .subleaf = 3, .eax = 0xfc004163 },
		{ .leaf = 0x80000008, .eax = 0x3028 },
	};

	(void)state;
	topology_cpuid(e, ARRAY_SIZE(e), 2, 3);
	assert_int_equal(e[0].ebx, 0x02030800);
	assert_int_equal(e[0].edx, 1 << 28);
	assert_int_equal(e[1].ebx, 1);
	assert_int_equal(e[1].ecx, 0x100);
	assert_int_equal(e[1].edx, 2);
	assert_int_equal(e[2].eax, 2);
	assert_int_equal(e[2].ebx, 3);
	assert_int_equal(e[2].ecx, 0x201);
	assert_int_equal(e[3].eax, 0);
	assert_int_equal(e[3].ecx, 2);
	assert_int_equal(e[3].edx, 2);
	assert_int_equal(e[4].eax, 3 << 26 | 0x121);
	assert_int_equal(e[5].eax, 3 << 26 | 3 << 14 | 0x163);
	assert_int_equal(e[6].ecx, 2 | 2 << 12);
	topology_cpuid(e, 1, 0, 1);
	assert_int_equal(e[0].ebx, 0x00010800);
	assert_int_equal(e[0].edx, 0);
}

static void memory_types(void **state)
{
	static const struct umbra_msr expected[MTRR_MSRS] = {
		{ .index = 0x250, .value = 0x0606060606060606 },
		{ .index = 0x258, .value = 0x0606060606060606 },
		{ .index = 0x259, .value = 0 },	/* a0000 to bffff */
		{ .index = 0x268, .value = 0x0606060606060606 },
		{ .index = 0x269, .value = 0x0606060606060606 },
		{ .index = 0x26a, .value = 0x0606060606060606 },
		{ .index = 0x26b, .value = 0x0606060606060606 },
		{ .index = 0x26c, .value = 0x0606060606060606 },
		{ .index = 0x26d, .value = 0x0606060606060606 },
		{ .index = 0x26e, .value = 0x0606060606060606 },
		{ .index = 0x26f, .value = 0x0606060606060606 },
		{ .index = 0x200, .value = 0xc0000000 },
		{ .index = 0x201, .value = 0xffffc0000800 },
		{ .index = 0x2ff, .value = 0xc06 },
	};
	struct umbra_cpuid_entry e[] = {
		{ .leaf = 1, .edx = 1 << 12 },
		{ .leaf = 0x80000008, .eax = 0x3030 },
	};
	struct umbra_msr msr[MTRR_MSRS];

	(void)state;
	assert_int_equal(mtrr_set_up(e, 2, msr), MTRR_MSRS);
	assert_memory_equal(msr, expected, sizeof(expected));
	/* A CPU that does not say how long its addresses are. */
	assert_int_equal(mtrr_set_up(e, 1, msr), MTRR_MSRS);
	assert_int_equal(msr[12].value, 0xfc0000800);
	e[0].edx = 0;
	assert_int_equal(mtrr_set_up(e, 2, msr), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(counts),
		cmocka_unit_test(run_defaults),
		cmocka_unit_test(run_everything),
		cmocka_unit_test(run_refuses),
		cmocka_unit_test(verbs),
		cmocka_unit_test(errors_keep_their_argument),
		cmocka_unit_test(topology),
		cmocka_unit_test(memory_types),
	};

	return RUN(tests);
}
