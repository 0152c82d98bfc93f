/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets that are attached, not copied: what the application may do with them, and how long. */
#include "rig_guest_zc.h"

#include <pthread.h>

static const struct layout two_pieces = {.n = 2, .form = RD_DIRECT, .piece = {400}};
/* The header by itself, and two pieces. */
static struct layout
three_pieces(const struct port *p)
{
	return (struct layout){.n = 3, .form = RD_INDIRECT, .piece = {p->hdr_len, 300}};
}

/* Every length in every shape of buffer: attached where it lies in one piece, else copied. */
static void
every_packet(void **state)
{
	static const uint32_t lens[] = {14, 255, 256, 257, 1514, 2048, 4096, 9000, 65535};

	for (uint32_t i = 0; i < NRINGS * NLAYOUTS; i++) {
		const struct layout *l = &layouts[i % NLAYOUTS];
		uint64_t attached = 0;
		struct port p;
		bool whole;

		zc_open(&p, 64, rings[i / NLAYOUTS], 66000, 0);
		whole = l->n == 1 || (l->n == 2 && l->piece[0] <= p.hdr_len);
		for (uint32_t k = 0; k < sizeof(lens) / sizeof(lens[0]); k++) {
			bool expected = whole && lens[k] >= MIN;
			struct rte_mbuf *m;

			assert_true(send_frame(&p, lens[k], k, l));
			assert_int_equal(port_rx(&p, &m, 1), 1);
			expect_packet(&p, m, lens[k], k, expected);
			assert_int_equal(m->nb_segs, 1);
			attached += expected;
			assert_int_equal(p.rxq.stats.zero_copy, attached);
			assert_int_equal(port_reap(&p), !expected);
			rte_pktmbuf_free(m);
			poll_nothing(&p);
			assert_int_equal(port_reap(&p), expected);
		}
		assert_int_equal(p.rxq.stats.packets, sizeof(lens) / sizeof(lens[0]));
		zc_close(&p);
	}
}

/* An mbuf that is free is as its pool made it. */
static void
expect_own_buffer(const struct rte_mbuf *m)
{
	assert_ptr_equal(m->buf_addr, (const uint8_t *)(m + 1) + m->priv_size);
	assert_true(rte_mbuf_iova_get(m) == rte_mempool_virt2iova(m) + sizeof(*m) + m->priv_size);
	assert_int_equal(m->buf_len, rte_pktmbuf_data_room_size(m->pool));
	assert_int_equal(m->data_off, RTE_PKTMBUF_HEADROOM);
	assert_int_equal(m->ol_flags, 0);
	assert_int_equal(m->nb_segs, 1);
	assert_null(m->next);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
}

/*
 * A burst to another guest frees what the first one attached; where a clone points to it as
 * well, the chain stays out.
 */
static void
sent_to_another_guest(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		struct rte_mbuf *pkts[3], *clone = NULL;
		struct port from, to;
		struct frame f;

		zc_open(&from, 64, rings[i / 2], 4096, 0);
		port_open(&to, 64, rings[i / 2], 4096, 1);
		while (port_offer(&to, 4096, PLAIN, true))
			;
		assert_true(send_frame(&from, 1000, 1, PLAIN));
		assert_true(send_frame(&from, 1100, 2, PLAIN));
		assert_int_equal(port_rx(&from, pkts, 2), 2);
		expect_packet(&from, pkts[0], 1000, 1, true);
		if (i % 2)
			clone = rte_pktmbuf_clone(pkts[0], small_pool);
		pkts[2] = mbuf_new(100, 3, SHAPE_LINEAR);
		assert_int_equal(port_tx(&to, pkts, 3), 3);
		for (uint32_t k = 0; k < 3; k++) {
			static const uint32_t lens[] = {1000, 1100, 100};

			assert_true(port_receive(&to, &f));
			expect_bytes(f.data, f.len, lens[k], k + 1);
			expect_own_buffer(pkts[k]);
		}
		if (clone != NULL) {
			/* The second waits for the first no longer. */
			poll_late(&from);
			assert_int_equal(port_reap(&from), 1);
			expect_bytes(mbuf_bytes(clone), clone->pkt_len, 1000, 1);
			rte_pktmbuf_free(clone);
		}
		poll_nothing(&from);
		assert_int_equal(port_reap(&from), clone != NULL ? 1 : 2);
		port_close(&to);
		zc_close(&from);
	}
}

