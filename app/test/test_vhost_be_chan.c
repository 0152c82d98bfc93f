/* SPDX-License-Identifier: BSD-3-Clause */
/* The back-end channel: a socket that the front-end gives, and may do anything with. */
#include "rig_frontend.h"

/* Whatever goes wrong on the channel, the connection lives. */
static void
channel_is_expendable(void **state)
{
	static const uint8_t garbage[64] = { 0xff, 0xff, 0xff };
	const struct vhu_hdr unsolicited = { 1, 5, 0 };
	struct rig *rig = *state;
	struct vhu_msg m;
	int idle;

	fe_start(rig);
	idle = open_fds();
	for (int i = 0; i < 5; i++) {
		int chan[2], spare[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, chan), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, spare), 0);
		assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &chan[0], 1,
					 &m), ACK);
		close(chan[0]);
		if (i == 0)
			assert_int_equal(send(chan[1], garbage, sizeof(garbage), 0), 64);
		else if (i == 1)
			assert_int_equal(send(chan[1], &unsolicited, 12, 0), 12);
		else if (i == 2) /* a request where only replies are due */
			fe_send_on(chan[1], VHU_SET_OWNER, 0, NULL, 0, &rig->memfd, 1);
		else if (i == 3) /* replaced by another */
			assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0,
						 &spare[0], 1, &m), ACK);
		close(spare[0]);
		if (i == 4)
			shutdown(chan[1], SHUT_WR);
		pump(rig);
		assert_int_equal(send(chan[1], "", 1, MSG_NOSIGNAL), -1);
		close(chan[1]);
		close(spare[1]);
		pump(rig);
		assert_int_equal(open_fds(), idle);
		assert_int_equal(fe_get(rig, VHU_GET_QUEUE_NUM), RIG_PAIRS);
	}
	assert_non_null(rig->ring[0]);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &rig->call[0], 1, &m),
			 NACK);
}

/* The front-end's own end of the connection: kept, it would hide that the front-end died. */
static void
channel_is_not_the_connection_itself(void **state)
{
	struct rig *rig = *state;
	struct vhu_msg m;

	fe_start(rig);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &rig->fe, 1, &m),
			 NACK);
	wait_for_closing();
	rig_disconnect(rig);
	assert_int_equal(rig->downs, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(channel_is_expendable),
		RIG_TEST(channel_is_not_the_connection_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
