// SPDX-License-Identifier: GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>

#include "error.h"

static _Thread_local char text[512] = "no reason was recorded";

void error_record(const char *fmt, ...)
{
	/* The arguments may quote the old text, so it is kept until the new one is whole. */
	char fresh[sizeof(text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fresh, sizeof(fresh), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s", fresh);
}

const char *error_text(void)
{
	return text;
}
