/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The ABI between umbra.ko and its monitors: ioctls on /dev/umbra, on VM file
 * descriptors and on vCPU file descriptors, and the run page of a vCPU.
 *
 * Documentation/api.rst has a page for each call. Rules that hold for all:
 * every structure has a fixed size and layout on every architecture, padding,
 * reserved fields and unknown flags must be zero (-EINVAL), and a failed call
 * has changed nothing.
 */
#ifndef _UAPI_UMBRA_UMBRA_H
#define _UAPI_UMBRA_UMBRA_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Raised whenever a structure or the meaning of a call changes. */
#define UMBRA_ABI_VERSION	1U

#define UMBRA_DEVICE		"/dev/umbra"

#define UMBRA_MAX_VCPUS		64
#define UMBRA_MAX_SLOTS		128

/* The run area mapped from a vCPU fd: a run page, then a page for string I/O. */
#define UMBRA_RUN_SIZE		8192
#define UMBRA_RUN_IO_OFFSET	4096
#define UMBRA_RUN_IO_SIZE	4096

/* ------------------------------------------------------------------ */
/* /dev/umbra                                                          */

/* Vendors, in umbra_info.vendor. */
#define UMBRA_VENDOR_NONE	0
#define UMBRA_VENDOR_SVM	1
#define UMBRA_VENDOR_VMX	2

struct umbra_info {
	__u32 abi_version;	/* UMBRA_ABI_VERSION of the module */
	__u32 vendor;		/* UMBRA_VENDOR_* */
	__u32 run_size;		/* bytes to mmap from a vCPU fd */
	__u32 max_vcpus;
	__u32 max_slots;
	__u32 tsc_khz;		/* the host's TSC; a guest's runs at the same rate */
	char version[32];	/* of the module, NUL-terminated */
	__u64 reserved[8];
};

/*
 * Capabilities. value is 0 when missing, and reason then says why, in words,
 * and what can be done about it.
 */
enum umbra_cap_nr {
	UMBRA_CAP_HARDWARE = 0,		/* the CPU can run guests */
	UMBRA_CAP_PAGING_NESTED = 1,
	UMBRA_CAP_PAGING_SHADOW = 2,
	UMBRA_CAP_NEXT_RIP = 3,		/* the CPU reports the next RIP at an exit */
	UMBRA_CAP_DECODE_ASSISTS = 4,
	UMBRA_CAP_FLUSH_BY_ASID = 5,
	UMBRA_CAP_ASIDS = 6,		/* value: their number */
	UMBRA_CAP_LA57 = 7,		/* 5-level paging for guests */
	UMBRA_CAP_XSAVE = 8,		/* value: size of a vCPU's XSAVE area in bytes */
	UMBRA_CAP_TPR_SHADOW = 9,	/* CR8, the task priority, costs no exit */
	UMBRA_CAP_X2APIC_VIRTUAL = 10,	/* ... nor does it as an MSR of x2APIC mode */
	UMBRA_CAP_INTERRUPT_DELIVERY = 11, /* the CPU delivers interrupts and takes EOIs */
	UMBRA_CAP_DEADLINE_TIMER = 12,	/* the CPU ends a guest's turn at its TSC deadline */
	UMBRA_CAP_DIRTY_LOGGING = 13,	/* the CPU itself notes pages for dirty logs */
	UMBRA_CAP_APIC_ACCESS = 14,	/* the CPU deals with accesses to the APIC in memory */
	UMBRA_CAP_REAL_MODE = 15,	/* with nested paging real mode needs no software */
	UMBRA_CAP_COUNT
};

struct umbra_cap {
	__u32 cap;		/* in: enum umbra_cap_nr */
	__u32 flags;		/* in: must be 0 */
	__u64 value;		/* out */
	char reason[112];	/* out: NUL-terminated, empty when there is none */
};

/* How a VM's memory is virtualized. */
#define UMBRA_PAGING_NESTED	0	/* EPT or NPT */
#define UMBRA_PAGING_SHADOW	1	/* shadow page tables */

struct umbra_create_vm {
	__u32 flags;		/* must be 0 */
	__u32 paging;		/* UMBRA_PAGING_* */
	__u64 reserved[7];
};

