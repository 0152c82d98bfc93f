/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a core that monitors an address sees that a receive queue has something.
 */
#ifndef VRING_MONITOR_H
#define VRING_MONITOR_H

#include <rte_power_intrinsics.h>

#include "vring_rxtx.h"

/*
 * Of ethdev. The address of the queue's one ring; where it has none, of the port's own word that
 * changes with its rings. It may be read until the next call for this queue, or until that is
 * stopped. -EAGAIN: there may be something to receive already, or no one address would tell.
 */
int vring_monitor_get_addr(void *rxq, struct rte_power_monitor_cond *cond);
/* No core uses what was returned last. */
void vring_monitor_release(struct vring_rxq *rxq);

#endif /* VRING_MONITOR_H */
