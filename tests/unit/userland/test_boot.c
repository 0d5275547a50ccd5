// SPDX-License-Identifier: GPL-2.0-only
/* Loaders, with images made here, whole and broken in every way. */
#include <elf.h>
#include <errno.h>
#include <sys/mman.h>

#include <umbra/umbra.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "test.h"
#include "util/error.h"

#define MEMORY		(64ULL << 20)
#define MIB		(1ULL << 20)

struct fixture {
	struct guest_memory mem;
	uint8_t kernel[0x4000];
	struct boot_module module[2];
	struct boot_source src;
	struct boot_entry entry;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(memory_create(&f->mem, MEMORY), 0);
	f->src = (struct boot_source){
		.kernel = { .path = "kernel", .data = f->kernel, .size = sizeof(f->kernel) },
		.cmdline = "one two",
		.module = f->module,
		.rsdp = 0xe0000,
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	memory_destroy(&f->mem);
	free(f);
	return 0;
}

static int load(struct fixture *f)
{
	return boot_load(&f->src, &f->mem, &f->entry);
}

static void *gpa(struct fixture *f, uint64_t at)
{
	return memory_at(&f->mem, at, 1);
}

/* A relocatable 64-bit Linux of protocol 2.15: 4 sectors of set-up, the rest is loaded high. */
static void make_linux(struct fixture *f)
{
	uint8_t *k = f->kernel;

	memset(k, 0, sizeof(f->kernel));
	k[0x1f1] = 4;
	put32(k + 0x1f4, (sizeof(f->kernel) - 5 * 512) / 16);
	put16(k + 0x1fe, 0xaa55);
	k[0x200] = 0xeb;
	k[0x201] = 0x6a;
	memcpy(k + 0x202, "HdrS", 4);
	put16(k + 0x206, 0x20f);
	k[0x211] = 0x01;
	put32(k + 0x214, 0x100000);
	put32(k + 0x22c, 0x7fffffff);
	put32(k + 0x230, 0x200000);
	k[0x234] = 1;
	put16(k + 0x236, 0x0001);
	put32(k + 0x238, 255);
	put64(k + 0x258, 16 * MIB);
	put32(k + 0x260, 8 * MIB);
	memset(k + 5 * 512, 0x5a, sizeof(f->kernel) - 5 * 512);
}

static void linux_64(void **state)
{
	static const uint8_t initrd[5000] = { 1, 2, 3 };
	struct fixture *f = *state;
	uint8_t *params;

	make_linux(f);
	f->src.initrd = (struct image){ "initrd", initrd, sizeof(initrd) };
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.mode, BOOT_LONG);
	assert_int_equal(f->entry.rip, 16 * MIB + 0x200);
	assert_int_equal(f->entry.kernel, 16 * MIB);
	assert_int_equal(*(uint8_t *)gpa(f, 16 * MIB), 0x5a);
	/* As high as it goes. */
	assert_int_equal(f->entry.initrd, MEMORY - 0x2000);
	assert_memory_equal(gpa(f, f->entry.initrd), initrd, sizeof(initrd));

	params = gpa(f, f->entry.rsi);
	assert_int_equal(get32(params + 0x218), MEMORY - 0x2000);
	assert_int_equal(get32(params + 0x21c), sizeof(initrd));
	assert_string_equal(gpa(f, get32(params + 0x228)), "one two");
	assert_int_equal(get64(params + 0x70), 0xe0000);
	assert_int_equal(params[0x1e8], 4);
	assert_int_equal(get64(params + 0x2d0), 0);
	assert_int_equal(get32(params + 0x2d0 + 16), E820_RAM);
	/* The header ends before the memory map begins, whatever it says of its length. */
	assert_int_equal(params[0x210], 0xff);
}

static void linux_header_length_is_bounded(void **state)
{
	struct fixture *f = *state;

	make_linux(f);
	f->kernel[0x201] = 0xff;
	memset(f->kernel + 0x290, 0xcc, 0x100);
	assert_int_equal(load(f), 0);
	assert_int_equal(get64((uint8_t *)gpa(f, f->entry.rsi) + 0x2d0), 0);
}

