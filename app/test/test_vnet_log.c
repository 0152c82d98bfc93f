/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log: after every burst the guest's memory is compared with what it was before. Each
 * page that has changed is marked, and few others are.
 */
#include "rig_guest_tcp.h"
#include "rig_guest_zc.h"

#define SIZE 64
#define SLOT 3000
#define ROUNDS 400
/* A log has pages from 0 on. */
#define FIRST_PAGE (GUEST_GPA >> VIRTQ_LOG_PAGE_SHIFT)

struct logged {
	struct port p;
	struct virtq_log *log;
	uint8_t *bits, *before;
	uint64_t bytes;
	uint64_t shift;		/* from the address in a ring to the guest-physical one */
	uint32_t changed, marked;	/* pages, over all bursts */
};

/* Behind an IOMMU: so much further on. */
#define SHIFT 0x40000000ull

static const uint64_t ring_features[] = {
	F_V1 | F_INDIRECT,
	F_V1 | F_INDIRECT | F_MRG,
	F_V1 | F_INDIRECT | F_EVENT_IDX | F_MRG | F_GUEST_CSUM,
	F_INDIRECT,
	F_V1 | F_IN_ORDER | F_MRG,
	F_V1 | F_INDIRECT | F_PACKED,
	F_V1 | F_INDIRECT | F_PACKED | F_MRG | F_GUEST_CSUM,
	F_INDIRECT | F_PACKED,
	F_V1 | F_IN_ORDER | F_PACKED | F_MRG,
};

/* The ring goes over to a log, or leaves it, as it does when SET_FEATURES says so. */
static void
switch_log(struct logged *t, struct virtq_log *log, bool used, uint32_t flags)
{
	struct virtq_ring_config cfg = dev_config(&t->p.d, &t->p.r);
	struct virtq_ring *old = t->p.d.ring;

	cfg.log = log;
	cfg.log_used = used;
	cfg.log_gpa = t->p.r.used_gpa;
	assert_int_equal(virtq_ring_new(&cfg, t->p.g.mem, &t->p.d.ring), 0);
	virtq_ring_free(old);
	t->p.rx = vnet_dev_rx_select(t->p.d.ring, flags, NULL);
	t->p.tx = vnet_dev_tx_select(t->p.d.ring, NULL);
}

/* The same memory at other addresses, which the ring's are translated to, page by page. */
static void
go_behind_iommu(struct logged *t)
{
	struct virtq_ring_config cfg = dev_config(&t->p.d, &t->p.r);
	const struct virtq_mem *near = t->p.g.mem;
	struct virtq_region r[GUEST_MAX_REGIONS];
	struct virtq_mem *mem;

	for (uint32_t i = 0; i < near->nregions; i++) {
		r[i] = near->region[i];
		r[i].gpa += SHIFT;
		r[i].map = NULL;
	}
	assert_int_equal(virtq_mem_new(r, near->nregions, &mem), 0);
	cfg.iotlb = virtq_iotlb_new(mem);
	for (uint64_t at = 0; at < t->p.g.size; at += GUEST_PAGE)
		assert_int_equal(virtq_iotlb_add(cfg.iotlb, GUEST_GPA + at, GUEST_PAGE,
						 GUEST_UVA + GUEST_GPA + at,
						 VIRTQ_IOTLB_READ | VIRTQ_IOTLB_WRITE), 0);
	cfg.missfd = -1;
	cfg.desc_uva = t->p.r.desc_gpa;
	cfg.avail_uva = t->p.r.avail_gpa;
	cfg.used_uva = t->p.r.used_gpa;
	cfg.log = t->log;
	cfg.log_used = true;
	cfg.log_gpa = t->p.r.used_gpa;
	virtq_ring_free(t->p.d.ring);
	assert_int_equal(virtq_ring_new(&cfg, mem, &t->p.d.ring), 0);
	virtq_iotlb_put(cfg.iotlb);
	virtq_mem_put(mem);
	t->shift = SHIFT;
	t->p.rx = vnet_dev_rx_select(t->p.d.ring, 0, NULL);
	t->p.tx = vnet_dev_tx_select(t->p.d.ring, NULL);
}

