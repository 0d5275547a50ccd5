// SPDX-License-Identifier: GPL-2.0-only
/* C entry: what the loader said, memory, CPUID, and the run of the tests. */
#include "boot.h"
#include "cpu.h"
#include "mem.h"
#include "string.h"
#include "test.h"
#include "trap.h"

struct boot_info boot_info;
ulong mem_top;
static ulong mem_next;

static const char *test_name = "start";
static const char *known_reason;
static bool known_here;
static char first_failure[256], skip_reason[128];
static int failures, passed, failed, skipped;

extern u32 mb_magic, mb_info_pa;
void console_init(void);
void kernel_start(void);

/* --- processor --- */

struct cpuid cpuid_safe(u32 leaf, u32 sub)
{
	struct cpuid none = { 0 };

	if (cpuid(leaf & 0xffff0000, 0).a < leaf)
		return none;
	return cpuid(leaf, sub);
}

bool cpu_is_amd(void)
{
	return cpuid(0, 0).b == 0x68747541;	/* "Auth" */
}

int cpu_phys_bits(void)
{
	u32 a = cpuid_safe(0x80000008, 0).a;

	return a ? (int)(a & 0xff) : 36;
}

/* --- memory --- */

static void copy_string(char *dst, size_t size, u32 pa)
{
	const char *s = (const char *)(ulong)pa;
	size_t i;

	for (i = 0; i + 1 < size && s[i]; i++)
		dst[i] = s[i];
	dst[i] = 0;
}

static void read_boot_info(void)
{
	const u32 *mb = (const u32 *)(ulong)mb_info_pa;
	struct boot_info *b = &boot_info;
	u32 i, pos;

	b->magic = mb_magic;
	if (mb_magic != MULTIBOOT_MAGIC)
		return;
	b->flags = mb[0];
	b->mem_lower = mb[1];
	b->mem_upper = mb[2];
	if (b->flags & MB_CMDLINE)
		copy_string(b->cmdline, sizeof(b->cmdline), mb[4]);
	if (b->flags & MB_MODULES) {
		const u32 *m = (const u32 *)(ulong)mb[6];

		for (i = 0; i < mb[5] && i < ARRAY_SIZE(b->module); i++, m += 4) {
			b->module[i].start = m[0];
			b->module[i].end = m[1];
			if (m[2])
				copy_string(b->module[i].args, sizeof(b->module[i].args), m[2]);
			b->modules++;
		}
	}
	if (b->flags & MB_MMAP) {
		for (pos = 0; pos < mb[11] && b->ranges < (int)ARRAY_SIZE(b->range);) {
			const u32 *e = (const u32 *)((ulong)mb[12] + pos);
			struct boot_range *r = &b->range[b->ranges++];

			memcpy(&r->base, e + 1, 8);
			memcpy(&r->size, e + 3, 8);
			r->type = e[5];
			pos += e[0] + 4;
		}
	}
}

void mem_init(void)
{
	ulong top = 0x100000ul + (ulong)boot_info.mem_upper * 1024;
	int i;

	mem_next = (ulong)image_end;
	for (i = 0; i < boot_info.modules; i++)
		if (boot_info.module[i].end > mem_next)
			mem_next = (boot_info.module[i].end + PAGE_SIZE - 1) & -PAGE_SIZE;
	mem_top = top > 0x80000000ul ? 0x80000000ul : top & -PAGE_SIZE;
}

void *alloc_pages(int n)
{
	ulong align = PAGE_SIZE, p;

	while (align < n * PAGE_SIZE)
		align *= 2;
	p = (mem_next + align - 1) & -align;
	if (p + n * PAGE_SIZE > mem_top)
		die("out of memory: %d pages wanted, top of memory is %lx", n, mem_top);
	mem_next = p + n * PAGE_SIZE;
	memset((void *)p, 0, n * PAGE_SIZE);
	return (void *)p;
}

ulong mem_mark(void)
{
	return mem_next;
}

void mem_release(ulong mark)
{
	mem_next = mark;
}

/* --- tests --- */

void machine_exit(int status)
{
	const char *s;

	outb(0xf4, status ? 1 : 0);
	/* Not taken where there is a debug-exit port; this is how Bochs is told. */
	for (s = "Shutdown"; *s; s++)
		outb(0x8900, *s);
	for (;;)
		asm volatile("cli; hlt");
}

static void finish(void)
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
	__builtin_unreachable();
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

const char *option(const char *key)
{
	size_t n = strlen(key);
	const char *s = boot_info.cmdline;

	for (; *s; s++) {
		if ((s == boot_info.cmdline || s[-1] == ' ') && !strncmp(s, key, n) &&
		    s[n] == '=')
			return s + n + 1;
	}
	return NULL;
}

static bool bare_qemu(void)
{
	return !option("host") && HAS_HYPERVISOR &&
	       cpuid(0x40000000, 0).b == 0x54474354;	/* "TCGT" */
}

bool known_on_tcg(const char *why)
{
	const char *host = option("host");

	known_reason = why;
	known_here = host ? !strncmp(host, "tcg", 3) : bare_qemu();
	return known_here;
}

bool known_on_qemu(const char *why)
{
	known_reason = why;
	known_here = bare_qemu();
	return known_here;
}

bool known_on_bochs(const char *why)
{
	const char *host = option("host");

	if (!host || strncmp(host, "bochs", 5))
		return false;
	known_reason = why;
	known_here = true;
	return true;
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
		print("SKIP %s: the emulator is wrong: %s (%s)\n", t->name, known_reason, first_failure);
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

void kernel_start(void)
{
	int i;

	console_init();
	read_boot_info();
	mem_init();
	trap_init();
#ifdef __x86_64__
	if (HAS_NX)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
#endif
	/* Both interrupt controllers' inputs masked until a test wants them. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	print("# %s\n", guest_name);
	for (i = 0; i < guest_test_count; i++)
		if (selected(guest_tests[i].name))
			run_one(&guest_tests[i]);
	finish();
}
