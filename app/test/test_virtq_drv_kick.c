/* SPDX-License-Identifier: BSD-3-Clause */
/* When a driver kicks its device. VIRTIO 1.2, sections 2.7.7 and 2.8.10. */
#include "rig_device_drv.h"

/* One round of n chains; whether the device was kicked. */
static bool
kicked_by(struct drv_ring *t, uint16_t n)
{
	uint64_t kicks = t->drv->kicks, all = kicks + t->drv->kicks_suppressed;
	uint64_t signals;

	for (uint16_t i = 0; i < n; i++)
		drv_ring_add(t, 1, true);
	drv_ring_publish(t);
	virtq_drv_kick(t->drv, t->ring, t->packed);
	signals = fd_count(t->kickfd);
	assert_int_equal(t->drv->kicks - kicks, signals);
	assert_int_equal(t->drv->kicks + t->drv->kicks_suppressed, all + 1);
	for (uint16_t i = 0; i < n; i++) {
		struct rdev_chain c;
		uint32_t len;

		assert_true(rdev_fetch(&t->dev, &c));
		rdev_use(&t->dev, &c, 0);
		assert_int_equal(drv_ring_take(t, &len), t->added - n + 1 + i);
	}
	return signals != 0;
}

static void
kicks_as_flags_say(void **state)
{
	struct drv_ring t;

	drv_ring_open(&t, 8, 0);
	assert_true(kicked_by(&t, 1));
	t.ring->used->flags = VRING_USED_F_NO_NOTIFY;
	assert_false(kicked_by(&t, 3));
	t.ring->used->flags = 0xfffe; /* bits that mean nothing */
	assert_true(kicked_by(&t, 3));
	drv_ring_close(&t);

	for (uint64_t event = 0; event < 2; event++) {
		drv_ring_open(&t, 8, F_PACKED | (event ? F_EVENT_IDX : 0));
		assert_true(kicked_by(&t, 1));
		t.ring->device_event->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
		assert_false(kicked_by(&t, 3));
		t.ring->device_event->flags = 3; /* reserved: rather once too often */
		assert_true(kicked_by(&t, 3));
		t.ring->device_event->flags = VRING_PACKED_EVENT_FLAG_ENABLE;
		assert_true(kicked_by(&t, 3));
		drv_ring_close(&t);
	}
	/* "At that descriptor" counts with EVENT_IDX only. */
	drv_ring_open(&t, 8, F_PACKED);
	t.ring->device_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
	t.ring->device_event->off_wrap = 7;
	assert_true(kicked_by(&t, 1));
	drv_ring_close(&t);
}

/* Whether going from `from` n entries on passes the entry `event`, counted one by one. */
static bool
passes(uint32_t from, uint16_t n, uint32_t event, uint32_t lap)
{
	for (uint16_t i = 0; i < n; i++)
		if ((from + i) % lap == event)
			return true;
	return false;
}

static void
kicks_at_event_index_split(void **state)
{
	struct drv_ring t;
	uint64_t x = 9;
	uint32_t at = 0, kicks = 0;

	drv_ring_open(&t, 16, F_EVENT_IDX);
	for (int i = 0; i < 40000; i++) {
		uint16_t n = 1 + rd_random(&x) % 16, event = at + rd_random(&x) % 24 - 4;

		memcpy(&t.ring->used->ring[16], &event, 2);
		t.ring->used->flags = i % 2; /* means nothing now */
		assert_int_equal(kicked_by(&t, n), passes(at, n, event, 65536));
		kicks += passes(at, n, event, 65536);
		at = (at + n) % 65536;
	}
	assert_true(kicks > 10000 && kicks < 30000);
	drv_ring_close(&t);
}

static void
kicks_at_event_index_packed(void **state)
{
	static const uint16_t sizes[] = {1, 2, 3, 16};

	for (int k = 0; k < 4; k++) {
		uint16_t size = sizes[k];
		uint64_t x = size;
		uint32_t at = 0; /* position on two laps */
		struct drv_ring t;

		drv_ring_open(&t, size, F_PACKED | F_EVENT_IDX);
		t.ring->device_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
		for (int i = 0; i < 10000; i++) {
			uint16_t n = 1 + rd_random(&x) % size;
			uint32_t event = rd_random(&x) % (2 * size);

			t.ring->device_event->off_wrap =
				(uint16_t)(event % size | (event < size ? 1u << 15 : 0));
			assert_int_equal(kicked_by(&t, n), passes(at, n, event, 2 * size));
			at = (at + n) % (2 * size);
		}
		drv_ring_close(&t);
	}
}

static void
notifier_instead_of_fd(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint16_t notifier[2] = {0xffff, 0xffff};
		struct drv_ring t;

		drv_ring_open(&t, 8, packed ? F_PACKED : 0);
		t.ring->callfd = -1;
		t.ring->notifier = notifier;
		drv_ring_add(&t, 1, true);
		drv_ring_publish(&t);
		virtq_drv_kick(t.drv, t.ring, packed);
		assert_int_equal(notifier[0], 5);
		assert_int_equal(notifier[1], 0xffff);
		assert_int_equal(t.drv->kicks, 1);
		assert_int_equal(fd_count(t.kickfd), 0);
		drv_ring_close(&t);
	}
}

static void
nobody_to_kick(void **state)
{
	struct drv_ring t;

	drv_ring_open(&t, 8, 0);
	t.ring->callfd = -1;
	drv_ring_add(&t, 1, true);
	drv_ring_publish(&t);
	virtq_drv_kick(t.drv, t.ring, false);
	assert_int_equal(t.drv->kicks + t.drv->kicks_suppressed, 0);
	drv_ring_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kicks_as_flags_say),
		cmocka_unit_test(kicks_at_event_index_split),
		cmocka_unit_test(kicks_at_event_index_packed),
		cmocka_unit_test(notifier_instead_of_fd),
		cmocka_unit_test(nobody_to_kick),
	};

	return cmocka_run_group_tests_name("virtq_drv_kick", tests, NULL, NULL);
}
