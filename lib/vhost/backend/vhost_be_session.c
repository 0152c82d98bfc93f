/* SPDX-License-Identifier: BSD-3-Clause */
/* What every part of a session needs: its log, refusals, and what is negotiated. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "vhost_be_session.h"
#include "vhost_names.h"

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

void
vhost_be_session_log_features(struct vhost_be *be, uint64_t features)
{
	char text[160] = "", name[8];
	size_t used = 0;

	for (unsigned int bit = 0; bit < 64 && used < sizeof(text); bit++)
		if (features >> bit & 1)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used == 0 ? "" : ", ",
						 vhost_names_feature(bit, name, sizeof(name)));
	vhost_be_session_log(be, VHOST_LOG_WARNING,
			     "the guest has features that are not served: %s", text);
}

int
vhost_be_session_refuse(struct vhost_be *be, int rc, const char *why)
{
	be->why = why;
	return rc;
}

int
vhost_be_session_unsent(struct vhost_be *be, int rc)
{
	return vhost_be_session_refuse(be, -EMSGSIZE, vhu_conn_why(rc));
}

void
vhost_be_session_report_features(struct vhost_be *be)
{
	INFO_SET(be, features, be->features);
	INFO_SET(be, protocol_features, be->protocol);
	be->ops->features(be->ctx, be->features, be->protocol);
}

void
vhost_be_session_serve(struct vhost_be *be, bool begins)
{
	__atomic_store_n(&be->busy_ns, begins ? evloop_now_ns() : 0, __ATOMIC_RELAXED);
}
