/* SPDX-License-Identifier: GPL-2.0-only */
/* Exceptions, interrupts, recovery from expected faults, and user mode. */
#ifndef LIB_TRAP_H
#define LIB_TRAP_H

#include "cpu.h"

/* What the entry stubs leave on the stack; their order is known to entry.S. */
struct regs {
#ifdef __x86_64__
	ulong r15, r14, r13, r12, r11, r10, r9, r8;
	ulong di, si, bp, bx, dx, cx, ax;
#else
	ulong di, si, bp, unused_sp, bx, dx, cx, ax;
	ulong gs, fs, es, ds;
#endif
	ulong vector, error;
	ulong ip, cs, flags;
	ulong sp, ss;			/* 32-bit: only there when the privilege changed */
#ifndef __x86_64__
	ulong vm_es, vm_ds, vm_fs, vm_gs;	/* only there when VM86 was left */
#endif
};

/* What one trap was, as the last TRY() on this CPU saw it. */
struct trap {
	int vector;
	ulong error, ip, cs, flags, sp;
	ulong cr2;			/* #PF */
	ulong dr6;			/* #DB */
	struct regs regs;
};

#define NO_TRAP (-1)

/* A processor's own data, found through its task register. */
struct cpu {
	struct {
		ulong sp, bp, bx, r12, r13, r14, r15, ip, flags;
	} resume;			/* order known to entry.S */
	volatile bool armed;
	int index;
	u32 apic_id;
	struct trap trap;
	volatile ulong user_data;	/* for tests */
};

extern struct cpu cpus[MAX_CPUS];

static inline struct cpu *this_cpu(void)
{
	u32 tr;

	asm volatile("str %0" : "=r"(tr));
	tr &= 0xffff;
	return &cpus[tr < TSS_SEL ? 0 : (tr - TSS_SEL) / 16];
}

int trap_arm(struct cpu *c) __attribute__((returns_twice));

/*
 * Runs statements and gives the vector of the exception that ended them, or
 * NO_TRAP; details are in last_trap(). General registers, flags and the stack
 * pointer are then as before; whatever else the statements did stays done.
 */
#define TRY(...) ({							\
	struct cpu *__c = this_cpu();					\
									\
	__c->trap.vector = NO_TRAP;					\
	if (!trap_arm(__c)) {						\
		__VA_ARGS__;						\
	}								\
	__c->armed = false;						\
	barrier();							\
	__c->trap.vector; })

static inline struct trap *last_trap(void)
{
	return &this_cpu()->trap;
}

/*
 * A vector's own handler is asked before TRY: it returns true when it has dealt
 * with the event and the interrupted code (as changed in @r) shall go on.
 */
typedef bool (*trap_handler)(struct regs *r);
trap_handler set_handler(int vector, trap_handler h);

static inline ulong regs_sp(struct regs *r)
{
#ifdef __x86_64__
	return r->sp;
#else
	return r->cs & 3 || r->flags & FLAG_VM ? r->sp : (ulong)&r->sp;
#endif
}

/* --- tables --- */

struct __attribute__((packed)) tss {
#ifdef __x86_64__
	u32 res0;
	u64 rsp[3];
	u64 res1;
	u64 ist[7];
	u64 res2;
	u16 res3, iomap;
#else
	u16 link, res0;
	u32 esp0;
	u16 ss0, res1;
	u32 esp1;
	u16 ss1, res2;
	u32 esp2;
	u16 ss2, res3;
	u32 cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u16 es, r4, cs, r5, ss, r6, ds, r7, fs, r8, gs, r9, ldt, r10;
	u16 trace, iomap;
#endif
};

extern u64 gdt[];
extern u8 gdt_end[];
extern struct tss cpu_tss[MAX_CPUS];
extern u8 cpu_stacks[MAX_CPUS][STACK_SIZE];

#define IDT_GATE_SIZE	(sizeof(ulong) * 2)
extern u64 idt[256 * IDT_GATE_SIZE / 8];

/* Descriptor of a segment or system type: access byte, then the flags nibble. */
u64 make_desc(u32 base, u32 limit, u8 access, u8 flags);
void set_desc(u16 sel, u64 desc);
/* System descriptor with a base of full width (TSS, LDT). */
void set_sys_desc(u16 sel, ulong base, u32 limit, u8 access);
void set_idt(int vector, void *entry, u16 sel, u8 access, u8 ist);
void *default_entry(int vector);
void load_gdt(void);
void load_idt(void);
void trap_init_cpu(int index);
void trap_init(void);

/* --- user mode --- */

/*
 * Runs user code at @ip with two arguments (RDI and RSI, or EDI and ESI) until it
 * executes INT 0x80 or faults; gives the vector. @flags are its flags.
 */
int user_run(ulong ip, ulong a0, ulong a1, ulong flags);
/* The same with all of the frame chosen. */
int user_run_frame(ulong ip, ulong cs, ulong flags, ulong sp, ulong ss, ulong a0, ulong a1);
void user_enter(ulong ip, ulong cs, ulong flags, ulong sp, ulong ss, ulong a0, ulong a1);
/* Where user_run() puts the stack, unless 0. */
extern ulong user_stack;

#endif