static void linux_32(void **state)
{
	struct fixture *f = *state;

	make_linux(f);
	put16(f->kernel + 0x236, 0);
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.mode, BOOT_PROTECTED);
	assert_int_equal(f->entry.rip, 16 * MIB);
}

static void linux_low_when_memory_is_short(void **state)
{
	struct fixture *f = *state;

	make_linux(f);
	put64(f->kernel + 0x258, 60 * MIB);
	/* A 64-bit kernel would unpack itself where it prefers. */
	assert_int_equal(load(f), -ENOMEM);
	put16(f->kernel + 0x236, 0);
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.kernel, 2 * MIB);
	f->kernel[0x234] = 0;
	assert_int_equal(load(f), -ENOMEM);
}

static void linux_refused(void **state)
{
	static const uint8_t initrd[16];
	struct fixture *f = *state;
	char *longest;

	make_linux(f);
	put32(f->kernel + 0x260, 60 * MIB);
	assert_int_equal(load(f), -ENOMEM);

	make_linux(f);
	put32(f->kernel + 0x260, UINT32_MAX);
	put64(f->kernel + 0x258, UINT64_MAX - 5);
	assert_int_equal(load(f), -ENOMEM);

	make_linux(f);
	put32(f->kernel + 0x230, 3);
	assert_int_equal(load(f), -ENOEXEC);

	make_linux(f);
	put16(f->kernel + 0x206, 0x201);
	assert_int_equal(load(f), -ENOEXEC);

	make_linux(f);
	put32(f->kernel + 0x1f4, 0xffffffff);
	assert_int_equal(load(f), -ENOEXEC);
	assert_non_null(strstr(error_text(), "truncated"));

	make_linux(f);
	longest = calloc(1, 257);
	memset(longest, 'x', 256);
	f->src.cmdline = longest;
	assert_int_equal(load(f), -E2BIG);
	longest[255] = 0;
	assert_int_equal(load(f), 0);
	free(longest);
	f->src.cmdline = "";

	/* An initrd that is larger than what is left above the kernel. */
	f->src.initrd = (struct image){ "initrd", initrd, 41 * MIB };
	assert_int_equal(load(f), -ENOMEM);
	f->src.initrd = (struct image){ "initrd", initrd, SIZE_MAX };
	assert_int_equal(load(f), -ENOMEM);
	f->src.initrd = (struct image){ 0 };

	f->src.modules = 1;
	assert_int_equal(load(f), -EINVAL);
}

static void linux_truncated_anywhere(void **state)
{
	struct fixture *f = *state;
	uint8_t *copy;
	size_t size;

	make_linux(f);
	for (size = 0; size < sizeof(f->kernel); size += size < 0x300 ? 1 : 61) {
		/* An allocation of just that size, so that a sanitizer sees every step beyond. */
		copy = malloc(size ? size : 1);
		memcpy(copy, f->kernel, size);
		f->src.kernel.data = copy;
		f->src.kernel.size = size;
		if (size + 15 < sizeof(f->kernel))
			assert_int_equal(load(f), -ENOEXEC);
		free(copy);
	}
}

/* A multiboot header at @at, with the addresses if @flags say so. */
static void make_header(struct fixture *f, size_t at, uint32_t flags)
{
	put32(f->kernel + at, 0x1badb002);
	put32(f->kernel + at + 4, flags);
	put32(f->kernel + at + 8, -(0x1badb002 + flags));
	put32(f->kernel + at + 12, 0x200000 + at);	/* header_addr */
	put32(f->kernel + at + 16, 0x200000);		/* load_addr */
	put32(f->kernel + at + 20, 0x203000);		/* load_end_addr */
	put32(f->kernel + at + 24, 0x208000);		/* bss_end_addr */
	put32(f->kernel + at + 28, 0x200100);		/* entry_addr */
}

