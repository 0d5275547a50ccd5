// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every instruction the executor knows and user mode may run.
 */
#include "templates.h"

#define RM	T_MODRM
#define RMM	(T_MODRM | T_MEM)
#define RMW	(T_MODRM | T_LOCK)
#define VEC	(T_MODRM | T_NO66 | T_NOREP)
#define VEX	(T_MODRM | T_VEX)

#define ALU(n, op, undef)							\
	{ n " r/m", CALL, 0, (op), (op) + 1, -1, 0, RMW, undef },		\
	{ n " r", CALL, 0, (op) + 2, (op) + 3, -1, 0, RM, undef },		\
	{ n " al, imm", CALL, 0, (op) + 4, 0, -1, 0, T_IMM8, undef },		\
	{ n " ax, imm", CALL, 0, (op) + 5, 0, -1, 0, T_IMMZ, undef },		\
	{ n " r/m8, imm8", CALL, 0, 0x80, 0, (op) >> 3, 0, RMW | T_IMM8, undef }, \
	{ n " r/m, imm", CALL, 0, 0x81, 0, (op) >> 3, 0, RMW | T_IMMZ, undef },	\
	{ n " r/m, imm8", CALL, 0, 0x83, 0, (op) >> 3, 0, RMW | T_IMM8, undef }, \
	{ n " r/m8, imm8 (82)", COLD, 0, 0x82, 0, (op) >> 3, 0, RMW | T_IMM8, undef }

#define SHIFTS(n, ext, undef)							\
	{ n " imm", CALL, 0, 0xc0, 0xc1, ext, 0, RM | T_IMM8, undef },		\
	{ n " 1", CALL, 0, 0xd0, 0xd1, ext, 0, RM, undef },			\
	{ n " cl", CALL, 0, 0xd2, 0xd3, ext, 0, RM, undef }

#define BITTEST(n, op, ext)							\
	{ n " r/m, r", CALL, 1, op, 0, -1, 0, RMW | T_BIT, BITS },		\
	{ n " r/m, imm", CALL, 1, 0xba, 0, ext, 0, RMW | T_IMM8, BITS }

/* An SSE move and its VEX form; for VEX the prefix is given as VEX.pp. */
#define MOVE_FLAGS(n, op, prefix, pp, flags)					\
	{ n, CALL, 1, op, 0, -1, prefix, VEC | (flags), 0 },			\
	{ "v" n, CALL, 1, op, 0, -1, pp, VEX | (flags), 0 }
#define MOVE(n, op, prefix, pp)		MOVE_FLAGS(n, op, prefix, pp, 0)
#define ALIGNED(n, op, prefix, pp)	MOVE_FLAGS(n, op, prefix, pp, T_ALIGNED)

