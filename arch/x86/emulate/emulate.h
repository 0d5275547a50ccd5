/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instruction decoder and executor: the interface.
 *
 * Two layers, usable on their own:
 *
 *  - umbra_decode() turns bytes into a struct umbra_insn. Exit handlers on a
 *    CPU without next-RIP save and decode assists need only this.
 *  - umbra_emulate() executes one instruction on the state that a struct
 *    umbra_emul points to, through the callbacks of struct umbra_emul_ops.
 *
 * Nothing here allocates, sleeps, locks or knows a vendor; whether the
 * callbacks may sleep is the caller's business alone.
 */
#ifndef UMBRA_EMULATE_H
#define UMBRA_EMULATE_H

#include "compat.h"

/* An x86 instruction is never longer (SDM Vol. 2, 2.3.11; APM Vol. 3, 1.1). */
#define UMBRA_INSN_MAX		15

/* Code size: what CS.L and CS.D say, in bytes of the default address. */
#define UMBRA_CODE_16		2
#define UMBRA_CODE_32		4
#define UMBRA_CODE_64		8

/* Segment registers, in the order the instruction encoding gives them. */
enum umbra_emul_segreg {
	UMBRA_EMUL_ES,
	UMBRA_EMUL_CS,
	UMBRA_EMUL_SS,
	UMBRA_EMUL_DS,
	UMBRA_EMUL_FS,
	UMBRA_EMUL_GS,
	UMBRA_EMUL_NR_SEG,		/* segments that address memory operands */
	UMBRA_EMUL_TR = UMBRA_EMUL_NR_SEG,
	UMBRA_EMUL_LDTR,
	UMBRA_EMUL_GDTR,		/* only base and limit have a meaning */
	UMBRA_EMUL_IDTR,		/* only base and limit have a meaning */
};

/* Index into the array of general registers: the encoding's order, too. */
enum umbra_emul_gpr {
	UMBRA_EMUL_RAX, UMBRA_EMUL_RCX, UMBRA_EMUL_RDX, UMBRA_EMUL_RBX,
	UMBRA_EMUL_RSP, UMBRA_EMUL_RBP, UMBRA_EMUL_RSI, UMBRA_EMUL_RDI,
};

/* struct umbra_insn.map */
#define UMBRA_MAP_1BYTE		0	/* one-byte opcodes */
#define UMBRA_MAP_0F		1	/* 0f xx, and VEX/EVEX map 1 */
#define UMBRA_MAP_0F38		2	/* 0f 38 xx, and VEX/EVEX map 2 */
#define UMBRA_MAP_0F3A		3	/* 0f 3a xx, and VEX/EVEX map 3 */
#define UMBRA_MAP_3DNOW		15	/* 0f 0f, the opcode is the last byte */

/* struct umbra_insn.flags */
#define UMBRA_INSN_MODRM	BIT(0)	/* has a ModRM byte: reg and rm are valid */
#define UMBRA_INSN_MEM		BIT(1)	/* ModRM names memory: umbra_insn_offset() */
#define UMBRA_INSN_LOCK		BIT(2)	/* f0, and legal with this instruction */
#define UMBRA_INSN_OP66		BIT(3)	/* 66 seen (or implied by VEX.pp) */
#define UMBRA_INSN_AD67		BIT(4)	/* 67 seen */
#define UMBRA_INSN_REX		BIT(5)	/* REX seen: 4..7 are SPL BPL SIL DIL */
#define UMBRA_INSN_VEX		BIT(6)	/* VEX encoded */
#define UMBRA_INSN_EVEX		BIT(7)	/* EVEX encoded */
#define UMBRA_INSN_XOP		BIT(8)	/* XOP encoded; map is 8, 9 or 10 */
#define UMBRA_INSN_RIPREL	BIT(9)	/* the memory operand is RIP relative */

