/* SPDX-License-Identifier: BSD-3-Clause */
/* What a back-end is told besides its rings: MTU, address, features. */
#include "rig_peer.h"

static void
mtu_reaches_the_back_end(void **state)
{
	struct bench *b = *state;

	bench_start(b);
	assert_int_equal(mock_count(b->m, VHU_NET_SET_MTU), 0);
	assert_int_equal(vhost_fe_wish_mtu(b->p->fe, 9000), 0);
	assert_int_equal(mock_last(b->m, VHU_NET_SET_MTU).u64, 9000);
	b->m->act[VHU_NET_SET_MTU] = REFUSE;
	assert_int_equal(vhost_fe_wish_mtu(b->p->fe, 9001), -EIO);
	assert_int_equal(b->p->fe->mtu, 9000);
	/* With the rings, where they do not run yet. A refusal is then no reason to do without. */
	vhost_fe_stop(b->p->fe);
	assert_int_equal(vhost_fe_wish_mtu(b->p->fe, 9002), 0);
	assert_int_equal(mock_last(b->m, VHU_NET_SET_MTU).u64, 9001);
	assert_string_equal(b->p->log, "");
	vhost_fe_start(b->p->fe);
	assert_int_equal(mock_last(b->m, VHU_NET_SET_MTU).u64, 9002);
	assert_non_null(b->p->ring[0]);
	assert_non_null(strstr(b->p->log, "refuses an MTU of 9002 bytes"));
}

/* Who cannot be told has no say. */
static void
mtu_without_a_message_for_it(void **state)
{
	struct bench *b = *state;

	b->m->protocol &= ~VIRTQ_BIT(VHU_PF_NET_MTU);
	bench_start(b);
	assert_int_equal(vhost_fe_wish_mtu(b->p->fe, 9000), 0);
	assert_int_equal(mock_count(b->m, VHU_NET_SET_MTU), 0);
}

static const struct vhost_fe_mac address = { { 2, 0, 0, 0, 0, 7 } };

static void
address_is_announced_to_the_next(void **state)
{
	struct bench *b = *state;
	struct seen s;

	bench_start(b);
	assert_int_equal(vhost_fe_wish_mac(b->p->fe, &address), 0);
	vhost_fe_stop(b->p->fe);
	vhost_fe_start(b->p->fe);
	assert_int_equal(mock_count(b->m, VHU_SEND_RARP), 0);
	for (uint32_t life = 1; life <= 2; life++) {
		mock_hang_up(b->m);
		bench_until_running(b, false);
		bench_until_running(b, true);
		assert_int_equal(mock_count(b->m, VHU_SEND_RARP), life);
		s = mock_last(b->m, VHU_SEND_RARP);
		assert_int_equal(s.hdr.size, 8);
		assert_memory_equal(s.raw, &address, sizeof(address));
	}
	/* When rings run at last. */
	vhost_fe_stop(b->p->fe);
	mock_hang_up(b->m);
	step_until(b->p->loop, &b->p->ups, 4);
	assert_int_equal(mock_count(b->m, VHU_SEND_RARP), 2);
	vhost_fe_start(b->p->fe);
	assert_int_equal(mock_count(b->m, VHU_SEND_RARP), 3);
}

static void
no_announcement_without_the_feature(void **state)
{
	struct bench *b = *state;

	b->m->protocol &= ~VIRTQ_BIT(VHU_PF_RARP);
	bench_start(b);
	mock_hang_up(b->m);
	bench_until_running(b, false);
	bench_until_running(b, true);
	assert_int_equal(mock_count(b->m, VHU_SEND_RARP), 0);
	assert_null(strstr(b->p->log, "announce"));
}

static void
no_more_is_negotiated_than_is_used(void **state)
{
	struct bench *b = *state;

	bench_start(b);
	assert_int_equal(mock_last(b->m, VHU_SET_PROTOCOL_FEATURES).u64 &
			 VIRTQ_BIT(VHU_PF_LOG_SHMFD), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PEER_TEST(mtu_reaches_the_back_end),
		PEER_TEST(mtu_without_a_message_for_it),
		PEER_TEST(address_is_announced_to_the_next),
		PEER_TEST(no_announcement_without_the_feature),
		PEER_TEST(no_more_is_negotiated_than_is_used),
	};

	return cmocka_run_group_tests_name("vhost_fe_news", tests, NULL, NULL);
}
