// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"
#include "util/error.h"

/*
 * The file is copied, not mapped: somebody may truncate it while we read, and
 * a mapping would answer that with SIGBUS.
 */
static int read_all(int fd, uint8_t *data, size_t size, size_t *got)
{
	ssize_t n;

	for (*got = 0; *got < size; *got += n) {
		n = read(fd, data + *got, size - *got);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return -errno;
		else if (n == 0)
			break;
	}
	return 0;
}

int image_open(struct image *img, const char *what, const char *path)
{
	uint8_t *data = NULL;
	struct stat st;
	size_t got;
	int fd, ret;

	/* Not to wait for a writer of a FIFO, which is refused anyway. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return error_set(errno, "cannot open the %s '%s': %s", what, path, strerror(errno));
	if (fstat(fd, &st)) {
		ret = error_set(errno, "cannot read the %s '%s': %s", what, path, strerror(errno));
		goto out;
	}
	if (S_ISDIR(st.st_mode)) {
		ret = error_set(EISDIR, "the %s '%s' is a directory", what, path);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		ret = error_set(EINVAL, "the %s '%s' is not a regular file", what, path);
		goto out;
	}
	if (st.st_size == 0) {
		ret = error_set(EINVAL, "the %s '%s' is empty", what, path);
		goto out;
	}
	data = malloc(st.st_size);
	if (!data) {
		ret = error_set(ENOMEM, "out of memory for the %s '%s'", what, path);
		goto out;
	}
	ret = read_all(fd, data, st.st_size, &got);
	if (ret) {
		ret = error_set(-ret, "cannot read the %s '%s': %s", what, path, strerror(-ret));
		goto out;
	}
	*img = (struct image){ .path = path, .data = data, .size = got };
out:
	if (ret)
		free(data);
	close(fd);
	return ret;
}

void image_close(struct image *img)
{
	free((void *)img->data);
	memset(img, 0, sizeof(*img));
}
