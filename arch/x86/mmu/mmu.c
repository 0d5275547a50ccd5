// SPDX-License-Identifier: GPL-2.0-only
/* The MMU of a VM: set-up, and the way from what the guest does to the strategy. */
#include <linux/moduleparam.h>
#include <linux/pgtable.h>
#include <linux/slab.h>
#include "cpuid.h"
#include "internal.h"

static bool mmu_fast = true;
module_param(mmu_fast, bool, 0644);
MODULE_PARM_DESC(mmu_fast, "handle page faults, MOV CR3 and INVLPG with interrupts off where possible");

static const char *const stat_names[UMBRA_MMU_NR_STATS] = {
	[UMBRA_MMU_PAGES_MADE] = "mmu-pages-made",
	[UMBRA_MMU_PAGES_ZAPPED] = "mmu-pages-zapped",
	[UMBRA_MMU_PAGES_RECLAIMED] = "mmu-pages-reclaimed",
	[UMBRA_MMU_PAGES_REUSED] = "mmu-pages-reused",
	[UMBRA_MMU_FAULTS] = "mmu-faults-mapped",
	[UMBRA_MMU_FAULTS_SPURIOUS] = "mmu-faults-spurious",
	[UMBRA_MMU_FAULTS_FAST] = "mmu-faults-fast",
	[UMBRA_MMU_FAULTS_GUEST] = "mmu-faults-guest",
	[UMBRA_MMU_FAULTS_RETRIED] = "mmu-faults-retried",
	[UMBRA_MMU_FAULTS_MMIO] = "mmu-faults-mmio",
	[UMBRA_MMU_FAULTS_TABLE] = "mmu-faults-table-write",
	[UMBRA_MMU_LEAVES_LARGE] = "mmu-leaves-large",
	[UMBRA_MMU_LEAVES_ZAPPED] = "mmu-leaves-zapped",
	[UMBRA_MMU_RMAP_LISTS] = "mmu-rmap-lists",
	[UMBRA_MMU_RMAP_RECYCLED] = "mmu-rmap-recycled",
	[UMBRA_MMU_GUEST_WRITES] = "mmu-guest-table-writes",
	[UMBRA_MMU_WRITE_FLOODS] = "mmu-write-floods",
	[UMBRA_MMU_LOOSENED] = "mmu-loosened",
	[UMBRA_MMU_UNSYNCS] = "mmu-unsyncs",
	[UMBRA_MMU_SYNCS] = "mmu-syncs",
	[UMBRA_MMU_SYNC_ENTRIES] = "mmu-sync-entries",
	[UMBRA_MMU_PROTECTS] = "mmu-protects",
	[UMBRA_MMU_INVLPGS] = "mmu-invlpgs",
	[UMBRA_MMU_PREFETCHES] = "mmu-prefetches",
	[UMBRA_MMU_CR3_LOADS] = "mmu-cr3-loads",
	[UMBRA_MMU_ROOTS_CACHED] = "mmu-roots-cached",
	[UMBRA_MMU_ROOTS_MADE] = "mmu-roots-made",
	[UMBRA_MMU_FLUSHES] = "mmu-flushes",
	[UMBRA_MMU_NOTIFIER_ZAPS] = "mmu-notifier-zaps",
};

/**
 * umbra_mmu_stats() - counters of a VM's MMU
 * @vm: the VM; vm->lock is held
 * @out: where to put them
 * @max: room there
 *
 * Return: how many were put there.
 */
unsigned int umbra_mmu_stats(struct umbra_vm *vm, struct umbra_stat *out, unsigned int max)
{
	struct umbra_vcpu *vcpu;
	unsigned int i, n;

	for (n = 0; n < UMBRA_MMU_NR_STATS && n < max; n++) {
		struct umbra_stat *s = &out[n];

		memset(s, 0, sizeof(*s));
		strscpy(s->name, stat_names[n], sizeof(s->name));
		s->count = READ_ONCE(vm->arch.mmu.stat[n]);
		umbra_for_each_vcpu(i, vcpu, vm)
			s->count += READ_ONCE(vcpu->arch.mmu.stat[n]);
	}
	if (n < max) {
		memset(&out[n], 0, sizeof(out[n]));
		strscpy(out[n].name, "mmu-pages", sizeof(out[n].name));
		out[n++].count = READ_ONCE(vm->arch.mmu.nr_pages);
	}
	return n;
}

