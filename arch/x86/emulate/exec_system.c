// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control and debug registers, MSRs, interrupts on and off, and what else belongs
 * to the kernel of the guest.
 */
#include "exec.h"

static int require_cpl0(struct umbra_emul *c)
{
	return c->cpl ? umbra_exec_gp(c) : UMBRA_EMUL_DONE;
}

/* There are CR0, CR2, CR3, CR4 and CR8. */
static int check_cr(struct umbra_emul *c, unsigned int *cr)
{
	*cr = umbra_insn_cr(&c->insn);
	if (*cr > 8 || !(BIT(*cr) & (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(8))))
		return umbra_exec_ud(c);
	return require_cpl0(c);
}

/* 0f 20 */
int umbra_exec_mov_from_cr(struct umbra_emul *c)
{
	unsigned int cr;
	u64 value;
	int ret;

	ret = check_cr(c, &cr);
	if (!ret)
		ret = c->ops->get_cr(c, cr, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, c->insn.rm, c->insn.opsize, value);
	return UMBRA_EMUL_DONE;
}

/* 0f 22 */
int umbra_exec_mov_to_cr(struct umbra_emul *c)
{
	unsigned int cr;
	int ret;

	ret = check_cr(c, &cr);
	return ret ?: c->ops->set_cr(c, cr, umbra_exec_reg(c, c->insn.rm, c->insn.opsize));
}

/* DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE is set. */
static int check_dr(struct umbra_emul *c, unsigned int *dr)
{
	*dr = c->insn.reg;
	if (*dr == 4 || *dr == 5) {
		if (c->cr4 & X86_CR4_DE)
			return umbra_exec_ud(c);
		*dr += 2;
	}
	if (*dr > 7)
		return umbra_exec_ud(c);
	return require_cpl0(c);
}

/* 0f 21 */
int umbra_exec_mov_from_dr(struct umbra_emul *c)
{
	unsigned int dr;
	u64 value;
	int ret;

	ret = check_dr(c, &dr);
	if (!ret)
		ret = c->ops->get_dr(c, dr, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, c->insn.rm, c->insn.opsize, value);
	return UMBRA_EMUL_DONE;
}

/* 0f 23 */
int umbra_exec_mov_to_dr(struct umbra_emul *c)
{
	unsigned int dr;
	int ret;

	ret = check_dr(c, &dr);
	return ret ?: c->ops->set_dr(c, dr, umbra_exec_reg(c, c->insn.rm, c->insn.opsize));
}

/* 0f 06 */
int umbra_exec_clts(struct umbra_emul *c)
{
	int ret = require_cpl0(c);

	return ret ?: c->ops->set_cr(c, 0, c->cr0 & ~(u64)X86_CR0_TS);
}

/* User-mode instruction prevention: SGDT, SIDT, SLDT, STR, SMSW. */
static int check_umip(struct umbra_emul *c)
{
	return (c->cr4 & X86_CR4_UMIP) && c->cpl ? umbra_exec_gp(c) : UMBRA_EMUL_DONE;
}

static int smsw(struct umbra_emul *c)
{
	int ret = check_umip(c);

	return ret ?: umbra_exec_rm_write(c, c->insn.flags & UMBRA_INSN_MEM ? 2 : c->insn.opsize,
					  c->cr0);
}

/* LMSW writes PE, MP, EM and TS, and can't clear PE. */
static int lmsw(struct umbra_emul *c)
{
	u64 value, mask = X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
	int ret;

	ret = require_cpl0(c);
	if (!ret)
		ret = umbra_exec_rm_read(c, 2, &value);
	if (ret)
		return ret;
	value = (c->cr0 & ~(mask & ~(u64)X86_CR0_PE)) | (value & mask);
	return c->ops->set_cr(c, 0, value);
}

/* SGDT, SIDT: limit and base, the latter as wide as the mode has addresses */
static int store_table(struct umbra_emul *c, unsigned int reg)
{
	unsigned int len = c->code == UMBRA_CODE_64 ? 10 : 6;
	struct umbra_emul_seg s;
	u8 image[10];
	u64 linear;
	u16 limit;
	int ret;

	ret = check_umip(c);
	if (!ret)
		ret = c->ops->get_segment(c, reg, &s);
	if (!ret)
		ret = umbra_exec_linear(c, c->insn.seg, umbra_exec_offset(c), len, 1, UMBRA_STORE,
					&linear);
	if (ret)
		return ret;
	limit = s.limit;
	memcpy(image, &limit, 2);
	memcpy(image + 2, &s.base, 8);
	return umbra_exec_mem_write(c, linear, image, len, 0);
}

