/* SPDX-License-Identifier: GPL-2.0-only */
/* Model-specific registers that the guest reads and writes through exits. */
#ifndef UMBRA_MSR_H
#define UMBRA_MSR_H

#include <linux/types.h>
#include <umbra/umbra.h>

struct umbra_vcpu;

/* Variable-range MTRRs, and the fixed ones of SDM Vol. 3 table 12-9, 64K to 4K. */
#define UMBRA_NR_VAR_MTRR	8
#define UMBRA_NR_FIXED_MTRR	11

/**
 * struct umbra_msr_state - MSRs kept by msr.c
 * @tsc_adjust: IA32_TSC_ADJUST
 * @tsc_aux: TSC_AUX; in the CPU's own while the vCPU is loaded
 * @misc_enable: IA32_MISC_ENABLE, the writable bits
 * @microcode: IA32_BIOS_SIGN_ID of Intel's, PATCH_LEVEL of AMD's
 * @hwcr: AMD's HWCR
 * @de_cfg: AMD's DE_CFG
 * @mcg_status: IA32_MCG_STATUS
 * @spec_ctrl: IA32_SPEC_CTRL; the backend runs the guest with what the host has
 *	and this
 * @mtrr_def_type: IA32_MTRR_DEF_TYPE
 * @mtrr_fixed: fixed-range MTRRs, 64K to 4K
 * @mtrr_base: IA32_MTRR_PHYSBASEn
 * @mtrr_mask: IA32_MTRR_PHYSMASKn
 *
 * Those that the CPU holds while the guest runs are the backend's.
 */
struct umbra_msr_state {
	u64 tsc_adjust;
	u64 tsc_aux;
	u64 misc_enable;
	u64 microcode;
	u64 hwcr;
	u64 de_cfg;
	u64 mcg_status;
	u64 spec_ctrl;
	u64 mtrr_def_type;
	u64 mtrr_fixed[UMBRA_NR_FIXED_MTRR];
	u64 mtrr_base[UMBRA_NR_VAR_MTRR];
	u64 mtrr_mask[UMBRA_NR_VAR_MTRR];
};

int umbra_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value, bool host);
int umbra_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value, bool host);
bool umbra_msr_quick(u32 index);
void umbra_msr_reset(struct umbra_vcpu *vcpu, bool init);
unsigned int umbra_msr_list(struct umbra_msr *list, unsigned int room);
#endif /* UMBRA_MSR_H */
