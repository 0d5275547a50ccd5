/* SPDX-License-Identifier: GPL-2.0-only */
/* AMD-V: what its files share. Section numbers are of the APM, volume 2. */
#ifndef UMBRA_SVM_H
#define UMBRA_SVM_H

#include <linux/percpu.h>
#include <asm/svm.h>
#include "umbra.h"

/* Attributes of CS as the VMCB has them (15.5.1, 4.8.1): 64-bit code, 32-bit code. */
#define VMCB_SEG_L	BIT(9)
#define VMCB_SEG_DB	BIT(10)

/* VMCB clean bits (15.15.3): a set bit lets the CPU keep what it has cached. */
enum svm_clean {
	SVM_CLEAN_INTERCEPTS,	/* intercepts, TSC offset, pause filter */
	SVM_CLEAN_PERMISSIONS,	/* IOPM and MSRPM addresses */
	SVM_CLEAN_ASID,
	SVM_CLEAN_TPR,		/* V_TPR, V_IRQ and the rest of that word */
	SVM_CLEAN_NESTED,	/* nested CR3, PAT */
	SVM_CLEAN_CR,		/* CR0, CR3, CR4, EFER */
	SVM_CLEAN_DR,
	SVM_CLEAN_TABLES,	/* GDT, IDT */
	SVM_CLEAN_SEGMENTS,	/* CS, DS, SS, ES and CPL */
	SVM_CLEAN_CR2,
	SVM_CLEAN_LBR,
	SVM_CLEAN_AVIC,
	SVM_NR_CLEAN
};

/* How bits 0 to 7 of the first word of EVENTINJ and EXITINTINFO are laid out (15.20). */
#define SVM_EVENT_VECTOR	0xff
#define SVM_EVENT_TYPE		(7 << 8)
#define SVM_EVENT_INTR		(0 << 8)
#define SVM_EVENT_NMI		(2 << 8)
#define SVM_EVENT_EXCEPTION	(3 << 8)
#define SVM_EVENT_SOFT		(4 << 8)
#define SVM_EVENT_ERROR		BIT(11)
#define SVM_EVENT_VALID		BIT(31)

/* Rows of the exit table: exit codes as they are, then those that are far away. */
#define SVM_ROW_NPF		0xa4
#define SVM_ROW_INVALID		0xa5
#define SVM_ROW_OTHER		0xa6
#define SVM_NR_ROWS		0xa7

/*
 * What the CPU offers, from CPUID 8000_000a; read once by svm_setup().
 *
 * clean_bits: all VMCB clean bits there are, 0 if the CPU has none.
 * spec_ctrl: the VMCB has a field for the guest's SPEC_CTRL.
 * inject_virq: external interrupts go by V_IRQ instead of EVENTINJ. QEMU's
 * emulated CPU delivers one from EVENTINJ twice if another of its CPUs wants
 * something of it at the same moment.
 * tss_available: TR is given to the CPU as that of a TSS that is not busy. QEMU's
 * ends itself when it looks for a stack in a busy one outside long mode; its own
 * LTR leaves TR like this.
 * loses_shadow: VMRUN does not load the interrupt shadow that an exit saved, as
 * QEMU's does not.
 */
struct svm_caps {
	bool inject_virq;
	bool tss_available;
	bool loses_shadow;
	u32 asids;
	bool nested;
	bool next_rip;
	bool decode_assists;
	bool flush_by_asid;
	u32 clean_bits;
	bool pause_filter;
	bool spec_ctrl;
};

extern struct svm_caps svm_caps;

/**
 * struct svm_cpu - a CPU's part of virtualization
 * @save: page for the CPU's own use (VM_HSAVE_PA)
 * @host: page that VMSAVE puts the host's state into
 * @host_pa: its physical address
 * @tsc_aux: IA32_TSC_AUX as the host has set it, which stays the same
 * @asid_generation: raised when the ASIDs have been used up; never 0
 * @next_asid: next unused one of this generation
 * @last_vmcb: the guest that the branch predictors were last trained by
 */
struct svm_cpu {
	struct page *save;
	struct page *host;
	u64 host_pa;
	u64 tsc_aux;
	u64 asid_generation;
	u32 next_asid;
	struct vmcb *last_vmcb;
};

DECLARE_PER_CPU(struct svm_cpu, svm_cpu);

/**
 * struct svm_vcpu - AMD-V's part of a vCPU
 * @vmcb: control block
 * @vmcb_pa: its physical address
 * @asid_generation: that of the ASID in use; 0: take a new one
 * @asid_cpu: CPU whose ASID it is
 * @debug_passed: the guest has the debug registers to itself until it is put
 * @stepping: RFLAGS.TF is ours, to exit after one instruction
 * @guest_steps: ... and the guest had it set, too
 * @nmi_masked: an NMI has been delivered and no IRET executed since
 * @look_again: something waits that no window could be opened for
 * @virq: V_IRQ carries the interrupt that is being injected
 * @fast_event: what is in EVENTINJ is still pending to the rest of the module
 * @awaiting_iret: the IRET at @iret_rip has been let through
 * @iret_done: it has been executed when the last exit came
 * @shadow: loses_shadow: the guest is in a shadow, which ends with the instruction at @shadow_rip
 * @unfinished: any of those from @virq to @shadow, for svm_complete_exit()
 * @shadow_rip: see @shadow
 * @iret_rip: see @awaiting_iret
 */
