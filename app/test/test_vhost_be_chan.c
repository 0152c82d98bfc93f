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
	/* What is no socket is not kept. */
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &rig->call[0], 1, &m),
			 ACK);
	assert_int_equal(open_fds(), idle);
}

/* The front-end's own end of the connection: kept, it would hide that the front-end died. */
static void
nothing_kept_is_the_connection_itself(void **state)
{
	struct rig *rig = *state;
	struct vhu_msg m;

	fe_start(rig);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &rig->fe, 1, &m),
			 NACK);
	assert_int_equal(fe_fd(rig, VHU_SET_VRING_CALL, 0, rig->fe), NACK);
	wait_for_closing();
	rig_disconnect(rig);
	assert_int_equal(rig->downs, 1);
}

/*
 * Two front-ends of one process, each given the other's end: if that were kept, neither session
 * would ever end. The connection that it is the end of may not have been accepted yet.
 */
static void
channels_are_not_crossed(void **state)
{
	struct rig *rig = *state, *other;
	struct vhu_msg m;
	void *second;
	int later;

	rig_setup_bare(&second);
	other = second;
	evloop_free(other->loop);
	other->loop = rig->loop;
	rig_listen(other);
	rig_connect(other);
	fe_start(rig);
	fe_start(other);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &other->fe, 1, &m),
			 NACK);
	assert_int_equal(fe_talk(other, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &rig->fe, 1, &m),
			 NACK);
	later = connect_to(other->path);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &later, 1, &m),
			 NACK);
	close(later);
	wait_for_closing();
	close(rig->fe);
	close(other->fe);
	rig->fe = other->fe = -1;
	pump(rig);
	assert_int_equal(rig->downs, 1);
	assert_int_equal(other->downs, 1);
	evloop_new(&other->loop); /* for the teardown to free */
	other->fds_before = -1;
	assert_int_equal(rig_teardown(&second), 0);
}

/* The same where we connected to the front-end. */
static void
channel_is_no_connection_of_ours(void **state)
{
	struct rig *rig = *state;
	struct vhost_be_config cfg = rig_config(rig);
	char err[200], path[80];
	struct vhu_msg m;
	struct vhost_be *client;
	int listening, end;

	fe_start(rig);
	snprintf(path, sizeof(path), "%s/qemu", rig->dir);
	listening = listen_at(path);
	cfg.path = path;
	cfg.client = true;
	assert_int_equal(vhost_be_new(&cfg, &client, err, sizeof(err)), 0);
	WAIT(rig, rig->ups == 2, 2000);
	end = accept(listening, NULL, NULL);
	assert_int_equal(fe_talk(rig, VHU_SET_BACKEND_REQ_FD, NEED, NULL, 0, &end, 1, &m), NACK);
	close(end);
	close(listening);
	vhost_be_free(client);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(channel_is_expendable),
		RIG_TEST(nothing_kept_is_the_connection_itself),
		RIG_TEST(channels_are_not_crossed),
		RIG_TEST(channel_is_no_connection_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
