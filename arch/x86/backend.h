/* SPDX-License-Identifier: GPL-2.0-only */
/* The one table between what is true of x86 and what is a vendor's. */
#ifndef UMBRA_BACKEND_H
#define UMBRA_BACKEND_H

#include <linux/types.h>
#include <umbra/umbra.h>

struct umbra_vm;
struct umbra_vcpu;

/* Sizes of buffers that explain why something cannot be. */
#define UMBRA_REASON_LEN	sizeof_field(struct umbra_cap, reason)

/* Kinds of events that are injected. */
enum umbra_event_kind {
	UMBRA_EVENT_KIND_EXCEPTION,
	UMBRA_EVENT_KIND_INTERRUPT,
	UMBRA_EVENT_KIND_NMI,
};

/**
 * struct umbra_code - the code the guest runs
 * @base: of CS, 0 in 64-bit mode
 * @size: UMBRA_CODE_16, UMBRA_CODE_32 or UMBRA_CODE_64
 * @cpl: current privilege level
 */
struct umbra_code {
	u64 base;
	u8 size;
	u8 cpl;
};

/**
 * struct umbra_exit - one row of a vendor's exit table
 * @handler: called with interrupts on and preemption possible. Returns 1 to
 *	enter the guest again, 0 to return to user space (run page filled in),
 *	or a negative errno for the caller of UMBRA_RUN
 * @name: as statistics and tracepoints show it
 */
struct umbra_exit {
	int (*handler)(struct umbra_vcpu *vcpu);
	const char *name;
};

/**
 * struct umbra_exit_count - how often an exit was taken and what it cost
 * @count: number of exits
 * @cycles: TSC cycles from the exit to the next entry or to user space
 */
struct umbra_exit_count {
	u64 count;
	u64 cycles;
};

/**
 * struct umbra_nested_tables - what nested tables are like
 * @format: enum umbra_format_id
 * @levels: level of the root
 * @max_leaf: level of the largest leaves
 * @no_accessed: the CPU does not set accessed and dirty bits
 * @logs: with the dirty bit of a leaf it notes the page, and the backend has
 *	called umbra_mark_dirty() for it before interrupts come on after the exit
 */
struct umbra_nested_tables {
	u8 format;
	u8 levels;
	u8 max_leaf;
	bool no_accessed;
	bool logs;
};

/**
 * struct umbra_backend - what a vendor's virtualization does for x86 code
 *
 * Unless said otherwise a hook is called with vcpu->mutex held, the vCPU
 * loaded on the current CPU, preemption and interrupts enabled.
 *
 * @name: "AMD-V" or "VT-x"
 * @vendor: UMBRA_VENDOR_*
 * @exits: the exit table; a row without a handler is reported to user space as
 *	an entry that failed
 * @nr_exits: rows of @exits
 * @probe: may be called at any time, changes nothing. Returns 0 or -ENODEV (no
 *	such CPU), -EOPNOTSUPP (turned off by firmware), -EBUSY (held by another
 *	hypervisor), with the reason in words
 * @nested_tables: what nested tables are like, if there is nested paging
 * @cap: value of a capability that is the vendor's, 0 with a reason if missing
 * @setup: allocate what all CPUs and VMs need; once, at module load
 * @teardown: undo @setup
 * @cpu_enable: switch virtualization on, on this CPU; interrupts off. -EBUSY
 *	when somebody else has switched it on
 * @cpu_disable: switch it off, on this CPU; interrupts off; also from an
 *	emergency (NMI) context, so no locks
 * @vcpu_create: allocate the control block. The vCPU is not loaded
 * @vcpu_free: undo @vcpu_create. The vCPU is not loaded
 * @vcpu_reset: registers kept in the control block to their values after
 *	RESET or, if @init, INIT (SDM Vol. 3 9.1.1)
 * @vcpu_load: preemption off, the vCPU now runs on this CPU
 * @vcpu_put: preemption off, host state back as it was before @vcpu_load
 * @can_enter: after UMBRA_REQ_SOFTWARE, which only the vendor itself makes: can
 *	the CPU run the guest in the state it is in? Else its instructions are
 *	executed in software, one after the other, until it can
 * @run: enter the guest once and come back; interrupts off. On return all of
 *	vcpu->arch's register copies are the guest's, host state is whole,
 *	interrupts are still off; exit_reason (index into @exits) is set
 * @fast_exit: handle an exit with interrupts still off if that is possible at
 *	once; true: enter again
 * @fast_rows: the rows of @exits that @fast_exit knows
 * @complete_exit: after @run, interrupts on: take back an event whose delivery
 *	was cut short, as an injected one (exception, interrupt, NMI)
 * @get_segment: read a segment register
 * @set_segment: write a segment register; values were checked
 * @get_code: what is needed of CS and the CPL to find the instruction at RIP
 * @get_table: read GDTR (@idt false) or IDTR
 * @set_table: write GDTR or IDTR
 * @update_crs: guest's CR0, CR4 or EFER in vcpu->arch has changed: derive what
 *	the CPU really uses, and the intercepts that depend on it
 * @load_root: use these tables: in nested mode as nested CR3, in shadow mode
 *	as CR3
 * @flush_tlb: drop every translation of this vCPU before the next entry
 * @flush_gva: drop the translations of one page of this vCPU; shadow mode
 * @get_msr: read a vendor's MSR or one kept in the control block; 1 if unknown
 * @set_msr: write one; 1 if unknown or the value is not allowed (#GP)
 * @get_blocking: what holds events off: UMBRA_EVENT_SHADOW_* and
 *	UMBRA_EVENT_NMI_MASKED
 * @set_blocking: set it
 * @can_inject: could an event of this kind be taken now?
 * @inject: deliver vcpu->arch.exception, vcpu->arch.interrupt or an NMI at the
 *	next entry
 * @open_window: exit as soon as an interrupt or an NMI can be taken
 * @cancel_injection: take back what was to be injected at an entry that does
 *	not happen; interrupts off
 * @update_apic: the local APIC is in another mode, or was changed as a whole: what
 *	does the CPU do of it by itself? Only for vCPUs that were given a page for it
 *	(umbra_lapic_use_page())
 * @update_interrupts: the highest vectors that are requested and, if the CPU
 *	delivers interrupts by itself, in service; for the same vCPUs
 * @set_deadline: at this guest TSC, or earlier, the guest is to exit, and the
 *	exit calls umbra_lapic_timer_reached(); 0: no more. Any context. false, or
 *	no hook: the CPU cannot
 * @set_tsc_offset: guest TSC = host TSC + offset
 * @update_debug: the debug registers in vcpu->arch changed
 * @describe_failure: why the last entry failed, in words
 */
