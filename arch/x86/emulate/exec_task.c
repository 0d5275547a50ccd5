// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task switches. Sections and tables are of the SDM, volume 3.
 */
#include "exec.h"

#define TYPE_MASK	(UMBRA_EMUL_SEG_S | UMBRA_EMUL_SEG_TYPE)

#define TSS_MAX		0x68
/* Task-state segments are read and written as a whole, and only in plain memory. */
#define TSS_ACCESS	(UMBRA_EMUL_SYSTEM | UMBRA_EMUL_BULK)

/* How often a descriptor that others write at the same time is looked at again. */
#define LOAD_TRIES	8

/* What a TSS may load into EFLAGS */
#define FLAGS_LOADED	(UMBRA_FLAGS_ARITH | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF |	\
			 X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM |	\
			 X86_EFLAGS_AC | X86_EFLAGS_VIF | X86_EFLAGS_VIP | X86_EFLAGS_ID)

/**
 * struct layout - where things are in a TSS: figures 7-2 and 7-10
 * @width:	bytes of a register, and from one selector to the next
 * @cr3:	CR3, 0 for none
 * @eip:	EIP, the first that is saved; EFLAGS and the general registers, in the
 *		order of encoding, come next
 * @segs:	ES, CS, SS, DS and, if there are that many, FS and GS
 * @nr_segs:	how many
 * @ldt:	the LDT's selector; the first that is not saved
 * @trap:	the byte with the T flag, 0 for none
 * @size:	bytes there must be
 */
struct layout {
	u8 width;
	u8 cr3;
	u8 eip;
	u8 segs;
	u8 nr_segs;
	u8 ldt;
	u8 trap;
	u8 size;
};

static const struct layout layout16 = {
	.width = 2, .eip = 0x0e, .segs = 0x22, .nr_segs = 4, .ldt = 0x2a, .size = 0x2c,
};

static const struct layout layout32 = {
	.width = 4, .cr3 = 0x1c, .eip = 0x20, .segs = 0x48, .nr_segs = 6, .ldt = 0x60,
	.trap = 0x64, .size = TSS_MAX,
};

/* A switch on its way: the TSS left and the one entered, how they look, its error code's EXT. */
struct task_switch {
	const struct umbra_emul_task *t;
	struct umbra_emul_seg old;
	struct umbra_descriptor new;
	const struct layout *old_layout, *layout;
	unsigned int ext;
	u8 image[TSS_MAX];
};

static const struct layout *layout_of(const struct umbra_emul_seg *tss)
{
	return tss->attr & UMBRA_TYPE_32BIT ? &layout32 : &layout16;
}

static u32 get(const struct task_switch *s, unsigned int at, unsigned int width)
{
	u32 value = 0;

	memcpy(&value, s->image + at, width);
	return value;
}

static int fault(struct umbra_emul *c, const struct task_switch *s, unsigned int vector,
		 u16 selector)
{
	return umbra_emul_fault(c, vector, true, (selector & ~UMBRA_SELECTOR_RPL) | s->ext);
}

/* The new task's descriptor: the first half of table 7-2. */
static int find_new(struct umbra_emul *c, struct task_switch *s)
{
	u16 selector = s->t->selector;
	bool iret = s->t->reason == UMBRA_TASK_IRET;
	unsigned int bad = iret ? X86_TRAP_TS : X86_TRAP_GP;
	unsigned int type;
	int ret;

	if ((selector & UMBRA_SELECTOR_TI) || !(selector & ~UMBRA_SELECTOR_RPL))
		return fault(c, s, bad, selector);
	ret = umbra_exec_read_descriptor(c, selector, bad, s->ext, &s->new);
	if (ret)
		return ret;
	type = s->new.seg.attr & TYPE_MASK & ~(unsigned int)UMBRA_TYPE_32BIT;
	if (type != (iret ? UMBRA_TYPE_TSS | UMBRA_TYPE_BUSY : UMBRA_TYPE_TSS))
		return fault(c, s, bad, selector);
	if (!(s->new.seg.attr & UMBRA_EMUL_SEG_P))
		return fault(c, s, X86_TRAP_NP, selector);
	s->layout = layout_of(&s->new.seg);
	if (s->new.seg.limit < s->layout->size - 1u)
		return fault(c, s, X86_TRAP_TS, selector);
	return UMBRA_EMUL_DONE;
}