static void multiboot_by_addresses(void **state)
{
	static const uint8_t first[100] = { 7 }, second[5000] = { 8 };
	struct fixture *f = *state;
	uint8_t *info, *modules, *map;

	memset(f->kernel, 0x5a, sizeof(f->kernel));
	make_header(f, 0x40, 0x10003);
	memset(gpa(f, 0x203000), 0xff, 0x5000);
	f->src.initrd = (struct image){ "disk", first, sizeof(first) };
	f->module[0] = (struct boot_module){ { "mod", second, sizeof(second) }, "a=1" };
	f->src.modules = 1;
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.mode, BOOT_PROTECTED);
	assert_int_equal(f->entry.rip, 0x200100);
	assert_int_equal(f->entry.rax, 0x2badb002);
	assert_int_equal(*(uint8_t *)gpa(f, 0x200000), 0x5a);
	assert_int_equal(*(uint8_t *)gpa(f, 0x203000), 0);
	assert_int_equal(*(uint8_t *)gpa(f, 0x207fff), 0);

	info = gpa(f, f->entry.rbx);
	assert_int_equal(get32(info), 1 | 4 | 8 | 0x40 | 0x200);
	assert_int_equal(get32(info + 4), 639);
	assert_int_equal(get32(info + 8), 63 * 1024);
	assert_string_equal(gpa(f, get32(info + 16)), "kernel one two");
	assert_string_equal(gpa(f, get32(info + 64)), "vmctl");
	assert_int_equal(get32(info + 20), 2);
	modules = gpa(f, get32(info + 24));
	assert_int_equal(get32(modules), 0x208000);
	assert_int_equal(get32(modules + 4), 0x208000 + sizeof(first));
	assert_string_equal(gpa(f, get32(modules + 8)), "disk");
	assert_int_equal(get32(modules + 16), 0x209000);
	assert_string_equal(gpa(f, get32(modules + 24)), "mod a=1");
	assert_memory_equal(gpa(f, 0x209000), second, sizeof(second));
	map = gpa(f, get32(info + 48));
	assert_int_equal(get32(map), 20);
	assert_int_equal(get32(info + 44), 4 * 24);
	assert_int_equal(get64(map + 4), 0);
	assert_int_equal(get32(map + 20), 1);
}

static void multiboot_below_one_megabyte(void **state)
{
	struct fixture *f = *state;

	memset(f->kernel, 0x5a, sizeof(f->kernel));
	make_header(f, 0, 0x10000);
	put32(f->kernel + 12, 0x4000);
	put32(f->kernel + 16, 0x4000);
	put32(f->kernel + 20, 0);
	put32(f->kernel + 24, 0x20000);
	put32(f->kernel + 28, 0x4020);
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.rip, 0x4020);
	/* The information keeps clear of it. */
	assert_true(f->entry.rbx >= 0x20000);
	put32(f->kernel + 24, 0xa0000);
	assert_int_equal(load(f), -ENOMEM);
	put32(f->kernel + 12, 0x400);
	put32(f->kernel + 16, 0x400);
	put32(f->kernel + 24, 0);
	assert_int_equal(load(f), -ENOMEM);
}

static void multiboot_refused(void **state)
{
	struct fixture *f = *state;
	static const uint32_t wrong[][2] = {
		{ 12, 0x1fffff },	/* header before what is loaded */
		{ 12, 0x300000 },	/* header far behind */
		{ 16, 0xfff00000 },	/* loaded behind the header */
		{ 20, 0x1fffff },	/* ends before it begins */
		{ 20, 0x900000 },	/* more than the file has */
		{ 24, 0x201000 },	/* bss ends before the data */
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		memset(f->kernel, 0, sizeof(f->kernel));
		make_header(f, 0x40, 0x10000);
		put32(f->kernel + 0x40 + wrong[i][0], wrong[i][1]);
		assert_int_equal(load(f), -ENOEXEC);
	}
	make_header(f, 0x40, 0x10000);
	put32(f->kernel + 0x40 + 24, 0xf0000000);
	assert_int_equal(load(f), -ENOMEM);
	/* A feature that a loader must know or refuse. */
	memset(f->kernel, 0, sizeof(f->kernel));
	make_header(f, 0x40, 0x10008);
	assert_int_equal(load(f), -ENOEXEC);
	/* Neither addresses nor ELF. */
	make_header(f, 0x40, 0);
	assert_int_equal(load(f), -ENOEXEC);
	/* A wrong checksum, or too far back: no header at all. */
	make_header(f, 0x40, 0x10000);
	f->kernel[0x48] ^= 1;
	assert_int_equal(load(f), -ENOEXEC);
	memset(f->kernel, 0, sizeof(f->kernel));
	make_header(f, 0x2000, 0x10000);
	assert_int_equal(load(f), -ENOEXEC);
}

