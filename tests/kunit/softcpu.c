// SPDX-License-Identifier: GPL-2.0-only
/* See softcpu.h. Sections are those of the APM, volume 2. */
#include <linux/hash.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <asm/trap_pf.h>
#include "softcpu.h"
#include "svm/svm.h"
#include "model.h"
#include "wrap.h"

#define TLB_BITS	11
#define TLB_SIZE	BIT(TLB_BITS)
#define WAY_BITS	3
#define WAYS		BIT(WAY_BITS)

/* An exit that the module does not know: UMBRA_RUN returns. */
#define EXIT_DONE	0x7fff

/* Instructions are so far apart in their page. */
#define CODE_STRIDE	32

#define EXITINFO_MOV_CR	BIT_ULL(63)
#define NPF_FINAL	BIT_ULL(32)

/* A guest that gets nowhere after so many exits never will. */
#define EXITS_MAX	50

/**
 * struct tlb_entry - what a CPU knows of a page
 * @valid: there is one
 * @asid: whose it is
 * @page: its number, of 4 KiB, in the guest
 * @pfn: its number in the machine
 * @user: the user may access it
 * @writable: and write it
 * @executable: and execute it
 */
struct tlb_entry {
	bool valid, user, writable, executable;
	u32 asid;
	u64 page;
	u64 pfn;
};

/* Of each CPU. Interrupts are off, or nothing runs. */
static struct tlb_entry (*tlb)[TLB_SIZE];

/* The instruction that runs, and the vCPU that runs it. Tests run one at a time. */
static struct soft_op *running;
static struct umbra_vcpu *running_vcpu;
static u64 running_rip;

int soft_init(void)
{
	tlb = vzalloc(nr_cpu_ids * sizeof(*tlb));
	return tlb ? 0 : -ENOMEM;
}

void soft_exit(void)
{
	vfree(tlb);
}

void soft_reset(void)
{
	memset(tlb, 0, nr_cpu_ids * sizeof(*tlb));
}

bool soft_tlb_reaches(struct umbra_vcpu *vcpu, unsigned long pfn)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	unsigned int i;

	if (test_bit(UMBRA_REQ_TLB_FLUSH, &vcpu->requests) ||
	    test_bit(UMBRA_REQ_MMU_RELOAD, &vcpu->requests) || svm->asid_cpu < 0 ||
	    svm->asid_generation != per_cpu(svm_cpu, svm->asid_cpu).asid_generation ||
	    svm->vmcb->control.tlb_ctl)
		return false;
	for (i = 0; i < TLB_SIZE; i++) {
		const struct tlb_entry *e = &tlb[svm->asid_cpu][i];

		if (e->valid && e->asid == svm->vmcb->control.asid && e->pfn == pfn)
			return true;
	}
	return false;
}

static void forget(struct tlb_entry *cpu, u32 asid, bool all)
{
	unsigned int i;

	for (i = 0; i < TLB_SIZE; i++)
		if (all || cpu[i].asid == asid)
			cpu[i].valid = false;
}

/* The entry for a page, or one that it may take; few are in the way of each other. */
static struct tlb_entry *look_up(struct tlb_entry *cpu, u32 asid, u64 page)
{
	struct tlb_entry *set = &cpu[hash_64(page * 64 + asid, TLB_BITS - WAY_BITS) << WAY_BITS];
	struct tlb_entry *free = &set[random_below(WAYS)];
	unsigned int i;

	for (i = 0; i < WAYS; i++) {
		if (!set[i].valid)
			free = &set[i];
		else if (set[i].asid == asid && set[i].page == page)
			return &set[i];
	}
	free->valid = false;
	return free;
}

/* INVLPGA acts on the ASID that the vCPU has; without one there is nothing to drop. */
void __wrap_svm_flush_gva(struct umbra_vcpu *vcpu, u64 gva)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	preempt_disable();
	if (svm->asid_generation == this_cpu_read(svm_cpu.asid_generation))
		look_up(tlb[smp_processor_id()], svm->vmcb->control.asid,
			gva >> PAGE_SHIFT)->valid = false;
	preempt_enable();
	__real_svm_flush_gva(vcpu, gva);
}

/* ------------------------------------------------------------------ */
/* The module's tables                                                 */

static bool read_table(void *context, uint64_t hpa, unsigned int size, uint64_t *entry)
{
	if (!pfn_valid(hpa >> PAGE_SHIFT)) {
		running->broken = "a table that is not in memory";
		return false;
	}
	/* If the page has been freed, KASAN notices. */
	*entry = READ_ONCE(*(u64 *)__va(hpa));
	return true;
}

