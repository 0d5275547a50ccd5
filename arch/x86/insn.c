// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instruction behind an exit: decoded where the CPU does not say enough,
 * executed in software where it could not run. Joins the executor of emulate/
 * to a vCPU: its memory, ports and registers.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/debugreg.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>
#include "cpuid.h"
#include "umbra.h"

static struct umbra_vcpu *emul_vcpu(struct umbra_emul *c)
{
	return container_of(c, struct umbra_vcpu, arch.emul);
}

/**
 * umbra_cpl() - current privilege level
 * @vcpu: the vCPU, loaded
 *
 * Return: 0 to 3; 3 in virtual-8086 mode.
 */
int umbra_cpl(struct umbra_vcpu *vcpu)
{
	struct umbra_code code;

	umbra_backend->get_code(vcpu, &code);
	return code.cpl;
}

/**
 * umbra_code_size() - size of the code the guest runs
 * @vcpu: the vCPU, loaded
 *
 * Return: UMBRA_CODE_16, UMBRA_CODE_32 or UMBRA_CODE_64.
 */
unsigned int umbra_code_size(struct umbra_vcpu *vcpu)
{
	struct umbra_code code;

	umbra_backend->get_code(vcpu, &code);
	return code.size;
}

/* ---- memory ---- */

static int translate(struct umbra_emul *c, u64 linear, u32 access, gpa_t *gpa)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);
	struct umbra_exception e;
	int ret;

	ret = umbra_mmu_translate(vcpu, linear, access, gpa, &e);
	if (!ret)
		return UMBRA_EMUL_DONE;
	if (ret < 0) {
		vcpu->arch.emul_error = ret;
		return UMBRA_EMUL_UNHANDLED;
	}
	return umbra_emul_page_fault(c, e.error, linear);
}

static u32 access_mode(struct umbra_emul *c, unsigned int flags)
{
	if (flags & UMBRA_EMUL_SYSTEM)
		return UMBRA_ACCESS_IMPLICIT;
	return c->cpl == 3 ? X86_PF_USER : 0;
}

static int emul_fetch(struct umbra_emul *c, u64 linear, void *data, unsigned int len)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);
	gpa_t gpa;
	int ret;

	ret = translate(c, linear, access_mode(c, 0) | X86_PF_INSTR, &gpa);
	if (ret)
		return ret;
	/* Code outside memory slots is beyond what can be executed in software. */
	return umbra_guest_read(vcpu, gpa, data, len) ? UMBRA_EMUL_UNHANDLED : UMBRA_EMUL_DONE;
}

/* A read that no memory slot answers: the local APIC, or user space. */
static int mmio_read(struct umbra_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	while (len) {
		/* Naturally aligned pieces, as a bus would carry them. */
		unsigned int n = min(len, 8 - (unsigned int)(gpa & 7));
		struct umbra_mmio *m = &arch->mmio_read[arch->mmio_next];

		if (arch->mmio_next < arch->mmio_reads) {
			if (m->gpa != gpa || m->len != n)
				return UMBRA_EMUL_UNHANDLED;
		} else {
			if (arch->mmio_next == UMBRA_MMIO_MAX)
				return UMBRA_EMUL_UNHANDLED;
			m->gpa = gpa;
			m->len = n;
			if (!umbra_lapic_claims(vcpu, gpa)) {
				/* In order: earlier elements of a MOVS may be posted. */
				if (arch->mmio_writes)
					return UMBRA_EMUL_IO;
				arch->mmio_waiting = true;
				return UMBRA_EMUL_IO;
			}
			umbra_lapic_read(vcpu, gpa, m->data, n);
			arch->mmio_reads++;
		}
		memcpy(data, m->data, n);
		arch->mmio_next++;
		gpa += n;
		data += n;
		len -= n;
	}
	return UMBRA_EMUL_DONE;
}

/* Posted: user space does them after the instruction has completed. */
static int mmio_write(struct umbra_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	/* All of it or nothing: the instruction is executed again if there is no room. */
	if (arch->mmio_writes + DIV_ROUND_UP(len + (gpa & 7), 8) > UMBRA_MMIO_MAX)
		return arch->mmio_writes ? UMBRA_EMUL_IO : UMBRA_EMUL_UNHANDLED;
	while (len) {
		unsigned int n = min(len, 8 - (unsigned int)(gpa & 7));

		if (umbra_lapic_claims(vcpu, gpa)) {
			umbra_lapic_write(vcpu, gpa, data, n);
		} else {
			struct umbra_mmio *m = &arch->mmio_write[arch->mmio_writes++];

			m->gpa = gpa;
			m->len = n;
			memcpy(m->data, data, n);
		}
		gpa += n;
		data += n;
		len -= n;
	}
	return UMBRA_EMUL_DONE;
}

