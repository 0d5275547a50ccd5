// SPDX-License-Identifier: GPL-2.0-only
/* A KVM vCPU's registers, as far as starting a machine needs them, and its counters. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm.h"
#include "util/bytes.h"
#include "util/error.h"

#define GROUPS	(UMBRA_STATE_REGS | UMBRA_STATE_SREGS)

void umbra_vcpu_close(struct umbra_vcpu *vcpu)
{
	if (!vcpu)
		return;
	munmap(vcpu->kvm, vcpu->run_size);
	close(vcpu->fd);
	free(vcpu);
}

/* The general registers of both in the order in which instructions encode them. */
static __u64 *gpr(struct kvm_regs *r, unsigned int i)
{
	__u64 *const table[] = {
		&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp, &r->rsi, &r->rdi,
		&r->r8, &r->r9, &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15,
	};

	return table[i];
}

static struct kvm_segment *segment(struct kvm_sregs *s, unsigned int i)
{
	struct kvm_segment *const table[] = {
		&s->es, &s->cs, &s->ss, &s->ds, &s->fs, &s->gs, &s->ldt, &s->tr,
	};

	return table[i];
}

static void read_segment(struct umbra_segment *to, const struct kvm_segment *from)
{
	*to = (struct umbra_segment){
		.base = from->base, .limit = from->limit, .selector = from->selector,
		.attr = from->type | (from->s ? UMBRA_SEG_S : 0) |
			from->dpl << UMBRA_SEG_DPL_SHIFT | (from->present ? UMBRA_SEG_P : 0) |
			(from->avl ? UMBRA_SEG_AVL : 0) | (from->l ? UMBRA_SEG_L : 0) |
			(from->db ? UMBRA_SEG_DB : 0) | (from->g ? UMBRA_SEG_G : 0) |
			(from->unusable ? UMBRA_SEG_UNUSABLE : 0),
	};
}

static void write_segment(struct kvm_segment *to, const struct umbra_segment *from)
{
	*to = (struct kvm_segment){
		.base = from->base, .limit = from->limit, .selector = from->selector,
		.type = from->attr & UMBRA_SEG_TYPE, .s = !!(from->attr & UMBRA_SEG_S),
		.dpl = (from->attr & UMBRA_SEG_DPL) >> UMBRA_SEG_DPL_SHIFT,
		.present = !!(from->attr & UMBRA_SEG_P), .avl = !!(from->attr & UMBRA_SEG_AVL),
		.l = !!(from->attr & UMBRA_SEG_L), .db = !!(from->attr & UMBRA_SEG_DB),
		.g = !!(from->attr & UMBRA_SEG_G),
		.unusable = !!(from->attr & UMBRA_SEG_UNUSABLE),
	};
}

int umbra_vcpu_get_state(struct umbra_vcpu *vcpu, struct umbra_state *state)
{
	struct kvm_regs regs;
	struct kvm_sregs s;
	unsigned int i;

	if (state->groups & ~GROUPS)
		return error_set(EINVAL, "only general and segment registers can be read from KVM");
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) || ioctl(vcpu->fd, KVM_GET_SREGS, &s))
		return error_set(errno, "cannot read the registers of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	for (i = 0; i < UMBRA_NR_GPRS; i++)
		state->regs.gpr[i] = *gpr(&regs, i);
	state->regs.rip = regs.rip;
	state->regs.rflags = regs.rflags;
	for (i = 0; i < UMBRA_NR_SEGS; i++)
		read_segment(&state->sregs.seg[i], segment(&s, i));
	state->sregs.gdtr = (struct umbra_table){ .base = s.gdt.base, .limit = s.gdt.limit };
	state->sregs.idtr = (struct umbra_table){ .base = s.idt.base, .limit = s.idt.limit };
	state->sregs.cr0 = s.cr0;
	state->sregs.cr2 = s.cr2;
	state->sregs.cr3 = s.cr3;
	state->sregs.cr4 = s.cr4;
	state->sregs.cr8 = s.cr8;
	state->sregs.efer = s.efer;
	state->sregs.apic_base = s.apic_base;
	return 0;
}

int umbra_vcpu_set_state(struct umbra_vcpu *vcpu, const struct umbra_state *state)
{
	struct umbra_regs umbra_regs = state->regs;
	struct kvm_regs regs;
	struct kvm_sregs s;
	unsigned int i;

	if (state->groups != GROUPS)
		return error_set(EINVAL, "KVM is given general and segment registers together");
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &s))
		return error_set(errno, "cannot read the registers of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	for (i = 0; i < UMBRA_NR_GPRS; i++)
		*gpr(&regs, i) = umbra_regs.gpr[i];
	regs.rip = umbra_regs.rip;
	regs.rflags = umbra_regs.rflags;
	for (i = 0; i < UMBRA_NR_SEGS; i++)
		write_segment(segment(&s, i), &state->sregs.seg[i]);
	s.gdt = (struct kvm_dtable){
		.base = state->sregs.gdtr.base, .limit = state->sregs.gdtr.limit,
	};
	s.idt = (struct kvm_dtable){
		.base = state->sregs.idtr.base, .limit = state->sregs.idtr.limit,
	};
	s.cr0 = state->sregs.cr0;
	s.cr2 = state->sregs.cr2;
	s.cr3 = state->sregs.cr3;
	s.cr4 = state->sregs.cr4;
	s.cr8 = state->sregs.cr8;
	s.efer = state->sregs.efer;
	s.apic_base = state->sregs.apic_base;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &s) || ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return error_set(errno, "KVM refuses the registers of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	return 0;
}

