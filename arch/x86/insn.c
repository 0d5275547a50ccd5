// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instruction behind an exit: decoded where the CPU does not say enough,
 * executed in software where it could not run.
 */
#include <linux/mm.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <asm/debugreg.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>
#include "insn.h"

static void no_code(struct umbra_vcpu *vcpu, struct umbra_code *code)
{
}

DEFINE_STATIC_CALL(umbra_get_code, no_code);

/**
 * umbra_insn_init() - the backend has been chosen
 */
void umbra_insn_init(void)
{
	static_call_update(umbra_get_code, umbra_backend->get_code);
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

	static_call(umbra_get_code)(vcpu, &code);
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

	static_call(umbra_get_code)(vcpu, &code);
	return code.size;
}

/* The bytes from RIP on; false if they cannot be had that easily. */
static __always_inline bool code_at_rip(struct umbra_vcpu *vcpu, const struct umbra_code *code,
					u64 *bytes)
{
	u64 linear = vcpu->arch.rip + code->base;

	if (code->size != UMBRA_CODE_64)
		linear = (u32)linear;
	return umbra_mmu_read_code(vcpu, linear, code->cpl == 3, bytes);
}

static const struct umbra_decoded *decoded(struct umbra_vcpu *vcpu, const struct umbra_code *code)
{
	u64 bytes[UMBRA_CODE_BYTES / sizeof(u64)], rip = vcpu->arch.rip;
	struct umbra_decoded *d;

	if (!code_at_rip(vcpu, code, bytes))
		return NULL;
	d = &vcpu->arch.decoded[(rip ^ rip >> 3) % UMBRA_NR_DECODED];
	if (likely(d->bytes[0] == bytes[0] && d->bytes[1] == bytes[1] && d->code == code->size))
		return d;
	d->code = 0;
	if (umbra_decode(&d->insn, (u8 *)bytes, UMBRA_INSN_MAX, code->size))
		return NULL;
	memcpy(d->bytes, bytes, sizeof(bytes));
	d->code = code->size;
	umbra_mmio_classify(d);
	return d;
}

/**
 * umbra_decoded_at_rip() - the instruction at RIP, decoded now or before
 * @vcpu: the vCPU, loaded
 *
 * Return: the instruction, which stays until the next one is asked for; NULL if it
 * takes more to have it, or if it has none that can be decoded.
 */
const struct umbra_decoded *umbra_decoded_at_rip(struct umbra_vcpu *vcpu)
{
	struct umbra_code code;

	static_call(umbra_get_code)(vcpu, &code);
	return decoded(vcpu, &code);
}

void umbra_insn_prepare(struct umbra_vcpu *vcpu)
{
	struct umbra_emul *c = &vcpu->arch.emul;
	const struct umbra_decoded *d;
	struct umbra_code code;

	static_call(umbra_get_code)(vcpu, &code);
	c->ops = &umbra_insn_ops;
	c->gpr = vcpu->arch.gpr;
	c->rip = vcpu->arch.rip;
	c->rflags = vcpu->arch.rflags;
	c->cr0 = vcpu->arch.cr0;
	c->cr4 = vcpu->arch.cr4;
	c->efer = vcpu->arch.efer;
	c->code = code.size;
	c->cpl = code.cpl;
	umbra_emul_start(c);
	d = decoded(vcpu, &code);
	if (likely(d)) {
		c->insn = d->insn;
		memcpy(c->fetch, d->bytes, sizeof(c->fetch));
		c->fetch_len = UMBRA_INSN_MAX;
	}
	vcpu->arch.emul_error = 0;
	vcpu->arch.emul_lost = false;
	vcpu->arch.emul_queued = false;
	vcpu->arch.mmio_next = 0;
}

/*
 * The one place where RIP moves past an instruction. What it ends: an interrupt
 * shadow, RF, with IRET the masking of NMIs. What it may start: a shadow of its
 * own, a single-step trap.
 */
