/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the executor share. Private to this folder.
 *
 * A handler executes one opcode (or a row of similar ones). It reads everything
 * it needs, then writes memory at most once, then changes registers and flags: so
 * it can be stopped by any callback, and run again, without anyone noticing. RIP
 * is not its business; a branch sets c->next_rip.
 */
#ifndef UMBRA_EMULATE_EXEC_H
#define UMBRA_EMULATE_EXEC_H

#include "emulate.h"

#define UMBRA_FLAGS_ARITH	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
				 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF)

/* Most elements of a string instruction before interrupts get a chance */
#define UMBRA_STRING_BATCH	512

typedef int (*umbra_exec_fn)(struct umbra_emul *c);

/*
 * Modes
 */

static inline bool umbra_exec_is_real(const struct umbra_emul *c)
{
	return !(c->cr0 & X86_CR0_PE);
}

static inline bool umbra_exec_is_vm86(const struct umbra_emul *c)
{
	return (c->rflags & X86_EFLAGS_VM) && !umbra_exec_is_real(c);
}

/* Modes in which a selector is a base address */
static inline bool umbra_exec_is_flat16(const struct umbra_emul *c)
{
	return umbra_exec_is_real(c) || umbra_exec_is_vm86(c);
}

static inline unsigned int umbra_exec_iopl(const struct umbra_emul *c)
{
	return (c->rflags & X86_EFLAGS_IOPL) >> X86_EFLAGS_IOPL_BIT;
}

/*
 * Exceptions
 */

static inline int umbra_exec_ud(struct umbra_emul *c)
{
	return umbra_emul_fault(c, X86_TRAP_UD, false, 0);
}

static inline int umbra_exec_gp(struct umbra_emul *c)
{
	return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
}

/*
 * Values
 */

static inline u64 umbra_exec_mask(unsigned int size)
{
	return ~0ULL >> (64 - 8 * size);
}

static inline u64 umbra_exec_sign_bit(unsigned int size)
{
	return 1ULL << (8 * size - 1);
}

static inline s64 umbra_exec_sign_extend(u64 value, unsigned int size)
{
	unsigned int above = 64 - 8 * size;

	return (s64)(value << above) >> above;
}

/* PF, ZF and SF of a result */
static inline u64 umbra_exec_szp(u64 result, unsigned int size)
{
	u64 flags = 0;

	result &= umbra_exec_mask(size);
	if (!result)
		flags |= X86_EFLAGS_ZF;
	if (result & umbra_exec_sign_bit(size))
		flags |= X86_EFLAGS_SF;
	/* Bit n of the constant: is the number of ones in n even? */
	if ((0x9669 >> ((result ^ (result >> 4)) & 15)) & 1)
		flags |= X86_EFLAGS_PF;
	return flags;
}

static inline void umbra_exec_set_flags(struct umbra_emul *c, u64 mask, u64 flags)
{
	c->rflags = (c->rflags & ~mask) | (flags & mask);
}

/*
 * General registers
 */

/* Without REX, byte registers 4..7 are AH, CH, DH and BH. */
static inline bool umbra_exec_is_high_byte(const struct umbra_emul *c, unsigned int reg,
					   unsigned int size)
{
	return size == 1 && (reg & ~3u) == 4 && !(c->insn.flags & UMBRA_INSN_REX);
}

static inline u64 umbra_exec_reg(const struct umbra_emul *c, unsigned int reg, unsigned int size)
{
	if (umbra_exec_is_high_byte(c, reg, size))
		return (u8)(c->gpr[reg - 4] >> 8);
	return c->gpr[reg] & umbra_exec_mask(size);
}

static inline void umbra_exec_set_reg(struct umbra_emul *c, unsigned int reg, unsigned int size,
				      u64 value)
{
	u64 *r = &c->gpr[reg];

	if (size == 8)
		*r = value;
	else if (size == 4)
		*r = (u32)value;
	else if (size == 2)
		*r = (*r & ~0xffffULL) | (u16)value;
	else if (!umbra_exec_is_high_byte(c, reg, size))
		*r = (*r & ~0xffULL) | (u8)value;
	else
		c->gpr[reg - 4] = (c->gpr[reg - 4] & ~0xff00ULL) | (u64)(u8)value << 8;
}