static void
log_open(struct logged *t)
{
	t->shift = 0;
	t->bytes = virtq_log_bytes(GUEST_GPA + SHIFT + t->p.g.size - 1);
	t->bits = calloc(1, t->bytes);
	t->before = malloc(t->p.g.size);
	t->log = virtq_log_new(NULL, t->bits, t->bytes);
	assert_non_null(t->log);
	t->changed = t->marked = 0;
}

/* A port whose ring is logged from the beginning. */
static void
logged_open(struct logged *t, uint16_t size, uint64_t features, uint32_t bytes, uint32_t regions)
{
	port_open(&t->p, size, features, bytes, regions);
	log_open(t);
	switch_log(t, t->log, true, 0);
}

static void
logged_close(struct logged *t)
{
	assert_false(virtq_log_failed(t->log));
	port_close(&t->p);
	virtq_log_put(t->log);
	free(t->bits);
	free(t->before);
}

static void
remember(struct logged *t)
{
	memcpy(t->before, t->p.g.base, t->p.g.size);
}

static bool
is_marked(const struct logged *t, uint64_t page)
{
	return t->bits[page / 8] & 1u << page % 8;
}

/* Clear the marks of the guest's pages. Then none may be left. */
static void
compare(struct logged *t)
{
	for (uint64_t at = 0; at < t->p.g.size; at += GUEST_PAGE) {
		const bool changed = memcmp(t->before + at, t->p.g.base + at, GUEST_PAGE) != 0;
		const uint64_t page = FIRST_PAGE + (t->shift + at) / GUEST_PAGE;
		const bool marked = is_marked(t, page);

		t->bits[page / 8] &= (uint8_t)~(1u << page % 8);
		assert_true(marked || !changed);
		t->changed += changed;
		t->marked += marked;
	}
	/* Each byte is like the one before it, and the first is 0. */
	assert_int_equal(t->bits[0], 0);
	assert_int_equal(memcmp(t->bits, t->bits + 1, t->bytes - 1), 0);
}

/* Packets to the guest, of any size and shape, into buffers of any. */
static void
send_some(struct logged *t, uint64_t *x)
{
	struct rte_mbuf *pkts[8];
	uint16_t n = 1 + rd_random(x) % 8, sent;

	for (uint16_t i = 0; i < n; i++)
		pkts[i] = mbuf_new(60 + rd_random(x) % (rd_random(x) % 4 == 0 ? 9000 : 1400),
				   rd_random(x), rd_random(x) % SHAPE_MAX);
	for (uint32_t i = rd_random(x) % 16; i > 0; i--)
		port_offer(&t->p, 200 + rd_random(x) % (SLOT - 200),
			   &layouts[t->p.r.features & F_INDIRECT ? rd_random(x) % NLAYOUTS : 0],
			   true);
	remember(t);
	sent = port_tx(&t->p, pkts, n);
	compare(t);
	for (uint16_t i = sent; i < n; i++)
		rte_pktmbuf_free(pkts[i]);
}

/* Take back what was used, whatever is in it. */
static void
reap(struct logged *t)
{
	uint32_t n;

	while ((n = rd_pop(&t->p.r, t->p.done)) > 0)
		for (uint32_t i = 0; i < n; i++)
			t->p.free_buf[t->p.nfree++] = (uint16_t)t->p.done[i].cookie;
}

static void
send_to_the_guest(bool iommu)
{
	for (uint32_t i = 0; i < RTE_DIM(ring_features); i++) {
		for (uint32_t regions = 1; regions <= 5; regions += 4) {
			uint64_t x = 7 * i + regions;
			struct logged t;

			logged_open(&t, SIZE, ring_features[i], SLOT, regions);
			if (iommu)
				go_behind_iommu(&t);
			for (uint32_t k = 0; k < ROUNDS; k++) {
				send_some(&t, &x);
				reap(&t);
			}
			assert_true(t.changed > ROUNDS);
			assert_true(10ull * t.marked <= 11ull * t.changed);
			logged_close(&t);
		}
	}
}

