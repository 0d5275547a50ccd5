// SPDX-License-Identifier: GPL-2.0-only
/* VT-x: what happens at each exit (SDM Vol. 3 26, 28.2, appendix C). */
#include <asm/trap_pf.h>
#include "cpuid.h"
#include "exit.h"
#include "trace.h"
#include "vmx.h"

/* CPUID: the leaf about XSAVE. */
#define CPUID_XSTATE		0xd

/* Exit qualification of control-register accesses (table 28-3). */
#define CR_NUMBER(q)		((q) & 0xf)
#define CR_ACCESS(q)		((q) >> 4 & 3)
#define CR_GPR(q)		((q) >> 8 & 0xf)
#define ACCESS_MOV_TO		0
#define ACCESS_MOV_FROM		1

/* ... and of IN and OUT (table 28-5). */
#define IO_SIZE(q)		(((q) & 7) + 1)
#define IO_IN			BIT(3)
#define IO_STRING		BIT(4)
#define IO_PORT(q)		((q) >> 16 & 0xffff)

/* ... and of EPT violations (table 28-7). */
#define EPT_WRITE		BIT(1)
#define EPT_FETCH		BIT(2)
#define EPT_ALLOWED		GENMASK(5, 3)
#define EPT_TRANSLATED		(BIT(7) | BIT(8))	/* not to a table of the guest's */

/* ... and of task switches (table 28-2). */
#define TASK_SOURCE(q)		((q) >> 30 & 3)

static unsigned int insn_length(void)
{
	return vmcs_read(VM_EXIT_INSTRUCTION_LEN);
}

/* umbra_skip_insn(), without a call for most instructions. */
static __always_inline int skip(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	u64 rip = arch->rip + insn_length();

	if (unlikely((rip ^ arch->rip) >> 32 || arch->rflags & X86_EFLAGS_TF ||
		     vmx_interruptibility(to_vmx(vcpu))))
		return umbra_skip_insn(vcpu, rip - arch->rip);
	arch->rip = rip;
	arch->rflags &= ~(u64)X86_EFLAGS_RF;
	return 1;
}

static int exit_cpuid(struct umbra_vcpu *vcpu)
{
	umbra_cpuid_exit(vcpu);
	return skip(vcpu);
}

static int exit_hlt(struct umbra_vcpu *vcpu)
{
	return umbra_exit_hlt(vcpu, insn_length());
}

static int exit_pause(struct umbra_vcpu *vcpu)
{
	return umbra_exit_pause(vcpu, insn_length());
}

static int exit_rdmsr(struct umbra_vcpu *vcpu)
{
	return umbra_exit_msr(vcpu, false, insn_length());
}

static int exit_wrmsr(struct umbra_vcpu *vcpu)
{
	return umbra_exit_msr(vcpu, true, insn_length());
}

static int exit_xsetbv(struct umbra_vcpu *vcpu)
{
	return umbra_exit_xsetbv(vcpu, insn_length());
}

static int exit_vmcall(struct umbra_vcpu *vcpu)
{
	return umbra_exit_hypercall(vcpu, insn_length());
}

static int exit_io(struct umbra_vcpu *vcpu)
{
	u64 q = vmx_qualification(to_vmx(vcpu));

	if (q & IO_STRING)
		return umbra_emulate_exit(vcpu);
	skip(vcpu);
	return umbra_pio(vcpu, IO_PORT(q), IO_SIZE(q), q & IO_IN);
}

/* MOV CR, LMSW and CLTS arrive here; the latter two are left to the executor. */
static int exit_cr(struct umbra_vcpu *vcpu)
{
	u64 q = vmx_qualification(to_vmx(vcpu));

	if (CR_ACCESS(q) > ACCESS_MOV_FROM)
		return umbra_emulate_exit(vcpu);
	return umbra_exit_mov_cr(vcpu, CR_ACCESS(q) == ACCESS_MOV_TO, CR_NUMBER(q), CR_GPR(q),
				 insn_length());
}

