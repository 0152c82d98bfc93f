/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums, segmentation and VLAN tags between a driver and a device of ours, both ways. */
#include "rig_device_link.h"
#include "rig_guest_tcp.h"

#define SEEN (RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_LRO)

static const uint64_t rings[] = {
	F_V1,
	F_V1 | F_INDIRECT,
	F_V1 | F_MRG | F_INDIRECT,
	0,
	F_V1 | F_PACKED,
	F_V1 | F_MRG | F_PACKED | F_INDIRECT | F_IN_ORDER,
};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))

/* A packet of the end that sends, which the other has to see with all of its checksums right. */
static void
one(uint64_t features, bool receive, uint32_t payload, uint64_t flags, uint32_t piece,
	uint64_t seen, uint64_t sw_csum)
{
	struct rte_mbuf *m, *got;
	struct link l;

	link_open(&l, 64, features, receive, small_pool);
	if (receive)
		vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
	m = tcp_packet(payload, flags, 1000, piece);
	assert_int_equal(link_tx(&l, &m, 1), 1);
	assert_int_equal(link_rx(&l, &got, 1), 1);
	expect_tcp(got, payload, 0, payload, flags & RTE_MBUF_F_TX_VLAN);
	assert_int_equal(got->ol_flags & SEEN, seen);
	if (seen & RTE_MBUF_F_RX_LRO)
		assert_int_equal(got->tso_segsz, 1000);
	rte_pktmbuf_free(got);
	assert_int_equal(l.txq.stats.sw_csum, sw_csum);
	assert_int_equal(l.txq.stats.sw_gso, 0);
	assert_int_equal(link_drops(&l.txq.stats) + link_drops(&l.rxq.stats), 0);
	link_close(&l);
}

#define GOOD RTE_MBUF_F_RX_L4_CKSUM_GOOD

static void
checksum_described_or_done(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		bool receive = i % 2;
		uint64_t ring = rings[i / 2], theirs = receive ? F_GUEST_CSUM : F_CSUM;
		uint64_t ours = receive ? F_CSUM : F_GUEST_CSUM;

		for (uint32_t piece = 60; piece < 2000; piece += 1500) {
			one(ring | theirs, receive, 900, CSUM, piece, GOOD, 0);
			one(ring | ours, receive, 900, CSUM, piece, 0, 1);
			one(ring, receive, 900, CSUM, piece, 0, 1);
			one(ring | theirs, receive, 900, CSUM | RTE_MBUF_F_TX_VLAN, piece, GOOD,
			    0);
			one(ring, receive, 900, CSUM | RTE_MBUF_F_TX_VLAN, piece, 0, 1);
		}
	}
}

static void
segmentation_described(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		bool receive = i % 2;
		uint64_t theirs = receive ? F_GUEST_CSUM | F_GUEST_TSO4 : F_CSUM | F_HOST_TSO4;
		uint32_t payload = 20000;

		/* What the driver receives without merging has to fit one buffer. */
		if (receive && !(rings[i / 2] & F_MRG))
			payload = 1900;
		one(rings[i / 2] | theirs, receive, payload, TSO, 1700, GOOD | RTE_MBUF_F_RX_LRO,
		    0);
		/* What fits one segment is none of a large packet. */
		one(rings[i / 2] | theirs, receive, 1000, TSO, 1700, GOOD, 0);
		one(rings[i / 2], receive, 1000, TSO, 1700, 0, 1);
		one(rings[i / 2], receive, 999, TSO | RTE_MBUF_F_TX_VLAN, 70, 0, 1);
	}
}

/* The other end does not take large packets: frames, of correct checksums. */
static void
segmentation_done(void **state)
{
	static const uint32_t payloads[] = {1001, 2000, 9999, 20000};

	for (uint32_t i = 0; i < NRINGS * 2 * 4; i++) {
		bool receive = i % 2;
		uint32_t payload = payloads[i / 2 % 4], frames = (payload + 999) / 1000;
		struct rte_mbuf *m, *got[32];
		struct link l;

		for (uint32_t piece = 600; piece < 2000; piece += 1100) {
			link_open(&l, 64, rings[i / 8], receive, small_pool);
			if (receive)
				vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
			m = tcp_packet(payload, TSO | (i & 1 ? RTE_MBUF_F_TX_VLAN : 0), 1000,
				       piece);
			if (link_tx(&l, &m, 1) != 1) {
				/* More than a ring of 64 entries takes without tables. */
				fail_msg("%u bytes in pieces of %u", payload, piece);
			}
			if (l.txq.stats.drop[VNET_DROP_OFFLOAD] != 0) {
				assert_false(rings[i / 8] & F_INDIRECT);
				assert_true(frames * 2 + (HEADERS + payload) / piece > 64);
				assert_int_equal(link_rx(&l, got, 32), 0);
				link_close(&l);
				continue;
			}
			assert_int_equal(link_rx(&l, got, 32), frames);
			for (uint32_t k = 0; k < frames; k++)
				expect_tcp(got[k], payload, k * 1000,
					   RTE_MIN(1000u, payload - k * 1000), i & 1);
			rte_pktmbuf_free_bulk(got, frames);
			assert_int_equal(l.txq.stats.sw_gso, 1);
			assert_int_equal(l.txq.stats.packets, 1);
			assert_int_equal(l.rxq.stats.packets, frames);
			if (!receive)
				link_clean(&l);
			link_close(&l);
		}
	}
}

