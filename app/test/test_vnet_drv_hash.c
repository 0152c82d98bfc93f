/* SPDX-License-Identifier: BSD-3-Clause */
/* The header that reports a hash, VIRTIO 1.2, 5.1.6.4.4: received, sent, and lied about. */
#include "rig_device_link.h"

#define SIZE 16
#define HDR ((uint32_t)sizeof(struct virtio_net_hdr_v1_hash))

static const uint64_t rings[] = {
	F_V1, F_V1 | F_MRG, F_V1 | F_PACKED, F_V1 | F_PACKED | F_MRG,
	F_V1 | F_IN_ORDER, F_V1 | F_PACKED | F_MRG | F_IN_ORDER,
};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))

static void
open_ring(struct link *l, uint64_t features)
{
	link_open(l, SIZE, features, true, small_pool);
	assert_int_equal(vnet_drv_rx_fill(&l->rxq, l->drv, l->ring), SIZE);
}

/* The device puts bytes into its next buffer, and says that it used so many. */
static void
use(struct link *l, const struct virtio_net_hdr_v1_hash *hdr, uint32_t len, uint32_t seed)
{
	struct rdev_chain c;

	assert_true(rdev_fetch(&l->rdev, &c));
	assert_int_equal(c.n, 1);
	link_fill(l, &c, hdr, len, seed);
	rdev_use(&l->rdev, &c, l->ring->hdr_len + len);
}

static void
use_hash(struct link *l, uint16_t report, uint32_t hash, uint32_t seed)
{
	const struct virtio_net_hdr_v1_hash hdr = {
		.hdr.num_buffers = 1,
		.hash_value = hash,
		.hash_report = report,
		.padding = 0xffff, /* nobody looks at it */
	};

	use(l, &hdr, 100 + seed % 50, seed);
}

static void
expect(struct link *l, bool known, uint32_t hash, uint32_t seed)
{
	struct rte_mbuf *m;

	assert_int_equal(link_rx(l, &m, 1), 1);
	expect_bytes(mbuf_bytes(m), m->pkt_len, 100 + seed % 50, seed);
	assert_int_equal(m->ol_flags, known ? RTE_MBUF_F_RX_RSS_HASH : 0);
	assert_int_equal(m->hash.rss, known ? hash : 0);
	rte_pktmbuf_free(m);
}

/* Every kind of report, on every ring; an application sees those that mean something. */
static void
reports(void **state)
{
	static const uint16_t unknown[] = {10, 11, 255, 256, 257, 0x0109, 0x8001, 65535};

	for (uint32_t i = 0; i < NRINGS; i++) {
		struct link l;

		open_ring(&l, rings[i] | F_HASH_REPORT);
		assert_int_equal(l.ring->hdr_len, HDR);
		for (uint16_t report = 0; report <= 9; report++) {
			use_hash(&l, report, 0x12345678u * (report + 1u), report);
			expect(&l, report != 0, 0x12345678u * (report + 1u), report);
		}
		use_hash(&l, VIRTIO_NET_HASH_REPORT_UDPv6, 0, 3);
		expect(&l, true, 0, 3);
		for (uint32_t k = 0; k < RTE_DIM(unknown); k++) {
			use_hash(&l, unknown[k], 0xdeadbeef, k);
			expect(&l, false, 0, k);
		}
		assert_int_equal(link_drops(&l.rxq.stats) + link_errors(&l.rxq.stats), 0);
		link_close(&l);
	}
}

/* A burst takes each packet's own. */
static void
many_in_a_burst(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[SIZE];
		struct link l;

		open_ring(&l, rings[i] | F_HASH_REPORT);
		for (uint32_t k = 0; k < SIZE; k++)
			use_hash(&l, k % 3, 1000 + k, k);
		assert_int_equal(link_rx(&l, pkts, SIZE), SIZE);
		for (uint32_t k = 0; k < SIZE; k++) {
			assert_int_equal(!!(pkts[k]->ol_flags & RTE_MBUF_F_RX_RSS_HASH),
					 k % 3 != 0);
			assert_int_equal(pkts[k]->hash.rss, k % 3 != 0 ? 1000 + k : 0);
		}
		rte_pktmbuf_free_bulk(pkts, SIZE);
		link_close(&l);
	}
}

/* It comes along with the offloads of the header before it. */
static void
with_checksum(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		const struct virtio_net_hdr_v1_hash hdr = {
			.hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34,
				.csum_offset = 16, .num_buffers = 1},
			.hash_value = 77,
			.hash_report = VIRTIO_NET_HASH_REPORT_TCPv4,
		};
		struct rte_mbuf *m;
		struct link l;

		open_ring(&l, rings[i] | F_HASH_REPORT | F_GUEST_CSUM);
		use(&l, &hdr, 100, 1);
		assert_int_equal(link_rx(&l, &m, 1), 1);
		assert_int_equal(m->ol_flags, RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
		assert_int_equal(m->hash.rss, 77);
		rte_pktmbuf_free(m);
		link_close(&l);
	}
}

