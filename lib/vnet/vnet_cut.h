/* SPDX-License-Identifier: BSD-3-Clause */
/* Device side, from the guest: a packet that is being cut, and those that wait behind it. */
#ifndef VNET_CUT_H
#define VNET_CUT_H

#include "vnet_impl.h"

struct vnet_cut {
	struct vnet_tx_pkt p;	/* p.m: the packet, or NULL; p.mss: payload of a piece */
	uint32_t off;		/* payload of the pieces so far */
	uint32_t id;		/* of an IP packet that is cut into fragments */
	uint16_t next_at;	/* IPv6, fragments: where p.head names the next header */
	bool udp;		/* fragments of IP, else segments of TCP */
	uint16_t first, n;	/* of wait[] */
	struct rte_mbuf *wait[VNET_BURST];
};

/*
 * The mark of a packet that is to be cut is the kind of large packet which its header says it is,
 * in a field that is 0 in all others and means nothing without RTE_MBUF_F_RX_RSS_HASH.
 */
static inline void
vnet_cut_mark(struct rte_mbuf *m, uint8_t gso_type)
{
	m->hash.usr = gso_type;
}

static inline uint32_t
vnet_cut_marked(const struct rte_mbuf *m)
{
	return m->ol_flags & RTE_MBUF_F_RX_RSS_HASH ? 0 : m->hash.usr;
}

#endif /* VNET_CUT_H */