static unsigned int in_page(u64 linear, unsigned int len)
{
	return min_t(unsigned int, len, PAGE_SIZE - offset_in_page(linear));
}

/* Outside 64-bit code addresses wrap at 4 GiB; those of descriptor tables do not. */
static u64 wrap(struct umbra_emul *c, u64 linear, unsigned int flags)
{
	return c->code == UMBRA_CODE_64 || flags & UMBRA_EMUL_SYSTEM ? linear : (u32)linear;
}

static int emul_read(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
		     unsigned int flags)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);
	u32 access = access_mode(c, flags);
	int ret;

	/* A read that a write follows faults as the write would. */
	if (flags & (UMBRA_EMUL_RMW | UMBRA_EMUL_LOCKED))
		access |= X86_PF_WRITE;
	while (len) {
		unsigned int n = in_page(linear, len);
		gpa_t gpa;

		ret = translate(c, linear, access, &gpa);
		if (ret)
			return ret;
		if (flags & UMBRA_EMUL_PROBE)
			;
		else if (umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT))
			ret = umbra_guest_read(vcpu, gpa, data, n) ? UMBRA_EMUL_UNHANDLED :
								     UMBRA_EMUL_DONE;
		else if (flags & UMBRA_EMUL_BULK)
			ret = UMBRA_EMUL_UNHANDLED;
		else
			ret = mmio_read(vcpu, gpa, data, n);
		if (ret)
			return ret;
		linear = wrap(c, linear + n, flags);
		data += n;
		len -= n;
	}
	return UMBRA_EMUL_DONE;
}

static bool is_memory(struct umbra_vcpu *vcpu, gpa_t gpa)
{
	struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT);

	return slot && !(slot->flags & UMBRA_MEM_READONLY);
}

static int write_gpa(struct umbra_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	if (!is_memory(vcpu, gpa))
		return mmio_write(vcpu, gpa, data, len);
	return umbra_guest_write(vcpu, gpa, data, len) ? UMBRA_EMUL_UNHANDLED : UMBRA_EMUL_DONE;
}

static int emul_write(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
		      unsigned int flags)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);
	u32 access = access_mode(c, flags) | X86_PF_WRITE;
	unsigned int n = in_page(linear, len);
	gpa_t gpa, second = 0;
	int ret;

	/* At most 512 bytes, so at most two pages; both are checked before either is written. */
	ret = translate(c, linear, access, &gpa);
	if (!ret && n < len)
		ret = translate(c, wrap(c, linear + n, flags), access, &second);
	if (ret || flags & UMBRA_EMUL_PROBE)
		return ret;
	if (flags & UMBRA_EMUL_BULK &&
	    !(is_memory(vcpu, gpa) && (n == len || is_memory(vcpu, second))))
		return UMBRA_EMUL_UNHANDLED;
	ret = write_gpa(vcpu, gpa, data, n);
	if (!ret && n < len)
		ret = write_gpa(vcpu, second, data + n, len - n);
	return ret;
}

/* 1: replaced, 0: memory differs from @old, negative: no access. */
static int user_cmpxchg(void __user *uaddr, const void *old, const void *new, unsigned int len)
{
	u64 o = 0, n = 0;
	int ret;

	memcpy(&o, old, len);
	memcpy(&n, new, len);
	if (!user_access_begin(uaddr, len))
		return -EFAULT;
	switch (len) {
	case 1: {
		u8 expected = o;

		ret = unsafe_try_cmpxchg_user((u8 __user *)uaddr, &expected, (u8)n, fault);
		break;
	}
	case 2: {
		u16 expected = o;

		ret = unsafe_try_cmpxchg_user((u16 __user *)uaddr, &expected, (u16)n, fault);
		break;
	}
	case 4: {
		u32 expected = o;

		ret = unsafe_try_cmpxchg_user((u32 __user *)uaddr, &expected, (u32)n, fault);
		break;
	}
	default: {
		u64 expected = o;

		ret = unsafe_try_cmpxchg_user((u64 __user *)uaddr, &expected, n, fault);
		break;
	}
	}
	user_access_end();
	return ret;
fault:
	user_access_end();
	return -EFAULT;
}

