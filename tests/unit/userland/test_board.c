// SPDX-License-Identifier: GPL-2.0-only
/* The small devices of the board, and the buses. */
#include "devices/acpi_pm.h"
#include "devices/debug_exit.h"
#include "devices/fw_cfg.h"
#include "devices/i8042.h"
#include "devices/pci.h"
#include "devices/sysctl.h"
#include "monitor/bus.h"
#include "test.h"

static unsigned int calls;
static uint32_t exit_value;

static void called(void *opaque)
{
	(void)opaque;
	calls++;
}

static void exited(void *opaque, uint32_t value)
{
	(void)opaque;
	exit_value = value;
	calls++;
}

static int setup(void **state)
{
	(void)state;
	calls = 0;
	exit_value = 0;
	return 0;
}

static void keyboard_controller(void **state)
{
	struct fake_irq irq;
	struct irq_line line = fake_line(&irq);
	struct i8042 *kbc = i8042_create(&line, called, NULL);

	(void)state;
	assert_int_equal(rd(&i8042_command_ops, kbc, 0) & 0x03, 0);
	wr(&i8042_command_ops, kbc, 0, 0xaa);
	assert_int_equal(rd(&i8042_command_ops, kbc, 0) & 0x01, 0x01);
	assert_int_equal(rd(&i8042_data_ops, kbc, 0), 0x55);
	assert_int_equal(rd(&i8042_command_ops, kbc, 0) & 0x01, 0);
	wr(&i8042_command_ops, kbc, 0, 0xab);
	assert_int_equal(rd(&i8042_data_ops, kbc, 0), 0x00);
	/* The configuration byte. */
	wr(&i8042_command_ops, kbc, 0, 0x60);
	wr(&i8042_data_ops, kbc, 0, 0x01);
	wr(&i8042_command_ops, kbc, 0, 0x20);
	assert_int_equal(rd(&i8042_data_ops, kbc, 0), 0x01);
	assert_false(irq.level);
	/* A byte that is echoed interrupts. */
	wr(&i8042_command_ops, kbc, 0, 0xd2);
	wr(&i8042_data_ops, kbc, 0, 0x42);
	assert_true(irq.level);
	assert_int_equal(rd(&i8042_data_ops, kbc, 0), 0x42);
	assert_false(irq.level);
	/* Nobody answers for the keyboard. */
	wr(&i8042_data_ops, kbc, 0, 0xff);
	assert_int_equal(rd(&i8042_command_ops, kbc, 0) & 0x41, 0x41);
	assert_int_equal(rd(&i8042_data_ops, kbc, 0), 0xfe);
	assert_int_equal(calls, 0);
	wr(&i8042_command_ops, kbc, 0, 0xff);
	assert_int_equal(calls, 0);
	wr(&i8042_command_ops, kbc, 0, 0xfe);
	assert_int_equal(calls, 1);
	wr(&i8042_command_ops, kbc, 0, 0xd1);
	wr(&i8042_data_ops, kbc, 0, 0xdf);
	assert_int_equal(calls, 1);
	wr(&i8042_command_ops, kbc, 0, 0xd0);
	assert_int_equal(rd(&i8042_data_ops, kbc, 0), 0xdf);
	wr(&i8042_command_ops, kbc, 0, 0xd1);
	wr(&i8042_data_ops, kbc, 0, 0xde);
	assert_int_equal(calls, 2);
	i8042_destroy(kbc);
}

