// SPDX-License-Identifier: GPL-2.0-only
/* /dev/umbra itself. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"
#include "util/error.h"

static int open_failed(int err)
{
	switch (err) {
	case ENOENT:
		return error_set(err, "%s does not exist: load the module with 'modprobe umbra' or 'insmod umbra.ko'",
				 UMBRA_DEVICE);
	case ENODEV:
	case ENXIO:
		return error_set(err, "%s is there but nothing answers behind it: load the module with 'modprobe umbra' or 'insmod umbra.ko'",
				 UMBRA_DEVICE);
	case EACCES:
	case EPERM:
		return error_set(err, "not permitted to open %s: become root or join the group that owns it ('ls -l %s' shows it)",
				 UMBRA_DEVICE, UMBRA_DEVICE);
	default:
		return error_set(err, "cannot open %s: %s", UMBRA_DEVICE, strerror(err));
	}
}

int umbra_open_any_abi(struct umbra **out)
{
	struct umbra *u;
	int err;

	u = calloc(1, sizeof(*u));
	if (!u)
		return error_set(ENOMEM, "out of memory");
	u->fd = open(UMBRA_DEVICE, O_RDWR | O_CLOEXEC);
	if (u->fd < 0) {
		err = errno;
		free(u);
		return open_failed(err);
	}
	if (ioctl(u->fd, UMBRA_GET_INFO, &u->info)) {
		err = errno;
		umbra_close(u);
		if (err == ENOTTY || err == EINVAL)
			return error_set(EPROTO, "%s does not know the call that tells its version: it is not the umbra module, or one that is far older or newer than this vmctl",
					 UMBRA_DEVICE);
		return error_set(err, "%s does not tell its version: %s", UMBRA_DEVICE,
				 strerror(err));
	}
	u->info.version[sizeof(u->info.version) - 1] = '\0';
	*out = u;
	return 0;
}

int umbra_open(struct umbra **out)
{
	struct umbra *u;
	int ret;

	ret = umbra_open_any_abi(&u);
	if (ret)
		return ret;
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): error_set() never returns 0. */
	if (u->info.abi_version != UMBRA_ABI_VERSION) {
		ret = error_set(EPROTO, "the loaded umbra module speaks ABI %u, this vmctl speaks ABI %u: rebuild %s",
				u->info.abi_version, UMBRA_ABI_VERSION,
				u->info.abi_version < UMBRA_ABI_VERSION ?
				"the module from this source and load it again" :
				"vmctl from the module's source");
		umbra_close(u);
		return ret;
	}
	*out = u;
	return 0;
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
	memset(cap, 0, sizeof(*cap));
	cap->cap = nr;
	if (ioctl(u->fd, UMBRA_CHECK_CAP, cap))
		return error_set(errno, "cannot ask the module for capability %u: %s", nr,
				 strerror(errno));
	cap->reason[sizeof(cap->reason) - 1] = '\0';
	return 0;
}

int umbra_supported_cpuid(struct umbra *u, struct umbra_cpuid_entry *entries, unsigned int *count)
{
	struct umbra_cpuid arg = {
		.count = *count,
		.entries = (uintptr_t)entries,
	};

	if (ioctl(u->fd, UMBRA_SUPPORTED_CPUID, &arg))
		return error_set(errno, "the module does not tell which CPUID leaves it supports: %s",
				 strerror(errno));
	*count = arg.count;
	return 0;
}

/*
 * The module says in a capability's reason why a VM cannot be made. Its words
 * are better than any we could find for an errno.
 */
static int create_failed(struct umbra *u, unsigned int paging, int err)
{
	static const char * const paging_name[] = {
		[UMBRA_PAGING_NESTED] = "nested",
		[UMBRA_PAGING_SHADOW] = "shadow",
	};
	unsigned int other = paging == UMBRA_PAGING_NESTED ? UMBRA_PAGING_SHADOW
							   : UMBRA_PAGING_NESTED;
	struct umbra_cap hardware, mode;

	if (!umbra_check_cap(u, UMBRA_CAP_HARDWARE, &hardware) && hardware.reason[0] &&
	    (!hardware.value || err == EBUSY || err == ENODEV))
		return error_set(err, "this host cannot run guests: %s", hardware.reason);
	if (err == EOPNOTSUPP &&
	    !umbra_check_cap(u, paging == UMBRA_PAGING_NESTED ? UMBRA_CAP_PAGING_NESTED
							      : UMBRA_CAP_PAGING_SHADOW, &mode))
		return error_set(err, "%s paging cannot be had on this host: %s; try --paging %s",
				 paging_name[paging],
				 mode.reason[0] ? mode.reason : "the module gives no reason",
				 paging_name[other]);
	if (err == EBUSY)
		return error_set(err, "another hypervisor holds the CPU's virtualization: unload it ('rmmod kvm_amd' or 'rmmod kvm_intel') and try again; dmesg says more");
	return error_set(err, "the module cannot make a VM: %s; dmesg may say more",
			 strerror(err));
}

int umbra_vm_create(struct umbra *u, unsigned int paging, struct umbra_vm **out)
{
	struct umbra_create_vm arg = { .paging = paging };
	struct umbra_vm *vm;
	int err;

	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return error_set(ENOMEM, "out of memory");
	vm->run_size = u->info.run_size;
	vm->fd = ioctl(u->fd, UMBRA_CREATE_VM, &arg);
	if (vm->fd < 0) {
		err = errno;
		free(vm);
		return create_failed(u, paging, err);
	}
	*out = vm;
	return 0;
}
