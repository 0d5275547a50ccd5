// SPDX-License-Identifier: GPL-2.0-only
/*
 * The executor: fetch, decode, dispatch, commit.
 */
#include "exec.h"

/* An empty entry is an instruction that is left to user space. */
static const umbra_exec_fn exec_1byte[256] = {
	[0x00 ... 0x05] = umbra_exec_alu,
	[0x08 ... 0x0d] = umbra_exec_alu,
	[0x10 ... 0x15] = umbra_exec_alu,
	[0x18 ... 0x1d] = umbra_exec_alu,
	[0x20 ... 0x25] = umbra_exec_alu,
	[0x28 ... 0x2d] = umbra_exec_alu,
	[0x30 ... 0x35] = umbra_exec_alu,
	[0x38 ... 0x3d] = umbra_exec_alu,
	[0x06] = umbra_exec_push_seg,
	[0x07] = umbra_exec_pop_seg,
	[0x0e] = umbra_exec_push_seg,
	[0x16] = umbra_exec_push_seg,
	[0x17] = umbra_exec_pop_seg,
	[0x1e] = umbra_exec_push_seg,
	[0x1f] = umbra_exec_pop_seg,
	[0x27] = umbra_exec_daa_das,
	[0x2f] = umbra_exec_daa_das,
	[0x37] = umbra_exec_aaa_aas,
	[0x3f] = umbra_exec_aaa_aas,
	[0x40 ... 0x4f] = umbra_exec_inc_dec_reg,
	[0x50 ... 0x57] = umbra_exec_push_reg,
	[0x58 ... 0x5f] = umbra_exec_pop_reg,
	[0x60] = umbra_exec_pusha,
	[0x61] = umbra_exec_popa,
	[0x62] = umbra_exec_bound,
	[0x63] = umbra_exec_movsxd,
	[0x68] = umbra_exec_push_imm,
	[0x69] = umbra_exec_imul3,
	[0x6a] = umbra_exec_push_imm,
	[0x6b] = umbra_exec_imul3,
	[0x6c ... 0x6d] = umbra_exec_ins,
	[0x6e ... 0x6f] = umbra_exec_outs,
	[0x70 ... 0x7f] = umbra_exec_jcc,
	[0x80 ... 0x83] = umbra_exec_alu_imm,
	[0x84 ... 0x85] = umbra_exec_test,
	[0x86 ... 0x87] = umbra_exec_xchg,
	[0x88 ... 0x89] = umbra_exec_mov_rm_r,
	[0x8a ... 0x8b] = umbra_exec_mov_r_rm,
	[0x8c] = umbra_exec_mov_rm_seg,
	[0x8d] = umbra_exec_lea,
	[0x8e] = umbra_exec_mov_seg_rm,
	[0x8f] = umbra_exec_pop_rm,
	[0x90 ... 0x97] = umbra_exec_xchg_acc,
	[0x98] = umbra_exec_cbw,
	[0x99] = umbra_exec_cwd,
	[0x9a] = umbra_exec_far_imm,
	[0x9c] = umbra_exec_pushf,
	[0x9d] = umbra_exec_popf,
	[0x9e] = umbra_exec_sahf,
	[0x9f] = umbra_exec_lahf,
	[0xa0 ... 0xa3] = umbra_exec_mov_moffs,
	[0xa4 ... 0xa5] = umbra_exec_movs,
	[0xa6 ... 0xa7] = umbra_exec_cmps,
	[0xa8 ... 0xa9] = umbra_exec_test,
	[0xaa ... 0xab] = umbra_exec_stos,
	[0xac ... 0xad] = umbra_exec_lods,
	[0xae ... 0xaf] = umbra_exec_scas,
	[0xb0 ... 0xbf] = umbra_exec_mov_r_imm,
	[0xc0 ... 0xc1] = umbra_exec_shift,
	[0xc2 ... 0xc3] = umbra_exec_ret,
	[0xc4 ... 0xc5] = umbra_exec_load_far,
	[0xc6 ... 0xc7] = umbra_exec_mov_rm_imm,
	[0xc8] = umbra_exec_enter,
	[0xc9] = umbra_exec_leave,
	[0xca ... 0xcb] = umbra_exec_far_ret,
	[0xcc ... 0xce] = umbra_exec_int,
	[0xcf] = umbra_exec_iret,
	[0xd0 ... 0xd3] = umbra_exec_shift,
	[0xd4 ... 0xd5] = umbra_exec_aam_aad,
	[0xd6] = umbra_exec_salc,
	[0xd7] = umbra_exec_xlat,
	[0xe0 ... 0xe3] = umbra_exec_loop,
	[0xe4 ... 0xe5] = umbra_exec_in,
	[0xe6 ... 0xe7] = umbra_exec_out,
	[0xe8] = umbra_exec_call,
	[0xe9] = umbra_exec_jmp,
	[0xea] = umbra_exec_far_imm,
	[0xeb] = umbra_exec_jmp,
	[0xec ... 0xed] = umbra_exec_in,
	[0xee ... 0xef] = umbra_exec_out,
	[0xf4] = umbra_exec_hlt,
	[0xf5] = umbra_exec_flag_op,
	[0xf6 ... 0xf7] = umbra_exec_group3,
	[0xf8 ... 0xf9] = umbra_exec_flag_op,
	[0xfa] = umbra_exec_cli,
	[0xfb] = umbra_exec_sti,
	[0xfc ... 0xfd] = umbra_exec_flag_op,
	[0xfe] = umbra_exec_group4,
	[0xff] = umbra_exec_group5,
};