/* Pieces of a packet are freed one by one; the chain comes back with the last of them. */
static void
segments_and_clones(void **state)
{
	for (uint32_t i = 0; i < NRINGS * 2; i++) {
		struct rte_mbuf *m, *clone, *part[2];
		struct layout l;
		struct port p;

		zc_open(&p, 64, rings[i / 2], 4096, VNET_F_SCATTER);
		l = i % 2 ? two_pieces : three_pieces(&p);
		assert_true(send_frame(&p, 1000, 1, &l));
		assert_int_equal(port_rx(&p, &m, 1), 1);
		assert_int_equal(m->nb_segs, 2);
		expect_packet(&p, m, 1000, 1, true);
		clone = rte_pktmbuf_clone(m, small_pool);
		assert_non_null(clone);
		part[0] = m;
		part[1] = m->next;
		m->next = NULL;
		m->nb_segs = 1;
		rte_pktmbuf_free(part[1]);
		rte_pktmbuf_free(part[0]);
		poll_late(&p);
		assert_int_equal(port_reap(&p), 0);
		expect_bytes(mbuf_bytes(clone), clone->pkt_len, 1000, 1);
		rte_pktmbuf_free(clone);
		poll_nothing(&p);
		assert_int_equal(port_reap(&p), 1);
		zc_close(&p);
	}
}

/* Chains without scatter, and too small a first piece with it, are copied. */
static void
pieces_that_are_copied(void **state)
{
	static const struct layout small_head = {.n = 2, .form = RD_DIRECT, .piece = {12 + 53}};
	struct rte_mbuf *m;
	struct port p;

	zc_open(&p, 64, rings[0], 4096, 0);
	send_frame(&p, 1000, 1, &two_pieces);
	assert_int_equal(port_rx(&p, &m, 1), 1);
	expect_packet(&p, m, 1000, 1, false);
	assert_int_equal(m->nb_segs, 1);
	rte_pktmbuf_free(m);
	zc_close(&p);
	zc_open(&p, 64, rings[0], 4096, VNET_F_SCATTER);
	send_frame(&p, 1000, 1, &small_head);
	assert_int_equal(port_rx(&p, &m, 1), 1);
	expect_packet(&p, m, 1000, 1, false);
	rte_pktmbuf_free(m);
	zc_close(&p);
}

/* The application frees nothing: half of the ring is attached, and traffic goes on by copying. */
static void
starvation(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		static struct rte_mbuf *kept[32];
		uint32_t nkept = 0;
		struct port p;

		zc_open(&p, 64, rings[i], 2048, 0);
		for (uint32_t k = 0; k < 1000; k++) {
			struct rte_mbuf *m;

			assert_true(send_frame(&p, 600, k, PLAIN));
			assert_int_equal(port_rx(&p, &m, 1), 1);
			expect_packet(&p, m, 600, k, k < 32);
			if (k < 32)
				kept[nkept++] = m;
			else
				rte_pktmbuf_free(m);
			assert_int_equal(port_reap(&p), k >= 32);
		}
		assert_int_equal(p.rxq.stats.zero_copy, 32);
		for (uint32_t k = 0; k < nkept; k++)
			expect_packet(&p, kept[k], 600, k, true);
		rte_pktmbuf_free_bulk(kept, nkept);
		poll_nothing(&p);
		assert_int_equal(port_reap(&p), 32);
		/* And attaches again. */
		send_frame(&p, 600, 7, PLAIN);
		assert_int_equal(port_rx(&p, kept, 1), 1);
		expect_packet(&p, kept[0], 600, 7, true);
		rte_pktmbuf_free(kept[0]);
		zc_close(&p);
	}
}

/* Chains of many entries: it is entries of the ring that are counted. */
static void
starvation_by_entries(void **state)
{
	static const struct layout five = {.n = 5, .form = RD_DIRECT,
					   .piece = {12, 200, 200, 200}};
	struct rte_mbuf *kept[8], *m;
	uint32_t n = 0;
	struct port p;

	zc_open(&p, 64, rings[0], 2048, VNET_F_SCATTER);
	for (uint32_t k = 0; k < 12; k++) {
		assert_true(send_frame(&p, 900, k, &five));
		assert_int_equal(port_rx(&p, &m, 1), 1);
		if (is_attached(&p, m))
			kept[n++] = m;
		else
			rte_pktmbuf_free(m);
		port_reap(&p);
	}
	assert_int_equal(n, 32 / 5);
	for (uint32_t k = 0; k < n; k++)
		rte_pktmbuf_free(kept[k]);
	zc_close(&p);
}