/* struct umbra_insn.rex (same bits as in the REX prefix; VEX is translated) */
#define UMBRA_REX_B		BIT(0)
#define UMBRA_REX_X		BIT(1)
#define UMBRA_REX_R		BIT(2)
#define UMBRA_REX_W		BIT(3)

/**
 * struct umbra_insn - one decoded instruction
 * @length:	length in bytes, 1..15; 0 means "not decoded"
 * @map:	opcode map, UMBRA_MAP_*
 * @opcode:	opcode byte within the map
 * @opsize:	operand size in bytes: 1, 2, 4 or 8 (1 for the byte forms). For
 *		SSE and VEX instructions it says only what 66 and W say
 * @adsize:	address size in bytes: 2, 4 or 8
 * @code:	the code size it was decoded for, UMBRA_CODE_*
 * @rex:	UMBRA_REX_*, 0 without a REX, VEX, EVEX or XOP prefix
 * @rep:	the last of f2 and f3 seen (or implied by VEX.pp), else 0
 * @seg:	enum umbra_emul_segreg of the memory operand, defaults and ignored
 *		prefixes in 64-bit mode taken into account
 * @modrm:	the ModRM byte
 * @sib:	the SIB byte, valid when the address form has one
 * @reg:	ModRM.reg with REX.R: 0..15
 * @rm:		ModRM.rm with REX.B: 0..15; a register only without
 *		UMBRA_INSN_MEM
 * @vvvv:	VEX.vvvv, not inverted any more (0 when unused); valid with a
 *		VEX, EVEX or XOP prefix
 * @vl:		vector length in bytes: 16, 32 or 64; valid like @vvvv
 * @flags:	UMBRA_INSN_*
 * @attr:	what the opcode table says, private to the decoder and executor
 * @imm2:	second immediate: the selector of a far pointer, the level of ENTER
 * @disp:	displacement, sign-extended; 0 without one
 * @imm:	immediate, sign-extended to 64 bits; the offset of a moffs operand
 *		or far pointer, zero-extended; the displacement of a branch.
 *		Valid only for instructions that have one
 */
struct umbra_insn {
	u8 length;
	u8 map;
	u8 opcode;
	u8 opsize;
	u8 adsize;
	u8 code;
	u8 rex;
	u8 rep;

	u8 seg;
	u8 modrm;
	u8 sib;
	u8 reg;
	u8 rm;
	u8 vvvv;
	u8 vl;

	u16 flags;
	u16 attr;
	u16 imm2;
	s32 disp;
	u64 imm;
};

/**
 * umbra_decode() - decode one instruction
 * @insn:	filled in on success; on failure only garbage may be left in it,
 *		except that @length is then 0
 * @bytes:	the instruction's bytes
 * @avail:	how many of them there are; more than 15 are never looked at
 * @code:	UMBRA_CODE_16, UMBRA_CODE_32 or UMBRA_CODE_64
 *
 * Opcodes of every map are known by length. What the CPU does with operands,
 * with group encodings (ModRM.reg as opcode) and with privilege is not checked
 * here: an instruction that decodes may still be undefined.
 *
 * VEX, EVEX and XOP are recognised in 16-bit code, too; they are undefined in
 * real and virtual-8086 mode, which the decoder knows nothing of.
 *
 * Return:
 * * 0		- decoded
 * * -EAGAIN	- more bytes are needed, and @avail was less than 15
 * * -E2BIG	- longer than 15 bytes: #GP(0)
 * * -EINVAL	- undefined in this code size, or LOCK where it is not allowed: #UD
 * * -EOPNOTSUPP - an opcode the decoder does not know, or one whose length
 *		depends on the vendor (66 with a near branch in 64-bit code)
 */
int __must_check umbra_decode(struct umbra_insn *insn, const u8 *bytes,
			      unsigned int avail, unsigned int code);

