/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that receives from devices that lie: whatever they write, a ring breaks with its reason
 * counted or goes on, and afterwards every mbuf is in its pool once.
 */
#include "rig_device_hostile.h"
#include "rig_device_feed.h"

static void
open_ring(struct feed *r, uint64_t features)
{
	feed_open(r, SIZE, features, small_pool);
}

static uint16_t
receive(struct feed *r)
{
	struct rte_mbuf *pkts[64];
	uint16_t n = link_rx(&r->l, pkts, 64);

	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

/* A frame of 100 bytes, in that many buffers as far as its header is concerned. */
static void
use(struct feed *r, uint16_t buffers)
{
	struct virtio_net_hdr_v1_hash hdr = feed_header(r->seed);

	hdr.hdr.num_buffers = buffers;
	feed_use(r, 0, &hdr, 100, 100);
}

/* A buffer more of a packet. */
static void
use_next(struct feed *r)
{
	rdev_use(&r->l.rdev, rdev_held_remove(&r->held, 0), 100);
}

static void
expect_alive(struct feed *r)
{
	assert_int_equal(r->l.drv->cursor.broken, VIRTQ_OK);
	assert_int_equal(link_errors(&r->l.rxq.stats), 0);
}

static void
rx_used_index_jumps(void **state)
{
	static const uint16_t jumps[] = {SIZE + 1, 100, 32768, 65535};

	for (uint32_t i = 0; i < NRINGS * 4; i++) {
		static struct feed r;

		if (rings[i / 4] & F_PACKED)
			continue;
		open_ring(&r, rings[i / 4]);
		r.l.ring->used->idx = jumps[i % 4];
		assert_int_equal(receive(&r), 0);
		expect_broken(&r.l, VIRTQ_E_USED_JUMP);
		link_close(&r.l);
	}
}

/* On a ring that is out of order it is seen, and counted, once as well. */
static void
rx_used_index_jumps_out_of_order(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static struct feed r;

		if (rings[i] & (F_PACKED | F_IN_ORDER))
			continue;
		open_ring(&r, rings[i]);
		for (uint32_t k = 0; k < 2; k++)
			r.l.ring->used->ring[k] = (struct vring_used_elem){1 - k, 0};
		r.l.ring->used->idx = 2;
		assert_int_equal(receive(&r), 0); /* runts */
		assert_false(r.l.drv->sequential);
		r.l.ring->used->idx = 1000;
		assert_int_equal(receive(&r), 0);
		expect_broken(&r.l, VIRTQ_E_USED_JUMP);
		link_close(&r.l);
	}
}

/* Packed: marked used with the wrong lap's counter, or in a place that is not due. */
static void
rx_wrap_lies(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static struct feed r;

		if (!(rings[i] & F_PACKED))
			continue;
		open_ring(&r, rings[i]);
		r.l.ring->pdesc[0].flags = 0; /* used on a lap to come */
		assert_int_equal(receive(&r), 0);
		r.l.ring->pdesc[1].flags = 1u << 7 | 1u << 15;
		assert_int_equal(receive(&r), 0);
		for (int k = 0; k < SIZE; k++)
			r.l.ring->pdesc[k].flags = 1u << 15;
		assert_int_equal(receive(&r), 0);
		expect_alive(&r);
		use(&r, 1);
		feed_expect_next(&r, 100, 1, 0);
		link_close(&r.l);
	}
}

/* Not all buffers of a packet come: it waits, without an end and without harm. */
static void
rx_num_buffers_never_completed(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static struct feed r;

		if (!(rings[i] & F_MRG))
			continue;
		open_ring(&r, rings[i]);
		use(&r, SIZE);
		while (r.held.n > 1) {
			use_next(&r);
			assert_int_equal(receive(&r), 0);
		}
		for (int k = 0; k < 100; k++)
			assert_int_equal(receive(&r), 0);
		expect_alive(&r);
		assert_int_equal(rte_mempool_avail_count(small_pool), SMALL_MBUFS - SIZE);
		link_close(&r.l);
	}
}

/* The buffers of a packet come one by one; the last one lies. */
static void
rx_lie_within_a_packet(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 3; i++) {
		uint64_t ring = rings[i / 3];
		static struct feed r;
		uint16_t first;

		if (!(ring & F_MRG))
			continue;
		open_ring(&r, ring);
		use(&r, 4);
		first = rdev_held_last(&r.held)->id;
		use_next(&r);
		use_next(&r);
		rdev_lie(&r.l.rdev, i % 3 == 0 ? first :
			 i % 3 == 1 ? rdev_held_last(&r.held)->id : 99, 5, 1, 1);
		assert_int_equal(receive(&r), 0);
		expect_broken(&r.l, VIRTQ_E_USED_ID);
		link_close(&r.l);
	}
}

