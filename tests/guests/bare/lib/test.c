// SPDX-License-Identifier: GPL-2.0-only
/* The run of a guest's tests. */
#include "boot.h"
#include "cpu.h"
#include "mem.h"
#include "string.h"
#include "test.h"

static const char *test_name = "start";
static const char *known_reason;
static bool known_here;
static char first_failure[256], skip_reason[128];
static int failures, passed, failed, skipped;

static void __attribute__((noreturn)) finish(void)
{
	print("DONE %d passed %d failed %d skipped\n", passed, failed, skipped);
	machine_exit(failed ? 1 : 0);
}

void die(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	print("FAIL %s: %s\n", test_name, text);
	failed++;
	finish();
}

bool check(bool ok, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (ok)
		return true;
	va_start(ap, fmt);
	vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!failures++)
		memcpy(first_failure, text, sizeof(text));
	else if (failures <= 6)
		print("# %s: %s\n", test_name, text);
	return false;
}

bool test_failed(void)
{
	return failures;
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vformat(skip_reason, sizeof(skip_reason), fmt, ap);
	va_end(ap);
}

static bool bare_qemu(void)
{
	return !option("host") && HAS_HYPERVISOR &&
	       cpuid(0x40000000, 0).b == 0x54474354;	/* "TCGT" */
}

bool on_tcg(void)
{
	const char *host = option("host");

	return host ? !strncmp(host, "tcg", 3) : bare_qemu();
}

bool known_on_tcg(const char *why)
{
	known_reason = why;
	known_here = on_tcg();
	return known_here;
}

bool known_on_qemu(const char *why)
{
	known_reason = why;
	known_here = bare_qemu();
	return known_here;
}

static bool host_is(const char *name)
{
	const char *host = option("host");
	size_t len = strlen(name);

	return host && !strncmp(host, name, len) && (!host[len] || host[len] == ' ');
}

bool on_bochs_svm(void)
{
	return host_is("bochs-svm");
}

static bool known_on(const char *name, const char *why)
{
	if (!host_is(name))
		return false;
	known_reason = why;
	known_here = true;
	return true;
}

bool known_on_bochs(const char *why)
{
	return known_on("bochs", why);
}

bool known_on_bochs_svm(const char *why)
{
	return known_on("bochs-svm", why);
}

/*
 * Words of the command line that are neither key=value nor the path of the image
 * (some loaders put it first) are prefixes of the names of the tests to run.
 */
static bool selected(const char *name)
{
	const char *s = boot_info.cmdline;
	bool any = false;

	while (*s) {
		const char *e = s;
		bool plain = true;

		for (; *e && *e != ' '; e++)
			if (*e == '/' || *e == '=' || *e == '.')
				plain = false;
		if (plain && e > s) {
			any = true;
			if (!strncmp(name, s, e - s))
				return true;
		}
		for (s = e; *s == ' '; s++)
			;
	}
	return !any;
}

static void run_one(const struct test *t)
{
	ulong mark = mem_mark();

	test_name = t->name;
	failures = 0;
	known_here = false;
	skip_reason[0] = 0;
	t->run();
	mem_release(mark);
	if (failures && known_here) {
		print("SKIP %s: the emulator is wrong: %s (%s)\n", t->name, known_reason,
		      first_failure);
		skipped++;
	} else if (failures) {
		if (failures > 1)
			print("FAIL %s: %s (and %d more)\n", t->name, first_failure, failures - 1);
		else
			print("FAIL %s: %s\n", t->name, first_failure);
		failed++;
	} else if (skip_reason[0]) {
		print("SKIP %s: %s\n", t->name, skip_reason);
		skipped++;
	} else {
		print("PASS %s\n", t->name);
		passed++;
	}
}

void kernel_main(void)
{
	int i;

	print("# %s\n", guest_name);
	for (i = 0; i < guest_test_count; i++)
		if (selected(guest_tests[i].name))
			run_one(&guest_tests[i]);
	finish();
}