static void table_model(const struct vmcb *vmcb, struct model *m)
{
	const struct vmcb_save_area *save = &vmcb->save;

	*m = (struct model) {
		.maxphyaddr = boot_cpu_data.x86_phys_bits,
		.gigabyte = true,
		.nxe = true,
		.wp = true,
		.read = read_table,
	};
	if (vmcb->control.nested_ctl & SVM_NESTED_CTL_NP_ENABLE) {
		m->format = pgtable_l5_enabled() ? MODEL_5LEVEL : MODEL_NPT;
		m->root = vmcb->control.nested_cr3;
		m->user = true;
		return;
	}
	m->nxe = save->efer & EFER_NX;
	m->wp = save->cr0 & X86_CR0_WP;
	m->smep = save->cr4 & X86_CR4_SMEP;
	m->smap = save->cr4 & X86_CR4_SMAP && !(save->rflags & X86_EFLAGS_AC);
	m->user = save->cpl == 3;
	m->root = save->cr3;
	if (!(save->efer & EFER_LMA))
		m->format = MODEL_PAE;
	else
		m->format = save->cr4 & X86_CR4_LA57 ? MODEL_5LEVEL : MODEL_4LEVEL;
}

/* What the tables allow beyond this access is found by asking for it. */
static bool allowed(const struct model *m, bool user, bool write, bool fetch)
{
	struct model other = *m;
	struct model_result r;

	other.user = user;
	other.write = write;
	other.fetch = fetch;
	other.smap = false;
	other.smep = false;
	model_translate(&other, &r);
	return !r.fault;
}

/* False: an entry has been taken away meanwhile, as another CPU may; a CPU marks none of those. */
static bool set_marks(const struct model_result *r)
{
	unsigned int i;

	for (i = 0; i < r->marks; i++) {
		u64 *entry = __va(r->mark[i].gpa), old = READ_ONCE(*entry);

		do {
			if (!(old & _PAGE_PRESENT))
				return false;
			if (!(r->mark[i].bits & ~old))
				break;
		} while (!try_cmpxchg64(entry, &old, old | r->mark[i].bits));
	}
	return true;
}

/* Is the access one that the TLB allows? A miss is no answer. */
static bool hit(const struct tlb_entry *e, const struct model *m)
{
	if (!e->valid || (m->user && !e->user) || (m->write && !e->writable) ||
	    (m->fetch && !e->executable))
		return false;
	return m->user || !e->user || !(m->fetch ? m->smep : m->smap);
}

/* Translates; false: it has to exit, or fault, with this error. */
static bool translate(const struct vmcb *vmcb, u64 addr, bool write, bool fetch, u64 *hpa,
		      u32 *error)
{
	u64 page = addr >> PAGE_SHIFT;
	struct model_result r;
	struct tlb_entry *e;
	struct model m;

	table_model(vmcb, &m);
	m.addr = addr;
	m.write = write;
	m.fetch = fetch;
	e = look_up(tlb[smp_processor_id()], vmcb->control.asid, page);
	if (!hit(e, &m)) {
		do {
			model_translate(&m, &r);
		} while (!r.fault && !set_marks(&r));
		if (r.fault) {
			/* 5.5: a fault drops what the TLB has of the address. */
			e->valid = false;
			*error = r.error;
			return false;
		}
		*e = (struct tlb_entry) {
			.valid = true,
			.asid = vmcb->control.asid,
			.page = page,
			.pfn = r.gpa >> PAGE_SHIFT,
			.user = m.user || allowed(&m, true, false, false),
			.writable = allowed(&m, m.user, true, false) && write,
			.executable = allowed(&m, m.user, false, true),
		};
	}
	*hpa = e->pfn << PAGE_SHIFT | offset_in_page(addr);
	return true;
}

/* ------------------------------------------------------------------ */
/* Instructions                                                        */

static const u8 code64[SOFT_KINDS][4] = {
	[SOFT_READ] = { 0x48, 0x8b, 0x07 },
	[SOFT_WRITE] = { 0x48, 0x89, 0x07 },
	[SOFT_INVLPG] = { 0x0f, 0x01, 0x3f },
	[SOFT_MOV_CR0] = { 0x0f, 0x22, 0xc0 },
	[SOFT_MOV_CR3] = { 0x0f, 0x22, 0xd8 },
	[SOFT_MOV_CR4] = { 0x0f, 0x22, 0xe0 },
};

