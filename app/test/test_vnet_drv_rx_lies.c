/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver that receives from devices that lie: whatever they write, a ring breaks with its reason
 * counted or goes on, and afterwards every mbuf is in its pool once.
 */
#include "rig_device_hostile.h"

static void
victim_open(struct victim *v, uint64_t features)
{
	v->next = 0;
	link_open(&v->l, SIZE, features, true, small_pool);
	assert_int_equal(vnet_drv_rx_fill(&v->l.rxq, v->l.drv, v->l.ring), SIZE);
	for (int i = 0; i < SIZE; i++)
		assert_true(rdev_fetch(&v->l.rdev, &v->c[i]));
}

static uint16_t
receive(struct victim *v)
{
	struct rte_mbuf *pkts[64];
	uint16_t n = link_rx(&v->l, pkts, 64);

	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

/* The device puts a frame into its next buffer, all but the used entry. */
static struct rdev_chain *
put(struct victim *v, const struct virtio_net_hdr_v1_hash *hdr, uint32_t seed)
{
	struct rdev_chain *c = &v->c[v->next++];

	link_fill(&v->l, c, hdr, 100, seed);
	return c;
}

static const struct virtio_net_hdr_v1_hash plain = {.hdr.num_buffers = 1};

static void
use(struct victim *v, uint32_t seed)
{
	rdev_use(&v->l.rdev, put(v, &plain, seed), v->l.ring->hdr_len + 100u);
}

static void
expect_frame(struct victim *v, uint32_t seed)
{
	struct rte_mbuf *m;

	assert_int_equal(link_rx(&v->l, &m, 1), 1);
	expect_bytes(mbuf_bytes(m), m->pkt_len, 100, seed);
	rte_pktmbuf_free(m);
}

static void
expect_alive(struct victim *v)
{
	assert_int_equal(v->l.drv->cursor.broken, VIRTQ_OK);
	assert_int_equal(link_errors(&v->l.rxq.stats), 0);
}

/* The id that would be due if the ring had no end, in a burst that goes over the end. */
static void
rx_id_past_the_end(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct victim v;

		victim_open(&v, rings[i]);
		for (uint32_t k = 0; k < SIZE / 2; k++)
			use(&v, k);
		assert_int_equal(receive(&v), SIZE / 2);
		for (uint32_t k = 0; k < SIZE / 2; k++)
			use(&v, k);
		rdev_lie(&v.l.rdev, SIZE, v.l.ring->hdr_len + 100u, 1, 1);
		assert_int_equal(receive(&v), SIZE / 2);
		assert_int_equal(receive(&v), 0);
		expect_broken(&v.l, VIRTQ_E_USED_ID);
		link_close(&v.l);
	}
}

static void
rx_id_not_outstanding(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct victim v;
		uint16_t id;

		victim_open(&v, rings[i]);
		id = v.c[0].id;
		use(&v, 1);
		expect_frame(&v, 1);
		/* Taken, and not offered again yet. */
		assert_int_equal(v.l.drv->num_free, 1);
		rdev_lie(&v.l.rdev, id, 112, 1, 1);
		assert_int_equal(receive(&v), 0);
		expect_broken(&v.l, VIRTQ_E_USED_ID);
		link_close(&v.l);
	}
}

static void
rx_id_twice_in_a_burst(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct victim v;

		victim_open(&v, rings[i]);
		use(&v, 1);
		use(&v, 2);
		rdev_lie(&v.l.rdev, v.c[1].id, 112, 1, 1);
		use(&v, 3);
		assert_int_equal(receive(&v), 2);
		assert_int_equal(receive(&v), 0);
		expect_broken(&v.l, VIRTQ_E_USED_ID);
		link_close(&v.l);
	}
}

static void
rx_used_index_jumps(void **state)
{
	static const uint16_t jumps[] = {SIZE + 1, 100, 32768, 65535};

	for (uint32_t i = 0; i < NRINGS * 4; i++) {
		struct victim v;

		if (rings[i / 4] & F_PACKED)
			continue;
		victim_open(&v, rings[i / 4]);
		v.l.ring->used->idx = jumps[i % 4];
		assert_int_equal(receive(&v), 0);
		expect_broken(&v.l, VIRTQ_E_USED_JUMP);
		link_close(&v.l);
	}
}

/* On a ring that is out of order it is seen, and counted, once as well. */
static void
rx_used_index_jumps_out_of_order(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct victim v;

		if (rings[i] & (F_PACKED | F_IN_ORDER))
			continue;
		victim_open(&v, rings[i]);
		for (uint32_t k = 0; k < 2; k++)
			v.l.ring->used->ring[k] = (struct vring_used_elem){1 - k, 0};
		v.l.ring->used->idx = 2;
		assert_int_equal(receive(&v), 0); /* runts */
		assert_false(v.l.drv->sequential);
		v.l.ring->used->idx = 1000;
		assert_int_equal(receive(&v), 0);
		expect_broken(&v.l, VIRTQ_E_USED_JUMP);
		link_close(&v.l);
	}
}

