/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loops of user mode, each RDI times, that end by INT 0x80; and the shortest possible
 * kernel's side of what they do. The page is mapped elsewhere, so it refers to itself
 * by relative addresses only.
 */
#include "asm.h"

	.section .rodata.user, "a"
	.balign 4096
	.globl user_page, user_nothing, user_syscall, user_fault, user_divide
user_page:
user_nothing:
1:	dec %rdi
	jnz 1b
	int $USER_TRAP

user_syscall:
1:	syscall
	dec %rdi
	jnz 1b
	int $USER_TRAP

	/* Both faulting instructions have two bytes, which the handlers skip. */
user_fault:
1:	mov (%rsi), %al
	dec %rdi
	jnz 1b
	int $USER_TRAP

user_divide:
	xor %ecx, %ecx
1:	div %cl
	dec %rdi
	jnz 1b
	int $USER_TRAP
	.balign 4096

	.text
	.globl syscall_entry, fault_entry, divide_entry
syscall_entry:
	sysretq

fault_entry:
	add $8, %rsp
divide_entry:
	addq $2, (%rsp)
	incq faults_taken(%rip)
	iretq

	.bss
	.balign 8
	.globl faults_taken
faults_taken:	.skip 8
	.section .note.GNU-stack, "", @progbits
