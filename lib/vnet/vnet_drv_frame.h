/* SPDX-License-Identifier: BSD-3-Clause */
/* Driver side, transmit: what its burst leaves to the longer way. Library-internal. */
#ifndef VNET_DRV_FRAME_H
#define VNET_DRV_FRAME_H

#include "vnet_drv.h"
#include "vnet_impl.h"

/*
 * DRV_TX_COPIED: sent, but what the ring holds is a copy; the packet itself is still to be freed.
 * DRV_TX_DROPPED: counted, still to be freed. DRV_TX_SHORT: not enough entries, nothing was done.
 */
enum drv_tx_result { DRV_TX_SENT, DRV_TX_COPIED, DRV_TX_DROPPED, DRV_TX_SHORT };

/* Whether the device reaches the bytes. */
bool vnet_drv_frame_is_mapped(struct vnet_txq *txq, const void *addr, uint32_t len);

/*
 * Offer a packet of any kind, with whatever it asks for, in one frame or several; visible with the
 * next publication. A packet that the device cannot reach is copied. Its mbuf is not changed: other
 * ports may have it as well.
 */
enum drv_tx_result vnet_drv_frame_any(struct vnet_txq *txq, struct virtq_drv *drv,
				      const struct virtq_ring *ring, struct rte_mbuf *pkt);

#endif /* VNET_DRV_FRAME_H */
