// SPDX-License-Identifier: GPL-2.0-only
/* INIT and SIPI, the idle loop of application processors, and work for them. */
#include "acpi.h"
#include "apic.h"
#include "dev.h"
#include "smp.h"
#include "string.h"
#include "test.h"

int smp_count = 1;
volatile int smp_online = 1;

static struct {
	void (*volatile fn)(void *);
	void *volatile arg;
} work[MAX_CPUS];

extern u8 ap_trampoline[], ap_trampoline_end[];
void ap_start(int index);

static bool wake_handler(struct regs *r)
{
	apic_eoi();
	return true;
}

void ap_start(int index)
{
	trap_init_cpu(index);
#ifdef __x86_64__
	if (HAS_NX)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
#endif
	apic_enable();
	cpus[index].apic_id = apic_id();
	__atomic_add_fetch(&smp_online, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		irq_off();
		if (work[index].fn) {
			work[index].fn(work[index].arg);
			irq_off();
			barrier();
			__atomic_store_n(&work[index].fn, NULL, __ATOMIC_SEQ_CST);
		} else {
			irq_on_halt();
		}
	}
}

int smp_start(void)
{
	u32 ids[MAX_CPUS];
	int n, i;

	if (smp_count > 1)
		return smp_count;
	apic_enable();
	cpus[0].apic_id = apic_id();
	set_handler(SMP_WAKE_VECTOR, wake_handler);
	memcpy((void *)AP_BASE, ap_trampoline, ap_trampoline_end - ap_trampoline);
	n = firmware_cpus(ids, MAX_CPUS);
	for (i = 0; i < n; i++) {
		int before = smp_online;

		if (ids[i] == cpus[0].apic_id)
			continue;
		apic_icr(ids[i], ICR_INIT | ICR_ASSERT);
		delay_ms(10);
		apic_icr(ids[i], ICR_STARTUP | ICR_ASSERT | AP_BASE >> 12);
		if (!WAIT_FOR(20, smp_online > before))
			apic_icr(ids[i], ICR_STARTUP | ICR_ASSERT | AP_BASE >> 12);
		if (!check(WAIT_FOR(2000, smp_online > before), "CPU with APIC id %u did not start",
			   ids[i]))
			break;
	}
	smp_count = smp_online;
	return smp_count;
}

void smp_run(int index, void (*fn)(void *), void *arg)
{
	smp_wait(index);
	work[index].arg = arg;
	__atomic_store_n(&work[index].fn, fn, __ATOMIC_SEQ_CST);
	apic_icr(cpus[index].apic_id, ICR_FIXED | ICR_ASSERT | SMP_WAKE_VECTOR);
}

void smp_wait(int index)
{
	u64 end = rdtsc() + (u64)tsc_per_ms() * 30000;

	while (work[index].fn) {
		if (rdtsc() > end)
			die("CPU %d did not finish its work in 30 s", index);
		cpu_pause();
	}
}

void smp_all(void (*fn)(void *), void *arg)
{
	int i;

	for (i = 1; i < smp_count; i++)
		smp_run(i, fn, arg);
	fn(arg);
	for (i = 1; i < smp_count; i++)
		smp_wait(i);
}

void smp_barrier(struct barrier *b, int n)
{
	int sense = b->sense;

	if (__atomic_add_fetch(&b->count, 1, __ATOMIC_SEQ_CST) == n) {
		b->count = 0;
		__atomic_store_n(&b->sense, !sense, __ATOMIC_SEQ_CST);
	} else {
		while (b->sense == sense)
			cpu_pause();
	}
}
