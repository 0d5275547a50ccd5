// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses, segment checks, memory operands, the stack.
 */
#include "exec.h"

bool umbra_exec_is_canonical(const struct umbra_emul *c, u64 address)
{
	unsigned int shift = c->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (u64)((s64)(address << shift) >> shift) == address;
}

/**
 * umbra_exec_segment() - the cached content of a segment register
 * @c:		the context
 * @seg:	UMBRA_EMUL_ES .. UMBRA_EMUL_GS
 * @s:		where it is
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_segment(struct umbra_emul *c, unsigned int seg, struct umbra_emul_seg **s)
{
	*s = &c->seg[seg];
	if (!(c->seg_valid & BIT(seg))) {
		int ret = c->ops->get_segment(c, seg, *s);

		if (ret)
			return ret;
		c->seg_valid |= BIT(seg);
	}
	return UMBRA_EMUL_DONE;
}

/* Segmentation as it was before 64-bit code: SDM Vol. 3A, 5.3 to 5.5. */
static int linear_legacy(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int len,
			 enum umbra_access access, u64 *linear)
{
	unsigned int vector = seg == UMBRA_EMUL_SS ? X86_TRAP_SS : X86_TRAP_GP;
	u64 last = offset + len - 1;
	struct umbra_emul_seg *s;
	unsigned int type;
	int ret;

	ret = umbra_exec_segment(c, seg, &s);
	if (ret)
		return ret;
	/* In real and virtual-8086 mode only the limit counts. */
	if (!umbra_exec_is_real(c) && !umbra_exec_is_vm86(c)) {
		if (!(s->attr & UMBRA_EMUL_SEG_P))
			goto fault;
		type = s->attr & (UMBRA_TYPE_CODE | UMBRA_TYPE_RW);
		if (access == UMBRA_STORE && type != UMBRA_TYPE_RW)
			goto fault;
		if (access == UMBRA_LOAD && type == UMBRA_TYPE_CODE)
			goto fault;
	}

	if ((s->attr & (UMBRA_TYPE_CODE | UMBRA_TYPE_DOWN)) == UMBRA_TYPE_DOWN) {
		u64 top = s->attr & UMBRA_EMUL_SEG_DB ? 0xffffffff : 0xffff;

		if (offset <= s->limit || last > top)
			goto fault;
	} else if (last > s->limit && s->limit != 0xffffffff) {
		/* A segment of 4 GiB has no end: operands wrap to its beginning. */
		goto fault;
	}

	*linear = (u32)(s->base + offset);
	return UMBRA_EMUL_DONE;

fault:
	return umbra_emul_fault(c, vector, true, 0);
}

static bool misaligned(const struct umbra_emul *c, u64 linear, unsigned int align)
{
	return (c->rflags & X86_EFLAGS_AC) && (linear & (align - 1)) && c->cpl == 3 &&
	       (c->cr0 & X86_CR0_AM);
}

static int linear_64bit(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int len,
			unsigned int align, u64 *linear)
{
	if (seg >= UMBRA_EMUL_FS) {
		struct umbra_emul_seg *s;
		int ret = umbra_exec_segment(c, seg, &s);

		if (ret)
			return ret;
		offset += s->base;
		/* 32-bit addresses do not wrap when a base is added (APM Vol. 2, 4.5.3). */
	}

	if (unlikely(!umbra_exec_is_canonical(c, offset) ||
		     !umbra_exec_is_canonical(c, offset + len - 1))) {
		/* Running over the edge is seen after misalignment, beginning there before. */
		if (umbra_exec_is_canonical(c, offset) && misaligned(c, offset, align))
			return umbra_emul_fault(c, X86_TRAP_AC, true, 0);
		return umbra_emul_fault(c, seg == UMBRA_EMUL_SS ? X86_TRAP_SS : X86_TRAP_GP,
					true, 0);
	}
	*linear = offset;
	return UMBRA_EMUL_DONE;
}

/**
 * umbra_exec_linear() - check a memory operand, find its linear address
 * @c:		the context
 * @seg:	its segment
 * @offset:	its offset, truncated to the address size
 * @len:	its length
 * @align:	the alignment that EFLAGS.AC asks for; 1 for none
 * @access:	what is done to it
 * @linear:	the address
 *
 * Return: UMBRA_EMUL_DONE; UMBRA_EMUL_FAULT with #GP(0), #SS(0) or #AC(0); or what
 * ops->get_segment returned.
 */
int umbra_exec_linear(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int len,
		      unsigned int align, enum umbra_access access, u64 *linear)
{
	int ret;

	if (likely(c->code == UMBRA_CODE_64))
		ret = linear_64bit(c, seg, offset, len, align, linear);
	else
		ret = linear_legacy(c, seg, offset, len, access, linear);
	if (unlikely(ret))
		return ret;

	if (unlikely(misaligned(c, *linear, align)))
		return umbra_emul_fault(c, X86_TRAP_AC, true, 0);
	return UMBRA_EMUL_DONE;
}

