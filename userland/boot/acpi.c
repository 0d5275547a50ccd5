// SPDX-License-Identifier: GPL-2.0-only
/* The ACPI tables of the machine (ACPI specification 6.4, chapter 5). */
#include <stdlib.h>
#include <string.h>

#include "aml.h"
#include "boot.h"
#include "devices/acpi_pm.h"
#include "devices/fw_cfg.h"
#include "devices/ioapic.h"
#include "devices/pci.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/serial.h"
#include "firmware.h"
#include "layout.h"
#include "util/bytes.h"

#define LAPIC_BASE	0xfee00000U

/* Offsets in the header that every table but RSDP and FACS has. */
#define SDT_LENGTH	4
#define SDT_REVISION	8
#define SDT_CHECKSUM	9
#define SDT_OEM_ID	10
#define SDT_OEM_TABLE	16
#define SDT_OEM_REVISION 24
#define SDT_CREATOR	28
#define SDT_CREATOR_REV	32
#define SDT_SIZE	36

#define RSDP_SIZE	36
#define FACS_SIZE	64

/* FADT, revision 5. */
#define FADT_SIZE	268
#define FADT_FACS	36
#define FADT_DSDT	40
#define FADT_SCI	46
#define FADT_PM1A_EVENT	56
#define FADT_PM1A_CONTROL 64
#define FADT_PM_TIMER	76
#define FADT_PM1_EVENT_LEN 88
#define FADT_PM1_CONTROL_LEN 89
#define FADT_PM_TIMER_LEN 91
#define FADT_C2_LATENCY	96
#define FADT_C3_LATENCY	98
#define FADT_CENTURY	108
#define FADT_BOOT_ARCH	109
#define FADT_FLAGS	112
#define FADT_RESET	116
#define FADT_RESET_VALUE 128
#define FADT_X_FACS	132
#define FADT_X_DSDT	140
#define FADT_X_PM1A_EVENT 148
#define FADT_X_PM1A_CONTROL 172
#define FADT_X_PM_TIMER	208

#define FADT_WBINVD		(1U << 0)
#define FADT_C1			(1U << 2)
#define FADT_NO_POWER_BUTTON	(1U << 4)
#define FADT_NO_SLEEP_BUTTON	(1U << 5)
#define FADT_NO_FIXED_RTC	(1U << 6)
#define FADT_TIMER_32		(1U << 8)
#define FADT_HAS_RESET		(1U << 10)

/* There are devices on the ISA bus; no keyboard; no VGA. */
#define BOOT_ARCH_LEGACY	(1U << 0)
#define BOOT_ARCH_NO_VGA	(1U << 2)

#define GAS_IO		1

/* Latencies from these on say that there are no such states. */
#define NO_C2		101
#define NO_C3		1001

/* Kinds of MADT entries. */
#define MADT_LAPIC	0
#define MADT_IOAPIC	1
#define MADT_OVERRIDE	2
#define MADT_LAPIC_NMI	4
#define MADT_PCAT_COMPAT (1U << 0)
#define LAPIC_ENABLED	(1U << 0)
#define ALL_CPUS	0xff
#define INTI_CONFORMING	0
#define INTI_LEVEL_HIGH	0xd

struct writer {
	struct guest_memory *mem;
	uint32_t next;
};

static uint8_t *at(struct writer *w, uint32_t gpa)
{
	return memory_at(w->mem, gpa, FIRMWARE_TABLES_END - gpa);
}

/* Begins a table at the next multiple of 64; the caller fills it, then ends it. */
static uint32_t begin_table(struct writer *w, const char *signature, uint8_t revision)
{
	uint32_t gpa = align_up(w->next, 64);
	uint8_t *t = at(w, gpa);

	memset(t, 0, SDT_SIZE);
	memcpy(t, signature, 4);
	t[SDT_REVISION] = revision;
	memcpy(t + SDT_OEM_ID, "UMBRA ", 6);
	memcpy(t + SDT_OEM_TABLE, "UMBRAPC ", 8);
	put32(t + SDT_OEM_REVISION, 1);
	memcpy(t + SDT_CREATOR, "UMBR", 4);
	put32(t + SDT_CREATOR_REV, 1);
	w->next = gpa + SDT_SIZE;
	return gpa;
}

static void end_table(struct writer *w, uint32_t gpa)
{
	uint8_t *t = at(w, gpa);

	put32(t + SDT_LENGTH, w->next - gpa);
	t[SDT_CHECKSUM] = firmware_checksum(t, w->next - gpa);
}

static void put_gas(uint8_t *p, uint8_t bits, uint64_t port)
{
	memset(p, 0, 12);
	p[0] = GAS_IO;
	p[1] = bits;
	/* The access size: a byte, a word or a double word. */
	p[3] = bits == 8 ? 1 : bits == 16 ? 2 : 3;
	put64(p + 4, port);
}