/*
 * Who touches one debug register is about to touch more of them, so it gets
 * them all. General detect comes after the exit (26.1.3): the CPU sees to it
 * when the instruction is executed again.
 */
static int exit_dr(struct umbra_vcpu *vcpu)
{
	vmx_pass_debug(vcpu, true);
	return 1;
}

static int exit_invlpg(struct umbra_vcpu *vcpu)
{
	umbra_mmu_invlpg(vcpu, vmx_qualification(to_vmx(vcpu)));
	return skip(vcpu);
}

static int exit_invpcid(struct umbra_vcpu *vcpu)
{
	const struct umbra_insn *insn;
	struct umbra_segment seg;
	u64 linear, type;
	unsigned int length;
	int ret;

	insn = umbra_decode_exit(vcpu, &ret);
	if (!insn)
		return ret;
	umbra_backend->get_segment(vcpu, insn->seg, &seg);
	linear = umbra_insn_offset(insn, vcpu->arch.gpr, vcpu->arch.rip);
	if (insn->code != UMBRA_CODE_64)
		linear = (u32)(linear + seg.base);
	else if (insn->seg == UMBRA_EMUL_FS || insn->seg == UMBRA_EMUL_GS)
		linear += seg.base;
	type = vcpu->arch.gpr[insn->reg];
	length = insn->length;
	return umbra_exit_invpcid(vcpu, insn->code == UMBRA_CODE_64 ? type : (u32)type, linear,
				  length);
}

static int exit_pf(struct umbra_vcpu *vcpu)
{
	return umbra_exit_fault(vcpu, vmx_qualification(to_vmx(vcpu)),
				vmcs_read(VM_EXIT_INTR_ERROR_CODE));
}

/* An EPT violation as a page fault would say it. */
static u32 ept_error(u64 q)
{
	u32 error = 0;

	if (q & EPT_WRITE)
		error |= X86_PF_WRITE;
	if (q & EPT_FETCH)
		error |= X86_PF_INSTR;
	if (q & EPT_ALLOWED)
		error |= X86_PF_PROT;
	return error;
}

static int exit_ept_violation(struct umbra_vcpu *vcpu)
{
	u64 q = vmx_qualification(to_vmx(vcpu));
	u64 gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);
	int ret;

	/* The CPU reads the tables that stand for no paging. */
	if ((q & EPT_TRANSLATED) != EPT_TRANSLATED && vmx_map_identity(vcpu, gpa, &ret))
		return ret;
	if (vmx_map_apic(vcpu, gpa, &ret))
		return ret;
	return umbra_exit_fault(vcpu, gpa, ept_error(q));
}

/* The CPU leaves all of a task switch to us (26.4.2). */
static int exit_task_switch(struct umbra_vcpu *vcpu)
{
	static const u8 reasons[] = {
		UMBRA_TASK_CALL, UMBRA_TASK_IRET, UMBRA_TASK_JMP, UMBRA_TASK_GATE,
	};
	u64 q = vmx_qualification(to_vmx(vcpu));
	struct umbra_emul_task task = {
		.selector = q,
		.reason = reasons[TASK_SOURCE(q)],
	};
	u32 info = vmcs_read(IDT_VECTORING_INFO_FIELD);

	if (!(info & VECTORING_INFO_VALID_MASK))
		info = 0;
	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_HARD_EXCEPTION:
		task.has_error = info & VECTORING_INFO_DELIVER_CODE_MASK;
		if (task.has_error)
			task.error = vmcs_read(IDT_VECTORING_ERROR_CODE);
		break;
	case INTR_TYPE_EXT_INTR:
	case INTR_TYPE_NMI_INTR:
		break;
	default:
		task.insn_length = insn_length();
		break;
	}
	if (task.reason != UMBRA_TASK_GATE)
		task.insn_length = insn_length();
	return umbra_task_switch(vcpu, &task);
}

