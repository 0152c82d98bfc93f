/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of offloads: packets of several protocols, in one buffer that both sides' tests start
 * from, with checksums that are right or left to someone else.
 */
#ifndef VNET_PACKETS_H
#define VNET_PACKETS_H

#include "vnet_guest.h"

static struct frame frame;

/* What a test packet is made of. */
struct pkt {
	bool v6, udp, vlan;	/* vlan: a tag inside the frame */
	uint32_t payload;
	uint8_t tcp_flags;
};

static uint8_t bytes[FRAME_MAX];
static uint32_t bytes_len, l2_len, l3_len, l4_len;

/* The pieces of it that tests look at. */
static inline struct rte_ipv4_hdr *
ip4(void *data)
{
	return (struct rte_ipv4_hdr *)((uint8_t *)data + l2_len);
}

static inline struct rte_ipv6_hdr *
ip6(void *data)
{
	return (struct rte_ipv6_hdr *)((uint8_t *)data + l2_len);
}

static inline void *
l4(void *data)
{
	return (uint8_t *)data + l2_len + l3_len;
}

static inline uint16_t *
csum_field(void *data, bool udp)
{
	return (uint16_t *)((uint8_t *)l4(data) + (udp ? offsetof(struct rte_udp_hdr, dgram_cksum) :
						   offsetof(struct rte_tcp_hdr, cksum)));
}

static inline uint16_t
csum_offset(bool udp)
{
	return udp ? offsetof(struct rte_udp_hdr, dgram_cksum) :
		     offsetof(struct rte_tcp_hdr, cksum);
}

static inline void
build_l3(const struct pkt *k, uint16_t l4_bytes)
{
	uint8_t proto = k->udp ? IPPROTO_UDP : IPPROTO_TCP;

	if (k->v6) {
		ip6(bytes)->vtc_flow = rte_cpu_to_be_32(6u << 28);
		ip6(bytes)->payload_len = rte_cpu_to_be_16(l4_bytes);
		ip6(bytes)->proto = proto;
		ip6(bytes)->hop_limits = 64;
		return;
	}
	*ip4(bytes) = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16((uint16_t)(l3_len + l4_bytes)),
		.packet_id = rte_cpu_to_be_16(0xfffe),
		.time_to_live = 64,
		.next_proto_id = proto,
		.src_addr = rte_cpu_to_be_32(0x0a000001),
		.dst_addr = rte_cpu_to_be_32(0x0a000002),
	};
	ip4(bytes)->hdr_checksum = rte_ipv4_cksum(ip4(bytes));
}

/* A packet in `bytes`, its checksums all right. */
static inline void
build(const struct pkt *k)
{
	uint16_t l4_bytes;

	l2_len = k->vlan ? 18 : 14;
	l3_len = k->v6 ? 40 : 20;
	l4_len = k->udp ? 8 : 32; /* TCP with a time stamp's room */
	bytes_len = l2_len + l3_len + l4_len + k->payload;
	l4_bytes = (uint16_t)(bytes_len - l2_len - l3_len);
	frame_fill(bytes, bytes_len, 1 + k->payload);
	memcpy(bytes + 12, k->vlan ? "\x81\x00\x00\x07" : "", k->vlan ? 4 : 0);
	memcpy(bytes + l2_len - 2, k->v6 ? "\x86\xdd" : "\x08\x00", 2);
	build_l3(k, l4_bytes);
	if (k->udp) {
		((struct rte_udp_hdr *)l4(bytes))->dgram_len = rte_cpu_to_be_16(l4_bytes);
	} else {
		((struct rte_tcp_hdr *)l4(bytes))->data_off = 8 << 4;
		((struct rte_tcp_hdr *)l4(bytes))->tcp_flags = k->tcp_flags;
		((struct rte_tcp_hdr *)l4(bytes))->sent_seq = rte_cpu_to_be_32(0xfffff000);
	}
	*csum_field(bytes, k->udp) = 0;
	*csum_field(bytes, k->udp) = k->v6 ? rte_ipv6_udptcp_cksum(ip6(bytes), l4(bytes)) :
					     rte_ipv4_udptcp_cksum(ip4(bytes), l4(bytes));
}

/* With a pseudo-header's sum in its place; `tso`: without the length, as ethdev has it. */
static inline void
partial_csum(const struct pkt *k, bool tso)
{
	uint64_t flags = tso ? RTE_MBUF_F_TX_TCP_SEG : 0;

	*csum_field(bytes, k->udp) = k->v6 ? rte_ipv6_phdr_cksum(ip6(bytes), flags) :
					     rte_ipv4_phdr_cksum(ip4(bytes), flags);
}

/* Checksums of a frame, which l2_len and l3_len describe. */
static inline void
expect_good_csum(uint8_t *data, bool v6)
{
	if (v6) {
		assert_int_equal(rte_ipv6_udptcp_cksum_verify(ip6(data), l4(data)), 0);
		return;
	}
	assert_int_equal(rte_ipv4_cksum(ip4(data)), 0);
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip4(data), l4(data)), 0);
}

static const struct pkt kinds[] = {
	{.payload = 1},
	{.payload = 1000},
	{.payload = 1001, .vlan = true},
	{.payload = 999, .v6 = true},
	{.payload = 1, .udp = true},
	{.payload = 0, .udp = true},
	{.payload = 777, .udp = true, .v6 = true, .vlan = true},
	{.payload = 8000},
	{.payload = 8001, .udp = true},
};

#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

#endif /* VNET_PACKETS_H */
