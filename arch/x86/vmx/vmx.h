/* SPDX-License-Identifier: GPL-2.0-only */
/* VT-x: what its files share. Section numbers are of the SDM, volume 3. */
#ifndef UMBRA_VMX_H
#define UMBRA_VMX_H

#include <linux/list.h>
#include <linux/percpu.h>
#include <asm/asm.h>
#include <asm/desc_defs.h>
#include <asm/extable_fixup_types.h>
#include <asm/vmx.h>
#include "umbra.h"

/* The five words of controls (25.6 to 25.8). */
enum vmx_word {
	VMX_PIN,
	VMX_PROC,
	VMX_PROC2,
	VMX_EXIT,
	VMX_ENTRY,
	VMX_NR_WORDS
};

/*
 * Rows of the exit table: basic exit reasons as they are (appendix C), then
 * exceptions one by one, then what is no exit at all.
 */
#define VMX_NR_REASONS		80
#define VMX_ROW_DB		80
#define VMX_ROW_AC		81
#define VMX_ROW_PF		82
#define VMX_ROW_MC		83
#define VMX_ROW_NMI		84
#define VMX_ROW_INVALID		85	/* the guest's state was refused */
#define VMX_ROW_FAILED		86	/* VMLAUNCH or VMRESUME itself was */
#define VMX_ROW_EXCEPTION	87	/* any other, while real mode is virtual-8086 mode */
#define VMX_ROW_OTHER		88
#define VMX_NR_ROWS		89

/* What vmx_enter() returns. */
#define VMX_ENTERED		0
#define VMX_FAIL		1	/* VMfail: a VM-instruction error */
#define VMX_FAULT		2	/* VMX operation is off on this CPU */

/**
 * struct vmx_caps - what the CPU offers, and is let to
 * @must: control bits that are always set, by word
 * @may: those that can be set
 * @always: those that are for every vCPU
 * @nested: ... only with nested paging
 * @shadow: ... only with shadow paging
 * @revision: of the VMCS
 * @ept: nested paging can be used
 * @ept_ad: its entries have accessed and dirty bits
 * @ept_levels: levels of its tables
 * @ept_leaf: level of its largest leaves
 * @invept_single: tables of one root can be flushed alone
 * @unrestricted: guests may be in real mode and have paging off
 * @vpid: translations are tagged
 * @invvpid_addr: one address can be flushed
 * @invvpid_single: one VPID can be flushed
 * @pml: the CPU notes pages that are written in a buffer
 * @tpr_shadow: the guest's task priority is in a page of APIC registers
 * @apic_access: ... and in xAPIC mode it is accessed instead of a page that the guest
 *	has at the APIC's address
 * @virtual_x2apic: ... and in x2APIC mode it gets there by MSR
 * @interrupt_delivery: the CPU reads that page for the guest, and delivers
 *	interrupts and takes EOIs by itself
 * @forgets_vector: an exit that cuts the delivery of such an interrupt short does not
 *	say so right
 * @timer: the guest's turn can be ended by the VMX-preemption timer, which counts
 * @timer_shift: ... the TSC's ticks, divided by two to the power of this
 * @longest_turn: after so many of them it is ended in any case; 0: it is not
 * @load_efer: EFER is switched by the CPU, without a list
 * @cr0_must: bits that CR0 must have set
 * @cr0_may: bits that CR0 may have set
 * @cr4_must: bits that CR4 must have set
 * @cr4_may: bits that CR4 may have set
 */
struct vmx_caps {
	u32 must[VMX_NR_WORDS];
	u32 may[VMX_NR_WORDS];
	u32 always[VMX_NR_WORDS];
	u32 nested[VMX_NR_WORDS];
	u32 shadow[VMX_NR_WORDS];
	u32 revision;
	bool ept;
	bool ept_ad;
	u8 ept_levels;
	u8 ept_leaf;
	bool invept_single;
	bool unrestricted;
	bool vpid;
	bool invvpid_addr;
	bool invvpid_single;
	bool pml;
	bool tpr_shadow;
	bool apic_access;
	bool virtual_x2apic;
	bool interrupt_delivery;
	bool forgets_vector;
	bool timer;
	u8 timer_shift;
	u32 longest_turn;
	bool load_efer;
	u64 cr0_must, cr0_may, cr4_must, cr4_may;
};