struct umbra_cpuid_entry {
	__u32 leaf;
	__u32 subleaf;
	__u32 flags;		/* UMBRA_CPUID_* */
	__u32 eax, ebx, ecx, edx;
	__u32 reserved;
};

#define UMBRA_CPUID_SUBLEAF	(1U << 0)	/* subleaf matters to this leaf */

#define UMBRA_MAX_CPUID		128

struct umbra_cpuid {
	__u32 count;		/* in: room for entries; out: entries */
	__u32 flags;		/* must be 0 */
	__u64 entries;		/* user address of struct umbra_cpuid_entry[count] */
};

struct umbra_msr {
	__u32 index;
	__u32 reserved;
	__u64 value;
};

#define UMBRA_MAX_MSRS		256

struct umbra_msrs {
	__u32 count;		/* in: entries; out: how many were done */
	__u32 flags;		/* must be 0 */
	__u64 entries;		/* user address of struct umbra_msr[count] */
};

/* ------------------------------------------------------------------ */
/* VM                                                                  */

#define UMBRA_MEM_READONLY	(1U << 0)	/* guest writes exit as MMIO */
#define UMBRA_MEM_LOG_DIRTY	(1U << 1)

struct umbra_memory {
	__u32 slot;
	__u32 flags;		/* UMBRA_MEM_* */
	__u64 gpa;		/* page aligned */
	__u64 size;		/* bytes, page aligned; 0 deletes the slot */
	__u64 uaddr;		/* page aligned address in the monitor */
	__u64 reserved[2];
};

struct umbra_dirty_log {
	__u32 slot;
	__u32 flags;		/* must be 0 */
	/* User address; a bit for each page, little endian, rounded up to 64 bits. */
	__u64 bitmap;
	__u64 size;		/* bytes at bitmap */
};

struct umbra_range {
	__u64 gpa;
	__u64 size;		/* bytes, not 0 */
};

struct umbra_create_vcpu {
	__u32 id;		/* below UMBRA_MAX_VCPUS; also its initial local APIC ID */
	__u32 flags;		/* must be 0 */
};

/* A message-signalled interrupt (SDM Vol. 3 11.11, "Message Signalled Interrupts"). */
struct umbra_msi {
	__u64 address;
	__u32 data;
	__u32 flags;		/* must be 0 */
};

/* The guest's paravirtual clock: nanoseconds since the VM was made. */
struct umbra_clock {
	__u64 ns;
	__u64 realtime_ns;	/* out: host CLOCK_REALTIME at that moment */
	__u64 tsc;		/* out: host TSC at that moment */
	__u32 flags;		/* must be 0 */
	__u32 reserved;
};

#define UMBRA_STAT_NAME		32

/* One named counter; cycles is 0 where none are counted. */
struct umbra_stat {
	char name[UMBRA_STAT_NAME];
	__u64 count;
	__u64 cycles;
};

#define UMBRA_MAX_STATS		1024

struct umbra_stats {
	__u32 count;		/* in: room for entries; out: entries there are */
	__u32 flags;		/* must be 0 */
	__u64 entries;		/* user address of struct umbra_stat[count] */
};

/* ------------------------------------------------------------------ */
/* vCPU                                                                */

/* Registers in the order in which instructions encode them. */
enum umbra_gpr {
	UMBRA_RAX = 0, UMBRA_RCX, UMBRA_RDX, UMBRA_RBX,
	UMBRA_RSP, UMBRA_RBP, UMBRA_RSI, UMBRA_RDI,
	UMBRA_R8, UMBRA_R9, UMBRA_R10, UMBRA_R11,
	UMBRA_R12, UMBRA_R13, UMBRA_R14, UMBRA_R15,
	UMBRA_NR_GPRS
};

/* Segment registers in the order in which instructions encode them. */
enum umbra_seg {
	UMBRA_ES = 0, UMBRA_CS, UMBRA_SS, UMBRA_DS, UMBRA_FS, UMBRA_GS,
	UMBRA_LDTR, UMBRA_TR,
	UMBRA_NR_SEGS
};

/*
 * Bits of umbra_segment.attr: those of a descriptor's second word (SDM Vol. 3
 * 3.4.5) shifted right by 8, as in the access-rights field of a VMCS.
 */