/* Registers that are used as address or count: rCX, rSI, rDI */
static inline u64 umbra_exec_addr_reg(const struct umbra_emul *c, unsigned int reg)
{
	return c->gpr[reg] & umbra_exec_mask(c->insn.adsize);
}

static inline void umbra_exec_set_addr_reg(struct umbra_emul *c, unsigned int reg, u64 value)
{
	umbra_exec_set_reg(c, reg, c->insn.adsize, value);
}

/*
 * Memory and operands: operand.c
 */

/**
 * struct umbra_rmw - an operand that is read, changed and written
 * @value:	what was read
 * @linear:	its address, if it is in memory
 * @size:	its size
 * @locked:	the write is to be a compare-and-exchange
 */
struct umbra_rmw {
	u64 value;
	u64 linear;
	unsigned int size;
	bool locked;
};

/* What an instruction does to a memory operand, as segments see it */
enum umbra_access {
	UMBRA_LOAD,
	UMBRA_STORE,
	UMBRA_FLUSH,		/* a load that execute-only segments permit */
};

bool umbra_exec_is_canonical(const struct umbra_emul *c, u64 address);
int umbra_exec_segment(struct umbra_emul *c, unsigned int seg, struct umbra_emul_seg **s);
int umbra_exec_linear(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int len,
		      unsigned int align, enum umbra_access access, u64 *linear);
int umbra_exec_mem_read(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
			unsigned int flags);
int umbra_exec_mem_write(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
			 unsigned int flags);
int umbra_exec_read(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int size,
		    u64 *value);
int umbra_exec_write(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int size,
		     u64 value);
int umbra_exec_rm_read(struct umbra_emul *c, unsigned int size, u64 *value);
int umbra_exec_rm_write(struct umbra_emul *c, unsigned int size, u64 value);
int umbra_exec_rmw_begin(struct umbra_emul *c, struct umbra_rmw *m, unsigned int size,
			 bool locked);
int umbra_exec_rmw_begin_at(struct umbra_emul *c, struct umbra_rmw *m, u64 offset,
			    unsigned int size, bool locked);
int umbra_exec_rmw_end(struct umbra_emul *c, const struct umbra_rmw *m, u64 value);

unsigned int umbra_exec_stack_size(struct umbra_emul *c);
int umbra_exec_push(struct umbra_emul *c, unsigned int size, u64 value);
int umbra_exec_pop(struct umbra_emul *c, unsigned int size, u64 *value);
void umbra_exec_add_sp(struct umbra_emul *c, int n);
int umbra_exec_branch(struct umbra_emul *c, u64 target);

static inline u64 umbra_exec_offset(const struct umbra_emul *c)
{
	return umbra_insn_offset(&c->insn, c->gpr, c->rip);
}

/*
 * Shared between handlers
 */

u64 umbra_exec_sub(struct umbra_emul *c, unsigned int size, u64 a, u64 b);
u64 umbra_exec_add(struct umbra_emul *c, unsigned int size, u64 a, u64 b);
bool umbra_exec_condition(const struct umbra_emul *c, unsigned int cc);

/*
 * Segments: exec_segment.c
 */

#define UMBRA_SELECTOR_RPL	3
#define UMBRA_SELECTOR_TI	4

/* Bits of the type of code and data segments (SDM Vol. 3A, table 3-1) */
#define UMBRA_TYPE_ACCESSED	BIT(0)
#define UMBRA_TYPE_RW		BIT(1)	/* data: may be written; code: may be read */
#define UMBRA_TYPE_CONFORMING	BIT(2)	/* code */
#define UMBRA_TYPE_DOWN		BIT(2)	/* data: expands down */
#define UMBRA_TYPE_CODE		BIT(3)

/* Types of system descriptors (table 3-2); bit 3 tells TSSs of 32 bits from those of 16 */
#define UMBRA_TYPE_LDT		2
#define UMBRA_TYPE_TSS		1
#define UMBRA_TYPE_BUSY		BIT(1)
#define UMBRA_TYPE_32BIT	BIT(3)

/**
 * struct umbra_descriptor - a descriptor of the GDT or LDT
 * @raw:	its eight bytes
 * @linear:	where they are
 * @seg:	what a segment register holds of it; the selector is as it was asked for
 */
