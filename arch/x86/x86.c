// SPDX-License-Identifier: GPL-2.0-only
/* What kmod/ asks of the architecture: start and end of module, VM and vCPU, and ioctls. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>
#include <asm/trap_pf.h>
#include "cpuid.h"
#include "fpu.h"
#include "load.h"
#include "umbra.h"

#define NO_BACKEND	"the CPU has neither AMD-V nor VT-x, or hides it"

const struct umbra_backend *umbra_backend;

/* In order of preference; the first whose CPU this is. */
static const struct umbra_backend *const backends[] = {
	&umbra_svm_backend,
	&umbra_vmx_backend,
};

/* Called directly, since every exit to user space needs them. */
void umbra_no_load(struct umbra_vcpu *vcpu, int cpu)
{
}

void umbra_no_put(struct umbra_vcpu *vcpu)
{
}

DEFINE_STATIC_CALL(umbra_backend_load, umbra_no_load);
DEFINE_STATIC_CALL(umbra_backend_put, umbra_no_put);

static unsigned int xsave_size;

/* A guest's area is like that of any guest: as large as what the kernel lets them use. */
static int learn_xsave(void)
{
	struct fpu_guest fpu = {};

	if (!fpu_alloc_guest_fpstate(&fpu))
		return -ENOMEM;
	xsave_size = fpu.uabi_size;
	umbra_fpu_swap_init(fpu.fpstate);
	fpu_free_guest_fpstate(&fpu);
	return 0;
}

/**
 * umbra_arch_init() - choose a backend and prepare it
 *
 * Without a CPU that can run guests the module stays, so that UMBRA_CHECK_CAP
 * can say what is missing.
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_arch_init(void)
{
	char reason[UMBRA_REASON_LEN] = "";
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(backends) && !umbra_backend; i++) {
		ret = backends[i]->probe(reason);
		if (ret == -ENODEV)
			continue;
		/* Turned off or in use now is no reason to forget whose CPU it is. */
		umbra_backend = backends[i];
		if (ret)
			pr_warn("cannot run VMs: %s\n", reason);
	}
	if (!umbra_backend)
		pr_warn("cannot run VMs: %s\n", NO_BACKEND);
	umbra_fpu_host_init();
	ret = learn_xsave();
	if (ret)
		return ret;
	umbra_cpuid_init();
	ret = umbra_mmu_module_init();
	if (ret)
		return ret;
	if (!umbra_backend)
		return 0;
	static_call_update(umbra_backend_load, umbra_backend->vcpu_load);
	static_call_update(umbra_backend_put, umbra_backend->vcpu_put);
	umbra_run_init();
	ret = umbra_backend->setup();
	if (ret)
		goto err_mmu;
	ret = umbra_virt_init();
	if (ret)
		goto err_backend;
	return 0;

err_backend:
	umbra_backend->teardown();
err_mmu:
	umbra_mmu_module_exit();
	return ret;
}

/**
 * umbra_arch_exit() - undo umbra_arch_init()
 */
void umbra_arch_exit(void)
{
	if (umbra_backend) {
		umbra_virt_exit();
		umbra_backend->teardown();
	}
	umbra_mmu_module_exit();
}

/* The CPU has it; how many levels the host's own tables have does not matter. */
static bool has_la57(void)
{
	const struct umbra_cpuid_entry *e;
	unsigned int n = umbra_cpuid_supported(&e);

	for (; n; n--, e++)
		if (e->leaf == 7 && !e->subleaf)
			return e->ecx & BIT(X86_FEATURE_LA57 & 31);
	return false;
}

/**
 * umbra_arch_cap() - UMBRA_CHECK_CAP
 * @cap: enum umbra_cap_nr, in range
 * @reason: UMBRA_REASON_LEN bytes; why it is missing
 *
 * Return: the capability's value, 0 if it is missing.
 */
u64 umbra_arch_cap(u32 cap, char *reason)
{
	if (!umbra_backend) {
		strscpy(reason, NO_BACKEND, UMBRA_REASON_LEN);
		return 0;
	}
	switch (cap) {
	case UMBRA_CAP_HARDWARE:
		return !umbra_backend->probe(reason);
	case UMBRA_CAP_PAGING_SHADOW:
		return 1;
	case UMBRA_CAP_LA57:
		if (has_la57())
			return 1;
		strscpy(reason, "the CPU has no 5-level paging", UMBRA_REASON_LEN);
		return 0;
	case UMBRA_CAP_XSAVE:
		return xsave_size;
	default:
		return umbra_backend->cap(cap, reason);
	}
}

