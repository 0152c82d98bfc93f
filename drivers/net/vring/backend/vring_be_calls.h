/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of guests that a thread sends in place of the bursts (call-thread=, call-us=). One thread
 * serves all ports that ask for it, and is there as long as one of them is.
 */
#ifndef VRING_BE_CALLS_H
#define VRING_BE_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "virtq_ring.h"
#include "vring_port.h"

/*
 * The application's thread. 0 or -errno, with one line in err. Where a guest could make the thread
 * wait there is none, and one line in the log: port->caller is NULL.
 */
int vring_be_calls_open(struct vring_port *port, char *err, size_t errlen);
/* After the session has ended. */
void vring_be_calls_close(struct vring_port *port);
/* Control thread: the ring, NULL for none, is about to be published in place of another one. */
void vring_be_calls_begin(struct vring_port *port, uint16_t qid, const struct virtq_ring *ring);
/* Control thread: it was. */
void vring_be_calls_follow(struct vring_port *port, uint16_t qid);
/*
 * Control thread, no burst holds a ring: the state of the rings, calls included, is about to move
 * in memory, and has. What waits is sent before.
 */
void vring_be_calls_moving(struct vring_port *port);
void vring_be_calls_moved(struct vring_port *port);

#endif /* VRING_BE_CALLS_H */
