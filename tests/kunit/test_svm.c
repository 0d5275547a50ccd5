// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD-V's control block: what is intercepted, what the CPU's registers become of the
 * guest's, what is marked as changed, when TLBs are flushed; and what of the host's own
 * registers is put back.
 */
#include <linux/types.h>
#include <asm/msr.h>
#include "fixture.h"
#include "suites.h"
#include "svm/svm.h"

static bool intercepted(const struct vmcb *vmcb, unsigned int bit)
{
	return vmcb->control.intercepts[bit / 32] & BIT(bit % 32);
}

/* Without any of these a guest would reach the host's CPU, or the host lose it. */
static const u16 needed[] = {
	INTERCEPT_CR0_WRITE, INTERCEPT_CR4_WRITE, INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI,
	INTERCEPT_INIT, INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_INVD, INTERCEPT_HLT,
	INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT, INTERCEPT_SHUTDOWN,
	INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI,
	INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_WBINVD, INTERCEPT_MONITOR, INTERCEPT_MWAIT,
	INTERCEPT_XSETBV, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC,
};

/* With shadow paging also these; with nested paging they would only cost time. */
static const u16 shadow_only[] = {
	INTERCEPT_CR3_READ, INTERCEPT_CR3_WRITE, INTERCEPT_INVLPG, INTERCEPT_INVPCID,
	INTERCEPT_TASK_SWITCH, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_PF,
};

static void intercepts(struct kunit *test)
{
	const struct vmcb *vmcb;
	struct umbra_vm *vm;
	unsigned int i;
	u32 paging;

	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		vm = fixture_begin_vcpu(test, paging);
		vmcb = vm ? to_vmcb(vm->vcpu[0]) : NULL;
		for (i = 0; vm && i < ARRAY_SIZE(needed); i++)
			FAIL_UNLESS(test, intercepted(vmcb, needed[i]),
				    "paging %u: %u is not intercepted", paging, needed[i]);
		for (i = 0; vm && i < ARRAY_SIZE(shadow_only); i++)
			FAIL_UNLESS(test,
				    intercepted(vmcb, shadow_only[i]) ==
					    (paging == UMBRA_PAGING_SHADOW),
				    "paging %u: intercept %u is wrong", paging, shadow_only[i]);
		if (vm) {
			/* Every access to a debug register, until the guest has asked for them. */
			KUNIT_EXPECT_EQ(test, vmcb->control.intercepts[INTERCEPT_DR] & 0xff00ff,
					0xff00ffU);
			KUNIT_EXPECT_EQ(test, vmcb->control.nested_ctl & SVM_NESTED_CTL_NP_ENABLE,
					paging == UMBRA_PAGING_NESTED ? 1ULL : 0ULL);
			KUNIT_EXPECT_TRUE(test, vmcb->control.int_ctl & V_INTR_MASKING_MASK);
			KUNIT_EXPECT_NE(test, vmcb->control.iopm_base_pa, 0ULL);
			KUNIT_EXPECT_NE(test, vmcb->control.msrpm_base_pa, 0ULL);
		}
		fixture_end_vcpu(test, vm);
	}
}

static void check_crs(struct kunit *test, struct umbra_vcpu *vcpu)
{
	const struct umbra_vcpu_arch *arch = &vcpu->arch;
	const struct vmcb_save_area *save = &to_vmcb(vcpu)->save;
	u64 cr0 = arch->cr0 & ~(u64)(X86_CR0_CD | X86_CR0_NW);
	u64 cr4 = arch->cr4 | (__read_cr4() & X86_CR4_MCE);
	u64 efer = arch->efer | EFER_SVME;
	bool lma = arch->efer & EFER_LMA, pg = arch->cr0 & X86_CR0_PG;

	if (!svm_nested(vcpu)) {
		cr0 |= X86_CR0_PG | X86_CR0_WP;
		cr4 |= X86_CR4_PAE;
		cr4 &= ~(u64)(X86_CR4_PCIDE | X86_CR4_PSE);
		efer |= EFER_NX;
		if (!pg)
			cr4 &= ~(u64)(X86_CR4_SMEP | X86_CR4_SMAP | X86_CR4_PKE);
		if (!lma)
			cr4 &= ~(u64)X86_CR4_LA57;
	}
	if (!pg)
		efer &= ~(u64)EFER_LME;
	FAIL_UNLESS(test, save->cr0 == cr0 && save->cr4 == cr4 && save->efer == efer,
		    "CR0 %#llx, CR4 %#llx, EFER %#llx became %#llx, %#llx, %#llx", arch->cr0,
		    arch->cr4, arch->efer, save->cr0, save->cr4, save->efer);
	/* What the guest would not see as it wrote it must exit when it is read. */
	FAIL_UNLESS(test,
		    intercepted(to_vmcb(vcpu), INTERCEPT_CR0_READ) == (save->cr0 != arch->cr0) &&
			    intercepted(to_vmcb(vcpu), INTERCEPT_CR4_READ) ==
				    (save->cr4 != arch->cr4),
		    "reads of CR0 or CR4 do not exit as they should");
}

