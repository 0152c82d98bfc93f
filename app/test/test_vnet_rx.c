/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets from a guest: every ring layout, buffer layout and kind of mbuf, and nothing is lost. */
#include "rig_guest_net.h"
#include "vnet_extbuf.h"

static const uint64_t rings[] = {
	F_V1 | F_INDIRECT,
	F_V1 | F_INDIRECT | F_CSUM,
	F_INDIRECT,
	F_V1 | F_INDIRECT | F_IN_ORDER,
	F_V1 | F_INDIRECT | F_HASH_REPORT,
	F_V1 | F_INDIRECT | F_CSUM | F_PACKED | F_HASH_REPORT,
	F_V1 | F_INDIRECT | F_PACKED,
	F_V1 | F_INDIRECT | F_PACKED | F_CSUM,
	F_V1 | F_INDIRECT | F_PACKED | F_IN_ORDER,
	F_V1 | F_INDIRECT | F_PACKED | F_IN_ORDER | F_CSUM,
	F_INDIRECT | F_PACKED,
};

#define NRINGS (sizeof(rings) / sizeof(rings[0]))
#define NSPLIT 5

static const uint32_t lens[] = {
	14, 15, 60, 64, 65, 127, 128, 1514, 1518, 2047, 2048, 2049, 4096, 9000, 65535 - 128,
	65535, 65549,
};

#define NLENS (sizeof(lens) / sizeof(lens[0]))

enum store { STORE_BIG, STORE_SCATTER };

static void
port_store(struct port *p, enum store store)
{
	if (store == STORE_BIG)
		p->rxq.extbuf_pool = big_pool;
	else
		p->rxq.flags |= VNET_F_SCATTER;
}

static bool
send_frame(struct port *p, uint32_t len, uint32_t seed, const struct layout *l)
{
	static uint8_t data[FRAME_MAX];

	frame_fill(data, len, seed);
	return port_send(p, NULL, data, len, l);
}

static void
expect_packet(struct rte_mbuf *m, uint32_t len, uint32_t seed)
{
	const char *why = NULL;

	assert_int_equal(rte_mbuf_check(m, 1, &why), 0);
	assert_null(why);
	assert_int_equal(m->port, 7);
	assert_int_equal(m->ol_flags & ~RTE_MBUF_F_EXTERNAL, 0);
	assert_int_equal(m->vlan_tci, 0);
	assert_true(m->data_off <= m->buf_len);
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next)
		assert_true(s->data_off + s->data_len <= s->buf_len);
	expect_bytes(mbuf_bytes(m), m->pkt_len, len, seed);
}

/* Every length in every shape of buffer, into large buffers or chains of mbufs. */
static void
every_packet(uint64_t features, enum store store)
{
	for (uint32_t l = 0; l < NLAYOUTS; l++) {
		uint64_t packets = 0, bytes = 0;
		struct port p;

		port_open(&p, 16, features, 66000, 5);
		port_store(&p, store);
		for (uint32_t i = 0; i < NLENS; i++) {
			struct rte_mbuf *pkts[4];
			bool fits = store == STORE_SCATTER || lens[i] <= 65535;

			assert_true(send_frame(&p, lens[i], i, &layouts[l]));
			assert_int_equal(port_rx(&p, pkts, 4), fits);
			assert_int_equal(port_reap(&p), 1);
			if (!fits) {
				assert_int_equal(p.rxq.stats.drop[VNET_DROP_OVERSIZE], 1);
				continue;
			}
			expect_packet(pkts[0], lens[i], i);
			if (store == STORE_BIG)
				assert_int_equal(pkts[0]->nb_segs, 1);
			else
				assert_int_equal(pkts[0]->nb_segs, (lens[i] + 2047) / 2048);
			rte_pktmbuf_free(pkts[0]);
			bytes += lens[i];
			packets++;
		}
		assert_int_equal(p.rxq.stats.packets, packets);
		assert_int_equal(p.rxq.stats.bytes, bytes);
		port_close(&p);
	}
}

static void
every_packet_big(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++)
		every_packet(rings[i], STORE_BIG);
}

static void
every_packet_scatter(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++)
		every_packet(rings[i], STORE_SCATTER);
}

