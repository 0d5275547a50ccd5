// SPDX-License-Identifier: GPL-2.0-only
/* Port I/O on its way to user space: of instructions that exited, and of executed ones. */
#include <asm/trapnr.h>
#include "insn.h"

/* The I/O permission bitmap of a 32-bit or 64-bit TSS (SDM Vol. 1 19.5.2). */
int umbra_insn_io_allowed(struct umbra_emul *c, u16 port, unsigned int size)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);
	struct umbra_segment tr;
	u16 offset, bits;
	int ret;

	umbra_backend->get_segment(vcpu, UMBRA_TR, &tr);
	/* A 16-bit TSS has no bitmap. */
	if ((tr.attr & UMBRA_SEG_TYPE) != 11 && (tr.attr & UMBRA_SEG_TYPE) != 9)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	if (tr.limit < 103)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	ret = umbra_insn_read(c, tr.base + 102, &offset, sizeof(offset), UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;
	/* Two bytes are always read. */
	if (offset + port / 8 + 1 > tr.limit)
		return umbra_emul_fault(c, X86_TRAP_GP, true, 0);
	ret = umbra_insn_read(c, tr.base + offset + port / 8, &bits, sizeof(bits),
			      UMBRA_EMUL_SYSTEM);
	if (ret)
		return ret;
	return umbra_insn_gp_if(c, bits >> (port & 7) & (BIT(size) - 1));
}

static __always_inline void request_pio(struct umbra_vcpu *vcpu, u16 port, unsigned int size,
					unsigned int count, u8 direction)
{
	struct umbra_run *run = vcpu->run;

	run->exit_reason = UMBRA_EXIT_IO;
	run->io.port = port;
	run->io.direction = direction;
	run->io.size = size;
	run->io.count = count;
	vcpu->arch.stat[UMBRA_STAT_PIO_EXITS]++;
	if (unlikely(vcpu->arch.dr7 & DR7_ENABLED))
		umbra_check_io_breakpoints(vcpu, port, size);
}

static void *pio_data(struct umbra_vcpu *vcpu)
{
	return (void *)vcpu->run + UMBRA_RUN_IO_OFFSET;
}

int umbra_insn_pio_in(struct umbra_emul *c, u16 port, unsigned int size, void *data,
		      unsigned int count)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);

	count = min_t(unsigned int, count, UMBRA_RUN_IO_SIZE / size);
	if (vcpu->arch.pio_done == count * size) {
		memcpy(data, pio_data(vcpu), count * size);
		return UMBRA_EMUL_DONE;
	}
	request_pio(vcpu, port, size, count, UMBRA_IO_IN);
	vcpu->arch.pio_waiting = true;
	return UMBRA_EMUL_IO;
}

int umbra_insn_pio_out(struct umbra_emul *c, u16 port, unsigned int size, const void *data,
		       unsigned int count)
{
	struct umbra_vcpu *vcpu = umbra_insn_vcpu(c);

	if (vcpu->arch.pio_posted)
		return UMBRA_EMUL_IO;
	if (count * size > UMBRA_RUN_IO_SIZE)
		return UMBRA_EMUL_UNHANDLED;
	memcpy(pio_data(vcpu), data, count * size);
	request_pio(vcpu, port, size, count, UMBRA_IO_OUT);
	vcpu->arch.pio_posted = true;
	return UMBRA_EMUL_DONE;
}

/**
 * umbra_pio_finish_in() - user space has answered umbra_pio()
 * @vcpu: the vCPU, loaded; pio_in is not 0
 */
void umbra_pio_finish_in(struct umbra_vcpu *vcpu)
{
	u64 *rax = &vcpu->arch.gpr[UMBRA_RAX];
	void *data = pio_data(vcpu);

	switch (vcpu->arch.pio_in) {
	case 1:
		*rax = (*rax & ~0xffULL) | *(u8 *)data;
		break;
	case 2:
		*rax = (*rax & ~0xffffULL) | *(u16 *)data;
		break;
	default:
		*rax = *(u32 *)data;
		break;
	}
	vcpu->arch.pio_in = 0;
}

/**
 * umbra_pio() - IN or OUT between a port and the accumulator
 * @vcpu: the vCPU, loaded; the instruction has been skipped
 * @port: port number
 * @size: 1, 2 or 4 bytes
 * @in: IN, not OUT
 *
 * Permissions were checked by the CPU before it exited.
 *
 * Return: 0, to go to user space.
 */
int umbra_pio(struct umbra_vcpu *vcpu, u16 port, unsigned int size, bool in)
{
	if (in)
		vcpu->arch.pio_in = size;
	else
		*(u32 *)pio_data(vcpu) = vcpu->arch.gpr[UMBRA_RAX];
	request_pio(vcpu, port, size, 1, in ? UMBRA_IO_IN : UMBRA_IO_OUT);
	return 0;
}