/* There is no user access of 16 bytes, so through the kernel's mapping of the page. */
static int page_cmpxchg16(void __user *uaddr, const void *old, const void *new)
{
	unsigned long hva = (unsigned long)uaddr;
	u64 o[2], n[2];
	struct page *page;
	void *p;
	bool ok;

	if (get_user_pages_fast(hva, 1, FOLL_WRITE, &page) != 1)
		return -EFAULT;
	memcpy(o, old, sizeof(o));
	memcpy(n, new, sizeof(n));
	p = kmap_local_page(page) + offset_in_page(hva);
	asm volatile("lock cmpxchg16b %1"
		     : "=@ccz" (ok), "+m" (*(u8 (*)[16])p), "+a" (o[0]), "+d" (o[1])
		     : "b" (n[0]), "c" (n[1])
		     : "memory");
	kunmap_local(p);
	set_page_dirty_lock(page);
	put_page(page);
	return ok;
}

static int emul_cmpxchg(struct umbra_emul *c, u64 linear, const void *old, const void *new,
			unsigned int len, unsigned int flags)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);
	struct umbra_slot *slot;
	void __user *uaddr;
	u8 now[16];
	gpa_t gpa;
	int ret;

	ret = translate(c, linear, access_mode(c, flags) | X86_PF_WRITE, &gpa);
	if (ret)
		return ret;
	if (!is_memory(vcpu, gpa))
		return emul_write(c, linear, new, len, flags);
	if (linear & (len - 1)) {
		/* A split lock: atomic on its own pieces only. */
		ret = emul_read(c, linear, now, len, flags | UMBRA_EMUL_LOCKED);
		if (ret)
			return ret;
		if (memcmp(now, old, len))
			return UMBRA_EMUL_RETRY;
		return emul_write(c, linear, new, len, flags);
	}

	slot = umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT);
	uaddr = (void __user *)(umbra_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
	ret = len == 16 ? page_cmpxchg16(uaddr, old, new) : user_cmpxchg(uaddr, old, new, len);
	if (ret == -EFAULT && len < 16) {
		/* Not present: bring it in, then once more. */
		u8 byte;

		if (get_user(byte, (u8 __user *)uaddr) || put_user(byte, (u8 __user *)uaddr))
			return UMBRA_EMUL_UNHANDLED;
		return UMBRA_EMUL_RETRY;
	}
	if (ret < 0)
		return UMBRA_EMUL_UNHANDLED;
	if (!ret)
		return UMBRA_EMUL_RETRY;
	umbra_mark_dirty(slot, gpa >> PAGE_SHIFT);
	umbra_mmu_guest_write(vcpu, gpa, len);
	return UMBRA_EMUL_DONE;
}

/* ---- segments and registers ---- */

static int emul_get_segment(struct umbra_emul *c, unsigned int seg, struct umbra_emul_seg *s)
{
	static const u8 index[] = {
		[UMBRA_EMUL_TR] = UMBRA_TR,
		[UMBRA_EMUL_LDTR] = UMBRA_LDTR,
	};
	struct umbra_vcpu *vcpu = emul_vcpu(c);
	struct umbra_segment from;
	struct umbra_table table;

	if (seg == UMBRA_EMUL_GDTR || seg == UMBRA_EMUL_IDTR) {
		umbra_backend->get_table(vcpu, seg == UMBRA_EMUL_IDTR, &table);
		*s = (struct umbra_emul_seg) { .base = table.base, .limit = table.limit };
		return UMBRA_EMUL_DONE;
	}
	umbra_backend->get_segment(vcpu, seg < UMBRA_EMUL_NR_SEG ? seg : index[seg], &from);
	s->base = from.base;
	s->limit = from.limit;
	s->selector = from.selector;
	s->attr = from.attr;
	if (from.attr & UMBRA_SEG_UNUSABLE)
		s->attr &= ~UMBRA_EMUL_SEG_P;
	return UMBRA_EMUL_DONE;
}

static int emul_set_segment(struct umbra_emul *c, unsigned int seg, const struct umbra_emul_seg *s)
{
	struct umbra_segment to = {
		.base = s->base,
		.limit = s->limit,
		.selector = s->selector,
		.attr = s->attr,
	};

	if (seg == UMBRA_EMUL_GDTR || seg == UMBRA_EMUL_IDTR) {
		struct umbra_table table = { .base = s->base, .limit = s->limit };

		umbra_backend->set_table(emul_vcpu(c), seg == UMBRA_EMUL_IDTR, &table);
		return UMBRA_EMUL_DONE;
	}
	if (seg >= UMBRA_EMUL_NR_SEG)
		return UMBRA_EMUL_UNHANDLED;
	if (!(s->attr & UMBRA_EMUL_SEG_P))
		to.attr |= UMBRA_SEG_UNUSABLE;
	umbra_backend->set_segment(emul_vcpu(c), seg, &to);
	return UMBRA_EMUL_DONE;
}