/**
 * umbra_arch_vm_create() - x86's part of a new VM
 * @vm: the VM
 * @paging: UMBRA_PAGING_*
 *
 * Return: 0, -EOPNOTSUPP when the CPU lacks that paging, or -ENOMEM.
 */
int umbra_arch_vm_create(struct umbra_vm *vm, u32 paging)
{
	char reason[UMBRA_REASON_LEN];

	if (paging == UMBRA_PAGING_NESTED &&
	    !umbra_backend->cap(UMBRA_CAP_PAGING_NESTED, reason))
		return -EOPNOTSUPP;
	vm->arch.paging = paging;
	umbra_clock_vm_create(vm);
	return umbra_mmu_vm_init(vm, paging);
}

/**
 * umbra_arch_vm_destroy() - undo umbra_arch_vm_create()
 * @vm: a VM whose vCPUs are gone
 */
void umbra_arch_vm_destroy(struct umbra_vm *vm)
{
	umbra_mmu_vm_destroy(vm);
}

/**
 * umbra_arch_vcpu_create() - x86's part of a new vCPU, in its state after RESET
 * @vcpu: the vCPU
 *
 * Return: 0 or -ENOMEM.
 */
int umbra_arch_vcpu_create(struct umbra_vcpu *vcpu)
{
	int ret;

	vcpu->arch.exit_counts = kcalloc(umbra_backend->nr_exits, sizeof(*vcpu->arch.exit_counts),
					 GFP_KERNEL_ACCOUNT);
	if (!vcpu->arch.exit_counts)
		return -ENOMEM;
	ret = umbra_cpuid_create(vcpu);
	if (ret)
		goto err_counts;
	ret = umbra_fpu_create(vcpu);
	if (ret)
		goto err_cpuid;
	ret = umbra_lapic_create(vcpu);
	if (ret)
		goto err_fpu;
	ret = umbra_mmu_vcpu_create(vcpu);
	if (ret)
		goto err_mmu;
	ret = umbra_backend->vcpu_create(vcpu);
	if (ret)
		goto err_mmu;
	ret = umbra_fpu_reset(vcpu);
	if (ret)
		goto err_backend;

	umbra_clock_vcpu_create(vcpu);
	vcpu->arch.mp_state = vcpu->id ? UMBRA_MP_WAIT_SIPI : UMBRA_MP_RUNNABLE;
	umbra_vcpu_load(vcpu);
	umbra_vcpu_reset(vcpu, false);
	umbra_vcpu_put(vcpu);
	umbra_request(vcpu, UMBRA_REQ_MMU_RELOAD);
	return 0;

err_backend:
	umbra_backend->vcpu_free(vcpu);
err_mmu:
	umbra_mmu_vcpu_free(vcpu);
	umbra_lapic_free(vcpu);
err_fpu:
	umbra_fpu_free(vcpu);
err_cpuid:
	umbra_cpuid_free(vcpu);
err_counts:
	kfree(vcpu->arch.exit_counts);
	return ret;
}

/**
 * umbra_arch_vcpu_destroy() - undo umbra_arch_vcpu_create()
 * @vcpu: the vCPU
 */
void umbra_arch_vcpu_destroy(struct umbra_vcpu *vcpu)
{
	umbra_lapic_free(vcpu);
	umbra_backend->vcpu_free(vcpu);
	umbra_mmu_vcpu_free(vcpu);
	umbra_fpu_free(vcpu);
	umbra_cpuid_free(vcpu);
	kfree(vcpu->arch.exit_counts);
}

/* Names of enum umbra_vcpu_stat. */
static const char *const stat_names[UMBRA_NR_VCPU_STATS] = {
	[UMBRA_STAT_ENTRIES] = "entries",
	[UMBRA_STAT_FAST_EXITS] = "fast_exits",
	[UMBRA_STAT_USER_EXITS] = "user_exits",
	[UMBRA_STAT_SIGNAL_EXITS] = "signal_exits",
	[UMBRA_STAT_HALTS] = "halts",
	[UMBRA_STAT_HALTS_IN_PLACE] = "halts_in_place",
	[UMBRA_STAT_HALT_WAKEUPS] = "halt_wakeups",
	[UMBRA_STAT_EXCEPTIONS] = "exceptions",
	[UMBRA_STAT_INTERRUPTS] = "interrupts",
	[UMBRA_STAT_NMIS] = "nmis",
	[UMBRA_STAT_REINJECTIONS] = "reinjections",
	[UMBRA_STAT_INTERRUPT_WINDOWS] = "interrupt_windows",
	[UMBRA_STAT_EMULATIONS] = "emulations",
	[UMBRA_STAT_EMULATION_FAILURES] = "emulation_failures",
	[UMBRA_STAT_TLB_FLUSHES] = "tlb_flushes",
	[UMBRA_STAT_GUEST_FAULTS] = "guest_faults",
	[UMBRA_STAT_FAULTS] = "faults",
	[UMBRA_STAT_MMIO_EXITS] = "mmio_exits",
	[UMBRA_STAT_PIO_EXITS] = "pio_exits",
};

