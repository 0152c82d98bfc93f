/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that receives: {layout, order, mergeable, hash} x {order in which buffers come back} x
 * {where the burst begins} x {its length}. One burst takes all there is, over the end of the ring,
 * over the size of a round and past what is unusual; and the ring lives on the mbufs that its pool
 * has.
 */
#include "rig_device_feed.h"

/* Features, and a size that goes with them. */
static const struct shape_of_ring {
	uint64_t features;
	uint16_t size;
} shapes[] = {
	{F_V1, 128}, {0, 64}, {F_V1 | F_MRG, 128}, {F_V1 | F_IN_ORDER, 64},
	{F_V1 | F_HASH_REPORT, 128},
	{F_V1 | F_PACKED, 128}, {F_V1 | F_PACKED, 77}, {F_PACKED, 100},
	{F_V1 | F_MRG | F_PACKED, 91}, {F_V1 | F_IN_ORDER | F_PACKED, 64},
	{F_V1 | F_MRG | F_IN_ORDER, 128}, {F_V1 | F_MRG | F_IN_ORDER | F_PACKED, 100},
};

#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* How the device gives its buffers back. */
enum order {
	IN_ORDER,
	ONE_HEADER,	/* one of them says that its checksum is verified */
	SWAPPED,	/* from the middle on two and two change places */
	REVERSED,	/* from the middle on */
	BATCHED,	/* IN_ORDER: one entry for all of them */
};

static void
open_shape(struct feed *r, uint32_t shape, struct rte_mempool *pool)
{
	feed_open(r, shapes[shape].size, shapes[shape].features, pool);
}

static uint32_t
length_of(uint32_t seed)
{
	return 20 + seed * 7 % 900;
}

/* The device puts the next packet into the k-th of its buffers. */
static void
use(struct feed *r, uint16_t k, uint8_t flags)
{
	struct virtio_net_hdr_v1_hash hdr = feed_header(r->seed);
	const uint32_t len = length_of(r->seed);

	hdr.hdr.flags = flags;
	feed_use(r, k, &hdr, len, len);
}

/* Of those that no entry names the device has filled all. */
static uint32_t
length_in(enum order order, uint16_t i, uint16_t n, uint32_t seed)
{
	return order == BATCHED && i + 1 < n ? FEED_ROOM : length_of(seed);
}

static void
use_batch(struct feed *r, uint16_t n)
{
	const uint32_t last = length_of(r->seed + n - 1);

	for (uint16_t i = 0; i < n; i++)
		feed_fill(r, i, NULL, length_in(BATCHED, i, n, r->seed));
	rdev_held_use_batch(&r->held, &r->l.rdev, n, r->l.ring->hdr_len + last);
}

static void
use_some(struct feed *r, uint16_t n, enum order order)
{
	if (order == BATCHED) {
		use_batch(r, n);
		return;
	}
	for (uint16_t i = 0, left = n; left > 0; i++, left--) {
		const bool late = i >= n / 2;

		if (order == SWAPPED && late)
			use(r, left > 1 && (i - n / 2) % 2 == 0, 0);
		else if (order == REVERSED && late)
			use(r, left - 1, 0);
		else
			use(r, 0, order == ONE_HEADER && i == n / 3 ?
			    VIRTIO_NET_HDR_F_DATA_VALID : 0);
	}
}

/* The n packets that were made last, in bursts of at most so many. */
static void
expect_bursts(struct feed *r, uint16_t n, enum order order, uint16_t most)
{
	struct rte_mbuf *got[FEED_MOST];

	for (uint16_t done = 0; done < n;) {
		const uint16_t have = link_rx(&r->l, got, most);

		if (have != RTE_MIN(most, n - done))
			fail_msg("%u packets of %u in a burst, %u before", have, n, done);
		for (uint16_t i = 0; i < have; i++, done++) {
			const uint32_t seed = r->seed - n + done;

			feed_expect(r, got[i], length_in(order, done, n, seed), 1, seed);
		}
		rte_pktmbuf_free_bulk(got, have);
	}
}

/* All in one. */
static void
expect_burst(struct feed *r, uint16_t n)
{
	expect_bursts(r, n, IN_ORDER, FEED_MOST);
}

