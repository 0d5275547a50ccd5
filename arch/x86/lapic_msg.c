// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupt messages to local APICs, from other vCPUs, devices, pins and an
 * APIC's own local vector table (SDM Vol. 3 11.5 to 11.7 and 11.11).
 *
 * All of it may be called from any thread and from a timer's interrupt: it
 * reads registers of a running vCPU's APIC once, sets bits in its IRR and kicks
 * it.
 */
#include <linux/bitops.h>
#include <asm/apicdef.h>
#include <asm/msr-index.h>
#include "lapic.h"
#include "umbra.h"

/* Fields of an MSI (SDM Vol. 3 11.11.1, 11.11.2). */
#define MSI_ADDRESS		0xfee00000ULL
#define MSI_ADDRESS_MASK	(~0xfffffULL)
#define MSI_DEST_SHIFT		12
#define MSI_REDIRECTION		BIT(3)
#define MSI_LOGICAL		BIT(2)
#define MSI_LEVEL_TRIGGERED	BIT(15)

#define XAPIC_BROADCAST		0xffU
#define X2APIC_BROADCAST	0xffffffffU

static void notify(struct umbra_vcpu *vcpu)
{
	umbra_request(vcpu, UMBRA_REQ_EVENT);
	umbra_vcpu_kick(vcpu);
}

static void request(struct umbra_lapic *lapic, u8 vector, bool level)
{
	if (level)
		set_bit(vector, lapic->tmr);
	else if (test_bit(vector, lapic->tmr))
		clear_bit(vector, lapic->tmr);
	/* Who set the bit before has told the vCPU, or is just about to. */
	if (!test_and_set_bit(vector, lapic->irr))
		notify(lapic->vcpu);
}

static bool is_enabled(const struct umbra_lapic *lapic)
{
	return READ_ONCE(lapic->base) & MSR_IA32_APICBASE_ENABLE;
}

static bool software_enabled(const struct umbra_lapic *lapic)
{
	return READ_ONCE(lapic->svr) & APIC_SPIV_APIC_ENABLED;
}

/* An interrupt of the APIC's own, by the mode in its LVT entry. */
static void local_interrupt(struct umbra_lapic *lapic, enum umbra_lvt entry, u32 lvt)
{
	struct umbra_vcpu *vcpu = lapic->vcpu;
	u8 vector = lvt & APIC_VECTOR_MASK;

	if (lvt & APIC_LVT_MASKED)
		return;
	/* Timer and error have no delivery mode: those bits are zero. */
	switch (lvt & APIC_MODE_MASK) {
	case APIC_DM_FIXED:
		if (vector >= 16)
			request(lapic, vector, false);
		else if (entry != UMBRA_LVT_ERROR)
			umbra_lapic_error(lapic, APIC_ESR_RECVILL);
		else
			atomic_or(APIC_ESR_RECVILL, &lapic->esr_new);
		break;
	case APIC_DM_NMI:
		umbra_queue_nmi(vcpu);
		break;
	case APIC_DM_EXTINT:
		set_bit(0, &lapic->extint);
		notify(vcpu);
		break;
	case APIC_DM_INIT:
		set_bit(UMBRA_INIT_PENDING, &vcpu->arch.async);
		notify(vcpu);
		break;
	}
}

/**
 * umbra_lapic_local() - a source of local interrupts fires
 * @lapic: the APIC; any context
 * @entry: its row in the local vector table
 */
void umbra_lapic_local(struct umbra_lapic *lapic, enum umbra_lvt entry)
{
	local_interrupt(lapic, entry, READ_ONCE(lapic->lvt[entry]));
}

/**
 * umbra_lapic_error() - the APIC has found an error
 * @lapic: the APIC; any context
 * @bits: of ESR
 *
 * They show in ESR after it is next written (SDM Vol. 3 11.5.3). The error
 * interrupt comes with the first since then.
 */
void umbra_lapic_error(struct umbra_lapic *lapic, u32 bits)
{
	if (!atomic_fetch_or(bits, &lapic->esr_new))
		umbra_lapic_local(lapic, UMBRA_LVT_ERROR);
}