extern struct vmx_caps vmx_caps;

/**
 * struct vmx_cpu - a CPU's part of virtualization
 * @region: page for the CPU's own use (VMXON)
 * @loaded: VMCSs that this CPU may hold in its caches
 * @current_vmcs: the one that VMREAD and VMWRITE access
 */
struct vmx_cpu {
	struct page *region;
	struct list_head loaded;
	void *current_vmcs;
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpu);

/* What of the local APIC's MSRs the guest has without exits. */
enum vmx_msr_map {
	VMX_MSRS_NO_APIC,
	VMX_MSRS_TPR,		/* task priority */
	VMX_MSRS_X2APIC,	/* all that the CPU reads, and what it writes, too */
	VMX_NR_MSR_MAPS
};

/* Bits of vmx_vcpu.cached: fields that have been read since the last exit. */
enum {
	VMX_CACHED_QUALIFICATION,
	VMX_CACHED_INTERRUPTIBILITY,
	VMX_CACHED_CS_ATTR,
	VMX_CACHED_SS_ATTR,
	VMX_CACHED_CS_BASE,
};

/* How a guest runs that the CPU would not enter as it is; see real.c. */
enum vmx_mode {
	VMX_NATIVE,	/* as it is */
	VMX_VM86,	/* in virtual-8086 mode instead of real mode */
	VMX_SOFTWARE,	/* not at all: its instructions are executed in software */
};

/* MSRs of SYSCALL; the guest's are in the CPU from its first entry until it is put. */
#define VMX_NR_SYSCALL_MSRS	3

/* What is loaded at entry and exit by list, on CPUs that have no controls for it. */
struct vmx_msr_lists {
	struct vmx_msr_entry guest;
	struct vmx_msr_entry host;
};

/**
 * struct vmx_vcpu - VT-x's part of a vCPU
 * @vmcs: control structure
 * @vmcs_pa: its physical address
 * @cpu: the CPU that holds it, -1: none
 * @link: in that CPU's list
 * @launched: VMLAUNCH has succeeded since it was last cleared
 * @initialized: its constant fields have been written
 * @unrestricted: real mode and paging off are the CPU's to run
 * @mode: how the guest runs now, always VMX_NATIVE if @unrestricted
 * @recheck: @mode may have to change: segments or CR0 have
 * @own_cr3: CR3 is the guest's own
 * @real_attr: attributes of its segments, while those in the VMCS are of virtual-8086 mode
 * @vpid: tag of its translations, 0: none
 * @control: the words of controls as they are in the VMCS
 * @cached: VMX_CACHED_*
 * @interruptibility: cached field
 * @cs_attr: cached field
 * @ss_attr: cached field
 * @cs_base: cached field
 * @qualification: cached field
 * @intr_info: interruption information of an exit by an exception
 * @rip: what the VMCS holds
 * @rsp: what the VMCS holds
 * @rflags: what the VMCS holds
 * @guest_cr3: what the VMCS holds; nested paging
 * @root: EPTP or CR3 of the tables in use
 * @flush: drop all translations before the next entry
 * @injecting: the entry-interruption information field is valid
 * @fast_event: what is in it is still pending to the rest of the module
 * @shadowed: an interrupt shadow was written by us
 * @host_rsp: what the VMCS holds
 * @host_cr3: what the VMCS holds
 * @host_cr4: what the VMCS holds
 * @switched: the CPU holds more of the guest than the VMCS says; see run.c
 * @debug_passed: the guest has the debug registers to itself until it is put
 * @host_debugctl: MSR of the CPU it is loaded on
 * @host_tsc_aux: MSR of the CPU it is loaded on
 * @host_fs_base: of the task
 * @host_gs_base: of the task, in KERNEL_GS_BASE
 * @host_fs: selector of the task
 * @host_gs: selector of the task
 * @host_ds: selector of the task
 * @host_es: selector of the task
 * @host_ldt: selector of the task
 * @host_gdt: GDTR of the CPU it is loaded on
 * @kernel_gs_base: the guest's, while not in the CPU
 * @syscall_msrs: the guest's, while not in the CPU
 * @syscall_differ: a bit for each of @syscall_msrs that is not the host's
 * @cstar: the guest's, which never gets into the CPU
 * @pat: the guest's IA32_PAT, which never gets into the CPU
 * @apic_page: registers of the local APIC that the CPU uses; NULL: none
 * @tpr_threshold: what the VMCS holds
 * @eoi_exits: what the VMCS holds
 * @deadline: guest TSC at which the guest is to exit, 0: none
 * @timed: the VMX-preemption timer counts to the deadline
 * @pml_page: addresses of pages that were written, noted by the CPU; NULL: none
 * @logging: some memory has a dirty log, so there may be addresses
 * @lists: EFER of guest and host, NULL where the CPU switches it by itself
 */
