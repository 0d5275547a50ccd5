/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests of state.c: each leaves a trace of all it computes by OUT to TRACE, and
 * ends with OUT to END. Nothing in them depends on time. They are copied to CODE
 * in the guest's memory; state.c sets up descriptors, tables and registers.
 */
#include "stateguest.h"

/* Exceptions with an error code, as bits. */
#define WITH_ERROR	((1 << 8) | (31 << 10) | (1 << 17))

	.section .rodata

/* ------------------------------------------------------------------ */
	.code64
	.globl guest64, guest64_end, guest64_vectors

	.macro trace64 reg
	mov	\reg, %eax
	out	%eax, $TRACE
	.endm

	.balign 64
guest64:
	mov	$ROUNDS, %r15d
	mov	$0x9e3779b97f4a7c15, %r14
	fninit
	xorps	%xmm0, %xmm0
	mov	$1, %eax
	cvtsi2sd %eax, %xmm1
	/* The local APIC: enabled by software. */
	mov	$0xfee00000, %ebp
	movl	$0x1ff, 0xf0(%rbp)
again64:
	/* General registers and flags. */
	imul	$0x5851f42d, %r14, %r14
	add	%r15, %r14
	rol	$13, %r14
	lea	(%r14, %r15, 8), %rbx
	pushf
	pop	%rsi
	trace64	%esi
	trace64	%r14d

	/* Ports: single, string, with memory that is not aligned. */
	in	$INPUT, %eax
	add	%rax, %r14
	in	$INPUT, %al
	xor	%al, %r14b
	mov	$DATA + 3, %edi
	mov	$7, %ecx
	mov	$INPUT, %edx
	rep insl
	mov	$DATA + 3, %esi
	mov	$9, %ecx
	mov	$TRACE, %edx
	rep outsw

	/* Memory that is not there: reads, writes, read-modify-write, strings. */
	mov	$MMIO, %edi
	mov	(%rdi), %rax
	add	%rax, %r14
	mov	5(%rdi), %rax
	xor	%rax, %r14
	mov	%r14, 16(%rdi)
	addl	%r14d, 24(%rdi)
	movzbl	33(%rdi), %eax
	trace64	%eax
	movdqu	64(%rdi), %xmm2
	movdqu	%xmm2, 80(%rdi)
	lea	40(%rdi), %rsi
	mov	$DATA + 0x100, %edi
	mov	$5, %ecx
	rep movsb
	mov	DATA + 0x100, %eax
	trace64	%eax

	/* CPUID, MSRs. */
	xor	%eax, %eax
	cpuid
	trace64	%ebx
	mov	$0xc0000102, %ecx
	mov	%r14d, %eax
	mov	%r15d, %edx
	wrmsr
	mov	$0xc0000082, %ecx
	wrmsr
	mov	$0x175, %ecx
	wrmsr
	mov	$0xc0000102, %ecx
	xor	%eax, %eax
	rdmsr
	trace64	%eax
	swapgs
	mov	$0xc0000101, %ecx
	rdmsr
	trace64	%edx

	/* Control and debug registers. */
	mov	%r14, %cr2
	mov	%cr2, %rax
	add	%rax, %r14
	mov	%r15, %rax
	and	$15, %eax
	mov	%rax, %cr8
	mov	%cr8, %rbx
	trace64	%ebx
	xor	%eax, %eax
	mov	%rax, %cr8
	mov	%r14, %rax
	shr	$17, %rax
	mov	%rax, %db0
	not	%rax
	shr	$17, %rax
	mov	%rax, %db3
	mov	%db0, %rax
	trace64	%eax
	mov	$0x700, %eax
	mov	%rax, %db7
	mov	%db7, %rax
	trace64	%eax
	mov	%cr0, %rax
	trace64	%eax
	mov	%cr4, %rax
	trace64	%eax

	/* x87, SSE and, if state.c says so, AVX. */
	fldpi
	push	%r15
	filds	(%rsp)
	fmulp
	fstps	(%rsp)
	pop	%rax
	trace64	%eax
	movq	%r14, %xmm3
	paddq	%xmm3, %xmm0
	pshufd	$0x4e, %xmm0, %xmm0
	addsd	%xmm1, %xmm1
	movq	%xmm1, %rax
	shr	$32, %rax
	trace64	%eax
	test	%r13d, %r13d
	jz	1f
	vinsertf128 $1, %xmm0, %ymm4, %ymm4
	vaddps	%ymm4, %ymm4, %ymm5
	vextractf128 $1, %ymm5, %xmm6
	movq	%xmm6, %rax
	trace64	%eax
