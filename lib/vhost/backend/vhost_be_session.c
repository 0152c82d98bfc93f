/* SPDX-License-Identifier: BSD-3-Clause */
/* What every part of a session needs: its log, refusals, and what is negotiated. */
#include <stdarg.h>
#include <stdio.h>

#include "vhost_be_session.h"

void
vhost_be_session_log(struct vhost_be *be, enum vhost_log_level level, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	bool last;

	if (!vhost_log_admits(&be->log_limit, level, evloop_now_ns(), &last))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	be->ops->log(be->ctx, level, line);
	if (last)
		be->ops->log(be->ctx, level, VHOST_LOG_LAST);
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
