// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table pages: what tells one from another, how they are found, when they are freed; and
 * the roles that registers of the guest give to roots.
 */
#include "guest.h"
#include "internal.h"
#include "suites.h"

static const union umbra_mmu_role some_role = {
	.level = 2, .format = UMBRA_FORMAT_4LEVEL, .access = UMBRA_ACC_ALL, .nxe = 1, .wp = 1,
};

static struct umbra_vm *begin(struct kunit *test)
{
	struct umbra_vm *vm;

	fixture_begin(test);
	vm = fixture_vm(test, UMBRA_PAGING_SHADOW, 2);
	if (vm)
		write_lock(&vm->mmu_lock);
	return vm;
}

static void end(struct kunit *test, struct umbra_vm *vm)
{
	if (vm) {
		write_unlock(&vm->mmu_lock);
		fixture_vm_free(vm);
	}
	fixture_end(test);
}

/* With mmu_lock let go, as allocations sleep. */
static struct umbra_mmu_page *make(struct kunit *test, struct umbra_vm *vm, gfn_t gfn,
				   union umbra_mmu_role role)
{
	struct umbra_mmu_page *page;

	write_unlock(&vm->mmu_lock);
	KUNIT_EXPECT_EQ(test, umbra_mmu_topup(vm->vcpu[0]), 0);
	write_lock(&vm->mmu_lock);
	page = umbra_page_alloc(vm->vcpu[0], gfn, role);
	umbra_page_hash(vm, page);
	umbra_page_account(vm, page);
	return page;
}

/* Every bit of a role that has a meaning makes another page, and so does every bit of the gfn. */
static void told_apart(struct kunit *test)
{
	struct umbra_vm *vm = begin(test);
	struct umbra_mmu_page *page;
	union umbra_mmu_role role;
	unsigned int bit;

	if (vm) {
		page = make(test, vm, 0x12345, some_role);
		KUNIT_EXPECT_PTR_EQ(test, umbra_find_page(vm, 0x12345, some_role), page);
		for (bit = 0; bit < 64; bit++) {
			role = some_role;
			role.word ^= BIT_ULL(bit);
			FAIL_UNLESS(test, !umbra_find_page(vm, 0x12345, role),
				    "bit %u of the role does not count", bit);
		}
		for (bit = 0; bit < 40; bit++)
			FAIL_UNLESS(test, !umbra_find_page(vm, 0x12345 ^ BIT_ULL(bit), some_role),
				    "bit %u of the gfn does not count", bit);
	}
	end(test, vm);
}

/* Many pages in one bucket, several for each gfn, direct ones among them. */
static void crowded_bucket(struct kunit *test)
{
	struct umbra_vm *vm = begin(test);
	struct umbra_mmu_page *page, *found;
	union umbra_mmu_role role = some_role;
	gfn_t gfn[6];
	unsigned int i, j, n = 0;
	gfn_t candidate;

	for (candidate = 1; vm && n < ARRAY_SIZE(gfn); candidate++)
		if (umbra_page_bucket(vm, candidate) == umbra_page_bucket(vm, 1))
			gfn[n++] = candidate;
	for (i = 0; vm && i < ARRAY_SIZE(gfn); i++) {
		for (j = 0; j < 4; j++) {
			role.access = j;
			role.direct = j == 3;
			make(test, vm, gfn[i], role);
		}
	}
	for (i = 0; vm && i < ARRAY_SIZE(gfn); i++) {
		n = 0;
		for (page = umbra_first_shadow(vm, gfn[i]); page; page = umbra_next_shadow(page)) {
			KUNIT_EXPECT_EQ(test, page->gfn, gfn[i]);
			KUNIT_EXPECT_FALSE(test, page->role.direct);
			n++;
		}
		KUNIT_EXPECT_EQ(test, n, 3U);
		for (j = 0; j < 4; j++) {
			role.access = j;
			role.direct = j == 3;
			found = umbra_find_page(vm, gfn[i], role);
			if (!FAIL_UNLESS(test, found, "gfn %llu, role %u is not found", gfn[i], j))
				continue;
			KUNIT_EXPECT_EQ(test, found->role.word, role.word);
			umbra_page_zap(vm, found);
			KUNIT_EXPECT_NULL(test, umbra_find_page(vm, gfn[i], role));
		}
	}
	end(test, vm);
}

