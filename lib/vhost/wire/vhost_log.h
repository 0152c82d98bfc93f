/* SPDX-License-Identifier: BSD-3-Clause */
/* How much a line that a session logs matters, and how many there may be; the owner prints it. */
#ifndef VHOST_LOG_H
#define VHOST_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum vhost_log_level {
	VHOST_LOG_ERR,
	VHOST_LOG_WARNING,
	VHOST_LOG_NOTICE,
	VHOST_LOG_INFO,
	VHOST_LOG_DEBUG,
};

/* Lines that a session may log in a second: peers must not fill disks. Debugging may have more. */
#define VHOST_LOG_LINES 20
#define VHOST_LOG_DEBUG_LINES 500
#define VHOST_LOG_LAST "more lines of this second are not shown"

/* Lines of one session; all zero at first. */
struct vhost_log_limit {
	uint64_t second_ns;	/* when the second began that is counted */
	uint32_t lines[2];	/* ordinary ones, and those for debugging */
};

/* Whether a line may be logged now. *last: after it, VHOST_LOG_LAST is due. */
bool vhost_log_admits(struct vhost_log_limit *limit, enum vhost_log_level level, uint64_t now_ns,
		      bool *last);

#endif /* VHOST_LOG_H */
