/* SPDX-License-Identifier: BSD-3-Clause */
/* What differs below the driver between the releases of DPDK. For the driver: vring_compat.h. */
#ifndef VNET_COMPAT_H
#define VNET_COMPAT_H

#include <rte_version.h>

#define VNET_COMPAT_BEFORE(year, month) (RTE_VERSION < RTE_VERSION_NUM(year, month, 0, 0))

/*
 * rte_net_get_ptype() looks for tunnels behind ports of UDP, and finds those of this list. Then it
 * looks into the packet of a GTP tunnel: until 26.07 also where the segment ends before that.
 */
#if VNET_COMPAT_BEFORE(25, 11)
#define VNET_COMPAT_UDP_TUNNELS 0
#define VNET_COMPAT_UDP_TUNNEL_TYPES
#else
#define VNET_COMPAT_UDP_TUNNELS 1
#define VNET_COMPAT_UDP_TUNNEL_TYPES \
	RTE_PTYPE_TUNNEL_VXLAN, RTE_PTYPE_TUNNEL_VXLAN_GPE, RTE_PTYPE_TUNNEL_GENEVE, \
	RTE_PTYPE_TUNNEL_GTPC, RTE_PTYPE_TUNNEL_GTPU,
#endif
#define VNET_COMPAT_READS_BEHIND_GTP (VNET_COMPAT_UDP_TUNNELS && VNET_COMPAT_BEFORE(26, 7))

/* The type of Ethernet with one tag: 26.07 or-s both, which makes it that of two tags. */
#if VNET_COMPAT_BEFORE(26, 7)
#define VNET_COMPAT_PTYPE_VLAN RTE_PTYPE_L2_ETHER_VLAN
#else
#define VNET_COMPAT_PTYPE_VLAN RTE_PTYPE_L2_ETHER_QINQ
#endif

#endif /* VNET_COMPAT_H */