/**
 * umbra_mmu_module_init() - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_mmu_module_init(void)
{
	return umbra_pages_init();
}

/**
 * umbra_mmu_module_exit() - undo umbra_mmu_module_init(); no VM is left
 */
void umbra_mmu_module_exit(void)
{
	umbra_pages_exit();
}

/**
 * umbra_mmu_vm_init() - give a new VM its MMU
 * @vm: the VM, zeroed, nobody else can reach it yet
 * @paging: UMBRA_PAGING_*
 *
 * Return: 0, -EINVAL (unknown @paging) or -ENOMEM.
 */
int umbra_mmu_vm_init(struct umbra_vm *vm, u32 paging)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;
	struct umbra_nested_tables tables;

	spin_lock_init(&mmu->pages_lock);
	INIT_LIST_HEAD(&mmu->pages);
	INIT_LIST_HEAD(&mmu->zapped);
	INIT_LIST_HEAD(&mmu->spare);
	INIT_LIST_HEAD(&mmu->loose);
	switch (paging) {
	case UMBRA_PAGING_NESTED:
		mmu->strategy = &umbra_mmu_nested;
		umbra_backend->nested_tables(&tables);
		break;
	case UMBRA_PAGING_SHADOW:
		mmu->strategy = &umbra_mmu_shadow;
		/* PAE and 5-level entries differ only in bits that we leave 0. */
		tables = (struct umbra_nested_tables) {
			.format = UMBRA_FORMAT_4LEVEL,
			.levels = umbra_formats[UMBRA_FORMAT_4LEVEL].levels,
			.max_leaf = UMBRA_SLOT_LEVELS,
		};
		break;
	default:
		return -EINVAL;
	}
	umbra_paging_init(&mmu->host, tables.format, UMBRA_PAGING_NX | UMBRA_PAGING_1G,
			  boot_cpu_data.x86_phys_bits);
	mmu->host.levels = tables.levels;
	mmu->max_leaf = tables.max_leaf;
	mmu->no_accessed = tables.no_accessed;
	mmu->logs = tables.logs;

	mmu->hash = kvcalloc(1 << UMBRA_MMU_HASH_BITS, sizeof(*mmu->hash), GFP_KERNEL_ACCOUNT);
	return mmu->hash ? 0 : -ENOMEM;
}

/**
 * umbra_mmu_vm_destroy() - undo umbra_mmu_vm_init(), or what it did before it failed
 * @vm: the VM; its vCPUs are freed, its slots are not
 */
void umbra_mmu_vm_destroy(struct umbra_vm *vm)
{
	if (!vm->arch.mmu.hash)
		return;
	write_lock(&vm->mmu_lock);
	umbra_pages_free_all(vm);
	write_unlock(&vm->mmu_lock);
	kvfree(vm->arch.mmu.hash);
	vm->arch.mmu.hash = NULL;
}

/**
 * umbra_mmu_vcpu_create() - give a vCPU its part of the MMU
 * @vcpu: the vCPU, zeroed
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_mmu_vcpu_create(struct umbra_vcpu *vcpu)
{
	struct umbra_mmu_vcpu *mmu = &vcpu->arch.mmu;

	/* No register has this value, so the paging mode is derived at first use. */
	mmu->cr0 = ~0ULL;
	umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
	if (umbra_mmu_is_nested(vcpu->vm))
		return 0;
	mmu->roots = kcalloc(UMBRA_MMU_ROOTS, sizeof(*mmu->roots), GFP_KERNEL_ACCOUNT);
	if (!mmu->roots)
		return -ENOMEM;
	/* CR3 has 32 bits outside long mode (SDM Vol. 3 4.4.1). */
	mmu->pae_table = umbra_get_page(GFP_KERNEL_ACCOUNT | GFP_DMA32 | __GFP_ZERO);
	return mmu->pae_table ? 0 : -ENOMEM;
}

/**
 * umbra_mmu_vcpu_free() - undo umbra_mmu_vcpu_create(), or what it did before it failed
 * @vcpu: the vCPU, does not run any more
 */
void umbra_mmu_vcpu_free(struct umbra_vcpu *vcpu)
{
	if (!umbra_mmu_is_nested(vcpu->vm))
		umbra_shadow_drop_roots(vcpu);
	umbra_mmu_free_caches(vcpu);
	umbra_free_page(vcpu->arch.mmu.pae_table);
	vcpu->arch.mmu.pae_table = NULL;
	kfree(vcpu->arch.mmu.roots);
	vcpu->arch.mmu.roots = NULL;
}

