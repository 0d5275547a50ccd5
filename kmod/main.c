// SPDX-License-Identifier: GPL-2.0-only
/* The module and /dev/umbra. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>
#include "umbra.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static long get_info(struct umbra_info __user *arg)
{
	struct umbra_info info = {
		.abi_version = UMBRA_ABI_VERSION,
		.vendor = umbra_backend ? umbra_backend->vendor : UMBRA_VENDOR_NONE,
		.run_size = UMBRA_RUN_SIZE,
		.max_vcpus = UMBRA_MAX_VCPUS,
		.max_slots = UMBRA_MAX_SLOTS,
		.tsc_khz = tsc_khz,
	};

	strscpy(info.version, UMBRA_VERSION, sizeof(info.version));
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long check_cap(struct umbra_cap __user *arg)
{
	struct umbra_cap cap;

	if (copy_from_user(&cap, arg, sizeof(cap)))
		return -EFAULT;
	if (cap.flags || cap.cap >= UMBRA_CAP_COUNT)
		return -EINVAL;
	memset(cap.reason, 0, sizeof(cap.reason));
	cap.value = umbra_arch_cap(cap.cap, cap.reason);
	return copy_to_user(arg, &cap, sizeof(cap)) ? -EFAULT : 0;
}

static long create_vm(struct umbra_create_vm __user *arg)
{
	struct umbra_create_vm args;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	return umbra_vm_create_fd(&args);
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case UMBRA_GET_INFO:
		return get_info(uarg);
	case UMBRA_CHECK_CAP:
		return check_cap(uarg);
	case UMBRA_CREATE_VM:
		return create_vm(uarg);
	default:
		return umbra_arch_dev_ioctl(cmd, uarg);
	}
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice umbra_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "umbra",
	.fops = &dev_fops,
	.mode = 0660,
};

atomic_long_t umbra_pages = ATOMIC_LONG_INIT(0);

/* Every VM is gone, so whatever is not given back by now never will be. */
static void check_pages(void)
{
	long pages = atomic_long_read(&umbra_pages);

	WARN(pages, "umbra: %ld pages are not given back\n", pages);
}

static int __init umbra_init(void)
{
	int ret;

	ret = umbra_arch_init();
	if (ret) {
		check_pages();
		return ret;
	}
	/* Patches the scheduler, so once and not for every VM. */
	preempt_notifier_inc();
	ret = misc_register(&umbra_device);
	if (ret) {
		preempt_notifier_dec();
		umbra_arch_exit();
		check_pages();
	}
	return ret;
}
module_init(umbra_init);

static void __exit umbra_exit(void)
{
	misc_deregister(&umbra_device);
	preempt_notifier_dec();
	umbra_arch_exit();
	check_pages();
}
module_exit(umbra_exit);

MODULE_DESCRIPTION("Umbra, a hypervisor for x86-64");
MODULE_AUTHOR("The Umbra developers");
MODULE_VERSION(UMBRA_VERSION);
MODULE_LICENSE("GPL");
