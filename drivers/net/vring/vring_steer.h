/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Steering by hash: packets of one transmit queue on all rings of a guest, those of a flow on one.
 */
#ifndef VRING_STEER_H
#define VRING_STEER_H

#include <stdint.h>

#include "vring_port.h"

struct rte_mbuf;

/* The hash of packets that are sent; once, when a port is probed. */
void vring_steer_open(struct vring_port *port);
/*
 * A burst. Packets that a full ring does not take stay the application's, like those of any burst;
 * they are moved to the end of pkts, those of a flow in their order. Those that were sent are
 * before them, where the application may still look for them.
 */
uint16_t vring_steer_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t n);

#endif /* VRING_STEER_H */
