// SPDX-License-Identifier: GPL-2.0-only
/* What the user is told when /dev/umbra does not do what we want. open() and ioctl() are ours. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "libumbra/libumbra.h"
#include "test.h"
#include "util/error.h"

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

/* The module that is being played. */
static struct {
	int open_errno, info_errno, create_errno;
	uint32_t abi;
	struct {
		uint64_t value;
		const char *reason;
	} cap[UMBRA_CAP_COUNT];
} module;

int __wrap_open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = va_arg(ap, int);
	va_end(ap);
	if (strcmp(path, UMBRA_DEVICE))
		return __real_open(path, flags, mode);
	if (module.open_errno) {
		errno = module.open_errno;
		return -1;
	}
	return __real_open("/dev/null", O_RDWR);
}

static int fails(int err)
{
	errno = err;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct umbra_info *info;
	struct umbra_cap *cap;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (request) {
	case UMBRA_GET_INFO:
		if (module.info_errno)
			return fails(module.info_errno);
		info = arg;
		memset(info, 0, sizeof(*info));
		info->abi_version = module.abi;
		info->run_size = UMBRA_RUN_SIZE;
		/* Not terminated. */
		memset(info->version, 'v', sizeof(info->version));
		return 0;
	case UMBRA_CHECK_CAP:
		cap = arg;
		assert_int_equal(cap->flags, 0);
		if (cap->cap >= UMBRA_CAP_COUNT)
			return fails(EINVAL);
		cap->value = module.cap[cap->cap].value;
		if (module.cap[cap->cap].reason)
			snprintf(cap->reason, sizeof(cap->reason), "%s",
				 module.cap[cap->cap].reason);
		return 0;
	case UMBRA_CREATE_VM:
		if (module.create_errno)
			return fails(module.create_errno);
		return __real_open("/dev/null", O_RDWR);
	default:
		return __real_ioctl(fd, request, arg);
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&module, 0, sizeof(module));
	module.abi = UMBRA_ABI_VERSION;
	module.cap[UMBRA_CAP_HARDWARE].value = 1;
	module.cap[UMBRA_CAP_PAGING_SHADOW].value = 1;
	return 0;
}

static void says(const char *words)
{
	if (!strstr(error_text(), words))
		fail_msg("'%s' does not say '%s'", error_text(), words);
	assert_null(strchr(error_text(), '\n'));
}

static void opens(void **state)
{
	struct umbra *u;

	(void)state;
	assert_int_equal(umbra_open(&u), 0);
	assert_int_equal(strlen(umbra_get_info(u)->version), 31);
	umbra_close(u);
	umbra_close(NULL);
}

static void cannot_be_opened(void **state)
{
	static const struct {
		int err;
		const char *says;
	} cases[] = {
		{ ENOENT, "insmod umbra.ko" },
		{ ENODEV, "insmod umbra.ko" },
		{ ENXIO, "insmod umbra.ko" },
		{ EACCES, "not permitted" },
		{ EPERM, "not permitted" },
		{ EMFILE, "Too many open files" },
	};
	struct umbra *u;
	unsigned int i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		module.open_errno = cases[i].err;
		assert_int_equal(umbra_open(&u), -cases[i].err);
		says(cases[i].says);
	}
}

static void speaks_another_abi(void **state)
{
	struct umbra *u;
	char words[64];

	(void)state;
	module.abi = UMBRA_ABI_VERSION + 1;
	assert_int_equal(umbra_open(&u), -EPROTO);
	snprintf(words, sizeof(words), "ABI %u", UMBRA_ABI_VERSION);
	says(words);
	snprintf(words, sizeof(words), "ABI %u", UMBRA_ABI_VERSION + 1);
	says(words);
	says("rebuild vmctl");
	module.abi = UMBRA_ABI_VERSION - 1;
	assert_int_equal(umbra_open(&u), -EPROTO);
	says("rebuild the module");
	/* Its version can be asked for all the same. */
	assert_int_equal(umbra_open_any_abi(&u), 0);
	assert_int_equal(umbra_get_info(u)->abi_version, UMBRA_ABI_VERSION - 1);
	umbra_close(u);
	module.info_errno = ENOTTY;
	assert_int_equal(umbra_open(&u), -EPROTO);
	says("not the umbra module");
}

static void cannot_make_a_vm(void **state)
{
	struct umbra_vm *vm;
	struct umbra *u;

	(void)state;
	assert_int_equal(umbra_open(&u), 0);
	module.create_errno = EOPNOTSUPP;
	module.cap[UMBRA_CAP_PAGING_NESTED].reason = "the CPU has no NPT";
	assert_int_equal(umbra_vm_create(u, UMBRA_PAGING_NESTED, &vm), -EOPNOTSUPP);
	says("the CPU has no NPT");
	says("--paging shadow");
	module.create_errno = EBUSY;
	assert_int_equal(umbra_vm_create(u, UMBRA_PAGING_SHADOW, &vm), -EBUSY);
	says("rmmod kvm");
	module.cap[UMBRA_CAP_HARDWARE].value = 0;
	module.cap[UMBRA_CAP_HARDWARE].reason = "held by VirtualBox";
	assert_int_equal(umbra_vm_create(u, UMBRA_PAGING_SHADOW, &vm), -EBUSY);
	says("held by VirtualBox");
	module.create_errno = ENODEV;
	assert_int_equal(umbra_vm_create(u, UMBRA_PAGING_SHADOW, &vm), -ENODEV);
	says("held by VirtualBox");
	module.cap[UMBRA_CAP_HARDWARE].value = 1;
	module.cap[UMBRA_CAP_HARDWARE].reason = NULL;
	module.create_errno = ENOMEM;
	assert_int_equal(umbra_vm_create(u, UMBRA_PAGING_SHADOW, &vm), -ENOMEM);
	says("Cannot allocate memory");
	umbra_close(u);
}

static void unknown_capability(void **state)
{
	struct umbra_cap cap;
	struct umbra *u;

	(void)state;
	assert_int_equal(umbra_open(&u), 0);
	assert_int_equal(umbra_check_cap(u, 1000, &cap), -EINVAL);
	says("capability 1000");
	umbra_close(u);
}

static void the_rest_says_what_failed(void **state)
{
	struct umbra_cpuid_entry entry[4];
	struct umbra_vcpu *vcpu;
	struct umbra_stat_list list;
	unsigned int count = 4;
	struct umbra_vm *vm;
	struct umbra *u;

	(void)state;
	assert_int_equal(umbra_open(&u), 0);
	assert_int_equal(umbra_vm_create(u, UMBRA_PAGING_SHADOW, &vm), 0);
	/* /dev/null knows none of these. */
	assert_int_equal(umbra_supported_cpuid(u, entry, &count), -ENOTTY);
	says("CPUID");
	assert_int_equal(umbra_vm_set_memory(vm, 0, 0, 0, 4096, NULL), -ENOTTY);
	says("guest memory");
	assert_int_equal(umbra_vm_send_msi(vm, 0, 0), -ENOTTY);
	says("interrupt message");
	assert_int_equal(umbra_vcpu_create(vm, 3, &vcpu), -ENOTTY);
	says("vCPU 3");
	assert_int_equal(umbra_vm_stats(vm, &list), -ENOTTY);
	says("counters");
	umbra_vm_close(vm);
	umbra_close(u);
}

#define T(name)	cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(opens),
		T(cannot_be_opened),
		T(speaks_another_abi),
		T(cannot_make_a_vm),
		T(unknown_capability),
		T(the_rest_says_what_failed),
	};

	return RUN(tests);
}
