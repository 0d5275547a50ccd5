// SPDX-License-Identifier: GPL-2.0-only
/*
 * MOVS, STOS, LODS, CMPS, SCAS.
 *
 * Each element is complete in itself: registers that count and point are advanced
 * with it, so that a fault or an exit in the middle leaves exactly what the CPU
 * would have left.
 */
#include "exec.h"

/* Move rSI or rDI to the next element. */
static void advance(struct umbra_emul *c, unsigned int reg)
{
	u64 step = c->insn.opsize;

	if (c->rflags & X86_EFLAGS_DF)
		step = -step;
	umbra_exec_set_addr_reg(c, reg, c->gpr[reg] + step);
}

/* The element rSI points at; its segment may be overridden. */
static int read_source(struct umbra_emul *c, u64 *value)
{
	return umbra_exec_read(c, c->insn.seg, umbra_exec_addr_reg(c, UMBRA_EMUL_RSI),
			       c->insn.opsize, value);
}

/* The element rDI points at, always in ES. */
static int read_dest(struct umbra_emul *c, u64 *value)
{
	return umbra_exec_read(c, UMBRA_EMUL_ES, umbra_exec_addr_reg(c, UMBRA_EMUL_RDI),
			       c->insn.opsize, value);
}

static int write_dest(struct umbra_emul *c, u64 value)
{
	return umbra_exec_write(c, UMBRA_EMUL_ES, umbra_exec_addr_reg(c, UMBRA_EMUL_RDI),
				c->insn.opsize, value);
}

static int movs_one(struct umbra_emul *c)
{
	u64 value;
	int ret;

	ret = read_source(c, &value);
	if (!ret)
		ret = write_dest(c, value);
	if (ret)
		return ret;
	advance(c, UMBRA_EMUL_RSI);
	advance(c, UMBRA_EMUL_RDI);
	return UMBRA_EMUL_DONE;
}

static int stos_one(struct umbra_emul *c)
{
	int ret;

	ret = write_dest(c, umbra_exec_reg(c, UMBRA_EMUL_RAX, c->insn.opsize));
	if (ret)
		return ret;
	advance(c, UMBRA_EMUL_RDI);
	return UMBRA_EMUL_DONE;
}

static int lods_one(struct umbra_emul *c)
{
	u64 value;
	int ret;

	ret = read_source(c, &value);
	if (ret)
		return ret;
	umbra_exec_set_reg(c, UMBRA_EMUL_RAX, c->insn.opsize, value);
	advance(c, UMBRA_EMUL_RSI);
	return UMBRA_EMUL_DONE;
}

static int cmps_one(struct umbra_emul *c)
{
	u64 a, b;
	int ret;

	/* CPUs read this one first: it decides which page fault is seen. */
	ret = read_dest(c, &b);
	if (!ret)
		ret = read_source(c, &a);
	if (ret)
		return ret;
	umbra_exec_sub(c, c->insn.opsize, a, b);
	advance(c, UMBRA_EMUL_RSI);
	advance(c, UMBRA_EMUL_RDI);
	return UMBRA_EMUL_DONE;
}

static int scas_one(struct umbra_emul *c)
{
	u64 value;
	int ret;

	ret = read_dest(c, &value);
	if (ret)
		return ret;
	umbra_exec_sub(c, c->insn.opsize, umbra_exec_reg(c, UMBRA_EMUL_RAX, c->insn.opsize),
		       value);
	advance(c, UMBRA_EMUL_RDI);
	return UMBRA_EMUL_DONE;
}

/* Does ZF, as it is now, end a REPE or REPNE? */
static bool zf_ends(const struct umbra_emul *c)
{
	bool equal = c->rflags & X86_EFLAGS_ZF;

	return c->insn.rep == 0xf2 ? equal : !equal;
}

/*
 * Execute @one as often as the prefix asks. @compares: REPE and REPNE differ and
 * ZF may end the loop.
 */
static int repeat(struct umbra_emul *c, int (*one)(struct umbra_emul *c), bool compares)
{
	u64 count, rflags = c->rflags;
	unsigned int done = 0;
	int ret;

	if (!c->insn.rep)
		return one(c);

	count = umbra_exec_addr_reg(c, UMBRA_EMUL_RCX);
	if (!count)
		return UMBRA_EMUL_DONE;

	for (;;) {
		ret = one(c);
		if (ret)
			break;
		umbra_exec_set_addr_reg(c, UMBRA_EMUL_RCX, --count);
		if (!count)
			return UMBRA_EMUL_DONE;
		if (compares && zf_ends(c))
			return UMBRA_EMUL_DONE;
		if (c->rflags & X86_EFLAGS_TF) {
			/* The trap comes after every element. */
			c->events |= UMBRA_EMUL_EV_STEP;
			ret = UMBRA_EMUL_RETRY;
			break;
		}
		if (++done == UMBRA_STRING_BATCH) {
			ret = UMBRA_EMUL_RETRY;
			break;
		}
		ret = c->ops->string_commit ? c->ops->string_commit(c) : UMBRA_EMUL_DONE;
		if (ret)
			break;
	}

	/* Until it is finished the flags are what they were (SDM Vol. 2B, REP). */
	c->rflags = rflags;
	return ret;
}

/* a4, a5 */
int umbra_exec_movs(struct umbra_emul *c)
{
	return repeat(c, movs_one, false);
}

/* aa, ab */
int umbra_exec_stos(struct umbra_emul *c)
{
	return repeat(c, stos_one, false);
}

/* ac, ad */
int umbra_exec_lods(struct umbra_emul *c)
{
	return repeat(c, lods_one, false);
}

/* a6, a7 */
int umbra_exec_cmps(struct umbra_emul *c)
{
	return repeat(c, cmps_one, true);
}

/* ae, af */
int umbra_exec_scas(struct umbra_emul *c)
{
	return repeat(c, scas_one, true);
}
