// SPDX-License-Identifier: GPL-2.0-only
/* Shadow paging. */
#include "internal.h"

void umbra_shadow_drop_roots(struct umbra_vcpu *vcpu)
{
}

const struct umbra_mmu_strategy umbra_mmu_shadow = {
};
