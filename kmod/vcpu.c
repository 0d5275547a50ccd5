// SPDX-License-Identifier: GPL-2.0-only
/* Virtual CPUs: lifetime, file descriptors, being loaded on a CPU, being kicked. */
#include <linux/anon_inodes.h>
#include <linux/cpumask.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <trace/events/ipi.h>
#include "load.h"
#include "umbra.h"

static void vcpu_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct umbra_vcpu *vcpu = container_of(pn, struct umbra_vcpu, preempt_notifier);

	vcpu->cpu = cpu;
	umbra_arch_vcpu_load(vcpu, cpu);
	vcpu->loaded = true;
}

static void vcpu_sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct umbra_vcpu *vcpu = container_of(pn, struct umbra_vcpu, preempt_notifier);

	vcpu->loaded = false;
	umbra_arch_vcpu_put(vcpu);
}

static struct preempt_ops vcpu_preempt_ops = {
	.sched_in = vcpu_sched_in,
	.sched_out = vcpu_sched_out,
};

/*
 * preempt_notifier_register() and preempt_notifier_unregister(), inline, since each exit
 * to user space needs them. The list is the current task's own; that there are notifiers
 * at all the kernel has been told when the module was loaded.
 */
static __always_inline void follow_task(struct umbra_vcpu *vcpu)
{
	hlist_add_head(&vcpu->preempt_notifier.link, &current->preempt_notifiers);
}

static __always_inline void leave_task(struct umbra_vcpu *vcpu)
{
	__hlist_del(&vcpu->preempt_notifier.link);
}

static __always_inline void load(struct umbra_vcpu *vcpu)
{
	preempt_disable();
	vcpu->cpu = smp_processor_id();
	umbra_arch_vcpu_load(vcpu, vcpu->cpu);
	vcpu->loaded = true;
	follow_task(vcpu);
	preempt_enable();
}

static __always_inline void put(struct umbra_vcpu *vcpu)
{
	preempt_disable();
	leave_task(vcpu);
	vcpu->loaded = false;
	umbra_arch_vcpu_put(vcpu);
	preempt_enable();
}

/**
 * umbra_vcpu_load() - make a vCPU the current CPU's
 * @vcpu: the vCPU; vcpu->mutex is held
 *
 * From here to umbra_vcpu_put() the vCPU follows the calling task from CPU to
 * CPU, and the backend's hooks may be called.
 */
void umbra_vcpu_load(struct umbra_vcpu *vcpu)
{
	load(vcpu);
}

/**
 * umbra_vcpu_put() - undo umbra_vcpu_load()
 * @vcpu: the vCPU; vcpu->mutex is held
 */
void umbra_vcpu_put(struct umbra_vcpu *vcpu)
{
	put(vcpu);
}

/**
 * umbra_vcpu_kick() - have a vCPU look at its requests soon
 * @vcpu: the vCPU
 *
 * Wakes it from HLT, or interrupts it if it is in the guest. The request must
 * have been made before. Any context.
 */
void umbra_vcpu_kick(struct umbra_vcpu *vcpu)
{
	int cpu, me;

	if (rcuwait_wake_up(&vcpu->wait))
		return;
	me = get_cpu();
	cpu = READ_ONCE(vcpu->cpu);
	/* Pairs with the barrier after the mode is set on the way into the guest. */
	smp_mb();
	if (cpu != me && READ_ONCE(vcpu->mode) == UMBRA_IN_GUEST && cpu_online(cpu))
		smp_send_reschedule(cpu);
	put_cpu();
}

/**
 * umbra_vcpu_wait() - sleep until there is something for the vCPU to do
 * @vcpu: the vCPU, halted; vcpu->mutex is held, the vCPU is loaded
 *
 * Return: true when it may go on, false when a signal is pending.
 */
bool umbra_vcpu_wait(struct umbra_vcpu *vcpu)
{
	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (umbra_arch_vcpu_runnable(vcpu) || READ_ONCE(vcpu->requests) ||
		    signal_pending(current))
			break;
		schedule();
	}
	finish_rcuwait(&vcpu->wait);
	return !signal_pending(current);
}

