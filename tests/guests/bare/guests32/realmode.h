/* SPDX-License-Identifier: GPL-2.0-only */
/* Places in low memory that both halves of the realmode guest know. */
#ifndef REALMODE_H
#define REALMODE_H

#define RM_COUNT	0x6000	/* traps so far */
#define RM_VECTOR	0x6002	/* of the last one, with its frame */
#define RM_IP		0x6004
#define RM_CS		0x6006
#define RM_FLAGS	0x6008
#define RM_RESUME	0x600a	/* where the next trap returns to, if not 0 */
#define RM_INNER	0x600c	/* flags inside the handler */
#define RM_RESULTS	0x6040
#define RM_STACK	0x7000

#endif