static int load_table(struct umbra_emul *c, unsigned int reg)
{
	unsigned int len = c->code == UMBRA_CODE_64 ? 10 : 6;
	struct umbra_emul_seg s = { 0 };
	u8 image[10] = { 0 };
	u64 linear;
	u16 limit;
	int ret;

	ret = require_cpl0(c);
	if (!ret)
		ret = umbra_exec_linear(c, c->insn.seg, umbra_exec_offset(c), len, 1, UMBRA_LOAD,
					&linear);
	if (!ret)
		ret = umbra_exec_mem_read(c, linear, image, len, 0);
	if (ret)
		return ret;
	memcpy(&limit, image, 2);
	memcpy(&s.base, image + 2, 8);
	s.limit = limit;
	/* 16-bit operands bring 24 bits of base (SDM Vol. 2A, LGDT). */
	if (c->insn.opsize == 2 && c->code != UMBRA_CODE_64)
		s.base &= 0xffffff;
	if (!umbra_exec_is_canonical(c, s.base))
		return umbra_exec_gp(c);
	return c->ops->set_segment(c, reg, &s);
}

/* INVLPG checks neither limits nor canonical form; the latter just does nothing. */
static int invlpg(struct umbra_emul *c)
{
	u64 linear = umbra_exec_offset(c);
	struct umbra_emul_seg *s;
	int ret;

	ret = require_cpl0(c);
	if (ret)
		return ret;
	if (c->code != UMBRA_CODE_64 || c->insn.seg >= UMBRA_EMUL_FS) {
		ret = umbra_exec_segment(c, c->insn.seg, &s);
		if (ret)
			return ret;
		linear += s->base;
	}
	if (c->code != UMBRA_CODE_64)
		linear = (u32)linear;
	if (!umbra_exec_is_canonical(c, linear))
		return UMBRA_EMUL_DONE;
	return c->ops->invlpg(c, linear);
}

/* EDX:EAX, as the instructions that deliver or take 64 bits see it */
static u64 get_edx_eax(const struct umbra_emul *c)
{
	return (u32)c->gpr[UMBRA_EMUL_RAX] | c->gpr[UMBRA_EMUL_RDX] << 32;
}

static void set_edx_eax(struct umbra_emul *c, u64 value)
{
	c->gpr[UMBRA_EMUL_RAX] = (u32)value;
	c->gpr[UMBRA_EMUL_RDX] = value >> 32;
}

static int xgetbv(struct umbra_emul *c)
{
	u64 value;
	int ret;

	if (!(c->cr4 & X86_CR4_OSXSAVE))
		return umbra_exec_ud(c);
	ret = c->ops->get_xcr(c, c->gpr[UMBRA_EMUL_RCX], &value);
	if (!ret)
		set_edx_eax(c, value);
	return ret;
}

static int xsetbv(struct umbra_emul *c)
{
	int ret;

	if (!(c->cr4 & X86_CR4_OSXSAVE))
		return umbra_exec_ud(c);
	ret = require_cpl0(c);
	return ret ?: c->ops->set_xcr(c, c->gpr[UMBRA_EMUL_RCX], get_edx_eax(c));
}

static int read_tsc(struct umbra_emul *c, bool aux)
{
	u64 tsc, tsc_aux = 0;
	int ret;

	if ((c->cr4 & X86_CR4_TSD) && c->cpl)
		return umbra_exec_gp(c);
	ret = c->ops->rdmsr(c, MSR_IA32_TSC, &tsc);
	if (!ret && aux)
		ret = c->ops->rdmsr(c, MSR_TSC_AUX, &tsc_aux);
	if (ret)
		return ret;
	set_edx_eax(c, tsc);
	if (aux)
		c->gpr[UMBRA_EMUL_RCX] = (u32)tsc_aux;
	return UMBRA_EMUL_DONE;
}

/* 0f 31: RDTSC */
int umbra_exec_rdtsc(struct umbra_emul *c)
{
	return read_tsc(c, false);
}

/* 0f 01: descriptor tables, SMSW, LMSW, INVLPG, and by whole ModRM bytes some more */
int umbra_exec_group7(struct umbra_emul *c)
{
	unsigned int ext = (c->insn.modrm >> 3) & 7;

	if (ext == 4)
		return smsw(c);
	if (ext == 6)
		return lmsw(c);

	if (!(c->insn.flags & UMBRA_INSN_MEM)) {
		switch (c->insn.modrm) {
		case 0xd0:
			return xgetbv(c);
		case 0xd1:
			return xsetbv(c);
		case 0xf9:
			return read_tsc(c, true);
		default:
			return UMBRA_EMUL_UNHANDLED;
		}
	}

	switch (ext) {
	case 0:
	case 1:
		return store_table(c, ext ? UMBRA_EMUL_IDTR : UMBRA_EMUL_GDTR);
	case 2:
	case 3:
		return load_table(c, ext == 3 ? UMBRA_EMUL_IDTR : UMBRA_EMUL_GDTR);
	case 7:
		return invlpg(c);
	default:
		return UMBRA_EMUL_UNHANDLED;
	}
}

