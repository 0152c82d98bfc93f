/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NUMA: where the memory of a guest is, and whether what works on it is there too. The port reports
 * that node, unless numa= names another, and moves to the node it reports when it is started. The
 * control thread looks; bursts do nothing for it.
 */
#ifndef VRING_NUMA_H
#define VRING_NUMA_H

#include "virtq_mem.h"
#include "vring_port.h"

/* Of a port whose rings are the peer's. 0 or -ENOMEM. */
int vring_numa_open(struct vring_port *port);
/* The others do nothing for a port that was not opened. */
void vring_numa_close(struct vring_port *port);
/* The guest's memory has changed; NULL: there is none. Control thread. */
void vring_numa_memory(struct vring_port *port, const struct virtq_mem *mem);
/* Rings have come, gone or changed: the bursts are asked soon. Control thread. */
void vring_numa_rings(struct vring_port *port);
/* The node of the guest's memory, or -1: not known. Control thread. */
int vring_numa_node(const struct vring_port *port);
/* The port is about to be started: move it to the node it reports. Application's thread. */
void vring_numa_place(struct vring_port *port);
/* Control thread: the port has been started, or is stopped. */
void vring_numa_start(struct vring_port *port);
void vring_numa_stop(struct vring_port *port);

#endif /* VRING_NUMA_H */
