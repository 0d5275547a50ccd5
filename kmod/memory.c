// SPDX-License-Identifier: GPL-2.0-only
/* Memory slots over the monitor's memory, and the MMU notifier that keeps them honest. */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "umbra.h"

/* Guest-physical addresses have at most 52 bits (SDM Vol. 3 4.1.4). */
#define GPA_LIMIT		BIT_ULL(52)
/* 4 TiB; keeps the bookkeeping of one slot within what may be allocated at once. */
#define SLOT_MAX_PAGES		BIT(30)
/* 1 GiB: so much of what the monitor has written is looked at before others get the lock. */
#define WRITTEN_PAGES		BIT(18)

#define ALLOC_FLAGS		(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

static unsigned long dirty_bytes(unsigned long pages)
{
	return BITS_TO_LONGS(pages) * sizeof(long);
}

static void slot_free(struct umbra_slot *slot)
{
	if (!slot)
		return;
	umbra_mmu_slot_free(slot);
	kvfree(slot->dirty);
	kfree(slot);
}

static struct umbra_slot *slot_create(const struct umbra_memory *mem)
{
	struct umbra_slot *slot;

	slot = kzalloc(sizeof(*slot), ALLOC_FLAGS);
	if (!slot)
		return NULL;
	slot->id = mem->slot;
	slot->flags = mem->flags;
	slot->base = mem->gpa >> PAGE_SHIFT;
	slot->pages = mem->size >> PAGE_SHIFT;
	slot->hva = mem->uaddr;
	if (umbra_mmu_slot_alloc(slot))
		goto err;
	if (slot->flags & UMBRA_MEM_LOG_DIRTY) {
		slot->dirty = kvzalloc(dirty_bytes(slot->pages), ALLOC_FLAGS);
		if (!slot->dirty)
			goto err;
	}
	return slot;

err:
	slot_free(slot);
	return NULL;
}

/**
 * umbra_slot_find() - the memory slot that holds a gfn
 * @vm: the VM; see kmod/umbra.h for the locks, any of which the caller holds
 * @gfn: guest frame number
 *
 * Return: the slot, NULL if there is none.
 */
struct umbra_slot *umbra_slot_find(struct umbra_vm *vm, gfn_t gfn)
{
	const struct umbra_slots *slots = vm->slots;
	unsigned int low = 0, high = slots->count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;
		struct umbra_slot *slot = slots->slot[mid];

		if (gfn < slot->base)
			high = mid;
		else if (gfn - slot->base >= slot->pages)
			low = mid + 1;
		else
			return slot;
	}
	return NULL;
}

/**
 * umbra_vcpu_slot() - the memory slot that holds a gfn, remembering the last one
 * @vcpu: the vCPU; vcpu->mutex is held
 * @gfn: guest frame number
 *
 * Return: the slot, NULL if there is none.
 */
struct umbra_slot *umbra_vcpu_slot(struct umbra_vcpu *vcpu, gfn_t gfn)
{
	struct umbra_slot *slot = vcpu->arch.last_slot;

	if (likely(slot && gfn - slot->base < slot->pages))
		return slot;
	slot = umbra_slot_find(vcpu->vm, gfn);
	if (slot)
		vcpu->arch.last_slot = slot;
	return slot;
}

static struct umbra_slot *slot_by_id(struct umbra_vm *vm, u32 id, unsigned int *index)
{
	unsigned int i;

	for (i = 0; i < vm->slots->count; i++) {
		if (vm->slots->slot[i]->id == id) {
			*index = i;
			return vm->slots->slot[i];
		}
	}
	return NULL;
}

static int check_args(const struct umbra_memory *mem)
{
	if (mem->slot >= UMBRA_MAX_SLOTS ||
	    mem->flags & ~(UMBRA_MEM_READONLY | UMBRA_MEM_LOG_DIRTY) ||
	    memchr_inv(mem->reserved, 0, sizeof(mem->reserved)))
		return -EINVAL;
	if (!PAGE_ALIGNED(mem->gpa | mem->size | mem->uaddr))
		return -EINVAL;
	if (mem->size >> PAGE_SHIFT > SLOT_MAX_PAGES)
		return -E2BIG;
	if (mem->gpa >= GPA_LIMIT || mem->size > GPA_LIMIT - mem->gpa)
		return -EINVAL;
	if (mem->size && !access_ok((void __user *)(unsigned long)mem->uaddr, mem->size))
		return -EFAULT;
	return 0;
}