/* Virtual interrupts: SDM Vol. 3B, 21.3 (VME) and 21.4 (PVI) */
static bool virtual_interrupts(const struct umbra_emul *c)
{
	if (umbra_exec_is_vm86(c))
		return c->cr4 & X86_CR4_VME;
	return c->cpl == 3 && (c->cr4 & X86_CR4_PVI);
}

static bool may_change_if(const struct umbra_emul *c)
{
	return umbra_exec_is_real(c) || c->cpl <= umbra_exec_iopl(c);
}

/* fa */
int umbra_exec_cli(struct umbra_emul *c)
{
	if (may_change_if(c))
		c->rflags &= ~(u64)X86_EFLAGS_IF;
	else if (virtual_interrupts(c))
		c->rflags &= ~(u64)X86_EFLAGS_VIF;
	else
		return umbra_exec_gp(c);
	return UMBRA_EMUL_DONE;
}

/* fb */
int umbra_exec_sti(struct umbra_emul *c)
{
	if (may_change_if(c)) {
		if (!(c->rflags & X86_EFLAGS_IF))
			c->events |= UMBRA_EMUL_EV_STI;
		c->rflags |= X86_EFLAGS_IF;
		return UMBRA_EMUL_DONE;
	}
	if (!virtual_interrupts(c) || (c->rflags & X86_EFLAGS_VIP))
		return umbra_exec_gp(c);
	c->rflags |= X86_EFLAGS_VIF;
	return UMBRA_EMUL_DONE;
}

/* f4 */
int umbra_exec_hlt(struct umbra_emul *c)
{
	int ret = require_cpl0(c);

	return ret ?: c->ops->halt(c);
}

/* 0f a2 */
int umbra_exec_cpuid(struct umbra_emul *c)
{
	u32 eax = c->gpr[UMBRA_EMUL_RAX], ecx = c->gpr[UMBRA_EMUL_RCX], ebx = 0, edx = 0;
	int ret;

	ret = c->ops->cpuid(c, &eax, &ebx, &ecx, &edx);
	if (ret)
		return ret;
	c->gpr[UMBRA_EMUL_RAX] = eax;
	c->gpr[UMBRA_EMUL_RBX] = ebx;
	c->gpr[UMBRA_EMUL_RCX] = ecx;
	c->gpr[UMBRA_EMUL_RDX] = edx;
	return UMBRA_EMUL_DONE;
}

/* 0f 32 */
int umbra_exec_rdmsr(struct umbra_emul *c)
{
	u64 value;
	int ret;

	ret = require_cpl0(c);
	if (!ret)
		ret = c->ops->rdmsr(c, c->gpr[UMBRA_EMUL_RCX], &value);
	if (!ret)
		set_edx_eax(c, value);
	return ret;
}

/* 0f 30 */
int umbra_exec_wrmsr(struct umbra_emul *c)
{
	int ret = require_cpl0(c);

	return ret ?: c->ops->wrmsr(c, c->gpr[UMBRA_EMUL_RCX], get_edx_eax(c));
}

/* 0f 08, 0f 09: INVD, WBINVD */
int umbra_exec_wbinvd(struct umbra_emul *c)
{
	int ret = require_cpl0(c);

	return ret ?: c->ops->wbinvd(c);
}

/* NOPs and prefetches; their memory operands are not accessed, nor checked. */
int umbra_exec_nop(struct umbra_emul *c)
{
	return UMBRA_EMUL_DONE;
}

/* 0f ae: fences and cache line flushes; the rest (FXSAVE, ...) is not done here. */
int umbra_exec_group15(struct umbra_emul *c)
{
	unsigned int ext = (c->insn.modrm >> 3) & 7;
	u64 linear;
	u8 byte;
	int ret;

	if (c->insn.rep)
		return UMBRA_EMUL_UNHANDLED;
	if (!(c->insn.flags & UMBRA_INSN_MEM)) {
		if (ext < 5 || (c->insn.flags & UMBRA_INSN_OP66))
			return UMBRA_EMUL_UNHANDLED;
		return UMBRA_EMUL_DONE;
	}
	if (ext != 7 && !(ext == 6 && (c->insn.flags & UMBRA_INSN_OP66)))
		return UMBRA_EMUL_UNHANDLED;

	/*
	 * CLFLUSH, CLFLUSHOPT, CLWB: nothing to flush, but they fault as loads do. (Segments
	 * may be execute-only, SDM Vol. 2A, CLFLUSH.)
	 */
	ret = umbra_exec_linear(c, c->insn.seg, umbra_exec_offset(c), 1, 1, UMBRA_FLUSH,
				&linear);
	return ret ?: umbra_exec_mem_read(c, linear, &byte, 1, UMBRA_EMUL_PROBE);
}

/* 0f 0b, 0f b9, 0f ff: UD2, UD1, UD0 */
int umbra_exec_undefined(struct umbra_emul *c)
{
	return umbra_exec_ud(c);
}
