/* SPDX-License-Identifier: BSD-3-Clause */

#include <rte_common.h>

#include "evloop.h"
#include "vring_log.h"

RTE_LOG_REGISTER(vring_logtype, pmd.net.vring, NOTICE);

void
vring_log_session(const char *name, enum vhost_log_level level, const char *text)
{
	static const uint32_t levels[] = {
		[VHOST_LOG_ERR] = RTE_LOG_ERR,
		[VHOST_LOG_WARNING] = RTE_LOG_WARNING,
		[VHOST_LOG_NOTICE] = RTE_LOG_NOTICE,
		[VHOST_LOG_INFO] = RTE_LOG_INFO,
		[VHOST_LOG_DEBUG] = RTE_LOG_DEBUG,
	};

	rte_log(levels[level], vring_logtype, "%s: %s\n", name, text);
}

bool
vring_log_admits(struct vhost_log_limit *limit, enum vhost_log_level level)
{
	bool last;

	return vhost_log_admits(limit, level, evloop_now_ns(), &last);
}
