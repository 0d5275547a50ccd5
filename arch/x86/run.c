// SPDX-License-Identifier: GPL-2.0-only
/* The loop around a vCPU: requests, entry, exit, halt. */
#include <linux/context_tracking.h>
#include <linux/entry-kvm.h>
#include <linux/instrumentation.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/static_call.h>
#include <linux/vtime.h>
#include <trace/events/ipi.h>
#include <asm/fpu/api.h>
#include <asm/tsc.h>
#include "compat.h"
#include "fpu.h"
#include "trace.h"
#include "umbra.h"

/*
 * What the kernel must know before interrupts come on inside the guest: RCU
 * sees a quiescent state, lockdep and the irq tracer see interrupts enabled,
 * time counts as the guest's.
 */
static __always_inline void guest_enter(void)
{
	vtime_account_guest_enter();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	context_tracking_guest_enter();
	lockdep_hardirqs_on(CALLER_ADDR0);
}

static __always_inline void guest_exit(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();
	trace_hardirqs_off_finish();
	vtime_account_guest_exit();
}

/* The hooks of every entry and exit, called directly. */
static void no_run(struct umbra_vcpu *vcpu)
{
}

static bool no_fast_exit(struct umbra_vcpu *vcpu)
{
	return false;
}

DEFINE_STATIC_CALL(umbra_run, no_run);
DEFINE_STATIC_CALL(umbra_fast_exit, no_fast_exit);
DEFINE_STATIC_CALL(umbra_complete_exit, no_run);

/* The backend's. */
static const struct umbra_exit *exits __ro_after_init;
static const bool *fast_rows __ro_after_init;

/**
 * umbra_run_init() - the backend has been chosen
 */
void umbra_run_init(void)
{
	umbra_insn_init();
	exits = umbra_backend->exits;
	fast_rows = umbra_backend->fast_rows;
	static_call_update(umbra_run, umbra_backend->run);
	static_call_update(umbra_fast_exit, umbra_backend->fast_exit);
	static_call_update(umbra_complete_exit, umbra_backend->complete_exit);
}

static void take_init(struct umbra_vcpu *vcpu)
{
	bool bsp = umbra_lapic_get_base(vcpu) & MSR_IA32_APICBASE_BSP;

	clear_bit(UMBRA_INIT_PENDING, &vcpu->arch.async);
	umbra_vcpu_reset(vcpu, true);
	/* The bootstrap processor starts at once, the others wait for SIPI (SDM Vol. 3 8.4.2). */
	WRITE_ONCE(vcpu->arch.mp_state, bsp ? UMBRA_MP_RUNNABLE : UMBRA_MP_WAIT_SIPI);
}

static void take_sipi(struct umbra_vcpu *vcpu)
{
	struct umbra_segment cs;
	u8 vector;

	clear_bit(UMBRA_SIPI_PENDING, &vcpu->arch.async);
	if (vcpu->arch.mp_state != UMBRA_MP_WAIT_SIPI)
		return;
	vector = READ_ONCE(vcpu->arch.sipi_vector);
	umbra_backend->get_segment(vcpu, UMBRA_CS, &cs);
	cs.selector = vector << 8;
	cs.base = (u64)vector << 12;
	umbra_backend->set_segment(vcpu, UMBRA_CS, &cs);
	vcpu->arch.rip = 0;
	WRITE_ONCE(vcpu->arch.mp_state, UMBRA_MP_RUNNABLE);
}

static void take_async(struct umbra_vcpu *vcpu)
{
	if (test_bit(UMBRA_INIT_PENDING, &vcpu->arch.async))
		take_init(vcpu);
	if (test_bit(UMBRA_SIPI_PENDING, &vcpu->arch.async))
		take_sipi(vcpu);
}

/**
 * umbra_arch_vcpu_runnable() - may a vCPU that waits go on?
 * @vcpu: the vCPU, loaded
 *
 * Return: true if so.
 */
bool umbra_arch_vcpu_runnable(struct umbra_vcpu *vcpu)
{
	unsigned long async = READ_ONCE(vcpu->arch.async);

	if (async & BIT(UMBRA_INIT_PENDING))
		return true;
	switch (READ_ONCE(vcpu->arch.mp_state)) {
	case UMBRA_MP_WAIT_SIPI:
		return async & BIT(UMBRA_SIPI_PENDING);
	case UMBRA_MP_HALTED:
		return umbra_event_pending(vcpu);
	default:
		return true;
	}
}

