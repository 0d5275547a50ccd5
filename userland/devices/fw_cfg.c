// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fw_cfg.h"
#include "util/error.h"

#define ID_TRADITIONAL	1	/* the selector and data ports, and no DMA */

struct item {
	uint16_t key;
	uint32_t size;
	uint8_t *data;
	char name[FW_CFG_NAME_SIZE];	/* empty for a fixed key */
};

/* An entry of the directory, big endian. */
struct file {
	uint32_t size;
	uint16_t key;
	uint16_t reserved;
	char name[FW_CFG_NAME_SIZE];
};

struct fw_cfg {
	pthread_mutex_t lock;
	struct item item[FW_CFG_MAX_ITEMS];
	unsigned int items;
	unsigned int files;
	uint8_t directory[4 + FW_CFG_MAX_ITEMS * sizeof(struct file)];

	const struct item *selected;
	uint32_t offset;
};

static struct item *find(struct fw_cfg *cfg, uint16_t key)
{
	unsigned int i;

	for (i = 0; i < cfg->items; i++)
		if (cfg->item[i].key == key)
			return &cfg->item[i];
	return NULL;
}

int fw_cfg_add(struct fw_cfg *cfg, uint16_t key, const void *data, uint32_t size)
{
	struct item *item = find(cfg, key);
	uint8_t *copy;

	if (!item && cfg->items == FW_CFG_MAX_ITEMS)
		return error_set(ENOSPC, "too much firmware configuration");
	copy = malloc(size ? size : 1);
	if (!copy)
		return error_set(ENOMEM, "out of memory");
	memcpy(copy, data, size);
	if (!item) {
		item = &cfg->item[cfg->items++];
		item->key = key;
		item->name[0] = '\0';
	} else {
		free(item->data);
	}
	item->data = copy;
	item->size = size;
	return 0;
}

int fw_cfg_add16(struct fw_cfg *cfg, uint16_t key, uint16_t value)
{
	return fw_cfg_add(cfg, key, &value, sizeof(value));
}

int fw_cfg_add32(struct fw_cfg *cfg, uint16_t key, uint32_t value)
{
	return fw_cfg_add(cfg, key, &value, sizeof(value));
}

int fw_cfg_add64(struct fw_cfg *cfg, uint16_t key, uint64_t value)
{
	return fw_cfg_add(cfg, key, &value, sizeof(value));
}

static int write_directory(struct fw_cfg *cfg)
{
	uint32_t count = htonl(cfg->files);
	unsigned int i, n = 0;
	struct file file;

	memcpy(cfg->directory, &count, sizeof(count));
	for (i = 0; i < cfg->items; i++) {
		if (!cfg->item[i].name[0])
			continue;
		memset(&file, 0, sizeof(file));
		file.size = htonl(cfg->item[i].size);
		file.key = htons(cfg->item[i].key);
		memcpy(file.name, cfg->item[i].name, sizeof(file.name));
		memcpy(&cfg->directory[4 + n++ * sizeof(file)], &file, sizeof(file));
	}
	return fw_cfg_add(cfg, FW_CFG_FILE_DIR, cfg->directory, 4 + n * sizeof(file));
}

int fw_cfg_add_file(struct fw_cfg *cfg, const char *name, const void *data, uint32_t size)
{
	uint16_t key = FW_CFG_FILE_FIRST + cfg->files;
	struct item *item;
	int ret;

	if (strlen(name) >= FW_CFG_NAME_SIZE)
		return error_set(ENAMETOOLONG, "'%s' is too long a name for firmware configuration",
				 name);
	ret = fw_cfg_add(cfg, key, data, size);
	if (ret)
		return ret;
	item = find(cfg, key);
	memset(item->name, 0, sizeof(item->name));
	memcpy(item->name, name, strlen(name));
	cfg->files++;
	return write_directory(cfg);
}

static uint64_t fw_cfg_read(void *dev, uint64_t offset, unsigned int size)
{
	struct fw_cfg *cfg = dev;
	uint8_t value = 0;

	(void)size;
	if (offset == 0)
		return 0xff;
	pthread_mutex_lock(&cfg->lock);
	/* Zeroes follow the end, and are all there is of what does not exist. */
	if (cfg->selected && cfg->offset < cfg->selected->size)
		value = cfg->selected->data[cfg->offset++];
	pthread_mutex_unlock(&cfg->lock);
	return value;
}

static void fw_cfg_write(void *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct fw_cfg *cfg = dev;

	/* The selector is one 16-bit register; data cannot be written. */
	if (offset != 0 || size != 2)
		return;
	pthread_mutex_lock(&cfg->lock);
	cfg->selected = find(cfg, value);
	cfg->offset = 0;
	pthread_mutex_unlock(&cfg->lock);
}

const struct io_ops fw_cfg_ops = {
	.read = fw_cfg_read,
	.write = fw_cfg_write,
	.max_size = 2,
};

struct fw_cfg *fw_cfg_create(void)
{
	struct fw_cfg *cfg;

	cfg = calloc(1, sizeof(*cfg));
	if (!cfg)
		return NULL;
	pthread_mutex_init(&cfg->lock, NULL);
	if (fw_cfg_add(cfg, FW_CFG_SIGNATURE, "QEMU", 4) ||
	    fw_cfg_add32(cfg, FW_CFG_ID, ID_TRADITIONAL) || write_directory(cfg)) {
		fw_cfg_destroy(cfg);
		return NULL;
	}
	return cfg;
}

void fw_cfg_destroy(struct fw_cfg *cfg)
{
	unsigned int i;

	if (!cfg)
		return;
	for (i = 0; i < cfg->items; i++)
		free(cfg->item[i].data);
	pthread_mutex_destroy(&cfg->lock);
	free(cfg);
}
