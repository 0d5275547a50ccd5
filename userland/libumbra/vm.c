// SPDX-License-Identifier: GPL-2.0-only
/* Calls on a VM's file descriptor. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"
#include "util/error.h"

void umbra_vm_close(struct umbra_vm *vm)
{
	if (!vm)
		return;
	close(vm->fd);
	free(vm);
}

int umbra_vm_set_memory(struct umbra_vm *vm, unsigned int slot, unsigned int flags,
			uint64_t gpa, uint64_t size, void *host)
{
	struct umbra_memory arg = {
		.slot = slot,
		.flags = flags,
		.gpa = gpa,
		.size = size,
		.uaddr = (uintptr_t)host,
	};

	if (ioctl(vm->fd, UMBRA_SET_MEMORY, &arg))
		return error_set(errno, "the module refuses %" PRIu64
					" KiB of guest memory at %#" PRIx64 ": %s",
				 size >> 10, gpa, strerror(errno));
	return 0;
}

int umbra_vm_send_msi(struct umbra_vm *vm, uint64_t address, uint32_t data)
{
	struct umbra_msi arg = { .address = address, .data = data };

	if (ioctl(vm->fd, UMBRA_SEND_MSI, &arg))
		return error_set(errno, "the module refuses an interrupt message (%#" PRIx64
					", %#x): %s",
				 address, data, strerror(errno));
	return 0;
}

int umbra_read_stats(int fd, unsigned long request, struct umbra_stat_list *list)
{
	struct umbra_stats arg = { .count = UMBRA_MAX_STATS };
	unsigned int i;

	list->stat = calloc(UMBRA_MAX_STATS, sizeof(*list->stat));
	if (!list->stat)
		return error_set(ENOMEM, "out of memory");
	arg.entries = (uintptr_t)list->stat;
	if (ioctl(fd, request, &arg)) {
		free(list->stat);
		list->stat = NULL;
		return error_set(errno, "the module does not give its counters: %s",
				 strerror(errno));
	}
	list->count = arg.count < UMBRA_MAX_STATS ? arg.count : UMBRA_MAX_STATS;
	for (i = 0; i < list->count; i++)
		list->stat[i].name[UMBRA_STAT_NAME - 1] = '\0';
	return 0;
}

int umbra_vm_stats(struct umbra_vm *vm, struct umbra_stat_list *list)
{
	return umbra_read_stats(vm->fd, UMBRA_GET_VM_STATS, list);
}

int umbra_vcpu_create(struct umbra_vm *vm, unsigned int id, struct umbra_vcpu **out)
{
	struct umbra_create_vcpu arg = { .id = id };
	struct umbra_vcpu *vcpu;
	void *run;
	int err;

	vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu)
		return error_set(ENOMEM, "out of memory");
	vcpu->id = id;
	vcpu->run_size = vm->run_size;
	vcpu->fd = ioctl(vm->fd, UMBRA_CREATE_VCPU, &arg);
	if (vcpu->fd < 0) {
		err = errno;
		free(vcpu);
		return error_set(err, "the module cannot make vCPU %u: %s", id, strerror(err));
	}
	run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		err = errno;
		close(vcpu->fd);
		free(vcpu);
		return error_set(err, "cannot map the run page of vCPU %u: %s", id, strerror(err));
	}
	vcpu->run = run;
	*out = vcpu;
	return 0;
}
