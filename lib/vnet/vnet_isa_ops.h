/* SPDX-License-Identifier: BSD-3-Clause */
/* The functions that each ISA level has of its own. */
#ifndef VNET_ISA_OPS_H
#define VNET_ISA_OPS_H

#include "vnet.h"
#include "vnet_drv.h"

/* Functions of vnet.h and vnet_drv.h without their prefix. */
struct vnet_isa_ops_table {
	vnet_rx_burst (*dev_rx_select)(const struct virtq_ring *ring, uint32_t flags,
				       const char **name);
	vnet_tx_burst (*dev_tx_select)(const struct virtq_ring *ring, const char **name);
	vnet_rx_burst (*drv_rx_select)(const struct virtq_ring *ring, uint32_t flags,
				       const char **name);
	vnet_tx_burst (*drv_tx_select)(const struct virtq_ring *ring, const char **name);
	uint16_t (*cut_burst)(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf **pkts,
			      uint16_t fresh, uint16_t n);
	uint16_t (*drv_rx_fill)(struct vnet_rxq *rxq, struct virtq_drv *drv,
				const struct virtq_ring *ring);
	uint16_t (*drv_tx_clean)(struct vnet_txq *txq, struct virtq_drv *drv,
				 const struct virtq_ring *ring, uint16_t n);
};

#endif /* VNET_ISA_OPS_H */
