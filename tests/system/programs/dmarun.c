// SPDX-License-Identifier: GPL-2.0-only
/*
 * "vmctl run" with one device more, which writes to the guest's memory behind the
 * module's back and says so afterwards, as a device with DMA does.
 *
 *	dmarun [vmctl's options]
 *
 * Port PORT reads as ID. What is written to it, 4 bytes, is the guest-physical address
 * of an order: 8 bytes of an address and 8 bytes that are stored there.
 *
 * It is vmctl with some functions of libumbra wrapped (ld --wrap).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "libumbra/internal.h"
#include "vmctl/vmctl.h"

#define PORT	0xd0a0
#define ID	0x416d44

#define MAX_SLOTS	8

static struct {
	int vm;
	struct umbra_memory slot[MAX_SLOTS];
} dma;

int __real_umbra_vm_create(struct umbra *u, unsigned int paging, struct umbra_vm **out);
int __real_umbra_vm_set_memory(struct umbra_vm *vm, unsigned int slot, unsigned int flags,
			       uint64_t gpa, uint64_t size, void *host);
int __real_umbra_vcpu_run(struct umbra_vcpu *vcpu);

int __wrap_umbra_vm_create(struct umbra *u, unsigned int paging, struct umbra_vm **out)
{
	int ret = __real_umbra_vm_create(u, paging, out);

	if (!ret)
		dma.vm = (*out)->fd;
	return ret;
}

int __wrap_umbra_vm_set_memory(struct umbra_vm *vm, unsigned int slot, unsigned int flags,
			       uint64_t gpa, uint64_t size, void *host)
{
	if (slot < MAX_SLOTS)
		dma.slot[slot] = (struct umbra_memory) {
			.gpa = gpa,
			.size = size,
			.uaddr = (uintptr_t)host,
		};
	return __real_umbra_vm_set_memory(vm, slot, flags, gpa, size, host);
}

/* Where @size bytes of guest memory are, NULL if they are nowhere. */
static void *memory(uint64_t gpa, uint64_t size)
{
	unsigned int i;

	for (i = 0; i < MAX_SLOTS; i++) {
		const struct umbra_memory *slot = &dma.slot[i];

		if (gpa >= slot->gpa && gpa - slot->gpa < slot->size &&
		    slot->size - (gpa - slot->gpa) >= size)
			return (void *)(uintptr_t)(slot->uaddr + (gpa - slot->gpa));
	}
	return NULL;
}

static void carry_out(uint32_t gpa)
{
	struct { uint64_t address, value; } order;
	struct umbra_range range = { .size = sizeof(order.value) };
	void *from = memory(gpa, sizeof(order)), *to;

	if (!from)
		return;
	memcpy(&order, from, sizeof(order));
	to = memory(order.address, sizeof(order.value));
	if (!to)
		return;
	memcpy(to, &order.value, sizeof(order.value));
	range.gpa = order.address;
	if (ioctl(dma.vm, UMBRA_MEMORY_WRITTEN, &range)) {
		perror("dmarun: UMBRA_MEMORY_WRITTEN");
		exit(EXIT_FAILED);
	}
}

int __wrap_umbra_vcpu_run(struct umbra_vcpu *vcpu)
{
	struct umbra_run *run = vcpu->run;
	uint32_t *data = (uint32_t *)((char *)run + UMBRA_RUN_IO_OFFSET);

	for (;;) {
		int ret = __real_umbra_vcpu_run(vcpu);

		if (ret || run->exit_reason != UMBRA_EXIT_IO || run->io.port != PORT ||
		    run->io.size != sizeof(*data) || run->io.count != 1)
			return ret;
		if (run->io.direction == UMBRA_IO_OUT)
			carry_out(*data);
		else
			*data = ID;
	}
}

int main(int argc, char **argv)
{
	char **arguments = calloc(argc + 1, sizeof(*arguments));

	if (!arguments)
		return EXIT_FAILED;
	memcpy(arguments, argv, argc * sizeof(*arguments));
	arguments[0] = (char *)run_verb.name;
	return run_verb.run(&run_verb, argc, arguments);
}