const struct umbra_exit vmx_exits[VMX_NR_ROWS] = {
	[EXIT_REASON_EXTERNAL_INTERRUPT]	= { umbra_exit_host, "intr" },
	[EXIT_REASON_TRIPLE_FAULT]		= { umbra_exit_shutdown, "shutdown" },
	[EXIT_REASON_INIT_SIGNAL]		= { umbra_exit_host, "init" },
	[EXIT_REASON_SIPI_SIGNAL]		= { umbra_exit_host, "sipi" },
	[EXIT_REASON_INTERRUPT_WINDOW]		= { vmx_exit_window, "interrupt_window" },
	[EXIT_REASON_NMI_WINDOW]		= { vmx_exit_window, "nmi_window" },
	[EXIT_REASON_TASK_SWITCH]		= { exit_task_switch, "task_switch" },
	[EXIT_REASON_CPUID]			= { exit_cpuid, "cpuid" },
	[11]					= { umbra_exit_ud, "getsec" },
	[EXIT_REASON_HLT]			= { exit_hlt, "hlt" },
	[EXIT_REASON_INVD]			= { skip, "invd" },
	[EXIT_REASON_INVLPG]			= { exit_invlpg, "invlpg" },
	[EXIT_REASON_RDPMC]			= { umbra_exit_gp, "rdpmc" },
	[17]					= { umbra_exit_ud, "rsm" },
	[EXIT_REASON_VMCALL]			= { exit_vmcall, "vmcall" },
	[EXIT_REASON_VMCLEAR]			= { umbra_exit_ud, "vmclear" },
	[EXIT_REASON_VMLAUNCH]			= { umbra_exit_ud, "vmlaunch" },
	[EXIT_REASON_VMPTRLD]			= { umbra_exit_ud, "vmptrld" },
	[EXIT_REASON_VMPTRST]			= { umbra_exit_ud, "vmptrst" },
	[EXIT_REASON_VMREAD]			= { umbra_exit_ud, "vmread" },
	[EXIT_REASON_VMRESUME]			= { umbra_exit_ud, "vmresume" },
	[EXIT_REASON_VMWRITE]			= { umbra_exit_ud, "vmwrite" },
	[EXIT_REASON_VMOFF]			= { umbra_exit_ud, "vmxoff" },
	[EXIT_REASON_VMON]			= { umbra_exit_ud, "vmxon" },
	[EXIT_REASON_CR_ACCESS]			= { exit_cr, "cr" },
	[EXIT_REASON_DR_ACCESS]			= { exit_dr, "dr" },
	[EXIT_REASON_IO_INSTRUCTION]		= { exit_io, "io" },
	[EXIT_REASON_MSR_READ]			= { exit_rdmsr, "rdmsr" },
	[EXIT_REASON_MSR_WRITE]			= { exit_wrmsr, "wrmsr" },
	[EXIT_REASON_MWAIT_INSTRUCTION]		= { umbra_exit_ud, "mwait" },
	[EXIT_REASON_MONITOR_INSTRUCTION]	= { umbra_exit_ud, "monitor" },
	[EXIT_REASON_PAUSE_INSTRUCTION]		= { exit_pause, "pause" },
	[EXIT_REASON_TPR_BELOW_THRESHOLD]	= { vmx_exit_tpr, "tpr_threshold" },
	[EXIT_REASON_APIC_ACCESS]		= { vmx_exit_apic_access, "apic_access" },
	[EXIT_REASON_EOI_INDUCED]		= { vmx_exit_eoi, "eoi" },
	[EXIT_REASON_EPT_VIOLATION]		= { exit_ept_violation, "ept_violation" },
	[EXIT_REASON_EPT_MISCONFIG]		= { NULL, "ept_misconfig" },
	[EXIT_REASON_INVEPT]			= { umbra_exit_ud, "invept" },
	[EXIT_REASON_PREEMPTION_TIMER]		= { umbra_exit_host, "timer" },
	[EXIT_REASON_INVVPID]			= { umbra_exit_ud, "invvpid" },
	[EXIT_REASON_WBINVD]			= { skip, "wbinvd" },
	[EXIT_REASON_XSETBV]			= { exit_xsetbv, "xsetbv" },
	[EXIT_REASON_INVPCID]			= { exit_invpcid, "invpcid" },
	[EXIT_REASON_APIC_WRITE]		= { vmx_exit_apic_write, "apic_write" },
	[EXIT_REASON_PML_FULL]			= { umbra_exit_host, "pml_full" },
	[EXIT_REASON_VMFUNC]			= { umbra_exit_ud, "vmfunc" },
	[EXIT_REASON_ENCLS]			= { umbra_exit_ud, "encls" },
	[VMX_ROW_DB]				= { vmx_exit_debug, "db" },
	[VMX_ROW_AC]				= { umbra_exit_ac, "ac" },
	[VMX_ROW_PF]				= { exit_pf, "pf" },
	[VMX_ROW_MC]				= { umbra_exit_host, "mc" },
	[VMX_ROW_NMI]				= { umbra_exit_host, "nmi" },
	[VMX_ROW_EXCEPTION]			= { vmx_exit_exception, "exception" },
	[VMX_ROW_INVALID]			= { NULL, "invalid" },
	[VMX_ROW_FAILED]			= { NULL, "failed" },
	[VMX_ROW_OTHER]				= { NULL, "other" },
};

