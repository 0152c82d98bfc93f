/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What applications ask for that needs another look at each packet of a burst. Either role.
 */
#ifndef VNET_RX_AFTER_H
#define VNET_RX_AFTER_H

#include <stdint.h>

#include <rte_mbuf.h>

#include "vnet.h"

/*
 * What VNET_F_AFTER asks for, and the account of n packets that were received. Returns how many of
 * them are delivered; the others are dropped.
 */
uint16_t vnet_rx_after(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n);
/* Types of n packets, as far as the queue's application wants to know. */
void vnet_rx_after_ptypes(const struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n);

#endif /* VNET_RX_AFTER_H */
