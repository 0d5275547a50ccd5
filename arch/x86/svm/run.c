// SPDX-License-Identifier: GPL-2.0-only
/* AMD-V: being on a CPU, ASIDs, and one turn in the guest. */
#include <linux/hw_breakpoint.h>
#include <linux/io.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/special_insns.h>
#include "exit.h"
#include "svm.h"
#include "trace.h"

/**
 * svm_vcpu_load() - the vCPU's task runs on this CPU now
 * @vcpu: the vCPU
 * @cpu: this CPU; preemption is off
 */
void svm_vcpu_load(struct umbra_vcpu *vcpu, int cpu)
{
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);
	struct svm_vcpu *svm = to_svm(vcpu);

	/*
	 * FS, GS, TR, LDTR with their hidden parts and the SYSCALL and SYSENTER
	 * MSRs, as they are for this task on this CPU; svm_enter() loads them
	 * again after each exit. On a CPU that is about to go offline AMD-V may
	 * be off already; nothing will enter a guest there.
	 */
	if (likely(__this_cpu_read(umbra_virt_on)))
		vmsave_host(c->host_pa);

	if (unlikely(c->last_vmcb != svm->vmcb)) {
		c->last_vmcb = svm->vmcb;
		indirect_branch_prediction_barrier();
	}
	if (unlikely(svm->asid_cpu != cpu)) {
		svm->asid_cpu = cpu;
		svm->asid_generation = 0;
		/* Nothing cached by another CPU is known to be as it is now. */
		svm->vmcb->control.clean = 0;
	}
	if (unlikely(c->tsc_aux != vcpu->arch.msr.tsc_aux) && svm_has_tsc_aux())
		wrmsrl(MSR_TSC_AUX, vcpu->arch.msr.tsc_aux);
}

/**
 * svm_vcpu_put() - the vCPU's task leaves this CPU
 * @vcpu: the vCPU; preemption is off
 */
void svm_vcpu_put(struct umbra_vcpu *vcpu)
{
	u64 tsc_aux;

	if (unlikely(to_svm(vcpu)->debug_passed))
		svm_pass_debug(vcpu, false);
	tsc_aux = this_cpu_read(svm_cpu.tsc_aux);
	if (unlikely(tsc_aux != vcpu->arch.msr.tsc_aux) && svm_has_tsc_aux())
		wrmsrl(MSR_TSC_AUX, tsc_aux);
}

/*
 * An ASID of this CPU's current generation. When they are used up a new
 * generation begins with the whole TLB flushed (15.16.1).
 */
static void take_asid(struct svm_vcpu *svm, struct svm_cpu *c)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	if (c->next_asid >= svm_caps.asids) {
		c->asid_generation++;
		c->next_asid = 1;	/* 0 is the host's */
		control->tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	svm->asid_generation = c->asid_generation;
	control->asid = c->next_asid++;
	svm_dirty(svm->vmcb, SVM_CLEAN_ASID);
}

/**
 * svm_flush_tlb() - drop all translations of the vCPU before the next entry
 * @vcpu: the vCPU, loaded
 */
void svm_flush_tlb(struct umbra_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm_caps.flush_by_asid)
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ASID;
	else
		/* What was cached under the old one can never be hit again. */
		svm->asid_generation = 0;
}

/**
 * svm_flush_gva() - drop the translations of one page
 * @vcpu: the vCPU, loaded; shadow paging
 * @gva: an address in the page
 *
 * If the vCPU has no ASID on this CPU there is nothing to drop: it gets a new one.
 */
void svm_flush_gva(struct umbra_vcpu *vcpu, u64 gva)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	preempt_disable();
	if (svm->asid_generation == this_cpu_read(svm_cpu.asid_generation) &&
	    __this_cpu_read(umbra_virt_on))
		invlpga_asid(gva, svm->vmcb->control.asid);
	preempt_enable();
}

static u32 exit_row(const struct vmcb_control_area *control)
{
	u32 code = control->exit_code;

	if (likely(code < SVM_ROW_NPF))
		return code;
	if (code == SVM_EXIT_NPF)
		return SVM_ROW_NPF;
	return code == (u32)SVM_EXIT_ERR ? SVM_ROW_INVALID : SVM_ROW_OTHER;
}

/* CR8 is V_TPR; the guest may raise it freely from 0, everything else exits. */
static noinline void load_tpr(struct vmcb *vmcb, u8 tpr)
{
	u32 int_ctl = (vmcb->control.int_ctl & ~V_TPR_MASK) | tpr;

	if (vmcb->control.int_ctl != int_ctl) {
		vmcb->control.int_ctl = int_ctl;
		svm_dirty(vmcb, SVM_CLEAN_TPR);
	}
	svm_intercept(vmcb, INTERCEPT_CR8_WRITE, tpr || int_ctl & V_IRQ_MASK);
}

/* Is the task priority 0, as it nearly always is, and was it so at the last entry? */
static __always_inline bool tpr_is_zero(const struct vmcb_control_area *control, u8 tpr)
{
	return !((control->int_ctl & (V_TPR_MASK | V_IRQ_MASK)) | tpr |
		 (control->intercepts[INTERCEPT_CR] & BIT(INTERCEPT_CR8_WRITE)));
}

