/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that sends: {layout, order, header, tables} x {what the device says of one packet, and
 * in what order} x {where}. What goes in bulk and what goes one by one must be the same to both
 * sides; and whatever a device writes, a ring breaks with its reason counted or goes on, and
 * afterwards every mbuf is in its pool once.
 */
#include "rig_device_hostile.h"

struct sender {
	struct link l;
	struct rdev_held held;	/* what the device has fetched */
};

static void
open_ring(struct sender *s, uint16_t size, uint64_t features)
{
	rdev_held_init(&s->held);
	link_open(&s->l, size, features, false, small_pool);
}

/* The driver has sent n packets, and the device has fetched them. */
static void
sender_open(struct sender *s, uint64_t features, uint16_t n)
{
	open_ring(s, SIZE, features);
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = mbuf_new(100, i, SHAPE_LINEAR);

		assert_int_equal(link_tx(&s->l, &m, 1), 1);
		assert_true(rdev_held_fetch(&s->held, &s->l.rdev));
	}
}

/* The device gives back its k-th. */
static uint16_t
use(struct sender *s, uint16_t k)
{
	const struct rdev_chain *c = rdev_held_remove(&s->held, k);

	rdev_use(&s->l.rdev, c, 0);
	return c->id;
}

/* What it says of the next one, which is no packet that it has. */
enum lie { BEYOND, TAKEN, AGAIN, NEVER, LIES };

/* It is met behind `place` packets that came back as they should. */
static void
one_lie(uint64_t features, enum lie lie, uint32_t id, uint16_t place)
{
	uint16_t cleaned = 0, last = 0;
	static struct sender s;

	sender_open(&s, features, 8);
	for (uint16_t i = 0; i < place; i++)
		last = use(&s, 0);
	if (lie == TAKEN)
		cleaned = link_clean(&s.l);
	rdev_lie(&s.l.rdev, lie == BEYOND ? id : lie == NEVER ? 12 : last, 0, 1, 1);
	assert_int_equal(cleaned + link_clean(&s.l), place);
	expect_broken(&s.l, VIRTQ_E_USED_ID);
	link_end(&s.l);
}

static void
tx_id_beyond_the_ring(void **state)
{
	static const uint32_t ids[] = {SIZE, SIZE + 1, 255, 32768, 65535, 65536, UINT32_MAX};

	for (uint32_t i = 0; i < NRINGS * RTE_DIM(ids); i++) {
		const uint64_t ring = rings[i / RTE_DIM(ids)];
		const uint32_t id = ids[i % RTE_DIM(ids)];

		if (ring & F_PACKED && id > UINT16_MAX)
			continue;
		for (uint16_t place = 0; place < 8; place += 3)
			one_lie(ring, BEYOND, id, place);
	}
	expect_all_mbufs();
}

static void
tx_id_not_outstanding(void **state)
{
	for (uint32_t i = 0; i < NRINGS * LIES; i++)
		if (i % LIES != BEYOND)
			for (uint16_t place = 1; place < 8; place += 3)
				one_lie(rings[i / LIES], i % LIES, 0, place);
	expect_all_mbufs();
}

/* A descriptor that is no head names nothing. */
static void
tx_id_within_a_chain(void **state)
{
	static struct sender s;
	struct rte_mbuf *m;

	open_ring(&s, SIZE, F_V1);
	m = mbuf_new(800, 0, SHAPE_CHAIN);
	assert_int_equal(link_tx(&s.l, &m, 1), 1);
	assert_int_equal(s.l.drv->num_free, SIZE - 4);
	rdev_lie(&s.l.rdev, 1, 0, 1, 1);
	assert_int_equal(link_clean(&s.l), 0);
	expect_broken(&s.l, VIRTQ_E_USED_ID);
	link_close(&s.l);
}

static void
tx_used_index_jumps(void **state)
{
	static const uint16_t jumps[] = {9, SIZE, SIZE + 1, 32768, 65535};

	for (uint32_t i = 0; i < NRINGS * RTE_DIM(jumps); i++) {
		static struct sender s;

		if (rings[i / RTE_DIM(jumps)] & F_PACKED)
			continue;
		sender_open(&s, rings[i / RTE_DIM(jumps)], 8);
		s.l.ring->used->idx = jumps[i % RTE_DIM(jumps)];
		assert_int_equal(link_clean(&s.l), 0);
		expect_broken(&s.l, VIRTQ_E_USED_JUMP);
		link_close(&s.l);
	}
}

