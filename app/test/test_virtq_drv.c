/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's half of both ring layouts: against a device of its own, and against virtq_dev.h.
 * VIRTIO 1.2, sections 2.7 and 2.8.
 */
#include "rig_device_drv.h"
#include "virtq_dev.h"

/* A fetched chain is the one that drv_ring_add() offered under that cookie. */
static void
check_chain(const struct rdev_chain *c, uint64_t cookie, uint16_t n, bool write)
{
	assert_int_equal(c->n, n);
	assert_int_equal(c->write, write);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(c->sg[i].addr, drv_ring_piece(cookie, i).iova);
		assert_int_equal(c->sg[i].len, drv_ring_piece(cookie, i).len);
	}
}

static void
parts_are_apart(void **state)
{
	static const uint32_t sizes[] = {1, 2, 3, 256, 32768};

	for (unsigned int k = 0; k < 10; k++) {
		uint64_t n = sizes[k / 2];
		bool packed = k % 2;
		struct virtq_drv_layout l;

		virtq_drv_layout(n, packed, &l);
		assert_true(l.avail >= 16 * n);
		assert_true(l.used >= l.avail + (packed ? 4 : 6 + 2 * n));
		assert_true(l.indirect >= l.used + (packed ? 4 : 6 + 8 * n));
		assert_true(l.header >= l.indirect + n * VIRTQ_DRV_MAX_DESC * 16);
		assert_true(l.bytes >= l.header + n * VIRTQ_DRV_HEADER);
		assert_int_equal(l.bytes % 4096, 0);
		assert_int_equal(l.avail % 64 + l.used % 64 + l.indirect % 64 + l.header % 64, 0);
	}
}

static void
sizes_that_cannot_be(void **state)
{
	static const struct {
		uint32_t size;
		uint64_t features;
	} bad[] = {{0, 0}, {0, F_PACKED}, {3, 0}, {32769, 0}, {32769, F_PACKED}, {65536, 0}};
	struct virtq_drv *drv = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*drv));
	void *mem = aligned_alloc(4096, 4 << 20);

	for (unsigned int i = 0; i < 6; i++) {
		struct virtq_ring_config cfg = {.size = bad[i].size, .features = bad[i].features};
		struct virtq_ring *ring;

		assert_int_equal(virtq_drv_init(drv, mem, 0, &cfg, &ring), -EINVAL);
	}
	free(mem);
	free(drv);
}

/* Allocations that succeed from now on; -1: all do. */
static int callocs_left = -1;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	if (callocs_left == 0)
		return NULL;
	if (callocs_left > 0)
		callocs_left--;
	return __real_calloc(n, size);
}

/* Whoever looks at the run afterwards finds none to free. */
static void
out_of_memory(void **state)
{
	const struct virtq_ring_config cfg = {.size = 16, .features = F_V1, .callfd = -1,
					     .errfd = -1, .wakefd = -1};
	struct virtq_drv *drv = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*drv));
	void *mem = aligned_alloc(4096, 1 << 20);
	struct virtq_ring *ring;
	int failed, ret;

	memset(drv, 0, sizeof(*drv));
	for (failed = 0;; failed++) {
		ring = NULL;
		callocs_left = failed;
		ret = virtq_drv_init(drv, mem, 0, &cfg, &ring);
		callocs_left = -1;
		if (ret == 0)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_null(ring);
		assert_null(drv->state);
		assert_null(drv->cookie);
	}
	assert_true(failed >= 2);
	virtq_drv_fini(drv);
	virtq_ring_free(ring);
	free(mem);
	free(drv);
}

