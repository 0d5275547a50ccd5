// SPDX-License-Identifier: GPL-2.0-only
/* AMD-V: what happens at each exit (APM Vol. 2 15.7 to 15.15, appendix C). */
#include <linux/uaccess.h>
#include <asm/processor-flags.h>
#include <asm/trap_pf.h>
#include <asm/trapnr.h>
#include "cpuid.h"
#include "exit.h"
#include "svm.h"
#include "trace.h"

/* CPUID: the leaf about XSAVE. */
#define CPUID_XSTATE		0xd

/* EXITINFO1 of MOV to and from CR with decode assists (15.8.1). */
#define MOV_CRX			BIT_ULL(63)
#define MOV_GPR			0xf

/* EXITINFO1 of IN and OUT (15.10.2). */
#define IOIO_IN			BIT(0)
#define IOIO_STRING		BIT(2)
#define IOIO_SIZE(info)		((info) >> 4 & 7)
#define IOIO_PORT(info)		((info) >> 16)

/* EXITINFO2 of a task switch (15.14.1); the error code is its lower half. */
#define TASK_IRET		BIT_ULL(36)
#define TASK_JMP		BIT_ULL(38)
#define TASK_ERROR		BIT_ULL(44)
#define TASK_RF			BIT_ULL(48)

#define OP_CALL_FAR		0x9a
#define OP_GROUP5		0xff
#define GROUP5_CALL_FAR		3
/* INT3, INT n, INTO */
#define OP_INT3			0xcc
#define OP_INTO			0xce

/* EXITINFO1 of nested page faults (15.25.6). */
#define NPF_FINAL		BIT_ULL(32)

/* The bytes of instructions that exit, as umbra_opcode_at_rip() takes them. */
#define OP_HLT		0xf4
#define OP_CPUID	0xa20f
#define OP_RDMSR	0x320f
#define OP_WRMSR	0x300f
#define OP_INVD		0x080f
#define OP_WBINVD	0x090f
#define OP_PAUSE	0x90f3
#define OP_VMCALL	0xc1010f
#define OP_VMMCALL	0xd9010f
#define OP_XSETBV	0xd1010f

static __always_inline unsigned int opcode_length(u32 opcode)
{
	return opcode > 0xffff ? 3 : opcode > 0xff ? 2 : 1;
}

/*
 * Length of the instruction that exited, if it can be had without decoding: from
 * the CPU, or because it is just the @opcode. Else 0. With page faults disabled it
 * does not sleep.
 */
static __always_inline unsigned int quick_length(struct umbra_vcpu *vcpu, u32 opcode)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;

	if (svm_caps.next_rip && control->next_rip)
		return control->next_rip - vcpu->arch.rip;
	return opcode && umbra_opcode_at_rip(vcpu, opcode, opcode_length(opcode)) ?
		opcode_length(opcode) : 0;
}

/* Its length, decoded if need be. 0: *ret is what the handler returns instead. */
static __always_inline unsigned int insn_length(struct umbra_vcpu *vcpu, u32 opcode, int *ret)
{
	unsigned int length = quick_length(vcpu, opcode);
	const struct umbra_insn *insn;

	if (likely(length))
		return length;
	insn = umbra_decode_exit(vcpu, ret);
	return insn ? insn->length : 0;
}

/* umbra_skip_insn(), where mostly no shadow ends, no step is taken and no address wraps. */
static __always_inline int skip_to(struct umbra_vcpu *vcpu, u64 rip)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;

	if (unlikely(arch->rflags & X86_EFLAGS_TF || (rip ^ arch->rip) >> 32 ||
		     to_vmcb(vcpu)->control.int_state & SVM_INTERRUPT_SHADOW_MASK))
		return umbra_skip_insn(vcpu, rip - arch->rip);
	arch->rip = rip;
	arch->rflags &= ~(u64)X86_EFLAGS_RF;
	return 1;
}

static __always_inline int skip_bytes(struct umbra_vcpu *vcpu, unsigned int length)
{
	return skip_to(vcpu, vcpu->arch.rip + length);
}

static __always_inline int skip(struct umbra_vcpu *vcpu, u32 opcode)
{
	int ret;
	unsigned int length = insn_length(vcpu, opcode, &ret);

	return length ? skip_bytes(vcpu, length) : ret;
}

