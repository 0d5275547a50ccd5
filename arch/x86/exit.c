// SPDX-License-Identifier: GPL-2.0-only
/*
 * What exits come to, whichever vendor's: the handlers' common part.
 *
 * A function that takes @length carries an instruction out and moves RIP past
 * it; all return what an exit handler returns.
 */
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <asm/debugreg.h>
#include <asm/invpcid.h>
#include <asm/mce.h>
#include <asm/ptrace.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "cpuid.h"
#include "exit.h"
#include "lapic.h"
#include "trace.h"
#include "umbra.h"

/**
 * umbra_exit_ud() - an instruction that guests do not have
 * @vcpu: the vCPU, loaded
 *
 * Return: 1.
 */
int umbra_exit_ud(struct umbra_vcpu *vcpu)
{
	umbra_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}

/**
 * umbra_exit_gp() - an instruction that is refused
 * @vcpu: the vCPU, loaded
 *
 * Return: 1.
 */
int umbra_exit_gp(struct umbra_vcpu *vcpu)
{
	umbra_queue_exception_error(vcpu, X86_TRAP_GP, 0);
	return 1;
}

/**
 * umbra_exit_ac() - #AC, trapped because its delivery can raise it again
 * @vcpu: the vCPU, loaded
 *
 * Return: 1.
 */
int umbra_exit_ac(struct umbra_vcpu *vcpu)
{
	umbra_queue_exception_error(vcpu, X86_TRAP_AC, 0);
	return 1;
}

/**
 * umbra_exit_host() - something of the host's has ended the guest's turn
 * @vcpu: the vCPU, loaded
 *
 * It has been dealt with by letting interrupts in.
 *
 * Return: 1.
 */
int umbra_exit_host(struct umbra_vcpu *vcpu)
{
	return 1;
}

/**
 * umbra_exit_shutdown() - the guest has triple-faulted
 * @vcpu: the vCPU, loaded
 *
 * Return: 0, for user space.
 */
int umbra_exit_shutdown(struct umbra_vcpu *vcpu)
{
	vcpu->run->exit_reason = UMBRA_EXIT_SHUTDOWN;
	return 0;
}

/**
 * umbra_exit_cpuid() - CPUID
 * @vcpu: the vCPU, loaded; interrupts may be off
 * @length: of the instruction
 *
 * Return: 1.
 */
int umbra_exit_cpuid(struct umbra_vcpu *vcpu, unsigned int length)
{
	umbra_cpuid_exit(vcpu);
	return umbra_skip_insn(vcpu, length);
}

/**
 * umbra_exit_hlt() - HLT
 * @vcpu: the vCPU, loaded
 * @length: of the instruction
 *
 * Return: 1.
 */
int umbra_exit_hlt(struct umbra_vcpu *vcpu, unsigned int length)
{
	umbra_skip_insn(vcpu, length);
	/* A single-step trap after it comes first (SDM Vol. 3 6.9). */
	if (!vcpu->arch.exception.pending)
		WRITE_ONCE(vcpu->arch.mp_state, UMBRA_MP_HALTED);
	return 1;
}

/**
 * umbra_exit_pause() - the guest spins
 * @vcpu: the vCPU, loaded
 * @length: of the instruction
 *
 * Return: 1.
 */
int umbra_exit_pause(struct umbra_vcpu *vcpu, unsigned int length)
{
	umbra_skip_insn(vcpu, length);
	cond_resched();
	return 1;
}

/**
 * umbra_exit_msr() - RDMSR or WRMSR, the privilege level checked
 * @vcpu: the vCPU, loaded
 * @write: WRMSR
 * @length: of the instruction
 *
 * Return: 1.
 */
int umbra_exit_msr(struct umbra_vcpu *vcpu, bool write, unsigned int length)
{
	return umbra_access_msr(vcpu, write) ? umbra_exit_gp(vcpu) : umbra_skip_insn(vcpu, length);
}

/**
 * umbra_exit_xsetbv() - XSETBV, the privilege level perhaps not checked
 * @vcpu: the vCPU, loaded
 * @length: of the instruction
 *
 * Return: 1.
 */
int umbra_exit_xsetbv(struct umbra_vcpu *vcpu, unsigned int length)
{
	u64 *gpr = vcpu->arch.gpr;
	u64 value = (u32)gpr[UMBRA_RAX] | gpr[UMBRA_RDX] << 32;

	if (umbra_cpl(vcpu) || (u32)gpr[UMBRA_RCX] || umbra_set_xcr0(vcpu, value))
		return umbra_exit_gp(vcpu);
	return umbra_skip_insn(vcpu, length);
}

/**
 * umbra_hypercall_send_ipi() - KVM_HC_SEND_IPI: one interrupt for many CPUs
 * @vcpu: the vCPU, loaded; interrupts may be off
 *
 * RBX and RCX are a bitmap of APIC IDs, RDX is the ID that it begins with, RSI the low
 * half of ICR. RAX tells how many CPUs there were.
 */
void umbra_hypercall_send_ipi(struct umbra_vcpu *vcpu)
{
	unsigned int width = umbra_code_size(vcpu) == UMBRA_CODE_64 ? 64 : 32;
	u64 *gpr = vcpu->arch.gpr;
	int ret;

	ret = umbra_lapic_send_set(vcpu->arch.lapic, gpr[UMBRA_RDX], gpr[UMBRA_RBX],
				   gpr[UMBRA_RCX], width, gpr[UMBRA_RSI]);
	gpr[UMBRA_RAX] = ret < 0 ? -KVM_EINVAL : ret;
}

