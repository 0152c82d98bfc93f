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
			(gso ? RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IP_CKSUM : 0);
		assert_int_equal(m->ol_flags, flags);
		assert_int_equal(rte_validate_tx_offload(m), 0);
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

/*
 * ... with all that they refer to. An mbuf that held another packet says nothing of it any more:
 * rte_eth_tx_prepare() refuses a short packet with the lengths of a large one.
 */
static void
rx_legacy_lengths_are_all_written(void **state)
{
	for (uint32_t i = 0; i < NKINDS * 2; i++) {
		const struct pkt *k = &kinds[i / 2];
		bool gso = i % 2 && !k->udp && k->payload > 5000;
		struct vnet_rxq rxq = { .flags = VNET_F_LEGACY_OL };
		struct vnet_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM };
		struct rte_mbuf *m;

		build(k);
		partial_csum(k, false);
		h.csum_start = (uint16_t)(l2_len + l3_len);
		h.csum_offset = csum_offset(k->udp);
		h.gso_type = gso ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE;
		h.gso_size = 1400; /* it means nothing where nothing is to be cut */
		m = mbuf_of(bytes, bytes_len, SHAPE_LINEAR);
		m->tx_offload = UINT64_MAX;
		vnet_offload_rx(&rxq, &h, m);
		assert_true(m->ol_flags & RTE_MBUF_F_TX_L4_MASK);
		assert_true(m->tx_offload == rte_mbuf_tx_offload(l2_len, l3_len, l4_len,
								 gso ? 1400 : 0, 0, 0, 0));
		assert_int_equal(vnet_tx_prepare(&m, 1), 1);
		rte_pktmbuf_free(m);
	}
	expect_no_mbuf_lost();
}

/* IPv6 with extension headers in front of TCP: l3_len as it is asked for. */
static void
build_extended(uint32_t extension)
{
	const struct pkt k = { .v6 = true, .payload = 1000 };

	build(&k);
	memmove(bytes + l2_len + l3_len + extension, bytes + l2_len + l3_len,
		bytes_len - l2_len - l3_len);
	memset(bytes + l2_len + l3_len, 0, extension);
	bytes[l2_len + l3_len] = IPPROTO_TCP;
	bytes[l2_len + l3_len + 1] = (uint8_t)(extension / 8 - 1);
	ip6(bytes)->proto = IPPROTO_HOPOPTS;
	l3_len += extension;
	bytes_len += extension;
}

/* What a field does not hold, or no TCP header is, is not said in flags: it is completed. */
static void
rx_legacy_lengths_that_no_field_holds(void **state)
{
	const struct {
		uint32_t extension;
		uint8_t data_off;	/* of TCP, in words */
		bool told;
	} cases[] = {
		{ 464, 8, true }, { 472, 8, false }, { 1024, 8, false },
		{ 8, 5, true }, { 8, 4, false }, { 8, 0, false },
	};

	for (unsigned int i = 0; i < 2 * RTE_DIM(cases); i++) {
		struct vnet_rxq rxq = { .flags = VNET_F_LEGACY_OL };
		struct vnet_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_offset = 16 };
		struct rte_mbuf *m;

		build_extended(cases[i / 2].extension);
		((struct rte_tcp_hdr *)l4(bytes))->data_off = (uint8_t)(cases[i / 2].data_off << 4);
		h.csum_start = (uint16_t)(l2_len + l3_len);
		h.gso_type = i % 2 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_NONE;
		h.gso_size = i % 2 ? 500 : 0;
		m = mbuf_of(bytes, bytes_len, SHAPE_LINEAR);
		vnet_offload_rx(&rxq, &h, m);
		assert_int_equal((m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK) != 0,
				 cases[i / 2].told);
		if (cases[i / 2].told) {
			assert_int_equal(m->l3_len, l3_len);
			assert_int_equal(m->l4_len, cases[i / 2].data_off * 4);
		} else {
			assert_true(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_GOOD);
		}
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
		cmocka_unit_test(rx_legacy_lengths_are_all_written),
		cmocka_unit_test(rx_legacy_lengths_that_no_field_holds),
	};

	return cmocka_run_group_tests_name("vnet_offload_rx", tests, vnet_setup, vnet_teardown);
}