static int find_old(struct umbra_emul *c, struct task_switch *s)
{
	int ret;

	ret = c->ops->get_segment(c, UMBRA_EMUL_TR, &s->old);
	if (ret)
		return ret;
	s->old_layout = layout_of(&s->old);
	if (s->old.limit < s->old_layout->ldt - 1u)
		return fault(c, s, X86_TRAP_TS, s->old.selector);
	return UMBRA_EMUL_DONE;
}

/* JMP and IRET leave a task that is no longer busy, the others one that waits. */
static bool leaves_for_good(const struct task_switch *s)
{
	return s->t->reason == UMBRA_TASK_JMP || s->t->reason == UMBRA_TASK_IRET;
}

/* Where the type of the old task's descriptor is; its selector was good once. */
static int old_type_address(struct umbra_emul *c, const struct task_switch *s, u64 *linear)
{
	struct umbra_emul_seg gdtr;
	int ret = c->ops->get_segment(c, UMBRA_EMUL_GDTR, &gdtr);

	*linear = (u32)(gdtr.base + (s->old.selector & ~7u) + 5);
	return ret;
}

/* All memory that will be touched must be there before any of it changes (7.3). */
static int probe(struct umbra_emul *c, struct task_switch *s)
{
	const struct layout *old = s->old_layout;
	u64 linear;
	u8 type;
	int ret;

	ret = umbra_exec_mem_read(c, s->new.seg.base, s->image, s->layout->size, TSS_ACCESS);
	if (!ret)
		ret = umbra_exec_mem_write(c, (u32)(s->old.base + old->eip), NULL,
					   old->ldt - old->eip, TSS_ACCESS | UMBRA_EMUL_PROBE);
	if (ret)
		return ret;
	if (!leaves_for_good(s))
		return umbra_exec_mem_write(c, s->new.seg.base, NULL, 2,
					    TSS_ACCESS | UMBRA_EMUL_PROBE);
	ret = old_type_address(c, s, &linear);
	return ret ?: umbra_exec_mem_read(c, linear, &type, 1, TSS_ACCESS | UMBRA_EMUL_RMW);
}

static int save_old(struct umbra_emul *c, const struct task_switch *s)
{
	const struct layout *l = s->old_layout;
	u32 flags = c->rflags, eip = c->rip + s->t->insn_length;
	u64 start = (u32)(s->old.base + l->eip);
	u8 image[TSS_MAX], *p = image, type;
	u64 linear;
	unsigned int i;
	int ret;

	/* What is between the selectors stays. */
	ret = umbra_exec_mem_read(c, start, image, l->ldt - l->eip, TSS_ACCESS);
	if (ret)
		return ret;
	if (s->t->reason == UMBRA_TASK_IRET)
		flags &= ~(u32)X86_EFLAGS_NT;
	memcpy(p, &eip, l->width);
	memcpy(p + l->width, &flags, l->width);
	for (i = 0; i < 8; i++)
		memcpy(p + (2 + i) * l->width, &c->gpr[i], l->width);
	p = image + l->segs - l->eip;
	for (i = 0; i < l->nr_segs; i++) {
		struct umbra_emul_seg *seg;

		ret = umbra_exec_segment(c, i, &seg);
		if (ret)
			return ret;
		memcpy(p + i * l->width, &seg->selector, 2);
	}
	ret = umbra_exec_mem_write(c, start, image, l->ldt - l->eip, TSS_ACCESS);
	if (ret || !leaves_for_good(s))
		return ret;

	ret = old_type_address(c, s, &linear);
	if (!ret)
		ret = umbra_exec_mem_read(c, linear, &type, 1, TSS_ACCESS);
	if (ret)
		return ret;
	type &= ~UMBRA_TYPE_BUSY;
	return umbra_exec_mem_write(c, linear, &type, 1, TSS_ACCESS);
}

/*
 * A segment register whose descriptor has not been loaded yet: it has its selector, and
 * what a CPU needs to deliver a fault that comes now.
 */
static int set_unloaded(struct umbra_emul *c, unsigned int seg, u16 selector)
{
	struct umbra_emul_seg s = { .selector = selector };

	if (c->rflags & X86_EFLAGS_VM) {
		s.base = (u32)selector << 4;
		s.limit = 0xffff;
		s.attr = UMBRA_EMUL_SEG_P | UMBRA_EMUL_SEG_S | UMBRA_TYPE_RW | UMBRA_TYPE_ACCESSED |
			 3 << UMBRA_EMUL_SEG_DPL_SHIFT;
	} else if (seg == UMBRA_EMUL_CS) {
		s.limit = 0xffffffff;
		s.attr = UMBRA_EMUL_SEG_P | UMBRA_EMUL_SEG_S | UMBRA_TYPE_CODE | UMBRA_TYPE_RW |
			 UMBRA_TYPE_ACCESSED | UMBRA_EMUL_SEG_DB | UMBRA_EMUL_SEG_G |
			 c->cpl << UMBRA_EMUL_SEG_DPL_SHIFT;
	} else if (seg == UMBRA_EMUL_SS) {
		s.attr = c->cpl << UMBRA_EMUL_SEG_DPL_SHIFT;
	}
	return umbra_exec_set_segment(c, seg, &s);
}