/* Whatever memory held before: a fresh ring has nothing available and nothing used. */
static void
fresh_ring_is_empty(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct rdev_chain c;
		struct drv_ring t;
		uint32_t len;

		drv_ring_open(&t, 8, packed ? F_PACKED : 0);
		assert_int_equal(t.drv->num_free, 8);
		assert_false(rdev_fetch(&t.dev, &c));
		assert_int_equal(drv_ring_take(&t, &len), 0);
		assert_null(virtq_drv_detach(t.drv, t.size));
		/* The driver polls. */
		if (packed)
			assert_int_equal(t.ring->driver_event->flags, 1);
		else
			assert_int_equal(t.ring->avail->flags, 1);
		drv_ring_close(&t);
	}
}

static void
nothing_before_publish(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct rdev_chain c;
		struct drv_ring t;

		drv_ring_open(&t, 8, packed ? F_PACKED : 0);
		/* Over the ring's end, three laps. */
		for (int lap = 0; lap < 8; lap++) {
			uint64_t first = drv_ring_add(&t, 2, false);
			uint32_t len;

			drv_ring_add(&t, 1, false);
			drv_ring_add(&t, 2, true);
			assert_false(rdev_fetch(&t.dev, &c));
			assert_int_equal(drv_ring_take(&t, &len), 0);
			drv_ring_publish(&t);
			for (int i = 0; i < 3; i++) {
				assert_true(rdev_fetch(&t.dev, &c));
				check_chain(&c, first + i, i == 1 ? 1 : 2, i == 2);
				rdev_use(&t.dev, &c, i);
			}
			assert_false(rdev_fetch(&t.dev, &c));
			drv_ring_publish(&t); /* of nothing */
			assert_false(rdev_fetch(&t.dev, &c));
			for (int i = 0; i < 3; i++) {
				assert_int_equal(drv_ring_take(&t, &len), first + i);
				assert_int_equal(len, i);
			}
			assert_int_equal(drv_ring_take(&t, &len), 0);
		}
		drv_ring_close(&t);
	}
}

/* What a chain was offered as, by cookie. */
struct offered {
	uint64_t cookie;
	uint16_t n;
	bool write;
};

/*
 * Chains of any length, taken by the device in order, given back in any order: all come back once
 * and unchanged, over more entries than an index has.
 */
static void
any_order(uint16_t size, bool packed, uint64_t entries)
{
	struct offered *fifo = calloc(size, sizeof(*fifo)); /* not yet fetched */
	struct rdev_chain *held = calloc(size, sizeof(*held));
	uint64_t *held_cookie = calloc(size, sizeof(*held_cookie)), due[64];
	uint32_t head = 0, tail = 0, nheld = 0, ndue = 0;
	uint64_t x = size * 2 + packed, total = 0;
	struct drv_ring t;

	drv_ring_open(&t, size, packed ? F_PACKED : 0);
	while (total < entries || t.outstanding > 0) {
		for (uint32_t k = rd_random(&x) % 40; k > 0 && t.drv->num_free > 0; k--) {
			uint16_t n = 1 + rd_random(&x) % 4;
			bool write = rd_random(&x) % 2;

			n = rd_random(&x) % 50 == 0 ? RDEV_PIECES : n;
			n = n > t.drv->num_free ? t.drv->num_free : n;
			if (total >= entries)
				break;
			fifo[tail++ % size] = (struct offered){drv_ring_add(&t, n, write), n,
							       write};
			total += n;
		}
		drv_ring_publish(&t);
		while (head != tail && (rd_random(&x) % 16 != 0 || nheld == 0)) {
			struct offered *o = &fifo[head++ % size];

			assert_true(rdev_fetch(&t.dev, &held[nheld]));
			check_chain(&held[nheld], o->cookie, o->n, o->write);
			held_cookie[nheld++] = o->cookie;
		}
		for (uint32_t k = rd_random(&x) % 64; k > 0 && nheld > 0; k--) {
			uint32_t i = rd_random(&x) % nheld;

			due[ndue++] = held_cookie[i];
			rdev_use(&t.dev, &held[i], (uint32_t)held_cookie[i]);
			held_cookie[i] = held_cookie[--nheld];
			held[i] = held[nheld];
		}
		for (uint32_t i = 0; i < ndue; i++) {
			uint32_t len;

			assert_int_equal(drv_ring_take(&t, &len), due[i]);
			assert_int_equal(len, (uint32_t)due[i]);
		}
		ndue = 0;
	}
	assert_int_equal(t.drv->num_free, size);
	drv_ring_close(&t);
	free(fifo);
	free(held);
	free(held_cookie);
}

