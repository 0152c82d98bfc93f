/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums and segmentation between virtio-net headers and mbufs. VIRTIO 1.2, 5.1.6.2, 5.1.6.4 */
#include <errno.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_sctp.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "vnet_crc32c.h"
#include "vnet_csum.h"
#include "vnet_cut.h"
#include "vnet_impl.h"
#include "vnet_mbuf.h"
#include "vnet_ptype.h"

/*
 * The features of which one lets the driver send this kind of large packet; 0: there is none. GSO
 * means all kinds. VIRTIO 1.2, 5.1.3.2.
 */
static uint64_t
gso_features(uint8_t gso_type)
{
	const uint64_t all = VIRTQ_BIT(VIRTIO_NET_F_GSO);

	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return all | VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return all | VIRTQ_BIT(VIRTIO_NET_F_HOST_TSO6);
	case VIRTIO_NET_HDR_GSO_UDP:
		return all | VIRTQ_BIT(VIRTIO_NET_F_HOST_UFO);
	default:
		return 0;
	}
}

bool
vnet_offload_hdr_ok(const struct vnet_hdr *h, uint64_t features, uint32_t len)
{
	bool needs_csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (needs_csum) {
		if (!(features & VIRTQ_BIT(VIRTIO_NET_F_CSUM)) ||
		    (uint32_t)h->csum_start + h->csum_offset + 2 > len)
			return false;
	}
	if (h->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		if (!(features & gso_features(h->gso_type)) || !needs_csum || h->gso_size == 0)
			return false;
		if ((h->gso_type & VIRTIO_NET_HDR_GSO_ECN) &&
		    !(features & (VIRTQ_BIT(VIRTIO_NET_F_HOST_ECN) |
				  VIRTQ_BIT(VIRTIO_NET_F_GSO))))
			return false;
	}
	return true;
}

/*
 * Transmit flags that say the same as the header, or 0 where the packet's own headers disagree: an
 * inner checksum of a tunnel, or a driver that lies to the port which these flags are meant for.
 */
static uint64_t
rx_legacy_flags(const struct vnet_hdr *h, uint32_t type, const struct rte_net_hdr_lens *lens)
{
	bool tcp = (type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP;
	bool udp = (type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP;
	bool ipv6 = RTE_ETH_IS_IPV6_HDR(type);
	uint64_t flags = ipv6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;

	if (h->csum_start != lens->l2_len + lens->l3_len ||
	    !((tcp && h->csum_offset == offsetof(struct rte_tcp_hdr, cksum)) ||
	      (udp && h->csum_offset == offsetof(struct rte_udp_hdr, dgram_cksum))))
		return 0;
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return flags | (tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
	case VIRTIO_NET_HDR_GSO_UDP:
		return udp ? flags | RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_UDP_SEG : 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		if (!tcp || ipv6 != ((h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) ==
				     VIRTIO_NET_HDR_GSO_TCPV6))
			return 0;
		/* Each segment has an IPv4 header of its own. */
		return flags | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG |
		       (ipv6 ? 0 : RTE_MBUF_F_TX_IP_CKSUM);
	default:
		return 0;
	}
}

/*
 * Whether a port can be told these lengths: the fields hold them, and the headers are as long as
 * headers are and lie in the first segment, where rte_eth_tx_prepare() looks for them.
 */
static bool
rx_legacy_lens(const struct rte_mbuf *m, const struct rte_net_hdr_lens *lens)
{
	const bool tcp = (m->packet_type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP;
	const uint32_t least = tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr);

	return lens->l2_len < 1 << RTE_MBUF_L2_LEN_BITS &&
	       lens->l3_len < 1 << RTE_MBUF_L3_LEN_BITS &&
	       lens->l4_len >= least &&
	       (uint32_t)lens->l2_len + lens->l3_len + lens->l4_len <= m->data_len;
}

/* Speak in Tx flags, which the application passes on to a port that takes them. */
static bool
rx_legacy(const struct vnet_hdr *h, struct rte_mbuf *m, const struct rte_net_hdr_lens *lens)
{
	const uint64_t flags = rx_legacy_flags(h, m->packet_type, lens);
	const uint16_t segsz = h->gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : h->gso_size;

	if (flags == 0 || !rx_legacy_lens(m, lens))
		return false;
	/* The whole word: it still is that of the packet which the mbuf held before. */
	m->tx_offload = rte_mbuf_tx_offload(lens->l2_len, lens->l3_len, lens->l4_len, segsz,
					    0, 0, 0);
	m->ol_flags |= flags;
	return true;
}

bool
vnet_offload_is_cut(uint32_t flags, uint8_t gso_type)
{
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return false;
	case VIRTIO_NET_HDR_GSO_UDP:
		return flags & VNET_F_CUT_UDP;
	default:
		return flags & VNET_F_CUT_TCP;
	}
}

/* Whether a packet is to be told in Tx flags, if it can be. */
static bool
rx_is_legacy(uint32_t flags, uint8_t gso_type)
{
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return flags & VNET_F_LEGACY_OL;
	case VIRTIO_NET_HDR_GSO_UDP:
		return (flags & (VNET_F_LEGACY_OL | VNET_F_CUT_UDP)) == VNET_F_LEGACY_OL;
	default:
		return flags & (VNET_F_LEGACY_OL | VNET_F_LEGACY_SEG);
	}
}

