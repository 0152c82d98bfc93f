/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums and segmentation of packets that a guest sends: what its headers say, done or told. */
#include "vnet_impl.h"
#include "rig_guest_packets.h"

static struct rte_mbuf *
receive_one(struct port *p, const struct virtio_net_hdr_mrg_rxbuf *h, const struct layout *l)
{
	struct rte_mbuf *m;

	assert_true(port_send(p, h, bytes, bytes_len, l));
	assert_int_equal(port_rx(p, &m, 1), 1);
	assert_int_equal(port_reap(p), 1);
	return m;
}

/* A guest's partial checksum is completed in software, in every kind of mbuf. */
static void
rx_partial_csum_is_completed(void **state)
{
	for (uint32_t i = 0; i < NKINDS * NLAYOUTS * 3; i++) {
		const struct pkt *k = &kinds[i % NKINDS];
		struct virtio_net_hdr_mrg_rxbuf h = {.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
		struct rte_mbuf *m;
		struct port p;

		build(k);
		h.hdr.csum_start = l2_len + l3_len;
		h.hdr.csum_offset = csum_offset(k->udp);
		port_open(&p, 16, F_V1 | F_INDIRECT | F_CSUM, 9000, 1);
		if (i / NKINDS / NLAYOUTS == 0)
			p.rxq.extbuf_pool = big_pool;
		else
			p.rxq.flags |= VNET_F_SCATTER;
		if (i / NKINDS / NLAYOUTS == 2) /* odd pieces */
			p.rxq.room = 61;
		memcpy(frame.data, bytes, bytes_len);
		partial_csum(k, false);
		m = receive_one(&p, &h, &layouts[i / NKINDS % NLAYOUTS]);
		assert_int_equal(m->pkt_len, bytes_len);
		assert_memory_equal(mbuf_bytes(m), frame.data, bytes_len);
		assert_int_equal(m->ol_flags & ~RTE_MBUF_F_EXTERNAL, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
		assert_int_equal(p.rxq.stats.sw_csum, 1);
		assert_int_equal(m->packet_type & RTE_PTYPE_L4_MASK,
				 k->udp ? RTE_PTYPE_L4_UDP : RTE_PTYPE_L4_TCP);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

/* The sum of a UDP packet that comes out as 0 is written as 0xffff: 0 means none. */
static void
rx_udp_csum_zero(void **state)
{
	const struct pkt k = {.udp = true, .payload = 2};
	struct virtio_net_hdr_mrg_rxbuf h = {.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct rte_mbuf *m;
	struct port p;
	uint16_t *pad;

	build(&k);
	pad = (uint16_t *)(bytes + l2_len + l3_len + 8);
	*pad = 0;
	*csum_field(bytes, true) = 0;
	*pad = rte_ipv4_udptcp_cksum(ip4(bytes), l4(bytes));
	partial_csum(&k, false);
	h.hdr.csum_start = l2_len + l3_len;
	h.hdr.csum_offset = 6;
	port_open(&p, 16, F_V1 | F_CSUM, 2048, 1);
	m = receive_one(&p, &h, PLAIN);
	assert_int_equal(*csum_field(rte_pktmbuf_mtod(m, void *), true), 0xffff);
	rte_pktmbuf_free(m);
	port_close(&p);
}

/* An application that asked for it gets the partial checksum as it is. */
static void
rx_partial_csum_is_passed_on(void **state)
{
	struct virtio_net_hdr_mrg_rxbuf h = {.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct rte_mbuf *m;
	struct port p;

	build(&kinds[1]);
	partial_csum(&kinds[1], false);
	h.hdr.csum_start = l2_len + l3_len;
	h.hdr.csum_offset = 16;
	port_open(&p, 16, F_V1 | F_CSUM, 2048, 1);
	p.rxq.flags |= VNET_F_PARTIAL_CSUM;
	m = receive_one(&p, &h, PLAIN);
	assert_memory_equal(mbuf_bytes(m), bytes, bytes_len);
	assert_int_equal(m->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	assert_int_equal(p.rxq.stats.sw_csum, 0);
	rte_pktmbuf_free(m);
	port_close(&p);
}

static void
rx_large_packet(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		const struct pkt k = {.v6 = v6, .payload = 60000};
		struct virtio_net_hdr_mrg_rxbuf h = {.hdr = {
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = 1400,
		}};
		struct rte_mbuf *m;
		struct port p;

		build(&k);
		memcpy(frame.data, bytes, bytes_len);
		partial_csum(&k, false);
		h.hdr.csum_start = l2_len + l3_len;
		h.hdr.csum_offset = 16;
		port_open(&p, 16, F_V1 | F_CSUM | F_HOST_TSO4 | F_HOST_TSO6, 66000, 1);
		p.rxq.extbuf_pool = big_pool;
		m = receive_one(&p, &h, PLAIN);
		assert_int_equal(m->ol_flags & ~RTE_MBUF_F_EXTERNAL,
				 RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
		assert_int_equal(m->tso_segsz, 1400);
		assert_memory_equal(mbuf_bytes(m), frame.data, bytes_len);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

/* legacy-ol-flags=1: the packet can go straight to a port that does the work. */
static void
rx_legacy_flags(void **state)
{
	for (uint32_t i = 0; i < NKINDS; i++) {
		const struct pkt *k = &kinds[i];
		bool gso = !k->udp && k->payload > 5000;
		struct virtio_net_hdr_mrg_rxbuf h = {.hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
		struct rte_mbuf *m;
		uint64_t flags;
		struct port p;

		build(k);
		partial_csum(k, false);
		h.hdr.csum_start = l2_len + l3_len;
		h.hdr.csum_offset = csum_offset(k->udp);
		h.hdr.gso_type = gso ? VIRTIO_NET_HDR_GSO_TCPV4 : 0;
		h.hdr.gso_size = gso ? 1400 : 0;
		port_open(&p, 16, F_V1 | F_CSUM | F_HOST_TSO4, 9000, 1);
		p.rxq.flags |= VNET_F_SCATTER | VNET_F_LEGACY_OL;
		m = receive_one(&p, &h, PLAIN);
		flags = (k->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4) |
			(k->udp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM) |
			(gso ? RTE_MBUF_F_TX_TCP_SEG : 0);
		assert_int_equal(m->ol_flags, flags);
		assert_int_equal(m->l2_len, l2_len);
		assert_int_equal(m->l3_len, l3_len);
		if (gso) {
			assert_int_equal(m->l4_len, l4_len);
			assert_int_equal(m->tso_segsz, 1400);
		}
		assert_memory_equal(mbuf_bytes(m), bytes, bytes_len);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

/* ... and flags are set only where the packet bears them out. */
static void
rx_legacy_flags_are_true(void **state)
{
	const uint64_t good = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	const uint16_t start = 14 + 20;
	const struct {
		struct vnet_hdr h;
		uint64_t flags;
	} cases[] = {
		/* nothing is missing */
		{ { 2, 0, 0, 0, 0, 0, 0 }, 0 },
		/* the checksum of something further inside, or in another field */
		{ { 1, 0, 0, 0, start + 20, 16, 0 }, good },
		{ { 1, 0, 0, 0, start, 6, 0 }, good },
		/* not what it says to be */
		{ { 1, VIRTIO_NET_HDR_GSO_UDP, 0, 500, start, 16, 0 }, good | RTE_MBUF_F_RX_LRO },
		{ { 1, VIRTIO_NET_HDR_GSO_TCPV6, 0, 500, start, 16, 0 }, good | RTE_MBUF_F_RX_LRO },
	};

	build(&kinds[1]);
	for (unsigned int i = 0; i < RTE_DIM(cases); i++) {
		struct vnet_rxq rxq = { .flags = VNET_F_LEGACY_OL };
		struct rte_mbuf *m = mbuf_of(bytes, bytes_len, SHAPE_LINEAR);

		vnet_offload_rx(&rxq, &cases[i].h, m);
		assert_int_equal(m->ol_flags, cases[i].flags);
		rte_pktmbuf_free(m);
	}
	expect_no_mbuf_lost();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rx_partial_csum_is_completed),
		cmocka_unit_test(rx_udp_csum_zero),
		cmocka_unit_test(rx_partial_csum_is_passed_on),
		cmocka_unit_test(rx_large_packet),
		cmocka_unit_test(rx_legacy_flags),
		cmocka_unit_test(rx_legacy_flags_are_true),
	};

	return cmocka_run_group_tests_name("vnet_offload_rx", tests, vnet_setup, vnet_teardown);
}
