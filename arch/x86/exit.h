/* SPDX-License-Identifier: GPL-2.0-only */
/* What the exit handlers of both vendors have in common. */
#ifndef UMBRA_X86_EXIT_H
#define UMBRA_X86_EXIT_H

#include <linux/types.h>

struct umbra_vcpu;

int umbra_access_msr(struct umbra_vcpu *vcpu, bool write);
void umbra_hypercall(struct umbra_vcpu *vcpu);

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
