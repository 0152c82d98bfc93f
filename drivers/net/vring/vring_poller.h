/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On which NUMA node the lcore is that bursts on a queue. Bursts note nothing of the kind. A poll
 * set that asks has another burst function for its first ring, which notes it and then does what
 * the ring's own would have done; sets that ask are published for a moment, now and then.
 */
#ifndef VRING_POLLER_H
#define VRING_POLLER_H

#include "vring_qmap.h"
#include "vring_rxtx.h"

/* Have a set that is not published yet ask, if it has a ring. */
void vring_poller_ask_rx(struct vring_poll_set *set);
void vring_poller_ask_tx(struct vring_poll_set *set);
/* What was answered last, or -1: nothing yet, or a thread on no one node. Control thread. */
int vring_poller_node(const struct vring_queue *q);

#endif /* VRING_POLLER_H */
