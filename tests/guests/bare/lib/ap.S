/* SPDX-License-Identifier: GPL-2.0-only */
/* The start of application processors. */
#include "asm.h"

	/*
	 * Application processors begin at ap_trampoline, copied to AP_BASE. Each
	 * takes the next ticket, which is its index here and selects its stack.
	 */
	.text
	.globl ap_trampoline, ap_trampoline_end
	.code16
ap_trampoline:
	cli
	cld
	mov %cs, %ax
	mov %ax, %ds
	lgdtl gdt_ptr32_copy - ap_trampoline
	mov $0x33, %eax
	mov %eax, %cr0
	ljmpl $FLAT_CS32, $ap_start32
	.align 8
gdt_ptr32_copy:
	.word GDT_BYTES - 1
	.long gdt
ap_trampoline_end:

	.code32
ap_start32:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov $1, %edi
	lock xadd %edi, ap_ticket
	mov %edi, %eax
	inc %eax
	imul $STACK_BYTES, %eax
	lea cpu_stacks(%eax), %esp
#ifdef __x86_64__
	call enter_long
	ljmp $KERNEL_CS, $1f
	.code64
1:	mov %edi, %edi
	mov %esp, %esp
	xor %ebp, %ebp
	call ap_start
#else
	mov $0x600, %eax
	mov %eax, %cr4
	ljmp $KERNEL_CS, $1f
1:	push %edi
	call ap_start
#endif
2:	cli
	hlt
	jmp 2b

	.data
	.globl ap_ticket
ap_ticket:	.long 1
	.section .note.GNU-stack, "", @progbits
