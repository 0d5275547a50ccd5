// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory semantics in 64-bit mode: every combination of an entry's flags with
 * every setting of the controls, random ones against every kind of access, and what
 * the processor accesses on its own.
 */
#include "access.h"
#include "mem.h"
#include "ptcheck.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#define REGION	0x0000600000000000ul
#define REGION5	0x0060000000000000ul

static void test_combinations(void)
{
	access_check_combinations(PT_4LEVEL, REGION, 1301, false);
}

static void test_combinations_reserved(void)
{
	known_on_tcg("error codes of reserved bits");
	access_check_combinations(PT_4LEVEL, REGION, 3001, true);
}

static void test_accesses(void)
{
	access_check_random(PT_4LEVEL, REGION, 1200, false);
}

static void test_accesses_reserved(void)
{
	known_on_tcg("error codes of reserved bits");
	access_check_random(PT_4LEVEL, REGION, 500, true);
}

static void accesses5(void)
{
	access_check_combinations(PT_5LEVEL, REGION5, 3001, false);
	access_check_random(PT_5LEVEL, REGION5, 600, false);
}

static void test_la57(void)
{
	pt_with_la57(accesses5);
}

/* --- what the processor accesses on its own --- */

#define USER_VA	0x400000000000ul
/* Where the tested operand is in the second page of the pair. */
#define AT	64
/* Tables begin in the first page, which is always open, and reach into the second. */
#define TSS_BASE 0
#define GDT_BASE 0x80
#define IDT_BASE 0x400
#define TEST_SEL (PAGE_SIZE - GDT_BASE + AT)
#define GATE	((PAGE_SIZE - IDT_BASE + AT) / 16)
#define PORT	0x80

extern u8 implicit_code[], implicit_code_end[], implicit_load[], implicit_lar[], implicit_in[];
extern u8 implicit_int[], implicit_trap[];
asm(".pushsection .text\n"
	"implicit_code:\n"
	"implicit_load: mov %edi, %es\n int $0x80\n"
	"implicit_lar: lar %edi, %eax\n int $0x80\n"
	"implicit_in: in $0x80, %al\n int $0x80\n"
	"implicit_int: int $0xc4\n"
	"implicit_trap: int $0x80\n"
	"implicit_code_end:\n"
	".popsection\n");
_Static_assert(GATE == 0xc4, "the code above has the number of the gate");

struct implicit {
	const char *name;
	bool user, kernel;
	u32 access;		/* a write comes after a read that is allowed */
	u8 *code;
};

static bool gate_taken(struct regs *r)
{
	return true;
}

/* GDT, IDT and TSS come to lie in the two pages. */
static void install(struct page_pair *p)
{
	u8 *first = (u8 *)p->page[0].pa;
	struct dtr gdtr = { 2 * PAGE_SIZE - GDT_BASE - 1, p->va + GDT_BASE };
	struct dtr idtr = { (GATE + 1) * 16 - 1, p->va + IDT_BASE };
	struct tss *t = (struct tss *)(first + TSS_BASE);
	u64 *tss_desc = (u64 *)(first + GDT_BASE + TSS_SEL);

	memcpy(first + GDT_BASE, gdt, gdt_end - (u8 *)gdt);
	memcpy(first + IDT_BASE, idt, PAGE_SIZE - IDT_BASE);
	asm volatile("lgdt %0; lidt %1" :: "m"(gdtr), "m"(idtr));
	/* The I/O bitmap is found from the TSS on. */
	*t = cpu_tss[0];
	t->iomap = PAGE_SIZE - TSS_BASE + AT - PORT / 8;
	tss_desc[0] = make_desc(p->va + TSS_BASE, 2 * PAGE_SIZE - TSS_BASE - 1, 0x89, 0);
	tss_desc[1] = (p->va + TSS_BASE) >> 32;
	asm volatile("ltr %w0" :: "r"(TSS_SEL));
}

static int run_implicit(const struct implicit *a, bool user, bool ac)
{
	ulong flags = read_flags(), sel = TEST_SEL | 3, out;
	ulong ip = USER_VA + (a->code - implicit_code);
	int v;

	if (user) {
		v = user_run(ip, sel, 0, ac ? FLAG_AC : 0);
		return v == USER_TRAP ? NO_TRAP : v;
	}
	v = TRY({
		if (ac)
			write_flags(flags | FLAG_AC);
		if (a->code == implicit_load)
			asm volatile("mov %0, %%es" :: "r"(sel) : "memory");
		else if (a->code == implicit_lar)
			asm volatile("lar %k1, %k0" : "=r"(out) : "r"(sel) : "memory", "cc");
		else
			asm volatile("int %0" :: "i"(GATE) : "memory");
	});
	write_flags(flags);
	return v;
}