static void multiboot_truncated_anywhere(void **state)
{
	struct fixture *f = *state;
	uint8_t *copy;
	size_t size;

	memset(f->kernel, 0, sizeof(f->kernel));
	make_header(f, 0x40, 0x10000);
	for (size = 0; size < 0x3000; size += size < 0x80 ? 1 : 61) {
		copy = malloc(size ? size : 1);
		memcpy(copy, f->kernel, size);
		f->src.kernel.data = copy;
		f->src.kernel.size = size;
		assert_int_equal(load(f), -ENOEXEC);
		free(copy);
	}
}

static void make_elf32(struct fixture *f, uint32_t vaddr, uint32_t paddr)
{
	Elf32_Ehdr *e = (void *)f->kernel;
	Elf32_Phdr *p = (void *)(f->kernel + sizeof(*e));

	memset(f->kernel, 0, sizeof(f->kernel));
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS32;
	e->e_ident[EI_DATA] = ELFDATA2LSB;
	e->e_machine = EM_386;
	e->e_entry = vaddr + 0x10;
	e->e_phoff = sizeof(*e);
	e->e_phentsize = sizeof(*p);
	e->e_phnum = 1;
	*p = (Elf32_Phdr){
		.p_type = PT_LOAD, .p_offset = 0x1000, .p_vaddr = vaddr, .p_paddr = paddr,
		.p_filesz = 0x2000, .p_memsz = 0x5000,
	};
	make_header(f, 0x1000, 0x3);
}

static void make_elf64(struct fixture *f, uint64_t vaddr, uint64_t paddr)
{
	Elf64_Ehdr *e = (void *)f->kernel;
	Elf64_Phdr *p = (void *)(f->kernel + sizeof(*e));

	memset(f->kernel, 0, sizeof(f->kernel));
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_ident[EI_DATA] = ELFDATA2LSB;
	e->e_machine = EM_X86_64;
	e->e_entry = vaddr + 0x10;
	e->e_phoff = sizeof(*e);
	e->e_phentsize = sizeof(*p);
	e->e_phnum = 1;
	*p = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_offset = 0x1000, .p_vaddr = vaddr, .p_paddr = paddr,
		.p_filesz = 0x2000, .p_memsz = 0x5000,
	};
	make_header(f, 0x1000, 0x3);
}

static void multiboot_elf(void **state)
{
	struct fixture *f = *state;

	make_elf32(f, 0x400000, 0x400000);
	memset(gpa(f, 0x402000), 0xff, 0x3000);
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.rip, 0x400010);
	assert_int_equal(f->entry.kernel, 0x400000);
	assert_int_equal(f->entry.kernel_size, 0x5000);
	assert_int_equal(get32(gpa(f, 0x400000)), 0x1badb002);
	assert_int_equal(get32(gpa(f, 0x402000)), 0);

	/* Linked to high virtual addresses: the entry is where that is loaded. */
	make_elf64(f, 0xffffffff80100000, 0x100000);
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.rip, 0x100010);
}

