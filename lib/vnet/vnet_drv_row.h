/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Driver side, receive: plain packets in the order of the ring, which nearly all are, from used
 * entries to mbufs in one pass. Part of vnet_drv_rx.c.
 */
#ifndef VNET_DRV_ROW_H
#define VNET_DRV_ROW_H

#include "vnet_drv_gather.h"

#define RX_PACKED	(1u << 0)
#define RX_MERGE	(1u << 1) /* a packet may lie in several buffers */
#define RX_ANY_HDR	(1u << 2) /* header length as the run says, else 12 */
#define RX_HASH		(1u << 3) /* the header reports a hash, and has its length */

/* Bytes of the header; any: what the run says. */
VIRTQ_INLINE uint32_t
drv_hdr_len(uint32_t any, const unsigned int flags)
{
	if (flags & RX_HASH)
		return VIRTQ_HDR_HASH;
	return flags & RX_ANY_HDR ? any : 12;
}

/*
 * What follows the header proper: the hash, the kind of packet it was computed for, padding. Of
 * kinds that are not known it cannot be said what the hash means. VIRTIO 1.2, 5.1.6.4.4.
 */
VIRTQ_INLINE void
drv_hash(struct rte_mbuf *m)
{
	const uint8_t *at = drv_header(m, VIRTQ_HDR_HASH) + sizeof(struct vnet_hdr);
	const uint64_t said = virtq_peek64(at);
	const uint16_t report = (uint16_t)(said >> 32);

	if (report == VIRTIO_NET_HASH_REPORT_NONE || report > VIRTIO_NET_HASH_REPORT_UDPv6_EX)
		return;
	m->hash.rss = (uint32_t)said;
	m->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
}

/* Four words, and the four even or odd ones of two such. */
typedef uint64_t drv_u64x2 __attribute__((vector_size(16)));
typedef uint32_t drv_u32x4 __attribute__((vector_size(16)));

VIRTQ_INLINE drv_u32x4
drv_load4(const void *p)
{
	typedef uint32_t u32x4 __attribute__((vector_size(16), aligned(4), may_alias));

	return *(const volatile u32x4 *)p; /* once */
}

VIRTQ_INLINE drv_u32x4
drv_even(drv_u32x4 a, drv_u32x4 b)
{
	return __builtin_shufflevector(a, b, 0, 2, 4, 6);
}

VIRTQ_INLINE drv_u32x4
drv_odd(drv_u32x4 a, drv_u32x4 b)
{
	return __builtin_shufflevector(a, b, 1, 3, 5, 7);
}

VIRTQ_INLINE bool
drv_any(drv_u32x4 v)
{
	const drv_u64x2 w = (drv_u64x2)v;

	return (w[0] | w[1]) != 0;
}

/* A used entry and a header of which there is nothing to be said, so that len is the packet's. */
VIRTQ_INLINE bool
drv_rx_is_plain(const struct virtq_drv_slot *slot, const uint8_t *h, uint32_t len,
	uint32_t hdr_len, const unsigned int flags)
{
	return len >= hdr_len + RTE_ETHER_HDR_LEN && len <= slot->len &&
	       (uint16_t)virtq_peek64(h) == 0 &&
	       (!(flags & RX_MERGE) || virtq_load16((const void *)(h + 10)) == 1);
}

/* Buffers that are due, and entries that may say that they are used, both without a gap. */
struct drv_row {
	struct virtq_drv_used used;
	void *const *cookie;
	const struct virtq_drv_slot *slot;
	struct rte_mbuf **pkts;	/* where packets go */
	uint64_t rearm;		/* of the queue */
	uint32_t hdr_len;
	uint16_t due, n;
};

/* What became of them. */
struct drv_received {
	uint64_t n, tally;
};

typedef struct drv_received (*drv_row_taker)(const struct drv_row *row);

/*
 * vnet_rx_mbuf_init() in two stores, which pays where nobody reads right after what they wrote. len
 * is less than 64 KiB, so that no VLAN tag comes of it.
 */