/* Packed: marked used with the wrong lap's counter, or in a place that is not due. */
static void
rx_wrap_lies(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct victim v;

		if (!(rings[i] & F_PACKED))
			continue;
		victim_open(&v, rings[i]);
		v.l.ring->pdesc[0].flags = 0; /* used on a lap to come */
		assert_int_equal(receive(&v), 0);
		v.l.ring->pdesc[1].flags = 1u << 7 | 1u << 15;
		assert_int_equal(receive(&v), 0);
		for (int k = 0; k < SIZE; k++)
			v.l.ring->pdesc[k].flags = 1u << 15;
		assert_int_equal(receive(&v), 0);
		expect_alive(&v);
		use(&v, 5);
		expect_frame(&v, 5);
		link_close(&v.l);
	}
}

static void
rx_num_buffers_0(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static const struct virtio_net_hdr_v1_hash none = {.hdr.num_buffers = 0};
		struct victim v;

		if (!(rings[i] & F_MRG))
			continue;
		victim_open(&v, rings[i]);
		rdev_use(&v.l.rdev, put(&v, &none, 7), v.l.ring->hdr_len + 100u);
		use(&v, 8);
		expect_frame(&v, 7);
		expect_frame(&v, 8);
		expect_alive(&v);
		link_close(&v.l);
	}
}

static void
rx_num_buffers_huge(void **state)
{
	static const uint16_t counts[] = {SIZE + 1, 100, 32768, 65535};

	for (uint32_t i = 0; i < NRINGS * 4; i++) {
		struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = counts[i % 4]};
		struct victim v;

		if (!(rings[i / 4] & F_MRG))
			continue;
		victim_open(&v, rings[i / 4]);
		use(&v, 1);
		rdev_use(&v.l.rdev, put(&v, &hdr, 0), 112);
		expect_frame(&v, 1);
		assert_int_equal(receive(&v), 0);
		expect_broken(&v.l, VIRTQ_E_USED_JUMP);
		link_close(&v.l);
	}
}

/* Not all buffers of a packet come: it waits, without an end and without harm. */
static void
rx_num_buffers_never_completed(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = SIZE};
		struct victim v;

		if (!(rings[i] & F_MRG))
			continue;
		victim_open(&v, rings[i]);
		rdev_use(&v.l.rdev, put(&v, &hdr, 0), 112);
		for (int k = 0; k + 2 < SIZE; k++) {
			rdev_use(&v.l.rdev, &v.c[++v.next - 1], 100);
			assert_int_equal(receive(&v), 0);
		}
		for (int k = 0; k < 100; k++)
			assert_int_equal(receive(&v), 0);
		expect_alive(&v);
		assert_int_equal(rte_mempool_avail_count(small_pool), SMALL_MBUFS - SIZE);
		link_close(&v.l);
	}
}

/* The buffers of a packet come one by one; the last one lies. */
static void
rx_lie_within_a_packet(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 3; i++) {
		struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = 4};
		uint64_t ring = rings[i / 3];
		struct victim v;

		if (!(ring & F_MRG))
			continue;
		victim_open(&v, ring);
		rdev_use(&v.l.rdev, put(&v, &hdr, 0), 112);
		rdev_use(&v.l.rdev, &v.c[1], 100);
		rdev_use(&v.l.rdev, &v.c[2], 100);
		rdev_lie(&v.l.rdev, i % 3 == 0 ? v.c[0].id : i % 3 == 1 ? v.c[2].id : 99, 5, 1, 1);
		assert_int_equal(receive(&v), 0);
		expect_broken(&v.l, VIRTQ_E_USED_ID);
		link_close(&v.l);
	}
}

/* Packed: only the last entry of a packet is marked. */
static void
rx_hole_within_a_packet(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = 4};
		struct victim v;

		if (!(rings[i] & F_MRG) || !(rings[i] & F_PACKED))
			continue;
		victim_open(&v, rings[i]);
		rdev_use(&v.l.rdev, put(&v, &hdr, 0), 112);
		v.l.ring->pdesc[3].flags = 1u << 7 | 1u << 15;
		for (int k = 0; k < 10; k++)
			assert_int_equal(receive(&v), 0);
		expect_alive(&v);
		assert_int_equal(v.l.drv->num_free, 0);
		link_close(&v.l);
	}
}

