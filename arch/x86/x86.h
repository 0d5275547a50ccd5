/* SPDX-License-Identifier: GPL-2.0-only */
/* What is true of a VM and a vCPU on x86, whichever vendor runs them. */
#ifndef UMBRA_X86_H
#define UMBRA_X86_H

#include <linux/hrtimer.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include <asm/fpu/types.h>
#include <umbra/umbra.h>
#include <asm/processor-flags.h>
#include "backend.h"
#include "clock.h"
#include "emulate/emulate.h"
#include "lapic.h"
#include "mmu/mmu.h"
#include "msr.h"

/* DR6.BD: a debug register was accessed while DR7.GD was set (SDM Vol. 3 17.2.3). */
#define DR6_BD		BIT(13)
/* DR7.GD: general detect, and the bits that enable breakpoints (17.2.4). */
#define DR7_GD		BIT(13)
#define DR7_ENABLED	0xff

/**
 * struct umbra_exception - an exception on its way to the guest
 * @pending: raised by the instruction just run or emulated
 * @injected: handed to the CPU; cleared once it was delivered
 * @has_error: @error is pushed
 * @has_payload: @payload is put into CR2 (#PF) or DR6 (#DB) on delivery
 * @vector: its number
 * @error: its error code
 * @payload: see @has_payload
 */
struct umbra_exception {
	bool pending;
	bool injected;
	bool has_error;
	bool has_payload;
	u8 vector;
	u32 error;
	u64 payload;
};

/* An interrupt or INT n handed to the CPU, cleared once it was delivered. */
struct umbra_interrupt {
	bool injected;
	bool soft;
	u8 vector;
};

/* An instruction may read twice (CMPS) and up to 64 bytes at a time. */
#define UMBRA_MMIO_MAX		8

/* A piece of at most 8 bytes of an access to no memory slot. */
struct umbra_mmio {
	gpa_t gpa;
	u32 len;
	u8 data[8];
};

/* What umbra_mmio_exit() can do without the executor. */
enum umbra_mov {
	UMBRA_MOV_NONE,
	UMBRA_MOV_LOAD,
	UMBRA_MOV_STORE,
	UMBRA_MOV_STORE_IMM,
};

/**
 * struct umbra_decoded - an instruction that was executed in software, decoded
 * @bytes: those it was decoded from, and what follows it
 * @code: UMBRA_CODE_*; 0: there is none
 * @mov: enum umbra_mov
 * @size: bytes that it moves from or to memory
 * @insn: the instruction
 */
struct umbra_decoded {
	u64 bytes[UMBRA_CODE_BYTES / sizeof(u64)];
	u8 code;
	u8 mov;
	u8 size;
	struct umbra_insn insn;
};

#define UMBRA_NR_DECODED	8	/* a power of two */

/* How many 1, 2 or 4 byte items fit into the page for string I/O. */
#define UMBRA_PIO_BATCH		(UMBRA_RUN_IO_SIZE / 4)

/* Counters of a vCPU beside those of its exits; names in arch/x86/x86.c. */
enum umbra_vcpu_stat {
	UMBRA_STAT_ENTRIES,		/* VMRUN or VMLAUNCH/VMRESUME */
	UMBRA_STAT_FAST_EXITS,		/* handled with interrupts off */
	UMBRA_STAT_USER_EXITS,		/* returns to user space */
	UMBRA_STAT_SIGNAL_EXITS,
	UMBRA_STAT_HALTS,
	UMBRA_STAT_HALTS_IN_PLACE,	/* for which the CPU itself was halted */
	UMBRA_STAT_HALT_WAKEUPS,
	UMBRA_STAT_EXCEPTIONS,		/* injected */
	UMBRA_STAT_INTERRUPTS,
	UMBRA_STAT_NMIS,
	UMBRA_STAT_REINJECTIONS,	/* of events whose delivery was cut short */
	UMBRA_STAT_INTERRUPT_WINDOWS,
	UMBRA_STAT_EMULATIONS,		/* instructions executed in software */
	UMBRA_STAT_EMULATION_FAILURES,
	UMBRA_STAT_TLB_FLUSHES,
	UMBRA_STAT_GUEST_FAULTS,	/* page faults that are the guest's own */
	UMBRA_STAT_FAULTS,		/* page faults the tables were the cause of */
	UMBRA_STAT_MMIO_EXITS,
	UMBRA_STAT_PIO_EXITS,
	UMBRA_NR_VCPU_STATS
};

