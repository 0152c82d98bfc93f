/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests: packets of TCP over IPv4, and what has to be right about one, or about its pieces. */
#ifndef RIG_GUEST_TCP_H
#define RIG_GUEST_TCP_H

#include "rig_guest_net.h"

struct headers {
	struct rte_ether_hdr eth;
	struct rte_ipv4_hdr ip;
	struct rte_tcp_hdr tcp;
} __attribute__((packed, aligned(2)));

#define HEADERS ((uint32_t)sizeof(struct headers))

/* TCP of that much payload, in mbufs of the pool; the checksums are left to the port. */
struct rte_mbuf *tcp_packet(uint32_t payload, uint64_t ol_flags, uint16_t mss, uint32_t piece);

#define CSUM (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM)
#define TSO (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)

/* Both checksums of a frame, and the payload [off, off + len) of a packet of `payload` bytes. */
void expect_tcp(const struct rte_mbuf *m, uint32_t payload, uint32_t off, uint32_t len, bool vlan);

#endif /* RIG_GUEST_TCP_H */
