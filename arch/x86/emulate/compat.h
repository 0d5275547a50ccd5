/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the decoder and the executor need from their surroundings.
 *
 * The code in this folder is pure: it is compiled into umbra.ko and, unchanged,
 * into the user-space test harness. Everything it takes from the kernel is
 * named here, so that nothing else can creep in.
 */
#ifndef UMBRA_EMULATE_COMPAT_H
#define UMBRA_EMULATE_COMPAT_H

#ifdef __KERNEL__

#include <linux/types.h>
#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/page_types.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>

#else

/* The same from a C library: in tests/unit/emulate, or wherever else it is needed */
#include "emulate-user.h"

#endif

#endif /* UMBRA_EMULATE_COMPAT_H */
