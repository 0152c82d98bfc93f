/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver whose ring is full, whose pool is empty, or that stops: nothing is lost. */
#include "rig_device_bits.h"

/*
 * A small ring is refilled before a large packet needs all of it: the device has seen less than
 * it needs and waits.
 */
static void
small_ring_large_packets(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		for (uint16_t size = 4; size <= 64; size *= 2) {
			uint32_t len = RTE_MIN((size - 1) * 2000u, 65000u);
			struct link l;

			link_open(&l, size, F_V1 | F_MRG | (packed ? F_PACKED : 0), true,
				  small_pool);
			vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
			for (uint32_t i = 0; i < 500; i++) {
				/* Other numbers of small ones before each large one. */
				uint32_t n = i % 13 == 0 || i % 5 == 0 ? len : 60;
				struct rte_mbuf *m = mbuf_new(n, i, SHAPE_CHAIN), *got;
				int turns = 0;

				while (link_tx(&l, &m, 1) == 0) {
					assert_int_equal(link_rx(&l, &got, 1), 0);
					assert_true(turns++ < 3);
				}
				assert_int_equal(link_rx(&l, &got, 1), 1);
				link_expect_packet(got, n, i);
				rte_pktmbuf_free(got);
			}
			link_close(&l);
		}
	}
}

/* The pool runs dry while packets come: none is lost, and with mbufs again it goes on. */
static void
receive_without_buffers(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		struct rte_mbuf *held[LARGE_MBUFS], *m, *got;
		uint32_t nheld = 0, sent = 0, received = 0;
		struct link l;

		link_open(&l, 64, combination(i), true, large_pool);
		assert_int_equal(vnet_drv_rx_fill(&l.rxq, l.drv, l.ring), 64);
		while (nheld < LARGE_MBUFS) {
			m = mbuf_linear(100, sent);
			while (link_tx(&l, &m, 1) == 0)
				fail_msg("%u held", nheld);
			sent++;
			if (link_rx(&l, &got, 1) == 1) {
				link_expect_packet(got, 100, received++);
				held[nheld++] = got;
			}
		}
		assert_int_equal(received, sent);
		assert_true(l.rxq.stats.nombuf > 0);
		m = mbuf_linear(100, sent);
		assert_int_equal(link_tx(&l, &m, 1), 0);
		assert_int_equal(link_rx(&l, &got, 1), 0);
		rte_pktmbuf_free_bulk(held, nheld);
		assert_int_equal(link_rx(&l, &got, 1), 0);
		assert_int_equal(link_tx(&l, &m, 1), 1);
		assert_int_equal(link_rx(&l, &got, 1), 1);
		link_expect_packet(got, 100, sent);
		rte_pktmbuf_free(got);
		assert_int_equal(l.rxq.stats.packets, sent + 1);
		assert_int_equal(link_drops(&l.rxq.stats), 0);
		link_close(&l);
	}
}

/* Filling with fewer mbufs than entries offers what there is. */
static void
fill_from_a_small_pool(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct link l;

		link_open(&l, 256, packed ? F_PACKED : 0, true, large_pool);
		assert_int_equal(vnet_drv_rx_fill(&l.rxq, l.drv, l.ring), LARGE_MBUFS);
		assert_int_equal(vnet_drv_rx_fill(&l.rxq, l.drv, l.ring), 0);
		assert_int_equal(vnet_ring_count(l.dev_run, &l.vq->cursor), LARGE_MBUFS);
		assert_int_equal(rte_mempool_avail_count(large_pool), 0);
		link_close(&l);
	}
}

/* A chain needs entries for all of its pieces, or one with a table. */
static void
full_ring_of_chains(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		uint64_t features = combination(i);
		uint16_t fit = features & F_INDIRECT ? 16 : 16 / 4;
		struct rte_mbuf *pkts[40], *got[40];
		struct link l;

		link_open(&l, 16, features, false, small_pool);
		for (uint32_t k = 0; k < 40; k++) {
			/* 13, 740 and 47 bytes */
			pkts[k] = mbuf_new(800, k, SHAPE_CHAIN);
			assert_int_equal(pkts[k]->nb_segs, 3);
		}
		for (uint16_t done = 0; done < 40;) {
			uint16_t n = RTE_MIN(fit, 40 - done);

			assert_int_equal(link_tx(&l, pkts + done, 40 - done), n);
			assert_int_equal(link_rx(&l, got + done, 40), n);
			done += n;
		}
		for (uint32_t k = 0; k < 40; k++)
			link_expect_packet(got[k], 800, k);
		rte_pktmbuf_free_bulk(got, 40);
		link_expect_stats(&l, 40, 32000);
		link_close(&l);
	}
}

/* No chain is longer than the ring: VIRTIO 1.2, 2.7.5.3.1. What needs one can never be sent. */
static void
longer_than_the_ring(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		struct rte_mbuf *pkts[3], *got[3];
		struct link l;

		link_open(&l, 4, combination(i), false, small_pool);
		pkts[0] = mbuf_linear(100, 0);
		pkts[1] = mbuf_new(9000, 1, SHAPE_CHAIN);
		pkts[2] = mbuf_new(800, 2, SHAPE_CHAIN);
		assert_true(pkts[1]->nb_segs > 4);
		assert_int_equal(link_tx(&l, pkts, 2), 2);
		assert_int_equal(link_rx(&l, got, 3), 1);
		assert_int_equal(link_tx(&l, pkts + 2, 1), 1);
		assert_int_equal(link_rx(&l, got + 1, 3), 1);
		link_expect_packet(got[0], 100, 0);
		link_expect_packet(got[1], 800, 2);
		rte_pktmbuf_free_bulk(got, 2);
		assert_int_equal(l.txq.stats.packets, 2);
		assert_int_equal(l.txq.stats.bytes, 900);
		assert_int_equal(link_drops(&l.txq.stats), 1);
		assert_int_equal(link_errors(&l.rxq.stats), 0);
		link_close(&l);
	}
}

/* tx_done_cleanup: as many as asked for, or a batch more. */
static void
clean_some(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		uint64_t features = combination(i);
		struct rte_mbuf *pkts[100], *got[100];
		struct link l;
		uint16_t n;

		link_open(&l, 128, features, false, small_pool);
		for (uint32_t k = 0; k < 100; k++)
			pkts[k] = mbuf_linear(100, k);
		assert_int_equal(link_tx(&l, pkts, 50), 50);
		assert_int_equal(link_tx(&l, pkts + 50, 50), 50);
		assert_int_equal(link_clean(&l), 0);
		assert_int_equal(link_rx(&l, got, 100), 100);
		n = vnet_drv_tx_clean(&l.txq, l.drv, l.ring, 10);
		assert_true(n == 10 || (features & F_IN_ORDER && n > 10 && n < 100));
		assert_int_equal(link_clean(&l), 100 - n);
		assert_int_equal(link_clean(&l), 0);
		rte_pktmbuf_free_bulk(got, 100);
		link_close(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_ring_large_packets),
		cmocka_unit_test(receive_without_buffers),
		cmocka_unit_test(fill_from_a_small_pool),
		cmocka_unit_test(full_ring_of_chains),
		cmocka_unit_test(longer_than_the_ring),
		cmocka_unit_test(clean_some),
	};

	return cmocka_run_group_tests_name("vnet_drv_full", tests, vnet_setup, vnet_teardown);
}
