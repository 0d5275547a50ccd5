// SPDX-License-Identifier: GPL-2.0-only
/* Virtual machines: their lifetime and their file descriptors. */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "umbra.h"

static void vm_release(struct kref *ref)
{
	struct umbra_vm *vm = container_of(ref, struct umbra_vm, ref);
	unsigned int i;

	/* No fd is left, so nobody else can reach the VM any more. */
	umbra_memory_detach(vm);
	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpu[i])
			umbra_vcpu_destroy(vm->vcpu[i]);
	umbra_arch_vm_destroy(vm);
	umbra_memory_free(vm);
	umbra_virt_put();
	mmdrop(vm->mm);
	kvfree(vm);
}

/**
 * umbra_vm_get() - take a reference on a VM
 * @vm: the VM
 *
 * Return: @vm.
 */
struct umbra_vm *umbra_vm_get(struct umbra_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

/**
 * umbra_vm_put() - drop a reference on a VM
 * @vm: the VM
 *
 * The last one frees it with all its vCPUs and tables. May sleep; the caller
 * holds no lock.
 */
void umbra_vm_put(struct umbra_vm *vm)
{
	kref_put(&vm->ref, vm_release);
}

/**
 * umbra_vm_stop() - keep all vCPUs out of the guest and out of the VM's state
 * @vm: the VM; vm->lock is held
 *
 * Takes the mutex of every vCPU after having asked those that run to let go of
 * it. Until umbra_vm_resume() the caller may change what vCPUs otherwise read
 * without locks: memory slots, the paging strategy. Sleeps.
 */
void umbra_vm_stop(struct umbra_vm *vm)
{
	struct umbra_vcpu *vcpu;
	unsigned int i;

	lockdep_assert_held(&vm->lock);
	WRITE_ONCE(vm->stopping, true);
	umbra_for_each_vcpu(i, vcpu, vm) {
		umbra_request(vcpu, UMBRA_REQ_STOP);
		umbra_vcpu_kick(vcpu);
		mutex_lock_nest_lock(&vcpu->mutex, &vm->lock);
	}
}

/**
 * umbra_vm_resume() - undo umbra_vm_stop()
 * @vm: the VM; vm->lock is held
 */
void umbra_vm_resume(struct umbra_vm *vm)
{
	struct umbra_vcpu *vcpu;
	unsigned int i;

	lockdep_assert_held(&vm->lock);
	WRITE_ONCE(vm->stopping, false);
	umbra_for_each_vcpu(i, vcpu, vm) {
		clear_bit(UMBRA_REQ_STOP, &vcpu->requests);
		mutex_unlock(&vcpu->mutex);
	}
	wake_up_all(&vm->stop_wait);
}

static long vm_set_memory(struct umbra_vm *vm, void __user *arg)
{
	struct umbra_memory mem;
	int ret;

	if (copy_from_user(&mem, arg, sizeof(mem)))
		return -EFAULT;
	ret = mutex_lock_killable(&vm->lock);
	if (ret)
		return ret;
	ret = umbra_memory_set(vm, &mem);
	mutex_unlock(&vm->lock);
	return ret;
}

static long vm_get_dirty(struct umbra_vm *vm, void __user *arg)
{
	struct umbra_dirty_log log;
	int ret;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	ret = mutex_lock_killable(&vm->lock);
	if (ret)
		return ret;
	ret = umbra_memory_get_dirty(vm, &log);
	mutex_unlock(&vm->lock);
	return ret;
}

static long vm_memory_written(struct umbra_vm *vm, void __user *arg)
{
	struct umbra_range range;
	int ret;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;
	ret = mutex_lock_killable(&vm->lock);
	if (ret)
		return ret;
	ret = umbra_memory_written(vm, &range);
	mutex_unlock(&vm->lock);
	return ret;
}

static long vm_create_vcpu(struct umbra_vm *vm, void __user *arg)
{
	struct umbra_create_vcpu args;
	int ret;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags || args.id >= UMBRA_MAX_VCPUS)
		return -EINVAL;
	ret = mutex_lock_killable(&vm->lock);
	if (ret)
		return ret;
	ret = umbra_vcpu_create_fd(vm, &args);
	mutex_unlock(&vm->lock);
	return ret;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct umbra_vm *vm = file->private_data;
	void __user *uarg = (void __user *)arg;

	/* The memory slots are addresses in the mm that made the VM. */
	if (vm->mm != current->mm)
		return -EIO;

	switch (cmd) {
	case UMBRA_SET_MEMORY:
		return vm_set_memory(vm, uarg);
	case UMBRA_GET_DIRTY_LOG:
		return vm_get_dirty(vm, uarg);
	case UMBRA_MEMORY_WRITTEN:
		return vm_memory_written(vm, uarg);
	case UMBRA_CREATE_VCPU:
		return vm_create_vcpu(vm, uarg);
	default:
		return umbra_arch_vm_ioctl(vm, cmd, uarg);
	}
}

static int vm_fd_release(struct inode *inode, struct file *file)
{
	umbra_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_fd_release,
	.unlocked_ioctl = vm_ioctl,
	.llseek = noop_llseek,
};

/**
 * umbra_vm_create() - make a VM
 * @paging: UMBRA_PAGING_*
 *
 * Its memory will be that of current->mm. Nobody else can reach it yet.
 *
 * Return: the VM, with one reference; or an ERR_PTR as of umbra_vm_create_fd().
 */
struct umbra_vm *umbra_vm_create(u32 paging)
{
	struct umbra_vm *vm;
	int ret;

	vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	kref_init(&vm->ref);
	mutex_init(&vm->lock);
	rwlock_init(&vm->mmu_lock);
	init_waitqueue_head(&vm->stop_wait);
	vm->mm = current->mm;
	mmgrab(vm->mm);

	ret = umbra_virt_get();
	if (ret)
		goto err_mm;
	ret = umbra_arch_vm_create(vm, paging);
	if (ret)
		goto err_virt;
	ret = umbra_memory_init(vm);
	if (ret)
		goto err_arch;
	return vm;

err_arch:
	umbra_arch_vm_destroy(vm);
err_virt:
	umbra_virt_put();
err_mm:
	mmdrop(vm->mm);
	kvfree(vm);
	return ERR_PTR(ret);
}

/**
 * umbra_vm_create_fd() - make a VM and a file descriptor for it
 * @args: what the monitor asked for
 *
 * Return: a file descriptor, or
 * * -EINVAL	- unknown flag or paging, reserved fields not zero
 * * -ENODEV, -EOPNOTSUPP, -EBUSY - see umbra_virt_get()
 * * -EOPNOTSUPP - this CPU does not offer the paging asked for
 * * -ENOMEM	- no memory
 * * -EMFILE, -ENFILE - no file descriptor
 * * -EINTR	- a signal arrived while the MMU notifier was registered
 */
int umbra_vm_create_fd(const struct umbra_create_vm *args)
{
	struct umbra_vm *vm;
	int fd;

	if (args->flags || memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;
	if (args->paging != UMBRA_PAGING_NESTED && args->paging != UMBRA_PAGING_SHADOW)
		return -EINVAL;

	vm = umbra_vm_create(args->paging);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("umbra-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		umbra_vm_put(vm);
	return fd;
}