static __always_inline bool fast_cpuid(struct umbra_vcpu *vcpu)
{
	/* Sizes of XSAVE areas follow from XCR0, which is read back when the inner loop ends. */
	if ((u32)vcpu->arch.gpr[UMBRA_RAX] == CPUID_XSTATE)
		return false;
	exit_cpuid(vcpu);
	return true;
}

/* MOV to CR3, of 64-bit code; RSP has not been read yet. */
static bool fast_cr(struct umbra_vcpu *vcpu)
{
	u64 q = vmx_qualification(to_vmx(vcpu));
	struct umbra_code code;

	if (CR_NUMBER(q) != 3 || CR_ACCESS(q) != ACCESS_MOV_TO || CR_GPR(q) == UMBRA_RSP ||
	    vmx_nested(vcpu))
		return false;
	vmx_get_code(vcpu, &code);
	if (code.size != UMBRA_CODE_64 || !umbra_fast_set_cr3(vcpu, vcpu->arch.gpr[CR_GPR(q)]))
		return false;
	skip(vcpu);
	return true;
}

static bool fast_invlpg(struct umbra_vcpu *vcpu)
{
	u64 gva = vmx_qualification(to_vmx(vcpu));

	if (vmx_nested(vcpu) || !umbra_is_canonical(vcpu, gva) ||
	    !umbra_mmu_fast_invlpg(vcpu, gva))
		return false;
	skip(vcpu);
	return true;
}

static bool fast_pf(struct umbra_vcpu *vcpu)
{
	u64 gva = vmx_qualification(to_vmx(vcpu));
	u32 code = vmcs_read(VM_EXIT_INTR_ERROR_CODE), error;

	/* An event whose delivery has been cut short comes first. */
	if (!vmx_nothing_to_complete(vcpu))
		return false;
	switch (umbra_mmu_fast_fault(vcpu, gva, code, &error)) {
	case UMBRA_FAST_DONE:
		break;
	case UMBRA_FAST_FAULT:
		vmx_inject_page_fault(vcpu, error, gva);
		break;
	default:
		return false;
	}
	vcpu->arch.stat[UMBRA_STAT_FAULTS]++;
	trace_umbra_page_fault(vcpu->id, vcpu->arch.rip, gva, code);
	return true;
}

