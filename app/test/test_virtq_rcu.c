/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The publication rule under load: a driver and a device exchange packets on a ring, in threads of
 * their own, while a control thread replaces what the device uses a thousand times over.
 */
#include <pthread.h>
#include <sched.h>

#include "virtq_rcu.h"
#include "rig_expect.h"
#include "rig_guest.h"
#include "virtq_dev.h"

#define SIZE 64
#define BUF 256
#define EXTRA 4		/* regions that come and go, half of the buffers in them */
#define CHANGES 1000
#define EXTRA_SIZE (SIZE * BUF)

/* What a burst gets through the rcu: a run, or nothing while the ring is stopped. */
struct bed {
	struct guest g;
	struct rd r;
	struct dev d;
	struct virtq_rcu rcu;
	struct virtq_mem *mem;	/* the control thread's */
	bool write;		/* direction: the device writes, else it reads */
	uint64_t own;		/* buffers in the guest's first region, which stays */
	struct extra {
		int fd;
		uint64_t gpa;
		uint8_t *driver;	/* the driver's own view */
		uint32_t in_use;	/* buffers that the driver has given away in it; atomic */
		uint32_t open;		/* whether the driver may use it; atomic */
	} extra[EXTRA];
	uint64_t sent, unmapped; /* chains: by the driver, faulty */
	uint64_t received;	/* chains the device is done with; atomic */
	uint32_t stop_driver, stop_device; /* atomic */
	uint32_t failed;	/* atomic; what a thread found wrong, as a line number */
};

static bool
going(struct bed *b, const uint32_t *stop)
{
	return !__atomic_load_n(stop, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&b->failed, __ATOMIC_RELAXED);
}

/* Contents that name the packet: its number, all over. */
static void
fill(uint8_t *p, uint64_t number)
{
	for (uint32_t i = 0; i < BUF; i += 8, number = number * 31 + 7)
		memcpy(p + i, &number, 8);
}

static bool
filled(const uint8_t *p, uint64_t number)
{
	uint8_t expected[BUF];

	fill(expected, number);
	return memcmp(p, expected, BUF) == 0;
}

/* The device. */

/* One burst, as a driver's rx or tx function does it. */
static uint16_t
device_burst(struct bed *b)
{
	const struct virtq_ring *ring = virtq_rcu_read_lock(&b->rcu);
	struct virtq_dev *vq = b->d.vq;
	struct virtq_chain c[VIRTQ_FETCH_MAX];
	struct virtq_fetch fetch;
	uint16_t n = 0;

	if (ring == NULL)
		goto leave;
	fetch = virtq_dev_fetch_begin(vq, NULL);
	virtq_dev_begin(vq, ring);
	n = virtq_dev_fetch(vq, ring, &fetch, c, 8, ring->packed, b->write,
			    virtq_dev_prefetch_nothing);
	EXPECT(b, fetch.err == VIRTQ_OK);
	for (uint16_t i = 0; i < n; i++) {
		uint64_t number = b->received + i;

		if (c[i].fault != VIRTQ_FAULT_NONE) {
			b->unmapped++;
			continue;
		}
		EXPECT(b, c[i].total == BUF && c[i].nseg == 1);
		if (b->write) {
			fill(c[i].addr, number);
			c[i].written = BUF;
		} else {
			EXPECT(b, filled(c[i].addr, number));
		}
	}
	__atomic_store_n(&b->received, b->received + n, __ATOMIC_RELAXED);
	if (n > 0) {
		virtq_dev_complete(vq, ring, c, n, ring->packed, b->write, false);
		virtq_dev_notify(vq, ring, ring->packed);
	}
leave:
	virtq_rcu_read_unlock(&b->rcu);
	return n;
}

static void *
device_main(void *arg)
{
	struct bed *b = arg;

	while (going(b, &b->stop_device))
		if (device_burst(b) == 0)
			sched_yield();
	return NULL;
}

/* The driver. */

