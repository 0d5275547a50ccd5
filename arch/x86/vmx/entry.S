/* SPDX-License-Identifier: GPL-2.0-only */
/* Into the guest and back (SDM Vol. 3 27, 28). */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/nospec-branch.h>
#include <asm/unwind_hints.h>
#include "../gpr.S"

/* As in vmx.h. */
#define VMX_ENTERED	0
#define VMX_FAIL	1
#define VMX_FAULT	2

#define HOST_RSP	0x6c14

.section .noinstr.text, "ax"

/*
 * int vmx_enter(u64 *gpr, bool launched, u64 *host_rsp)
 *
 * Called with interrupts off, returns with interrupts off. *host_rsp is what the
 * VMCS holds as the host's stack pointer; a vCPU mostly comes here at the same
 * depth of the same stack, and VMWRITE costs more than a comparison.
 */
SYM_FUNC_START(vmx_enter)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi			/* 0(%rsp) at the exit: the guest's registers */

	cmp	%rsp, (%rdx)
	je	.Lstack_known
	mov	%rsp, (%rdx)
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
.Lstack_known:
	/* In CF, which nothing changes until it is looked at. */
	bt	$0, %esi

	mov	RAX(%rdi), %rax
	LOAD_GUEST_GPRS %rdi

	CLEAR_BUFFERS_BEFORE_ENTRY
	UNWIND_HINT_SAVE
	jnc	.Llaunch
.Lresume:
	vmresume
	jmp	.Lnot_entered
.Llaunch:
	vmlaunch
.Lnot_entered:
	mov	$VMX_FAIL, %eax
	jmp	.Lclean

	_ASM_EXTABLE(.Lresume, .Loff)
	_ASM_EXTABLE(.Llaunch, .Loff)
.Loff:
	UNWIND_HINT_RESTORE
	mov	$VMX_FAULT, %eax
	jmp	.Lclean

SYM_INNER_LABEL(vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ANNOTATE_NOENDBR
	push	%rax
	mov	8(%rsp), %rax
	SAVE_GUEST_GPRS
	pop	RAX(%rax)
	/* The return stack and the branch history hold what the guest put there. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
		X86_FEATURE_RSB_VMEXIT_LITE
	CLEAR_BRANCH_HISTORY_VMEXIT
	xor	%eax, %eax		/* VMX_ENTERED */

.Lclean:
	/* No value of the guest's is left for a mispredicted path to use: the rest is popped. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d

	pop	%rdi
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(vmx_enter)