static void
any_order_split(void **state)
{
	static const uint16_t sizes[] = {1, 2, 4, 64, 256, 32768};

	for (int i = 0; i < 6; i++)
		any_order(sizes[i], false, 140000);
}

static void
any_order_packed(void **state)
{
	static const uint16_t sizes[] = {1, 2, 3, 64, 100, 256, 32768};

	for (int i = 0; i < 7; i++)
		any_order(sizes[i], true, 140000);
}

/* One chain takes the whole ring. */
static void
chain_of_the_whole_ring(void **state)
{
	for (int k = 0; k < 2 * 50; k++) {
		static struct drv_ring t;
		struct rdev_chain c;
		uint64_t cookie;
		uint32_t len;

		if (k % 50 == 0)
			drv_ring_open(&t, 32, k / 50 ? F_PACKED : 0);
		/* Not from entry 0 all the time. */
		cookie = drv_ring_add(&t, 1 + k % 3, false);
		drv_ring_publish(&t);
		assert_true(rdev_fetch(&t.dev, &c));
		rdev_use(&t.dev, &c, 0);
		assert_int_equal(drv_ring_take(&t, &len), cookie);
		cookie = drv_ring_add(&t, 32, true);
		drv_ring_publish(&t);
		assert_int_equal(t.drv->num_free, 0);
		assert_true(rdev_fetch(&t.dev, &c));
		check_chain(&c, cookie, 32, true);
		rdev_use(&t.dev, &c, 1);
		assert_int_equal(drv_ring_take(&t, &len), cookie);
		assert_int_equal(t.drv->num_free, 32);
		if (k % 50 == 49)
			drv_ring_close(&t);
	}
}

/* What comes back in order is offered in order: heads follow each other round the ring. */
static void
in_order_stays_in_order(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint64_t x = 1;
		uint32_t at = 0;
		struct drv_ring t;

		drv_ring_open(&t, 16, F_IN_ORDER | (packed ? F_PACKED : 0));
		for (int i = 0; i < 1000; i++) {
			struct rdev_chain c[4];
			uint32_t n = 1 + rd_random(&x) % 4, len;

			for (uint32_t k = 0; k < n; k++) {
				uint16_t pieces = 1 + rd_random(&x) % 4;

				assert_int_equal(virtq_drv_next_id(t.drv), at);
				drv_ring_add(&t, pieces, false);
				at = (at + (packed ? 1 : pieces)) % 16;
			}
			drv_ring_publish(&t);
			for (uint32_t k = 0; k < n; k++) {
				assert_true(rdev_fetch(&t.dev, &c[k]));
				rdev_use(&t.dev, &c[k], 0);
			}
			for (uint32_t k = 0; k < n; k++)
				assert_int_equal(drv_ring_take(&t, &len), t.added - n + 1 + k);
		}
		drv_ring_close(&t);
	}
}