static void control_registers(struct kunit *test)
{
	static const u64 cr4_bits[] = {
		X86_CR4_PSE, X86_CR4_PGE, X86_CR4_SMEP, X86_CR4_SMAP, X86_CR4_PKE, X86_CR4_LA57,
		X86_CR4_PCIDE, X86_CR4_OSXSAVE, X86_CR4_UMIP, X86_CR4_MCE,
	};
	struct umbra_vm *vm;
	unsigned int i, n;
	u32 paging;

	random_seed(test, 0);
	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		vm = fixture_begin_vcpu(test, paging);
		for (n = 0; vm && n < 2000; n++) {
			struct umbra_vcpu_arch *arch = &vm->vcpu[0]->arch;

			arch->cr0 = X86_CR0_ET | (one_in(3) ? 0 : X86_CR0_PE | X86_CR0_PG) |
				    (one_in(2) ? X86_CR0_WP : 0) | (one_in(2) ? X86_CR0_CD : 0);
			if (arch->cr0 & X86_CR0_CD && one_in(2))
				arch->cr0 |= X86_CR0_NW;
			arch->cr4 = one_in(2) ? X86_CR4_PAE : 0;
			for (i = 0; i < ARRAY_SIZE(cr4_bits); i++)
				arch->cr4 |= one_in(2) ? cr4_bits[i] : 0;
			arch->efer = (one_in(2) ? EFER_NX : 0) | (one_in(2) ? EFER_SCE : 0) |
				     (one_in(2) ? EFER_LME : 0);
			if (arch->efer & EFER_LME && arch->cr0 & X86_CR0_PG &&
			    arch->cr4 & X86_CR4_PAE)
				arch->efer |= EFER_LMA;
			svm_update_crs(vm->vcpu[0]);
			check_crs(test, vm->vcpu[0]);
		}
		fixture_end_vcpu(test, vm);
	}
}

static void do_segment(struct umbra_vcpu *vcpu)
{
	struct umbra_segment s;

	svm_get_segment(vcpu, UMBRA_DS, &s);
	svm_set_segment(vcpu, UMBRA_DS, &s);
}

static void do_table(struct umbra_vcpu *vcpu)
{
	struct umbra_table t = { .base = 0x1000, .limit = 0xfff };

	svm_set_table(vcpu, true, &t);
}

static void do_tsc(struct umbra_vcpu *vcpu)
{
	svm_set_tsc_offset(vcpu, 12345);
}

static void do_pat(struct umbra_vcpu *vcpu)
{
	svm_set_msr(vcpu, MSR_IA32_CR_PAT, 0x0007040600070406);
}

static void do_root(struct umbra_vcpu *vcpu)
{
	svm_load_root(vcpu, 0x5000);
}

static void do_intercept(struct umbra_vcpu *vcpu)
{
	svm_pass_debug(vcpu, true);
	to_vmcb(vcpu)->control.clean |= BIT(SVM_CLEAN_INTERCEPTS);
	svm_pass_debug(vcpu, false);
}

/* Who changes a part of the control block must say so, or the CPU goes on with the old one. */
static const struct {
	const char *name;
	void (*change)(struct umbra_vcpu *vcpu);
	enum svm_clean nested, shadow;
} changes[] = {
	{ "segment", do_segment, SVM_CLEAN_SEGMENTS, SVM_CLEAN_SEGMENTS },
	{ "table", do_table, SVM_CLEAN_TABLES, SVM_CLEAN_TABLES },
	{ "TSC offset", do_tsc, SVM_CLEAN_INTERCEPTS, SVM_CLEAN_INTERCEPTS },
	{ "PAT", do_pat, SVM_CLEAN_NESTED, SVM_CLEAN_NESTED },
	{ "root", do_root, SVM_CLEAN_NESTED, SVM_CLEAN_CR },
	{ "control registers", svm_update_crs, SVM_CLEAN_CR, SVM_CLEAN_CR },
	{ "debug registers", svm_update_debug, SVM_CLEAN_DR, SVM_CLEAN_DR },
	{ "intercepts", do_intercept, SVM_CLEAN_INTERCEPTS, SVM_CLEAN_INTERCEPTS },
};