/**
 * umbra_mmu_slot_alloc() - give a new slot its bookkeeping
 * @slot: the slot, zeroed but for base and pages
 *
 * Return: 0 or -ENOMEM; the caller then calls umbra_mmu_slot_free().
 */
int umbra_mmu_slot_alloc(struct umbra_slot *slot)
{
	gfn_t last = slot->base + slot->pages - 1;
	int level;

	for (level = 1; level <= UMBRA_SLOT_LEVELS; level++) {
		unsigned int shift = 9 * (level - 1);
		size_t n = (last >> shift) - (slot->base >> shift) + 1;

		slot->mmu.rmap[level - 1] = kvcalloc(n, sizeof(struct umbra_rmap),
						     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!slot->mmu.rmap[level - 1])
			return -ENOMEM;
		if (level == 1)
			continue;
		slot->mmu.tables[level - 2] = kvcalloc(n, sizeof(u32),
						       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!slot->mmu.tables[level - 2])
			return -ENOMEM;
	}
	return 0;
}

/**
 * umbra_mmu_slot_free() - undo umbra_mmu_slot_alloc()
 * @slot: the slot; nothing maps it any more
 */
void umbra_mmu_slot_free(struct umbra_slot *slot)
{
	int level;

	for (level = 1; level <= UMBRA_SLOT_LEVELS; level++) {
		kvfree(slot->mmu.rmap[level - 1]);
		slot->mmu.rmap[level - 1] = NULL;
		if (level == 1)
			continue;
		kvfree(slot->mmu.tables[level - 2]);
		slot->mmu.tables[level - 2] = NULL;
	}
}

/**
 * umbra_mmu_zap_all() - drop every table
 * @vm: the VM; its vCPUs are stopped, or its memory is going away
 */
void umbra_mmu_zap_all(struct umbra_vm *vm)
{
	struct umbra_vcpu *vcpu;
	unsigned int i;

	write_lock(&vm->mmu_lock);
	if (vm->arch.mmu.hash)
		umbra_pages_zap_all(vm);
	write_unlock(&vm->mmu_lock);
	umbra_for_each_vcpu(i, vcpu, vm)
		umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
}

/*
 * A guest makes us allocate table pages at will. Give it as many as are of use:
 * about a fiftieth of its memory, and what the vCPUs' roots need.
 */
static void update_max_pages(struct umbra_vm *vm)
{
	struct umbra_mmu_vm *mmu = &vm->arch.mmu;
	unsigned long pages = 0;
	unsigned int i;

	if (mmu->max_generation == vm->slots->generation + 1)
		return;
	for (i = 0; i < vm->slots->count; i++)
		pages += vm->slots->slot[i]->pages;
	mmu->max_pages = 256 + UMBRA_MAX_VCPUS * 4 +
			 min(pages / 50, (unsigned long)UINT_MAX / 2);
	mmu->max_generation = vm->slots->generation + 1;
}

/**
 * umbra_mmu_load() - make a root for the guest's state and hand it to the backend
 * @vcpu: the vCPU; UMBRA_REQ_MMU_RELOAD was set
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_mmu_load(struct umbra_vcpu *vcpu)
{
	struct umbra_vm *vm = vcpu->vm;

	write_lock(&vm->mmu_lock);
	update_max_pages(vm);
	write_unlock(&vm->mmu_lock);
	return vm->arch.mmu.strategy->load(vcpu);
}

/**
 * umbra_mmu_fault() - a fault in our tables
 * @vcpu: the vCPU, loaded
 * @addr: nested: the gpa; shadow: the gva
 * @error_code: as of a page fault
 *
 * Return: 1 to enter the guest again, 0 to return to user space, -errno.
 */
int umbra_mmu_fault(struct umbra_vcpu *vcpu, u64 addr, u32 error_code)
{
	return vcpu->vm->arch.mmu.strategy->fault(vcpu, addr, error_code);
}

/**
 * umbra_mmu_mmio() - an access to what is no memory
 * @vcpu: the vCPU, loaded
 * @gpa: guest-physical address
 * @error_code: as of a page fault
 *
 * Return: as umbra_mmu_fault().
 */
