/* SPDX-License-Identifier: BSD-3-Clause */
/* How much a line that a session logs matters; the owner prints it. */
#ifndef VHOST_LOG_H
#define VHOST_LOG_H

enum vhost_log_level {
	VHOST_LOG_ERR,
	VHOST_LOG_WARNING,
	VHOST_LOG_NOTICE,
	VHOST_LOG_INFO,
	VHOST_LOG_DEBUG,
};

#endif /* VHOST_LOG_H */