static void clean_bits(struct kunit *test)
{
	struct umbra_vm *vm;
	unsigned int i;
	u32 paging;

	for (paging = UMBRA_PAGING_NESTED; paging <= UMBRA_PAGING_SHADOW; paging++) {
		vm = fixture_begin_vcpu(test, paging);
		for (i = 0; vm && i < ARRAY_SIZE(changes); i++) {
			struct vmcb *vmcb = to_vmcb(vm->vcpu[0]);

			vmcb->control.clean = BIT(SVM_NR_CLEAN) - 1;
			changes[i].change(vm->vcpu[0]);
			FAIL_UNLESS(test, !(vmcb->control.clean &
					    BIT(paging == UMBRA_PAGING_NESTED ? changes[i].nested :
						changes[i].shadow)),
				    "paging %u: %s: the CPU is not told", paging, changes[i].name);
		}
		/* On another CPU nothing is as it is known there. */
		if (vm) {
			struct svm_vcpu *svm = to_svm(vm->vcpu[0]);

			preempt_disable();
			svm->vmcb->control.clean = BIT(SVM_NR_CLEAN) - 1;
			svm->asid_cpu = -1;
			svm->asid_generation = 77;
			svm_vcpu_load(vm->vcpu[0], smp_processor_id());
			KUNIT_EXPECT_EQ(test, svm->vmcb->control.clean, 0U);
			KUNIT_EXPECT_EQ(test, svm->asid_generation, 0ULL);
			preempt_enable();
		}
		fixture_end_vcpu(test, vm);
	}
}

/* Either the ASID is flushed, or it is given up; the one or the other, as the CPU can. */
static void flush(struct kunit *test)
{
	const struct svm_caps real = svm_caps;
	struct umbra_vm *vm = fixture_begin_vcpu(test, UMBRA_PAGING_SHADOW);
	struct svm_vcpu *svm;

	if (vm) {
		svm = to_svm(vm->vcpu[0]);
		svm_caps.flush_by_asid = true;
		svm->asid_generation = 9;
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
		svm_flush_tlb(vm->vcpu[0]);
		KUNIT_EXPECT_TRUE(test, svm->vmcb->control.tlb_ctl != TLB_CONTROL_DO_NOTHING ||
				  !svm->asid_generation);
		svm_caps.flush_by_asid = false;
		svm->asid_generation = 9;
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
		svm_flush_tlb(vm->vcpu[0]);
		KUNIT_EXPECT_EQ(test, svm->asid_generation, 0ULL);
	}
	svm_caps = real;
	fixture_end_vcpu(test, vm);
}

/* What a vCPU that is loaded, or in the guest, has changed, and what must be as before. */
static void host_registers(struct kunit *test)
{
	struct umbra_vm *vm = fixture_begin_vcpu(test, UMBRA_PAGING_NESTED);
	u64 aux, before;
	struct umbra_vcpu *vcpu;

	if (vm && svm_has_tsc_aux()) {
		vcpu = vm->vcpu[0];
		preempt_disable();
		before = this_cpu_read(svm_cpu.tsc_aux);
		vcpu->arch.msr.tsc_aux = before + 0x1234;
		svm_vcpu_load(vcpu, smp_processor_id());
		rdmsrl(MSR_TSC_AUX, aux);
		KUNIT_EXPECT_EQ(test, aux, before + 0x1234);
		svm_vcpu_put(vcpu);
		rdmsrl(MSR_TSC_AUX, aux);
		KUNIT_EXPECT_EQ(test, aux, before);
		svm_vcpu_load(vcpu, smp_processor_id());
		preempt_enable();
	}
	fixture_end_vcpu(test, vm);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(intercepts),
	KUNIT_CASE(control_registers),
	KUNIT_CASE(clean_bits),
	KUNIT_CASE(flush),
	KUNIT_CASE(host_registers),
	{}
};

struct kunit_suite svm_suite = {
	.name = "umbra_svm",
	.suite_init = fixture_suite_init,
	.suite_exit = fixture_suite_exit,
	.test_cases = cases,
};