/**
 * umbra_insn_offset() - offset of the memory operand within its segment
 * @insn:	a decoded instruction with UMBRA_INSN_MEM
 * @gpr:	the 16 general registers in encoding order
 * @rip:	address of the instruction itself (its offset in CS)
 *
 * The linear address is this plus the base of @insn->seg, truncated to 32 bits
 * outside 64-bit code. (In 64-bit code the base of ES, CS, SS and DS counts as
 * zero.)
 *
 * Return: the offset, truncated to the address size.
 */
u64 umbra_insn_offset(const struct umbra_insn *insn, const u64 *gpr, u64 rip);

/**
 * umbra_insn_cr() - control register that MOV CR (0f 20, 0f 22) names
 * @insn:	a decoded MOV to or from a control register
 *
 * Return: 0..15. LOCK selects CR8 in code without REX (APM Vol. 3, MOV CRn).
 */
static inline unsigned int umbra_insn_cr(const struct umbra_insn *insn)
{
	return insn->reg | (insn->flags & UMBRA_INSN_LOCK ? 8 : 0);
}

/**
 * umbra_insn_next_rip() - address of the following instruction
 * @insn:	a decoded instruction
 * @rip:	its address
 *
 * Return: the address, truncated to 32 bits outside 64-bit code.
 */
static inline u64 umbra_insn_next_rip(const struct umbra_insn *insn, u64 rip)
{
	rip += insn->length;
	return insn->code == UMBRA_CODE_64 ? rip : (u32)rip;
}

/* Attributes of a segment: bits 8..15 and 20..23 of the descriptor's second word. */
#define UMBRA_EMUL_SEG_TYPE	0x000f
#define UMBRA_EMUL_SEG_S	BIT(4)
#define UMBRA_EMUL_SEG_DPL_SHIFT 5
#define UMBRA_EMUL_SEG_P	BIT(7)	/* clear also says "null" or "unusable" */
#define UMBRA_EMUL_SEG_AVL	BIT(12)
#define UMBRA_EMUL_SEG_L	BIT(13)
#define UMBRA_EMUL_SEG_DB	BIT(14)
#define UMBRA_EMUL_SEG_G	BIT(15)

/**
 * struct umbra_emul_seg - a segment register
 * @base:	base address
 * @limit:	limit in bytes, expanded (G already applied)
 * @selector:	selector
 * @attr:	UMBRA_EMUL_SEG_*
 */
struct umbra_emul_seg {
	u64 base;
	u32 limit;
	u16 selector;
	u16 attr;
};

/**
 * enum umbra_emul_result - what a callback, or umbra_emulate() itself, did
 * @UMBRA_EMUL_DONE:	done. From umbra_emulate(): the instruction completed and
 *			GPRs, RFLAGS and RIP are committed
 * @UMBRA_EMUL_FAULT:	an exception is due, struct umbra_emul.exc describes it.
 *			RIP stays at the instruction (every exception is a fault)
 * @UMBRA_EMUL_IO:	user space must supply data or take some first; then the same
 *			instruction has to be executed again
 * @UMBRA_EMUL_RETRY:	go back to the guest at RIP as it stands: the world changed
 *			under the instruction, or a string instruction did part of
 *			its work and is to be continued after interrupts had a chance
 * @UMBRA_EMUL_UNHANDLED: the executor (or the callback) can't do this; tell user
 *			space, with the bytes in struct umbra_emul.fetch
 */
enum umbra_emul_result {
	UMBRA_EMUL_DONE,
	UMBRA_EMUL_FAULT,
	UMBRA_EMUL_IO,
	UMBRA_EMUL_RETRY,
	UMBRA_EMUL_UNHANDLED,
};

/* Flags of memory accesses */
#define UMBRA_EMUL_RMW		BIT(0)	/* read: the same bytes will be written; check */
					/* both permissions, report a fault as a write */
