/* SPDX-License-Identifier: GPL-2.0-only */
/* Into the guest and back (APM Vol. 2 15.5, 15.6, 15.17). */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>

/* umbra_vcpu_arch.gpr is in the order of encoding; RAX and RSP are in the VMCB. */
#define GPR(n)	(8 * (n))
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

.section .noinstr.text, "ax"

/*
 * void svm_enter(u64 vmcb_pa, u64 *gpr, u64 host_pa)
 *
 * Called with interrupts off, returns with interrupts off. Between CLGI and
 * STGI not even an NMI gets in, so the state that VMLOAD puts into the CPU,
 * guest's GS base included, is never seen by a handler of the host.
 */
SYM_FUNC_START(svm_enter)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi			/* 8(%rsp): the guest's registers */
	push	%rdx			/* 0(%rsp): what VMSAVE kept of the host */

	mov	%rdi, %rax
	mov	RCX(%rsi), %rcx
	mov	RDX(%rsi), %rdx
	mov	RBX(%rsi), %rbx
	mov	RBP(%rsi), %rbp
	mov	RDI(%rsi), %rdi
	mov	R8(%rsi), %r8
	mov	R9(%rsi), %r9
	mov	R10(%rsi), %r10
	mov	R11(%rsi), %r11
	mov	R12(%rsi), %r12
	mov	R13(%rsi), %r13
	mov	R14(%rsi), %r14
	mov	R15(%rsi), %r15
	mov	RSI(%rsi), %rsi

	clgi
	/* With V_INTR_MASKING the host's IF decides whether interrupts make the guest exit. */
	sti
	vmload	%rax
#ifdef UMBRA_HAVE_VM_CLEAR_CPU_BUFFERS
	VM_CLEAR_CPU_BUFFERS
#else
	CLEAR_CPU_BUFFERS
#endif
	vmrun	%rax
	cli

	vmsave	%rax
	mov	(%rsp), %rax
	vmload	%rax
	/*
	 * The return stack and the branch predictors hold what the guest put there. As
	 * FILL_RETURN_BUFFER does it, where the kernel wants it to be done (Intel's and
	 * AMD's guidance: a return after a VM exit must not be predicted by an entry of
	 * the guest's), but without a loop: its branch, if mispredicted, would reach the
	 * returns below too early, so it needs an LFENCE.
	 */
	ALTERNATIVE "jmp .Lfilled", "", X86_FEATURE_RSB_VMEXIT
	.rept	RSB_CLEAR_LOOPS
	ANNOTATE_INTRA_FUNCTION_CALL
	call	772f
	int3
772:
	.endr
	add	$(8 * RSB_CLEAR_LOOPS), %rsp
.Lfilled:
	stgi

	mov	8(%rsp), %rax
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

	/* No value of the guest's is left for a mispredicted path to use. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

#ifdef UMBRA_HAVE_UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
#endif
	pop	%rdx
	pop	%rsi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(svm_enter)
