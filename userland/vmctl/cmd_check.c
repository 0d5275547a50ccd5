// SPDX-License-Identifier: GPL-2.0-only
/* Each thing that guests need, whether it is there, and what to do if not. */
#include <cpuid.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libumbra/libumbra.h"
#include "util/bytes.h"
#include "util/error.h"
#include "vmctl.h"

/*
 * LEAF_FEATURES: ECX bit 5, VMX (SDM Vol. 2, CPUID). LEAF_EXTENDED: ECX bit 2,
 * SVM (APM Vol. 3, CPUID Fn8000_0001).
 */
#define LEAF_FEATURES	0x1
#define FEATURE_VMX	(1U << 5)
#define FEATURE_HYPERVISOR (1U << 31)
#define LEAF_EXTENDED	0x80000001
#define EXTENDED_SVM	(1U << 2)

enum verdict {
	FINE,
	MISSING,	/* but guests can run without */
	FATAL,
};

/* The findings, printed as they come or collected as JSON. */
struct report {
	json_t *items;		/* NULL when printing */
	bool failed;
};

static void add(struct report *r, const char *what, enum verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void add(struct report *r, const char *what, enum verdict verdict, const char *fmt, ...)
{
	static const char * const words[] = {
		[FINE] = "OK", [MISSING] = "no", [FATAL] = "FAILED",
	};
	static const char * const json_words[] = {
		[FINE] = "ok", [MISSING] = "missing", [FATAL] = "failed",
	};
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (verdict == FATAL)
		r->failed = true;
	if (r->items)
		json_array_append_new(r->items, json_pack("{s:s, s:s, s:s}", "requirement", what,
							  "status", json_words[verdict],
							  "detail", text));
	else
		printf("%-20s %-7s %s\n", what, words[verdict], text);
}

static void check_cpu(struct report *r)
{
	unsigned int a, b, c = 0, d, features = 0, extended = 0;

	if (__get_cpuid(LEAF_FEATURES, &a, &b, &c, &d))
		features = c;
	if (__get_cpuid(LEAF_EXTENDED, &a, &b, &c, &d))
		extended = c;
	if (extended & EXTENDED_SVM)
		add(r, "cpu", FINE, "has AMD-V (SVM)");
	else if (features & FEATURE_VMX)
		add(r, "cpu", FINE, "has VT-x (VMX)");
	else if (features & FEATURE_HYPERVISOR)
		add(r, "cpu", FATAL, "shows neither AMD-V nor VT-x: this is a virtual machine itself; switch on nested virtualization on its host");
	else
		add(r, "cpu", FATAL, "shows neither AMD-V nor VT-x: it has none, or it is off in the firmware's set-up (look for SVM, AMD-V, VT-x or Virtualization Technology)");
}

/* Opening the device tells most; the module's own directory tells why it failed. */
static struct umbra *check_device(struct report *r)
{
	struct umbra *umbra = NULL;
	struct stat st;

	if (!stat("/sys/module/umbra", &st))
		add(r, "module", FINE, "umbra is loaded");
	else
		add(r, "module", FATAL, "umbra is not loaded: load it with 'modprobe umbra' or 'insmod umbra.ko'; if that fails, dmesg says why");

	if (umbra_open_any_abi(&umbra)) {
		add(r, "device", FATAL, "%s", error_text());
		return NULL;
	}
	add(r, "device", FINE, "%s can be opened", UMBRA_DEVICE);
	return umbra;
}

static bool check_abi(struct report *r, const struct umbra *umbra)
{
	const struct umbra_info *info = umbra_get_info(umbra);

	if (info->abi_version == UMBRA_ABI_VERSION) {
		add(r, "abi", FINE, "%u, module %s", info->abi_version, info->version);
		return true;
	}
	add(r, "abi", FATAL, "the module speaks %u, this vmctl %u: rebuild %s", info->abi_version,
	    UMBRA_ABI_VERSION, info->abi_version < UMBRA_ABI_VERSION ?
	    "the module from this source and load it again" : "vmctl from the module's source");
	return false;
}

struct cap_name {
	unsigned int nr;
	const char *name;
	bool counts;		/* its value is a number worth printing */
};

static const struct cap_name cap_names[] = {
	{ UMBRA_CAP_HARDWARE, "hardware", false },
	{ UMBRA_CAP_PAGING_NESTED, "paging nested", false },
	{ UMBRA_CAP_PAGING_SHADOW, "paging shadow", false },
	{ UMBRA_CAP_NEXT_RIP, "next RIP", false },
	{ UMBRA_CAP_DECODE_ASSISTS, "decode assists", false },
	{ UMBRA_CAP_FLUSH_BY_ASID, "flush by ASID", false },
	{ UMBRA_CAP_ASIDS, "ASIDs", true },
	{ UMBRA_CAP_REAL_MODE, "real mode", false },
	{ UMBRA_CAP_LA57, "5-level paging", false },
	{ UMBRA_CAP_XSAVE, "XSAVE", true },
	{ UMBRA_CAP_TPR_SHADOW, "TPR shadow", false },
	{ UMBRA_CAP_APIC_ACCESS, "APIC access", false },
	{ UMBRA_CAP_X2APIC_VIRTUAL, "virtual x2APIC", false },
	{ UMBRA_CAP_INTERRUPT_DELIVERY, "interrupt delivery", false },
	{ UMBRA_CAP_DEADLINE_TIMER, "deadline timer", false },
	{ UMBRA_CAP_DIRTY_LOGGING, "dirty logging", false },
};

static bool check_one_cap(struct report *r, struct umbra *umbra, const struct cap_name *name)
{
	enum verdict missing = name->nr == UMBRA_CAP_HARDWARE ? FATAL : MISSING;
	struct umbra_cap cap;

	if (umbra_check_cap(umbra, name->nr, &cap)) {
		add(r, name->name, missing, "%s", error_text());
		return false;
	}
	if (!cap.value)
		add(r, name->name, missing, "%s",
		    cap.reason[0] ? cap.reason : "the module gives no reason");
	else if (name->counts)
		add(r, name->name, FINE, "%" PRIu64, (uint64_t)cap.value);
	else
		add(r, name->name, FINE, "%s", cap.reason[0] ? cap.reason : "available");
	return cap.value;
}

static void check_caps(struct report *r, struct umbra *umbra)
{
	bool paging = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cap_names); i++) {
		bool there = check_one_cap(r, umbra, &cap_names[i]);

		if (cap_names[i].nr == UMBRA_CAP_PAGING_NESTED ||
		    cap_names[i].nr == UMBRA_CAP_PAGING_SHADOW)
			paging |= there;
	}
	if (!paging)
		add(r, "paging", FATAL, "neither nested nor shadow paging can be had");
}

