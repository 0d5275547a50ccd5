/* SPDX-License-Identifier: GPL-2.0-only */
/* Entry stubs of all 256 vectors, the way back, and setjmp-like recovery. */
#include "asm.h"

	.text
	.globl trap_stubs
	.balign 16
trap_stubs:
	.set vec, 0
	.rept 256
	.balign 16
	.if (vec == 8) || (vec >= 10 && vec <= 14) || (vec == 17) || (vec == 21)
	.else
	push $0
	.endif
	.byte 0x68
	.long vec
	jmp trap_common
	.set vec, vec + 1
	.endr

#ifdef __x86_64__
trap_common:
	push %rax
	push %rcx
	push %rdx
	push %rbx
	push %rbp
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	push %r12
	push %r13
	push %r14
	push %r15
	cld
	mov %rsp, %rdi
	call trap_dispatch
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rbp
	pop %rbx
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	/* int trap_arm(struct cpu *c): 0, and 1 when a trap comes back here. */
	.globl trap_arm
trap_arm:
	mov (%rsp), %rax
	lea 8(%rsp), %rdx
	mov %rdx, 0(%rdi)
	mov %rbp, 8(%rdi)
	mov %rbx, 16(%rdi)
	mov %r12, 24(%rdi)
	mov %r13, 32(%rdi)
	mov %r14, 40(%rdi)
	mov %r15, 48(%rdi)
	mov %rax, 56(%rdi)
	pushf
	pop 64(%rdi)
	movb $1, 72(%rdi)
	xor %eax, %eax
	ret

	/* void trap_unwind(struct cpu *c): by IRET, so that NMIs are unblocked. */
	.globl trap_unwind
trap_unwind:
	mov 8(%rdi), %rbp
	mov 16(%rdi), %rbx
	mov 24(%rdi), %r12
	mov 32(%rdi), %r13
	mov 40(%rdi), %r14
	mov 48(%rdi), %r15
	mov $KERNEL_DS, %eax
	/* IRET to user mode made these null, which 32-bit code would notice. */
	mov %eax, %ds
	mov %eax, %es
	push %rax
	push 0(%rdi)
	push 64(%rdi)
	push $KERNEL_CS
	push 56(%rdi)
	mov $1, %eax
	iretq

	/* user_enter(ip, cs, flags, sp, ss, a0, a1) */
	.globl user_enter
user_enter:
	mov 8(%rsp), %rax
	push %r8
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	mov %r9, %rdi
	mov %rax, %rsi
	iretq
#else
trap_common:
	push %ds
	push %es
	push %fs
	push %gs
	pusha
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	cld
	push %esp
	call trap_dispatch
	add $4, %esp
	popa
	pop %gs
	pop %fs
	pop %es
	pop %ds
	add $8, %esp
	iret

	.globl trap_arm
trap_arm:
	mov 4(%esp), %ecx
	mov (%esp), %eax
	lea 4(%esp), %edx
	mov %edx, 0(%ecx)
	mov %ebp, 4(%ecx)
	mov %ebx, 8(%ecx)
	mov %esi, 12(%ecx)
	mov %edi, 16(%ecx)
	mov %eax, 28(%ecx)
	pushf
	pop 32(%ecx)
	movb $1, 36(%ecx)
	xor %eax, %eax
	ret

	.globl trap_unwind
trap_unwind:
	mov 4(%esp), %ecx
	mov 0(%ecx), %esp
	mov 4(%ecx), %ebp
	mov 8(%ecx), %ebx
	mov 12(%ecx), %esi
	mov 16(%ecx), %edi
	mov $KERNEL_DS, %eax
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	push 32(%ecx)
	push $KERNEL_CS
	push 28(%ecx)
	mov $1, %eax
	iret

	.globl user_enter
user_enter:
	mov 4(%esp), %eax
	mov 8(%esp), %ecx
	mov 12(%esp), %edx
	mov 16(%esp), %ebx
	mov 20(%esp), %ebp
	mov 24(%esp), %edi
	mov 28(%esp), %esi
	push %ebp
	push %ebx
	push %edx
	push %ecx
	push %eax
	mov $USER_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	iret
#endif
	.section .note.GNU-stack, "", @progbits
