/* SPDX-License-Identifier: GPL-2.0-only */
#include "asm.h"

#ifdef __x86_64__
	.text
	/* Both functions go to compatibility mode first: that is where PG may be cleared. */
	.globl long_mode_switch
long_mode_switch:
	push %rbx
	mov %edi, %ebx
	mov %esi, %esi
	push $FLAT_CS32
	push $1f
	lretq
	.code32
1:	mov %cr0, %eax
	btr $31, %eax
	mov %eax, %cr0
	mov %esi, %cr4
	mov %ebx, %cr3
	bts $31, %eax
	mov %eax, %cr0
	ljmp $KERNEL_CS, $2f
	.code64
2:	pop %rbx
	ret

	.globl legacy_read
legacy_read:
	push %rbx
	push %rbp
	mov %cr3, %rbx
	mov %cr4, %rbp
	mov %edx, %r8d
	push $FLAT_CS32
	push $1f
	lretq
	.code32
1:	push %edx
	mov %cr0, %eax
	btr $31, %eax
	mov %eax, %cr0
	mov $0xc0000080, %ecx
	rdmsr
	btr $8, %eax
	wrmsr
	test %edi, %edi
	jz 2f
	mov %esi, %cr4
	mov %edi, %cr3
	mov %cr0, %eax
	bts $31, %eax
	mov %eax, %cr0
2:	pop %edx
	mov (%edx), %esi
	mov %cr0, %eax
	btr $31, %eax
	mov %eax, %cr0
	/*
	 * PAE before LME. The other order is as right, but QEMU's SVM loses the host
	 * on an exit with EFER.LME set and both CR0.PG and CR4.PAE clear.
	 */
	mov %ebp, %cr4
	mov $0xc0000080, %ecx
	rdmsr
	bts $8, %eax
	wrmsr
	mov %ebx, %cr3
	mov %cr0, %eax
	bts $31, %eax
	mov %eax, %cr0
	ljmp $KERNEL_CS, $3f
	.code64
3:	mov %esi, %eax
	pop %rbp
	pop %rbx
	ret
#endif
	.section .note.GNU-stack, "", @progbits