/* Packed: only the last entry of a packet is marked. */
static void
rx_hole_within_a_packet(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static struct feed r;

		if (!(rings[i] & F_MRG) || !(rings[i] & F_PACKED))
			continue;
		open_ring(&r, rings[i]);
		use(&r, 4);
		r.l.ring->pdesc[3].flags = 1u << 7 | 1u << 15;
		for (int k = 0; k < 10; k++)
			assert_int_equal(receive(&r), 0);
		expect_alive(&r);
		assert_int_equal(r.l.drv->num_free, 0);
		link_close(&r.l);
	}
}

/* More bytes than a frame can have. */
static void
rx_packet_of_the_whole_ring(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		const struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = 64};
		const bool over = i % 2;
		struct rte_mbuf *m;
		static struct feed r;

		if (!(rings[i / 2] & F_MRG))
			continue;
		feed_open(&r, 64, rings[i / 2], small_pool);
		feed_fill(&r, 0, &hdr, 100);
		while (r.held.n > 0)
			rdev_use(&r.l.rdev, rdev_held_remove(&r.held, 0), over ? UINT32_MAX : 1000);
		assert_int_equal(link_rx(&r.l, &m, 1), !over);
		if (!over) {
			assert_int_equal(m->pkt_len, 64 * 1000 - r.l.ring->hdr_len);
			rte_pktmbuf_free(m);
		}
		assert_int_equal(r.l.rxq.stats.drop[VNET_DROP_OVERSIZE], over);
		assert_int_equal(r.l.drv->cursor.broken, VIRTQ_OK);
		link_close(&r.l);
	}
}

/* One entry for n buffers, of which the first `merged` are one packet. */
static void
one_batch(uint64_t features, uint16_t n, uint16_t merged)
{
	struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = merged};
	static struct feed r;

	open_ring(&r, features);
	feed_fill(&r, 0, &hdr, 100);
	for (uint16_t k = merged; k < n; k++)
		feed_fill(&r, k, NULL, 100);
	rdev_held_use_batch(&r.held, &r.l.rdev, n, r.l.ring->hdr_len + 100u);
	for (uint16_t done = 0; done < n;) {
		const uint16_t k = done == 0 ? merged : 1;
		const uint32_t full = (k - 1) * (r.l.ring->hdr_len + FEED_ROOM);
		struct rte_mbuf *m;

		assert_int_equal(link_rx(&r.l, &m, 1), 1);
		assert_int_equal(m->nb_segs, k);
		done += k;
		assert_int_equal(m->pkt_len, full + (done < n ? FEED_ROOM : 100));
		rte_pktmbuf_free(m);
	}
	assert_int_equal(receive(&r), 0);
	expect_alive(&r);
	/* And on behind it. */
	if (r.held.n > 0) {
		use(&r, 1);
		feed_expect_next(&r, 100, 1, r.seed - 1);
	}
	link_end(&r.l);
}

/* IN_ORDER: one entry for many buffers; those before the named one are full. */
static void
rx_batches_in_order(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		const bool mergeable = rings[i] & F_MRG;
		uint64_t x = i;

		if (!(rings[i] & F_IN_ORDER))
			continue;
		for (int round = 0; round < 300; round++) {
			const uint16_t n = 1 + rd_random(&x) % SIZE;

			one_batch(rings[i], n, mergeable ? 1 + rd_random(&x) % n : 1);
		}
		expect_all_mbufs();
	}
}

static void
rx_scribbled_ring(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		scribbled(rings[i], true, 16);
		scribbled(rings[i], true, 4);
	}
}

static void
rx_mutator_thread(void **state)
{
	for (uint32_t i = 0; !NO_MUTATORS && i < NRINGS; i++)
		mutated(rings[i], true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rx_used_index_jumps),
		cmocka_unit_test(rx_used_index_jumps_out_of_order),
		cmocka_unit_test(rx_wrap_lies),
		cmocka_unit_test(rx_num_buffers_never_completed),
		cmocka_unit_test(rx_lie_within_a_packet),
		cmocka_unit_test(rx_hole_within_a_packet),
		cmocka_unit_test(rx_packet_of_the_whole_ring),
		cmocka_unit_test(rx_batches_in_order),
		cmocka_unit_test(rx_scribbled_ring),
		cmocka_unit_test(rx_mutator_thread),
	};

	return cmocka_run_group_tests_name("vnet_drv_rx_lies", tests, vnet_setup, vnet_teardown);
}
