// SPDX-License-Identifier: GPL-2.0-only
/* /dev/kvm itself. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm.h"
#include "util/bytes.h"
#include "util/error.h"

/* CPUID leaves and bits that are kept from guests on an emulated host. */
#define LEAF_FEATURES	0x1
#define FEATURES_XSAVE	(1U << 26 | 1U << 27 | 1U << 28 | 1U << 12 | 1U << 29)
#define FEATURES_TSC_DEADLINE (1U << 24)
#define FEATURES_HYPERVISOR (1U << 31)
#define LEAF_EXTENDED	0x7
#define EXTENDED_AVX2	(1U << 5)
#define LEAF_XSAVE	0xd
#define LEAF_HYPERVISOR	0x40000000

int umbra_open(struct umbra **out)
{
	struct umbra *u;
	int version;

	u = calloc(1, sizeof(*u));
	if (!u)
		return error_set(ENOMEM, "out of memory");
	u->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (u->fd < 0) {
		version = errno;
		free(u);
		return error_set(version, "cannot open /dev/kvm: %s", strerror(version));
	}
	version = ioctl(u->fd, KVM_GET_API_VERSION, 0);
	u->run_size = ioctl(u->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (version != KVM_API_VERSION || (int)u->run_size < (int)sizeof(struct kvm_run)) {
		umbra_close(u);
		return error_set(EPROTO, "/dev/kvm speaks API %d, not %d", version,
				 KVM_API_VERSION);
	}
	u->info.abi_version = UMBRA_ABI_VERSION;
	snprintf(u->info.version, sizeof(u->info.version), "KVM");
	*out = u;
	return 0;
}

int umbra_open_any_abi(struct umbra **out)
{
	return umbra_open(out);
}

void umbra_close(struct umbra *u)
{
	if (!u)
		return;
	close(u->fd);
	free(u);
}

const struct umbra_info *umbra_get_info(const struct umbra *u)
{
	return &u->info;
}

int umbra_check_cap(struct umbra *u, unsigned int nr, struct umbra_cap *cap)
{
	(void)u;
	memset(cap, 0, sizeof(*cap));
	cap->cap = nr;
	return error_set(EINVAL, "KVM has no such capability");
}

/*
 * QEMU's emulation of AMD-V does not intercept XSETBV: a guest that uses it
 * changes the host's XCR0, and KVM dies of that.
 */
static bool host_is_emulated(void)
{
	unsigned int a, b, c, d;

	__cpuid(LEAF_HYPERVISOR, a, b, c, d);
	return b == 0x54474354 && c == 0x43544743;	/* "TCGTCGTCGTCG" */
}

static void hide_xsave(struct kvm_cpuid_entry2 *e)
{
	switch (e->function) {
	case LEAF_FEATURES:
		e->ecx &= ~FEATURES_XSAVE;
		break;
	case LEAF_EXTENDED:
		if (e->index == 0)
			e->ebx &= ~EXTENDED_AVX2;
		break;
	case LEAF_XSAVE:
		e->eax = 0;
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
		break;
	}
}

int umbra_supported_cpuid(struct umbra *u, struct umbra_cpuid_entry *entries, unsigned int *count)
{
	bool emulated = host_is_emulated();
	struct kvm_cpuid2 *cpuid;
	unsigned int i;
	int ret = 0;

	cpuid = calloc(1, sizeof(*cpuid) + *count * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return error_set(ENOMEM, "out of memory");
	cpuid->nent = *count;
	if (ioctl(u->fd, KVM_GET_SUPPORTED_CPUID, cpuid)) {
		ret = error_set(errno, "KVM does not tell which CPUID leaves it supports: %s",
				strerror(errno));
		goto out;
	}
	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (emulated)
			hide_xsave(e);
		/* KVM leaves it to its user whether there is a local APIC and what to tell. */
		if (e->function == LEAF_FEATURES)
			e->ecx |= FEATURES_TSC_DEADLINE | FEATURES_HYPERVISOR;
		entries[i] = (struct umbra_cpuid_entry){
			.leaf = e->function, .subleaf = e->index,
			.flags = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX ?
				 UMBRA_CPUID_SUBLEAF : 0,
			.eax = e->eax, .ebx = e->ebx, .ecx = e->ecx, .edx = e->edx,
		};
	}
	*count = cpuid->nent;
out:
	free(cpuid);
	return ret;
}

/* KVM's paging is a parameter of its modules: what was asked for must be what it has. */
static int check_paging(unsigned int paging)
{
	static const char * const parameters[] = {
		"/sys/module/kvm_amd/parameters/npt", "/sys/module/kvm_intel/parameters/ept",
	};
	bool nested;
	char value;
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		fd = open(parameters[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, &value, 1) != 1)
			value = '?';
		close(fd);
		nested = value == 'Y' || value == '1';
		if (paging == (nested ? UMBRA_PAGING_NESTED : UMBRA_PAGING_SHADOW))
			return 0;
		return error_set(EOPNOTSUPP, "KVM is loaded for %s paging (%s is %c)",
				 nested ? "nested" : "shadow", parameters[i], value);
	}
	return error_set(ENODEV, "neither kvm_amd nor kvm_intel is loaded");
}

static int configure(struct umbra_vm *vm)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP, .args = { IOAPIC_PINS },
	};
	uint64_t identity = 0xfeffc000;

	/* Only VT-x needs these pages; they are taken from the hole below 4 GiB. */
	if (ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) ||
	    ioctl(vm->fd, KVM_SET_TSS_ADDR, identity + 0x1000) ||
	    ioctl(vm->fd, KVM_ENABLE_CAP, &split))
		return error_set(errno, "KVM does not give the VM a local APIC: %s",
				 strerror(errno));
	return 0;
}

int umbra_vm_create(struct umbra *u, unsigned int paging, struct umbra_vm **out)
{
	struct umbra_vm *vm;
	int ret;

	ret = check_paging(paging);
	if (ret)
		return ret;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return error_set(ENOMEM, "out of memory");
	vm->umbra = u;
	pthread_mutex_init(&vm->routes_lock, NULL);
	vm->fd = ioctl(u->fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0) {
		ret = error_set(errno, "KVM cannot make a VM: %s", strerror(errno));
		free(vm);
		return ret;
	}
	ret = configure(vm);
	if (ret) {
		umbra_vm_close(vm);
		return ret;
	}
	*out = vm;
	return 0;
}