/*
 * Bytes before the end of the 32-bit address space, if it cuts an operand in two.
 * (Descriptor tables may lie above it even if the code does not.)
 */
static inline unsigned int bytes_before_wrap(const struct umbra_emul *c, u64 linear,
					     unsigned int len)
{
	if (likely(c->code == UMBRA_CODE_64) || linear + len <= BIT_ULL(32) ||
	    linear >= BIT_ULL(32))
		return 0;
	return BIT_ULL(32) - linear;
}

/**
 * umbra_exec_mem_read() - read memory
 * @c:		the context
 * @linear:	address from umbra_exec_linear()
 * @data:	where to put it
 * @len:	how many bytes
 * @flags:	UMBRA_EMUL_RMW, UMBRA_EMUL_LOCKED, UMBRA_EMUL_SYSTEM, UMBRA_EMUL_BULK
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_mem_read(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
			unsigned int flags)
{
	unsigned int first = bytes_before_wrap(c, linear, len);
	int ret;

	if (likely(!first))
		return c->ops->read(c, linear, data, len, flags);

	ret = c->ops->read(c, linear, data, first, flags);
	if (ret)
		return ret;
	return c->ops->read(c, 0, (u8 *)data + first, len - first, flags);
}

/**
 * umbra_exec_mem_write() - write memory
 * @c:		the context
 * @linear:	address from umbra_exec_linear()
 * @data:	what to write
 * @len:	how many bytes
 * @flags:	UMBRA_EMUL_PROBE, UMBRA_EMUL_SYSTEM, UMBRA_EMUL_BULK
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_mem_write(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
			 unsigned int flags)
{
	unsigned int first = bytes_before_wrap(c, linear, len);
	int ret;

	if (likely(!first))
		return c->ops->write(c, linear, data, len, flags);

	ret = c->ops->write(c, linear, NULL, first, flags | UMBRA_EMUL_PROBE);
	if (!ret)
		ret = c->ops->write(c, 0, NULL, len - first, flags | UMBRA_EMUL_PROBE);
	if (ret || (flags & UMBRA_EMUL_PROBE))
		return ret;

	ret = c->ops->write(c, linear, data, first, flags);
	if (ret)
		return ret;
	return c->ops->write(c, 0, (const u8 *)data + first, len - first, flags);
}

/* Read a scalar of @size bytes at @seg:@offset. */
int umbra_exec_read(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int size,
		    u64 *value)
{
	u64 linear;
	int ret;

	ret = umbra_exec_linear(c, seg, offset, size, size, UMBRA_LOAD, &linear);
	if (ret)
		return ret;
	*value = 0;
	return umbra_exec_mem_read(c, linear, value, size, 0);
}

/* Write a scalar of @size bytes at @seg:@offset. */
int umbra_exec_write(struct umbra_emul *c, unsigned int seg, u64 offset, unsigned int size,
		     u64 value)
{
	u64 linear;
	int ret;

	ret = umbra_exec_linear(c, seg, offset, size, size, UMBRA_STORE, &linear);
	if (ret)
		return ret;
	return umbra_exec_mem_write(c, linear, &value, size, 0);
}

/* Read the operand of ModRM.rm, register or memory. */
int umbra_exec_rm_read(struct umbra_emul *c, unsigned int size, u64 *value)
{
	if (c->insn.flags & UMBRA_INSN_MEM)
		return umbra_exec_read(c, c->insn.seg, umbra_exec_offset(c), size, value);
	*value = umbra_exec_reg(c, c->insn.rm, size);
	return UMBRA_EMUL_DONE;
}

/* Write the operand of ModRM.rm, register or memory. */
int umbra_exec_rm_write(struct umbra_emul *c, unsigned int size, u64 value)
{
	if (c->insn.flags & UMBRA_INSN_MEM)
		return umbra_exec_write(c, c->insn.seg, umbra_exec_offset(c), size, value);
	umbra_exec_set_reg(c, c->insn.rm, size, value);
	return UMBRA_EMUL_DONE;
}

/* Like umbra_exec_rmw_begin(), for a memory operand whose offset is @offset. */
int umbra_exec_rmw_begin_at(struct umbra_emul *c, struct umbra_rmw *m, u64 offset,
			    unsigned int size, bool locked)
{
	int ret;

	m->size = size;
	m->locked = locked;
	m->value = 0;
	ret = umbra_exec_linear(c, c->insn.seg, offset, size, size, UMBRA_STORE, &m->linear);
	if (ret)
		return ret;
	return umbra_exec_mem_read(c, m->linear, &m->value, size,
				   UMBRA_EMUL_RMW | (locked ? UMBRA_EMUL_LOCKED : 0));
}

