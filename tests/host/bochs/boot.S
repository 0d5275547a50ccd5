/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An option ROM for Bochs that starts Linux. The BIOS calls it before it would
 * look for a disk; testhost/bochs.py has put kernel, initial file system and the
 * "start info" of Xen's PVH boot protocol into memory by then. What is left to
 * do is to ask the BIOS for the memory map and to enter the kernel as the
 * protocol says: 32-bit code, flat segments, no paging, the start info in EBX.
 */
#define ROM		0xd0000		/* where Bochs is told to put it */
#define START_INFO	0xfe0000
#define MEMMAP_ENTRIES	(START_INFO + 48)
#define KERNEL_ENTRY	(START_INFO + 96)
#define MEMMAP		0x8000		/* as the start info says */
#define MEMMAP_ENTRY	24		/* the BIOS fills in the first 20 bytes */

	.code16
	.byte	0x55, 0xaa, 1		/* one unit of 512 bytes */
	cli
	cld
	xorl	%eax, %eax
	movw	%ax, %es
	movw	$MEMMAP, %di
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
1:	movl	$0xe820, %eax
	movl	$20, %ecx
	movl	$0x534d4150, %edx	/* "SMAP" */
	int	$0x15
	jc	2f
	incl	%ebp
	addw	$MEMMAP_ENTRY, %di
	testl	%ebx, %ebx
	jnz	1b
2:	inb	$0x92, %al		/* address line 20 */
	orb	$2, %al
	outb	%al, $0x92
	lgdtl	%cs:gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $ROM + flat

	.code32
flat:	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	%ebp, MEMMAP_ENTRIES
	movl	$START_INFO, %ebx
	jmp	*KERNEL_ENTRY

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff	/* code and data, 4 GiB from 0 */
	.quad	0x00cf92000000ffff
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	ROM + gdt