/* Bits of umbra_vcpu_arch.async; whoever sets one requests UMBRA_REQ_EVENT and kicks. */
enum {
	UMBRA_NMI_LATCHED,	/* an NMI waits for its delivery */
	UMBRA_INTR_LINE,	/* level of the INTR pin, driven by the 8259 */
	UMBRA_NMI_LINE,		/* level of the NMI pin */
	UMBRA_INIT_PENDING,
	UMBRA_SIPI_PENDING,
};

struct umbra_vcpu_arch {
	/*
	 * The guest's registers; the backend's run() loads and saves those
	 * that the CPU does not keep. cr0, cr4, efer are what the guest sees.
	 */
	u64 gpr[UMBRA_NR_GPRS];
	u64 rip;
	u64 rflags;
	u64 cr0, cr2, cr3, cr4, efer;
	u64 xcr0;
	u64 dr[4], dr6, dr7;
	u64 pdpte[4];		/* loaded with CR3 while PAE paging is on */

	/* Of the last exit. */
	u32 exit_reason;	/* index into umbra_backend->exits */
	u8 exit_insn_len;	/* of the instruction that exited, 0: the CPU did not say */
	bool exit_soon;		/* exit right after the event that the next entry injects */
	u64 exit_code;		/* as the CPU gave it */
	u64 exit_tsc;		/* when it was; 0: counted already */

	struct umbra_exception exception;
	struct umbra_interrupt interrupt;
	bool nmi_injected;
	u8 mp_state;		/* enum umbra_mp_state */
	u8 sipi_vector;		/* valid with UMBRA_SIPI_PENDING */
	/* What other threads and timers set, with atomic bit operations: UMBRA_NMI_LATCHED ... */
	unsigned long async;

	/* Called when user space has done what the last exit asked for; 1, 0 or -errno. */
	int (*complete)(struct umbra_vcpu *vcpu);

	struct umbra_emul emul;
	struct umbra_decoded decoded[UMBRA_NR_DECODED];	/* by RIP */
	const struct umbra_decoded *mmio_load;	/* waits for user space's answer */
	/* Reads of the instruction being executed, in order: done, and handed out again. */
	struct umbra_mmio mmio_read[UMBRA_MMIO_MAX];
	u8 mmio_reads, mmio_next;
	/* Writes of executed instructions that user space has yet to do. */
	struct umbra_mmio mmio_write[UMBRA_MMIO_MAX];
	u8 mmio_writes, mmio_write_next;
	u8 pio_in;			/* size of the IN that waits for user space; 0: none */
	u32 pio_size;			/* bytes of port input asked of user space */
	u32 pio_done;			/* bytes of it that user space has supplied */
	bool pio_posted;		/* port output that user space has yet to do */
	u8 mmio_committed;		/* posted writes of elements that are committed */
	bool pio_committed;
	/* Is the instruction being executed because it writes a shadowed table, and where? */
	bool table_written;
	bool table_given_up;		/* it is shadowed no more */
	gpa_t table_gpa;
	bool leaf_refused;		/* ... because no leaf allows what it does, and no more? */
	bool pio_waiting, mmio_waiting;	/* what the executor stopped for */
	bool emul_queued;		/* its exception has been queued already */
	bool emul_refused;		/* the CPU has answered it with #GP */
	int emul_error;			/* -errno behind UMBRA_EMUL_UNHANDLED */
	bool emul_lost;			/* ... or memory that user space has taken away, */
	gfn_t emul_lost_gfn;		/* ... here */