/* One APIC takes a message. */
static void deliver(struct umbra_lapic *lapic, const struct umbra_apic_message *msg)
{
	struct umbra_vcpu *vcpu = lapic->vcpu;

	switch (msg->mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		if (!software_enabled(lapic))
			break;
		if (msg->vector >= 16)
			request(lapic, msg->vector, msg->level);
		else
			umbra_lapic_error(lapic, APIC_ESR_RECVILL);
		break;
	case APIC_DM_NMI:
		umbra_queue_nmi(vcpu);
		break;
	case APIC_DM_INIT:
		/* A start-up message from before the INIT is of no use any more. */
		clear_bit(UMBRA_SIPI_PENDING, &vcpu->arch.async);
		set_bit(UMBRA_INIT_PENDING, &vcpu->arch.async);
		notify(vcpu);
		break;
	case APIC_DM_STARTUP:
		WRITE_ONCE(vcpu->arch.sipi_vector, msg->vector);
		/* The vector is there before the bit that says so. */
		smp_mb__before_atomic();
		set_bit(UMBRA_SIPI_PENDING, &vcpu->arch.async);
		notify(vcpu);
		break;
	case APIC_DM_EXTINT:
		set_bit(0, &lapic->extint);
		notify(vcpu);
		break;
	}
}

/* SDM Vol. 3 11.6.2.2, 11.12.10: each APIC looks at the destination in its own mode. */
static bool matches(const struct umbra_lapic *lapic, const struct umbra_apic_message *msg)
{
	u64 base = READ_ONCE(lapic->base);
	u32 id = lapic->vcpu->id, ldr;

	if (!(base & MSR_IA32_APICBASE_ENABLE))
		return false;
	if (msg->broadcast)
		return true;
	if (!msg->logical)
		return msg->dest == id;
	if (base & X2APIC_ENABLE)
		return msg->dest >> 16 == id >> 4 && msg->dest & BIT(id & 15);
	if (msg->dest > XAPIC_BROADCAST)
		return false;
	ldr = READ_ONCE(lapic->ldr) >> 24;
	if (READ_ONCE(lapic->dfr) == APIC_DFR_FLAT)
		return ldr & msg->dest;
	return ldr >> 4 == msg->dest >> 4 && ldr & msg->dest & 0xf;
}

static void send_lowest(struct umbra_vm *vm, const struct umbra_apic_message *msg)
{
	unsigned int i, n = READ_ONCE(vm->nr_vcpus), turn;
	struct umbra_lapic *best = NULL;

	if (!n)
		return;
	turn = atomic_inc_return(&vm->arch.apic_map.turn);
	for (i = 0; i < n; i++) {
		struct umbra_lapic *lapic;
		struct umbra_vcpu *vcpu;

		/* Pairs with the release when a vCPU is added. */
		vcpu = smp_load_acquire(&vm->vcpu[(turn + i) % n]);
		if (!vcpu)
			continue;
		lapic = vcpu->arch.lapic;
		if (!software_enabled(lapic) || !matches(lapic, msg))
			continue;
		if (!best || READ_ONCE(*lapic->tpr) >> 4 < READ_ONCE(*best->tpr) >> 4)
			best = lapic;
	}
	if (best)
		deliver(best, msg);
}

static void send(struct umbra_vm *vm, const struct umbra_apic_message *msg,
		 const struct umbra_vcpu *except)
{
	struct umbra_vcpu *vcpu;
	unsigned int i;

	if (msg->lowest) {
		send_lowest(vm, msg);
		return;
	}
	if (!msg->logical && !msg->broadcast) {
		if (msg->dest >= UMBRA_MAX_VCPUS)
			return;
		/* Pairs with the release when a vCPU is added. */
		vcpu = smp_load_acquire(&vm->vcpu[msg->dest]);
		if (vcpu && is_enabled(vcpu->arch.lapic))
			deliver(vcpu->arch.lapic, msg);
		return;
	}
	umbra_for_each_vcpu(i, vcpu, vm)
		if (vcpu != except && matches(vcpu->arch.lapic, msg))
			deliver(vcpu->arch.lapic, msg);
}