static int exit_cpuid(struct umbra_vcpu *vcpu)
{
	int ret;
	unsigned int length = insn_length(vcpu, OP_CPUID, &ret);

	return length ? umbra_exit_cpuid(vcpu, length) : ret;
}

static int exit_hlt(struct umbra_vcpu *vcpu)
{
	int ret;
	unsigned int length = insn_length(vcpu, OP_HLT, &ret);

	return length ? umbra_exit_hlt(vcpu, length) : ret;
}

static int exit_pause(struct umbra_vcpu *vcpu)
{
	int ret;
	unsigned int length = insn_length(vcpu, OP_PAUSE, &ret);

	return length ? umbra_exit_pause(vcpu, length) : ret;
}

static int exit_msr(struct umbra_vcpu *vcpu)
{
	bool write = to_vmcb(vcpu)->control.exit_info_1;
	int ret;
	unsigned int length = insn_length(vcpu, write ? OP_WRMSR : OP_RDMSR, &ret);

	return length ? umbra_exit_msr(vcpu, write, length) : ret;
}

static int exit_io(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	u32 info = control->exit_info_1;

	if (info & IOIO_STRING)
		return umbra_emulate_exit(vcpu);
	/* EXITINFO2 is the RIP of the next instruction, on every CPU. */
	skip_to(vcpu, control->exit_info_2);
	return umbra_pio(vcpu, IOIO_PORT(info), IOIO_SIZE(info), info & IOIO_IN);
}

/* MOV CR, LMSW, SMSW and CLTS arrive here; all but the first are left to the executor. */
static int exit_cr(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	bool write = control->exit_code >= SVM_EXIT_WRITE_CR0;
	unsigned int cr = control->exit_code & 0xf;
	const struct umbra_insn *insn;
	unsigned int length, gpr;
	int ret;

	if (svm_caps.decode_assists && svm_caps.next_rip && control->exit_info_1 & MOV_CRX) {
		gpr = control->exit_info_1 & MOV_GPR;
		length = control->next_rip - vcpu->arch.rip;
	} else {
		insn = umbra_decode_exit(vcpu, &ret);
		if (!insn)
			return ret;
		if (insn->map != UMBRA_MAP_0F || (insn->opcode != 0x20 && insn->opcode != 0x22))
			return umbra_emulate_exit(vcpu);
		gpr = insn->rm;
		length = insn->length;
	}
	return umbra_exit_mov_cr(vcpu, write, cr, gpr, length);
}

/* Who touches one debug register is about to touch more of them, so it gets them all. */
static int exit_dr(struct umbra_vcpu *vcpu)
{
	svm_pass_debug(vcpu, true);
	return 1;
}

/* INVLPG of a non-canonical address does nothing; with decode assists EXITINFO1 has it. */
static int exit_invlpg(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;

	if (!svm_caps.decode_assists || !svm_caps.next_rip)
		return umbra_emulate_exit(vcpu);
	umbra_mmu_invlpg(vcpu, control->exit_info_1);
	return skip_bytes(vcpu, control->next_rip - vcpu->arch.rip);
}

/*
 * EXITINFO1 is the linear address of the descriptor, EXITINFO2 the register with
 * the type (15.9; the faults are those of volume 3, INVPCID).
 */
static int exit_invpcid(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	int ret;
	unsigned int length = insn_length(vcpu, 0, &ret);

	if (!length)
		return ret;
	return umbra_exit_invpcid(vcpu, control->exit_info_2, control->exit_info_1, length);
}

/* The intercept comes before the check of the privilege level. */
static int exit_xsetbv(struct umbra_vcpu *vcpu)
{
	int ret;
	unsigned int length = insn_length(vcpu, OP_XSETBV, &ret);

	return length ? umbra_exit_xsetbv(vcpu, length) : ret;
}

static int exit_invd(struct umbra_vcpu *vcpu)
{
	return skip(vcpu, OP_INVD);
}

static int exit_wbinvd(struct umbra_vcpu *vcpu)
{
	return skip(vcpu, OP_WBINVD);
}

static int exit_vmmcall(struct umbra_vcpu *vcpu)
{
	int ret;
	unsigned int length = insn_length(vcpu, OP_VMMCALL, &ret);

	return length ? umbra_exit_hypercall(vcpu, length) : ret;
}

/*
 * Programs that know hypercalls only as Intel's VMCALL are understood, too. All other
 * instructions that the CPU does not know are the guest's affair.
 */
