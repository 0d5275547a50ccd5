// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores into a table by which they are themselves translated. Under a hypervisor that
 * shadows tables these cannot be done by having the table be plain memory meanwhile.
 */
#include "cpu.h"
#include "mem.h"
#include "ptself.h"
#include "string.h"
#include "test.h"
#include "trap.h"

#ifdef __x86_64__
#define R(name)	"%%r" #name
#define LRET	"lretq"
#define SUFFIX	"q"
#define ASM_SP	"%rsp"
#define IRET	"iretq"
#else
#define R(name)	"%%e" #name
#define LRET	"lretl"
#define SUFFIX	"l"
#define ASM_SP	"%esp"
#define IRET	"iretl"
#endif

#define CR4_OSXSAVE	BIT(18)

static const u8 pattern[64] __attribute__((aligned(64))) = {
	0x11, 0x82, 0x13, 0x84, 0x15, 0x86, 0x17, 0x88, 0x99, 0x0a, 0x9b, 0x0c, 0x9d, 0x0e, 0x9f,
	0x20, 0x21, 0xa2, 0x23, 0xa4, 0x25, 0xa6, 0x27, 0xa8, 0xb9, 0x2a, 0xbb, 0x2c, 0xbd, 0x2e,
	0xbf, 0x30,
};

/* Each stores to DI, perhaps from the pattern at SI; AX, CX and DX are free. */
#define OP(name, text)								\
static void op_##name(void *p)							\
{										\
	ulong a = 7, c = 0, d = 0;						\
										\
	asm volatile(text : "+a"(a), "+c"(c), "+d"(d)				\
		     : "D"(p), "S"(pattern) : "memory", "cc");			\
}

#define AT	"(" R(di) ")"
#define FROM	"(" R(si) ")"
/* With the stack in the middle of the table. */
#define STACK(name, text)							\
	OP(name, "mov " R(sp) ", " R(cx) "; lea 128" AT ", " R(sp) ";"		\
	   text "; mov " R(cx) ", " R(sp))

OP(movq_mmx, "movq " FROM ", %%mm1; movq %%mm1, " AT "; emms")
OP(movd_mmx, "movq " FROM ", %%mm1; movd %%mm1, " AT "; emms")
OP(movntq, "movq " FROM ", %%mm1; movntq %%mm1, " AT "; emms")
OP(maskmovq, "movq " FROM ", %%mm1; movq 8" FROM ", %%mm2; maskmovq %%mm2, %%mm1; emms")
OP(fstpt, "fninit; fldpi; fstpt " AT)
OP(fstpl, "fninit; fldpi; fstpl " AT)
OP(fsts, "fninit; fldpi; fsts " AT)
OP(fistps, "fninit; filds " FROM "; fistps " AT)
OP(fistpl, "fninit; fildl " FROM "; fistpl " AT)
OP(fistpll, "fninit; fildll 24" FROM "; fistpll " AT)
OP(fbstp, "fninit; fld1; fbstp " AT)
OP(fnstenv, "fninit; fnstenv " AT)
OP(fnsave, "fninit; fldpi; fninit; fnsave " AT)
OP(fnstcw, "fninit; fnstcw " AT)
OP(fnstsw, "fninit; fnstsw " AT)
OP(fxsave, "fninit; fxsave " AT)
OP(stmxcsr, "stmxcsr " AT)
OP(movaps, "movaps " FROM ", %%xmm1; movaps %%xmm1, " AT)
OP(movups, "movups " FROM ", %%xmm1; movups %%xmm1, 7" AT)
OP(movntdq, "movdqa " FROM ", %%xmm1; movntdq %%xmm1, " AT)
OP(movntps, "movaps " FROM ", %%xmm1; movntps %%xmm1, " AT)
OP(movhps, "movaps " FROM ", %%xmm1; movhps %%xmm1, " AT)
OP(movss, "movaps " FROM ", %%xmm1; movss %%xmm1, " AT)
OP(maskmovdqu, "movdqa " FROM ", %%xmm1; movdqa 16" FROM ", %%xmm2; maskmovdqu %%xmm2, %%xmm1")
OP(pextrd, "movdqa " FROM ", %%xmm1; pextrd $2, %%xmm1, " AT)
OP(extractps, "movdqa " FROM ", %%xmm1; extractps $3, %%xmm1, " AT)
OP(pextrb, "movdqa " FROM ", %%xmm1; pextrb $5, %%xmm1, " AT)
OP(xsave, "fninit; mov $3, %%eax; xor %%edx, %%edx; xsave " AT)
OP(vmovdqu, "vmovdqu " FROM ", %%ymm1; vmovdqu %%ymm1, 5" AT "; vzeroupper")
OP(vmovntps, "vmovups " FROM ", %%ymm1; vmovntps %%ymm1, " AT "; vzeroupper")
OP(vextractf128, "vmovups " FROM ", %%ymm1; vextractf128 $1, %%ymm1, " AT "; vzeroupper")
OP(vmaskmovps, "vmovups " FROM ", %%ymm1; vmaskmovps %%ymm1, %%ymm1, " AT "; vzeroupper")
#define NEW(insn)	"push " R(bx) "; xor %%eax, %%eax; mov $5, %%ebx; mov $6, %%ecx;" \
	insn AT "; pop " R(bx)
