// SPDX-License-Identifier: GPL-2.0-only
/* A VM without a CPU, a clock that a test moves, a page of guest memory. */
#include "umbra.h"
#include "cpuid.h"

u64 fake_ns = 1000000000;
bool fake_unstable;
unsigned int tsc_khz = 2000000;
u8 fake_memory[4096];

static struct hrtimer *timers;

u64 rdtsc(void)
{
	return mul_u64_u64_div_u64(fake_ns, tsc_khz, USEC_PER_SEC);
}

void hrtimer_init(struct hrtimer *timer, int clock, int mode)
{
	memset(timer, 0, sizeof(*timer));
}

void hrtimer_cancel(struct hrtimer *timer)
{
	struct hrtimer **p;

	timer->active = false;
	for (p = &timers; *p; p = &(*p)->next) {
		if (*p == timer) {
			*p = timer->next;
			return;
		}
	}
}

static void insert(struct hrtimer *timer)
{
	timer->active = true;
	timer->next = timers;
	timers = timer;
}

void hrtimer_start(struct hrtimer *timer, ktime_t t, int mode)
{
	hrtimer_cancel(timer);
	timer->expires = fake_ns + t;
	insert(timer);
}

void hrtimer_forward_now(struct hrtimer *timer, ktime_t interval)
{
	while (timer->expires <= fake_ns)
		timer->expires += interval;
}

static struct hrtimer *earliest(void)
{
	struct hrtimer *timer, *first = timers;

	for (timer = timers; timer; timer = timer->next)
		if (timer->expires < first->expires)
			first = timer;
	return first;
}

/* Time passes; timers fire at their time. */
void fake_advance(u64 ns)
{
	u64 end = fake_ns + ns;

	for (;;) {
		struct hrtimer *timer = earliest();

		if (!timer || timer->expires > end)
			break;
		if (timer->expires > fake_ns)
			fake_ns = timer->expires;
		hrtimer_cancel(timer);
		timer->active = true;
		if (timer->function(timer) == HRTIMER_RESTART)
			insert(timer);
		else
			timer->active = false;
	}
	fake_ns = end;
}

static void set_tsc_offset(struct umbra_vcpu *vcpu, u64 offset)
{
}

struct fake_apic fake_apic;

static void update_apic(struct umbra_vcpu *vcpu)
{
	umbra_lapic_set_delivery(vcpu, fake_apic.delivers &&
				 (fake_apic.in_xapic ||
				  umbra_lapic_get_base(vcpu) & X2APIC_ENABLE));
}

static void update_interrupts(struct umbra_vcpu *vcpu, int requested, int serviced)
{
	fake_apic.requested = requested;
	fake_apic.serviced = serviced;
}

static bool set_deadline(struct umbra_vcpu *vcpu, u64 tsc)
{
	fake_apic.deadline = tsc;
	return fake_apic.has_timer;
}

static const struct umbra_backend backend = {
	.set_tsc_offset = set_tsc_offset,
	.update_apic = update_apic,
	.update_interrupts = update_interrupts,
	.set_deadline = set_deadline,
};

const struct umbra_backend *umbra_backend = &backend;

void umbra_vcpu_kick(struct umbra_vcpu *vcpu)
{
	vcpu->kicks++;
}

void umbra_queue_nmi(struct umbra_vcpu *vcpu)
{
	set_bit(UMBRA_NMI_LATCHED, &vcpu->arch.async);
}

void umbra_mmu_reset_context(struct umbra_vcpu *vcpu)
{
}

int umbra_guest_write(struct umbra_vcpu *vcpu, u64 gpa, const void *data, unsigned int len)
{
	if (gpa > sizeof(fake_memory) || len > sizeof(fake_memory) - gpa)
		return -EFAULT;
	memcpy(fake_memory + gpa, data, len);
	return 0;
}

int umbra_guest_read(struct umbra_vcpu *vcpu, u64 gpa, void *data, unsigned int len)
{
	if (gpa > sizeof(fake_memory) || len > sizeof(fake_memory) - gpa)
		return -EFAULT;
	memcpy(data, fake_memory + gpa, len);
	return 0;
}

/* What a host with an AMD CPU of no great age could offer. */
static const struct umbra_cpuid_entry supported[] = {
	{ 0x0, 0, 0, 0xd, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x1, 0, 0, 0x60fb1, 0x10800, BIT(0) | BIT(17) | BIT(21) | BIT(24) | BIT(26) | BIT(31),
	  0x0f8bfbff },
	{ 0x7, 0, UMBRA_CPUID_SUBLEAF, 0, BIT(0) | BIT(7) | BIT(20), BIT(2) | BIT(3) | BIT(16), 0 },
	{ 0xb, 0, UMBRA_CPUID_SUBLEAF, 0, 1, 0x100, 0 },
	{ 0xb, 1, UMBRA_CPUID_SUBLEAF, 0, 1, 0x201, 0 },
	{ 0xd, 0, UMBRA_CPUID_SUBLEAF, 0x207, 0, 0, 0 },
	{ 0xd, 1, UMBRA_CPUID_SUBLEAF, 3, 0, 0, 0 },
	{ 0xd, 2, UMBRA_CPUID_SUBLEAF, 256, 576, 0, 0 },
	{ 0xd, 9, UMBRA_CPUID_SUBLEAF, 8, 2688, 2, 0 },
	{ 0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d },
	{ 0x40000001, 0, 0, BIT(3) | BIT(6) | BIT(24), 0, 0, 0 },
	{ 0x80000000, 0, 0, 0x80000008, 0x68747541, 0x444d4163, 0x69746e65 },
	{ 0x80000001, 0, 0, 0x60fb1, 0, BIT(0), BIT(9) | BIT(11) | BIT(20) | BIT(29) },
	{ 0x80000008, 0, 0, 40 | 48 << 8, 0, 0, 0 },
};

unsigned int umbra_cpuid_supported(const struct umbra_cpuid_entry **entries)
{
	*entries = supported;
	return ARRAY_SIZE(supported);
}

/* vCPUs as they are after RESET, their APICs enabled by software. */
struct umbra_vm *fake_vm(unsigned int vcpus)
{
	struct umbra_vm *vm = calloc(1, sizeof(*vm));
	unsigned int i;

	umbra_clock_vm_create(vm);
	for (i = 0; i < vcpus; i++) {
		struct umbra_vcpu *vcpu = calloc(1, sizeof(*vcpu));
		const u32 svr = 0x1ff;

		vcpu->vm = vm;
		vcpu->id = i;
		if (umbra_cpuid_create(vcpu) || umbra_lapic_create(vcpu))
			abort();
		umbra_clock_vcpu_create(vcpu);
		vm->vcpu[i] = vcpu;
		vm->nr_vcpus = i + 1;
		umbra_lapic_write(vcpu, UMBRA_APIC_DEFAULT_BASE + APIC_SPIV, &svr, 4);
	}
	return vm;
}

void fake_free(struct umbra_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		umbra_lapic_free(vm->vcpu[i]);
		umbra_cpuid_free(vm->vcpu[i]);
		free(vm->vcpu[i]);
	}
	free(vm);
}
