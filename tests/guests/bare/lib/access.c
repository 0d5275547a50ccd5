// SPDX-License-Identifier: GPL-2.0-only
/* Kinds of access, and two pages that they are done to. */
#include "access.h"
#include "mem.h"
#include "ptcheck.h"
#include "string.h"
#include "test.h"
#include "trap.h"

extern u8 access_code[], access_code_end[];

#define OP(name_, size_, flags_, effect_) {			\
	.name = #name_, .size = size_, .flags = flags_,		\
	.effect = effect_, .kernel = access_k_##name_, .user = access_u_##name_ }
#define ALL_OPS(X)						\
	X(read1, 1, 0, EFF_NONE)				\
	X(read2, 2, 0, EFF_NONE)				\
	X(read4, 4, 0, EFF_READ)				\
	X(read16, 16, 0, EFF_READ)				\
	X(write1, 1, OP_WRITE, EFF_NONE)			\
	X(write2, 2, OP_WRITE, EFF_NONE)			\
	X(write4, 4, OP_WRITE, EFF_STORE)			\
	X(write16, 16, OP_WRITE, EFF_STORE)			\
	X(movnti, 4, OP_WRITE, EFF_STORE)			\
	X(add, 4, OP_WRITE | OP_RMW, EFF_ADD)			\
	X(not, 4, OP_WRITE | OP_RMW, EFF_NOT)			\
	X(xadd, 4, OP_WRITE | OP_RMW, EFF_ADD)			\
	X(xchg, 4, OP_WRITE | OP_RMW, EFF_STORE)		\
	X(cmpxchg, 4, OP_WRITE | OP_RMW, EFF_STORE)		\
	X(cmpxchg_fails, 4, OP_WRITE | OP_RMW, EFF_KEEP)	\
	X(cmpxchg8b, 8, OP_WRITE | OP_RMW, EFF_STORE)		\
	X(bts, 4, OP_WRITE | OP_RMW, EFF_BTS)			\
	X(or_nothing, 4, OP_WRITE | OP_RMW, EFF_KEEP)		\
	X(pop_to, sizeof(ulong), OP_WRITE, EFF_STORE)		\
	X(push_from, sizeof(ulong), 0, EFF_READ)		\
	X(stos, 4, OP_WRITE, EFF_STORE)				\
	X(lods, 4, 0, EFF_READ)					\
	X(movs_from, 4, 0, EFF_READ)				\
	X(movs_to, 4, OP_WRITE, EFF_STORE)			\
	X(cmps, 4, 0, EFF_NONE)					\
	X(ins, 1, OP_WRITE | OP_IO, EFF_NONE)			\
	X(outs, 1, OP_IO, EFF_NONE)				\
	X(sgdt, 2 + sizeof(ulong), OP_WRITE | OP_PARTS, EFF_NONE) \
	X(sldt, 2, OP_WRITE, EFF_NONE)				\
	X(fxsave, 512, OP_WRITE | OP_ALIGNED | OP_PARTS, EFF_NONE) \
	X(prefetch, 1, OP_NO_FAULT, EFF_NONE)			\
	X(push, sizeof(ulong), OP_WRITE | OP_STACK, EFF_STORE)	\
	X(pop, sizeof(ulong), OP_STACK, EFF_READ)		\
	X(call, sizeof(ulong), OP_WRITE | OP_STACK, EFF_NONE)	\
	X(jump, 4, OP_FETCH, EFF_NONE)
#ifdef __x86_64__
#define MORE_OPS(X)						\
	X(read8, 8, 0, EFF_READ)				\
	X(write8, 8, OP_WRITE, EFF_STORE)			\
	X(cmpxchg16b, 16, OP_WRITE | OP_RMW | OP_ALIGNED, EFF_STORE)
#else
#define MORE_OPS(X)
#endif

#define DECLARE_OP(name, ...) extern u8 access_k_##name[], access_u_##name[];
ALL_OPS(DECLARE_OP)
MORE_OPS(DECLARE_OP)