OP(cmpxchg8b, NEW("lock cmpxchg8b "))
OP(xadd, "lock xadd %%eax, " AT)
OP(shld, "movl $0x1234567, " AT "; shld $5, %%eax, " AT)
OP(rcr, "stc; rcrl $3, " AT)
OP(setc, "stc; setc " AT)
OP(bts, "bts %%eax, " AT)
OP(sgdt, "sgdt " AT)
OP(sidt, "sidt " AT)
OP(sldt, "sldt " AT)
OP(str, "str " AT)
OP(smsw, "smsw " AT)
OP(mov_sreg, "movw %%ds, " AT)
OP(rep_stos, "mov " R(di) ", " R(dx) "; mov $100, %%ecx; rep stosb; mov " R(dx) ", " R(di))
#define MOVSL	"mov " R(di) ", " R(dx) "; mov " R(si) ", " R(ax) "; mov $8, %%ecx; rep movsl;" \
	"mov " R(dx) ", " R(di) "; mov " R(ax) ", " R(si)
OP(rep_movs, MOVSL)
STACK(push, "push $0x1234; push " R(ax) "; pop " R(dx) "; pop " R(dx))
STACK(pushf, "xor %%edx, %%edx; pushf; pop " R(dx))
STACK(push_mem, "push " FROM "; pop 8" AT)
STACK(enter, "mov " R(bp) ", " R(dx) "; enter $16, $0; mov " R(dx) ", " R(bp))
STACK(call, "call 1f; jmp 2f; 1: ret; 2:")
#define FAR_CALL "push $0; push $0; movl $1f, (" R(sp) "); movw %%cs, 4(" R(sp) ");" \
	"lcall *(" R(sp) "); jmp 2f; 1: lretl; 2:"
STACK(far_call, FAR_CALL)
STACK(far_return, "mov %%cs, %%edx; push " R(dx) "; push $1f; " LRET "; 1:")
#ifdef __x86_64__
OP(cmpxchg16b, NEW("lock cmpxchg16b "))
OP(movnti, "movntiq %%rax, " AT)
#else
STACK(pusha, "pusha; popa")
STACK(push_sregs, "push %%cs; push %%es; push %%fs; pop %%edx; pop %%edx; pop %%edx")
#endif

/* Delivered on the stack that is in use. */
#define INT_VECTOR	0x42
void ptself_int(void), ptself_ud(void);
asm("ptself_ud: add" SUFFIX " $2, (" ASM_SP "); ptself_int: " IRET);
STACK(interrupt, "int $0x42")
STACK(exception, "ud2")

static bool always(void)
{
	return true;
}

static bool delivers(void)
{
	/* An event that is cut short shows as an earlier one there. */
	return !on_bochs_svm();
}

static bool far_calls(void)
{
	/* In 64-bit code TCG takes ESP for the stack pointer. */
	return sizeof(long) == 4 || !on_tcg();
}

static bool rotates(void)
{
	/* TCG has CF changed already when the store faults. */
	return !on_tcg();
}

#define HAS_FN(name, what) static bool has_##name(void) { return what; }
HAS_FN(mmx, HAS(1, 0, d, 23))
HAS_FN(mmx2, HAS(1, 0, d, 25))
HAS_FN(fxsr, HAS(1, 0, d, 24))
HAS_FN(sse2, HAS(1, 0, d, 26))
HAS_FN(sse41, HAS(1, 0, c, 19))
HAS_FN(xsave, HAS_XSAVE)
HAS_FN(avx, HAS_XSAVE && HAS(1, 0, c, 28))
HAS_FN(cx8, HAS_CX8)
#ifdef __x86_64__
HAS_FN(cx16, HAS_CX16)
#endif

