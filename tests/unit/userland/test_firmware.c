// SPDX-License-Identifier: GPL-2.0-only
/* ACPI and MP tables, checked by their own rules and, if it is there, by iasl. */
#include <stdio.h>
#include <unistd.h>

#include "boot/boot.h"
#include "boot/firmware.h"
#include "boot/layout.h"
#include "test.h"

static struct guest_memory mem;

static int setup(void **state)
{
	(void)state;
	return memory_create(&mem, 4 << 20);
}

static int teardown(void **state)
{
	(void)state;
	memory_destroy(&mem);
	return 0;
}

static uint8_t sum(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint8_t s = 0;

	while (size--)
		s += *p++;
	return s;
}

static uint8_t *at(uint64_t gpa)
{
	uint8_t *p = memory_at(&mem, gpa, 64);

	assert_non_null(p);
	assert_in_range(gpa, FIRMWARE_TABLES, FIRMWARE_END - 1);
	return p;
}

/* A table by its signature, from the XSDT; checks each that it passes. */
static uint8_t *find_table(const char *signature)
{
	uint8_t *rsdp = at(FIRMWARE_TABLES), *xsdt = at(get64(rsdp + 24)), *t, *found = NULL;
	unsigned int i;

	assert_memory_equal(xsdt, "XSDT", 4);
	assert_int_equal(sum(xsdt, get32(xsdt + 4)), 0);
	for (i = 36; i < get32(xsdt + 4); i += 8) {
		t = at(get64(xsdt + i));
		assert_int_equal(sum(t, get32(t + 4)), 0);
		if (!memcmp(t, signature, 4))
			found = t;
	}
	return found;
}

static void roots(void **state)
{
	uint8_t *rsdp, *rsdt;
	unsigned int i;

	(void)state;
	assert_int_equal(firmware_write(&mem, 3), FIRMWARE_TABLES);
	rsdp = at(FIRMWARE_TABLES);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	rsdt = at(get32(rsdp + 16));
	assert_memory_equal(rsdt, "RSDT", 4);
	assert_int_equal(sum(rsdt, get32(rsdt + 4)), 0);
	/* Both list the same. */
	for (i = 0; i < (get32(rsdt + 4) - 36) / 4; i++)
		assert_int_equal(get32(rsdt + 36 + 4 * i),
				 get64(at(get64(rsdp + 24)) + 36 + 8 * i));
}

static void fadt(void **state)
{
	uint8_t *t, *dsdt, *facs;

	(void)state;
	firmware_write(&mem, 1);
	t = find_table("FACP");
	assert_non_null(t);
	assert_int_equal(get32(t + 4), 268);
	dsdt = at(get32(t + 40));
	assert_int_equal(get64(t + 140), get32(t + 40));
	assert_memory_equal(dsdt, "DSDT", 4);
	assert_int_equal(sum(dsdt, get32(dsdt + 4)), 0);
	facs = at(get32(t + 36));
	assert_memory_equal(facs, "FACS", 4);
	assert_int_equal(get32(t + 36) % 64, 0);
	/* The reset register: port 0xcf9, value 6. */
	assert_int_equal(get64(t + 116 + 4), 0xcf9);
	assert_int_equal(t[128], 6);
}

static void madt(void **state)
{
	uint8_t *t, *e;
	unsigned int cpus = 0, ioapics = 0, overrides = 0, nmis = 0;

	(void)state;
	firmware_write(&mem, 5);
	t = find_table("APIC");
	assert_non_null(t);
	for (e = t + 44; e < t + get32(t + 4); e += e[1]) {
		assert_true(e[1] >= 2);
		switch (e[0]) {
		case 0:
			assert_int_equal(e[3], cpus++);
			assert_int_equal(get32(e + 4), 1);
			break;
		case 1:
			assert_int_equal(e[2], firmware_ioapic_id(5));
			ioapics++;
			break;
		case 2:
			overrides++;
			break;
		case 4:
			nmis++;
			break;
		}
	}
	assert_ptr_equal(e, t + get32(t + 4));
	assert_int_equal(cpus, 5);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 2);
	assert_int_equal(nmis, 1);
}

