/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest_packets.h"

struct frame frame;
uint8_t bytes[FRAME_MAX];
uint32_t bytes_len, l2_len, l3_len, l4_len;

struct rte_ipv4_hdr *
ip4(void *data)
{
	return (struct rte_ipv4_hdr *)((uint8_t *)data + l2_len);
}

struct rte_ipv6_hdr *
ip6(void *data)
{
	return (struct rte_ipv6_hdr *)((uint8_t *)data + l2_len);
}

void *
l4(void *data)
{
	return (uint8_t *)data + l2_len + l3_len;
}

uint16_t *
csum_field(void *data, bool udp)
{
	return (uint16_t *)((uint8_t *)l4(data) + (udp ? offsetof(struct rte_udp_hdr, dgram_cksum) :
						   offsetof(struct rte_tcp_hdr, cksum)));
}

uint16_t
csum_offset(bool udp)
{
	return udp ? offsetof(struct rte_udp_hdr, dgram_cksum) :
		     offsetof(struct rte_tcp_hdr, cksum);
}

static void
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

void
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

void
partial_csum(const struct pkt *k, bool tso)
{
	uint64_t flags = tso ? RTE_MBUF_F_TX_TCP_SEG : 0;

	*csum_field(bytes, k->udp) = k->v6 ? rte_ipv6_phdr_cksum(ip6(bytes), flags) :
					     rte_ipv4_phdr_cksum(ip4(bytes), flags);
}

void
expect_good_csum(uint8_t *data, bool v6)
{
	if (v6) {
		assert_int_equal(rte_ipv6_udptcp_cksum_verify(ip6(data), l4(data)), 0);
		return;
	}
	assert_int_equal(rte_ipv4_cksum(ip4(data)), 0);
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip4(data), l4(data)), 0);
}
