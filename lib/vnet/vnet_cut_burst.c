/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device side, from the guest: merged packets of TCP are cut into segments, and datagrams over a
 * fragment into fragments of IP, a piece at a time, as the application has room for them. Headers
 * are changed in a copy, since a packet may lie in the guest's memory (zero-copy).
 */
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_random.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "vnet_csum.h"
#include "vnet_cut.h"
#include "vnet_dev_rx_room.h"
#include "vnet_mbuf.h"
#include "vnet_ptype.h"

/* Bytes of an IPv6 fragment header. RFC 8200, section 4.5 */
#define FRAGMENT_HDR 8

/* Bytes that were counted for a packet and were taken out of it. */
static uint32_t
cut_tag(const struct rte_mbuf *m)
{
	return m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ? RTE_VLAN_HLEN : 0;
}

static void
cut_end(struct vnet_cut *cut)
{
	rte_pktmbuf_free(cut->p.m);
	cut->p.m = NULL;
}

/*
 * Offset of the byte that names UDP as the next header, in an IPv6 header and its extensions. 0:
 * they do not end where they should.
 */
static uint16_t
cut_next_at(const struct vnet_tx_pkt *p)
{
	const uint32_t end = (uint32_t)p->l2_len + p->l3_len;
	uint32_t at = p->l2_len + offsetof(struct rte_ipv6_hdr, proto);
	uint32_t ext = p->l2_len + sizeof(struct rte_ipv6_hdr);

	while (ext + 2 <= end) {
		at = ext;
		ext += (p->head[ext + 1] + 1u) * 8;
	}
	return ext == end && p->head[at] == IPPROTO_UDP ? (uint16_t)at : 0;
}

/* False: the packet is not what its header says. */
static bool
cut_begin_udp(struct vnet_cut *cut, struct rte_mbuf *m)
{
	struct vnet_tx_pkt *p = &cut->p;
	struct rte_net_hdr_lens lens = {0};
	const uint32_t type = rte_net_get_ptype(m, &lens, VNET_PTYPE_OUTER);
	const uint32_t l4 = (uint32_t)lens.l2_len + lens.l3_len;
	const bool ipv6 = RTE_ETH_IS_IPV6_HDR(type);
	const void *data;

	if ((type & RTE_PTYPE_L4_MASK) != RTE_PTYPE_L4_UDP || l4 + FRAGMENT_HDR > VNET_HEAD_MAX ||
	    l4 + sizeof(struct rte_udp_hdr) > m->pkt_len ||
	    lens.l3_len < (ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr)))
		return false;
	p->m = m;
	p->len = m->pkt_len;
	p->l2_len = lens.l2_len;
	p->l3_len = lens.l3_len;
	p->head_len = (uint16_t)l4;
	p->head_skip = l4;
	p->mss = m->tso_segsz & ~7u;
	data = rte_pktmbuf_read(m, 0, l4, p->head);
	if (data != p->head)
		memcpy(p->head, data, l4);
	cut->id = (uint32_t)rte_rand();
	cut->next_at = ipv6 ? cut_next_at(p) : 0;
	return p->mss > 0 && p->head[p->l2_len] >> 4 == (ipv6 ? 6 : 4) &&
	       ipv6 == (cut->next_at != 0) &&
	       p->len - p->l2_len <= UINT16_MAX + (ipv6 ? sizeof(struct rte_ipv6_hdr) : 0);
}

static bool
cut_begin_tcp(struct vnet_cut *cut, struct rte_mbuf *m)
{
	/* As for a guest that takes no large packets. */
	if (vnet_offload_tx(0, m, &cut->p) < 0 || cut->p.head_len == 0)
		return false;
	cut->p.mss = m->tso_segsz; /* also where one segment holds all */
	return true;
}

/* Start with a marked packet. What is not as its header said is dropped, no more received. */
static void
cut_begin(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf *m)
{
	cut->udp = (vnet_cut_marked(m) & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP;
	cut->off = 0;
	if (cut->udp ? cut_begin_udp(cut, m) : cut_begin_tcp(cut, m)) {
		rxq->stats.sw_gso++;
		return;
	}
	rxq->stats.packets--;
	rxq->stats.bytes -= m->pkt_len + cut_tag(m);
	rxq->stats.drop[VNET_DROP_BAD_HDR]++;
	cut->p.m = m;
	cut_end(cut);
}

static void
cut_fragment_ipv4(const struct vnet_cut *cut, uint32_t len, bool more, uint8_t *l3)
{
	struct rte_ipv4_hdr *ip = (void *)l3;

	ip->total_length = rte_cpu_to_be_16((uint16_t)(cut->p.l3_len + len));
	ip->fragment_offset = rte_cpu_to_be_16((uint16_t)(cut->off / 8 |
							  (more ? RTE_IPV4_HDR_MF_FLAG : 0)));
	/* A sender that does not want fragments may leave it out. RFC 6864, section 4 */
	if (ip->packet_id == 0)
		ip->packet_id = (uint16_t)cut->id;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, cut->p.l3_len);
}

