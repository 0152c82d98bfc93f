/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver side, receive: plain packets in the order of the ring, which nearly all are, from used
 * entries to mbufs in one pass. Part of vnet_drv_rx.c.
 */
#ifndef VNET_DRV_BATCH_H
#define VNET_DRV_BATCH_H

#include "vnet_drv_peek.h"

#define DRV_RX_PACKED	(1u << 0)
#define DRV_RX_MERGE	(1u << 1) /* a packet may lie in several buffers */
#define DRV_RX_ANY_HDR	(1u << 2) /* header length as the ring says, else 12 */
#define DRV_RX_HASH		(1u << 3) /* the header reports a hash, and has its length */

/* Bytes of the header; any: what the ring says. */
VIRTQ_INLINE uint32_t
drv_hdr_len(uint32_t any, const unsigned int flags)
{
	if (flags & DRV_RX_HASH)
		return VNET_HDR_HASH;
	return flags & DRV_RX_ANY_HDR ? any : 12;
}

/*
 * What follows the header proper: the hash, the kind of packet it was computed for, padding. Of
 * kinds that are not known it cannot be said what the hash means. VIRTIO 1.2, 5.1.6.4.4.
 */
VIRTQ_INLINE void
drv_hash(struct rte_mbuf *m)
{
	const uint8_t *at = drv_header(m, VNET_HDR_HASH) + sizeof(struct vnet_hdr);
	const uint64_t said = virtq_peek64(at);
	const uint16_t report = (uint16_t)(said >> 32);

	if (report == VIRTIO_NET_HASH_REPORT_NONE || report > VIRTIO_NET_HASH_REPORT_UDPv6_EX)
		return;
	m->hash.rss = (uint32_t)said;
	m->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
}

typedef uint64_t drv_u64x2 __attribute__((vector_size(16)));

VIRTQ_INLINE bool
drv_batch_any(virtq_u32x4 v)
{
	const drv_u64x2 w = (drv_u64x2)v;

	return (w[0] | w[1]) != 0;
}

/* A used entry and a header of which there is nothing to be said, so that len is the packet's. */
VIRTQ_INLINE bool
drv_rx_is_plain(const struct virtq_drv_desc_state *state, const uint8_t *h, uint32_t len,
	uint32_t hdr_len, const unsigned int flags)
{
	return len >= hdr_len + RTE_ETHER_HDR_LEN && len <= state->len &&
	       (uint16_t)virtq_peek64(h) == 0 &&
	       (!(flags & DRV_RX_MERGE) || virtq_load16((const void *)(h + 10)) == 1);
}

/* Buffers that are due, and entries that may say that they are used, both without a gap. */
struct drv_batch {
	struct virtq_drv_used used;
	void *const *cookie;
	const struct virtq_drv_desc_state *state;
	struct rte_mbuf **pkts;	/* where packets go */
	uint64_t rearm;		/* of the queue */
	uint32_t hdr_len;
	uint16_t due, n;
};

/* What became of them. odd: the one that follows is used, and unlike these. */
struct drv_received {
	uint32_t n;
	bool odd;
	uint64_t classes;
};

typedef struct drv_received (*drv_batch_fn)(const struct drv_batch *batch);

/*
 * vnet_rx_mbuf_init() in two stores, which pays where nobody reads right after what they wrote. len
 * is less than 64 KiB, so that no VLAN tag comes of it.
 */
VIRTQ_INLINE void
drv_mbuf_init(struct rte_mbuf *m, drv_u64x2 start, uint32_t len)
{
	const virtq_u32x4 type_lens_hash = {0, len, len, 0};

	memcpy(&m->rearm_data, &start, sizeof(start));
	memcpy(&m->packet_type, &type_lens_hash, sizeof(type_lens_hash));
}

_Static_assert(offsetof(struct rte_mbuf, ol_flags) == offsetof(struct rte_mbuf, rearm_data) + 8 &&
	       offsetof(struct rte_mbuf, data_len) == offsetof(struct rte_mbuf, packet_type) + 8,
	       "words that drv_mbuf_init() writes");
_Static_assert(VNET_BURST <= VNET_SIZE_CLASS_MAX, "a batch's packets are in one classes");