static const u8 code32[SOFT_KINDS][4] = {
	[SOFT_READ] = { 0x8b, 0x07 },
	[SOFT_WRITE] = { 0x89, 0x07 },
	[SOFT_INVLPG] = { 0x0f, 0x01, 0x3f },
	[SOFT_MOV_CR0] = { 0x0f, 0x22, 0xc0 },
	[SOFT_MOV_CR3] = { 0x0f, 0x22, 0xd8 },
	[SOFT_MOV_CR4] = { 0x0f, 0x22, 0xe0 },
};

/* FISTP [RDI], of 64 bits and of 32: it stands for all that the executor does not know. */
static const u8 foreign64[] = { 0xdf, 0x3f }, foreign32[] = { 0xdb, 0x1f };

void soft_code(u8 *page, bool is_64bit)
{
	unsigned int kind;

	memset(page, 0x90, PAGE_SIZE);
	for (kind = 0; kind < SOFT_KINDS; kind++)
		if (kind != SOFT_EXEC)
			memcpy(page + kind * CODE_STRIDE, is_64bit ? code64[kind] : code32[kind],
			       is_64bit || kind > SOFT_WRITE ? 3 : 2);
	memcpy(page + SOFT_KINDS * CODE_STRIDE, is_64bit ? foreign64 : foreign32, 2);
}

static void leave(struct vmcb *vmcb, u32 code, u64 info1, u64 info2)
{
	vmcb->control.exit_code = code;
	vmcb->control.exit_code_hi = 0;
	vmcb->control.exit_info_1 = info1;
	vmcb->control.exit_info_2 = info2;
}

static bool wanted(const struct vmcb *vmcb, unsigned int bit)
{
	return vmcb->control.intercepts[bit / 32] & BIT(bit % 32);
}

/* A page fault, of the module's tables or, with nested paging, in them. */
static void fault(struct vmcb *vmcb, u64 addr, u32 error)
{
	if (vmcb->control.nested_ctl & SVM_NESTED_CTL_NP_ENABLE) {
		leave(vmcb, SVM_EXIT_NPF, error | NPF_FINAL, addr);
		return;
	}
	if (!wanted(vmcb, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_PF))
		running->broken = "page faults are not intercepted";
	leave(vmcb, SVM_EXIT_EXCP_BASE + X86_TRAP_PF, error, addr);
}

static void end(struct vmcb *vmcb)
{
	running->done = true;
	leave(vmcb, EXIT_DONE, 0, 0);
}

static void access_memory(struct vmcb *vmcb)
{
	struct soft_op *op = running;
	unsigned int size = vmcb->save.efer & EFER_LMA ? 8 : 4;
	u32 error;

	if (!translate(vmcb, op->gva, op->kind == SOFT_WRITE, op->kind == SOFT_EXEC, &op->hpa,
		       &error)) {
		fault(vmcb, op->gva, error);
		return;
	}
	if (op->kind == SOFT_WRITE && pfn_valid(op->hpa >> PAGE_SHIFT))
		memcpy(__va(op->hpa), &op->value, size);
	end(vmcb);
}

/* What exits always do with shadow paging; with nested paging the CPU does it all. */
static void system_instruction(struct vmcb *vmcb)
{
	static const u32 intercepts[] = {
		[SOFT_INVLPG] = INTERCEPT_INVLPG, [SOFT_MOV_CR0] = INTERCEPT_CR0_WRITE,
		[SOFT_MOV_CR3] = INTERCEPT_CR3_WRITE, [SOFT_MOV_CR4] = INTERCEPT_CR4_WRITE,
	};
	static const u32 codes[] = {
		[SOFT_INVLPG] = SVM_EXIT_INVLPG, [SOFT_MOV_CR0] = SVM_EXIT_WRITE_CR0,
		[SOFT_MOV_CR3] = SVM_EXIT_WRITE_CR3, [SOFT_MOV_CR4] = SVM_EXIT_WRITE_CR4,
	};
	enum soft_kind kind = running->kind;

	if (!wanted(vmcb, intercepts[kind])) {
		if (!(vmcb->control.nested_ctl & SVM_NESTED_CTL_NP_ENABLE))
			running->broken = "an instruction about translations is not intercepted";
		if (kind == SOFT_MOV_CR3)
			vmcb->save.cr3 = running->value;
		forget(tlb[smp_processor_id()], vmcb->control.asid, false);
		vmcb->save.rip += 3;
		end(vmcb);
		return;
	}
	vmcb->control.next_rip = vmcb->save.rip + 3;
	/* Operands are in RAX and RDI; decode assists name them. */
	leave(vmcb, codes[kind], kind == SOFT_INVLPG ? running->gva : EXITINFO_MOV_CR, 0);
}