static void elf_refused(void **state)
{
	struct fixture *f = *state;
	Elf32_Ehdr *e = (void *)f->kernel;
	Elf32_Phdr *p = (void *)(f->kernel + sizeof(*e));

	make_elf32(f, 0xe0000, 0xe0000);
	assert_int_equal(load(f), -ENOMEM);
	make_elf32(f, 0x3ffe000, 0x3ffe000);
	assert_int_equal(load(f), -ENOMEM);
	make_elf32(f, 0xffffe000, 0xffffe000);
	assert_int_equal(load(f), -ENOMEM);
	make_elf64(f, 0x7fffffffffffffff, UINT64_MAX - 0x800);
	assert_int_equal(load(f), -ENOMEM);
	make_elf64(f, 0x500000000, 0x400000);
	((Elf64_Ehdr *)f->kernel)->e_entry = 0x900000000;
	assert_int_equal(load(f), -ENOEXEC);

	make_elf32(f, 0x400000, 0x400000);
	p->p_filesz = 0x6000;
	assert_int_equal(load(f), -ENOEXEC);
	make_elf32(f, 0x400000, 0x400000);
	p->p_offset = 0xfffff000;
	assert_int_equal(load(f), -ENOEXEC);
	make_elf32(f, 0x400000, 0x400000);
	p->p_type = PT_NOTE;
	assert_int_equal(load(f), -ENOEXEC);
	make_elf32(f, 0x400000, 0x400000);
	e->e_phentsize = 4;
	assert_int_equal(load(f), -ENOEXEC);
	make_elf32(f, 0x400000, 0x400000);
	e->e_phoff = 0xfffffff0;
	assert_int_equal(load(f), -ENOEXEC);
	make_elf32(f, 0x400000, 0x400000);
	e->e_phnum = 0xffff;
	assert_int_equal(load(f), -ENOEXEC);
	make_elf32(f, 0x400000, 0x400000);
	e->e_machine = EM_ARM;
	assert_int_equal(load(f), -ENOEXEC);
	make_elf32(f, 0x400000, 0x400000);
	e->e_ident[EI_CLASS] = 9;
	assert_int_equal(load(f), -ENOEXEC);
}

/* Flips bytes of good images: whatever comes of it, no memory beyond the guest's is touched. */
static void mutated(void **state)
{
	struct fixture *f = *state;
	unsigned int i, j, n;

	srand(3);
	for (i = 0; i < 6000; i++) {
		switch (i % 4) {
		case 0:
			make_linux(f);
			break;
		case 1:
			make_elf32(f, 0x400000, 0x400000);
			break;
		case 2:
			make_elf64(f, 0x400000, 0x400000);
			break;
		case 3:
			memset(f->kernel, 0, sizeof(f->kernel));
			make_header(f, 0x40, 0x10003);
			break;
		}
		n = rand() % 8;
		for (j = 0; j < n; j++)
			f->kernel[(i % 4 == 0 ? 0x1f0 + rand() % 0x80 : rand() % 0x80)] = rand();
		load(f);
	}
}

static void registers(void **state)
{
	struct fixture *f = *state;
	struct umbra_state *s = calloc(1, sizeof(*s));
	struct boot_entry entry = { .mode = BOOT_LONG, .rip = 0x1000200, .rsi = 0x10000 };
	uint64_t *table;

	boot_state(&entry, &f->mem, s);
	assert_int_equal(s->regs.rip, 0x1000200);
	assert_int_equal(s->regs.gpr[UMBRA_RSI], 0x10000);
	assert_int_equal(s->regs.rflags, 2);
	assert_int_equal(s->sregs.efer, 0x500);
	assert_int_equal(s->sregs.cr0 & 0x80000001, 0x80000001);
	assert_int_equal(s->sregs.cr4, 0x20);
	assert_int_equal(s->sregs.seg[UMBRA_CS].selector, 0x10);
	assert_int_equal(s->sregs.seg[UMBRA_CS].attr, 0xa09b);
	assert_int_equal(s->sregs.seg[UMBRA_DS].attr, 0xc093);
	assert_true(get64((uint8_t *)gpa(f, s->sregs.gdtr.base) + 0x10) == 0x00af9b000000ffff);
	assert_true(get64((uint8_t *)gpa(f, s->sregs.gdtr.base) + 0x18) == 0x00cf93000000ffff);
	/* The walk to 3 GiB + 2 MiB. */
	table = gpa(f, s->sregs.cr3);
	table = gpa(f, table[0] & ~0xfffULL);
	table = gpa(f, table[3] & ~0xfffULL);
	assert_true(table[1] == (0xc0200000 | 0x83));

	entry = (struct boot_entry){ .mode = BOOT_PROTECTED, .rip = 0x100000, .rax = 5, .rbx = 6 };
	boot_state(&entry, &f->mem, s);
	assert_int_equal(s->sregs.efer, 0);
	assert_int_equal(s->sregs.cr0 & 0x80000001, 1);
	assert_int_equal(s->sregs.cr4, 0);
	assert_int_equal(s->sregs.seg[UMBRA_CS].attr, 0xc09b);
	assert_int_equal(s->regs.gpr[UMBRA_RAX], 5);
	assert_int_equal(s->regs.gpr[UMBRA_RBX], 6);
	/* Interrupts of real mode work without LIDT, as behind a BIOS. */
	assert_int_equal(s->sregs.idtr.base, 0);
	assert_int_equal(s->sregs.idtr.limit, 0x3ff);
	free(s);
}