#define UMBRA_SEG_TYPE		0x000fU
#define UMBRA_SEG_S		0x0010U
#define UMBRA_SEG_DPL		0x0060U
#define UMBRA_SEG_DPL_SHIFT	5
#define UMBRA_SEG_P		0x0080U
#define UMBRA_SEG_AVL		0x1000U
#define UMBRA_SEG_L		0x2000U
#define UMBRA_SEG_DB		0x4000U
#define UMBRA_SEG_G		0x8000U
#define UMBRA_SEG_UNUSABLE	0x10000U

struct umbra_segment {
	__u64 base;
	__u32 limit;		/* in bytes, whatever G says */
	__u32 attr;		/* UMBRA_SEG_* */
	__u16 selector;
	__u16 reserved[3];
};

struct umbra_table {
	__u64 base;
	__u16 limit;
	__u16 reserved[3];
};

struct umbra_regs {
	__u64 gpr[UMBRA_NR_GPRS];
	__u64 rip;
	__u64 rflags;
};

#define UMBRA_SREGS_PDPTES	(1U << 0)	/* pdpte[] holds the loaded PDPTEs (PAE paging) */

struct umbra_sregs {
	struct umbra_segment seg[UMBRA_NR_SEGS];
	struct umbra_table gdtr, idtr;
	__u64 cr0, cr2, cr3, cr4, cr8;
	__u64 efer;
	__u64 xcr0;
	__u64 apic_base;
	__u64 pdpte[4];
	__u32 flags;		/* UMBRA_SREGS_* */
	__u32 reserved;
};

struct umbra_debugregs {
	__u64 dr[4];
	__u64 dr6, dr7;
};

enum umbra_mp_state {
	UMBRA_MP_RUNNABLE = 0,
	UMBRA_MP_HALTED = 1,
	UMBRA_MP_WAIT_SIPI = 2,	/* after INIT, or an application processor at power-on */
};

/* umbra_events.flags */
#define UMBRA_EVENT_EXCEPTION_PENDING	(1U << 0)	/* raised, not begun */
#define UMBRA_EVENT_EXCEPTION_INJECTED	(1U << 1)	/* its delivery was begun and cut short */
#define UMBRA_EVENT_EXCEPTION_ERROR	(1U << 2)	/* exception_error is valid */
#define UMBRA_EVENT_INTERRUPT_INJECTED	(1U << 3)	/* the same of interrupt_vector */
#define UMBRA_EVENT_INTERRUPT_SOFT	(1U << 4)	/* ... and it is an INT n */
#define UMBRA_EVENT_NMI_INJECTED	(1U << 5)
#define UMBRA_EVENT_NMI_PENDING		(1U << 6)
#define UMBRA_EVENT_NMI_MASKED		(1U << 7)	/* until IRET */
#define UMBRA_EVENT_SHADOW_STI		(1U << 8)	/* for one instruction */
#define UMBRA_EVENT_SHADOW_MOV_SS	(1U << 9)
#define UMBRA_EVENT_TRIPLE_FAULT	(1U << 10)
#define UMBRA_EVENT_INIT_PENDING	(1U << 11)
#define UMBRA_EVENT_SIPI_PENDING	(1U << 12)	/* sipi_vector is valid */
#define UMBRA_EVENT_INTR_LINE		(1U << 13)	/* level of the INTR pin */
#define UMBRA_EVENT_NMI_LINE		(1U << 14)	/* level of the NMI pin */
#define UMBRA_EVENT_EXCEPTION_PAYLOAD	(1U << 15)	/* exception_payload is valid */

struct umbra_events {
	__u32 flags;
	__u8 exception_vector;
	__u8 interrupt_vector;
	__u8 sipi_vector;
	__u8 mp_state;		/* enum umbra_mp_state */
	__u32 exception_error;
	__u32 insn_length;	/* of the INT n, INT3 or INTO being delivered; 0: not known */
	__u64 exception_payload; /* CR2 of a #PF, DR6 bits of a #DB */
	__u64 reserved[2];
};

