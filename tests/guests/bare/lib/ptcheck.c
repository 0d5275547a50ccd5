// SPDX-License-Identifier: GPL-2.0-only
/* Accesses that are checked against the model of address translation. */
#include "mem.h"
#include "mode.h"
#include "ptcheck.h"
#include "string.h"
#include "test.h"
#include "trap.h"

ulong pt_user_load, pt_user_store, pt_user_jump;

extern u8 pt_user_code[], pt_user_code_end[];
extern u8 pt_user_code_load[], pt_user_code_store[], pt_user_code_jump[];
asm(".pushsection .text\n"
	"pt_user_code:\n"
#ifdef __x86_64__
	"pt_user_code_load: mov (%rdi), %rax\n int $0x80\n"
	"pt_user_code_store: mov %rsi, (%rdi)\n int $0x80\n"
	"pt_user_code_jump: jmp *%rdi\n"
#else
	"pt_user_code_load: mov (%edi), %eax\n int $0x80\n"
	"pt_user_code_store: mov %esi, (%edi)\n int $0x80\n"
	"pt_user_code_jump: jmp *%edi\n"
#endif
	"pt_user_code_end:\n"
	".popsection\n");

void pt_map_code(struct space *s, ulong va, const u8 *code, const u8 *end)
{
	ulong size = (end - code + PAGE_SIZE - 1) & -PAGE_SIZE, i;
	ulong copy = (ulong)alloc_pages(size / PAGE_SIZE);

	/* A first use of the kernel's stacks by an INT would cut the INT short. */
	for (i = 0; i < MAX_CPUS; i++)
		((volatile u8 *)cpu_stacks[i])[STACK_SIZE / 2 - 1] = 0;
	memcpy((void *)copy, code, end - code);
	for (i = 0; i < size; i += PAGE_SIZE)
		pt_map(s, va + i, copy + i, PT_U | PT_A, 1);
	pt_map(s, va + size, (ulong)alloc_page(), PT_U | PT_W | PT_A | PT_D, 1);
	user_stack = va + size + PAGE_SIZE;
}

void pt_map_user(struct space *s, ulong va)
{
	pt_map_code(s, va, pt_user_code, pt_user_code_end);
	pt_user_load = va + (pt_user_code_load - pt_user_code);
	pt_user_store = va + (pt_user_code_store - pt_user_code);
	pt_user_jump = va + (pt_user_code_jump - pt_user_code);
}

/* --- the access --- */

#define PATTERN 0x7d4bc35au

/* One access; the value read in *value. Gives the vector. */
static int do_access(struct pt_target *t, enum access a, bool ac, ulong *value)
{
	ulong va = t->va, out = 0;
	ulong flags = read_flags();
	int v;

	switch (a) {
	case K_READ:
		v = TRY({
			if (ac)
				write_flags(flags | FLAG_AC);
			asm volatile("mov (%1), %0" : "=r"(out) : "r"(va) : "memory");
			*(volatile ulong *)value = out;
		});
		break;
	case K_WRITE:
		v = TRY({
			if (ac)
				write_flags(flags | FLAG_AC);
			asm volatile("mov %0, (%1)" :: "r"((ulong)PATTERN + 1), "r"(va) : "memory");
		});
		break;
	case K_FETCH:
		v = TRY({
			if (ac)
				write_flags(flags | FLAG_AC);
			asm volatile("call *%0" :: "r"(va + 64) : "memory");
		});
		break;
	case U_READ:
		v = user_run(pt_user_load, va, 0, ac ? FLAG_AC : 0);
		*value = last_trap()->regs.ax;
		break;
	case U_WRITE:
		v = user_run(pt_user_store, va, (ulong)PATTERN + 1, ac ? FLAG_AC : 0);
		break;
	default:
		v = user_run(pt_user_jump, va + 128, 0, ac ? FLAG_AC : 0);
	}
	write_flags(flags);
	return a >= U_READ && v == USER_TRAP ? NO_TRAP : v;
}

static const char *const access_name[] = {
	"kernel read", "kernel write", "kernel fetch", "user read", "user write", "user fetch",
};

static bool report(struct pt_target *t, const struct pt_env *env, enum access a,
		   const char *fmt, ...)
{
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vformat(what, sizeof(what), fmt, ap);
	va_end(ap);
	return check(false, "%s%s, entries%s%llx %llx %llx %llx, wp%d nxe%d smep%d smap%d ac%d pkru %x: %s",
		     access_name[a], t->leaf > 1 ? " of a large page" : "",
		     t->space.mode == PT_5LEVEL ? " (top not shown) " : " ",
		     (unsigned long long)t->want[4], (unsigned long long)t->want[3],
		     (unsigned long long)t->want[2], (unsigned long long)t->want[1],
		     env->wp, env->nxe, env->smep, env->smap, env->ac,
		     env->pke ? env->pkru : 0, what);
}

