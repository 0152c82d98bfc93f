/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that sends to devices that lie: whatever they write, a ring breaks with its reason
 * counted or goes on, and afterwards every mbuf is in its pool once.
 */
#include "rig_device_hostile.h"

/* A driver that sends, and a device that has fetched all of it. */
static void
sender_open(struct victim *v, uint64_t features, uint16_t n)
{
	v->next = 0;
	link_open(&v->l, SIZE, features, false, small_pool);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = mbuf_new(100, i, SHAPE_LINEAR);

		assert_int_equal(link_tx(&v->l, &m, 1), 1);
		assert_true(rdev_fetch(&v->l.rdev, &v->c[i]));
	}
}

static void
tx_id_beyond_the_ring(void **state)
{
	static const uint32_t ids[] = {SIZE, SIZE + 1, 255, 32768, 65535, 65536, UINT32_MAX};

	for (uint32_t i = 0; i < NRINGS * 7; i++) {
		struct victim v;

		if (rings[i / 7] & F_PACKED && ids[i % 7] > UINT16_MAX)
			continue;
		sender_open(&v, rings[i / 7], 8);
		rdev_use(&v.l.rdev, &v.c[0], 0);
		rdev_lie(&v.l.rdev, ids[i % 7], 0, 1, 1);
		assert_int_equal(link_clean(&v.l), 1);
		expect_broken(&v.l, VIRTQ_E_USED_ID);
		link_close(&v.l);
	}
}

static void
tx_id_not_outstanding(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 3; i++) {
		struct victim v;

		sender_open(&v, rings[i / 3], 8);
		rdev_use(&v.l.rdev, &v.c[0], 0);
		if (i % 3 == 0) /* before the next is looked at */
			assert_int_equal(link_clean(&v.l), 1);
		/* Once again, or never offered. */
		rdev_lie(&v.l.rdev, i % 3 == 1 ? 12 : v.c[0].id, 0, 1, 1);
		assert_int_equal(link_clean(&v.l), i % 3 != 0);
		expect_broken(&v.l, VIRTQ_E_USED_ID);
		link_close(&v.l);
	}
}

/* A descriptor that is no head names nothing. */
static void
tx_id_within_a_chain(void **state)
{
	struct rte_mbuf *m;
	struct link l;

	link_open(&l, SIZE, F_V1, false, small_pool);
	m = mbuf_new(800, 0, SHAPE_CHAIN);
	assert_int_equal(link_tx(&l, &m, 1), 1);
	assert_int_equal(l.drv->num_free, SIZE - 4);
	rdev_lie(&l.rdev, 1, 0, 1, 1);
	assert_int_equal(link_clean(&l), 0);
	expect_broken(&l, VIRTQ_E_USED_ID);
	link_close(&l);
}

static void
tx_used_index_jumps(void **state)
{
	static const uint16_t jumps[] = {9, SIZE, SIZE + 1, 32768, 65535};

	for (uint32_t i = 0; i < NRINGS * 5; i++) {
		struct victim v;

		if (rings[i / 5] & F_PACKED)
			continue;
		sender_open(&v, rings[i / 5], 8);
		v.l.ring->used->idx = jumps[i % 5];
		assert_int_equal(link_clean(&v.l), 0);
		expect_broken(&v.l, VIRTQ_E_USED_JUMP);
		link_close(&v.l);
	}
}

/* A burst finds out: what it takes is counted and drained, the rest is the caller's. */
static void
tx_lies_met_in_a_burst(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[8];
		struct victim v;
		uint16_t n;

		sender_open(&v, rings[i], 12);
		rdev_use(&v.l.rdev, &v.c[0], 0);
		rdev_lie(&v.l.rdev, 99, 0, 1, 1);
		for (int k = 0; k < 8; k++)
			pkts[k] = mbuf_new(100, k, SHAPE_LINEAR);
		n = link_tx(&v.l, pkts, 8);
		assert_true(n <= 5);
		assert_int_equal(v.l.txq.stats.packets, 12 + n);
		rte_pktmbuf_free_bulk(pkts + n, 8 - n);
		expect_broken(&v.l, VIRTQ_E_USED_ID);
		link_close(&v.l);
	}
}

