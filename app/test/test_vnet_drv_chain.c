/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains of mbufs reach applications that asked for them, and no others. */
#include "rig_device_link.h"

#define SIZE 16

static const uint64_t rings[] = {
	F_V1 | F_MRG, F_V1 | F_MRG | F_PACKED, F_V1 | F_MRG | F_HASH_REPORT,
	F_V1 | F_MRG | F_PACKED | F_IN_ORDER,
};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))

static void
open_ring(struct link *l, uint64_t features, bool scatter)
{
	link_open(l, SIZE, features, true, small_pool);
	if (!scatter)
		l->rxq.flags &= ~VNET_F_SCATTER;
	l->rx = vnet_drv_rx_select(l->ring, l->rxq.flags, NULL);
	assert_int_equal(vnet_drv_rx_fill(&l->rxq, l->drv, l->ring), SIZE);
}

/* The device puts a frame into n buffers, len[i] bytes of it in each. */
static uint32_t
use(struct link *l, const uint32_t *len, uint16_t n, uint32_t seed)
{
	const struct virtio_net_hdr_v1_hash hdr = {.hdr.num_buffers = n};
	static uint8_t frame[FRAME_MAX];
	uint32_t all = 0, off = 0;

	for (uint16_t i = 0; i < n; i++)
		all += len[i];
	frame_fill(frame, all, seed);
	for (uint16_t i = 0; i < n; i++) {
		const uint32_t skip = i == 0 ? l->ring->hdr_len : 0;
		struct rdev_chain c;
		uint8_t *at;

		assert_true(rdev_fetch(&l->rdev, &c));
		assert_true(skip + len[i] <= c.total);
		at = (void *)(uintptr_t)c.sg[0].addr;
		memcpy(at, &hdr, skip);
		memcpy(at + skip, frame + off, len[i]);
		off += len[i];
		rdev_use(&l->rdev, &c, skip + len[i]);
	}
	return all;
}

static void
expect(struct link *l, uint32_t len, uint16_t segs, uint32_t seed)
{
	struct rte_mbuf *m;

	assert_int_equal(link_rx(l, &m, 1), 1);
	assert_int_equal(m->nb_segs, segs);
	rte_mbuf_sanity_check(m, 1);
	expect_bytes(mbuf_bytes(m), m->pkt_len, len, seed);
	rte_pktmbuf_free(m);
}

/* What one mbuf holds is put into one, though the device has used several buffers for it. */
static void
gathered(void **state)
{
	static const uint32_t lens[][4] = {{60, 40}, {14, 1, 1, 1}, {1000, 1048}, {100, 1000, 900}};

	for (uint32_t i = 0; i < NRINGS * RTE_DIM(lens) * 2; i++) {
		const uint32_t *len = lens[i / 2 % RTE_DIM(lens)];
		const bool scatter = i % 2;
		uint16_t n = 0;
		struct link l;

		while (n < 4 && len[n] > 0)
			n++;
		open_ring(&l, rings[i / 2 / RTE_DIM(lens)], scatter);
		expect(&l, use(&l, len, n, i), scatter ? n : 1, i);
		assert_int_equal(link_drops(&l.rxq.stats), 0);
		assert_int_equal(l.rxq.stats.packets, 1);
		link_close(&l);
	}
}

/* What it does not hold is dropped and counted; those before and after it come. */
static void
oversize(void **state)
{
	static const uint32_t small[] = {200}, large[] = {2048, 1}, larger[] = {2048, 2060, 2060};

	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		const bool scatter = i % 2;
		uint64_t bytes = 600;
		struct link l;

		open_ring(&l, rings[i / 2], scatter);
		use(&l, small, 1, 1);
		use(&l, large, 2, 2);
		use(&l, small, 1, 3);
		use(&l, larger, 3, 4);
		use(&l, small, 1, 5);
		expect(&l, 200, 1, 1);
		if (scatter)
			expect(&l, 2049, 2, 2);
		expect(&l, 200, 1, 3);
		if (scatter) {
			expect(&l, 2048 + 2 * 2060, 3, 4);
			bytes += 2049 + 2048 + 2 * 2060;
		}
		expect(&l, 200, 1, 5);
		assert_int_equal(l.rxq.stats.drop[VNET_DROP_OVERSIZE], scatter ? 0 : 2);
		assert_int_equal(link_drops(&l.rxq.stats), scatter ? 0 : 2);
		assert_int_equal(l.rxq.stats.packets, scatter ? 5 : 3);
		assert_int_equal(l.rxq.stats.bytes, bytes);
		link_close(&l);
	}
}

/* Mbufs that hold the largest frame: nothing needs to be chained. */
static void
large_buffers(void **state)
{
	static const uint32_t len[] = {9018};

	for (uint32_t i = 0; i < NRINGS; i++) {
		struct link l;

		link_open(&l, SIZE, rings[i], true, large_pool);
		l.rxq.flags &= ~VNET_F_SCATTER;
		assert_int_equal(vnet_drv_rx_fill(&l.rxq, l.drv, l.ring), SIZE);
		expect(&l, use(&l, len, 1, i), 1, i);
		link_close(&l);
	}
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gathered),
		cmocka_unit_test(oversize),
		cmocka_unit_test(large_buffers),
		cmocka_unit_test(segments_sent),
	};

	return cmocka_run_group_tests_name("vnet_drv_chain", tests, vnet_setup, vnet_teardown);
}