/* Freed in the order of the ring or not, chains go back in it, until waiting takes too long. */
static void
order_of_return(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *m[4];
		struct port p;

		zc_open(&p, 64, rings[i], 2048, 0);
		/* Far from the last look through the queue, which was at the beginning of time. */
		((struct vnet_zc_ring *)p.d.vq->cursor.owner)->overtaken_at = rte_rdtsc();
		((struct vnet_zc_ring *)p.d.vq->cursor.owner)->wait = rte_get_tsc_hz() * 3600;
		p.r.any_order = false;
		for (uint32_t k = 0; k < 4; k++)
			send_frame(&p, k == 1 ? 60 : 600, k, PLAIN);
		assert_int_equal(port_rx(&p, m, 4), 4);
		expect_packet(&p, m[1], 60, 1, false);
		rte_pktmbuf_free(m[1]);
		rte_pktmbuf_free(m[3]);
		poll_late(&p);
		assert_int_equal(port_reap(&p), 0);
		rte_pktmbuf_free(m[0]);
		poll_nothing(&p);
		assert_int_equal(port_reap(&p), 2);
		((struct vnet_zc_ring *)p.d.vq->cursor.owner)->wait = 0;
		p.r.any_order = true;
		poll_nothing(&p);
		assert_int_equal(port_reap(&p), 1); /* the last, before the third */
		expect_packet(&p, m[2], 600, 2, true);
		rte_pktmbuf_free(m[2]);
		poll_nothing(&p);
		assert_int_equal(port_reap(&p), 1);
		zc_close(&p);
	}
}

/* One packet is kept for ever: the others come and go all the same, and are attached. */
static void
one_is_kept(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *kept, *m;
		struct port p;

		zc_open(&p, 64, rings[i], 2048, 0);
		((struct vnet_zc_ring *)p.d.vq->cursor.owner)->wait = 0;
		send_frame(&p, 600, 0, PLAIN);
		assert_int_equal(port_rx(&p, &kept, 1), 1);
		for (uint32_t k = 1; k < 5000; k++) {
			uint32_t len = k % 3 ? 600 : 60;

			assert_true(send_frame(&p, len, k, PLAIN));
			assert_int_equal(port_rx(&p, &m, 1), 1);
			expect_packet(&p, m, len, k, len == 600);
			rte_pktmbuf_free(m);
			poll_nothing(&p);
			assert_int_equal(port_reap(&p), 1);
		}
		expect_packet(&p, kept, 600, 0, true);
		rte_pktmbuf_free(kept);
		zc_close(&p);
	}
}

struct freer {
	struct rte_mbuf *slot[64];
	bool stop;
	uint32_t freed;
};

static void *
free_packets(void *arg)
{
	struct freer *f = arg;
	uint64_t x = (uintptr_t)f;
	bool any = true;

	for (bool stop = false; any || !stop;) {
		stop = __atomic_load_n(&f->stop, __ATOMIC_ACQUIRE);
		any = false;
		for (uint32_t k = 0; k < 64; k++) {
			struct rte_mbuf *m = __atomic_load_n(&f->slot[k], __ATOMIC_ACQUIRE);

			if (m == NULL)
				continue;
			any = true;
			if (rd_random(&x) % 4 == 0)
				continue;
			expect_bytes(rte_pktmbuf_mtod(m, uint8_t *), m->pkt_len, m->pkt_len,
				     m->hash.rss);
			rte_pktmbuf_free(m);
			f->freed++;
			__atomic_store_n(&f->slot[k], NULL, __ATOMIC_RELEASE);
		}
	}
	return NULL;
}

/* Other threads free packets in any order while the ring goes on. */
static void
freed_elsewhere(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		uint32_t sent = 0, received = 0, back = 0;
		uint64_t x = i;
		static struct freer f;
		pthread_t t;
		struct port p;

		memset(&f, 0, sizeof(f));
		zc_open(&p, 64, rings[i], 2048, 0);
		assert_int_equal(pthread_create(&t, NULL, free_packets, &f), 0);
		while (received < 5000) {
			struct rte_mbuf *pkts[32];
			uint16_t n;

			while (sent < 5000 &&
			       send_frame(&p, 60 + rd_random(&x) % 1400, sent, PLAIN))
				sent++;
			n = port_rx(&p, pkts, 1 + rd_random(&x) % 32);
			for (uint16_t k = 0; k < n; k++) {
				uint32_t at = rd_random(&x) % 64;

				pkts[k]->hash.rss = received++;
				while (__atomic_load_n(&f.slot[at], __ATOMIC_ACQUIRE) != NULL)
					at = (at + 1) % 64;
				__atomic_store_n(&f.slot[at], pkts[k], __ATOMIC_RELEASE);
			}
			back += port_reap(&p);
		}
		__atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
		pthread_join(t, NULL);
		poll_nothing(&p);
		back += port_reap(&p);
		assert_int_equal(f.freed, 5000);
		assert_int_equal(back, 5000);
		assert_true(p.rxq.stats.zero_copy > 1000);
		assert_int_equal(p.rxq.stats.packets, 5000);
		zc_close(&p);
	}
}

