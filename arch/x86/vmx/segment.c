// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: segment and descriptor-table registers (SDM Vol. 3 25.4.1, 27.3.1.2). */
#include <asm/processor-flags.h>
#include "vmx.h"

/* A descriptor's bits as the VMCS has them, which is also how struct umbra_segment does. */
#define ATTR_MASK	(UMBRA_SEG_TYPE | UMBRA_SEG_S | UMBRA_SEG_DPL | UMBRA_SEG_P |	\
			 UMBRA_SEG_AVL | UMBRA_SEG_L | UMBRA_SEG_DB | UMBRA_SEG_G)
#define TYPE_ACCESSED	1
#define TYPE_BUSY	2

/* The fields of segment registers follow each other in the order of enum umbra_seg. */
static unsigned long field(unsigned long es_field, int seg)
{
	return es_field + 2 * seg;
}

static u32 cs_attr(struct vmx_vcpu *vmx)
{
	if (!(vmx->cached & BIT(VMX_CACHED_CS_ATTR))) {
		vmx->cached |= BIT(VMX_CACHED_CS_ATTR);
		vmx->cs_attr = vmcs_read(GUEST_CS_AR_BYTES);
	}
	return vmx->cs_attr;
}

static u32 ss_attr(struct vmx_vcpu *vmx)
{
	if (!(vmx->cached & BIT(VMX_CACHED_SS_ATTR))) {
		vmx->cached |= BIT(VMX_CACHED_SS_ATTR);
		vmx->ss_attr = vmcs_read(GUEST_SS_AR_BYTES);
	}
	return vmx->ss_attr;
}

static u64 cs_base(struct vmx_vcpu *vmx)
{
	if (!(vmx->cached & BIT(VMX_CACHED_CS_BASE))) {
		vmx->cached |= BIT(VMX_CACHED_CS_BASE);
		vmx->cs_base = vmcs_read(GUEST_CS_BASE);
	}
	return vmx->cs_base;
}

/**
 * vmx_get_segment() - read a segment register
 * @vcpu: the vCPU, loaded
 * @seg: enum umbra_seg
 * @s: where to put it
 */
void vmx_get_segment(struct umbra_vcpu *vcpu, int seg, struct umbra_segment *s)
{
	memset(s, 0, sizeof(*s));
	s->base = vmcs_read(field(GUEST_ES_BASE, seg));
	s->limit = vmcs_read(field(GUEST_ES_LIMIT, seg));
	s->selector = vmcs_read(field(GUEST_ES_SELECTOR, seg));
	if (unlikely(to_vmx(vcpu)->mode == VMX_VM86) && seg <= UMBRA_GS)
		s->attr = to_vmx(vcpu)->real_attr[seg];
	else
		s->attr = vmcs_read(field(GUEST_ES_AR_BYTES, seg));
	/* Of one that is unusable the rest means nothing, but for SS.DPL, the CPL. */
	if (s->attr & UMBRA_SEG_UNUSABLE)
		s->attr &= UMBRA_SEG_UNUSABLE | (seg == UMBRA_SS ? UMBRA_SEG_DPL : 0);
}

/*
 * What the checks at entry want of a register that was loaded: the limit and
 * its granularity agree, code and data were accessed, the task is busy.
 */
static u32 entry_attr(int seg, const struct umbra_segment *s)
{
	u32 attr = s->attr & ATTR_MASK;

	if (s->attr & UMBRA_SEG_UNUSABLE || !(s->attr & UMBRA_SEG_P))
		return UMBRA_SEG_UNUSABLE | (seg == UMBRA_SS ? s->attr & UMBRA_SEG_DPL : 0);
	if (s->limit >> 20)
		attr |= UMBRA_SEG_G;
	else if ((s->limit & 0xfff) != 0xfff)
		attr &= ~UMBRA_SEG_G;
	if (seg == UMBRA_TR)
		attr |= TYPE_BUSY;
	else if (attr & UMBRA_SEG_S)
		attr |= TYPE_ACCESSED;
	return attr;
}

/**
 * vmx_set_segment() - write a segment register
 * @vcpu: the vCPU, loaded
 * @seg: enum umbra_seg
 * @s: its value
 */
void vmx_set_segment(struct umbra_vcpu *vcpu, int seg, const struct umbra_segment *s)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->cached &= ~(BIT(VMX_CACHED_CS_ATTR) | BIT(VMX_CACHED_SS_ATTR) |
			 BIT(VMX_CACHED_CS_BASE));
	vmcs_write(field(GUEST_ES_BASE, seg), s->base);
	vmcs_write(field(GUEST_ES_SELECTOR, seg), s->selector);
	if (unlikely(vmx->mode == VMX_VM86) && seg <= UMBRA_GS) {
		if (vmx_fits_vm86(seg, s)) {
			vmx->real_attr[seg] = entry_attr(seg, s);
			return;
		}
		vmx_leave_vm86(vcpu);
	}
	vmcs_write(field(GUEST_ES_LIMIT, seg), s->limit);
	vmcs_write(field(GUEST_ES_AR_BYTES, seg), entry_attr(seg, s));
	if (!vmx->unrestricted)
		vmx_recheck(vcpu);
}

/**
 * vmx_get_code() - the code the guest runs
 * @vcpu: the vCPU, loaded
 * @code: where to put it
 *
 * SS.DPL is the CPL in every mode but real mode (25.4.1).
 */
void vmx_get_code(struct umbra_vcpu *vcpu, struct umbra_code *code)
{
	const struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (unlikely(!(arch->cr0 & X86_CR0_PE) || arch->rflags & X86_EFLAGS_VM)) {
		code->size = UMBRA_CODE_16;
		code->cpl = arch->cr0 & X86_CR0_PE ? 3 : 0;
		code->base = cs_base(vmx);
		return;
	}
	code->cpl = (ss_attr(vmx) & UMBRA_SEG_DPL) >> UMBRA_SEG_DPL_SHIFT;
	if (arch->efer & EFER_LMA && cs_attr(vmx) & UMBRA_SEG_L) {
		code->size = UMBRA_CODE_64;
		code->base = 0;
	} else {
		code->size = cs_attr(vmx) & UMBRA_SEG_DB ? UMBRA_CODE_32 : UMBRA_CODE_16;
		code->base = cs_base(vmx);
	}
}

/**
 * vmx_get_table() - read GDTR or IDTR
 * @vcpu: the vCPU, loaded
 * @idt: IDTR
 * @t: where to put it
 */
void vmx_get_table(struct umbra_vcpu *vcpu, bool idt, struct umbra_table *t)
{
	*t = (struct umbra_table) {
		.base = vmcs_read(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE),
		.limit = vmcs_read(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT),
	};
}

/**
 * vmx_set_table() - write GDTR or IDTR
 * @vcpu: the vCPU, loaded
 * @idt: IDTR
 * @t: its value
 */
void vmx_set_table(struct umbra_vcpu *vcpu, bool idt, const struct umbra_table *t)
{
	vmcs_write(idt ? GUEST_IDTR_BASE : GUEST_GDTR_BASE, t->base);
	vmcs_write(idt ? GUEST_IDTR_LIMIT : GUEST_GDTR_LIMIT, t->limit);
}
