/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_STATS_H
#define VRING_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include <ethdev_driver.h>

#include "vnet.h"
#include "vring_compat.h"
#include "vring_port.h"

/* `queues`, where not NULL, are the basic counters that queues are mapped to; it may be `stats`. */
int vring_stats_get(struct rte_eth_dev *dev, struct rte_eth_stats *stats,
		    struct vring_compat_queue_stats *queues);
int vring_stats_reset(struct rte_eth_dev *dev);
/* queue_stats_mapping_set: what queue `id` counts goes to this counter of the basic ones. */
int vring_stats_map(struct rte_eth_dev *dev, uint16_t id, uint8_t counter, uint8_t is_rx);
/* Totals of one queue since the last reset, the queues it had before included. */
void vring_stats_rxq(const struct rte_eth_dev *dev, uint16_t id, struct vnet_stats *out);
void vring_stats_txq(const struct rte_eth_dev *dev, uint16_t id, struct vnet_stats *out);
/* Add what a queue that is released had counted. */
void vring_stats_keep(struct vring_stats_base *base, const struct vnet_stats *live);
/* Times that a transmit queue stood still since the last reset: vring_stall.h. */
uint64_t vring_stats_stalls(const struct vring_port *port, uint16_t id);
/* Times that either queue `id` was found polled on another node than its guest's: vring_numa.h. */
uint64_t vring_stats_far(const struct vring_port *port, uint16_t id);
/* Notifications of the rings that queue `id` of `n` serves. */
struct vring_notified vring_stats_calls(const struct vring_port *port, bool tx, uint16_t id,
					uint16_t n);

#endif /* VRING_STATS_H */