/*
 * What the CPU keeps for the guest was in use. A window that this exit came before may be
 * open now: then what waits for it need not wait for an exit of its own. On Bochs up to at
 * least 2.8 that would not come: V_IRQ does nothing there if RFLAGS.IF is set at VMRUN.
 */
static noinline void leave_virtual_apic(struct umbra_vcpu *vcpu, u8 tpr)
{
	u32 int_ctl = to_vmcb(vcpu)->control.int_ctl;

	if ((int_ctl & V_TPR_MASK) != tpr)
		umbra_lapic_set_cr8(vcpu, int_ctl & V_TPR_MASK);
	if (int_ctl & V_IRQ_MASK && !to_svm(vcpu)->virq &&
	    svm_can_inject(vcpu, UMBRA_EVENT_KIND_INTERRUPT))
		umbra_request(vcpu, UMBRA_REQ_EVENT);
}

/*
 * The guest's SPEC_CTRL. It gets its bits beside the host's, as a CPU does that has a
 * field for them in the VMCB (15.37): so host code on the way in and out runs with at
 * least what the host has asked for. True: the host's is to be put back.
 */
static noinline bool load_spec_ctrl(struct umbra_vcpu *vcpu)
{
	u64 host, guest = vcpu->arch.msr.spec_ctrl;

	if (svm_caps.spec_ctrl) {
		to_vmcb(vcpu)->save.spec_ctrl = guest;
		return false;
	}
	host = spec_ctrl_current();
	if (!(guest & ~host))
		return false;
	wrmsrl(MSR_IA32_SPEC_CTRL, host | guest);
	return true;
}

/**
 * svm_run() - enter the guest once
 * @vcpu: the vCPU, loaded; interrupts off
 */
void svm_run(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *c = this_cpu_ptr(&svm_cpu);
	struct vmcb *vmcb = svm->vmcb;
	struct vmcb_control_area *control = &vmcb->control;
	struct vmcb_save_area *save = &vmcb->save;
	u8 tpr = arch->lapic->own_tpr >> 4;
	bool spec_ctrl = false;

	if (unlikely(svm->asid_generation != c->asid_generation))
		take_asid(svm, c);
	if (unlikely(!tpr_is_zero(control, tpr)))
		load_tpr(vmcb, tpr);
	save->rax = arch->gpr[UMBRA_RAX];
	save->rsp = arch->gpr[UMBRA_RSP];
	save->rip = arch->rip;
	save->rflags = arch->rflags;
	if (save->cr2 != arch->cr2) {
		save->cr2 = arch->cr2;
		svm_dirty(vmcb, SVM_CLEAN_CR2);
	}
	/* VMRUN loads CR2, except on Bochs up to at least 2.8. */
	if (unlikely(native_read_cr2() != arch->cr2))
		native_write_cr2(arch->cr2);
	if (unlikely(arch->dr7 & DR7_ENABLED || svm->debug_passed))
		umbra_load_breakpoints(vcpu);

	if (unlikely(arch->msr.spec_ctrl | save->spec_ctrl))
		spec_ctrl = load_spec_ctrl(vcpu);

	svm_enter(svm->vmcb_pa, arch->gpr, c->host_pa);

	if (unlikely(spec_ctrl))
		wrmsrl(MSR_IA32_SPEC_CTRL, spec_ctrl_current());
	/* An exit leaves DR7 disabled, and DR0 to DR3 as the guest had them. */
	if (unlikely(svm->debug_passed))
		umbra_save_breakpoints(vcpu);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);

	control->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	arch->exit_reason = exit_row(control);
	arch->exit_code = control->exit_code;
	if (unlikely(arch->exit_reason == SVM_ROW_INVALID)) {
		/* The guest did not run, and what the save area holds now is undefined. */
		control->clean = 0;
		svm_end_step(vcpu);
		return;
	}
	control->clean = svm_caps.clean_bits;
	control->event_inj = 0;
	if (svm->fast_event) {
		svm->fast_event = false;
		arch->exception.pending = false;
	}

	arch->gpr[UMBRA_RAX] = save->rax;
	arch->gpr[UMBRA_RSP] = save->rsp;
	arch->rip = save->rip;
	arch->rflags = save->rflags;
	arch->cr2 = save->cr2;
	arch->dr6 = save->dr6;
	arch->dr7 = save->dr7;
	if (unlikely(svm->stepping) && arch->exit_reason != SVM_EXIT_EXCP_BASE + X86_TRAP_DB)
		svm_end_step(vcpu);
	if (svm_nested(vcpu))
		arch->cr3 = save->cr3;
	if (unlikely((control->int_ctl & (V_TPR_MASK | V_IRQ_MASK)) != tpr))
		leave_virtual_apic(vcpu, tpr);
	if (unlikely(arch->exit_code == SVM_EXIT_EXCP_BASE + X86_TRAP_MC))
		umbra_host_machine_check();
	if (trace_umbra_exit_enabled())
		trace_umbra_exit(vcpu->id, svm_exits[arch->exit_reason].name ?: "unknown",
				 control->exit_code, arch->rip, control->exit_info_1,
				 control->exit_info_2);
}
