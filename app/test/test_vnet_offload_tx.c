/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums, segmentation and tags of packets for a guest: described to it, or done for it. */
#include <rte_errno.h>
#include <rte_net.h>

#include "rig_guest_packets.h"

static struct rte_mbuf *
mbuf_for(const struct pkt *k, uint64_t flags, enum shape shape)
{
	struct rte_mbuf *m = mbuf_of(bytes, bytes_len, shape);

	m->ol_flags |= flags | (flags ? (k->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4) : 0);
	m->l2_len = l2_len;
	m->l3_len = l3_len;
	m->l4_len = l4_len;
	return m;
}

static uint64_t
csum_flag(const struct pkt *k)
{
	return k->udp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM;
}

static void
open_tx(struct port *p, uint64_t features)
{
	port_open(p, 256, F_V1 | F_INDIRECT | F_MRG | features, 4000, 3);
	while (port_offer(p, 4000, &layouts[p->nfree % NLAYOUTS], true))
		;
}

/* The sum that the header asks for, done as a guest would: to the end, into its field. */
static void
finish_csum(struct frame *f)
{
	uint16_t start = f->hdr.hdr.csum_start, off = f->hdr.hdr.csum_offset;
	uint16_t csum;

	assert_int_equal(f->hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(start, l2_len + l3_len);
	assert_true((uint32_t)start + off + 2 <= f->len);
	csum = ~rte_raw_cksum(f->data + start, f->len - start);
	memcpy(f->data + start + off, &csum, 2);
}

/* A checksum that was asked for is described to a guest that takes it, else computed. */
static void
tx_csum(void **state)
{
	for (uint32_t i = 0; i < NKINDS * SHAPE_MAX * 3; i++) {
		const struct pkt *k = &kinds[i % NKINDS];
		uint32_t mode = i / NKINDS / SHAPE_MAX; /* guest, software, software + IP */
		uint64_t flags = csum_flag(k);
		struct rte_mbuf *m;
		struct port p;

		build(k);
		partial_csum(k, false);
		if (mode == 2 && !k->v6) {
			flags |= RTE_MBUF_F_TX_IP_CKSUM;
			ip4(bytes)->hdr_checksum = 0;
		}
		open_tx(&p, mode == 0 ? F_GUEST_CSUM : 0);
		m = mbuf_for(k, flags, i / NKINDS % SHAPE_MAX);
		rte_pktmbuf_refcnt_update(m, 1);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		assert_int_equal(frame.len, bytes_len);
		assert_int_equal(frame.hdr.hdr.gso_type, 0);
		if (mode == 0)
			finish_csum(&frame);
		else
			assert_int_equal(frame.hdr.hdr.flags, 0);
		expect_good_csum(frame.data, k->v6);
		assert_int_equal(p.txq.stats.sw_csum, mode != 0);
		/* The application's packet, which it kept, is as it was. */
		assert_memory_equal(mbuf_bytes(m), bytes, bytes_len);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

/* An application that left the pseudo-header to the driver, as net_vhost lets it. */
static void
tx_csum_unprepared(void **state)
{
	for (uint32_t i = 0; i < NKINDS * 2; i++) {
		const struct pkt *k = &kinds[i / 2];
		struct rte_mbuf *m;
		struct port p;

		build(k);
		*csum_field(bytes, k->udp) = 0x1234;
		open_tx(&p, i % 2 ? F_GUEST_CSUM : 0);
		m = mbuf_for(k, csum_flag(k), SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		if (i % 2)
			finish_csum(&frame);
		expect_good_csum(frame.data, k->v6);
		port_close(&p);
	}
}

/* What a network card padded a short frame with is no part of what is summed. */
static void
tx_csum_padded(void **state)
{
	for (uint32_t i = 0; i < NKINDS * SHAPE_MAX; i++) {
		const struct pkt *k = &kinds[i % NKINDS];
		struct rte_mbuf *m;
		struct port p;

		build(k);
		memset(bytes + bytes_len, 0xb7, 7);
		bytes_len += 7;
		partial_csum(k, false);
		open_tx(&p, 0);
		m = mbuf_for(k, csum_flag(k), i / NKINDS);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		assert_int_equal(frame.len, bytes_len);
		expect_good_csum(frame.data, k->v6);
		port_close(&p);
	}
}

static void
tx_udp_csum_zero(void **state)
{
	const struct pkt k = {.udp = true, .payload = 2};
	struct rte_mbuf *m;
	struct port p;
	uint16_t *pad;

	build(&k);
	pad = (uint16_t *)(bytes + l2_len + l3_len + 8);
	*pad = 0;
	*csum_field(bytes, true) = 0;
	*pad = rte_ipv4_udptcp_cksum(ip4(bytes), l4(bytes));
	partial_csum(&k, false);
	open_tx(&p, 0);
	m = mbuf_for(&k, csum_flag(&k), SHAPE_LINEAR);
	assert_int_equal(port_tx(&p, &m, 1), 1);
	assert_true(port_receive(&p, &frame));
	assert_int_equal(*csum_field(frame.data, true), 0xffff);
	port_close(&p);
}

static void
tx_ip_csum_only(void **state)
{
	for (int shape = 0; shape < SHAPE_MAX; shape++) {
		struct rte_mbuf *m;
		struct port p;

		build(&kinds[1]);
		ip4(bytes)->hdr_checksum = 0x1234;
		open_tx(&p, 0);
		m = mbuf_for(&kinds[1], RTE_MBUF_F_TX_IP_CKSUM, shape);
		rte_pktmbuf_refcnt_update(m, 1);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		expect_good_csum(frame.data, false);
		assert_int_equal(frame.hdr.hdr.flags, 0);
		assert_memory_equal(mbuf_bytes(m), bytes, bytes_len);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

/* IPv6 has no checksum of its header: asked for, it changes nothing, and the others are right. */
static void
tx_ip_csum_of_ipv6(void **state)
{
	for (uint32_t i = 0; i < NKINDS * SHAPE_MAX * 3; i++) {
		const struct pkt *k = &kinds[i % NKINDS];
		const uint32_t l4 = i / NKINDS / SHAPE_MAX; /* no checksum, guest's, software */
		struct rte_mbuf *m;
		struct port p;

		if (!k->v6)
			continue;
		build(k);
		open_tx(&p, l4 == 1 ? F_GUEST_CSUM : 0);
		m = mbuf_for(k, RTE_MBUF_F_TX_IP_CKSUM | (l4 > 0 ? csum_flag(k) : 0),
			     i / NKINDS % SHAPE_MAX);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		assert_int_equal(frame.len, bytes_len);
		if (l4 == 1)
			finish_csum(&frame);
		assert_memory_equal(frame.data, bytes, bytes_len);
		port_close(&p);
	}
}

/* Segmentation. */

static struct rte_mbuf *
mbuf_tso(const struct pkt *k, uint16_t mss, enum shape shape)
{
	struct rte_mbuf *m = mbuf_for(k, RTE_MBUF_F_TX_TCP_SEG, shape);

	m->tso_segsz = mss;
	if (!k->v6)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	return m;
}

/* The guest that takes large packets gets one, and what it needs to know. */
static void
tx_tso_described(void **state)
{
	for (uint32_t i = 0; i < 2 * 2 * SHAPE_MAX; i++) {
		bool v6 = i & 1, cwr = i & 2;
		const struct pkt k = {.v6 = v6, .payload = i / 4 == SHAPE_CHAIN ? 40000 : 9000,
				      .tcp_flags = RTE_TCP_ACK_FLAG |
						   (cwr ? RTE_TCP_CWR_FLAG : 0)};
		struct rte_mbuf *m;
		struct port p;

		build(&k);
		partial_csum(&k, true);
		open_tx(&p, F_GUEST_CSUM | F_GUEST_ECN | (v6 ? F_GUEST_TSO6 : F_GUEST_TSO4));
		m = mbuf_tso(&k, 1400, i / 4);
		rte_pktmbuf_refcnt_update(m, 1);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		assert_int_equal(frame.len, bytes_len);
		assert_int_equal(frame.hdr.hdr.gso_type,
				 (v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4) |
				 (cwr ? VIRTIO_NET_HDR_GSO_ECN : 0));
		assert_int_equal(frame.hdr.hdr.gso_size, 1400);
		assert_int_equal(frame.hdr.hdr.hdr_len, l2_len + l3_len + l4_len);
		/* Its pseudo-header's sum counts the whole length (VIRTIO 1.2, 5.1.6.2). */
		finish_csum(&frame);
		expect_good_csum(frame.data, v6);
		assert_int_equal(p.txq.stats.sw_gso, 0);
		assert_memory_equal(mbuf_bytes(m), bytes, bytes_len);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

/* One frame of a packet that was cut, against the packet in `bytes`. */
static void
expect_segment(const struct pkt *k, uint32_t off, uint32_t len, uint32_t index, bool guest_csum)
{
	uint32_t head = l2_len + l3_len + l4_len;
	bool last = off + len == k->payload;
	struct rte_tcp_hdr *tcp = l4(frame.data);
	uint8_t flags = k->tcp_flags;

	assert_int_equal(frame.len, head + len);
	assert_int_equal(frame.hdr.hdr.gso_type, 0);
	if (frame.hdr.hdr.flags != 0) {
		assert_true(guest_csum);
		finish_csum(&frame);
	}
	assert_memory_equal(frame.data, bytes, l2_len);
	assert_memory_equal(frame.data + head, bytes + head + off, len);
	if (k->v6) {
		assert_int_equal(rte_be_to_cpu_16(ip6(frame.data)->payload_len), l4_len + len);
	} else {
		assert_int_equal(rte_be_to_cpu_16(ip4(frame.data)->total_length),
				 l3_len + l4_len + len);
		assert_int_equal(rte_be_to_cpu_16(ip4(frame.data)->packet_id),
				 (uint16_t)(0xfffe + index));
	}
	expect_good_csum(frame.data, k->v6);
	assert_int_equal(rte_be_to_cpu_32(tcp->sent_seq), (uint32_t)(0xfffff000 + off));
	if (!last)
		flags &= ~(RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG);
	if (off > 0)
		flags &= ~RTE_TCP_CWR_FLAG;
	assert_int_equal(tcp->tcp_flags, flags);
}

static void
tso_in_software(const struct pkt *k, uint16_t mss, enum shape shape, uint64_t features)
{
	uint32_t index = 0;
	struct rte_mbuf *m;
	struct port p;

	build(k);
	partial_csum(k, true);
	open_tx(&p, features);
	m = mbuf_tso(k, mss, shape);
	rte_pktmbuf_refcnt_update(m, 1);
	assert_int_equal(port_tx(&p, &m, 1), 1);
	for (uint32_t off = 0; off < k->payload; off += mss, index++) {
		uint32_t len = k->payload - off < mss ? k->payload - off : mss;

		assert_true(port_receive(&p, &frame));
		/* One segment is no work: its checksum is left to the guest like any other. */
		if (k->payload <= mss && (features & F_GUEST_CSUM))
			assert_int_equal(frame.hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		expect_segment(k, off, len, index, features & F_GUEST_CSUM);
	}
	assert_false(port_receive(&p, &frame));
	assert_int_equal(p.txq.stats.sw_gso, k->payload > mss);
	assert_int_equal(p.txq.stats.packets, 1);
	assert_int_equal(p.txq.stats.bytes, bytes_len);
	assert_memory_equal(mbuf_bytes(m), bytes, bytes_len);
	rte_pktmbuf_free(m);
	port_close(&p);
}

/* For all others it is cut, and every frame is right. */
static void
tx_tso_in_software(void **state)
{
	static const uint32_t payloads[] = {1, 1399, 1400, 1401, 2800, 9000, 40000};
	static const uint64_t features[] = {0, F_GUEST_CSUM, F_PACKED};

	for (uint32_t i = 0; i < 7 * 2 * SHAPE_MAX * 3; i++) {
		const struct pkt k = {
			.payload = payloads[i % 7],
			.v6 = i / 7 % 2,
			.vlan = i % 3 == 0,
			.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG |
				     RTE_TCP_CWR_FLAG,
		};

		tso_in_software(&k, i % 5 ? 1400 : 333, i / 14 % SHAPE_MAX,
				features[i / 14 / SHAPE_MAX]);
	}
}

/* A header length that is odd, as only a mistaken application has it, still makes no wrong sum. */
static void
tx_odd_header(void **state)
{
	const struct pkt k = {.payload = 1001};
	struct rte_mbuf *m;
	struct port p;

	build(&k);
	partial_csum(&k, true);
	open_tx(&p, 0);
	m = mbuf_tso(&k, 1400, SHAPE_LINEAR);
	m->l4_len++;
	assert_int_equal(port_tx(&p, &m, 1), 1);
	assert_true(port_receive(&p, &frame));
	assert_int_equal(frame.len, bytes_len);
	expect_good_csum(frame.data, false);
	port_close(&p);
}

/*
 * The other version only, CWR without ECN, or large packets whose sums nobody would complete: not
 * for this guest.
 */
static void
tx_tso_not_for_this_guest(void **state)
{
	struct pkt k = {.payload = 9000, .tcp_flags = RTE_TCP_ACK_FLAG};

	tso_in_software(&k, 1400, SHAPE_LINEAR, F_GUEST_CSUM | F_GUEST_TSO6);
	tso_in_software(&k, 1400, SHAPE_LINEAR, F_GUEST_TSO4);
	k.tcp_flags |= RTE_TCP_CWR_FLAG;
	tso_in_software(&k, 1400, SHAPE_LINEAR, F_GUEST_CSUM | F_GUEST_TSO4);
	k.v6 = true;
	k.tcp_flags = RTE_TCP_ACK_FLAG;
	tso_in_software(&k, 1400, SHAPE_LINEAR, F_GUEST_CSUM | F_GUEST_TSO4);
}

/* On a ring that is short all of it goes, or none of it; packets around it keep their order. */
static void
tx_tso_waits_for_the_ring(void **state)
{
	const struct pkt k = {.payload = 9000};

	for (int packed = 0; packed < 2; packed++) {
		struct rte_mbuf *pkts[3];
		struct port p;

		build(&k);
		partial_csum(&k, true);
		port_open(&p, 16, F_V1 | (packed ? F_PACKED : 0), 2048, 1);
		for (int i = 0; i < 7; i++)
			port_offer(&p, 2048, PLAIN, true);
		for (int i = 0; i < 3; i++)
			pkts[i] = i == 1 ? mbuf_tso(&k, 1400, SHAPE_LINEAR) :
				  mbuf_new(64, i, SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, pkts, 3), 1); /* 6 left, 7 needed */
		assert_int_equal(rd_pop(&p.r, p.done), 1);
		assert_int_equal(rd_pop(&p.r, p.done), 0);
		for (int i = 0; i < 2; i++)
			port_offer(&p, 2048, PLAIN, true);
		assert_int_equal(port_tx(&p, pkts + 1, 2), 2);
		for (uint32_t i = 0; i < 7; i++) {
			assert_true(port_receive(&p, &frame));
			expect_segment(&k, i * 1400, i < 6 ? 1400 : 600, i, false);
		}
		assert_true(port_receive(&p, &frame));
		expect_bytes(frame.data, frame.len, 64, 2);
		port_close(&p);
	}
}

/* Datagrams are cut by the guest or not at all. */
static void
tx_ufo(void **state)
{
	for (uint32_t i = 0; i < 4 * SHAPE_MAX; i++) {
		const struct pkt k = {.udp = true, .payload = 9000, .v6 = i & 1};
		bool takes = i & 2;
		struct rte_mbuf *m;
		struct port p;

		build(&k);
		partial_csum(&k, false);
		open_tx(&p, F_GUEST_CSUM | (takes ? VIRTQ_BIT(VIRTIO_NET_F_GUEST_UFO) : 0));
		m = mbuf_for(&k, RTE_MBUF_F_TX_UDP_SEG, i / 4);
		m->tso_segsz = 1480;
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_int_equal(port_receive(&p, &frame), takes);
		assert_int_equal(p.txq.stats.drop[VNET_DROP_OFFLOAD], !takes);
		if (takes) {
			assert_int_equal(frame.hdr.hdr.gso_type, VIRTIO_NET_HDR_GSO_UDP);
			assert_int_equal(frame.hdr.hdr.gso_size, 1480);
			finish_csum(&frame);
			expect_good_csum(frame.data, k.v6);
		}
		port_close(&p);
	}
}

/*
 * What came merged from another guest: passed on as what it is, or cut, checksums right either way,
 * also where there is more to do for it.
 */
static void
tx_merged_packet(void **state)
{
	for (int i = 0; i < 8; i++) {
		const struct pkt k = {.payload = 9000, .v6 = i & 1, .tcp_flags = 0x10};
		bool takes = i & 2;
		struct rte_mbuf *m;
		uint32_t index = 0;
		struct port p;

		build(&k);
		open_tx(&p, takes ? F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 : 0);
		m = mbuf_of(bytes, bytes_len, SHAPE_CHAIN);
		m->ol_flags |= RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		m->tso_segsz = 1400;
		m->ol_flags |= i & 4 ? RTE_MBUF_F_TX_IP_CKSUM : 0;
		assert_int_equal(port_tx(&p, &m, 1), 1);
		if (takes) {
			assert_true(port_receive(&p, &frame));
			assert_int_equal(frame.len, bytes_len);
			assert_int_equal(frame.hdr.hdr.gso_type, k.v6 ?
					 VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
			assert_int_equal(frame.hdr.hdr.gso_size, 1400);
			assert_int_equal(frame.hdr.hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			finish_csum(&frame);
			expect_good_csum(frame.data, k.v6);
		}
		for (uint32_t off = 0; !takes && off < 9000; off += 1400, index++) {
			assert_true(port_receive(&p, &frame));
			expect_segment(&k, off, RTE_MIN(1400u, 9000 - off), index, false);
		}
		assert_false(port_receive(&p, &frame));
		port_close(&p);
	}
}

/* Tags. */

/* Insertion leaves a packet alone that someone else holds as well. */
static void
tx_vlan_insert(void **state)
{
	for (uint32_t i = 0; i < SHAPE_MAX * 5; i++) {
		static const uint32_t lens[] = {14, 15, 64, 1500, 9000};
		uint32_t len = lens[i % 5];
		struct rte_mbuf *m;
		struct port p;

		frame_fill(bytes, len, i);
		open_tx(&p, i % 2 ? F_PACKED : 0);
		m = mbuf_of(bytes, len, i / 5);
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		m->vlan_tci = 0x6123;
		rte_pktmbuf_refcnt_update(m, 1);
		assert_int_equal(port_tx(&p, &m, 1), 1);
		assert_true(port_receive(&p, &frame));
		assert_int_equal(frame.len, len + 4);
		assert_memory_equal(frame.data, bytes, 12);
		assert_memory_equal(frame.data + 12, "\x81\x00\x61\x23", 4);
		assert_memory_equal(frame.data + 16, bytes + 12, len - 12);
		assert_memory_equal(mbuf_bytes(m), bytes, len);
		assert_int_equal(rte_mbuf_refcnt_read(m), 1);
		rte_pktmbuf_free(m);
		port_close(&p);
	}
}

/* A tag and a checksum or a cut at once. */
static void
tx_vlan_and_work(void **state)
{
	for (uint32_t i = 0; i < 8; i++) {
		const struct pkt k = {.payload = i & 1 ? 5000 : 500, .v6 = i & 2};
		bool guest = i & 4;
		struct rte_mbuf *m;
		uint32_t frames = 0;
		struct port p;

		build(&k);
		partial_csum(&k, i & 1);
		open_tx(&p, guest ? F_GUEST_CSUM : 0);
		m = i & 1 ? mbuf_tso(&k, 1400, SHAPE_LINEAR) :
			    mbuf_for(&k, RTE_MBUF_F_TX_TCP_CKSUM, SHAPE_CHAIN);
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		m->vlan_tci = 0x123;
		assert_int_equal(port_tx(&p, &m, 1), 1);
		l2_len += 4;
		while (port_receive(&p, &frame)) {
			assert_memory_equal(frame.data + 12, "\x81\x00\x01\x23", 4);
			if (frame.hdr.hdr.flags)
				finish_csum(&frame);
			expect_good_csum(frame.data, k.v6);
			frames++;
		}
		assert_int_equal(frames, i & 1 ? 4 : 1);
		port_close(&p);
	}
}

/* What cannot be done. */
static void
tx_impossible(void **state)
{
	static const struct {
		uint64_t flags;
		uint16_t l2, l3, l4, mss;
	} bad[] = {
		{RTE_MBUF_F_TX_TCP_SEG, 14, 20, 20, 0},
		{RTE_MBUF_F_TX_TCP_SEG, 14, 20, 8, 1000},
		{RTE_MBUF_F_TX_TCP_SEG, 14, 8, 20, 1000},
		{RTE_MBUF_F_TX_TCP_SEG, 127, 511, 255, 1000},
		{RTE_MBUF_F_TX_TCP_SEG, 14, 511, 20, 1000},
		{RTE_MBUF_F_TX_TCP_CKSUM, 127, 511, 20, 0},
		{RTE_MBUF_F_TX_TCP_CKSUM, 100, 100, 20, 0},
		{RTE_MBUF_F_TX_IP_CKSUM, 14, 0, 0, 0},
		{RTE_MBUF_F_TX_IP_CKSUM, 100, 40, 0, 0},
		{RTE_MBUF_F_TX_SCTP_CKSUM, 100, 100, 0, 0},
		{RTE_MBUF_F_TX_SCTP_CKSUM, 127, 511, 0, 0},
		{RTE_MBUF_F_TX_UDP_SEG, 14, 20, 8, 0},
	};

	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct pkt k = {.payload = 50};
		struct rte_mbuf *pkts[2];
		struct port p;

		build(&k);
		open_tx(&p, i % 2 ? F_GUEST_CSUM | F_GUEST_TSO4 : 0);
		pkts[0] = mbuf_for(&k, bad[i].flags, SHAPE_LINEAR);
		pkts[0]->l2_len = bad[i].l2;
		pkts[0]->l3_len = bad[i].l3;
		pkts[0]->l4_len = bad[i].l4;
		pkts[0]->tso_segsz = bad[i].mss;
		pkts[1] = mbuf_new(64, 1, SHAPE_LINEAR);
		assert_int_equal(port_tx(&p, pkts, 2), 2);
		assert_true(port_receive(&p, &frame));
		expect_bytes(frame.data, frame.len, 64, 1);
		assert_int_equal(p.txq.stats.drop[VNET_DROP_OFFLOAD], 1);
		assert_int_equal(p.txq.stats.packets, 1);
		port_close(&p);
	}
}

/* tx_prepare: pseudo-headers where they are needed, and an answer where nothing helps. */
static void
prepare(void **state)
{
	for (uint32_t i = 0; i < NKINDS; i++) {
		const struct pkt *k = &kinds[i];
		uint8_t expected[100];
		struct rte_mbuf *m;

		build(k);
		partial_csum(k, false);
		memcpy(expected, bytes, l2_len + l3_len + 8);
		*csum_field(bytes, k->udp) = 0;
		m = mbuf_for(k, csum_flag(k), SHAPE_LINEAR);
		assert_int_equal(vnet_tx_prepare(&m, 1), 1);
		assert_memory_equal(rte_pktmbuf_mtod(m, void *), expected, l2_len + l3_len + 8);
		rte_pktmbuf_free(m);
	}
}

static void
prepare_refuses(void **state)
{
	struct rte_mbuf *pkts[3];

	build(&kinds[1]);
	for (int i = 0; i < 3; i++)
		pkts[i] = mbuf_for(&kinds[1], RTE_MBUF_F_TX_TCP_CKSUM, SHAPE_LINEAR);
	assert_int_equal(vnet_tx_prepare(pkts, 3), 3);
	pkts[1]->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	pkts[1]->tso_segsz = 0;
	assert_int_equal(vnet_tx_prepare(pkts, 3), 1);
	assert_int_equal(rte_errno, EINVAL);
	pkts[1]->tso_segsz = 1400;
	assert_int_equal(vnet_tx_prepare(pkts, 3), 3);
	pkts[0]->ol_flags = RTE_MBUF_F_TX_OUTER_IP_CKSUM;
	assert_int_equal(vnet_tx_prepare(pkts, 3), 0);
	assert_int_equal(rte_errno, ENOTSUP);
	rte_pktmbuf_free_bulk(pkts, 3);
	expect_no_mbuf_lost();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tx_csum),
		cmocka_unit_test(tx_csum_unprepared),
		cmocka_unit_test(tx_csum_padded),
		cmocka_unit_test(tx_udp_csum_zero),
		cmocka_unit_test(tx_ip_csum_only),
		cmocka_unit_test(tx_ip_csum_of_ipv6),
		cmocka_unit_test(tx_tso_described),
		cmocka_unit_test(tx_tso_in_software),
		cmocka_unit_test(tx_odd_header),
		cmocka_unit_test(tx_tso_not_for_this_guest),
		cmocka_unit_test(tx_tso_waits_for_the_ring),
		cmocka_unit_test(tx_merged_packet),
		cmocka_unit_test(tx_ufo),
		cmocka_unit_test(tx_vlan_insert),
		cmocka_unit_test(tx_vlan_and_work),
		cmocka_unit_test(tx_impossible),
		cmocka_unit_test(prepare),
		cmocka_unit_test(prepare_refuses),
	};

	return cmocka_run_group_tests_name("vnet_offload_tx", tests, vnet_setup, vnet_teardown);
}
