// SPDX-License-Identifier: GPL-2.0-only
/* vCPUs: how they begin, and the loop that answers their exits. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"
#include "util/bytes.h"
#include "util/error.h"

/* Registers of the local APIC as firmware leaves them: wired through to the PIC. */
#define LAPIC_SVR	0xf0
#define LAPIC_LINT0	0x350
#define LAPIC_LINT1	0x360
#define SVR_ENABLED	0x1ff
#define LVT_EXTINT	0x700
#define LVT_NMI		0x400

/* The path of a port access is kept short: it is what guests without drivers of ours do most. */
static inline uint32_t get_item(const uint8_t *data, unsigned int size)
{
	switch (size) {
	case 1:
		return *data;
	case 2:
		return get16(data);
	default:
		return get32(data);
	}
}

static inline void put_item(uint8_t *data, unsigned int size, uint32_t value)
{
	switch (size) {
	case 1:
		*data = value;
		break;
	case 2:
		put16(data, value);
		break;
	default:
		put32(data, value);
	}
}

static __attribute__((noinline)) void port_string(struct machine *m, uint8_t *data,
						  const struct umbra_run *run)
{
	unsigned int size = run->io.size;
	uint32_t count = run->io.count;
	uint16_t port = run->io.port;

	if (run->io.direction == UMBRA_IO_OUT)
		for (; count; count--, data += size)
			port_bus_write(&m->ports, port, size, get_item(data, size));
	else
		for (; count; count--, data += size)
			put_item(data, size, port_bus_read(&m->ports, port, size));
}

static inline void port_io(struct machine *m, uint8_t *data, const struct umbra_run *run)
{
	unsigned int size = run->io.size;

	if (__builtin_expect(run->io.count != 1, 0))
		port_string(m, data, run);
	else if (run->io.direction == UMBRA_IO_OUT)
		port_bus_write(&m->ports, run->io.port, size, get_item(data, size));
	else
		put_item(data, size, port_bus_read(&m->ports, run->io.port, size));
}

/* All 8 bytes are there to be copied, whatever the size of the access. */
static inline void memory_io(struct machine *m, struct umbra_run *run)
{
	uint64_t value;

	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, sizeof(value));
		mmio_bus_write(&m->mmio, run->mmio.gpa, run->mmio.len, value);
	} else {
		value = mmio_bus_read(&m->mmio, run->mmio.gpa, run->mmio.len);
		memcpy(run->mmio.data, &value, sizeof(value));
	}
}

static void emulation_failed(struct vcpu *vcpu, const struct umbra_run *run)
{
	char bytes[3 * sizeof(run->emulation.insn) + 1] = " none could be read";
	unsigned int i, n = run->emulation.insn_len;

	if (n > sizeof(run->emulation.insn))
		n = sizeof(run->emulation.insn);
	for (i = 0; i < n; i++)
		snprintf(bytes + 3 * i, 4, " %02x", run->emulation.insn[i]);
	machine_end(vcpu->machine, MACHINE_EMULATION, 0,
		    "vCPU %u met an instruction that cannot be emulated, at RIP %#" PRIx64
		    " in %u-bit code; bytes:%s",
		    vcpu->id, (uint64_t)run->emulation.rip, run->emulation.mode, bytes);
}

