/* SPDX-License-Identifier: BSD-3-Clause */
/* The device's half of both ring layouts against a driver of its own: every rule that good
 * drivers rely on. VIRTIO 1.2, sections 2.7 and 2.8. */
#include "rig_guest_ring.h"

/* Chain number `cookie` in that form, of pieces that tell it from others. */
static bool
offer_chain(struct guest_ring *t, uint32_t pieces, enum rd_form form, bool write, uint64_t cookie)
{
	struct rd_sg sg[RD_TABLE];

	for (uint32_t i = 0; i < pieces; i++)
		sg[i] = guest_ring_piece(t, (uint32_t)cookie + i, 1 + (uint32_t)(cookie + i) % BUF);
	return rd_add(&t->r, sg, pieces, form, write, cookie) >= 0;
}

/* A fetched chain against what offer_chain() put there. */
static void
check_chain(const struct guest_ring *t, const struct virtq_chain *c, uint32_t pieces,
	    uint64_t cookie)
{
	uint32_t total = 0;

	assert_int_equal(c->fault, VIRTQ_FAULT_NONE);
	assert_int_equal(c->nseg, pieces);
	for (uint32_t i = 0; i < pieces; i++) {
		struct rd_sg sg = guest_ring_piece(t, (uint32_t)cookie + i,
						   1 + (uint32_t)(cookie + i) % BUF);
		const uint8_t *addr = i == 0 ? c->addr : t->d.vq->segs[c->seg + i].addr;
		uint32_t len = i == 0 ? c->len : t->d.vq->segs[c->seg + i].len;

		assert_ptr_equal(addr, guest_ptr(&t->g, sg.gpa));
		assert_int_equal(len, sg.len);
		total += len;
	}
	assert_int_equal(c->total, total);
}

static void
nothing_available(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct guest_ring t;

		guest_ring_open(&t, 8, packed ? F_PACKED : 0);
		assert_int_equal(guest_ring_round(&t, 8, false, 0), 0);
		assert_false(virtq_dev_ready(t.d.vq, t.d.ring, 1));
		assert_int_equal(rd_pop(&t.r, t.done), 0);
		assert_int_equal(t.d.vq->calls + t.d.vq->calls_suppressed, 0);
		guest_ring_close(&t);
	}
}

static void
fetch_moves_no_cursor(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		struct guest_ring t;

		guest_ring_open(&t, 8, packed ? F_PACKED : 0);
		for (int i = 0; i < 5; i++)
			guest_ring_offer(&t, false, i);
		assert_int_equal(guest_ring_fetch(&t, c, 3, false), 3);
		assert_int_equal(guest_ring_fetch(&t, c, 8, false), 5);
		assert_int_equal(virtq_dev_get_base(t.d.vq, packed), virtq_fresh_base(packed));
		assert_int_equal(guest_ring_round(&t, 8, false, 0), 5);
		guest_ring_expect_back(&t, 5, 0, 0);
		guest_ring_close(&t);
	}
}

/* Indexes and wrap counters over more than 65536 entries, at every size and burst. */
static void
wrap_around(void **state)
{
	static const uint16_t sizes[] = {1, 2, 3, 5, 256, 1000, 32768};

	for (unsigned int k = 0; k < 2 * 7; k++) {
		uint16_t size = sizes[k / 2], burst = size < 32 ? size : 32;
		bool packed = k % 2;
		uint64_t put = 0, got = 0;
		struct guest_ring t;

		if (!packed && (size & (size - 1)))
			continue;
		guest_ring_open(&t, size, packed ? F_PACKED : 0);
		while (got < 70000) {
			while (t.r.nfree > 0)
				guest_ring_offer(&t, true, put++);
			assert_true(virtq_dev_ready(t.d.vq, t.d.ring, size));
			for (uint32_t left = size; left > 0;) {
				uint16_t n = guest_ring_round(&t, burst, true, 7);

				assert_true(n > 0 && n <= left);
				guest_ring_expect_back(&t, n, got, 7);
				left -= n;
				got += n;
			}
			assert_false(virtq_dev_ready(t.d.vq, t.d.ring, 1));
		}
		guest_ring_close(&t);
	}
}

/* One way of a chain through a small ring. */
struct shape {
	uint32_t pieces;
	enum rd_form form;
};

