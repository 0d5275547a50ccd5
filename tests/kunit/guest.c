// SPDX-License-Identifier: GPL-2.0-only
/* See guest.h. */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/trap_pf.h>
#include "cpuid.h"
#include "guest.h"
#include "svm/svm.h"

#define P	BIT_ULL(0)
#define RW	BIT_ULL(1)
#define US	BIT_ULL(2)
#define A	BIT_ULL(5)
#define D	BIT_ULL(6)
#define PS	BIT_ULL(7)
#define NX	BIT_ULL(63)

/* What a vCPU may have seen of entries is tried in at most so many combinations. */
#define COMBINATIONS	4096

static unsigned int entry_size(const struct guest *g)
{
	return g->format == MODEL_32BIT ? 4 : 8;
}

/* ------------------------------------------------------------------ */
/* Its memory                                                          */

static u64 read_word(struct guest *g, u32 gpa)
{
	u64 value = 0;

	if (copy_from_user(&value, (void __user *)(g->hva + gpa), sizeof(value)))
		KUNIT_FAIL(g->test, "memory at %#x cannot be read", gpa);
	return value;
}

/* Before the test begins: nobody knows of it. */
static void put_entry(struct guest *g, unsigned int page, unsigned int index, u64 entry)
{
	unsigned long hva = g->hva + page * PAGE_SIZE + index * entry_size(g);

	if (copy_to_user((void __user *)hva, &entry, entry_size(g)))
		KUNIT_FAIL(g->test, "memory at %#lx cannot be written", hva);
}

static void note_change(struct guest *g, u32 gpa, u64 old)
{
	if (g->changes < GUEST_CHANGES)
		g->change[g->changes++] = (struct guest_change) { .gpa = gpa & ~7U, .old = old };
}

/* ------------------------------------------------------------------ */
/* What a vCPU may see                                                 */

/* Each entry on the way as it was at some time since the flush: which time, by digit. */
struct search {
	struct guest *g;
	unsigned int since;
	unsigned int digits;
	unsigned int digit[UMBRA_MAX_LEVEL], base[UMBRA_MAX_LEVEL];
	bool live;	/* all entries as they are now */
};

static bool search_read(void *context, uint64_t gpa, unsigned int size, uint64_t *entry)
{
	struct search *s = context;
	struct guest *g = s->g;
	unsigned int i, n = 0, digit;
	u64 value;

	if (gpa >= (u64)GUEST_PAGES << PAGE_SHIFT)
		return false;
	value = read_word(g, gpa & ~7ULL);
	if (!s->live) {
		if (s->digits == UMBRA_MAX_LEVEL)
			return false;
		digit = s->digit[s->digits];
		/* Back in time, as many changes of this word as the digit says. */
		for (i = g->changes; i > s->since; i--) {
			if (g->change[i - 1].gpa != (gpa & ~7ULL))
				continue;
			if (n++ < digit)
				value = g->change[i - 1].old;
		}
		s->base[s->digits++] = n + 1;
	}
	*entry = size == 4 && gpa & 4 ? value >> 32 : size == 4 ? (u32)value : value;
	return true;
}

/* Moves on to the next combination; false: there is none. */
static bool search_next(struct search *s)
{
	unsigned int i;

	for (i = s->digits; i > 0; i--) {
		if (++s->digit[i - 1] < s->base[i - 1])
			break;
		s->digit[i - 1] = 0;
	}
	/* Digits behind belong to another way. */
	for (unsigned int j = i; j < UMBRA_MAX_LEVEL; j++)
		s->digit[j] = 0;
	return i > 0;
}

static void make_model(struct guest *g, unsigned int vcpu, const struct soft_op *op,
		       struct search *s, struct model *m)
{
	const struct guest_vcpu *v = &g->vcpu[vcpu];

	*m = (struct model) {
		.format = g->format,
		.maxphyaddr = g->maxphyaddr,
		.pse = g->cr4 & X86_CR4_PSE,
		.gigabyte = umbra_cpuid_has(g->vm->vcpu[vcpu], X86_FEATURE_GBPAGES),
		.nxe = g->efer & EFER_NX && g->format != MODEL_32BIT,
		.wp = v->cr0 & X86_CR0_WP,
		.user = op->user,
		.write = op->kind == SOFT_WRITE,
		.fetch = op->kind == SOFT_EXEC,
		.root = v->cr3,
		.addr = op->gva,
		.pdpte = g->format == MODEL_PAE ? g->vm->vcpu[vcpu]->arch.pdpte : NULL,
		.read = search_read,
		.context = s,
	};
}