/* More bytes than a frame can have. */
static void
rx_packet_of_the_whole_ring(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = 64};
		uint64_t ring = rings[i / 2];
		bool over = i % 2;
		struct rte_mbuf *m;
		struct link l;

		if (!(ring & F_MRG))
			continue;
		link_open(&l, 64, ring, true, small_pool);
		vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
		for (int k = 0; k < 64; k++) {
			struct rdev_chain c;

			assert_true(rdev_fetch(&l.rdev, &c));
			if (k == 0)
				memcpy((void *)(uintptr_t)c.sg[0].addr, &hdr, sizeof(hdr));
			rdev_use(&l.rdev, &c, over ? UINT32_MAX : 1000);
		}
		assert_int_equal(link_rx(&l, &m, 1), !over);
		if (!over) {
			assert_int_equal(m->pkt_len, 64 * 1000 - l.ring->hdr_len);
			rte_pktmbuf_free(m);
		}
		assert_int_equal(l.rxq.stats.drop[VNET_DROP_OVERSIZE], over);
		assert_int_equal(l.drv->cursor.broken, VIRTQ_OK);
		link_close(&l);
	}
}

/* IN_ORDER: one entry for many buffers; those before the named one are full. */
static void
rx_batches_in_order(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		uint64_t x = i;

		if (!(rings[i] & F_IN_ORDER))
			continue;
		for (int round = 0; round < 300; round++) {
			uint16_t n = 1 + rd_random(&x) % SIZE, done = 0, merged;
			struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = 1};
			struct rte_mbuf *m;
			struct victim v;

			victim_open(&v, rings[i]);
			merged = rings[i] & F_MRG ? 1 + rd_random(&x) % n : 1;
			hdr.hdr.num_buffers = merged;
			put(&v, &hdr, 0);
			v.next = merged;
			while (v.next < n)
				put(&v, &plain, v.next);
			rdev_use_batch(&v.l.rdev, v.c, n, v.l.ring->hdr_len + 100u);
			while (done < n) {
				uint16_t k = done == 0 ? merged : 1;
				uint16_t full = v.l.ring->hdr_len + 2048;

				assert_int_equal(link_rx(&v.l, &m, 1), 1);
				assert_int_equal(m->nb_segs, k);
				done += k;
				assert_int_equal(m->pkt_len, done < n ? 2048 + (k - 1) * full :
						 k == 1 ? 100 :
						 2048 + (k - 2) * full + full - 2048 + 100);
				rte_pktmbuf_free(m);
			}
			assert_int_equal(receive(&v), 0);
			expect_alive(&v);
			/* And on behind it. */
			if (n < SIZE) {
				v.next = n;
				use(&v, 3);
				expect_frame(&v, 3);
			}
			link_close(&v.l);
		}
	}
}

/* Batches of any size round the ring, taken in bursts of any size. */
static void
rx_batches_round_the_ring(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 3; i++) {
		static const uint16_t sizes[] = {4, 64, 256};
		uint64_t x = i, ring = rings[i / 3];
		uint32_t used = 0, received = 0;
		struct rdev_chain c[64];
		struct link l;

		if (!(ring & F_IN_ORDER))
			continue;
		link_open(&l, sizes[i % 3], ring, true, small_pool);
		vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
		while (received < 5000) {
			struct rte_mbuf *pkts[64];
			uint16_t n = 0, want = 1 + rd_random(&x) % 64, got;

			while (n < want && rdev_fetch(&l.rdev, &c[n])) {
				uint8_t *at = (void *)(uintptr_t)c[n].sg[0].addr;

				memset(at, 0, l.ring->hdr_len);
				memcpy(at, &plain, 12);
				memcpy(at + l.ring->hdr_len, &used, 4);
				used++;
				n++;
			}
			if (n > 0)
				rdev_use_batch(&l.rdev, c, n, 112);
			got = link_rx(&l, pkts, 1 + rd_random(&x) % 64);
			for (uint16_t k = 0; k < got; k++) {
				assert_memory_equal(rte_pktmbuf_mtod(pkts[k], void *), &received,
						    4);
				received++;
			}
			rte_pktmbuf_free_bulk(pkts, got);
		}
		assert_int_equal(link_errors(&l.rxq.stats), 0);
		link_close(&l);
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
		cmocka_unit_test(rx_id_past_the_end),
		cmocka_unit_test(rx_id_not_outstanding),
		cmocka_unit_test(rx_id_twice_in_a_burst),
		cmocka_unit_test(rx_used_index_jumps),
		cmocka_unit_test(rx_used_index_jumps_out_of_order),
		cmocka_unit_test(rx_wrap_lies),
		cmocka_unit_test(rx_num_buffers_0),
		cmocka_unit_test(rx_num_buffers_huge),
		cmocka_unit_test(rx_num_buffers_never_completed),
		cmocka_unit_test(rx_lie_within_a_packet),
		cmocka_unit_test(rx_hole_within_a_packet),
		cmocka_unit_test(rx_packet_of_the_whole_ring),
		cmocka_unit_test(rx_batches_in_order),
		cmocka_unit_test(rx_batches_round_the_ring),
		cmocka_unit_test(rx_scribbled_ring),
		cmocka_unit_test(rx_mutator_thread),
	};

	return cmocka_run_group_tests_name("vnet_drv_rx_lies", tests, vnet_setup, vnet_teardown);
}
