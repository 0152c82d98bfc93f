/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_guest_tcp.h"

static void
fill_headers(struct headers *h, uint32_t payload)
{
	memset(h, 0, sizeof(*h));
	memset(&h->eth, 0x22, 12);
	h->eth.ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	h->ip.version_ihl = RTE_IPV4_VHL_DEF;
	h->ip.total_length = rte_cpu_to_be_16(HEADERS - 14 + payload);
	h->ip.time_to_live = 64;
	h->ip.next_proto_id = IPPROTO_TCP;
	h->ip.src_addr = rte_cpu_to_be_32(0x0a000001);
	h->ip.dst_addr = rte_cpu_to_be_32(0x0a000002);
	h->tcp.data_off = 5 << 4;
	h->tcp.sent_seq = rte_cpu_to_be_32(1000);
	h->tcp.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG;
}

struct rte_mbuf *
tcp_packet(uint32_t payload, uint64_t ol_flags, uint16_t mss, uint32_t piece)
{
	static uint8_t bytes[FRAME_MAX];
	struct rte_mbuf *head = NULL, *m;

	frame_fill(bytes, HEADERS + payload, payload);
	fill_headers((void *)bytes, payload);
	for (uint32_t off = 0; off < HEADERS + payload; off += piece) {
		uint32_t len = RTE_MIN(piece, HEADERS + payload - off);

		m = rte_pktmbuf_alloc(small_pool);
		assert_non_null(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes + off, len);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	head->l2_len = 14;
	head->l3_len = 20;
	head->l4_len = 20;
	head->tso_segsz = mss;
	head->vlan_tci = 0x123;
	head->ol_flags = ol_flags | RTE_MBUF_F_TX_IPV4;
	assert_int_equal(vnet_tx_prepare(&head, 1), 1);
	return head;
}

void
expect_tcp(const struct rte_mbuf *m, uint32_t payload, uint32_t off, uint32_t len, bool vlan)
{
	static uint8_t frame[FRAME_MAX], expected[FRAME_MAX];
	const uint32_t tag = vlan ? 4 : 0;
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;

	assert_int_equal(m->pkt_len, HEADERS + tag + len);
	memcpy(frame, mbuf_bytes(m), m->pkt_len);
	if (vlan)
		assert_memory_equal(frame + 12, "\x81\x00\x01\x23\x08\x00", 6);
	ip = (void *)(frame + 14 + tag);
	tcp = (void *)(ip + 1);
	assert_int_equal((uint16_t)~rte_raw_cksum(ip, 20), 0);
	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, tcp), 0);
	assert_int_equal(rte_be_to_cpu_32(tcp->sent_seq), 1000 + off);
	frame_fill(expected, HEADERS + payload, payload);
	assert_memory_equal((uint8_t *)(tcp + 1), expected + HEADERS + off, len);
}
