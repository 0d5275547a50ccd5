// SPDX-License-Identifier: GPL-2.0-only
/* CPUID and what it promises; MSRs, control, extended control and debug registers; clocks. */
#include "apic.h"
#include "dev.h"
#include "mem.h"
#include "string.h"
#include "test.h"
#include "trap.h"

/* --- CPUID --- */

static void test_leaves(void)
{
	u32 max = cpuid(0, 0).a, ext = cpuid(0x80000000, 0).a;
	struct cpuid c;
	char brand[49] = "";
	u32 i;

	check(max >= 1 && max < 0x1000, "highest leaf %x", max);
	check(ext >= 0x80000008 && ext < 0x80001000, "highest extended leaf %x", ext);
	check(cpu_phys_bits() >= 36 && cpu_phys_bits() <= 52, "physical address bits %d",
	      cpu_phys_bits());
	for (i = 0; i < 3; i++) {
		c = cpuid(0x80000002 + i, 0);
		memcpy(brand + 16 * i, &c, 16);
	}
	print("# %s\n", brand);
	check(brand[0], "no brand string");
	/* What 64-bit kernels take for granted. */
	c = cpuid(1, 0);
	check((c.d & 0x0780a171) == 0x0780a171, "features %x", c.d);
	check(HAS_LM && HAS_SYSCALL && HAS_NX, "extended features %x", cpuid(0x80000001, 0).d);
	check_eq(c.b >> 24, apic_id() & 0xff, "initial APIC id");
}

/* OSXSAVE, and OSPKE, follow CR4 (SDM Vol. 2A CPUID). */
static void test_dynamic_bits(void)
{
	ulong cr4 = read_cr4();

	check_eq(HAS(1, 0, c, 27), !!(cr4 & CR4_OSXSAVE), "OSXSAVE");
	if (HAS_XSAVE) {
		write_cr4(cr4 | CR4_OSXSAVE);
		check(HAS(1, 0, c, 27), "OSXSAVE is clear with CR4.OSXSAVE set");
		write_cr4(cr4 & ~(ulong)CR4_OSXSAVE);
		check(!HAS(1, 0, c, 27), "OSXSAVE is set with CR4.OSXSAVE clear");
	}
	if (HAS_PKU) {
		write_cr4(cr4 | CR4_PKE);
		check(HAS(7, 0, c, 4), "OSPKE is clear with CR4.PKE set");
		write_cr4(cr4 & ~(ulong)CR4_PKE);
		check(!HAS(7, 0, c, 4), "OSPKE is set with CR4.PKE clear");
	}
	write_cr4(cr4);
}

/* A virtual machine says so, with leaves that are no part of the processor's own. */
static void test_hypervisor(void)
{
	struct cpuid c = cpuid(0x40000000, 0);
	char sig[13] = "";

	if (!HAS_HYPERVISOR) {
		skip("not a virtual machine");
		return;
	}
	memcpy(sig, &c.b, 12);
	print("# hypervisor leaves up to %x, signature %s\n", c.a, sig);
	check(c.a >= 0x40000000 && c.a < 0x40010000, "highest hypervisor leaf %x", c.a);
	/* No nested virtualization is promised that is not there. */
	if (!(cpuid(0x80000001, 0).c & BIT(2)))
		EXPECT_TRAP(VEC_UD, asm volatile("vmrun" :: "a"(0)));
	if (!(cpuid(1, 0).c & BIT(5)))
		EXPECT_TRAP(VEC_UD, asm volatile("vmxoff"));
}

/* --- MSRs --- */

static void keeps(u32 msr, u64 v, const char *name)
{
	u64 old = rdmsr(msr);

	EXPECT_NO_TRAP(wrmsr(msr, v));
	check_eq(rdmsr(msr), v, name);
	wrmsr(msr, old);
}

static void test_plain_msrs(void)
{
	keeps(MSR_STAR, 0x0023001012345678, "STAR");
	keeps(MSR_LSTAR, 0xffffffff81234567, "LSTAR");
	keeps(MSR_CSTAR, 0x00007ffffffff000, "CSTAR");
	keeps(MSR_FMASK, 0x00047700, "FMASK");
	keeps(MSR_FS_BASE, 0x00007fffdeadb000, "FS base");
	keeps(MSR_GS_BASE, 0xffff888000000000, "GS base");
	keeps(MSR_KERNEL_GS_BASE, 0xffffc90000000000, "kernel GS base");
	keeps(MSR_SYSENTER_CS, 0x10, "SYSENTER CS");
	keeps(MSR_SYSENTER_ESP, 0x12345678, "SYSENTER ESP");
	keeps(MSR_SYSENTER_EIP, 0x87654321, "SYSENTER EIP");
	if (HAS_RDTSCP) {
		u32 aux;

		wrmsr(MSR_TSC_AUX, 0x1234);
		asm volatile("rdtscp" : "=c"(aux) :: "rax", "rdx");
		check_eq(aux, 0x1234, "RDTSCP");
		wrmsr(MSR_TSC_AUX, 0);
	}
}

