/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets between a driver and a device of ours: every layout and kind of mbuf, nothing is lost. */
#include "rig_device_bits.h"

#define F_ALL_GUEST (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)
#define F_ALL_HOST (F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN)

static const uint32_t lens[] = {
	14, 15, 60, 64, 65, 128, 256, 1514, 1518, 1519, 2036, 2037, 2048, 2049, 4096, 9000,
	65535 - 100, 65549,
};

#define NLENS (sizeof(lens) / sizeof(lens[0]))

static void
shared_free(void *addr, void *opaque)
{
	rte_free(opaque);
}

static struct rte_mbuf *
mbuf_ext_shared(uint32_t len, uint32_t seed)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(small_pool);
	uint16_t room = (uint16_t)(len + 200);
	uint8_t *mem = rte_malloc(NULL, room, 8);
	struct rte_mbuf_ext_shared_info *info;

	assert_true(m != NULL && mem != NULL);
	info = rte_pktmbuf_ext_shinfo_init_helper(mem, &room, shared_free, mem);
	rte_pktmbuf_attach_extbuf(m, mem, 0, room, info);
	m->data_off = 13;
	frame_fill((uint8_t *)rte_pktmbuf_append(m, (uint16_t)len), len, seed);
	return m;
}

/* One packet at a time, of any length that the ring takes. */
static void
receive_every_length(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		uint64_t features = combination(i), packets = 0, bytes = 0;
		struct rte_mempool *pool = i % 3 ? small_pool : large_pool;
		struct rte_mbuf *m, *got;
		struct link l;

		link_open(&l, 64, features, true, pool);
		assert_int_equal(vnet_drv_rx_fill(&l.rxq, l.drv, l.ring), 64);
		for (uint32_t k = 0; k < NLENS * 3; k++) {
			uint32_t len = lens[k % NLENS];

			if (!(features & F_MRG) && len > l.rxq.room)
				continue;
			m = mbuf_new(len, k, len > 65400 ? SHAPE_CHAIN : SHAPE_LINEAR);
			assert_int_equal(link_rx(&l, &got, 1), 0);
			assert_int_equal(link_tx(&l, &m, 1), 1);
			assert_int_equal(link_rx(&l, &got, 1), 1);
			assert_int_equal(got->nb_segs == 1, len <= l.rxq.room);
			link_expect_packet(got, len, k);
			rte_pktmbuf_free(got);
			packets++;
			bytes += len;
		}
		link_expect_stats(&l, packets, bytes);
		link_close(&l);
	}
}

/* Every kind of mbuf that an application can give us. */
enum kind { KIND_SHAPE, KIND_SHARED_EXT = SHAPE_MAX, KIND_REFERENCED, KIND_NO_HEADROOM, KIND_MAX };

static struct rte_mbuf *
make_kind(enum kind kind, uint32_t len, uint32_t seed, struct rte_mbuf **kept)
{
	struct rte_mbuf *m;

	*kept = NULL;
	switch (kind) {
	case KIND_SHARED_EXT:
		return len < 65000 ? mbuf_ext_shared(len, seed) : NULL;
	case KIND_REFERENCED:
		if (len > 10000)
			return NULL;
		*kept = m = mbuf_linear(len, seed);
		rte_mbuf_refcnt_update(m, 1);
		return m;
	case KIND_NO_HEADROOM:
		if (len > 2000)
			return NULL;
		m = mbuf_linear(len, seed);
		m->data_off -= 118;
		memset((uint8_t *)m->buf_addr - 4, 0xa5, 4);
		frame_fill(rte_pktmbuf_mtod(m, uint8_t *), len, seed);
		assert_true(rte_pktmbuf_headroom(m) == 10);
		return m;
	default:
		return len > 65400 ? NULL : mbuf_new(len, seed, (int)kind);
	}
}