/* Frames of one packet are offered all or none; the packet that waits is counted once. */
static void
segmentation_waits_for_room(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *m, *pkts[60], *got[64];
		struct link l;

		link_open(&l, 64, rings[i], false, small_pool);
		for (int k = 0; k < 60; k++)
			pkts[k] = mbuf_new(100, k, SHAPE_LINEAR);
		assert_int_equal(link_tx(&l, pkts, 60), 60);
		m = tcp_packet(9999, TSO, 1000, 1700);
		assert_int_equal(link_tx(&l, &m, 1), 0);
		assert_int_equal(vnet_ring_count(l.dev_run, &l.vq->cursor), 60);
		assert_int_equal(rte_mbuf_refcnt_read(m), 1);
		assert_int_equal(link_rx(&l, got, 64), 60);
		rte_pktmbuf_free_bulk(got, 60);
		assert_int_equal(link_tx(&l, &m, 1), 1);
		assert_int_equal(link_rx(&l, got, 64), 10);
		rte_pktmbuf_free_bulk(got, 10);
		assert_int_equal(l.txq.stats.sw_gso, 1);
		assert_int_equal(l.txq.stats.packets, 61);
		link_close(&l);
	}
}

static void
checksum_counted_once(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[17], *got[20];
		struct link l;

		link_open(&l, 16, rings[i], false, small_pool);
		for (int k = 0; k < 15; k++)
			pkts[k] = mbuf_new(100, k, SHAPE_LINEAR);
		pkts[15] = tcp_packet(100, CSUM, 0, 2000);
		pkts[16] = tcp_packet(100, CSUM, 0, 2000);
		for (int k = 0; k < 3; k++) {
			uint16_t n = link_tx(&l, pkts + (k == 0 ? 0 : 15), k == 0 ? 15 : 1);

			assert_true(k == 0 || n == (rings[i] & F_INDIRECT ? k == 1 : 0));
		}
		assert_int_equal(l.txq.stats.sw_csum, rings[i] & F_INDIRECT ? 1 : 0);
		rte_pktmbuf_free_bulk(got, link_rx(&l, got, 20));
		rte_pktmbuf_free_bulk(pkts + (rings[i] & F_INDIRECT ? 16 : 15),
				      rings[i] & F_INDIRECT ? 1 : 2);
		link_close(&l);
	}
}

/* Without a checksum to describe, only the tag goes in. */
static void
vlan_tag_alone(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		struct rte_mbuf *m, *got;
		const uint8_t *bytes;
		struct link l;

		link_open(&l, 64, rings[i / 2], i % 2, small_pool);
		if (l.receive)
			vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
		m = mbuf_new(700, 4, SHAPE_CLONE);
		m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		m->vlan_tci = 0x123;
		assert_int_equal(link_tx(&l, &m, 1), 1);
		assert_int_equal(link_rx(&l, &got, 1), 1);
		bytes = mbuf_bytes(got);
		assert_int_equal(got->pkt_len, 704);
		assert_memory_equal(bytes + 12, "\x81\x00\x01\x23\x88\xb5", 6);
		rte_pktmbuf_free(got);
		link_close(&l);
	}
}

/* num_buffers is for the device to write. VIRTIO 1.2, 5.1.6.2.1 */
static void
num_buffers_is_0(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[4];
		struct rdev_chain c;
		struct link l;
		uint32_t seen = 0;

		if (!(rings[i] & F_V1))
			continue;
		link_open(&l, 64, rings[i], false, small_pool);
		pkts[0] = mbuf_new(100, 0, SHAPE_LINEAR);
		pkts[1] = mbuf_new(100, 0, SHAPE_CHAIN);
		pkts[2] = tcp_packet(100, CSUM, 0, 2000);
		pkts[3] = tcp_packet(3000, TSO, 1000, 1500);
		assert_int_equal(link_tx(&l, pkts, 4), 4);
		while (rdev_fetch(&l.rdev, &c)) {
			const struct virtio_net_hdr_mrg_rxbuf *h =
				(void *)(uintptr_t)c.sg[0].addr;

			assert_false(c.write);
			assert_int_equal(h->num_buffers, 0);
			assert_int_equal(h->hdr.flags, 0);
			assert_int_equal(h->hdr.gso_type, 0);
			seen++;
		}
		assert_int_equal(seen, 6);
		link_close(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_described_or_done),
		cmocka_unit_test(segmentation_described),
		cmocka_unit_test(segmentation_done),
		cmocka_unit_test(segmentation_waits_for_room),
		cmocka_unit_test(checksum_counted_once),
		cmocka_unit_test(vlan_tag_alone),
		cmocka_unit_test(num_buffers_is_0),
	};

	return cmocka_run_group_tests_name("vnet_drv_offload", tests, vnet_setup, vnet_teardown);
}