static void mp_table(void **state)
{
	uint8_t *pointer, *header, *e;
	unsigned int i, cpus = 0, timer = 0;

	(void)state;
	firmware_write(&mem, 64);
	pointer = at(FIRMWARE_MP_TABLE);
	assert_memory_equal(pointer, "_MP_", 4);
	assert_int_equal(sum(pointer, 16), 0);
	header = at(get32(pointer + 4));
	assert_memory_equal(header, "PCMP", 4);
	assert_int_equal(sum(header, get16(header + 4)), 0);
	e = header + 44;
	for (i = 0; i < get16(header + 34); i++) {
		if (e[0] == 0)
			assert_int_equal(e[1], cpus++);
		if (e[0] == 3 && e[5] == 0)
			timer = e[7];
		e += e[0] == 0 ? 20 : 8;
	}
	assert_ptr_equal(e, header + get16(header + 4));
	assert_int_equal(cpus, 64);
	assert_int_equal(timer, 2);
}

static void largest_machine_fits(void **state)
{
	uint8_t *t;

	(void)state;
	firmware_write(&mem, 64);
	t = find_table("APIC");
	assert_non_null(t);
	assert_true(t + get32(t + 4) <= (uint8_t *)memory_at(&mem, FIRMWARE_TABLES_END, 1));
}

static void bios_data(void **state)
{
	uint8_t *bda = memory_at(&mem, 0x400, 0x100);

	(void)state;
	firmware_write(&mem, 1);
	assert_int_equal(get16(bda), 0x3f8);
	assert_int_equal(get16(bda + 0x0e), 0x9fc0);
	assert_int_equal(get16(bda + 0x13), 639);
}

/* Where an interrupt in real mode goes. */
static uint8_t *vector(unsigned int n)
{
	uint8_t *v = memory_at(&mem, 4 * n, 4);

	return memory_at(&mem, 16ul * get16(v + 2) + get16(v), 16);
}

static void real_mode_vectors(void **state)
{
	static const uint8_t refuse[] = {
		0x55, 0x89, 0xe5, 0x80, 0x4e, 6, 1, 0x5d, 0xb4, 0x86, 0xcf
	};
	unsigned int i;

	(void)state;
	firmware_write(&mem, 1);
	for (i = 0; i < 256; i++)
		assert_true(vector(i) >= (uint8_t *)memory_at(&mem, FIRMWARE_BIOS, 1));
	assert_int_equal(vector(0x10)[0], 0xcf);
	assert_memory_equal(vector(0x13), refuse, sizeof(refuse));
	assert_memory_equal(vector(0x15), refuse, sizeof(refuse));
	/* The PICs' lines are acknowledged, the second's at both. */
	assert_ptr_equal(vector(8), vector(15));
	assert_ptr_equal(vector(0x70), vector(0x77));
	assert_ptr_not_equal(vector(8), vector(0x70));
	assert_int_equal(vector(8)[0], 0x50);
}

/* The disassembler of the ACPI CA must understand the DSDT without a complaint. */
static void iasl_agrees(void **state)
{
	char path[] = "/tmp/umbra-dsdt-XXXXXX", command[256];
	uint8_t *dsdt;
	int fd, status;
	FILE *out;
	char line[256];
	bool has_s5 = false, has_uart = false;

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1"))
		skip();
	firmware_write(&mem, 1);
	dsdt = at(get32(find_table("FACP") + 40));
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, dsdt, get32(dsdt + 4)), get32(dsdt + 4));
	close(fd);
	snprintf(command, sizeof(command),
		 "iasl -d %s >/dev/null 2>&1 && cat %s.dsl && iasl -p %s.out %s.dsl 2>&1", path,
		 path, path, path);
	out = popen(command, "r");
	while (fgets(line, sizeof(line), out)) {
		has_s5 |= !!strstr(line, "_S5");
		has_uart |= !!strstr(line, "PNP0501");
		if (strstr(line, "Error") && !strstr(line, " 0 Errors"))
			fail_msg("iasl: %s", line);
	}
	status = pclose(out);
	snprintf(command, sizeof(command), "rm -f %s %s.dsl %s.out.aml", path, path, path);
	assert_int_equal(system(command), 0);
	assert_int_equal(status, 0);
	assert_true(has_s5 && has_uart);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(roots),
		T(fadt),
		T(madt),
		T(mp_table),
		T(largest_machine_fits),
		T(bios_data),
		T(real_mode_vectors),
		T(iasl_agrees),
	};

	return RUN(tests);
}