/**
 * umbra_lapic_self_ipi() - a vCPU interrupts itself
 * @lapic: the APIC; its own thread
 * @vector: what for
 */
void umbra_lapic_self_ipi(struct umbra_lapic *lapic, u8 vector)
{
	const struct umbra_apic_message msg = { .mode = APIC_DM_FIXED, .vector = vector };

	if (vector < 16)
		umbra_lapic_error(lapic, APIC_ESR_SENDILL);
	else
		deliver(lapic, &msg);
}

/**
 * umbra_lapic_send_set() - interrupt any number of vCPUs at once
 * @lapic: the sender; any context
 * @first: APIC ID that bit 0 of @low stands for
 * @low: a bit for each destination
 * @high: the same for those behind it
 * @width: bits that @low and @high have: 32 or 64
 * @icr: vector and delivery mode, fixed or NMI, as in ICR
 *
 * Return: how many APICs there are at these IDs, or -EINVAL for another mode and for
 * bits of ICR that name a destination.
 */
int umbra_lapic_send_set(struct umbra_lapic *lapic, u32 first, u64 low, u64 high,
			 unsigned int width, u32 icr)
{
	struct umbra_apic_message msg = {
		.vector = icr & APIC_VECTOR_MASK,
		.mode = icr & APIC_DM_FIXED_MASK,
	};
	struct umbra_vm *vm = lapic->vcpu->vm;
	struct umbra_vcpu *vcpu;
	unsigned int i, count = 0;

	if (icr & (APIC_DEST_ALLBUT | APIC_DEST_LOGICAL) ||
	    (msg.mode != APIC_DM_FIXED && msg.mode != APIC_DM_NMI))
		return -EINVAL;
	umbra_for_each_vcpu(i, vcpu, vm) {
		u32 bit = vcpu->id - first;

		if (vcpu->id < first || bit >= 2 * width ||
		    !((bit < width ? low >> bit : high >> (bit - width)) & 1) ||
		    !is_enabled(vcpu->arch.lapic))
			continue;
		deliver(vcpu->arch.lapic, &msg);
		count++;
	}
	return count;
}

/**
 * umbra_lapic_send_ipi() - do what ICR says
 * @lapic: the sender; its own thread
 *
 * INIT level de-assert, SMI, remote read and the reserved delivery mode have
 * no effect (SDM Vol. 3 11.6.1).
 */
void umbra_lapic_send_ipi(struct umbra_lapic *lapic)
{
	bool x2apic = lapic->base & X2APIC_ENABLE;
	u32 icr = *lapic->icr, high = *lapic->icr2;
	struct umbra_apic_message msg = {
		.dest = x2apic ? high : high >> 24,
		.vector = icr & APIC_VECTOR_MASK,
		.mode = icr & APIC_DM_FIXED_MASK,
		.logical = icr & APIC_DEST_LOGICAL,
	};
	struct umbra_vcpu *except = NULL;

	switch (msg.mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		if (msg.vector < 16) {
			umbra_lapic_error(lapic, APIC_ESR_SENDILL);
			return;
		}
		break;
	case APIC_DM_INIT:
		if (icr & APIC_INT_LEVELTRIG && !(icr & APIC_INT_ASSERT))
			return;
		break;
	case APIC_DM_NMI:
	case APIC_DM_STARTUP:
		break;
	default:
		return;
	}
	msg.lowest = msg.mode == APIC_DM_LOWEST;
	msg.broadcast = msg.dest == (x2apic ? X2APIC_BROADCAST : XAPIC_BROADCAST);

	switch (icr & APIC_DEST_ALLBUT) {
	case APIC_DEST_SELF:
		deliver(lapic, &msg);
		return;
	case APIC_DEST_ALLBUT:
		except = lapic->vcpu;
		fallthrough;
	case APIC_DEST_ALLINC:
		msg.broadcast = true;
		msg.lowest = false;
		break;
	}
	send(lapic->vcpu->vm, &msg, except);
}