/* The header of fragments is put in behind all others: devices on the way may read those. */
static void
cut_fragment_ipv6(const struct vnet_cut *cut, uint32_t len, bool more, struct vnet_tx_pkt *f)
{
	struct rte_ipv6_hdr *ip = (void *)(f->head + cut->p.l2_len);
	const uint16_t off_and_more = rte_cpu_to_be_16((uint16_t)(cut->off | more));
	uint8_t *hdr = f->head + f->head_len;

	ip->payload_len = rte_cpu_to_be_16((uint16_t)(cut->p.l3_len - sizeof(*ip) + FRAGMENT_HDR +
						      len));
	f->head[cut->next_at] = IPPROTO_FRAGMENT;
	hdr[0] = IPPROTO_UDP;
	hdr[1] = 0;
	memcpy(hdr + 2, &off_and_more, sizeof(off_and_more));
	memcpy(hdr + 4, &cut->id, sizeof(cut->id));
	f->head_len += FRAGMENT_HDR;
}

/* The fragment with the next `len` bytes of the datagram. */
static void
cut_fragment(const struct vnet_cut *cut, uint32_t len, struct vnet_tx_pkt *f)
{
	const struct vnet_tx_pkt *p = &cut->p;
	const bool more = p->head_len + cut->off + len < p->len;

	f->m = p->m;
	f->head_len = p->head_len;
	f->head_skip = p->head_skip + cut->off;
	memcpy(f->head, p->head, p->head_len);
	if (cut->next_at == 0)
		cut_fragment_ipv4(cut, len, more, f->head + p->l2_len);
	else
		cut_fragment_ipv6(cut, len, more, f);
	f->len = f->head_len + len;
}

/* The checksum of the datagram, without what stands in its field. */
static uint16_t
cut_udp_csum(const struct vnet_cut *cut)
{
	const struct vnet_tx_pkt *p = &cut->p;
	const uint32_t bytes = p->len - p->head_len;
	const uint32_t at = p->head_skip + offsetof(struct rte_udp_hdr, dgram_cksum);
	uint8_t buf[sizeof(uint16_t)];
	const uint16_t field = vnet_load16(rte_pktmbuf_read(p->m, at, sizeof(buf), buf));

	return vnet_csum_of(vnet_pseudo_sum(p->head + p->l2_len, cut->next_at != 0, IPPROTO_UDP,
					    bytes) +
			    vnet_mbuf_sum(p->m, p->head_skip, bytes) + (uint16_t)~field);
}

/* Append to a chain that has room. Returns its mbuf that is filled next. */
static struct rte_mbuf *
cut_append(struct rte_mbuf *m, const uint8_t *from, uint32_t len)
{
	while (len > 0) {
		const uint32_t part = RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(m));

		if (part == 0) {
			m = m->next;
			continue;
		}
		vnet_copy_long(rte_pktmbuf_mtod_offset(m, void *, m->data_len), from, part);
		m->data_len = (uint16_t)(m->data_len + part);
		from += part;
		len -= part;
	}
	return m;
}

static void
cut_fill(struct rte_mbuf *m, const struct vnet_tx_pkt *f)
{
	uint32_t skip = f->head_skip, len = f->len - f->head_len;
	struct rte_mbuf *to = cut_append(m, f->head, f->head_len);

	for (const struct rte_mbuf *from = f->m; from != NULL && len > 0; from = from->next) {
		uint32_t part;

		if (skip >= from->data_len) {
			skip -= from->data_len;
			continue;
		}
		part = RTE_MIN(len, from->data_len - skip);
		to = cut_append(to, rte_pktmbuf_mtod_offset(from, const uint8_t *, skip), part);
		skip = 0;
		len -= part;
	}
	m->pkt_len = f->len;
}