static int emul_get_cr(struct umbra_emul *c, unsigned int cr, u64 *value)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);

	switch (cr) {
	case 0:
		*value = vcpu->arch.cr0;
		break;
	case 2:
		*value = vcpu->arch.cr2;
		break;
	case 3:
		*value = vcpu->arch.cr3;
		break;
	case 4:
		*value = vcpu->arch.cr4;
		break;
	case 8:
		*value = umbra_lapic_get_cr8(vcpu);
		break;
	default:
		return umbra_emul_fault(c, X86_TRAP_UD, false, 0);
	}
	return UMBRA_EMUL_DONE;
}

static int gp_if(struct umbra_emul *c, int bad)
{
	return bad ? umbra_emul_fault(c, X86_TRAP_GP, true, 0) : UMBRA_EMUL_DONE;
}

static int emul_set_cr(struct umbra_emul *c, unsigned int cr, u64 value)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);

	switch (cr) {
	case 0:
		return gp_if(c, umbra_set_cr0(vcpu, value));
	case 2:
		vcpu->arch.cr2 = value;
		return UMBRA_EMUL_DONE;
	case 3:
		return gp_if(c, umbra_set_cr3(vcpu, value));
	case 4:
		return gp_if(c, umbra_set_cr4(vcpu, value));
	case 8:
		if (value > 15)
			return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
		umbra_lapic_set_cr8(vcpu, value);
		return UMBRA_EMUL_DONE;
	default:
		return umbra_emul_fault(c, X86_TRAP_UD, false, 0);
	}
}

/* The exception is queued already by umbra_get_dr() and umbra_set_dr(). */
static int take_queued(struct umbra_emul *c, int raised)
{
	if (!raised)
		return UMBRA_EMUL_DONE;
	emul_vcpu(c)->arch.emul_queued = true;
	return UMBRA_EMUL_FAULT;
}

static int emul_get_dr(struct umbra_emul *c, unsigned int dr, u64 *value)
{
	return take_queued(c, umbra_get_dr(emul_vcpu(c), dr, value));
}

static int emul_set_dr(struct umbra_emul *c, unsigned int dr, u64 value)
{
	return take_queued(c, umbra_set_dr(emul_vcpu(c), dr, value));
}

static int emul_get_xcr(struct umbra_emul *c, u32 xcr, u64 *value)
{
	*value = emul_vcpu(c)->arch.xcr0;
	return gp_if(c, xcr != 0);
}

static int emul_set_xcr(struct umbra_emul *c, u32 xcr, u64 value)
{
	return gp_if(c, xcr || umbra_set_xcr0(emul_vcpu(c), value));
}

static int emul_rdmsr(struct umbra_emul *c, u32 msr, u64 *value)
{
	return gp_if(c, umbra_get_msr(emul_vcpu(c), msr, value, false));
}

static int emul_wrmsr(struct umbra_emul *c, u32 msr, u64 value)
{
	return gp_if(c, umbra_set_msr(emul_vcpu(c), msr, value, false));
}

static int emul_invlpg(struct umbra_emul *c, u64 linear)
{
	umbra_mmu_invlpg(emul_vcpu(c), linear);
	return UMBRA_EMUL_DONE;
}

static int emul_cpuid(struct umbra_emul *c, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	umbra_cpuid(emul_vcpu(c), eax, ebx, ecx, edx);
	return UMBRA_EMUL_DONE;
}

static int emul_halt(struct umbra_emul *c)
{
	WRITE_ONCE(emul_vcpu(c)->arch.mp_state, UMBRA_MP_HALTED);
	return UMBRA_EMUL_DONE;
}

/* Guests have no uncached memory of their own to make coherent. */
static int emul_wbinvd(struct umbra_emul *c)
{
	return UMBRA_EMUL_DONE;
}

static int emul_get_vec(struct umbra_emul *c, unsigned int reg, void *data, unsigned int len)
{
	return umbra_fpu_get_vec(emul_vcpu(c), reg, data, len) ? UMBRA_EMUL_DONE :
								 UMBRA_EMUL_UNHANDLED;
}

static int emul_set_vec(struct umbra_emul *c, unsigned int reg, const void *data,
			unsigned int len, bool zero_upper)
{
	return umbra_fpu_set_vec(emul_vcpu(c), reg, data, len, zero_upper) ?
		UMBRA_EMUL_DONE : UMBRA_EMUL_UNHANDLED;
}

/* ---- ports ---- */