/**
 * umbra_lapic_send_msi() - a message-signalled interrupt from a device
 * @vm: the VM; any context
 * @address: 0xfeeXXXXX: destination, redirection hint, destination mode
 * @data: vector, delivery mode, trigger mode
 *
 * The level bit is ignored: a level-triggered message is sent when a line is
 * asserted, and the monitor sends the next one after UMBRA_EXIT_EOI if it still
 * is. SMI is ignored, since there is no system-management mode.
 *
 * Return: 0, also if no APIC is addressed; -EINVAL for an address outside that
 * range or a reserved delivery mode.
 */
int umbra_lapic_send_msi(struct umbra_vm *vm, u64 address, u32 data)
{
	struct umbra_apic_message msg = {
		.dest = (address >> MSI_DEST_SHIFT) & 0xff,
		.vector = data & APIC_VECTOR_MASK,
		.mode = data & APIC_DM_FIXED_MASK,
		.logical = address & MSI_LOGICAL,
		.level = data & MSI_LEVEL_TRIGGERED,
	};

	if ((address & MSI_ADDRESS_MASK) != MSI_ADDRESS || msg.mode == APIC_DM_REMRD ||
	    msg.mode == APIC_DM_STARTUP)
		return -EINVAL;
	msg.broadcast = msg.dest == XAPIC_BROADCAST;
	msg.lowest = msg.mode == APIC_DM_LOWEST ||
		     (msg.mode == APIC_DM_FIXED && address & MSI_REDIRECTION);
	send(vm, &msg, NULL);
	return 0;
}

/**
 * umbra_lapic_update_lint0() - act on the level of the INTR pin
 * @lapic: the APIC; any context
 *
 * To be called when the pin, its LVT entry or Remote IRR has changed.
 */
void umbra_lapic_update_lint0(struct umbra_lapic *lapic)
{
	struct umbra_vcpu *vcpu = lapic->vcpu;
	u32 lvt = READ_ONCE(lapic->lvt[UMBRA_LVT_LINT0]);

	if (!test_bit(UMBRA_INTR_LINE, &vcpu->arch.async))
		return;
	if (umbra_lapic_extint_enabled(vcpu)) {
		notify(vcpu);
		return;
	}
	if (lvt & APIC_LVT_MASKED || (lvt & APIC_MODE_MASK) != APIC_DM_FIXED ||
	    !(lvt & APIC_LVT_LEVEL_TRIGGER))
		return;
	if ((lvt & APIC_VECTOR_MASK) < 16)
		umbra_lapic_error(lapic, APIC_ESR_RECVILL);
	else if (!test_and_set_bit(0, &lapic->lint0_irr))
		request(lapic, lvt & APIC_VECTOR_MASK, true);
}

static void raise_intr(struct umbra_lapic *lapic)
{
	u32 lvt = READ_ONCE(lapic->lvt[UMBRA_LVT_LINT0]);

	/* An edge counts only while its entry is not masked, a level as long as it lasts. */
	if (is_enabled(lapic) && (lvt & APIC_MODE_MASK) != APIC_DM_EXTINT &&
	    ((lvt & APIC_MODE_MASK) != APIC_DM_FIXED || !(lvt & APIC_LVT_LEVEL_TRIGGER)))
		local_interrupt(lapic, UMBRA_LVT_LINT0, lvt);
	else
		umbra_lapic_update_lint0(lapic);
}

/**
 * umbra_lapic_set_pin() - drive a pin of a vCPU
 * @vcpu: the vCPU; any context
 * @pin: UMBRA_PIN_INTR (LINT0) or UMBRA_PIN_NMI (LINT1)
 * @level: its new level
 */
void umbra_lapic_set_pin(struct umbra_vcpu *vcpu, unsigned int pin, bool level)
{
	struct umbra_lapic *lapic = vcpu->arch.lapic;
	int bit = pin == UMBRA_PIN_NMI ? UMBRA_NMI_LINE : UMBRA_INTR_LINE;

	if (!level) {
		clear_bit(bit, &vcpu->arch.async);
		return;
	}
	if (test_and_set_bit(bit, &vcpu->arch.async))
		return;
	if (pin == UMBRA_PIN_INTR)
		raise_intr(lapic);
	else if (is_enabled(lapic))
		umbra_lapic_local(lapic, UMBRA_LVT_LINT1);
	else
		umbra_queue_nmi(vcpu);
}
