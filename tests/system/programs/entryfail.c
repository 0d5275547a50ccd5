// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wrong states of a guest, and what the user is told of them.
 *
 *	entryfail nested|shadow vmx|svm native|not-native
 *
 * plant.ko is loaded: most states cannot be set by the ABI, so it puts them into
 * the VMCS or VMCB. What the CPU refuses it refuses for the reason that is given
 * here with each; the rest are states that the ABI takes and the CPU does not.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"

#define RAM		(2 * MIB)
#define CODE		0xa000UL
#define PATIENCE_MS	400
#define ALL		~0ULL
/* The planted value takes the place of all of the old one. */
#define IS(value)	ALL, value
#define SET(bits)	0, bits
#define CLEAR(bits)	bits, 0

#define NESTED		(1U << 0)	/* with nested paging only */
#define REAL		(1U << 1)	/* in real mode */
#define PAE		(1U << 2)	/* with PAE paging, in 32-bit code */
#define NATIVE		(1U << 3)	/* if the CPU runs the guest's mode as it is */
#define NO_IF		(1U << 4)	/* with interrupts off */

struct plant {
	const char *name;
	unsigned long field;
	uint64_t clear, set;
	const char *told;
	unsigned int flags;
};

#include "entryfail-vmx.h"
#include "entryfail-svm.h"

static int paging;

static void write_parameter(const char *name, uint64_t value)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/plant/parameters/%s", name);
	f = fopen(path, "w");
	if (!f || fprintf(f, "%" PRIu64, value) < 0 || fclose(f))
		die("%s", path);
}

