/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is planted into a VMCB: offsets are those of APM Vol. 2 B. Only into its
 * control area, as emulators leave in the save area what had not been there.
 */

static const struct plant svm_plants[] = {
	{ "ASID 0", 0x58, CLEAR(0xffffffff), "the ASID (0x0) is 0 (APM Vol. 2 15.5.1)", 0 },
	{ "no VMRUN intercept", 0x10, CLEAR(1), "lack VMRUN (APM Vol. 2 15.5.1)", 0 },
};