/* Slots that hold a buffer have its cookie, and the others have none. */
static void
expect_cookies(struct feed *r)
{
	const struct virtq_drv *drv = r->l.drv;
	const uint16_t size = r->l.ring->size;
	uint16_t held = 0;

	for (uint16_t i = 0; i < size; i++)
		held += drv->cookie[i] != NULL;
	assert_int_equal(held, size - drv->num_free);
}

/*
 * Bursts of n from a ring that has moved on by `start`. Once a device has changed the order, the
 * ring is served in another way, so that each begins with a new one.
 */
static void
one_burst(uint32_t shape, enum order order, uint16_t start, uint16_t n)
{
	static struct feed r;
	struct link *l = &r.l;

	open_shape(&r, shape, small_pool);
	while (start > 0) {
		const uint16_t step = RTE_MIN(start, l->ring->size / 2);

		rdev_held_fetch_all(&r.held, &r.l.rdev);
		use_some(&r, step, IN_ORDER);
		expect_burst(&r, step);
		start -= step;
	}
	/* Buffers are offered some at a time, so that there may be fewer. */
	rdev_held_fetch_all(&r.held, &r.l.rdev);
	n = RTE_MIN(n, r.held.n);
	use_some(&r, n, order);
	expect_bursts(&r, n, order, order == BATCHED ? 1 + start % 9 : FEED_MOST);
	expect_cookies(&r);
	/* And once more, all there is. */
	rdev_held_fetch_all(&r.held, &r.l.rdev);
	n = RTE_MIN(r.held.n, 32);
	use_some(&r, n, IN_ORDER);
	expect_burst(&r, n);
	assert_int_equal(l->rxq.stats.packets, r.seed);
	assert_int_equal(link_drops(&l->rxq.stats) + link_errors(&l->rxq.stats), 0);
	assert_int_equal(l->rxq.stats.nombuf, 0);
	link_end(l);
}

/* With IN_ORDER there is one order, and batches. */
static bool
can_come(enum order order, uint64_t features)
{
	return order < SWAPPED || (order == BATCHED) == !!(features & F_IN_ORDER);
}

static void
bursts(enum order order)
{
	for (uint32_t i = 0; i < NSHAPES; i++) {
		const uint16_t size = shapes[i].size;
		static const uint16_t lengths[] = {1, 2, 7, 31, 32, 33, 45, 60};

		if (!can_come(order, shapes[i].features))
			continue;
		for (uint32_t k = 0; k < RTE_DIM(lengths); k++) {
			const uint16_t n = lengths[k];

			/* Past one that is unusual, a round of the others. */
			if (order != IN_ORDER && n > 45)
				continue;
			for (uint16_t before = 0; before <= n; before += 1 + n / 9)
				one_burst(i, order, size - before, n);
			one_burst(i, order, 3, n);
			one_burst(i, order, 2 * size - n / 2, n);
		}
		expect_all_mbufs();
	}
}

static void
bursts_in_order(void **state)
{
	bursts(IN_ORDER);
}

static void
bursts_with_a_header(void **state)
{
	bursts(ONE_HEADER);
}

static void
bursts_that_leave_the_order(void **state)
{
	bursts(SWAPPED);
	bursts(REVERSED);
}

static void
rx_batches_round_the_ring(void **state)
{
	bursts(BATCHED);
}

/* Pools with few mbufs. One that has a cache hands out what it then does not have. */
#define FEW 75u

static void
expect_balance(struct feed *r, const struct rte_mempool *pool, uint32_t kept)
{
	const uint32_t offered = r->l.ring->size - r->l.drv->num_free;

	expect_cookies(r);
	assert_int_equal(offered + kept + rte_mempool_avail_count(pool), FEW);
}

