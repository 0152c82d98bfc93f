/* SPDX-License-Identifier: BSD-3-Clause */
/* When the device's half of a ring calls its driver. VIRTIO 1.2, sections 2.7.7 and 2.8.10. */
#include "rig_guest_ring.h"

static void
call_flags_split(void **state)
{
	struct guest_ring t;

	guest_ring_open(&t, 8, 0);
	guest_ring_offer(&t, false, 0);
	guest_ring_round(&t, 8, false, 0);
	assert_int_equal(fd_count(t.d.callfd), 1);
	t.r.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	guest_ring_offer(&t, false, 1);
	guest_ring_round(&t, 8, false, 0);
	assert_int_equal(fd_count(t.d.callfd), 0);
	assert_int_equal(t.d.vq->calls, 1);
	assert_int_equal(t.d.vq->calls_suppressed, 1);
	t.r.avail->flags = 0;
	guest_ring_offer(&t, false, 2);
	guest_ring_offer(&t, false, 3);
	assert_int_equal(guest_ring_round(&t, 8, false, 0), 2);
	assert_int_equal(fd_count(t.d.callfd), 1); /* once a burst */
	guest_ring_expect_back(&t, 4, 0, 0);
	guest_ring_close(&t);
}

/* From every index and for every burst: a call exactly when the event's entry was used. */
static void
call_event_split(void **state)
{
	struct guest_ring t;

	guest_ring_open(&t, 8, F_EVENT_IDX);
	for (uint32_t start = 65520; start < 65536 + 20; start++) {
		for (uint32_t burst = 1; burst <= 8; burst++) {
			for (int ahead = -20; ahead < 20; ahead++) {
				uint16_t event = (uint16_t)(start + 1 + ahead);

				rd_start_at(&t.r, (uint16_t)start, true);
				virtq_dev_set_base(t.d.vq, t.d.ring, rd_base(&t.r));
				guest_ring_offer(&t, false, 0);
				guest_ring_round(&t, 1, false, 0);
				fd_count(t.d.callfd); /* the first is always wanted */
				t.r.avail->ring[8] = event;
				for (uint32_t i = 0; i + 1 < burst && i < 6; i++)
					guest_ring_offer(&t, false, 1 + i);
				if (burst == 1)
					guest_ring_offer(&t, false, 1);
				burst = burst > 7 ? 8 : burst;
				{
					uint16_t n = guest_ring_round(&t, 8, false, 0);
					bool due = ahead >= 0 && ahead < n;

					assert_int_equal(fd_count(t.d.callfd), due);
					guest_ring_expect_back(&t, 1 + n, 0, 0);
				}
			}
		}
	}
	guest_ring_close(&t);
}

static void
first_call_is_never_suppressed(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct guest_ring t;

		guest_ring_open(&t, 8, F_EVENT_IDX | (packed ? F_PACKED : 0));
		if (packed) {
			t.r.driver_event->off_wrap = 7 | 1 << 15;
			t.r.driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
		} else {
			t.r.avail->ring[8] = 30000;
		}
		guest_ring_offer(&t, false, 0);
		guest_ring_round(&t, 8, false, 0);
		assert_int_equal(fd_count(t.d.callfd), 1);
		guest_ring_offer(&t, false, 1);
		guest_ring_round(&t, 8, false, 0);
		assert_int_equal(fd_count(t.d.callfd), 0);
		guest_ring_expect_back(&t, 2, 0, 0);
		guest_ring_close(&t);
	}
}

/* A new run (another call fd, another memory map) may hide a call that was not sent. */
static void
first_call_after_a_new_run(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct virtq_ring_config cfg;
		struct guest_ring t;

		guest_ring_open(&t, 8, F_EVENT_IDX | (packed ? F_PACKED : 0));
		guest_ring_offer(&t, false, 0);
		guest_ring_round(&t, 8, false, 0);
		fd_count(t.d.callfd);
		virtq_ring_free(t.d.ring);
		cfg = dev_config(&t.d, &t.r);
		assert_int_equal(virtq_ring_new(&cfg, t.g.mem, &t.d.ring), 0);
		if (packed) {
			t.r.driver_event->off_wrap = 0 | 1 << 15; /* passed before */
			t.r.driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
		} else {
			t.r.avail->ring[8] = 0;
		}
		guest_ring_offer(&t, false, 1);
		guest_ring_round(&t, 8, false, 0);
		assert_int_equal(fd_count(t.d.callfd), 1);
		guest_ring_expect_back(&t, 2, 0, 0);
		guest_ring_close(&t);
	}
}