/* Where a buffer is: 0 the guest's own, else in extra[place - 1]. */
static uint8_t *
buffer_at(struct bed *b, uint32_t place, uint32_t slot, uint64_t *gpa)
{
	if (place == 0) {
		*gpa = b->own + slot * BUF;
		return guest_ptr(&b->g, *gpa);
	}
	*gpa = b->extra[place - 1].gpa + slot * BUF;
	return b->extra[place - 1].driver + slot * BUF;
}

/* A place that may be used now; it is held until its buffer is back. */
static uint32_t
choose_place(struct bed *b, uint64_t *x)
{
	uint32_t place = rd_random(x) % (2 * EXTRA);
	struct extra *e;

	if (place == 0 || place > EXTRA)
		return 0;
	e = &b->extra[place - 1];
	__atomic_fetch_add(&e->in_use, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&e->open, __ATOMIC_SEQ_CST))
		return place;
	__atomic_fetch_sub(&e->in_use, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void
driver_send(struct bed *b, uint64_t *x)
{
	while (b->r.nfree > 0 && b->sent - b->r.head < SIZE) {
		uint32_t place = choose_place(b, x);
		struct rd_sg sg = {.len = BUF};
		uint8_t *p = buffer_at(b, place, b->sent % SIZE, &sg.gpa);

		if (!b->write)
			fill(p, b->sent);
		if (rd_add(&b->r, &sg, 1, RD_DIRECT, b->write, b->sent | (uint64_t)place << 56) < 0)
			break;
		b->sent++;
	}
	rd_publish(&b->r);
}

/* Take back what the device is done with; returns how much. */
static uint32_t
driver_reap(struct bed *b, uint64_t *expected)
{
	struct rd_done done;
	uint32_t n = 0;

	for (; rd_pop(&b->r, &done) == 1; n++, ++*expected) {
		uint32_t place = done.cookie >> 56;
		uint64_t gpa;
		const uint8_t *p = buffer_at(b, place, *expected % SIZE, &gpa);

		EXPECT(b, (done.cookie & 0xffffffff) == *expected);
		EXPECT(b, done.len == (b->write ? BUF : 0));
		if (b->write)
			EXPECT(b, filled(p, *expected));
		if (place > 0)
			__atomic_fetch_sub(&b->extra[place - 1].in_use, 1, __ATOMIC_RELEASE);
	}
	EXPECT(b, b->r.bad == 0);
	return n;
}

static void *
driver_main(void *arg)
{
	struct bed *b = arg;
	uint64_t expected = 0, x = 1;

	while (going(b, &b->stop_driver)) {
		driver_send(b, &x);
		if (driver_reap(b, &expected) == 0)
			sched_yield();
	}
	/* The device still runs: all that was sent comes back. */
	for (uint32_t spins = 0; expected < b->sent && spins < 10000000 &&
	     !__atomic_load_n(&b->failed, __ATOMIC_RELAXED); spins++)
		if (driver_reap(b, &expected) == 0)
			sched_yield();
	EXPECT(b, expected == b->sent);
	return NULL;
}

/* Control. */

static struct virtq_ring *
new_run(struct bed *b)
{
	struct virtq_ring_config cfg = dev_config(&b->d, &b->r);
	struct virtq_ring *ring = NULL;

	assert_int_equal(virtq_ring_new(&cfg, b->mem, &ring), 0);
	return ring;
}

/* Publish a run for the memory map of now; the former one is gone afterwards. */
static void
publish(struct bed *b, struct virtq_ring *ring)
{
	struct virtq_ring *former = b->d.ring;

	virtq_rcu_publish(&b->rcu, ring);
	virtq_ring_free(former);
	b->d.ring = ring;
}

static void
extra_add(struct bed *b, struct extra *e)
{
	struct virtq_region r = {.gpa = e->gpa, .uva = e->gpa + GUEST_UVA, .size = EXTRA_SIZE};
	struct virtq_mem *mem;

	assert_int_equal(virtq_mem_map_new(NULL, e->fd, 0, EXTRA_SIZE, &r.map, &r.host), 0);
	assert_int_equal(virtq_mem_add(b->mem, &r, &mem), 0);
	virtq_mem_put(b->mem);
	b->mem = mem;
	publish(b, new_run(b));
	__atomic_store_n(&e->open, 1, __ATOMIC_SEQ_CST);
}

/* The guest stops using it first, as one does that unplugs memory. */
static void
extra_remove(struct bed *b, struct extra *e)
{
	struct virtq_mem *mem;

	__atomic_store_n(&e->open, 0, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&e->in_use, __ATOMIC_SEQ_CST) != 0 &&
	       going(b, &b->stop_driver))
		sched_yield();
	assert_int_equal(virtq_mem_remove(b->mem, e->gpa, e->gpa + GUEST_UVA, EXTRA_SIZE, &mem), 0);
	virtq_mem_put(b->mem);
	b->mem = mem;
	publish(b, new_run(b));
}