/* Exits first, as "exit_NAME", then the other counters. */
static long get_vcpu_stats(struct umbra_vcpu *vcpu, struct umbra_stats __user *arg)
{
	unsigned int i, n = 0, max = umbra_backend->nr_exits + UMBRA_NR_VCPU_STATS;
	struct umbra_stat *stats;
	long ret;

	stats = kvcalloc(max, sizeof(*stats), GFP_KERNEL);
	if (!stats)
		return -ENOMEM;
	for (i = 0; i < umbra_backend->nr_exits; i++) {
		if (!umbra_backend->exits[i].name)
			continue;
		snprintf(stats[n].name, sizeof(stats[n].name), "exit_%s",
			 umbra_backend->exits[i].name);
		stats[n].count = vcpu->arch.exit_counts[i].count;
		stats[n].cycles = vcpu->arch.exit_counts[i].cycles;
		n++;
	}
	for (i = 0; i < UMBRA_NR_VCPU_STATS; i++) {
		strscpy(stats[n].name, stat_names[i], sizeof(stats[n].name));
		stats[n++].count = vcpu->arch.stat[i];
	}
	ret = umbra_stats_copy(arg, stats, n);
	kvfree(stats);
	return ret;
}

static long get_vm_stats(struct umbra_vm *vm, struct umbra_stats __user *arg)
{
	struct umbra_stat *stats;
	unsigned int n;
	long ret;

	stats = kvcalloc(UMBRA_MAX_STATS, sizeof(*stats), GFP_KERNEL);
	if (!stats)
		return -ENOMEM;
	n = umbra_mmu_stats(vm, stats, UMBRA_MAX_STATS);
	ret = umbra_stats_copy(arg, stats, n);
	kvfree(stats);
	return ret;
}

static long put_cpuid(struct umbra_cpuid __user *arg, const struct umbra_cpuid_entry *entries,
		      unsigned int count)
{
	struct umbra_cpuid args;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags)
		return -EINVAL;
	if (put_user(count, &arg->count))
		return -EFAULT;
	if (args.count < count)
		return -E2BIG;
	if (copy_to_user(u64_to_user_ptr(args.entries), entries, count * sizeof(*entries)))
		return -EFAULT;
	return 0;
}

static long get_supported_cpuid(struct umbra_cpuid __user *arg)
{
	const struct umbra_cpuid_entry *entries;
	unsigned int count = umbra_cpuid_supported(&entries);

	return put_cpuid(arg, entries, count);
}

static long get_cpuid(struct umbra_vcpu *vcpu, struct umbra_cpuid __user *arg)
{
	const struct umbra_cpuid_entry *entries;
	unsigned int count = umbra_cpuid_get(vcpu, &entries);

	return put_cpuid(arg, entries, count);
}

static long set_cpuid(struct umbra_vcpu *vcpu, struct umbra_cpuid __user *arg)
{
	struct umbra_cpuid_entry *entries;
	struct umbra_cpuid args;
	long ret;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags || args.count > UMBRA_MAX_CPUID)
		return -EINVAL;
	/* What the guest has been told it keeps. */
	if (vcpu->arch.stat[UMBRA_STAT_ENTRIES])
		return -EBUSY;
	entries = memdup_user(u64_to_user_ptr(args.entries), args.count * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = umbra_cpuid_set(vcpu, entries, args.count);
	kfree(entries);
	if (!ret) {
		umbra_backend->update_crs(vcpu);
		umbra_mmu_reset_context(vcpu);
	}
	return ret;
}