void
vnet_offload_rx(struct vnet_rxq *rxq, const struct vnet_hdr *h, struct rte_mbuf *m)
{
	const bool merged = h->gso_type != VIRTIO_NET_HDR_GSO_NONE;
	struct rte_net_hdr_lens lens = {0};

	m->packet_type = vnet_ptype(m, &lens, RTE_PTYPE_ALL_MASK);
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) /* then it is not large either */
		return;
	if (rx_is_legacy(rxq->flags, h->gso_type) &&
	    (m->nb_segs == 1 || (rxq->flags & VNET_F_SCATTER)) && rx_legacy(h, m, &lens))
		return;
	if (merged) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = h->gso_size;
	}
	if (vnet_offload_is_cut(rxq->flags, h->gso_type)) {
		/* Each piece gets a checksum of its own then. */
		vnet_cut_mark(m, h->gso_type);
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	} else if (rxq->flags & VNET_F_PARTIAL_CSUM) {
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	} else {
		vnet_mbuf_store16(m, (uint32_t)h->csum_start + h->csum_offset,
				  vnet_csum_of(vnet_mbuf_sum(m, h->csum_start,
							     m->pkt_len - h->csum_start)));
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		rxq->stats.sw_csum++;
	}
}

/* What the mbuf asks for, told from its flags or, for a packet that came merged, its headers. */
struct tx_request {
	bool vlan, ip_csum, l4_csum, sctp, gso, ipv6, udp;
	uint16_t csum_offset;	/* of the field in the L4 header */
	uint16_t mss;
};

/*
 * A merged packet (RX_LRO) that is passed on has complete checksums and its segment size: it is
 * large like one that was asked to be cut.
 */
static void
tx_request_of_merged(struct rte_mbuf *m, struct tx_request *r, struct vnet_tx_pkt *p)
{
	struct rte_net_hdr_lens lens = {0};
	uint32_t type;

	if (m->tso_segsz == 0)
		return;
	type = rte_net_get_ptype(m, &lens, VNET_PTYPE_OUTER);
	r->ipv6 = RTE_ETH_IS_IPV6_HDR(type);
	if ((type & RTE_PTYPE_L4_MASK) != RTE_PTYPE_L4_TCP)
		return;
	p->l2_len = lens.l2_len;
	p->l3_len = lens.l3_len;
	p->l4_len = lens.l4_len;
	r->gso = true;
	r->mss = m->tso_segsz;
	r->csum_offset = offsetof(struct rte_tcp_hdr, cksum);
}

