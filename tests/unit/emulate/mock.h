/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine of 64 KiB, for what user mode can't show.
 */
#ifndef MOCK_H
#define MOCK_H

#include "emulate.h"

#define MEMORY_SIZE	0x10000
#define CODE_AT		0x1000
#define DATA_AT		0x2000
#define GDT_AT		0x8000
#define MMIO_AT		0x100000	/* no memory: goes to user space first */
#define MMIO_SIZE	0x1000

/**
 * struct machine - everything the executor sees
 * @c:		its context
 * @gpr:	general registers
 * @memory:	memory, from linear address 0
 * @seg:	segment registers and descriptor tables
 * @cr:		control registers
 * @dr:		debug registers
 * @xcr0:	XCR0
 * @vec:	vector registers
 * @msr:	last MSR touched
 * @msr_value:	what RDMSR returns and WRMSR writes
 * @io_denied:	the I/O permission map denies everything
 * @port:	last port touched
 * @port_size:	in which size
 * @port_count:	how many elements
 * @port_data:	what was written to it
 * @invlpg:	last address invalidated
 * @calls:	callbacks that were made
 * @fail_at:	the callback of this number returns UMBRA_EMUL_IO; 0: none
 * @halted:	HLT was executed
 * @commits:	calls of string_commit
 * @commits_max: the call of this number asks to stop there; 0: none
 * @race:	changes the operand behind the next read for a LOCKed write
 * @mmio_write:	last MMIO write
 */
struct machine {
	struct umbra_emul c;
	u64 gpr[16];
	u8 memory[MEMORY_SIZE];
	struct umbra_emul_seg seg[UMBRA_EMUL_IDTR + 1];
	u64 cr[9];
	u64 dr[8];
	u64 xcr0;
	u8 vec[16][32];
	u32 msr;
	u64 msr_value;
	bool io_denied;
	u16 port;
	unsigned int port_size;
	unsigned int port_count;
	u8 port_data[512];
	u64 invlpg;
	unsigned int calls;
	unsigned int fail_at;
	bool halted;
	unsigned int commits, commits_max;
	bool race;
	u64 mmio_write;
	u64 mmx[8];
	bool mmx_used, fpu_pending;
};

extern struct machine m;

enum mode { REAL, VM86, PROTECTED, LONG };

void power_on(enum mode mode, unsigned int cpl);
int run_bytes(const void *bytes, unsigned int len);

#endif /* MOCK_H */