/* The I/O permission bitmap of a 32-bit or 64-bit TSS (SDM Vol. 1 19.5.2). */
static int emul_io_allowed(struct umbra_emul *c, u16 port, unsigned int size)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);
	struct umbra_segment tr;
	u16 offset, bits;
	int ret;

	umbra_backend->get_segment(vcpu, UMBRA_TR, &tr);
	/* A 16-bit TSS has no bitmap. */
	if ((tr.attr & UMBRA_SEG_TYPE) != 11 && (tr.attr & UMBRA_SEG_TYPE) != 9)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	if (tr.limit < 103)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	ret = emul_read(c, tr.base + 102, &offset, sizeof(offset), UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;
	/* Two bytes are always read. */
	if (offset + port / 8 + 1 > tr.limit)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	ret = emul_read(c, tr.base + offset + port / 8, &bits, sizeof(bits), UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;
	return gp_if(c, bits >> (port & 7) & (BIT(size) - 1));
}

static void request_pio(struct umbra_vcpu *vcpu, u16 port, unsigned int size, unsigned int count,
			u8 direction)
{
	struct umbra_run *run = vcpu->run;

	run->exit_reason = UMBRA_EXIT_IO;
	run->io.port = port;
	run->io.direction = direction;
	run->io.size = size;
	run->io.count = count;
	umbra_check_io_breakpoints(vcpu, port, size);
	vcpu->arch.stat[UMBRA_STAT_PIO_EXITS]++;
}

static void *pio_data(struct umbra_vcpu *vcpu)
{
	return (void *)vcpu->run + UMBRA_RUN_IO_OFFSET;
}

static int emul_pio_in(struct umbra_emul *c, u16 port, unsigned int size, void *data,
		       unsigned int count)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);

	count = min_t(unsigned int, count, UMBRA_RUN_IO_SIZE / size);
	if (vcpu->arch.pio_done == count * size) {
		memcpy(data, pio_data(vcpu), count * size);
		return UMBRA_EMUL_DONE;
	}
	request_pio(vcpu, port, size, count, UMBRA_IO_IN);
	vcpu->arch.pio_waiting = true;
	return UMBRA_EMUL_IO;
}

static int emul_pio_out(struct umbra_emul *c, u16 port, unsigned int size, const void *data,
			unsigned int count)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);

	if (vcpu->arch.pio_posted)
		return UMBRA_EMUL_IO;
	if (count * size > UMBRA_RUN_IO_SIZE)
		return UMBRA_EMUL_UNHANDLED;
	memcpy(pio_data(vcpu), data, count * size);
	request_pio(vcpu, port, size, count, UMBRA_IO_OUT);
	vcpu->arch.pio_posted = true;
	return UMBRA_EMUL_DONE;
}

/* What was kept for executing the instruction again has been used. */
static void emul_string_commit(struct umbra_emul *c)
{
	struct umbra_vcpu *vcpu = emul_vcpu(c);

	vcpu->arch.mmio_reads = 0;
	vcpu->arch.mmio_next = 0;
	vcpu->arch.pio_done = 0;
	vcpu->arch.mmio_committed = vcpu->arch.mmio_writes;
	vcpu->arch.pio_committed = vcpu->arch.pio_posted;
}

static const struct umbra_emul_ops emul_ops = {
	.fetch = emul_fetch,
	.read = emul_read,
	.write = emul_write,
	.compare_exchange = emul_cmpxchg,
	.get_segment = emul_get_segment,
	.set_segment = emul_set_segment,
	.get_cr = emul_get_cr,
	.set_cr = emul_set_cr,
	.get_dr = emul_get_dr,
	.set_dr = emul_set_dr,
	.get_xcr = emul_get_xcr,
	.set_xcr = emul_set_xcr,
	.rdmsr = emul_rdmsr,
	.wrmsr = emul_wrmsr,
	.invlpg = emul_invlpg,
	.cpuid = emul_cpuid,
	.halt = emul_halt,
	.wbinvd = emul_wbinvd,
	.io_allowed = emul_io_allowed,
	.pio_in = emul_pio_in,
	.pio_out = emul_pio_out,
	.get_vec = emul_get_vec,
	.set_vec = emul_set_vec,
	.string_commit = emul_string_commit,
};

/* ---- executing and decoding ---- */

static void emul_prepare(struct umbra_vcpu *vcpu)
{
	struct umbra_emul *c = &vcpu->arch.emul;
	struct umbra_code code;

	umbra_backend->get_code(vcpu, &code);
	c->ops = &emul_ops;
	c->gpr = vcpu->arch.gpr;
	c->rip = vcpu->arch.rip;
	c->rflags = vcpu->arch.rflags;
	c->cr0 = vcpu->arch.cr0;
	c->cr4 = vcpu->arch.cr4;
	c->efer = vcpu->arch.efer;
	c->code = code.size;
	c->cpl = code.cpl;
	umbra_emul_start(c);
	vcpu->arch.emul_error = 0;
	vcpu->arch.emul_queued = false;
	vcpu->arch.mmio_next = 0;
}

