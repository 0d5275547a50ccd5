// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways to end the machine. end=HOW on the command line selects one: poweroff,
 * i8042, cf9, acpi-reset, triple-fault; without one only the tables are looked at.
 * The monitor must end with the status it documents for each.
 */
#include "acpi.h"
#include "cpu.h"
#include "dev.h"
#include "string.h"
#include "test.h"
#include "trap.h"

static bool asked(const char *how)
{
	const char *o = option("end");

	if (o && !strncmp(o, how, strlen(how)))
		return true;
	skip("only with end=%s", how);
	return false;
}

static void still_here(void)
{
	delay_ms(1000);
	check(false, "the machine still runs after a second");
}

static void test_tables(void)
{
	struct acpi_fadt *fadt = acpi_find("FACP");
	struct acpi_header *madt = acpi_find("APIC");

	if (!check(acpi_rsdp(), "no RSDP between E0000 and FFFFF"))
		return;
	if (!check(fadt, "no FADT"))
		return;
	check(acpi_checksum_ok(fadt, fadt->h.length), "checksum of the FADT");
	check(fadt->pm1a_cnt && fadt->pm1a_cnt < 0x10000, "PM1a control at %x", fadt->pm1a_cnt);
	check(fadt->dsdt && acpi_checksum_ok((void *)(ulong)fadt->dsdt,
					     ((struct acpi_header *)(ulong)fadt->dsdt)->length),
	      "checksum of the DSDT");
	check(acpi_s5_type() >= 0, "no _S5_ in the DSDT");
	check(madt && acpi_checksum_ok(madt, madt->length), "checksum of the MADT");
}

/* The 24- or 32-bit timer at 3.579545 MHz goes on. */
static void test_pm_timer(void)
{
	struct acpi_fadt *fadt = acpi_find("FACP");
	u32 a, b, ticks;

	if (!fadt || !fadt->pm_tmr) {
		skip("no PM timer");
		return;
	}
	a = inl(fadt->pm_tmr);
	delay_ms(20);
	b = inl(fadt->pm_tmr);
	ticks = (b - a) & 0xffffff;
	/* Wide bounds: emulated machines stumble. */
	check(ticks > 71590 / 4 && ticks < 71590 * 20,
	      "%u ticks in 20 ms, about 71590 expected", ticks);
}

static void test_poweroff(void)
{
	struct acpi_fadt *fadt = acpi_find("FACP");

	if (!asked("poweroff"))
		return;
	if (fadt->smi_cmd && fadt->acpi_enable && !(inw(fadt->pm1a_cnt) & 1))
		outb(fadt->smi_cmd, fadt->acpi_enable);
	delay_ms(1);
	outw(fadt->pm1a_cnt, acpi_s5_type() << 10 | BIT(13));
	still_here();
}

static void test_i8042(void)
{
	if (!asked("i8042"))
		return;
	outb(0x64, 0xfe);
	still_here();
}

static void test_cf9(void)
{
	if (!asked("cf9"))
		return;
	outb(0xcf9, 2);
	outb(0xcf9, 6);
	still_here();
}

static void test_acpi_reset(void)
{
	struct acpi_fadt *fadt = acpi_find("FACP");

	if (!asked("acpi-reset"))
		return;
	if (fadt->h.length < 129 || !(fadt->flags & BIT(10)) || fadt->reset_reg.space != 1) {
		skip("no reset register in I/O space");
		return;
	}
	outb(fadt->reset_reg.address, fadt->reset_value);
	still_here();
}

static void test_triple_fault(void)
{
	struct dtr none = { 0, 0 };

	if (!asked("triple-fault"))
		return;
	asm volatile("lidt %0; ud2" :: "m"(none));
	still_here();
}

const struct test guest_tests[] = {
	{ "tables", test_tables },
	{ "pm-timer", test_pm_timer },
	{ "poweroff", test_poweroff },
	{ "i8042", test_i8042 },
	{ "cf9", test_cf9 },
	{ "acpi-reset", test_acpi_reset },
	{ "triple-fault", test_triple_fault },
};

GUEST("power");