/**
 * umbra_exec_rmw_begin() - read the operand of ModRM.rm, which will be written
 * @c:		the context
 * @m:		the operand
 * @size:	its size
 * @locked:	the whole access is to be atomic, if it is to memory
 *
 * Return: an enum umbra_emul_result.
 */
int umbra_exec_rmw_begin(struct umbra_emul *c, struct umbra_rmw *m, unsigned int size,
			 bool locked)
{
	if (c->insn.flags & UMBRA_INSN_MEM)
		return umbra_exec_rmw_begin_at(c, m, umbra_exec_offset(c), size, locked);
	m->size = size;
	m->value = umbra_exec_reg(c, c->insn.rm, size);
	return UMBRA_EMUL_DONE;
}

/**
 * umbra_exec_rmw_end() - write an operand that umbra_exec_rmw_begin() read
 * @c:		the context
 * @m:		the operand
 * @value:	its new value
 *
 * Return: an enum umbra_emul_result; UMBRA_EMUL_RETRY when a locked operand was
 * changed by someone else in between.
 */
int umbra_exec_rmw_end(struct umbra_emul *c, const struct umbra_rmw *m, u64 value)
{
	if (!(c->insn.flags & UMBRA_INSN_MEM)) {
		umbra_exec_set_reg(c, c->insn.rm, m->size, value);
		return UMBRA_EMUL_DONE;
	}
	if (!m->locked)
		return umbra_exec_mem_write(c, m->linear, &value, m->size, 0);
	/* Nobody locks across the end of the address space. */
	if (bytes_before_wrap(c, m->linear, m->size))
		return UMBRA_EMUL_UNHANDLED;
	return c->ops->compare_exchange(c, m->linear, &m->value, &value, m->size, 0);
}

/**
 * umbra_exec_stack_size() - width of the stack pointer
 * @c:	the context
 *
 * Return: 2, 4 or 8; 0 if the stack segment could not be read.
 */
unsigned int umbra_exec_stack_size(struct umbra_emul *c)
{
	struct umbra_emul_seg *ss;

	if (c->code == UMBRA_CODE_64)
		return 8;
	if (umbra_exec_segment(c, UMBRA_EMUL_SS, &ss))
		return 0;
	return ss->attr & UMBRA_EMUL_SEG_DB ? 4 : 2;
}

/* Add @n to the stack pointer, in the width the stack segment gives it. */
void umbra_exec_add_sp(struct umbra_emul *c, int n)
{
	umbra_exec_set_reg(c, UMBRA_EMUL_RSP, umbra_exec_stack_size(c),
			   c->gpr[UMBRA_EMUL_RSP] + n);
}

/* Push a scalar. The stack pointer moves only if the write succeeded. */
int umbra_exec_push(struct umbra_emul *c, unsigned int size, u64 value)
{
	unsigned int width = umbra_exec_stack_size(c);
	int ret;

	if (!width)
		return UMBRA_EMUL_UNHANDLED;
	ret = umbra_exec_write(c, UMBRA_EMUL_SS,
			       (c->gpr[UMBRA_EMUL_RSP] - size) & umbra_exec_mask(width),
			       size, value);
	if (ret)
		return ret;
	umbra_exec_add_sp(c, -(int)size);
	return UMBRA_EMUL_DONE;
}

/* Read the scalar on top of the stack. The stack pointer does not move yet. */
int umbra_exec_pop(struct umbra_emul *c, unsigned int size, u64 *value)
{
	unsigned int width = umbra_exec_stack_size(c);

	if (!width)
		return UMBRA_EMUL_UNHANDLED;
	return umbra_exec_read(c, UMBRA_EMUL_SS, umbra_exec_reg(c, UMBRA_EMUL_RSP, width), size,
			       value);
}

/**
 * umbra_exec_branch() - make @target, truncated to the operand size, the next RIP
 * @c:		the context
 * @target:	offset in CS
 *
 * Return: UMBRA_EMUL_DONE; UMBRA_EMUL_FAULT with #GP(0) when the target is not
 * canonical or beyond the limit of CS.
 */
int umbra_exec_branch(struct umbra_emul *c, u64 target)
{
	target &= umbra_exec_mask(c->insn.opsize);
	if (c->code == UMBRA_CODE_64) {
		/* With 66, AMD's CPUs truncate RIP to 16 bits and Intel's do not. */
		if ((c->insn.flags & UMBRA_INSN_OP66) && !(c->insn.rex & UMBRA_REX_W))
			return UMBRA_EMUL_UNHANDLED;
		if (!umbra_exec_is_canonical(c, target))
			return umbra_exec_gp(c);
	} else {
		struct umbra_emul_seg *cs;
		int ret = umbra_exec_segment(c, UMBRA_EMUL_CS, &cs);

		if (ret)
			return ret;
		if (target > cs->limit)
			return umbra_exec_gp(c);
	}
	c->next_rip = target;
	return UMBRA_EMUL_DONE;
}