static unsigned int halt_in_place_us = 2000;
module_param(halt_in_place_us, uint, 0644);
MODULE_PARM_DESC(halt_in_place_us,
		 "halt the CPU itself for guests whose last HLT took no longer than so many microseconds (0: never)");

/*
 * The guest is a quiescent state to RCU, and so is a CPU that is halted for it. RCU
 * asks once in a tick at the most, and a tick always ends either. Interrupts are off.
 */
static __always_inline void note_quiescent(struct umbra_vcpu *vcpu)
{
	unsigned long now = jiffies;

	if (vcpu->arch.rcu_jiffies != now) {
		vcpu->arch.rcu_jiffies = now;
		umbra_rcu_note_guest();
	}
}

/*
 * Halts the CPU for a guest that has halted: no change of tasks, no tick to be stopped
 * and started again. That is only for a task that is alone on the CPU, so that nobody
 * who could run waits. What makes the vCPU runnable finds it as if it were in the guest
 * and sends an interrupt, which is what ends HLT; each interrupt is the occasion to
 * look whether somebody else, or deeper sleep, has become the better use of the CPU.
 * Where the tick may be off for tasks, too, interrupts may be far between.
 *
 * True: the vCPU may go on. False: its task is to wait.
 */
static bool halt_in_place(struct umbra_vcpu *vcpu, u64 start, u64 limit)
{
	bool done, halt;

	do {
		local_irq_disable();
		WRITE_ONCE(vcpu->mode, UMBRA_IN_GUEST);
		/* Whoever wants something looks at the mode after it, as in enter(). */
		smp_mb();
		done = umbra_arch_vcpu_runnable(vcpu) || READ_ONCE(vcpu->requests);
		halt = !done && !xfer_to_guest_mode_work_pending() && single_task_running() &&
		       !context_tracking_enabled_this_cpu() && rdtsc() - start < limit;
		if (halt) {
			note_quiescent(vcpu);
			/* Lets interrupts in, but not before the CPU has halted. */
			safe_halt();
		} else {
			local_irq_enable();
		}
		WRITE_ONCE(vcpu->mode, UMBRA_OUTSIDE_GUEST);
	} while (halt);
	return done;
}

/* HLT. False: a signal is pending. */
static bool wait_halted(struct umbra_vcpu *vcpu)
{
	u64 limit = (u64)READ_ONCE(halt_in_place_us) * umbra_host_tsc_khz() / USEC_PER_MSEC;
	u64 start = rdtsc();
	bool ret = true;

	vcpu->arch.stat[UMBRA_STAT_HALTS]++;
	if (vcpu->arch.halted_for < limit && halt_in_place(vcpu, start, limit))
		vcpu->arch.stat[UMBRA_STAT_HALTS_IN_PLACE]++;
	else
		ret = umbra_vcpu_wait(vcpu);
	vcpu->arch.halted_for = rdtsc() - start;
	return ret;
}

/* HLT, or waiting for SIPI. Returns like an exit handler. */
static int wait_runnable(struct umbra_vcpu *vcpu)
{
	umbra_lapic_timer_sleep(vcpu->arch.lapic);
	if (!(vcpu->arch.mp_state == UMBRA_MP_HALTED ? wait_halted(vcpu) : umbra_vcpu_wait(vcpu)))
		return -EINTR;
	/* What woke it is looked at, and chosen from, before the next entry. */
	if (umbra_arch_vcpu_runnable(vcpu))
		umbra_request(vcpu, UMBRA_REQ_EVENT);
	return 1;
}

/* What others, or the last exit, have asked for. 1: go on; 0, -errno: leave. */
static noinline int take_requests(struct umbra_vcpu *vcpu)
{
	int ret;

	if (test_bit(UMBRA_REQ_STOP, &vcpu->requests))
		return -EAGAIN;
	if (umbra_take_request(vcpu, UMBRA_REQ_TRIPLE_FAULT)) {
		vcpu->run->exit_reason = UMBRA_EXIT_SHUTDOWN;
		return 0;
	}
	if (umbra_take_request(vcpu, UMBRA_REQ_CLOCK))
		umbra_clock_update(vcpu);
	if (umbra_take_request(vcpu, UMBRA_REQ_MMU_RELOAD)) {
		ret = umbra_mmu_load(vcpu);
		if (ret) {
			umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
			return ret;
		}
	}
	if (umbra_take_request(vcpu, UMBRA_REQ_EVENT)) {
		take_async(vcpu);
		if (vcpu->arch.mp_state == UMBRA_MP_HALTED && umbra_event_pending(vcpu)) {
			vcpu->arch.stat[UMBRA_STAT_HALT_WAKEUPS]++;
			WRITE_ONCE(vcpu->arch.mp_state, UMBRA_MP_RUNNABLE);
		}
		if (vcpu->arch.mp_state != UMBRA_MP_RUNNABLE)
			return 1;
		ret = umbra_event_inject(vcpu);
		if (ret <= 0)
			return ret;
	}
	/* Last, since what comes before may have asked for it. */
	if (umbra_take_request(vcpu, UMBRA_REQ_TLB_FLUSH)) {
		vcpu->arch.stat[UMBRA_STAT_TLB_FLUSHES]++;
		umbra_backend->flush_tlb(vcpu);
	}
	return 1;
}

