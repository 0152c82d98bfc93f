/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Publication of poll sets to the bursts. Control thread.
 */
#ifndef VRING_PUBLISH_H
#define VRING_PUBLISH_H

#include "vring_port.h"

/* Bring every queue's set up to date with the rings, the port's state and the queues' flags. */
void vring_publish(struct vring_port *port);
/* Wait until each burst and each query that had begun before has ended. */
void vring_publish_quiesce(struct vring_port *port);
/* Leave every queue without rings, until vring_publish() is called. */
void vring_publish_withdraw(struct vring_port *port);
/* Trace that a vring's ring becomes another one, or none. Before it is set. */
void vring_publish_trace(const struct vring_port *port, uint16_t qid,
			 const struct virtq_ring *ring);
/* The link's state, from the same. The application is notified if it changed. */
void vring_publish_link(struct vring_port *port);

#endif /* VRING_PUBLISH_H */