/**
 * umbra_exit_hypercall() - VMMCALL or VMCALL
 * @vcpu: the vCPU, loaded
 * @length: of the instruction
 *
 * Return: 1.
 */
int umbra_exit_hypercall(struct umbra_vcpu *vcpu, unsigned int length)
{
	umbra_hypercall(vcpu, umbra_cpl(vcpu));
	return umbra_skip_insn(vcpu, length);
}

/**
 * umbra_exit_invpcid() - INVPCID
 * @vcpu: the vCPU, loaded
 * @type: the register operand
 * @linear: address of the descriptor
 * @length: of the instruction
 *
 * Return: as umbra_decode_exit() says if the descriptor cannot be read, else 1.
 */
int umbra_exit_invpcid(struct umbra_vcpu *vcpu, u64 type, u64 linear, unsigned int length)
{
	u64 descriptor[2];
	int ret;

	if (!umbra_cpuid_has(vcpu, X86_FEATURE_INVPCID))
		return umbra_exit_ud(vcpu);
	if (umbra_cpl(vcpu) || type > INVPCID_TYPE_ALL_NON_GLOBAL)
		return umbra_exit_gp(vcpu);
	if (!umbra_read_operand(vcpu, linear, descriptor, sizeof(descriptor), &ret))
		return ret;
	if (descriptor[0] >> 12)
		return umbra_exit_gp(vcpu);
	if (type <= INVPCID_TYPE_SINGLE_CTXT && descriptor[0] &&
	    !(vcpu->arch.cr4 & X86_CR4_PCIDE))
		return umbra_exit_gp(vcpu);
	if (type == INVPCID_TYPE_INDIV_ADDR && !umbra_is_canonical(vcpu, descriptor[1]))
		return umbra_exit_gp(vcpu);
	umbra_mmu_invpcid(vcpu, type, descriptor[0], descriptor[1]);
	return umbra_skip_insn(vcpu, length);
}

static int set_cr(struct umbra_vcpu *vcpu, unsigned int cr, u64 value)
{
	switch (cr) {
	case 0:
		return umbra_set_cr0(vcpu, value);
	case 3:
		return umbra_set_cr3(vcpu, value);
	case 4:
		return umbra_set_cr4(vcpu, value);
	default:
		if (value > 15)
			return 1;
		umbra_lapic_set_cr8(vcpu, value);
		return 0;
	}
}

static u64 get_cr(struct umbra_vcpu *vcpu, unsigned int cr)
{
	switch (cr) {
	case 0:
		return vcpu->arch.cr0;
	case 3:
		return vcpu->arch.cr3;
	case 4:
		return vcpu->arch.cr4;
	default:
		return umbra_lapic_get_cr8(vcpu);
	}
}

/**
 * umbra_exit_mov_cr() - MOV to or from CR0, CR3, CR4 or CR8
 * @vcpu: the vCPU, loaded
 * @write: to the control register
 * @cr: its number
 * @gpr: number of the general register
 * @length: of the instruction
 *
 * Return: 1.
 */
int umbra_exit_mov_cr(struct umbra_vcpu *vcpu, bool write, unsigned int cr, unsigned int gpr,
		      unsigned int length)
{
	bool long_mode = umbra_code_size(vcpu) == UMBRA_CODE_64;
	u64 value;

	if (write) {
		value = vcpu->arch.gpr[gpr];
		if (set_cr(vcpu, cr, long_mode ? value : (u32)value))
			return umbra_exit_gp(vcpu);
	} else {
		value = get_cr(vcpu, cr);
		vcpu->arch.gpr[gpr] = long_mode ? value : (u32)value;
	}
	return umbra_skip_insn(vcpu, length);
}

/**
 * umbra_exit_fault() - a fault in the tables that map the guest's memory
 * @vcpu: the vCPU, loaded
 * @address: nested: the gpa; shadow: the gva
 * @error_code: as of a page fault
 *
 * Return: as umbra_mmu_fault().
 */
int umbra_exit_fault(struct umbra_vcpu *vcpu, u64 address, u32 error_code)
{
	vcpu->arch.stat[UMBRA_STAT_FAULTS]++;
	trace_umbra_page_fault(vcpu->id, vcpu->arch.rip, address, error_code);
	return umbra_mmu_fault(vcpu, address, error_code);
}

/**
 * umbra_load_breakpoints() - the guest's DR0 to DR3 into the CPU
 * @vcpu: the vCPU; interrupts off
 */
void umbra_load_breakpoints(const struct umbra_vcpu *vcpu)
{
	set_debugreg(vcpu->arch.dr[0], 0);
	set_debugreg(vcpu->arch.dr[1], 1);
	set_debugreg(vcpu->arch.dr[2], 2);
	set_debugreg(vcpu->arch.dr[3], 3);
}

/**
 * umbra_save_breakpoints() - DR0 to DR3 of the CPU are the guest's
 * @vcpu: the vCPU; interrupts off
 */
void umbra_save_breakpoints(struct umbra_vcpu *vcpu)
{
	unsigned long value;

	get_debugreg(value, 0);
	vcpu->arch.dr[0] = value;
	get_debugreg(value, 1);
	vcpu->arch.dr[1] = value;
	get_debugreg(value, 2);
	vcpu->arch.dr[2] = value;
	get_debugreg(value, 3);
	vcpu->arch.dr[3] = value;
}

/**
 * umbra_host_machine_check() - a machine check has ended the guest's turn
 *
 * Interrupts are off. The CPU does not call the host's handler by itself when
 * #MC makes the guest exit.
 */
void umbra_host_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	struct pt_regs regs = {
		.cs = 3,	/* the guest's state is not the kernel's */
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#endif
}