static void
to_the_guest(void **state)
{
	send_to_the_guest(false);
}

static void
to_a_guest_behind_an_iommu(void **state)
{
	send_to_the_guest(true);
}

/* Rings of several pages, round them more than once. */
static void
long_rings(void **state)
{
	static const uint64_t both[] = {F_V1, F_V1 | F_PACKED};
	const uint16_t size = 1024, n = 90;

	for (uint32_t i = 0; i < RTE_DIM(both); i++) {
		struct rte_mbuf *pkts[90];
		struct logged t;

		logged_open(&t, size, both[i], 128, 1);
		for (uint32_t k = 0; k < 3u * size / n; k++) {
			for (uint16_t j = 0; j < n; j++) {
				assert_true(port_offer(&t.p, 128, PLAIN, true));
				pkts[j] = mbuf_new(64, k * n + j, SHAPE_LINEAR);
			}
			remember(&t);
			assert_int_equal(port_tx(&t.p, pkts, n), n);
			compare(&t);
			reap(&t);
		}
		logged_close(&t);
	}
}

/* Segments that find buffers for the first of them only: what was written stays in the guest. */
static void
given_up(void **state)
{
	static const uint64_t both[] = {F_V1 | F_MRG, F_V1 | F_MRG | F_PACKED};

	for (uint32_t i = 0; i < RTE_DIM(both); i++) {
		struct rte_mbuf *m = tcp_packet(4000, TSO, 1000, 1200);
		struct logged t;

		logged_open(&t, SIZE, both[i], 200, 1);
		for (uint32_t k = 0; k < 10; k++)
			port_offer(&t.p, 200, PLAIN, true);
		remember(&t);
		assert_int_equal(port_tx(&t.p, &m, 1), 0);
		compare(&t);
		assert_true(t.changed > 0);
		rte_pktmbuf_free(m);
		logged_close(&t);
	}
}

/* What the guest sends is only read; the ring is written to. */
static void
from_the_guest(void **state)
{
	for (uint32_t i = 0; i < RTE_DIM(ring_features); i++) {
		static uint8_t data[1500];
		uint64_t x = i;
		struct logged t;

		logged_open(&t, SIZE, ring_features[i], SLOT, 3);
		for (uint32_t k = 0; k < ROUNDS; k++) {
			const struct layout *l = &layouts[t.p.r.features & F_INDIRECT ?
							  rd_random(&x) % NLAYOUTS : 0];
			struct rte_mbuf *pkts[8];
			uint16_t n;

			frame_fill(data, sizeof(data), k);
			for (uint32_t j = rd_random(&x) % 8; j > 0; j--)
				port_send(&t.p, NULL, data, 60 + rd_random(&x) % 1400, l);
			remember(&t);
			n = port_rx(&t.p, pkts, 1 + rd_random(&x) % 8);
			compare(&t);
			rte_pktmbuf_free_bulk(pkts, n);
			reap(&t);
		}
		assert_true(t.changed > ROUNDS / 2);
		assert_true(10ull * t.marked <= 11ull * t.changed);
		logged_close(&t);
	}
}