/* What enter() has come to. */
enum turn {
	TURN_NONE,		/* something comes first */
	TURN_HANDLED,		/* its exit has been dealt with */
	TURN_EXIT,		/* its exit is for the handler */
};

/* Enters the guest until there is an exit that needs more than interrupts off. */
static enum turn enter(struct umbra_vcpu *vcpu)
{
	struct umbra_vcpu_arch *arch = &vcpu->arch;
	enum turn turn;

	local_irq_disable();
	WRITE_ONCE(vcpu->mode, UMBRA_IN_GUEST);
	/* Whoever makes a request looks at the mode after it: one of us sees the other. */
	smp_mb();
	if (unlikely(READ_ONCE(vcpu->requests) || xfer_to_guest_mode_work_pending() ||
		     !__this_cpu_read(umbra_virt_on))) {
		WRITE_ONCE(vcpu->mode, UMBRA_OUTSIDE_GUEST);
		local_irq_enable();
		/* What was to be injected is chosen anew. */
		umbra_backend->cancel_injection(vcpu);
		umbra_request(vcpu, UMBRA_REQ_EVENT);
		/* A CPU on its way out (hotplug, reboot); the scheduler finds another. */
		if (!raw_cpu_read(umbra_virt_on))
			schedule_timeout_interruptible(1);
		return TURN_NONE;
	}

	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	note_quiescent(vcpu);
	if (umbra_fpu_has_extra(vcpu))
		umbra_fpu_load_extra(vcpu);
	if (unlikely(arch->exit_soon)) {
		/* Pending when the guest is entered, so it exits as soon as it can. */
		arch->exit_soon = false;
		umbra_request(vcpu, UMBRA_REQ_EVENT);
		smp_send_reschedule(smp_processor_id());
	}
	for (;;) {
		trace_umbra_entry(vcpu->id, arch->rip);
		if (arch->exit_tsc)
			arch->exit_counts[arch->exit_reason].cycles += rdtsc() - arch->exit_tsc;
		arch->stat[UMBRA_STAT_ENTRIES]++;
		guest_enter();
		static_call(umbra_run)(vcpu);
		guest_exit();
		arch->exit_tsc = rdtsc();
		arch->exit_counts[arch->exit_reason].count++;
		turn = TURN_EXIT;
		if (!fast_rows[arch->exit_reason] || !static_call(umbra_fast_exit)(vcpu))
			break;
		turn = TURN_HANDLED;
		if (READ_ONCE(vcpu->requests) || xfer_to_guest_mode_work_pending())
			break;
		arch->stat[UMBRA_STAT_FAST_EXITS]++;
	}
	if (umbra_fpu_has_extra(vcpu))
		umbra_fpu_put_extra(vcpu);
	WRITE_ONCE(vcpu->mode, UMBRA_OUTSIDE_GUEST);
	/* An interrupt that ended the guest's turn is taken here. */
	local_irq_enable();
	return turn;
}

static noinline int entry_failed(struct umbra_vcpu *vcpu)
{
	struct umbra_run *run = vcpu->run;

	memset(&run->failed, 0, sizeof(run->failed));
	run->exit_reason = UMBRA_EXIT_ENTRY_FAILED;
	run->failed.code = vcpu->arch.exit_code;
	umbra_backend->describe_failure(vcpu, run->failed.reason);
	return 0;
}

/* The I/O APIC, which is the monitor's, may have to send its interrupt again. */
static int report_eoi(struct umbra_vcpu *vcpu)
{
	int vector = umbra_lapic_pending_eoi(vcpu);

	if (vector < 0)
		return 1;
	vcpu->run->exit_reason = UMBRA_EXIT_EOI;
	vcpu->run->eoi.vector = vector;
	return 0;
}

/* So many instructions in software, then the rest of the loop has its turn. */
#define SOFTWARE_BATCH	256