static void
tx_request_of(struct rte_mbuf *m, struct tx_request *r, struct vnet_tx_pkt *p)
{
	uint64_t ol = m->ol_flags;

	*r = (struct tx_request){
		.vlan = ol & RTE_MBUF_F_TX_VLAN,
		.ip_csum = ol & RTE_MBUF_F_TX_IP_CKSUM,
		.ipv6 = ol & RTE_MBUF_F_TX_IPV6,
	};
	p->l2_len = m->l2_len;
	p->l3_len = m->l3_len;
	p->l4_len = m->l4_len;
	if (ol & RTE_MBUF_F_TX_TCP_SEG) {
		r->gso = true;
		r->mss = m->tso_segsz;
		r->csum_offset = offsetof(struct rte_tcp_hdr, cksum);
		return;
	}
	if (ol & RTE_MBUF_F_TX_UDP_SEG) {
		r->gso = true;
		r->udp = true;
		r->mss = m->tso_segsz;
		r->csum_offset = offsetof(struct rte_udp_hdr, dgram_cksum);
		p->l4_len = sizeof(struct rte_udp_hdr);
		return;
	}
	switch (ol & RTE_MBUF_F_TX_L4_MASK) {
	case RTE_MBUF_F_TX_TCP_CKSUM:
		r->l4_csum = true;
		r->csum_offset = offsetof(struct rte_tcp_hdr, cksum);
		return;
	case RTE_MBUF_F_TX_UDP_CKSUM:
		r->l4_csum = true;
		r->csum_offset = offsetof(struct rte_udp_hdr, dgram_cksum);
		return;
	case RTE_MBUF_F_TX_SCTP_CKSUM:
		r->sctp = true;
		r->csum_offset = offsetof(struct rte_sctp_hdr, cksum);
		return;
	}
	if (ol & RTE_MBUF_F_RX_LRO)
		tx_request_of_merged(m, r, p);
}

/* Copy the first bytes, the tag put in behind the addresses. */
static void
tx_head(struct vnet_tx_pkt *p, bool vlan, uint16_t want)
{
	const uint16_t addrs = 2 * RTE_ETHER_ADDR_LEN;
	uint8_t *to = p->head;
	uint16_t from = 0;

	if (vlan) {
		const uint16_t tag[2] = {rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN),
					 rte_cpu_to_be_16(p->m->vlan_tci)};
		uint8_t buf[2 * RTE_ETHER_ADDR_LEN];

		memcpy(to, rte_pktmbuf_read(p->m, 0, addrs, buf), addrs);
		memcpy(to + addrs, tag, sizeof(tag));
		to += addrs + sizeof(tag);
		from = addrs;
	}
	if (want > from) {
		const void *data = rte_pktmbuf_read(p->m, from, want - from, to);

		if (data != to)
			memcpy(to, data, want - from);
		to += want - from;
		from = want;
	}
	p->head_len = (uint16_t)(to - p->head);
	p->head_skip = from;
}

/* IPv6 has none: an application that asks for it all the same would lose part of an address. */
static void
tx_ip_csum(uint8_t *l3, uint16_t l3_len)
{
	struct rte_ipv4_hdr *ip = (void *)l3;

	if ((l3[0] >> 4) == 6)
		return;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(l3, l3_len);
}

/* The kind of large packet that this one would be to the guest, and the features it takes. */
static uint8_t
tx_gso_type(const struct vnet_tx_pkt *p, const struct tx_request *r, uint64_t *needs)
{
	const uint8_t *l4 = p->head + p->l2_len + p->l3_len;
	uint8_t type;

	*needs = VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (r->udp) {
		*needs |= VIRTQ_BIT(VIRTIO_NET_F_GUEST_UFO);
		return VIRTIO_NET_HDR_GSO_UDP;
	}
	type = r->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	*needs |= VIRTQ_BIT(r->ipv6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4);
	if (l4[offsetof(struct rte_tcp_hdr, tcp_flags)] & RTE_TCP_CWR_FLAG) {
		*needs |= VIRTQ_BIT(VIRTIO_NET_F_GUEST_ECN);
		type |= VIRTIO_NET_HDR_GSO_ECN;
	}
	return type;
}

/* Bytes at the start of the mbuf that this work changes or needs to see; 0: that makes no sense. */
static uint16_t
tx_head_bytes(const struct vnet_tx_pkt *p, const struct tx_request *r)
{
	uint32_t l4_off = (uint32_t)p->l2_len + p->l3_len, want = 2 * RTE_ETHER_ADDR_LEN;

	if (r->ip_csum)
		want = l4_off;
	if (r->l4_csum)
		want = l4_off + r->csum_offset + 2;
	if (r->sctp)
		want = l4_off + sizeof(struct rte_sctp_hdr);
	if (r->gso)
		want = l4_off + RTE_MAX(p->l4_len, r->csum_offset + 2);
	if (want > p->m->pkt_len || want > VNET_HEAD_MAX - sizeof(struct rte_vlan_hdr) ||
	    p->m->pkt_len < RTE_ETHER_HDR_LEN)
		return 0;
	if ((r->ip_csum || r->gso) && p->l3_len < sizeof(struct rte_ipv4_hdr))
		return 0;
	if (r->gso && (r->mss == 0 || (!r->udp && p->l4_len < sizeof(struct rte_tcp_hdr))))
		return 0;
	return (uint16_t)want;
}