/* The device of this library, which fetches and completes in bursts. */
static void
with_virtq_dev(uint16_t size, bool packed, uint32_t rounds)
{
	struct virtq_region all = {.gpa = 0, .size = 1ul << 47, .uva = 0, .host = NULL};
	uint64_t features = packed ? F_PACKED : 0, x = size, next_back = 1, next_seen = 1;
	struct virtq_dev *vq = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*vq));
	struct virtq_ring_config cfg = {.size = size, .features = features, .callfd = -1,
				       .errfd = -1, .wakefd = -1};
	struct virtq_ring *ring;
	struct virtq_mem *mem;
	struct drv_ring t;

	/* All addresses are "mapped"; nobody looks at what is there. */
	drv_ring_open(&t, size, features);
	all.host = (void *)(uintptr_t)0;
	assert_int_equal(virtq_mem_new(&all, 1, &mem), 0);
	cfg.desc_uva = (uintptr_t)t.ring->desc;
	cfg.avail_uva = (uintptr_t)t.ring->avail;
	cfg.used_uva = (uintptr_t)t.ring->used;
	assert_int_equal(virtq_ring_new(&cfg, mem, &ring), 0);
	virtq_mem_put(mem);
	assert_int_equal(virtq_dev_set_base(vq, ring, virtq_fresh_base(packed)), 0);
	for (uint32_t i = 0; i < rounds; i++) {
		struct virtq_chain c[VIRTQ_FETCH_MAX];
		struct virtq_fetch fetch;
		uint16_t n;
		uint32_t len;

		for (uint32_t k = rd_random(&x) % 50; k > 0 && t.drv->num_free > 0; k--) {
			uint16_t want = 1 + rd_random(&x) % 3;

			drv_ring_add(&t, want > t.drv->num_free ? t.drv->num_free : want, true);
		}
		drv_ring_publish(&t);
		virtq_dev_begin(vq, ring);
		fetch = virtq_dev_fetch_begin(vq, NULL);
		n = virtq_dev_fetch(vq, ring, &fetch, c, 1 + rd_random(&x) % 32, packed, true,
				    virtq_dev_prefetch_nothing);
		assert_int_equal(fetch.err, VIRTQ_OK);
		for (uint16_t k = 0; k < n; k++) {
			assert_int_equal((uintptr_t)c[k].addr, drv_ring_piece(next_seen, 0).iova);
			assert_int_equal(c[k].fault, VIRTQ_FAULT_NONE);
			c[k].written = (uint32_t)next_seen++;
		}
		if (n > 0)
			virtq_dev_complete(vq, ring, c, n, packed, true, false);
		for (uint64_t cookie; (cookie = drv_ring_take(&t, &len)) != 0; next_back++) {
			assert_int_equal(cookie, next_back);
			assert_int_equal(len, cookie);
		}
		assert_int_equal(next_back, next_seen);
	}
	assert_true(size == 1 || next_seen > 70000 || size > 70000 / 2);
	virtq_ring_free(ring);
	drv_ring_close(&t);
	free(vq);
}

static void
with_virtq_dev_split(void **state)
{
	with_virtq_dev(1, false, 70000);
	with_virtq_dev(2, false, 70000);
	with_virtq_dev(256, false, 10000);
	with_virtq_dev(32768, false, 10000);
}

static void
with_virtq_dev_packed(void **state)
{
	with_virtq_dev(1, true, 70000);
	with_virtq_dev(3, true, 70000);
	with_virtq_dev(256, true, 10000);
	with_virtq_dev(32768, true, 10000);
}

/* A ring that stops anywhere gives back what it holds, each buffer once. */
static void
detach_everything(void **state)
{
	for (uint32_t k = 0; k < 2000; k++) {
		uint16_t size = k % 4 < 2 ? 16 : k % 4 == 2 ? 7 : 1;
		uint64_t x = k;
		struct drv_ring t;
		void *cookie;

		drv_ring_open(&t, size, (k % 4 == 0 ? 0 : F_PACKED) | F_IN_ORDER);
		for (uint32_t i = rd_random(&x) % 40; i > 0; i--) {
			struct rdev_chain c;
			uint32_t len;

			if (rd_random(&x) % 2 && t.drv->num_free > 0) {
				uint16_t n = 1 + rd_random(&x) % 3;

				drv_ring_add(&t, n > t.drv->num_free ? t.drv->num_free : n, false);
				if (rd_random(&x) % 2)
					drv_ring_publish(&t);
			} else if (t.drv->unpublished == 0 && rdev_fetch(&t.dev, &c)) {
				rdev_use(&t.dev, &c, 0);
				drv_ring_take(&t, &len);
				t.drv->oldest = rd_random(&x) % size; /* wherever it stands */
			}
		}
		while ((cookie = virtq_drv_detach(t.drv, size)) != NULL)
			drv_ring_came_back(&t, (uintptr_t)cookie);
		assert_int_equal(t.outstanding, 0);
		assert_null(virtq_drv_detach(t.drv, size));
		drv_ring_close(&t);
	}
}