static const umbra_exec_fn exec_0f[256] = {
	[0x00] = umbra_exec_group6,
	[0x01] = umbra_exec_group7,
	[0x02 ... 0x03] = umbra_exec_lar_lsl,
	[0x06] = umbra_exec_clts,
	[0x08 ... 0x09] = umbra_exec_wbinvd,
	[0x0b] = umbra_exec_undefined,
	[0x0d] = umbra_exec_nop,
	[0x10 ... 0x13] = umbra_exec_vector,
	[0x16 ... 0x17] = umbra_exec_vector,
	[0x18 ... 0x19] = umbra_exec_nop,
	[0x1c ... 0x1f] = umbra_exec_nop,
	[0x20] = umbra_exec_mov_from_cr,
	[0x21] = umbra_exec_mov_from_dr,
	[0x22] = umbra_exec_mov_to_cr,
	[0x23] = umbra_exec_mov_to_dr,
	[0x28 ... 0x29] = umbra_exec_vector,
	[0x2b] = umbra_exec_vector,
	[0x30] = umbra_exec_wrmsr,
	[0x31] = umbra_exec_rdtsc,
	[0x32] = umbra_exec_rdmsr,
	[0x40 ... 0x4f] = umbra_exec_cmovcc,
	[0x6e ... 0x6f] = umbra_exec_vector,
	[0x7e ... 0x7f] = umbra_exec_vector,
	[0x80 ... 0x8f] = umbra_exec_jcc,
	[0x90 ... 0x9f] = umbra_exec_setcc,
	[0xa0] = umbra_exec_push_seg,
	[0xa1] = umbra_exec_pop_seg,
	[0xa2] = umbra_exec_cpuid,
	[0xa3] = umbra_exec_bit,
	[0xa4 ... 0xa5] = umbra_exec_shift_double,
	[0xa8] = umbra_exec_push_seg,
	[0xa9] = umbra_exec_pop_seg,
	[0xab] = umbra_exec_bit,
	[0xac ... 0xad] = umbra_exec_shift_double,
	[0xae] = umbra_exec_group15,
	[0xaf] = umbra_exec_imul2,
	[0xb0 ... 0xb1] = umbra_exec_cmpxchg,
	[0xb2] = umbra_exec_load_far,
	[0xb3] = umbra_exec_bit,
	[0xb4 ... 0xb5] = umbra_exec_load_far,
	[0xb6 ... 0xb7] = umbra_exec_movx,
	[0xb9] = umbra_exec_undefined,
	[0xba ... 0xbb] = umbra_exec_bit,
	[0xbc ... 0xbd] = umbra_exec_bit_scan,
	[0xbe ... 0xbf] = umbra_exec_movx,
	[0xc0 ... 0xc1] = umbra_exec_xadd,
	[0xc3] = umbra_exec_movnti,
	[0xc7] = umbra_exec_group9,
	[0xc8 ... 0xcf] = umbra_exec_bswap,
	[0xd6] = umbra_exec_vector,
	[0xe7] = umbra_exec_vector,
	[0xf0] = umbra_exec_vector,
	[0xff] = umbra_exec_undefined,
};