static int exit_undefined(struct umbra_vcpu *vcpu)
{
	return umbra_opcode_at_rip(vcpu, OP_VMCALL, opcode_length(OP_VMCALL)) ?
	       umbra_exit_hypercall(vcpu, opcode_length(OP_VMCALL)) : umbra_exit_ud(vcpu);
}

static int exit_vintr(struct umbra_vcpu *vcpu)
{
	vcpu->arch.stat[UMBRA_STAT_INTERRUPT_WINDOWS]++;
	svm_close_interrupt_window(vcpu);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 1;
}

static int exit_pf(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;

	return umbra_exit_fault(vcpu, control->exit_info_2, control->exit_info_1);
}

/* Bits 32 and 33 of EXITINFO1: was it the final address, or a table on the way (15.25.6)? */
static int exit_npf(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;

	u32 error_code = control->exit_info_1;

	if (control->exit_info_1 & NPF_FINAL)
		error_code |= UMBRA_ACCESS_OPERAND;
	return umbra_exit_fault(vcpu, control->exit_info_2, error_code);
}

static bool is_far_call(const struct umbra_insn *insn)
{
	return insn->map == UMBRA_MAP_1BYTE &&
	       (insn->opcode == OP_CALL_FAR ||
		(insn->opcode == OP_GROUP5 && (insn->modrm >> 3 & 7) == GROUP5_CALL_FAR));
}

/* INT3, INT n or INTO */
static bool is_int(const struct umbra_insn *insn)
{
	return insn->map == UMBRA_MAP_1BYTE && insn->opcode >= OP_INT3 && insn->opcode <= OP_INTO;
}

/*
 * Does an event that no instruction raises go through a task gate? EXITINTINFO names it;
 * but Bochs leaves an earlier one there when the gate is that of INT n, which is told by
 * the error code that both must or must not have.
 */
static bool delivers_event(const struct vmcb_control_area *control)
{
	u32 event = control->exit_int_info;

	return event & SVM_EVENT_VALID && !svm_raised_by_instruction(event) &&
	       !(event & SVM_EVENT_ERROR) == !(control->exit_info_2 & TASK_ERROR);
}

/*
 * Shadow paging only: the CPU would load CR3 from the guest's memory. EXITINFO1 is the
 * selector of the new task, EXITINFO2 says what makes the switch (15.14.1).
 */
static int exit_task_switch(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct umbra_emul_task task = {
		.selector = control->exit_info_1,
		.has_error = control->exit_info_2 & TASK_ERROR,
		.error = control->exit_info_2,
	};
	const struct umbra_insn *insn;
	int ret;

	if (control->exit_info_2 & TASK_IRET)
		task.reason = UMBRA_TASK_IRET;
	else if (control->exit_info_2 & TASK_JMP)
		task.reason = UMBRA_TASK_JMP;
	else if (delivers_event(control))
		task.reason = UMBRA_TASK_GATE;
	else
		task.reason = UMBRA_TASK_CALL;

	if (task.reason != UMBRA_TASK_GATE) {
		insn = umbra_decode_exit(vcpu, &ret);
		if (!insn)
			return ret;
		task.insn_length = insn->length;
		if (task.reason == UMBRA_TASK_CALL && !is_far_call(insn)) {
			task.reason = UMBRA_TASK_GATE;
			/* #BP or #OF that was injected, with RIP behind its instruction. */
			if (!is_int(insn))
				task.insn_length = 0;
		}
	}
	arch->rflags &= ~(u64)X86_EFLAGS_RF;
	if (control->exit_info_2 & TASK_RF)
		arch->rflags |= X86_EFLAGS_RF;
	return umbra_task_switch(vcpu, &task);
}

