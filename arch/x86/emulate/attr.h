/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the opcode tables say about an opcode: struct umbra_insn.attr.
 * Private to the decoder and the executor.
 */
#ifndef UMBRA_EMULATE_ATTR_H
#define UMBRA_EMULATE_ATTR_H

#include "compat.h"

/* Bits 0..3: the immediate */
#define ATTR_IMM	0x000f
enum {
	IMM_NONE,
	IMM_IB,		/* 1 byte */
	IMM_IW,		/* 2 bytes */
	IMM_IZ,		/* operand size, 4 bytes for 64-bit operands */
	IMM_IV,		/* operand size, all of it */
	IMM_MOFFS,	/* an offset of the address size */
	IMM_FAR,	/* IZ, then a selector */
	IMM_ENTER,	/* IW, then IB */
	IMM_GROUP3,	/* IB or IZ, but only for ModRM.reg 0 and 1 (TEST) */
	IMM_JZ,		/* near branch: like IZ */
	IMM_SSE4A,	/* 2 bytes with 66 or f2 (EXTRQ, INSERTQ), else none (VMREAD) */
};

#define ATTR_MODRM	BIT(4)	/* ModRM follows */
#define ATTR_BYTE	BIT(5)	/* operands are bytes */
#define ATTR_D64	BIT(6)	/* in 64-bit code operands are 64 (or, with 66, 16) bits */
#define ATTR_F64	BIT(7)	/* in 64-bit code operands are 64 bits */
#define ATTR_I64	BIT(8)	/* undefined in 64-bit code */
#define ATTR_LOCK	BIT(9)	/* some form of it may have LOCK */
#define ATTR_SPECIAL	BIT(10)	/* prefix or escape, in some code size */
#define ATTR_UNKNOWN	BIT(11)	/* not known to the decoder */
#define ATTR_REGONLY	BIT(12)	/* ModRM.mod is ignored: always a register */
#define ATTR_GROUP5	BIT(13)	/* ff: operand size depends on ModRM.reg */

#endif /* UMBRA_EMULATE_ATTR_H */