/* 0f 38: there are too few to give them a table. */
static umbra_exec_fn find_0f38(unsigned int opcode)
{
	switch (opcode) {
	case 0x2a:
		return umbra_exec_vector;
	case 0xf0:
	case 0xf1:
		return umbra_exec_movbe;
	default:
		return NULL;
	}
}

static umbra_exec_fn find_handler(const struct umbra_insn *insn)
{
	umbra_exec_fn fn = NULL;

	if (insn->map == UMBRA_MAP_1BYTE)
		fn = exec_1byte[insn->opcode];
	else if (insn->map == UMBRA_MAP_0F)
		fn = exec_0f[insn->opcode];
	else if (insn->map == UMBRA_MAP_0F38)
		fn = find_0f38(insn->opcode);

	/* Behind VEX the same opcodes mean the same only for the vector moves. */
	if (unlikely(insn->flags & UMBRA_INSN_VEX) && fn != umbra_exec_vector)
		return NULL;
	if (unlikely(insn->flags & (UMBRA_INSN_EVEX | UMBRA_INSN_XOP)))
		return NULL;
	return fn;
}

/*
 * Get more of the instruction's bytes: up to the end of the page, of the code
 * segment, or of the longest instruction, whichever comes first. Only called
 * when what is there does not suffice; so a fault is one the CPU would raise.
 */
static noinline int fetch_more(struct umbra_emul *c)
{
	u64 linear = c->rip + c->fetch_len;
	unsigned int len = UMBRA_INSN_MAX - c->fetch_len;
	int ret;

	if (c->code == UMBRA_CODE_64) {
		if (!umbra_exec_is_canonical(c, linear))
			return umbra_exec_gp(c);
	} else {
		u64 offset = (u32)c->rip + (u64)c->fetch_len;
		struct umbra_emul_seg *cs;

		ret = umbra_exec_segment(c, UMBRA_EMUL_CS, &cs);
		if (ret)
			return ret;
		if (offset > cs->limit)
			return umbra_exec_gp(c);
		len = min_t(u64, len, cs->limit - offset + 1);
		linear = (u32)(cs->base + offset);
	}
	len = min_t(u64, len, PAGE_SIZE - (linear & ~PAGE_MASK));

	ret = c->ops->fetch(c, linear, c->fetch + c->fetch_len, len);
	if (!ret)
		c->fetch_len += len;
	return ret;
}

static int fetch_and_decode(struct umbra_emul *c)
{
	int ret;

	for (;;) {
		switch (umbra_decode(&c->insn, c->fetch, c->fetch_len, c->code)) {
		case 0:
			return UMBRA_EMUL_DONE;
		case -EAGAIN:
			ret = fetch_more(c);
			if (ret)
				return ret;
			break;
		case -E2BIG:
			return umbra_exec_gp(c);
		case -EINVAL:
			return umbra_exec_ud(c);
		default:
			return UMBRA_EMUL_UNHANDLED;
		}
	}
}

int umbra_emulate(struct umbra_emul *c)
{
	const struct umbra_insn *insn = &c->insn;
	bool step = c->rflags & X86_EFLAGS_TF;
	umbra_exec_fn fn;
	int ret;

	if (!insn->length) {
		ret = fetch_and_decode(c);
		if (ret)
			return ret;
	}

	/* SDM Vol. 2A, 2.3.1: no such prefixes in real and virtual-8086 mode */
	if (unlikely(insn->flags & (UMBRA_INSN_VEX | UMBRA_INSN_EVEX | UMBRA_INSN_XOP)) &&
	    (umbra_exec_is_real(c) || umbra_exec_is_vm86(c)))
		return umbra_exec_ud(c);

	fn = find_handler(insn);
	if (!fn)
		return UMBRA_EMUL_UNHANDLED;

	c->next_rip = umbra_insn_next_rip(insn, c->rip);
	ret = fn(c);
	if (ret)
		return ret;

	/* The one place where RIP moves. */
	c->rip = c->next_rip;
	if (likely(!(c->events & UMBRA_EMUL_EV_IRET)))
		c->rflags &= ~(u64)X86_EFLAGS_RF;
	if (unlikely(step) && !(c->events & (UMBRA_EMUL_EV_MOVSS | UMBRA_EMUL_EV_INT)))
		c->events |= UMBRA_EMUL_EV_STEP;
	return UMBRA_EMUL_DONE;
}