/* Random bursts on a ring that is now empty, now full; the application keeps packets a while. */
static void
bursts(uint64_t features, uint16_t size, enum store store)
{
	uint64_t x = features + size;
	uint32_t len_of[1024], sent = 0, received = 0, back = 0, kept = 0;
	struct rte_mbuf *keep[64] = {0};
	struct port p;

	port_open(&p, size, features, 5000, 4);
	port_store(&p, store);
	while (received < 4000) {
		struct rte_mbuf *pkts[64];
		uint16_t n = rd_random(&x) % 65;

		for (uint32_t i = rd_random(&x) % 40; i > 0 && sent < 4000; i--) {
			uint32_t len = 14 + rd_random(&x) % (i % 4 == 0 ? 4900 : 200);

			len_of[sent % 1024] = len;
			if (!send_frame(&p, len, sent, &layouts[rd_random(&x) % NLAYOUTS]))
				break;
			sent++;
		}
		n = port_rx(&p, pkts, n);
		for (uint16_t i = 0; i < n; i++, received++) {
			expect_packet(pkts[i], len_of[received % 1024], received);
			rte_pktmbuf_free(keep[kept]);
			keep[kept] = pkts[i];
			kept = (kept + 1) % 32;
		}
		if (rd_random(&x) % 2)
			back += port_reap(&p);
	}
	back += port_reap(&p);
	assert_int_equal(sent, received);
	assert_int_equal(back, sent);
	for (int i = 0; i < 64; i++)
		rte_pktmbuf_free(keep[i]);
	assert_int_equal(p.rxq.stats.packets, received);
	port_close(&p);
}

static void
bursts_split(void **state)
{
	for (uint32_t i = 0; i < NSPLIT; i++) {
		bursts(rings[i], 64, STORE_BIG);
		bursts(rings[i], 256, STORE_SCATTER);
	}
}

static void
bursts_packed(void **state)
{
	for (uint32_t i = NSPLIT; i < NRINGS; i++) {
		bursts(rings[i], 64, STORE_SCATTER);
		bursts(rings[i], 99, STORE_BIG);
	}
}

/* Take mbufs away until `left` are there; they are chained for giving them back. */
static uint32_t
drain(struct rte_mempool *pool, void **taken, uint32_t left)
{
	uint32_t n = 0;

	while (rte_mempool_avail_count(pool) > left)
		assert_int_equal(rte_mempool_get(pool, &taken[n++]), 0);
	return n;
}

/* With no mbuf, or few, packets stay in the ring; none is lost, none comes twice. */
static void
no_mbufs(void **state)
{
	static void *taken[SMALL_MBUFS];

	for (uint32_t i = 0; i < NRINGS; i++) {
		for (uint32_t left = 0; left < 12; left++) {
			struct rte_mbuf *pkts[32];
			uint32_t n, got;
			struct port p;

			port_open(&p, 32, rings[i], 2048, 1);
			for (uint32_t k = 0; k < 10; k++)
				send_frame(&p, 100 + k, k, &layouts[k % NLAYOUTS]);
			n = drain(small_pool, taken, left);
			got = port_rx(&p, pkts, 32);
			assert_int_equal(got, left < 10 ? left : 10);
			assert_int_equal(port_reap(&p), got);
			assert_int_equal(p.rxq.stats.nombuf, left < 10);
			rte_mempool_put_bulk(small_pool, taken, n);
			got += port_rx(&p, pkts + got, 32 - got);
			assert_int_equal(got, 10);
			for (uint32_t k = 0; k < 10; k++)
				expect_packet(pkts[k], 100 + k, k);
			rte_pktmbuf_free_bulk(pkts, 10);
			assert_int_equal(port_rx(&p, pkts, 32), 0);
			port_reap(&p);
			assert_int_equal(p.rxq.stats.packets, 10);
			port_close(&p);
		}
	}
}

/* The same for what large packets need besides the first mbuf. */
static void
no_large_buffers(void **state)
{
	static void *taken[SMALL_MBUFS];

	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		enum store store = i % 2;
		struct rte_mempool *pool = store == STORE_BIG ? big_pool : small_pool;

		for (uint32_t left = 0; left < 8; left++) {
			struct rte_mbuf *pkts[32];
			uint32_t n, got;
			struct port p;

			port_open(&p, 32, rings[i / 2], 6000, 1);
			port_store(&p, store);
			for (uint32_t k = 0; k < 3; k++)
				send_frame(&p, 5000 + k, k, &layouts[k]);
			n = drain(pool, taken, left);
			got = port_rx(&p, pkts, 32);
			assert_true(got <= left);
			if (store == STORE_BIG)
				assert_int_equal(got, left < 3 ? left : 3);
			assert_int_equal(port_reap(&p), got);
			rte_mempool_put_bulk(pool, taken, n);
			while (got < 3) {
				n = port_rx(&p, pkts + got, 32 - got);
				assert_true(n > 0);
				got += n;
			}
			for (uint32_t k = 0; k < 3; k++)
				expect_packet(pkts[k], 5000 + k, k);
			rte_pktmbuf_free_bulk(pkts, 3);
			port_reap(&p);
			assert_int_equal(p.rxq.stats.packets, 3);
			port_close(&p);
		}
	}
}