static void translate(struct guest *g, unsigned int vcpu, const struct soft_op *op,
		      struct search *s, struct model_result *r)
{
	struct model m;

	if (g->format == GUEST_NO_PAGING) {
		*r = (struct model_result) { .gpa = (u32)op->gva };
		return;
	}
	make_model(g, vcpu, op, s, &m);
	model_translate(&m, r);
}

/* Is what a store has written in memory? */
static bool stored(struct guest *g, u64 gpa, u64 value)
{
	u64 word = read_word(g, gpa & ~7ULL);

	return g->efer & EFER_LMA ? word == value : (u32)(word >> (gpa & 4) * 8) == (u32)value;
}

/* Did it go to the page that the host has for the gpa? */
static bool same_page(struct guest *g, const struct soft_op *op, u64 gpa)
{
	if (fixture_pfn(g->hva + (gpa & PAGE_MASK)) == op->hpa >> PAGE_SHIFT)
		return true;
	/* Asked last: else the host may begin in between. */
	if (!soft_host_moved(g->vm, op))
		return false;
	g->count[GUEST_MOVED]++;
	return true;
}

/* Does a translation explain what the vCPU saw? */
static bool explains(struct guest *g, const struct soft_op *op, const struct model_result *r)
{
	bool outside = r->gpa >= (u64)GUEST_PAGES << PAGE_SHIFT;

	if (op->faulted)
		return r->fault && r->error == op->error;
	if (r->fault)
		return false;
	if (op->outside || outside)
		return outside == op->outside;
	if (op->software)
		return op->kind != SOFT_WRITE || stored(g, r->gpa, op->value);
	return (r->gpa & ~PAGE_MASK) == (op->hpa & ~PAGE_MASK) && same_page(g, op, r->gpa);
}

static unsigned int flushed_at(const struct guest *g, unsigned int vcpu, u64 gva)
{
	const struct guest_vcpu *v = &g->vcpu[vcpu];
	unsigned int i, at = v->flushed;

	for (i = 0; i < GUEST_INVLPGS; i++)
		if (v->invlpg[i].page == gva >> PAGE_SHIFT && v->invlpg[i].at > at)
			at = v->invlpg[i].at;
	return at;
}

/* The bits that the access had to set are there, if no entry has changed since the flush. */
static bool marked(struct guest *g, const struct model_result *r)
{
	unsigned int i;

	for (i = 0; i < r->marks; i++) {
		u64 word = read_word(g, r->mark[i].gpa & ~7ULL);

		if (entry_size(g) == 4 && r->mark[i].gpa & 4)
			word >>= 32;
		if (r->mark[i].bits & ~word)
			return false;
	}
	return true;
}

/* @began: how many changes there were before the instruction. */
static bool right(struct guest *g, unsigned int vcpu, const struct soft_op *op,
		  unsigned int began)
{
	/* What the executor does it does by the tables as they are. */
	struct search s = { .g = g, .since = op->software ? began : flushed_at(g, vcpu, op->gva) };
	unsigned int tries = 0, combination, i;
	struct model_result r;
	bool single = true;

	do {
		s.digits = 0;
		translate(g, vcpu, op, &s, &r);
		for (i = 0; i < s.digits; i++)
			single &= s.base[i] == 1;
		combination = tries++;
		if (explains(g, op, &r))
			break;
		if (!search_next(&s))
			return false;
	} while (tries < COMBINATIONS);
	g->count[GUEST_STALE] += !!combination;
	if (op->faulted || op->outside || !single || g->read_only)
		return true;
	g->count[GUEST_MARKED]++;
	return g->format == GUEST_NO_PAGING || marked(g, &r);
}

/* ------------------------------------------------------------------ */
/* Instructions                                                        */