static void pci_configuration(void **state)
{
	struct pci *pci = pci_create(called, NULL);
	unsigned int offset, size;

	(void)state;
	pci_ops.write(pci, 0, 4, 0x80000000);
	assert_int_equal(pci_ops.read(pci, 0, 4), 0x80000000);
	assert_int_equal(pci_ops.read(pci, 4, 4), 0x0d578086);
	assert_int_equal(pci_ops.read(pci, 6, 2), 0x0d57);
	pci_ops.write(pci, 0, 4, 0x80000008);
	assert_int_equal(pci_ops.read(pci, 7, 1), 0x06);
	/* No other device, function or bus, and none while the address is not enabled. */
	pci_ops.write(pci, 0, 4, 0x80000800);
	assert_int_equal(pci_ops.read(pci, 4, 4), 0xffffffff);
	pci_ops.write(pci, 0, 4, 0x80010000);
	assert_int_equal(pci_ops.read(pci, 4, 4), 0xffffffff);
	pci_ops.write(pci, 0, 4, 0x00000000);
	assert_int_equal(pci_ops.read(pci, 4, 4), 0xffffffff);
	/* At the end of the configuration space. */
	pci_ops.write(pci, 0, 4, 0x800000fc);
	for (size = 1; size <= 4; size *= 2)
		for (offset = 0; offset + size <= 8; offset++)
			pci_ops.read(pci, offset, size);
	assert_int_equal(calls, 0);
	pci_ops.write(pci, 1, 1, 0x02);
	assert_int_equal(calls, 0);
	pci_ops.write(pci, 1, 1, 0x06);
	assert_int_equal(calls, 1);
	pci_destroy(pci);
}

static void acpi_registers(void **state)
{
	struct fake_clock clock;
	struct fake_irq irq;
	struct irq_line line = fake_line(&irq);
	struct acpi_pm *pm;

	(void)state;
	fake_clock_init(&clock);
	pm = acpi_pm_create(&clock.host, &line, called, NULL);
	/* SCI_EN is on and stays on. */
	assert_int_equal(acpi_pm_ops.read(pm, 4, 2), 1);
	acpi_pm_ops.write(pm, 4, 2, 0);
	assert_int_equal(acpi_pm_ops.read(pm, 4, 2), 1);
	/* The timer. */
	fake_advance(&clock, NS_PER_SEC);
	assert_int_equal(acpi_pm_ops.read(pm, 8, 4), ACPI_PM_TIMER_HZ);
	/* It interrupts when its highest bit changes. */
	acpi_pm_ops.write(pm, 2, 2, 1);
	fake_advance(&clock, 598 * NS_PER_SEC);
	assert_false(irq.level);
	fake_advance(&clock, 2 * NS_PER_SEC);
	assert_true(irq.level);
	assert_int_equal(acpi_pm_ops.read(pm, 0, 4), 0x00010001);
	acpi_pm_ops.write(pm, 0, 2, 1);
	assert_false(irq.level);
	fake_advance(&clock, 600 * NS_PER_SEC);
	assert_true(irq.level);
	/* Sleep types other than S5 do nothing. */
	acpi_pm_ops.write(pm, 4, 2, 0x2000 | 1 << 10);
	assert_int_equal(calls, 0);
	acpi_pm_ops.write(pm, 4, 2, ACPI_PM_S5_TYPE << 10);
	assert_int_equal(calls, 0);
	acpi_pm_ops.write(pm, 4, 2, 0x2000 | ACPI_PM_S5_TYPE << 10);
	assert_int_equal(calls, 1);
	acpi_pm_destroy(pm);
}

static void acpi_registers_by_bytes(void **state)
{
	struct fake_clock clock;
	struct irq_line line = { 0 };
	struct acpi_pm *pm;

	(void)state;
	fake_clock_init(&clock);
	pm = acpi_pm_create(&clock.host, &line, called, NULL);
	acpi_pm_ops.write(pm, 3, 1, 0x01);
	acpi_pm_ops.write(pm, 2, 1, 0x21);
	assert_int_equal(acpi_pm_ops.read(pm, 2, 2), 0x0121);
	assert_int_equal(acpi_pm_ops.read(pm, 3, 1), 0x01);
	acpi_pm_ops.write(pm, 5, 1, 0x20 | ACPI_PM_S5_TYPE << 2);
	assert_int_equal(calls, 1);
	acpi_pm_destroy(pm);
}

static void select_key(struct fw_cfg *cfg, uint16_t key)
{
	fw_cfg_ops.write(cfg, 0, 2, key);
}

static void read_bytes(struct fw_cfg *cfg, void *to, size_t size)
{
	uint8_t *p = to;

	while (size--)
		*p++ = rd(&fw_cfg_ops, cfg, 1);
}

