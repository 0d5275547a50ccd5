// SPDX-License-Identifier: GPL-2.0-only
/* Finding firmware tables in memory. */
#include "acpi.h"
#include "string.h"

bool acpi_checksum_ok(const void *p, u32 n)
{
	const u8 *b = p;
	u8 sum = 0;

	while (n--)
		sum += *b++;
	return !sum;
}

static const u8 *scan(u32 from, u32 to, const char *magic, u32 n, u32 sum_size)
{
	u32 a;

	for (a = from; a < to; a += 16)
		if (!memcmp((void *)(ulong)a, magic, n) &&
		    acpi_checksum_ok((void *)(ulong)a, sum_size))
			return (const u8 *)(ulong)a;
	return NULL;
}

const void *acpi_rsdp(void)
{
	return scan(0xe0000, 0x100000, "RSD PTR ", 8, 20);
}

void *acpi_find(const char *signature)
{
	const u8 *rsdp = acpi_rsdp();
	struct acpi_header *rsdt, *t;
	bool wide = false;
	u32 i, pa;

	if (!rsdp)
		return NULL;
	memcpy(&pa, rsdp + 16, 4);
	if (rsdp[15] >= 2) {
		u64 xsdt;

		memcpy(&xsdt, rsdp + 24, 8);
		if (xsdt && xsdt < 1ull << 32) {
			pa = xsdt;
			wide = true;
		}
	}
	rsdt = (void *)(ulong)pa;
	for (i = sizeof(*rsdt); i < rsdt->length; i += wide ? 8 : 4) {
		memcpy(&pa, (u8 *)rsdt + i, 4);
		t = (void *)(ulong)pa;
		if (!memcmp(t->signature, signature, 4))
			return t;
	}
	return NULL;
}

static int mp_table_cpus(u32 *ids, int max)
{
	const u8 *fp, *cfg, *e;
	u32 pa;
	int n = 0, i;

	fp = scan(0xf0000, 0x100000, "_MP_", 4, 16);
	if (!fp)
		fp = scan(0x9fc00, 0xa0000, "_MP_", 4, 16);
	if (!fp)
		return 0;
	memcpy(&pa, fp + 4, 4);
	cfg = (const u8 *)(ulong)pa;
	e = cfg + 44;
	for (i = cfg[34] | cfg[35] << 8; i; i--) {
		if (e[0] == 0 && e[3] & 1 && n < max)
			ids[n++] = e[1];
		e += e[0] == 0 ? 20 : 8;
	}
	return n;
}

int firmware_cpus(u32 *ids, int max)
{
	struct acpi_header *madt = acpi_find("APIC");
	const u8 *e, *end;
	int n = 0;

	if (!madt)
		return mp_table_cpus(ids, max);
	e = (u8 *)madt + sizeof(*madt) + 8;
	end = (u8 *)madt + madt->length;
	for (; e + 2 <= end && e[1]; e += e[1]) {
		u32 flags, id;

		if (e[0] == 0) {
			memcpy(&flags, e + 4, 4);
			id = e[3];
		} else if (e[0] == 9) {
			memcpy(&flags, e + 8, 4);
			memcpy(&id, e + 4, 4);
		} else {
			continue;
		}
		if (flags & 1 && n < max)
			ids[n++] = id;
	}
	return n;
}

int acpi_s5_type(void)
{
	struct acpi_fadt *fadt = acpi_find("FACP");
	struct acpi_header *dsdt;
	const u8 *p;
	u32 i;

	if (!fadt || !fadt->dsdt)
		return -1;
	dsdt = (void *)(ulong)fadt->dsdt;
	p = (u8 *)dsdt;
	/* Name (_S5_, Package (n) { SLP_TYPa, ... }) */
	for (i = sizeof(*dsdt); i + 8 < dsdt->length; i++) {
		if (memcmp(p + i, "_S5_", 4) || p[i + 4] != 0x12)
			continue;
		i += 5;
		i += (p[i] >> 6) + 2;	/* package length, then number of elements */
		switch (p[i]) {
		case 0x0a:
			return p[i + 1];
		case 0x0b:
			return p[i + 1] | p[i + 2] << 8;
		case 0:
		case 1:
			return p[i];
		}
		return -1;
	}
	return -1;
}