/* Addresses in MSRs must be canonical. */
static void test_canonical_msrs(void)
{
	static const u32 msr[] = {
		MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE
	};
	u32 i;

	known_on_tcg("bases that are not canonical are taken");
	for (i = 0; i < ARRAY_SIZE(msr); i++) {
		u64 old = rdmsr(msr[i]);
		int v = TRY(wrmsr(msr[i], 0x0000800000000000));

		check(v == VEC_GP, "MSR %x takes a non-canonical address", msr[i]);
		if (v != VEC_GP)
			wrmsr(msr[i], old);
	}
}

static void test_unknown_msr(void)
{
	known_on_qemu("unknown MSRs read as 0");
	EXPECT_TRAP_ERR(VEC_GP, 0, rdmsr(0x12345678));
	EXPECT_TRAP_ERR(VEC_GP, 0, wrmsr(0x12345678, 0));
	EXPECT_TRAP_ERR(VEC_GP, 0, rdmsr(0xc0001fff));
	EXPECT_TRAP_ERR(VEC_GP, 0, rdmsr(0x4b564dff));
}

static void test_efer(void)
{
	u64 efer = rdmsr(MSR_EFER);
	int v;

	check_eq(efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA, "EFER");
	/* LME must not change while paging is on (SDM Vol. 3A 4.1.1). */
	known_on_qemu("EFER is not checked");
	v = TRY(wrmsr(MSR_EFER, efer & ~(u64)EFER_LME));
	check_eq(v, VEC_GP, "clearing EFER.LME");
	if (v == NO_TRAP)
		wrmsr(MSR_EFER, efer);
	v = TRY(wrmsr(MSR_EFER, efer | BIT64(40)));
	check_eq(v, VEC_GP, "setting a reserved bit of EFER");
	v = TRY(wrmsr(MSR_EFER, efer | BIT64(1)));
	check_eq(v, VEC_GP, "setting bit 1 of EFER");
	wrmsr(MSR_EFER, efer | EFER_SCE);
	check(rdmsr(MSR_EFER) & EFER_SCE, "EFER.SCE");
	wrmsr(MSR_EFER, efer & ~(u64)EFER_SCE);
	EXPECT_TRAP(VEC_UD, asm volatile("syscall" ::: "rcx", "r11"));
	/* LMA is read-only: writing it changes nothing. */
	wrmsr(MSR_EFER, efer);
	check_eq(rdmsr(MSR_EFER), efer, "EFER at the end");
}

static void test_pat(void)
{
	u64 pat = rdmsr(MSR_PAT);
	int v;

	check_eq(pat, 0x0007040600070406, "PAT after reset");
	keeps(MSR_PAT, 0x0001050600070406, "PAT");
	known_on_qemu("PAT is not checked");
	v = TRY(wrmsr(MSR_PAT, 0x0007040600070402));
	check_eq(v, VEC_GP, "PAT with memory type 2");
	v = TRY(wrmsr(MSR_PAT, 0x0807040600070406));
	check_eq(v, VEC_GP, "PAT with memory type 8");
	wrmsr(MSR_PAT, pat);
}

static void test_mtrr(void)
{
	u64 cap, def;
	u32 i;

	if (!HAS_MTRR) {
		skip("no MTRRs");
		return;
	}
	cap = rdmsr(MSR_MTRRCAP);
	def = rdmsr(MSR_MTRR_DEF);
	check((cap & 0xff) >= 1 && (cap & 0xff) <= 32, "MTRRcap is %llx", (unsigned long long)cap);
	for (i = 0; i < (cap & 0xff); i++) {
		keeps(0x200 + 2 * i, 0x10000006, "MTRR base");
		keeps(0x201 + 2 * i, (BIT64(cpu_phys_bits()) - 1) & ~0xfffffull, "MTRR mask");
	}
	if (cap & BIT(8))
		keeps(0x250, 0x0606060606060606, "fixed MTRR");
	keeps(MSR_MTRR_DEF, 0xc06, "MTRR default type");
	check_eq(rdmsr(MSR_MTRR_DEF), def, "MTRR default type at the end");
}

/* --- control registers: SDM Vol. 3A 2.5 --- */

