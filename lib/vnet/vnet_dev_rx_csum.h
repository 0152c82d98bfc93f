/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side, from the guest: packets that ask for a checksum alone. Part of vnet_dev_rx.c. */
#ifndef VNET_DEV_RX_CSUM_H
#define VNET_DEV_RX_CSUM_H

#include "virtq_dev.h"
#include "vnet_csum.h"
#include "vnet_impl.h"
#include "vnet_ptype.h"

/* Where a checksum is due. */
struct rx_csum {
	uint16_t start, offset;
};

/*
 * Short packets of a round whose header asks for a checksum and nothing else. It is computed when
 * the whole round is copied, for what was just written cannot be read again at once.
 */
struct rx_csums {
	uint32_t mask;		/* by the packet's place among those delivered */
	struct rx_csum at[VNET_BURST];
};

/* Flags and GSO type of a header that asks for a checksum alone, as they lie in the buffer. */
#define DEV_RX_CSUM_ALONE (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_GSO_NONE << 8)

/*
 * The header of a plain chain asks for something, `asks`. False: for more than a checksum, or for
 * one that cannot be; then it is for rx_slow().
 */
VIRTQ_INLINE bool
rx_asks_csum(const struct virtq_ring *ring, const struct virtq_chain *c, uint32_t len,
	     uint16_t asks,
	     struct rx_csum *csum)
{
	const uint64_t rest = virtq_peek64(c->addr + offsetof(struct vnet_hdr, hdr_len));

	csum->start = (uint16_t)(rest >> 32);
	csum->offset = (uint16_t)(rest >> 48);
	return likely(asks == DEV_RX_CSUM_ALONE &&
		      (uint32_t)csum->start + csum->offset + 2 <= len &&
		      (ring->features & VIRTQ_BIT(VIRTIO_NET_F_CSUM)));
}

_Static_assert(offsetof(struct vnet_hdr, csum_start) == offsetof(struct vnet_hdr, hdr_len) + 4 &&
	       offsetof(struct vnet_hdr, csum_offset) == offsetof(struct vnet_hdr, hdr_len) + 6,
	       "one load takes them");

/*
 * Do what a header asks for; the packet is in one piece. With `whole`, sum is that of all of it,
 * otherwise it is still to be computed.
 */
VIRTQ_INLINE void
rx_csum(struct vnet_rxq *rxq, struct rte_mbuf *m, struct rx_csum c, bool whole, uint64_t sum)
{
	const struct vnet_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = c.start,
				   .csum_offset = c.offset};
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t type = vnet_plain_type(frame, m->data_len, c.start, c.offset);

	if (unlikely(type == 0 || (rxq->flags & VNET_F_LEGACY_OL) ||
		     (VNET_COMPAT_UDP_TUNNELS &&
		      vnet_ptype_may_be_tunnel(type, frame + c.start)))) {
		vnet_offload_rx(rxq, &h, m);
		return;
	}
	m->packet_type = type;
	if (rxq->flags & VNET_F_PARTIAL_CSUM) {
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
		return;
	}
	if (whole) /* what is before L4 does not count; it has an even number of bytes */
		sum += (uint16_t)~vnet_fold(vnet_sum(frame, c.start));
	else
		sum = vnet_sum(frame + c.start, m->data_len - c.start);
	vnet_store16(frame + c.start + c.offset, vnet_csum_of(sum));
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	rxq->stats.sw_csum++;
}

static __rte_noinline void
rx_csums(struct vnet_rxq *rxq, struct rte_mbuf **pkts, const struct rx_csums *csums)
{
	for (uint32_t left = csums->mask; left != 0; left &= left - 1) {
		const unsigned int i = (unsigned int)__builtin_ctz(left);

		rx_csum(rxq, pkts[i], csums->at[i], false, 0);
	}
}

/* A long packet is summed while it is copied. */
static __rte_noinline void
rx_copy_csum(struct vnet_rxq *rxq, struct rte_mbuf *m, const uint8_t *from, uint32_t len,
	     struct rx_csum c)
{
	vnet_rx_mbuf_init(m, rxq->rearm, len);
	rx_csum(rxq, m, c, true, vnet_copy_sum(rte_pktmbuf_mtod(m, uint8_t *), from, len));
}

#endif /* VNET_DEV_RX_CSUM_H */