struct umbra_descriptor {
	u64 raw;
	u64 linear;
	struct umbra_emul_seg seg;
};

static inline unsigned int umbra_exec_dpl(unsigned int attr)
{
	return (attr >> UMBRA_EMUL_SEG_DPL_SHIFT) & 3;
}

int umbra_exec_read_descriptor(struct umbra_emul *c, u16 selector, unsigned int vector,
			       unsigned int ext, struct umbra_descriptor *d);
int umbra_exec_set_type(struct umbra_emul *c, struct umbra_descriptor *d, unsigned int bits);
int umbra_exec_set_segment(struct umbra_emul *c, unsigned int seg, const struct umbra_emul_seg *s);
int umbra_exec_load_segment(struct umbra_emul *c, unsigned int seg, u16 selector);

/*
 * Far transfers: exec_far.c
 */

/* What leads to a code segment */
enum umbra_transfer {
	UMBRA_TO_BRANCH,	/* far JMP and CALL, not through a gate */
	UMBRA_TO_RETURN,	/* far RET and IRET */
	UMBRA_TO_HANDLER,	/* a gate of the IDT */
};

int umbra_exec_push_at(struct umbra_emul *c, u64 *sp, unsigned int size, u64 value);
int umbra_exec_pop_at(struct umbra_emul *c, u64 *sp, unsigned int size, u64 *value);
void umbra_exec_set_sp(struct umbra_emul *c, u64 sp);
int umbra_exec_find_code(struct umbra_emul *c, u16 selector, enum umbra_transfer to,
			 struct umbra_descriptor *t);
int umbra_exec_check_target(struct umbra_emul *c, const struct umbra_emul_seg *cs, u64 rip);
int umbra_exec_real_code(struct umbra_emul *c, u16 selector, struct umbra_emul_seg *cs);
int umbra_exec_return(struct umbra_emul *c, u16 selector, u64 rip, u64 sp, unsigned int release);

/*
 * Handlers, by file
 */

/* exec_alu.c */
int umbra_exec_alu(struct umbra_emul *c);
int umbra_exec_alu_imm(struct umbra_emul *c);
int umbra_exec_test(struct umbra_emul *c);
int umbra_exec_inc_dec_reg(struct umbra_emul *c);
int umbra_exec_group3(struct umbra_emul *c);
int umbra_exec_group4(struct umbra_emul *c);
int umbra_exec_inc_dec(struct umbra_emul *c, bool dec);
int umbra_exec_xadd(struct umbra_emul *c);
int umbra_exec_cmpxchg(struct umbra_emul *c);
int umbra_exec_group9(struct umbra_emul *c);
int umbra_exec_flag_op(struct umbra_emul *c);

/* exec_muldiv.c */
int umbra_exec_mul_div(struct umbra_emul *c);
int umbra_exec_imul2(struct umbra_emul *c);
int umbra_exec_imul3(struct umbra_emul *c);

/* exec_shift.c */
int umbra_exec_shift(struct umbra_emul *c);
int umbra_exec_shift_double(struct umbra_emul *c);
int umbra_exec_bit(struct umbra_emul *c);
int umbra_exec_bit_scan(struct umbra_emul *c);

/* exec_move.c */
int umbra_exec_mov_rm_r(struct umbra_emul *c);
int umbra_exec_mov_r_rm(struct umbra_emul *c);
int umbra_exec_mov_rm_imm(struct umbra_emul *c);
int umbra_exec_mov_r_imm(struct umbra_emul *c);
int umbra_exec_mov_moffs(struct umbra_emul *c);
int umbra_exec_movx(struct umbra_emul *c);
int umbra_exec_movsxd(struct umbra_emul *c);
int umbra_exec_movbe(struct umbra_emul *c);
int umbra_exec_movnti(struct umbra_emul *c);
int umbra_exec_xchg(struct umbra_emul *c);
int umbra_exec_xchg_acc(struct umbra_emul *c);
int umbra_exec_bswap(struct umbra_emul *c);
int umbra_exec_setcc(struct umbra_emul *c);
int umbra_exec_cmovcc(struct umbra_emul *c);
int umbra_exec_lea(struct umbra_emul *c);
int umbra_exec_lahf(struct umbra_emul *c);
int umbra_exec_sahf(struct umbra_emul *c);
int umbra_exec_cbw(struct umbra_emul *c);
int umbra_exec_cwd(struct umbra_emul *c);
int umbra_exec_xlat(struct umbra_emul *c);