static void test_cr0(void)
{
	ulong cr0 = read_cr0();

	if (known_on_qemu("CR0 is not checked")) {
		skip("QEMU's TCG does not check CR0 and would not survive");
		return;
	}
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr0((cr0 | CR0_NW) & ~(ulong)CR0_CD));
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr0(cr0 & ~(ulong)CR0_PE));
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr0(cr0 | BIT64(32)));
	check_eq(read_cr0(), cr0, "CR0 after the faults");
	/* ET is fixed; the other reserved bits of the low half are dropped. */
	EXPECT_NO_TRAP(write_cr0(cr0 & ~(ulong)CR0_ET));
	check(read_cr0() & CR0_ET, "CR0.ET is clear");
	EXPECT_NO_TRAP(write_cr0(cr0 | CR0_CD));
	check_eq(read_cr0(), cr0 | CR0_CD, "CR0 with CD");
	write_cr0(cr0);
}

static void test_cr0_lmsw(void)
{
	ulong cr0 = read_cr0();
	u16 msw;

	asm volatile("lmsw %w0" :: "r"((u16)((cr0 & 0xf) | CR0_TS)));
	check_eq(read_cr0(), cr0 | CR0_TS, "CR0 after LMSW with TS");
	asm volatile("smsw %w0" : "=r"(msw));
	check_eq(msw, (u16)(cr0 | CR0_TS), "SMSW");
	asm volatile("lmsw %w0" :: "r"((u16)0));
	check_eq(read_cr0() & CR0_PE, CR0_PE, "PE after LMSW of 0");
	write_cr0(cr0);
	asm volatile("clts");
	check_eq(read_cr0(), cr0, "CR0");
}

static void test_cr4(void)
{
	ulong cr4 = read_cr4();
	int i;

	if (known_on_qemu("CR4 is not checked")) {
		skip("QEMU's TCG does not check CR4 and would not survive");
		return;
	}
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(cr4 & ~(ulong)CR4_PAE));
	check_eq(read_cr4(), cr4, "CR4 after the fault");
	write_cr4(cr4 | CR4_PSE | CR4_TSD | CR4_MCE);
	check_eq(read_cr4(), cr4 | CR4_PSE | CR4_TSD | CR4_MCE, "CR4");
	write_cr4(cr4);
	for (i = 23; i < 64; i++) {
		int v;

		/* CET, PKS, UINTR, LASS, LAM and FRED live among these. */
		if (i < 33)
			continue;
		v = TRY(write_cr4(cr4 | BIT64(i)));
		check(v == VEC_GP, "bit %d of CR4 may be set", i);
		write_cr4(cr4);
	}
	EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(cr4 | BIT(15)));
	if (!HAS_SMEP)
		EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(cr4 | CR4_SMEP));
	if (!HAS_PKU)
		EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(cr4 | CR4_PKE));
	if (!HAS_PCID)
		EXPECT_TRAP_ERR(VEC_GP, 0, write_cr4(cr4 | CR4_PCIDE));
	write_cr4(cr4);
}

static u64 xgetbv(u32 n)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(n));
	return lo | (u64)hi << 32;
}

static void xsetbv(u32 n, u64 v)
{
	asm volatile("xsetbv" :: "c"(n), "a"((u32)v), "d"((u32)(v >> 32)));
}

static void test_xcr0(void)
{
	ulong cr4 = read_cr4();
	u64 can, old;

	if (!HAS_XSAVE) {
		EXPECT_TRAP(VEC_UD, xgetbv(0));
		skip("no XSAVE");
		return;
	}
	EXPECT_TRAP(VEC_UD, xgetbv(0));
	write_cr4(cr4 | CR4_OSXSAVE);
	can = cpuid(0xd, 0).a | (u64)cpuid(0xd, 0).d << 32;
	old = xgetbv(0);
	check_eq(old & 1, 1, "x87 bit of XCR0");
	check_eq(can & 3, 3, "x87 and SSE in leaf D");
	EXPECT_TRAP_ERR(VEC_GP, 0, xsetbv(0, old & ~1ull));
	EXPECT_TRAP_ERR(VEC_GP, 0, xsetbv(1, old));
	EXPECT_TRAP_ERR(VEC_GP, 0, xsetbv(0, 5));
	EXPECT_TRAP_ERR(VEC_GP, 0, xsetbv(0, 3 | BIT64(62)));
	if (~can & 0x7fffffffffffffff)
		EXPECT_TRAP_ERR(VEC_GP, 0, xsetbv(0, ~0ull >> 1));
	EXPECT_NO_TRAP(xsetbv(0, 3));
	check_eq(xgetbv(0), 3, "XCR0");
	if (can & 4) {
		xsetbv(0, 7);
		/* The size in leaf D follows XCR0. */
		check(cpuid(0xd, 0).b >= 832, "size with AVX: %u", cpuid(0xd, 0).b);
		xsetbv(0, 3);
		check_eq(cpuid(0xd, 0).b, 576, "size without AVX");
	}
	xsetbv(0, old);
	write_cr4(cr4);
}

/* --- time --- */

