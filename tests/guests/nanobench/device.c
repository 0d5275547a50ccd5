// SPDX-License-Identifier: GPL-2.0-only
/* Devices that a hypervisor leaves to its monitor in user space. */
#include "apic.h"
#include "nanobench.h"

/* The port of power-on self-tests: kept and read back by the board, without effect. */
#define PORT		0x80
#define STRING_BYTES	32

static u8 string[STRING_BYTES] __attribute__((aligned(64)));

ASM_LOOP(in, "inb %w1, %b0", : "=a"(a) : "Nd"(PORT))
ASM_LOOP(pio, "outb %b0, %w1", :: "a"(0), "Nd"(PORT))
ASM_LOOP(string, "rep outsb", : "=S"(a), "=c"(c) : "0"(string), "1"(STRING_BYTES), "d"(PORT)
	 : "memory")

/* The I/O APIC's index register, which has no effect of its own. */
static volatile u32 *const ioapic_index = (volatile u32 *)IOAPIC_PHYS;

ASM_LOOP(mmio_read, "movl %1, %k0", : "=r"(a) : "m"(*ioapic_index))
ASM_LOOP(mmio_write, "movl %k1, %0", : "=m"(*ioapic_index) : "r"(1))

static const struct bench benches[] = {
	{ "in", "IN of a byte from port 0x80",
	  NULL, in_body, in_control, NULL, 50 },
	{ "pio-user", "OUT of a byte to port 0x80",
	  NULL, pio_body, pio_control, NULL, 50 },
	{ "pio-string", "REP OUTSB of 32 bytes to port 0x80",
	  NULL, string_body, string_control, NULL, 20 },
	{ "mmio-read", "load from a register of the I/O APIC",
	  NULL, mmio_read_body, mmio_read_control, NULL, 50 },
	{ "mmio-write", "store to a register of the I/O APIC",
	  NULL, mmio_write_body, mmio_write_control, NULL, 50 },
};

const struct bench_list device_list = BENCH_LIST(benches);
