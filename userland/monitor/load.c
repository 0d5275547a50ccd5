// SPDX-License-Identifier: GPL-2.0-only
/* Loading the guest, and putting vCPU 0 in front of it. */
#include <string.h>

#include "boot/boot.h"
#include "internal.h"

static int open_modules(const struct machine_config *config, struct boot_source *src)
{
	struct boot_module *module;
	int ret;

	for (; src->modules < config->modules; src->modules++) {
		module = &src->module[src->modules];
		module->cmdline = config->module[src->modules].cmdline;
		ret = image_open(&module->image, "module", config->module[src->modules].path);
		if (ret)
			return ret;
	}
	return 0;
}

int machine_enter(struct machine *m)
{
	struct umbra_vcpu *vcpu = m->vcpu[0].handle;
	struct umbra_state state;
	int ret;

	memset(&state, 0, sizeof(state));
	state.groups = UMBRA_STATE_REGS | UMBRA_STATE_SREGS;
	ret = umbra_vcpu_get_state(vcpu, &state);
	if (ret)
		return ret;
	boot_state(&m->entry, &m->memory, &state);
	return umbra_vcpu_set_state(vcpu, &state);
}

int machine_load(struct machine *m)
{
	const struct machine_config *config = m->config;
	struct boot_module module[MACHINE_MAX_MODULES];
	struct boot_source src = { .cmdline = config->cmdline, .module = module };
	unsigned int i;
	int ret;

	ret = image_open(&src.kernel, "kernel", config->kernel);
	if (!ret && config->initrd)
		ret = image_open(&src.initrd, "initrd", config->initrd);
	if (!ret)
		ret = open_modules(config, &src);
	if (!ret) {
		src.rsdp = firmware_write(&m->memory, config->cpus);
		ret = boot_load(&src, &m->memory, &m->entry);
	}
	for (i = 0; i < src.modules; i++)
		image_close(&module[i].image);
	image_close(&src.initrd);
	image_close(&src.kernel);
	return ret;
}
