// SPDX-License-Identifier: GPL-2.0-only
/* The board: which devices a machine has, where they are and how they interrupt. */
#include <errno.h>
#include <string.h>

#include "boot/firmware.h"
#include "internal.h"
#include "util/bytes.h"
#include "util/error.h"

#define TIMER_GSI	0
#define TIMER_IOAPIC_PIN 2
#define PIC_INPUTS	16

/*
 * A device's interrupt goes to both controllers; the guest has masked it in
 * the one that it does not use.
 */
static void set_gsi(void *opaque, unsigned int gsi, bool level)
{
	struct machine *m = opaque;

	if (gsi < PIC_INPUTS)
		pic_set_irq(m->pic, gsi, level);
	if (gsi == TIMER_GSI)
		ioapic_set_pin(m->ioapic, TIMER_IOAPIC_PIN, level);
	/* The PIC's own way to pin 2 would be the cascade, which is no interrupt. */
	else if (gsi != TIMER_IOAPIC_PIN)
		ioapic_set_pin(m->ioapic, gsi, level);
}

static struct irq_line gsi(struct machine *m, unsigned int number)
{
	return (struct irq_line){ .set = set_gsi, .opaque = m, .number = number };
}

static void set_intr(void *opaque, unsigned int number, bool level)
{
	struct machine *m = opaque;

	(void)number;
	if (umbra_vcpu_set_pin(m->vcpu[0].handle, UMBRA_PIN_INTR, level))
		machine_end(m, MACHINE_FAILED, 0, "%s", error_text());
}

static void send_msi(void *opaque, uint64_t address, uint32_t data)
{
	struct machine *m = opaque;

	/*
	 * The guest chose address and data. What the hypervisor finds wrong with
	 * them is lost, as it would be on a real bus.
	 */
	umbra_vm_send_msi(m->vm, address, data);
}

static void reset(void *opaque)
{
	machine_end(opaque, MACHINE_RESET, 0, "%s", "");
}

static void power_off(void *opaque)
{
	machine_end(opaque, MACHINE_POWER_OFF, 0, "%s", "");
}

static void debug_exit(void *opaque, uint32_t value)
{
	machine_end(opaque, MACHINE_DEBUG_EXIT, value, "%s", "");
}

static int create_devices(struct machine *m)
{
	struct timer_host *clock = loop_timers(m->loop);
	struct serial_line line = console_line(m->console);
	struct irq_line intr = { .set = set_intr, .opaque = m };
	struct irq_line timer = gsi(m, TIMER_GSI), com1 = gsi(m, SERIAL_COM1_IRQ);
	struct irq_line rtc = gsi(m, RTC_IRQ), sci = gsi(m, ACPI_PM_SCI_IRQ);
	struct irq_line keyboard = gsi(m, I8042_KEYBOARD_IRQ), any = gsi(m, 0);

	m->pic = pic_create(&intr);
	m->ioapic = ioapic_create(firmware_ioapic_id(m->config->cpus), send_msi, m);
	m->pit = pit_create(clock, &timer);
	m->rtc = rtc_create(clock, &rtc, m->memory.low_size, m->memory.high_size);
	m->serial = serial_create(&line, &com1);
	m->i8042 = i8042_create(&keyboard, reset, m);
	m->pci = pci_create(reset, m);
	m->acpi_pm = acpi_pm_create(clock, &sci, power_off, m);
	m->fw_cfg = fw_cfg_create();
	sysctl_init(&m->sysctl, reset, m);
	if (m->config->debug_exit)
		m->debug_exit = debug_exit_create(debug_exit, m, &any);

	if (!m->pic || !m->ioapic || !m->pit || !m->rtc || !m->serial || !m->i8042 || !m->pci ||
	    !m->acpi_pm || !m->fw_cfg || (m->config->debug_exit && !m->debug_exit))
		return error_set(ENOMEM, "out of memory");
	return 0;
}

struct port_range {
	uint16_t base;
	uint16_t size;
	const struct io_ops *ops;
	void *dev;
};

