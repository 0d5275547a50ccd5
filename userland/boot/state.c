// SPDX-License-Identifier: GPL-2.0-only
/* The bootstrap processor's registers at a kernel's first instruction. */
#include <stdbool.h>
#include <string.h>

#include <umbra/umbra.h>

#include "boot.h"
#include "layout.h"
#include "util/bytes.h"

/* Selectors as Linux's boot protocol wants them; multiboot takes any. */
#define SELECTOR_CODE	0x10
#define SELECTOR_DATA	0x18
#define SELECTOR_TSS	0x20
#define GDT_ENTRIES	6	/* that of the TSS takes two in 64-bit mode */

#define ATTR_CODE	(0xb | UMBRA_SEG_S | UMBRA_SEG_P | UMBRA_SEG_G)
#define ATTR_DATA	(0x3 | UMBRA_SEG_S | UMBRA_SEG_P | UMBRA_SEG_G | UMBRA_SEG_DB)
#define ATTR_TSS	(0xb | UMBRA_SEG_P)

#define IVT_LIMIT	(256 * 4 - 1)

#define CR0_PE		(1UL << 0)
#define CR0_ET		(1UL << 4)
#define CR0_NE		(1UL << 5)
#define CR0_PG		(1UL << 31)
#define CR4_PAE		(1UL << 5)
#define EFER_LME	(1UL << 8)
#define EFER_LMA	(1UL << 10)

#define PTE_PRESENT	0x01
#define PTE_WRITE	0x02
#define PTE_LARGE	0x80
#define PAGE		0x1000ULL
#define GIBIBYTES	4	/* mapped one to one */

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
	if (attr & UMBRA_SEG_G)
		limit >>= 12;
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	       (uint64_t)(attr & 0xff) << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
	       (uint64_t)(attr >> 12 & 0xf) << 52 | (uint64_t)(base >> 24) << 56;
}

static void set_segment(struct umbra_segment *seg, uint8_t *gdt, uint16_t selector,
			uint32_t limit, uint32_t attr)
{
	*seg = (struct umbra_segment){ .limit = limit, .attr = attr, .selector = selector };
	put64(gdt + selector, descriptor(0, limit, attr));
}

static void write_page_tables(struct guest_memory *mem)
{
	uint8_t *root = memory_at(mem, BOOT_PAGE_TABLES, (2 + GIBIBYTES) * PAGE);
	uint64_t directory;
	unsigned int i;

	memset(root, 0, (2 + GIBIBYTES) * PAGE);
	put64(root, (BOOT_PAGE_TABLES + PAGE) | PTE_PRESENT | PTE_WRITE);
	for (i = 0; i < GIBIBYTES; i++) {
		directory = BOOT_PAGE_TABLES + (2 + i) * PAGE;
		put64(root + PAGE + i * 8, directory | PTE_PRESENT | PTE_WRITE);
	}
	for (i = 0; i < GIBIBYTES * 512; i++)
		put64(root + 2 * PAGE + i * 8,
		      (uint64_t)i << 21 | PTE_LARGE | PTE_PRESENT | PTE_WRITE);
}

void boot_state(const struct boot_entry *entry, struct guest_memory *mem,
		struct umbra_state *state)
{
	uint8_t *gdt = memory_at(mem, BOOT_GDT, GDT_ENTRIES * 8);
	struct umbra_sregs *s = &state->sregs;
	bool is_long = entry->mode == BOOT_LONG;
	static const enum umbra_seg data[] = {
		UMBRA_ES, UMBRA_SS, UMBRA_DS, UMBRA_FS, UMBRA_GS,
	};
	unsigned int i;

	memset(&state->regs, 0, sizeof(state->regs));
	state->regs.rip = entry->rip;
	state->regs.rflags = 2;
	state->regs.gpr[UMBRA_RAX] = entry->rax;
	state->regs.gpr[UMBRA_RBX] = entry->rbx;
	state->regs.gpr[UMBRA_RSI] = entry->rsi;

	memset(gdt, 0, GDT_ENTRIES * 8);
	set_segment(&s->seg[UMBRA_CS], gdt, SELECTOR_CODE, UINT32_MAX,
		    ATTR_CODE | (is_long ? UMBRA_SEG_L : UMBRA_SEG_DB));
	for (i = 0; i < ARRAY_SIZE(data); i++)
		set_segment(&s->seg[data[i]], gdt, SELECTOR_DATA, UINT32_MAX, ATTR_DATA);
	set_segment(&s->seg[UMBRA_TR], gdt, SELECTOR_TSS, 0xffff, ATTR_TSS);
	s->seg[UMBRA_LDTR] = (struct umbra_segment){ .attr = UMBRA_SEG_UNUSABLE };
	s->gdtr = (struct umbra_table){ .base = BOOT_GDT, .limit = GDT_ENTRIES * 8 - 1 };
	/* A kernel that goes to real mode may rely on the vectors there (bios.c). */
	s->idtr = (struct umbra_table){ .base = 0, .limit = IVT_LIMIT };

	s->cr0 = CR0_PE | CR0_ET | CR0_NE;
	s->cr3 = 0;
	s->cr4 = 0;
	s->efer = 0;
	if (is_long) {
		write_page_tables(mem);
		s->cr3 = BOOT_PAGE_TABLES;
		s->cr4 = CR4_PAE;
		s->efer = EFER_LME | EFER_LMA;
		s->cr0 |= CR0_PG;
	}
	state->groups = UMBRA_STATE_REGS | UMBRA_STATE_SREGS;
	state->flags = 0;
}