static void test_tsc(void)
{
	u64 last = rdtsc(), now;
	int i;

	for (i = 0; i < 2000; i++) {
		now = rdtsc();
		if (!check(now >= last, "TSC went back from %llx to %llx", (unsigned long long)last,
			   (unsigned long long)now))
			break;
		last = now;
	}
	check(tsc_per_ms() > 1000, "TSC runs at %u per millisecond", tsc_per_ms());
	known_on_qemu("the TSC's MSR reads as 0");
	now = rdmsr(MSR_TSC);
	check(now >= last && now - last < 1000ull * tsc_per_ms(), "MSR says %llx, RDTSC before it %llx",
	      (unsigned long long)now, (unsigned long long)last);
}

static void test_tsc_write(void)
{
	u64 now;

	known_on_qemu("the TSC cannot be written");
	wrmsr(MSR_TSC, 0x123400000000);
	now = rdtsc();
	check(now >= 0x123400000000 && now < 0x123400000000 + 1000ull * tsc_per_ms(),
	      "TSC is %llx after it was set to 123400000000", (unsigned long long)now);
	if (HAS_TSC_ADJUST) {
		u64 adj = rdmsr(MSR_TSC_ADJUST);

		wrmsr(MSR_TSC_ADJUST, adj + 0x1000000000000);
		check(rdtsc() >= 0x1123400000000, "TSC_ADJUST does not move the TSC");
		check_eq(rdmsr(MSR_TSC_ADJUST), adj + 0x1000000000000, "TSC_ADJUST");
		wrmsr(MSR_TSC_ADJUST, adj);
	}
	wrmsr(MSR_TSC, now & 0xffffffff);
}

static void test_tsd(void)
{
	EXPECT_NO_TRAP(rdtsc());
	write_cr4(read_cr4() | CR4_TSD);
	EXPECT_NO_TRAP(rdtsc());
	write_cr4(read_cr4() & ~(ulong)CR4_TSD);
}

/* The paravirtual clock that Linux knows as kvmclock. */
static void test_pvclock(void)
{
	struct __attribute__((packed)) {
		u32 version, pad;
		u64 tsc, ns;
		u32 mul;
		signed char shift;
		u8 flags, pad2[2];
	} volatile *c = alloc_page();
	struct {
		u32 version, sec, nsec;
	} volatile *wall = alloc_page();
	u64 ns[2];
	int i;

	if (!HAS_HYPERVISOR || cpuid(0x40000000, 0).b != 0x4b4d564b) {
		skip("no kvmclock");
		return;
	}
	if (!(cpuid(0x40000001, 0).a & BIT(3))) {
		skip("kvmclock without the new MSRs");
		return;
	}
	wrmsr(0x4b564d01, (ulong)c | 1);
	check(WAIT_FOR(100, c->mul), "the clock page stays empty");
	check_eq(rdmsr(0x4b564d01), (ulong)c | 1, "system time MSR");
	for (i = 0; i < 2; i++) {
		u64 delta;
		u32 v;

		do {
			v = c->version;
			barrier();
			delta = rdtsc() - c->tsc;
			delta = c->shift < 0 ? delta >> -c->shift : delta << c->shift;
			ns[i] = c->ns + (u64)((__uint128_t)delta * c->mul >> 32);
			barrier();
		} while (v & 1 || v != c->version);
		if (!i)
			delay_ms(20);
	}
	check(ns[1] - ns[0] > 5000000 && ns[1] - ns[0] < 2000000000, "%llu ns went by in 20 ms",
	      (unsigned long long)(ns[1] - ns[0]));
	wrmsr(0x4b564d00, (ulong)wall);
	check(!(wall->version & 1) && wall->sec > 1600000000 && wall->nsec < 1000000000,
	      "wall clock says %u s %u ns, version %u", wall->sec, wall->nsec, wall->version);
	wrmsr(0x4b564d01, 0);
	check_eq(rdmsr(0x4b564d01), 0, "system time MSR, off");
}

const struct test guest_tests[] = {
	{ "leaves", test_leaves },
	{ "dynamic-bits", test_dynamic_bits },
	{ "hypervisor", test_hypervisor },
	{ "plain-msrs", test_plain_msrs },
	{ "canonical-msrs", test_canonical_msrs },
	{ "unknown-msr", test_unknown_msr },
	{ "efer", test_efer },
	{ "pat", test_pat },
	{ "mtrr", test_mtrr },
	{ "cr0", test_cr0 },
	{ "lmsw", test_cr0_lmsw },
	{ "cr4", test_cr4 },
	{ "xcr0", test_xcr0 },
	{ "tsc", test_tsc },
	{ "tsc-write", test_tsc_write },
	{ "tsd", test_tsd },
	{ "pvclock", test_pvclock },
};

GUEST("cpuidmsr");
