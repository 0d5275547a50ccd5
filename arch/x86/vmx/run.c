// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x: being on a CPU, and one turn in the guest.
 *
 * The CPU switches most of the host's state by itself. What it does not, or
 * what it puts back in a way that only a kernel can live with, is changed with
 * the first entry after the vCPU has come to a CPU and put back when it leaves:
 * then at the latest another task, or user space, needs it.
 */
#include <linux/hw_breakpoint.h>
#include <linux/io.h>
#include <asm/cpu_entry_area.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/spec-ctrl.h>
#include <asm/tlbflush.h>
#include "exit.h"
#include "trace.h"
#include "vmx.h"

/* CSTAR is not among them: on Intel's CPUs it is a number that nobody reads. */
const u32 vmx_syscall_msrs[VMX_NR_SYSCALL_MSRS] = {
	MSR_STAR, MSR_LSTAR, MSR_SYSCALL_MASK,
};

/* The host's, the same on every CPU for as long as it runs. */
u64 vmx_host_syscall_msrs[VMX_NR_SYSCALL_MSRS];
static struct desc_ptr host_idt;

/**
 * vmx_run_init() - learn what of the host is the same on every CPU
 */
void vmx_run_init(void)
{
	unsigned int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		rdmsrl_safe(vmx_syscall_msrs[i], &vmx_host_syscall_msrs[i]);
	store_idt(&host_idt);
}

