/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets that are attached to guest memory: rings and memory go away under them, guests are
 * hostile.
 */
#include "rig_guest_zc.h"

/* The ring ends with packets out: the guest has all back, the packets stay readable. */
static void
ring_ends(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct vnet_zc_ring *zc;
		struct rte_mbuf *m[8];
		struct virtq_mem *mem;
		struct port p;

		zc_open(&p, 64, rings[i], 2048, 0);
		zc = p.d.vq->cursor.owner;
		mem = p.g.mem;
		for (uint32_t k = 0; k < 8; k++)
			send_frame(&p, 600, k, PLAIN);
		assert_int_equal(port_rx(&p, m, 8), 8);
		assert_int_equal(vnet_zc_attached(zc), 8);
		rte_pktmbuf_free(m[3]);
		fd_count(p.d.callfd);
		vnet_zc_end(zc, p.d.vq, p.d.ring);
		assert_int_equal(fd_count(p.d.callfd), 1);
		assert_int_equal(port_reap(&p), 8);
		assert_int_equal(rd_pending(&p.r), 0);
		if (p.r.packed)
			assert_int_equal(p.d.vq->cursor.used_idx, p.d.vq->cursor.avail_idx);
		else
			assert_int_equal(virtq_dev_get_base(p.d.vq, false),
					 p.d.vq->cursor.used_idx);
		/* The run goes, and with it the session's hold on the memory. */
		assert_int_equal(mem->refs, 3);
		virtq_ring_free(p.d.ring);
		p.d.ring = NULL;
		assert_int_equal(mem->refs, 2);
		for (uint32_t k = 0; k < 8; k++) {
			assert_false(vnet_zc_free(zc));
			if (k == 3)
				continue;
			expect_packet(&p, m[k], 600, k, true);
			rte_pktmbuf_free(m[k]);
		}
		assert_true(vnet_zc_free(zc));
		assert_int_equal(mem->refs, 1);
		port_close(&p);
	}
}

/* Snapshots of the same memory, as they come when regions elsewhere come and go. */
static struct virtq_mem *
other_mem(const struct virtq_mem *mem)
{
	struct virtq_mem *other;

	assert_int_equal(virtq_mem_new(mem->region, mem->nregions, &other), 0);
	return other;
}

static void
move_run(struct port *p, struct virtq_mem *mem)
{
	struct virtq_ring_config cfg = dev_config(&p->d, &p->r);

	virtq_ring_free(p->d.ring);
	assert_int_equal(virtq_ring_new(&cfg, mem, &p->d.ring), 0);
}

static void
move_to(struct port *p, struct virtq_mem *mem)
{
	struct vnet_zc_ring *zc = p->d.vq->cursor.owner;

	vnet_zc_remap(zc);
	move_run(p, mem);
	vnet_zc_remapped(zc, mem);
}

/* Memory goes under packets that are out: it is kept for them, and no longer. */
static void
memory_moves(void **state)
{
	struct virtq_mem *a, *b;
	struct vnet_zc_ring *zc;
	struct rte_mbuf *m[3];
	struct port p;

	zc_open(&p, 64, rings[0], 2048, 0);
	zc = p.d.vq->cursor.owner;
	a = other_mem(p.g.mem);
	b = other_mem(p.g.mem);
	move_to(&p, a);
	assert_int_equal(a->refs, 3); /* here, run, zero-copy buffers */
	assert_int_equal(p.g.mem->refs, 1);
	send_frame(&p, 600, 0, PLAIN);
	assert_int_equal(port_rx(&p, &m[0], 1), 1);
	move_to(&p, b);
	assert_int_equal(a->refs, 2);
	send_frame(&p, 600, 1, PLAIN);
	assert_int_equal(port_rx(&p, &m[1], 1), 1);
	expect_packet(&p, m[0], 600, 0, true);
	/* The newer one comes back first, and its memory stays. */
	rte_pktmbuf_free(m[1]);
	poll_late(&p);
	vnet_zc_put_mems(zc);
	assert_int_equal(a->refs, 2);
	assert_int_equal(b->refs, 3);
	rte_pktmbuf_free(m[0]);
	poll_nothing(&p);
	vnet_zc_put_mems(zc);
	assert_int_equal(a->refs, 1);
	assert_int_equal(b->refs, 3);
	/* Nothing is attached of b when it goes. */
	move_to(&p, a);
	vnet_zc_put_mems(zc);
	assert_int_equal(b->refs, 1);
	zc_close(&p);
	assert_int_equal(a->refs, 1);
	virtq_mem_put(a);
	virtq_mem_put(b);
}

