/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an application changes of receiving while its queues are set up: VLANs, packet types. The
 * ethdev operations have the same names.
 */
#ifndef VRING_RXMODE_H
#define VRING_RXMODE_H

#include <ethdev_driver.h>

#include "vring_port.h"

/*
 * Bring the queues up to date with the port's configuration and features. Bursts read the flags,
 * which choose their instance, so they change while no burst receives; those that send go on.
 * Control thread.
 */
void vring_rxmode_update(struct vring_port *port);
int vring_rxmode_vlan_offload_set(struct rte_eth_dev *dev, int mask);
/* Of a port whose queues filter: they look where ethdev keeps the ids. */
int vring_rxmode_vlan_filter_set(struct rte_eth_dev *dev, uint16_t id, int on);
/*
 * The types that packets have. Classifying costs each packet a look at its headers, so it begins
 * when an application that has not chosen asks for this list: who never asks pays nothing, and who
 * has read the list finds it true. RTE_PTYPE_UNKNOWN follows the n types.
 */
const uint32_t *vring_rxmode_ptypes_get(struct rte_eth_dev *dev, size_t *n);
/* What is hashed and how, where the application wants hashes of packets. */
int vring_rxmode_hash_set(struct vring_port *port, const struct vnet_hash *hash);
/* The types that the application is told of: whole groups, as ethdev has checked; 0: none. */
int vring_rxmode_ptypes_set(struct rte_eth_dev *dev, uint32_t mask);

#endif /* VRING_RXMODE_H */