	struct umbra_mmu_vcpu mmu;
	struct umbra_lapic *lapic;
	struct umbra_cpuid_state *cpuid;
	struct umbra_slot *last_slot;

	struct fpu_guest fpu;
	u32 host_pkru, pkru;
	unsigned long rcu_jiffies;	/* when RCU was last told of an entry */
	u64 halted_for;			/* ticks of the TSC that the last HLT took */

	struct umbra_msr_state msr;
	struct umbra_clock_state clock;
	u64 tsc_offset;			/* guest TSC = host TSC + tsc_offset */

	void *backend;			/* the vendor's part */
	struct umbra_exit_count *exit_counts;	/* umbra_backend->nr_exits of them */
	u64 stat[UMBRA_NR_VCPU_STATS];
};

struct umbra_vm_arch {
	u32 paging;			/* UMBRA_PAGING_* */
	struct umbra_mmu_vm mmu;
	struct umbra_apic_map apic_map;
	struct umbra_vm_clock clock;
};

/* x86.c: what kmod/ asks of the architecture */
int umbra_arch_init(void);
void umbra_arch_exit(void);
u64 umbra_arch_cap(u32 cap, char *reason);
int umbra_arch_vm_create(struct umbra_vm *vm, u32 paging);
void umbra_arch_vm_destroy(struct umbra_vm *vm);
int umbra_arch_vcpu_create(struct umbra_vcpu *vcpu);
void umbra_arch_vcpu_destroy(struct umbra_vcpu *vcpu);
bool umbra_arch_vcpu_runnable(struct umbra_vcpu *vcpu);
long umbra_arch_dev_ioctl(unsigned int cmd, void __user *arg);
long umbra_arch_vm_ioctl(struct umbra_vm *vm, unsigned int cmd, void __user *arg);
long umbra_arch_vcpu_ioctl(struct umbra_vcpu *vcpu, unsigned int cmd, void __user *arg);

/* virt.c: switching virtualization on and off on all CPUs */
int umbra_virt_init(void);
void umbra_virt_exit(void);
int umbra_virt_get(void);
void umbra_virt_put(void);
DECLARE_PER_CPU(bool, umbra_virt_on);

/* emergency.c: switching it off when the host crashes */
int umbra_emergency_init(void);
void umbra_emergency_exit(void);
void umbra_emergency_want(bool on);

/* run.c */
void umbra_run_init(void);
int umbra_arch_vcpu_run(struct umbra_vcpu *vcpu);
int umbra_skip_insn(struct umbra_vcpu *vcpu, unsigned int length);

/* insn.c: instructions behind exits, decoded or executed in software */
void umbra_insn_init(void);
const struct umbra_insn *umbra_decode_exit(struct umbra_vcpu *vcpu, int *ret);
int umbra_emulate_exit(struct umbra_vcpu *vcpu);
int umbra_emulate_refused(struct umbra_vcpu *vcpu);
void umbra_deliver_real(struct umbra_vcpu *vcpu, u8 vector);
void umbra_forget_exit(struct umbra_vcpu *vcpu);
bool umbra_opcode_at_rip(struct umbra_vcpu *vcpu, u32 opcode, unsigned int length);
bool umbra_read_operand(struct umbra_vcpu *vcpu, u64 linear, void *data, unsigned int len,
			int *ret);
unsigned int umbra_code_size(struct umbra_vcpu *vcpu);
int umbra_cpl(struct umbra_vcpu *vcpu);

/* pio.c */
int umbra_pio(struct umbra_vcpu *vcpu, u16 port, unsigned int size, bool in);
void umbra_pio_finish_in(struct umbra_vcpu *vcpu);

