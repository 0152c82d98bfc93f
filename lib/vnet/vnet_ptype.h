/* SPDX-License-Identifier: BSD-3-Clause */
/* Packet types: those that rte_net_get_ptype() of the release says. */
#ifndef VNET_PTYPE_H
#define VNET_PTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_geneve.h>
#include <rte_gtp.h>
#include <rte_mbuf_ptype.h>
#include <rte_net.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#include "vnet_compat.h"

/* Layers without tunnels: the search for them is left out. */
#define VNET_PTYPE_OUTER (RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK)

struct rte_mbuf;

/*
 * As rte_net_get_ptype(), but nothing is read that is not of the packet. One that ends with the
 * header of a GTP tunnel, or has a segment that does, is UDP and no more.
 */
uint32_t vnet_ptype(const struct rte_mbuf *m, struct rte_net_hdr_lens *lens, uint32_t layers);

/* Whether the release may see a tunnel in what is `type` without it; l4: the header. */
static inline bool
vnet_ptype_may_be_tunnel(uint32_t type, const uint8_t *l4)
{
	rte_be16_t src, dst;

	if (!VNET_COMPAT_UDP_TUNNELS || (type & RTE_PTYPE_L4_MASK) != RTE_PTYPE_L4_UDP)
		return false;
	memcpy(&src, l4 + offsetof(struct rte_udp_hdr, src_port), sizeof(src));
	memcpy(&dst, l4 + offsetof(struct rte_udp_hdr, dst_port), sizeof(dst));
	if (src == RTE_BE16(RTE_GTPC_UDP_PORT))
		return true;
	switch (rte_be_to_cpu_16(dst)) {
	case RTE_VXLAN_DEFAULT_PORT:
	case RTE_VXLAN_GPE_DEFAULT_PORT:
	case RTE_GENEVE_DEFAULT_PORT:
	case RTE_GTPC_UDP_PORT:
	case RTE_GTPU_UDP_PORT:
		return true;
	default:
		return false;
	}
}

#endif /* VNET_PTYPE_H */
