/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is true of a VM on any CPU: the module, VMs, vCPUs, memory slots.
 *
 * Locks, in the order in which they nest:
 *
 *   vm->lock          mutex. Making vCPUs, changing memory slots, the VM's clock.
 *   vcpu->mutex       mutex. Everything a vCPU's own fd does; held throughout
 *                     UMBRA_RUN except while the VM is stopped. Several are
 *                     only ever taken under vm->lock (umbra_vm_stop()).
 *   mm->mmap_lock     rwsem of the monitor, taken by get_user_pages().
 *   virt_lock         mutex in arch/x86/virt.c. How many VMs there are.
 *   emergency_lock    mutex in arch/x86/emergency.c, inside virt_lock. Also taken
 *                     from the module notifier, with nothing else held.
 *   vm->mmu_lock      rwlock. The tables that map the guest's memory. Writers
 *                     may do anything to them; readers may only add nested
 *                     leaves and table pages. Taken from MMU notifiers, so
 *                     nothing may sleep or allocate with __GFP_RECLAIM under it.
 *   mmu->pages_lock   spinlock inside mmu_lock: list and hash of table pages
 *                     when mmu_lock is only held for reading.
 *   clock->lock       raw spinlock, irqs off. The VM's clock; nothing nests in it.
 *
 * The memory slots are replaced only while all vCPUs are stopped, with
 * vm->lock and mmu_lock held. So whoever holds any of vm->lock, a
 * vcpu->mutex of the VM or mmu_lock may read them.
 */
#ifndef UMBRA_H
#define UMBRA_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <umbra/umbra.h>
#include "pages.h"

typedef u64 gva_t;
typedef u64 gpa_t;
typedef u64 gfn_t;
typedef u64 hpa_t;

struct umbra_vm;
struct umbra_vcpu;

#include "x86.h"

/* Leaf levels that a slot keeps bookkeeping for: 4 KiB, 2 MiB, 1 GiB. */
#define UMBRA_SLOT_LEVELS	3

/**
 * struct umbra_slot - a range of guest-physical memory backed by the monitor's
 * @base: first gfn
 * @pages: number of 4 KiB pages
 * @hva: address of the first page in the monitor
 * @id: slot number chosen by the monitor
 * @flags: UMBRA_MEM_*
 * @dirty: a bit per page, when UMBRA_MEM_LOG_DIRTY is set
 * @mmu: per-gfn bookkeeping of the MMU, one array for each leaf level
 */
struct umbra_slot {
	gfn_t base;
	unsigned long pages;
	unsigned long hva;
	u32 id;
	u32 flags;
	unsigned long *dirty;
	struct umbra_mmu_slot mmu;
};

/**
 * struct umbra_slots - the memory slots of a VM, sorted by @base
 * @count: how many there are
 * @generation: changes with every change of the slots
 * @slot: the slots
 */
struct umbra_slots {
	unsigned int count;
	u32 generation;
	struct umbra_slot *slot[UMBRA_MAX_SLOTS];
};

struct umbra_vm {
	struct kref ref;
	struct mm_struct *mm;
	struct mutex lock;	/* see above, as for the other locks */

	struct umbra_slots *slots;

	struct mmu_notifier notifier;
	/* Ranges being invalidated, and how often that has ended; mmu_lock. */
	unsigned long notifier_count;
	unsigned long notifier_seq;
	unsigned long notifier_start, notifier_end;
	rwlock_t mmu_lock;

	/* Set while umbra_vm_stop() keeps vCPUs out. */
	bool stopping;
	wait_queue_head_t stop_wait;

	unsigned int nr_vcpus;	/* vcpu[] below this index may be NULL */
	struct umbra_vcpu *vcpu[UMBRA_MAX_VCPUS];

	struct umbra_vm_arch arch;
};

/* umbra_vcpu.mode */
enum {
	UMBRA_OUTSIDE_GUEST,	/* looks at its requests before it enters again */
	UMBRA_IN_GUEST,		/* must be interrupted to look at them */
};

/* Bits of umbra_vcpu.requests: what to do before the next entry. */
enum {
	UMBRA_REQ_TLB_FLUSH,	/* drop the guest's translations from the TLB */
	UMBRA_REQ_MMU_RELOAD,	/* the root of the tables is no longer valid */
	UMBRA_REQ_EVENT,	/* an event may have to be injected */
	UMBRA_REQ_CLOCK,	/* rewrite the paravirtual clock's page */
	UMBRA_REQ_INTERCEPTS,	/* recompute the intercepts */
	UMBRA_REQ_TRIPLE_FAULT,	/* leave with UMBRA_EXIT_SHUTDOWN */
	UMBRA_REQ_SOFTWARE,	/* perhaps the CPU cannot run the guest as it is now */
	UMBRA_REQ_STOP,		/* let go of vcpu->mutex until the VM goes on */
};

