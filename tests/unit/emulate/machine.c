// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same instruction by the executor, on the same memory.
 */
#include <cpuid.h>

#include "harness.h"

/* Page fault error code */
#define PF_P	BIT(0)
#define PF_W	BIT(1)
#define PF_U	BIT(2)
#define PF_I	BIT(4)

/* Where the executor finds the local descriptor table: nothing else is there. */
#define LDT_BASE	0xffffff0000000000ULL

static struct cpu *cpu;
static unsigned int cpu_code;

enum { READ = 1, WRITE = 2, EXEC = 4 };

static unsigned int rights(u64 address)
{
	if (address >= CODE_BASE && address < CODE_BASE + CODE_SIZE)
		return READ | EXEC;
	if (address >= DATA_BASE && address < DATA_BASE + DATA_RW)
		return READ | WRITE;
	if (address >= DATA_BASE && address < DATA_BASE + DATA_SIZE)
		return READ;
	if (address >= HIGH_BASE && address < HIGH_BASE + HIGH_SIZE)
		return READ | WRITE;
	return 0;
}

static int check(struct umbra_emul *c, u64 address, unsigned int len, unsigned int need,
		 u32 error)
{
	unsigned int i;

	for (i = 0; i < len; i++) {
		unsigned int have = rights(address + i);

		if ((have & need) == need)
			continue;
		return umbra_emul_page_fault(c, error | PF_U | (have ? PF_P : 0), address + i);
	}
	return UMBRA_EMUL_DONE;
}

static int op_fetch(struct umbra_emul *c, u64 linear, void *data, unsigned int len)
{
	int ret = check(c, linear, len, EXEC, PF_I);

	if (!ret)
		memcpy(data, (void *)linear, len);
	return ret;
}

/* A descriptor, made from the segment it describes */
static u64 descriptor(const struct umbra_emul_seg *s)
{
	return (s->limit & 0xffff) | (s->base & 0xffffff) << 16 | (u64)s->attr << 40 |
	       (u64)(s->limit & 0xf0000) << 32 | (u64)(s->base & 0xff000000) << 32;
}

static int op_read(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
		   unsigned int flags)
{
	bool rmw = flags & UMBRA_EMUL_RMW;
	int ret;

	if (flags & UMBRA_EMUL_SYSTEM) {
		u64 d = descriptor(&segments[(linear - LDT_BASE) / 8].seg);

		memcpy(data, &d, len);
		return UMBRA_EMUL_DONE;
	}
	ret = check(c, linear, len, rmw ? READ | WRITE : READ, rmw ? PF_W : 0);
	if (!ret && !(flags & UMBRA_EMUL_PROBE))
		memcpy(data, (void *)linear, len);
	return ret;
}

static int op_write(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
		    unsigned int flags)
{
	int ret = check(c, linear, len, WRITE, PF_W);

	if (!ret && !(flags & UMBRA_EMUL_PROBE))
		memcpy((void *)linear, data, len);
	return ret;
}

static int op_cmpxchg(struct umbra_emul *c, u64 linear, const void *old, const void *new,
		      unsigned int len, unsigned int flags)
{
	int ret = check(c, linear, len, WRITE, PF_W);

	(void)flags;
	if (ret)
		return ret;
	if (memcmp((void *)linear, old, len))
		return UMBRA_EMUL_RETRY;
	memcpy((void *)linear, new, len);
	return UMBRA_EMUL_DONE;
}

static int op_get_segment(struct umbra_emul *c, unsigned int seg, struct umbra_emul_seg *s)
{
	u16 selector;

	(void)c;
	memset(s, 0, sizeof(*s));
	if (seg == UMBRA_EMUL_LDTR) {
		s->base = LDT_BASE;
		s->limit = NR_SEGMENTS * 8 - 1;
		s->attr = 0x82;
		return UMBRA_EMUL_DONE;
	}
	if (seg >= UMBRA_EMUL_NR_SEG)
		return UMBRA_EMUL_UNHANDLED;
	selector = cpu->seg[seg];
	s->selector = selector;
	if (cpu_code == UMBRA_CODE_64) {
		if (seg == UMBRA_EMUL_GS)
			s->base = GS_BASE;
		return UMBRA_EMUL_DONE;
	}
	if (selector & 4) {
		*s = segments[selector >> 3].seg;
	} else if (selector & ~3) {
		s->limit = 0xffffffff;
		s->attr = selector == 0x23 ? 0xc0fb : 0xc0f3;
	}
	return UMBRA_EMUL_DONE;
}

