/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where kernels differ. Stable updates take API changes back into older series,
 * so Kbuild looks into the headers and defines UMBRA_HAVE_*; no version numbers.
 */
#ifndef UMBRA_COMPAT_H
#define UMBRA_COMPAT_H

#include <linux/context_tracking.h>
#include <linux/rcutree.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>

#ifdef UMBRA_HAVE_SYSCORE
#define UMBRA_SYSCORE(name, suspend_fn, resume_fn)			\
	static int name##_suspend(void *data) { return suspend_fn(); }	\
	static void name##_resume(void *data) { resume_fn(); }		\
	static const struct syscore_ops name##_ops = {			\
		.suspend = name##_suspend,				\
		.resume = name##_resume,				\
	};								\
	static struct syscore name = { .ops = &name##_ops }
#define umbra_register_syscore(s)	register_syscore(s)
#define umbra_unregister_syscore(s)	unregister_syscore(s)
#else
#define UMBRA_SYSCORE(name, suspend_fn, resume_fn)			\
	static struct syscore_ops name = {				\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
	}
#define umbra_register_syscore(s)	register_syscore_ops(s)
#define umbra_unregister_syscore(s)	unregister_syscore_ops(s)
#endif

static __always_inline void umbra_rcu_note_guest(void)
{
#ifdef UMBRA_HAVE_RCU_NOTE_CPU
	rcu_virt_note_context_switch(smp_processor_id());
#else
	rcu_virt_note_context_switch();
#endif
}

#endif /* UMBRA_COMPAT_H */