#define OP_ENTRY(...) OP(__VA_ARGS__),
const struct access_op access_ops[] = { ALL_OPS(OP_ENTRY) MORE_OPS(OP_ENTRY) };
const int access_op_count = ARRAY_SIZE(access_ops);

/* --- the pages --- */

/* Where user code and its stack are: away from the tested addresses. */
static ulong user_code;

static void map_user(struct space *s)
{
	user_code = s->mode >= PT_4LEVEL ? (ulong)0x500000000000ull : 0xc8000000;
	pt_map_code(s, user_code, access_code, access_code_end);
}

void pair_init(struct page_pair *p, enum pt_mode mode, ulong region, int boundary)
{
	/* Each page may lie in a large one of any format. */
	ulong chunk = (ulong)alloc_pages(2048), size = pt_size(mode, boundary);
	int i, l;

	pt_new(&p->space, mode);
	p->boundary = boundary;
	p->page[0].pa = chunk + (boundary == 1 ? 5 * PAGE_SIZE : (4ul << 20) - PAGE_SIZE);
	p->page[1].pa = p->page[0].pa + PAGE_SIZE;
	if (boundary == 1)
		p->va = region + p->page[0].pa;
	else
		p->va = region + 4 * size - PAGE_SIZE;
	/* Of entries that both pages share the second look at them finds the same. */
	for (i = 0; i < 2; i++)
		for (l = mode; l; l--)
			p->page[i].entry[l] = pt_entry(&p->space, p->va + i * PAGE_SIZE, l);
	map_user(&p->space);
}

/* Lower entries stay in their tables where a large page hides them. */
static u64 open_entry(const struct page_pair *p, int i, int l)
{
	u64 rights = PT_P | PT_W | PT_U;

	if (l > p->page[i].leaf)
		return (p->page[i].entry[l - 1] & -PAGE_SIZE) | rights;
	return (p->page[i].pa & -pt_size(p->space.mode, l)) | rights | (l > 1 ? PT_PS : 0);
}

static bool has_rights(const struct page_pair *p, int l)
{
	return p->space.mode != PT_PAE || l != 3;
}

void pair_open(struct page_pair *p, int leaf0, int leaf1)
{
	int i, l;

	p->page[0].leaf = leaf0;
	p->page[1].leaf = leaf1;
	for (i = 0; i < 2; i++)
		for (l = p->space.mode; l >= p->page[i].leaf; l--)
			if (has_rights(p, l))
				pt_write(p->space.mode, p->page[i].entry[l], open_entry(p, i, l));
}

void pair_flush(struct page_pair *p)
{
	invlpg(p->va);
	invlpg(p->va + PAGE_SIZE);
}

/* --- an access --- */

#define VALUE 0x8bc1e2f4u

static int run_kernel(const struct access_op *op, ulong va, bool ac, ulong *result)
{
	/* At a fixed address: 32-bit code has no register left for it. */
	static void *code;
	ulong flags = read_flags(), d = va, s = VALUE, a = 0;
	int v;

	code = op->kernel;
	v = TRY({
		if (ac)
			write_flags(flags | FLAG_AC);
		asm volatile("call *%3" : "+D"(d), "+S"(s), "+a"(a) : "m"(code)
			     : "rbx", "rcx", "rdx", "memory", "cc");
		*(volatile ulong *)result = a;
	});
	write_flags(flags);
	return v;
}

static int run_user(const struct access_op *op, ulong va, bool ac, ulong *result)
{
	ulong ip = user_code + ((u8 *)op->user - access_code);
	int v = user_run(ip, va, VALUE, (ac ? FLAG_AC : 0) | (op->flags & OP_IO ? FLAG_IOPL : 0));

	*result = last_trap()->regs.ax;
	return v == USER_TRAP ? NO_TRAP : v;
}