/* What the VMCS must know of the CPU it is on (25.5). */
static void write_cpu_state(struct vmx_vcpu *vmx, int cpu)
{
	u64 value;

	vmcs_write(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmx->host_gdt = (struct desc_ptr) {
		.size = GDT_SIZE - 1,
		.address = (unsigned long)get_cpu_gdt_ro(cpu),
	};
	vmcs_write(HOST_GDTR_BASE, vmx->host_gdt.address);
	vmcs_write(HOST_IDTR_BASE, host_idt.address);
	rdmsrl(MSR_GS_BASE, value);
	vmcs_write(HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmcs_write(HOST_IA32_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmcs_write(HOST_IA32_SYSENTER_ESP, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmcs_write(HOST_IA32_SYSENTER_EIP, value);
	rdmsrl(MSR_EFER, value);
	if (vmx->lists)
		vmx->lists->host = (struct vmx_msr_entry) { .index = MSR_EFER, .value = value };
	else
		vmcs_write(HOST_IA32_EFER, value);
	/* Written when they are seen to differ. */
	vmx->host_cr3 = ~0ULL;
	vmx->host_cr4 = ~0ULL;
	vmx->host_fs_base = 0;
	vmcs_write(HOST_FS_BASE, 0);
}

/**
 * vmx_vcpu_load() - the vCPU's task runs on this CPU now
 * @vcpu: the vCPU
 * @cpu: this CPU; preemption is off
 *
 * On a CPU that is about to go offline VT-x may be off already; nothing will
 * enter a guest there.
 */
void vmx_vcpu_load(struct umbra_vcpu *vcpu, int cpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	bool moved = vmx->cpu != cpu;

	if (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID)) {
		vmx->host_tsc_aux = __rdmsr(MSR_TSC_AUX);
		if (vmx->host_tsc_aux != vcpu->arch.msr.tsc_aux)
			native_wrmsrl(MSR_TSC_AUX, vcpu->arch.msr.tsc_aux);
	}
	if (!__this_cpu_read(umbra_virt_on))
		return;
	if (unlikely(moved || __this_cpu_read(vmx_cpu.current_vmcs) != vmx->vmcs))
		vmx_make_current(vmx);
	if (unlikely(!vmx->initialized))
		vmx_init_vmcs(vcpu);
	if (moved) {
		write_cpu_state(vmx, cpu);
		/* This CPU may know translations from when the vCPU was here before. */
		vmx->flush = true;
	}
	vmx->host_debugctl = __rdmsr(MSR_IA32_DEBUGCTLMSR);
}

static u16 read_ldt(void)
{
	u16 selector;

	asm volatile("sldt %0" : "=rm" (selector));
	return selector;
}

/* Those that differ, which with a guest that is Linux, too, are two. */
static __always_inline void write_syscall_msrs(unsigned long which, const u64 *values)
{
	unsigned int i;

	for (; which; which &= which - 1) {
		i = __ffs(which);
		native_wrmsrl(vmx_syscall_msrs[i], values[i]);
	}
}

/* Once after each load: the part of the state that an exit does not switch. */
static void switch_to_guest(struct vmx_vcpu *vmx)
{
	unsigned long fs_base;

	/* The task's, as they would be saved if it was switched away from. */
	current_save_fsgs();
	vmx->host_fs = current->thread.fsindex;
	vmx->host_gs = current->thread.gsindex;
	vmx->host_gs_base = current->thread.gsbase;
	savesegment(ds, vmx->host_ds);
	savesegment(es, vmx->host_es);
	vmx->host_ldt = read_ldt();
	fs_base = current->thread.fsbase;
	/* Without FSGSBASE the kernel does not save what a selector's descriptor says. */
	if (unlikely(vmx->host_gs))
		vmx->host_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	if (unlikely(vmx->host_fs))
		fs_base = __rdmsr(MSR_FS_BASE);
	if (vmx->host_fs_base != fs_base) {
		vmx->host_fs_base = fs_base;
		vmcs_write(HOST_FS_BASE, fs_base);
	}

	native_wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	write_syscall_msrs(vmx->syscall_differ, vmx->syscall_msrs);
	vmx->switched = true;
}

static __always_inline void load_tables(const struct desc_ptr *gdt, const struct desc_ptr *idt)
{
	asm volatile("lgdt %0\n"
		     "lidt %1\n"
		     : : "m" (*gdt), "m" (*idt));
}

/*
 * An exit leaves null selectors, no LDT, and the largest limits of GDT and IDT;
 * the TSS ends before the I/O permission bitmap (28.5.2, 28.5.3).
 */
static void switch_to_host(struct vmx_vcpu *vmx)
{
	vmx->kernel_gs_base = __rdmsr(MSR_KERNEL_GS_BASE);
	write_syscall_msrs(vmx->syscall_differ, vmx_host_syscall_msrs);

	if (unlikely(vmx->host_ldt))
		asm volatile("lldt %0" : : "rm" (vmx->host_ldt));
	if (unlikely(vmx->host_gs))
		load_gs_index(vmx->host_gs);
	if (unlikely(vmx->host_fs)) {
		loadsegment(fs, vmx->host_fs);
		wrmsrl(MSR_FS_BASE, vmx->host_fs_base);
	}
	if (unlikely(vmx->host_ds | vmx->host_es)) {
		loadsegment(ds, vmx->host_ds);
		loadsegment(es, vmx->host_es);
	}
	native_wrmsrl(MSR_KERNEL_GS_BASE, vmx->host_gs_base);
	invalidate_tss_limit();
	load_tables(&vmx->host_gdt, &host_idt);
	vmx->switched = false;
}

/**
 * vmx_vcpu_put() - the vCPU's task leaves this CPU
 * @vcpu: the vCPU; preemption is off
 */
void vmx_vcpu_put(struct umbra_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (unlikely(vmx->debug_passed))
		vmx_pass_debug(vcpu, false);
	if (vmx->switched)
		switch_to_host(vmx);
	if (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID))
		if (vmx->host_tsc_aux != vcpu->arch.msr.tsc_aux)
			native_wrmsrl(MSR_TSC_AUX, vmx->host_tsc_aux);
}

/**
 * vmx_flush_tlb() - drop all translations of the vCPU before the next entry
 * @vcpu: the vCPU, loaded
 */
void vmx_flush_tlb(struct umbra_vcpu *vcpu)
{
	to_vmx(vcpu)->flush = true;
}

/**
 * vmx_flush_gva() - drop the translations of one page
 * @vcpu: the vCPU, loaded
 * @gva: an address in the page
 *
 * If the vCPU goes to another CPU before its next entry, it flushes there.
 */
void vmx_flush_gva(struct umbra_vcpu *vcpu, u64 gva)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	preempt_disable();
	if (__this_cpu_read(umbra_virt_on) && !vmx_flush_address(vmx, gva))
		vmx->flush = true;
	preempt_enable();
}

/* EFER by list, only where guest and host differ in what the entry does not set by itself. */
static void use_lists(struct vmx_vcpu *vmx)
{
	u32 count = vmx->lists->guest.value != vmx->lists->host.value;

	vmcs_write(VM_ENTRY_MSR_LOAD_ADDR, __pa(&vmx->lists->guest));
	vmcs_write(VM_EXIT_MSR_LOAD_ADDR, __pa(&vmx->lists->host));
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, count);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, count);
}

