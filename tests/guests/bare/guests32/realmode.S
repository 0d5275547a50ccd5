/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 16-bit half of the realmode guest. All between low_start and low_end is
 * copied to LOW_BASE and runs there with CS = 0, so addresses are written L(label).
 * Each rm_* routine leaves results in the dwords from RES(0) on for C to check.
 */
#include "asm.h"
#include "realmode.h"

#define L(x)	(LOW_BASE + (x) - low_start)
#define RES(n)	(RM_RESULTS + 4 * (n))

	/* The next fault goes on at \label instead of where it happened. */
	.macro resume_at label
	movw $L(\label), RM_RESUME
	.endm

	/* Result \n: vector of the last trap, and in the high half its saved IP. */
	.macro note n
	movw RM_VECTOR, %ax
	movw %ax, RES(\n)
	movw RM_IP, %ax
	movw %ax, RES(\n) + 2
	movw $0xffff, RM_VECTOR
	.endm

	.text
	.code32
	/* void real_run(u32 routine): in real mode, SP below RM_STACK; then back. */
	.globl real_run
real_run:
	pusha
	mov 36(%esp), %ebx
	mov %esp, saved_esp
	lidt real_idt
	ljmp $CODE16, $L(pm16)
real_back:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov saved_esp, %esp
	popa
	ret

	/* void v86_enter(struct v86 *): fields in the order IRET takes them. */
	.globl v86_enter
v86_enter:
	mov 4(%esp), %esi
	sub $36, %esp
	mov %esp, %edi
	mov $9, %ecx
	rep movsl
	mov (%esi), %eax
	iret

	/* u32 pm16_call(u32 sel, u32 offset, u32 arg): far call to a 16-bit segment. */
	.globl pm16_call
pm16_call:
	push %ebx
	push %esi
	push %edi
	push %ebp
	mov 28(%esp), %eax
	lcall *20(%esp)
	pop %ebp
	pop %edi
	pop %esi
	pop %ebx
	ret

	.data
saved_esp:	.long 0
real_idt:	.word 0x3ff
		.long 0

	.text
	.globl low_start, low_end
	.balign 16
low_start:
	.code16
pm16:
	mov $DATA16, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov %cr0, %eax
	and $~1, %eax
	mov %eax, %cr0
	ljmp $0, $L(1f)
1:	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov $RM_STACK, %sp
	cld
	call *%bx
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl L(low_gdt)
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $KERNEL_CS, $real_back
	.align 8
low_gdt:
	.word 0x2bf
	.long gdt

	/* Entry of every vector of the IVT. */
	.globl rm_stubs
	.balign 8
rm_stubs:
	.set vec, 0
	.rept 256
	pushw $vec
	jmp rm_common
	.balign 8
	.set vec, vec + 1
	.endr
rm_common:
	push %bp
	mov %sp, %bp
	push %ax
	push %ds
	xor %ax, %ax
	mov %ax, %ds
	incw RM_COUNT
	mov 2(%bp), %ax
	mov %ax, RM_VECTOR
	mov 4(%bp), %ax
	mov %ax, RM_IP
	mov 6(%bp), %ax
	mov %ax, RM_CS
	mov 8(%bp), %ax
	mov %ax, RM_FLAGS
	pushf
	pop %ax
	mov %ax, RM_INNER
	cmpw $0x20, 2(%bp)
	jb 1f
	cmpw $0x28, 2(%bp)
	jae 1f
	mov $0x20, %al
	out %al, $0x20
1:	mov RM_RESUME, %ax
	test %ax, %ax
	jz 2f
	mov %ax, 4(%bp)
	movw $0, RM_RESUME
2:	pop %ds
	pop %ax
	pop %bp
	add $2, %sp
	iret

	/* --- segments --- */
	.globl rm_segments
rm_segments:
	/* base = selector * 16 */
	mov $0x1234, %ax
	mov %ax, %es
	movl $0x600df00d, %es:0x10
	/* above 1 MiB by way of FFFF: */
	mov $0xffff, %ax
	mov %ax, %fs
	movl %fs:0x10, %eax
	mov %eax, RES(0)
	/* selector reads back; 32-bit push of a segment moves SP by 4 */
	mov %es, %ax
	movzwl %ax, %eax
	mov %eax, RES(1)
	mov %sp, %bx
	pushl %es
	sub %sp, %bx
	movzwl %bx, %ebx
	mov %ebx, RES(2)
	popl %es
	/* a stack at 1000:0000 grows down from FFFE */
	mov $0x1000, %ax
	mov %ax, %ss
	xor %sp, %sp
	push $0x5aa5
	mov %sp, %cx
	movw $0, %ax
	mov %ax, %ss
	mov $RM_STACK - 2, %sp
	movzwl %cx, %ecx
	mov %ecx, RES(3)
	/* LDS, LES, LSS shapes */
	movl $0x20000040, RES(8)
	lesw RES(8), %di
	mov %es, %ax
	mov %ax, RES(4)
	mov %di, RES(4) + 2
	ret

	.globl rm_limits, rm_gp_at, rm_ss_at