const struct umbra_exit svm_exits[SVM_NR_ROWS] = {
	[SVM_EXIT_READ_CR0]			= { exit_cr, "cr0_read" },
	[SVM_EXIT_READ_CR3]			= { exit_cr, "cr3_read" },
	[SVM_EXIT_READ_CR4]			= { exit_cr, "cr4_read" },
	[SVM_EXIT_WRITE_CR0]			= { exit_cr, "cr0_write" },
	[SVM_EXIT_WRITE_CR3]			= { exit_cr, "cr3_write" },
	[SVM_EXIT_WRITE_CR4]			= { exit_cr, "cr4_write" },
	[SVM_EXIT_WRITE_CR8]			= { exit_cr, "cr8_write" },
	[SVM_EXIT_READ_DR0]			= { exit_dr, "dr0_read" },
	[SVM_EXIT_READ_DR1]			= { exit_dr, "dr1_read" },
	[SVM_EXIT_READ_DR2]			= { exit_dr, "dr2_read" },
	[SVM_EXIT_READ_DR3]			= { exit_dr, "dr3_read" },
	[SVM_EXIT_READ_DR4]			= { exit_dr, "dr4_read" },
	[SVM_EXIT_READ_DR5]			= { exit_dr, "dr5_read" },
	[SVM_EXIT_READ_DR6]			= { exit_dr, "dr6_read" },
	[SVM_EXIT_READ_DR7]			= { exit_dr, "dr7_read" },
	[SVM_EXIT_WRITE_DR0]			= { exit_dr, "dr0_write" },
	[SVM_EXIT_WRITE_DR1]			= { exit_dr, "dr1_write" },
	[SVM_EXIT_WRITE_DR2]			= { exit_dr, "dr2_write" },
	[SVM_EXIT_WRITE_DR3]			= { exit_dr, "dr3_write" },
	[SVM_EXIT_WRITE_DR4]			= { exit_dr, "dr4_write" },
	[SVM_EXIT_WRITE_DR5]			= { exit_dr, "dr5_write" },
	[SVM_EXIT_WRITE_DR6]			= { exit_dr, "dr6_write" },
	[SVM_EXIT_WRITE_DR7]			= { exit_dr, "dr7_write" },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_DB]	= { svm_exit_debug, "db" },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_UD]	= { exit_undefined, "ud" },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_PF]	= { exit_pf, "pf" },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_AC]	= { umbra_exit_ac, "ac" },
	[SVM_EXIT_EXCP_BASE + X86_TRAP_MC]	= { umbra_exit_host, "mc" },
	[SVM_EXIT_INTR]				= { umbra_exit_host, "intr" },
	[SVM_EXIT_NMI]				= { umbra_exit_host, "nmi" },
	[SVM_EXIT_SMI]				= { umbra_exit_host, "smi" },
	[SVM_EXIT_INIT]				= { umbra_exit_host, "init" },
	[SVM_EXIT_VINTR]			= { exit_vintr, "vintr" },
	[SVM_EXIT_RDPMC]			= { umbra_exit_gp, "rdpmc" },
	[SVM_EXIT_CPUID]			= { exit_cpuid, "cpuid" },
	[SVM_EXIT_RSM]				= { umbra_exit_ud, "rsm" },
	[SVM_EXIT_IRET]				= { svm_exit_iret, "iret" },
	[SVM_EXIT_INVD]				= { exit_invd, "invd" },
	[SVM_EXIT_PAUSE]			= { exit_pause, "pause" },
	[SVM_EXIT_HLT]				= { exit_hlt, "hlt" },
	[SVM_EXIT_INVLPG]			= { exit_invlpg, "invlpg" },
	[SVM_EXIT_INVLPGA]			= { umbra_exit_ud, "invlpga" },
	[SVM_EXIT_IOIO]				= { exit_io, "io" },
	[SVM_EXIT_MSR]				= { exit_msr, "msr" },
	[SVM_EXIT_TASK_SWITCH]			= { exit_task_switch, "task_switch" },
	[SVM_EXIT_SHUTDOWN]			= { umbra_exit_shutdown, "shutdown" },
	[SVM_EXIT_VMRUN]			= { umbra_exit_ud, "vmrun" },
	[SVM_EXIT_VMMCALL]			= { exit_vmmcall, "vmmcall" },
	[SVM_EXIT_VMLOAD]			= { umbra_exit_ud, "vmload" },
	[SVM_EXIT_VMSAVE]			= { umbra_exit_ud, "vmsave" },
	[SVM_EXIT_STGI]				= { umbra_exit_ud, "stgi" },
	[SVM_EXIT_CLGI]				= { umbra_exit_ud, "clgi" },
	[SVM_EXIT_SKINIT]			= { umbra_exit_ud, "skinit" },
	[SVM_EXIT_WBINVD]			= { exit_wbinvd, "wbinvd" },
	[SVM_EXIT_MONITOR]			= { umbra_exit_ud, "monitor" },
	[SVM_EXIT_MWAIT]			= { umbra_exit_ud, "mwait" },
	[SVM_EXIT_XSETBV]			= { exit_xsetbv, "xsetbv" },
	[SVM_EXIT_RDPRU]			= { umbra_exit_ud, "rdpru" },
	[SVM_EXIT_INVPCID]			= { exit_invpcid, "invpcid" },
	[SVM_ROW_NPF]				= { exit_npf, "npf" },
	[SVM_ROW_INVALID]			= { NULL, "invalid" },
	[SVM_ROW_OTHER]				= { NULL, "other" },
};

