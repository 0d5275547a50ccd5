// SPDX-License-Identifier: GPL-2.0-only
/* Counters on their way to user space. */
#include <linux/minmax.h>
#include <linux/uaccess.h>
#include "umbra.h"

/**
 * umbra_stats_copy() - answer UMBRA_GET_VM_STATS and UMBRA_GET_VCPU_STATS
 * @uargs: the monitor's arguments
 * @stats: the counters
 * @count: how many there are
 *
 * Copies as many as there is room for and says how many there are.
 *
 * Return: 0, -EFAULT on a bad address, -EINVAL when flags are set.
 */
int umbra_stats_copy(struct umbra_stats __user *uargs, const struct umbra_stat *stats,
		     unsigned int count)
{
	struct umbra_stats args;

	if (copy_from_user(&args, uargs, sizeof(args)))
		return -EFAULT;
	if (args.flags)
		return -EINVAL;
	if (copy_to_user(u64_to_user_ptr(args.entries), stats,
			 min(args.count, count) * sizeof(*stats)))
		return -EFAULT;
	return put_user(count, &uargs->count);
}