static void advance_rip(struct umbra_vcpu *vcpu, u64 rip, unsigned int events)
{
	u32 old = umbra_backend->get_blocking(vcpu), blocking = old & UMBRA_EVENT_NMI_MASKED;

	vcpu->arch.rip = rip;
	if (likely(!(events & UMBRA_EMUL_EV_IRET)))
		vcpu->arch.rflags &= ~X86_EFLAGS_RF;
	else
		blocking = 0;
	if (events & UMBRA_EMUL_EV_STI)
		blocking |= UMBRA_EVENT_SHADOW_STI;
	else if (events & UMBRA_EMUL_EV_MOVSS)
		blocking |= UMBRA_EVENT_SHADOW_MOV_SS;
	if (unlikely(blocking != old)) {
		umbra_backend->set_blocking(vcpu, blocking);
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

	if (unlikely((rip ^ vcpu->arch.rip) >> 32) && umbra_code_size(vcpu) != UMBRA_CODE_64)
		rip = (u32)rip;
	advance_rip(vcpu, rip, events);
	return 1;
}

int umbra_insn_report_failure(struct umbra_vcpu *vcpu)
{
	struct umbra_emul *c = &vcpu->arch.emul;
	struct umbra_run *run = vcpu->run;

	if (vcpu->arch.emul_error)
		return vcpu->arch.emul_error;
	if (vcpu->arch.emul_lost)
		return umbra_host_error(vcpu, vcpu->arch.emul_lost_gfn, -EFAULT);
	if (vcpu->arch.emul_refused) {
		umbra_queue_exception_error(vcpu, X86_TRAP_GP, 0);
		return 1;
	}
	vcpu->arch.stat[UMBRA_STAT_EMULATION_FAILURES]++;
	run->exit_reason = UMBRA_EXIT_EMULATION;
	run->emulation.rip = vcpu->arch.rip;
	memcpy(run->emulation.insn, c->fetch, sizeof(run->emulation.insn));
	run->emulation.insn_len = min_t(u8, c->fetch_len, sizeof(run->emulation.insn));
	run->emulation.mode = c->code * 8;
	run->emulation.reserved = 0;
	return 0;
}

void umbra_insn_inject_fault(struct umbra_vcpu *vcpu)
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

static void forget(struct umbra_vcpu *vcpu)
{
	vcpu->arch.mmio_reads = 0;
	vcpu->arch.mmio_next = 0;
	vcpu->arch.pio_done = 0;
}

/* What an instruction that has come to its end leaves for user space; then on, or out. */
int umbra_insn_finish(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	forget(vcpu);
	if (arch->pio_posted) {
		arch->pio_posted = false;
		/* MMIO writes of the same instruction (there are none with OUTS) could follow. */
		arch->complete = flush_writes;
		return 0;
	}
	return flush_writes(vcpu);
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
	vcpu->arch.pio_in = 0;
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

	umbra_insn_prepare(vcpu);
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
		return umbra_insn_finish(vcpu);
	case UMBRA_EMUL_RETRY:
		/* A string instruction that has not come to its end; it may be stepped through. */
		arch->rflags = c->rflags;
		if (unlikely(c->events & UMBRA_EMUL_EV_STEP))
			umbra_queue_debug(vcpu, DR_STEP);
		return umbra_insn_finish(vcpu);
	case UMBRA_EMUL_FAULT:
		umbra_insn_inject_fault(vcpu);
		return umbra_insn_finish(vcpu);
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
		return umbra_insn_finish(vcpu);
	default:
		forget(vcpu);
		/* What earlier elements of a string instruction have posted is theirs to do. */
		arch->mmio_writes = arch->mmio_committed;
		arch->pio_posted &= arch->pio_committed;
		if (arch->mmio_writes || arch->pio_posted)
			return umbra_insn_finish(vcpu);
		if (arch->emul_error || arch->emul_lost)
			return umbra_insn_report_failure(vcpu);
		/* A write to a shadowed table that is beyond the executor: let the guest do it. */
		if (arch->table_written) {
			umbra_mmu_unprotect(vcpu, arch->table_gpa);
			return 1;
		}
		/* The same for memory that no leaf is right for. */
		if (arch->leaf_refused) {
			umbra_mmu_settle(vcpu);
			return 1;
		}
		return umbra_insn_report_failure(vcpu);
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

		c->ops->get_segment(c, UMBRA_EMUL_CS, &cs);
		linear = (u32)(offset + cs.base);
	} else {
		linear = offset;
	}
	n = umbra_insn_in_page(linear, UMBRA_INSN_MAX - c->fetch_len);
	ret = umbra_insn_fetch(c, linear, c->fetch + c->fetch_len, n);
	if (!ret)
		c->fetch_len += n;
	return ret;
}