static void firmware_configuration(void **state)
{
	const char *long_name = "a-name-that-is-quite-a-bit-longer-than-the-directory-has-room-for";
	struct fw_cfg *cfg = fw_cfg_create();
	uint8_t data[128];
	uint64_t value;
	unsigned int i;

	(void)state;
	read_bytes(cfg, data, 1);
	assert_int_equal(data[0], 0);
	select_key(cfg, FW_CFG_SIGNATURE);
	read_bytes(cfg, data, 6);
	assert_memory_equal(data, "QEMU\0\0", 6);
	assert_int_equal(fw_cfg_add64(cfg, FW_CFG_RAM_SIZE, 0x123456789ULL), 0);
	select_key(cfg, FW_CFG_RAM_SIZE);
	read_bytes(cfg, &value, 8);
	assert_int_equal(value, 0x123456789ULL);
	/* A key that does not exist reads as zeroes. */
	select_key(cfg, 0x7777);
	read_bytes(cfg, data, 4);
	assert_memory_equal(data, "\0\0\0\0", 4);
	/* The directory is big endian. */
	assert_int_equal(fw_cfg_add_file(cfg, "etc/a", "abc", 3), 0);
	assert_int_equal(fw_cfg_add_file(cfg, "etc/b", "defg", 4), 0);
	select_key(cfg, FW_CFG_FILE_DIR);
	read_bytes(cfg, data, 4 + 2 * 64 > sizeof(data) ? sizeof(data) : 4 + 2 * 64);
	/* How many, then of each its size, its selector and its name. */
	assert_memory_equal(data, "\0\0\0\2", 4);
	assert_memory_equal(data + 4, "\0\0\0\3\0\x20\0\0etc/a\0", 14);
	assert_memory_equal(data + 4 + 64, "\0\0\0\4\0\x21\0\0etc/b\0", 14);
	select_key(cfg, FW_CFG_FILE_FIRST + 1);
	read_bytes(cfg, data, 5);
	assert_memory_equal(data, "defg\0", 5);
	assert_int_not_equal(fw_cfg_add_file(cfg, long_name, "", 0), 0);
	for (i = 0; i < 100; i++)
		fw_cfg_add16(cfg, 0x4000 + i, i);
	fw_cfg_destroy(cfg);
}

static void test_device(void **state)
{
	struct fake_irq irq;
	struct irq_line line = fake_line(&irq);
	struct debug_exit *debug = debug_exit_create(exited, NULL, &line);

	(void)state;
	debug_exit_ops.write(debug, 0, 4, 0x12345678);
	assert_int_equal(exit_value, 0x12345678);
	debug_exit_ops.write(debug, 0, 1, 3);
	assert_int_equal(exit_value, 3);
	debug_data_ops.write(debug, 0, 4, 0xcafef00d);
	assert_int_equal(debug_data_ops.read(debug, 1, 2), 0xfef0);
	debug_irq_ops.write(debug, 14, 1, 1);
	assert_true(irq.level);
	assert_int_equal(irq.number, 14);
	debug_irq_ops.write(debug, 14, 1, 0);
	assert_false(irq.level);
	debug_mmio_ops.write(debug, DEBUG_MMIO_SIZE - 8, 8, 0x1122334455667788ULL);
	assert_int_equal(debug_mmio_ops.read(debug, DEBUG_MMIO_SIZE - 6, 4), 0x33445566);
	debug_exit_destroy(debug);
}

static void fast_reset(void **state)
{
	struct sysctl ctl;

	(void)state;
	sysctl_init(&ctl, called, NULL);
	assert_int_equal(rd(&sysctl_a_ops, &ctl, 0), 0x02);
	wr(&sysctl_a_ops, &ctl, 0, 0x00);
	assert_int_equal(calls, 0);
	wr(&sysctl_a_ops, &ctl, 0, 0x01);
	assert_int_equal(calls, 1);
	wr(&sysctl_post_ops, &ctl, 0, 0x55);
	assert_int_equal(rd(&sysctl_post_ops, &ctl, 0), 0x55);
}

/* A device that remembers its last access. */
struct memory {
	uint64_t offset, value;
	unsigned int size, count;
};

static uint64_t memory_read(void *dev, uint64_t offset, unsigned int size)
{
	struct memory *m = dev;

	m->offset = offset;
	m->size = size;
	m->count++;
	return 0xa0 + offset;
}