/* taskswitch.c */
int umbra_task_switch(struct umbra_vcpu *vcpu, const struct umbra_emul_task *task);

/* mmio.c */
int umbra_mmio_exit(struct umbra_vcpu *vcpu, gpa_t gpa, bool write);

/* event.c */
void umbra_queue_exception(struct umbra_vcpu *vcpu, u8 vector);
void umbra_queue_exception_error(struct umbra_vcpu *vcpu, u8 vector, u32 error);
void umbra_raise_page_fault(struct umbra_vcpu *vcpu, u32 error, u64 gva);
void umbra_queue_page_fault(struct umbra_vcpu *vcpu, u32 error, gva_t gva);
void umbra_queue_debug(struct umbra_vcpu *vcpu, u64 dr6);
void umbra_queue_nmi(struct umbra_vcpu *vcpu);
int umbra_event_inject(struct umbra_vcpu *vcpu);
bool umbra_event_pending(struct umbra_vcpu *vcpu);
void umbra_event_get(struct umbra_vcpu *vcpu, struct umbra_events *ev);
int umbra_event_check(const struct umbra_events *ev);
void umbra_event_set(struct umbra_vcpu *vcpu, const struct umbra_events *ev);

/* cr.c: what the guest does to its control registers; 0, or 1 for #GP(0) */
int umbra_set_cr0(struct umbra_vcpu *vcpu, u64 value);
int umbra_set_cr3(struct umbra_vcpu *vcpu, u64 value);
bool umbra_fast_set_cr3(struct umbra_vcpu *vcpu, u64 value);
int umbra_set_cr4(struct umbra_vcpu *vcpu, u64 value);
int umbra_set_efer(struct umbra_vcpu *vcpu, u64 value);
int umbra_set_xcr0(struct umbra_vcpu *vcpu, u64 value);
bool umbra_xcr0_valid(struct umbra_vcpu *vcpu, u64 value);
int umbra_get_dr(struct umbra_vcpu *vcpu, int dr, u64 *value);
int umbra_set_dr(struct umbra_vcpu *vcpu, int dr, u64 value);
void umbra_check_io_breakpoints(struct umbra_vcpu *vcpu, u16 port, unsigned int size);
u64 umbra_cr4_allowed(struct umbra_vcpu *vcpu);
u64 umbra_efer_allowed(struct umbra_vcpu *vcpu);
u64 umbra_xcr0_allowed(struct umbra_vcpu *vcpu);
void umbra_vcpu_reset(struct umbra_vcpu *vcpu, bool init);

/* fpu.c */
int umbra_fpu_create(struct umbra_vcpu *vcpu);
void umbra_fpu_free(struct umbra_vcpu *vcpu);
int umbra_fpu_reset(struct umbra_vcpu *vcpu);
int umbra_fpu_get(struct umbra_vcpu *vcpu, const struct umbra_xsave *arg);
int umbra_fpu_set(struct umbra_vcpu *vcpu, const struct umbra_xsave *arg);
void umbra_fpu_host_init(void);
u64 umbra_fpu_host_xcr0(void);
bool umbra_fpu_get_vec(struct umbra_vcpu *vcpu, unsigned int reg, void *data, unsigned int len);
bool umbra_fpu_set_vec(struct umbra_vcpu *vcpu, unsigned int reg, const void *data,
		       unsigned int len, bool zero_upper);
bool umbra_fpu_pending(struct umbra_vcpu *vcpu);
u64 umbra_fpu_get_mmx(struct umbra_vcpu *vcpu, unsigned int reg);
void umbra_fpu_set_mmx(struct umbra_vcpu *vcpu, unsigned int reg, u64 value);

/* state.c */
int umbra_state_get(struct umbra_vcpu *vcpu, struct umbra_state *st);
int umbra_state_set(struct umbra_vcpu *vcpu, const struct umbra_state *st);
#endif /* UMBRA_X86_H */