/* Neither scatter nor large buffers: counted, completed, and the next packet is there. */
static void
oversize(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[32];
		struct port p;

		port_open(&p, 16, rings[i], 4096, 1);
		send_frame(&p, 2048, 0, PLAIN);
		send_frame(&p, 2049, 1, PLAIN);
		send_frame(&p, 4000, 2, &layouts[1]);
		send_frame(&p, 64, 3, PLAIN);
		assert_int_equal(port_rx(&p, pkts, 32), 2);
		assert_int_equal(port_reap(&p), 4);
		expect_packet(pkts[0], 2048, 0);
		expect_packet(pkts[1], 64, 3);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_OVERSIZE], 2);
		assert_int_equal(p.rxq.stats.packets, 2);
		rte_pktmbuf_free_bulk(pkts, 2);
		port_close(&p);
	}
}

/* Larger than anything IP can be; were it gathered, one packet could take all mbufs. */
static void
endless_packet(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[32];
		struct rd_sg sg[32];
		struct port p;

		port_open(&p, 64, rings[i], 66000, 1);
		p.rxq.flags |= VNET_F_SCATTER;
		for (int k = 0; k < 32; k++)
			sg[k] = (struct rd_sg){p.buf[0].gpa, 66000};
		assert_true(rd_add(&p.r, sg, 32, RD_DIRECT, false, 0) >= 0);
		rd_publish(&p.r);
		assert_int_equal(port_rx(&p, pkts, 32), 0);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_OVERSIZE], 1);
		assert_int_equal(rd_pop(&p.r, p.done), 1);
		port_close(&p);
	}
}

/* A buffer that ends in or right after the header, or before a frame can: every length. */
static void
runts(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		for (uint32_t l = 0; l < NLAYOUTS; l++) {
			struct rte_mbuf *pkts[32];
			uint32_t n = 0;
			struct port p;

			port_open(&p, 256, rings[i], 4096, 1);
			for (uint32_t bytes = 0; bytes < p.hdr_len + 14u; bytes++) {
				if (!port_offer(&p, bytes, &layouts[l], false))
					break;
				n++;
			}
			assert_true(n >= p.hdr_len + 14u);
			send_frame(&p, 14, 1, &layouts[l]);
			n++;
			/* There may be more of them than a burst takes. */
			if (port_rx(&p, pkts, 32) == 0)
				assert_int_equal(port_rx(&p, pkts, 32), 1);
			assert_int_equal(port_reap(&p), n);
			assert_int_equal(p.rxq.stats.drop[VNET_DROP_RUNT], n - 1);
			expect_packet(pkts[0], 14, 1);
			rte_pktmbuf_free(pkts[0]);
			port_close(&p);
		}
	}
}

static void
disabled_ring_is_drained(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[32];
		const char *name;
		struct port p;

		port_open(&p, 16, rings[i], 2048, 1);
		p.d.ring->enabled = false;
		p.rx = vnet_dev_rx_select(p.d.ring, 0, &name);
		assert_string_equal(name, "disabled");
		for (uint32_t k = 0; k < 10; k++)
			send_frame(&p, 100, k, PLAIN);
		assert_int_equal(port_rx(&p, pkts, 32), 0);
		assert_int_equal(port_reap(&p), 10);
		assert_int_equal(p.rxq.stats.drop[VNET_DROP_DISABLED], 10);
		assert_int_equal(p.rxq.stats.packets, 0);
		port_close(&p);
	}
}