/* The slots as they will be: @old taken out, @slot put in. */
static struct umbra_slots *slots_with(const struct umbra_slots *from, const struct umbra_slot *old,
				      struct umbra_slot *slot)
{
	struct umbra_slots *to;
	unsigned int i;

	to = kzalloc(sizeof(*to), ALLOC_FLAGS);
	if (!to)
		return ERR_PTR(-ENOMEM);
	to->generation = from->generation + 1;

	for (i = 0; i < from->count; i++) {
		struct umbra_slot *s = from->slot[i];

		if (s == old)
			continue;
		if (slot && s->base < slot->base + slot->pages &&
		    slot->base < s->base + s->pages) {
			kfree(to);
			return ERR_PTR(-EEXIST);
		}
		to->slot[to->count++] = s;
	}
	if (slot) {
		for (i = to->count++; i > 0 && to->slot[i - 1]->base > slot->base; i--)
			to->slot[i] = to->slot[i - 1];
		to->slot[i] = slot;
	}
	return to;
}

/* Nobody may hold on to the old slots: vCPUs are stopped, and their tables emptied. */
static void install_slots(struct umbra_vm *vm, struct umbra_slots *slots)
{
	struct umbra_vcpu *vcpu;
	unsigned int i;

	umbra_vm_stop(vm);
	umbra_mmu_zap_all(vm);
	write_lock(&vm->mmu_lock);
	vm->slots = slots;
	write_unlock(&vm->mmu_lock);
	umbra_for_each_vcpu(i, vcpu, vm) {
		vcpu->arch.last_slot = NULL;
		umbra_mmu_forget(vcpu);
	}
	umbra_vm_resume(vm);
}

/**
 * umbra_memory_set() - make, replace or delete a memory slot
 * @vm: the VM; vm->lock is held
 * @mem: what the monitor asked for
 *
 * Return: 0, or
 * * -EINVAL	- slot number, flags, alignment or guest-physical range
 * * -E2BIG	- more than 4 TiB
 * * -EFAULT	- not an address range of user space
 * * -EEXIST	- overlaps another slot
 * * -ENOENT	- there is no slot of that number to delete
 * * -ENOMEM	- no memory for the bookkeeping
 */
int umbra_memory_set(struct umbra_vm *vm, const struct umbra_memory *mem)
{
	struct umbra_slots *slots, *old_slots = vm->slots;
	struct umbra_slot *old, *slot = NULL;
	unsigned int index;
	int ret;

	lockdep_assert_held(&vm->lock);
	ret = check_args(mem);
	if (ret)
		return ret;

	old = slot_by_id(vm, mem->slot, &index);
	if (mem->size) {
		slot = slot_create(mem);
		if (!slot)
			return -ENOMEM;
	} else if (!old) {
		return -ENOENT;
	}

	slots = slots_with(old_slots, old, slot);
	if (IS_ERR(slots)) {
		slot_free(slot);
		return PTR_ERR(slots);
	}
	install_slots(vm, slots);
	kfree(old_slots);
	slot_free(old);
	return 0;
}

/**
 * umbra_mark_dirty() - note in the dirty log that a page was, or may be, written
 * @slot: the slot that holds @gfn
 * @gfn: guest frame number
 *
 * Any context that may use the slot.
 */
void umbra_mark_dirty(struct umbra_slot *slot, gfn_t gfn)
{
	unsigned long bit = gfn - slot->base;

	if (slot->dirty && !test_bit(bit, slot->dirty))
		set_bit(bit, slot->dirty);
}

/**
 * umbra_memory_logged() - does any memory have a dirty log?
 * @vm: the VM; memory slots do not change meanwhile
 *
 * Return: true if so.
 */
bool umbra_memory_logged(const struct umbra_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->slots->count; i++)
		if (vm->slots->slot[i]->dirty)
			return true;
	return false;
}

/**
 * umbra_memory_get_dirty() - read and clear a slot's dirty log
 * @vm: the VM; vm->lock is held
 * @log: slot and user buffer
 *
 * Return: 0, or
 * * -EINVAL	- flags, or the buffer is not of the slot's size
 * * -ENOENT	- no such slot, or it has no dirty log
 * * -ENOMEM	- no memory for a copy of the bitmap
 * * -EFAULT	- bad address; the log is as it was
 */