/* Disabled while packets are out: what is sent is dropped, what was attached comes back. */
static void
disabled(void **state)
{
	struct rte_mbuf *m;
	struct port p;

	zc_open(&p, 64, rings[0], 2048, 0);
	send_frame(&p, 600, 0, PLAIN);
	assert_int_equal(port_rx(&p, &m, 1), 1);
	p.d.ring->enabled = false;
	p.rx = vnet_dev_rx_select(p.d.ring, VNET_F_ZERO_COPY, NULL);
	send_frame(&p, 600, 1, PLAIN);
	poll_nothing(&p);
	assert_int_equal(port_reap(&p), 1);
	assert_int_equal(p.rxq.stats.drop[VNET_DROP_DISABLED], 1);
	rte_pktmbuf_free(m);
	poll_nothing(&p);
	assert_int_equal(port_reap(&p), 1);
	zc_close(&p);
}

static void
rings_that_are_copied(void **state)
{
	static const struct {
		uint64_t features;
		uint16_t size;
	} cases[] = {
		{F_V1 | F_IN_ORDER, 256},
		{F_V1 | F_IN_ORDER | F_PACKED, 256},
		{F_V1, 32},
		{F_V1 | F_PACKED, 63},
	};

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rte_mbuf *m[2];
		struct vnet_zc_ring *zc;
		struct port p;

		port_open(&p, cases[i].size, cases[i].features, 2048, 1);
		assert_int_equal(vnet_rxq_zero_copy(&p.rxq, MIN), 0);
		assert_int_equal(vnet_zc_new(p.d.ring, &zc), -ENOTSUP);
		/* In order, whatever becomes of the packets. */
		for (uint32_t k = 0; k < 100; k++) {
			send_frame(&p, 600, k, PLAIN);
			send_frame(&p, 60, k, PLAIN);
			assert_int_equal(port_rx(&p, m, 2), 2);
			expect_packet(&p, m[0], 600, k, false);
			rte_pktmbuf_free_bulk(m, 2);
			assert_int_equal(port_reap(&p), 2);
		}
		assert_int_equal(p.rxq.stats.zero_copy, 0);
		port_close(&p);
	}
}

static void
pools_that_are_copied(void **state)
{
	static uint8_t area[1 << 16] __rte_aligned(4096);
	struct rte_pktmbuf_extmem mem = {.buf_ptr = area, .buf_iova = RTE_BAD_IOVA,
					 .buf_len = sizeof(area), .elt_size = 2048};
	struct rte_mempool *pool = rte_pktmbuf_pool_create_extbuf("pinned", 15, 0, 0, 2048, 0,
								  &mem, 1);
	struct vnet_rxq rxq = {0};

	assert_non_null(pool);
	assert_int_equal(vnet_rxq_init(&rxq, pool, 0, 0), 0);
	assert_int_equal(vnet_rxq_zero_copy(&rxq, MIN), -ENOTSUP);
	assert_int_equal(rxq.zc_max, 0);
	rte_mempool_free(pool);
	/* A threshold that no packet reaches. */
	memset(&rxq, 0, sizeof(rxq));
	assert_int_equal(vnet_rxq_init(&rxq, small_pool, 0, 0), 0);
	assert_int_equal(vnet_rxq_zero_copy(&rxq, 2049), 0);
	assert_int_equal(rxq.zc_max, 0);
}

/* A TCP frame whose checksum the guest left out. */
static bool
send_partial(struct port *p, uint32_t len)
{
	const struct virtio_net_hdr_mrg_rxbuf hdr = {
		.hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16},
	};
	uint8_t data[2048];

	frame_fill(data, len, 5);
	return port_send(p, &hdr, data, len, PLAIN);
}