static void describe(struct guest *g, unsigned int vcpu, const struct soft_op *op,
		     const char *what)
{
	static const char *const kinds[SOFT_KINDS] = {
		"read", "write", "fetch", "INVLPG", "MOV CR0", "MOV CR3", "MOV CR4",
	};
	const struct vmcb_control_area *control = &to_vmcb(g->vm->vcpu[vcpu])->control;
	struct search live = { .g = g, .live = true };
	struct model_result r;
	unsigned long page;

	translate(g, vcpu, op, &live, &r);
	page = r.fault || r.gpa >> PAGE_SHIFT >= GUEST_PAGES ? 0 :
	       fixture_pfn(g->hva + (r.gpa & PAGE_MASK));
	KUNIT_FAIL(g->test, "%s: vCPU %u, %s %s of %#llx (%#llx), CR3 %#llx", what, vcpu,
		   op->user ? "user" : "kernel", kinds[op->kind], op->gva, op->value,
		   g->vcpu[vcpu].cr3);
	kunit_err(g->test, "%s%s%s%s, error %#x, page %#llx; last exit %#llx, %#llx, %#llx",
		  op->done ? "done" : "", op->software ? " in software" : "",
		  op->faulted ? "page fault" : "", op->outside ? "no memory" : "", op->error,
		  op->hpa >> PAGE_SHIFT, (u64)control->exit_code, control->exit_info_1,
		  control->exit_info_2);
	kunit_err(g->test, "by the tables now: %s %#llx, which is the host's page %#lx",
		  r.fault ? "error" : "gpa", r.fault ? r.error : r.gpa, page);
}

/* The word that a store is about to change, whichever page it may go to. */
struct before {
	unsigned int n;
	u32 gpa[8];
	u64 old[8];
};

static void look_before(struct guest *g, unsigned int vcpu, const struct soft_op *op,
			struct before *b)
{
	struct search s = { .g = g, .since = flushed_at(g, vcpu, op->gva) };
	struct model_result r;
	unsigned int i;

	b->n = 0;
	if (op->kind != SOFT_WRITE)
		return;
	do {
		s.digits = 0;
		translate(g, vcpu, op, &s, &r);
		if (r.fault || r.gpa >= (u64)GUEST_PAGES << PAGE_SHIFT)
			continue;
		for (i = 0; i < b->n && b->gpa[i] != (r.gpa & ~7ULL); i++)
			;
		if (i < b->n || i == ARRAY_SIZE(b->gpa))
			continue;
		b->gpa[b->n] = r.gpa & ~7ULL;
		b->old[b->n++] = read_word(g, r.gpa & ~7ULL);
	} while (search_next(&s));
}

static void look_after(struct guest *g, const struct before *b)
{
	unsigned int i;

	for (i = 0; i < b->n; i++)
		if (read_word(g, b->gpa[i]) != b->old[i])
			note_change(g, b->gpa[i], b->old[i]);
}

static void flushed(struct guest *g, unsigned int vcpu, const struct soft_op *op)
{
	struct guest_vcpu *v = &g->vcpu[vcpu];
	unsigned int i;

	switch (op->kind) {
	case SOFT_INVLPG:
		i = v->invlpgs++ % GUEST_INVLPGS;
		v->invlpg[i].page = op->gva >> PAGE_SHIFT;
		v->invlpg[i].at = g->changes;
		break;
	case SOFT_MOV_CR3:
		v->cr3 = op->value;
		v->flushed = g->changes;
		break;
	case SOFT_MOV_CR0:
		/* Write protection is not remembered by a TLB. */
		v->cr0 = op->value;
		break;
	default:
		break;
	}
}

bool guest_run(struct guest *g, unsigned int vcpu, struct soft_op *op)
{
	unsigned int began = g->changes;
	struct before before;
	int ret;

	look_before(g, vcpu, op, &before);
	ret = soft_run(g->vm->vcpu[vcpu], op, op->user ? g->code_user : g->code_kernel);
	if (ret || op->broken) {
		describe(g, vcpu, op, op->broken ?: "UMBRA_RUN failed");
		return false;
	}
	if (op->kind > SOFT_EXEC) {
		flushed(g, vcpu, op);
		if (!op->faulted)
			return true;
		describe(g, vcpu, op, "a fault of its own");
		return false;
	}
	/* It may have changed the very entries that translate it. */
	look_after(g, &before);
	if (!right(g, vcpu, op, began)) {
		describe(g, vcpu, op, "wrong");
		return false;
	}
	g->count[op->faulted ? GUEST_FAULTED : op->outside ? GUEST_OUTSIDE :
		 op->software ? GUEST_SOFTWARE : GUEST_DONE]++;
	return true;
}

/* ------------------------------------------------------------------ */
/* At random                                                           */