#define UMBRA_EMUL_LOCKED	BIT(1)	/* read: a cmpxchg of the same bytes follows */
#define UMBRA_EMUL_PROBE	BIT(2)	/* write: check only, write nothing, data is NULL; */
					/* read: check only, the data is not looked at */
#define UMBRA_EMUL_SYSTEM	BIT(3)	/* implicit supervisor access (descriptor table), */
					/* whatever the CPL */
#define UMBRA_EMUL_BULK		BIT(4)	/* several elements of INS or OUTS within a page: */
					/* for plain memory only. Anything else returns */
					/* UMBRA_EMUL_UNHANDLED and is asked again for */
					/* one element */

struct umbra_emul;

/**
 * struct umbra_emul_ops - the machine around the executor
 *
 * Every callback returns an enum umbra_emul_result. On UMBRA_EMUL_FAULT it has
 * filled in the exception with umbra_emul_fault() or umbra_emul_page_fault().
 * Any result but UMBRA_EMUL_DONE stops the instruction at once. All callbacks but
 * @string_commit are obligatory; what one can't do is UMBRA_EMUL_UNHANDLED.
 *
 * Re-execution. All reads (memory, ports, CR, MSR) of an instruction come before
 * its one write, and no register changes before all of them succeeded. So a
 * callback may answer a read of MMIO or of a port with UMBRA_EMUL_IO at any time;
 * when the data has come the caller runs the instruction again, the executor asks
 * for the same things in the same order, and the callback answers from the data it
 * kept. Writes are posted: @write and @pio_out accept (UMBRA_EMUL_DONE), the
 * instruction commits, and the caller hands the data to user space later. A
 * callback that has no room returns UMBRA_EMUL_IO instead, and is asked again.
 *
 * What was kept belongs to the past once umbra_emulate() returned anything but
 * UMBRA_EMUL_IO, and from each @string_commit on: string instructions do all this
 * once per element.
 *
 * @fetch:	read @len bytes of code at @linear, never across a page boundary.
 *		A page fault is reported for @linear
 * @read:	read @len (1..32, with UMBRA_EMUL_BULK up to 512) bytes; may cross a page
 *		boundary. A page fault is reported for the first byte that faults.
 *		Flags: UMBRA_EMUL_RMW, _LOCKED, _PROBE, _SYSTEM, _BULK
 * @write:	write @len (1..32, with UMBRA_EMUL_BULK up to 512) bytes; may cross a
 *		page boundary. Everything is checked, on both pages, before the first
 *		byte changes. A naturally aligned write of up to 8 bytes is atomic.
 *		Flags: UMBRA_EMUL_PROBE, _SYSTEM, _BULK
 * @compare_exchange: if the @len (1, 2, 4, 8 or 16) bytes at @linear equal @old,
 *		replace them by @new, atomically. UMBRA_EMUL_RETRY when they do not.
 *		(cmpxchg is a macro of the kernel's.) May cross a
 *		page or cache line boundary (a split lock), where the caller may
 *		fall back to something weaker. Permissions as for @write. MMIO: a write.
 *		Flags: UMBRA_EMUL_SYSTEM
 * @get_segment: read a segment register or descriptor table register
 * @set_segment: load one, all fields; FS and GS bases are part of it
 * @get_cr:	read CR0, CR2, CR3, CR4 or CR8; CPL and the number are checked already
 * @set_cr:	write one; the callback checks the value (#GP(0))
 * @get_dr:	read DR0..DR3, DR6 or DR7 (4 and 5 are translated); the callback
 *		handles general detect (DR7.GD)
 * @set_dr:	write one; likewise
 * @get_xcr:	read an extended control register
 * @set_xcr:	write one; the callback checks number and value (#GP(0))
 * @rdmsr:	read an MSR; CPL is checked already
 * @wrmsr:	write an MSR; likewise
 * @invlpg:	invalidate the translation of @linear (canonical)
 * @cpuid:	in: leaf in *@eax, subleaf in *@ecx; out: all four
 * @halt:	stop until an interrupt; RIP is advanced as after any instruction
 * @wbinvd:	write back or drop caches; CPL is checked already
 * @io_allowed:	look @port .. @port + @size - 1 up in the TSS I/O permission map.
 *		Only called when IOPL does not permit the access anyway;
 *		UMBRA_EMUL_FAULT with #GP(0) if not allowed
 * @pio_in:	read @count elements of @size (1, 2, 4) bytes from one port
 * @pio_out:	write @count elements of @size bytes to one port
 * @get_vec:	read the low @len (16 or 32) bytes of vector register @reg
 * @set_vec:	write them; with @zero_upper also clear the rest of the register up to
 *		the longest vector XCR0 enables, else leave it alone
 * @get_mmx:	read MMX register @reg, as an MMX instruction does: the x87 state is
 *		changed. With @value NULL only check for a pending x87 exception, which
 *		is UMBRA_EMUL_FAULT with #MF
 * @set_mmx:	write it, as an MMX instruction does
 * @string_commit: an element of a string instruction is committed in the
 *		registers, and another one follows within this call, unless this is
 *		answered by UMBRA_EMUL_RETRY: let the CPU do the others. Optional
 */