static void check_implicit(struct page_pair *p, const struct pt_env *env, const struct implicit *a)
{
	bool user = a->user && (!a->kernel || random32() & 1), fault, read_done;
	u32 access = ACC_IMPLICIT | (user ? ACC_USER : 0);
	ulong at = p->va + PAGE_SIZE + AT, kernel_sp = cpu_tss[0].rsp[0];
	u64 *operand = (u64 *)(p->page[1].pa + AT);
	struct tss *t = (struct tss *)(p->page[0].pa + TSS_BASE);
	struct pt_walk read, write;
	u32 error, either;
	bool ac = env->ac;
	int v;

	pt_walk(&read, &p->space, env, at, access);
	pt_walk(&write, &p->space, env, at, access | ACC_WRITE);
	read_done = !read.fault;
	operand[1] = 0;
	operand[0] = 0;
	if (a->code == implicit_load || a->code == implicit_lar) {
		operand[0] = make_desc(0, 0xfffff, a->access & ACC_WRITE ? 0xf2 : 0xf3, 0xc);
	} else if (a->code == implicit_int) {
		ulong entry = (ulong)default_entry(GATE);

		operand[0] = (entry & 0xffff) | (u64)KERNEL_CS << 16 | 0xeeull << 40 |
			     (entry >> 16 & 0xffff) << 48;
		operand[1] = entry >> 32;
	} else if (a->code == implicit_trap) {
		/* Five words are pushed below; the stack is aligned to 16. */
		at = p->va + PAGE_SIZE + AT + 0x7f8;
		t->rsp[0] = at + 8;
		read_done = false;
		read = write;
	}
	fault = a->access & ACC_WRITE ? write.fault : read.fault;
	error = read_done && a->access & ACC_WRITE ? write.error : read.error;
	either = read_done && a->access & ACC_WRITE ? write.either : read.either;
	/* It may be one access that reads and writes. */
	if (a->access & ACC_WRITE && read.fault)
		either |= PF_W;
	v = run_implicit(a, user, ac);
	t->rsp[0] = kernel_sp;
	if (check(fault ? v == VEC_PF : v == NO_TRAP, "%s by %s: vector %d error %lx, by the model %s%x",
		  a->name, user ? "user" : "kernel", v, v == NO_TRAP ? 0 : last_trap()->error,
		  fault ? "" : "none, or ", error) && fault) {
		check(!((last_trap()->error ^ error) & ~either),
		      "%s by %s: error code %lx, by the model %x",
		      a->name, user ? "user" : "kernel", last_trap()->error, error);
		check(last_trap()->cr2 >= at - 40 && last_trap()->cr2 < at + 16,
		      "%s by %s: CR2 %lx for %lx",
		      a->name, user ? "user" : "kernel", last_trap()->cr2, at);
	}
	check(pt_walk_marked(a->access & ACC_WRITE ? &write : &read, PT_4LEVEL, !fault, false,
			     read_done),
	      "%s by %s, %s: accessed or dirty bits: %llx %llx %llx %llx", a->name,
	      user ? "user" : "kernel", fault ? "refused" : "done",
	      (unsigned long long)pt_read(PT_4LEVEL, write.entry[4]),
	      (unsigned long long)(write.entry[3] ? pt_read(PT_4LEVEL, write.entry[3]) : 0),
	      (unsigned long long)(write.entry[2] ? pt_read(PT_4LEVEL, write.entry[2]) : 0),
	      (unsigned long long)(write.entry[1] ? pt_read(PT_4LEVEL, write.entry[1]) : 0));
	if (a->code == implicit_load && a->access & ACC_WRITE && !fault)
		check_eq(operand[0] >> 40 & 0xff, 0xf3, "access byte of the descriptor");
}

static void implicit(const struct implicit *kinds, int count, int times)
{
	ulong old = read_cr3();
	struct page_pair pair, *p = &pair;
	struct pt_env env;
	int i;

	pair_init(p, PT_4LEVEL, REGION, 4);
	pt_map_code(&p->space, USER_VA, implicit_code, implicit_code_end);
	write_cr3(p->space.root);
	pair_open(p, 1, 1);
	fault_stack(true);
	install(p);
	set_handler(GATE, gate_taken);
	for (i = 0; i < times; i++) {
		if (i % 16 == 0) {
			pt_random_env(&env);
			/* TCG lets AC allow what the processor does on its own, too. */
			env.ac &= !on_tcg();
			pt_set_env(&env);
		}
		/* The first page, where all tables begin, is the kernel's. */
		pair_open(p, 1, 1 + random32() % 2);
		pt_write(PT_4LEVEL, p->page[0].entry[1], p->page[0].pa | PT_P | PT_W | PT_A | PT_D);
		pair_random_page(p, 1, &env, false);
		pair_flush(p);
		check_implicit(p, &env, &kinds[random32() % count]);
	}
	set_handler(GATE, NULL);
	trap_init_cpu(0);
	fault_stack(false);
	pt_default_env(&env);
	pt_set_env(&env);
	write_cr3(old);
}

static void test_implicit(void)
{
	static const struct implicit kinds[] = {
		{ "load of a descriptor", true, true, 0, implicit_load },
		{ "load of a descriptor not accessed", true, true, ACC_WRITE, implicit_load },
		{ "LAR", true, true, 0, implicit_lar },
		{ "I/O bitmap", true, false, 0, implicit_in },
	};

	implicit(kinds, ARRAY_SIZE(kinds), 500);
}

static void test_implicit_events(void)
{
	static const struct implicit kinds[] = {
		{ "gate of INT", true, true, 0, implicit_int },
		{ "stack of INT", true, false, ACC_WRITE, implicit_trap },
	};

	if (known_on_bochs_svm("an INT that is cut short shows as an earlier event")) {
		skip("Bochs' AMD-V reports an earlier event when INT is cut short");
		return;
	}
	implicit(kinds, ARRAY_SIZE(kinds), 250);
}

const struct test guest_tests[] = {
	{ "implicit", test_implicit },
	{ "implicit-events", test_implicit_events },
	{ "combinations", test_combinations },
	{ "combinations-reserved", test_combinations_reserved },
	{ "accesses", test_accesses },
	{ "accesses-reserved", test_accesses_reserved },
	{ "la57", test_la57 },
};

GUEST("memsem");
