// SPDX-License-Identifier: GPL-2.0-only
/*
 * The devices of the board, all of them, behind their buses: the input is a sequence
 * of accesses, bytes that arrive at the serial port, interrupts that are accepted and
 * ended, and time that passes.
 */
#include <pthread.h>
#include <stdlib.h>

#include "input.h"
#include "monitor/console.h"
#include "monitor/internal.h"
#include "monitor/loop.h"

#define ACCESSES	512

/* What the board is connected to: a clock that stands still until it is advanced. */
static struct timer *armed;
static uint64_t clock_now;

static uint64_t host_now(struct timer_host *host)
{
	(void)host;
	return clock_now;
}

static uint64_t host_wall(struct timer_host *host)
{
	(void)host;
	return 1709164798ULL * NS_PER_SEC + clock_now;
}

static void host_cancel(struct timer *timer)
{
	struct timer **link;

	for (link = &armed; *link; link = &(*link)->next) {
		if (*link == timer) {
			*link = timer->next;
			break;
		}
	}
	timer->armed = false;
}

static void host_arm(struct timer *timer, uint64_t deadline)
{
	host_cancel(timer);
	timer->deadline = deadline;
	timer->armed = true;
	timer->next = armed;
	armed = timer;
}

static struct timer_host host = { host_now, host_wall, host_arm, host_cancel };

/* At most so many timers; a fast one need not fire all its life. */
static void advance(uint64_t ns, unsigned int most)
{
	uint64_t until = clock_now + ns;

	while (most--) {
		struct timer *t, *first = NULL;

		for (t = armed; t; t = t->next)
			if (t->deadline <= until && (!first || t->deadline < first->deadline))
				first = t;
		if (!first)
			break;
		if (first->deadline > clock_now)
			clock_now = first->deadline;
		host_cancel(first);
		first->fire(first->arg);
	}
	clock_now = until;
}

/* Wrapped by the linker, as all __wrap_*() are. */
struct timer_host *__wrap_loop_timers(struct loop *loop)
{
	(void)loop;
	return &host;
}

static void transmit(void *opaque, uint8_t byte)
{
	(void)opaque;
	(void)byte;
}

static void room(void *opaque)
{
	(void)opaque;
}

struct serial_line __wrap_console_line(struct console *console)
{
	(void)console;
	return (struct serial_line) { transmit, room, NULL };
}

static bool intr;

int __wrap_umbra_vcpu_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level)
{
	(void)vcpu;
	MUST(pin <= UMBRA_PIN_NMI);
	intr = level;
	return 0;
}

int __wrap_umbra_vm_send_msi(struct umbra_vm *vm, uint64_t address, uint32_t data)
{
	(void)vm;
	(void)data;
	/* What an I/O APIC sends goes to where local APICs listen. */
	MUST(address >> 20 == 0xfee);
	return 0;
}

void __wrap_machine_end(struct machine *m, enum machine_end end, uint32_t detail,
			const char *fmt, ...)
{
	(void)m;
	(void)end;
	(void)detail;
	(void)fmt;
}

static uint16_t some_port(struct input *in)
{
	static const uint16_t ports[] = {
		PIC_MASTER_PORT,  PIC_SLAVE_PORT,  PIC_ELCR_PORT,      PIT_PORT,
		PIT_SPEAKER_PORT, I8042_DATA_PORT, I8042_COMMAND_PORT, RTC_PORT,
		SYSCTL_POST_PORT, SYSCTL_A_PORT,   SERIAL_COM1_PORT,   FW_CFG_PORT,
		ACPI_PM_PORT,	  PCI_PORT,	   DEBUG_DATA_PORT,    DEBUG_IRQ_PORT,
	};
	uint8_t which = input_number(in, 1);

	if (which == 0xff)
		return input_number(in, 2);
	return ports[which & 15] + (which >> 4);
}

static uint64_t some_gpa(struct input *in)
{
	uint16_t at = input_number(in, 2);

	switch (at >> 13) {
	case 0 ... 3:
		return IOAPIC_BASE + (at & 0x3f);
	case 4:
		return IOAPIC_BASE + (at & 0x1fff) - 8;
	default:
		return DEBUG_MMIO_BASE + (at & 0x1fff) * 9 - 8;
	}
}

static void one_access(struct machine *m, struct input *in)
{
	unsigned int what = input_number(in, 1), size = 1U << (what >> 4 & 3);
	uint8_t bytes[16];

	switch (what & 15) {
	case 0 ... 3:
		port_bus_write(&m->ports, some_port(in), size & 7, input_number(in, size & 7));
		break;
	case 4 ... 6:
		port_bus_read(&m->ports, some_port(in), size & 7);
		break;
	case 7:
	case 8:
		mmio_bus_write(&m->mmio, some_gpa(in), size, input_number(in, size));
		break;
	case 9:
		mmio_bus_read(&m->mmio, some_gpa(in), 1 + (what >> 4 & 7));
		break;
	case 10:
	case 11:
		advance(input_number(in, 2) * 1000, 32);
		break;
	case 12:
		advance(input_number(in, 1) * NS_PER_SEC * (what & 0x40 ? 100000 : 1), 32);
		break;
	case 13:
		input_bytes(in, bytes, sizeof(bytes));
		serial_receive(m->serial, bytes, 1 + (what >> 4));
		break;
	case 14:
		if (intr || what & 0x10)
			pic_ack(m->pic);
		break;
	default:
		ioapic_eoi(m->ioapic, input_number(in, 1));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct machine_config config = { .cpus = 2,
						      .debug_exit = true,
						      .cmdline = "a b c" };
	static uint8_t memory[1 << 20];
	struct machine *m = calloc(1, sizeof(*m));
	struct input in = { data, size };
	unsigned int i;

	MUST(m);
	armed = NULL;
	clock_now = NS_PER_SEC;
	intr = false;
	m->config = &config;
	m->memory = (struct guest_memory) { .low = memory, .low_size = sizeof(memory) };
	m->entry = (struct boot_entry) { .kernel = 0x1000, .kernel_size = 0x2000 };
	pthread_mutex_init(&m->end_lock, NULL);
	MUST(!board_create(m) && !board_fill_fw_cfg(m));
	for (i = 0; i < ACCESSES && in.left; i++)
		one_access(m, &in);
	board_destroy(m);
	/* A timer that outlives its device would fire into freed memory. */
	MUST(!armed);
	free(m);
	return 0;
}