static void enter_pae(const struct vcpu *vcpu, uint8_t *ram)
{
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	uint64_t *pdpt = (uint64_t *)(ram + LONG_CR3 + PAGE);
	int i;

	enter_long_mode(vcpu, CODE, 0x8000);
	/* The same tables, but for U/S and R/W, which are reserved in a PDPTE. */
	pdpt[0] &= ~6ULL;
	pdpt[3] &= ~6ULL;
	if (ioctl(vcpu->fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	st.sregs.cr3 = LONG_CR3 + PAGE;
	st.sregs.efer = 0;
	for (i = UMBRA_ES; i <= UMBRA_GS; i++)
		st.sregs.seg[i].attr = i == UMBRA_CS ? 0xc09b : 0xc093;
	if (ioctl(vcpu->fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
}

/* Bochs lets no interrupt out of a guest that has RFLAGS.IF clear from its entry on. */
static void set_if(const struct vcpu *vcpu)
{
	struct umbra_state st = { .groups = UMBRA_STATE_REGS };

	if (ioctl(vcpu->fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	st.regs.rflags |= 1 << 9;
	if (ioctl(vcpu->fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE");
}

static void enter(struct vm *vm, unsigned int flags)
{
	build_tables(vm->ram, vm->size);
	if (flags & NO_IF)
		memcpy(vm->ram + CODE, "\x0f\xa2\xeb\xfc", 4);	/* 1: cpuid; jmp 1b */
	else
		memcpy(vm->ram + CODE, "\xeb\xfe", 2);		/* jmp . */
	if (flags & REAL)
		enter_real_mode(&vm->vcpu[0], CODE, 0);
	else if (flags & PAE)
		enter_pae(&vm->vcpu[0], vm->ram);
	else
		enter_long_mode(&vm->vcpu[0], CODE, 0x8000);
	if (!(flags & NO_IF))
		set_if(&vm->vcpu[0]);
}

static volatile sig_atomic_t time_is_up;

static void end_of_patience(int signal)
{
	(void)signal;
	time_is_up = 1;
}

/* Runs the guest for as long as it may take, and says how that ended. */
static const char *run_briefly(const struct vcpu *vcpu, char *buffer, size_t size)
{
	struct itimerval timer = { .it_value.tv_usec = PATIENCE_MS * 1000 };
	int ret;

	vcpu->run->exit_reason = UMBRA_EXIT_NONE;
	time_is_up = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
	do {
		ret = call(vcpu->fd, UMBRA_RUN, NULL);
	} while (ret == -EINTR && !time_is_up);
	memset(&timer, 0, sizeof(timer));
	setitimer(ITIMER_REAL, &timer, NULL);
	if (ret == -EINTR)
		return "the CPU takes it";
	if (ret)
		return strerror(-ret);
	if (vcpu->run->exit_reason == UMBRA_EXIT_ENTRY_FAILED)
		snprintf(buffer, size, "%s", (const char *)vcpu->run->failed.reason);
	else
		snprintf(buffer, size, "exit reason %u", vcpu->run->exit_reason);
	return buffer;
}

/* Makes a VM whose third entry has this planted, and says how its run ended. */
static const char *run_planted(struct vm *vm, const struct plant *p, char *buffer, size_t size)
{
	const char *said;

	vm_create(vm, paging, RAM, 1);
	enter(vm, p->flags);
	write_parameter("field", p->field);
	write_parameter("clear", p->clear);
	write_parameter("set", p->set);
	/* Not the first: registers that have changed are written before an entry. */
	write_parameter("entries", 3);
	said = run_briefly(&vm->vcpu[0], buffer, size);
	write_parameter("entries", 0);
	return said;
}

static void plant(const struct plant *p)
{
	char buffer[128];
	const char *said;
	struct vm vm;

	said = run_planted(&vm, p, buffer, sizeof(buffer));
	check(strstr(said, p->told), "planted: %s: %s", p->name, said);
	vm_destroy(&vm);
}

/* Sets a state that the ABI takes, runs it, and says what came of that. */
static void abi(const char *name, unsigned int flags, void (*spoil)(struct umbra_state *st),
		const char *told)
{
	struct umbra_state st = { .groups = UMBRA_STATE_ALL };
	char buffer[128];
	const char *said;
	struct vm vm;

	vm_create(&vm, paging, RAM, 1);
	enter(&vm, flags);
	if (ioctl(vm.vcpu[0].fd, UMBRA_GET_STATE, &st))
		die("UMBRA_GET_STATE");
	spoil(&st);
	if (ioctl(vm.vcpu[0].fd, UMBRA_SET_STATE, &st))
		die("UMBRA_SET_STATE: %s", name);
	said = run_briefly(&vm.vcpu[0], buffer, sizeof(buffer));
	check(strstr(said, told), "set: %s: %s", name, said);
	vm_destroy(&vm);
}

static void code_is_data(struct umbra_state *st)
{
	st->sregs.seg[UMBRA_CS].attr = 0xc091;
}

static void stack_is_code(struct umbra_state *st)
{
	st->sregs.seg[UMBRA_SS].attr = 0xc09b;
}

static void data_is_system(struct umbra_state *st)
{
	st->sregs.seg[UMBRA_DS].attr = 0xc083;
}

static void task_of_16_bits(struct umbra_state *st)
{
	st->sregs.seg[UMBRA_TR].attr = 0x83;
}

static void ldt_is_task(struct umbra_state *st)
{
	st->sregs.seg[UMBRA_LDTR].attr = 0x8b;
}

static void vm86_in_long_mode(struct umbra_state *st)
{
	st->regs.rflags |= 1 << 17;
}

static void code_at_3(struct umbra_state *st)
{
	st->sregs.seg[UMBRA_CS].attr |= UMBRA_SEG_DPL;
}

static void wrong_pdpte(struct umbra_state *st)
{
	st->sregs.pdpte[0] |= 6;
}

static void rip_of_64_bits(struct umbra_state *st)
{
	st->regs.rip |= 1ULL << 32;
}

/* What no guest could bring about, and the ABI takes (Documentation/api.rst). */
static void set_vmx(void)
{
	abi("CS is data", 0, code_is_data,
	    "CS (0xc091) is no code segment that has been accessed (SDM Vol. 3 27.3.1.2)");
	abi("SS is code", 0, stack_is_code,
	    "SS (0xc09b) is no writable data segment that has been accessed");
	abi("DS is a system segment", 0, data_is_system, "DS (0xc083) is a system segment");
	abi("TR is of 16 bits", 0, task_of_16_bits, "TR (0x83) is no busy TSS of this mode");
	abi("LDTR is a TSS", 0, ldt_is_task, "LDTR (0x8b) is no LDT");
	abi("RFLAGS.VM in long mode", 0, vm86_in_long_mode, "in virtual-8086 mode");
	abi("CS of another DPL", 0, code_at_3, "CS (0xa0fb) has another DPL than SS");
	abi("RIP above 4 GiB", PAE, rip_of_64_bits,
	    "has bits 63:32 set outside 64-bit code (SDM Vol. 3 27.3.1.4)");
	if (paging == UMBRA_PAGING_NESTED)
		abi("PDPTE with reserved bits", PAE, wrong_pdpte,
		    "PDPTE0 (0x3007) has a reserved bit set (SDM Vol. 3 27.3.1.6)");
}

/* A guest that was refused can be given a right state, and runs. */
static void recover(const struct plant *p)
{
	char buffer[128];
	const char *said;
	struct vm vm;

	run_planted(&vm, p, buffer, sizeof(buffer));
	enter(&vm, p->flags);
	said = run_briefly(&vm.vcpu[0], buffer, sizeof(buffer));
	check(!strcmp(said, "the CPU takes it"), "recovery from %s: %s", p->name, said);
	vm_destroy(&vm);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = end_of_patience };
	const struct plant *p, *plants, *end;
	bool native;

	if (argc != 4) {
		fprintf(stderr, "usage: entryfail nested|shadow vmx|svm native|not-native\n");
		return 2;
	}
	paging = paging_from(argv[1]);
	native = !strcmp(argv[3], "native");
	sigaction(SIGALRM, &action, NULL);
	open_device();
	if (!strcmp(argv[2], "vmx")) {
		plants = vmx_plants;
		end = plants + ARRAY_SIZE(vmx_plants);
	} else {
		plants = svm_plants;
		end = plants + ARRAY_SIZE(svm_plants);
	}
	for (p = plants; p < end; p++) {
		if (p->flags & NESTED && paging != UMBRA_PAGING_NESTED)
			continue;
		if (p->flags & NATIVE && !native)
			continue;
		plant(p);
	}
	if (plants == vmx_plants) {
		set_vmx();
		/* An ASID of 0 in the VMCB stays, as nobody but the module writes it. */
		recover(plants);
	}
	return finish();
}