static const struct shape shapes[] = {
	{1, RD_DIRECT}, {2, RD_DIRECT}, {3, RD_DIRECT}, {4, RD_DIRECT},
	{1, RD_INDIRECT}, {4, RD_INDIRECT}, {3, RD_MIXED},
};

#define NSHAPES ((uint32_t)(sizeof(shapes) / sizeof(shapes[0])))

/* Some laps of one sequence of shapes, in bursts of `burst`. */
static void
run_sequence(struct guest_ring *t, const uint8_t *seq, uint32_t n, uint16_t burst, bool write,
	     uint32_t laps)
{
	uint64_t put = 0, fetched = 0, back = 0, all = (uint64_t)n * laps;

	while (back < all) {
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		uint16_t got;

		while (put < all && offer_chain(t, shapes[seq[put % n]].pieces,
						shapes[seq[put % n]].form, write, put))
			put++;
		rd_publish(&t->r);
		got = guest_ring_fetch(t, c, burst, write);
		assert_int_equal(got, put - fetched < burst ? put - fetched : burst);
		for (uint16_t i = 0; i < got; i++) {
			check_chain(t, &c[i], shapes[seq[(fetched + i) % n]].pieces, fetched + i);
			c[i].written = write ? 5 + i : 0;
		}
		fetched += got;
		virtq_dev_complete(t->d.vq, t->d.ring, c, got, t->r.packed, write, false);
		guest_ring_expect_back(t, got, back, write ? 5 : 0);
		back += got;
	}
	assert_int_equal(rd_pending(&t->r), 0);
	assert_int_equal(t->r.nfree, t->r.size);
}

/* Every sequence of four chains of every shape, from every position of the ring, every burst. */
static void
enumerate(uint16_t size, uint64_t features)
{
	struct guest_ring t;
	uint32_t seqs = NSHAPES * NSHAPES * NSHAPES, starts = size * 2;

	guest_ring_open(&t, size, features | F_INDIRECT);
	for (uint32_t start = 0; start < starts; start++) {
		bool packed = features & F_PACKED;
		uint16_t idx = (uint16_t)(packed ? start % size : 65536 - start);

		rd_start_at(&t.r, idx, start < size);
		for (uint32_t s = 0; s < seqs; s++) {
			uint8_t seq[3] = {(uint8_t)(s % NSHAPES), (uint8_t)(s / NSHAPES % NSHAPES),
					  (uint8_t)(s / NSHAPES / NSHAPES)};
			bool fits = true;

			for (int i = 0; i < 3; i++)
				fits &= shapes[seq[i]].pieces <= size;
			for (uint16_t burst = 1; fits && burst <= 4; burst++) {
				rd_start_at(&t.r, idx, start < size);
				assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring,
								    rd_base(&t.r)), 0);
				run_sequence(&t, seq, 3, burst, s % 2, 2);
			}
		}
	}
	guest_ring_close(&t);
}

static void
all_chains_split_4(void **state)
{
	enumerate(4, 0);
}

static void
all_chains_packed_4(void **state)
{
	enumerate(4, F_PACKED);
}

static void
all_chains_packed_3(void **state)
{
	enumerate(3, F_PACKED);
}

static void
all_chains_split_2(void **state)
{
	enumerate(2, 0);
}

/* Pieces of no length are skipped; one that is nothing else is a chain all the same. */
static void
zero_length(void **state)
{
	for (int k = 0; k < 4; k++) {
		bool packed = k & 1;
		enum rd_form form = k & 2 ? RD_INDIRECT : RD_DIRECT;
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		struct rd_sg sg[4];
		struct guest_ring t;

		guest_ring_open(&t, 8, F_INDIRECT | (packed ? F_PACKED : 0));
		for (int i = 0; i < 4; i++)
			sg[i] = guest_ring_piece(&t, i, i % 2 ? 10 : 0);
		sg[0].gpa = 0; /* and nothing is mapped there */
		assert_true(rd_add(&t.r, sg, 4, form, false, 0) >= 0);
		assert_true(rd_add(&t.r, sg, 1, form, false, 1) >= 0);
		rd_publish(&t.r);
		assert_int_equal(guest_ring_fetch(&t, c, 8, false), 2);
		assert_int_equal(c[0].fault, VIRTQ_FAULT_NONE);
		assert_int_equal(c[0].nseg, 2);
		assert_int_equal(c[0].total, 20);
		assert_ptr_equal(c[0].addr, guest_ptr(&t.g, sg[1].gpa));
		assert_ptr_equal(t.d.vq->segs[c[0].seg + 1].addr, guest_ptr(&t.g, sg[3].gpa));
		assert_int_equal(c[1].fault, VIRTQ_FAULT_NONE);
		assert_int_equal(c[1].nseg, 0);
		assert_int_equal(c[1].total, 0);
		assert_int_equal(guest_ring_round(&t, 8, false, 0), 2);
		guest_ring_expect_back(&t, 2, 0, 0);
		guest_ring_close(&t);
	}
}

