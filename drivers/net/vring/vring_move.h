/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What bursts write moves to another NUMA node: queues, poll sets, the state of the rings, packets
 * that are held or cut, buffers for large packets. Threads that read counters may be reading the
 * former ones; these are kept until the next move or the end of the port.
 */
#ifndef VRING_MOVE_H
#define VRING_MOVE_H

#include "vring_port.h"

/*
 * Of a port that is stopped and whose rings are the peer's. The application's thread. 0, or
 * -ENOMEM: all is where it was.
 */
int vring_move_to(struct vring_port *port, int node);
void vring_move_free(struct vring_port *port);

#endif /* VRING_MOVE_H */