struct umbra_vcpu {
	struct umbra_vm *vm;
	u32 id;
	int mode;
	unsigned long requests;
	int cpu;		/* the CPU it is loaded on, or was last */

	struct mutex mutex;	/* see above */
	struct umbra_run *run;	/* UMBRA_RUN_SIZE bytes, mapped by the monitor */
	struct rcuwait wait;
	struct preempt_notifier preempt_notifier;
	bool loaded;		/* between vcpu_load() and vcpu_put(): on a CPU */

	struct umbra_vcpu_arch arch;
};

/* vm.c */
struct umbra_vm *umbra_vm_get(struct umbra_vm *vm);
void umbra_vm_put(struct umbra_vm *vm);
struct umbra_vm *umbra_vm_create(u32 paging);
int umbra_vm_create_fd(const struct umbra_create_vm *args);
void umbra_vm_stop(struct umbra_vm *vm);
void umbra_vm_resume(struct umbra_vm *vm);

/* The vCPU of the lowest id that is *i at least; *i becomes its id. */
static inline struct umbra_vcpu *umbra_vcpu_from(struct umbra_vm *vm, unsigned int *i)
{
	unsigned int end = READ_ONCE(vm->nr_vcpus);
	struct umbra_vcpu *vcpu;

	for (; *i < end; ++*i) {
		/* Pairs with the release that publishes a new vCPU. */
		vcpu = smp_load_acquire(&vm->vcpu[*i]);
		if (vcpu)
			return vcpu;
	}
	return NULL;
}

/* Visits every vCPU there is; i is an unsigned int the caller provides. */
#define umbra_for_each_vcpu(i, vcpu, vm)				\
	for ((i) = 0, (vcpu) = umbra_vcpu_from(vm, &(i)); (vcpu);	\
	     (i)++, (vcpu) = umbra_vcpu_from(vm, &(i)))

/* vcpu.c */
struct umbra_vcpu *umbra_vcpu_create(struct umbra_vm *vm, u32 id);
void umbra_vcpu_publish(struct umbra_vcpu *vcpu);
int umbra_vcpu_create_fd(struct umbra_vm *vm, const struct umbra_create_vcpu *args);
void umbra_vcpu_destroy(struct umbra_vcpu *vcpu);
void umbra_vcpu_load(struct umbra_vcpu *vcpu);
void umbra_vcpu_put(struct umbra_vcpu *vcpu);
void umbra_vcpu_kick(struct umbra_vcpu *vcpu);
bool umbra_vcpu_wait(struct umbra_vcpu *vcpu);
void umbra_vm_kick_and_wait(struct umbra_vm *vm, int request);

static inline void umbra_request(struct umbra_vcpu *vcpu, int request)
{
	/* What the request is about must be visible before the request. */
	smp_mb__before_atomic();
	set_bit(request, &vcpu->requests);
}

static inline bool umbra_take_request(struct umbra_vcpu *vcpu, int request)
{
	if (!test_bit(request, &vcpu->requests))
		return false;
	clear_bit(request, &vcpu->requests);
	/* Pairs with umbra_request(): what it is about is looked at after this. */
	smp_mb__after_atomic();
	return true;
}

/* memory.c */
int umbra_memory_set(struct umbra_vm *vm, const struct umbra_memory *args);
int umbra_memory_get_dirty(struct umbra_vm *vm, const struct umbra_dirty_log *args);
int umbra_memory_written(struct umbra_vm *vm, const struct umbra_range *range);
int umbra_memory_init(struct umbra_vm *vm);
void umbra_memory_detach(struct umbra_vm *vm);
void umbra_memory_free(struct umbra_vm *vm);
struct umbra_slot *umbra_slot_find(struct umbra_vm *vm, gfn_t gfn);
struct umbra_slot *umbra_vcpu_slot(struct umbra_vcpu *vcpu, gfn_t gfn);
int umbra_guest_read(struct umbra_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len);
int umbra_guest_write(struct umbra_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);
bool umbra_memory_logged(const struct umbra_vm *vm);
void umbra_mark_dirty(struct umbra_slot *slot, gfn_t gfn);

/* stats.c */
int umbra_stats_copy(struct umbra_stats __user *uargs, const struct umbra_stat *stats,
		     unsigned int count);

static inline unsigned long umbra_slot_hva(const struct umbra_slot *slot, gfn_t gfn)
{
	return slot->hva + ((gfn - slot->base) << PAGE_SHIFT);
}

/*
 * Has a range with hva been invalidated since seq was sampled, or is it being?
 * Caller holds mmu_lock; seq was read, followed by smp_rmb(), before the page
 * was looked up.
 */
static inline bool umbra_notifier_retry(struct umbra_vm *vm, unsigned long seq, unsigned long hva)
{
	if (vm->notifier_count && hva >= vm->notifier_start && hva < vm->notifier_end)
		return true;
	/* Pairs with the barrier between seq and count at the end of an invalidation. */
	smp_rmb();
	return vm->notifier_seq != seq;
}

#endif /* UMBRA_H */
