// SPDX-License-Identifier: GPL-2.0-only
/* Calls on a vCPU's file descriptor. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "kick.h"
#include "util/error.h"

void umbra_vcpu_close(struct umbra_vcpu *vcpu)
{
	if (!vcpu)
		return;
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
	free(vcpu);
}

struct umbra_run *umbra_vcpu_run_page(struct umbra_vcpu *vcpu)
{
	return vcpu->run;
}

void *umbra_vcpu_io_data(struct umbra_vcpu *vcpu)
{
	return (char *)vcpu->run + UMBRA_RUN_IO_OFFSET;
}

void umbra_vcpu_attach(struct umbra_vcpu *vcpu)
{
	kick_signal_prepare();
	vcpu->thread = pthread_self();
	__atomic_store_n(&vcpu->attached, true, __ATOMIC_RELEASE);
}

/*
 * The system call without the C library's wrapper, which looks for a third
 * argument and sets errno: this is once per exit.
 */
static inline long run_ioctl(int fd)
{
	long ret;

	asm volatile("syscall"
		     : "=a" (ret)
		     : "0" (SYS_ioctl), "D" ((long)fd), "S" ((long)UMBRA_RUN), "d" (0L)
		     : "rcx", "r11", "memory");
	return ret;
}

static __attribute__((noinline)) int run_failed(struct umbra_vcpu *vcpu, int err)
{
	if (err == EINTR) {
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		return -EINTR;
	}
	return error_set(err, "the module cannot run vCPU %u: %s", vcpu->id, strerror(err));
}

int umbra_vcpu_run(struct umbra_vcpu *vcpu)
{
	long ret = run_ioctl(vcpu->fd);

	if (__builtin_expect(!ret, 1))
		return 0;
	return run_failed(vcpu, -ret);
}

void umbra_vcpu_kick(struct umbra_vcpu *vcpu)
{
	/* The flag is for a thread that is on its way in and would miss the signal. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->attached, __ATOMIC_ACQUIRE))
		pthread_kill(vcpu->thread, KICK_SIGNAL);
}

int umbra_vcpu_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level)
{
	struct umbra_pin arg = { .pin = pin, .level = level };

	if (ioctl(vcpu->fd, UMBRA_SET_PIN, &arg))
		return error_set(errno, "the module cannot set pin %u of vCPU %u: %s", pin,
				 vcpu->id, strerror(errno));
	return 0;
}

int umbra_vcpu_get_state(struct umbra_vcpu *vcpu, struct umbra_state *state)
{
	if (ioctl(vcpu->fd, UMBRA_GET_STATE, state))
		return error_set(errno, "cannot read the registers of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	return 0;
}

int umbra_vcpu_set_state(struct umbra_vcpu *vcpu, const struct umbra_state *state)
{
	if (ioctl(vcpu->fd, UMBRA_SET_STATE, state))
		return error_set(errno, "the module refuses the registers of vCPU %u: %s",
				 vcpu->id, strerror(errno));
	return 0;
}

int umbra_vcpu_set_cpuid(struct umbra_vcpu *vcpu, const struct umbra_cpuid_entry *entries,
			 unsigned int count)
{
	struct umbra_cpuid arg = { .count = count, .entries = (uintptr_t)entries };

	if (ioctl(vcpu->fd, UMBRA_SET_CPUID, &arg))
		return error_set(errno, "the module refuses the CPUID leaves of vCPU %u: %s",
				 vcpu->id, strerror(errno));
	return 0;
}

int umbra_vcpu_set_msrs(struct umbra_vcpu *vcpu, const struct umbra_msr *msrs, unsigned int count)
{
	struct umbra_msrs arg = { .count = count, .entries = (uintptr_t)msrs };

	if (!ioctl(vcpu->fd, UMBRA_SET_MSRS, &arg))
		return 0;
	if (errno == EINVAL && arg.count < count)
		return error_set(EINVAL, "the module refuses the value %#llx of MSR %#x of vCPU %u",
				 (unsigned long long)msrs[arg.count].value, msrs[arg.count].index,
				 vcpu->id);
	return error_set(errno, "the module refuses the MSRs of vCPU %u: %s", vcpu->id,
			 strerror(errno));
}

int umbra_vcpu_get_lapic(struct umbra_vcpu *vcpu, struct umbra_lapic_state *lapic)
{
	if (ioctl(vcpu->fd, UMBRA_GET_LAPIC, lapic))
		return error_set(errno, "cannot read the local APIC of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	return 0;
}

int umbra_vcpu_set_lapic(struct umbra_vcpu *vcpu, const struct umbra_lapic_state *lapic)
{
	if (ioctl(vcpu->fd, UMBRA_SET_LAPIC, lapic))
		return error_set(errno, "the module refuses the local APIC of vCPU %u: %s",
				 vcpu->id, strerror(errno));
	return 0;
}

int umbra_vcpu_stats(struct umbra_vcpu *vcpu, struct umbra_stat_list *list)
{
	return umbra_read_stats(vcpu->fd, UMBRA_GET_VCPU_STATS, list);
}