/**
 * umbra_opcode_at_rip() - is the instruction at RIP this one, without prefixes?
 * @vcpu: the vCPU, loaded
 * @opcode: its bytes, the first one lowest
 * @length: how many, at most four
 *
 * Most instructions that exit are just two or three bytes, as CPUID is; comparing
 * them costs a fraction of decoding. Works with page faults disabled, too.
 *
 * Return: true if so; false if not, or if the code cannot be read just now.
 */
bool umbra_opcode_at_rip(struct umbra_vcpu *vcpu, u32 opcode, unsigned int length)
{
	u64 bytes[UMBRA_CODE_BYTES / sizeof(u64)];
	struct umbra_code code;

	static_call(umbra_get_code)(vcpu, &code);
	return code_at_rip(vcpu, &code, bytes) &&
	       !(((u32)bytes[0] ^ opcode) << (8 * (sizeof(opcode) - length)));
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

	umbra_insn_prepare(vcpu);
	if (c->insn.length)
		return &c->insn;
	do {
		err = fetch_more(c);
		if (err == UMBRA_EMUL_FAULT) {
			umbra_insn_inject_fault(vcpu);
			*ret = 1;
			return NULL;
		}
		if (err) {
			*ret = umbra_insn_report_failure(vcpu);
			return NULL;
		}
		err = umbra_decode(&c->insn, c->fetch, c->fetch_len, c->code);
	} while (err == -EAGAIN);
	if (err) {
		*ret = umbra_insn_report_failure(vcpu);
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

	umbra_insn_prepare(vcpu);
	switch (umbra_insn_read(c, linear, data, len, 0)) {
	case UMBRA_EMUL_DONE:
		forget(vcpu);
		return true;
	case UMBRA_EMUL_FAULT:
		umbra_insn_inject_fault(vcpu);
		*ret = 1;
		break;
	default:
		*ret = umbra_insn_report_failure(vcpu);
		break;
	}
	forget(vcpu);
	return false;
}

/**
 * umbra_emulate_refused() - execute an instruction that the CPU has answered with #GP
 * @vcpu: the vCPU, loaded
 *
 * Because the CPU was not in the mode that the guest believes to be in. What
 * the executor does not know gives #GP there, too.
 *
 * Return: as umbra_emulate_exit().
 */
int umbra_emulate_refused(struct umbra_vcpu *vcpu)
{
	int ret;

	vcpu->arch.emul_refused = true;
	ret = umbra_emulate_exit(vcpu);
	vcpu->arch.emul_refused = false;
	return ret;
}

/**
 * umbra_deliver_real() - deliver an event to a guest in real mode, in software
 * @vcpu: the vCPU, loaded
 * @vector: which
 *
 * An exception on the way is queued; where memory is missing the guest shuts
 * down.
 */
void umbra_deliver_real(struct umbra_vcpu *vcpu, u8 vector)
{
	struct umbra_emul *c = &vcpu->arch.emul;

	umbra_insn_prepare(vcpu);
	switch (umbra_emul_deliver_real(c, vector)) {
	case UMBRA_EMUL_DONE:
		vcpu->arch.rip = c->rip;
		vcpu->arch.rflags = c->rflags;
		break;
	case UMBRA_EMUL_FAULT:
		umbra_insn_inject_fault(vcpu);
		break;
	default:
		umbra_request(vcpu, UMBRA_REQ_TRIPLE_FAULT);
		break;
	}
	umbra_forget_exit(vcpu);
}
