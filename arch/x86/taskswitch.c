// SPDX-License-Identifier: GPL-2.0-only
/*
 * Task switches that exit: JMP, CALL and IRET to another task, task gates of the
 * IDT (SDM Vol. 3 chapter 7, APM Vol. 2 chapter 12). The switch itself is the executor's.
 */
#include <linux/percpu.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include "insn.h"

/* L0 to L3 and LE, which a task switch clears (SDM Vol. 3 17.2.4). */
#define DR7_LOCAL	0x155

/* What follows from the new task being there, whether its segments could be loaded or not. */
static void commit(struct umbra_vcpu *vcpu, const struct umbra_emul_task *task)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	u32 blocking = umbra_backend->get_blocking(vcpu);

	arch->rip = arch->emul.rip;
	arch->rflags = arch->emul.rflags;
	if (arch->dr7 & DR7_LOCAL) {
		arch->dr7 &= ~(u64)DR7_LOCAL;
		umbra_backend->update_debug(vcpu);
	}
	blocking &= ~(UMBRA_EVENT_SHADOW_STI | UMBRA_EVENT_SHADOW_MOV_SS);
	if (task->reason == UMBRA_TASK_IRET)
		blocking &= ~UMBRA_EVENT_NMI_MASKED;
	umbra_backend->set_blocking(vcpu, blocking);
	umbra_request(vcpu, UMBRA_REQ_EVENT);
}

/* The T flag of the new task, and single stepping of the instruction that switched. */
static void debug_traps(struct umbra_vcpu *vcpu, unsigned int events)
{
	u64 dr6 = 0;

	if (events & UMBRA_EMUL_EV_TASK_TRAP)
		dr6 |= DR_SWITCH;
	if (events & UMBRA_EMUL_EV_STEP)
		dr6 |= DR_STEP;
	if (dr6)
		umbra_queue_debug(vcpu, dr6);
}

/**
 * umbra_task_switch() - carry out a task switch that exited
 * @vcpu: the vCPU, loaded; RIP at the instruction that switches, if it is one, and
 *	RFLAGS.RF as it is to be saved
 * @task: what switch it is
 *
 * An event that goes through a task gate is still there as an injected one, if it is
 * no instruction's own (umbra_backend.complete_exit). It has been delivered when the
 * switch has succeeded; an exception from the switch meets it as one during delivery.
 *
 * Return: 1 when it is done or has faulted (the exception is queued); 0 when user space
 * must act, run page filled in; -errno.
 */
int umbra_task_switch(struct umbra_vcpu *vcpu, const struct umbra_emul_task *task)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	struct umbra_emul *c = &arch->emul;
	int ret;

	umbra_insn_prepare(vcpu);
	ret = umbra_emul_task_switch(c, task);
	if (c->events & UMBRA_EMUL_EV_TASK)
		commit(vcpu, task);

	switch (ret) {
	case UMBRA_EMUL_DONE:
		arch->exception.injected = false;
		arch->interrupt.injected = false;
		arch->nmi_injected = false;
		debug_traps(vcpu, c->events);
		break;
	case UMBRA_EMUL_FAULT:
		umbra_insn_inject_fault(vcpu);
		break;
	case UMBRA_EMUL_RETRY:
		break;
	default:
		/* A TSS or a descriptor outside memory, say. */
		umbra_forget_exit(vcpu);
		return umbra_insn_report_failure(vcpu);
	}
	/* A descriptor in read-only memory: setting its accessed bit is user space's. */
	return umbra_insn_finish(vcpu);
}