static bool fast_cpuid(struct umbra_vcpu *vcpu)
{
	unsigned int length;

	/* Sizes of XSAVE areas follow from XCR0, which is read back when the inner loop ends. */
	if ((u32)vcpu->arch.gpr[UMBRA_RAX] == CPUID_XSTATE)
		return false;
	length = quick_length(vcpu, OP_CPUID);
	if (!length)
		return false;
	umbra_cpuid_exit(vcpu);
	skip_bytes(vcpu, length);
	return true;
}

static bool fast_msr(struct umbra_vcpu *vcpu)
{
	bool write = to_vmcb(vcpu)->control.exit_info_1;
	unsigned int length;

	if (write && !umbra_msr_quick(vcpu->arch.gpr[UMBRA_RCX]))
		return false;
	length = quick_length(vcpu, write ? OP_WRMSR : OP_RDMSR);
	/* If it faults nothing has happened yet, and the handler will do the same. */
	if (!length || umbra_access_msr(vcpu, write))
		return false;
	skip_bytes(vcpu, length);
	return true;
}

static bool fast_vmmcall(struct umbra_vcpu *vcpu)
{
	unsigned int length = quick_length(vcpu, OP_VMMCALL);

	if (!length)
		return false;
	umbra_hypercall(vcpu, to_vmcb(vcpu)->save.cpl);
	skip_bytes(vcpu, length);
	return true;
}

/* The instruction at RIP, of 64-bit code; NULL: the slow way it is. */
static const struct umbra_insn *fast_decode(struct umbra_vcpu *vcpu)
{
	struct umbra_insn *insn = &vcpu->arch.emul.insn;
	u8 bytes[UMBRA_INSN_MAX];
	struct umbra_code code;
	unsigned int n;

	svm_get_code(vcpu, &code);
	if (code.size != UMBRA_CODE_64)
		return NULL;
	n = umbra_mmu_fetch(vcpu, vcpu->arch.rip, bytes, sizeof(bytes));
	return n && !umbra_decode(insn, bytes, n, UMBRA_CODE_64) ? insn : NULL;
}

static bool fast_cr3_write(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	const struct umbra_insn *insn;
	unsigned int gpr, length;

	if (svm_caps.decode_assists && svm_caps.next_rip) {
		if (!(control->exit_info_1 & MOV_CRX))
			return false;
		gpr = control->exit_info_1 & MOV_GPR;
		length = control->next_rip - vcpu->arch.rip;
	} else {
		insn = fast_decode(vcpu);
		if (!insn || insn->map != UMBRA_MAP_0F || insn->opcode != 0x22)
			return false;
		gpr = insn->rm;
		length = insn->length;
	}
	if (!umbra_fast_set_cr3(vcpu, vcpu->arch.gpr[gpr]))
		return false;
	skip_bytes(vcpu, length);
	return true;
}

static bool fast_invlpg(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	const struct umbra_insn *insn;
	unsigned int length;
	u64 gva;

	if (svm_caps.decode_assists && svm_caps.next_rip) {
		gva = control->exit_info_1;
		length = control->next_rip - vcpu->arch.rip;
	} else {
		insn = fast_decode(vcpu);
		if (!insn || insn->map != UMBRA_MAP_0F || insn->opcode != 0x01 ||
		    !(insn->flags & UMBRA_INSN_MEM) || insn->seg == UMBRA_EMUL_FS ||
		    insn->seg == UMBRA_EMUL_GS)
			return false;
		gva = umbra_insn_offset(insn, vcpu->arch.gpr, vcpu->arch.rip);
		if (!umbra_is_canonical(vcpu, gva))
			return false;
		length = insn->length;
	}
	if (!umbra_mmu_fast_invlpg(vcpu, gva))
		return false;
	skip_bytes(vcpu, length);
	return true;
}

