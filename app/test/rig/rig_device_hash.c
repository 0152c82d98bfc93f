/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The stand-in's data path with VIRTIO_NET_F_HASH_REPORT, which lib/vnet's device side does not
 * have: headers of 20 bytes, a packet in one chain. It stands where the ring's own cursors say.
 */
#include "rig_device_hash.h"

#include <rte_mbuf.h>

#include "rig_hash.h"

#define HDR ((uint32_t)sizeof(struct virtio_net_hdr_v1_hash))

static struct rdev
at(const struct virtq_cursor *vq, const struct virtq_ring *ring)
{
	return (struct rdev){
		.ring = ring,
		.avail_idx = vq->avail_idx,
		.used_idx = vq->used_idx,
		.avail_wrap = vq->avail_wrap,
		.used_wrap = vq->used_wrap,
	};
}

static void
leave(const struct rdev *d, struct virtq_cursor *vq)
{
	vq->avail_idx = d->avail_idx;
	vq->used_idx = d->used_idx;
	vq->avail_wrap = d->avail_wrap;
	vq->used_wrap = d->used_wrap;
}

/* A piece of the driver's memory, which has to be mapped. */
static uint8_t *
mapped(const struct virtq_ring *ring, uint64_t addr, uint32_t bytes)
{
	uint64_t len = bytes;
	uint8_t *p = virtq_mem_gpa(ring->mem, addr, &len);

	assert_non_null(p);
	assert_int_equal(len, bytes);
	return p;
}

uint16_t
standin_hash_take(struct vnet_rxq *rxq, struct virtq_cursor *vq, const struct virtq_ring *ring,
		  struct rte_mbuf **pkts, uint16_t n)
{
	static const struct virtio_net_hdr_v1_hash none;
	struct rdev d = at(vq, ring);
	struct rdev_chain c;
	uint16_t i;

	for (i = 0; i < n && rdev_fetch(&d, &c); i++) {
		uint8_t *to;

		pkts[i] = rte_pktmbuf_alloc(rxq->pool);
		assert_non_null(pkts[i]);
		to = (uint8_t *)rte_pktmbuf_append(pkts[i], (uint16_t)c.total);
		assert_non_null(to);
		for (uint32_t k = 0; k < c.n; to += c.sg[k++].len)
			memcpy(to, mapped(ring, c.sg[k].addr, c.sg[k].len), c.sg[k].len);
		assert_memory_equal(rte_pktmbuf_mtod(pkts[i], void *), &none, HDR);
		rte_pktmbuf_adj(pkts[i], HDR);
		rdev_use(&d, &c, 0);
	}
	leave(&d, vq);
	return i;
}

uint16_t
standin_hash_give(struct vnet_txq *txq, struct virtq_cursor *vq, const struct virtq_ring *ring,
		  struct rte_mbuf **pkts, uint16_t n)
{
	struct rdev d = at(vq, ring);
	struct rdev_chain c;
	uint16_t i;

	for (i = 0; i < n && rdev_fetch(&d, &c); i++) {
		struct virtio_net_hdr_v1_hash hdr = {
			.hdr.num_buffers = 1,
			.hash_report = htole16((uint16_t)pkts[i]->hash.fdir.hi),
		};
		const uint32_t len = HDR + pkts[i]->pkt_len;
		uint8_t *to = mapped(ring, c.sg[0].addr, c.sg[0].len);

		assert_true(len <= c.sg[0].len);
		hash_put(&hdr, pkts[i]->hash.rss);
		memcpy(to, &hdr, HDR);
		memcpy(to + HDR, rte_pktmbuf_mtod(pkts[i], void *), pkts[i]->pkt_len);
		rdev_use(&d, &c, len);
		rte_pktmbuf_free(pkts[i]);
	}
	leave(&d, vq);
	return i;
}