static void memory_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct memory *m = dev;

	m->offset = offset;
	m->size = size;
	m->value = value;
	m->count++;
}

static const struct io_ops byte_ops = { memory_read, memory_write, 1 };
static const struct io_ops word_ops = { memory_read, memory_write, 2 };
static const struct io_ops quad_ops = { memory_read, memory_write, 8 };

static void ports(void **state)
{
	static struct port_bus bus;
	struct memory a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(port_bus_add(&bus, 0x10, 4, &byte_ops, &a), 0);
	assert_int_equal(port_bus_add(&bus, 0xfffe, 2, &word_ops, &b), 0);
	assert_int_not_equal(port_bus_add(&bus, 0x13, 1, &byte_ops, &b), 0);
	assert_int_not_equal(port_bus_add(&bus, 0xffff, 2, &byte_ops, &b), 0);
	assert_int_not_equal(port_bus_add(&bus, 0x100, 0, &byte_ops, &b), 0);
	assert_int_equal(port_bus_read(&bus, 0x11, 1), 0xa1);
	/* Wider than the device takes: byte by byte. */
	assert_int_equal(port_bus_read(&bus, 0x10, 4), 0xa3a2a1a0);
	assert_int_equal(a.count, 5);
	/* Over the end of it, and where nothing is. */
	assert_int_equal(port_bus_read(&bus, 0x12, 4), 0xffffa3a2);
	assert_int_equal(port_bus_read(&bus, 0x0e, 4), 0xa1a0ffff);
	assert_int_equal(port_bus_read(&bus, 0x200, 1), 0xff);
	assert_int_equal(port_bus_read(&bus, 0x200, 2), 0xffff);
	assert_int_equal(port_bus_read(&bus, 0x200, 4), 0xffffffff);
	port_bus_write(&bus, 0x12, 2, 0xbbcc);
	assert_int_equal(a.offset, 3);
	assert_int_equal(a.value, 0xbb);
	/* Over the end of all ports. */
	b.count = 0;
	assert_int_equal(port_bus_read(&bus, 0xfffe, 2), 0x00a0);
	assert_int_equal(b.count, 1);
	port_bus_write(&bus, 0xffff, 4, 0x01020304);
	assert_int_equal(b.value, 0x04);
}

static void memory_mapped(void **state)
{
	static struct mmio_bus bus;
	struct memory a = { 0 }, b = { 0 };

	(void)state;
	assert_int_equal(mmio_bus_add(&bus, 0x2000, 0x100, &quad_ops, &b), 0);
	assert_int_equal(mmio_bus_add(&bus, 0x1000, 0x1000, &word_ops, &a), 0);
	assert_int_not_equal(mmio_bus_add(&bus, 0x1fff, 1, &word_ops, &a), 0);
	assert_int_not_equal(mmio_bus_add(&bus, 0xfff, 2, &word_ops, &a), 0);
	assert_int_not_equal(mmio_bus_add(&bus, UINT64_MAX, 2, &word_ops, &a), 0);
	assert_int_equal(mmio_bus_read(&bus, 0x2010, 8), 0xb0);
	assert_int_equal(b.size, 8);
	/* From one device into the next. */
	mmio_bus_write(&bus, 0x1ffe, 4, 0x44332211);
	assert_int_equal(a.value, 0x2211);
	assert_int_equal(b.value, 0x4433);
	assert_int_equal(b.size, 2);
	assert_true(mmio_bus_read(&bus, 0x9000, 8) == UINT64_MAX);
	assert_int_equal(mmio_bus_read(&bus, 0x9000, 3), 0xffffff);
	assert_int_equal(mmio_bus_read(&bus, 0x20ff, 2), 0xff00 | 0x9f);
	/* Sizes that are no power of two come from accesses that cross a page. */
	a.count = 0;
	mmio_bus_read(&bus, 0x1001, 7);
	assert_int_equal(a.count, 4);
}

#define T(name)	cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(keyboard_controller),
		T(pci_configuration),
		T(acpi_registers),
		T(acpi_registers_by_bytes),
		T(firmware_configuration),
		T(test_device),
		T(fast_reset),
		T(ports),
		T(memory_mapped),
	};

	return RUN(tests);
}
