// SPDX-License-Identifier: GPL-2.0-only
/*
 * Another kernel takes over while guests run on every CPU: "kexec crash|now
 * nested|shadow KERNEL ARGUMENTS", after a panic or in order. It finds all CPUs
 * as after a reset only if virtualization was switched off on each of them: VT-x blocks
 * INIT (SDM Vol. 3 24.8). Neither way returns. See kexec_file_load(2).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"

#define CODE		0x1000
#define COUNTER		0x2000

static struct vm vm;

static void pin_to(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("CPU %u", cpu);
}

static void *guest(void *arg)
{
	const struct vcpu *vcpu = arg;

	pin_to(vcpu - vm.vcpu);
	run(vcpu);
	die("a guest has ended, exit %u", vcpu->run->exit_reason);
}

static volatile uint32_t *counter(unsigned int cpu)
{
	return (volatile uint32_t *)(vm.ram + COUNTER + 4 * cpu);
}

/* A guest on each CPU that counts, and has begun to. */
static void start_guests(int paging, unsigned int cpus)
{
	/* 1: incl (COUNTER + 4 * cpu); jmp 1b */
	uint8_t code[] = { 0x66, 0xff, 0x06, 0, COUNTER >> 8, 0xeb, 0xf9 };
	pthread_t thread;
	unsigned int i;

	open_device();
	vm_create(&vm, paging, 2 * MIB, cpus);
	for (i = 0; i < cpus; i++) {
		code[3] = 4 * i;
		memcpy(vm.ram + CODE + 16 * i, code, sizeof(code));
		enter_real_mode(&vm.vcpu[i], CODE + 16 * i, 0);
		if (pthread_create(&thread, NULL, guest, &vm.vcpu[i]))
			die("pthread_create");
	}
	for (i = 0; i < cpus; i++)
		while (*counter(i) < 1000)
			usleep(1000);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s", path);
	return fd;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("%s", path);
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int crash;

	if (argc != 5 || (strcmp(argv[1], "crash") && strcmp(argv[1], "now"))) {
		fprintf(stderr, "usage: kexec crash|now nested|shadow KERNEL ARGUMENTS\n");
		return 2;
	}
	if (cpus > ARRAY_SIZE(vm.vcpu))
		cpus = ARRAY_SIZE(vm.vcpu);
	crash = !strcmp(argv[1], "crash");
	/* Without an initial file system, as all that is loaded is summed up, which takes long. */
	if (syscall(SYS_kexec_file_load, open_file(argv[3]), -1, strlen(argv[4]) + 1, argv[4],
		    KEXEC_FILE_NO_INITRAMFS | (crash ? KEXEC_FILE_ON_CRASH : 0)))
		die("the kernel does not load");
	start_guests(paging_from(argv[2]), cpus);
	/* A kernel that starts on another CPU than the first would have to reset that one. */
	pin_to(0);
	if (crash) {
		write_file("/proc/sys/kernel/sysrq", "1");
		write_file("/proc/sysrq-trigger", "c");
	}
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	die("the kernel does not start");
}
