/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both sides of fpu.c: a guest and functions of the monitor that keep patterns in
 * all registers of the FPU.
 */
#include "fpuguest.h"

	.macro load base, avx
	fninit
	fildq	ST0(\base)
	ldmxcsr	MXCSR(\base)
	test	\avx, \avx
	jz	1f
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	32 * \i(\base), %ymm\i
	.endr
	jmp	2f
1:
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	32 * \i(\base), %xmm\i
	.endr
2:
	.endm

	/* Without AVX, upper halves of the registers are left as they are in memory. */
	.macro store base, avx
	fistpq	ST0(\base)
	stmxcsr	MXCSR(\base)
	test	\avx, \avx
	jz	1f
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	%ymm\i, 32 * \i(\base)
	.endr
	jmp	2f
1:
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	%xmm\i, 32 * \i(\base)
	.endr
2:
	.endm

	.text
	.globl	fpu_ioctl
	.type	fpu_ioctl, @function
fpu_ioctl:
	push	%rbx
	push	%rbp
	mov	%rcx, %rbx
	mov	%r8, %rbp
	load	%rdx, %rbp
	xor	%edx, %edx
	mov	$16, %eax		/* __NR_ioctl */
	syscall
	store	%rbx, %rbp
	jmp	restore

	.globl	fpu_spin
	.type	fpu_spin, @function
fpu_spin:
	push	%rbx
	push	%rbp
	mov	%rdx, %rbx
	mov	%rcx, %rbp
	load	%rsi, %rbp
1:
	dec	%rdi
	jnz	1b
	store	%rbx, %rbp
restore:
	/* MXCSR as C has it. */
	movl	$0x1f80, -8(%rsp)
	ldmxcsr	-8(%rsp)
	test	%rbp, %rbp
	jz	1f
	vzeroupper
1:
	pop	%rbp
	pop	%rbx
	ret

	/*
	 * R15 is the first number of the patterns, R14 what they differ by, R13 how many
	 * exits there are with the same pattern, R12 whether there is AVX. Copied to CODE.
	 */
	.section .rodata
	.globl	fpu_guest, fpu_guest_end
	.balign	64
fpu_guest:
	test	%r12, %r12
	jz	new
	mov	%cr4, %rax
	or	$1 << 18, %eax		/* OSXSAVE */
	mov	%rax, %cr4
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$7, %eax
	xsetbv
new:
	cld
	mov	$EXPECTED, %ebx
	mov	%rbx, %rdi
	mov	$64, %ecx
1:
	mov	%r15, %rax
	stosq
	add	%r14, %r15
	loop	1b
	/* Rounding is the only part of MXCSR that may be anything. */
	mov	%r15d, %eax
	and	$0x6000, %eax
	or	$0x1f80, %eax
	mov	%eax, MXCSR(%rbx)
	mov	%r15, ST0(%rbx)
	load	%rbx, %r12
	mov	%r13, %rbp
again:
	out	%al, $GOOD
	mov	$300, %ecx
1:
	loop	1b
	dec	%rbp
	jnz	again

	mov	%rbx, %rsi
	mov	$FOUND, %edi
	mov	$SIZE / 8, %ecx
	rep movsq
	mov	$FOUND, %ebp
	store	%rbp, %r12
	mov	%rbx, %rsi
	mov	%rbp, %rdi
	mov	$SIZE / 8, %ecx
	repe cmpsq
	je	new
	out	%al, $BAD
	jmp	new
fpu_guest_end:

	.section .note.GNU-stack, "", @progbits
