// SPDX-License-Identifier: GPL-2.0-only
/* C entry: what the loader said, memory, CPUID, traps; and the end of the machine. */
#include "acpi.h"
#include "boot.h"
#include "cpu.h"
#include "kernel.h"
#include "mem.h"
#include "string.h"
#include "trap.h"

struct boot_info boot_info;
ulong mem_top;
static ulong mem_next;

extern u32 mb_magic, mb_info_pa;
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

/* --- beginning and end --- */

/* Soft-off (ACPI 4.8.3.2), with the registers handed over by the firmware first. */
static void power_off(void)
{
	struct acpi_fadt *fadt = acpi_find("FACP");
	int type = acpi_s5_type();

	if (!fadt || type < 0)
		return;
	if (fadt->smi_cmd && fadt->acpi_enable && !(inw(fadt->pm1a_cnt) & 1))
		outb(fadt->smi_cmd, fadt->acpi_enable);
	outw(fadt->pm1a_cnt, type << 10 | BIT(13));
	if (fadt->pm1b_cnt)
		outw(fadt->pm1b_cnt, type << 10 | BIT(13));
}

void machine_exit(int status)
{
	struct dtr none = { 0, 0 };
	int i;

	irq_off();
	outb(0xf4, status ? 1 : 0);
	power_off();
	/* Either takes a moment where it works at all. */
	for (i = 0; i < 10000; i++)
		inb(0x64);
	outb(0x64, 0xfe);
	for (i = 0; i < 10000; i++)
		inb(0x64);
	asm volatile("lidt %0; ud2" :: "m"(none));
	__builtin_unreachable();
}

void kernel_start(void)
{
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
	kernel_main();
}
