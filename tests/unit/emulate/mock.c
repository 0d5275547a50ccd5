// SPDX-License-Identifier: GPL-2.0-only
/*
 * A machine of 64 KiB: memory, one page of MMIO, ports, registers, and callbacks that
 * remember what they were asked.
 */
#include "mock.h"

struct machine m;

static bool interrupted(void)
{
	return ++m.calls == m.fail_at;
}

static bool is_memory(u64 linear, unsigned int len)
{
	return linear < MEMORY_SIZE && len <= MEMORY_SIZE - linear;
}

static int op_fetch(struct umbra_emul *c, u64 linear, void *data, unsigned int len)
{
	if (!is_memory(linear, len))
		return umbra_emul_page_fault(c, 0x10, linear);
	memcpy(data, m.memory + linear, len);
	return UMBRA_EMUL_DONE;
}

static bool is_mmio(u64 linear, unsigned int len)
{
	return linear >= MMIO_AT && linear < MMIO_AT + MMIO_SIZE &&
	       len <= MMIO_AT + MMIO_SIZE - linear;
}

static int op_read(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
		   unsigned int flags)
{
	if (interrupted())
		return UMBRA_EMUL_IO;
	if (is_mmio(linear, len)) {
		if (flags & UMBRA_EMUL_BULK)
			return UMBRA_EMUL_UNHANDLED;
		memset(data, 0x5a, len);
		return UMBRA_EMUL_DONE;
	}
	if (!is_memory(linear, len))
		return umbra_emul_page_fault(c, flags & UMBRA_EMUL_RMW ? 2 : 0, linear);
	memcpy(data, m.memory + linear, len);
	if ((flags & UMBRA_EMUL_LOCKED) && m.race) {
		m.memory[linear] ^= 0xff;
		m.race = false;
	}
	return UMBRA_EMUL_DONE;
}

static int op_write(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
		    unsigned int flags)
{
	if (interrupted())
		return UMBRA_EMUL_IO;
	if (is_mmio(linear, len)) {
		if (flags & UMBRA_EMUL_BULK)
			return UMBRA_EMUL_UNHANDLED;
		if (!(flags & UMBRA_EMUL_PROBE))
			memcpy(&m.mmio_write, data, len < 8 ? len : 8);
		return UMBRA_EMUL_DONE;
	}
	if (!is_memory(linear, len))
		return umbra_emul_page_fault(c, 2, linear);
	if (!(flags & UMBRA_EMUL_PROBE))
		memcpy(m.memory + linear, data, len);
	return UMBRA_EMUL_DONE;
}

static int op_cmpxchg(struct umbra_emul *c, u64 linear, const void *old, const void *new,
		      unsigned int len, unsigned int flags)
{
	(void)flags;
	if (interrupted())
		return UMBRA_EMUL_IO;
	if (!is_memory(linear, len))
		return umbra_emul_page_fault(c, 2, linear);
	if (memcmp(m.memory + linear, old, len))
		return UMBRA_EMUL_RETRY;
	memcpy(m.memory + linear, new, len);
	return UMBRA_EMUL_DONE;
}

static int op_get_segment(struct umbra_emul *c, unsigned int seg, struct umbra_emul_seg *s)
{
	(void)c;
	*s = m.seg[seg];
	return UMBRA_EMUL_DONE;
}

static int op_set_segment(struct umbra_emul *c, unsigned int seg, const struct umbra_emul_seg *s)
{
	(void)c;
	m.seg[seg] = *s;
	return UMBRA_EMUL_DONE;
}

static int op_get_cr(struct umbra_emul *c, unsigned int cr, u64 *value)
{
	(void)c;
	*value = m.cr[cr];
	return UMBRA_EMUL_DONE;
}

static int op_set_cr(struct umbra_emul *c, unsigned int cr, u64 value)
{
	if (cr == 3 && value == 0xbad)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	m.cr[cr] = value;
	return UMBRA_EMUL_DONE;
}

static int op_get_dr(struct umbra_emul *c, unsigned int dr, u64 *value)
{
	(void)c;
	*value = m.dr[dr];
	return UMBRA_EMUL_DONE;
}

static int op_set_dr(struct umbra_emul *c, unsigned int dr, u64 value)
{
	(void)c;
	m.dr[dr] = value;
	return UMBRA_EMUL_DONE;
}

static int op_get_xcr(struct umbra_emul *c, u32 xcr, u64 *value)
{
	if (xcr)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	*value = m.xcr0;
	return UMBRA_EMUL_DONE;
}

static int op_set_xcr(struct umbra_emul *c, u32 xcr, u64 value)
{
	if (xcr)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	m.xcr0 = value;
	return UMBRA_EMUL_DONE;
}

static int op_rdmsr(struct umbra_emul *c, u32 msr, u64 *value)
{
	(void)c;
	m.msr = msr;
	*value = m.msr_value;
	return UMBRA_EMUL_DONE;
}

static int op_wrmsr(struct umbra_emul *c, u32 msr, u64 value)
{
	(void)c;
	m.msr = msr;
	m.msr_value = value;
	return UMBRA_EMUL_DONE;
}

static int op_invlpg(struct umbra_emul *c, u64 linear)
{
	(void)c;
	m.invlpg = linear;
	return UMBRA_EMUL_DONE;
}

static int op_cpuid(struct umbra_emul *c, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	(void)c;
	*ebx = *eax + 1;
	*edx = *ecx + 2;
	*eax = 0x10;
	*ecx = 0x20;
	return UMBRA_EMUL_DONE;
}

static int op_halt(struct umbra_emul *c)
{
	(void)c;
	m.halted = true;
	return UMBRA_EMUL_DONE;
}