/* A packet in three buffers has its hash in the first; what the others have there is data. */
static void
merged(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		const struct virtio_net_hdr_v1_hash hdr = {
			.hdr.num_buffers = 3,
			.hash_value = 0xabcdef01,
			.hash_report = VIRTIO_NET_HASH_REPORT_IPv6,
		};
		static uint8_t frame[4128];
		struct rte_mbuf *m;
		struct link l;

		if (!(rings[i] & F_MRG))
			continue;
		open_ring(&l, rings[i] | F_HASH_REPORT);
		for (uint32_t k = 0, off = 0; k < 3; k++) {
			const uint32_t len[] = {2048, 2048 + HDR, 12};
			struct rdev_chain c;

			frame_fill(frame, sizeof(frame), 9);
			assert_true(rdev_fetch(&l.rdev, &c));
			if (k == 0)
				memcpy((void *)(uintptr_t)c.sg[0].addr, &hdr, HDR);
			memcpy((void *)(uintptr_t)(c.sg[0].addr + (k == 0 ? HDR : 0)), frame + off,
			       len[k]);
			off += len[k];
			rdev_use(&l.rdev, &c, len[k] + (k == 0 ? HDR : 0));
		}
		assert_int_equal(link_rx(&l, &m, 1), 1);
		assert_int_equal(m->nb_segs, 3);
		expect_bytes(mbuf_bytes(m), m->pkt_len, sizeof(frame), 9);
		assert_int_equal(m->ol_flags, RTE_MBUF_F_RX_RSS_HASH);
		assert_int_equal(m->hash.rss, 0xabcdef01);
		rte_pktmbuf_free(m);
		link_close(&l);
	}
}

/* Where it was not negotiated the same bytes are the packet's. */
static void
not_negotiated(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		const struct virtio_net_hdr_v1_hash hdr = {
			.hdr.num_buffers = 1, .hash_value = 5, .hash_report = 1,
		};
		struct rdev_chain c;
		struct rte_mbuf *m;
		struct link l;

		open_ring(&l, rings[i]);
		assert_true(rdev_fetch(&l.rdev, &c));
		memcpy(link_fill(&l, &c, &hdr, 108, 1), &hdr.hash_value, 8);
		rdev_use(&l.rdev, &c, l.ring->hdr_len + 108);
		assert_int_equal(link_rx(&l, &m, 1), 1);
		assert_int_equal(m->pkt_len, 108);
		assert_int_equal(m->ol_flags, 0);
		assert_int_equal(m->hash.rss, 0);
		rte_pktmbuf_free(m);
		link_close(&l);
	}
}

/* What is sent has the same header, with nothing in it; however the mbuf is made up. */
static void
sent(void **state)
{
	for (uint32_t i = 0; i < NRINGS * SHAPE_MAX * 2; i++) {
		const uint64_t ring = rings[i / SHAPE_MAX / 2] | (i % 2 ? F_INDIRECT : 0);
		static const uint8_t none[HDR];
		uint8_t bytes[HDR + 700];
		struct rdev_chain c;
		struct rte_mbuf *m = mbuf_new(700, i, (enum shape)(i / 2 % SHAPE_MAX));
		uint32_t got = 0;
		struct link l;

		link_open(&l, SIZE, ring | F_HASH_REPORT, false, small_pool);
		if (rte_pktmbuf_headroom(m) >= HDR && m->nb_segs == 1 && RTE_MBUF_DIRECT(m))
			memset(rte_pktmbuf_mtod(m, uint8_t *) - HDR, 0xff, HDR);
		assert_int_equal(link_tx(&l, &m, 1), 1);
		assert_true(rdev_fetch(&l.rdev, &c));
		assert_int_equal(c.total, sizeof(bytes));
		for (uint32_t k = 0; k < c.n; got += c.sg[k++].len)
			memcpy(bytes + got, (void *)(uintptr_t)c.sg[k].addr, c.sg[k].len);
		assert_memory_equal(bytes, none, HDR);
		expect_bytes(bytes + HDR, 700, 700, i);
		rdev_use(&l.rdev, &c, 0);
		assert_int_equal(link_clean(&l), 1);
		link_close(&l);
	}
}

static void
burst_modes(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		const char *rx, *tx;
		struct link l;

		open_ring(&l, rings[i] | F_HASH_REPORT);
		vnet_drv_rx_select(l.ring, 0, &rx);
		vnet_drv_tx_select(l.ring, &tx);
		assert_non_null(strstr(rx, "hash"));
		assert_non_null(strstr(rx, rings[i] & F_PACKED ? "packed" : "split"));
		assert_int_equal(strstr(rx, "mergeable") != NULL, !!(rings[i] & F_MRG));
		assert_non_null(strstr(tx, "other header"));
		link_close(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reports),
		cmocka_unit_test(many_in_a_burst),
		cmocka_unit_test(with_checksum),
		cmocka_unit_test(merged),
		cmocka_unit_test(not_negotiated),
		cmocka_unit_test(sent),
		cmocka_unit_test(burst_modes),
	};

	return cmocka_run_group_tests_name("vnet_drv_hash", tests, vnet_setup, vnet_teardown);
}