/* One byte of the operand, by its physical page. */
static u8 *byte_of(const struct page_pair *p, int at)
{
	return (u8 *)p->page[at / PAGE_SIZE].pa + at % PAGE_SIZE;
}

static u32 operand(const struct page_pair *p, int at)
{
	u32 v = 0;
	int i;

	for (i = 3; i >= 0; i--)
		v = v << 8 | *byte_of(p, at + i);
	return v;
}

/* What the operand holds before; code has a NOP of four bytes first. */
static void fill(const struct page_pair *p, const struct access_op *op, int at, bool user)
{
	static const u8 nop[] = { 0x0f, 0x1f, 0x40, 0x00 };
	int i;

	if (op->flags & OP_FETCH) {
		for (i = 0; i < 4; i++)
			*byte_of(p, at + i) = nop[i];
		*byte_of(p, at + 4) = user ? 0xcd : 0xc3;	/* INT 0x80, or RET */
		*byte_of(p, at + 5) = USER_TRAP;
		return;
	}
	for (i = 0; i < (op->size < 16 ? 16 : op->size) && at + i < (int)(2 * PAGE_SIZE); i++)
		*byte_of(p, at + i) = i < 4 ? ACCESS_OLD >> 8 * i & 0xff : 0;
}

static u32 expected(const struct access_op *op)
{
	switch (op->effect) {
	case EFF_STORE:
		return VALUE;
	case EFF_ADD:
		return ACCESS_OLD + VALUE;
	case EFF_NOT:
		return ~ACCESS_OLD;
	case EFF_BTS:
		return ACCESS_OLD | BIT(7);
	default:
		return ACCESS_OLD;
	}
}

static const char *describe(const struct page_pair *p, const struct pt_env *env,
			    const struct access_op *op, bool user, int at)
{
	static char text[300];
	char controls[80];
	enum pt_mode m = p->space.mode;
	int i, l, n = 0;

	pt_env_text(env, controls, sizeof(controls));
	format(text, sizeof(text), "%s %s at %x, %s, entries", user ? "user" : "kernel",
	       op->name, at, controls);
	for (i = 0; i < 2; i++) {
		if (i ? at + op->size <= (int)PAGE_SIZE : at >= (int)PAGE_SIZE)
			continue;
		for (l = m; l >= p->page[i].leaf; l--) {
			n = strlen(text);
			format(text + n, sizeof(text) - n, "%s%llx", l == (int)m ? ": " : " ",
			       (unsigned long long)pt_read(m, p->page[i].entry[l]));
		}
	}
	return text;
}