static int op_wbinvd(struct umbra_emul *c)
{
	(void)c;
	return UMBRA_EMUL_UNHANDLED;
}

static int op_io_allowed(struct umbra_emul *c, u16 port, unsigned int size)
{
	(void)port;
	(void)size;
	return m.io_denied ? umbra_emul_fault(c, X86_TRAP_GP, true, 0) : UMBRA_EMUL_DONE;
}

static int op_pio_in(struct umbra_emul *c, u16 port, unsigned int size, void *data,
		     unsigned int count)
{
	(void)c;
	if (interrupted())
		return UMBRA_EMUL_IO;
	m.port = port;
	m.port_size = size;
	m.port_count = count;
	memset(data, 0xc3, size * count);
	return UMBRA_EMUL_DONE;
}

static int op_pio_out(struct umbra_emul *c, u16 port, unsigned int size, const void *data,
		      unsigned int count)
{
	(void)c;
	if (interrupted())
		return UMBRA_EMUL_IO;
	m.port = port;
	m.port_size = size;
	m.port_count = count;
	memcpy(m.port_data, data, size * count);
	return UMBRA_EMUL_DONE;
}

static int op_get_vec(struct umbra_emul *c, unsigned int reg, void *data, unsigned int len)
{
	(void)c;
	memcpy(data, m.vec[reg], len);
	return UMBRA_EMUL_DONE;
}

static int op_set_vec(struct umbra_emul *c, unsigned int reg, const void *data,
		      unsigned int len, bool zero_upper)
{
	(void)c;
	memcpy(m.vec[reg], data, len);
	if (zero_upper)
		memset(m.vec[reg] + len, 0, 32 - len);
	return UMBRA_EMUL_DONE;
}

static int op_get_mmx(struct umbra_emul *c, unsigned int reg, u64 *value)
{
	if (interrupted())
		return UMBRA_EMUL_IO;
	if (m.fpu_pending)
		return umbra_emul_fault(c, X86_TRAP_MF, false, 0);
	if (value) {
		m.mmx_used = true;
		*value = m.mmx[reg];
	}
	return UMBRA_EMUL_DONE;
}

static int op_set_mmx(struct umbra_emul *c, unsigned int reg, u64 value)
{
	(void)c;
	m.mmx_used = true;
	m.mmx[reg] = value;
	return UMBRA_EMUL_DONE;
}

static int op_string_commit(struct umbra_emul *c)
{
	(void)c;
	return ++m.commits == m.commits_max ? UMBRA_EMUL_RETRY : UMBRA_EMUL_DONE;
}

static const struct umbra_emul_ops ops = {
	.fetch = op_fetch,
	.read = op_read,
	.write = op_write,
	.compare_exchange = op_cmpxchg,
	.get_segment = op_get_segment,
	.set_segment = op_set_segment,
	.get_cr = op_get_cr,
	.set_cr = op_set_cr,
	.get_dr = op_get_dr,
	.set_dr = op_set_dr,
	.get_xcr = op_get_xcr,
	.set_xcr = op_set_xcr,
	.rdmsr = op_rdmsr,
	.wrmsr = op_wrmsr,
	.invlpg = op_invlpg,
	.cpuid = op_cpuid,
	.halt = op_halt,
	.wbinvd = op_wbinvd,
	.io_allowed = op_io_allowed,
	.pio_in = op_pio_in,
	.pio_out = op_pio_out,
	.get_vec = op_get_vec,
	.set_vec = op_set_vec,
	.get_mmx = op_get_mmx,
	.set_mmx = op_set_mmx,
	.string_commit = op_string_commit,
};

/* A machine at its beginning, in @mode at @cpl, with the segments that go with it */
void power_on(enum mode mode, unsigned int cpl)
{
	static u8 memory[MEMORY_SIZE];
	unsigned int i;

	if (!memory[1]) {
		for (i = 0; i < MEMORY_SIZE; i++)
			memory[i] = i * 7;
	}
	memset(&m, 0, sizeof(m));
	memcpy(m.memory, memory, sizeof(memory));
	m.c.ops = &ops;
	m.c.gpr = m.gpr;
	m.c.rip = CODE_AT;
	m.c.rflags = X86_EFLAGS_FIXED;
	m.c.cr0 = mode == REAL ? 0 : X86_CR0_PE;
	m.c.cr4 = X86_CR4_OSFXSR;
	m.c.cpl = cpl;
	m.c.code = mode == LONG ? UMBRA_CODE_64 : mode == PROTECTED ? UMBRA_CODE_32 : UMBRA_CODE_16;
	if (mode == LONG) {
		m.c.cr0 |= X86_CR0_PG;
		m.c.efer = EFER_LMA;
	}
	if (mode == VM86)
		m.c.rflags |= X86_EFLAGS_VM;
	for (i = 0; i < UMBRA_EMUL_NR_SEG; i++) {
		m.seg[i].limit = mode == REAL || mode == VM86 ? 0xffff : 0xffffffff;
		m.seg[i].attr = 0x93 | cpl << UMBRA_EMUL_SEG_DPL_SHIFT;
		if (mode == PROTECTED)
			m.seg[i].attr |= UMBRA_EMUL_SEG_DB | UMBRA_EMUL_SEG_G;
		m.seg[i].selector = 8 * (i + 1) | cpl;
		if (mode == REAL || mode == VM86)
			m.seg[i].selector = 0;
	}
	m.seg[UMBRA_EMUL_CS].attr |= 8;
	m.gpr[UMBRA_EMUL_RSP] = 0x4000;
}

int run_bytes(const void *bytes, unsigned int len)
{
	memcpy(m.memory + CODE_AT, bytes, len);
	umbra_emul_start(&m.c);
	return umbra_emulate(&m.c);
}