static u64 random_entry(struct guest *g)
{
	u64 entry, page;

	if (one_in(2))
		page = GUEST_POOL + random_below(GUEST_POOL_END - GUEST_POOL);
	else
		page = GUEST_DATA + random_below(GUEST_DATA_END - GUEST_DATA);
	entry = one_in(8) ? 0 : P;
	entry |= one_in(4) ? 0 : RW;
	entry |= one_in(4) ? 0 : US;
	entry |= random64() & (A | D);
	if (one_in(6)) {
		entry |= PS;
		/* Two pages of 2 MiB, or one of 4; in a table of level 1 it is only PAT. */
		if (one_in(2))
			page = g->format == MODEL_32BIT ? 0 : random_below(2) << 9;
	}
	if (g->efer & EFER_NX && g->format != MODEL_32BIT && one_in(5))
		entry |= NX;
	return entry | page << PAGE_SHIFT;
}

/* Of the entries of a changing table only these are used. */
static unsigned int random_index(struct guest *g)
{
	unsigned int i = random_below(4);

	return i < 3 ? i : (g->format == MODEL_32BIT ? 1023 : 511);
}

u64 guest_random_gva(struct guest *g)
{
	u64 gva, offset = random_below(PAGE_SIZE / 8) * 8;

	if (g->format == GUEST_NO_PAGING || one_in(8))
		return guest_linear(g,
				    one_in(2) ?
					    GUEST_DATA + random_below(GUEST_DATA_END - GUEST_DATA) :
					    random_below(GUEST_PAGES - GUEST_USED) + GUEST_USED,
				    offset);
	switch (g->format) {
	case MODEL_32BIT:
		gva = (2 + random_below(2)) << 22;
		break;
	case MODEL_PAE:
		gva = (1 + random_below(2)) << 30 | (u64)random_index(g) << 21;
		break;
	case MODEL_4LEVEL:
		gva = (1 + random_below(2)) << 39 | (u64)random_index(g) << 30 |
		      (u64)random_index(g) << 21;
		break;
	default:
		gva = (1 + random_below(2)) << 48 | (u64)random_index(g) << 39 |
		      (u64)random_index(g) << 30 | (u64)random_index(g) << 21;
	}
	return gva | (u64)random_index(g) << 12 | offset;
}

u64 guest_linear(struct guest *g, unsigned int page, unsigned int offset)
{
	return (u64)page << PAGE_SHIFT | offset;
}

/* The kernel writes an entry, in one of the tables or in the root. */
static void store_to_table(struct guest *g, struct soft_op *op)
{
	unsigned int page = GUEST_POOL + random_below(GUEST_POOL_END - GUEST_POOL);
	unsigned int index = random_index(g);

	if (g->format != MODEL_PAE && one_in(6)) {
		page = GUEST_TABLES;
		index = (g->format == MODEL_32BIT ? 2 : 1) + random_below(2);
	}
	op->kind = SOFT_WRITE;
	op->user = false;
	op->foreign = one_in(4);
	op->gva = guest_linear(g, page, index * entry_size(g));
	op->value = random_entry(g);
	if (entry_size(g) == 8 && !(g->efer & EFER_LMA) && one_in(2)) {
		/* The upper half of it. */
		op->gva += 4;
		op->value = one_in(2) && g->efer & EFER_NX ? BIT(31) : 0;
	}
}

static bool remap_data(struct guest *g)
{
	unsigned int page = GUEST_DATA + random_below(GUEST_DATA_END - GUEST_DATA);
	u64 *old = kmalloc(PAGE_SIZE, GFP_KERNEL);
	unsigned long hva = g->hva + page * PAGE_SIZE;
	unsigned int i;
	bool ok;

	/* It comes back empty. */
	ok = old && !copy_from_user(old, (void __user *)hva, PAGE_SIZE) &&
	     fixture_remap(hva, PAGE_SIZE);
	for (i = 0; ok && i < PAGE_SIZE / 8; i++)
		if (old[i])
			note_change(g, page * PAGE_SIZE + i * 8, old[i]);
	kfree(old);
	memset(g->snapshot + page * PAGE_SIZE, 0, PAGE_SIZE);
	return FAIL_UNLESS(g->test, ok, "memory cannot be replaced");
}

