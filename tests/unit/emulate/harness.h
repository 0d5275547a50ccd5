/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The differential harness of the executor: what its parts share.
 *
 * An instruction runs twice on the same registers and the same memory: by the CPU
 * (native.c) and by the executor (machine.c). Memory is mapped at fixed low
 * addresses, so that 64-, 32- and 16-bit code can reach it.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdio.h>

#include "emulate.h"

/* Code: two pages, not writable there, nothing behind them */
#define CODE_BASE	0x10000000UL
#define CODE_SIZE	0x2000UL

/* Data: two pages to write, one to read, nothing before and behind them */
#define DATA_BASE	0x20000000UL
#define DATA_RW		0x2000UL
#define DATA_SIZE	0x3000UL

/* The last two pages below 4 GiB; the address sanitizer lives there, too */
#define HIGH_BASE	0xffffe000UL
#ifdef __SANITIZE_ADDRESS__
#define HIGH_SIZE	0UL
#else
#define HIGH_SIZE	0x2000UL
#endif

/* Base that GS has in 64-bit code */
#define GS_BASE		(DATA_BASE - 0x100)

/**
 * struct cpu - the registers of both sides
 * @gpr:	in encoding order
 * @rip:	offset in CS
 * @rflags:	RFLAGS
 * @vec:	low 256 bits of the vector registers
 * @seg:	selectors of ES, CS, SS, DS, FS, GS
 */
struct cpu {
	u64 gpr[16];
	u64 rip;
	u64 rflags;
	u8 vec[16][32];
	u16 seg[6];
};

/**
 * struct outcome - how an instruction ended
 * @vector:	exception, or -1 if it completed
 * @error:	its error code
 * @address:	CR2 of a page fault
 * @unhandled:	the executor left it to user space
 */
struct outcome {
	int vector;
	u32 error;
	u64 address;
	bool unhandled;
};

/**
 * struct segment - a segment in the local descriptor table
 * @name:	for messages
 * @seg:	what the executor sees
 */
struct segment {
	const char *name;
	struct umbra_emul_seg seg;
};

/* native.c */
enum {
	SEG_CODE32, SEG_CODE16, SEG_DATA32, SEG_DATA16, SEG_DOWN32, SEG_DOWN16,
	SEG_READONLY, SEG_EXECONLY, SEG_READCODE, SEG_ABSENT, SEG_SMALL, NR_SEGMENTS
};

extern struct segment segments[NR_SEGMENTS];
extern u8 initial_data[DATA_SIZE + HIGH_SIZE];
extern u8 *code_alias;
extern bool native_la57, native_avx, native_compat;

void native_setup(void);
void native_run(struct cpu *cpu, bool step, struct outcome *out);
void memory_save(u8 *copy);
void memory_load(const u8 *copy);

/* machine.c */
int machine_run(struct cpu *cpu, unsigned int code, struct umbra_insn *insn,
		struct outcome *out);

/* random.c */
extern u64 random_seed;
u64 random_u64(void);
u64 random_value(void);

static inline unsigned int random_below(unsigned int n)
{
	return random_u64() % n;
}

static inline bool one_in(unsigned int n)
{
	return !random_below(n);
}

#endif /* HARNESS_H */