/*
 * Executes instructions in software while the CPU cannot run the guest. If it
 * can, UMBRA_REQ_SOFTWARE is clear on return. Returns like an exit handler.
 */
static int run_software(struct umbra_vcpu *vcpu)
{
	unsigned int left;
	int ret;

	umbra_lapic_timer_sleep(vcpu->arch.lapic);
	for (left = SOFTWARE_BATCH; left; left--) {
		clear_bit(UMBRA_REQ_SOFTWARE, &vcpu->requests);
		if (umbra_backend->can_enter(vcpu))
			return 1;
		umbra_request(vcpu, UMBRA_REQ_SOFTWARE);
		if (vcpu->arch.mp_state != UMBRA_MP_RUNNABLE) {
			/* A request would keep it from sleeping. */
			clear_bit(UMBRA_REQ_SOFTWARE, &vcpu->requests);
			ret = wait_runnable(vcpu);
			umbra_request(vcpu, UMBRA_REQ_SOFTWARE);
			return ret;
		}
		if (READ_ONCE(vcpu->requests) != BIT(UMBRA_REQ_SOFTWARE))
			return 1;
		ret = umbra_emulate_exit(vcpu);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

static int run_once(struct umbra_vcpu *vcpu)
{
	const struct umbra_exit *exit;
	enum turn turn;
	int ret;

	if (READ_ONCE(vcpu->requests)) {
		ret = take_requests(vcpu);
		if (ret <= 0)
			return ret;
		if (test_bit(UMBRA_REQ_SOFTWARE, &vcpu->requests)) {
			ret = run_software(vcpu);
			if (ret <= 0 || test_bit(UMBRA_REQ_SOFTWARE, &vcpu->requests))
				return ret;
		}
	}
	if (vcpu->arch.mp_state != UMBRA_MP_RUNNABLE)
		return wait_runnable(vcpu);
	turn = enter(vcpu);
	if (turn == TURN_NONE)
		return 1;

	static_call(umbra_complete_exit)(vcpu);
	if (turn == TURN_HANDLED) {
		ret = 1;
	} else {
		umbra_lapic_settle_eoi(vcpu->arch.lapic);
		exit = &exits[vcpu->arch.exit_reason];
		ret = likely(exit->handler) ? exit->handler(vcpu) : entry_failed(vcpu);
	}
	if (ret > 0 && unlikely(vcpu->arch.lapic->eoi_pending))
		return report_eoi(vcpu);
	return ret;
}

/**
 * umbra_arch_vcpu_run() - UMBRA_RUN
 * @vcpu: the vCPU, loaded; vcpu->mutex is held
 *
 * Return: 0 with the run page filled in, or
 * * -EINTR	- a signal is pending, or immediate_exit is set
 * * -EAGAIN	- umbra_vm_stop() wants the mutex
 * * -EINVAL	- user space answered the last exit with nonsense
 * * -ENOMEM	- no memory for tables
 */
int umbra_arch_vcpu_run(struct umbra_vcpu *vcpu)
{
	int (*complete)(struct umbra_vcpu *vcpu);
	int ret = 1;

	umbra_fpu_load(vcpu);
	if (vcpu->arch.pio_in)
		umbra_pio_finish_in(vcpu);
	complete = vcpu->arch.complete;
	if (complete) {
		vcpu->arch.complete = NULL;
		ret = complete(vcpu);
	}
	if (ret > 0 && READ_ONCE(vcpu->run->immediate_exit))
		ret = -EINTR;
	while (ret > 0) {
		ret = run_once(vcpu);
		if (ret > 0 && unlikely(__xfer_to_guest_mode_work_pending())) {
			/* A signal first: a turn may last until others want the CPU again. */
			if (signal_pending(current) || test_thread_flag(TIF_NOTIFY_RESUME))
				ret = -EINTR;
			else
				schedule();
		}
	}
	umbra_fpu_put(vcpu);
	umbra_lapic_settle_eoi(vcpu->arch.lapic);

	if (ret == -EINTR)
		vcpu->arch.stat[UMBRA_STAT_SIGNAL_EXITS]++;
	else if (!ret)
		vcpu->arch.stat[UMBRA_STAT_USER_EXITS]++;
	if (ret == -EINTR || !ret) {
		if (vcpu->arch.exit_tsc) {
			vcpu->arch.exit_counts[vcpu->arch.exit_reason].cycles +=
				rdtsc() - vcpu->arch.exit_tsc;
			vcpu->arch.exit_tsc = 0;
		}
	}
	return ret;
}
