/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this library share and nobody else sees. */
#ifndef VNET_IMPL_H
#define VNET_IMPL_H

#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>

#include "vnet.h"
#include "vnet_count.h"
#include "vnet_extbuf.h"
#include "vnet_isa_x86.h"
#include "vnet_rx_after.h"
#include "vnet_zc_buf.h"

/* The header as it lies in a buffer; num_buffers is absent in the 10-byte form. VIRTIO 5.1.6 */
struct vnet_hdr {
	uint8_t flags;		/* VIRTIO_NET_HDR_F_ */
	uint8_t gso_type;	/* VIRTIO_NET_HDR_GSO_ */
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};

_Static_assert(sizeof(struct vnet_hdr) == 12, "virtio-net header");

/* Bytes of a header that reports a hash. */
#define VNET_HDR_HASH ((uint16_t)sizeof(struct virtio_net_hdr_v1_hash))

/* A header as long as any. */
struct vnet_any_hdr {
	struct vnet_hdr h;
	uint32_t hash_value;
	uint16_t hash_report;	/* VIRTIO_NET_HASH_REPORT_ */
	uint16_t padding;
};

_Static_assert(sizeof(struct vnet_any_hdr) == VNET_HDR_HASH, "VIRTIO 1.2, 5.1.6");

/* 16 bytes at any address. */
typedef uint8_t vnet_v16 __attribute__((vector_size(16), aligned(1), may_alias));

/* rte_memcpy(), of which the processor says whether it is inlined. */
#ifdef VNET_ISA_COPY_CALLS
void vnet_copy_long(void *to, const void *from, uint32_t len);
#else
static inline void
vnet_copy_long(void *to, const void *from, uint32_t len)
{
	rte_memcpy(to, from, len);
}
#endif

/*
 * Copy a packet. Short ones, the most frequent, go by four or eight moves that may overlap in the
 * middle, without a branch on the remainder.
 */
static inline __attribute__((always_inline)) void
vnet_copy(void *to, const void *from, uint32_t len)
{
	const vnet_v16 *f = from, *fe = (const void *)((const uint8_t *)from + len);
	vnet_v16 *t = to, *te = (void *)((uint8_t *)to + len);

	if (len - 32 <= 32) {
		vnet_v16 a = f[0], b = f[1], c = fe[-2], d = fe[-1];

		t[0] = a;
		t[1] = b;
		te[-2] = c;
		te[-1] = d;
	} else if (len - 64 <= 64) {
		vnet_v16 a = f[0], b = f[1], c = f[2], d = f[3];
		vnet_v16 w = fe[-4], x = fe[-3], y = fe[-2], z = fe[-1];

		t[0] = a;
		t[1] = b;
		t[2] = c;
		t[3] = d;
		te[-4] = w;
		te[-3] = x;
		te[-2] = y;
		te[-1] = z;
	} else {
		vnet_copy_long(to, from, len);
	}
}


/*
 * Whether a driver's header can be true for a packet of `len` bytes under these features. The
 * header is a private copy. VIRTIO 1.2, 5.1.6.2.
 */
bool vnet_offload_hdr_ok(const struct vnet_hdr *h, uint64_t features, uint32_t len);
/*
 * Features as the other role reads them: what the device may send is what the driver takes, and
 * the reverse. The functions here speak as the device does; a driver swaps first.
 */
static inline uint64_t
vnet_swap_roles(uint64_t features)
{
	const uint64_t guest = VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO4) |
			       VIRTQ_BIT(VIRTIO_NET_F_GUEST_TSO6) |
			       VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN) |
			       VIRTQ_BIT(VIRTIO_NET_F_GUEST_UFO);
	const uint64_t csum = VIRTQ_BIT(VIRTIO_NET_F_CSUM);
	const unsigned int up = VIRTIO_NET_F_HOST_TSO4 - VIRTIO_NET_F_GUEST_TSO4;
	uint64_t rest = features & ~(guest | guest << up | csum | csum << 1);

	return rest | (features & guest) << up | (features >> up & guest) |
	       (features & csum) << 1 | (features >> 1 & csum);
}

/* Whether a packet of this kind is the application's only when vnet_cut_burst() has seen it. */
bool vnet_offload_is_cut(uint32_t flags, uint8_t gso_type);
/* Carry a checked header over into the mbuf that holds the packet. */
void vnet_offload_rx(struct vnet_rxq *rxq, const struct vnet_hdr *h, struct rte_mbuf *m);

/* A round has received n packets. Those that are looked at again are counted in vnet_rx_end(). */
static inline void
vnet_rx_account(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n, uint64_t bytes)
{
	if (unlikely(rxq->flags & VNET_F_AFTER))
		return;
	rxq->stats.packets += n;
	rxq->stats.bytes += bytes;
	if (rxq->flags & VNET_F_STATS)
		vnet_count_classes(&rxq->stats, pkts, n);
}

/* The same where bytes and classes were counted along the way. */
static inline void
vnet_rx_account_classes(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n, uint64_t classes)
{
	if (unlikely(rxq->flags & VNET_F_AFTER))
		return;
	rxq->stats.packets += n;
	rxq->stats.bytes += vnet_size_classes_bytes(classes);
	if (rxq->flags & VNET_F_STATS)
		vnet_count_size_classes(&rxq->stats, pkts, n, classes);
}

