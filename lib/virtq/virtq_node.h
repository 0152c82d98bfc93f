/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NUMA nodes of shared memory. A look brings no page in: what counts are pages that this process
 * has mapped already, and where there are none, the policy that the front-end has set for a file.
 */
#ifndef VIRTQ_NODE_H
#define VIRTQ_NODE_H

#include <stdbool.h>

#include "virtq_ring.h"

#define VIRTQ_NODE_UNKNOWN (-1)

/* Whether the machine has several nodes. False where the kernel says nothing of them. */
bool virtq_node_several(void);
/*
 * The node of more than half of what is known, or VIRTQ_NODE_UNKNOWN: nothing is known, no node has
 * so much, or NUMA is not available. System calls; not for a burst.
 */
int virtq_node_of_mem(const struct virtq_mem *mem);	/* NULL: unknown */
/* Of the rings' own pages, which whoever serves a ring has touched. */
int virtq_node_of_rings(const struct virtq_ring *const *rings, unsigned int n);

#endif /* VIRTQ_NODE_H */