struct umbra_emul_ops {
	int (*fetch)(struct umbra_emul *c, u64 linear, void *data, unsigned int len);
	int (*read)(struct umbra_emul *c, u64 linear, void *data, unsigned int len,
		    unsigned int flags);
	int (*write)(struct umbra_emul *c, u64 linear, const void *data, unsigned int len,
		     unsigned int flags);
	int (*compare_exchange)(struct umbra_emul *c, u64 linear, const void *old,
				const void *new, unsigned int len, unsigned int flags);

	int (*get_segment)(struct umbra_emul *c, unsigned int seg, struct umbra_emul_seg *s);
	int (*set_segment)(struct umbra_emul *c, unsigned int seg,
			   const struct umbra_emul_seg *s);

	int (*get_cr)(struct umbra_emul *c, unsigned int cr, u64 *value);
	int (*set_cr)(struct umbra_emul *c, unsigned int cr, u64 value);
	int (*get_dr)(struct umbra_emul *c, unsigned int dr, u64 *value);
	int (*set_dr)(struct umbra_emul *c, unsigned int dr, u64 value);
	int (*get_xcr)(struct umbra_emul *c, u32 xcr, u64 *value);
	int (*set_xcr)(struct umbra_emul *c, u32 xcr, u64 value);
	int (*rdmsr)(struct umbra_emul *c, u32 msr, u64 *value);
	int (*wrmsr)(struct umbra_emul *c, u32 msr, u64 value);
	int (*invlpg)(struct umbra_emul *c, u64 linear);
	int (*cpuid)(struct umbra_emul *c, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
	int (*halt)(struct umbra_emul *c);
	int (*wbinvd)(struct umbra_emul *c);

	int (*io_allowed)(struct umbra_emul *c, u16 port, unsigned int size);
	int (*pio_in)(struct umbra_emul *c, u16 port, unsigned int size, void *data,
		      unsigned int count);
	int (*pio_out)(struct umbra_emul *c, u16 port, unsigned int size, const void *data,
		       unsigned int count);

	int (*get_vec)(struct umbra_emul *c, unsigned int reg, void *data, unsigned int len);
	int (*set_vec)(struct umbra_emul *c, unsigned int reg, const void *data,
		       unsigned int len, bool zero_upper);
	int (*get_mmx)(struct umbra_emul *c, unsigned int reg, u64 *value);
	int (*set_mmx)(struct umbra_emul *c, unsigned int reg, u64 value);

	int (*string_commit)(struct umbra_emul *c);
};

/* struct umbra_emul.events, valid after UMBRA_EMUL_DONE and UMBRA_EMUL_RETRY */
#define UMBRA_EMUL_EV_STEP	BIT(0)	/* RFLAGS.TF: a #DB with DR6.BS is due now */
#define UMBRA_EMUL_EV_STI	BIT(1)	/* STI set IF: interrupt shadow begins */
#define UMBRA_EMUL_EV_MOVSS	BIT(2)	/* SS was loaded: shadow, EV_STEP is withheld */
#define UMBRA_EMUL_EV_TASK	BIT(3)	/* a new task runs; valid after a fault, too */
#define UMBRA_EMUL_EV_TASK_TRAP	BIT(4)	/* its TSS wants a #DB with DR6.BT now */
#define UMBRA_EMUL_EV_INT	BIT(5)	/* INT and its like: EV_STEP is withheld */
#define UMBRA_EMUL_EV_IRET	BIT(6)	/* IRET: RF is what it popped, NMIs are unmasked */

/**
 * struct umbra_emul_exception - an exception to inject
 * @vector:	X86_TRAP_*
 * @has_error:	whether @error_code is pushed (never in real mode)
 * @error_code:	error code
 * @address:	for #PF: the linear address, for CR2
 *
 * All of them are faults: whoever injects one sets RFLAGS.RF in the pushed image.
 */
struct umbra_emul_exception {
	u8 vector;
	bool has_error;
	u32 error_code;
	u64 address;
};

/**
 * struct umbra_emul - one instruction's execution
 * @ops:	the machine around
 * @gpr:	the 16 general registers in encoding order; RSP and RAX included
 * @rip:	RIP; the instruction's address before, the next one's after
 * @rflags:	RFLAGS
 * @cr0:	CR0 as the guest sees it
 * @cr4:	CR4 as the guest sees it
 * @efer:	EFER as the guest sees it
 * @code:	UMBRA_CODE_*
 * @cpl:	current privilege level (0 in real mode, 3 in virtual-8086 mode)
 * @fetch_len:	how many bytes of @fetch are valid
 * @events:	UMBRA_EMUL_EV_*
 * @exc:	the exception, when the result is UMBRA_EMUL_FAULT
 * @insn:	the instruction; @insn.length == 0: umbra_emulate() decodes it
 * @fetch:	the instruction's bytes; the caller may supply the first ones
 * @next_rip:	private
 * @seg_valid:	private: which of @seg were read
 * @seg:	private: segment registers as ops->get_segment gave them
 *
 * The caller sets @ops up to @cpl and calls umbra_emul_start(); it may then
 * copy prefetched bytes into @fetch and set @fetch_len. To continue after
 * UMBRA_EMUL_IO it does the same again.
 */
struct umbra_emul {
	const struct umbra_emul_ops *ops;
	u64 *gpr;
	u64 rip;
	u64 rflags;
	u64 cr0;
	u64 cr4;
	u64 efer;
	u8 code;
	u8 cpl;

