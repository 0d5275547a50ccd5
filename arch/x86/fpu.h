/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The FPU on every way into UMBRA_RUN and out of it, and into the guest and out of it.
 *
 * In UMBRA_RUN the registers of the vCPU's task and those of its guest have changed
 * places: the scheduler, signal frames and whoever else deals with the task's registers
 * finds the guest's fpstate where the task's is otherwise. fpu_swap_kvm_fpstate() does
 * that, for all there may be. In the common case, registers of the task in the CPU and
 * no component switched off by IA32_XFD for one of them only, two instructions and
 * three assignments are left of it, and they are made here: every exit to user space
 * needs two swaps.
 */
#ifndef UMBRA_FPU_H
#define UMBRA_FPU_H

#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/jump_label.h>
#include <linux/sched.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xstate.h>
#include <asm/processor-flags.h>
#include "umbra.h"

/* fpu.c */
extern u64 umbra_host_xss;
void umbra_fpu_load_extra(struct umbra_vcpu *vcpu);
void umbra_fpu_put_extra(struct umbra_vcpu *vcpu);

/* fpu_swap.c */
DECLARE_STATIC_KEY_FALSE(umbra_fpu_fast);
void umbra_fpu_swap_init(const struct fpstate *fpstate);

/*
 * A guest with neither CR4.OSXSAVE nor CR4.PKE can neither read nor change XCR0 and
 * PKRU, and PKRU does not restrict it: the host's may stay. CR4 is the same before
 * and after a turn in the guest, which exits to write these bits.
 */
static __always_inline bool umbra_fpu_has_extra(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.cr4 & (X86_CR4_OSXSAVE | X86_CR4_PKE) || umbra_host_xss;
}

#ifdef UMBRA_HAVE_TASK_FPSTATE

#define UMBRA_AVX512_COMPONENTS	(XFEATURE_MASK_ZMM_Hi256 | XFEATURE_MASK_Hi16_ZMM)

/* XSAVES includes XSAVEC's format, that XSAVEOPT's optimization. */
static __always_inline void umbra_fpu_save(struct fpstate *fpstate)
{
	struct xregs_state *area = &fpstate->regs.xsave;
	u64 mask = fpstate->xfeatures;

	asm volatile(ALTERNATIVE_3("xsave64 (%[area])",
				   "xsaveopt64 (%[area])", X86_FEATURE_XSAVEOPT,
				   "xsavec64 (%[area])", X86_FEATURE_XSAVEC,
				   "xsaves64 (%[area])", X86_FEATURE_XSAVES)
		     : : [area] "D" (area), "a" ((u32)mask), "d" ((u32)(mask >> 32)) : "memory");
}

/*
 * All components that the kernel has enabled, and so none of the other side's is left.
 * Should the area be one that the CPU refuses, the kernel warns and loads initial values.
 */
static __always_inline void umbra_fpu_restore(struct fpstate *fpstate)
{
	struct xregs_state *area = &fpstate->regs.xsave;
	u64 mask = XFEATURE_MASK_FPSTATE;

	/*
	 * FXRSTOR and XRSTOR of older AMD CPUs leave the last instruction's address and
	 * operand as they were. FNINIT clears both; an instruction to replace them, as the
	 * kernel has it, would tell the guest where this code is.
	 */
	if (static_cpu_has_bug(X86_BUG_FXSAVE_LEAK))
		asm volatile("fninit");
	asm volatile("1: " ALTERNATIVE("xrstor64 (%[area])",
				       "xrstors64 (%[area])", X86_FEATURE_XSAVES)
		     "\n2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_FPU_RESTORE)
		     : : [area] "D" (area), "a" ((u32)mask), "d" ((u32)(mask >> 32)) : "memory");
}

/*
 * Are the task's registers in the CPU, and can both sides be loaded as the CPU is now?
 * While they are, the CPU remembers them as the task's, by its struct fpu: whose area
 * is which makes no difference to that.
 */
static __always_inline bool umbra_fpu_can_swap(const struct fpstate *from,
					       const struct fpstate *to)
{
	return static_branch_likely(&umbra_fpu_fast) &&
	       !(read_thread_flags() & _TIF_NEED_FPU_LOAD) && from->xfd == to->xfd;
}

/* Interrupts are off, as softirqs and the scheduler use the registers, too. */
static __always_inline void umbra_fpu_swap(struct fpu *fpu, struct fpstate *from,
					   struct fpstate *to)
{
	umbra_fpu_save(from);
	/* Until when the task has used AVX-512 is shown in its arch_status in /proc. */
	if (unlikely(from->regs.xsave.header.xfeatures & UMBRA_AVX512_COMPONENTS))
		fpu->avx512_timestamp = jiffies;
	fpu->fpstate = to;
	umbra_fpu_restore(to);
}

#endif

/**
 * umbra_fpu_load() - the current task's FPU registers become the guest's
 * @vcpu: the vCPU; vcpu->mutex is held, interrupts are on
 *
 * Until umbra_fpu_put() the scheduler saves and restores the guest's.
 */
static __always_inline void umbra_fpu_load(struct umbra_vcpu *vcpu)
{
#ifdef UMBRA_HAVE_TASK_FPSTATE
	struct fpstate *guest = vcpu->arch.fpu.fpstate;
	struct fpu *fpu = &current->thread.fpu;
	struct fpstate *task = fpu->fpstate;

	local_irq_disable();
	if (likely(umbra_fpu_can_swap(task, guest))) {
		fpu->__task_fpstate = task;
		guest->in_use = true;
		umbra_fpu_swap(fpu, task, guest);
		local_irq_enable();
		return;
	}
	local_irq_enable();
#endif
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu, true);
}

/**
 * umbra_fpu_put() - undo umbra_fpu_load()
 * @vcpu: the vCPU; interrupts are on
 */
static __always_inline void umbra_fpu_put(struct umbra_vcpu *vcpu)
{
#ifdef UMBRA_HAVE_TASK_FPSTATE
	struct fpstate *guest = vcpu->arch.fpu.fpstate;
	struct fpu *fpu = &current->thread.fpu;
	struct fpstate *task = fpu->__task_fpstate;

	local_irq_disable();
	if (likely(umbra_fpu_can_swap(guest, task))) {
		guest->in_use = false;
		umbra_fpu_swap(fpu, guest, task);
		fpu->__task_fpstate = NULL;
		local_irq_enable();
		return;
	}
	local_irq_enable();
#endif
	fpu_swap_kvm_fpstate(&vcpu->arch.fpu, false);
}

#endif /* UMBRA_FPU_H */
