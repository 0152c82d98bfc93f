/* SPDX-License-Identifier: BSD-3-Clause */
/* What a core monitors that waits for a receive queue, in each state of the queue. */
#include "rig_guest.h"
#include "rig_device_drv.h"

#include "virtq_rcu.h"
#include "vring_be_queue.h"
#include "vring_fe_queue.h"
#include "vring_monitor.h"
#include "vring_role.h"

#define RINGS 2

static struct vring_poll_set *set;
static struct vring_rxq rxq;
static const struct vring_queue_ops *queue_ops;

const struct vring_queue_ops *
vring_role_queue_ops(const struct vring_port *port)
{
	return queue_ops;
}

/* The queue has n rings, of which the first is this one. */
static void
set_rings(uint16_t n, struct virtq_cursor *cursor, const struct virtq_ring *ring)
{
	memset(set, 0, vring_qmap_size(RINGS));
	set->n = n;
	for (uint16_t i = 0; i < n; i++) {
		set->entry[i].cursor = cursor;
		set->entry[i].ring = ring;
	}
	rxq.q.query_rcu.ptr = rxq.q.rcu.ptr = set;
}

/* Whether a core that is told what to monitor now goes to sleep, as EAL does it. */
static bool
sleeps_on(const struct rte_power_monitor_cond *c)
{
	uint64_t value = 0;

	memcpy(&value, (const void *)(uintptr_t)c->addr, c->size);
	return c->fn(value, c->opaque) == 0;
}

static bool
may_sleep(struct rte_power_monitor_cond *c)
{
	const int rc = vring_monitor_get_addr(&rxq, c);

	assert_true(rc == 0 || rc == -EAGAIN);
	return rc == 0 && sleeps_on(c);
}

static void
without_a_ring(void **state)
{
	struct rte_power_monitor_cond c;

	rxq.q.query_rcu.ptr = rxq.q.rcu.ptr = NULL;
	assert_true(may_sleep(&c));
	set_rings(0, NULL, NULL);
	assert_false(sleeps_on(&c)); /* what it has has changed */
	assert_true(may_sleep(&c));
	rxq.q.rcu.ptr = NULL;
	assert_false(sleeps_on(&c));
	set_rings(1, NULL, NULL); /* an announcement */
	assert_false(may_sleep(&c));
}

static void
device_side(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct rte_power_monitor_cond c;
		struct guest g;
		struct dev d;
		struct rd r;

		queue_ops = &vring_be_queue_ops;
		guest_new(&g, 1ul << 20, 1);
		rd_init(&r, &g, 4, F_V1 | (packed ? F_PACKED : 0));
		dev_start(&d, &r);
		set_rings(1, &d.vq->cursor, d.ring);
		for (int i = 0; i < 20; i++) {
			const struct rd_sg sg = {GUEST_GPA, 100};
			struct virtq_fetch f;
			struct virtq_chain chain;
			struct rd_done done[4];

			assert_true(may_sleep(&c));
			assert_true(rd_add(&r, &sg, 1, RD_DIRECT, false, 1) >= 0);
			assert_true(sleeps_on(&c));
			rd_publish(&r);
			assert_false(sleeps_on(&c));
			assert_false(may_sleep(&c));
			virtq_dev_begin(d.vq, d.ring);
			f = virtq_dev_fetch_begin(d.vq, NULL);
			assert_int_equal(virtq_dev_fetch(d.vq, d.ring, &f, &chain, 1, packed, false,
							 virtq_dev_prefetch_nothing), 1);
			virtq_dev_complete(d.vq, d.ring, &chain, 1, packed, false, false);
			assert_int_equal(rd_pop(&r, done), 1);
		}
		/* With two rings one address is not enough. */
		set_rings(2, &d.vq->cursor, d.ring);
		assert_false(may_sleep(&c));
		/* What may be read is there until the queue is asked again. */
		set_rings(1, &d.vq->cursor, d.ring);
		assert_true(may_sleep(&c));
		assert_true(may_sleep(&c));
		assert_int_equal(g.mem->refs, 3);
		set_rings(0, NULL, NULL);
		assert_int_equal(g.mem->refs, 3);
		assert_true(may_sleep(&c));
		assert_int_equal(g.mem->refs, 2);
		set_rings(1, &d.vq->cursor, d.ring);
		assert_true(may_sleep(&c));
		vring_monitor_release(&rxq);
		assert_int_equal(g.mem->refs, 2);
		dev_stop(&d);
		rd_fini(&r);
		guest_free(&g);
	}
}

static void
driver_side(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct rte_power_monitor_cond c;
		struct rdev_chain chain;
		struct drv_ring t;
		uint32_t len;

		queue_ops = &vring_fe_queue_ops;
		drv_ring_open(&t, 4, packed ? F_PACKED : 0);
		set_rings(1, &t.drv->cursor, t.ring);
		assert_false(may_sleep(&c)); /* it has no buffers: a burst gives it some */
		for (int i = 0; i < 20; i++) {
			drv_ring_add(&t, 1, true);
			drv_ring_publish(&t);
			assert_true(may_sleep(&c));
			assert_true(rdev_fetch(&t.dev, &chain));
			rdev_use(&t.dev, &chain, 0);
			assert_false(sleeps_on(&c));
			assert_false(may_sleep(&c));
			assert_true(drv_ring_take(&t, &len) != 0);
		}
		drv_ring_add(&t, 1, true);
		t.drv->batch = true; /* more was used, and is not taken yet */
		assert_false(may_sleep(&c));
		t.drv->batch = false;
		assert_true(may_sleep(&c));
		vring_monitor_release(&rxq);
		drv_ring_close(&t);
	}
}

static int
set_up(void **state)
{
	set = calloc(1, vring_qmap_size(RINGS));
	rte_spinlock_init(&rxq.q.query_lock);
	return set == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	free(set);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_ring),
		cmocka_unit_test(device_side),
		cmocka_unit_test(driver_side),
	};

	return cmocka_run_group_tests_name("vring_monitor", tests, set_up, tear_down);
}