/* Bytes offered under each of four descriptors. */
VIRTQ_INLINE virtq_u32x4
drv_batch_rooms(const struct virtq_drv_desc_state *state)
{
	virtq_u32x4 a, b;

	_Static_assert(sizeof(*state) == 8 && offsetof(struct virtq_drv_desc_state, len) == 0,
		       "two states are four words");
	memcpy(&a, state, sizeof(a));
	memcpy(&b, state + 2, sizeof(b));
	return (virtq_u32x4){a[0], a[2], b[0], b[2]};
}

/*
 * Split: four packets of a batch, from `at` on, at once. False: not all of them are plain; then
 * nothing has been done.
 */
VIRTQ_INLINE bool
drv_batch_four(const struct drv_batch *batch, uint64_t at, drv_u64x2 start, uint64_t *classes,
	const unsigned int flags)
{
	const uint32_t hdr_len = drv_hdr_len(batch->hdr_len, flags);
	const uint32_t due = batch->due + (uint32_t)at;
	virtq_u32x4 ids, lens, ends;
	struct rte_mbuf *m[4];
	uint16_t said = 0;

	virtq_drv_used_four(&batch->used, (uint32_t)at, &ids, &lens);
	lens -= hdr_len;
	/*
	 * The sign says that a length is too short, or longer than what was offered: there is none
	 * for which both differences are wrong and positive, as long as that has room for a frame.
	 */
	ends = (lens - RTE_ETHER_HDR_LEN) | (drv_batch_rooms(&batch->state[at]) - hdr_len - lens);
	ids ^= due + (virtq_u32x4){0, 1, 2, 3};
	for (unsigned int i = 0; i < 4; i++) {
		const uint8_t *h;

		m[i] = batch->cookie[at + i];
		h = drv_header(m[i], hdr_len);
		said |= (uint16_t)virtq_peek64(h);
		if (flags & DRV_RX_MERGE)
			said |= virtq_load16((const void *)(h + 10)) ^ 1;
	}
	if (unlikely(said != 0 || drv_batch_any(ids | ends >> 31)))
		return false;
	for (unsigned int i = 0; i < 4; i++) {
		rte_prefetch0((const uint8_t *)m[i]->buf_addr + RTE_PKTMBUF_HEADROOM);
		drv_mbuf_init(m[i], start, lens[i]);
		if (flags & DRV_RX_HASH)
			drv_hash(m[i]);
	}
	memcpy(&batch->pkts[at], &batch->cookie[at], sizeof(m));
	/* Neighbours are often of the same length. */
	if (likely(!drv_batch_any(lens ^ lens[0]))) {
		*classes += 4 * vnet_size_classes(lens[0]);
		return true;
	}
	for (unsigned int i = 0; i < 4; i++)
		*classes += vnet_size_classes(lens[i]);
	return true;
}

/*
 * As many packets of a batch as are used and came in the order of their buffers, each in one buffer
 * with an empty header. Of this the instances make a function of its own, for all of
 * its state to be in registers.
 */
VIRTQ_INLINE struct drv_received
drv_batch_receive(const struct drv_batch *p, const unsigned int flags)
{
	const struct drv_batch batch = *p; /* which nothing here can be taken to change */
	const uint32_t hdr_len = drv_hdr_len(batch.hdr_len, flags);
	const drv_u64x2 start = {batch.rearm, 0};
	uint64_t i = 0, classes = 0;
	bool odd = false;
	uint32_t id, len;

	if (!(flags & DRV_RX_PACKED))
		while (i + 4 <= batch.n && drv_batch_four(&batch, i, start, &classes, flags))
			i += 4;
	while (i < batch.n && virtq_drv_used_next(&batch.used, (uint32_t)i, &id, &len,
						  flags & DRV_RX_PACKED)) {
		struct rte_mbuf *m = batch.cookie[i];

		odd = id != batch.due + i || !drv_rx_is_plain(&batch.state[i], drv_header(m,
											  hdr_len),
							      len, hdr_len, flags);
		if (unlikely(odd))
			break;
		rte_prefetch0((const uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM);
		drv_mbuf_init(m, start, len - hdr_len);
		if (flags & DRV_RX_HASH)
			drv_hash(m);
		classes += vnet_size_classes(len - hdr_len);
		batch.pkts[i++] = m;
	}
	return (struct drv_received){.n = (uint32_t)i, .odd = odd, .classes = classes};
}

#endif /* VNET_DRV_BATCH_H */