struct vmx_vcpu {
	void *vmcs;
	u64 vmcs_pa;
	int cpu;
	struct list_head link;
	bool launched;
	bool initialized;
	bool unrestricted;
	enum vmx_mode mode;
	bool recheck;
	bool own_cr3;
	u32 real_attr[UMBRA_GS + 1];
	u16 vpid;
	u32 control[VMX_NR_WORDS];

	u32 cached;
	u32 interruptibility;
	u32 cs_attr, ss_attr;
	u64 cs_base;
	u64 qualification;
	u32 intr_info;

	u64 rip, rsp, rflags;
	u64 guest_cr3;
	u64 root;
	bool flush;
	bool injecting;
	bool fast_event;
	bool shadowed;

	u64 host_rsp, host_cr3, host_cr4;
	bool switched;
	bool debug_passed;
	u64 host_debugctl, host_tsc_aux;
	u64 host_fs_base, host_gs_base;
	u16 host_fs, host_gs, host_ds, host_es, host_ldt;
	struct desc_ptr host_gdt;
	u64 kernel_gs_base;
	u64 syscall_msrs[VMX_NR_SYSCALL_MSRS];
	unsigned long syscall_differ;
	u64 cstar, pat;
	void *apic_page;
	u32 tpr_threshold;
	u64 eoi_exits[UMBRA_NR_VECTORS / 64];
	u64 deadline;
	bool timed;
	u64 *pml_page;
	bool logging;
	struct vmx_msr_lists *lists;
};

static inline struct vmx_vcpu *to_vmx(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.backend;
}

static inline bool vmx_nested(const struct umbra_vcpu *vcpu)
{
	return vcpu->vm->arch.paging == UMBRA_PAGING_NESTED;
}

/*
 * A CPU on which VMX operation is off, because the host goes down, raises #UD:
 * reads give 0 then and writes are lost. Nothing will enter a guest there.
 */
static __always_inline u64 vmcs_read(unsigned long field)
{
	u64 value;

	/* The register that is zeroed is the one of number 0, RAX. */
	asm volatile("1: vmread %1, %0\n"
		     "2:\n"
		     _ASM_EXTABLE_TYPE(1b, 2b, EX_TYPE_ZERO_REG)
		     : "=a" (value) : "r" (field) : "cc");
	return value;
}

void vmx_write_failed(unsigned long field, u64 value);

static __always_inline void vmcs_write(unsigned long field, u64 value)
{
	asm goto("1: vmwrite %1, %0\n"
		 "jbe %l2\n"
		 "2:\n"
		 _ASM_EXTABLE(1b, 2b)
		 : : "r" (field), "rm" (value) : "cc" : failed);
	return;
failed:
	vmx_write_failed(field, value);
}