/* A shadow that we have set: the CPU wants to know whether the guest is stepped through. */
static void check_shadow(const struct umbra_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	vmx->shadowed = false;
	if (vmx_interruptibility(vmx) & 3)
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS,
			   vcpu->arch.rflags & X86_EFLAGS_TF ? DR_STEP : 0);
}

/* Before an entry, what is not always to be done. */
static void prepare(struct umbra_vcpu *vcpu, struct vmx_vcpu *vmx)
{
	if (!vmx->switched)
		switch_to_guest(vmx);
	if (vmx->flush) {
		vmx->flush = false;
		vmx_flush_vcpu(vmx, vmx_nested(vcpu));
	}
	if (vmx->shadowed)
		check_shadow(vcpu, vmx);
	if (vmx->lists)
		use_lists(vmx);
}

/* What the VMCS holds is known, and mostly right. */
static __always_inline void load_registers(const struct umbra_vcpu_arch *arch, struct vmx_vcpu *vmx)
{
	if (arch->rip != vmx->rip) {
		vmx->rip = arch->rip;
		vmcs_write(GUEST_RIP, arch->rip);
	}
	if (unlikely(arch->gpr[UMBRA_RSP] != vmx->rsp)) {
		vmx->rsp = arch->gpr[UMBRA_RSP];
		vmcs_write(GUEST_RSP, vmx->rsp);
	}
	if (unlikely(arch->rflags != vmx->rflags)) {
		vmx->rflags = arch->rflags;
		/* Whatever depends on IOPL is to be refused. */
		if (vmx->mode == VMX_VM86)
			vmx->rflags = (arch->rflags & ~(u64)X86_EFLAGS_IOPL) | X86_EFLAGS_VM;
		vmcs_write(GUEST_RFLAGS, vmx->rflags);
	}
}

static __always_inline void save_registers(struct umbra_vcpu_arch *arch, struct vmx_vcpu *vmx)
{
	vmx->rip = vmcs_read(GUEST_RIP);
	vmx->rflags = vmcs_read(GUEST_RFLAGS);
	arch->rip = vmx->rip;
	if (unlikely(vmx->mode == VMX_VM86))
		arch->rflags = (vmx->rflags & ~(u64)(X86_EFLAGS_IOPL | X86_EFLAGS_VM)) |
			       (arch->rflags & X86_EFLAGS_IOPL);
	else
		arch->rflags = vmx->rflags;
}

static bool is_pae(const struct umbra_vcpu_arch *arch)
{
	return (arch->cr4 & X86_CR4_PAE) && (arch->cr0 & X86_CR0_PG) && !(arch->efer & EFER_LMA);
}

/* Nested paging: CR3 is the guest's, and the four directory pointers are registers. */
static void load_guest_cr3(const struct umbra_vcpu_arch *arch, struct vmx_vcpu *vmx)
{
	if (unlikely(arch->cr3 != vmx->guest_cr3)) {
		vmx->guest_cr3 = arch->cr3;
		vmcs_write(GUEST_CR3, arch->cr3);
	}
	if (unlikely(is_pae(arch))) {
		vmcs_write(GUEST_PDPTR0, arch->pdpte[0]);
		vmcs_write(GUEST_PDPTR1, arch->pdpte[1]);
		vmcs_write(GUEST_PDPTR2, arch->pdpte[2]);
		vmcs_write(GUEST_PDPTR3, arch->pdpte[3]);
	}
}