static void
send_every_kind(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		uint64_t features = combination(i), packets = 0, bytes = 0;
		struct link l;

		link_open(&l, 128, features, false, small_pool);
		for (uint32_t k = 0; k < NLENS * KIND_MAX; k++) {
			uint32_t len = lens[k / KIND_MAX];
			struct rte_mbuf *kept, *m, *got;

			if (len > 10000 && k % KIND_MAX == SHAPE_CHAIN)
				continue; /* of more pieces than a packet may have */
			m = make_kind(k % KIND_MAX, len, k, &kept);
			if (m == NULL)
				continue;
			assert_int_equal(link_tx(&l, &m, 1), 1);
			if (k % KIND_MAX == KIND_NO_HEADROOM)
				assert_memory_equal((uint8_t *)m->buf_addr - 4, "\xa5\xa5\xa5\xa5",
						    4);
			if (link_rx(&l, &got, 1) != 1)
				fail_msg("features %lx, %u bytes, kind %u: dropped %lu, %lu",
					 features, len, k % KIND_MAX, link_drops(&l.txq.stats),
					 link_drops(&l.rxq.stats));
			link_expect_packet(got, len, k);
			rte_pktmbuf_free(got);
			assert_int_equal(link_clean(&l), 1);
			if (kept != NULL) {
				assert_int_equal(rte_mbuf_refcnt_read(kept), 1);
				expect_bytes(mbuf_bytes(kept), kept->pkt_len, len, k);
				rte_pktmbuf_free(kept);
			}
			packets++;
			bytes += len;
			assert_int_equal(l.drv->num_free, 128);
		}
		link_expect_stats(&l, packets, bytes);
		link_close(&l);
	}
}

/* A frame of 64 KiB in the mbufs that most applications have. */
static void
send_64k_of_2k(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		static uint8_t data[FRAME_MAX];
		struct rte_mbuf *head = NULL, *got;
		struct link l;

		frame_fill(data, 65549, i);
		for (uint32_t off = 0; off < 65549; off += 2048) {
			struct rte_mbuf *m = rte_pktmbuf_alloc(small_pool);
			uint32_t part = RTE_MIN(2048u, 65549 - off);

			memcpy(rte_pktmbuf_append(m, (uint16_t)part), data + off, part);
			if (head == NULL)
				head = m;
			else
				rte_pktmbuf_chain(head, m);
		}
		link_open(&l, 64, combination(i), false, small_pool);
		assert_int_equal(link_tx(&l, &head, 1), 1);
		assert_int_equal(link_rx(&l, &got, 1), 1);
		link_expect_packet(got, 65549, i);
		rte_pktmbuf_free(got);
		link_expect_stats(&l, 1, 65549);
		link_close(&l);
	}
}

/* Random bursts of random packets; both ends run out of room all the time. */
static void
random_bursts(uint64_t features, uint16_t size, bool receive, uint32_t packets)
{
	uint64_t x = features * 3 + size + receive, bytes = 0;
	uint32_t made = 0, received = 0, most = 2000;
	struct rte_mbuf *pkts[64], *got[64];
	uint32_t len_of[4096];
	uint16_t have = 0;
	struct link l;

	if (receive && (features & F_MRG))
		most = size >= 8 ? 5000 : 2000;
	packets = rd_rounds(packets);
	link_open(&l, size, features, receive, small_pool);
	if (receive)
		assert_int_equal(vnet_drv_rx_fill(&l.rxq, l.drv, l.ring), size);
	while (received < packets) {
		uint16_t n = 1 + rd_random(&x) % 64, sent;

		while (have < n && made - received < 300) {
			uint32_t len = 14 + rd_random(&x) % (most - 13);
			enum shape shape = rd_random(&x) % 3 ? SHAPE_LINEAR :
					   rd_random(&x) % SHAPE_MAX;

			/* Sent as it lies, a packet takes an entry for each piece. */
			if (!receive && size < 8)
				shape = SHAPE_LINEAR;
			len_of[made % 4096] = len;
			pkts[have++] = mbuf_new(len, made++, shape);
		}
		sent = link_tx(&l, pkts, RTE_MIN(n, have));
		memmove(pkts, pkts + sent, (have - sent) * sizeof(pkts[0]));
		have -= sent;
		n = link_rx(&l, got, 1 + rd_random(&x) % 64);
		for (uint16_t i = 0; i < n; i++) {
			link_expect_packet(got[i], len_of[received % 4096], received);
			bytes += got[i]->pkt_len;
			received++;
			rte_pktmbuf_free(got[i]);
		}
		if (!receive && rd_random(&x) % 8 == 0)
			link_clean(&l);
	}
	for (uint16_t n = 1; n > 0; rte_pktmbuf_free_bulk(got, n)) {
		n = link_rx(&l, got, 64);
		for (uint16_t i = 0; i < n; i++, received++)
			bytes += got[i]->pkt_len;
	}
	assert_int_equal(made, received + have);
	rte_pktmbuf_free_bulk(pkts, have);
	link_expect_stats(&l, received, bytes);
	link_close(&l);
}