static long get_supported_msrs(struct umbra_msrs __user *arg)
{
	struct umbra_msrs args;
	struct umbra_msr *list;
	unsigned int count;
	long ret = 0;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags)
		return -EINVAL;
	list = kcalloc(UMBRA_MAX_MSRS, sizeof(*list), GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	count = umbra_msr_list(list, UMBRA_MAX_MSRS);
	if (put_user(count, &arg->count))
		ret = -EFAULT;
	else if (args.count < count)
		ret = -E2BIG;
	else if (copy_to_user(u64_to_user_ptr(args.entries), list, count * sizeof(*list)))
		ret = -EFAULT;
	kfree(list);
	return ret;
}

/* Stops at the first MSR that is unknown or refuses its value; count says which. */
static long access_msrs(struct umbra_vcpu *vcpu, struct umbra_msrs __user *arg, bool set)
{
	struct umbra_msr *list;
	struct umbra_msrs args;
	unsigned int i;
	long ret = 0;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	if (args.flags || args.count > UMBRA_MAX_MSRS)
		return -EINVAL;
	list = memdup_user(u64_to_user_ptr(args.entries), args.count * sizeof(*list));
	if (IS_ERR(list))
		return PTR_ERR(list);
	for (i = 0; i < args.count; i++) {
		if (list[i].reserved ||
		    (set ? umbra_set_msr(vcpu, list[i].index, list[i].value, true) :
			   umbra_get_msr(vcpu, list[i].index, &list[i].value, true))) {
			ret = -EINVAL;
			break;
		}
	}
	if (put_user(i, &arg->count) ||
	    (!set && copy_to_user(u64_to_user_ptr(args.entries), list, i * sizeof(*list))))
		ret = -EFAULT;
	kfree(list);
	return ret;
}

static long access_xsave(struct umbra_vcpu *vcpu, struct umbra_xsave __user *arg, bool set)
{
	struct umbra_xsave args;

	if (copy_from_user(&args, arg, sizeof(args)))
		return -EFAULT;
	return set ? umbra_fpu_set(vcpu, &args) : umbra_fpu_get(vcpu, &args);
}

static long get_state(struct umbra_vcpu *vcpu, struct umbra_state __user *arg)
{
	struct umbra_state st;
	int ret;

	if (copy_from_user(&st, arg, sizeof(st)))
		return -EFAULT;
	ret = umbra_state_get(vcpu, &st);
	if (ret)
		return ret;
	return copy_to_user(arg, &st, sizeof(st)) ? -EFAULT : 0;
}

static long set_state(struct umbra_vcpu *vcpu, struct umbra_state __user *arg)
{
	struct umbra_state st;

	if (copy_from_user(&st, arg, sizeof(st)))
		return -EFAULT;
	return umbra_state_set(vcpu, &st);
}

static long get_lapic(struct umbra_vcpu *vcpu, struct umbra_lapic_state __user *arg)
{
	struct umbra_lapic_state *state;
	long ret = 0;

	state = kzalloc(sizeof(*state), GFP_KERNEL);
	if (!state)
		return -ENOMEM;
	umbra_lapic_get_state(vcpu, state);
	if (copy_to_user(arg, state, sizeof(*state)))
		ret = -EFAULT;
	kfree(state);
	return ret;
}

static long set_lapic(struct umbra_vcpu *vcpu, struct umbra_lapic_state __user *arg)
{
	struct umbra_lapic_state *state;
	long ret;

	state = memdup_user(arg, sizeof(*state));
	if (IS_ERR(state))
		return PTR_ERR(state);
	ret = umbra_lapic_set_state(vcpu, state);
	kfree(state);
	return ret;
}

static long set_pin(struct umbra_vcpu *vcpu, struct umbra_pin __user *arg)
{
	struct umbra_pin pin;

	if (copy_from_user(&pin, arg, sizeof(pin)))
		return -EFAULT;
	if (pin.pin > UMBRA_PIN_NMI || pin.level > 1)
		return -EINVAL;
	umbra_lapic_set_pin(vcpu, pin.pin, pin.level);
	return 0;
}