static bool host_step(struct guest *g)
{
	unsigned long hva = g->hva + random_below(GUEST_USED) * PAGE_SIZE;

	switch (random_below(4)) {
	case 0:
		return remap_data(g);
	case 1:
		g->vm->notifier.ops->clear_flush_young(&g->vm->notifier, g->vm->mm, hva,
						       hva + PAGE_SIZE);
		return true;
	case 2:
		/* Old pages may go to make room; with too few a vCPU would get nowhere. */
		write_lock(&g->vm->mmu_lock);
		g->vm->arch.mmu.max_pages = 96 + random_below(64);
		write_unlock(&g->vm->mmu_lock);
		return true;
	default:
		return guest_dirty_check(g);
	}
}

/*
 * As kernels find out which pages are in use: bits of a leaf are cleared, what TLBs
 * hold is flushed, and the next access must set the bits again, or fault.
 */
static bool age_page(struct guest *g, unsigned int vcpu, struct soft_op op)
{
	struct soft_op store = { .kind = SOFT_WRITE }, flush = { .kind = SOFT_INVLPG };
	struct search live = { .g = g, .live = true };
	struct model_result r;
	u64 leaf;

	op.kind = SOFT_WRITE;
	if (entry_size(g) == 4)
		op.value = (u32)op.value;
	if (!guest_run(g, vcpu, &op))
		return false;
	translate(g, vcpu, &op, &live, &r);
	if (r.fault || !r.marks)
		return true;

	leaf = r.mark[r.marks - 1].gpa;
	store.gva = guest_linear(g, leaf >> PAGE_SHIFT, leaf & ~PAGE_MASK);
	store.value = read_word(g, leaf & ~7ULL) >> (leaf & 4) * 8;
	store.value &= one_in(4) ? ~(A | D) : one_in(4) ? ~RW : ~D;
	if (!(g->efer & EFER_LMA))
		store.value = (u32)store.value;
	if (!guest_run(g, vcpu, &store))
		return false;

	flush.gva = op.gva;
	if (one_in(2)) {
		flush.kind = SOFT_MOV_CR3;
		flush.value = g->vcpu[vcpu].cr3;
	}
	if (!guest_run(g, vcpu, &flush))
		return false;
	op = (struct soft_op) {
		.kind = one_in(4) ? SOFT_READ : SOFT_WRITE, .user = op.user, .gva = op.gva,
		.value = op.value ^ 8,
	};
	return guest_run(g, vcpu, &op);
}

bool guest_step(struct guest *g)
{
	unsigned int vcpu = random_below(GUEST_VCPUS);
	struct guest_vcpu *v = &g->vcpu[vcpu];
	struct soft_op op = { .user = one_in(2), .gva = guest_random_gva(g) };

	/* No more room to remember: everybody flushes, and nothing older counts. */
	if (g->changes > GUEST_CHANGES - PAGE_SIZE / 8) {
		for (vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
			op = (struct soft_op) { .kind = SOFT_MOV_CR3, .value = g->vcpu[vcpu].cr3 };
			if (!guest_run(g, vcpu, &op))
				return false;
		}
		g->changes = 0;
		for (vcpu = 0; vcpu < GUEST_VCPUS; vcpu++) {
			g->vcpu[vcpu].flushed = 0;
			memset(g->vcpu[vcpu].invlpg, 0, sizeof(g->vcpu[vcpu].invlpg));
		}
		return true;
	}
	op.value = random64() & 0xffffffff00000ff8;
	switch (random_below(25)) {
	case 0 ... 5:
		op.kind = SOFT_READ;
		break;
	case 6 ... 11:
		op.kind = SOFT_WRITE;
		/* Often into a table that translates the very store. */
		op.foreign = one_in(4);
		break;
	case 12:
		op.kind = SOFT_EXEC;
		break;
	case 13 ... 18:
		if (g->format != GUEST_NO_PAGING)
			store_to_table(g, &op);
		break;
	case 19 ... 20:
		op.kind = SOFT_INVLPG;
		op.user = false;
		break;
	case 21:
		op.kind = SOFT_MOV_CR3;
		op.user = false;
		op.value = v->cr3;
		break;
	case 22:
		op.kind = SOFT_MOV_CR0;
		op.user = false;
		op.value = v->cr0 ^ (one_in(4) ? X86_CR0_WP : 0);
		break;
	case 23:
		return g->format == GUEST_NO_PAGING || age_page(g, vcpu, op);
	default:
		return host_step(g);
	}
	if (op.kind == SOFT_WRITE && entry_size(g) == 4)
		op.value = (u32)op.value;
	return guest_run(g, vcpu, &op);
}

