/* SPDX-License-Identifier: GPL-2.0-only */
/* VT-x: what firmware says in IA32_FEATURE_CONTROL (SDM Vol. 3 24.7). */
#ifndef UMBRA_VMX_FEATURE_H
#define UMBRA_VMX_FEATURE_H

#include <linux/types.h>
#include <asm/msr-index.h>

/**
 * vmx_feature_refuses() - may VMX operation be entered?
 * @control: IA32_FEATURE_CONTROL
 *
 * Return: NULL if so, perhaps after vmx_feature_open(); else why not.
 */
static inline const char *vmx_feature_refuses(u64 control)
{
	if (!(control & FEAT_CTL_LOCKED) || control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)
		return NULL;
	if (control & FEAT_CTL_VMX_ENABLED_INSIDE_SMX)
		return "the firmware allows VT-x after a measured launch (TXT) only";
	return "VT-x is turned off; turn it on in the firmware's setup (Virtualization)";
}

/**
 * vmx_feature_open() - what IA32_FEATURE_CONTROL must be for VMXON
 * @control: what it is
 *
 * Left open by the firmware it is ours to set, and to lock, as the CPU demands.
 * What the firmware has allowed besides stays.
 *
 * Return: the value; @control itself if it is locked.
 */
static inline u64 vmx_feature_open(u64 control)
{
	if (control & FEAT_CTL_LOCKED)
		return control;
	return control | FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
}

#endif /* UMBRA_VMX_FEATURE_H */