static long translate_gva(struct umbra_vcpu *vcpu, struct umbra_translate __user *arg)
{
	struct umbra_translate tr;
	struct umbra_exception e;
	u32 access = 0;
	gpa_t gpa = 0;
	int ret;

	if (copy_from_user(&tr, arg, sizeof(tr)))
		return -EFAULT;
	if (tr.flags & ~(UMBRA_TRANSLATE_WRITE | UMBRA_TRANSLATE_USER | UMBRA_TRANSLATE_FETCH) ||
	    !umbra_is_canonical(vcpu, tr.gva))
		return -EINVAL;
	if (tr.flags & UMBRA_TRANSLATE_WRITE)
		access |= X86_PF_WRITE;
	if (tr.flags & UMBRA_TRANSLATE_USER)
		access |= X86_PF_USER;
	if (tr.flags & UMBRA_TRANSLATE_FETCH)
		access |= X86_PF_INSTR;
	ret = umbra_mmu_translate(vcpu, tr.gva, access, &gpa, &e);
	if (ret < 0)
		return ret;
	tr.gpa = ret ? 0 : gpa;
	tr.error = ret ? e.error | BIT(31) : 0;
	return copy_to_user(arg, &tr, sizeof(tr)) ? -EFAULT : 0;
}

/**
 * umbra_arch_dev_ioctl() - ioctls on /dev/umbra that are x86's
 * @cmd: number
 * @arg: argument in user space
 *
 * Return: by Documentation/api.rst; -ENOTTY for an unknown number.
 */
long umbra_arch_dev_ioctl(unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case UMBRA_SUPPORTED_CPUID:
		return get_supported_cpuid(arg);
	case UMBRA_SUPPORTED_MSRS:
		return get_supported_msrs(arg);
	default:
		return -ENOTTY;
	}
}

static long send_msi(struct umbra_vm *vm, struct umbra_msi __user *arg)
{
	struct umbra_msi msi;

	if (copy_from_user(&msi, arg, sizeof(msi)))
		return -EFAULT;
	if (msi.flags)
		return -EINVAL;
	return umbra_lapic_send_msi(vm, msi.address, msi.data);
}

static long get_clock(struct umbra_vm *vm, struct umbra_clock __user *arg)
{
	struct umbra_clock clock = {};
	int ret;

	ret = umbra_clock_get(vm, &clock);
	if (ret)
		return ret;
	return copy_to_user(arg, &clock, sizeof(clock)) ? -EFAULT : 0;
}

static long set_clock(struct umbra_vm *vm, struct umbra_clock __user *arg)
{
	struct umbra_clock clock;

	if (copy_from_user(&clock, arg, sizeof(clock)))
		return -EFAULT;
	return umbra_clock_set(vm, &clock);
}

/**
 * umbra_arch_vm_ioctl() - ioctls on a VM that are x86's
 * @vm: the VM
 * @cmd: number
 * @arg: argument in user space
 *
 * Return: by Documentation/api.rst; -ENOTTY for an unknown number.
 */
long umbra_arch_vm_ioctl(struct umbra_vm *vm, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case UMBRA_SEND_MSI:
		return send_msi(vm, arg);
	case UMBRA_GET_CLOCK:
		return get_clock(vm, arg);
	case UMBRA_SET_CLOCK:
		return set_clock(vm, arg);
	case UMBRA_GET_VM_STATS:
		return get_vm_stats(vm, arg);
	default:
		return -ENOTTY;
	}
}

/**
 * umbra_arch_vcpu_ioctl() - ioctls on a vCPU that are x86's
 * @vcpu: the vCPU, loaded, its mutex held, except for UMBRA_SET_PIN
 * @cmd: number
 * @arg: argument in user space
 *
 * Return: by Documentation/api.rst; -ENOTTY for an unknown number.
 */
long umbra_arch_vcpu_ioctl(struct umbra_vcpu *vcpu, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case UMBRA_GET_STATE:
		return get_state(vcpu, arg);
	case UMBRA_SET_STATE:
		return set_state(vcpu, arg);
	case UMBRA_SET_CPUID:
		return set_cpuid(vcpu, arg);
	case UMBRA_GET_CPUID:
		return get_cpuid(vcpu, arg);
	case UMBRA_GET_MSRS:
		return access_msrs(vcpu, arg, false);
	case UMBRA_SET_MSRS:
		return access_msrs(vcpu, arg, true);
	case UMBRA_GET_XSAVE:
		return access_xsave(vcpu, arg, false);
	case UMBRA_SET_XSAVE:
		return access_xsave(vcpu, arg, true);
	case UMBRA_GET_LAPIC:
		return get_lapic(vcpu, arg);
	case UMBRA_SET_LAPIC:
		return set_lapic(vcpu, arg);
	case UMBRA_SET_PIN:
		return set_pin(vcpu, arg);
	case UMBRA_TRANSLATE:
		return translate_gva(vcpu, arg);
	case UMBRA_GET_VCPU_STATS:
		return get_vcpu_stats(vcpu, arg);
	default:
		return -ENOTTY;
	}
}