/* The tag goes to the mbuf; what is too short to have one stays as it is. */
static void
vlan_strip(void **state)
{
	static const uint8_t tag[] = {0x81, 0x00, 0x61, 0x23};

	for (uint32_t len = 14; len <= 80; len++) {
		struct rte_mbuf *m;
		uint8_t data[80];
		struct port p;

		port_open(&p, 16, rings[0], 2048, 1);
		p.rxq.flags |= VNET_F_VLAN_STRIP;
		frame_fill(data, sizeof(data), len);
		memcpy(data + 12, tag, sizeof(tag));
		port_send(&p, NULL, data, len, PLAIN);
		assert_int_equal(port_rx(&p, &m, 1), 1);
		assert_int_equal(p.rxq.stats.bytes, len);
		if (len < 18) {
			assert_int_equal(m->pkt_len, len);
			assert_int_equal(m->ol_flags, 0);
		} else {
			assert_int_equal(m->ol_flags,
					 RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
			assert_int_equal(m->vlan_tci, 0x6123);
			assert_int_equal(m->pkt_len, len - 4);
			assert_memory_equal(rte_pktmbuf_mtod(m, void *), data, 12);
			assert_memory_equal(rte_pktmbuf_mtod_offset(m, void *, 12), data + 16,
					    len - 16);
		}
		rte_pktmbuf_free(m);
		port_reap(&p);
		port_close(&p);
	}
}

static void
statistics(void **state)
{
	static const uint32_t sizes[] = {64, 65, 128, 256, 512, 1024, 1519, 14};
	struct rte_mbuf *pkts[32];
	struct port p;

	port_open(&p, 32, rings[1], 2048, 1);
	for (uint32_t i = 0; i < 8; i++) {
		uint8_t data[2000];

		frame_fill(data, sizes[i], i);
		if (i % 4 == 1)
			data[0] = 1;
		if (i % 4 == 2)
			memset(data, 0xff, 6);
		port_send(&p, NULL, data, sizes[i], &layouts[i % NLAYOUTS]);
	}
	assert_int_equal(port_rx(&p, pkts, 32), 8);
	rte_pktmbuf_free_bulk(pkts, 8);
	for (int i = 0; i < VNET_SIZE_BINS; i++)
		assert_int_equal(p.rxq.stats.size_bin[i], i == 0 ? 2 : 1);
	assert_int_equal(p.rxq.stats.packets, 8);
	assert_int_equal(p.rxq.stats.bytes, 64 + 65 + 128 + 256 + 512 + 1024 + 1519 + 14);
	assert_int_equal(p.rxq.stats.multicast, 2);
	assert_int_equal(p.rxq.stats.broadcast, 2);
	port_reap(&p);
	port_close(&p);
}

static void
queue_needs_room(void **state)
{
	struct rte_mempool *tiny = rte_pktmbuf_pool_create("tiny", 15, 0, 0,
							   RTE_PKTMBUF_HEADROOM + 63, 0);
	struct vnet_rxq rxq;

	assert_non_null(tiny);
	assert_int_equal(vnet_rxq_init(&rxq, tiny, 0, 0), -EINVAL);
	rte_mempool_free(tiny);
	assert_null(vnet_extbuf_pool_create("none", 16, 65536, 0));
	assert_null(vnet_extbuf_pool_create("none", 16, RTE_PKTMBUF_HEADROOM, 0));
}

static void
count_of_packets(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *pkts[32];
		struct port p;

		port_open(&p, 16, rings[i], 2048, 1);
		for (uint32_t k = 0; k < 16; k++) {
			assert_int_equal(vnet_ring_count(p.d.ring, &p.d.vq->cursor), k);
			send_frame(&p, 100, k, PLAIN);
		}
		assert_int_equal(port_rx(&p, pkts, 5), 5);
		assert_int_equal(vnet_ring_count(p.d.ring, &p.d.vq->cursor), 11);
		rte_pktmbuf_free_bulk(pkts, 5);
		port_reap(&p);
		port_close(&p);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet_big),
		cmocka_unit_test(every_packet_scatter),
		cmocka_unit_test(bursts_split),
		cmocka_unit_test(bursts_packed),
		cmocka_unit_test(no_mbufs),
		cmocka_unit_test(no_large_buffers),
		cmocka_unit_test(oversize),
		cmocka_unit_test(endless_packet),
		cmocka_unit_test(runts),
		cmocka_unit_test(disabled_ring_is_drained),
		cmocka_unit_test(vlan_strip),
		cmocka_unit_test(statistics),
		cmocka_unit_test(queue_needs_room),
		cmocka_unit_test(count_of_packets),
	};

	return cmocka_run_group_tests_name("vnet_rx", tests, vnet_setup, vnet_teardown);
}