1:
	/* Page tables: accessed and dirty bits, another page in the same place. */
	mov	$LONG_PT + WINDOW / 4096 * 8, %ebx
	andl	$~0x60, (%rbx)
	invlpg	WINDOW
	mov	WINDOW, %eax
	trace64	(%rbx)
	mov	%r14, WINDOW
	trace64	(%rbx)
	xorl	$0x1000, (%rbx)
	invlpg	WINDOW
	mov	WINDOW, %eax
	trace64	%eax
	mov	%r15, WINDOW
	/* Not present: the handler of page faults puts it back. */
	andl	$~1, (%rbx)
	invlpg	WINDOW
	incl	WINDOW
	trace64	WINDOW

	/* Exceptions and INT n. */
	int3
	int	$0x40
	ud2
	mov	%r14d, %eax
	xor	%edx, %edx
	xor	%ecx, %ecx
	div	%ecx

	/* NMI and interrupts, sent to itself. */
	movl	$0x44400, 0x300(%rbp)
	nop
	movl	$0x44050, 0x300(%rbp)
	movl	$0x44061, 0x300(%rbp)
	trace64	0x210(%rbp)
	trace64	0x220(%rbp)
	trace64	0x230(%rbp)
	sti
	out	%al, $TRACE
	nop
	cli
	movl	$0x44050, 0x300(%rbp)
	sti
	hlt
	cli
	/*
	 * Single steps. No breakpoints: QEMU 7.2 crashes by itself when DR7 has
	 * enabled some in a guest that exits much (exceptions.elf has a few).
	 */
	pushf
	orl	$0x100, (%rsp)
	popf
	cpuid
	out	%al, $TRACE
	pushf
	andl	$~0x100, (%rsp)
	popf

	trace64	%r14d
	dec	%r15d
	jnz	again64
	out	%al, $END
	hlt

	/* vector, error code (0 if the CPU gives none), RIP, CS, RFLAGS, RSP, SS */
common64:
	push	%rax
	push	%rbx
	trace64	16(%rsp)
	trace64	24(%rsp)
	trace64	32(%rsp)
	mov	48(%rsp), %eax		/* without RF, which QEMU's CPU does not push */
	and	$~0x10000, %eax
	out	%eax, $TRACE
	mov	16(%rsp), %ebx
	cmp	$0, %ebx
	jne	1f
	addq	$2, 32(%rsp)		/* div */
1:
	cmp	$6, %ebx
	jne	1f
	addq	$2, 32(%rsp)		/* ud2 */
1:
	cmp	$14, %ebx
	jne	1f
	mov	%cr2, %rax
	out	%eax, $TRACE
	orl	$1, LONG_PT + WINDOW / 4096 * 8
1:
	cmp	$1, %ebx
	jne	1f
	mov	%db6, %rax
	out	%eax, $TRACE
	mov	$0xffff0ff0, %eax
	mov	%rax, %db6
1:
	cmp	$0x50, %ebx
	jb	1f
	movl	$0, 0xb0(%rbp)
1:
	pop	%rbx
	pop	%rax
	add	$16, %rsp
	iretq

	.balign	16
guest64_vectors:
	.set	vector, 0
	.rept	VECTORS
	.balign	16
	.if	vector > 31
	push	$0
	.elseif	(WITH_ERROR >> vector & 1) == 0
	push	$0
	.endif
	push	$vector
	jmp	common64
	.set	vector, vector + 1
	.endr
guest64_end:

/* ------------------------------------------------------------------ */
	.code32
	.globl guest32, guest32_end, guest32_vectors

	.macro trace32 reg
	mov	\reg, %eax
	out	%eax, $TRACE
	.endm

	.balign 64
guest32:
	mov	$ROUNDS, %ebp
	mov	$0x7f4a7c15, %ebx
	fninit