int umbra_memory_get_dirty(struct umbra_vm *vm, const struct umbra_dirty_log *log)
{
	unsigned long *copy, bytes, i;
	struct umbra_slot *slot;
	unsigned int index;
	int ret = 0;

	lockdep_assert_held(&vm->lock);
	if (log->flags)
		return -EINVAL;
	slot = slot_by_id(vm, log->slot, &index);
	if (!slot || !slot->dirty)
		return -ENOENT;
	bytes = dirty_bytes(slot->pages);
	if (log->size != bytes)
		return -EINVAL;
	copy = kvmalloc(bytes, ALLOC_FLAGS);
	if (!copy)
		return -ENOMEM;

	/*
	 * Writes that come in between are to pages of this log, which the monitor
	 * reads after all TLBs have been flushed, or they are logged next time.
	 */
	write_lock(&vm->mmu_lock);
	for (i = 0; i < bytes / sizeof(long); i++)
		copy[i] = xchg(&slot->dirty[i], 0);
	umbra_mmu_watch_slot(vm, slot);
	write_unlock(&vm->mmu_lock);

	if (copy_to_user(u64_to_user_ptr(log->bitmap), copy, bytes)) {
		/* The monitor did not get to know: log it again. */
		for (i = 0; i < slot->pages; i++)
			if (test_bit(i, copy))
				set_bit(i, slot->dirty);
		ret = -EFAULT;
	}
	kvfree(copy);
	return ret;
}

/**
 * umbra_memory_written() - the monitor has written to the guest's memory by itself
 * @vm: the VM; vm->lock is held
 * @range: where; it need not be in a slot
 *
 * What the guest uses as page tables there counts as changed from now on.
 *
 * Return: 0, or
 * * -EINVAL	- the range is empty or goes beyond 52 bits
 * * -EINTR	- the process is being killed
 */
int umbra_memory_written(struct umbra_vm *vm, const struct umbra_range *range)
{
	const struct umbra_slots *slots = vm->slots;
	unsigned int i;

	lockdep_assert_held(&vm->lock);
	if (!range->size || range->size > GPA_LIMIT || range->gpa > GPA_LIMIT - range->size)
		return -EINVAL;
	for (i = 0; i < slots->count; i++) {
		struct umbra_slot *slot = slots->slot[i];
		gfn_t first = max(slot->base, range->gpa >> PAGE_SHIFT);
		gfn_t last = min(slot->base + slot->pages,
				 (range->gpa + range->size + PAGE_SIZE - 1) >> PAGE_SHIFT);

		/* A piece at a time, so that nobody waits long for the lock. */
		while (first < last) {
			gfn_t end = min(last, first + WRITTEN_PAGES);

			if (fatal_signal_pending(current))
				return -EINTR;
			umbra_mmu_tables_written(vm, slot, first, end);
			cond_resched();
			first = end;
		}
	}
	return 0;
}

/*
 * One access of a naturally aligned power of two where that is possible, so that
 * other vCPUs never see half of it.
 */
static unsigned long write_user(void __user *uaddr, const void *data, unsigned int len)
{
	u64 value = 0;

	if (len > sizeof(value) || (unsigned long)uaddr & (len - 1))
		return copy_to_user(uaddr, data, len);
	memcpy(&value, data, len);
	switch (len) {
	case 1:
		return put_user((u8)value, (u8 __user *)uaddr);
	case 2:
		return put_user((u16)value, (u16 __user *)uaddr);
	case 4:
		return put_user((u32)value, (u32 __user *)uaddr);
	case 8:
		return put_user(value, (u64 __user *)uaddr);
	default:
		return copy_to_user(uaddr, data, len);
	}
}

static unsigned long read_user(void *data, const void __user *uaddr, unsigned int len)
{
	u64 value = 0;
	int ret;

	if ((unsigned long)uaddr & (len - 1))
		return copy_from_user(data, uaddr, len);
	switch (len) {
	case 1:
		ret = get_user(value, (const u8 __user *)uaddr);
		break;
	case 2:
		ret = get_user(value, (const u16 __user *)uaddr);
		break;
	case 4:
		ret = get_user(value, (const u32 __user *)uaddr);
		break;
	case 8:
		ret = get_user(value, (const u64 __user *)uaddr);
		break;
	default:
		return copy_from_user(data, uaddr, len);
	}
	memcpy(data, &value, len);
	return ret;
}