static void guest_memory(void **state)
{
	struct fixture *f = *state;
	struct e820_entry map[E820_MAX];
	struct guest_memory big = {
		.low = (uint8_t *)0x1000, .low_size = MEMORY_HOLE,
		.high = (uint8_t *)0x2000, .high_size = MIB,
	};

	assert_non_null(memory_at(&f->mem, 0, MEMORY));
	assert_null(memory_at(&f->mem, 0, MEMORY + 1));
	assert_null(memory_at(&f->mem, 1, MEMORY));
	assert_null(memory_at(&f->mem, MEMORY - 1, UINT64_MAX));
	assert_null(memory_at(&f->mem, UINT64_MAX, 2));
	assert_null(memory_at(&big, MEMORY_HOLE - 1, 2));
	assert_null(memory_at(&big, MEMORY_HIGH - 1, 2));
	assert_ptr_equal(memory_at(&big, MEMORY_HIGH + 4, MIB - 4), big.high + 4);
	assert_null(memory_at(&big, MEMORY_HIGH + 4, MIB - 3));
	assert_int_equal(memory_map(&f->mem, map), 4);
	assert_int_equal(memory_map(&big, map), 5);
	assert_true(map[4].base == MEMORY_HIGH && map[4].size == MIB);
	/* Both ends of the pieces are at huge pages, so that the host can use such. */
	assert_int_equal((uintptr_t)f->mem.low % (2 * MIB), 0);
}

static void files(void **state)
{
	struct image img;

	(void)state;
	assert_int_equal(image_open(&img, "kernel", "/"), -EISDIR);
	assert_int_equal(image_open(&img, "kernel", "/dev/null"), -EINVAL);
	assert_int_equal(image_open(&img, "kernel", "/nonexistent/file"), -ENOENT);
	assert_int_equal(image_open(&img, "kernel", "/proc/self/exe"), 0);
	assert_memory_equal(img.data, "\177ELF", 4);
	image_close(&img);
}

static bool all_resident(void *start, uint64_t size)
{
	unsigned char pages[MEMORY / 4096];

	assert_true(size / 4096 <= sizeof(pages));
	assert_int_equal(mincore(start, size, pages), 0);
	for (uint64_t i = 0; i < size / 4096; i++)
		if (!(pages[i] & 1))
			return false;
	return true;
}

static void memory_is_populated(void **state)
{
	struct fixture *f = *state;

	assert_false(all_resident(f->mem.low, f->mem.low_size));
	assert_int_equal(memory_populate(&f->mem), 0);
	assert_true(all_resident(f->mem.low, f->mem.low_size));
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(linux_64),
		T(linux_header_length_is_bounded),
		T(linux_32),
		T(linux_low_when_memory_is_short),
		T(linux_refused),
		T(linux_truncated_anywhere),
		T(multiboot_by_addresses),
		T(multiboot_below_one_megabyte),
		T(multiboot_refused),
		T(multiboot_truncated_anywhere),
		T(multiboot_elf),
		T(elf_refused),
		T(mutated),
		T(registers),
		T(guest_memory),
		T(memory_is_populated),
		T(files),
	};

	return RUN(tests);
}
