/* SPDX-License-Identifier: GPL-2.0-only */
/* What the exit handlers of both vendors have in common. */
#ifndef UMBRA_X86_EXIT_H
#define UMBRA_X86_EXIT_H

#include <linux/kvm_para.h>
#include "umbra.h"

/**
 * umbra_access_msr() - carry out RDMSR or WRMSR, the privilege level checked
 * @vcpu: the vCPU, loaded; interrupts may be off, for a write if umbra_msr_quick()
 * @write: WRMSR
 *
 * Return: 0, or 1 for #GP(0), with nothing changed.
 */
static __always_inline int umbra_access_msr(struct umbra_vcpu *vcpu, bool write)
{
	u64 *gpr = vcpu->arch.gpr;
	u32 index = gpr[UMBRA_RCX];
	u64 value;

	if (write)
		return umbra_set_msr(vcpu, index, (u32)gpr[UMBRA_RAX] | gpr[UMBRA_RDX] << 32,
				     false);
	if (umbra_get_msr(vcpu, index, &value, false))
		return 1;
	gpr[UMBRA_RAX] = (u32)value;
	gpr[UMBRA_RDX] = value >> 32;
	return 0;
}

void umbra_hypercall_send_ipi(struct umbra_vcpu *vcpu);

/**
 * umbra_hypercall() - carry out VMMCALL or VMCALL
 * @vcpu: the vCPU, loaded; interrupts may be off
 * @cpl: its privilege level
 *
 * By the KVM interface, as far as the guest was told in CPUID that it is there.
 */
static __always_inline void umbra_hypercall(struct umbra_vcpu *vcpu, unsigned int cpl)
{
	u64 *gpr = vcpu->arch.gpr;

	if (unlikely(cpl))
		gpr[UMBRA_RAX] = -KVM_EPERM;
	else if ((u32)gpr[UMBRA_RAX] == KVM_HC_SEND_IPI)
		umbra_hypercall_send_ipi(vcpu);
	else
		gpr[UMBRA_RAX] = -KVM_ENOSYS;
}

int umbra_exit_ud(struct umbra_vcpu *vcpu);
int umbra_exit_gp(struct umbra_vcpu *vcpu);
int umbra_exit_ac(struct umbra_vcpu *vcpu);
int umbra_exit_host(struct umbra_vcpu *vcpu);
int umbra_exit_shutdown(struct umbra_vcpu *vcpu);
int umbra_exit_cpuid(struct umbra_vcpu *vcpu, unsigned int length);
int umbra_exit_hlt(struct umbra_vcpu *vcpu, unsigned int length);
int umbra_exit_pause(struct umbra_vcpu *vcpu, unsigned int length);
int umbra_exit_msr(struct umbra_vcpu *vcpu, bool write, unsigned int length);
int umbra_exit_xsetbv(struct umbra_vcpu *vcpu, unsigned int length);
int umbra_exit_hypercall(struct umbra_vcpu *vcpu, unsigned int length);
int umbra_exit_invpcid(struct umbra_vcpu *vcpu, u64 type, u64 linear, unsigned int length);
int umbra_exit_mov_cr(struct umbra_vcpu *vcpu, bool write, unsigned int cr, unsigned int gpr,
		      unsigned int length);
int umbra_exit_fault(struct umbra_vcpu *vcpu, u64 address, u32 error_code);

void umbra_load_breakpoints(const struct umbra_vcpu *vcpu);
void umbra_save_breakpoints(struct umbra_vcpu *vcpu);
void umbra_host_machine_check(void);

#endif /* UMBRA_X86_EXIT_H */