static bool fast_ept_violation(struct umbra_vcpu *vcpu)
{
	u32 code = ept_error(vmx_qualification(to_vmx(vcpu))), error;
	u64 gpa = vmcs_read(GUEST_PHYSICAL_ADDRESS);

	/* A device: its registers are not reached with interrupts off. */
	if (vcpu->arch.mmu.no_memory == (gpa & PAGE_MASK) || !vmx_nothing_to_complete(vcpu) ||
	    umbra_mmu_fast_fault(vcpu, gpa, code, &error) != UMBRA_FAST_DONE)
		return false;
	vcpu->arch.stat[UMBRA_STAT_FAULTS]++;
	trace_umbra_page_fault(vcpu->id, vcpu->arch.rip, gpa, code);
	return true;
}

/* A turn that was only too long ends with letting the host's interrupts in. */
static bool fast_timer(struct umbra_vcpu *vcpu)
{
	u64 deadline = to_vmx(vcpu)->deadline;

	if (vmx_caps.longest_turn && (!deadline || rdtsc() + vcpu->arch.tsc_offset < deadline))
		return false;
	umbra_lapic_timer_reached(vcpu->arch.lapic);
	return true;
}

static const bool fast_rows[VMX_NR_ROWS] = {
	[EXIT_REASON_CPUID] = true,
	[VMX_ROW_PF] = true,
	[EXIT_REASON_EPT_VIOLATION] = true,
	[EXIT_REASON_CR_ACCESS] = true,
	[EXIT_REASON_INVLPG] = true,
	[EXIT_REASON_PREEMPTION_TIMER] = true,
};

/**
 * vmx_fast_exit() - deal with an exit while interrupts are still off
 * @vcpu: the vCPU, loaded; interrupts off
 *
 * Return: true when that was all; the guest may be entered again.
 */
bool vmx_fast_exit(struct umbra_vcpu *vcpu)
{
	switch (vcpu->arch.exit_reason) {
	case EXIT_REASON_CPUID:
		return fast_cpuid(vcpu);
	case VMX_ROW_PF:
		return fast_pf(vcpu);
	case EXIT_REASON_EPT_VIOLATION:
		return fast_ept_violation(vcpu);
	case EXIT_REASON_CR_ACCESS:
		return fast_cr(vcpu);
	case EXIT_REASON_INVLPG:
		return fast_invlpg(vcpu);
	case EXIT_REASON_PREEMPTION_TIMER:
		return fast_timer(vcpu);
	default:
		return false;
	}
}

const struct umbra_backend umbra_vmx_backend = {
	.name = "VT-x",
	.vendor = UMBRA_VENDOR_VMX,
	.exits = vmx_exits,
	.nr_exits = VMX_NR_ROWS,
	.probe = vmx_probe,
	.cap = vmx_cap,
	.nested_tables = vmx_nested_tables,
	.setup = vmx_setup,
	.teardown = vmx_teardown,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.can_enter = vmx_can_enter,
	.run = vmx_run,
	.fast_exit = vmx_fast_exit,
	.fast_rows = fast_rows,
	.complete_exit = vmx_complete_exit,
	.describe_failure = vmx_describe_failure,
	.get_segment = vmx_get_segment,
	.set_segment = vmx_set_segment,
	.get_code = vmx_get_code,
	.get_table = vmx_get_table,
	.set_table = vmx_set_table,
	.update_crs = vmx_update_crs,
	.update_debug = vmx_update_debug,
	.set_tsc_offset = vmx_set_tsc_offset,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.load_root = vmx_load_root,
	.flush_tlb = vmx_flush_tlb,
	.flush_gva = vmx_flush_gva,
	.get_blocking = vmx_get_blocking,
	.set_blocking = vmx_set_blocking,
	.can_inject = vmx_can_inject,
	.inject = vmx_inject,
	.open_window = vmx_open_window,
	.cancel_injection = vmx_cancel_injection,
	.update_apic = vmx_update_apic,
	.update_interrupts = vmx_update_interrupts,
	.set_deadline = vmx_set_deadline,
};
