/* SPDX-License-Identifier: BSD-3-Clause */
/* What every part of a session needs: its log, refusals, and what is negotiated. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vhost_be_session.h"

/* Lines that a session may log in a second: peers must not fill disks. Debugging may have more. */
#define LOG_LINES 20
#define LOG_DEBUG_LINES 500

void
vhost_be_session_log(struct vhost_be *be, enum vhost_log_level level, const char *fmt, ...)
{
	const uint32_t limit = level == VHOST_LOG_DEBUG ? LOG_DEBUG_LINES : LOG_LINES;
	uint32_t *lines = &be->log_lines[level == VHOST_LOG_DEBUG];
	const uint64_t now = evloop_now_ns();
	char line[256];
	va_list ap;

	if (now - be->log_window_ns >= 1000000000) {
		be->log_window_ns = now;
		memset(be->log_lines, 0, sizeof(be->log_lines));
	}
	if (*lines >= limit)
		return;
	++*lines;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	be->ops->log(be->ctx, level, line);
	if (*lines == limit)
		be->ops->log(be->ctx, level, "more lines of this second are not shown");
}

int
vhost_be_session_refuse(struct vhost_be *be, int rc, const char *why)
{
	be->why = why;
	return rc;
}

void
vhost_be_session_report_features(struct vhost_be *be)
{
	INFO_SET(be, features, be->features);
	INFO_SET(be, protocol_features, be->protocol);
	be->ops->features(be->ctx, be->features, be->protocol);
}