VIRTQ_INLINE void
drv_mbuf_init(struct rte_mbuf *m, drv_u64x2 start, uint32_t len)
{
	const drv_u32x4 type_lens_hash = {0, len, len, 0};

	memcpy(&m->rearm_data, &start, sizeof(start));
	memcpy(&m->packet_type, &type_lens_hash, sizeof(type_lens_hash));
}

/*
 * Split: four packets of a row, from `at` on, at once. False: not all of them are plain; then
 * nothing has been done.
 */
VIRTQ_INLINE bool
drv_take_four(const struct drv_row *row, uint64_t at, drv_u64x2 start, uint64_t *tally,
	const unsigned int flags)
{
	const uint32_t hdr_len = drv_hdr_len(row->hdr_len, flags);
	const struct vring_used_elem *e = (const struct vring_used_elem *)row->used.first + at;
	const drv_u32x4 a = drv_load4(e), b = drv_load4(e + 2);
	const drv_u32x4 c = drv_load4(&row->slot[at]), d = drv_load4(&row->slot[at + 2]);
	const drv_u32x4 ids = row->due + (uint32_t)at + (drv_u32x4){0, 1, 2, 3};
	const drv_u32x4 lens = drv_odd(a, b) - hdr_len, zero = {0};
	/* The sign says that a length is too short, or longer than what was offered. */
	const drv_u32x4 ends = (lens - RTE_ETHER_HDR_LEN) | (drv_even(c, d) - hdr_len - lens);
	struct rte_mbuf *m[4];
	uint16_t said = 0;

	for (unsigned int i = 0; i < 4; i++) {
		const uint8_t *h;

		m[i] = row->cookie[at + i];
		h = drv_header(m[i], hdr_len);
		said |= (uint16_t)virtq_peek64(h);
		if (flags & RX_MERGE)
			said |= virtq_load16((const void *)(h + 10)) ^ 1;
	}
	if (unlikely(said != 0 || drv_any((drv_even(a, b) ^ ids) | ends >> 31)))
		return false;
	for (unsigned int i = 0; i < 4; i++) {
		rte_prefetch0((const uint8_t *)m[i]->buf_addr + RTE_PKTMBUF_HEADROOM);
		drv_mbuf_init(m[i], start, lens[i]);
		if (flags & RX_HASH)
			drv_hash(m[i]);
	}
	memcpy(&row->pkts[at], &row->cookie[at], sizeof(m));
	/* Neighbours are often of the same length. */
	if (likely(!drv_any(lens ^ (zero + lens[0])))) {
		*tally += 4 * vnet_tally(lens[0]);
		return true;
	}
	for (unsigned int i = 0; i < 4; i++)
		*tally += vnet_tally(lens[i]);
	return true;
}

/*
 * As many packets of a row as are used, came in the order in which their buffers were offered, each
 * in one buffer with an empty header. Of this the instances make a function of its own, for all of
 * its state to be in registers.
 */
VIRTQ_INLINE struct drv_received
drv_take_row(const struct drv_row *p, const unsigned int flags)
{
	const struct drv_row row = *p; /* which nothing here can be taken to change */
	const uint32_t hdr_len = drv_hdr_len(row.hdr_len, flags);
	const drv_u64x2 start = {row.rearm, 0};
	struct drv_received r = {0};
	uint32_t id, len;

	if (!(flags & RX_PACKED))
		while (r.n + 4 <= row.n && drv_take_four(&row, r.n, start, &r.tally, flags))
			r.n += 4;
	while (r.n < row.n && virtq_drv_used_next(&row.used, r.n, &id, &len, flags & RX_PACKED)) {
		struct rte_mbuf *m = row.cookie[r.n];

		if (unlikely(id != row.due + r.n ||
			     !drv_rx_is_plain(&row.slot[r.n], drv_header(m, hdr_len), len,
					      hdr_len, flags)))
			break;
		rte_prefetch0((const uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM);
		drv_mbuf_init(m, start, len - hdr_len);
		if (flags & RX_HASH)
			drv_hash(m);
		r.tally += vnet_tally(len - hdr_len);
		row.pkts[r.n++] = m;
	}
	return r;
}

#endif /* VNET_DRV_ROW_H */
