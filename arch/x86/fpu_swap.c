// SPDX-License-Identifier: GPL-2.0-only
/* May FPU registers be swapped without the kernel's function? See fpu.h. */
#include <linux/moduleparam.h>
#include "fpu.h"

DEFINE_STATIC_KEY_FALSE(umbra_fpu_fast);

#ifdef UMBRA_HAVE_TASK_FPSTATE

static bool fpu_fast = true;
module_param(fpu_fast, bool, 0444);
MODULE_PARM_DESC(fpu_fast, "swap FPU registers without the kernel's function where possible");

/* XCOMP_BV: the area has the compacted format (SDM Vol. 1 13.4.3). */
#define COMPACTED		BIT_ULL(63)

/**
 * umbra_fpu_swap_init() - find out whether registers can be swapped the short way
 * @fpstate: of a guest, as the kernel has made it
 *
 * The instructions in fpu.h follow from the same features as the kernel's. That
 * they write the format that the kernel has prepared the area for confirms it.
 */
void umbra_fpu_swap_init(const struct fpstate *fpstate)
{
	bool compacted = boot_cpu_has(X86_FEATURE_XSAVEC) || boot_cpu_has(X86_FEATURE_XSAVES);

	if (fpu_fast && boot_cpu_has(X86_FEATURE_XSAVE) &&
	    compacted == !!(fpstate->regs.xsave.header.xcomp_bv & COMPACTED))
		static_branch_enable(&umbra_fpu_fast);
}

#else

void umbra_fpu_swap_init(const struct fpstate *fpstate)
{
}

#endif