/*
 * A burst has received n packets. Returns how many of them are delivered; the others are dropped.
 * Asked for once a burst: what a call returns among the rounds costs each packet some cycles.
 */
static inline uint16_t
vnet_rx_end(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	return n > 0 && unlikely(rxq->flags & VNET_F_AFTER) ? vnet_rx_after(rxq, pkts, n) : n;
}

/* A raw mbuf becomes a packet of one segment of len bytes; rearm: its queue's. */
static inline void
vnet_rx_mbuf_init(struct rte_mbuf *m, uint64_t rearm, uint32_t len)
{
	const uint64_t type_and_len = (uint64_t)len << 32;
	const uint64_t data_len_and_hash = (uint16_t)len;

	memcpy(&m->rearm_data, &rearm, sizeof(rearm));
	m->ol_flags = 0;
	memcpy(&m->packet_type, &type_and_len, sizeof(type_and_len));
	memcpy(&m->data_len, &data_len_and_hash, sizeof(data_len_and_hash));
}

_Static_assert(offsetof(struct rte_mbuf, pkt_len) == offsetof(struct rte_mbuf, packet_type) + 4 &&
	       offsetof(struct rte_mbuf, vlan_tci) == offsetof(struct rte_mbuf, data_len) + 2 &&
	       offsetof(struct rte_mbuf, hash.rss) == offsetof(struct rte_mbuf, data_len) + 4,
	       "pairs that vnet_rx_mbuf_init() writes");

/* Flags that need more than a copy. */
#define VNET_TX_WORK (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | \
		 RTE_MBUF_F_TX_UDP_SEG | RTE_MBUF_F_TX_VLAN | RTE_MBUF_F_RX_LRO)

/*
 * Give mbufs back to their pools in as few calls as can be. An mbuf of one segment has next ==
 * NULL, so its second cache line is left alone, unless it is attached to something.
 */
static inline void
vnet_free_sent(struct rte_mbuf **pkts, uint16_t n)
{
	void *same[VNET_BURST];
	struct rte_mempool *pool = NULL;
	unsigned int count = 0;
	uint16_t room = 0;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		if (unlikely(m->nb_segs != 1 || rte_mbuf_refcnt_read(m) != 1)) {
			rte_pktmbuf_free(m);
			continue;
		}
		if (unlikely(m->pool != pool)) {
			if (count > 0)
				rte_mempool_put_bulk(pool, same, count);
			pool = m->pool;
			room = rte_pktmbuf_data_room_size(pool);
			count = 0;
		}
		if (!RTE_MBUF_DIRECT(m) && !vnet_zc_buf_detach(m, room)) {
			m = rte_pktmbuf_prefree_seg(m);
			if (unlikely(m == NULL))
				continue;
		}
		same[count++] = m;
	}
	if (count > 0)
		rte_mempool_put_bulk(pool, same, count);
}

/* Count n packets done with (n <= 32) but for those whose bit is set in `dropped`. */
static inline void
vnet_tx_account(struct vnet_stats *stats, uint32_t flags, struct rte_mbuf **pkts, uint16_t n,
		uint32_t dropped)
{
	if (likely(dropped == 0)) {
		if (flags & VNET_F_STATS)
			vnet_count_classes(stats, pkts, n);
		stats->packets += n;
		return;
	}
	for (uint16_t i = 0; i < n; i++)
		if (!(dropped & 1u << i))
			vnet_tx_account(stats, flags, &pkts[i], 1, 0);
}

/* Bytes at the start of a frame that offloads can change: headers, and a VLAN tag to come. */
#define VNET_HEAD_MAX 256

/*
 * A packet on its way to a guest. The first bytes are copied here, where tags and checksums can
 * be put in without touching the application's mbuf, which may be shared.
 */
struct vnet_tx_pkt {
	struct rte_mbuf *m;
	struct vnet_hdr hdr;
	uint32_t len;		/* of the frame, a tag put in included */
	uint32_t head_skip;	/* bytes of the mbuf that head stands for */
	uint16_t head_len;	/* bytes in head; 0: send all from the mbuf */
	uint16_t l2_len, l3_len, l4_len; /* l2 with the tag */
	uint16_t mss;		/* not 0: cut into frames of so much payload */
	bool sw_csum;		/* a checksum was computed, to be counted when the packet is sent */
	uint8_t head[VNET_HEAD_MAX];
};

/*
 * Do the offloads that the mbuf asks for, or describe them where these features let the guest do
 * them. 0, or -EINVAL when that cannot be done.
 */
int vnet_offload_tx(uint64_t features, struct rte_mbuf *m, struct vnet_tx_pkt *p);
/*
 * The frame that carries payload bytes [off, off + len) of a packet that has to be segmented:
 * frame->head is complete, its checksums included; the payload stays in the mbuf.
 */
void vnet_offload_segment(const struct vnet_tx_pkt *p, uint32_t off, uint32_t len,
			  struct vnet_tx_pkt *frame);

#endif /* VNET_IMPL_H */