/* A front-end that changes its memory without end, and an application that keeps packets. */
static void
memory_moves_often(void **state)
{
	struct rte_mbuf *kept[200];
	struct virtq_mem *mem[200];
	uint32_t n = 0, attached = 0, held = 0;
	struct vnet_zc_ring *zc;
	struct port p;

	zc_open(&p, 1024, rings[0], 2048, 0);
	zc = p.d.vq->cursor.owner;
	for (uint32_t k = 0; k < 200; k++) {
		mem[k] = other_mem(p.g.mem);
		move_to(&p, mem[k]);
		send_frame(&p, 600, k, PLAIN);
		assert_int_equal(port_rx(&p, &kept[n], 1), 1);
		attached += is_attached(&p, kept[n++]);
	}
	for (uint32_t k = 0; k < 200; k++)
		held += mem[k]->refs > 1;
	assert_true(attached >= VNET_ZC_MEMS && attached <= VNET_ZC_MEMS + 2);
	assert_true(held <= VNET_ZC_MEMS + 3);
	for (uint32_t k = 0; k < n; k++)
		expect_packet(&p, kept[k], 600, k, is_attached(&p, kept[k]));
	rte_pktmbuf_free_bulk(kept, n);
	poll_nothing(&p);
	vnet_zc_put_mems(zc);
	send_frame(&p, 600, 1, PLAIN);
	assert_int_equal(port_rx(&p, kept, 1), 1);
	assert_true(is_attached(&p, kept[0]));
	rte_pktmbuf_free(kept[0]);
	zc_close(&p);
	for (uint32_t k = 0; k < 200; k++) {
		assert_int_equal(mem[k]->refs, 1);
		virtq_mem_put(mem[k]);
	}
}

/* A queue that nobody polls: the control thread sees it, and gives back what was freed. */
static void
neglected(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct vnet_zc_ring *zc;
		struct rte_mbuf *m[2];
		struct port p;

		zc_open(&p, 64, rings[i], 2048, 0);
		zc = p.d.vq->cursor.owner;
		assert_false(vnet_zc_unpolled(zc)); /* nothing is out */
		send_frame(&p, 600, 0, PLAIN);
		send_frame(&p, 600, 1, PLAIN);
		assert_int_equal(port_rx(&p, m, 2), 2);
		assert_false(vnet_zc_unpolled(zc));
		assert_true(vnet_zc_unpolled(zc));
		rte_pktmbuf_free(m[1]);
		fd_count(p.d.callfd);
		vnet_zc_reclaim(zc, p.d.vq, p.d.ring);
		assert_int_equal(port_reap(&p), 1);
		assert_int_equal(fd_count(p.d.callfd), 1);
		rte_pktmbuf_free(m[0]);
		vnet_zc_reclaim(zc, p.d.vq, p.d.ring);
		assert_int_equal(port_reap(&p), 1);
		assert_false(vnet_zc_unpolled(zc));
		zc_close(&p);
	}
}

/* The driver asks for a call when the chain `ahead` of what has come back does. */
static void
ask_ahead(struct port *p, uint16_t ahead)
{
	const uint16_t slot = p->d.vq->cursor.used_idx + ahead;
	bool wrap = p->d.vq->cursor.used_wrap;

	if (!p->r.packed) {
		__atomic_store_n(&p->r.avail->ring[p->r.size], slot, __ATOMIC_RELEASE);
		return;
	}
	if (slot >= p->r.size)
		wrap = !wrap;
	*p->r.driver_event = (struct vring_packed_desc_event){
		slot % p->r.size | wrap << VRING_PACKED_EVENT_F_WRAP_CTR,
		VRING_PACKED_EVENT_FLAG_DESC};
}