static void
used_index_jumps(void **state)
{
	static const uint16_t jumps[] = {4, 8, 9, 32768, 65535};

	for (int i = 0; i < 5; i++) {
		struct drv_ring t;

		drv_ring_open(&t, 8, 0);
		drv_ring_add(&t, 1, true);
		drv_ring_add(&t, 2, true); /* 3 descriptors */
		drv_ring_publish(&t);
		t.ring->used->idx = jumps[i];
		assert_int_equal(virtq_drv_used_split(t.drv, t.ring), 0);
		assert_int_equal(t.drv->cursor.broken, VIRTQ_E_USED_JUMP);
		drv_ring_close(&t);
	}
}

static void
ids_that_are_not_outstanding(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct rdev_chain c;
		struct drv_ring t;
		uint32_t len;

		drv_ring_open(&t, 8, packed ? F_PACKED : 0);
		drv_ring_add(&t, 3, true);
		drv_ring_add(&t, 1, true);
		drv_ring_publish(&t);
		assert_true(rdev_fetch(&t.dev, &c));
		for (uint32_t id = 0; id < 70000; id++) {
			bool is = id == 0 || id == (packed ? 1 : 3);

			assert_int_equal(virtq_drv_outstanding(t.drv, t.ring, id), is);
		}
		assert_false(virtq_drv_outstanding(t.drv, t.ring, UINT32_MAX));
		rdev_use(&t.dev, &c, 0);
		drv_ring_take(&t, &len);
		assert_false(virtq_drv_outstanding(t.drv, t.ring, 0));
		drv_ring_close(&t);
	}
}

/* A packed entry that is marked used with the other lap's wrap counter is not used. */
static void
wrap_lies(void **state)
{
	for (int lap = 0; lap < 4; lap++) {
		struct rdev_chain c;
		struct drv_ring t;
		uint32_t id, len;

		drv_ring_open(&t, 3, F_PACKED);
		for (int i = 0; i < lap * 3; i++) {
			drv_ring_add(&t, 1, true);
			drv_ring_publish(&t);
			assert_true(rdev_fetch(&t.dev, &c));
			rdev_use(&t.dev, &c, 0);
			assert_true(drv_ring_take(&t, &len) != 0);
		}
		drv_ring_add(&t, 1, true);
		drv_ring_publish(&t);
		for (int f = 0; f < 4; f++) {
			bool is = f == (lap % 2 ? 0 : 3);

			t.ring->pdesc[0].flags = (f & 1 ? 1u << 7 : 0) | (f & 2 ? 1u << 15 : 0);
			assert_int_equal(drv_ring_next_used(&t, &id, &len), is);
		}
		drv_ring_close(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_apart),
		cmocka_unit_test(sizes_that_cannot_be),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(fresh_ring_is_empty),
		cmocka_unit_test(nothing_before_publish),
		cmocka_unit_test(any_order_split),
		cmocka_unit_test(any_order_packed),
		cmocka_unit_test(chain_of_the_whole_ring),
		cmocka_unit_test(in_order_stays_in_order),
		cmocka_unit_test(with_virtq_dev_split),
		cmocka_unit_test(with_virtq_dev_packed),
		cmocka_unit_test(detach_everything),
		cmocka_unit_test(used_index_jumps),
		cmocka_unit_test(ids_that_are_not_outstanding),
		cmocka_unit_test(wrap_lies),
	};

	return cmocka_run_group_tests_name("virtq_drv", tests, NULL, NULL);
}