static inline void vmx_write_control(struct vmx_vcpu *vmx, enum vmx_word word, u32 value)
{
	static const u32 fields[] = {
		[VMX_PIN] = PIN_BASED_VM_EXEC_CONTROL,
		[VMX_PROC] = CPU_BASED_VM_EXEC_CONTROL,
		[VMX_PROC2] = SECONDARY_VM_EXEC_CONTROL,
		[VMX_EXIT] = VM_EXIT_CONTROLS,
		[VMX_ENTRY] = VM_ENTRY_CONTROLS,
	};

	vmx->control[word] = value;
	vmcs_write(fields[word], value);
}

/* Change bits of a word of controls, as far as the CPU allows. */
static inline void vmx_set_control(struct vmx_vcpu *vmx, enum vmx_word word, u32 bits, bool on)
{
	u32 value = on ? vmx->control[word] | bits : vmx->control[word] & ~bits;

	value |= vmx_caps.must[word];
	if (vmx->control[word] != value)
		vmx_write_control(vmx, word, value);
}

static inline u64 vmx_qualification(struct vmx_vcpu *vmx)
{
	if (!(vmx->cached & BIT(VMX_CACHED_QUALIFICATION))) {
		vmx->cached |= BIT(VMX_CACHED_QUALIFICATION);
		vmx->qualification = vmcs_read(EXIT_QUALIFICATION);
	}
	return vmx->qualification;
}

static inline u32 vmx_interruptibility(struct vmx_vcpu *vmx)
{
	if (!(vmx->cached & BIT(VMX_CACHED_INTERRUPTIBILITY))) {
		vmx->cached |= BIT(VMX_CACHED_INTERRUPTIBILITY);
		vmx->interruptibility = vmcs_read(GUEST_INTERRUPTIBILITY_INFO);
	}
	return vmx->interruptibility;
}

static inline void vmx_set_interruptibility(struct vmx_vcpu *vmx, u32 value)
{
	if (vmx_interruptibility(vmx) == value)
		return;
	vmx->interruptibility = value;
	vmcs_write(GUEST_INTERRUPTIBILITY_INFO, value);
}

/* caps.c */
int vmx_probe(char *reason);
u64 vmx_cap(u32 cap, char *reason);
void vmx_nested_tables(struct umbra_nested_tables *tables);

/* enable.c */
int vmx_setup(void);
void vmx_teardown(void);
int vmx_cpu_enable(void);
void vmx_cpu_disable(void);
void vmx_make_current(struct vmx_vcpu *vmx);
void vmx_clear(struct vmx_vcpu *vmx);
u16 vmx_vpid_alloc(void);
void vmx_vpid_free(u16 vpid);
void vmx_flush_all(void);
void vmx_flush_vcpu(const struct vmx_vcpu *vmx, bool nested);
bool vmx_flush_address(const struct vmx_vcpu *vmx, u64 gva);

/* msrmap.c */
int vmx_msr_setup(void);
void vmx_msr_teardown(void);
u64 vmx_msr_bitmap(enum vmx_msr_map kind);

/* apic.c */
int vmx_apic_setup(void);
void vmx_apic_teardown(void);
int vmx_apic_create(struct umbra_vcpu *vcpu);
void vmx_apic_free(struct vmx_vcpu *vmx);
void vmx_init_apic(struct umbra_vcpu *vcpu);
void vmx_update_apic(struct umbra_vcpu *vcpu);
void vmx_update_interrupts(struct umbra_vcpu *vcpu, int requested, int serviced);
int vmx_exit_tpr(struct umbra_vcpu *vcpu);
int vmx_exit_eoi(struct umbra_vcpu *vcpu);
int vmx_exit_apic_write(struct umbra_vcpu *vcpu);
int vmx_exit_apic_access(struct umbra_vcpu *vcpu);
bool vmx_map_apic(struct umbra_vcpu *vcpu, u64 gpa, int *ret);

/* pml.c */
int vmx_pml_create(struct umbra_vcpu *vcpu);
void vmx_pml_free(struct vmx_vcpu *vmx);
void vmx_init_pml(struct vmx_vcpu *vmx);
void vmx_pml_update(struct umbra_vcpu *vcpu);
void vmx_pml_drain(struct umbra_vcpu *vcpu);

