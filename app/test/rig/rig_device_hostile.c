/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig_device_hostile.h"

void
expect_broken(struct link *l, enum virtq_error e)
{
	struct vnet_stats *s = l->receive ? &l->rxq.stats : &l->txq.stats;
	struct rte_mbuf *pkts[4];

	assert_int_equal(l->drv->cursor.broken, e);
	assert_int_equal(s->error[e], 1);
	assert_int_equal(link_errors(s), 1);
	if (l->receive) {
		assert_int_equal(link_rx(l, pkts, 4), 0);
	} else {
		pkts[0] = mbuf_new(100, 0, SHAPE_LINEAR);
		assert_int_equal(link_tx(l, pkts, 1), 0);
		rte_pktmbuf_free(pkts[0]);
		assert_int_equal(link_clean(l), 0);
	}
	assert_int_equal(link_errors(s), 1);
}

void
scribble_word(struct link *l, uint64_t at, uint64_t v)
{
	uint64_t *word = (uint64_t *)(void *)l->base + at % (l->ring_bytes / 8);

	__atomic_store_n(word, v, __ATOMIC_RELAXED);
}

void
scribble_used(struct link *l, uint32_t slot, uint16_t id, uint32_t len, bool used)
{
	const struct virtq_ring *ring = l->ring;
	uint64_t meta = len | (uint64_t)id << 32 | (used ? 0x8080ull << 48 : 0);
	uint32_t *elem;

	if (ring->packed) {
		__atomic_store_n((uint64_t *)(void *)&ring->pdesc[slot % ring->size].len, meta,
				 __ATOMIC_RELEASE);
		return;
	}
	/* 4 bytes off: as two */
	elem = (void *)&ring->used->ring[slot % ring->size];
	__atomic_store_n(elem, id, __ATOMIC_RELAXED);
	__atomic_store_n(elem + 1, len, __ATOMIC_RELAXED);
}

void
scribble(struct link *l, uint64_t *x)
{
	uint16_t id;
	uint32_t len;
	uint64_t v;

	switch (rd_random(x) % 8) {
	case 0:
		v = (uint64_t)rd_random(x) << 40 ^ (uint64_t)rd_random(x) << 20 ^ rd_random(x);
		scribble_word(l, rd_random(x), v);
		break;
	case 1: /* an index that goes on */
		if (!l->ring->packed)
			__atomic_add_fetch(&l->ring->used->idx, rd_random(x) % 4,
					   __ATOMIC_RELEASE);
		break;
	default:
		id = (uint16_t)(rd_random(x) % l->ring->size);
		len = rd_random(x) % 3000;
		scribble_used(l, rd_random(x), id, len, l->ring->packed && rd_random(x) % 2);
	}
}

void
restart(struct link *l, uint16_t size, uint64_t features)
{
	link_stop(l);
	link_start(l, size, features);
	if (l->receive)
		vnet_drv_rx_fill(&l->rxq, l->drv, l->ring);
}

void
burst(struct link *l, uint64_t *x)
{
	struct rte_mbuf *pkts[64];
	uint16_t n = 1 + rd_random(x) % 64, done;

	if (l->receive) {
		n = link_rx(l, pkts, n);
		for (uint16_t i = 0; i < n; i++) {
			/* What is delivered can be read. */
			assert_true(pkts[i]->pkt_len <= 70000);
			mbuf_bytes(pkts[i]);
		}
		rte_pktmbuf_free_bulk(pkts, n);
		return;
	}
	for (uint16_t i = 0; i < n; i++)
		pkts[i] = mbuf_new(20 + rd_random(x) % 200, i, rd_random(x) % SHAPE_MAX);
	done = link_tx(l, pkts, n);
	rte_pktmbuf_free_bulk(pkts + done, n - done);
	if (rd_random(x) % 4 == 0)
		link_clean(l);
}

void
scribbled(uint64_t features, bool receive, uint16_t size)
{
	uint64_t x = features + receive + size, breaks = 0;
	struct vnet_stats *s;
	struct link l;

	link_open(&l, size, features, receive, small_pool);
	s = receive ? &l.rxq.stats : &l.txq.stats;
	restart(&l, size, features);
	for (uint32_t i = rd_rounds(1500); i > 0; i--) {
		for (uint32_t k = rd_random(&x) % 8; k > 0; k--)
			scribble(&l, &x);
		burst(&l, &x);
		assert_int_equal(l.drv->cursor.broken != 0, link_errors(s) > breaks);
		if (l.drv->cursor.broken || i % 64 == 0) {
			breaks = link_errors(s);
			restart(&l, size, features);
			expect_pool_whole(large_pool, LARGE_MBUFS);
		}
	}
	assert_true(breaks > 0);
	link_close(&l);
}

void *
mutate(void *arg)
{
	struct mutator *m = arg;
	struct link own = *m->l;
	uint64_t x = 77;

	own.ring = &m->ring;
	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED))
		scribble(&own, &x);
	return NULL;
}

void
mutated(uint64_t features, bool receive)
{
	uint64_t x = features + receive;
	struct mutator m = {.stop = false};
	pthread_t thread;
	struct link l;

	link_open(&l, 64, features, receive, small_pool);
	m.l = &l;
	m.ring = *l.ring;
	assert_int_equal(pthread_create(&thread, NULL, mutate, &m), 0);
	for (int i = 0; i < 300; i++) {
		burst(&l, &x);
		if (l.drv->cursor.broken || i % 32 == 0)
			restart(&l, 64, features);
	}
	__atomic_store_n(&m.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	link_close(&l);
}