int umbra_vcpu_set_cpuid(struct umbra_vcpu *vcpu, const struct umbra_cpuid_entry *entries,
			 unsigned int count)
{
	struct kvm_cpuid2 *cpuid;
	unsigned int i;
	int ret = 0;

	cpuid = calloc(1, sizeof(*cpuid) + count * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return error_set(ENOMEM, "out of memory");
	cpuid->nent = count;
	for (i = 0; i < count; i++)
		cpuid->entries[i] = (struct kvm_cpuid_entry2){
			.function = entries[i].leaf, .index = entries[i].subleaf,
			.flags = entries[i].flags & UMBRA_CPUID_SUBLEAF ?
				 KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = entries[i].eax, .ebx = entries[i].ebx,
			.ecx = entries[i].ecx, .edx = entries[i].edx,
		};
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		ret = error_set(errno, "KVM refuses the CPUID leaves of vCPU %u: %s", vcpu->id,
				strerror(errno));
	free(cpuid);
	return ret;
}

int umbra_vcpu_set_msrs(struct umbra_vcpu *vcpu, const struct umbra_msr *msrs, unsigned int count)
{
	struct kvm_msrs *kvm;
	unsigned int i;
	int done;

	kvm = calloc(1, sizeof(*kvm) + count * sizeof(kvm->entries[0]));
	if (!kvm)
		return error_set(ENOMEM, "out of memory");
	kvm->nmsrs = count;
	for (i = 0; i < count; i++)
		kvm->entries[i] = (struct kvm_msr_entry){
			.index = msrs[i].index, .data = msrs[i].value,
		};
	done = ioctl(vcpu->fd, KVM_SET_MSRS, kvm);
	free(kvm);
	if (done < 0)
		return error_set(errno, "KVM refuses the MSRs of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	if ((unsigned int)done < count)
		return error_set(EINVAL, "KVM refuses the value %#llx of MSR %#x of vCPU %u",
				 (unsigned long long)msrs[done].value, msrs[done].index, vcpu->id);
	return 0;
}

int umbra_vcpu_get_lapic(struct umbra_vcpu *vcpu, struct umbra_lapic_state *lapic)
{
	struct kvm_lapic_state state;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &state))
		return error_set(errno, "cannot read the local APIC of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	memset(lapic, 0, sizeof(*lapic));
	memcpy(lapic->regs, state.regs, sizeof(state.regs));
	return 0;
}

int umbra_vcpu_set_lapic(struct umbra_vcpu *vcpu, const struct umbra_lapic_state *lapic)
{
	struct kvm_lapic_state state;

	memcpy(state.regs, lapic->regs, sizeof(state.regs));
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &state))
		return error_set(errno, "KVM refuses the local APIC of vCPU %u: %s", vcpu->id,
				 strerror(errno));
	return 0;
}

/* Reads one kind of the binary statistics' parts, whole. */
static void *read_part(int fd, size_t size, off_t offset)
{
	void *part = malloc(size ? size : 1);

	if (part && pread(fd, part, size, offset) != (ssize_t)size) {
		free(part);
		part = NULL;
	}
	return part;
}

/* The counters with a single value; histograms are left out. */
static int collect(int fd, const struct kvm_stats_header *head, struct umbra_stat_list *list)
{
	size_t stride = sizeof(struct kvm_stats_desc) + head->name_size;
	char *descs = read_part(fd, stride * head->num_desc, head->desc_offset);
	uint64_t value;
	unsigned int i;
	int ret = 0;

	list->stat = calloc(head->num_desc + 1, sizeof(*list->stat));
	if (!descs || !list->stat) {
		ret = error_set(EIO, "cannot read KVM's counters");
		goto out;
	}
	for (i = 0; i < head->num_desc; i++) {
		const struct kvm_stats_desc *d = (const void *)(descs + i * stride);
		struct umbra_stat *stat = &list->stat[list->count];

		if (d->size != 1 || (d->flags & KVM_STATS_TYPE_MASK) > KVM_STATS_TYPE_PEAK)
			continue;
		if (pread(fd, &value, sizeof(value), head->data_offset + d->offset) !=
		    sizeof(value)) {
			ret = error_set(EIO, "cannot read KVM's counters");
			goto out;
		}
		snprintf(stat->name, sizeof(stat->name), "%s", d->name);
		stat->count = value;
		list->count++;
	}
out:
	free(descs);
	if (ret) {
		free(list->stat);
		list->stat = NULL;
	}
	return ret;
}

int kvm_read_stats(int fd, struct umbra_stat_list *list)
{
	struct kvm_stats_header head;
	int stats, ret;

	list->count = 0;
	stats = ioctl(fd, KVM_GET_STATS_FD, NULL);
	if (stats < 0)
		return error_set(errno, "KVM does not give its counters: %s", strerror(errno));
	if (pread(stats, &head, sizeof(head), 0) != sizeof(head))
		ret = error_set(EIO, "cannot read KVM's counters");
	else
		ret = collect(stats, &head, list);
	close(stats);
	return ret;
}

int umbra_vcpu_stats(struct umbra_vcpu *vcpu, struct umbra_stat_list *list)
{
	return kvm_read_stats(vcpu->fd, list);
}