static int connect_ports(struct machine *m)
{
	const struct port_range range[] = {
		{ PIC_MASTER_PORT, PIC_PORTS, &pic_ops, pic_master(m->pic) },
		{ PIC_SLAVE_PORT, PIC_PORTS, &pic_ops, pic_slave(m->pic) },
		{ PIC_ELCR_PORT, PIC_ELCR_PORTS, &pic_elcr_ops, m->pic },
		{ PIT_PORT, PIT_PORTS, &pit_ops, m->pit },
		{ PIT_SPEAKER_PORT, 1, &pit_speaker_ops, m->pit },
		{ I8042_DATA_PORT, 1, &i8042_data_ops, m->i8042 },
		{ I8042_COMMAND_PORT, 1, &i8042_command_ops, m->i8042 },
		{ RTC_PORT, RTC_PORTS, &rtc_ops, m->rtc },
		{ SYSCTL_POST_PORT, 1, &sysctl_post_ops, &m->sysctl },
		{ SYSCTL_A_PORT, 1, &sysctl_a_ops, &m->sysctl },
		{ SERIAL_COM1_PORT, SERIAL_PORTS, &serial_ops, m->serial },
		{ FW_CFG_PORT, FW_CFG_PORTS, &fw_cfg_ops, m->fw_cfg },
		{ ACPI_PM_PORT, ACPI_PM_PORTS, &acpi_pm_ops, m->acpi_pm },
		{ PCI_PORT, PCI_PORTS, &pci_ops, m->pci },
	};
	const struct port_range debug[] = {
		{ DEBUG_DATA_PORT, DEBUG_DATA_PORTS, &debug_data_ops, m->debug_exit },
		{ DEBUG_EXIT_PORT, DEBUG_EXIT_PORTS, &debug_exit_ops, m->debug_exit },
		{ DEBUG_IRQ_PORT, DEBUG_IRQ_PORTS, &debug_irq_ops, m->debug_exit },
	};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(range) && !ret; i++)
		ret = port_bus_add(&m->ports, range[i].base, range[i].size, range[i].ops,
				   range[i].dev);
	for (i = 0; i < ARRAY_SIZE(debug) && !ret && m->debug_exit; i++)
		ret = port_bus_add(&m->ports, debug[i].base, debug[i].size, debug[i].ops,
				   debug[i].dev);
	return ret;
}

int board_create(struct machine *m)
{
	int ret;

	ret = create_devices(m);
	if (ret)
		return ret;
	ret = connect_ports(m);
	if (ret)
		return ret;
	ret = mmio_bus_add(&m->mmio, IOAPIC_BASE, IOAPIC_SIZE, &ioapic_ops, m->ioapic);
	if (!ret && m->debug_exit)
		ret = mmio_bus_add(&m->mmio, DEBUG_MMIO_BASE, DEBUG_MMIO_SIZE, &debug_mmio_ops,
				   m->debug_exit);
	/* Firmware sets the SCI to be a level. */
	port_bus_write(&m->ports, PIC_ELCR_PORT + ACPI_PM_SCI_IRQ / 8, 1,
		       1U << ACPI_PM_SCI_IRQ % 8);
	return ret;
}

int board_fill_fw_cfg(struct machine *m)
{
	struct fw_cfg *cfg = m->fw_cfg;
	uint64_t memory = m->memory.low_size + m->memory.high_size;
	const char *cmdline = m->config->cmdline;
	const struct boot_entry *loaded = &m->entry;
	struct e820_entry map[E820_MAX];
	unsigned int n = memory_map(&m->memory, map);
	void *kernel = memory_at(&m->memory, loaded->kernel, loaded->kernel_size);
	void *initrd = memory_at(&m->memory, loaded->initrd, loaded->initrd_size);
	uint8_t zeroes[16] = { 0 };

	if (fw_cfg_add(cfg, FW_CFG_UUID, zeroes, sizeof(zeroes)) ||
	    fw_cfg_add64(cfg, FW_CFG_RAM_SIZE, memory) ||
	    fw_cfg_add16(cfg, FW_CFG_NOGRAPHIC, 1) ||
	    fw_cfg_add16(cfg, FW_CFG_NB_CPUS, m->config->cpus) ||
	    fw_cfg_add16(cfg, FW_CFG_MAX_CPUS, m->config->cpus) ||
	    fw_cfg_add16(cfg, FW_CFG_BOOT_MENU, 0) ||
	    fw_cfg_add64(cfg, FW_CFG_NUMA, 0) ||
	    fw_cfg_add(cfg, FW_CFG_IRQ0_OVERRIDE, "\1", 1) ||
	    fw_cfg_add32(cfg, FW_CFG_KERNEL_ADDR, loaded->kernel) ||
	    fw_cfg_add32(cfg, FW_CFG_KERNEL_SIZE, loaded->kernel_size) ||
	    fw_cfg_add(cfg, FW_CFG_KERNEL_DATA, kernel, loaded->kernel_size) ||
	    fw_cfg_add32(cfg, FW_CFG_INITRD_ADDR, loaded->initrd) ||
	    fw_cfg_add32(cfg, FW_CFG_INITRD_SIZE, loaded->initrd_size) ||
	    fw_cfg_add(cfg, FW_CFG_INITRD_DATA, initrd, loaded->initrd_size) ||
	    fw_cfg_add32(cfg, FW_CFG_CMDLINE_SIZE, strlen(cmdline) + 1) ||
	    fw_cfg_add(cfg, FW_CFG_CMDLINE_DATA, cmdline, strlen(cmdline) + 1) ||
	    fw_cfg_add_file(cfg, "etc/e820", map, n * sizeof(map[0])))
		return error_set(ENOMEM, "out of memory");
	return 0;
}

void board_destroy(struct machine *m)
{
	debug_exit_destroy(m->debug_exit);
	fw_cfg_destroy(m->fw_cfg);
	acpi_pm_destroy(m->acpi_pm);
	pci_destroy(m->pci);
	i8042_destroy(m->i8042);
	serial_destroy(m->serial);
	rtc_destroy(m->rtc);
	pit_destroy(m->pit);
	ioapic_destroy(m->ioapic);
	pic_destroy(m->pic);
}
