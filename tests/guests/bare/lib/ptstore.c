// SPDX-License-Identifier: GPL-2.0-only
/* Stores into page tables: every size, alignment and instruction. */
#ifdef __x86_64__
#include "cpu.h"
#include "dev.h"
#include "ptstore.h"

/*
 * A device of tests/system/programs/dmarun.c: a number written to its port is the
 * address of an order, which is carried out at once.
 */
#define DEVICE_PORT	0xd0a0
#define DEVICE_ID	0x416d44

static struct {
	u64 address, value;
} order;

/* A byte of the clock's memory that firmware keeps nothing in. */
#define CMOS_BYTE	0x7f

const char *pt_store(int k, ulong e, u64 old, u64 new)
{
	u64 pair[2] __attribute__((aligned(16))) = { new, *(volatile u64 *)(e + 8) };
	u64 diff = old ^ new;
	ulong t;
	int i;

	switch (k) {
	case 0:
		asm volatile("mov %1, (%0)" :: "r"(e), "r"(new) : "memory");
		return "mov 8";
	case 1:
		asm volatile("movl %k1, (%0)" :: "r"(e), "r"(new) : "memory");
		asm volatile("movl %k1, 4(%0)" :: "r"(e), "r"(new >> 32) : "memory");
		return "mov 4";
	case 2:
		for (i = 0; i < 4; i++)
			asm volatile("movw %w1, (%0)" :: "r"(e + 2 * i), "r"(new >> 16 * i) : "memory");
		return "mov 2";
	case 3:
		for (i = 0; i < 8; i++)
			asm volatile("movb %b1, (%0)" :: "r"(e + i), "q"(new >> 8 * i) : "memory");
		return "mov 1";
	case 4:
		asm volatile("xchg %1, (%0)" :: "r"(e), "r"(new) : "memory");
		return "xchg";
	case 5:
		t = *(volatile u64 *)e;
		asm volatile("lock cmpxchg %2, (%1)" : "+a"(t) : "r"(e), "r"(new) : "memory", "cc");
		return "lock cmpxchg";
	case 6:
		t = *(volatile u64 *)e;
		asm volatile("1: lock cmpxchg8b (%1); jnz 1b"
			     :: "a"((u32)t), "r"(e), "b"((u32)new), "c"((u32)(new >> 32)),
			     "d"((u32)(t >> 32)) : "memory", "cc");
		return "lock cmpxchg8b";
	case 7:
		if (!HAS_CX16 || e & 8)
			return NULL;
		asm volatile("1: lock cmpxchg16b (%0); jnz 1b"
			     :: "r"(e), "a"(*(volatile u64 *)e), "d"(pair[1]), "b"(new),
			     "c"(pair[1]) : "memory", "cc");
		return "lock cmpxchg16b";
	case 8:
		for (i = 0; i < 64; i++)
			if (diff >> i & 1 && new >> i & 1)
				asm volatile("lock btsq %1, (%0)"
					     :: "r"(e), "r"((u64)i) : "memory", "cc");
			else if (diff >> i & 1)
				asm volatile("lock btrq %1, (%0)"
					     :: "r"(e), "r"((u64)i) : "memory", "cc");
		return "lock bts/btr reg";
	case 9:
		/* The bit offset reaches across the operand: from the table's first entry. */
		for (i = 0; i < 64; i++)
			if (diff >> i & 1)
				asm volatile("btcq %1, (%0)" :: "r"(e & -PAGE_SIZE),
					     "r"((u64)i + (e & 0xfff) * 8) : "memory", "cc");
		return "btc far";
	case 10:
		asm volatile("lock andq %1, (%0)" :: "r"(e), "r"(new | ~diff) : "memory", "cc");
		asm volatile("lock orq %1, (%0)" :: "r"(e), "r"(new & diff) : "memory", "cc");
		return "lock and/or";
	case 11:
		asm volatile("xorq %1, (%0)" :: "r"(e), "r"(diff) : "memory", "cc");
		return "xor";
	case 12:
		asm volatile("addq %1, (%0)" :: "r"(e), "r"(new - *(volatile u64 *)e) : "memory", "cc");
		return "add";
	case 13:
		t = new - *(volatile u64 *)e;
		asm volatile("lock xaddq %0, (%1)" : "+r"(t) : "r"(e) : "memory", "cc");
		return "lock xadd";
	case 14: {
		ulong s = (ulong)&pair[0], d = e, n = 1;

		asm volatile("rep movsq" : "+S"(s), "+D"(d), "+c"(n) :: "memory");
		return "rep movsq";
	}
	case 15: {
		ulong s = (ulong)&pair[0], d = e, n = 8;

		asm volatile("rep movsb" : "+S"(s), "+D"(d), "+c"(n) :: "memory");
		return "rep movsb";
	}
	case 16: {
		ulong d = e, n = 1;

		asm volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(new) : "memory");
		return "rep stosq";
	}
	case 17: {
		ulong d = e + 4, n = 2, s = (ulong)&pair[0] + 4;

		asm volatile("std; rep movsl; cld" : "+S"(s), "+D"(d), "+c"(n) :: "memory", "cc");
		return "rep movsl backwards";
	}
	case 18:
		asm volatile("movdqu %1, %%xmm0; movdqu %%xmm0, (%0)" :: "r"(e), "m"(pair) : "memory");
		return "movdqu";
	case 19:
		if (e & 8)
			return NULL;
		asm volatile("movaps %1, %%xmm0; movaps %%xmm0, (%0)" :: "r"(e), "m"(pair) : "memory");
		return "movaps";
	case 20:
		asm volatile("movnti %1, (%0); sfence" :: "r"(e), "r"(new) : "memory");
		return "movnti";
	case 21:
		asm volatile("movq %1, %%xmm0; movq %%xmm0, (%0)" :: "r"(e), "r"(new) : "memory");
		return "movq xmm";
	case 22:
		asm volatile("pushq %1; popq (%0)" :: "r"(e), "r"(new) : "memory");
		return "pop";
	case 23:
		asm volatile("negq (%0); notq (%0); incq (%0)" :: "r"(e) : "memory", "cc");
		asm volatile("movnti %1, (%0)" :: "r"(e), "r"(new) : "memory");
		return "neg, not, inc, movnti";
	case 24:
		/* What a device gives: here the clock's memory. */
		for (i = 0; i < 8; i++) {
			ulong d = e + i;

			cmos_write(CMOS_BYTE, new >> 8 * i);
			outb(0x70, CMOS_BYTE);
			asm volatile("insb" : "+D"(d) : "d"(0x71) : "memory");
		}
		return "insb";
	case PT_STORE_DEVICE:
		if (inl(DEVICE_PORT) != DEVICE_ID)
			return NULL;
		order.address = e;
		order.value = new;
		barrier();
		outl(DEVICE_PORT, (ulong)&order);
		return "a device";
	case 26:
		/* Integers of 64 bits pass through the registers unchanged. */
		asm volatile("fildll %1; fistpll (%0)" :: "r"(e), "m"(new) : "memory");
		return "fistp";
	}
	return NULL;
}
#endif