again32:
	imul	$0x5851f42d, %ebx, %ebx
	add	%ebp, %ebx
	rol	$13, %ebx
	pushf
	pop	%esi
	trace32	%esi
	in	$INPUT, %eax
	add	%eax, %ebx
	daa
	aam
	trace32	%eax
	mov	$DATA + 1, %edi
	mov	$5, %ecx
	mov	$INPUT, %edx
	rep insw
	mov	$DATA, %esi
	mov	$4, %ecx
	mov	$TRACE, %edx
	rep outsl
	mov	MMIO, %eax
	add	%eax, %ebx
	add	%ebx, MMIO + 6
	mov	%bx, MMIO + 0x21
	push	%ebp
	fildl	(%esp)
	fsqrt
	fstps	(%esp)
	pop	%eax
	out	%eax, $TRACE
	mov	%ebx, %cr2
	mov	%cr2, %eax
	out	%eax, $TRACE
	mov	%ebx, %db2
	mov	%db2, %eax
	out	%eax, $TRACE
	pusha
	mov	%esp, %esi
	trace32	4(%esi)
	popa
	/* %esi: the entry that maps WINDOW; state.c has put its address there. */
	mov	ENTRY, %esi
	andl	$~0x60, (%esi)
	invlpg	WINDOW
	mov	WINDOW, %eax
	trace32	(%esi)
	mov	%ebx, WINDOW
	trace32	(%esi)
	xorl	$0x1000, (%esi)
	mov	%cr3, %eax
	mov	%eax, %cr3
	trace32	WINDOW
	andl	$~1, (%esi)
	invlpg	WINDOW
	incl	WINDOW
	trace32	WINDOW
	/* Descriptors are read anew, from memory. */
	push	%ds
	mov	$SEL_OTHER, %eax
	mov	%eax, %ds
	mov	0, %eax
	pop	%ds
	out	%eax, $TRACE
	int3
	int	$0x40
	into
	ud2
	sti
	out	%al, $TRACE
	push	%ss
	pop	%ss
	out	%al, $TRACE
	cli
	pushf
	orl	$0x100, (%esp)
	popf
	cpuid
	out	%al, $TRACE
	pushf
	andl	$~0x100, (%esp)
	popf
	trace32	%ebx
	dec	%ebp
	jnz	again32
	out	%al, $END
	hlt

	/* vector, error code, EIP, CS, EFLAGS */
common32:
	push	%eax
	trace32	4(%esp)
	trace32	8(%esp)
	trace32	12(%esp)
	mov	20(%esp), %eax		/* without RF */
	and	$~0x10000, %eax
	out	%eax, $TRACE
	cmpl	$6, 4(%esp)
	jne	1f
	addl	$2, 12(%esp)
1:
	cmpl	$14, 4(%esp)
	jne	1f
	mov	%cr2, %eax
	out	%eax, $TRACE
	mov	ENTRY, %eax
	orl	$1, (%eax)
1:
	cmpl	$1, 4(%esp)
	jne	1f
	mov	%db6, %eax
	out	%eax, $TRACE
1:
	pop	%eax
	add	$8, %esp
	iret

	.balign	16
guest32_vectors:
	.set	vector, 0
	.rept	VECTORS
	.balign	16
	.if	vector > 31
	push	$0
	.elseif	(WITH_ERROR >> vector & 1) == 0
	push	$0
	.endif
	push	$vector
	jmp	common32
	.set	vector, vector + 1
	.endr
guest32_end:

/* ------------------------------------------------------------------ */
	.code16
	.globl guest16, guest16_end, guest16_vectors

	.balign 64
guest16:
	mov	$ROUNDS, %bp
	mov	$0x7c15, %bx
again16:
	imul	$0x5851, %bx, %bx
	add	%bp, %bx
	pushf
	pop	%ax
	out	%ax, $TRACE
	in	$INPUT, %ax
	add	%ax, %bx
	mov	$0x300, %ax
	mov	%ax, %es
	mov	%ax, %ds
	mov	$5, %di
	mov	$6, %cx
	mov	$INPUT, %dx
	rep insw
	mov	$5, %si
	mov	$11, %cx
	mov	$TRACE, %dx
	rep outsb
	int3
	int	$0x40
	.byte	0x0f, 0x0b
	sti
	out	%al, $TRACE
	mov	%ds, %ax
	mov	%ax, %ds
	push	%ss
	pop	%ss
	out	%al, $TRACE
	cli
	lidtw	0x40
	push	%bx
	push	%cs
	pop	%ax
	out	%ax, $TRACE
	pop	%ax
	out	%ax, $TRACE
	pushf
	pop	%ax
	or	$0x100, %ax
	push	%ax
	popf
	out	%al, $TRACE
	nop
	pushf
	pop	%ax
	and	$0xfeff, %ax
	push	%ax
	popf
	dec	%bp
	jnz	again16
	out	%al, $END
	hlt

	/* vector, IP, CS, FLAGS */
common16:
	push	%bp
	mov	%sp, %bp
	push	%ax
	mov	2(%bp), %ax
	out	%ax, $TRACE
	mov	4(%bp), %ax
	out	%ax, $TRACE
	mov	8(%bp), %ax
	out	%ax, $TRACE
	cmpw	$6, 2(%bp)
	jne	1f
	addw	$2, 4(%bp)
1:
	pop	%ax
	pop	%bp
	add	$2, %sp
	iret

	.balign	16
guest16_vectors:
	.set	vector, 0
	.rept	VECTORS
	.balign	16
	push	$vector
	jmp	common16
	.set	vector, vector + 1
	.endr
guest16_end:

	.section .note.GNU-stack, "", @progbits