/* A zapped page stays until every vCPU has been asked to flush. */
static void freed_by_a_flush(struct kunit *test)
{
	struct umbra_vm *vm = begin(test);
	struct umbra_mmu_vm *mmu;
	unsigned int i, n;

	if (vm) {
		mmu = &vm->arch.mmu;
		umbra_mmu_flush(vm);
		for (i = 0; i < 2; i++)
			clear_bit(UMBRA_REQ_TLB_FLUSH, &vm->vcpu[i]->requests);
		for (n = 1; n < UMBRA_ZAPPED_MAX; n++) {
			umbra_page_zap(vm, make(test, vm, n, some_role));
			umbra_pages_settle(vm);
			KUNIT_EXPECT_EQ(test, mmu->nr_zapped, n);
			KUNIT_EXPECT_TRUE(test, mmu->tlb_stale);
			KUNIT_EXPECT_FALSE(test,
					   test_bit(UMBRA_REQ_TLB_FLUSH, &vm->vcpu[0]->requests));
		}
		KUNIT_EXPECT_EQ(test, mmu->nr_pages, 0U);
		umbra_page_zap(vm, make(test, vm, n, some_role));
		umbra_pages_settle(vm);
		KUNIT_EXPECT_EQ(test, mmu->nr_zapped, 0U);
		KUNIT_EXPECT_FALSE(test, mmu->tlb_stale);
		for (i = 0; i < 2; i++)
			KUNIT_EXPECT_TRUE(test,
					  test_bit(UMBRA_REQ_TLB_FLUSH, &vm->vcpu[i]->requests));
		/* They are kept to be used again, and are empty then. */
		KUNIT_EXPECT_GT(test, mmu->nr_spare, 0U);
		for (i = 0; i < 4; i++)
			KUNIT_EXPECT_NULL(test, memchr_inv(make(test, vm, i, some_role)->table, 0,
							   PAGE_SIZE));
	}
	end(test, vm);
}

/* A root that is zapped is not freed while a vCPU holds it, and the vCPU is told. */
static void held_roots(struct kunit *test)
{
	struct umbra_vm *vm = begin(test);
	struct umbra_mmu_page *page;

	if (vm) {
		page = make(test, vm, 1, some_role);
		page->roots = 2;
		atomic_set(&page->active, 1);
		clear_bit(UMBRA_REQ_MMU_RELOAD, &vm->vcpu[1]->requests);
		umbra_page_zap(vm, page);
		KUNIT_EXPECT_TRUE(test, page->invalid);
		KUNIT_EXPECT_EQ(test, vm->arch.mmu.nr_zapped, 0U);
		KUNIT_EXPECT_EQ(test, vm->arch.mmu.nr_held, 1U);
		KUNIT_EXPECT_TRUE(test, test_bit(UMBRA_REQ_MMU_RELOAD, &vm->vcpu[1]->requests));
		atomic_set(&page->active, 0);
		umbra_page_put_root(vm, page);
		KUNIT_EXPECT_EQ(test, vm->arch.mmu.nr_zapped, 0U);
		umbra_page_put_root(vm, page);
		KUNIT_EXPECT_EQ(test, vm->arch.mmu.nr_zapped, 1U);
		KUNIT_EXPECT_EQ(test, vm->arch.mmu.nr_held, 0U);
	}
	end(test, vm);
}

/* What an entry allows, back and forth, in the formats our own tables have. */
static void entries(struct kunit *test)
{
	static const enum umbra_format_id formats[] = {
		UMBRA_FORMAT_4LEVEL, UMBRA_FORMAT_NPT, UMBRA_FORMAT_EPT,
	};
	struct umbra_vm *vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	unsigned int i, acc;
	int level;

	for (i = 0; vm && i < ARRAY_SIZE(formats); i++) {
		const struct umbra_format *f = &umbra_formats[formats[i]];

		umbra_paging_init(&vm->arch.mmu.host, formats[i], UMBRA_PAGING_NX | UMBRA_PAGING_1G,
				  40);
		for (level = 1; level <= 3; level++) {
			for (acc = 0; acc <= UMBRA_ACC_ALL; acc++) {
				u64 entry = umbra_make_leaf(vm, 0x40000, level, acc, 0);
				unsigned int is = umbra_entry_acc(f, entry);

				/* EPT knows no user. */
				FAIL_UNLESS(test, is == (f->user ? acc : acc | UMBRA_ACC_USER),
					    "%s, level %d: access %u became %u", f->name, level,
					    acc, is);
				FAIL_UNLESS(test,
					    umbra_entry_present(vm, entry) &&
						    umbra_entry_leaf(level, entry) &&
						    umbra_entry_pfn(entry) == 0x40000 &&
						    !umbra_reserved_bits(&vm->arch.mmu.host, level,
									 entry, true),
					    "%s, level %d: %#llx is no proper leaf", f->name, level,
					    entry);
				/* What the guest may write counts as dirty from here on. */
				KUNIT_EXPECT_EQ(test, !!(entry & f->dirty),
						!!(acc & UMBRA_ACC_WRITE));
			}
		}
	}
}