/* exec_flow.c */
int umbra_exec_jmp(struct umbra_emul *c);
int umbra_exec_jcc(struct umbra_emul *c);
int umbra_exec_loop(struct umbra_emul *c);
int umbra_exec_call(struct umbra_emul *c);
int umbra_exec_ret(struct umbra_emul *c);
int umbra_exec_group5(struct umbra_emul *c);

/* exec_far.c */
int umbra_exec_far_imm(struct umbra_emul *c);
int umbra_exec_far_mem(struct umbra_emul *c, bool is_call);
int umbra_exec_far_ret(struct umbra_emul *c);

/* exec_int.c */
int umbra_exec_int(struct umbra_emul *c);
int umbra_exec_iret(struct umbra_emul *c);

/* exec_bcd.c */
int umbra_exec_daa_das(struct umbra_emul *c);
int umbra_exec_aaa_aas(struct umbra_emul *c);
int umbra_exec_aam_aad(struct umbra_emul *c);
int umbra_exec_salc(struct umbra_emul *c);
int umbra_exec_bound(struct umbra_emul *c);
int umbra_exec_arpl(struct umbra_emul *c);

/* exec_stack.c */
int umbra_exec_push_reg(struct umbra_emul *c);
int umbra_exec_push_imm(struct umbra_emul *c);
int umbra_exec_push_seg(struct umbra_emul *c);
int umbra_exec_pop_reg(struct umbra_emul *c);
int umbra_exec_pop_rm(struct umbra_emul *c);
int umbra_exec_pop_seg(struct umbra_emul *c);
int umbra_exec_pusha(struct umbra_emul *c);
int umbra_exec_popa(struct umbra_emul *c);
int umbra_exec_pushf(struct umbra_emul *c);
int umbra_exec_popf(struct umbra_emul *c);
int umbra_exec_enter(struct umbra_emul *c);
int umbra_exec_leave(struct umbra_emul *c);

/* exec_string.c */
int umbra_exec_movs(struct umbra_emul *c);
int umbra_exec_stos(struct umbra_emul *c);
int umbra_exec_lods(struct umbra_emul *c);
int umbra_exec_cmps(struct umbra_emul *c);
int umbra_exec_scas(struct umbra_emul *c);

/* exec_io.c */
int umbra_exec_in(struct umbra_emul *c);
int umbra_exec_out(struct umbra_emul *c);
int umbra_exec_ins(struct umbra_emul *c);
int umbra_exec_outs(struct umbra_emul *c);

/* exec_segment.c */
int umbra_exec_mov_rm_seg(struct umbra_emul *c);
int umbra_exec_mov_seg_rm(struct umbra_emul *c);
int umbra_exec_load_far(struct umbra_emul *c);
int umbra_exec_lar_lsl(struct umbra_emul *c);
int umbra_exec_group6(struct umbra_emul *c);

/* exec_system.c */
int umbra_exec_mov_from_cr(struct umbra_emul *c);
int umbra_exec_mov_to_cr(struct umbra_emul *c);
int umbra_exec_mov_from_dr(struct umbra_emul *c);
int umbra_exec_mov_to_dr(struct umbra_emul *c);
int umbra_exec_clts(struct umbra_emul *c);
int umbra_exec_group7(struct umbra_emul *c);
int umbra_exec_cli(struct umbra_emul *c);
int umbra_exec_sti(struct umbra_emul *c);
int umbra_exec_hlt(struct umbra_emul *c);
int umbra_exec_cpuid(struct umbra_emul *c);
int umbra_exec_rdtsc(struct umbra_emul *c);
int umbra_exec_rdmsr(struct umbra_emul *c);
int umbra_exec_wrmsr(struct umbra_emul *c);
int umbra_exec_wbinvd(struct umbra_emul *c);
int umbra_exec_nop(struct umbra_emul *c);
int umbra_exec_group15(struct umbra_emul *c);
int umbra_exec_undefined(struct umbra_emul *c);

/* exec_vector.c */
int umbra_exec_vector(struct umbra_emul *c);

#endif /* UMBRA_EMULATE_EXEC_H */