bool pt_target_check(struct pt_target *t, const struct pt_env *env, enum access a)
{
	volatile u32 *data = (volatile u32 *)t->data;
	u32 flags = (a >= U_READ ? ACC_USER : 0) | (a % 3 == 1 ? ACC_WRITE : 0) |
		    (a % 3 == 2 ? ACC_FETCH : 0);
	enum pt_mode mode = t->space.mode;
	ulong value = 0, at = t->va + (a % 3 == 2 ? a == K_FETCH ? 64 : 128 : 0);
	struct pt_walk o;
	int v, l;

	pt_walk(&o, &t->space, env, t->va, flags);
	/* For the case that ends the machine: the last line says what it was. */
	if (option("trace"))
		print("# %s, leaf %d: %llx %llx %llx %llx wp%d nxe%d smep%d smap%d ac%d pkru %x\n",
		      access_name[a], t->leaf, (unsigned long long)t->want[4],
		      (unsigned long long)t->want[3], (unsigned long long)t->want[2],
		      (unsigned long long)t->want[1], env->wp, env->nxe, env->smep, env->smap,
		      env->ac, env->pke ? env->pkru : 0);
	data[0] = PATTERN;
#ifdef __x86_64__
	data[1] = 0;
#endif
	v = do_access(t, a, env->ac, &value);
	if (o.fault) {
		u32 error = last_trap()->error;

		if (v != VEC_PF)
			return report(t, env, a, "expected #PF %x, seen vector %d", o.error, v);
		if ((error ^ o.error) & ~o.either)
			return report(t, env, a, "expected error code %x, seen %x", o.error, error);
		if (last_trap()->cr2 != at)
			return report(t, env, a, "expected CR2 %lx, seen %lx",
				      at, last_trap()->cr2);
		if (data[0] != PATTERN)
			return report(t, env, a, "the page changed in spite of the fault");
	} else {
		if (v != NO_TRAP)
			return report(t, env, a, "expected no fault, seen vector %d error %lx cr2 %lx",
				      v, last_trap()->error, last_trap()->cr2);
		if (a % 3 == 0 && value != PATTERN)
			return report(t, env, a, "read %lx instead of %x", value, PATTERN);
		if (data[0] != PATTERN + (a % 3 == 1))
			return report(t, env, a, "the page holds %x afterwards", data[0]);
	}
	for (l = mode; l; l--) {
		u64 now = pt_read(mode, t->entry[l]), e = t->want[l], must = 0, may = 0;
		bool leaf = l == t->leaf;

		if (l < t->leaf)
			break;
		if (mode == PT_PAE && l == 3)
			continue;
		/*
		 * Down to the entry that faults, the walk may set accessed bits. QEMU's
		 * TCG does so in the leaf itself if that maps 1 GiB.
		 */
		if (o.fault)
			may = leaf && l < 3 ? 0 : PT_A;
		else
			must = PT_A | (leaf && a % 3 == 1 ? PT_D : 0);
		if ((now & ~may) != ((e | must) & ~may))
			return report(t, env, a, "entry of level %d is %llx, expected %llx", l,
				      (unsigned long long)now, (unsigned long long)(e | must));
	}
	return true;
}

void pt_target_init(struct pt_target *t, enum pt_mode mode, ulong region)
{
	/* 4 MiB in a row, so that the page may lie in a large one of any format. */
	ulong chunk = (ulong)alloc_pages(1024);
	u8 *page;
	int l;

	pt_new(&t->space, mode);
	t->data = chunk + 5 * PAGE_SIZE;
	t->va = region + t->data;
	page = (u8 *)t->data;
	page[64] = 0xc3;		/* RET */
	page[128] = 0xcd;		/* INT 0x80 */
	page[129] = USER_TRAP;
	for (l = mode; l; l--)
		t->entry[l] = pt_entry(&t->space, t->va, l);
	for (l = mode; l; l--)
		t->want[l] = pt_read(mode, t->entry[l]);
	/* Where the entries of the tested address do not reach. */
	pt_map_user(&t->space, mode >= PT_4LEVEL ? (ulong)0x500000000000ull : 0xc8000000);
	pt_target_open(t, 1);
}

void pt_target_open(struct pt_target *t, int leaf)
{
	enum pt_mode mode = t->space.mode;
	int l;

	for (l = mode; l > leaf; l--) {
		if (mode == PT_PAE && l == 3)
			continue;
		t->want[l] = (t->entry[l - 1] & -PAGE_SIZE) | PT_P | PT_W | PT_U;
	}
	t->leaf = leaf;
	t->want[leaf] = (t->data & -pt_size(mode, leaf)) | PT_P | PT_W | PT_U |
			(leaf > 1 ? PT_PS : 0);
}

void pt_target_apply(struct pt_target *t)
{
	enum pt_mode mode = t->space.mode;
	int l;

	for (l = mode; l >= t->leaf; l--) {
		if (mode == PT_PAE && l == 3)
			continue;
		if (pt_read(mode, t->entry[l]) != t->want[l])
			pt_write(mode, t->entry[l], t->want[l]);
	}
	invlpg(t->va);
}

static void load_space(struct space *s)
{
	write_cr3(s->root);
}