static void acknowledge(void *unused)
{
}

/**
 * umbra_vm_kick_and_wait() - make a request of all vCPUs and see it honoured
 * @vm: the VM
 * @request: UMBRA_REQ_*
 *
 * When it returns no CPU runs the guest any more without having acted on the
 * request. Interrupts are on; mmu_lock may be held.
 */
void umbra_vm_kick_and_wait(struct umbra_vm *vm, int request)
{
	static DEFINE_PER_CPU(struct cpumask, kick_mask);
	struct umbra_vcpu *vcpu;
	struct cpumask *mask;
	unsigned int i;
	int me, cpu;

	me = get_cpu();
	mask = this_cpu_ptr(&kick_mask);
	cpumask_clear(mask);
	umbra_for_each_vcpu(i, vcpu, vm) {
		umbra_request(vcpu, request);
		/* The request is set before the mode is read; see umbra_vcpu_kick(). */
		smp_mb__after_atomic();
		if (READ_ONCE(vcpu->mode) != UMBRA_IN_GUEST)
			continue;
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu != me)
			cpumask_set_cpu(cpu, mask);
	}
	if (!cpumask_empty(mask))
		smp_call_function_many(mask, acknowledge, NULL, true);
	put_cpu();
}

/*
 * Stay out while the VM is stopped, which is never for long. Only a fatal signal
 * ends the wait; -EINTR, the mutex is not held on return then.
 */
static noinline int wait_for_resume(struct umbra_vm *vm)
{
	return wait_event_killable(vm->stop_wait, !READ_ONCE(vm->stopping)) ? -EINTR : 0;
}

static __always_inline int vcpu_lock(struct umbra_vcpu *vcpu)
{
	if (unlikely(READ_ONCE(vcpu->vm->stopping)) && wait_for_resume(vcpu->vm))
		return -EINTR;
	return mutex_lock_killable(&vcpu->mutex);
}

static long vcpu_ioctl_run(struct umbra_vcpu *vcpu, unsigned long arg)
{
	long ret;

	if (unlikely(arg))
		return -EINVAL;
	ret = vcpu_lock(vcpu);
	if (unlikely(ret))
		return ret;
	for (;;) {
		load(vcpu);
		ret = umbra_arch_vcpu_run(vcpu);
		put(vcpu);
		mutex_unlock(&vcpu->mutex);
		if (likely(ret != -EAGAIN))
			return ret;
		/* Somebody waits in umbra_vm_stop() for the mutex. */
		ret = vcpu_lock(vcpu);
		if (ret)
			return ret;
	}
}

/* All but UMBRA_RUN. */
static noinline long vcpu_ioctl_other(struct umbra_vcpu *vcpu, unsigned int cmd, unsigned long arg)
{
	long ret;

	if (_IOC_TYPE(cmd) != UMBRA_IOC)
		return -ENOTTY;
	/* From other threads, while this vCPU is in UMBRA_RUN. */
	if (cmd == UMBRA_SET_PIN)
		return umbra_arch_vcpu_ioctl(vcpu, cmd, (void __user *)arg);

	ret = vcpu_lock(vcpu);
	if (ret)
		return ret;
	umbra_vcpu_load(vcpu);
	ret = umbra_arch_vcpu_ioctl(vcpu, cmd, (void __user *)arg);
	umbra_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return ret;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct umbra_vcpu *vcpu = file->private_data;

	if (unlikely(vcpu->vm->mm != current->mm))
		return -EIO;
	return likely(cmd == UMBRA_RUN) ? vcpu_ioctl_run(vcpu, arg) :
					  vcpu_ioctl_other(vcpu, cmd, arg);
}