	u8 fetch_len;
	u8 events;
	struct umbra_emul_exception exc;
	struct umbra_insn insn;
	u8 fetch[UMBRA_INSN_MAX + 1];

	u64 next_rip;
	u32 seg_valid;
	struct umbra_emul_seg seg[UMBRA_EMUL_NR_SEG];
};

/**
 * umbra_emul_start() - forget everything about an earlier instruction
 * @c:	the context
 */
static inline void umbra_emul_start(struct umbra_emul *c)
{
	c->fetch_len = 0;
	c->events = 0;
	c->seg_valid = 0;
	c->insn.length = 0;
}

/**
 * umbra_emulate() - execute one instruction
 * @c:	the context
 *
 * Fetches and decodes unless c->insn is decoded already, checks, executes, and
 * commits general registers, RFLAGS (RF is cleared, but by IRET) and RIP. A repeated string
 * instruction stops after a bounded number of elements with UMBRA_EMUL_RETRY, the
 * registers saying how far it got and RIP still at the instruction; the caller
 * enters the guest, or calls again if nothing is pending.
 *
 * Not looked at: data and I/O breakpoints, and control-flow enforcement (shadow
 * stacks): a guest must not be offered CET with an executor that runs its CALLs.
 *
 * Return: an enum umbra_emul_result. After any but UMBRA_EMUL_DONE registers are
 * unchanged, except for the progress of string instructions.
 */
int __must_check umbra_emulate(struct umbra_emul *c);

/* What makes a task switch; in the order of VT-x's exit qualification */
enum umbra_task_reason {
	UMBRA_TASK_CALL,
	UMBRA_TASK_IRET,
	UMBRA_TASK_JMP,
	UMBRA_TASK_GATE,		/* a task gate of the IDT */
};

/**
 * struct umbra_emul_task - a task switch
 * @selector:	of the new task's TSS
 * @reason:	enum umbra_task_reason
 * @insn_length: bytes of the instruction that makes it, which is at RIP; 0 with
 *		UMBRA_TASK_GATE: none, it is an exception or external interrupt that
 *		goes through the gate
 * @has_error:	an error code is pushed onto the new task's stack
 * @error:	the error code
 */
struct umbra_emul_task {
	u16 selector;
	u8 reason;
	u8 insn_length;
	bool has_error;
	u32 error;
};

/**
 * umbra_emul_task_switch() - switch tasks as the CPU does
 * @c:	the context, as for umbra_emulate()
 * @t:	what switch it is
 *
 * SDM Vol. 3 7.3, APM Vol. 2 12.3. Privileges have been checked by whoever looked at
 * the TSS descriptor or task gate; all else that table 7-2 of the SDM names is checked here.
 *
 * The old task's registers are taken from @c and, with RIP moved over the instruction,
 * stored in its TSS. After that the switch can't be undone: UMBRA_EMUL_EV_TASK is set,
 * and general registers, RFLAGS, RIP, CR0.TS, CR3 and segment registers are the new
 * task's. A fault from there on is one of the new task, at its first instruction. The
 * caller clears the local breakpoints in DR7.
 *
 * Return: an enum umbra_emul_result. After UMBRA_EMUL_RETRY nothing has changed.
 */
int __must_check umbra_emul_task_switch(struct umbra_emul *c, const struct umbra_emul_task *t);

/**
 * umbra_emul_deliver_real() - deliver an event to a guest in real mode
 * @c:		the context; @rip is where it returns to
 * @vector:	which
 *
 * Commits RSP, RFLAGS and RIP on success.
 *
 * Return: an enum umbra_emul_result.
 */
int __must_check umbra_emul_deliver_real(struct umbra_emul *c, u8 vector);

/**
 * umbra_emul_fault() - note an exception without address
 * @c:		the context
 * @vector:	X86_TRAP_*
 * @has_error:	whether it pushes an error code in protected mode
 * @error_code:	the error code
 *
 * Return: UMBRA_EMUL_FAULT, to be returned by the caller in turn.
 */
static inline int umbra_emul_fault(struct umbra_emul *c, unsigned int vector, bool has_error,
				   u32 error_code)
{
	c->exc.vector = vector;
	c->exc.has_error = has_error && (c->cr0 & X86_CR0_PE);
	c->exc.error_code = error_code;
	c->exc.address = 0;
	return UMBRA_EMUL_FAULT;
}

/**
 * umbra_emul_page_fault() - note a page fault
 * @c:		the context
 * @error_code:	the error code
 * @address:	the linear address, for CR2
 *
 * Return: UMBRA_EMUL_FAULT.
 */
static inline int umbra_emul_page_fault(struct umbra_emul *c, u32 error_code, u64 address)
{
	c->exc.vector = X86_TRAP_PF;
	c->exc.has_error = true;
	c->exc.error_code = error_code;
	c->exc.address = address;
	return UMBRA_EMUL_FAULT;
}

#endif /* UMBRA_EMULATE_H */
