/* SPDX-License-Identifier: GPL-2.0-only */
/* A file to be put into a guest: a kernel, an initrd, a module. */
#ifndef UMBRA_BOOT_IMAGE_H
#define UMBRA_BOOT_IMAGE_H

#include <stddef.h>
#include <stdint.h>

struct image {
	const char *path;	/* the caller's */
	const uint8_t *data;
	size_t size;
};

/**
 * image_open() - Read a file
 * @img: where it goes
 * @what: for messages: "kernel", "initrd"
 * @path: its name, which must outlive @img
 *
 * Return: 0; -EISDIR, -EINVAL if it is another kind of file or empty; -ENOENT
 * and what else open() and read() give.
 */
int image_open(struct image *img, const char *what, const char *path);

/** image_close() - Undo image_open() */
void image_close(struct image *img);

#endif