/* A burst finds out: what it takes is counted and drained, the rest is the caller's. */
static void
tx_lies_met_in_a_burst(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[8];
		static struct sender s;
		uint16_t n;

		sender_open(&s, rings[i], 12);
		use(&s, 0);
		rdev_lie(&s.l.rdev, 99, 0, 1, 1);
		for (int k = 0; k < 8; k++)
			pkts[k] = mbuf_new(100, k, SHAPE_LINEAR);
		n = link_tx(&s.l, pkts, 8);
		assert_true(n <= 5);
		assert_int_equal(s.l.txq.stats.packets, 12 + n);
		rte_pktmbuf_free_bulk(pkts + n, 8 - n);
		expect_broken(&s.l, VIRTQ_E_USED_ID);
		link_close(&s.l);
	}
}

static void
tx_wrap_lies(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static struct sender s;

		if (!(rings[i] & F_PACKED))
			continue;
		sender_open(&s, rings[i], 8);
		s.l.ring->pdesc[0].flags = 0;
		assert_int_equal(link_clean(&s.l), 0);
		s.l.ring->pdesc[0].flags = 1u << 15;
		assert_int_equal(link_clean(&s.l), 0);
		use(&s, 0);
		assert_int_equal(link_clean(&s.l), 1);
		assert_int_equal(s.l.drv->cursor.broken, VIRTQ_OK);
		link_close(&s.l);
	}
}

/* IN_ORDER: one entry for more packets than are freed at once, round the ring. */
static void
batches_in_order(uint64_t features)
{
	uint64_t x = features;
	static struct sender s;
	uint32_t total = 0;

	open_ring(&s, 512, features);
	while (total < 5000) {
		struct rte_mbuf *pkts[200];
		uint16_t n = 1 + rd_random(&x) % 170, half = rd_random(&x) % (n + 1);

		for (uint16_t k = 0; k < n; k++)
			pkts[k] = mbuf_new(800, k, k % 8 ? SHAPE_LINEAR : SHAPE_CHAIN);
		assert_int_equal(link_tx(&s.l, pkts, n), n);
		rdev_held_fetch_all(&s.held, &s.l.rdev);
		assert_int_equal(s.held.n, n);
		if (half > 0)
			rdev_held_use_batch(&s.held, &s.l.rdev, half, 0);
		if (half < n)
			rdev_held_use_batch(&s.held, &s.l.rdev, n - half, 0);
		assert_int_equal(link_clean(&s.l), n);
		assert_int_equal(s.l.drv->num_free, 512);
		total += n;
	}
	assert_int_equal(link_errors(&s.l.txq.stats), 0);
	expect_pool_whole(small_pool, SMALL_MBUFS);
	link_close(&s.l);
}

static void
tx_batches_in_order(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		if (!(rings[i] & F_IN_ORDER))
			continue;
		batches_in_order(rings[i]);
		batches_in_order(rings[i] | F_INDIRECT);
	}
}

