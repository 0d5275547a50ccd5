// SPDX-License-Identifier: GPL-2.0-only
/*
 * umbra_kunit.ko. Starts as umbra.ko does, but for the device, then runs the tests:
 * here, since kernels differ in whether they run those of a module before it has started.
 */
#include <linux/module.h>
#include <linux/preempt.h>
#include "fixture.h"
#include "softcpu.h"
#include "suites.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

atomic_long_t umbra_pages = ATOMIC_LONG_INIT(0);

static struct kunit_suite *const suites[] = {
	&decode_suite, &walk_suite, &filter_suite, &lapic_suite, &svm_suite, &slots_suite,
	&rmap_suite, &page_suite, &dirty_suite, &notifier_suite, &alloc_suite, &guest_suite,
};

static int __init umbra_kunit_init(void)
{
	int ret = soft_init() ?: umbra_arch_init();

	if (ret) {
		soft_exit();
		return ret;
	}
	preempt_notifier_inc();
	ret = __kunit_test_suites_init(suites, ARRAY_SIZE(suites));
	if (ret) {
		preempt_notifier_dec();
		umbra_arch_exit();
		soft_exit();
		return ret;
	}
	pr_info("umbra_kunit: all suites have run\n");
	return 0;
}
module_init(umbra_kunit_init);

static void __exit umbra_kunit_exit(void)
{
	__kunit_test_suites_exit((struct kunit_suite **)suites, ARRAY_SIZE(suites));
	preempt_notifier_dec();
	umbra_arch_exit();
	soft_exit();
	WARN(atomic_long_read(&umbra_pages), "umbra_kunit: pages are not given back\n");
}
module_exit(umbra_kunit_exit);

MODULE_DESCRIPTION("Tests of Umbra that run in the kernel");
MODULE_LICENSE("GPL");