static bool host_busy(struct umbra_vm *vm, unsigned long seq)
{
	return READ_ONCE(vm->notifier_count) || READ_ONCE(vm->notifier_seq) != seq;
}

static void enter(struct vmcb *vmcb)
{
	struct vmcb_control_area *control = &vmcb->control;
	struct tlb_entry *cpu = tlb[smp_processor_id()];
	u32 error, event = control->event_inj;
	u64 hpa;

	if (vmcb != to_vmcb(running_vcpu))
		running->broken = "another vCPU's control block";
	if (!control->asid || control->asid >= svm_caps.asids)
		running->broken = "no valid ASID";
	if (control->tlb_ctl == TLB_CONTROL_FLUSH_ALL_ASID)
		forget(cpu, 0, true);
	else if (control->tlb_ctl == TLB_CONTROL_FLUSH_ASID)
		forget(cpu, control->asid, false);

	control->exit_int_info = 0;
	control->int_state = 0;
	control->next_rip = 0;
	if (running->exits < EXITS_MAX)
		leave(vmcb, EXIT_DONE, 0, 0);
	if (running->broken)
		return;
	if (event & SVM_EVENT_VALID) {
		running->faulted =
			(event & (SVM_EVENT_VECTOR | SVM_EVENT_TYPE | SVM_EVENT_ERROR)) ==
			(X86_TRAP_PF | SVM_EVENT_EXCEPTION | SVM_EVENT_ERROR);
		running->error = control->event_inj_err;
		if (!running->faulted)
			running->broken = "an event that is no page fault";
		else if (vmcb->save.cr2 != running->gva)
			running->broken = "CR2 is not the address that faulted";
		return;
	}
	if (vmcb->save.rip != running_rip) {
		running->done = true;
		running->software = true;
		return;
	}
	/* While the host changes memory a fault on it may have to be tried again and again. */
	if (host_busy(running_vcpu->vm, running->seq)) {
		running->seq = READ_ONCE(running_vcpu->vm->notifier_seq);
		running->moved = true;
		running->exits = 0;
	}
	if (++running->exits > EXITS_MAX) {
		/* The last one is still there to be seen. */
		running->broken = "no end of exits";
		vmcb->control.exit_code = EXIT_DONE;
		return;
	}
	/* The instruction itself; SOFT_EXEC is nothing else. */
	if (running->kind != SOFT_EXEC && !translate(vmcb, running_rip, false, true, &hpa, &error))
		fault(vmcb, running_rip, error);
	else if (running->kind <= SOFT_EXEC)
		access_memory(vmcb);
	else
		system_instruction(vmcb);
}

/* One turn in the guest. Interrupts are off, though lockdep has been told they are on. */
void __wrap_svm_enter(u64 vmcb_pa, u64 *gpr, u64 host_pa)
{
	lockdep_hardirqs_off(_THIS_IP_);
	enter(__va(vmcb_pa));
	lockdep_hardirqs_on_prepare();
	lockdep_hardirqs_on(_THIS_IP_);
}

bool soft_host_moved(struct umbra_vm *vm, const struct soft_op *op)
{
	return op->moved || host_busy(vm, op->seq);
}

int soft_run(struct umbra_vcpu *vcpu, struct soft_op *op, u64 code)
{
	int ret;

	op->seq = READ_ONCE(vcpu->vm->notifier_seq);
	op->moved = false;
	op->faulted = false;
	op->done = false;
	op->software = false;
	op->outside = false;
	op->exits = 0;
	op->broken = NULL;
	running = op;
	running_vcpu = vcpu;
	running_rip = op->kind == SOFT_EXEC ? op->gva :
		      code + (op->foreign ? SOFT_KINDS : op->kind) * CODE_STRIDE;

	vcpu->arch.rip = running_rip;
	vcpu->arch.gpr[UMBRA_RDI] = op->gva;
	vcpu->arch.gpr[UMBRA_RAX] = op->value;
	to_vmcb(vcpu)->save.cpl = op->user ? 3 : 0;
	mutex_lock(&vcpu->mutex);
	umbra_vcpu_load(vcpu);
	ret = umbra_arch_vcpu_run(vcpu);
	umbra_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	running = NULL;
	if (ret || op->broken || op->done || op->faulted)
		return ret;
	op->outside = vcpu->run->exit_reason == UMBRA_EXIT_MMIO ||
		      vcpu->run->exit_reason == UMBRA_EXIT_EMULATION;
	umbra_forget_exit(vcpu);
	return op->outside ? 0 : -EIO;
}