/* What of the registers tells the tables of one mode from those of another. */
static const struct mode {
	const char *name;
	u64 cr0, cr4, efer;
	u8 level, format;
	bool direct, nxe, wp, pse, nowp_smep, nowp_exact;
} modes[] = {
	{ "paging off", 0, 0, 0, .level = 2, .format = UMBRA_FORMAT_PAE, .direct = true },
	{ "paging off, PAE and SMEP set", 0, X86_CR4_PAE | X86_CR4_SMEP, EFER_NX, .level = 2,
	  .format = UMBRA_FORMAT_PAE, .direct = true },
	{ "32-bit", X86_CR0_PG, 0, 0, .level = 2, .format = UMBRA_FORMAT_32BIT },
	{ "32-bit, PSE, WP", X86_CR0_PG | X86_CR0_WP, X86_CR4_PSE, EFER_NX, .level = 2,
	  .format = UMBRA_FORMAT_32BIT, .pse = true, .wp = true },
	{ "PAE", X86_CR0_PG, X86_CR4_PAE | X86_CR4_PSE, 0, .level = 2, .format = UMBRA_FORMAT_PAE },
	{ "PAE, NX", X86_CR0_PG, X86_CR4_PAE, EFER_NX, .level = 2, .format = UMBRA_FORMAT_PAE,
	  .nxe = true },
	{ "4-level", X86_CR0_PG, X86_CR4_PAE, EFER_LME | EFER_LMA, .level = 4,
	  .format = UMBRA_FORMAT_4LEVEL },
	{ "4-level, NX, WP, SMEP, SMAP", X86_CR0_PG | X86_CR0_WP,
	  X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP, EFER_LME | EFER_LMA | EFER_NX, .level = 4,
	  .format = UMBRA_FORMAT_4LEVEL, .nxe = true, .wp = true },
	{ "4-level, SMEP without WP", X86_CR0_PG, X86_CR4_PAE | X86_CR4_SMEP, EFER_LME | EFER_LMA,
	  .level = 4, .format = UMBRA_FORMAT_4LEVEL, .nowp_smep = true },
	{ "4-level, SMAP without WP", X86_CR0_PG, X86_CR4_PAE | X86_CR4_SMAP, EFER_LME | EFER_LMA,
	  .level = 4, .format = UMBRA_FORMAT_4LEVEL, .nowp_exact = true },
	{ "4-level, PKE without WP", X86_CR0_PG, X86_CR4_PAE | X86_CR4_PKE, EFER_LME | EFER_LMA,
	  .level = 4, .format = UMBRA_FORMAT_4LEVEL, .nowp_exact = true },
	{ "5-level", X86_CR0_PG | X86_CR0_WP, X86_CR4_PAE | X86_CR4_LA57, EFER_LME | EFER_LMA,
	  .level = 5, .format = UMBRA_FORMAT_5LEVEL, .wp = true },
};

static void roles_of_modes(struct kunit *test)
{
	struct umbra_vm *vm;
	unsigned int i;

	fixture_begin(test);
	vm = fixture_vm(test, UMBRA_PAGING_SHADOW, 1);
	for (i = 0; vm && i < ARRAY_SIZE(modes); i++) {
		const struct mode *m = &modes[i];
		struct umbra_vcpu *vcpu = vm->vcpu[0];
		const union umbra_mmu_role want = {
			.level = m->level, .format = m->format, .direct = m->direct,
			.access = UMBRA_ACC_ALL, .nxe = m->nxe, .wp = m->wp, .pse = m->pse,
			.nowp_smep = m->nowp_smep, .nowp_exact = m->nowp_exact,
		};

		mutex_lock(&vcpu->mutex);
		umbra_vcpu_load(vcpu);
		vcpu->arch.cr0 = m->cr0 | X86_CR0_PE;
		vcpu->arch.cr4 = m->cr4;
		vcpu->arch.efer = m->efer;
		KUNIT_EXPECT_EQ(test, umbra_mmu_load(vcpu), 0);
		FAIL_UNLESS(test, vcpu->arch.mmu.role.word == want.word,
			    "%s: role %#llx, expected %#llx", m->name, vcpu->arch.mmu.role.word,
			    want.word);
		KUNIT_EXPECT_TRUE(test, test_bit(UMBRA_REQ_TLB_FLUSH, &vcpu->requests));
		clear_bit(UMBRA_REQ_TLB_FLUSH, &vcpu->requests);
		umbra_vcpu_put(vcpu);
		mutex_unlock(&vcpu->mutex);
	}
	if (vm)
		fixture_vm_free(vm);
	fixture_end(test);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(told_apart),
	KUNIT_CASE(crowded_bucket),
	KUNIT_CASE(freed_by_a_flush),
	KUNIT_CASE(held_roots),
	KUNIT_CASE(entries),
	KUNIT_CASE(roles_of_modes),
	{}
};

struct kunit_suite page_suite = {
	.name = "umbra_page",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