/* Goes from page to page; stops at the first error. */
static int guest_access(struct umbra_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len,
			bool write)
{
	while (len) {
		unsigned int n = min_t(unsigned int, len, PAGE_SIZE - offset_in_page(gpa));
		struct umbra_slot *slot = umbra_vcpu_slot(vcpu, gpa >> PAGE_SHIFT);
		void __user *uaddr;

		if (!slot || (write && slot->flags & UMBRA_MEM_READONLY))
			return -EFAULT;
		uaddr = (void __user *)(umbra_slot_hva(slot, gpa >> PAGE_SHIFT) +
					offset_in_page(gpa));
		if (!write) {
			if (read_user(data, uaddr, n))
				return -EFAULT;
		} else {
			if (write_user(uaddr, data, n))
				return -EFAULT;
			umbra_mark_dirty(slot, gpa >> PAGE_SHIFT);
			umbra_mmu_guest_write(vcpu, gpa, n);
		}
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

/**
 * umbra_guest_read() - read guest-physical memory
 * @vcpu: a vCPU of the VM; vcpu->mutex is held, current->mm is the VM's
 * @gpa: guest-physical address
 * @data: where to put it
 * @len: bytes
 *
 * Return: 0, or -EFAULT when there is no slot or no page behind it. May sleep.
 */
int umbra_guest_read(struct umbra_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len)
{
	return guest_access(vcpu, gpa, data, len, false);
}

/**
 * umbra_guest_write() - write guest-physical memory
 * @vcpu: a vCPU of the VM; vcpu->mutex is held, current->mm is the VM's
 * @gpa: guest-physical address
 * @data: what to write
 * @len: bytes
 *
 * Tells the dirty log and the MMU, which may shadow a table there.
 *
 * Return: 0, or -EFAULT when there is no slot, it is read-only, or there is no
 * page behind it; part may have been written then. May sleep.
 */
int umbra_guest_write(struct umbra_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	return guest_access(vcpu, gpa, (void *)data, len, true);
}

static struct umbra_vm *notifier_vm(struct mmu_notifier *mn)
{
	return container_of(mn, struct umbra_vm, notifier);
}

static int invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct umbra_vm *vm = notifier_vm(mn);

	write_lock(&vm->mmu_lock);
	/* Until the end, no page of the range may be mapped: umbra_notifier_retry(). */
	if (!vm->notifier_count++) {
		vm->notifier_start = range->start;
		vm->notifier_end = range->end;
	} else {
		vm->notifier_start = min(vm->notifier_start, range->start);
		vm->notifier_end = max(vm->notifier_end, range->end);
	}
	umbra_mmu_zap_hva(vm, range->start, range->end);
	write_unlock(&vm->mmu_lock);
	return 0;
}

static void invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct umbra_vm *vm = notifier_vm(mn);

	write_lock(&vm->mmu_lock);
	vm->notifier_seq++;
	/* A fault that sees the count at zero sees the new sequence, too. */
	smp_wmb();
	vm->notifier_count--;
	write_unlock(&vm->mmu_lock);
}

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	struct umbra_vm *vm = notifier_vm(mn);
	bool young;

	write_lock(&vm->mmu_lock);
	young = umbra_mmu_age_hva(vm, start, end);
	write_unlock(&vm->mmu_lock);
	return young;
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	struct umbra_vm *vm = notifier_vm(mn);
	bool young;

	write_lock(&vm->mmu_lock);
	young = umbra_mmu_test_age_hva(vm, address, address + PAGE_SIZE);
	write_unlock(&vm->mmu_lock);
	return young;
}

static void mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	umbra_mmu_zap_all(notifier_vm(mn));
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.clear_flush_young = clear_flush_young,
	/* Without a flush the bits may stay stale for a while, which does not matter here. */
	.clear_young = clear_flush_young,
	.test_young = test_young,
	.release = mm_release,
};

/**
 * umbra_memory_init() - give a new VM its (empty) slots and the MMU notifier
 * @vm: a VM that nobody else can reach yet; current->mm is the VM's
 *
 * Return: 0, -ENOMEM, or -EINTR when a signal arrived.
 */
int umbra_memory_init(struct umbra_vm *vm)
{
	int ret;

	vm->slots = kzalloc(sizeof(*vm->slots), GFP_KERNEL_ACCOUNT);
	if (!vm->slots)
		return -ENOMEM;
	vm->notifier.ops = &notifier_ops;
	ret = mmu_notifier_register(&vm->notifier, vm->mm);
	if (ret) {
		kfree(vm->slots);
		vm->slots = NULL;
	}
	return ret;
}

/**
 * umbra_memory_detach() - stop following the monitor's memory
 * @vm: a VM that no fd refers to; all its tables are dropped later
 */
void umbra_memory_detach(struct umbra_vm *vm)
{
	mmu_notifier_unregister(&vm->notifier, vm->mm);
}

/**
 * umbra_memory_free() - free a VM's slots
 * @vm: a VM that no fd refers to, its tables are gone
 */
void umbra_memory_free(struct umbra_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->slots->count; i++)
		slot_free(vm->slots->slot[i]);
	kfree(vm->slots);
}
