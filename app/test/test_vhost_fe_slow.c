/* SPDX-License-Identifier: BSD-3-Clause */
/* Back-ends that are slow: how long anybody waits. */
#include "rig_peer.h"

/* Each answer comes in time, and all of them together do not. */
static void
one_deadline_for_all_answers(void **state)
{
	struct bench *b = *state;
	uint64_t start;

	mock_listen(b->m, b->p->rig->path);
	pair_open(b->p, false);
	step_until(b->p->loop, &b->p->ups, 1);
	b->p->fe->up_ms = 300;
	__atomic_store_n(&b->m->delay_ms, 90, __ATOMIC_RELAXED);
	start = evloop_now_ns();
	vhost_fe_start(b->p->fe);
	assert_uint_in_range(ms_since(start), 250, 1500);
	assert_null(b->p->ring[0]);
	assert_non_null(strstr(b->p->log, "the back-end took more than 300 ms in all"));
	__atomic_store_n(&b->m->delay_ms, 0, __ATOMIC_RELAXED);
	bench_until_running(b, true);
}

static void *
hurry_soon(void *fe)
{
	poll(NULL, 0, 50);
	vhost_fe_hurry(fe);
	return NULL;
}

/* Who wants to stop the session does not wait for what the loop waits for. */
static void
stop_cuts_a_start_short(void **state)
{
	struct bench *b = *state;
	pthread_t thread;
	uint64_t start;

	mock_listen(b->m, b->p->rig->path);
	pair_open(b->p, false);
	step_until(b->p->loop, &b->p->ups, 1);
	__atomic_store_n(&b->m->delay_ms, 1500, __ATOMIC_RELAXED);
	start = evloop_now_ns();
	assert_int_equal(pthread_create(&thread, NULL, hurry_soon, b->p->fe), 0);
	vhost_fe_start(b->p->fe);
	pthread_join(thread, NULL);
	assert_uint_in_range(ms_since(start), 100, 1000);
	assert_non_null(strstr(b->p->log, "when it was not waited for any longer"));
	vhost_fe_stop(b->p->fe);
	assert_uint_in_range(ms_since(start), 100, 1200);
	/* That was the stop's; what begins now has all its time. */
	__atomic_store_n(&b->m->delay_ms, 20, __ATOMIC_RELAXED);
	vhost_fe_start(b->p->fe);
	bench_until_running(b, true);
}

/* A hurry that nobody waits for any more, in front of an answer that comes soon: it is awaited. */
static void
hurry_leaves_time_for_an_answer(void **state)
{
	struct bench *b = *state;

	bench_start(b);
	vhost_fe_hurry(b->p->fe);
	assert_int_equal(vhost_fe_wish_mtu(b->p->fe, 9000), 0);
	assert_int_equal(mock_last(b->m, VHU_NET_SET_MTU).u64, 9000);
	vhost_fe_stop(b->p->fe);
	assert_int_equal(b->p->downs, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PEER_TEST(one_deadline_for_all_answers),
		PEER_TEST(stop_cuts_a_start_short),
		PEER_TEST(hurry_leaves_time_for_an_answer),
	};

	return cmocka_run_group_tests_name("vhost_fe_slow", tests, NULL, NULL);
}