/* Zero-copy: chains return in a later burst, at last with the ring's end. */
static void
zero_copy(void **state)
{
	for (uint32_t i = 0; i < NRINGS; i++) {
		struct rte_mbuf *kept[SIZE];
		uint32_t nkept = 0;
		struct vnet_zc_ring *zc;
		uint64_t x = i;
		struct logged t;

		zc_open(&t.p, SIZE, rings[i], 2048, 0);
		zc = t.p.d.vq->cursor.owner;
		/* A chain waits for those before it, or overtakes them at once. */
		zc->wait = i % 2 ? 0 : rte_get_tsc_hz() * 3600;
		log_open(&t);
		switch_log(&t, t.log, true, VNET_F_ZERO_COPY);
		for (uint32_t k = 0; k < ROUNDS; k++) {
			struct rte_mbuf *m;

			send_frame(&t.p, 60 + rd_random(&x) % 1400, k, PLAIN);
			while (nkept > 0 && (nkept == SIZE || rd_random(&x) % 2))
				rte_pktmbuf_free(kept[--nkept]);
			remember(&t);
			if (port_rx(&t.p, &m, 1) == 1)
				kept[nkept++] = m;
			compare(&t);
			port_reap(&t.p);
		}
		assert_true(nkept > 0);
		remember(&t);
		vnet_zc_end(zc, t.p.d.vq, t.p.d.ring);
		compare(&t);
		port_reap(&t.p);
		assert_true(t.changed > ROUNDS / 4);
		assert_true(10ull * t.marked <= 11ull * t.changed);
		rte_pktmbuf_free_bulk(kept, nkept);
		assert_true(vnet_zc_free(zc));
		logged_close(&t);
	}
}

/* Without the flag of SET_VRING_ADDR only what descriptors say is logged; without a log nothing. */
static void
switched(void **state)
{
	static const uint64_t both[] = {F_V1, F_V1 | F_PACKED};

	for (uint32_t i = 0; i < RTE_DIM(both); i++) {
		struct rte_mbuf *m;
		struct logged t;
		uint64_t used;

		port_open(&t.p, SIZE, both[i], 2 * GUEST_PAGE, 1);
		log_open(&t);
		used = ((t.p.r.packed ? t.p.r.desc_gpa : t.p.r.used_gpa) >> VIRTQ_LOG_PAGE_SHIFT);
		for (uint32_t k = 0; k < 3; k++) {
			const bool on = k < 2, with_used = k == 0;
			uint64_t data;

			switch_log(&t, on ? t.log : NULL, with_used, 0);
			port_offer(&t.p, 1500, PLAIN, true);
			data = t.p.buf[t.p.free_buf[t.p.nfree]].gpa >> VIRTQ_LOG_PAGE_SHIFT;
			memset(t.bits, 0, t.bytes);
			m = mbuf_new(100, k, SHAPE_LINEAR);
			assert_int_equal(port_tx(&t.p, &m, 1), 1);
			assert_int_equal(is_marked(&t, data), on);
			assert_int_equal(is_marked(&t, used), with_used);
			reap(&t);
		}
		logged_close(&t);
	}
}

/* A page beyond the log is not marked, and that is known; nothing beyond its end is touched. */
static void
too_short(void **state)
{
	struct virtq_log *log;
	uint8_t bits[16];

	memset(bits, 0, sizeof(bits));
	log = virtq_log_new(NULL, bits, 8);
	virtq_log_mark(log, 0x3f000, 0x1000);
	assert_int_equal(bits[7], 0x80);
	assert_false(virtq_log_failed(log));
	virtq_log_mark(log, 0x3ffff, 2);
	assert_true(virtq_log_failed(log));
	virtq_log_mark(log, UINT64_MAX - 1, 100);
	virtq_log_mark(log, UINT64_MAX << VIRTQ_LOG_PAGE_SHIFT, UINT64_MAX);
	for (uint32_t i = 0; i < sizeof(bits); i++)
		assert_int_equal(bits[i], i == 7 ? 0x80 : 0);
	virtq_log_put(log);
	assert_false(virtq_log_failed(NULL));
	assert_int_equal(virtq_log_bytes(0x7fff), 1);
	assert_int_equal(virtq_log_bytes(0x8000), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_the_guest),
		cmocka_unit_test(to_a_guest_behind_an_iommu),
		cmocka_unit_test(long_rings),
		cmocka_unit_test(given_up),
		cmocka_unit_test(from_the_guest),
		cmocka_unit_test(zero_copy),
		cmocka_unit_test(switched),
		cmocka_unit_test(too_short),
	};

	return cmocka_run_group_tests_name("vnet_log", tests, vnet_setup, vnet_teardown);
}
