/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver and devices that keep the order of buffers, change it, or do one after the other: what
 * goes in bulk and what goes one by one must be the same to both sides.
 */
#include "rig_device_link.h"

#define MOST 257 /* entries of the largest ring, and one to look for more with */

/* Features, and a size that goes with them. */
static const struct shape_of_ring {
	uint64_t features;
	uint16_t size;
} shapes[] = {
	{F_V1, 256}, {F_V1, 32}, {F_V1, 4}, {0, 64},
	{F_V1 | F_MRG, 64}, {F_V1 | F_INDIRECT, 64},
	{F_V1 | F_PACKED, 256}, {F_V1 | F_PACKED, 33}, {F_V1 | F_PACKED, 3}, {F_PACKED, 64},
	{F_V1 | F_MRG | F_PACKED, 100}, {F_V1 | F_PACKED | F_INDIRECT, 64},
};

#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* Give back `count`: in order, or drawn from anywhere. */
static void
give_back(struct link *l, struct rdev_held *h, uint16_t count, bool shuffle, uint64_t *x,
	  uint32_t len)
{
	while (count-- > 0 && h->n > 0)
		rdev_use(&l->rdev, rdev_held_remove(h, shuffle ? rd_random(x) % h->n : 0), len);
}

static uint32_t
length_of(uint32_t seed)
{
	return 20 + seed * 7 % 900;
}

/* A chain holds an empty header, and the packet of that number. */
static void
expect_chain(const struct link *l, const struct rdev_chain *c, uint32_t seed)
{
	static const uint8_t empty[12];
	uint8_t data[2048];
	uint32_t len = 0;

	for (uint32_t i = 0; i < c->n; len += c->sg[i++].len) {
		assert_true(len + c->sg[i].len <= sizeof(data));
		memcpy(data + len, (void *)(uintptr_t)c->sg[i].addr, c->sg[i].len);
	}
	assert_memory_equal(data, empty, l->ring->hdr_len);
	expect_bytes(data + l->ring->hdr_len, len - l->ring->hdr_len, length_of(seed), seed);
}

/* Of either pool, of any kind, its headroom full of what was there before. */
static struct rte_mbuf *
any_mbuf(uint64_t *x, uint32_t seed, uint16_t size)
{
	const uint32_t kind = rd_random(x) % 16;
	struct rte_mbuf *m;

	if (kind == 0 && size > 8)
		return mbuf_new(length_of(seed), seed, rd_random(x) % SHAPE_MAX);
	m = rte_pktmbuf_alloc(kind < 5 ? large_pool : small_pool);
	if (m == NULL)
		return mbuf_new(length_of(seed), seed, SHAPE_LINEAR);
	if (rd_random(x) % 2)
		memset(m->buf_addr, 0xa5, RTE_PKTMBUF_HEADROOM);
	frame_fill((uint8_t *)rte_pktmbuf_append(m, (uint16_t)length_of(seed)), length_of(seed),
		   seed);
	return m;
}

/* In order for a third of the time, then shuffled, then in order again. */
static void
send_to(const struct shape_of_ring *shape)
{
	static struct rdev_held h;
	uint64_t x = shape->features + shape->size;
	uint32_t made = 0, fetched = 0;
	struct rte_mbuf *pkts[64];
	uint16_t have = 0;
	struct link l;

	rdev_held_init(&h);
	link_open(&l, shape->size, shape->features, false, small_pool);
	for (int round = 0; round < 900; round++) {
		const bool shuffle = round >= 300 && round < 600;
		uint16_t n = 1 + rd_random(&x) % 64;

		while (have < n)
			pkts[have++] = any_mbuf(&x, made++, shape->size);
		n = link_tx(&l, pkts, n);
		memmove(pkts, pkts + n, (have - n) * sizeof(pkts[0]));
		have -= n;
		while (rd_random(&x) % 64 != 0 && rdev_held_fetch(&h, &l.rdev))
			expect_chain(&l, &h.chain[h.at[h.n - 1]], fetched++);
		give_back(&l, &h, rd_random(&x) % 80, shuffle, &x, 0);
		if (rd_random(&x) % 8 == 0)
			vnet_drv_tx_clean(&l.txq, l.drv, l.ring, rd_random(&x) % 50);
		if (round < 300)
			assert_true(l.drv->sequential);
	}
	assert_true(fetched > 900);
	assert_false(l.drv->sequential);
	assert_int_equal(link_errors(&l.txq.stats) + link_drops(&l.txq.stats), 0);
	while (rdev_held_fetch(&h, &l.rdev))
		expect_chain(&l, &h.chain[h.at[h.n - 1]], fetched++);
	assert_int_equal(l.txq.stats.packets, fetched);
	give_back(&l, &h, UINT16_MAX, true, &x, 0);
	link_clean(&l);
	assert_int_equal(l.drv->num_free, shape->size);
	rte_pktmbuf_free_bulk(pkts, have);
	link_close(&l);
}

