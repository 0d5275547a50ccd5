// SPDX-License-Identifier: GPL-2.0-only
/* A KVM VM. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm.h"
#include "util/error.h"

#define MSI_LEVEL	(1U << 15)
#define MSI_ASSERT	(1U << 14)

void umbra_vm_close(struct umbra_vm *vm)
{
	if (!vm)
		return;
	close(vm->fd);
	pthread_mutex_destroy(&vm->routes_lock);
	free(vm);
}

int umbra_vm_set_memory(struct umbra_vm *vm, unsigned int slot, unsigned int flags,
			uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region arg = {
		.slot = slot,
		.flags = (flags & UMBRA_MEM_READONLY ? KVM_MEM_READONLY : 0) |
			 (flags & UMBRA_MEM_LOG_DIRTY ? KVM_MEM_LOG_DIRTY_PAGES : 0),
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &arg))
		return error_set(errno, "KVM refuses guest memory: %s", strerror(errno));
	return 0;
}

/*
 * KVM exits at the EOI of a level-triggered vector only if a route of the I/O
 * APIC's pins has it. Called with the lock.
 */
static int add_route(struct umbra_vm *vm, const struct kvm_msi *msi)
{
	struct kvm_irq_routing *table;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < vm->routes; i++)
		if (vm->route[i].address_lo == msi->address_lo &&
		    vm->route[i].data == msi->data)
			return 0;
	/* There are no more pins than places, so the oldest is one that was moved away. */
	vm->route[vm->next_route] = *msi;
	vm->next_route = (vm->next_route + 1) % IOAPIC_PINS;
	if (vm->routes < IOAPIC_PINS)
		vm->routes++;

	table = calloc(1, sizeof(*table) + vm->routes * sizeof(table->entries[0]));
	if (!table)
		return error_set(ENOMEM, "out of memory");
	table->nr = vm->routes;
	for (i = 0; i < vm->routes; i++) {
		struct kvm_irq_routing_entry *e = &table->entries[i];

		e->gsi = i;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = vm->route[i].address_lo;
		e->u.msi.address_hi = vm->route[i].address_hi;
		e->u.msi.data = vm->route[i].data;
	}
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, table))
		ret = error_set(errno, "KVM refuses an interrupt route: %s", strerror(errno));
	free(table);
	return ret;
}

int umbra_vm_send_msi(struct umbra_vm *vm, uint64_t address, uint32_t data)
{
	struct kvm_msi msi = {
		.address_lo = address, .address_hi = address >> 32, .data = data,
	};
	int ret = 0;

	if (data & MSI_LEVEL) {
		pthread_mutex_lock(&vm->routes_lock);
		ret = add_route(vm, &msi);
		pthread_mutex_unlock(&vm->routes_lock);
	}
	if (ret)
		return ret;
	if (ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) < 0)
		return error_set(errno, "KVM refuses an interrupt message: %s", strerror(errno));
	return 0;
}

int umbra_vm_stats(struct umbra_vm *vm, struct umbra_stat_list *list)
{
	return kvm_read_stats(vm->fd, list);
}

int umbra_vcpu_create(struct umbra_vm *vm, unsigned int id, struct umbra_vcpu **out)
{
	struct umbra_vcpu *vcpu;
	int ret;

	vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu)
		return error_set(ENOMEM, "out of memory");
	vcpu->id = id;
	vcpu->run_size = vm->umbra->run_size;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0) {
		ret = error_set(errno, "KVM cannot make vCPU %u: %s", id, strerror(errno));
		free(vcpu);
		return ret;
	}
	vcpu->kvm = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->kvm == MAP_FAILED) {
		ret = error_set(errno, "cannot map the run page of vCPU %u: %s", id,
				strerror(errno));
		close(vcpu->fd);
		free(vcpu);
		return ret;
	}
	*out = vcpu;
	return 0;
}