static int op_set_segment(struct umbra_emul *c, unsigned int seg, const struct umbra_emul_seg *s)
{
	(void)c;
	cpu->seg[seg] = s->selector;
	return UMBRA_EMUL_DONE;
}

static int op_io_allowed(struct umbra_emul *c, u16 port, unsigned int size)
{
	(void)port;
	(void)size;
	return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
}

static int op_get_xcr(struct umbra_emul *c, u32 xcr, u64 *value)
{
	if (xcr)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	*value = native_avx ? 7 : 3;
	return UMBRA_EMUL_DONE;
}

static int op_cpuid(struct umbra_emul *c, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	(void)c;
	__cpuid_count(*eax, *ecx, *eax, *ebx, *ecx, *edx);
	return UMBRA_EMUL_DONE;
}

static int op_get_vec(struct umbra_emul *c, unsigned int reg, void *data, unsigned int len)
{
	(void)c;
	memcpy(data, cpu->vec[reg], len);
	return UMBRA_EMUL_DONE;
}

static int op_set_vec(struct umbra_emul *c, unsigned int reg, const void *data,
		      unsigned int len, bool zero_upper)
{
	(void)c;
	memcpy(cpu->vec[reg], data, len);
	if (zero_upper)
		memset(cpu->vec[reg] + len, 0, 32 - len);
	return UMBRA_EMUL_DONE;
}

/* MMX registers are not compared. */
static int op_get_mmx(struct umbra_emul *c, unsigned int reg, u64 *value)
{
	(void)c;
	(void)reg;
	(void)value;
	return UMBRA_EMUL_UNHANDLED;
}

static int op_set_mmx(struct umbra_emul *c, unsigned int reg, u64 value)
{
	(void)c;
	(void)reg;
	(void)value;
	return UMBRA_EMUL_UNHANDLED;
}

static const struct umbra_emul_ops ops = {
	.fetch = op_fetch,
	.read = op_read,
	.write = op_write,
	.compare_exchange = op_cmpxchg,
	.get_segment = op_get_segment,
	.set_segment = op_set_segment,
	.get_xcr = op_get_xcr,
	.cpuid = op_cpuid,
	.io_allowed = op_io_allowed,
	.get_vec = op_get_vec,
	.set_vec = op_set_vec,
	.get_mmx = op_get_mmx,
	.set_mmx = op_set_mmx,
};

/**
 * machine_run() - run the instruction at p->rip by the executor
 * @p:		registers before, and after
 * @code:	UMBRA_CODE_*
 * @insn:	where to put the decoded instruction
 * @out:	how it ended
 *
 * Return: the enum umbra_emul_result of the last step.
 */
int machine_run(struct cpu *p, unsigned int code, struct umbra_insn *insn, struct outcome *out)
{
	struct umbra_emul c;
	int ret;

	cpu = p;
	cpu_code = code;
	memset(&c, 0xa5, sizeof(c));
	c.ops = &ops;
	c.gpr = p->gpr;
	c.rip = p->rip;
	c.rflags = p->rflags;
	c.cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG;
	c.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | (native_avx ? X86_CR4_OSXSAVE : 0) |
		(native_la57 ? X86_CR4_LA57 : 0);
	c.efer = EFER_LMA;
	c.code = code;
	c.cpl = 3;
	do {
		umbra_emul_start(&c);
		ret = umbra_emulate(&c);
	} while (ret == UMBRA_EMUL_RETRY && !(c.events & UMBRA_EMUL_EV_STEP));

	p->rip = c.rip;
	p->rflags = c.rflags;
	*insn = c.insn;
	memset(out, 0, sizeof(*out));
	out->vector = -1;
	out->unhandled = ret == UMBRA_EMUL_UNHANDLED;
	if (ret == UMBRA_EMUL_FAULT) {
		out->vector = c.exc.vector;
		out->error = c.exc.has_error ? c.exc.error_code : 0;
		out->address = c.exc.address;
	}
	return ret;
}