/* The second half of table 7-2. */
static int check_segment(struct umbra_emul *c, const struct task_switch *s, unsigned int seg,
			 const struct umbra_emul_seg *d)
{
	unsigned int attr = d->attr, dpl = umbra_exec_dpl(attr);
	unsigned int rpl = d->selector & UMBRA_SELECTOR_RPL;
	bool code = attr & UMBRA_TYPE_CODE, conforming = code && (attr & UMBRA_TYPE_CONFORMING);
	unsigned int absent = X86_TRAP_NP;
	bool ok;

	if (seg == UMBRA_EMUL_CS) {
		ok = code && (conforming ? dpl <= rpl : dpl == rpl);
	} else if (seg == UMBRA_EMUL_SS) {
		ok = !code && (attr & UMBRA_TYPE_RW) && dpl == c->cpl && rpl == c->cpl;
		absent = X86_TRAP_SS;
	} else {
		ok = (!code || (attr & UMBRA_TYPE_RW)) &&
		     (conforming || (dpl >= c->cpl && dpl >= rpl));
	}
	if (!(attr & UMBRA_EMUL_SEG_S) || !ok)
		return fault(c, s, X86_TRAP_TS, d->selector);
	if (!(attr & UMBRA_EMUL_SEG_P))
		return fault(c, s, absent, d->selector);
	return UMBRA_EMUL_DONE;
}

static int load_segment(struct umbra_emul *c, const struct task_switch *s, unsigned int seg,
			u16 selector)
{
	struct umbra_descriptor d;
	unsigned int tries;
	int ret;

	if (!(selector & ~UMBRA_SELECTOR_RPL)) {
		if (seg == UMBRA_EMUL_CS || seg == UMBRA_EMUL_SS)
			return fault(c, s, X86_TRAP_TS, selector);
		return UMBRA_EMUL_DONE;
	}
	for (tries = 0; tries < LOAD_TRIES; tries++) {
		ret = umbra_exec_read_descriptor(c, selector, X86_TRAP_TS, s->ext, &d);
		if (!ret)
			ret = check_segment(c, s, seg, &d.seg);
		if (!ret)
			ret = umbra_exec_set_type(c, &d, UMBRA_TYPE_ACCESSED);
		if (ret != UMBRA_EMUL_RETRY)
			return ret ?: umbra_exec_set_segment(c, seg, &d.seg);
	}
	return UMBRA_EMUL_UNHANDLED;
}

static int load_ldt(struct umbra_emul *c, const struct task_switch *s)
{
	u16 selector = get(s, s->layout->ldt, 2);
	struct umbra_descriptor d = { .seg.selector = selector };
	int ret;

	/* None until it has been found to be one. */
	ret = umbra_exec_set_segment(c, UMBRA_EMUL_LDTR, &d.seg);
	if (ret || !(selector & ~UMBRA_SELECTOR_RPL))
		return ret;
	if (selector & UMBRA_SELECTOR_TI)
		return fault(c, s, X86_TRAP_TS, selector);
	ret = umbra_exec_read_descriptor(c, selector, X86_TRAP_TS, s->ext, &d);
	if (ret)
		return ret;
	if ((d.seg.attr & TYPE_MASK) != UMBRA_TYPE_LDT || !(d.seg.attr & UMBRA_EMUL_SEG_P))
		return fault(c, s, X86_TRAP_TS, selector);
	return umbra_exec_set_segment(c, UMBRA_EMUL_LDTR, &d.seg);
}

static u16 new_selector(const struct task_switch *s, unsigned int seg)
{
	const struct layout *l = s->layout;

	/* A 16-bit TSS has no FS and GS: they become null. */
	return seg < l->nr_segs ? get(s, l->segs + seg * l->width, 2) : 0;
}