struct svm_vcpu {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u64 asid_generation;
	int asid_cpu;
	bool debug_passed;
	bool stepping;
	bool guest_steps;
	bool nmi_masked;
	bool look_again;
	union {
		struct {
			bool virq;
			bool fast_event;
			bool awaiting_iret;
			bool iret_done;
			bool shadow;
		};
		u64 unfinished;
	};
	u64 shadow_rip;
	u64 iret_rip;
};

static inline struct svm_vcpu *to_svm(const struct umbra_vcpu *vcpu)
{
	return vcpu->arch.backend;
}

static inline struct vmcb *to_vmcb(const struct umbra_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb;
}

static inline bool svm_nested(const struct umbra_vcpu *vcpu)
{
	return vcpu->vm->arch.paging == UMBRA_PAGING_NESTED;
}

static inline void svm_dirty(struct vmcb *vmcb, enum svm_clean group)
{
	vmcb->control.clean &= ~BIT(group);
}

static inline void svm_intercept(struct vmcb *vmcb, unsigned int bit, bool on)
{
	u32 *word = &vmcb->control.intercepts[bit / 32];
	u32 value = on ? *word | BIT(bit % 32) : *word & ~BIT(bit % 32);

	if (*word != value) {
		*word = value;
		svm_dirty(vmcb, SVM_CLEAN_INTERCEPTS);
	}
}

static __always_inline bool svm_has_tsc_aux(void)
{
	return cpu_feature_enabled(X86_FEATURE_RDTSCP) || cpu_feature_enabled(X86_FEATURE_RDPID);
}

static inline void vmsave_host(u64 pa)
{
	asm volatile("vmsave %%rax" : : "a" (pa) : "memory");
}

static inline void invlpga_asid(u64 gva, u32 asid)
{
	asm volatile("invlpga %%rax, %%ecx" : : "a" (gva), "c" (asid) : "memory");
}

/* enable.c */
int svm_probe(char *reason);
u64 svm_cap(u32 cap, char *reason);
void svm_nested_tables(struct umbra_nested_tables *tables);
int svm_setup(void);
void svm_teardown(void);
int svm_cpu_enable(void);
void svm_cpu_disable(void);
u64 svm_io_permissions(void);
u64 svm_msr_permissions(void);
void svm_forget_vmcb(struct vmcb *vmcb);

/* vmcb.c */
int svm_vcpu_create(struct umbra_vcpu *vcpu);
void svm_vcpu_free(struct umbra_vcpu *vcpu);
void svm_vcpu_reset(struct umbra_vcpu *vcpu, bool init);
void svm_get_segment(struct umbra_vcpu *vcpu, int seg, struct umbra_segment *s);
void svm_set_segment(struct umbra_vcpu *vcpu, int seg, const struct umbra_segment *s);
void svm_get_code(struct umbra_vcpu *vcpu, struct umbra_code *code);
void svm_get_table(struct umbra_vcpu *vcpu, bool idt, struct umbra_table *t);
void svm_set_table(struct umbra_vcpu *vcpu, bool idt, const struct umbra_table *t);
void svm_update_crs(struct umbra_vcpu *vcpu);
void svm_pass_debug(struct umbra_vcpu *vcpu, bool pass);
void svm_update_debug(struct umbra_vcpu *vcpu);
void svm_set_tsc_offset(struct umbra_vcpu *vcpu, u64 offset);
int svm_get_msr(struct umbra_vcpu *vcpu, u32 index, u64 *value);
int svm_set_msr(struct umbra_vcpu *vcpu, u32 index, u64 value);
void svm_load_root(struct umbra_vcpu *vcpu, u64 root);

/* check.c */
void svm_describe_failure(struct umbra_vcpu *vcpu, char *reason);

/* event.c */
u32 svm_get_blocking(struct umbra_vcpu *vcpu);
void svm_set_blocking(struct umbra_vcpu *vcpu, u32 blocking);
bool svm_can_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
void svm_inject(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
void svm_open_window(struct umbra_vcpu *vcpu, enum umbra_event_kind kind);
void svm_close_interrupt_window(struct umbra_vcpu *vcpu);
void svm_end_step(struct umbra_vcpu *vcpu);
void svm_cancel_injection(struct umbra_vcpu *vcpu);
void svm_complete_exit(struct umbra_vcpu *vcpu);
bool svm_nothing_to_complete(struct umbra_vcpu *vcpu);
void svm_inject_page_fault(struct umbra_vcpu *vcpu, u32 error, u64 gva);
bool svm_raised_by_instruction(u32 info);
int svm_exit_iret(struct umbra_vcpu *vcpu);
int svm_exit_debug(struct umbra_vcpu *vcpu);

/* run.c */
void svm_vcpu_load(struct umbra_vcpu *vcpu, int cpu);
void svm_vcpu_put(struct umbra_vcpu *vcpu);
void svm_run(struct umbra_vcpu *vcpu);
void svm_flush_tlb(struct umbra_vcpu *vcpu);
void svm_flush_gva(struct umbra_vcpu *vcpu, u64 gva);

/* exit.c */
extern const struct umbra_exit svm_exits[SVM_NR_ROWS];
bool svm_fast_exit(struct umbra_vcpu *vcpu);

/* entry.S */
void svm_enter(u64 vmcb_pa, u64 *gpr, u64 host_pa);

#endif /* UMBRA_SVM_H */