static void
send_to_devices_that_reorder(void **state)
{
	for (uint32_t i = 0; i < NSHAPES; i++)
		send_to(&shapes[i]);
}

/* The device fills a buffer when it gives it back. */
static void
fill_and_give_back(struct link *l, struct rdev_held *h, uint16_t count, bool shuffle, uint64_t *x,
		   uint32_t *seeds, uint32_t *nseeds)
{
	static const struct virtio_net_hdr_v1_hash plain = {.hdr.num_buffers = 1};

	while (count-- > 0 && h->n > 0) {
		uint16_t k = shuffle ? rd_random(x) % h->n : 0;
		uint32_t seed = rd_random(x) % 100000;
		const struct rdev_chain *c = rdev_held_remove(h, k);

		link_fill(l, c, &plain, length_of(seed), seed);
		seeds[(*nseeds)++ % 1024] = seed;
		rdev_use(&l->rdev, c, l->ring->hdr_len + length_of(seed));
	}
}

static void
receive_from(const struct shape_of_ring *shape)
{
	static struct rdev_held h;
	static uint32_t seeds[1024];
	uint64_t x = shape->features * 3 + shape->size;
	uint32_t given = 0, received = 0;
	struct rte_mbuf *got[64];
	struct link l;

	rdev_held_init(&h);
	link_open(&l, shape->size, shape->features, true, small_pool);
	vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
	for (int round = 0; round < 900; round++) {
		const bool shuffle = round >= 300 && round < 600;
		uint16_t n;

		while (rd_random(&x) % 64 != 0 && rdev_held_fetch(&h, &l.rdev))
			;
		fill_and_give_back(&l, &h, rd_random(&x) % 80, shuffle, &x, seeds, &given);
		n = link_rx(&l, got, 1 + rd_random(&x) % 64);
		for (uint16_t i = 0; i < n; i++, received++) {
			uint32_t seed = seeds[received % 1024];

			expect_bytes(mbuf_bytes(got[i]), got[i]->pkt_len, length_of(seed), seed);
			assert_int_equal(got[i]->ol_flags, 0);
		}
		rte_pktmbuf_free_bulk(got, n);
		if (round < 300)
			assert_true(l.drv->sequential);
	}
	assert_true(received > 900);
	assert_false(l.drv->sequential);
	assert_int_equal(link_errors(&l.rxq.stats) + link_drops(&l.rxq.stats), 0);
	link_close(&l);
}

static void
receive_from_devices_that_reorder(void **state)
{
	for (uint32_t i = 0; i < NSHAPES; i++)
		receive_from(&shapes[i]);
}

/* IN_ORDER: one entry for any number of packets, and any number of them cleaned at a time. */
static void
clean_within_batches(void **state)
{
	for (uint32_t i = 0; i < NSHAPES; i++) {
		uint64_t x = i, features = shapes[i].features | F_IN_ORDER;
		static struct rdev_chain c[MOST];
		uint32_t have = 0, sent = 0;
		struct link l;

		link_open(&l, shapes[i].size, features, false, small_pool);
		for (int round = 0; round < 2000; round++) {
			struct rte_mbuf *pkts[64];
			uint16_t n = 1 + rd_random(&x) % 64, done, batch;

			for (uint16_t k = 0; k < n; k++)
				pkts[k] = mbuf_new(60, k, SHAPE_LINEAR);
			done = link_tx(&l, pkts, n);
			rte_pktmbuf_free_bulk(pkts + done, n - done);
			sent += done;
			while (rdev_fetch(&l.rdev, &c[have]))
				have++;
			while (have > 0 && rd_random(&x) % 4 != 0) {
				/* Often one by one, as most devices do. */
				batch = rd_random(&x) % 2 ? 1 : 1 + rd_random(&x) % have;
				rdev_use_batch(&l.rdev, c, batch, 0);
				have -= batch;
				memmove(c, c + batch, have * sizeof(c[0]));
			}
			if (rd_random(&x) % 2)
				vnet_drv_tx_clean(&l.txq, l.drv, l.ring, rd_random(&x) % 40);
			assert_int_equal(l.drv->cursor.broken, VIRTQ_OK);
		}
		assert_true(sent > 2000);
		if (have > 0)
			rdev_use_batch(&l.rdev, c, (uint16_t)have, 0);
		link_clean(&l);
		assert_int_equal(l.drv->num_free, shapes[i].size);
		assert_true(l.drv->sequential);
		link_close(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(send_to_devices_that_reorder),
		cmocka_unit_test(receive_from_devices_that_reorder),
		cmocka_unit_test(clean_within_batches),
	};

	return cmocka_run_group_tests_name("vnet_drv_order", tests, vnet_setup, vnet_teardown);
}