rm_limits:
	resume_at 1f
rm_gp_at:
	mov 0xffff, %ax
1:	note 0
	resume_at 1f
	mov $0xffff, %bp
rm_ss_at:
	mov (%bp), %ax
1:	note 1
	resume_at 1f
	movl 0xfffd, %eax
1:	note 2
	resume_at 1f
	mov $0x12345, %esi
	addr32 movb (%esi), %al
1:	note 3
	/* the last byte and the last word are inside */
	movw $0xffff, RM_VECTOR
	movb 0xffff, %al
	movw 0xfffe, %ax
	note 4
	/* 16-bit addresses wrap: BX + SI beyond 64K */
	movl $0xabcd1234, 0x5000
	mov $0xf000, %bx
	mov $0x6000, %si
	movl (%bx,%si), %eax
	mov %eax, RES(5)
	ret

	/* --- control transfers --- */
	.globl rm_calls
rm_calls:
	xor %edx, %edx
	lcall $0x80, $L(far_target) - 0x800
	movl $L(far_target), RES(9)
	lcall *RES(9)
	calll near32
	mov $L(near16), %ax
	call *%ax
	movzwl %sp, %eax
	mov %eax, RES(1)
	/* LOOP counts CX, with the address prefix ECX */
	mov $0x10005, %ecx
1:	inc %edx
	loop 1b
	mov %ecx, RES(2)
	mov $3, %ecx
1:	inc %edx
	addr32 loop 1b
	jcxz 2f
	mov $0x1000000, %edx
2:	mov %edx, RES(0)
	/* ENTER and LEAVE; PUSHA and POPA */
	mov $0x1111, %ax
	mov $0x2222, %di
	pusha
	mov %sp, %bp
	mov (%bp), %dx
	mov %dx, RES(3)
	mov 14(%bp), %bx
	mov %bx, RES(3) + 2
	popa
	mov %sp, %cx
	enter $6, $0
	sub %sp, %cx
	leave
	mov %cx, RES(4)
	movw $0, RES(4) + 2
	/* far RET with parameter bytes */
	push $0x7777
	push %cs
	push $L(1f)
	lret $2
1:	movzwl %sp, %eax
	mov %eax, RES(5)
	ret
far_target:
	add $0x100, %edx
	lret
near32:
	add $0x1000, %edx
	retl
near16:
	add $0x10000, %edx
	ret

	/* --- software interrupts and exceptions --- */
	.globl rm_ints, rm_de_at, rm_ud_at, rm_br_at, rm_int_after, rm_int3_after
rm_ints:
	movw $0, RM_COUNT
	sti
	int $0x60
rm_int_after:
	cli
	note 0
	mov RM_FLAGS, %ax
	mov %ax, RES(1)
	mov RM_INNER, %ax
	mov %ax, RES(1) + 2
	int3
rm_int3_after:
	note 2
	mov $0x7fff, %ax
	add $1, %ax
	into
	note 3
	resume_at 1f
	xor %cx, %cx
	mov $5, %ax
	xor %dx, %dx
rm_de_at:
	div %cx
1:	note 4
	resume_at 1f
rm_ud_at:
	ud2
1:	note 5
	resume_at 1f
	movl $0x00100001, RES(10)
	mov $0x20, %ax
rm_br_at:
	bound %ax, RES(10)
1:	note 6
	movzwl RM_COUNT, %eax
	mov %eax, RES(7)
	/* IRETD pops 32-bit frames */
	pushfl
	pushl $0
	pushl $L(1f)
	iretl
1:	movzwl %sp, %eax
	mov %eax, RES(8)
	ret

	/* single step: one trap after each instruction */
	.globl rm_step, rm_step_last
rm_step:
	movw $0, RM_COUNT
	pushf
	pop %ax
	or $0x100, %ax
	push %ax
	popf
	nop
	nop
	push %ax
	pop %ax
	cpuid
	pushf
	pop %ax
	and $~0x100, %ax
	push %ax
	popf
rm_step_last:
	movzwl RM_COUNT, %eax
	mov %eax, RES(0)
	note 1
	ret

	/* --- strings --- */
	.globl rm_strings