static void write_isa_device(struct aml *aml, const char *name, const char *id,
			     uint16_t port, uint8_t ports, int irq)
{
	aml_device(aml, name);
	aml_name_eisa(aml, "_HID", id);
	aml_name_resources(aml, "_CRS");
	aml_io(aml, port, ports);
	if (irq >= 0)
		aml_irq(aml, irq);
	aml_resources_end(aml);
	aml_close(aml);
}

static void write_board(struct aml *aml)
{
	/* Ports that belong to no driver but must not be given to anybody else. */
	aml_device(aml, "MBRD");
	aml_name_eisa(aml, "_HID", "PNP0C02");
	aml_name_resources(aml, "_CRS");
	aml_io(aml, PIC_ELCR_PORT, PIC_ELCR_PORTS);
	aml_io(aml, FW_CFG_PORT, FW_CFG_PORTS);
	aml_io(aml, ACPI_PM_PORT, ACPI_PM_PORTS);
	aml_resources_end(aml);
	aml_close(aml);
}

static void write_pic(struct aml *aml)
{
	aml_device(aml, "PIC");
	aml_name_eisa(aml, "_HID", "PNP0000");
	aml_name_resources(aml, "_CRS");
	aml_io(aml, PIC_MASTER_PORT, PIC_PORTS);
	aml_io(aml, PIC_SLAVE_PORT, PIC_PORTS);
	aml_irq(aml, 2);
	aml_resources_end(aml);
	aml_close(aml);
}

static uint32_t write_dsdt(struct writer *w)
{
	static const uint32_t s5[] = { ACPI_PM_S5_TYPE, ACPI_PM_S5_TYPE, 0, 0 };
	uint32_t gpa = begin_table(w, "DSDT", 2);
	struct aml aml;

	aml_init(&aml, at(w, w->next), FIRMWARE_TABLES_END - w->next);
	aml_name_package(&aml, "\\_S5", s5, ARRAY_SIZE(s5));
	aml_scope(&aml, "\\_SB");

	aml_device(&aml, "PCI0");
	aml_name_eisa(&aml, "_HID", "PNP0A03");
	aml_name_integer(&aml, "_UID", 0);
	aml_name_resources(&aml, "_CRS");
	aml_bus_numbers(&aml, 0, 0xff);
	aml_io(&aml, PCI_PORT, PCI_PORTS);
	aml_io_window(&aml, 0, PCI_PORT - 1);
	aml_io_window(&aml, PCI_PORT + PCI_PORTS, 0xffff);
	aml_memory_window(&aml, MEMORY_HOLE, IOAPIC_BASE - 1);
	aml_resources_end(&aml);

	aml_device(&aml, "ISA");
	/* A PCI-to-ISA bridge without a function of its own. */
	aml_name_eisa(&aml, "_HID", "PNP0A05");
	aml_name_integer(&aml, "_UID", 1);
	write_pic(&aml);
	write_isa_device(&aml, "TMR", "PNP0100", PIT_PORT, PIT_PORTS, 0);
	write_isa_device(&aml, "RTC", "PNP0B00", RTC_PORT, RTC_PORTS, RTC_IRQ);
	write_isa_device(&aml, "COM1", "PNP0501", SERIAL_COM1_PORT, SERIAL_PORTS,
			 SERIAL_COM1_IRQ);
	write_board(&aml);
	aml_close(&aml);

	aml_close(&aml);
	aml_close(&aml);
	/* The size of the DSDT depends on nothing but this file. */
	if (aml.overflow)
		abort();
	w->next += aml.used;
	end_table(w, gpa);
	return gpa;
}

static uint32_t write_facs(struct writer *w)
{
	uint32_t gpa = align_up(w->next, 64);
	uint8_t *t = at(w, gpa);

	memset(t, 0, FACS_SIZE);
	memcpy(t, "FACS", 4);
	put32(t + SDT_LENGTH, FACS_SIZE);
	t[32] = 2;	/* version */
	w->next = gpa + FACS_SIZE;
	return gpa;
}

