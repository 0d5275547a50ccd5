// SPDX-License-Identifier: GPL-2.0-only
/* Descriptor tables, dispatch of traps, entry to user mode. */
#include "kernel.h"
#include "string.h"
#include "trap.h"

struct cpu cpus[MAX_CPUS];
struct tss cpu_tss[MAX_CPUS] __attribute__((aligned(128)));
u64 idt[256 * IDT_GATE_SIZE / 8] __attribute__((aligned(16)));
ulong user_stack;

static trap_handler handlers[256];
#ifdef __x86_64__
static u8 df_stacks[MAX_CPUS][4096] __attribute__((aligned(16)));
#endif
static u8 default_user_stack[4096] __attribute__((aligned(4096)));

extern u8 trap_stubs[];
void trap_unwind(struct cpu *c) __attribute__((noreturn));
void trap_dispatch(struct regs *r);

_Static_assert(offsetof(struct cpu, armed) == 9 * sizeof(ulong), "entry.S knows this offset");
_Static_assert(sizeof(struct tss) == 104, "a TSS has 104 bytes in both modes");

trap_handler set_handler(int vector, trap_handler h)
{
	trap_handler old = handlers[vector];

	handlers[vector] = h;
	return old;
}

void trap_dispatch(struct regs *r)
{
	struct cpu *c = this_cpu();
	struct trap *t = &c->trap;

	/* Read first: a handler or a later fault may change them. */
	ulong cr2 = r->vector == VEC_PF ? read_cr2() : 0;

	if (handlers[r->vector] && handlers[r->vector](r))
		return;
	if (!c->armed)
		die("unexpected trap: vector %lu error %lx ip %lx:%lx flags %lx sp %lx cr2 %lx cpu %d",
		    r->vector, r->error, r->cs, r->ip, r->flags, regs_sp(r), cr2, c->index);
	c->armed = false;
	t->vector = r->vector;
	t->error = r->error;
	t->ip = r->ip;
	t->cs = r->cs & 0xffff;
	t->flags = r->flags;
	t->sp = regs_sp(r);
	t->cr2 = cr2;
	t->regs = *r;
	if (r->vector == VEC_DB) {
		t->dr6 = read_dr6();
		write_dr6(0xffff0ff0);
	}
	trap_unwind(c);
}

u64 make_desc(u32 base, u32 limit, u8 access, u8 flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)(flags & 0xf) << 52 |
	       (u64)(base >> 24) << 56;
}

void set_desc(u16 sel, u64 desc)
{
	((volatile u64 *)gdt)[sel >> 3] = desc;
}

void set_sys_desc(u16 sel, ulong base, u32 limit, u8 access)
{
	set_desc(sel, make_desc(base, limit, access, 0));
#ifdef __x86_64__
	set_desc(sel + 8, base >> 32);
#endif
}

void set_idt(int vector, void *entry, u16 sel, u8 access, u8 ist)
{
	u64 a = (ulong)entry;
	volatile u64 *gate = &idt[vector * (IDT_GATE_SIZE / 8)];

	gate[0] = (a & 0xffff) | (u64)sel << 16 | (u64)ist << 32 | (u64)access << 40 |
		  (a >> 16 & 0xffff) << 48;
#ifdef __x86_64__
	gate[1] = a >> 32;
#endif
}

void *default_entry(int vector)
{
	return trap_stubs + vector * 16;
}

void load_gdt(void)
{
	struct dtr d = { gdt_end - (u8 *)gdt - 1, (ulong)gdt };

	asm volatile("lgdt %0" :: "m"(d));
}

void load_idt(void)
{
	struct dtr d = { sizeof(idt) - 1, (ulong)idt };

	asm volatile("lidt %0" :: "m"(d));
}

void trap_init_cpu(int index)
{
	struct tss *t = &cpu_tss[index];
	u16 sel = TSS_SEL + index * 16;

	memset(t, 0, sizeof(*t));
	t->iomap = sizeof(*t);
#ifdef __x86_64__
	t->rsp[0] = (ulong)cpu_stacks[index] + STACK_SIZE / 2;
	t->ist[0] = (ulong)df_stacks[index] + sizeof(df_stacks[index]);
#else
	t->esp0 = (ulong)cpu_stacks[index] + STACK_SIZE / 2;
	t->ss0 = KERNEL_DS;
#endif
	load_gdt();
	load_idt();
	set_sys_desc(sel, (ulong)t, sizeof(*t) - 1, 0x89);
	asm volatile("ltr %w0" :: "r"(sel));
	cpus[index].index = index;
}

void trap_init(void)
{
	int i;

	for (i = 0; i < 256; i++)
		set_idt(i, default_entry(i), KERNEL_CS, i == USER_TRAP ? 0xee : 0x8e, 0);
#ifdef __x86_64__
	set_idt(VEC_DF, default_entry(VEC_DF), KERNEL_CS, 0x8e, 1);
#endif
	user_stack = (ulong)default_user_stack + sizeof(default_user_stack);
	trap_init_cpu(0);
}

int user_run_frame(ulong ip, ulong cs, ulong flags, ulong sp, ulong ss, ulong a0, ulong a1)
{
	return TRY(user_enter(ip, cs, flags, sp, ss, a0, a1));
}

int user_run(ulong ip, ulong a0, ulong a1, ulong flags)
{
#ifdef __x86_64__
	return user_run_frame(ip, USER_CS64, flags | FLAG_FIXED, user_stack, USER_DS, a0, a1);
#else
	return user_run_frame(ip, USER_CS32, flags | FLAG_FIXED, user_stack, USER_DS, a0, a1);
#endif
}
