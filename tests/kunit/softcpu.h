/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A CPU in software with AMD-V, which takes the place of VMRUN: as much of one as
 * translates addresses. It walks the module's tables by the model of tests/unit/mmu,
 * and keeps what it found in a TLB, by ASID, for as long as the architecture allows:
 * until it is told to forget it, never less. So what a real CPU may still know of
 * tables that have changed, this one does know.
 */
#ifndef TESTS_KUNIT_SOFTCPU_H
#define TESTS_KUNIT_SOFTCPU_H

#include "fixture.h"

/* What a vCPU does next: one instruction. */
enum soft_kind {
	SOFT_READ,	/* MOV RAX, [RDI] */
	SOFT_WRITE,	/* MOV [RDI], RAX */
	SOFT_EXEC,	/* whatever is at @gva */
	SOFT_INVLPG,	/* INVLPG [RDI] */
	SOFT_MOV_CR0,	/* MOV CR0, RAX and so on */
	SOFT_MOV_CR3,
	SOFT_MOV_CR4,
	SOFT_KINDS
};

/**
 * struct soft_op - an instruction and what became of it
 * @kind: which
 * @user: at CPL 3
 * @foreign: WRITE: by an instruction that the executor does not know
 * @gva: the address it is about
 * @value: what it writes
 * @faulted: it ended in a page fault, with @error
 * @done: it was executed
 * @software: ... by the module's executor, or by the handler of its exit
 * @outside: ... or is left to user space, as there is no memory
 * @hpa: READ, WRITE, EXEC, not in software: where it went
 * @exits: how often it had to leave the guest, since the host last changed memory
 * @seq: vm->notifier_seq when @exits began
 * @moved: the host has changed memory meanwhile
 * @broken: what the module did wrong, NULL: nothing
 */
struct soft_op {
	enum soft_kind kind;
	bool user;
	bool foreign;
	u64 gva;
	u64 value;
	bool faulted;
	u32 error;
	bool done;
	bool software;
	bool outside;
	u64 hpa;
	unsigned int exits;
	unsigned long seq;
	bool moved;
	const char *broken;
};

/* The page that holds the instructions: to be mapped at @gva, for the user and the kernel. */
void soft_code(u8 *page, bool code64);

/*
 * Runs the vCPU, by UMBRA_RUN's own function, until the instruction has ended. @code is
 * the address of the code for its privilege level. Returns 0, or what went wrong.
 */
int soft_run(struct umbra_vcpu *vcpu, struct soft_op *op, u64 code);

/*
 * Has the host changed memory by itself, as khugepaged does, since an instruction began, or
 * does it just now? What the instruction has found may then have been true before.
 */
bool soft_host_moved(struct umbra_vm *vm, const struct soft_op *op);

/* Once. Returns 0 or -ENOMEM. */
int soft_init(void);
void soft_exit(void);

/* What CPUs may know is forgotten; at the start of each test. */
void soft_reset(void);

/* Does a CPU know a translation to this page that a vCPU's next entry could use? */
bool soft_tlb_reaches(struct umbra_vcpu *vcpu, unsigned long pfn);

#endif
