/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that wait behind a virtual IOMMU. An address of the guest may have to be asked for, and
 * applications drop what a burst leaves to them; so the port takes the packets, up to a limit, and
 * sends them with the next burst or from the control thread, whichever comes first.
 */
#ifndef VRING_HOLD_H
#define VRING_HOLD_H

#include "vring_port.h"

/* Packets that a queue can hold. */
#define VRING_HOLD_MAX 1024

struct vring_hold;

/* NULL: out of memory. */
struct vring_hold *vring_hold_new(int numa);
/* Of a queue that is not polled any more: what it holds is dropped. NULL is allowed. */
void vring_hold_free(struct vring_hold *hold);
/* The burst of queues that have one. */
uint16_t vring_hold_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n);
/* Send what the port's queues hold, as far as that is possible now. Control thread. */
void vring_hold_drain(struct vring_port *port);

#endif /* VRING_HOLD_H */
