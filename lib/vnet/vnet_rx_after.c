/* SPDX-License-Identifier: BSD-3-Clause */
/* What applications ask for that needs another look at each packet: tags, types. Either role. */
#include <rte_ether.h>
#include <rte_net.h>

#include "vnet_impl.h"

static void
strip_tags(struct rte_mbuf **pkts, uint16_t n)
{
	/* A frame that ends within the tag stays whole; rte_vlan_strip() would read beyond. */
	for (uint16_t i = 0; i < n; i++)
		if (pkts[i]->data_len >= RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
			rte_vlan_strip(pkts[i]);
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
		pkts[i]->packet_type = rte_net_get_ptype(pkts[i], NULL, layers) & rxq->ptypes;
}

void
vnet_rx_after(struct vnet_rxq *rxq, struct rte_mbuf **pkts, uint16_t n)
{
	if (rxq->flags & VNET_F_VLAN_STRIP)
		strip_tags(pkts, n);
	if (rxq->flags & VNET_F_PTYPES)
		vnet_rx_after_ptypes(rxq, pkts, n);
}
