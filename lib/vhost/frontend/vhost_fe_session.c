/* SPDX-License-Identifier: BSD-3-Clause */
/* What every part of a session needs: its log, features, its end. */
#include "vhost_fe_session.h"

#include <stdarg.h>
#include <stdio.h>

void
vhost_fe_session_log(struct vhost_fe *fe, enum vhost_log_level level, const char *fmt, ...)
{
	char line[VHOST_WHY + sizeof(fe->path) + 64];
	va_list ap;
	bool last;

	if (!vhost_log_admits(&fe->log_limit, level, evloop_now_ns(), &last))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fe->ops->log(fe->ctx, level, line);
	if (last)
		fe->ops->log(fe->ctx, level, VHOST_LOG_LAST);
}

bool
vhost_fe_session_has(const struct vhost_fe *fe, unsigned int bit)
{
	return fe->features & VIRTQ_BIT(bit);
}

bool
vhost_fe_session_commands(const struct vhost_fe *fe, unsigned int bit)
{
	const uint64_t need = VIRTQ_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTQ_BIT(bit);

	return (fe->limits.offered & fe->wanted & need) == need;
}

void
vhost_fe_session_end(struct vhost_fe *fe, const char *why)
{
	fe->lost = true;
	if (why != fe->why)
		snprintf(fe->why, sizeof(fe->why), "%s", why);
	evloop_timer_set(fe->loop, &fe->later, 0);
}
