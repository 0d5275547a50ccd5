/* SPDX-License-Identifier: GPL-2.0-only */
/* What insn*.c, pio.c and taskswitch.c share: they join the executor to a vCPU. */
#ifndef UMBRA_INSN_H
#define UMBRA_INSN_H

#include <linux/mm.h>
#include <asm/trapnr.h>
#include "umbra.h"

static inline struct umbra_vcpu *umbra_insn_vcpu(struct umbra_emul *c)
{
	return container_of(c, struct umbra_vcpu, arch.emul);
}

static inline int umbra_insn_gp_if(struct umbra_emul *c, int bad)
{
	return bad ? umbra_emul_fault(c, X86_TRAP_GP, true, 0) : UMBRA_EMUL_DONE;
}

/* How many of these bytes lie on the page of the first one. */
static inline unsigned int umbra_insn_in_page(u64 linear, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(linear));
}

/* insn.c */
void umbra_insn_prepare(struct umbra_vcpu *vcpu);
void umbra_insn_inject_fault(struct umbra_vcpu *vcpu);
int umbra_insn_report_failure(struct umbra_vcpu *vcpu);
int umbra_insn_finish(struct umbra_vcpu *vcpu);
const struct umbra_decoded *umbra_decoded_at_rip(struct umbra_vcpu *vcpu);

/* mmio.c */
void umbra_mmio_classify(struct umbra_decoded *d);

/* insn_memory.c */
int umbra_insn_fetch(struct umbra_emul *c, u64 linear, void *data, unsigned int len);
int umbra_insn_read(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
		    unsigned int flags);
int umbra_insn_write(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
		     unsigned int flags);
int umbra_insn_compare_exchange(struct umbra_emul *c, u64 linear, const void *old,
				const void *new, unsigned int len, unsigned int flags);

/* pio.c */
int umbra_insn_io_allowed(struct umbra_emul *c, u16 port, unsigned int size);
int umbra_insn_pio_in(struct umbra_emul *c, u16 port, unsigned int size, void *data,
		      unsigned int count);
int umbra_insn_pio_out(struct umbra_emul *c, u16 port, unsigned int size, const void *data,
		       unsigned int count);

/* insn_ops.c */
extern const struct umbra_emul_ops umbra_insn_ops;

#endif /* UMBRA_INSN_H */
