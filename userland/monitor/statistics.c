// SPDX-License-Identifier: GPL-2.0-only
/* The file that --stats writes, as Documentation/vmctl.rst describes it. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "util/error.h"

/* What a vCPU's counters of exits begin with; the others count something else. */
#define EXIT_PREFIX	"exit_"

/* Adds @value to a member of an object. */
static int add_to(json_t *object, const char *name, uint64_t value)
{
	json_int_t old = json_integer_value(json_object_get(object, name));

	return json_object_set_new(object, name, json_integer(old + (json_int_t)value)) ? -ENOMEM
											 : 0;
}

static int add_exit(json_t *exits, const char *name, const struct umbra_stat *stat)
{
	json_t *entry = json_object_get(exits, name);

	if (!entry) {
		entry = json_object();
		if (json_object_set_new(exits, name, entry))
			return -ENOMEM;
	}
	return add_to(entry, "count", stat->count) || add_to(entry, "cycles", stat->cycles) ?
	       -ENOMEM : 0;
}

/* Adds a vCPU's figures to the objects "exits" and "counters" of @object. */
static int add_figures(json_t *object, const struct umbra_stat_list *list)
{
	json_t *exits = json_object_get(object, "exits");
	json_t *counters = json_object_get(object, "counters");
	unsigned int i;
	int ret = 0;

	for (i = 0; i < list->count && !ret; i++) {
		const struct umbra_stat *stat = &list->stat[i];

		if (!strncmp(stat->name, EXIT_PREFIX, strlen(EXIT_PREFIX)))
			ret = add_exit(exits, stat->name + strlen(EXIT_PREFIX), stat);
		else
			ret = add_to(counters, stat->name, stat->count);
	}
	return ret;
}

static int add_objects(json_t *object)
{
	return json_object_set_new(object, "exits", json_object()) ||
	       json_object_set_new(object, "counters", json_object()) ? -ENOMEM : 0;
}

static int add_vcpu(struct machine *m, json_t *root, json_t *vcpus, unsigned int id)
{
	struct umbra_stat_list list;
	json_t *own = json_object();
	int ret;

	if (json_array_append_new(vcpus, own) ||
	    json_object_set_new(own, "id", json_integer(id)) || add_objects(own))
		return -ENOMEM;
	ret = umbra_vcpu_stats(m->vcpu[id].handle, &list);
	if (ret)
		return ret;
	ret = add_figures(own, &list);
	if (!ret)
		ret = add_figures(root, &list);
	free(list.stat);
	return ret;
}

static int add_vcpus(struct machine *m, json_t *root)
{
	json_t *vcpus = json_array();
	unsigned int id;
	int ret = 0;

	if (add_objects(root) || json_object_set_new(root, "vcpus", vcpus))
		return -ENOMEM;
	for (id = 0; id < m->config->cpus && !ret; id++)
		ret = add_vcpu(m, root, vcpus, id);
	return ret;
}

static int add_vm(struct machine *m, json_t *root)
{
	json_t *vm = json_object();
	struct umbra_stat_list list;
	unsigned int i;
	int ret;

	if (json_object_set_new(root, "vm", vm))
		return -ENOMEM;
	ret = umbra_vm_stats(m->vm, &list);
	if (ret)
		return ret;
	for (i = 0; i < list.count && !ret; i++)
		ret = json_object_set_new(vm, list.stat[i].name,
					  json_integer(list.stat[i].count)) ? -ENOMEM : 0;
	free(list.stat);
	return ret;
}

static int add_run(struct machine *m, json_t *root)
{
	static const char * const ends[] = {
		[MACHINE_RUNNING] = "running",
		[MACHINE_POWER_OFF] = "power-off",
		[MACHINE_RESET] = "reset",
		[MACHINE_TRIPLE_FAULT] = "triple-fault",
		[MACHINE_DEBUG_EXIT] = "debug-exit",
		[MACHINE_QUIT] = "quit",
		[MACHINE_SIGNAL] = "signal",
		[MACHINE_EMULATION] = "emulation",
		[MACHINE_ENTRY_FAILED] = "entry-failed",
		[MACHINE_MEMORY_FAULT] = "memory-fault",
		[MACHINE_FAILED] = "failed",
	};
	const struct machine_config *config = m->config;

	return json_object_set_new(root, "name", config->name ? json_string(config->name)
							      : json_null()) ||
	       json_object_set_new(root, "paging",
				   json_string(config->paging == UMBRA_PAGING_SHADOW ? "shadow"
										     : "nested")) ||
	       json_object_set_new(root, "cpus", json_integer(config->cpus)) ||
	       json_object_set_new(root, "memory", json_integer(config->memory)) ||
	       json_object_set_new(root, "end", json_string(ends[m->result.end])) ||
	       json_object_set_new(root, "end_detail", json_integer(m->result.detail)) ||
	       json_object_set_new(root, "wall_seconds", json_real(m->run_ns / 1e9)) ||
	       json_object_set_new(root, "guest_ticks", json_integer(m->run_ticks)) ? -ENOMEM : 0;
}

int statistics_write(struct machine *m)
{
	const char *path = m->config->stats;
	json_t *root = json_object();
	int ret;

	if (!root)
		return error_set(ENOMEM, "out of memory");
	error_set(ENOMEM, "out of memory for statistics");
	ret = add_run(m, root);
	if (!ret)
		ret = add_vcpus(m, root);
	if (!ret)
		ret = add_vm(m, root);
	if (!ret) {
		errno = EIO;
		if (json_dump_file(root, path, JSON_INDENT(2)))
			ret = error_set(errno, "cannot write the statistics to '%s': %s", path,
					strerror(errno));
	}
	json_decref(root);
	return ret;
}