/*
 * A packet that is to be cut: by the guest, if it takes such, or by us. What fits one segment
 * needs a checksum at most. 0, or -EINVAL: neither can cut it.
 */
static int
tx_gso(struct vnet_tx_pkt *p, uint64_t features, struct tx_request *r)
{
	const uint64_t asked = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG;
	uint64_t needs;
	uint8_t type = tx_gso_type(p, r, &needs);

	r->l4_csum = p->m->ol_flags & asked; /* a merged packet has its checksum */
	if (p->len <= (uint32_t)p->head_len + r->mss)
		return 0;
	if ((features & needs) == needs) {
		r->l4_csum = true;	/* which is to be that of the pseudo-header alone */
		p->hdr.gso_type = type;
		p->hdr.gso_size = r->mss;
		p->hdr.hdr_len = p->l2_len + p->l3_len + p->l4_len;
		return 0;
	}
	/* Datagrams would have to be fragmented, which is for the sender to do. */
	if (r->udp)
		return -EINVAL;
	p->mss = r->mss;
	return 0;
}

/*
 * Bytes of the L4 packet: as the IP header says, for there may be padding behind it, but what is to
 * be cut has none; where the headers are no IP, *proto is 0 and all of the rest is meant.
 */
static uint32_t
tx_l4_bytes(const struct vnet_tx_pkt *p, const struct tx_request *r, uint8_t *proto)
{
	const uint8_t *l3 = p->head + p->l2_len;
	const uint32_t rest = p->len - p->l2_len - p->l3_len;
	const uint8_t version = l3[0] >> 4;

	*proto = r->csum_offset == offsetof(struct rte_tcp_hdr, cksum) ? IPPROTO_TCP : IPPROTO_UDP;
	if ((version == 4 && p->l3_len >= sizeof(struct rte_ipv4_hdr)) ||
	    (version == 6 && p->l3_len >= sizeof(struct rte_ipv6_hdr)))
		return r->gso ? rest : vnet_l4_bytes(l3, version == 6, p->l3_len);
	*proto = 0;
	return rest;
}

/*
 * Put the pseudo-header's sum in its place. A guest wants the whole length in it even where the
 * packet is to be cut (VIRTIO 1.2, 5.1.6.2), ethdev wants it without; and an application may have
 * left it to the driver. Where the headers are no IP, what stands there is taken to be right.
 */
static void
tx_pseudo_header(struct vnet_tx_pkt *p, const struct tx_request *r, uint8_t proto,
		 uint32_t l4_bytes)
{
	uint8_t *l3 = p->head + p->l2_len, *field = l3 + p->l3_len + r->csum_offset;

	if (proto != 0)
		vnet_store16(field, vnet_fold(vnet_pseudo_sum(l3, (l3[0] >> 4) != 4, proto,
							      l4_bytes)));
}

/* Sum of `bytes` from the L4 header on: in the head, then in the mbuf, which has so many. */
static uint16_t
tx_l4_sum(const struct vnet_tx_pkt *p, uint32_t bytes)
{
	const uint16_t l4_off = p->l2_len + p->l3_len;
	const uint32_t in_head = RTE_MIN(bytes, (uint32_t)p->head_len - l4_off);
	uint32_t sum = vnet_mbuf_sum(p->m, p->head_skip, bytes - in_head);

	if (in_head & 1)
		sum = rte_bswap16((uint16_t)sum);
	return __rte_raw_cksum_reduce(sum + rte_raw_cksum(p->head + l4_off, in_head));
}

static void
tx_csum(struct vnet_tx_pkt *p, uint64_t features, const struct tx_request *r)
{
	uint16_t l4_off = p->l2_len + p->l3_len;
	uint8_t proto;
	uint32_t bytes = tx_l4_bytes(p, r, &proto);

	tx_pseudo_header(p, r, proto, bytes);
	if (features & VIRTQ_BIT(VIRTIO_NET_F_GUEST_CSUM)) {
		p->hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		p->hdr.csum_start = l4_off;
		p->hdr.csum_offset = r->csum_offset;
		return;
	}
	bytes = RTE_MIN(bytes, p->len - l4_off);
	vnet_store16(p->head + l4_off + r->csum_offset, vnet_csum_of(tx_l4_sum(p, bytes)));
	p->sw_csum = true;
}