bool guest_dirty_check(struct guest *g)
{
	struct umbra_dirty_log log = { .size = GUEST_PAGES / 8 };
	unsigned long bitmap[GUEST_PAGES / BITS_PER_LONG];
	unsigned long user = g->hva + GUEST_PAGES * PAGE_SIZE;
	struct umbra_slot *slot = umbra_slot_find(g->vm, GUEST_DATA);
	u8 *page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	bool ok = page;
	unsigned int i;
	int ret;

	if (!slot->dirty || !page) {
		kfree(page);
		return true;
	}
	log.bitmap = user;
	mutex_lock(&g->vm->lock);
	ret = umbra_memory_get_dirty(g->vm, &log);
	mutex_unlock(&g->vm->lock);
	ok = FAIL_UNLESS(g->test, !ret, "dirty log: %d", ret) &&
	     !copy_from_user(bitmap, (void __user *)user, sizeof(bitmap));
	for (i = 0; ok && i < GUEST_USED; i++) {
		u8 *before = g->snapshot + i * PAGE_SIZE;

		ok = !copy_from_user(page, (void __user *)(g->hva + i * PAGE_SIZE), PAGE_SIZE);
		if (!ok || !memcmp(page, before, PAGE_SIZE))
			continue;
		memcpy(before, page, PAGE_SIZE);
		ok = FAIL_UNLESS(g->test, test_bit(i, bitmap),
				 "page %u has changed and is not in the dirty log", i);
	}
	kfree(page);
	return ok;
}

/* ------------------------------------------------------------------ */
/* From the beginning                                                  */

/* All memory at address 0 for the kernel, and the code once more for the user. */
static void make_tables(struct guest *g)
{
	unsigned int per = PAGE_SIZE / entry_size(g), pts = GUEST_PAGES / per, i;
	unsigned int next = GUEST_TABLES, root = next++, table = root, levels;
	u64 link = P | RW | US;

	levels = g->format == MODEL_32BIT ? 2 : g->format == MODEL_PAE ? 3 :
		 g->format == MODEL_4LEVEL ? 4 : 5;
	/* A PAE root has no permissions. */
	for (; levels > 2; levels--) {
		put_entry(g, table, 0, (u64)next << PAGE_SHIFT |
			  (g->format == MODEL_PAE ? P : link));
		table = next++;
	}
	for (i = 0; i < pts; i++)
		put_entry(g, table, i, (u64)(next + i) << PAGE_SHIFT | link);
	for (i = 0; i < GUEST_PAGES; i++)
		put_entry(g, next + i / per, i % per, (u64)i << PAGE_SHIFT | P | RW);
	next += pts;
	put_entry(g, table, pts, (u64)next << PAGE_SHIFT | link);
	put_entry(g, next, GUEST_CODE, (u64)GUEST_CODE << PAGE_SHIFT | P | US);
	g->code_kernel = (u64)GUEST_CODE << PAGE_SHIFT;
	g->code_user = g->code_kernel + GUEST_PAGES * PAGE_SIZE;
	g->cr3 = (u64)root << PAGE_SHIFT;

	/* Where the changing ones begin. */
	i = g->format == MODEL_32BIT ? 2 : 1;
	link = g->format == MODEL_PAE ? P : link;
	put_entry(g, root, i, (u64)GUEST_POOL << PAGE_SHIFT | link);
	put_entry(g, root, i + 1, (u64)(GUEST_POOL + 1) << PAGE_SHIFT | link);
	for (i = GUEST_POOL; i < GUEST_POOL_END; i++) {
		unsigned int index;

		for (index = 0; index < 3; index++)
			put_entry(g, i, index, random_entry(g));
		put_entry(g, i, per - 1, random_entry(g));
	}
}

static void make_controls(struct guest *g)
{
	g->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	if (g->format == GUEST_NO_PAGING)
		return;
	g->cr0 |= X86_CR0_PG | X86_CR0_WP;
	g->efer = EFER_NX;
	g->cr4 = X86_CR4_PSE;
	if (g->format != MODEL_32BIT)
		g->cr4 |= X86_CR4_PAE;
	if (g->format == MODEL_4LEVEL || g->format == MODEL_5LEVEL)
		g->efer |= EFER_LME | EFER_LMA;
	if (g->format == MODEL_5LEVEL)
		g->cr4 |= X86_CR4_LA57;
}