static void
call_flags_packed(void **state)
{
	struct guest_ring t;

	guest_ring_open(&t, 8, F_PACKED | F_EVENT_IDX);
	for (unsigned int i = 0; i < 40; i++) {
		static const uint16_t flags[] = {
			VRING_PACKED_EVENT_FLAG_ENABLE, VRING_PACKED_EVENT_FLAG_DISABLE, 3,
		};

		t.r.driver_event->flags = flags[i % 3];
		guest_ring_offer(&t, false, i);
		guest_ring_round(&t, 8, false, 0);
		assert_int_equal(fd_count(t.d.callfd), flags[i % 3] != 1);
		guest_ring_expect_back(&t, 1, i, 0);
	}
	guest_ring_close(&t);
	/* Without EVENT_IDX the position does not count. */
	guest_ring_open(&t, 8, F_PACKED);
	t.r.driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
	t.r.driver_event->off_wrap = 6 | 1 << 15;
	for (unsigned int i = 0; i < 3; i++) {
		guest_ring_offer(&t, false, i);
		guest_ring_round(&t, 8, false, 0);
		assert_int_equal(fd_count(t.d.callfd), 1);
	}
	guest_ring_expect_back(&t, 3, 0, 0);
	guest_ring_close(&t);
}

/* Position of a slot in a lap, counted from the beginning of time. */
static uint32_t
packed_time(uint16_t idx, bool wrap, uint16_t size, uint32_t near)
{
	uint32_t lap = near / size;

	for (int back = -1; back <= 1; back++) {
		uint32_t l = lap + back;

		if ((l % 2 == 0) == wrap && l * size + idx + size > near + 1)
			return l * size + idx;
	}
	return UINT32_MAX;
}

/* Every position, burst and event of rings of 5 and 8 entries. */
static void
call_event_packed(void **state)
{
	for (uint16_t size = 5; size <= 8; size += 3) {
		struct guest_ring t;

		guest_ring_open(&t, size, F_PACKED | F_EVENT_IDX);
		for (uint32_t start = 0; start < 2u * size; start++) {
			for (uint32_t k = 0; k < 2u * size * size; k++) {
				uint16_t event = (uint16_t)(k % size), n = 1 + k / size % size;
				bool ewrap = k / size / size, due;
				uint32_t now = 2u * size + start + 1, when;

				rd_start_at(&t.r, (uint16_t)(start % size), start < size);
				virtq_dev_set_base(t.d.vq, t.d.ring, rd_base(&t.r));
				guest_ring_offer(&t, false, 0);
				guest_ring_round(&t, 1, false, 0);
				guest_ring_expect_back(&t, 1, 0, 0);
				fd_count(t.d.callfd);
				t.r.driver_event->off_wrap = (uint16_t)(event | ewrap << 15);
				t.r.driver_event->flags = VRING_PACKED_EVENT_FLAG_DESC;
				for (uint16_t i = 0; i < n; i++)
					guest_ring_offer(&t, false, 1 + i);
				assert_int_equal(guest_ring_round(&t, n, false, 0), n);
				/* An event at most a lap ahead; at most one entry behind. */
				when = packed_time(event, ewrap, size, now);
				due = when >= now && when < now + n;
				if (when + 1 != now && when != UINT32_MAX)
					assert_int_equal(fd_count(t.d.callfd), due);
				fd_count(t.d.callfd);
				guest_ring_expect_back(&t, n, 1, 0);
			}
		}
		guest_ring_close(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_flags_split),
		cmocka_unit_test(call_event_split),
		cmocka_unit_test(first_call_is_never_suppressed),
		cmocka_unit_test(first_call_after_a_new_run),
		cmocka_unit_test(call_flags_packed),
		cmocka_unit_test(call_event_packed),
	};

	return cmocka_run_group_tests_name("virtq_ring_call", tests, NULL, NULL);
}
