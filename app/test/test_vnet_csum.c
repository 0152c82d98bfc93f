/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums and segmentation of single packets: what is told to a guest, what is done for it. */
#include "vnet_guest.h"

#include "vnet_impl.h"

#define L2 RTE_ETHER_HDR_LEN
#define L3 ((uint16_t)sizeof(struct rte_ipv4_hdr))
#define L4 ((uint16_t)sizeof(struct rte_tcp_hdr))
#define HEADERS (L2 + L3 + L4)
#define FIELD (L2 + L3 + offsetof(struct rte_tcp_hdr, cksum))

/* A TCP segment; its checksum field holds nothing of use. */
static struct rte_mbuf *
tcp_packet(uint16_t payload)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(large_pool);
	uint8_t *data = (uint8_t *)rte_pktmbuf_append(m, HEADERS + payload);
	struct rte_ether_hdr *eth = (void *)data;
	struct rte_ipv4_hdr *ip = (void *)(data + L2);
	struct rte_tcp_hdr *tcp = (void *)(data + L2 + L3);

	assert_non_null(data);
	for (uint32_t i = 0; i < (uint32_t)HEADERS + payload; i++)
		data[i] = (uint8_t)(i * 7 + 3);
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.total_length = rte_cpu_to_be_16(L3 + L4 + payload),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_TCP,
		.src_addr = RTE_BE32(0x0a000001),
		.dst_addr = RTE_BE32(0x0a000002),
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	tcp->data_off = L4 / 4 << 4;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG;
	m->l2_len = L2;
	m->l3_len = L3;
	m->l4_len = L4;
	return m;
}

/* What the field has to hold for whoever completes the checksum later. */
static uint16_t
pseudo(const uint8_t *frame)
{
	return rte_ipv4_phdr_cksum((const void *)(frame + L2), 0);
}

static uint16_t
field(const uint8_t *frame)
{
	uint16_t v;

	memcpy(&v, frame + FIELD, sizeof(v));
	return v;
}

/* The frame as the guest gets it. */
static void
frame_of(const struct vnet_tx_pkt *p, uint8_t *frame)
{
	memcpy(frame, p->head, p->head_len);
	memcpy(frame + p->head_len, rte_pktmbuf_mtod_offset(p->m, void *, p->head_skip),
	       p->len - p->head_len);
}

static void
expect_correct(const uint8_t *frame)
{
	const struct rte_ipv4_hdr *ip = (const void *)(frame + L2);

	assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, frame + L2 + L3), 0);
}

static struct rte_mbuf *
tso_packet(uint16_t payload, uint16_t mss)
{
	struct rte_mbuf *m = tcp_packet(payload);

	m->tso_segsz = mss;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	assert_int_equal(vnet_tx_prepare(&m, 1), 1);
	return m;
}

/* DPDK prepares large packets without their length in the pseudo-header; a guest counts on it. */
static void
large_packet_has_its_length_in_the_sum(void **state)
{
	struct rte_mbuf *m = tso_packet(5000, 1448);
	struct vnet_tx_pkt p;

	assert_int_equal(vnet_tx_offload(F_V1 | F_GUEST_CSUM | F_GUEST_TSO4, m, &p), 0);
	assert_int_equal(p.hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(p.hdr.gso_size, 1448);
	assert_int_equal(p.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(p.hdr.csum_start, L2 + L3);
	assert_int_not_equal(field(rte_pktmbuf_mtod(m, uint8_t *)), pseudo(p.head));
	assert_int_equal(field(p.head), pseudo(p.head));
	rte_pktmbuf_free(m);
	expect_no_mbuf_lost();
}

/* What fits one segment is not cut, and is correct all the same. */
static void
one_segment_is_correct(void **state)
{
	static const uint16_t payloads[] = { 1, 2, 99, 1000 };

	for (unsigned int i = 0; i < RTE_DIM(payloads); i++) {
		struct rte_mbuf *m = tso_packet(payloads[i], 1000);
		uint8_t frame[2048];
		struct vnet_tx_pkt p;

		assert_int_equal(vnet_tx_offload(F_V1 | F_GUEST_CSUM, m, &p), 0);
		assert_int_equal(p.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(field(p.head), pseudo(p.head));

		assert_int_equal(vnet_tx_offload(F_V1, m, &p), 0);
		assert_int_equal(p.hdr.flags, 0);
		assert_int_equal(p.mss, 0);
		assert_true(p.sw_csum);
		frame_of(&p, frame);
		expect_correct(frame);
		rte_pktmbuf_free(m);
	}
	expect_no_mbuf_lost();
}

static void
segments_are_correct(void **state)
{
	struct rte_mbuf *m = tso_packet(5000, 1448);
	struct vnet_tx_pkt p, part;
	uint8_t frame[2048];

	/* Large packets without GUEST_CSUM cannot be: nobody would complete their sums. */
	assert_int_equal(vnet_tx_offload(F_V1 | F_GUEST_TSO4, m, &p), 0);
	assert_int_equal(p.mss, 1448);
	assert_int_equal(p.hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	for (uint32_t off = 0; off < 5000; off += 1448) {
		vnet_tx_segment(&p, off, RTE_MIN(5000 - off, 1448u), &part);
		frame_of(&part, frame);
		expect_correct(frame);
	}
	rte_pktmbuf_free(m);
	expect_no_mbuf_lost();
}

#define LEGACY_TCP (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM)

/* legacy-ol-flags=1: flags for the port behind are set only where the packet bears them out. */
static void
legacy_flags_are_true(void **state)
{
	static const struct {
		struct vnet_hdr h;
		uint64_t flags;
	} cases[] = {
		{ { 1, 0, 0, 0, L2 + L3, 16, 0 }, LEGACY_TCP },
		{ { 1, 1, 0, 500, L2 + L3, 16, 0 }, LEGACY_TCP | RTE_MBUF_F_TX_TCP_SEG },
		/* nothing is missing */
		{ { 2, 0, 0, 0, 0, 0, 0 }, 0 },
		/* the checksum of something further inside */
		{ { 1, 0, 0, 0, L2 + L3 + 20, 16, 0 }, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
		{ { 1, 0, 0, 0, L2 + L3, 6, 0 }, RTE_MBUF_F_RX_L4_CKSUM_GOOD },
		/* not what it says to be */
		{ { 1, 3, 0, 500, L2 + L3, 16, 0 },
			RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_LRO },
		{ { 1, 4, 0, 500, L2 + L3, 16, 0 },
			RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_LRO },
	};

	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct vnet_rxq rxq = { .flags = VNET_F_LEGACY_OL };
		struct rte_mbuf *m = tcp_packet(1000);

		vnet_rx_offload(&rxq, &cases[i].h, m);
		assert_int_equal(m->ol_flags, cases[i].flags);
		rte_pktmbuf_free(m);
	}
	expect_no_mbuf_lost();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_packet_has_its_length_in_the_sum),
		cmocka_unit_test(one_segment_is_correct),
		cmocka_unit_test(segments_are_correct),
		cmocka_unit_test(legacy_flags_are_true),
	};

	return cmocka_run_group_tests_name("vnet_offload", tests, vnet_setup, vnet_teardown);
}