/* Packets are kept, and the driver rests until more of their chains have come back. */
static void
driver_rests(void **state)
{
	static const uint64_t layout_bits[] = {0, F_PACKED};

	for (uint32_t i = 0; i < RTE_DIM(layout_bits); i++) {
		struct rte_mbuf *m[32];
		struct port p;

		zc_open(&p, 64, F_V1 | F_INDIRECT | F_EVENT_IDX | layout_bits[i], 2048, 0);
		for (uint32_t round = 0; round < 5; round++) {
			for (uint32_t k = 0; k < 32; k++)
				send_frame(&p, 600, k, PLAIN);
			assert_int_equal(port_rx(&p, m, 32), 32);
			ask_ahead(&p, 24);
			rte_pktmbuf_free_bulk(m, 12);
			poll_late(&p);
			fd_count(p.d.callfd); /* the first is sent in any case */
			assert_int_equal(port_reap(&p), 12);
			/* That is all for now: once is enough. */
			poll_late(&p);
			fd_count(p.d.callfd);
			poll_late(&p);
			assert_int_equal(fd_count(p.d.callfd), 0);
			/* More comes back, but not what it asked for. */
			rte_pktmbuf_free_bulk(m + 12, 4);
			poll_late(&p);
			poll_late(&p);
			poll_late(&p);
			assert_int_equal(fd_count(p.d.callfd), 1);
			/* It does not ask for any. */
			ask_ahead(&p, p.r.size - 1);
			rte_pktmbuf_free_bulk(m + 16, 4);
			poll_late(&p);
			poll_late(&p);
			assert_int_equal(fd_count(p.d.callfd), 0);
			/* There is more to take: it does not rest. */
			ask_ahead(&p, 8);
			send_frame(&p, 600, 0, PLAIN);
			assert_false(vnet_zc_overtake(p.d.vq->cursor.owner, p.d.vq, p.d.ring));
			assert_int_equal(fd_count(p.d.callfd), 0);
			rte_pktmbuf_free_bulk(m + 20, 12);
			assert_int_equal(port_rx(&p, m, 1), 1);
			rte_pktmbuf_free(m[0]);
			poll_nothing(&p);
			port_reap(&p);
		}
		zc_close(&p);
	}
}

/* Where the device looks next there stands something else, of a shape that may be valid. */
static void
scribble(struct port *p, uint64_t *x)
{
	static const uint16_t shapes[] = {0, 0, 0, VRING_DESC_F_NEXT, VRING_DESC_F_INDIRECT, 7};
	const uint16_t wrap = p->d.vq->cursor.avail_wrap ? 1u << 7 : 1u << 15;

	for (uint32_t k = 0; k < 8; k++) {
		uint64_t gpa = GUEST_GPA + rd_random(x) % p->g.size;
		uint32_t len = rd_random(x) % 16 == 0 ? rd_random(x) : rd_random(x) % 3000;
		uint16_t shape = shapes[rd_random(x) % 6], at = rd_random(x) % 64;

		if (p->r.packed) {
			at = (p->d.vq->cursor.avail_idx + k) % 64;
			p->r.pdesc[at] = (struct vring_packed_desc){gpa, len, at, wrap | shape};
			continue;
		}
		p->r.desc[at] = (struct vring_desc){gpa, len, shape, rd_random(x) % 64};
		p->r.avail->ring[(p->d.vq->cursor.avail_idx + k) % 64] = rd_random(x) % 64;
	}
	if (!p->r.packed)
		p->r.avail->idx = p->d.vq->cursor.avail_idx + rd_random(x) % 9;
}

/* The ring ends and starts again, as it does when the peer has broken it. */
static void
start_over(struct port *p, struct rte_mbuf **kept, uint32_t n)
{
	struct vnet_zc_ring *zc = p->d.vq->cursor.owner;

	vnet_zc_end(zc, p->d.vq, p->d.ring);
	for (uint32_t k = 0; k < n; k++) {
		rte_pktmbuf_free(kept[k]);
		kept[k] = NULL;
	}
	assert_true(vnet_zc_free(zc));
	assert_int_equal(virtq_dev_set_base(p->d.vq, p->d.ring, virtq_fresh_base(p->r.packed)), 0);
	assert_int_equal(vnet_zc_new(p->d.ring, &zc), 0);
	p->d.vq->cursor.owner = zc;
}