/* Buffers and tables that lie across the border of two regions, which lie apart here. */
static void
across_regions(void **state)
{
	for (int k = 0; k < 4; k++) {
		bool packed = k & 1, odd = k & 2;
		uint64_t border, region = 16384;
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		struct rd_sg sg[4];
		struct guest_ring t;

		guest_new(&t.g, region, 4);
		rd_init(&t.r, &t.g, 8, F_INDIRECT | (packed ? F_PACKED : 0));
		dev_start(&t.d, &t.r);
		t.done = calloc(8, sizeof(*t.done));
		border = GUEST_GPA + 2 * region;
		for (int i = 0; i < 4; i++)
			sg[i] = (struct rd_sg){border - 3, 10};
		/* The table of the next chain: its second entry is cut in two when odd. */
		t.r.table_gpa = border - (odd ? 24 : 32) -
				(uint64_t)t.r.free_id[t.r.nids - 1] * RD_TABLE * 16;
		assert_true(rd_add(&t.r, sg, 4, RD_INDIRECT, true, 0) >= 0);
		/* That table's entries and the buffer share the border; so the buffer moves on. */
		sg[0] = (struct rd_sg){GUEST_GPA + 3 * region - 1, 2};
		assert_true(rd_add(&t.r, sg, 1, RD_DIRECT, true, 1) >= 0);
		rd_publish(&t.r);
		assert_int_equal(guest_ring_fetch(&t, c, 8, true), 2);
		assert_int_equal(c[0].fault, VIRTQ_FAULT_NONE);
		assert_int_equal(c[0].nseg, 8);
		assert_int_equal(c[0].total, 40);
		for (int i = 0; i < 8; i++) {
			const struct virtq_seg *s = &t.d.vq->segs[c[0].seg + i];

			assert_int_equal(s->len, i % 2 ? 7 : 3);
		}
		assert_int_equal(c[1].nseg, 2);
		assert_int_equal(c[1].total, 2);
		*c[1].addr = 0x11;
		*t.d.vq->segs[c[1].seg + 1].addr = 0x22;
		assert_memory_equal(guest_ptr(&t.g, sg[0].gpa), "\x11\x22", 2);
		assert_int_equal(guest_ring_round(&t, 8, true, 7), 2);
		guest_ring_expect_back(&t, 2, 0, 7);
		guest_ring_close(&t);
	}
}

/* The last byte of the address space and the first one are no neighbours. */
static void
around_the_world(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		static uint8_t low[4096], high[4096];
		struct virtq_region first = {0, sizeof(low), 0, low, NULL};
		struct virtq_region last = {-4096ul, sizeof(high), -4096ul, high, NULL};
		struct rd_sg sg[2] = {{-64ul, 128}, {-64ul, 64}};
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		struct virtq_mem *one, *all;
		struct virtq_ring_config cfg;
		struct guest_ring t;

		guest_ring_open(&t, 8, packed ? F_PACKED : 0);
		virtq_ring_free(t.d.ring);
		assert_int_equal(virtq_mem_add(t.g.mem, &first, &one), 0);
		assert_int_equal(virtq_mem_add(one, &last, &all), 0);
		virtq_mem_put(one);
		cfg = dev_config(&t.d, &t.r);
		assert_int_equal(virtq_ring_new(&cfg, all, &t.d.ring), 0);
		virtq_mem_put(all);
		assert_true(rd_add(&t.r, sg, 1, RD_DIRECT, false, 0) >= 0);
		assert_true(rd_add(&t.r, sg + 1, 1, RD_DIRECT, false, 1) >= 0);
		rd_publish(&t.r);
		assert_int_equal(guest_ring_fetch(&t, c, 8, false), 2);
		assert_int_equal(c[0].fault, VIRTQ_FAULT_UNMAPPED);
		assert_int_equal(c[0].nseg, 0);
		/* Right up to the end is still inside. */
		assert_int_equal(guest_ring_round(&t, 8, false, 0), 2);
		guest_ring_expect_back(&t, 2, 0, 0);
		guest_ring_close(&t);
	}
}

