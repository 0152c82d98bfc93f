/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device is offered memory that it knows, and no other: buffers of packets that lie elsewhere
 * are copied, or the packet is dropped and counted.
 */
#include "rig_device_link.h"

#include <sys/mman.h>

#define SIZE 16
#define AREA (2u << 20)

static const uint64_t rings[] = {F_V1, F_V1 | F_PACKED, F_V1 | F_INDIRECT | F_MRG};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))

/* Memory of the application's own. */
static uint8_t *
area_new(void)
{
	const int shared_by_nobody = MAP_PRIVATE | MAP_ANONYMOUS;
	uint8_t *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, shared_by_nobody, -1, 0);

	assert_true(area != MAP_FAILED);
	return area;
}

static void
nothing_to_free(void *addr, void *opaque)
{
}

/* A packet whose bytes lie at `at`. */
static struct rte_mbuf *
attached(struct rte_mempool *pool, uint8_t *at, uint32_t len, uint32_t seed)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint16_t room = 2048;
	struct rte_mbuf_ext_shared_info *info =
		rte_pktmbuf_ext_shinfo_init_helper(at, &room, nothing_to_free, NULL);

	rte_pktmbuf_attach_extbuf(m, at, 0, room, info);
	m->data_off = 100;
	frame_fill((uint8_t *)rte_pktmbuf_append(m, (uint16_t)len), len, seed);
	return m;
}

/* A pool whose mbufs, their buffers included, lie in memory that DPDK knows nothing of. */
static struct rte_mempool *
foreign_pool(void)
{
	struct rte_mempool *mp = rte_mempool_create_empty("foreign", 31, sizeof(struct rte_mbuf) +
		RTE_MBUF_DEFAULT_BUF_SIZE, 0, sizeof(struct rte_pktmbuf_pool_private), 0, 0);

	assert_non_null(mp);
	rte_pktmbuf_pool_init(mp, NULL);
	assert_true(rte_mempool_populate_anon(mp) > 0);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

/* The next chain that the device gets; returns whether there is one, with the frame. */
static bool
next_chain(struct link *l, uint8_t *frame, uint32_t *len, const uint8_t *given)
{
	static uint8_t bytes[FRAME_MAX];
	struct rdev_chain c;
	uint32_t got = 0;

	if (!rdev_fetch(&l->rdev, &c))
		return false;
	for (uint32_t k = 0; k < c.n; got += c.sg[k++].len) {
		const uint8_t *at = (void *)(uintptr_t)c.sg[k].addr;
		bool known = link_is_shared(at, c.sg[k].len);

		if (given != NULL)
			known |= at >= given && at + c.sg[k].len <= given + AREA;
		assert_true(known);
		memcpy(bytes + got, at, c.sg[k].len);
	}
	*len = got - l->ring->hdr_len;
	memcpy(frame, bytes + l->ring->hdr_len, *len);
	rdev_use(&l->rdev, &c, 0);
	return true;
}

static void
send_one(struct link *l, struct rte_mbuf *m, uint32_t expected, uint32_t seed,
	 const uint8_t *given)
{
	static uint8_t frame[FRAME_MAX];
	uint32_t len;

	assert_int_equal(link_tx(l, &m, 1), 1);
	if (expected == 0) {
		assert_false(next_chain(l, frame, &len, given));
		return;
	}
	assert_true(next_chain(l, frame, &len, given));
	expect_bytes(frame, len, expected, seed);
	assert_int_equal(link_clean(l), 1);
}

static void
unknown_buffer_is_copied(void **state)
{
	uint8_t *area = area_new();

	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *m, *head;
		struct link l;

		link_open(&l, SIZE, rings[i], false, small_pool);
		send_one(&l, attached(small_pool, area, 500, 1), 500, 1, NULL);
		/* Somewhere in a chain. */
		head = mbuf_new(300, 2, SHAPE_LINEAR);
		m = attached(small_pool, area, 40, 3);
		memset(rte_pktmbuf_mtod(m, void *), 0x5a, 40);
		assert_int_equal(rte_pktmbuf_chain(head, m), 0);
		assert_int_equal(link_tx(&l, &head, 1), 1);
		{
			static uint8_t frame[FRAME_MAX], want[300];
			uint32_t len;

			assert_true(next_chain(&l, frame, &len, NULL));
			assert_int_equal(len, 340);
			frame_fill(want, 300, 2);
			assert_memory_equal(frame, want, 300);
			for (uint32_t k = 300; k < 340; k++)
				assert_int_equal(frame[k], 0x5a);
			assert_int_equal(link_clean(&l), 1);
		}
		assert_int_equal(link_drops(&l.txq.stats), 0);
		assert_int_equal(l.txq.stats.packets, 2);
		link_close(&l);
	}
	munmap(area, AREA);
}

/* An indirect mbuf shows its parent's buffer. */
static void
clone_of_an_unknown_buffer(void **state)
{
	uint8_t *area = area_new();

	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *parent = attached(small_pool, area, 500, 1), *clone;
		struct link l;

		clone = rte_pktmbuf_clone(parent, small_pool);
		rte_pktmbuf_free(parent);
		link_open(&l, SIZE, rings[i], false, small_pool);
		send_one(&l, clone, 500, 1, NULL);
		link_close(&l);
	}
	munmap(area, AREA);
}

