/* SPDX-License-Identifier: GPL-2.0-only */
/* The suites there are, one in each test_*.c. */
#ifndef TESTS_KUNIT_SUITES_H
#define TESTS_KUNIT_SUITES_H

#include <kunit/test.h>

extern struct kunit_suite alloc_suite, decode_suite, dirty_suite, filter_suite, guest_suite,
	lapic_suite, notifier_suite, page_suite, rmap_suite, slots_suite, svm_suite, walk_suite;

#endif