static uint32_t write_fadt(struct writer *w, uint32_t facs, uint32_t dsdt)
{
	uint32_t gpa = begin_table(w, "FACP", 5);
	uint8_t *t = at(w, gpa);

	memset(t + SDT_SIZE, 0, FADT_SIZE - SDT_SIZE);
	put32(t + FADT_FACS, facs);
	put32(t + FADT_DSDT, dsdt);
	put16(t + FADT_SCI, ACPI_PM_SCI_IRQ);
	put32(t + FADT_PM1A_EVENT, ACPI_PM_PORT + ACPI_PM_EVENT);
	put32(t + FADT_PM1A_CONTROL, ACPI_PM_PORT + ACPI_PM_CONTROL);
	put32(t + FADT_PM_TIMER, ACPI_PM_PORT + ACPI_PM_TIMER);
	t[FADT_PM1_EVENT_LEN] = ACPI_PM_EVENT_SIZE;
	t[FADT_PM1_CONTROL_LEN] = ACPI_PM_CONTROL_SIZE;
	t[FADT_PM_TIMER_LEN] = ACPI_PM_TIMER_SIZE;
	put16(t + FADT_C2_LATENCY, NO_C2);
	put16(t + FADT_C3_LATENCY, NO_C3);
	t[FADT_CENTURY] = RTC_CENTURY;
	put16(t + FADT_BOOT_ARCH, BOOT_ARCH_LEGACY | BOOT_ARCH_NO_VGA);
	put32(t + FADT_FLAGS, FADT_WBINVD | FADT_C1 | FADT_NO_POWER_BUTTON |
			      FADT_NO_SLEEP_BUTTON | FADT_NO_FIXED_RTC | FADT_TIMER_32 |
			      FADT_HAS_RESET);
	put_gas(t + FADT_RESET, 8, PCI_RESET_PORT);
	t[FADT_RESET_VALUE] = PCI_RESET_VALUE;
	put64(t + FADT_X_FACS, 0);
	put64(t + FADT_X_DSDT, dsdt);
	put_gas(t + FADT_X_PM1A_EVENT, 32, ACPI_PM_PORT + ACPI_PM_EVENT);
	put_gas(t + FADT_X_PM1A_CONTROL, 16, ACPI_PM_PORT + ACPI_PM_CONTROL);
	put_gas(t + FADT_X_PM_TIMER, 32, ACPI_PM_PORT + ACPI_PM_TIMER);
	w->next = gpa + FADT_SIZE;
	end_table(w, gpa);
	return gpa;
}

/* Gives room for a MADT entry and writes its header. */
static uint8_t *madt_entry(struct writer *w, uint8_t type, uint8_t size)
{
	uint8_t *e = at(w, w->next);

	memset(e, 0, size);
	e[0] = type;
	e[1] = size;
	w->next += size;
	return e;
}

static void madt_override(struct writer *w, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	uint8_t *e = madt_entry(w, MADT_OVERRIDE, 10);

	e[3] = irq;
	put32(e + 4, gsi);
	put16(e + 8, flags);
}

static uint32_t write_madt(struct writer *w, unsigned int cpus, uint8_t ioapic_id)
{
	uint32_t gpa = begin_table(w, "APIC", 3);
	unsigned int i;
	uint8_t *e;

	e = at(w, w->next);
	put32(e, LAPIC_BASE);
	put32(e + 4, MADT_PCAT_COMPAT);
	w->next += 8;

	for (i = 0; i < cpus; i++) {
		e = madt_entry(w, MADT_LAPIC, 8);
		e[2] = i;
		e[3] = i;
		put32(e + 4, LAPIC_ENABLED);
	}
	e = madt_entry(w, MADT_IOAPIC, 12);
	e[2] = ioapic_id;
	put32(e + 4, IOAPIC_BASE);
	/* Pin 2 has the timer, as the cascade of the PICs needs none. */
	madt_override(w, 0, 2, INTI_CONFORMING);
	madt_override(w, ACPI_PM_SCI_IRQ, ACPI_PM_SCI_IRQ, INTI_LEVEL_HIGH);
	e = madt_entry(w, MADT_LAPIC_NMI, 6);
	e[2] = ALL_CPUS;
	e[5] = 1;	/* LINT1 */
	end_table(w, gpa);
	return gpa;
}

static void write_rsdp(struct writer *w, uint32_t rsdt, uint32_t xsdt)
{
	uint8_t *t = at(w, FIRMWARE_TABLES);

	memset(t, 0, RSDP_SIZE);
	memcpy(t, "RSD PTR ", 8);
	memcpy(t + 9, "UMBRA ", 6);
	t[15] = 2;	/* revision */
	put32(t + 16, rsdt);
	put32(t + 20, RSDP_SIZE);
	put64(t + 24, xsdt);
	/* One checksum is for readers of ACPI 1.0, who see the first 20 bytes. */
	t[8] = firmware_checksum(t, 20);
	t[32] = firmware_checksum(t, RSDP_SIZE);
}

uint64_t acpi_write(struct guest_memory *mem, unsigned int cpus, uint8_t ioapic_id)
{
	struct writer w = { .mem = mem, .next = FIRMWARE_TABLES + RSDP_SIZE };
	uint32_t table[2], dsdt, rsdt, xsdt;
	unsigned int i;

	dsdt = write_dsdt(&w);
	table[0] = write_fadt(&w, write_facs(&w), dsdt);
	table[1] = write_madt(&w, cpus, ioapic_id);

	rsdt = begin_table(&w, "RSDT", 1);
	for (i = 0; i < ARRAY_SIZE(table); i++, w.next += 4)
		put32(at(&w, w.next), table[i]);
	end_table(&w, rsdt);
	xsdt = begin_table(&w, "XSDT", 1);
	for (i = 0; i < ARRAY_SIZE(table); i++, w.next += 8)
		put64(at(&w, w.next), table[i]);
	end_table(&w, xsdt);

	write_rsdp(&w, rsdt, xsdt);
	return FIRMWARE_TABLES;
}