static int set_state(struct guest *g, struct umbra_vcpu *vcpu)
{
	const u32 code = UMBRA_SEG_P | UMBRA_SEG_S | 11, data = UMBRA_SEG_P | UMBRA_SEG_S | 3;
	struct umbra_state *st = kzalloc(sizeof(*st), GFP_KERNEL);
	int i, ret;

	if (!st)
		return -ENOMEM;
	st->groups = UMBRA_STATE_SREGS;
	mutex_lock(&vcpu->mutex);
	umbra_vcpu_load(vcpu);
	ret = umbra_state_get(vcpu, st);
	for (i = 0; i < UMBRA_LDTR; i++)
		st->sregs.seg[i] = (struct umbra_segment) {
			.limit = ~0U, .attr = data | UMBRA_SEG_G | UMBRA_SEG_DB, .selector = 8,
		};
	st->sregs.seg[UMBRA_CS].attr = code | UMBRA_SEG_G |
				       (g->efer & EFER_LMA ? UMBRA_SEG_L : UMBRA_SEG_DB);
	st->sregs.seg[UMBRA_TR].attr = UMBRA_SEG_P | 11;
	st->sregs.cr0 = g->cr0;
	st->sregs.cr3 = g->cr3;
	st->sregs.cr4 = g->cr4;
	st->sregs.efer = g->efer;
	if (!ret)
		ret = umbra_state_set(vcpu, st);
	umbra_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	WRITE_ONCE(vcpu->arch.mp_state, UMBRA_MP_RUNNABLE);
	kfree(st);
	return ret;
}

static bool make_memory(struct guest *g, u32 slot_flags)
{
	u8 *code = kmalloc(PAGE_SIZE, GFP_KERNEL);
	bool ok = code;
	int ret;

	/* One page more for what the module is to write to user memory. */
	g->hva = fixture_map(g->test, (GUEST_PAGES + 1) * PAGE_SIZE);
	if (!g->hva || !code) {
		kfree(code);
		return false;
	}
	ret = fixture_set_slot(g->vm, 0, slot_flags, 0, GUEST_PAGES * PAGE_SIZE, g->hva);
	ok = FAIL_UNLESS(g->test, !ret, "slot: %d", ret);
	soft_code(code, g->format == MODEL_4LEVEL || g->format == MODEL_5LEVEL);
	ok = ok && !copy_to_user((void __user *)(g->hva + GUEST_CODE * PAGE_SIZE), code, PAGE_SIZE);
	kfree(code);
	if (!ok)
		return false;
	g->code_kernel = GUEST_CODE * PAGE_SIZE;
	g->code_user = g->code_kernel;
	if (g->format != GUEST_NO_PAGING)
		make_tables(g);
	return !copy_from_user(g->snapshot, (void __user *)g->hva, GUEST_USED * PAGE_SIZE);
}

struct guest *guest_create(struct kunit *test, u32 paging, int format, u32 slot_flags)
{
	struct guest *g = kzalloc(sizeof(*g), GFP_KERNEL);
	unsigned int i;
	int ret;

	if (!g)
		return NULL;
	soft_reset();
	g->test = test;
	g->format = format;
	make_controls(g);
	g->change = kvcalloc(GUEST_CHANGES, sizeof(*g->change), GFP_KERNEL);
	g->snapshot = kvzalloc(GUEST_USED * PAGE_SIZE, GFP_KERNEL);
	g->vm = fixture_vm(test, paging, GUEST_VCPUS);
	if (!g->change || !g->snapshot || !g->vm || !make_memory(g, slot_flags))
		goto fail;
	g->maxphyaddr = umbra_guest_maxphyaddr(g->vm->vcpu[0]);
	for (i = 0; i < GUEST_VCPUS; i++) {
		ret = set_state(g, g->vm->vcpu[i]);
		if (!FAIL_UNLESS(test, !ret, "state: %d", ret))
			goto fail;
		g->vcpu[i].cr0 = g->cr0;
		g->vcpu[i].cr3 = g->cr3;
	}
	return g;

fail:
	guest_free(g);
	return NULL;
}

void guest_free(struct guest *g)
{
	if (!g)
		return;
	if (g->vm)
		fixture_vm_free(g->vm);
	fixture_unmap(g->hva, (GUEST_PAGES + 1) * PAGE_SIZE);
	kvfree(g->snapshot);
	kvfree(g->change);
	kfree(g);
}
