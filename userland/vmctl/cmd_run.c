// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "monitor/machine.h"
#include "util/error.h"
#include "vmctl.h"

/* Says how the guest ended, unless it is a way that needs no words. */
static int report(const struct machine_result *r)
{
	switch (r->end) {
	case MACHINE_POWER_OFF:
		return EXIT_GUEST_OFF;
	case MACHINE_RESET:
		complain("the guest rebooted");
		return EXIT_GUEST_RESET;
	case MACHINE_TRIPLE_FAULT:
		complain("the guest ended by a triple fault %s", r->text);
		return EXIT_GUEST_TRIPLE_FAULT;
	case MACHINE_DEBUG_EXIT:
		return (2 * r->detail + 1) & 0xff;
	case MACHINE_QUIT:
		complain("ended from the terminal");
		return EXIT_USER_QUIT;
	case MACHINE_SIGNAL:
		complain("ended by signal %u (%s)", r->detail, strsignal(r->detail));
		return EXIT_BY_SIGNAL + r->detail;
	case MACHINE_EMULATION:
		complain("%s", r->text);
		return EXIT_GUEST_EMULATION;
	case MACHINE_ENTRY_FAILED:
		complain("%s", r->text);
		return EXIT_GUEST_ENTRY_FAILED;
	case MACHINE_MEMORY_FAULT:
		complain("%s", r->text);
		return EXIT_GUEST_MEMORY_FAULT;
	default:
		complain("%s", r->text);
		return EXIT_FAILED;
	}
}

static int cmd_run(const struct verb *verb, int argc, char **argv)
{
	struct machine_config config;
	struct machine_result result;
	struct machine *machine;
	int status;

	switch (run_parse(argc, argv, &config)) {
	case 0:
		break;
	case OPTION_HELP:
		print_help(verb);
		return 0;
	default:
		return EXIT_USAGE;
	}
	if (machine_create(&config, &machine)) {
		complain("%s", error_text());
		return EXIT_FAILED;
	}
	if (machine_run(machine, &result)) {
		complain("%s", error_text());
		status = EXIT_FAILED;
	} else {
		status = report(&result);
	}
	machine_destroy(machine);
	return status;
}

const struct verb run_verb = {
	.name = "run",
	.summary = "run a guest in the foreground, its console on the terminal",
	.usage = "--kernel FILE [OPTION]...\n"
		 "\n"
		 "  --kernel FILE       a Linux bzImage (vmlinuz) or a multiboot 1 kernel\n"
		 "  --initrd FILE       its initial RAM disk\n"
		 "  --append TEXT       its command line\n"
		 "  --module FILE[,ARGUMENTS]\n"
		 "                      a module for a multiboot kernel; may be repeated\n"
		 "  --memory SIZE       with K, M or G (default: 256M)\n"
		 "  --prealloc          take all of it from the host at the start\n"
		 "  --cpus N            virtual CPUs (default: 1)\n"
		 "  --paging nested|shadow\n"
		 "                      how the guest's memory is virtualized (default: nested)\n"
		 "  --console stdio|none|file:PATH\n"
		 "                      where its serial port leads (default: stdio)\n"
		 "  --debug-exit        devices for test kernels: a value written to port 0xf4 ends\n"
		 "                      the guest with exit status 2 * value + 1\n"
		 "  --stats FILE        write statistics there at the end, as JSON\n"
		 "  --name NAME         a name for the machine\n"
		 "\n"
		 "On the console, Ctrl-A X ends the guest, and Ctrl-A Ctrl-A sends a Ctrl-A.\n"
		 "\n"
		 "Exit status: 0 the guest powered off, 1 failure, 2 wrong usage, 32 the guest\n"
		 "rebooted, 34 triple fault, 36 an instruction could not be emulated, 38 the CPU\n"
		 "refused the guest's state, 40 the host could not provide memory, 42 ended with\n"
		 "Ctrl-A X, 128 + N ended by signal N, and with --debug-exit any odd number.\n",
	.run = cmd_run,
};