static void
random_bursts_in(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		uint64_t features = combination(i);

		random_bursts(features, 256, true, 1500);
		random_bursts(features, 32, true, 500);
		random_bursts(features, 8, true, 500);
		random_bursts(features, 2, true, 100);
		if (features & F_PACKED)
			random_bursts(features, 3, true, 100);
	}
}

static void
random_bursts_out(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		uint64_t features = combination(i);

		random_bursts(features, 256, false, 1500);
		random_bursts(features, 32, false, 500);
		random_bursts(features, 8, false, 500);
		random_bursts(features, 1, false, 100);
		if (features & F_PACKED)
			random_bursts(features, 3, false, 100);
	}
}

/* Indexes of both ends go round more than once. */
static void
more_than_65536(void **state)
{
	for (int k = 0; k < 4; k++) {
		struct rte_mbuf *pkts[32], *got[32];
		struct link l;

		link_open(&l, 256, F_V1 | (k & 1 ? F_PACKED : 0), k & 2, small_pool);
		if (k & 2)
			vnet_drv_rx_fill(&l.rxq, l.drv, l.ring);
		for (uint32_t i = 0; i < 70000 / 32; i++) {
			for (int j = 0; j < 32; j++)
				pkts[j] = mbuf_linear(60, i);
			assert_int_equal(link_tx(&l, pkts, 32), 32);
			assert_int_equal(link_rx(&l, got, 32), 32);
			link_expect_packet(got[i % 32], 60, i);
			rte_pktmbuf_free_bulk(got, 32);
		}
		link_expect_stats(&l, 70000 / 32 * 32, 70000 / 32 * 32 * 60);
		link_close(&l);
	}
}

/* A packet of a pool's mbuf with memory of the application's attached. */
static struct rte_mbuf *
mbuf_with(struct rte_mempool *pool, uint8_t *mem, uint16_t room)
{
	struct rte_mbuf_ext_shared_info *info =
		rte_pktmbuf_ext_shinfo_init_helper(mem, &room, ext_free, mem);
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	rte_pktmbuf_attach_extbuf(m, mem, 0, room, info);
	m->data_off = 0;
	return m;
}

/* A buffer that cannot be shared is copied; a packet for which that fails is dropped. */
static void
copies(void **state)
{
	enum {NO_ROOM, PINNED, GOOD};

	for (int k = NO_ROOM; k <= GOOD; k++) {
		struct rte_pktmbuf_extmem area = {.buf_len = 32 * 2048, .elt_size = 2048};
		struct rte_mempool *pool;
		struct rte_mbuf *m, *got;
		struct link l;

		area.buf_ptr = malloc(area.buf_len);
		pool = k == PINNED ?
		       rte_pktmbuf_pool_create_extbuf("ext", 31, 0, 0, 2048, 0, &area, 1) :
		       rte_pktmbuf_pool_create("ext", 31, 0, 0, k == NO_ROOM ? 0 : 2048, 0);
		assert_non_null(pool);
		link_open(&l, 16, F_V1, false, small_pool);
		m = k == PINNED ? rte_pktmbuf_alloc(pool) : mbuf_with(pool, malloc(1000), 1000);
		frame_fill((uint8_t *)rte_pktmbuf_append(m, 500), 500, 1);
		assert_int_equal(link_tx(&l, &m, 1), 1);
		assert_int_equal(link_drops(&l.txq.stats), k != GOOD);
		assert_int_equal(l.txq.stats.packets, k == GOOD);
		assert_int_equal(link_rx(&l, &got, 1), k == GOOD);
		if (k == GOOD) {
			link_expect_packet(got, 500, 1);
			rte_pktmbuf_free(got);
		}
		link_close(&l);
		assert_int_equal(rte_mempool_avail_count(pool), 31);
		rte_mempool_free(pool);
		free(area.buf_ptr);
	}
}

