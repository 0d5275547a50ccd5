/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the differential test makes instructions from.
 */
#ifndef TEMPLATES_H
#define TEMPLATES_H

#include "harness.h"

/* Code sizes a template is for */
#define C64	BIT(0)
#define C32	BIT(1)
#define C16	BIT(2)
#define CALL	(C64 | C32 | C16)
#define COLD	(C32 | C16)

/* How to make the rest of the instruction, and its operands */
#define T_MODRM		BIT(0)	/* ModRM, SIB and displacement follow */
#define T_MEM		BIT(1)	/* mostly with a memory operand */
#define T_IMM8		BIT(2)
#define T_IMM16		BIT(3)
#define T_IMMZ		BIT(4)	/* 2 or 4 bytes */
#define T_IMMV		BIT(5)	/* 2, 4 or 8 bytes */
#define T_MOFFS		BIT(6)	/* an absolute address */
#define T_STRING	BIT(7)	/* rSI and rDI point to memory, REP is likely */
#define T_STACK		BIT(8)	/* rSP points to memory */
#define T_LOCK		BIT(9)	/* try LOCK often */
#define T_BRANCH	BIT(10)	/* no 66 (vendors differ); always single-step */
#define T_DIV		BIT(11)	/* mostly a quotient that fits */
#define T_BIT		BIT(12)	/* bit numbers that stay near the operand */
#define T_CMPXCHG	BIT(13)	/* the comparison is often true */
#define T_NO66		BIT(14)	/* 66 would make another instruction of it */
#define T_NOREP		BIT(15)	/* f2 or f3 would make another instruction of it */
#define T_VEX		BIT(16)	/* make a VEX prefix; the prefix byte is VEX.pp */
#define T_SELECTOR	BIT(17)	/* the operand becomes a selector */
#define T_XLAT		BIT(18)	/* rBX points to memory */
#define T_LEAVE		BIT(19)	/* rBP points to memory */
#define T_FAULTS	BIT(20)	/* always faults in user mode */
#define T_CPUID		BIT(21)	/* CPUID with a leaf that does not change */
#define T_ALIGNED	BIT(22)	/* faults unless aligned */
#define T_PARTIAL	BIT(23)	/* several elements: a fault may come from any, half way */
#define T_PUSHSEG	BIT(24)	/* on 32 bits CPUs differ: use 16 or 64 */
#define T_NOLOCK	BIT(25)	/* LOCK means something on one vendor's CPUs only */
#define T_ENTER		BIT(27)	/* rBP points to memory; a size and a level */
#define T_NOAC		BIT(26)	/* CPUs differ in how EFLAGS.AC applies */
#define T_NOREG		BIT(28)	/* the register form is another instruction, or a prefix */

/* Flags that the manuals leave undefined */
#define AF		X86_EFLAGS_AF
#define LOGIC		X86_EFLAGS_AF
#define MUL		(X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_AF | X86_EFLAGS_PF)
#define DIV		(MUL | X86_EFLAGS_CF | X86_EFLAGS_OF)
#define BITS		(X86_EFLAGS_OF | X86_EFLAGS_SF | X86_EFLAGS_AF | X86_EFLAGS_PF)
#define BCD		(X86_EFLAGS_OF | X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_PF)
#define SHIFT		(X86_EFLAGS_OF | X86_EFLAGS_AF)	/* OF only for counts above 1 */
#define ROTATE		X86_EFLAGS_OF			/* likewise */

/**
 * struct template - a family of instructions
 * @name:	what to call it
 * @codes:	code sizes it exists in
 * @map:	opcode map, UMBRA_MAP_*
 * @first:	first opcode
 * @last:	last opcode of a row of like ones, or 0
 * @ext:	ModRM.reg, or -1 for any
 * @prefix:	mandatory prefix, or 0
 * @flags:	T_*
 * @undefined:	flags not to be compared
 */
struct template {
	const char *name;
	u8 codes;
	u8 map;
	u8 first;
	u8 last;
	s8 ext;
	u8 prefix;
	u32 flags;
	u32 undefined;
};

extern const struct template templates[];
extern const unsigned int nr_templates;

#endif /* TEMPLATES_H */
