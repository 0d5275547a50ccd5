// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtualization is on while there is a VM, on every CPU that is online, and
 * off otherwise. It follows CPU hotplug, host suspend, reboot and kexec; see
 * emergency.c for crashes.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpuhotplug.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include "compat.h"
#include "umbra.h"

static DEFINE_MUTEX(virt_lock);
static unsigned int virt_users;		/* VMs; virt_lock */
static int virt_cpuhp_state;		/* virt_lock */

DEFINE_PER_CPU(bool, umbra_virt_on);

/* On the CPU itself; interrupts may be on. */
static int enable_here(void)
{
	unsigned long flags;
	int ret = 0;

	local_irq_save(flags);
	if (!__this_cpu_read(umbra_virt_on)) {
		ret = umbra_backend->cpu_enable();
		__this_cpu_write(umbra_virt_on, !ret);
	}
	local_irq_restore(flags);
	return ret;
}

static void disable_here(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	if (__this_cpu_read(umbra_virt_on)) {
		__this_cpu_write(umbra_virt_on, false);
		umbra_backend->cpu_disable();
	}
	local_irq_restore(flags);
}

static int cpu_online_cb(unsigned int cpu)
{
	int ret = enable_here();

	if (ret)
		pr_err("cannot switch %s on, on CPU %u: %s\n", umbra_backend->name, cpu,
		       ret == -EBUSY ? "another hypervisor uses it" : "it did not take");
	return ret;
}

/*
 * The CPU may still run a vCPU's task for a moment; umbra_virt_on, looked at
 * with interrupts off on the way into the guest, keeps that from entering.
 */
static int cpu_offline_cb(unsigned int cpu)
{
	disable_here(NULL);
	return 0;
}

/**
 * umbra_virt_get() - a VM needs virtualization
 *
 * Switches it on, on all CPUs, for the first one. Sleeps.
 *
 * Return: 0, or
 * * -ENODEV	- the CPU has neither AMD-V nor VT-x
 * * -EOPNOTSUPP - the firmware has turned it off, or something needed is missing
 * * -EBUSY	- another hypervisor, such as KVM, holds it
 * * -ENOMEM	- no memory
 */
int umbra_virt_get(void)
{
	char reason[UMBRA_REASON_LEN] = "";
	int ret = 0;

	if (!umbra_backend)
		return -ENODEV;

	mutex_lock(&virt_lock);
	if (!virt_users) {
		ret = umbra_backend->probe(reason);
		if (ret) {
			pr_info_ratelimited("cannot run VMs: %s\n", reason);
			goto out;
		}
		ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "umbra:online", cpu_online_cb,
					cpu_offline_cb);
		if (ret < 0)
			goto out;
		virt_cpuhp_state = ret;
		ret = 0;
		umbra_emergency_want(true);
	}
	virt_users++;
out:
	mutex_unlock(&virt_lock);
	return ret;
}

/**
 * umbra_virt_put() - a VM is gone
 *
 * Switches virtualization off, on all CPUs, with the last one. Sleeps.
 */
void umbra_virt_put(void)
{
	mutex_lock(&virt_lock);
	if (!--virt_users) {
		umbra_emergency_want(false);
		cpuhp_remove_state(virt_cpuhp_state);
	}
	mutex_unlock(&virt_lock);
}

/*
 * Suspend: the other CPUs have been unplugged, this one has interrupts off and
 * runs nothing else. Its enablement does not survive.
 */
static int virt_suspend(void)
{
	disable_here(NULL);
	return 0;
}

static void virt_resume(void)
{
	/* All VMs are gone only when their fds are closed, so the count is stable here. */
	if (virt_users && enable_here())
		pr_err("cannot switch %s on again after suspend; VMs cannot run on CPU %u\n",
		       umbra_backend->name, smp_processor_id());
}

UMBRA_SYSCORE(umbra_syscore, virt_suspend, virt_resume);

/* Before firmware or another kernel takes over. */
static int virt_reboot(struct notifier_block *nb, unsigned long action, void *unused)
{
	on_each_cpu(disable_here, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block virt_reboot_nb = {
	.notifier_call = virt_reboot,
};

/**
 * umbra_virt_init() - follow suspend, reboot and KVM's module from now on
 *
 * Return: 0, or the error of registering a notifier.
 */
int umbra_virt_init(void)
{
	int ret = umbra_emergency_init();

	if (ret)
		return ret;
	ret = register_reboot_notifier(&virt_reboot_nb);
	if (ret) {
		umbra_emergency_exit();
		return ret;
	}
	umbra_register_syscore(&umbra_syscore);
	return 0;
}

/**
 * umbra_virt_exit() - undo umbra_virt_init()
 */
void umbra_virt_exit(void)
{
	umbra_unregister_syscore(&umbra_syscore);
	unregister_reboot_notifier(&virt_reboot_nb);
	umbra_emergency_exit();
}
