// SPDX-License-Identifier: GPL-2.0-only
/* The model of address translation. */
#include "kernel.h"
#include "ptmodel.h"

u32 random32(void)
{
	static u32 x;

	if (!x) {
		const char *s = option("seed");

		x = 0x2545f491;
		for (; s && *s >= '0' && *s <= '9'; s++)
			x = x * 10 + *s;
	}
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

/* --- controls --- */

/* Asked once: under a hypervisor each CPUID is an exit. */
static const struct features {
	int phys_bits;
	bool nx, smep, smap, pku, pge, huge;
} *features(void)
{
	static struct features f;

	if (!f.phys_bits)
		f = (struct features){
			.nx = HAS_NX, .smep = HAS_SMEP, .smap = HAS_SMAP, .pku = HAS_PKU,
			.pge = HAS_PGE, .huge = HAS_1G, .phys_bits = cpu_phys_bits(),
		};
	return &f;
}

int pt_max_leaf(enum pt_mode mode)
{
	return mode >= PT_4LEVEL && features()->huge ? 3 : 2;
}

static void wrpkru(u32 v)
{
	asm volatile(".byte 0x0f, 0x01, 0xef" :: "a"(v), "c"(0), "d"(0) : "memory");
}

void pt_set_env(const struct pt_env *e)
{
	ulong cr0 = read_cr0() & ~(ulong)CR0_WP, cr4 = read_cr4(), old4 = cr4;

	cr0 |= e->wp ? CR0_WP : 0;
	cr4 &= ~(ulong)(CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PGE);
	cr4 |= (e->smep ? CR4_SMEP : 0) | (e->smap ? CR4_SMAP : 0) | (e->pke ? CR4_PKE : 0) |
	       (e->pge ? CR4_PGE : 0);
	if (cr0 != read_cr0())
		write_cr0(cr0);
	if (cr4 != old4)
		write_cr4(cr4);
	if (features()->nx) {
		u64 efer = rdmsr(MSR_EFER);
		u64 want = (efer & ~(u64)EFER_NXE) | (e->nxe ? EFER_NXE : 0);

		if (efer != want)
			wrmsr(MSR_EFER, want);
	}
	if (e->pke)
		wrpkru(e->pkru);
}

void pt_default_env(struct pt_env *e)
{
	*e = (struct pt_env){ .wp = true, .nxe = features()->nx };
}

bool pt_next_env(struct pt_env *e, enum pt_mode mode)
{
	e->ac = !e->ac && e->smap;
	if (e->ac)
		return true;
	e->smap = !e->smap && features()->smap;
	if (e->smap)
		return true;
	e->smep = !e->smep && features()->smep;
	if (e->smep)
		return true;
	e->nxe = !e->nxe && features()->nx;
	if (e->nxe)
		return true;
	e->wp = !e->wp;
	return e->wp;
}

bool pt_env_possible(const struct pt_env *e)
{
	const struct features *f = features();

	return e->nxe <= f->nx && e->smep <= f->smep && e->smap <= f->smap && e->pke <= f->pku &&
	       e->pge <= f->pge;
}

void pt_random_env(struct pt_env *e)
{
	const struct features *f = features();
	u32 r = random32();

	*e = (struct pt_env){
		.wp = r & 1, .nxe = r & 6 && f->nx, .smep = r & 8 && f->smep,
		.smap = r & 16 && f->smap, .ac = r & 32, .pke = r & 64 && f->pku,
		.pge = r & 128 && f->pge, .pkru = random32() & 0xfffffffc,
	};
}

void pt_env_text(const struct pt_env *e, char *text, size_t size)
{
	format(text, size, "wp%d nxe%d smep%d smap%d ac%d pge%d pkru %x", e->wp, e->nxe, e->smep,
	       e->smap, e->ac, e->pge, e->pke ? e->pkru : 0);
}

/* --- the model --- */

u64 pt_reserved(enum pt_mode mode, int level, u64 e, const struct pt_env *env)
{
	u64 r = 0;
	int phys = features()->phys_bits;
	bool large = level > 1 && e & PT_PS;

	if (mode == PT_32BIT)
		return large ? BIT64(21) : 0;
	if (phys < 52)
		r |= (BIT64(52) - 1) & ~(BIT64(phys) - 1);
	if (mode == PT_PAE)
		r |= 0x7ff0000000000000ull;
	if (!env->nxe)
		r |= PT_NX;
	if (level >= 4 || (level == 3 && !features()->huge))
		r |= PT_PS;
	else if (large)
		r |= (pt_size(mode, level) - 1) & ~0x1fffull;
	return r;
}

void pt_walk(struct pt_walk *o, const struct space *s, const struct pt_env *env, ulong va,
	     u32 access)
{
	/* What the processor does on its own it does as the supervisor. */
	bool user = access & ACC_USER && !(access & ACC_IMPLICIT);
	bool fetch = access & ACC_FETCH, write = access & ACC_WRITE;
	bool ac = env->ac && !(access & ACC_IMPLICIT);
	bool w = true, u = true, nx = false, denied, pk = false;
	enum pt_mode mode = s->mode;
	ulong table = s->root;
	u64 e = 0;
	int l;

	*o = (struct pt_walk){ .fault = true, .top = mode, .write = write };
	o->error = (write ? PF_W : 0) | (user ? PF_U : 0);
	if (fetch && (env->smep || (env->nxe && mode != PT_32BIT)))
		o->error |= PF_I;
	for (l = mode; l; l--) {
		o->entry[l] = pt_slot(mode, table, pt_index(mode, va, l));
		e = pt_read(mode, o->entry[l]);
		table = e & pt_addr_mask(mode);
		/* The pointers of PAE paging have no rights of their own. */
		if (mode == PT_PAE && l == 3) {
			o->top = 2;
			continue;
		}
		o->was[l] = e;
		o->last = l;
		if (!(e & PT_P))
			return;
		if (e & pt_reserved(mode, l, e, env)) {
			o->error |= PF_P | PF_RSVD;
			return;
		}
		w &= !!(e & PT_W);
		u &= !!(e & PT_U);
		nx |= mode != PT_32BIT && e & PT_NX;
		if (l > 1 && e & PT_PS)
			break;
	}
	l = o->last;
	o->at_leaf = true;
	o->error |= PF_P;
	if (user)
		denied = !u || (write && !w) || (fetch && nx);
	else
		denied = (write && !w && env->wp) || (fetch && nx) ||
			 (u && fetch && env->smep) || (u && !fetch && env->smap && !ac);
	if (env->pke && u && !fetch && mode >= PT_4LEVEL) {
		u32 rights = env->pkru >> (e >> 59 & 15) * 2;

		pk = rights & 1 || (write && rights & 2 && (user || env->wp));
	}
	if (pk)
		o->error |= PF_PK;
	/* The manual sets PK beside other reasons; processors differ. */
	if (pk && denied)
		o->either = PF_PK;
	o->fault = denied || pk;
	if (!o->fault)
		o->pa = (e & pt_addr_mask(mode) & ~(pt_size(mode, l) - 1)) |
			(va & (pt_size(mode, l) - 1));
}

bool pt_walk_marked(const struct pt_walk *w, enum pt_mode mode, bool done, bool part,
		    bool read)
{
	int l;

	for (l = w->top; l >= w->last; l--) {
		u64 now = pt_read(mode, w->entry[l]), must = 0, may = 0;
		bool leaf = l == w->last && w->at_leaf;

		if (done)
			must = PT_A | (leaf && w->write ? PT_D : 0);
		else if (l > w->last || part)
			may = PT_A | (leaf && w->write ? PT_D : 0);
		/* QEMU's TCG sets it in a leaf that maps 1 GiB and refuses. */
		if (!done && leaf && (l == 3 || read))
			may |= PT_A;
		if ((now & ~may) != ((w->was[l] | must) & ~may))
			return false;
	}
	return true;
}
