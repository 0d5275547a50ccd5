// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drivers reach devices by plain MOVs. When the CPU has exited for one it has
 * made all checks already and says where the operand is, so that nothing is left
 * but to move the data. All else is for the executor.
 */
#include <asm/processor-flags.h>
#include "insn.h"

static bool is_high_byte(const struct umbra_insn *insn, unsigned int size)
{
	return size == 1 && insn->reg >= 4 && !(insn->flags & UMBRA_INSN_REX);
}

static u64 get_reg(const struct umbra_vcpu *vcpu, const struct umbra_insn *insn, unsigned int size)
{
	if (is_high_byte(insn, size))
		return vcpu->arch.gpr[insn->reg - 4] >> 8;
	return vcpu->arch.gpr[insn->reg];
}

static void set_reg(struct umbra_vcpu *vcpu, const struct umbra_insn *insn, unsigned int size,
		    u64 value)
{
	u64 *gpr = &vcpu->arch.gpr[insn->reg];

	switch (size) {
	case 8:
		*gpr = value;
		break;
	case 4:
		*gpr = (u32)value;
		break;
	case 2:
		*gpr = (*gpr & ~0xffffULL) | (u16)value;
		break;
	default:
		if (is_high_byte(insn, size))
			gpr[-4] = (gpr[-4] & ~0xff00ULL) | (u64)(u8)value << 8;
		else
			*gpr = (*gpr & ~0xffULL) | (u8)value;
		break;
	}
}

/**
 * umbra_mmio_classify() - is an instruction a MOV that is carried out here?
 * @d: the instruction, decoded; @mov and @size are filled in
 *
 * MOV between a register and memory, MOV of an immediate to memory, MOVZX.
 */
void umbra_mmio_classify(struct umbra_decoded *d)
{
	const struct umbra_insn *insn = &d->insn;

	d->mov = UMBRA_MOV_NONE;
	d->size = insn->opsize;
	if ((insn->flags & (UMBRA_INSN_MEM | UMBRA_INSN_LOCK | UMBRA_INSN_VEX | UMBRA_INSN_EVEX |
			    UMBRA_INSN_XOP)) != UMBRA_INSN_MEM)
		return;
	if (insn->map == UMBRA_MAP_1BYTE) {
		switch (insn->opcode) {
		case 0x88 ... 0x89:
			d->mov = UMBRA_MOV_STORE;
			break;
		case 0x8a ... 0x8b:
			d->mov = UMBRA_MOV_LOAD;
			break;
		case 0xc6 ... 0xc7:
			if (!(insn->modrm >> 3 & 7))
				d->mov = UMBRA_MOV_STORE_IMM;
			break;
		}
	} else if (insn->map == UMBRA_MAP_0F) {
		switch (insn->opcode) {
		case 0xb6 ... 0xb7:
			d->mov = UMBRA_MOV_LOAD;
			d->size = insn->opcode & 1 ? 2 : 1;
			break;
		}
	}
}

/*
 * Does the operand begin at the address of the fault? An aligned one always does,
 * unless that is the first of a page, where one that began on the page before
 * faults, too.
 */
static bool begins_at(struct umbra_vcpu *vcpu, const struct umbra_decoded *d, gpa_t gpa)
{
	const struct umbra_insn *insn = &d->insn;
	u64 offset;

	if (gpa & (d->size - 1))
		return false;
	if (likely(offset_in_page(gpa)))
		return true;
	offset = umbra_insn_offset(insn, vcpu->arch.gpr, vcpu->arch.rip);
	if (insn->code != UMBRA_CODE_64 || insn->seg >= UMBRA_EMUL_FS) {
		struct umbra_segment seg;

		umbra_backend->get_segment(vcpu, insn->seg, &seg);
		offset += seg.base;
	}
	return !offset_in_page(offset);
}

static void finish_load(struct umbra_vcpu *vcpu, const struct umbra_decoded *d, u64 value)
{
	const struct umbra_insn *insn = &d->insn;

	if (d->size < sizeof(value))
		value &= BIT_ULL(8 * d->size) - 1;
	set_reg(vcpu, insn, insn->opsize, value);
	umbra_skip_insn(vcpu, insn->length);
}

static int complete_load(struct umbra_vcpu *vcpu)
{
	u64 value;

	memcpy(&value, vcpu->run->mmio.data, sizeof(value));
	finish_load(vcpu, vcpu->arch.mmio_load, value);
	return 1;
}

static void request(struct umbra_vcpu *vcpu, gpa_t gpa, unsigned int size, bool write, u64 value)
{
	struct umbra_run *run = vcpu->run;

	run->exit_reason = UMBRA_EXIT_MMIO;
	run->mmio.gpa = gpa;
	run->mmio.len = size;
	run->mmio.is_write = write;
	memcpy(run->mmio.data, &value, sizeof(value));
	vcpu->arch.stat[UMBRA_STAT_MMIO_EXITS]++;
}

static int load(struct umbra_vcpu *vcpu, const struct umbra_decoded *d, gpa_t gpa)
{
	u64 value = 0;

	if (umbra_lapic_claims(vcpu, gpa)) {
		umbra_lapic_read(vcpu, gpa, &value, d->size);
		finish_load(vcpu, d, value);
		return 1;
	}
	request(vcpu, gpa, d->size, false, 0);
	/* As in the executor's loads, RIP stays where it is until there is an answer. */
	vcpu->arch.mmio_load = d;
	vcpu->arch.complete = complete_load;
	return 0;
}

static int store(struct umbra_vcpu *vcpu, const struct umbra_decoded *d, gpa_t gpa)
{
	const struct umbra_insn *insn = &d->insn;
	u64 value = d->mov == UMBRA_MOV_STORE ? get_reg(vcpu, insn, d->size) : insn->imm;

	if (d->size < sizeof(value))
		value &= BIT_ULL(8 * d->size) - 1;
	umbra_skip_insn(vcpu, insn->length);
	if (umbra_lapic_claims(vcpu, gpa)) {
		umbra_lapic_write(vcpu, gpa, &value, d->size);
		return 1;
	}
	request(vcpu, gpa, d->size, true, value);
	return 0;
}

/**
 * umbra_mmio_exit() - the guest has accessed what is no memory
 * @vcpu: the vCPU, loaded; no event is being delivered
 * @gpa: where, as the CPU or the walk of the guest's tables has it
 * @write: it is a write
 *
 * @gpa is that of the operand, not one on the way to it, or of the code.
 *
 * Return: as umbra_emulate_exit().
 */
int umbra_mmio_exit(struct umbra_vcpu *vcpu, gpa_t gpa, bool write)
{
	const struct umbra_decoded *d = umbra_decoded_at_rip(vcpu);

	if (unlikely(!d || !begins_at(vcpu, d, gpa)))
		return umbra_emulate_exit(vcpu);
	switch (d->mov) {
	case UMBRA_MOV_LOAD:
		if (unlikely(write))
			break;
		vcpu->arch.stat[UMBRA_STAT_EMULATIONS]++;
		return load(vcpu, d, gpa);
	case UMBRA_MOV_STORE:
	case UMBRA_MOV_STORE_IMM:
		if (unlikely(!write))
			break;
		vcpu->arch.stat[UMBRA_STAT_EMULATIONS]++;
		return store(vcpu, d, gpa);
	}
	return umbra_emulate_exit(vcpu);
}