/* The application keeps so many that the ring gets fewer than it has entries for, down to none. */
static void
live_on_few(uint32_t shape, struct rte_mempool *pool, bool reorder)
{
	struct rte_mbuf *kept[FEW];
	uint32_t nkept = 0, seen = 0, dry = 0;
	uint64_t x = shape + 100 * reorder, short_of;
	static struct feed r;

	open_shape(&r, shape, pool);
	expect_balance(&r, pool, 0);
	for (int round = 0; round < 600; round++) {
		struct rte_mbuf *got[FEED_MOST];
		uint16_t n;

		rdev_held_fetch_all(&r.held, &r.l.rdev);
		for (n = rd_random(&x) % (r.held.n + 1u); n > 0; n--)
			use(&r, reorder && round > 300 ? rd_random(&x) % r.held.n : 0, 0);
		short_of = r.l.rxq.stats.nombuf;
		n = link_rx(&r.l, got, 1 + rd_random(&x) % 64);
		assert_true(r.l.rxq.stats.nombuf <= short_of + 1); /* a burst is cut short once */
		for (uint16_t i = 0; i < n; i++, seen++) {
			feed_expect(&r, got[i], length_of(seen), 1, seen);
			kept[nkept++] = got[i];
		}
		expect_balance(&r, pool, nkept);
		if (nkept == FEW) {
			dry++;
			assert_int_equal(link_rx(&r.l, got, 64), 0);
			assert_int_equal(r.l.drv->num_free, r.l.ring->size);
		}
		for (n = rd_random(&x) % 3 ? 0 : rd_random(&x) % (nkept + 1); n > 0; n--) {
			const uint32_t k = rd_random(&x) % nkept;

			rte_pktmbuf_free(kept[k]);
			kept[k] = kept[--nkept];
		}
	}
	assert_true(seen > 1500 && dry > 20);
	assert_true(r.l.rxq.stats.nombuf > 20);
	assert_int_equal(r.l.rxq.stats.packets, seen);
	assert_int_equal(link_drops(&r.l.rxq.stats) + link_errors(&r.l.rxq.stats), 0);
	rte_pktmbuf_free_bulk(kept, nkept);
	link_close(&r.l);
	expect_pool_whole(pool, FEW);
}

static void
few_mbufs(void **state)
{
	for (uint32_t i = 0; i < NSHAPES * 4; i++) {
		const bool cached = i & 1, reorder = i & 2;
		struct rte_mempool *pool;

		if (reorder && (shapes[i / 4].features & F_IN_ORDER))
			continue;
		pool = rte_pktmbuf_pool_create("few", FEW, cached ? 40 : 0, 0,
					       RTE_MBUF_DEFAULT_BUF_SIZE, 0);
		assert_non_null(pool);
		live_on_few(i / 4, pool, reorder);
		rte_mempool_free(pool);
	}
}

/* In order for a third of the time, then from anywhere, then in order again. */
static void
receive_from(uint16_t size, uint64_t features)
{
	uint64_t x = features * 3 + size;
	struct rte_mbuf *got[64];
	uint32_t received = 0;
	static struct feed r;

	feed_open(&r, size, features, small_pool);
	for (int round = 0; round < 900; round++) {
		const bool shuffle = round >= 300 && round < 600;
		uint16_t n;

		while (rd_random(&x) % 64 != 0 && rdev_held_fetch(&r.held, &r.l.rdev))
			;
		for (n = rd_random(&x) % 80; n > 0 && r.held.n > 0; n--)
			use(&r, shuffle ? rd_random(&x) % r.held.n : 0, 0);
		n = link_rx(&r.l, got, 1 + rd_random(&x) % 64);
		for (uint16_t i = 0; i < n; i++, received++)
			feed_expect(&r, got[i], length_of(received), 1, received);
		rte_pktmbuf_free_bulk(got, n);
		if (round < 300)
			assert_true(r.l.drv->sequential);
	}
	assert_true(received > 900);
	assert_false(r.l.drv->sequential);
	assert_int_equal(link_errors(&r.l.rxq.stats) + link_drops(&r.l.rxq.stats), 0);
	link_close(&r.l);
}

static void
receive_from_devices_that_reorder(void **state)
{
	static const struct shape_of_ring more[] = {
		{F_V1, 256}, {F_V1, 32}, {F_V1, 4},
		{F_V1 | F_PACKED, 256}, {F_V1 | F_PACKED, 33}, {F_V1 | F_PACKED, 3},
	};

	for (uint32_t i = 0; i < NSHAPES; i++)
		if (!(shapes[i].features & F_IN_ORDER))
			receive_from(shapes[i].size, shapes[i].features);
	for (uint32_t i = 0; i < RTE_DIM(more); i++)
		receive_from(more[i].size, more[i].features);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bursts_in_order),
		cmocka_unit_test(bursts_with_a_header),
		cmocka_unit_test(bursts_that_leave_the_order),
		cmocka_unit_test(rx_batches_round_the_ring),
		cmocka_unit_test(few_mbufs),
		cmocka_unit_test(receive_from_devices_that_reorder),
	};

	return cmocka_run_group_tests_name("vnet_drv_rx_order", tests, vnet_setup, vnet_teardown);
}