rm_strings:
	/* 0x4000: "ABCDEFGH" to 0x4100, then backwards, then STOS and SCAS */
	movl $0x44434241, 0x4000
	movl $0x48474645, 0x4004
	mov $0x4000, %si
	mov $0x4100, %di
	mov $8, %cx
	rep movsb
	mov 0x4104, %eax
	mov %eax, RES(0)
	mov %si, RES(1)
	mov %di, RES(1) + 2
	std
	mov $0x4006, %si
	mov $0x4116, %di
	mov $4, %cx
	rep movsw
	cld
	mov 0x4110, %eax
	mov %eax, RES(2)
	mov %si, RES(3)
	mov %di, RES(3) + 2
	/* SI wraps at 64K in a segment of its own */
	mov $0x2000, %ax
	mov %ax, %ds
	movb $0x31, 0xffff
	movb $0x32, 0
	mov $0xffff, %si
	mov $0x4120, %di
	mov $2, %cx
	rep movsb
	mov $0, %ax
	mov %ax, %ds
	mov 0x4120, %ax
	movzwl %ax, %eax
	mov %eax, RES(4)
	movzwl %si, %esi
	mov %esi, RES(5)
	/* SCAS, CMPS */
	mov $0x4000, %di
	mov $0x45, %al
	mov $8, %cx
	repne scasb
	mov %cx, RES(6)
	mov %di, RES(6) + 2
	mov $0x4000, %si
	mov $0x4100, %di
	movb $0, 0x4105
	mov $8, %cx
	repe cmpsb
	mov %cx, RES(7)
	mov %si, RES(7) + 2
	/* 32-bit registers with the address prefix */
	mov $0x4000, %esi
	mov $0x4130, %edi
	mov $2, %ecx
	addr32 rep movsl
	mov %ecx, RES(8)
	mov 0x4134, %eax
	mov %eax, RES(9)
	/* segment override on the source */
	mov $0x400, %ax
	mov %ax, %fs
	xor %si, %si
	mov $0x4140, %di
	mov $4, %cx
	rep movsb %fs:(%si), %es:(%di)
	mov 0x4140, %eax
	mov %eax, RES(10)
	ret

	/* --- flags and system instructions --- */
	.globl rm_flags
rm_flags:
	pushl $0x00047cd7
	popfl
	pushfl
	popl %eax
	mov %eax, RES(0)
	pushl $2
	popfl
	pushfl
	popl %eax
	mov %eax, RES(1)
	mov $0x3002, %ax
	push %ax
	popf
	pushf
	pop %ax
	movzwl %ax, %eax
	mov %eax, RES(2)
	push $2
	popf
	smsw %ax
	movzwl %ax, %eax
	mov %eax, RES(3)
	mov %cr0, %eax
	mov %eax, RES(4)
	xor %eax, %eax
	cpuid
	mov %ebx, RES(5)
	mov $0xc0000080, %ecx
	rdmsr
	mov %eax, RES(6)
	sidtl RES(7)
	/* protected-mode instructions do not exist here */
	resume_at 1f
	str %ax
1:	note 10
	resume_at 1f
	lldt %ax
1:	note 11
	resume_at 1f
	mov $0, %ax
	verr %ax
1:	note 12
	ret

	/* --- interrupt table of another size and place --- */
	.globl rm_idt
rm_idt:
	resume_at 1f
	lidtl L(short_idt)
	int $0x40
1:	note 0
	/* A copy of the table at 0x3000 with vector 0x41 sent to 0x42's stub */
	xor %si, %si
	mov $0x3000, %di
	mov $0x200, %cx
	rep movsw
	mov 0x3000 + 0x42 * 4, %eax
	mov %eax, 0x3000 + 0x41 * 4
	lidtl L(moved_idt)
	int $0x41
	note 1
	lidtl L(normal_idt)
	int $0x41
	note 2
	ret
	.align 8
short_idt:
	.word 0x7f
	.long 0
moved_idt:
	.word 0x3ff
	.long 0x3000
normal_idt:
	.word 0x3ff
	.long 0

	/* --- HLT ends with the timer's interrupt through the IVT --- */
	.globl rm_halt
rm_halt:
	movw $0, RM_COUNT
	mov $3, %cx
1:	sti
	hlt
	cli
	loop 1b
	movzwl RM_COUNT, %eax
	mov %eax, RES(0)
	note 1
	/* the shadow of STI covers one instruction: CLI there keeps interrupts out */
	movw $0, RM_COUNT
	mov $20000, %cx
2:	sti
	cli
	loop 2b
	movzwl RM_COUNT, %eax
	mov %eax, RES(2)
	ret

	/* --- big real mode --- */
	.globl rm_unreal
rm_unreal:
	lgdtl L(low_gdt)
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	jmp 1f
1:	mov $KERNEL_DS, %bx
	mov %bx, %ds
	mov %bx, %fs
	mov $SPARE_SEL, %bx
	mov %bx, %gs
	and $~1, %eax
	mov %eax, %cr0
	jmp 1f
	/* hidden parts are still those of protected mode */