/* Whatever stands in the ring: packets are within the guest's memory, and all are accounted for. */
static void
hostile_rings(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *kept[64] = {0};
		uint64_t x = i, attached = 0, got = 0, breaks = 0;
		struct port p;

		zc_open(&p, 64, rings[i], 2048, VNET_F_SCATTER);
		for (uint32_t k = 0; k < 20000; k++) {
			struct rte_mbuf *pkts[8];
			uint16_t n;

			scribble(&p, &x);
			n = port_rx(&p, pkts, 8);
			for (uint16_t m = 0; m < n; m++) {
				uint32_t at = rd_random(&x) % 64;

				assert_true(mbuf_bytes(pkts[m]) != NULL);
				attached += is_attached(&p, pkts[m]);
				rte_pktmbuf_free(kept[at]);
				kept[at] = pkts[m];
			}
			got += n;
			if (p.d.vq->cursor.broken == VIRTQ_OK)
				continue;
			breaks++;
			start_over(&p, kept, 64);
		}
		start_over(&p, kept, 64);
		assert_true(attached > 1000 && got > attached && breaks > 10);
		assert_int_equal(p.rxq.stats.packets, got);
		assert_int_equal(p.rxq.stats.zero_copy, attached);
		zc_close(&p);
	}
}

/* The front-end cuts its file short: whoever reads a packet reads zeroes and lives. */
static void
memory_cut_short(void **state)
{
	struct virtq_region region;
	struct vnet_zc_ring *zc;
	struct virtq_mem *mem;
	struct rte_mbuf *m;
	struct port p;
	uint8_t *host;
	int fd;

	port_open(&p, 64, rings[0], 2048, 1);
	fd = memfd_create("cut", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)p.g.size), 0);
	region = p.g.mem->region[0];
	assert_int_equal(virtq_mem_map_new(NULL, fd, 0, region.size, &region.map, &host), 0);
	/* The ring and its buffers as the driver made them, in a file that can be cut. */
	send_frame(&p, 600, 1, PLAIN);
	memcpy(host, p.g.base, region.size);
	region.host = host;
	assert_int_equal(virtq_mem_new(&region, 1, &mem), 0);
	move_run(&p, mem);
	assert_int_equal(vnet_rxq_zero_copy(&p.rxq, MIN), 0);
	assert_int_equal(vnet_zc_new(p.d.ring, &zc), 0);
	p.d.vq->cursor.owner = zc;
	p.rx = vnet_dev_rx_select(p.d.ring, VNET_F_ZERO_COPY, NULL);
	assert_int_equal(port_rx(&p, &m, 1), 1);
	assert_true(RTE_MBUF_HAS_EXTBUF(m));
	expect_bytes(rte_pktmbuf_mtod(m, uint8_t *), m->pkt_len, 600, 1);
	assert_int_equal(ftruncate(fd, 0), 0);
	for (uint32_t k = 0; k < m->pkt_len; k++)
		assert_int_equal(rte_pktmbuf_mtod(m, volatile uint8_t *)[k], 0);
	assert_true(virtq_mem_poisoned(mem));
	rte_pktmbuf_free(m);
	vnet_zc_end(zc, p.d.vq, p.d.ring);
	assert_true(vnet_zc_free(zc));
	virtq_mem_put(mem);
	close(fd);
	port_close(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_ends),
		cmocka_unit_test(memory_moves),
		cmocka_unit_test(memory_moves_often),
		cmocka_unit_test(neglected),
		cmocka_unit_test(driver_rests),
		cmocka_unit_test(hostile_rings),
		cmocka_unit_test(memory_cut_short),
	};

	return cmocka_run_group_tests_name("vnet_lend_end", tests, vnet_setup, vnet_teardown);
}
