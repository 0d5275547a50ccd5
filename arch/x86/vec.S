/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One vector register, chosen at run time, to or from memory. The number of a
 * register is part of an instruction, so there is one for each. There are eight MMX
 * registers, sixteen of the others.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

/* void name(unsigned int reg, void *data); nothing happens if there is no such one */
.macro STORE name:req insn:req class:req last=15
SYM_FUNC_START(\name)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.if	\n <= \last
	cmp	$\n, %edi
	jne	1f
	\insn	%\class\n, (%rsi)
	RET
1:
	.endif
	.endr
	RET
SYM_FUNC_END(\name)
.endm

/* void name(unsigned int reg, const void *data) */
.macro LOAD name:req insn:req class:req last=15
SYM_FUNC_START(\name)
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.if	\n <= \last
	cmp	$\n, %edi
	jne	1f
	\insn	(%rsi), %\class\n
	RET
1:
	.endif
	.endr
	RET
SYM_FUNC_END(\name)
.endm

.text
STORE	umbra_store_mmx, movq, mm, 7
LOAD	umbra_load_mmx, movq, mm, 7
STORE	umbra_store_xmm, movdqu, xmm
STORE	umbra_store_ymm, vmovdqu, ymm
LOAD	umbra_load_xmm, movdqu, xmm
LOAD	umbra_load_ymm, vmovdqu, ymm
/* The VEX form clears the register above the vector it writes. */
LOAD	umbra_load_xmm_zero, vmovdqu, xmm
