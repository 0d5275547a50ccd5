// SPDX-License-Identifier: GPL-2.0-only
/* Running a KVM vCPU, and its exits in Umbra's words. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm.h"
#include "libumbra/kick.h"
#include "util/error.h"

struct umbra_run *umbra_vcpu_run_page(struct umbra_vcpu *vcpu)
{
	return &vcpu->run;
}

void *umbra_vcpu_io_data(struct umbra_vcpu *vcpu)
{
	return (char *)vcpu->kvm + vcpu->kvm->io.data_offset;
}

void umbra_vcpu_attach(struct umbra_vcpu *vcpu)
{
	kick_signal_prepare();
	vcpu->thread = pthread_self();
	__atomic_store_n(&vcpu->attached, true, __ATOMIC_RELEASE);
}

void umbra_vcpu_kick(struct umbra_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->kvm->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->attached, __ATOMIC_ACQUIRE))
		pthread_kill(vcpu->thread, KICK_SIGNAL);
}

int umbra_vcpu_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level)
{
	if (pin == UMBRA_PIN_NMI) {
		if (level && ioctl(vcpu->fd, KVM_NMI))
			return error_set(errno, "KVM cannot deliver an NMI: %s", strerror(errno));
		return 0;
	}
	__atomic_store_n(&vcpu->intr, level, __ATOMIC_SEQ_CST);
	/* The vCPU's own thread looks at the pin before it goes back in. */
	if (level && !(vcpu->attached && pthread_equal(pthread_self(), vcpu->thread)))
		umbra_vcpu_kick(vcpu);
	return 0;
}

static bool intr(const struct umbra_vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->intr, __ATOMIC_SEQ_CST);
}

/* Hands over what the monitor answered to the last exit. */
static int complete(struct umbra_vcpu *vcpu)
{
	struct kvm_interrupt interrupt;

	if (vcpu->mmio_read) {
		vcpu->mmio_read = false;
		memcpy(vcpu->kvm->mmio.data, vcpu->run.mmio.data, sizeof(vcpu->kvm->mmio.data));
	} else if (vcpu->acknowledging) {
		vcpu->acknowledging = false;
		interrupt.irq = vcpu->run.intack.vector;
		if (ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt))
			return error_set(errno, "KVM refuses the PIC's vector %u: %s",
					 interrupt.irq, strerror(errno));
		vcpu->kvm->ready_for_interrupt_injection = 0;
	}
	return 0;
}

static int unusual_exit(struct umbra_vcpu *vcpu)
{
	const struct kvm_run *kvm = vcpu->kvm;
	struct umbra_run *run = &vcpu->run;
	struct kvm_regs regs;

	switch (kvm->exit_reason) {
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		run->exit_reason = UMBRA_EXIT_NONE;
		return 0;
	case KVM_EXIT_SHUTDOWN:
		run->exit_reason = UMBRA_EXIT_SHUTDOWN;
		return 0;
	case KVM_EXIT_IOAPIC_EOI:
		run->exit_reason = UMBRA_EXIT_EOI;
		run->eoi.vector = kvm->eoi.vector;
		return 0;
	case KVM_EXIT_FAIL_ENTRY:
		run->exit_reason = UMBRA_EXIT_ENTRY_FAILED;
		run->failed.code = kvm->fail_entry.hardware_entry_failure_reason;
		strcpy(run->failed.reason, "KVM says no more");
		return 0;
	case KVM_EXIT_INTERNAL_ERROR:
		if (kvm->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
		    ioctl(vcpu->fd, KVM_GET_REGS, &regs))
			break;
		run->exit_reason = UMBRA_EXIT_EMULATION;
		memset(&run->emulation, 0, sizeof(run->emulation));
		run->emulation.rip = regs.rip;
		if (kvm->emulation_failure.ndata >= 3 &&
		    (kvm->emulation_failure.flags &
		     KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
			run->emulation.insn_len = kvm->emulation_failure.insn_size;
			memcpy(run->emulation.insn, kvm->emulation_failure.insn_bytes,
			       sizeof(run->emulation.insn));
		}
		return 0;
	}
	return error_set(EIO, "vCPU %u left KVM for reason %u, which has no meaning here",
			 vcpu->id, kvm->exit_reason);
}

int umbra_vcpu_run(struct umbra_vcpu *vcpu)
{
	struct kvm_run *kvm = vcpu->kvm;
	struct umbra_run *run = &vcpu->run;
	int ret;

	if (vcpu->mmio_read || vcpu->acknowledging) {
		ret = complete(vcpu);
		if (ret)
			return ret;
	}
	kvm->request_interrupt_window = intr(vcpu);
	if (kvm->request_interrupt_window && kvm->ready_for_interrupt_injection) {
		run->exit_reason = UMBRA_EXIT_INTACK;
		vcpu->acknowledging = true;
		return 0;
	}

	if (ioctl(vcpu->fd, KVM_RUN, 0)) {
		if (errno != EINTR && errno != EAGAIN)
			return error_set(errno, "KVM cannot run vCPU %u: %s", vcpu->id,
					 strerror(errno));
		__atomic_store_n(&kvm->immediate_exit, 0, __ATOMIC_SEQ_CST);
		return -EINTR;
	}
	switch (kvm->exit_reason) {
	case KVM_EXIT_IO:
		run->exit_reason = UMBRA_EXIT_IO;
		run->io.port = kvm->io.port;
		run->io.direction = kvm->io.direction == KVM_EXIT_IO_OUT ? UMBRA_IO_OUT
									 : UMBRA_IO_IN;
		run->io.size = kvm->io.size;
		run->io.count = kvm->io.count;
		return 0;
	case KVM_EXIT_MMIO:
		run->exit_reason = UMBRA_EXIT_MMIO;
		run->mmio.gpa = kvm->mmio.phys_addr;
		run->mmio.len = kvm->mmio.len;
		run->mmio.is_write = kvm->mmio.is_write;
		if (kvm->mmio.is_write)
			memcpy(run->mmio.data, kvm->mmio.data, sizeof(run->mmio.data));
		else
			vcpu->mmio_read = true;
		return 0;
	default:
		return unusual_exit(vcpu);
	}
}
