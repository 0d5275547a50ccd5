/* SPDX-License-Identifier: GPL-2.0-only */
/* VT-x: why an entry failed; what the files of checks share. */
#ifndef UMBRA_VMX_CHECK_H
#define UMBRA_VMX_CHECK_H

#include <linux/types.h>

/**
 * struct vmx_check - a check of an entry that fails
 * @section: of the SDM, volume 3
 * @subject: what is wrong
 * @wrong: what is wrong with it; NULL: every check passes
 * @value: what it is
 */
struct vmx_check {
	const char *section;
	const char *subject;
	const char *wrong;
	u64 value;
};

/* Note what is wrong; true, for "return". */
static inline bool vmx_refuse(struct vmx_check *c, const char *subject, u64 value,
			      const char *wrong)
{
	c->subject = subject;
	c->value = value;
	c->wrong = wrong;
	return true;
}

bool vmx_canonical(u64 address);
bool vmx_beyond_physical(u64 address);
bool vmx_pat_valid(u64 pat);
bool vmx_check_controls(struct vmx_check *c);
bool vmx_check_host(struct vmx_check *c);

#endif /* UMBRA_VMX_CHECK_H */