/*
 * The one place where RIP moves past an instruction. What it ends: an interrupt
 * shadow, RF; what it may start: a shadow of its own, a single-step trap.
 */
static void advance_rip(struct umbra_vcpu *vcpu, u64 rip, unsigned int events)
{
	u32 blocking = umbra_backend->get_blocking(vcpu);
	u32 shadow = 0;

	vcpu->arch.rip = rip;
	vcpu->arch.rflags &= ~X86_EFLAGS_RF;
	if (events & UMBRA_EMUL_EV_STI)
		shadow = UMBRA_EVENT_SHADOW_STI;
	else if (events & UMBRA_EMUL_EV_MOVSS)
		shadow = UMBRA_EVENT_SHADOW_MOV_SS;
	if (unlikely((blocking & (UMBRA_EVENT_SHADOW_STI | UMBRA_EVENT_SHADOW_MOV_SS)) != shadow)) {
		umbra_backend->set_blocking(vcpu, (blocking & UMBRA_EVENT_NMI_MASKED) | shadow);
		umbra_request(vcpu, UMBRA_REQ_EVENT);
	}
	if (unlikely(events & UMBRA_EMUL_EV_STEP))
		umbra_queue_debug(vcpu, DR_STEP);
}

/**
 * umbra_skip_insn() - the instruction that exited has been carried out
 * @vcpu: the vCPU, loaded
 * @length: its length in bytes
 *
 * Return: 1, to be returned by an exit handler.
 */
int umbra_skip_insn(struct umbra_vcpu *vcpu, unsigned int length)
{
	u64 rip = vcpu->arch.rip + length;
	unsigned int events = vcpu->arch.rflags & X86_EFLAGS_TF ? UMBRA_EMUL_EV_STEP : 0;

	if (rip >> 32 && umbra_code_size(vcpu) != UMBRA_CODE_64)
		rip = (u32)rip;
	advance_rip(vcpu, rip, events);
	return 1;
}

static int report_failure(struct umbra_vcpu *vcpu)
{
	struct umbra_emul *c = &vcpu->arch.emul;
	struct umbra_run *run = vcpu->run;

	vcpu->arch.stat[UMBRA_STAT_EMULATION_FAILURES]++;
	run->exit_reason = UMBRA_EXIT_EMULATION;
	run->emulation.rip = vcpu->arch.rip;
	memcpy(run->emulation.insn, c->fetch, sizeof(run->emulation.insn));
	run->emulation.insn_len = min_t(u8, c->fetch_len, sizeof(run->emulation.insn));
	run->emulation.mode = c->code * 8;
	run->emulation.reserved = 0;
	return 0;
}

static void inject_fault(struct umbra_vcpu *vcpu)
{
	const struct umbra_emul_exception *e = &vcpu->arch.emul.exc;

	if (vcpu->arch.emul_queued)
		return;
	if (e->vector == X86_TRAP_PF)
		umbra_queue_page_fault(vcpu, e->error_code, e->address);
	else if (e->has_error)
		umbra_queue_exception_error(vcpu, e->vector, e->error_code);
	else
		umbra_queue_exception(vcpu, e->vector);
}

static int complete_mmio_read(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct umbra_mmio *m = &arch->mmio_read[arch->mmio_reads];

	memcpy(m->data, vcpu->run->mmio.data, m->len);
	arch->mmio_reads++;
	return umbra_emulate_exit(vcpu);
}

static int complete_pio_in(struct umbra_vcpu *vcpu)
{
	vcpu->arch.pio_done = vcpu->arch.pio_size;
	return umbra_emulate_exit(vcpu);
}

static int mmio_exit(struct umbra_vcpu *vcpu, const struct umbra_mmio *m, bool write)
{
	struct umbra_run *run = vcpu->run;

	run->exit_reason = UMBRA_EXIT_MMIO;
	run->mmio.gpa = m->gpa;
	run->mmio.len = m->len;
	run->mmio.is_write = write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (write)
		memcpy(run->mmio.data, m->data, m->len);
	vcpu->arch.stat[UMBRA_STAT_MMIO_EXITS]++;
	return 0;
}

