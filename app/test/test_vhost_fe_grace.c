/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers of a back-end that was left without an answer. */
#include "rig_peer.h"

static uint64_t
first_buffer(const struct pair *p)
{
	const struct vring_desc *desc = (const void *)p->mem;

	return desc[0].addr;
}

/* It answers too late: until it leaves as well, the buffers that it had are nobody else's. */
static void
buffers_are_kept_for_a_slow_back_end(void **state)
{
	struct bench *b = *state;
	struct pair *p = b->p;

	b->m->delay_request = VHU_GET_VRING_BASE;
	bench_start(b);
	assert_true(first_buffer(p) != 0);
	p->fe->dev->timeout_ms = 100;
	__atomic_store_n(&b->m->delay_ms, 600, __ATOMIC_RELAXED);
	vhost_fe_stop(p->fe);
	assert_int_equal(p->downs, 1);
	assert_int_equal(p->drains, RIG_RINGS);
	/* What it finds in the ring when it looks is no buffer. */
	assert_true(first_buffer(p) == 0);
	bench_leave(b);
	mock_stop(b->m);
	assert_true(p->drained_ns >= b->m->left_ns);
}

/* One that never leaves has so long, and not longer. */
static void
buffers_come_back_from_a_hung_back_end(void **state)
{
	struct bench *b = *state;
	struct pair *p = b->p;
	uint64_t start;

	b->m->delay_request = VHU_GET_VRING_BASE;
	bench_start(b);
	p->fe->dev->timeout_ms = 100;
	__atomic_store_n(&b->m->delay_ms, 3000, __ATOMIC_RELAXED);
	start = evloop_now_ns();
	vhost_fe_stop(p->fe);
	assert_uint_in_range(ms_since(start), VHOST_FE_GRACE_MS, VHOST_FE_GRACE_MS + 1500);
	assert_int_equal(p->drains, RIG_RINGS);
}

/* One that stops its rings when asked to is left nothing to be afraid of. */
static void
buffers_come_back_at_once(void **state)
{
	struct bench *b = *state;

	bench_start(b);
	vhost_fe_stop(b->p->fe);
	assert_int_equal(b->p->drains, RIG_RINGS);
	assert_int_equal(b->p->downs, 0);
	assert_true(first_buffer(b->p) != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PEER_TEST(buffers_are_kept_for_a_slow_back_end),
		PEER_TEST(buffers_come_back_from_a_hung_back_end),
		PEER_TEST(buffers_come_back_at_once),
	};

	return cmocka_run_group_tests_name("vhost_fe_grace", tests, NULL, NULL);
}