static vm_fault_t vcpu_vma_fault(struct vm_fault *vmf)
{
	struct umbra_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff >= UMBRA_RUN_SIZE / PAGE_SIZE)
		return VM_FAULT_SIGBUS;
	page = virt_to_page((char *)vcpu->run + vmf->pgoff * PAGE_SIZE);
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_vma_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma_pages(vma) + vma->vm_pgoff > UMBRA_RUN_SIZE / PAGE_SIZE)
		return -EINVAL;
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_fd_release(struct inode *inode, struct file *file)
{
	struct umbra_vcpu *vcpu = file->private_data;

	umbra_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.release = vcpu_fd_release,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.llseek = noop_llseek,
};

/**
 * umbra_vcpu_destroy() - free a vCPU
 * @vcpu: a vCPU that no fd refers to
 */
void umbra_vcpu_destroy(struct umbra_vcpu *vcpu)
{
	umbra_arch_vcpu_destroy(vcpu);
	umbra_free_pages(virt_to_page(vcpu->run), get_order(UMBRA_RUN_SIZE));
	kfree(vcpu);
}

/**
 * umbra_vcpu_create() - make a vCPU
 * @vm: the VM
 * @id: below UMBRA_MAX_VCPUS
 *
 * It is not yet among the VM's.
 *
 * Return: the vCPU, in its state after RESET, or ERR_PTR(-ENOMEM).
 */
struct umbra_vcpu *umbra_vcpu_create(struct umbra_vm *vm, u32 id)
{
	struct umbra_vcpu *vcpu;
	struct page *pages;
	int ret = -ENOMEM;

	vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return ERR_PTR(ret);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu = raw_smp_processor_id();
	mutex_init(&vcpu->mutex);
	rcuwait_init(&vcpu->wait);
	preempt_notifier_init(&vcpu->preempt_notifier, &vcpu_preempt_ops);

	/* Compound, so that a mapping's reference to either page keeps both. */
	pages = umbra_alloc_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_COMP,
				  get_order(UMBRA_RUN_SIZE));
	if (!pages)
		goto err_vcpu;
	vcpu->run = page_address(pages);

	ret = umbra_arch_vcpu_create(vcpu);
	if (ret)
		goto err_run;
	return vcpu;

err_run:
	umbra_free_pages(pages, get_order(UMBRA_RUN_SIZE));
err_vcpu:
	kfree(vcpu);
	return ERR_PTR(ret);
}

/**
 * umbra_vcpu_publish() - put a new vCPU among those of its VM
 * @vcpu: the vCPU; vm->lock is held
 *
 * From here other vCPUs can see it: umbra_for_each_vcpu().
 */
void umbra_vcpu_publish(struct umbra_vcpu *vcpu)
{
	struct umbra_vm *vm = vcpu->vm;

	/* Pairs with the acquire in umbra_vcpu_from(). */
	smp_store_release(&vm->vcpu[vcpu->id], vcpu);
	if (vcpu->id >= vm->nr_vcpus)
		WRITE_ONCE(vm->nr_vcpus, vcpu->id + 1);
}

/**
 * umbra_vcpu_create_fd() - add a vCPU to a VM
 * @vm: the VM; vm->lock is held
 * @args: checked for range and flags
 *
 * Return: a file descriptor, or
 * * -EEXIST	- the VM has had a vCPU of this id
 * * -ENOMEM	- no memory
 * * -EMFILE, -ENFILE - no file descriptor
 */
int umbra_vcpu_create_fd(struct umbra_vm *vm, const struct umbra_create_vcpu *args)
{
	struct umbra_vcpu *vcpu;
	struct file *file;
	int fd;

	lockdep_assert_held(&vm->lock);
	if (vm->vcpu[args->id])
		return -EEXIST;

	vcpu = umbra_vcpu_create(vm, args->id);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);

	fd = get_unused_fd_flags(O_RDWR | O_CLOEXEC);
	if (fd < 0)
		goto err_vcpu;
	file = anon_inode_getfile("umbra-vcpu", &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
		goto err_vcpu;
	}
	umbra_vm_get(vm);

	umbra_vcpu_publish(vcpu);
	fd_install(fd, file);
	return fd;

err_vcpu:
	umbra_vcpu_destroy(vcpu);
	return fd;
}