/* One kick a burst, and none for a burst that offers nothing. */
static void
kicks(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS; i++) {
		struct rte_mbuf *pkts[8], *got[8];
		struct link l;

		link_open(&l, 16, combination(i), false, small_pool);
		/* As a device does that waits for the next packet. */
		if (l.ring->packed)
			l.ring->device_event->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
		else
			l.ring->used->flags = 0;
		for (uint32_t k = 0; k < 8; k++)
			pkts[k] = mbuf_linear(100, k);
		assert_int_equal(link_tx(&l, pkts, 8), 8);
		assert_int_equal(fd_count(l.kickfd), 1);
		assert_int_equal(link_rx(&l, got, 8), 8);
		rte_pktmbuf_free_bulk(got, 8);
		for (uint32_t k = 0; k < 8; k++) {
			pkts[k] = mbuf_linear(20, k);
			pkts[k]->ol_flags = RTE_MBUF_F_TX_TCP_SEG; /* nonsense: dropped */
		}
		assert_int_equal(link_tx(&l, pkts, 8), 8);
		assert_int_equal(fd_count(l.kickfd), 0);
		assert_int_equal(l.txq.stats.drop[VNET_DROP_OFFLOAD], 8);
		link_close(&l);
	}
}

/* They say what a ring is like, as far as that makes a difference. */
static void
instances_have_names(void **state)
{
	for (uint32_t i = 0; i < COMBINATIONS * 2; i++) {
		const bool hash = i >= COMBINATIONS;
		const uint64_t features = combination(i % COMBINATIONS) |
					  (hash ? F_V1 | F_HASH_REPORT : 0);
		const bool legacy = !(features & (F_V1 | F_MRG));
		const char *layout = features & F_PACKED ? "packed" : "split", *rx, *tx;
		struct link l;

		link_open(&l, 4, features, false, small_pool);
		assert_ptr_equal(vnet_drv_tx_select(l.ring, &tx), l.tx);
		assert_non_null(vnet_drv_rx_select(l.ring, 0, &rx));
		assert_int_equal(strncmp(rx, "front-end, ", 11), 0);
		assert_int_equal(strncmp(tx, "front-end, ", 11), 0);
		assert_non_null(strstr(rx, layout));
		assert_non_null(strstr(tx, layout));
		assert_int_equal(strstr(rx, "mergeable") != NULL, !!(features & F_MRG));
		assert_int_equal(strstr(rx, "hash") != NULL, hash);
		assert_int_equal(strstr(rx, "legacy header") != NULL, legacy);
		assert_int_equal(strstr(tx, "in order") != NULL, !!(features & F_IN_ORDER));
		assert_int_equal(strstr(tx, "other header") != NULL, hash || legacy);
		link_close(&l);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(receive_every_length),
		cmocka_unit_test(send_every_kind),
		cmocka_unit_test(send_64k_of_2k),
		cmocka_unit_test(random_bursts_in),
		cmocka_unit_test(random_bursts_out),
		cmocka_unit_test(more_than_65536),
		cmocka_unit_test(copies),
		cmocka_unit_test(kicks),
		cmocka_unit_test(instances_have_names),
	};

	return cmocka_run_group_tests_name("vnet_drv", tests, vnet_setup, vnet_teardown);
}
