/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's registers around an entry, as both vendors' entry.S include it. */
#include <asm/nospec-branch.h>

/* umbra_vcpu_arch.gpr is in the order of encoding; RSP is in the VMCB or VMCS. */
#define GPR(n)	(8 * (n))
#define RAX	GPR(0)
#define RCX	GPR(1)
#define RDX	GPR(2)
#define RBX	GPR(3)
#define RBP	GPR(5)
#define RSI	GPR(6)
#define RDI	GPR(7)
#define R8	GPR(8)
#define R9	GPR(9)
#define R10	GPR(10)
#define R11	GPR(11)
#define R12	GPR(12)
#define R13	GPR(13)
#define R14	GPR(14)
#define R15	GPR(15)

/* All but RAX. They are at \from, %rsi or %rdi, which is loaded last. */
.macro LOAD_GUEST_GPRS from:req
	mov	RCX(\from), %rcx
	mov	RDX(\from), %rdx
	mov	RBX(\from), %rbx
	mov	RBP(\from), %rbp
	.ifc \from, %rsi
	mov	RDI(\from), %rdi
	.else
	mov	RSI(\from), %rsi
	.endif
	mov	R8(\from), %r8
	mov	R9(\from), %r9
	mov	R10(\from), %r10
	mov	R11(\from), %r11
	mov	R12(\from), %r12
	mov	R13(\from), %r13
	mov	R14(\from), %r14
	mov	R15(\from), %r15
	.ifc \from, %rsi
	mov	RSI(\from), %rsi
	.else
	mov	RDI(\from), %rdi
	.endif
.endm

/* All but RAX, to %rax. */
.macro SAVE_GUEST_GPRS
	mov	%rcx, RCX(%rax)
	mov	%rdx, RDX(%rax)
	mov	%rbx, RBX(%rax)
	mov	%rbp, RBP(%rax)
	mov	%rsi, RSI(%rax)
	mov	%rdi, RDI(%rax)
	mov	%r8, R8(%rax)
	mov	%r9, R9(%rax)
	mov	%r10, R10(%rax)
	mov	%r11, R11(%rax)
	mov	%r12, R12(%rax)
	mov	%r13, R13(%rax)
	mov	%r14, R14(%rax)
	mov	%r15, R15(%rax)
.endm

#ifdef UMBRA_HAVE_VM_CLEAR_CPU_BUFFERS
#define CLEAR_BUFFERS_BEFORE_ENTRY	VM_CLEAR_CPU_BUFFERS
#else
#define CLEAR_BUFFERS_BEFORE_ENTRY	CLEAR_CPU_BUFFERS
#endif
