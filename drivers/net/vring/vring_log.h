/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines to the user.
 */
#ifndef VRING_LOG_H
#define VRING_LOG_H

#include <rte_log.h>

#include "vhost_log.h"

extern int vring_logtype;

/* One line: level, the port's name, what is wrong and what would be right. */
#define VRING_LOG(level, name, fmt, ...) \
	rte_log(RTE_LOG_ ## level, vring_logtype, "%s: " fmt "\n", name, ## __VA_ARGS__)

/* Whether one more line may be logged that a peer has caused. */
bool vring_log_admits(struct vhost_log_limit *limit, enum vhost_log_level level);
/* A line of the session of either role, as its owner prints it. */
void vring_log_session(const char *name, enum vhost_log_level level, const char *text);

#endif /* VRING_LOG_H */
