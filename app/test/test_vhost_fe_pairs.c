/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue pairs of back-ends that count pairs, and of those that count rings. */
#include "rig_peer.h"

#define TELLS_REPLY_ACK (VIRTQ_BIT(VHU_PF_MQ) | VIRTQ_BIT(VHU_PF_REPLY_ACK))

/* Requests about rings that the back-end does not have, but for call descriptors. */
static uint32_t
strays(struct mock *m)
{
	uint32_t n = 0;

	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < m->nseen; i++)
		switch (m->seen[i].hdr.request) {
		case VHU_SET_VRING_NUM:
		case VHU_SET_VRING_ADDR:
		case VHU_SET_VRING_BASE:
		case VHU_SET_VRING_KICK:
		case VHU_SET_VRING_ERR:
		case VHU_SET_VRING_ENABLE:
			n += m->seen[i].raw[0] >= m->rings;
		}
	pthread_mutex_unlock(&m->lock);
	return n;
}

static void
check_one_pair_runs(struct bench *b)
{
	struct vhost_fe_info info;

	assert_non_null(b->p->ring[1]);
	assert_null(b->p->ring[2]);
	assert_null(b->p->ring[3]);
	assert_true(b->p->carrier);
	vhost_fe_get_info(b->p->fe, &info);
	assert_int_equal(info.pairs, 1);
	assert_int_equal(info.limits.max_pairs, 1);
	assert_int_equal(b->p->limits.max_pairs, 1);
	assert_non_null(strstr(b->p->log, "counts vrings: it said 2 and has no vring 3"));
	assert_int_equal(strays(b->m), 0);
}

/* rust-vmm: it refuses and goes on; so does the session. */
static void
fewer_pairs_on_the_same_connection(void **state)
{
	struct bench *b = *state;

	b->m->protocol = TELLS_REPLY_ACK;
	b->m->rings = 2;
	b->m->beyond = REFUSE;
	bench_start(b);
	check_one_pair_runs(b);
	assert_int_equal(b->p->downs, 0);
	/* It is not tried again. */
	vhost_fe_stop(b->p->fe);
	b->m->beyond = HANG_UP;
	vhost_fe_start(b->p->fe);
	check_one_pair_runs(b);
	assert_int_equal(b->p->downs, 0);
}

/* libvhost-user: it acknowledges nothing, and ends. */
static void
fewer_pairs_on_the_next_connection(void **state)
{
	struct bench *b = *state;

	b->m->protocol = VIRTQ_BIT(VHU_PF_MQ);
	b->m->rings = 2;
	b->m->beyond = HANG_UP;
	bench_start(b);
	assert_null(b->p->ring[0]);
	bench_until_running(b, true);
	check_one_pair_runs(b);
	assert_int_equal(b->p->ups, 2);
	mock_hang_up(b->m);
	bench_until_running(b, false);
	bench_until_running(b, true);
	check_one_pair_runs(b);
	assert_int_equal(b->p->ups, 3);
}

/* What is found out about one is not held against another, who says something else. */
static void
all_pairs_of_the_next_back_end(void **state)
{
	struct bench *b = *state;

	b->m->protocol = VIRTQ_BIT(VHU_PF_MQ);
	b->m->rings = 2;
	b->m->beyond = HANG_UP;
	bench_start(b);
	bench_until_running(b, true);
	pthread_mutex_lock(&b->m->lock);
	b->m->rings = 2 * RIG_PAIRS;
	b->m->queue_num = 2 * RIG_PAIRS;
	pthread_mutex_unlock(&b->m->lock);
	mock_hang_up(b->m);
	bench_until_running(b, false);
	bench_until_running(b, true);
	assert_non_null(b->p->ring[2 * RIG_PAIRS - 1]);
	assert_int_equal(b->p->limits.max_pairs, 2 * RIG_PAIRS);
}

/* One that dies for another reason has said nothing of its rings. */
static void
all_pairs_after_another_end(void **state)
{
	struct bench *b = *state;

	b->m->protocol = VIRTQ_BIT(VHU_PF_MQ);
	b->m->rings = 2 * RIG_PAIRS;
	b->m->act[VHU_SET_FEATURES] = HANG_UP;
	bench_start(b);
	assert_null(b->p->ring[0]);
	pthread_mutex_lock(&b->m->lock);
	b->m->act[VHU_SET_FEATURES] = AS_IT_SHOULD;
	pthread_mutex_unlock(&b->m->lock);
	bench_until_running(b, true);
	assert_non_null(b->p->ring[2 * RIG_PAIRS - 1]);
	assert_int_equal(b->p->limits.max_pairs, RIG_PAIRS);
	assert_null(strstr(b->p->log, "counts vrings"));
}

static void
pairs_are_pairs(void **state)
{
	struct bench *b = *state;

	b->m->rings = 2 * RIG_PAIRS;
	b->m->beyond = HANG_UP;
	bench_start(b);
	assert_non_null(b->p->ring[2 * RIG_PAIRS - 1]);
	assert_int_equal(b->p->limits.max_pairs, RIG_PAIRS);
	assert_string_equal(b->p->log, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PEER_TEST(fewer_pairs_on_the_same_connection),
		PEER_TEST(fewer_pairs_on_the_next_connection),
		PEER_TEST(all_pairs_of_the_next_back_end),
		PEER_TEST(all_pairs_after_another_end),
		PEER_TEST(pairs_are_pairs),
	};

	return cmocka_run_group_tests_name("vhost_fe_pairs", tests, NULL, NULL);
}
