/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: both ends of one virtio-net ring in one process. The device sees DPDK's memory, at
 * the addresses it has here, and nothing else.
 */
#ifndef RIG_DEVICE_LINK_H
#define RIG_DEVICE_LINK_H

#include "rig_guest_net.h"

#include <rte_malloc.h>

#include "rig_device.h"
#include "virtq_drv.h"
#include "vnet_drv.h"

struct link {
	bool receive;		/* the driver receives */
	struct virtq_drv *drv;	/* the driver's end */
	struct virtq_ring *ring;
	struct virtq_dev *vq;	/* the device's */
	struct virtq_ring *dev_run;
	struct rdev rdev;	/* or another device, which can lie */
	uint8_t *base;		/* the ring's memory */
	uint64_t ring_bytes;
	int kickfd;
	struct vnet_rxq rxq;	/* the driver's, or else the device's */
	struct vnet_txq txq;	/* that of the other end */
	vnet_rx_burst rx;
	vnet_tx_burst tx;
};

bool link_is_shared(const void *addr, uint32_t len);
/* A new ring in the old one's place; its mbufs are to be drained before. */
void link_start(struct link *l, uint16_t size, uint64_t features);
void link_stop(struct link *l);
/* `pool`: of the end that receives. A driver that receives has not yet offered buffers. */
void link_open(struct link *l, uint16_t size, uint64_t features, bool receive,
	       struct rte_mempool *pool);
/* Every mbuf is in its pool, once. */
void expect_pool_whole(struct rte_mempool *pool, unsigned int n);
void expect_all_mbufs(void);
void link_close(struct link *l);
/* The same, but of the pools only the counts are looked at: for very many links. */
void link_end(struct link *l);
uint16_t link_rx(struct link *l, struct rte_mbuf **pkts, uint16_t n);
uint16_t link_tx(struct link *l, struct rte_mbuf **pkts, uint16_t n);
/*
 * The device puts a header, as long as the ring's are, and the frame of that seed into the first
 * piece of a chain. Returns where the frame is.
 */
uint8_t *link_fill(const struct link *l, const struct rdev_chain *c,
		   const struct virtio_net_hdr_v1_hash *hdr, uint32_t len, uint32_t seed);
/* The driver takes back what the device has sent. */
uint16_t link_clean(struct link *l);
uint64_t link_drops(const struct vnet_stats *s);
uint64_t link_errors(const struct vnet_stats *s);

#endif /* RIG_DEVICE_LINK_H */