/* Its mbufs look like any other, and a copy would lie there too. */
static void
unknown_pool_is_dropped(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mempool *pool = foreign_pool();
		struct rte_mbuf *m, *clone;
		struct link l;

		link_open(&l, SIZE, rings[i], false, small_pool);
		/* What was found to be shared before says nothing of this. */
		send_one(&l, mbuf_new(100, 7, SHAPE_LINEAR), 100, 7, NULL);
		m = rte_pktmbuf_alloc(pool);
		frame_fill((uint8_t *)rte_pktmbuf_append(m, 500), 500, 1);
		send_one(&l, m, 0, 0, NULL);
		assert_int_equal(l.txq.stats.drop[VNET_DROP_UNMAPPED], 1);
		/* An mbuf of a pool that is shared, with such a one's buffer: copied. */
		m = rte_pktmbuf_alloc(pool);
		frame_fill((uint8_t *)rte_pktmbuf_append(m, 500), 500, 1);
		clone = rte_pktmbuf_clone(m, small_pool);
		rte_pktmbuf_free(m);
		send_one(&l, clone, 500, 1, NULL);
		send_one(&l, mbuf_new(100, 8, SHAPE_LINEAR), 100, 8, NULL);
		assert_int_equal(link_drops(&l.txq.stats), 1);
		assert_int_equal(l.txq.stats.packets, 3);
		link_close(&l);
		assert_int_equal(rte_mempool_avail_count(pool), 31);
		rte_mempool_free(pool);
	}
}

/* What the device was given is used as it lies; what was taken from it is not. */
static void
given_memory_is_used(void **state)
{
	static struct vnet_extmem given;
	uint8_t *area = area_new(), *other = area_new();

	for (uint32_t i = 0; i < NRINGS; i++) {
		static uint8_t frame[FRAME_MAX];
		struct rte_mbuf *m;
		struct rdev_chain c;
		struct link l;
		uint32_t len;

		memset(&given, 0, sizeof(given));
		given.range[0] = (struct vnet_range){(uintptr_t)other, 0}; /* gone */
		given.range[1] = (struct vnet_range){(uintptr_t)area, AREA};
		link_open(&l, SIZE, rings[i], false, small_pool);
		l.txq.extmem = &given;
		m = attached(small_pool, area, 500, 1);
		assert_int_equal(link_tx(&l, &m, 1), 1);
		assert_true(rdev_fetch(&l.rdev, &c));
		assert_int_equal(c.n, 2);
		assert_true(c.sg[1].addr == (uintptr_t)area + 100);
		rdev_use(&l.rdev, &c, 0);
		assert_int_equal(link_clean(&l), 1);
		/* At its end, and over it. */
		send_one(&l, attached(small_pool, area + AREA - 2048, 500, 2), 500, 2, area);
		given.range[1].len = AREA - 128;
		send_one(&l, attached(small_pool, area + AREA - 2048, 500, 3), 500, 3, NULL);
		send_one(&l, attached(small_pool, other, 500, 4), 500, 4, NULL);
		given.range[1].len = 0;
		send_one(&l, attached(small_pool, area, 500, 5), 500, 5, NULL);
		assert_false(next_chain(&l, frame, &len, NULL));
		assert_int_equal(link_drops(&l.txq.stats), 0);
		link_close(&l);
	}
	munmap(area, AREA);
	munmap(other, AREA);
}

/* What a ring has no room for stays the application's, as it was. */
static void
no_room_for_a_copy(void **state)
{
	static const uint64_t chained[] = {F_V1, F_V1 | F_PACKED};
	uint8_t *area = area_new();

	for (uint32_t i = 0; i < 2; i++) {
		struct rte_mbuf *m, *pkt;
		struct rdev_chain c;
		struct link l;
		unsigned int left;

		link_open(&l, SIZE, chained[i], false, small_pool);
		for (uint32_t k = 0; k + 1 < SIZE; k++) {
			m = mbuf_new(100, k, SHAPE_LINEAR);
			assert_int_equal(link_tx(&l, &m, 1), 1);
		}
		/* One entry is free; header and bytes take two. */
		pkt = m = attached(small_pool, area, 500, 1);
		left = rte_mempool_avail_count(small_pool);
		for (uint32_t k = 0; k < 3; k++) {
			assert_int_equal(link_tx(&l, &m, 1), 0);
			assert_ptr_equal(m, pkt);
			assert_ptr_equal(m->buf_addr, area);
			assert_int_equal(rte_mbuf_refcnt_read(m), 1);
			assert_int_equal(rte_mempool_avail_count(small_pool), left);
		}
		while (rdev_fetch(&l.rdev, &c))
			rdev_use(&l.rdev, &c, 0);
		send_one(&l, m, 500, 1, NULL);
		assert_int_equal(l.txq.stats.packets, SIZE);
		link_close(&l);
	}
	munmap(area, AREA);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_buffer_is_copied),
		cmocka_unit_test(clone_of_an_unknown_buffer),
		cmocka_unit_test(unknown_pool_is_dropped),
		cmocka_unit_test(given_memory_is_used),
		cmocka_unit_test(no_room_for_a_copy),
	};

	return cmocka_run_group_tests_name("vnet_drv_extmem", tests, vnet_setup, vnet_teardown);
}