bool pair_check(struct page_pair *p, const struct pt_env *env, const struct access_op *op,
		bool user, int at)
{
	u32 access = (user ? ACC_USER : 0) | (op->flags & OP_WRITE ? ACC_WRITE : 0) |
		     (op->flags & OP_FETCH ? ACC_FETCH : 0);
	bool fault = false, matched = false, gives_up = op->flags & OP_NO_FAULT;
	int first = at / PAGE_SIZE, last = (at + op->size - 1) / PAGE_SIZE, i, v;
	struct pt_walk w[2], r[2];
	bool reads_first = op->flags & OP_RMW && on_tcg(), halves;
	const char *text = "";
	struct trap *t = last_trap();
	ulong result = 0;
	u32 now;

	/* RET or INT after the NOP may be on the second page. */
	if (op->flags & OP_FETCH)
		last = (at + op->size + (user ? 1 : 0)) / PAGE_SIZE;
	for (i = first; i <= last; i++) {
		pt_walk(&w[i], &p->space, env, p->va + i * PAGE_SIZE, access);
		fault |= w[i].fault;
		/* TCG reads first what it will write, without a lock in the way. */
		pt_walk(&r[i], &p->space, env, p->va + i * PAGE_SIZE, access & ~ACC_WRITE);
	}
	fill(p, op, at, user);
	if (option("trace"))
		print("# %s\n", describe(p, env, op, user, at));
	v = user ? run_user(op, p->va + at, env->ac, &result) :
		   run_kernel(op, p->va + at, env->ac, &result);
	if (!fault || gives_up) {
		if (v != NO_TRAP) {
			text = "a fault that should not be";
			goto wrong;
		}
	} else if (v != VEC_PF) {
		text = "no page fault";
		goto wrong;
	}
	for (i = first; i <= last && fault && v == VEC_PF; i++) {
		ulong start = p->va + (ulong)(i == first ? at : i * (int)PAGE_SIZE);
		ulong end = i == first ? p->va + (i + 1) * PAGE_SIZE : p->va + at + op->size;

		if (!w[i].fault)
			continue;
		if (op->flags & OP_PARTS ? t->cr2 < start || t->cr2 >= end : t->cr2 != start)
			continue;
		matched = !((t->error ^ w[i].error) & ~w[i].either);
		if (reads_first && r[i].fault)
			matched |= !((t->error ^ r[i].error) & ~r[i].either);
		if (!matched) {
			text = "error code";
			goto wrong;
		}
	}
	if (fault && v == VEC_PF && !matched) {
		text = "CR2";
		goto wrong;
	}
	for (i = first; i <= last; i++) {
		bool part = gives_up || (fault && !w[i].fault);

		if (!pt_walk_marked(&w[i], p->space.mode, !fault && !gives_up, part,
				    reads_first && !r[i].fault)) {
			text = "accessed and dirty bits";
			goto wrong;
		}
	}
	now = op->effect == EFF_NONE ? 0 : operand(p, at);
	/* TCG stores 16 bytes in two halves, and one may be done before the other faults. */
	halves = op->size == 16 && fault && on_tcg();
	if (op->effect != EFF_NONE && !halves && now != (fault ? ACCESS_OLD : expected(op))) {
		text = "operand";
		goto wrong;
	}
	if (op->effect == EFF_READ && !fault && (u32)result != ACCESS_OLD) {
		text = "result";
		goto wrong;
	}
	return true;

wrong:
	return check(false, "%s of %s; vector %d error %lx cr2 +%lx, by the model%s %x %x", text,
		     describe(p, env, op, user, at), v, v == VEC_PF ? t->error : 0,
		     v == VEC_PF ? t->cr2 - p->va : 0, fault ? "" : " none;",
		     first == 0 ? w[0].error : 0, last == 1 ? w[1].error : 0);
}

/* --- many of them --- */

static void enter(const struct page_pair *p)
{
	write_cr3(p->space.root);
}

static void leave(ulong cr3)
{
	struct pt_env env;

	write_cr3(cr3);
	pt_default_env(&env);
	pt_set_env(&env);
}

/* A fault while the operand is the kernel's stack needs another one. */
static bool possible(const struct access_op *op, bool user)
{
#ifdef __x86_64__
	return true;
#else
	return user || !(op->flags & OP_STACK);
#endif
}

void fault_stack(bool own)
{
#ifdef __x86_64__
	static u8 stack[4096] __attribute__((aligned(16)));

	cpu_tss[0].ist[3] = (ulong)stack + sizeof(stack);
	set_idt(VEC_PF, default_entry(VEC_PF), KERNEL_CS, 0x8e, own ? 4 : 0);
#endif
}