int umbra_mmu_mmio(struct umbra_vcpu *vcpu, gpa_t gpa, u32 error_code)
{
	umbra_mmu_count(vcpu, FAULTS_MMIO);
	/*
	 * The CPU pushes a frame or reads a descriptor to deliver an event: the
	 * instruction at RIP has nothing to do with it.
	 */
	if (umbra_mmu_in_delivery(vcpu))
		return umbra_host_error(vcpu, gpa >> PAGE_SHIFT, -EFAULT);
	if ((error_code & (UMBRA_ACCESS_OPERAND | X86_PF_INSTR)) == UMBRA_ACCESS_OPERAND)
		return umbra_mmio_exit(vcpu, gpa, error_code & X86_PF_WRITE);
	return umbra_emulate_exit(vcpu);
}

/**
 * umbra_mmu_reset_context() - CR0, CR4, EFER or CPUID have changed
 * @vcpu: the vCPU
 *
 * To be called when a bit that paging depends on is different. The guest's
 * translations are flushed, as the CPU does.
 */
void umbra_mmu_reset_context(struct umbra_vcpu *vcpu)
{
	umbra_mmu_update_paging(vcpu);
	vcpu->vm->arch.mmu.strategy->reset_context(vcpu);
}

/**
 * umbra_mmu_load_pdptes() - load the four directory pointers of PAE paging
 * @vcpu: the vCPU
 * @cr3: the value CR3 will have
 *
 * SDM Vol. 3 4.4.1. On success they are in vcpu->arch.pdpte. May sleep.
 *
 * Return: 0, or 1 for #GP(0): a reserved bit is set, or there is no memory.
 */
int umbra_mmu_load_pdptes(struct umbra_vcpu *vcpu, u64 cr3)
{
	const struct umbra_format *f = &umbra_formats[UMBRA_FORMAT_PAE];
	u64 reserved = f->level[3].reserved | ~(BIT_ULL(umbra_guest_maxphyaddr(vcpu)) - 1);
	u64 pdpte[4];
	int i;

	if (umbra_guest_read(vcpu, cr3 & GENMASK_ULL(31, 5), pdpte, sizeof(pdpte)))
		return 1;
	for (i = 0; i < 4; i++) {
		/* Some CPUs that walk these tables themselves leave an accessed bit there. */
		if (umbra_mmu_is_nested(vcpu->vm))
			pdpte[i] &= ~f->accessed;
		if ((pdpte[i] & f->present) && (pdpte[i] & reserved))
			return 1;
	}
	memcpy(vcpu->arch.pdpte, pdpte, sizeof(pdpte));
	return 0;
}

/**
 * umbra_mmu_new_cr3() - CR3 was written, vcpu->arch.cr3 is the new value
 * @vcpu: the vCPU
 */
void umbra_mmu_new_cr3(struct umbra_vcpu *vcpu)
{
	umbra_mmu_count(vcpu, CR3_LOADS);
	vcpu->vm->arch.mmu.strategy->new_cr3(vcpu);
}

/**
 * umbra_mmu_invlpg() - the guest has executed INVLPG
 * @vcpu: the vCPU, loaded
 * @gva: the address
 */
void umbra_mmu_invlpg(struct umbra_vcpu *vcpu, u64 gva)
{
	umbra_mmu_count(vcpu, INVLPGS);
	vcpu->vm->arch.mmu.strategy->invlpg(vcpu, gva);
}

/**
 * umbra_mmu_invpcid() - the guest has executed INVPCID
 * @vcpu: the vCPU, loaded
 * @type: 0 to 3 (SDM Vol. 2, INVPCID), checked by the caller
 * @pcid: the process-context identifier
 * @gva: the address
 *
 * Translations of other PCIDs are dropped when those become current: every
 * load of CR3 makes the tables up to date.
 */
void umbra_mmu_invpcid(struct umbra_vcpu *vcpu, unsigned int type, u16 pcid, u64 gva)
{
	u16 current_pcid = vcpu->arch.cr4 & X86_CR4_PCIDE ? vcpu->arch.cr3 & 0xfff : 0;

	if (type == 0) {
		if (pcid == current_pcid)
			umbra_mmu_invlpg(vcpu, gva);
		return;
	}
	if (type != 1 || pcid == current_pcid)
		umbra_mmu_flush_guest(vcpu);
}

/**
 * umbra_mmu_flush_guest() - the guest has flushed all of its translations
 * @vcpu: the vCPU, loaded
 */
