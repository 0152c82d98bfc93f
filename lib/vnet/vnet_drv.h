/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-net, driver side: the application's mbufs are the buffers of the rings.
 *
 * The bursts have the types of the device side (vnet.h), so that whoever carries rings to ethdev
 * queues need not tell them apart; the cursor is the first member of a struct virtq_drv.
 */
#ifndef VNET_DRV_H
#define VNET_DRV_H

#include "virtq_drv.h"
#include "vnet.h"

/*
 * Descriptors carry buffer addresses of mbufs as they are (IOVA = virtual address). Receive rings
 * offer one mbuf of rxq->pool an entry; the header lies in the mbuf's headroom.
 */
vnet_rx_burst vnet_drv_rx_select(const struct virtq_ring *ring, uint32_t flags, const char **name);
vnet_tx_burst vnet_drv_tx_select(const struct virtq_ring *ring, const char **name);

/* Offer as many buffers as ring and pool allow, before the ring is published. Returns how many. */
uint16_t vnet_drv_rx_fill(struct vnet_rxq *rxq, struct virtq_drv *drv,
			  const struct virtq_ring *ring);
/* Free all mbufs that a ring holds, after it has stopped and no burst uses it. */
void vnet_drv_drain(struct virtq_drv *drv, uint16_t size);
/* Free what the device has sent; up to n mbufs. ethdev tx_done_cleanup, with the rcu read lock. */
uint16_t vnet_drv_tx_clean(struct vnet_txq *txq, struct virtq_drv *drv,
			   const struct virtq_ring *ring, uint16_t n);

/*
 * Whether memory is DPDK's own; NULL: all of it is. Only memory that the device can access may be
 * offered: DPDK's own, and what txq->extmem names. DPDK's lists of segments never move, so that the
 * segment cache may keep where a buffer was found. Set by the owner once, before any burst.
 */
typedef bool (*vnet_drv_shared)(const void *addr, uint32_t len);
extern vnet_drv_shared vnet_drv_is_shared;

/*
 * Segments of the longest packet that a ring of so many entries takes. The header has a piece of
 * its own, unless there is room for it before the data of the only one.
 */
static inline uint16_t
vnet_drv_tx_segs(uint32_t entries)
{
	return entries < 2 ? 1 : (uint16_t)(RTE_MIN(entries, (uint32_t)VIRTQ_DRV_MAX_DESC) - 1);
}

/* Driver features this library serves. */
#define VNET_DRV_FEATURES \
	(VIRTQ_BIT(VIRTIO_F_VERSION_1) | VIRTQ_BIT(VIRTIO_F_ANY_LAYOUT) | \
	 VIRTQ_BIT(VIRTIO_RING_F_INDIRECT_DESC) | VIRTQ_BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 VIRTQ_BIT(VIRTIO_F_IN_ORDER) | VIRTQ_BIT(VIRTIO_F_RING_PACKED) | \
	 VIRTQ_BIT(VIRTIO_NET_F_MRG_RXBUF) | VIRTQ_BIT(VIRTIO_NET_F_CSUM) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM) | VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4) | \
	 VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6) | VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN) | VIRTQ_BIT(VIRTIO_NET_F_HASH_REPORT))

#endif /* VNET_DRV_H */