/* Groups of umbra_state, in umbra_state.groups. */
#define UMBRA_STATE_REGS	(1U << 0)
#define UMBRA_STATE_SREGS	(1U << 1)
#define UMBRA_STATE_DEBUG	(1U << 2)
#define UMBRA_STATE_EVENTS	(1U << 3)
#define UMBRA_STATE_ALL		0xfU

struct umbra_state {
	__u32 groups;		/* which of the following to get or set */
	__u32 flags;		/* must be 0 */
	struct umbra_regs regs;
	struct umbra_sregs sregs;
	struct umbra_debugregs debug;
	struct umbra_events events;
};

/* The XSAVE area, in the standard (not compacted) format (SDM Vol. 1 13.4). */
struct umbra_xsave {
	__u64 area;		/* user address */
	__u32 size;		/* bytes there; UMBRA_CAP_XSAVE says how many are needed */
	__u32 flags;		/* must be 0 */
};

/* The register page of the local APIC and what a page of registers cannot hold. */
#define UMBRA_LAPIC_EXTINT	(1U << 0)	/* an ExtINT message waits for the 8259's vector */

struct umbra_lapic_state {
	__u8 regs[1024];	/* at 16-byte strides, as in xAPIC mode */
	__u64 timer_remaining_ns; /* until the timer fires; 0: not armed, or in TSC-deadline mode */
	__u32 esr_pending;	/* errors since ESR was last written */
	__u32 flags;		/* UMBRA_LAPIC_* */
	__u64 reserved[6];
};

/* Pins of a local APIC. */
#define UMBRA_PIN_INTR		0	/* LINT0: the 8259's output */
#define UMBRA_PIN_NMI		1	/* LINT1 */

struct umbra_pin {
	__u32 pin;		/* UMBRA_PIN_* */
	__u32 level;		/* 0 or 1 */
};

#define UMBRA_TRANSLATE_WRITE	(1U << 0)
#define UMBRA_TRANSLATE_USER	(1U << 1)
#define UMBRA_TRANSLATE_FETCH	(1U << 2)

struct umbra_translate {
	__u64 gva;
	__u64 gpa;		/* out */
	__u32 flags;		/* in: UMBRA_TRANSLATE_* */
	__u32 error;		/* out: 0, or the page-fault error code with bit 31 set */
};

/* ------------------------------------------------------------------ */
/* The run page                                                        */

enum umbra_exit_reason {
	UMBRA_EXIT_NONE = 0,
	UMBRA_EXIT_IO = 1,		/* port I/O, io */
	UMBRA_EXIT_MMIO = 2,		/* access to no memory slot, mmio */
	UMBRA_EXIT_INTACK = 3,		/* the INTR pin's request was accepted: intack */
	UMBRA_EXIT_EOI = 4,		/* EOI of a level-triggered vector, eoi */
	UMBRA_EXIT_SHUTDOWN = 5,	/* triple fault */
	UMBRA_EXIT_EMULATION = 6,	/* an instruction that cannot be emulated, emulation */
	UMBRA_EXIT_ENTRY_FAILED = 7,	/* the CPU refused the guest's state, failed */
	UMBRA_EXIT_MEMORY_FAULT = 8,	/* the host could not provide a slot's page, memory_fault */
	UMBRA_EXIT_COUNT
};

#define UMBRA_IO_IN		0
#define UMBRA_IO_OUT		1

struct umbra_run {
	/* in: UMBRA_RUN returns -EINTR before it enters the guest */
	__u8 immediate_exit;
	__u8 reserved1[7];

	/* out */
	__u32 exit_reason;	/* enum umbra_exit_reason */
	__u32 reserved2;

	union {
		/*
		 * count items of size bytes each at UMBRA_RUN_IO_OFFSET of the
		 * run area. For IN the monitor puts the data there before it
		 * calls UMBRA_RUN again.
		 */
		struct {
			__u16 port;
			__u8 direction;	/* UMBRA_IO_* */
			__u8 size;	/* 1, 2 or 4 */
			__u32 count;	/* 1 but for string I/O */
		} io;
		/* For a read the monitor puts len bytes into data. */
		struct {
			__u64 gpa;
			__u8 data[8];
			__u32 len;	/* 1 to 8 */
			__u32 is_write;
		} mmio;
		/* The monitor answers with the vector of the 8259 (0 to 255). */
		struct {
			__u32 vector;	/* in */
		} intack;
		struct {
			__u32 vector;
		} eoi;
		struct {
			__u64 rip;
			__u8 insn[15];
			__u8 insn_len;	/* how many bytes could be read */
			__u32 mode;	/* bits of code: 16, 32 or 64 */
			__u32 reserved;
		} emulation;
		struct {
			__u64 code;	/* the CPU's exit code or error */
			char reason[112]; /* which check failed, in words */
		} failed;
		struct {
			__u64 gpa;
			__s32 error;	/* negative errno of the host */
			__u32 reserved;
		} memory_fault;
		__u8 padding[240];
	};
};