void umbra_mmu_flush_guest(struct umbra_vcpu *vcpu)
{
	vcpu->vm->arch.mmu.strategy->flush_guest(vcpu);
}

/**
 * umbra_mmu_fast_fault() - a fault in our tables, with interrupts off
 * @vcpu: the vCPU, loaded, just out of the guest
 * @addr: nested: the gpa; shadow: the gva
 * @error_code: as of a page fault
 * @error: error code for the guest, if the fault is its own
 *
 * Return: what came of it.
 */
enum umbra_fast umbra_mmu_fast_fault(struct umbra_vcpu *vcpu, u64 addr, u32 error_code,
				     u32 *error)
{
	const struct umbra_mmu_strategy *strategy = vcpu->vm->arch.mmu.strategy;
	enum umbra_fast ret;

	if (!READ_ONCE(mmu_fast) || !strategy->fast_fault)
		return UMBRA_FAST_NO;
	/* What was no memory last time most likely still is none. */
	if (unlikely(vcpu->arch.mmu.data.page == (addr & PAGE_MASK)))
		return UMBRA_FAST_NO;
	ret = strategy->fast_fault(vcpu, addr,
				   error_code & (X86_PF_WRITE | X86_PF_USER | X86_PF_INSTR), error);
	if (ret == UMBRA_FAST_FAULT)
		umbra_mmu_count(vcpu, FAULTS_GUEST);
	if (ret != UMBRA_FAST_NO)
		umbra_mmu_count(vcpu, FAULTS_FAST);
	return ret;
}

/**
 * umbra_mmu_fast_cr3() - the guest loads CR3, with interrupts off
 * @vcpu: the vCPU, loaded, just out of the guest; shadow paging
 * @cr3: a valid value, with 4-level or 5-level paging
 *
 * Return: false if nothing was done; true: vcpu->arch.cr3 is the new value.
 */
bool umbra_mmu_fast_cr3(struct umbra_vcpu *vcpu, u64 cr3)
{
	return READ_ONCE(mmu_fast) && umbra_shadow_fast_cr3(vcpu, cr3);
}

/**
 * umbra_mmu_fast_invlpg() - the guest has executed INVLPG, with interrupts off
 * @vcpu: the vCPU, loaded, just out of the guest; shadow paging
 * @gva: the address
 *
 * Return: false if nothing was done.
 */
bool umbra_mmu_fast_invlpg(struct umbra_vcpu *vcpu, u64 gva)
{
	return READ_ONCE(mmu_fast) && umbra_shadow_fast_invlpg(vcpu, gva);
}

/**
 * umbra_mmu_fetch() - read the code that the CPU has just run, with interrupts off
 * @vcpu: the vCPU, loaded, just out of the guest; shadow paging
 * @linear: its linear address
 * @bytes: where to put it
 * @len: bytes; fewer are read at the end of a page
 *
 * Return: how many were read; 0 if they cannot be had in this way.
 */
unsigned int umbra_mmu_fetch(struct umbra_vcpu *vcpu, u64 linear, u8 *bytes, unsigned int len)
{
	if (!READ_ONCE(mmu_fast))
		return 0;
	return umbra_shadow_fetch(vcpu, linear, bytes, len);
}

/**
 * umbra_mmu_guest_write() - guest memory was written on the guest's behalf
 * @vcpu: the vCPU
 * @gpa: where
 * @len: bytes, not beyond the end of the page
 */
void umbra_mmu_guest_write(struct umbra_vcpu *vcpu, u64 gpa, unsigned int len)
{
	const struct umbra_mmu_strategy *strategy = vcpu->vm->arch.mmu.strategy;

	if (strategy->guest_write)
		strategy->guest_write(vcpu, gpa, len);
}

/**
 * umbra_mmu_unprotect() - let the guest itself write to a table that is shadowed
 * @vcpu: the vCPU, which was trapped for it
 * @gpa: guest-physical address of the write
 *
 * The vCPU is to enter the guest and try again. It will succeed after a few times at
 * the most.
 */
void umbra_mmu_unprotect(struct umbra_vcpu *vcpu, u64 gpa)
{
	const struct umbra_mmu_strategy *strategy = vcpu->vm->arch.mmu.strategy;

	if (strategy->unprotect)
		strategy->unprotect(vcpu, gpa);
}
