/* SPDX-License-Identifier: BSD-3-Clause */
/* What a ring can be made of, where it begins, and the names of what breaks it. */
#include "rig_guest_ring.h"

/* What is set comes back; and a ring goes on where another left it. */
static void
base(void **state)
{
	struct guest_ring t;

	guest_ring_open(&t, 8, 0);
	t.r.used->idx = 77;
	assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, 65535), 0);
	assert_int_equal(virtq_dev_get_base(t.d.vq, false), 65535);
	assert_int_equal(t.d.vq->cursor.used_idx, 77); /* from the ring itself */
	assert_int_equal(t.r.used->flags, VRING_USED_F_NO_NOTIFY);
	assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, 65536), -EINVAL);
	guest_ring_close(&t);

	guest_ring_open(&t, 5, F_PACKED);
	assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, 0x80048003), 0);
	assert_int_equal(virtq_dev_get_base(t.d.vq, true), 0x80048003);
	assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, 0x00010004), 0);
	assert_int_equal(virtq_dev_get_base(t.d.vq, true), 0x00010004);
	/* A peer that knows the low half only. */
	assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, 0x8002), 0);
	assert_int_equal(virtq_dev_get_base(t.d.vq, true), 0x80028002);
	assert_int_equal(t.r.device_event->flags, VRING_PACKED_EVENT_FLAG_DISABLE);
	assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, 0x80008005), -EINVAL);
	assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, 0x80058000), -EINVAL);
	guest_ring_close(&t);
}

static void
base_hands_over(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct virtq_dev *first;
		uint64_t put = 0, back = 0;
		struct guest_ring t;

		guest_ring_open(&t, 4, packed ? F_PACKED : 0);
		for (int i = 0; i < 100; i++) {
			uint32_t at;

			while (t.r.nfree > 0)
				guest_ring_offer(&t, true, put++);
			assert_int_equal(guest_ring_round(&t, 3, true, 9), 3);
			at = virtq_dev_get_base(t.d.vq, packed);
			first = t.d.vq;
			t.d.vq = aligned_alloc(VIRTQ_CACHE_LINE, sizeof(*t.d.vq));
			memset(t.d.vq, 0x5a, sizeof(*t.d.vq));
			free(first);
			assert_int_equal(virtq_dev_set_base(t.d.vq, t.d.ring, at), 0);
			guest_ring_expect_back(&t, 3, back, 9);
			back += 3;
		}
		guest_ring_close(&t);
	}
}

static void
run_config(uint32_t size, uint64_t features, int expected)
{
	struct virtq_ring_config cfg;
	struct virtq_ring *ring;
	struct guest_ring t;

	guest_ring_open(&t, 8, features);
	cfg = dev_config(&t.d, &t.r);
	cfg.size = size;
	assert_int_equal(virtq_ring_new(&cfg, t.g.mem, &ring), expected);
	if (expected == 0)
		virtq_ring_free(ring);
	guest_ring_close(&t);
}

static void
sizes(void **state)
{
	run_config(0, 0, -EINVAL);
	run_config(0, F_PACKED, -EINVAL);
	run_config(3, 0, -EINVAL);
	run_config(3, F_PACKED, 0);
	run_config(1, 0, 0);
	run_config(8, 0, 0);
	run_config(32769, F_PACKED, -EINVAL);
	run_config(65536, 0, -EINVAL);
	run_config(1u << 31, 0, -EINVAL);
}

/* One of the ring's addresses is changed, from a good configuration. */
static int
run_with(struct guest_ring *t, uint64_t desc, uint64_t avail, uint64_t used)
{
	struct virtq_ring_config cfg = dev_config(&t->d, &t->r);
	struct virtq_ring *ring = NULL;
	int ret;

	if (desc != 0)
		cfg.desc_uva = desc;
	if (avail != 0)
		cfg.avail_uva = avail;
	if (used != 0)
		cfg.used_uva = used;
	ret = virtq_ring_new(&cfg, t->g.mem, &ring);
	if (ret == 0)
		virtq_ring_free(ring);
	return ret;
}

static void
addresses(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		uint64_t end, a, bytes = packed ? 4 : 4 + 2 * 8;
		struct guest_ring t;

		guest_ring_open(&t, 8, packed ? F_PACKED : 0);
		end = GUEST_UVA + GUEST_GPA + t.g.size;
		a = GUEST_UVA + t.r.avail_gpa;
		assert_int_equal(run_with(&t, 0, 0, 0), 0);
		assert_int_equal(run_with(&t, GUEST_UVA + t.r.desc_gpa + 8, 0, 0), -EINVAL);
		assert_int_equal(run_with(&t, 0, a + 1, 0), -EINVAL);
		assert_int_equal(run_with(&t, 0, 0, GUEST_UVA + t.r.used_gpa + 2), -EINVAL);
		/* Parts that lie in each other. */
		assert_int_equal(run_with(&t, 0, GUEST_UVA + t.r.desc_gpa + 124, 0), -EINVAL);
		assert_int_equal(run_with(&t, 0, 0, a), -EINVAL);
		/* To the very end of memory, and beyond; nowhere; around the end of the world. */
		assert_int_equal(run_with(&t, end - 128, 0, 0), 0);
		assert_int_equal(run_with(&t, end - 112, 0, 0), -EFAULT);
		assert_int_equal(run_with(&t, 0, end - bytes, 0), 0);
		assert_int_equal(run_with(&t, 0, end - bytes + 4, 0), -EFAULT);
		assert_int_equal(run_with(&t, 16, 0, 0), -EFAULT);
		assert_int_equal(run_with(&t, -16ul, 0, 0), -EINVAL);
		assert_int_equal(run_with(&t, 0, -4ul, 0), -EINVAL);
		guest_ring_close(&t);
	}
}

static void
names(void **state)
{
	for (int i = 0; i < VIRTQ_E_MAX; i++) {
		assert_non_null(virtq_ring_error_name(i));
		assert_string_not_equal(virtq_ring_error_name(i), "unknown");
		for (int j = 0; j < i; j++)
			assert_string_not_equal(virtq_ring_error_name(i), virtq_ring_error_name(j));
	}
	assert_string_equal(virtq_ring_error_name(VIRTQ_E_MAX), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base),
		cmocka_unit_test(base_hands_over),
		cmocka_unit_test(sizes),
		cmocka_unit_test(addresses),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("virtq_ring_config", tests, NULL, NULL);
}
