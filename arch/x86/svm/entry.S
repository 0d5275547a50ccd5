/* SPDX-License-Identifier: GPL-2.0-only */
/* Into the guest and back (APM Vol. 2 15.5, 15.6, 15.17). */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include "../gpr.S"

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
	LOAD_GUEST_GPRS %rsi

	clgi
	/* With V_INTR_MASKING the host's IF decides whether interrupts make the guest exit. */
	sti
	vmload	%rax
	CLEAR_BUFFERS_BEFORE_ENTRY
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
	SAVE_GUEST_GPRS

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
