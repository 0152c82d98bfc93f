/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls to a driver that waits on a pipe or a socket, as User-Mode Linux does. Writing to these can
 * block for as long as the reader likes, and raises SIGPIPE without one, so neither a burst nor
 * the control thread may do it. Bursts signal an eventfd, and a thread of the pipe's own passes
 * that on.
 */
#ifndef VHOST_BE_RELAY_H
#define VHOST_BE_RELAY_H

#include <stdint.h>

/* Threads of one session, those included that a pipe holds although its ring has ended. */
#define VHOST_BE_RELAY_MAX 8

struct vhost_be_relay;

/* How many relays of a session there are: outlives it, since their threads do. */
struct vhost_be_relays;

struct vhost_be_relays *vhost_be_relay_count_new(void);	/* NULL: out of memory */
void vhost_be_relay_count_put(struct vhost_be_relays *count);

/*
 * Start to pass on. Takes over `pipe` on success. *eventfd is to be signalled, and is the caller's.
 * -EMFILE: VHOST_BE_RELAY_MAX are there; or -errno.
 */
int vhost_be_relay_start(struct vhost_be_relays *count, int pipe, struct vhost_be_relay **relay,
			 int *eventfd);
/* The thread ends as soon as the pipe lets it. NULL is allowed. */
void vhost_be_relay_stop(struct vhost_be_relay *relay);

#endif /* VHOST_BE_RELAY_H */