/* Hands one posted write after the other to user space, then goes on. */
static int flush_writes(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	if (arch->mmio_write_next < arch->mmio_writes) {
		arch->complete = flush_writes;
		return mmio_exit(vcpu, &arch->mmio_write[arch->mmio_write_next++], true);
	}
	arch->mmio_writes = 0;
	arch->mmio_write_next = 0;
	return 1;
}

static int to_user(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	if (arch->pio_posted) {
		arch->pio_posted = false;
		/* MMIO writes of the same instruction (there are none with OUTS) could follow. */
		arch->complete = flush_writes;
		return 0;
	}
	return flush_writes(vcpu);
}

static void forget(struct umbra_vcpu *vcpu)
{
	vcpu->arch.mmio_reads = 0;
	vcpu->arch.mmio_next = 0;
	vcpu->arch.pio_done = 0;
}

/**
 * umbra_forget_exit() - user space need not answer its last exit any more
 * @vcpu: the vCPU
 *
 * For when the state that the exit belongs to is replaced.
 */
void umbra_forget_exit(struct umbra_vcpu *vcpu)
{
	forget(vcpu);
	vcpu->arch.complete = NULL;
	vcpu->arch.mmio_writes = 0;
	vcpu->arch.mmio_write_next = 0;
	vcpu->arch.pio_posted = false;
}

/**
 * umbra_emulate_exit() - execute the instruction at RIP in software
 * @vcpu: the vCPU, loaded
 *
 * Return: 1 when it is done, has faulted (the exception is queued) or is to be
 * tried again; 0 when user space must act, run page filled in; -errno.
 */
int umbra_emulate_exit(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct umbra_emul *c = &arch->emul;
	int ret;

	emul_prepare(vcpu);
	arch->mmio_waiting = false;
	arch->pio_waiting = false;
	arch->mmio_committed = 0;
	arch->pio_committed = false;
	arch->stat[UMBRA_STAT_EMULATIONS]++;
	ret = umbra_emulate(c);

	switch (ret) {
	case UMBRA_EMUL_DONE:
		arch->rflags = c->rflags;
		advance_rip(vcpu, c->rip, c->events);
		forget(vcpu);
		return to_user(vcpu);
	case UMBRA_EMUL_RETRY:
		/* A string instruction that has not come to its end; it may be stepped through. */
		arch->rflags = c->rflags;
		if (unlikely(c->events & UMBRA_EMUL_EV_STEP))
			umbra_queue_debug(vcpu, DR_STEP);
		forget(vcpu);
		return to_user(vcpu);
	case UMBRA_EMUL_FAULT:
		inject_fault(vcpu);
		forget(vcpu);
		return to_user(vcpu);
	case UMBRA_EMUL_IO:
		if (arch->mmio_waiting) {
			arch->complete = complete_mmio_read;
			return mmio_exit(vcpu, &arch->mmio_read[arch->mmio_reads], false);
		}
		if (arch->pio_waiting) {
			arch->pio_size = vcpu->run->io.count * vcpu->run->io.size;
			arch->complete = complete_pio_in;
			return 0;
		}
		/* No room for another posted write: those there are go first. */
		forget(vcpu);
		return to_user(vcpu);
	default:
		forget(vcpu);
		/* What earlier elements of a string instruction have posted is theirs to do. */
		arch->mmio_writes = arch->mmio_committed;
		arch->pio_posted &= arch->pio_committed;
		if (arch->mmio_writes || arch->pio_posted)
			return to_user(vcpu);
		if (arch->emul_error)
			return arch->emul_error;
		/* A write to a shadowed table that is beyond the executor: let the guest do it. */
		if (arch->table_written && umbra_mmu_unprotect(vcpu, arch->table_gpa))
			return 1;
		return report_failure(vcpu);
	}
}

/* As much of the instruction as lies on one page; the rest only if it is needed. */
static int fetch_more(struct umbra_emul *c)
{
	u64 offset = c->rip + c->fetch_len;
	unsigned int n;
	u64 linear;
	int ret;

	if (c->code != UMBRA_CODE_64) {
		struct umbra_emul_seg cs;

		emul_get_segment(c, UMBRA_EMUL_CS, &cs);
		linear = (u32)(offset + cs.base);
	} else {
		linear = offset;
	}
	n = in_page(linear, UMBRA_INSN_MAX - c->fetch_len);
	ret = emul_fetch(c, linear, c->fetch + c->fetch_len, n);
	if (!ret)
		c->fetch_len += n;
	return ret;
}

/**
 * umbra_opcode_at_rip() - is the instruction at RIP this one, without prefixes?
 * @vcpu: the vCPU, loaded
 * @opcode: its two bytes, the first one in the low half
 *
 * Most instructions that exit are two bytes long, as CPUID is; comparing them
 * costs a fraction of decoding. Works with page faults disabled, too.
 *
 * Return: true if so; false if not, or if the code cannot be read just now.
 */