struct umbra_backend {
	const char *name;
	u32 vendor;
	const struct umbra_exit *exits;
	unsigned int nr_exits;

	int (*probe)(char *reason);
	u64 (*cap)(u32 cap, char *reason);
	void (*nested_tables)(struct umbra_nested_tables *tables);
	int (*setup)(void);
	void (*teardown)(void);
	int (*cpu_enable)(void);
	void (*cpu_disable)(void);

	int (*vcpu_create)(struct umbra_vcpu *vcpu);
	void (*vcpu_free)(struct umbra_vcpu *vcpu);
	void (*vcpu_reset)(struct umbra_vcpu *vcpu, bool init);
	void (*vcpu_load)(struct umbra_vcpu *vcpu, int cpu);
	void (*vcpu_put)(struct umbra_vcpu *vcpu);

	bool (*can_enter)(struct umbra_vcpu *vcpu);
	void (*run)(struct umbra_vcpu *vcpu);
	bool (*fast_exit)(struct umbra_vcpu *vcpu);
	const bool *fast_rows;
	void (*complete_exit)(struct umbra_vcpu *vcpu);
	void (*describe_failure)(struct umbra_vcpu *vcpu, char *reason);

	void (*get_segment)(struct umbra_vcpu *vcpu, int seg, struct umbra_segment *s);
	void (*set_segment)(struct umbra_vcpu *vcpu, int seg, const struct umbra_segment *s);
	void (*get_code)(struct umbra_vcpu *vcpu, struct umbra_code *code);
	void (*get_table)(struct umbra_vcpu *vcpu, bool idt, struct umbra_table *t);
	void (*set_table)(struct umbra_vcpu *vcpu, bool idt, const struct umbra_table *t);
	void (*update_crs)(struct umbra_vcpu *vcpu);
	void (*update_debug)(struct umbra_vcpu *vcpu);
	void (*set_tsc_offset)(struct umbra_vcpu *vcpu, u64 offset);
	int (*get_msr)(struct umbra_vcpu *vcpu, u32 index, u64 *value);
	int (*set_msr)(struct umbra_vcpu *vcpu, u32 index, u64 value);

	void (*load_root)(struct umbra_vcpu *vcpu, u64 root);
	void (*flush_tlb)(struct umbra_vcpu *vcpu);
	void (*flush_gva)(struct umbra_vcpu *vcpu, u64 gva);

	u32 (*get_blocking)(struct umbra_vcpu *vcpu);
	void (*set_blocking)(struct umbra_vcpu *vcpu, u32 blocking);
	bool (*can_inject)(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
	void (*inject)(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
	void (*open_window)(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
	void (*cancel_injection)(struct umbra_vcpu *vcpu);
	void (*update_apic)(struct umbra_vcpu *vcpu);
	void (*update_interrupts)(struct umbra_vcpu *vcpu, int requested, int serviced);
	bool (*set_deadline)(struct umbra_vcpu *vcpu, u64 tsc);
};

extern const struct umbra_backend umbra_svm_backend, umbra_vmx_backend;

/* The one in use; NULL when the CPU has none. Set at module load, then constant. */
extern const struct umbra_backend *umbra_backend;

#endif /* UMBRA_BACKEND_H */