1:	mov $0x100000, %esi
	addr32 movl %fs:(%esi), %eax
	addr32 movl %eax, RES(0)
	addr32 movl %gs:0, %eax
	addr32 movl %eax, RES(1)
	/* a load in real mode changes the base, not the limit */
	mov $0x10, %ax
	mov %ax, %ds
	mov $0x100000 - 0x100, %esi
	addr32 movl (%esi), %eax
	xor %bx, %bx
	mov %bx, %ds
	addr32 movl %eax, RES(2)
	addr32 movl $0xfee1dead, 0x300000
	/* string instruction with 32-bit registers over 64K */
	mov $0x100000, %esi
	mov $0x4200, %edi
	mov $4, %ecx
	addr32 rep movsb
	mov 0x4200, %eax
	mov %eax, RES(3)
	mov %esi, RES(4)
	/* put limits back to 64K */
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	jmp 1f
1:	mov $DATA16, %bx
	mov %bx, %ds
	mov %bx, %fs
	mov %bx, %gs
	and $~1, %eax
	mov %eax, %cr0
	jmp 1f
1:	xor %bx, %bx
	mov %bx, %ds
	mov %bx, %fs
	mov %bx, %gs
	resume_at 1f
	mov $0x100000, %esi
	addr32 movl (%esi), %eax
1:	note 5
	ret

	/* --- port I/O: the RTC index and data ports, strings to an unused port --- */
	.globl rm_io
rm_io:
	mov $0x0f, %al
	out %al, $0x70
	in $0x71, %al
	mov %al, %ah
	mov $0x5a, %al
	mov %al, %bl
	out %al, $0x71
	in $0x71, %al
	movzbl %al, %ecx
	mov %ecx, RES(0)
	mov %ah, %al
	out %al, $0x71
	mov $0x2ff8, %dx
	inw %dx, %ax
	movzwl %ax, %eax
	mov %eax, RES(1)
	inl %dx, %eax
	mov %eax, RES(2)
	mov $0x4300, %di
	mov $6, %cx
	movl $0, 0x4304
	rep insb
	mov 0x4304, %eax
	mov %eax, RES(3)
	mov %cx, RES(4)
	mov %di, RES(4) + 2
	mov $0x4300, %si
	mov $0x80, %dx
	mov $3, %cx
	rep outsb
	mov %cx, RES(5)
	mov %si, RES(5) + 2
	ret

	/* --- virtual-8086 code: each ends in a trap to protected mode --- */
	.globl v86_segments, v86_limit, v86_cli, v86_sti, v86_pushf, v86_popf, v86_int
	.globl v86_iret, v86_hlt, v86_in, v86_cr, v86_ud, v86_int3, v86_flags, v86_int20
v86_segments:
	mov $0x1230, %ax
	mov %ax, %ds
	mov %ds:0x20, %eax
	int3
v86_limit:
	mov 0xffff, %ax
v86_cli:
	cli
	int3
v86_sti:
	sti
	int3
v86_pushf:
	pushf
	pop %ax
	int3
v86_popf:
	push $0x0202
	popf
	int3
v86_flags:
	pushf
	pop %ax
	or $0x200, %ax
	push %ax
	popf
	pushf
	pop %bx
	int3
v86_int:
	int $0x61
	int3
v86_int20:
	int $0x80
	int3
v86_iret:
	pushf
	push %cs
	push $L(1f)
	iret
1:	int3
v86_hlt:
	hlt
v86_in:
	in $0x71, %al
	int3
v86_cr:
	mov %cr0, %eax
v86_ud:
	lldt %ax
v86_int3:
	int3
	/* What an INT through the IVT reaches with virtual-8086 extensions. */
	.globl v86_ivt_handler
v86_ivt_handler:
	mov $0x1dea, %dx
	iret

	/* --- 16-bit protected mode; CS base is LOW_BASE there --- */
	.globl p16_add, p16_stack, p16_limit, p16_wrap
p16_add:
	/* 16-bit operands by default, 32-bit with the prefix; far return of 32 bits */
	mov %eax, %ecx
	add $0x7fff, %ax
	add %ecx, %eax
	lretl
p16_stack:
	/* A 16-bit stack: only SP counts, the high half of ESP stays */
	mov %ss, %bx
	mov %esp, %ecx
	mov $SPARE_SEL + 24, %ax
	mov %ax, %ss
	mov $0xabcd0006, %esp
	push $0x1111
	pushl $0x22223333
	mov %esp, %eax
	mov %bx, %ss
	mov %ecx, %esp
	lretl
p16_limit:
	mov $SPARE_SEL + 16, %bx
	mov %bx, %es
	mov %es:0xfff, %ax
	lretl
p16_wrap:
	mov $SPARE_SEL + 24, %bx
	mov %bx, %es
	mov $0xfff0, %bx
	mov $0x14, %si
	mov %es:(%bx,%si), %eax
	lretl
low_end:
	.section .note.GNU-stack, "", @progbits
