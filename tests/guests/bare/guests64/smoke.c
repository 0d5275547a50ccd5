// SPDX-License-Identifier: GPL-2.0-only
/* The machine boots a multiboot kernel and tells it the truth about itself. */
#include "boot.h"
#include "cpu.h"
#include "mem.h"
#include "string.h"
#include "test.h"
#include "trap.h"

/* Multiboot specification 0.6.96, section 3.2 and 3.3. */
static void test_magic(void)
{
	check_eq(boot_info.magic, MULTIBOOT_MAGIC, "EAX at entry");
	check(boot_info.flags & MB_MEMORY, "multiboot flags %x: no memory sizes", boot_info.flags);
}

static void test_cmdline(void)
{
	check(boot_info.flags & MB_CMDLINE, "multiboot flags %x: no command line",
	      boot_info.flags);
	print("# command line: %s\n", boot_info.cmdline);
}

/* Ranges do not overlap, hold the image, and agree with mem_lower and mem_upper. */
static void test_memory_map(void)
{
	struct boot_info *b = &boot_info;
	bool image = false, low = false, above = false;
	int i, j;

	if (!check(b->flags & MB_MMAP && b->ranges, "no memory map"))
		return;
	for (i = 0; i < b->ranges; i++) {
		struct boot_range *r = &b->range[i];

		print("# memory %llx-%llx type %u\n", (unsigned long long)r->base,
		      (unsigned long long)(r->base + r->size), r->type);
		check(r->base + r->size >= r->base, "range %d wraps", i);
		for (j = 0; j < i; j++)
			check(r->base >= b->range[j].base + b->range[j].size ||
			      b->range[j].base >= r->base + r->size,
			      "ranges %d and %d overlap", i, j);
		if (r->type != 1)
			continue;
		if (r->base <= 0x100000 && r->base + r->size >= (ulong)image_end)
			image = true;
		if (r->base == 0x100000 && r->base + r->size >= mem_top)
			above = true;
		if (r->base == 0 && r->size + PAGE_SIZE > (u64)b->mem_lower * 1024)
			low = true;
	}
	check(image, "the image is in no usable range");
	check(above, "mem_upper %u KiB is not in the map", b->mem_upper);
	check(low, "mem_lower %u KiB is not in the map", b->mem_lower);
}

/* Each page holds what was written, up to the end of memory. */
static void test_memory_works(void)
{
	ulong start = mem_mark(), pa;
	int bad = 0;

	for (pa = start; pa < mem_top; pa += 64 * PAGE_SIZE)
		*(volatile u64 *)(pa + 8) = pa * 0x9e3779b97f4a7c15ull;
	for (pa = start; pa < mem_top; pa += 64 * PAGE_SIZE)
		if (*(volatile u64 *)(pa + 8) != pa * 0x9e3779b97f4a7c15ull)
			bad++;
	check_eq(bad, 0, "pages with wrong contents");
	*(volatile u8 *)(mem_top - 1) = 0x5a;
	check_eq(*(volatile u8 *)(mem_top - 1), 0x5a, "last byte of memory");
}

static void test_modules(void)
{
	int i;

	if (!boot_info.modules) {
		skip("no module given");
		return;
	}
	for (i = 0; i < boot_info.modules; i++) {
		struct boot_module *m = &boot_info.module[i];

		print("# module %x-%x \"%s\" starts with %02x %02x\n", m->start, m->end, m->args,
		      ((u8 *)(ulong)m->start)[0], ((u8 *)(ulong)m->start)[1]);
		check(m->start < m->end && m->end <= mem_top, "module %d lies at %x-%x", i,
		      m->start, m->end);
		check(!(m->start & 0xfff), "module %d is not page aligned: %x", i, m->start);
		check(m->start >= (ulong)image_end, "module %d at %x overlaps the image", i,
		      m->start);
	}
}

/* The section in which an ELF loader must not leave old contents. */
static u8 bss[8192];

static void test_bss(void)
{
	ulong i, bad = 0;

	for (i = 0; i < sizeof(bss); i++)
		bad += ((volatile u8 *)bss)[i] != 0;
	check_eq(bad, 0, "bytes of .bss that are not zero");
}

static void test_mode(void)
{
	u64 efer = rdmsr(MSR_EFER);

	check((efer & (EFER_LME | EFER_LMA)) == (EFER_LME | EFER_LMA), "EFER is %llx",
	      (unsigned long long)efer);
	check((read_cr0() & (CR0_PE | CR0_PG)) == (CR0_PE | CR0_PG), "CR0 is %lx", read_cr0());
	check_eq(read_flags() & (FLAG_IF | FLAG_TF | FLAG_DF | FLAG_VM), 0, "flags");
}

static void test_fault_recovery(void)
{
	EXPECT_TRAP(VEC_UD, asm volatile("ud2"));
	EXPECT_TRAP(VEC_BP, asm volatile("int3"));
	EXPECT_TRAP_ERR(VEC_PF, 0, *(volatile u32 *)0x123456789000);
	check_eq(last_trap()->cr2, 0x123456789000, "CR2");
}

static void fw_cfg_read(u16 key, void *buf, int n)
{
	u8 *b = buf;

	outw(0x510, key);
	while (n--)
		*b++ = inb(0x511);
}

/* The firmware configuration device of QEMU: selector 0x510, data 0x511. */
static void test_fw_cfg(void)
{
	char sig[5] = "";
	u16 cpus = 0;
	u32 id = 0;
	u64 ram = 0;

	if (!HAS_HYPERVISOR) {
		skip("not a virtual machine");
		return;
	}
	fw_cfg_read(0, sig, 4);
	check(!strncmp(sig, "QEMU", 5), "signature is %02x %02x %02x %02x", sig[0] & 255,
	      sig[1] & 255, sig[2] & 255, sig[3] & 255);
	fw_cfg_read(1, &id, 4);
	check(id & 1, "interface id is %x", id);
	fw_cfg_read(3, &ram, 8);
	check(ram >= mem_top && ram <= mem_top + 0x100000, "RAM size %llx, top of memory %lx",
	      (unsigned long long)ram, mem_top);
	fw_cfg_read(5, &cpus, 2);
	check(cpus >= 1 && cpus <= 1024, "CPU count is %u", cpus);
}

/* A port that nothing answers reads as all ones. */
static void test_empty_port(void)
{
	check_eq(inb(0x2ff8), 0xff, "byte from an empty port");
	check_eq(inw(0x2ff8), 0xffff, "word from an empty port");
	check_eq(inl(0x2ff8), 0xffffffff, "long from an empty port");
}

const struct test guest_tests[] = {
	{ "magic", test_magic },
	{ "cmdline", test_cmdline },
	{ "memory-map", test_memory_map },
	{ "memory-works", test_memory_works },
	{ "modules", test_modules },
	{ "bss", test_bss },
	{ "mode", test_mode },
	{ "fault-recovery", test_fault_recovery },
	{ "fw-cfg", test_fw_cfg },
	{ "empty-port", test_empty_port },
};

GUEST("smoke");
