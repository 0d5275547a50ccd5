// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtualization and a host that crashes. While VT-x is on a CPU holds INIT off
 * (SDM Vol. 3 24.8), so a crash kernel could not start it, and some machines would
 * not reset.
 *
 * The kernel has one slot for whoever is to switch virtualization off then, on
 * every CPU. KVM takes it, in silence when its module is loaded, and warns if it
 * is taken: so it is ours only while there is no KVM, and is given back before
 * KVM's module starts. KVM then does the same for us.
 */
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>
#include <asm/reboot.h>
#include "umbra.h"

#ifdef UMBRA_HAVE_EMERGENCY_SLOT

static DEFINE_MUTEX(emergency_lock);
static bool wanted, taken, kvm_starts;	/* emergency_lock */

static bool is_kvm(const char *name)
{
	return !strcmp(name, "kvm_intel") || !strcmp(name, "kvm_amd");
}

/* Loaded or built in. */
static bool there_is(const char *name)
{
	struct kobject *kobj = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, name);

	kobject_put(kobj);
	return kobj;
}

/* On each CPU, interrupts off, perhaps in an NMI; the CPU does not go on afterwards. */
static void switch_off(void)
{
	if (__this_cpu_read(umbra_virt_on)) {
		__this_cpu_write(umbra_virt_on, false);
		umbra_backend->cpu_disable();
	}
}

static void update(void)
{
	bool take = wanted && !kvm_starts && !there_is("kvm_intel") && !there_is("kvm_amd");

	lockdep_assert_held(&emergency_lock);
	if (take == taken)
		return;
	if (take)
		cpu_emergency_register_virt_callback(switch_off);
	else
		cpu_emergency_unregister_virt_callback(switch_off);
	taken = take;
}

/**
 * umbra_emergency_want() - virtualization is on, or is off again
 * @on: it is on. Sleeps
 */
void umbra_emergency_want(bool on)
{
	mutex_lock(&emergency_lock);
	wanted = on;
	update();
	mutex_unlock(&emergency_lock);
}

static int module_changes(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct module *module = data;

	if (!is_kvm(module->name) || (state != MODULE_STATE_COMING && state != MODULE_STATE_GOING))
		return NOTIFY_DONE;
	mutex_lock(&emergency_lock);
	kvm_starts = state == MODULE_STATE_COMING;
	update();
	mutex_unlock(&emergency_lock);
	return NOTIFY_OK;
}

static struct notifier_block module_nb = {
	.notifier_call = module_changes,
};

/**
 * umbra_emergency_init() - watch KVM come and go
 *
 * Return: 0 or the error of register_module_notifier().
 */
int umbra_emergency_init(void)
{
	return register_module_notifier(&module_nb);
}

/**
 * umbra_emergency_exit() - undo umbra_emergency_init()
 */
void umbra_emergency_exit(void)
{
	unregister_module_notifier(&module_nb);
}

#else

int umbra_emergency_init(void)
{
	return 0;
}

void umbra_emergency_exit(void)
{
}

void umbra_emergency_want(bool on)
{
}

#endif /* UMBRA_HAVE_EMERGENCY_SLOT */