static void check_all(struct report *r)
{
	struct umbra *umbra;

	check_cpu(r);
	umbra = check_device(r);
	if (umbra && check_abi(r, umbra))
		check_caps(r, umbra);
	umbra_close(umbra);
}

static int print_json(struct report *r)
{
	json_t *root = json_pack("{s:b, s:O}", "ok", !r->failed, "requirements", r->items);
	int ret = !root || json_dumpf(root, stdout, JSON_INDENT(2)) || putchar('\n') == EOF;

	json_decref(root);
	json_decref(r->items);
	return ret;
}

static int cmd_check(const struct verb *verb, int argc, char **argv)
{
	static const struct option_spec spec[] = { { .name = "json" } };
	struct options o = {
		.spec = spec, .count = ARRAY_SIZE(spec), .argc = argc, .argv = argv,
	};
	struct report r = { NULL, false };
	const char *value;
	int i;

	while ((i = options_next(&o, &value)) != OPTION_END) {
		if (i == OPTION_HELP) {
			print_help(verb);
			return 0;
		}
		if (i < 0)
			return EXIT_USAGE;
		r.items = json_array();
	}
	check_all(&r);
	if (r.items) {
		if (print_json(&r)) {
			complain("cannot print the findings");
			return EXIT_FAILED;
		}
	} else {
		printf("%s\n", r.failed ? "Guests cannot run here."
					: "Guests can run here.");
	}
	return r.failed ? EXIT_FAILED : 0;
}

const struct verb check_verb = {
	.name = "check",
	.summary = "find out whether guests can run on this host, and if not, why",
	.usage = "[--json]\n"
		 "\n"
		 "  --json    print JSON\n"
		 "\n"
		 "Exit status: 0 guests can run, 1 they cannot.\n",
	.run = cmd_check,
};
