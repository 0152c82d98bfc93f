/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: the stand-in's data path with VIRTIO_NET_F_HASH_REPORT. */
#ifndef RIG_DEVICE_HASH_H
#define RIG_DEVICE_HASH_H

#include "rig_device_state.h"

/* Bursts of packets of one buffer whose header has room for a hash. */
uint16_t standin_hash_take(struct vnet_rxq *rxq, struct virtq_cursor *vq,
			   const struct virtq_ring *ring, struct rte_mbuf **pkts, uint16_t n);
uint16_t standin_hash_give(struct vnet_txq *txq, struct virtq_cursor *vq,
			   const struct virtq_ring *ring, struct rte_mbuf **pkts, uint16_t n);

#endif /* RIG_DEVICE_HASH_H */
