/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every kind of access to memory, as a function for the kernel and as code for the
 * user, which returns by INT: the operand is at (DI), SI is a value to write, the
 * result is left in AX. Positions do not matter: the whole is copied for the user.
 */
#include "access.h"
#include "asm.h"

#ifdef __x86_64__
#define AX %rax
#define CX %rcx
#define DX %rdx
#define SI %rsi
#define DI %rdi
#define SP %rsp
#define WORD 8
#else
#define AX %eax
#define CX %ecx
#define DX %edx
#define SI %esi
#define DI %edi
#define SP %esp
#define WORD 4
#endif

#define OP(name, ...)						\
	.globl access_k_##name, access_u_##name;		\
access_k_##name: __VA_ARGS__; ret;				\
access_u_##name: __VA_ARGS__; int $USER_TRAP

	.text
	.globl access_code, access_code_end
access_code:
	OP(read1, movzbl (DI), %eax)
	OP(read2, movzwl (DI), %eax)
	OP(read4, movl (DI), %eax)
	OP(read16, movdqu (DI), %xmm0; movd %xmm0, %eax)
	OP(write1, movl %esi, %eax; movb %al, (DI))
	OP(write2, movw %si, (DI))
	OP(write4, movl %esi, (DI))
	OP(write16, movd %esi, %xmm0; movdqu %xmm0, (DI))
	OP(movnti, movnti %esi, (DI))
	OP(add, addl %esi, (DI))
	OP(not, notl (DI))
	OP(xadd, movl %esi, %eax; lock xaddl %eax, (DI))
	OP(xchg, movl %esi, %eax; xchgl %eax, (DI))
	OP(cmpxchg, movl $ACCESS_OLD, %eax; lock cmpxchgl %esi, (DI))
	OP(cmpxchg_fails, xorl %eax, %eax; lock cmpxchgl %esi, (DI))
	OP(cmpxchg8b, movl $ACCESS_OLD, %eax; xorl %edx, %edx; xorl %ecx, %ecx;
	   movl %esi, %ebx; lock cmpxchg8b (DI))
	OP(bts, lock btsl $7, (DI))
	OP(or_nothing, lock orl $0, (DI))
	OP(pop_to, push SI; pop (DI))
	OP(push_from, push (DI); pop AX)
	OP(stos, movl %esi, %eax; movl $1, %ecx; rep stosl)
	OP(lods, mov DI, SI; lodsl)
	OP(movs_from, mov DI, SI; lea -64(SP), DI; movsl; movl -64(SP), %eax)
	OP(movs_to, push SI; mov SP, SI; movsl; pop SI)
	OP(cmps, mov DI, SI; cmpsl)
	OP(ins, movl $0x80, %edx; insb)
	OP(outs, mov DI, SI; movl $0x80, %edx; outsb)
	OP(sgdt, sgdt (DI))
	OP(sldt, sldt (DI))
	OP(fxsave, fxsave (DI))
	OP(prefetch, prefetcht0 (DI))
	OP(push, mov SP, DX; lea WORD(DI), SP; push SI; mov DX, SP)
	OP(pop, mov SP, DX; mov DI, SP; pop AX; mov DX, SP)
	OP(call, mov SP, DX; lea WORD(DI), SP; call 1f; 1: mov DX, SP)
#ifdef __x86_64__
	OP(read8, movq (DI), %rax)
	OP(write8, movq %rsi, (DI))
	OP(cmpxchg16b, movl $ACCESS_OLD, %eax; xorl %edx, %edx; xorl %ecx, %ecx;
	   movq %rsi, %rbx; lock cmpxchg16b (DI))
#endif
	OP(jump, jmp *DI)
access_code_end:
	.section .note.GNU-stack, "", @progbits