static void
tx_wrap_lies(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct victim v;

		if (!(rings[i] & F_PACKED))
			continue;
		sender_open(&v, rings[i], 8);
		v.l.ring->pdesc[0].flags = 0;
		assert_int_equal(link_clean(&v.l), 0);
		v.l.ring->pdesc[0].flags = 1u << 15;
		assert_int_equal(link_clean(&v.l), 0);
		rdev_use(&v.l.rdev, &v.c[0], 0);
		assert_int_equal(link_clean(&v.l), 1);
		assert_int_equal(v.l.drv->cursor.broken, VIRTQ_OK);
		link_close(&v.l);
	}
}

/* IN_ORDER: one entry for more packets than are freed at once, round the ring. */
static void
tx_batches_in_order(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		uint64_t ring = rings[i / 2] | (i % 2 ? F_INDIRECT : 0), x = i;
		static struct rdev_chain c[512];
		uint32_t total = 0;
		struct link l;

		if (!(ring & F_IN_ORDER))
			continue;
		link_open(&l, 512, ring, false, small_pool);
		while (total < 5000) {
			struct rte_mbuf *pkts[200];
			uint16_t n = 1 + rd_random(&x) % 170, half = rd_random(&x) % (n + 1);

			for (uint16_t k = 0; k < n; k++)
				pkts[k] = mbuf_new(800, k, k % 8 ? SHAPE_LINEAR : SHAPE_CHAIN);
			assert_int_equal(link_tx(&l, pkts, n), n);
			for (uint16_t k = 0; k < n; k++)
				assert_true(rdev_fetch(&l.rdev, &c[k]));
			if (half > 0)
				rdev_use_batch(&l.rdev, c, half, 0);
			if (half < n)
				rdev_use_batch(&l.rdev, c + half, n - half, 0);
			assert_int_equal(link_clean(&l), n);
			assert_int_equal(l.drv->num_free, 512);
			total += n;
		}
		assert_int_equal(link_errors(&l.txq.stats), 0);
		expect_pool_whole(small_pool, SMALL_MBUFS);
		link_close(&l);
	}
}

/* Split: the entry stands for more than the index says. */
static void
tx_batch_larger_than_the_index(void **state)
{
	struct victim v;

	sender_open(&v, F_V1 | F_IN_ORDER, 8);
	rdev_lie(&v.l.rdev, v.c[5].id, 0, 2, 1);
	assert_int_equal(link_clean(&v.l), 6);
	expect_broken(&v.l, VIRTQ_E_USED_JUMP);
	link_close(&v.l);
}

static void
tx_scribbled_ring(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		scribbled(rings[i], false, 16);
		scribbled(rings[i] | F_INDIRECT, false, 16);
		scribbled(rings[i] | F_EVENT_IDX, false, 4);
	}
}

static void
tx_mutator_thread(void **state)
{
	for (uint32_t i = 0; !NO_MUTATORS && i < NRINGS; i++) {
		mutated(rings[i], false);
		mutated(rings[i] | F_INDIRECT | F_EVENT_IDX, false);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tx_id_beyond_the_ring),
		cmocka_unit_test(tx_id_not_outstanding),
		cmocka_unit_test(tx_id_within_a_chain),
		cmocka_unit_test(tx_used_index_jumps),
		cmocka_unit_test(tx_lies_met_in_a_burst),
		cmocka_unit_test(tx_wrap_lies),
		cmocka_unit_test(tx_batches_in_order),
		cmocka_unit_test(tx_batch_larger_than_the_index),
		cmocka_unit_test(tx_scribbled_ring),
		cmocka_unit_test(tx_mutator_thread),
	};

	return cmocka_run_group_tests_name("vnet_drv_tx_lies", tests, vnet_setup, vnet_teardown);
}