/* vmcs.c */
int vmx_vcpu_create(struct umbra_vcpu *vcpu);
void vmx_vcpu_free(struct umbra_vcpu *vcpu);
void vmx_vcpu_reset(struct umbra_vcpu *vcpu, bool init);
void vmx_init_vmcs(struct umbra_vcpu *vcpu);
void vmx_update_crs(struct umbra_vcpu *vcpu);
void vmx_pass_debug(struct umbra_vcpu *vcpu, bool pass);
void vmx_update_debug(struct umbra_vcpu *vcpu);
void vmx_set_tsc_offset(struct umbra_vcpu *vcpu, u64 offset);
int vmx_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value);
int vmx_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value);
void vmx_load_root(struct umbra_vcpu *vcpu, u64 root);

/* segment.c */
void vmx_get_segment(struct umbra_vcpu *vcpu, int seg, struct umbra_segment *s);
void vmx_set_segment(struct umbra_vcpu *vcpu, int seg, const struct umbra_segment *s);
void vmx_get_code(struct umbra_vcpu *vcpu, struct umbra_code *code);
void vmx_get_table(struct umbra_vcpu *vcpu, bool idt, struct umbra_table *t);
void vmx_set_table(struct umbra_vcpu *vcpu, bool idt, const struct umbra_table *t);

/* real.c */
int vmx_real_setup(void);
void vmx_real_teardown(void);
bool vmx_can_enter(struct umbra_vcpu *vcpu);
void vmx_leave_vm86(struct umbra_vcpu *vcpu);
bool vmx_fits_vm86(int seg, const struct umbra_segment *s);
void vmx_recheck(struct umbra_vcpu *vcpu);
void vmx_load_identity(struct vmx_vcpu *vmx);
bool vmx_map_identity(struct umbra_vcpu *vcpu, u64 gpa, int *ret);
int vmx_exit_exception(struct umbra_vcpu *vcpu);
void vmx_write_exception_bitmap(struct umbra_vcpu *vcpu);

/* check.c */
bool vmx_segments_settled(struct umbra_vcpu *vcpu);
void vmx_describe_failure(struct umbra_vcpu *vcpu, char *reason);

/* event.c */
u32 vmx_get_blocking(struct umbra_vcpu *vcpu);
void vmx_set_blocking(struct umbra_vcpu *vcpu, u32 blocking);
bool vmx_can_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
void vmx_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
void vmx_open_window(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
void vmx_cancel_injection(struct umbra_vcpu *vcpu);
void vmx_complete_exit(struct umbra_vcpu *vcpu);
bool vmx_nothing_to_complete(struct umbra_vcpu *vcpu);
void vmx_inject_page_fault(struct umbra_vcpu *vcpu, u32 error, u64 gva);
int vmx_exit_window(struct umbra_vcpu *vcpu);
int vmx_exit_debug(struct umbra_vcpu *vcpu);

/* run.c */
extern u64 vmx_host_syscall_msrs[VMX_NR_SYSCALL_MSRS];
extern const u32 vmx_syscall_msrs[VMX_NR_SYSCALL_MSRS];
void vmx_run_init(void);
void vmx_vcpu_load(struct umbra_vcpu *vcpu, int cpu);
void vmx_vcpu_put(struct umbra_vcpu *vcpu);
void vmx_run(struct umbra_vcpu *vcpu);
bool vmx_set_deadline(struct umbra_vcpu *vcpu, u64 tsc);
void vmx_save_rest(struct umbra_vcpu *vcpu);
void vmx_flush_tlb(struct umbra_vcpu *vcpu);
void vmx_flush_gva(struct umbra_vcpu *vcpu, u64 gva);

/* exit.c */
extern const struct umbra_exit vmx_exits[VMX_NR_ROWS];
bool vmx_fast_exit(struct umbra_vcpu *vcpu);

/* entry.S */
int vmx_enter(u64 *gpr, bool launched, u64 *host_rsp);
void vmx_exit_point(void);

#endif /* UMBRA_VMX_H */
