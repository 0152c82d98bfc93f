/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_mbuf.h>

#include "vnet_ptype.h"

#define GTP_FLAGS 7u		/* sequence number, N-PDU number, extension: four more bytes */
#define GTP_PACKET 0xff		/* message that carries a packet, 3GPP TS 29.281, section 6 */

/* A header with a packet behind it, which is not in the segment of the header. at: of the header */
static bool
gtp_ends_segment(const struct rte_mbuf *m, uint32_t at)
{
	uint8_t copy[sizeof(struct rte_gtp_hdr)];
	const uint8_t *hdr = rte_pktmbuf_read(m, at, sizeof(copy), copy);
	uint32_t end;

	if (hdr == NULL || hdr[1] != GTP_PACKET)
		return false;
	end = at + sizeof(copy) + (hdr[0] & GTP_FLAGS ? 4 : 0);
	for (; at >= m->data_len; m = m->next) {
		at -= m->data_len;
		end -= m->data_len;
	}
	return end >= m->data_len;
}

static bool
is_gtp(const uint8_t *udp)
{
	const rte_be16_t gtpc = RTE_BE16(RTE_GTPC_UDP_PORT), gtpu = RTE_BE16(RTE_GTPU_UDP_PORT);
	rte_be16_t ports[2];

	memcpy(ports, udp, sizeof(ports));
	return ports[0] == gtpc || ports[1] == gtpc || ports[1] == gtpu;
}

uint32_t
vnet_ptype(const struct rte_mbuf *m, struct rte_net_hdr_lens *lens, uint32_t layers)
{
	uint8_t copy[sizeof(struct rte_udp_hdr)];
	struct rte_net_hdr_lens outer;
	const uint8_t *udp;
	uint32_t type, at;

	if (!VNET_COMPAT_READS_BEHIND_GTP || !(layers & RTE_PTYPE_TUNNEL_MASK))
		return rte_net_get_ptype(m, lens, layers);
	lens = lens != NULL ? lens : &outer;
	type = rte_net_get_ptype(m, lens, layers & VNET_PTYPE_OUTER);
	if ((type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP) {
		at = (uint32_t)lens->l2_len + lens->l3_len;
		udp = rte_pktmbuf_read(m, at, sizeof(copy), copy);
		if (udp == NULL || !vnet_ptype_may_be_tunnel(type, udp) ||
		    (is_gtp(udp) && gtp_ends_segment(m, at + sizeof(copy))))
			return type;
	}
	return rte_net_get_ptype(m, lens, layers);
}