static u64 random_flips(enum pt_mode mode, int l, bool leaf, u64 e, const struct pt_env *env,
			bool reserved)
{
	u32 r = random32();
	u64 flip = 0, bits;

	flip |= (r & 7) == 0 ? PT_W : 0;
	flip |= (r >> 3 & 7) == 0 ? PT_U : 0;
	flip |= (r >> 6 & 31) == 0 ? PT_P : 0;
	flip |= r >> 11 & 1 ? PT_A : 0;
	if (leaf) {
		flip |= r >> 12 & 1 ? PT_D : 0;
		flip |= r >> 13 & 1 ? PT_G : 0;
		if (mode >= PT_4LEVEL)
			flip |= PT_PKEY(r >> 14 & 15);
	}
	if (mode != PT_32BIT && env->nxe && (r >> 18 & 7) == 0)
		flip |= PT_NX;
	/* Ignored by translation; bits 9 to 11 are the system's own. */
	flip |= (u64)(r >> 21 & 7) << 9;
	if (reserved && (r >> 24 & 7) == 0) {
		bits = pt_reserved(mode, l, e, env);
		flip |= bits & BIT64(random32() & 63);
		if (bits & PT_PS && r >> 27 & 1)
			flip |= PT_PS;
	}
	return flip;
}

void pair_random_page(struct page_pair *p, int i, const struct pt_env *env, bool reserved)
{
	enum pt_mode mode = p->space.mode;
	int l;

	for (l = p->page[i].leaf; l <= (int)mode; l++) {
		u64 e = pt_read(mode, p->page[i].entry[l]);

		if (has_rights(p, l) && !(i && p->page[1].entry[l] == p->page[0].entry[l]))
			pt_write(mode, p->page[i].entry[l],
				 e ^ random_flips(mode, l, l == p->page[i].leaf, e, env, reserved));
	}
}

static void random_entries(struct page_pair *p, const struct pt_env *env, bool reserved)
{
	enum pt_mode mode = p->space.mode;
	int most = p->boundary > 2 ? 2 : p->boundary, i, leaf[2];

	/* Without a boundary between, one large page holds both or none. */
	leaf[0] = 1 + random32() % (p->boundary == 1 ? pt_max_leaf(mode) : most);
	leaf[1] = p->boundary == 1 ? leaf[0] : 1 + (int)(random32() % most);
	pair_open(p, leaf[0], leaf[1]);
	for (i = 0; i < 2; i++)
		pair_random_page(p, i, env, reserved);
}

static int random_offset(const struct access_op *op)
{
	int room = PAGE_SIZE - 16 - op->size, step = op->flags & OP_ALIGNED ? 16 : 1;
	/* Of what FXSAVE stores the processor may leave out the end. */
	int size = op->size > 160 ? 160 : op->size;

	/* Half of those that may do so cross into the second page. */
	if (size > 1 && random32() & 1 && !(step > 1 && size <= step))
		return PAGE_SIZE - step - (random32() % (size - step) / step) * step;
	return 64 + random32() % (room - 64) / step * step + (random32() & 7 ? 0 : PAGE_SIZE);
}

static void random_at(enum pt_mode mode, ulong region, int boundary, int count, bool reserved)
{
	ulong old = read_cr3();
	struct page_pair p;
	struct pt_env env;
	int i;

	pair_init(&p, mode, region, boundary);
	fault_stack(true);
	enter(&p);
	for (i = 0; i < count; i++) {
		const struct access_op *op = &access_ops[random32() % access_op_count];
		bool user = random32() >> 8 & 1;

		if (i % 32 == 0) {
			pt_random_env(&env);
			pt_set_env(&env);
		}
		if (!possible(op, user))
			user = true;
		random_entries(&p, &env, reserved);
		if (env.pge || random32() & 1)
			pair_flush(&p);
		else
			write_cr3(p.space.root);
		pair_check(&p, &env, op, user, random_offset(op));
	}
	leave(old);
	fault_stack(false);
}

void access_check_random(enum pt_mode mode, ulong region, int count, bool reserved)
{
	ulong mark = mem_mark();
	int boundary;

	for (boundary = 1; boundary <= (int)mode; boundary++) {
		random_at(mode, region, boundary, count / 2 / (boundary == 1 ? 1 : (int)mode - 1),
			  reserved);
		mem_release(mark);
	}
}

/* --- every combination --- */

/* Digits of a number of mixed radix, the lowest first. */
static u32 take(u32 *n, u32 radix)
{
	u32 digit = *n % radix;

	*n /= radix;
	return digit;
}