/* What else an application is told of a piece. */
static void
cut_describe(const struct vnet_cut *cut, const struct vnet_tx_pkt *f, struct rte_mbuf *m)
{
	const struct rte_mbuf *all = cut->p.m;

	m->vlan_tci = all->vlan_tci;
	m->ol_flags |= all->ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	m->packet_type = all->packet_type;
	if (!cut->udp) {
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		return;
	}
	if (m->packet_type & RTE_PTYPE_L4_MASK)
		m->packet_type = (m->packet_type & ~RTE_PTYPE_L4_MASK) | RTE_PTYPE_L4_FRAG;
	if (cut->off == 0)
		vnet_mbuf_store16(m, f->head_len + offsetof(struct rte_udp_hdr, dgram_cksum),
				  cut_udp_csum(cut));
}

/* The packet counts as its first piece already. */
static void
cut_count(struct vnet_rxq *rxq, const struct vnet_cut *cut, const struct vnet_tx_pkt *f,
	  uint32_t len, bool sent)
{
	const bool first = cut->off == 0;
	const uint32_t head = cut->p.head_len + cut_tag(cut->p.m);

	if (sent) {
		rxq->stats.packets += !first;
		rxq->stats.bytes += f->len - cut->p.head_len - len + (first ? 0 : head);
	} else {
		rxq->stats.packets -= first;
		rxq->stats.bytes -= len + (first ? head : 0);
	}
}

/* The next piece; DEV_RX_DROPPED: the application can be given none of its size. */
static enum dev_rx_result
cut_next(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf **pkt)
{
	const uint32_t payload = cut->p.len - cut->p.head_len;
	const uint32_t len = RTE_MIN(payload - cut->off, (uint32_t)cut->p.mss);
	enum dev_rx_result r;
	struct vnet_tx_pkt f;
	struct rte_mbuf *m;

	if (rte_mempool_get(rxq->pool, (void **)&m) < 0)
		return DEV_RX_NO_BUFFER;
	if (cut->udp)
		cut_fragment(cut, len, &f);
	else
		vnet_offload_segment(&cut->p, cut->off, len, &f);
	vnet_rx_mbuf_init(m, rxq->rearm, 0);
	r = rx_make_room(rxq, m, f.len, false);
	if (r == DEV_RX_OK) {
		cut_fill(m, &f);
		cut_describe(cut, &f, m);
		*pkt = m;
	} else {
		rte_mempool_put(rxq->pool, m);
		if (r == DEV_RX_NO_BUFFER)
			return r;
	}
	cut_count(rxq, cut, &f, len, r == DEV_RX_OK);
	cut->off += len;
	if (cut->off >= payload)
		cut_end(cut);
	return r;
}

/*
 * There is no mbuf, and this burst gives the application none to free. Were a chain of the pool's
 * mbufs kept, it could be what others of the pool wait for: its rest is dropped.
 */
static void
cut_give_up(struct vnet_rxq *rxq, struct vnet_cut *cut)
{
	if (cut->p.m->nb_segs == 1)
		return;
	cut_count(rxq, cut, NULL, cut->p.len - cut->p.head_len - cut->off, false);
	cut_end(cut);
}

/* Deliver up to n packets of what is left. */
static uint16_t
cut_deliver(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t got = 0;

	while (got < n) {
		if (cut->p.m != NULL) {
			enum dev_rx_result r = cut_next(rxq, cut, &pkts[got]);

			if (r == DEV_RX_NO_BUFFER) {
				rxq->stats.nombuf++;
				if (got == 0)
					cut_give_up(rxq, cut);
				break;
			}
			got += r == DEV_RX_OK;
		} else if (cut->n == 0) {
			break;
		} else {
			struct rte_mbuf *m = cut->wait[cut->first++];

			cut->n--;
			if (vnet_cut_marked(m) != 0)
				cut_begin(rxq, cut, m);
			else
				pkts[got++] = m;
		}
	}
	return got;
}

uint16_t
vnet_cut_burst(struct vnet_rxq *rxq, struct vnet_cut *cut, struct rte_mbuf **pkts, uint16_t fresh,
	       uint16_t n)
{
	uint16_t whole = 0;

	while (whole < fresh && vnet_cut_marked(pkts[whole]) == 0)
		whole++;
	if (fresh > 0) {
		cut->first = 0;
		cut->n = fresh - whole;
		memcpy(cut->wait, pkts + whole, cut->n * sizeof(*pkts));
	}
	return whole + cut_deliver(rxq, cut, pkts + whole, n - whole);
}
