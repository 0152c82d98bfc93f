/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VRING_DUMP_H
#define VRING_DUMP_H

#include <stdio.h>

#include <ethdev_driver.h>

/* ethdev's eth_dev_priv_dump: the port's private state, for people. */
int vring_dump_priv(struct rte_eth_dev *dev, FILE *file);
/* eth_rx_descriptor_dump and its twin: indexes and descriptors of the rings of a queue. */
int vring_dump_rx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset, uint16_t num,
			FILE *file);
int vring_dump_tx_descs(const struct rte_eth_dev *dev, uint16_t id, uint16_t offset, uint16_t num,
			FILE *file);

#endif /* VRING_DUMP_H */