static bool fast_pf(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	u64 gva = control->exit_info_2;
	u32 error;

	/* An event whose delivery has been cut short comes first. */
	if (!svm_nothing_to_complete(vcpu))
		return false;
	switch (umbra_mmu_fast_fault(vcpu, gva, control->exit_info_1, &error)) {
	case UMBRA_FAST_DONE:
		break;
	case UMBRA_FAST_FAULT:
		svm_inject_page_fault(vcpu, error, gva);
		break;
	default:
		return false;
	}
	vcpu->arch.stat[UMBRA_STAT_FAULTS]++;
	trace_umbra_page_fault(vcpu->id, vcpu->arch.rip, gva, control->exit_info_1);
	return true;
}

static bool fast_npf(struct umbra_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_vmcb(vcpu)->control;
	u32 error;

	/* A device: its registers are not reached with interrupts off. */
	if (vcpu->arch.mmu.no_memory == (control->exit_info_2 & PAGE_MASK) ||
	    !svm_nothing_to_complete(vcpu) ||
	    umbra_mmu_fast_fault(vcpu, control->exit_info_2, control->exit_info_1,
				 &error) != UMBRA_FAST_DONE)
		return false;
	vcpu->arch.stat[UMBRA_STAT_FAULTS]++;
	trace_umbra_page_fault(vcpu->id, vcpu->arch.rip, control->exit_info_2,
			       (u32)control->exit_info_1);
	return true;
}

static noinline bool fast(struct umbra_vcpu *vcpu)
{
	switch (vcpu->arch.exit_reason) {
	case SVM_EXIT_CPUID:
		return fast_cpuid(vcpu);
	case SVM_EXIT_MSR:
		return fast_msr(vcpu);
	case SVM_EXIT_VMMCALL:
		return fast_vmmcall(vcpu);
	case SVM_EXIT_EXCP_BASE + X86_TRAP_PF:
		return fast_pf(vcpu);
	case SVM_ROW_NPF:
		return fast_npf(vcpu);
	case SVM_EXIT_WRITE_CR3:
		return fast_cr3_write(vcpu);
	default:
		return fast_invlpg(vcpu);
	}
}

static const bool fast_rows[SVM_NR_ROWS] = {
	[SVM_EXIT_EXCP_BASE + X86_TRAP_PF] = true,
	[SVM_ROW_NPF] = true,
	[SVM_EXIT_WRITE_CR3] = true,
	[SVM_EXIT_CPUID] = true,
	[SVM_EXIT_INVLPG] = true,
	[SVM_EXIT_MSR] = true,
	[SVM_EXIT_VMMCALL] = true,
};

/**
 * svm_fast_exit() - deal with an exit while interrupts are still off
 * @vcpu: the vCPU, loaded; interrupts off
 *
 * Nothing of this may sleep, or wait for a lock that is held with interrupts on.
 *
 * Return: true when that was all; the guest may be entered again.
 */
bool svm_fast_exit(struct umbra_vcpu *vcpu)
{
	bool done;

	/* The trap after a step is for the handlers: complete_exit() must have been there first. */
	if (unlikely(vcpu->arch.rflags & X86_EFLAGS_TF))
		return false;
	pagefault_disable();
	done = fast(vcpu);
	pagefault_enable();
	return done;
}

const struct umbra_backend umbra_svm_backend = {
	.name = "AMD-V",
	.vendor = UMBRA_VENDOR_SVM,
	.exits = svm_exits,
	.nr_exits = SVM_NR_ROWS,
	.probe = svm_probe,
	.cap = svm_cap,
	.nested_tables = svm_nested_tables,
	.setup = svm_setup,
	.teardown = svm_teardown,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vcpu_create = svm_vcpu_create,
	.vcpu_free = svm_vcpu_free,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.run = svm_run,
	.fast_exit = svm_fast_exit,
	.fast_rows = fast_rows,
	.complete_exit = svm_complete_exit,
	.describe_failure = svm_describe_failure,
	.get_segment = svm_get_segment,
	.set_segment = svm_set_segment,
	.get_code = svm_get_code,
	.get_table = svm_get_table,
	.set_table = svm_set_table,
	.update_crs = svm_update_crs,
	.update_debug = svm_update_debug,
	.set_tsc_offset = svm_set_tsc_offset,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.load_root = svm_load_root,
	.flush_tlb = svm_flush_tlb,
	.flush_gva = svm_flush_gva,
	.get_blocking = svm_get_blocking,
	.set_blocking = svm_set_blocking,
	.can_inject = svm_can_inject,
	.inject = svm_inject,
	.open_window = svm_open_window,
	.cancel_injection = svm_cancel_injection,
};