/* So that each change meets packets on their way. */
static void
wait_for_packets(struct bed *b, uint64_t n)
{
	uint64_t until = __atomic_load_n(&b->received, __ATOMIC_RELAXED) + n;

	while (__atomic_load_n(&b->received, __ATOMIC_RELAXED) < until &&
	       going(b, &b->stop_driver))
		sched_yield();
}

/* Stop and start: the base is read and set while nothing runs. */
static void
restart(struct bed *b)
{
	struct virtq_ring *ring = new_run(b);
	uint32_t base;

	virtq_rcu_publish(&b->rcu, NULL);
	base = virtq_dev_get_base(b->d.vq, b->r.packed);
	memset(b->d.vq->segs, 0xa5, sizeof(b->d.vq->segs));
	assert_int_equal(virtq_dev_set_base(b->d.vq, ring, base), 0);
	publish(b, ring);
}

static void
bed_open(struct bed *b, uint64_t features, bool write)
{
	memset(b, 0, sizeof(*b));
	guest_new(&b->g, 65536, 1);
	rd_init(&b->r, &b->g, SIZE, features);
	b->own = guest_alloc(&b->g, SIZE * BUF, BUF);
	b->write = write;
	dev_start(&b->d, &b->r);
	b->mem = virtq_mem_get(b->g.mem);
	for (int i = 0; i < EXTRA; i++) {
		struct extra *e = &b->extra[i];

		e->fd = memfd_create("extra", MFD_CLOEXEC);
		e->gpa = GUEST_GPA + (i + 1) * 0x1000000ul;
		assert_int_equal(ftruncate(e->fd, EXTRA_SIZE), 0);
		e->driver = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, 0);
		assert_ptr_not_equal(e->driver, MAP_FAILED);
	}
	virtq_rcu_publish(&b->rcu, b->d.ring);
}

static void
bed_close(struct bed *b)
{
	for (int i = 0; i < EXTRA; i++) {
		munmap(b->extra[i].driver, EXTRA_SIZE);
		close(b->extra[i].fd);
	}
	virtq_mem_put(b->mem);
	dev_stop(&b->d);
	rd_fini(&b->r);
	guest_free(&b->g);
}

static void
change_under_load(uint64_t features, bool write)
{
	pthread_t device, driver;
	uint64_t x = 7;
	struct bed b;

	bed_open(&b, features, write);
	assert_int_equal(pthread_create(&device, NULL, device_main, &b), 0);
	assert_int_equal(pthread_create(&driver, NULL, driver_main, &b), 0);
	for (uint32_t i = 0; i < CHANGES && going(&b, &b.stop_driver); i++) {
		struct extra *e = &b.extra[rd_random(&x) % EXTRA];

		if (i % 5 == 4)
			restart(&b);
		else if (e->open)
			extra_remove(&b, e);
		else
			extra_add(&b, e);
		wait_for_packets(&b, 1 + i % 100);
	}
	/* The driver ends first; what it gave away comes back from a device that runs. */
	__atomic_store_n(&b.stop_driver, 1, __ATOMIC_RELEASE);
	pthread_join(driver, NULL);
	__atomic_store_n(&b.stop_device, 1, __ATOMIC_RELEASE);
	pthread_join(device, NULL);
	assert_int_equal(b.failed, 0);
	assert_int_equal(b.unmapped, 0);
	assert_int_equal(b.received, b.sent);
	assert_int_equal(rd_pending(&b.r), 0);
	assert_true(b.sent > 10 * CHANGES);
	bed_close(&b);
}

