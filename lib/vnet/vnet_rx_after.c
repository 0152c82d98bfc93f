/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include <rte_ether.h>

#include "vnet_count.h"
#include "vnet_hash.h"
#include "vnet_ptype.h"
#include "vnet_rx_after.h"

static void
strip_tags(struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = pkts[i];

		/* A frame that ends within the tag stays whole. */
		if (m->data_len < RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN || rte_vlan_strip(m) != 0)
			continue;
		/* With Tx flags come the lengths of headers. */
		if (m->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG |
				   RTE_MBUF_F_TX_UDP_SEG))
			m->l2_len -= RTE_VLAN_HLEN;
	}
}

/* A type is found by way of those of the layers below. */
static uint32_t
layers_of(uint32_t ptypes)
{
	return ptypes == 0 ? 0 : UINT32_MAX >> __builtin_clz(ptypes);
}

void
vnet_rx_after_ptypes(const struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	const uint32_t layers = layers_of(rxq->ptypes);

	for (uint16_t i = 0; i < n; i++)
		pkts[i]->packet_type = vnet_ptype(pkts[i], NULL, layers) & rxq->ptypes;
}

/*
 * Frames without a tag pass, and those whose tag is of no VLAN but tells a priority (IEEE 802.1Q,
 * VLAN id 0).
 */
static bool
vlan_is_wanted(const struct vnet_rxq *rxq, const struct rte_mbuf *m)
{
	rte_be16_t tag[2], buf[2];
	const void *p = rte_pktmbuf_read(m, 2 * RTE_ETHER_ADDR_LEN, sizeof(tag), buf);
	uint16_t id;

	if (p == NULL)
		return true;
	memcpy(tag, p, sizeof(tag));
	id = rte_be_to_cpu_16(tag[1]) & RTE_ETHER_MAX_VLAN_ID;
	return tag[0] != rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN) || id == 0 ||
	       (__atomic_load_n(&rxq->vlan_ids[id / 64], __ATOMIC_RELAXED) >> id % 64 & 1);
}

static uint16_t
drop_vlans(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (vlan_is_wanted(rxq, pkts[i]))
			pkts[kept++] = pkts[i];
		else
			rte_pktmbuf_free(pkts[i]);
	}
	rxq->stats.drop[VNET_DROP_VLAN] += n - kept;
	return kept;
}

uint16_t
vnet_rx_after(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	if (rxq->flags & VNET_F_VLAN_FILTER)
		n = drop_vlans(rxq, pkts, n);
	rxq->stats.packets += n;
	for (uint16_t i = 0; i < n; i++)
		rxq->stats.bytes += pkts[i]->pkt_len;
	if (rxq->flags & VNET_F_STATS)
		vnet_count_classes(&rxq->stats, pkts, n);
	if (rxq->flags & VNET_F_VLAN_STRIP)
		strip_tags(pkts, n);
	if (rxq->flags & VNET_F_PTYPES)
		vnet_rx_after_ptypes(rxq, pkts, n);
	if (rxq->flags & VNET_F_HASH)
		vnet_hash_packets(rxq->hash, pkts, n);
	return n;
}
