// SPDX-License-Identifier: GPL-2.0-only
/*
 * IN, OUT, INS, OUTS.
 */
#include "exec.h"

/* Most bytes of a string that are moved in one go */
#define BATCH_BYTES	512

/* Ports are at most 32 bits wide; REX.W means nothing to them. */
static unsigned int io_size(const struct umbra_emul *c)
{
	return min_t(unsigned int, c->insn.opsize, 4);
}

/* SDM Vol. 1, 19.5: IOPL, then the permission map, which alone counts in VM86 mode. */
static int check_permission(struct umbra_emul *c, u16 port)
{
	if (umbra_exec_is_real(c))
		return UMBRA_EMUL_DONE;
	if (!umbra_exec_is_vm86(c) && c->cpl <= umbra_exec_iopl(c))
		return UMBRA_EMUL_DONE;
	return c->ops->io_allowed(c, port, io_size(c));
}

/* The port of e4..e7 (immediate) and ec..ef (DX) */
static u16 port_operand(const struct umbra_emul *c)
{
	return c->insn.opcode & 8 ? (u16)c->gpr[UMBRA_EMUL_RDX] : (u8)c->insn.imm;
}

/* e4, e5, ec, ed */
int umbra_exec_in(struct umbra_emul *c)
{
	u16 port = port_operand(c);
	u32 value = 0;
	int ret;

	ret = check_permission(c, port);
	if (!ret)
		ret = c->ops->pio_in(c, port, io_size(c), &value, 1);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, io_size(c), value);
	return UMBRA_EMUL_DONE;
}

/* e6, e7, ee, ef */
int umbra_exec_out(struct umbra_emul *c)
{
	u32 value = umbra_exec_reg(c, UMBRA_EMUL_RAX, io_size(c));
	u16 port = port_operand(c);
	int ret;

	ret = check_permission(c, port);
	return ret ?: c->ops->pio_out(c, port, io_size(c), &value, 1);
}

/**
 * struct string_io - one round of INS or OUTS
 * @seg:	segment of the memory operand
 * @reg:	the register that points to it
 * @access:	what is done to memory
 * @total:	how many elements are left
 * @count:	how many of them this round moves
 * @linear:	address of the first one
 */
struct string_io {
	unsigned int seg;
	unsigned int reg;
	enum umbra_access access;
	u64 total;
	unsigned int count;
	u64 linear;
};

/*
 * Decide how many elements this round moves. Several only if they lie upwards,
 * within one page and within the segment.
 */
static int string_io_begin(struct umbra_emul *c, struct string_io *s)
{
	unsigned int size = io_size(c), n;
	u64 offset, room;
	int ret;

	s->total = c->insn.rep ? umbra_exec_addr_reg(c, UMBRA_EMUL_RCX) : 1;
	s->count = 0;
	if (!s->total)
		return UMBRA_EMUL_DONE;

	offset = umbra_exec_addr_reg(c, s->reg);
	s->count = 1;
	ret = umbra_exec_linear(c, s->seg, offset, size, size, s->access, &s->linear);
	if (ret || s->total == 1 || (c->rflags & (X86_EFLAGS_DF | X86_EFLAGS_TF)))
		return ret;

	room = PAGE_SIZE - (s->linear & ~PAGE_MASK);
	room = min_t(u64, room, BATCH_BYTES);
	room = min_t(u64, room, umbra_exec_mask(c->insn.adsize) - offset);
	n = min_t(u64, room / size, s->total);
	if (n > 1 && !umbra_exec_linear(c, s->seg, offset, n * size, 1, s->access, &s->linear))
		s->count = n;
	return UMBRA_EMUL_DONE;
}

static int string_io_end(struct umbra_emul *c, const struct string_io *s)
{
	u64 step = (u64)s->count * io_size(c);

	if (c->rflags & X86_EFLAGS_DF)
		step = -step;
	umbra_exec_set_addr_reg(c, s->reg, c->gpr[s->reg] + step);
	if (!c->insn.rep)
		return UMBRA_EMUL_DONE;

	umbra_exec_set_addr_reg(c, UMBRA_EMUL_RCX, s->total - s->count);
	if (s->total == s->count)
		return UMBRA_EMUL_DONE;
	if (c->rflags & X86_EFLAGS_TF)
		c->events |= UMBRA_EMUL_EV_STEP;
	return UMBRA_EMUL_RETRY;
}

/* 6c, 6d: the port is read only when memory is known to take the data. */
int umbra_exec_ins(struct umbra_emul *c)
{
	struct string_io s = {
		.seg = UMBRA_EMUL_ES,
		.reg = UMBRA_EMUL_RDI,
		.access = UMBRA_STORE,
	};
	u16 port = c->gpr[UMBRA_EMUL_RDX];
	unsigned int size = io_size(c), flags = 0;
	u8 data[BATCH_BYTES];
	int ret;

	ret = check_permission(c, port);
	if (!ret)
		ret = string_io_begin(c, &s);
	if (ret || !s.count)
		return ret;

	if (s.count > 1) {
		flags = UMBRA_EMUL_BULK;
		if (umbra_exec_mem_write(c, s.linear, NULL, s.count * size,
					 flags | UMBRA_EMUL_PROBE)) {
			s.count = 1;
			flags = 0;
		}
	}
	if (s.count == 1) {
		ret = umbra_exec_mem_write(c, s.linear, NULL, size, UMBRA_EMUL_PROBE);
		if (ret)
			return ret;
	}

	ret = c->ops->pio_in(c, port, size, data, s.count);
	if (!ret)
		ret = umbra_exec_mem_write(c, s.linear, data, s.count * size, flags);
	return ret ?: string_io_end(c, &s);
}

/* 6e, 6f */
int umbra_exec_outs(struct umbra_emul *c)
{
	struct string_io s = {
		.seg = c->insn.seg,
		.reg = UMBRA_EMUL_RSI,
		.access = UMBRA_LOAD,
	};
	u16 port = c->gpr[UMBRA_EMUL_RDX];
	unsigned int size = io_size(c);
	u8 data[BATCH_BYTES];
	int ret;

	ret = check_permission(c, port);
	if (!ret)
		ret = string_io_begin(c, &s);
	if (ret || !s.count)
		return ret;

	if (s.count > 1 &&
	    umbra_exec_mem_read(c, s.linear, data, s.count * size, UMBRA_EMUL_BULK))
		s.count = 1;
	if (s.count == 1) {
		ret = umbra_exec_mem_read(c, s.linear, data, size, 0);
		if (ret)
			return ret;
	}

	ret = c->ops->pio_out(c, port, size, data, s.count);
	return ret ?: string_io_end(c, &s);
}
