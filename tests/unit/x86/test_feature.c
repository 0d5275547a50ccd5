// SPDX-License-Identifier: GPL-2.0-only
/* IA32_FEATURE_CONTROL as firmware leaves it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel.h"
#include "vmx/feature.h"

#define LOCKED	1
#define INSIDE	2
#define OUTSIDE	4
#define SGX	(1ULL << 18)

static void open_to_us(void **state)
{
	assert_null(vmx_feature_refuses(0));
	assert_int_equal(vmx_feature_open(0), LOCKED | OUTSIDE);
	/* Also where the firmware has set bits and not locked them. */
	assert_null(vmx_feature_refuses(INSIDE));
	assert_int_equal(vmx_feature_open(INSIDE), LOCKED | INSIDE | OUTSIDE);
	assert_int_equal(vmx_feature_open(SGX), SGX | LOCKED | OUTSIDE);
}

static void locked_on(void **state)
{
	assert_null(vmx_feature_refuses(LOCKED | OUTSIDE));
	assert_null(vmx_feature_refuses(LOCKED | INSIDE | OUTSIDE));
	assert_int_equal(vmx_feature_open(LOCKED | OUTSIDE), LOCKED | OUTSIDE);
}

static void locked_off(void **state)
{
	assert_non_null(vmx_feature_refuses(LOCKED));
	assert_non_null(strstr(vmx_feature_refuses(LOCKED), "firmware's setup"));
	assert_non_null(strstr(vmx_feature_refuses(LOCKED | SGX), "firmware's setup"));
	/* It is not written: that would be #GP. */
	assert_int_equal(vmx_feature_open(LOCKED), LOCKED);
}

static void locked_to_smx(void **state)
{
	assert_non_null(vmx_feature_refuses(LOCKED | INSIDE));
	assert_non_null(strstr(vmx_feature_refuses(LOCKED | INSIDE), "measured launch"));
	assert_int_equal(vmx_feature_open(LOCKED | INSIDE), LOCKED | INSIDE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_to_us),
		cmocka_unit_test(locked_on),
		cmocka_unit_test(locked_off),
		cmocka_unit_test(locked_to_smx),
	};

	return cmocka_run_group_tests_name("feature control", tests, NULL, NULL);
}
