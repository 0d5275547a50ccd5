// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory as the executor sees it: guest-virtual accesses through the guest's
 * page tables to memory slots, the local APIC, or user space's devices.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/trap_pf.h>
#include "insn.h"

static int translate(struct umbra_emul *c, u64 linear, u32 access, gpa_t *gpa)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);
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

/* Memory whose slot is there, but not what the slot stands for. */
static int lost(struct umbra_vcpu *vcpu, gpa_t gpa)
{
	vcpu->arch.emul_lost = true;
	vcpu->arch.emul_lost_gfn = gpa >> PAGE_SHIFT;
	return UMBRA_EMUL_UNHANDLED;
}

static int read_gpa(struct umbra_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	return umbra_guest_read(vcpu, gpa, data, len) ? lost(vcpu, gpa) : UMBRA_EMUL_DONE;
}

static u32 access_mode(struct umbra_emul *c, unsigned int flags)
{
	if (flags & UMBRA_EMUL_SYSTEM)
		return UMBRA_ACCESS_IMPLICIT;
	return c->cpl == 3 ? X86_PF_USER : 0;
}

int umbra_insn_fetch(struct umbra_emul *c, u64 linear, void *data, unsigned int len)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);
	gpa_t gpa;
	int ret;

	ret = translate(c, linear, access_mode(c, 0) | X86_PF_INSTR, &gpa);
	if (ret)
		return ret;
	/* Code outside memory slots is beyond what can be executed in software. */
	if (!umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT))
		return UMBRA_EMUL_UNHANDLED;
	return read_gpa(vcpu, gpa, data, len);
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

/* Outside 64-bit code addresses wrap at 4 GiB; those of descriptor tables do not. */
static u64 wrap(struct umbra_emul *c, u64 linear, unsigned int flags)
{
	return c->code == UMBRA_CODE_64 || flags & UMBRA_EMUL_SYSTEM ? linear : (u32)linear;
}

int umbra_insn_read(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
		    unsigned int flags)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);
	u32 access = access_mode(c, flags);
	int ret;

	/* A read that a write follows faults as the write would. */
	if (flags & (UMBRA_EMUL_RMW | UMBRA_EMUL_LOCKED))
		access |= X86_PF_WRITE;
	while (len) {
		unsigned int n = umbra_insn_in_page(linear, len);
		gpa_t gpa;

		ret = translate(c, linear, access, &gpa);
		if (ret)
			return ret;
		if (flags & UMBRA_EMUL_PROBE)
			;
		else if (umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT))
			ret = read_gpa(vcpu, gpa, data, n);
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
	return umbra_guest_write(vcpu, gpa, data, len) ? lost(vcpu, gpa) : UMBRA_EMUL_DONE;
}

int umbra_insn_write(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
		     unsigned int flags)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);
	u32 access = access_mode(c, flags) | X86_PF_WRITE;
	unsigned int n = umbra_insn_in_page(linear, len);
	gpa_t gpa, second = 0;
	int ret;

	/* At most 512 bytes, so at most two pages; both are checked before either is written. */
	ret = translate(c, linear, access, &gpa);
	if (!ret && n < len)
		ret = translate(c, wrap(c, linear + n, flags), access, &second);
	if (ret)
		return ret;
	if (flags & UMBRA_EMUL_BULK &&
	    !(is_memory(vcpu, gpa) && (n == len || is_memory(vcpu, second))))
		return UMBRA_EMUL_UNHANDLED;
	if (flags & UMBRA_EMUL_PROBE)
		return UMBRA_EMUL_DONE;
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

int umbra_insn_compare_exchange(struct umbra_emul *c, u64 linear, const void *old,
				const void *new, unsigned int len, unsigned int flags)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);
	struct umbra_slot *slot;
	void __user *uaddr;
	u8 now[16];
	gpa_t gpa;
	int ret;

	ret = translate(c, linear, access_mode(c, flags) | X86_PF_WRITE, &gpa);
	if (ret)
		return ret;
	if (!is_memory(vcpu, gpa))
		return umbra_insn_write(c, linear, new, len, flags);
	if (linear & (len - 1)) {
		/* A split lock: atomic on its own pieces only. */
		ret = umbra_insn_read(c, linear, now, len, flags | UMBRA_EMUL_LOCKED);
		if (ret)
			return ret;
		if (memcmp(now, old, len))
			return UMBRA_EMUL_RETRY;
		return umbra_insn_write(c, linear, new, len, flags);
	}

	slot = umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT);
	uaddr = (void __user *)(umbra_slot_hva(slot, gpa >> PAGE_SHIFT) + offset_in_page(gpa));
	ret = len == 16 ? page_cmpxchg16(uaddr, old, new) : user_cmpxchg(uaddr, old, new, len);
	if (ret == -EFAULT && len < 16) {
		/* Not present: bring it in, then once more. */
		u8 byte;

		if (get_user(byte, (u8 __user *)uaddr) || put_user(byte, (u8 __user *)uaddr))
			return lost(vcpu, gpa);
		return UMBRA_EMUL_RETRY;
	}
	if (ret < 0)
		return lost(vcpu, gpa);
	if (!ret)
		return UMBRA_EMUL_RETRY;
	umbra_mark_dirty(slot, gpa >> PAGE_SHIFT);
	umbra_mmu_guest_write(vcpu, gpa, len);
	return UMBRA_EMUL_DONE;
}
