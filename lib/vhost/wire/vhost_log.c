/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost_log.h"

#include <string.h>

bool
vhost_log_admits(struct vhost_log_limit *limit, enum vhost_log_level level, uint64_t now_ns,
		 bool *last)
{
	const uint32_t most = level == VHOST_LOG_DEBUG ? VHOST_LOG_DEBUG_LINES : VHOST_LOG_LINES;
	uint32_t *lines = &limit->lines[level == VHOST_LOG_DEBUG];

	if (now_ns - limit->second_ns >= 1000000000) {
		limit->second_ns = now_ns;
		memset(limit->lines, 0, sizeof(limit->lines));
	}
	if (*lines >= most)
		return false;
	*last = ++*lines == most;
	return true;
}