const struct template templates[] = {
	ALU("add", 0x00, 0),
	ALU("or", 0x08, LOGIC),
	ALU("adc", 0x10, 0),
	ALU("sbb", 0x18, 0),
	ALU("and", 0x20, LOGIC),
	ALU("sub", 0x28, 0),
	ALU("xor", 0x30, LOGIC),
	ALU("cmp", 0x38, 0),
	{ "test r/m, r", CALL, 0, 0x84, 0x85, -1, 0, RMW, LOGIC },
	{ "test al, imm", CALL, 0, 0xa8, 0, -1, 0, T_IMM8, LOGIC },
	{ "test ax, imm", CALL, 0, 0xa9, 0, -1, 0, T_IMMZ, LOGIC },
	{ "test r/m8, imm", CALL, 0, 0xf6, 0, 0, 0, RMW | T_IMM8, LOGIC },
	{ "test r/m, imm", CALL, 0, 0xf7, 0, 0, 0, RM | T_IMMZ, LOGIC },
	{ "test r/m8, imm (/1)", CALL, 0, 0xf6, 0, 1, 0, RM | T_IMM8, LOGIC },
	{ "test r/m, imm (/1)", CALL, 0, 0xf7, 0, 1, 0, RM | T_IMMZ, LOGIC },
	{ "not", CALL, 0, 0xf6, 0xf7, 2, 0, RMW, 0 },
	{ "neg", CALL, 0, 0xf6, 0xf7, 3, 0, RMW, 0 },
	{ "mul", CALL, 0, 0xf6, 0xf7, 4, 0, RM, MUL },
	{ "imul", CALL, 0, 0xf6, 0xf7, 5, 0, RM, MUL },
	{ "div", CALL, 0, 0xf6, 0xf7, 6, 0, RM | T_DIV, DIV },
	{ "idiv", CALL, 0, 0xf6, 0xf7, 7, 0, RM | T_DIV, DIV },
	{ "imul r, r/m", CALL, 1, 0xaf, 0, -1, 0, RM, MUL },
	{ "imul r, r/m, imm8", CALL, 0, 0x6b, 0, -1, 0, RM | T_IMM8, MUL },
	{ "imul r, r/m, imm", CALL, 0, 0x69, 0, -1, 0, RM | T_IMMZ, MUL },
	{ "inc/dec r/m", CALL, 0, 0xfe, 0, -1, 0, RMW, 0 },
	{ "inc r/m", CALL, 0, 0xff, 0, 0, 0, RMW, 0 },
	{ "dec r/m", CALL, 0, 0xff, 0, 1, 0, RMW, 0 },
	{ "inc/dec r", COLD, 0, 0x40, 0x4f, -1, 0, 0, 0 },
	{ "xadd", CALL, 1, 0xc0, 0xc1, -1, 0, RMW, 0 },
	{ "cmpxchg", CALL, 1, 0xb0, 0xb1, -1, 0, RMW | T_CMPXCHG, 0 },
	{ "cmpxchg8b/16b", CALL, 1, 0xc7, 0, 1, 0, RMM | T_LOCK | T_CMPXCHG | T_NOREP | T_NO66 |
	  T_ALIGNED,
	  0 },

	SHIFTS("rol", 0, ROTATE),
	SHIFTS("ror", 1, ROTATE),
	SHIFTS("rcl", 2, ROTATE),
	SHIFTS("rcr", 3, ROTATE),
	SHIFTS("shl", 4, SHIFT),
	SHIFTS("shr", 5, SHIFT),
	SHIFTS("sal", 6, SHIFT),
	SHIFTS("sar", 7, SHIFT),
	{ "shld imm", CALL, 1, 0xa4, 0, -1, 0, RM | T_IMM8, SHIFT },
	{ "shld cl", CALL, 1, 0xa5, 0, -1, 0, RM, SHIFT },
	{ "shrd imm", CALL, 1, 0xac, 0, -1, 0, RM | T_IMM8, SHIFT },
	{ "shrd cl", CALL, 1, 0xad, 0, -1, 0, RM, SHIFT },
	BITTEST("bt", 0xa3, 4),
	BITTEST("bts", 0xab, 5),
	BITTEST("btr", 0xb3, 6),
	BITTEST("btc", 0xbb, 7),
	{ "bsf/bsr", CALL, 1, 0xbc, 0xbd, -1, 0, RM | T_NOREP, BITS | X86_EFLAGS_CF },
	{ "0f ba /0../3", CALL, 1, 0xba, 0, 2, 0, RM | T_IMM8, 0 },

	{ "mov r/m, r", CALL, 0, 0x88, 0x89, -1, 0, RMW, 0 },
	{ "mov r, r/m", CALL, 0, 0x8a, 0x8b, -1, 0, RM, 0 },
	{ "mov r/m8, imm", CALL, 0, 0xc6, 0, 0, 0, RM | T_IMM8, 0 },
	{ "mov r/m, imm", CALL, 0, 0xc7, 0, 0, 0, RM | T_IMMZ, 0 },
	{ "c6 /3", CALL, 0, 0xc6, 0, 3, 0, RM | T_IMM8, 0 },
	{ "mov r8, imm", CALL, 0, 0xb0, 0xb7, -1, 0, T_IMM8, 0 },
	{ "mov r, imm", CALL, 0, 0xb8, 0xbf, -1, 0, T_IMMV, 0 },
	{ "mov moffs", CALL, 0, 0xa0, 0xa3, -1, 0, T_MOFFS, 0 },
	{ "movzx", CALL, 1, 0xb6, 0xb7, -1, 0, RM, 0 },
	{ "movsx", CALL, 1, 0xbe, 0xbf, -1, 0, RM, 0 },
	{ "movsxd", C64, 0, 0x63, 0, -1, 0, RM | T_NO66, 0 },
	{ "movbe", CALL, 2, 0xf0, 0xf1, -1, 0, RMM | T_NOREP, 0 },
	{ "movnti", CALL, 1, 0xc3, 0, -1, 0, RMM, 0 },
	{ "xchg", CALL, 0, 0x86, 0x87, -1, 0, RMW, 0 },
	{ "xchg ax, r", CALL, 0, 0x90, 0x97, -1, 0, 0, 0 },
	{ "bswap", CALL, 1, 0xc8, 0xcf, -1, 0, T_NO66, 0 },
	{ "setcc", CALL, 1, 0x90, 0x9f, -1, 0, RM, 0 },
	{ "cmovcc", CALL, 1, 0x40, 0x4f, -1, 0, RM, 0 },
	{ "lea", CALL, 0, 0x8d, 0, -1, 0, RMM, 0 },
	{ "lahf/sahf", CALL, 0, 0x9e, 0x9f, -1, 0, 0, 0 },
	{ "cbw/cwd", CALL, 0, 0x98, 0x99, -1, 0, 0, 0 },
	{ "daa", COLD, 0, 0x27, 0, -1, 0, 0, 0 },
	{ "das", COLD, 0, 0x2f, 0, -1, 0, 0, 0 },
	{ "aaa", COLD, 0, 0x37, 0, -1, 0, 0, BCD },
	{ "aas", COLD, 0, 0x3f, 0, -1, 0, 0, BCD },
	{ "aam/aad", COLD, 0, 0xd4, 0xd5, -1, 0, T_IMM8, X86_EFLAGS_OF | AF | X86_EFLAGS_CF },
	{ "salc", COLD, 0, 0xd6, 0, -1, 0, 0, 0 },
	{ "bound", COLD, 0, 0x62, 0, -1, 0, RMM | T_NOREG, 0 },
	{ "arpl", COLD, 0, 0x63, 0, -1, 0, RM | T_NO66, 0 },
	{ "lar/lsl", CALL, 1, 0x02, 0x03, -1, 0, RM, 0 },
	{ "verr", CALL, 1, 0x00, 0, 4, 0, RM, 0 },
	{ "verw", CALL, 1, 0x00, 0, 5, 0, RM, 0 },
	{ "lldt", CALL, 1, 0x00, 0, 2, 0, RM, 0 },
	{ "ltr", CALL, 1, 0x00, 0, 3, 0, RM, 0 },
	{ "xlat", CALL, 0, 0xd7, 0, -1, 0, T_XLAT, 0 },
	{ "cmc", CALL, 0, 0xf5, 0, -1, 0, 0, 0 },
	{ "clc/stc", CALL, 0, 0xf8, 0xf9, -1, 0, 0, 0 },
	{ "cld/std", CALL, 0, 0xfc, 0xfd, -1, 0, 0, 0 },
	{ "nop", CALL, 1, 0x1f, 0, -1, 0, RM, 0 },
	{ "nop (0f 18)", CALL, 1, 0x18, 0, -1, 0, RM | T_NOREP | T_NO66, 0 },
	{ "prefetchw", CALL, 1, 0x0d, 0, 1, 0, RMM, 0 },
	{ "lfence", CALL, 1, 0xae, 0, 5, 0, RM | T_NO66 | T_NOREP, 0 },
	{ "mfence", CALL, 1, 0xae, 0, 6, 0, RM | T_NO66 | T_NOREP, 0 },
	{ "sfence/clflush", CALL, 1, 0xae, 0, 7, 0, RM | T_NO66 | T_NOREP, 0 },
	{ "ud2", CALL, 1, 0x0b, 0, -1, 0, T_FAULTS, 0 },
	{ "cpuid", CALL, 1, 0xa2, 0, -1, 0, T_CPUID, 0 },

	{ "push r", CALL, 0, 0x50, 0x57, -1, 0, T_STACK, 0 },
	{ "push imm8", CALL, 0, 0x6a, 0, -1, 0, T_STACK | T_IMM8, 0 },
	{ "push imm", CALL, 0, 0x68, 0, -1, 0, T_STACK | T_IMMZ, 0 },
	{ "push r/m", CALL, 0, 0xff, 0, 6, 0, RM | T_STACK, 0 },
	{ "pop r", CALL, 0, 0x58, 0x5f, -1, 0, T_STACK, 0 },
	{ "pop r/m", CALL, 0, 0x8f, 0, 0, 0, RM | T_STACK, 0 },
	{ "pusha/popa", COLD, 0, 0x60, 0x61, -1, 0, T_STACK | T_PARTIAL, 0 },
	{ "pushf/popf", CALL, 0, 0x9c, 0x9d, -1, 0, T_STACK, 0 },
	{ "enter", CALL, 0, 0xc8, 0, -1, 0, T_STACK | T_ENTER, 0 },
	{ "leave", CALL, 0, 0xc9, 0, -1, 0, T_LEAVE, 0 },

	{ "jmp rel", CALL, 0, 0xe9, 0, -1, 0, T_BRANCH | T_IMMZ, 0 },
	{ "jmp rel8", CALL, 0, 0xeb, 0, -1, 0, T_BRANCH | T_IMM8, 0 },
	{ "jcc rel8", CALL, 0, 0x70, 0x7f, -1, 0, T_BRANCH | T_IMM8, 0 },
	{ "jcc rel", CALL, 1, 0x80, 0x8f, -1, 0, T_BRANCH | T_IMMZ, 0 },
	{ "loop/jcxz", CALL, 0, 0xe0, 0xe3, -1, 0, T_BRANCH | T_IMM8, 0 },
	{ "call rel", CALL, 0, 0xe8, 0, -1, 0, T_BRANCH | T_IMMZ | T_STACK, 0 },
	{ "call r/m", CALL, 0, 0xff, 0, 2, 0, T_BRANCH | RM | T_STACK, 0 },
	{ "jmp r/m", CALL, 0, 0xff, 0, 4, 0, T_BRANCH | RM, 0 },
	{ "ret", CALL, 0, 0xc3, 0, -1, 0, T_BRANCH | T_STACK, 0 },
	{ "ret imm", CALL, 0, 0xc2, 0, -1, 0, T_BRANCH | T_STACK | T_IMM16, 0 },
	{ "ff /7", CALL, 0, 0xff, 0, 7, 0, RM, 0 },

	{ "movs", CALL, 0, 0xa4, 0xa5, -1, 0, T_STRING, 0 },
	{ "cmps", CALL, 0, 0xa6, 0xa7, -1, 0, T_STRING, 0 },
	{ "stos", CALL, 0, 0xaa, 0xab, -1, 0, T_STRING, 0 },
	{ "lods", CALL, 0, 0xac, 0xad, -1, 0, T_STRING, 0 },
	{ "scas", CALL, 0, 0xae, 0xaf, -1, 0, T_STRING, 0 },

	{ "mov r/m, seg", CALL, 0, 0x8c, 0, -1, 0, RM, 0 },
	{ "mov es, r/m", COLD, 0, 0x8e, 0, 0, 0, RM | T_SELECTOR, 0 },
	{ "mov ds, r/m", COLD, 0, 0x8e, 0, 3, 0, RM | T_SELECTOR, 0 },
	{ "mov gs, r/m", COLD, 0, 0x8e, 0, 5, 0, RM | T_SELECTOR, 0 },
	{ "mov cs, r/m", CALL, 0, 0x8e, 0, 1, 0, RM, 0 },
	{ "mov ?, r/m", CALL, 0, 0x8e, 0, 6, 0, RM, 0 },
	{ "push es/cs", COLD, 0, 0x06, 0, -1, 0, T_STACK | T_PUSHSEG | T_NOAC, 0 },
	{ "push ss", COLD, 0, 0x16, 0, -1, 0, T_STACK | T_PUSHSEG | T_NOAC, 0 },
	{ "push gs", CALL, 1, 0xa8, 0, -1, 0, T_STACK | T_PUSHSEG | T_NOAC, 0 },
	{ "les", COLD, 0, 0xc4, 0, -1, 0, RMM | T_SELECTOR | T_NOAC, 0 },
	{ "lds", COLD, 0, 0xc5, 0, -1, 0, RMM | T_SELECTOR | T_NOAC, 0 },

	/* What user mode may not do */
	{ "in/out imm", CALL, 0, 0xe4, 0xe7, -1, 0, T_IMM8 | T_FAULTS, 0 },
	{ "in/out dx", CALL, 0, 0xec, 0xef, -1, 0, T_FAULTS, 0 },
	{ "ins/outs", CALL, 0, 0x6c, 0x6f, -1, 0, T_STRING | T_FAULTS, 0 },
	{ "cli/sti", CALL, 0, 0xfa, 0xfb, -1, 0, T_FAULTS, 0 },
	{ "hlt", CALL, 0, 0xf4, 0, -1, 0, T_FAULTS, 0 },
	{ "wrmsr", CALL, 1, 0x30, 0, -1, 0, T_FAULTS | T_NOREP | T_NO66, 0 },
	{ "rdmsr", CALL, 1, 0x32, 0, -1, 0, T_FAULTS | T_NOREP | T_NO66, 0 },
	{ "clts", CALL, 1, 0x06, 0, -1, 0, T_FAULTS, 0 },
	{ "invd/wbinvd", CALL, 1, 0x08, 0x09, -1, 0, T_FAULTS | T_NOREP | T_NO66, 0 },
	{ "mov cr", CALL, 1, 0x20, 0, 0, 0, RM | T_FAULTS | T_NOREP | T_NO66 | T_NOLOCK, 0 },
	{ "mov to cr", CALL, 1, 0x22, 0, 3, 0, RM | T_FAULTS | T_NOREP | T_NO66 | T_NOLOCK, 0 },
	{ "mov dr", CALL, 1, 0x21, 0, 7, 0, RM | T_FAULTS | T_NOREP | T_NO66, 0 },
	{ "mov to dr", CALL, 1, 0x23, 0, 6, 0, RM | T_FAULTS | T_NOREP | T_NO66, 0 },
	{ "lgdt", CALL, 1, 0x01, 0, 2, 0, RMM | T_FAULTS | T_NOREP | T_NO66, 0 },
	{ "lmsw", CALL, 1, 0x01, 0, 6, 0, RM | T_FAULTS | T_NOREP | T_NO66, 0 },
	{ "invlpg", CALL, 1, 0x01, 0, 7, 0, RMM | T_FAULTS | T_NOREP | T_NO66, 0 },

	MOVE("movups load", 0x10, 0, 0),
	MOVE("movups store", 0x11, 0, 0),
	MOVE("movupd load", 0x10, 0x66, 1),
	MOVE("movupd store", 0x11, 0x66, 1),
	MOVE("movss load", 0x10, 0xf3, 2),
	MOVE("movss store", 0x11, 0xf3, 2),
	MOVE("movsd load", 0x10, 0xf2, 3),
	MOVE("movsd store", 0x11, 0xf2, 3),
	MOVE("movlps load", 0x12, 0, 0),
	MOVE("movlps store", 0x13, 0, 0),
	MOVE("movlpd load", 0x12, 0x66, 1),
	MOVE("movlpd store", 0x13, 0x66, 1),
	MOVE("movhps load", 0x16, 0, 0),
	MOVE("movhps store", 0x17, 0, 0),
	MOVE("movhpd load", 0x16, 0x66, 1),
	MOVE("movhpd store", 0x17, 0x66, 1),
	ALIGNED("movaps load", 0x28, 0, 0),
	ALIGNED("movaps store", 0x29, 0, 0),
	ALIGNED("movapd load", 0x28, 0x66, 1),
	ALIGNED("movapd store", 0x29, 0x66, 1),
	ALIGNED("movntps", 0x2b, 0, 0),
	ALIGNED("movntpd", 0x2b, 0x66, 1),
	MOVE("movd/q load", 0x6e, 0x66, 1),
	MOVE("movd/q store", 0x7e, 0x66, 1),
	ALIGNED("movdqa load", 0x6f, 0x66, 1),
	ALIGNED("movdqa store", 0x7f, 0x66, 1),
	MOVE("movdqu load", 0x6f, 0xf3, 2),
	MOVE("movdqu store", 0x7f, 0xf3, 2),
	MOVE("movq load", 0x7e, 0xf3, 2),
	MOVE("movq store", 0xd6, 0x66, 1),
	ALIGNED("movntdq", 0xe7, 0x66, 1),
	MOVE("lddqu", 0xf0, 0xf2, 3),
	{ "movntdqa", CALL, 2, 0x2a, 0, -1, 0x66, VEC | T_ALIGNED, 0 },
	{ "vmovntdqa", CALL, 2, 0x2a, 0, -1, 1, VEX | T_ALIGNED, 0 },
};

const unsigned int nr_templates = ARRAY_SIZE(templates);
