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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		PEER_TEST(mtu_reaches_the_back_end),
		PEER_TEST(mtu_without_a_message_for_it),
	};

	return cmocka_run_group_tests_name("vhost_fe_news", tests, NULL, NULL);
}