/**
 * vmx_save_rest() - read what is of no use to an exit that is dealt with at once
 * @vcpu: the vCPU, loaded, its last entry was not refused
 *
 * Until then neither the copies in vcpu->arch nor what the VMCS is taken to hold
 * are up to date, but they agree.
 */
void vmx_save_rest(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->rsp = vmcs_read(GUEST_RSP);
	arch->gpr[UMBRA_RSP] = vmx->rsp;
	if (!vmx->own_cr3)
		return;
	arch->cr3 = vmcs_read(GUEST_CR3);
	vmx->guest_cr3 = arch->cr3;
	if (unlikely(is_pae(arch))) {
		arch->pdpte[0] = vmcs_read(GUEST_PDPTR0);
		arch->pdpte[1] = vmcs_read(GUEST_PDPTR1);
		arch->pdpte[2] = vmcs_read(GUEST_PDPTR2);
		arch->pdpte[3] = vmcs_read(GUEST_PDPTR3);
	}
}

/**
 * vmx_set_deadline() - end the guest's turn at a certain time
 * @vcpu: the vCPU
 * @tsc: guest TSC; 0: no more
 *
 * Return: false if the CPU cannot.
 */
bool vmx_set_deadline(struct umbra_vcpu *vcpu, u64 tsc)
{
	if (!vmx_caps.timer)
		return false;
	to_vmx(vcpu)->deadline = tsc;
	return true;
}

/* The timer begins to count at the entry, and ends the guest's turn at once if it is zero. */
static void load_timer(const struct umbra_vcpu_arch *arch, struct vmx_vcpu *vmx)
{
	u32 longest = vmx_caps.longest_turn;
	u64 now, left = 0;

	if (!vmx->deadline != !vmx->timed) {
		vmx->timed = vmx->deadline;
		if (!longest)
			vmx_set_control(vmx, VMX_PIN, PIN_BASED_VMX_PREEMPTION_TIMER, vmx->timed);
	}
	if (!vmx->timed) {
		if (longest)
			vmcs_write(VMX_PREEMPTION_TIMER_VALUE, longest);
		return;
	}
	now = rdtsc() + arch->tsc_offset;
	if (now < vmx->deadline)
		left = (vmx->deadline - now) >> vmx_caps.timer_shift;
	vmcs_write(VMX_PREEMPTION_TIMER_VALUE, min_t(u64, left, longest ?: U32_MAX));
}

static void load_breakpoints(const struct umbra_vcpu *vcpu)
{
	umbra_load_breakpoints(vcpu);
	set_debugreg(vcpu->arch.dr6, 6);
}

static void save_breakpoints(struct umbra_vcpu *vcpu)
{
	unsigned long dr6;

	umbra_save_breakpoints(vcpu);
	get_debugreg(dr6, 6);
	vcpu->arch.dr6 = dr6;
	vcpu->arch.dr7 = vmcs_read(GUEST_DR7);
	/* The host's handler must not find reasons that were the guest's. */
	set_debugreg(DR6_RESERVED, 6);
}

/* The row of an exit by an exception or an NMI. */
static u32 exception_row(struct vmx_vcpu *vmx)
{
	vmx->intr_info = vmcs_read(VM_EXIT_INTR_INFO);
	if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		return VMX_ROW_NMI;
	switch (vmx->intr_info & INTR_INFO_VECTOR_MASK) {
	case X86_TRAP_DB:
		return VMX_ROW_DB;
	case X86_TRAP_AC:
		return VMX_ROW_AC;
	case X86_TRAP_PF:
		return VMX_ROW_PF;
	case X86_TRAP_MC:
		return VMX_ROW_MC;
	default:
		return VMX_ROW_EXCEPTION;
	}
}