/* ------------------------------------------------------------------ */
/* ioctl numbers                                                       */

#define UMBRA_IOC		0xb5

/* on /dev/umbra */
#define UMBRA_GET_INFO		_IOR(UMBRA_IOC, 0x00, struct umbra_info)
#define UMBRA_CHECK_CAP		_IOWR(UMBRA_IOC, 0x01, struct umbra_cap)
#define UMBRA_CREATE_VM		_IOW(UMBRA_IOC, 0x02, struct umbra_create_vm)
#define UMBRA_SUPPORTED_CPUID	_IOWR(UMBRA_IOC, 0x03, struct umbra_cpuid)
#define UMBRA_SUPPORTED_MSRS	_IOWR(UMBRA_IOC, 0x04, struct umbra_msrs)

/* on a VM fd */
#define UMBRA_SET_MEMORY	_IOW(UMBRA_IOC, 0x20, struct umbra_memory)
#define UMBRA_GET_DIRTY_LOG	_IOW(UMBRA_IOC, 0x21, struct umbra_dirty_log)
#define UMBRA_CREATE_VCPU	_IOW(UMBRA_IOC, 0x22, struct umbra_create_vcpu)
#define UMBRA_SEND_MSI		_IOW(UMBRA_IOC, 0x23, struct umbra_msi)
#define UMBRA_GET_CLOCK		_IOR(UMBRA_IOC, 0x24, struct umbra_clock)
#define UMBRA_SET_CLOCK		_IOW(UMBRA_IOC, 0x25, struct umbra_clock)
#define UMBRA_GET_VM_STATS	_IOWR(UMBRA_IOC, 0x26, struct umbra_stats)
#define UMBRA_MEMORY_WRITTEN	_IOW(UMBRA_IOC, 0x27, struct umbra_range)

/* on a vCPU fd */
#define UMBRA_RUN		_IO(UMBRA_IOC, 0x40)
#define UMBRA_GET_STATE		_IOWR(UMBRA_IOC, 0x41, struct umbra_state)
#define UMBRA_SET_STATE		_IOW(UMBRA_IOC, 0x42, struct umbra_state)
#define UMBRA_SET_CPUID		_IOW(UMBRA_IOC, 0x43, struct umbra_cpuid)
#define UMBRA_GET_CPUID		_IOWR(UMBRA_IOC, 0x44, struct umbra_cpuid)
#define UMBRA_GET_MSRS		_IOWR(UMBRA_IOC, 0x45, struct umbra_msrs)
#define UMBRA_SET_MSRS		_IOWR(UMBRA_IOC, 0x46, struct umbra_msrs)
#define UMBRA_GET_XSAVE		_IOW(UMBRA_IOC, 0x47, struct umbra_xsave)
#define UMBRA_SET_XSAVE		_IOW(UMBRA_IOC, 0x48, struct umbra_xsave)
#define UMBRA_GET_LAPIC		_IOR(UMBRA_IOC, 0x49, struct umbra_lapic_state)
#define UMBRA_SET_LAPIC		_IOW(UMBRA_IOC, 0x4a, struct umbra_lapic_state)
#define UMBRA_SET_PIN		_IOW(UMBRA_IOC, 0x4b, struct umbra_pin)
#define UMBRA_TRANSLATE		_IOWR(UMBRA_IOC, 0x4c, struct umbra_translate)
#define UMBRA_GET_VCPU_STATS	_IOWR(UMBRA_IOC, 0x4d, struct umbra_stats)

#endif /* _UAPI_UMBRA_UMBRA_H */