/* Split: the entry stands for more than the index says. */
static void
tx_batch_larger_than_the_index(void **state)
{
	static struct sender s;

	sender_open(&s, F_V1 | F_IN_ORDER, 8);
	rdev_lie(&s.l.rdev, rdev_held_at(&s.held, 5)->id, 0, 2, 1);
	assert_int_equal(link_clean(&s.l), 6);
	expect_broken(&s.l, VIRTQ_E_USED_JUMP);
	link_close(&s.l);
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

/* Features, and a size that goes with them. */
static const struct shape_of_ring {
	uint64_t features;
	uint16_t size;
} shapes[] = {
	{F_V1, 256}, {F_V1, 32}, {F_V1, 4}, {0, 64},
	{F_V1 | F_MRG, 64}, {F_V1 | F_INDIRECT, 64},
	{F_V1 | F_PACKED, 256}, {F_V1 | F_PACKED, 33}, {F_V1 | F_PACKED, 3}, {F_PACKED, 64},
	{F_V1 | F_MRG | F_PACKED, 100}, {F_V1 | F_PACKED | F_INDIRECT, 64},
	{F_V1 | F_HASH_REPORT, 64}, {F_V1 | F_PACKED | F_INDIRECT | F_HASH_REPORT, 64},
};

#define NSHAPES (sizeof(shapes) / sizeof(shapes[0]))

static uint32_t
length_of(uint32_t seed)
{
	return 20 + seed * 7 % 900;
}

/* A chain holds an empty header, and the packet of that number. */
static void
expect_chain(const struct link *l, const struct rdev_chain *c, uint32_t seed)
{
	static const uint8_t empty[20];
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

/* Give back `count`: in order, or drawn from anywhere. */
static void
use_some(struct sender *s, uint16_t count, bool shuffle, uint64_t *x)
{
	while (count-- > 0 && s->held.n > 0)
		use(s, shuffle ? rd_random(x) % s->held.n : 0);
}

static bool
fetch(struct sender *s, uint32_t *seed)
{
	if (!rdev_held_fetch(&s->held, &s->l.rdev))
		return false;
	expect_chain(&s->l, rdev_held_at(&s->held, s->held.n - 1), (*seed)++);
	return true;
}

/* In order for a third of the time, then shuffled, then in order again. */
static void
send_to(const struct shape_of_ring *shape)
{
	uint64_t x = shape->features + shape->size;
	uint32_t made = 0, fetched = 0;
	struct rte_mbuf *pkts[64];
	static struct sender s;
	uint16_t have = 0;

	open_ring(&s, shape->size, shape->features);
	for (int round = 0; round < 900; round++) {
		const bool shuffle = round >= 300 && round < 600;
		uint16_t n = 1 + rd_random(&x) % 64;

		while (have < n)
			pkts[have++] = any_mbuf(&x, made++, shape->size);
		n = link_tx(&s.l, pkts, n);
		memmove(pkts, pkts + n, (have - n) * sizeof(pkts[0]));
		have -= n;
		while (rd_random(&x) % 64 != 0 && fetch(&s, &fetched))
			;
		use_some(&s, rd_random(&x) % 80, shuffle, &x);
		if (rd_random(&x) % 8 == 0)
			vnet_drv_tx_clean(&s.l.txq, s.l.drv, s.l.ring, rd_random(&x) % 50);
		if (round < 300)
			assert_true(s.l.drv->sequential);
	}
	assert_true(fetched > 900);
	assert_false(s.l.drv->sequential);
	assert_int_equal(link_errors(&s.l.txq.stats) + link_drops(&s.l.txq.stats), 0);
	while (fetch(&s, &fetched))
		;
	assert_int_equal(s.l.txq.stats.packets, fetched);
	use_some(&s, UINT16_MAX, true, &x);
	link_clean(&s.l);
	assert_int_equal(s.l.drv->num_free, shape->size);
	rte_pktmbuf_free_bulk(pkts, have);
	link_close(&s.l);
}

static void
send_to_devices_that_reorder(void **state)
{
	for (uint32_t i = 0; i < NSHAPES; i++)
		send_to(&shapes[i]);
}

/* IN_ORDER: one entry for any number of packets, and any number of them cleaned at a time. */
static void
clean_within(uint16_t size, uint64_t features)
{
	uint64_t x = features + size;
	static struct sender s;
	uint32_t sent = 0;

	open_ring(&s, size, features);
	for (int round = 0; round < 2000; round++) {
		struct rte_mbuf *pkts[64];
		uint16_t n = 1 + rd_random(&x) % 64, done;

		for (uint16_t k = 0; k < n; k++)
			pkts[k] = mbuf_new(60, k, SHAPE_LINEAR);
		done = link_tx(&s.l, pkts, n);
		rte_pktmbuf_free_bulk(pkts + done, n - done);
		sent += done;
		rdev_held_fetch_all(&s.held, &s.l.rdev);
		while (s.held.n > 0 && rd_random(&x) % 4 != 0) {
			/* Often one by one, as most devices do. */
			n = rd_random(&x) % 2 ? 1 : 1 + rd_random(&x) % s.held.n;
			rdev_held_use_batch(&s.held, &s.l.rdev, n, 0);
		}
		if (rd_random(&x) % 2)
			vnet_drv_tx_clean(&s.l.txq, s.l.drv, s.l.ring, rd_random(&x) % 40);
		assert_int_equal(s.l.drv->cursor.broken, VIRTQ_OK);
	}
	assert_true(sent > 2000);
	if (s.held.n > 0)
		rdev_held_use_batch(&s.held, &s.l.rdev, s.held.n, 0);
	link_clean(&s.l);
	assert_int_equal(s.l.drv->num_free, size);
	assert_true(s.l.drv->sequential);
	link_close(&s.l);
}

static void
clean_within_batches(void **state)
{
	for (uint32_t i = 0; i < NSHAPES; i++)
		clean_within(shapes[i].size, shapes[i].features | F_IN_ORDER);
}

/* A ring says how many segments it takes, and takes them; one more is dropped. */
static void
segments_sent(void **state)
{
	static const uint16_t sizes[] = {2, 4, 16, 64, 256};
	static const uint64_t kinds[] = {
		F_V1, F_V1 | F_PACKED, F_V1 | F_INDIRECT, F_V1 | F_PACKED | F_INDIRECT,
	};

	for (uint32_t i = 0; i < RTE_DIM(sizes) * RTE_DIM(kinds); i++) {
		const uint16_t size = sizes[i % RTE_DIM(sizes)];

		for (uint16_t over = 0; over < 2; over++) {
			const uint16_t n = vnet_drv_tx_segs(size) + over;
			struct rte_mbuf *head = mbuf_new(100, 0, SHAPE_LINEAR), *got;
			struct link l;

			for (uint16_t k = 1; k < n; k++)
				assert_int_equal(rte_pktmbuf_chain(head, mbuf_new(
						20, k, SHAPE_LINEAR)), 0);
			/* No room for the header before it: a piece of its own. */
			head->data_off = 0;
			link_open(&l, size, kinds[i / RTE_DIM(sizes)], false, small_pool);
			assert_int_equal(link_tx(&l, &head, 1), 1);
			assert_int_equal(l.txq.stats.packets, !over);
			assert_int_equal(l.txq.stats.drop[VNET_DROP_OFFLOAD], over);
			assert_int_equal(link_rx(&l, &got, 1), !over);
			if (!over) {
				assert_int_equal(got->pkt_len, 100 + 20 * (n - 1));
				rte_pktmbuf_free(got);
				assert_int_equal(link_clean(&l), 1);
			}
			link_close(&l);
		}
	}
}

/* The header is empty however the mbuf is made up, with a hash it is longer. */
static void
sent(void **state)
{
	for (uint32_t i = 0; i < NRINGS * SHAPE_MAX * 2; i++) {
		const uint64_t ring = rings[i / SHAPE_MAX / 2] | (i % 2 ? F_INDIRECT : 0);
		struct rte_mbuf *m = mbuf_new(length_of(i), i, (enum shape)(i / 2 % SHAPE_MAX));
		static struct sender s;
		uint32_t seed = i;

		open_ring(&s, SIZE, ring);
		if (rte_pktmbuf_headroom(m) >= 20 && m->nb_segs == 1 && RTE_MBUF_DIRECT(m))
			memset(rte_pktmbuf_mtod(m, uint8_t *) - 20, 0xff, 20);
		assert_int_equal(link_tx(&s.l, &m, 1), 1);
		assert_true(fetch(&s, &seed));
		use(&s, 0);
		assert_int_equal(link_clean(&s.l), 1);
		link_end(&s.l);
	}
	expect_all_mbufs();
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
		cmocka_unit_test(send_to_devices_that_reorder),
		cmocka_unit_test(clean_within_batches),
		cmocka_unit_test(segments_sent),
		cmocka_unit_test(sent),
	};

	return cmocka_run_group_tests_name("vnet_drv_tx", tests, vnet_setup, vnet_teardown);
}