void pt_check_levels(enum pt_mode mode, ulong region, int leaf)
{
	static const u64 clear[] = { 0, PT_W, PT_U, PT_W | PT_U, PT_P };
	ulong old = read_cr3();
	struct pt_target t;
	struct pt_env env = { 0 };
	u32 i, nx;
	int l, a;

	pt_target_init(&t, mode, region);
	load_space(&t.space);
	do {
		pt_set_env(&env);
		for (l = leaf; l <= (int)mode; l++) {
			if (mode == PT_PAE && l == 3)
				continue;
			for (nx = 0; nx <= (mode != PT_32BIT && env.nxe); nx++)
				for (i = 0; i < ARRAY_SIZE(clear); i++)
					for (a = 0; a < ACCESSES; a++) {
						pt_target_open(&t, leaf);
						t.want[l] &= ~clear[i];
						t.want[l] |= nx ? PT_NX : 0;
						pt_target_apply(&t);
						pt_target_check(&t, &env, a);
					}
		}
	} while (pt_next_env(&env, mode));
	write_cr3(old);
	pt_default_env(&env);
	pt_set_env(&env);
}

void pt_check_reserved(enum pt_mode mode, ulong region)
{
	ulong old = read_cr3();
	struct pt_target t;
	struct pt_env env = { 0 };
	int leaf, l, a, bit;

	pt_target_init(&t, mode, region);
	load_space(&t.space);
	do {
		if (env.smap || env.smep)
			continue;
		pt_set_env(&env);
		for (leaf = 1; leaf <= pt_max_leaf(mode); leaf++)
			for (l = leaf; l <= (int)mode; l++)
				for (bit = 0; bit < 64; bit++) {
					if (mode == PT_PAE && l == 3)
						continue;
					pt_target_open(&t, leaf);
					if (!(pt_reserved(mode, l, t.want[l], &env) >> bit & 1))
						continue;
					t.want[l] |= BIT64(bit);
					/* A reserved bit matters before rights do, not before P. */
					if (l > leaf && bit & 1)
						t.want[l - 1] &= ~PT_P;
					pt_target_apply(&t);
					for (a = 0; a < ACCESSES; a++)
						pt_target_check(&t, &env, a);
				}
	} while (pt_next_env(&env, mode));
	write_cr3(old);
	pt_default_env(&env);
	pt_set_env(&env);
}

void pt_check_random(enum pt_mode mode, ulong region, int count, bool reserved)
{
	ulong old = read_cr3();
	struct pt_target t;
	struct pt_env env;
	int i, l;

	pt_target_init(&t, mode, region);
	load_space(&t.space);
	for (i = 0; i < count; i++) {
		u32 r;

		if (i % 40 == 0) {
			pt_random_env(&env);
			pt_set_env(&env);
		}
		pt_target_open(&t, 1 + (random32() >> 8) % pt_max_leaf(mode));
		for (l = t.leaf; l <= (int)mode; l++) {
			u64 flip = 0;

			if (mode == PT_PAE && l == 3)
				continue;
			r = random32();
			/* Mostly open, so that the interesting walks get to the end. */
			flip |= (r & 15) == 0 ? PT_W : 0;
			flip |= (r >> 4 & 15) == 0 ? PT_U : 0;
			flip |= (r >> 8 & 31) == 0 ? PT_P : 0;
			flip |= r >> 13 & PT_A;
			if (l == t.leaf) {
				flip |= r >> 14 & PT_D;
				if (mode >= PT_4LEVEL && env.pke)
					flip |= PT_PKEY(r >> 22 & 15);
			}
			if (mode != PT_32BIT && HAS_NX && (r >> 26 & 7) == 0 &&
			    (env.nxe || reserved))
				flip |= PT_NX;
			if (reserved && (r >> 29 & 7) == 0) {
				u64 bits = pt_reserved(mode, l, t.want[l], &env);
				int n = random32() & 63;

				if (bits & BIT64(n))
					flip |= BIT64(n);
				else if (bits & PT_PS)
					flip |= PT_PS;
			}
			t.want[l] ^= flip;
		}
		pt_target_apply(&t);
		pt_target_check(&t, &env, random32() % ACCESSES);
	}
	write_cr3(old);
	pt_default_env(&env);
	pt_set_env(&env);
}

#ifdef __x86_64__
/* CR4.LA57 changes only outside long mode: SDM Vol. 3A 4.1.1. */
void pt_with_la57(void (*fn)(void))
{
	struct space s;
	ulong old = read_cr3();

	if (!HAS_LA57) {
		skip("no 5-level paging");
		return;
	}
	pt_new(&s, PT_5LEVEL);
	long_mode_switch(s.root, read_cr4() | CR4_LA57);
	check(read_cr4() & CR4_LA57, "CR4 is %lx after the switch to 5 levels", read_cr4());
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(read_cr4() & ~(ulong)CR4_LA57));
	fn();
	long_mode_switch(old, read_cr4() & ~(ulong)CR4_LA57);
}
#endif