static __attribute__((noinline)) void other_exit(struct vcpu *vcpu, struct umbra_run *run)
{
	struct machine *m = vcpu->machine;

	switch (run->exit_reason) {
	case UMBRA_EXIT_NONE:
		break;
	case UMBRA_EXIT_INTACK:
		run->intack.vector = pic_ack(m->pic);
		break;
	case UMBRA_EXIT_EOI:
		ioapic_eoi(m->ioapic, run->eoi.vector);
		break;
	case UMBRA_EXIT_SHUTDOWN:
		machine_end(m, MACHINE_TRIPLE_FAULT, 0, "on vCPU %u", vcpu->id);
		break;
	case UMBRA_EXIT_EMULATION:
		emulation_failed(vcpu, run);
		break;
	case UMBRA_EXIT_ENTRY_FAILED:
		machine_end(m, MACHINE_ENTRY_FAILED, 0,
			    "the CPU refused to run vCPU %u (code %#" PRIx64 "): %.112s",
			    vcpu->id, (uint64_t)run->failed.code, run->failed.reason);
		break;
	case UMBRA_EXIT_MEMORY_FAULT:
		machine_end(m, MACHINE_MEMORY_FAULT, 0,
			    "the host could not provide the guest's page at %#" PRIx64 ": %s",
			    (uint64_t)run->memory_fault.gpa, strerror(-run->memory_fault.error));
		break;
	default:
		machine_end(m, MACHINE_FAILED, 0,
			    "vCPU %u stopped for reason %u, which this vmctl does not know",
			    vcpu->id, run->exit_reason);
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct machine *m = vcpu->machine;
	struct umbra_vcpu *handle = vcpu->handle;
	struct umbra_run *run = umbra_vcpu_run_page(handle);
	const bool *full = console_full(m->console);
	int ret;

	umbra_vcpu_attach(handle);
	/* Whoever ended the machine before that could not kick us. */
	while (!machine_is_stopping(m)) {
		ret = umbra_vcpu_run(handle);
		if (__builtin_expect(ret, 0)) {
			if (ret == -EINTR)
				continue;
			machine_end(m, MACHINE_FAILED, 0, "%s", error_text());
			break;
		}
		if (run->exit_reason == UMBRA_EXIT_IO)
			port_io(m, umbra_vcpu_io_data(handle), run);
		else if (run->exit_reason == UMBRA_EXIT_MMIO)
			memory_io(m, run);
		else
			other_exit(vcpu, run);
		while (__builtin_expect(__atomic_load_n(full, __ATOMIC_RELAXED), 0) &&
		       !machine_is_stopping(m))
			console_wait(m->console);
	}
	return NULL;
}

/* What a PC's firmware does to the local APIC of each CPU that it has seen. */
static int set_up_lapic(struct vcpu *vcpu)
{
	struct umbra_lapic_state lapic;
	int ret;

	memset(&lapic, 0, sizeof(lapic));
	ret = umbra_vcpu_get_lapic(vcpu->handle, &lapic);
	if (ret)
		return ret;
	put32(&lapic.regs[LAPIC_SVR], SVR_ENABLED);
	put32(&lapic.regs[LAPIC_LINT0], LVT_EXTINT);
	put32(&lapic.regs[LAPIC_LINT1], LVT_NMI);
	return umbra_vcpu_set_lapic(vcpu->handle, &lapic);
}

static int create_one(struct machine *m, const struct umbra_cpuid_entry *supported,
		      unsigned int count, unsigned int id)
{
	struct umbra_cpuid_entry entry[UMBRA_MAX_CPUID];
	struct umbra_msr mtrr[MTRR_MSRS];
	struct vcpu *vcpu = &m->vcpu[id];
	int ret;

	vcpu->machine = m;
	vcpu->id = id;
	ret = umbra_vcpu_create(m->vm, id, &vcpu->handle);
	if (ret)
		return ret;
	memcpy(entry, supported, count * sizeof(entry[0]));
	topology_cpuid(entry, count, id, m->config->cpus);
	ret = umbra_vcpu_set_cpuid(vcpu->handle, entry, count);
	if (ret)
		return ret;
	ret = umbra_vcpu_set_msrs(vcpu->handle, mtrr, mtrr_set_up(entry, count, mtrr));
	if (ret)
		return ret;
	/* The others begin with INIT, which undoes what firmware did to theirs. */
	return id == 0 ? set_up_lapic(vcpu) : 0;
}

int vcpus_create(struct machine *m)
{
	struct umbra_cpuid_entry supported[UMBRA_MAX_CPUID];
	unsigned int count = UMBRA_MAX_CPUID, id;
	int ret;

	ret = umbra_supported_cpuid(m->umbra, supported, &count);
	for (id = 0; id < m->config->cpus && !ret; id++)
		ret = create_one(m, supported, count, id);
	return ret;
}

int vcpus_start(struct machine *m)
{
	unsigned int id;
	int err;

	for (id = 0; id < m->config->cpus; id++) {
		char name[16];

		err = pthread_create(&m->vcpu[id].thread, NULL, vcpu_thread, &m->vcpu[id]);
		if (err)
			return error_set(err, "cannot start a thread for vCPU %u: %s", id,
					 strerror(err));
		m->vcpu[id].started = true;
		snprintf(name, sizeof(name), "vcpu%u", id);
		pthread_setname_np(m->vcpu[id].thread, name);
	}
	return 0;
}

void vcpus_join(struct machine *m)
{
	unsigned int id;

	for (id = 0; id < m->config->cpus; id++) {
		if (m->vcpu[id].started)
			pthread_join(m->vcpu[id].thread, NULL);
		m->vcpu[id].started = false;
	}
}

void vcpus_destroy(struct machine *m)
{
	unsigned int id;

	for (id = 0; id < m->config->cpus; id++)
		umbra_vcpu_close(m->vcpu[id].handle);
}