static const struct access_op *find_op(const char *name)
{
	int i;

	for (i = 0; i < access_op_count; i++)
		if (!strncmp(access_ops[i].name, name, strlen(name) + 1))
			return &access_ops[i];
	die("no access is named %s", name);
}

static const char *const plain[] = { "read4", "write4", "jump", "add" };
#define CASES (64 * 2 * ARRAY_SIZE(plain))
#define ENVS (2 * 2 * 2 * 3 * 2 * 5)

static void env_of(struct pt_env *e, u32 n)
{
	u32 smap, key;

	*e = (struct pt_env){ .wp = take(&n, 2), .nxe = take(&n, 2), .smep = take(&n, 2) };
	smap = take(&n, 3);
	e->smap = smap;
	e->ac = smap == 2;
	e->pge = take(&n, 2);
	key = take(&n, 5);
	e->pke = key;
	e->pkru = key ? (key - 1) << 10 : 0;
}

/* One entry's flags; bit 6 of a table's entry and those of missing features mean nothing. */
static u64 flips_of(enum pt_mode mode, u32 n)
{
	u64 e = 0;

	e |= take(&n, 2) ? PT_P : 0;
	e |= take(&n, 2) ? PT_W : 0;
	e |= take(&n, 2) ? PT_U : 0;
	e |= take(&n, 2) ? PT_A : 0;
	e |= take(&n, 2) ? PT_D : 0;
	e |= take(&n, 2) && mode != PT_32BIT ? PT_NX : 0;
	return e;
}

static void combine(struct page_pair *p, int leaf, int level, u32 stride, u32 *skip, bool reserved)
{
	const struct access_op *ops[ARRAY_SIZE(plain)];
	enum pt_mode mode = p->space.mode;
	u32 setting, n, i;

	for (i = 0; i < ARRAY_SIZE(plain); i++)
		ops[i] = find_op(plain[i]);
	for (setting = 0; setting < ENVS; setting++) {
		struct pt_env env;
		bool set = false;

		env_of(&env, setting);
		if (!pt_env_possible(&env))
			continue;
		for (n = 0; n < CASES; n++) {
			const struct access_op *op;
			u64 e, bad, rsvd;
			u32 r = n;
			bool user;

			if (*skip) {
				(*skip)--;
				continue;
			}
			*skip = stride - 1;
			op = ops[take(&r, ARRAY_SIZE(plain))];
			user = take(&r, 2);
			pair_open(p, leaf, leaf);
			e = pt_read(mode, p->page[0].entry[level]) ^ flips_of(mode, r);
			if (level == leaf && mode >= PT_4LEVEL)
				e |= PT_PKEY(5);
			if (level == leaf && setting & 1)
				e |= PT_G;
			rsvd = pt_reserved(mode, level, e, &env);
			e &= ~(rsvd & PT_NX);
			if (reserved) {
				/* Each in turn: the one at or above a place that moves on. */
				bad = rsvd & -BIT64((setting * 7 + n) & 63);
				bad = bad ? bad : rsvd;
				e |= bad & -bad;
			}
			if (!set)
				pt_set_env(&env);
			set = true;
			pt_write(mode, p->page[0].entry[level], e);
			pair_flush(p);
			pair_check(p, &env, op, user, 64);
		}
	}
}

void access_check_combinations(enum pt_mode mode, ulong region, u32 stride, bool reserved)
{
	ulong old = read_cr3();
	struct page_pair p;
	int leaf, level;
	u32 skip = 0;

	if (option("full"))
		stride = 1;
	pair_init(&p, mode, region, 1);
	enter(&p);
	for (leaf = 1; leaf <= pt_max_leaf(mode); leaf++)
		for (level = leaf; level <= (int)mode; level++)
			if (has_rights(&p, level))
				combine(&p, leaf, level, stride, &skip, reserved);
	leave(old);
}
