/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry from a multiboot 1 loader (32-bit protected mode, paging off), the way
 * from there to the image's own mode.
 */
#include "asm.h"

	.section .multiboot, "a"
	.align 4
	.long 0x1badb002, 3, -(0x1badb002 + 3)

	.section .text.boot, "ax"
	.code32
	.globl _start
_start:
	cli
	cld
	mov $cpu_stacks + STACK_BYTES, %esp
	mov %eax, mb_magic
	mov %ebx, mb_info_pa
	lgdt gdt_ptr32
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
#ifdef __x86_64__
	call build_tables
	call enter_long
	ljmp $KERNEL_CS, $start64

	/* The first 4 GiB mapped one to one with 2 MiB pages, uncached from 3 GiB on. */
build_tables:
	movl $boot_pdpt + 7, boot_pml4
	mov $boot_pdpt, %edi
	mov $boot_pd + 7, %eax
	mov $4, %ecx
1:	mov %eax, (%edi)
	add $8, %edi
	add $4096, %eax
	loop 1b
	mov $boot_pd, %edi
	mov $0x83, %eax
	mov $2048, %ecx
2:	cmp $0xc0000000, %eax
	jb 3f
	or $0x10, %eax
3:	mov %eax, (%edi)
	add $8, %edi
	add $0x200000, %eax
	loop 2b
	ret

	.globl enter_long
	/* Keeps no register. CR4.OSFXSR and OSXMMEXCPT let tests use SSE moves. */
enter_long:
	mov $0x620, %eax
	mov %eax, %cr4
	mov $boot_pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	bts $8, %eax
	wrmsr
	mov $0x80010033, %eax
	mov %eax, %cr0
	ret

	.code64
start64:
	mov $cpu_stacks + STACK_BYTES, %rsp
	xor %ebp, %ebp
	call kernel_start
#else
	mov $0x33, %eax
	mov %eax, %cr0
	mov $0x600, %eax
	mov %eax, %cr4
	ljmp $KERNEL_CS, $1f
1:	xor %ebp, %ebp
	call kernel_start
#endif
3:	cli
	hlt
	jmp 3b

	.data
	.globl mb_magic, mb_info_pa
mb_magic:	.long 0
mb_info_pa:	.long 0

	.align 8
	.globl gdt, gdt_end, gdt_ptr32
gdt_ptr32:
	.word GDT_BYTES - 1
	.long gdt
	.align 16
gdt:
	.quad 0
#ifdef __x86_64__
	.quad 0x00af9b000000ffff
#else
	.quad 0x00cf9b000000ffff
#endif
	.quad 0x00cf93000000ffff
	.quad 0x00cffb000000ffff
	.quad 0x00cff3000000ffff
	.quad 0x00affb000000ffff
	.quad 0x00cf9b000000ffff
	.quad 0x00009b000000ffff
	.quad 0x000093000000ffff
	.fill TSS_SEL / 8 - 9, 8, 0
	.fill (GDT_BYTES - TSS_SEL) / 8, 8, 0
gdt_end:

	.bss
	.align 4096
	.globl boot_pml4
boot_pml4:	.skip 4096
boot_pdpt:	.skip 4096
boot_pd:	.skip 4 * 4096
	.globl cpu_stacks
cpu_stacks:	.skip 32 * STACK_BYTES
	.section .note.GNU-stack, "", @progbits