/* What the port would have to write is copied; the guest's buffer is not touched. */
static void
buffers_are_not_written(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		uint8_t before[2048];
		const uint8_t *at;
		struct rte_mbuf *m;
		struct port p;

		if (!(rings[i] & F_CSUM))
			continue;
		for (int partial = 0; partial < 2; partial++) {
			zc_open(&p, 64, rings[i], 2048, partial ? VNET_F_PARTIAL_CSUM : 0);
			at = guest_ptr(&p.g, p.buf[p.free_buf[p.nfree - 1]].gpa);
			assert_true(send_partial(&p, 600));
			memcpy(before, at, sizeof(before));
			assert_int_equal(port_rx(&p, &m, 1), 1);
			assert_int_equal(is_attached(&p, m), partial);
			assert_int_equal(p.rxq.stats.sw_csum, !partial);
			assert_int_equal(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK,
					 partial ? RTE_MBUF_F_RX_L4_CKSUM_NONE :
						   RTE_MBUF_F_RX_L4_CKSUM_GOOD);
			assert_memory_equal(at, before, sizeof(before));
			rte_pktmbuf_free(m);
			zc_close(&p);
		}
		zc_open(&p, 64, rings[i], 2048, VNET_F_VLAN_STRIP);
		send_frame(&p, 600, 1, PLAIN);
		assert_int_equal(port_rx(&p, &m, 1), 1);
		expect_packet(&p, m, 600, 1, false);
		rte_pktmbuf_free(m);
		zc_close(&p);
	}
}

static void
bad_headers(void **state)
{
	const struct virtio_net_hdr_mrg_rxbuf hdr = {
		.hdr = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 9000},
	};
	uint8_t data[1000] = {0};
	struct port p;

	zc_open(&p, 64, rings[1], 2048, VNET_F_PARTIAL_CSUM);
	for (uint32_t l = 0; l < NLAYOUTS; l++)
		port_send(&p, &hdr, data, sizeof(data), &layouts[l]);
	for (uint32_t bytes = 0; bytes < 26; bytes++)
		port_offer(&p, bytes, PLAIN, false);
	for (uint32_t i = 0; i < NLAYOUTS + 26; i++)
		poll_nothing(&p);
	assert_int_equal(p.rxq.stats.drop[VNET_DROP_BAD_HDR], NLAYOUTS);
	assert_int_equal(p.rxq.stats.drop[VNET_DROP_RUNT], 26);
	assert_int_equal(port_reap(&p), NLAYOUTS + 26);
	zc_close(&p);
}

/* With no mbuf, or too few for the pieces, packets stay in the ring and none is lost. */
static void
no_mbufs(void **state)
{
	static void *taken[SMALL_MBUFS];

	for (uint32_t i = 0; i < NRINGS; i++) {
		for (uint32_t left = 0; left < 7; left++) {
			uint32_t n = 0, got;
			struct rte_mbuf *pkts[8];
			struct layout l;
			struct port p;

			zc_open(&p, 64, rings[i], 2048, VNET_F_SCATTER);
			l = three_pieces(&p);
			for (uint32_t k = 0; k < 3; k++)
				send_frame(&p, 1000, k, &l);
			while (rte_mempool_avail_count(small_pool) > left)
				assert_int_equal(rte_mempool_get(small_pool, &taken[n++]), 0);
			got = port_rx(&p, pkts, 8);
			assert_true(got <= left / 2);
			assert_int_equal(port_reap(&p), 0);
			rte_mempool_put_bulk(small_pool, taken, n);
			while (got < 3) {
				n = port_rx(&p, pkts + got, 8 - got);
				assert_true(n > 0);
				got += n;
			}
			for (uint32_t k = 0; k < 3; k++) {
				expect_packet(&p, pkts[k], 1000, k, true);
				assert_int_equal(pkts[k]->nb_segs, 2);
			}
			rte_pktmbuf_free_bulk(pkts, 3);
			assert_int_equal(p.rxq.stats.zero_copy, 3);
			zc_close(&p);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_packet),
		cmocka_unit_test(sent_to_another_guest),
		cmocka_unit_test(segments_and_clones),
		cmocka_unit_test(pieces_that_are_copied),
		cmocka_unit_test(starvation),
		cmocka_unit_test(starvation_by_entries),
		cmocka_unit_test(order_of_return),
		cmocka_unit_test(one_is_kept),
		cmocka_unit_test(freed_elsewhere),
		cmocka_unit_test(disabled),
		cmocka_unit_test(rings_that_are_copied),
		cmocka_unit_test(pools_that_are_copied),
		cmocka_unit_test(buffers_are_not_written),
		cmocka_unit_test(bad_headers),
		cmocka_unit_test(no_mbufs),
	};

	return cmocka_run_group_tests_name("vnet_zc", tests, vnet_setup, vnet_teardown);
}