/* No guest takes this one partial: it is complete whatever was negotiated. */
static void
tx_sctp_csum(struct vnet_tx_pkt *p, const struct tx_request *r)
{
	const uint16_t l4_off = p->l2_len + p->l3_len, in_head = p->head_len - l4_off;
	uint8_t *l4 = p->head + l4_off, proto;
	const uint32_t bytes = RTE_MIN(tx_l4_bytes(p, r, &proto), p->len - l4_off);
	const rte_le32_t none = 0;
	rte_le32_t csum;
	uint32_t crc;

	memcpy(l4 + r->csum_offset, &none, sizeof(none));
	crc = vnet_crc32c(l4, RTE_MIN(bytes, in_head), VNET_CRC32C_BEGIN);
	if (bytes > in_head)
		crc = vnet_crc32c_mbuf(p->m, p->head_skip, bytes - in_head, crc);
	csum = vnet_crc32c_end(crc);
	memcpy(l4 + r->csum_offset, &csum, sizeof(csum));
	p->sw_csum = true;
}

int
vnet_offload_tx(uint64_t features, struct rte_mbuf *m, struct vnet_tx_pkt *p)
{
	struct tx_request r;
	uint16_t want;

	p->m = m;
	p->len = m->pkt_len;
	p->hdr = (struct vnet_hdr){.num_buffers = 1};
	p->head_len = 0;
	p->head_skip = 0;
	p->mss = 0;
	p->sw_csum = false;
	tx_request_of(m, &r, p);
	if (!r.vlan && !r.ip_csum && !r.l4_csum && !r.sctp && !r.gso)
		return 0;
	want = tx_head_bytes(p, &r);
	if (want == 0)
		return -EINVAL;
	tx_head(p, r.vlan, want);
	if (r.vlan) {
		p->len += sizeof(struct rte_vlan_hdr);
		p->l2_len += sizeof(struct rte_vlan_hdr);
	}
	if (r.ip_csum)
		tx_ip_csum(p->head + p->l2_len, p->l3_len);
	if (r.gso && tx_gso(p, features, &r) < 0)
		return -EINVAL;
	if (r.l4_csum && p->mss == 0)
		tx_csum(p, features, &r);
	if (r.sctp)
		tx_sctp_csum(p, &r);
	return 0;
}

/* Length fields, and the identification that tells IPv4 packets apart. */
static void
segment_ip(uint8_t *l3, uint16_t l3_len, uint16_t l4_bytes, uint16_t index)
{
	if ((l3[0] >> 4) == 4) {
		struct rte_ipv4_hdr *ip = (void *)l3;

		ip->total_length = rte_cpu_to_be_16(l3_len + l4_bytes);
		ip->packet_id = rte_cpu_to_be_16(rte_be_to_cpu_16(ip->packet_id) + index);
		tx_ip_csum(l3, l3_len);
	} else {
		struct rte_ipv6_hdr *ip = (void *)l3;

		ip->payload_len = rte_cpu_to_be_16(l3_len - sizeof(*ip) + l4_bytes);
	}
}

void
vnet_offload_segment(const struct vnet_tx_pkt *p, uint32_t off, uint32_t len,
		     struct vnet_tx_pkt *frame)
{
	uint32_t payload = p->len - p->head_len;
	uint8_t *l3, *l4;
	struct rte_tcp_hdr *tcp;
	uint64_t total;

	frame->m = p->m;
	frame->hdr = (struct vnet_hdr){.num_buffers = 1};
	frame->head_len = p->head_len;
	frame->head_skip = p->head_skip + off;
	frame->len = p->head_len + len;
	frame->mss = 0;
	frame->sw_csum = true;
	memcpy(frame->head, p->head, p->head_len);
	l3 = frame->head + p->l2_len;
	l4 = l3 + p->l3_len;
	tcp = (void *)l4;
	segment_ip(l3, p->l3_len, p->l4_len + len, off / p->mss);
	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + off);
	if (off + len < payload)
		tcp->tcp_flags &= ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	if (off > 0)
		tcp->tcp_flags &= ~RTE_TCP_CWR_FLAG;
	tcp->cksum = 0;
	total = vnet_pseudo_sum(l3, (l3[0] >> 4) != 4, IPPROTO_TCP, p->l4_len + len) +
		rte_raw_cksum(l4, p->l4_len) + vnet_mbuf_sum(p->m, p->head_skip + off, len);
	tcp->cksum = vnet_csum_of(total);
}
