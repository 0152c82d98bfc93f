/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a secondary process shows of a port and cannot see for itself: rings and sessions are the
 * primary's. It asks the primary, over EAL's channel between processes, and gets a file.
 */
#ifndef VRING_SECONDARY_H
#define VRING_SECONDARY_H

#include <stdio.h>

#include <ethdev_driver.h>

/*
 * Primary: answer from now on, if EAL has that channel (not with --in-memory, --no-shconf). Any
 * number of times.
 */
void vring_secondary_serve(void);

/* ethdev operations of a secondary process. -EAGAIN: the primary does not answer. */
int vring_secondary_dump_priv(struct rte_eth_dev *dev, FILE *file);
int vring_secondary_dump_rx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset,
				  uint16_t num, FILE *file);
int vring_secondary_dump_tx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset,
				  uint16_t num, FILE *file);
int vring_secondary_get_reg(struct rte_eth_dev *dev, struct rte_dev_reg_info *info);
int vring_secondary_rx_mode(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_burst_mode *mode);
int vring_secondary_tx_mode(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_burst_mode *mode);
/*
 * What ethdev calls without a look at the operations: bursts that do nothing, counts and status of
 * descriptors. From DPDK 25.11 on all of them have to be there.
 */
void vring_secondary_queue_ops(struct rte_eth_dev *dev);

#endif /* VRING_SECONDARY_H */