/* A round whose segments do not fit the scratch ends early, and goes on with the next. */
static void
scratch_is_bounded(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint64_t got = 0;
		struct guest_ring t;

		guest_ring_open(&t, 1024, F_INDIRECT | (packed ? F_PACKED : 0));
		for (uint32_t i = 0; i < 100; i++)
			assert_true(offer_chain(&t, RD_TABLE, RD_INDIRECT, true, i));
		rd_publish(&t.r);
		while (got < 100) {
			struct virtq_chain c[VIRTQ_FETCH_MAX];
			uint16_t n = guest_ring_fetch(&t, c, 31, true);

			assert_true(n > 0);
			for (uint16_t i = 0; i < n; i++)
				check_chain(&t, &c[i], RD_TABLE, got + i);
			/* Without direct descriptors 32 chains of 32 segments fit exactly. */
			assert_int_equal(guest_ring_round(&t, 31, true, 7), n);
			guest_ring_expect_back(&t, n, got, 7);
			got += n;
		}
		guest_ring_close(&t);
	}
}

/* Nor does it take for ever to walk a chain of descriptors that have no length. */
static void
walk_is_bounded(void **state)
{
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	const uint16_t pieces = VIRTQ_MAX_SEGS + 1;
	struct guest_ring t;

	guest_ring_open(&t, 2048, F_INDIRECT);
	for (uint16_t i = 0; i < pieces; i++)
		t.r.desc[i] = (struct vring_desc){0, 0, VRING_DESC_F_NEXT, (uint16_t)(i + 1)};
	t.r.desc[pieces] = (struct vring_desc){0, 0, VRING_DESC_F_NEXT, 0}; /* never come to */
	t.r.desc[2000] = (struct vring_desc){t.r.desc_gpa, 1600 * 16, VRING_DESC_F_INDIRECT, 0};
	t.r.avail->ring[0] = 0;
	t.r.avail->ring[1] = 2000;
	virtq_store16_release(&t.r.avail->idx, 2);
	assert_int_equal(guest_ring_fetch(&t, c, 8, false), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(c[i].fault, VIRTQ_FAULT_TOO_LONG);
		assert_int_equal(c[i].nseg, 0);
	}
	guest_ring_close(&t);
}

/* With IN_ORDER one used entry names the last chain of a burst; the driver skips all. */
static void
in_order_batches(uint16_t size, bool packed)
{
	struct guest_ring t;
	uint64_t put = 0, back = 0;

	guest_ring_open(&t, size, (packed ? F_PACKED : 0) | F_IN_ORDER | F_INDIRECT);
	for (uint32_t round = 0; round < 500; round++) {
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		uint16_t n;
		uint32_t k;

		while (offer_chain(&t, 1 + put % 3, put % 4 ? RD_DIRECT : RD_INDIRECT, false, put))
			put++;
		rd_publish(&t.r);
		n = guest_ring_fetch(&t, c, 1 + round % 5, false);
		assert_true(n > 0);
		virtq_dev_complete(t.d.vq, t.d.ring, c, n, packed, false, true);
		k = rd_pop(&t.r, t.done);
		assert_int_equal(k, n);
		for (uint32_t i = 0; i < k; i++)
			assert_int_equal(t.done[i].cookie, back + i);
		back += k;
		assert_int_equal(rd_pop(&t.r, t.done), 0);
	}
	assert_int_equal(put - back, rd_pending(&t.r));
	guest_ring_close(&t);
}

static void
in_order_batch(void **state)
{
	in_order_batches(7, true);
	in_order_batches(8, false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_available),
		cmocka_unit_test(fetch_moves_no_cursor),
		cmocka_unit_test(wrap_around),
		cmocka_unit_test(all_chains_split_2),
		cmocka_unit_test(all_chains_split_4),
		cmocka_unit_test(all_chains_packed_3),
		cmocka_unit_test(all_chains_packed_4),
		cmocka_unit_test(zero_length),
		cmocka_unit_test(across_regions),
		cmocka_unit_test(around_the_world),
		cmocka_unit_test(scratch_is_bounded),
		cmocka_unit_test(walk_is_bounded),
		cmocka_unit_test(in_order_batch),
	};

	return cmocka_run_group_tests_name("virtq_ring", tests, NULL, NULL);
}