static u32 exit_row(struct vmx_vcpu *vmx, u32 reason)
{
	if (likely(reason < VMX_NR_REASONS))
		return reason == EXIT_REASON_EXCEPTION_NMI ? exception_row(vmx) : reason;
	return reason & VMX_EXIT_REASONS_FAILED_VMENTRY ? VMX_ROW_INVALID : VMX_ROW_OTHER;
}

/* What has ended the guest's turn and must be handed to the host at once. */
static void host_event(u32 row)
{
	/* NMIs stay blocked until an IRET, which the host's handler ends with (28.5.5). */
	if (row == VMX_ROW_NMI)
		asm volatile("int $2" : ASM_CALL_CONSTRAINT);
	else if (row == VMX_ROW_MC || row == EXIT_REASON_MCE_DURING_VMENTRY)
		umbra_host_machine_check();
}

static void entry_failed(struct umbra_vcpu *vcpu, int failure)
{
	vcpu->arch.exit_reason = VMX_ROW_FAILED;
	vcpu->arch.exit_code = failure == VMX_FAIL ? vmcs_read(VM_INSTRUCTION_ERROR) : 0;
}

/**
 * vmx_run() - enter the guest once
 * @vcpu: the vCPU, loaded; interrupts off
 */
void vmx_run(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 value;
	u32 reason;
	int failure;

	if (unlikely(!vmx->switched || vmx->flush || vmx->shadowed || vmx->lists))
		prepare(vcpu, vmx);
	load_registers(arch, vmx);
	if (vmx->own_cr3)
		load_guest_cr3(arch, vmx);
	value = __read_cr3();
	if (unlikely(value != vmx->host_cr3)) {
		vmx->host_cr3 = value;
		vmcs_write(HOST_CR3, value);
	}
	value = cr4_read_shadow();
	if (unlikely(value != vmx->host_cr4)) {
		vmx->host_cr4 = value;
		vmcs_write(HOST_CR4, value);
	}
	if (vmx->deadline || vmx->timed)
		load_timer(arch, vmx);
	if (unlikely(arch->cr2 != native_read_cr2()))
		native_write_cr2(arch->cr2);
	if (unlikely(arch->dr7 & DR7_ENABLED || vmx->debug_passed))
		load_breakpoints(vcpu);

	failure = vmx_enter(arch->gpr, vmx->launched, &vmx->host_rsp);

	/* The guest may have trained the predictors, where IBRS must be written to tell. */
	if (cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS))
		wrmsrl(MSR_IA32_SPEC_CTRL, spec_ctrl_current());
	/* An exit clears it. */
	if (unlikely(vmx->host_debugctl))
		wrmsrl(MSR_IA32_DEBUGCTLMSR, vmx->host_debugctl);
	if (unlikely(vmx->debug_passed))
		save_breakpoints(vcpu);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);

	vmx->cached = 0;
	if (unlikely(vmx->logging))
		vmx_pml_drain(vcpu);
	if (unlikely(failure)) {
		entry_failed(vcpu, failure);
		return;
	}
	reason = vmcs_read(VM_EXIT_REASON);
	arch->exit_code = reason;
	arch->exit_reason = exit_row(vmx, reason);
	if (unlikely(arch->exit_reason == VMX_ROW_INVALID)) {
		if ((u16)reason == EXIT_REASON_MCE_DURING_VMENTRY)
			host_event(EXIT_REASON_MCE_DURING_VMENTRY);
		return;
	}
	vmx->launched = true;
	vmx->injecting = false;
	if (vmx->fast_event) {
		vmx->fast_event = false;
		arch->exception.pending = false;
	}
	save_registers(arch, vmx);
	arch->cr2 = native_read_cr2();
	if (unlikely(arch->exit_reason == VMX_ROW_NMI || arch->exit_reason == VMX_ROW_MC))
		host_event(arch->exit_reason);
	if (trace_umbra_exit_enabled())
		trace_umbra_exit(vcpu->id, vmx_exits[arch->exit_reason].name ?: "unknown", reason,
				 arch->rip, vmx_qualification(vmx), vmcs_read(VM_EXIT_INTR_INFO));
}