static const struct op {
	const char *name;
	void (*run)(void *p);
	bool (*possible)(void);
	bool differs;		/* what is stored depends on where */
} ops[] = {
#define ROW(name, possible)	{ #name, op_##name, possible, false }
	ROW(movq_mmx, has_mmx), ROW(movd_mmx, has_mmx), ROW(movntq, has_mmx2),
	ROW(maskmovq, has_mmx2), ROW(fstpt, always), ROW(fstpl, always), ROW(fsts, always),
	ROW(fistps, always), ROW(fistpl, always), ROW(fistpll, always), ROW(fbstp, always),
	ROW(fnstenv, always), ROW(fnsave, always), ROW(fnstcw, always), ROW(fnstsw, always),
	ROW(fxsave, has_fxsr), ROW(stmxcsr, has_sse2), ROW(movaps, has_sse2), ROW(movups, has_sse2),
	ROW(movntdq, has_sse2), ROW(movntps, has_sse2), ROW(movhps, has_sse2), ROW(movss, has_sse2),
	ROW(maskmovdqu, has_sse2), ROW(pextrd, has_sse41), ROW(extractps, has_sse41),
	ROW(pextrb, has_sse41), ROW(xsave, has_xsave), ROW(vmovdqu, has_avx),
	ROW(vmovntps, has_avx), ROW(vextractf128, has_avx), ROW(vmaskmovps, has_avx),
	ROW(cmpxchg8b, has_cx8), ROW(xadd, always), ROW(shld, always), ROW(rcr, rotates),
	ROW(setc, always), ROW(bts, always), ROW(sgdt, always), ROW(sidt, always),
	ROW(sldt, always), ROW(str, always), ROW(smsw, always), ROW(mov_sreg, always),
	ROW(rep_stos, always), ROW(rep_movs, always), ROW(push, always), ROW(pushf, always),
	ROW(push_mem, always), ROW(enter, always), ROW(call, always), ROW(far_call, far_calls),
	ROW(far_return, always),
#ifdef __x86_64__
	ROW(cmpxchg16b, has_cx16), ROW(movnti, has_sse2),
#else
	ROW(push_sregs, always),
	{ "pusha", op_pusha, always, true },
#endif
	{ "an interrupt", op_interrupt, delivers, true },
	{ "an exception", op_exception, delivers, true },
};

/* All but accessed and dirty bits, in entries of either size. */
#define KEPT	(~((PT_A | PT_D) | (PT_A | PT_D) << 32))

static void check_op(const struct op *op, ulong table, ulong alias, u32 offset)
{
	static u64 expected[PAGE_SIZE / 8] __attribute__((aligned(4096)));
	const u64 *seen = (const u64 *)table;
	ulong cr3 = read_cr3();
	u64 wrong;
	u32 i;

	memcpy(expected, seen, PAGE_SIZE);
	op->run((void *)expected + offset);
	/* Not in any TLB. */
	write_cr3(cr3);
	op->run((void *)alias + offset);
	for (i = 0; i < PAGE_SIZE / 8; i++) {
		bool there = i - offset / 8 < PTSELF_SIZE / 8;

		wrong = (seen[i] ^ expected[i]) & (there ? ~0ull : KEPT);
		if (wrong && !(there && op->differs) &&
		    !check(false, "%s: %llx at %x, expected %llx", op->name,
			   (unsigned long long)seen[i], i * 8, (unsigned long long)expected[i]))
			break;
	}
	memset((void *)table + offset, 0, PTSELF_SIZE);
	write_cr3(cr3);
}

void ptself_check(struct space *s, ulong va, int level, int index, u32 offset)
{
	ulong table = pt_entry(s, va, level) & -PAGE_SIZE, alias, cr4 = read_cr4();
	u64 below = pt_size(s->mode, level + 1) - 1;
	u32 i;
	int l;

	alias = va & ~below;
	for (l = 1; l <= level; l++)
		alias |= (ulong)index << pt_shift(s->mode, l);
#ifdef __x86_64__
	/* Canonical, in case it is the root. */
	alias = (ulong)((long)(alias << 16) >> 16);
#endif
	if (HAS_XSAVE) {
		write_cr4(cr4 | CR4_OSXSAVE);
		asm volatile("xsetbv" :: "a"(has_avx() ? 7 : 3), "c"(0), "d"(0));
	}
	set_idt(INT_VECTOR, ptself_int, KERNEL_CS, 0x8e, 0);
	set_idt(VEC_UD, ptself_ud, KERNEL_CS, 0x8e, 0);
	pt_write(s->mode, pt_slot(s->mode, table, index), table | PT_P | PT_W);
	write_cr3(s->root);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		if (ops[i].possible())
			check_op(&ops[i], table, alias, offset);
	pt_write(s->mode, pt_slot(s->mode, table, index), 0);
	write_cr3(s->root);
	set_idt(INT_VECTOR, default_entry(INT_VECTOR), KERNEL_CS, 0x8e, 0);
	set_idt(VEC_UD, default_entry(VEC_UD), KERNEL_CS, 0x8e, 0);
	write_cr4(cr4);
}