static int load_registers(struct umbra_emul *c, const struct task_switch *s)
{
	const struct layout *l = s->layout;
	unsigned int i;
	int ret;

	c->rip = get(s, l->eip, l->width);
	c->rflags = (get(s, l->eip + l->width, l->width) & FLAGS_LOADED) | X86_EFLAGS_FIXED;
	if (!leaves_for_good(s))
		c->rflags |= X86_EFLAGS_NT;
	/* 16-bit values leave the upper halves undefined; ones is what other CPUs put there. */
	for (i = 0; i < 8; i++)
		c->gpr[i] = get(s, l->eip + (2 + i) * l->width, l->width) |
			    (l->width == 2 ? 0xffff0000 : 0);

	c->cpl = c->rflags & X86_EFLAGS_VM ? 3 : new_selector(s, UMBRA_EMUL_CS) & 3;
	c->code = c->rflags & X86_EFLAGS_VM ? UMBRA_CODE_16 : UMBRA_CODE_32;
	for (i = 0; i < UMBRA_EMUL_NR_SEG; i++) {
		ret = set_unloaded(c, i, new_selector(s, i));
		if (ret)
			return ret;
	}
	/* Without paging it is not loaded (7.3). */
	if (l->cr3 && (c->cr0 & X86_CR0_PG))
		return c->ops->set_cr(c, 3, get(s, l->cr3, 4));
	return UMBRA_EMUL_DONE;
}

static int load_segments(struct umbra_emul *c, const struct task_switch *s)
{
	static const u8 order[] = {
		UMBRA_EMUL_CS, UMBRA_EMUL_SS, UMBRA_EMUL_DS, UMBRA_EMUL_ES, UMBRA_EMUL_FS,
		UMBRA_EMUL_GS,
	};
	struct umbra_emul_seg *cs;
	unsigned int i;
	int ret;

	ret = load_ldt(c, s);
	if (ret || (c->rflags & X86_EFLAGS_VM))
		return ret;
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		ret = load_segment(c, s, order[i], new_selector(s, order[i]));
		if (ret)
			return ret;
	}
	ret = umbra_exec_segment(c, UMBRA_EMUL_CS, &cs);
	if (!ret && !(cs->attr & UMBRA_EMUL_SEG_DB))
		c->code = UMBRA_CODE_16;
	return ret;
}

/* From the moment that the old task is saved. */
static int enter_new(struct umbra_emul *c, struct task_switch *s)
{
	int ret;

	/* Anew, since old and new task may be the same one. */
	ret = umbra_exec_mem_read(c, s->new.seg.base, s->image, s->layout->size, TSS_ACCESS);
	if (!ret && !leaves_for_good(s))
		ret = umbra_exec_mem_write(c, s->new.seg.base, &s->old.selector, 2, TSS_ACCESS);
	if (ret)
		return ret;

	s->new.seg.attr |= UMBRA_TYPE_BUSY;
	ret = umbra_exec_set_segment(c, UMBRA_EMUL_TR, &s->new.seg);
	if (ret)
		return ret;
	c->events |= UMBRA_EMUL_EV_TASK;
	c->cr0 |= X86_CR0_TS;
	ret = c->ops->set_cr(c, 0, c->cr0);
	if (!ret)
		ret = load_registers(c, s);
	if (!ret)
		ret = load_segments(c, s);
	if (!ret && s->t->has_error)
		ret = umbra_exec_push(c, s->layout->width, s->t->error);
	return ret;
}

int umbra_emul_task_switch(struct umbra_emul *c, const struct umbra_emul_task *t)
{
	bool step = t->insn_length && (c->rflags & X86_EFLAGS_TF);
	struct task_switch s = {
		.t = t,
		.ext = t->reason == UMBRA_TASK_GATE && !t->insn_length,
	};
	int ret;

	/* There are none in these modes. */
	if (umbra_exec_is_real(c) || (c->efer & EFER_LMA))
		return UMBRA_EMUL_UNHANDLED;
	ret = find_new(c, &s);
	if (!ret)
		ret = find_old(c, &s);
	if (!ret)
		ret = probe(c, &s);
	/* The last thing that may be in somebody's way, and the first that changes. */
	if (!ret && t->reason != UMBRA_TASK_IRET)
		ret = umbra_exec_set_type(c, &s.new, UMBRA_TYPE_BUSY);
	if (ret)
		return ret;

	ret = save_old(c, &s);
	if (!ret)
		ret = enter_new(c, &s);
	if (ret)
		return ret == UMBRA_EMUL_FAULT ? ret : UMBRA_EMUL_UNHANDLED;
	if (s.layout->trap && (s.image[s.layout->trap] & 1))
		c->events |= UMBRA_EMUL_EV_TASK_TRAP;
	if (step)
		c->events |= UMBRA_EMUL_EV_STEP;
	return UMBRA_EMUL_DONE;
}