static void
changes_split_read(void **state)
{
	change_under_load(F_EVENT_IDX, false);
}

static void
changes_split_write(void **state)
{
	change_under_load(0, true);
}

static void
changes_packed_read(void **state)
{
	change_under_load(F_PACKED, false);
}

static void
changes_packed_write(void **state)
{
	change_under_load(F_PACKED | F_EVENT_IDX, true);
}

/* Without membarrier(2), or with it: what is freed after publishing was used by nobody. */

struct reader {
	pthread_t thread;
	struct virtq_rcu rcu;
	uint32_t stop;
	uint64_t bursts;	/* atomic */
	uint64_t wrong;
};

static void *
reader_main(void *arg)
{
	struct reader *r = arg;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		uint64_t *p = virtq_rcu_read_lock(&r->rcu);

		for (int i = 0; p != NULL && i < 20; i++)
			r->wrong += *p != 0x600d;
		virtq_rcu_read_unlock(&r->rcu);
		__atomic_store_n(&r->bursts, r->bursts + 1, __ATOMIC_RELAXED);
		if (r->bursts % 64 == 0)
			sched_yield();
	}
	return NULL;
}

static void
wait_for_burst(struct reader *r)
{
	uint64_t before = __atomic_load_n(&r->bursts, __ATOMIC_RELAXED);

	while (__atomic_load_n(&r->bursts, __ATOMIC_RELAXED) == before)
		sched_yield();
}

static void
publish_many(bool fence)
{
	enum { READERS = 3 };
	static struct reader readers[READERS];
	struct virtq_rcu *rcus[READERS];
	uint64_t *former[READERS] = {NULL};

	memset(readers, 0, sizeof(readers));
	virtq_rcu_fence = fence;
	for (int i = 0; i < READERS; i++) {
		rcus[i] = &readers[i].rcu;
		assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main,
						&readers[i]), 0);
	}
	for (uint32_t round = 0; round < CHANGES; round++) {
		void *next[READERS];

		for (int i = 0; i < READERS; i++) {
			uint64_t *p = round % 7 == 6 ? NULL : malloc(sizeof(*p));

			if (p != NULL)
				*p = 0x600d;
			next[i] = p;
		}
		wait_for_burst(&readers[round % READERS]);
		virtq_rcu_publish_many(rcus, next, READERS);
		for (int i = 0; i < READERS; i++) {
			if (former[i] != NULL)
				*former[i] = 0xdead;
			free(former[i]);
			former[i] = next[i];
		}
	}
	for (int i = 0; i < READERS; i++) {
		__atomic_store_n(&readers[i].stop, 1, __ATOMIC_RELAXED);
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].wrong, 0);
		assert_true(readers[i].bursts > 0);
		free(former[i]);
	}
	virtq_rcu_fence = false;
}

static void
publish_many_membarrier(void **state)
{
	assert_int_equal(virtq_rcu_init(), 0);
	publish_many(false);
}

static void
publish_many_fence(void **state)
{
	publish_many(true);
}

static void
enter_and_leave(void **state)
{
	struct virtq_rcu rcu = {.ptr = &rcu};

	virtq_rcu_publish(&rcu, NULL);
	assert_null(virtq_rcu_read_lock(&rcu));
	assert_int_equal(rcu.busy, 1);
	virtq_rcu_read_unlock(&rcu);
	assert_int_equal(rcu.busy, 0);
	virtq_rcu_publish(&rcu, &rcu);
	assert_ptr_equal(virtq_rcu_read_lock(&rcu), &rcu);
	virtq_rcu_read_unlock(&rcu);
}

static int
setup(void **state)
{
	return virtq_rcu_init();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enter_and_leave),
		cmocka_unit_test(publish_many_membarrier),
		cmocka_unit_test(publish_many_fence),
		cmocka_unit_test(changes_split_read),
		cmocka_unit_test(changes_split_write),
		cmocka_unit_test(changes_packed_read),
		cmocka_unit_test(changes_packed_write),
	};

	return cmocka_run_group_tests_name("virtq_rcu", tests, setup, NULL);
}
