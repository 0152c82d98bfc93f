/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Set-up and release of ethdev queues and their buffers.
 */
#ifndef VRING_QUEUE_H
#define VRING_QUEUE_H

#include <stdint.h>

#include <ethdev_driver.h>

#include "vring_port.h"

struct vring_queue;

/* Memory for the queues of port->pairs; 0 or -ENOMEM, and then to be freed as well. */
int vring_queue_alloc_all(struct vring_port *port, int numa);
void vring_queue_free_all(struct vring_port *port);
/* Bytes of the poll sets of all queues. */
size_t vring_queue_sets_size(const struct vring_port *port);
/* Give a queue its own, emptied; `index`: its number among all queues, receive queues first. */
void vring_queue_place_sets(struct vring_port *port, struct vring_queue *q, unsigned int index);
/* Of a port that is stopped: have the port's pools on that node, if there is memory for them. */
void vring_queue_pools_move(struct vring_port *port, int node);
/* Free the port's pools, or keep those that the application still holds buffers of for later. */
void vring_queue_pools_free(struct vring_port *port);
/* VNET_F_ flags of receive queues, as the port is configured. */
uint32_t vring_queue_rx_flags(const struct vring_port *port);
/* What a receive queue that no burst uses does with packets, as the port is configured now. */
void vring_queue_rx_mode(struct vring_rxq *rxq);

/* ethdev operations. */
int vring_queue_rx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc,
			 unsigned int socket, const struct rte_eth_rxconf *conf,
			 struct rte_mempool *pool);
int vring_queue_tx_setup(struct rte_eth_dev *dev, uint16_t id, uint16_t nb_desc,
			 unsigned int socket, const struct rte_eth_txconf *conf);
/* A queue that is not polled any more: it gives back what it had not delivered. */
void vring_queue_rx_clear(struct rte_eth_dev *dev, uint16_t id);
void vring_queue_rx_release(struct rte_eth_dev *dev, uint16_t id);
void vring_queue_tx_release(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_rx_start(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_rx_stop(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_tx_start(struct rte_eth_dev *dev, uint16_t id);
int vring_queue_tx_stop(struct rte_eth_dev *dev, uint16_t id);
void vring_queue_rxq_info_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_rxq_info *info);
void vring_queue_txq_info_get(struct rte_eth_dev *dev, uint16_t id, struct rte_eth_txq_info *info);
int vring_queue_rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t id,
				  struct rte_eth_burst_mode *mode);
int vring_queue_tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t id,
				  struct rte_eth_burst_mode *mode);

#endif /* VRING_QUEUE_H */