bool umbra_opcode_at_rip(struct umbra_vcpu *vcpu, u16 opcode)
{
	struct umbra_exception e;
	struct umbra_slot *slot;
	struct umbra_code code;
	gpa_t gpa;
	u64 linear;
	u16 bytes;

	umbra_backend->get_code(vcpu, &code);
	linear = vcpu->arch.rip + code.base;
	if (code.size != UMBRA_CODE_64)
		linear = (u32)linear;
	if (offset_in_page(linear) > PAGE_SIZE - sizeof(bytes))
		return false;
	if (umbra_mmu_translate(vcpu, linear, X86_PF_INSTR | (code.cpl == 3 ? X86_PF_USER : 0),
				&gpa, &e))
		return false;
	slot = umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT);
	return slot && !get_user(bytes, (u16 __user *)(umbra_slot_hva(slot, gpa >> PAGE_SHIFT) +
						       offset_in_page(gpa))) &&
	       bytes == opcode;
}

/**
 * umbra_decode_exit() - decode the instruction at RIP
 * @vcpu: the vCPU, loaded
 * @ret: without an instruction: what the exit handler is to return. 1: the code
 *	has become unreadable to the guest, the fault is queued. 0: the bytes
 *	cannot be had or decoded, user space is told. Or -errno
 *
 * Return: the instruction, or NULL.
 */
const struct umbra_insn *umbra_decode_exit(struct umbra_vcpu *vcpu, int *ret)
{
	struct umbra_emul *c = &vcpu->arch.emul;
	int err;

	emul_prepare(vcpu);
	do {
		err = fetch_more(c);
		if (err == UMBRA_EMUL_FAULT) {
			inject_fault(vcpu);
			*ret = 1;
			return NULL;
		}
		if (err) {
			*ret = vcpu->arch.emul_error ?: report_failure(vcpu);
			return NULL;
		}
		err = umbra_decode(&c->insn, c->fetch, c->fetch_len, c->code);
	} while (err == -EAGAIN);
	if (err) {
		*ret = report_failure(vcpu);
		return NULL;
	}
	return &c->insn;
}

/**
 * umbra_read_operand() - read a memory operand of the instruction at RIP
 * @vcpu: the vCPU, loaded
 * @linear: its linear address
 * @data: where to put it
 * @len: bytes
 * @ret: on failure: what the exit handler is to return, as of umbra_decode_exit()
 *
 * Return: true if it was read.
 */
bool umbra_read_operand(struct umbra_vcpu *vcpu, u64 linear, void *data, unsigned int len,
			int *ret)
{
	struct umbra_emul *c = &vcpu->arch.emul;

	emul_prepare(vcpu);
	switch (emul_read(c, linear, data, len, 0)) {
	case UMBRA_EMUL_DONE:
		forget(vcpu);
		return true;
	case UMBRA_EMUL_FAULT:
		inject_fault(vcpu);
		*ret = 1;
		break;
	default:
		*ret = vcpu->arch.emul_error ?: report_failure(vcpu);
		break;
	}
	forget(vcpu);
	return false;
}

static int complete_in(struct umbra_vcpu *vcpu)
{
	u64 *rax = &vcpu->arch.gpr[UMBRA_RAX];
	void *data = pio_data(vcpu);

	switch (vcpu->arch.pio_size) {
	case 1:
		*rax = (*rax & ~0xffULL) | *(u8 *)data;
		break;
	case 2:
		*rax = (*rax & ~0xffffULL) | *(u16 *)data;
		break;
	default:
		*rax = *(u32 *)data;
		break;
	}
	return 1;
}

/**
 * umbra_pio() - IN or OUT between a port and the accumulator
 * @vcpu: the vCPU, loaded; the instruction has been skipped
 * @port: port number
 * @size: 1, 2 or 4 bytes
 * @in: IN, not OUT
 *
 * Permissions were checked by the CPU before it exited.
 *
 * Return: 0, to go to user space.
 */
int umbra_pio(struct umbra_vcpu *vcpu, u16 port, unsigned int size, bool in)
{
	request_pio(vcpu, port, size, 1, in ? UMBRA_IO_IN : UMBRA_IO_OUT);
	if (in) {
		vcpu->arch.pio_size = size;
		vcpu->arch.complete = complete_in;
	} else {
		*(u32 *)pio_data(vcpu) = vcpu->arch.gpr[UMBRA_RAX];
	}
	return 0;
}
